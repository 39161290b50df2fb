//! Ageing and eviction: scans in small steps, by any worker, beside all other work.

use crate::free::End;
use crate::pairs::Pairs;
use crate::{Handle, Pair};

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
        mut rank: impl FnMut(&Pair<K>) -> Option<u32>,
    ) -> Option<Pair<K>> {
        let mut best: Option<(u32, Handle)> = None;
        for pair in self.scan(cursor, budget) {
            if let Some(rank) = rank(&pair)
                && best.is_none_or(|(highest, _)| rank > highest)
            {
                best = Some((rank, pair.handle));
            }
        }
        let (highest, handle) = best?;
        self.end(handle, End::Evicted, |last| rank(last) >= Some(highest))
    }

    /// The pairs in the next `budget` places, at most once round. Takes no lock.
    fn scan<'a>(&'a self, cursor: &'a mut u32, budget: u32) -> impl Iterator<Item = Pair<K>> + 'a {
        (0..budget.min(self.capacity())).filter_map(move |_| {
            let index = if *cursor < self.capacity() { *cursor } else { 0 };
            *cursor = index + 1;
            self.pair(index)
        })
    }
}
