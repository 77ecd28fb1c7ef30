//! The till's disk: the key of its files, the room that is left, and the copies and checks that the runtime
//! makes on its behalf.

use std::fs::{self, File, OpenOptions as FileOptions};
use std::io::Write as _;
use std::path::Path;

use domain::entropy::Entropy;
use domain::ids::{Digest, JobId};
use domain::time::BusinessDate;
use ledger::{FileKey, FileState, OpenError, StorageKind};

use crate::door::{
    Approval, CheckView, JobResult, KeyStorage, Refusal, RefusalCode, Reply, StorageView,
};
use crate::drafts::Change;
use crate::till::{Call, DRAFTS_FILE, LEDGER_FILE, OpenTillError, Outcome, Till};

/// Name of the file key in the data folder.
const FILE_KEY_FILE: &str = "ledger.key";
/// Below this the till warns and no longer fetches what can wait, in bytes.
///
/// # Source
/// DESIGN section 12 and the fault targets: a day of a busy store takes a few megabytes.
pub const ROOM_LOW: u64 = 200_000_000;
/// Below this no new sale begins, in bytes: what is left is for finishing and closing.
pub const ROOM_NONE: u64 = 20_000_000;

/// What the runtime saw of the disk and of the copies on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StorageReport {
    /// Bytes that may still be written; none where nobody can tell.
    pub free_bytes: Option<u64>,
    /// The space kept for closing a day on a full disk had to be given up.
    pub reserve_used: bool,
    /// The folder is gone, or mounted for reading.
    pub read_only: bool,
    /// Copies that are kept.
    pub backups: u32,
    /// Wall clock of the newest.
    pub last_backup_wall: Option<i64>,
}

impl StorageReport {
    /// Whether the till should warn and leave out what can wait.
    pub fn is_low(&self) -> bool {
        self.reserve_used || self.free_bytes.is_some_and(|free| free < ROOM_LOW)
    }

    /// Whether a new sale must not begin.
    pub fn is_full(&self) -> bool {
        self.reserve_used || self.free_bytes.is_some_and(|free| free < ROOM_NONE)
    }
}

/// Work on the files that the runtime does on a thread of its own; its result comes back as
/// [`crate::door::Command::JobFinished`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageJob {
    /// Job of the `Pending` reply.
    pub job: JobId,
    /// What to do.
    pub work: StorageWork,
}

/// What can be done about the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageWork {
    /// Copy the ledger.
    BackUp,
    /// Recompute everything from the stored bytes.
    Verify,
    /// Write the fiscal archive of these trading days.
    Archive {
        /// First day.
        from: Option<BusinessDate>,
        /// Last day.
        until: Option<BusinessDate>,
    },
}

/// What the till knows about its disk.
#[derive(Debug, Default)]
pub(crate) struct Storage {
    pub report: StorageReport,
    pub key_storage: KeyStorage,
    waiting: Vec<StorageJob>,
    running: Vec<JobId>,
    problem: Option<String>,
    last_check: Option<(i64, bool, Option<String>)>,
    last_archive: Option<String>,
}

impl Storage {
    pub fn new(key_storage: KeyStorage) -> Storage {
        Storage {
            key_storage,
            ..Storage::default()
        }
    }
}

impl Till {
    pub(crate) fn storage_view(&self, call: &Call) -> StorageView {
        let Storage {
            report,
            key_storage,
            ..
        } = self.storage;
        let minute = |wall| domain::time::local_minute(wall, call.now.utc_offset_min);
        let trouble = self.ledger.as_ref().and_then(ledger::Ledger::trouble);
        StorageView {
            encrypted: key_storage != KeyStorage::None,
            key_storage,
            last_backup_at: report.last_backup_wall.map(minute),
            backups: report.backups,
            disk_free_mb: report
                .free_bytes
                .map(|bytes| u32::try_from(bytes / 1_000_000).unwrap_or(u32::MAX)),
            low_disk: report.is_low() || trouble == Some(StorageKind::Full),
            full: report.is_full(),
            read_only: report.read_only
                || matches!(
                    trouble,
                    Some(StorageKind::ReadOnly | StorageKind::Io | StorageKind::Closed)
                ),
            working: !self.storage.running.is_empty(),
            last_check: self
                .storage
                .last_check
                .as_ref()
                .map(|(wall, ok, what)| CheckView {
                    at: minute(*wall),
                    ok: *ok,
                    what: what.clone(),
                }),
            last_archive: self.storage.last_archive.clone(),
            problem: self.storage.problem.clone(),
        }
    }

    /// Takes over what the runtime saw of the disk.
    pub fn report_storage(&mut self, report: StorageReport) {
        self.storage.report = report;
    }

    /// Work on the files that was asked for since the last call.
    pub fn take_storage_jobs(&mut self) -> Vec<StorageJob> {
        std::mem::take(&mut self.storage.waiting)
    }

    /// Whether somebody is in the middle of a sale.
    pub fn is_selling(&self) -> bool {
        !self.cart.is_empty()
    }

    /// How the till's files are opened, for a second connection.
    pub const fn file_key(&self) -> Option<&FileKey> {
        self.ledger_options.key.as_ref()
    }

    pub(crate) fn storage_job(&mut self, work: StorageWork, call: &mut Call) -> Outcome {
        self.signed_in()?;
        self.book()?;
        let job = JobId(call.uuid());
        let reply = call.draft(self, Change::default(), Reply::Pending { job })?;
        self.storage.waiting.push(StorageJob { job, work });
        self.storage.running.push(job);
        Ok(reply)
    }

    /// An archive says everything about a till, so a manager asks for it.
    pub(crate) fn export_archive(
        &mut self,
        from: Option<BusinessDate>,
        until: Option<BusinessDate>,
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Outcome {
        self.signed_in()?;
        self.approved_by(approval, RefusalCode::ManagerRequired, call)?;
        if from.zip(until).is_some_and(|(from, until)| from > until) {
            return Err(Refusal::new(RefusalCode::InvalidCommand)
                .with("detail", "the range ends before it begins"));
        }
        self.storage_job(StorageWork::Archive { from, until }, call)
    }

    /// Takes over what became of one of [`Till::take_storage_jobs`]; whether it was one.
    pub(crate) fn storage_job_finished(
        &mut self,
        job: JobId,
        result: &JobResult,
        call: &Call,
    ) -> bool {
        let before = self.storage.running.len();
        self.storage.running.retain(|running| *running != job);
        if self.storage.running.len() == before {
            return false;
        }
        match result {
            JobResult::BackedUp {} => self.storage.problem = None,
            JobResult::Verified { ok, what } => {
                self.storage.problem = None;
                self.storage.last_check = Some((call.now.wall_ms, *ok, what.clone()));
            }
            JobResult::Archived { file } => {
                self.storage.problem = None;
                self.storage.last_archive = Some(file.clone());
            }
            JobResult::Failed { code } => self.storage.problem = Some(code.clone()),
            JobResult::Enrolled { .. } | JobResult::EnrolPending { .. } => {}
        }
        true
    }

    /// Refuses what would begin a sale that the disk has no room to finish.
    pub(crate) fn require_room(&self) -> Result<(), Refusal> {
        if self.storage.report.is_full() {
            return Err(RefusalCode::DiskFull.into());
        }
        Ok(())
    }
}

/// Reads the key of the folder's files; none where no key was made yet.
///
/// # Errors
/// [`OpenTillError::BadKey`], [`OpenTillError::DataDir`].
pub fn read_file_key(data_dir: &Path) -> Result<Option<FileKey>, OpenTillError> {
    let path = data_dir.join(FILE_KEY_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenTillError::DataDir { path, source }),
    };
    let bytes: Digest = text
        .trim()
        .parse()
        .map_err(|_| OpenTillError::BadKey { path })?;
    Ok(Some(FileKey::new(bytes.0)))
}

/// The key of the folder's files, made when the folder is new. A folder whose files are encrypted and whose
/// key is gone gets none: another one could never open them.
pub(crate) fn file_key(
    data_dir: &Path,
    entropy: &mut Entropy,
) -> Result<Option<FileKey>, OpenTillError> {
    let state = |name: &str| {
        ledger::file_state(&data_dir.join(name)).map_err(|source| OpenTillError::DataDir {
            path: data_dir.to_owned(),
            source,
        })
    };
    let sealed =
        state(LEDGER_FILE)? == FileState::Sealed || state(DRAFTS_FILE)? == FileState::Sealed;
    if !ledger::can_encrypt() {
        // Otherwise its drafts would be taken for damaged ones.
        let keyed = data_dir.join(FILE_KEY_FILE).exists();
        return if sealed && keyed {
            Err(OpenError::CannotEncrypt.into())
        } else {
            Ok(None)
        };
    }
    if let Some(key) = read_file_key(data_dir)? {
        return Ok(Some(key));
    }
    if sealed {
        return Err(OpenTillError::KeyMissing {
            path: data_dir.join(FILE_KEY_FILE),
        });
    }
    let bytes: [u8; 32] = entropy.next_bytes();
    write_private(&data_dir.join(FILE_KEY_FILE), &Digest(bytes).to_string()).map_err(|source| {
        OpenTillError::DataDir {
            path: data_dir.to_owned(),
            source,
        }
    })?;
    Ok(Some(FileKey::new(bytes)))
}

/// Writes a new file that only its owner can read, durably: also its name, or a power cut would leave files
/// that nothing opens.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = FileOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    if cfg!(unix)
        && let Some(folder) = path.parent()
    {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
