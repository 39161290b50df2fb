//! The last frames that a worker dropped, for people who ask why.
//!
//! One writer (the worker), any readers. A row is a seqlock of atomic words: its version is odd while it is written, and a reader
//! that saw the version change takes nothing.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::drops::DropReason;
use crate::ids::{NextHopId, Tick, VifId, VrfId};

/// Rows that a worker keeps.
pub const ROWS: usize = 64;
/// Bytes of the frame that a row keeps.
pub const HEAD: usize = 96;
const WORDS: usize = 4 + HEAD / 8;

/// A dropped frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    pub reason: DropReason,
    pub when: Tick,
    /// Where it entered.
    pub vif: Option<VifId>,
    /// What its tunnel is for, if it came by one.
    pub tunnel: Option<VrfId>,
    pub culprit: Culprit,
    /// Bytes of the frame.
    pub length: u16,
    /// Its first bytes.
    pub head: Vec<u8>,
}

/// The object that decided a drop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Culprit {
    /// The frame itself.
    #[default]
    Frame,
    /// A VIF's ACL; the rule's index, or the end.
    AclFromVif(VifId, Option<u16>),
    AclToVif(VifId, Option<u16>),
    AclVrf(VrfId, Option<u16>),
    NextHop(NextHopId),
    /// The VRF has no route.
    Vrf(VrfId),
}

/// A worker's rows.
pub struct Victims {
    rows: Box<[Row]>,
    next: AtomicU64,
    /// The owning worker's clock.
    now: AtomicU32,
    /// When the last one on its way out was remembered, and its reason.
    left: AtomicU64,
}

struct Row([AtomicU64; WORDS]);

impl Default for Victims {
    fn default() -> Self {
        let row = || Row([const { AtomicU64::new(0) }; WORDS]);
        Victims {
            rows: (0..ROWS).map(|_| row()).collect(),
            next: AtomicU64::new(0),
            now: AtomicU32::new(0),
            left: AtomicU64::new(u64::MAX),
        }
    }
}

impl Victims {
    /// Remembers a dropped frame: the VIF where it entered, and the VRF that its tunnel is for. The owning worker only.
    pub fn remember(
        &self,
        reason: DropReason,
        when: Tick,
        from: (Option<VifId>, Option<VrfId>),
        culprit: Culprit,
        frame: &[u8],
    ) {
        let turn = self.next.load(Ordering::Relaxed);
        let words = &self.rows[turn as usize % ROWS].0;
        // Odd first, and the release fence keeps the stores below behind it: a reader that sees any of them sees the odd version
        // when it looks again.
        words[0].store(turn * 2 + 1, Ordering::Relaxed);
        std::sync::atomic::fence(Ordering::Release);
        let vif = from.0.map_or(u32::MAX, |vif| vif.0);
        let tunnel = from.1.map_or(u32::MAX, |vrf| vrf.0);
        words[1].store(u64::from(when.0) << 32 | u64::from(vif), Ordering::Relaxed);
        words[2]
            .store((reason as u64) << 56 | u64::from(tunnel) << 16 | frame.len() as u64 & 0xffff, Ordering::Relaxed);
        words[3].store(culprit.to_word(), Ordering::Relaxed);
        for (word, chunk) in words[4..].iter().zip(frame.chunks(8)) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
        words[0].store(turn * 2 + 2, Ordering::Release);
        self.next.store(turn + 1, Ordering::Relaxed);
    }

    /// What time it is for [`Victims::remember_leaving`]. The owning worker only.
    pub fn set_time(&self, now: Tick) {
        self.now.store(now.0, Ordering::Relaxed);
    }

    /// The same of a frame that was on its way out; `entered` says by which VIF it came. Of those of a tick and reason the first alone, so that a
    /// port that takes nothing any more does not fill all rows. The owning worker only.
    pub fn remember_leaving(&self, reason: DropReason, entered: impl FnOnce() -> Option<VifId>, frame: &[u8]) {
        let now = self.now.load(Ordering::Relaxed);
        let this = u64::from(now) << 8 | reason as u64;
        if self.left.load(Ordering::Relaxed) != this {
            self.left.store(this, Ordering::Relaxed);
            self.remember(reason, Tick(now), (entered(), None), Culprit::Frame, frame);
        }
    }

    /// The rows, newest first; any thread. A row that is being written is left out.
    pub fn read(&self) -> Vec<Victim> {
        let mut rows: Vec<(u64, Victim)> = self.rows.iter().filter_map(Row::read).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.0));
        rows.into_iter().map(|row| row.1).collect()
    }
}

impl Row {
    fn read(&self) -> Option<(u64, Victim)> {
        let version = self.0[0].load(Ordering::Acquire);
        let words: [u64; WORDS] = std::array::from_fn(|i| self.0[i].load(Ordering::Relaxed));
        // pairs with the writer's release fence: words of a newer turn come with its odd version
        std::sync::atomic::fence(Ordering::Acquire);
        if version == 0 || version % 2 == 1 || self.0[0].load(Ordering::Relaxed) != version {
            return None;
        }
        let length = words[2] as u16;
        let head = words[4..].iter().flat_map(|word| word.to_le_bytes()).take(usize::from(length)).collect();
        let (vif, tunnel) = (words[1] as u32, (words[2] >> 16) as u32);
        let victim = Victim {
            reason: DropReason::numbered((words[2] >> 56) as u8)?,
            when: Tick((words[1] >> 32) as u32),
            vif: (vif != u32::MAX).then_some(VifId(vif)),
            tunnel: (tunnel != u32::MAX).then_some(VrfId(tunnel)),
            culprit: Culprit::from_word(words[3]),
            length,
            head,
        };
        Some((version, victim))
    }
}

impl Culprit {
    /// kind (8 bits) | rule + 1, 0 for the end (24 bits) | number (32 bits)
    fn to_word(self) -> u64 {
        let word = |kind: u64, number: u32, rule: Option<u16>| {
            kind << 56 | rule.map_or(0, |rule| u64::from(rule) + 1) << 32 | u64::from(number)
        };
        match self {
            Culprit::Frame => 0,
            Culprit::AclFromVif(vif, rule) => word(1, vif.0, rule),
            Culprit::AclToVif(vif, rule) => word(2, vif.0, rule),
            Culprit::AclVrf(vrf, rule) => word(3, vrf.0, rule),
            Culprit::NextHop(next_hop) => word(4, next_hop.0, None),
            Culprit::Vrf(vrf) => word(5, vrf.0, None),
        }
    }

    fn from_word(word: u64) -> Culprit {
        let number = word as u32;
        let rule = ((word >> 32 & 0xff_ffff) as u32).checked_sub(1).map(|rule| rule as u16);
        match word >> 56 {
            1 => Culprit::AclFromVif(VifId(number), rule),
            2 => Culprit::AclToVif(VifId(number), rule),
            3 => Culprit::AclVrf(VrfId(number), rule),
            4 => Culprit::NextHop(NextHopId(number)),
            5 => Culprit::Vrf(VrfId(number)),
            _ => Culprit::Frame,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rows_are_kept_newest_first() {
        let victims = Victims::default();
        assert!(victims.read().is_empty());
        for i in 0..ROWS as u32 + 10 {
            let culprit = Culprit::AclToVif(VifId(i), (i % 2 == 0).then_some(i as u16));
            victims.remember(
                DropReason::AclToVif,
                Tick(i),
                (Some(VifId(i)), (i % 3 == 0).then_some(VrfId(i + 1))),
                culprit,
                &vec![i as u8; i as usize + 60],
            );
        }
        let rows = victims.read();
        assert_eq!(rows.len(), ROWS);
        let newest = ROWS as u32 + 9;
        assert_eq!(rows[0].when, Tick(newest));
        assert_eq!(rows[0].vif, Some(VifId(newest)));
        let tunnels: Vec<_> = rows[..3].iter().map(|row| row.tunnel).collect();
        let expected = [newest, newest - 1, newest - 2].map(|i| (i % 3 == 0).then_some(VrfId(i + 1)));
        assert_eq!(tunnels, expected);
        assert_eq!(rows[0].culprit, Culprit::AclToVif(VifId(newest), None));
        assert_eq!(rows[1].culprit, Culprit::AclToVif(VifId(newest - 1), Some(newest as u16 - 1)));
        assert_eq!((rows[0].length, rows[0].head.len()), (newest as u16 + 60, HEAD));
        assert_eq!(rows[ROWS - 1].when, Tick(10));
    }

    #[test]
    fn of_those_on_their_way_out_one_a_tick_and_reason_is_kept() {
        let victims = Victims::default();
        for tick in 0..3 {
            victims.set_time(Tick(tick));
            for vif in 0..5 {
                victims.remember_leaving(DropReason::TxRefused, || Some(VifId(vif)), &[1; 60]);
            }
        }
        victims.remember_leaving(DropReason::NextHopGone, || None, &[2; 60]);
        let rows: Vec<_> = victims.read().iter().map(|row| (row.reason, row.when.0, row.vif)).collect();
        let refused = |tick| (DropReason::TxRefused, tick, Some(VifId(0)));
        assert_eq!(rows, [(DropReason::NextHopGone, 2, None), refused(2), refused(1), refused(0)]);
    }

    #[test]
    fn a_reader_beside_the_writer_sees_whole_rows() {
        let victims = Victims::default();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for i in 0..200_000_u32 {
                    let vif = VifId(i % 251);
                    victims.remember(
                        DropReason::NoRoute,
                        Tick(i % 251),
                        (Some(vif), None),
                        Culprit::Frame,
                        &[(i % 251) as u8; HEAD],
                    );
                }
            });
            while !writer.is_finished() {
                for row in victims.read() {
                    assert!(row.head.iter().all(|&byte| u32::from(byte) == row.when.0));
                    assert_eq!(row.vif, Some(VifId(row.when.0)));
                }
            }
        });
    }
}
