//! The underlay's neighbours.

use crate::bed::{Bed, RA, UP, frame};
use crate::oracle::{Drop, Sent};

const TO_C: &str = r#"routes: [{vrf: red, prefix: 10.1.1.30/32, via: {vxlan: {remote: 10.0.0.3, vni: 100, mac: "02:0a:00:00:03:01"}}}]"#;
const TO_FAR: &str = r#"
routes:
  - {vrf: underlay, prefix: 192.0.2.0/24, via: {gateway: 10.0.0.254}}
  - {vrf: red, prefix: 10.9.0.0/16, via: {vxlan: {remote: 192.0.2.9, vni: 100, mac: "02:0a:00:00:09:01"}}}
"#;

fn with_c() -> Bed {
    let mut bed = Bed::new();
    bed.apply(TO_C);
    bed
}

fn knows_c() -> Bed {
    let mut bed = with_c();
    let asked = bed.advance(100);
    bed.expect(&asked, &[(UP, "underlay.ask-c")], "the tunnel's far end");
    let quiet = bed.put(UP, "underlay.c-says");
    bed.expect(&quiet, &[], "an answer");
    bed
}

#[test]
fn packets_wait_and_leave_in_their_order() {
    let mut bed = with_c();
    let first = bed.put(RA, "to-c.0");
    bed.expect(&first, &[(UP, "underlay.ask-c")], "the first");
    for n in 1..20 {
        let outcome = bed.put(RA, &format!("to-c.{n}"));
        bed.expect(&outcome, &[], "another");
        let full = vec![Drop { vif: "ra".into(), reason: "neighbour_hold_full" }];
        assert_eq!(outcome.drops, if n < 16 { vec![] } else { full });
    }
    let released = bed.put(UP, "underlay.c-says").sent;
    assert_eq!(released.len(), 16);
    for (n, sent) in released.iter().enumerate() {
        assert_eq!(sent.bytes[42..], frame(&format!("to-c.{}.wire", n + 4))[42..]);
    }
    bed.pass(RA, "to-c.6", UP, "to-c.6.wire");
}

#[test]
fn who_does_not_answer_is_given_up_and_asked_again() {
    let mut bed = with_c();
    bed.put(RA, "to-c.0");
    let waited = bed.advance(3000);
    bed.expect(&waited, &[(UP, "underlay.ask-c"); 2], "three requests in all");
    assert_eq!(waited.drops, [Drop { vif: "ra".into(), reason: "neighbour_unresolved" }]);
    let again = bed.put(RA, "to-c.2");
    bed.expect(&again, &[(UP, "underlay.ask-c")], "starts over");
    let released = bed.put(UP, "underlay.c-says");
    bed.expect(&released, &[(UP, "to-c.2.wire")], "released");
}

#[test]
fn a_neighbour_is_probed_when_the_product_likes_but_before_it_expires() {
    let probe = Sent { port: UP, bytes: frame("underlay.probe-c") };
    let probed_after = |early: Option<u64>| {
        let mut bed = knows_c();
        let heard = bed.now;
        loop {
            bed.now += 100;
            let came = if early.is_some_and(|early| bed.now - heard >= early) { vec![probe.clone()] } else { vec![] };
            let outcome = bed.oracle.advance(bed.now, &came);
            if !outcome.sent.is_empty() {
                assert_eq!(outcome.sent, std::slice::from_ref(&probe));
                return bed.now - heard;
            }
        }
    };
    assert_eq!(probed_after(None), 27_000);
    assert_eq!(probed_after(Some(25_000)), 25_000);
    assert_eq!(probed_after(Some(1_000)), 23_000);
}

#[test]
fn a_silent_neighbour_is_forgotten_and_a_moved_one_followed() {
    let mut bed = knows_c();
    bed.pass(RA, "to-c.0", UP, "to-c.0.wire");
    bed.put(UP, "underlay.c-moves");
    bed.pass(RA, "to-c.0", UP, "to-c.moved.wire");
    let mut bed = knows_c();
    let silent = bed.advance(30_000);
    let expected = [[(UP, "underlay.probe-c"); 3].as_slice(), &[(UP, "underlay.ask-c")]].concat();
    bed.expect(&silent, &expected, "probes, then a request to all");
    let held = bed.put(RA, "to-c.0");
    bed.expect(&held, &[], "waits again");
    let released = bed.put(UP, "underlay.c-says");
    bed.expect(&released, &[(UP, "to-c.0.wire")], "released");
}

#[test]
fn tunnels_go_by_gateways() {
    let mut bed = Bed::new();
    bed.apply(TO_FAR);
    let asked = bed.advance(100);
    bed.expect(&asked, &[(UP, "underlay.ask-gateway")], "asked");
    bed.put(UP, "underlay.gateway-says");
    bed.pass(RA, "to-far", UP, "to-far.wire");
    bed.apply("routes: [{vrf: underlay, prefix: 192.0.2.9/32, via: {gateway: 10.0.0.2}}]");
    bed.pass(RA, "to-far", UP, "to-far.by-b.wire");
    bed.oracle.delete("route", "underlay 192.0.2.9/32").unwrap();
    bed.pass(RA, "to-far", UP, "to-far.wire");
    assert_eq!(bed.flow().packets, 3);
}

#[test]
fn an_answer_of_ours_waits_too() {
    let mut bed = Bed::new();
    let asked = bed.put(UP, "echo4.vtep-from-c");
    bed.expect(&asked, &[(UP, "underlay.ask-c")], "asked");
    let released = bed.put(UP, "underlay.c-says");
    bed.expect(&released, &[(UP, "echo4.vtep-from-c.reply")], "released");
    let mut bed = Bed::new();
    bed.put(UP, "echo4.vtep-from-c");
    let ended = bed.advance(4000);
    assert_eq!(ended.drops, [Drop { vif: String::new(), reason: "neighbour_unresolved" }]);
    bed.pass(UP, "underlay.ask-us", UP, "underlay.ask-us.reply");
    bed.oracle.delete("neighbour", "up0 10.0.0.2").unwrap();
    let asked = bed.advance(100);
    bed.expect(&asked, &[(UP, "underlay.ask-b")], "the static entry went");
}
