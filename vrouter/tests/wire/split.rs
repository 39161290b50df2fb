//! Packets that are too big for their next hop and may leave in pieces, byte by byte.

use vrouter::datapath::split::PIECES;
use vrouter::drops::DropReason;

use super::lab::{Lab, scenario};
use super::network::{RA, UP};

const OFF: &str = "settings: {underlay_vrf: underlay, vtep: 10.0.0.1, fragmentation: false}";
const SMALL: &str = r#"vifs: [{name: ra, port: p1, vrf: red, mac: "02:00:00:00:0a:01", addresses: [10.1.1.10], gateway_v4: 10.1.1.1, mtu: 576}]"#;

/// A frame goes in, and so many pieces come out, in their order.
fn parts(lab: &mut Lab, name: &str, count: usize) {
    lab.put(RA, name);
    lab.run();
    let came = lab.take(UP);
    assert_eq!(came.len(), count, "{name}");
    for (number, piece) in came.iter().enumerate() {
        let wanted = format!("{name}.{number}.wire");
        assert!(super::frames::is_like(piece, &wanted), "{}", super::frames::difference(&wanted, &came));
    }
}

#[test]
fn a_packet_leaves_in_pieces_that_fit_the_tunnel() {
    scenario("split-out", Lab::a, |lab| {
        for name in ["split.vxlan", "split.mpls", "split.one-more", "split.tcp", "split.icmp"] {
            parts(lab, name, 2);
            parts(lab, name, 2);
        }
        lab.pass(RA, "split.fits", UP, "split.fits.wire");
        let vif = lab.rig().stats().vifs.into_iter().find(|vif| vif.vif == "ra").unwrap();
        assert_eq!((vif.rx_packets, vif.pieces, vif.forwarded), (11, 10, 21));
    });
}

#[test]
fn a_piece_leaves_in_pieces_of_the_same_datagram() {
    scenario("split-again", Lab::a, |lab| {
        for (number, count) in [(0, 2), (1, 2), (2, 1)] {
            parts(lab, &format!("split.piece{number}"), count);
        }
        // by routes alone, as the first one of its packet never came
        lab.apply("vrfs: [{name: red, flows: off}]");
        lab.dropped(RA, "split.beyond", DropReason::MtuExceeded);
    });
}

#[test]
fn what_comes_out_of_a_tunnel_fits_its_tenant_s_link() {
    scenario("split-in", Lab::a, |lab| {
        lab.apply(SMALL);
        lab.put(UP, "split.back");
        lab.run();
        lab.expect(&[(RA, "split.back.0.out"), (RA, "split.back.1.out"), (RA, "split.back.2.out")]);
    });
}

#[test]
fn what_may_not_be_split_is_told() {
    scenario("split-not", Lab::a, |lab| {
        for name in ["split.whole", "split.options"] {
            lab.dropped_and_told(RA, name, DropReason::MtuExceeded, &format!("{name}.told"));
        }
        lab.apply(OFF);
        lab.dropped_and_told(RA, "split.vxlan", DropReason::MtuExceeded, "split.vxlan.told");
    });
}

#[test]
fn pieces_wait_for_a_neighbour_together() {
    let with_c = |workers| {
        let mut lab = Lab::a(workers);
        lab.apply(
            r#"routes: [{vrf: red, prefix: 10.1.1.30/32, via: {vxlan: {remote: 10.0.0.3, vni: 100, mac: "02:0a:00:00:03:01"}}}]"#,
        );
        lab
    };
    scenario("split-held", with_c, |lab| {
        lab.put(RA, "split.to-c");
        lab.run();
        lab.expect(&[(UP, "underlay.ask-c")]);
        assert_eq!(lab.rig().stats().conservation.unwrap().held, 2);
        lab.put(UP, "underlay.c-says");
        lab.run();
        lab.expect(&[(UP, "split.to-c.0.wire"), (UP, "split.to-c.1.wire")]);
    });
}

/// More pieces than have room, while nobody takes what was sent.
pub fn flood(lab: &mut Lab) {
    for _ in 0..PIECES + 10 {
        lab.put(RA, "split.vxlan");
        lab.run();
    }
}

#[test]
fn rooms_of_pieces_go_round() {
    scenario("split-rooms", Lab::a, |lab| {
        for _ in 0..PIECES {
            parts(lab, "split.vxlan", 2);
        }
    });
}
