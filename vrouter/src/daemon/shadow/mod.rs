//! The shadow that is on: a batch of policies that is tried, and what it would have done to new flows.

mod rows;

use std::sync::Arc;

use crate::api::v1;
use crate::ids::Generation;
use crate::model::{Batch, Model};
use crate::tables::{DIFFERENCES, Found, Shadow, Snapshot};
use rows::Rows;

/// Differences that are taken in a turn: about a millisecond's work.
const TURN: usize = 512;

/// Control thread.
pub struct Trial {
    /// As it came, but what concerns the shadow alone.
    pub begin: v1::Begin,
    pub changes: v1::Changes,
    /// Who sent it.
    pub by: String,
    /// Since when it is on: by the host's clock, in milliseconds since 1970.
    since_ms: u64,
    found: Arc<Found>,
    rows: Rows,
    /// When it was applied to the network last.
    at: Generation,
    /// VIFs and VRFs with other ACLs.
    places: (usize, usize),
    /// Why nothing is judged by it: it does not fit the network any more.
    stands: Option<v1::Refused>,
}

impl Trial {
    /// This batch, which nothing is judged by yet.
    pub fn new((begin, changes): (v1::Begin, v1::Changes), by: String, since_ms: u64, workers: usize) -> Trial {
        Trial {
            begin,
            changes,
            by,
            since_ms,
            found: Arc::new(Found::new(workers)),
            rows: Rows::default(),
            at: Generation(0),
            places: (0, 0),
            stands: None,
        }
    }

    /// What may be said of it to whoever wants another one.
    pub fn holder(&self) -> String {
        format!("{} has one on already, by {}", self.begin.owner, self.by)
    }

    /// Its policies on the network as it is, if it fits; else it stands still, and why.
    ///
    /// # Errors
    /// It does not fit.
    pub fn renew(&mut self, model: &mut Model) -> Result<Arc<Shadow>, v1::Refused> {
        self.at = model.policies_since();
        // what it rests on was judged when it came
        let if_generation = self.begin.if_generation.take();
        let v1::Begin { owner, take_over, .. } = &self.begin;
        let kinds: Vec<v1::Kind> = self.begin.kinds().collect();
        let batch = Batch {
            owner,
            changes: (&self.changes).into(),
            take_over: *take_over,
            replace: self.begin.replace.then_some(&kinds),
            if_generation,
        };
        let made = model.shadow(&batch, &self.found);
        self.places = made.as_ref().map_or((0, 0), Shadow::places);
        self.stands = made.as_ref().err().cloned();
        made.map(Arc::new)
    }

    /// Whether policies have changed since it was applied.
    pub fn is_old(&self, model: &Model) -> bool {
        model.policies_since() > self.at
    }

    /// Takes what workers found, at this time (milliseconds since 1970), or a turn's part of it; returns how much.
    pub fn hear(&mut self, snapshot: &Snapshot, now_ms: u64) -> usize {
        self.take(TURN.div_ceil(self.found.workers().max(1)), snapshot, now_ms)
    }

    /// Takes all that was found until now.
    pub fn hear_all(&mut self, snapshot: &Snapshot, now_ms: u64) {
        self.take(DIFFERENCES, snapshot, now_ms);
    }

    fn take(&mut self, of_each: usize, snapshot: &Snapshot, now_ms: u64) -> usize {
        let mut heard = 0;
        for difference in self.found.take(of_each) {
            self.rows.add(snapshot, &difference, now_ms);
            heard += 1;
        }
        heard
    }

    /// How many VIFs and VRFs have other ACLs by it.
    pub fn places(&self) -> (u64, u64) {
        (self.places.0 as u64, self.places.1 as u64)
    }

    /// What it found, at this generation.
    pub fn report(&self, generation: Generation) -> v1::ShadowReportReply {
        let (judged, lost) = self.found.counts();
        let (vifs, vrfs) = self.places();
        let [now_permitted, now_denied, moved] = self.rows.sums();
        v1::ShadowReportReply {
            generation: generation.0,
            owner: self.begin.owner.clone(),
            by: self.by.clone(),
            message: self.begin.message.clone(),
            since_ms: self.since_ms,
            changes: self.changes.len() as u64,
            vifs,
            vrfs,
            judged,
            now_permitted,
            now_denied,
            moved,
            lost,
            other: self.rows.other(),
            stands_still: self.stands.clone(),
            rows: self.rows.told(),
        }
    }
}
