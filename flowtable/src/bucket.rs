//! One bucket: a cache line of ten slots, each a 16-bit tag of the hash and the index of an entry.
//!
//! ```text
//! word 0, 1   tags of slots 0-7, 16 bits each; 0 = free
//! word 2      tags of slots 8, 9 | overflow count (31 bits) | lock (1 bit, the highest)
//! word 3-7    entry indexes, two of 32 bits a word
//! ```
//!
//! Writers change a bucket under its lock only, so every store below is of a word that nobody else writes meanwhile. Readers
//! take no lock: a slot is a hint, and what it names is compared in full.

use crate::region::Line;
use crate::sync::{Ordering::Acquire, Ordering::Relaxed, Ordering::Release, wait};

/// Slots in a bucket.
pub(crate) const SLOTS: u32 = 10;

const LOCK: u64 = 1 << 63;
const OVERFLOW: u64 = 1 << 32;
const OVERFLOW_MASK: u64 = (LOCK - 1) & !(OVERFLOW - 1);

/// A bucket in the region.
#[derive(Clone, Copy)]
pub(crate) struct Bucket<'a>(pub(crate) &'a Line);

/// What a reader saw of a bucket's tags.
#[derive(Clone, Copy)]
pub(crate) struct Tags([u64; 3]);

impl Tags {
    /// Slots that bear `tag`.
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    #[inline(always)]
    pub(crate) fn slots(self, tag: u16) -> Slots {
        use std::arch::x86_64::{
            _mm_cmpeq_epi16, _mm_cvtsi64_si128, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi16,
        };
        let [a, b, c] = self.0.map(u64::cast_signed);
        // SAFETY: SSE2 is part of x86-64; these compute on registers alone.
        let [ab, c] = unsafe {
            let tag = _mm_set1_epi16(tag.cast_signed());
            [_mm_set_epi64x(b, a), _mm_cvtsi64_si128(c)].map(|tags| _mm_movemask_epi8(_mm_cmpeq_epi16(tags, tag)))
        };
        Slots((ab | (c & 0xf) << 16).cast_unsigned() & 0x5_5555)
    }

    /// The same, written out.
    #[cfg(any(test, not(target_arch = "x86_64"), loom, miri))]
    #[cfg_attr(all(target_arch = "x86_64", not(loom), not(miri)), allow(dead_code))]
    pub(crate) fn slots_one_by_one(self, tag: u16) -> Slots {
        let bears = |slot: u32| (self.0[slot as usize / 4] >> (slot % 4 * 16)) as u16 == tag;
        Slots((0..SLOTS).filter(|&slot| bears(slot)).map(|slot| 1 << (2 * slot)).sum())
    }

    /// Slots that bear `tag`.
    #[cfg(any(not(target_arch = "x86_64"), loom, miri))]
    pub(crate) fn slots(self, tag: u16) -> Slots {
        self.slots_one_by_one(tag)
    }

    /// Whether an entry whose first bucket this is lives in its second one.
    #[inline(always)]
    pub(crate) fn overflowed(self) -> bool {
        self.0[2] & OVERFLOW_MASK != 0
    }

    /// Slots in use.
    pub(crate) fn used(self) -> u32 {
        SLOTS - self.slots(0).0.count_ones()
    }
}

/// A set of slots: the bit of a slot is twice its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slots(u32);

impl Slots {
    #[inline(always)]
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Iterator for Slots {
    type Item = u32;

    #[inline(always)]
    fn next(&mut self) -> Option<u32> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        Some(bit / 2)
    }
}

impl Bucket<'_> {
    /// Acquire: a reader that sees a tag sees the index and the entry that were stored before it (`put` releases the tag). The
    /// entry's guard alone keeps readers right; without this one could see the tag of a flow just set up before its entry, and
    /// send the packet the slow way for nothing.
    #[inline(always)]
    pub(crate) fn tags(self) -> Tags {
        Tags([self.0.0[0].load(Acquire), self.0.0[1].load(Acquire), self.0.0[2].load(Acquire)])
    }

    /// The entry that a slot names. It may be a later one than the tag spoke of.
    #[inline(always)]
    pub(crate) fn index(self, slot: u32) -> u32 {
        (self.0.0[3 + slot as usize / 2].load(Relaxed) >> (slot % 2 * 32)) as u32
    }

    /// Takes the lock. Acquire: the holder sees what the holder before it stored (`unlock` releases).
    pub(crate) fn lock(self) {
        let mut turns = 0;
        loop {
            let word = self.0.0[2].load(Relaxed);
            if word & LOCK == 0 && self.0.0[2].compare_exchange(word, word | LOCK, Acquire, Relaxed).is_ok() {
                return;
            }
            wait(&mut turns);
        }
    }

    /// Takes the lock if nobody has it. Acquire: as `lock`.
    pub(crate) fn try_lock(self) -> bool {
        let word = self.0.0[2].load(Relaxed);
        word & LOCK == 0 && self.0.0[2].compare_exchange(word, word | LOCK, Acquire, Relaxed).is_ok()
    }

    /// Gives the lock back. Locked.
    pub(crate) fn unlock(self) {
        self.0.0[2].store(self.0.0[2].load(Relaxed) & !LOCK, Release);
    }

    /// Puts an entry into a free slot; false when there is none. Locked.
    pub(crate) fn put(self, tag: u16, index: u32) -> bool {
        let Some(slot) = self.tags().slots(0).next() else { return false };
        let place = &self.0.0[3 + slot as usize / 2];
        let shift = slot % 2 * 32;
        place.store(place.load(Relaxed) & !(0xffff_ffff << shift) | u64::from(index) << shift, Relaxed);
        self.set_tag(slot, tag);
        true
    }

    /// Takes an entry out of its slot; false when it is not here. Locked.
    pub(crate) fn take(self, tag: u16, index: u32) -> bool {
        let slot = self.tags().slots(tag).find(|&slot| self.index(slot) == index);
        slot.inspect(|&slot| self.set_tag(slot, 0)).is_some()
    }

    /// Whether the entry is in a slot here. Locked.
    pub(crate) fn has(self, tag: u16, index: u32) -> bool {
        self.tags().slots(tag).any(|slot| self.index(slot) == index)
    }

    /// One entry more, or one less, of this bucket lives in its second one. Locked.
    pub(crate) fn overflow(self, more: bool) {
        let word = self.0.0[2].load(Relaxed);
        self.0.0[2].store(if more { word + OVERFLOW } else { word - OVERFLOW }, Release);
    }

    /// Empties the bucket, lock and all. Only while nobody else uses the table.
    pub(crate) fn reset(self) {
        self.0.0.iter().for_each(|word| word.store(0, Relaxed));
    }

    /// Release: see `tags`.
    fn set_tag(self, slot: u32, tag: u16) {
        let place = &self.0.0[slot as usize / 4];
        let shift = slot % 4 * 16;
        place.store(place.load(Relaxed) & !(0xffff << shift) | u64::from(tag) << shift, Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::AtomicU64;

    #[test]
    fn tags_are_compared_at_once_as_one_by_one() {
        let mut state = 1_u64;
        let mut word = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // few different tags, in all lanes
            state >> 32 & 0x0003_0001_0003_0002 | state & 0x0001_0003_0000_0001
        };
        for _ in 0..10_000 {
            let tags = Tags(std::array::from_fn(|_| word()));
            for tag in [0, 1, 2, 3, u16::MAX] {
                assert_eq!(tags.slots(tag), tags.slots_one_by_one(tag), "{tag} of {:x?}", tags.0);
            }
        }
    }

    #[test]
    fn slots_are_put_found_and_taken_beside_lock_and_overflow() {
        let line = Line(std::array::from_fn(|_| AtomicU64::new(0)));
        let bucket = Bucket(&line);
        bucket.lock();
        for index in 0..SLOTS {
            assert!(bucket.put(7 + (index % 2) as u16, 100 + index), "slot {index}");
            assert_eq!(bucket.tags().used(), index + 1);
        }
        assert!(!bucket.put(9, 1), "no slot is left");
        bucket.overflow(true);
        assert!(bucket.tags().overflowed());
        for tag in [7, 8] {
            let mut found: Vec<u32> = bucket.tags().slots(tag).map(|slot| bucket.index(slot)).collect();
            found.sort_unstable();
            assert_eq!(found, (0..5).map(|i| 100 + 2 * i + u32::from(tag) - 7).collect::<Vec<_>>());
        }
        assert!(!bucket.take(7, 101), "another tag's entry");
        assert!(bucket.take(7, 104) && !bucket.take(7, 104));
        assert_eq!(bucket.tags().used(), SLOTS - 1);
        assert!(bucket.put(u16::MAX, u32::MAX));
        assert_eq!(bucket.tags().slots(u16::MAX).map(|slot| bucket.index(slot)).collect::<Vec<_>>(), [u32::MAX]);
        bucket.overflow(false);
        assert!(!bucket.tags().overflowed());
        bucket.unlock();
        assert_eq!(line.0[2].load(Relaxed) >> 32, 0, "neither lock nor overflow is left");
    }
}
