//! What a fabric may be besides its addresses: in VLANs, with tunnels of one family or both, with headers that follow each other or not.

use super::objects::Object;
use super::random::Random;
use super::underlay6::{self, six};
use super::world::{VTEP, World, mac};

/// The state of a [`World`]'s fabric.
#[derive(Clone)]
pub struct Fabric {
    /// The VLANs of both uplinks.
    vlans: [Option<u16>; 2],
    /// Tunnels over IPv4; at least one family is there.
    pub v4: bool,
    pub v6: bool,
    /// Our router MAC, as peers know it.
    pub router: [u8; 6],
    second_mtu: &'static str,
    /// The host's kernel shares an uplink: the second?
    kernel: Option<bool>,
    /// Its port: one that no VIF has.
    kernel_port: usize,
}

impl Fabric {
    pub fn random(second: bool, random: &mut Random) -> Fabric {
        let v6 = random.chance(50);
        let vlan = |random: &mut Random| random.chance(20).then(|| random.pick(&[1, 77, 4094]));
        Fabric {
            vlans: [vlan(random), vlan(random)],
            v4: !v6 || random.chance(80),
            v6,
            router: [0; 6],
            second_mtu: random.pick(&["", ", mtu: 1400", ", mtu: 1450"]),
            kernel: random.chance(25).then(|| second && random.chance(40)),
            kernel_port: if second { 6 } else { 7 },
        }
    }

    /// An uplink as it is now: the first, or the second.
    pub fn uplink(&self, second: bool) -> Object {
        let (name, port, net) = if second { ("up7", "p7", 1) } else { ("up0", "p0", 0) };
        let (own, subnet) = if self.v6 { underlay6::of_vif([10, 0, net, 1].into()) } else { Default::default() };
        let mut text = format!(
            "{{name: {name}, kind: fabric, port: {port}, vrf: underlay, addresses: [10.0.{net}.1{own}], subnets: [10.0.{net}.0/24{subnet}]"
        );
        text += if second { self.second_mtu } else { "" };
        text.extend(self.vlans[usize::from(second)].map(|vlan| format!(", vlan: {vlan}")));
        if self.kernel == Some(second) {
            text += &format!(", exception_port: p{}", self.kernel_port);
        }
        Object { section: "vifs", text: text + "}" }
    }

    /// The port of the host's kernel, and whether it shares the second uplink.
    pub fn kernel(&self) -> Option<(usize, bool)> {
        self.kernel.map(|second| (self.kernel_port, second))
    }

    /// Another tag on an uplink, or the host's kernel comes or goes.
    pub fn changed(&mut self, second: bool, random: &mut Random) -> Object {
        if random.chance(40) {
            self.kernel = if self.kernel == Some(second) { None } else { Some(second) };
            return self.uplink(second);
        }
        let vlan = &mut self.vlans[usize::from(second)];
        *vlan = if vlan.is_some() && random.chance(60) { None } else { Some(random.pick(&[1, 77, 100])) };
        self.uplink(second)
    }

    /// Fields of the settings: our ends of tunnels, our router MAC, and what headers say of each other.
    pub fn settings(&mut self, random: &mut Random) -> String {
        let mut text = String::new();
        if self.v4 {
            text += &format!(", vtep: {VTEP}");
        }
        if self.v6 {
            text += &format!(", vtep_v6: \"{}\"", six(VTEP));
        }
        // the last four bytes of the IPv4 VTEP, or of the IPv6 one
        self.router = if self.v4 { [2, 10, 0, 0, 1, 1] } else { [2, 0, 0, 0, 1, 1] };
        if random.chance(20) {
            self.router = [2, 10, 0, 0, 1, 0x77];
            text += &format!(", router_mac: \"{}\"", mac(self.router));
        }
        if random.chance(60) {
            text += &headers(random);
        }
        text
    }

    /// Whether a tunnel goes over IPv6; now and then one that cannot be.
    pub fn over_v6(&self, random: &mut Random) -> bool {
        match (self.v4, self.v6) {
            (true, true) => random.chance(50),
            (_, v6) => v6 && random.chance(92),
        }
    }
}

/// RFC 2983, RFC 3443, RFC 3270 and RFC 5129 in all combinations.
fn headers(random: &mut Random) -> String {
    let mut fields = match random.below(3) {
        0 => vec!["dscp: uniform".to_owned()],
        1 => vec!["dscp: pipe".to_owned()],
        _ => vec!["dscp: pipe".to_owned(), format!("outer_dscp: {}", random.pick(&[1, 46, 63]))],
    };
    fields.extend(random.chance(55).then(|| format!("mpls_ttl: {}", random.pick(&["uniform", "uniform", "pipe"]))));
    match random.below(4) {
        0 => fields.push("mpls_tc: uniform".into()),
        1 => fields.push("mpls_tc: pipe".into()),
        2 => fields.push(format!("mpls_congestion_marked: {}", random.pick(&[3, 5]))),
        _ => {}
    }
    format!(", tunnel_headers: {{{}}}", fields.join(", "))
}

/// A frame as it comes by its port: with the tag of the fabric's VLAN, of any priority, rarely with another, with none or with two; those of
/// sub-interfaces with theirs, rarely with one more, less or other.
pub fn tagged(world: &World, (port, mut bytes): (usize, Vec<u8>), random: &mut Random) -> (usize, Vec<u8>) {
    let on = world.vifs.iter().find(|vif| vif.number == port).and_then(|vif| vif.on);
    // the model looks behind no odd tag for what a sender left undone
    let odd = bytes.len() < 10 || !bytes[..bytes.len() - 2].ends_with(super::product::MARK);
    if let Some((port, outer, inner)) = on.filter(|_| bytes.len() >= 12) {
        let priority = random.pick(&[0, 0, 0xe000, 0x1000]);
        let first = random.pick(&[0x8100, 0x88a8]);
        let mut tags = vec![(first, outer | priority)];
        tags.extend(inner.map(|inner| (0x8100, inner | priority)));
        match if odd && random.chance(6) { random.below(4) } else { 9 } {
            0 => tags.push((0x8100, random.pick(&[0, 7, 9]))),
            1 => _ = tags.pop(),
            2 => tags[0].1 = random.pick(&[0, 9, 8]),
            3 => tags.reverse(),
            _ => {}
        }
        put(&mut bytes, tags);
        if random.chance(1) {
            bytes.truncate(random.pick(&[13, 15, 16, 17, 18, 20, 21, 22]));
        }
        return (port, bytes);
    }
    let vlan = match port {
        0 => world.fabric.vlans[0],
        7 if world.second_uplink => world.fabric.vlans[1],
        _ => None,
    };
    let mut tags = Vec::new();
    let priority = random.pick(&[0, 0, 0xe000, 0x1000]);
    match (vlan, if odd && random.chance(5) { random.below(6) } else { 9 }) {
        (Some(_), 0) | (None, 5..) => {}
        (Some(vlan), 1) => tags = vec![(0x8100, vlan ^ random.pick(&[1, 0x800, vlan]))],
        (Some(vlan), 2) => tags = vec![(0x88a8, vlan)],
        (Some(vlan), 3) => tags = vec![(0x8100, vlan), (0x8100, vlan)],
        (Some(vlan), _) => tags = vec![(0x8100, vlan | priority)],
        // nobody is in a VLAN here
        (None, odd) => tags = vec![(0x8100, [0, 77, 4095, 1, 2][odd])],
    }
    if bytes.len() < 12 {
        return (port, bytes);
    }
    put(&mut bytes, tags);
    if vlan.is_some() && random.chance(1) {
        bytes.truncate(random.pick(&[13, 14, 15, 16, 17, 18]));
    }
    (port, bytes)
}

fn put(bytes: &mut Vec<u8>, tags: Vec<(u16, u16)>) {
    for (kind, tag) in tags.into_iter().rev() {
        let tag = [u16::to_be_bytes(kind), u16::to_be_bytes(tag)].concat();
        bytes.splice(12..12, tag);
    }
}
