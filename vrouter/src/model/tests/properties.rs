//! Random batches: a refused one leaves no trace, and what is left of many is what a fresh model makes of the list.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use proptest::prelude::*;

use super::answers::answers;
use super::network::ports;
use super::random::{batch, furniture};
use crate::api::v1;
use crate::ids::{Generation, Mac};
use crate::model::{Batch, Limits, Model, NewPort, Said, Unopened};
use v1::object::Kind;

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Batch(Vec<v1::Change>),
    Learn(&'static str, u8, u8),
    Forget(&'static str, u8),
}

pub(crate) fn events() -> impl Strategy<Value = Vec<Event>> {
    let vif = prop::sample::select(&["up0", "up1", "red1"][..]);
    let host = prop::sample::select(&[1_u8, 2, 3, 254, 101, 107, 109][..]);
    let event = prop_oneof![
        8 => batch().prop_map(Event::Batch),
        2 => (vif.clone(), host.clone(), 0_u8..3).prop_map(|(vif, host, mac)| Event::Learn(vif, host, mac)),
        1 => (vif, host).prop_map(|(vif, host)| Event::Forget(vif, host)),
    ];
    prop::collection::vec(event, 1..50)
}

pub(crate) fn start(furnished: bool, limits: Limits) -> Model {
    let mut model = Model::new(limits, ports());
    if furnished {
        model.apply("", &furniture()).unwrap();
    }
    model
}

/// A neighbour: from 100 to 200 an IPv6 one.
fn at(host: u8) -> IpAddr {
    match host {
        100..=200 => Ipv6Addr::new(0xfd0f, 0, 0, 0, 0, 0, 0, u16::from(host) - 100).into(),
        _ => [10, 0, 0, host].into(),
    }
}

/// True: accepted, or something was learnt or forgotten.
pub(crate) fn happen(model: &mut Model, event: &Event) -> bool {
    match event {
        Event::Batch(batch) => model.apply("", batch).is_ok(),
        Event::Learn(vif, host, mac) => {
            let Some(vif) = model.vif_id(vif) else { return false };
            model.learn(vif, at(*host), Mac([2, 0, 0, 0, 8, *mac])).is_some()
        }
        Event::Forget(vif, host) => {
            let Some(vif) = model.vif_id(vif) else { return false };
            model.forget(vif, at(*host)).is_some()
        }
    }
}

/// A fresh model of what a model lists, neighbours learnt and lost again.
pub(super) fn rebuilt(model: &Model) -> Model {
    let mut fresh = Model::new(*model.limits(), ports());
    let (mut learnt, mut batch) = (Vec::new(), Vec::new());
    for object in model.list(v1::Kind::All, "") {
        match object.kind.unwrap() {
            Kind::Port(_) => {}
            Kind::Route(route) if route.key.as_ref().unwrap().owner == "vif" => {}
            Kind::Neighbour(neighbour) if neighbour.learnt => learnt.push(neighbour),
            // which nobody put
            Kind::Settings(_) if object.owner.is_empty() => {}
            kind => {
                let put = v1::Object { kind: Some(kind), owner: object.owner };
                batch.push(v1::Change { op: Some(v1::change::Op::Put(put)) });
            }
        }
    }
    fresh.apply("", &batch).unwrap();
    for neighbour in learnt {
        let key = neighbour.key.unwrap();
        let address = crate::api::text::address(&key.address).unwrap();
        fresh.learn(fresh.vif_id(&key.vif).unwrap(), address, Mac(neighbour.mac.try_into().unwrap())).unwrap();
    }
    for &(vif, address) in &model.state.lost {
        let vif = fresh.vif_id(&model.state.vif_by_id[&vif].name).unwrap();
        fresh.forget(vif, address);
    }
    fresh
}

/// Few of everything, so that limits are met too.
const TIGHT: Limits = Limits {
    vifs: 4,
    routes: 14,
    next_hops: 10,
    paths: 5,
    acl_rules: 3,
    owners: 2,
    neighbours: 2,
    fdb_entries: 1,
    fdb_addresses: 2,
    learnt: 1,
    ..DEFAULT
};
pub(crate) const DEFAULT: Limits = Limits {
    ports: 9,
    vrfs: 9,
    vifs: 9,
    routes: 99,
    next_hops: 99,
    paths: 99,
    next_hop_groups: 9,
    bfd_sessions: 9,
    acls: 9,
    acl_rules: 99,
    groups: 9,
    group_prefixes: 99,
    neighbours: 9,
    bridges: 9,
    fdb_entries: 9,
    fdb_addresses: 9,
    learnt: 9,
    vnis: 9,
    labels: 9,
    owners: 9,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// A twin that never sees what is refused stays the same to the last number and stamp.
    #[test]
    fn what_is_refused_leaves_no_trace(furnished: bool, tight: bool, events in events()) {
        let limits = if tight && !furnished { TIGHT } else { DEFAULT };
        let (mut model, mut twin) = (start(furnished, limits), start(furnished, limits));
        for event in &events {
            let before = (model.snapshot(), model.generation());
            if happen(&mut model, event) {
                prop_assert_eq!(model.generation(), Generation(before.1.0 + 1));
                prop_assert!(happen(&mut twin, event));
            } else {
                prop_assert!(Arc::ptr_eq(&before.0, &model.snapshot()));
            }
            prop_assert!(model.list(v1::Kind::All, "") == twin.list(v1::Kind::All, ""));
        }
        let (ours, theirs) = (model.snapshot(), twin.snapshot());
        prop_assert!(ours.next_hops.iter().eq(theirs.next_hops.iter()));
        let vifs = |of: &crate::tables::Snapshot| of.vifs.iter().map(|(id, vif)| (id, vif.slot, vif.stamp)).collect::<Vec<_>>();
        prop_assert_eq!(vifs(&ours), vifs(&theirs));
        let vrfs = |of: &crate::tables::Snapshot| of.vrfs.iter().map(|(id, vrf)| (id, vrf.stamp)).collect::<Vec<_>>();
        prop_assert_eq!(vrfs(&ours), vrfs(&theirs));
        prop_assert_eq!(answers(&model), answers(&twin));
    }

    /// What was compiled piece by piece is what a fresh model compiles of the list.
    #[test]
    fn a_model_is_what_its_list_says(furnished: bool, events in events()) {
        let mut model = start(furnished, DEFAULT);
        for event in &events {
            happen(&mut model, event);
        }
        let fresh = rebuilt(&model);
        prop_assert_eq!(fresh.list(v1::Kind::All, "") == model.list(v1::Kind::All, ""), true);
        let (ours, theirs) = (answers(&model), answers(&fresh));
        prop_assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            prop_assert_eq!(ours, theirs);
        }
    }
}

/// What the operator has, as puts.
fn wanted(model: &Model) -> Vec<v1::Change> {
    let ours = |object: &v1::Object| match &object.kind {
        Some(Kind::Route(route)) => route.key.as_ref().is_some_and(|key| key.owner == "operator"),
        _ => object.owner == "operator",
    };
    let put = |object| v1::Change { op: Some(v1::change::Op::Put(object)) };
    model.list(v1::Kind::All, "").into_iter().filter(ours).map(put).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// A replacement leaves what it says, or nothing is changed; and what it does is plain changes.
    #[test]
    fn what_is_left_is_what_was_said(furnished: bool, events in events(), said in prop::collection::vec(prop::bool::weighted(0.8), 40)) {
        let mut model = start(furnished, DEFAULT);
        for event in &events {
            happen(&mut model, event);
        }
        let all = wanted(&model);
        let mut none = |_: NewPort| Err(Unopened { field: "", reason: "none".into() });
        let stamps = |model: &Model| model.snapshot().vrfs.iter().map(|(id, vrf)| (id, vrf.stamp)).collect::<Vec<_>>();
        let before = (stamps(&model), model.list(v1::Kind::All, ""));
        let batch = Batch { changes: all[..].into(), replace: Some(&[]), ..Batch::default() };
        prop_assert_eq!(model.apply_batch(&batch, &mut none).unwrap().swept(), 0);
        prop_assert!(before == (stamps(&model), model.list(v1::Kind::All, "")), "all was said");

        let is_settings = |change: &v1::Change| matches!(&change.op, Some(v1::change::Op::Put(object)) if matches!(object.kind, Some(Kind::Settings(_))));
        let some: Vec<_> = all.iter().zip(said.iter().cycle()).filter(|(c, said)| **said || is_settings(c)).map(|(c, _)| c.clone()).collect();
        let mut twin = rebuilt(&model);
        let batch = Batch { changes: some[..].into(), replace: Some(&[]), ..Batch::default() };
        match model.apply_batch(&batch, &mut none) {
            Ok(accepted) => {
                prop_assert!(wanted(&model) == some);
                let plain = [&accepted.front[..], &some, &accepted.behind].concat();
                twin.apply("", &plain).unwrap();
                prop_assert!(twin.list(v1::Kind::All, "") == model.list(v1::Kind::All, ""));
                prop_assert_eq!(answers(&twin), answers(&model));
            }
            Err(_) => prop_assert!(before.1 == model.list(v1::Kind::All, "")),
        }
    }
}

proptest! {
    /// Whatever a client sends that can be read at all is taken whole or refused whole, and never the end of us.
    #[test]
    fn damaged_changes_do_no_harm(
        batches in prop::collection::vec(batch(), 1..8),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        use prost::Message;
        let mut model = start(true, DEFAULT);
        for changes in batches {
            let mut bytes = v1::Changes::from(changes).encode_to_vec();
            for (at, value) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *value;
                let Ok(read) = v1::Changes::decode(&bytes[..]) else { continue };
                let before = model.list(v1::Kind::All, "");
                let batch = Batch { changes: (&read).into(), ..Batch::default() };
                let mut none = |_: NewPort| Err(Unopened { field: "", reason: "none".into() });
                if model.apply_batch(&batch, &mut none).is_err() {
                    prop_assert!(model.list(v1::Kind::All, "") == before);
                }
            }
        }
        prop_assert!(rebuilt(&model).list(v1::Kind::All, "") == model.list(v1::Kind::All, ""));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A batch that is read where it lies does what it does as messages, or is refused for the same reason.
    #[test]
    fn what_came_encoded_is_made_like_messages(batches in prop::collection::vec(batch(), 1..12)) {
        let (mut model, mut twin) = (start(true, DEFAULT), start(true, DEFAULT));
        let mut none = |_: NewPort| Err(Unopened { field: "", reason: "none".into() });
        for changes in batches {
            let encoded = v1::Changes::from(changes.clone());
            let [one, other] = [Said::from(&encoded), Said::from(&changes[..])]
                .map(|changes| Batch { changes, owner: "bgp", ..Batch::default() });
            let (one, other) = (model.apply_batch(&one, &mut none), twin.apply_batch(&other, &mut none));
            prop_assert_eq!(one.map(|accepted| accepted.snapshot.generation), other.map(|accepted| accepted.snapshot.generation));
            prop_assert!(model.list(v1::Kind::All, "") == twin.list(v1::Kind::All, ""));
        }
        prop_assert_eq!(answers(&twin), answers(&model));
    }
}

/// The random batches are worth something: many are accepted, many refused, for many reasons.
#[test]
fn random_batches_are_accepted_and_refused() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut reasons = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..30 {
        let mut model = start(true, DEFAULT);
        for event in events().new_tree(&mut runner).unwrap().current() {
            let Event::Batch(batch) = event else { continue };
            let reason = model.apply("", &batch).map_or_else(|refused| refused.reason, |_| "accepted".into());
            *reasons.entry(reason).or_default() += 1;
        }
    }
    assert!(reasons["accepted"] > 100, "{reasons:#?}");
    assert!(reasons.len() > 30, "{reasons:#?}");
}
