//! A bridge that learns: whom frames come from is sent to there alone, until it is silent for long, or moves.

use vrouter::api::v1;
use vrouter::control::Request;
use vrouter::drops::DropReason;

use super::bridge::{L2, a};
use super::lab::{Lab, scenario};
use super::network::{self, RA, RA2, UP};

/// Behind ra2 are further stations.
fn learns(workers: usize) -> Lab {
    let mut lab = a(workers);
    lab.apply(&bridge("ageing: 40"));
    lab.apply(&network::ra2("bridge: lan, spoofing_allowed: true"));
    lab.discard();
    lab
}

fn bridge(more: &str) -> String {
    let vteps = "[{vxlan: {remote: 10.0.0.2, vni: 5000}}]";
    format!("bridges: [{{name: lan, vrf: red, flood_unknown: true, learning: true, vteps: {vteps}, {more}}}]")
}

/// What is listed of the stations that were learnt: the last byte of the MAC, the VIF or the VNI, held or not, and the seconds.
fn listed(lab: &mut Lab) -> Vec<(u8, String, bool, u32)> {
    let filter = v1::ListRequest { kind: v1::Kind::FdbEntry.into(), ..Default::default() };
    let objects = lab.rig().ask(|reply| Request::List { filter, reply }).unwrap().objects;
    let rows = objects.filter_map(|object| match object.kind {
        Some(v1::object::Kind::FdbEntry(entry)) if entry.learnt => Some(entry),
        _ => None,
    });
    rows.map(|entry| {
        let at = match entry.target.unwrap() {
            v1::fdb_entry::Target::Vif(vif) => vif,
            v1::fdb_entry::Target::Tunnel(tunnel) => format!("{:?}", tunnel.encap.unwrap()),
        };
        (entry.key.unwrap().mac[5], at, entry.pinned, entry.idle_seconds)
    })
    .collect()
}

fn counts(lab: &mut Lab) -> v1::LearningStats {
    lab.rig().stats().learning.unwrap()
}

/// Sends it and lets it go everywhere.
fn say(lab: &mut Lab, from: (usize, usize), name: &str) {
    lab.put(from, name);
    lab.run();
    lab.discard();
}

/// To everybody but ra, who sends it.
#[track_caller]
fn is_flooded(lab: &mut Lab) {
    lab.put(RA, "lrn.to-behind");
    lab.run();
    lab.expect(&[(RA2, "lrn.to-behind"), (L2, "lrn.to-behind"), (UP, "lrn.to-behind.wire")]);
}

#[test]
fn a_station_that_was_heard_is_sent_to_alone() {
    scenario("learning", learns, |lab| {
        is_flooded(lab);
        say(lab, RA2, "lrn.behind");
        lab.pass(RA, "lrn.to-behind", RA2, "lrn.to-behind");
        // behind a tunnel, and by a packet to one station
        say(lab, UP, "lrn.far");
        lab.pass(RA, "br.unknown", UP, "fl.unknown.wire");
        assert_eq!(listed(lab), [(0x77, "ra2".into(), false, 0), (0x99, "Vni(5000)".into(), false, 0)]);
        assert_eq!((counts(lab).learnt, counts(lab).refused), (2, 0));
        // who was given stays given: the entry of rb, and ra's own MAC
        let generation = lab.rig().stats().generation;
        say(lab, UP, "fl.back.vxlan");
        say(lab, RA, "br.local");
        say(lab, UP, "lrn.far");
        assert_eq!(lab.rig().stats().generation, generation, "nothing is new");
    });
}

#[test]
fn silent_stations_are_forgotten() {
    scenario("learning-ages", learns, |lab| {
        say(lab, RA2, "lrn.behind");
        say(lab, UP, "lrn.far");
        for _ in 0..7 {
            lab.advance(15_000);
            say(lab, RA2, "lrn.behind");
        }
        let rows = listed(lab);
        assert!(rows.len() == 1 && rows[0].0 == 0x77 && rows[0].3 < 15, "{rows:?}");
        lab.pass(RA, "lrn.to-behind", RA2, "lrn.to-behind");
        lab.advance(40_100);
        is_flooded(lab);
        assert_eq!((listed(lab), counts(lab).aged), (vec![], 2));
    });
}

#[test]
fn a_station_moves_and_one_that_moves_too_often_is_held() {
    scenario("learning-moves", learns, |lab| {
        say(lab, RA2, "lrn.behind");
        for moved in 1..=5 {
            say(
                lab,
                if moved % 2 == 1 { UP } else { RA2 },
                if moved % 2 == 1 { "lrn.behind.far" } else { "lrn.behind" },
            );
            assert_eq!(counts(lab).moved, moved);
        }
        lab.pass(RA, "lrn.to-behind", UP, "lrn.to-behind.wire");
        say(lab, RA2, "lrn.behind");
        say(lab, RA2, "lrn.behind");
        assert_eq!(listed(lab), [(0x77, "Vni(5000)".into(), true, 0)]);
        assert_eq!((counts(lab).moved, counts(lab).pinned), (5, 1));
        lab.pass(RA, "lrn.to-behind", UP, "lrn.to-behind.wire");
        // a controller's word is before what is seen
        lab.apply("fdb: [{bridge: lan, mac: \"02:00:00:00:0a:77\", vif: l2}]");
        lab.pass(RA, "lrn.to-behind", L2, "lrn.to-behind");
        assert_eq!(listed(lab), []);
    });
}

#[test]
fn only_open_vifs_and_listed_vteps_teach_and_so_many_stations() {
    scenario("learning-limits", learns, |lab| {
        lab.apply(&bridge("learn_limit: 1"));
        say(lab, RA2, "lrn.behind");
        say(lab, RA2, "lrn.behind2");
        say(lab, UP, "lrn.stranger");
        assert_eq!(listed(lab).len(), 1);
        assert_eq!(counts(lab).refused, 2);
        // a VIF whose MAC is its own alone
        lab.dropped(L2, "lrn.behind", DropReason::MacSpoofed);
        assert_eq!(listed(lab), [(0x77, "ra2".into(), false, 0)]);
        // what is learnt at a VIF goes with its freedom
        lab.apply(&network::ra2("bridge: lan"));
        assert_eq!(listed(lab), []);
        is_flooded(lab);
        say(lab, UP, "lrn.far");
        lab.apply("bridges: [{name: lan, vrf: red}]");
        assert_eq!(listed(lab), []);
        lab.dropped(RA, "br.unknown", DropReason::UnknownUnicast);
    });
}

#[test]
fn a_sticky_station_s_mac_is_its_own() {
    scenario("learning-sticky", learns, |lab| {
        lab.apply(
            "fdb: [{bridge: lan, mac: \"02:00:00:00:0b:01\", vxlan: {remote: 10.0.0.2, vni: 5000}, sticky: true}]",
        );
        lab.dropped(RA2, "lrn.stolen", DropReason::StickyElsewhere);
        lab.pass(UP, "br.vxlan4.back", RA, "br.vxlan4.back.out");
        lab.apply("fdb: [{bridge: lan, mac: \"02:00:00:00:0b:01\", vif: ra2, sticky: true}]");
        lab.dropped(UP, "br.vxlan4.back", DropReason::StickyElsewhere);
        lab.pass(RA2, "br.vxlan4.back.out", RA, "br.vxlan4.back.out");
    });
}

#[test]
fn thrashing_keeps_within_bounds() {
    scenario("learning-thrash", learns, |lab| {
        let mut frame = super::frames::frame("lrn.behind").to_vec();
        for station in 0..600_u16 {
            frame[9..11].copy_from_slice(&station.to_be_bytes());
            lab.put_bytes(RA2, &frame);
        }
        lab.run();
        lab.discard();
        let counts = counts(lab);
        // each worker tells of a quarter of its ring at once
        assert_eq!(counts.learnt + counts.unheard, 600, "{counts:?}");
        assert!(counts.unheard > 0 && counts.learnt >= 256, "{counts:?}");
        // others are heard meanwhile
        say(lab, UP, "lrn.far");
        lab.pass(RA, "br.unknown", UP, "fl.unknown.wire");
    });
}

/// A MAC that is another's.
pub fn stolen(lab: &mut Lab) {
    lab.apply(&network::ra2("bridge: lan, spoofing_allowed: true"));
    lab.apply("fdb: [{bridge: lan, mac: \"02:00:00:00:0b:01\", vxlan: {remote: 10.0.0.2, vni: 5000}, sticky: true}]");
    lab.put(RA2, "lrn.stolen");
}
