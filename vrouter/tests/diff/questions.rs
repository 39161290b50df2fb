//! Who asks for neighbours and routers, and what the fabric's neighbours say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::packets::{Packet, Upper, arp, ethernet, framed};
use super::random::Random;
use super::traffic::{ALL, address, upper};
use super::tunnels::{geneve, underlay, vxlan};
use super::world::{GATEWAY_MAC, REMOTES, VNIS, VTEP, Vif, World, far_mac, port_mac};

/// ARP or a neighbour solicitation: of a tenant, through a VNI.
pub fn neighbour_question(world: &World, random: &mut Random) -> (usize, Vec<u8>) {
    let vif = random.pick(&world.vifs);
    let tunnelled = random.chance(25);
    let by = random.pick(&VNIS);
    let remote = random.pick(&REMOTES[..2]);
    let mac = if tunnelled { far_mac(remote) } else { vif.mac };
    let sender_mac = if random.chance(95) { mac } else { [2, 9, 9, 9, 9, 9] };
    let frame = if random.chance(60) || vif.v6.is_none() {
        let here = vif.v4.unwrap_or(Ipv4Addr::new(10, 1, 1, 13));
        let own = if tunnelled && random.chance(70) { Ipv4Addr::new(10, 1, 1, 20) } else { here };
        let IpAddr::V4(any) = address(world, false, random) else { unreachable!() };
        let target = random.weighted(&[(30, Ipv4Addr::new(10, 1, 1, 1)), (20, own), (50, any)]);
        let sender = random.weighted(&[(80, own), (10, Ipv4Addr::UNSPECIFIED), (10, any)]);
        let operation = random.weighted(&[(90, 1), (8, 2), (2, 3)]);
        let to = random.weighted(&[
            (80, ALL),
            (15, if tunnelled { world.fabric.router } else { GATEWAY_MAC }),
            (5, [2, 9, 9, 9, 9, 9]),
        ]);
        ethernet(to, mac, 0x0806, &arp(operation, (sender_mac, sender), ([0; 6], target)))
    } else {
        let own = if tunnelled {
            Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 0x20)
        } else {
            vif.v6.unwrap_or(Ipv6Addr::UNSPECIFIED)
        };
        solicitation(world, own, mac, sender_mac, random)
    };
    match tunnelled {
        true => {
            let from = (world.arrives_by(remote, random), remote, world.fabric.over_v6(random));
            match random.chance(30) {
                true => underlay(from, Some(6081), &geneve(by, &frame, random), 0, random),
                false => underlay(from, Some(4789), &vxlan(by, &frame, random), 0, random),
            }
        }
        false => (vif.number, frame),
    }
}

fn solicitation(world: &World, own: Ipv6Addr, mac: [u8; 6], sender_mac: [u8; 6], random: &mut Random) -> Vec<u8> {
    let IpAddr::V6(any) = address(world, true, random) else { unreachable!() };
    let gateway = Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 1);
    let target = random.weighted(&[(30, gateway), (15, own), (10, "fe80::1".parse().unwrap()), (45, any)]);
    let probe = random.chance(10);
    let source = if probe {
        Ipv6Addr::UNSPECIFIED
    } else {
        random.weighted(&[(80, own), (15, "fe80::77".parse().unwrap()), (5, any)])
    };
    let [.., a, b, c] = target.octets();
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from(b) << 8 | u16::from(c));
    let (to_mac, to) = match probe || random.chance(70) {
        true => ([0x33, 0x33, 0xff, a, b, c], group),
        false => (GATEWAY_MAC, target),
    };
    let kind = random.weighted(&[(90, 135), (3, 133), (7, 136)]);
    let with = (!probe && random.chance(70)).then_some(sender_mac);
    let mut packet = Packet::new(source.into(), to.into(), Upper::Nd { kind, target: target.into(), mac: with });
    packet.ttl = random.weighted(&[(95, 255), (5, 64)]);
    framed(to_mac, mac, &packet.bytes())
}

/// A router solicitation of a tenant (RFC 4861, section 4.1).
pub fn router_question(world: &World, random: &mut Random) -> (usize, Vec<u8>) {
    let advertise: Vec<&Vif> = world.vifs.iter().filter(|vif| vif.advertises.is_some()).collect();
    let vif = if advertise.is_empty() { random.pick(&world.vifs) } else { random.pick(&advertise).clone() };
    let source = random.weighted(&[
        (50, "fe80::77:1".parse().unwrap()),
        (20, Ipv6Addr::UNSPECIFIED),
        (20, vif.v6.unwrap_or(Ipv6Addr::UNSPECIFIED)),
        (5, "fe80::1".parse().unwrap()),
        (5, Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 0x20)),
    ]);
    let named = random.chance(if source.is_unspecified() { 10 } else { 50 });
    let mac = named.then(|| if random.chance(90) { vif.mac } else { [2, 9, 9, 9, 9, 9] });
    let routers = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
    let mut packet = Packet::new(source.into(), routers.into(), Upper::Nd { kind: 133, target: source.into(), mac });
    packet.ttl = random.weighted(&[(95, 255), (5, 64)]);
    (vif.number, framed([0x33, 0x33, 0, 0, 0, 2], vif.mac, &packet.bytes()))
}

/// What the fabric sends besides tunnels: ARP, echo to our address, a stranger's traffic.
pub fn for_the_fabric(world: &World, random: &mut Random) -> (usize, Vec<u8>) {
    let (port, ours) =
        if world.second_uplink && random.chance(20) { (7, Ipv4Addr::new(10, 0, 1, 1)) } else { (0, VTEP) };
    let from: Ipv4Addr = match port {
        7 => random.pick(&[[10, 0, 1, 2], [10, 0, 1, 254], [10, 0, 1, 253]]).into(),
        _ => random.pick(&[[10, 0, 0, 2], [10, 0, 0, 3], [10, 0, 0, 254], [10, 0, 0, 253], [10, 0, 0, 9]]).into(),
    };
    let mac = far_mac(from);
    match random.below(4) {
        0 => (port, ethernet(port_mac(port), mac, 0x0806, &arp(2, (mac, from), (port_mac(port), ours)))),
        1 => {
            let target = random.pick(&[ours, ours, Ipv4Addr::new(10, 0, 0, 3), Ipv4Addr::new(10, 1, 1, 1)]);
            (port, ethernet(ALL, mac, 0x0806, &arp(1, (mac, from), ([0; 6], target))))
        }
        2 => {
            let upper = Upper::Icmp { kind: 8, code: 0, id: 99 };
            (port, framed(port_mac(port), mac, &Packet::new(from.into(), ours.into(), upper).bytes()))
        }
        _ => {
            let to = random.pick(&[VTEP, Ipv4Addr::new(10, 1, 1, 10), Ipv4Addr::new(192, 0, 2, 7)]);
            let upper = upper(false, random);
            (port, framed(port_mac(port), mac, &Packet::new(from.into(), to.into(), upper).bytes()))
        }
    }
}
