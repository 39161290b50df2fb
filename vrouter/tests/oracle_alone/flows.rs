//! Flows: policies, changes, states and lifetimes.

use crate::bed::{BA, Bed, RA, RA2, UP};

const BY_LABEL: &str = "{mpls_udp: {remote: 10.0.0.2, label: 1001}}";
const BY_VXLAN: &str = "{vxlan: {remote: 10.0.0.2, vni: 100, mac: \"02:0a:00:00:02:01\"}}";

fn to_rb(bed: &mut Bed, via: &str) {
    bed.apply(&format!("routes: [{{vrf: red, prefix: 10.1.1.20/32, via: {via}}}]"));
}

/// ra receives answers only, so that what has no flow is dropped.
fn closed_ra() -> Bed {
    let mut bed = Bed::new();
    bed.apply("acls: [{name: nothing, rules: []}]");
    bed.ra("acl_to_vif: nothing");
    bed.ra2("spoofing_allowed: true");
    bed
}

#[test]
fn answers_belong_to_their_flow_and_strangers_do_not() {
    let mut bed = closed_ra();
    bed.dropped(UP, "udp4.vxlan.back", "acl_to_vif");
    bed.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    bed.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
    bed.pass(UP, "udp4.vxlan.back.by-label", RA, "udp4.vxlan.back.by-label.out");
    bed.dropped(RA2, "udp4.vxlan.back.from-ra2", "acl_to_vif");
    bed.pass(UP, "udp4.vxlan.back.other-vni", BA, "udp4.vxlan.back.other-vni.out");
    // a forged question goes its way and takes nothing
    bed.pass(RA2, "udp4.vxlan", UP, "udp4.vxlan.wire");
    bed.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
    let flows = bed.oracle.flows();
    let ra = flows.iter().find(|flow| flow.place == "vif ra").unwrap();
    assert_eq!((flows.len(), ra.packets, ra.reverse_packets, ra.state), (2, 1, 3, "answered"));
    assert_eq!((ra.bytes, ra.verdict, ra.reverse_verdict), (92, Some("forward"), Some("forward")));
}

#[test]
fn icmp_errors_belong_to_the_flow_they_quote() {
    let mut bed = closed_ra();
    bed.dropped(UP, "error4.in", "icmp_error_no_flow");
    bed.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    bed.pass(RA, "udp6.vxlan", UP, "udp6.vxlan.wire");
    bed.pass(UP, "error4.in", RA, "error4.in.out");
    bed.pass(UP, "error6.in", RA, "error6.in.out");
    bed.dropped(UP, "error4.stranger", "icmp_error_no_flow");
    bed.dropped(UP, "error4.not-mine", "icmp_error_no_flow");
    assert!(bed.oracle.flows().iter().all(|flow| flow.reverse_packets == 0 && flow.state == "unanswered"));
}

#[test]
fn acls_judge_in_order_and_again_after_each_edit() {
    let mut bed = closed_ra();
    bed.apply("acls: [{name: out, rules: [{action: permit, protocol: udp, destination_ports: [53, 7000-7099]}]}]");
    bed.ra("acl_from_vif: out, acl_to_vif: nothing");
    bed.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    bed.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
    bed.dropped(RA, "tcp.out.S", "acl_from_vif");
    bed.pass(RA, "fragment4.first", UP, "fragment4.first.wire");
    bed.pass(RA, "fragment4.later", UP, "fragment4.later.wire");
    bed.apply("acls: [{name: out, rules: [{action: deny, protocol: udp}, {action: permit}]}]");
    bed.dropped(UP, "udp4.vxlan.back", "acl_from_vif");
    bed.dropped(RA, "udp4.vxlan", "acl_from_vif");
    bed.pass(RA, "tcp.out.S", UP, "tcp.out.S.wire");
    bed.apply("groups: [{name: peers, prefixes: [10.1.1.20/32]}]");
    bed.apply("acls: [{name: out, rules: [{action: permit, destination: {group: peers}, protocol: 17}]}]");
    bed.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
    bed.dropped(RA, "udp4.mpls", "acl_from_vif");
    bed.dropped(UP, "tcp.in.SA", "acl_from_vif");
    bed.apply("vrfs: [{name: red, acl: nothing}]");
    bed.dropped(RA, "udp4.vxlan", "acl_vrf");
    bed.dropped(RA, "echo4.gateway", "acl_from_vif");
    bed.dropped(RA2, "local4.back", "acl_vrf");
}

#[test]
fn flows_follow_their_routes() {
    let mut bed = closed_ra();
    bed.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    to_rb(&mut bed, BY_LABEL);
    bed.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
    bed.pass(RA, "udp4.vxlan", UP, "udp4.by-label.wire");
    bed.oracle.delete("route", "red 10.1.1.20/32 operator").unwrap();
    bed.told(RA, "udp4.vxlan", "no_route", &["udp4.vxlan.no-route"]);
    to_rb(&mut bed, "{drop: true}");
    bed.dropped(RA, "udp4.vxlan", "route_drop");
    to_rb(&mut bed, BY_VXLAN);
    bed.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    bed.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
    assert_eq!(bed.flow().packets, 5);
    // to another place: answers from there alone
    to_rb(&mut bed, "{vif: ra2}");
    bed.dropped(UP, "udp4.vxlan.back", "acl_to_vif");
    bed.pass(RA2, "udp4.vxlan.back.from-ra2", RA, "udp4.vxlan.back.from-ra2.out");
    bed.pass(RA, "udp4.vxlan", RA2, "udp4.to-ra2.out");
    assert_eq!((&*bed.flow().reverse_place, bed.flow().packets), ("vif ra2", 6));
}

#[test]
fn the_best_offer_of_the_longest_prefix_wins() {
    let mut bed = Bed::new();
    let label = |prefix: &str, owner: &str, preference: u32| {
        format!("routes: [{{vrf: red, prefix: {prefix}, owner: {owner}, preference: {preference}, via: {BY_LABEL}}}]")
    };
    bed.apply(&label("10.1.1.0/24", "bgp", 900));
    bed.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    bed.apply(&label("10.1.1.20/32", "zebra", 100));
    bed.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    bed.apply(&label("10.1.1.20/32", "bgp", 100));
    bed.pass(RA, "udp4.vxlan", UP, "udp4.by-label.wire");
    bed.oracle.delete("route", "red 10.1.1.20/32 bgp").unwrap();
    bed.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    bed.apply(&label("10.1.1.20/32", "zebra", 101));
    bed.pass(RA, "udp4.vxlan", UP, "udp4.by-label.wire");
    // what VIFs bring wins over all
    bed.apply(&label("10.1.1.11/32", "bgp", 999));
    bed.pass(RA, "local4", RA2, "local4.out");
}

#[test]
fn tcp_states_and_strictness() {
    let mut bed = Bed::new();
    for (port, name, to, ending, state) in [
        (RA, "tcp.out.S", UP, "wire", "opening"),
        (UP, "tcp.in.SA", RA, "out", "opening"),
        (RA, "tcp.out.A", UP, "wire", "established"),
        (UP, "tcp.in.FA", RA, "out", "established"),
        (RA, "tcp.out.FA", UP, "wire", "closing"),
        (UP, "tcp.in.A", RA, "out", "closing"),
        (RA, "tcp.out.S", UP, "wire", "opening"),
        (UP, "tcp.in.R", RA, "out", "closing"),
    ] {
        bed.pass(port, name, to, &format!("{name}.{ending}"));
        assert_eq!(bed.flow().state, state, "after {name}");
    }
    assert_eq!((bed.flow().packets, bed.flow().reverse_packets), (1, 1));
    let mut bed = Bed::new();
    bed.apply("settings: {underlay_vrf: underlay, vtep: 10.0.0.1, tcp_strict: true}");
    bed.dropped(RA, "tcp.out.A", "tcp_not_syn");
    bed.dropped(UP, "tcp.in.SA", "tcp_not_syn");
    bed.pass(RA, "tcp.out.S", UP, "tcp.out.S.wire");
    bed.pass(UP, "tcp.in.SA", RA, "tcp.in.SA.out");
}

/// Idle this long in this state, a pair is there until its lifetime's end, in limbo for the time of a sweep, then gone.
#[track_caller]
fn lives(names: &[(usize, &str)], state: &str, seconds: u64) {
    let mut bed = Bed::new();
    for (port, name) in names {
        bed.put(*port, name);
    }
    assert_eq!(bed.flow().state, state);
    bed.advance(seconds * 1000);
    assert!(!bed.flow().may_be_gone, "{names:?}");
    assert_eq!(bed.oracle.settled_at(), bed.now);
    bed.advance(100);
    assert!(bed.flow().may_be_gone, "{names:?}");
    let settled = bed.oracle.settled_at();
    assert!(settled >= bed.now + 10_000, "{names:?}");
    bed.advance(settled - bed.now);
    assert_eq!(bed.oracle.flows(), [], "{names:?}");
}

#[test]
fn each_state_has_its_lifetime() {
    lives(&[(RA, "tcp.out.S")], "opening", 30);
    lives(&[(RA, "tcp.out.S"), (UP, "tcp.in.SA"), (RA, "tcp.out.A")], "established", 7200);
    lives(&[(RA, "tcp.out.S"), (UP, "tcp.in.R")], "closing", 15);
    lives(&[(RA, "udp4.vxlan")], "unanswered", 30);
    lives(&[(RA, "udp4.vxlan"), (UP, "udp4.vxlan.back")], "answered", 180);
    lives(&[(RA, "ping6.out"), (UP, "ping6.in")], "answered", 30);
    lives(&[(RA, "gre.out")], "unanswered", 30);
}

#[test]
fn a_flow_by_a_label_outlives_changes_and_a_vif_that_returns_is_another() {
    let mut bed = Bed::new();
    bed.ra2("spoofing_allowed: true");
    bed.pass(UP, "label.vif", RA2, "label.vif.out");
    bed.apply("routes: [{vrf: red, prefix: 10.200.1.0/24, drop: true}]");
    bed.pass(RA2, "label.vif.back", UP, "label.vif.back.wire");
    bed.pass(UP, "label.vif", RA2, "label.vif.out");
    assert_eq!((bed.flow().packets, bed.flow().reverse_packets), (2, 1));
    let mut bed = Bed::new();
    bed.oracle.delete("label", "3000").unwrap();
    bed.pass(RA, "local4", RA2, "local4.out");
    bed.oracle.delete("vif", "ra2").unwrap();
    bed.told(RA, "local4", "no_route", &["local4.no-route"]);
    bed.ra2("");
    bed.pass(RA, "local4", RA2, "local4.out");
    bed.pass(RA2, "local4.back", RA, "local4.back.out");
}
