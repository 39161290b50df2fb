//! The network language: what `vrctl apply -f network.yaml` and the `state` section of the daemon's config are written in.
//! Objects are named, never numbered; fields are called as in the contract.

mod acls;
mod bfd;
mod bridges;
mod differ;
mod files;
mod from_proto;
mod hop_groups;
mod objects;
mod owned;
mod part;
mod projects;
mod quotas;
#[cfg(test)]
pub(crate) mod tests;
mod to_proto;

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use acls::{Acl, Action, AddressMatch, Group, Redirect, Rule};
pub use bfd::{BfdLive, BfdSession};
pub use bridges::{Bridge, FdbEntry, FrameVni, Vtep};
pub use differ::{differing, field_of};
pub use files::{Files, Stands};
pub use hop_groups::{HashFields, NextHopGroup};
pub use objects::{
    AdvertisedPrefix, HeaderModel, Label, Lifetimes, MplsTunnel, Neighbour, Port, Route, RouterAdvertisement, Settings,
    TunnelHeaders, Via, Vif, VifKind, Vni, VniTunnel, Vrf,
};
use owned::Owned;
pub use projects::{
    Chain, Encap, FrameNumbers, Host, Instance, Interface, Placed, Policy, Pool, Project, Side, Tag, VERSION,
    VirtualNetwork,
};
pub use quotas::{Alarm, Quota, TenantQuota};

use super::position::{At, Fault, FileError, Position, read_yaml};
use super::text::TextError;
use super::v1;

/// A network: objects by kind, and projects, which are expanded into such. Each list is optional; objects may refer to one another in any order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Of the language that the file is written in; default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<At<u32>>,
    /// What tenants want: expanded into the objects below.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<At<Project>>,
    /// The hosts of a site; without any, all interfaces are here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<At<Host>>,
    /// Which of `hosts` this is; default the one whose VTEP is that of `settings`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub this_host: Option<At<String>>,
    pub settings: Option<At<Settings>>,
    pub ports: Vec<At<Port>>,
    pub vrfs: Vec<At<Vrf>>,
    pub bridges: Vec<At<Bridge>>,
    pub vifs: Vec<At<Vif>>,
    pub next_hop_groups: Vec<At<NextHopGroup>>,
    pub routes: Vec<At<Route>>,
    pub neighbours: Vec<At<Neighbour>>,
    pub fdb: Vec<At<FdbEntry>>,
    pub vnis: Vec<At<Vni>>,
    pub labels: Vec<At<Label>>,
    pub groups: Vec<At<Group>>,
    pub acls: Vec<At<Acl>>,
    pub bfd_sessions: Vec<At<BfdSession>>,
}

impl Network {
    /// Reads a file's text; two objects of one key are refused. What single objects say is judged by [`Self::changes`]. `file` is for errors.
    pub fn parse(file: &str, text: &str) -> Result<Network, FileError> {
        let network: Network = read_yaml(file, text)?;
        network.check().map_err(|fault| fault.of_file(file))?;
        Ok(network)
    }

    /// Puts of all objects in the order of their references (what is referred to comes first), each with its place in the file; or what
    /// can be seen to be wrong without the daemon.
    pub fn changes(&self) -> Result<Vec<(v1::Change, Position)>, Fault> {
        if self.has_sections() {
            return self.expanded()?.changes();
        }
        self.check()?;
        let mut changes = Vec::with_capacity(self.routes.len() + 64);
        put(&mut changes, &self.ports)?;
        put(&mut changes, &self.groups)?;
        put(&mut changes, &self.acls)?;
        put(&mut changes, &self.vrfs)?;
        put(&mut changes, &self.bridges)?;
        put(&mut changes, &self.vifs)?;
        put(&mut changes, self.settings.as_slice())?;
        put(&mut changes, &self.neighbours)?;
        put(&mut changes, &self.bfd_sessions)?;
        put(&mut changes, &self.next_hop_groups)?;
        put(&mut changes, &self.routes)?;
        put(&mut changes, &self.fdb)?;
        put(&mut changes, &self.vnis)?;
        put(&mut changes, &self.labels)?;
        Ok(changes)
    }

    /// The plain objects of all that is said here.
    ///
    /// # Errors
    /// What is wrong with a project.
    pub fn expanded(&self) -> Result<Network, Fault> {
        let mut network = self.clone();
        projects::expand(std::slice::from_mut(&mut network)).map_err(|(_, fault)| fault)?;
        Ok(network)
    }

    /// Whether anything is said that is no plain object.
    fn has_sections(&self) -> bool {
        self.version.is_some() || self.this_host.is_some() || !self.projects.is_empty() || !self.hosts.is_empty()
    }

    /// Adds all objects of another one behind those that are here; settings stay if there are any.
    pub fn append(&mut self, more: Network) {
        self.settings = self.settings.take().or(more.settings);
        self.ports.extend(more.ports);
        self.vrfs.extend(more.vrfs);
        self.bridges.extend(more.bridges);
        self.vifs.extend(more.vifs);
        self.next_hop_groups.extend(more.next_hop_groups);
        self.routes.extend(more.routes);
        self.neighbours.extend(more.neighbours);
        self.fdb.extend(more.fdb);
        self.vnis.extend(more.vnis);
        self.labels.extend(more.labels);
        self.groups.extend(more.groups);
        self.acls.extend(more.acls);
        self.bfd_sessions.extend(more.bfd_sessions);
    }

    /// Refuses duplicate keys.
    pub fn check(&self) -> Result<(), Fault> {
        unique("port", &self.ports, |port| &port.name)?;
        unique("vrf", &self.vrfs, |vrf| &vrf.name)?;
        unique("bridge", &self.bridges, |bridge| &bridge.name)?;
        unique("vif", &self.vifs, |vif| &vif.name)?;
        unique("next_hop_group", &self.next_hop_groups, |group| &group.name)?;
        unique("bfd_session", &self.bfd_sessions, |session| &session.name)?;
        unique("group", &self.groups, |group| &group.name)?;
        unique("acl", &self.acls, |acl| &acl.name)?;
        unique("vni", &self.vnis, |vni| &vni.vni)?;
        unique("label", &self.labels, |label| &label.label)?;
        let mut seen = HashMap::with_capacity(self.routes.len());
        for route in &self.routes {
            if let Some(first) = seen.insert((&route.vrf, route.prefix, &route.owner), route.position) {
                let key = format!("route {} in vrf {}", route.prefix, route.vrf);
                return Err(duplicate(&key, first, route.position));
            }
        }
        let mut seen = HashMap::new();
        for entry in &self.fdb {
            if let Some(first) = seen.insert((&entry.bridge, entry.mac), entry.position) {
                return Err(duplicate(&format!("fdb {} {}", entry.bridge, entry.mac), first, entry.position));
            }
        }
        let mut seen = HashMap::new();
        for neighbour in &self.neighbours {
            if let Some(first) = seen.insert((&neighbour.vif, neighbour.address), neighbour.position) {
                let key = format!("neighbour {} of vif {}", neighbour.address, neighbour.vif);
                return Err(duplicate(&key, first, neighbour.position));
            }
        }
        Ok(())
    }

    /// Adds an object of the daemon.
    pub fn insert(&mut self, object: &v1::Object) -> Result<(), TextError> {
        use v1::object::Kind;
        match &object.kind {
            None => {}
            Some(Kind::Settings(settings)) => self.settings = Some(owned((&**settings).try_into()?, object)),
            Some(Kind::Vrf(vrf)) => self.vrfs.push(owned(vrf.try_into()?, object)),
            Some(Kind::Vif(vif)) => self.vifs.push(owned((&**vif).try_into()?, object)),
            Some(Kind::Route(route)) => self.routes.push(At::nowhere(route.try_into()?)),
            Some(Kind::Neighbour(neighbour)) => self.neighbours.push(owned(neighbour.try_into()?, object)),
            Some(Kind::Vni(vni)) => self.vnis.push(owned(vni.into(), object)),
            Some(Kind::Label(label)) => self.labels.push(owned(label.into(), object)),
            Some(Kind::Acl(acl)) => self.acls.push(owned(acl.try_into()?, object)),
            Some(Kind::Group(group)) => self.groups.push(owned(group.try_into()?, object)),
            Some(Kind::Bridge(bridge)) => self.bridges.push(owned((&**bridge).try_into()?, object)),
            Some(Kind::NextHopGroup(group)) => self.next_hop_groups.push(owned(group.try_into()?, object)),
            Some(Kind::BfdSession(session)) => self.bfd_sessions.push(owned((&**session).try_into()?, object)),
            Some(Kind::FdbEntry(entry)) => self.fdb.push(owned(entry.try_into()?, object)),
            Some(Kind::Port(port)) => self.ports.push(owned(port.try_into()?, object)),
        }
        Ok(())
    }

    /// The JSON schema of the language, which names its version.
    pub fn schema() -> schemars::Schema {
        let mut schema = schemars::schema_for!(Network);
        schema.insert("$id".to_owned(), format!("urn:vrouter:network:{VERSION}").into());
        schema
    }
}

/// An object of the language as the contract's.
pub trait ToProto {
    /// The object, or the field that is wrong and why.
    fn to_proto(&self) -> Result<v1::object::Kind, (String, String)>;
}

/// An object of the daemon, with its owner.
fn owned<T: Owned>(mut value: T, object: &v1::Object) -> At<T> {
    value.set_owner((!object.owner.is_empty()).then(|| object.owner.clone()));
    At::nowhere(value)
}

fn put<T: ToProto + Owned>(changes: &mut Vec<(v1::Change, Position)>, objects: &[At<T>]) -> Result<(), Fault> {
    for object in objects {
        let kind = object.to_proto().map_err(|(field, reason)| Fault::new(object.position, field, reason))?;
        let owner = object.owner().unwrap_or_default().to_owned();
        let op = v1::change::Op::Put(v1::Object { kind: Some(kind), owner });
        changes.push((v1::Change { op: Some(op) }, object.position));
    }
    Ok(())
}

fn unique<'a, T, K: Hash + Eq + Display + 'a>(
    kind: &str,
    all: &'a [At<T>],
    key: fn(&'a T) -> &'a K,
) -> Result<(), Fault> {
    let mut seen = HashMap::with_capacity(all.len());
    for one in all {
        if let Some(first) = seen.insert(key(one), one.position) {
            return Err(duplicate(&format!("{kind} {}", key(one)), first, one.position));
        }
    }
    Ok(())
}

fn duplicate(key: &str, first: Position, second: Position) -> Fault {
    Fault::new(second, key, format!("is already there, at line {} column {}", first.line, first.column))
}
