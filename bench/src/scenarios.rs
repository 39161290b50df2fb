//! What the whole pipeline is measured with: a network, the packets that enter it, and where.
//!
//! One host of a tenant `red` (port `tenant`) behind an uplink (port `fabric`); its far ends are reached by one tunnel. Flows are
//! one packet each; in the directions `encap` and `route` the tenant sends them, in `decap` its peers do.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::frames::{geneve, mpls_udp, udp, vxlan};
use crate::pipeline::Side;

const GUEST: [u8; 6] = [2, 0xaa, 0, 0, 0, 0x11];
const GATEWAY: [u8; 6] = [0, 0, 0x5e, 0, 1, 0];
const ROUTER: [u8; 6] = [2, 172, 31, 0, 1, 1];
const PEER: [u8; 6] = [2, 172, 31, 0, 2, 1];
/// MAC of the fabric's port, and of what answers there.
const FABRIC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const NEXT: [u8; 6] = [2, 0, 0, 0, 0, 0xee];
/// Our and the far end's outer address.
const VTEPS: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(172, 31, 0, 1), Ipv4Addr::new(172, 31, 0, 2));

/// How tenants' packets travel between hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    Vxlan,
    Geneve,
    MplsOverUdp,
}

/// Where packets enter and what becomes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the tenant into the tunnel.
    Encap,
    /// From the tunnel to the tenant.
    Decap,
    /// From one tenant's VIF to another.
    Route,
}

/// One measurement's set-up.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub direction: Direction,
    pub tunnel: Tunnel,
    /// Tenants' addresses.
    pub v6: bool,
    /// Rules of the ACL of what the tenant sends; the last permits all. 0: no ACL.
    pub rules: usize,
    /// False: packet mode.
    pub flows: bool,
    /// Every packet is of a flow that the table has not, and the table is full.
    pub new_flows: bool,
    /// A candidate of as many rules is tried.
    pub shadow: Option<Candidate>,
}

/// What a shadow would do to all packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// The same.
    Agrees,
    /// Deny them.
    Denies,
}

const STEADY: Scenario = Scenario {
    name: "",
    direction: Direction::Encap,
    tunnel: Tunnel::Vxlan,
    v6: false,
    rules: 1000,
    flows: true,
    new_flows: false,
    shadow: None,
};

/// Every scenario.
pub const ALL: &[Scenario] = &[
    Scenario { name: "vxlan-encap", ..STEADY },
    Scenario { name: "vxlan-decap", direction: Direction::Decap, ..STEADY },
    Scenario { name: "geneve-decap", tunnel: Tunnel::Geneve, direction: Direction::Decap, ..STEADY },
    Scenario { name: "mpls-udp-encap", tunnel: Tunnel::MplsOverUdp, ..STEADY },
    Scenario { name: "mpls-udp-decap", tunnel: Tunnel::MplsOverUdp, direction: Direction::Decap, ..STEADY },
    Scenario { name: "vxlan-encap-v6", v6: true, ..STEADY },
    Scenario { name: "vxlan-decap-v6", v6: true, direction: Direction::Decap, ..STEADY },
    Scenario { name: "route", direction: Direction::Route, ..STEADY },
    Scenario { name: "route-packet-mode", direction: Direction::Route, rules: 0, flows: false, ..STEADY },
    Scenario { name: "new-flows", new_flows: true, ..STEADY },
    Scenario { name: "new-flows-shadow", new_flows: true, shadow: Some(Candidate::Agrees), ..STEADY },
    Scenario { name: "new-flows-shadow-differs", new_flows: true, shadow: Some(Candidate::Denies), ..STEADY },
];

impl Scenario {
    /// The scenario of this name.
    pub fn named(name: &str) -> Option<Scenario> {
        ALL.iter().copied().find(|scenario| scenario.name == name)
    }

    /// Where its packets enter.
    pub fn side(&self) -> Side {
        if self.direction == Direction::Decap { Side::Fabric } else { Side::Tenant }
    }

    /// The network, in YAML: ports `tenant`, `fabric` and `second`.
    pub fn network(&self) -> String {
        let acl = if self.rules > 0 { ", acl_from_vif: web" } else { "" };
        let via = match self.tunnel {
            Tunnel::Vxlan => "vxlan: {remote: 172.31.0.2, vni: 100, mac: '02:ac:1f:00:02:01'}",
            Tunnel::Geneve => "geneve: {remote: 172.31.0.2, vni: 100, mac: '02:ac:1f:00:02:01'}",
            Tunnel::MplsOverUdp => "mpls_udp: {remote: 172.31.0.2, label: 100}",
        };
        let flows = self.flows;
        let mut text = format!(
            "settings: {{underlay_vrf: underlay, vtep: 172.31.0.1}}
vrfs: [{{name: underlay}}, {{name: red, flows: {flows}}}]
vifs:
  - {{name: uplink, kind: fabric, port: fabric, vrf: underlay, addresses: [172.31.0.1], subnets: [172.31.0.0/24]}}
  - {{name: guest, port: tenant, vrf: red, mac: '02:aa:00:00:00:11', addresses: [10.1.1.11, 'fd01::11'], gateway_v4: 10.1.1.1, gateway_v6: 'fd01::1', allowed_sources: [10.128.0.0/9, 'fd01:80::/32']{acl}}}
  - {{name: other, port: second, vrf: red, mac: '02:aa:00:00:00:12', addresses: [10.1.1.12, 'fd01::12'], gateway_v4: 10.1.1.1, gateway_v6: 'fd01::1'}}
vnis: [{{vni: 100, vrf: red}}]
labels: [{{label: 101, vrf: red}}]
routes:
  - {{vrf: red, prefix: 20.0.0.0/8, via: {{{via}}}}}
  - {{vrf: red, prefix: 'fd20::/32', via: {{{via}}}}}
  - {{vrf: red, prefix: 30.0.0.0/8, via: {{vif: other}}}}
  - {{vrf: red, prefix: 10.128.0.0/9, via: {{vif: guest}}}}
  - {{vrf: red, prefix: 'fd01:80::/32', via: {{vif: guest}}}}
"
        );
        if self.rules > 0 {
            text += &self.acl("tcp", "permit");
        }
        text
    }

    /// The ACL of what the tenant sends: all rules but the last are of this protocol.
    fn acl(&self, protocol: &str, last: &str) -> String {
        let mut text = "acls:\n  - name: web\n    rules:\n".to_owned();
        for rule in 1..self.rules {
            let (net, subnet) = (rule / 256, rule % 256);
            text += &format!("      - {{action: deny, protocol: {protocol}, destination: 20.{net}.{subnet}.0/24}}\n");
        }
        text + &format!("      - {{action: {last}}}\n")
    }

    /// The objects that are tried, if any are. No rule of theirs is one in force.
    pub fn candidate(&self) -> Option<String> {
        let last = match self.shadow? {
            Candidate::Agrees => "permit",
            Candidate::Denies => "deny",
        };
        Some(self.acl("sctp", last))
    }

    /// The packet of flow `n`, below 8 M: a frame of 60 bytes on the tenants' side, with IPv6 of 80.
    pub fn packet(&self, n: usize) -> Vec<u8> {
        let there = match self.direction {
            Direction::Route => Ipv4Addr::new(30, 0, 0, 1),
            _ => Ipv4Addr::new(20, 0, 0, 1),
        };
        let (guest, there): (IpAddr, IpAddr) = if self.v6 {
            let host = Ipv6Addr::new(0xfd01, 0x80, 0, 0, 0, 0, (n >> 16) as u16, n as u16);
            (host.into(), Ipv6Addr::new(0xfd20, 0, 0, 0, 0, 0, 0, 1).into())
        } else {
            (Ipv4Addr::from_bits(0x0a80_0000 + n as u32).into(), there.into())
        };
        if self.direction != Direction::Decap {
            return udp((GATEWAY, GUEST), (guest, there), (1024, 80), &[0; 18]);
        }
        let answer = udp((ROUTER, PEER), (there, guest), (80, 1024), &[0; 18]);
        let ends = (VTEPS.1, VTEPS.0);
        match self.tunnel {
            Tunnel::Vxlan => vxlan((FABRIC, NEXT), ends, 50_000, 100, &answer),
            Tunnel::Geneve => geneve((FABRIC, NEXT), ends, 50_000, 100, &answer),
            Tunnel::MplsOverUdp => mpls_udp((FABRIC, NEXT), ends, 50_000, 101, &answer[14..]),
        }
    }
}
