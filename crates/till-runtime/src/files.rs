//! Looking into a data folder beside the program that runs it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use domain::ids::JobId;
use ledger::{FileKey, Ledger, LedgerError, OpenError, VerifyReport};
use receipt::{Document, Profiles, Renderer};
use tempfile::TempDir;

/// Name of the ledger in a data folder.
pub(crate) const LEDGER_FILE: &str = "ledger.db";

/// Why a data folder cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The till of this folder is running.
    #[error("the till is running: stop it first")]
    InUse,
    /// The folder has no device key, so no ledger can belong to it.
    #[error("the folder holds no device key: it is no till's data folder")]
    NoDevice,
    /// The file is another device's.
    #[error("the file belongs to another device")]
    Foreign,
    /// The file does not hold together.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// The copy cannot be made.
    #[error("the copy cannot be made")]
    Copy(#[source] OpenError),
    /// The key of the files cannot be used.
    #[error("the key cannot be used")]
    Key(#[source] till::OpenTillError),
    /// The folder cannot be read or changed.
    #[error("the folder cannot be used")]
    Folder(#[source] std::io::Error),
    /// There is no ledger: the device was never enrolled, or this is another folder.
    #[error("there is no ledger in {path}")]
    NoLedger {
        /// Folder.
        path: PathBuf,
    },
    /// The ledger cannot be opened.
    #[error("the ledger cannot be opened")]
    Open(#[source] OpenError),
    /// The ledger cannot be read.
    #[error("the ledger cannot be read")]
    Read(#[from] LedgerError),
    /// The till cannot be opened.
    #[error("the till cannot be opened")]
    Till(#[source] till::OpenTillError),
    /// The file was not taken over.
    #[error("nothing was taken over")]
    NotRecovered(#[from] ledger::RecoverError),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] crate::clock::NoEntropy),
    /// No such print job.
    #[error("no print job {job}")]
    NoJob {
        /// Job asked for.
        job: JobId,
    },
    /// The job has no document, because it only opens the drawer, or it cannot be read.
    #[error("print job {job} has no document that can be read")]
    NoDocument {
        /// Job asked for.
        job: JobId,
    },
    /// No such printer profile.
    #[error("no printer profile {profile}")]
    NoProfile {
        /// Profile asked for.
        profile: String,
    },
}

/// Where the witness of a ledger belongs on this platform: `HANOUT_WITNESS_DIR`, else the folder for state of the
/// user, which no copy of a data folder takes along. None where the platform names no such folder.
pub fn witness_dir(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    folder("HANOUT_WITNESS_DIR")
        .or_else(|| folder("XDG_STATE_HOME").map(|state| state.join("hanout")))
        .or_else(|| folder("LOCALAPPDATA").map(|state| state.join("hanout").join("state")))
        .or_else(|| folder("HOME").map(|home| home.join(".local").join("state").join("hanout")))
}

/// Opens the ledger of a data folder for reading, with the key that lies there.
pub(crate) fn open(data_dir: &Path) -> Result<Ledger, InspectError> {
    open_file(&data_dir.join(LEDGER_FILE)).map(|(ledger, _)| ledger)
}

/// The key for a file: beside it, or in the folder above, where the copies of a till lie.
pub(crate) fn key_for(file: &Path) -> Result<Option<FileKey>, till::OpenTillError> {
    let absolute = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    for folder in absolute.ancestors().skip(1).take(2) {
        if let Some(key) = till::read_file_key(folder)? {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

/// Opens a ledger for reading. On a medium that cannot be written SQLite cannot read a file with a log beside
/// it, so both are copied where there is room; the copy lives as long as what is returned with the ledger.
pub(crate) fn open_file(path: &Path) -> Result<(Ledger, Option<TempDir>), InspectError> {
    let key = key_for(path).map_err(InspectError::Key)?;
    match Ledger::open_read_only_with(path, key.as_ref()) {
        Ok(ledger) => Ok((ledger, None)),
        Err(OpenError::NotFound) => Err(InspectError::NoLedger {
            path: path.parent().unwrap_or(path).to_owned(),
        }),
        Err(OpenError::ReadOnly) if with_log(path).exists() => {
            let place = tempfile::tempdir().map_err(InspectError::Folder)?;
            let copy = place.path().join(LEDGER_FILE);
            std::fs::copy(path, &copy)
                .and_then(|_| std::fs::copy(with_log(path), with_log(&copy)))
                .map_err(InspectError::Folder)?;
            let ledger = Ledger::open_read_only_with(&copy, key.as_ref());
            Ok((ledger.map_err(InspectError::Open)?, Some(place)))
        }
        Err(error) => Err(InspectError::Open(error)),
    }
}

fn with_log(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", path.display()))
}

/// Recomputes everything in a ledger from its stored bytes; works beside a running till, on copies, and on
/// media that cannot be written. `path` is a data folder or a file.
///
/// # Errors
/// [`InspectError`]; what is wrong inside a readable ledger stands in the report.
pub fn verify(path: &Path) -> Result<VerifyReport, InspectError> {
    let (ledger, _place) = if path.is_dir() {
        open_file(&path.join(LEDGER_FILE))?
    } else {
        open_file(path)?
    };
    Ok(ledger.verify()?)
}

/// The picture of a print job, as PNG, in the width of a printer `profile`.
///
/// # Errors
/// [`InspectError`].
pub fn render(data_dir: &Path, job: JobId, profile: &str) -> Result<Vec<u8>, InspectError> {
    let stored = open(data_dir)?
        .print_job(job)?
        .ok_or(InspectError::NoJob { job })?;
    let document =
        Document::from_json(&stored.document).map_err(|_| InspectError::NoDocument { job })?;
    let profiles = Profiles::built_in();
    let profile = profiles
        .get(profile)
        .ok_or_else(|| InspectError::NoProfile {
            profile: profile.to_owned(),
        })?;
    Ok(Renderer::new()
        .render(&document, profile.width_dots())
        .to_png())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_witness_is_where_the_platform_keeps_state() {
        let dir = |known: &[(&str, &str)]| {
            let known: Vec<(String, OsString)> = known
                .iter()
                .map(|(name, value)| ((*name).to_owned(), OsString::from(value)))
                .collect();
            witness_dir(|name| {
                known
                    .iter()
                    .find(|(known, _)| known == name)
                    .map(|(_, value)| value.clone())
            })
        };
        assert_eq!(dir(&[]), None);
        assert_eq!(
            dir(&[("HOME", "/h"), ("XDG_STATE_HOME", "")]),
            Some(PathBuf::from("/h/.local/state/hanout"))
        );
        assert_eq!(
            dir(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")]),
            Some(PathBuf::from("/s/hanout"))
        );
        assert_eq!(
            dir(&[("HOME", "/h"), ("HANOUT_WITNESS_DIR", "/w")]),
            Some(PathBuf::from("/w"))
        );
    }
}
