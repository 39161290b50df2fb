//! What owners' objects were: the last revisions of each, bounded in number and, all together, in bytes.

use std::collections::BTreeMap;

use prost::Message;

use crate::api::state::v1 as state;
use crate::api::v1;
use v1::object::Kind;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevisionLimits {
    /// Of each owner; 0: none.
    pub of_owner: usize,
    /// Of all; and as many again of what waits to be confirmed.
    pub bytes: usize,
}

/// Objects of one revision.
pub const OBJECTS: usize = 65_536;

impl Default for RevisionLimits {
    fn default() -> Self {
        RevisionLimits { of_owner: 10, bytes: 64 << 20 }
    }
}

/// Revisions by generation: each is one batch's.
#[derive(Default)]
pub struct Revisions {
    limits: RevisionLimits,
    kept: BTreeMap<u64, Kept>,
    bytes: usize,
}

/// One, encoded, and what is told of it.
struct Kept {
    told: v1::Revision,
    encoded: Box<[u8]>,
}

impl Revisions {
    pub fn new(limits: RevisionLimits) -> Revisions {
        Revisions { limits, ..Revisions::default() }
    }

    pub fn limits(&self) -> RevisionLimits {
        self.limits
    }

    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.kept.len()
    }

    /// Keeps one, and tells which others go for it.
    ///
    /// # Errors
    /// It is too large, or none are kept: for people.
    pub fn keep(&mut self, revision: &state::Revision) -> Result<Vec<u64>, String> {
        let encoded = revision.encode_to_vec().into_boxed_slice();
        self.check(encoded.len())?;
        let routes = revision.objects.iter().filter(|object| matches!(object.kind, Some(Kind::Route(_)))).count();
        let told = v1::Revision {
            owner: revision.owner.clone(),
            generation: revision.generation,
            time_ms: revision.time_ms,
            by: revision.by.clone(),
            message: revision.message.clone(),
            objects: (revision.objects.len() - routes) as u64,
            routes: routes as u64,
            bytes: encoded.len() as u64,
        };
        self.bytes += encoded.len();
        if let Some(old) = self.kept.insert(revision.generation, Kept { told, encoded }) {
            self.bytes -= old.encoded.len();
        }
        let mut gone = Vec::new();
        while let Some(generation) = self.beyond(&revision.owner, revision.generation) {
            if let Some(old) = self.kept.remove(&generation) {
                self.bytes -= old.encoded.len();
                gone.push(generation);
            }
        }
        Ok(gone)
    }

    /// The one to go next, when there are too many of an owner, or too many bytes: the oldest of who has the most. Never this one.
    fn beyond(&self, owner: &str, but: u64) -> Option<u64> {
        let mut of: BTreeMap<&str, (usize, usize, u64)> = BTreeMap::new();
        for (generation, kept) in self.kept.iter().rev().filter(|(generation, _)| **generation != but) {
            let row = of.entry(&kept.told.owner).or_default();
            *row = (row.0 + kept.encoded.len(), row.1 + 1, *generation);
        }
        let own = of.get(owner).filter(|row| row.1 + 1 > self.limits.of_owner).map(|row| row.2);
        let most = || of.values().max().map(|row| row.2).filter(|_| self.bytes > self.limits.bytes);
        own.or_else(most)
    }

    /// That so many bytes may be kept.
    ///
    /// # Errors
    /// For people.
    pub fn check(&self, bytes: usize) -> Result<(), String> {
        let RevisionLimits { of_owner, bytes: most } = self.limits;
        match bytes {
            _ if of_owner == 0 => Err("limits.revisions is 0: none are kept".into()),
            bytes if bytes > most => Err(format!("{bytes} bytes are beyond the {most} of limits.revision_mb")),
            _ => Ok(()),
        }
    }

    /// An owner's (empty: all), newest first.
    pub fn told(&self, owner: &str) -> Vec<v1::Revision> {
        let told = self.kept.values().rev().map(|kept| &kept.told);
        told.filter(|told| owner.is_empty() || told.owner == owner).cloned().collect()
    }

    /// The one of this generation.
    pub fn of(&self, generation: u64) -> Option<state::Revision> {
        state::Revision::decode(&*self.kept.get(&generation)?.encoded).ok()
    }

    /// All, oldest first.
    pub fn all(&self) -> Vec<state::Revision> {
        self.kept.values().filter_map(|kept| state::Revision::decode(&*kept.encoded).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(owner: &str, generation: u64, size: usize) -> state::Revision {
        state::Revision { owner: owner.into(), generation, message: "x".repeat(size), ..Default::default() }
    }

    fn generations(revisions: &Revisions, owner: &str) -> Vec<u64> {
        revisions.told(owner).iter().map(|told| told.generation).collect()
    }

    #[test]
    fn of_each_owner_the_last_are_kept() {
        let mut revisions = Revisions::new(RevisionLimits { of_owner: 2, bytes: 10_000 });
        for (owner, generation, gone) in [("a", 1, 0), ("b", 2, 0), ("a", 3, 0), ("a", 4, 1), ("a", 7, 3), ("b", 9, 0)]
        {
            let went = revisions.keep(&revision(owner, generation, 10)).unwrap();
            assert_eq!(went, if gone == 0 { vec![] } else { vec![gone] }, "{generation}");
        }
        assert_eq!((generations(&revisions, "a"), generations(&revisions, "b")), (vec![7, 4], vec![9, 2]));
        assert_eq!(generations(&revisions, ""), [9, 7, 4, 2]);
        assert_eq!(revisions.of(4).unwrap().owner, "a");
        assert!(revisions.of(3).is_none());
        assert_eq!(revisions.bytes(), revisions.told("").iter().map(|told| told.bytes as usize).sum::<usize>());
    }

    #[test]
    fn too_many_bytes_cost_who_has_the_most_its_oldest() {
        let mut revisions = Revisions::new(RevisionLimits { of_owner: 9, bytes: 1000 });
        for (owner, generation, size) in [("small", 1, 50), ("large", 2, 300), ("large", 3, 300)] {
            assert_eq!(revisions.keep(&revision(owner, generation, size)).unwrap(), [0_u64; 0]);
        }
        assert_eq!(revisions.keep(&revision("small", 4, 400)).unwrap(), [2]);
        assert_eq!(generations(&revisions, ""), [4, 3, 1]);
        let error = revisions.keep(&revision("small", 5, 1000)).unwrap_err();
        assert!(error.ends_with("bytes are beyond the 1000 of limits.revision_mb"), "{error}");
        let none = Revisions::new(RevisionLimits { of_owner: 0, bytes: 1000 }).keep(&revision("a", 1, 1)).unwrap_err();
        assert_eq!(none, "limits.revisions is 0: none are kept");
    }
}
