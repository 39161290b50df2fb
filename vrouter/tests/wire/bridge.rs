//! Bridges: stations reach each other by MAC, at VIFs and behind VXLAN and MPLS, byte by byte, beside what is routed.

use vrouter::api::v1;
use vrouter::drops::DropReason;

use super::lab::{Lab, scenario};
use super::network::{self, RA, RA2, UP};

/// The VIF that is a port of the bridge alone.
pub const L2: (usize, usize) = (0, 4);

const LAN: &str = r#"
bridges: [{name: lan, vrf: red}]
vifs:
  - {name: l2, port: p4, vrf: red, bridge: lan, mac: "02:00:00:00:0a:05", addresses: [10.1.1.15]}
fdb:
  - {bridge: lan, mac: "02:00:00:00:0b:01", vxlan: {remote: 10.0.0.2, vni: 5000}}
  - {bridge: lan, mac: "02:00:00:00:0b:03", mpls_udp: {remote: 10.0.0.2, label: 5001}}
  - {bridge: lan, mac: "02:00:00:00:0b:07", mpls_gre: {remote: 10.0.0.2, label: 5002}}
  - {bridge: lan, mac: "02:00:00:00:0b:09", geneve: {remote: 10.0.0.2, vni: 5000}}
vnis: [{vni: 5000, bridge: lan}]
labels: [{label: 5000, bridge: lan}]
"#;

/// A with bridge lan, whose neighbour on the fabric is not known.
pub fn a_dynamic(workers: usize) -> Lab {
    let setup = super::lab::Setup { network: network::a_dynamic(), ..Default::default() };
    let mut lab = Lab::one(workers, &setup);
    lab.apply(LAN);
    lab.apply(&network::ra("bridge: lan"));
    lab.apply(&network::ra2("bridge: lan"));
    lab
}

/// A with bridge lan.
pub fn a(workers: usize) -> Lab {
    let mut lab = a_dynamic(workers);
    lab.apply("neighbours: [{vif: up0, address: 10.0.0.2, mac: \"52:00:00:00:0b:00\"}]");
    lab.advance(100);
    lab.discard();
    lab
}

#[test]
fn local_stations_exchange_frames_as_they_are() {
    scenario("bridge-local", a, |lab| {
        for _ in 0..2 {
            lab.pass(RA, "br.local", RA2, "br.local");
            lab.pass(RA2, "br.local.back", RA, "br.local.back");
        }
        let flow = lab.rig().flow();
        assert_eq!((flow.packets, flow.reverse_packets, &*flow.reverse_place), (2, 2, "vif ra2"));
        assert_eq!((&*flow.next_hop, &*flow.reverse_next_hop), ("bridged to vif ra2", "bridged to vif ra"));
        lab.pass(RA, "br.local6", RA2, "br.local6");
        lab.pass(RA, "br.to-l2", L2, "br.to-l2");
        lab.pass(L2, "br.from-l2", RA, "br.from-l2");
    });
}

#[test]
fn frames_go_to_stations_behind_tunnels_and_come_from_there() {
    scenario("bridge-tunnels", a, |lab| {
        for by in ["vxlan", "mpls", "gre", "geneve"] {
            for family in ["4", "6"] {
                let name = format!("br.{by}{family}");
                for _ in 0..2 {
                    lab.pass(RA, &name, UP, &format!("{name}.wire"));
                    lab.pass(UP, &format!("{name}.back"), RA, &format!("{name}.back.out"));
                }
            }
            lab.pass(RA, &format!("br.{by}.other"), UP, &format!("br.{by}.other.wire"));
            lab.pass(UP, &format!("br.{by}.other.back"), RA, &format!("br.{by}.other.back.out"));
        }
        assert_eq!(lab.rig().flows(Default::default()).len(), 8);
        lab.pass(UP, "br.marked", RA, "br.marked.out");
        lab.pass(RA, "br.fits", UP, "br.fits.wire");
        lab.dropped_and_told(RA, "br.big", DropReason::MtuExceeded, "br.big.told");
        lab.dropped(RA, "br.big.other", DropReason::MtuExceeded);
        lab.pass(RA, "br.mpls.1454", UP, "br.mpls.1454.wire");
        lab.dropped(RA, "br.mpls.1455", DropReason::MtuExceeded);
    });
}

#[test]
fn arp_and_discovery_between_stations_are_frames_like_any_other() {
    scenario("bridge-neighbours", a, |lab| {
        lab.pass(RA2, "br.arp", RA, "br.arp");
        lab.pass(RA, "br.ns", RA2, "br.ns");
        lab.pass(RA2, "br.na", RA, "br.na");
        lab.dropped(RA2, "br.arp.forged", DropReason::ArpInvalid);
        lab.dropped(RA2, "br.na.forged", DropReason::NdInvalid);
        assert!(lab.rig().flows(Default::default()).is_empty());
    });
}

#[test]
fn the_destination_mac_decides_between_bridging_and_routing() {
    scenario("bridge-or-route", a, |lab| {
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        // one 5-tuple, now one way, now the other
        for _ in 0..2 {
            lab.pass(RA, "br.local", RA2, "br.local");
            lab.pass(RA, "br.routed", RA2, "br.routed.out");
            lab.pass(RA, "br.routed", RA2, "br.routed.out");
        }
        // a station behind a tunnel reaches our gateway by its MAC and by the router's
        lab.pass(UP, "br.to-gateway", RA2, "br.to-gateway.out");
        lab.pass(UP, "br.to-router", RA2, "br.to-gateway.out");
        // of a port of the bridge alone nothing is routed
        lab.dropped(L2, "br.l2-to-gateway", DropReason::UnknownUnicast);
    });
}

#[test]
fn a_decision_that_its_burst_replaced_is_not_gone_by() {
    scenario("bridge-and-route-in-a-burst", a, |lab| {
        lab.pass(RA, "br.routed.options", RA2, "br.routed.options.out");
        let workers = lab.rig().workers.len();
        // in each worker's burst; the lane takes none with options
        for name in ["br.routed.options", "br.local", "br.routed.options"] {
            (0..workers).for_each(|_| lab.put(RA, name));
        }
        lab.run();
        let routed = std::iter::repeat_n((RA2, "br.routed.options.out"), 2 * workers);
        let came: Vec<_> = routed.chain(std::iter::repeat_n((RA2, "br.local"), workers)).collect();
        lab.expect(&came);
        let flow = lab.rig().flow();
        assert_eq!((flow.packets, &*flow.next_hop), (1 + 3 * workers as u64, "vif ra2 mac 02:00:00:00:0a:03"));
        let revalidated: u64 = lab.rig().stats().workers.iter().map(|worker| worker.revalidated).sum();
        assert_eq!(revalidated, 2 * workers as u64);
    });
}

#[test]
fn errors_are_bridged_or_routed_as_they_came() {
    scenario("bridge-errors", a, |lab| {
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.pass(UP, "br.error", RA, "br.error.out");
        lab.apply("vrfs: [{name: red, flows: off}]");
        lab.sweep();
        lab.apply(
            "vrfs: [{name: red}]\nsettings: {underlay_vrf: underlay, vtep: 10.0.0.1, lifetimes: {udp_unanswered: 1}}",
        );
        (0..3).for_each(|_| lab.sweep());
        lab.discard();
        assert!(lab.rig().flows(Default::default()).is_empty());
        lab.pass(RA, "br.vxlan4", UP, "br.vxlan4.wire");
        lab.pass(UP, "br.error.routed", RA, "br.error.routed.out");
    });
}

#[test]
fn acls_judge_what_is_bridged() {
    scenario("bridge-acl", a, |lab| {
        lab.pass(RA, "br.local", RA2, "br.local");
        lab.apply("acls: [{name: none, rules: []}, {name: tcp, rules: [{action: permit, protocol: tcp}]}]");
        lab.apply(&network::ra2("bridge: lan, acl_to_vif: none"));
        lab.dropped(RA, "br.local", DropReason::AclToVif);
        // refused both ways, though the answer goes to ra
        lab.dropped(RA2, "br.local.back", DropReason::AclToVif);
        // ACLs speak of IP
        lab.pass(RA, "br.ns", RA2, "br.ns");
        lab.apply(&network::ra2("bridge: lan"));
        lab.pass(RA2, "br.local.back", RA, "br.local.back");
        lab.apply(&network::ra("bridge: lan, acl_from_vif: tcp"));
        lab.dropped(RA, "br.vxlan4", DropReason::AclFromVif);
        lab.apply("vrfs: [{name: red, acl: none}]");
        lab.dropped(UP, "br.mpls4.back", DropReason::AclVrf);
        lab.pass(RA, "br.vxlan.other", UP, "br.vxlan.other.wire");
    });
}

#[test]
fn frames_without_a_station_end_here() {
    scenario("bridge-nowhere", a, |lab| {
        lab.apply("fdb: [{bridge: lan, mac: \"02:00:00:00:0a:77\", vif: ra}]");
        lab.dropped(RA, "br.unknown", DropReason::UnknownUnicast);
        lab.dropped(UP, "br.unknown.back", DropReason::UnknownUnicast);
        lab.dropped(RA, "br.own-side", DropReason::SplitHorizon);
        lab.dropped(UP, "br.tunnel-to-tunnel", DropReason::SplitHorizon);
        lab.apply("vrfs: [{name: red, allowed_vteps: [10.0.0.9]}]");
        lab.dropped(UP, "br.vxlan4.back", DropReason::VtepNotAllowed);
        lab.dropped(UP, "br.mpls4.back", DropReason::VtepNotAllowed);
    });
}

#[test]
fn a_station_that_moves_takes_its_flows_with_it() {
    scenario("bridge-moves", a, |lab| {
        lab.pass(RA, "br.vxlan4", UP, "br.vxlan4.wire");
        lab.pass(UP, "br.vxlan4.back", RA, "br.vxlan4.back.out");
        // rb comes to VIF l2, as a station behind it
        lab.apply(
            "vifs: [{name: l2, port: p4, vrf: red, bridge: lan, mac: \"02:00:00:00:0a:05\", spoofing_allowed: true}]",
        );
        lab.apply("fdb: [{bridge: lan, mac: \"02:00:00:00:0b:01\", vif: l2}]");
        lab.pass(L2, "br.vxlan4.back.out", RA, "br.vxlan4.back.out");
        lab.pass(RA, "br.vxlan4", L2, "br.vxlan4");
        let flow = lab.rig().flow();
        assert!([&flow.place, &flow.reverse_place].contains(&&"vif l2".to_owned()), "{flow:?}");
        // and goes again
        let key = v1::FdbKey { bridge: "lan".into(), mac: vec![2, 0, 0, 0, 0x0b, 1] };
        lab.rig().delete(v1::object_key::Kind::FdbEntry(key));
        lab.dropped(RA, "br.vxlan4", DropReason::UnknownUnicast);
    });
}

#[test]
fn a_station_that_is_gone_takes_its_flows_with_it() {
    scenario("bridge-gone", a, |lab| {
        lab.pass(RA, "br.vxlan4", UP, "br.vxlan4.wire");
        lab.pass(UP, "br.vxlan4.back", RA, "br.vxlan4.back.out");
        let key = v1::FdbKey { bridge: "lan".into(), mac: vec![2, 0, 0, 0, 0x0b, 1] };
        lab.rig().delete(v1::object_key::Kind::FdbEntry(key));
        lab.dropped(UP, "br.vxlan4.back", DropReason::NextHopGone);
        // it is there again, elsewhere, and says so
        lab.apply("fdb: [{bridge: lan, mac: \"02:00:00:00:0b:01\", mpls_udp: {remote: 10.0.0.2, label: 5001}}]");
        lab.pass(UP, "br.vxlan4.back", RA, "br.vxlan4.back.out");
    });
}

#[test]
fn frames_wait_for_the_neighbour_of_their_tunnel() {
    scenario("bridge-held", a_dynamic, |lab| {
        lab.discard();
        for name in ["br.vxlan4", "br.vxlan.other", "br.gre6"] {
            lab.pass_silently(RA, name);
        }
        lab.discard();
        lab.put(UP, "br.b-is-at");
        lab.run();
        lab.expect(&[(UP, "br.vxlan4.wire"), (UP, "br.vxlan.other.wire"), (UP, "br.gre6.wire")]);
    });
}

#[test]
fn packet_mode_bridges_without_flows() {
    scenario("bridge-packet-mode", a, |lab| {
        lab.apply("vrfs: [{name: red, flows: off}]");
        lab.pass(RA, "br.local", RA2, "br.local");
        lab.pass(RA, "br.vxlan6", UP, "br.vxlan6.wire");
        lab.pass(UP, "br.gre4.back", RA, "br.gre4.back.out");
        lab.pass(RA, "br.local6", RA2, "br.local6");
        assert!(lab.rig().flows(Default::default()).is_empty());
    });
}

#[test]
fn explain_tells_the_station() {
    scenario("bridge-explain", a, |lab| {
        let ask = |mac: &[u8], vif: bool| v1::ExplainRequest {
            place: Some(match vif {
                true => v1::explain_request::Place::Vif("ra".into()),
                false => v1::explain_request::Place::TunnelVrf("red".into()),
            }),
            source: vec![10, 1, 1, if vif { 10 } else { 20 }],
            destination: vec![10, 1, 1, 11],
            protocol: 17,
            destination_mac: mac.to_vec(),
            source_mac: if vif { Vec::new() } else { vec![2, 0, 0, 0, 0x0b, 1] },
            bridge: "lan".into(),
            ..Default::default()
        };
        let mut explain = |query| {
            let reply = lab.rig().ask(|reply| vrouter::control::Request::Explain { query, reply }).unwrap();
            let step = reply.steps.iter().find(|step| step.name == "fdb");
            (reply.verdict, reply.result, step.map(|step| step.detail.clone()))
        };
        let ra2 = [2, 0, 0, 0, 0x0a, 3];
        for vif in [true, false] {
            let (verdict, result, step) = explain(ask(&ra2, vif));
            assert_eq!((&*verdict, &*result), ("forward", "bridged to vif ra2"));
            assert_eq!(step.as_deref(), Some("02:00:00:00:0a:03 is bridged to vif ra2"));
            assert_eq!(explain(ask(&[2, 0, 0, 0, 0x0b, 0x99], vif)).0, "unknown_unicast");
        }
        assert_eq!(explain(ask(&[2, 0, 0, 0, 0x0b, 1], false)).0, "split_horizon");
        assert_eq!(explain(ask(&[0, 0, 0x5e, 0, 1, 0], true)).1, "vif ra2 mac 02:00:00:00:0a:03");
    });
}
