//! What people ask: explain, flows, victims, counters; held against what happens.

use std::net::IpAddr;

use vrouter::api::v1;
use vrouter::control::Request;
use vrouter::drops::DropReason;

use super::frames::frame;
use super::lab::{Lab, scenario};
use super::network::{self, BA, RA, RA2, UP};

fn bytes(address: &str) -> Vec<u8> {
    match address.parse().unwrap() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// A question about a packet from ra.
fn from_ra(source: &str, destination: &str, protocol: u32, ports: (u32, u32)) -> v1::ExplainRequest {
    v1::ExplainRequest {
        place: Some(v1::explain_request::Place::Vif("ra".into())),
        source: bytes(source),
        destination: bytes(destination),
        protocol,
        source_port: ports.0,
        destination_port: ports.1,
        ..Default::default()
    }
}

fn explain(lab: &mut Lab, query: v1::ExplainRequest) -> v1::ExplainReply {
    lab.rig().ask(|reply| Request::Explain { query, reply }).unwrap()
}

fn steps(reply: &v1::ExplainReply) -> Vec<&str> {
    reply.steps.iter().map(|step| &*step.name).collect()
}

#[test]
fn explain_says_what_happens() {
    scenario("explain", Lab::a, |lab| {
        lab.apply("acls: [{name: out, rules: [{name: no-web, action: deny, protocol: tcp, destination_ports: 443}, {action: permit}]}]");
        lab.apply("acls: [{name: nothing, rules: []}]");
        lab.apply(&network::ra("acl_from_vif: out"));
        lab.apply(&network::ra2("acl_to_vif: nothing"));
        lab.apply("routes: [{vrf: red, prefix: 10.6.0.0/16, drop: true}]");
        let table = [
            ("udp4.vxlan", from_ra("10.1.1.10", "10.1.1.20", 17, (5000, 7053)), "forward"),
            ("udp6.vxlan", from_ra("fd01::10", "fd01::20", 17, (5000, 7053)), "forward"),
            ("udp4.mpls", from_ra("10.1.1.10", "10.1.1.21", 17, (5000, 7053)), "forward"),
            ("web.out.S", from_ra("10.1.1.10", "10.1.1.20", 6, (40001, 443)), "acl_from_vif"),
            ("local4", from_ra("10.1.1.10", "10.1.1.11", 6, (1, 2)), "acl_to_vif"),
            ("no-route4", from_ra("10.1.1.10", "10.99.0.1", 17, (5000, 7053)), "no_route"),
            ("to-drop", from_ra("10.1.1.10", "10.6.0.1", 17, (5200, 7053)), "route_drop"),
            ("bad.source-other", from_ra("10.1.1.66", "10.1.1.20", 17, (1, 2)), "source_spoofed"),
            ("bad.source-loopback", from_ra("127.0.0.1", "10.1.1.20", 17, (1, 2)), "source_spoofed"),
            ("bad.multicast", from_ra("10.1.1.10", "239.1.1.1", 17, (53, 53)), "multicast"),
        ];
        for (name, query, verdict) in table {
            let before = lab.rig().stats();
            let reply = explain(lab, query.clone());
            assert_eq!(reply.verdict, verdict, "{name}: {:?}", reply.steps);
            assert_eq!(lab.rig().stats(), before, "explain has side effects");
            match DropReason::named(verdict) {
                None => lab.pass(RA, name, UP, &format!("{name}.wire")),
                Some(DropReason::NoRoute) => lab.dropped_and_told(RA, name, DropReason::NoRoute, "no-route4.error"),
                Some(reason) => lab.dropped(RA, name, reason),
            }
        }
        let big = v1::ExplainRequest { length: 1500, ..from_ra("10.1.1.10", "10.1.1.20", 17, (5000, 7053)) };
        assert_eq!(explain(lab, big.clone()).verdict, "mtu_exceeded");
        let cut = explain(lab, v1::ExplainRequest { may_be_cut: true, ..big });
        assert_eq!((cut.verdict.as_str(), cut.exit_tunnel_vrf.as_str()), ("forward", "red"));
        assert!(cut.steps.iter().any(|step| step.name == "mtu" && step.detail.ends_with(": it leaves in pieces")));
    });
}

#[test]
fn explain_names_each_step_and_who_decided() {
    scenario("explain-steps", Lab::a, |lab| {
        lab.apply("acls: [{name: out, rules: [{name: no-web, action: deny, protocol: tcp, destination_ports: 443}, {action: permit}]}]");
        lab.apply(&network::ra("acl_from_vif: out"));
        let reply = explain(lab, from_ra("10.1.1.10", "10.1.1.20", 6, (40001, 443)));
        assert_eq!(steps(&reply), ["anti_spoofing", "flow", "route", "acl_from_vif"]);
        assert_eq!(reply.steps[3].object, "acl out rule 0 (no-web)");
        let reply = explain(lab, from_ra("10.1.1.10", "10.1.1.20", 17, (5000, 7053)));
        assert!(reply.result.starts_with("vxlan vni 100"), "{}", reply.result);
        assert!(reply.steps[1].detail.contains("none yet"), "{:?}", reply.steps[1]);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        let reply = explain(lab, from_ra("10.1.1.10", "10.1.1.20", 17, (5000, 7053)));
        assert!(reply.steps[1].detail.contains("live"), "{:?}", reply.steps[1]);
        // from a tunnel
        let query = v1::ExplainRequest {
            place: Some(v1::explain_request::Place::TunnelVrf("red".into())),
            ..from_ra("10.1.1.20", "10.1.1.10", 17, (7053, 5001))
        };
        assert!(explain(lab, query).result.starts_with("vif ra"));
        let unknown = v1::ExplainRequest {
            place: Some(v1::explain_request::Place::Vif("nobody".into())),
            ..from_ra("10.1.1.20", "10.1.1.10", 17, (1, 2))
        };
        let refused = lab.rig().ask(|reply| Request::Explain { query: unknown, reply }).unwrap_err();
        assert_eq!((&*refused.field, &*refused.reason), ("vif", "there is no VIF nobody"));
    });
}

#[test]
fn explain_judges_an_answer_by_its_flow() {
    scenario("explain-answer", Lab::a, |lab| {
        lab.apply("acls: [{name: nothing, rules: []}]");
        lab.apply(&network::ra("acl_to_vif: nothing"));
        let answer = v1::ExplainRequest {
            place: Some(v1::explain_request::Place::TunnelVrf("red".into())),
            ..from_ra("10.1.1.20", "10.1.1.10", 17, (7053, 5000))
        };
        assert_eq!(explain(lab, answer.clone()).verdict, "acl_to_vif", "nobody has asked yet");
        lab.dropped(UP, "udp4.vxlan.back", DropReason::AclToVif);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        let reply = explain(lab, answer.clone());
        assert_eq!((&*reply.verdict, reply.result.starts_with("vif ra")), ("forward", true), "{reply:#?}");
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        // refused both ways
        lab.apply(&network::ra("acl_from_vif: nothing"));
        assert_eq!(explain(lab, answer.clone()).verdict, "acl_from_vif");
        lab.dropped(UP, "udp4.vxlan.back", DropReason::AclFromVif);
        // where the flow no longer leaves
        lab.apply(&network::ra("acl_to_vif: nothing"));
        lab.apply("routes: [{vrf: red, prefix: 10.1.1.20/32, via: {vif: ra2}}]");
        let reply = explain(lab, answer);
        assert_eq!(reply.verdict, "acl_to_vif", "{reply:#?}");
        assert!(reply.steps[0].detail.contains("expected from vif ra2"), "{reply:#?}");
        lab.dropped(UP, "udp4.vxlan.back", DropReason::AclToVif);
    });
}

#[test]
fn flows_are_listed_by_filter() {
    scenario("flows", Lab::a, |lab| {
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.pass(RA, "udp6.vxlan", UP, "udp6.vxlan.wire");
        lab.pass(BA, "udp4.blue", UP, "udp4.blue.wire");
        lab.pass(RA, "tcp.out.S", UP, "tcp.out.S.wire");
        lab.pass(RA, "local4", RA2, "local4.out");
        lab.now += 700;
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        let prefix = |address: &str, length| Some(v1::Prefix { address: bytes(address), length });
        let all = v1::FlowsRequest::default;
        let table = [
            (all(), 5),
            (v1::FlowsRequest { vrf: "red".into(), ..all() }, 4),
            (v1::FlowsRequest { vrf: "blue".into(), ..all() }, 1),
            (v1::FlowsRequest { vif: "ra".into(), ..all() }, 4),
            (v1::FlowsRequest { vif: "ra2".into(), ..all() }, 1),
            (v1::FlowsRequest { protocol: Some(17), ..all() }, 3),
            (v1::FlowsRequest { protocol: Some(6), ..all() }, 2),
            (v1::FlowsRequest { port: Some(80), ..all() }, 1),
            (v1::FlowsRequest { port: Some(7053), vrf: "red".into(), ..all() }, 2),
            (v1::FlowsRequest { destination: prefix("10.1.1.20", 32), ..all() }, 3),
            (v1::FlowsRequest { destination: prefix("fd01::", 16), ..all() }, 1),
            (v1::FlowsRequest { source: prefix("10.1.1.11", 32), ..all() }, 0),
            (v1::FlowsRequest { limit: 2, ..all() }, 2),
        ];
        for (filter, count) in table {
            let flows = lab.rig().flows(filter.clone());
            assert_eq!(flows.len(), count, "{filter:?}: {flows:#?}");
        }
        let red =
            v1::FlowsRequest { port: Some(5000), destination: prefix("10.1.1.20", 32), vrf: "red".into(), ..all() };
        let flow = lab.rig().flows(red).remove(0);
        assert_eq!((&*flow.place, &*flow.reverse_place, &*flow.state), ("vif ra", "tunnel red", "answered"));
        assert_eq!((flow.packets, flow.bytes, flow.reverse_packets, flow.reverse_bytes), (1, 92, 1, 92));
        assert_eq!((flow.idle_ms, &*flow.verdict), (0, "forward"));
        let blue = lab.rig().flows(v1::FlowsRequest { vrf: "blue".into(), ..all() }).remove(0);
        assert_eq!((blue.idle_ms, &*blue.state), (700, "unanswered"));
        for (filter, field) in [
            (v1::FlowsRequest { vrf: "nobody".into(), ..all() }, "vrf"),
            (v1::FlowsRequest { vif: "nobody".into(), ..all() }, "vif"),
            (v1::FlowsRequest { protocol: Some(256), ..all() }, "protocol"),
            (v1::FlowsRequest { source: prefix("10.0.0.0", 33), ..all() }, "source"),
        ] {
            let refused = lab.rig().ask(|reply| Request::Flows { filter, reply }).err().unwrap();
            assert_eq!(refused.field, field);
        }
    });
}

#[test]
fn victims_are_remembered_with_who_decided() {
    scenario("victims", Lab::a, |lab| {
        lab.apply("acls: [{name: out, rules: [{action: deny, protocol: tcp}, {action: permit}]}]");
        lab.apply(&network::ra("acl_from_vif: out"));
        lab.dropped(RA, "web.out.S", DropReason::AclFromVif);
        lab.now += 300;
        lab.dropped(UP, "vxlan.vni-unknown", DropReason::VniUnknown);
        lab.dropped(BA, "bad.mac-spoofed", DropReason::MacSpoofed);
        let mut ask = |reason: &str, vif: &str, limit| {
            let filter = v1::VictimsRequest { reason: reason.into(), vif: vif.into(), limit, vrf: String::new() };
            lab.rig().ask(|reply| Request::Victims { filter, reply }).map(|reply| reply.victims)
        };
        assert_eq!(ask("", "", 0).unwrap().len(), 3);
        assert_eq!(ask("", "", 2).unwrap().len(), 2);
        assert_eq!(ask("", "ba", 0).unwrap().len(), 1);
        let rows = ask("acl_from_vif", "", 0).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((&*rows[0].vif, &*rows[0].object, rows[0].age_ms), ("ra", "acl out rule 0", 300));
        assert_eq!(rows[0].head, frame("web.out.S"));
        let rows = ask("vni_unknown", "up0", 0).unwrap();
        assert_eq!(rows[0].length as usize, frame("vxlan.vni-unknown").len());
        assert_eq!(rows[0].head, frame("vxlan.vni-unknown")[..96]);
        assert!(ask("no_such_reason", "", 0).is_err());
    });
}

#[test]
fn vifs_count_packets_and_bytes() {
    scenario("vif-stats", Lab::a, |lab| {
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.pass(RA, "local4", RA2, "local4.out");
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        lab.pass(RA, "arp.gateway", RA, "arp.gateway.reply");
        let stats = lab.rig().stats();
        let row = |vif: &str| stats.vifs.iter().find(|row| row.vif == vif).unwrap();
        let len = |name: &str| frame(name).len() as u64;
        let ra = row("ra");
        assert_eq!((ra.rx_packets, ra.tx_packets), (3, 2));
        assert_eq!(ra.rx_bytes, len("udp4.vxlan") + len("local4") + len("arp.gateway"));
        assert_eq!(ra.tx_bytes, len("udp4.vxlan.back.out") + len("arp.gateway.reply"));
        let up = row("up0");
        assert_eq!((up.rx_bytes, up.tx_bytes), (len("udp4.vxlan.back"), len("udp4.vxlan.wire")));
        assert_eq!((row("ra2").tx_packets, row("ra2").rx_packets, row("ba").rx_packets), (1, 0, 0));
    });
}
