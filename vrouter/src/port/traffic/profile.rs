//! A traffic profile: which flows, of which sizes, how wrapped, how fast. Data alone.

use std::net::{IpAddr, Ipv4Addr};

use crate::ids::{Label, Mac, Vni};

/// Flows that a source can be asked for by number.
pub const MOST_FLOWS: u64 = 1 << 24;
/// Different flows of a source that always makes new ones, at most: then they begin again.
pub const NEW_FLOWS: u64 = 1 << 32;
/// Bytes of IMIX's sizes with FCS, and the order in which they come: 7 to 4 to 1.
pub const IMIX: ([u16; 3], [u8; 12]) = ([64, 594, 1518], [0, 1, 0, 1, 0, 0, 2, 0, 1, 0, 1, 0]);

/// What a source makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Flows that there are; each has a number from 0.
    pub flows: u64,
    /// Where flows begin and lead to: [`Profile::ends`].
    pub clients: Range,
    pub servers: Range,
    /// The client port of the first flows; the servers' port.
    pub first_port: u16,
    pub server_port: u16,
    /// True: the servers' packets to the clients, else the clients'.
    pub reply: bool,
    pub sizes: Sizes,
    /// Frames a second, of all queues together; absent: as fast as they are taken.
    pub rate: Option<u64>,
    /// Frames at once, where no rate is given.
    pub burst: usize,
    /// Silent until so many stamped frames were sent to this device.
    pub after: u64,
    /// Silent after so many frames.
    pub frames: Option<u64>,
    pub split: Split,
    /// Source and destination of the tenant's frame.
    pub macs: (Mac, Mac),
    pub tunnel: Option<Tunnel>,
}

/// Addresses of one family: those of a prefix, by their last 32 bits at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub first: IpAddr,
    /// Bits that vary, at most 32.
    pub bits: u32,
}

/// Frame sizes in bytes with FCS; those of tenants' frames, before they are wrapped. A size that headers and stamp exceed is raised
/// to theirs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sizes {
    One(u16),
    Imix,
}

/// Which flows each queue has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Split {
    /// Each its share.
    Disjoint,
    /// The same shares from the last queue to the first: beside a disjoint source of as many queues, replies come to other workers than
    /// what they answer.
    Crossed,
    /// Each all of them.
    Shared,
}

/// How frames are wrapped, over IPv4. The outer source port is made of the flow's number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tunnel {
    pub kind: TunnelKind,
    pub macs: (Mac, Mac),
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TunnelKind {
    Vxlan(Vni),
    /// The IP packet alone.
    MplsOverUdp(Label),
}

/// What varies from flow to flow: the last 32 bits of both addresses, and the client's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    pub client: u32,
    pub server: u32,
    pub port: u16,
}

impl Range {
    /// The last 32 bits of the first address, and a mask of those that vary.
    pub fn last(self) -> (u32, u32) {
        let first = match self.first {
            IpAddr::V4(first) => first.to_bits(),
            IpAddr::V6(first) => first.to_bits() as u32,
        };
        (first, ((1_u64 << self.bits) - 1) as u32)
    }
}

impl Profile {
    /// Flows that addresses and ports suffice for.
    pub fn room(clients: Range, first_port: u16) -> u64 {
        (1_u64 << clients.bits) * (u64::from(u16::MAX - first_port) + 1)
    }

    /// The ends of a flow: its number counts up the clients' addresses, then the ports, and beside them the servers' addresses.
    #[inline]
    pub fn ends(&self, flow: u64) -> Ends {
        let ((client, varies), (server, server_varies)) = (self.clients.last(), self.servers.last());
        Ends {
            client: client | flow as u32 & varies,
            server: server | flow as u32 & server_varies,
            port: self.first_port.wrapping_add((flow >> self.clients.bits) as u16),
        }
    }

    /// The numbers of the flows that a queue has: the first, and how many.
    pub fn share(&self, queue: u64, queues: u64) -> (u64, u64) {
        let queue = if self.split == Split::Crossed { queues - 1 - queue } else { queue };
        let at = |queue: u64| (u128::from(self.flows) * u128::from(queue) / u128::from(queues)) as u64;
        match self.split {
            Split::Shared => (0, self.flows),
            // fewer flows than queues: some share one
            _ if self.flows < queues => (queue % self.flows, 1),
            _ => (at(queue), at(queue + 1) - at(queue)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::traffic::args::parse;
    use std::collections::HashSet;

    fn profile(arguments: &str) -> Profile {
        parse(arguments).unwrap().profile.unwrap()
    }

    #[test]
    fn each_flow_has_ends_of_its_own() {
        let profile = profile("source0,flows=200000,clients=10.128.0.0/16,servers=20.0.0.0/28,first_port=1024");
        let ends: HashSet<(u32, u16)> =
            (0..200_000).map(|flow| profile.ends(flow)).map(|ends| (ends.client, ends.port)).collect();
        assert_eq!(ends.len(), 200_000);
        let last = profile.ends(199_999);
        assert_eq!((last.client, last.port), (0x0a80_0000 | 199_999 & 0xffff, 1024 + 3));
        assert_eq!(last.server, 0x1400_000f);
    }

    #[test]
    fn queues_share_the_flows() {
        let mut profile = profile("source0,flows=1000");
        let shares: Vec<(u64, u64)> = (0..3).map(|queue| profile.share(queue, 3)).collect();
        assert_eq!(shares, [(0, 333), (333, 333), (666, 334)]);
        profile.split = Split::Crossed;
        assert_eq!(profile.share(0, 3), (666, 334));
        profile.split = Split::Shared;
        assert_eq!(profile.share(2, 3), (0, 1000));
        (profile.flows, profile.split) = (1, Split::Disjoint);
        assert_eq!((0..3).map(|queue| profile.share(queue, 3)).collect::<Vec<_>>(), [(0, 1); 3]);
    }
}
