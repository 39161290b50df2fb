//! Objects and next hops in words.

use std::net::IpAddr;

use super::records::{Encap, Hop, Path};
use super::refusal::shown;
use super::state::State;
use crate::api::v1;
use crate::ids::{Mac, NextHopId};
use crate::tables::Carrier;
use v1::change::Op;
use v1::object::Kind;
use v1::object_key::Kind as Key;

/// The object of a change as kind and key, e.g. `vif web1`; empty if it names none.
pub fn object(change: &v1::Change, owner: &str) -> String {
    match &change.op {
        Some(Op::Create(object) | Op::Put(object)) => match &object.kind {
            Some(Kind::Settings(_)) => "settings".into(),
            Some(Kind::Vrf(vrf)) => format!("vrf {}", shown(&vrf.name)),
            Some(Kind::Vif(vif)) => format!("vif {}", shown(&vif.name)),
            Some(Kind::Route(given)) => route(given.key.as_ref(), owner),
            Some(Kind::Neighbour(given)) => neighbour(given.key.as_ref()),
            Some(Kind::Vni(vni)) => format!("vni {}", vni.vni),
            Some(Kind::Label(label)) => format!("label {}", label.label),
            Some(Kind::Acl(acl)) => format!("acl {}", shown(&acl.name)),
            Some(Kind::Group(group)) => format!("group {}", shown(&group.name)),
            Some(Kind::Port(port)) => format!("port {}", shown(&port.name)),
            Some(Kind::Bridge(bridge)) => format!("bridge {}", shown(&bridge.name)),
            Some(Kind::FdbEntry(given)) => station(given.key.as_ref()),
            Some(Kind::NextHopGroup(group)) => format!("next-hop group {}", shown(&group.name)),
            Some(Kind::BfdSession(session)) => format!("bfd {}", shown(&session.name)),
            None => String::new(),
        },
        Some(Op::Delete(key)) => key.kind.as_ref().map(|key| self::key(key, owner)).unwrap_or_default(),
        None => String::new(),
    }
}

/// The same of a key.
pub(super) fn key(key: &Key, owner: &str) -> String {
    match key {
        Key::Vrf(name) => format!("vrf {}", shown(name)),
        Key::Vif(name) => format!("vif {}", shown(name)),
        Key::Route(key) => route(Some(key), owner),
        Key::Neighbour(key) => neighbour(Some(key)),
        Key::Vni(vni) => format!("vni {vni}"),
        Key::Label(label) => format!("label {label}"),
        Key::Acl(name) => format!("acl {}", shown(name)),
        Key::Group(name) => format!("group {}", shown(name)),
        Key::Port(name) => format!("port {}", shown(name)),
        Key::Bridge(name) => format!("bridge {}", shown(name)),
        Key::FdbEntry(key) => station(Some(key)),
        Key::NextHopGroup(name) => format!("next-hop group {}", shown(name)),
        Key::BfdSession(name) => format!("bfd {}", shown(name)),
    }
}

fn route(key: Option<&v1::RouteKey>, owner: &str) -> String {
    let Some(key) = key else { return "route".into() };
    let owner = if key.owner.is_empty() { owner } else { &key.owner };
    let prefix = key.prefix.as_ref().map(|prefix| format!("{}/{}", address(&prefix.address), prefix.length));
    format!("route {} {} of {}", shown(&key.vrf), prefix.unwrap_or_default(), shown(owner))
}

fn neighbour(key: Option<&v1::NeighbourKey>) -> String {
    let Some(key) = key else { return "neighbour".into() };
    format!("neighbour {} {}", shown(&key.vif), address(&key.address))
}

fn station(key: Option<&v1::FdbKey>) -> String {
    let Some(key) = key else { return "fdb".into() };
    let mac = <[u8; 6]>::try_from(&*key.mac).map(|mac| Mac(mac).to_string());
    format!("fdb {} {}", shown(&key.bridge), mac.unwrap_or_else(|_| address(&key.mac)))
}

/// An address of 4 or 16 bytes, or whatever bytes there are (at most 16 of them).
fn address(bytes: &[u8]) -> String {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return IpAddr::from(v4).to_string();
    }
    if let Ok(v6) = <[u8; 16]>::try_from(bytes) {
        return IpAddr::from(v6).to_string();
    }
    format!("{:02x?}", &bytes[..bytes.len().min(16)])
}

/// A next hop, e.g. `vxlan 10.0.0.2 vni 100`.
pub(super) fn next_hop(state: &State, id: NextHopId) -> String {
    match state.hop(id) {
        None => format!("next hop {id} (gone)"),
        Some((_, hop)) => self::hop(state, hop),
    }
}

/// The name of a path that was given none: all that makes it what it is. No name that is given has spaces.
pub(super) fn path(state: &State, hop: Hop) -> String {
    match hop {
        Hop::Tunnel { encap: Encap::Vxlan { inner_mac, .. } | Encap::Geneve { inner_mac, .. }, .. } => {
            format!("{} mac {inner_mac}", self::hop(state, hop))
        }
        hop => self::hop(state, hop),
    }
}

fn hop(state: &State, hop: Hop) -> String {
    match hop {
        Hop::Drop => "drop".into(),
        Hop::Receive => "receive".into(),
        Hop::Vif { vif, mac: None } => format!("vif {}", state.vif_name(vif)),
        Hop::Vif { vif, mac: Some(mac) } => format!("vif {} mac {mac}", state.vif_name(vif)),
        Hop::Bridged(vif) => format!("bridged to vif {}", state.vif_name(vif)),
        Hop::Gateway(address) => format!("gateway {address}"),
        Hop::Named(_) => {
            let name = state.hop_group(hop).map(|group| group.name.to_string());
            format!("group {} of {}", name.unwrap_or_default(), several(state, hop))
        }
        Hop::Paths(_) => several(state, hop),
        Hop::Vrf(vrf) => format!("vrf {}", state.vrf_name(vrf)),
        Hop::Connected(vif) => format!("connected {}", state.vif_name(vif)),
        Hop::Neighbour(vif, address) => format!("neighbour {address} on {}", state.vif_name(vif)),
        Hop::Tunnel { remote, encap: Encap::Frames { carrier, leaf } } => {
            let of = if leaf { " of a leaf" } else { "" };
            let by = match carrier {
                Carrier::Vxlan(vni) => format!("vxlan {remote} vni {vni}"),
                Carrier::Geneve(vni) => format!("geneve {remote} vni {vni}"),
                Carrier::MplsOverUdp(label) => format!("mpls {remote} label {label}"),
                Carrier::MplsOverGre(label) => format!("mpls-gre {remote} label {label}"),
            };
            format!("frames by {by}{of}")
        }
        Hop::Tunnel { remote, encap: Encap::Vxlan { vni, .. } } => format!("vxlan {remote} vni {vni}"),
        Hop::Tunnel { remote, encap: Encap::Geneve { vni, .. } } => format!("geneve {remote} vni {vni}"),
        Hop::Tunnel { remote, encap: Encap::MplsOverUdp { label } } => format!("mpls {remote} label {label}"),
        Hop::Tunnel { remote, encap: Encap::MplsOverGre { label } } => format!("mpls-gre {remote} label {label}"),
    }
}

/// Several ways.
fn several(state: &State, hop: Hop) -> String {
    let backup = |path: &Path| if path.backup { " backup" } else { "" };
    let path = |path: &Path| format!("{} x{}{}", state.path_name(path), path.weight, backup(path));
    let ways = state.several(hop).unwrap_or_default();
    format!("ecmp {}", ways.iter().map(path).collect::<Vec<_>>().join(", "))
}
