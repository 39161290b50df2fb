//! Outer packets that the underlay cut are put together again. The pieces of one packet come to one worker, as devices spread them.

use vrouter::drops::DropReason;

use super::exception;
use super::fragments::{held, of_packet};
use super::frames::frame;
use super::lab::{Lab, Setup, scenario};
use super::network::{RA, UP};
use super::reasons::By;
use super::underlay6;

const BYS: [(&str, usize); 4] = [("vxlan", 4), ("geneve", 4), ("mpls", 3), ("gre", 3)];

/// How the reasons of this step come about.
pub fn provoked(reason: DropReason) -> By {
    let done: fn(&mut Lab) = match reason {
        DropReason::OuterFragment => |lab| lab.put(UP, "asm.ragged"),
        DropReason::OuterFragmentOverlap => {
            |lab| ["asm.vxlan.4.1", "asm.overlap"].iter().for_each(|name| lab.put(UP, name))
        }
        DropReason::OuterFragmentTooLarge => {
            |lab| ["asm.large.0", "asm.large.6"].iter().for_each(|name| lab.put(UP, name))
        }
        DropReason::OuterFragmentFull => |lab| {
            (0..9).for_each(|id| lab.put_bytes(UP, &of_packet("asm.vxlan.4.1", id)));
            lab.advance(2100);
        },
        DropReason::OuterFragmentTimedOut => |lab| {
            lab.put(UP, "asm.vxlan.4.1");
            lab.advance(2100);
        },
        _ => unreachable!("not of assembly"),
    };
    By::Scenario(Lab::a, done)
}

/// Pieces that come in; none comes out until the last of these.
fn put_together(lab: &mut Lab, name: &str, order: &[usize]) {
    for (at, number) in order.iter().enumerate() {
        lab.put(UP, &format!("{name}.{number}"));
        lab.run();
        if at + 1 < order.len() {
            lab.expect(&[]);
        }
    }
    lab.expect(&[(RA, &format!("{name}.out"))]);
    assert_eq!(held(lab), 0);
}

#[test]
fn outer_packets_are_put_together() {
    scenario("assembly", underlay6::a, |lab| {
        for (by, pieces) in BYS {
            for family in [4, 6] {
                let name = format!("asm.{by}.{family}");
                let order: Vec<usize> = (0..pieces).collect();
                put_together(lab, &name, &order);
                // the last one first; one of them twice
                let order: Vec<usize> = order.into_iter().rev().collect();
                put_together(lab, &name, &order);
                put_together(lab, &name, &[&order[..2], &order[1..]].concat());
            }
        }
        put_together(lab, "asm.big", &[0, 1]);
        put_together(lab, "asm.big", &[1, 0]);
        // a mark on one piece is on the whole (RFC 3168, section 5.3)
        put_together(lab, "asm.marked", &[0, 1, 2, 3]);
        let books = lab.rig().stats().conservation.unwrap();
        assert_eq!(books.consumed, books.received - books.sent);
    });
}

#[test]
fn a_jumbo_frame_is_put_together() {
    let wide = |workers| Lab::one(workers, &Setup { mtu: 9000, ..Setup::default() });
    scenario("assembly-jumbo", wide, |lab| put_together(lab, "asm.jumbo", &[3, 0, 6, 1, 2, 5, 4]));
}

#[test]
fn a_burst_may_hold_all_of_several_packets() {
    scenario("assembly-burst", Lab::a, |lab| {
        for number in [0, 3, 1, 2] {
            lab.put(UP, &format!("asm.vxlan.4.{number}"));
            lab.put(UP, &format!("asm.other.{number}"));
        }
        lab.put(UP, "udp4.vxlan.back");
        lab.run();
        // those put together behind the rest of the burst, in the order in which they were whole
        let came = lab.take(RA);
        let wanted = ["udp4.vxlan.back.out", "asm.vxlan.4.out", "asm.other.out"].map(|name| frame(name).to_vec());
        assert!(came.iter().eq(&wanted), "{came:02x?}");
    });
}

#[test]
fn pieces_that_overlap_end_their_packet() {
    scenario("assembly-overlap", Lab::a, |lab| {
        for odd in ["asm.overlap", "asm.behind"] {
            lab.put(UP, "asm.vxlan.4.1");
            lab.put(UP, "asm.vxlan.4.3");
            lab.run();
            lab.put(UP, odd);
            lab.run();
            let dropped = lab.rig().dropped("up0", DropReason::OuterFragmentOverlap);
            assert_eq!(dropped % 4, 3, "{odd}");
            // those that follow, too
            lab.dropped(UP, "asm.vxlan.4.0", DropReason::OuterFragmentOverlap);
            assert_eq!(held(lab), 0);
            lab.advance(2000);
        }
        put_together(lab, "asm.vxlan.4", &[0, 1, 2, 3]);
        for name in ["asm.ragged", "asm.empty", "asm.beyond"] {
            lab.dropped(UP, name, DropReason::OuterFragment);
        }
        lab.put(UP, "asm.large.0");
        lab.run();
        lab.put(UP, "asm.large.6");
        lab.run();
        assert_eq!(lab.rig().dropped("up0", DropReason::OuterFragmentTooLarge), 2);
        // more pieces than any packet has
        for number in 1..18_u16 {
            let mut piece = of_packet("asm.overlap", 999);
            piece[20..22].copy_from_slice(&(0x2000 | number).to_be_bytes());
            lab.put_bytes(UP, &of_packet_as(piece));
        }
        lab.run();
        assert_eq!(lab.rig().dropped("up0", DropReason::OuterFragmentTooLarge), 19);
        lab.expect(&[]);
    });
}

/// With the checksum of its IPv4 header.
fn of_packet_as(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[24..26].fill(0);
    let sum = vrouter::packet::checksum::of(&bytes[14..34]);
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    bytes
}

#[test]
fn what_is_not_whole_in_time_is_dropped() {
    scenario("assembly-late", Lab::a, |lab| {
        [0, 1, 3].iter().for_each(|number| lab.put(UP, &format!("asm.vxlan.4.{number}")));
        lab.run();
        lab.advance(1900);
        assert_eq!((held(lab), lab.rig().dropped("up0", DropReason::OuterFragmentTimedOut)), (3, 0));
        lab.advance(100);
        assert_eq!((held(lab), lab.rig().dropped("up0", DropReason::OuterFragmentTimedOut)), (0, 3));
        // what comes then is of no use to anybody
        lab.put(UP, "asm.vxlan.4.2");
        lab.run();
        assert_eq!(held(lab), 1);
        lab.advance(2000);
        lab.expect(&[]);
    });
}

#[test]
fn one_sender_has_a_few_packets_at_a_time() {
    scenario("assembly-flood", Lab::a, |lab| {
        [0, 1].iter().for_each(|number| lab.put(UP, &format!("asm.other.{number}")));
        lab.run();
        for id in 0..500 {
            lab.put_bytes(UP, &of_packet("asm.vxlan.4.1", id));
        }
        lab.run();
        assert_eq!(lab.rig().dropped("up0", DropReason::OuterFragmentFull), 492);
        assert_eq!(held(lab), 10);
        // another's is put together beside it
        put_last(lab);
        // and the newest of its own
        [0, 2, 3].iter().for_each(|number| lab.put_bytes(UP, &of_packet(&format!("asm.vxlan.4.{number}"), 499)));
        lab.run();
        lab.expect(&[(RA, "asm.vxlan.4.out")]);
        lab.advance(2000);
    });
}

fn put_last(lab: &mut Lab) {
    [2, 3].iter().for_each(|number| lab.put(UP, &format!("asm.other.{number}")));
    lab.run();
    lab.expect(&[(RA, "asm.other.out")]);
}

#[test]
fn many_senders_share_the_room() {
    scenario("assembly-senders", Lab::a, |lab| {
        let workers = lab.rig().workers.len() as u64;
        // each begins one packet
        for sender in 0..200_u8 {
            let mut bytes = frame("asm.vxlan.4.1").to_vec();
            bytes[29] = sender + 20;
            lab.put_bytes(UP, &of_packet_as(bytes));
        }
        lab.run();
        assert_eq!(held(lab), 64 * workers);
        put_together_now(lab);
        lab.advance(2000);
    });
}

fn put_together_now(lab: &mut Lab) {
    (0..4).for_each(|number| lab.put(UP, &format!("asm.vxlan.4.{number}")));
    lab.run();
    lab.expect(&[(RA, "asm.vxlan.4.out")]);
}

#[test]
fn the_kernel_has_its_own_fragments() {
    scenario("assembly-exception", exception::shared, |lab| {
        put_together_now(lab);
        // a later fragment whose first one was not a tunnel's
        for name in ["fabric.fragment-later", "exc.dns-fragment", "asm.vxlan.4.2"] {
            lab.put(UP, name);
            lab.run();
            assert_eq!(lab.take(exception::KERNEL), [frame(name)]);
        }
        // begun by its first one it is ours
        put_together_now(lab);
        lab.discard();
    });
}
