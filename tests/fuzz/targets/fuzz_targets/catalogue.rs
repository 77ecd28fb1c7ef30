//! `cargo fuzz run catalogue`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| support::decoders::catalogue(bytes));
