//! Frames made once, and copied for each packet with what varies put in: addresses, a port, outer entropy, the stamp, two checksums.

use std::net::IpAddr;

use super::profile::{Ends, IMIX, Profile, Sizes, Tunnel, TunnelKind};
use super::stamp;
use crate::packet::checksum;
use crate::packet::tunnel::{MPLS_PORT, VXLAN_PORT};

/// Bytes that are copied at once.
pub const BLOCK: usize = 64;
const ETHERNET: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;
const UDP_NUMBER: u8 = 17;
const HOPS: u8 = 64;
/// The first of the ports that flows are told apart by in the underlay (RFC 7348, section 5).
const ENTROPY: u16 = 49152;

/// One frame of a profile.
#[derive(Clone, Debug)]
pub struct Template {
    blocks: Box<[[u8; BLOCK]]>,
    len: usize,
    reply: bool,
    /// Where the last 32 bits of the addresses are, and the client's port.
    source: usize,
    destination: usize,
    port: usize,
    /// Of a tunnel: where its source port is.
    entropy: Option<usize>,
    sum: Sum,
}

/// The checksum that follows what varies, over the rest of what it covers.
#[derive(Clone, Copy, Debug)]
enum Sum {
    /// IPv4: the header's. UDP has none (RFC 768).
    Header { at: usize, rest: u32 },
    /// IPv6: UDP's (RFC 8200, section 8.1); whether the stamp begins in the middle of a 16-bit word.
    Udp { at: usize, rest: u32, odd: bool },
}

/// The templates of a profile, and the order in which they come.
pub fn templates(profile: &Profile) -> (Vec<Template>, Vec<u8>) {
    match profile.sizes {
        Sizes::One(size) => (vec![Template::new(profile, size)], vec![0]),
        Sizes::Imix => (IMIX.0.iter().map(|&size| Template::new(profile, size)).collect(), IMIX.1.to_vec()),
    }
}

impl Template {
    /// A frame of this size with FCS, or as small as headers and stamp allow.
    pub fn new(profile: &Profile, size: u16) -> Template {
        let mut bytes = Vec::new();
        let entropy = profile.tunnel.as_ref().map(|tunnel| outer(&mut bytes, tunnel));
        let is_v4 = profile.clients.first.is_ipv4();
        let ip = if is_v4 { IPV4 } else { IPV6 };
        let least = ETHERNET + ip + UDP + stamp::LEN;
        let inner = usize::from(size - 4).max(least) - ETHERNET;
        if !profile.tunnel.is_some_and(|tunnel| matches!(tunnel.kind, TunnelKind::MplsOverUdp(_))) {
            ethernet(&mut bytes, profile.macs, if is_v4 { 0x0800 } else { 0x86dd });
        }
        let l3 = bytes.len();
        let (from, to) =
            if profile.reply { (profile.servers, profile.clients) } else { (profile.clients, profile.servers) };
        match (from.first, to.first) {
            (IpAddr::V4(_), _) => ipv4(&mut bytes, inner, [0; 4], [0; 4]),
            (IpAddr::V6(from), to) => ipv6(&mut bytes, inner, from.octets(), to),
        }
        let l4 = bytes.len();
        let ports = if profile.reply { [profile.server_port, 0] } else { [0, profile.server_port] };
        udp(&mut bytes, ports, inner - ip);
        bytes.resize(l3 + inner, 0);
        let (source, sum) = if is_v4 {
            (l3 + 12, Sum::Header { at: l3 + 10, rest: checksum::sum(&bytes[l3..l4], 0) })
        } else {
            // the last 32 bits of both addresses vary
            let (source, destination) = (l3 + 8 + 12, l3 + 24 + 12);
            bytes[source..source + 4].fill(0);
            bytes[destination..destination + 4].fill(0);
            let pseudo = u32::from(UDP_NUMBER) + (inner - ip) as u32;
            let rest = checksum::sum(&bytes[l4..], checksum::sum(&bytes[l3 + 8..l4], pseudo));
            (source, Sum::Udp { at: l4 + 6, rest, odd: (inner - ip) % 2 == 1 })
        };
        if let Some(udp) = entropy {
            finish_outer(&mut bytes, udp);
        }
        let len = bytes.len();
        bytes.resize(len.next_multiple_of(BLOCK), 0);
        Template {
            blocks: bytes.as_chunks().0.into(),
            len,
            reply: profile.reply,
            source,
            destination: source + if is_v4 { 4 } else { 16 },
            port: l4 + if profile.reply { 2 } else { 0 },
            entropy,
            sum,
        }
    }

    /// The frame, in blocks of which the last one may reach beyond it.
    #[inline]
    pub fn blocks(&self) -> &[[u8; BLOCK]] {
        &self.blocks
    }

    /// Bytes of the frame without FCS.
    #[inline]
    pub fn length(&self) -> usize {
        self.len
    }

    /// Makes `frame`, a copy of the template, the packet of this flow with this stamp.
    #[inline]
    pub fn complete(&self, frame: &mut [u8], flow: u64, ends: Ends, stamp: [u8; stamp::LEN]) {
        let Some(last) = frame.last_chunk_mut() else { return };
        *last = stamp;
        let (source, destination) = if self.reply { (ends.server, ends.client) } else { (ends.client, ends.server) };
        put(frame, self.source, source.to_be_bytes());
        put(frame, self.destination, destination.to_be_bytes());
        put(frame, self.port, ends.port.to_be_bytes());
        if let Some(at) = self.entropy {
            let mixed = (flow as u32).wrapping_mul(0x9e37_79b1) >> 18;
            put(frame, at, (ENTROPY | mixed as u16).to_be_bytes());
        }
        let addresses = u64::from(source) + u64::from(destination);
        match self.sum {
            Sum::Header { at, rest } => put(frame, at, (!fold(addresses + u64::from(rest))).to_be_bytes()),
            Sum::Udp { at, rest, odd } => {
                let words = stamp.as_chunks::<4>().0;
                let stamp = fold(words.iter().map(|&word| u64::from(u32::from_be_bytes(word))).sum());
                let stamp = if odd { stamp.swap_bytes() } else { stamp };
                let sum = !fold(addresses + u64::from(ends.port) + u64::from(stamp) + u64::from(rest));
                // 0 would say that there is none
                put(frame, at, (if sum == 0 { 0xffff } else { sum }).to_be_bytes());
            }
        }
    }
}

/// Four sums of 16-bit words side by side, as one.
#[inline]
fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[inline]
fn put<const N: usize>(frame: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(place) = frame.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = bytes;
    }
}

fn ethernet(bytes: &mut Vec<u8>, macs: (crate::ids::Mac, crate::ids::Mac), ethertype: u16) {
    bytes.extend(macs.1.0);
    bytes.extend(macs.0.0);
    bytes.extend(ethertype.to_be_bytes());
}

/// The checksum is left to whoever knows the addresses.
fn ipv4(bytes: &mut Vec<u8>, length: usize, source: [u8; 4], destination: [u8; 4]) {
    bytes.extend([0x45, 0]);
    bytes.extend((length as u16).to_be_bytes());
    bytes.extend([0, 0, 0x40, 0, HOPS, UDP_NUMBER, 0, 0]);
    bytes.extend(source);
    bytes.extend(destination);
}

fn ipv6(bytes: &mut Vec<u8>, length: usize, source: [u8; 16], destination: IpAddr) {
    bytes.extend([0x60, 0, 0, 0]);
    bytes.extend(((length - IPV6) as u16).to_be_bytes());
    bytes.extend([UDP_NUMBER, HOPS]);
    bytes.extend(source);
    if let IpAddr::V6(destination) = destination {
        bytes.extend(destination.octets());
    }
}

fn udp(bytes: &mut Vec<u8>, ports: [u16; 2], length: usize) {
    bytes.extend(ports.into_iter().flat_map(u16::to_be_bytes));
    bytes.extend((length as u16).to_be_bytes());
    bytes.extend([0, 0]);
}

/// Outer headers without lengths and checksum. Where the outer UDP header begins.
fn outer(bytes: &mut Vec<u8>, tunnel: &Tunnel) -> usize {
    ethernet(bytes, tunnel.macs, 0x0800);
    ipv4(bytes, 0, tunnel.source.octets(), tunnel.destination.octets());
    let at = bytes.len();
    match tunnel.kind {
        TunnelKind::Vxlan(vni) => {
            udp(bytes, [ENTROPY, VXLAN_PORT], 0);
            bytes.extend([8, 0, 0, 0]);
            bytes.extend((vni.0 << 8).to_be_bytes());
        }
        TunnelKind::MplsOverUdp(label) => {
            udp(bytes, [ENTROPY, MPLS_PORT], 0);
            bytes.extend((label.0 << 12 | 0x100 | u32::from(HOPS)).to_be_bytes());
        }
    }
    at
}

/// Puts lengths and checksum into the outer headers.
fn finish_outer(bytes: &mut [u8], udp: usize) {
    let length = bytes.len() - udp;
    put(bytes, udp + 4, (length as u16).to_be_bytes());
    put(bytes, udp - IPV4 + 2, ((length + IPV4) as u16).to_be_bytes());
    let sum = checksum::of(&bytes[udp - IPV4..udp]);
    put(bytes, udp - IPV4 + 10, sum.to_be_bytes());
}
