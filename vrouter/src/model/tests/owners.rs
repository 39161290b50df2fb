//! Several owners: whose objects are, what a replacement leaves, and who may change what.

use std::sync::Arc;

use super::network::*;
use crate::api::v1;
use crate::ids::VrfId;
use crate::model::{Accepted, Batch, Limits, Model, Unopened};
use crate::tables::Snapshot;
use v1::object::Kind;
use v1::object_key::Kind as Key;

fn apply(model: &mut Model, batch: Batch) -> Result<Accepted, v1::Refused> {
    model.apply_batch(&batch, &mut |_| Err(Unopened { field: "", reason: "none".into() }))
}

/// The owner's batch.
fn by<'a>(owner: &'a str, changes: &'a [v1::Change]) -> Batch<'a> {
    Batch { owner, changes: changes.into(), ..Batch::default() }
}

/// All that the owner wants.
fn all<'a>(owner: &'a str, changes: &'a [v1::Change]) -> Batch<'a> {
    Batch { replace: Some(&[]), ..by(owner, changes) }
}

fn refused(model: &mut Model, batch: Batch) -> String {
    let before = (model.list(v1::Kind::All, ""), model.generation());
    let refused = apply(model, batch).err().expect("refused");
    assert!(before == (model.list(v1::Kind::All, ""), model.generation()), "a refused batch left a trace");
    format!("{}: {}: {}: {}", refused.change, refused.object, refused.field, refused.reason)
}

/// Kind and name of what an owner has, routes by VRF and prefix.
fn of(model: &Model, owner: &str) -> Vec<String> {
    let owned = model.list(v1::Kind::All, "").into_iter().filter_map(|object| match object.kind.unwrap() {
        Kind::Route(route) => {
            let key = route.key.unwrap();
            let prefix = key.prefix.unwrap();
            (key.owner == owner).then(|| format!("route {} {}", key.vrf, prefix.address[0]))
        }
        _ if object.owner != owner => None,
        Kind::Vrf(vrf) => Some(format!("vrf {}", vrf.name)),
        Kind::Vif(vif) => Some(format!("vif {}", vif.name)),
        Kind::Acl(acl) => Some(format!("acl {}", acl.name)),
        Kind::Vni(vni) => Some(format!("vni {}", vni.vni)),
        Kind::Label(label) => Some(format!("label {}", label.label)),
        Kind::Settings(_) => Some("settings".into()),
        Kind::Port(port) => Some(format!("port {}", port.name)),
        Kind::Neighbour(_) => Some("neighbour".into()),
        other => Some(format!("{other:?}")),
    });
    owned.collect()
}

/// `green` with `green1` at port 6, an ACL, a VNI, and a route to it: what a CNI plugin has.
fn pods(port: u8, vif_name: &str) -> Vec<v1::Change> {
    let acl = v1::Acl { name: "pods".into(), ..v1::Acl::default() };
    let mut pod = vif(vif_name, port, "green", &["192.168.9.9"]);
    pod.acl_to_vif = "pods".into();
    let vni = v1::Vni { vni: 900, vrf: "green".into(), bridge: String::new() };
    let route = route("green", "9.0.0.0/8", via_vif(vif_name));
    [Kind::Acl(acl), Kind::Vrf(vrf("green")), Kind::Vif(Box::new(pod)), Kind::Vni(vni), Kind::Route(route)]
        .map(put)
        .into()
}

/// Not touched at all.
fn same_vrf(before: &Snapshot, after: &Snapshot, vrf: VrfId) -> bool {
    Arc::ptr_eq(before.vrfs.shared(vrf.index()).unwrap(), after.vrfs.shared(vrf.index()).unwrap())
}

#[test]
fn an_object_is_its_owners() {
    let mut model = model();
    apply(&mut model, by("cni", &pods(6, "green1"))).unwrap();
    let cni = ["acl pods", "vrf green", "vif green1", "vni 900", "route green 9"];
    assert_eq!(of(&model, "cni"), cni);
    let other = put(Kind::Vrf(v1::Vrf { tenant: "acme".into(), ..vrf("green") }));
    let of_cni = "is of owner cni, and not to be changed by others unless they take it over";
    assert_eq!(refused(&mut model, by("", std::slice::from_ref(&other))), format!("0: vrf green: owner: {of_cni}"));
    let gone = delete(Key::Vni(900));
    assert_eq!(refused(&mut model, by("bgp", std::slice::from_ref(&gone))), format!("0: vni 900: owner: {of_cni}"));
    assert_eq!(refused(&mut model, by("bgp", &[create(Kind::Vrf(vrf("green")))])), "0: vrf green: : exists already");
    let reserved = "0: vrf new: owner: the owner vif is reserved for the routes of VIFs";
    assert_eq!(refused(&mut model, by("vif", &[put(Kind::Vrf(vrf("new")))])), reserved);
    assert_eq!(
        refused(&mut model, by("no name", &[])),
        "0: : owner: a name is 1 to 63 of A-Z a-z 0-9 . _ - and does not start with -"
    );

    // in its owner's name, and taken over
    let v1::Change { op: Some(v1::change::Op::Put(mut named)) } = other.clone() else { panic!() };
    named.owner = "cni".into();
    apply(&mut model, by("", &[v1::Change { op: Some(v1::change::Op::Put(named)) }])).unwrap();
    assert_eq!(of(&model, "cni"), cni);
    apply(&mut model, Batch { take_over: true, ..by("", &[other, gone]) }).unwrap();
    assert_eq!(of(&model, "cni"), ["acl pods", "vif green1", "route green 9"]);
    assert!(of(&model, "operator").contains(&"vrf green".to_owned()));
}

#[test]
fn what_is_given_at_start_or_learnt_is_nobodys_and_an_owner_alone_moves_no_stamp() {
    let mut model = model();
    model.note_changes(1000);
    let port = |name: &str| {
        let ports = model.list(v1::Kind::Port, "");
        ports.into_iter().find(|p| matches!(&p.kind, Some(Kind::Port(port)) if port.name == name)).unwrap()
    };
    let Some(Kind::Port(given)) = port("p7").kind else { panic!() };
    apply(&mut model, by("cni", &[put(Kind::Port(v1::Port { mac: vec![], link_up: false, ..given }))])).unwrap();
    assert_eq!(of(&model, "cni"), [""; 0]);
    apply(&mut model, all("cni", &[])).unwrap();
    model.take_noted();

    // another owner of what is as it was: an event, and no stamp
    let before = model.snapshot();
    let red =
        model.list(v1::Kind::Vrf, "").into_iter().find(|v| matches!(&v.kind, Some(Kind::Vrf(v)) if v.name == "red"));
    let taken = [put(red.unwrap().kind.unwrap())];
    apply(&mut model, Batch { take_over: true, ..by("cni", &taken) }).unwrap();
    let noted = model.take_noted().remove(0);
    let Some(v1::change::Op::Put(told)) = &noted.changes.as_ref().unwrap()[0].op else { panic!() };
    assert_eq!((noted.changes.as_ref().unwrap().len(), &*told.owner), (1, "cni"));
    let after = model.snapshot();
    let red = model.vrf_id("red").unwrap();
    assert!(same_vrf(&before, &after, red));
    assert_eq!(of(&model, "cni"), ["vrf red"]);
}

#[test]
fn what_an_owner_does_not_say_again_goes() {
    let mut model = model();
    apply(&mut model, by("cni", &pods(6, "green1"))).unwrap();
    let (before, rest) = (model.snapshot(), of(&model, "operator"));
    model.note_changes(1000);

    // the same: nothing is touched
    let accepted = apply(&mut model, all("cni", &pods(6, "green1"))).unwrap();
    assert_eq!((accepted.swept(), model.take_noted().remove(0).changes.unwrap().len()), (0, 0));
    let green = model.vrf_id("green").unwrap();
    assert!(same_vrf(&before, &accepted.snapshot, green));

    // another VIF in the place of the first one: the route to it is another, too
    let accepted = apply(&mut model, all("cni", &pods(6, "green2"))).unwrap();
    assert_eq!(of(&model, "cni"), ["acl pods", "vrf green", "vif green2", "vni 900", "route green 9"]);
    assert_eq!((accepted.front.len(), accepted.behind.len()), (2, 0), "the route and the VIF");
    assert_eq!(model.take_noted().remove(0).changes.unwrap().len(), 4, "and where it is");

    // of one kind
    let kinds = [v1::Kind::Vni];
    apply(&mut model, Batch { replace: Some(&kinds), ..by("cni", &[]) }).unwrap();
    assert_eq!(of(&model, "cni"), ["acl pods", "vrf green", "vif green2", "route green 9"]);

    // another owner's route leads there
    let to = [put(Kind::Route(route("red", "77.0.0.0/8", via_vif("green2"))))];
    apply(&mut model, by("bgp", &to)).unwrap();
    let keeps = "0: vif green2 of cni: : still referred to by route red 77.0.0.0/8 of bgp";
    assert_eq!(refused(&mut model, all("cni", &[])), keeps);
    let one = [put(Kind::Route(route("green", "8.0.0.0/8", discard())))];
    assert_eq!(refused(&mut model, all("cni", &one)).replacen('1', "0", 1), keeps, "the number of its changes");

    apply(&mut model, all("bgp", &[])).unwrap();
    let accepted = apply(&mut model, all("cni", &[])).unwrap();
    assert_eq!((accepted.swept(), of(&model, "cni").len()), (4, 0));
    assert_eq!(of(&model, "operator"), rest);
}

#[test]
fn a_replacement_is_plain_changes() {
    let mut model = model();
    apply(&mut model, by("cni", &pods(6, "green1"))).unwrap();
    let mut twin = self::model();
    apply(&mut twin, by("cni", &pods(6, "green1"))).unwrap();
    let wanted = pods(6, "green2");
    let Accepted { front, behind, .. } = apply(&mut model, all("cni", &wanted[..4])).unwrap();
    let plain = [&front[..], &wanted[..4], &behind].concat();
    apply(&mut twin, Batch { take_over: true, ..by("cni", &plain) }).unwrap();
    assert!(model.list(v1::Kind::All, "") == twin.list(v1::Kind::All, ""));
    assert_eq!(model.vif_id("green2"), twin.vif_id("green2"));
}

#[test]
fn a_lease_that_ran_out_takes_what_nobody_refers_to() {
    let mut model = model();
    apply(&mut model, by("cni", &pods(6, "green1"))).unwrap();
    let to = [put(Kind::Route(route("red", "77.0.0.0/8", via_vif("green1"))))];
    apply(&mut model, by("bgp", &to)).unwrap();
    assert_eq!(model.expire("cni").unwrap().swept(), 2, "the route and the VNI");
    assert_eq!(of(&model, "cni"), ["acl pods", "vrf green", "vif green1"]);
    assert!(model.expire("cni").is_none() && model.expire("nobody").is_none());
    assert_eq!(model.owners()["cni"], (0, 3));
    apply(&mut model, all("bgp", &[])).unwrap();
    assert_eq!(model.expire("cni").unwrap().swept(), 3);
    assert!(!model.owners().contains_key("cni"));
}

#[test]
fn what_is_redirected_to_stays_when_a_lease_runs_out() {
    let mut model = model();
    let mut service = vif("fw", 6, "red", &["192.168.9.9"]);
    service.service = true;
    apply(&mut model, by("cni", &[put(Kind::Vif(Box::new(service))), put(Kind::Vrf(vrf("green")))])).unwrap();
    let to = v1::Redirect { to: Some(v1::redirect::To::Vif("fw".into())) };
    let rule = v1::Rule { permit: true, redirect: Some(to), ..v1::Rule::default() };
    let acl = v1::Acl { name: "chain".into(), rules: vec![rule] };
    apply(&mut model, by("policy", &[put(Kind::Acl(acl))])).unwrap();
    assert_eq!(model.expire("cni").unwrap().swept(), 1);
    assert_eq!(of(&model, "cni"), ["vif fw"]);
    assert!(refused(&mut model, all("cni", &[])).contains("ACL chain, which redirects to it"));
    assert_eq!(model.expire("policy").unwrap().swept(), 1);
    assert_eq!(model.expire("cni").unwrap().swept(), 1);
}

#[test]
fn a_batch_that_rests_on_something_older_is_refused() {
    let mut model = model();
    let on = |generation| Batch { if_generation: Some(generation), ..by("cni", &[]) };
    let base = model.generation().0;
    let told = |newer, by: &str| format!("0: : if_generation: generation {newer}, by {by}, is newer than {base}");
    // others' routes and what is learnt are no hindrance
    apply(&mut model, by("bgp", &[put(Kind::Route(route("red", "77.0.0.0/8", discard())))])).unwrap();
    model.learn(model.vif_id("up0").unwrap(), [10, 0, 0, 9], crate::ids::Mac([2; 6])).unwrap();
    apply(&mut model, on(base)).unwrap();
    apply(&mut model, by("cni", &[put(Kind::Route(route("red", "78.0.0.0/8", discard())))])).unwrap();
    let newest = model.generation().0;
    assert_eq!(refused(&mut model, on(base)), told(newest, "cni"));
    apply(&mut model, on(newest)).unwrap();
    apply(&mut model, by("", &[put(Kind::Vrf(vrf("spare")))])).unwrap();
    assert_eq!(refused(&mut model, on(base)), told(newest + 2, "operator"));
    let future = format!("0: : if_generation: there is no generation 99 yet, {} is the newest", newest + 2);
    assert_eq!(refused(&mut model, on(99)), future);
    // a batch without effect is none
    apply(&mut model, by("", &[put(Kind::Vrf(vrf("spare")))])).unwrap();
    apply(&mut model, on(newest + 2)).unwrap();
}

#[test]
fn so_many_owners_are_remembered_and_the_rest_is_refused_rather_than_missed() {
    let mut model = Model::new(Limits { owners: 3, ..Limits::default() }, ports());
    apply(&mut model, by("", &[put(Kind::Vrf(vrf("red")))])).unwrap();
    let base = model.generation().0;
    for name in 0..20 {
        let owner = format!("o{name}");
        apply(&mut model, by(&owner, &[put(Kind::Route(route("red", "77.0.0.0/8", discard())))])).unwrap();
        apply(&mut model, all(&owner, &[])).unwrap();
    }
    let stale = refused(&mut model, Batch { if_generation: Some(base), ..by("o0", &[]) });
    assert!(stale.contains("if_generation"), "{stale}");
}

#[test]
fn a_plan_is_what_a_batch_would_do() {
    let mut model = model();
    apply(&mut model, by("cni", &pods(6, "green1"))).unwrap();
    let before = (model.list(v1::Kind::All, ""), model.snapshot());
    let mut wanted = pods(6, "green1");
    wanted[1] = put(Kind::Vrf(v1::Vrf { tenant: "acme".into(), ..vrf("green") }));
    wanted[3] = put(Kind::Vrf(vrf("lilac")));
    let port = v1::Port { name: "new".into(), devargs: "net_null9".into(), ..v1::Port::default() };
    wanted.push(put(Kind::Port(port)));
    let plan = model.plan(&all("cni", &wanted)).unwrap();
    assert!(before.0 == model.list(v1::Kind::All, "") && Arc::ptr_eq(&before.1, &model.snapshot()));
    assert_eq!((plan.created, plan.changed, plan.deleted, plan.unchanged), (2, 1, 1, 3));
    assert_eq!((plan.generation, plan.truncated, plan.steps.len()), (model.generation().0, false, 4));
    let changed = plan.steps.iter().find(|step| step.before.is_some() && step.after.is_some()).unwrap();
    assert_eq!(changed.fields, ["tenant"]);
    let gone = plan.steps.iter().find(|step| step.after.is_none()).unwrap();
    assert!(matches!(&gone.before.as_ref().unwrap().kind, Some(Kind::Vni(vni)) if vni.vni == 900));
    // what is refused would be
    let refused = model.plan(&by("bgp", &wanted)).unwrap_err();
    assert_eq!((refused.change, &*refused.object, &*refused.field), (0, "acl pods", "owner"));
}

#[test]
fn a_plan_of_very_much_is_counted() {
    let mut model = model();
    let many = |from: u32, to: u32| -> Vec<v1::Change> {
        let one = |n: u32| put(Kind::Route(route("red", &format!("20.{}.{}.0/24", n >> 8, n & 255), discard())));
        (from..to).map(one).collect()
    };
    apply(&mut model, by("bgp", &many(0, 12_000))).unwrap();
    let plan = model.plan(&all("bgp", &many(5_000, 30_000))).unwrap();
    assert_eq!((plan.created, plan.changed, plan.deleted, plan.unchanged), (18_000, 0, 5_000, 7_000));
    assert_eq!((plan.truncated, plan.steps.len()), (true, 10_000));
}
