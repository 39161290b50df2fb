//! The underlay in IPv6: beside each address of the fabric there may be one of IPv6, with the same MAC.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::packets::{Packet, Upper, checksum, framed, octets, summed};
use super::random::Random;
use super::world::{VTEP, World, far_mac, port_mac};

/// The IPv6 address of who has this IPv4 address.
pub fn six(address: Ipv4Addr) -> Ipv6Addr {
    match address.octets() {
        [10, 0, 0, last] => Ipv6Addr::new(0xfd31, 0, 0, 0, 0, 0, 0, last.into()),
        [10, 0, 1, last] => Ipv6Addr::new(0xfd32, 0, 0, 0, 0, 0, 0, last.into()),
        // behind a gateway
        [192, 0, 2, last] => Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, last.into()),
        // without a route
        [.., last] => Ipv6Addr::new(0x2001, 0xdb8, 0x99, 0, 0, 0, 0, last.into()),
    }
}

/// What a fabric VIF has besides in IPv6: its addresses and its subnets, each to follow those of IPv4.
pub fn of_vif(host: Ipv4Addr) -> (String, String) {
    let own = six(host);
    (format!(", \"{own}\""), format!(", \"{}/64\"", Ipv6Addr::from_bits(own.to_bits() & !0xffff)))
}

/// An outer IPv6 packet of a tunnel to us: UDP to a port, or GRE; now and then with extension headers, or not as it should be.
pub fn tunnelled(
    (at, remote): (usize, Ipv4Addr),
    port: Option<u16>,
    payload: &[u8],
    class: u8,
    random: &mut Random,
) -> (usize, Vec<u8>) {
    let odd = random.chance(6).then(|| random.below(5));
    let source = six(remote);
    let to = if odd == Some(0) { six(Ipv4Addr::new(10, 0, 0, 77)) } else { six(VTEP) };
    let upper = match port {
        Some(port) => udp(source, to, port, payload, random),
        None => payload.to_vec(),
    };
    let number = if port.is_some() { 17 } else { 47 };
    let (first, mut rest) = match odd {
        // fragments; and one that is all of its datagram
        Some(1) => (44, vec![number, 0, 0, 1, 0, 0, 0, 7]),
        Some(2) => (44, vec![number, 0, 0, 0x10, 0, 0, 0, 7]),
        _ if random.chance(6) => (44, vec![number, 0, 0, 0, 0, 0, 0, 7]),
        _ if random.chance(6) => (60, vec![number, 0, 1, 4, 0, 0, 0, 0]),
        _ => (number, Vec::new()),
    };
    rest.extend(upper);
    let label = random.pick(&[[0, 0, 0], [0, 0, 1], [0x0f, 0xff, 0xff]]);
    let mut ip = vec![0x60 | class >> 4, class << 4 | label[0], label[1], label[2]];
    ip.extend((rest.len() as u16).to_be_bytes());
    ip.extend([first, if odd == Some(3) { 1 } else { 63 }]);
    ip.extend(source.octets());
    ip.extend(to.octets());
    ip.extend(rest);
    let mac = if odd == Some(4) { [2, 9, 9, 9, 9, 9] } else { port_mac(at) };
    (at, framed(mac, far_mac(remote), &ip))
}

/// A datagram, mostly without checksum, sometimes with a right or a wrong one.
fn udp(source: Ipv6Addr, to: Ipv6Addr, port: u16, payload: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = (0xc000 | random.below(0x4000) as u16).to_be_bytes().to_vec();
    bytes.extend(port.to_be_bytes());
    bytes.extend(((8 + payload.len()) as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    match random.weighted(&[(75, 0), (20, 1), (5, 2)]) {
        0 => return bytes,
        1 => {}
        _ => bytes[6] = 0x12,
    }
    let pseudo = [&octets(source.into())[..], &octets(to.into()), &[0, 17, 0, 0], &(bytes.len() as u32).to_be_bytes()];
    let sum = match checksum(0, &[&pseudo.concat()[..], &bytes].concat()) {
        0 => 0xffff,
        sum => sum,
    };
    bytes[6..8].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// What the fabric sends besides tunnels: neighbour discovery, and echo to our address.
pub fn for_the_fabric(world: &World, random: &mut Random) -> (usize, Vec<u8>) {
    let second = world.second_uplink && random.chance(20);
    let (port, ours) = if second { (7, Ipv4Addr::new(10, 0, 1, 1)) } else { (0, VTEP) };
    let from: Ipv4Addr = match port {
        7 => random.pick(&[[10, 0, 1, 2], [10, 0, 1, 254], [10, 0, 1, 253]]).into(),
        _ => random.pick(&[[10, 0, 0, 2], [10, 0, 0, 3], [10, 0, 0, 254], [10, 0, 0, 253], [10, 0, 0, 9]]).into(),
    };
    let (mac, source, ours) = (far_mac(from), IpAddr::from(six(from)), IpAddr::from(six(ours)));
    match random.below(4) {
        0 | 1 => {
            let flags = random.pick(&[0x60, 0x60, 0x40, 0x20, 0]);
            let mut far = mac;
            far[5] ^= random.weighted(&[(80, 0), (20, 0x80)]);
            (port, framed(port_mac(port), mac, &advertisement(source, ours, flags, far)))
        }
        2 => {
            let target = random.pick(&[ours, ours, six(Ipv4Addr::new(10, 0, 0, 3)).into()]);
            let [.., a, b, c] = octets(target)[..] else { unreachable!() };
            let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]);
            let asked = Upper::Nd { kind: 135, target, mac: random.chance(80).then_some(mac) };
            let mut packet = Packet::new(source, group.into(), asked);
            packet.ttl = random.weighted(&[(95, 255), (5, 64)]);
            (port, framed([0x33, 0x33, 0xff, a, b, c], mac, &packet.bytes()))
        }
        _ => {
            let upper = Upper::Icmp { kind: 128, code: 0, id: 99 };
            (port, framed(port_mac(port), mac, &Packet::new(source, ours, upper).bytes()))
        }
    }
}

/// Who has an address, said to us (RFC 4861, section 4.4).
fn advertisement(source: IpAddr, to: IpAddr, flags: u8, mac: [u8; 6]) -> Vec<u8> {
    let mut message = vec![136, 0, 0, 0, flags, 0, 0, 0];
    message.extend(octets(source));
    message.extend([2, 1]);
    message.extend(mac);
    let message = summed(message, source, to, 58, 2);
    let mut ip = vec![0x60, 0, 0, 0, 0, message.len() as u8, 58, 255];
    ip.extend(octets(source));
    ip.extend(octets(to));
    ip.extend(message);
    ip
}
