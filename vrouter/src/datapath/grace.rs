//! Time to decide flows anew, when a change concerns so many that deciding each on its next packet would let receive rings overflow.
//!
//! A worker that took a newer snapshot keeps the one before for a while. When a full burst comes, that is when packets wait, those whose flow is
//! outdated by the newer snapshot alone still go as it was decided. So what time there is to spare goes into decisions, and no
//! packet waits for those of others. What Sync waits for, that the worker forwards by the newer snapshot and by nothing else, it says once that
//! is over: when few packets ask for a decision, when nothing comes, when the control thread urges, or after six ticks.
//!
//! Changes that go on and on are put in force one after the other: what there was after three ticks takes the place of what was before after six, so
//! that flows have three ticks at least to be decided by it, and are not all outdated at once then.
//!
//! What a newer snapshot cuts is never passed over, nor is what was outdated before, or leads to a port that is another one's by now.

use std::cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flowtable::Standing;

use super::Worker;
use super::lane::Cell;
use super::table::Decided;
use crate::ids::{Context, Place, Tick, VrfId};
use crate::port::BURST;
use crate::tables::{NextHop, Rewrite, Snapshot};

/// Turns without a frame, after which nothing waits that could overflow.
const IDLE: u32 = 16;
/// The frames, or turns, by which it is judged whether many flows are still outdated: then more than one frame in [`FEW`] is of one.
const FRAMES: u32 = 512;
const TURNS: u32 = 64;
const FEW: u32 = 8;
/// Ticks that flows have to be decided by a change, if there are others; a change is in force after twice as many. A tick is a tenth of a second.
const HALF: u32 = 3;

/// A worker's own.
pub(super) struct Grace {
    /// What is in force, as far as packets may still go by it.
    before: Option<Arc<Snapshot>>,
    since: Tick,
    /// What there was [`HALF`] ticks after that: in force next.
    half: Option<Arc<Snapshot>>,
    turns: u32,
    frames: u32,
    /// Frames among them of outdated flows.
    outdated: cell::Cell<u32>,
    /// Turns in a row without a frame.
    empty: u32,
    /// Packets wait behind the burst in hand.
    full: bool,
    /// Frames of outdated flows that were passed over.
    passed: cell::Cell<u32>,
}

/// What frames are judged by: each way is compiled for itself, so that the usual one knows nothing of the other.
pub(super) trait View<'a>: Copy {
    fn snapshot(self) -> &'a Snapshot;

    /// How a packet goes on: its flow stands, or may be overlooked.
    fn goes(self, cell: &Cell, standing: &mut Standing) -> Option<&'a Rewrite>;
}

impl<'a> View<'a> for &'a Snapshot {
    #[inline(always)]
    fn snapshot(self) -> &'a Snapshot {
        self
    }

    #[inline(always)]
    fn goes(self, cell: &Cell, standing: &mut Standing) -> Option<&'a Rewrite> {
        cell.stands(self, standing)
    }
}

impl<'a> View<'a> for (&'a Snapshot, &Overlook<'a>) {
    #[inline(always)]
    fn snapshot(self) -> &'a Snapshot {
        self.0
    }

    #[inline(always)]
    fn goes(self, cell: &Cell, standing: &mut Standing) -> Option<&'a Rewrite> {
        cell.stands(self.0, standing).or_else(|| self.1.passes(cell, self.0, standing))
    }
}

/// What a burst may pass over.
pub(super) struct Overlook<'a> {
    /// The snapshot by which flows must stand.
    before: &'a Snapshot,
    passed: &'a cell::Cell<u32>,
    /// What was found for the place of the packet before, and for some next hops: nearly all packets of a burst ask for the same.
    place: cell::Cell<Option<(u32, VrfId, u64)>>,
    ways: [cell::Cell<Option<Way<'a>>>; WAYS],
}

/// Next hops of which an [`Overlook`] knows what was found.
const WAYS: usize = 4;

/// A next hop as it may be overlooked that its flows are outdated.
#[derive(Clone, Copy)]
struct Way<'a> {
    id: u32,
    row: &'a NextHop,
    /// It is no more: its port must have the same VIF yet.
    gone: bool,
    /// Generation of its last change that is in force.
    last: u64,
}

impl<'a> Overlook<'a> {
    /// How a packet goes on whose flow is outdated: nothing has changed since it was decided but by what is not in force yet. A next hop that is
    /// no more is taken as it was, if its port has the same VIF yet. Of routes that the stripes tell of it is only known when they changed last:
    /// the flow must have been seen to stand when any route of its VRF had last changed by what is in force.
    #[inline(never)]
    pub fn passes(&self, cell: &Cell, snapshot: &'a Snapshot, standing: &Standing) -> Option<&'a Rewrite> {
        let half = standing.half;
        let decided = Decided(half.stamp).generation();
        let way = self.way(half.next_hop, snapshot)?;
        let outdated = decided < way.last.max(self.place(cell)?) || decided > snapshot.generation.0;
        if outdated || way.row.is_cut() || cell.length > way.row.mtu || !cell.is_named(standing) {
            return None;
        }
        let rewrite = way.row.ready().way(cell.sought.hash())?;
        if way.gone {
            let port = |of: &Snapshot| of.ports.get(rewrite.port.index()).filter(|port| port.there)?.vif;
            port(self.before).filter(|vif| port(snapshot) == Some(*vif))?;
        }
        self.passed.set(self.passed.get() + 1);
        Some(rewrite)
    }

    /// When what is in force last changed anything where the packet entered; `None`: it was no such place.
    fn place(&self, cell: &Cell) -> Option<u64> {
        let (context, vrf) = (cell.entrance.context(), cell.entrance.vrf);
        if let Some((known, of, last)) = self.place.get()
            && (known, of) == (context, vrf)
        {
            return Some(last);
        }
        let stamp = self.before.vrfs.row(vrf.index())?.stamp;
        let last = match Place::from(Context(context)) {
            Place::Vif(vif) => {
                let row = self.before.vifs.row(vif.index()).filter(|row| row.vrf == vrf)?;
                row.stamp.max(stamp)
            }
            Place::Tunnel(_) => stamp,
        };
        self.place.set(Some((context, vrf, last.0)));
        Some(last.0)
    }

    /// A next hop that was there.
    fn way(&self, id: u32, snapshot: &'a Snapshot) -> Option<Way<'a>> {
        let known = &self.ways[id as usize % WAYS];
        if let Some(way) = known.get().filter(|way| way.id == id) {
            return Some(way);
        }
        let was = self.before.next_hops.row(id as usize)?;
        let there = snapshot.next_hops.row(id as usize);
        let way = Way { id, row: there.unwrap_or(was), gone: there.is_none(), last: was.last() };
        known.set(Some(way));
        Some(way)
    }
}

impl Grace {
    /// That of a worker which has been idle.
    pub fn new() -> Grace {
        Grace {
            before: None,
            since: Tick(0),
            half: None,
            turns: 0,
            frames: 0,
            outdated: cell::Cell::new(0),
            empty: IDLE,
            full: false,
            passed: cell::Cell::new(0),
        }
    }

    /// A newer snapshot is taken in place of this one. The control thread holds every one that is not in force yet, so that none is freed here.
    pub fn begin(&mut self, before: Arc<Snapshot>, now: Tick) {
        if self.before.is_none() && self.empty < IDLE {
            *self = Grace { before: Some(before), since: now, empty: self.empty, ..Grace::new() };
        }
    }

    /// The generation that is in force, when `current` was taken.
    pub fn in_force(&self, current: &Snapshot) -> u64 {
        self.before.as_ref().map_or(current.generation.0, |before| before.generation.0)
    }

    /// A burst of so many frames has come.
    pub fn receive(&mut self, frames: usize) {
        self.full = frames == BURST;
    }

    /// What the burst in hand may pass over.
    pub fn overlook(&self) -> Option<Overlook<'_>> {
        let before = self.before.as_deref().filter(|_| self.full)?;
        Some(Overlook { before, passed: &self.passed, place: cell::Cell::new(None), ways: Default::default() })
    }

    /// So many frames more were of outdated flows and decided.
    pub fn note(&self, outdated: u32) {
        if self.before.is_some() {
            self.outdated.set(self.outdated.get() + outdated);
        }
    }

    /// How many were passed over since the last call.
    pub fn passed(&self) -> u32 {
        let passed = self.passed.take();
        self.note(passed);
        passed
    }

    /// The end of a turn that moved so many frames, by the `current` snapshot. `urged`: the newest generation that somebody waits for in vain.
    pub fn turn(&mut self, frames: usize, now: Tick, current: &Arc<Snapshot>, urged: impl Fn() -> u64) {
        self.empty = if frames == 0 { self.empty.saturating_add(1) } else { 0 };
        let Some(before) = &self.before else { return };
        self.turns += 1;
        self.frames = self.frames.saturating_add(frames as u32);
        let waited = now.0.wrapping_sub(self.since.0);
        let late = waited >= 2 * HALF || urged() > before.generation.0;
        if self.empty >= IDLE || self.is_calm() {
            (self.before, self.half) = (None, None);
        } else if late {
            self.advance(now, current, urged());
        } else if waited >= HALF && self.half.is_none() {
            self.half = Some(Arc::clone(current));
        }
    }

    /// Something newer is in force: what was current a while ago, if that does for whoever urged and there was another change since; else all of it.
    #[cold]
    fn advance(&mut self, now: Tick, current: &Arc<Snapshot>, urged: u64) {
        let does = |half: &Arc<Snapshot>| urged <= half.generation.0 && half.generation < current.generation;
        self.before = self.half.take().filter(does);
        self.half = self.before.is_some().then(|| Arc::clone(current));
        self.since = Tick(now.0.wrapping_sub(HALF));
    }

    /// Whether few of the last frames were of outdated flows, if there were enough to tell.
    fn is_calm(&mut self) -> bool {
        if self.frames < FRAMES && self.turns < TURNS {
            return false;
        }
        let calm = self.outdated.take() * FEW <= self.frames;
        (self.turns, self.frames) = (0, 0);
        calm
    }
}

impl Worker {
    /// Takes the current snapshot, and says which one is in force. The one before is freed by the control thread, which holds it until a newer
    /// one is in force with every worker.
    pub(super) fn take_snapshot(&mut self) {
        let current = self.shared.snapshot.load();
        if !Arc::ptr_eq(&current, &self.snapshot) {
            let end = &self.shared.workers[self.index.index()];
            self.ports.turn(&self.snapshot, &current, end);
            let before = std::mem::replace(&mut self.snapshot, Arc::clone(&current));
            self.grace.begin(before, self.now);
        }
        drop(current);
        // release: the reference to the older snapshot is gone before the control thread sees the newer generation
        let seen = &self.counters().worker.generation;
        seen.store(self.grace.in_force(&self.snapshot), Ordering::Release);
    }
}
