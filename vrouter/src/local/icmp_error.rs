//! ICMP errors to the senders of packets that a worker dropped (RFC 792, 1122, 1191, 1812; RFC 4443).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::{EthernetFrame, Icmpv4Message, Icmpv4Packet, Icmpv6Message, Icmpv6Packet, IpProtocol};

use super::l3::{Fragment, L3};
use super::side::Side;
use super::{Output, Punt, emit};
use crate::packet::ip::is_host;
use crate::tables::{Snapshot, Vif, VifKind};

/// An error is at most this long, so that no host must reassemble it (RFC 1812, section 4.3.2.3).
const MAX_V4: usize = 576;
/// The same for IPv6 (RFC 4443, section 2.4 c).
const MAX_V6: usize = 1280;
const ICMP: usize = 8;
/// Precedence of errors: internetwork control (RFC 1812, section 4.3.2.5).
const CLASS: u8 = 0xc0;
/// The source of errors where no IPv4 address is configured (RFC 7600, section 4.8).
const DUMMY: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);

/// What was wrong with the packet.
#[derive(Clone, Copy)]
pub(super) enum Problem {
    TimeExceeded,
    TooBig { mtu: u16 },
    NoRoute,
}

/// The error for the punted packet, or nothing where an error is not allowed or has no way back.
pub(super) fn answer(snapshot: &Snapshot, side: &Side<'_>, punt: &Punt<'_>, problem: Problem) -> Option<Output> {
    let l3 = L3::read(punt.frame, punt.l3_offset).ok()?;
    if sent_to_a_group(punt) || l3.fragment == Fragment::Later || is_error(&l3) {
        return None;
    }
    let (source, packet) = match (l3.source, l3.destination) {
        (IpAddr::V4(sender), IpAddr::V4(destination)) => {
            if !is_host(sender.into()) || destination.is_multicast() || destination.is_broadcast() {
                return None;
            }
            let source = our_v4(snapshot, side);
            (source.into(), error_v4(source, sender, problem, l3.bytes))
        }
        (IpAddr::V6(sender), IpAddr::V6(destination)) => {
            let too_big = matches!(problem, Problem::TooBig { .. });
            if !is_host(sender.into()) || destination.is_multicast() && !too_big {
                return None;
            }
            let source = our_v6(snapshot, side)?;
            (source.into(), error_v6(source, sender, problem, l3.bytes))
        }
        _ => return None,
    };
    side.to_sender(punt, source, l3.source, packet)
}

fn error_v4(source: Ipv4Addr, sender: Ipv4Addr, problem: Problem, quoted: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; ICMP];
    bytes.extend_from_slice(&quoted[..quoted.len().min(MAX_V4 - 20 - ICMP)]);
    if let Problem::TooBig { mtu } = problem {
        // The next-hop MTU (RFC 1191, section 4), a field that smoltcp does not know.
        bytes[6..8].copy_from_slice(&mtu.to_be_bytes());
    }
    let mut icmp = Icmpv4Packet::new_unchecked(bytes.as_mut_slice());
    let (kind, code) = match problem {
        Problem::TimeExceeded => (Icmpv4Message::TimeExceeded, 0),
        Problem::TooBig { .. } => (Icmpv4Message::DstUnreachable, 4),
        Problem::NoRoute => (Icmpv4Message::DstUnreachable, 0),
    };
    icmp.set_msg_type(kind);
    icmp.set_msg_code(code);
    icmp.fill_checksum();
    emit::ipv4(source, sender, IpProtocol::Icmp, CLASS, &bytes)
}

fn error_v6(source: Ipv6Addr, sender: Ipv6Addr, problem: Problem, quoted: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; ICMP];
    bytes.extend_from_slice(&quoted[..quoted.len().min(MAX_V6 - 40 - ICMP)]);
    let mut icmp = Icmpv6Packet::new_unchecked(bytes.as_mut_slice());
    let kind = match problem {
        Problem::TimeExceeded => Icmpv6Message::TimeExceeded,
        Problem::TooBig { .. } => Icmpv6Message::PktTooBig,
        Problem::NoRoute => Icmpv6Message::DstUnreachable,
    };
    icmp.set_msg_type(kind);
    icmp.set_msg_code(0);
    if let Problem::TooBig { mtu } = problem {
        icmp.set_pkt_too_big_mtu(mtu.into());
    }
    icmp.fill_checksum(&source, &sender);
    emit::ipv6(source, sender, emit::HOP_LIMIT, CLASS, &bytes)
}

/// An address that the sender knows us by: of the VIF that it sends through, else of another VIF in the VRF.
fn our_v4(snapshot: &Snapshot, side: &Side<'_>) -> Ipv4Addr {
    let underlay = snapshot.local.underlay == Some(side.vrf.id);
    let at_vif = |vif: &Vif| match vif.kind {
        VifKind::Tenant => vif.gateway_v4,
        VifKind::Fabric => vif.addresses.iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        }),
    };
    side.vif
        .and_then(at_vif)
        .or_else(|| vifs_of(snapshot, side).find_map(at_vif))
        .or(snapshot.local.vtep.filter(|_| underlay))
        .unwrap_or(DUMMY)
}

/// The same for IPv6, but a link-local address only towards its own link; there is no dummy.
fn our_v6(snapshot: &Snapshot, side: &Side<'_>) -> Option<Ipv6Addr> {
    let of_fabric = |vif: &Vif, link_local: bool| {
        vif.addresses.iter().find_map(|address| match address {
            IpAddr::V6(address) if address.is_unicast_link_local() == link_local => Some(*address),
            _ => None,
        })
    };
    let global = |vif: &Vif| match vif.kind {
        VifKind::Tenant => vif.gateway_v6,
        VifKind::Fabric => of_fabric(vif, false),
    };
    let link_local = |vif: &Vif| match vif.kind {
        VifKind::Tenant => vif.gateway_link_local,
        VifKind::Fabric => of_fabric(vif, true),
    };
    side.vif
        .and_then(global)
        .or_else(|| vifs_of(snapshot, side).find_map(global))
        .or_else(|| side.vif.and_then(link_local))
}

fn vifs_of<'a>(snapshot: &'a Snapshot, side: &Side<'a>) -> impl Iterator<Item = &'a Vif> {
    let vrf = side.vrf.id;
    snapshot.vifs.iter().map(|(_, vif)| vif).filter(move |vif| vif.vrf == vrf)
}

/// Sent to everybody on the link: errors about such packets would multiply.
fn sent_to_a_group(punt: &Punt<'_>) -> bool {
    let ethernet = punt.l3_offset >= EthernetFrame::<&[u8]>::header_len();
    ethernet && EthernetFrame::new_checked(punt.frame).is_ok_and(|frame| !frame.dst_addr().is_unicast())
}

/// No errors about errors; a message cut short may be one. (One family's messages are nothing of the other's.)
fn is_error(l3: &L3<'_>) -> bool {
    let kind = l3.payload.first().copied();
    match (l3.protocol, l3.source) {
        (IpProtocol::Icmp, IpAddr::V4(_)) => kind.is_none_or(|kind| matches!(kind, 3 | 4 | 5 | 11 | 12)),
        (IpProtocol::Icmpv6, IpAddr::V6(_)) => {
            kind.is_none_or(|kind| kind < 128 || Icmpv6Message::from(kind) == Icmpv6Message::Redirect)
        }
        _ => false,
    }
}
