//! See `vrouter/tests/fuzz/pipeline.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vrouter_fuzz::fuzz::pipeline::run(bytes));
