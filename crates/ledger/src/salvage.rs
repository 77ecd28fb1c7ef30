//! Reading a damaged file with the help of its copies.
//!
//! A file whose journal begins to be readable is read as it is, and a copy fills the holes that it knows. One that
//! cannot even be opened gets the first page of a copy: there SQLite keeps where every table begins, and that page is
//! the same in both as long as the format is. What is read is proven by the chain either way, so a copy that does not
//! fit gives nothing. When nothing can be read at all, the newest copy stands in.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::answers::SET_LOCAL;
use crate::cipher::{self, PAGE};
use crate::error::OpenError;
use crate::open::{OpenOptions, is_plain, look_at, remove_database, with_suffix};
use crate::succession::{Old, Succession, SuccessionError};

/// The damaged file with another first page, while it is read.
pub(crate) const MENDED: &str = ".mending";
/// Key of the note that makes a copy as long as the damaged file.
const PADDING: &str = "padding";
/// Bytes of such a note.
const PADDING_MAX: u64 = 16 << 20;

/// Reads as much as file and copies prove together. The file itself is only read.
///
/// # Errors
/// [`SuccessionError::Unreadable`] when nobody can tell whose file it is; otherwise what the storage says of it.
pub(crate) fn salvage(
    path: &Path,
    succession: &Succession,
    options: &OpenOptions,
) -> Result<Old, SuccessionError> {
    let mut old = read_best(path, succession, options)?;
    let held = old.lines.len() as u64;
    let witnessed = succession
        .witness
        .filter(|witness| witness.stream == old.stream);
    old.lost = match witnessed {
        Some(witness) => old.lost.max(witness.seq.saturating_sub(held)),
        // Nobody knows how many; that there were none is not to be said.
        None if old.cut_short || old.stand_in => old.lost.max(1),
        None => old.lost,
    };
    Ok(old)
}

fn read_best(
    path: &Path,
    succession: &Succession,
    options: &OpenOptions,
) -> Result<Old, SuccessionError> {
    let copies = Copies {
        succession,
        options,
    };
    let alone = match Old::read(path, options) {
        Ok(old) if old.lost == 0 && !old.cut_short => return Ok(old),
        Ok(old) => return Ok(copies.fill(path, old)),
        Err(error) => error,
    };
    if let Some(old) = copies.join(path) {
        return Ok(old);
    }
    if is_lost(path, options)
        && let Some(old) = copies.stand_in()
    {
        return Ok(old);
    }
    Err(alone)
}

/// Whether a file that cannot be read is surely no stranger's: its header is a ledger's, or there is nothing in it.
fn is_lost(path: &Path, options: &OpenOptions) -> bool {
    match look_at(path, options.key.as_ref()) {
        Ok(()) | Err(OpenError::Corrupt { .. }) => true,
        Err(_) => is_blank(path).unwrap_or(false),
    }
}

/// An empty file, or one of zeros only: what a file system leaves of one whose content never reached the disk.
fn is_blank(path: &Path) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    let mut chunk = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(true);
        }
        if chunk[..read].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
}

/// The copies of a file, which are read one after another, newest first.
struct Copies<'a> {
    succession: &'a Succession,
    options: &'a OpenOptions,
}

impl Copies<'_> {
    /// Each copy of this device that can be read.
    fn readable(&self) -> impl Iterator<Item = (&Path, Box<Old>)> {
        self.succession.copies.iter().filter_map(|copy| {
            let old = Old::read(copy, self.options)
                .inspect_err(|error| tracing::warn!(error = %error, "a copy cannot be read"))
                .ok()?;
            let ours = old.opened.public_key == self.succession.public_key;
            ours.then(|| (copy.as_path(), Box::new(old)))
        })
    }

    /// Fills the holes of a file that is readable but for them, with the copy that fills most.
    fn fill(&self, path: &Path, old: Old) -> Old {
        let mut best = old;
        for (_, spare) in self.readable() {
            if spare.stream != best.stream {
                continue;
            }
            if let Ok(filled) = Old::read_with(path, Some(spare), self.options)
                && filled.lines.len() > best.lines.len()
            {
                best = filled;
            }
            if best.lost == 0 && !best.cut_short {
                break;
            }
        }
        best
    }

    /// Reads a file whose beginning is gone.
    fn join(&self, path: &Path) -> Option<Old> {
        let has_own = |old: &Old| old.proven_here() > 0;
        for (copy, spare) in self.readable() {
            let spare = match Old::read_with(path, Some(spare), self.options) {
                Ok(old) if has_own(&old) => return Some(old),
                Ok(old) => old.into_spare(),
                Err((_, spare)) => spare,
            };
            let mended = match mend(path, copy, self.options) {
                Ok(mended) => mended,
                Err(error) => {
                    tracing::warn!(error = %error, "the file cannot be read with the first page of a copy");
                    continue;
                }
            };
            match Old::read_with(&mended, spare, self.options) {
                Ok(old) if has_own(&old) => return Some(old),
                _ => {}
            }
        }
        None
    }

    /// The newest copy of the stream that the witness names, or of any where there is no witness.
    fn stand_in(&self) -> Option<Old> {
        let witness = self.succession.witness;
        let fits = |old: &Old| witness.is_none_or(|head| head.stream == old.stream);
        let (_, mut old) = self.readable().find(|(_, old)| fits(old))?;
        old.stand_in = true;
        Some(*old)
    }
}

/// Writes the damaged file anew, with the first page of `copy`, beside it.
fn mend(path: &Path, copy: &Path, options: &OpenOptions) -> Result<PathBuf, OpenError> {
    let failed = |error: std::io::Error| OpenError::Io(Box::new(error));
    let draft = with_suffix(path, MENDED);
    let log = with_suffix(path, "-wal");
    let has_log = fs::metadata(&log).is_ok_and(|seen| seen.len() > 0);
    let length = fs::metadata(path).map_err(failed)?.len();
    let page = first_page(&draft, copy, length.div_ceil(PAGE), has_log, options)?;
    remove_database(&draft)?;
    fs::copy(path, &draft).map_err(failed)?;
    let mut file = File::options().write(true).open(&draft).map_err(failed)?;
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.write_all(&page))
        .map_err(failed)?;
    if has_log {
        fs::copy(&log, with_suffix(&draft, "-wal")).map_err(failed)?;
    }
    Ok(draft)
}

/// The first page of `copy` as it is when the file has at least `pages` pages. The number stands in that page, under the
/// key where there is one, so SQLite itself must write it.
fn first_page(
    draft: &Path,
    copy: &Path,
    pages: u64,
    has_log: bool,
    options: &OpenOptions,
) -> Result<Vec<u8>, OpenError> {
    let failed = |error: std::io::Error| OpenError::Io(Box::new(error));
    remove_database(draft)?;
    fs::copy(copy, draft).map_err(failed)?;
    let plain = is_plain(copy)?;
    let key = options.key.as_ref().filter(|_| !plain);
    let conn = cipher::open_keyed(draft, cipher::READ_WRITE, key)?;
    conn.pragma_update(None, "synchronous", 0)?;
    let mut count = 0_u32;
    loop {
        let held: u64 = conn.pragma_query_value(None, "page_count", |row| row.get(0))?;
        if held >= pages {
            break;
        }
        let bytes = ((pages - held) * PAGE).min(PADDING_MAX) as usize;
        count += 1;
        conn.execute(SET_LOCAL, (format!("{PADDING}{count}"), " ".repeat(bytes)))?;
    }
    if has_log {
        // A log is only read beside a file that says that it has one.
        let mode: String =
            conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            return Err(OpenError::Pragma {
                name: "journal_mode",
            });
        }
    }
    conn.close().map_err(|(_, error)| error)?;
    let mut page = vec![0; PAGE as usize];
    File::open(draft)
        .and_then(|mut file| file.read_exact(&mut page))
        .map_err(failed)?;
    Ok(page)
}
