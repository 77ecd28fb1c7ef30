//! `cargo fuzz run message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| support::decoders::message(bytes));
