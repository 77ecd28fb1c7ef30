//! The use cases of a till behind one door: every [`door::Command`] is answered by [`Till::handle`].
//!
//! Knows no network, no printer and no window: it reads and writes the ledger, and what needs the outside
//! (enrolment, printing) is asked for and reported back as a command. Start at [`door`], then read
//! [`Till::handle`] and follow `checkout::complete`.

#![deny(missing_docs)]

mod checkout;
mod device;
pub mod door;
mod drafts;
mod enrol;
mod paper;
pub mod schema;
mod reports;
mod shift;
mod staff;
mod stockroom;
mod till;
mod views;

pub use enrol::{PendingJob, PendingWork, ServerLink};
pub use till::{Context, OpenTillError, SyncReport, Till, Unparsable};
