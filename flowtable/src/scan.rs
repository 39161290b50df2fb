//! Ageing and eviction: scans in small steps, by any worker, beside all other work.

use crate::free::End;
use crate::pairs::Pairs;
use crate::{Handle, Pair, prefetch};

/// Pairs between a question to memory and the look at its answer, in a scan.
const AHEAD: u32 = 8;

/// How many pairs one search may evict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// At most so many, from 1 to [`Batch::MOST`].
    pub most: u32,
    /// Of them all but the first must have this rank or a higher one.
    pub beside: u32,
}

impl Batch {
    /// Pairs that a search keeps in mind.
    pub const MOST: u32 = 8;
}

/// A pair that may go.
#[derive(Clone, Copy)]
struct Candidate {
    rank: u32,
    handle: Handle,
    hashes: [u64; 2],
}

impl<const K: usize> Pairs<K> {
    /// Removes the pairs that `expired` says yes to among the next `budget` places from `cursor` on, and tells how many. The
    /// cursor is the caller's; it goes round.
    ///
    /// `expired` is asked again when the pair changed before it could be removed; the last answer counts.
    pub fn age(&self, cursor: &mut u32, budget: u32, expired: impl FnMut(&Pair<K>) -> bool) -> u32 {
        self.age_each(cursor, budget, expired, |_| ())
    }

    /// As [`Pairs::age`]; `ended` is given each removed pair as it was in the end, with all that was ever counted.
    pub fn age_each(
        &self,
        cursor: &mut u32,
        budget: u32,
        mut expired: impl FnMut(&Pair<K>) -> bool,
        mut ended: impl FnMut(&Pair<K>),
    ) -> u32 {
        let mut removed = 0;
        for pair in self.scan(cursor, budget) {
            if !expired(&pair) {
                continue;
            }
            if let Some(pair) = self.end(pair.handle, End::Aged, |last| *last == pair || expired(last)) {
                ended(&pair);
                removed += 1;
            }
        }
        removed
    }

    /// Removes one pair to make room: of the next `budget` places from `cursor` on, the one that `rank` ranks highest (`None`
    /// means never). False when there is none, or when the one chosen lost its rank before it could be removed.
    pub fn evict(&self, cursor: &mut u32, budget: u32, rank: impl FnMut(&Pair<K>) -> Option<u32>) -> bool {
        self.evict_pair(cursor, budget, rank).is_some()
    }

    /// As [`Pairs::evict`]; gives the removed pair as it was in the end, with all that was ever counted.
    pub fn evict_pair(
        &self,
        cursor: &mut u32,
        budget: u32,
        rank: impl FnMut(&Pair<K>) -> Option<u32>,
    ) -> Option<Pair<K>> {
        let mut ended = None;
        self.evict_each(cursor, budget, Batch { most: 1, beside: 0 }, rank, |pair| ended = Some(*pair));
        ended
    }

    /// As [`Pairs::evict`], but removes several at once, which share the cost of the search; tells how many. `ended` is given each as it
    /// was in the end.
    pub fn evict_each(
        &self,
        cursor: &mut u32,
        budget: u32,
        batch: Batch,
        mut rank: impl FnMut(&Pair<K>) -> Option<u32>,
        mut ended: impl FnMut(&Pair<K>),
    ) -> u32 {
        // The highest so far, falling.
        let mut best = [None::<Candidate>; Batch::MOST as usize];
        let best = &mut best[..batch.most.clamp(1, Batch::MOST) as usize];
        for pair in self.scan(cursor, budget) {
            let Some(rank) = rank(&pair) else { continue };
            if let Some(at) = best.iter().position(|other| other.is_none_or(|other| other.rank < rank)) {
                best[at..].rotate_right(1);
                let hashes = [pair.forward.0, pair.reverse.0].map(|key| self.hash(&key));
                best[at] = Some(Candidate { rank, handle: pair.handle, hashes });
            }
        }
        let chosen = || {
            let ranked = best.iter().flatten().enumerate();
            ranked.take_while(|(at, one)| *at == 0 || one.rank >= batch.beside).map(|(_, one)| one)
        };
        // Each end waits for four lines all over the table: for all of them at once.
        for candidate in chosen() {
            candidate.hashes.iter().for_each(|&hash| self.prefetch_buckets(hash));
        }
        let mut removed = 0;
        for candidate in chosen() {
            if let Some(pair) = self.end(candidate.handle, End::Evicted, |last| rank(last) >= Some(candidate.rank)) {
                ended(&pair);
                removed += 1;
            }
        }
        removed
    }

    /// Asks for both buckets that a key of this hash may be in: what an insertion or a removal waits for.
    #[inline(always)]
    pub fn prefetch_buckets(&self, hash: u64) {
        let place = self.place(hash);
        for bucket in [place.first, place.second] {
            prefetch(&self.buckets[bucket as usize]);
        }
    }

    /// The pairs in the next `budget` places, at most once round. Takes no lock.
    fn scan<'a>(&'a self, cursor: &'a mut u32, budget: u32) -> impl Iterator<Item = Pair<K>> + 'a {
        (0..budget.min(self.capacity())).filter_map(move |_| {
            let index = if *cursor < self.capacity() { *cursor } else { 0 };
            *cursor = index + 1;
            for ahead in [2 * (index + AHEAD), 2 * (index + AHEAD) + 1] {
                if let Some(slot) = self.slot(ahead) {
                    slot.lines().iter().for_each(prefetch);
                }
            }
            self.pair(index)
        })
    }
}
