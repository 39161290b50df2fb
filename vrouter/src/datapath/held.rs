//! Held: later fragments whose heads have not come wait here for them, a while, in the buffers that they came in. So many in all, of one place of
//! entry and of one packet; where there is no room, whoever has the most loses his oldest. A worker's own: a head that another worker saw
//! is found by its note.

use super::finish::Outbox;
use super::fragments::{head_of, identity};
use super::table::{FlowKey, Flows};
use super::turns::LONGER_WAY;
use super::victims::Culprit;
use super::{Fate, Work, Worker};
use crate::drops::DropReason;
use crate::ids::{Tick, VifId};
use crate::port::{BURST, Frame};

/// Frames that wait at a worker.
pub const HELD: usize = 256;
/// Of those, of one VIF or of the tunnels into one VRF; and of one packet, which has 45 of 1,500 bytes at most.
const OF_ONE: u16 = 64;
const OF_PACKET: usize = 48;
/// Ticks that a head is waited for.
const PATIENCE: u32 = 2 * Tick::PER_SECOND;
/// Frames whose notes are looked for in a turn.
const LOOK: usize = 32;

/// The frames that wait. Allocates nothing once made.
pub(super) struct Held {
    waiting: Vec<Waiting>,
    /// Hashes of their identities, beside them: few cache lines.
    hashes: Vec<u32>,
    /// How many, by [`Work::charge`].
    of: Vec<u16>,
    /// Where the next look goes on.
    cursor: usize,
    looked: Tick,
}

struct Waiting {
    frame: Frame,
    identity: FlowKey,
    hash: u64,
    vif: Option<VifId>,
    charge: usize,
    since: Tick,
}

impl Held {
    /// With so many rows of budgets.
    pub fn new(rows: usize) -> Held {
        Held {
            waiting: Vec::with_capacity(HELD),
            hashes: Vec::with_capacity(HELD),
            of: vec![0; rows],
            cursor: 0,
            looked: Tick(0),
        }
    }

    /// Keeps a frame. What is there no room for, this one or another, comes back.
    fn keep(&mut self, waiting: Waiting) -> Option<Waiting> {
        let of_packet = self.hashes.iter().filter(|hash| **hash == waiting.hash as u32).count();
        let own = self.of[waiting.charge];
        if own >= OF_ONE || of_packet >= OF_PACKET {
            return Some(waiting);
        }
        let gone = if self.waiting.len() < HELD { None } else { Some(self.of_most(own)) };
        match gone {
            Some(None) => return Some(waiting),
            Some(Some(at)) => {
                let gone = self.take(at);
                self.add(waiting);
                return Some(gone);
            }
            None => self.add(waiting),
        }
        None
    }

    /// The oldest frame of who has the most, if that is more than so many.
    fn of_most(&self, own: u16) -> Option<usize> {
        let most = self.waiting.iter().map(|waiting| self.of[waiting.charge]).max().filter(|&most| most > own)?;
        let theirs = self.waiting.iter().enumerate().filter(|(_, waiting)| self.of[waiting.charge] == most);
        theirs.min_by_key(|(_, waiting)| waiting.since.0).map(|(at, _)| at)
    }

    fn add(&mut self, waiting: Waiting) {
        self.of[waiting.charge] += 1;
        self.hashes.push(waiting.hash as u32);
        self.waiting.push(waiting);
    }

    fn take(&mut self, at: usize) -> Waiting {
        self.hashes.swap_remove(at);
        let waiting = self.waiting.swap_remove(at);
        self.of[waiting.charge] -= 1;
        waiting
    }

    /// The first frame from `at` on with this identity.
    fn position(&self, at: usize, (identity, hash): &(FlowKey, u64)) -> Option<usize> {
        let mut places = (at..self.hashes.len()).filter(|&at| self.hashes[at] == *hash as u32);
        places.find(|&at| self.waiting[at].identity == *identity)
    }
}

impl Worker {
    /// Makes what waited for the heads of the last burst the next burst. False: there is none.
    pub(super) fn follow_heads(&mut self) -> bool {
        while let Some(head) = self.heads.of.last().copied() {
            let from = self.frames.len();
            while self.frames.len() < BURST
                && let Some(at) = self.held.position(0, &head)
            {
                self.release(at);
            }
            self.turns.spent += LONGER_WAY * (self.frames.len() - from) as u32;
            if self.frames.len() == BURST {
                return true;
            }
            self.heads.of.pop();
        }
        !self.frames.is_empty()
    }

    /// Sends those on whose heads another worker has seen, a few a turn; and drops those that waited too long. Returns how many there were.
    pub(super) fn resume(&mut self) -> usize {
        if self.held.waiting.is_empty() && self.assembly.is_empty() {
            return 0;
        }
        let mut moved = self.give_up();
        for _ in 0..LOOK.min(self.held.waiting.len()) {
            let at = if self.held.cursor < self.held.waiting.len() { self.held.cursor } else { 0 };
            let Waiting { identity, hash, .. } = &self.held.waiting[at];
            if head_of(&self.shared.notes, identity, *hash, self.now).is_some() {
                self.release(at);
                moved += 1;
            } else {
                self.held.cursor = at + 1;
            }
            if self.held.waiting.is_empty() {
                break;
            }
        }
        if !self.frames.is_empty() {
            self.steps(true);
        }
        moved
    }

    /// Once in a tick: whose heads did not come.
    fn give_up(&mut self) -> usize {
        if self.held.looked == self.now {
            return 0;
        }
        self.held.looked = self.now;
        let (mut at, mut dropped) = (0, self.give_up_assembly());
        while at < self.held.waiting.len() {
            if self.now.since(self.held.waiting[at].since) < PATIENCE {
                at += 1;
                continue;
            }
            self.release(at);
            dropped += 1;
            if let Some(work) = self.burst.last_mut() {
                work.fate = Fate::Drop(DropReason::FragmentTimedOut, Culprit::Frame);
            }
            if self.frames.len() == BURST {
                self.finish();
            }
        }
        self.finish();
        dropped
    }

    /// A frame that waited is one of the burst in hand.
    fn release(&mut self, at: usize) {
        let Waiting { frame, vif, .. } = self.held.take(at);
        // its VIF may be gone, and its row another's
        let row = vif.and_then(|vif| self.snapshot.vifs.row(vif.index()));
        let slot = row.map_or(self.counters().no_vif(), |vif| vif.slot);
        self.counters().vif(slot).fragments_released.add(1);
        self.counters().worker.fragments_released.add(1);
        self.frames.push(frame);
        self.burst.push(Work::new(vif, slot));
    }
}

impl Outbox<'_> {
    /// Keeps a later fragment until its head comes.
    pub(super) fn hold(&mut self, frame: Frame, work: &Work) {
        let Some(found) = &work.classified else { return self.drop(work, &frame, DropReason::NoVif, Culprit::Frame) };
        let identity = identity(found);
        let hash = self.flows.hash(&identity);
        let counters = &self.end.counters;
        counters.vif(work.slot).fragments_held.add(1);
        counters.worker.fragments_held.add(1);
        let (vif, charge) = (work.vif, work.charge);
        let waiting = Waiting { frame, identity, hash, vif, charge, since: self.now };
        if let Some(gone) = self.held.keep(waiting) {
            let row = gone.vif.and_then(|vif| self.snapshot.vifs.row(vif.index()));
            let slot = row.map_or(counters.no_vif(), |vif| vif.slot);
            counters.vif(slot).fragments_released.add(1);
            counters.worker.fragments_released.add(1);
            let work = Work::new(gone.vif, slot);
            self.drop(&work, &gone.frame, DropReason::FragmentHoldFull, Culprit::Frame);
        }
    }
}
