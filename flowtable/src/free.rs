//! Free pairs and the pairs' cold words, in stripes, so that workers who set up flows at the same time rarely meet.
//!
//! Pair p belongs to stripe p mod 8. A stripe is one line:
//!
//! ```text
//! word 0      head: change count (32) | first free pair (32)
//! word 1      pairs in use, less those inserted, plus those that ended
//! word 2-5    inserted, removed, evicted, aged
//! ```
//!
//! Each pair has one cold word: created (32) | link (32). A free pair's link is 0 when the next free one of the stripe is the
//! pair's neighbour (fresh memory is such a list), else 1 + the next one. In place of a link a pair in use has its mark, by which
//! whoever adopts the region knows that both keys are those of this incarnation.

use crate::region::{Line, Part};
use crate::sync::{AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use crate::{Counters, prefetch};

/// Stripes of a table. (One for loom, whose time goes by the number of words.)
pub(crate) const STRIPES: u32 = if cfg!(loom) { 1 } else { 8 };
/// No pair. Above every index.
const NONE: u32 = 0x7fff_ffff;

/// Why a pair ended.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Removed = 3,
    Evicted = 4,
    Aged = 5,
}

/// Stripes and cold words of one table.
pub(crate) struct Free {
    pub(crate) pairs: u32,
    pub(crate) stripes: Part,
    pub(crate) cold: Part,
}

impl Free {
    /// Makes every pair free. Cold words are zero. Only while nobody else uses the table.
    pub(crate) fn reset(&self) {
        for (first, stripe) in (0..).zip(self.stripes.iter()) {
            stripe.0[0].store(u64::from(if first < self.pairs { first } else { NONE }), Relaxed);
            stripe.0[1].store(0, Relaxed);
        }
    }

    /// Takes a free pair, of the stripe that `hash` names if it has one.
    ///
    /// Acquire on the head: whoever takes a pair sees all that was stored in it before `give` released it; what others took and
    /// gave in between were read-modify-writes of the same head, which carry the release on. The change count is for this:
    /// A reads head p and its link q, B takes p and q and gives p back, A would make q the head though q is in use.
    pub(crate) fn take(&self, hash: u64) -> Option<u32> {
        let first = (hash % u64::from(STRIPES)) as usize;
        for i in 0..STRIPES as usize {
            let stripe = &self.stripes[(first + i) % STRIPES as usize];
            let mut head = stripe.0[0].load(Acquire);
            while head as u32 != NONE {
                let pair = head as u32;
                let next = changed(head, self.next(pair));
                match stripe.0[0].compare_exchange(head, next, AcqRel, Acquire) {
                    Ok(_) => return Some(pair),
                    Err(newer) => head = newer,
                }
            }
        }
        None
    }

    /// Gives a pair back to its stripe. Only the one who ended it.
    pub(crate) fn give(&self, pair: u32) {
        self.give_chain(pair, pair);
    }

    /// Gives several pairs back, those of a stripe at once. Only the one who ended them.
    pub(crate) fn give_all(&self, pairs: impl Iterator<Item = u32>) {
        // By stripe: the first and the last pair of those to give, which are linked meanwhile.
        let mut chains = [(NONE, NONE); STRIPES as usize];
        for pair in pairs {
            let (first, last) = &mut chains[(pair % STRIPES) as usize];
            if *first == NONE {
                *last = pair;
            } else {
                self.link(pair, *first);
            }
            *first = pair;
        }
        for (first, last) in chains.into_iter().filter(|chain| chain.0 != NONE) {
            self.give_chain(first, last);
        }
    }

    /// Gives pairs of one stripe back, all linked but the last. Release: see `take`.
    fn give_chain(&self, first: u32, last: u32) {
        let stripe = self.stripe(first);
        let mut head = stripe.0[0].load(Relaxed);
        loop {
            self.link(last, head as u32);
            match stripe.0[0].compare_exchange(head, changed(head, first), AcqRel, Relaxed) {
                Ok(_) => break,
                Err(newer) => head = newer,
            }
        }
    }

    /// Says which free pair comes after this one, which is nobody else's.
    fn link(&self, pair: u32, next: u32) {
        self.cold(pair).store(u64::from(next) + 1, Release);
    }

    /// Asks for a pair's cold word.
    #[inline]
    pub(crate) fn prefetch(&self, pair: u32) {
        prefetch(self.cold(pair));
    }

    /// Counts a pair that began, with its mark.
    pub(crate) fn began(&self, pair: u32, now: u32, mark: u32) {
        self.write(pair, now, mark);
        self.stripe(pair).0[2].fetch_add(1, Relaxed);
    }

    /// Says of a pair in use when it was created, and its mark.
    pub(crate) fn write(&self, pair: u32, created: u32, mark: u32) {
        self.cold(pair).store(u64::from(created) << 32 | u64::from(mark), Release);
    }

    /// The mark of a pair in use.
    pub(crate) fn mark(&self, pair: u32) -> u32 {
        self.cold(pair).load(Acquire) as u32
    }

    /// Counts pairs that ended, of which this is one. (Stripes are summed.)
    pub(crate) fn ended(&self, pair: u32, why: End, count: u64) {
        self.stripe(pair).0[why as usize].fetch_add(count, Relaxed);
    }

    /// When a pair in use was created. Acquire and release as with an entry's words.
    pub(crate) fn created(&self, pair: u32) -> u32 {
        (self.cold(pair).load(Acquire) >> 32) as u32
    }

    /// Pairs in use. Exact when nobody writes.
    pub(crate) fn used(&self) -> u32 {
        let Counters { inserted, removed, evicted, aged, .. } = self.counters();
        let ended = removed.wrapping_add(evicted).wrapping_add(aged);
        // words of different moments: those that are set up and end meanwhile may be half in it
        let used = self.sum(1).wrapping_add(inserted).wrapping_sub(ended).cast_signed();
        used.clamp(0, self.pairs.into()) as u32
    }

    /// Sums of the stripes' counters. Each is exact when nobody writes.
    pub(crate) fn counters(&self) -> Counters {
        let [inserted, removed, evicted, aged] = [2, 3, 4, 5].map(|word| self.sum(word));
        Counters { inserted, removed, evicted, aged, odd_dropped: 0 }
    }

    fn sum(&self, word: usize) -> u64 {
        self.stripes.iter().fold(0, |sum, stripe| sum.wrapping_add(stripe.0[word].load(Relaxed)))
    }

    fn stripe(&self, pair: u32) -> &Line {
        &self.stripes[(pair % STRIPES) as usize]
    }

    fn cold(&self, pair: u32) -> &AtomicU64 {
        &self.cold[pair as usize / 8].0[pair as usize % 8]
    }

    /// The free pair after this one. Nonsense when somebody has taken the pair meanwhile: then the head has changed too.
    fn next(&self, pair: u32) -> u32 {
        match self.cold(pair).load(Acquire) as u32 {
            0 if self.pairs - pair > STRIPES => pair + STRIPES,
            0 => NONE,
            link => link - 1,
        }
    }

    /// Rebuilds the list of free pairs and the count of used ones. Only while nobody else uses the table.
    pub(crate) fn rebuild(&self, live: impl Fn(u32) -> bool) {
        for stripe in self.stripes.iter() {
            let [inserted, removed, evicted, aged] = [2, 3, 4, 5].map(|word| stripe.0[word].load(Relaxed));
            stripe.0[1].store(removed.wrapping_add(evicted).wrapping_add(aged).wrapping_sub(inserted), Relaxed);
        }
        let mut heads = [NONE; STRIPES as usize];
        for pair in (0..self.pairs).rev() {
            if live(pair) {
                self.stripe(pair).0[1].fetch_add(1, Relaxed);
            } else {
                let head = &mut heads[(pair % STRIPES) as usize];
                self.link(pair, *head);
                *head = pair;
            }
        }
        for (stripe, head) in self.stripes.iter().zip(heads) {
            stripe.0[0].store(head.into(), Relaxed);
        }
    }
}

fn changed(head: u64, first: u32) -> u64 {
    ((head >> 32).wrapping_add(1) << 32) | u64::from(first)
}
