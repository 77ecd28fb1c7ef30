//! One tenant's SQLite file. All SQL of the hub is in here, so that another database can take its place.

mod books;
mod catalogue;
mod feed;
mod people;
mod rights;
mod stock;
mod stream;

use std::path::{Path, PathBuf};

use domain::ids::{Digest, StreamId};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use uuid::Uuid;

pub(crate) use books::{BalanceRow, ClosingRow};
pub(crate) use catalogue::VariantRow;

pub(crate) use feed::FeedWriter;
pub(crate) use people::{AdminRow, CodeRow, DeviceRow};
pub(crate) use rights::{EdgeRow, IncidentRow, Place, PromiseRow, SealRow, SeenRow, UsedRow};
pub(crate) use stock::{KeptMovement, StockKey, StockState, TakingsRow};
pub(crate) use stream::{AsideRow, NewEvent, StreamRow};

/// Oldest SQLite without the bug that lets two connections corrupt a WAL file while it is reset.
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// Marks our files, so that another program's database is not taken for one: `HNHB`.
const APPLICATION_ID: i32 = 0x484e_4842;
/// Migrations in order; `user_version` counts those that were applied.
const MIGRATIONS: &[&str] = &[
    include_str!("store/schema-1.sql"),
    include_str!("store/schema-2.sql"),
    include_str!("store/schema-3.sql"),
    include_str!("store/schema-4.sql"),
    include_str!("store/schema-5.sql"),
    include_str!("store/schema-6.sql"),
    include_str!("store/schema-7.sql"),
    include_str!("store/schema-8.sql"),
    include_str!("store/schema-9.sql"),
];
/// Schema from which on accounts and closings are kept.
const WITH_BOOKS: usize = 2;
/// Schema from which on rights are kept.
const WITH_RIGHTS: usize = 6;
/// Schema from which on reversals are known by what they undo.
const WITH_REVERSALS: usize = 7;
/// Schema from which on seals say where they stand.
const WITH_SEALS_PLACED: usize = 8;
/// How long a writer waits for another process, such as an import beside a running server.
const BUSY_TIMEOUT_MS: u64 = 5_000;
/// Prepared statements that a connection keeps: more than there are in the submodules.
const STATEMENTS_KEPT: usize = 256;

/// What went wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite failed.
    #[error("the tenant's file failed")]
    Sqlite(#[from] rusqlite::Error),
    /// Another process held the file for too long.
    #[error("the tenant's file is busy")]
    Busy,
    /// The linked SQLite is too old to be trusted with a WAL file.
    #[error("sqlite {found} is older than {SQLITE_VERSION_MIN}")]
    SqliteTooOld {
        /// Version number of the library.
        found: i32,
    },
    /// The file belongs to something else.
    #[error("not a tenant's file")]
    NotOurs,
    /// A newer program wrote the file.
    #[error("the file has schema {found}, this program knows {known}")]
    TooNew {
        /// Schema of the file.
        found: i64,
        /// Latest schema of this program.
        known: i64,
    },
    /// A pragma did not take.
    #[error("pragma {0} did not take effect")]
    Pragma(&'static str),
    /// The file holds something that was never written by this program.
    #[error("the file holds an unreadable {0}")]
    Corrupt(&'static str),
    /// The outcome of a commit is unknown; the connection was dropped and nothing was answered.
    #[error("the commit failed")]
    Commit(#[source] rusqlite::Error),
}

impl StoreError {
    fn from_begin(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                StoreError::Busy
            }
            _ => StoreError::Sqlite(error),
        }
    }
}

/// Result of a store operation.
pub(crate) type StoreResult<T> = Result<T, StoreError>;

pub(crate) struct Store {
    path: PathBuf,
    conn: Connection,
}

/// An open transaction. Methods are grouped by subject in the submodules.
pub(crate) struct Tx<'c> {
    conn: &'c Connection,
}

impl Store {
    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the file; refuses where one exists.
    pub fn create(path: &Path) -> StoreResult<Store> {
        if path.exists() {
            return Err(StoreError::NotOurs);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        conn.pragma_update(None, "application_id", APPLICATION_ID)?;
        Store::prepare(path, conn)
    }

    /// Opens an existing file and brings it to the latest schema.
    pub fn open(path: &Path) -> StoreResult<Store> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
        if application != APPLICATION_ID {
            return Err(StoreError::NotOurs);
        }
        Store::prepare(path, conn)
    }

    fn prepare(path: &Path, conn: Connection) -> StoreResult<Store> {
        let found = rusqlite::version_number();
        if found < SQLITE_VERSION_MIN {
            return Err(StoreError::SqliteTooOld { found });
        }
        conn.busy_timeout(std::time::Duration::from_millis(BUSY_TIMEOUT_MS))?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        // Otherwise each statement whose plan might be guessed better from a value is prepared anew whenever one is
        // bound, and keeping it is of no use.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        let journal: String =
            conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if journal != "wal" {
            return Err(StoreError::Pragma("journal_mode"));
        }
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.pragma_update(None, "trusted_schema", "OFF")?;
        conn.pragma_update(None, "foreign_keys", "ON")?;
        let synchronous: i64 = conn.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        if synchronous != 2 {
            return Err(StoreError::Pragma("synchronous"));
        }
        let mut store = Store {
            path: path.to_owned(),
            conn,
        };
        store.migrate()?;
        Ok(store)
    }

    fn migrate(&mut self) -> StoreResult<()> {
        let version = |conn: &Connection| -> StoreResult<usize> {
            let found: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
            let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
            if found > known {
                return Err(StoreError::TooNew { found, known });
            }
            usize::try_from(found).map_err(|_| StoreError::NotOurs)
        };
        if version(&self.conn)? == MIGRATIONS.len() {
            return Ok(());
        }
        self.write(|tx| {
            // Read again under the lock: another process may have migrated meanwhile.
            let found = version(tx.conn)?;
            for migration in &MIGRATIONS[found..] {
                tx.conn.execute_batch(migration)?;
            }
            if (1..WITH_BOOKS).contains(&found) {
                crate::fold::book_everything(tx)?;
            }
            if (1..WITH_RIGHTS).contains(&found) {
                crate::rights::index_everything(tx)?;
            }
            if (1..WITH_REVERSALS).contains(&found) {
                crate::fold::index_reversals(tx)?;
                crate::incidents::publish(tx)?;
            }
            if (1..WITH_SEALS_PLACED).contains(&found) {
                crate::fold::index_seals(tx)?;
            }
            tx.conn
                .pragma_update(None, "user_version", MIGRATIONS.len())?;
            Ok(())
        })
    }

    /// Runs `work` in a write transaction: all of it is durable when this returns `Ok`, none when it returns `Err`,
    /// except after [`StoreError::Commit`], when nobody knows and the connection is replaced.
    pub fn write<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.conn
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(StoreError::from_begin)?;
        let guard = RollBack { conn: &self.conn };
        let value = work(&Tx { conn: &self.conn })?;
        std::mem::forget(guard);
        if let Err(error) = self.conn.execute_batch("COMMIT") {
            let fresh = Store::open(&self.path)?;
            self.conn = fresh.conn;
            return Err(StoreError::Commit(error).into());
        }
        Ok(value)
    }

    /// Runs `work` on one snapshot of the file.
    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.conn
            .execute_batch("BEGIN DEFERRED")
            .map_err(StoreError::from_begin)?;
        let _guard = RollBack { conn: &self.conn };
        work(&Tx { conn: &self.conn })
    }
}

/// Rolls back when dropped, so that a panic or an early return leaves no open transaction.
struct RollBack<'c> {
    conn: &'c Connection,
}

impl Drop for RollBack<'_> {
    fn drop(&mut self) {
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}

impl Tx<'_> {
    /// Runs `work` so that its changes are undone when it fails, while the transaction goes on.
    pub fn savepoint<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let run = |sql: &str| -> StoreResult<()> {
            self.conn.prepare_cached(sql)?.execute([])?;
            Ok(())
        };
        run("SAVEPOINT one_event")?;
        match work() {
            Ok(value) => {
                run("RELEASE one_event")?;
                Ok(value)
            }
            Err(error) => {
                run("ROLLBACK TO one_event")?;
                run("RELEASE one_event")?;
                Err(error)
            }
        }
    }

    /// A setting of the tenant.
    pub fn meta(&self, key: &str) -> StoreResult<Option<String>> {
        Ok(self
            .conn
            .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()?)
    }

    /// Sets a setting of the tenant.
    pub fn set_meta(&self, key: &str, value: &str) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )?
            .execute([key, value])?;
        Ok(())
    }

    /// Asks SQLite about the pages of the file.
    pub fn quick_check(&self) -> StoreResult<String> {
        Ok(self
            .conn
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?)
    }
}

pub(crate) fn stream_id(bytes: Vec<u8>) -> StoreResult<StreamId> {
    bytes
        .try_into()
        .map(StreamId)
        .map_err(|_| StoreError::Corrupt("stream id"))
}

pub(crate) fn digest(bytes: Vec<u8>) -> StoreResult<Digest> {
    bytes
        .try_into()
        .map(Digest)
        .map_err(|_| StoreError::Corrupt("digest"))
}

pub(crate) fn uuid(bytes: Vec<u8>) -> StoreResult<Uuid> {
    Uuid::from_slice(&bytes).map_err(|_| StoreError::Corrupt("id"))
}

/// Unsigned numbers of ours are counters far below 2^63.
pub(crate) fn to_sql(value: u64) -> StoreResult<i64> {
    i64::try_from(value).map_err(|_| StoreError::Corrupt("counter"))
}

pub(crate) fn from_sql(value: i64) -> StoreResult<u64> {
    u64::try_from(value).map_err(|_| StoreError::Corrupt("counter"))
}

/// Clock readings use all 64 bits; they are stored with the sign bit flipped so that order is kept.
pub(crate) const fn hlc_to_sql(value: u64) -> i64 {
    (value ^ (1 << 63)).cast_signed()
}

pub(crate) const fn hlc_from_sql(value: i64) -> u64 {
    value.cast_unsigned() ^ (1 << 63)
}
