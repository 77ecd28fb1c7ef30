//! `cargo fuzz run code`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| support::decoders::code(bytes));
