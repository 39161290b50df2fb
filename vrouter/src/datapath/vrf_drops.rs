//! Drops of what came out of tunnels, by the VRF that it was for. Frames of a tenant's VIF are all of its VRF, and need no counting here.
//!
//! One writer (the worker), any readers. A row is its owner's until the VRF is no more; a reader that saw its version change takes nothing.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::counters::Counter;
use crate::drops::DropReason;
use crate::ids::{VifId, VrfId};

/// Rows of a worker: of fabric VIFs, VRFs and reasons together.
const ROWS: usize = 4096;
/// Rows that one of them may have.
const BUCKET: usize = 8;

/// One worker's.
pub struct VrfDrops(Box<[Row]>);

/// What a row counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Of {
    /// Where the frames entered: a fabric VIF.
    pub vif: VifId,
    pub vrf: VrfId,
    pub reason: DropReason,
}

#[derive(Default)]
struct Row {
    /// Odd while it is written; 0: nobody's yet.
    version: AtomicU64,
    places: AtomicU64,
    reason: AtomicU64,
    frames: Counter,
}

impl Default for VrfDrops {
    fn default() -> VrfDrops {
        VrfDrops((0..ROWS).map(|_| Row::default()).collect())
    }
}

impl VrfDrops {
    /// Counts a frame; the owning worker only. What finds no row is in the counters of its VIF alone. `is_there`: whether a VRF is one yet.
    pub fn add(&self, of: Of, is_there: impl Fn(VrfId) -> bool) {
        let words = of.words();
        let mixed = (words.0 ^ words.1.rotate_left(48)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bucket = (mixed >> 32) as usize % (ROWS / BUCKET) * BUCKET;
        let rows = &self.0[bucket..bucket + BUCKET];
        if let Some(row) = rows.iter().find(|row| row.is_taken() && row.words() == words) {
            return row.frames.add(1);
        }
        let is_left = |row: &&Row| !row.is_taken() || !is_there(VrfId(row.words().0 as u32));
        if let Some(row) = rows.iter().find(is_left) {
            row.begin(words);
        }
    }

    /// What was counted so far; any thread. A row that is being written is left out.
    pub fn read(&self) -> impl Iterator<Item = (Of, u64)> + '_ {
        self.0.iter().filter_map(Row::read)
    }
}

impl Row {
    fn is_taken(&self) -> bool {
        self.version.load(Ordering::Relaxed) != 0
    }

    fn words(&self) -> (u64, u64) {
        (self.places.load(Ordering::Relaxed), self.reason.load(Ordering::Relaxed))
    }

    /// It is somebody else's from now on, who has one frame.
    fn begin(&self, (places, reason): (u64, u64)) {
        let version = self.version.load(Ordering::Relaxed);
        // odd first, and the fence keeps the stores below behind it: a reader that sees any of them sees the odd version when it looks again
        self.version.store(version + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.places.store(places, Ordering::Relaxed);
        self.reason.store(reason, Ordering::Relaxed);
        self.frames.set(1);
        self.version.store(version + 2, Ordering::Release);
    }

    fn read(&self) -> Option<(Of, u64)> {
        let version = self.version.load(Ordering::Acquire);
        let (words, frames) = (self.words(), self.frames.count());
        // pairs with the writer's fence: words of another owner come with its odd version
        fence(Ordering::Acquire);
        if version == 0 || version % 2 == 1 || self.version.load(Ordering::Relaxed) != version {
            return None;
        }
        Some((Of::from_words(words)?, frames))
    }
}

impl Of {
    /// vif (32 bits) | vrf (32 bits), and the reason.
    fn words(self) -> (u64, u64) {
        (u64::from(self.vif.0) << 32 | u64::from(self.vrf.0), self.reason as u64)
    }

    fn from_words((places, reason): (u64, u64)) -> Option<Of> {
        let (vif, vrf) = (VifId((places >> 32) as u32), VrfId(places as u32));
        Some(Of { vif, vrf, reason: DropReason::numbered(reason as u8)? })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;

    fn of(vif: u32, vrf: u32, reason: usize) -> Of {
        Of { vif: VifId(vif), vrf: VrfId(vrf), reason: DropReason::ALL[reason] }
    }

    #[test]
    fn each_vif_vrf_and_reason_counts_for_itself() {
        let drops = VrfDrops::default();
        let mut expected = BTreeMap::new();
        for at in 0..3000_u32 {
            let of = of(at % 2, at % 99, at as usize % 5);
            drops.add(of, |_| true);
            *expected.entry(of.words()).or_insert(0) += 1;
        }
        let counted: BTreeMap<_, _> = drops.read().map(|(of, frames)| (of.words(), frames)).collect();
        assert_eq!(counted, expected);
    }

    #[test]
    fn rows_of_vrfs_that_are_no_more_become_others() {
        let drops = VrfDrops::default();
        (0..40_000).for_each(|vrf| drops.add(of(0, vrf, 1), |_| true));
        assert_eq!(drops.read().count(), ROWS);
        // while they are there nobody takes theirs
        (50_000..90_000).for_each(|vrf| drops.add(of(0, vrf, 1), |_| true));
        assert!(drops.read().all(|(of, frames)| of.vrf.0 < 40_000 && frames == 1));
        (50_000..90_000).for_each(|vrf| drops.add(of(0, vrf, 1), |vrf| vrf.0 >= 50_000));
        assert!(drops.read().all(|(of, frames)| of.vrf.0 >= 50_000 && frames == 1));
        assert_eq!(drops.read().count(), ROWS);
    }

    #[test]
    fn a_reader_beside_never_sees_ones_frames_as_anothers() {
        let bucket = |of: Of| {
            let alone = VrfDrops::default();
            alone.add(of, |_| true);
            alone.0.iter().position(Row::is_taken).unwrap() / BUCKET
        };
        // two VRFs that take turns in one row: while one is there the other is not
        let first = of(0, 0, 0);
        let second = (0..).map(|vif| of(vif, 1, 0)).find(|it| bucket(*it) == bucket(first)).unwrap();
        let drops = Arc::new(VrfDrops::default());
        let writer = std::thread::spawn({
            let drops = drops.clone();
            move || {
                for turn in 0..20_000 {
                    let (of, most) = if turn % 2 == 0 { (first, 3) } else { (second, 7) };
                    (0..most).for_each(|_| drops.add(of, |vrf| vrf == of.vrf));
                }
            }
        });
        while !writer.is_finished() {
            for (of, frames) in drops.read() {
                let most = if of == first { 3 } else { 7 };
                assert!((of == first || of == second) && (1..=most).contains(&frames), "{of:?} {frames}");
            }
        }
        writer.join().unwrap();
        assert_eq!(drops.read().collect::<Vec<_>>(), [(second, 7)]);
    }
}
