//! Looking into a data folder beside the program that runs it.

use std::path::{Path, PathBuf};

use domain::ids::JobId;
use ledger::{Ledger, LedgerError, OpenError, VerifyReport};
use receipt::{Document, Profiles, Renderer};

/// Name of the ledger in a data folder.
const LEDGER_FILE: &str = "ledger.db";

/// Why a data folder cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
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

fn open(data_dir: &Path) -> Result<Ledger, InspectError> {
    match Ledger::open_read_only(&data_dir.join(LEDGER_FILE)) {
        Ok(ledger) => Ok(ledger),
        Err(OpenError::NotFound) => Err(InspectError::NoLedger {
            path: data_dir.to_owned(),
        }),
        Err(error) => Err(InspectError::Open(error)),
    }
}

/// Recomputes everything in the ledger of `data_dir` from its stored bytes; works beside a running till.
///
/// # Errors
/// [`InspectError`]; what is wrong inside a readable ledger stands in the report.
pub fn verify(data_dir: &Path) -> Result<VerifyReport, InspectError> {
    Ok(open(data_dir)?.verify()?)
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
