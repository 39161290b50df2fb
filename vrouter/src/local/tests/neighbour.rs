//! The neighbour table, with a clock that the tests move.

use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetFrame};

use super::super::{NeighbourState, Unwanted};
use super::bytes::{FABRIC_REPLY, FABRIC_REQUEST};
use super::*;
use crate::drops::DropReason;

/// A `Local`, its snapshot and a clock.
pub(super) struct Clocked {
    pub(super) local: Local,
    pub(super) snapshot: Snapshot,
    pub(super) now: u64,
}

impl Clocked {
    pub(super) fn new(limits: Limits) -> Clocked {
        Clocked { local: Local::new(limits), snapshot: world(), now: 100_000 }
    }

    pub(super) fn resolve(&mut self, neighbour: impl Into<IpAddr>, frame: &[u8]) -> (Outcome, Vec<Output>) {
        let mut out = Vec::new();
        let why = Why::Resolve { vif: FABRIC, neighbour: neighbour.into() };
        let punt = Punt { place: Place::Vif(WEB), why, frame, tunnel: None, l3_offset: 14 };
        (self.local.punt(&self.snapshot, punt, self.now, &mut out), out)
    }

    pub(super) fn arp(&mut self, frame: &[u8]) -> (Outcome, Vec<Output>) {
        self.fabric(Why::Arp, frame)
    }

    /// A frame from the fabric.
    pub(super) fn fabric(&mut self, why: Why, frame: &[u8]) -> (Outcome, Vec<Output>) {
        let mut out = Vec::new();
        let punt = Punt { place: Place::Vif(FABRIC), why, frame, tunnel: None, l3_offset: 14 };
        (self.local.punt(&self.snapshot, punt, self.now, &mut out), out)
    }

    /// Moves the clock by steps of 100 ms; what came out, with the time since the start of the wait.
    pub(super) fn wait(&mut self, ms: u64) -> Vec<(u64, Output)> {
        let mut all = Vec::new();
        for step in (100..=ms).step_by(100) {
            let mut out = Vec::new();
            self.local.tick(&self.snapshot, self.now + step, &mut out);
            all.extend(out.into_iter().map(|output| (step, output)));
        }
        self.now += ms;
        all
    }

    pub(super) fn state(&self) -> Option<(NeighbourState, Option<Mac>)> {
        self.local.neighbours().next().map(|neighbour| (neighbour.state, neighbour.mac))
    }
}

/// The MAC that a request for `address` goes to.
fn asked(output: &Output, address: Ipv4Addr) -> Mac {
    let Output::Frame { vif: FABRIC, bytes } = output else { panic!("{output:?}") };
    let frame = EthernetFrame::new_checked(bytes.as_slice()).unwrap();
    let arp = ArpRepr::parse(&ArpPacket::new_checked(frame.payload()).unwrap()).unwrap();
    let ArpRepr::EthernetIpv4 { operation, source_hardware_addr, source_protocol_addr, target_protocol_addr, .. } = arp
    else {
        panic!("{arp:?}")
    };
    assert_eq!((operation, target_protocol_addr), (ArpOperation::Request, address));
    assert_eq!((source_hardware_addr.0, source_protocol_addr), (FABRIC_MAC.0, VTEP), "the address on their subnet");
    Mac(frame.dst_addr().0)
}

fn learn(mac: Mac) -> Output {
    Output::Learn { vif: FABRIC, address: PEER.into(), mac }
}

fn replay(frame: &[u8]) -> Output {
    Output::Replay { bytes: frame.to_vec() }
}

#[test]
fn a_frame_waits_for_the_reply() {
    let mut clocked = Clocked::new(Limits::default());
    let (outcome, out) = clocked.resolve(PEER, b"first");
    assert_eq!(outcome, Outcome::Held);
    assert_eq!(asked(&out[0], PEER), Mac::BROADCAST);
    assert_eq!(clocked.resolve(PEER, b"second"), (Outcome::Held, vec![]), "asked once");
    assert_eq!(clocked.local.held(), 2);
    assert_eq!(clocked.state(), Some((NeighbourState::Incomplete, None)));
    let (outcome, out) = clocked.arp(&bytes(FABRIC_REPLY));
    assert_eq!(outcome, Outcome::Consumed);
    assert_eq!(out, [learn(PEER_MAC), replay(b"first"), replay(b"second")]);
    assert_eq!(clocked.local.held(), 0);
    assert_eq!(clocked.state(), Some((NeighbourState::Reachable, Some(PEER_MAC))));
    // A worker with the snapshot of before.
    assert_eq!(clocked.resolve(PEER, b"late"), (Outcome::Held, vec![learn(PEER_MAC), replay(b"late")]));
    assert_eq!(clocked.local.held(), 0);
}

#[test]
fn a_request_from_the_neighbour_resolves_it_too_and_is_answered() {
    let mut clocked = Clocked::new(Limits::default());
    assert_eq!(clocked.resolve(PEER, b"first").0, Outcome::Held);
    let (outcome, out) = clocked.arp(&bytes(FABRIC_REQUEST));
    assert_eq!(outcome, Outcome::Consumed);
    assert_eq!(out[..2], [learn(PEER_MAC), replay(b"first")]);
    assert!(matches!(&out[2..], [Output::Frame { vif: FABRIC, .. }]));
}

#[test]
fn nobody_answers() {
    let mut clocked = Clocked::new(Limits::default());
    assert_eq!(clocked.resolve(PEER, b"first").0, Outcome::Held);
    let out = clocked.wait(5000);
    let times: Vec<u64> = out.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [1000, 2000, 3000]);
    assert!(out[..2].iter().all(|(_, output)| asked(output, PEER) == Mac::BROADCAST));
    assert_eq!(out[2].1, Output::Dropped(DropReason::NeighbourUnresolved, Some(WEB), b"first".to_vec()));
    assert_eq!((clocked.local.held(), clocked.state()), (0, None));
    // The next frame starts over.
    let (outcome, out) = clocked.resolve(PEER, b"again");
    assert_eq!((outcome, asked(&out[0], PEER)), (Outcome::Held, Mac::BROADCAST));
}

#[test]
fn a_wanted_neighbour_is_asked_for_ever_more_seldom_and_traffic_starts_over() {
    let mut clocked = Clocked::new(Limits::default());
    assert_eq!(clocked.local.want(FABRIC, PEER), Ok(None));
    let mut out = clocked.wait(131_000);
    let given_up = (3100, Output::Forget { vif: FABRIC, address: PEER.into() });
    assert_eq!(out.remove(3), given_up, "what needs it may go elsewhere");
    assert!(out.iter().all(|(_, output)| asked(output, PEER) == Mac::BROADCAST));
    let times: Vec<u64> = out.iter().map(|(at, _)| at / 100).collect();
    assert_eq!(times, [1, 11, 21, 51, 91, 171, 331, 651, 971, 1291]);
    let (outcome, out) = clocked.resolve(PEER, b"traffic");
    assert_eq!((outcome, out.len()), (Outcome::Held, 1));
    let dropped = clocked.wait(3000);
    let traffic = Output::Dropped(DropReason::NeighbourUnresolved, Some(WEB), b"traffic".to_vec());
    assert_eq!(dropped.last().unwrap().1, traffic);
    // Steady traffic to nobody asks once a second, no more (RFC 1122, section 2.3.2.1).
    let mut asked_at = Vec::new();
    for _ in 0..100 {
        let at = clocked.now;
        let now = clocked.resolve(PEER, b"traffic").1.into_iter().map(|output| (0, output));
        let sent = now.chain(clocked.wait(100)).filter(|(_, output)| matches!(output, Output::Frame { .. }));
        asked_at.extend(sent.map(|(after, _)| at + after));
    }
    assert!(asked_at.len() >= 7 && asked_at.windows(2).all(|pair| pair[1] - pair[0] >= 1000), "{asked_at:?}");
    clocked.local.unwant(FABRIC, PEER);
    clocked.wait(4000);
    assert_eq!((clocked.state(), clocked.local.held()), (None, 0));
}

#[test]
fn traffic_does_not_ask_sooner_than_a_second_after_the_last_request() {
    let mut clocked = Clocked::new(Limits::default());
    assert_eq!(clocked.local.want(FABRIC, PEER), Ok(None));
    let out = clocked.wait(5100);
    assert_eq!(out.last().map(|(at, _)| *at), Some(5100));
    assert_eq!(clocked.resolve(PEER, b"traffic"), (Outcome::Held, vec![]));
    let times: Vec<u64> = clocked.wait(5000).iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [1000, 2000, 3000, 4000, 4000], "three requests and the end, which is told");
}

#[test]
fn what_is_no_more_wanted_and_unresolved_goes_at_once() {
    let mut clocked = Clocked::new(Limits::default());
    assert_eq!(clocked.local.want(FABRIC, PEER), Ok(None));
    assert_eq!(clocked.local.want(FABRIC, Ipv4Addr::BROADCAST), Err(Unwanted::NoHost));
    clocked.local.unwant(FABRIC, PEER);
    assert_eq!(clocked.state(), None);
}

#[test]
fn who_is_known_and_wanted_again_is_told_with_its_mac() {
    let mut clocked = Clocked::new(Limits::default());
    assert_eq!(clocked.local.want(FABRIC, PEER), Ok(None));
    assert_eq!(clocked.arp(&bytes(FABRIC_REPLY)), (Outcome::Consumed, vec![learn(PEER_MAC)]));
    clocked.local.unwant(FABRIC, PEER);
    assert_eq!(clocked.local.want(FABRIC, PEER), Ok(Some(PEER_MAC)));
    // it would not be said again by itself
    assert_eq!(clocked.arp(&bytes(FABRIC_REPLY)), (Outcome::Consumed, vec![]));
}

#[test]
fn neighbours_learnt_together_are_probed_apart() {
    let mut clocked = Clocked::new(Limits::default());
    for last in 2..10 {
        assert_eq!(clocked.local.want(FABRIC, [192, 0, 2, last]), Ok(None));
        assert_eq!(clocked.arp(&patched(FABRIC_REPLY, 28, &[192, 0, 2, last])).0, Outcome::Consumed);
    }
    clocked.now += 22_000;
    let mut times: Vec<u64> = clocked.wait(900).iter().map(|(at, _)| *at).collect();
    times.extend(clocked.wait(4400).iter().map(|(at, _)| *at + 900));
    times.dedup();
    assert!(times.len() >= 6, "{times:?}");
}

#[test]
fn it_is_probed_by_unicast_before_it_expires() {
    let mut clocked = Clocked::new(Limits::default());
    assert_eq!(clocked.local.want(FABRIC, PEER), Ok(None));
    clocked.wait(100);
    assert_eq!(clocked.arp(&bytes(FABRIC_REPLY)), (Outcome::Consumed, vec![learn(PEER_MAC)]));
    for _ in 0..5 {
        let out = loop {
            let out = clocked.wait(100);
            if !out.is_empty() {
                break out;
            }
        };
        assert_eq!(asked(&out[0].1, PEER), PEER_MAC);
        assert_eq!(clocked.state(), Some((NeighbourState::Probing, Some(PEER_MAC))));
        assert_eq!(clocked.resolve(PEER, b"x").1.len(), 2, "still used meanwhile");
        assert_eq!(clocked.arp(&bytes(FABRIC_REPLY)), (Outcome::Consumed, vec![]), "nothing changed");
        assert_eq!(clocked.state(), Some((NeighbourState::Reachable, Some(PEER_MAC))));
    }
}

#[test]
fn a_silent_neighbour_is_probed_then_asked_for_by_broadcast_then_forgotten() {
    let mut clocked = Clocked::new(Limits::default());
    assert_eq!(clocked.resolve(PEER, b"first").0, Outcome::Held);
    assert_eq!(clocked.arp(&bytes(FABRIC_REPLY)).0, Outcome::Consumed);
    let out = clocked.wait(40_000);
    let to: Vec<Mac> =
        out.iter().filter(|(_, o)| matches!(o, Output::Frame { .. })).map(|(_, o)| asked(o, PEER)).collect();
    assert_eq!(to, [PEER_MAC, PEER_MAC, PEER_MAC, Mac::BROADCAST, Mac::BROADCAST, Mac::BROADCAST]);
    let (at, forget) = &out[3];
    assert_eq!(forget, &Output::Forget { vif: FABRIC, address: PEER.into() });
    assert!((25_000..=30_100).contains(at), "{at}");
    assert_eq!(clocked.state(), None);
}

#[test]
fn a_changed_mac_is_followed() {
    let mut clocked = Clocked::new(Limits::default());
    assert_eq!(clocked.resolve(PEER, b"first").0, Outcome::Held);
    assert_eq!(clocked.arp(&bytes(FABRIC_REPLY)).0, Outcome::Consumed);
    let moved = Mac([2, 0, 0, 0, 0, 0x0c]);
    // A gratuitous reply, and a gratuitous request.
    let mut reply = patched(FABRIC_REPLY, 22, &moved.0);
    reply[38..42].copy_from_slice(&PEER.octets());
    assert_eq!(clocked.arp(&reply), (Outcome::Consumed, vec![learn(moved)]));
    let request = patched(FABRIC_REQUEST, 38, &PEER.octets());
    assert_eq!(clocked.arp(&request), (Outcome::Consumed, vec![learn(PEER_MAC)]));
}

#[test]
fn the_hold_is_bounded_per_neighbour_and_in_all() {
    let mut clocked = Clocked::new(Limits { neighbours: 3, held: 5, held_per_neighbour: 3 });
    clocked.wait(100);
    for number in 0..3_u8 {
        assert_eq!(clocked.resolve(PEER, &[number]).0, Outcome::Held);
    }
    let full = Output::Dropped(DropReason::NeighbourHoldFull, Some(WEB), vec![0]);
    assert_eq!(clocked.resolve(PEER, &[3]), (Outcome::Held, vec![full]), "the newest stays");
    assert_eq!(clocked.local.held(), 3);
    let other = Ipv4Addr::new(192, 0, 2, 3);
    let third = Ipv4Addr::new(192, 0, 2, 4);
    assert_eq!(clocked.resolve(other, b"a").0, Outcome::Held);
    assert_eq!(clocked.resolve(other, b"b").0, Outcome::Held);
    assert_eq!(clocked.resolve(third, b"c").0, Outcome::Dropped(DropReason::NeighbourHoldFull), "full in all");
    assert_eq!(clocked.local.held(), 5);
    let asked_for: Vec<Mac> = clocked.wait(100).iter().map(|(_, output)| asked(output, third)).collect();
    assert_eq!(asked_for, [Mac::BROADCAST], "asked for all the same");
    let fourth = Ipv4Addr::new(192, 0, 2, 5);
    assert_eq!(clocked.resolve(fourth, b"d"), (Outcome::Dropped(DropReason::NeighbourHoldFull), vec![]));
    assert_eq!(clocked.local.want(FABRIC, fourth), Err(Unwanted::Full));
    let (_, out) = clocked.arp(&bytes(FABRIC_REPLY));
    assert_eq!(out, [learn(PEER_MAC), replay(&[1]), replay(&[2]), replay(&[3])]);
    assert_eq!(clocked.local.held(), 2);
}

#[test]
fn a_full_table_gives_up_a_resolved_neighbour_that_nobody_wants() {
    let mut clocked = Clocked::new(Limits { neighbours: 2, ..Limits::default() });
    assert_eq!(clocked.resolve(PEER, b"a").0, Outcome::Held);
    assert_eq!(clocked.arp(&bytes(FABRIC_REPLY)).0, Outcome::Consumed);
    let [second, third] = [3, 4].map(|last| Ipv4Addr::new(192, 0, 2, last));
    assert_eq!(clocked.resolve(second, b"b").0, Outcome::Held);
    let (outcome, out) = clocked.resolve(third, b"c");
    assert_eq!((outcome, &out[0]), (Outcome::Held, &Output::Forget { vif: FABRIC, address: PEER.into() }));
    assert_eq!(asked(&out[1], third), Mac::BROADCAST);
    // The one that no frame needed for longest.
    let mut clocked = Clocked::new(Limits { neighbours: 2, ..Limits::default() });
    for (address, last) in [(PEER, 2), (second, 3)] {
        assert_eq!(clocked.resolve(address, b"a").0, Outcome::Held);
        assert_eq!(clocked.arp(&patched(FABRIC_REPLY, 28, &[192, 0, 2, last])).0, Outcome::Consumed);
    }
    clocked.now += 1;
    assert_eq!(clocked.resolve(PEER, b"b").0, Outcome::Held);
    assert_eq!(clocked.resolve(third, b"c").1[0], Output::Forget { vif: FABRIC, address: second.into() });
    // Nor one that is wanted: it stays, and the newcomer is refused.
    let mut clocked = Clocked::new(Limits { neighbours: 1, ..Limits::default() });
    assert_eq!(clocked.local.want(FABRIC, PEER), Ok(None));
    assert_eq!(clocked.arp(&bytes(FABRIC_REPLY)).0, Outcome::Consumed);
    assert_eq!(clocked.resolve(second, b"b"), (Outcome::Dropped(DropReason::NeighbourHoldFull), vec![]));
}

#[test]
fn what_cannot_be_resolved_is_dropped_at_once() {
    let mut clocked = Clocked::new(Limits::default());
    for bad in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "ff02::1"] {
        let outcome = clocked.resolve(bad.parse::<IpAddr>().unwrap(), b"x");
        assert_eq!(outcome, (Outcome::Dropped(DropReason::NeighbourUnresolved), vec![]));
    }
    let punt = |vif| Punt {
        place: Place::Tunnel(RED),
        why: Why::Resolve { vif, neighbour: PEER.into() },
        frame: b"x",
        tunnel: Some(TUNNEL),
        l3_offset: 0,
    };
    for vif in [WEB, VifId(77)] {
        let outcome = clocked.local.punt(&clocked.snapshot, punt(vif), clocked.now, &mut Vec::new());
        assert_eq!(outcome, Outcome::Dropped(DropReason::NextHopGone));
    }
    assert_eq!(clocked.local.neighbours().count(), 0);
}

#[test]
fn a_vif_that_goes_takes_its_neighbours_along() {
    let mut clocked = Clocked::new(Limits::default());
    assert_eq!(clocked.resolve(PEER, b"first").0, Outcome::Held);
    assert_eq!(clocked.arp(&bytes(FABRIC_REPLY)).0, Outcome::Consumed);
    let other = Ipv4Addr::new(192, 0, 2, 3);
    assert_eq!(clocked.resolve(other, b"waits").0, Outcome::Held);
    clocked.wait(100);
    clocked.snapshot.vifs.set(FABRIC.index(), None);
    clocked.snapshot.generation = Generation(2);
    let out: Vec<Output> = clocked.wait(100).into_iter().map(|(_, output)| output).collect();
    let forget = Output::Forget { vif: FABRIC, address: PEER.into() };
    assert_eq!(out, [forget, Output::Dropped(DropReason::NextHopGone, Some(WEB), b"waits".to_vec())]);
    assert_eq!((clocked.local.held(), clocked.local.neighbours().count()), (0, 0));
}

#[test]
fn whom_another_process_knew_is_used_and_asked_whether_it_is_there() {
    let mut at = Clocked::new(Limits::default());
    let key: IpAddr = PEER.into();
    at.local.go_on_with(FABRIC, key, Mac([2; 6]), at.now);
    assert_eq!(at.local.want(FABRIC, key), Ok(Some(Mac([2; 6]))));
    let out = at.wait(100);
    assert!(matches!(&out[..], [(_, Output::Frame { .. })]), "probed at once: {out:?}");
    let out = at.wait(5000);
    assert!(out.iter().any(|(_, it)| matches!(it, Output::Forget { .. })), "nobody answered: {out:?}");
}
