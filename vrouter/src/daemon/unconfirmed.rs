//! Batches that wait to be confirmed, or their owners' objects become what they were. Time is an argument.

use std::collections::BTreeMap;

use prost::Message;

use crate::api::state::v1 as state;
use crate::api::v1;

/// What waits, by owner.
#[derive(Default)]
pub struct Unconfirmed {
    waiting: BTreeMap<String, Waiting>,
    /// When it was looked at them last; absent: never yet.
    looked: Option<u64>,
}

/// One owner's.
struct Waiting {
    kept: state::Unconfirmed,
    /// When its time is over (milliseconds).
    until: u64,
    /// It is: what can be undone is, and the rest when nothing refers to it any more.
    is_over: bool,
    /// When, and at which generation, that was last tried.
    tried: Option<(u64, u64)>,
}

/// Milliseconds until what could not be undone yet is tried again.
const AGAIN: u64 = 1000;
/// Milliseconds between two looks, beyond which the thread was busy and heard nobody: that time does not count.
const DEAF: u64 = 500;

impl Unconfirmed {
    /// An owner's batch waits from now on.
    pub fn begin(&mut self, owner: &str, kept: state::Unconfirmed, now: u64) {
        let until = now + u64::from(kept.confirm_ms);
        self.waiting.insert(owner.to_owned(), Waiting { kept, until, is_over: false, tried: None });
    }

    /// One that waited in another process waits for the rest of its time. `wall`: milliseconds since 1970.
    pub fn go_on(&mut self, owner: &str, kept: state::Unconfirmed, now: u64, wall: u64) {
        // a host's clock may have been set meanwhile
        let rest = kept.until_ms.saturating_sub(wall).min(kept.confirm_ms.into());
        self.begin(owner, kept, now);
        if let Some(waiting) = self.waiting.get_mut(owner) {
            waiting.until = now + rest;
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What an owner's changes are refused for: the generation that waits, and for how many milliseconds more.
    pub fn holds(&self, owner: &str, now: u64) -> Option<(u64, u64)> {
        let waiting = self.waiting.get(owner).filter(|waiting| !waiting.is_over)?;
        Some((waiting.kept.generation, waiting.until.saturating_sub(now)))
    }

    /// What waits under this generation (0: whichever) may be confirmed.
    ///
    /// # Errors
    /// For people, as `field: reason`.
    pub fn check(&self, owner: &str, generation: u64) -> Result<u64, String> {
        match self.waiting.get(owner) {
            None => Err("generation: nothing waits to be confirmed".into()),
            Some(waiting) if waiting.is_over => {
                Err(format!("generation: the time of generation {} is over", waiting.kept.generation))
            }
            Some(waiting) if generation != 0 && waiting.kept.generation != generation => {
                Err(format!("generation: it is generation {} that waits", waiting.kept.generation))
            }
            Some(waiting) => Ok(waiting.kept.generation),
        }
    }

    /// Nothing of the owner waits any more. What did.
    pub fn settle(&mut self, owner: &str) -> Option<state::Unconfirmed> {
        self.waiting.remove(owner).map(|waiting| waiting.kept)
    }

    /// Owners whose time is over, and for whom it was not tried since anything changed, nor just now.
    pub fn due(&mut self, now: u64, generation: u64) -> Vec<String> {
        let since = now.saturating_sub(self.looked.replace(now).unwrap_or(now));
        let deaf = if since > DEAF { since } else { 0 };
        let mut due = Vec::new();
        for (owner, waiting) in &mut self.waiting {
            waiting.until += if waiting.is_over { 0 } else { deaf };
            waiting.is_over |= now >= waiting.until;
            let again = |(at, then)| now >= at + AGAIN && then != generation;
            if waiting.is_over && waiting.tried.is_none_or(again) {
                waiting.tried = Some((now, generation));
                due.push(owner.clone());
            }
        }
        due
    }

    /// What could not be undone for another reason than what refers to it is due again, whether anything changes or not; what waits at this
    /// generation, which is the attempt's own, is not due for that.
    pub fn tried(&mut self, owner: &str, generation: Option<u64>) {
        if let Some((_, then)) = self.waiting.get_mut(owner).and_then(|waiting| waiting.tried.as_mut()) {
            *then = generation.unwrap_or(u64::MAX);
        }
    }

    /// What an owner's objects were.
    pub fn before(&self, owner: &str) -> &[v1::Object] {
        self.waiting.get(owner).map_or(&[], |waiting| &waiting.kept.before)
    }

    /// Bytes of all.
    pub fn bytes(&self) -> usize {
        self.waiting.values().map(|waiting| waiting.kept.encoded_len()).sum()
    }

    /// An owner's (empty: all), for people.
    pub fn told(&self, owner: &str, now: u64) -> Vec<v1::Unconfirmed> {
        let wanted = self.waiting.iter().filter(|(of, _)| owner.is_empty() || *of == owner);
        let told = wanted.map(|(owner, Waiting { kept, until, is_over, .. })| v1::Unconfirmed {
            owner: owner.clone(),
            generation: kept.generation,
            time_ms: kept.time_ms,
            by: kept.by.clone(),
            message: kept.message.clone(),
            // at least 1 while it waits
            remaining_ms: if *is_over { 0 } else { until.saturating_sub(now).clamp(1, u32::MAX.into()) as u32 },
        });
        told.collect()
    }

    /// All, as they are kept.
    pub fn all(&self) -> BTreeMap<String, state::Unconfirmed> {
        self.waiting.iter().map(|(owner, waiting)| (owner.clone(), waiting.kept.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(generation: u64, confirm_ms: u32) -> state::Unconfirmed {
        state::Unconfirmed { generation, confirm_ms, until_ms: 1_000_000, ..Default::default() }
    }

    /// Looks at them every 100 ms until then, as the control thread does.
    fn until(unconfirmed: &mut Unconfirmed, now: u64, generation: u64) -> Vec<String> {
        let mut due = Vec::new();
        while unconfirmed.looked.is_none_or(|looked| looked < now) {
            due.extend(unconfirmed.due(now.min(unconfirmed.looked.unwrap_or_default() + 100), generation));
        }
        due
    }

    #[test]
    fn what_is_not_confirmed_in_time_is_due_and_again_when_something_has_changed() {
        let mut unconfirmed = Unconfirmed::default();
        unconfirmed.begin("cni", kept(7, 1000), 0);
        unconfirmed.begin("bgp", kept(8, 1000), 0);
        assert_eq!(unconfirmed.holds("cni", 100), Some((7, 900)));
        assert_eq!(unconfirmed.check("cni", 6).unwrap_err(), "generation: it is generation 7 that waits");
        assert_eq!(unconfirmed.check("operator", 0).unwrap_err(), "generation: nothing waits to be confirmed");
        assert_eq!((unconfirmed.check("bgp", 8), unconfirmed.check("bgp", 0)), (Ok(8), Ok(8)));
        assert!(unconfirmed.settle("bgp").is_some() && unconfirmed.settle("bgp").is_none());
        assert!(until(&mut unconfirmed, 999, 8).is_empty());
        assert_eq!(until(&mut unconfirmed, 1000, 8), ["cni"]);
        assert_eq!(unconfirmed.check("cni", 7).unwrap_err(), "generation: the time of generation 7 is over");
        assert_eq!(unconfirmed.holds("cni", 1000), None, "its owner may go on");
        unconfirmed.tried("cni", Some(9));
        assert!(until(&mut unconfirmed, 5000, 9).is_empty(), "nothing has changed since");
        assert_eq!(until(&mut unconfirmed, 5100, 10), ["cni"]);
    }

    #[test]
    fn time_in_which_nobody_could_be_heard_does_not_count() {
        let mut unconfirmed = Unconfirmed::default();
        unconfirmed.due(100_000, 1);
        unconfirmed.begin("cni", kept(1, 1000), 100_000);
        assert!(until(&mut unconfirmed, 100_900, 1).is_empty());
        assert!(unconfirmed.due(105_900, 1).is_empty(), "a batch took five seconds");
        assert!(until(&mut unconfirmed, 105_999, 1).is_empty());
        assert_eq!(until(&mut unconfirmed, 106_000, 1), ["cni"]);
    }

    #[test]
    fn in_another_process_the_rest_of_the_time_is_left() {
        for (wall, rest) in [(999_600, 400), (1_000_000, 0), (2_000_000, 0), (900_000, 1000), (0, 1000)] {
            let mut unconfirmed = Unconfirmed::default();
            unconfirmed.go_on("cni", kept(7, 1000), 50, wall);
            assert_eq!(unconfirmed.holds("cni", 50), Some((7, rest)), "{wall}");
        }
    }
}
