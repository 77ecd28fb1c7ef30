//! Files at rest under a key: SQLCipher, when the program is built with it.
//!
//! The key is 256 random bits and no pass-phrase, so opening costs no derivation. It is given to every
//! connection before anything else, also to those that only look; without one, SQLCipher is plain SQLite.

use std::io::Read as _;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use domain::ids::Digest;
use rusqlite::{Connection, OpenFlags};

use crate::error::OpenError;
use crate::open::{remove_database, sync_directory, with_suffix};

/// First bytes of a file that is not encrypted.
const PLAIN: &[u8; 16] = b"SQLite format 3\0";
/// Size of a page, plain or encrypted, in bytes.
pub(crate) const PAGE: u64 = 4_096;

/// Digits of a salt, hexadecimal.
const SALT_DIGITS: usize = 32;

/// Key of an encrypted file. Never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FileKey([u8; 32]);

impl std::fmt::Debug for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileKey(..)")
    }
}

impl FileKey {
    /// A key of these bytes, which nobody else may know.
    pub const fn new(bytes: [u8; 32]) -> FileKey {
        FileKey(bytes)
    }
}

/// What a file is by its first bytes and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// There is none, or an empty one.
    Missing,
    /// An SQLite file that anybody can read.
    Plain,
    /// Whole pages that start with noise: encrypted, or damaged beyond its first bytes.
    Sealed,
    /// Something else.
    Foreign,
}

/// Whether this program can encrypt files.
pub const fn can_encrypt() -> bool {
    cfg!(feature = "sqlcipher")
}

/// Tells what stands at `path` without opening it as a database.
///
/// # Errors
/// What the file system says.
pub fn file_state(path: &Path) -> std::io::Result<FileState> {
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(FileState::Missing);
        }
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    if size == 0 {
        return Ok(FileState::Missing);
    }
    let mut head = [0; PLAIN.len()];
    if file.read_exact(&mut head).is_err() {
        return Ok(FileState::Foreign);
    }
    if head == *PLAIN {
        return Ok(FileState::Plain);
    }
    // A damaged plain header keeps most of its bytes, and a torn page is all zeros; a random salt does neither.
    let kept = head.iter().zip(PLAIN).filter(|(a, b)| a == b).count();
    let constant = head.iter().all(|byte| *byte == head[0]);
    let text = head.is_ascii();
    Ok(
        if size.is_multiple_of(PAGE) && kept < PLAIN.len() / 2 && !constant && !text {
            FileState::Sealed
        } else {
            FileState::Foreign
        },
    )
}

/// How a file that is there is read.
pub(crate) const READ_ONLY: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);
/// How a file that is there is written.
pub(crate) const READ_WRITE: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);
/// How a file is made.
pub(crate) const CREATE: OpenFlags = READ_WRITE.union(OpenFlags::SQLITE_OPEN_CREATE);

/// Opens a file of a till with its key; whether the key fits shows at the first read.
///
/// # Errors
/// [`OpenError::CannotEncrypt`] when this program was built without encryption, or what SQLite says.
pub fn open_keyed(
    path: impl AsRef<Path>,
    flags: OpenFlags,
    key: Option<&FileKey>,
) -> Result<Connection, OpenError> {
    let conn = open_locked(path, flags)?;
    if let Some(key) = key {
        set_key(&conn, &literal(key))?;
    }
    Ok(conn)
}

/// Makes a file that becomes a copy of the one that `source` has open: it gets the same salt, so that a page of one can
/// be read in the other.
///
/// # Errors
/// As [`open_keyed`].
pub(crate) fn create_like(
    path: &Path,
    key: Option<&FileKey>,
    source: &Connection,
) -> Result<Connection, OpenError> {
    let conn = open_locked(path, CREATE)?;
    if let Some(key) = key {
        let salt: String = source.query_row("PRAGMA cipher_salt", [], |row| row.get(0))?;
        let is_salt =
            salt.len() == SALT_DIGITS && salt.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_salt {
            return Err(OpenError::Pragma {
                name: "cipher_salt",
            });
        }
        set_key(&conn, &format!("\"x'{}{salt}'\"", Digest(key.0)))?;
    }
    Ok(conn)
}

/// Opens a database without a file.
///
/// # Errors
/// What SQLite says.
pub fn open_in_memory() -> rusqlite::Result<Connection> {
    start();
    let conn = Connection::open_in_memory()?;
    crate::proof::teach(&conn)?;
    Ok(conn)
}

/// Starts the library, before the first opening of the process: SQLCipher starts its cipher after SQLite calls itself
/// ready, so of two threads that open their first file at the same moment one would be refused its key.
fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| drop(Connection::open_in_memory()));
}

/// A connection that has no key yet, and knows the function that rows are proven with.
fn open_locked(path: impl AsRef<Path>, flags: OpenFlags) -> Result<Connection, OpenError> {
    start();
    let conn = Connection::open_with_flags(path, flags)?;
    crate::proof::teach(&conn)?;
    Ok(conn)
}

fn set_key(conn: &Connection, literal: &str) -> Result<(), OpenError> {
    if !can_encrypt() {
        return Err(OpenError::CannotEncrypt);
    }
    // A damaged file makes it print a line for every page; what is wrong is returned all the same.
    conn.query_row("PRAGMA cipher_log_level = NONE", [], |_| Ok(()))
        .or_else(no_rows)?;
    conn.query_row(&format!("PRAGMA key = {literal}"), [], |_| Ok(()))
        .or_else(no_rows)?;
    Ok(())
}

fn no_rows(error: rusqlite::Error) -> rusqlite::Result<()> {
    match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(()),
        error => Err(error),
    }
}

fn literal(key: &FileKey) -> String {
    format!("\"x'{}'\"", Digest(key.0))
}

/// Replaces a plain file by an encrypted one with the same content. The new file is written beside it,
/// compared row by row and swapped in whole; until then the plain file stays as it is.
///
/// # Errors
/// [`OpenError`]; the plain file is then in place.
pub fn seal(path: &Path, key: &FileKey) -> Result<(), OpenError> {
    let draft = with_suffix(path, ".sealing");
    remove_database(&draft)?;
    let sealed = write_sealed(path, &draft, key);
    if let Err(error) = sealed {
        // What is left of the draft is no ledger; a failure to remove it must not hide the cause.
        let _ = remove_database(&draft);
        return Err(error);
    }
    std::fs::File::open(&draft)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::rename(&draft, path))
        .map_err(|error| OpenError::Io(Box::new(error)))?;
    sync_directory(path)
}

fn write_sealed(path: &Path, draft: &Path, key: &FileKey) -> Result<(), OpenError> {
    let text = draft.to_str().ok_or(OpenError::NotFound)?;
    // Made first, so that attaching it below cannot fall back to reading.
    let made = open_keyed(draft, CREATE, Some(key))?;
    made.execute_batch("PRAGMA user_version = 0; VACUUM")?;
    made.close().map_err(|(_, error)| error)?;

    let conn = open_keyed(path, READ_WRITE, None)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    // The log goes into the file, and nobody else may have it open: a log left over would be read with the new file.
    let mode: String =
        conn.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
    if mode != "delete" {
        return Err(OpenError::Pragma {
            name: "journal_mode",
        });
    }
    conn.execute(
        &format!("ATTACH DATABASE ?1 AS sealed KEY {}", literal(key)),
        [text],
    )?;
    conn.query_row("SELECT sqlcipher_export('sealed')", [], |_| Ok(()))?;
    for name in ["user_version", "application_id"] {
        let value: i64 = conn.pragma_query_value(None, name, |row| row.get(0))?;
        conn.pragma_update(Some("sealed"), name, value)?;
    }
    conn.execute_batch("DETACH DATABASE sealed")?;
    conn.close().map_err(|(_, error)| error)?;
    compare(path, draft, key)
}

/// Whether every row of the plain file is in the sealed one, and nothing else.
fn compare(path: &Path, draft: &Path, key: &FileKey) -> Result<(), OpenError> {
    let text = path.to_str().ok_or(OpenError::NotFound)?;
    let conn = open_keyed(draft, READ_WRITE, Some(key))?;
    conn.execute("ATTACH DATABASE ?1 AS plain KEY ''", [text])?;
    // Virtual tables keep their rows in tables of their own.
    let tables: Vec<String> = conn
        .prepare(
            "SELECT name FROM plain.sqlite_schema
             WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL TABLE%' ORDER BY name",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for table in tables {
        let name = table.replace('"', "\"\"");
        let differs: bool = conn.query_row(
            &format!(
                "SELECT (SELECT count(*) FROM plain.\"{name}\") <> (SELECT count(*) FROM main.\"{name}\")
                 OR EXISTS (SELECT * FROM plain.\"{name}\" EXCEPT SELECT * FROM main.\"{name}\")"
            ),
            [],
            |row| row.get(0),
        )?;
        if differs {
            return Err(OpenError::Corrupt {
                detail: format!("table {table} did not survive encryption"),
            });
        }
    }
    conn.execute_batch("DETACH DATABASE plain")?;
    conn.close().map_err(|(_, error)| error.into())
}
