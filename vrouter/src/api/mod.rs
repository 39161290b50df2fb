//! The control socket's contract (the types generated from `proto/vrouter/v1/vrouter.proto`) and its human forms: addresses as
//! text, the YAML network language, the daemon's config file, and the records of its state directory.

mod changes;
pub mod config;
pub mod expect;
pub mod layout;
pub mod position;
mod scalar;
pub mod text;
pub mod yaml;

pub use changes::{Changes, Encap, Item, Iter, Other, PlainRoute, Tunnel, Verb};

/// Whose objects they are when a batch names nobody.
pub const OPERATOR: &str = "operator";

/// Package `vrouter.v1`.
pub mod v1 {
    #![allow(clippy::all, missing_docs)]
    pub use super::Changes;

    tonic::include_proto!("vrouter.v1");
}

impl v1::object::Kind {
    /// The key of an object; the settings have none, nor has a message without one.
    pub fn key(&self) -> Option<v1::object_key::Kind> {
        use v1::object::Kind;
        use v1::object_key::Kind as Key;

        Some(match self {
            Kind::Settings(_) => return None,
            Kind::Vrf(vrf) => Key::Vrf(vrf.name.clone()),
            Kind::Vif(vif) => Key::Vif(vif.name.clone()),
            Kind::Route(route) => Key::Route(route.key.clone()?),
            Kind::Neighbour(neighbour) => Key::Neighbour(neighbour.key.clone()?),
            Kind::Vni(vni) => Key::Vni(vni.vni),
            Kind::Label(label) => Key::Label(label.label),
            Kind::Acl(acl) => Key::Acl(acl.name.clone()),
            Kind::Group(group) => Key::Group(group.name.clone()),
            Kind::Port(port) => Key::Port(port.name.clone()),
            Kind::Bridge(bridge) => Key::Bridge(bridge.name.clone()),
            Kind::FdbEntry(entry) => Key::FdbEntry(entry.key.clone()?),
            Kind::NextHopGroup(group) => Key::NextHopGroup(group.name.clone()),
            Kind::BfdSession(session) => Key::BfdSession(session.name.clone()),
        })
    }

    /// Of which kind it is.
    pub fn of(&self) -> v1::Kind {
        use v1::object::Kind;
        match self {
            Kind::Settings(_) => v1::Kind::Settings,
            Kind::Vrf(_) => v1::Kind::Vrf,
            Kind::Vif(_) => v1::Kind::Vif,
            Kind::Route(_) => v1::Kind::Route,
            Kind::Neighbour(_) => v1::Kind::Neighbour,
            Kind::Vni(_) => v1::Kind::Vni,
            Kind::Label(_) => v1::Kind::Label,
            Kind::Acl(_) => v1::Kind::Acl,
            Kind::Group(_) => v1::Kind::Group,
            Kind::Port(_) => v1::Kind::Port,
            Kind::Bridge(_) => v1::Kind::Bridge,
            Kind::FdbEntry(_) => v1::Kind::FdbEntry,
            Kind::NextHopGroup(_) => v1::Kind::NextHopGroup,
            Kind::BfdSession(_) => v1::Kind::BfdSession,
        }
    }
}

impl From<v1::object::Kind> for v1::Object {
    /// An object of whoever's batch it is in.
    fn from(kind: v1::object::Kind) -> v1::Object {
        v1::Object { kind: Some(kind), owner: String::new() }
    }
}

/// Package `vrouter.state.v1`: the records of the state directory.
pub mod state {
    /// Version 1.
    pub mod v1 {
        #![allow(clippy::all, missing_docs)]
        tonic::include_proto!("vrouter.state.v1");
    }
}
