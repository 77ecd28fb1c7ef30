//! `cargo fuzz run body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| support::decoders::body(bytes));
