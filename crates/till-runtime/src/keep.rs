//! The thread that looks after the files: their disk, their copies, and checks that take long. It reads the
//! ledger through a connection of its own, so that no sale waits for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use domain::ids::JobId;
use ledger::{FileKey, Ledger, OpenError};
use till::{ROOM_LOW, ROOM_NONE, StorageReport};

use crate::archive::{ArchiveError, Archived, Range, archive};
use crate::copies;
use crate::core::Inbox;
use crate::disk::{Disk, Reserve};

/// What the till's thread asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chore {
    /// Copy the ledger; for this job, or because it was time.
    BackUp { job: Option<JobId>, wall: i64 },
    /// Recompute everything.
    Verify(JobId),
    /// Write the fiscal archive of these days.
    Archive(JobId, Range),
    /// A write found the disk full.
    GiveUpReserve,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum ChoreDone {
    /// How disk and copies are.
    Seen(StorageReport),
    /// The copy was made, or not.
    BackedUp {
        job: Option<JobId>,
        outcome: Result<(), OpenError>,
    },
    /// The first thing that does not fit, or why nobody can tell.
    Verified(JobId, Result<Option<String>, String>),
    /// The archive was written, or not.
    Archived(JobId, Result<Archived, ArchiveError>),
}

/// What the thread works on.
#[derive(Debug)]
pub(crate) struct KeepOptions {
    pub data_dir: PathBuf,
    pub backup_dir: PathBuf,
    pub key: Option<FileKey>,
    pub disk: Arc<dyn Disk>,
    /// Pause between two looks at the disk.
    pub look_every: Duration,
}

/// Works until the till's thread hangs up.
pub(crate) fn run(options: &KeepOptions, chores: &Receiver<Chore>, inbox: &Sender<Inbox>) {
    let mut reserve = Reserve::new(&options.data_dir);
    let mut told = None;
    loop {
        let seen = options.disk.look(&options.data_dir);
        reserve.follow(seen);
        let (backups, last_backup_wall) = copies::kept(&options.backup_dir);
        let report = StorageReport {
            free_bytes: seen.free_bytes,
            reserve_used: reserve.is_used(),
            read_only: seen.read_only,
            backups,
            last_backup_wall,
        };
        if told.map(rough) != Some(rough(report)) {
            told = Some(report);
            if inbox.send(Inbox::Kept(ChoreDone::Seen(report))).is_err() {
                return;
            }
        }
        let done = match chores.recv_timeout(options.look_every) {
            Ok(Chore::BackUp { job, wall }) => ChoreDone::BackedUp {
                job,
                outcome: back_up(options, report, wall),
            },
            Ok(Chore::Verify(job)) => {
                ChoreDone::Verified(job, verify(&options.ledger(), options.key.as_ref()))
            }
            Ok(Chore::Archive(job, range)) => {
                ChoreDone::Archived(job, write_archive(options, report, range))
            }
            Ok(Chore::GiveUpReserve) => {
                reserve.give_up();
                continue;
            }
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        // What the chore changed is told before the chore counts as done.
        let (backups, last_backup_wall) = copies::kept(&options.backup_dir);
        let report = StorageReport {
            backups,
            last_backup_wall,
            ..report
        };
        told = Some(report);
        if inbox.send(Inbox::Kept(ChoreDone::Seen(report))).is_err()
            || inbox.send(Inbox::Kept(done)).is_err()
        {
            return;
        }
    }
}

/// What is worth telling: far from the limits a few megabytes more or less are not.
fn rough(report: StorageReport) -> StorageReport {
    let step = match report.free_bytes {
        Some(free) if free > 2 * ROOM_LOW => ROOM_LOW,
        _ => 1_000_000,
    };
    StorageReport {
        free_bytes: report.free_bytes.map(|free| free / step),
        ..report
    }
}

impl KeepOptions {
    fn ledger(&self) -> PathBuf {
        self.data_dir.join(crate::files::LEDGER_FILE)
    }
}

fn back_up(options: &KeepOptions, report: StorageReport, wall: i64) -> Result<(), OpenError> {
    let path = options.ledger();
    // A copy must not take the room that the next sales need.
    let size = std::fs::metadata(&path).map_or(0, |seen| seen.len());
    let needed = ROOM_NONE.saturating_add(size.saturating_mul(2));
    if report.reserve_used || report.free_bytes.is_some_and(|free| free < needed) {
        return Err(OpenError::Full);
    }
    let reader = Ledger::open_read_only_with(&path, options.key.as_ref())?;
    copies::make(&reader, &options.backup_dir, wall).map(drop)
}

/// What it takes on the way is about what the ledger has: tables beside the packed journal.
fn write_archive(
    options: &KeepOptions,
    report: StorageReport,
    range: Range,
) -> Result<Archived, ArchiveError> {
    let size = std::fs::metadata(options.ledger()).map_or(0, |seen| seen.len());
    let needed = ROOM_NONE.saturating_add(size.saturating_mul(2));
    if report.reserve_used || report.free_bytes.is_some_and(|free| free < needed) {
        return Err(std::io::Error::from(std::io::ErrorKind::StorageFull).into());
    }
    archive(&options.data_dir, None, range, false)
}

fn verify(path: &Path, key: Option<&FileKey>) -> Result<Option<String>, String> {
    let report = Ledger::open_read_only_with(path, key)
        .map_err(|error| error.to_string())?
        .verify()
        .map_err(|error| error.to_string())?;
    Ok(report
        .first_bad
        .map(|bad| format!("{} {}: {}", bad.table, bad.key, bad.what)))
}
