//! One thread: what the table promises, on examples.
#![cfg(not(loom))]

use flowtable::{AdoptError, Config, FlowTable, Half, InsertError, Key, LayoutError, NOWHERE, Pairs, Region, Wide};

const CONFIG: Config = Config { narrow_pairs: 1000, wide_pairs: 100, seed: 7, time_base: 99 };

fn table(config: &Config) -> FlowTable {
    let region = Region::heap(config.bytes().expect("possible")).expect("memory");
    FlowTable::create(region, config).expect("laid out")
}

/// The two keys of flow `n`.
fn keys<const K: usize>(n: u64) -> (Key<K>, Key<K>) {
    let mut words = [n; K];
    words[0] = 1;
    let mut back = words;
    back[0] = 2;
    (Key { words, tag: 6 }, Key { words: back, tag: 6 })
}

fn half(n: u64) -> Half {
    Half { stamp: n, next_hop: n as u32 + 1, verdict: n as u8 }
}

fn insert<const K: usize>(pairs: &Pairs<K>, n: u64) -> Result<flowtable::Handle, InsertError> {
    let (forward, reverse) = keys(n);
    pairs.insert((&forward, half(n)), (&reverse, half(n + 100)), n as u32, 5)
}

fn find<const K: usize>(pairs: &Pairs<K>, key: &Key<K>) -> Option<(flowtable::Handle, flowtable::Entry)> {
    pairs.find(key, pairs.hash(key))
}

fn lives<const K: usize>(pairs: &Pairs<K>) {
    let (forward, reverse) = keys::<K>(3);
    assert_eq!(find(pairs, &forward), None);
    let handle = insert(pairs, 3).expect("room");
    let (there, entry) = find(pairs, &forward).expect("forward");
    assert_eq!((there, entry.half(), entry.initiator), (handle, half(3), true));
    assert_eq!((entry.owner, entry.last_seen, entry.state, entry.packets, entry.bytes), (3, 5, 0, 0, 0));
    let (back, entry) = find(pairs, &reverse).expect("reverse");
    assert_eq!((back, entry.half(), entry.initiator), (handle.partner(), half(103), false));
    assert_eq!(back.partner(), handle);
    assert_eq!((find(pairs, &Key { tag: 17, ..forward }), pairs.used()), (None, 1));

    assert!(pairs.touch(handle, 60, 7, 1) && pairs.touch(handle, 40, 6, 4) && pairs.touch(back, 1500, 8, 2));
    assert!(pairs.update(handle, half(9)));
    assert!(pairs.clear_state(handle, 1));
    let entry = pairs.entry(handle).expect("there");
    assert_eq!((entry.half(), entry.state, entry.last_seen, entry.packets, entry.bytes), (half(9), 4, 7, 2, 100));
    let other = pairs.partner_entry(handle).expect("there");
    assert_eq!((other.half(), other.state, other.last_seen, other.packets, other.bytes), (half(103), 2, 8, 1, 1500));
    let pair = pairs.pair(handle.index() / 2).expect("there");
    assert_eq!(
        (pair.forward, pair.reverse, pair.handle, pair.created),
        ((forward, entry), (reverse, other), handle, 5)
    );

    assert_eq!(pairs.take(back), Some(pair));
    assert_eq!((find(pairs, &forward), find(pairs, &reverse), pairs.used()), (None, None, 0));
    let again = insert(pairs, 3).expect("room");
    assert_eq!(again.index(), handle.index(), "the place is used again");
    for stale in [handle, back] {
        assert!(!pairs.touch(stale, 1, 9, 1) && !pairs.update(stale, half(1)) && !pairs.clear_state(stale, 1));
        assert!(!pairs.remove(stale) && pairs.entry(stale).is_none() && pairs.partner_entry(stale).is_none());
    }
    assert_eq!(pairs.entry(again).map(|entry| (entry.packets, entry.half())), Some((0, half(3))));
}

#[test]
fn a_pair_lives_and_dies_together() {
    let table = table(&CONFIG);
    lives(table.narrow());
    lives(table.wide());
}

#[test]
fn the_same_flow_from_the_opposite_end_is_the_same_pair() {
    let table = table(&CONFIG);
    let (forward, reverse) = keys(1);
    let handle = insert(table.narrow(), 1).expect("room");
    let again = |a: &Key<2>, b: &Key<2>| table.narrow().insert((a, half(1)), (b, half(2)), 1, 1);
    assert_eq!(again(&forward, &reverse), Err(InsertError::Exists(handle)));
    assert_eq!(again(&reverse, &forward), Err(InsertError::Exists(handle.partner())));
    assert_eq!(again(&keys(2).0, &reverse), Err(InsertError::ReverseTaken(handle.partner())));
    assert_eq!(again(&keys(2).0, &forward), Err(InsertError::ReverseTaken(handle)));
    assert_eq!(table.narrow().used(), 1);
}

#[test]
fn a_flow_whose_directions_have_one_key_is_found_and_removed() {
    let table = table(&CONFIG);
    let key = keys(1).0;
    let handle = table.narrow().insert((&key, half(1)), (&key, half(2)), 1, 1).expect("room");
    assert_eq!(find(table.narrow(), &key).map(|(there, _)| there), Some(handle));
    assert!(table.narrow().remove(handle.partner()));
    assert_eq!(find(table.narrow(), &key), None);
    assert!(table.narrow().insert((&key, half(1)), (&key, half(2)), 1, 1).is_ok());
}

/// Fills to the last pair with random keys, empties, fills again: no insertion fails for want of a slot.
fn fills<const K: usize>(pairs: &Pairs<K>) {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        state ^ state >> 29
    };
    for round in 0..3 {
        for n in 0..pairs.capacity() {
            let (a, b) = (std::array::from_fn(|_| random()), std::array::from_fn(|_| random()));
            let (a, b) = (Key { words: a, tag: 6 }, Key { words: b, tag: 17 });
            let inserted = pairs.insert((&a, half(1)), (&b, half(2)), n, 1);
            assert!(inserted.is_ok(), "round {round}, pair {n} of {}: {inserted:?}", pairs.capacity());
        }
        assert_eq!(pairs.used(), pairs.capacity());
        assert_eq!(insert(pairs, 1), Err(InsertError::Full));
        let kept = pairs.pair(0).expect("there").forward.0;
        assert!(find(pairs, &kept).is_some(), "a full table still finds");
        assert_eq!(pairs.age(&mut 3, u32::MAX, |_| true), pairs.capacity());
        assert_eq!(pairs.used(), 0);
    }
}

#[test]
fn a_table_fills_to_its_capacity() {
    for pairs in [0, 1, 2, 7, 8, 9, 100, 5000] {
        let table = table(&Config { narrow_pairs: pairs, wide_pairs: pairs, ..CONFIG });
        if pairs == 0 {
            assert_eq!(insert(table.narrow(), 1), Err(InsertError::Full));
            assert_eq!((find(table.narrow(), &keys(1).0), table.wide().pair(0)), (None, None));
        } else {
            fills(table.narrow());
            fills(table.wide());
        }
    }
    fills(table(&Config { narrow_pairs: 30_000, wide_pairs: 0, ..CONFIG }).narrow());
}

#[test]
fn a_pair_set_up_with_its_first_packet_is_as_if_it_were_counted_after() {
    let table = table(&CONFIG);
    let pairs = table.narrow();
    let (a, b) = keys(1);
    let hashes = [&a, &b].map(|key| pairs.hash(key));
    let first = flowtable::Packet { bytes: 60, now: 5, set: 9 };
    let at_once = pairs.insert_hashed((&a, half(1)), (&b, half(2)), hashes, 7, 5, Some(first)).expect("room");
    let (c, d) = keys(2);
    let one_by_one = pairs.insert((&c, half(1)), (&d, half(2)), 7, 5).expect("room");
    assert!(pairs.touch(one_by_one, 60, 5, 9));
    assert_eq!(pairs.entry(at_once), pairs.entry(one_by_one));
    assert_eq!(pairs.partner_entry(at_once), pairs.partner_entry(one_by_one));
    assert_eq!(find(pairs, &a), pairs.entry(at_once).map(|entry| (at_once, entry)));
}

#[test]
fn ageing_goes_round_in_steps() {
    let table = table(&CONFIG);
    let pairs = table.narrow();
    (0..600).for_each(|n| assert!(insert(pairs, n).is_ok()));
    let old = |pair: &flowtable::Outline| pair.owner.is_multiple_of(2);
    let (mut cursor, mut removed, mut asked) = (0, 0, 0);
    for _ in 0..10 {
        removed += pairs.age(&mut cursor, 100, |pair| {
            asked += 1;
            old(pair)
        });
    }
    assert_eq!((removed, asked, pairs.used(), pairs.counters().aged), (300, 600, 300, 300));
    (0..600).for_each(|n| assert_eq!(find(pairs, &keys(n).0).is_some(), n % 2 == 1, "flow {n}"));
}

#[test]
fn a_pair_that_moves_while_it_is_judged_is_judged_again() {
    let table = table(&CONFIG);
    let pairs = table.narrow();
    let handle = insert(pairs, 1).expect("room");
    let idle = |pair: &flowtable::Outline| {
        let idle = pair.forward.packets == 0;
        if idle {
            assert!(pairs.touch(handle, 10, 9, 0));
        }
        idle
    };
    assert_eq!(pairs.age(&mut 0, 1000, idle), 0);
    let mut ended = Vec::new();
    assert_eq!(pairs.age_each(&mut 0, 1000, |_| true, |pair| ended.push(pair.forward.1.packets)), 1);
    assert_eq!(ended, [1]);
}

#[test]
fn eviction_of_several_takes_the_highest_and_beside_it_only_what_ranks_high_enough() {
    let table = table(&CONFIG);
    let pairs = table.narrow();
    (0..50).for_each(|n| assert!(insert(pairs, n).is_ok()));
    let evict = |most, beside| {
        let mut owners = Vec::new();
        let rank = |pair: &flowtable::Outline| (pair.owner < 40).then_some(pair.owner);
        let batch = flowtable::Batch { most, beside };
        let count = pairs.evict_each(&mut 0, 1000, batch, rank, |pair| owners.push(pair.forward.1.owner));
        assert_eq!(count as usize, owners.len());
        owners
    };
    assert_eq!(evict(4, 0), [39, 38, 37, 36]);
    assert_eq!(evict(4, 34), [35, 34]);
    assert_eq!(evict(4, 100), [33]);
    assert_eq!(evict(0, 0), [32]);
    assert_eq!(evict(100, 0).len(), 32, "the most at once");
    assert_eq!((pairs.used(), pairs.counters().evicted), (10, 40));
    assert_eq!(find(pairs, &keys(38).0), None);
}

#[test]
fn eviction_takes_the_highest_rank_of_its_budget_and_never_none() {
    let table = table(&CONFIG);
    let pairs = table.narrow();
    (0..50).for_each(|n| assert!(insert(pairs, n).is_ok()));
    let mut cursor = 0;
    assert!(!pairs.evict(&mut cursor, 1000, |_| None));
    let rank = |pair: &flowtable::Outline| (pair.owner < 40).then_some(pair.owner);
    for n in (0..40).rev() {
        let evicted = pairs.evict_pair(&mut cursor, 1000, rank).expect("one");
        assert_eq!(evicted.forward.0, keys(n).0);
        assert_eq!((find(pairs, &keys(n).0), find(pairs, &keys(n).1)), (None, None));
    }
    assert!(!pairs.evict(&mut cursor, 1000, rank));
    assert_eq!((pairs.used(), pairs.counters().evicted), (10, 40));
}

#[test]
fn a_copy_of_the_words_elsewhere_is_the_same_table() {
    let table = table(&CONFIG);
    let handles: Vec<_> = (0..300).map(|n| insert(table.narrow(), n).expect("room")).collect();
    assert!(insert(table.wide(), 4).is_ok());
    for (n, handle) in (0..).zip(&handles) {
        assert!(table.narrow().touch(*handle, n, 6, 1) && (n % 3 != 0 || table.narrow().remove(*handle)));
    }
    let copy = FlowTable::adopt(Region::from_words(&table.region().to_words()).expect("memory")).expect("ours");
    assert_eq!(copy.config(), &CONFIG);
    assert_eq!(copy.narrow().counters(), table.narrow().counters());
    for n in 0..300 {
        for key in [keys(n).0, keys(n).1] {
            assert_eq!(copy.narrow().hash(&key), table.narrow().hash(&key), "the seed is the region's");
            assert_eq!(find(copy.narrow(), &key), find(table.narrow(), &key), "flow {n}");
        }
    }
    assert!(find::<5>(copy.wide(), &keys(4).1).is_some());
    assert_eq!((copy.narrow().used(), copy.wide().used()), (200, 1));
    (1000..1800).for_each(|n| assert!(insert(copy.narrow(), n).is_ok(), "all free pairs are there: {n}"));
    assert_eq!(insert(copy.narrow(), 5000), Err(InsertError::Full));
    assert_eq!(table.narrow().used(), 200, "the original does not notice");
}

#[test]
fn a_region_that_is_not_ours_is_refused() {
    let adopt = |words: &[u64]| FlowTable::adopt(Region::from_words(words).expect("memory")).err();
    let table = table(&CONFIG);
    let words = table.region().to_words();
    assert_eq!(adopt(&[]), Some(AdoptError::NoTable));
    assert_eq!(adopt(&vec![0; words.len()]), Some(AdoptError::NoTable));
    let with = |place: usize, value| {
        let mut words = words.clone();
        words[place] = value;
        adopt(&words)
    };
    assert_eq!(with(1, 1), Some(AdoptError::Version { found: 1, ours: 4 }));
    for (place, word) in words.iter().enumerate().take(6).skip(2) {
        assert_eq!(with(place, word ^ 1 << 20), Some(AdoptError::Header), "word {place}");
    }
    assert!(matches!(adopt(&words[..words.len() - 8]), Some(AdoptError::Sizes(LayoutError::RegionTooSmall { .. }))));
    let bytes = CONFIG.bytes().expect("possible");
    let small = FlowTable::create(Region::heap(bytes - 64).expect("memory"), &CONFIG).err();
    assert_eq!(small, Some(LayoutError::RegionTooSmall { needed: bytes, given: bytes - 64 }));
}

#[test]
fn a_region_with_leftovers_is_laid_out_anew() {
    let old = table(&CONFIG);
    (0..100).for_each(|n| assert!(insert(old.narrow(), n).is_ok()));
    let region = Region::from_words(&old.region().to_words()).expect("memory");
    let new = FlowTable::create(region, &CONFIG).expect("laid out");
    assert_eq!((new.narrow().used(), find(new.narrow(), &keys(1).0)), (0, None));
    fills(new.narrow());
    let key = Wide { words: [1, 2, 3, 4, 5], tag: 6 };
    new.wide().prefetch_bucket(new.wide().hash(&key));
    assert_eq!(new.wide().candidate(new.wide().seek(&key)), NOWHERE);
}
