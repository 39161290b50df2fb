//! All routes in order.

use super::Bits;
use super::node::Node;

/// The routes of a [`super::Fib`] as (address, length, next hop), by rising address, shorter prefixes first.
pub struct Iter<'a, A: Bits, V: Copy> {
    default: Option<V>,
    /// Nodes that are not done, each with its next step in [`STEPS`]; the topmost last.
    open: Vec<(&'a Node<A, V>, usize)>,
}

/// Below 64: a route's position. From 64: a branch.
const STEPS: [u32; 127] = {
    let mut steps = [0; 127];
    let mut at = 0;
    let mut branch = 0;
    while branch < 64 {
        let mut beyond = 0;
        while beyond < 6 {
            if branch % (1 << (6 - beyond)) == 0 {
                steps[at] = 1 << beyond | branch >> (6 - beyond);
                at += 1;
            }
            beyond += 1;
        }
        steps[at] = 64 + branch;
        at += 1;
        branch += 1;
    }
    steps
};

impl<'a, A: Bits, V: Copy> Iter<'a, A, V> {
    pub(super) fn new(default: Option<V>, halves: [Option<&'a Node<A, V>>; 2]) -> Self {
        Iter { default, open: halves.into_iter().rev().flatten().map(|node| (node, 0)).collect() }
    }
}

impl<A: Bits, V: Copy> Iterator for Iter<'_, A, V> {
    type Item = (A, u8, V);

    fn next(&mut self) -> Option<(A, u8, V)> {
        if let Some(value) = self.default.take() {
            return Some((A::ZERO, 0, value));
        }
        while let Some((node, at)) = self.open.last_mut() {
            let node = *node;
            let Some(&step) = STEPS.get(*at) else {
                self.open.pop();
                continue;
            };
            *at += 1;
            if step < 64 {
                if let Some(route) = node.route_at(step) {
                    return Some(route);
                }
            } else if let Some(child) = node.child_at(step - 64) {
                self.open.push((child, 0));
            }
        }
        None
    }
}
