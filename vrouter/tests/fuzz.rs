//! Replays what the fuzzers kept, and what they begin with, on stable. `scripts/check fuzz` looks for more.
#![allow(dead_code)]

#[path = "wire/books.rs"]
mod books;
#[path = "wire/frames.rs"]
mod frames;
#[path = "fuzz/mod.rs"]
mod fuzz;
#[path = "wire/lab.rs"]
mod lab;
#[path = "wire/network.rs"]
mod network;

use std::panic::catch_unwind;
use std::path::PathBuf;

use fuzz::TARGETS;

/// A worker that allocates ends the process.
#[global_allocator]
static ALLOCATOR: flowtable::Watchful = flowtable::Watchful;

/// Bytes that all inputs together may have in the tree.
const CORPORA: usize = 1_000_000;
/// Set to a folder: the seeds of each target are written to a folder of its name there.
const SEEDS: &str = "VROUTER_FUZZ_SEEDS";

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus")).join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("readable").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).expect("readable"))).collect()
}

/// Threads that replay one target's inputs.
const THREADS: usize = 2;

/// Everything is made anew for each input: one that fails does so alone too.
fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    // the frames alone are the other tests' too
    let seeds = (target.seeds)().into_iter().enumerate().step_by(8);
    let seeds = seeds.map(|(number, seed)| (PathBuf::from(format!("seed {number}")), seed));
    let kept = corpus(name);
    assert!(kept.len() >= 10, "{name}: {} inputs are kept", kept.len());
    let inputs: Vec<_> = seeds.chain(kept).collect();
    let share = |first: usize| {
        let mine = inputs.iter().skip(first).step_by(THREADS);
        mine.filter(|(_, bytes)| catch_unwind(|| (target.run)(bytes)).is_err())
            .map(|(path, _)| path)
            .collect::<Vec<_>>()
    };
    let failed: Vec<_> = std::thread::scope(|scope| {
        let shares: Vec<_> = (0..THREADS).map(|first| scope.spawn(move || share(first))).collect();
        shares.into_iter().flat_map(|share| share.join().expect("panics are caught")).collect()
    });
    assert!(failed.is_empty(), "{name}: {failed:#?}");
}

#[test]
fn frames_classify() {
    replay("classify");
}

#[test]
fn packets_changes_and_clocks_pass() {
    replay("pipeline");
}

#[test]
fn requests_are_answered_or_refused() {
    replay("control");
}

#[test]
fn text_is_read_or_refused() {
    replay("text");
}

#[test]
fn punts_end() {
    replay("local");
}

#[test]
fn the_corpora_are_small() {
    let bytes: usize = TARGETS.iter().flat_map(|target| corpus(target.name)).map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes < CORPORA, "{bytes} bytes are kept: minimise them");
}

/// The seeds are worth something: they reach what the targets are for.
#[test]
fn seeds_are_many_and_can_be_written() {
    let folder = std::env::var_os(SEEDS).map(PathBuf::from);
    for target in &TARGETS {
        let seeds = (target.seeds)();
        assert!(seeds.len() > 30, "{}: {}", target.name, seeds.len());
        let Some(folder) = folder.as_ref().map(|folder| folder.join(target.name)) else { continue };
        std::fs::create_dir_all(&folder).expect("a folder");
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:04}")), seed).expect("written");
        }
    }
}
