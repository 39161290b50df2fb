//! The end of a pair: where its keys are, and how it goes.

use crate::entry::{LIVE, version};
use crate::free::End;
use crate::pairs::Pairs;
use crate::place::Place;
use crate::sync::Ordering::Acquire;
use crate::{Handle, Key, Pair};

impl<const K: usize> Pairs<K> {
    /// Ends the pair if the handle is not stale and `sure` says yes to its last state; while `sure` is asked, nobody else
    /// changes the pair.
    pub(crate) fn end(&self, handle: Handle, why: End, sure: impl FnOnce(&Pair<K>) -> bool) -> Option<Pair<K>> {
        let places = self.places(handle)?;
        self.end_at(handle, places, why, sure)
    }

    /// Where the keys of the pair are, unless the handle is stale: then perhaps nonsense. Takes no lock.
    pub(crate) fn places(&self, handle: Handle) -> Option<[Place; 2]> {
        let place = |index: u32| {
            let slot = self.slot(index)?;
            let guard = slot.guard().load(Acquire);
            // Acquire: whoever still finds this version later, when the buckets are locked, has read this version's key here. What was
            // newer was stored (release) after the version had changed.
            let words = std::array::from_fn(|i| slot.word(1 + i).load(Acquire));
            let tag = slot.word(K + 1).load(Acquire) as u16;
            (version(guard) == handle.version && guard & LIVE != 0).then(|| self.place(self.hash(&Key { words, tag })))
        };
        Some([place(handle.index & !1)?, place(handle.index | 1)?])
    }

    /// As [`Pairs::end`], of a pair whose keys have these places.
    ///
    /// An eviction is not counted here, and the pair is still the caller's.
    ///
    /// Locks the buckets of the keys first (see `locks.rs`), then the two entries, forward first; counting and updating lock one entry
    /// only. The keys were read before the buckets are locked; if the pair is still of this version then, it is the same pair, and stays
    /// while its buckets are locked.
    pub(crate) fn end_at(
        &self,
        handle: Handle,
        places: [Place; 2],
        why: End,
        sure: impl FnOnce(&Pair<K>) -> bool,
    ) -> Option<Pair<K>> {
        let index = handle.index / 2;
        let handle = Handle { index: 2 * index, ..handle };
        let locked = self.lock_to_unlink(places, index);
        let (first, first_guard) = self.locked_slot(handle)?;
        let Some((second, second_guard)) = self.locked_slot(handle.partner()) else {
            first.unlock(first_guard);
            return None;
        };
        let created = self.free.created(index);
        let (forward, reverse) = (first.read_locked(first_guard), second.read_locked(second_guard));
        let pair = Pair { forward, reverse, handle, created };
        if !sure(&pair) {
            second.unlock(second_guard);
            first.unlock(first_guard);
            return None;
        }
        self.unlink(places[0], 2 * index);
        self.unlink(places[1], 2 * index + 1);
        first.unlock(first_guard & !LIVE);
        second.unlock(second_guard & !LIVE);
        drop(locked);
        if !matches!(why, End::Evicted) {
            self.free.ended(index, why, 1);
            self.free.give(index);
        }
        Some(pair)
    }
}
