//! Bridge: frames to a station of their bridge, by its MAC. What is IP goes on to lookup with its next hop named, as behind a label that names
//! its VIF; anything else goes to `act` at once.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;

use super::act::{self, Inner};
use super::classify::{Bridged, Classified, Exit, check_source, read_ip};
use super::flood;
use super::punt::{TunnelSource, Why};
use super::segment::{self, Onward};
use super::sight;
use super::victims::Culprit;
use super::{Fate, Work};
use crate::drops::DropReason;
use crate::ids::{Mac, NextHopId, Place};
use crate::packet::ether::{self, Ether};
use crate::packet::ip;
use crate::packet::neighbour;
use crate::packet::transport::Upper;
use crate::port::{Frame, IpChecksum};
use crate::tables::{Bridge, NextHopKind, SeenAt, Snapshot, Underlay, Vif};

/// An Ethernet frame that entered a bridge.
pub(super) struct Entered<'a> {
    pub bridge: &'a Bridge,
    pub place: Place,
    pub header: Ether,
    /// The frame, and where it begins in the received one.
    pub bytes: &'a [u8],
    pub from: u16,
    /// What the device says of its IPv4 header.
    pub verified: IpChecksum,
    pub tunnel: Option<TunnelSource>,
}

/// Classifies a frame that entered a bridge: for everybody, or for one station. `vif`: whose sender is checked, and whose gateway may be meant.
pub(super) fn classify(snapshot: &Snapshot, frame: &Entered, vif: Option<&Vif>) -> Result<Classified, Exit> {
    if let Some(own) = frame.bridge.sticky(frame.header.source) {
        let at = match (frame.place, frame.tunnel) {
            (Place::Vif(vif), _) => Some(SeenAt::Vif(vif)),
            (Place::Tunnel(_), tunnel) => tunnel.map(|tunnel| SeenAt::Vtep(tunnel.remote)),
        };
        if at.is_none_or(|at| !sight::is_at(snapshot, own, at)) {
            return Err(DropReason::StickyElsewhere.into());
        }
    }
    if frame.bridge.ip_only && ![ether::IPV4, ether::IPV6, ether::ARP].contains(&frame.header.ethertype) {
        return Err(DropReason::NotIp.into());
    }
    let to = frame.header.destination;
    let unknown = || frame.bridge.floods_unknown && frame.bridge.station(to).is_none();
    if to.is_group() || unknown() { flood::classify(snapshot, frame, vif) } else { unicast(snapshot, frame, vif) }
}

/// To one station.
fn unicast(snapshot: &Snapshot, frame: &Entered, vif: Option<&Vif>) -> Result<Classified, Exit> {
    let Entered { bridge, place, header, bytes, from, .. } = *frame;
    let to = station(snapshot, bridge, place, header.destination)?;
    if is_leaf(snapshot, to) && sent_by_leaf(snapshot, frame, vif) {
        return Err(DropReason::LeafToLeaf.into());
    }
    let payload = &bytes[ether::HEADER..];
    let length = payload.len() as u16;
    let carry = Err(Exit::Carry { place, next_hop: to, from, length, tunnel: frame.tunnel });
    if header.ethertype != ether::IPV4 && header.ethertype != ether::IPV6 {
        return check_arp(header, payload, vif).map_err(Exit::from).and(carry);
    }
    let packet = read_ip(header.ethertype, payload, frame.verified)?;
    if packet.upper == Upper::NeighbourDiscovery {
        return check_discovery(&packet, header, payload, vif).map_err(Exit::from).and(carry);
    }
    if ip::is_group(packet.destination) {
        return Err(DropReason::Multicast.into());
    }
    check_source(&packet)?;
    if vif.and_then(|vif| vif.sources.as_ref()).is_some_and(|sources| !sources.contains(packet.source)) {
        return Err(DropReason::SourceSpoofed.into());
    }
    let bridged = Some(Bridged { length, back: bridge.station(header.source), everybody: None });
    Ok(Classified {
        place,
        vrf: bridge.vrf,
        l3: from + ether::HEADER as u16,
        packet,
        remarked: false,
        fixed: Some(to),
        bridged,
        tunnel: frame.tunnel,
    })
}

/// The next hop of what enters here to a station: not back to where it came from, nor from one tunnel into another.
pub fn station(snapshot: &Snapshot, bridge: &Bridge, place: Place, mac: Mac) -> Result<NextHopId, DropReason> {
    let to = bridge.station(mac).ok_or(DropReason::UnknownUnicast)?;
    let kind = snapshot.next_hops.row(to.index()).map(|row| &row.kind);
    match (kind, place) {
        (Some(NextHopKind::Bridged { vif, .. }), Place::Vif(own)) if *vif == own => Err(DropReason::SplitHorizon),
        (Some(NextHopKind::Tunnel(_)), Place::Tunnel(_)) => Err(DropReason::SplitHorizon),
        _ => Ok(to),
    }
}

/// Whether a station with this next hop is a leaf of its bridge's E-tree.
pub fn is_leaf(snapshot: &Snapshot, next_hop: NextHopId) -> bool {
    match snapshot.next_hops.row(next_hop.index()).map(|row| &row.kind) {
        Some(NextHopKind::Bridged { vif, .. }) => snapshot.vifs.row(vif.index()).is_some_and(|vif| vif.leaf),
        Some(NextHopKind::Tunnel(tunnel)) => tunnel.leaf,
        _ => false,
    }
}

/// The same of who sent a frame: a VIF; through a tunnel, by the entry of its MAC, else by its VTEP.
pub(super) fn sent_by_leaf(snapshot: &Snapshot, frame: &Entered, vif: Option<&Vif>) -> bool {
    if let Some(vif) = vif {
        return vif.leaf;
    }
    if let Some(next_hop) = frame.bridge.station(frame.header.source) {
        return is_leaf(snapshot, next_hop);
    }
    let is_there = |next_hop: &NextHopId| match snapshot.next_hops.row(next_hop.index()).map(|row| &row.kind) {
        Some(NextHopKind::Tunnel(tunnel)) => frame.tunnel.is_some_and(|from| from.remote == tunnel.remote),
        _ => false,
    };
    frame.bridge.vteps.iter().find(|next_hop| is_there(next_hop)).is_some_and(|vtep| is_leaf(snapshot, *vtep))
}

/// That a tenant speaks for itself alone in ARP.
pub(super) fn check_arp(header: Ether, payload: &[u8], vif: Option<&Vif>) -> Result<(), DropReason> {
    let Some((vif, sources)) = vif.and_then(|vif| Some((vif, vif.sources.as_ref()?))) else { return Ok(()) };
    if header.ethertype != ether::ARP {
        return Ok(());
    }
    match neighbour::arp_sender(payload) {
        Some((mac, sender)) if mac == vif.mac && (sender.is_unspecified() || sources.contains(sender.into())) => Ok(()),
        _ => Err(DropReason::ArpInvalid),
    }
}

/// The same in neighbour discovery: for the address that it sends from, and the one that it advertises.
pub(super) fn check_discovery(
    packet: &ip::Ip,
    header: Ether,
    payload: &[u8],
    vif: Option<&Vif>,
) -> Result<(), DropReason> {
    let Some((vif, sources)) = vif.and_then(|vif| Some((vif, vif.sources.as_ref()?))) else { return Ok(()) };
    let message = &payload[usize::from(packet.header)..usize::from(packet.length)];
    let may_use = |address: IpAddr| sources.contains(address);
    let from = packet.source;
    let sender = from.is_unspecified() || may_use(from);
    let says = neighbour::Discovery::read(message);
    match says {
        Some(says) if sender && header.source == vif.mac => {
            let own = says.advertised.is_none_or(|target| may_use(target.into()));
            let mac = says.mac.is_none_or(|mac| mac == vif.mac);
            if own && mac { Ok(()) } else { Err(DropReason::NdInvalid) }
        }
        _ => Err(DropReason::NdInvalid),
    }
}

/// Spreads frames without a flow over a tunnel's ways and ports: by their addresses.
pub(super) fn hash(frame: &[u8]) -> u64 {
    BuildHasherDefault::<DefaultHasher>::new().hash_one(frame.first_chunk::<12>())
}

/// Sends a classified packet on to a station.
pub(super) fn forward(
    snapshot: &Snapshot,
    frame: &mut Frame,
    found: &Classified,
    next_hop: NextHopId,
    work: &Work,
) -> Fate {
    let Some(Bridged { length, .. }) = found.bridged else {
        return Fate::Drop(DropReason::NextHopGone, Culprit::NextHop(next_hop));
    };
    let mtu = snapshot.next_hops.row(next_hop.index()).map_or(u16::MAX, |row| row.mtu);
    if segment::largest(frame, found.l3.into(), length) > mtu {
        let why = Why::TooBig(found.vrf, mtu);
        return Fate::DropAndTell(DropReason::MtuExceeded, Culprit::NextHop(next_hop), why);
    }
    if found.remarked {
        ip::remark(&mut frame.bytes_mut()[usize::from(found.l3)..], found.packet.tos, found.packet.ttl);
    }
    let from = found.l3 - ether::HEADER as u16;
    carry(snapshot, frame, (next_hop, found.place), (from, length), work)
}

/// Sends a frame, which begins at `from` and has `length` bytes behind its Ethernet header, to a station.
pub(super) fn carry(
    snapshot: &Snapshot,
    frame: &mut Frame,
    (next_hop, place): (NextHopId, Place),
    (from, length): (u16, u16),
    work: &Work,
) -> Fate {
    let culprit = Culprit::NextHop(next_hop);
    let Some(row) = snapshot.next_hops.row(next_hop.index()) else {
        return Fate::Drop(DropReason::NextHopGone, culprit);
    };
    let (at, whole) = (usize::from(from), ether::HEADER as u16 + length);
    if segment::largest_carried(frame, at, length) > row.mtu {
        return Fate::Drop(DropReason::MtuExceeded, culprit);
    }
    frame.truncate(at + usize::from(whole));
    let tunnel = match &row.kind {
        NextHopKind::Bridged { port, .. } => {
            return match frame.replace_front(at, &[]) {
                Ok(()) => Fate::Send(*port),
                Err(_) => Fate::Drop(DropReason::NoHeadroom, Culprit::Frame),
            };
        }
        NextHopKind::Tunnel(tunnel) => tunnel,
        _ => return Fate::Drop(DropReason::NextHopGone, culprit),
    };
    if frame.undone.is_any() {
        let l3 = at + ether::packet_of(&frame.bytes()[at..]);
        if segment::is_left(frame, l3) {
            return Fate::Segment(Onward::Bridged { next_hop, place, from });
        }
    }
    let way = tunnel.ways.of(work.hash);
    match &way.underlay {
        Underlay::Resolved(adjacency) => {
            let inner = Inner { at, length: whole, tos: class_of(&frame.bytes()[at..]), ethertype: None };
            act::encap(frame, inner, tunnel, &way.template, adjacency.port, work.hash)
        }
        Underlay::NoRoute => Fate::Drop(DropReason::NoUnderlayRoute, culprit),
        Underlay::Resolving { vif, neighbour } => {
            let neighbour = neighbour.unwrap_or(tunnel.remote);
            let why = Why::Resolve { next_hop, vif: *vif, neighbour };
            Fate::PuntUnread { place, why, tunnel: None, from, l3: ether::HEADER as u16 }
        }
    }
}

/// The TOS or traffic class of what a frame carries; 0: it is not IP.
fn class_of(frame: &[u8]) -> u8 {
    match frame.get(12..16) {
        Some(&[8, 0, _, tos]) => tos,
        Some(&[0x86, 0xdd, a, b]) => a << 4 | b >> 4,
        _ => 0,
    }
}
