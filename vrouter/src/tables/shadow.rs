//! Shadow: ACLs that are tried beside those in force, and what workers found them to judge otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam::queue::ArrayQueue;
use hashbrown::HashMap;

use super::acl::{Acl, Stage};
use crate::drops::DropReason;
use crate::ids::{Place, VifId, VrfId};
use crate::packet::tuple::FlowTuple;

/// Differences that wait at a worker.
pub const DIFFERENCES: usize = 4096;

/// Which ACLs stand elsewhere than in force. All places that it does not name are as they are.
#[derive(Clone)]
pub struct Shadow {
    /// Of VIFs: what they send, what they receive.
    vifs: HashMap<VifId, [Option<Arc<Acl>>; 2]>,
    vrfs: HashMap<VrfId, Option<Arc<Acl>>>,
    /// Shared by all versions of one shadow.
    pub found: Arc<Found>,
}

/// What workers found, and how often they looked.
pub struct Found {
    workers: Box<[FoundBy]>,
}

/// What one worker found. No other worker's is in the same cache line, nor in the one beside.
#[repr(align(128))]
struct FoundBy {
    differences: ArrayQueue<Difference>,
    judged: AtomicU64,
    lost: AtomicU64,
}

/// A decision that comes out otherwise.
#[derive(Clone)]
pub struct Difference {
    /// Where it enters.
    pub place: Place,
    /// Where who permits it lets it leave; absent: it is for us.
    pub exit: Option<Place>,
    pub tuple: FlowTuple,
    pub live: Judged,
    pub shadow: Judged,
}

/// One side of it.
#[derive(Clone)]
pub struct Judged {
    /// Why it is dropped; absent: it is permitted.
    pub denied: Option<DropReason>,
    /// Where the ACL stands that makes the difference.
    pub stage: Option<Stage>,
    /// That ACL, if there is one on this side, and its rule; without a rule the end.
    pub acl: Option<Arc<Acl>>,
    pub rule: Option<u16>,
}

impl Shadow {
    /// Nothing stands elsewhere.
    pub fn new(found: Arc<Found>) -> Shadow {
        Shadow { vifs: HashMap::new(), vrfs: HashMap::new(), found }
    }

    /// A VIF has these for what it sends and receives.
    pub fn set_vif(&mut self, vif: VifId, acls: [Option<Arc<Acl>>; 2]) {
        self.vifs.insert(vif, acls);
    }

    /// A VRF has this one.
    pub fn set_vrf(&mut self, vrf: VrfId, acl: Option<Arc<Acl>>) {
        self.vrfs.insert(vrf, acl);
    }

    /// The ACL that stands there; `None`: what stands there in force. Any thread; does not allocate.
    #[inline]
    pub fn acl(&self, stage: Stage) -> Option<Option<&Arc<Acl>>> {
        match stage {
            Stage::FromVif(vif) => self.vifs.get(&vif).map(|[from, _]| from.as_ref()),
            Stage::ToVif(vif) => self.vifs.get(&vif).map(|[_, to]| to.as_ref()),
            Stage::Vrf(vrf) => self.vrfs.get(&vrf).map(Option::as_ref),
        }
    }

    /// VIFs and VRFs whose flows it judges otherwise, perhaps.
    pub fn places(&self) -> (usize, usize) {
        (self.vifs.len(), self.vrfs.len())
    }
}

impl Found {
    /// Nothing yet, with room for so many workers' differences: half a megabyte each.
    pub fn new(workers: usize) -> Found {
        let empty = || FoundBy {
            differences: ArrayQueue::new(DIFFERENCES),
            judged: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        };
        Found { workers: (0..workers).map(|_| empty()).collect() }
    }

    /// One more decision was judged by both. That worker only.
    #[inline]
    pub fn count(&self, worker: usize) {
        if let Some(by) = self.workers.get(worker) {
            add(&by.judged);
        }
    }

    /// It came out otherwise. That worker only; where there is no room, that is counted.
    pub fn note(&self, worker: usize, difference: Difference) {
        let Some(by) = self.workers.get(worker) else { return };
        // what it names is in the worker's snapshot too: nothing is freed here
        if by.differences.push(difference).is_err() {
            add(&by.lost);
        }
    }

    /// How many workers it is for.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Takes so many of each worker's. Control thread.
    pub fn take(&self, most: usize) -> impl Iterator<Item = Difference> {
        self.workers.iter().flat_map(move |by| std::iter::from_fn(|| by.differences.pop()).take(most))
    }

    /// Decisions judged by both, and differences for which there was no room. Any thread.
    pub fn counts(&self) -> (u64, u64) {
        let sum = |of: fn(&FoundBy) -> &AtomicU64| self.workers.iter().map(|by| of(by).load(Relaxed)).sum();
        (sum(|by| &by.judged), sum(|by| &by.lost))
    }
}

/// One more: written by one worker alone.
fn add(number: &AtomicU64) {
    number.store(number.load(Relaxed) + 1, Relaxed);
}
