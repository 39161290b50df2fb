//! Projects, with networks, interfaces, tags, policies and service chains: what an operator wants, without numbers, and without saying what is
//! on which host. They expand into plain objects, before anything is checked or sent; the model knows none of them.
//!
//! - A **project** is a tenant and a scope of names: `web` of `acme` is the object `acme.web`.
//! - A **network** is a VRF with its ACL, and a bridge if it is to be; an **interface** that is on this host is a VIF, one on another host a route by tunnel to each address.
//! - A **tag** is an address group `acme.tag.web`; a network's addresses are the group `acme.network.web`.
//! - A **policy** is a rule of the ACLs of the networks that it is about, and routes between those that it joins.
//! - A **chain** is the redirect of such a rule.
//!
//! What the expansion makes is a function of what files say, not of the order in which they say it, but for policies: of these the first that
//! fits decides.

mod bridges;
mod chains;
mod objects;
mod policies;
mod pools;
mod scope;
mod sections;
mod site;
#[cfg(test)]
mod tests;
mod wrong;

use std::collections::{HashMap, HashSet};

pub use sections::{
    Chain, Encap, FrameNumbers, Host, Instance, Interface, Placed, Policy, Pool, Project, Side, Tag, VirtualNetwork,
};

use super::{Network, TenantQuota};
use crate::api::position::{At, Fault};
use scope::Scope;
use site::Site;
use wrong::{Refused, Wrong};

/// The version of the language that this program reads.
pub const VERSION: u32 = 1;

/// Makes plain objects of all sections of these files, each in the file of its project.
///
/// # Errors
/// The first fault, and which file has it.
pub(super) fn expand(files: &mut [Network]) -> Result<(), Refused> {
    if files.iter().all(|file| !file.has_sections()) {
        return Ok(());
    }
    let (made, quotas) = made(files)?;
    for (file, made) in files.iter_mut().zip(made) {
        (file.version, file.this_host) = (None, None);
        file.projects.clear();
        file.hosts.clear();
        file.append(made);
    }
    // `made` has seen that there are settings where there are quotas
    if let Some(settings) = files.iter_mut().find_map(|file| file.settings.as_mut()) {
        settings.value.tenant_quotas.extend(quotas);
    }
    Ok(())
}

/// What is made for each file, and quotas of tenants.
fn made(files: &[Network]) -> Result<(Vec<Network>, Vec<TenantQuota>), Refused> {
    for (file, network) in files.iter().enumerate() {
        check_version(network).map_err(|fault| (file, fault))?;
    }
    let site = Site::of(files)?;
    let scopes = scopes(files, &site)?;
    let vifs: HashSet<&str> =
        scopes.iter().flat_map(|scope| scope.members.values()).map(|one| one.vif.as_str()).collect();
    site.check(&vifs)?;
    let has_settings = files.iter().any(|file| file.settings.is_some());
    let mut made = vec![Network::default(); files.len()];
    let mut quotas = Vec::new();
    for scope in &scopes {
        let made = &mut made[scope.file];
        policies::add(scope, made)?;
        let joined = chains::joined(scope, &site)?;
        objects::add(scope, &site, &joined, made)?;
        bridges::add(scope, made)?;
        if let Some(quota) = scope.project.quota {
            if !has_settings {
                return Err(scope.refused(scope.project.position, "quota", Wrong::QuotaWithoutSettings));
            }
            quotas.push(TenantQuota { tenant: scope.tenant.clone(), quota, alarms: Vec::new() });
        }
    }
    Ok((made, quotas))
}

fn check_version(network: &Network) -> Result<(), Fault> {
    match &network.version {
        Some(At { value, position }) if *value > VERSION => {
            Err(Fault::new(*position, "version", Wrong::Version(*value, VERSION)))
        }
        _ => Ok(()),
    }
}

fn scopes<'a>(files: &'a [Network], site: &Site<'a>) -> Result<Vec<Scope<'a>>, Refused> {
    let mut scopes: Vec<Scope> = Vec::new();
    let mut seen: HashMap<String, (usize, &At<Project>)> = HashMap::new();
    for (file, network) in files.iter().enumerate() {
        for project in &network.projects {
            let scope = Scope::of(file, project, site)?;
            if let Some((first, other)) = seen.insert(scope.name.clone(), (file, project)) {
                let wrong = if first == file { Wrong::Twice(other.position) } else { Wrong::TwiceInFiles };
                return Err(scope.refused(project.position, "name", wrong));
            }
            scopes.push(scope);
        }
    }
    Ok(scopes)
}
