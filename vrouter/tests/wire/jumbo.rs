//! Packets of up to 9,000 bytes, over an underlay that carries them, byte by byte.

use vrouter::datapath::punt::LARGE;
use vrouter::drops::DropReason;

use super::lab::{Lab, Setup, scenario};
use super::network::{RA, UP};

fn a(workers: usize) -> Lab {
    Lab::one(workers, &Setup { mtu: 9000, ..Setup::default() })
}

#[test]
fn what_fits_the_underlay_passes() {
    scenario("jumbo-fits", a, |lab| {
        for name in ["jumbo.vxlan", "jumbo.mpls", "jumbo.v6"] {
            lab.pass(RA, name, UP, &format!("{name}.wire"));
            lab.pass(RA, name, UP, &format!("{name}.wire"));
        }
        lab.pass(UP, "jumbo.in", RA, "jumbo.in.out");
        lab.pass(RA, "jumbo.echo", RA, "jumbo.echo.reply");
    });
}

#[test]
fn a_large_packet_waits_for_its_neighbour() {
    scenario("jumbo-held", a, |lab| {
        lab.apply(
            r#"routes: [{vrf: red, prefix: 10.1.1.30/32, via: {vxlan: {remote: 10.0.0.3, vni: 100, mac: "02:0a:00:00:03:01"}}}]"#,
        );
        (0..3).for_each(|_| lab.put(RA, "jumbo.held"));
        lab.run();
        lab.expect(&[(UP, "underlay.ask-c")]);
        lab.put(UP, "underlay.c-says");
        lab.run();
        lab.expect(&[(UP, "jumbo.held.wire"), (UP, "jumbo.held.wire"), (UP, "jumbo.held.wire")]);
    });
}

#[test]
fn pieces_may_be_larger_than_a_usual_buffer() {
    scenario("jumbo-split", a, |lab| {
        lab.put(RA, "jumbo.split");
        lab.run();
        lab.expect(&[(UP, "jumbo.split.0.wire"), (UP, "jumbo.split.1.wire")]);
    });
}

#[test]
fn large_punts_are_bounded_and_spare_small_ones() {
    scenario(
        "jumbo-punts",
        |_| a(1),
        |lab| {
            // while the control thread is busy: as many as have large rooms, and a small one beside
            let more = 5;
            (0..LARGE + more).for_each(|_| lab.put(RA, "jumbo.echo"));
            lab.put(RA, "echo4.gateway");
            let now = lab.now;
            lab.rig().poll_workers(now);
            assert_eq!(lab.rig().dropped("ra", DropReason::PuntRingFull), more as u64);
            lab.run();
            let mut expected = vec![(RA, "jumbo.echo.reply"); LARGE];
            expected.push((RA, "echo4.gateway.reply"));
            lab.expect(&expected);
        },
    );
}
