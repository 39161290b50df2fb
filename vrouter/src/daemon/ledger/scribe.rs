//! Writes the journal and syncs it. A thread of its own.

use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender};

use super::{Bind, Order, Shared, Told};
use crate::durable::Journal;

/// Batches that share a sync, at most, and about how many bytes.
const GROUP: usize = 256;
const BYTES: usize = 64 << 20;

/// The journal's end at which it is written.
pub struct Scribe {
    orders: Receiver<Order>,
    journal: Journal,
    bind: Sender<Bind>,
    shared: Arc<Shared>,
    /// Who is told after the next sync.
    waiting: Vec<Told>,
    /// Something was added since the last sync.
    added: bool,
}

impl Scribe {
    pub(super) fn new(orders: Receiver<Order>, journal: Journal, bind: Sender<Bind>, shared: Arc<Shared>) -> Scribe {
        Scribe { orders, journal, bind, shared, waiting: Vec::new(), added: false }
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
            Order::Keep { batch, told } => {
                self.journal.add(&batch);
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
        self.waiting.drain(..).for_each(|told| told(unkept.clone()));
    }

    fn fail(&self, error: &std::io::Error) {
        tracing::error!(%error, "the state directory failed: changes are refused until a new snapshot is written");
        *self.shared.failed.lock() = Some(error.to_string());
    }
}
