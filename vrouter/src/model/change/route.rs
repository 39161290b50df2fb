//! Routes of controllers.

use std::net::IpAddr;

use super::paths::{self, Way, Ways};
use super::{Mode, hop_group};
use crate::api::{Encap as Plain, PlainRoute, Verb, v1};
use crate::ids::VrfId;
use crate::model::records::{Encap, Hop, Prefix, Vrf};
use crate::model::refusal::{At, Reason, Refusal};
use crate::model::routes::Source;
use crate::model::state::State;
use crate::model::{describe, read};
use crate::tables::{Group, VifKind};
use v1::next_hop::Kind;

/// The owner of the routes that VIFs bring.
pub(in crate::model) const VIF_OWNER: &str = "vif";
/// A route's preference unless given.
const PREFERENCE: u32 = 100;

pub(super) fn write(state: &mut State, owner: &str, mode: Mode, given: &v1::Route) -> Result<(), Refusal> {
    let key = key(state, owner, given.key.as_ref().map(Key::of)).at("key")?;
    let wanted = wanted(key, |vrf, prefix| ways(state, vrf, prefix, given))?;
    put(state, mode, wanted, given.preference)
}

/// The same of a change that was not copied.
pub(super) fn make(state: &mut State, owner: &str, given: &PlainRoute) -> Result<(), Refusal> {
    let (vrf, (address, length), by) = (given.vrf(), given.prefix(), given.owner());
    let told = Some(Key { vrf, prefix: Some((address, length)), owner: by });
    let (mode, tunnel) = match (given.verb(), given.tunnel()) {
        (Verb::Create, Some(tunnel)) => (Mode::Create, tunnel),
        (Verb::Put, Some(tunnel)) => (Mode::Put, tunnel),
        _ => return withdraw(state, owner, told),
    };
    let key = key(state, owner, told).at("key")?;
    let wanted =
        wanted(key, |vrf, _| to_tunnel(state, vrf, tunnel.remote, &tunnel.encap).map(Ways::One).at("next_hop"))?;
    put(state, mode, wanted, given.preference())
}

/// A route of this VRF and owner, with its ways.
struct Wanted<'a> {
    vrf: VrfId,
    prefix: Prefix,
    owner: &'a str,
    ways: Ways,
}

fn wanted<'a>(
    (vrf, prefix, owner): (&Vrf, Prefix, &'a str),
    ways: impl FnOnce(&Vrf, Prefix) -> Result<Ways, Refusal>,
) -> Result<Wanted<'a>, Refusal> {
    if read::is_link_local(prefix) {
        return Err(Reason::LinkLocal.at("key.prefix"));
    }
    Ok(Wanted { vrf: vrf.id, prefix, owner, ways: ways(vrf, prefix)? })
}

fn put(state: &mut State, mode: Mode, wanted: Wanted, preference: u32) -> Result<(), Refusal> {
    let Wanted { vrf, prefix, owner, ways } = wanted;
    let preference = self::preference(preference);

    let used_up = Reason::NumbersUsedUp;
    let owner = state.owners.take(owner, |owner| owner.into()).ok_or(used_up).at("key.owner")?;
    let source = Source::Owner(owner);
    let old = offer(state, vrf, prefix, source);
    let written = mode.allows(old.is_some()).and_then(|()| {
        paths::with(state, vrf, &ways, |state, next_hop| {
            if old != Some((preference, next_hop)) {
                state.set_route(vrf, prefix, source, Some((preference, next_hop)));
            }
        })
    });
    state.owners.release(owner);
    written
}

/// A route's preference as it was given.
pub(super) fn preference(given: u32) -> u32 {
    if given == 0 { PREFERENCE } else { given }
}

/// The prefix of a change that was not copied.
pub(super) fn prefix_of(route: &PlainRoute) -> Option<Prefix> {
    let (address, length) = route.prefix();
    read::prefix_of(address, length).ok()
}

pub(super) fn delete(state: &mut State, owner: &str, given: &v1::RouteKey) -> Result<(), Refusal> {
    withdraw(state, owner, Some(Key::of(given)))
}

fn withdraw(state: &mut State, owner: &str, given: Option<Key>) -> Result<(), Refusal> {
    let (vrf, prefix, owner) = key(state, owner, given)?;
    let vrf = vrf.id;
    let source = state.owners.number(owner).map(Source::Owner).ok_or(Reason::NotThere).at("")?;
    offer(state, vrf, prefix, source).ok_or(Reason::NotThere).at("")?;
    state.set_route(vrf, prefix, source, None);
    Ok(())
}

fn offer(state: &State, vrf: VrfId, prefix: Prefix, source: Source) -> Option<(u32, crate::ids::NextHopId)> {
    let offers = state.offers(vrf, prefix).iter();
    offers.filter(|offer| offer.source == source).map(|offer| (offer.preference, offer.next_hop)).next()
}

// the VRF is lent: who shares it counts with an atomic operation, which waits for all stores before
fn key<'s, 'a>(
    state: &'s State,
    owner: &'a str,
    given: Option<Key<'a>>,
) -> Result<(&'s Vrf, Prefix, &'a str), Refusal> {
    let given = given.ok_or(Reason::Missing).at("")?;
    let vrf = state.vrf(given.vrf).at("vrf")?;
    let (address, length) = given.prefix.ok_or(Reason::Missing).at("").at("prefix")?;
    let prefix = read::prefix_of(address, length).at("prefix")?;
    let owner = if given.owner.is_empty() { owner } else { read::name(given.owner).at("owner")? };
    if owner == VIF_OWNER {
        return Err(Reason::OwnerReserved.at("owner"));
    }
    Ok((vrf, prefix, owner))
}

/// What tells a route from all others.
#[derive(Clone, Copy)]
struct Key<'a> {
    vrf: &'a str,
    /// Address and length.
    prefix: Option<(&'a [u8], u32)>,
    owner: &'a str,
}

impl<'a> Key<'a> {
    fn of(given: &'a v1::RouteKey) -> Key<'a> {
        let prefix = given.prefix.as_ref().map(|prefix| (&prefix.address[..], prefix.length));
        Key { vrf: &given.vrf, prefix, owner: &given.owner }
    }
}

/// The next hop, the paths or the group of a route.
fn ways(state: &State, vrf: &Vrf, prefix: Prefix, given: &v1::Route) -> Result<Ways, Refusal> {
    let v6 = prefix.address.is_ipv6();
    match (&given.next_hop, &given.paths[..], &*given.group) {
        (next_hop, [], "") => {
            let kind = next_hop.as_ref().and_then(|next_hop| next_hop.kind.as_ref());
            hop(state, vrf, v6, kind.ok_or(Reason::Missing).at("next_hop")?).map(Ways::One).at("next_hop")
        }
        (None, [], name) => hop_group::of_route(state, vrf, v6, name).map(Ways::One).at("group"),
        (None, paths, "") => several(state, vrf, Some(v6), paths).map(Ways::Several),
        (.., "") => Err(Reason::OneOrSeveral.at("paths")),
        _ => Err(Reason::OneOrSeveral.at("group")),
    }
}

/// Several ways, at least one; gateways of this family, or all of the first one's.
pub(super) fn several(state: &State, vrf: &Vrf, v6: Option<bool>, given: &[v1::Path]) -> Result<Vec<Way>, Refusal> {
    let mut family = v6;
    let several = read::each("paths", given, Group::MOST, |path| {
        let kind = path.next_hop.as_ref().and_then(|next_hop| next_hop.kind.as_ref());
        let kind = kind.ok_or(Reason::Missing).at("next_hop")?;
        if matches!(kind, Kind::Drop(_) | Kind::Vrf(_)) {
            return Err(Reason::NotAPath.at("next_hop"));
        }
        if let Kind::Gateway(gateway) = kind {
            family.get_or_insert(gateway.address.len() == 16);
        }
        let hop = hop(state, vrf, family.unwrap_or(false), kind).at("next_hop")?;
        let weight = read::number(path.weight, 0, paths::HEAVIEST).at("weight")?.max(1);
        let name =
            if path.name.is_empty() { describe::path(state, hop) } else { read::name(&path.name).at("name")?.into() };
        Ok(Way { name: name.into(), weight, backup: path.backup, hop })
    })?;
    if several.iter().all(|way| way.backup) {
        return Err(Reason::AllBackups.at("paths"));
    }
    let mut names = std::collections::BTreeSet::new();
    match several.iter().position(|way| !names.insert(way.name.clone())) {
        Some(twin) => Err(Reason::Twice.at(format!("paths[{twin}].name"))),
        None => Ok(several),
    }
}

fn hop(state: &State, vrf: &Vrf, v6: bool, given: &Kind) -> Result<Hop, Refusal> {
    match (given, fabric(state, vrf)) {
        (Kind::Drop(_), _) => Ok(Hop::Drop),
        (Kind::Gateway(via), _) => gateway(state, vrf.id, v6, &via.address).at("gateway.address"),
        (Kind::Vif(_), Some(reason)) => Err(reason.at("vif")),
        (Kind::Vrf(_), Some(reason)) => Err(reason.at("vrf")),
        (Kind::Vrf(name), None) => into_vrf(state, vrf, name).at("vrf"),
        (Kind::Vif(via), None) => to_vif(state, vrf, via).at("vif"),
        (Kind::Tunnel(tunnel), _) => {
            use v1::tunnel::Encap as Given;
            let encap = tunnel.encap.as_ref().map(|encap| match encap {
                Given::Vxlan(it) => Plain::Vxlan { vni: it.vni, inner_mac: &it.inner_mac },
                Given::Geneve(it) => Plain::Geneve { vni: it.vni, inner_mac: &it.inner_mac },
                Given::MplsOverUdp(mpls) => Plain::MplsOverUdp { label: mpls.label },
                Given::MplsOverGre(mpls) => Plain::MplsOverGre { label: mpls.label },
            });
            to_tunnel(state, vrf, &tunnel.remote, encap.as_ref())
        }
    }
}

/// Why routes of a VRF lead to no VIF, tunnel or other VRF.
fn fabric(state: &State, vrf: &Vrf) -> Option<Reason> {
    state.fabric_use(vrf.id).map(|why| Reason::FabricVrf { vrf: vrf.name.to_string(), why: why.into() })
}

fn gateway(state: &State, vrf: VrfId, v6: bool, given: &[u8]) -> Result<Hop, Reason> {
    let address = read::host(given)?;
    if v6 != address.is_ipv6() {
        return Err(Reason::Family);
    }
    if let Some((_, Hop::Receive)) = state.implicit_at(vrf, address, None) {
        return Err(Reason::Ours(address));
    }
    if read::is_link_local(Prefix::host(address)) {
        return Err(Reason::NotConnected(address));
    }
    state.connected(vrf, address).ok_or(Reason::NotConnected(address))?;
    Ok(Hop::Gateway(address))
}

fn into_vrf(state: &State, vrf: &Vrf, name: &str) -> Result<Hop, Reason> {
    let other = state.vrf(name)?;
    if other.id == vrf.id {
        return Err(Reason::IntoItself);
    }
    match state.fabric_use(other.id) {
        Some(why) => Err(Reason::FabricVrf { vrf: other.name.to_string(), why: why.into() }),
        None => Ok(Hop::Vrf(other.id)),
    }
}

fn to_vif(state: &State, vrf: &Vrf, given: &v1::next_hop::ViaVif) -> Result<Hop, Refusal> {
    let vif = state.vif(&given.vif).at("vif")?;
    if vif.kind != VifKind::Tenant {
        return Err(Reason::NotTenantVif(given.vif.clone()).at("vif"));
    }
    if !vrf.flows && vif.vrf != vrf.id {
        return Err(Reason::FlowsAreOff(vrf.name.to_string()).at("vif"));
    }
    Ok(Hop::Vif { vif: vif.id, mac: read::unless_empty(&given.mac, read::mac).at("mac")? })
}

/// The far end of a tunnel.
pub(super) fn remote(state: &State, given: &[u8]) -> Result<IpAddr, Reason> {
    let remote = read::host(given)?;
    if read::is_link_local(Prefix::host(remote)) {
        return Err(Reason::LinkLocal);
    }
    if remote.is_ipv6() && state.settings.vtep_v6.is_none() {
        return Err(Reason::NoVtepV6);
    }
    Ok(remote)
}

fn to_tunnel<'a>(
    state: &State,
    vrf: &Vrf,
    remote: &[u8],
    encap: impl Into<Option<&'a Plain<'a>>>,
) -> Result<Hop, Refusal> {
    match fabric(state, vrf) {
        Some(reason) => Err(reason.at("tunnel")),
        None => tunnel(state, remote, encap.into()).at("tunnel"),
    }
}

pub(super) fn tunnel(state: &State, remote: &[u8], encap: Option<&Plain>) -> Result<Hop, Refusal> {
    let remote = self::remote(state, remote).at("remote")?;
    let encap = match *encap.ok_or(Reason::Missing).at("encap")? {
        Plain::Vxlan { vni, inner_mac } => Encap::Vxlan {
            vni: read::vni(vni).at("vxlan.vni")?,
            inner_mac: read::mac(inner_mac).at("vxlan.inner_mac")?,
        },
        Plain::Geneve { vni, inner_mac } => Encap::Geneve {
            vni: read::vni(vni).at("geneve.vni")?,
            inner_mac: read::mac(inner_mac).at("geneve.inner_mac")?,
        },
        Plain::MplsOverUdp { label } => Encap::MplsOverUdp { label: read::label(label).at("mpls_over_udp.label")? },
        Plain::MplsOverGre { label } => Encap::MplsOverGre { label: read::label(label).at("mpls_over_gre.label")? },
    };
    Ok(Hop::Tunnel { remote, encap })
}
