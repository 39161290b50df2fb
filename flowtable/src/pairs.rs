//! The table of one kind of key: look up, set up, count, remove.

use std::sync::{Arc, OnceLock};

use crate::bucket::Bucket;
use crate::counting::{Section, Sections};
use crate::entry::{LIVE, Packet, Slot, Standing, version};
use crate::free::{End, Free};
use crate::key::Secrets;
use crate::place::{Place, Sought, first_of, mark_of, tag_of};
use crate::region::Part;
use crate::sync::Ordering::Relaxed;
use crate::view::View;
use crate::{Entry, Half, Handle, Key, Pair, prefetch};

/// Pairs of flows with keys of `K` words. Any thread may call anything at any time.
pub struct Pairs<const K: usize> {
    pub(crate) secrets: Secrets,
    pub(crate) free: Free,
    pub(crate) buckets: Part,
    pub(crate) entries: Part,
    pub(crate) sections: Arc<Sections>,
    /// When it was adopted.
    pub(crate) odd_dropped: OnceLock<u64>,
}

/// In place of an entry's place: there is none.
pub const NOWHERE: u32 = u32::MAX;
/// In place of an entry's place: perhaps in the key's second bucket.
pub const ELSEWHERE: u32 = u32::MAX - 1;

/// Why a pair was not set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// The forward key is there, perhaps because another worker set up the same flow from the opposite end.
    Exists(Handle),
    /// The reverse key belongs to another pair.
    ReverseTaken(Handle),
    /// No pair is free, or (once in milliards) no slot in a key's buckets.
    Full,
}

impl std::fmt::Display for InsertError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            InsertError::Exists(_) => "the flow exists",
            InsertError::ReverseTaken(_) => "the reverse key belongs to another pair",
            InsertError::Full => "the table is full",
        })
    }
}

impl std::error::Error for InsertError {}

/// What happened to pairs since the region was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Set up.
    pub inserted: u64,
    /// Removed by handle.
    pub removed: u64,
    /// Removed to make room.
    pub evicted: u64,
    /// Removed as expired.
    pub aged: u64,
    /// Dropped by the adoption of this region: what a killed writer had left half written, or what is not as it was set up.
    pub odd_dropped: u64,
}

impl<const K: usize> Pairs<K> {
    /// The key's hash, keyed with the region's seed. All of its 64 bits are of use.
    #[inline(always)]
    pub fn hash(&self, key: &Key<K>) -> u64 {
        self.secrets.hash(key)
    }

    /// Asks for the bucket where most keys of this hash are.
    #[inline(always)]
    pub fn prefetch_bucket(&self, hash: u64) {
        if let Some(line) = self.buckets.get(self.place(hash).first as usize) {
            prefetch(line);
        }
    }

    /// The table as lookups of a burst see it: where its parts lie is read once.
    #[inline(always)]
    pub fn view(&self) -> View<'_, K> {
        View { pairs: self, secrets: self.secrets, buckets: &self.buckets, entries: &self.entries }
    }

    /// See [`View::seek`].
    #[inline(always)]
    pub fn seek(&self, key: &Key<K>) -> Sought {
        self.view().seek(key)
    }

    /// What a key of this hash is looked for by.
    #[inline(always)]
    pub fn sought(&self, hash: u64) -> Sought {
        Sought { hash, first: self.first(hash) }
    }

    /// See [`View::candidate`].
    #[inline(always)]
    pub fn candidate(&self, sought: Sought) -> u32 {
        self.view().candidate(sought)
    }

    /// The candidate in the key's second bucket.
    #[inline(never)]
    pub fn candidate_elsewhere(&self, sought: Sought) -> u32 {
        let bucket = self.bucket(self.place(sought.hash).second);
        self.view().ask(bucket, bucket.tags().slots(tag_of(sought.hash)))
    }

    #[inline(never)]
    pub(crate) fn look_elsewhere(&self, sought: Sought) -> u32 {
        prefetch(&self.buckets[self.place(sought.hash).second as usize]);
        ELSEWHERE
    }

    /// See [`View::find_at`].
    #[inline(always)]
    pub fn find_at(&self, key: &Key<K>, hash: u64, candidate: u32) -> Option<(Handle, Entry)> {
        self.view().find_at(key, hash, candidate)
    }

    /// Counts one packet to the entry at this place, if it is live, has this key (which is compared in full), verdict 0, and `stands` says
    /// something to what was decided; else changes nothing. Find, check and [`Pairs::touch_decided`] in one step, exact like it: the answer of
    /// `stands` is about the very decision that the packet was counted to. (It may be asked about what another thread is just replacing; then
    /// its answer is not used.) A stamp that it changes in what it is shown, the entry has from then on: what was decided stands, by what is known
    /// since. Takes no lock where this thread alone counts the entry. `None`: not at once; [`Pairs::count`] does it. The
    /// section is one of a counter of this table.
    #[inline(always)]
    pub fn try_count<R>(
        &self,
        index: u32,
        key: &Key<K>,
        packet: Packet,
        section: &Section,
        stands: impl Fn(&mut Standing) -> Option<R>,
    ) -> Option<Option<R>> {
        self.slot(index)?.try_count(key, packet, section, stands)
    }

    /// As [`Pairs::try_count`], of any entry, waiting for whoever has it locked. From then on the entry is this thread's own, if no other
    /// thread has counted it.
    pub fn count<R>(
        &self,
        index: u32,
        key: &Key<K>,
        packet: Packet,
        section: &mut Section,
        stands: impl Fn(&mut Standing) -> Option<R>,
    ) -> Option<R> {
        self.slot(index)?.count(key, packet, section, stands)
    }

    /// The entry with this key, which is compared in full. `hash` is the key's. Takes no lock.
    #[inline]
    pub fn find(&self, key: &Key<K>, hash: u64) -> Option<(Handle, Entry)> {
        self.find_in::<true>(key, self.place(hash))
    }

    /// The entry, unless the handle is stale. Takes no lock.
    pub fn entry(&self, handle: Handle) -> Option<Entry> {
        let (guard, _, entry) = self.slot(handle.index)?.read::<true>()?;
        (version(guard) == handle.version).then_some(entry)
    }

    /// The other direction's entry, unless the handle is stale. Takes no lock.
    pub fn partner_entry(&self, handle: Handle) -> Option<Entry> {
        self.entry(handle.partner())
    }

    /// Sets up a pair, charged to `owner`, created and last seen at `now`, with no packets counted. `forward` is the direction
    /// of the first packet. Both keys may be the same: then only the forward entry is ever found.
    ///
    /// Locks the keys' buckets, for a few hundred instructions.
    pub fn insert(
        &self,
        forward: (&Key<K>, Half),
        reverse: (&Key<K>, Half),
        owner: u32,
        now: u32,
    ) -> Result<Handle, InsertError> {
        self.insert_hashed(forward, reverse, [self.hash(forward.0), self.hash(reverse.0)], owner, now, None)
    }

    /// The same of keys whose hashes are known; the first packet, if there is one, is counted to the forward direction.
    pub fn insert_hashed(
        &self,
        forward: (&Key<K>, Half),
        reverse: (&Key<K>, Half),
        hashes: [u64; 2],
        owner: u32,
        now: u32,
        first: Option<Packet>,
    ) -> Result<Handle, InsertError> {
        let places = hashes.map(|hash| self.place(hash));
        let locked = self.lock_to_link(places);
        if let Some((handle, _)) = self.find_in::<true>(forward.0, places[0]) {
            return Err(InsertError::Exists(handle));
        }
        let linked = if forward.0 == reverse.0 { 1 } else { 2 };
        if let Some((handle, _)) = self.find_in::<true>(reverse.0, places[1]) {
            return Err(InsertError::ReverseTaken(handle));
        }
        let forward_bucket = self.roomy(places[0], None).ok_or(InsertError::Full)?;
        let reverse_bucket = self.roomy(places[1], Some(forward_bucket)).ok_or(InsertError::Full)?;
        debug_assert!(locked.holds(forward_bucket) && locked.holds(reverse_bucket));
        let pair = self.free.take(hashes[0]).ok_or(InsertError::Full)?;
        let (Some(there), Some(back)) = (self.slot(2 * pair), self.slot(2 * pair + 1)) else {
            return Err(InsertError::Full);
        };
        let version = version(there.guard().load(Relaxed)).wrapping_add(1);
        self.free.began(pair, now, mark_of(hashes, version));
        there.write(version, forward.0, forward.1, owner, (now, first));
        back.write(version, reverse.0, reverse.1, owner, (now, None));
        for (place, bucket, index) in
            [(places[0], forward_bucket, 2 * pair), (places[1], reverse_bucket, 2 * pair + 1)].into_iter().take(linked)
        {
            self.link(place, bucket, index);
        }
        Ok(Handle { index: 2 * pair, version })
    }

    /// Replaces what the slow path decided for one direction; counters, state and last seen stay. False when the handle is stale.
    pub fn update(&self, handle: Handle, half: Half) -> bool {
        self.locked_slot(handle).inspect(|&(slot, guard)| slot.rewrite(guard, half)).is_some()
    }

    /// Counts one packet of `bytes` bytes at `now`, and sets the bits `set` of the direction's state. Exact, also when several
    /// threads count the same direction, and never counted to another flow: it is counted either before the pair ends, and
    /// then whoever ended it sees it, or not at all. False when the handle is stale.
    #[inline]
    pub fn touch(&self, handle: Handle, bytes: u32, now: u32, set: u16) -> bool {
        let Some((slot, guard)) = self.locked_slot(handle) else { return false };
        slot.add(bytes, now, set);
        slot.unlock(guard);
        true
    }

    /// The same, if the direction is still decided so, whenever that was: what a caller read before may have been replaced since. False when it
    /// is decided otherwise, or the handle is stale.
    #[inline]
    pub fn touch_decided(&self, handle: Handle, half: Half, bytes: u32, now: u32, set: u16) -> bool {
        let Some((slot, guard)) = self.locked_slot(handle) else { return false };
        let stands = slot.decided(guard) == Half { stamp: slot.decided(guard).stamp, ..half };
        if stands {
            slot.add(bytes, now, set);
        }
        slot.unlock(guard);
        stands
    }

    /// Adds what was counted elsewhere: a pair that goes on under another key takes its counts along. False when the handle is stale.
    pub fn carry(&self, handle: Handle, packets: u64, bytes: u64) -> bool {
        let Some((slot, guard)) = self.locked_slot(handle) else { return false };
        slot.carry(packets, bytes);
        slot.unlock(guard);
        true
    }

    /// Clears bits of the direction's state. False when the handle is stale.
    pub fn clear_state(&self, handle: Handle, bits: u16) -> bool {
        let Some((slot, guard)) = self.locked_slot(handle) else { return false };
        slot.clear_state(bits);
        slot.unlock(guard);
        true
    }

    /// Sets bits of the direction's state without counting a packet. False when the handle is stale.
    pub fn set_state(&self, handle: Handle, bits: u16) -> bool {
        let Some((slot, guard)) = self.locked_slot(handle) else { return false };
        slot.set_state(bits);
        slot.unlock(guard);
        true
    }

    /// Removes the pair, given either direction's handle. False when the handle is stale.
    pub fn remove(&self, handle: Handle) -> bool {
        self.take(handle).is_some()
    }

    /// Removes the pair and tells what it was in the end, with all that was ever counted. Nothing when the handle is stale.
    pub fn take(&self, handle: Handle) -> Option<Pair<K>> {
        self.end(handle, End::Removed, |_| true)
    }

    /// The pair at `index`, if there is one. Takes no lock.
    pub fn pair(&self, index: u32) -> Option<Pair<K>> {
        if index >= self.free.pairs {
            return None;
        }
        loop {
            let (first, second) = (self.slot(2 * index)?, self.slot(2 * index + 1)?);
            let (guard, key, entry) = first.read::<true>()?;
            let (other, reverse_key, reverse_entry) = second.read::<true>()?;
            let created = self.free.created(index);
            // Both halves were read whole; the pair is whole when the first still is the second's.
            let now = first.guard().load(Relaxed);
            if version(guard) == version(other) && version(now) == version(guard) && now & LIVE != 0 {
                let handle = Handle { index: 2 * index, version: version(guard) };
                return Some(Pair { forward: (key, entry), reverse: (reverse_key, reverse_entry), handle, created });
            }
        }
    }

    /// Pairs that there is room for.
    pub fn capacity(&self) -> u32 {
        self.free.pairs
    }

    /// Pairs in use; while others write, a moment's estimate.
    pub fn used(&self) -> u32 {
        self.free.used()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        Counters { odd_dropped: self.odd_dropped.get().copied().unwrap_or_default(), ..self.free.counters() }
    }

    #[inline(always)]
    pub(crate) fn find_in<const CHECKED: bool>(&self, key: &Key<K>, place: Place) -> Option<(Handle, Entry)> {
        let mut bucket = self.bucket(place.first);
        let mut tags = bucket.tags();
        let mut last = !tags.overflowed();
        loop {
            for slot in tags.slots(place.tag) {
                let index = bucket.index(slot);
                let found = self.slot(index).and_then(|slot| slot.read_of::<CHECKED>(key));
                if let Some((guard, entry)) = found {
                    return Some((Handle { index, version: version(guard) }, entry));
                }
            }
            if last {
                return None;
            }
            last = true;
            bucket = self.bucket(place.second);
            tags = bucket.tags();
        }
    }

    #[inline(always)]
    pub(crate) fn place(&self, hash: u64) -> Place {
        let buckets = self.buckets.len() as u64;
        let first = self.first(hash);
        let second = (((hash & 0xffff_ffff) * buckets) >> 32) as u32;
        let second = if second != first { second } else { (first + 1) % buckets as u32 };
        Place { first, second, tag: tag_of(hash) }
    }

    #[inline(always)]
    fn first(&self, hash: u64) -> u32 {
        first_of(hash, self.buckets.len())
    }

    #[inline(always)]
    pub(crate) fn slot(&self, index: u32) -> Option<Slot<'_, K>> {
        Slot::new(&self.entries, index)
    }

    /// The entry, locked, and nobody counts it; not within a section.
    #[inline(always)]
    pub(crate) fn locked_slot(&self, handle: Handle) -> Option<(Slot<'_, K>, u64)> {
        let slot = self.slot(handle.index)?;
        let guard = slot.lock(handle.version)?;
        self.sections.wait_for(guard);
        Some((slot, guard))
    }

    #[inline(always)]
    pub(crate) fn bucket(&self, index: u32) -> Bucket<'_> {
        Bucket(&self.buckets[index as usize])
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::{Config, FlowTable, Narrow, Region};

    /// Two keys that have bucket and tag in common, by the birthday paradox among few buckets.
    fn twins(pairs: &Pairs<2>) -> [Narrow; 2] {
        let mut seen = HashMap::new();
        let keys = (0..).map(|n| Key { words: [n, 1], tag: 17 });
        let twins = keys.into_iter().find_map(|key| {
            let place = pairs.place(pairs.hash(&key));
            seen.insert((place.first, place.tag), key).map(|other| [key, other])
        });
        twins.expect("there are some")
    }

    #[test]
    fn keys_are_told_apart_whose_tags_are_the_same() {
        let config = Config { narrow_pairs: 8, wide_pairs: 0, seed: 3, time_base: 0 };
        let region = Region::heap(config.bytes().expect("possible")).expect("memory");
        let table = FlowTable::create(region, &config).expect("laid out");
        let pairs = table.narrow();
        let [one, other] = twins(pairs);
        let half = |next_hop| Half { stamp: 1, next_hop, verdict: 0 };
        let reverse = |key: Narrow| Key { tag: 6, ..key };
        let find = |key: &Narrow| pairs.find(key, pairs.hash(key)).map(|(_, entry)| entry.next_hop);
        pairs.insert((&one, half(1)), (&reverse(one), half(2)), 0, 0).expect("room");
        assert_eq!((find(&one), find(&other)), (Some(1), None));
        let count = |key: &Narrow| {
            let candidate = pairs.candidate(pairs.seek(key));
            let mut counter = table.counter();
            pairs.count(candidate, key, Packet { bytes: 1, now: 0, set: 0 }, &mut counter.section(), |_| Some(()))
        };
        assert_eq!((count(&one), count(&other)), (Some(()), None));
        pairs.insert((&other, half(3)), (&reverse(other), half(4)), 0, 0).expect("room");
        assert_eq!((find(&one), find(&other)), (Some(1), Some(3)));
    }
}
