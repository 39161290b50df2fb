//! Learning: when stations of bridges were seen, and how often they moved.

use std::sync::Arc;

use hashbrown::HashMap;

use super::Model;
use super::change::{self, Sighted};
use super::records::{Bridge, Learnt};
use crate::ids::{BridgeId, Mac, Tick};
use crate::tables::{SeenAt, Sighting, Snapshot};

/// Seconds without a frame after which a station is forgotten, unless given (IEEE 802.1D).
const AGEING: u32 = 300;
/// Stations learnt at one place unless given.
const LIMIT: u32 = 1024;
/// So many moves within so many milliseconds are taken for two stations with one MAC (RFC 7432, section 15.1).
const MOVES: u32 = 5;
const WINDOW: u64 = 180_000;

/// Since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub learnt: u64,
    pub moved: u64,
    pub pinned: u64,
    pub aged: u64,
    /// Beyond a limit, or of a place where nothing is learnt.
    pub refused: u64,
}

/// What is known of the stations in `State::learnt` beside where they are.
#[derive(Default)]
pub(super) struct Learning {
    seen: HashMap<(BridgeId, Mac), Seen>,
    /// Stations by place.
    places: HashMap<(BridgeId, SeenAt), u32>,
    counts: Counts,
    now: u64,
}

struct Seen {
    at: SeenAt,
    last: u64,
    moves: u32,
    /// When the first of these moves was.
    since: u64,
}

/// Ticks that a station of this bridge is remembered.
pub(super) fn ageing(bridge: &Bridge) -> u32 {
    Tick::PER_SECOND * if bridge.ageing == 0 { AGEING } else { bridge.ageing }
}

impl Model {
    /// Notes where stations were seen. `None`: no news.
    pub fn sighted(&mut self, sightings: &[Sighting], now_ms: u64) -> Option<Arc<Snapshot>> {
        self.learning.now = now_ms;
        let mut news = false;
        for sighting in sightings {
            news |= self.one_sighted(sighting, now_ms);
        }
        news.then(|| self.publish(""))
    }

    /// Forgets stations from which no frame came for too long, and what was noted of those that went otherwise. `None`: no news.
    pub fn age_stations(&mut self, now_ms: u64) -> Option<Arc<Snapshot>> {
        self.learning.now = now_ms;
        let state = &self.state;
        let is_old = |(bridge, _): &(BridgeId, Mac), seen: &Seen| {
            let bridge = state.bridge_by_id.get(bridge);
            let ageing = bridge.map_or(0, |bridge| ageing(bridge) / Tick::PER_SECOND);
            now_ms.saturating_sub(seen.last) >= 1000 * u64::from(ageing)
        };
        let there = |key| state.learnt.contains_key(key);
        let old = self.learning.seen.iter().filter(|(key, seen)| !there(key) || is_old(key, seen));
        let old: Vec<(BridgeId, Mac)> = old.map(|(key, _)| *key).collect();
        let mut news = false;
        for key in old {
            self.learning.forget(key);
            if self.state.learnt.contains_key(&key) {
                self.learning.counts.aged += 1;
                self.state.set_learnt(key, None);
                news = true;
            }
        }
        news.then(|| self.publish(""))
    }

    /// What was learnt so far.
    pub fn learning(&self) -> Counts {
        self.learning.counts
    }

    fn one_sighted(&mut self, sighting: &Sighting, now: u64) -> bool {
        let (key, at) = ((sighting.bridge, sighting.mac), sighting.at);
        let sighted = change::see(&self.state, sighting);
        match sighted {
            Sighted::Nothing => return false,
            Sighted::Known => {
                self.learning.seen.get_mut(&key).into_iter().for_each(|seen| seen.last = now);
                return false;
            }
            Sighted::Refused | Sighted::Pinned => {
                self.learning.counts.refused += 1;
                return false;
            }
            Sighted::New | Sighted::Moved => {}
        }
        // what went otherwise and was not looked at since
        if sighted == Sighted::New {
            self.learning.forget(key);
        }
        let limit = self.state.bridge_by_id.get(&key.0).map_or(0, |bridge| bridge.learn_limit);
        let limit = if limit == 0 { LIMIT } else { limit };
        let full = self.learning.places.get(&(key.0, at)).is_some_and(|there| *there >= limit);
        if full || sighted == Sighted::New && self.state.learnt.len() >= self.state.limits.learnt {
            self.learning.counts.refused += 1;
            return false;
        }
        let pinned = self.learning.put(key, at, now);
        let at = if pinned { self.state.learnt.get(&key).map_or(at, |old| old.at) } else { at };
        self.state.set_learnt(key, Some(Learnt { at, pinned }));
        true
    }
}

impl Learning {
    /// Whole seconds since a station was seen last.
    pub fn idle(&self, key: (BridgeId, Mac)) -> u32 {
        let idle = self.seen.get(&key).map_or(0, |seen| self.now.saturating_sub(seen.last) / 1000);
        idle.try_into().unwrap_or(u32::MAX)
    }

    /// Notes a station at a place that is new for it. True: it moved too often, and stays where it was.
    fn put(&mut self, key: (BridgeId, Mac), at: SeenAt, now: u64) -> bool {
        let Some(seen) = self.seen.get_mut(&key) else {
            self.seen.insert(key, Seen { at, last: now, moves: 0, since: now });
            *self.places.entry((key.0, at)).or_default() += 1;
            self.counts.learnt += 1;
            return false;
        };
        if now.saturating_sub(seen.since) > WINDOW {
            (seen.moves, seen.since) = (0, now);
        }
        seen.moves += 1;
        if seen.moves > MOVES {
            self.counts.pinned += 1;
            return true;
        }
        seen.last = now;
        let before = std::mem::replace(&mut seen.at, at);
        self.counts.moved += 1;
        self.leave((key.0, before));
        *self.places.entry((key.0, at)).or_default() += 1;
        false
    }

    fn forget(&mut self, key: (BridgeId, Mac)) {
        if let Some(seen) = self.seen.remove(&key) {
            self.leave((key.0, seen.at));
        }
    }

    fn leave(&mut self, place: (BridgeId, SeenAt)) {
        if let Some(there) = self.places.get_mut(&place) {
            *there -= 1;
            if *there == 0 {
                self.places.remove(&place);
            }
        }
    }
}
