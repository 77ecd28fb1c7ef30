//! Print jobs: written with the sale, drained by the spooler.

use domain::ids::JobId;
use rusqlite::{OptionalExtension as _, Row};

use crate::error::LedgerError;
use crate::ledger::{Ledger, WriteTx};
use crate::proof::{PRINT_DONE, PRINT_JOB};
use crate::sql::Id;

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
    /// A pulse that opens the drawer: no document, and never repeated by itself.
    Kick,
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

/// Finished jobs kept, so that a document can be looked at or rendered again.
const FINISHED_MAX: i64 = 10_000;
/// Every so many jobs the finished ones beyond that are dropped.
const PRUNE_EVERY: i64 = 64;

impl PrintKind {
    const ALL: [PrintKind; 5] = [
        PrintKind::Receipt,
        PrintKind::Copy,
        PrintKind::Report,
        PrintKind::Test,
        PrintKind::Kick,
    ];
}

impl PrintState {
    /// In the order of the numbers that the column holds.
    const ALL: [PrintState; 6] = [
        PrintState::Queued,
        PrintState::Claimed,
        PrintState::Uncertain,
        PrintState::Printed,
        PrintState::Accepted,
        PrintState::Cancelled,
    ];
}

macro_rules! jobs {
    ($from:literal) => {
        concat!(
            "SELECT job, kind, number, document, copy, state, attempts, cause, wall, not_before_wall ",
            $from
        )
    };
}

fn read(row: &Row<'_>) -> rusqlite::Result<PrintJob> {
    let pick = |index: usize, column: usize| {
        rusqlite::Error::IntegralValueOutOfRange(column, i64::try_from(index).unwrap_or(i64::MAX))
    };
    let kind: usize = row.get(1)?;
    let state: usize = row.get(5)?;
    Ok(PrintJob {
        job: JobId(row.get::<_, Id>(0)?.0),
        kind: *PrintKind::ALL.get(kind).ok_or_else(|| pick(kind, 1))?,
        number: row.get(2)?,
        document: row.get(3)?,
        copy: row.get(4)?,
        state: *PrintState::ALL.get(state).ok_or_else(|| pick(state, 5))?,
        attempts: row.get(6)?,
        cause: row.get(7)?,
        wall: row.get(8)?,
        not_before_wall: row.get(9)?,
    })
}

impl Ledger {
    /// Jobs that `filter` names.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn print_jobs(&self, filter: PrintFilter) -> Result<Vec<PrintJob>, LedgerError> {
        let limit = match filter {
            PrintFilter::Pending => {
                return self.read_jobs(jobs!("FROM print_job WHERE ?1 <> 0 ORDER BY ordinal"), 1);
            }
            PrintFilter::Latest(limit) => limit,
        };
        let mut found = self.read_jobs(
            jobs!("FROM print_job ORDER BY ordinal DESC LIMIT ?1"),
            limit,
        )?;
        let rest = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        found.extend(self.read_jobs(
            jobs!("FROM print_done ORDER BY ordinal DESC LIMIT ?1"),
            rest,
        )?);
        Ok(found)
    }

    fn read_jobs(&self, sql: &str, limit: u32) -> Result<Vec<PrintJob>, LedgerError> {
        self.prepare(sql)?
            .query_map([limit], read)?
            .map(|job| Ok(job?))
            .collect()
    }

    /// One job, pending or finished.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn print_job(&self, job: JobId) -> Result<Option<PrintJob>, LedgerError> {
        for sql in [
            jobs!("FROM print_job WHERE job = ?1 ORDER BY ordinal LIMIT 1"),
            jobs!("FROM print_done WHERE job = ?1 ORDER BY ordinal DESC LIMIT 1"),
        ] {
            let found = self.prepare(sql)?.query_row([Id(job.0)], read).optional()?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The oldest queued job, also while its time has not come: what waits behind it was sold later.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn next_print_job(&self) -> Result<Option<PrintJob>, LedgerError> {
        Ok(self
            .prepare(jobs!(
                "FROM print_job WHERE state = 0 ORDER BY ordinal LIMIT 1"
            ))?
            .query_row([], read)
            .optional()?)
    }
}

impl WriteTx<'_> {
    /// Queues a job; it is durable with the sale or not at all.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn queue_print(&mut self, job: &NewPrintJob) -> Result<(), LedgerError> {
        self.step(|ledger| {
            ledger
                .prepare(
                    "INSERT INTO print_job (ordinal, job, kind, number, copy, state, attempts, wall, document, proof) \
                     SELECT next, ?1, ?2, ?3, ?4, 0, 0, ?5, ?6, \
                     row_proof('print_job', next, ?1, ?2, ?3, ?4, 0, 0, NULL, ?5, NULL, ?6) \
                     FROM (SELECT coalesce(max(ordinal), 0) + 1 AS next FROM print_job)",
                )?
                .execute((
                    Id(job.job.0),
                    job.kind as i64,
                    &job.number,
                    job.copy,
                    job.wall,
                    &job.document,
                ))?;
            Ok(())
        })
    }

    /// Changes a job's state. A finished job stays finished; only a queued one can be claimed; an outcome
    /// belongs to a claimed or an uncertain one.
    ///
    /// # Errors
    /// [`LedgerError::PrintState`] when the job is unknown or the change is not allowed;
    /// [`LedgerError::Storage`].
    pub fn mark_print(&mut self, job: JobId, update: &PrintUpdate) -> Result<(), LedgerError> {
        self.step(|ledger| {
            use PrintState::{Accepted, Cancelled, Claimed, Printed, Queued, Uncertain};
            let (to, name, from): (PrintState, &'static str, &[PrintState]) = match update {
                PrintUpdate::Claimed => (Claimed, "claimed", &[Queued]),
                PrintUpdate::Printed => (Printed, "printed", &[Claimed, Uncertain]),
                PrintUpdate::Accepted => (Accepted, "accepted", &[Claimed]),
                PrintUpdate::Uncertain { .. } => (Uncertain, "uncertain", &[Claimed]),
                PrintUpdate::Queued { .. } => (Queued, "queued", &[Claimed, Uncertain]),
                PrintUpdate::Cancelled => (Cancelled, "cancelled", &[Queued, Claimed, Uncertain]),
            };
            let found: Option<(i64, usize)> = ledger
                .prepare(
                    "SELECT ordinal, state FROM print_job WHERE job = ?1 ORDER BY ordinal LIMIT 1",
                )?
                .query_row([Id(job.0)], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let allowed = |state| from.iter().any(|from| *from as usize == state);
            let Some((ordinal, _)) = found.filter(|(_, state)| allowed(*state)) else {
                return Err(LedgerError::PrintState { to: name });
            };
            let (cause, not_before_wall) = match update {
                PrintUpdate::Uncertain { cause } => (Some(cause.as_str()), None),
                PrintUpdate::Queued {
                    cause,
                    not_before_wall,
                } => (cause.as_deref(), *not_before_wall),
                PrintUpdate::Claimed
                | PrintUpdate::Printed
                | PrintUpdate::Accepted
                | PrintUpdate::Cancelled => (None, None),
            };
            ledger
                .prepare(
                    "UPDATE print_job SET state = ?2, attempts = attempts + (?2 = 1), cause = ?3, \
                     not_before_wall = ?4 WHERE ordinal = ?1",
                )?
                .execute((ordinal, to as i64, cause, not_before_wall))?;
            ledger.prove(&PRINT_JOB, "ordinal = ?1", [ordinal])?;
            if matches!(to, Printed | Accepted | Cancelled) {
                finish(ledger, ordinal)?;
            }
            Ok(())
        })
    }
}

/// Moves a finished job out of the pending ones, and drops the oldest finished ones now and then.
fn finish(ledger: &Ledger, ordinal: i64) -> Result<(), LedgerError> {
    let last = ledger
        .prepare(
            "INSERT INTO print_done (job, kind, number, copy, state, attempts, cause, wall, not_before_wall, document) \
             SELECT job, kind, number, copy, state, attempts, cause, wall, not_before_wall, document \
             FROM print_job WHERE ordinal = ?1",
        )?
        .insert([ordinal])?;
    ledger.prove(&PRINT_DONE, "ordinal = ?1", [last])?;
    ledger
        .prepare("DELETE FROM print_job WHERE ordinal = ?1")?
        .execute([ordinal])?;
    if last % PRUNE_EVERY == 0 {
        ledger
            .prepare("DELETE FROM print_done WHERE ordinal <= ?1")?
            .execute([last - FINISHED_MAX])?;
    }
    Ok(())
}
