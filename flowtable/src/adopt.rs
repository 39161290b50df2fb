//! Taking over a region that another process left: what is whole stays, all else is made anew from it.
//!
//! Entries alone are the truth. Buckets, free lists, locks and the marks of who counts what are made anew, so that nothing of them can be wrong.
//! A pair is whole when both entries are live, of one incarnation and not being written, and when its mark is the one of their keys: an entry
//! of which any bit that matters has changed, or which holds words of two moments, is not.

use std::ops::Range;

use crate::bucket::Bucket;
use crate::entry::{LIVE, WRITING, version};
use crate::pairs::Pairs;
use crate::place::{Place, mark_of};
use crate::prefetch;
use crate::sync::{AtomicU64, Ordering::Relaxed};
use crate::{Handle, Key, Pair};

/// Pairs that a thread takes at once: whole words of the list of live ones.
const PART: u32 = 4096;
/// Pairs whose buckets are asked for before the first of them is linked.
const AHEAD: usize = 16;
/// Threads at most.
const THREADS: usize = 8;

/// What became of a region's pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Taken over.
    pub pairs: u64,
    /// Dropped, as a killed writer had left them half written.
    pub odd: u64,
    /// Dropped, as their keys are not those that were set up together.
    pub strange: u64,
    /// Dropped, as another pair has one of their keys, or there was no room for it.
    pub twice: u64,
    /// Dropped, as the caller did not want them.
    pub unwanted: u64,
}

impl Adopted {
    /// Dropped in all.
    pub fn dropped(&self) -> u64 {
        self.damaged() + self.unwanted
    }

    /// Dropped, as they were not whole.
    pub fn damaged(&self) -> u64 {
        self.odd + self.strange + self.twice
    }

    /// Both.
    pub fn with(self, other: Adopted) -> Adopted {
        Adopted {
            pairs: self.pairs + other.pairs,
            odd: self.odd + other.odd,
            strange: self.strange + other.strange,
            twice: self.twice + other.twice,
            unwanted: self.unwanted + other.unwanted,
        }
    }
}

/// Who knows what adopted pairs are worth. Several threads ask at once.
pub trait Judge: Sync {
    /// False: the pair is dropped. Keys and entries may be changed, and when it was created: the pair goes on with what they are then.
    fn narrow(&self, pair: &mut Pair<2>) -> bool;
    /// The same with wide keys.
    fn wide(&self, pair: &mut Pair<5>) -> bool;
}

/// Takes every pair as it is.
pub(crate) struct All;

impl Judge for All {
    fn narrow(&self, _: &mut Pair<2>) -> bool {
        true
    }

    fn wide(&self, _: &mut Pair<5>) -> bool {
        true
    }
}

/// What is found in a place.
enum Found<const K: usize> {
    Free,
    Odd,
    Strange,
    Whole(Pair<K>),
}

impl<const K: usize> Pairs<K> {
    /// Makes everything anew from the entries. Only while nobody else uses the region.
    pub(crate) fn rebuild(&self, wanted: &(impl Fn(&mut Pair<K>) -> bool + Sync)) -> Adopted {
        let pairs = self.free.pairs;
        in_parts(self.buckets.len() as u32, &|part| {
            self.buckets[part.start as usize..part.end as usize].iter().for_each(|line| Bucket(line).reset());
            Adopted::default()
        });
        let live: Vec<AtomicU64> = (0..pairs.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let adopted = in_parts(pairs, &|part| self.adopt_part(part, wanted, &live));
        self.free.rebuild(|pair| live[pair as usize / 64].load(Relaxed) >> (pair % 64) & 1 != 0);
        adopted
    }

    /// The words of `live` that tell of this part are this thread's alone.
    fn adopt_part(&self, part: Range<u32>, wanted: &impl Fn(&mut Pair<K>) -> bool, live: &[AtomicU64]) -> Adopted {
        let mut adopted = Adopted::default();
        for first in part.clone().step_by(AHEAD) {
            let mut ready: [Option<(Pair<K>, [Place; 2])>; AHEAD] = [const { None }; AHEAD];
            for (pair, ready) in (first..part.end).zip(&mut ready) {
                let dropped = match self.found(pair) {
                    Found::Free => None,
                    Found::Odd => Some(&mut adopted.odd),
                    Found::Strange => Some(&mut adopted.strange),
                    Found::Whole(mut whole) => {
                        if wanted(&mut whole) {
                            *ready = Some((whole, self.restore(&whole)));
                            continue;
                        }
                        Some(&mut adopted.unwanted)
                    }
                };
                dropped.into_iter().for_each(|count| *count += 1);
                self.clear(pair);
            }
            for (pair, places) in ready.into_iter().flatten() {
                let index = pair.handle.index / 2;
                if self.relink(index, [&pair.forward.0, &pair.reverse.0], places) {
                    adopted.pairs += 1;
                    let word = &live[index as usize / 64];
                    word.store(word.load(Relaxed) | 1 << (index % 64), Relaxed);
                } else {
                    adopted.twice += 1;
                    self.clear(index);
                }
            }
        }
        adopted
    }

    fn found(&self, pair: u32) -> Found<K> {
        let (Some(first), Some(second)) = (self.slot(2 * pair), self.slot(2 * pair + 1)) else { return Found::Free };
        let [a, b] = [first, second].map(|slot| slot.guard().load(Relaxed));
        if (a | b) & LIVE == 0 {
            return Found::Free;
        }
        if a & b & LIVE == 0 || (a | b) & WRITING != 0 || version(a) != version(b) {
            return Found::Odd;
        }
        let (forward, reverse) = (first.read_locked(a), second.read_locked(b));
        let hashes = [self.hash(&forward.0), self.hash(&reverse.0)];
        if mark_of(hashes, version(a)) != self.free.mark(pair) {
            return Found::Strange;
        }
        let handle = Handle { index: 2 * pair, version: version(a) };
        Found::Whole(Pair { forward, reverse, handle, created: self.free.created(pair) })
    }

    /// Writes a pair as it is to be, and asks for its buckets.
    fn restore(&self, pair: &Pair<K>) -> [Place; 2] {
        let Handle { index, version } = pair.handle;
        let sides = [(index, &pair.forward), (index + 1, &pair.reverse)];
        let hashes = sides.map(|(index, (key, entry))| {
            if let Some(slot) = self.slot(index) {
                slot.restore(version, key, entry);
            }
            self.hash(key)
        });
        self.free.write(index / 2, pair.created, mark_of(hashes, version));
        hashes.map(|hash| {
            let place = self.place(hash);
            prefetch(&self.buckets[place.first as usize]);
            place
        })
    }

    /// Links a pair's entries; false (and neither linked) when a key is linked already or there is no room.
    fn relink(&self, pair: u32, [forward, reverse]: [&Key<K>; 2], places: [Place; 2]) -> bool {
        let locked = self.lock_to_link(places);
        if self.find_in::<true>(forward, places[0]).is_some() || self.find_in::<true>(reverse, places[1]).is_some() {
            return false;
        }
        let Some(forward_bucket) = self.roomy(places[0], None) else { return false };
        let Some(reverse_bucket) = self.roomy(places[1], Some(forward_bucket)) else { return false };
        debug_assert!(locked.holds(forward_bucket) && locked.holds(reverse_bucket));
        self.link(places[0], forward_bucket, 2 * pair);
        if forward != reverse {
            self.link(places[1], reverse_bucket, 2 * pair + 1);
        }
        true
    }

    /// Leaves a place free, with a version that no entry there had.
    fn clear(&self, pair: u32) {
        if let (Some(first), Some(second)) = (self.slot(2 * pair), self.slot(2 * pair + 1)) {
            let version =
                [first, second].map(|slot| version(slot.guard().load(Relaxed))).into_iter().max().unwrap_or(0);
            first.clear(version);
            second.clear(version);
        }
    }
}

/// Does `work` for parts of so many places, by several threads if they are many.
pub(crate) fn in_parts(count: u32, work: &(impl Fn(Range<u32>) -> Adopted + Sync)) -> Adopted {
    let next = AtomicU64::new(0);
    let take = || {
        let mut sum = Adopted::default();
        loop {
            let begin = next.fetch_add(PART.into(), Relaxed);
            if begin >= count.into() {
                return sum;
            }
            let begin = begin as u32;
            sum = sum.with(work(begin..begin.saturating_add(PART).min(count)));
        }
    };
    let most = (count / PART) as usize;
    let threads = if cfg!(loom) { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(most).min(THREADS)).map(|_| scope.spawn(take)).collect();
        let sum = take();
        let joined =
            others.into_iter().map(|other| other.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause)));
        joined.fold(sum, Adopted::with)
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::entry::LOCK;
    use crate::{Config, FlowTable, Half, Narrow, Region};

    fn key(n: u64) -> Narrow {
        Key { words: [n, 1], tag: 6 }
    }

    fn insert(pairs: &Pairs<2>, n: u64) -> Handle {
        pairs.insert((&key(2 * n), Half::default()), (&key(2 * n + 1), Half::default()), 0, 0).expect("room")
    }

    /// A table of 40 pairs, 20 in use, after `kill` left it as a killed writer may; then adopted.
    fn adopted(kill: impl Fn(&Pairs<2>, &[Handle])) -> FlowTable {
        let config = Config { narrow_pairs: 40, wide_pairs: 0, seed: 5, time_base: 0 };
        let region = Region::heap(config.bytes().expect("possible")).expect("memory");
        let table = FlowTable::create(region, &config).expect("laid out");
        let handles: Vec<Handle> = (0..20).map(|n| insert(table.narrow(), n)).collect();
        kill(table.narrow(), &handles);
        FlowTable::adopt(Region::from_words(&table.region().to_words()).expect("memory")).expect("ours")
    }

    /// All flows but `dropped` are there and can be changed, and the table fills to the last pair.
    fn sound(table: &FlowTable, dropped: &[u64]) {
        let pairs = table.narrow();
        assert_eq!(pairs.counters().odd_dropped, dropped.len() as u64);
        for n in 0..20 {
            let found = [2 * n, 2 * n + 1].map(|n| pairs.find(&key(n), pairs.hash(&key(n))));
            let there = !dropped.contains(&n);
            assert_eq!(found.map(|found| found.is_some()), [there, there], "flow {n}");
            for (handle, _) in found.into_iter().flatten() {
                assert!(pairs.touch(handle, 1, 1, 1) && pairs.update(handle, Half::default()));
            }
        }
        assert_eq!(pairs.used(), 20 - dropped.len() as u32);
        (0..20 + dropped.len() as u64).for_each(|n| assert_eq!(insert(pairs, 100 + n).index() % 2, 0));
        assert_eq!(pairs.age(&mut 0, 40, |_| true), 40);
        assert_eq!(pairs.used(), 0);
    }

    fn change(pairs: &Pairs<2>, index: u32, change: impl Fn(u64) -> u64) {
        let guard = pairs.slot(index).expect("there").guard();
        guard.store(change(guard.load(Relaxed)), Relaxed);
    }

    #[test]
    fn locks_are_cleared() {
        let table = adopted(|pairs, handles| {
            pairs.buckets.iter().for_each(|line| Bucket(line).lock());
            handles.iter().for_each(|handle| change(pairs, handle.index(), |guard| guard | LOCK));
        });
        sound(&table, &[]);
    }

    #[test]
    fn half_written_pairs_are_dropped_and_counted() {
        let table = adopted(|pairs, handles| {
            change(pairs, handles[3].index(), |guard| guard | LOCK | WRITING);
            change(pairs, handles[5].partner().index(), |guard| guard | LOCK | WRITING);
            change(pairs, handles[7].index(), |guard| guard & !LIVE);
            change(pairs, handles[9].partner().index(), |guard| guard + (1 << 32));
        });
        sound(&table, &[3, 5, 7, 9]);
    }

    #[test]
    fn pairs_that_were_taken_linked_or_unlinked_when_the_writer_died_are_whole() {
        let table = adopted(|pairs, handles| {
            assert!(pairs.free.take(0).is_some());
            for (handle, n) in [(handles[2], 4), (handles[4].partner(), 9)] {
                let place = pairs.place(pairs.hash(&key(n)));
                let buckets = [place.first, place.second].map(|bucket| Bucket(&pairs.buckets[bucket as usize]));
                assert!(buckets.iter().any(|bucket| bucket.take(place.tag, handle.index())));
            }
        });
        sound(&table, &[]);
    }

    /// Writes other keys into the pair of a handle, as if it had been set up with them.
    fn disguise(pairs: &Pairs<2>, handle: Handle, keys: [&Narrow; 2]) {
        for (index, key) in (handle.index()..).zip(keys) {
            pairs.slot(index).expect("there").write(handle.version, key, Half::default(), 0, (0, None));
        }
        pairs.free.write(handle.index() / 2, 0, mark_of(keys.map(|key| pairs.hash(key)), handle.version));
    }

    #[test]
    fn a_key_that_two_pairs_have_stays_with_one() {
        let later = std::cell::Cell::new(0);
        let table = adopted(|pairs, handles| {
            // the pair in the first place keeps it
            let in_order = if handles[1].index() < handles[8].index() { [1, 8] } else { [8, 1] };
            disguise(pairs, handles[in_order[1]], [&key(2 * in_order[0] as u64), &key(100)]);
            later.set(in_order[1] as u64);
        });
        assert_eq!(table.adopted(), Some(Adopted { pairs: 19, twice: 1, ..Adopted::default() }));
        sound(&table, &[later.get()]);
    }

    #[test]
    fn halves_that_do_not_belong_together_are_dropped() {
        let table = adopted(|pairs, handles| {
            // each half is whole, and both are of one incarnation
            let slot = pairs.slot(handles[4].partner().index()).expect("there");
            slot.write(handles[4].version, &key(2001), Half::default(), 0, (0, None));
            let mark = pairs.free.mark(handles[6].index() / 2);
            pairs.free.write(handles[6].index() / 2, 0, mark ^ 1);
        });
        assert_eq!(table.adopted(), Some(Adopted { pairs: 18, strange: 2, ..Adopted::default() }));
        sound(&table, &[4, 6]);
    }

    /// Moves pairs to other keys, and drops those of every fourth flow.
    struct Mover;

    impl Judge for Mover {
        fn narrow(&self, pair: &mut Pair<2>) -> bool {
            let flow = pair.forward.0.words[0] / 2;
            for side in [&mut pair.forward, &mut pair.reverse] {
                side.0.words[1] = 7;
                side.1.stamp = flow;
            }
            pair.created = 99;
            !flow.is_multiple_of(4)
        }

        fn wide(&self, _: &mut Pair<5>) -> bool {
            true
        }
    }

    #[test]
    fn a_judge_drops_pairs_and_moves_them_to_other_keys() {
        let config = Config { narrow_pairs: 9000, wide_pairs: 10, seed: 5, time_base: 0 };
        let region = Region::heap(config.bytes().expect("possible")).expect("memory");
        let table = FlowTable::create(region, &config).expect("laid out");
        let handles: Vec<Handle> = (0..8000).map(|n| insert(table.narrow(), n)).collect();
        assert!(handles.iter().all(|handle| table.narrow().touch(*handle, 60, 3, 5)));
        let copy = Region::from_words(&table.region().to_words()).expect("memory");
        let table = FlowTable::adopt_by(copy, &Mover).expect("ours");
        assert_eq!(table.adopted(), Some(Adopted { pairs: 6000, unwanted: 2000, ..Adopted::default() }));
        let pairs = table.narrow();
        for n in 0..8000 {
            assert_eq!(pairs.find(&key(2 * n), pairs.hash(&key(2 * n))), None, "the key that it had");
            let key = Key { words: [2 * n, 7], tag: 6 };
            let found = pairs.find(&key, pairs.hash(&key));
            assert_eq!(found.is_some(), n % 4 != 0, "flow {n}");
            let Some((handle, entry)) = found else { continue };
            assert_eq!((entry.packets, entry.bytes, entry.state, entry.last_seen, entry.stamp), (1, 60, 5, 3, n));
            assert_eq!(pairs.pair(handle.index() / 2).map(|pair| pair.created), Some(99));
        }
        // and once more: what was moved is whole
        let copy = Region::from_words(&table.region().to_words()).expect("memory");
        let adopted = FlowTable::adopt(copy).expect("ours").adopted();
        assert_eq!(adopted, Some(Adopted { pairs: 6000, ..Adopted::default() }));
        assert_eq!((pairs.used(), pairs.counters().odd_dropped), (6000, 0));
    }
}
