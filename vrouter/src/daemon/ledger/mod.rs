//! The state directory beside the control thread: batches are handed over when they are made, and acknowledged by a thread that has
//! synced them. What is made is forwarded by, listed and told to watchers at once.
//!
//! The control thread takes space for a batch before it makes it, so that a full disk refuses it whole, and waits for no disk otherwise. [`Scribe`] writes
//! and syncs, whatever came meanwhile in one go. [`Binder`] makes snapshots of journals that have grown, from the files: the model is not
//! asked. When a write or a sync fails nobody knows what is kept: those batches are answered so, changes are refused, and a new
//! snapshot is made of the model, with which they are taken again.

mod binder;
mod scribe;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam::channel::{Sender, unbounded};
use parking_lot::Mutex;
use prost::Message;

pub use binder::{Binder, image};
pub use scribe::Scribe;

use crate::api::state::v1 as state;
use crate::api::v1;
use crate::durable::{self, DurableError, Files, Folder, Journal, Recovered, Room, revision};
use crate::model::Model;

/// Space is taken in such steps.
pub const STEP: u64 = 8 << 20;
/// Generations that are told beforehand to the journal. Learning takes one a time, so that it does not come this far before a sync is done.
const AHEAD: u64 = 1 << 20;
/// A journal is made a snapshot of when it is so large, and twice as large as the snapshot before it.
pub const GROWN: u64 = 64 << 20;
/// Milliseconds between attempts to begin anew after a failure.
const AGAIN: u64 = 1000;

/// Why there is no ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("state directory {0}: another daemon uses it")]
    InUse(String),
    #[error("state directory {0}: {1}")]
    Folder(String, std::io::Error),
    #[error("state directory {0}: {1}")]
    Durable(String, DurableError),
}

impl LedgerError {
    /// The process's exit code: 4 the directory cannot be had, 5 another daemon uses it, 6 it is damaged.
    pub fn exit_code(&self) -> u8 {
        match self {
            LedgerError::InUse(_) => 5,
            LedgerError::Durable(_, DurableError::Corrupt { .. } | DurableError::Missing { .. }) => 6,
            LedgerError::Folder(..) | LedgerError::Durable(..) => 4,
        }
    }
}

/// A directory that was read, before there are threads.
pub struct Opened {
    pub recovered: Recovered,
    files: Arc<dyn Files>,
    journal: Journal,
    room: Room,
    batches: u64,
    step: u64,
    path: String,
    /// Of owners' past, oldest first.
    revisions: Vec<state::Revision>,
}

/// Locks and reads a directory; makes one that is not there, with this identity.
pub fn open(path: &Path, identity: u64) -> Result<Opened, LedgerError> {
    let name = path.display().to_string();
    let folder = Folder::lock(path).map_err(|error| LedgerError::Folder(name.clone(), error))?;
    let folder = folder.ok_or_else(|| LedgerError::InUse(name.clone()))?;
    let opened = Opened::of(Arc::new(folder), identity, STEP);
    let mut opened = opened.map_err(|error| LedgerError::Durable(name.clone(), error))?;
    opened.path = name;
    if let Some((file, cut)) = opened.recovered.cut() {
        let (from, bytes) = (cut.from, cut.to - cut.from);
        tracing::warn!(
            file,
            from,
            bytes,
            "what was being written when the daemon died is cut off: it was not acknowledged"
        );
    }
    Ok(opened)
}

/// Reads and checks a directory that no daemon uses, changes nothing, and tells what it holds.
pub fn check(path: &Path) -> Result<Option<Recovered>, LedgerError> {
    let name = path.display().to_string();
    let folder = Folder::of(path).map_err(|error| LedgerError::Folder(name.clone(), error))?;
    let folder = folder.ok_or_else(|| LedgerError::InUse(name.clone()))?;
    durable::read(&folder).map_err(|error| LedgerError::Durable(name, error))
}

impl Opened {
    /// The same of files that nobody else has.
    pub fn of(files: Arc<dyn Files>, identity: u64, step: u64) -> Result<Opened, DurableError> {
        let (recovered, journal, room) = durable::open(&*files, identity, step)?;
        let batches = recovered.image.batches;
        let (revisions, damaged) = revision::all(&*files, recovered.identity)?;
        for (file, why) in damaged {
            tracing::warn!(file, why, "a kept revision cannot be read: it is left out, and its file left where it is");
        }
        Ok(Opened { recovered, files, journal, room, batches, step, path: String::new(), revisions })
    }

    /// The first generation that was never published.
    pub fn generation(&self) -> u64 {
        self.recovered.image.generation + 1
    }

    /// Keeps a batch before there are threads.
    pub fn keep(&mut self, batch: state::Batch) -> std::io::Result<()> {
        self.batches += 1;
        let batch = state::Batch { sequence: self.batches, ..batch };
        let bytes = batch.encoded_len() as u64;
        self.room.reserve(bytes)?;
        self.room.take(bytes);
        self.journal.add(&batch);
        self.journal.commit()
    }

    /// The ledger for a control thread, whose model is at this generation, and what two threads of their own run.
    pub fn start(mut self, generation: u64, grown: u64) -> std::io::Result<(Ledger, Scribe, Binder)> {
        let reserved = generation + AHEAD;
        self.room.take(RESERVE);
        self.journal.reserve(reserved);
        self.journal.commit()?;
        let shared = Arc::new(Shared::default());
        let (orders, ordered) = unbounded();
        let (bind, bound) = unbounded();
        let identity = self.recovered.identity;
        let number = self.journal.number;
        let confirms = self.journal.confirms();
        let place = (self.files.clone(), identity);
        let scribe = Scribe::new(ordered, self.journal, place, bind.clone(), shared.clone());
        // a chain of journals is what a daemon left that died while it made a snapshot of them
        let unbound = (number > self.recovered.snapshot).then(|| number - 1);
        let binder = Binder::new(bound, self.files, identity, self.step, shared.clone(), unbound);
        let ledger = Ledger {
            room: self.room,
            orders,
            bind,
            shared,
            batches: self.batches,
            reserved,
            newest: number,
            grown,
            asked: 0,
            tried: None,
            owners: Owners { leases: self.recovered.image.leases, unconfirmed: self.recovered.image.unconfirmed },
            revisions: self.revisions,
            confirms,
            path: self.path,
        };
        Ok((ledger, scribe, binder))
    }
}

/// Bytes of one delete, at most: names of 63 bytes each, and what is around them.
const SWEPT: u64 = 256;
/// Bytes of a record that reserves generations, at most.
const RESERVE: u64 = 16;

/// Who waits for a batch to be kept: told why not, or nothing.
type Told = Box<dyn FnOnce(Option<String>) + Send>;

/// What becomes of revisions with a batch.
#[derive(Debug)]
pub struct Revised {
    pub new: state::Revision,
    /// Generations of those that go for it.
    pub gone: Vec<u64>,
}

/// What [`Scribe`] does, in order.
enum Order {
    Keep {
        batch: Box<state::Batch>,
        revised: Option<Revised>,
        told: Told,
    },
    Reserve(u64),
    /// The journal is closed, and goes on in this one.
    GoOn(Journal),
    /// The journal failed, and this one is whole.
    BeginAnew(Journal),
}

/// What [`Binder`] does.
enum Bind {
    /// Make a journal with this number.
    Make(u64),
    /// The journal with this number is closed.
    Closed(u64),
    /// The journal failed.
    Anew { number: u64, batches: u64, generation: u64, model: Box<Kept>, owners: Owners },
}

/// What is kept of owners beside their objects.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// Milliseconds.
    pub leases: BTreeMap<String, u32>,
    pub unconfirmed: BTreeMap<String, state::Unconfirmed>,
}

/// What [`Model::kept`] says.
type Kept = (Vec<(Arc<str>, v1::Object)>, state::Numbers);

/// Between the threads.
#[derive(Default)]
struct Shared {
    /// Why the journal cannot be used.
    failed: Mutex<Option<String>>,
    /// A journal that was made.
    made: Mutex<Option<(Journal, Room, bool)>>,
    /// A journal is being made a snapshot of.
    binding: AtomicBool,
    /// A snapshot is being made of the model.
    renewing: AtomicBool,
    /// The length of the newest snapshot.
    snapshot: AtomicU64,
}

/// The control thread's end.
pub struct Ledger {
    room: Room,
    orders: Sender<Order>,
    bind: Sender<Bind>,
    shared: Arc<Shared>,
    batches: u64,
    /// Generations up to this one are the journal's.
    reserved: u64,
    /// The highest number of a journal that was asked for.
    newest: u64,
    grown: u64,
    /// A new journal is asked for when this one is so large.
    asked: u64,
    /// When it was tried last to begin anew (milliseconds).
    tried: Option<u64>,
    owners: Owners,
    /// Of owners' past, until the control thread takes them.
    revisions: Vec<state::Revision>,
    /// The journal may have batches that wait to be confirmed: no older program made it.
    confirms: bool,
    path: String,
}

impl Ledger {
    /// Takes space for a batch, which may delete so many objects that its changes do not name, and has so many bytes beside them. The refusal of
    /// one that could not be kept.
    pub fn admit(&mut self, changes: &v1::Changes, swept: usize, beside: usize) -> Result<(), v1::Refused> {
        self.go_on();
        let refused = |reason: String| v1::Refused { reason, ..v1::Refused::default() };
        if let Some(why) = &*self.shared.failed.lock() {
            return Err(refused(format!(
                "the state directory failed ({why}); changes are taken again when a new snapshot is written"
            )));
        }
        self.room.reserve(bound(changes) + SWEPT * swept as u64 + beside as u64).map_err(|error| {
            refused(format!("the state directory has no space for this batch: {error}; nothing was changed"))
        })
    }

    /// That a batch that waits to be confirmed can be kept. Where an older program made the journal, another one is begun.
    ///
    /// # Errors
    /// It is not there yet.
    pub fn may_wait(&mut self) -> Result<(), &'static str> {
        self.go_on();
        if self.confirms {
            return Ok(());
        }
        self.bind();
        Err("the state directory's journal, which an older program began, is closed first: try again in a moment")
    }

    /// Hands a batch over that was made, with a revision that it makes; `told` is called once it is kept, or with why it is not.
    pub fn keep(
        &mut self,
        batch: state::Batch,
        revised: Option<Revised>,
        told: impl FnOnce(Option<String>) + Send + 'static,
    ) {
        durable::keep_lease(&mut self.owners.leases, &batch.owner, batch.lease_ms);
        durable::keep_unconfirmed(&mut self.owners.unconfirmed, &batch.owner, &batch);
        self.batches += 1;
        let batch = state::Batch { sequence: self.batches, ..batch };
        self.room.take(batch.encoded_len() as u64);
        self.order(Order::Keep { batch: Box::new(batch), revised, told: Box::new(told) });
        self.bind_if_grown();
    }

    /// Tells the journal of generations before they come; after a failure begins anew with what the model is.
    pub fn step(&mut self, model: &Model, now: u64) {
        self.go_on();
        let generation = model.generation().0;
        if generation + AHEAD / 2 > self.reserved {
            self.reserved = generation + AHEAD;
            self.room.take(RESERVE);
            self.order(Order::Reserve(self.reserved));
        }
        let failed = self.shared.failed.lock().is_some();
        let due = self.tried.is_none_or(|tried| now >= tried + AGAIN);
        if failed && due && !self.shared.renewing.swap(true, Ordering::AcqRel) {
            self.tried = Some(now);
            self.newest += 1;
            let (number, batches) = (self.newest, self.batches);
            _ = self.bind.send(Bind::Anew {
                number,
                batches,
                generation: self.reserved,
                model: Box::new(model.kept()),
                owners: self.owners.clone(),
            });
        }
    }

    /// Leases, and batches that wait to be confirmed.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Revisions of before, oldest first; once.
    pub fn take_revisions(&mut self) -> Vec<state::Revision> {
        std::mem::take(&mut self.revisions)
    }

    /// Batches that were handed over.
    pub fn batches(&self) -> u64 {
        self.batches
    }

    /// What the directory holds is not what the model is, and why: changes are refused until a snapshot of the model is written.
    pub fn distrust(&self, why: &str) {
        *self.shared.failed.lock() = Some(why.to_owned());
    }

    /// For Status.
    pub fn told(&self) -> v1::StateDir {
        let refuses = self.shared.failed.lock().clone().unwrap_or_default();
        v1::StateDir { path: self.path.clone(), batches: self.batches, refuses }
    }

    /// From now on batches go to a journal that was made, if one was.
    fn go_on(&mut self) {
        let Some((journal, room, anew)) = self.shared.made.lock().take() else { return };
        (self.room, self.asked, self.confirms) = (room, 0, true);
        if anew {
            *self.shared.failed.lock() = None;
            self.tried = None;
            tracing::info!("the state directory keeps changes again");
        }
        self.order(if anew { Order::BeginAnew(journal) } else { Order::GoOn(journal) });
    }

    fn bind_if_grown(&mut self) {
        let snapshot = self.shared.snapshot.load(Ordering::Relaxed);
        let enough = self.grown.max(2 * snapshot).max(self.asked);
        if self.room.taken() >= enough {
            self.bind();
        }
    }

    /// Asks for the next journal, unless one is being made a snapshot of.
    fn bind(&mut self) {
        if self.shared.binding.swap(true, Ordering::AcqRel) {
            return;
        }
        // where it cannot be done it is tried again when there is more
        self.asked = self.room.taken() + self.grown / 8;
        self.newest += 1;
        _ = self.bind.send(Bind::Make(self.newest));
    }

    fn order(&self, order: Order) {
        // its end is there as long as the process: a thread that panics ends that
        _ = self.orders.send(order);
    }
}

/// Bytes that a batch of these changes may take: numbers name what the changes name.
pub fn bound(changes: &v1::Changes) -> u64 {
    let bytes = changes.bytes();
    let numbers = if changes.may_take_numbers() { 2 * bytes + (16 << 10) } else { 0 };
    (bytes + numbers + 256) as u64
}
