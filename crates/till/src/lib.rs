//! The use cases of a till behind one door: every [`door::Command`] is answered by [`Till::handle`].
//!
//! Knows no network, no printer and no window: it reads and writes the ledger, and what needs the outside
//! (enrolment, printing) is asked for and reported back as a command. Start at [`door`], then read
//! [`Till::handle`] and follow `checkout::complete`.

#![deny(missing_docs)]

mod checkout;
mod counting;
mod custody;
mod device;
pub mod door;
mod drafts;
mod enrol;
mod goods;
mod paper;
pub mod schema;
mod reports;
mod shift;
mod signing;
mod staff;
mod stockroom;
mod storage;
mod till;
mod views;

pub use custody::{REPLACED, RenewError, Safeguards};
pub use enrol::{PendingJob, PendingWork, ServerLink};
pub use ledger::STREAMS_FOLDER;
pub use storage::{ROOM_LOW, ROOM_NONE, StorageJob, StorageReport, StorageWork, read_file_key};
pub use till::{
    Context, LOCK_FILE, OpenTillError, SettleError, SyncReport, Till, Unparsable, device_public_key,
};
