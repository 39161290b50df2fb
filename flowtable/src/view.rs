//! Lookups of a burst.

use crate::bucket::{Bucket, Slots};
use crate::entry::{Slot, version};
use crate::key::Secrets;
use crate::pairs::{ELSEWHERE, NOWHERE, Pairs};
use crate::place::{Sought, first_of, tag_of};
use crate::region::Line;
use crate::{Entry, Handle, Key, prefetch};

/// Where the parts of a table lie, in registers: what a loop reads of the table itself it would read again after each atomic load. Any thread.
#[derive(Clone, Copy)]
pub struct View<'a, const K: usize> {
    pub(crate) pairs: &'a Pairs<K>,
    pub(crate) secrets: Secrets,
    pub(crate) buckets: &'a [Line],
    pub(crate) entries: &'a [Line],
}

impl<const K: usize> View<'_, K> {
    /// Hashes a key and asks for its bucket.
    #[inline(always)]
    pub fn seek(&self, key: &Key<K>) -> Sought {
        let hash = self.secrets.hash(key);
        let first = first_of(hash, self.buckets.len());
        if let Some(line) = self.buckets.get(first as usize) {
            prefetch(line);
        }
        Sought { hash, first }
    }

    /// The place of the entry that the key sought probably has, asked for; waits for the key's bucket. The key itself is not
    /// compared: that is for [`Pairs::try_count`] or [`View::find_at`]. [`NOWHERE`]: no entry bears the hash's tag. [`ELSEWHERE`]: none does
    /// in this bucket, but some of its keys live in their second ones; that one is asked for, and [`Pairs::candidate_elsewhere`] tells.
    #[inline(always)]
    pub fn candidate(&self, sought: Sought) -> u32 {
        let Some(line) = self.buckets.get(sought.first as usize) else { return NOWHERE };
        let (bucket, tag) = (Bucket(line), tag_of(sought.hash));
        let tags = bucket.tags();
        let slots = tags.slots(tag);
        if slots.is_empty() && tags.overflowed() {
            return self.pairs.look_elsewhere(sought);
        }
        self.ask(bucket, slots)
    }

    /// Asks for the entry in the first of these slots.
    #[inline(always)]
    pub(crate) fn ask(&self, bucket: Bucket, mut slots: Slots) -> u32 {
        let Some(slot) = slots.next() else { return NOWHERE };
        let index = bucket.index(slot);
        if let Some(slot) = Slot::<K>::new(self.entries, index) {
            slot.lines().iter().for_each(prefetch);
        }
        index
    }

    /// As [`Pairs::find`], of a key with this hash and candidate: for bursts, whose keys are all sought first, then their candidates.
    #[inline(always)]
    pub fn find_at(&self, key: &Key<K>, hash: u64, candidate: u32) -> Option<(Handle, Entry)> {
        let Some(slot) = Slot::new(self.entries, candidate) else {
            return if candidate == ELSEWHERE { self.pairs.find(key, hash) } else { None };
        };
        match slot.read_of::<true>(key) {
            Some((guard, entry)) => Some((Handle { index: candidate, version: version(guard) }, entry)),
            // another key with the same tag
            None => self.pairs.find(key, hash),
        }
    }
}
