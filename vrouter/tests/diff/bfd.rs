//! Sessions of BFD: who is watched, which of them fail, and packets that are no peer's word.

use std::net::{IpAddr, Ipv4Addr};

use super::case::Event;
use super::objects::Object;
use super::packets::{checksum, framed, octets, summed};
use super::random::Random;
use super::underlay6::six;
use super::uplinks;
use super::world::{REMOTES, VTEP, World, far_mac, port_mac};

impl World {
    /// A session, new or with other timers.
    pub fn session(&mut self, random: &mut Random) -> Object {
        let v6 = self.fabric.v6 && random.chance(35);
        let text = |address: Ipv4Addr| if v6 { IpAddr::from(six(address)) } else { address.into() }.to_string();
        let (name, fields) = if random.chance(50) {
            let (_, near) = random.pick(&uplinks::near(self.second_uplink));
            let near = text(near);
            (format!("n{}", near.replace([':', '.'], "-")), format!("remote: \"{near}\""))
        } else {
            let far = text(random.pick(&REMOTES));
            let ttl = random.weighted(&[(70, ""), (30, ", min_ttl: 60")]);
            (format!("f{}", far.replace([':', '.'], "-")), format!("remote: \"{far}\", multihop: true{ttl}"))
        };
        self.sessions.entry(name.clone()).or_insert(false);
        let timers = random.weighted(&[(60, ""), (20, ", min_tx: 50"), (20, ", multiplier: 1")]);
        Object { section: "bfd_sessions", text: format!("{{name: {name}, vrf: underlay, {fields}{timers}}}") }
    }

    /// A session fails, or is up again.
    pub fn turn(&mut self, random: &mut Random) -> Option<Event> {
        let all: Vec<String> = self.sessions.keys().cloned().collect();
        let name = all.get(random.below(all.len().max(1)))?.clone();
        let failed = self.sessions.get_mut(&name)?;
        *failed = if *failed { random.chance(30) } else { random.chance(85) };
        Some(Event::Session { failed: *failed, name })
    }
}

/// To one of BFD's ports: garbage, from whom a session watches and from others.
pub fn packet(world: &World, random: &mut Random) -> (usize, Vec<u8>) {
    let second = world.second_uplink && random.chance(30);
    let (port, ours) = if second { (7, Ipv4Addr::new(10, 0, 1, 1)) } else { (0, VTEP) };
    let far = random.chance(50);
    let near = uplinks::near(second).into_iter().filter(|(_, near)| (near.octets()[2] == 1) == second);
    let from = if far { random.pick(&REMOTES) } else { random.pick(&near.collect::<Vec<_>>()).1 };
    let ours = if far { VTEP } else { ours };
    let v6 = world.fabric.v6 && random.chance(30);
    let address = |address: Ipv4Addr| if v6 { IpAddr::from(six(address)) } else { address.into() };
    let ends = (address(from), address(ours));
    let mut payload = vec![0x20, 0xc0, 3, 24, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50, 0, 0, 0, 0];
    match random.below(8) {
        0 => payload[0] = random.pick(&[0, 0x40, 0xe0]),
        1 => payload[2] = 0,
        2 => payload[3] = random.pick(&[0, 23, 25, 255]),
        3 => payload.truncate(random.below(24)),
        4 => payload[4..8].fill(0),
        5 => {
            payload[1] |= 4;
            payload[3] = 28;
            payload.extend([1, 4, 0, 0]);
        }
        6 => payload[1] = random.pick(&[0xc1, 0x81, 0x41]),
        _ => {}
    }
    let to = random.weighted(&[(85, if far { 4784 } else { 3784 }), (15, if far { 3784 } else { 4784 })]);
    let ttl = random.weighted(&[(60, 255), (25, 254), (15, 64)]);
    (port, framed(port_mac(port), far_mac(from), &udp(ends, to, ttl, &payload)))
}

/// A UDP packet from port 50000.
fn udp(ends: (IpAddr, IpAddr), to: u16, ttl: u8, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    let [from, to, length_of] = [50_000_u16, to, length].map(u16::to_be_bytes);
    let datagram = summed([&from[..], &to, &length_of, &[0, 0], payload].concat(), ends.0, ends.1, 17, 6);
    let mut header = if ends.0.is_ipv6() {
        [&[0x60, 0, 0, 0][..], &length_of, &[17, ttl]].concat()
    } else {
        [&[0x45, 0xc0][..], &(20 + length).to_be_bytes(), &[0, 9, 0, 0, ttl, 17, 0, 0]].concat()
    };
    header.extend([octets(ends.0), octets(ends.1)].concat());
    if ends.0.is_ipv4() {
        let sum = checksum(0, &header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    [header, datagram].concat()
}
