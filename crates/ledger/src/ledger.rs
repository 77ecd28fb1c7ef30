//! The open file: whose it is, where its journal stands, and the one way to write.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::path::PathBuf;

use domain::config::StoreConfig;
use domain::event::{StreamHead, StreamOpened, StreamReason};
use domain::ids::{DeviceId, LocationId, StoreId, StreamId, TenantId, TillId};
use domain::time::{Boot, Hlc};
use rusqlite::{CachedStatement, Connection};

use crate::books::Books;
use crate::cipher::FileKey;
use crate::error::{LedgerError, OpenError, StorageError, StorageKind};
use crate::open::{OpenOptions, check_head, connect, flush};
use crate::stock::OwnMovements;
use crate::witness::Witness;

/// A stream to begin.
#[derive(Debug, Clone)]
pub struct NewStream {
    /// Random id of the stream.
    pub stream: StreamId,
    /// Location that the till's sales take stock from.
    pub location: LocationId,
    /// Body of the first event.
    pub opened: StreamOpened,
}

/// Whose file this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Stream of the file.
    pub stream: StreamId,
    /// Tenant.
    pub tenant: TenantId,
    /// Store.
    pub store: StoreId,
    /// Till number in the store.
    pub till: TillId,
    /// Device that writes it.
    pub device: DeviceId,
    /// Location that sales take stock from.
    pub location: LocationId,
    /// Why the stream began.
    pub reason: StreamReason,
}

/// Where the database is, and so what can be done after a failure.
pub(crate) enum Place {
    File(PathBuf),
    Memory,
    ReadOnly,
}

/// What is asked at every scan, as it stands in the file; forgotten whenever that may have changed otherwise.
#[derive(Default)]
pub(crate) struct Cache {
    pub books: Option<Books>,
    pub own_movements: Option<OwnMovements>,
    pub store_config: Option<Option<Box<StoreConfig>>>,
    pub variant_count: Option<u32>,
    /// See [`Ledger::first_own_event`].
    pub first_own_event: Option<Option<u64>>,
}

/// What the wall clock and the clock since boot said.
pub(crate) type Clocks = (i64, Boot);

/// Where the journal stands: its head, the hybrid clock, and the clocks of the last event.
pub(crate) type Position = (StreamHead, Hlc, Clocks);

/// A till's ledger, open for the one writer, or for reading beside it.
pub struct Ledger {
    /// None after a failure that left the connection in doubt; [`Ledger::ensure_open`] makes a new one.
    conn: Option<Connection>,
    place: Place,
    options: OpenOptions,
    identity: Identity,
    /// Body of event 1, with the totals carried in from an earlier stream.
    pub(crate) opened: StreamOpened,
    pub(crate) head: StreamHead,
    pub(crate) hlc: Hlc,
    /// Clocks of the last event.
    pub(crate) clocks: Clocks,
    pub(crate) cache: RefCell<Cache>,
    witness: Option<Witness>,
    /// The file was encrypted when it was opened, which made another file of it.
    pub(crate) sealed_anew: bool,
    trouble: Cell<Option<StorageKind>>,
    reopened: u64,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("identity", &self.identity)
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl Ledger {
    pub(crate) fn new(
        conn: Connection,
        place: Place,
        options: OpenOptions,
        identity: Identity,
        opened: StreamOpened,
        (head, hlc, clocks): Position,
    ) -> Ledger {
        Ledger {
            conn: Some(conn),
            place,
            options,
            identity,
            opened,
            head,
            hlc,
            clocks,
            cache: RefCell::default(),
            witness: None,
            sealed_anew: false,
            trouble: Cell::new(None),
            reopened: 0,
        }
    }

    pub(crate) fn set_witness(&mut self, witness: Witness) {
        self.witness = Some(witness);
    }

    /// Whose file this is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Public half of the key that the stream was opened with, hexadecimal.
    pub fn public_key(&self) -> &str {
        &self.opened.public_key
    }

    pub(crate) const fn key(&self) -> Option<&FileKey> {
        self.options.key.as_ref()
    }

    /// How the stream began: why, and what was carried over from the one before.
    pub fn opening(&self) -> &StreamOpened {
        &self.opened
    }

    /// Wall clock of the stream's first event, milliseconds; none where it cannot be read.
    pub fn began_wall(&self) -> Option<i64> {
        self.events(1, 1, 0).ok()?.first().map(|event| event.wall)
    }

    /// The last event and its hash; through a [`WriteTx`], with what it has appended so far.
    pub fn head(&self) -> StreamHead {
        self.head
    }

    /// What the last attempt to write failed of; none once one went through.
    pub fn trouble(&self) -> Option<StorageKind> {
        self.trouble.get()
    }

    /// How often the connection was made anew. After each time the journal may hold a fact whose commit had
    /// been reported as failed.
    pub const fn reopened(&self) -> u64 {
        self.reopened
    }

    /// Runs `work` as one transaction: all of it is durable when this returns `Ok`, none of it otherwise.
    ///
    /// An error at COMMIT leaves open whether the transaction is in the file. The connection is then dropped
    /// and made anew, and the journal's head decides the answer. A transaction without an event counts as
    /// failed; each of those can be repeated.
    ///
    /// # Errors
    /// What `work` returns; [`LedgerError::Storage`] from BEGIN and COMMIT; [`LedgerError::OutOfPlace`] when
    /// `work` ignored the refusal of one of its steps.
    pub fn write<T, E: From<LedgerError>>(
        &mut self,
        work: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut tx = WriteTx::begin(self)?;
        match work(&mut tx) {
            Ok(value) => {
                tx.commit(|conn| conn.prepare_cached("COMMIT")?.execute([]).map(drop))?;
                Ok(value)
            }
            Err(error) => {
                drop(tx);
                Err(error)
            }
        }
    }

    /// Makes the connection anew if a failure made it unusable. Call it before looking up whether a request
    /// was answered already.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn ensure_open(&mut self) -> Result<(), OpenError> {
        if self.conn.is_some() {
            return Ok(());
        }
        let Place::File(path) = &self.place else {
            return Err(OpenError::NotFound);
        };
        let conn = connect(path, &self.options)?;
        // What stood in the log may never have reached the disk; copying it into the file and syncing that
        // makes sure, before anybody is told that it is there.
        flush(&conn)?;
        let position = check_head(&conn, self.identity.stream)?;
        self.conn = Some(conn);
        self.reopened += 1;
        self.set_position(position);
        self.forget_cached();
        Ok(())
    }

    /// Moves what the write-ahead log holds into the file, without waiting for readers. To be called when
    /// the till is idle, so that no sale has to do it.
    ///
    /// # Errors
    /// [`LedgerError::Storage`]; nothing is lost, the log stays.
    pub fn checkpoint(&mut self) -> Result<(), LedgerError> {
        self.conn()?
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// Closes the file; what could still go wrong is told.
    pub(crate) fn close(mut self) -> Result<(), LedgerError> {
        match self.conn.take() {
            Some(conn) => conn.close().map_err(|(_, error)| error.into()),
            None => Ok(()),
        }
    }

    fn note_trouble<T>(&self, result: Result<T, LedgerError>) -> Result<T, LedgerError> {
        let kind = result.as_ref().err().and_then(LedgerError::storage_kind);
        match kind {
            None | Some(StorageKind::Busy | StorageKind::Other) => {}
            Some(kind) => self.trouble.set(Some(kind)),
        }
        result
    }

    fn set_position(&mut self, (head, hlc, clocks): Position) {
        (self.head, self.hlc, self.clocks) = (head, hlc, clocks);
    }

    pub(crate) fn conn(&self) -> Result<&Connection, LedgerError> {
        self.conn.as_ref().ok_or(LedgerError::Storage(CLOSED))
    }

    pub(crate) fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>, LedgerError> {
        Ok(self.conn()?.prepare_cached(sql)?)
    }

    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self.place, Place::ReadOnly)
    }

    pub(crate) fn forget_cached(&self) {
        *self.cache.borrow_mut() = Cache::default();
    }

    pub(crate) fn forget_feeds(&self) {
        let mut cache = self.cache.borrow_mut();
        cache.store_config = None;
        cache.variant_count = None;
    }

    /// Finds out whether a transaction whose COMMIT failed is in the file.
    fn settle(&mut self, before: Position, error: rusqlite::Error) -> Result<(), LedgerError> {
        let wanted = self.head;
        let failure = Err(LedgerError::from(error));
        match self.place {
            Place::File(_) => self.conn = None,
            Place::Memory | Place::ReadOnly => {
                self.set_position(before);
                self.forget_cached();
                return match &self.conn {
                    Some(conn) if !conn.is_autocommit() => {
                        conn.execute_batch("ROLLBACK")?;
                        failure
                    }
                    _ => failure,
                };
            }
        }
        self.set_position(before);
        match self.ensure_open() {
            Ok(()) if wanted != before.0 && self.head == wanted => {
                tracing::warn!(
                    event.seq = wanted.seq,
                    "the commit reported a failure but is in the file"
                );
                Ok(())
            }
            Ok(()) => failure,
            Err(reopening) => {
                tracing::error!(error = %reopening, "the ledger cannot be opened again after a failed commit");
                failure
            }
        }
    }
}

const CLOSED: StorageError = StorageError {
    kind: StorageKind::Closed,
    source: None,
};

/// A transaction that is being written. Reads through it see what it has written.
///
/// Once one of its steps has failed it can only be given up.
pub struct WriteTx<'a> {
    pub(crate) ledger: &'a mut Ledger,
    before: Position,
    state: TxState,
}

#[derive(PartialEq, Eq)]
enum TxState {
    Open,
    Failed,
    Ended,
}

impl Deref for WriteTx<'_> {
    type Target = Ledger;
    fn deref(&self) -> &Ledger {
        self.ledger
    }
}

impl Drop for WriteTx<'_> {
    fn drop(&mut self) {
        if self.state == TxState::Ended {
            return;
        }
        self.ledger.set_position(self.before);
        self.ledger.forget_cached();
        let rolled_back = match &self.ledger.conn {
            // A full disk or a failed write has ended the transaction already.
            Some(conn) if conn.is_autocommit() => Ok(()),
            Some(conn) => conn.execute_batch("ROLLBACK"),
            None => Ok(()),
        };
        if let Err(error) = rolled_back {
            tracing::error!(error = %error, "a transaction could not be rolled back");
            // The next write makes a new connection, which cannot see the old transaction.
            self.ledger.give_up_connection();
        }
    }
}

impl Ledger {
    fn give_up_connection(&mut self) {
        if matches!(self.place, Place::File(_)) {
            self.conn = None;
        }
    }
}

impl<'a> WriteTx<'a> {
    fn begin(ledger: &'a mut Ledger) -> Result<WriteTx<'a>, LedgerError> {
        let opened = WriteTx::take_lock(ledger);
        ledger.note_trouble(opened)?;
        let before = (ledger.head, ledger.hlc, ledger.clocks);
        Ok(WriteTx {
            ledger,
            before,
            state: TxState::Open,
        })
    }

    fn take_lock(ledger: &mut Ledger) -> Result<(), LedgerError> {
        ledger.ensure_open().map_err(|error| match error {
            OpenError::Full => storage(StorageKind::Full),
            OpenError::ReadOnly => storage(StorageKind::ReadOnly),
            OpenError::Corrupt { detail } => LedgerError::Corrupt {
                table: "event",
                key: String::new(),
                what: detail,
            },
            OpenError::NotFound
            | OpenError::Exists
            | OpenError::NotALedger
            | OpenError::Locked
            | OpenError::CannotEncrypt
            | OpenError::NewerVersion { .. }
            | OpenError::NotATill
            | OpenError::SqliteTooOld { .. }
            | OpenError::Pragma { .. }
            | OpenError::Io(_) => LedgerError::Storage(CLOSED),
        })?;
        if ledger.is_read_only() {
            return Err(storage(StorageKind::ReadOnly));
        }
        ledger.prepare("BEGIN IMMEDIATE")?.execute([])?;
        Ok(())
    }

    /// Runs one step. A failed one may have left half its rows, so the transaction cannot be committed then.
    pub(crate) fn step<T>(
        &mut self,
        step: impl FnOnce(&mut Ledger) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        // SQLite ends a transaction by itself when the disk is full or fails; what came after would be
        // committed statement by statement.
        if self.state != TxState::Open || self.ledger.conn()?.is_autocommit() {
            self.state = TxState::Failed;
            return Err(IGNORED);
        }
        let result = step(self.ledger);
        let result = self.ledger.note_trouble(result);
        if result.is_err() {
            self.state = TxState::Failed;
        }
        result
    }

    fn commit(
        mut self,
        commit: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), LedgerError> {
        if self.state != TxState::Open || self.ledger.conn()?.is_autocommit() {
            return Err(IGNORED);
        }
        let result = commit(self.ledger.conn()?);
        self.state = TxState::Ended;
        let before = self.before;
        if let Err(error) = result {
            let settled = self.ledger.settle(before, error);
            self.ledger.note_trouble(settled)?;
        }
        self.ledger.trouble.set(None);
        let head = self.ledger.head;
        if head != before.0
            && let Some(witness) = &mut self.ledger.witness
        {
            witness.note(head);
        }
        Ok(())
    }
}

const IGNORED: LedgerError = LedgerError::OutOfPlace {
    kind: "transaction",
    what: "a step of it had failed",
};

fn storage(kind: StorageKind) -> LedgerError {
    LedgerError::Storage(StorageError { kind, source: None })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use domain::config::KeyAlgorithm;
    use domain::event::{Fact, PinReset};
    use domain::ids::{EventId, UserId};
    use domain::time::{Boot, Now};
    use uuid::Uuid;

    use super::*;

    const NOW: Now = Now {
        wall_ms: 1_795_000_000_000,
        boot: Boot { id: 1, ms: 1 },
        utc_offset_min: 60,
    };

    fn new_stream() -> NewStream {
        NewStream {
            stream: StreamId([1; 16]),
            location: LocationId::new("LM").expect("location"),
            opened: StreamOpened {
                reason: StreamReason::Enrolled,
                tenant: TenantId::new("atlas").expect("tenant"),
                store: Some(StoreId::new("LM").expect("store")),
                till: Some(TillId::new("01").expect("till")),
                device: DeviceId(Uuid::from_u128(1)),
                key_algorithm: KeyAlgorithm::Ed25519,
                public_key: String::new(),
                previous: None,
                z_number: 0,
                perpetual_minor: 0,
                periods: std::collections::BTreeMap::new(),
                numbers: std::collections::BTreeMap::new(),
                witness: None,
            },
        }
    }

    fn create(path: &Path) -> Ledger {
        let id = EventId(Uuid::from_u128(1));
        Ledger::create(path, new_stream(), &NOW, id, &OpenOptions::default()).expect("create")
    }

    fn note(
        ledger: &mut Ledger,
        number: u128,
        commit: fn(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), LedgerError> {
        let fact = Fact::PinReset(PinReset {
            user: UserId(Uuid::nil()),
            by: UserId(Uuid::nil()),
        });
        let mut tx = WriteTx::begin(ledger)?;
        tx.append(&NOW, EventId(Uuid::from_u128(number)), &fact)?;
        tx.set_local("note", &number.to_string())?;
        tx.commit(commit)
    }

    fn failure() -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC),
            None,
        )
    }

    #[test]
    fn a_commit_that_failed_but_is_in_the_file_counts() {
        let directory = tempfile::tempdir().expect("directory");
        let mut ledger = create(&directory.path().join("ledger.db"));
        note(&mut ledger, 2, |conn| {
            conn.execute_batch("COMMIT")?;
            Err(failure())
        })
        .expect("it is there");
        assert_eq!(ledger.head().seq, 2);
        assert_eq!(ledger.local("note").expect("note").as_deref(), Some("2"));
        note(&mut ledger, 3, |conn| conn.execute_batch("COMMIT")).expect("going on");
        assert_eq!(ledger.verify().expect("verify").first_bad, None);
    }

    #[test]
    fn a_commit_that_failed_and_is_not_in_the_file_is_refused_whole() {
        let directory = tempfile::tempdir().expect("directory");
        let mut ledger = create(&directory.path().join("ledger.db"));
        let refused = note(&mut ledger, 2, |_| Err(failure())).expect_err("not there");
        assert_eq!(refused.storage_kind(), Some(StorageKind::Io));
        assert_eq!(ledger.head().seq, 1);
        assert_eq!(ledger.local("note").expect("note"), None);
        note(&mut ledger, 2, |conn| conn.execute_batch("COMMIT")).expect("the same event again");
        assert_eq!(ledger.verify().expect("verify").first_bad, None);
    }

    #[test]
    fn a_ledger_that_cannot_be_opened_again_says_so_until_it_can() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("ledger.db");
        let mut ledger = create(&path);
        let away = directory.path().join("away.db");
        std::fs::rename(&path, &away).expect("take the file away");
        let refused = note(&mut ledger, 2, |_| Err(failure())).expect_err("unknown");
        assert_eq!(refused.storage_kind(), Some(StorageKind::Io));
        let closed = ledger.local("note").expect_err("no connection");
        assert_eq!(closed.storage_kind(), Some(StorageKind::Closed));
        assert!(ledger.ensure_open().is_err());
        std::fs::rename(&away, &path).expect("bring it back");
        ledger.ensure_open().expect("open again");
        assert_eq!(
            (ledger.head().seq, ledger.local("note").expect("note")),
            (1, None)
        );
        note(&mut ledger, 2, |conn| conn.execute_batch("COMMIT")).expect("going on");
    }

    #[test]
    fn a_commit_that_fails_in_memory_is_taken_back() {
        let id = EventId(Uuid::from_u128(1));
        let mut ledger = Ledger::create_in_memory(new_stream(), &NOW, id).expect("create");
        assert!(note(&mut ledger, 2, |_| Err(failure())).is_err());
        assert_eq!(ledger.head().seq, 1);
        note(&mut ledger, 2, |conn| conn.execute_batch("COMMIT")).expect("again");
        assert_eq!(ledger.verify().expect("verify").first_bad, None);
    }
}
