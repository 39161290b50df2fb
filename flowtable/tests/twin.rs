//! The table beside a slow twin: a plain map, through any sequence of calls.
#![cfg(not(loom))]

use std::collections::HashMap;

use flowtable::{
    Config, Counter, ELSEWHERE, Entry, FlowTable, Half, Handle, InsertError, Key, NOWHERE, Outline, Packet, Pair,
    Pairs, Region, Section, Sought, Standing,
};
use proptest::prelude::*;

const CAPACITY: u32 = 12;

#[derive(Clone, Debug)]
enum Call {
    Insert {
        forward: u8,
        reverse: u8,
        half: u8,
        owner: u8,
    },
    Find(u8),
    Update {
        handle: u8,
        half: u8,
    },
    /// With a decision: only if that one stands.
    Touch {
        handle: u8,
        bytes: u32,
        set: u16,
        decided: Option<u8>,
    },
    /// Find, check and count in one step; `stands`: what the check says.
    Count {
        key: u8,
        bytes: u32,
        set: u16,
        stands: bool,
    },
    Clear {
        handle: u8,
        bits: u16,
    },
    Take(u8),
    Age {
        cursor: u32,
        budget: u32,
        packets: u64,
    },
    Evict {
        cursor: u32,
        budget: u32,
        spare: u32,
    },
    Tick(u32),
    Adopt,
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => (0..40u8, 0..40u8, any::<u8>(), 0..4u8)
            .prop_map(|(forward, reverse, half, owner)| Call::Insert { forward, reverse, half, owner }),
        2 => (0..40u8).prop_map(Call::Find),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(handle, half)| Call::Update { handle, half }),
        4 => (any::<u8>(), 0..2000u32, 0..16u16, any::<Option<u8>>())
            .prop_map(|(handle, bytes, set, decided)| Call::Touch { handle, bytes, set, decided }),
        4 => (0..40u8, 0..2000u32, 0..16u16, any::<bool>())
            .prop_map(|(key, bytes, set, stands)| Call::Count { key, bytes, set, stands }),
        1 => (any::<u8>(), 0..16u16).prop_map(|(handle, bits)| Call::Clear { handle, bits }),
        2 => any::<u8>().prop_map(Call::Take),
        1 => (0..30u32, 0..20u32, 0..3u64).prop_map(|(cursor, budget, packets)| Call::Age { cursor, budget, packets }),
        1 => (0..30u32, 0..20u32, 0..4u32).prop_map(|(cursor, budget, spare)| Call::Evict { cursor, budget, spare }),
        1 => prop_oneof![0..5u32, Just(u32::MAX - 2)].prop_map(Call::Tick),
        1 => Just(Call::Adopt),
    ]
}

/// Neighbours differ in one bit of one word, or in the tag alone.
fn key<const K: usize>(n: u8) -> Key<K> {
    let mut words = [0; K];
    words[n as usize / 8 % K] = u64::from(n / 4) << 7;
    Key { words, tag: u16::from(n % 4) << 14 }
}

fn half(n: u8) -> Half {
    Half { stamp: u64::from(n) << 40 | 1, next_hop: u32::MAX - u32::from(n), verdict: n }
}

/// The twin: pairs by their forward handle, places by key.
struct Twin<const K: usize> {
    pairs: HashMap<Handle, Pair<K>>,
    places: HashMap<Key<K>, Handle>,
    given: Vec<Handle>,
    now: u32,
}

fn forward(handle: Handle) -> Handle {
    if handle.index().is_multiple_of(2) { handle } else { handle.partner() }
}

impl<const K: usize> Twin<K> {
    fn entry(&mut self, handle: Handle) -> Option<&mut Entry> {
        let pair = self.pairs.get_mut(&forward(handle))?;
        Some(if handle == pair.handle { &mut pair.forward.1 } else { &mut pair.reverse.1 })
    }

    fn remove(&mut self, handle: Handle) -> Option<Pair<K>> {
        let pair = self.pairs.remove(&forward(handle))?;
        self.places.retain(|_, place| forward(*place) != pair.handle);
        Some(pair)
    }

    fn handle(&self, n: u8) -> Option<Handle> {
        (!self.given.is_empty()).then(|| self.given[n as usize % self.given.len()])
    }

    fn insert(&mut self, pairs: &Pairs<K>, ends: [Key<K>; 2], halves: [Half; 2], owner: u32) {
        let inserted = pairs.insert((&ends[0], halves[0]), (&ends[1], halves[1]), owner, self.now);
        let expected = match (self.places.get(&ends[0]), self.places.get(&ends[1])) {
            (Some(&there), _) => Err(InsertError::Exists(there)),
            (None, Some(&there)) => Err(InsertError::ReverseTaken(there)),
            (None, None) if self.pairs.len() as u32 == CAPACITY => Err(InsertError::Full),
            (None, None) => inserted,
        };
        assert_eq!(inserted, expected);
        let Ok(handle) = inserted else { return };
        assert_eq!(handle, forward(handle));
        assert!(self.pairs.keys().all(|other| other.index() != handle.index()), "a place in use was given out");
        assert!(!self.given.contains(&handle), "a handle was given out twice");
        let entry = |Half { stamp, next_hop, verdict }, initiator| Entry {
            stamp,
            next_hop,
            verdict,
            state: 0,
            owner,
            last_seen: self.now,
            initiator,
            packets: 0,
            bytes: 0,
        };
        let both = ((ends[0], entry(halves[0], true)), (ends[1], entry(halves[1], false)));
        self.pairs.insert(handle, Pair { forward: both.0, reverse: both.1, handle, created: self.now });
        self.places.insert(ends[1], handle.partner());
        self.places.insert(ends[0], handle);
        self.given.extend([handle, handle.partner()]);
    }

    /// Handles of the pairs in the next `budget` places.
    fn scanned(&self, cursor: u32, budget: u32) -> Vec<Handle> {
        let start = if cursor < CAPACITY { cursor } else { 0 };
        let places = (0..budget.min(CAPACITY)).map(|i| (start + i) % CAPACITY);
        places.filter_map(|place| self.pairs.keys().find(|handle| handle.index() == 2 * place)).copied().collect()
    }

    fn age(&mut self, pairs: &Pairs<K>, mut cursor: u32, budget: u32, packets: u64) {
        let expired = |pair: &Outline| pair.forward.packets + pair.reverse.packets == packets;
        let expected: Vec<_> =
            self.scanned(cursor, budget).into_iter().filter(|h| expired(&self.pairs[h].outline())).collect();
        let mut ended = Vec::new();
        let count = pairs.age_each(&mut cursor, budget, expired, |pair| ended.push(*pair));
        assert_eq!((count as usize, ended.iter().map(|pair| pair.handle).collect::<Vec<_>>()), (ended.len(), expected));
        for pair in ended {
            assert_eq!(self.remove(pair.handle), Some(pair));
        }
    }

    fn evict(&mut self, pairs: &Pairs<K>, mut cursor: u32, budget: u32, spare: u32) {
        let rank = |pair: &Outline| (pair.owner != spare).then_some(pair.forward.packets as u32);
        let ranks = self.scanned(cursor, budget).into_iter().filter_map(|handle| rank(&self.pairs[&handle].outline()));
        let highest = ranks.max();
        let evicted = pairs.evict_pair(&mut cursor, budget, rank);
        assert_eq!(evicted.as_ref().and_then(|pair| rank(&pair.outline())), highest);
        if let Some(pair) = evicted {
            assert_eq!(self.remove(pair.handle), Some(pair));
        }
    }

    fn call(&mut self, pairs: &Pairs<K>, counters: &mut [Counter; 3], call: &Call) {
        match *call {
            Call::Insert { forward, reverse, half: n, owner } => {
                let ends = [key(forward), key(reverse)];
                self.insert(pairs, ends, [half(n), half(n.wrapping_add(1))], u32::from(owner));
            }
            Call::Find(n) => {
                let found = pairs.find(&key(n), pairs.hash(&key(n)));
                let place = self.places.get(&key(n)).copied();
                let expected = place.and_then(|place| self.entry(place).map(|entry| (place, *entry)));
                assert_eq!(found, expected);
            }
            Call::Update { handle, half: n } => {
                let Some(handle) = self.handle(handle) else { return };
                let Half { stamp, next_hop, verdict } = half(n);
                let entry = self.entry(handle).map(|entry| *entry = Entry { stamp, next_hop, verdict, ..*entry });
                assert_eq!(pairs.update(handle, half(n)), entry.is_some());
            }
            Call::Touch { handle, bytes, set, decided } => {
                let (Some(handle), now) = (self.handle(handle), self.now) else { return };
                // whenever it was decided so
                let stands = self.entry(handle).map_or(half(0), |entry| Half { stamp: now.into(), ..entry.half() });
                let decided = decided.map(|n| if n % 2 == 0 { stands } else { half(n) });
                let same = |entry: &Entry, half: Half| (half.next_hop, half.verdict) == (entry.next_hop, entry.verdict);
                let entry = self.entry(handle).filter(|entry| decided.is_none_or(|half| same(entry, half)));
                let entry = entry.map(|entry| {
                    entry.packets += 1;
                    entry.bytes += u64::from(bytes);
                    entry.state |= set;
                    entry.last_seen = now;
                });
                let touched = match decided {
                    Some(half) => pairs.touch_decided(handle, half, bytes, now, set),
                    None => pairs.touch(handle, bytes, now, set),
                };
                assert_eq!(touched, entry.is_some());
            }
            Call::Count { key: n, bytes, set, stands } => {
                let which = bytes as usize % counters.len();
                self.count(pairs, &key(n), (bytes, set), &mut counters[which], stands)
            }
            Call::Clear { handle, bits } => {
                let Some(handle) = self.handle(handle) else { return };
                let entry = self.entry(handle).map(|entry| entry.state &= !bits);
                assert_eq!(pairs.clear_state(handle, bits), entry.is_some());
            }
            Call::Take(handle) => {
                let Some(handle) = self.handle(handle) else { return };
                assert_eq!(pairs.take(handle), self.remove(handle));
            }
            Call::Age { cursor, budget, packets } => self.age(pairs, cursor, budget, packets),
            Call::Evict { cursor, budget, spare } => self.evict(pairs, cursor, budget, spare),
            Call::Tick(ticks) => self.now = self.now.wrapping_add(if ticks > 9 { 9 } else { ticks }),
            Call::Adopt => {}
        }
    }

    fn count(&mut self, pairs: &Pairs<K>, key: &Key<K>, (bytes, set): (u32, u16), counter: &mut Counter, stands: bool) {
        let (place, now) = (self.places.get(key).copied(), self.now);
        let entry = place.and_then(|place| self.entry(place)).filter(|entry| entry.verdict == 0);
        // of some packets the decision is found to stand by what is known since
        let newer = |stamp: u64| stamp + u64::from(bytes % 3 == 0);
        let expected = entry.map(|entry| {
            let seen = Standing { half: entry.half(), initiator: entry.initiator, state: entry.state };
            if stands {
                entry.packets += 1;
                entry.bytes += u64::from(bytes);
                entry.state |= set;
                entry.last_seen = now;
                entry.stamp = newer(entry.stamp);
            }
            seen
        });
        let candidate = Some(candidate(pairs, pairs.seek(key))).filter(|&at| at != NOWHERE);
        assert!(place.is_none_or(|place| candidate == Some(place.index())) || candidate.is_some(), "another's tag");
        // the candidate may be another entry with the same tag, which is found by its own place then
        let at = candidate.filter(|&at| place.is_some_and(|place| place.index() == at)).or(place.map(Handle::index));
        let asked = std::cell::Cell::new(None);
        let check = |standing: &mut Standing| {
            asked.set(Some(*standing));
            standing.half.stamp = newer(standing.half.stamp);
            stands.then_some(7)
        };
        let section = &mut counter.section();
        let counted = at.and_then(|at| count(pairs, at, key, Packet { bytes, now, set }, section, check));
        assert_eq!(counted, (expected.is_some() && stands).then_some(7));
        assert_eq!(asked.get(), expected);
        // no other key is counted at that place
        let strange = Key { tag: key.tag ^ 0x100, ..*key };
        let packet = Packet { bytes, now, set };
        assert_eq!(at.and_then(|at| count(pairs, at, &strange, packet, section, |_| Some(0))), None);
    }

    fn same(&mut self, pairs: &Pairs<K>) {
        assert_eq!(pairs.used() as usize, self.pairs.len());
        for place in 0..CAPACITY {
            let expected = self.pairs.values().find(|pair| pair.handle.index() == 2 * place);
            assert_eq!(pairs.pair(place).as_ref(), expected);
        }
        for n in 0..40 {
            let found = pairs.find(&key(n), pairs.hash(&key(n))).map(|(handle, _)| handle);
            assert_eq!(found, self.places.get(&key(n)).copied(), "key {n}");
            let sought = pairs.seek(&key(n));
            let same = pairs.find_at(&key(n), sought.hash(), pairs.candidate(sought)).map(|(handle, _)| handle);
            assert_eq!(same, found, "key {n}");
        }
        for handle in self.given.clone() {
            assert_eq!(pairs.entry(handle), self.entry(handle).copied());
        }
    }
}

/// As the datapath does it.
fn candidate<const K: usize>(pairs: &Pairs<K>, sought: Sought) -> u32 {
    match pairs.candidate(sought) {
        ELSEWHERE => pairs.candidate_elsewhere(sought),
        candidate => candidate,
    }
}

/// The same.
fn count<const K: usize, R>(
    pairs: &Pairs<K>,
    at: u32,
    key: &Key<K>,
    packet: Packet,
    section: &mut Section,
    stands: impl Fn(&mut Standing) -> Option<R>,
) -> Option<R> {
    match pairs.try_count(at, key, packet, section, &stands) {
        Some(counted) => counted,
        None => pairs.count(at, key, packet, section, stands),
    }
}

fn run<const K: usize>(calls: &[Call], seed: u64, kind: impl Fn(&FlowTable) -> &Pairs<K>) {
    let config = Config { narrow_pairs: CAPACITY, wide_pairs: CAPACITY, seed, time_base: 1 };
    let region = Region::heap(config.bytes().expect("possible")).expect("memory");
    let mut table = FlowTable::create(region, &config).expect("laid out");
    let (pairs, places) = (HashMap::new(), HashMap::new());
    let mut counters = [table.counter(), table.counter(), table.counter()];
    let mut twin = Twin::<K> { pairs, places, given: Vec::new(), now: u32::MAX - 20 };
    for call in calls {
        if let Call::Adopt = call {
            table = FlowTable::adopt(Region::from_words(&table.region().to_words()).expect("memory")).expect("ours");
            assert_eq!(kind(&table).counters().odd_dropped, 0);
            counters = [table.counter(), table.counter(), table.counter()];
        }
        twin.call(kind(&table), &mut counters, call);
    }
    twin.same(kind(&table));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn narrow_pairs_are_a_map(calls in proptest::collection::vec(call(), 0..120), seed: u64) {
        run(&calls, seed, FlowTable::narrow);
    }

    #[test]
    fn wide_pairs_are_a_map(calls in proptest::collection::vec(call(), 0..120), seed: u64) {
        run(&calls, seed, FlowTable::wide);
    }
}
