//! Questions for known stations of a bridge are answered here, in their names, and go no further.

use vrouter::api::v1;

use super::bridge::{L2, a};
use super::frames::frame;
use super::lab::{Lab, scenario};
use super::network::{RA, RA2, UP};

/// With a VTEP; far stations say their addresses.
const KNOWN: &str = r#"
bridges: [{name: lan, vrf: red, vteps: [{vxlan: {remote: 10.0.0.2, vni: 5000}}]}]
fdb:
  - {bridge: lan, mac: "02:00:00:00:0b:01", vxlan: {remote: 10.0.0.2, vni: 5000}, addresses: [10.1.1.20, "fd01::20"]}
  - {bridge: lan, mac: "02:00:00:00:0b:03", mpls_udp: {remote: 10.0.0.2, label: 5001}, addresses: ["fe80::b3"], router: true}
"#;

fn lan(workers: usize) -> Lab {
    let mut lab = a(workers);
    lab.apply(KNOWN);
    lab.discard();
    lab
}

/// To both other VIFs and the VTEP.
#[track_caller]
fn flooded(lab: &mut Lab, name: &str) {
    lab.put(RA, name);
    lab.run();
    lab.expect(&[(RA2, name), (L2, name), (UP, &format!("{name}.wire"))]);
}

fn gone(lab: &mut Lab, mac: [u8; 6]) {
    let key = v1::FdbKey { bridge: "lan".into(), mac: mac.into() };
    lab.rig().delete(v1::object_key::Kind::FdbEntry(key));
}

#[test]
fn known_stations_are_answered_for() {
    scenario("suppression-known", lan, |lab| {
        for name in ["sup.ask-ra2", "sup.ask-rb", "sup.ns-ra2", "sup.ns-rb", "sup.ns-router"] {
            lab.pass(RA, name, RA, &format!("{name}.reply"));
        }
        // a port of the bridge alone is answered too
        lab.pass(L2, "sup.l2-asks-rb", L2, "sup.l2-asks-rb.reply");
        assert!(lab.rig().flows(Default::default()).is_empty());
    });
}

#[test]
fn probes_announcements_and_unknown_targets_go_to_everybody() {
    scenario("suppression-probes", lan, |lab| {
        for name in ["sup.probe", "sup.announce", "sup.dad", "sup.unknown", "sup.ns-unknown"] {
            flooded(lab, name);
        }
        // to its MAC: it is asked itself
        lab.pass(RA, "sup.unicast", RA2, "sup.unicast");
    });
}

#[test]
fn who_may_speak_for_others_is_not_told_of_itself() {
    scenario("suppression-open", lan, |lab| {
        lab.apply(
            "vifs: [{name: l2, port: p4, vrf: red, bridge: lan, mac: \"02:00:00:00:0a:05\", addresses: [10.1.1.15], spoofing_allowed: true}]",
        );
        for name in ["sup.announce-other", "sup.own", "sup.for-rb"] {
            lab.put(L2, name);
            lab.run();
            lab.expect(&[(RA, name), (RA2, name), (UP, &format!("{name}.wire"))]);
        }
    });
}

#[test]
fn who_asks_through_a_tunnel_is_answered_by_the_station() {
    scenario("suppression-tunnel", lan, |lab| {
        lab.put(UP, "sup.back");
        lab.run();
        lab.expect(&[(RA, "sup.back.out"), (RA2, "sup.back.out"), (L2, "sup.back.out")]);
    });
}

#[test]
fn a_setting_and_what_is_known_decide() {
    scenario("suppression-off", lan, |lab| {
        lab.apply(
            "bridges: [{name: lan, vrf: red, suppress_off: true, vteps: [{vxlan: {remote: 10.0.0.2, vni: 5000}}]}]",
        );
        flooded(lab, "sup.ask-rb");
        flooded(lab, "sup.ask-ra2");
        lab.apply(KNOWN);
        lab.pass(RA, "sup.ask-rb", RA, "sup.ask-rb.reply");
        lab.pass(RA, "sup.ask-ra2", RA, "sup.ask-ra2.reply");
        // a VIF is believed before an entry that claims its address, among entries the lowest MAC
        lab.apply("fdb: [{bridge: lan, mac: \"02:00:00:00:00:07\", vif: l2, addresses: [10.1.1.11, 10.1.1.20]}]");
        lab.pass(RA, "sup.ask-ra2", RA, "sup.ask-ra2.reply");
        lab.pass(RA, "sup.ask-rb", RA, "sup.ask-rb.other.reply");
        gone(lab, [2, 0, 0, 0, 0, 7]);
        lab.pass(RA, "sup.ask-rb", RA, "sup.ask-rb.reply");
        gone(lab, [2, 0, 0, 0, 0x0b, 1]);
        flooded(lab, "sup.ask-rb");
    });
}

#[test]
fn answers_are_budgeted() {
    scenario("suppression-budget", lan, |lab| {
        lab.apply("settings: {underlay_vrf: underlay, vtep: 10.0.0.1, icmp_per_second: 10}");
        (0..60).for_each(|_| lab.put(RA, "sup.ask-rb"));
        lab.run();
        let (workers, dropped) = (lab.rig().workers.len(), "punt_budget");
        let dropped = lab.rig().dropped("ra", vrouter::drops::DropReason::named(dropped).unwrap()) as usize;
        assert_eq!(lab.take(RA), vec![frame("sup.ask-rb.reply"); 60 - dropped]);
        assert!((50 - 10 * workers..=50).contains(&dropped), "{dropped}");
        lab.discard();
    });
}
