//! Scenarios over several crates.
