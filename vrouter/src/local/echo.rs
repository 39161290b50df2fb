//! Echo requests to addresses of ours (RFC 792, RFC 1122 3.2.2.6, RFC 4443 section 4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, IpProtocol};

use super::l3::{Fragment, L3};
use super::side::Side;
use super::{Outcome, Output, Punt, emit};
use crate::drops::DropReason;
use crate::packet::ip::is_host;
use crate::tables::Snapshot;

/// Answers a packet to an address of ours, if it is a whole and sound echo request.
pub(super) fn outcome(snapshot: &Snapshot, side: &Side<'_>, punt: &Punt<'_>, out: &mut Vec<Output>) -> Outcome {
    let l3 = match L3::read(punt.frame, punt.l3_offset) {
        Ok(l3) => l3,
        Err(reason) => return Outcome::Dropped(reason),
    };
    let whole = matches!(l3.fragment, Fragment::Whole | Fragment::Atomic);
    let for_us = whole && side.is_ours(snapshot, l3.destination);
    match for_us
        .then(|| reply(&l3))
        .flatten()
        .and_then(|packet| side.to_sender(punt, l3.destination, l3.source, packet))
    {
        Some(reply) => {
            out.push(reply);
            Outcome::Consumed
        }
        None => Outcome::Dropped(DropReason::LocalUnanswered),
    }
}

fn reply(l3: &L3<'_>) -> Option<Vec<u8>> {
    match (l3.source, l3.destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) if is_host(from.into()) && l3.protocol == IpProtocol::Icmp => {
            reply_v4(l3, from, to)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) if is_host(from.into()) && l3.protocol == IpProtocol::Icmpv6 => {
            reply_v6(l3, from, to)
        }
        _ => None,
    }
}

fn reply_v4(l3: &L3<'_>, from: Ipv4Addr, to: Ipv4Addr) -> Option<Vec<u8>> {
    let checksums = ChecksumCapabilities::default();
    let request = Icmpv4Repr::parse(&Icmpv4Packet::new_checked(l3.payload).ok()?, &checksums).ok()?;
    let Icmpv4Repr::EchoRequest { ident, seq_no, data } = request else { return None };
    let reply = Icmpv4Repr::EchoReply { ident, seq_no, data };
    let mut icmp = vec![0; reply.buffer_len()];
    reply.emit(&mut Icmpv4Packet::new_unchecked(icmp.as_mut_slice()), &checksums);
    Some(emit::ipv4(to, from, IpProtocol::Icmp, l3.class, &icmp))
}

fn reply_v6(l3: &L3<'_>, from: Ipv6Addr, to: Ipv6Addr) -> Option<Vec<u8>> {
    let checksums = ChecksumCapabilities::default();
    let packet = Icmpv6Packet::new_checked(l3.payload).ok()?;
    let Icmpv6Repr::EchoRequest { ident, seq_no, data } = Icmpv6Repr::parse(&from, &to, &packet, &checksums).ok()?
    else {
        return None;
    };
    let reply = Icmpv6Repr::EchoReply { ident, seq_no, data };
    let mut icmp = vec![0; reply.buffer_len()];
    reply.emit(&to, &from, &mut Icmpv6Packet::new_unchecked(icmp.as_mut_slice()), &checksums);
    Some(emit::ipv6(to, from, emit::HOP_LIMIT, l3.class, &icmp))
}
