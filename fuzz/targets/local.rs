//! See `vrouter/tests/fuzz/local.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vrouter_fuzz::fuzz::local::run(bytes));
