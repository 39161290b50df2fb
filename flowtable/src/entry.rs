//! One direction's entry: what callers see of it, and its words in the region.
//!
//! ```text
//! word 0      guard: incarnation (32) | verdict (8) | whose to count (8) | sequence (13) | LIVE | WRITING | LOCK
//! word 1..=K  key
//! word K+1    activity: last seen (32) | state (16) | the key's tag (16)
//! word K+2    owner (32) | next hop (32)
//! word K+3    stamp
//! word K+4    packets
//! word K+5    bytes
//! ```
//!
//! All but the guard are stored with release and loaded by readers with acquire, for which see [`Slot::read`].

use crate::counting::{OWNER, Section};
use crate::region::Line;
use crate::sync::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, Ordering::SeqCst, wait};
use crate::{Glance, Key};

/// Names one direction's entry for as long as its pair lives: a later pair in the same place has another version.
/// (Versions have 32 bits: a handle must not be kept while four milliards of pairs pass through one place.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    pub(crate) index: u32,
    pub(crate) version: u32,
}

impl Handle {
    /// The entry's place: twice the pair's index, plus 1 for the reverse direction.
    pub fn index(self) -> u32 {
        self.index
    }

    /// The other direction's entry.
    pub fn partner(self) -> Handle {
        Handle { index: self.index ^ 1, ..self }
    }
}

/// What a slow path decides for one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Half {
    /// Until when the decision holds, in the caller's terms.
    pub stamp: u64,
    /// The caller's next-hop number.
    pub next_hop: u32,
    /// What to do.
    pub verdict: u8,
}

/// A copy of one direction's entry. Stamp, next hop, verdict and owner belong together; last seen and state are of one moment;
/// packets and bytes may each lack the packet that another thread is just counting, unless the pair has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// See [`Half::stamp`].
    pub stamp: u64,
    /// See [`Half::next_hop`].
    pub next_hop: u32,
    /// See [`Half::verdict`].
    pub verdict: u8,
    /// Bits that `touch` sets and `clear_state` clears.
    pub state: u16,
    /// Whom the pair is charged to; the same in both directions.
    pub owner: u32,
    /// The caller's clock when a packet was last counted, or the set-up.
    pub last_seen: u32,
    /// Whether this is the direction of the pair's first packet.
    pub initiator: bool,
    /// Packets counted.
    pub packets: u64,
    /// Bytes counted.
    pub bytes: u64,
}

/// What a packet adds to its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    pub bytes: u32,
    /// The caller's clock.
    pub now: u32,
    /// Bits to set in the direction's state.
    pub set: u16,
}

/// What was decided about an entry that a packet is to be counted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub half: Half,
    /// See [`Entry::initiator`].
    pub initiator: bool,
    /// See [`Entry::state`]; before this packet.
    pub state: u16,
}

impl Entry {
    /// What the slow path decided.
    pub fn half(&self) -> Half {
        Half { stamp: self.stamp, next_hop: self.next_hop, verdict: self.verdict }
    }
}

/// Both directions of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<const K: usize> {
    /// The initiator's direction.
    pub forward: (Key<K>, Entry),
    /// The other one.
    pub reverse: (Key<K>, Entry),
    /// The forward entry's handle.
    pub handle: Handle,
    /// The caller's clock at set-up.
    pub created: u32,
}

/// Somebody changes the entry: excludes other writers, not readers.
pub(crate) const LOCK: u64 = 1;
/// Stamp, next hop and verdict are half old, half new: readers wait.
pub(crate) const WRITING: u64 = 1 << 1;
/// The entry belongs to a pair.
pub(crate) const LIVE: u64 = 1 << 2;
const SEQUENCE: u64 = 1 << 3;
const SEQUENCE_MASK: u64 = ((1 << 13) - 1) << 3;
const VERDICT: u32 = 24;
const VERDICTS: u64 = 0xff << VERDICT;

/// The incarnation that a guard tells.
pub(crate) fn version(guard: u64) -> u32 {
    (guard >> 32) as u32
}

/// An entry in the region.
#[derive(Clone, Copy)]
pub(crate) struct Slot<'a, const K: usize> {
    lines: &'a [Line],
    index: u32,
}

impl<'a, const K: usize> Slot<'a, K> {
    /// Lines of one entry.
    pub(crate) const LINES: usize = (1 + K + 5).div_ceil(8);

    /// The entry at `index`, if there is one.
    #[inline(always)]
    pub(crate) fn new(entries: &'a [Line], index: u32) -> Option<Slot<'a, K>> {
        let first = index as usize * Self::LINES;
        entries.get(first..first + Self::LINES).map(|lines| Slot { lines, index })
    }

    #[inline(always)]
    pub(crate) fn word(self, i: usize) -> &'a AtomicU64 {
        &self.lines[i / 8].0[i % 8]
    }

    #[inline(always)]
    pub(crate) fn guard(self) -> &'a AtomicU64 {
        self.word(0)
    }

    #[inline(always)]
    pub(crate) fn lines(self) -> &'a [Line] {
        self.lines
    }

    /// A consistent copy, and the guard it was made under; nothing when the entry is free.
    /// Takes no lock. With `CHECKED` false it believes what it reads: the fault that the tests plant.
    ///
    /// Why the copy is consistent: let g be the first load of the guard. It synchronises with the release that stored it, so the
    /// loads that follow see at least what that writer stored. Suppose one of them sees something newer, stored (release) by a
    /// writer W. Before that store W had changed the guard, or another thread had, from whom W took over by acquire (insertion
    /// takes a pair from the free list, where the removal put it after clearing LIVE). The load is an acquire, so the second load
    /// of the guard sees that change or a later one, and no later guard equals g but for LOCK: WRITING, the sequence or the
    /// incarnation differ. (The sequence comes round after 8,192 updates within one copy.) If none sees anything newer, the
    /// copy is of g's time. What counting changes (activity, counters and stamp, with LOCK or within a section) is consistent word by word.
    #[inline(always)]
    pub(crate) fn read<const CHECKED: bool>(self) -> Option<(u64, Key<K>, Entry)> {
        self.seen::<CHECKED, _>(|guard, activity| {
            Some((guard & !LOCK, self.key(activity), self.entry(guard, activity)))
        })
    }

    /// The same of an entry with this key.
    #[inline(always)]
    pub(crate) fn read_of<const CHECKED: bool>(self, key: &Key<K>) -> Option<(u64, Entry)> {
        self.seen::<CHECKED, _>(|guard, activity| {
            // An entry that bore the wanted key all the time shows it here, whoever else writes; one that did not need not.
            self.has(key, activity).then(|| (guard & !LOCK, self.entry(guard, activity)))
        })
    }

    /// What `see` makes of the entry's guard and activity, and loads between, once nobody has changed it meanwhile.
    #[inline(always)]
    fn seen<const CHECKED: bool, R>(self, see: impl Fn(u64, u64) -> Option<R>) -> Option<R> {
        let mut turns = 0;
        loop {
            let guard = self.guard().load(Acquire);
            if guard & (LIVE | if CHECKED { WRITING } else { 0 }) != LIVE {
                if guard & LIVE == 0 {
                    return None;
                }
                wait(&mut turns);
                continue;
            }
            let seen = see(guard, self.word(K + 1).load(Acquire))?;
            if !CHECKED || (self.guard().load(Relaxed) ^ guard) & !LOCK == 0 {
                return Some(seen);
            }
            wait(&mut turns);
        }
    }

    /// Whether the entry has this key, word by word: what is put together first, to be compared as a whole, goes through memory.
    #[inline(always)]
    fn has(self, key: &Key<K>, activity: u64) -> bool {
        let tags = u64::from(activity as u16 ^ key.tag);
        (0..K).fold(tags, |differ, i| differ | self.word(1 + i).load(Acquire) ^ key.words[i]) == 0
    }

    #[inline(always)]
    fn key(self, activity: u64) -> Key<K> {
        Key { words: std::array::from_fn(|i| self.word(1 + i).load(Acquire)), tag: activity as u16 }
    }

    #[inline(always)]
    fn entry(self, guard: u64, activity: u64) -> Entry {
        let target = self.word(K + 2).load(Acquire);
        Entry {
            stamp: self.word(K + 3).load(Acquire),
            next_hop: target as u32,
            verdict: (guard >> VERDICT) as u8,
            state: (activity >> 16) as u16,
            owner: (target >> 32) as u32,
            last_seen: (activity >> 32) as u32,
            initiator: self.index & 1 == 0,
            packets: self.word(K + 4).load(Acquire),
            bytes: self.word(K + 5).load(Acquire),
        }
    }

    /// Incarnation, tag, owner and the rest that scans judge by, unless the entry is free. What it says may be of different moments, and
    /// of different flows: relaxed, since whoever acts on it looks again, locked, at this incarnation.
    #[inline(always)]
    pub(crate) fn glance(self) -> Option<(u32, u16, u32, Glance)> {
        let guard = self.guard().load(Relaxed);
        if guard & LIVE == 0 {
            return None;
        }
        let (activity, target) = (self.word(K + 1).load(Relaxed), self.word(K + 2).load(Relaxed));
        let packets = self.word(K + 4).load(Relaxed);
        let glance = Glance { state: (activity >> 16) as u16, last_seen: (activity >> 32) as u32, packets };
        Some((version(guard), activity as u16, (target >> 32) as u32, glance))
    }

    /// Locks the entry if it still is of this version, and gives its guard (without LOCK). Waits for another writer, but not yet for the
    /// entry's own thread: that is [`Sections::wait_for`](crate::counting::Sections::wait_for)'s.
    /// Acquire: sees what the writer before stored (`unlock` releases). Sequentially consistent: see `counting.rs`.
    #[inline]
    pub(crate) fn lock(self, wanted: u32) -> Option<u64> {
        let mut turns = 0;
        loop {
            let guard = self.guard().load(Relaxed);
            if guard & LIVE == 0 || version(guard) != wanted {
                return None;
            }
            if guard & LOCK == 0 && self.guard().compare_exchange(guard, guard | LOCK, SeqCst, Relaxed).is_ok() {
                return Some(guard);
            }
            wait(&mut turns);
        }
    }

    /// See [`Pairs::try_count`](crate::Pairs::try_count).
    ///
    /// An entry of this thread's own is nobody else's to change until the section ends (see `counting.rs`), so what is read here stays
    /// as it is. One that several threads count is locked, as by [`Slot::count`].
    #[inline(always)]
    pub(crate) fn try_count<R>(
        self,
        key: &Key<K>,
        packet: Packet,
        section: &Section,
        stands: impl Fn(&mut Standing) -> Option<R>,
    ) -> Option<Option<R>> {
        let guard = self.guard().load(Acquire);
        let is = guard & (LIVE | LOCK | WRITING | VERDICTS | OWNER);
        if is == LIVE | section.owner() {
            let Some((answer, stamp)) = self.judge(key, stands) else { return Some(None) };
            self.stamp(stamp);
            self.add(packet.bytes, packet.now, packet.set);
            return Some(Some(answer));
        }
        if is != LIVE | OWNER {
            return None;
        }
        let Some((answer, stamp)) = self.judge(key, stands) else { return Some(None) };
        self.guard().compare_exchange(guard, guard | LOCK, SeqCst, Relaxed).ok()?;
        self.stamp(stamp);
        self.add(packet.bytes, packet.now, packet.set);
        self.unlock(guard);
        Some(Some(answer))
    }

    /// See [`Pairs::count`](crate::Pairs::count).
    ///
    /// Why what is read before the lock is what the lock then keeps: the words are loaded (acquire) between a load of the guard and the
    /// compare-and-swap of that same guard. Whoever stores a newer key or decision changes the guard before, as [`Slot::read`] says,
    /// and the compare-and-swap would fail.
    pub(crate) fn count<R>(
        self,
        key: &Key<K>,
        packet: Packet,
        section: &mut Section,
        stands: impl Fn(&mut Standing) -> Option<R>,
    ) -> Option<R> {
        loop {
            let guard = self.guard().load(Acquire);
            if guard & (LIVE | LOCK | WRITING | VERDICTS) != LIVE {
                if guard & LIVE == 0 || guard & (LOCK | WRITING) == 0 {
                    return None;
                }
                section.outside(|_| self.wait_while_locked());
                continue;
            }
            let (answer, stamp) = self.judge(key, &stands)?;
            if self.guard().compare_exchange(guard, guard | LOCK, SeqCst, Relaxed).is_ok() {
                if section.is_foreign(guard) {
                    section.outside(|sections| sections.wait_for(guard));
                }
                self.stamp(stamp);
                self.add(packet.bytes, packet.now, packet.set);
                self.unlock(section.after(guard));
                return Some(answer);
            }
        }
    }

    /// Waits until nobody holds the lock, or somebody else does.
    fn wait_while_locked(self) {
        let (mut turns, locked) = (0, self.guard().load(Relaxed));
        while locked & (LOCK | WRITING) != 0 && self.guard().load(Relaxed) == locked {
            wait(&mut turns);
        }
    }

    /// Compares the key, and asks about what was decided; tells the answer, and the stamp if that is to be another one.
    #[inline(always)]
    fn judge<R>(self, key: &Key<K>, stands: impl Fn(&mut Standing) -> Option<R>) -> Option<(R, Option<u64>)> {
        let activity = self.word(K + 1).load(Acquire);
        let (target, stamp) = (self.word(K + 2).load(Acquire), self.word(K + 3).load(Acquire));
        if !self.has(key, activity) {
            return None;
        }
        let half = Half { stamp, next_hop: target as u32, verdict: 0 };
        let mut standing = Standing { half, initiator: self.index & 1 == 0, state: (activity >> 16) as u16 };
        let answer = stands(&mut standing)?;
        Some((answer, (standing.half.stamp != stamp).then_some(standing.half.stamp)))
    }

    /// Notes that what was decided has been found to stand. Locked, or within a section of the entry's own thread. (Release: see `add`.)
    #[inline(always)]
    fn stamp(self, stamp: Option<u64>) {
        if let Some(stamp) = stamp {
            self.word(K + 3).store(stamp, Release);
        }
    }

    /// Gives the lock back, leaving `guard`. Locked.
    #[inline(always)]
    pub(crate) fn unlock(self, guard: u64) {
        self.guard().store(guard, Release);
    }

    /// Key and entry as they are. Locked, by a holder of `guard`.
    pub(crate) fn read_locked(self, guard: u64) -> (Key<K>, Entry) {
        let activity = self.word(K + 1).load(Relaxed);
        let key = self.key(activity);
        (key, self.entry(guard, activity))
    }

    /// Writes a new incarnation into a free entry, with its first packet if it has one, and makes it live. Only the one who took the pair
    /// from the free list.
    pub(crate) fn write(self, version: u32, key: &Key<K>, half: Half, owner: u32, (now, first): (u32, Option<Packet>)) {
        let state = u64::from(first.map_or(0, |packet| packet.set));
        for (i, &word) in key.words.iter().enumerate() {
            self.word(1 + i).store(word, Release);
        }
        self.word(K + 1).store(u64::from(now) << 32 | state << 16 | u64::from(key.tag), Release);
        self.word(K + 2).store(u64::from(owner) << 32 | u64::from(half.next_hop), Release);
        self.word(K + 3).store(half.stamp, Release);
        self.word(K + 4).store(first.map_or(0, |_| 1), Release);
        self.word(K + 5).store(first.map_or(0, |packet| packet.bytes.into()), Release);
        self.guard().store(u64::from(version) << 32 | u64::from(half.verdict) << VERDICT | LIVE, Release);
    }

    /// Writes all that an entry says, and leaves it live, unlocked and nobody's own to count, in this incarnation. Only while nobody else
    /// uses it.
    pub(crate) fn restore(self, version: u32, key: &Key<K>, entry: &Entry) {
        self.write(version, key, entry.half(), entry.owner, (entry.last_seen, None));
        self.set_state(entry.state);
        self.carry(entry.packets, entry.bytes);
    }

    /// Leaves the entry free. Only while nobody else uses it.
    pub(crate) fn clear(self, version: u32) {
        let free = u64::from(version) << 32;
        if self.guard().load(Relaxed) != free {
            self.unlock(free);
        }
    }

    /// Replaces stamp, next hop and verdict, and gives the lock back. Locked, by a holder of `guard`.
    pub(crate) fn rewrite(self, guard: u64, half: Half) {
        // Relaxed: the release stores below carry it to whoever sees one of them; see `read`.
        self.guard().store(guard | LOCK | WRITING, Relaxed);
        let target = self.word(K + 2).load(Relaxed);
        self.word(K + 2).store(target & !0xffff_ffff | u64::from(half.next_hop), Release);
        self.word(K + 3).store(half.stamp, Release);
        let sequence = guard.wrapping_add(SEQUENCE) & SEQUENCE_MASK;
        self.unlock(guard & !(SEQUENCE_MASK | VERDICTS) | sequence | u64::from(half.verdict) << VERDICT);
    }

    /// What was decided. Locked, by a holder of `guard`.
    #[inline(always)]
    pub(crate) fn decided(self, guard: u64) -> Half {
        let (target, stamp) = (self.word(K + 2).load(Relaxed), self.word(K + 3).load(Relaxed));
        Half { stamp, next_hop: target as u32, verdict: (guard >> VERDICT) as u8 }
    }

    /// Counts one packet. `now` moves last seen forward only; neither it nor state is stored when both stay. Locked.
    #[inline(always)]
    pub(crate) fn add(self, bytes: u32, now: u32, set: u16) {
        // Release: a reader that still holds an older incarnation's guard must not take these for that one's; see `read`.
        let activity = self.word(K + 1).load(Relaxed);
        let new = |seen: u32| u64::from(seen) << 32 | activity & 0xffff_ffff | u64::from(set) << 16;
        if new(now) != activity {
            let last_seen = (activity >> 32) as u32;
            let later = now.wrapping_sub(last_seen).cast_signed() > 0;
            self.word(K + 1).store(new(if later { now } else { last_seen }), Release);
        }
        self.carry(1, u64::from(bytes));
    }

    /// Adds counts. Locked. (Release: see `add`.)
    pub(crate) fn carry(self, packets: u64, bytes: u64) {
        for (word, more) in [(K + 4, packets), (K + 5, bytes)] {
            self.word(word).store(self.word(word).load(Relaxed).wrapping_add(more), Release);
        }
    }

    /// Sets state bits. Locked.
    pub(crate) fn set_state(self, bits: u16) {
        let activity = self.word(K + 1).load(Relaxed);
        let new = activity | u64::from(bits) << 16;
        if new != activity {
            self.word(K + 1).store(new, Release);
        }
    }

    /// Clears state bits. Locked.
    pub(crate) fn clear_state(self, bits: u16) {
        let activity = self.word(K + 1).load(Relaxed);
        let new = activity & !(u64::from(bits) << 16);
        if new != activity {
            self.word(K + 1).store(new, Release);
        }
    }
}
