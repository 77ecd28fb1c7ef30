//! testkit

pub mod fake_printer;
