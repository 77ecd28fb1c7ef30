//! The witness: a small file outside the data folder that knows how far the journal had come.
//!
//! A journal can prove that nothing in it was changed, but not that its end is still there, nor that it is the only
//! copy. So after every commit the head is written down elsewhere, together with a fingerprint of the file. At the
//! next start, without any network, the two are compared ([`judge`]) before anything is sold.
//!
//! One file per data folder, named after the folder's path. It holds two slots of [`SLOT_BYTES`] that are written in
//! turn, each with a checksum, so that a write that was torn leaves the one before it. It may lag behind the ledger,
//! never lead it: it is written after COMMIT, synced every [`SYNC_EVERY`] times and when the till ends. A whole
//! machine that was set back, witness and all, is noticed only by the server.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use domain::event::{StreamHead, StreamReason};
use domain::ids::{Digest, StreamId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::backup::BACKUP_STAMP;
use crate::error::LedgerError;
use crate::ledger::Ledger;

/// Bytes of a slot.
pub const SLOT_BYTES: usize = 512;
/// Writes between two syncs.
pub const SYNC_EVERY: u32 = 16;
/// End of the names of witness files.
const EXTENSION: &str = "witness";
/// Note in a ledger that has been witnessed: without a witness it has lost one.
const WITNESSED: &str = "witness.kept";

/// Where a ledger is: on which machine, in which folder, and which file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Digest of the machine's id.
    pub machine: String,
    /// Digest of the folder's canonical path.
    pub folder: String,
    /// Number of the file in its file system; 0 where there is none.
    pub file: u64,
}

/// What a witness file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Testimony {
    /// Rises with every write; the valid slot with the higher one counts.
    turn: u64,
    /// Stream.
    pub stream: StreamId,
    /// Its head.
    pub seq: u64,
    /// Chain hash there.
    pub hash: Digest,
    /// The file that it was the head of.
    pub fingerprint: Fingerprint,
}

impl Testimony {
    /// The head that it vouches for.
    pub fn head(&self) -> StreamHead {
        StreamHead {
            stream: self.stream,
            seq: self.seq,
            hash: self.hash,
        }
    }
}

/// The folder of the witness files, and the machine that it is on.
#[derive(Debug, Clone)]
pub struct WitnessDir {
    dir: PathBuf,
    machine: String,
}

/// What a start finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The ledger is the one that was last written, and nothing of it is missing.
    Trusted,
    /// Nobody has witnessed this ledger yet.
    FirstTime,
    /// The stream must end here.
    Broken {
        /// Why.
        reason: StreamReason,
        /// What the witness holds.
        witness: Option<StreamHead>,
    },
}

impl WitnessDir {
    /// Makes the folder where it is missing, and finds out which machine this is.
    ///
    /// # Errors
    /// The file system's; a till without a witness goes on and says so.
    pub fn open(dir: &Path) -> std::io::Result<WitnessDir> {
        let machine = machine_id(dir)?;
        WitnessDir::on_machine(dir, &machine)
    }

    /// As [`WitnessDir::open`], on a machine of that name.
    ///
    /// # Errors
    /// As [`WitnessDir::open`].
    pub fn on_machine(dir: &Path, machine: &str) -> std::io::Result<WitnessDir> {
        make_dir(dir)?;
        Ok(WitnessDir {
            dir: dir.to_owned(),
            machine: short_digest(b"hanout-machine-1\0", machine.trim().as_bytes()),
        })
    }

    /// What is known of the ledger at `path`, whether the file is there or not.
    ///
    /// # Errors
    /// The file system's.
    pub fn testimony(&self, path: &Path) -> std::io::Result<Option<Testimony>> {
        read(&self.file_of(&folder_digest(path)?))
    }

    /// Whether a ledger elsewhere on this machine has the stream.
    fn knows_elsewhere(
        &self,
        stream: StreamId,
        folder: &str,
    ) -> std::io::Result<Option<Testimony>> {
        let mut names: Vec<PathBuf> = fs::read_dir(&self.dir)?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|end| end == EXTENSION))
            .collect();
        names.sort();
        for name in names {
            if let Some(found) = read(&name)?
                && found.stream == stream
                && found.fingerprint.folder != folder
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn file_of(&self, folder: &str) -> PathBuf {
        self.dir.join(format!("{folder}.{EXTENSION}"))
    }

    fn fingerprint(&self, path: &Path) -> std::io::Result<Fingerprint> {
        Ok(Fingerprint {
            machine: self.machine.clone(),
            folder: folder_digest(path)?,
            file: file_number(path)?,
        })
    }
}

/// Compares a ledger that was just opened with what its witness says.
///
/// # Errors
/// [`LedgerError::Storage`] when the ledger cannot be read. A witness that cannot be read is none.
pub fn judge(ledger: &Ledger, path: &Path, dir: &WitnessDir) -> Result<Verdict, LedgerError> {
    let stream = ledger.identity().stream;
    let unreadable = |error: std::io::Error| {
        tracing::warn!(error = %error, "the witness cannot be read");
        None
    };
    let mine = dir.testimony(path).unwrap_or_else(unreadable);
    let witness = mine.as_ref().map(Testimony::head);
    let broken = |reason| Ok(Verdict::Broken { reason, witness });
    // A copy that our own backup made says so itself.
    if ledger.local(BACKUP_STAMP)?.is_some() {
        return broken(StreamReason::Restored);
    }
    let Some(here) = dir.fingerprint(path).map(Some).unwrap_or_else(|error| {
        tracing::warn!(error = %error, "the ledger's fingerprint cannot be taken");
        None
    }) else {
        return Ok(Verdict::FirstTime);
    };
    let Some(mine) = mine else {
        let elsewhere = dir
            .knows_elsewhere(stream, &here.folder)
            .unwrap_or_else(unreadable);
        if let Some(elsewhere) = elsewhere {
            return Ok(Verdict::Broken {
                reason: StreamReason::Cloned,
                witness: Some(elsewhere.head()),
            });
        }
        return if ledger.local(WITNESSED)?.is_some() {
            broken(StreamReason::WitnessMissing)
        } else {
            Ok(Verdict::FirstTime)
        };
    };
    if mine.fingerprint.machine != here.machine {
        return broken(StreamReason::Cloned);
    }
    if mine.stream != stream {
        return broken(StreamReason::Restored);
    }
    if ledger.hash_at(mine.seq)? != Some(mine.hash) {
        return broken(StreamReason::RolledBack);
    }
    // The right history in another file: somebody put a copy in its place, and may keep another one.
    if mine.fingerprint.file != here.file && !ledger.sealed_anew {
        return broken(StreamReason::Restored);
    }
    Ok(Verdict::Trusted)
}

/// A witness at work.
#[derive(Debug)]
pub(crate) struct Witness {
    file: File,
    fingerprint: Fingerprint,
    turn: u64,
    unsynced: u32,
    /// A failure was told once; the sale does not wait for the witness.
    failed: bool,
}

impl Witness {
    fn open(dir: &WitnessDir, path: &Path) -> std::io::Result<Witness> {
        let fingerprint = dir.fingerprint(path)?;
        let name = dir.file_of(&fingerprint.folder);
        let before = read(&name)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Witness {
            file: options.open(&name)?,
            fingerprint,
            turn: before.map_or(0, |before| before.turn),
            unsynced: 0,
            failed: false,
        })
    }

    fn write(&mut self, head: StreamHead) -> std::io::Result<()> {
        self.turn += 1;
        let slot = encode(&Testimony {
            turn: self.turn,
            stream: head.stream,
            seq: head.seq,
            hash: head.hash,
            fingerprint: self.fingerprint.clone(),
        });
        let place = (self.turn % 2) * SLOT_BYTES as u64;
        self.file.seek(SeekFrom::Start(place))?;
        self.file.write_all(&slot)?;
        self.unsynced += 1;
        if self.unsynced >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> std::io::Result<()> {
        self.file.sync_data()?;
        self.unsynced = 0;
        Ok(())
    }

    /// Takes down a head that is durable. A failure costs the witness, never the sale.
    pub(crate) fn note(&mut self, head: StreamHead) {
        match self.write(head) {
            Ok(()) => self.failed = false,
            Err(error) if !self.failed => {
                tracing::warn!(error = %error, "the witness cannot be written");
                self.failed = true;
            }
            Err(_) => {}
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if let Err(error) = self.sync() {
            tracing::warn!(error = %error, "the witness could not be synced");
        }
    }
}

impl Ledger {
    /// From now on every commit is witnessed in `dir`, beginning with the head as it is.
    ///
    /// # Errors
    /// [`WitnessError`]; the ledger is then as it was.
    pub fn keep_witness(&mut self, path: &Path, dir: &WitnessDir) -> Result<(), WitnessError> {
        let mut witness = Witness::open(dir, path)?;
        witness.write(self.head())?;
        witness.sync()?;
        File::open(&dir.dir)?.sync_all().or_else(|error| {
            // Only Unix lets a folder be synced.
            if cfg!(unix) { Err(error) } else { Ok(()) }
        })?;
        // The note comes second: a ledger that says so has a witness.
        if self.local(WITNESSED)?.is_none() {
            self.write(|tx| tx.set_local(WITNESSED, "1"))?;
        }
        self.set_witness(witness);
        Ok(())
    }
}

/// Why a ledger cannot be witnessed.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The witness file cannot be written.
    #[error("the witness cannot be written")]
    Io(#[from] std::io::Error),
    /// The ledger cannot take the note.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn encode(testimony: &Testimony) -> Vec<u8> {
    let text = serde_json::to_string(testimony).expect("texts and integers are plain data");
    let mut slot = format!("{text} {}", hex_digest(text.as_bytes())).into_bytes();
    debug_assert!(slot.len() < SLOT_BYTES, "a testimony fits its slot");
    slot.resize(SLOT_BYTES - 1, b' ');
    slot.push(b'\n');
    slot
}

fn decode(slot: &[u8]) -> Option<Testimony> {
    let text = std::str::from_utf8(slot).ok()?.trim_end();
    let (text, digest) = text.rsplit_once(' ')?;
    if hex_digest(text.as_bytes()) != digest {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// The later of the two slots that is whole; none when there is no file, or none is.
fn read(name: &Path) -> std::io::Result<Option<Testimony>> {
    let mut bytes = Vec::new();
    match File::open(name) {
        Ok(file) => file.take(2 * SLOT_BYTES as u64).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(bytes
        .chunks(SLOT_BYTES)
        .filter_map(decode)
        .max_by_key(|testimony| testimony.turn))
}

fn hex_digest(bytes: &[u8]) -> String {
    Digest(Sha256::digest(bytes).into()).to_string()
}

/// Enough to tell two apart, and not enough to know which they are.
fn short_digest(domain: &[u8], bytes: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(domain);
    hasher.update(bytes);
    let mut text = Digest(hasher.finalize().into()).to_string();
    text.truncate(24);
    text
}

fn folder_digest(path: &Path) -> std::io::Result<String> {
    let folder = path.parent().unwrap_or(Path::new(".")).canonicalize()?;
    Ok(short_digest(
        b"hanout-folder-1\0",
        folder.as_os_str().as_encoded_bytes(),
    ))
}

fn file_number(path: &Path) -> std::io::Result<u64> {
    let about = fs::metadata(path)?;
    #[cfg(unix)]
    return Ok(std::os::unix::fs::MetadataExt::ino(&about));
    #[cfg(not(unix))]
    return Ok(about
        .created()
        .ok()
        .and_then(|made| made.duration_since(std::time::UNIX_EPOCH).ok())
        .map_or(0, |made| made.as_secs()));
}

/// The machine's id as its system gives it, else one drawn for this folder and kept in it.
fn machine_id(dir: &Path) -> std::io::Result<String> {
    for name in ["/etc/machine-id", "/var/lib/dbus/machine-id"] {
        if let Ok(text) = fs::read_to_string(name)
            && !text.trim().is_empty()
        {
            return Ok(text);
        }
    }
    make_dir(dir)?;
    let name = dir.join("machine");
    match fs::read_to_string(&name) {
        Ok(text) if !text.trim().is_empty() => return Ok(text),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Keys of the standard library's hasher come from the system's randomness.
    let draw = || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), &name);
    let drawn = format!("{:016x}{:016x}", draw(), draw());
    let draft = dir.join("machine.new");
    fs::write(&draft, &drawn)?;
    fs::rename(&draft, &name)?;
    Ok(drawn)
}

fn make_dir(dir: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn testimony(turn: u64) -> Testimony {
        Testimony {
            turn,
            stream: StreamId([7; 16]),
            seq: u64::MAX >> 1,
            hash: Digest([0xab; 32]),
            fingerprint: Fingerprint {
                machine: "m".repeat(24),
                folder: "f".repeat(24),
                file: u64::MAX,
            },
        }
    }

    #[test]
    fn the_longest_testimony_fits_its_slot() {
        assert_eq!(encode(&testimony(u64::MAX)).len(), SLOT_BYTES);
    }

    #[test]
    fn a_torn_write_leaves_the_one_before() {
        let directory = tempfile::tempdir().expect("directory");
        let name = directory.path().join("x.witness");
        let whole = [encode(&testimony(4)), encode(&testimony(5))].concat();
        fs::write(&name, &whole).expect("write");
        assert_eq!(read(&name).expect("read"), Some(testimony(5)));
        for cut in 0..SLOT_BYTES {
            let mut torn = whole.clone();
            torn[SLOT_BYTES + cut] ^= 0x20;
            fs::write(&name, &torn).expect("write");
            let found = read(&name).expect("read").expect("a slot is whole");
            // Padding says nothing; everything else is covered by the checksum.
            assert!([4, 5].contains(&found.turn));
            torn.truncate(SLOT_BYTES + cut);
            fs::write(&name, &torn).expect("write");
            let found = read(&name).expect("read").expect("a slot is whole");
            assert!([4, 5].contains(&found.turn));
        }
        let mut torn = whole;
        torn[SLOT_BYTES + 40] ^= 1;
        fs::write(&name, &torn).expect("write");
        assert_eq!(read(&name).expect("read"), Some(testimony(4)));
        torn[40] ^= 1;
        fs::write(&name, &torn).expect("write");
        assert_eq!(read(&name).expect("read"), None);
    }
}
