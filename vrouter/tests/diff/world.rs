//! The network that a case begins with and how it changes: few addresses, nested prefixes, tenants that overlap.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::bridges::Bridges;
use super::case::{Batch, Event};
use super::fabric::Fabric;
use super::objects::{Object, unique};
use super::policy::{PREFIXES4, PREFIXES6, acl, group};
use super::random::Random;
use super::underlay6::six;
use super::uplinks;
pub use super::vifs::Vif;
use super::vifs::{quota, vif_object};

pub const GATEWAY_MAC: [u8; 6] = [0, 0, 0x5e, 0, 1, 0];
pub const VTEP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub const TENANT_VRFS: [&str; 3] = ["red", "blue", "green"];
/// Far ends: two on our subnet, one behind a gateway, one on the other uplink, one without a route.
pub const REMOTES: [Ipv4Addr; 5] = [
    Ipv4Addr::new(10, 0, 0, 2),
    Ipv4Addr::new(10, 0, 0, 3),
    Ipv4Addr::new(192, 0, 2, 7),
    Ipv4Addr::new(10, 0, 1, 2),
    Ipv4Addr::new(198, 51, 100, 9),
];
/// Next-hop groups: of red, of red, of blue, of the underlay.
pub const HOP_GROUPS: [&str; 4] = ["h1", "h2", "h3", "hu"];
/// The number of the VIF with a service behind it.
pub const SERVICE: usize = 2;
pub const VNIS: [u32; 5] = [100, 101, 200, 300, 0xff_ffff];
pub const LABELS: [u32; 5] = [1000, 1001, 2000, 3000, 16];

/// What we say as a router.
const ADVERTISEMENTS: [&str; 5] = [
    "{prefixes: [{prefix: \"fd01::/64\"}]}",
    "{prefixes: [{prefix: \"fd01::/64\"}], max_interval: 4}, gateway_link_local: \"fe80::77\"",
    "{managed: true, lifetime: 0, max_interval: 10}",
    "{other: true, lifetime: 9, prefixes: [{prefix: \"fd01::/64\", autonomous: false, valid_lifetime: 600, preferred_lifetime: 0}]}",
    "{managed: true, other: true, lifetime: 9000, max_interval: 1800, prefixes: [{prefix: \"fd01::/64\", on_link: false}, {prefix: \"fd09::/32\", autonomous: false, valid_lifetime: 4294967295}]}",
];

/// What the generator believes is there. The product judges: what it refuses is not there, and a packet may then go nowhere.
pub struct World {
    pub vifs: Vec<Vif>,
    flows_off: BTreeSet<&'static str>,
    vrf_acl: BTreeMap<&'static str, &'static str>,
    vteps: BTreeMap<&'static str, Vec<Ipv4Addr>>,
    by_default_route: BTreeSet<&'static str>,
    pub vnis: BTreeMap<u32, &'static str>,
    /// A VRF, or a VIF.
    pub labels: BTreeMap<u32, Result<&'static str, usize>>,
    routes: BTreeSet<(&'static str, &'static str, &'static str)>,
    /// Next-hop groups, of [`HOP_GROUPS`].
    pub hop_groups: BTreeSet<&'static str>,
    neighbours: BTreeSet<(&'static str, IpAddr)>,
    pub second_uplink: bool,
    /// What is sent goes through the underlay's gateways, mostly, whose links come and go.
    pub restless: bool,
    /// Sessions of BFD, and whether they were made to fail.
    pub sessions: BTreeMap<String, bool>,
    /// Ports that lost their link.
    pub without_link: BTreeSet<usize>,
    pub fabric: Fabric,
    pub bridges: Bridges,
    strict: bool,
    lifetimes: bool,
    /// Some may not do as they like.
    quotas: bool,
    /// Flows are sent by way of [`SERVICE`].
    pub services: bool,
}

fn vrf_of_group(name: &str) -> &'static str {
    match name {
        "h1" | "h2" => "red",
        "h3" => "blue",
        _ => "underlay",
    }
}

pub fn object(section: &'static str, text: String) -> Object {
    Object { section, text }
}

pub fn mac(mac: [u8; 6]) -> String {
    let hex: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.join(":")
}

pub fn port_mac(port: usize) -> [u8; 6] {
    [0x52, 0, 0, 0, 0x0a, port as u8]
}

/// The MAC of a neighbour on the fabric.
pub fn far_mac(address: Ipv4Addr) -> [u8; 6] {
    let [.., c, d] = address.octets();
    [0x52, 0, 0, 0, 0xb0 | c, d]
}

impl World {
    /// A network, and its objects.
    pub fn random(random: &mut Random) -> (World, Vec<Object>) {
        let restless = random.chance(25);
        let second_uplink = restless || random.chance(30);
        let mut world = World {
            vifs: Vec::new(),
            flows_off: BTreeSet::new(),
            vrf_acl: BTreeMap::new(),
            vteps: BTreeMap::new(),
            by_default_route: BTreeSet::new(),
            vnis: BTreeMap::new(),
            labels: BTreeMap::new(),
            routes: BTreeSet::new(),
            hop_groups: BTreeSet::new(),
            neighbours: BTreeSet::new(),
            second_uplink,
            restless,
            sessions: BTreeMap::new(),
            without_link: BTreeSet::new(),
            fabric: Fabric::random(second_uplink, random),
            bridges: Bridges::random(random),
            strict: random.chance(20),
            lifetimes: random.chance(50),
            quotas: random.chance(18),
            services: random.chance(22),
        };
        let mut objects = world.underlay(random);
        let acls = world.services || random.chance(60);
        objects.extend((1..=2).map(|number| group(number, random)));
        objects.extend((1..=3).map(|number| acl(number, random, world.service())));
        for name in TENANT_VRFS {
            if random.chance(if name == "green" { 40 } else { 15 }) {
                world.flows_off.insert(name);
            }
            objects.push(world.vrf(name, random, acls));
        }
        let v6 = world.fabric.over_v6(random);
        objects.extend(world.bridges.objects(v6, random));
        for number in 1..=2 + random.below(4) {
            let vif = world.new_vif(number, random, acls);
            objects.push(vif_object(&vif));
            world.vifs.push(vif);
        }
        if random.chance(60) {
            (0..2 + random.below(4)).for_each(|_| objects.push(world.hop_group(random)));
        }
        (0..4 + random.below(12)).for_each(|_| objects.push(world.route(random)));
        (0..random.below(8)).for_each(|_| objects.extend(world.station(random)));
        (0..1 + random.below(4)).for_each(|_| objects.push(world.vni(random)));
        (0..1 + random.below(4)).for_each(|_| objects.push(world.label(random)));
        (world, unique(objects))
    }

    fn underlay(&mut self, random: &mut Random) -> Vec<Object> {
        let mut objects = vec![
            self.settings(random),
            object("vrfs", "{name: underlay, flows: off}".into()),
            self.fabric.uplink(false),
        ];
        objects.extend(self.second_uplink.then(|| self.fabric.uplink(true)));
        for (percent, address) in uplinks::near(self.second_uplink) {
            if random.chance(if self.restless { 95 } else { percent }) {
                objects.push(self.neighbour(address, far_mac(address), false));
            }
            if self.fabric.v6 && random.chance(percent - 20) {
                objects.push(self.neighbour(address, far_mac(address), true));
            }
        }
        if random.chance(35) {
            self.hop_groups.insert("hu");
            objects.push(self.hop_group_named("hu", random));
        }
        objects.extend(self.gateways(random));
        let sessions = if random.chance(if self.restless { 80 } else { 40 }) { 1 + random.below(4) } else { 0 };
        (0..sessions).for_each(|_| objects.push(self.session(random)));
        objects
    }

    /// Takes out a neighbour: its key, if it was there.
    pub fn without_neighbour(&mut self, address: Ipv4Addr, v6: bool) -> Option<String> {
        let address = if v6 { IpAddr::from(six(address)) } else { address.into() };
        let one = self.neighbours.iter().copied().find(|(_, other)| *other == address)?;
        self.neighbours.remove(&one);
        Some(format!("{} {}", one.0, one.1))
    }

    pub fn neighbour(&mut self, address: Ipv4Addr, far: [u8; 6], v6: bool) -> Object {
        let vif = if address.octets()[2] == 1 { "up7" } else { "up0" };
        let address = if v6 { IpAddr::from(six(address)) } else { address.into() };
        self.neighbours.insert((vif, address));
        object("neighbours", format!("{{vif: {vif}, address: \"{address}\", mac: \"{}\"}}", mac(far)))
    }

    fn settings(&mut self, random: &mut Random) -> Object {
        let mut text = "{underlay_vrf: underlay, icmp_per_second: 1000000".to_owned() + &self.fabric.settings(random);
        if self.strict {
            text += ", tcp_strict: true";
        }
        if random.chance(30) {
            text += random.pick(&[", mss_clamp: false", ", mss_clamp: true"]);
        }
        if random.chance(30) {
            text += random.pick(&[", fragmentation: false", ", fragmentation: true"]);
        }
        text.extend((self.quotas && random.chance(30)).then(|| format!(", vif_quota: {}", quota(random))));
        if self.quotas && random.chance(80) {
            // first many, then less than are held
            let flows = if self.vifs.is_empty() { "{flows: 200}" } else { "{flows: 1}" };
            let quota = if random.chance(50) { flows.into() } else { quota(random) };
            text += &format!(", tenant_quotas: [{{tenant: acme, quota: {quota}}}]");
        }
        if self.lifetimes {
            let seconds = |random: &mut Random| 1 + random.below(12);
            text += &format!(
                ", lifetimes: {{tcp_established: {}, tcp_opening: {}, tcp_closing: {}, udp_unanswered: {}, udp_answered: {}, icmp: {}}}",
                seconds(random),
                seconds(random),
                seconds(random),
                seconds(random),
                seconds(random),
                seconds(random)
            );
        }
        object("settings", text + "}")
    }

    fn vrf(&mut self, name: &'static str, random: &mut Random, acls: bool) -> Object {
        let mut text = format!("{{name: {name}");
        if self.flows_off.contains(name) {
            text += ", flows: off";
        } else if acls && random.chance(25) {
            let acl = random.pick(&["a1", "a2", "a3"]);
            self.vrf_acl.insert(name, acl);
            text += &format!(", acl: {acl}");
        } else {
            self.vrf_acl.remove(name);
        }
        if self.quotas && random.chance(60) {
            text += ", tenant: acme";
        }
        if self.quotas && random.chance(30) {
            text += &format!(", tunnel_quota: {}", quota(random));
        }
        if random.chance(15) {
            self.by_default_route.insert(name);
            text += ", proxy_by_default_route: true";
        }
        if random.chance(15) {
            let vteps = vec![random.pick(&REMOTES[..2]), REMOTES[2]];
            let more = if random.chance(60) { format!(", \"{}\"", six(vteps[0])) } else { String::new() };
            text += &format!(", allowed_vteps: [{}, {}{more}]", vteps[0], vteps[1]);
            self.vteps.insert(name, vteps);
        }
        object("vrfs", text + "}")
    }

    /// The VIF that rules redirect to.
    fn service(&self) -> Option<&'static str> {
        self.services.then_some("v2")
    }

    fn new_vif(&self, number: usize, random: &mut Random, acls: bool) -> Vif {
        let vrf = random.pick(&["red", "red", "red", "blue", "blue", "green"]);
        let taken =
            |last: u8| self.vifs.iter().any(|vif| vif.vrf == vrf && vif.v4.is_some_and(|a| a.octets()[3] == last));
        let last = (0..8).map(|_| 10 + random.below(4) as u8).find(|&last| !taken(last)).unwrap_or(30 + number as u8);
        let off = self.flows_off.contains(vrf);
        let service = self.services && number == SERVICE && !off;
        let mut acl = |percent| (acls && !off && random.chance(percent)).then(|| random.pick(&["a1", "a2", "a3"]));
        let (from, to) = (acl(30), acl(30));
        let bridge = if random.chance(65) { self.bridges.of(vrf, random).map(|bridge| bridge.name) } else { None };
        // a port of the bridge alone
        let routes = bridge.is_none() || random.chance(75);
        Vif {
            bridge,
            leaf: random.chance(25),
            number,
            on: random.chance(25).then(|| {
                let inner = random.chance(40).then(|| random.pick(&[7, 4094]));
                (random.pick(&[1, 1, 2, 3]), random.pick(&[7, 7, 8, 4094]), inner)
            }),
            vrf,
            mac: [2, 0, 0, 0, 0x0a, number as u8],
            v4: random.chance(95).then(|| Ipv4Addr::new(10, 1, 1, last)),
            v6: random.chance(60).then(|| Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 6 + u16::from(last))),
            gateway_v4: (routes && random.chance(90)).then(|| Ipv4Addr::new(10, 1, 1, 1)),
            gateway_v6: routes && random.chance(80),
            advertises: random.chance(30).then(|| random.pick(&ADVERTISEMENTS)),
            mtu: random.chance(25).then(|| random.pick(&[1280, 1300, 1400])),
            from,
            to,
            spoofing: service || random.chance(15),
            service,
            sources: if random.chance(20) {
                random.pick(&[vec!["10.9.0.0/16"], vec!["10.1.1.8/29", "fd09::/32"]])
            } else {
                vec![]
            },
            quota: (self.quotas && random.chance(40)).then(|| quota(random)),
        }
    }

    fn route(&mut self, random: &mut Random) -> Object {
        let vrf = random.pick(&["red", "red", "red", "blue", "blue", "green"]);
        let v6 = random.chance(30);
        let prefix = if v6 { random.pick(&PREFIXES6) } else { random.pick(&PREFIXES4) };
        let owner = random.weighted(&[(75, "operator"), (15, "bgp"), (10, "cni")]);
        // or another way for one that may have flows
        let there: Vec<_> = self.routes.iter().copied().collect();
        let anew = !there.is_empty() && random.chance(40);
        let (vrf, prefix, owner) = if anew { random.pick(&there) } else { (vrf, prefix, owner) };
        self.routes.insert((vrf, prefix, owner));
        let mut text = format!("{{vrf: {vrf}, prefix: \"{prefix}\"");
        if owner != "operator" {
            text += &format!(", owner: {owner}");
        }
        if random.chance(25) {
            text += &format!(", preference: {}", random.pick(&[50, 100, 200]));
        }
        text += ", via: ";
        text += &match prefix {
            "0.0.0.0/0" | "::/0" | "10.0.0.0/8" if random.chance(40) => {
                format!("{{vrf: {}}}", random.pick(&TENANT_VRFS))
            }
            _ => self.via(vrf, random),
        };
        object("routes", text + "}")
    }

    /// What a route leads to: one way, or several, whose names stay while their next hops, weights and number change.
    fn via(&self, vrf: &str, random: &mut Random) -> String {
        let groups: Vec<_> = self.hop_groups.iter().filter(|name| vrf_of_group(name) == vrf).collect();
        if !groups.is_empty() && random.chance(60) {
            return format!("{{group: {}}}", random.pick(&groups));
        }
        if !random.chance(if self.restless { 50 } else { 22 }) {
            return format!("{{{}}}", self.way(vrf, random, false));
        }
        format!("{{ecmp: [{}]}}", self.paths(vrf, random))
    }

    /// A next-hop group, new or with other ways; mostly of one of which there is a route.
    fn hop_group(&mut self, random: &mut Random) -> Object {
        let name = random.pick(&HOP_GROUPS);
        let name = if random.chance(50) { name } else { self.hop_groups.first().copied().unwrap_or(name) };
        self.hop_groups.insert(name);
        self.hop_group_named(name, random)
    }

    fn hop_group_named(&self, name: &str, random: &mut Random) -> Object {
        let vrf = vrf_of_group(name);
        let paths = if vrf == "underlay" { self.gateways_of_group(random) } else { self.paths(vrf, random) };
        let hash = if vrf == "underlay" {
            ""
        } else {
            random.weighted(&[(50, ""), (30, ", hash: addresses"), (20, ", hash: addresses_and_protocol")])
        };
        object("next_hop_groups", format!("{{name: {name}, vrf: {vrf}, paths: [{paths}]{hash}}}"))
    }

    fn paths(&self, vrf: &str, random: &mut Random) -> String {
        let mut paths = Vec::new();
        for name in ["n1", "n2", "n3", "n4"] {
            if paths.is_empty() && name == "n4" || random.chance(60) {
                let mut path = self.way(vrf, random, true);
                if random.chance(85) {
                    path += &format!(", name: {name}");
                }
                if random.chance(40) {
                    path += &format!(", weight: {}", random.pick(&[1, 2, 10, 65_535]));
                }
                if !paths.is_empty() && random.chance(20) {
                    path += ", backup: true";
                }
                paths.push(format!("{{{path}}}"));
            }
        }
        paths.join(", ")
    }

    /// A next hop; of a path: a tunnel or a VIF.
    fn way(&self, vrf: &str, random: &mut Random, path: bool) -> String {
        let behind = if self.restless { 150 } else { 20 };
        let remote = random.weighted(&[
            (45, REMOTES[0]),
            (15, REMOTES[1]),
            (behind, REMOTES[2]),
            (12, REMOTES[3]),
            (8, REMOTES[4]),
        ]);
        let [.., last] = remote.octets();
        let remote = if self.fabric.over_v6(random) { six(remote).into() } else { IpAddr::from(remote) };
        let single = if path { 0 } else { 1 };
        match random.weighted(&[(22, 0), (36, 1), (20, 2), (10 * single, 3), (14, 4), (9 * single, 5)]) {
            0 if !self.vifs.is_empty() => {
                let vif = random.pick(&self.vifs).number;
                let other = if random.chance(20) { ", mac: \"02:00:00:00:0a:99\"" } else { "" };
                format!("vif: v{vif}{other}")
            }
            0 | 1 => {
                let vni = match vrf {
                    "red" => random.pick(&[100, 100, 101]),
                    "blue" => 200,
                    _ => 300,
                };
                let by = if random.chance(30) { "geneve" } else { "vxlan" };
                // to a station of a bridge there, which does not route
                if let Some(bridge) = self.bridges.of(vrf, random).filter(|_| random.chance(20)) {
                    return format!("{by}: {{remote: \"{remote}\", vni: {}, mac: \"02:00:00:00:0b:01\"}}", bridge.vni);
                }
                format!("{by}: {{remote: \"{remote}\", vni: {vni}, mac: \"02:0a:00:00:{last:02x}:01\"}}")
            }
            2 => format!("mpls_udp: {{remote: \"{remote}\", label: {}}}", random.pick(&LABELS)),
            4 => format!("mpls_gre: {{remote: \"{remote}\", label: {}}}", random.pick(&LABELS)),
            5 => format!("vrf: {}", random.pick(&TENANT_VRFS)),
            _ => "drop: true".into(),
        }
    }

    fn vni(&mut self, random: &mut Random) -> Object {
        let vni = random.pick(&VNIS);
        let vrf = match vni {
            100 | 101 if random.chance(80) => "red",
            200 if random.chance(80) => "blue",
            _ => random.pick(&TENANT_VRFS),
        };
        self.vnis.insert(vni, vrf);
        object("vnis", format!("{{vni: {vni}, vrf: {vrf}}}"))
    }

    fn label(&mut self, random: &mut Random) -> Object {
        let label = random.pick(&LABELS);
        if random.chance(30) && !self.vifs.is_empty() {
            let vif = random.pick(&self.vifs).number;
            self.labels.insert(label, Err(vif));
            return object("labels", format!("{{label: {label}, vif: v{vif}}}"));
        }
        let vrf = random.pick(&["red", "red", "blue", "green"]);
        self.labels.insert(label, Ok(vrf));
        object("labels", format!("{{label: {label}, vrf: {vrf}}}"))
    }

    /// Something changes.
    pub fn change(&mut self, random: &mut Random) -> Event {
        let count = if random.chance(80) { 1 } else { 2 + random.below(2) };
        let objects = (0..count).map(|_| self.changed(random)).collect();
        Event::Apply(Batch::Objects(unique(objects)))
    }

    fn changed(&mut self, random: &mut Random) -> Object {
        match random.weighted(&[
            (40, 0),
            (10, 1),
            (6, 2),
            (6, 3),
            (if self.quotas { 30 } else { 14 }, 4),
            (5, 5),
            (10, 6),
            (5, 7),
            (if self.quotas { 30 } else { 5 }, 8),
            (3, 9),
            (5, 10),
            (if self.bridges.there.is_empty() { 0 } else { 18 }, 11),
            (if self.hop_groups.is_empty() { 0 } else { 40 }, 12),
            (8, 13),
        ]) {
            0 => self.route(random),
            1 => {
                let name = random.pick(&TENANT_VRFS);
                if random.chance(15) && !self.flows_off.remove(name) {
                    self.flows_off.insert(name);
                }
                self.vrf(name, random, true)
            }
            2 => self.vni(random),
            3 => self.label(random),
            4 if random.chance(20) => {
                // a new one, or an old one that begins anew
                let number = 1 + random.below(6);
                self.vifs.retain(|vif| vif.number != number);
                let vif = self.new_vif(number, random, true);
                self.vifs.push(vif.clone());
                vif_object(&vif)
            }
            4 => self.changed_vif(random),
            5 => group(1 + random.below(2), random),
            6 => acl(1 + random.below(3), random, self.service()),
            7 => {
                let (_, address) = random.pick(&uplinks::near(self.second_uplink));
                let mut far = far_mac(address);
                far[5] ^= random.pick(&[0, 0, 0x80]);
                self.neighbour(address, far, self.fabric.v6 && random.chance(50))
            }
            9 => {
                let second = self.second_uplink && random.chance(30);
                self.fabric.changed(second, random)
            }
            10 => self.gateway_route(random),
            12 => self.hop_group(random),
            13 => self.session(random),
            11 => self.station(random).expect("there are bridges"),
            _ => {
                self.strict = random.chance(30);
                self.lifetimes = random.chance(50);
                self.settings(random)
            }
        }
    }

    fn changed_vif(&mut self, random: &mut Random) -> Object {
        let at = random.below(self.vifs.len());
        let mut vif = self.vifs[at].clone();
        if self.quotas && random.chance(50) {
            vif.quota = random.chance(75).then(|| quota(random));
        }
        match random.below(if self.bridges.there.is_empty() { 11 } else { 13 }) {
            11 | 12 => {
                let bridge = self.bridges.of(vif.vrf, random).map(|bridge| bridge.name);
                vif.bridge = bridge.filter(|_| random.chance(60));
                vif.leaf = random.chance(30);
            }
            7 | 9 if vif.advertises.is_some() && random.chance(80) => vif.advertises = None,
            7 | 9 | 10 => vif.advertises = Some(random.pick(&ADVERTISEMENTS)),
            8 => vif.gateway_v6 = !vif.gateway_v6,
            0 => vif.from = random.pick(&[None, Some("a1"), Some("a2")]),
            1 => vif.to = random.pick(&[None, Some("a2"), Some("a3")]),
            2 => vif.mtu = random.pick(&[None, Some(1280), Some(1350), Some(1499)]),
            3 if self.services && vif.number == SERVICE => vif.service = !vif.service,
            3 => vif.spoofing = !vif.spoofing,
            4 => vif.sources = random.pick(&[vec![], vec!["10.9.0.0/16"], vec!["fd09::/32", "10.1.1.20/30"]]),
            5 => vif.mac[3] ^= 1,
            _ => vif.v4 = Some(Ipv4Addr::new(10, 1, 1, 10 + random.below(4) as u8)),
        }
        self.vifs[at] = vif.clone();
        vif_object(&vif)
    }

    /// Something goes.
    pub fn delete(&mut self, random: &mut Random) -> Event {
        let stations = if self.bridges.there.is_empty() { 0 } else { 25 };
        let groups = if self.hop_groups.is_empty() { 0 } else { 12 };
        let sessions = if self.sessions.is_empty() { 0 } else { 8 };
        let weights = [(54, 0), (9, 1), (9, 2), (10, 3), (18, 4), (stations, 5), (groups, 6), (sessions, 7)];
        let (kind, key) = match random.weighted(&weights) {
            7 => {
                let all: Vec<_> = self.sessions.keys().cloned().collect();
                let name = all[random.below(all.len())].clone();
                self.sessions.remove(&name);
                ("bfd_session", name)
            }
            6 => {
                // refused while a route names it
                let name = random.pick(&HOP_GROUPS);
                ("next_hop_group", name.to_string())
            }
            5 => match self.bridges.deleted(random) {
                Some(gone) => gone,
                None => return Event::Wait(100),
            },
            0 => {
                let routes: Vec<_> = self.routes.iter().copied().collect();
                let Some(route) = routes.get(random.below(routes.len())) else { return Event::Wait(100) };
                self.routes.remove(route);
                ("route", format!("{} {} {}", route.0, route.1, route.2))
            }
            1 => ("vni", random.pick(&VNIS).to_string()),
            2 => ("label", random.pick(&LABELS).to_string()),
            3 => {
                let all: Vec<_> = self.neighbours.iter().copied().collect();
                let Some(one) = all.get(random.below(all.len())) else { return Event::Wait(100) };
                self.neighbours.remove(one);
                ("neighbour", format!("{} {}", one.0, one.1))
            }
            _ => {
                let number = random.pick(&self.vifs).number;
                if self.vifs.len() > 2 {
                    self.vifs.retain(|vif| vif.number != number);
                }
                ("vif", format!("v{number}"))
            }
        };
        Event::Delete { kind: kind.into(), key }
    }
}
