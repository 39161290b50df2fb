//! Frames that come in: conversations between tenants, their answers from right and wrong places, and what nobody should send.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::bfd;
use super::bridges::{Bridge, ROAMING};
use super::kernel;
use super::packets::{ACK, Packet, SYN, Upper, ethernet, framed};
use super::questions::{for_the_fabric, neighbour_question, router_question};
use super::random::Random;
use super::tunnels::{carried, geneve, gre, mpls, underlay, vxlan};
use super::underlay6;
use super::world::{GATEWAY_MAC, LABELS, REMOTES, SERVICE, VNIS, Vif, World, far_mac};

pub const ALL: [u8; 6] = [0xff; 6];
const PORTS: [u16; 6] = [53, 80, 443, 1000, 1001, 4789];

/// Where a packet enters.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// This one of the tenants' VIFs, by its number.
    Vif(usize),
    Tunnel {
        remote: Ipv4Addr,
        /// Over its IPv6 address.
        v6: bool,
        by: By,
    },
}

#[derive(Clone, Copy, Debug)]
pub enum By {
    Vni(u32),
    /// In GENEVE.
    Geneve(u32),
    Label(u32),
    /// In GRE.
    GreLabel(u32),
    /// As a frame of this bridge.
    Frame(Bridge, Carrier),
}

#[derive(Clone, Copy, Debug)]
pub enum Carrier {
    Vxlan,
    Geneve,
    Mpls,
    Gre,
}

/// A packet that was sent.
#[derive(Clone)]
pub struct Sent {
    pub(super) place: Place,
    pub(super) packet: Packet,
    /// The VRF that it was meant for.
    vrf: &'static str,
}

/// Makes frames; remembers what it made, to answer it.
pub struct Traffic {
    pub sent: Vec<Sent>,
    /// Fragments to come, the next one last.
    pub(super) coming: Vec<Sent>,
    /// The same of outer packets.
    pub(super) outer: Vec<(usize, Vec<u8>)>,
    count: u16,
    /// Frames to come of a station that is now here, now there.
    roams: u8,
}

impl Traffic {
    pub fn new() -> Traffic {
        Traffic { sent: Vec::new(), coming: Vec::new(), outer: Vec::new(), count: 0, roams: 0 }
    }

    /// The next frame, and the port where it comes in.
    pub fn frame(&mut self, world: &World, random: &mut Random) -> (usize, Vec<u8>) {
        self.count += 1;
        if self.roams == 0 && !world.bridges.there.is_empty() && random.chance(2) {
            self.roams = 8;
        }
        if self.roams > 0 && random.chance(80) {
            self.roams -= 1;
            return roaming(world, REMOTES[usize::from(self.roams % 2)], random);
        }
        if world.services && !self.sent.is_empty() && random.chance(25) {
            return self.served(world, random);
        }
        if let Some(piece) = self.next_piece(world, random) {
            return piece;
        }
        let bare = if world.bridges.there.is_empty() { 0 } else { 18 };
        match random.weighted(&[(43, 0), (25, 1), (12, 2), (7, 3), (6, 4), (4, 5), (3, 6), (bare, 7)]) {
            7 => bare_frame(world, random),
            1 if !self.sent.is_empty() => self.answer(world, random),
            2 if !self.sent.is_empty() => self.again(world, random),
            3 if !self.sent.is_empty() => self.error(world, random),
            4 if random.chance(30) => router_question(world, random),
            4 => neighbour_question(world, random),
            5 if world.fabric.kernel().is_some() && random.chance(60) => match kernel::sends(world, random) {
                Some(sent) if random.chance(50) => sent,
                _ => kernel::is_sent_to(world, random),
            },
            5 if world.fabric.v6 && random.chance(50) => underlay6::for_the_fabric(world, random),
            5 if !world.sessions.is_empty() && random.chance(60) => bfd::packet(world, random),
            5 => for_the_fabric(world, random),
            6 => {
                let (port, bytes) = self.fresh(world, random);
                (port, damaged(bytes, random))
            }
            _ => self.fresh(world, random),
        }
    }

    /// A packet that begins something.
    fn fresh(&mut self, world: &World, random: &mut Random) -> (usize, Vec<u8>) {
        let vif = random.pick(&world.vifs);
        let from_vif = random.chance(62);
        let v6 = vif.v6.is_some() && random.chance(30) || vif.v4.is_none();
        let mine: IpAddr = match (v6, vif.v4, vif.v6) {
            (false, Some(address), _) => address.into(),
            (_, _, Some(address)) => address.into(),
            _ => IpAddr::V4(Ipv4Addr::new(10, 1, 1, 13)),
        };
        let v6 = mine.is_ipv6();
        let other = address(world, v6, random);
        let packet = if from_vif {
            let source = if random.chance(92) { mine } else { address(world, v6, random) };
            self.packet(source, other, random)
        } else {
            self.packet(other, if random.chance(85) { mine } else { address(world, v6, random) }, random)
        };
        let place = if from_vif { Place::Vif(vif.number) } else { tunnel(world, vif.vrf, random) };
        self.send(world, Sent { place, packet, vrf: vif.vrf }, random)
    }

    fn packet(&self, source: IpAddr, destination: IpAddr, random: &mut Random) -> Packet {
        let upper = upper(source.is_ipv6(), random);
        let mut packet = Packet::new(source, destination, upper);
        packet.ttl = random.weighted(&[(85, 64), (4, 2), (6, 1), (2, 0), (3, 255)]);
        packet.tos = random.weighted(&[(50, 0), (10, 0x2e << 2), (5, 1), (5, 2), (15, 3), (5, 0xb9), (10, 0xbb)]);
        packet.id = 0x1000 + self.count;
        packet.whole = random.chance(35);
        packet.payload = length(&packet, random);
        if random.chance(8) {
            packet.fragment = Some(random.pick(&[
                (0, true),
                (0, true),
                (3, true),
                (100, false),
                (1, false),
                (0, false),
                (185, true),
            ]));
            packet.payload = random.pick(&[0, 16, 64, 24]);
        }
        if random.chance(4) {
            packet.options = 1 + random.below(2);
        }
        packet
    }

    /// What a service sends on: an earlier packet, or an answer to it.
    fn served(&mut self, world: &World, random: &mut Random) -> (usize, Vec<u8>) {
        let came = self.recent(random);
        let mut packet = if random.chance(40) { came.packet.answer() } else { came.packet };
        packet.ttl = packet.ttl.max(2) - 1;
        let vrf = world.vifs.iter().find(|vif| vif.number == SERVICE).map_or(came.vrf, |vif| vif.vrf);
        self.send(world, Sent { place: Place::Vif(SERVICE), packet, vrf }, random)
    }

    /// What answers an earlier packet: from where it should, mostly.
    fn answer(&mut self, world: &World, random: &mut Random) -> (usize, Vec<u8>) {
        let asked = self.recent(random);
        let packet = asked.packet.answer();
        let place = match random.below(100) {
            0..72 => right_place(world, asked.vrf, packet.source, random),
            72..86 => match random.below(2) {
                0 => Place::Vif(random.pick(&world.vifs).number),
                _ => tunnel(world, asked.vrf, random),
            },
            _ => tunnel(world, random.pick(&super::world::TENANT_VRFS), random),
        };
        self.send(world, Sent { place, packet, vrf: asked.vrf }, random)
    }

    /// What answers the last packet that this VIF sent, which may be gone.
    pub fn answer_to(&self, world: &World, number: usize, random: &mut Random) -> Option<(usize, Vec<u8>)> {
        let from_there = |sent: &&Sent| matches!(sent.place, Place::Vif(other) if other == number);
        let asked = self.sent.iter().rev().find(from_there)?;
        let packet = asked.packet.answer();
        let place = right_place(world, asked.vrf, packet.source, random);
        Some(framing(world, &Sent { place, packet, vrf: asked.vrf }, random))
    }

    /// Some that tenants sent, once more.
    pub fn repeated(&self, world: &World, random: &mut Random) -> Vec<(usize, Vec<u8>)> {
        let of_tenants = self.sent.iter().rev().filter(|sent| matches!(sent.place, Place::Vif(_)));
        let mut some: Vec<Sent> = of_tenants.take(20).filter(|_| random.chance(50)).cloned().collect();
        some.iter_mut().for_each(|sent| sent.packet.ttl = 64);
        some.iter().map(|sent| framing(world, sent, random)).collect()
    }

    /// The same again, with what follows it.
    fn again(&mut self, world: &World, random: &mut Random) -> (usize, Vec<u8>) {
        let mut sent = self.recent(random);
        if let Upper::Tcp { flags, .. } = &mut sent.packet.upper {
            *flags =
                random.weighted(&[(25, SYN), (40, ACK), (10, ACK | 1), (10, ACK | 4), (5, 4), (5, SYN | ACK), (5, 0)]);
        }
        if let Upper::Icmp { kind: kind @ (8 | 128), .. } = &mut sent.packet.upper
            && random.chance(10)
        {
            *kind ^= if *kind == 8 { 8 } else { 1 };
        }
        sent.packet.ttl = random.weighted(&[(90, 64), (5, 1), (5, 33)]);
        sent.packet.payload = length(&sent.packet, random);
        self.send(world, sent, random)
    }

    /// An ICMP error about an earlier packet, from whom it was sent to or from anyone.
    fn error(&mut self, world: &World, random: &mut Random) -> (usize, Vec<u8>) {
        let about = self.recent(random);
        let mut quoted = about.packet.clone();
        quoted.ttl = quoted.ttl.saturating_sub(1);
        if let (true, Upper::Ports { source, .. } | Upper::Tcp { source, .. }) = (random.chance(10), &mut quoted.upper)
        {
            *source ^= 1;
        }
        let v6 = quoted.is_v6();
        let from = if random.chance(60) { quoted.destination } else { address(world, v6, random) };
        let to = if random.chance(92) { quoted.source } else { address(world, v6, random) };
        let place = match random.below(100) {
            0..70 => right_place(world, about.vrf, quoted.destination, random),
            70..85 => Place::Vif(random.pick(&world.vifs).number),
            _ => tunnel(world, about.vrf, random),
        };
        let (kind, code) = match v6 {
            true => random.pick(&[(1, 4), (2, 0), (3, 0), (4, 1)]),
            false => random.pick(&[(3, 3), (3, 4), (11, 0), (12, 0), (5, 1), (4, 0)]),
        };
        let bytes = random.weighted(&[(70, 64), (15, 28), (5, 27), (5, 48), (5, 600)]);
        let upper = Upper::Error { kind, code, quoted: Box::new(quoted), bytes };
        let mut packet = Packet::new(from, to, upper);
        packet.ttl = random.weighted(&[(90, 64), (10, 1)]);
        let place =
            if matches!(place, Place::Vif(_)) && random.chance(3) { tunnel(world, about.vrf, random) } else { place };
        framing(world, &Sent { place, packet, vrf: about.vrf }, random)
    }

    pub(super) fn recent(&self, random: &mut Random) -> Sent {
        let back = random.below(self.sent.len().min(8));
        self.sent[self.sent.len() - 1 - back].clone()
    }

    fn send(&mut self, world: &World, mut sent: Sent, random: &mut Random) -> (usize, Vec<u8>) {
        sent.packet.tcp = match sent.packet.upper {
            Upper::Tcp { flags, .. } if random.chance(if flags & SYN > 0 { 60 } else { 10 }) => announces(random),
            _ => Vec::new(),
        };
        let framed = framing(world, &sent, random);
        self.sent.push(sent);
        framed
    }
}

pub fn upper(v6: bool, random: &mut Random) -> Upper {
    let (source, destination) = (random.pick(&PORTS), random.pick(&PORTS));
    match random.weighted(&[(34, 0), (34, 1), (18, 2), (4, 3), (4, 4), (6, 5)]) {
        0 => {
            let flags = random.weighted(&[(75, SYN), (10, ACK), (5, SYN | ACK), (5, 4), (5, 1)]);
            Upper::Tcp { source, destination, flags }
        }
        1 => Upper::Ports { number: 17, source, destination },
        2 => Upper::Icmp { kind: if v6 { 128 } else { 8 }, code: 0, id: random.pick(&[7, 8]) },
        3 if v6 => Upper::Icmp { kind: random.pick(&[129, 131, 143]), code: 0, id: 7 },
        3 => Upper::Icmp { kind: random.pick(&[0, 13, 14, 17, 30]), code: random.pick(&[0, 1]), id: 7 },
        4 => Upper::Ports { number: random.pick(&[132, 136]), source, destination },
        _ => Upper::Other(random.pick(&[47, 50, 4, 59])),
    }
}

/// TCP options with an MSS, mostly: at even and at odd places, once or twice, fitting or not, and what is none.
fn announces(random: &mut Random) -> Vec<u8> {
    let mss = |random: &mut Random| {
        let edge = random.pick(&[1460_u16, 1440, 1410, 1390, 1428, 1408, 1380, 1360, 1240, 1220, 8960, 536, 0]);
        let value = edge.wrapping_add(random.pick(&[0, 0, 1])).wrapping_sub(random.pick(&[0, 0, 1]));
        [&[2, 4][..], &value.to_be_bytes()].concat()
    };
    let before: &[u8] =
        random.pick(&[&[], &[], &[1], &[4, 2], &[3, 3, 7], &[8, 10, 0, 0, 0, 1, 0, 0, 0, 0], &[0xfe, 5, 9, 9, 9]]);
    let mut options = before.to_vec();
    options.extend(mss(random));
    match random.weighted(&[(70, 0), (10, 1), (5, 2), (5, 3), (5, 4), (5, 5)]) {
        1 => options.extend([&[1][..], &mss(random)].concat()),
        // the end, then one; lengths that cannot be
        2 => options.splice(0..0, [0]).for_each(drop),
        3 => options.splice(0..0, [3, random.pick(&[0, 1, 40])]).for_each(drop),
        4 => options[before.len() + 1] = random.pick(&[0, 1, 2, 3, 5, 6]),
        5 => options.truncate(options.len() - random.pick(&[1, 2, 3])),
        _ => {}
    }
    options.resize(options.len().next_multiple_of(4), random.pick(&[0, 1, 2]));
    options
}

/// Payloads: short ones, and such that the packet is near the MTU of a VIF or of a tunnel.
fn length(packet: &Packet, random: &mut Random) -> usize {
    if random.chance(82) {
        return random.below(40);
    }
    let headers = Packet { payload: 0, ..packet.clone() }.bytes().len();
    let edge: usize = random.pick(&[
        1500,
        1450,
        1468,
        1430,
        1448,
        1452,
        1280,
        1300,
        1400,
        1350,
        1499,
        1350 - 50,
        1400 - 50,
        1400 - 32,
        4000,
        9000,
    ]);
    (edge + random.pick(&[0, 0, 1, 1]) - random.pick(&[0, 1])).saturating_sub(headers)
}

/// An address that a packet may go to or come from.
pub fn address(world: &World, v6: bool, random: &mut Random) -> IpAddr {
    let local = random.pick(&world.vifs);
    if v6 {
        let one = |last| Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, last);
        return match random.weighted(&[(35, 0), (40, 1), (8, 2), (10, 3), (3, 4), (4, 5)]) {
            0 => local.v6.unwrap_or(one(0x10)),
            1 => one(random.pick(&[0x20, 0x21, 0x22, 0x13])),
            2 => one(1),
            3 => random.pick(&[Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 7), Ipv6Addr::new(0xfd09, 1, 0, 0, 0, 0, 0, 1)]),
            4 => random.pick(&[
                Ipv6Addr::LOCALHOST,
                Ipv6Addr::UNSPECIFIED,
                "ff02::1".parse().unwrap(),
                "ff0e::5".parse().unwrap(),
            ]),
            _ => random.pick(&[
                "fe80::1".parse().unwrap(),
                "fe80::99".parse().unwrap(),
                Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
            ]),
        }
        .into();
    }
    let one = |last| Ipv4Addr::new(10, 1, 1, last);
    match random.weighted(&[(35, 0), (38, 1), (8, 2), (12, 3), (3, 4), (4, 5)]) {
        0 => local.v4.unwrap_or(one(10)),
        1 => one(random.pick(&[20, 21, 22, 23, 12, 15, 16, 8, 7])),
        2 => one(1),
        3 => Ipv4Addr::new(10, 9, random.pick(&[7, 127, 128, 255]), 7),
        4 => random.pick(&[[127, 0, 0, 1], [0, 0, 0, 0], [224, 0, 0, 5], [255; 4], [240, 0, 0, 1]]).into(),
        _ => random.pick(&[[8, 8, 8, 8], [10, 200, 0, 1], [169, 254, 169, 254], [10, 0, 0, 1]]).into(),
    }
    .into()
}

/// Where an address of a VRF lives: at a VIF, or behind a tunnel.
fn right_place(world: &World, vrf: &str, address: IpAddr, random: &mut Random) -> Place {
    let here = |vif: &&Vif| {
        vif.vrf == vrf && (vif.v4.map(IpAddr::V4) == Some(address) || vif.v6.map(IpAddr::V6) == Some(address))
    };
    match world.vifs.iter().find(here) {
        Some(vif) => Place::Vif(vif.number),
        None => tunnel(world, vrf, random),
    }
}

/// A tunnel into this VRF, mostly.
fn tunnel(world: &World, vrf: &str, random: &mut Random) -> Place {
    let remote = random.weighted(&[(55, REMOTES[0]), (20, REMOTES[1]), (20, REMOTES[2]), (5, REMOTES[4])]);
    if random.chance(55)
        && let Some(bridge) = world.bridges.of(vrf, random)
    {
        let carrier =
            random.weighted(&[(50, Carrier::Vxlan), (15, Carrier::Geneve), (18, Carrier::Mpls), (17, Carrier::Gre)]);
        return Place::Tunnel { remote, v6: world.fabric.over_v6(random), by: By::Frame(bridge, carrier) };
    }
    let vnis: Vec<u32> = world.vnis.iter().filter(|(_, name)| **name == vrf).map(|(vni, _)| *vni).collect();
    let is_there = |target: &Result<&str, usize>| match target {
        Ok(name) => *name == vrf,
        Err(number) => world.vifs.iter().any(|vif| vif.number == *number && vif.vrf == vrf),
    };
    let labels: Vec<u32> =
        world.labels.iter().filter(|(_, target)| is_there(target)).map(|(label, _)| *label).collect();
    let by_vni = labels.is_empty() || !vnis.is_empty() && random.chance(55);
    let by = match by_vni {
        true => {
            let vni = if !vnis.is_empty() && random.chance(95) { random.pick(&vnis) } else { random.pick(&VNIS) };
            if random.chance(35) { By::Geneve(vni) } else { By::Vni(vni) }
        }
        false if random.chance(30) => By::GreLabel(random.pick(&labels)),
        false if random.chance(95) => By::Label(random.pick(&labels)),
        false => By::Label(random.pick(&LABELS)),
    };
    Place::Tunnel { remote, v6: world.fabric.over_v6(random), by }
}

/// Now and then the packet as the sender leaves it to its NIC, with the mark of that behind it.
fn left_undone(packet: &Packet, random: &mut Random) -> Option<Vec<u8>> {
    if !random.chance(6) {
        return None;
    }
    let (mut packet, mut each) = (packet.clone(), 0);
    if let Upper::Tcp { .. } = packet.upper
        && random.chance(60)
    {
        packet.payload = random.pick(&[0, 1, 1398, 1399, 4000, 9000]);
        each = random.pick(&[500, 1000, 1398, 1410, 1410, 1448, 3000]);
    }
    let at = packet.sum_at()?;
    let mut bytes = packet.bytes();
    bytes[at..at + 2].copy_from_slice(&[0xbe, 0xef]);
    Some([&bytes[..], super::product::MARK, &u16::to_be_bytes(each)].concat())
}

/// The frame of a packet, and its port; now and then a header is not as it should be.
pub(super) fn framing(world: &World, sent: &Sent, random: &mut Random) -> (usize, Vec<u8>) {
    let l3 = sent.packet.bytes();
    let odd = random.chance(5).then(|| random.below(4));
    match sent.place {
        Place::Vif(number) => {
            let mac = world.vifs.iter().find(|vif| vif.number == number).map_or([2; 6], |vif| vif.mac);
            let bridge = world.vifs.iter().find(|vif| vif.number == number).and_then(|vif| vif.bridge);
            let to = match bridge {
                Some(bridge) if random.chance(60) => world.station_of(bridge, sent.packet.destination, random),
                _ => GATEWAY_MAC,
            };
            let (to, from) = match odd {
                Some(0) => ([2, 9, 9, 9, 9, 9], mac),
                Some(1) => (GATEWAY_MAC, [2, 9, 9, 9, 9, 9]),
                Some(2) => (ALL, mac),
                _ => (to, mac),
            };
            if let Some(left) = left_undone(&sent.packet, random) {
                return (
                    number,
                    [framed(to, from, &left[..left.len() - 10]), left[left.len() - 10..].to_vec()].concat(),
                );
            }
            let mut bytes = framed(to, from, &l3);
            if odd == Some(3) || bytes.len() < 60 && random.chance(30) {
                bytes.resize(bytes.len() + 1 + random.below(20), 0xee); // padding
            }
            (number, bytes)
        }
        Place::Tunnel { remote, v6, by } => {
            let mut inner = match by {
                By::Vni(vni) | By::Geneve(vni) => {
                    let to = match odd {
                        Some(0) => [2, 9, 9, 9, 9, 9],
                        Some(1) => ALL,
                        _ => world.fabric.router,
                    };
                    let frame = framed(to, far_mac(remote), &l3);
                    if let By::Vni(_) = by { vxlan(vni, &frame, random) } else { geneve(vni, &frame, random) }
                }
                By::Label(label) => mpls(label, &l3, random),
                By::GreLabel(label) => gre(&mpls(label, &l3, random), random),
                By::Frame(bridge, carrier) => {
                    let frame = world.tunnelled_frame(bridge, &sent.packet, random);
                    carried(bridge, carrier, &frame, random)
                }
            };
            if odd == Some(2) {
                inner.extend([0xee; 9]);
            }
            let port = match by {
                By::Vni(_) => Some(4789),
                By::Geneve(_) => Some(6081),
                By::Label(_) => Some(6635),
                By::GreLabel(_) | By::Frame(_, Carrier::Gre) => None,
                By::Frame(_, Carrier::Vxlan) => Some(4789),
                By::Frame(_, Carrier::Geneve) => Some(6081),
                By::Frame(_, Carrier::Mpls) => Some(6635),
            };
            let tos = if random.chance(85) { sent.packet.tos } else { random.pick(&[0, 1, 2, 3, 0xb8, 0xbb]) };
            underlay((world.arrives_by(remote, random), remote, v6), port, &inner, tos, random)
        }
    }
}

/// What a station says that is behind this VTEP now.
fn roaming(world: &World, remote: Ipv4Addr, random: &mut Random) -> (usize, Vec<u8>) {
    let frame = ethernet(ALL, ROAMING, 0x88b5, &[0x5a; 46]);
    let inner = vxlan(world.bridges.there[0].vni, &frame, random);
    underlay((world.arrives_by(remote, random), remote, world.fabric.over_v6(random)), Some(4789), &inner, 0, random)
}

/// A frame without a flow, into a bridge.
fn bare_frame(world: &World, random: &mut Random) -> (usize, Vec<u8>) {
    let ports: Vec<&Vif> = world.vifs.iter().filter(|vif| vif.bridge.is_some()).collect();
    if !ports.is_empty() && random.chance(55) {
        let vif = random.pick(&ports);
        return (vif.number, world.bare_frame(vif.bridge.unwrap_or_default(), Some(vif), random));
    }
    let bridge = random.pick(&world.bridges.there);
    let frame = world.bare_frame(bridge.name, None, random);
    let (carrier, port) = random.pick(&[
        (Carrier::Vxlan, Some(4789)),
        (Carrier::Geneve, Some(6081)),
        (Carrier::Mpls, Some(6635)),
        (Carrier::Gre, None),
    ]);
    let remote = random.pick(&REMOTES[..3]);
    let inner = carried(bridge, carrier, &frame, random);
    let tos = random.pick(&[0, 0, 3, 0xb8]);
    underlay((world.arrives_by(remote, random), remote, world.fabric.over_v6(random)), port, &inner, tos, random)
}

/// Bytes changed, cut off or added; of a frame in which nothing is left undone.
fn damaged(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let end = bytes.len() - 2;
    if bytes[..end].ends_with(super::product::MARK) {
        bytes.truncate(end - super::product::MARK.len());
    }
    match random.below(3) {
        0 => bytes.truncate(random.below(bytes.len().min(120))),
        1 => {
            let at = random.below(bytes.len().min(110));
            bytes[at] = random.next() as u8;
        }
        _ => {
            let at = 12 + random.below(bytes.len().min(100) - 12);
            bytes[at] ^= 1 << random.below(8);
        }
    }
    bytes
}
