//! See `vrouter/tests/fuzz/classify.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vrouter_fuzz::fuzz::classify::run(bytes));
