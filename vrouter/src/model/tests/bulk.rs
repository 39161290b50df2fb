//! Plain routes that are made together are what they are one after the other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use proptest::sample::select;

use super::answers::answers;
use super::network::*;
use super::properties::{DEFAULT, start};
use crate::api::{Item, text, v1};
use crate::model::change::Run;
use crate::model::{Batch, Limits, Model, NewPort, Said, Unopened};
use v1::change::Op;
use v1::object::Kind;
use v1::object_key::Kind as Key;

/// Few of them, so that they meet.
fn key(wrong: bool) -> impl Strategy<Value = v1::RouteKey> {
    let address = prop_oneof![
        9 => (0_u8..4, 0_u8..3).prop_map(|(a, b)| IpAddr::from(Ipv4Addr::new(10, 200 + a, b << 4, 0))),
        3 => (0_u16..3).prop_map(|a| IpAddr::from(Ipv6Addr::new(0xfd77, a, 0, 0, 0, 0, 0, 0))),
    ];
    let wrong = u32::from(wrong);
    let length =
        prop_oneof![30 => Just(None), 3 => Just(Some(0)), wrong => select(&[8_u32, 33, 129][..]).prop_map(Some)];
    let vrf = prop_oneof![20 => Just("red"), 10 => Just("blue"), wrong => select(&["underlay", "nowhere"][..])];
    let owner =
        prop_oneof![20 => Just(""), 10 => Just("cni"), 1 => Just("third"), wrong => select(&["vif", "a b"][..])];
    (vrf, address, length, owner).prop_map(|(vrf, address, length, owner)| {
        let (usual, other) = if address.is_ipv4() { (24, 20) } else { (48, 64) };
        let length = length.map_or(usual, |length| if length == 0 { other } else { length });
        let prefix = Some(v1::Prefix { address: text::address_bytes(address), length });
        v1::RouteKey { vrf: vrf.into(), prefix, owner: owner.into() }
    })
}

fn change(wrong: bool) -> impl Strategy<Value = v1::Change> {
    let other = u32::from(wrong);
    let next_hop = (select(&["10.0.0.2", "10.0.0.3", "10.1.2.3"][..]), 1_u32..4, 0_u8..4).prop_map(
        |(remote, vni, kind)| match kind {
            0 => v1::next_hop::Kind::Drop(v1::next_hop::Drop {}),
            _ => vxlan(remote, vni),
        },
    );
    let route = (key(wrong), next_hop, 0_u32..3).prop_map(|(key, next_hop, preference)| {
        Kind::Route(v1::Route {
            key: Some(key),
            next_hop: Some(v1::NextHop { kind: Some(next_hop) }),
            preference,
            ..v1::Route::default()
        })
    });
    let route = route.boxed();
    prop_oneof![
        30 => route.clone().prop_map(put),
        other => route.prop_map(create),
        other * 3 => key(false).prop_map(|key| delete(Key::Route(key))),
        3 => (0_u8..2).prop_map(|at| put(Kind::Vrf(v1::Vrf { tenant: format!("t{at}"), ..vrf("blue") }))),
    ]
}

/// What there is of routes is deleted in half of the cases.
fn batches() -> impl Strategy<Value = Vec<(Vec<v1::Change>, bool)>> {
    let changes = prop_oneof![
        3 => prop::collection::vec(change(false), 16..60),
        1 => prop::collection::vec(change(true), 16..40),
    ];
    prop::collection::vec((changes, any::<bool>()), 1..8)
}

fn deletes(model: &Model) -> Vec<v1::Change> {
    let routes = model.list(v1::Kind::Route, "").into_iter().filter_map(|object| match object.kind? {
        Kind::Route(route) => route.key.filter(|key| key.owner != "vif"),
        _ => None,
    });
    routes.map(|key| delete(Key::Route(key))).collect()
}

/// Stamps and routes of all VRFs: by other numbers the same next hops.
fn rows(model: &Model) -> Vec<String> {
    let snapshot = model.snapshot();
    let mut rows = Vec::new();
    for (id, row) in snapshot.vrfs.iter() {
        rows.push(format!("{id} {:?}", row.stamp));
        let text = |next_hop| model.next_hop_text(next_hop);
        rows.extend(row.v4.iter().map(|(address, length, to)| format!("{address}/{length} {}", text(to))));
        rows.extend(row.v6.iter().map(|(address, length, to)| format!("{address}/{length} {}", text(to))));
    }
    rows
}

/// So many routes that a table is written anew, or not, and that all limits are met.
fn limits() -> impl Strategy<Value = Limits> {
    let tight = (20_usize..40, 12_usize..30, 2_usize..5);
    let tight = tight.prop_map(|(routes, next_hops, owners)| Limits { routes, next_hops, owners, ..DEFAULT });
    prop_oneof![2 => Just(DEFAULT), 1 => tight]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Beside a twin that is told the same as messages, which are made one after the other.
    #[test]
    fn routes_made_together_are_as_if_one_after_the_other(limits in limits(), batches in batches(), many in 0_u32..30) {
        let mut none = |_: NewPort| Err(Unopened { field: "", reason: "none".into() });
        let (mut model, mut twin) = (start(true, DEFAULT), start(true, DEFAULT));
        (model.state.limits, twin.state.limits) = (limits, limits);
        let before: Vec<_> = (0..many)
            .map(|at| put(Kind::Route(route("red", &format!("10.99.{at}.0/24"), vxlan("10.0.0.2", 1)))))
            .collect();
        prop_assert_eq!(model.apply("", &before).is_ok(), twin.apply("", &before).is_ok());
        for (changes, cleared) in batches {
            let deletes = if cleared { deletes(&model) } else { Vec::new() };
            for changes in [changes, deletes] {
                let encoded = v1::Changes::from(changes.clone());
                let [one, other] = [Said::from(&encoded), Said::from(&changes[..])]
                    .map(|changes| Batch { changes, owner: "bgp", take_over: true, ..Batch::default() });
                let (one, other) = (model.apply_batch(&one, &mut none), twin.apply_batch(&other, &mut none));
                prop_assert_eq!(one.map(|accepted| accepted.snapshot.generation), other.map(|accepted| accepted.snapshot.generation));
                prop_assert!(model.list(v1::Kind::All, "") == twin.list(v1::Kind::All, ""));
                prop_assert_eq!(model.owners(), twin.owners());
                prop_assert!(model.state.of_vrf == twin.state.of_vrf);
                prop_assert_eq!(rows(&model), rows(&twin));
            }
        }
        prop_assert_eq!(answers(&model), answers(&twin));
    }
}

/// The property would prove little if all of them were refused, or none, or none plain.
#[test]
fn random_runs_are_accepted_and_refused() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut none = |_: NewPort| Err(Unopened { field: "", reason: "none".into() });
    let mut reasons = std::collections::BTreeMap::<String, usize>::new();
    let mut plain = 0;
    for _ in 0..60 {
        let mut model = start(true, DEFAULT);
        model.state.limits = limits().new_tree(&mut runner).unwrap().current();
        for (changes, _) in batches().new_tree(&mut runner).unwrap().current() {
            let deletes = changes.iter().filter(|change| matches!(change.op, Some(Op::Delete(_)))).count();
            let changes = v1::Changes::from(changes);
            plain += changes.iter().filter(|item| matches!(item, Item::Route(_))).count() - deletes;
            let batch = Batch { changes: (&changes).into(), owner: "bgp", take_over: true, ..Batch::default() };
            let reason =
                model.apply_batch(&batch, &mut none).map_or_else(|refused| refused.reason, |_| "accepted".into());
            *reasons.entry(reason).or_default() += 1;
        }
    }
    assert!(plain > 1000 && reasons["accepted"] > 10 && reasons.len() > 5, "{plain} {reasons:#?}");
}

/// So many that they are sorted digit by digit, of both families, several of one prefix.
#[test]
fn many_routes_are_as_if_one_after_the_other() {
    let mut random = proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let mut draw = |below: u32| random.next_u32() % below;
    let mut changes = Vec::new();
    for _ in 0..12_000 {
        let host = draw(2000);
        let (address, length) = match draw(2) {
            0 => (IpAddr::from((0x0b00_0000 + (host << 8)).to_be_bytes()), 24 - draw(2) * (1 - host % 2)),
            _ => (IpAddr::from(((0xfd88_u128 << 112) + (u128::from(host) << 80)).to_be_bytes()), 48 + draw(3)),
        };
        let prefix = Some(v1::Prefix { address: text::address_bytes(address), length });
        let key = v1::RouteKey { vrf: ["red", "blue"][draw(2) as usize].into(), prefix, owner: String::new() };
        let next_hop = Some(v1::NextHop { kind: Some(vxlan("10.0.0.2", 1 + draw(9))) });
        changes.push(put(Kind::Route(v1::Route { key: Some(key), next_hop, ..v1::Route::default() })));
    }
    let mut none = |_: NewPort| Err(Unopened { field: "", reason: "none".into() });
    let limits = Limits { routes: 20_000, ..DEFAULT };
    let (mut model, mut twin) = (start(true, limits), start(true, limits));
    let encoded = v1::Changes::from(changes.clone());
    model
        .apply_batch(
            &Batch { changes: (&encoded).into(), owner: "bgp", take_over: true, ..Batch::default() },
            &mut none,
        )
        .unwrap();
    twin.apply("bgp", &changes).unwrap();
    assert!(model.list(v1::Kind::All, "") == twin.list(v1::Kind::All, ""));
    assert_eq!(rows(&model), rows(&twin));
    assert_eq!(answers(&model), answers(&twin));
}

/// What is there already takes no room: a controller that says all of it again is not told apart from one that says it for the first time.
#[test]
fn what_is_there_is_made_together_however_tight_the_limit() {
    let put = |preference| -> v1::Changes {
        let route = |at| v1::Route { preference, ..route("red", &format!("10.99.{at}.0/24"), vxlan("10.0.0.2", 1)) };
        let changes: Vec<_> = (0..50).map(|at| put(Kind::Route(route(at)))).collect();
        changes.into()
    };
    let mut model = start(true, DEFAULT);
    let mut together = |limits: Option<usize>, preference| {
        let state = &mut model.state;
        state.limits.routes = limits.unwrap_or(state.offers - state.neighbours.len());
        let (changes, mut run) = (put(preference), Run::new("bgp"));
        for item in changes.iter() {
            let Item::Route(route) = item else { panic!("not plain: {item:?}") };
            run.add(state, &route);
        }
        run.make(state)
    };
    assert!(!together(None, 1), "there is no room for one more");
    assert!(together(Some(99), 1));
    assert!(together(None, 2), "none is new");
}
