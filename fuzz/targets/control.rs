//! See `vrouter/tests/fuzz/control.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vrouter_fuzz::fuzz::control::run(bytes));
