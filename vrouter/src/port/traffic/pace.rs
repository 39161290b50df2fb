//! When frames are due, and the finite ring of descriptors in which they wait: what finds it full is missed, as by a device.

use std::collections::VecDeque;

/// Frames that wait at most.
pub const DESCRIPTORS: u32 = 1024;

/// A paced stream of frames, numbered as they fall due. Time is in cycles and an argument.
#[derive(Debug)]
pub struct Pace {
    /// Frames a cycle, as parts of 2^64.
    frames_per_cycle: u64,
    /// Cycles a frame, as parts of 2^32.
    cycles_per_frame: u64,
    /// When frame 0 is due: the first look.
    start: Option<u64>,
    /// Frames that fell due, and were kept or missed.
    due: u64,
    /// Kept: runs of numbers, oldest first.
    ring: VecDeque<Run>,
    waiting: u32,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    first: u64,
    count: u32,
}

impl Pace {
    /// `rate` frames a second by a clock of `hertz`; the rate is at least 1 and below the clock's.
    pub fn new(rate: u64, hertz: u64) -> Pace {
        Pace {
            frames_per_cycle: (u128::from(rate) << 64).div_euclid(u128::from(hertz)).try_into().unwrap_or(u64::MAX),
            cycles_per_frame: (u128::from(hertz) << 32).div_euclid(u128::from(rate)).try_into().unwrap_or(u64::MAX),
            start: None,
            due: 0,
            // every run has a frame of its own at least
            ring: VecDeque::with_capacity(DESCRIPTORS as usize),
            waiting: 0,
        }
    }

    /// Lets fall due what is due by `now`, of `most` frames ever. Returns how many found the ring full.
    #[inline]
    pub fn arrive(&mut self, now: u64, most: u64) -> u64 {
        let start = *self.start.get_or_insert(now);
        // one is due at once
        let elapsed = u128::from(now.saturating_sub(start)) * u128::from(self.frames_per_cycle);
        let due = ((elapsed >> 64) as u64 + 1).min(most).max(self.due);
        let came = due - self.due;
        if came == 0 {
            return 0;
        }
        let kept = came.min(u64::from(DESCRIPTORS - self.waiting));
        self.keep(kept as u32);
        self.due = due;
        came - kept
    }

    fn keep(&mut self, count: u32) {
        if count == 0 {
            return;
        }
        self.waiting += count;
        match self.ring.back_mut() {
            Some(run) if run.first + u64::from(run.count) == self.due => run.count += count,
            _ => self.ring.push_back(Run { first: self.due, count }),
        }
    }

    /// Frames in the ring.
    #[inline]
    pub fn waiting(&self) -> usize {
        self.waiting as usize
    }

    /// Takes the oldest frame of the ring: its number, and when it was due.
    #[inline]
    pub fn take(&mut self) -> Option<(u64, u64)> {
        let run = self.ring.front_mut()?;
        let number = run.first;
        (run.first, run.count) = (run.first + 1, run.count - 1);
        if run.count == 0 {
            self.ring.pop_front();
        }
        self.waiting -= 1;
        let after = (u128::from(number) * u128::from(self.cycles_per_frame)) >> 32;
        Some((number, self.start.unwrap_or(0) + after as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERTZ: u64 = 2_596_000_000;
    const EVER: u64 = u64::MAX;

    #[test]
    fn frames_fall_due_at_the_rate() {
        for rate in [1, 7, 1_000, 999_983, 14_880_952, 100_000_000] {
            let (mut pace, mut came, mut missed, mut last) = (Pace::new(rate, HERTZ), 0, 0, 0);
            let polls = 50_000;
            for poll in 0..=polls {
                let now = 77 + HERTZ * poll / polls;
                missed += pace.arrive(now, EVER);
                while let Some((number, time)) = pace.take() {
                    assert!(time <= now && time >= last, "frame {number} is of {time}, it is {now}");
                    (came, last) = (came + 1, time);
                }
            }
            // by the second's end the first one and those of the second
            assert!((rate..=rate + 1).contains(&(came + missed)), "{came} + {missed} of {rate}");
            assert!(missed == 0 || rate / polls > u64::from(DESCRIPTORS));
        }
    }

    #[test]
    fn a_full_ring_misses_the_newest_and_counts_them() {
        let mut pace = Pace::new(HERTZ / 100, HERTZ);
        assert_eq!(pace.arrive(0, EVER), 0);
        assert_eq!(pace.take(), Some((0, 0)));
        assert_eq!(pace.arrive(100 * 3000 + 1, EVER), 3000 - 1024);
        assert_eq!(pace.waiting(), 1024);
        for number in 1..=24 {
            assert_eq!(pace.take().unwrap().0, number);
        }
        assert_eq!(pace.arrive(100 * 3010 + 1, EVER), 0);
        assert_eq!(pace.arrive(100 * 3030 + 1, EVER), 6);
        let left: Vec<u64> = std::iter::from_fn(|| pace.take()).map(|(number, _)| number).collect();
        assert_eq!(left, (25..=1024).chain(3001..=3024).collect::<Vec<_>>());
        assert_eq!(pace.waiting(), 0);
    }

    #[test]
    fn no_more_than_was_asked_for_falls_due() {
        let mut pace = Pace::new(1_000_000, HERTZ);
        pace.arrive(0, 5);
        assert_eq!(pace.arrive(HERTZ, 5), 0);
        assert_eq!(pace.waiting(), 5);
    }

    proptest! {
        #[test]
        fn nothing_vanishes_in_the_ring(polls in prop::collection::vec((0_u64..400_000, 0_usize..64), 1..400)) {
            let mut pace = Pace::new(HERTZ / 150, HERTZ);
            let room = pace.ring.capacity();
            let (mut now, mut missed, mut taken, mut last) = (5, 0, 0, None);
            for (pause, burst) in polls {
                now += pause;
                missed += pace.arrive(now, EVER);
                for (number, time) in std::iter::from_fn(|| pace.take()).take(burst) {
                    prop_assert!(last < Some(number) && time <= now);
                    (last, taken) = (Some(number), taken + 1);
                }
                prop_assert!(pace.waiting() <= DESCRIPTORS as usize);
                prop_assert_eq!(pace.ring.iter().map(|run| run.count).sum::<u32>(), pace.waiting);
                prop_assert_eq!(pace.due, taken + missed + pace.waiting() as u64);
            }
            prop_assert_eq!(pace.ring.capacity(), room);
        }
    }
}
