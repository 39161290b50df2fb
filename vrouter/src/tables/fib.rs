//! Longest-prefix match: a persistent trie.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::ids::NextHopId;

/// An address as an unsigned number in host order: `u32` or `u128`.
pub trait Bits: Copy + Eq + Ord + Send + Sync + 'static {
    /// 32 or 128.
    const WIDTH: u8;
    /// The first `length` bits, the others zero.
    fn masked(self, length: u8) -> Self;
}

impl Bits for u32 {
    const WIDTH: u8 = 32;
    fn masked(self, length: u8) -> u32 {
        self & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
    }
}

impl Bits for u128 {
    const WIDTH: u8 = 128;
    fn masked(self, length: u8) -> u128 {
        self & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
    }
}

/// One VRF's routes of one family. A clone is O(1) and does not see later changes.
#[derive(Clone)]
pub struct Fib<A: Bits> {
    routes: Arc<BTreeMap<(u8, A), NextHopId>>,
}

impl<A: Bits> Default for Fib<A> {
    fn default() -> Self {
        Fib { routes: Arc::default() }
    }
}

impl<A: Bits> Fib<A> {
    /// Sets the next hop of a prefix; returns the one before. Bits beyond `length` are ignored; `length` at most `A::WIDTH`.
    pub fn insert(&mut self, address: A, length: u8, next_hop: NextHopId) -> Option<NextHopId> {
        Arc::make_mut(&mut self.routes).insert((length, address.masked(length)), next_hop)
    }

    /// Takes a prefix out; returns its next hop.
    pub fn remove(&mut self, address: A, length: u8) -> Option<NextHopId> {
        Arc::make_mut(&mut self.routes).remove(&(length, address.masked(length)))
    }

    /// The longest prefix that holds `address`: its length and next hop.
    pub fn lookup(&self, address: A) -> Option<(u8, NextHopId)> {
        (0..=A::WIDTH).rev().find_map(|length| Some((length, *self.routes.get(&(length, address.masked(length)))?)))
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// No route at all.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}

/// A set of prefixes of both families, for membership tests.
#[derive(Clone, Default)]
pub struct PrefixSet {
    v4: Fib<u32>,
    v6: Fib<u128>,
}

impl PrefixSet {
    /// Adds a prefix.
    pub fn insert(&mut self, address: IpAddr, length: u8) {
        match address {
            IpAddr::V4(address) => self.v4.insert(address.to_bits(), length, NextHopId(0)),
            IpAddr::V6(address) => self.v6.insert(address.to_bits(), length, NextHopId(0)),
        };
    }

    /// Whether a prefix holds the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.lookup(address.to_bits()).is_some(),
            IpAddr::V6(address) => self.v6.lookup(address.to_bits()).is_some(),
        }
    }
}
