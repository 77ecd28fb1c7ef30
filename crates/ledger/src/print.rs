//! Print jobs: written with the sale, drained by the spooler.

use domain::ids::JobId;

use crate::{Ledger, LedgerError, WriteTx};

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrintKind {
    /// A receipt, for the first time.
    Receipt,
    /// A copy of a receipt or report, marked as such.
    Copy,
    /// An X or Z report.
    Report,
    /// A test page.
    Test,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrintState {
    /// Waiting.
    Queued,
    /// The spooler has it; bytes may have gone out.
    Claimed,
    /// Nobody knows whether it came out.
    Uncertain,
    /// The printer confirmed it.
    Printed,
    /// The printer took the bytes and cannot confirm.
    Accepted,
    /// Given up by a person.
    Cancelled,
}

/// A job to queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPrintJob {
    /// Id.
    pub job: JobId,
    /// What is printed.
    pub kind: PrintKind,
    /// Receipt or Z number, empty for a test page.
    pub number: String,
    /// The document as JSON.
    pub document: String,
    /// 0 for the original.
    pub copy: u32,
    /// Wall clock.
    pub wall: i64,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrintJob {
    /// Id.
    pub job: JobId,
    /// What is printed.
    pub kind: PrintKind,
    /// Receipt or Z number, empty for a test page.
    pub number: String,
    /// The document as JSON.
    pub document: String,
    /// 0 for the original.
    pub copy: u32,
    /// Where it stands.
    pub state: PrintState,
    /// How often it was claimed.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub cause: Option<String>,
    /// Wall clock when it was queued.
    pub wall: i64,
    /// Not to be tried before this wall clock.
    pub not_before_wall: Option<i64>,
}

/// Which jobs to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrintFilter {
    /// Queued, claimed and uncertain ones, oldest first.
    Pending,
    /// The latest of any state, newest first.
    Latest(u32),
}

/// A change of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrintUpdate {
    /// The spooler takes it, before the first byte goes out.
    Claimed,
    /// The printer confirmed it.
    Printed,
    /// The printer took the bytes.
    Accepted,
    /// Nobody knows.
    Uncertain {
        /// Why.
        cause: String,
    },
    /// It did not start, or a person wants it again.
    Queued {
        /// Why.
        cause: Option<String>,
        /// Not before this wall clock.
        not_before_wall: Option<i64>,
    },
    /// Given up.
    Cancelled,
}

impl Ledger {
    /// Jobs.
    pub fn print_jobs(&self, filter: PrintFilter) -> Result<Vec<PrintJob>, LedgerError> {
        unimplemented!()
    }
    /// One job.
    pub fn print_job(&self, job: JobId) -> Result<Option<PrintJob>, LedgerError> {
        unimplemented!()
    }
    /// The oldest queued job.
    pub fn next_print_job(&self) -> Result<Option<PrintJob>, LedgerError> {
        unimplemented!()
    }
}

impl WriteTx<'_> {
    /// Queues a job.
    pub fn queue_print(&mut self, job: &NewPrintJob) -> Result<(), LedgerError> {
        unimplemented!()
    }
    /// Changes a job.
    pub fn mark_print(&mut self, job: JobId, update: &PrintUpdate) -> Result<(), LedgerError> {
        unimplemented!()
    }
}
