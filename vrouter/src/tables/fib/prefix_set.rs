//! Sets of prefixes.

use std::net::IpAddr;
use std::sync::Arc;

use super::Fib;

/// A set of prefixes of both families, for membership tests.
#[derive(Clone, Default)]
pub struct PrefixSet {
    /// Of an address group, for people.
    pub name: Option<Arc<str>>,
    v4: Fib<u32, ()>,
    v6: Fib<u128, ()>,
    few: Few,
}

/// The same while they are few: address and mask of each, compared one by one. What most tenants' interfaces have.
#[derive(Clone, Copy)]
struct Few {
    v4: ([(u32, u32); Few::MOST], usize),
    v6: ([(u128, u128); Few::MOST], usize),
}

impl Few {
    const MOST: usize = 4;
}

impl Default for Few {
    fn default() -> Few {
        // no address is 1 under a mask of zeros
        Few { v4: ([(1, 0); Few::MOST], 0), v6: ([(1, 0); Few::MOST], 0) }
    }
}

impl PrefixSet {
    /// Adds a prefix.
    pub fn insert(&mut self, address: IpAddr, length: u8) {
        match address {
            IpAddr::V4(address) => {
                self.v4.insert(address.to_bits(), length, ());
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                note(&mut self.few.v4, (address.to_bits() & mask, mask));
            }
            IpAddr::V6(address) => {
                self.v6.insert(address.to_bits(), length, ());
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                note(&mut self.few.v6, (address.to_bits() & mask, mask));
            }
        }
    }

    /// Whether a prefix holds the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.contains_v4(address.to_bits()),
            IpAddr::V6(address) => self.contains_v6(address.to_bits()),
        }
    }

    /// The same of an IPv4 address as a number.
    #[inline(always)]
    pub fn contains_v4(&self, address: u32) -> bool {
        let (few, count) = &self.few.v4;
        let among = few.iter().fold(false, |among, &(prefix, mask)| among | (address & mask == prefix));
        among || *count > Few::MOST && self.v4.lookup(address).is_some()
    }

    /// The same of an IPv6 address as a number.
    #[inline(always)]
    pub fn contains_v6(&self, address: u128) -> bool {
        let (few, count) = &self.few.v6;
        // one by one: they are wide, and it is often the first
        let among = few.iter().any(|&(prefix, mask)| address & mask == prefix);
        among || *count > Few::MOST && self.v6.lookup(address).is_some()
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

/// One prefix more: beyond the last place they are only counted.
fn note<T>((few, count): &mut ([T; Few::MOST], usize), prefix: T) {
    if let Some(place) = few.get_mut(*count) {
        *place = prefix;
    }
    *count += 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn few_prefixes_and_many_hold_the_same_addresses(
            prefixes in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..8),
            wide in prop::collection::vec((any::<u128>(), 0_u8..=128), 0..8),
            address: u32,
            other: u128,
        ) {
            let mut set = PrefixSet::default();
            prefixes.iter().for_each(|&(address, length)| set.insert(IpAddr::V4(address.into()), length));
            wide.iter().for_each(|&(address, length)| set.insert(IpAddr::V6(address.into()), length));
            for address in prefixes.iter().map(|prefix| prefix.0 ^ 1).chain([address]) {
                prop_assert_eq!(set.contains_v4(address), set.v4.lookup(address).is_some());
            }
            for address in wide.iter().map(|prefix| prefix.0 ^ 1).chain([other]) {
                prop_assert_eq!(set.contains_v6(address), set.v6.lookup(address).is_some());
            }
        }
    }
}
