//! A worker on virtual wires.

use std::net::IpAddr;
use std::sync::Arc;

use flowtable::{Config, FlowTable, LayoutError, Region};

use super::{Candidate, Packet};
use crate::api::v1;
use crate::daemon::view::explain;
use crate::datapath::{Shared, Worker, shared::Limits};
use crate::drops::DropReason;
use crate::ids::{Mac, PortIndex, Tick, WorkerIndex};
use crate::packet::checksum::IpChecksum;
use crate::packet::{ether, ip};
use crate::port::wire::{WireEnd, wire};
use crate::port::{Port, Rooms};
use crate::tables::{Lifetimes, Snapshot, Vif};

/// Flow pairs of each family: one expectation has one flow, and its packets.
const PAIRS: u32 = 64;
/// Frames that a wire holds: a packet of 64 KiB in pieces.
const ROOM: usize = 256;
/// New flows that a VIF may begin in a second, beside its quota.
const NEW_FLOWS: u32 = 1_000_000;

/// Times that it is waited for flows to end, at most.
const FORGETTING: u32 = 100;

/// A worker that forwards by a candidate's snapshot, with a wire for each of its ports. Its own clock moves when it is told.
pub struct Bed<'a> {
    candidate: &'a Candidate,
    shared: Arc<Shared>,
    worker: Worker,
    ends: Vec<WireEnd>,
    rooms: Rooms,
    now: Tick,
    /// Drops by slot and reason, as far as they were told.
    told: Vec<u64>,
}

/// What became of a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub left: Vec<Left>,
    /// Why frames were dropped, each reason once for each.
    pub dropped: Vec<DropReason>,
    /// Frames that went to the slow path: they are for the vRouter itself.
    pub punted: u64,
}

/// A frame that left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// By this VIF; empty: of a port without one.
    pub vif: String,
    pub bytes: Vec<u8>,
}

impl Left {
    /// The destination of its IP header: of what went into a tunnel, the far end. `None`: it has none.
    pub fn destination(&self) -> Option<IpAddr> {
        let header = ether::read(&self.bytes).ok()?;
        let (mut kind, mut at) = (header.ethertype, ether::HEADER);
        while [ether::VLAN, ether::SERVICE_VLAN].contains(&kind) {
            let tag = self.bytes.get(at..at + ether::TAG)?;
            (kind, at) = (u16::from_be_bytes([tag[2], tag[3]]), at + ether::TAG);
        }
        match kind {
            ether::IPV4 => ip::read4(&self.bytes[at..], IpChecksum::Unknown).ok(),
            ether::IPV6 => ip::read6(&self.bytes[at..]).ok(),
            _ => None,
        }
        .map(|packet| packet.destination)
    }
}

impl<'a> Bed<'a> {
    /// One without flows.
    ///
    /// # Errors
    /// There is no memory for its flow table.
    pub fn new(candidate: &'a Candidate) -> Result<Bed<'a>, LayoutError> {
        let snapshot = candidate.snapshot().clone();
        let config = Config { narrow_pairs: PAIRS, wide_pairs: PAIRS, seed: 1, time_base: 0 };
        let flows = FlowTable::create(Region::heap(config.bytes()?)?, &config)?;
        let slots = snapshot.vifs.iter().map(|(_, vif)| vif.slot + 1).max().unwrap_or(0);
        let limits = Limits { vif_slots: slots, new_flows_per_second: NEW_FLOWS };
        let (mut ports, mut ends): (Vec<Option<Box<dyn Port>>>, _) = (Vec::new(), Vec::new());
        for _ in snapshot.ports.iter() {
            let (port, end) = wire(ROOM);
            ports.push(Some(Box::new(port)));
            ends.push(end);
        }
        let shared = Arc::new(Shared::new(snapshot, flows, 1, limits));
        let mut worker = Worker::new(WorkerIndex(0), shared.clone(), ports);
        worker.settle();
        let told = vec![0; (slots + 1) * DropReason::COUNT];
        Ok(Bed { candidate, shared, worker, ends, rooms: Rooms::up_to(1, 1), now: Tick(1), told })
    }

    /// Waits so long that no budget and no note is left of what was, and no flow: whether that is so.
    pub fn forget(&mut self) -> bool {
        let Lifetimes { tcp_established, tcp_opening, tcp_closing, udp_unanswered, udp_answered, icmp } =
            self.candidate.snapshot().lifetimes;
        let lifetimes = [tcp_established, tcp_opening, tcp_closing, udp_unanswered, udp_answered, icmp];
        let longest = lifetimes.into_iter().max().unwrap_or(0).clamp(600, i32::MAX as u32 / 2);
        let flows = &self.shared.flows;
        let used = || flows.narrow().used() + flows.wide().used();
        // each time goes through the whole table
        for _ in 0..FORGETTING {
            if used() == 0 {
                break;
            }
            self.now = Tick(self.now.0.wrapping_add(longest + 1));
            for _ in 0..PAIRS {
                self.worker.poll(self.now);
            }
        }
        self.now = Tick(self.now.0.wrapping_add(600));
        used() == 0
    }

    /// What would happen to a packet, by the code that decides, with the flows that there are.
    ///
    /// # Errors
    /// Field and reason of what makes no sense.
    pub fn explain(&self, request: &v1::ExplainRequest) -> Result<v1::ExplainReply, String> {
        let mut told = explain::explain(&self.shared, self.candidate.snapshot(), request, self.now)?;
        self.candidate.model.tell_owners(&mut told.steps);
        Ok(told)
    }

    /// Sends a packet by a VIF, in a frame to this MAC, and says what became of it. `None`: the VIF has no port, or the packet is too large.
    pub fn send(&mut self, vif: &Vif, packet: &Packet, to: Mac) -> Option<Outcome> {
        let snapshot = self.candidate.snapshot().clone();
        let branch = snapshot.branches.of(vif.port);
        let port = branch.map_or(vif.port, |branch| branch.port);
        let tags = branch.map(|branch| branch.tags);
        let frame = self.rooms.copy_or_make(&packet.frame(to, vif.mac, tags))?;
        let punted = self.punted();
        if !self.ends.get(port.index())?.put(frame) {
            return None;
        }
        while self.worker.poll(self.now) > 0 {}
        let mut outcome = Outcome { dropped: self.dropped(), ..Outcome::default() };
        outcome.punted = self.punted() - punted;
        for (at, end) in self.ends.iter().enumerate() {
            let frames = std::iter::from_fn(|| end.take());
            let left = frames.map(|frame| Left {
                vif: vif_of(&snapshot, PortIndex(at as u16), frame.bytes()),
                bytes: frame.bytes().to_vec(),
            });
            outcome.left.extend(left);
        }
        let rings = &self.shared.workers[0].rings;
        for ring in [&rings.tenant, &rings.underlay, &rings.bfd] {
            while ring.punts.pop().is_some() {}
        }
        while rings.sightings.pop().is_some() {}
        Some(outcome)
    }

    fn punted(&self) -> u64 {
        self.shared.workers[0].counters.worker.punted.count()
    }

    /// Reasons of what was dropped since the last time.
    fn dropped(&mut self) -> Vec<DropReason> {
        let counters = &self.shared.workers[0].counters;
        let mut reasons = Vec::new();
        if counters.worker.dropped.count() == self.told.iter().sum::<u64>() {
            return reasons;
        }
        for slot in 0..=counters.no_vif() {
            let row = counters.vif(slot);
            for (reason, told) in DropReason::ALL.iter().zip(&mut self.told[slot * DropReason::COUNT..]) {
                let count = row.dropped(*reason);
                reasons.extend((*told..count).map(|_| *reason));
                *told = count;
            }
        }
        reasons
    }
}

/// The VIF whose frame this is, which left by a port.
fn vif_of(snapshot: &Snapshot, port: PortIndex, frame: &[u8]) -> String {
    let branch = ether::vlans(frame).and_then(|(outer, inner)| snapshot.branches.find(port, outer, inner));
    let vif = branch.map(|(vif, _)| vif).or_else(|| snapshot.ports.get(port.index())?.vif);
    vif.and_then(|vif| snapshot.vifs.row(vif.index())).map(|vif| vif.name.to_string()).unwrap_or_default()
}
