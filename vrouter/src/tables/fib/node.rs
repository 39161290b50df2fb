//! A node of the trie: up to 63 routes and 64 children, both packed.

use std::sync::Arc;

use super::Bits;

/// The routes below one prefix of `base` bits that are shorter than the next base (six more, or less), and the nodes below it.
///
/// A route of length `base + r` has the *position* `1 << r | v`, v its r bits after the base: the numbering of a binary heap, in
/// which what is longer is higher. A child's *branch* is the six bits after the base, those from the next base on as zeros. No node
/// is without routes unless it has two children.
#[derive(Clone)]
pub(super) struct Node<A: Bits, V: Copy> {
    /// Bits beyond `base` are zero.
    prefix: A,
    /// Bit per position (1 to 63) that has a route.
    positions: u64,
    /// Bit per branch that has a child.
    branches: u64,
    /// By rising position.
    routes: Routes<V>,
    /// By rising branch.
    children: Box<[Arc<Node<A, V>>]>,
    pub(super) base: u8,
    /// Which of the six bits after the base are before the next one.
    branch_bits: u8,
}

/// The values of a node's routes. One, as most IPv6 nodes have, costs no memory and no cache miss of its own.
#[derive(Clone)]
enum Routes<V> {
    One(V),
    Many(Box<[V]>),
}

/// The base of the node that holds routes of this length (at least 1).
#[inline]
pub(super) fn base<A: Bits>(length: u8) -> u8 {
    let anew = A::ANEW.iter().rev().find(|&&anew| anew <= length).map_or(1, |&anew| anew);
    anew + (length - anew) / 6 * 6
}

/// Which of the six bits after this base are before the next.
fn branch_bits<A: Bits>(at: u8) -> u8 {
    let stride = (1..6).find(|beyond| base::<A>(at + beyond) != at).unwrap_or(6);
    0x3f & 0x3f << (6 - stride)
}

/// By the first five of the six bits: the positions that hold such an address.
const HOLDING: [u64; 32] = {
    let mut table = [0; 32];
    let mut five = 0;
    while five < 32 {
        let mut position = 32 | five;
        while position > 0 {
            table[five] |= 1 << position;
            position >>= 1;
        }
        five += 1;
    }
    table
};

impl<A: Bits, V: Copy> Node<A, V> {
    /// A node with one route and no child. `length` at least 1.
    pub(super) fn with_route(address: A, length: u8, value: V) -> Self {
        let base = base::<A>(length);
        let position = position(address, base, length);
        Node {
            prefix: address.masked(base),
            positions: 1 << position,
            branches: 0,
            routes: Routes::One(value),
            children: Box::default(),
            base,
            branch_bits: branch_bits::<A>(base),
        }
    }

    /// Whether its prefix holds the address.
    #[inline]
    pub(super) fn holds(&self, address: A) -> bool {
        self.prefix.agrees(address, self.base)
    }

    /// The position of its longest route that holds the address, which its prefix holds.
    #[inline]
    pub(super) fn longest(&self, address: A) -> Option<u32> {
        (self.positions & HOLDING[address.six(self.base) >> 1]).checked_ilog2()
    }

    /// Length and value of the route at a position that has one.
    #[inline]
    pub(super) fn route(&self, position: u32) -> (u8, V) {
        (self.base + position.ilog2() as u8, self.routes.all()[rank(self.positions, position)])
    }

    /// The child on the address's way, which may or may not hold it.
    #[inline]
    pub(super) fn child(&self, address: A) -> Option<&Self> {
        let branch = self.branch(address);
        if self.branches >> branch & 1 == 0 { None } else { Some(&self.children[rank(self.branches, branch)]) }
    }

    /// The value of this very prefix, if this is its node.
    pub(super) fn exact(&self, address: A, length: u8) -> Option<V> {
        if self.base != base::<A>(length) || !self.holds(address) {
            return None;
        }
        let position = position(address, self.base, length);
        (self.positions >> position & 1 != 0).then(|| self.routes.all()[rank(self.positions, position)])
    }

    /// Sets a route at or below `slot`, at least 1 long, with no bits beyond its length; returns the value before.
    pub(super) fn insert(mut slot: &mut Arc<Self>, address: A, length: u8, value: V) -> Option<V> {
        let target = base::<A>(length);
        loop {
            let common = slot.prefix.common(address).min(slot.base).min(target);
            if common < slot.base {
                Self::insert_above(slot, base::<A>(common), address, length, value);
                return None;
            }
            let node = Arc::make_mut(slot);
            if node.base == target {
                return node.set(position(address, target, length), value);
            }
            let branch = node.branch(address);
            let at = rank(node.branches, branch);
            if node.branches >> branch & 1 == 0 {
                node.branches |= 1 << branch;
                node.children = with(&mut node.children, at, Arc::new(Node::with_route(address, length, value)));
                return None;
            }
            slot = &mut node.children[at];
        }
    }

    /// Puts a node at `base` in the place of `slot`, which becomes its child, for a route that `slot` does not hold.
    fn insert_above(slot: &mut Arc<Self>, base: u8, address: A, length: u8, value: V) {
        let added = Node::with_route(address, length, value);
        let below = slot.clone();
        let branch_bits = branch_bits::<A>(base);
        let branch = below.prefix.six(base) & usize::from(branch_bits);
        *slot = Arc::new(if added.base == base {
            Node { branches: 1 << branch, children: Box::new([below]), ..added }
        } else {
            let other = address.six(base) & usize::from(branch_bits);
            let mut children = [below, Arc::new(added)];
            if other < branch {
                children.reverse();
            }
            Node {
                prefix: address.masked(base),
                positions: 0,
                branches: 1 << branch | 1 << other,
                routes: Routes::Many(Box::default()),
                children: Box::new(children),
                base,
                branch_bits,
            }
        });
    }

    /// Takes a route out that is there, at or below `slot`. Afterwards `slot` itself may stand for less than a node.
    pub(super) fn remove(slot: &mut Arc<Self>, address: A, length: u8) {
        let node = Arc::make_mut(slot);
        if node.base == base::<A>(length) {
            let position = position(address, node.base, length);
            node.routes.remove(rank(node.positions, position));
            node.positions &= !(1 << position);
            return;
        }
        let branch = node.branch(address);
        let at = rank(node.branches, branch);
        let child = &mut node.children[at];
        Self::remove(child, address, length);
        match child.stands_for() {
            None => {}
            Some(Some(grandchild)) => *child = grandchild,
            Some(None) => {
                node.children = without(&mut node.children, at);
                node.branches &= !(1 << branch);
            }
        }
    }

    /// What is to take this node's place, if it is not worth its own: nothing, or its only child.
    pub(super) fn stands_for(&self) -> Option<Option<Arc<Self>>> {
        match (self.positions, &*self.children) {
            (0, []) => Some(None),
            (0, [only]) => Some(Some(only.clone())),
            _ => None,
        }
    }

    /// The route at a position, as (address, length, value).
    pub(super) fn route_at(&self, position: u32) -> Option<(A, u8, V)> {
        if self.positions >> position & 1 == 0 {
            return None;
        }
        let (length, value) = self.route(position);
        let beyond = length - self.base;
        Some((self.prefix.joined(self.base, beyond, (position ^ 1 << beyond) as usize), length, value))
    }

    /// The child under a branch.
    pub(super) fn child_at(&self, branch: u32) -> Option<&Self> {
        (self.branches >> branch & 1 != 0).then(|| &*self.children[rank(self.branches, branch)])
    }

    #[cfg(test)]
    pub(super) fn children(&self) -> &[Arc<Self>] {
        &self.children
    }

    #[inline]
    fn branch(&self, address: A) -> u32 {
        address.six(self.base) as u32 & u32::from(self.branch_bits)
    }

    fn set(&mut self, position: u32, value: V) -> Option<V> {
        let at = rank(self.positions, position);
        if self.positions >> position & 1 != 0 {
            return Some(std::mem::replace(&mut self.routes.all_mut()[at], value));
        }
        self.positions |= 1 << position;
        self.routes.insert(at, value);
        None
    }
}

impl<V: Copy> Routes<V> {
    #[inline]
    fn all(&self) -> &[V] {
        match self {
            Routes::One(one) => std::slice::from_ref(one),
            Routes::Many(all) => all,
        }
    }

    fn all_mut(&mut self) -> &mut [V] {
        match self {
            Routes::One(one) => std::slice::from_mut(one),
            Routes::Many(all) => all,
        }
    }

    fn insert(&mut self, at: usize, value: V) {
        *self = match self {
            Routes::One(one) if at == 0 => Routes::Many(Box::new([value, *one])),
            Routes::One(one) => Routes::Many(Box::new([*one, value])),
            Routes::Many(all) if all.is_empty() => Routes::One(value),
            Routes::Many(all) => Routes::Many(with(all, at, value)),
        };
    }

    fn remove(&mut self, at: usize) {
        *self = match self {
            Routes::One(_) => Routes::Many(Box::default()),
            Routes::Many(all) => match **all {
                [one, other] => Routes::One(if at == 0 { other } else { one }),
                _ => Routes::Many(without(all, at)),
            },
        };
    }
}

/// Where in the node at `base` a route of this length is.
#[inline]
fn position<A: Bits>(address: A, base: u8, length: u8) -> u32 {
    let beyond = length - base;
    1 << beyond | address.six(base) as u32 >> (6 - beyond)
}

/// How many bits below `bit` are set.
#[inline]
fn rank(set: u64, bit: u32) -> usize {
    (set & ((1 << bit) - 1)).count_ones() as usize
}

fn with<T>(items: &mut Box<[T]>, at: usize, item: T) -> Box<[T]> {
    let mut items = std::mem::take(items).into_vec();
    items.reserve_exact(1);
    items.insert(at, item);
    items.into_boxed_slice()
}

fn without<T>(items: &mut Box<[T]>, at: usize) -> Box<[T]> {
    let mut items = std::mem::take(items).into_vec();
    items.remove(at);
    items.into_boxed_slice()
}
