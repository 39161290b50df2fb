//! Uplinks, gateways of which the underlay's routes have one or several, and links that come and go.

use std::net::{IpAddr, Ipv4Addr};

use super::case::{Batch, Event};
use super::objects::Object;
use super::random::Random;
use super::underlay6::six;
use super::world::{World, far_mac};

/// Gateways: two on the first uplink, two on the second.
const GATEWAYS: [[u8; 4]; 4] = [[10, 0, 0, 254], [10, 0, 0, 253], [10, 0, 1, 254], [10, 0, 1, 253]];
/// What is behind gateways: of IPv4, of IPv6.
const BEHIND: [(&str, &str); 4] = [
    ("192.0.2.0/24", "2001:db8:7::/48"),
    ("198.51.100.0/24", "2001:db8:99::/48"),
    ("192.0.0.0/16", "2001:db8::/32"),
    ("0.0.0.0/0", "::/0"),
];

/// Neighbours of the fabric that may be static, each as often as its percentage says.
pub fn near(second: bool) -> Vec<(usize, Ipv4Addr)> {
    let all = [
        (85, [10, 0, 0, 2]),
        (70, [10, 0, 0, 3]),
        (75, [10, 0, 0, 254]),
        (60, [10, 0, 0, 253]),
        (80, [10, 0, 1, 2]),
        (75, [10, 0, 1, 254]),
        (60, [10, 0, 1, 253]),
    ];
    all.into_iter().filter(|(_, address)| second || address[2] == 0).map(|(percent, at)| (percent, at.into())).collect()
}

fn gateway(gateway: [u8; 4], v6: bool) -> String {
    let address = if v6 { IpAddr::from(six(gateway.into())) } else { IpAddr::from(gateway) };
    format!("gateway: \"{address}\"")
}

impl World {
    /// The underlay's routes at the beginning.
    pub fn gateways(&self, random: &mut Random) -> Vec<Object> {
        let mut objects = vec![self.behind(0, false, random)];
        if self.fabric.v6 {
            objects.push(self.behind(0, true, random));
        }
        if random.chance(if self.restless { 50 } else { 20 }) {
            objects.push(self.gateway_route(random));
        }
        objects
    }

    /// A route of the underlay, stated anew.
    pub fn gateway_route(&self, random: &mut Random) -> Object {
        let far = random.weighted(&[(50, 0), (15, 1), (20, 2), (15, 3)]);
        self.behind(far, self.fabric.v6 && random.chance(50), random)
    }

    fn behind(&self, far: usize, v6: bool, random: &mut Random) -> Object {
        let gateways = self.gateways_there();
        let via = if !v6 && self.hop_groups.contains("hu") && random.chance(55) {
            "group: hu".into()
        } else if random.chance(if self.second_uplink { 25 } else { 70 }) {
            let any = random.pick(gateways);
            gateway(random.weighted(&[(70, gateways[0]), (30, any)]), v6)
        } else {
            format!("ecmp: [{}]", self.several(v6, random))
        };
        let prefix = if v6 { BEHIND[far].1 } else { BEHIND[far].0 };
        Object { section: "routes", text: format!("{{vrf: underlay, prefix: \"{prefix}\", via: {{{via}}}}}") }
    }

    /// The ways of a group of the underlay.
    pub fn gateways_of_group(&self, random: &mut Random) -> String {
        self.several(false, random)
    }

    fn gateways_there(&self) -> &'static [[u8; 4]] {
        &GATEWAYS[..if self.second_uplink { 4 } else { 2 }]
    }

    fn several(&self, v6: bool, random: &mut Random) -> String {
        let (gateways, mut ways) = (self.gateways_there(), Vec::new());
        for (at, &one) in gateways.iter().enumerate() {
            if random.chance(if self.restless { 85 } else { 65 }) || ways.is_empty() && at + 1 == gateways.len() {
                let weight = random.weighted(&[(70, ""), (15, ", weight: 3"), (15, ", weight: 65535")]);
                let name = if random.chance(30) { format!(", name: g{at}") } else { String::new() };
                let backup = if !ways.is_empty() && random.chance(15) { ", backup: true" } else { "" };
                ways.push(format!("{{{}{weight}{name}{backup}}}", gateway(one, v6)));
            }
        }
        ways.join(", ")
    }

    /// A link goes, or comes back; or a gateway does, where there is much of this.
    pub fn loss(&mut self, random: &mut Random) -> Event {
        if random.chance(45)
            && let Some(turned) = self.turn(random)
        {
            return turned;
        }
        if self.restless && random.chance(40) {
            let gateways = near(true).into_iter().filter(|(_, address)| address.octets()[3] > 250);
            let (_, gateway) = random.pick(&gateways.collect::<Vec<_>>());
            let v6 = self.fabric.v6 && random.chance(50);
            return match self.without_neighbour(gateway, v6) {
                Some(key) => Event::Delete { kind: "neighbour".into(), key },
                None => Event::Apply(Batch::Objects(vec![self.neighbour(gateway, far_mac(gateway), v6)])),
            };
        }
        let lost: Vec<usize> = self.without_link.iter().copied().collect();
        if !lost.is_empty() && random.chance(55) {
            let port = random.pick(&lost);
            self.without_link.remove(&port);
            return Event::Link { port, up: true };
        }
        let tenant = random.pick(&self.vifs).number;
        let second = if self.second_uplink { 35 } else { 0 };
        let port = random.weighted(&[(35, 0), (second, 7), (30, tenant)]);
        self.without_link.insert(port);
        Event::Link { port, up: false }
    }

    /// The uplink by which a tunnel's packet comes in: mostly that of its sender's subnet.
    pub fn arrives_by(&self, remote: Ipv4Addr, random: &mut Random) -> usize {
        let own = if remote.octets()[..3] == [10, 0, 1] { 7 } else { 0 };
        if self.second_uplink && random.chance(20) { 7 - own } else { own }
    }
}
