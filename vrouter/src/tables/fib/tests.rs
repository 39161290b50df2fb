//! The trie against its slow twin.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use proptest::prelude::*;

use super::node::Node;
use super::{Bits, Fib, Iter};
use crate::ids::NextHopId;

/// The slow twin: a map by length and address.
#[derive(Clone)]
pub(in crate::tables) struct SlowFib<A, V>(BTreeMap<(u8, A), V>);

impl<A: Bits, V: Copy> SlowFib<A, V> {
    pub(in crate::tables) fn new() -> Self {
        SlowFib(BTreeMap::new())
    }

    pub(in crate::tables) fn insert(&mut self, address: A, length: u8, value: V) -> Option<V> {
        self.0.insert((length, address.masked(length)), value)
    }

    fn remove(&mut self, address: A, length: u8) -> Option<V> {
        self.0.remove(&(length, address.masked(length)))
    }

    pub(in crate::tables) fn lookup(&self, address: A) -> Option<(u8, V)> {
        (0..=A::WIDTH).rev().find_map(|length| Some((length, *self.0.get(&(length, address.masked(length)))?)))
    }

    fn by_prefix(&self) -> Vec<(A, u8, V)> {
        let mut routes: Vec<_> = self.0.iter().map(|(&(length, address), &value)| (address, length, value)).collect();
        routes.sort_by_key(|&(address, length, _)| (address, length));
        routes
    }
}

/// Addresses that share long prefixes: a few stems, of which some bits are turned.
fn near<A: Bits + Debug>(wide: impl Fn(u128) -> A + Clone + 'static) -> BoxedStrategy<A> {
    let stems = prop::sample::select(vec![0, u128::MAX, 0x0a00_0001 << 96, 0x0a01_0203 << 96 | 77, 0x2001_0db8 << 96]);
    let turned = prop::collection::vec(0..A::WIDTH, 0..4);
    (stems, turned)
        .prop_map(move |(stem, turned)| wide(turned.iter().fold(stem, |address, bit| address ^ 1 << (127 - bit))))
        .boxed()
}

fn lengths<A: Bits>() -> impl Strategy<Value = u8> + Clone {
    prop_oneof![
        1 => Just(0),
        1 => Just(1),
        2 => Just(A::WIDTH),
        2 => prop::sample::select(vec![24, 25, 26, 27]),
        6 => 0..=A::WIDTH,
    ]
}

#[derive(Clone, Debug)]
enum Change<A> {
    Insert(A, u8, u32),
    Remove(A, u8),
    /// One of those inserted so far, by its place.
    RemoveKnown(usize),
}

fn changes<A: Bits + Debug>(addresses: BoxedStrategy<A>) -> impl Strategy<Value = Vec<Change<A>>> {
    let change = prop_oneof![
        9 => (addresses.clone(), lengths::<A>(), 0..9_u32).prop_map(|(address, length, hop)| Change::Insert(address, length, hop)),
        1 => (addresses, lengths::<A>()).prop_map(|(address, length)| Change::Remove(address, length)),
        3 => (0..1000_usize).prop_map(Change::RemoveKnown),
    ];
    // So many that lists of IPv6 become fans, and fans lists again.
    prop::collection::vec(change, 0..120)
}

fn agree<A: Bits + Debug>(fib: &Fib<A>, twin: &SlowFib<A, NextHopId>, asked: &[A]) -> Result<(), TestCaseError> {
    prop_assert_eq!(fib.len(), twin.0.len());
    prop_assert_eq!(fib.is_empty(), twin.0.is_empty());
    prop_assert_eq!(fib.iter().collect::<Vec<_>>(), twin.by_prefix());
    let mut answers = vec![Some((99, NextHopId(99))); asked.len()];
    fib.lookup_batch(asked, &mut answers);
    for (&address, &answer) in asked.iter().zip(&answers) {
        prop_assert_eq!(fib.lookup(address), twin.lookup(address), "{:x?}", address);
        prop_assert_eq!(answer, twin.lookup(address), "{:x?} in a batch", address);
    }
    for (&(length, address), &next_hop) in &twin.0 {
        prop_assert_eq!(fib.exact(address, length), Some(next_hop));
    }
    nodes_are_worth_it(fib)
}

/// Lists are not too long, and what could be a list is one: else memory would be lost to removed routes.
fn nodes_are_worth_it<A: Bits>(fib: &Fib<A>) -> Result<(), TestCaseError> {
    let mut open: Vec<&Node<A, NextHopId>> = fib.top.iter().collect();
    while let Some(node) = open.pop() {
        let routes = Iter::new(None, Some(node)).count();
        match node {
            Node::List(_) => prop_assert!((1..=A::LISTED).contains(&routes)),
            Node::Fan(fan) => {
                prop_assert_eq!(fan.len as usize, routes);
                prop_assert!(routes > A::LISTED / 2 && fan.only().is_none());
                open.extend(fan.nodes());
            }
        }
    }
    Ok(())
}

/// Makes the changes on both, keeps a clone of each step, and compares all of them at the end.
fn twins_agree<A: Bits + Debug>(changes: Vec<Change<A>>, mut asked: Vec<A>) -> Result<(), TestCaseError> {
    let (mut fib, mut twin) = (Fib::default(), SlowFib::new());
    let mut kept = Vec::new();
    let mut known: Vec<(A, u8)> = Vec::new();
    for change in changes {
        kept.push((fib.clone(), twin.clone()));
        match change {
            Change::Insert(address, length, hop) => {
                known.push((address, length));
                asked.extend([address, address.masked(length)]);
                prop_assert_eq!(
                    fib.insert(address, length, NextHopId(hop)),
                    twin.insert(address, length, NextHopId(hop))
                );
            }
            Change::Remove(address, length) => {
                prop_assert_eq!(fib.remove(address, length), twin.remove(address, length));
            }
            Change::RemoveKnown(at) if !known.is_empty() => {
                let (address, length) = known[at % known.len()];
                prop_assert_eq!(fib.remove(address, length), twin.remove(address, length));
            }
            Change::RemoveKnown(_) => {}
        }
    }
    kept.push((fib.clone(), twin));
    for (fib, twin) in &kept {
        agree(fib, twin, &asked)?;
    }
    for (address, length) in known {
        fib.remove(address, length);
    }
    prop_assert!(fib.is_empty() && fib.default.is_none() && fib.top.is_none());
    Ok(())
}

/// Batches, one after the other: what each change is told, and the table after all of them; a clone of before stays as it is.
fn batches_agree<A: Bits + Debug>(batches: Vec<Vec<Change<A>>>, mut asked: Vec<A>) -> Result<(), TestCaseError> {
    let (mut fib, mut twin) = (Fib::default(), SlowFib::new());
    let mut known: Vec<(A, u8)> = Vec::new();
    for changes in batches {
        let mut batch = BTreeMap::new();
        for change in changes {
            let (address, length, value) = match change {
                Change::Insert(address, length, hop) => (address, length, Some(NextHopId(hop))),
                Change::Remove(address, length) => (address, length, None),
                Change::RemoveKnown(_) if known.is_empty() => continue,
                Change::RemoveKnown(at) => (known[at % known.len()].0, known[at % known.len()].1, None),
            };
            asked.extend([address, address.masked(length)]);
            batch.insert((address.masked(length), length), value);
        }
        known.extend(batch.iter().filter(|(_, value)| value.is_some()).map(|(&key, _)| key));
        let batch: Vec<_> = batch.into_iter().map(|((address, length), value)| (address, length, value)).collect();
        let before = (fib.clone(), twin.clone());
        let mut told = Vec::new();
        fib.apply(&batch, |&change, old| told.push((change, old)));
        let mut wanted = Vec::new();
        for &(address, length, value) in &batch {
            let old = match value {
                Some(value) => twin.insert(address, length, value),
                None => twin.remove(address, length),
            };
            wanted.push(((address, length, value), old));
        }
        prop_assert_eq!(told, wanted);
        agree(&fib, &twin, &asked)?;
        agree(&before.0, &before.1, &asked)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn v4_batches_are_their_changes_one_by_one(
        batches in prop::collection::vec(changes(near(|wide| (wide >> 96) as u32)), 1..4),
        asked in prop::collection::vec(near(|wide| (wide >> 96) as u32), 20),
    ) {
        batches_agree(batches, asked)?;
    }

    #[test]
    fn v6_batches_are_their_changes_one_by_one(
        batches in prop::collection::vec(changes(near(|wide| wide)), 1..4),
        asked in prop::collection::vec(near(|wide| wide), 20),
    ) {
        batches_agree(batches, asked)?;
    }

    #[test]
    fn v4_is_its_slow_twin_and_clones_stay(
        changes in changes(near(|wide| (wide >> 96) as u32)),
        asked in prop::collection::vec(near(|wide| (wide >> 96) as u32), 20),
    ) {
        twins_agree(changes, asked)?;
    }

    #[test]
    fn v6_is_its_slow_twin_and_clones_stay(
        changes in changes(near(|wide| wide)),
        asked in prop::collection::vec(near(|wide| wide), 20),
    ) {
        twins_agree(changes, asked)?;
    }
}

#[test]
fn removing_a_route_restores_the_covering_one() {
    let mut fib = Fib::default();
    assert_eq!(fib.lookup(0x0a01_0203_u32), None);
    fib.insert(0, 0, NextHopId(1));
    fib.insert(0x0a00_0000, 8, NextHopId(2));
    fib.insert(0x0a01_0203, 32, NextHopId(3));
    assert_eq!(fib.lookup(0x0a01_0203), Some((32, NextHopId(3))));
    assert_eq!(fib.insert(0x0a01_0203, 32, NextHopId(4)), Some(NextHopId(3)));
    assert_eq!(fib.remove(0x0a01_0203, 32), Some(NextHopId(4)));
    assert_eq!(fib.remove(0x0a01_0203, 32), None);
    assert_eq!(fib.lookup(0x0a01_0203), Some((8, NextHopId(2))));
    assert_eq!(fib.lookup(0x0b01_0203), Some((0, NextHopId(1))));
    assert_eq!(fib.len(), 2);
}

/// How many nodes no other clone holds. Beneath a node that is shared all is shared.
fn own_nodes<A: Bits>(fib: &Fib<A>) -> usize {
    let mut own = 0;
    let mut open: Vec<&Node<A, NextHopId>> = fib.top.iter().collect();
    while let Some(node) = open.pop() {
        own += match node {
            Node::List(list) => usize::from(!list.is_shared()),
            Node::Fan(fan) if Arc::strong_count(fan) > 1 => 0,
            Node::Fan(fan) => {
                open.extend(fan.nodes());
                1
            }
        };
    }
    own
}

#[test]
fn one_change_in_a_hundred_thousand_routes_copies_its_path_only() {
    // Four fans of eight bits, or three and a list. A list that is full becomes a fan and up to as many lists.
    const PATH: usize = 4 + u32::LISTED;
    let spread = |i: u32| i.wrapping_mul(0x9e37_79b1);
    let mut fib = Fib::default();
    for i in 0..100_000 {
        fib.insert(spread(i), 16 + (i % 17) as u8, NextHopId(i));
    }
    for i in 0..500 {
        let before = fib.clone();
        assert_eq!(own_nodes(&fib), 0);
        fib.insert(spread(i + 200_000), 8 + (i % 25) as u8, NextHopId(i));
        let added = own_nodes(&fib);
        assert!((1..=PATH).contains(&added), "{added} nodes for one route more");
        drop(before);
        let before = fib.clone();
        fib.remove(spread(i), 16 + (i % 17) as u8);
        let added = own_nodes(&fib);
        assert!(added <= PATH, "{added} nodes for one route less");
        drop(before);
    }
}

#[test]
fn a_removal_of_nothing_copies_nothing() {
    let mut fib = Fib::default();
    fib.insert(0x0a00_0000_u32, 24, NextHopId(1));
    let _before = fib.clone();
    assert_eq!(fib.remove(0x0a00_0000, 25), None);
    assert_eq!(fib.remove(0x0a00_0100, 24), None);
    assert_eq!(fib.remove(0x8a00_0100, 1), None);
    assert_eq!(own_nodes(&fib), 0);
}
