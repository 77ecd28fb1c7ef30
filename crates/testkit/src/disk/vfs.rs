//! The VFS under SQLite: records, fails and passes on to the system's own.
//!
//! A VFS is a table of C functions that SQLite calls; there is no safe way to write one, so this module, which
//! no product depends on, is the one that may be unsafe. Every function takes what SQLite's documentation of
//! `sqlite3_vfs` and `sqlite3_io_methods` promises it, and passes the same pointers on. Files that lie on no
//! mounted disk are opened by the system's VFS itself and never seen here again.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rusqlite::ffi;

use super::{FaultKind, Inner, Op};
use crate::rng::Rng;

/// Name of the VFS.
pub const NAME: &str = "hanout-disk";

/// The system's VFS, which lives as long as the process.
struct Real(*mut ffi::sqlite3_vfs);
// SAFETY: SQLite registers it before `main` of any user and never changes or frees it; its functions may be
// called from any thread.
unsafe impl Send for Real {}
// SAFETY: as above.
unsafe impl Sync for Real {}

static REAL: OnceLock<Real> = OnceLock::new();
static SEED: AtomicU64 = AtomicU64::new(0);
static DISKS: Mutex<Vec<Arc<Inner>>> = Mutex::new(Vec::new());

/// Where SQLite's first randomness comes from is asked once, so the first seed counts.
pub fn register(seed: u64) {
    REAL.get_or_init(|| {
        SEED.store(seed, Ordering::SeqCst);
        // SAFETY: the default VFS exists once the library is initialised, which `sqlite3_vfs_find` does. The
        // copy and its name are leaked: SQLite keeps the pointer for the life of the process.
        unsafe {
            let real = ffi::sqlite3_vfs_find(std::ptr::null());
            assert!(!real.is_null(), "SQLite has a default VFS");
            let mut vfs = std::ptr::read(real);
            vfs.szOsFile = (*real).szOsFile + size_of::<Shim>() as c_int;
            vfs.zName = CString::new(NAME).expect("no NUL in it").into_raw();
            vfs.pNext = std::ptr::null_mut();
            vfs.xOpen = Some(open);
            vfs.xDelete = Some(delete);
            vfs.xRandomness = Some(randomness);
            let code = ffi::sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 1);
            assert_eq!(code, ffi::SQLITE_OK, "the VFS is registered");
            Real(real)
        }
    });
}

fn real() -> *mut ffi::sqlite3_vfs {
    REAL.get().map_or(std::ptr::null_mut(), |real| real.0)
}

pub fn mount(disk: Arc<Inner>) {
    disks().push(disk);
}

pub fn unmount(disk: &Arc<Inner>) {
    disks().retain(|other| !Arc::ptr_eq(other, disk));
}

fn disks() -> std::sync::MutexGuard<'static, Vec<Arc<Inner>>> {
    DISKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The disk that a file lies on, and its name there.
///
/// # Safety
/// `name` is null or a string that ends in NUL.
pub unsafe fn locate(name: *const c_char) -> Option<(Arc<Inner>, String)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: by the contract above.
    let path = unsafe { CStr::from_ptr(name) }.to_str().ok()?;
    let path = Path::new(path);
    disks()
        .iter()
        .find_map(|disk| Some((Arc::clone(disk), disk.name_of(path)?)))
}

struct Opened {
    disk: Arc<Inner>,
    name: String,
    /// The first sync of a new journal or log syncs its directory as well, as the Unix VFS does it.
    directory_unsynced: bool,
}

/// What stands before the system's own file object.
#[repr(C)]
struct Shim {
    base: ffi::sqlite3_file,
    opened: *mut Opened,
}

/// # Safety
/// `file` was opened by [`open`] below and is not closed.
unsafe fn inner(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: SQLite gave room for both, one after the other.
    unsafe { file.cast::<Shim>().add(1).cast() }
}

/// # Safety
/// As [`inner`].
unsafe fn opened<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Opened {
    // SAFETY: `open` put a box there, which `close` alone takes away; SQLite uses a file from one thread at a
    // time.
    unsafe { &mut *(*file.cast::<Shim>()).opened }
}

/// Calls a method of the system's file.
macro_rules! pass {
    ($file:expr, $method:ident $(, $argument:expr)*) => {
        // SAFETY: SQLite calls this on a file that `open` made; its methods are those of the system's VFS,
        // which has every one of version 2.
        unsafe {
            let file = inner($file);
            ((*(*file).pMethods).$method.expect("a method of version 2"))(file $(, $argument)*)
        }
    };
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes a name as promised; `file` has room for `szOsFile` bytes.
    unsafe {
        let real = real();
        let real_open = (*real).xOpen.expect("every VFS opens");
        let Some((disk, short)) = locate(name) else {
            return real_open(real, name, file, flags, out);
        };
        let shim = file.cast::<Shim>();
        (*shim).base.pMethods = std::ptr::null();
        (*shim).opened = std::ptr::null_mut();
        let is_new = !disk.root.join(&short).exists();
        let making = flags & ffi::SQLITE_OPEN_CREATE != 0;
        if is_new && making && disk.fault(&short, &[FaultKind::Halt]).is_some() {
            return ffi::SQLITE_CANTOPEN;
        }
        let below = inner(file);
        (*below).pMethods = std::ptr::null();
        let code = real_open(real, name, below, flags, out);
        if code != ffi::SQLITE_OK {
            return code;
        }
        if is_new {
            disk.record(|| Op::Create(short.clone()));
        }
        let journal = flags & (ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL) != 0;
        (*shim).opened = Box::into_raw(Box::new(Opened {
            disk,
            name: short,
            directory_unsynced: journal && making,
        }));
        (*shim).base.pMethods = &METHODS;
        code
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite passes a name as promised.
    unsafe {
        let real = real();
        let real_delete = (*real).xDelete.expect("every VFS deletes");
        let Some((disk, short)) = locate(name) else {
            return real_delete(real, name, sync);
        };
        if disk.fault(&short, &[FaultKind::Halt]).is_some() {
            return ffi::SQLITE_IOERR_DELETE;
        }
        let code = real_delete(real, name, 0);
        if code == ffi::SQLITE_OK {
            disk.record(|| Op::Delete(short, sync != 0));
        }
        code
    }
}

unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, bytes: c_int, out: *mut c_char) -> c_int {
    let mut rng = Rng::new(SEED.fetch_add(1, Ordering::SeqCst));
    let length = usize::try_from(bytes).unwrap_or(0);
    // SAFETY: SQLite asks for that many bytes at `out`.
    let target = unsafe { std::slice::from_raw_parts_mut(out.cast::<u8>(), length) };
    for chunk in target.chunks_mut(8) {
        let random = rng.next_u64().to_le_bytes();
        chunk.copy_from_slice(&random[..chunk.len()]);
    }
    bytes
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let code = pass!(file, xClose);
    // SAFETY: the box is there until here, and SQLite closes once.
    unsafe {
        let shim = file.cast::<Shim>();
        drop(Box::from_raw((*shim).opened));
        (*shim).opened = std::ptr::null_mut();
        (*shim).base.pMethods = std::ptr::null();
    }
    code
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    to: *mut c_void,
    bytes: c_int,
    offset: i64,
) -> c_int {
    pass!(file, xRead, to, bytes, offset)
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    bytes: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: an open file.
    let at = unsafe { opened(file) };
    match at.disk.fault(
        &at.name,
        &[FaultKind::Full, FaultKind::Write, FaultKind::Halt],
    ) {
        Some(FaultKind::Full) => return ffi::SQLITE_FULL,
        Some(_) => return ffi::SQLITE_IOERR_WRITE,
        None => {}
    }
    let code = pass!(file, xWrite, from, bytes, offset);
    if code == ffi::SQLITE_OK {
        at.disk.record(|| {
            // SAFETY: SQLite wants that many bytes from there written.
            let data = unsafe {
                std::slice::from_raw_parts(from.cast::<u8>(), usize::try_from(bytes).unwrap_or(0))
            };
            let offset = u64::try_from(offset).unwrap_or(0);
            Op::Write(at.name.clone(), offset, data.to_vec())
        });
    }
    code
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: an open file.
    let at = unsafe { opened(file) };
    if at.disk.fault(&at.name, &[FaultKind::Halt]).is_some() {
        return ffi::SQLITE_IOERR_TRUNCATE;
    }
    let code = pass!(file, xTruncate, size);
    if code == ffi::SQLITE_OK {
        at.disk
            .record(|| Op::Truncate(at.name.clone(), u64::try_from(size).unwrap_or(0)));
    }
    code
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    let at = unsafe { opened(file) };
    let kinds = [FaultKind::Sync, FaultKind::Halt];
    if at.disk.fault(&at.name, &kinds).is_some() {
        return ffi::SQLITE_IOERR_FSYNC;
    }
    // Whether bytes are durable is computed from the record; the real disk is left in peace.
    let directory = std::mem::take(&mut at.directory_unsynced);
    at.disk.record(|| Op::Sync(at.name.clone(), directory));
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    pass!(file, xFileSize, size)
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    pass!(file, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    pass!(file, xUnlock, level)
}

unsafe extern "C" fn check_reserved(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    pass!(file, xCheckReservedLock, out)
}

unsafe extern "C" fn control(
    file: *mut ffi::sqlite3_file,
    what: c_int,
    argument: *mut c_void,
) -> c_int {
    pass!(file, xFileControl, what, argument)
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    pass!(file, xSectorSize)
}

unsafe extern "C" fn characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    pass!(file, xDeviceCharacteristics)
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    pass!(file, xShmMap, page, size, extend, out)
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    pass!(file, xShmLock, offset, count, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    pass!(file, xShmBarrier)
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    pass!(file, xShmUnmap, delete)
}

/// Version 2: with shared memory, without mapped pages, which would be written past every record.
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
