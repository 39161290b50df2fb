//! Service chains, and which networks policies join.
//!
//! A flow that a chain takes is sent to the left interface of the instance on the host where it begins; what the service sends by its
//! right one is a flow of its own, in the network to which the policy is. That its answers come back to the service, from whatever host,
//! they are carried in that network.

use std::collections::BTreeMap;

use super::super::{Action, Redirect};
use super::scope::{Member, Scope};
use super::sections::{Instance, Policy};
use super::site::{Place, Site};
use super::wrong::{Refused, Wrong};
use crate::api::position::At;
use crate::api::text::Prefix;

/// Pairs of networks that policies join, by name, each with the one in whose VRF tunnels carry what passes between them.
pub type Joined<'s> = BTreeMap<(&'s str, &'s str), &'s str>;

/// Which networks policies join. Both directions of a flow are carried in the same VRF, or answers would come by another than
/// they are expected: in the first one by name, or to the network where a chain ends.
///
/// # Errors
/// Chains in both directions, with several hosts.
pub fn joined<'s>(scope: &'s Scope, site: &Site) -> Result<Joined<'s>, Refused> {
    let mut joined = Joined::new();
    let mut chained: BTreeMap<(&str, &str), (&str, &str)> = BTreeMap::new();
    for policy in scope.project.policies.iter().filter(|policy| policy.action == Action::Permit) {
        let tos = scope.networks_of(&policy.to);
        for from in scope.networks_of(&policy.from) {
            for to in tos.iter().copied().filter(|to| *to != from) {
                let pair = (from.min(to), from.max(to));
                if policy.chain.is_none() {
                    joined.entry(pair).or_insert(pair.0);
                    continue;
                }
                if !chained.contains_key(&pair) {
                    joined.insert(pair, to);
                }
                let (first, end) = *chained.entry(pair).or_insert((policy.name.as_str(), to));
                if end != to && site.has_others() {
                    let wrong = Wrong::ChainsCross(from.to_owned(), to.to_owned(), first.to_owned());
                    return Err(scope.refused(policy.position, format!("policy {}: chain", policy.name), wrong));
                }
            }
        }
    }
    Ok(joined)
}

/// Where a policy sends what begins on this host.
///
/// # Errors
/// It does not fit its chain, or begins where the chain has no instance.
pub fn redirect(scope: &Scope, policy: &At<Policy>) -> Result<Option<Redirect>, Refused> {
    let Some(name) = &policy.chain else { return Ok(None) };
    let refused =
        |field: &str, wrong| scope.refused(policy.position, format!("policy {}: {field}", policy.name), wrong);
    let chain = Scope::find("chain", &scope.chains, name).map_err(|wrong| refused("chain", wrong))?;
    if policy.action == Action::Deny {
        return Err(refused("chain", Wrong::ChainDenies));
    }
    let from = policy.from.network.as_deref().ok_or_else(|| refused("from.network", Wrong::ChainSide))?;
    let to = policy.to.network.as_deref().ok_or_else(|| refused("to.network", Wrong::ChainSide))?;
    for instance in &chain.instances {
        for (member, network) in scope.pair(instance).into_iter().zip([from, to]) {
            if member.given.network != network {
                let (interface, policy) = (member.given.name.clone(), policy.name.clone());
                let wrong = Wrong::ChainNetwork { interface, network: network.to_owned(), policy };
                return Err(scope.refused(chain.position, format!("chain {name}"), wrong));
            }
        }
    }
    if from == to && scope.networks[from].given.bridge.is_some() {
        return Err(refused("chain", Wrong::ChainBridged(from.to_owned())));
    }
    let left = |instance: &Instance| scope.pair(instance)[0];
    let here = |member: &Member| matches!(member.place, Place::Here { .. });
    if let Some(instance) = chain.instances.iter().find(|instance| here(left(instance))) {
        return Ok(Some(Redirect::Vif(left(instance).vif.clone())));
    }
    let served = scope.of_network(from).find(|member| here(member) && service(scope, member).is_none());
    match served {
        None => Ok(None),
        Some(member) => {
            let (interface, policy) = (member.given.name.clone(), policy.name.clone());
            let wrong = Wrong::ChainElsewhere { network: from.to_owned(), interface, policy };
            Err(scope.refused(chain.position, format!("chain {name}"), wrong))
        }
    }
}

/// For an interface of a chain what it may send from: all addresses of both networks.
pub fn service(scope: &Scope, member: &Member) -> Option<Vec<Prefix>> {
    let instances = scope.chains.values().flat_map(|chain| &chain.instances);
    let pairs = instances.map(|instance| scope.pair(instance));
    let mut of: Vec<_> = pairs.filter(|pair| pair.iter().any(|one| one.vif == member.vif)).flatten().collect();
    if of.is_empty() {
        return None;
    }
    of.sort_by(|one, other| one.given.network.cmp(&other.given.network));
    of.dedup_by(|one, other| one.given.network == other.given.network);
    let networks = of.iter().map(|one| &scope.networks[one.given.network.as_str()]);
    Some(networks.flat_map(|network| network.pools.iter().map(|pool| pool.prefix)).collect())
}
