//! Pools of addresses.
//!
//! An address that nobody gives follows from its interface's name and the pool alone, so that none moves when others come or go. Where
//! two names give the same one, that is a fault, which names both and an address that is free.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::sections;
use super::wrong::Wrong;
use crate::api::text::Prefix;

/// Names are tried so often where what they give is reserved.
const TRIES: u64 = 256;
/// Addresses that are looked at for a free one.
const LOOKED_AT: u128 = 4096;

/// A pool, with its gateway.
#[derive(Clone, Copy)]
pub struct Pool<'a> {
    pub prefix: Prefix,
    pub gateway: IpAddr,
    exclude: &'a [Prefix],
}

impl<'a> Pool<'a> {
    /// # Errors
    /// Which field is wrong, and why.
    pub fn of(given: &'a sections::Pool) -> Result<Pool<'a>, (&'static str, Wrong)> {
        let prefix = given.prefix;
        let gateway = given.gateway.unwrap_or_else(|| nth(prefix, if size(prefix) > 2 { 1 } else { 0 }));
        let pool = Pool { prefix, gateway, exclude: &given.exclude };
        if !holds(prefix, gateway) || pool.is_edge(gateway) {
            return Err(("gateway", Wrong::Gateway(gateway, prefix)));
        }
        match given.exclude.iter().find(|one| one.length() < prefix.length() || !holds(prefix, one.address())) {
            Some(outside) => Err(("exclude", Wrong::ExcludedOutside(*outside))),
            None => Ok(pool),
        }
    }

    pub fn holds(&self, address: IpAddr) -> bool {
        holds(self.prefix, address)
    }

    /// Whether an interface may have this address of the pool.
    pub fn is_usable(&self, address: IpAddr) -> bool {
        address != self.gateway && !self.is_edge(address) && !self.exclude.iter().any(|one| holds(*one, address))
    }

    /// The address that a name gives.
    ///
    /// # Errors
    /// What it gives is reserved, however often it is tried.
    pub fn by_name(&self, name: &str) -> Result<IpAddr, Wrong> {
        let size = size(self.prefix);
        let given = |at| nth(self.prefix, u128::from(hash(name, at)) % size);
        (0..TRIES).map(given).find(|address| self.is_usable(*address)).ok_or(Wrong::NoAddress(self.prefix))
    }

    /// The first address that none of these has, if there is one near the beginning.
    pub fn free<T>(&self, taken: &BTreeMap<IpAddr, T>) -> Option<IpAddr> {
        let mut all = (0..size(self.prefix).min(LOOKED_AT)).map(|at| nth(self.prefix, at));
        all.find(|address| self.is_usable(*address) && !taken.contains_key(address))
    }

    /// The network's own address, and IPv4's broadcast.
    fn is_edge(&self, address: IpAddr) -> bool {
        let size = size(self.prefix);
        size > 2 && (address == self.prefix.address() || address.is_ipv4() && address == nth(self.prefix, size - 1))
    }
}

/// Whether a prefix has an address.
pub fn holds(prefix: Prefix, address: IpAddr) -> bool {
    prefix.address().is_ipv4() == address.is_ipv4() && Prefix::around(address, prefix.length()) == prefix
}

/// Whether two prefixes have an address in common.
pub fn overlap(one: Prefix, other: Prefix) -> bool {
    if one.length() <= other.length() { holds(one, other.address()) } else { holds(other, one.address()) }
}

/// How many addresses it has; of IPv6 at most as many as a hash can name.
fn size(prefix: Prefix) -> u128 {
    let bits = if prefix.address().is_ipv4() { 32 } else { 128 };
    1 << (bits - u32::from(prefix.length())).min(64)
}

/// Its address at this place.
fn nth(prefix: Prefix, at: u128) -> IpAddr {
    match prefix.address() {
        IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits().wrapping_add(at as u32)).into(),
        IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits().wrapping_add(at)).into(),
    }
}

/// FNV-1a, then the end of MurmurHash3. Never another one: addresses and MACs follow from it.
pub fn hash(name: &str, seed: u64) -> u64 {
    let bytes = name.bytes().chain(seed.to_be_bytes());
    let mut hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}
