//! When a source's ring was found full, so that what was missed can be told from what else there was at that time.

use super::counts::Number;

/// The last ones that are kept.
pub const KEPT: usize = 4096;
/// What begins within so many cycles, some half a millisecond, of the one before is one with it.
const TOGETHER: u64 = 1 << 20;

/// A time in which frames found the ring full, in cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow {
    pub first: u64,
    pub last: u64,
    pub frames: u64,
}

/// One end's. Written by its worker alone; a row that is being written may be read in parts.
pub struct Overflows {
    /// All that there were: the last [`KEPT`] have rows.
    count: Number,
    rows: Box<[Row]>,
}

#[derive(Default)]
struct Row {
    first: Number,
    last: Number,
    frames: Number,
}

impl Default for Overflows {
    fn default() -> Overflows {
        Overflows { count: Number::default(), rows: (0..KEPT).map(|_| Row::default()).collect() }
    }
}

impl Overflows {
    /// So many frames found the ring full; the owning thread only.
    pub fn add(&self, now: u64, frames: u64) {
        let count = self.count.now();
        let last = count.checked_sub(1).map(|last| &self.rows[last as usize % KEPT]);
        if let Some(row) = last.filter(|row| now.saturating_sub(row.last.now()) <= TOGETHER) {
            row.last.set(now);
            row.frames.add(frames);
            return;
        }
        let row = &self.rows[count as usize % KEPT];
        row.first.set(now);
        row.last.set(now);
        row.frames.set(frames);
        self.count.set(count + 1);
    }

    /// The last ones, oldest first. Any thread.
    pub fn kept(&self) -> Vec<Overflow> {
        let count = self.count.now();
        let row = |at: u64| {
            let Row { first, last, frames } = &self.rows[at as usize % KEPT];
            Overflow { first: first.now(), last: last.now(), frames: frames.now() }
        };
        (count.saturating_sub(KEPT as u64)..count).map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_close_together_is_one_and_the_last_are_kept() {
        let overflows = Overflows::default();
        assert_eq!(overflows.kept(), []);
        overflows.add(100, 3);
        overflows.add(100 + TOGETHER, 4);
        overflows.add(100 + 2 * TOGETHER, 1);
        overflows.add(101 + 3 * TOGETHER, 2);
        let long = Overflow { first: 100, last: 100 + 2 * TOGETHER, frames: 8 };
        let next = Overflow { first: 101 + 3 * TOGETHER, last: 101 + 3 * TOGETHER, frames: 2 };
        assert_eq!(overflows.kept(), [long, next]);
        (0..KEPT as u64 - 1).for_each(|at| overflows.add((at + 10) * 2 * TOGETHER, at));
        let kept = overflows.kept();
        assert_eq!((kept.len(), kept[0], kept[KEPT - 1].frames), (KEPT, next, KEPT as u64 - 2));
    }
}
