//! Sets of prefixes.

use std::net::IpAddr;

use super::Fib;

/// A set of prefixes of both families, for membership tests.
#[derive(Clone, Default)]
pub struct PrefixSet {
    v4: Fib<u32, ()>,
    v6: Fib<u128, ()>,
}

impl PrefixSet {
    /// Adds a prefix.
    pub fn insert(&mut self, address: IpAddr, length: u8) {
        match address {
            IpAddr::V4(address) => self.v4.insert(address.to_bits(), length, ()),
            IpAddr::V6(address) => self.v6.insert(address.to_bits(), length, ()),
        };
    }

    /// Whether a prefix holds the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.lookup(address.to_bits()).is_some(),
            IpAddr::V6(address) => self.v6.lookup(address.to_bits()).is_some(),
        }
    }

    /// Its IPv4 prefixes, as numbers.
    pub(in crate::tables) fn v4(&self) -> &Fib<u32, ()> {
        &self.v4
    }

    /// Its IPv6 prefixes, as numbers.
    pub(in crate::tables) fn v6(&self) -> &Fib<u128, ()> {
        &self.v6
    }
}
