//! IPv6 neighbour discovery: solicitations answered, everything checked (RFC 4861, sections 6.1 and 7.1; RFC 4862).

use std::net::{IpAddr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv6Message, Icmpv6Packet, Icmpv6Repr, IpProtocol,
    NdiscNeighborFlags, NdiscRepr,
};

use super::l3::{Fragment, L3};
use super::side::{Answer, Side, is_unicast_v6};
use super::{Outcome, Output, Punt, emit};
use crate::drops::DropReason;
use crate::ids::Mac;
use crate::tables::Snapshot;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: Mac = Mac([0x33, 0x33, 0, 0, 0, 1]);
/// What ND packets are sent with, and must arrive with: proof that no router was on their way.
const HOP_LIMIT: u8 = 255;

/// A packet whose hop limit, checksum, addresses and options are in order.
struct Message<'a> {
    frame_source: Mac,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    kind: Icmpv6Message,
    icmp: Icmpv6Packet<&'a [u8]>,
}

/// Answers a punted ND packet.
pub(super) fn outcome(snapshot: &Snapshot, side: &Side<'_>, punt: &Punt<'_>, out: &mut Vec<Output>) -> Outcome {
    let Some(message) = Message::read(punt).filter(|message| message.sender_is_genuine(side)) else {
        return Outcome::Dropped(DropReason::NdInvalid);
    };
    match message.kind {
        Icmpv6Message::NeighborSolicit => match message.solicited(side) {
            Some(target) => answer(snapshot, side, &message, target, out),
            None => Outcome::Dropped(DropReason::NdInvalid),
        },
        Icmpv6Message::NeighborAdvert if message.is_sound_advert(side) => Outcome::Consumed,
        Icmpv6Message::NeighborAdvert => Outcome::Dropped(DropReason::NdInvalid),
        // Router solicitations, advertisements, redirects.
        _ => Outcome::Dropped(DropReason::NeighbourNotOurs),
    }
}

fn answer(
    snapshot: &Snapshot,
    side: &Side<'_>,
    message: &Message<'_>,
    target: Ipv6Addr,
    out: &mut Vec<Output>,
) -> Outcome {
    let advert = side
        .answers_for(snapshot, target.into(), message.source.into())
        .and_then(|answer| side.on_link(snapshot, advert(message, target, answer)));
    match advert {
        Some(advert) => {
            out.push(advert);
            Outcome::Consumed
        }
        None => Outcome::Dropped(DropReason::NeighbourNotOurs),
    }
}

/// A neighbour advertisement as an Ethernet frame. To a probe for a duplicate address it goes to everybody, unsolicited (RFC 4861,
/// section 7.2.4); as a proxy it does not override (section 7.2.8).
fn advert(message: &Message<'_>, target: Ipv6Addr, answer: Answer) -> Vec<u8> {
    let probe = message.source.is_unspecified();
    let (mac, destination) = if probe { (ALL_NODES_MAC, ALL_NODES) } else { (message.frame_source, message.source) };
    let mut flags = NdiscNeighborFlags::ROUTER;
    flags.set(NdiscNeighborFlags::SOLICITED, !probe);
    flags.set(NdiscNeighborFlags::OVERRIDE, answer.own);
    let repr = Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
        flags,
        target_addr: target,
        lladdr: Some(EthernetAddress(answer.mac.0).into()),
    });
    let mut icmp = vec![0; repr.buffer_len()];
    let mut packet = Icmpv6Packet::new_unchecked(icmp.as_mut_slice());
    repr.emit(&target, &destination, &mut packet, &ChecksumCapabilities::default());
    let packet = emit::ipv6(target, destination, HOP_LIMIT, 0, &icmp);
    emit::ethernet(mac, answer.mac, EthernetProtocol::Ipv6, &packet)
}

impl<'a> Message<'a> {
    fn read(punt: &Punt<'a>) -> Option<Message<'a>> {
        let frame = EthernetFrame::new_checked(punt.frame).ok()?;
        let l3 = L3::read(punt.frame, punt.l3_offset).ok()?;
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (l3.source, l3.destination) else { return None };
        // Fragments never carry ND, not even atomic ones (RFC 6980).
        let whole = l3.fragment == Fragment::Whole && l3.protocol == IpProtocol::Icmpv6;
        if !whole || l3.hop_limit != HOP_LIMIT || source.is_multicast() || source.is_loopback() {
            return None;
        }
        let icmp = Icmpv6Packet::new_checked(l3.payload).ok()?;
        if icmp.msg_code() != 0 || !icmp.verify_checksum(&source, &destination) {
            return None;
        }
        let kind = icmp.msg_type();
        kind.is_ndisc().then_some(Message { frame_source: Mac(frame.src_addr().0), source, destination, kind, icmp })
    }

    /// Whether its sender may be who it says.
    fn sender_is_genuine(&self, side: &Side<'_>) -> bool {
        let address = self.source.is_unspecified() || side.may_use_address(self.source.into());
        address && side.may_use_mac(self.frame_source)
    }

    /// The target of a solicitation that RFC 4861, section 7.1.1 lets pass.
    fn solicited(&self, side: &Side<'_>) -> Option<Ipv6Addr> {
        let NdiscRepr::NeighborSolicit { target_addr, lladdr } = NdiscRepr::parse(&self.icmp).ok()? else {
            return None;
        };
        let source_mac = lladdr.map(|address| address.as_bytes().to_vec());
        let sound = if self.source.is_unspecified() {
            source_mac.is_none() && self.destination == solicited_node(target_addr)
        } else {
            source_mac.is_none_or(|mac| self.may_claim(side, &mac))
        };
        (sound && is_unicast_v6(target_addr)).then_some(target_addr)
    }

    /// RFC 4861, section 7.1.2; and a tenant advertises its own MAC only.
    fn is_sound_advert(&self, side: &Side<'_>) -> bool {
        let Ok(NdiscRepr::NeighborAdvert { flags, target_addr, lladdr }) = NdiscRepr::parse(&self.icmp) else {
            return false;
        };
        let solicited_group = self.destination.is_multicast() && flags.contains(NdiscNeighborFlags::SOLICITED);
        let mac = lladdr.is_none_or(|address| self.may_claim(side, address.as_bytes()));
        let target = is_unicast_v6(target_addr) && side.may_use_address(target_addr.into());
        is_unicast_v6(self.source) && target && mac && !solicited_group
    }

    fn may_claim(&self, side: &Side<'_>, mac: &[u8]) -> bool {
        mac.try_into().is_ok_and(|mac| side.may_use_mac(Mac(mac)))
    }
}

/// RFC 4291, section 2.7.1.
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let low = address.to_bits() & 0xff_ffff;
    Ipv6Addr::from_bits(0xff02_0000_0000_0000_0000_0001_ff00_0000 | low)
}
