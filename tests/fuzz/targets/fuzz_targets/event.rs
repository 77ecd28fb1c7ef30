//! `cargo fuzz run event`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| support::decoders::event(bytes));
