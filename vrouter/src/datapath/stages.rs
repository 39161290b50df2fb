//! What a burst takes of its worker, stage by stage, while a trace looks at packets. Copies of what it was received with wait here until the burst has
//! left, so that each is told with all of it. While there is no trace a stage costs a burst a test.

use super::Worker;
use super::capture::Copied;
use super::shared::WorkerEnd;
use crate::port::BURST;
use crate::port::stopwatch::cycles;
use crate::tables::{CAPTURES, Capture, Points, Snapshot};

/// A stage of a burst's way through its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The port's rx.
    Rx,
    /// The lane: what is plain, and its flow.
    LaneLookup,
    /// The lane: whether the flow's decision stands, and all that is written into a packet.
    LaneRewrite,
    Classify,
    Lookup,
    Decide,
    Act,
    /// Queues, the ports' tx, drops, copies for the slow path.
    Finish,
}

impl Stage {
    /// All, in their order.
    pub const ALL: [Stage; 8] = [
        Stage::Rx,
        Stage::LaneLookup,
        Stage::LaneRewrite,
        Stage::Classify,
        Stage::Lookup,
        Stage::Decide,
        Stage::Act,
        Stage::Finish,
    ];

    /// As programs are told of it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Rx => "rx",
            Stage::LaneLookup => "lane_lookup",
            Stage::LaneRewrite => "lane_rewrite",
            Stage::Classify => "classify",
            Stage::Lookup => "lookup",
            Stage::Decide => "decide",
            Stage::Act => "act",
            Stage::Finish => "finish",
        }
    }

    /// Whether it is on the way of a packet that the lane has taken, or else of one that it has left.
    fn is_of(self, slower: bool) -> bool {
        match self {
            Stage::Rx | Stage::LaneLookup | Stage::Finish => true,
            Stage::LaneRewrite => !slower,
            Stage::Classify | Stage::Lookup | Stage::Decide | Stage::Act => slower,
        }
    }
}

/// Cycles of one stage, and the frames that shared them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub cycles: u32,
    pub frames: u16,
}

/// What a burst took, by [`Stage`]; no frames: it was not on this frame's way.
pub type Taken = [Spent; Stage::ALL.len()];

/// One worker's.
pub struct Stages {
    /// A trace looks at the burst in hand.
    on: bool,
    since: u64,
    burst: Taken,
    /// Frames of the burst that have gone on from the lane's lookup, and which of them by the slower steps: by bit.
    at: u32,
    slower: u64,
    waiting: Vec<Waiting>,
}

/// A copy of a frame, or none where there was no room.
struct Waiting {
    /// Whose it is: the capture's number and its ring.
    number: u64,
    ring: usize,
    /// Which of its burst.
    at: u32,
    copied: Option<Copied>,
}

const _: () = assert!(BURST <= u64::BITS as usize, "a bit for each frame");

impl Stages {
    pub(super) fn new() -> Stages {
        let waiting = Vec::with_capacity(BURST * CAPTURES);
        Stages { on: false, since: 0, burst: Taken::default(), at: 0, slower: 0, waiting }
    }

    /// A trace looks at the burst that is to be received.
    #[cold]
    #[inline(never)]
    pub(super) fn begin(&mut self) {
        (self.on, self.burst, self.at, self.slower) = (true, Taken::default(), 0, 0);
        self.since = cycles();
    }

    /// There was none.
    #[inline]
    pub(super) fn none(&mut self) {
        self.on = false;
    }

    #[inline]
    pub(super) fn are_on(&self) -> bool {
        self.on
    }

    /// A stage is over, through which so many frames have gone. Of [`Stage::Finish`], which runs of frames come to one after the other, they are counted
    /// when the whole burst has left.
    #[inline(always)]
    pub(super) fn over(&mut self, stage: Stage, frames: usize) {
        if self.on {
            self.note(stage, frames);
        }
    }

    /// The next frames of the burst go on from the lane's lookup.
    #[inline(always)]
    pub(super) fn pass(&mut self, frames: usize, slower: bool) {
        if self.on {
            self.note_passed(frames, slower);
        }
    }

    #[cold]
    #[inline(never)]
    fn note(&mut self, stage: Stage, frames: usize) {
        let now = cycles();
        let spent = &mut self.burst[stage as usize];
        spent.cycles = spent.cycles.saturating_add(u32::try_from(now.saturating_sub(self.since)).unwrap_or(u32::MAX));
        spent.frames = spent.frames.saturating_add(frames as u16);
        self.since = cycles();
    }

    #[cold]
    #[inline(never)]
    fn note_passed(&mut self, frames: usize, slower: bool) {
        for at in (self.at..BURST as u32).take(frames) {
            self.slower |= u64::from(slower) << at;
        }
        self.at += frames as u32;
    }

    /// A copy of the burst's frame in this place waits for the end of its burst.
    pub(super) fn wait(&mut self, trace: &Capture, at: usize, copied: Option<Copied>) {
        debug_assert!(self.waiting.len() < self.waiting.capacity(), "a trace more than there can be");
        self.waiting.push(Waiting { number: trace.number, ring: trace.ring, at: at as u32, copied });
    }

    /// What was done beside is not the burst's.
    pub(super) fn go_on(&mut self) {
        self.since = cycles();
    }

    /// The burst has left: copies are handed over, to those who look yet: with a newer snapshot a ring may be another capture's.
    fn end(&mut self, snapshot: &Snapshot, end: &WorkerEnd) {
        self.on = false;
        let Stages { burst, slower, waiting, .. } = self;
        let looks = |number: u64| snapshot.captures.at(Points::STAGES).any(|trace| trace.number == number);
        for Waiting { ring, at, copied, .. } in waiting.drain(..).filter(|waiting| looks(waiting.number)) {
            let slower = *slower >> at & 1 == 1;
            let on_its_way = |stage: Stage| if stage.is_of(slower) { burst[stage as usize] } else { Spent::default() };
            let taken = Stage::ALL.map(on_its_way);
            end.captures[ring].hand_over(copied.map(|copied| Copied { taken, ..copied }));
        }
    }
}

impl Worker {
    /// The burst of so many frames leaves before the next is received, so that all that it takes is its own.
    #[cold]
    #[inline(never)]
    pub(super) fn end_stages(&mut self, frames: usize) {
        self.flush();
        self.stages.over(Stage::Finish, frames);
        self.stages.end(&self.snapshot, &self.shared.workers[self.index.index()]);
    }
}
