//! Ageing and eviction: scans in small steps, by any worker, beside all other work.

use crate::entry::Slot;
use crate::free::End;
use crate::pairs::Pairs;
use crate::{Entry, Handle, Pair, prefetch};

/// Pairs between a question to memory and the look at its answer, in a scan: as many as a search for room looks at, which then finds what
/// the one before it has asked for.
const AHEAD: usize = 128;

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
    pub const MOST: u32 = 32;
}

/// What a scan sees of a pair: few words, so that those that stay cost little. They may be of different moments while others write;
/// whoever is to go is looked at again when nobody can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The forward key's.
    pub tag: u16,
    /// See [`Entry::owner`].
    pub owner: u32,
    pub forward: Glance,
    pub reverse: Glance,
}

/// What a scan sees of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// See [`Entry::state`].
    pub state: u16,
    /// See [`Entry::last_seen`].
    pub last_seen: u32,
    /// See [`Entry::packets`].
    pub packets: u64,
}

impl Entry {
    /// The part that scans judge by.
    pub fn glance(&self) -> Glance {
        Glance { state: self.state, last_seen: self.last_seen, packets: self.packets }
    }
}

impl<const K: usize> Pair<K> {
    /// The part that scans judge by.
    pub fn outline(&self) -> Outline {
        let (forward, reverse) = (self.forward.1.glance(), self.reverse.1.glance());
        Outline { tag: self.forward.0.tag, owner: self.forward.1.owner, forward, reverse }
    }
}

/// A pair that may go.
#[derive(Clone, Copy)]
struct Candidate {
    rank: u32,
    handle: Handle,
}

impl<const K: usize> Pairs<K> {
    /// Removes the pairs that `expired` says yes to among the next `budget` places from `cursor` on, and tells how many. The
    /// cursor is the caller's; it goes round.
    ///
    /// `expired` is asked again when the pair changed before it could be removed; the last answer counts.
    pub fn age(&self, cursor: &mut u32, budget: u32, expired: impl FnMut(&Outline) -> bool) -> u32 {
        self.age_each(cursor, budget, expired, |_| ())
    }

    /// As [`Pairs::age`]; `ended` is given each removed pair as it was in the end, with all that was ever counted.
    pub fn age_each(
        &self,
        cursor: &mut u32,
        budget: u32,
        mut expired: impl FnMut(&Outline) -> bool,
        mut ended: impl FnMut(&Pair<K>),
    ) -> u32 {
        let mut removed = 0;
        self.scan(cursor, budget, |handle, seen| {
            if !expired(seen) {
                return;
            }
            let mut still = |last: &Outline| last == seen || expired(last);
            if let Some(pair) = self.end(handle, End::Aged, |last| still(&last.outline())) {
                ended(&pair);
                removed += 1;
            }
        });
        removed
    }

    /// Removes one pair to make room: of the next `budget` places from `cursor` on, the one that `rank` ranks highest (`None`
    /// means never). False when there is none, or when the one chosen lost its rank before it could be removed.
    pub fn evict(&self, cursor: &mut u32, budget: u32, rank: impl FnMut(&Outline) -> Option<u32>) -> bool {
        self.evict_pair(cursor, budget, rank).is_some()
    }

    /// As [`Pairs::evict`]; gives the removed pair as it was in the end, with all that was ever counted.
    pub fn evict_pair(
        &self,
        cursor: &mut u32,
        budget: u32,
        rank: impl FnMut(&Outline) -> Option<u32>,
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
        mut rank: impl FnMut(&Outline) -> Option<u32>,
        mut ended: impl FnMut(&Pair<K>),
    ) -> u32 {
        const NONE: Candidate = Candidate { rank: 0, handle: Handle { index: 0, version: 0 } };
        // The highest so far, falling.
        let mut best = [NONE; Batch::MOST as usize];
        let most = batch.most.clamp(1, Batch::MOST) as usize;
        let mut count = 0;
        self.scan(cursor, budget, |handle, seen| {
            let Some(rank) = rank(seen) else { return };
            if count == most && rank <= best[most - 1].rank {
                return;
            }
            let mut at = if count < most { count } else { most - 1 };
            count = at + 1;
            while at > 0 && best[at - 1].rank < rank {
                best[at] = best[at - 1];
                at -= 1;
            }
            best[at] = Candidate { rank, handle };
        });
        let beside = best[..count].iter().skip(1).take_while(|one| one.rank >= batch.beside).count();
        let chosen = &best[..count.min(1 + beside)];
        // Each end waits for lines all over the table: for all of them at once, first for the keys' buckets, then for second ones.
        let mut places = [None; Batch::MOST as usize];
        for (places, candidate) in places.iter_mut().zip(chosen) {
            *places = self.places(candidate.handle);
        }
        for place in places.iter().flatten().flatten() {
            prefetch(&self.buckets[place.first as usize]);
        }
        for candidate in chosen {
            self.free.prefetch(candidate.handle.index / 2);
        }
        for (places, candidate) in places.iter().zip(chosen) {
            for (place, index) in places.iter().flatten().zip(candidate.handle.index..) {
                if self.is_elsewhere(*place, index) {
                    prefetch(&self.buckets[place.second as usize]);
                }
            }
        }
        let mut gone = [0; Batch::MOST as usize];
        let mut removed = 0;
        for (places, candidate) in places.into_iter().zip(chosen) {
            let Some(places) = places else { continue };
            let still = |last: &Pair<K>| rank(&last.outline()) >= Some(candidate.rank);
            if let Some(pair) = self.end_at(candidate.handle, places, End::Evicted, still) {
                ended(&pair);
                gone[removed] = pair.handle.index / 2;
                removed += 1;
            }
        }
        let gone = &gone[..removed];
        if let Some(&first) = gone.first() {
            self.free.ended(first, End::Evicted, removed as u64);
            self.free.give_all(gone.iter().copied());
        }
        removed as u32
    }

    /// What a scan would see of the pair at `index`, if there is one. Takes no lock.
    pub fn outline(&self, index: u32) -> Option<(Handle, Outline)> {
        let place = index.checked_mul(2)?;
        let (first, second) = (self.slot(place)?, self.slot(place + 1)?);
        let (version, tag, owner, forward) = first.glance()?;
        let (.., reverse) = second.glance()?;
        Some((Handle { index: place, version }, Outline { tag, owner, forward, reverse }))
    }

    /// Asks for what [`Pairs::outline`] reads.
    pub fn prefetch_pair(&self, index: u32) {
        for slot in [index * 2, index * 2 + 1].into_iter().filter_map(|place| self.slot(place)) {
            slot.lines().iter().for_each(prefetch);
        }
    }

    /// Asks for both buckets that a key of this hash may be in: what an insertion or a removal waits for.
    #[inline(always)]
    pub fn prefetch_buckets(&self, hash: u64) {
        let place = self.place(hash);
        for bucket in [place.first, place.second] {
            prefetch(&self.buckets[bucket as usize]);
        }
    }

    /// Shows the pairs in the next `budget` places, at most once round. Takes no lock.
    #[inline(always)]
    fn scan(&self, cursor: &mut u32, budget: u32, mut see: impl FnMut(Handle, &Outline)) {
        let lines = 2 * Slot::<K>::LINES;
        let mut left = budget.min(self.capacity());
        while left > 0 {
            let begin = if *cursor < self.capacity() { *cursor } else { 0 };
            let count = left.min(self.capacity() - begin);
            (left, *cursor) = (left - count, begin + count);
            let rest = self.entries.get(begin as usize * lines..).unwrap_or_default();
            let mut ahead = rest.get(AHEAD * lines..).unwrap_or_default().chunks_exact(lines);
            for (index, pair) in (begin..begin + count).zip(rest.chunks_exact(lines)) {
                ahead.next().into_iter().flatten().for_each(prefetch);
                let (Some(first), Some(second)) = (Slot::<K>::new(pair, 0), Slot::<K>::new(pair, 1)) else { continue };
                if let Some((version, tag, owner, forward)) = first.glance()
                    && let Some((.., reverse)) = second.glance()
                {
                    see(Handle { index: 2 * index, version }, &Outline { tag, owner, forward, reverse });
                }
            }
        }
    }
}
