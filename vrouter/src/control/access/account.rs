//! What one client takes of what all share: all connections of a user, or of the holder of a certificate, count together.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::server::Bounds;
use super::Peer;

/// Whose connections count together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Holder {
    User(u32),
    Certificate(String),
}

/// Accounts of those that are connected, and of those that were a second ago: who comes back has no more for it.
#[derive(Debug)]
pub struct Accounts {
    bounds: Bounds,
    open: Mutex<HashMap<Holder, Arc<Account>>>,
}

/// One client's.
#[derive(Debug)]
pub struct Account {
    bounds: Bounds,
    connections: Arc<Semaphore>,
    /// Of the places for open batches, long answers and watches that all share.
    pub places: [Arc<Semaphore>; 3],
    /// Questions that the control thread has not answered.
    pub questions: Semaphore,
    calls: Mutex<Bucket>,
    /// Refusals that the audit log tells of.
    refusals: Mutex<Bucket>,
    /// Bytes of messages of which a part is missing.
    half_sent: AtomicUsize,
}

/// A place of all, and of its holder's.
#[derive(Debug)]
pub struct Place {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl Place {
    pub fn new(all: OwnedSemaphorePermit, own: OwnedSemaphorePermit) -> Place {
        Place { _all: all, _own: own }
    }
}

/// What there are places of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Batches,
    Lists,
    Watches,
}

/// So many a second, and as many at once.
#[derive(Debug)]
struct Bucket {
    rate: f64,
    left: f64,
    at: Instant,
}

const SECOND: Duration = Duration::from_secs(1);
/// Refusals a second of one client's that are written down.
const REFUSALS: u32 = 10;

impl Accounts {
    pub fn new(bounds: Bounds) -> Accounts {
        Accounts { bounds, open: Mutex::new(HashMap::new()) }
    }

    /// The client's.
    pub fn of(&self, peer: &Peer) -> Arc<Account> {
        let holder = match peer {
            Peer::Local { uid, .. } => Holder::User(*uid),
            Peer::Certificate { names, .. } => Holder::Certificate(names.first().cloned().unwrap_or_default()),
        };
        let (now, mut open) = (Instant::now(), self.open.lock());
        open.retain(|_, account| Arc::strong_count(account) > 1 || !account.has_rested(now));
        open.entry(holder).or_insert_with(|| Arc::new(Account::new(self.bounds))).clone()
    }
}

impl Account {
    pub fn new(bounds: Bounds) -> Account {
        let places = || Arc::new(Semaphore::new(bounds.places_of_one));
        Account {
            bounds,
            connections: Arc::new(Semaphore::new(bounds.connections_of_one)),
            places: [places(), places(), places()],
            questions: Semaphore::new(bounds.questions_of_one),
            calls: Mutex::new(Bucket::new(bounds.calls_per_second)),
            refusals: Mutex::new(Bucket::new(REFUSALS)),
            half_sent: AtomicUsize::new(0),
        }
    }

    /// A place for one more connection.
    pub fn connection(&self) -> Option<OwnedSemaphorePermit> {
        self.connections.clone().try_acquire_owned().ok()
    }

    /// A place of this kind.
    pub fn place(&self, of: Of) -> Option<OwnedSemaphorePermit> {
        self.places[of as usize].clone().try_acquire_owned().ok()
    }

    /// How many there are of each kind.
    pub fn places_in_all(&self) -> usize {
        self.bounds.places_of_one
    }

    /// One more call now. False: too many within the last second.
    pub fn call_at(&self, now: Instant) -> bool {
        self.calls.lock().take(now)
    }

    /// One more refusal now. False: so many were told of within the last second.
    pub fn refusal_at(&self, now: Instant) -> bool {
        self.refusals.lock().take(now)
    }

    /// Calls that it may make a second.
    pub fn rate(&self) -> u32 {
        self.bounds.calls_per_second
    }

    /// All that it may do in a second it may do again.
    fn has_rested(&self, now: Instant) -> bool {
        let since = |bucket: &Mutex<Bucket>| now.saturating_duration_since(bucket.lock().at);
        since(&self.calls).min(since(&self.refusals)) >= SECOND
    }

    /// So many bytes more of messages that are not whole. False: too many.
    pub fn half_sent(&self, bytes: usize) -> bool {
        // relaxed: a sum that carries nothing but itself
        self.half_sent.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.bounds.half_sent_bytes
    }

    /// They are whole, or given up.
    pub fn sent(&self, bytes: usize) {
        self.half_sent.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Bucket {
    fn new(rate: u32) -> Bucket {
        Bucket { rate: rate.into(), left: rate.into(), at: Instant::now() }
    }

    fn take(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).min(SECOND);
        self.left = (self.left + since.as_secs_f64() * self.rate).min(self.rate);
        self.at = self.at.max(now);
        let may = self.left >= 1.0;
        self.left -= if may { 1.0 } else { 0.0 };
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_one_client_count_together_and_are_forgotten() {
        let accounts = Accounts::new(Bounds { connections_of_one: 2, ..Bounds::default() });
        let user = |uid| Peer::Local { uid, gid: 0, pid: None };
        let (one, again, other) = (accounts.of(&user(1)), accounts.of(&user(1)), accounts.of(&user(2)));
        let places = (one.connection().unwrap(), again.connection().unwrap());
        assert!(one.connection().is_none() && other.connection().is_some());
        drop(places);
        assert!(one.connection().is_some());
        drop((one, again));
        let named = |name: &str| Peer::Certificate { names: vec![name.into()], address: ([0, 0, 0, 0], 1).into() };
        let cni = accounts.of(&named("cni"));
        let soon = Instant::now() + SECOND;
        cni.calls.lock().at = soon;
        drop(cni);
        assert_eq!(accounts.of(&named("cni")).calls.lock().at, soon, "who comes back finds what was left");
        for holder in [1, 2] {
            let rested = accounts.of(&user(holder));
            (rested.calls.lock().at, rested.refusals.lock().at) = (soon - 3 * SECOND, soon - 3 * SECOND);
        }
        let _third = accounts.of(&user(3));
        assert_eq!(accounts.open.lock().len(), 3, "the second and third, who are there, and who was just now");
    }

    #[test]
    fn a_second_s_calls_may_come_at_once_and_no_more_than_they_come_back() {
        let account = Account::new(Bounds { calls_per_second: 10, ..Bounds::default() });
        let start = Instant::now();
        let calls = |account: &Account, after: u64| {
            (0..100).filter(|_| account.call_at(start + Duration::from_millis(after))).count()
        };
        assert_eq!(
            [calls(&account, 0), calls(&account, 50), calls(&account, 350), calls(&account, 60_000)],
            [10, 0, 3, 10]
        );
    }

    #[test]
    fn half_sent_messages_are_counted_until_they_are_whole() {
        let account = Account::new(Bounds { half_sent_bytes: 100, ..Bounds::default() });
        assert!(account.half_sent(60) && account.half_sent(40) && !account.half_sent(1));
        account.sent(1);
        account.sent(40);
        assert!(account.half_sent(40));
    }
}
