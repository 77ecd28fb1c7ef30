//! Snapshots: large feeds as files that are named by what they hold, so that a till fetches them in parts.
//!
//! They lie in `{tenant}.snapshots/` beside the tenant's file and hold nothing that the file does not: one that is
//! lost or damaged is built again. A name says epoch, version and checksum of the feed, because a server that was put
//! back may come to a version a second time with other rows.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use domain::ids::{DeviceId, Digest};
use sync_protocol::{
    Cursor, FeedName, ProtocolError, SNAPSHOT_DECODED_MAX, SNAPSHOT_ROWS_MIN, Snapshot, SyncRequest,
};

use crate::devices::internal;
use crate::feeds::{feeds_of, page};
use crate::lifecycle::{Hub, epoch};
use crate::shops::store_config;
use crate::store::{StoreError, StoreResult, Tx};

/// Files kept of one feed: the newest, and the one that tills may be in the middle of.
const PER_FEED_MAX: usize = 2;
/// Files kept in all.
const FILES_MAX: usize = 8;
/// A third of the size of level 1 is saved, and 100,000 variants still take less than a second.
const ZSTD_LEVEL: i32 = 3;
const SUFFIX: &str = ".zst";
const UNFINISHED: &str = ".part";

/// A snapshot that may be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFile {
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
}

#[derive(Debug, thiserror::Error)]
enum SnapshotError {
    #[error("the tenant's file failed")]
    Store(#[from] StoreError),
    #[error("the folder of snapshots failed")]
    Io(#[from] io::Error),
    #[error("the feed cannot be written as json")]
    Json(#[from] serde_json::Error),
}

/// Which state of which feed a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    feed: FeedName,
    epoch: u64,
    ver: u64,
    checksum: u64,
}

/// A file of the folder, as its name says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    state: State,
    decoded: u64,
    digest: Digest,
}

impl Kept {
    fn name(&self) -> String {
        let State {
            feed,
            epoch,
            ver,
            checksum,
        } = &self.state;
        let feed = hex::encode(feed.to_string());
        let (decoded, digest) = (self.decoded, self.digest);
        format!("{feed}-{epoch}-{ver}-{checksum}-{decoded}-{digest}{SUFFIX}")
    }

    fn read(name: &str) -> Option<Kept> {
        let mut parts = name.strip_suffix(SUFFIX)?.split('-');
        let feed = String::from_utf8(hex::decode(parts.next()?).ok()?).ok()?;
        let kept = Kept {
            state: State {
                feed: feed.parse().ok()?,
                epoch: parts.next()?.parse().ok()?,
                ver: parts.next()?.parse().ok()?,
                checksum: parts.next()?.parse().ok()?,
            },
            decoded: parts.next()?.parse().ok()?,
            digest: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(kept)
    }
}

impl Hub {
    /// Snapshots for what `request` would fetch whole. One that cannot be built is not named, and the feed comes in
    /// pages.
    pub(crate) fn name_snapshots(&self, device: DeviceId, request: &SyncRequest) -> Vec<Snapshot> {
        if request.limit == 0 {
            return Vec::new();
        }
        let at_start = |feed: &&FeedName| {
            let cursor = request.cursors.get(*feed);
            cursor.is_none_or(|cursor| *cursor == Cursor::default())
        };
        let wanted = request.snapshots.iter().filter(at_start);
        let named = wanted.filter_map(|feed| match self.name_snapshot(device, feed) {
            Ok(named) => named,
            Err(error) => {
                tracing::warn!(cause = %error, feed = %feed, "no snapshot, the feed goes out in pages");
                None
            }
        });
        named.collect()
    }

    fn name_snapshot(
        &self,
        device: DeviceId,
        feed: &FeedName,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        let folder = self.snapshot_folder();
        self.store.read(|tx| {
            if !may_read(tx, device, feed)? {
                return Ok(None);
            }
            let rows = tx.feed_rows_after(feed, &Cursor::default(), SNAPSHOT_ROWS_MIN + 1)?;
            if rows.len() <= SNAPSHOT_ROWS_MIN {
                return Ok(None);
            }
            // Each row comes with its key and version besides.
            if tx.feed_bytes(feed)? > SNAPSHOT_DECODED_MAX {
                return Ok(None);
            }
            let head = tx.feed_head(feed)?;
            let state = State {
                feed: feed.clone(),
                epoch: epoch(tx)?,
                ver: head.ver,
                checksum: head.checksum,
            };
            let found = list(&folder)?.into_iter().find(|kept| kept.state == state);
            if let Some(kept) = found {
                let path = folder.join(kept.name());
                let file = fs::read(&path)?;
                if Snapshot::digest(&file) == kept.digest {
                    return Ok(named(&kept, file.len()));
                }
                tracing::warn!(feed = %feed, "a snapshot was damaged and is built again");
                fs::remove_file(&path)?;
            }
            build(tx, device, state, &folder)
        })
    }

    /// The file of a snapshot.
    ///
    /// # Errors
    /// [`ProtocolError::NoSnapshot`] when there is none, or none that the device may read;
    /// [`ProtocolError::Unauthorised`], [`ProtocolError::Revoked`].
    pub fn snapshot_file(
        &self,
        device: DeviceId,
        digest: Digest,
    ) -> Result<SnapshotFile, ProtocolError> {
        let folder = self.snapshot_folder();
        let outcome = self
            .store
            .read(|tx| -> StoreResult<Result<SnapshotFile, ProtocolError>> {
                match tx.device(device)? {
                    None => return Ok(Err(ProtocolError::Unauthorised)),
                    Some(row) if row.revoked.is_some() => {
                        return Ok(Err(ProtocolError::Revoked));
                    }
                    Some(_) => {}
                }
                let Ok(mut files) = list(&folder) else {
                    return Ok(Err(ProtocolError::NoSnapshot));
                };
                files.retain(|kept| kept.digest == digest);
                for kept in files {
                    let path = folder.join(kept.name());
                    if may_read(tx, device, &kept.state.feed)?
                        && let Ok(meta) = fs::metadata(&path)
                    {
                        let bytes = meta.len();
                        return Ok(Ok(SnapshotFile { path, bytes }));
                    }
                }
                Ok(Err(ProtocolError::NoSnapshot))
            });
        outcome.map_err(internal)?
    }

    fn snapshot_folder(&self) -> PathBuf {
        self.store.path().with_extension("snapshots")
    }
}

/// Whether a snapshot of the feed is for the device: it follows the feed, and what the feed holds is the same for
/// everybody. A page of stock says besides how far the reader's own store is folded.
fn may_read(tx: &Tx<'_>, device: DeviceId, feed: &FeedName) -> StoreResult<bool> {
    match feed {
        FeedName::Catalogue | FeedName::Price(_) => {}
        FeedName::Config(_) | FeedName::Stock(_) => return Ok(false),
    }
    let Some(row) = tx.device(device)?.filter(|row| row.revoked.is_none()) else {
        return Ok(false);
    };
    let config = store_config(tx, &row.store)?.ok_or(StoreError::Corrupt("store"))?;
    Ok(feeds_of(&config).contains(feed))
}

fn build(
    tx: &Tx<'_>,
    device: DeviceId,
    state: State,
    folder: &Path,
) -> Result<Option<Snapshot>, SnapshotError> {
    let row = tx.device(device)?.ok_or(StoreError::Corrupt("device"))?;
    let config = store_config(tx, &row.store)?.ok_or(StoreError::Corrupt("store"))?;
    let mut whole = page(tx, &config, &state.feed, Cursor::default(), usize::MAX - 1)?;
    whole.next = tx.feed_end(&state.feed)?;
    let json = serde_json::to_vec(&whole)?;
    let file = zstd::bulk::compress(&json, ZSTD_LEVEL)?;
    let kept = Kept {
        state,
        decoded: json.len() as u64,
        digest: Snapshot::digest(&file),
    };
    let Some(snapshot) = named(&kept, file.len()) else {
        return Ok(None);
    };
    fs::create_dir_all(folder)?;
    let unfinished = folder.join(format!("{}{UNFINISHED}", kept.digest));
    let mut out = fs::File::create(&unfinished)?;
    out.write_all(&file)?;
    out.sync_all()?;
    fs::rename(&unfinished, folder.join(kept.name()))?;
    if let Err(error) = tidy_up(folder, &kept) {
        tracing::warn!(cause = %error, "old snapshots could not be removed");
    }
    Ok(Some(snapshot))
}

fn named(kept: &Kept, bytes: usize) -> Option<Snapshot> {
    let bytes = bytes as u64;
    (bytes.max(kept.decoded) <= SNAPSHOT_DECODED_MAX).then(|| Snapshot {
        feed: kept.state.feed.clone(),
        ver: kept.state.ver,
        digest: kept.digest,
        bytes,
        decoded: kept.decoded,
    })
}

/// Removes what is left unfinished, and the oldest files beyond the bounds; never `newest`.
fn tidy_up(folder: &Path, newest: &Kept) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(UNFINISHED) {
            fs::remove_file(entry.path())?;
        } else if let Some(kept) = Kept::read(&name).filter(|kept| kept != newest) {
            let age = entry
                .metadata()?
                .modified()
                .unwrap_or(SystemTime::UNIX_EPOCH);
            files.push((age, kept));
        }
    }
    files.sort_by_key(|(age, kept)| std::cmp::Reverse((*age, kept.state.epoch, kept.state.ver)));
    let (mut of_feed, mut all) = (std::collections::BTreeMap::new(), 1);
    of_feed.insert(newest.state.feed.clone(), 1);
    for (_, kept) in files {
        let same = of_feed.entry(kept.state.feed.clone()).or_insert(0);
        if *same < PER_FEED_MAX && all < FILES_MAX {
            *same += 1;
            all += 1;
        } else {
            fs::remove_file(folder.join(kept.name()))?;
        }
    }
    Ok(())
}

fn list(folder: &Path) -> io::Result<Vec<Kept>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        files.extend(Kept::read(&entry?.file_name().to_string_lossy()));
    }
    Ok(files)
}
