//! Who refers to an object: looked for, as only refusals and replacements ask.

use std::sync::Arc;

use crate::api::v1;
use crate::ids::{NextHopId, VrfId};
use crate::model::list;
use crate::model::owners::{Name, described};
use crate::model::records::{Hop, LabelTarget, Prefix};
use crate::model::routes::Source;
use crate::model::state::State;
use v1::Kind as Of;
use v1::object::Kind;

/// The first object that refers to this one, for people: kind, key and owner.
pub(super) fn first(state: &State, to: &Name) -> Option<String> {
    let kinds = [Of::Settings, Of::Acl, Of::Vrf, Of::Bridge, Of::Vif, Of::Neighbour, Of::NextHopGroup, Of::BfdSession];
    for kind in kinds.into_iter().chain([Of::FdbEntry, Of::Vni, Of::Label]) {
        let objects = list::list(state, kind, "", |_, _| 0).into_iter().filter_map(|object| object.kind);
        if let Some(object) = objects.filter(|object| refers(object, to)).find_map(|o| Name::of_object(state, &o)) {
            return Some(described(state, &object));
        }
    }
    let routes = state.routes.iter().flat_map(|(vrf, table)| table.iter().map(move |(prefix, of)| (*vrf, prefix, of)));
    let led = routes.flat_map(|(vrf, prefix, offers)| offers.iter().map(move |offer| (vrf, prefix, offer)));
    let owned = led.filter(|(.., offer)| matches!(offer.source, Source::Owner(_)));
    let (vrf, prefix, offer) =
        owned.filter(|(vrf, _, offer)| leads(state, *vrf, offer.next_hop, to)).min_by_key(|led| (led.0, led.1))?;
    Some(format!("route {} {prefix} of {}", state.vrf_name(vrf), list::owner(state, offer.source)))
}

/// The routes of this owner that lead to any of these.
pub(super) fn routes(state: &State, owner: u32, to: &[Name]) -> Vec<(VrfId, Prefix)> {
    if !to.iter().any(|name| matches!(name, Name::Vif(_) | Name::HopGroup(_))) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (&vrf, table) in &state.routes {
        let of_owner = |offers: &[crate::model::routes::Offer]| {
            let offer = offers.iter().find(|offer| offer.source == Source::Owner(owner));
            offer.is_some_and(|offer| to.iter().any(|name| leads(state, vrf, offer.next_hop, name)))
        };
        found.extend(table.iter().filter(|(_, offers)| of_owner(offers)).map(|(prefix, _)| (vrf, prefix)));
    }
    found
}

/// What else of this owner refers to any of these and is referred to by nothing.
pub(super) fn leaves(state: &State, owner: u32, to: &[Name]) -> Vec<Name> {
    let vif = |id| {
        to.iter().any(|name| matches!(name, Name::Vif(vif) if state.vifs.get(vif).is_some_and(|vif| vif.id == id)))
    };
    let leaf = |name: &Name| match name {
        Name::Neighbour(of, _) => vif(*of),
        Name::Fdb(bridge, mac) => state.fdb.get(&(*bridge, *mac)).and_then(|entry| entry.vif).is_some_and(vif),
        Name::Label(label) => matches!(state.labels.get(label), Some(LabelTarget::Vif(of, _)) if vif(*of)),
        _ => false,
    };
    state.owned.iter().filter(|&(name, of)| *of == owner && leaf(name)).map(|(name, _)| name.clone()).collect()
}

fn leads(state: &State, vrf: VrfId, next_hop: NextHopId, to: &Name) -> bool {
    let Some((_, hop)) = state.hop(next_hop) else { return false };
    let by_path = |to: &Name| {
        let ways = if matches!(hop, Hop::Paths(_)) { state.several(hop) } else { None };
        ways.is_some_and(|ways| ways.iter().any(|path| leads(state, vrf, path.next_hop, to)))
    };
    let is_vrf = |name: &Arc<str>, id| state.vrfs.get(name).is_some_and(|vrf| vrf.id == id);
    match to {
        Name::Vif(name) => {
            matches!(hop, Hop::Vif { vif, .. } if state.vifs.get(name).is_some_and(|of| of.id == vif)) || by_path(to)
        }
        Name::Vrf(name) => is_vrf(name, vrf) || matches!(hop, Hop::Vrf(into) if is_vrf(name, into)),
        Name::HopGroup(name) => state.hop_group(hop).is_some_and(|group| group.name == *name),
        _ => false,
    }
}

fn refers(object: &Kind, to: &Name) -> bool {
    use v1::{fdb_entry, mpls_label};
    match (object, to) {
        (Kind::Settings(settings), Name::Vrf(name)) => *settings.underlay_vrf == **name,
        (Kind::Acl(acl), _) => acl.rules.iter().any(|rule| rule_refers(rule, to)),
        (Kind::Vrf(vrf), Name::Acl(name)) => *vrf.acl == **name,
        (Kind::Bridge(bridge), Name::Vrf(name)) => *bridge.vrf == **name,
        (Kind::Vif(vif), Name::Vrf(name)) => *vif.vrf == **name,
        (Kind::Vif(vif), Name::Bridge(name)) => *vif.bridge == **name,
        (Kind::Vif(vif), Name::Acl(name)) => *vif.acl_from_vif == **name || *vif.acl_to_vif == **name,
        (Kind::Vif(vif), Name::Port(name)) => *vif.port == **name || *vif.exception_port == **name,
        (Kind::Neighbour(neighbour), Name::Vif(name)) => {
            !neighbour.learnt && neighbour.key.as_ref().is_some_and(|key| *key.vif == **name)
        }
        (Kind::NextHopGroup(group), Name::Vrf(name)) => *group.vrf == **name,
        (Kind::NextHopGroup(group), Name::Vif(name)) => group.paths.iter().any(|path| {
            let kind = path.next_hop.as_ref().and_then(|next_hop| next_hop.kind.as_ref());
            matches!(kind, Some(v1::next_hop::Kind::Vif(via)) if *via.vif == **name)
        }),
        (Kind::BfdSession(session), Name::Vrf(name)) => *session.vrf == **name,
        (Kind::FdbEntry(entry), Name::Bridge(name)) => {
            !entry.learnt && entry.key.as_ref().is_some_and(|key| *key.bridge == **name)
        }
        (Kind::FdbEntry(entry), Name::Vif(name)) => {
            !entry.learnt && matches!(&entry.target, Some(fdb_entry::Target::Vif(vif)) if **vif == **name)
        }
        (Kind::Vni(vni), Name::Vrf(name)) => *vni.vrf == **name,
        (Kind::Vni(vni), Name::Bridge(name)) => *vni.bridge == **name,
        (Kind::Label(label), _) => match (&label.target, to) {
            (Some(mpls_label::Target::Vrf(vrf)), Name::Vrf(name)) => **vrf == **name,
            (Some(mpls_label::Target::Vif(vif)), Name::Vif(name)) => **vif == **name,
            (Some(mpls_label::Target::Bridge(bridge)), Name::Bridge(name)) => **bridge == **name,
            _ => false,
        },
        _ => false,
    }
}

fn rule_refers(rule: &v1::Rule, to: &Name) -> bool {
    use v1::{address_match::By, redirect::To};
    match (to, rule.redirect.as_ref().and_then(|redirect| redirect.to.as_ref())) {
        (Name::Group(name), _) => [&rule.source, &rule.destination]
            .into_iter()
            .flatten()
            .any(|side| matches!(&side.by, Some(By::Group(group)) if **group == **name)),
        (Name::Vrf(name), Some(To::Vrf(vrf))) => **vrf == **name,
        (Name::Vif(name), Some(To::Vif(vif))) => **vif == **name,
        _ => false,
    }
}
