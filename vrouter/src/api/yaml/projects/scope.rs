//! A project whose names are known and whose interfaces have their addresses: what all steps of the expansion ask.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::IpAddr;

use super::pools::{Pool, hash, overlap};
use super::sections::{self, Chain, Instance, Interface, Project, Side, Tag};
use super::site::{Place, Site};
use super::wrong::{Refused, Wrong, nearest};
use crate::api::position::{At, Fault, Position};
use crate::ids::Mac;

/// The longest name of an object.
const LONGEST: usize = 63;

/// A project of a file.
pub struct Scope<'a> {
    pub file: usize,
    pub project: &'a At<Project>,
    /// What the names of its objects begin with: `acme`, `retail.acme`.
    pub name: String,
    /// Of its VRFs: `acme`, `retail/acme`.
    pub tenant: String,
    pub networks: BTreeMap<&'a str, VirtualNetwork<'a>>,
    pub tags: BTreeMap<&'a str, &'a At<Tag>>,
    pub members: BTreeMap<&'a str, Member<'a>>,
    pub chains: BTreeMap<&'a str, &'a At<Chain>>,
}

/// A network.
pub struct VirtualNetwork<'a> {
    pub given: &'a At<sections::VirtualNetwork>,
    pub vrf: String,
    pub pools: Vec<Pool<'a>>,
}

/// An interface.
pub struct Member<'a> {
    pub given: &'a At<Interface>,
    pub vif: String,
    pub mac: Mac,
    /// In order.
    pub addresses: Vec<IpAddr>,
    pub place: Place<'a>,
}

impl<'a> Scope<'a> {
    /// Resolves a project's names, and gives its interfaces what they do not say.
    ///
    /// # Errors
    /// The first name that is not there or twice, and addresses that cannot be.
    pub fn of(file: usize, project: &'a At<Project>, site: &Site<'a>) -> Result<Scope<'a>, Refused> {
        let domain = project.domain.as_deref();
        let joined = |by: &str| domain.map_or(project.name.clone(), |domain| format!("{domain}{by}{}", project.name));
        let mut scope = Scope {
            file,
            project,
            name: joined("."),
            tenant: joined("/"),
            networks: BTreeMap::new(),
            tags: BTreeMap::new(),
            members: BTreeMap::new(),
            chains: BTreeMap::new(),
        };
        for (field, name) in [("name", Some(project.name.as_str())), ("domain", domain)] {
            name.map_or(Ok(()), is_name).map_err(|wrong| scope.refused(project.position, field, wrong))?;
        }
        scope.add_networks()?;
        scope.tags = scope.named("tag", &project.tags, |tag| &tag.name)?;
        scope.named("policy", &project.policies, |policy| &policy.name)?;
        scope.add_interfaces(site)?;
        scope.chains = scope.named("chain", &project.chains, |chain| &chain.name)?;
        scope.check_chains()?;
        Ok(scope)
    }

    /// A fault of this project.
    pub fn refused(&self, position: Position, field: impl Display, wrong: Wrong) -> Refused {
        (self.file, Fault::new(position, format!("project {}: {field}", self.tenant), wrong))
    }

    /// The object of this project with these names.
    pub fn object(&self, names: &[&str]) -> String {
        format!("{}.{}", self.name, names.join("."))
    }

    /// A name among those of its kind.
    ///
    /// # Errors
    /// It is not there.
    pub fn find<'m, T>(kind: &'static str, all: &'m BTreeMap<&str, T>, name: &str) -> Result<&'m T, Wrong> {
        let unknown = || Wrong::Unknown { kind, name: name.to_owned(), near: nearest(name, all.keys().copied()) };
        all.get(name).ok_or_else(unknown)
    }

    /// The interfaces of a network, by name.
    pub fn of_network<'s>(&'s self, network: &'s str) -> impl Iterator<Item = &'s Member<'a>> {
        self.members.values().filter(move |member| member.given.network == network)
    }

    /// The networks in which somebody can be on this side.
    pub fn networks_of(&self, side: &Side) -> BTreeSet<&str> {
        let has = |tag: &str, network: &str| self.of_network(network).any(|member| has_tag(member, tag));
        let holds = |prefix, network: &VirtualNetwork| network.pools.iter().any(|pool| overlap(pool.prefix, prefix));
        let is_there = |name: &str, network: &VirtualNetwork| match side {
            Side { network: Some(only), .. } if only != name => false,
            Side { tag: Some(tag), network: None, .. } => {
                let prefixes = self.tags.get(tag.as_str()).map(|tag| &tag.prefixes[..]).unwrap_or_default();
                has(tag, name) || prefixes.iter().any(|prefix| holds(*prefix, network))
            }
            Side { tag: Some(tag), .. } => has(tag, name),
            Side { prefix: Some(prefix), .. } => holds(*prefix, network),
            _ => true,
        };
        self.networks.iter().filter(|(name, network)| is_there(name, network)).map(|(name, _)| *name).collect()
    }

    /// The interfaces of an instance: left and right.
    pub fn pair(&self, instance: &Instance) -> [&Member<'a>; 2] {
        let right = instance.right.as_deref().unwrap_or(&instance.left);
        [instance.left.as_str(), right].map(|name| &self.members[name])
    }

    fn named<T>(
        &self,
        kind: &str,
        all: &'a [At<T>],
        name: fn(&T) -> &String,
    ) -> Result<BTreeMap<&'a str, &'a At<T>>, Refused> {
        let mut named: BTreeMap<&str, &At<T>> = BTreeMap::new();
        for one in all {
            let field = || format!("{kind} {}", name(one));
            is_name(name(one)).map_err(|wrong| self.refused(one.position, field(), wrong))?;
            if let Some(first) = named.insert(name(one), one) {
                return Err(self.refused(one.position, field(), Wrong::Twice(first.position)));
            }
        }
        Ok(named)
    }

    fn add_networks(&mut self) -> Result<(), Refused> {
        let mut all: Vec<(&str, Pool)> = Vec::new();
        for (name, given) in self.named("network", &self.project.networks, |network| &network.name)? {
            let field = |field: &str| format!("network {name}: {field}");
            let mut pools = Vec::new();
            for (at, pool) in given.pools.iter().enumerate() {
                let pool = Pool::of(pool).map_err(|(part, wrong)| {
                    self.refused(given.position, field(&format!("pools[{at}].{part}")), wrong)
                })?;
                let other = all.iter().find(|(_, other)| overlap(other.prefix, pool.prefix));
                if let Some((network, other)) = other {
                    let wrong = Wrong::PoolsOverlap(other.prefix, (*network).to_owned());
                    return Err(self.refused(given.position, field(&format!("pools[{at}].prefix")), wrong));
                }
                all.push((name, pool));
                pools.push(pool);
            }
            if pools.is_empty() {
                return Err(self.refused(given.position, field("pools"), Wrong::NoPool));
            }
            let vrf = self.object(&[name]);
            self.check_length(given.position, field("name"), &self.object(&["network", name]))?;
            self.networks.insert(name, VirtualNetwork { given, vrf, pools });
        }
        Ok(())
    }

    fn check_length(&self, position: Position, field: String, object: &str) -> Result<(), Refused> {
        let long = || self.refused(position, field, Wrong::LongName(object.to_owned()));
        if object.len() > LONGEST { Err(long()) } else { Ok(()) }
    }

    fn add_interfaces(&mut self, site: &Site<'a>) -> Result<(), Refused> {
        let mut taken: BTreeMap<IpAddr, &str> = BTreeMap::new();
        let mut macs: BTreeMap<(&str, Mac), &str> = BTreeMap::new();
        let all = self.named("interface", &self.project.interfaces, |interface| &interface.name)?;
        // what is said comes first, so that it is what is made of a name that is told to give way
        let (said, made): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, given)| !given.addresses.is_empty());
        for (name, given) in said.into_iter().chain(made) {
            let refused =
                |field: &str, wrong| self.refused(given.position, format!("interface {name}: {field}"), wrong);
            let network = Self::find("network", &self.networks, &given.network).map_err(|w| refused("network", w))?;
            for tag in &given.tags {
                Self::find("tag", &self.tags, tag).map_err(|wrong| refused("tags", wrong))?;
            }
            let vif = self.object(&[name]);
            self.check_length(given.position, format!("interface {name}"), &vif)?;
            let mut addresses = given.addresses.clone();
            if addresses.is_empty() {
                addresses = by_name(network, &vif, &taken).map_err(|wrong| refused("addresses", wrong))?;
            }
            addresses.sort();
            for address in &addresses {
                is_usable(network, *address).map_err(|wrong| refused("addresses", wrong))?;
                if let Some(other) = taken.insert(*address, name) {
                    return Err(refused("addresses", Wrong::AddressTaken(*address, other.to_owned())));
                }
            }
            let mac = given.mac.unwrap_or_else(|| mac_by_name(&vif));
            if let Some(other) = macs.insert((given.network.as_str(), mac), name) {
                return Err(refused("mac", Wrong::MacTaken(mac, other.to_owned())));
            }
            let place = site.place(&vif);
            self.members.insert(name, Member { given, vif, mac, addresses, place });
        }
        Ok(())
    }

    fn check_chains(&self) -> Result<(), Refused> {
        for (name, chain) in &self.chains {
            let refused = |field: &str, wrong| self.refused(chain.position, format!("chain {name}: {field}"), wrong);
            if chain.instances.is_empty() {
                return Err(refused("instances", Wrong::NoInstance));
            }
            for instance in &chain.instances {
                for interface in [Some(&instance.left), instance.right.as_ref()].into_iter().flatten() {
                    let found = Self::find("interface", &self.members, interface);
                    found.map_err(|wrong| refused("instances", wrong))?;
                }
                let [left, right] = self.pair(instance);
                if !is_one_host(left.place, right.place) {
                    let wrong = Wrong::ChainSplit(left.given.name.clone(), right.given.name.clone());
                    return Err(refused("instances", wrong));
                }
            }
        }
        Ok(())
    }
}

/// Whether an interface says this tag.
pub fn has_tag(member: &Member, tag: &str) -> bool {
    member.given.tags.iter().any(|has| has == tag)
}

fn is_one_host(one: Place, other: Place) -> bool {
    match (one, other) {
        (Place::Here { .. }, Place::Here { .. }) | (Place::Nowhere, Place::Nowhere) => true,
        (Place::There(one), Place::There(other)) => one.name == other.name,
        _ => false,
    }
}

fn is_name(name: &str) -> Result<(), Wrong> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_good = (1..=LONGEST).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(plain);
    if is_good { Ok(()) } else { Err(Wrong::Name(name.to_owned())) }
}

fn is_usable(network: &VirtualNetwork, address: IpAddr) -> Result<(), Wrong> {
    let pool = network.pools.iter().find(|pool| pool.holds(address));
    let pool = pool.ok_or_else(|| Wrong::AddressOutside(address, network.given.name.clone()))?;
    if pool.is_usable(address) { Ok(()) } else { Err(Wrong::AddressReserved(address)) }
}

/// An address of the first pool of each family.
fn by_name(network: &VirtualNetwork, vif: &str, taken: &BTreeMap<IpAddr, &str>) -> Result<Vec<IpAddr>, Wrong> {
    let mut addresses = Vec::new();
    for is_v4 in [true, false] {
        let pool = network.pools.iter().find(|pool| pool.prefix.address().is_ipv4() == is_v4);
        let Some(pool) = pool else { continue };
        let address = pool.by_name(vif)?;
        if let Some(other) = taken.get(&address) {
            let (other, free) = ((*other).to_owned(), pool.free(taken));
            return Err(Wrong::AddressByName { address, other, free });
        }
        addresses.push(address);
    }
    Ok(addresses)
}

/// A MAC that is nobody's else, as far as 40 bits go.
fn mac_by_name(vif: &str) -> Mac {
    let [a, b, c, d, e, ..] = hash(vif, 0x006d_6163).to_be_bytes();
    Mac([2, a, b, c, d, e])
}
