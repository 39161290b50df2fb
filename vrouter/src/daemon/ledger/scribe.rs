//! Writes the journal and syncs it. A thread of its own.

use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender};

use super::{Bind, Order, Revised, Shared, Told};
use crate::durable::{Files, Journal, revision};

/// Batches that share a sync, at most, and about how many bytes.
const GROUP: usize = 256;
const BYTES: usize = 64 << 20;

/// The journal's end at which it is written.
pub struct Scribe {
    orders: Receiver<Order>,
    journal: Journal,
    /// Where revisions have their files, and the directory's identity.
    place: (Arc<dyn Files>, u64),
    bind: Sender<Bind>,
    shared: Arc<Shared>,
    /// What is written after the next sync.
    revised: Vec<Revised>,
    /// Who is told after the next sync.
    waiting: Vec<Told>,
    /// Something was added since the last sync.
    added: bool,
}

impl Scribe {
    pub(super) fn new(
        orders: Receiver<Order>,
        journal: Journal,
        place: (Arc<dyn Files>, u64),
        bind: Sender<Bind>,
        shared: Arc<Shared>,
    ) -> Scribe {
        Scribe { orders, journal, place, bind, shared, revised: Vec::new(), waiting: Vec::new(), added: false }
    }

    /// Until the ledger is gone and all that it handed over is written.
    pub fn run(mut self) {
        while let Ok(order) = self.orders.recv() {
            self.turn(order);
        }
    }

    /// The same as far as something waits.
    pub fn step(&mut self) {
        while let Ok(order) = self.orders.try_recv() {
            self.turn(order);
        }
    }

    /// One group: this order and what came meanwhile.
    fn turn(&mut self, first: Order) {
        self.take(first);
        while self.added
            && self.waiting.len() < GROUP
            && self.journal.waiting() < BYTES
            && let Ok(order) = self.orders.try_recv()
        {
            self.take(order);
        }
        self.commit();
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Keep { batch, revised, told } => {
                self.journal.add(&batch);
                self.revised.extend(revised);
                self.waiting.push(told);
                self.added = true;
            }
            Order::Reserve(generation) => {
                self.journal.reserve(generation);
                self.added = true;
            }
            Order::GoOn(next) => {
                self.commit();
                // nothing is written behind what may not be there
                if self.shared.failed.lock().is_some() {
                    return;
                }
                let closed = std::mem::replace(&mut self.journal, next);
                let number = closed.number;
                match closed.close() {
                    Ok(()) => _ = self.bind.send(Bind::Closed(number)),
                    Err(error) => self.fail(&error),
                }
            }
            Order::BeginAnew(next) => {
                self.commit();
                self.journal = next;
            }
        }
    }

    fn commit(&mut self) {
        if !std::mem::take(&mut self.added) {
            return;
        }
        let failed = self.shared.failed.lock().clone();
        let unkept = match failed {
            // handed over before the failure was seen
            Some(why) => Some(why),
            None => match self.journal.commit() {
                Ok(()) => None,
                Err(error) => {
                    self.fail(&error);
                    Some(error.to_string())
                }
            },
        };
        for revised in std::mem::take(&mut self.revised).into_iter().filter(|_| unkept.is_none()) {
            self.revise(&revised);
        }
        self.waiting.drain(..).for_each(|told| told(unkept.clone()));
    }

    /// The batch that a revision is of is kept: now the revision is. Nothing rests on it.
    fn revise(&self, revised: &Revised) {
        let (files, identity) = &self.place;
        if let Err(error) = revision::keep(&**files, *identity, &revised.new) {
            let generation = revised.new.generation;
            tracing::warn!(%error, generation, "a revision is not kept: it does not outlive the daemon");
        }
        revision::forget(&**files, &revised.gone);
    }

    fn fail(&self, error: &std::io::Error) {
        tracing::error!(%error, "the state directory failed: changes are refused until a new snapshot is written");
        *self.shared.failed.lock() = Some(error.to_string());
    }
}
