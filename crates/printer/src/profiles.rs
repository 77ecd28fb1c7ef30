//! Printer profiles from a folder, beside those that ship with the program.

use std::path::{Path, PathBuf};

use receipt::Profiles;
use receipt::profile::ProfileError;

/// Why a folder of profiles cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// Path.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A profile is not valid.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

/// The built-in profiles and every `*.json` of `folder`. A missing folder adds nothing.
///
/// # Errors
/// [`FolderError`] for the first file that cannot be used.
pub fn load_folder(folder: &Path) -> Result<Profiles, FolderError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| FolderError::Unreadable { path, source }
    };
    let mut sources = Vec::new();
    if folder.is_dir() {
        for entry in std::fs::read_dir(folder).map_err(unreadable(folder))? {
            let path = entry.map_err(unreadable(folder))?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                let source = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
                let id = path
                    .file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned())
                    .unwrap_or_default();
                sources.push((id, source));
            }
        }
    }
    Ok(Profiles::from_sources(sources)?)
}
