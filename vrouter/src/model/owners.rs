//! Whose objects are: beside the objects themselves, so that another owner changes nothing that flows notice. Routes have their owner in
//! their key.

use std::net::IpAddr;
use std::sync::Arc;

use super::describe;
use super::journal::Undo;
use super::list;
use super::refusal::{At, Reason, Refusal};
use super::state::State;
use crate::api::{text, v1};
use crate::ids::{BridgeId, Label, Mac, VifId, Vni};
use v1::object::Kind;
use v1::object_key::Kind as Key;

/// What tells an object from all others, but for routes. In the order of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Name {
    Port(Arc<str>),
    Group(Arc<str>),
    Acl(Arc<str>),
    Vrf(Arc<str>),
    Bridge(Arc<str>),
    Vif(Arc<str>),
    Settings,
    Neighbour(VifId, IpAddr),
    HopGroup(Arc<str>),
    Bfd(Arc<str>),
    Fdb(BridgeId, Mac),
    Vni(Vni),
    Label(Label),
}

/// In whose name a change is made.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub owner: &'a str,
    /// What others own may be changed.
    pub take_over: bool,
}

impl Name {
    /// An object's; `None`: a route, or one whose key is malformed or names what is not there.
    pub fn of_object(state: &State, object: &Kind) -> Option<Name> {
        Some(match object {
            Kind::Settings(_) => Name::Settings,
            Kind::Vrf(vrf) => Name::Vrf(vrf.name.as_str().into()),
            Kind::Vif(vif) => Name::Vif(vif.name.as_str().into()),
            Kind::Route(_) => return None,
            Kind::Neighbour(neighbour) => Name::neighbour(state, neighbour.key.as_ref()?)?,
            Kind::Vni(vni) => Name::Vni(Vni(vni.vni)),
            Kind::Label(label) => Name::Label(Label(label.label)),
            Kind::Acl(acl) => Name::Acl(acl.name.as_str().into()),
            Kind::Group(group) => Name::Group(group.name.as_str().into()),
            Kind::Port(port) => Name::Port(port.name.as_str().into()),
            Kind::Bridge(bridge) => Name::Bridge(bridge.name.as_str().into()),
            Kind::FdbEntry(entry) => Name::station(state, entry.key.as_ref()?)?,
            Kind::NextHopGroup(group) => Name::HopGroup(group.name.as_str().into()),
            Kind::BfdSession(session) => Name::Bfd(session.name.as_str().into()),
        })
    }

    /// The same of a key.
    pub fn of_key(state: &State, key: &Key) -> Option<Name> {
        Some(match key {
            Key::Vrf(name) => Name::Vrf(name.as_str().into()),
            Key::Vif(name) => Name::Vif(name.as_str().into()),
            Key::Route(_) => return None,
            Key::Neighbour(key) => Name::neighbour(state, key)?,
            Key::Vni(vni) => Name::Vni(Vni(*vni)),
            Key::Label(label) => Name::Label(Label(*label)),
            Key::Acl(name) => Name::Acl(name.as_str().into()),
            Key::Group(name) => Name::Group(name.as_str().into()),
            Key::Port(name) => Name::Port(name.as_str().into()),
            Key::Bridge(name) => Name::Bridge(name.as_str().into()),
            Key::FdbEntry(key) => Name::station(state, key)?,
            Key::NextHopGroup(name) => Name::HopGroup(name.as_str().into()),
            Key::BfdSession(name) => Name::Bfd(name.as_str().into()),
        })
    }

    fn neighbour(state: &State, key: &v1::NeighbourKey) -> Option<Name> {
        Some(Name::Neighbour(state.vifs.get(key.vif.as_str())?.id, text::address(&key.address).ok()?))
    }

    fn station(state: &State, key: &v1::FdbKey) -> Option<Name> {
        let mac = Mac(<[u8; 6]>::try_from(&*key.mac).ok()?);
        Some(Name::Fdb(state.bridges.get(key.bridge.as_str())?.id, mac))
    }

    /// Its key; the settings have none.
    pub fn key(&self, state: &State) -> Option<Key> {
        Some(match self {
            Name::Port(name) => Key::Port(name.to_string()),
            Name::Group(name) => Key::Group(name.to_string()),
            Name::Acl(name) => Key::Acl(name.to_string()),
            Name::Vrf(name) => Key::Vrf(name.to_string()),
            Name::Bridge(name) => Key::Bridge(name.to_string()),
            Name::Vif(name) => Key::Vif(name.to_string()),
            Name::Settings => return None,
            Name::Neighbour(vif, address) => {
                Key::Neighbour(v1::NeighbourKey { vif: state.vif_name(*vif), address: list::address(*address) })
            }
            Name::HopGroup(name) => Key::NextHopGroup(name.to_string()),
            Name::Bfd(name) => Key::BfdSession(name.to_string()),
            Name::Fdb(bridge, mac) => Key::FdbEntry(list::fdb_key(state.bridge_name(*bridge), *mac)),
            Name::Vni(vni) => Key::Vni(vni.0),
            Name::Label(label) => Key::Label(label.0),
        })
    }

    pub fn kind(&self) -> v1::Kind {
        match self {
            Name::Port(_) => v1::Kind::Port,
            Name::Group(_) => v1::Kind::Group,
            Name::Acl(_) => v1::Kind::Acl,
            Name::Vrf(_) => v1::Kind::Vrf,
            Name::Bridge(_) => v1::Kind::Bridge,
            Name::Vif(_) => v1::Kind::Vif,
            Name::Settings => v1::Kind::Settings,
            Name::Neighbour(..) => v1::Kind::Neighbour,
            Name::HopGroup(_) => v1::Kind::NextHopGroup,
            Name::Bfd(_) => v1::Kind::BfdSession,
            Name::Fdb(..) => v1::Kind::FdbEntry,
            Name::Vni(_) => v1::Kind::Vni,
            Name::Label(_) => v1::Kind::Label,
        }
    }
}

impl State {
    /// Sets whose an object is; its owner gets a user more.
    pub fn set_owner(&mut self, name: Name, new: Option<u32>) {
        if let Some(new) = new {
            self.owners.retain(new);
        }
        let old = match new {
            Some(new) => self.owned.insert(name.clone(), new),
            None => self.owned.remove(&name),
        };
        if let Some(old) = old {
            self.owners.release(old);
        }
        self.journal.push(Undo::Owner(name, old));
    }

    /// Whose an object is; `None`: nobody's, or it is not there.
    pub fn owner_of(&self, name: &Name) -> Option<&Arc<str>> {
        self.owners.value(*self.owned.get(name)?)
    }

    /// Whose a listed object is, for the contract.
    pub fn owner_told(&self, object: &Kind) -> String {
        let learnt = match object {
            Kind::Neighbour(neighbour) => neighbour.learnt,
            Kind::FdbEntry(entry) => entry.learnt,
            _ => false,
        };
        let name = if learnt { None } else { Name::of_object(self, object) };
        name.and_then(|name| self.owner_of(&name)).map(|owner| owner.to_string()).unwrap_or_default()
    }

    /// That an owner may change an object.
    pub fn check_owner(&self, name: &Name, claim: Claim) -> Result<(), Refusal> {
        match self.owner_of(name) {
            Some(owner) if **owner != *claim.owner && !claim.take_over => {
                Err(Reason::OfOwner(owner.to_string())).at("owner")
            }
            _ => Ok(()),
        }
    }

    /// Notes who put an object that is there. A port that nobody owns was given at start, and stays so.
    pub fn note_owner(&mut self, name: Name, owner: &str, was_there: bool) -> Result<(), Refusal> {
        let old = self.owned.get(&name).copied();
        if old.is_none() && was_there && matches!(name, Name::Port(_)) {
            return Ok(());
        }
        let number = self.owners.take(owner, |owner| owner.into()).ok_or(Reason::NumbersUsedUp).at("owner")?;
        if old != Some(number) {
            self.set_owner(name, Some(number));
        }
        self.owners.release(number);
        Ok(())
    }
}

/// `vif web1`, and whose it is.
pub(super) fn described(state: &State, name: &Name) -> String {
    let Some(key) = name.key(state) else { return "settings".into() };
    let owner = state.owner_of(name).map(|owner| format!(" of {owner}")).unwrap_or_default();
    format!("{}{owner}", describe::key(&key, ""))
}
