//! IPv6 neighbours: what an advertisement means in each state (RFC 4861, section 7.2.5).

use super::super::{NeighbourState, Unwanted};
use super::neighbour::Clocked;
use super::*;
use crate::drops::DropReason;

/// `Ether(src="02:00:00:00:00:0b",dst="02:00:00:00:00:0a")/IPv6(src="fd0f::2",dst="fd0f::1",hlim=255)/ICMPv6ND_NA(tgt="fd0f::2",R=0,S=1,O=1)/ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:0b")`
pub(super) const ADVERT: &str = "02000000000a02000000000b86dd6000000000203afffd0f0000000000000000000000000002fd0f000000000000000000000000000188001c6460000000fd0f0000000000000000000000000002020102000000000b";
/// The same without its option.
pub(super) const BARE_ADVERT: &str = "02000000000a02000000000b86dd6000000000183afffd0f0000000000000000000000000002fd0f00000000000000000000000000018800207860000000fd0f0000000000000000000000000002";
/// `Ether(src="02:00:00:00:00:0a",dst="33:33:ff:00:00:02")/IPv6(src="fd0f::1",dst="ff02::1:ff00:2",hlim=255)/ICMPv6ND_NS(tgt="fd0f::2")/ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:0a")`
const ASKED: &str = "3333ff00000202000000000a86dd6000000000203afffd0f0000000000000000000000000001ff0200000000000000000001ff00000287007d7000000000fd0f0000000000000000000000000002010102000000000a";
const ICMP: usize = 14 + 40;
const MAC_AT: usize = ICMP + 24 + 2;
const PEER6: Ipv6Addr = Ipv6Addr::new(0xfd0f, 0, 0, 0, 0, 0, 0, 2);
const OTHER: Mac = Mac([2, 0, 0, 0, 0, 0x0c]);

/// The world, where the fabric VIF is fd0f::1 and fe80::1 too.
pub(super) fn world_v6() -> Snapshot {
    let mut snapshot = world();
    let ours = [LINK_LOCAL, Ipv6Addr::new(0xfd0f, 0, 0, 0, 0, 0, 0, 1)].map(IpAddr::V6);
    let mut vif = fabric();
    vif.addresses.extend(ours);
    snapshot.vifs.set(FABRIC.index(), Some(Arc::new(vif)));
    snapshot
}

fn clocked() -> Clocked {
    Clocked { snapshot: world_v6(), ..Clocked::new(Limits::default()) }
}

/// Its peer was asked for and said this MAC.
fn known() -> Clocked {
    let mut clocked = clocked();
    let (outcome, out) = clocked.resolve(PEER6, b"first");
    assert_eq!((outcome, out), (Outcome::Held, vec![Output::Frame { vif: FABRIC, bytes: bytes(ASKED) }]));
    let replay = Output::Replay { bytes: b"first".to_vec() };
    assert_eq!(say(&mut clocked, PEER_MAC, 0x60), (Outcome::Consumed, vec![learn(PEER_MAC), replay]));
    assert_eq!(clocked.state(), Some((NeighbourState::Reachable, Some(PEER_MAC))));
    clocked
}

fn learn(mac: Mac) -> Output {
    Output::Learn { vif: FABRIC, address: PEER6.into(), mac }
}

/// An advertisement of this MAC with these flags: 0x40 solicited, 0x20 override.
fn say(clocked: &mut Clocked, mac: Mac, flags: u8) -> (Outcome, Vec<Output>) {
    let frame = super::nd::sound(ADVERT, &[(MAC_AT, &mac.0), (ICMP + 4, &[flags])]);
    clocked.fabric(Why::NeighbourDiscovery, &frame)
}

/// Whom it asks next, and after how long.
fn next_question(clocked: &mut Clocked) -> (u64, Mac) {
    let out = clocked.wait(40_000);
    let Some((at, Output::Frame { bytes, .. })) = out.first() else { panic!("{out:?}") };
    (*at, Mac(bytes[..6].try_into().unwrap()))
}

#[test]
fn what_an_advertisement_means_for_a_reachable_neighbour() {
    use NeighbourState::{Probing, Reachable};
    let cases = [
        // another's MAC without override: not taken, and the one that is known is asked
        (OTHER, 0x40, None, Probing, PEER_MAC),
        (OTHER, 0x00, None, Probing, PEER_MAC),
        // with override: taken; confirmed if solicited, else asked
        (OTHER, 0x60, Some(OTHER), Reachable, OTHER),
        (OTHER, 0x20, Some(OTHER), Probing, OTHER),
        // the same MAC: nothing new
        (PEER_MAC, 0x60, None, Reachable, PEER_MAC),
        (PEER_MAC, 0x40, None, Reachable, PEER_MAC),
        (PEER_MAC, 0x20, None, Reachable, PEER_MAC),
        (PEER_MAC, 0x00, None, Reachable, PEER_MAC),
    ];
    for (mac, flags, learnt, state, mac_then) in cases {
        let mut clocked = known();
        clocked.now += 5000;
        let expected = learnt.map(learn).into_iter().collect();
        assert_eq!(say(&mut clocked, mac, flags), (Outcome::Consumed, expected), "{mac} {flags:#x}");
        assert_eq!(clocked.state(), Some((state, Some(mac_then))), "{mac} {flags:#x}");
        let (after, asked) = next_question(&mut clocked);
        assert_eq!((after < 200, asked), (state == Probing, mac_then), "{mac} {flags:#x}: {after} ms");
    }
}

#[test]
fn a_doubted_neighbour_is_settled_by_a_solicited_answer_alone() {
    let mut clocked = known();
    clocked.now += 5000;
    assert_eq!(say(&mut clocked, OTHER, 0x20).1, [learn(OTHER)]);
    assert_eq!(say(&mut clocked, PEER_MAC, 0x00), (Outcome::Consumed, vec![]), "no override: not believed");
    assert_eq!(say(&mut clocked, OTHER, 0x20), (Outcome::Consumed, vec![]));
    assert_eq!(clocked.state(), Some((NeighbourState::Probing, Some(OTHER))), "unsolicited: not confirmed");
    let bare = super::nd::sound(BARE_ADVERT, &[]);
    assert_eq!(clocked.fabric(Why::NeighbourDiscovery, &bare), (Outcome::Consumed, vec![]));
    assert_eq!(clocked.state(), Some((NeighbourState::Reachable, Some(OTHER))), "solicited, and no MAC to contradict");
}

#[test]
fn an_unsolicited_answer_ends_the_wait_and_is_verified() {
    let mut clocked = clocked();
    assert_eq!(clocked.resolve(PEER6, b"first").0, Outcome::Held);
    let bare = super::nd::sound(BARE_ADVERT, &[]);
    let outcome = clocked.fabric(Why::NeighbourDiscovery, &bare);
    assert_eq!(outcome, (Outcome::Dropped(DropReason::NeighbourNotOurs), vec![]), "no MAC in it");
    // neither flag matters while nothing is known
    let (outcome, out) = say(&mut clocked, PEER_MAC, 0x00);
    assert_eq!((outcome, &out[0], out.len()), (Outcome::Consumed, &learn(PEER_MAC), 2));
    assert_eq!(clocked.state(), Some((NeighbourState::Probing, Some(PEER_MAC))));
    let (after, asked) = next_question(&mut clocked);
    assert_eq!((after, asked), (1000, PEER_MAC), "not sooner than a second after the question");
}

#[test]
fn what_is_wanted_is_asked_for_from_the_address_on_its_subnet() {
    let mut clocked = clocked();
    assert_eq!(clocked.local.want(FABRIC, PEER6), Ok(None));
    assert_eq!(clocked.local.want(FABRIC, Ipv6Addr::LOCALHOST), Err(Unwanted::NoHost));
    let out: Vec<Output> = clocked.wait(100).into_iter().map(|(_, output)| output).collect();
    assert_eq!(out, [Output::Frame { vif: FABRIC, bytes: bytes(ASKED) }]);
    // a fabric VIF without IPv6 has nothing to ask from
    let mut bare = Clocked::new(Limits::default());
    assert_eq!(bare.local.want(FABRIC, PEER6), Ok(None));
    assert_eq!(bare.wait(100), []);
}

#[test]
fn errors_to_the_fabric_come_from_its_own_address() {
    // as UDP6, from fd0f::2 to fd0f::1
    let mut frame = bytes(super::bytes::UDP6);
    for (at, last) in [(14 + 8, 2), (14 + 24, 1)] {
        frame[at..at + 16].copy_from_slice(&Ipv6Addr::new(0xfd0f, 0, 0, 0, 0, 0, 0, last).octets());
    }
    for (snapshot, told) in [(world_v6(), true), (world(), false)] {
        let (outcome, out) = punt(&snapshot, Place::Vif(FABRIC), Why::TtlExpired, &frame);
        assert_eq!((outcome, out.is_empty()), (Outcome::Consumed, !told), "no address, no error");
        if told {
            let packet = packet_of(UNDERLAY, &out);
            assert_eq!(packet[8..24], Ipv6Addr::new(0xfd0f, 0, 0, 0, 0, 0, 0, 1).octets(), "global before link-local");
            assert_eq!((packet[24..40].to_vec(), packet[40]), (PEER6.octets().to_vec(), 3));
        }
    }
}
