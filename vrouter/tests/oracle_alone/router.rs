//! Router advertisements of a tenant's link.

use crate::bed::{Bed, RA, RA2};
use crate::oracle::Sent;

const PLAIN: &str = r#"router_advertisement: {prefixes: [{prefix: "fd01::/64"}]}"#;

fn advertising() -> Bed {
    let mut bed = Bed::new();
    bed.ra(PLAIN);
    bed
}

/// When frames left by ra's port, each like this one, while the clock moves.
#[track_caller]
fn times(bed: &mut Bed, millis: u64, name: &str) -> Vec<u64> {
    let (mut times, end) = (Vec::new(), bed.now + millis);
    while bed.now < end {
        let outcome = bed.advance(100);
        outcome.sent.iter().for_each(|_| times.push(bed.now));
        let frames: Vec<_> = outcome.sent.iter().map(|_| (RA, name)).collect();
        bed.expect(&outcome, &frames, name);
    }
    times
}

#[test]
fn unasked_ones_come_as_late_as_they_may() {
    let mut bed = advertising();
    let begin = bed.now;
    let sent: Vec<u64> = times(&mut bed, 1_300_000, "ra.plain").iter().map(|at| at - begin).collect();
    assert_eq!(sent, [16_100, 32_100, 48_100, 648_100, 1_248_100]);
}

#[test]
fn what_came_is_taken_within_its_bounds() {
    let mut bed = advertising();
    let came = [Sent { port: RA, bytes: crate::bed::frame("ra.plain") }];
    let mut sent = Vec::new();
    for at in 1..=70 {
        bed.now += 100;
        let outcome = bed.oracle.advance(bed.now, &came);
        outcome.sent.iter().for_each(|_| sent.push(at));
    }
    // as often as it may, though it came each time
    assert_eq!(sent, [1, 31, 61]);
}

#[test]
fn a_solicitation_is_answered_within_half_a_second() {
    for name in ["solicit", "solicit-with-mac", "solicit-without-address", "solicit-global"] {
        let mut bed = advertising();
        times(&mut bed, 60_000, "ra.plain");
        let outcome = bed.put(RA, &format!("ra.{name}"));
        bed.expect(&outcome, &[], name);
        assert!(outcome.drops.is_empty(), "{name}");
        assert_eq!(times(&mut bed, 500, "ra.plain").len(), 1, "{name}");
    }
    let mut bed = advertising();
    times(&mut bed, 60_000, "ra.plain");
    for name in [
        "hop-limit",
        "code",
        "checksum",
        "mac-without-address",
        "mac-of-another",
        "option-length",
        "from-gateway",
        "from-another",
    ] {
        bed.dropped(RA, &format!("ra.bad.{name}"), "nd_invalid");
    }
    assert!(times(&mut bed, 3000, "ra.plain").is_empty());
    let mut other = crate::bed::frame("ra.solicit");
    other[6..12].copy_from_slice(&[2, 0, 0, 0, 0x0a, 3]);
    let outcome = bed.oracle.receive(RA2, &other, bed.now, &[]);
    assert_eq!(outcome.drops[0].reason, "neighbour_not_ours");
}

#[test]
fn everything_that_is_set_is_said() {
    let mut bed = Bed::new();
    bed.ra(
        r#"mtu: 1400, router_advertisement: {managed: true, other: true, lifetime: 9000, prefixes: [{prefix: "fd01::/64", on_link: false},
        {prefix: "fd02::/56", autonomous: false, valid_lifetime: 4294967295, preferred_lifetime: 7200},
        {prefix: "fd03::/64", valid_lifetime: 600, preferred_lifetime: 0}]}"#,
    );
    assert_eq!(times(&mut bed, 17_000, "ra.everything").len(), 1);
}

#[test]
fn a_change_is_told_and_an_end_three_times() {
    let mut bed = advertising();
    times(&mut bed, 60_000, "ra.plain");
    bed.ra(&format!(r#"gateway_link_local: "fe80::9", {PLAIN}"#));
    let outcome = bed.advance(100);
    bed.expect(&outcome, &[(RA, "ra.plain.last")], "moved");
    assert_eq!(times(&mut bed, 20_000, "ra.moved").len(), 1);
    let mut bed = advertising();
    times(&mut bed, 60_000, "ra.plain");
    bed.ra("");
    let begin = bed.now;
    let sent: Vec<u64> = times(&mut bed, 20_000, "ra.plain.last").iter().map(|at| at - begin).collect();
    assert_eq!(sent, [100, 3100, 6100]);
    bed.dropped(RA, "ra.solicit", "neighbour_not_ours");
    // nothing was said, nothing is taken back
    bed.ra(PLAIN);
    bed.advance(100);
    bed.ra("");
    assert!(times(&mut bed, 20_000, "ra.plain.last").is_empty());
}
