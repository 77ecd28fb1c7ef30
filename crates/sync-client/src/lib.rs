//! A till's side of synchronisation: what to say to the server next, and what an answer means.
//!
//! The [`Engine`] does no I/O: it is asked for the next request, is told what became of it, and reads and
//! writes the ledger it is handed. [`http`] is the only module that opens a socket; a simulator puts another
//! transport in its place. Knows no user interface and no business rule. Start at [`Engine::poll`].

pub mod engine;
pub mod outgoing;
pub mod pace;
mod unpack;

pub mod enrol;
pub mod http;

pub use engine::{Engine, EngineConfig, EngineEvent, Link, Standing};
pub use outgoing::{Method, Outgoing, OutgoingKind, TransportOutcome};
pub use sync_protocol::{Poke, Want};
