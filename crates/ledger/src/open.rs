//! Creating and opening the file: settings, migrations, refusals.
//!
//! A file that is not ours, or newer than this program, is looked at through an immutable connection first,
//! which takes no lock and makes no side file, so that refusing it leaves every byte alone.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use domain::event::{Event, EventError, Fact, StreamHead, StreamOpened, chain_hash, genesis_hash};
use domain::ids::{Digest, EventId, LocationId, StreamId};
use domain::time::{Boot, Hlc, Now};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::books::Books;
use crate::cipher::{self, FileKey, FileState};
use crate::error::{OpenError, StorageKind, classify};
use crate::ledger::{Identity, Ledger, NewStream, Place, Position};
use crate::sql::N;

/// Lowest SQLite version accepted: earlier ones can damage a file when the write-ahead log is reset while
/// another connection reads.
///
/// # Source
/// sqlite.org/wal.html, "The WAL-Reset Bug": fixed in 3.51.3.
pub const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// `HNLG` in the file's header: a Hanout ledger.
const APPLICATION_ID: i32 = 0x484E_4C47;
/// Events at the end of the journal that opening checks; `verify` checks all.
const HEAD_CHECKED: u64 = 8;
/// Pages in the write-ahead log after which a commit moves them itself, should nobody have called
/// [`Ledger::checkpoint`] for so long: 32 MiB.
const AUTOCHECKPOINT_PAGES: i64 = 8_192;
/// Prepared statements that a connection keeps: more than there are in this crate.
const STATEMENTS_KEPT: usize = 256;

/// When a commit is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When COMMIT returns, also through a power cut.
    #[default]
    Full,
    /// When the log is next moved into the file: a power cut costs the latest commits and damages nothing. Only
    /// for tests, which must see that loss.
    Checkpoint,
    /// When the operating system gets round to it. Only for tests and simulation.
    Relaxed,
}

/// How to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenOptions {
    /// When a commit is safe.
    pub durability: Durability,
    /// Ceiling of the file in pages of 4 KiB, to act out a full disk.
    pub pages_max: Option<u32>,
    /// Key of the file; none for a file that anybody can read.
    pub key: Option<FileKey>,
}

/// A step from one format of the file to the next.
struct Migration {
    /// Format after it.
    version: u32,
    /// Oldest program, by the latest format that it knows, that may still open the file afterwards.
    understood_from: u32,
    sql: &'static str,
    /// The books are computed anew from the journal after it.
    books_anew: bool,
}

const FORMAT_TABLE: &str = "CREATE TABLE IF NOT EXISTS format (only INTEGER PRIMARY KEY CHECK (only = 1), understood_from INTEGER NOT NULL) STRICT";

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        understood_from: 1,
        sql: include_str!("migrations/0001_ledger.sql"),
        books_anew: false,
    },
    Migration {
        version: 2,
        understood_from: 2,
        sql: include_str!("migrations/0002_cash_and_periods.sql"),
        books_anew: true,
    },
    Migration {
        version: 3,
        understood_from: 3,
        sql: include_str!("migrations/0003_streams.sql"),
        books_anew: false,
    },
    Migration {
        version: 4,
        understood_from: 3,
        sql: include_str!("migrations/0004_signatures.sql"),
        books_anew: false,
    },
    Migration {
        version: 5,
        understood_from: 5,
        sql: include_str!("migrations/0005_proofs.sql"),
        books_anew: false,
    },
    Migration {
        version: 6,
        understood_from: 5,
        sql: include_str!("migrations/0006_adopted_codes.sql"),
        books_anew: false,
    },
    Migration {
        version: 7,
        understood_from: 7,
        sql: include_str!("migrations/0007_rights.sql"),
        books_anew: false,
    },
    Migration {
        version: 8,
        understood_from: 8,
        sql: include_str!("migrations/0008_goods.sql"),
        books_anew: false,
    },
    Migration {
        version: 9,
        understood_from: 8,
        sql: include_str!("migrations/0009_parts.sql"),
        books_anew: false,
    },
];

impl Ledger {
    /// Creates the file with its stream's first event. The file appears whole or not at all.
    ///
    /// # Errors
    /// [`OpenError::Exists`] when something stands at `path`; otherwise what the storage says.
    pub fn create(
        path: &Path,
        new: NewStream,
        now: &Now,
        id: EventId,
        options: &OpenOptions,
    ) -> Result<Ledger, OpenError> {
        check_sqlite()?;
        if path.exists() {
            return Err(OpenError::Exists);
        }
        if !path.parent().is_some_and(Path::is_dir) {
            return Err(OpenError::NotFound);
        }
        let draft = with_suffix(path, ".new");
        remove_database(&draft)?;
        let made = write_new(&draft, new, now, id, options);
        if let Err(error) = made {
            // What is left of the draft is no ledger; a failure to remove it must not hide the cause.
            let _ = remove_database(&draft);
            return Err(error);
        }
        std::fs::rename(&draft, path).map_err(|error| OpenError::Io(Box::new(error)))?;
        sync_directory(path)?;
        Ledger::open(path, options)
    }

    /// A ledger without a file, for tests and simulation.
    ///
    /// # Errors
    /// [`OpenError::NotATill`], or what SQLite says.
    pub fn create_in_memory(new: NewStream, now: &Now, id: EventId) -> Result<Ledger, OpenError> {
        check_sqlite()?;
        let conn = cipher::open_in_memory()?;
        let options = OpenOptions {
            durability: Durability::Relaxed,
            pages_max: None,
            key: None,
        };
        set(&conn, "foreign_keys", 1)?;
        common_settings(&conn, &options)?;
        lay_out(&conn)?;
        begin_stream(&conn, new, now, id)?;
        load(conn, Place::Memory, options)
    }

    /// Opens a file for writing: brings it to this program's format and checks the end of the journal. A plain
    /// file is encrypted first when `options` hold a key.
    ///
    /// # Errors
    /// [`OpenError`]; the file is then as it was.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Ledger, OpenError> {
        check_sqlite()?;
        let key = options.key.as_ref();
        let mut sealed_anew = false;
        if let Some(key) = key
            && is_plain(path)?
        {
            look(path, None)?;
            cipher::seal(path, key)?;
            sealed_anew = true;
            tracing::warn!("the ledger was plain and is encrypted from now on");
        }
        look(path, key)?;
        let conn = connect(path, options)?;
        check_header(&conn, MIGRATIONS)?;
        migrate(&conn, Some(path), key, MIGRATIONS)?;
        let mut ledger = load(conn, Place::File(path.to_owned()), *options)?;
        ledger.sealed_anew = sealed_anew;
        Ok(ledger)
    }

    /// Opens a file for reading beside a running writer. [`Ledger::head`] is the head at opening.
    ///
    /// # Errors
    /// [`OpenError`]; writing through it is refused as [`StorageKind::ReadOnly`].
    pub fn open_read_only(path: &Path) -> Result<Ledger, OpenError> {
        Ledger::open_read_only_with(path, None)
    }

    /// As [`Ledger::open_read_only`], for a file that may be encrypted with `key`.
    ///
    /// # Errors
    /// As [`Ledger::open_read_only`].
    pub fn open_read_only_with(path: &Path, key: Option<&FileKey>) -> Result<Ledger, OpenError> {
        check_sqlite()?;
        // A plain file is read as it is, whatever key there is.
        let key = if is_plain(path)? { None } else { key };
        look(path, key)?;
        let conn = cipher::open_keyed(path, cipher::READ_ONLY, key)?;
        conn.busy_timeout(Duration::from_secs(5))?;
        let conn = match conn.query_row("SELECT count(*) FROM identity", [], |_| Ok(())) {
            Ok(()) => conn,
            // A medium that cannot be written has no room for the shared memory file. Without a log beside
            // it the file alone is complete.
            Err(error)
                if classify(&error) == StorageKind::ReadOnly
                    && !with_suffix(path, "-wal").exists() =>
            {
                immutable(path, key)?
            }
            Err(error) => return Err(error.into()),
        };
        check_header(&conn, MIGRATIONS)?;
        conn.pragma_update(None, "query_only", 1)?;
        let options = OpenOptions {
            key: key.copied(),
            ..OpenOptions::default()
        };
        load(conn, Place::ReadOnly, options)
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> OpenError {
        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) {
            return OpenError::NotALedger;
        }
        match classify(&error) {
            StorageKind::Full => OpenError::Full,
            StorageKind::ReadOnly => OpenError::ReadOnly,
            StorageKind::Corrupt => OpenError::Corrupt {
                detail: error.to_string(),
            },
            StorageKind::Busy | StorageKind::Io | StorageKind::Closed | StorageKind::Other => {
                OpenError::Io(Box::new(error))
            }
        }
    }
}

fn check_sqlite() -> Result<(), OpenError> {
    let found = rusqlite::version_number();
    if found < SQLITE_VERSION_MIN {
        return Err(OpenError::SqliteTooOld { found });
    }
    Ok(())
}

/// Refuses what is no ledger, one of a later format, and one that `key` does not open, without touching it. A
/// plain file needs no key.
///
/// # Errors
/// [`OpenError`].
pub fn look_at(path: &Path, key: Option<&FileKey>) -> Result<(), OpenError> {
    check_sqlite()?;
    look(path, if is_plain(path)? { None } else { key })
}

fn look(path: &Path, key: Option<&FileKey>) -> Result<(), OpenError> {
    if !path.is_file() {
        return Err(OpenError::NotFound);
    }
    let looked = immutable(path, key).and_then(|conn| check_header(&conn, MIGRATIONS));
    match looked {
        // A key that does not fit and a file that is none look the same to SQLite.
        Err(OpenError::NotALedger) if state(path)? == FileState::Sealed => Err(OpenError::Locked),
        // A program that ended while it moved the log into the file leaves a file that makes no sense without
        // its log. With the log it is whole; the header is then looked at again.
        Err(OpenError::Corrupt { .. }) if has_log(path) => Ok(()),
        looked => looked,
    }
}

fn state(path: &Path) -> Result<FileState, OpenError> {
    cipher::file_state(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => OpenError::ReadOnly,
        _ => OpenError::Io(Box::new(error)),
    })
}

pub(crate) fn is_plain(path: &Path) -> Result<bool, OpenError> {
    Ok(path.is_file() && state(path)? == FileState::Plain)
}

fn has_log(path: &Path) -> bool {
    std::fs::metadata(with_suffix(path, "-wal")).is_ok_and(|log| log.len() > 0)
}

fn check_header(conn: &Connection, migrations: &[Migration]) -> Result<(), OpenError> {
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let found = format_of(conn)?;
    if application != APPLICATION_ID || found == 0 {
        return Err(OpenError::NotALedger);
    }
    let understood = latest(migrations);
    if found > understood {
        let from: u32 =
            conn.query_row("SELECT understood_from FROM format", [], |row| row.get(0))?;
        if from > understood {
            return Err(OpenError::NewerVersion { found, understood });
        }
    }
    Ok(())
}

/// What each table, index and trigger is and its name, and all that the file says of it, quoted: a name may have become
/// bytes, and a trigger may have got pages.
pub(crate) fn schema_of(conn: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = conn.prepare(
        "SELECT type || ' ' || name,
             quote(type) || quote(name) || quote(tbl_name) || quote(sql)
             || typeof(rootpage) || coalesce(rootpage > 0, 0)
         FROM sqlite_schema ORDER BY 1",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// The same as this program makes it; none for a file of a later format.
pub(crate) fn schema_expected(
    conn: &Connection,
) -> Result<Option<&'static [(String, String)]>, rusqlite::Error> {
    if format_of(conn)? != latest(MIGRATIONS) {
        return Ok(None);
    }
    Ok(Some(&Layout::latest()?.schema))
}

/// What all migrations together make of an empty file.
struct Layout {
    /// As [`schema_of`] tells it.
    schema: Vec<(String, String)>,
    /// Statements that make the same without the way there: what was altered and dropped on it is most of the work.
    script: String,
}

impl Layout {
    /// The layout of the latest format. The program makes the same one every time, and making it costs as much as
    /// checking a day's sales.
    fn latest() -> rusqlite::Result<&'static Layout> {
        static MADE: OnceLock<Layout> = OnceLock::new();
        if let Some(made) = MADE.get() {
            return Ok(made);
        }
        let fresh = cipher::open_in_memory()?;
        fresh.execute_batch(FORMAT_TABLE)?;
        for migration in MIGRATIONS {
            fresh.execute_batch(migration.sql)?;
        }
        let made = Layout {
            schema: schema_of(&fresh)?,
            script: script_of(&fresh)?,
        };
        Ok(MADE.get_or_init(|| made))
    }
}

/// The statements that tables, indexes and triggers are made with. The tables below a virtual one come with it.
fn script_of(conn: &Connection) -> rusqlite::Result<String> {
    let mut statement = conn.prepare(
        "SELECT s.sql FROM sqlite_schema s LEFT JOIN pragma_table_list l ON l.schema = 'main' AND l.name = s.name
         WHERE s.sql IS NOT NULL AND l.type IS NOT 'shadow' ORDER BY s.rowid",
    )?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<Vec<String>>>()?.join(";\n"))
}

/// Gives an empty file the latest format, and nothing that all migrations in a row would not have made.
fn lay_out(conn: &Connection) -> Result<(), OpenError> {
    let understood_from = MIGRATIONS.iter().map(|step| step.understood_from).max();
    let layout = Layout::latest()?;
    conn.execute_batch("BEGIN IMMEDIATE")?;
    conn.execute_batch(&layout.script)?;
    conn.execute("INSERT INTO format VALUES (1, ?1)", [understood_from])?;
    conn.pragma_update(None, "user_version", latest(MIGRATIONS))?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.execute_batch("COMMIT")?;
    Ok(())
}

fn latest(migrations: &[Migration]) -> u32 {
    migrations.last().map_or(0, |migration| migration.version)
}

fn format_of(conn: &Connection) -> Result<u32, rusqlite::Error> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn immutable(path: &Path, key: Option<&FileKey>) -> Result<Connection, OpenError> {
    let mut uri = String::from("file:");
    let text = path.to_str().ok_or(OpenError::NotFound)?;
    if cfg!(windows) {
        uri.push('/');
    }
    for c in text.chars() {
        match c {
            '%' => uri.push_str("%25"),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            '\\' if cfg!(windows) => uri.push('/'),
            c => uri.push(c),
        }
    }
    uri.push_str("?immutable=1");
    cipher::open_keyed(uri, cipher::READ_ONLY | OpenFlags::SQLITE_OPEN_URI, key)
}

/// A connection that may write, with every setting that durability depends on read back.
pub(crate) fn connect(path: &Path, options: &OpenOptions) -> Result<Connection, OpenError> {
    let conn = cipher::open_keyed(path, cipher::READ_WRITE, options.key.as_ref())?;
    // SQLite falls back to reading where it may not write.
    if conn.is_readonly("main")? {
        return Err(OpenError::ReadOnly);
    }
    prepare(&conn, options)?;
    // Taking the write lock finds a directory without room or right for the log before the first sale does.
    conn.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
    Ok(conn)
}

/// A connection that only reads, to a file that may be damaged: nothing is checked, and nothing is written but the
/// shared memory file beside it.
pub(crate) fn open_raw(path: &Path, options: &OpenOptions) -> Result<Connection, OpenError> {
    let key = if is_plain(path)? {
        None
    } else {
        options.key.as_ref()
    };
    let conn = cipher::open_keyed(path, cipher::READ_ONLY, key)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.pragma_update(None, "query_only", 1)?;
    // Otherwise a file that is shorter than its header says, or one with a table that cannot be read, is refused
    // whole. Nothing is written through this connection.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, true)?;
    Ok(conn)
}

fn prepare(conn: &Connection, options: &OpenOptions) -> Result<(), OpenError> {
    conn.busy_timeout(Duration::from_secs(5))?;
    let mode: String =
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenError::Pragma {
            name: "journal_mode",
        });
    }
    let synchronous = match options.durability {
        Durability::Full => 2,
        Durability::Checkpoint => 1,
        Durability::Relaxed => 0,
    };
    set(conn, "synchronous", synchronous)?;
    set(conn, "foreign_keys", 1)?;
    set(conn, "busy_timeout", 5_000)?;
    set(conn, "wal_autocheckpoint", AUTOCHECKPOINT_PAGES)?;
    set(conn, "journal_size_limit", 64 << 20)?;
    common_settings(conn, options)
}

fn common_settings(conn: &Connection, options: &OpenOptions) -> Result<(), OpenError> {
    // Without recursive triggers, REPLACE would delete an event and no trigger would see it.
    set(conn, "recursive_triggers", 1)?;
    set(conn, "trusted_schema", 0)?;
    // A page that cannot be read in a mapping is a signal, not an error.
    set(conn, "mmap_size", 0)?;
    set(conn, "temp_store", 2)?;
    set(conn, "cache_size", -16_384)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // Otherwise a statement whose plan might depend on a value is prepared anew whenever one is bound: a fifth
    // of the time of a sale, measured.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    if let Some(pages) = options.pages_max {
        let ceiling: i64 =
            conn.pragma_update_and_check(None, "max_page_count", pages, |row| row.get(0))?;
        // Never below what the file holds already.
        if ceiling < i64::from(pages) {
            return Err(OpenError::Pragma {
                name: "max_page_count",
            });
        }
    }
    Ok(())
}

fn set(conn: &Connection, name: &'static str, value: i64) -> Result<(), OpenError> {
    conn.pragma_update(None, name, value)?;
    let found: Option<i64> = conn
        .pragma_query_value(None, name, |row| row.get(0))
        .optional()?;
    // Memory databases have no mapping to ask about.
    if found.is_some_and(|found| found != value) {
        return Err(OpenError::Pragma { name });
    }
    Ok(())
}

/// Brings the file to the latest format: all steps or none, after a copy of the file.
fn migrate(
    conn: &Connection,
    path: Option<&Path>,
    key: Option<&FileKey>,
    migrations: &[Migration],
) -> Result<(), OpenError> {
    let found = format_of(conn)?;
    if found > 0 {
        // The log may have held a later header than the immutable look saw.
        check_header(conn, migrations)?;
    }
    if found >= latest(migrations) {
        return Ok(());
    }
    if let (Some(path), true) = (path, found > 0) {
        let copy = with_suffix(path, &format!(".format-{found}"));
        remove_database(&copy)?;
        let mut target = cipher::open_keyed(&copy, cipher::CREATE, key)?;
        rusqlite::backup::Backup::new(conn, &mut target)?.run_to_completion(
            1_024,
            Duration::ZERO,
            None,
        )?;
        target.close().map_err(|(_, error)| error)?;
    }
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let steps = || -> Result<(), OpenError> {
        conn.execute_batch(FORMAT_TABLE)?;
        for migration in migrations.iter().filter(|step| step.version > found) {
            conn.execute_batch(migration.sql)?;
            conn.execute(
                "INSERT INTO format VALUES (1, ?1) ON CONFLICT (only) DO UPDATE SET understood_from = max(understood_from, ?1)",
                [migration.understood_from],
            )?;
            conn.pragma_update(None, "user_version", migration.version)?;
        }
        let mut steps = migrations.iter().filter(|step| step.version > found);
        if found > 0 && steps.any(|step| step.books_anew) {
            compute_books(conn)?;
        }
        conn.pragma_update(None, "application_id", APPLICATION_ID)?;
        Ok(conn.execute_batch("COMMIT")?)
    };
    if let Err(error) = steps() {
        if !conn.is_autocommit() {
            conn.execute_batch("ROLLBACK")?;
        }
        return Err(error);
    }
    // The header in the main file is what other programs, and the look at the next start, go by.
    flush(conn)
}

/// Writes the books as the journal has them.
fn compute_books(conn: &Connection) -> Result<(), OpenError> {
    let cannot = |seq: u64| damaged(&format!("event {seq} cannot be added up"));
    let mut statement = conn.prepare("SELECT seq, bytes FROM event ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut books = Books::new(0);
    while let Some(row) = rows.next()? {
        let (seq, bytes): (u64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let event = Event::decode(&bytes).map_err(|_| cannot(seq))?;
        match event.fact() {
            Ok(Fact::StreamOpened(opened)) => books = Books::new(opened.perpetual_minor),
            Ok(fact) => books.replay(seq, &fact).map_err(|_| cannot(seq))?,
            Err(EventError::Unknown { .. }) => {}
            Err(EventError::NotStrict(_)) => return Err(cannot(seq)),
        }
    }
    conn.execute("INSERT INTO books VALUES (1, ?1)", [books.encode()])?;
    Ok(())
}

/// Moves the whole log into the file.
pub(crate) fn flush(conn: &Connection) -> Result<(), OpenError> {
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

pub(crate) fn write_new(
    path: &Path,
    new: NewStream,
    now: &Now,
    id: EventId,
    options: &OpenOptions,
) -> Result<(), OpenError> {
    let conn = cipher::open_keyed(path, cipher::CREATE, options.key.as_ref())?;
    prepare(&conn, options)?;
    lay_out(&conn)?;
    begin_stream(&conn, new, now, id)?;
    flush(&conn)?;
    conn.close().map_err(|(_, error)| error.into())
}

/// Writes the identity and event 1.
fn begin_stream(
    conn: &Connection,
    new: NewStream,
    now: &Now,
    id: EventId,
) -> Result<(), OpenError> {
    if new.opened.store.is_none() || new.opened.till.is_none() {
        return Err(OpenError::NotATill);
    }
    let stream = new.stream;
    let fact = Fact::StreamOpened(new.opened);
    let event = Event {
        stream,
        seq: 1,
        id,
        hlc: Hlc::default().tick(now.wall_ms),
        wall: now.wall_ms,
        boot: now.boot,
        kind: fact.kind().to_owned(),
        schema: fact.schema(),
        body: fact.encode(),
    };
    let bytes = event.encode();
    let hash = chain_hash(genesis_hash(stream), &bytes);
    conn.execute_batch("BEGIN IMMEDIATE")?;
    conn.execute(
        "INSERT INTO identity VALUES (1, ?1, ?2)",
        (stream.0, new.location.as_str()),
    )?;
    crate::journal::insert(conn, &event, &bytes, hash)?;
    conn.execute_batch("COMMIT")?;
    Ok(())
}

/// Reads whose file it is and checks the end of the journal.
fn load(conn: Connection, place: Place, options: OpenOptions) -> Result<Ledger, OpenError> {
    let (stream, location): ([u8; 16], String) = conn
        .query_row("SELECT stream, location FROM identity", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?
        .ok_or(OpenError::NotALedger)?;
    let stream = StreamId(stream);
    let opened = first_event(&conn, stream)?;
    let (Some(store), Some(till)) = (opened.store.clone(), opened.till.clone()) else {
        return Err(OpenError::NotATill);
    };
    let identity = Identity {
        stream,
        tenant: opened.tenant.clone(),
        store,
        till,
        device: opened.device,
        location: LocationId::new(&location).map_err(|_| damaged("identity.location"))?,
        reason: opened.reason,
    };
    // A reader wants to see what is wrong; only a writer must not build on it.
    let position = match place {
        Place::ReadOnly => (
            read_head(&conn, stream)?,
            Hlc::default(),
            (0, Boot { id: 0, ms: 0 }),
        ),
        Place::File(_) | Place::Memory => check_head(&conn, stream)?,
    };
    Ok(Ledger::new(
        conn, place, options, identity, opened, position,
    ))
}

fn first_event(conn: &Connection, stream: StreamId) -> Result<StreamOpened, OpenError> {
    let bytes: Vec<u8> = conn
        .query_row("SELECT bytes FROM event WHERE seq = 1", [], |row| {
            row.get(0)
        })
        .optional()?
        .ok_or_else(|| damaged("event 1 is missing"))?;
    let event = Event::decode(&bytes).map_err(|_| damaged("event 1 cannot be read"))?;
    match event.fact() {
        Ok(Fact::StreamOpened(opened)) if event.stream == stream => Ok(opened),
        _ => Err(damaged("event 1 does not open this stream")),
    }
}

/// Checks that the last events chain and that the last one is where it belongs; reads the clock.
pub(crate) fn check_head(conn: &Connection, stream: StreamId) -> Result<Position, OpenError> {
    let last: u64 = conn.query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| {
        row.get(0)
    })?;
    let from = last.saturating_sub(HEAD_CHECKED).max(1);
    let mut statement =
        conn.prepare("SELECT seq, bytes, hash FROM event WHERE seq >= ?1 ORDER BY seq")?;
    let mut rows = statement.query([N(from)])?;
    let mut head = StreamHead {
        stream,
        seq: from - 1,
        hash: genesis_hash(stream),
    };
    let mut hlc = Hlc::default();
    let mut clocks = (0, Boot { id: 0, ms: 0 });
    while let Some(row) = rows.next()? {
        let seq: u64 = row.get(0)?;
        let bytes: Vec<u8> = row.get(1)?;
        let hash = Digest(row.get(2)?);
        if seq != head.seq + 1 {
            return Err(damaged(&format!("event {} is missing", head.seq + 1)));
        }
        // The hash before the first one looked at is not looked at.
        if (seq == 1 || seq > from) && chain_hash(head.hash, &bytes) != hash {
            return Err(damaged(&format!("event {seq} does not chain")));
        }
        head.seq = seq;
        head.hash = hash;
        if seq == last {
            let event = Event::decode(&bytes)
                .map_err(|_| damaged(&format!("event {seq} cannot be read")))?;
            if event.seq != seq || event.stream != stream {
                return Err(damaged(&format!("event {seq} belongs elsewhere")));
            }
            hlc = event.hlc;
            clocks = (event.wall, event.boot);
        }
    }
    let learnt: Option<i64> = conn
        .query_row("SELECT hlc FROM clock", [], |row| row.get(0))
        .optional()?;
    let learnt = Hlc(learnt.unwrap_or(0).cast_unsigned());
    Ok((head, hlc.max(learnt), clocks))
}

fn read_head(conn: &Connection, stream: StreamId) -> Result<StreamHead, OpenError> {
    let last = conn
        .query_row(
            "SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1",
            [],
            |row| {
                Ok(StreamHead {
                    stream,
                    seq: row.get(0)?,
                    hash: Digest(row.get(1)?),
                })
            },
        )
        .optional()?;
    last.ok_or_else(|| damaged("event 1 is missing"))
}

fn damaged(detail: &str) -> OpenError {
    OpenError::Corrupt {
        detail: detail.to_owned(),
    }
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

pub(crate) fn remove_database(path: &Path) -> Result<(), OpenError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        match std::fs::remove_file(with_suffix(path, suffix)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(OpenError::Io(Box::new(error))),
        }
    }
    Ok(())
}

/// Makes the new name durable; only Unix lets a directory be synced.
pub(crate) fn sync_directory(path: &Path) -> Result<(), OpenError> {
    if cfg!(unix)
        && let Some(parent) = path.parent()
    {
        std::fs::File::open(parent)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| OpenError::Io(Box::new(error)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Migration = Migration {
        version: 1,
        understood_from: 1,
        sql: "CREATE TABLE note (text TEXT); INSERT INTO note VALUES ('kept')",
        books_anew: false,
    };

    fn second(sql: &'static str, understood_from: u32) -> Migration {
        Migration {
            version: 2,
            understood_from,
            sql,
            books_anew: false,
        }
    }

    fn file_of_the_first_format() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("ledger.db");
        let conn = cipher::open_keyed(&path, cipher::CREATE, None).expect("create");
        prepare(&conn, &OpenOptions::default()).expect("settings");
        migrate(&conn, None, None, &[FIRST]).expect("first format");
        (directory, path)
    }

    #[test]
    fn a_migration_copies_the_file_first_and_is_done_once() {
        let (_directory, path) = file_of_the_first_format();
        let conn = connect(&path, &OpenOptions::default()).expect("open");
        let steps = [FIRST, second("UPDATE note SET text = 'changed'", 2)];
        migrate(&conn, Some(&path), None, &steps).expect("migrate");
        migrate(&conn, Some(&path), None, &steps).expect("nothing left to do");
        let text = |conn: &Connection| -> String {
            conn.query_row("SELECT text FROM note", [], |row| row.get(0))
                .expect("note")
        };
        assert_eq!(text(&conn), "changed");
        assert_eq!(format_of(&conn).expect("format"), 2);
        let copy = cipher::open_keyed(with_suffix(&path, ".format-1"), cipher::READ_ONLY, None)
            .expect("copy");
        assert_eq!(text(&copy), "kept");
        assert_eq!(format_of(&copy).expect("format"), 1);
    }

    /// Every table with every row in it, as text.
    fn contents(conn: &Connection) -> Vec<(String, Vec<String>)> {
        let mut statement = conn
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name")
            .expect("tables");
        let names = statement.query_map([], |row| row.get(0)).expect("tables");
        let names: Vec<String> = names.collect::<Result<_, _>>().expect("tables");
        let rows = |name: &String| {
            let mut statement = conn
                .prepare(&format!("SELECT * FROM {name}"))
                .expect("a table");
            let width = statement.column_count();
            let rows = statement.query_map([], |row| {
                let cells = (0..width).map(|cell| row.get_ref(cell));
                Ok(format!("{:?}", cells.collect::<Result<Vec<_>, _>>()?))
            });
            let rows = rows.expect("rows").collect::<Result<_, _>>();
            (name.clone(), rows.expect("rows"))
        };
        names.iter().map(rows).collect()
    }

    #[test]
    fn a_new_file_is_what_all_migrations_make() {
        let (migrated, new) = (
            cipher::open_in_memory().expect("open"),
            cipher::open_in_memory().expect("open"),
        );
        migrate(&migrated, None, None, MIGRATIONS).expect("migrate");
        lay_out(&new).expect("a new file");
        assert_eq!(
            schema_of(&new).expect("schema"),
            schema_of(&migrated).expect("schema")
        );
        let found = contents(&new);
        assert!(found.len() > 30, "{found:?}");
        assert_eq!(found, contents(&migrated));
        for name in ["user_version", "application_id"] {
            let number = |conn: &Connection| -> i64 {
                conn.pragma_query_value(None, name, |row| row.get(0))
                    .expect(name)
            };
            assert_eq!(number(&new), number(&migrated), "{name}");
        }
    }

    #[test]
    fn a_migration_that_fails_half_way_changes_nothing() {
        let (_directory, path) = file_of_the_first_format();
        let conn = connect(&path, &OpenOptions::default()).expect("open");
        let broken = second("DELETE FROM note; INSERT INTO nowhere VALUES (1)", 2);
        assert!(migrate(&conn, Some(&path), None, &[FIRST, broken]).is_err());
        let notes: u32 = conn
            .query_row("SELECT count(*) FROM note", [], |row| row.get(0))
            .expect("notes");
        assert_eq!((notes, format_of(&conn).expect("format")), (1, 1));
    }

    #[test]
    fn an_older_program_opens_only_what_it_understands() {
        for (understood_from, opens) in [(1, true), (2, false)] {
            let (_directory, path) = file_of_the_first_format();
            let conn = connect(&path, &OpenOptions::default()).expect("open");
            migrate(
                &conn,
                None,
                None,
                &[FIRST, second("SELECT 1", understood_from)],
            )
            .expect("migrate");
            let result = migrate(&conn, None, None, &[FIRST]);
            assert_eq!(result.is_ok(), opens, "{result:?}");
        }
    }

    #[test]
    fn every_setting_that_durability_depends_on_took() {
        let (_directory, path) = file_of_the_first_format();
        let conn = connect(&path, &OpenOptions::default()).expect("open");
        for (name, wanted) in [
            ("synchronous", 2_i64),
            ("foreign_keys", 1),
            ("busy_timeout", 5_000),
            ("recursive_triggers", 1),
            ("mmap_size", 0),
        ] {
            let found: i64 = conn
                .pragma_query_value(None, name, |row| row.get(0))
                .expect(name);
            assert_eq!(found, wanted, "{name}");
        }
    }

    #[test]
    fn migrations_are_numbered_without_gaps_and_say_why() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version as usize, index + 1);
            assert!(migration.understood_from <= migration.version);
            assert!(
                migration.sql.starts_with("-- Why: "),
                "{}",
                migration.version
            );
            assert!(
                migration.sql.contains("\n-- Older programs: "),
                "{}",
                migration.version
            );
        }
    }
}
