//! Longest-prefix match: a persistent trie.
//!
//! A [`Fib`] is a tree bitmap of stride 6 with path compression: a node stands at a *base*, a number of leading bits, and holds the
//! routes from that length to just before the next base. Nodes are counted references: a change copies the nodes on its path when
//! another clone holds them too, and writes in place when none does.

mod bits;
mod iter;
mod node;
mod prefix_set;
#[cfg(test)]
pub(super) mod tests;

use std::sync::Arc;

pub use bits::Bits;
pub use iter::Iter;
pub use prefix_set::PrefixSet;

use self::node::Node;
use crate::ids::NextHopId;

/// Prefixes of one family and what each stands for: in a VRF, its route's next hop. A clone is O(1) and does not see later
/// changes. Without routes it holds no memory beside itself. `Send` and `Sync`; written by one thread, read by any.
#[derive(Clone)]
pub struct Fib<A: Bits, V: Copy = NextHopId> {
    /// The route of length 0.
    default: Option<V>,
    /// The other routes, by their first bit.
    halves: [Option<Arc<Node<A, V>>>; 2],
    len: usize,
}

impl<A: Bits, V: Copy> Default for Fib<A, V> {
    fn default() -> Self {
        Fib { default: None, halves: [None, None], len: 0 }
    }
}

impl<A: Bits, V: Copy> Fib<A, V> {
    /// Sets the next hop of a prefix; returns the one before. Bits beyond `length` are ignored; `length` at most `A::WIDTH`.
    pub fn insert(&mut self, address: A, length: u8, next_hop: V) -> Option<V> {
        assert!(length <= A::WIDTH, "prefix length {length}");
        let before = match length {
            0 => self.default.replace(next_hop),
            _ => {
                let address = address.masked(length);
                match &mut self.halves[address.first_bit()] {
                    Some(top) => Node::insert(top, address, length, next_hop),
                    empty => {
                        *empty = Some(Arc::new(Node::with_route(address, length, next_hop)));
                        None
                    }
                }
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
            return Some(before);
        }
        let half = &mut self.halves[address.first_bit()];
        if let Some(top) = half {
            Node::remove(top, address, length);
            if let Some(instead) = top.stands_for() {
                *half = instead;
            }
        }
        Some(before)
    }

    /// The next hop of this very prefix.
    pub fn exact(&self, address: A, length: u8) -> Option<V> {
        assert!(length <= A::WIDTH, "prefix length {length}");
        if length == 0 {
            return self.default;
        }
        let mut node = self.halves[address.first_bit()].as_deref()?;
        while node.base < node::base::<A>(length) {
            node = node.child(address)?;
        }
        node.exact(address, length)
    }

    /// The longest prefix that holds `address`: its length and next hop.
    #[inline]
    pub fn lookup(&self, address: A) -> Option<(u8, V)> {
        let mut best = None;
        let mut next = self.halves[address.first_bit()].as_deref();
        while let Some(node) = next {
            if !node.holds(address) {
                break;
            }
            if let Some(position) = node.longest(address) {
                best = Some((node, position));
            }
            next = node.child(address);
        }
        match best {
            Some((node, position)) => Some(node.route(position)),
            None => self.default.map(|next_hop| (0, next_hop)),
        }
    }

    /// [`Fib::lookup`] of each address into the answer at the same place. Addresses go down the trie side by side, so that their
    /// cache misses overlap.
    ///
    /// # Panics
    /// If the slices' lengths differ.
    pub fn lookup_batch(&self, addresses: &[A], answers: &mut [Option<(u8, V)>]) {
        const LANES: usize = 16;
        assert_eq!(addresses.len(), answers.len(), "one answer an address");
        for (addresses, answers) in addresses.chunks(LANES).zip(answers.chunks_mut(LANES)) {
            let mut nodes = [None; LANES];
            let mut best = [None; LANES];
            for (next, &address) in nodes.iter_mut().zip(addresses) {
                *next = self.halves[address.first_bit()].as_deref();
            }
            let mut busy = true;
            while busy {
                busy = false;
                for ((next, best), &address) in nodes.iter_mut().zip(&mut best).zip(addresses) {
                    let Some(node) = next.filter(|node| node.holds(address)) else {
                        *next = None;
                        continue;
                    };
                    if let Some(position) = node.longest(address) {
                        *best = Some((node, position));
                    }
                    *next = node.child(address);
                    busy |= next.is_some();
                }
            }
            for (answer, best) in answers.iter_mut().zip(best) {
                *answer = match best {
                    Some((node, position)) => Some(node.route(position)),
                    None => self.default.map(|next_hop| (0, next_hop)),
                };
            }
        }
    }

    /// All routes as (address, length, next hop), by rising address, shorter prefixes first.
    pub fn iter(&self) -> Iter<'_, A, V> {
        Iter::new(self.default, [self.halves[0].as_deref(), self.halves[1].as_deref()])
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
