//! Scenarios over several crates: each module is a story that a shopkeeper could tell.

mod accounts;
mod counting;
mod frozen;
mod import;
mod rights;
mod running;
mod sale;
mod snapshots;
