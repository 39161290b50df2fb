//! What ARP (RFC 826) and neighbour discovery (RFC 4861) say of their sender.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::be32;
use crate::ids::Mac;

/// Who sends an ARP packet about IPv4 over Ethernet; `None`: it is none.
pub fn arp_sender(packet: &[u8]) -> Option<(Mac, Ipv4Addr)> {
    const BYTES: usize = 28;
    let packet = packet.first_chunk::<BYTES>()?;
    let [a, b, c, d, e, f] = *packet[8..].first_chunk()?;
    (packet[..6] == [0, 1, 8, 0, 6, 4]).then(|| (Mac([a, b, c, d, e, f]), Ipv4Addr::from_bits(be32(packet, 14))))
}

/// Who sends an ARP request, and the address that it asks for.
pub fn arp_request(packet: &[u8]) -> Option<((Mac, Ipv4Addr), Ipv4Addr)> {
    const REQUEST: [u8; 2] = [0, 1];
    let sender = arp_sender(packet).filter(|_| packet[6..8] == REQUEST)?;
    Some((sender, Ipv4Addr::from_bits(be32(packet, 24))))
}

/// Whether an ICMPv6 message asks for routers.
pub fn solicits_router(message: &[u8]) -> bool {
    message.first() == Some(&133)
}

/// What an ND message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// The address that a neighbour solicitation asks for.
    pub solicited: Option<Ipv6Addr>,
    /// The address that a neighbour advertisement speaks for.
    pub advertised: Option<Ipv6Addr>,
    /// The sender's link-layer address, or in an advertisement that of its target.
    pub mac: Option<Mac>,
}

impl Discovery {
    /// Reads an ICMPv6 message of types 133 to 137; `None`: it is malformed, or a router's (advertisement or redirect).
    pub fn read(message: &[u8]) -> Option<Discovery> {
        const SOLICITS_ROUTER: u8 = 133;
        const SOLICITS: u8 = 135;
        const ADVERTISES: u8 = 136;
        let (options, kind) = match *message.first()? {
            SOLICITS_ROUTER => (message.get(8..)?, 1),
            SOLICITS => (message.get(24..)?, 1),
            ADVERTISES => (message.get(24..)?, 2),
            _ => return None,
        };
        let target = || Ipv6Addr::from(*message[8..].first_chunk::<16>().unwrap_or(&[0; 16]));
        let advertised = (message[0] == ADVERTISES).then(target);
        let solicited = (message[0] == SOLICITS).then(target);
        Some(Discovery { solicited, advertised, mac: link_layer(options, kind)? })
    }
}

/// The last link-layer address of this kind among options; `None`: they are malformed.
fn link_layer(mut options: &[u8], kind: u8) -> Option<Option<Mac>> {
    let mut mac = None;
    while !options.is_empty() {
        let length = usize::from(*options.get(1)?) * 8;
        let option = options.get(..length).filter(|option| !option.is_empty())?;
        if option[0] == kind {
            mac = Some(Mac(*option[2..].first_chunk()?));
        }
        options = &options[length..];
    }
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arp_says_who_sends_it() {
        let packet = [0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 10, 1, 10, 1, 1, 10, 2, 0, 0, 0, 10, 3, 10, 1, 1, 11];
        assert_eq!(arp_sender(&packet), Some((Mac([2, 0, 0, 0, 10, 1]), Ipv4Addr::new(10, 1, 1, 10))));
        assert_eq!(arp_request(&packet), None);
        let request = [&packet[..7], &[1], &packet[8..]].concat();
        let sender = (Mac([2, 0, 0, 0, 10, 1]), Ipv4Addr::new(10, 1, 1, 10));
        assert_eq!(arp_request(&request), Some((sender, Ipv4Addr::new(10, 1, 1, 11))));
        assert_eq!(arp_sender(&packet[..27]), None);
        assert_eq!(arp_sender(&[&[0, 6], &packet[2..]].concat()), None);
    }

    #[test]
    fn discovery_says_whose_address_it_means() {
        let target: Ipv6Addr = "fd01::11".parse().unwrap();
        let message = |kind: u8, options: &[u8]| [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &target.octets(), options].concat();
        let mac = Mac([2, 0, 0, 0, 10, 3]);
        let read = |kind, options: &[u8]| Discovery::read(&message(kind, options));
        let asks = Discovery { solicited: Some(target), advertised: None, mac: Some(mac) };
        assert_eq!(read(135, &[1, 1, 2, 0, 0, 0, 10, 3]), Some(asks));
        let says = |mac| Discovery { solicited: None, advertised: Some(target), mac };
        assert_eq!(read(136, &[2, 1, 2, 0, 0, 0, 10, 3]), Some(says(Some(mac))));
        assert_eq!(read(136, &[]), Some(says(None)));
        for bad in [&[1][..], &[1, 0, 0, 0, 0, 0, 0, 0], &[1, 2, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(read(135, bad), None);
        }
        assert_eq!((read(134, &[]), read(137, &[]), Discovery::read(&[135, 0])), (None, None, None));
    }
}
