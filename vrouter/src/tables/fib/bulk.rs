//! Many changes at once: a fan that several of them concern is made anew once, and not by each.

use std::sync::Arc;

use super::fan::{Fan, NOTHING, Route};
use super::list::List;
use super::node::Node;
use super::{Bits, Fib, Iter};

/// Changes of one fan from which on making it anew costs less than changing it one by one.
const SEVERAL: usize = 4;

/// A prefix and what it is to stand for; absent: it goes. Bits beyond the length are zero.
pub type Change<A, V> = (A, u8, Option<V>);

/// Is given each change, in order, with what its prefix stood for before.
type Told<'a, A, V> = dyn FnMut(&Change<A, V>, Option<V>) + 'a;

impl<A: Bits, V: Copy + Default + Eq> Fib<A, V> {
    /// Makes these changes, sorted by address and then by length, no prefix twice. `told` is given each in this order, with what the prefix
    /// stood for before. What a clone shares is copied where it is changed, and where several changes are near that change nothing.
    pub fn apply(&mut self, changes: &[Change<A, V>], mut told: impl FnMut(&Change<A, V>, Option<V>)) {
        debug_assert!(changes.is_sorted_by(|a, b| (a.0, a.1) < (b.0, b.1)), "sorted, none twice");
        let mut len = self.len;
        let mut count = |change: &Change<A, V>, before: Option<V>| {
            len = len + usize::from(change.2.is_some()) - usize::from(before.is_some());
            told(change, before);
        };
        // a prefix of length 0 sorts before all others
        let default = changes.first().is_some_and(|change| change.1 == 0);
        if let (true, Some(change)) = (default, changes.first()) {
            let before = std::mem::replace(&mut self.default, change.2);
            count(change, before);
        }
        below(&mut self.top, &changes[usize::from(default)..], &mut count);
        self.len = len;
    }
}

/// Makes changes below one place of the trie.
fn below<A: Bits, V: Copy + Default + Eq>(
    place: &mut Option<Node<A, V>>,
    mut changes: &[Change<A, V>],
    told: &mut Told<'_, A, V>,
) {
    while let Some(first) = changes.first() {
        let within = match place {
            Some(Node::Fan(fan)) => {
                let other = |change: &Change<A, V>| !fan.holds(change.0) || change.1 <= fan.base;
                changes.iter().position(other).unwrap_or(changes.len())
            }
            _ => 0,
        };
        match place {
            Some(Node::Fan(fan)) if within >= SEVERAL => {
                Arc::make_mut(fan).renew(&changes[..within], told);
                *place = fitting(fan);
                changes = &changes[within..];
            }
            _ => {
                told(first, one(place, first));
                changes = &changes[1..];
            }
        }
    }
}

/// Makes one change; returns what was there before.
fn one<A: Bits, V: Copy + Default + Eq>(place: &mut Option<Node<A, V>>, change: &Change<A, V>) -> Option<V> {
    let &(address, length, value) = change;
    let before = place.as_ref().and_then(|node| node.exact(address, length));
    match (value, &mut *place) {
        (value, _) if value == before => {}
        (Some(value), Some(node)) => _ = node.insert(address, length, value),
        (Some(value), None) => *place = Some(Node::one(address, length, value)),
        (None, Some(node)) => {
            if node.remove(address, length) {
                *place = None;
            }
        }
        (None, None) => {}
    }
    before
}

/// A changed fan as what its routes are worth.
fn fitting<A: Bits, V: Copy + Default + Eq>(fan: &Arc<Fan<A, V>>) -> Option<Node<A, V>> {
    let whole = Node::Fan(fan.clone());
    match fan.only() {
        _ if fan.len == 0 => None,
        Some(only) => Some(only.clone()),
        None if fan.len as usize <= A::LISTED / 2 => {
            Some(Node::List(List::new(Iter::new(None, Some(&whole)).collect::<Vec<_>>())))
        }
        None => Some(whole),
    }
}

impl<A: Bits, V: Copy + Default + Eq> Fan<A, V> {
    /// Makes changes of prefixes that its own holds and that are longer.
    fn renew(&mut self, changes: &[Change<A, V>], told: &mut Told<'_, A, V>) {
        let mut places = [NOTHING; 256];
        for (slot, _, run) in self.segments() {
            places[slot] = run.child;
        }
        let mut nodes: Vec<Option<Node<A, V>>> = std::mem::take(&mut self.nodes).into_iter().map(Some).collect();
        let old = std::mem::take(&mut self.routes);
        let mut rest = &old[..];
        let mut routes = Vec::with_capacity(old.len() + changes.len());
        let mut ahead = changes;
        while let Some(change) = ahead.first() {
            if self.ends(change.1) {
                let key = self.key(change.0, change.1);
                let at = rest.partition_point(|route| route.key < key);
                routes.extend_from_slice(&rest[..at]);
                rest = &rest[at..];
                let before = rest.first().filter(|route| route.key == key).map(|route| route.value);
                rest = &rest[usize::from(before.is_some())..];
                routes.extend(change.2.map(|value| Route { key, value }));
                told(change, before);
                ahead = &ahead[1..];
                continue;
            }
            let slot = change.0.octet(self.base);
            let other = |change: &Change<A, V>| change.0.octet(self.base) != slot;
            let (own, later) = ahead.split_at(ahead.iter().position(other).unwrap_or(ahead.len()));
            let place = &mut places[usize::from(slot)];
            if *place == NOTHING {
                *place = nodes.len() as u16;
                nodes.push(None);
            }
            below(&mut nodes[usize::from(*place)], own, told);
            ahead = later;
        }
        routes.extend_from_slice(rest);
        self.refill(&places, nodes, routes);
    }

    /// Takes these nodes, by the slots that they are below, and routes, sorted.
    fn refill(&mut self, places: &[u16; 256], mut nodes: Vec<Option<Node<A, V>>>, routes: Vec<Route<V>>) {
        let mut painted = [(V::default(), 0); 256];
        // a longer one comes behind those that hold it
        for route in &routes {
            let length = self.base + (route.key & 15) as u8;
            let first = usize::from(route.key >> 4);
            painted[first..first + (256 >> (length - self.base))].fill((route.value, length));
        }
        let mut kept = Vec::with_capacity(nodes.len());
        let children = places.map(|place| {
            let node = nodes.get_mut(usize::from(place)).and_then(Option::take)?;
            kept.push(node);
            Some(kept.len() as u16 - 1)
        });
        let slots = painted.into_iter().zip(children).enumerate();
        self.set_runs(slots.map(|(slot, ((value, length), child))| (slot, value, length, child)));
        let below: u32 = kept.iter().map(Node::len).sum();
        self.len = routes.len() as u32 + below;
        self.nodes = kept.into_boxed_slice();
        self.routes = routes.into_boxed_slice();
    }
}
