//! Every bit flipped, every truncation, every missing file: found and named, or without consequence, never half loaded.

use super::disk::Disk;
use super::run::Run;
use crate::durable::{self, DurableError};
use std::collections::BTreeMap;

/// A directory whose snapshot has objects and whose journal has batches; with `halfway` one in which a closed journal and its successor
/// are there both.
fn directory(halfway: bool) -> (BTreeMap<String, Vec<u8>>, u64) {
    let disk = Disk::default();
    let mut run = Run::open(&disk).unwrap();
    run.group(3).unwrap();
    run.compact(1).unwrap();
    run.group(2).unwrap();
    if halfway {
        // the new snapshot is not made: its first operation comes after 3 of the close, 5 of the journal, and 3 of a group
        let before = disk.files();
        run.compact(2).unwrap();
        let mut files = disk.files();
        files.retain(|name, _| name != "snapshot-00000002");
        files.extend(before.into_iter().filter(|(name, _)| name == "snapshot-00000001"));
        files.insert("journal-00000001".into(), closed(&disk, &run));
        return (files, run.acknowledged);
    }
    (disk.files(), run.acknowledged)
}

/// Journal 1 as it was when it was closed: from a run recorded anew.
fn closed(_: &Disk, _: &Run) -> Vec<u8> {
    let disk = Disk::default();
    let mut run = Run::open(&disk).unwrap();
    run.group(3).unwrap();
    run.compact(1).unwrap();
    run.group(2).unwrap();
    disk.record();
    run.compact(2).unwrap();
    let removed = "journal-00000001";
    let states = disk.history();
    let last = states.iter().rev().find_map(|state| state.crashes().pop()?.remove(removed));
    last.unwrap()
}

#[test]
fn every_flipped_bit_is_found_and_named_or_does_nothing() {
    for halfway in [false, true] {
        let (files, batches) = directory(halfway);
        Run::check(&Disk::of(&files), batches, batches);
        let mut found = 0;
        for (name, bytes) in &files {
            // beyond what is used there are zeros
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 100;
            for at in 0..used.min(bytes.len()) {
                for bit in 0..8 {
                    let mut damaged = files.clone();
                    damaged.get_mut(name).unwrap()[at] ^= 1 << bit;
                    match durable::read(&Disk::of(&damaged)) {
                        Err(DurableError::Corrupt { file, offset, .. }) => {
                            assert_eq!(&file, name);
                            assert!(offset <= at as u64, "byte {at}: {offset}");
                            found += 1;
                        }
                        Err(other) => panic!("{name}, byte {at}: {other}"),
                        // a mark, or what nothing was written to
                        Ok(_) => _ = Run::check(&Disk::of(&damaged), batches, batches),
                    }
                }
            }
        }
        assert!(found > 3000, "{found}");
    }
}

#[test]
fn every_truncation_is_found_and_named() {
    let (files, _) = directory(false);
    for (name, bytes) in &files {
        for length in 0..bytes.len() {
            let mut damaged = files.clone();
            damaged.get_mut(name).unwrap().truncate(length);
            match durable::read(&Disk::of(&damaged)) {
                Err(DurableError::Corrupt { file, .. }) => assert_eq!(&file, name),
                other => panic!("{name} of {length} bytes: {:?}", other.map(|_| "read")),
            }
        }
    }
}

#[test]
fn every_missing_file_is_found_and_named() {
    for halfway in [false, true] {
        let (files, _) = directory(halfway);
        for name in files.keys() {
            let mut damaged = files.clone();
            damaged.remove(name);
            match durable::read(&Disk::of(&damaged)) {
                Err(DurableError::Missing { file }) => assert_eq!(&file, name),
                other => panic!("{name}: {:?}", other.map(|_| "read")),
            }
        }
    }
}

#[test]
fn files_of_another_directory_or_time_are_not_taken() {
    let (files, _) = directory(false);
    let disk = Disk::default();
    let other = durable::open(&disk, 77, super::run::STEP);
    drop(other);
    // the journal of another directory under this one's name
    let mut mixed = files.clone();
    let foreign = disk.files().remove("journal-00000000").unwrap();
    mixed.insert("journal-00000001".into(), foreign.clone());
    assert!(matches!(durable::read(&Disk::of(&mixed)), Err(DurableError::Corrupt { offset: 0, .. })));
    let mut mixed = disk.files();
    let mut ours = Disk::default();
    Run::open(&ours).unwrap();
    mixed.insert("journal-00000000".into(), std::mem::take(&mut ours).files().remove("journal-00000000").unwrap());
    let error = durable::read(&Disk::of(&mixed)).unwrap_err().to_string();
    assert!(error.contains("journal-00000000: at byte 0: the file is of another state directory"), "{error}");
}
