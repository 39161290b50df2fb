//! One change of a batch: read, checked against the objects as the batch has left them so far, and made.

mod acl;
mod bfd;
mod bridge;
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

pub(super) use learning::{Sighted, place_of, see};
pub(super) use neighbour::{forget, learn};
pub(super) use route::VIF_OWNER;

use super::limits::Open;
use super::refusal::{Reason, Refusal};
use super::state::State;
use crate::api::v1;
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
pub(super) fn make(state: &mut State, owner: &str, change: &v1::Change, open: &mut Open) -> Result<(), Refusal> {
    match &change.op {
        Some(Op::Create(object)) => write(state, owner, Mode::Create, object, open),
        Some(Op::Put(object)) => write(state, owner, Mode::Put, object, open),
        Some(Op::Delete(key)) => delete(state, owner, key),
        None => Err(Reason::NoObject.at("")),
    }?;
    state.within_limits().map_err(|reason| reason.at(""))
}

fn write(state: &mut State, owner: &str, mode: Mode, object: &v1::Object, open: &mut Open) -> Result<(), Refusal> {
    match &object.kind {
        Some(Kind::Settings(settings)) => settings::write(state, mode, settings),
        Some(Kind::Vrf(vrf)) => vrf::write(state, mode, vrf),
        Some(Kind::Vif(vif)) => vif::write(state, mode, vif),
        Some(Kind::Route(route)) => route::write(state, owner, mode, route),
        Some(Kind::Neighbour(neighbour)) => neighbour::write(state, mode, neighbour),
        Some(Kind::Vni(vni)) => decap::write_vni(state, mode, vni),
        Some(Kind::Label(label)) => decap::write_label(state, mode, label),
        Some(Kind::Acl(acl)) => acl::write(state, mode, acl),
        Some(Kind::Group(group)) => acl::write_group(state, mode, group),
        Some(Kind::Port(port)) => port::write(state, mode, port, open),
        Some(Kind::Bridge(bridge)) => bridge::write(state, mode, bridge),
        Some(Kind::FdbEntry(entry)) => bridge::write_entry(state, mode, entry),
        Some(Kind::NextHopGroup(group)) => hop_group::write(state, mode, group),
        Some(Kind::BfdSession(session)) => bfd::write(state, mode, session),
        None => Err(Reason::NoObject.at("")),
    }
}

fn delete(state: &mut State, owner: &str, key: &v1::ObjectKey) -> Result<(), Refusal> {
    match &key.kind {
        Some(Key::Vrf(name)) => vrf::delete(state, name),
        Some(Key::Vif(name)) => vif::delete(state, name),
        Some(Key::Route(key)) => route::delete(state, owner, key),
        Some(Key::Neighbour(key)) => neighbour::delete(state, key),
        Some(Key::Vni(vni)) => decap::delete_vni(state, *vni),
        Some(Key::Label(label)) => decap::delete_label(state, *label),
        Some(Key::Acl(name)) => acl::delete(state, name),
        Some(Key::Group(name)) => acl::delete_group(state, name),
        Some(Key::Port(name)) => port::delete(state, name),
        Some(Key::Bridge(name)) => bridge::delete(state, name),
        Some(Key::FdbEntry(key)) => bridge::delete_entry(state, key),
        Some(Key::NextHopGroup(name)) => hop_group::delete(state, name),
        Some(Key::BfdSession(name)) => bfd::delete(state, name),
        None => Err(Reason::NoObject.at("")),
    }
}
