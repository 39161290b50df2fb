//! Regions in any state are adopted: copies that are taken while threads change everything, any word of which may be older than any other; and
//! copies of which any bit may have changed. What comes of them is a table of whole pairs, of which nothing is missing that nobody changed.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use crate::stress::{FLOWS, Sums, enough, everything, key, mix, table, whole_pair};
use crate::{AdoptError, FlowTable, InsertError, Key, Line, Pair, Pairs, Region};

/// The words, looked at in an order of chance.
fn copy(lines: &[Line], state: &mut u64) -> Vec<u64> {
    let count = lines.len() * 8;
    let mut order: Vec<usize> = (0..count).collect();
    for at in (1..count).rev() {
        order.swap(at, (mix(state) % (at as u64 + 1)) as usize);
    }
    let mut words = vec![0; count];
    for (n, at) in order.into_iter().enumerate() {
        words[at] = lines[at / 8].word(at % 8);
        // others get on meanwhile
        if n as u64 == count as u64 / 2 && mix(state).is_multiple_of(2) {
            std::thread::yield_now();
        }
    }
    words
}

fn adopt(words: &[u64]) -> Result<FlowTable, AdoptError> {
    FlowTable::adopt(Region::from_words(words).expect("memory"))
}

fn all<const K: usize>(pairs: &Pairs<K>) -> Vec<Option<Pair<K>>> {
    (0..pairs.capacity()).map(|place| pairs.pair(place)).collect()
}

/// Both keys are those of one flow: what the forward one's tag says.
fn together<const K: usize>(pair: &Pair<K>) -> bool {
    let n = u64::from(pair.forward.0.tag);
    (n < 2 * FLOWS) && [pair.forward.0, pair.reverse.0] == [key(n), key(n ^ 1)]
}

/// Everything that holds of a table, and that it can be filled and emptied.
fn sound<const K: usize>(pairs: &Pairs<K>, whole: impl Fn(&Pair<K>) -> bool) {
    let there = all(pairs);
    let count = there.iter().flatten().count() as u32;
    assert_eq!(pairs.used(), count);
    for pair in there.iter().flatten() {
        assert!(whole(pair), "not whole: {pair:?}");
        for (side, handle) in [(&pair.forward, pair.handle), (&pair.reverse, pair.handle.partner())] {
            assert_eq!(pairs.find(&side.0, pairs.hash(&side.0)), Some((handle, side.1)), "found by both keys");
        }
        assert!(pairs.touch(pair.handle, 1, 1, 1) && pairs.touch(pair.handle.partner(), 1, 1, 1), "no lock is left");
    }
    let own = |n: u64| Key { words: [n; K], tag: 0xf000 };
    let inserted =
        (0..).map(|n| pairs.insert((&own(2 * n), Default::default()), (&own(2 * n + 1), Default::default()), 0, 0));
    let filled = inserted.take_while(Result::is_ok).count() as u32;
    assert_eq!(filled + count, pairs.capacity(), "every free place is there, once");
    let full = pairs.insert((&own(1 << 40), Default::default()), (&own(1 << 41), Default::default()), 0, 0);
    assert_eq!(full, Err(InsertError::Full));
    assert_eq!(pairs.age(&mut 0, u32::MAX, |_| true), pairs.capacity());
    assert_eq!(pairs.used(), 0);
    assert!((0..2 * FLOWS).all(|n| pairs.find(&key(n), pairs.hash(&key(n))).is_none()), "something is left");
}

/// Copies are taken while four threads write, and adopted. Tells how many pairs were dropped as odd and as strange.
fn copies<const K: usize>(which: fn(&FlowTable) -> &Pairs<K>, wanted: u32, seed: u64) -> [u64; 2] {
    let (table, sums, stop) = (table(), Sums::default(), AtomicBool::new(false));
    let pairs = which(&table);
    let mut dropped = [0; 2];
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (sums, stop) = (&sums, &stop);
            scope.spawn(move || {
                let mut state = seed + thread;
                while !stop.load(Relaxed) {
                    everything::<K, true>(pairs, sums, mix(&mut state) & !3 | thread, 500);
                }
            });
        }
        let (start, mut state, mut count) = (Instant::now(), seed, 0);
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while count < wanted || !enough(start) {
                let before = all(pairs);
                let words = copy(table.region().lines(), &mut state);
                let after = all(pairs);
                let adopted = adopt(&words).expect("the header stands");
                let copied = which(&adopted);
                for pair in before.iter().zip(&after).filter_map(|(a, b)| a.as_ref().filter(|_| a == b)) {
                    let kept = copied.pair(pair.handle.index() / 2);
                    assert_eq!(kept.as_ref(), Some(pair), "nobody changed it: {:?}", adopted.adopted());
                }
                let report = adopted.adopted().expect("it was");
                assert_eq!(report.pairs, u64::from(copied.used()));
                dropped = [dropped[0] + report.odd, dropped[1] + report.strange];
                sound(copied, together);
                count += 1;
            }
        }));
        stop.store(true, Relaxed);
        failed.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
    });
    dropped
}

#[test]
fn a_copy_of_any_moment_is_a_table_of_whole_pairs() {
    let dropped = [copies(FlowTable::narrow, 2000, 11), copies(FlowTable::wide, 800, 12)];
    // else nothing was written while a copy was taken
    assert!(dropped.iter().flatten().all(|&count| count > 0), "{dropped:?}");
}

/// What threads left, when all are done.
fn left<const K: usize>(which: fn(&FlowTable) -> &Pairs<K>, seed: u64) -> FlowTable {
    let table = table();
    everything::<K, true>(which(&table), &Sums::default(), seed, 3000);
    table
}

fn flips<const K: usize>(which: fn(&FlowTable) -> &Pairs<K>, rounds: u64) {
    let start = Instant::now();
    let (mut state, mut refused, mut dropped) = (7, 0, 0);
    let mut round = 0;
    while round < rounds || !enough(start) {
        let table = left(which, round);
        let words = table.region().to_words();
        assert!(all(which(&table)).iter().flatten().all(whole_pair));
        for _ in 0..20 {
            let mut words = words.clone();
            // few, many; anywhere, or in one part of the region
            let count = 1 << (mix(&mut state) % 10);
            let (from, length) = match mix(&mut state) % 3 {
                0 => (0, words.len() as u64),
                _ => (8 + mix(&mut state) % (words.len() as u64 - 72), 64),
            };
            for _ in 0..count {
                let random = mix(&mut state);
                words[(from + random % length) as usize] ^= 1 << (random >> 32 & 63);
            }
            match adopt(&words) {
                Ok(adopted) => {
                    dropped += adopted.adopted().expect("it was").dropped();
                    sound(which(&adopted), together);
                }
                Err(_) => refused += 1,
            }
        }
        round += 1;
    }
    assert!(refused > 0 && dropped > 0, "{refused} refused, {dropped} dropped");
}

#[test]
fn changed_bits_give_no_pair_whose_halves_do_not_belong_together() {
    flips(FlowTable::narrow, 150);
    flips(FlowTable::wide, 60);
}

#[test]
fn noise_behind_a_header_is_an_empty_table() {
    let table = table();
    let mut state = 3;
    for round in 0..200 {
        let mut words = table.region().to_words();
        // all of it, or guards that say LIVE above all
        let like = if round % 2 == 0 { 0 } else { 1 << 2 | 1 << 32 };
        words[8..].iter_mut().for_each(|word| {
            *word = mix(&mut state) & if like == 0 { u64::MAX } else { !0xffff_ffff_0000_0003 } | like
        });
        let adopted = adopt(&words).expect("the header stands");
        sound(adopted.narrow(), |_| false);
        sound(adopted.wide(), |_| false);
    }
}
