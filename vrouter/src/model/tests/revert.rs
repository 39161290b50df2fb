//! What an owner had comes back, whatever it and others did meanwhile.

use proptest::prelude::*;

use super::answers::answers;
use super::network::{delete, put, route, via_vif, vrf};
use super::properties::{DEFAULT, events, happen, rebuilt, start};
use super::random::batch;
use crate::api::v1;
use crate::model::{Model, NewPort, Unopened};
use v1::object::Kind;

fn revert(model: &mut Model, owner: &str, before: &[v1::Object], in_part: bool) -> Result<Vec<String>, String> {
    let mut open = |_: NewPort| Err(Unopened { field: "", reason: "no devices can be opened here".into() });
    model.revert(owner, before, in_part, &mut open).map(|reverted| reverted.left)
}

fn owner_of(object: &v1::Object) -> &str {
    match &object.kind {
        Some(Kind::Route(route)) => route.key.as_ref().map_or("", |key| &key.owner),
        _ => &object.owner,
    }
}

/// But for settings, which stay whose they became.
fn is_no_settings(object: &v1::Object) -> bool {
    !matches!(object.kind, Some(Kind::Settings(_)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn an_owners_objects_become_what_they_were(
        events in events(),
        later in prop::collection::vec((batch(), prop::sample::select(&["", "bgp", "cni"][..])), 1..9),
        owner in prop::sample::select(&["", "bgp", "cni"][..]),
    ) {
        let mut model = start(true, DEFAULT);
        events.iter().for_each(|event| _ = happen(&mut model, event));
        let name = if owner.is_empty() { "operator" } else { owner };
        let before = model.before(owner);
        let objects = |model: &Model| model.objects_of(owner).into_iter().filter(is_no_settings).collect::<Vec<_>>();
        let had = objects(&model);
        let said: Vec<_> = model.list(v1::Kind::All, "").into_iter().filter(|it| owner_of(it) == name).collect();
        prop_assert_eq!(had.len(), said.iter().filter(|it| is_no_settings(it)).count(), "all that is listed is had");
        for (batch, by) in &later {
            // refused or not
            _ = model.apply(by, batch);
        }
        let others = |model: &Model| {
            let all = model.list(v1::Kind::All, "").into_iter();
            all.filter(|it| !["vif", name].contains(&owner_of(it)) && is_no_settings(it)).collect::<Vec<_>>()
        };
        let of_others = others(&model);
        let now = (model.generation(), model.kept());
        let left = match revert(&mut model, owner, &before, false) {
            Ok(left) => left,
            Err(_) => {
                prop_assert!((model.generation(), model.kept()) == now, "what cannot be made whole leaves nothing");
                match revert(&mut model, owner, &before, true) {
                    Ok(left) => left,
                    Err(why) => vec![why],
                }
            }
        };
        prop_assert_eq!(others(&model), of_others, "{:?}", left);
        if left.is_empty() {
            prop_assert_eq!(objects(&model), had);
        }
        prop_assert_eq!(answers(&rebuilt(&model)), answers(&model));
        // what was left may be made by now, but what was made stays
        let again = revert(&mut model, owner, &before, true);
        prop_assert!(!left.is_empty() || again == Ok(vec![]), "{:?}", again);
    }
}

#[test]
fn what_others_refer_to_stays_and_goes_when_they_do_not_any_more() {
    let mut model = start(true, DEFAULT);
    let before = model.before("cni");
    assert!(before.iter().all(|object| !is_no_settings(object)), "it has nothing");
    model.apply("cni", &[put(Kind::Vrf(vrf("new"))), put(Kind::Vrf(vrf("newer")))]).unwrap();
    model.apply("bgp", &[put(Kind::Vni(v1::Vni { vni: 77, vrf: "new".into(), ..v1::Vni::default() }))]).unwrap();
    let refused = revert(&mut model, "cni", &before, false).unwrap_err();
    assert!(refused.starts_with("vrf new of cni: "), "{refused}");
    let left = revert(&mut model, "cni", &before, true).unwrap();
    assert_eq!(left, ["vrf new of cni: vni 77 of bgp refers to it"]);
    assert!(model.vrf_id("new").is_some() && model.vrf_id("newer").is_none());
    model.apply("bgp", &[delete(v1::object_key::Kind::Vni(77))]).unwrap();
    assert_eq!(revert(&mut model, "cni", &before, true), Ok(vec![]));
    assert!(model.vrf_id("new").is_none());
    let generation = model.generation();
    assert_eq!(revert(&mut model, "cni", &before, true), Ok(vec![]));
    assert_eq!(model.generation(), generation, "nothing was to be done");
}

#[test]
fn what_is_as_it_was_is_not_touched() {
    let mut model = start(true, DEFAULT);
    let before = model.before("");
    let mine = put(Kind::Route(route("blue", "10.77.0.0/16", via_vif("red2"))));
    model.apply("", &[mine]).unwrap();
    let stamps = |model: &Model| {
        let snapshot = model.snapshot();
        snapshot.vifs.iter().map(|(id, vif)| (id, vif.stamp)).collect::<Vec<_>>()
    };
    let was = stamps(&model);
    assert_eq!(revert(&mut model, "", &before, false), Ok(vec![]));
    assert_eq!(stamps(&model), was);
    assert_eq!(model.before(""), before);
}
