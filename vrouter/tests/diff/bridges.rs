//! Bridges: which there are, where their stations are, and frames to stations and to nobody.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::objects::Object;
use super::packets::{Packet, Upper, arp, ethernet, framed};
use super::random::Random;
use super::underlay6::six;
use super::world::{GATEWAY_MAC, REMOTES, Vif, World, mac};

/// Their names, VRFs, VNIs and labels.
pub const BRIDGES: [Bridge; 4] = [
    Bridge { name: "lan", vrf: "red", vni: 500, label: 5000 },
    Bridge { name: "lan2", vrf: "red", vni: 501, label: 5001 },
    Bridge { name: "dmz", vrf: "blue", vni: 502, label: 5002 },
    Bridge { name: "lab", vrf: "green", vni: 503, label: 5003 },
];
/// Stations behind tunnels, mostly.
const FAR: [[u8; 6]; 4] = [[2, 0, 0, 0, 11, 1], [2, 0, 0, 0, 11, 2], [2, 0, 0, 0, 11, 3], [2, 0, 0, 0, 11, 4]];
/// What neighbour solicitations ask for.
const TARGETS: [&str; 11] = [
    "fd01::1", "fe80::1", "fd01::10", "fd01::11", "fd01::21", "fd01::21", "fd01::22", "fd01::22", "fd01::23",
    "fe80::21", "fd01::99",
];
/// Of which no controller says where it is.
pub const ROAMING: [u8; 6] = [2, 0, 0, 0, 11, 5];
const NOBODY: [u8; 6] = [2, 0, 0, 0, 11, 0x99];

#[derive(Clone, Copy, Debug)]
pub struct Bridge {
    pub name: &'static str,
    pub vrf: &'static str,
    pub vni: u32,
    pub label: u32,
}

impl Bridge {
    /// With some VTEPs. `v6`: over their IPv6 addresses.
    fn object(&self, v6: bool, random: &mut Random) -> Object {
        let Bridge { name, vrf, vni, label } = *self;
        let mut vteps = Vec::new();
        for remote in [REMOTES[0], REMOTES[1], REMOTES[2], REMOTES[4]] {
            if random.chance(55) {
                let remote = if v6 { six(remote).into() } else { IpAddr::from(remote) };
                let tunnel = match random.below(4) {
                    2 => format!("geneve: {{remote: \"{remote}\", vni: {vni}}}"),
                    0 => format!("mpls_udp: {{remote: \"{remote}\", label: {label}}}"),
                    1 => format!("mpls_gre: {{remote: \"{remote}\", label: {label}}}"),
                    _ => format!("vxlan: {{remote: \"{remote}\", vni: {vni}}}"),
                };
                let leaf = if random.chance(25) { ", leaf: true" } else { "" };
                vteps.push(format!("{{{tunnel}{leaf}}}"));
            }
        }
        let unknown = if random.chance(40) { ", flood_unknown: true" } else { "" };
        let ageing = random.weighted(&[(50, 1_000_000), (20, 8), (20, 17), (10, 30)]);
        let learning = if random.chance(65) { format!(", learning: true, ageing: {ageing}") } else { String::new() };
        let off = if random.chance(15) { ", suppress_off: true" } else { "" };
        let only = if random.chance(15) { ", ip_only: true" } else { "" };
        let vteps = vteps.join(", ");
        let text = format!(
            "{{name: {name}, vrf: {vrf}, floods_per_second: 1000000, vteps: [{vteps}]{unknown}{off}{learning}{only}}}"
        );
        Object { section: "bridges", text }
    }
}

/// Those that are there, and stations that were put.
#[derive(Default)]
pub struct Bridges {
    pub there: Vec<Bridge>,
    stations: BTreeSet<(&'static str, [u8; 6])>,
}

impl Bridges {
    pub fn random(random: &mut Random) -> Bridges {
        let wanted = random.chance(50);
        let there = BRIDGES.into_iter().filter(|bridge| wanted && (bridge.name == "lan" || random.chance(50)));
        Bridges { there: there.collect(), stations: BTreeSet::new() }
    }

    /// One of this VRF.
    pub fn of(&self, vrf: &str, random: &mut Random) -> Option<Bridge> {
        let of: Vec<Bridge> = self.there.iter().copied().filter(|bridge| bridge.vrf == vrf).collect();
        (!of.is_empty()).then(|| random.pick(&of))
    }

    /// The bridges themselves, and what leads into them.
    pub fn objects(&self, v6: bool, random: &mut Random) -> Vec<Object> {
        let mut objects = Vec::new();
        for bridge in &self.there {
            let Bridge { name, vni, label, .. } = *bridge;
            objects.push(bridge.object(v6, random));
            if random.chance(85) {
                objects.push(Object { section: "vnis", text: format!("{{vni: {vni}, bridge: {name}}}") });
            }
            if random.chance(70) {
                objects.push(Object { section: "labels", text: format!("{{label: {label}, bridge: {name}}}") });
            }
        }
        objects
    }

    /// What goes: kind and key.
    pub fn deleted(&mut self, random: &mut Random) -> Option<(&'static str, String)> {
        let stations: Vec<_> = self.stations.iter().copied().collect();
        match random.below(6) {
            0 if !self.there.is_empty() => Some(("bridge", random.pick(&self.there).name.into())),
            1 if !self.there.is_empty() => Some(("vni", random.pick(&self.there).vni.to_string())),
            _ if !stations.is_empty() => {
                let (bridge, station) = random.pick(&stations);
                self.stations.remove(&(bridge, station));
                Some(("fdb", format!("{bridge} {}", mac(station))))
            }
            _ => None,
        }
    }
}

impl World {
    /// Where a station is, or is from now on.
    pub fn station(&mut self, random: &mut Random) -> Option<Object> {
        if self.bridges.there.is_empty() {
            return None;
        }
        let bridge = random.pick(&self.bridges.there);
        if random.chance(20) {
            return Some(bridge.object(self.fabric.over_v6(random), random));
        }
        let mut station = random.pick(&FAR);
        if random.chance(8) {
            station = random.pick(&self.vifs).mac;
        }
        self.bridges.stations.insert((bridge.name, station));
        let remote = random.weighted(&[(50, REMOTES[0]), (25, REMOTES[1]), (15, REMOTES[2]), (8, REMOTES[4])]);
        let remote = if self.fabric.over_v6(random) { six(remote).into() } else { IpAddr::from(remote) };
        let here: Vec<&Vif> = self.vifs.iter().filter(|vif| vif.bridge == Some(bridge.name)).collect();
        let number = random.weighted(&[(80, 0), (20, 1)]);
        let at = match random.weighted(&[(25, 0), (30, 1), (16, 2), (16, 3), (13, 4)]) {
            0 if !here.is_empty() => format!("vif: v{}", random.pick(&here).number),
            2 => format!("mpls_udp: {{remote: \"{remote}\", label: {}}}", bridge.label + number),
            3 => format!("mpls_gre: {{remote: \"{remote}\", label: {}}}", bridge.label + number),
            4 => format!("geneve: {{remote: \"{remote}\", vni: {}}}", bridge.vni + number),
            _ => format!("vxlan: {{remote: \"{remote}\", vni: {}}}", bridge.vni + number),
        };
        // far ones have addresses of their own, and sometimes of others
        let host = if random.chance(80) { 20 + u16::from(station[5]) } else { random.pick(&[10, 11, 20]) };
        let addresses = match random.below(3) {
            0 => String::new(),
            1 => format!(", addresses: [10.1.1.{host}]"),
            _ => format!(
                ", addresses: [10.1.1.{host}, \"fd01::{host}\", \"fe80::{host}\"], router: {}",
                random.chance(50)
            ),
        };
        let sticky = if random.chance(15) { ", sticky: true" } else { "" };
        let leaf = if !at.starts_with("vif") && random.chance(25) { ", leaf: true" } else { "" };
        let text = format!("{{bridge: {}, mac: \"{}\", {at}{addresses}{leaf}{sticky}}}", bridge.name, mac(station));
        Some(Object { section: "fdb", text })
    }

    /// The destination MAC of a packet in a bridge: that of the VIF with this address, or of another.
    pub fn station_of(&self, bridge: &str, address: IpAddr, random: &mut Random) -> [u8; 6] {
        let of = |vif: &&Vif| vif.bridge == Some(bridge);
        let has = |vif: &&Vif| vif.v4.map(IpAddr::V4) == Some(address) || vif.v6.map(IpAddr::V6) == Some(address);
        let right = self.vifs.iter().filter(of).find(has).map(|vif| vif.mac);
        let far = match address {
            IpAddr::V4(address) => FAR[usize::from(address.octets()[3]) % FAR.len()],
            IpAddr::V6(address) => FAR[usize::from(address.octets()[15]) % FAR.len()],
        };
        let vifs: Vec<[u8; 6]> = self.vifs.iter().filter(of).map(|vif| vif.mac).collect();
        match random.weighted(&[(66, 0), (12, 1), (12, 2), (3, 3), (7, 4)]) {
            1 if !vifs.is_empty() => random.pick(&vifs),
            2 if random.chance(50) => ROAMING,
            2 => random.pick(&FAR),
            3 => NOBODY,
            4 => [0xff; 6],
            _ => right.unwrap_or(far),
        }
    }

    /// The frame of a packet that comes out of a tunnel into a bridge.
    pub fn tunnelled_frame(&self, bridge: Bridge, packet: &Packet, random: &mut Random) -> Vec<u8> {
        let to = match random.below(100) {
            0..12 => GATEWAY_MAC,
            12..18 => self.fabric.router,
            _ => self.station_of(bridge.name, packet.destination, random),
        };
        let from = if random.chance(80) { self.station_of(bridge.name, packet.source, random) } else { ROAMING };
        let from = if from[0] & 1 == 1 { NOBODY } else { from };
        let mut frame = framed(to, from, &packet.bytes());
        if random.chance(15) {
            frame.resize(frame.len() + 1 + random.below(20), 0xee); // padding
        }
        frame
    }

    /// A frame to everybody.
    fn to_group(&self, vif: Option<&Vif>, from: [u8; 6], random: &mut Random) -> Vec<u8> {
        let own = vif.and_then(|vif| vif.v4).unwrap_or(Ipv4Addr::new(10, 1, 1, 20));
        let own6 = vif.and_then(|vif| vif.v6).unwrap_or(Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 0x20));
        let udp = Upper::Ports { number: 17, source: 68, destination: random.pick(&[67, 53, 1001]) };
        match random.weighted(&[(26, 0), (34, 1), (11, 2), (10, 3), (11, 4), (8, 5)]) {
            0 => {
                let target =
                    Ipv4Addr::new(10, 1, 1, random.pick(&[1, 1, 10, 11, 12, 13, 21, 21, 22, 22, 23, 23, 24, 99]));
                let sender = random.weighted(&[(80, own), (12, Ipv4Addr::UNSPECIFIED), (8, target)]);
                let sender_mac = if random.chance(94) { from } else { random.pick(&FAR) };
                ethernet([0xff; 6], from, 0x0806, &arp(1, (sender_mac, sender), ([0; 6], target)))
            }
            1 => {
                let target: Ipv6Addr = random.pick(&TARGETS).parse().unwrap();
                let [.., a, b, c] = target.octets();
                let group: Ipv6Addr = format!("ff02::1:ff{a:02x}:{b:02x}{c:02x}").parse().unwrap();
                let nobody = random.chance(20);
                let own6 = if random.chance(8) { target } else { own6 };
                let source = if nobody { Ipv6Addr::UNSPECIFIED } else { own6 };
                let with = (!nobody).then_some(from);
                let upper = Upper::Nd { kind: 135, target: target.into(), mac: with };
                let mut packet = Packet::new(source.into(), group.into(), upper);
                packet.ttl = 255;
                framed([0x33, 0x33, 0xff, a, b, c], from, &packet.bytes())
            }
            2 => {
                let source =
                    random.weighted(&[(50, own), (40, Ipv4Addr::UNSPECIFIED), (10, Ipv4Addr::new(10, 1, 1, 12))]);
                let mut packet = Packet::new(source.into(), Ipv4Addr::BROADCAST.into(), udp);
                packet.payload = random.pick(&[0, 12, 300, 1472]);
                framed([0xff; 6], from, &packet.bytes())
            }
            3 => {
                let mut packet = Packet::new(own.into(), Ipv4Addr::new(224, 0, 0, 251).into(), udp);
                packet.tos = random.pick(&[0, 3, 0xb8]);
                framed([1, 0, 0x5e, 0, 0, 251], from, &packet.bytes())
            }
            4 => {
                let source =
                    random.weighted(&[(60, own6), (20, "fe80::77".parse().unwrap()), (20, Ipv6Addr::UNSPECIFIED)]);
                let group: Ipv6Addr = "ff02::16".parse().unwrap();
                let upper = random.pick(&[Upper::Icmp { kind: 143, code: 0, id: 0 }, udp]);
                let packet = Packet::new(source.into(), group.into(), upper);
                framed([0x33, 0x33, 0, 0, 0, 0x16], from, &packet.bytes())
            }
            _ => ethernet(
                [1, 0x80, 0xc2, 0, 0, random.pick(&[0, 14, 15, 16])],
                from,
                random.pick(&[0x88cc, 38]),
                &[0x42; 38],
            ),
        }
    }

    /// A frame without a flow, from a VIF with a bridge (its number) or for a tunnel.
    pub fn bare_frame(&self, bridge: &str, vif: Option<&Vif>, random: &mut Random) -> Vec<u8> {
        let from = match vif {
            Some(vif) if random.chance(if vif.spoofing { 45 } else { 95 }) => vif.mac,
            _ if random.chance(60) => ROAMING,
            _ => random.pick(&FAR),
        };
        let own = vif.and_then(|vif| vif.v4).unwrap_or(Ipv4Addr::new(10, 1, 1, 20));
        let own6 = vif.and_then(|vif| vif.v6).unwrap_or(Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 0x20));
        let other =
            random.pick(&[Ipv4Addr::new(10, 1, 1, 10), Ipv4Addr::new(10, 1, 1, 11), Ipv4Addr::new(10, 1, 1, 20)]);
        let to = self.station_of(bridge, other.into(), random);
        match random.below(8) {
            3..=6 => self.to_group(vif, from, random),
            0 => {
                let sender = random.weighted(&[(80, own), (10, Ipv4Addr::UNSPECIFIED), (10, other)]);
                let sender_mac = if random.chance(92) { from } else { random.pick(&FAR) };
                let operation = random.pick(&[1, 2, 2, 3]);
                let mut packet = arp(operation, (sender_mac, sender), (to, other));
                if random.chance(8) {
                    packet.truncate(random.below(28));
                }
                ethernet(to, from, 0x0806, &packet)
            }
            1 => {
                let other6 = Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 6 + u16::from(other.octets()[3]));
                let link_local = "fe80::77".parse().unwrap();
                let source = random.weighted(&[(70, own6), (20, link_local), (10, other6)]);
                let kind = random.weighted(&[(45, 135), (45, 136), (5, 133), (5, 134)]);
                let target = if kind == 136 { random.weighted(&[(80, own6), (20, other6)]) } else { other6 };
                let with = random.chance(70).then(|| if random.chance(92) { from } else { random.pick(&FAR) });
                let upper = Upper::Nd { kind, target: target.into(), mac: with };
                let mut packet = Packet::new(source.into(), other6.into(), upper);
                packet.ttl = 255;
                framed(to, from, &packet.bytes())
            }
            _ => {
                let kind = random.pick(&[0x88b5, 0x8100, 0x86dc, 0x0026, 0x8847]);
                let length = if random.chance(80) { random.below(90) } else { 1440 + random.below(70) };
                ethernet(to, from, kind, &vec![0x5a; length])
            }
        }
    }
}
