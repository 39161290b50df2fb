//! The path of a packet. Start at [`Worker::run`]: plain packets go by the [`lane`], all others by [`Worker::forward`], every step in order.
//!
//! Nothing here allocates once made, logs, locks, formats or makes a system call. `now` is an argument. The decision is data
//! ([`Fate`]): computed by [`classify`], [`flows`] and [`decide`], applied by [`act`], carried out by `finish`.

pub mod act;
mod assemble;
pub mod assembly;
mod branches;
pub mod bridge;
pub mod capture;
pub mod classify;
pub mod counters;
pub mod decide;
mod exception;
mod finish;
pub mod flood;
pub mod flows;
mod foresee;
pub mod fragments;
mod gate;
mod grace;
mod headers;
pub mod held;
mod inject;
mod lane;
pub mod lifetime;
pub mod mover;
pub mod mss;
pub mod named;
pub mod packet_mode;
pub mod ports;
pub mod punt;
pub mod quota;
pub mod redirect;
mod revalidate;
mod room;
pub mod route_hits;
mod segment;
mod shadow;
pub mod shared;
pub mod sight;
pub mod split;
pub mod stages;
pub mod table;
mod tally;
mod turns;
pub mod victims;
pub mod vrf_drops;
mod work;

use std::sync::Arc;

use flowtable::Counter;

use crate::drops::DropReason;
use crate::ids::{Context, NextHopId, Place, PortIndex, Tick, VifId, WorkerIndex};
use crate::port::{BURST, Frame, Port};
use crate::tables::{Points, Rewrite, Snapshot, VifKind};
use assembly::Assembly;
use classify::vif_of;
use counters::Counters;
use finish::Outbox;
use flood::Flood;
use flows::{Lookup, lookup, prepare};
use fragments::Heads;
use gate::Gate;
use grace::Grace;
use held::Held;
use lane::Lane;
use ports::Ports;
use punt::{Budget, TunnelSource, Why};
use quota::{Purse, TUNNEL_ROWS};
use room::Eviction;
use segment::Onward;
pub use shared::Shared;
use stages::{Stage, Stages};
use turns::{COPY, DECISION, LONGER_WAY, Turns};
use victims::Culprit;
pub use work::Work;

/// One pinned thread's share of the datapath.
pub struct Worker {
    index: WorkerIndex,
    shared: Arc<Shared>,
    snapshot: Arc<Snapshot>,
    grace: Grace,
    ports: Ports,
    turns: Turns,
    /// A burst as it was received, of which the lane takes what is plain.
    received: Vec<Frame>,
    /// Takes turns with it where frames are told apart by tags.
    mixed: Vec<Frame>,
    /// Their senders left something undone in some of them, which the lane does not ask.
    undone: bool,
    lane: Lane,
    counter: Counter,
    /// What the lane does not take, and what is known of it.
    frames: Vec<Frame>,
    burst: Vec<Work>,
    /// By [`Work::charge`]: what tenants resolve addresses by, everything else that goes to the slow path, new flows, frames to everybody.
    neighbour_budgets: Vec<Budget>,
    budgets: Vec<Budget>,
    flow_budgets: Vec<Budget>,
    flood_budgets: Vec<Budget>,
    told: sight::Told,
    /// Later fragments that wait for their heads, and the heads of the burst in hand.
    held: Held,
    assembly: Assembly,
    heads: Heads,
    /// Of frames between fabric ports and the host's kernel, by the port that they leave by.
    exception_budgets: Vec<Budget>,
    now: Tick,
    eviction: Eviction,
    age_cursors: (u32, u32),
    age_debt: u32,
    /// What a burst takes, while a trace looks.
    stages: Stages,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Not decided yet.
    Pending,
    /// Decided: to this next hop.
    Forward(NextHopId),
    /// Rewritten, but for what this next hop puts before it: in pieces.
    Split(NextHopId),
    /// A large TCP segment, rewritten but for what is put before it: in ones that fit.
    Segment(Onward),
    /// Rewritten: out of this port.
    Send(PortIndex),
    Drop(DropReason, Culprit),
    /// Dropped, and the slow path gets a copy to tell the sender.
    DropAndTell(DropReason, Culprit, Why),
    /// To the slow path: the packet that was classified.
    Punt(Why),
    /// To the slow path: a frame of which only this much was read (where its copy and its L3 packet begin).
    PuntUnread {
        place: Place,
        why: Why,
        tunnel: Option<TunnelSource>,
        from: u16,
        l3: u16,
    },
    /// A piece of a tunnel's outer packet, whose L3 packet begins there; unless it is for the host's kernel by a port.
    Assemble {
        l3: u16,
        unless: Option<PortIndex>,
    },
    /// A later fragment, whose head has not come.
    Hold,
    /// Bridged without a flow: by this next hop, where the frame begins in the received one, and its bytes behind the Ethernet header.
    Carry {
        place: Place,
        next_hop: NextHopId,
        from: u16,
        length: u16,
        tunnel: Option<TunnelSource>,
    },
    /// To everybody in its bridge.
    Flood(Flood),
    /// As it is out of this port, to the host's kernel or from it; the slow path may learn from a copy.
    Except {
        port: PortIndex,
        learn: Option<Why>,
    },
}

impl Worker {
    /// A worker with its ends of the ports, by [`PortIndex`]; `None` where it has no queue. Others come and go by [`ports`].
    pub fn new(index: WorkerIndex, shared: Arc<Shared>, ports: Vec<Option<Box<dyn Port>>>) -> Worker {
        let snapshot = shared.snapshot.load_full();
        let budgets = vec![Budget::default(); shared.vif_slots + 1 + TUNNEL_ROWS];
        // workers begin their scans of the flow table in different places
        let count = shared.workers.len().max(1) as u32;
        let start = |capacity: u32| capacity / count * u32::from(index.0);
        Worker {
            index,
            ports: Ports::new(ports, snapshot.ports.len()),
            exception_budgets: vec![Budget::default(); snapshot.ports.len()],
            turns: Turns::new(snapshot.ports.len()),
            snapshot,
            grace: Grace::new(),
            received: Vec::with_capacity(BURST),
            mixed: Vec::with_capacity(BURST),
            undone: false,
            lane: Lane::new(),
            counter: shared.flows.counter(),
            frames: Vec::with_capacity(BURST),
            burst: Vec::with_capacity(BURST),
            flow_budgets: budgets.clone(),
            flood_budgets: budgets.clone(),
            told: sight::Told::new(budgets.len()),
            held: Held::new(budgets.len()),
            assembly: Assembly::new(),
            heads: Heads::new(),
            neighbour_budgets: budgets.clone(),
            budgets,
            now: Tick(0),
            eviction: Eviction::from(start(shared.flows.narrow().capacity())),
            age_cursors: (start(shared.flows.narrow().capacity()), start(shared.flows.wide().capacity())),
            age_debt: 0,
            stages: Stages::new(),
            shared,
        }
    }

    /// Its end of a port, if it has one. When its thread has ended.
    pub fn take_end(&mut self, port: PortIndex) -> Option<Box<dyn Port>> {
        self.ports.ends.get_mut(port.index()).and_then(Option::take)
    }

    /// Called once by the thread that is to poll, before: the first reading of the snapshot's pointer allocates the thread's own slot.
    pub fn settle(&mut self) {
        self.take_snapshot();
    }

    /// Moves what is there: one burst from each port whose [`turns`] it is, what the slow path sends, a step of ageing. Returns the frames moved. In debug
    /// builds an allocation in here ends the process.
    pub fn poll(&mut self, now: Tick) -> usize {
        if cfg!(debug_assertions) { flowtable::without_allocation(|| self.turn(now)) } else { self.turn(now) }
    }

    fn turn(&mut self, now: Tick) -> usize {
        self.take_snapshot();
        self.owe_ageing(now);
        let mut moved = self.receive_all();
        if self.turns.pay(moved > 0) {
            moved = self.receive_all();
        }
        moved += self.inject();
        moved += self.resume();
        self.flush();
        self.age();
        let Worker { grace, shared, now, snapshot, .. } = self;
        grace.turn(moved, *now, snapshot, || shared.urged.load(std::sync::atomic::Ordering::Relaxed));
        let counters = &self.counters().worker;
        counters.polls.add(1);
        counters.busy_polls.add(u64::from(moved > 0));
        moved
    }

    fn receive(&mut self, port: usize) -> usize {
        let Some(device) = &mut self.ports.ends[port] else { return 0 };
        if self.snapshot.captures.at.have(Points::STAGES) {
            self.stages.begin();
        }
        let report = device.rx(&mut self.received);
        let received = report.frames + report.multi_segment;
        if received == 0 {
            self.stages.none();
            return report.handed_over;
        }
        let counters = self.counters();
        counters.worker.received.add(received as u64);
        if report.multi_segment > 0 {
            let slot = vif_of(&self.snapshot, port).map_or(counters.no_vif(), |vif| vif.slot);
            counters.vif(slot).rx_packets.add(report.multi_segment as u64);
            counters.drop(slot, DropReason::MultiSegment, report.multi_segment as u64);
        }
        self.turns.spent = 0;
        self.undone = report.undone;
        self.grace.receive(report.frames);
        if self.snapshot.captures.at.have(Points::RX) {
            self.capture_received(port);
        }
        if self.snapshot.branches.are_on(port) {
            self.receive_tagged(port);
        } else {
            self.enter(port, vif_of(&self.snapshot, port).map(|vif| vif.id));
        }
        if self.stages.are_on() {
            self.end_stages(report.frames);
        }
        self.charge(port);
        received + report.handed_over
    }

    /// The path of frames that entered a port by one VIF, or by none.
    fn enter(&mut self, port: usize, vif: Option<VifId>) {
        let row = vif.and_then(|vif| self.snapshot.vifs.row(vif.index()));
        let slot = row.map_or(self.counters().no_vif(), |vif| vif.slot);
        let bytes = self.received.iter().map(|frame| frame.len() as u64).sum();
        let counters = self.counters();
        counters.vif(slot).rx_packets.add(self.received.len() as u64);
        counters.vif(slot).rx_bytes.add(bytes);
        if let Some(vif) = vif {
            return self.run(vif, slot);
        }
        self.set_aside(self.received.len(), None, slot);
        if exception::from_kernel(&self.snapshot, port, &mut self.frames, &mut self.burst) {
            self.finish();
        } else {
            self.forward();
        }
    }

    /// The path of a burst: plain packets by the lane, others by the slower steps, in the order in which they came.
    fn run(&mut self, vif: VifId, slot: usize) {
        while !self.received.is_empty() {
            let Worker { snapshot, received, lane, shared, undone, index, stages, .. } = self;
            let hits = &shared.workers[index.index()].route_hits;
            let (generation, frames) = (snapshot.generation, received.len());
            let row = snapshot.vifs.row(vif.index());
            let mut gate = row.filter(|_| !*undone).map_or(Gate::Closed, |vif| Gate::of(snapshot, vif));
            lane.see(snapshot, &mut gate, (&shared.flows, hits), received);
            stages.over(Stage::LaneLookup, frames);
            // frames that the slower steps are given at least: more each time that the lane takes none
            let (mut at, mut least) = (0, 1);
            // a newer snapshot: the rest is looked at again
            while at < frames && self.snapshot.generation == generation {
                let taken = self.plain(at, slot);
                self.stages.over(Stage::Finish, 0);
                at += taken;
                least = if taken > 0 { 1 } else { 2 * least };
                if at < frames {
                    let others = self.lane.others(at, frames).max(least).min(frames - at);
                    self.set_aside(others, Some(vif), slot);
                    self.forward();
                    at += others;
                }
            }
        }
    }

    /// Forwards the plain packets at the front of what was received, the first of which the lane has at `at`. Returns how many.
    fn plain(&mut self, at: usize, slot: usize) -> usize {
        let Worker { snapshot, grace, received, lane, shared, counter, ports, now, index, stages, .. } = self;
        let end = &shared.workers[index.index()];
        let counters = &end.counters;
        let mut rewrites = [&Rewrite::NOTHING; BURST];
        let overlook = grace.overlook();
        let (taken, port) =
            lane.go((snapshot, overlook.as_ref()), (&shared.flows, counter), *now, at, received, &mut rewrites);
        if overlook.is_some() {
            counters.worker.overlooked.add(grace.passed().into());
        }
        counters.worker.flow_hits.add(lane.hits(at, taken) as u64);
        stages.over(Stage::LaneRewrite, taken);
        stages.pass(taken, false);
        let mut left = &rewrites[..taken];
        // the usual case: all of it goes one way, in the vector that it is in
        if let Some(port) = port
            && taken == received.len()
            && ports.send_all(port, received, slot, snapshot, end)
        {
            return taken;
        }
        while let Some(port) = left.first().map(|first| first.port) {
            let run = left.iter().take_while(|next| next.port == port).count();
            ports.send(port, &mut received.drain(..run), slot, snapshot, end);
            left = &left[run..];
        }
        taken
    }

    /// Gives so many frames of what was received to the slower steps.
    fn set_aside(&mut self, frames: usize, vif: Option<VifId>, slot: usize) {
        // what is in a tunnel is not what an underlay's sender left undone
        if vif.and_then(|vif| self.snapshot.vifs.row(vif.index())).is_none_or(|vif| vif.kind == VifKind::Fabric) {
            self.received[..frames]
                .iter_mut()
                .filter(|frame| frame.undone.is_any())
                .for_each(|frame| _ = frame.finish());
        }
        self.stages.pass(frames, true);
        self.frames.extend(self.received.drain(..frames));
        self.burst.extend(std::iter::repeat_n(Work::new(vif, slot), frames));
        self.turns.spent += LONGER_WAY * frames as u32;
    }

    /// The path of packets that are not plain. What the slow path sends joins it at `act` ([`Worker::inject`]), frames of the host's kernel
    /// at `finish` ([`exception`]).
    fn forward(&mut self) {
        self.steps(false);
        // what waited for a head of this burst goes behind it, and so does what the burst made whole
        loop {
            if self.follow_heads() {
                self.steps(true);
            } else if self.take_whole() {
                self.steps(false);
            } else {
                return;
            }
        }
    }

    /// `again`: they went this far before, and waited.
    fn steps(&mut self, again: bool) {
        for first in [true, false] {
            let Worker { snapshot, frames, burst, shared, stages, .. } = self;
            // classify: every frame -> place, VRF, inner packet, or an exit
            for (frame, work) in frames.iter().zip(burst.iter_mut()) {
                work.classify(snapshot, frame, shared.vif_slots);
            }
            stages.over(Stage::Classify, frames.len());
            // lookup: hash all, prefetch all buckets, then compare
            prepare(snapshot, &shared.flows, burst);
            let newest = lookup(&shared.flows, burst);
            stages.over(Stage::Lookup, frames.len());
            if newest <= snapshot.generation.0 || !first {
                break;
            }
            // another worker has decided by a snapshot that this one lacks: once more, all of it by the newer one
            self.take_snapshot();
            self.burst.iter_mut().for_each(|work| *work = Work::new(work.vif, work.slot));
        }
        // sight: who sends from where a bridge does not know it
        if self.snapshot.learns && !again {
            self.sight();
        }
        // slow path: a miss, or a hit whose ground has changed, is decided by route and ACLs and installed both ways
        let Worker { snapshot, burst, shared, eviction, flow_budgets: budgets, now, index, heads, .. } = self;
        let Shared { flows, notes, accounts, new_flows_per_second: budget, .. } = &**shared;
        let end = &shared.workers[index.index()];
        let (counters, routes) = (&end.counters, &end.route_hits);
        if !again {
            burst.iter_mut().for_each(|work| work.spend_fragment(snapshot, accounts, *now));
        }
        let (now, budget, mut count, mut outdated) = (*now, *budget, 0, 0);
        let (decided, payer) = (&mut count, (Context(u32::MAX), Purse::NOBODYS));
        let outdated = &mut outdated;
        Lookup {
            snapshot,
            flows,
            notes,
            heads,
            accounts,
            counters,
            worker: index.index(),
            routes,
            now,
            budgets,
            budget,
            eviction,
            decided,
            outdated,
            payer,
        }
        .decide_all(burst);
        self.grace.note(*outdated);
        self.turns.spent += DECISION * count;
        let Worker { snapshot, frames, burst, stages, .. } = self;
        stages.over(Stage::Decide, frames.len());
        // act: rewrite, decap, encap, TTL, or a drop with its reason
        act::act(snapshot, frames, burst);
        stages.over(Stage::Act, frames.len());
        // tx: grouped by port; drops counted, punts copied
        self.finish();
        self.stages.over(Stage::Finish, 0);
    }

    /// Tells of stations that bridges learn.
    fn sight(&mut self) {
        let Worker { snapshot, frames, burst, shared, told, now, index, .. } = self;
        let end = &shared.workers[index.index()];
        let lost = told.tell(snapshot, (frames, burst), &end.rings.sightings, *now);
        end.counters.worker.unheard.add(lost);
    }

    fn counters(&self) -> &Counters {
        &self.shared.workers[self.index.index()].counters
    }

    fn rings(&self) -> &punt::Rings {
        &self.shared.workers[self.index.index()].rings
    }

    fn finish(&mut self) {
        let end = &self.shared.workers[self.index.index()];
        let made = || end.counters.worker.flooded.count() + end.counters.worker.pieces.count();
        let before = made();
        let mut outbox = Outbox {
            snapshot: &self.snapshot,
            end,
            accounts: &self.shared.accounts,
            flows: &self.shared.flows,
            tx: &mut self.ports.tx,
            branches: &mut self.ports.branches,
            ports: &mut self.ports.ends,
            budgets: &mut self.budgets,
            neighbour_budgets: &mut self.neighbour_budgets,
            flood_budgets: &mut self.flood_budgets,
            exception_budgets: &mut self.exception_budgets,
            held: &mut self.held,
            assembly: &mut self.assembly,
            now: self.now,
        };
        outbox.finish(&mut self.frames, &mut self.burst);
        self.turns.spent += COPY * (made() - before) as u32;
    }

    fn flush(&mut self) {
        self.ports.flush(&self.snapshot, &self.shared.workers[self.index.index()]);
    }
}
