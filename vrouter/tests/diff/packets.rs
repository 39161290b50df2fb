//! Packets as a generator thinks of them, and their bytes. Its own writer: what it writes is read by product and model alike.

use std::net::{IpAddr, Ipv4Addr};

/// An IP packet.
#[derive(Clone, Debug)]
pub struct Packet {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub upper: Upper,
    pub ttl: u8,
    pub tos: u8,
    /// IPv4 identification.
    pub id: u16,
    /// Bytes behind the transport header.
    pub payload: usize,
    /// Offset in units of eight bytes, and whether more follow.
    pub fragment: Option<(u16, bool)>,
    /// Of IPv4: don't fragment.
    pub whole: bool,
    /// IPv4 options or IPv6 extension headers, in units of eight bytes.
    pub options: usize,
    /// Options of TCP, a whole number of words.
    pub tcp: Vec<u8>,
}

#[derive(Clone, Debug)]
pub enum Upper {
    Tcp {
        source: u16,
        destination: u16,
        flags: u8,
    },
    /// UDP, SCTP, UDP-Lite by number.
    Ports {
        number: u8,
        source: u16,
        destination: u16,
    },
    Icmp {
        kind: u8,
        code: u8,
        id: u16,
    },
    Other(u8),
    /// An ICMP error that quotes this much of a packet.
    Error {
        kind: u8,
        code: u8,
        quoted: Box<Packet>,
        bytes: usize,
    },
    /// A neighbour solicitation for the address, with the link-layer address of its sender; or another ND type.
    Nd {
        kind: u8,
        target: IpAddr,
        mac: Option<[u8; 6]>,
    },
}

pub const SYN: u8 = 2;
pub const ACK: u8 = 16;

impl Packet {
    pub fn new(source: IpAddr, destination: IpAddr, upper: Upper) -> Packet {
        let (id, payload) = (0x1234, 12);
        Packet {
            source,
            destination,
            upper,
            ttl: 64,
            tos: 0,
            id,
            payload,
            fragment: None,
            whole: false,
            options: 0,
            tcp: Vec::new(),
        }
    }

    pub fn is_v6(&self) -> bool {
        self.source.is_ipv6()
    }

    /// As its receiver answers it; an error or ND is answered by itself, turned round.
    pub fn answer(&self) -> Packet {
        let upper = match &self.upper {
            Upper::Tcp { source, destination, flags } => {
                let flags = if *flags == SYN { SYN | ACK } else { ACK | *flags & 5 };
                Upper::Tcp { source: *destination, destination: *source, flags }
            }
            Upper::Ports { number, source, destination } => {
                Upper::Ports { number: *number, source: *destination, destination: *source }
            }
            Upper::Icmp { kind, code, id } => {
                let kind = match *kind {
                    8 => 0,
                    128 => 129,
                    13 => 14,
                    other => other,
                };
                Upper::Icmp { kind, code: *code, id: *id }
            }
            other => other.clone(),
        };
        Packet { source: self.destination, destination: self.source, upper, ttl: 64, ..self.clone() }
    }

    /// Where TCP's or UDP's checksum is in the L3 packet; none: neither, or not whole.
    pub fn sum_at(&self) -> Option<usize> {
        let at = match self.upper {
            Upper::Tcp { .. } => 16,
            Upper::Ports { number: 17, .. } => 6,
            _ => return None,
        };
        let whole = self.fragment.is_none();
        whole.then(|| self.bytes().len() - self.upper_bytes().len() + at)
    }

    /// The L3 packet.
    pub fn bytes(&self) -> Vec<u8> {
        if self.is_v6() { self.bytes6() } else { self.bytes4() }
    }

    fn bytes4(&self) -> Vec<u8> {
        let header = 20 + self.options * 4;
        let upper = self.upper_bytes();
        let mut bytes = vec![0; header];
        bytes[0] = 0x40 | (header / 4) as u8;
        bytes[1] = self.tos;
        bytes[2..4].copy_from_slice(&((header + upper.len()) as u16).to_be_bytes());
        bytes[4..6].copy_from_slice(&self.id.to_be_bytes());
        if let Some((offset, more)) = self.fragment {
            bytes[6..8].copy_from_slice(&(offset & 0x1fff | u16::from(more) << 13).to_be_bytes());
        }
        bytes[6] |= u8::from(self.whole) << 6;
        bytes[8] = self.ttl;
        bytes[9] = self.number();
        bytes[12..16].copy_from_slice(&octets(self.source));
        bytes[16..20].copy_from_slice(&octets(self.destination));
        bytes[20..].fill(1); // no operation
        let sum = checksum(0, &bytes);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(upper);
        bytes
    }

    fn bytes6(&self) -> Vec<u8> {
        let upper = self.upper_bytes();
        // hop-by-hop options first, then destination options, then the fragment header
        let mut kinds: Vec<u8> = (0..self.options).map(|at| if at == 0 { 0 } else { 60 }).collect();
        kinds.extend(self.fragment.map(|_| 44));
        kinds.push(self.number());
        let mut chain = Vec::new();
        for pair in kinds.windows(2) {
            match (pair[0], self.fragment) {
                (44, Some((offset, more))) => {
                    let offset = (offset << 3 | u16::from(more)).to_be_bytes();
                    chain.extend([pair[1], 0, offset[0], offset[1], 0, 0, (self.id >> 8) as u8, self.id as u8]);
                }
                _ => chain.extend([pair[1], 0, 1, 4, 0, 0, 0, 0]),
            }
        }
        let mut bytes = vec![0; 40];
        bytes[0] = 0x60 | self.tos >> 4;
        bytes[1] = self.tos << 4;
        bytes[4..6].copy_from_slice(&((chain.len() + upper.len()) as u16).to_be_bytes());
        bytes[6] = kinds[0];
        bytes[7] = self.ttl;
        bytes[8..24].copy_from_slice(&octets(self.source));
        bytes[24..40].copy_from_slice(&octets(self.destination));
        bytes.extend(chain);
        bytes.extend(upper);
        bytes
    }

    fn number(&self) -> u8 {
        match self.upper {
            Upper::Tcp { .. } => 6,
            Upper::Ports { number, .. } | Upper::Other(number) => number,
            Upper::Icmp { .. } | Upper::Error { .. } if !self.is_v6() => 1,
            Upper::Icmp { .. } | Upper::Error { .. } | Upper::Nd { .. } => 58,
        }
    }

    fn upper_bytes(&self) -> Vec<u8> {
        if self.fragment.is_some_and(|(offset, _)| offset > 0) {
            return payload(self.payload);
        }
        let mut bytes = Vec::new();
        let ports = |source: u16, destination: u16| [source.to_be_bytes(), destination.to_be_bytes()].concat();
        let sum_at = match &self.upper {
            Upper::Tcp { source, destination, flags } => {
                bytes = ports(*source, *destination);
                let words = 5 + self.tcp.len() as u8 / 4;
                bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, words << 4, *flags, 0x20, 0, 0, 0, 0, 0]);
                bytes.extend(&self.tcp);
                16
            }
            Upper::Ports { number, source, destination } => {
                bytes = ports(*source, *destination);
                // a first fragment's datagram is longer than the fragment
                let more = if self.fragment.is_some() { 1000 } else { 0 };
                let length = if *number == 132 { 0 } else { 8 + self.payload + more };
                bytes.extend((length as u16).to_be_bytes());
                bytes.extend([0, 0]);
                if *number == 17 { 6 } else { usize::MAX }
            }
            Upper::Icmp { kind, code, id } => {
                bytes.extend([*kind, *code, 0, 0, (id >> 8) as u8, *id as u8, 0, 1]);
                2
            }
            Upper::Other(_) => usize::MAX,
            Upper::Error { kind, code, quoted, bytes: most } => {
                bytes.extend([*kind, *code, 0, 0, 0, 0, 5, 0]);
                let quoted = quoted.bytes();
                bytes.extend(&quoted[..quoted.len().min(*most)]);
                return summed(bytes, self.source, self.destination, self.number(), 2);
            }
            Upper::Nd { kind, target, mac } => {
                bytes.extend([*kind, 0, 0, 0, 0, 0, 0, 0]);
                if *kind != 133 {
                    bytes.extend(octets(*target));
                }
                if let Some(mac) = mac {
                    bytes.extend([if *kind == 136 { 2 } else { 1 }, 1]);
                    bytes.extend(mac);
                }
                return summed(bytes, self.source, self.destination, 58, 2);
            }
        };
        bytes.extend(payload(self.payload));
        if sum_at == usize::MAX { bytes } else { summed(bytes, self.source, self.destination, self.number(), sum_at) }
    }
}

/// With its checksum at `at`.
pub fn summed(mut bytes: Vec<u8>, source: IpAddr, destination: IpAddr, number: u8, at: usize) -> Vec<u8> {
    let pseudo = match number {
        1 => Vec::new(),
        _ => [octets(source), octets(destination), vec![0, number, 0, 0], (bytes.len() as u32).to_be_bytes().to_vec()]
            .concat(),
    };
    let sum = checksum(0, &[pseudo, bytes.clone()].concat());
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|at| at as u8).collect()
}

/// The Internet checksum (RFC 1071) of what is not yet in `sum`.
pub fn checksum(sum: u32, bytes: &[u8]) -> u16 {
    let mut sum = sum;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// An Ethernet frame.
pub fn ethernet(to: [u8; 6], from: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &ethertype.to_be_bytes(), payload].concat()
}

/// An L3 packet in an Ethernet frame.
pub fn framed(to: [u8; 6], from: [u8; 6], l3: &[u8]) -> Vec<u8> {
    ethernet(to, from, if l3.first().is_some_and(|byte| byte >> 4 == 6) { 0x86dd } else { 0x0800 }, l3)
}

/// ARP about IPv4 over Ethernet, without its Ethernet header.
pub fn arp(operation: u16, sender: ([u8; 6], Ipv4Addr), target: ([u8; 6], Ipv4Addr)) -> Vec<u8> {
    let mut bytes = vec![0, 1, 8, 0, 6, 4];
    bytes.extend(operation.to_be_bytes());
    for (mac, address) in [sender, target] {
        bytes.extend(mac);
        bytes.extend(address.octets());
    }
    bytes
}
