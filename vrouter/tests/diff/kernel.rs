//! The host's kernel behind an exception port: what it sends, and what the fabric sends to it.

use std::net::{IpAddr, Ipv4Addr};

use super::packets::{Packet, Upper, arp, ethernet, framed};
use super::random::Random;
use super::underlay6::six;
use super::world::{VTEP, World, far_mac, port_mac};

/// A frame of the kernel's, which has the addresses and the MAC of its uplink; now and then another MAC, or more bytes than the link takes.
pub fn sends(world: &World, random: &mut Random) -> Option<(usize, Vec<u8>)> {
    let (port, second) = world.fabric.kernel()?;
    let (uplink, ours) = if second { (7, Ipv4Addr::new(10, 0, 1, 1)) } else { (0, VTEP) };
    let far = if second { Ipv4Addr::new(10, 0, 1, 2) } else { Ipv4Addr::new(10, 0, 0, 2 + random.below(2) as u8) };
    let mac = if random.chance(92) { port_mac(uplink) } else { far_mac(far) };
    let mut bytes = match random.below(5) {
        0 => ethernet([0xff; 6], mac, 0x0806, &arp(1, (mac, ours), ([0; 6], far))),
        1 => ethernet(far_mac(far), mac, 0x0806, &arp(2, (mac, ours), (far_mac(far), far))),
        2 if world.fabric.v6 => {
            let advert = Upper::Nd { kind: 136, target: six(ours).into(), mac: Some(mac) };
            let mut packet = Packet::new(six(ours).into(), six(far).into(), advert);
            packet.ttl = 255;
            framed(far_mac(far), mac, &packet.bytes())
        }
        _ => {
            let mut packet = to_a_host(ours.into(), far.into(), random);
            packet.payload = random.pick(&[12, 12, 1480, 1473, 1472, 1460, 1380, 1381, 1360, 1361]);
            framed(far_mac(far), mac, &packet.bytes())
        }
    };
    if random.chance(4) {
        bytes.truncate(random.pick(&[13, 14, 20]));
    }
    Some((port, bytes))
}

/// What a neighbour sends to one of our addresses on the fabric, and no tunnel sends.
pub fn is_sent_to(world: &World, random: &mut Random) -> (usize, Vec<u8>) {
    let second = world.second_uplink && random.chance(30);
    let (port, ours) = if second { (7, Ipv4Addr::new(10, 0, 1, 1)) } else { (0, VTEP) };
    let far = if second { Ipv4Addr::new(10, 0, 1, 2) } else { Ipv4Addr::new(10, 0, 0, 2 + random.below(3) as u8) };
    let v6 = world.fabric.v6 && random.chance(40);
    let ends: [IpAddr; 2] = if v6 { [six(far).into(), six(ours).into()] } else { [far.into(), ours.into()] };
    let mut packet = to_a_host(ends[0], ends[1], random);
    if random.chance(15) {
        packet.fragment = Some(random.pick(&[(0, true), (3, true), (100, false), (1, false)]));
        packet.payload = 24;
    }
    (port, framed(port_mac(port), far_mac(far), &packet.bytes()))
}

/// SSH, BGP, DNS, OSPF, BFD, echo.
fn to_a_host(source: IpAddr, destination: IpAddr, random: &mut Random) -> Packet {
    let upper = match random.below(6) {
        0 => Upper::Tcp { source: 40_000, destination: 22, flags: random.pick(&[2, 16, 17]) },
        1 => Upper::Tcp { source: 179, destination: 40_000, flags: 0x12 },
        2 => Upper::Ports { number: 17, source: 53, destination: 40_000 },
        3 => Upper::Ports { number: 17, source: 49_152, destination: 3784 },
        4 => Upper::Other(89),
        _ => Upper::Icmp { kind: if source.is_ipv6() { 128 } else { 8 }, code: 0, id: 5 },
    };
    let mut packet = Packet::new(source, destination, upper);
    packet.ttl = random.pick(&[1, 64, 255]);
    packet
}
