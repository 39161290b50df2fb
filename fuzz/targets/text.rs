//! See `vrouter/tests/fuzz/text.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vrouter_fuzz::fuzz::text::run(bytes));
