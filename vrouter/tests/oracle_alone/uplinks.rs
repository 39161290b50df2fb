//! Tunnels with several ways through the underlay: which a flow may have, and which it may not.

use crate::bed::{Bed, RA, UP, frame};
use crate::ecmp::{agreed, refused};
use crate::oracle::{Oracle, Outcome, Sent, Worlds};

const UP1: usize = 5;
const FIRST: (usize, &str) = (UP, "far.vxlan.0.up0.wire");
const SECOND: (usize, &str) = (UP1, "far.vxlan.0.up1.wire");

fn bed() -> Bed {
    let mut bed = Bed::new();
    bed.apply(
        "vifs: [{name: up1, kind: fabric, port: p5, vrf: underlay, addresses: [10.0.1.1], subnets: [10.0.1.0/24]}]",
    );
    bed.apply(r#"neighbours: [{vif: up1, address: 10.0.1.2, mac: "52:00:00:01:0b:00"}]"#);
    bed.apply(
        "routes: [{vrf: underlay, prefix: 198.51.100.0/24, via: {ecmp: [{gateway: 10.0.0.2}, {gateway: 10.0.1.2}]}}]",
    );
    bed.apply(
        r#"routes: [{vrf: red, prefix: 10.9.0.0/16, via: {vxlan: {remote: 198.51.100.9, vni: 504, mac: "02:0a:00:00:02:01"}}}]"#,
    );
    bed
}

/// The flow goes this way, and no other.
#[track_caller]
fn goes(bed: &mut Bed, way: (usize, &str), not: (usize, &str)) {
    refused(bed, RA, "far.vxlan.0", not);
    agreed(bed, RA, "far.vxlan.0", way);
}

#[test]
fn a_flow_has_any_way_and_stays() {
    for (way, other) in [(FIRST, SECOND), (SECOND, FIRST)] {
        let mut bed = bed();
        agreed(&mut bed, RA, "far.vxlan.0", way);
        goes(&mut bed, way, other);
        // the other goes, and comes: nothing changes
        for up in [false, true] {
            bed.oracle.link(other.0, up);
            goes(&mut bed, way, other);
        }
    }
}

#[test]
fn a_link_that_goes_takes_its_flows_along_and_has_them_back() {
    for (way, other) in [(FIRST, SECOND), (SECOND, FIRST)] {
        let mut bed = bed();
        agreed(&mut bed, RA, "far.vxlan.0", way);
        bed.oracle.link(way.0, false);
        goes(&mut bed, other, way);
        bed.oracle.link(way.0, true);
        goes(&mut bed, way, other);
        // none has a link: no worse than before
        bed.oracle.link(way.0, false);
        bed.oracle.link(other.0, false);
        goes(&mut bed, way, other);
    }
}

#[test]
fn a_neighbour_that_goes_takes_its_flows_along() {
    let mut bed = bed();
    agreed(&mut bed, RA, "far.vxlan.0", SECOND);
    bed.oracle.delete("neighbour", "up1 10.0.1.2").unwrap();
    goes(&mut bed, FIRST, SECOND);
    bed.apply(r#"neighbours: [{vif: up1, address: 10.0.1.2, mac: "52:00:00:01:0b:00"}]"#);
    goes(&mut bed, SECOND, FIRST);
}

#[test]
fn a_flow_may_have_another_way_when_the_route_is_stated_anew() {
    let mut bed = bed();
    agreed(&mut bed, RA, "far.vxlan.0", SECOND);
    bed.apply("routes: [{vrf: underlay, prefix: 198.51.100.0/24, via: {ecmp: [{gateway: 10.0.0.2, weight: 9}, {gateway: 10.0.1.2}]}}]");
    agreed(&mut bed, RA, "far.vxlan.0", FIRST);
}

/// Neither gateway is known: which one the packet waits for shows only when one answers.
#[test]
fn what_does_not_show_is_kept_side_by_side_until_it_does() {
    let mut bed = bed();
    bed.oracle.delete("neighbour", "up0 10.0.0.2").unwrap();
    bed.oracle.delete("neighbour", "up1 10.0.1.2").unwrap();
    let any = |_: &Oracle, _: &[Outcome]| Ok::<(), ()>(());
    let mut worlds = Worlds::new(bed.oracle);
    let now = bed.now + 100;
    worlds.advance(now, &[]);
    worlds.keep(any).unwrap();
    worlds.receive(RA, &frame("far.vxlan.0"), now, &[]);
    worlds.keep(any).unwrap();
    assert_eq!(worlds.count(), 2, "it waits for the one or the other");
    let mut bytes = frame(SECOND.1);
    bytes[34..36].copy_from_slice(&50_000_u16.to_be_bytes());
    let came = [Sent { port: SECOND.0, bytes }];
    worlds.receive(UP1, &frame("far.says.up1"), now, &came);
    let outcomes = worlds.keep(|_, outcomes| if outcomes[0].sent == came { Ok(()) } else { Err(()) });
    assert!(outcomes.is_ok() && worlds.count() == 1);
}
