//! Why a ledger cannot be opened, and why it refuses to write or read.

use domain::ids::VariantId;
use domain::sale::SaleFault;

/// What kind of trouble the storage is in, as far as a till can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageKind {
    /// Another connection held the lock for longer than the time-out.
    Busy,
    /// No space left; nothing of the transaction was kept.
    Full,
    /// The file or its directory cannot be written.
    ReadOnly,
    /// The disk failed; the connection must not be used further.
    Io,
    /// The file is damaged.
    Corrupt,
    /// The connection was given up after a failure and could not be made again.
    Closed,
    /// Anything else; a fault of this program.
    Other,
}

/// A failure of the storage and its kind.
#[derive(Debug, thiserror::Error)]
#[error("storage failed ({kind:?})")]
pub struct StorageError {
    /// Kind.
    pub kind: StorageKind,
    /// What SQLite said.
    #[source]
    pub source: Option<rusqlite::Error>,
}

impl From<rusqlite::Error> for StorageError {
    fn from(source: rusqlite::Error) -> StorageError {
        StorageError {
            kind: classify(&source),
            source: Some(source),
        }
    }
}

/// Why a file could not be opened or created. The file is left as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file.
    #[error("there is no ledger at this path")]
    NotFound,
    /// There is a file already where one should be created.
    #[error("there is a file at this path already")]
    Exists,
    /// The file is not one of ours.
    #[error("the file is not a ledger")]
    NotALedger,
    /// The file is encrypted with another key than the one at hand, or there is none at hand.
    #[error("the ledger is encrypted, and the key at hand does not open it")]
    Locked,
    /// There is a key for the file, but this program was built without encryption.
    #[error("the ledger is encrypted, and this program reads plain ones only")]
    CannotEncrypt,
    /// A later version of this program has changed the file in a way this one does not understand.
    #[error("the ledger has format {found}, this program understands up to {understood}")]
    NewerVersion {
        /// Format of the file.
        found: u32,
        /// Latest format this program understands.
        understood: u32,
    },
    /// File or directory cannot be written.
    #[error("the ledger or its directory cannot be written")]
    ReadOnly,
    /// No space left.
    #[error("no space is left for the ledger")]
    Full,
    /// The last events do not fit together, or SQLite finds the file damaged.
    #[error("the ledger is damaged: {detail}")]
    Corrupt {
        /// What was found.
        detail: String,
    },
    /// The stream to create is not a till's.
    #[error("a till's ledger needs a store and a till number")]
    NotATill,
    /// The SQLite that this program was built with has known corruption faults.
    #[error("SQLite {found} is too old")]
    SqliteTooOld {
        /// Version number found.
        found: i32,
    },
    /// A setting that durability depends on did not take.
    #[error("the setting {name} did not take")]
    Pragma {
        /// Name of the setting.
        name: &'static str,
    },
    /// Anything else the storage or the file system said.
    #[error("the ledger cannot be opened")]
    Io(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why the ledger refuses. Nothing of the transaction is kept.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The receipt's number is not the next of its series.
    #[error("receipt number {found} is not the next, {expected}")]
    NumberTaken {
        /// Next sequence number of the fiscal year.
        expected: u64,
        /// Number or sequence found in the fact.
        found: String,
    },
    /// The postings of a fact do not sum to zero.
    #[error("postings of {kind} are out of balance by {by_minor}")]
    Unbalanced {
        /// Kind of the fact.
        kind: &'static str,
        /// Sum of the postings.
        by_minor: i64,
    },
    /// The sale contradicts itself.
    #[error("the sale contradicts itself")]
    SaleFault(#[from] SaleFault),
    /// The fact does not fit what is already in the journal.
    #[error("{kind} does not fit the journal: {what}")]
    OutOfPlace {
        /// Kind of the fact.
        kind: &'static str,
        /// What does not fit.
        what: &'static str,
    },
    /// The stream has no right to sell so much of a strict variant now.
    #[error("there is no right to sell so much of {variant}")]
    NoRight {
        /// Variant.
        variant: VariantId,
    },
    /// An event with this id is in the journal already.
    #[error("an event with this id exists already")]
    IdTaken,
    /// A server acknowledged a hash that is not ours at that place.
    #[error("the acknowledged head {seq} is not ours")]
    AckMismatch {
        /// Sequence number acknowledged.
        seq: u64,
    },
    /// A sum leaves the range of amounts.
    #[error("a sum overflows")]
    Overflow,
    /// A print job is unknown, or not in a state that allows the change.
    #[error("the print job cannot change to {to}")]
    PrintState {
        /// State wanted.
        to: &'static str,
    },
    /// A stored row cannot be what was written.
    #[error("{table} row {key} is damaged: {what}")]
    Corrupt {
        /// Table.
        table: &'static str,
        /// Key of the row.
        key: String,
        /// What was found.
        what: String,
    },
}

impl LedgerError {
    /// Kind of the storage failure, when it is one.
    pub fn storage_kind(&self) -> Option<StorageKind> {
        match self {
            LedgerError::Storage(error) => Some(error.kind),
            LedgerError::Corrupt { .. } => Some(StorageKind::Corrupt),
            LedgerError::NumberTaken { .. }
            | LedgerError::Unbalanced { .. }
            | LedgerError::SaleFault(_)
            | LedgerError::OutOfPlace { .. }
            | LedgerError::NoRight { .. }
            | LedgerError::IdTaken
            | LedgerError::AckMismatch { .. }
            | LedgerError::Overflow
            | LedgerError::PrintState { .. } => None,
        }
    }
}

impl From<rusqlite::Error> for LedgerError {
    fn from(source: rusqlite::Error) -> LedgerError {
        LedgerError::Storage(source.into())
    }
}

impl From<domain::money::MoneyError> for LedgerError {
    fn from(_: domain::money::MoneyError) -> LedgerError {
        LedgerError::Overflow
    }
}

/// Sorts an SQLite failure by what can be done about it.
pub(crate) fn classify(error: &rusqlite::Error) -> StorageKind {
    use rusqlite::ErrorCode;
    let Some(failure) = error.sqlite_error() else {
        return match error {
            // A value of another type than the schema gives, or text that is no UTF-8, was not written by us.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..) => StorageKind::Corrupt,
            _ => StorageKind::Other,
        };
    };
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StorageKind::Busy,
        ErrorCode::DiskFull => StorageKind::Full,
        // Growing the shared memory file fails for want of space before anything else does.
        ErrorCode::SystemIoFailure
            if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE =>
        {
            StorageKind::Full
        }
        ErrorCode::SystemIoFailure => StorageKind::Io,
        ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
            StorageKind::ReadOnly
        }
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StorageKind::Corrupt,
        _ => StorageKind::Other,
    }
}
