//! How often rules have decided: each new flow once, each denied packet, whatever is edited meanwhile.

use vrouter::api::text::Prefix;
use vrouter::api::v1;
use vrouter::api::v1::object_key::Kind as Key;
use vrouter::control::Request;
use vrouter::drops::DropReason;

use super::lab::{Lab, scenario};
use super::network::{self, RA, RA2, UP};

/// Of an ACL: its rules' hits, then its end's.
fn hits(lab: &mut Lab, acl: &str) -> Vec<u64> {
    let filter = v1::HitsRequest { acl: acl.into(), ..v1::HitsRequest::default() };
    let rows: Vec<_> = lab.rig().ask(|reply| Request::Hits { filter, reply }).expect("it is there").collect();
    let indices: Vec<_> = rows.iter().map(|row| row.rule).collect();
    let wanted: Vec<_> = (0..rows.len() as u32 - 1).map(Some).chain([None]).collect();
    assert_eq!(indices, wanted, "in order, and the end");
    rows.iter().map(|row| row.hits).collect()
}

const WEB: &str = "{name: web, action: permit, protocol: tcp, destination_ports: 443}";
const DNS: &str = "{name: dns, action: permit, protocol: udp, destination_ports: 7053}";
const PING: &str = "{name: ping, action: deny, protocol: icmp}";

fn out(lab: &mut Lab, rules: &[&str]) {
    lab.apply(&format!("acls: [{{name: out, rules: [{}]}}]", rules.join(", ")));
}

fn guarded(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    out(&mut lab, &[WEB, DNS, PING]);
    lab.apply("acls: [{name: in, rules: [{action: permit, protocol: tcp}]}]");
    lab.apply(&network::ra("acl_from_vif: out"));
    lab.apply(&network::ra2("acl_to_vif: in"));
    lab
}

#[test]
fn flows_that_begin_and_packets_that_are_denied_are_counted() {
    scenario("hits", guarded, |lab| {
        assert_eq!(hits(lab, "out"), [0, 0, 0, 0]);
        // a flow once, whichever way its packets go
        for _ in 0..3 {
            lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
            lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        }
        lab.pass(RA, "udp6.vxlan", UP, "udp6.vxlan.wire");
        lab.pass(RA, "web.out.S", UP, "web.out.S.wire");
        assert_eq!(hits(lab, "out"), [1, 2, 0, 0]);
        // of which several packets come at once
        (0..5).for_each(|_| lab.put(RA, "ssh.out.S"));
        lab.run();
        let denied = DropReason::AclFromVif;
        assert_eq!((lab.rig().dropped("ra", denied), hits(lab, "out")), (5, vec![1, 2, 0, 5]));
        (0..5).for_each(|_| lab.put(RA, "udp4.mpls"));
        lab.run();
        assert_eq!((lab.take(UP).len(), hits(lab, "out")), (5, vec![1, 3, 0, 5]));
        // what is denied, packet by packet
        for count in 1..4 {
            lab.dropped(RA, "ping4.out", DropReason::AclFromVif);
            assert_eq!(hits(lab, "out"), [1, 3, count, 5]);
        }
        lab.dropped(RA, "tcp.out.S", DropReason::AclFromVif);
        assert_eq!(hits(lab, "out"), [1, 3, 3, 6]);
        // nobody has asked the other one
        assert_eq!(hits(lab, "in"), [0, 0]);
        let filter = v1::HitsRequest { acl: "none".into(), ..v1::HitsRequest::default() };
        let refused = lab.rig().ask(|reply| Request::Hits { filter, reply }).err().expect("refused");
        assert_eq!((&*refused.field, &*refused.reason), ("acl", "there is no ACL none"));
        let all = lab.rig().ask(|reply| Request::Hits { filter: v1::HitsRequest::default(), reply }).expect("all");
        assert_eq!(all.map(|row| row.acl).collect::<Vec<_>>(), ["in", "in", "out", "out", "out", "out"]);
    });
}

#[test]
fn each_acl_on_the_way_counts() {
    scenario("hits-way", guarded, |lab| {
        lab.apply("acls: [{name: out, rules: [{action: permit}]}, {name: red, rules: [{action: deny, protocol: udp}, {action: permit}]}]");
        lab.apply("vrfs: [{name: red, acl: red}]");
        let before = hits(lab, "out");
        lab.pass(RA, "local4", RA2, "local4.out");
        assert_eq!(
            (hits(lab, "out")[0] - before[0], hits(lab, "red"), hits(lab, "in")),
            (1, vec![0, 1, 0], vec![1, 0])
        );
        lab.dropped(RA, "udp4.vxlan", DropReason::AclVrf);
        assert_eq!(
            (hits(lab, "out")[0] - before[0], hits(lab, "red"), hits(lab, "in")),
            (2, vec![1, 1, 0], vec![1, 0])
        );
    });
}

#[test]
fn a_rule_keeps_its_count_while_it_is_said_as_it_is() {
    scenario("hits-edits", guarded, |lab| {
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.pass(RA, "web.out.S", UP, "web.out.S.wire");
        lab.dropped(RA, "ping4.out", DropReason::AclFromVif);
        assert_eq!(hits(lab, "out"), [1, 1, 1, 0]);
        // rules before it and behind it; a live flow that goes on is no new one
        out(lab, &["{action: deny, protocol: gre}", WEB, DNS, "{action: deny, protocol: sctp}", PING]);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        assert_eq!(hits(lab, "out"), [0, 1, 1, 0, 1, 0]);
        // in another order
        out(lab, &["{action: deny, protocol: sctp}", DNS, WEB, PING]);
        lab.dropped(RA, "ping4.out", DropReason::AclFromVif);
        assert_eq!(hits(lab, "out"), [0, 1, 1, 2, 0]);
        // said as it is, and with an address group that changes
        lab.pass(RA, "udp6.vxlan", UP, "udp6.vxlan.wire");
        out(lab, &[WEB, DNS, PING]);
        assert_eq!(hits(lab, "out"), [1, 2, 2, 0]);
        lab.apply("groups: [{name: far, prefixes: [192.0.2.0/24]}]");
        out(lab, &[WEB, DNS, "{action: deny, destination: {group: far}}", PING]);
        lab.apply("groups: [{name: far, prefixes: [192.0.2.0/24, 198.51.100.0/24]}]");
        assert_eq!(hits(lab, "out"), [1, 2, 0, 2, 0]);
        // what it says is another rule
        out(lab, &[WEB, "{name: dns, action: permit, protocol: udp}", PING]);
        assert_eq!(hits(lab, "out"), [1, 0, 2, 0]);
        // a live flow that is denied now is judged packet by packet
        out(lab, &["{action: deny}"]);
        lab.dropped(RA, "udp4.vxlan", DropReason::AclFromVif);
        lab.dropped(RA, "udp4.vxlan", DropReason::AclFromVif);
        assert_eq!(hits(lab, "out"), [2, 0]);
    });
}

#[test]
fn more_acls_than_are_kept_of_a_decision_count_too() {
    scenario("hits-deep", guarded, |lab| {
        lab.apply("acls: [{name: out, rules: [{action: permit}]}]");
        let vrfs = |at: usize| format!("{{name: v{at}, acl: a{at}}}");
        for at in 0..4 {
            lab.apply(&format!("acls: [{{name: a{at}, rules: [{{action: permit}}]}}]"));
            lab.apply(&format!("vrfs: [{}]", vrfs(at)));
        }
        lab.apply("routes: [{vrf: red, prefix: 10.1.1.20/32, via: {vrf: v0}}]");
        for at in 0..3 {
            lab.apply(&format!("routes: [{{vrf: v{at}, prefix: 10.1.1.20/32, via: {{vrf: v{}}}}}]", at + 1));
        }
        lab.apply("routes: [{vrf: v3, prefix: 10.1.1.20/32, via: {vxlan: {remote: 10.0.0.2, vni: 100, mac: \"02:0a:00:00:02:01\"}}}]");
        let before = hits(lab, "out");
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        assert_eq!(hits(lab, "out")[0] - before[0], 1);
        for at in 0..4 {
            assert_eq!(hits(lab, &format!("a{at}")), [1, 0], "v{at}");
        }
    });
}

/// Of a VRF's routes, by prefix.
fn route_hits(lab: &mut Lab, vrf: &str) -> Vec<(String, u64)> {
    let filter = v1::HitsRequest { routes: true, vrf: vrf.into(), ..v1::HitsRequest::default() };
    let rows: Vec<_> = lab.rig().ask(|reply| Request::RouteHits { filter, reply }).expect("it is there").collect();
    assert!(rows.iter().all(|row| row.vrf == vrf));
    let prefix = |row: &v1::RouteHits| Prefix::try_from(row.prefix.as_ref().unwrap()).unwrap().to_string();
    rows.iter().map(|row| (prefix(row), row.hits)).collect()
}

fn routes<const N: usize>(rows: [(&str, u64); N]) -> Vec<(String, u64)> {
    rows.into_iter().map(|(prefix, hits)| (prefix.to_owned(), hits)).collect()
}

#[test]
fn routes_count_what_was_decided_by_them() {
    scenario("hits-routes", Lab::a, |lab| {
        assert_eq!(route_hits(lab, "red"), []);
        for _ in 0..3 {
            lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
            lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        }
        lab.pass(RA, "udp6.vxlan", UP, "udp6.vxlan.wire");
        // of which several packets come at once
        (0..5).for_each(|_| lab.put(RA, "udp4.mpls"));
        lab.run();
        assert_eq!(lab.take(UP).len(), 5);
        let three = [("10.1.1.20/32", 1), ("10.1.1.21/32", 1), ("fd01::20/128", 1)];
        assert_eq!(route_hits(lab, "red"), routes(three));
        assert_eq!(route_hits(lab, "blue"), []);
        // each packet that is denied
        lab.apply("acls: [{name: nothing, rules: []}]\nvrfs: [{name: blue, acl: nothing}]");
        (0..4).for_each(|_| lab.dropped(UP, "udp4.blue.back", DropReason::AclVrf));
        assert_eq!(route_hits(lab, "blue"), routes([("10.1.1.10/32", 4)]));
        // one that is no more is not told of, by the one behind it is decided
        let all: Vec<_> = {
            let filter = v1::HitsRequest { routes: true, ..v1::HitsRequest::default() };
            lab.rig().ask(|reply| Request::RouteHits { filter, reply }).expect("all").collect()
        };
        assert_eq!(all.iter().map(|row| row.hits).collect::<Vec<_>>(), [4, 1, 1, 1]);
        let refused =
            |lab: &mut Lab, filter| lab.rig().ask(|reply| Request::RouteHits { filter, reply }).err().unwrap();
        let of = |acl: &str, vrf: &str| v1::HitsRequest { routes: true, acl: acl.into(), vrf: vrf.into() };
        assert_eq!(refused(lab, of("", "none")).reason, "there is no VRF none");
        assert_eq!(refused(lab, of("out", "")).field, "acl");
        let filter = v1::HitsRequest { vrf: "red".into(), ..v1::HitsRequest::default() };
        assert!(lab.rig().ask(|reply| Request::Hits { filter, reply }).is_err());
    });
}

#[test]
fn routes_of_a_chain_of_vrfs_count_each() {
    scenario("hits-routes-chain", Lab::a, |lab| {
        lab.apply("routes: [{vrf: red, prefix: 10.1.1.20/32, via: {vrf: blue}}]");
        lab.run();
        lab.put(RA, "udp4.vxlan");
        lab.run();
        lab.take(UP);
        assert_eq!(route_hits(lab, "red"), routes([("10.1.1.20/32", 1)]));
        assert_eq!(route_hits(lab, "blue"), routes([("10.1.1.20/32", 1)]));
        let prefix = Some(v1::Prefix { address: vec![10, 1, 1, 20], length: 32 });
        lab.rig().delete(Key::Route(v1::RouteKey { vrf: "red".into(), prefix, owner: String::new() }));
        assert_eq!(route_hits(lab, "red"), []);
    });
}

#[test]
fn routes_of_packet_mode_count_packets() {
    scenario("hits-packet-mode", Lab::a, |lab| {
        lab.apply("vrfs: [{name: red, flows: off}]");
        for burst in 1..4 {
            (0..32).for_each(|_| lab.put(RA, "udp4.vxlan"));
            lab.run();
            assert_eq!((lab.take(UP).len(), route_hits(lab, "red")), (32, routes([("10.1.1.20/32", burst * 32)])));
        }
        // half and half, with one in each burst counted for all: about so
        for _ in 0..64 {
            (0..16).for_each(|_| ["udp4.vxlan", "udp4.mpls"].iter().for_each(|name| lab.put(RA, name)));
            lab.run();
            lab.take(UP);
        }
        let counted: Vec<_> = route_hits(lab, "red").into_iter().map(|row| row.1).collect();
        assert_eq!(counted, [96 + 1024, 1024]);
    });
}
