//! `cargo fuzz run door`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| support::decoders::door(bytes));
