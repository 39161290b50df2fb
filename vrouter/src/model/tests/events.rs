//! A list and what is noted after it are any later list: nothing is missing, nothing is told twice.

use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message;

use super::network::*;
use super::properties::{events, happen, start};
use crate::api::v1;
use crate::model::{Limits, Model};
use v1::change::Op;
use v1::object::Kind;
use v1::object_key::Kind as Key;

/// Objects by their keys' bytes; the settings have none.
type Table = BTreeMap<Vec<u8>, v1::Object>;

fn key_of(object: &v1::Object) -> Vec<u8> {
    let kind = match object.kind.clone().unwrap() {
        Kind::Settings(_) => return Vec::new(),
        Kind::Vrf(vrf) => Key::Vrf(vrf.name),
        Kind::Vif(vif) => Key::Vif(vif.name),
        Kind::Route(route) => Key::Route(route.key.unwrap()),
        Kind::Neighbour(neighbour) => Key::Neighbour(neighbour.key.unwrap()),
        Kind::Vni(vni) => Key::Vni(vni.vni),
        Kind::Label(label) => Key::Label(label.label),
        Kind::Acl(acl) => Key::Acl(acl.name),
        Kind::Group(group) => Key::Group(group.name),
        Kind::Port(port) => Key::Port(port.name),
        Kind::Bridge(bridge) => Key::Bridge(bridge.name),
        Kind::FdbEntry(entry) => Key::FdbEntry(entry.key.unwrap()),
        Kind::NextHopGroup(group) => Key::NextHopGroup(group.name),
        Kind::BfdSession(session) => Key::BfdSession(session.name),
    };
    v1::ObjectKey { kind: Some(kind) }.encode_to_vec()
}

fn listed(model: &Model) -> Table {
    let list = model.list(v1::Kind::All, "");
    let count = list.len();
    let table: Table = list.into_iter().map(|object| (key_of(&object), object)).collect();
    assert_eq!(table.len(), count, "a key is listed twice");
    table
}

/// Follows, and finds fault with what changes nothing.
fn follow(table: &mut Table, changes: Vec<v1::Change>) {
    let mut seen = std::collections::BTreeSet::new();
    for change in changes {
        let told = format!("{change:?}");
        let key = match change.op.unwrap() {
            Op::Put(object) => {
                let key = key_of(&object);
                table.insert(key.clone(), object);
                key
            }
            Op::Delete(key) => {
                let key = key.encode_to_vec();
                assert!(table.remove(&key).is_some(), "deletes what is not there: {told}");
                key
            }
            Op::Create(_) => panic!("{told}"),
        };
        assert!(seen.insert(key), "told twice: {told}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn a_list_and_what_follows_are_the_next_list(furnished: bool, from in 0_usize..20, events in events()) {
        let mut model = start(furnished, Limits::default());
        model.note_changes(1000);
        let mut followed = None;
        for (at, event) in events.iter().enumerate() {
            if at == from {
                followed = Some(listed(&model));
            }
            let before = model.generation();
            let changed = happen(&mut model, event);
            let noted = model.take_noted();
            prop_assert_eq!(noted.len(), usize::from(changed), "{:?}", event);
            for noted in noted {
                prop_assert_eq!(noted.generation.0, before.0 + 1);
                if let Some(table) = &mut followed {
                    follow(table, noted.changes.unwrap());
                }
            }
            if let Some(table) = &followed {
                prop_assert!(*table == listed(&model), "after {event:?}");
            }
        }
    }
}

fn noted(model: &mut Model) -> Vec<v1::Change> {
    let mut all = model.take_noted();
    assert_eq!(all.len(), 1);
    all.remove(0).changes.unwrap()
}

#[test]
fn what_says_the_same_is_no_change() {
    let mut model = model();
    model.note_changes(1000);
    let same = changes().into_iter().map(|change| match change.op.unwrap() {
        Op::Create(object) | Op::Put(object) => v1::Change { op: Some(Op::Put(object)) },
        other => v1::Change { op: Some(other) },
    });
    model.apply("", &same.collect::<Vec<_>>()).unwrap();
    assert_eq!(noted(&mut model), []);
    // put and taken back in one batch
    model.apply("", &[put(Kind::Vrf(vrf("green"))), delete(Key::Vrf("green".into()))]).unwrap();
    assert_eq!(noted(&mut model), []);
}

#[test]
fn links_and_owners_are_told() {
    let mut model = model();
    model.note_changes(1000);
    let port = model.port_index("p1").unwrap();
    assert!(model.link(port, true).is_none() && model.take_noted().is_empty());
    model.link(port, false).unwrap();
    let [down] = &noted(&mut model)[..] else { panic!() };
    let Some(Op::Put(v1::Object { kind: Some(Kind::Port(told)), .. })) = &down.op else { panic!("{down:?}") };
    assert_eq!((&*told.name, told.link_up), ("p1", false));
    assert!(model.list(v1::Kind::Port, "").iter().any(|object| object.kind == Some(Kind::Port(told.clone()))));
    model.apply("bgp", &[put(Kind::Route(route("blue", "10.0.0.0/8", discard())))]).unwrap();
    let told = model.take_noted().remove(0);
    assert_eq!(&*told.owner, "bgp");
    let Some(Op::Put(v1::Object { kind: Some(Kind::Route(route)), .. })) = told.changes.unwrap().remove(0).op else {
        panic!()
    };
    assert_eq!(&*route.key.unwrap().owner, "bgp");
}

#[test]
fn too_much_is_told_as_such() {
    let mut model = model();
    model.note_changes(3);
    let many: Vec<_> = (0..4).map(|at| put(Kind::Vrf(vrf(&format!("v{at}"))))).collect();
    model.apply("", &many).unwrap();
    assert!(model.take_noted().remove(0).changes.is_none());
    model.apply("", &[delete(Key::Vrf("v0".into()))]).unwrap();
    assert_eq!(noted(&mut model).len(), 1);
}
