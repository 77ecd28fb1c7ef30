//! testkit

pub mod disk;
pub mod fake_printer;
pub mod rng;
pub mod shop;
pub mod stranger;
pub mod wait;
