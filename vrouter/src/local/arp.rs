//! ARP: requests answered, replies learnt from (RFC 826, RFC 5227).

use std::net::{IpAddr, Ipv4Addr};

use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol};

use super::neighbour::Neighbours;
use super::side::Side;
use super::{Outcome, Output, Punt, emit};
use crate::drops::DropReason;
use crate::ids::Mac;
use crate::packet::ip::is_host;
use crate::tables::{Snapshot, Vif, VifKind};

/// An ARP packet about IPv4 over Ethernet.
struct Message {
    request: bool,
    /// From the Ethernet header.
    frame_source: Mac,
    sender_mac: Mac,
    /// 0.0.0.0 in a probe.
    sender: Ipv4Addr,
    target: Ipv4Addr,
}

/// Answers a punted ARP packet, or learns from it.
pub(super) fn outcome(
    snapshot: &Snapshot,
    side: &Side<'_>,
    punt: &Punt<'_>,
    neighbours: &mut Neighbours,
    now: u64,
    out: &mut Vec<Output>,
) -> Outcome {
    let Some(message) = Message::read(punt).filter(|message| message.is_sane(side)) else {
        return Outcome::Dropped(DropReason::ArpInvalid);
    };
    let heard = match side.vif {
        Some(vif) if vif.kind == VifKind::Fabric => {
            neighbours.heard((vif.id, message.sender.into()), message.sender_mac, now, out)
        }
        // A tenant's word about itself: we know it from the model.
        Some(_) => !message.request,
        None => false,
    };
    let answered = message.request && answer(snapshot, side, &message, out);
    if answered || heard { Outcome::Consumed } else { Outcome::Dropped(DropReason::NeighbourNotOurs) }
}

fn answer(snapshot: &Snapshot, side: &Side<'_>, message: &Message, out: &mut Vec<Output>) -> bool {
    let asker = (message.sender_mac, message.sender.into());
    let Some(answer) = side.answers_for(snapshot, message.target.into(), asker) else { return false };
    let reply = emit::Arp {
        operation: ArpOperation::Reply,
        sender: (answer.mac, message.target),
        target: (message.sender_mac, message.sender),
    };
    let reply = side.on_link(snapshot, emit::arp(message.sender_mac, &reply));
    let answered = reply.is_some();
    out.extend(reply);
    answered
}

impl Message {
    fn read(punt: &Punt<'_>) -> Option<Message> {
        let frame = EthernetFrame::new_checked(punt.frame).ok()?;
        // right before the packet, behind a tag if there is one
        let ethertype = punt.frame.get(punt.l3_offset.checked_sub(2)?..punt.l3_offset)?;
        if ethertype != u16::from(EthernetProtocol::Arp).to_be_bytes() {
            return None;
        }
        let packet = ArpPacket::new_checked(punt.frame.get(punt.l3_offset..)?).ok()?;
        let ArpRepr::EthernetIpv4 {
            operation, source_hardware_addr, source_protocol_addr, target_protocol_addr, ..
        } = ArpRepr::parse(&packet).ok()?
        else {
            return None;
        };
        let request = match operation {
            ArpOperation::Request => true,
            ArpOperation::Reply => false,
            ArpOperation::Unknown(_) => return None,
        };
        Some(Message {
            request,
            frame_source: Mac(frame.src_addr().0),
            sender_mac: Mac(source_hardware_addr.0),
            sender: source_protocol_addr,
            target: target_protocol_addr,
        })
    }

    /// Whether its sender may be who it says.
    fn is_sane(&self, side: &Side<'_>) -> bool {
        let probe = self.request && self.sender.is_unspecified();
        let address = is_host(self.sender.into()) && side.may_use_address(IpAddr::V4(self.sender));
        // On the fabric a sender MAC other than the frame's is legitimate: a standby that speaks for a virtual router.
        let fabric = side.vif.is_some_and(|vif: &Vif| vif.kind == VifKind::Fabric);
        let macs = fabric || side.may_use_mac(self.frame_source) && self.frame_source == self.sender_mac;
        let mac = !self.sender_mac.is_group() && self.sender_mac != Mac::default();
        (probe || address) && macs && mac
    }
}
