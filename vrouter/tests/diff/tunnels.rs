//! Packets and frames in tunnels of the underlay to us; now and then a header is not as it should be.

use std::net::Ipv4Addr;

use super::bridges::Bridge;
use super::packets::{checksum, framed};
use super::random::Random;
use super::traffic::Carrier;
use super::underlay6;
use super::world::{VTEP, far_mac, port_mac};

/// A frame in what carries it.
pub fn carried(bridge: Bridge, carrier: Carrier, frame: &[u8], random: &mut Random) -> Vec<u8> {
    match carrier {
        Carrier::Vxlan => vxlan(bridge.vni, frame, random),
        Carrier::Geneve => geneve(bridge.vni, frame, random),
        Carrier::Mpls => mpls(bridge.label, frame, random),
        Carrier::Gre => gre(&mpls(bridge.label, frame, random), random),
    }
}

pub fn vxlan(vni: u32, frame: &[u8], random: &mut Random) -> Vec<u8> {
    let flags = random.weighted(&[(94, 0x08), (3, 0xff), (3, 0x00)]);
    let reserved = if flags == 0xff { 0xab } else { 0 };
    [&[flags, 0, 0, reserved][..], &(vni << 8 | u32::from(reserved)).to_be_bytes(), frame].concat()
}

/// GENEVE (RFC 8926): with options that may be skipped, sometimes with what nobody should send.
pub fn geneve(vni: u32, frame: &[u8], random: &mut Random) -> Vec<u8> {
    let mut options = Vec::new();
    if random.chance(35) {
        for _ in 0..random.pick(&[1, 1, 2, 5]) {
            let (kind, words) = (random.weighted(&[(92, 0x07), (8, 0x87)]), random.pick(&[0, 1, 3]));
            options.extend([0x01, 0x02, kind, 0xe0 & random.next() as u8 | words]);
            options.extend(std::iter::repeat_n(0x5a, 4 * usize::from(words)));
        }
    }
    let critical = options.get(2).is_some_and(|kind| kind & 0x80 != 0);
    let mut first = [(options.len() / 4) as u8, if critical { 0x40 } else { 0 }, 0x65, 0x58];
    match random.weighted(&[(82, 0), (4, 1), (3, 2), (3, 3), (3, 4), (3, 5), (2, 6)]) {
        1 => first[1] |= 0x3f, // reserved
        2 => first[0] |= 0x40, // version 1
        3 => first[1] |= 0x80, // a control packet
        4 => first[2..].copy_from_slice(&[0x08, 0x00]),
        5 => first[0] = first[0].wrapping_add(random.pick(&[1, 63])) & 0x3f, // lengths that do not fit
        6 => first[1] ^= 0x40,
        _ => {}
    }
    let reserved = if random.chance(5) { 0xab } else { 0 };
    [&first[..], &(vni << 8 | reserved).to_be_bytes(), &options, frame].concat()
}

pub fn mpls(label: u32, l3: &[u8], random: &mut Random) -> Vec<u8> {
    let (bottom, class) = (!random.chance(4), random.pick(&[0, 0, 3, 5]));
    let entry = label << 12 | class << 9 | u32::from(bottom) << 8 | random.pick(&[64, 64, 1, 255]);
    [&entry.to_be_bytes()[..], l3].concat()
}

/// GRE (RFC 2784, RFC 2890): with a key or a sequence number, sometimes with what nobody should send.
pub fn gre(payload: &[u8], random: &mut Random) -> Vec<u8> {
    let flags: u16 =
        random.weighted(&[(70, 0), (8, 0x2000), (8, 0x1000), (8, 0x3000), (2, 0x0001), (2, 0x4000), (4, 0x8000)]);
    let kind: u16 = random.weighted(&[(95, 0x8847), (5, 0x0800)]);
    let words = usize::from(flags & 0x8000 != 0) + usize::from(flags & 0x2000 != 0) + usize::from(flags & 0x1000 != 0);
    let mut bytes = [&flags.to_be_bytes()[..], &kind.to_be_bytes(), &[0x5a; 12][..4 * words], payload].concat();
    if flags & 0x8000 != 0 && random.chance(60) {
        bytes[4..8].fill(0);
        let sum = checksum(0, &bytes);
        bytes[4..6].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

/// A packet of the underlay to us: UDP to a port, or GRE.
pub fn underlay(
    (at, remote, v6): (usize, Ipv4Addr, bool),
    port: Option<u16>,
    payload: &[u8],
    tos: u8,
    random: &mut Random,
) -> (usize, Vec<u8>) {
    if v6 {
        return underlay6::tunnelled((at, remote), port, payload, tos, random);
    }
    let odd = random.chance(4).then(|| random.below(6));
    let to = if odd == Some(0) { Ipv4Addr::new(10, 0, 0, 77) } else { VTEP };
    let mut upper = Vec::new();
    if let Some(port) = port {
        upper.extend((0xc000 | random.below(0x4000) as u16).to_be_bytes());
        upper.extend(port.to_be_bytes());
        upper.extend(((8 + payload.len()) as u16).to_be_bytes());
        upper.extend(if odd == Some(1) { [0x12, 0x34] } else { [0, 0] });
    }
    upper.extend(payload);
    let fragment: u16 = match odd {
        Some(2) => 0x2000,
        Some(3) => 0x0010,
        _ => 0x4000,
    };
    let number = if port.is_some() { 17 } else { 47 };
    let mut ip = vec![0x45, tos, 0, 0, 0, 9, 0, 0, if odd == Some(4) { 1 } else { 63 }, number, 0, 0];
    ip[2..4].copy_from_slice(&((20 + upper.len()) as u16).to_be_bytes());
    ip[6..8].copy_from_slice(&fragment.to_be_bytes());
    ip.extend(remote.octets());
    ip.extend(to.octets());
    let sum = checksum(0, &ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    ip.extend(upper);
    let mac = if odd == Some(5) { [2, 9, 9, 9, 9, 9] } else { port_mac(at) };
    (at, framed(mac, far_mac(remote), &ip))
}
