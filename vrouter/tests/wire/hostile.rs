//! Hostile bytes at every port: no panic, and the books close.

use proptest::prelude::*;
use smoltcp::wire::Ipv4Packet;
use vrouter::api::v1;

use super::books;
use super::frames::{frame, names};
use super::lab::{At, Lab};
use super::network::{BA, RA, RA2, UP};

const PORTS: [At; 5] = [UP, RA, BA, RA2, (0, 6)];
/// Ethernet, and where a tunnel's inner frame or packet begins behind it.
const OUTER: usize = 14;
const INNER: [usize; 2] = [14 + 20 + 8 + 8 + 14, 14 + 20 + 8 + 4];

/// What is done to a good frame.
#[derive(Clone, Debug)]
enum Harm {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Grow(usize),
    Word(prop::sample::Index, u16),
    /// Bytes of another frame from here on.
    Splice(prop::sample::Index, prop::sample::Index),
    /// Checksums made right again, so that what is behind them is reached.
    Mend,
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        3 => (at(), any::<u8>()).prop_map(|(at, byte)| Harm::Set(at, byte)),
        3 => (at(), 0_u8..8).prop_map(|(at, bit)| Harm::Flip(at, bit)),
        2 => at().prop_map(Harm::Cut),
        1 => (1_usize..200).prop_map(Harm::Grow),
        2 => (at(), prop_oneof![Just(0), Just(0xffff), any::<u16>()]).prop_map(|(at, word)| Harm::Word(at, word)),
        1 => (at(), at()).prop_map(|(at, other)| Harm::Splice(at, other)),
        4 => Just(Harm::Mend),
    ]
}

fn apply(harm: &Harm, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    // most of what matters is in the first bytes
    let length = bytes.len();
    let near = |at: &prop::sample::Index| at.index(length.min(120));
    match harm {
        Harm::Set(at, byte) => bytes[near(at)] = *byte,
        Harm::Flip(at, bit) => bytes[near(at)] ^= 1 << bit,
        Harm::Cut(at) => bytes.truncate(at.index(length)),
        Harm::Grow(more) => bytes.resize((length + more).min(2000), 0xa5),
        Harm::Word(at, word) => {
            let at = near(at).min(length.saturating_sub(2));
            word.to_be_bytes().iter().zip(&mut bytes[at..]).for_each(|(new, old)| *old = *new);
        }
        Harm::Splice(at, other) => {
            let names = names();
            let other = frame(names[other.index(names.len())]);
            let at = near(at);
            bytes.truncate(at);
            bytes.extend(other.get(at..).unwrap_or_default());
        }
        Harm::Mend => {
            for at in INNER.into_iter().chain([OUTER]) {
                let Some(packet) = bytes.get_mut(at..) else { continue };
                if packet.first().is_some_and(|byte| byte >> 4 == 4)
                    && let Ok(mut packet) = Ipv4Packet::new_checked(packet)
                {
                    packet.fill_checksum();
                }
            }
        }
    }
}

/// Puts frames into a lab with live flows, and closes the books.
fn survive(workers: usize, frames: &[(At, Vec<u8>)]) {
    let mut lab = Lab::a(workers);
    for name in ["udp4.vxlan", "udp6.vxlan", "tcp.out.S"] {
        lab.put(RA, name);
    }
    lab.run();
    for (at, bytes) in frames {
        lab.put_bytes(*at, bytes);
        if bytes.len() % 3 == 0 {
            lab.run();
        }
    }
    lab.run();
    // packets that wait for a neighbour who is not there end
    lab.advance(4000);
    lab.discard();
    books::close(&mut lab);
    let flows = lab.rig().flows(v1::FlowsRequest::default());
    assert!(flows.len() <= frames.len() + 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_end_in_the_books(
        workers in 1_usize..3,
        frames in prop::collection::vec((0..PORTS.len(), prop::collection::vec(any::<u8>(), 0..256)), 1..40),
    ) {
        let frames: Vec<_> = frames.into_iter().map(|(port, bytes)| (PORTS[port], bytes)).collect();
        survive(workers, &frames);
    }

    #[test]
    fn harmed_frames_end_in_the_books(
        workers in 1_usize..3,
        frames in prop::collection::vec(
            (0..PORTS.len(), any::<prop::sample::Index>(), prop::collection::vec(harm(), 0..5)), 1..60,
        ),
    ) {
        let names = names();
        let frames: Vec<_> = frames.into_iter().map(|(port, name, harms)| {
            let mut bytes = frame(names[name.index(names.len())]).to_vec();
            harms.iter().for_each(|harm| apply(harm, &mut bytes));
            (PORTS[port], bytes)
        }).collect();
        survive(workers, &frames);
    }
}

/// Every frame of every shape: of those that are alike but for a number, the first.
fn shapes() -> Vec<&'static str> {
    let numbered = |name: &str| ["flood.", "quiet.", "to-c.", "ra.resolve."].iter().any(|many| name.starts_with(many));
    let first = |name: &str| name.split('.').any(|part| part == "0");
    names().into_iter().filter(|name| !numbered(name) || first(name)).collect()
}

/// After many frames: nothing waits, and the books close.
fn rest(lab: &mut Lab) {
    lab.run();
    lab.discard();
    lab.exchanged.clear();
}

#[test]
fn every_frame_cut_at_every_byte_ends_in_the_books() {
    for at in [UP, RA] {
        let mut lab = Lab::a(1);
        for name in shapes() {
            let bytes = frame(name);
            // of what is longer than a buffer, the headers and the end
            let whole = bytes.len();
            for length in (0..whole.min(2048)).chain(whole.max(2048 + 16) - 16..whole) {
                lab.put_bytes(at, &bytes[..length]);
                if length % 1024 == 1023 {
                    rest(&mut lab);
                }
            }
            rest(&mut lab);
        }
        lab.advance(4000);
        rest(&mut lab);
        books::close(&mut lab);
    }
}

/// One of each: what tenants send by either family, what comes by each tunnel, and what the slow path reads.
const REPRESENTATIVE: [&str; 12] = [
    "udp4.vxlan",
    "udp6.vxlan",
    "tcp.out.S",
    "fragment6.first",
    "error4.in",
    "udp4.vxlan.back",
    "udp6.mpls.back",
    "gre4.back",
    "arp.gateway",
    "underlay.ask-us",
    "nd.gateway",
    "echo4.gateway",
];

#[test]
fn every_byte_of_every_header_set_to_everything_ends_in_the_books() {
    for at in [UP, RA] {
        let mut lab = Lab::a(2);
        for name in REPRESENTATIVE {
            for place in 0..frame(name).len().min(130) {
                for value in 0..=255 {
                    let mut bytes = frame(name).to_vec();
                    bytes[place] = value;
                    lab.put_bytes(at, &bytes);
                    // behind a checksum that is right again
                    if [0, 1, 0x45, 0x7f, 0x80, 0xff].contains(&value) {
                        apply(&Harm::Mend, &mut bytes);
                        lab.put_bytes(at, &bytes);
                    }
                }
                rest(&mut lab);
            }
        }
        lab.advance(4000);
        rest(&mut lab);
        books::close(&mut lab);
    }
}
