//! Hostile tenants: one floods the slow path by every way that leads there, and nobody else notices; tunnels and routes that lead to
//! themselves end.

use vrouter::daemon::clock::tick_at;
use vrouter::datapath::punt::RING;
use vrouter::drops::DropReason;

use super::frames::{frame, is_like};
use super::lab::{At, Lab, scenario};
use super::network::{BA, RA, UP};

/// What one VIF can ask of the slow path, and a configuration for it.
const FLOODS: [(&str, &[&str], &str); 6] = [
    ("arp", &["arp.gateway"], ""),
    ("nd", &["nd.gateway"], ""),
    ("echo", &["echo4.gateway", "echo6.gateway"], ""),
    ("ttl", &["ttl4.1", "ttl6"], ""),
    ("no-route", &["no-route4"], ""),
    // their neighbour never answers
    (
        "resolve",
        &["ra.resolve.0", "ra.resolve.1", "ra.resolve.2", "ra.resolve.3"],
        r#"routes: [{vrf: red, prefix: 10.7.0.0/16, via: {vxlan: {remote: 10.0.0.77, vni: 100, mac: "02:0a:00:00:03:01"}}}]"#,
    ),
];
/// What the others ask, in turn, and what they get.
const OTHERS: [(At, &str, &str); 4] = [
    (UP, "underlay.ask-us", "underlay.ask-us.reply"),
    (BA, "ba.arp", "ba.arp.reply"),
    (BA, "ba.nd", "ba.nd.reply"),
    (BA, "ba.echo", "ba.echo.reply"),
];
/// Tenths of a second, and frames of the flood in each: 20,000 a second.
const TICKS: usize = 20;
const FLOOD: usize = 2000;

/// The flood comes while the control thread is busy; behind it each worker gets each question; then the control thread has turns as
/// it can. How many of the questions were answered.
fn tick(lab: &mut Lab, flood: &[&str], tick: usize) -> usize {
    for n in 0..FLOOD {
        lab.put(RA, flood[(tick + n) % flood.len()]);
    }
    let now = lab.now;
    lab.rig().poll_workers(now);
    for (at, asks, _) in OTHERS {
        (0..lab.rigs[0].workers.len()).for_each(|_| lab.put(at, asks));
    }
    for _ in 0..12 {
        lab.rig().workers.iter_mut().for_each(|worker| _ = worker.poll(tick_at(now)));
        lab.rig().control.step_at(now);
    }
    let mut answered = 0;
    for at in [UP, BA] {
        for came in lab.take(at) {
            answered += usize::from(OTHERS.iter().any(|(there, _, reply)| at == *there && is_like(&came, reply)));
        }
    }
    lab.take(RA);
    answered
}

fn flooded(flood: &(&str, &[&str], &str)) {
    scenario(&format!("tenants-{}", flood.0), Lab::a, |lab| {
        let workers = lab.rig().workers.len();
        // the most that one VIF can have: twenty times the default
        lab.apply("settings: {underlay_vrf: underlay, vtep: 10.0.0.1, icmp_per_second: 20000}");
        if !flood.2.is_empty() {
            lab.apply(flood.2);
        }
        let (mut asked, mut answered) = (0, 0);
        for at in 0..TICKS {
            answered += tick(lab, flood.1, at);
            asked += OTHERS.len() * workers;
            lab.now += 100;
            lab.exchanged.clear();
        }
        let now = lab.rig().stats();
        let punted = now.vifs.iter().find(|vif| vif.vif == "ra").map_or(0, |vif| vif.punted);
        let spent = lab.rig().dropped("ra", DropReason::PuntBudget);
        assert_eq!(answered, asked, "{}: {punted} of the flood's were taken, {spent} were not", flood.0);
        for (vif, reason) in
            [("ba", DropReason::PuntRingFull), ("ba", DropReason::PuntBudget), ("up0", DropReason::PuntRingFull)]
        {
            assert_eq!(lab.rig().dropped(vif, reason), 0, "{}: {vif} {reason:?}", flood.0);
        }
        // the flood was one: more than a ring came each tick
        assert!(FLOOD / workers > RING);
        lab.advance(5000);
        lab.discard();
    });
}

#[test]
fn a_flood_of_arp_and_nd_starves_nobody_else() {
    FLOODS[..2].iter().for_each(flooded);
}

#[test]
fn a_flood_of_echo_requests_starves_nobody_else() {
    flooded(&FLOODS[2]);
}

#[test]
fn a_flood_of_packets_that_deserve_errors_starves_nobody_else() {
    FLOODS[3..5].iter().for_each(flooded);
}

#[test]
fn a_flood_of_packets_that_wait_for_a_neighbour_starves_nobody_else() {
    flooded(&FLOODS[5]);
}

/// Everything at once.
#[test]
fn a_flood_of_all_kinds_starves_nobody_else() {
    let all: Vec<&str> = FLOODS.iter().flat_map(|flood| flood.1).copied().collect();
    flooded(&("all", &all, FLOODS[5].2));
}

/// A tunnel to ourselves, one whose remote's route needs the tunnel, and gateways that lead to each other: refused, or a named drop.
#[test]
fn a_tunnel_that_resolves_through_itself_ends() {
    scenario("loops", Lab::a, |lab| {
        let via = |remote: &str| {
            format!(
                r#"routes: [{{vrf: red, prefix: 10.1.1.66/32, via: {{vxlan: {{remote: {remote}, vni: 100, mac: "02:0a:00:00:02:01"}}}}}}]"#
            )
        };
        lab.apply(&via("10.0.0.1"));
        lab.dropped(RA, "loop.in", DropReason::NoUnderlayRoute);
        let refused = |lab: &mut Lab, yaml: &str| {
            let changes = super::lab::changes(yaml);
            lab.rig().try_apply(changes).expect_err(yaml)
        };
        // the underlay routes over no tunnel
        let tunnel = r#"{vxlan: {remote: 10.9.0.1, vni: 100, mac: "02:0a:00:00:02:01"}}"#;
        let reason = refused(lab, &format!("routes: [{{vrf: underlay, prefix: 10.9.0.0/16, via: {tunnel}}}]"));
        assert!(!reason.reason.is_empty() && !reason.field.is_empty(), "{reason:?}");
        // gateways that are behind themselves, or behind each other
        for gateways in [
            "routes: [{vrf: underlay, prefix: 10.9.0.0/16, via: {gateway: 10.9.0.1}}]",
            "routes: [{vrf: underlay, prefix: 10.9.0.0/16, via: {gateway: 10.8.0.1}}, {vrf: underlay, prefix: 10.8.0.0/16, via: {gateway: 10.9.0.1}}]",
        ] {
            let changes = super::lab::changes(gateways);
            // taken or not: what goes there is dropped by name
            _ = lab.rig().try_apply(changes);
            lab.apply(&via("10.9.0.1"));
            lab.dropped(RA, "loop.in", DropReason::NoUnderlayRoute);
        }
    });
}

/// Two routers that each send a prefix to the other: the packet ends by its TTL, and its sender is told once.
#[test]
fn a_loop_of_two_routers_ends_by_ttl() {
    scenario("loop-ttl", Lab::pair, |lab| {
        let mac = ["02:0a:00:00:02:01", "02:0a:00:00:01:01"];
        for (rig, mac) in mac.into_iter().enumerate() {
            let remote = ["10.0.0.2", "10.0.0.1"][rig];
            lab.rigs[rig].apply(&format!(
                r#"routes: [{{vrf: red, prefix: 10.1.1.66/32, via: {{vxlan: {{remote: {remote}, vni: 100, mac: "{mac}"}}}}}}]"#
            ));
        }
        lab.put(RA, "loop.in");
        lab.run();
        let expired: u64 = (0..2)
            .map(|rig| {
                let rows = lab.rigs[rig].stats().drops;
                rows.iter()
                    .filter(|row| row.reason == DropReason::TtlExpired.name())
                    .map(|row| row.packets)
                    .sum::<u64>()
            })
            .sum();
        assert_eq!(expired, 1);
        let told = lab.take(RA);
        assert_eq!(told.len(), 1, "{told:02x?}");
        assert_eq!((told[0][23], told[0][34]), (1, 11), "ICMP time exceeded");
        let inner = 14 + 20 + 8;
        assert_eq!(told[0][inner + 12..inner + 20], frame("loop.in")[26..34], "about the packet that was sent");
    });
}
