//! The bodies of the fuzz targets: plain functions of bytes that panic on what must not be. `fuzz/` runs them under libFuzzer; the tests
//! replay the inputs that were kept.

pub mod bfd;
pub mod classify;
pub mod control;
mod input;
pub mod local;
mod model;
mod open;
pub mod pipeline;
pub mod text;

/// A target: its name (also that of its folder in `corpus/`), its body, and the inputs that a fuzzer begins with.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub seeds: fn() -> Vec<Vec<u8>>,
}

pub const TARGETS: [Target; 5] = [
    Target { name: "classify", run: classify::run, seeds: classify::seeds },
    Target { name: "pipeline", run: pipeline::run, seeds: pipeline::seeds },
    Target { name: "control", run: control::run, seeds: control::seeds },
    Target { name: "text", run: text::run, seeds: text::seeds },
    Target { name: "local", run: local::run, seeds: local::seeds },
];
