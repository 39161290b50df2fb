//! A crash after each operation of a run, with everything that a file system may keep of what was not synced.

use super::disk::Disk;
use super::run::{IDENTITY, Run, STEP, held, twin};
use crate::durable;

/// A run with groups, compactions, batches meanwhile, and a restart. Notes after which operation what was acknowledged.
fn recorded() -> (Disk, Vec<(usize, u64, u64)>) {
    let disk = Disk::default();
    disk.record();
    let mut notes = vec![(0, 0, 0)];
    let mut run = Run::open(&disk).unwrap();
    for step in 0..14 {
        // what is being sent counts as sent before the first operation of its own
        let coming = [1, 3, 2][step % 3];
        notes.push((disk.operations(), run.acknowledged, run.sent + coming + 2));
        match step {
            4 | 9 => run.compact(2).unwrap(),
            6 => run = Run::open(&disk).unwrap(),
            _ => run.group(coming).unwrap(),
        }
        notes.push((disk.operations(), run.acknowledged, run.sent));
    }
    (disk, notes)
}

#[test]
fn every_cut_leaves_whole_batches_and_all_that_were_acknowledged() {
    let (disk, notes) = recorded();
    let (mut cases, mut unsent) = (0, 0);
    for (operation, state) in disk.history().iter().enumerate() {
        // acknowledged: only what was before this operation; sent: all that may be on its way
        let acknowledged = notes.iter().filter(|note| note.0 <= operation).map(|note| note.1).max().unwrap();
        let sent = notes.iter().filter(|note| note.0 <= operation).map(|note| note.2).max().unwrap();
        for files in state.crashes() {
            let disk = Disk::of(&files);
            let batches = Run::check(&disk, acknowledged, sent);
            unsent += usize::from(batches > acknowledged);
            // going on from there is as good, and what was cut does not come back
            let (recovered, journal, room) = durable::open(&disk, IDENTITY, STEP).unwrap();
            drop((journal, room));
            assert_eq!(held(&recovered.image), twin(batches));
            let mut run = Run::open(&disk).unwrap();
            run.group(2).unwrap();
            Run::check(&disk, batches + 2, batches + 2);
            cases += 1;
        }
    }
    assert!(
        cases > 1000 && unsent > 10,
        "{cases} cases, {unsent} with more than was acknowledged: the run is not worth much"
    );
}

#[test]
fn a_crash_while_it_recovers_loses_nothing() {
    let (disk, _) = recorded();
    let mut run = Run::open(&disk).unwrap();
    let sent = run.sent;
    // torn: the group is written and not synced
    let operation = disk.operations();
    disk.fail(operation + 1, super::disk::Failure::Dead);
    assert!(run.group(3).is_err());
    disk.mend();
    for files in disk.history().last().unwrap().crashes() {
        let torn = Disk::of(&files);
        torn.record();
        let batches = Run::check(&torn, sent, sent + 3);
        Run::open(&torn).unwrap();
        for state in torn.history() {
            for files in state.crashes() {
                Run::check(&Disk::of(&files), batches, batches);
            }
        }
    }
}
