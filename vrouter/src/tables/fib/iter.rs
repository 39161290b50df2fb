//! All routes in order.

use super::Bits;
use super::node::Node;

/// The routes of a [`super::Fib`] as (address, length, next hop), by rising address, shorter prefixes first.
pub struct Iter<'a, A: Bits, V> {
    default: Option<V>,
    /// Nodes that are not done, each with the places of its next route and its next node below; the topmost last.
    open: Vec<(&'a Node<A, V>, usize, usize)>,
}

impl<'a, A: Bits, V: Copy + Default + Eq> Iter<'a, A, V> {
    pub(super) fn new(default: Option<V>, top: Option<&'a Node<A, V>>) -> Self {
        Iter { default, open: top.into_iter().map(|node| (node, 0, 0)).collect() }
    }
}

impl<A: Bits, V: Copy + Default + Eq> Iterator for Iter<'_, A, V> {
    type Item = (A, u8, V);

    fn next(&mut self) -> Option<(A, u8, V)> {
        if let Some(value) = self.default.take() {
            return Some((A::ZERO, 0, value));
        }
        while let Some((node, route, child)) = self.open.last_mut() {
            let (next, below) = match node {
                Node::List(list) => (list.route(*route), None),
                Node::Fan(fan) => (fan.route(*route), fan.nodes().get(*child)),
            };
            match (next, below) {
                (Some(next), below) if below.is_none_or(|below| next.0 <= below.first()) => {
                    *route += 1;
                    return Some(next);
                }
                (_, Some(below)) => {
                    *child += 1;
                    self.open.push((below, 0, 0));
                }
                _ => {
                    self.open.pop();
                }
            }
        }
        None
    }
}

impl<A: Bits, V: Copy + Default + Eq> Node<A, V> {
    /// An address at or before that of its first route, and behind those of all routes that end above it in other slots.
    fn first(&self) -> A {
        match self {
            Node::List(list) => list.route(0).map_or(A::ZERO, |(address, _, _)| address),
            Node::Fan(fan) => fan.prefix(),
        }
    }
}
