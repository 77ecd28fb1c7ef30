//! Every SQL statement that begins on a disk, seen from outside: SQLite offers each new connection of the process to
//! an automatic extension, which listens to it there. The product needs no seam for it.
//!
//! These are C callbacks, which there is no safe way to write; each takes what SQLite's documentation of
//! `sqlite3_auto_extension`, `sqlite3_trace_v2` and `sqlite3_commit_hook` promises it.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use rusqlite::ffi;

use super::{WATCHED, vfs};

/// Connections, by address, whose next commit is turned into a rollback.
static REFUSED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

fn refused() -> MutexGuard<'static, Vec<usize>> {
    REFUSED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens to every connection that is opened from now on.
pub fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the function lives as long as the process.
        let code = unsafe { ffi::sqlite3_auto_extension(Some(opened)) };
        assert_eq!(code, ffi::SQLITE_OK, "the extension is registered");
    });
}

unsafe extern "C" fn opened(
    db: *mut ffi::sqlite3,
    _: *mut *mut c_char,
    _: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: the connection is open; its file, if it has one, is known by now. Both callbacks get the connection
    // itself and are called by nobody else.
    unsafe {
        if vfs::locate(ffi::sqlite3_db_filename(db, c"main".as_ptr())).is_none() {
            return ffi::SQLITE_OK;
        }
        // The address may have been that of a connection that is closed.
        refused().retain(|other| *other != db.addr());
        ffi::sqlite3_commit_hook(db, Some(commits), db.cast());
        ffi::sqlite3_trace_v2(
            db,
            ffi::SQLITE_TRACE_STMT as c_uint,
            Some(begins),
            db.cast(),
        )
    }
}

unsafe extern "C" fn begins(_: c_uint, db: *mut c_void, _: *mut c_void, sql: *mut c_void) -> c_int {
    if WATCHED.load(Ordering::SeqCst) == 0 {
        return 0;
    }
    let db = db.cast::<ffi::sqlite3>();
    // SAFETY: SQLite passes the connection of `opened` and the text of the statement.
    unsafe {
        let Some((disk, name)) = vfs::locate(ffi::sqlite3_db_filename(db, c"main".as_ptr())) else {
            return 0;
        };
        let sql = CStr::from_ptr(sql.cast::<c_char>()).to_string_lossy();
        if disk.begins(&name, sql.trim().trim_end_matches(';')) {
            // An interruption is noticed between the steps of a statement, and a commit has but one.
            if sql.trim_start().starts_with("COMMIT") {
                refused().push(db.addr());
            } else {
                ffi::sqlite3_interrupt(db);
            }
        }
    }
    0
}

unsafe extern "C" fn commits(db: *mut c_void) -> c_int {
    let mut refused = refused();
    let before = refused.len();
    refused.retain(|other| *other != db.addr());
    c_int::from(refused.len() < before)
}
