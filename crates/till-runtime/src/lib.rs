//! A running till: the thread that owns the [`till::Till`], the thread that talks to the server, and the
//! thread that talks to the printer.
//!
//! Shells (the desktop app, the loopback HTTP door) start a [`Runtime`] and pass texts of requests through its
//! [`Handle`]. Knows no window, no web server, no business rule and no SQL. Start at [`Runtime::start`], then
//! read `core.rs`: everything that changes the till happens there, in one thread, in the order it came.

mod archive;
pub mod clock;
mod copies;
mod core;
pub mod disk;
mod files;
mod handle;
mod keep;
mod net;
mod paper;

pub use archive::{
    ArchiveBad, ArchiveError, ArchiveReport, Archived, ArchivedStream, Range, archive,
    verify_archive,
};
pub use copies::{Restored, backup, recover, restore};
pub use domain::ids::JobId;
pub use domain::time::BusinessDate;
pub use files::{InspectError, render, verify, witness_dir};
pub use handle::{
    CallError, EventKind, Handle, Runtime, RuntimeOptions, StartError, StartProblem, TillEvent,
};
pub use ledger::{Recovered, VerifyReport};
