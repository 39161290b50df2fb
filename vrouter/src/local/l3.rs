//! Reading a punted IP packet.

use std::net::IpAddr;

use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6ExtHeader, Ipv6FragmentHeader, Ipv6Packet};

use crate::drops::DropReason;

/// Extension headers that are followed, at most.
const MAX_EXTENSIONS: usize = 8;

/// One IP packet, checked: without Ethernet padding, all its bytes there.
pub(super) struct L3<'a> {
    /// The packet from its IP header on.
    pub(super) bytes: &'a [u8],
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// Behind the IPv6 extension headers.
    pub(super) protocol: IpProtocol,
    /// Behind them as well.
    pub(super) payload: &'a [u8],
    pub(super) hop_limit: u8,
    /// TOS or traffic class.
    pub(super) class: u8,
    pub(super) fragment: Fragment,
}

/// Which part of a datagram a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fragment {
    Whole,
    /// Whole, yet with an IPv6 fragment header (RFC 6946).
    Atomic,
    First,
    Later,
}

impl Fragment {
    /// `whole`: what the only part is.
    fn of(offset: u16, more: bool, whole: Fragment) -> Fragment {
        match (offset, more) {
            (0, false) => whole,
            (0, true) => Fragment::First,
            _ => Fragment::Later,
        }
    }
}

impl<'a> L3<'a> {
    /// Reads the packet at `offset` of a frame.
    pub(super) fn read(frame: &'a [u8], offset: usize) -> Result<L3<'a>, DropReason> {
        let bytes = frame.get(offset..).unwrap_or_default();
        match bytes.first().map(|byte| byte >> 4) {
            Some(4) => Self::read_v4(bytes),
            Some(6) => Self::read_v6(bytes),
            _ => Err(DropReason::EthertypeUnknown),
        }
    }

    fn read_v4(bytes: &'a [u8]) -> Result<L3<'a>, DropReason> {
        let packet = Ipv4Packet::new_checked(bytes).map_err(|_| DropReason::Ipv4Header)?;
        if !packet.verify_checksum() {
            return Err(DropReason::Ipv4Checksum);
        }
        Ok(L3 {
            bytes: &bytes[..usize::from(packet.total_len())],
            source: packet.src_addr().into(),
            destination: packet.dst_addr().into(),
            protocol: packet.next_header(),
            payload: packet.payload(),
            hop_limit: packet.hop_limit(),
            class: packet.dscp() << 2 | packet.ecn(),
            fragment: Fragment::of(packet.frag_offset(), packet.more_frags(), Fragment::Whole),
        })
    }

    fn read_v6(bytes: &'a [u8]) -> Result<L3<'a>, DropReason> {
        let packet = Ipv6Packet::new_checked(bytes).map_err(|_| DropReason::Ipv6Header)?;
        let mut l3 = L3 {
            bytes: &bytes[..packet.total_len()],
            source: packet.src_addr().into(),
            destination: packet.dst_addr().into(),
            protocol: packet.next_header(),
            payload: packet.payload(),
            hop_limit: packet.hop_limit(),
            class: packet.traffic_class(),
            fragment: Fragment::Whole,
        };
        for _ in 0..MAX_EXTENSIONS {
            if !l3.skip_extension()? {
                return Ok(l3);
            }
        }
        Err(DropReason::Ipv6Header)
    }

    /// Steps over one extension header; false when there is none, or when a later fragment hides what follows.
    fn skip_extension(&mut self) -> Result<bool, DropReason> {
        let is_fragment = self.protocol == IpProtocol::Ipv6Frag;
        let known = [IpProtocol::HopByHop, IpProtocol::Ipv6Route, IpProtocol::Ipv6Opts].contains(&self.protocol);
        if self.fragment == Fragment::Later || !is_fragment && !known {
            return Ok(false);
        }
        let header = if is_fragment {
            let fields = self.payload.get(2..8).ok_or(DropReason::Ipv6Header)?;
            let fragment = Ipv6FragmentHeader::new_unchecked(fields);
            self.fragment = Fragment::of(fragment.frag_offset(), fragment.more_frags(), Fragment::Atomic);
            Ipv6ExtHeader::new_unchecked(self.payload)
        } else {
            Ipv6ExtHeader::new_checked(self.payload).map_err(|_| DropReason::Ipv6Header)?
        };
        // A fragment header has no length field: those bits are reserved (RFC 8200, section 4.5).
        let length = if is_fragment { 8 } else { 8 + 8 * usize::from(header.header_len()) };
        self.protocol = header.next_header();
        self.payload = self.payload.get(length..).ok_or(DropReason::Ipv6Header)?;
        Ok(true)
    }
}
