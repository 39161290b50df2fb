//! Makes snapshots of journals, from the files. A thread of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError};

use super::{Bind, Kept, Owners, Shared};
use crate::durable::{self, DurableError, Files, Image, Journal};

/// Between attempts at a snapshot that could not be made.
const AGAIN: Duration = Duration::from_secs(10);

/// What it works on.
pub struct Binder {
    orders: Receiver<Bind>,
    files: Arc<dyn Files>,
    identity: u64,
    step: u64,
    shared: Arc<Shared>,
    /// The closed journal that no snapshot is made of yet.
    closed: Option<u64>,
}

impl Binder {
    pub(super) fn new(
        orders: Receiver<Bind>,
        files: Arc<dyn Files>,
        identity: u64,
        step: u64,
        shared: Arc<Shared>,
        closed: Option<u64>,
    ) -> Binder {
        shared.binding.store(closed.is_some(), Ordering::Release);
        Binder { orders, files, identity, step, shared, closed }
    }

    /// Until the ledger and the scribe are gone.
    pub fn run(mut self) {
        loop {
            self.bind();
            let order = if self.closed.is_some() {
                self.orders.recv_timeout(AGAIN)
            } else {
                self.orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match order {
                Ok(order) => self.take(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// The same as far as something waits.
    pub fn step(&mut self) {
        self.bind();
        while let Ok(order) = self.orders.try_recv() {
            self.take(order);
            self.bind();
        }
    }

    fn take(&mut self, order: Bind) {
        match order {
            Bind::Make(number) => match Journal::create(&*self.files, self.identity, number, self.step) {
                Ok((journal, room)) => *self.shared.made.lock() = Some((journal, room, false)),
                Err(error) => self.failed(&error),
            },
            Bind::Closed(number) => self.closed = Some(number),
            Bind::Anew { number, batches, generation, model, owners } => {
                let image = image(batches, generation, *model, owners);
                let anew =
                    image.and_then(|image| durable::begin_anew(&*self.files, self.identity, number, &image, self.step));
                self.shared.renewing.store(false, Ordering::Release);
                match anew {
                    Ok((journal, room, bytes)) => {
                        // what was to be made a snapshot of is gone
                        self.closed = None;
                        self.shared.snapshot.store(bytes, Ordering::Relaxed);
                        *self.shared.made.lock() = Some((journal, room, true));
                        self.shared.binding.store(false, Ordering::Release);
                    }
                    Err(error) => self.failed(&error),
                }
            }
        }
    }

    fn bind(&mut self) {
        let Some(closed) = self.closed else { return };
        match durable::compact(&*self.files, closed) {
            Ok(bytes) => {
                tracing::info!(bytes, number = closed + 1, "snapshot of the state written");
                self.closed = None;
                self.shared.snapshot.store(bytes, Ordering::Relaxed);
                self.shared.binding.store(false, Ordering::Release);
            }
            Err(error) => tracing::warn!(%error, "no snapshot of the state is written: the journal grows"),
        }
    }

    fn failed(&self, error: &DurableError) {
        tracing::warn!(%error, "no new journal of the state");
        self.shared.binding.store(false, Ordering::Release);
    }
}

/// An image of what a model says.
pub fn image(batches: u64, generation: u64, (objects, numbers): Kept, owners: Owners) -> Result<Image, DurableError> {
    let mut image = Image::default();
    (image.batches, image.generation) = (batches, generation);
    (image.leases, image.unconfirmed) = (owners.leases, owners.unconfirmed);
    for (owner, object) in objects {
        let file = "the model".to_owned();
        image.put(owner, object).map_err(|fault| DurableError::Corrupt { file, offset: 0, fault })?;
    }
    image.number(numbers);
    Ok(image)
}
