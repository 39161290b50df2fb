//! Flow keys, and the flow table seen by family.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use flowtable::{Entry, FlowTable, Half, Handle, InsertError, Key, Packet, Pair};

use super::quota::Accounts;
use crate::ids::{Context, Generation, MemberId};
use crate::packet::tuple::{FlowTuple, protocol};

/// A flow's full key: tuple and context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowKey {
    V4(Key<2>),
    V6(Key<5>),
}

/// Bit of the tag that says: of a packet in fragments, whose id stands for ports. The low byte is the protocol.
const FRAGMENT: u16 = 1 << 8;

impl FlowKey {
    /// The key of a packet with this tuple that enters here.
    #[inline]
    pub fn new(tuple: &FlowTuple, context: Context) -> FlowKey {
        let tag = u16::from(tuple.protocol) | if tuple.fragment { FRAGMENT } else { 0 };
        let ports = u64::from(tuple.source_port) << 48 | u64::from(tuple.destination_port) << 32 | u64::from(context.0);
        let halves = |address: Ipv6Addr| ((address.to_bits() >> 64) as u64, address.to_bits() as u64);
        match (tuple.source, tuple.destination) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                FlowKey::V4(Key { words: [u64::from(a.to_bits()) << 32 | u64::from(b.to_bits()), ports], tag })
            }
            (a, b) => {
                let v6 = |address| match address {
                    IpAddr::V4(a) => a.to_ipv6_mapped(),
                    IpAddr::V6(a) => a,
                };
                let ((a, b), (c, d)) = (halves(v6(a)), halves(v6(b)));
                FlowKey::V6(Key { words: [a, b, c, d, ports], tag })
            }
        }
    }

    /// The tuple and context again.
    pub fn parts(&self) -> (FlowTuple, Context) {
        let v6 = |high: u64, low: u64| IpAddr::V6(Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)));
        let (source, destination, ports, tag) = match self {
            FlowKey::V4(key) => {
                let (a, b) = ((key.words[0] >> 32) as u32, key.words[0] as u32);
                (Ipv4Addr::from_bits(a).into(), Ipv4Addr::from_bits(b).into(), key.words[1], key.tag)
            }
            FlowKey::V6(Key { words: [a, b, c, d, ports], tag }) => (v6(*a, *b), v6(*c, *d), *ports, *tag),
        };
        let tuple = FlowTuple {
            source,
            destination,
            protocol: tag as u8,
            fragment: tag & FRAGMENT != 0,
            source_port: (ports >> 48) as u16,
            destination_port: (ports >> 32) as u16,
        };
        (tuple, Context(ports as u32))
    }
}

/// When a half was decided, and the ECMP member that it was given, as one stamp of an entry: 40 bits and 24.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided(pub u64);

impl Decided {
    /// In this generation, for this member.
    pub fn new(generation: Generation, member: MemberId) -> Decided {
        Decided(generation.0 << 24 | u64::from(member.0 & 0xff_ffff))
    }

    /// The generation of the snapshot that decided.
    #[inline]
    pub fn generation(self) -> u64 {
        self.0 >> 24
    }

    /// The member by its stable name; 0: none.
    pub fn member(self) -> MemberId {
        MemberId((self.0 & 0xff_ffff) as u32)
    }
}

/// A pair of entries with their keys.
#[derive(Clone, Copy, Debug)]
pub struct FlowPair {
    /// The initiator's direction, and the answers'.
    pub forward: (FlowKey, Entry),
    pub reverse: (FlowKey, Entry),
    pub handle: Handle,
    /// The tick of its set-up.
    pub created: u32,
}

impl FlowPair {
    /// A pair of IPv4 flows.
    pub fn v4(pair: &Pair<2>) -> FlowPair {
        let side = |(key, entry): (Key<2>, Entry)| (FlowKey::V4(key), entry);
        FlowPair {
            forward: side(pair.forward),
            reverse: side(pair.reverse),
            handle: pair.handle,
            created: pair.created,
        }
    }

    /// A pair of IPv6 flows.
    pub fn v6(pair: &Pair<5>) -> FlowPair {
        let side = |(key, entry): (Key<5>, Entry)| (FlowKey::V6(key), entry);
        FlowPair {
            forward: side(pair.forward),
            reverse: side(pair.reverse),
            handle: pair.handle,
            created: pair.created,
        }
    }
}

/// Both families' calls behind one key type.
pub trait Flows {
    fn hash(&self, key: &FlowKey) -> u64;
    fn prefetch(&self, key: &FlowKey, hash: u64);
    fn prefetch_room(&self, key: &FlowKey, hash: u64);
    fn find(&self, key: &FlowKey, hash: u64) -> Option<(Handle, Entry)>;
    fn candidate(&self, key: &FlowKey, hash: u64) -> u32;
    fn find_at(&self, key: &FlowKey, hash: u64, candidate: u32) -> Option<(Handle, Entry)>;
    fn insert(
        &self,
        forward: (&FlowKey, Half),
        reverse: (&FlowKey, Half),
        hashes: [u64; 2],
        owner: u32,
        now: u32,
        first: Option<Packet>,
    ) -> Result<Handle, InsertError>;
    fn update(&self, key: &FlowKey, handle: Handle, half: Half) -> bool;
    fn touch(&self, key: &FlowKey, handle: Handle, bytes: u32, now: u32, state: u16) -> bool;
    fn touch_decided(&self, key: &FlowKey, handle: Handle, half: Half, bytes: u32, now: u32, state: u16) -> bool;
    fn set_state(&self, key: &FlowKey, handle: Handle, bits: u16) -> bool;
    fn carry(&self, key: &FlowKey, handle: Handle, packets: u64, bytes: u64) -> bool;
    fn clear_state(&self, key: &FlowKey, handle: Handle, bits: u16) -> bool;
    fn end(&self, accounts: &Accounts, key: &FlowKey, handle: Handle) -> bool;
    fn pair_of(&self, key: &FlowKey, handle: Handle) -> Option<FlowPair>;
}

macro_rules! by_family {
    ($flows:expr, $key:expr, |$pairs:ident, $inner:ident| $call:expr) => {
        match $key {
            FlowKey::V4($inner) => {
                let $pairs = $flows.narrow();
                $call
            }
            FlowKey::V6($inner) => {
                let $pairs = $flows.wide();
                $call
            }
        }
    };
}

impl FlowKey {
    /// Of the larger family.
    #[inline]
    pub fn is_wide(&self) -> bool {
        matches!(self, FlowKey::V6(_))
    }

    /// All of it.
    pub fn words(&self) -> (&[u64], u16) {
        match self {
            FlowKey::V4(key) => (&key.words, key.tag),
            FlowKey::V6(key) => (&key.words, key.tag),
        }
    }

    /// The place where its packets enter.
    #[inline]
    pub fn context(&self) -> Context {
        let (FlowKey::V4(Key { words: [.., ports], .. }) | FlowKey::V6(Key { words: [.., ports], .. })) = self;
        Context(*ports as u32)
    }

    /// The key of the answers, which enter there.
    #[inline]
    pub fn turned(&self, context: Context) -> FlowKey {
        let (FlowKey::V4(Key { tag, .. }) | FlowKey::V6(Key { tag, .. })) = *self;
        if [protocol::ICMP, protocol::ICMPV6].contains(&(tag as u8)) {
            // the answer's type
            return FlowKey::new(&self.parts().0.reversed(), context);
        }
        let swapped = |ports: u64| ports << 16 & 0xffff << 48 | ports >> 16 & 0xffff << 32 | u64::from(context.0);
        match *self {
            FlowKey::V4(Key { words: [ends, ports], tag }) => {
                FlowKey::V4(Key { words: [ends.rotate_left(32), swapped(ports)], tag })
            }
            FlowKey::V6(Key { words: [a, b, c, d, ports], tag }) => {
                FlowKey::V6(Key { words: [c, d, a, b, swapped(ports)], tag })
            }
        }
    }
}

impl Flows for FlowTable {
    #[inline]
    fn hash(&self, key: &FlowKey) -> u64 {
        by_family!(self, key, |pairs, key| pairs.hash(key))
    }

    #[inline]
    fn prefetch(&self, key: &FlowKey, hash: u64) {
        by_family!(self, key, |pairs, _key| pairs.prefetch_bucket(hash));
    }

    #[inline]
    fn prefetch_room(&self, key: &FlowKey, hash: u64) {
        by_family!(self, key, |pairs, _key| pairs.prefetch_room(hash));
    }

    #[inline]
    fn find(&self, key: &FlowKey, hash: u64) -> Option<(Handle, Entry)> {
        by_family!(self, key, |pairs, key| pairs.find(key, hash))
    }

    #[inline]
    fn candidate(&self, key: &FlowKey, hash: u64) -> u32 {
        by_family!(self, key, |pairs, _key| pairs.candidate(pairs.sought(hash)))
    }

    #[inline]
    fn find_at(&self, key: &FlowKey, hash: u64, candidate: u32) -> Option<(Handle, Entry)> {
        by_family!(self, key, |pairs, key| pairs.find_at(key, hash, candidate))
    }

    fn insert(
        &self,
        forward: (&FlowKey, Half),
        reverse: (&FlowKey, Half),
        hashes: [u64; 2],
        owner: u32,
        now: u32,
        first: Option<Packet>,
    ) -> Result<Handle, InsertError> {
        match (forward.0, reverse.0) {
            (FlowKey::V4(f), FlowKey::V4(r)) => {
                self.narrow().insert_hashed((f, forward.1), (r, reverse.1), hashes, owner, now, first)
            }
            (FlowKey::V6(f), FlowKey::V6(r)) => {
                self.wide().insert_hashed((f, forward.1), (r, reverse.1), hashes, owner, now, first)
            }
            // a tuple and its reverse are of one family
            _ => Err(InsertError::Full),
        }
    }

    fn update(&self, key: &FlowKey, handle: Handle, half: Half) -> bool {
        by_family!(self, key, |pairs, _key| pairs.update(handle, half))
    }

    #[inline]
    fn touch(&self, key: &FlowKey, handle: Handle, bytes: u32, now: u32, state: u16) -> bool {
        by_family!(self, key, |pairs, _key| pairs.touch(handle, bytes, now, state))
    }

    #[inline]
    fn touch_decided(&self, key: &FlowKey, handle: Handle, half: Half, bytes: u32, now: u32, state: u16) -> bool {
        by_family!(self, key, |pairs, _key| pairs.touch_decided(handle, half, bytes, now, state))
    }

    fn set_state(&self, key: &FlowKey, handle: Handle, bits: u16) -> bool {
        by_family!(self, key, |pairs, _key| pairs.set_state(handle, bits))
    }

    fn carry(&self, key: &FlowKey, handle: Handle, packets: u64, bytes: u64) -> bool {
        by_family!(self, key, |pairs, _key| pairs.carry(handle, packets, bytes))
    }

    fn clear_state(&self, key: &FlowKey, handle: Handle, bits: u16) -> bool {
        by_family!(self, key, |pairs, _key| pairs.clear_state(handle, bits))
    }

    fn end(&self, accounts: &Accounts, key: &FlowKey, handle: Handle) -> bool {
        by_family!(self, key, |pairs, _key| pairs.take(handle).inspect(|pair| accounts.ended(pair)).is_some())
    }

    fn pair_of(&self, key: &FlowKey, handle: Handle) -> Option<FlowPair> {
        let pair = match key {
            FlowKey::V4(_) => self.narrow().pair(handle.index() / 2).map(|pair| FlowPair::v4(&pair)),
            FlowKey::V6(_) => self.wide().pair(handle.index() / 2).map(|pair| FlowPair::v6(&pair)),
        };
        // the place may hold another pair by now
        pair.filter(|pair| pair.forward.0 == *key || pair.reverse.0 == *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_gives_back_its_parts(a: u32, b: u32, c: u128, d: u128, protocol: u8, fragment: bool, ports: (u16, u16), context: u32) {
            let tuple = |source: IpAddr, destination: IpAddr| FlowTuple {
                source, destination, protocol, fragment, source_port: ports.0, destination_port: ports.1,
            };
            let v4 = tuple(Ipv4Addr::from_bits(a).into(), Ipv4Addr::from_bits(b).into());
            let v6 = tuple(Ipv6Addr::from_bits(c).into(), Ipv6Addr::from_bits(d).into());
            for tuple in [v4, v6] {
                let key = FlowKey::new(&tuple, Context(context));
                prop_assert_eq!(key.parts(), (tuple, Context(context)));
                prop_assert_eq!(key.context(), Context(context));
                prop_assert_eq!(key.turned(Context(!context)), FlowKey::new(&tuple.reversed(), Context(!context)));
            }
        }
    }
}
