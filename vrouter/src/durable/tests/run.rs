//! A run of batches on a disk, as the daemon's threads do it but in one, and a plain twin of what it comes to.

use std::collections::BTreeMap;

use super::disk::Disk;
use crate::api::state::v1 as state;
use crate::api::v1;
use crate::durable::{self, DurableError, Files, Journal, Room};
use v1::change::Op;

pub const IDENTITY: u64 = 0x1234_5678_9abc_def0;
/// Space is taken in so small steps that a run takes it many times.
pub const STEP: u64 = 4096;

/// A batch: VRFs by name with their tenant; absent: deleted.
pub type Batch = Vec<(String, Option<String>)>;
/// VRFs by name: tenant and number.
pub type Twin = BTreeMap<String, (String, u32)>;

/// The n-th batch of a run.
pub fn batch(n: u64) -> Batch {
    let name = |n: u64| format!("vrf{}", n % 7);
    let mut batch = vec![(name(n), Some(format!("tenant{n}")))];
    if n.is_multiple_of(3) {
        batch.push((name(n + 1), None));
    }
    batch.push((name(n * 5), Some("x".repeat((n % 50) as usize))));
    batch
}

/// What the first batches come to.
pub fn twin(batches: u64) -> Twin {
    let mut twin = Twin::new();
    for n in 1..=batches {
        for (at, (name, tenant)) in batch(n).into_iter().enumerate() {
            match tenant {
                Some(tenant) => _ = twin.insert(name, (tenant, number(n, at))),
                None => _ = twin.remove(&name),
            }
        }
    }
    twin
}

fn number(n: u64, at: usize) -> u32 {
    n as u32 * 10 + at as u32
}

pub fn message(n: u64) -> state::Batch {
    let mut numbers = state::Numbers {
        next: Some(state::Next { vrf: n as u32 * 10 + 9, ..Default::default() }),
        ..Default::default()
    };
    let change = |(at, (name, tenant)): (usize, (String, Option<String>))| {
        let op = match tenant {
            Some(tenant) => {
                numbers.vrfs.push(state::Named { name: name.clone(), number: number(n, at), row: 0 });
                let vrf = v1::Vrf { name, tenant, ..Default::default() };
                Op::Put(v1::object::Kind::Vrf(vrf).into())
            }
            None => Op::Delete(v1::ObjectKey { kind: Some(v1::object_key::Kind::Vrf(name)) }),
        };
        v1::Change { op: Some(op) }
    };
    let changes: Vec<_> = batch(n).into_iter().enumerate().map(change).collect();
    // one by one, as in files of version 1, or as they come
    let (changes, said) = if n.is_multiple_of(3) { (changes, None) } else { (Vec::new(), Some(changes.into())) };
    state::Batch {
        sequence: n,
        generation: 100 + n,
        owner: "bgp".into(),
        changes,
        numbers: Some(numbers),
        lease_ms: None,
        said,
        ..state::Batch::default()
    }
}

/// What an image holds, and that its numbers are those of what is there.
pub fn held(image: &durable::Image) -> Twin {
    let mut numbers: BTreeMap<String, u32> =
        image.numbers().vrfs.into_iter().map(|one| (one.name, one.number)).collect();
    let held = image.objects().map(|object| match object.unwrap() {
        (owner, v1::Object { kind: Some(v1::object::Kind::Vrf(vrf)), .. }) => {
            assert_eq!(&*owner, "bgp");
            let number = numbers.remove(&vrf.name).unwrap();
            (vrf.name, (vrf.tenant, number))
        }
        other => panic!("{other:?}"),
    });
    let held = held.collect();
    assert!(numbers.is_empty(), "numbers of what is gone: {numbers:?}");
    held
}

/// A run that can be asked how far it came.
pub struct Run {
    pub disk: Disk,
    /// Batches handed over.
    pub sent: u64,
    /// Batches acknowledged.
    pub acknowledged: u64,
    journal: Option<(Journal, Room)>,
}

impl Run {
    /// Opens the directory on this disk.
    pub fn open(disk: &Disk) -> Result<Run, DurableError> {
        let (recovered, journal, room) = durable::open(disk, IDENTITY, STEP)?;
        let batches = recovered.image.batches;
        Ok(Run { disk: disk.clone(), sent: batches, acknowledged: batches, journal: Some((journal, room)) })
    }

    /// A group of batches that share a sync.
    pub fn group(&mut self, batches: u64) -> std::io::Result<()> {
        let (journal, room) = self.journal.as_mut().unwrap();
        for n in self.sent + 1..=self.sent + batches {
            let bytes = prost::Message::encoded_len(&message(n)) as u64;
            room.reserve(bytes)?;
            room.take(bytes);
            journal.add(&message(n));
        }
        self.sent += batches;
        journal.commit()?;
        self.acknowledged = self.sent;
        Ok(())
    }

    /// A new journal and the snapshot that belongs to it; between the two a group of batches goes to the new journal.
    pub fn compact(&mut self, between: u64) -> Result<(), DurableError> {
        let (journal, _) = self.journal.take().unwrap();
        let closed = journal.number;
        let next = Journal::create(&self.disk, IDENTITY, closed + 1, STEP)?;
        journal.close().map_err(|error| DurableError::Io { file: String::new(), error })?;
        self.journal = Some(next);
        self.group(between).map_err(|error| DurableError::Io { file: String::new(), error })?;
        durable::compact(&self.disk, closed)?;
        Ok(())
    }

    /// Reads the disk again and compares.
    #[track_caller]
    pub fn check(files: &dyn Files, acknowledged: u64, sent: u64) -> u64 {
        let recovered = durable::read(files).unwrap_or_else(|error| panic!("{acknowledged} of {sent}: {error}"));
        let Some(recovered) = recovered else {
            assert_eq!(acknowledged, 0, "nothing is there");
            return 0;
        };
        let batches = recovered.image.batches;
        assert!((acknowledged..=sent).contains(&batches), "{batches} is not within {acknowledged} to {sent}");
        assert_eq!(held(&recovered.image), twin(batches));
        batches
    }
}
