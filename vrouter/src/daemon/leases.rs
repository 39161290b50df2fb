//! Owners that are to be heard of, or lose what they have. Time is an argument.

use std::collections::BTreeMap;

/// Leases by owner.
pub struct Leases {
    leases: BTreeMap<String, Lease>,
    most: usize,
    /// When it was looked at them last; absent: never yet.
    looked: Option<u64>,
}

/// One owner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Milliseconds.
    pub length: u32,
    /// When it runs out.
    pub until: u64,
    /// It ran out, and the owner was not heard of since.
    pub expired: bool,
    /// When, and at which generation, it was last tried to take what an expired owner has.
    tried: Option<(u64, u64)>,
}

/// Milliseconds until what could not go yet is tried again.
const AGAIN: u64 = 1000;
/// Milliseconds between two looks, beyond which the thread was busy and heard nobody: that time is no owner's.
const DEAF: u64 = 500;

impl Leases {
    /// None yet, and at most so many.
    pub fn new(most: usize) -> Leases {
        Leases { leases: BTreeMap::new(), most, looked: None }
    }

    /// That [`Leases::keep`] can be done.
    ///
    /// # Errors
    /// For people, as `field: reason`.
    pub fn check(&self, owner: &str, length: Option<u32>) -> Result<(), String> {
        let new = length.is_some_and(|length| length > 0) && !self.leases.contains_key(owner);
        if new && self.leases.values().filter(|lease| !lease.expired).count() >= self.most {
            return Err(format!("lease_ms: the limit of {} leases is reached", self.most));
        }
        Ok(())
    }

    /// The owner is there. A length is the lease's from now on, 0 ends it. Returns the length (0: there is none) and whether it had run out.
    pub fn keep(&mut self, owner: &str, length: Option<u32>, now: u64) -> (u32, bool) {
        let expired = self.leases.get(owner).is_some_and(|lease| lease.expired);
        let Some(length) = length.or_else(|| self.leases.get(owner).map(|lease| lease.length)).filter(|l| *l > 0)
        else {
            self.leases.remove(owner);
            return (0, expired);
        };
        if self.leases.len() >= self.most && !self.leases.contains_key(owner) {
            self.leases.retain(|_, lease| !lease.expired);
        }
        let lease = Lease { length, until: now + u64::from(length), expired: false, tried: None };
        self.leases.insert(owner.to_owned(), lease);
        (length, expired)
    }

    /// Owners to take from: their leases have run out, and it was not tried since anything changed, nor just now.
    pub fn due(&mut self, now: u64, generation: u64) -> Vec<String> {
        let since = now.saturating_sub(self.looked.replace(now).unwrap_or(now));
        let deaf = if since > DEAF { since } else { 0 };
        let mut due = Vec::new();
        for (owner, lease) in &mut self.leases {
            lease.until += if lease.expired { 0 } else { deaf };
            lease.expired |= now >= lease.until;
            let again = |(at, then)| now >= at + AGAIN && then != generation;
            if lease.expired && lease.tried.is_none_or(again) {
                lease.tried = Some((now, generation));
                due.push(owner.clone());
            }
        }
        due
    }

    /// What an expired owner has could not go for another reason than what refers to it: it is due again, whether anything changes or not.
    pub fn try_again(&mut self, owner: &str) {
        if let Some((_, generation)) = self.leases.get_mut(owner).and_then(|lease| lease.tried.as_mut()) {
            *generation = u64::MAX;
        }
    }

    /// The owner's.
    pub fn of(&self, owner: &str) -> Option<&Lease> {
        self.leases.get(owner)
    }

    /// All owners with a lease.
    pub fn owners(&self) -> impl Iterator<Item = &str> {
        self.leases.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at them every 100 ms until then, as the control thread does.
    fn until(leases: &mut Leases, now: u64, generation: u64) -> Vec<String> {
        let mut due = Vec::new();
        while leases.looked.is_none_or(|looked| looked < now) {
            due.extend(leases.due(now.min(leases.looked.unwrap_or_default() + 100), generation));
        }
        due
    }

    #[test]
    fn a_lease_runs_out_when_its_owner_is_not_heard_of() {
        let mut leases = Leases::new(2);
        assert_eq!(leases.keep("cni", None, 0), (0, false), "who asked for none has none");
        assert_eq!(leases.keep("cni", Some(1000), 0), (1000, false));
        assert_eq!(leases.keep("bgp", Some(9000), 0), (9000, false));
        assert!(until(&mut leases, 900, 7).is_empty());
        assert_eq!(leases.keep("cni", None, 900), (1000, false));
        assert!(until(&mut leases, 1899, 7).is_empty());
        assert_eq!(until(&mut leases, 1900, 7), ["cni"]);
        assert!(until(&mut leases, 2800, 8).is_empty(), "just tried");
        assert_eq!(until(&mut leases, 3000, 8), ["cni"], "what stayed is tried again");
        assert!(until(&mut leases, 5000, 8).is_empty(), "nothing has changed");
        assert_eq!(leases.keep("cni", None, 5000), (1000, true), "it is told");
        assert_eq!((until(&mut leases, 5999, 9), until(&mut leases, 6000, 9)), (vec![], vec!["cni".to_owned()]));
    }

    #[test]
    fn while_nobody_could_be_heard_no_lease_runs() {
        let mut leases = Leases::new(1);
        leases.due(100_000, 1);
        leases.keep("cni", Some(1000), 100_000);
        assert!(until(&mut leases, 100_900, 1).is_empty());
        assert!(leases.due(105_900, 1).is_empty(), "a batch took five seconds");
        assert!(until(&mut leases, 105_999, 1).is_empty());
        assert_eq!(until(&mut leases, 106_000, 1), ["cni"]);
    }

    /// As in a daemon that has just begun on a host that is up for long.
    #[test]
    fn nobody_was_deaf_before_the_first_look() {
        let mut leases = Leases::new(1);
        leases.keep("cni", Some(1000), 5_000_000);
        assert!(leases.due(5_000_010, 1).is_empty() && leases.due(5_000_400, 1).is_empty());
        assert!(leases.due(5_000_800, 1).is_empty());
        assert_eq!(leases.due(5_001_000, 1), ["cni"]);
    }

    #[test]
    fn their_number_is_bounded_and_0_ends_one() {
        let mut leases = Leases::new(1);
        leases.keep("cni", Some(1000), 0);
        assert!(leases.check("cni", Some(5)).is_ok() && leases.check("bgp", None).is_ok());
        assert_eq!(leases.check("bgp", Some(5)).unwrap_err(), "lease_ms: the limit of 1 leases is reached");
        until(&mut leases, 1000, 1);
        assert!(leases.check("bgp", Some(5)).is_ok(), "what has run out is no hindrance");
        leases.keep("bgp", Some(5), 1000);
        assert_eq!(leases.owners().collect::<Vec<_>>(), ["bgp"]);
        assert_eq!(leases.keep("bgp", Some(0), 1001), (0, false));
        assert!(leases.of("bgp").is_none() && until(&mut leases, 9999, 2).is_empty());
    }
}
