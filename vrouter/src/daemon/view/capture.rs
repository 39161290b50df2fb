//! The frames of a capture: taken from the workers' rings, and told with what the tables say of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::trace::trace;
use super::victims::culprit;
use super::{vif_name, vrf_name};
use crate::api::text::Protocol;
use crate::api::v1;
use crate::daemon::clock::Clock;
use crate::datapath::Shared;
use crate::datapath::act::take_tags;
use crate::datapath::capture::{Copied, Seen};
use crate::datapath::classify::classify;
use crate::datapath::stages::{Stage, Taken};
use crate::ids::{Generation, VifId};
use crate::packet::ether;
use crate::packet::tuple::FlowTuple;
use crate::port::Frame;
use crate::tables::{Capture, Snapshot, Vif};

/// Frames, and bytes of them, that are told at once.
const FRAMES: usize = 256;
const BYTES: usize = 64 << 10;

/// Takes the copies of one capture. One thread at a time, any; dropped, the capture ends.
pub struct Taker {
    shared: Arc<Shared>,
    /// That has the capture first.
    generation: Generation,
    ring: usize,
    snaplen: usize,
    /// By which time each is explained, if it is.
    explains: Option<Clock>,
    /// How many are to come yet, and whether that was told.
    left: u64,
    over: bool,
    most: Duration,
    /// When every worker copied.
    since: Option<Instant>,
    /// What was lost with the ring before, and what was told.
    lost_before: u64,
    told: u64,
    open: Arc<AtomicBool>,
    /// VIFs by their rows of counters, of this generation.
    by_slot: (Generation, Vec<Option<VifId>>),
}

/// How long copies of the time before are taken yet when it is over.
const REST: Duration = Duration::from_millis(100);

impl Drop for Taker {
    fn drop(&mut self) {
        // relaxed: a flag that carries nothing but itself
        self.open.store(false, Ordering::Relaxed);
    }
}

impl Taker {
    /// For a capture that workers see with this generation.
    pub fn new(
        shared: Arc<Shared>,
        (generation, capture): (Generation, &Capture),
        wanted: &v1::CaptureRequest,
        (open, clock): (Arc<AtomicBool>, Clock),
    ) -> Taker {
        let no_end = |given: u64| if given == 0 { u64::MAX } else { given };
        let mut taker = Taker {
            shared,
            generation,
            ring: capture.ring,
            snaplen: no_end(wanted.snaplen.into()) as usize,
            explains: wanted.explain.then_some(clock),
            left: no_end(wanted.packets),
            over: false,
            most: Duration::from_millis(no_end(wanted.duration_ms.into())),
            since: None,
            lost_before: 0,
            told: 0,
            open,
            by_slot: (Generation(0), Vec::new()),
        };
        taker.lost_before = taker.lost();
        taker
    }

    /// What there is by now, if there is something to tell.
    pub fn take(&mut self) -> Option<v1::CaptureChunk> {
        let Some(since) = self.since else {
            if self.shared.seen() < self.generation.0 {
                return None;
            }
            self.since = Some(Instant::now());
            return Some(v1::CaptureChunk { started: true, ..v1::CaptureChunk::default() });
        };
        if self.over {
            return None;
        }
        let (passed, (packets, all)) = (since.elapsed(), self.packets());
        let lost = self.lost() - self.lost_before;
        // what passed before it was over is told yet
        self.over = self.left == 0 || passed >= self.most && (all || passed >= self.most.saturating_add(REST));
        if packets.is_empty() && lost == self.told && !self.over {
            return None;
        }
        self.told = lost;
        Some(v1::CaptureChunk { packets, lost, started: false, last: self.over })
    }

    /// The next ones, and whether there are no more.
    fn packets(&mut self) -> (Vec<v1::CapturedPacket>, bool) {
        let snapshot = self.shared.snapshot.load_full();
        self.learn_slots(&snapshot);
        let (mut packets, mut bytes, mut all) = (Vec::new(), 0, true);
        for (worker, end) in self.shared.workers.iter().enumerate() {
            // a worker's share, so that none is left behind for others
            let share = (worker + 1) * FRAMES / self.shared.workers.len();
            while self.left > 0 {
                if packets.len() >= share || bytes >= BYTES {
                    all = false;
                    break;
                }
                let Some(copied) = end.captures[self.ring].copies.pop() else { break };
                let by_slot = self.by_slot.1.get(copied.entered).copied().flatten();
                let whole = Whole { shared: &self.shared, snapshot: &snapshot, explains: self.explains };
                let packet = whole.told((copied, by_slot), worker as u32, self.snaplen);
                bytes += packet.data.len();
                self.left -= 1;
                packets.push(packet);
            }
        }
        (packets, all)
    }

    fn learn_slots(&mut self, snapshot: &Snapshot) {
        if self.by_slot.0 != snapshot.generation {
            self.by_slot = (snapshot.generation, vec![None; self.shared.vif_slots]);
            for (_, row) in snapshot.vifs.iter().filter(|(_, row)| row.slot < self.shared.vif_slots) {
                self.by_slot.1[row.slot] = Some(row.id);
            }
        }
    }

    fn lost(&self) -> u64 {
        self.shared.workers.iter().map(|end| end.captures[self.ring].lost.count()).sum()
    }
}

/// What copies are told by.
struct Whole<'a> {
    shared: &'a Shared,
    snapshot: &'a Snapshot,
    explains: Option<Clock>,
}

impl Whole<'_> {
    /// A copy; `entered`: the VIF of its row of counters.
    fn told(&self, (copied, entered): (Copied, Option<VifId>), worker: u32, snaplen: usize) -> v1::CapturedPacket {
        let Copied { seen, vif, length, mut frame, taken, .. } = copied;
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = |vif: Option<VifId>| vif.map(|vif| vif_name(self.snapshot, vif)).unwrap_or_default();
        let bytes = frame.bytes();
        let mut packet = v1::CapturedPacket {
            time_ns: time.as_nanos() as u64,
            length: length.into(),
            data: bytes[..bytes.len().min(snaplen)].to_vec(),
            worker,
            ..v1::CapturedPacket::default()
        };
        match seen {
            Seen::Rx => {
                packet.set_point(v1::CapturePoint::Rx);
                (packet.vif, packet.stages) = (name(vif), stages(&taken));
            }
            Seen::Tx => {
                packet.set_point(v1::CapturePoint::Tx);
                (packet.vif, packet.entered) = (name(vif), name(entered));
            }
            Seen::Drop(reason, who) => {
                packet.set_point(v1::CapturePoint::Drop);
                packet.vif = name(vif.or(entered));
                (packet.reason, packet.object) = (reason.name().into(), culprit(self.snapshot, who));
            }
        }
        // as it was received: what leaves says for itself what it is
        let row = vif.filter(|_| seen != Seen::Tx).and_then(|vif| self.snapshot.vifs.row(vif.index()));
        if let Some(row) = row {
            if seen == Seen::Rx {
                take_own_tags(self.snapshot, row, &mut frame);
            }
            (packet.vrf, packet.flow) = flow(self.snapshot, row, &frame).unwrap_or_default();
            if let (Seen::Rx, Some(clock)) = (seen, self.explains) {
                packet.explained = Some(trace(self.shared, self.snapshot, row, &frame, clock.tick()));
            }
        }
        packet
    }
}

/// Those that were on a frame's way.
fn stages(taken: &Taken) -> Vec<v1::StageCycles> {
    let was = Stage::ALL.iter().zip(taken).filter(|(_, spent)| spent.frames > 0);
    was.map(|(stage, spent)| v1::StageCycles {
        stage: stage.name().into(),
        cycles: spent.cycles.into(),
        packets: spent.frames.into(),
    })
    .collect()
}

/// Takes off the tags by which a frame entered by a sub-interface.
fn take_own_tags(snapshot: &Snapshot, row: &Vif, frame: &mut Frame) {
    let branch = snapshot.branches.of(row.port);
    let found = branch.zip(ether::vlans(frame.bytes()));
    let found = found.and_then(|(branch, (outer, inner))| snapshot.branches.find(branch.port, outer, inner));
    if let Some((_, tags)) = found {
        take_tags(frame, tags);
    }
}

/// The VRF and 5-tuple of a frame that entered by this VIF, if it can be classified.
fn flow(snapshot: &Snapshot, row: &Vif, frame: &Frame) -> Option<(String, String)> {
    let found = classify(snapshot, row, frame).ok()?;
    let tuple = found.packet.tuple().unwrap_or_else(|| found.packet.ends());
    Some((vrf_name(snapshot, found.vrf), tuple_text(&tuple)))
}

/// "tcp 10.1.1.10:40000 > 10.1.1.20:80".
fn tuple_text(tuple: &FlowTuple) -> String {
    let protocol = Protocol(tuple.protocol);
    match (tuple.ports(), tuple.icmp()) {
        (Some((source, destination)), _) => {
            let (from, to) = (SocketAddr::new(tuple.source, source), SocketAddr::new(tuple.destination, destination));
            format!("{protocol} {from} > {to}")
        }
        (None, Some((kind, code))) => {
            format!(
                "{protocol} {} > {} type {kind} code {code} id {}",
                tuple.source, tuple.destination, tuple.source_port
            )
        }
        (None, None) => format!("{protocol} {} > {}", tuple.source, tuple.destination),
    }
}
