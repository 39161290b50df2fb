//! One change of a batch: read, checked against the objects as the batch has left them so far, and made.

mod acl;
mod bfd;
mod bridge;
mod bulk;
mod decap;
mod hop_group;
mod learning;
mod neighbour;
mod paths;
mod port;
mod route;
mod router;
mod settings;
mod vif;
mod vrf;

pub(super) use bulk::Run;
pub(super) use learning::{Sighted, place_of, see};
pub(super) use neighbour::{forget, learn};
pub(super) use route::VIF_OWNER;

use super::limits::Open;
use super::owners::{Claim, Name};
use super::read;
use super::refusal::{At, Reason, Refusal};
use super::state::State;
use crate::api::{Item, v1};
use v1::change::Op;
use v1::object::Kind;
use v1::object_key::Kind as Key;

/// Whether what is there may be replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Create,
    Put,
}

impl Mode {
    fn allows(self, exists: bool) -> Result<(), Refusal> {
        if self == Mode::Create && exists { Err(Reason::Exists.at("")) } else { Ok(()) }
    }
}

/// Makes one change. After a refusal the state is half changed: the caller rolls back.
pub(super) fn make(state: &mut State, claim: Claim, item: &Item, open: &mut Open) -> Result<(), Refusal> {
    match item {
        Item::Route(route) => {
            route::make(state, claim.owner, route)?;
            return state.routes_within_limits().map_err(|reason| reason.at(""));
        }
        Item::Other(change) => match &change.op {
            Some(Op::Create(object)) => write(state, claim, Mode::Create, object, open),
            Some(Op::Put(object)) => write(state, claim, Mode::Put, object, open),
            Some(Op::Delete(key)) => delete(state, claim, key.kind.as_ref().ok_or(Reason::NoObject).at("")?),
            None => Err(Reason::NoObject.at("")),
        },
    }?;
    state.within_limits().map_err(|reason| reason.at(""))
}

/// An object is its owner's, who may be named in it, and nobody else's to change.
fn write(state: &mut State, claim: Claim, mode: Mode, object: &v1::Object, open: &mut Open) -> Result<(), Refusal> {
    let kind = object.kind.as_ref().ok_or(Reason::NoObject).at("")?;
    let owner = if object.owner.is_empty() { claim.owner } else { read::name(&object.owner).at("owner")? };
    let Some(name) = Name::of_object(state, kind) else { return write_kind(state, owner, mode, kind, open) };
    if owner == VIF_OWNER {
        return Err(Reason::OwnerReserved.at("owner"));
    }
    if mode == Mode::Put {
        state.check_owner(&name, Claim { owner, ..claim })?;
    }
    let port_was_there = matches!(kind, Kind::Port(port) if state.port_by_name.contains_key(port.name.as_str()));
    write_kind(state, owner, mode, kind, open)?;
    state.note_owner(name, owner, port_was_there)
}

fn write_kind(state: &mut State, owner: &str, mode: Mode, kind: &Kind, open: &mut Open) -> Result<(), Refusal> {
    match kind {
        Kind::Settings(settings) => settings::write(state, mode, settings),
        Kind::Vrf(vrf) => vrf::write(state, mode, vrf),
        Kind::Vif(vif) => vif::write(state, mode, vif),
        Kind::Route(route) => route::write(state, owner, mode, route),
        Kind::Neighbour(neighbour) => neighbour::write(state, mode, neighbour),
        Kind::Vni(vni) => decap::write_vni(state, mode, vni),
        Kind::Label(label) => decap::write_label(state, mode, label),
        Kind::Acl(acl) => acl::write(state, mode, acl),
        Kind::Group(group) => acl::write_group(state, mode, group),
        Kind::Port(port) => port::write(state, mode, port, open),
        Kind::Bridge(bridge) => bridge::write(state, mode, bridge),
        Kind::FdbEntry(entry) => bridge::write_entry(state, mode, entry),
        Kind::NextHopGroup(group) => hop_group::write(state, mode, group),
        Kind::BfdSession(session) => bfd::write(state, mode, session),
    }
}

/// Deletes what this owner may.
pub(super) fn delete(state: &mut State, claim: Claim, key: &Key) -> Result<(), Refusal> {
    let name = Name::of_key(state, key);
    if let Some(name) = &name {
        state.check_owner(name, claim)?;
    }
    delete_kind(state, claim.owner, key)?;
    if let Some(name) = name.filter(|name| state.owned.contains_key(name)) {
        state.set_owner(name, None);
    }
    Ok(())
}

fn delete_kind(state: &mut State, owner: &str, key: &Key) -> Result<(), Refusal> {
    match key {
        Key::Vrf(name) => vrf::delete(state, name),
        Key::Vif(name) => vif::delete(state, name),
        Key::Route(key) => route::delete(state, owner, key),
        Key::Neighbour(key) => neighbour::delete(state, key),
        Key::Vni(vni) => decap::delete_vni(state, *vni),
        Key::Label(label) => decap::delete_label(state, *label),
        Key::Acl(name) => acl::delete(state, name),
        Key::Group(name) => acl::delete_group(state, name),
        Key::Port(name) => port::delete(state, name),
        Key::Bridge(name) => bridge::delete(state, name),
        Key::FdbEntry(key) => bridge::delete_entry(state, key),
        Key::NextHopGroup(name) => hop_group::delete(state, name),
        Key::BfdSession(name) => bfd::delete(state, name),
    }
}
