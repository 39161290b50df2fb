//! Act: the rewrite that a next hop asks for, in one place.

use std::num::NonZeroU8;

use super::bridge;
use super::classify::Classified;
use super::mss;
use super::punt::Why;
use super::segment::{self, Onward};
use super::split::may_split;
use super::victims::Culprit;
use super::{Fate, Work};
use crate::drops::DropReason;
use crate::ids::{Mac, NextHopId, PortIndex, Vlan};
use crate::packet::tunnel::MPLS;
use crate::packet::{ecn, ether, ip};
use crate::port::Frame;
use crate::tables::{LabelMarking, NextHopKind, Snapshot, Template, Tunnel, Underlay};

/// UDP source ports of tunnels: 49152 to 65535 (RFC 7348, section 5).
const ENTROPY_BASE: u16 = 0xc000;

/// Applies a decided next hop to every frame that is to be forwarded.
pub fn act(snapshot: &Snapshot, frames: &mut [Frame], burst: &mut [Work]) {
    for (frame, work) in frames.iter_mut().zip(burst) {
        work.fate = match (work.fate, &work.classified) {
            (Fate::Forward(next_hop), Some(found)) => forward(snapshot, frame, found, next_hop, work),
            (Fate::Carry { place, next_hop, from, length, .. }, _) => {
                bridge::carry(snapshot, frame, (next_hop, place), (from, length), work)
            }
            (fate, _) => fate,
        };
    }
}

/// Rewrites a frame that this next hop was decided for. A packet that leaves in pieces is not encapsulated yet.
pub(super) fn forward(
    snapshot: &Snapshot,
    frame: &mut Frame,
    found: &Classified,
    next_hop: NextHopId,
    work: &Work,
) -> Fate {
    let culprit = Culprit::NextHop(next_hop);
    let Some(row) = snapshot.next_hops.row(next_hop.index()) else {
        return Fate::Drop(DropReason::NextHopGone, culprit);
    };
    if row.kind.takes_frames() {
        return bridge::forward(snapshot, frame, found, next_hop, work);
    }
    if !work.originated && found.packet.ttl <= 1 {
        return Fate::DropAndTell(DropReason::TtlExpired, Culprit::Frame, Why::TtlExpired(found.vrf));
    }
    let l3 = usize::from(found.l3);
    let too_big = segment::largest(frame, l3, found.packet.length) > row.mtu;
    if too_big && (work.originated || !may_split(snapshot, &frame.bytes()[l3..], found, row)) {
        return Fate::DropAndTell(DropReason::MtuExceeded, culprit, Why::TooBig(found.vrf, row.mtu));
    }
    frame.truncate(l3 + usize::from(found.packet.length));
    mss::clamp(snapshot, &mut frame.bytes_mut()[l3..], found, row, work);
    if found.remarked {
        ip::remark(&mut frame.bytes_mut()[l3..], found.packet.tos, found.packet.ttl);
    }
    if !work.originated {
        ip::decrement_ttl(&mut frame.bytes_mut()[l3..]);
    }
    let last = matches!(row.kind, NextHopKind::Vif { .. }) && !too_big;
    if !last && segment::is_left(frame, l3) {
        return Fate::Segment(Onward::Routed(next_hop));
    }
    if too_big {
        return Fate::Split(next_hop);
    }
    let (underlay, tunnel) = match &row.kind {
        NextHopKind::Vif { port, dst_mac, src_mac, .. } => return deliver(frame, l3, found, *port, *dst_mac, *src_mac),
        NextHopKind::Fabric(underlay) => (underlay, None),
        NextHopKind::Tunnel(tunnel) => {
            let way = tunnel.ways.of(work.hash);
            (&way.underlay, Some((tunnel, &way.template)))
        }
        NextHopKind::Drop => return Fate::Drop(DropReason::RouteDrop, culprit),
        NextHopKind::Receive => return Fate::Drop(DropReason::LocalUnanswered, culprit),
        NextHopKind::Group(_) | NextHopKind::Bridged { .. } => return Fate::Drop(DropReason::NextHopGone, culprit),
        NextHopKind::Vrf(_) => return Fate::Drop(DropReason::VrfDepth, culprit),
    };
    let adjacency = match underlay {
        Underlay::Resolved(adjacency) => adjacency,
        Underlay::NoRoute => return Fate::Drop(DropReason::NoUnderlayRoute, culprit),
        Underlay::Resolving { vif, neighbour } => {
            let neighbour = neighbour.unwrap_or(found.packet.destination);
            return Fate::Punt(Why::Resolve { next_hop, vif: *vif, neighbour });
        }
    };
    match tunnel {
        Some((tunnel, template)) => {
            let (length, tos) = (found.packet.length, found.packet.tos);
            let inner = Inner { at: l3, length, tos, ethertype: Some(ethertype(found)) };
            encap(frame, inner, tunnel, template, adjacency.port, work.hash)
        }
        None => match deliver(frame, l3, found, adjacency.port, adjacency.dst_mac, adjacency.src_mac) {
            Fate::Send(port) => tag(frame, adjacency.vlan)
                .map_or_else(|reason| Fate::Drop(reason, Culprit::Frame), |()| Fate::Send(port)),
            fate => fate,
        },
    }
}

/// Bytes of the two addresses, which stand before tags.
pub const ADDRESSES: usize = 12;

/// Puts the tag of a fabric VIF, if it has one, into a whole frame.
pub fn tag(frame: &mut Frame, vlan: Option<Vlan>) -> Result<(), DropReason> {
    vlan.map_or(Ok(()), |vlan| put_tags(frame, &ether::tag(vlan)))
}

/// Puts tags, at most two, into a whole frame.
pub fn put_tags(frame: &mut Frame, tags: &[u8]) -> Result<(), DropReason> {
    let Some(addresses) = frame.bytes().first_chunk::<ADDRESSES>() else { return Ok(()) };
    let mut front = [0; ADDRESSES + 2 * ether::TAG];
    let front = &mut front[..ADDRESSES + tags.len()];
    front[..ADDRESSES].copy_from_slice(addresses);
    front[ADDRESSES..].copy_from_slice(tags);
    frame.replace_front(ADDRESSES, front).map_err(|_| DropReason::NoHeadroom)
}

/// Takes so many tags out of a whole frame that has them.
pub fn take_tags(frame: &mut Frame, tags: usize) {
    let Some(&addresses) = frame.bytes().first_chunk::<ADDRESSES>() else { return };
    let shorter = frame.replace_front(ADDRESSES + tags * ether::TAG, &addresses);
    debug_assert!(shorter.is_ok(), "there is room for less");
}

/// Puts an Ethernet header before the L3 packet.
fn deliver(frame: &mut Frame, l3: usize, found: &Classified, port: PortIndex, to: Mac, from: Mac) -> Fate {
    let header = ether::write(to, from, ethertype(found));
    match frame.replace_front(l3, &header) {
        Ok(()) => Fate::Send(port),
        Err(_) => Fate::Drop(DropReason::NoHeadroom, Culprit::Frame),
    }
}

/// What a tunnel carries: an L3 packet, or a frame.
pub(super) struct Inner {
    /// Where it begins in the frame at hand.
    pub at: usize,
    pub length: u16,
    pub tos: u8,
    /// Of an L3 packet.
    pub ethertype: Option<u16>,
}

/// Puts the tunnel's template before what it carries and fills in what differs per packet: TOS (RFC 2983; ECN in the normal mode of
/// RFC 6040), lengths, the UDP source port, the flow label, the inner ethertype. The IPv4 checksum is left to the port.
pub(super) fn encap(
    frame: &mut Frame,
    inner: Inner,
    tunnel: &Tunnel,
    template: &Template,
    port: PortIndex,
    hash: u64,
) -> Fate {
    let (headers, l3_out) = (template.headers(), template.l3());
    if frame.replace_front(inner.at, headers).is_err() {
        return Fate::Drop(DropReason::NoHeadroom, Culprit::Frame);
    }
    let length = (headers.len() - l3_out) as u16 + inner.length;
    let class = inner.tos & tunnel.marking.class_mask | tunnel.marking.class_bits;
    let udp = !tunnel.encap.is_gre();
    let v6 = tunnel.remote.is_ipv6();
    let bytes = frame.bytes_mut();
    let outer = &mut bytes[l3_out..];
    if v6 {
        outer_v6(outer, class, length, udp, hash)
    } else {
        outer_v4(outer, class, length, udp, hash)
    }
    if let (true, Some(ethertype)) = (tunnel.encap.is_framed(), inner.ethertype) {
        bytes[headers.len() - 2..headers.len()].copy_from_slice(&ethertype.to_be_bytes());
    }
    if let Some(marking) = tunnel.marking.label {
        mark_label(&mut bytes[headers.len() - MPLS..], inner.tos, marking);
    }
    frame.tx_ip_checksum = NonZeroU8::new(if v6 { 0 } else { l3_out as u8 });
    Fate::Send(port)
}

/// Fills in the outer IPv4 header, and UDP's ports and length. `length`: of the whole packet.
#[inline]
fn outer_v4(outer: &mut [u8], class: u8, length: u16, udp: bool, hash: u64) {
    const IP: usize = 20;
    // as many bytes as both UDP, and GRE with its label, have behind
    let Some(outer) = outer.first_chunk_mut::<{ IP + 8 }>() else { return };
    outer[1] = class;
    outer[2..4].copy_from_slice(&length.to_be_bytes());
    if udp {
        outer[IP..IP + 2].copy_from_slice(&source_port(hash).to_be_bytes());
        outer[IP + 4..IP + 6].copy_from_slice(&(length - IP as u16).to_be_bytes());
    }
}

/// The same of IPv6, with a flow label (RFC 6438). The UDP checksum stays 0 (RFC 6935).
#[inline]
pub(super) fn outer_v6(outer: &mut [u8], class: u8, length: u16, udp: bool, hash: u64) {
    const IP: usize = 40;
    let Some(outer) = outer.first_chunk_mut::<{ IP + 8 }>() else { return };
    // 0 would be none (RFC 6437, section 2)
    let label = (hash >> 44) as u32 | 1;
    outer[..4].copy_from_slice(&(6 << 28 | u32::from(class) << 20 | label).to_be_bytes());
    let payload = (length - IP as u16).to_be_bytes();
    outer[4..6].copy_from_slice(&payload);
    if udp {
        outer[IP..IP + 2].copy_from_slice(&source_port(hash).to_be_bytes());
        outer[IP + 4..IP + 6].copy_from_slice(&payload);
    }
}

#[inline]
pub(super) fn source_port(hash: u64) -> u16 {
    ENTROPY_BASE | (hash >> 32) as u16 & 0x3fff
}

/// TC and TTL of the label before an L3 packet with this TOS (RFC 3443, RFC 3270, RFC 5129).
fn mark_label(bytes: &mut [u8], tos: u8, marking: LabelMarking) {
    let marked = if tos & ecn::MASK == ecn::CE { marking.congestion_marked } else { 0 };
    let class = if marking.class { tos >> 5 } else { marked };
    bytes[2] |= class << 1;
    if marking.ttl {
        let v6 = bytes[MPLS] >> 4 == 6;
        bytes[3] = bytes[MPLS + if v6 { 7 } else { 8 }];
    }
}

fn ethertype(found: &Classified) -> u16 {
    if found.packet.source.is_ipv4() { ether::IPV4 } else { ether::IPV6 }
}
