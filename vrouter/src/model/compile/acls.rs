//! Address groups and ACLs.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::{Compiled, Users};
use crate::model::records;
use crate::model::state::{Dirty, State};
use crate::tables::acl::{Acl, AddressMatch, Rule};
use crate::tables::fib::PrefixSet;

/// Compiles the groups and ACLs that changed, and the ACLs that use them; returns who uses those.
pub(super) fn compile(compiled: &mut Compiled, state: &State, dirty: &Dirty) -> Users {
    let mut acls: HashSet<&Arc<str>> = dirty.acls.iter().collect();
    for name in &dirty.groups {
        match state.groups.get(name) {
            Some(group) => compiled.groups.insert(name.clone(), Arc::new(set_of(&group.prefixes))),
            None => compiled.groups.remove(name),
        };
        acls.extend(state.of_group.get(name).into_iter().flatten());
    }
    let mut users = Users::default();
    for name in acls {
        match state.acls.get(name) {
            Some(acl) => compiled.acls.insert(name.clone(), Arc::new(compile_acl(acl, &compiled.groups))),
            None => compiled.acls.remove(name),
        };
        if let Some(of) = state.of_acl.get(name) {
            users.vrfs.extend(&of.vrfs);
            users.vifs.extend(&of.vifs);
        }
    }
    users
}

/// A set of these prefixes.
pub(super) fn set_of<'a>(prefixes: impl IntoIterator<Item = &'a records::Prefix>) -> PrefixSet {
    let mut set = PrefixSet::default();
    for prefix in prefixes {
        set.insert(prefix.address, prefix.length);
    }
    set
}

fn compile_acl(acl: &records::Acl, groups: &HashMap<Arc<str>, Arc<PrefixSet>>) -> Acl {
    let side = |side: &records::AddressMatch| match side {
        records::AddressMatch::Any => AddressMatch::Any,
        records::AddressMatch::Prefix(prefix) => AddressMatch::Prefix(prefix.address, prefix.length),
        records::AddressMatch::Group(name) => AddressMatch::In(groups[name].clone()),
    };
    let rules = acl.rules.iter().map(|rule| Rule {
        name: rule.name.clone(),
        permit: rule.permit,
        protocol: rule.protocol,
        source: side(&rule.source),
        destination: side(&rule.destination),
        source_ports: rule.source_ports.clone(),
        destination_ports: rule.destination_ports.clone(),
        icmp_type: rule.icmp_type,
        icmp_code: rule.icmp_code,
    });
    Acl::new(acl.name.clone(), rules.collect())
}
