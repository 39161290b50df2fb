//! Filters of frames, in the language of tcpdump (pcap-filter(7)) as far as it is about what a vRouter carries, with words for its tunnels.
//!
//! [`Filter::parse`] makes one of text; [`Filter::matches`] holds it against a frame, whatever its bytes are: it cannot fail and allocates
//! nothing. What a frame is too short for, it does not have, and neither what would be behind a tag that is not there. Else it means the same as
//! libpcap's filter of the same text (`tests/filter.rs`).

mod layers;
mod parse;
#[cfg(test)]
mod tests;

use super::{be16, be32};
use layers::{Layer, Layers};
pub use parse::{Fault, FilterError};

/// Tests and operators that a filter may have.
pub const MOST_NODES: usize = 128;
/// Headers that it may look behind: tags and tunnels.
pub const MOST_STEPS: usize = 6;
/// Bytes of its text.
pub const MOST_BYTES: usize = 4096;

/// Which frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// What lies between one layer and the next one.
    steps: Vec<Step>,
    /// What a node rests on stands before it; the last one is the answer. None: every frame.
    nodes: Vec<Node>,
}

/// What is between a layer and the one in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// An 802.1Q or 802.1ad tag.
    Vlan,
    Vxlan,
    Geneve,
    /// MPLS over UDP or GRE.
    Mpls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    /// Of this layer.
    Test(usize, Test),
    Not(usize),
    And(usize, usize),
    Or(usize, usize),
}

/// What is asked of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Ethertype(u16),
    Mac(Direction, [u8; 6]),
    /// To everybody.
    Broadcast,
    /// To a group, everybody included.
    Multicast,
    /// The protocol of an IP packet of these versions.
    Protocol {
        of: Versions,
        number: u8,
    },
    /// IPv4 addresses, in packets of these EtherTypes.
    Net4 {
        of: Direction,
        address: u32,
        mask: u32,
        ip: bool,
        arp: bool,
        rarp: bool,
    },
    Net6 {
        of: Direction,
        address: u128,
        mask: u128,
    },
    Ports {
        of: Direction,
        first: u16,
        last: u16,
        /// Absent: of TCP, UDP and SCTP.
        protocol: Option<u8>,
    },
    /// Bytes of the frame.
    AtMost(usize),
    AtLeast(usize),
    /// The next step is there, with this VLAN, VNI or label; absent: with any.
    Step(Option<u32>),
}

/// Of a packet's two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Source,
    Destination,
    Either,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Versions {
    V4,
    V6,
    Both,
}

impl Direction {
    #[inline]
    fn holds<T>(self, (source, destination): (T, T), fits: impl Fn(T) -> bool) -> bool {
        match self {
            Direction::Source => fits(source),
            Direction::Destination => fits(destination),
            Direction::Either => fits(source) || fits(destination),
            Direction::Both => fits(source) && fits(destination),
        }
    }
}

impl Filter {
    /// Whether it wants this frame.
    pub fn matches(&self, frame: &[u8]) -> bool {
        match self.nodes.len() {
            0 => true,
            count => self.node(count - 1, &Layers::of(frame, &self.steps)),
        }
    }

    /// As deep as there are nodes at most: what a node rests on stands before it.
    fn node(&self, at: usize, layers: &Layers) -> bool {
        match self.nodes[at] {
            Node::Test(layer, test) => test.holds(layers, layer),
            Node::Not(of) => !self.node(of, layers),
            Node::And(a, b) => self.node(a, layers) && self.node(b, layers),
            Node::Or(a, b) => self.node(a, layers) || self.node(b, layers),
        }
    }
}

impl Test {
    fn holds(self, layers: &Layers, at: usize) -> bool {
        let frame = layers.frame;
        match self {
            Test::AtMost(bytes) => return frame.len() <= bytes,
            Test::AtLeast(bytes) => return frame.len() >= bytes,
            _ => {}
        }
        let Some(layer) = layers.layer(at) else { return false };
        match self {
            Test::Ethertype(ethertype) => layer.ethertype == ethertype,
            Test::Mac(..) | Test::Broadcast | Test::Multicast => layer.link(frame).is_some_and(|link| self.fits(link)),
            Test::Protocol { of, number } => layer.has_protocol(frame, of, number),
            Test::Net4 { .. } => self.in_net4(layer, frame),
            Test::Net6 { of, address, mask } => {
                let ends = layer.ends6(frame);
                ends.is_some_and(|ends| of.holds(ends, |it| u128::from_be_bytes(*it) & mask == address))
            }
            Test::Ports { of, first, last, protocol } => {
                let ports = layer.ports(frame, protocol);
                ports.is_some_and(|ends| of.holds(ends, |port| (first..=last).contains(&port)))
            }
            Test::Step(number) => layers.step(at).is_some_and(|found| number.is_none_or(|number| number == found)),
            Test::AtMost(_) | Test::AtLeast(_) => false,
        }
    }

    /// Of the two MACs of a link.
    fn fits(self, [destination, source]: [&[u8; 6]; 2]) -> bool {
        match self {
            Test::Mac(of, mac) => of.holds((source, destination), |it| *it == mac),
            Test::Broadcast => *destination == [0xff; 6],
            Test::Multicast => destination[0] & 1 == 1,
            _ => false,
        }
    }

    fn in_net4(self, layer: &Layer, frame: &[u8]) -> bool {
        let Test::Net4 { of, address, mask, ip, arp, rarp } = self else { return false };
        let ends = match layer.ethertype {
            layers::IPV4 if ip => (12, 16),
            layers::ARP if arp => (14, 24),
            layers::RARP if rarp => (14, 24),
            _ => return false,
        };
        let read = |at: usize| frame.get(layer.l3 + at..layer.l3 + at + 4).map(|bytes| be32(bytes, 0));
        match (read(ends.0), read(ends.1)) {
            (Some(source), Some(destination)) => of.holds((source, destination), |it| it & mask == address),
            _ => false,
        }
    }
}

/// The 16-bit word there, if the frame reaches so far.
fn word(frame: &[u8], at: usize) -> Option<u16> {
    frame.get(at..at + 2).map(|bytes| be16(bytes, 0))
}
