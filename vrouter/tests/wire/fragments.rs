//! Later fragments go the way of the first one of their packet, whenever and to whichever worker it comes. Two workers get the frames of a
//! port in turn here.

use vrouter::daemon::clock::tick_at;
use vrouter::drops::DropReason;
use vrouter::packet::checksum;

use super::frames::{frame, is_like};
use super::lab::{Lab, scenario};
use super::network::{self, BA, RA, RA2, UP};
use super::reasons::By;

/// What ra sends: UDP to port 7053, TCP to 443, echo. It receives what answers.
fn by_port(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply(
        "acls: [{name: nothing, rules: []}, {name: out, rules: [{action: permit, protocol: udp, destination_ports: 7053}, \
         {action: permit, protocol: tcp, destination_ports: 443}, {action: permit, protocol: icmp, icmp_type: 8}]}]",
    );
    lab.apply(&network::ra("acl_from_vif: out, acl_to_vif: nothing"));
    lab
}

fn piece(name: &str, number: usize) -> String {
    format!("{name}.{number}")
}

pub fn held(lab: &mut Lab) -> u64 {
    lab.rig().stats().conservation.unwrap().held
}

/// The frame as a fragment of another packet of IPv4.
pub fn of_packet(name: &str, id: u16) -> Vec<u8> {
    let mut bytes = frame(name).to_vec();
    bytes[18..20].copy_from_slice(&id.to_be_bytes());
    bytes[24..26].fill(0);
    let sum = checksum::of(&bytes[14..34]);
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// How the reasons of this step come about.
pub fn provoked(reason: DropReason) -> By {
    match reason {
        DropReason::FragmentTooShort => By::Frame(RA, "fragment4.tiny"),
        DropReason::FragmentHeadDropped => {
            By::Scenario(by_port, |lab| (0..3).for_each(|number| lab.put(RA, &piece("fr4.denied", number))))
        }
        DropReason::FragmentOverlap => By::Scenario(Lab::a, |lab| {
            ["fr4.udp.0", "fr4.other", "fr4.udp.1"].iter().for_each(|name| lab.pass_silently(RA, name));
        }),
        DropReason::FragmentHoldFull => By::Scenario(Lab::a, |lab| {
            (0..200).for_each(|id| lab.put_bytes(RA2, &of_packet("fr4.flood.later.0", id)));
            lab.advance(2100);
        }),
        DropReason::FragmentTimedOut => By::Scenario(Lab::a, |lab| {
            lab.put(RA, "fr4.udp.1");
            lab.advance(2100);
        }),
        _ => unreachable!("not of fragments"),
    }
}

#[test]
fn later_fragments_are_packets_of_their_heads_flow() {
    scenario("fragments", by_port, |lab| {
        for name in ["fr4.udp", "fr6.udp", "fr4.tcp", "fr4.ping", "fr6.option"] {
            let mut ports = Vec::new();
            for number in 0..3 {
                lab.put(RA, &piece(name, number));
                lab.run();
                let came = lab.take(UP);
                assert!(came.len() == 1 && is_like(&came[0], &format!("{name}.{number}.wire")), "{name} {number}");
                ports.push(came[0][34..36].to_vec());
            }
            assert!(ports.iter().all(|port| *port == ports[0]), "the outer source port is the flow's");
            (0..3).for_each(|number| {
                let back = format!("{name}.back.{number}");
                lab.pass(UP, &back, RA, &format!("{back}.out"));
            });
        }
        let flows = lab.rig().flows(Default::default());
        let mut counts: Vec<_> = flows.iter().map(|flow| (flow.packets, flow.reverse_packets)).collect();
        counts.sort();
        // the one with an option has the ports of another
        assert_eq!(counts, [(3, 3), (3, 3), (3, 3), (6, 6)]);
    });
}

#[test]
fn later_fragments_wait_for_their_head() {
    scenario("fragments-wait", by_port, |lab| {
        for name in ["fr4.udp", "fr6.udp"] {
            for number in [2, 1] {
                lab.put(RA, &piece(name, number));
                lab.run();
                lab.expect(&[]);
            }
            assert_eq!(held(lab), 2);
            lab.put(RA, &piece(name, 0));
            lab.run();
            let wires = [0, 1, 2].map(|number| format!("{name}.{number}.wire"));
            lab.expect(&wires.each_ref().map(|wire| (UP, &**wire)));
            // what comes again goes again
            lab.pass(RA, &piece(name, 2), UP, &wires[2]);
            assert_eq!(held(lab), 0);
        }
        // all at once, the head in the middle
        [1, 0, 2].iter().for_each(|number| lab.put(RA, &piece("fr4.tcp", *number)));
        lab.run();
        lab.expect(&[(UP, "fr4.tcp.0.wire"), (UP, "fr4.tcp.1.wire"), (UP, "fr4.tcp.2.wire")]);
        let vif = lab.rig().stats().vifs.into_iter().find(|vif| vif.vif == "ra").unwrap();
        assert_eq!(vif.fragments_held, vif.fragments_released);
        assert!(vif.fragments_held >= 5, "{vif:?}");
    });
}

#[test]
fn all_that_waits_goes_on_in_the_turn_of_its_head() {
    // more than a turn's look for heads that other workers saw
    const WAITING: usize = 40;
    scenario("fragments-behind", by_port, |lab| {
        let workers = lab.rig().workers.len();
        (0..WAITING * workers).for_each(|_| lab.put(RA, "fr4.udp.1"));
        lab.run();
        assert_eq!(held(lab), (WAITING * workers) as u64);
        // to the first worker
        lab.put(RA, "fr4.udp.0");
        let now = tick_at(lab.now);
        lab.rig().workers[0].poll(now);
        let came = lab.take(UP);
        assert_eq!((came.len(), held(lab)), (1 + WAITING, (WAITING * (workers - 1)) as u64));
        assert!(is_like(&came[0], "fr4.udp.0.wire") && came[1..].iter().all(|frame| is_like(frame, "fr4.udp.1.wire")));
        lab.run();
        assert_eq!((lab.take(UP).len(), held(lab)), (WAITING * (workers - 1), 0));
    });
}

#[test]
fn fragments_end_with_their_head() {
    scenario("fragments-denied", by_port, |lab| {
        lab.put(RA, "fr4.denied.1");
        lab.run();
        lab.put(RA, "fr4.denied.0");
        lab.run();
        lab.expect(&[]);
        assert_eq!(lab.rig().dropped("ra", DropReason::AclFromVif), 1);
        assert_eq!(lab.rig().dropped("ra", DropReason::FragmentHeadDropped), 1);
        lab.dropped(RA, "fr4.denied.2", DropReason::FragmentHeadDropped);
        assert_eq!(held(lab), 0);
    });
}

#[test]
fn without_a_head_fragments_are_dropped_after_a_while() {
    scenario("fragments-alone", Lab::a, |lab| {
        for name in ["fr4.udp.1", "fr6.udp.1", "fr6.atomic.later"] {
            lab.put(RA, name);
        }
        lab.run();
        // all of its datagram: nothing follows it (RFC 6946)
        lab.pass(RA, "fr6.atomic", UP, "fr6.atomic.wire");
        lab.advance(1900);
        assert_eq!((held(lab), lab.rig().dropped("ra", DropReason::FragmentTimedOut)), (3, 0));
        lab.advance(100);
        assert_eq!((held(lab), lab.rig().dropped("ra", DropReason::FragmentTimedOut)), (0, 3));
        lab.expect(&[]);
        // nor is the head of another tenant theirs, though all of its numbers are the same
        let mut other = frame("fr4.udp.0").to_vec();
        other[6..12].copy_from_slice(&[2, 0, 0, 0, 0x0a, 2]);
        lab.put_bytes(BA, &other);
        lab.put(RA, "fr4.udp.2");
        lab.run();
        assert_eq!((lab.take(UP).len(), held(lab)), (1, 1));
        lab.advance(2100);
    });
}

#[test]
fn a_second_head_with_other_ports_ends_its_packet() {
    scenario("fragments-twice", Lab::a, |lab| {
        lab.pass(RA, "fr4.udp.0", UP, "fr4.udp.0.wire");
        lab.pass(RA, "fr4.udp.0", UP, "fr4.udp.0.wire");
        lab.pass(RA, "fr4.udp.1", UP, "fr4.udp.1.wire");
        lab.pass(RA, "fr4.other", UP, "fr4.other.wire");
        lab.dropped(RA, "fr4.udp.1", DropReason::FragmentOverlap);
        lab.pass(RA, "fr4.udp.0", UP, "fr4.udp.0.wire");
        lab.dropped(RA, "fr4.udp.2", DropReason::FragmentOverlap);
        // later the id is another packet's
        lab.advance(2000);
        lab.pass(RA, "fr4.other", UP, "fr4.other.wire");
        lab.pass(RA, "fr4.udp.1", UP, "fr4.udp.1.wire");
        let flows = lab.rig().flows(Default::default());
        let mut counts: Vec<_> =
            flows.iter().map(|flow| (flow.source_port, flow.destination_port, flow.packets)).collect();
        counts.sort();
        assert_eq!(counts, [(5000, 7053, 4), (5000, 7055, 3)]);
    });
}

#[test]
fn a_flood_of_fragments_takes_its_senders_room_alone() {
    scenario("fragments-flood", Lab::a, |lab| {
        lab.put(RA, "fr4.udp.1");
        lab.run();
        for id in 0..1000 {
            lab.put_bytes(RA2, &of_packet("fr4.flood.later.0", id));
        }
        lab.run();
        let workers = lab.rig().workers.len() as u64;
        assert_eq!(lab.rig().dropped("ra2", DropReason::FragmentHoldFull), 1000 - 64 * workers);
        // of one packet wait fewer
        lab.advance(2000);
        lab.put(RA, "fr4.udp.1");
        for _ in 0..100 {
            lab.put(RA2, "fr4.flood.later.0");
        }
        lab.run();
        assert_eq!(held(lab), 1 + 48 * workers);
        lab.put(RA, "fr4.udp.0");
        lab.run();
        lab.expect(&[(UP, "fr4.udp.0.wire"), (UP, "fr4.udp.1.wire")]);
        lab.advance(2000);
    });
}

#[test]
fn a_flood_of_heads_pushes_out_its_senders_notes_alone() {
    scenario("fragments-notes", Lab::a, |lab| {
        lab.pass(RA, "fr4.udp.0", UP, "fr4.udp.0.wire");
        for id in 0..8192 {
            lab.put_bytes(RA2, &of_packet("fr4.flood.first.0", id));
            if id % 512 == 0 {
                lab.run();
                lab.discard();
                lab.exchanged.clear();
            }
        }
        lab.run();
        lab.discard();
        lab.exchanged.clear();
        lab.pass(RA, "fr4.udp.1", UP, "fr4.udp.1.wire");
        // of its own the oldest are gone, and the newest there
        lab.put_bytes(RA2, &of_packet("fr4.flood.later.0", 8191));
        lab.run();
        assert_eq!(lab.take(UP).len(), 1);
        lab.put_bytes(RA2, &of_packet("fr4.flood.later.0", 0));
        lab.run();
        assert_eq!(held(lab), 1);
        lab.advance(2000);
    });
}

#[test]
fn packet_mode_and_floods_know_no_heads() {
    scenario("fragments-packet-mode", Lab::a, |lab| {
        lab.apply("vrfs: [{name: red, flows: off}]");
        lab.pass(RA, "fr4.udp.1", UP, "fr4.udp.1.wire");
        lab.pass(RA, "fr6.udp.2", UP, "fr6.udp.2.wire");
        lab.apply("vrfs: [{name: red}]");
        lab.put(RA, "fr4.udp.1");
        lab.run();
        // its VIF goes meanwhile
        lab.rig().delete(vrouter::api::v1::object_key::Kind::Vif("ra".into()));
        lab.advance(2100);
        assert_eq!(lab.rig().dropped("", DropReason::FragmentTimedOut), 1);
    });
}

#[test]
fn what_waits_goes_on_with_a_head_that_has_no_flow_any_more() {
    scenario("fragments-to-packet-mode", Lab::a, |lab| {
        lab.put(RA, "fr4.udp.1");
        lab.run();
        assert_eq!(held(lab), 1);
        lab.apply("vrfs: [{name: red, flows: off}]");
        lab.put(RA, "fr4.udp.0");
        lab.run();
        lab.expect(&[(UP, "fr4.udp.0.wire"), (UP, "fr4.udp.1.wire")]);
        assert_eq!(held(lab), 0);
    });
}

#[test]
fn strict_tcp_asks_first_fragments_too() {
    scenario("fragments-strict", Lab::a, |lab| {
        lab.apply("settings: {underlay_vrf: underlay, vtep: 10.0.0.1, tcp_strict: true}");
        lab.pass(RA, "fr4.tcp.0", UP, "fr4.tcp.0.wire");
        lab.pass(RA, "fr4.tcp.1", UP, "fr4.tcp.1.wire");
        let mut bytes = frame("fr4.tcp.0").to_vec();
        // another port, and no SYN
        bytes[35] ^= 1;
        bytes[47] = 0x10;
        lab.dropped_bytes(RA, &bytes, DropReason::TcpNotSyn, "a first fragment without SYN");
    });
}
