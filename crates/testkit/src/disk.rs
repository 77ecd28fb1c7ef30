//! A disk under SQLite that remembers, fails on demand and can be taken back to an earlier moment.
//!
//! [`MemDisk`] is a folder in memory (a memory file system where there is one). Every SQLite connection of this
//! process that opens a file below it goes through the VFS of `vfs.rs`, which is the process' default: the
//! product needs no seam for it, and what it does with plain files (locks, keys, renames) works as ever. Syncs
//! are counted and recorded but never reach a disk: what a power cut would leave is computed from the record,
//! in [`crash`].

pub mod crash;
mod statements;
mod vfs;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A change of a file, in the order SQLite asked for it. Names are relative to the disk's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A file was opened for making and was not there.
    Create(String),
    /// Bytes were written at an offset.
    Write(String, u64, Vec<u8>),
    /// The file was cut or grown to a length.
    Truncate(String, u64),
    /// The file was synced; the flag tells whether its directory was synced with it.
    Sync(String, bool),
    /// The file was removed; the flag tells whether its directory was synced.
    Delete(String, bool),
    /// The caller was told that everything up to this mark is safe.
    Mark(u64),
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// `SQLITE_FULL` on a write.
    Full,
    /// `SQLITE_IOERR_WRITE` on a write.
    Write,
    /// `SQLITE_IOERR_FSYNC` on a sync.
    Sync,
    /// The process is gone: this and every later change of any file fails, and nothing of it happens.
    Halt,
    /// An SQL statement is interrupted, and a COMMIT turned into a rollback; the process goes on.
    Abort,
    /// The process is gone at the beginning of an SQL statement.
    End,
}

/// When something goes wrong: at call `at` of its kind, counted from zero, once or from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// At which call.
    pub at: u64,
    /// Whether it stays.
    pub sticky: bool,
    /// Only files whose names begin so; empty for all.
    pub only: &'static str,
}

/// Disks on which somebody waits for a statement. While there are none, no statement is looked at.
pub(crate) static WATCHED: AtomicUsize = AtomicUsize::new(0);

#[derive(Default)]
struct State {
    log: Option<Vec<Op>>,
    fault: Option<Fault>,
    /// Calls of the fault's kind so far.
    calls: u64,
    fired: u64,
    /// Texts of the statements that began, while somebody wants them.
    statements: Option<Vec<String>>,
    /// Counted in [`WATCHED`].
    is_watched: bool,
}

impl State {
    /// Call it after each change of `fault` and `statements`.
    fn watch(&mut self) {
        let of_statements = |fault: Fault| matches!(fault.kind, FaultKind::Abort | FaultKind::End);
        let wanted = self.statements.is_some() || self.fault.is_some_and(of_statements);
        if wanted && !self.is_watched {
            WATCHED.fetch_add(1, Ordering::SeqCst);
        }
        if !wanted && self.is_watched {
            WATCHED.fetch_sub(1, Ordering::SeqCst);
        }
        self.is_watched = wanted;
    }
}

/// One disk, as the VFS sees it.
pub(crate) struct Inner {
    root: PathBuf,
    state: Mutex<State>,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // A test that failed while holding it says enough by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Name below the root; none for another file.
    fn name_of(&self, path: &Path) -> Option<String> {
        let rest = path.strip_prefix(&self.root).ok()?;
        Some(rest.to_string_lossy().into_owned())
    }

    fn record(&self, op: impl FnOnce() -> Op) {
        if let Some(log) = &mut self.state().log {
            log.push(op());
        }
    }

    /// Whether this call fails, and how. `kinds` are the faults that this call can suffer.
    fn fault(&self, name: &str, kinds: &[FaultKind]) -> Option<FaultKind> {
        let mut state = self.state();
        let fault = state.fault?;
        if !kinds.contains(&fault.kind) || !name.starts_with(fault.only) {
            return None;
        }
        let call = state.calls;
        state.calls += 1;
        let lasting = fault.sticky || fault.kind == FaultKind::Halt;
        let hit = if lasting {
            call >= fault.at
        } else {
            call == fault.at
        };
        hit.then(|| {
            state.fired += 1;
            if fault.kind == FaultKind::End {
                state.fault = Some(Fault {
                    kind: FaultKind::Halt,
                    at: 0,
                    ..fault
                });
                state.calls = 0;
                state.watch();
            }
            fault.kind
        })
    }

    /// Whether a statement on the file `name` that begins now is interrupted.
    fn begins(&self, name: &str, sql: &str) -> bool {
        if let Some(statements) = &mut self.state().statements {
            statements.push(sql.to_owned());
        }
        self.fault(name, &[FaultKind::Abort, FaultKind::End]) == Some(FaultKind::Abort)
    }
}

/// Every file of a disk at one moment, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Contents.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// A disk in memory.
pub struct MemDisk {
    inner: Arc<Inner>,
    folder: tempfile::TempDir,
}

impl MemDisk {
    /// An empty disk. The first seed of a process also seeds SQLite's own randomness, so that a run on one
    /// thread can be repeated byte for byte.
    ///
    /// # Panics
    /// When no folder can be made.
    pub fn new(seed: u64) -> MemDisk {
        vfs::register(seed);
        statements::register();
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        }
        .expect("a folder for the disk");
        // SQLite resolves links before it opens.
        let root = folder.path().canonicalize().expect("the folder is there");
        let inner = Arc::new(Inner {
            root,
            state: Mutex::default(),
        });
        vfs::mount(Arc::clone(&inner));
        MemDisk { inner, folder }
    }

    /// Name under which the VFS is registered; it is the default one of the process as well.
    pub const fn vfs_name() -> &'static str {
        vfs::NAME
    }

    /// A folder of real files on the system's disk: nothing is recorded there and nothing fails, and every sync is one.
    /// It is removed with this.
    ///
    /// # Panics
    /// When no folder can be made.
    pub fn on_files() -> MemDisk {
        let folder = tempfile::tempdir().expect("a folder for the files");
        let root = folder.path().canonicalize().expect("the folder is there");
        let state = Mutex::default();
        MemDisk {
            inner: Arc::new(Inner { root, state }),
            folder,
        }
    }

    /// The folder: give it to `Till::open_with`, or put a ledger into it.
    pub fn folder(&self) -> &Path {
        &self.inner.root
    }

    /// Names of the files, sorted.
    ///
    /// # Panics
    /// When the folder cannot be read.
    pub fn files(&self) -> Vec<String> {
        self.snapshot().files.into_keys().collect()
    }

    /// Every file but SQLite's shared memory, which no restart would find. Take it while no transaction is
    /// under way; connections may be open.
    ///
    /// # Panics
    /// When a file cannot be read.
    pub fn snapshot(&self) -> Snapshot {
        let mut files = BTreeMap::new();
        collect(&self.inner.root, &mut files);
        Snapshot { files }
    }

    /// Makes the disk hold exactly what `snapshot` holds. A file that is there stays the same file, as a power cut
    /// leaves it: a till can tell a copy by that. Close what is open on it first, as before any change of disks.
    ///
    /// # Panics
    /// When a file cannot be written.
    pub fn restore(&self, snapshot: &Snapshot) {
        for name in self.names() {
            if !snapshot.files.contains_key(&name) {
                std::fs::remove_file(self.inner.root.join(name)).expect("removed");
            }
        }
        self.write(snapshot);
    }

    /// As [`MemDisk::restore`], with files of its own: what a copy of a disk, or a backup that was put back, is.
    ///
    /// # Panics
    /// When a file cannot be written.
    pub fn replace(&self, snapshot: &Snapshot) {
        // A file system may give the number of a file that is gone to the next one: so the old ones go last.
        let aside = tempfile::tempdir_in(&self.inner.root).expect("a folder beside them");
        for (count, name) in self.names().into_iter().enumerate() {
            let to = aside.path().join(count.to_string());
            std::fs::rename(self.inner.root.join(name), to).expect("moved");
        }
        self.write(snapshot);
    }

    fn write(&self, snapshot: &Snapshot) {
        for (name, bytes) in &snapshot.files {
            let path = self.inner.root.join(name);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).expect("a folder");
            }
            overwrite(&path, bytes).expect("written");
        }
    }

    /// Names of all files, SQLite's shared memory among them.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        walk(&self.inner.root, "", &mut |name, _| names.push(name));
        names
    }

    /// Begins to record, from an empty log.
    pub fn record(&self) {
        self.inner.state().log = Some(Vec::new());
    }

    /// Notes that the caller was told that everything so far is safe.
    pub fn mark(&self, mark: u64) {
        self.inner.record(|| Op::Mark(mark));
    }

    /// Ends recording; what happened since [`MemDisk::record`].
    pub fn recorded(&self) -> Vec<Op> {
        self.inner.state().log.take().unwrap_or_default()
    }

    /// Begins to note the statements that begin on any file of the disk; in the same order as the calls that
    /// [`FaultKind::Abort`] and [`FaultKind::End`] count for all files.
    pub fn trace(&self) {
        let mut state = self.inner.state();
        state.statements = Some(Vec::new());
        state.watch();
    }

    /// Ends that; their texts. What a trigger runs is a comment.
    pub fn traced(&self) -> Vec<String> {
        let mut state = self.inner.state();
        let texts = state.statements.take().unwrap_or_default();
        state.watch();
        texts
    }

    /// Lets something go wrong from now on.
    pub fn fail(&self, fault: Fault) {
        let mut state = self.inner.state();
        state.fault = Some(fault);
        state.calls = 0;
        state.fired = 0;
        state.watch();
    }

    /// Ends the trouble; returns how often it struck.
    pub fn heal(&self) -> u64 {
        let mut state = self.inner.state();
        state.fault = None;
        state.watch();
        state.fired
    }
}

impl Drop for MemDisk {
    fn drop(&mut self) {
        vfs::unmount(&self.inner);
        self.heal();
        drop(self.traced());
        debug_assert!(self.folder.path().is_dir());
    }
}

/// Writes a file whole. Unlike [`std::fs::write`] it keeps the room that the file has, which a memory file system would
/// give back and find anew page by page.
fn overwrite(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)
}

fn collect(folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    walk(folder, "", &mut |name, path| {
        if !name.ends_with("-shm") {
            files.insert(name, std::fs::read(path).expect("a readable file"));
        }
    });
}

fn walk(folder: &Path, prefix: &str, visit: &mut impl FnMut(String, &Path)) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let entry = entry.expect("an entry");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if path.is_dir() {
            walk(&path, &format!("{name}/"), visit);
        } else {
            visit(name, &path);
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::crash::{CrashDisk, Survival};
    use super::*;
    use crate::rng::Rng;

    fn open(disk: &MemDisk, synchronous: &str) -> Connection {
        let conn = Connection::open(disk.folder().join("a.db")).expect("open");
        conn.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; CREATE TABLE IF NOT EXISTS t (n INTEGER)"
        ))
        .expect("settings");
        conn
    }

    fn add(conn: &Connection, n: u64) -> rusqlite::Result<()> {
        conn.execute("INSERT INTO t VALUES (?1)", [n]).map(drop)
    }

    fn count(conn: &Connection) -> u64 {
        conn.query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .expect("count")
    }

    #[test]
    fn a_disk_is_taken_back_to_an_earlier_moment() {
        let disk = MemDisk::new(1);
        let conn = open(&disk, "FULL");
        add(&conn, 1).expect("insert");
        // Plain files belong to the disk as well.
        std::fs::write(disk.folder().join("plain"), b"x").expect("write");
        let before = disk.snapshot();
        assert_eq!(disk.files(), ["a.db", "a.db-wal", "plain"]);
        add(&conn, 2).expect("insert");
        drop(conn);
        std::fs::remove_file(disk.folder().join("plain")).expect("remove");
        assert_eq!(disk.files(), ["a.db"]);
        disk.restore(&before);
        assert_eq!(disk.snapshot(), before);
        assert_eq!(count(&open(&disk, "FULL")), 1);
        let other = MemDisk::new(1);
        other.restore(&before);
        assert_eq!(count(&open(&other, "FULL")), 1);
    }

    #[test]
    fn what_was_synced_survives_and_what_was_not_may_not() {
        for (synchronous, kept) in [("FULL", 3), ("NORMAL", 1)] {
            let disk = MemDisk::new(1);
            let conn = open(&disk, synchronous);
            add(&conn, 1).expect("insert");
            conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
                .expect("checkpoint");
            let start = disk.snapshot();
            disk.record();
            for n in 2..4 {
                add(&conn, n).expect("insert");
                disk.mark(n);
            }
            let log = disk.recorded();
            assert!(log.contains(&Op::Mark(3)), "{log:?}");
            let mut played = CrashDisk::new(&start);
            for op in &log {
                played.step(op);
            }
            let mut rng = Rng::new(1);
            for (survival, wanted) in [(Survival::Nothing, kept), (Survival::All, 3)] {
                let after = MemDisk::new(2);
                after.restore(&played.state(survival, &mut rng));
                assert_eq!(
                    count(&open(&after, "FULL")),
                    wanted,
                    "{synchronous} {survival:?}"
                );
            }
        }
    }

    #[test]
    fn every_fault_strikes_where_it_is_told_to() {
        for (kind, code) in [
            (FaultKind::Full, rusqlite::ErrorCode::DiskFull),
            (FaultKind::Write, rusqlite::ErrorCode::SystemIoFailure),
            (FaultKind::Sync, rusqlite::ErrorCode::SystemIoFailure),
            (FaultKind::Halt, rusqlite::ErrorCode::SystemIoFailure),
        ] {
            let disk = MemDisk::new(1);
            let conn = open(&disk, "FULL");
            add(&conn, 1).expect("insert");
            let fault = Fault {
                kind,
                at: 1,
                sticky: false,
                only: "a.db-wal",
            };
            disk.fail(fault);
            let failed = (2..9).find_map(|n| add(&conn, n).err());
            assert_eq!(
                failed.and_then(|error| error.sqlite_error_code()),
                Some(code)
            );
            assert_ne!(disk.heal(), 0);
            disk.fail(Fault {
                only: "other",
                ..fault
            });
            add(&conn, 9).expect("another file is meant");
            assert_eq!(disk.heal(), 0);
        }
    }

    #[test]
    fn a_statement_is_interrupted_or_the_last_one() {
        let disk = MemDisk::new(1);
        let conn = open(&disk, "FULL");
        let three = "BEGIN IMMEDIATE; INSERT INTO t VALUES (1); COMMIT";
        disk.trace();
        conn.execute_batch(three).expect("written");
        assert_eq!(
            disk.traced(),
            three.split("; ").collect::<Vec<_>>(),
            "each is seen once"
        );
        for (kind, at, code) in [
            (
                FaultKind::Abort,
                1,
                rusqlite::ErrorCode::OperationInterrupted,
            ),
            (
                FaultKind::Abort,
                2,
                rusqlite::ErrorCode::ConstraintViolation,
            ),
            (FaultKind::End, 1, rusqlite::ErrorCode::SystemIoFailure),
            (FaultKind::End, 2, rusqlite::ErrorCode::SystemIoFailure),
        ] {
            disk.fail(Fault {
                kind,
                at,
                sticky: false,
                only: "a.db",
            });
            let failed = conn.execute_batch(three).expect_err("it does not end well");
            assert_eq!(failed.sqlite_error_code(), Some(code), "{kind:?} {at}");
            assert_ne!(disk.heal(), 0);
            if !conn.is_autocommit() {
                conn.execute_batch("ROLLBACK").expect("rolled back");
            }
            assert_eq!(count(&conn), 1, "{kind:?} {at}");
        }
    }

    #[test]
    fn files_elsewhere_are_left_to_the_system() {
        let _disk = MemDisk::new(1);
        let folder = tempfile::tempdir().expect("folder");
        let conn = Connection::open(folder.path().join("b.db")).expect("open");
        conn.execute_batch("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)")
            .expect("written");
        assert_eq!(count(&conn), 1);
        let named = Connection::open_with_flags_and_vfs(
            folder.path().join("b.db"),
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
            MemDisk::vfs_name(),
        );
        assert_eq!(count(&named.expect("open by name")), 1);
    }
}
