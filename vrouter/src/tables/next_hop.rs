//! Next hops: what to do with a packet once its route is known.

use std::net::IpAddr;

use super::cut::Stamp;
use super::{Group, Marking, Ready, Ways};
use crate::ids::{Generation, Label, Mac, PortIndex, VifId, Vlan, Vni, VrfId};

/// One next hop. Only rewrites (MACs, outer addresses, VNI or label, MTU, a resolved neighbour) change behind its number without
/// a new `stamp`; a change of kind, egress VIF or VRF, or of the egress VIF's policy, raises it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    stamp: Stamp,
    /// Largest L3 packet in bytes that may leave by it, before encapsulation.
    pub mtu: u16,
    /// What it does to plain packets; follows from `kind`.
    ready: Ready,
    /// Not to be changed after [`NextHop::new`].
    pub kind: NextHopKind,
}

impl NextHop {
    /// A next hop that does this, and is not stamped yet.
    pub fn new(mtu: u16, kind: NextHopKind) -> NextHop {
        NextHop { stamp: Stamp::default(), mtu, ready: Ready::of(&kind), kind }
    }

    /// Generation of the last change that flows must notice.
    pub fn stamp(&self) -> Generation {
        self.stamp.generation()
    }

    /// Stamps it.
    pub fn set_stamp(&mut self, stamp: Generation) {
        self.stamp = Stamp::of(stamp);
    }

    /// The same as a number; above all generations while it is cut.
    #[inline(always)]
    pub fn last(&self) -> u64 {
        self.stamp.last()
    }

    /// Whether whom it leads to is known to be gone, though the snapshot does not say so yet.
    #[inline]
    pub fn is_cut(&self) -> bool {
        self.stamp.is_cut()
    }

    pub(super) fn cut(&self, cut: bool) {
        self.stamp.cut(cut);
    }

    /// What it does to plain packets.
    #[inline(always)]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }
}

/// What it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextHopKind {
    /// Drop with `route_drop`.
    Drop,
    /// An address of ours (gateway, VTEP): the slow path answers.
    Receive,
    /// Look the same destination up in this VRF.
    Vrf(VrfId),
    /// One of several.
    Group(Group),
    /// Deliver to a tenant's VIF.
    Vif { vif: VifId, port: PortIndex, dst_mac: Mac, src_mac: Mac },
    /// Out of a tenant's VIF, the frame as it is.
    Bridged { vif: VifId, port: PortIndex },
    /// Underlay: to a neighbour on a fabric VIF, or to the packet's own destination there.
    Fabric(Underlay),
    /// Encapsulate.
    Tunnel(Tunnel),
}

impl NextHopKind {
    /// It takes Ethernet frames as they are.
    #[inline]
    pub fn takes_frames(&self) -> bool {
        match self {
            NextHopKind::Bridged { .. } => true,
            NextHopKind::Tunnel(tunnel) => matches!(tunnel.encap, Encap::Frames(_)),
            _ => false,
        }
    }
}

/// How a packet reaches its next underlay hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Underlay {
    /// The neighbour's MAC is known.
    Resolved(Adjacency),
    /// The neighbour's MAC is asked for; packets are held. `neighbour` absent: the packet's own destination, on a connected subnet.
    Resolving { vif: VifId, neighbour: Option<IpAddr> },
    /// The underlay has no route there.
    NoRoute,
}

/// A resolved neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adjacency {
    pub vif: VifId,
    pub port: PortIndex,
    pub neighbour: IpAddr,
    pub dst_mac: Mac,
    pub src_mac: Mac,
    /// The tag of that VIF's frames.
    pub vlan: Option<Vlan>,
}

/// A tunnel's far end and its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// The tenant VRF that the routes of this next hop are of: where replies come out.
    pub vrf: VrfId,
    /// Of the same family.
    pub local: IpAddr,
    pub remote: IpAddr,
    pub encap: Encap,
    pub marking: Marking,
    pub ways: Ways,
    /// The underlay's route to the far end has a way that is live, or whose neighbour may still answer.
    pub leads: bool,
    /// Of frames: who is there is a leaf of its bridge's E-tree.
    pub leaf: bool,
}

/// A tunnel's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encap {
    /// RFC 7348 with inner Ethernet, routed: inner destination is the peer's router MAC, inner source ours.
    Vxlan { vni: Vni, inner_dst: Mac, inner_src: Mac },
    /// RFC 8926 without options, the same inside.
    Geneve { vni: Vni, inner_dst: Mac, inner_src: Mac },
    /// RFC 7510.
    MplsOverUdp { label: Label },
    /// RFC 4023, without checksum, key and sequence number.
    MplsOverGre { label: Label },
    /// The whole Ethernet frame.
    Frames(Carrier),
}

/// What carries Ethernet frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    Vxlan(Vni),
    /// Without options.
    Geneve(Vni),
    MplsOverUdp(Label),
    MplsOverGre(Label),
}

/// Headers made ready: Ethernet with its tag, IPv4 (length, identification, TOS and checksum zero) or IPv6 (length, traffic class and
/// flow label zero), UDP (source port and length zero,
/// checksum zero) or GRE, VXLAN, GENEVE or MPLS (TC zero), and the inner Ethernet of VXLAN and GENEVE (ethertype zero) unless frames are carried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Template {
    bytes: [u8; Template::MAX],
    len: u8,
    l3: u8,
}

impl Template {
    /// The longest: 14 + 4 + 40 + 8 + 8 + 14.
    pub const MAX: usize = 88;
    /// No headers.
    pub const EMPTY: Template = Template { bytes: [0; Template::MAX], len: 0, l3: 0 };

    /// These headers, of which the outer IP header begins at `l3`; at most [`Template::MAX`] bytes.
    pub fn new(headers: &[u8], l3: usize) -> Template {
        let mut template = Template { l3: l3 as u8, ..Template::EMPTY };
        template.bytes[..headers.len()].copy_from_slice(headers);
        template.len = headers.len() as u8;
        template
    }

    /// Where the outer IP header begins.
    #[inline]
    pub fn l3(&self) -> usize {
        usize::from(self.l3)
    }

    /// The headers.
    #[inline]
    pub fn headers(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Template({:02x?})", self.headers())
    }
}

impl Encap {
    /// Whether an inner Ethernet header, and not a label, stands before the tenant's packet.
    pub fn is_framed(self) -> bool {
        matches!(self, Encap::Vxlan { .. } | Encap::Geneve { .. })
    }

    /// Over GRE; else over UDP.
    pub fn is_gre(self) -> bool {
        matches!(self, Encap::MplsOverGre { .. } | Encap::Frames(Carrier::MplsOverGre(_)))
    }

    /// A label is before an L3 packet.
    pub fn has_label(self) -> bool {
        matches!(self, Encap::MplsOverUdp { .. } | Encap::MplsOverGre { .. })
    }

    /// Bytes between the underlay's L3 MTU and the tenant's: the outer IP header, UDP or GRE, and what the kind adds before the inner
    /// L3 packet, that of a frame too.
    pub fn overhead(self, v6: bool) -> u16 {
        let behind_ip = match self {
            Encap::Frames(Carrier::Vxlan(_) | Carrier::Geneve(_)) => 8 + 8 + 14,
            Encap::Frames(Carrier::MplsOverUdp(_)) => 8 + 4 + 14,
            Encap::Frames(Carrier::MplsOverGre(_)) => 4 + 4 + 14,
            Encap::Vxlan { .. } | Encap::Geneve { .. } => 8 + 8 + 14,
            Encap::MplsOverUdp { .. } => 8 + 4,
            Encap::MplsOverGre { .. } => 4 + 4,
        };
        behind_ip + if v6 { 40 } else { 20 }
    }
}
