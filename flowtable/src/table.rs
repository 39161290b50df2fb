//! The flow table: one region, two tables of pairs.

use std::sync::Arc;

use crate::bucket::Bucket;
use crate::counting::{Counter, OWNER, Sections};
use crate::entry::{LIVE, LOCK, WRITING, version};
use crate::free::Free;
use crate::key::Secrets;
use crate::layout::{Parts, read_header, write_header};
use crate::pairs::Pairs;
use crate::region::{Part, Region};
use crate::sync::Ordering::Relaxed;
use crate::{AdoptError, Config, LayoutError};

/// A concurrent flow table in one region. Any thread may use it at any time; nothing in it ever stops all of them.
pub struct FlowTable {
    region: Arc<Region>,
    config: Config,
    narrow: Pairs<2>,
    wide: Pairs<5>,
    sections: Arc<Sections>,
}

impl FlowTable {
    /// Lays out an empty table in `region`, whatever was in it, and writes its header.
    ///
    /// Errors: [`LayoutError::TooManyPairs`], [`LayoutError::RegionTooSmall`].
    pub fn create(mut region: Region, config: &Config) -> Result<FlowTable, LayoutError> {
        let needed = config.bytes()?;
        if region.bytes() < needed {
            return Err(LayoutError::RegionTooSmall { needed, given: region.bytes() });
        }
        region.clear();
        let table = FlowTable::open(region, config)?;
        table.narrow.free.reset();
        table.wide.free.reset();
        write_header(&table.region, config);
        Ok(table)
    }

    /// Takes over a table that another process (or another region, copied) left. Locks are cleared; pairs that a killed writer
    /// left half written are dropped and counted. All others are there with their counters; what their stamps, next hops and
    /// verdicts are worth is for the caller to judge before it uses them. Only while nobody else uses the region.
    ///
    /// Errors: the header is not one of ours.
    pub fn adopt(region: Region) -> Result<FlowTable, AdoptError> {
        let config = read_header(&region)?;
        let mut table = FlowTable::open(region, &config).map_err(AdoptError::Sizes)?;
        table.narrow.odd_dropped = table.narrow.rebuild();
        table.wide.odd_dropped = table.wide.rebuild();
        Ok(table)
    }

    /// Pairs with narrow keys.
    #[inline(always)]
    pub fn narrow(&self) -> &Pairs<2> {
        &self.narrow
    }

    /// Pairs with wide keys.
    #[inline(always)]
    pub fn wide(&self) -> &Pairs<5> {
        &self.wide
    }

    /// A counter for a thread that counts packets. Not on a worker: it allocates.
    pub fn counter(&self) -> Counter {
        Counter::new(&self.sections)
    }

    /// What the region was created with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The memory that the table lives in.
    pub fn region(&self) -> &Region {
        &self.region
    }

    fn open(region: Region, config: &Config) -> Result<FlowTable, LayoutError> {
        let region = Arc::new(region);
        let secrets = Secrets::new(config.seed);
        let sections = Sections::new();
        let narrow = Pairs::open(&region, config.narrow(), secrets, &sections)?;
        let wide = Pairs::open(&region, config.wide(), secrets, &sections)?;
        Ok(FlowTable { region, config: *config, narrow, wide, sections })
    }
}

impl<const K: usize> Pairs<K> {
    pub(crate) fn open(
        region: &Arc<Region>,
        parts: Parts,
        secrets: Secrets,
        sections: &Arc<Sections>,
    ) -> Result<Pairs<K>, LayoutError> {
        let too_small = LayoutError::RegionTooSmall { needed: parts.end() * 64, given: region.bytes() };
        let part = |range| Part::new(region, range).ok_or(too_small);
        let free = Free { pairs: parts.pairs, stripes: part(parts.stripes)?, cold: part(parts.cold)? };
        let (buckets, entries) = (part(parts.buckets)?, part(parts.entries)?);
        Ok(Pairs { secrets, free, buckets, entries, sections: Arc::clone(sections), odd_dropped: 0 })
    }

    /// Makes buckets and free list anew from the entries, which alone are the truth, and tells how many pairs it dropped.
    /// A writer killed while it counted leaves a lock, which is cleared; killed while it wrote, an entry that is being written
    /// or that lives without its partner; killed while it linked or unlinked, a pair that is whole.
    fn rebuild(&self) -> u64 {
        self.buckets.iter().for_each(|line| Bucket(line).reset());
        let mut dropped = 0;
        for pair in 0..self.free.pairs {
            let (Some(first), Some(second)) = (self.slot(2 * pair), self.slot(2 * pair + 1)) else { continue };
            let [a, b] = [first, second].map(|slot| slot.guard().load(Relaxed) & !(LOCK | OWNER));
            if (a | b) & LIVE == 0 {
                continue;
            }
            let whole = a & b & LIVE != 0 && (a | b) & WRITING == 0 && version(a) == version(b);
            if whole && self.relink(pair) {
                first.unlock(a);
                second.unlock(b);
            } else {
                let version = u64::from(version(a).max(version(b))) << 32;
                first.unlock(version);
                second.unlock(version);
                dropped += 1;
            }
        }
        self.free.rebuild(|pair| self.slot(2 * pair).is_some_and(|slot| slot.guard().load(Relaxed) & LIVE != 0));
        dropped
    }

    /// Links a pair's entries; false (and neither linked) when a key is linked already or there is no room.
    fn relink(&self, pair: u32) -> bool {
        let (Some(first), Some(second)) = (self.slot(2 * pair), self.slot(2 * pair + 1)) else { return false };
        let [(forward, _), (reverse, _)] = [first.read_locked(0), second.read_locked(0)];
        let places = [forward, reverse].map(|key| self.place(self.hash(&key)));
        if self.find_in::<true>(&forward, places[0]).is_some() || self.find_in::<true>(&reverse, places[1]).is_some() {
            return false;
        }
        let Some(forward_bucket) = self.roomy(places[0], None) else { return false };
        let Some(reverse_bucket) = self.roomy(places[1], Some(forward_bucket)) else { return false };
        self.link(places[0], forward_bucket, 2 * pair);
        if forward != reverse {
            self.link(places[1], reverse_bucket, 2 * pair + 1);
        }
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{Half, Handle, Key, Narrow};

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

    #[test]
    fn a_key_that_two_pairs_have_stays_with_one() {
        let later = std::cell::Cell::new(0);
        let table = adopted(|pairs, handles| {
            // the pair in the first place keeps it
            let in_order = if handles[1].index() < handles[8].index() { [1, 8] } else { [8, 1] };
            let (slot, guard) = (pairs.slot(handles[in_order[1]].index()).expect("there"), LIVE | 1 << 32);
            assert_eq!(slot.guard().load(Relaxed) & guard, guard);
            slot.write(1, &key(2 * in_order[0] as u64), Half::default(), 0, (0, None));
            later.set(in_order[1] as u64);
        });
        sound(&table, &[later.get()]);
    }
}
