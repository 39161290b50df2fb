//! What is below a place in the trie: a list of few routes or a fan of many.

use std::sync::Arc;

use super::Bits;
use super::fan::Fan;
use super::iter::Iter;
use super::list::List;

/// Routes that have some leading bits in common. Never none.
#[derive(Clone)]
pub(super) enum Node<A: Bits, V> {
    Fan(Arc<Fan<A, V>>),
    List(List<A, V>),
}

impl<A: Bits, V: Copy + Default + Eq> Node<A, V> {
    /// One route.
    pub(super) fn one(address: A, length: u8, value: V) -> Self {
        Node::List(List::new([(address.masked(length), length, value)]))
    }

    /// Sets a route, at least 1 long; returns the value before.
    pub(super) fn insert(&mut self, address: A, length: u8, value: V) -> Option<V> {
        match self {
            Node::List(list) => {
                if let Ok(before) = list.insert(address, length, value) {
                    return before;
                }
                *self = Self::fanned(list, address, length);
            }
            Node::Fan(fan) => {
                let base = base(fan.prefix().common(address).min(fan.base), length);
                if base < fan.base {
                    let mut above = Fan::new(address, base);
                    above.len = fan.len;
                    above.add(fan.prefix(), Node::Fan(fan.clone()));
                    *fan = Arc::new(above);
                }
            }
        }
        match self {
            Node::Fan(fan) => Arc::make_mut(fan).insert(address, length, value),
            Node::List(_) => None,
        }
    }

    /// Takes a route out that is there; true: it was the last.
    pub(super) fn remove(&mut self, address: A, length: u8) -> bool {
        match self {
            Node::List(list) => {
                list.remove(address, length);
                list.len() == 0
            }
            Node::Fan(fan) => {
                let fan = Arc::make_mut(fan);
                fan.remove(address, length);
                if let Some(only) = fan.only() {
                    *self = only.clone();
                } else if fan.len as usize <= A::LISTED / 2 {
                    *self = Node::List(List::new(Iter::new(None, Some(self)).collect::<Vec<_>>()));
                }
                false
            }
        }
    }

    /// The value of this very prefix, at least 1 long.
    pub(super) fn exact(&self, address: A, length: u8) -> Option<V> {
        let mut node = self;
        loop {
            match node {
                Node::List(list) => return list.exact(address, length),
                Node::Fan(fan) if !fan.holds(address) || length <= fan.base => return None,
                Node::Fan(fan) if fan.ends(length) => return fan.exact(address, length),
                Node::Fan(fan) => node = fan.below(fan.run(address))?,
            }
        }
    }

    /// How many routes there are.
    pub(super) fn len(&self) -> u32 {
        match self {
            Node::List(list) => list.len() as u32,
            Node::Fan(fan) => fan.len,
        }
    }

    /// The routes of a full list as a fan where this one has room.
    fn fanned(list: &List<A, V>, address: A, length: u8) -> Self {
        let routes = || (0..).map_while(|at| list.route(at));
        let shortest = routes().map(|(_, length, _)| length).min().unwrap_or(length).min(length);
        let alike = routes().map(|(other, _, _)| other.common(address)).min().unwrap_or(length);
        let mut fan = Fan::new(address, base(alike, shortest));
        routes().for_each(|(address, length, value)| {
            fan.insert(address, length, value);
        });
        Node::Fan(Arc::new(fan))
    }
}

/// The base of a fan for addresses that have `alike` bits in common and a route of this length.
fn base(alike: u8, length: u8) -> u8 {
    alike.min(length - 1) / 8 * 8
}
