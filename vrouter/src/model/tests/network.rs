//! A small network as a controller would write it, to start tests from.

use crate::api::v1;
use crate::ids::Mac;
use crate::model::{Limits, Model, PortInfo};
use v1::change::Op;
use v1::object::Kind;
use v1::object_key::Kind as Key;

pub(crate) const PEER_MAC: [u8; 6] = [2, 10, 0, 0, 2, 1];

pub(crate) fn ports() -> Vec<PortInfo> {
    let port = |at: u8| PortInfo {
        name: format!("p{at}"),
        devargs: format!("net_null{at}"),
        mac: Mac([0x52, 0, 0, 0, 0, at]),
        mtu: 1500,
        queues: 1,
    };
    (0..8).map(port).collect()
}

pub(crate) fn create(kind: Kind) -> v1::Change {
    v1::Change { op: Some(Op::Create(v1::Object::from(kind))) }
}

pub(crate) fn put(kind: Kind) -> v1::Change {
    v1::Change { op: Some(Op::Put(v1::Object::from(kind))) }
}

pub(crate) fn delete(key: Key) -> v1::Change {
    v1::Change { op: Some(Op::Delete(v1::ObjectKey { kind: Some(key) })) }
}

/// `10.0.0.0/8`, unchecked.
pub(crate) fn prefix(text: &str) -> v1::Prefix {
    let (address, length) = text.split_once('/').unwrap();
    v1::Prefix { address: ip(address), length: length.parse().unwrap() }
}

pub(crate) fn ip(text: &str) -> Vec<u8> {
    match text.parse().unwrap() {
        std::net::IpAddr::V4(address) => address.octets().into(),
        std::net::IpAddr::V6(address) => address.octets().into(),
    }
}

pub(crate) fn vrf(name: &str) -> v1::Vrf {
    v1::Vrf { name: name.into(), ..Default::default() }
}

/// A tenant VIF on port `p<at>` with guest MAC 02:..:at.
pub(crate) fn vif(name: &str, at: u8, vrf: &str, addresses: &[&str]) -> v1::Vif {
    v1::Vif {
        name: name.into(),
        port: format!("p{at}"),
        vrf: vrf.into(),
        mac: vec![2, 0, 0, 0, 0, at],
        addresses: addresses.iter().map(|address| ip(address)).collect(),
        gateway_v4: ip("192.168.0.1"),
        ..Default::default()
    }
}

/// The fabric VIF of the network: 10.0.0.1/24 on p0.
pub(crate) fn uplink() -> v1::Vif {
    v1::Vif {
        name: "up0".into(),
        kind: v1::VifKind::VifFabric.into(),
        port: "p0".into(),
        vrf: "underlay".into(),
        addresses: vec![ip("10.0.0.1")],
        subnets: vec![prefix("10.0.0.0/24")],
        ..Default::default()
    }
}

pub(crate) fn settings() -> v1::Settings {
    v1::Settings { underlay_vrf: "underlay".into(), vtep: ip("10.0.0.1"), ..Default::default() }
}

pub(crate) fn route_key(vrf: &str, of: &str, owner: &str) -> v1::RouteKey {
    v1::RouteKey { vrf: vrf.into(), prefix: Some(prefix(of)), owner: owner.into() }
}

pub(crate) fn route(vrf: &str, of: &str, next_hop: v1::next_hop::Kind) -> v1::Route {
    let next_hop = Some(v1::NextHop { kind: Some(next_hop) });
    v1::Route { key: Some(route_key(vrf, of, "")), next_hop, ..Default::default() }
}

/// A route by several ways: weight, name, next hop.
pub(crate) fn route_by(vrf: &str, of: &str, paths: Vec<(u32, &str, v1::next_hop::Kind)>) -> v1::Route {
    v1::Route { key: Some(route_key(vrf, of, "")), paths: self::paths(paths), ..Default::default() }
}

/// A route by the ways of a group.
pub(crate) fn route_to_group(vrf: &str, of: &str, group: &str) -> v1::Route {
    v1::Route { key: Some(route_key(vrf, of, "")), group: group.into(), ..Default::default() }
}

/// Of so many ways: weight, name, next hop.
pub(crate) fn hop_group(name: &str, vrf: &str, paths: Vec<(u32, &str, v1::next_hop::Kind)>) -> v1::NextHopGroup {
    v1::NextHopGroup { name: name.into(), vrf: vrf.into(), paths: self::paths(paths), hash: 0 }
}

fn paths(paths: Vec<(u32, &str, v1::next_hop::Kind)>) -> Vec<v1::Path> {
    let path = |(weight, name, kind): (u32, &str, _)| {
        let next_hop = Some(v1::NextHop { kind: Some(kind) });
        v1::Path { next_hop, weight, name: name.into(), backup: false }
    };
    paths.into_iter().map(path).collect()
}

pub(crate) fn vxlan(remote: &str, vni: u32) -> v1::next_hop::Kind {
    let encap = v1::tunnel::Encap::Vxlan(v1::tunnel::Vxlan { vni, inner_mac: PEER_MAC.into() });
    v1::next_hop::Kind::Tunnel(v1::Tunnel { remote: ip(remote), encap: Some(encap) })
}

pub(crate) fn mpls(remote: &str, label: u32) -> v1::next_hop::Kind {
    let encap = v1::tunnel::Encap::MplsOverUdp(v1::tunnel::MplsOverUdp { label });
    v1::next_hop::Kind::Tunnel(v1::Tunnel { remote: ip(remote), encap: Some(encap) })
}

pub(crate) fn via_vif(vif: &str) -> v1::next_hop::Kind {
    v1::next_hop::Kind::Vif(v1::next_hop::ViaVif { vif: vif.into(), mac: Vec::new() })
}

pub(crate) fn gateway(address: &str) -> v1::next_hop::Kind {
    v1::next_hop::Kind::Gateway(v1::next_hop::ViaGateway { address: ip(address) })
}

pub(crate) fn via_vrf(vrf: &str) -> v1::next_hop::Kind {
    v1::next_hop::Kind::Vrf(vrf.into())
}

pub(crate) fn discard() -> v1::next_hop::Kind {
    v1::next_hop::Kind::Drop(v1::next_hop::Drop {})
}

pub(crate) fn neighbour(vif: &str, address: &str, mac: [u8; 6]) -> v1::Neighbour {
    let key = Some(v1::NeighbourKey { vif: vif.into(), address: ip(address) });
    v1::Neighbour { key, mac: mac.into(), ..Default::default() }
}

pub(crate) fn label(label: u32, target: v1::mpls_label::Target) -> v1::MplsLabel {
    v1::MplsLabel { label, target: Some(target) }
}

/// Permits TCP port 80 from group `clients`.
pub(crate) fn web_acl() -> v1::Acl {
    let from = v1::AddressMatch { by: Some(v1::address_match::By::Group("clients".into())) };
    let rule = v1::Rule {
        name: "http".into(),
        permit: true,
        protocol: Some(6),
        source: Some(from),
        destination_ports: vec![v1::PortRange { first: 80, last: 80 }],
        ..Default::default()
    };
    v1::Acl { name: "web".into(), rules: vec![rule] }
}

pub(crate) fn group(prefixes: &[&str]) -> v1::AddressGroup {
    v1::AddressGroup { name: "clients".into(), prefixes: prefixes.iter().map(|text| prefix(text)).collect() }
}

/// Underlay, red and blue with the same addresses, routes over both kinds of tunnel.
pub(crate) fn changes() -> Vec<v1::Change> {
    use v1::mpls_label::Target;
    vec![
        create(Kind::Group(group(&["192.168.0.0/24"]))),
        create(Kind::Acl(web_acl())),
        create(Kind::Vrf(vrf("underlay"))),
        create(Kind::Vrf(vrf("red"))),
        create(Kind::Vrf(vrf("blue"))),
        create(Kind::Vif(Box::new(uplink()))),
        create(Kind::Settings(Box::new(settings()))),
        create(Kind::Vif(Box::new(v1::Vif { acl_to_vif: "web".into(), ..vif("red1", 1, "red", &["192.168.0.11"]) }))),
        create(Kind::Vif(Box::new(vif("blue1", 2, "blue", &["192.168.0.11", "fd00::11"])))),
        create(Kind::Vni(v1::Vni { vni: 100, vrf: "red".into(), ..v1::Vni::default() })),
        create(Kind::Label(label(1000, Target::Vrf("blue".into())))),
        create(Kind::Label(label(1001, Target::Vif("red1".into())))),
        create(Kind::Route(route("red", "192.168.0.12/32", vxlan("10.0.0.2", 100)))),
        create(Kind::Route(route("red", "0.0.0.0/0", discard()))),
        create(Kind::Route(route("blue", "192.168.0.12/32", mpls("10.0.0.2", 2000)))),
        create(Kind::Route(route("blue", "fd00:1::/64", vxlan("10.1.0.2", 200)))),
        create(Kind::Route(route("underlay", "10.1.0.0/16", gateway("10.0.0.254")))),
    ]
}

pub(crate) fn model() -> Model {
    let mut model = Model::new(Limits::default(), ports());
    model.apply("", &changes()).unwrap();
    model
}
