//! Address groups and ACLs.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::hits::{Counted, Splice};
use super::{Compiled, Users};
use crate::model::records::{self, Redirect};
use crate::model::state::{Dirty, State};
use crate::tables::acl::{self, Acl, AddressMatch, Rule};
use crate::tables::fib::PrefixSet;

/// An ACL, and the record that it was compiled from.
#[derive(Clone)]
pub(super) struct CompiledAcl {
    record: Arc<records::Acl>,
    pub acl: Arc<Acl>,
    /// By the versions before.
    counted: Counted,
}

impl CompiledAcl {
    /// What each rule has decided, and then the end.
    pub fn hits(&mut self) -> Vec<u64> {
        self.counted.read(self.acl.hits(), self.acl.len())
    }
}

/// Compiles the groups and ACLs that changed, and the ACLs that use them; returns who uses those.
pub(super) fn compile(compiled: &mut Compiled, state: &State, dirty: &Dirty) -> Users {
    let mut regrouped: HashSet<&Arc<str>> = HashSet::new();
    for name in &dirty.groups {
        match state.groups.get(name) {
            Some(group) => compiled.groups.insert(name.clone(), Arc::new(group_of(group))),
            None => compiled.groups.remove(name),
        };
        regrouped.extend(state.of_group.get(name).into_iter().flatten());
    }
    // what rules redirect to has other numbers when it is there anew
    let new_vifs = dirty.vifs.iter().filter(|vif| compiled.snapshot.vifs.row(vif.index()).is_none());
    let new_vrfs = dirty.vrfs.iter().filter(|vrf| compiled.snapshot.vrfs.row(vrf.index()).is_none());
    let new_vifs = new_vifs.filter_map(|vif| Some(Redirect::Vif(state.vif_by_id.get(vif)?.name.clone())));
    let new_vrfs = new_vrfs.filter_map(|vrf| Some(Redirect::Vrf(state.vrf_by_id.get(vrf)?.name.clone())));
    for to in new_vifs.chain(new_vrfs) {
        regrouped.extend(state.of_redirect.get(&to).into_iter().flatten());
    }
    let mut users = Users::default();
    for name in regrouped.iter().copied().chain(dirty.acls.iter().filter(|name| !regrouped.contains(name))) {
        let before = compiled.acls.remove(name);
        if let Some(record) = state.acls.get(name) {
            let rule = |rule: &Arc<records::Rule>| rule_of(state, rule, &compiled.groups);
            let splice = before
                .as_ref()
                .map(|before| Splice::of(&before.record.rules, &record.rules, record.in_common(&before.record)));
            let acl = match (&before, &splice) {
                (Some(before), Some(splice)) if !regrouped.contains(name) => edited(&before.acl, record, splice, rule),
                _ => Acl::new(name.clone(), record.rules.iter().map(rule).collect()),
            };
            let mut counted = Counted::default();
            if let (Some(before), Some(splice)) = (before, splice) {
                counted = before.counted;
                counted.edit(before.acl.hits(), before.acl.len(), splice);
            }
            let acl = Arc::new(acl.counted(compiled.workers));
            compiled.acls.insert(name.clone(), CompiledAcl { record: record.clone(), acl, counted });
        }
        if let Some(of) = state.of_acl.get(name) {
            users.vrfs.extend(&of.vrfs);
            users.vifs.extend(&of.vifs);
        }
    }
    users
}

/// The ACLs that changed, compiled beside those in force, and who uses them. Nothing counts what they decide.
pub(super) fn beside(compiled: &Compiled, state: &State, dirty: &Dirty) -> (HashMap<Arc<str>, Arc<Acl>>, Users) {
    let (mut groups, mut changed) = (compiled.groups.clone(), HashSet::new());
    for name in &dirty.groups {
        if let Some(group) = state.groups.get(name) {
            groups.insert(name.clone(), Arc::new(group_of(group)));
        }
        changed.extend(state.of_group.get(name).into_iter().flatten());
    }
    let (mut acls, mut users) = (HashMap::new(), Users::default());
    for name in changed.iter().copied().chain(dirty.acls.iter().filter(|name| !changed.contains(name))) {
        let Some(record) = state.acls.get(name) else { continue };
        let rule = |rule: &Arc<records::Rule>| rule_of(state, rule, &groups);
        let acl = match compiled.acls.get(name).filter(|_| !changed.contains(name)) {
            Some(before) => {
                let splice = Splice::of(&before.record.rules, &record.rules, record.in_common(&before.record));
                edited(&before.acl, record, &splice, rule)
            }
            None => Acl::new(name.clone(), record.rules.iter().map(rule).collect()),
        };
        acls.insert(name.clone(), Arc::new(acl));
        if let Some(of) = state.of_acl.get(name) {
            users.vrfs.extend(&of.vrfs);
            users.vifs.extend(&of.vifs);
        }
    }
    (acls, users)
}

fn group_of(group: &records::Group) -> PrefixSet {
    let mut set = set_of(&group.prefixes);
    set.name = Some(group.name.clone());
    set
}

/// A set of these prefixes.
pub(super) fn set_of<'a>(prefixes: impl IntoIterator<Item = &'a records::Prefix>) -> PrefixSet {
    let mut set = PrefixSet::default();
    for prefix in prefixes {
        set.insert(prefix.address, prefix.length);
    }
    set
}

/// Compiles what an edit changed.
fn edited(before: &Acl, record: &records::Acl, splice: &Splice, rule: impl Fn(&Arc<records::Rule>) -> Rule) -> Acl {
    let into = record.rules[splice.from..splice.from + splice.into].iter().map(rule);
    before.spliced(splice.from..splice.until, into.collect())
}

fn rule_of(state: &State, rule: &records::Rule, groups: &HashMap<Arc<str>, Arc<PrefixSet>>) -> Rule {
    let side = |side: &records::AddressMatch| match side {
        records::AddressMatch::Any => AddressMatch::Any,
        records::AddressMatch::Prefix(prefix) => AddressMatch::Prefix(prefix.address, prefix.length),
        records::AddressMatch::Group(name) => AddressMatch::In(groups[name].clone()),
    };
    Rule {
        name: rule.name.clone(),
        permit: rule.permit,
        protocol: rule.protocol,
        source: side(&rule.source),
        destination: side(&rule.destination),
        source_ports: rule.source_ports.clone(),
        destination_ports: rule.destination_ports.clone(),
        icmp_type: rule.icmp_type,
        icmp_code: rule.icmp_code,
        redirect: rule.redirect.as_ref().map(|to| match to {
            Redirect::Vrf(name) => acl::Redirect::Vrf(state.vrfs[name].id),
            Redirect::Vif(name) => acl::Redirect::Vif(state.vifs[name].id),
        }),
    }
}
