//! Support shared by the whole-system suites: a chain of shops in one process, a network that fails on
//! purpose, and a month of receipts.

pub mod decoders;
pub mod faults;
pub mod groceries;
pub mod model;
pub mod net;
pub mod office;
pub mod replay;
pub mod simulation;
pub mod world;
