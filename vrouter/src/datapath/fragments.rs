//! Fragments: a later one has no ports, so it goes the way of the first one of its packet, its *head*. A head is decided as a packet of its
//! flow and leaves a note of that; later fragments become packets of that flow, or wait for the note ([`super::held`]). All workers
//! share the notes: it does not matter which of them sees which piece.

use flowtable::{Note, Notes};

use super::classify::Classified;
use super::flows::Lookup;
use super::foresee::Foreseen;
use super::named::{is_error, key_of};
use super::table::{Decided, FlowKey, Flows};
use super::victims::Culprit;
use super::{Fate, Work};
use crate::drops::DropReason;
use crate::ids::Tick;
use crate::packet::transport::Upper;
use crate::packet::tuple::FlowTuple;
use crate::port::BURST;

/// Ticks that a note is for: as long as hosts wait for fragments.
const LIFE: u32 = 30 * Tick::PER_SECOND;
/// Ticks in which a second head with the same id belongs to the same packet. Later, the id was used again: there are few with IPv4.
const SAME_PACKET: u32 = 2 * Tick::PER_SECOND;

/// What is known of a packet by its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// It was of this protocol and had these ports.
    Known { protocol: u8, ports: (u16, u16), dropped: bool },
    /// There were two, with different ones.
    Twice,
}

/// Buckets of notes beside a flow table with room for so many pairs of a family: 28,672 notes at most.
pub fn buckets(pairs: u32) -> usize {
    (pairs as usize / 16).next_power_of_two().clamp(16, 4096)
}

/// The heads of a burst, in order.
pub struct Heads {
    /// Their identities and hashes.
    pub(super) of: Vec<(FlowKey, u64)>,
}

impl Heads {
    pub(super) fn new() -> Heads {
        Heads { of: Vec::with_capacity(BURST) }
    }
}

/// A fragment without ports.
#[inline]
pub(super) fn is_later(found: &Classified) -> bool {
    matches!(found.packet.upper, Upper::Fragment)
}

/// What the fragments of one packet have in common, at one place of entry, as a key.
pub(super) fn identity(found: &Classified) -> FlowKey {
    FlowKey::new(&found.packet.identity(), found.place.into())
}

/// What is known of the packet with this identity.
pub(super) fn head_of(notes: &Notes, identity: &FlowKey, hash: u64, now: Tick) -> Option<Head> {
    let (words, tag) = identity.words();
    notes.find(words, tag, hash, (now.0, LIFE)).map(|note| Head::unpack(note.value))
}

impl Head {
    const DROPPED: u64 = 1 << 40;
    const TWICE: u64 = 2 << 40;

    fn pack(self) -> u64 {
        match self {
            Head::Known { protocol, ports: (source, destination), dropped } => {
                let verdict = if dropped { Head::DROPPED } else { 0 };
                verdict | u64::from(protocol) << 32 | u64::from(source) << 16 | u64::from(destination)
            }
            Head::Twice => Head::TWICE,
        }
    }

    fn unpack(value: u64) -> Head {
        if value & Head::TWICE != 0 {
            return Head::Twice;
        }
        let ports = ((value >> 16) as u16, value as u16);
        Head::Known { protocol: (value >> 32) as u8, ports, dropped: value & Head::DROPPED != 0 }
    }

    /// What a note says once this head has come, too.
    fn after(self, old: Option<Note>, owner: u32, now: Tick) -> Note {
        let recent = old.filter(|old| now.0.wrapping_sub(old.since) < SAME_PACKET);
        let other = |old: &Note| (old.value ^ self.pack()) & !Head::DROPPED != 0;
        match recent.filter(other) {
            Some(Note { since, .. }) => Note { value: Head::Twice.pack(), owner, since },
            None => Note { value: self.pack(), owner, since: now.0 },
        }
    }
}

impl Lookup<'_> {
    /// Decides a fragment that is pending. A head leaves a note.
    pub(super) fn decide_fragment(&mut self, work: &mut Work, foreseen: Option<&Foreseen>) {
        let Some(found) = work.classified else { return };
        if is_later(&found) {
            self.follow(work);
        }
        if let (Fate::Pending, Some(found), Some(key)) = (work.fate, &work.classified, &work.key) {
            work.fate = self.decide_one(found, key, work, foreseen);
        }
        // an ICMP error goes with a flow that it is none of
        if !is_later(&found) && !is_error(&found) {
            self.note(&found, work);
        }
    }

    /// A head that goes by routes alone: those behind it do, too, and ask for no note. But some may wait for it at any worker, whose VRF had
    /// flows when they came.
    pub(super) fn pass_head(&mut self, found: &Classified, work: &Work) {
        let goes_by_routes = match work.fate {
            Fate::Forward(_) | Fate::Punt(_) | Fate::DropAndTell(..) => true,
            Fate::Drop(reason, _) => reason != DropReason::FragmentQuota,
            _ => false,
        };
        if goes_by_routes && !is_later(found) && !is_error(found) {
            self.note(found, work);
        }
    }

    /// Gives a later fragment the key of its head.
    fn follow(&self, work: &mut Work) {
        let Some(found) = &mut work.classified else { return };
        let identity = identity(found);
        let (protocol, (source_port, destination_port)) =
            match head_of(self.notes, &identity, self.flows.hash(&identity), self.now) {
                Some(Head::Known { protocol, ports, dropped: false }) => (protocol, ports),
                Some(Head::Known { dropped: true, .. }) => {
                    return work.fate = Fate::Drop(DropReason::FragmentHeadDropped, Culprit::Frame);
                }
                Some(Head::Twice) => return work.fate = Fate::Drop(DropReason::FragmentOverlap, Culprit::Frame),
                None => return work.fate = Fate::Hold,
            };
        let head = FlowTuple { protocol, source_port, destination_port, fragment: false, ..found.packet.ends() };
        found.packet.follow(&head);
        work.key = key_of(found);
        let Some(key) = &work.key else { return };
        work.hash = self.flows.hash(key);
        work.found = self.flows.find(key, work.hash);
        // another worker has decided by a snapshot that this one lacks
        if work.found.is_some_and(|(_, entry)| Decided(entry.stamp).generation() > self.snapshot.generation.0) {
            work.fate = Fate::Hold;
        }
    }

    /// Notes what became of a head.
    fn note(&mut self, found: &Classified, work: &Work) {
        let Some(tuple) = found.packet.tuple() else { return };
        let (protocol, ports) = (tuple.protocol, (tuple.source_port, tuple.destination_port));
        let head = Head::Known { protocol, ports, dropped: !matches!(work.fate, Fate::Forward(_) | Fate::Punt(_)) };
        let identity = identity(found);
        let (hash, (words, tag), owner) = (self.flows.hash(&identity), identity.words(), work.charge as u32);
        self.notes.change(words, tag, hash, (self.now.0, LIFE), |old| head.after(old, owner, self.now));
        if self.heads.of.len() < BURST {
            self.heads.of.push((identity, hash));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_back_from_its_note() {
        let known = |protocol, ports, dropped| Head::Known { protocol, ports, dropped };
        for head in [known(0, (0, 0), false), known(255, (65_535, 65_535), true), known(17, (1, 0), false), Head::Twice]
        {
            assert_eq!(Head::unpack(head.pack()), head);
        }
    }

    #[test]
    fn a_second_head_with_other_ports_is_of_the_same_packet_for_a_while() {
        let passed = |port| Head::Known { protocol: 17, ports: (port, 53), dropped: false };
        let first = passed(1).after(None, 7, Tick(100));
        assert_eq!(first, Note { value: passed(1).pack(), owner: 7, since: 100 });
        assert_eq!(passed(1).after(Some(first), 7, Tick(110)), Note { since: 110, ..first });
        let dropped = Head::Known { protocol: 17, ports: (1, 53), dropped: true };
        assert_eq!(dropped.after(Some(first), 7, Tick(110)).value, dropped.pack());
        let twice = passed(2).after(Some(first), 7, Tick(119));
        assert_eq!(twice, Note { value: Head::Twice.pack(), owner: 7, since: 100 });
        assert_eq!(passed(1).after(Some(twice), 7, Tick(119)), twice);
        assert_eq!(passed(2).after(Some(first), 7, Tick(120)), Note { value: passed(2).pack(), owner: 7, since: 120 });
    }
}
