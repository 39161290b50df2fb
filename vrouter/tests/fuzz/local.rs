//! Bytes to the slow path: ARP, ND and ICMP punts of every place and for every reason, and steps of its clock. Each punt has one
//! outcome, each held frame one end, what is kept is bounded, and what is sent is a frame. Inputs that begin so are of BFD instead.

use std::sync::{Arc, LazyLock};

use vrouter::ids::{Label, Place, VifId, Vni, VrfId};
use vrouter::local::{Limits, Local, Outcome, Output, Punt, TunnelId, TunnelSource, Why};
use vrouter::tables::Snapshot;

use super::bfd;
use super::input::{Input, counted};
use super::model;
use crate::{frames, network};

static SNAPSHOT: LazyLock<Arc<Snapshot>> = LazyLock::new(|| model::of(&network::a_dynamic()).snapshot());
const LIMITS: Limits = Limits { neighbours: 6, held: 12, held_per_neighbour: 4 };

struct Seen {
    local: Local,
    now: u64,
    held: usize,
    ended: usize,
    consumed: u64,
    dropped: u64,
}

/// What the input of BFD's part begins with.
const BFD: u8 = 0xbf;

/// Steps, each a byte and what it needs.
pub fn run(bytes: &[u8]) {
    if let Some((&BFD, rest)) = bytes.split_first() {
        return bfd::run(rest);
    }
    let mut input = Input(bytes);
    let mut seen = Seen { local: Local::new(LIMITS), now: 0, held: 0, ended: 0, consumed: 0, dropped: 0 };
    while let Some(step) = input.byte() {
        match step % 8 {
            0..=4 => {
                let Some(()) = punt(&mut seen, &mut input) else { break };
            }
            5 => seen.now += 50 * u64::from(input.byte().unwrap_or_default()),
            6 => _ = seen.local.want(VifId(0), neighbour(input.byte().unwrap_or_default())),
            _ => seen.local.unwant(VifId(0), neighbour(input.byte().unwrap_or_default())),
        }
        let mut out = Vec::new();
        seen.local.tick(&SNAPSHOT, seen.now, &mut out);
        note(&mut seen, out);
    }
    // who waits gives up
    for _ in 0..8 {
        seen.now += 1000;
        let mut out = Vec::new();
        seen.local.tick(&SNAPSHOT, seen.now, &mut out);
        note(&mut seen, out);
    }
    assert_eq!(seen.local.held(), 0);
}

fn neighbour(last: u8) -> std::net::IpAddr {
    if last % 4 == 3 {
        std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last.into()).into()
    } else {
        [10, 0, 0, last].into()
    }
}

/// Place, reason, where the L3 packet begins, the frame. `None`: the input ends.
fn punt(seen: &mut Seen, input: &mut Input) -> Option<()> {
    let (place, why, l3, frame) = (input.byte()?, input.byte()?, input.byte()?, input.counted()?);
    let number = u32::from(place >> 2);
    let (place, tunnel) = match place % 4 {
        0 | 1 => (Place::Vif(VifId(number % 6)), None),
        by => {
            let id = match by {
                2 => TunnelId::Vxlan(Vni(100)),
                _ if place & 0x80 == 0 => TunnelId::Label(Label(1000)),
                _ => TunnelId::Geneve(Vni(100)),
            };
            (Place::Tunnel(VrfId(number % 5)), Some(TunnelSource { remote: [10, 0, 0, 2].into(), id }))
        }
    };
    let reason = match why % 8 {
        0 | 7 => Why::Arp,
        1 => Why::NeighbourDiscovery,
        2 => Why::ForUs,
        3 => Why::TtlExpired,
        4 => Why::TooBig { mtu: u16::from(why) * 8 },
        5 => Why::NoRoute,
        _ => Why::Resolve { vif: VifId(number % 2), neighbour: neighbour(why >> 3) },
    };
    let punt = Punt { place, why: reason, frame, tunnel, l3_offset: l3.into() };
    let mut out = Vec::new();
    match seen.local.punt(&SNAPSHOT, punt, seen.now, &mut out) {
        Outcome::Consumed => seen.consumed += 1,
        Outcome::Held => seen.held += 1,
        Outcome::Dropped(_) => seen.dropped += 1,
    }
    note(seen, out);
    Some(())
}

fn note(seen: &mut Seen, out: Vec<Output>) {
    // an answer to a punt, and who waits
    assert!(out.len() <= LIMITS.held + LIMITS.neighbours + 4, "{} outputs at once", out.len());
    for output in out {
        match output {
            Output::Replay { .. } | Output::Dropped(..) => seen.ended += 1,
            Output::Frame { bytes, .. } => assert!((42..=1514).contains(&bytes.len()), "{bytes:02x?}"),
            Output::Routed { packet, .. } => {
                assert!(matches!(packet[0] >> 4, 4 | 6) && (28..=1500).contains(&packet.len()), "{packet:02x?}");
            }
            Output::Learn { .. } | Output::Forget { .. } => {}
        }
    }
    let local = &seen.local;
    assert!(local.held() <= LIMITS.held && local.neighbours().count() <= LIMITS.neighbours);
    assert_eq!(seen.held, seen.ended + local.held(), "every held frame comes out once");
    let counters = local.counters();
    assert_eq!((counters.consumed, counters.dropped), (seen.consumed, seen.dropped));
}

pub fn seeds() -> Vec<Vec<u8>> {
    let slow =
        ["arp", "nd.", "rs", "na", "ns", "echo", "error", "ttl", "udp4.vxlan", "udp6.vxlan", "fragment", "tcp.out.S"];
    let names = frames::names().into_iter().filter(|name| slow.iter().any(|word| name.starts_with(word)));
    let mut seeds: Vec<Vec<u8>> = bfd::seeds().into_iter().map(|seed| [&[BFD][..], &seed].concat()).collect();
    for (number, name) in names.enumerate() {
        let frame = counted(frames::frame(name));
        let punt = |place: u8, why: u8| [&[0, place, why, 14][..], &frame].concat();
        for why in 0..6 {
            seeds.push([punt(4, why), punt(0, why), vec![5, number as u8], punt(6, why)].concat());
        }
        seeds.push([punt(0, 6 + 16), vec![5, 30], punt(4, 6 + 16), vec![6, 2], vec![5, 255], punt(0, 0)].concat());
    }
    seeds
}
