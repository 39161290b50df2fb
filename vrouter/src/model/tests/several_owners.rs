//! Random batches of several owners, beside a twin of plain maps: whose objects are, what replacements and ended leases leave, and which of
//! several offers forwards.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::network::*;
use crate::api::v1;
use crate::model::{Batch, Model, Unopened};
use v1::object::Kind;
use v1::object_key::Kind as Key;

const OWNERS: [&str; 3] = ["bgp", "cni", "ops"];

/// A name of each kind of object here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Acl(u8),
    Vrf(u8),
    Route(u8, u8),
}

#[derive(Clone, Debug)]
enum Change {
    PutAcl(u8, bool),
    /// Its tenant, and the ACL that it refers to.
    PutVrf(u8, u8, Option<u8>),
    /// Preference and label.
    PutRoute(u8, u8, u32, u32),
    Delete(Of),
}

#[derive(Clone, Debug)]
enum Step {
    Batch { owner: usize, take_over: bool, replace: Option<Vec<v1::Kind>>, changes: Vec<Change>, dry: bool },
    Expire(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let of = prop_oneof![
        (0_u8..2).prop_map(Of::Acl),
        (0_u8..3).prop_map(Of::Vrf),
        (0_u8..3, 0_u8..3).prop_map(|(vrf, prefix)| Of::Route(vrf, prefix)),
    ];
    let change = prop_oneof![
        2 => (0_u8..2, any::<bool>()).prop_map(|(acl, permit)| Change::PutAcl(acl, permit)),
        3 => (0_u8..3, 0_u8..2, prop::option::of(0_u8..2)).prop_map(|(vrf, tenant, acl)| Change::PutVrf(vrf, tenant, acl)),
        5 => (0_u8..3, 0_u8..3, 1_u32..4, 500_u32..503).prop_map(|(v, p, preference, l)| Change::PutRoute(v, p, preference, l)),
        1 => of.prop_map(Change::Delete),
    ];
    let kinds = prop::option::of(prop_oneof![
        2 => Just(vec![]),
        1 => Just(vec![v1::Kind::Route]),
        1 => Just(vec![v1::Kind::Vrf, v1::Kind::Acl]),
    ]);
    let batch =
        (0..3_usize, prop::bool::weighted(0.2), kinds, prop::collection::vec(change, 0..6), prop::bool::weighted(0.2));
    let step = prop_oneof![
        8 => batch.prop_map(|(owner, take_over, replace, changes, dry)| Step::Batch { owner, take_over, replace, changes, dry }),
        1 => (0..3_usize).prop_map(Step::Expire),
    ];
    prop::collection::vec(step, 1..40)
}

/// What there is: nothing but maps.
#[derive(Clone, Default, PartialEq, Debug)]
struct Twin {
    /// Owner and whether it permits.
    acls: BTreeMap<u8, (usize, bool)>,
    /// Owner, tenant, ACL.
    vrfs: BTreeMap<u8, (usize, u8, Option<u8>)>,
    /// By VRF, prefix and owner: preference and label.
    routes: BTreeMap<(u8, u8, usize), (u32, u32)>,
}

impl Twin {
    fn may(&self, of: &Of, owner: usize, take_over: bool) -> bool {
        let has = match of {
            Of::Acl(acl) => self.acls.get(acl).map(|acl| acl.0),
            Of::Vrf(vrf) => self.vrfs.get(vrf).map(|vrf| vrf.0),
            Of::Route(..) => None,
        };
        take_over || has.is_none_or(|has| has == owner)
    }

    fn referred(&self, of: &Of) -> bool {
        match of {
            Of::Acl(acl) => self.vrfs.values().any(|vrf| vrf.2 == Some(*acl)),
            Of::Vrf(vrf) => self.routes.keys().any(|route| route.0 == *vrf),
            Of::Route(..) => false,
        }
    }

    /// False: it is not there.
    fn remove(&mut self, of: &Of, owner: usize) -> bool {
        match of {
            Of::Acl(acl) => self.acls.remove(acl).is_some(),
            Of::Vrf(vrf) => self.vrfs.remove(vrf).is_some(),
            Of::Route(vrf, prefix) => self.routes.remove(&(*vrf, *prefix, owner)).is_some(),
        }
    }

    /// False: it is refused.
    fn change(&mut self, change: &Change, owner: usize, take_over: bool) -> bool {
        match *change {
            Change::PutAcl(acl, permit) => {
                let may = self.may(&Of::Acl(acl), owner, take_over);
                self.acls.insert(acl, (owner, permit));
                may
            }
            Change::PutVrf(vrf, tenant, acl) => {
                let may = self.may(&Of::Vrf(vrf), owner, take_over);
                self.vrfs.insert(vrf, (owner, tenant, acl));
                may && acl.is_none_or(|acl| self.acls.contains_key(&acl))
            }
            Change::PutRoute(vrf, prefix, preference, label) => {
                self.routes.insert((vrf, prefix, owner), (preference, label));
                self.vrfs.contains_key(&vrf)
            }
            Change::Delete(ref of) => self.may(of, owner, take_over) && !self.referred(of) && self.remove(of, owner),
        }
    }

    /// What an owner has, what refers first.
    fn of(&self, owner: usize) -> Vec<Of> {
        let routes = self.routes.keys().filter(|key| key.2 == owner).map(|key| Of::Route(key.0, key.1));
        let vrfs = self.vrfs.iter().filter(|(_, vrf)| vrf.0 == owner).map(|(name, _)| Of::Vrf(*name));
        let acls = self.acls.iter().filter(|(_, acl)| acl.0 == owner).map(|(name, _)| Of::Acl(*name));
        routes.chain(vrfs).chain(acls).collect()
    }

    /// Removes of these what nothing refers to; the rest is left over.
    fn sweep(&mut self, all: Vec<Of>, owner: usize) -> Vec<Of> {
        let mut left = Vec::new();
        for of in all {
            if self.referred(&of) {
                left.push(of);
            } else {
                self.remove(&of, owner);
            }
        }
        left
    }

    /// False: it is refused, and what is here now is nothing.
    fn batch(&mut self, owner: usize, take_over: bool, replace: Option<&[v1::Kind]>, changes: &[Change]) -> bool {
        let said: BTreeSet<Of> = changes.iter().map(said).collect();
        let goes = |of: &Of| {
            let kind = match of {
                Of::Acl(_) => v1::Kind::Acl,
                Of::Vrf(_) => v1::Kind::Vrf,
                Of::Route(..) => v1::Kind::Route,
            };
            replace.is_some_and(|kinds| kinds.is_empty() || kinds.contains(&kind)) && !said.contains(of)
        };
        let gone = self.of(owner).into_iter().filter(goes).collect();
        let left = self.sweep(gone, owner);
        changes.iter().all(|change| self.change(change, owner, take_over)) && self.sweep(left, owner).is_empty()
    }
}

fn said(change: &Change) -> Of {
    match change {
        Change::PutAcl(acl, _) => Of::Acl(*acl),
        Change::PutVrf(vrf, ..) => Of::Vrf(*vrf),
        Change::PutRoute(vrf, prefix, ..) => Of::Route(*vrf, *prefix),
        Change::Delete(of) => of.clone(),
    }
}

fn named(vrf: u8) -> String {
    format!("t{vrf}")
}

fn within(prefix: u8) -> String {
    format!("55.{prefix}.0.0/16")
}

fn sent(change: &Change) -> v1::Change {
    match *change {
        Change::PutAcl(acl, permit) => {
            let rule = v1::Rule { permit, ..v1::Rule::default() };
            put(Kind::Acl(v1::Acl { name: format!("k{acl}"), rules: vec![rule] }))
        }
        Change::PutVrf(of, tenant, acl) => {
            let acl = acl.map(|acl| format!("k{acl}")).unwrap_or_default();
            put(Kind::Vrf(v1::Vrf { tenant: format!("tenant{tenant}"), acl, ..vrf(&named(of)) }))
        }
        Change::PutRoute(vrf, prefix, preference, label) => {
            let route = route(&named(vrf), &within(prefix), mpls("10.0.0.2", label));
            put(Kind::Route(v1::Route { preference, ..route }))
        }
        Change::Delete(Of::Acl(acl)) => delete(Key::Acl(format!("k{acl}"))),
        Change::Delete(Of::Vrf(vrf)) => delete(Key::Vrf(named(vrf))),
        Change::Delete(Of::Route(vrf, prefix)) => delete(Key::Route(route_key(&named(vrf), &within(prefix), ""))),
    }
}

/// What the model has, as the twin says it.
fn twin_of(model: &Model) -> Twin {
    let mut twin = Twin::default();
    let owner = |name: &str| OWNERS.iter().position(|owner| *owner == name);
    let digit = |name: &str| name[name.len() - 1..].parse::<u8>().unwrap();
    for object in model.list(v1::Kind::All, "") {
        let by = owner(&object.owner);
        match (object.kind.unwrap(), by) {
            (Kind::Acl(acl), Some(by)) => _ = twin.acls.insert(digit(&acl.name), (by, acl.rules[0].permit)),
            (Kind::Vrf(vrf), Some(by)) => {
                let acl = (!vrf.acl.is_empty()).then(|| digit(&vrf.acl));
                twin.vrfs.insert(digit(&vrf.name), (by, digit(&vrf.tenant), acl));
            }
            (Kind::Route(route), _) => {
                let key = route.key.unwrap();
                let Some(by) = owner(&key.owner) else { continue };
                let Some(v1::next_hop::Kind::Tunnel(tunnel)) = route.next_hop.unwrap().kind else { panic!() };
                let Some(v1::tunnel::Encap::MplsOverUdp(mpls)) = tunnel.encap else { panic!() };
                let at = (digit(&key.vrf), key.prefix.unwrap().address[1], by);
                twin.routes.insert(at, (route.preference, mpls.label));
            }
            _ => {}
        }
    }
    twin
}

/// The label by which packets to a prefix leave.
fn forwarded(model: &Model, vrf: u8, prefix: u8) -> Option<String> {
    let snapshot = model.snapshot();
    let row = snapshot.vrfs.row(model.vrf_id(&named(vrf))?.index())?;
    let (_, next_hop) = row.v4.lookup(u32::from_be_bytes([55, prefix, 0, 1]))?;
    Some(model.next_hop_text(next_hop))
}

fn hold(model: &Model, twin: &Twin) -> Result<(), TestCaseError> {
    prop_assert_eq!(&twin_of(model), twin);
    for (vrf, prefix) in (0..3).flat_map(|vrf| (0..3).map(move |prefix| (vrf, prefix))) {
        let offers = (0..3).filter_map(|owner| Some((twin.routes.get(&(vrf, prefix, owner))?, owner)));
        // the highest preference, then the first name
        let best = offers.max_by_key(|((preference, _), owner)| (*preference, 3 - owner));
        let want = best.map(|((_, label), _)| format!("mpls 10.0.0.2 label {label}"));
        prop_assert_eq!(forwarded(model, vrf, prefix), want);
    }
    let owners = model.owners();
    for (at, name) in OWNERS.iter().enumerate() {
        let all = twin.of(at);
        let routes = all.iter().filter(|of| matches!(of, Of::Route(..))).count() as u64;
        let counts = owners.get(*name).copied().unwrap_or_default();
        prop_assert_eq!(counts, (routes, all.len() as u64 - routes));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn owners_have_what_plain_maps_say(steps in steps()) {
        let (mut model, mut twin) = (model(), Twin::default());
        let rest = model.list(v1::Kind::Vif, "");
        for step in &steps {
            match step {
                Step::Expire(owner) => {
                    let all = twin.of(*owner);
                    let had = all.len();
                    let left = twin.sweep(all, *owner).len();
                    let swept = model.expire(OWNERS[*owner]).map_or(0, |accepted| accepted.swept());
                    prop_assert_eq!(swept, (had - left) as u64);
                }
                Step::Batch { owner, take_over, replace, changes, dry } => {
                    let sent: Vec<_> = changes.iter().map(sent).collect();
                    let replaced = replace.as_deref();
                    let batch =
                        Batch { owner: OWNERS[*owner], changes: sent[..].into(), take_over: *take_over, replace: replaced, if_generation: None };
                    let mut after = twin.clone();
                    let good = after.batch(*owner, *take_over, replaced, changes);
                    if *dry {
                        prop_assert_eq!(model.plan(&batch).is_ok(), good);
                    } else {
                        let made = model.apply_batch(&batch, &mut |_| Err(Unopened { field: "", reason: "none".into() }));
                        prop_assert_eq!(made.is_ok(), good);
                        if good {
                            twin = after;
                        }
                    }
                }
            }
            hold(&model, &twin)?;
        }
        prop_assert!(rest == model.list(v1::Kind::Vif, ""));
    }
}
