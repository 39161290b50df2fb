//! Longest-prefix match: a persistent trie.
//!
//! A [`Fib`] is a trie of two kinds of nodes. Where routes are few they stand in a sorted list. Where they are many, a
//! fan decides eight bits of the address at once: 256 slots, kept as runs of equal ones, so that a lookup reads two lines of
//! it. IPv4 takes three fans, of which the upper two are in the caches. Nodes are counted references: a change copies the nodes on
//! its path when another clone holds them too, and writes in place when none does.

mod batch;
mod bits;
mod bulk;
mod fan;
mod iter;
mod list;
mod node;
mod prefix_set;
#[cfg(test)]
pub(super) mod tests;

pub use bits::Bits;
pub use bulk::Change;
pub use iter::Iter;
pub use prefix_set::PrefixSet;

use self::batch::Burst;
use self::node::Node;
use crate::ids::NextHopId;

/// Prefixes of one family and what each stands for: in a VRF, its route's next hop. A clone is O(1) and does not see later
/// changes. Without routes it holds no memory beside itself. `Send` and `Sync`; written by one thread, read by any.
#[derive(Clone)]
pub struct Fib<A: Bits, V = NextHopId> {
    /// The route of length 0.
    default: Option<V>,
    /// The other routes.
    top: Option<Node<A, V>>,
    len: usize,
}

impl<A: Bits, V> Default for Fib<A, V> {
    fn default() -> Self {
        Fib { default: None, top: None, len: 0 }
    }
}

impl<A: Bits, V: Copy + Default + Eq> Fib<A, V> {
    /// Sets the next hop of a prefix; returns the one before. Bits beyond `length` are ignored; `length` at most `A::WIDTH`.
    pub fn insert(&mut self, address: A, length: u8, next_hop: V) -> Option<V> {
        assert!(length <= A::WIDTH, "prefix length {length}");
        let before = match &mut self.top {
            _ if length == 0 => self.default.replace(next_hop),
            Some(top) => top.insert(address.masked(length), length, next_hop),
            empty => {
                *empty = Some(Node::one(address, length, next_hop));
                None
            }
        };
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes a prefix out; returns its next hop. Copies nothing if the prefix is not there.
    pub fn remove(&mut self, address: A, length: u8) -> Option<V> {
        let before = self.exact(address, length)?;
        self.len -= 1;
        if length == 0 {
            self.default = None;
        } else if self.top.as_mut().is_some_and(|top| top.remove(address, length)) {
            self.top = None;
        }
        Some(before)
    }

    /// The next hop of this very prefix.
    pub fn exact(&self, address: A, length: u8) -> Option<V> {
        assert!(length <= A::WIDTH, "prefix length {length}");
        if length == 0 { self.default } else { self.top.as_ref()?.exact(address, length) }
    }

    /// The longest prefix that holds `address`: its length and next hop.
    #[inline]
    pub fn lookup(&self, address: A) -> Option<(u8, V)> {
        let mut best = self.default.map(|next_hop| (0, next_hop));
        let mut next = self.top.as_ref();
        while let Some(node) = next {
            match node {
                Node::Fan(fan) if fan.holds(address) => {
                    let run = fan.run(address);
                    if run.length > 0 {
                        best = Some((run.length, run.value));
                    }
                    next = fan.below(run);
                }
                Node::Fan(_) => break,
                Node::List(list) => return list.lookup(address).or(best),
            }
        }
        best
    }

    /// [`Fib::lookup`] of each address into the answer at the same place. Addresses go down the trie side by side, so that their
    /// cache misses overlap.
    ///
    /// # Panics
    /// If the slices' lengths differ.
    pub fn lookup_batch(&self, addresses: &[A], answers: &mut [Option<(u8, V)>]) {
        assert_eq!(addresses.len(), answers.len(), "one answer an address");
        answers.fill(self.default.map(|next_hop| (0, next_hop)));
        if let Some(top) = &self.top {
            flowtable::at_level(Burst { top, addresses, answers });
        }
    }

    /// All routes as (address, length, next hop), by rising address, shorter prefixes first.
    pub fn iter(&self) -> Iter<'_, A, V> {
        Iter::new(self.default, self.top.as_ref())
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No route at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
