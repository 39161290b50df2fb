//! Router advertisements to tenants: when they come, what they say, and when they end.

use vrouter::drops::DropReason;

use super::frames::is_like;
use super::lab::{Lab, scenario};
use super::network::{RA, RA2, ra};

fn advertising(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply(&ra(r#"router_advertisement: {prefixes: [{prefix: "fd01::/64"}]}"#));
    lab
}

/// Advances in steps of 100 ms; when frames left by ra's port, each like `name`.
#[track_caller]
fn times(lab: &mut Lab, millis: u64, name: &str) -> Vec<u64> {
    let mut times = Vec::new();
    let start = lab.now;
    while lab.now < start + millis {
        lab.advance(100);
        for frame in lab.take(RA) {
            assert!(is_like(&frame, name), "after {} ms: {frame:02x?}", lab.now - start);
            times.push(lab.now);
        }
    }
    times
}

#[track_caller]
fn gaps_within(times: &[u64], low: u64, high: u64) {
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| (low..=high).contains(gap)), "{gaps:?}");
}

#[test]
fn the_first_ones_come_soon_and_close_together() {
    scenario("ra-initial", advertising, |lab| {
        let sent = times(lab, 60_000, "ra.plain");
        assert!(sent[0] <= 1_000_000 + 1200, "the first within a second: {sent:?}");
        assert_eq!(sent.len(), 4, "three, then the usual ones: {sent:?}");
        gaps_within(&sent, 3000, 16_200);
        lab.expect(&[]);
    });
}

#[test]
fn unasked_ones_come_at_random_times_within_the_interval() {
    scenario("ra-interval", Lab::a, |lab| {
        lab.apply(&ra(r#"router_advertisement: {prefixes: [{prefix: "fd01::/64"}], max_interval: 30}"#));
        times(lab, 60_000, "ra.plain");
        let sent = times(lab, 600_000, "ra.plain");
        assert!((20..=60).contains(&sent.len()), "{sent:?}");
        gaps_within(&sent, 10_000, 30_100);
        let mut gaps: Vec<u64> = sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort();
        gaps.dedup();
        assert!(gaps.len() > 10, "not random: {gaps:?}");
    });
}

#[test]
fn a_solicitation_is_answered_within_half_a_second() {
    scenario("ra-solicited", advertising, |lab| {
        times(lab, 60_000, "ra.plain");
        for name in ["solicit", "solicit-with-mac", "solicit-without-address", "solicit-global"] {
            lab.put(RA, &format!("ra.{name}"));
            lab.run();
            lab.expect(&[]);
            assert_eq!(times(lab, 600, "ra.plain").len(), 1, "{name}");
            times(lab, 3000, "ra.plain");
        }
    });
}

#[test]
fn a_flood_of_solicitations_is_answered_every_three_seconds_at_most() {
    scenario("ra-flood", advertising, |lab| {
        times(lab, 60_000, "ra.plain");
        let mut sent = Vec::new();
        for _ in 0..100 {
            (0..5).for_each(|_| lab.put(RA, "ra.solicit"));
            sent.extend(times(lab, 200, "ra.plain"));
        }
        assert!((5..=7).contains(&sent.len()), "{sent:?}");
        gaps_within(&sent, 3000, 3700);
    });
}

#[test]
fn solicitations_are_checked() {
    scenario("ra-bad", advertising, |lab| {
        times(lab, 60_000, "ra.plain");
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
            lab.dropped(RA, &format!("ra.bad.{name}"), DropReason::NdInvalid);
        }
        assert!(times(lab, 1000, "ra.plain").is_empty());
    });
}

#[test]
fn only_a_vif_that_asks_for_it_advertises() {
    scenario("ra-none", advertising, |lab| {
        let mut other = super::frames::frame("ra.solicit").to_vec();
        other[6..12].copy_from_slice(&[2, 0, 0, 0, 0x0a, 3]);
        lab.dropped_bytes(RA2, &other, DropReason::NeighbourNotOurs, "ra2 advertises nothing");
        assert!(!times(lab, 10_000, "ra.plain").is_empty());
        assert!(lab.take(RA2).is_empty());
    });
}

#[test]
fn everything_that_is_set_is_said() {
    scenario("ra-fields", Lab::a, |lab| {
        lab.apply(&ra(
            r#"mtu: 1400, router_advertisement: {managed: true, other: true, lifetime: 9000, prefixes: [{prefix: "fd01::/64", on_link: false},
            {prefix: "fd02::/56", autonomous: false, valid_lifetime: 4294967295, preferred_lifetime: 7200},
            {prefix: "fd03::/64", valid_lifetime: 600, preferred_lifetime: 0}]}"#,
        ));
        assert!(!times(lab, 1200, "ra.everything").is_empty());
        // as listed, it can be put again
        let filter = vrouter::api::v1::ListRequest { kind: vrouter::api::v1::Kind::Vif.into(), ..Default::default() };
        let request = |reply| vrouter::control::Request::List { filter, reply };
        let vifs: Vec<_> = lab.rig().ask(request).unwrap().objects.collect();
        let puts =
            vifs.into_iter().map(|vif| vrouter::api::v1::Change { op: Some(vrouter::api::v1::change::Op::Put(vif)) });
        lab.rig().try_apply(puts.collect()).unwrap();
        times(lab, 60_000, "ra.everything");
        assert!(times(lab, 5000, "ra.everything").is_empty(), "nothing changed");
    });
}

#[test]
fn a_change_is_told_soon() {
    scenario("ra-change", advertising, |lab| {
        times(lab, 60_000, "ra.plain");
        lab.apply(&ra(r#"mtu: 1400, router_advertisement: {prefixes: [{prefix: "fd01::/64"}]}"#));
        let sent = times(lab, 40_000, "ra.other-mtu");
        assert!(sent.len() >= 3 && sent[0] <= lab.now - 39_000, "{sent:?}");
        lab.apply(&ra("router_advertisement: {}"));
        assert!(!times(lab, 4000, "ra.no-prefix").is_empty());
    });
    scenario("ra-moves", advertising, |lab| {
        times(lab, 60_000, "ra.plain");
        lab.apply(&ra(r#"gateway_link_local: "fe80::9", router_advertisement: {prefixes: [{prefix: "fd01::/64"}]}"#));
        lab.advance(100);
        let old = lab.take(RA);
        assert!(is_like(&old[0], "ra.plain.last"), "the old router is no more: {old:02x?}");
        assert!(old[1..].iter().all(|frame| is_like(frame, "ra.moved")));
        assert!(old.len() + times(lab, 1000, "ra.moved").len() >= 2);
    });
}

#[test]
fn the_last_ones_say_that_it_ends() {
    scenario("ra-last", advertising, |lab| {
        times(lab, 60_000, "ra.plain");
        lab.apply(&ra(""));
        let sent = times(lab, 60_000, "ra.plain.last");
        assert_eq!(sent.len(), 3);
        gaps_within(&sent, 3000, 3100);
        lab.dropped(RA, "ra.solicit", DropReason::NeighbourNotOurs);
        // on again, and off before anything was said: nothing is to be taken back
        lab.apply(&ra(r#"router_advertisement: {prefixes: [{prefix: "fd01::/64"}]}"#));
        lab.apply(&ra(""));
        assert!(times(lab, 10_000, "ra.plain.last").is_empty());
    });
    scenario("ra-deleted", advertising, |lab| {
        times(lab, 60_000, "ra.plain");
        lab.rig().delete(vrouter::api::v1::object_key::Kind::Vif("ra".into()));
        assert!(times(lab, 10_000, "ra.plain").is_empty(), "a VIF that is gone says nothing");
    });
}
