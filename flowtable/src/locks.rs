//! Locks of buckets: whoever links or unlinks a key holds its first bucket, and the second one when the entry goes or is there.
//!
//! Nobody waits for a bucket while it holds one of a higher number: first buckets are locked rising; second ones are only tried while
//! others are held, and when one is taken, all are given back and locked anew, rising. So nobody waits in a circle.

use crate::bucket::{Bucket, SLOTS};
use crate::pairs::Pairs;
use crate::place::Place;
use crate::prefetch;
use crate::region::Part;

/// Slots of a first bucket that are filled before the second is thought of. (With loom already one is many.)
const CROWDED: u32 = if cfg!(loom) { 1 } else { 9 };

/// Up to four locked buckets; unlocked when dropped.
pub(crate) struct Locked<'a> {
    buckets: &'a Part,
    held: [u32; 4],
    count: usize,
}

impl<'a> Locked<'a> {
    /// Locks two buckets, the lower one first, or one that is there twice.
    #[inline]
    fn both(buckets: &'a Part, a: u32, b: u32) -> Locked<'a> {
        let (low, high) = (a.min(b), a.max(b));
        Bucket(&buckets[low as usize]).lock();
        if low != high {
            Bucket(&buckets[high as usize]).lock();
        }
        Locked { buckets, held: [low, high, 0, 0], count: 1 + usize::from(low != high) }
    }

    /// Locks these buckets, which rise; one that is there twice is locked once.
    fn rising(buckets: &'a Part, wanted: &[u32]) -> Locked<'a> {
        let mut locked = Locked { buckets, held: [0; 4], count: 0 };
        for &bucket in wanted {
            if !locked.holds(bucket) {
                Bucket(&buckets[bucket as usize]).lock();
                locked.add(bucket);
            }
        }
        locked
    }

    /// One more, if nobody has it.
    fn reach(&mut self, bucket: u32) -> bool {
        if self.holds(bucket) {
            return true;
        }
        let reached = Bucket(&self.buckets[bucket as usize]).try_lock();
        if reached {
            self.add(bucket);
        }
        reached
    }

    #[inline]
    pub(crate) fn holds(&self, bucket: u32) -> bool {
        self.held[..self.count].contains(&bucket)
    }

    fn add(&mut self, bucket: u32) {
        self.held[self.count] = bucket;
        self.count += 1;
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        for &bucket in &self.held[..self.count] {
            Bucket(&self.buckets[bucket as usize]).unlock();
        }
    }
}

impl<const K: usize> Pairs<K> {
    /// Locks what an insertion of these two keys writes: [`Pairs::roomy`] chooses no bucket that is not locked.
    pub(crate) fn lock_to_link(&self, places: [Place; 2]) -> Locked<'_> {
        let [forward, reverse] = places;
        self.lock(places, || {
            // the reverse key may find one slot less than there is now
            let less = u32::from([forward.first, forward.second].contains(&reverse.first));
            let used = |place: Place| self.bucket(place.first).tags().used();
            [used(forward) >= CROWDED, used(reverse) + less >= CROWDED]
        })
    }

    /// Locks what a removal of the two entries of pair `index` writes, if they have these places.
    pub(crate) fn lock_to_unlink(&self, places: [Place; 2], index: u32) -> Locked<'_> {
        let [forward, reverse] = places;
        self.lock(places, || [self.is_elsewhere(forward, 2 * index), self.is_elsewhere(reverse, 2 * index + 1)])
    }

    /// Whether an entry with this place is not in its first bucket. Takes no lock.
    #[inline]
    pub(crate) fn is_elsewhere(&self, place: Place, index: u32) -> bool {
        !self.bucket(place.first).has(place.tag, index)
    }

    /// Asks for the second bucket of a key of this hash, if its insertion would look there; waits for the first one.
    #[inline]
    pub fn prefetch_room(&self, hash: u64) {
        let place = self.place(hash);
        let tags = self.bucket(place.first).tags();
        if tags.overflowed() || tags.used() >= CROWDED {
            prefetch(&self.buckets[place.second as usize]);
        }
    }

    /// Locks both keys' first buckets, and each second one that is wanted then.
    #[inline]
    fn lock(&self, places: [Place; 2], wanted: impl FnOnce() -> [bool; 2]) -> Locked<'_> {
        let mut locked = Locked::both(&self.buckets, places[0].first, places[1].first);
        let [forward, reverse] = wanted();
        if (!forward || locked.reach(places[0].second)) && (!reverse || locked.reach(places[1].second)) {
            return locked;
        }
        drop(locked);
        let mut all = [places[0].first, places[0].second, places[1].first, places[1].second];
        all.sort_unstable();
        Locked::rising(&self.buckets, &all)
    }

    /// The bucket of the two that a new entry goes to: the first until it has eight, then the emptier. `taken` is about to
    /// lose a slot. Locked.
    pub(crate) fn roomy(&self, place: Place, taken: Option<u32>) -> Option<u32> {
        let used = |bucket| self.bucket(bucket).tags().used() + u32::from(taken == Some(bucket));
        let first = used(place.first);
        if first < CROWDED {
            return Some(place.first);
        }
        let second = used(place.second);
        if first <= second { (first < SLOTS).then_some(place.first) } else { (second < SLOTS).then_some(place.second) }
    }

    /// Puts a live entry into a bucket of its own. Locked.
    pub(crate) fn link(&self, place: Place, bucket: u32, index: u32) {
        if bucket != place.first {
            self.bucket(place.first).overflow(true);
        }
        let put = self.bucket(bucket).put(place.tag, index);
        debug_assert!(put, "room was asked for");
    }

    /// Takes an entry out of its bucket. Locked.
    pub(crate) fn unlink(&self, place: Place, index: u32) {
        if !self.bucket(place.first).take(place.tag, index)
            && place.second != place.first
            && self.bucket(place.second).take(place.tag, index)
        {
            self.bucket(place.first).overflow(false);
        }
    }
}
