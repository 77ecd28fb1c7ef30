//! The folder of copies: their names, which of them are kept, and how one takes the ledger's place.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use ledger::{Ledger, OpenError, OpenOptions, Recovered};
use till::{OpenTillError, Safeguards, Till};

use crate::clock::Clock;
use crate::files::{InspectError, LEDGER_FILE, key_for};

/// The newest copies that are kept, whatever their days.
const LATEST_KEPT: usize = 3;
/// Days of which the newest copy is kept.
const DAYS_KEPT: usize = 7;
const DAY_MS: i64 = 86_400_000;

/// Copies an open ledger into `folder` under a name of its time, and drops the copies that are no longer kept.
///
/// # Errors
/// What the storage says; the earlier copies are then all there.
pub(crate) fn make(ledger: &Ledger, folder: &Path, wall: i64) -> Result<PathBuf, OpenError> {
    make_folder(folder).map_err(|error| OpenError::Io(Box::new(error)))?;
    sweep(folder);
    let mut wall = wall.max(0);
    let path = loop {
        let path = folder.join(name_of(wall));
        if !path.exists() {
            break path;
        }
        wall += 1;
    };
    ledger.back_up(&path, wall)?;
    let all = list(folder);
    for gone in dropped(&all, wall) {
        if let Err(error) = fs::remove_file(folder.join(name_of(gone))) {
            tracing::warn!(cause = %error, "an old copy cannot be removed");
        }
    }
    Ok(path)
}

/// The copies in `folder`, newest first.
pub(crate) fn newest_first(folder: &Path) -> Vec<PathBuf> {
    let mut all = list(folder);
    all.sort_unstable_by(|a, b| b.cmp(a));
    all.into_iter()
        .map(|wall| folder.join(name_of(wall)))
        .collect()
}

/// How many copies there are, and when the newest was made.
pub(crate) fn kept(folder: &Path) -> (u32, Option<i64>) {
    let all = list(folder);
    (
        u32::try_from(all.len()).unwrap_or(u32::MAX),
        all.iter().copied().max(),
    )
}

/// Removes what a copy that was interrupted has left: it is none.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let begun = name
            .to_str()
            .and_then(|name| name.split_once(".making"))
            .is_some_and(|(name, _)| wall_of(name).is_some());
        if begun && let Err(error) = fs::remove_file(entry.path()) {
            tracing::warn!(cause = %error, "what is left of a copy cannot be removed");
        }
    }
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// `ledger-2026-11-23T08-00Z-1795420800000.db`: readable, and the time to the millisecond.
fn name_of(wall: i64) -> String {
    let minute = domain::time::local_minute(wall, 0)
        .replace(' ', "T")
        .replace(':', "-");
    format!("ledger-{minute}Z-{wall}.db")
}

fn wall_of(name: &str) -> Option<i64> {
    let wall = name.strip_prefix("ledger-")?.strip_suffix(".db")?;
    let wall = wall.rsplit_once("Z-")?.1.parse().ok()?;
    (name_of(wall) == name).then_some(wall)
}

/// Times of the copies in `folder`. Other files there are nobody's business.
fn list(folder: &Path) -> Vec<i64> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| wall_of(entry.file_name().to_str()?))
        .collect()
}

/// Those that need not be kept, now that one of `made` was made. Days count as they come in the copies: a
/// clock that jumps drops nothing early.
fn dropped(all: &[i64], made: i64) -> Vec<i64> {
    let mut newest: Vec<i64> = all.to_vec();
    newest.sort_unstable_by(|a, b| b.cmp(a));
    let mut days = BTreeSet::new();
    let mut keep: BTreeSet<i64> = newest.iter().take(LATEST_KEPT).copied().collect();
    keep.insert(made);
    for wall in &newest {
        if days.len() < DAYS_KEPT && days.insert(wall.div_euclid(DAY_MS)) {
            keep.insert(*wall);
        }
    }
    newest.retain(|wall| !keep.contains(wall));
    newest
}

/// What [`restore`] did.
#[derive(Debug)]
pub struct Restored {
    /// Where the ledger that stood there is now; none where none stood.
    pub set_aside: Option<PathBuf>,
    /// Last event of the restored ledger.
    pub seq: u64,
}

/// Copies the ledger of `data_dir` into `to`, or beside its other copies.
///
/// # Errors
/// [`InspectError`].
pub fn backup(data_dir: &Path, to: Option<&Path>, wall: i64) -> Result<PathBuf, InspectError> {
    let ledger = crate::files::open(data_dir)?;
    let made = match to {
        Some(to) => ledger.back_up(to, wall).map(|_| to.to_owned()),
        None => make(&ledger, &data_dir.join(BACKUP_FOLDER), wall),
    };
    made.map_err(InspectError::Copy)
}

/// Takes over what `file`, of an earlier stream of this till, holds and its ledger does not. The till must not run; as
/// at any start, a ledger that was restored or copied first goes on in a new stream.
///
/// # Errors
/// [`InspectError`]; nothing was taken over.
pub fn recover(
    data_dir: &Path,
    file: &Path,
    witness_dir: Option<&Path>,
    app: &str,
) -> Result<Recovered, InspectError> {
    if !data_dir.join(LEDGER_FILE).exists() {
        return Err(InspectError::NoLedger {
            path: data_dir.to_owned(),
        });
    }
    if till::device_public_key(data_dir)
        .map_err(InspectError::Key)?
        .is_none()
    {
        return Err(InspectError::NoDevice);
    }
    let clock = Clock::new()?;
    let safeguards = Safeguards {
        witness_dir: witness_dir.map(Path::to_owned),
        copies: newest_first(&data_dir.join(BACKUP_FOLDER)),
    };
    let opened = Till::open_guarded(
        data_dir,
        app,
        clock.context()?,
        OpenOptions::default(),
        &safeguards,
    );
    let mut till = opened.map_err(|error| match error {
        OpenTillError::InUse { .. } => InspectError::InUse,
        error => InspectError::Till(error),
    })?;
    let kept = data_dir.join(till::STREAMS_FOLDER).join(file);
    let file = if file.exists() { file } else { &kept };
    Ok(till.recover_file(file, clock.context()?)?)
}

/// Name of the folder of copies in a data folder.
pub(crate) const BACKUP_FOLDER: &str = "backups";

/// Puts a copy of `file` in the place of the ledger of `data_dir`. The ledger that stands there is kept under
/// a name with the time. The next start finds the stamp of the copy and goes on in a new stream.
///
/// # Errors
/// [`InspectError`]; until the last step everything is as it was.
pub fn restore(data_dir: &Path, file: &Path, wall: i64) -> Result<Restored, InspectError> {
    let lock = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(data_dir.join(till::LOCK_FILE))
        .map_err(InspectError::Folder)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(InspectError::InUse),
        Err(TryLockError::Error(error)) => return Err(InspectError::Folder(error)),
    }
    let key = till::read_file_key(data_dir).map_err(InspectError::Key)?;
    let device = till::device_public_key(data_dir)
        .map_err(InspectError::Key)?
        .ok_or(InspectError::NoDevice)?;
    let key_of_file = match key {
        Some(key) => Some(key),
        None => key_for(file).map_err(InspectError::Key)?,
    };
    let source =
        Ledger::open_read_only_with(file, key_of_file.as_ref()).map_err(InspectError::Open)?;
    if source.public_key() != device {
        return Err(InspectError::Foreign);
    }
    if !source.pages_are_sound()? {
        return Err(InspectError::Damaged("its pages are damaged".to_owned()));
    }
    if let Some(bad) = source.verify()?.first_bad {
        let what = format!("{} {}: {}", bad.table, bad.key, bad.what);
        return Err(InspectError::Damaged(what));
    }
    let path = data_dir.join(LEDGER_FILE);
    let draft = data_dir.join("ledger.db.restoring");
    remove_if_there(&draft)?;
    let head = if source.backup_stamp()?.is_some() {
        source.copy_as_is(&draft)
    } else {
        source.back_up(&draft, wall)
    };
    let head = head.map_err(InspectError::Copy)?;
    drop(source);
    // What the log holds goes into the file where that is still possible; where not, the log is kept as well.
    let options = ledger::OpenOptions {
        key,
        ..ledger::OpenOptions::default()
    };
    if let Err(error) = Ledger::open(&path, &options) {
        tracing::warn!(cause = %error, "the ledger that is set aside cannot be opened");
    }
    let set_aside = set_aside(&path, wall).map_err(InspectError::Folder)?;
    fs::rename(&draft, &path)
        .and_then(|()| sync_folder(data_dir))
        .map_err(InspectError::Folder)?;
    Ok(Restored {
        set_aside,
        seq: head.seq,
    })
}

fn remove_if_there(path: &Path) -> Result<(), InspectError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(InspectError::Folder(error))
        }
        _ => Ok(()),
    }
}

/// Keeps a ledger, with what its log holds, under another name. The file itself stays in place too until it is
/// replaced, so that a power cut never leaves a folder without one; its log must go first, or it would be read
/// with the file that comes.
fn set_aside(path: &Path, wall: i64) -> std::io::Result<Option<PathBuf>> {
    if !path.exists() {
        return Ok(None);
    }
    let with = |path: &Path, suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    let mut number = wall.max(0);
    let aside = loop {
        let aside = with(path, &format!("{}{number}", till::REPLACED));
        if !aside.exists() && !with(&aside, "-wal").exists() {
            break aside;
        }
        number += 1;
    };
    let log = with(path, "-wal");
    if log.exists() {
        fs::copy(&log, with(&aside, "-wal"))?;
        File::open(with(&aside, "-wal"))?.sync_all()?;
    }
    if fs::hard_link(path, &aside).is_err() {
        // A file system without second names.
        fs::copy(path, &aside)?;
        File::open(&aside)?.sync_all()?;
    }
    if let Some(folder) = path.parent() {
        sync_folder(folder)?;
    }
    for suffix in ["-wal", "-shm"] {
        match fs::remove_file(with(path, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(Some(aside))
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_795_435_200_000;

    #[test]
    fn names_tell_their_time() {
        let name = name_of(NOON);
        assert_eq!(wall_of(&name), Some(NOON));
        assert!(name.starts_with("ledger-2026-11-23T"), "{name}");
        for foreign in [
            "ledger.db",
            "ledger-x.db",
            "ledger-2026-11-23T12-00Z-7.db",
            "ledger-2026-11-23T12-00Z-1795435200000.db.making",
        ] {
            assert_eq!(wall_of(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn the_latest_and_one_of_each_day_are_kept() {
        // Hourly for ten days.
        let mut all = Vec::new();
        for hour in 0..240 {
            let made = NOON + hour * 3_600_000;
            all.push(made);
            for gone in dropped(&all, made) {
                all.retain(|wall| *wall != gone);
            }
            assert!(all.contains(&made));
        }
        assert_eq!(all.len(), LATEST_KEPT + DAYS_KEPT - 1);
        let days: BTreeSet<i64> = all.iter().map(|wall| wall.div_euclid(DAY_MS)).collect();
        assert_eq!(days.len(), DAYS_KEPT);
    }

    #[test]
    fn a_clock_set_back_drops_neither_the_new_copy_nor_the_old_ones() {
        let all: Vec<i64> = (0..3).map(|hour| NOON + hour * 3_600_000).collect();
        let made = 5_000;
        let mut with_new = all.clone();
        with_new.push(made);
        assert!(dropped(&with_new, made).is_empty());
    }
}
