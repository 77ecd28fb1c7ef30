//! What a printer can be asked and what it may answer.

use receipt::Bitmap;
use receipt::encode::StatusFault;
use serde::{Deserialize, Serialize};

/// One way to one printer.
pub trait PrinterPort {
    /// Whether a job may be sent now. Prints nothing and may be called at any time.
    fn readiness(&mut self) -> Readiness;

    /// Sends one job, once. Never retries inside: the caller decides from the outcome.
    fn print(&mut self, job: &Payload<'_>) -> Outcome;

    /// Opens the cash drawer: sent at most once, never part of a receipt, and never repeated by the spooler,
    /// because a drawer that opens minutes later is an open drawer that nobody watches.
    fn kick_drawer(&mut self) -> Outcome;
}

/// A job ready to send, in both forms a port may need.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a> {
    /// Unique id of the job.
    pub job: &'a str,
    /// What a person calls it: the receipt number. Used in file names.
    pub label: &'a str,
    /// The picture.
    pub bitmap: &'a Bitmap,
    /// The bytes for the printer.
    pub bytes: &'a [u8],
}

/// Whether a printer can take a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It says yes.
    Ready,
    /// It cannot say; sending is the only way to know.
    Unknown,
    /// It says no, and nothing was sent.
    Blocked(Cause),
}

/// What became of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "cause", rename_all = "snake_case")]
pub enum Outcome {
    /// The printer confirmed that it printed.
    Printed,
    /// Every byte was handed over to a printer that cannot confirm.
    Accepted,
    /// Provably no byte of the job left: safe to try again.
    NotStarted(Cause),
    /// Bytes left and nothing confirmed them: never sent again by itself, a person looks at the paper.
    Uncertain(Cause),
}

/// Why a job is not on paper, or may not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// No connection to the printer.
    Unreachable,
    /// The printer says it is offline.
    Offline,
    /// No paper.
    PaperOut,
    /// The cover is open.
    CoverOpen,
    /// The cutter is stuck.
    Cutter,
    /// The print head is too hot.
    Overheated,
    /// The printer reports another error.
    PrinterError,
    /// The printer stopped taking data.
    TimedOut,
    /// The connection broke.
    Disconnected,
    /// Everything was sent, the expected confirmation never came.
    NotConfirmed,
    /// The program ended between claiming the job and learning its outcome.
    Interrupted,
    /// The stored document cannot be read; nothing was sent.
    Unreadable,
    /// The folder cannot be written.
    Disk,
    /// The printer has no drawer port.
    NoDrawer,
}

impl Cause {
    /// Stable name, for storage and for texts of the user interface.
    pub const fn code(self) -> &'static str {
        match self {
            Cause::Unreachable => "unreachable",
            Cause::Offline => "offline",
            Cause::PaperOut => "paper_out",
            Cause::CoverOpen => "cover_open",
            Cause::Cutter => "cutter",
            Cause::Overheated => "overheated",
            Cause::PrinterError => "printer_error",
            Cause::TimedOut => "timed_out",
            Cause::Disconnected => "disconnected",
            Cause::NotConfirmed => "not_confirmed",
            Cause::Interrupted => "interrupted",
            Cause::Unreadable => "unreadable",
            Cause::Disk => "disk",
            Cause::NoDrawer => "no_drawer",
        }
    }

    /// The cause behind a status answer; none when the printer is well.
    pub(crate) const fn of_fault(fault: StatusFault) -> Option<Cause> {
        match fault {
            StatusFault::Nothing => None,
            StatusFault::Offline => Some(Cause::Offline),
            StatusFault::Error => Some(Cause::PrinterError),
            StatusFault::Cutter => Some(Cause::Cutter),
            StatusFault::CoverOpen => Some(Cause::CoverOpen),
            StatusFault::PaperOut => Some(Cause::PaperOut),
        }
    }
}

impl Outcome {
    /// Stable name, for storage.
    pub const fn code(self) -> &'static str {
        match self {
            Outcome::Printed => "printed",
            Outcome::Accepted => "accepted",
            Outcome::NotStarted(_) => "not_started",
            Outcome::Uncertain(_) => "uncertain",
        }
    }

    /// The cause, where there is one.
    pub const fn cause(self) -> Option<Cause> {
        match self {
            Outcome::Printed | Outcome::Accepted => None,
            Outcome::NotStarted(cause) | Outcome::Uncertain(cause) => Some(cause),
        }
    }
}
