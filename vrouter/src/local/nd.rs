//! IPv6 neighbour discovery: everything checked, solicitations sent and answered, advertisements learnt from (RFC 4861, RFC 4862).

use std::net::{IpAddr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv6Message, Icmpv6Packet, Icmpv6Repr, IpProtocol,
    NdiscNeighborFlags, NdiscRepr, RawHardwareAddress,
};

use super::l3::{Fragment, L3};
use super::neighbour::{Advert, Neighbours};
use super::router::Routers;
use super::side::{Answer, Side};
use super::{Outcome, Output, Punt, emit};
use crate::drops::DropReason;
use crate::ids::Mac;
use crate::packet::ip::is_host;
use crate::tables::{Snapshot, VifKind};

/// Everybody on a link.
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// What ND packets are sent with, and must arrive with: proof that no router was on their way.
pub(super) const HOP_LIMIT: u8 = 255;

/// A packet whose hop limit, checksum, addresses and options are in order.
struct Message<'a> {
    frame_source: Mac,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    kind: Icmpv6Message,
    icmp: Icmpv6Packet<&'a [u8]>,
}

/// Answers a punted ND packet, or learns from it.
pub(super) fn outcome(
    snapshot: &Snapshot,
    side: &Side<'_>,
    punt: &Punt<'_>,
    (neighbours, routers): (&mut Neighbours, &mut Routers),
    now: u64,
    out: &mut Vec<Output>,
) -> Outcome {
    let Some(message) = Message::read(punt).filter(|message| message.sender_is_genuine(side)) else {
        return Outcome::Dropped(DropReason::NdInvalid);
    };
    let fabric = side.vif.filter(|vif| vif.kind == VifKind::Fabric);
    let done = match message.kind {
        Icmpv6Message::NeighborSolicit => {
            let Some((target, mac)) = message.solicited(side) else { return Outcome::Dropped(DropReason::NdInvalid) };
            let heard = match (fabric, mac) {
                (Some(vif), Some(mac)) => neighbours.mentioned((vif.id, message.source.into()), mac, now, out),
                _ => false,
            };
            let to = mac.unwrap_or(message.frame_source);
            let asker = (message.frame_source, message.source.into());
            let answer = side.answers_for(snapshot, target.into(), asker);
            let advert = answer.and_then(|answer| side.on_link(snapshot, advert((to, message.source), target, answer)));
            let answered = advert.is_some();
            out.extend(advert);
            answered || heard
        }
        Icmpv6Message::NeighborAdvert => {
            let Some((target, advert)) = message.advertised(side) else {
                return Outcome::Dropped(DropReason::NdInvalid);
            };
            // A tenant's word about itself: we know it from the model.
            fabric.is_none_or(|vif| neighbours.advertised((vif.id, target.into()), advert, now, out))
        }
        Icmpv6Message::RouterSolicit if !message.solicits_router(side) => {
            return Outcome::Dropped(DropReason::NdInvalid);
        }
        Icmpv6Message::RouterSolicit => side.vif.is_some_and(|vif| routers.solicited(vif.id, now)),
        // Router advertisements and redirects: nobody tells us the way.
        _ => false,
    };
    if done { Outcome::Consumed } else { Outcome::Dropped(DropReason::NeighbourNotOurs) }
}

/// A neighbour solicitation from one of our addresses as an Ethernet frame: to the target's group, or to its MAC (RFC 4861, section 7.2.2).
pub(super) fn solicitation((mac, from): (Mac, Ipv6Addr), target: Ipv6Addr, known: Option<Mac>) -> Vec<u8> {
    let group = solicited_node(target);
    let to = known.map_or((group_mac(group), group), |known| (known, target));
    let lladdr = Some(EthernetAddress(mac.0).into());
    packet((mac, from), to, NdiscRepr::NeighborSolicit { target_addr: target, lladdr })
}

/// A neighbour advertisement as an Ethernet frame. To a probe for a duplicate address it goes to everybody, unsolicited (RFC 4861,
/// section 7.2.4); as a proxy it does not override (section 7.2.8).
fn advert(asker: (Mac, Ipv6Addr), target: Ipv6Addr, answer: Answer) -> Vec<u8> {
    let probe = asker.1.is_unspecified();
    let to = if probe { (group_mac(ALL_NODES), ALL_NODES) } else { asker };
    let mut flags = NdiscNeighborFlags::empty();
    flags.set(NdiscNeighborFlags::ROUTER, answer.router);
    flags.set(NdiscNeighborFlags::SOLICITED, !probe);
    flags.set(NdiscNeighborFlags::OVERRIDE, answer.own);
    let lladdr = Some(EthernetAddress(answer.mac.0).into());
    packet((answer.mac, target), to, NdiscRepr::NeighborAdvert { flags, target_addr: target, lladdr })
}

/// An ND message as an Ethernet frame.
fn packet(from: (Mac, Ipv6Addr), to: (Mac, Ipv6Addr), message: NdiscRepr<'_>) -> Vec<u8> {
    let repr = Icmpv6Repr::Ndisc(message);
    let mut icmp = vec![0; repr.buffer_len()];
    let mut packet = Icmpv6Packet::new_unchecked(icmp.as_mut_slice());
    repr.emit(&from.1, &to.1, &mut packet, &ChecksumCapabilities::default());
    let packet = emit::ipv6(from.1, to.1, HOP_LIMIT, 0, &icmp);
    emit::ethernet(to.0, from.0, EthernetProtocol::Ipv6, &packet)
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

    /// The target of a solicitation that RFC 4861, section 7.1.1 lets pass, and its sender's MAC if it tells.
    fn solicited(&self, side: &Side<'_>) -> Option<(Ipv6Addr, Option<Mac>)> {
        let NdiscRepr::NeighborSolicit { target_addr, lladdr } = NdiscRepr::parse(&self.icmp).ok()? else {
            return None;
        };
        let mac = self.claimed(side, lladdr)?;
        let probe = self.source.is_unspecified();
        let sound = !probe || mac.is_none() && self.destination == solicited_node(target_addr);
        (sound && is_host(target_addr.into())).then_some((target_addr, mac))
    }

    /// Whether RFC 4861, section 6.1.1 lets a router solicitation pass.
    fn solicits_router(&self, side: &Side<'_>) -> bool {
        let Ok(NdiscRepr::RouterSolicit { lladdr }) = NdiscRepr::parse(&self.icmp) else { return false };
        let mac = self.claimed(side, lladdr);
        mac.is_some_and(|mac| mac.is_none() || !self.source.is_unspecified())
    }

    /// What an advertisement that RFC 4861, section 7.1.2 lets pass says of its target; and a tenant advertises its own MAC only.
    fn advertised(&self, side: &Side<'_>) -> Option<(Ipv6Addr, Advert)> {
        let NdiscRepr::NeighborAdvert { flags, target_addr, lladdr } = NdiscRepr::parse(&self.icmp).ok()? else {
            return None;
        };
        let mac = self.claimed(side, lladdr)?;
        let solicited = flags.contains(NdiscNeighborFlags::SOLICITED);
        let target = is_host(target_addr.into()) && side.may_use_address(target_addr.into());
        let sound = is_host(self.source.into()) && target && !(solicited && self.destination.is_multicast());
        let overrides = flags.contains(NdiscNeighborFlags::OVERRIDE);
        sound.then_some((target_addr, Advert { mac, solicited, overrides }))
    }

    /// The MAC of an option, if there is one; `None`: not the sender's to claim.
    fn claimed(&self, side: &Side<'_>, option: Option<RawHardwareAddress>) -> Option<Option<Mac>> {
        let Some(option) = option else { return Some(None) };
        let mac = Mac(option.as_bytes().try_into().ok()?);
        side.may_use_mac(mac).then_some(Some(mac))
    }
}

/// RFC 4291, section 2.7.1.
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let low = address.to_bits() & 0xff_ffff;
    Ipv6Addr::from_bits(0xff02_0000_0000_0000_0000_0001_ff00_0000 | low)
}

/// RFC 2464, section 7.
pub(super) fn group_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}
