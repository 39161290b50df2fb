//! Counting without a lock: an entry whose packets one thread counts is that thread's own to count.
//!
//! The guard of an entry names the thread whose packet was the first to be counted by [`Pairs::count`](crate::Pairs::count). That
//! thread counts with plain stores, within a section that it announces; whoever locks the entry waits for the end of a section that it
//! finds begun. So a section costs one fence, however many packets are counted in it. When a second thread counts the entry, it locks it
//! once more than usual, and from then on both count by the lock.
//!
//! Why nobody changes an entry while its own thread counts: the thread stores that its section has begun, fences, and loads the guard; a
//! locker puts LOCK into the guard and then loads whether a section has begun. Both are sequentially consistent: if the thread does not
//! see LOCK, its fence is before the lock in their one order, and the locker sees the section. It then waits for its end, which
//! releases what was counted. A thread waits for nobody within its section, so nobody waits in a circle. (One that loses its core within a
//! section keeps those waiting who want to change its entries; they give their cores away.)

use std::sync::{Arc, Mutex, PoisonError};

use crate::region::Line;
use crate::sync::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, Ordering::SeqCst, fence, wait};

/// Where the guard says whose entry it is.
const SHIFT: u32 = 16;
/// The guard's bits for that: 0 is nobody yet, all of them several threads.
pub(crate) const OWNER: u64 = 0xff << SHIFT;
/// Counters with a number.
const MOST: u8 = if cfg!(loom) { 2 } else { 254 };
/// No entry's owner, and none of the bits that the guard is compared in.
const NOBODY: u64 = 1 << 3;

/// A table's sections, one for each number, and the numbers that are free.
pub(crate) struct Sections {
    lines: Box<[Line]>,
    free: Mutex<Vec<u8>>,
}

impl Sections {
    pub(crate) fn new() -> Arc<Sections> {
        let lines = (0..MOST).map(|_| Line(std::array::from_fn(|_| AtomicU64::new(0)))).collect();
        Arc::new(Sections { lines, free: Mutex::new((1..=MOST).rev().collect()) })
    }

    /// Waits for the end of the section that the entry's own thread has begun, if it has. By the one that has just locked the entry and
    /// found this guard.
    #[inline(always)]
    pub(crate) fn wait_for(&self, guard: u64) {
        let owner = guard & OWNER;
        if owner != 0 && owner != OWNER {
            self.wait_for_number(owner >> SHIFT);
        }
    }

    fn wait_for_number(&self, number: u64) {
        // loom takes operations for less than sequentially consistent, but not fences
        if cfg!(loom) {
            fence(SeqCst);
        }
        let Some(line) = self.lines.get(number as usize - 1) else { return };
        let begun = line.0[0].load(SeqCst);
        let mut turns = 0;
        while begun % 2 == 1 && line.0[0].load(Acquire) == begun {
            wait(&mut turns);
        }
    }
}

/// One thread's right to count without a lock what it alone counts. A table has 254 of them; whoever comes later counts by the lock.
pub struct Counter {
    sections: Arc<Sections>,
    /// 0: none.
    number: u8,
    /// Odd within a section.
    turn: u64,
}

impl Counter {
    pub(crate) fn new(sections: &Arc<Sections>) -> Counter {
        let number = sections.free.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or(0);
        let line = sections.lines.get(usize::from(number).wrapping_sub(1));
        let turn = line.map_or(0, |line| line.0[0].load(Acquire));
        Counter { sections: Arc::clone(sections), number, turn }
    }

    /// Begins a section. Within it this thread may call no other function of the table that changes anything.
    #[inline]
    pub fn section(&mut self) -> Section<'_> {
        let owner = if self.number == 0 { NOBODY } else { u64::from(self.number) << SHIFT };
        let mut section = Section { counter: self, owner };
        section.resume();
        section
    }
}

impl Drop for Counter {
    /// What is this number's stays so for the next one that has it.
    fn drop(&mut self) {
        if self.number != 0 {
            self.sections.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
        }
    }
}

/// While there is one, whoever wants to change an entry that is this thread's own waits. So it should be short: a burst.
pub struct Section<'a> {
    counter: &'a mut Counter,
    owner: u64,
}

impl Section<'_> {
    /// The bits of a guard that say that the entry is this thread's own; what no guard has if the thread has no number.
    #[inline(always)]
    pub(crate) fn owner(&self) -> u64 {
        self.owner
    }

    /// Whose the entry is once this thread has counted one that was that guard's.
    pub(crate) fn after(&self, guard: u64) -> u64 {
        let own = if self.owner == NOBODY { OWNER } else { self.owner };
        let owner = if guard & OWNER == 0 || guard & OWNER == own { own } else { OWNER };
        guard & !OWNER | owner
    }

    /// Whether the entry is another thread's own.
    pub(crate) fn is_foreign(&self, guard: u64) -> bool {
        let owner = guard & OWNER;
        owner != 0 && owner != OWNER && owner != self.owner
    }

    /// Ends the section for a moment, in which this thread may wait for others.
    pub(crate) fn outside<R>(&mut self, what: impl FnOnce(&Sections) -> R) -> R {
        self.pause();
        let done = what(&self.counter.sections);
        self.resume();
        done
    }

    #[inline]
    fn resume(&mut self) {
        if let Some(line) = self.counter.sections.lines.get(usize::from(self.counter.number).wrapping_sub(1)) {
            self.counter.turn += 1;
            line.0[0].store(self.counter.turn, Relaxed);
            fence(SeqCst);
        }
    }

    #[inline]
    fn pause(&mut self) {
        if let Some(line) = self.counter.sections.lines.get(usize::from(self.counter.number).wrapping_sub(1)) {
            self.counter.turn += 1;
            line.0[0].store(self.counter.turn, Release);
        }
    }
}

impl Drop for Section<'_> {
    #[inline]
    fn drop(&mut self) {
        self.pause();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{Config, FlowTable, Half, Narrow, Packet, Region, Standing};

    #[test]
    fn who_comes_when_all_numbers_are_given_out_counts_by_the_lock_until_one_is_free() {
        let config = Config { narrow_pairs: 8, wide_pairs: 0, seed: 3, time_base: 0 };
        let region = Region::heap(config.bytes().expect("possible")).expect("memory");
        let table = FlowTable::create(region, &config).expect("laid out");
        let (pairs, key) = (table.narrow(), Narrow { words: [1, 2], tag: 6 });
        let reverse = Narrow { words: [2, 1], tag: 6 };
        let mut numbered: Vec<Counter> = (0..MOST).map(|_| table.counter()).collect();
        let mut late = table.counter();
        assert_eq!((numbered[0].number, late.number), (1, 0));
        let at = pairs.insert((&key, Half::default()), (&reverse, Half::default()), 0, 0).expect("room").index();
        let packet = Packet { bytes: 60, now: 1, set: 0 };
        let stands = |_: &mut Standing| Some(());
        let guard = || pairs.slot(at).expect("there").guard().load(Relaxed) & OWNER;
        // nobody's, then the numbered one's own; then the late one counts too
        let mut one = numbered[0].section();
        assert_eq!(pairs.try_count(at, &key, packet, &one, stands), None);
        assert_eq!(pairs.count(at, &key, packet, &mut one, stands), Some(()));
        assert_eq!((guard(), pairs.try_count(at, &key, packet, &one, stands)), (1 << SHIFT, Some(Some(()))));
        drop(one);
        drop(numbered.remove(0));
        assert_eq!(pairs.try_count(at, &key, packet, &late.section(), stands), None);
        assert_eq!(pairs.count(at, &key, packet, &mut late.section(), stands), Some(()));
        assert_eq!((guard(), pairs.try_count(at, &key, packet, &late.section(), stands)), (OWNER, Some(Some(()))));
        let (_, entry) = pairs.find(&key, pairs.hash(&key)).expect("there");
        assert_eq!((entry.packets, entry.bytes), (4, 240));
        assert_eq!(table.counter().number, 1, "the number that was given back");
    }
}
