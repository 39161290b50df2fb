//! Threads that do everything at once to one small table. Every field of an entry follows from its key, so a torn or foreign
//! read shows.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::{
    Batch, Config, Counter, ELSEWHERE, Entry, FlowTable, Half, InsertError, Key, Outline, Packet, Pair, Pairs, Region,
    Section, Standing,
};

pub(crate) const FLOWS: u64 = 64;
const PAIRS: u32 = 40;

pub(crate) fn table() -> FlowTable {
    let config = Config { narrow_pairs: PAIRS, wide_pairs: PAIRS, seed: 3, time_base: 0 };
    FlowTable::create(Region::heap(config.bytes().expect("possible")).expect("memory"), &config).expect("laid out")
}

/// splitmix64
pub(crate) fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Flow `n`'s keys are 2n and 2n + 1.
pub(crate) fn key<const K: usize>(n: u64) -> Key<K> {
    Key { words: std::array::from_fn(|i| mix(&mut (n << 8 | i as u64))), tag: n as u16 }
}

/// In the stamp: changed with each packet that is counted.
const STAMPED: u64 = 1 << 47;

/// The stamp tells key and update, the rest follows from the stamp. Every other verdict is 0.
fn half(n: u64, update: u64) -> Half {
    let stamp = n << 48 | update & 0xffff_ffff_ffff;
    let follows = mix(&mut { stamp & !STAMPED });
    Half { stamp, next_hop: follows as u32, verdict: (follows >> 56) as u8 * (update & 1) as u8 }
}

/// State bits of flow n are n's own, a packet of it has n + 1 bytes.
fn whole(n: u64, entry: &Entry) -> bool {
    entry.half() == half(n, entry.stamp)
        && entry.stamp >> 48 == n
        && u64::from(entry.owner) == n / 2
        && (entry.state == 0 || u64::from(entry.state) == n + 1)
}

pub(crate) fn whole_pair<const K: usize>(pair: &Pair<K>) -> bool {
    let ends = [pair.forward, pair.reverse].map(|(_, entry)| entry.stamp >> 48);
    let keys = ends.map(key::<K>);
    whole(ends[0], &pair.forward.1)
        && whole(ends[1], &pair.reverse.1)
        && ends[0] ^ 1 == ends[1]
        && keys == [pair.forward.0, pair.reverse.0]
        && pair.forward.1.initiator
        && !pair.reverse.1.initiator
}

/// What threads counted and what ended pairs gave back.
#[derive(Default)]
pub(crate) struct Sums {
    touched: [AtomicU64; 2],
    ended: [AtomicU64; 2],
    pairs: AtomicU64,
}

impl Sums {
    fn end<const K: usize>(&self, pair: &Pair<K>) {
        assert!(whole_pair(pair), "torn at its end: {pair:?}");
        for entry in [pair.forward.1, pair.reverse.1] {
            assert_eq!(entry.bytes, entry.packets * ((entry.stamp >> 48) + 1), "another flow's packet: {pair:?}");
            self.ended[0].fetch_add(entry.packets, Relaxed);
            self.ended[1].fetch_add(entry.bytes, Relaxed);
        }
        self.pairs.fetch_sub(1, Relaxed);
    }
}

/// Counts a packet of flow n, as the datapath does it. Tells whether it was.
fn count<const K: usize>(pairs: &Pairs<K>, section: &mut Section, n: u64, now: u32) -> bool {
    let (key, packet) = (key(n), Packet { bytes: n as u32 + 1, now, set: (n + 1) as u16 });
    let sought = pairs.seek(&key);
    let candidate = match pairs.candidate(sought) {
        ELSEWHERE => pairs.candidate_elsewhere(sought),
        candidate => candidate,
    };
    let stands = |standing: &mut Standing| {
        let whole = standing.half == half(n, standing.half.stamp);
        standing.half.stamp ^= STAMPED;
        whole.then_some(())
    };
    match pairs.try_count(candidate, &key, packet, section, stands) {
        Some(counted) => counted.is_some(),
        None => pairs.count(candidate, &key, packet, section, stands).is_some(),
    }
}

/// Does `rounds` random things. With `CHECKED` false it looks up without the check, and tells whether it saw a torn entry.
pub(crate) fn everything<const K: usize, const CHECKED: bool>(
    pairs: &Pairs<K>,
    sums: &Sums,
    mut state: u64,
    rounds: u32,
) -> bool {
    let (mut cursor, mut counter, which) = (0, Counter::new(&pairs.sections), state % 4);
    for _ in 0..rounds {
        let random = mix(&mut state);
        let n = random % (2 * FLOWS);
        let key = key(n);
        let found = pairs.find_in::<CHECKED>(&key, pairs.place(pairs.hash(&key)));
        if !found.is_none_or(|(_, entry)| whole(n, &entry)) {
            assert!(!CHECKED, "torn: key {n}, {found:?}");
            return true;
        }
        match (random >> 32 & 31, found) {
            (0, Some((handle, _))) => {
                pairs.take(handle).iter().for_each(|pair| sums.end(pair));
            }
            (1..=9, Some((handle, _))) => {
                pairs.update(handle, half(n, random >> 16));
            }
            (20..=29, _) => {
                let mut section = counter.section();
                for _ in 0..4 {
                    let random = mix(&mut state);
                    // mostly its own flows
                    let n =
                        if random >> 32 & 7 == 0 { random % (2 * FLOWS) } else { (random % (2 * FLOWS)) & !3 | which };
                    let counted = count(pairs, &mut section, n, random as u32);
                    sums.touched[0].fetch_add(u64::from(counted), Relaxed);
                    sums.touched[1].fetch_add(u64::from(counted) * (n + 1), Relaxed);
                }
            }
            (10..=19, Some((handle, _))) => {
                let counted = pairs.touch(handle, n as u32 + 1, random as u32, (n + 1) as u16);
                sums.touched[0].fetch_add(u64::from(counted), Relaxed);
                sums.touched[1].fetch_add(u64::from(counted) * (n + 1), Relaxed);
            }
            (30, _) => {
                let odd = |pair: &Outline| pair.forward.packets % 5 == 4;
                pairs.age_each(&mut cursor, 2, odd, |pair| sums.end(pair));
            }
            (31, _) => {
                let seen = pairs.pair(random as u32 % PAIRS);
                assert!(seen.is_none_or(|pair| whole_pair(&pair)), "torn: {seen:?}");
            }
            (_, None) => {
                let (a, b) = (half(n, 0), half(n ^ 1, 0));
                match pairs.insert((&key, a), (&self::key(n ^ 1), b), (n / 2) as u32, 0) {
                    Ok(_) => _ = sums.pairs.fetch_add(1, Relaxed),
                    Err(InsertError::Full) => {
                        let rank = |pair: &Outline| Some(pair.forward.packets as u32);
                        let batch = Batch { most: 1 + random as u32 % 3, beside: 2 };
                        pairs.evict_each(&mut cursor, 6, batch, rank, |pair| sums.end(pair));
                    }
                    Err(InsertError::Exists(_) | InsertError::ReverseTaken(_)) => {}
                }
            }
            _ => {}
        }
    }
    false
}

/// Four threads do everything at once; tells whether one saw a torn entry.
fn beside_each_other<const K: usize, const CHECKED: bool>(
    pairs: &Pairs<K>,
    sums: &Sums,
    seed: u64,
    rounds: u32,
) -> bool {
    std::thread::scope(|scope| {
        let threads =
            [0, 1, 2, 3].map(|n| scope.spawn(move || everything::<K, CHECKED>(pairs, sums, seed + n, rounds)));
        threads.map(|thread| thread.join().expect("no panic")).contains(&true)
    })
}

/// How long one stress goes on: once, or for `VROUTER_STRESS_SECONDS`.
pub(crate) fn enough(start: Instant) -> bool {
    let wanted = std::env::var("VROUTER_STRESS_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    start.elapsed().as_secs() >= wanted
}

fn stress<const K: usize>(pairs: &Pairs<K>) {
    let sums = Sums::default();
    let start = Instant::now();
    for seed in (1..).step_by(4) {
        assert!(!beside_each_other::<K, true>(pairs, &sums, seed, 100_000));
        if enough(start) {
            break;
        }
    }
    assert_eq!(u64::from(pairs.used()), sums.pairs.load(Relaxed));
    let counters = pairs.counters();
    assert!(counters.removed > 0 && counters.evicted > 0 && counters.aged > 0, "{counters:?}");
    assert_eq!(counters.inserted - counters.removed - counters.evicted - counters.aged, u64::from(pairs.used()));
    for place in 0..pairs.capacity() {
        let Some(pair) = pairs.pair(place) else { continue };
        for (key, _) in [pair.forward, pair.reverse] {
            let there = pairs.find(&key, pairs.hash(&key)).map(|(handle, _)| handle.index() / 2);
            assert_eq!(there, Some(place), "a pair that lives is found by both keys");
        }
        sums.end(&pair);
        assert!(pairs.remove(pair.handle));
    }
    assert_eq!(sums.ended.map(AtomicU64::into_inner), sums.touched.map(AtomicU64::into_inner), "packets, bytes");
    assert_eq!(pairs.used(), 0);
    for n in 0..2 * FLOWS {
        assert_eq!(pairs.find(&key(n), pairs.hash(&key(n))), None, "nothing is left of key {n}");
    }
}

#[test]
fn everything_at_once_tears_nothing_and_counts_exactly() {
    let table = table();
    stress(table.narrow());
    stress(table.wide());
}

/// The fault that is planted to show that the stress would see one.
#[test]
fn a_reader_without_the_check_is_caught() {
    let torn = (0..200).any(|_| beside_each_other::<2, false>(table().narrow(), &Sums::default(), 1, 100_000));
    assert!(torn);
}
