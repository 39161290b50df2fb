//! Routes with several ways: a product that makes this or that choice, and one that makes none that is allowed.

use crate::bed::{Bed, RA, RA2, UP, frame};
use crate::oracle::{Outcome, Sent};

const RA3: usize = 4;
const A: (&str, &str) = (r#"vxlan: {remote: 10.0.0.2, vni: 501, mac: "02:0a:00:00:02:01"}"#, "a");
const A2: (&str, &str) = (r#"vxlan: {remote: 10.0.0.2, vni: 511, mac: "02:0a:00:00:02:01"}"#, "a");
const B: (&str, &str) = (r#"vxlan: {remote: 10.0.0.2, vni: 502, mac: "02:0a:00:00:02:01"}"#, "b");
const C: (&str, &str) = ("mpls_udp: {remote: 10.0.0.2, label: 1503}", "c");
const D: (&str, &str) = (r#"vxlan: {remote: 198.51.100.9, vni: 504, mac: "02:0a:00:00:02:01"}"#, "d");
const FAR: &str = "routes: [{vrf: underlay, prefix: 198.51.100.0/24, via: {gateway: 10.0.0.2}}]";

/// 10.9.0.0/16 by these, the first three times as often.
fn by(bed: &mut Bed, paths: &[(&str, &str)]) {
    let path = |(at, (via, name)): (usize, &(&str, &str))| {
        format!("{{{via}, name: {name}, weight: {}}}", if at == 0 { 3 } else { 1 })
    };
    let paths: Vec<_> = paths.iter().enumerate().map(path).collect();
    bed.apply(&format!("routes: [{{vrf: red, prefix: 10.9.0.0/16, via: {{ecmp: [{}]}}}}]", paths.join(", ")));
}

/// A product that sends the frame `came` (with UDP source port 50000, where it is ours to choose) when `name` comes in.
fn when(bed: &mut Bed, from: usize, name: &str, (to, came): (usize, &str)) -> (Outcome, Sent) {
    let mut bytes = frame(came);
    if came.ends_with(".wire") {
        bytes[34..36].copy_from_slice(&50_000_u16.to_be_bytes());
    }
    let came = Sent { port: to, bytes };
    (bed.oracle.receive(from, &frame(name), bed.now, std::slice::from_ref(&came)), came)
}

#[track_caller]
pub fn agreed(bed: &mut Bed, from: usize, name: &str, to: (usize, &str)) {
    let (outcome, came) = when(bed, from, name, to);
    assert!(outcome.sent == [came], "{name} by {}: {:02x?} {:?}", to.1, outcome.sent, outcome.drops);
}

#[track_caller]
pub fn refused(bed: &mut Bed, from: usize, name: &str, to: (usize, &str)) {
    // nothing is kept of it
    let mut other = Bed { oracle: bed.oracle.clone(), now: bed.now };
    let (outcome, came) = when(&mut other, from, name, to);
    assert!(outcome.sent != [came], "{name} by {}", to.1);
}

#[track_caller]
fn goes(bed: &mut Bed, path: &str) {
    agreed(bed, RA, "ecmp.0", (UP, &format!("ecmp.0.{path}.wire")));
}

#[track_caller]
fn never(bed: &mut Bed, paths: &[&str]) {
    paths.iter().for_each(|path| refused(bed, RA, "ecmp.0", (UP, &format!("ecmp.0.{path}.wire"))));
}

/// Only answers come to ra.
fn closed() -> Bed {
    let mut bed = Bed::new();
    bed.apply("acls: [{name: nothing, rules: []}]");
    bed.ra("acl_to_vif: nothing");
    bed.apply(FAR);
    bed
}

#[test]
fn a_flow_may_have_any_way_and_then_has_it() {
    for path in ["a", "b", "c"] {
        let mut bed = closed();
        by(&mut bed, &[A, B, C]);
        never(&mut bed, &["a2", "d"]);
        goes(&mut bed, path);
        let others: Vec<_> = ["a", "b", "c"].into_iter().filter(|other| *other != path).collect();
        never(&mut bed, &others);
        goes(&mut bed, path);
        bed.pass(UP, "ecmp.0.back", RA, "ecmp.0.back.out");
        assert_eq!((&*bed.flow().reverse_place, bed.flow().packets, bed.flow().reverse_packets), ("tunnel red", 2, 1));
    }
}

#[test]
fn a_way_is_kept_by_its_name() {
    let mut bed = closed();
    by(&mut bed, &[A, B]);
    goes(&mut bed, "a");
    // others come and go, weights, the order
    by(&mut bed, &[C, B, A]);
    never(&mut bed, &["b", "c"]);
    goes(&mut bed, "a");
    // its own next hop
    by(&mut bed, &[B, A2]);
    never(&mut bed, &["a", "b"]);
    goes(&mut bed, "a2");
    // it goes: any other; it comes back: nobody moves
    by(&mut bed, &[B, C]);
    never(&mut bed, &["a", "a2"]);
    goes(&mut bed, "c");
    by(&mut bed, &[A, B, C]);
    never(&mut bed, &["a", "b"]);
    goes(&mut bed, "c");
    bed.pass(UP, "ecmp.0.back", RA, "ecmp.0.back.out");
    assert_eq!((bed.flow().packets, bed.flow().reverse_packets), (5, 1));
}

/// Group g of red by these.
fn group(bed: &mut Bed, paths: &[(&str, &str)]) {
    let paths: Vec<_> = paths.iter().map(|(via, name)| format!("{{{via}, name: {name}}}")).collect();
    bed.apply(&format!("next_hop_groups: [{{name: g, vrf: red, paths: [{}]}}]", paths.join(", ")));
}

#[test]
fn ways_of_a_group_change_for_the_routes_that_name_it() {
    let mut bed = closed();
    group(&mut bed, &[A, B]);
    bed.apply("routes: [{vrf: red, prefix: 10.9.0.0/16, via: {group: g}}]");
    never(&mut bed, &["a2", "c", "d"]);
    goes(&mut bed, "a");
    group(&mut bed, &[C, B, A]);
    never(&mut bed, &["b", "c"]);
    goes(&mut bed, "a");
    group(&mut bed, &[B, A2]);
    never(&mut bed, &["a", "b"]);
    goes(&mut bed, "a2");
    group(&mut bed, &[B, C]);
    never(&mut bed, &["a", "a2"]);
    goes(&mut bed, "c");
    // the routes' own again
    by(&mut bed, &[A, B, C]);
    never(&mut bed, &["a", "b"]);
    goes(&mut bed, "c");
    bed.oracle.delete("next_hop_group", "g").unwrap();
    goes(&mut bed, "c");
}

#[test]
fn a_way_that_is_down_is_left_and_not_taken() {
    let mut bed = closed();
    by(&mut bed, &[D, A]);
    goes(&mut bed, "d");
    bed.oracle.delete("route", "underlay 198.51.100.0/24 operator").unwrap();
    never(&mut bed, &["d"]);
    goes(&mut bed, "a");
    bed.apply(FAR);
    never(&mut bed, &["d"]);
    goes(&mut bed, "a");
    // all are down: they stay, and are dropped
    by(&mut bed, &[D]);
    goes(&mut bed, "d");
    bed.oracle.delete("route", "underlay 198.51.100.0/24 operator").unwrap();
    bed.dropped(RA, "ecmp.0", "no_underlay_route");
}

#[test]
fn vifs_share_an_address_and_answers_go_to_who_asked() {
    let mut bed = Bed::new();
    bed.apply(r#"vifs: [{name: ra3, port: p4, vrf: red, mac: "02:00:00:00:0a:04", addresses: [10.1.1.12], gateway_v4: 10.1.1.1, allowed_sources: [10.9.0.9/32]}]"#);
    bed.ra2("allowed_sources: [10.9.0.9/32]");
    bed.apply("routes: [{vrf: red, prefix: 10.9.0.9/32, via: {ecmp: [{vif: ra2}, {vif: ra3}]}}]");
    agreed(&mut bed, UP, "any.0", (RA3, "any.0.ra3.out"));
    refused(&mut bed, UP, "any.0", (RA2, "any.0.ra2.out"));
    agreed(&mut bed, RA3, "any.0.ra3.back", (UP, "any.0.back.wire"));
    assert_eq!((&*bed.flow().reverse_place, bed.flow().reverse_packets), ("vif ra3", 1));
    agreed(&mut bed, UP, "any.1", (RA2, "any.1.ra2.out"));
    for (at, who, other) in [(RA2, "ra2", RA3), (RA3, "ra3", RA2)] {
        agreed(&mut bed, at, &format!("any.ask.{who}"), (UP, "any.ask.wire"));
        let wrong = if who == "ra2" { "any.answer.ra3.out" } else { "any.answer.ra2.out" };
        refused(&mut bed, UP, "any.answer", (other, wrong));
        agreed(&mut bed, UP, "any.answer", (at, &format!("any.answer.{who}.out")));
        // the next one asks with the same ports
        bed.advance(200_000);
    }
}

#[test]
fn packets_without_a_flow_of_one_tuple_go_one_way() {
    let mut bed = Bed::new();
    bed.apply("vrfs: [{name: red, flows: off}]");
    bed.apply(FAR);
    by(&mut bed, &[A, B, D]);
    goes(&mut bed, "d");
    never(&mut bed, &["a", "b"]);
    agreed(&mut bed, RA, "ecmp.1", (UP, "ecmp.1.b.wire"));
    bed.oracle.delete("route", "underlay 198.51.100.0/24 operator").unwrap();
    never(&mut bed, &["d"]);
    goes(&mut bed, "b");
    assert!(bed.oracle.flows().is_empty());
}
