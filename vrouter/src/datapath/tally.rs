//! Counters by keys that come and go, in a bounded table: what was dropped out of tunnels by VRF, what was decided by route.
//!
//! One writer (the worker), any readers. A row is its key's until what the key names is no more; a reader that saw its version change takes nothing.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::counters::Counter;

/// Rows that one of them may have.
const BUCKET: usize = 8;

/// A worker's counters, by keys of so many words, not all of which are zero.
pub struct Tally<const WORDS: usize> {
    buckets: Box<[[Row<WORDS>; BUCKET]]>,
    /// What found no row.
    rest: Counter,
}

struct Row<const WORDS: usize> {
    /// Odd while it is written; 0: nobody's yet.
    version: AtomicU64,
    key: [AtomicU64; WORDS],
    count: Counter,
}

impl<const WORDS: usize> Tally<WORDS> {
    /// With so many rows, or what makes the number of buckets a power of two.
    pub fn new(rows: usize) -> Tally<WORDS> {
        let row = |_: usize| Row {
            version: AtomicU64::new(0),
            key: [const { AtomicU64::new(0) }; WORDS],
            count: Counter::default(),
        };
        let buckets = rows.div_ceil(BUCKET).next_power_of_two();
        Tally { buckets: (0..buckets).map(|_| std::array::from_fn(row)).collect(), rest: Counter::default() }
    }

    /// Adds to a key's count; the owning worker only. `is_there`: whether what a key names is there yet; asked only where no row is left.
    #[inline(always)]
    pub fn add(&self, key: [u64; WORDS], more: i64, is_there: impl Fn([u64; WORDS]) -> bool) {
        let folded = key.iter().fold(0_u64, |folded, word| folded.rotate_left(32) ^ word);
        let mixed = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let rows = &self.buckets[mixed as usize & (self.buckets.len() - 1)];
        match rows.iter().find(|row| row.key() == key) {
            Some(row) => row.count.add(more as u64),
            None => self.begin(rows, key, more, is_there),
        }
    }

    #[cold]
    #[inline(never)]
    fn begin(&self, rows: &[Row<WORDS>], key: [u64; WORDS], more: i64, is_there: impl Fn([u64; WORDS]) -> bool) {
        let is_left = |row: &&Row<WORDS>| !row.is_taken() || !is_there(row.key());
        match rows.iter().find(is_left) {
            Some(row) => row.begin(key, more as u64),
            None => self.rest.add(more as u64),
        }
    }

    /// The counts so far; any thread. A row that is being written is left out.
    pub fn read(&self) -> impl Iterator<Item = ([u64; WORDS], u64)> + '_ {
        self.buckets.iter().flatten().filter_map(Row::read)
    }

    /// What was counted of keys that found no row; any thread.
    pub fn rest(&self) -> u64 {
        self.rest.count()
    }
}

impl<const WORDS: usize> Row<WORDS> {
    fn is_taken(&self) -> bool {
        self.version.load(Ordering::Relaxed) != 0
    }

    #[inline(always)]
    fn key(&self) -> [u64; WORDS] {
        self.key.each_ref().map(|word| word.load(Ordering::Relaxed))
    }

    /// It is another key's from now on.
    fn begin(&self, key: [u64; WORDS], count: u64) {
        let version = self.version.load(Ordering::Relaxed);
        // odd first, and the fence keeps the stores below behind it: a reader that sees any of them sees the odd version when it looks again
        self.version.store(version + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.key.iter().zip(key).for_each(|(word, new)| word.store(new, Ordering::Relaxed));
        self.count.set(count);
        self.version.store(version + 2, Ordering::Release);
    }

    fn read(&self) -> Option<([u64; WORDS], u64)> {
        let version = self.version.load(Ordering::Acquire);
        let (key, count) = (self.key(), self.count.count());
        // pairs with the writer's fence: words of another key come with its odd version
        fence(Ordering::Acquire);
        let is_whole = version != 0 && version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version;
        is_whole.then_some((key, count))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;

    const ROWS: usize = 1024;

    #[test]
    fn each_key_counts_for_itself() {
        let tally = Tally::<2>::new(ROWS);
        let mut expected = BTreeMap::new();
        for at in 0..3000_u64 {
            let key = [at % 2, at % 99 + 1];
            tally.add(key, 2, |_| true);
            *expected.entry(key).or_insert(0) += 2;
        }
        tally.add([0, 1], -1, |_| true);
        *expected.get_mut(&[0, 1]).unwrap() -= 1;
        assert_eq!(tally.read().collect::<BTreeMap<_, _>>(), expected);
        assert_eq!(tally.rest(), 0);
    }

    #[test]
    fn rows_of_what_is_no_more_become_others() {
        let tally = Tally::<1>::new(ROWS);
        (1..20_001).for_each(|key| tally.add([key], 1, |_| true));
        assert_eq!((tally.read().count(), tally.rest()), (ROWS, 20_000 - ROWS as u64));
        // while they are there nobody takes theirs
        (30_000..50_000).for_each(|key| tally.add([key], 1, |_| true));
        assert!(tally.read().all(|([key], count)| key <= 20_000 && count == 1));
        (30_000..50_000).for_each(|key| tally.add([key], 1, |[key]| key >= 30_000));
        assert!(tally.read().all(|([key], count)| key >= 30_000 && count == 1));
        assert_eq!(tally.read().count(), ROWS);
    }

    #[test]
    fn a_reader_beside_never_sees_ones_count_as_anothers() {
        let (first, second) = ([1], [2]);
        // one bucket, in whose first row they take turns: while one is there the other is not
        let tally = Arc::new(Tally::<1>::new(BUCKET));
        let writer = std::thread::spawn({
            let tally = tally.clone();
            move || {
                for turn in 0..20_000 {
                    let (key, most) = if turn % 2 == 0 { (first, 3) } else { (second, 7) };
                    (0..most).for_each(|_| tally.add(key, 1, |there| there == key));
                }
            }
        });
        while !writer.is_finished() {
            for (key, count) in tally.read() {
                let most = if key == first { 3 } else { 7 };
                assert!((key == first || key == second) && (1..=most).contains(&count), "{key:?} {count}");
            }
        }
        writer.join().unwrap();
        assert_eq!(tally.read().collect::<Vec<_>>(), [(second, 7)]);
    }
}
