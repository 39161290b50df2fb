//! A file's version says who can read it.

use super::disk::Disk;
use super::run::message;
use crate::api::state::v1 as state;
use crate::durable::journal::{self, Journal};
use crate::durable::record::{self, Kind};
use crate::durable::snapshot::VERSION;
use crate::durable::{DurableError, Fault};
use prost::Message;

const STEP: u64 = 4096;

/// What goes on in a file of an older version is written so that who made the file reads all of it.
#[test]
fn a_journal_goes_on_in_its_own_version() {
    for version in [1, 2, VERSION] {
        let disk = Disk::default();
        let (mut made, _) = Journal::create_as(version, &disk, 7, 1, STEP).unwrap();
        made.add(&message(1));
        made.commit().unwrap();
        let read = journal::read_alone(&disk, 1).unwrap();
        let (mut journal, _) = Journal::go_on(&disk, &read, STEP).unwrap();
        assert_eq!(journal.confirms(), version >= 3, "who made the others does not know of what waits");
        journal.add(&message(2));
        journal.commit().unwrap();
        let bytes = disk.files().remove(&journal::name(1)).unwrap();
        let (mut at, mut seen) = (0, 0);
        while let Some(found) = record::find(&bytes, at, record::seed(7, true, 1), |record| record.kind == Kind::Batch)
        {
            let batch = state::Batch::decode(found.payload).unwrap();
            let wanted: Vec<_> = message(batch.sequence).said.unwrap().into();
            assert_eq!(batch.said.is_some(), version >= 2);
            assert_eq!(batch.said.map_or(batch.changes, Vec::from), wanted);
            (at, seen) = (found.end, seen + 1);
        }
        assert_eq!(seen, 2);
    }
}

/// Nobody guesses what a later version means.
#[test]
fn a_version_that_is_not_known_is_refused() {
    for version in [0, VERSION + 1] {
        let disk = Disk::default();
        drop(Journal::create_as(version, &disk, 7, 1, STEP).unwrap());
        let refused = journal::read_alone(&disk, 1).unwrap_err();
        assert!(matches!(refused, DurableError::Corrupt { offset: 0, fault: Fault::Version, .. }), "{refused:?}");
    }
}
