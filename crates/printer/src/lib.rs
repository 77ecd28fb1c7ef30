//! Gets rendered receipts onto paper once: ports to printers and the spooler that feeds them.
//!
//! Knows nothing of sales, of the ledger's tables or of Tauri: jobs come through [`JobStore`], dots and bytes
//! come from `receipt`. No thread lives here; the caller drives [`Spooler::step`].
//!
//! Start reading at [`port`] (what a printer may answer), then [`spooler`] (what is done with the answer).

#![deny(missing_docs)]

pub mod file;
pub mod port;
pub mod profiles;
pub mod spooler;
pub mod tcp;

pub use file::FilePort;
pub use port::{Cause, Outcome, Payload, PrinterPort, Readiness};
pub use profiles::load_folder;
pub use spooler::{Event, Job, JobStore, Next, Spooler, Step};
pub use tcp::{TcpOptions, TcpPort};
