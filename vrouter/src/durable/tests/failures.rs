//! Each operation failed in its turn: a full disk, an I/O error. What was acknowledged is kept, and a directory can be gone on with.

use super::disk::{Disk, Failure};
use super::run::{IDENTITY, Run, STEP};
use crate::durable;

/// Acknowledged and sent when it ended.
fn run(disk: &Disk) -> (u64, u64) {
    let Ok(mut run) = Run::open(disk) else { return (0, 0) };
    for step in 0..6 {
        let done = match step {
            3 => run.compact(1).is_ok(),
            _ => run.group(2).is_ok(),
        };
        if !done {
            return (run.acknowledged, run.sent);
        }
    }
    (run.acknowledged, run.sent)
}

#[test]
fn a_failed_operation_loses_nothing_acknowledged() {
    let whole = Disk::default();
    run(&whole);
    for failure in [Failure::Full, Failure::Io, Failure::Dead] {
        for operation in 0..whole.operations() {
            let disk = Disk::default();
            disk.fail(operation, failure);
            let (acknowledged, sent) = run(&disk);
            disk.mend();
            let states = disk.history();
            let now = Run::check(&disk, acknowledged, sent.max(acknowledged));
            for files in states.last().unwrap().crashes() {
                Run::check(&Disk::of(&files), acknowledged, sent.max(now));
            }
            let mut next = Run::open(&disk).unwrap();
            next.group(1).unwrap();
            next.compact(1).unwrap();
            Run::check(&disk, now + 2, now + 2);
        }
    }
}

#[test]
fn what_cannot_be_trusted_is_left_for_a_new_snapshot() {
    let disk = Disk::default();
    let mut run = Run::open(&disk).unwrap();
    run.group(4).unwrap();
    // its sync fails: it is made, and perhaps not kept
    let sync = disk.operations() + 1;
    disk.fail(sync, Failure::Io);
    assert!(run.group(1).is_err());
    disk.mend();
    let mut image = durable::read(&disk).unwrap().unwrap().image;
    for n in image.batches + 1..=5 {
        image.add(super::run::message(n)).unwrap();
    }
    disk.record();
    let (mut journal, mut room, _) = durable::begin_anew(&disk, IDENTITY, 1, &image, STEP).unwrap();
    for state in disk.history() {
        state.crashes().iter().for_each(|files| _ = Run::check(&Disk::of(files), 4, 5));
    }
    Run::check(&disk, 5, 5);
    room.reserve(1000).unwrap();
    journal.add(&super::run::message(6));
    journal.commit().unwrap();
    Run::check(&disk, 6, 6);
}
