//! What guests leave to us: transport checksums, and TCP segments that are larger than links take; byte by byte.

use vrouter::drops::DropReason;
use vrouter::port::Undone;

use super::bridge;
use super::frames::{frame, is_like};
use super::lab::{At, Lab, Setup, scenario};
use super::network::{RA, RA2, UP};

const IN_VXLAN: u16 = 1450 - 52;

/// A, whose port of ra2 is a guest's NIC.
fn beside_guest(workers: usize) -> Lab {
    Lab::one(workers, &Setup { guests: &[3], ..Setup::default() })
}

/// A large segment goes in, and so many come out in their order.
fn cut(lab: &mut Lab, name: &str, each: u16, (to, ending): (At, &str), count: usize) {
    lab.put_undone(RA, name, Undone::segments(each));
    lab.run();
    let came = lab.take(to);
    assert_eq!(came.len(), count, "{name}");
    for (number, segment) in came.iter().enumerate() {
        let wanted = format!("{name}.{number}.{ending}");
        assert!(is_like(segment, &wanted), "{}", super::frames::difference(&wanted, &came));
    }
}

#[test]
fn a_large_segment_leaves_by_a_tunnel_in_ones_that_fit() {
    scenario("off-cut", Lab::a, |lab| {
        for _ in 0..2 {
            cut(lab, "off.tcp4", IN_VXLAN, (UP, "wire"), 3);
            cut(lab, "off.tcp6", IN_VXLAN - 20, (UP, "wire"), 3);
            cut(lab, "off.mpls4", IN_VXLAN + 18, (UP, "wire"), 3);
            cut(lab, "off.ext6", 1000, (UP, "wire"), 3);
        }
        cut(lab, "off.whole", IN_VXLAN, (UP, "wire"), 46);
        cut(lab, "off.one", IN_VXLAN, (UP, "wire"), 1);
        let vif = lab.rig().stats().vifs.into_iter().find(|vif| vif.vif == "ra").unwrap();
        assert_eq!((vif.rx_packets, vif.pieces, vif.forwarded), (10, 16 + 45, 26 + 45));
    });
}

#[test]
fn a_checksum_is_completed_before_a_tunnel() {
    scenario("off-sum", Lab::a, |lab| {
        for name in ["udp4", "udp6", "tcp4", "sctp4", "zero"] {
            for padded in ["", ".padded"] {
                lab.put_undone(RA, &format!("off.sum.{name}{padded}"), Undone::CHECKSUM);
                lab.run();
                lab.expect(&[(UP, &format!("off.sum.{name}.wire"))]);
            }
        }
        lab.put_undone(RA, "off.split", Undone::CHECKSUM);
        lab.run();
        lab.expect(&[(UP, "off.split.0.wire"), (UP, "off.split.1.wire")]);
    });
}

#[test]
fn a_guest_gets_from_another_what_it_takes_as_it_is() {
    scenario("off-guest", beside_guest, |lab| {
        let large = Undone::segments(1448);
        for (name, undone) in [
            ("off.local4", large),
            ("off.local6", Undone::segments(1428)),
            ("off.local-udp", Undone::CHECKSUM),
            ("off.local4", large),
        ] {
            lab.put_undone(RA, name, undone);
            lab.run();
            assert_eq!(lab.take_undone(RA2), [(frame(&format!("{name}.guest")).to_vec(), undone)], "{name}");
        }
    });
}

#[test]
fn others_get_whole_packets_that_fit() {
    scenario("off-local", Lab::a, |lab| {
        cut(lab, "off.local4", 1448, (RA2, "out"), 3);
        cut(lab, "off.local6", 1428, (RA2, "out"), 3);
        lab.put_undone(RA, "off.local-udp", Undone::CHECKSUM);
        lab.run();
        lab.expect(&[(RA2, "off.local-udp.out")]);
    });
}

#[test]
fn what_is_too_big_is_judged_by_its_segments() {
    scenario("off-big", Lab::a, |lab| {
        lab.put_undone(RA, "off.big", Undone::segments(IN_VXLAN + 1));
        lab.run();
        lab.expect(&[(RA, "off.big.told")]);
        assert_eq!(lab.rig().dropped("ra", DropReason::MtuExceeded), 1);
        cut(lab, "off.pieces", 2000, (UP, "wire"), 4);
    });
}

#[test]
fn segments_wait_for_a_neighbour() {
    scenario("off-held", Lab::a, |lab| {
        lab.apply(
            r#"routes: [{vrf: red, prefix: 10.1.1.30/32, via: {vxlan: {remote: 10.0.0.3, vni: 100, mac: "02:0a:00:00:03:01"}}}]"#,
        );
        lab.put_undone(RA, "off.held", Undone::segments(IN_VXLAN));
        lab.put_undone(RA, "off.held-udp", Undone::CHECKSUM);
        lab.run();
        lab.expect(&[(UP, "underlay.ask-c")]);
        assert_eq!(lab.rig().stats().conservation.unwrap().held, 4);
        lab.put(UP, "underlay.c-says");
        lab.run();
        let segments = [0, 1, 2].map(|number| (UP, format!("off.held.{number}.wire")));
        let mut expected: Vec<(At, &str)> = segments.iter().map(|(at, name)| (*at, &**name)).collect();
        expected.push((UP, "off.held-udp.wire"));
        lab.expect(&expected);
    });
}

#[test]
fn bridged_frames_are_cut_and_completed_like_routed_packets() {
    scenario("off-bridged", bridge::a, |lab| {
        cut(lab, "off.bridged", IN_VXLAN, (UP, "wire"), 3);
        cut(lab, "off.bridged", IN_VXLAN, (UP, "wire"), 3);
    });
    scenario("off-flooded", bridge::a, |lab| {
        lab.put_undone(RA, "off.flooded", Undone::CHECKSUM);
        lab.run();
        lab.expect(&[(RA2, "off.flooded.out"), (bridge::L2, "off.flooded.out")]);
    });
}

#[test]
fn what_an_underlay_s_sender_left_undone_is_not_the_tenant_s() {
    scenario("off-outer", Lab::a, |lab| {
        lab.put_undone(UP, "off.outer", Undone::CHECKSUM);
        lab.run();
        lab.expect(&[(RA, "off.outer.out")]);
    });
}

#[test]
fn who_leaves_thousands_of_segments_to_us_gets_none() {
    scenario("off-many", Lab::a, |lab| {
        for each in [2, 400] {
            lab.put_undone(RA, "off.whole", Undone::segments(each));
            lab.run();
            assert!(lab.take(UP).is_empty(), "{each} bytes each");
        }
        assert_eq!(lab.rig().dropped("ra", DropReason::TransportHeader), 2);
    });
}
