//! The control thread: the one owner of the model. It answers the socket's calls, carries the slow path, and publishes.

mod apply;
mod capture;
mod confirm;
mod due;
mod hits;
mod owners;
mod shadow;
mod still;
mod told;
mod verdicts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use crossbeam::channel::Receiver;
use tokio::sync::mpsc;

use super::bfd::Bfd;
use super::captures::Captures;
use super::clock::{Clock, tick_at};
use super::leases::Leases;
use super::ledger::Ledger;
pub use super::ports::Devices;
use super::ports::Ports;
use super::publish::Publisher;
use super::quotas::Quotas;
pub use super::revisions::RevisionLimits;
use super::revisions::Revisions;
use super::shadow::Trial;
use super::slow_path::SlowPath;
use super::unconfirmed::Unconfirmed;
use super::verdicts::Verdicts;
use super::view::stats::{self, Baselines};
use super::view::{explain, flows, victims};
use super::wanted::Wanted;
use crate::api::state::v1 as state;
use crate::api::v1;
use crate::control::access::Audit;
use crate::control::log::{self, Log};
use crate::control::{Reply, Request, Watching};
use crate::datapath::Shared;
use crate::datapath::sight;
use crate::drops::DropReason;
use crate::local;
use crate::model::Model;
use crate::tables::{BfdStand, Watched};
pub use still::{Ask, Frozen, Known};

/// Punts of each class that are taken before calls get their turn.
const TURN: usize = 64;
/// How long calls are answered before the slow path gets its turn (a call that takes longer is not cut short).
const TURN_TIME: Duration = Duration::from_millis(2);
/// How long the thread sleeps when there is nothing to do and nobody calls: bounds what punts wait.
const SLEEP: Duration = Duration::from_micros(500);
/// The same while somebody waits for workers to see a generation.
const SHORT_SLEEP: Duration = Duration::from_micros(50);
/// Milliseconds after which workers are urged to put in force what somebody waits for.
const URGE_MS: u64 = 30;
/// Milliseconds between two rounds of what is due.
const ROUND: u64 = 100;
/// Notes on the changes of one batch while nobody watches: larger batches (bulk loads) are not told to who comes back later.
const UNWATCHED: usize = 4096;
/// Milliseconds without a poll after which a worker is reported.
const HEARTBEAT: u64 = 2000;

/// A call ends the thread's sleep.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What Status tells and nothing else knows.
pub struct Identity {
    pub idle: String,
    /// Limits with their memory; `used` is filled in here.
    pub limits: Vec<v1::Limit>,
}

/// Who waits until workers forward by a generation, since when.
struct Waiter {
    generation: u64,
    since: u64,
    reply: Reply<u64>,
}

/// The control thread's state.
pub struct Control {
    shared: Arc<Shared>,
    model: Model,
    publisher: Publisher,
    slow: SlowPath,
    bfd: Arc<Bfd>,
    /// Sessions have no thread of their own.
    steps_bfd: bool,
    verdicts: Arc<Verdicts>,
    /// Nobody else looks for flows whose verdict changed.
    steps_verdicts: bool,
    baselines: Baselines,
    ports: Ports,
    quotas: Quotas,
    captures: Captures,
    /// The shadow that is on.
    trial: Option<Trial>,
    leases: Leases,
    unconfirmed: Unconfirmed,
    revisions: Revisions,
    audit: Audit,
    log: Arc<Log>,
    identity: Identity,
    flow_file: Option<v1::FlowFile>,
    clock: Clock,
    started: u64,
    /// When it was stepped last.
    now: u64,
    due: u64,
    wanted: Wanted,
    waiters: Vec<Waiter>,
    /// Each worker's polls when last looked at, and when they last rose.
    heartbeats: Vec<(u64, u64)>,
    /// Absent: nothing outlives the process.
    ledger: Option<Ledger>,
    /// Of the batch that was made last.
    numbers: state::Numbers,
    /// Who may ask it to stand still.
    asks: Option<Receiver<Ask>>,
    /// Changes are not taken.
    frozen: bool,
}

impl Control {
    /// Takes over a model whose present snapshot the workers start with.
    pub fn new(
        shared: Arc<Shared>,
        mut model: Model,
        devices: Box<dyn Devices>,
        identity: Identity,
        clock: Clock,
    ) -> Control {
        let now = clock.millis();
        model.note_changes(UNWATCHED);
        let limits = local::Limits { neighbours: model.limits().neighbours, ..local::Limits::default() };
        let leases = Leases::new(model.limits().owners);
        let log = Arc::new(Log::new(model.generation().0));
        let mut control = Control {
            verdicts: Arc::new(Verdicts::new(shared.clone(), log.clone())),
            steps_verdicts: true,
            log,
            publisher: Publisher::new(shared.clone()),
            slow: SlowPath::new(shared.clone(), limits),
            bfd: Arc::new(Bfd::new(shared.clone(), now)),
            steps_bfd: true,
            baselines: Baselines::new(shared.vif_slots),
            model,
            ports: Ports::new(shared.clone(), devices),
            quotas: Quotas::default(),
            captures: Captures::default(),
            trial: None,
            leases,
            unconfirmed: Unconfirmed::default(),
            revisions: Revisions::default(),
            audit: Audit::default(),
            identity,
            flow_file: None,
            clock,
            started: now,
            now,
            due: now,
            wanted: Wanted::default(),
            waiters: Vec::new(),
            heartbeats: vec![(0, now); shared.workers.len()],
            ledger: None,
            numbers: state::Numbers::default(),
            asks: None,
            frozen: false,
            shared,
        };
        control.baselines.renew(&control.shared, control.slow.counters(), control.publisher.current());
        control.want_neighbours();
        control
    }

    /// Status tells this of the flow file.
    pub fn tell_of_flow_file(&mut self, told: Option<v1::FlowFile>) {
        self.flow_file = told;
    }

    /// BFD's sessions, for a thread that is to keep them: from now on stepping this does not.
    pub fn give_bfd(&mut self) -> Arc<Bfd> {
        self.steps_bfd = false;
        self.bfd.clone()
    }

    /// From now on batches are acknowledged when this ledger has kept them.
    pub fn keep_in(&mut self, mut ledger: Ledger) {
        self.model.number_batches();
        let (owners, revisions) = (ledger.owners().clone(), ledger.take_revisions());
        self.go_on_with_owners(&owners, revisions);
        self.ledger = Some(ledger);
    }

    /// Serves until `stop` or until the calls' other end is gone.
    pub fn run(mut self, mut calls: mpsc::Receiver<Request>, stop: &AtomicBool) {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut called = Context::from_waker(&waker);
        // relaxed: a flag that carries nothing but itself
        while !stop.load(Ordering::Relaxed) {
            let mut busy = self.step();
            let turn = std::time::Instant::now();
            while turn.elapsed() < TURN_TIME {
                match calls.poll_recv(&mut called) {
                    Poll::Ready(Some(request)) => {
                        self.answer(request);
                        busy = true;
                    }
                    Poll::Pending => break,
                    Poll::Ready(None) => return,
                }
            }
            if !busy {
                std::thread::park_timeout(if self.waiters.is_empty() { SLEEP } else { SHORT_SLEEP });
            }
        }
    }

    /// Carries the slow path and does what is due. True: there was work.
    pub fn step(&mut self) -> bool {
        let now = self.clock.millis();
        self.step_at(now)
    }

    /// The same at this time (milliseconds).
    pub fn step_at(&mut self, now: u64) -> bool {
        self.now = now;
        if self.steps_bfd {
            self.bfd.step_at(now * 1000);
        }
        self.hear_of_sessions();
        self.stand_still();
        self.end_captures();
        let heard = self.learn_stations(now) + self.hear_of_shadow();
        let mut snapshot = self.publisher.current().clone();
        let (model, publisher) = (&mut self.model, &mut self.publisher);
        let (mut learnt, wanted) = (false, &mut self.wanted);
        let mut tell = |told| {
            learnt |= wanted.hear(model, publisher, told);
            publisher.current().clone()
        };
        let taken = self.slow.take(&mut snapshot, now, TURN, &mut tell);
        if now >= self.due {
            self.due = now + ROUND;
            self.slow.tick(&mut snapshot, now, &mut tell);
            self.watch_links();
            self.watch_quotas(now);
            if !self.frozen {
                self.end_leases(now);
                self.roll_back(now);
            }
            self.publisher.reclaim();
            self.watch_workers(now);
            self.model.note_changes(if self.log.is_watched() { log::CHANGES } else { UNWATCHED });
        }
        if learnt {
            self.want_neighbours();
        }
        self.tell_watchers();
        if self.steps_verdicts {
            self.verdicts.step_at(now, u32::MAX);
        }
        for port in self.ports.collect() {
            self.model.port_closed(port);
        }
        self.wake_waiters();
        if let Some(ledger) = &mut self.ledger {
            ledger.step(&self.model, now);
        }
        taken + heard > 0
    }

    /// How BFD's sessions stand goes into the model, before anything that takes longer.
    fn hear_of_sessions(&mut self) {
        let (books, stands) = self.bfd.collect();
        self.slow.enter(&books);
        self.tell_of_sessions(&stands);
    }

    /// Whom the session with this name watches, if our end of it is there.
    pub fn watched(&self, name: &str) -> Option<Watched> {
        self.model.watched(name).filter(|watched| self.publisher.current().bfd.contains_key(watched))
    }

    /// The model is told how sessions stand: whom they watch is dead while they have failed.
    pub fn tell_of_sessions(&mut self, stands: &BTreeMap<Watched, BfdStand>) {
        if let Some(snapshot) = self.model.bfd(stands) {
            self.publisher.publish(snapshot);
            self.want_neighbours();
        }
    }

    /// What workers saw of stations goes into the model. Returns how many sightings there were.
    fn learn_stations(&mut self, now: u64) -> usize {
        let seen = self.slow.sightings(sight::RING);
        let news = [self.model.sighted(&seen, now), (now >= self.due).then(|| self.model.age_stations(now)).flatten()];
        news.into_iter().flatten().for_each(|snapshot| self.publisher.publish(snapshot));
        seen.len()
    }

    /// Answers one call.
    pub fn answer(&mut self, request: Request) {
        // an answer that nobody waits for any more is dropped
        match request {
            // unanswered: the server says why
            Request::Apply { .. } | Request::Confirm { .. } if self.frozen => {}
            Request::PromoteShadow { .. } | Request::DiscardShadow { .. } if self.frozen => {}
            Request::Apply { begin, changes, by, reply } => self.apply(begin, changes, by, reply),
            Request::Confirm { wanted, reply } => self.confirm(&wanted, reply),
            Request::Revisions { wanted, reply } => _ = reply.send(self.kept(&wanted.owner)),
            Request::List { filter, reply } if filter.revision > 0 => _ = reply.send(self.list_revision(&filter)),
            Request::KeepAlive { wanted, reply } => self.keep_alive(wanted, reply),
            Request::Owners { reply } => _ = reply.send(self.owners()),
            Request::List { filter, reply } => _ = reply.send(self.list(&filter)),
            Request::Sync { generation, reply } => {
                let newest = self.model.generation().0;
                let generation = if generation == 0 { newest } else { generation };
                self.waiters.push(Waiter { generation, since: self.now, reply });
                self.wake_waiters();
            }
            Request::Watch { snapshot, reply } => {
                self.tell_watchers();
                let objects = snapshot.then(|| self.model.list(v1::Kind::All, "").into_iter());
                let objects = objects.map(|objects| Box::new(objects) as crate::control::Rows<v1::Object>);
                // from here on: what is told must be complete from the first event
                self.model.note_changes(log::CHANGES);
                let generation = self.model.generation().0;
                _ = reply.send(Watching { rises: self.log.rises(), log: self.log.clone(), generation, objects });
            }
            Request::Flows { filter, reply } => {
                let snapshot = self.publisher.current().clone();
                let rows = flows::Filter::read(&snapshot, &filter).map(|filter| {
                    let rows = flows::flows(self.shared.clone(), snapshot, filter, tick_at(self.now));
                    Box::new(rows) as crate::control::Rows<v1::Flow>
                });
                _ = reply.send(rows.map_err(|error| refused("flows", &error)));
            }
            Request::Hits { filter, reply } => _ = reply.send(self.hits(&filter)),
            Request::RouteHits { filter, reply } => _ = reply.send(self.route_hits(&filter)),
            Request::Stats { reply } => _ = reply.send(self.stats()),
            Request::Victims { filter, reply } => {
                let rows = victims::victims(&self.shared, self.publisher.current(), &filter, tick_at(self.now));
                _ = reply.send(rows.map_err(|error| refused("victims", &error)));
            }
            Request::Capture { wanted, reply } => _ = reply.send(self.capture(&wanted)),
            Request::ShadowReport { reply } => _ = reply.send(self.shadow_report()),
            Request::PromoteShadow { wanted, by, may, reply } => self.promote(&wanted, (by, may), reply),
            Request::DiscardShadow { wanted, reply } => _ = reply.send(self.discard(&wanted)),
            Request::Explain { query, reply } => {
                let answer = explain::explain(&self.shared, self.publisher.current(), &query, tick_at(self.now));
                let owned = answer.map(|mut answer| {
                    self.model.tell_owners(&mut answer.steps);
                    answer
                });
                _ = reply.send(owned.map_err(|error| refused("explain", &error)));
            }
            Request::Status { reply } => _ = reply.send(self.status()),
        }
    }

    /// What a batch made is there for all.
    fn publish_batch(&mut self) {
        self.renew_shadow();
        let snapshot = self.model.snapshot();
        // before the snapshot: who has it has its ends
        for port in self.ports.commit(self.publisher.current(), &snapshot) {
            self.model.port_closed(port);
        }
        // before a worker can count for a new VIF
        self.baselines.renew(&self.shared, self.slow.counters(), &snapshot);
        self.look_for_verdicts(&snapshot);
        self.publisher.publish(snapshot);
        self.tell_watchers();
        self.want_neighbours();
    }

    fn want_neighbours(&mut self) {
        self.wanted.renew(&mut self.model, &mut self.slow, &mut self.publisher);
    }

    /// All counters.
    pub fn stats(&self) -> v1::StatsReply {
        let slow = stats::SlowPath {
            counters: self.slow.counters(),
            originated: self.slow.originated(),
            consumed: self.slow.consumed(),
            held: self.slow.held(),
        };
        let snapshot = self.publisher.current();
        let mut reply = stats::stats(&self.shared, &slow, &self.baselines, snapshot);
        reply.verdicts = self.verdicts.last();
        reply.quotas = self.quotas.all(&self.shared, snapshot, &self.model);
        reply.ports = self.ports.stats();
        let counts = self.model.learning();
        let unheard = self.shared.workers.iter().map(|end| end.counters.worker.unheard.count()).sum();
        reply.learning = Some(v1::LearningStats {
            learnt: counts.learnt,
            moved: counts.moved,
            pinned: counts.pinned,
            aged: counts.aged,
            refused: counts.refused,
            unheard,
        });
        reply.ports.retain(|row| self.model.port_index(&row.port).is_some());
        for row in &reply.ports {
            let vif_of = crate::datapath::classify::vif_of;
            let vif = self.model.port_index(&row.port).and_then(|port| vif_of(snapshot, port.index()));
            let named = |vif: &crate::tables::Vif| (vif.name.to_string(), super::view::vrf_name(snapshot, vif.vrf));
            let (vif, vrf) = vif.map(named).unwrap_or_default();
            use DropReason::{RxErrors, RxMissed, RxNoMbuf};
            let lost = [(RxMissed, row.missed), (RxNoMbuf, row.no_mbuf), (RxErrors, row.errors)];
            for (reason, packets) in lost.into_iter().filter(|(_, packets)| *packets > 0) {
                let (vif, vrf) = (vif.clone(), vrf.clone());
                reply.drops.push(v1::DropCount { reason: reason.name().into(), vif, packets, vrf });
            }
        }
        reply
    }

    fn wake_waiters(&mut self) {
        self.waiters.retain(|waiter| !waiter.reply.is_closed());
        if self.waiters.is_empty() {
            return;
        }
        let seen = self.shared.seen().min(self.ports.settled().unwrap_or(u64::MAX));
        let (ready, waiting) = std::mem::take(&mut self.waiters)
            .into_iter()
            .partition::<Vec<Waiter>, _>(|waiter| waiter.generation <= seen);
        self.waiters = waiting;
        for waiter in ready {
            _ = waiter.reply.send(seen);
        }
        // workers may take their time to decide many flows anew, but not his
        let late = self.waiters.iter().filter(|waiter| self.now.saturating_sub(waiter.since) >= URGE_MS);
        if let Some(newest) = late.map(|waiter| waiter.generation).max() {
            self.shared.urged.fetch_max(newest, Ordering::Relaxed);
        }
    }

    /// What the model noted goes into the log.
    fn tell_watchers(&mut self) {
        for noted in self.model.take_noted() {
            self.log.add(noted.generation.0, noted.owner, noted.changes);
        }
    }
}

/// A refusal of a call that is no batch; `error` is "field: reason".
fn refused(object: &str, error: &str) -> v1::Refused {
    let (field, reason) = error.split_once(": ").unwrap_or(("", error));
    v1::Refused { object: object.into(), field: field.into(), reason: reason.into(), ..v1::Refused::default() }
}
