//! Every refusal, by the object, field and reason that it names.

use super::network::*;
use crate::api::v1;
use crate::model::{Limits, Model};
use v1::mpls_label::Target;
use v1::object::Kind;
use v1::object_key::Kind as Key;

mod bfd;
mod bridges;
mod hop_groups;
mod policies;
mod routes;
mod vifs;

use policies::put_rule;
use vifs::put_vif;

/// A change to the network of [`model`], and where and why it is refused.
type Case = (v1::Change, &'static str, &'static str, &'static str);

fn check(cases: Vec<Case>) {
    let mut model = model();
    let before = (model.list(v1::Kind::All, ""), model.used(), model.snapshot());
    for (change, object, field, reason) in cases {
        let told = format!("{change:?}");
        // Behind a change that is accepted, to see the index and that it is taken back too.
        let batch = [put(Kind::Vrf(vrf("green"))), change];
        let refused = model.apply("", &batch).err().unwrap_or_else(|| panic!("accepted: {told}"));
        assert_eq!((refused.change, &*refused.object, &*refused.field), (1, object, field), "{refused:?} for {told}");
        assert!(refused.reason.contains(reason), "{refused:?} for {told}");
        let after = (model.list(v1::Kind::All, ""), model.used());
        assert!(after == (before.0.clone(), before.1), "changed by {told}");
        assert!(std::sync::Arc::ptr_eq(&before.2, &model.snapshot()));
    }
}

/// The refusal of a batch that must be refused.
fn refusal(model: &mut Model, owner: &str, batch: &[v1::Change]) -> v1::Refused {
    model.apply(owner, batch).err().unwrap_or_else(|| panic!("accepted: {batch:?}"))
}

fn put_route(vrf: &str, of: &str, next_hop: v1::next_hop::Kind) -> v1::Change {
    put(Kind::Route(route(vrf, of, next_hop)))
}

#[test]
fn no_object() {
    check(vec![
        (v1::Change { op: None }, "", "", "names no object"),
        (v1::Change { op: Some(v1::change::Op::Put(v1::Object::default())) }, "", "", "names no object"),
        (v1::Change { op: Some(v1::change::Op::Delete(v1::ObjectKey { kind: None })) }, "", "", "names no object"),
        (
            put(Kind::Port(v1::Port { name: "p9".into(), devargs: "net_null9".into(), ..Default::default() })),
            "port p9",
            "",
            "no devices can be opened here",
        ),
    ]);
}

#[test]
fn names() {
    for bad in ["", "-a", "a b", "ä", "a/b"] {
        check(vec![
            (put(Kind::Vrf(vrf(bad))), &*format!("vrf {bad}").leak(), "name", "a name is"),
            (put_vif(|vif| vif.name = bad.into()), &*format!("vif {bad}").leak(), "name", "a name is"),
        ]);
    }
    let long = "x".repeat(64);
    let shown = &*format!("vrf {}...", "x".repeat(63)).leak();
    check(vec![
        (put(Kind::Vrf(vrf(&long))), shown, "name", "a name is"),
        (put(Kind::Acl(v1::Acl { name: "-".into(), ..Default::default() })), "acl -", "name", "a name is"),
        (put(Kind::Group(v1::AddressGroup::default())), "group ", "name", "a name is"),
        (put(Kind::Vrf(v1::Vrf { tenant: "a\nb".into(), ..vrf("v") })), "vrf v", "tenant", "control character"),
        (put(Kind::Vrf(v1::Vrf { tenant: long.clone(), ..vrf("v") })), "vrf v", "tenant", "at most 63"),
        (put_rule(|rule| rule.name = long.clone()), "acl web", "rules[1].name", "at most 63"),
    ]);
    let refused = refusal(&mut model(), "no name", &[]);
    assert_eq!((refused.change, &*refused.field), (0, "owner"));
}

#[test]
fn what_exists_is_not_created_again() {
    let mut cases = Vec::new();
    let objects =
        ["group clients", "acl web", "vrf underlay", "vrf red", "vrf blue", "vif up0", "settings", "vif red1"];
    for (change, object) in changes().into_iter().zip(objects) {
        cases.push((change, object, "", "exists already"));
    }
    cases.push((
        create(Kind::Vni(v1::Vni { vni: 100, vrf: "red".into(), ..v1::Vni::default() })),
        "vni 100",
        "",
        "exists already",
    ));
    cases.push((create(Kind::Label(label(1000, Target::Vrf("red".into())))), "label 1000", "", "exists already"));
    let again = create(Kind::Route(route("red", "0.0.0.0/0", discard())));
    cases.push((again, "route red 0.0.0.0/0 of operator", "", "exists already"));
    check(cases);
    let mut model = model();
    let one = create(Kind::Neighbour(neighbour("up0", "10.0.0.9", [2; 6])));
    let refused = refusal(&mut model, "", &[one.clone(), one]);
    assert_eq!((refused.change, &*refused.object, &*refused.reason), (1, "neighbour up0 10.0.0.9", "exists already"));
}

#[test]
fn what_is_not_there_is_not_deleted() {
    let key = v1::NeighbourKey { vif: "up0".into(), address: ip("10.0.0.9") };
    check(vec![
        (delete(Key::Vrf("x".into())), "vrf x", "", "does not exist"),
        (delete(Key::Vif("x".into())), "vif x", "", "does not exist"),
        (delete(Key::Acl("x".into())), "acl x", "", "does not exist"),
        (delete(Key::Group("x".into())), "group x", "", "does not exist"),
        (delete(Key::Vni(7)), "vni 7", "", "does not exist"),
        (delete(Key::Label(77)), "label 77", "", "does not exist"),
        (delete(Key::Neighbour(key)), "neighbour up0 10.0.0.9", "", "does not exist"),
        (delete(Key::Route(route_key("red", "0.0.0.0/0", "bgp"))), "route red 0.0.0.0/0 of bgp", "", "does not exist"),
        (
            delete(Key::Route(route_key("red", "1.0.0.0/8", ""))),
            "route red 1.0.0.0/8 of operator",
            "",
            "does not exist",
        ),
        (delete(Key::Route(route_key("x", "1.0.0.0/8", ""))), "route x 1.0.0.0/8 of operator", "vrf", "no VRF x"),
        (delete(Key::Vni(1 << 24)), "vni 16777216", "vni", "0 to 16777215"),
        (delete(Key::Label(3)), "label 3", "label", "16 to 1048575"),
    ]);
}

#[test]
fn what_is_referred_to_is_not_deleted() {
    check(vec![
        (delete(Key::Vrf("underlay".into())), "vrf underlay", "", "by the settings"),
        (delete(Key::Vrf("red".into())), "vrf red", "", "by VIF red1"),
        (delete(Key::Vif("red1".into())), "vif red1", "", "by 1 labels"),
        (delete(Key::Vif("up0".into())), "vif up0", "subnets", "10.0.0.254 would be on no connected subnet"),
        (delete(Key::Acl("web".into())), "acl web", "", "by VIF red1"),
        (delete(Key::Group("clients".into())), "group clients", "", "by ACL web"),
    ]);
    let mut model = model();
    let mut refuse = |made: v1::Change, removed: Key, reason: &str| {
        let refused = refusal(&mut model, "", &[made, delete(removed)]);
        assert_eq!((refused.change, &*refused.field), (1, ""), "{refused:?}");
        assert!(refused.reason.contains(reason), "{refused:?}");
    };
    let green = || create(Kind::Vrf(vrf("green")));
    for (made, reason) in [
        (Kind::Vni(v1::Vni { vni: 3, vrf: "green".into(), ..v1::Vni::default() }), "1 VNIs"),
        (Kind::Label(label(33, Target::Vrf("green".into()))), "1 labels"),
        (Kind::Route(route("green", "1.0.0.0/8", discard())), "1 routes"),
    ] {
        let refused = refusal(&mut model_with(&[green()]), "", &[put(made), delete(Key::Vrf("green".into()))]);
        assert!(refused.reason.contains(reason), "{refused:?}");
    }
    refuse(put_route("blue", "1.0.0.0/8", via_vif("red1")), Key::Vif("red1".into()), "1 routes");
    refuse(put(Kind::Neighbour(neighbour("up0", "10.0.0.9", [2; 6]))), Key::Vif("up0".into()), "1 static neighbours");
    let acl = put(Kind::Acl(v1::Acl { name: "v".into(), rules: vec![] }));
    let mut model = model_with(&[acl, put(Kind::Vrf(v1::Vrf { acl: "v".into(), ..vrf("green") }))]);
    let refused = refusal(&mut model, "", &[delete(Key::Acl("v".into()))]);
    assert!(refused.reason.contains("VRF green"), "{refused:?}");
}

fn model_with(changes: &[v1::Change]) -> Model {
    let mut model = model();
    model.apply("", changes).unwrap();
    model
}

#[test]
fn vrfs() {
    let with = |change: fn(&mut v1::Vrf)| {
        let mut vrf = vrf("red");
        change(&mut vrf);
        put(Kind::Vrf(vrf))
    };
    check(vec![
        (with(|vrf| vrf.acl = "x".into()), "vrf red", "acl", "no ACL x"),
        (with(|vrf| vrf.flows_off = true), "vrf red", "flows_off", "an ACL applies to VIF red1"),
        (put(Kind::Vrf(v1::Vrf { flows_off: true, acl: "web".into(), ..vrf("v") })), "vrf v", "flows_off", "ACL web"),
        (put(Kind::Vrf(v1::Vrf { acl: "web".into(), ..vrf("underlay") })), "vrf underlay", "acl", "of the fabric"),
        (with(|vrf| vrf.allowed_vteps = vec![vec![1, 2, 3]]), "vrf red", "allowed_vteps[0]", "3 bytes, but 4 or 16"),
        (
            with(|vrf| vrf.allowed_vteps = vec![ip("10.0.0.9"), ip("224.0.0.1")]),
            "vrf red",
            "allowed_vteps[1]",
            "224.0.0.1",
        ),
        (with(|vrf| vrf.allowed_vteps = vec![ip("ff02::1")]), "vrf red", "allowed_vteps[0]", "no address of one host"),
        (with(|vrf| vrf.allowed_vteps = vec![ip("10.0.0.9"); 2]), "vrf red", "allowed_vteps[1]", "twice"),
        (
            with(|vrf| vrf.allowed_vteps = vec![ip("10.0.0.9"); 257]),
            "vrf red",
            "allowed_vteps",
            "257 entries, at most 256",
        ),
    ]);
    let mut model = model_with(&[put_route("blue", "1.0.0.0/8", via_vif("red1"))]);
    let refused = refusal(&mut model, "", &[put(Kind::Vrf(v1::Vrf { flows_off: true, ..vrf("blue") }))]);
    assert!(refused.reason.contains("1 routes lead to VIFs of other VRFs"), "{refused:?}");
}

#[test]
fn limits() {
    let full = model().used();
    let mut one_more: Vec<(&str, Vec<v1::Change>)> = vec![
        ("vrfs", vec![put(Kind::Vrf(vrf("green")))]),
        ("vifs", vec![put_vif(|_| {})]),
        ("routes", vec![put_route("red", "9.0.0.0/8", discard())]),
        (
            "next_hops",
            vec![put_route("red", "0.0.0.0/0", vxlan("10.0.0.9", 9)), put_route("red", "9.0.0.0/8", discard())],
        ),
        ("acls", vec![put(Kind::Acl(v1::Acl { name: "x".into(), rules: vec![] }))]),
        ("groups", vec![put(Kind::Group(v1::AddressGroup { name: "x".into(), prefixes: vec![] }))]),
        ("group_prefixes", vec![put(Kind::Group(group(&["1.0.0.0/8", "2.0.0.0/8"])))]),
        ("neighbours", vec![put(Kind::Neighbour(neighbour("up0", "10.0.0.9", [2; 6])))]),
        ("vnis", vec![put(Kind::Vni(v1::Vni { vni: 9, vrf: "red".into(), ..v1::Vni::default() }))]),
        (
            "next_hop_groups",
            vec![put(Kind::NextHopGroup(hop_group("x", "red", vec![(1, "", vxlan("10.0.0.2", 100))])))],
        ),
        (
            "bridges",
            vec![put(Kind::Bridge(Box::new(v1::Bridge { name: "x".into(), vrf: "red".into(), ..Default::default() })))],
        ),
        ("fdb_entries", bridges::one_station()),
        ("fdb_addresses", bridges::one_address()),
        ("labels", vec![put(Kind::Label(label(99, Target::Vrf("red".into()))))]),
    ];
    let mut acl = web_acl();
    acl.rules.push(v1::Rule::default());
    one_more.push(("acl_rules", vec![put(Kind::Acl(acl))]));
    let mut other = route("red", "0.0.0.0/0", discard());
    other.key.as_mut().unwrap().owner = "bgp".into();
    // 0.0.0.0/0 by two paths, and then by three
    let two = vec![(1, "a", vxlan("10.0.0.2", 1)), (1, "b", vxlan("10.0.0.3", 1))];
    one_more.push(("paths", vec![put(Kind::Route(route_by("red", "9.0.0.0/8", two)))]));
    one_more.push(("owners", vec![put(Kind::Route(other))]));

    for (what, batch) in one_more {
        let mut limits = Limits::default();
        let limit = match what {
            "vrfs" => &mut limits.vrfs,
            "vifs" => &mut limits.vifs,
            "routes" => &mut limits.routes,
            "next_hops" => &mut limits.next_hops,
            "paths" => &mut limits.paths,
            "acls" => &mut limits.acls,
            "acl_rules" => &mut limits.acl_rules,
            "groups" => &mut limits.groups,
            "group_prefixes" => &mut limits.group_prefixes,
            "neighbours" => &mut limits.neighbours,
            "vnis" => &mut limits.vnis,
            "labels" => &mut limits.labels,
            "bridges" => &mut limits.bridges,
            "next_hop_groups" => &mut limits.next_hop_groups,
            "fdb_entries" => &mut limits.fdb_entries,
            "fdb_addresses" => &mut limits.fdb_addresses,
            _ => &mut limits.owners,
        };
        *limit = full.named().into_iter().find(|(name, _)| *name == what).unwrap().1;
        let limit = *limit;
        let mut model = Model::new(limits, ports());
        model.apply("", &changes()).unwrap();
        let before = model.list(v1::Kind::All, "");
        let refused = refusal(&mut model, "", &batch);
        // Rules and prefixes of one object beyond the limit are refused before they are read.
        let told = [format!("the limit of {limit} {what} is reached"), format!("2 entries, at most {limit}")];
        assert!(told.contains(&refused.reason), "{what}: {refused:?}");
        assert_eq!((model.used(), model.list(v1::Kind::All, "") == before), (full, true), "{what}");
    }
}

/// A controller takes every place that there is: the gateway is learnt again all the same.
#[test]
fn what_is_learnt_takes_no_place_of_controllers() {
    let full = model().used();
    for what in ["routes", "next_hops"] {
        let limits = match what {
            "routes" => Limits { routes: full.routes + 1, ..Limits::default() },
            _ => Limits { next_hops: full.next_hops + 1, ..Limits::default() },
        };
        let mut model = Model::new(limits, ports());
        model.apply("", &changes()).unwrap();
        let gateway = std::net::Ipv4Addr::new(10, 0, 0, 2);
        let (up0, mac) = (model.vif_id("up0").unwrap(), crate::ids::Mac([2; 6]));
        model.learn(up0, gateway, mac).unwrap();
        model.apply("", &[put_route("red", "9.0.0.0/8", vxlan("10.0.0.9", 9))]).unwrap();
        model.forget(up0, gateway).unwrap();
        let more = put_route("red", "11.0.0.0/8", vxlan("10.0.0.9", 10));
        let refused = refusal(&mut model, "", &[more]);
        assert!(refused.reason.ends_with(&format!(" {what} is reached")), "{refused:?}");
        assert!(model.learn(up0, gateway, mac).is_some(), "{what}");
    }
}
