//! Headers, read byte by byte as their RFCs draw them. What cannot be read is a drop reason.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub type Mac = [u8; 6];
pub type Reason = &'static str;

pub const ARP: u16 = 0x0806;
pub const IPV4: u16 = 0x0800;
pub const IPV6: u16 = 0x86dd;

/// The bit that makes a MAC address one of a group.
pub fn is_group(mac: Mac) -> bool {
    mac[0] & 1 == 1
}

pub struct Ether {
    pub destination: Mac,
    pub source: Mac,
    pub ethertype: u16,
}

pub fn ether(frame: &[u8]) -> Result<Ether, Reason> {
    if frame.len() < 14 {
        return Err("frame_too_short");
    }
    let mac = |at: usize| frame[at..at + 6].try_into().expect("six bytes");
    Ok(Ether { destination: mac(0), source: mac(6), ethertype: be16(frame, 12) })
}

pub fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from(be16(bytes, at)) << 16 | u32::from(be16(bytes, at + 2))
}

pub fn v4_at(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

pub fn v6_at(bytes: &[u8], at: usize) -> Ipv6Addr {
    let octets: [u8; 16] = bytes[at..at + 16].try_into().expect("sixteen bytes");
    Ipv6Addr::from(octets)
}

/// The sum of RFC 1071 over these bytes; 0xffff when they hold their own checksum.
pub fn ones_sum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for (at, byte) in bytes.iter().enumerate() {
        sum += if at % 2 == 0 { u32::from(*byte) << 8 } else { u32::from(*byte) };
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// What identifies a flow besides its place of entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tuple {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    /// A later fragment: no ports.
    pub later: bool,
    /// ICMP: the identifier, or 0.
    pub source_port: u16,
    /// ICMP: type and code.
    pub destination_port: u16,
}

impl Tuple {
    pub fn is_icmp(&self) -> bool {
        !self.later && self.protocol == if self.source.is_ipv4() { 1 } else { 58 }
    }

    pub fn ports(&self) -> Option<(u16, u16)> {
        let has = !self.later && [6, 17, 132, 136].contains(&self.protocol);
        has.then_some((self.source_port, self.destination_port))
    }

    pub fn icmp(&self) -> Option<(u8, u8)> {
        self.is_icmp().then_some(((self.destination_port >> 8) as u8, self.destination_port as u8))
    }

    /// What the answers look like: a question's type becomes that of its answer, all else is turned round.
    pub fn turned(&self) -> Tuple {
        let mut turned = Tuple { source: self.destination, destination: self.source, ..*self };
        if let Some((kind, code)) = self.icmp() {
            let answer = match (self.protocol, kind) {
                (1, 8) => 0,
                (1, 0) => 8,
                (1, 13) => 14,
                (1, 14) => 13,
                (58, 128) => 129,
                (58, 129) => 128,
                _ => kind,
            };
            turned.destination_port = u16::from_be_bytes([answer, code]);
        } else {
            (turned.source_port, turned.destination_port) = (self.destination_port, self.source_port);
        }
        turned
    }
}

/// What is behind the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upper {
    /// What has a tuple; the flags are TCP's, or 0.
    Flow { flags: u8 },
    /// An ICMP error, and the packet that it quotes.
    Error { quoted: Tuple },
    /// ICMPv6 133 to 137.
    Discovery,
}

#[derive(Clone, Debug)]
pub struct Packet {
    /// For errors and discovery without meaning but for addresses and protocol.
    pub tuple: Tuple,
    pub upper: Upper,
    pub ttl: u8,
    /// TOS or traffic class.
    pub class: u8,
    /// Of a datagram that was fragmented.
    pub fragment: bool,
    /// Its identification.
    pub id: u32,
    /// The whole packet, without what follows it.
    pub bytes: Vec<u8>,
    /// Where the payload behind all IP headers begins.
    pub payload: usize,
}

impl Packet {
    /// What is not IP: nothing of it is known.
    pub fn opaque(bytes: &[u8]) -> Packet {
        let nobody = Ipv4Addr::UNSPECIFIED.into();
        let (source, destination) = (nobody, nobody);
        let tuple = Tuple { source, destination, protocol: 0, later: false, source_port: 0, destination_port: 0 };
        let upper = Upper::Flow { flags: 0 };
        Packet { tuple, upper, ttl: 0, class: 0, fragment: false, id: 0, bytes: bytes.to_vec(), payload: 0 }
    }

    pub fn source(&self) -> IpAddr {
        self.tuple.source
    }

    pub fn destination(&self) -> IpAddr {
        self.tuple.destination
    }

    pub fn flags(&self) -> u8 {
        if let Upper::Flow { flags } = self.upper { flags } else { 0 }
    }
}

/// Reads the packet of this ethertype.
pub fn ip(ethertype: u16, bytes: &[u8]) -> Result<Packet, Reason> {
    match ethertype {
        IPV4 => ipv4(bytes),
        IPV6 => ipv6(bytes),
        _ => Err("ethertype_unknown"),
    }
}

/// Reads a packet that says itself what it is.
pub fn bare_ip(bytes: &[u8]) -> Result<Packet, Reason> {
    match bytes.first().map(|byte| byte >> 4) {
        Some(4) => ipv4(bytes),
        Some(6) => ipv6(bytes),
        _ => Err("ethertype_unknown"),
    }
}

/// A packet that we built: what it quotes may have been cut before its ports.
pub fn ours(bytes: &[u8]) -> Packet {
    let cut = || {
        let (source, destination) = (v6_at(bytes, 8).into(), v6_at(bytes, 24).into());
        let tuple =
            Tuple { source, destination, protocol: bytes[6], later: false, source_port: 0, destination_port: 0 };
        let (ttl, class) = (bytes[7], bytes[0] << 4 | bytes[1] >> 4);
        let upper = Upper::Flow { flags: 0 };
        Packet { tuple, upper, ttl, class, fragment: false, id: 0, bytes: bytes.to_vec(), payload: 40 }
    };
    match bare_ip(bytes) {
        Err("transport_header") if bytes[0] >> 4 == 6 => cut(),
        read => read.expect("a packet that we built"),
    }
}

fn ipv4(bytes: &[u8]) -> Result<Packet, Reason> {
    let first = *bytes.first().ok_or("ipv4_header")?;
    let header = usize::from(first & 15) * 4;
    if first >> 4 != 4 || header < 20 || bytes.len() < header {
        return Err("ipv4_header");
    }
    let length = usize::from(be16(bytes, 2));
    if length < header || length > bytes.len() {
        return Err("ip_length");
    }
    if ones_sum(&bytes[..header]) != 0xffff {
        return Err("ipv4_checksum");
    }
    let fragmenting = be16(bytes, 6);
    let (more, offset) = (fragmenting & 0x2000 != 0, fragmenting & 0x1fff);
    let (source, destination) = (v4_at(bytes, 12).into(), v4_at(bytes, 16).into());
    let fragmenting = (more, offset, u32::from(be16(bytes, 4)));
    finish(bytes, length, header, (source, destination), bytes[9], fragmenting, (bytes[8], bytes[1]))
}

fn ipv6(bytes: &[u8]) -> Result<Packet, Reason> {
    if bytes.len() < 40 || bytes[0] >> 4 != 6 {
        return Err("ipv6_header");
    }
    let length = 40 + usize::from(be16(bytes, 4));
    if length > bytes.len() || length > 65535 {
        return Err("ip_length");
    }
    let chain = extensions(bytes[6], &bytes[40..length])?;
    let class = bytes[0] << 4 | bytes[1] >> 4;
    let (source, destination) = (v6_at(bytes, 8).into(), v6_at(bytes, 24).into());
    let fragmenting = (chain.more, chain.offset, chain.id);
    finish(bytes, length, 40 + chain.length, (source, destination), chain.protocol, fragmenting, (bytes[7], class))
}

struct Chain {
    protocol: u8,
    length: usize,
    more: bool,
    offset: u16,
    id: u32,
}

/// Extension headers of IPv6: hop-by-hop, routing, fragment, destination options, authentication. A chain of eight is too long,
/// unless a later fragment's header ends it.
fn extensions(first: u8, bytes: &[u8]) -> Result<Chain, Reason> {
    let mut chain = Chain { protocol: first, length: 0, more: false, offset: 0, id: 0 };
    for headers in 0.. {
        if chain.offset != 0 {
            break;
        }
        if headers == 8 {
            return Err("ipv6_header");
        }
        if ![0, 43, 44, 51, 60].contains(&chain.protocol) {
            break;
        }
        let header = &bytes[chain.length..];
        if header.len() < 8 {
            return Err("ipv6_header");
        }
        let length = match chain.protocol {
            44 => {
                (chain.offset, chain.more) = (be16(header, 2) >> 3, header[3] & 1 == 1);
                chain.id = be32(header, 4);
                8
            }
            51 => (usize::from(header[1]) + 2) * 4,
            _ => (usize::from(header[1]) + 1) * 8,
        };
        if header.len() < length {
            return Err("ipv6_header");
        }
        chain.protocol = header[0];
        chain.length += length;
    }
    Ok(chain)
}

fn finish(
    bytes: &[u8],
    length: usize,
    header: usize,
    (source, destination): (IpAddr, IpAddr),
    protocol: u8,
    (more, offset, id): (bool, u16, u32),
    (ttl, class): (u8, u8),
) -> Result<Packet, Reason> {
    let later = offset != 0;
    // RFC 1858, section 3
    if protocol == 6 && offset == 1 {
        return Err("fragment_too_short");
    }
    let mut tuple = Tuple { source, destination, protocol, later, source_port: 0, destination_port: 0 };
    let upper = if later { Upper::Flow { flags: 0 } } else { transport(&mut tuple, more, &bytes[header..length])? };
    let bytes = bytes[..length].to_vec();
    Ok(Packet { tuple, upper, ttl, class, fragment: more || later, id, bytes, payload: header })
}

/// Reads the transport header; `part`: the rest of the datagram is in later fragments.
fn transport(tuple: &mut Tuple, part: bool, bytes: &[u8]) -> Result<Upper, Reason> {
    let least = match tuple.protocol {
        6 => 20,
        17 | 132 | 136 => 8,
        _ if tuple.is_icmp() => 8,
        _ => return Ok(Upper::Flow { flags: 0 }),
    };
    if bytes.len() < least {
        return Err(if part { "fragment_too_short" } else { "transport_header" });
    }
    if tuple.is_icmp() {
        return icmp(tuple, bytes);
    }
    (tuple.source_port, tuple.destination_port) = (be16(bytes, 0), be16(bytes, 2));
    let (says, least) = match tuple.protocol {
        6 => (usize::from(bytes[12] >> 4) * 4, 20),
        17 => (usize::from(be16(bytes, 4)), 8),
        _ => (8, 8),
    };
    if says < least || says > bytes.len() && !part {
        return Err("transport_header");
    }
    Ok(Upper::Flow { flags: if tuple.protocol == 6 { bytes[13] } else { 0 } })
}

fn has_identifier(protocol: u8, kind: u8) -> bool {
    matches!((protocol, kind), (1, 0 | 8 | 13 | 14) | (58, 128 | 129))
}

/// Whether an ICMP message of this type is an error (RFC 1122, 3.2.2; RFC 4443, 2.1).
pub fn is_error(protocol: u8, kind: u8) -> bool {
    match protocol {
        1 => [3, 4, 5, 11, 12].contains(&kind),
        _ => kind < 128,
    }
}

fn icmp(tuple: &mut Tuple, bytes: &[u8]) -> Result<Upper, Reason> {
    let kind = bytes[0];
    if is_error(tuple.protocol, kind) {
        return Ok(Upper::Error { quoted: quoted(tuple.protocol, &bytes[8..]).ok_or("transport_header")? });
    }
    if tuple.protocol == 58 && (133..=137).contains(&kind) {
        return Ok(Upper::Discovery);
    }
    tuple.source_port = if has_identifier(tuple.protocol, kind) { be16(bytes, 4) } else { 0 };
    tuple.destination_port = be16(bytes, 0);
    Ok(Upper::Flow { flags: 0 })
}

/// The start of the packet that an error quotes: its IP header and what its flow is known by.
fn quoted(by: u8, bytes: &[u8]) -> Option<Tuple> {
    let first = *bytes.first()?;
    let (source, destination, protocol, later, header) = if by == 1 {
        let header = usize::from(first & 15) * 4;
        if first >> 4 != 4 || header < 20 || bytes.len() < header.max(20) {
            return None;
        }
        (v4_at(bytes, 12).into(), v4_at(bytes, 16).into(), bytes[9], be16(bytes, 6) & 0x1fff != 0, header)
    } else {
        if first >> 4 != 6 || bytes.len() < 40 {
            return None;
        }
        let chain = extensions(bytes[6], &bytes[40..]).ok()?;
        (v6_at(bytes, 8).into(), v6_at(bytes, 24).into(), chain.protocol, chain.offset != 0, 40 + chain.length)
    };
    let mut tuple = Tuple { source, destination, protocol, later, source_port: 0, destination_port: 0 };
    let upper = &bytes[header..];
    if tuple.ports().is_some() {
        if upper.len() < 4 {
            return None;
        }
        (tuple.source_port, tuple.destination_port) = (be16(upper, 0), be16(upper, 2));
    } else if tuple.is_icmp() {
        if upper.len() < 8 {
            return None;
        }
        tuple.source_port = if has_identifier(protocol, upper[0]) { be16(upper, 4) } else { 0 };
        tuple.destination_port = be16(upper, 0);
    }
    Some(tuple)
}

/// Addresses that nobody sends from (RFC 1122, 3.2.1.3; RFC 4291, 2.5 and 2.7).
pub fn is_martian(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => [0, 127].contains(&address.octets()[0]) || address.octets()[0] >= 224,
        IpAddr::V6(address) => {
            address.is_unspecified() || address == Ipv6Addr::LOCALHOST || address.octets()[0] == 0xff
        }
    }
}

/// Addresses of many: multicast, and broadcast.
pub fn is_of_many(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => (224..240).contains(&address.octets()[0]) || address == Ipv4Addr::BROADCAST,
        IpAddr::V6(address) => address.octets()[0] == 0xff,
    }
}
