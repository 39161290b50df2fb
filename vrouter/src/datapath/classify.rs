//! Classify: where a frame enters, in which VRF, and what its (inner) IP packet is.

use std::net::IpAddr;

use super::bridge::{self, Entered};
use super::flood::Flood;
use super::punt::{TunnelId, TunnelSource, Why};
use crate::drops::DropReason;
use crate::ids::{BridgeId, NextHopId, Place, PortIndex, VifId, Vni, VrfId};
use crate::packet::bfd::{MULTIHOP_PORT, SINGLE_HOP_PORT};
use crate::packet::ecn;
use crate::packet::ether::{self, Ether};
use crate::packet::ip::{self, Ip};
use crate::packet::transport::Upper;
use crate::packet::tunnel::{self, Mpls};
use crate::packet::tuple::protocol;
use crate::port::{Frame, IpChecksum};
use crate::tables::{DecapTarget, Model, Snapshot, TunnelHeaders, Vif, VifKind, Watched};

/// A frame that was classified.
#[derive(Clone, Copy, Debug)]
pub struct Classified {
    /// Where it entered, for its flow's key.
    pub place: Place,
    /// The VRF to route in.
    pub vrf: VrfId,
    /// Where the L3 packet (the inner one) begins in the frame.
    pub l3: u16,
    /// With the TOS and TTL that it goes on with: the outer headers may have changed them.
    pub packet: Ip,
    /// TOS or TTL of `packet` are not those in the frame.
    pub remarked: bool,
    /// The next hop that a label which names its VIF, or a bridge, has for it.
    pub fixed: Option<NextHopId>,
    /// Its frame goes to a station as it is.
    pub bridged: Option<Bridged>,
    pub tunnel: Option<TunnelSource>,
}

/// A packet whose frame goes on.
#[derive(Clone, Copy, Debug)]
pub struct Bridged {
    /// Bytes behind the Ethernet header, with padding.
    pub length: u16,
    /// The next hop to its sender, as far as it is known where that is.
    pub back: Option<NextHopId>,
    /// It goes to everybody in this bridge; and whether a leaf sent it.
    pub everybody: Option<(BridgeId, bool)>,
}

/// What becomes of a frame that is not classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Drop(DropReason),
    /// To the slow path: from which place, why, its tunnel, and where the copy and its L3 packet begin in the frame.
    Punt {
        place: Place,
        why: Why,
        tunnel: Option<TunnelSource>,
        from: u16,
        l3: u16,
    },
    /// A frame without a flow goes to a station by this next hop: where it begins in the received one, and its bytes behind the Ethernet header.
    Carry {
        place: Place,
        next_hop: NextHopId,
        from: u16,
        length: u16,
        tunnel: Option<TunnelSource>,
    },
    /// A piece of a tunnel's outer packet, whose L3 packet begins there; unless it is for the host's kernel by a port.
    Assemble {
        l3: u16,
        unless: Option<PortIndex>,
    },
    /// To everybody in a bridge; it is not IP.
    Flood(Flood),
    /// To the host's kernel by this port; the slow path may learn from a copy.
    Except {
        port: PortIndex,
        learn: Option<Why>,
    },
}

impl From<DropReason> for Exit {
    fn from(reason: DropReason) -> Exit {
        Exit::Drop(reason)
    }
}

/// Classifies a frame that this VIF's port received.
#[inline]
pub fn classify(snapshot: &Snapshot, vif: &Vif, frame: &Frame) -> Result<Classified, Exit> {
    let header = ether::read(frame.bytes())?;
    match vif.kind {
        VifKind::Tenant => tenant(snapshot, vif, header, frame),
        VifKind::Fabric => match vif.vlan {
            None => fabric(snapshot, vif, header, ether::HEADER, frame),
            Some(vlan) => {
                let header = ether::untagged(frame.bytes(), header, vlan)?;
                fabric(snapshot, vif, header, ether::HEADER + ether::TAG, frame)
            }
        },
    }
}

fn tenant(snapshot: &Snapshot, vif: &Vif, header: Ether, frame: &Frame) -> Result<Classified, Exit> {
    let place = Place::Vif(vif.id);
    let punt = |why| Exit::Punt { place, why, tunnel: None, from: 0, l3: ether::HEADER as u16 };
    if vif.sources.is_some() && header.source != vif.mac {
        return Err(DropReason::MacSpoofed.into());
    }
    if let Some(bridge) = vif.bridge
        && (header.destination != vif.our_mac || !vif.routes())
    {
        return into_bridge(snapshot, bridge, vif, header, frame);
    }
    if header.ethertype == ether::ARP {
        let to_us = header.destination.is_group() || header.destination == vif.our_mac;
        return Err(if to_us { punt(Why::Arp) } else { DropReason::MacNotOurs.into() });
    }
    let packet = read_ip(header.ethertype, &frame.bytes()[ether::HEADER..], frame.rx_ip_checksum)?;
    if packet.upper == Upper::NeighbourDiscovery {
        return Err(punt(Why::NeighbourDiscovery));
    }
    if header.destination.is_group() || ip::is_group(packet.destination) {
        return Err(DropReason::Multicast.into());
    }
    if header.destination != vif.our_mac {
        return Err(DropReason::MacNotOurs.into());
    }
    check_source(&packet)?;
    let link_local = ip::is_link_local(packet.source) && ip::is_link_local(packet.destination);
    if vif.sources.as_ref().is_some_and(|sources| !sources.contains(packet.source)) && !link_local {
        return Err(DropReason::SourceSpoofed.into());
    }
    let l3 = ether::HEADER as u16;
    Ok(Classified { place, vrf: vif.vrf, l3, packet, remarked: false, fixed: None, bridged: None, tunnel: None })
}

/// A tenant's frame into its bridge: not for our MAC.
fn into_bridge(
    snapshot: &Snapshot,
    bridge: BridgeId,
    vif: &Vif,
    header: Ether,
    frame: &Frame,
) -> Result<Classified, Exit> {
    let bridge = snapshot.bridges.row(bridge.index()).ok_or(DropReason::UnknownUnicast)?;
    let (place, bytes, verified) = (Place::Vif(vif.id), frame.bytes(), frame.rx_ip_checksum);
    let entered = Entered { bridge, place, header, bytes, from: 0, verified, tunnel: None };
    bridge::classify(snapshot, &entered, Some(vif))
}

/// A frame of the underlay, whose L3 packet begins at `l3`.
#[inline]
fn fabric(snapshot: &Snapshot, vif: &Vif, header: Ether, l3: usize, frame: &Frame) -> Result<Classified, Exit> {
    let bytes = &frame.bytes()[l3..];
    let l3 = l3 as u16;
    let place = Place::Vif(vif.id);
    let punt = |why| Exit::Punt { place, why, tunnel: None, from: 0, l3 };
    // with an exception port the host's kernel answers, and we learn from a copy
    let neighbour = |why| vif.exception.map_or(punt(why), |port| Exit::Except { port, learn: Some(why) });
    if header.ethertype == ether::ARP {
        let to_us = header.destination.is_group() || header.destination == vif.our_mac;
        return Err(if to_us { neighbour(Why::Arp) } else { DropReason::MacNotOurs.into() });
    }
    if header.destination.is_group() {
        let solicits = header.ethertype == ether::IPV6 && vif.addresses.iter().any(IpAddr::is_ipv6);
        let to_us = solicits && ip::read6(bytes)?.upper == Upper::NeighbourDiscovery;
        return Err(if to_us { neighbour(Why::NeighbourDiscovery) } else { DropReason::Multicast.into() });
    }
    if header.destination != vif.our_mac {
        return Err(DropReason::MacNotOurs.into());
    }
    let outer = read_ip(header.ethertype, bytes, frame.rx_ip_checksum)?;
    // tunnels come by the underlay, not by another fabric VRF that may use the same addresses
    let to_vtep = snapshot.local.is_vtep(outer.destination) && snapshot.local.underlay == Some(vif.vrf);
    if !to_vtep && !vif.addresses.contains(&outer.destination) {
        return Err(DropReason::NotForUs.into());
    }
    check_source(&outer)?;
    let for_us = || match bfd(snapshot, vif, &outer) {
        Some(Ok(why)) => punt(why),
        Some(Err(reason)) => reason.into(),
        None => vif.exception.map_or(punt(Why::ForUs(vif.vrf)), |port| Exit::Except { port, learn: None }),
    };
    let not_a_tunnel = || match outer.upper {
        Upper::NeighbourDiscovery => neighbour(Why::NeighbourDiscovery),
        _ => for_us(),
    };
    if !to_vtep {
        return Err(not_a_tunnel());
    }
    let payload = &bytes[usize::from(outer.header)..usize::from(outer.length)];
    let piece = |unless| Exit::Assemble { l3, unless };
    if outer.protocol == protocol::GRE {
        if outer.fragment {
            return Err(piece(None));
        }
        return gre(snapshot, &outer, payload, l3 + outer.header);
    }
    if outer.protocol != protocol::UDP {
        return Err(not_a_tunnel());
    }
    let Upper::Ports { destination: port, .. } = outer.upper else {
        // a later fragment, which has no port
        return Err(piece(vif.exception));
    };
    if !matches!(port, tunnel::VXLAN_PORT | tunnel::GENEVE_PORT | tunnel::MPLS_PORT) {
        return Err(for_us());
    }
    if outer.fragment {
        return Err(piece(None));
    }
    over_udp(snapshot, &outer, port, payload, l3 + outer.header)
}

/// Whether a packet for an address of ours is of a BFD session that there is. Others are nobody's here.
fn bfd(snapshot: &Snapshot, vif: &Vif, packet: &Ip) -> Option<Result<Why, DropReason>> {
    let Upper::Ports { destination: port, .. } = packet.upper else { return None };
    let multihop = match port {
        SINGLE_HOP_PORT => false,
        MULTIHOP_PORT => true,
        _ => return None,
    };
    if packet.protocol != protocol::UDP || packet.fragment {
        return None;
    }
    let watched = Watched { vrf: vif.vrf, remote: packet.source, multihop };
    let session = snapshot.bfd.get(&watched).filter(|session| session.local == packet.destination)?;
    Some(if packet.ttl < session.least_ttl { Err(DropReason::BfdTtl) } else { Ok(Why::Bfd(vif.vrf)) })
}

/// What the outer IP header of a tunnelled packet says.
#[derive(Clone, Copy)]
struct Outer {
    remote: IpAddr,
    /// TOS or traffic class.
    class: u8,
}

impl Outer {
    /// Gives the inner packet the TOS that it leaves the tunnel with (RFC 6040, RFC 2983); true: it differs from what it had.
    #[inline]
    fn unpack(self, headers: &TunnelHeaders, inner: &mut Ip) -> Result<bool, DropReason> {
        let dscp = if headers.dscp == Model::Uniform { self.class } else { inner.tos };
        let tos = dscp & !ecn::MASK | ecn::decapsulated(inner.tos, self.class)?;
        Ok(std::mem::replace(&mut inner.tos, tos) != tos)
    }
}

/// A tunnel over UDP to this port, whose header is at `at` in the frame.
#[inline]
fn over_udp(snapshot: &Snapshot, outer: &Ip, port: u16, payload: &[u8], at: u16) -> Result<Classified, Exit> {
    if let (IpAddr::V6(source), IpAddr::V6(destination)) = (outer.source, outer.destination)
        && !tunnel::udp6_holds(source, destination, payload)
    {
        return Err(DropReason::UdpChecksum.into());
    }
    let payload = tunnel::udp_payload(payload)?;
    let at = at + tunnel::UDP as u16;
    let outer = Outer { remote: outer.source, class: outer.tos };
    match port {
        tunnel::MPLS_PORT => mpls(snapshot, outer, payload, at),
        tunnel::GENEVE_PORT => {
            let (vni, header) = tunnel::read_geneve(payload)?;
            framed(snapshot, outer, (vni, TunnelId::Geneve(vni)), &payload[header..], at + header as u16)
        }
        _ => {
            let vni = tunnel::read_vxlan(payload)?;
            let header = tunnel::VXLAN;
            framed(snapshot, outer, (vni, TunnelId::Vxlan(vni)), &payload[header..], at + header as u16)
        }
    }
}

/// A label behind GRE (RFC 4023), whose header is at `at` in the frame.
fn gre(snapshot: &Snapshot, outer: &Ip, payload: &[u8], at: u16) -> Result<Classified, Exit> {
    let header = tunnel::read_gre(payload)?;
    mpls(snapshot, Outer { remote: outer.source, class: outer.tos }, &payload[header..], at + header as u16)
}

/// Inner Ethernet behind VXLAN or GENEVE, which begins at `from` in the frame.
fn framed(
    snapshot: &Snapshot,
    outer: Outer,
    (vni, by): (Vni, TunnelId),
    inner: &[u8],
    from: u16,
) -> Result<Classified, Exit> {
    let target = *snapshot.vnis.get(&vni).ok_or(DropReason::VniUnknown)?;
    let vrf = target.vrf;
    check_vtep(snapshot, vrf, outer.remote)?;
    let place = Place::Tunnel(vrf);
    let tunnel = Some(TunnelSource { remote: outer.remote, by });
    let header = ether::read(inner)?;
    let l3 = from + ether::HEADER as u16;
    let to_us = header.destination == snapshot.local.router_mac
        || target.bridge.is_some() && header.destination == snapshot.local.gateway_mac;
    if let Some(bridge) = target.bridge.filter(|_| !to_us) {
        return out_of_tunnel(snapshot, bridge, outer, (inner, from), tunnel);
    }
    if header.ethertype == ether::ARP {
        if !to_us && !header.destination.is_group() {
            return Err(DropReason::InnerMacNotOurs.into());
        }
        return Err(Exit::Punt { place, why: Why::Arp, tunnel, from, l3: ether::HEADER as u16 });
    }
    if !to_us && !header.destination.is_group() {
        return Err(DropReason::InnerMacNotOurs.into());
    }
    let mut packet = read_ip(header.ethertype, &inner[ether::HEADER..], IpChecksum::Unknown)?;
    if packet.upper == Upper::NeighbourDiscovery {
        return Err(Exit::Punt { place, why: Why::NeighbourDiscovery, tunnel, from, l3: ether::HEADER as u16 });
    }
    if !to_us || ip::is_group(packet.destination) {
        return Err(DropReason::Multicast.into());
    }
    check_source(&packet)?;
    let remarked = outer.unpack(&snapshot.local.headers, &mut packet)?;
    Ok(Classified { place, vrf, l3, packet, remarked, fixed: None, bridged: None, tunnel })
}

/// A frame that came by a tunnel into a bridge, and where it begins in the received one.
fn out_of_tunnel(
    snapshot: &Snapshot,
    bridge: BridgeId,
    outer: Outer,
    (bytes, from): (&[u8], u16),
    tunnel: Option<TunnelSource>,
) -> Result<Classified, Exit> {
    let header = ether::read(bytes)?;
    let bridge = snapshot.bridges.row(bridge.index()).ok_or(DropReason::UnknownUnicast)?;
    let (place, verified) = (Place::Tunnel(bridge.vrf), IpChecksum::Unknown);
    let entered = Entered { bridge, place, header, bytes, from, verified, tunnel };
    let mut found = bridge::classify(snapshot, &entered, None)?;
    found.remarked = outer.unpack(&snapshot.local.headers, &mut found.packet)?;
    Ok(found)
}

/// What is behind one MPLS label at `at` in the frame: a bare L3 packet, or a frame for a bridge.
fn mpls(snapshot: &Snapshot, mut outer: Outer, payload: &[u8], at: u16) -> Result<Classified, Exit> {
    let Mpls { label, class, ttl } = tunnel::read_mpls(payload)?;
    let (vrf, fixed) = match snapshot.labels.get(&label).ok_or(DropReason::LabelUnknown)? {
        DecapTarget::Vrf(vrf) => (*vrf, None),
        DecapTarget::Vif { vrf, next_hop } => (*vrf, Some(*next_hop)),
        &DecapTarget::Bridge(bridge) => {
            let vrf = snapshot.bridges.row(bridge.index()).ok_or(DropReason::LabelUnknown)?.vrf;
            check_vtep(snapshot, vrf, outer.remote)?;
            let tunnel = Some(TunnelSource { remote: outer.remote, by: TunnelId::Label(label) });
            let inner = (&payload[tunnel::MPLS..], at + tunnel::MPLS as u16);
            return out_of_tunnel(snapshot, bridge, outer, inner, tunnel);
        }
    };
    check_vtep(snapshot, vrf, outer.remote)?;
    let inner = &payload[tunnel::MPLS..];
    let ethertype = match inner.first().map(|byte| byte >> 4) {
        Some(4) => ether::IPV4,
        Some(6) => ether::IPV6,
        _ => 0,
    };
    let mut packet = read_ip(ethertype, inner, IpChecksum::Unknown)?;
    let l3 = at + tunnel::MPLS as u16;
    let tunnel = Some(TunnelSource { remote: outer.remote, by: TunnelId::Label(label) });
    if packet.upper == Upper::NeighbourDiscovery {
        // without inner Ethernet there is nobody to resolve
        return Err(DropReason::NeighbourNotOurs.into());
    }
    if ip::is_group(packet.destination) {
        return Err(DropReason::Multicast.into());
    }
    check_source(&packet)?;
    let headers = &snapshot.local.headers;
    if headers.mpls_congestion_marked == Some(class) {
        outer.class |= ecn::CE;
    }
    let mut remarked = outer.unpack(headers, &mut packet)?;
    if headers.mpls_ttl == Model::Uniform && ttl < packet.ttl {
        (packet.ttl, remarked) = (ttl, true);
    }
    Ok(Classified { place: Place::Tunnel(vrf), vrf, l3, packet, remarked, fixed, bridged: None, tunnel })
}

pub(super) fn read_ip(ethertype: u16, bytes: &[u8], verified: IpChecksum) -> Result<Ip, DropReason> {
    match ethertype {
        ether::IPV4 => ip::read4(bytes, verified),
        ether::IPV6 => ip::read6(bytes),
        _ => Err(DropReason::EthertypeUnknown),
    }
}

/// Martians, and packets from an address to itself, whose flow would be its own answer.
pub(super) fn check_source(packet: &Ip) -> Result<(), DropReason> {
    if ip::never_a_source(packet.source) || packet.source == packet.destination {
        return Err(DropReason::SourceSpoofed);
    }
    Ok(())
}

fn check_vtep(snapshot: &Snapshot, vrf: VrfId, remote: IpAddr) -> Result<(), DropReason> {
    let allowed = snapshot.vrfs.row(vrf.index()).and_then(|vrf| vrf.allowed_vteps.as_ref());
    match allowed {
        Some(vteps) if vteps.binary_search(&remote).is_err() => Err(DropReason::VtepNotAllowed),
        _ => Ok(()),
    }
}

/// The VIF of a port.
pub fn vif_of(snapshot: &Snapshot, port: usize) -> Option<&Vif> {
    let vif: VifId = snapshot.ports.get(port)?.vif?;
    snapshot.vifs.row(vif.index())
}
