//! BFD's own thread: sessions must neither wait for a batch of the control thread nor for what workers forward.
//!
//! The thread takes the packets of sessions' peers from the workers' rings, and gives them ours to send. Which sessions there are it sees in
//! the snapshot; how they stand the control thread collects and tells the model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::clock::Clock;
use crate::api::v1;
use crate::datapath::Shared;
use crate::datapath::punt::{Inject, Injection, Punt, Why};
use crate::drops::DropReason;
use crate::ids::VifId;
use crate::local::bfd::{Send, Sessions};
use crate::tables::{BfdSession, BfdStand, Watched};

/// How long the thread sleeps at most: while there are sessions, and while there are none.
const SLEEP: Duration = Duration::from_millis(1);
const LONG_SLEEP: Duration = Duration::from_millis(20);

/// The sessions, between their own thread and the control thread. Neither holds them for long.
pub struct Bfd {
    shared: Arc<Shared>,
    line: Mutex<Line>,
}

struct Line {
    sessions: Sessions,
    /// Those of the snapshot that was looked at last.
    wanted: Arc<HashMap<Watched, BfdSession>>,
    books: Books,
    changed: BTreeMap<Watched, BfdStand>,
    failed: BTreeSet<Watched>,
    /// Whose turn it is to send.
    turn: usize,
    out: Vec<Send>,
}

/// What became of packets since it was collected last.
#[derive(Default)]
pub struct Books {
    pub handled: u64,
    pub consumed: u64,
    pub originated: u64,
    pub enqueued: u64,
    /// By row of counters; `None`: that of no VIF.
    pub drops: HashMap<(Option<usize>, DropReason), u64>,
    /// Some of them, of the VIF that they entered by: L3 packets.
    pub last: Vec<(Option<VifId>, DropReason, Vec<u8>)>,
}

/// Dropped packets that are kept until they are collected.
const LAST: usize = 8;

impl Bfd {
    /// No sessions yet; discriminators follow from the seed.
    pub fn new(shared: Arc<Shared>, seed: u64) -> Bfd {
        let line = Line {
            sessions: Sessions::new(seed),
            wanted: Arc::default(),
            books: Books::default(),
            changed: BTreeMap::new(),
            failed: BTreeSet::new(),
            turn: 0,
            out: Vec::new(),
        };
        Bfd { shared, line: Mutex::new(line) }
    }

    /// Keeps the sessions until `stop`.
    pub fn run(&self, clock: Clock, stop: &AtomicBool) {
        // relaxed: a flag that carries nothing but itself
        while !stop.load(Ordering::Relaxed) {
            let some = self.step_at(clock.micros());
            std::thread::sleep(if some { SLEEP } else { LONG_SLEEP });
        }
    }

    /// Takes what has come and does what is due at this time (microseconds). Whether there are sessions.
    pub fn step_at(&self, now: u64) -> bool {
        let line = &mut *self.line.lock();
        self.hear(line, now);
        line.sessions.tick(now, &mut line.out);
        let out = std::mem::take(&mut line.out);
        for send in out {
            self.send(line, &send);
        }
        let changed = line.sessions.take_changed();
        self.cut(line, &changed);
        line.changed.extend(changed);
        line.sessions.count() > 0
    }

    /// Takes what has come, and says nothing.
    pub fn hear_at(&self, now: u64) {
        let line = &mut *self.line.lock();
        self.hear(line, now);
        line.out.clear();
        line.changed.extend(line.sessions.take_changed());
    }

    fn hear(&self, line: &mut Line, now: u64) {
        let snapshot = self.shared.snapshot.load();
        if !Arc::ptr_eq(&snapshot.bfd, &line.wanted) {
            line.sessions.renew(&snapshot.bfd, now, &mut line.out);
            line.wanted = snapshot.bfd.clone();
        }
        for end in &self.shared.workers {
            let ring = &end.rings.bfd;
            // no more than were there, so that a flood does not keep what is due waiting
            for punt in std::iter::from_fn(|| ring.punts.pop()).take(ring.punts.len()) {
                let vif = punt.vif.and_then(|vif| snapshot.vifs.row(vif.index())).map(|vif| vif.slot);
                line.take(&punt, vif, now);
            }
        }
    }

    /// What happened since the last time: the books, and how those sessions stand that stand otherwise.
    pub fn collect(&self) -> (Books, BTreeMap<Watched, BfdStand>) {
        let line = &mut *self.line.lock();
        (std::mem::take(&mut line.books), std::mem::take(&mut line.changed))
    }

    /// What is known of a session beside how it stands.
    pub fn live(&self, watched: &Watched) -> Option<v1::BfdLive> {
        let line = self.line.lock();
        let session = line.sessions.session(watched)?;
        let (peer, counts) = (session.peer(), session.counts);
        Some(v1::BfdLive {
            local_discriminator: session.mine(),
            remote_discriminator: session.yours(),
            remote_state: crate::model::bfd_state(peer.state).into(),
            remote_diagnostic: peer.diagnostic.name().into(),
            remote_min_tx_us: peer.min_tx,
            remote_min_rx_us: peer.min_rx,
            remote_multiplier: peer.multiplier.into(),
            tx_interval_us: session.tx_interval().unwrap_or(0),
            detection_time_us: session.detection_time(),
            sent: counts.sent,
            received: counts.received,
            refused: counts.refused,
            ups: counts.ups,
            failures: counts.failures,
        })
    }

    /// Workers are told of who failed before the control thread is.
    fn cut(&self, line: &mut Line, changed: &BTreeMap<Watched, BfdStand>) {
        let before = line.failed.len();
        line.failed.retain(|watched| changed.get(watched).is_none_or(|stand| stand.failed));
        let gone = line.failed.len() < before;
        let new = changed.iter().filter(|(_, stand)| stand.failed).map(|(watched, _)| *watched);
        let between = line.failed.len();
        line.failed.extend(new);
        if gone || line.failed.len() > between {
            self.shared.snapshot.load().cut(&line.failed);
        }
    }

    fn send(&self, line: &mut Line, send: &Send) {
        line.books.originated += 1;
        line.turn = (line.turn + 1) % self.shared.workers.len().max(1);
        let Some(end) = self.shared.workers.get(line.turn) else { return };
        let frame = end.rings.bfd_injected.copy_or_make(&send.packet);
        let injection = frame.map(|frame| Injection { how: Inject::Routed(send.vrf), frame });
        match injection.map(|injection| end.rings.bfd_injections.push(injection)) {
            Some(Ok(())) => line.books.enqueued += 1,
            None | Some(Err(_)) => line.drop(None, DropReason::PuntRingFull),
        }
    }
}

impl Line {
    fn take(&mut self, punt: &Punt, vif: Option<usize>, now: u64) {
        self.books.handled += 1;
        let packet = punt.frame.bytes().get(usize::from(punt.l3)..).unwrap_or_default();
        let taken = match punt.why {
            Why::Bfd(vrf) => self.sessions.take(vrf, packet, now),
            _ => Err(DropReason::LocalUnanswered),
        };
        match taken {
            Ok(()) => self.books.consumed += 1,
            Err(reason) => {
                if self.books.last.len() < LAST {
                    self.books.last.push((punt.vif, reason, packet.to_vec()));
                }
                self.drop(vif, reason);
            }
        }
    }

    fn drop(&mut self, vif: Option<usize>, reason: DropReason) {
        *self.books.drops.entry((vif, reason)).or_default() += 1;
    }
}
