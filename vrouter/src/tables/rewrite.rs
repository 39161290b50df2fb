//! What a next hop does to a plain packet, made ready: its headers and where to send it.

use std::sync::Arc;

use super::{Encap, NextHopKind, Slots, Template, Tunnel, Underlay, Way, Ways};
use crate::ids::PortIndex;
use crate::packet::{checksum, ether};

/// Headers and port of one way out. What differs per packet is left to fill in: outer TOS, lengths, IPv4 checksum, UDP source port, flow
/// label, and the EtherType before the tenant's packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// The headers, of which the last byte is the last one here.
    pub headers: [u8; Rewrite::ROOM],
    /// Bytes of them.
    pub len: u8,
    pub shape: Shape,
    /// Outer TOS or traffic class: these bits of the packet's, and these besides.
    pub class_mask: u8,
    pub class_bits: u8,
    /// Sum of the outer IPv4 header's 16-bit words as they stand in `headers`.
    pub sum: u32,
    pub port: PortIndex,
}

/// What the packet is put into: an Ethernet frame alone, or a tunnel over IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Ethernet,
    /// VXLAN or GENEVE: their headers are equally long.
    Framed4,
    MplsUdp4,
    MplsGre4,
    Framed6,
    MplsUdp6,
    MplsGre6,
}

impl Shape {
    /// That of such a tunnel; none for frames, which the lane does not take.
    fn of(encap: Encap, v4: bool) -> Option<Shape> {
        Some(match (encap, v4) {
            (Encap::Frames(_), _) => return None,
            (Encap::Vxlan { .. } | Encap::Geneve { .. }, true) => Shape::Framed4,
            (Encap::MplsOverUdp { .. }, true) => Shape::MplsUdp4,
            (Encap::MplsOverGre { .. }, true) => Shape::MplsGre4,
            (Encap::Vxlan { .. } | Encap::Geneve { .. }, false) => Shape::Framed6,
            (Encap::MplsOverUdp { .. }, false) => Shape::MplsUdp6,
            (Encap::MplsOverGre { .. }, false) => Shape::MplsGre6,
        })
    }
}

/// A next hop's rewrites, as far as it has any for plain packets: none where it leads nowhere, or asks for more than these steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// For all packets.
    one: Option<Rewrite>,
    /// A tunnel that goes several ways: by the flow's hash.
    several: Option<Box<Several>>,
}

/// Those of a tunnel's ways, and which way each share of the flows has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Several {
    slots: Arc<Slots>,
    ways: Box<[Option<Rewrite>]>,
}

impl Ready {
    /// Those of such a next hop.
    pub fn of(kind: &NextHopKind) -> Ready {
        match kind {
            NextHopKind::Vif { port, dst_mac, src_mac, .. } => {
                let header = ether::write(*dst_mac, *src_mac, 0);
                let one = Some(Rewrite::new(&header, *port));
                Ready { one, several: None }
            }
            NextHopKind::Tunnel(tunnel) if tunnel.marking.label.is_none() => match &tunnel.ways {
                Ways::One(way) => Ready { one: Rewrite::of(tunnel, way), several: None },
                Ways::Several(several) => {
                    let slots = several.slots().clone();
                    let ways = several.ways().iter().map(|way| Rewrite::of(tunnel, way)).collect();
                    Ready { one: None, several: Some(Box::new(Several { slots, ways })) }
                }
            },
            _ => Ready::default(),
        }
    }

    /// That of the flow with this hash.
    #[inline(always)]
    pub fn way(&self, hash: u64) -> Option<&Rewrite> {
        match (&self.one, &self.several) {
            (Some(one), _) => Some(one),
            (None, Some(several)) => several.ways.get(several.slots.way(hash))?.as_ref(),
            (None, None) => None,
        }
    }
}

impl Rewrite {
    /// The longest headers, to whole blocks.
    pub const ROOM: usize = 96;
    /// No headers, and no packet's way.
    pub const NOTHING: Rewrite = Rewrite {
        headers: [0; Rewrite::ROOM],
        len: 0,
        shape: Shape::Ethernet,
        class_mask: 0,
        class_bits: 0,
        sum: 0,
        port: PortIndex(u16::MAX),
    };

    fn new(headers: &[u8], port: PortIndex) -> Rewrite {
        let mut room = [0; Rewrite::ROOM];
        room[Rewrite::ROOM - headers.len()..].copy_from_slice(headers);
        Rewrite { headers: room, len: headers.len() as u8, port, ..Rewrite::NOTHING }
    }

    /// That of one way of a tunnel; `None` while its neighbour is not known.
    fn of(tunnel: &Tunnel, way: &Way) -> Option<Rewrite> {
        let Underlay::Resolved(adjacency) = &way.underlay else { return None };
        let (headers, l3) = (way.template.headers(), way.template.l3());
        let v4 = tunnel.remote.is_ipv4();
        let sum = if v4 { checksum::sum(headers.get(l3..l3 + 20)?, 0) } else { 0 };
        Some(Rewrite {
            shape: Shape::of(tunnel.encap, v4)?,
            class_mask: tunnel.marking.class_mask,
            class_bits: tunnel.marking.class_bits,
            sum,
            ..Rewrite::new(headers, adjacency.port)
        })
    }
}

const _: () = assert!(Template::MAX <= Rewrite::ROOM);
