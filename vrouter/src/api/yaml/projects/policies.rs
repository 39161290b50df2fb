//! Policies: an ACL for each network's VRF, whose rules name groups.
//!
//! Which rules an ACL has follows from what policies say, and from nobody's membership: who gets or loses a tag changes groups alone.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Acl, Action, AddressMatch, Group, Network, Rule};
use super::chains;
use super::scope::{Member, Scope, VirtualNetwork, has_tag};
use super::sections::{Policy, Side};
use super::wrong::{Refused, Wrong};
use crate::api::position::{At, Position};
use crate::api::text::Prefix;

/// Protocols with ports.
const WITH_PORTS: [u8; 4] = [6, 17, 132, 136];
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Adds groups and ACLs of a project.
///
/// # Errors
/// The first policy that is wrong.
pub fn add(scope: &Scope, made: &mut Network) -> Result<(), Refused> {
    let mut rules = Vec::new();
    for policy in &scope.project.policies {
        check(scope, policy)?;
        rules.push((policy, rule(scope, policy), chains::redirect(scope, policy)?));
    }
    for (&name, network) in &scope.networks {
        let mut of_network = Vec::new();
        for (policy, rule, redirect) in &rules {
            if concerns(&policy.from, name) || concerns(&policy.to, name) {
                // who begins is there where it is sent elsewhere
                let redirect = redirect.clone().filter(|_| policy.from.network.as_deref() == Some(name));
                of_network.push(At { value: Rule { redirect, ..rule.clone() }, position: policy.position });
            }
        }
        let own = || Some(AddressMatch::Group { group: scope.object(&["network", name]) });
        let tagged = Some(AddressMatch::Group { group: scope.object(&["tagged", name]) });
        let last = [plain("tagged", Action::Deny, None, tagged), plain("within", Action::Permit, own(), own())];
        of_network.extend(last.map(|value| At { value, position: network.given.position }));
        let acl = Acl { name: network.vrf.clone(), rules: of_network, owner: None };
        made.acls.push(At { value: acl, position: network.given.position });
    }
    add_groups(scope, made);
    Ok(())
}

/// Whether a side can be in a network, by what it says.
fn concerns(side: &Side, network: &str) -> bool {
    side.network.as_deref().is_none_or(|only| only == network)
}

fn check(scope: &Scope, policy: &At<Policy>) -> Result<(), Refused> {
    let refused =
        |field: &str, wrong| scope.refused(policy.position, format!("policy {}: {field}", policy.name), wrong);
    let mut is_v4 = match policy.protocol.map(|protocol| protocol.0) {
        Some(ICMP) => Some(true),
        Some(ICMPV6) => Some(false),
        _ => None,
    };
    for (field, side) in [("from", &policy.from), ("to", &policy.to)] {
        if let Some(network) = &side.network {
            Scope::find("network", &scope.networks, network)
                .map_err(|wrong| refused(&format!("{field}.network"), wrong))?;
        }
        if let Some(tag) = &side.tag {
            Scope::find("tag", &scope.tags, tag).map_err(|wrong| refused(&format!("{field}.tag"), wrong))?;
        }
        let Some(prefix) = side.prefix else { continue };
        if side.network.is_some() || side.tag.is_some() {
            return Err(refused(&format!("{field}.prefix"), Wrong::PrefixAlone));
        }
        if is_v4.is_some_and(|v4| v4 != prefix.address().is_ipv4()) {
            return Err(refused(&format!("{field}.prefix"), Wrong::Family));
        }
        is_v4 = Some(prefix.address().is_ipv4());
    }
    let protocol = policy.protocol.map(|protocol| protocol.0);
    if !policy.ports.is_empty() && !protocol.is_some_and(|protocol| WITH_PORTS.contains(&protocol)) {
        return Err(refused("ports", Wrong::NeedsPorts));
    }
    if policy.icmp_type.is_some() && !matches!(protocol, Some(ICMP | ICMPV6)) {
        return Err(refused("icmp_type", Wrong::NeedsIcmp));
    }
    Ok(())
}

/// The rule of a policy, called like it.
fn rule(scope: &Scope, policy: &Policy) -> Rule {
    let rule = plain("", policy.action, side(scope, &policy.from), side(scope, &policy.to));
    let mut name = format!("policy {}", policy.name);
    // a rule's name is as long as an object's
    name.truncate(63);
    Rule {
        name: Some(name),
        protocol: policy.protocol,
        destination_ports: policy.ports.clone(),
        icmp_type: policy.icmp_type,
        ..rule
    }
}

fn plain(name: &str, action: Action, source: Option<AddressMatch>, destination: Option<AddressMatch>) -> Rule {
    Rule {
        name: Some(name.to_owned()),
        action,
        protocol: None,
        source,
        destination,
        source_ports: Vec::new(),
        destination_ports: Vec::new(),
        icmp_type: None,
        icmp_code: None,
        redirect: None,
    }
}

/// Whom a side is about, as rules say it.
fn side(scope: &Scope, side: &Side) -> Option<AddressMatch> {
    let group = match (&side.network, &side.tag) {
        (Some(network), Some(tag)) => scope.object(&["network", network, "tag", tag]),
        (Some(network), None) => scope.object(&["network", network]),
        (None, Some(tag)) => scope.object(&["tag", tag]),
        (None, None) => return side.prefix.map(AddressMatch::Prefix),
    };
    Some(AddressMatch::Group { group })
}

fn add_groups(scope: &Scope, made: &mut Network) {
    let mut add = |names: &[&str], position: Position, prefixes: BTreeSet<Prefix>| {
        let group = Group { name: scope.object(names), prefixes: prefixes.into_iter().collect(), owner: None };
        made.groups.push(At { value: group, position });
    };
    for (&name, network) in &scope.networks {
        add(&["network", name], network.given.position, prefixes(network));
        let tagged = scope.of_network(name).filter(|member| !member.given.tags.is_empty());
        add(&["tagged", name], network.given.position, hosts(tagged));
    }
    for (&name, tag) in &scope.tags {
        let mut all = hosts(scope.members.values().filter(|member| has_tag(member, name)));
        all.extend(&tag.prefixes);
        add(&["tag", name], tag.position, all);
    }
    // what of a network has a tag, where a policy says so
    let mut both: BTreeMap<(&str, &str), Position> = BTreeMap::new();
    for policy in &scope.project.policies {
        for side in [&policy.from, &policy.to] {
            if let (Some(network), Some(tag)) = (&side.network, &side.tag) {
                both.entry((network.as_str(), tag.as_str())).or_insert(policy.position);
            }
        }
    }
    for ((network, tag), position) in both {
        let members = scope.of_network(network).filter(|member| has_tag(member, tag));
        add(&["network", network, "tag", tag], position, hosts(members));
    }
}

fn prefixes(network: &VirtualNetwork) -> BTreeSet<Prefix> {
    network.pools.iter().map(|pool| pool.prefix).collect()
}

fn hosts<'m, 'a: 'm>(members: impl Iterator<Item = &'m Member<'a>>) -> BTreeSet<Prefix> {
    members.flat_map(|member| &member.addresses).map(|address| Prefix::host(*address)).collect()
}
