//! BFD sessions.

use std::net::IpAddr;
use std::sync::Arc;

use super::Mode;
use crate::api::v1;
use crate::ids::VrfId;
use crate::model::read;
use crate::model::records::Bfd;
use crate::model::refusal::{At, Reason, Refusal};
use crate::model::state::State;
use crate::tables::{BfdStand, Watched};

/// Intervals in milliseconds, and how many packets may be lost, unless given (as other routers have them).
const INTERVAL: u32 = 300;
const MULTIPLIER: u32 = 3;
/// The TTL of who is on the link, and the least of who is farther away, unless given.
const ON_LINK: u8 = 255;
const MULTIHOP: u32 = 254;

pub(super) fn write(state: &mut State, mode: Mode, given: &v1::BfdSession) -> Result<(), Refusal> {
    let name = read::name(&given.name).at("name")?;
    let old = state.bfd.get(name).cloned();
    mode.allows(old.is_some())?;
    let vrf = state.vrf(&given.vrf).at("vrf")?.id;
    let watched = Watched { vrf, remote: read::host(&given.remote).at("remote")?, multihop: given.multihop };
    let local = read::unless_empty(&given.local, read::host).at("local")?;
    if let Some(old) = &old {
        fixed(old, &watched, local)?;
    } else {
        check(state, &watched, local)?;
    }
    let interval = |ms: Option<u32>| read::number(ms.unwrap_or(INTERVAL), 10, 60_000);
    let min_ttl = match given.min_ttl {
        0 if given.multihop => MULTIHOP as u8,
        0 => ON_LINK,
        _ if !given.multihop => return Err(Reason::MultihopOnly.at("min_ttl")),
        ttl => read::number(ttl, 1, 255).at("min_ttl")? as u8,
    };
    let id = if let Some(old) = &old { old.id } else { state.number_bfd(&given.name).at("")? };
    let session = Bfd {
        id,
        name: name.into(),
        watched,
        local,
        least_ttl: min_ttl,
        min_tx: interval(given.min_tx).at("min_tx")?,
        min_rx: interval(given.min_rx).at("min_rx")?,
        multiplier: read::number(given.multiplier.unwrap_or(MULTIPLIER), 1, 255).at("multiplier")? as u8,
        admin_down: given.admin_down,
        stand: old.as_ref().map_or(BfdStand::default(), |old| old.stand),
    };
    if old.is_none_or(|old| *old != session) {
        state.set_bfd(session.name.clone(), Some(Arc::new(session)));
    }
    Ok(())
}

pub(super) fn delete(state: &mut State, name: &str) -> Result<(), Refusal> {
    let session = state.bfd.get(name).ok_or(Reason::NotThere).at("")?.clone();
    state.set_bfd(session.name.clone(), None);
    Ok(())
}

fn fixed(old: &Bfd, watched: &Watched, local: Option<IpAddr>) -> Result<(), Refusal> {
    let was = old.watched;
    let same = [
        ("vrf", was.vrf == watched.vrf),
        ("remote", was.remote == watched.remote),
        ("multihop", was.multihop == watched.multihop),
        ("local", old.local == local),
    ];
    match same.into_iter().find(|(_, same)| !same) {
        Some((field, _)) => Err(Reason::Fixed.at(field)),
        None => Ok(()),
    }
}

/// That the sessions of a VRF still have ends.
pub(super) fn check_ends(state: &State, vrf: VrfId) -> Result<(), Reason> {
    let mut sessions = state.bfd.values().filter(|session| session.watched.vrf == vrf);
    match sessions.find(|session| ends(state, &session.watched, session.local).is_err()) {
        Some(session) => Err(Reason::InUse(format!("BFD session {}", session.name))),
        None => Ok(()),
    }
}

fn check(state: &State, watched: &Watched, local: Option<IpAddr>) -> Result<(), Refusal> {
    ends(state, watched, local)?;
    match state.bfd_by_watched.get(watched) {
        Some(other) => Err(Reason::Watched { remote: watched.remote, session: other.name.to_string() }.at("remote")),
        None => Ok(()),
    }
}

fn ends(state: &State, watched: &Watched, local: Option<IpAddr>) -> Result<(), Refusal> {
    let &Watched { vrf, remote, multihop } = watched;
    if state.is_own(vrf, remote) {
        return Err(Reason::Ours(remote).at("remote"));
    }
    if !multihop && state.connected(vrf, remote).is_none() {
        return Err(Reason::NotConnected(remote).at("remote"));
    }
    match local {
        Some(local) if local.is_ipv4() != remote.is_ipv4() => Err(Reason::Family.at("local")),
        Some(local) if !state.is_own(vrf, local) => Err(Reason::NotOurs(local).at("local")),
        None if state.bfd_end(watched, None).is_none() => Err(Reason::Missing.at("local")),
        _ => Ok(()),
    }
}
