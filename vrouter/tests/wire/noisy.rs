//! No noisy neighbour: a worker whose ports are all full serves those whose packets cost little; who sends what is dear waits.

use vrouter::daemon::clock::tick_at;

use super::lab::{At, Lab, Setup, scenario};
use super::network::{self, RA, RA2, UP};

/// Frames that each port has.
const FULL: usize = 2048;
/// New flows among the victim's.
const NEW: usize = 32;

fn wide(workers: usize) -> Lab {
    let lab = Lab::one(workers, &Setup { room: FULL * 2, flows: 8192, ..Setup::default() });
    assert!(lab.rigs.len() == 1);
    lab
}

/// Both ports are full: what was taken of the attacker's when all of the victim's was. The victim's packets are of a flow that is there, and of new ones
/// among them; all of them leave.
fn taken(lab: &mut Lab, attacker: At, attack: &dyn Fn(usize) -> String) -> u64 {
    lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    let workers = lab.rig().workers.len();
    let turns = FULL / 64;
    for n in 0..FULL * workers {
        let new = n % (FULL * workers / NEW) == 0;
        let name = if new { format!("quiet.{}", n * NEW / (FULL * workers)) } else { "udp4.vxlan".into() };
        lab.put(RA, &name);
    }
    (0..FULL * workers).for_each(|n| lab.put(attacker, &attack(n)));
    let before = rx(lab, "ra2");
    let now = tick_at(lab.now);
    for _ in 0..turns {
        lab.rig().workers.iter_mut().for_each(|worker| _ = worker.poll(now));
    }
    assert_eq!(rx(lab, "ra"), 1 + (FULL * workers) as u64);
    let drops = lab.rig().stats().vifs.into_iter().find(|vif| vif.vif == "ra").unwrap().dropped;
    assert_eq!(drops, 0);
    let taken = rx(lab, "ra2") - before;
    lab.run();
    // nothing is left when there is time
    assert_eq!(rx(lab, "ra2") - before, (FULL * workers) as u64);
    lab.discard();
    taken / workers as u64
}

fn rx(lab: &mut Lab, vif: &str) -> u64 {
    lab.rig().stats().vifs.into_iter().find(|row| row.vif == vif).map_or(0, |row| row.rx_packets)
}

#[test]
fn who_sets_up_flows_beyond_the_rate_waits() {
    scenario("noisy-flows", wide, |lab| {
        lab.apply(&network::ra2("quota: {new_flows_per_second: 100}"));
        let taken = taken(lab, RA2, &|n| format!("flood.{}", n % 300));
        assert!(taken <= 128, "{taken}");
    });
}

#[test]
fn who_sends_fragments_waits() {
    scenario("noisy-fragments", wide, |lab| {
        let taken = taken(lab, RA2, &|_| "noisy.later".into());
        assert!(taken <= 128, "{taken}");
        // a few wait for the first one of their packet
        lab.advance(2000);
    });
}

#[test]
fn who_floods_with_arp_waits() {
    scenario("noisy-arp", wide, |lab| {
        let taken = taken(lab, RA2, &|_| "noisy.arp".into());
        assert!(taken <= 128, "{taken}");
    });
}

#[test]
fn who_floods_its_bridge_waits() {
    scenario("noisy-bridge", wide, |lab| {
        lab.apply(
            "bridges: [{name: lan, vrf: red, flood_unknown: true, vteps: [{vxlan: {remote: 10.0.0.2, vni: 5000}}]}]",
        );
        lab.apply(&network::ra2("bridge: lan"));
        let taken = taken(lab, RA2, &|_| "noisy.unknown".into());
        assert!(taken <= 128, "{taken}");
    });
}

#[test]
fn who_sends_as_ever_new_stations_waits() {
    scenario("noisy-stations", wide, |lab| {
        lab.apply("bridges: [{name: lan, vrf: red, learning: true, learn_limit: 100}]");
        lab.apply(&network::ra("bridge: lan"));
        lab.apply(&network::ra2("bridge: lan, spoofing_allowed: true"));
        let taken = taken(lab, RA2, &|n| format!("noisy.station.{}", n % 256));
        assert!(taken <= 256, "{taken}");
        // within a second's worth of what may be told of, and within the limit
        let learning = lab.rig().stats().learning.unwrap();
        assert!(learning.learnt <= 100 && learning.learnt + learning.refused <= 2000, "{learning:?}");
    });
}

#[test]
fn who_sends_plain_packets_has_its_turn_in_every_round() {
    scenario("not-noisy", wide, |lab| {
        lab.pass(RA2, "flood.0", UP, "flood.0.wire");
        let taken = taken(lab, RA2, &|_| "flood.0".into());
        assert_eq!(taken, FULL as u64);
    });
}
