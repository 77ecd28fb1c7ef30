//! The data directory: one file per tenant under `tenants/`.

use std::io;
use std::path::{Path, PathBuf};

use domain::ids::TenantId;
use hub::{Hub, NewTenant, Now, StoreError};

use crate::secrets::{SecretError, entropy};

const SUFFIX: &str = ".db";

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The directory cannot be made or read.
    #[error("the data directory {} cannot be used", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A tenant's file failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tenant exists.
    #[error("tenant {0} exists")]
    Exists(TenantId),
    /// There is no such tenant.
    #[error("no tenant {0}")]
    Unknown(TenantId),
    /// The operating system gave no randomness.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// Where tenants' files live.
#[derive(Debug, Clone)]
pub struct DataDir {
    tenants: PathBuf,
}

impl DataDir {
    /// Uses `path`, making it when it is missing.
    ///
    /// # Errors
    /// [`DataError::Directory`].
    pub fn open(path: &Path) -> Result<DataDir, DataError> {
        let tenants = path.join("tenants");
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        // Tokens, keys and PIN verifiers are in there.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(&tenants)
            .map_err(|source| DataError::Directory {
                path: tenants.clone(),
                source,
            })?;
        Ok(DataDir { tenants })
    }

    /// Uses `path`, which must be a data directory already.
    ///
    /// # Errors
    /// [`DataError::Directory`].
    pub fn existing(path: &Path) -> Result<DataDir, DataError> {
        let tenants = path.join("tenants");
        match std::fs::read_dir(&tenants) {
            Ok(_) => Ok(DataDir { tenants }),
            Err(source) => Err(DataError::Directory {
                path: tenants,
                source,
            }),
        }
    }

    /// Tenants by code.
    ///
    /// # Errors
    /// [`DataError::Directory`].
    pub fn tenants(&self) -> Result<Vec<TenantId>, DataError> {
        let failed = |source| DataError::Directory {
            path: self.tenants.clone(),
            source,
        };
        let mut tenants = Vec::new();
        for entry in std::fs::read_dir(&self.tenants).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let tenant = name
                .to_str()
                .and_then(|name| name.strip_suffix(SUFFIX))
                .and_then(|name| TenantId::new(name).ok());
            tenants.extend(tenant);
        }
        tenants.sort();
        Ok(tenants)
    }

    /// Opens a tenant's hub; none when there is no such tenant.
    ///
    /// # Errors
    /// [`DataError::Store`], [`DataError::Secret`].
    pub fn find(&self, tenant: &TenantId) -> Result<Option<Hub>, DataError> {
        let path = self.path(tenant);
        if !path.is_file() {
            return Ok(None);
        }
        Ok(Some(Hub::open(&path, entropy()?)?))
    }

    /// Opens a tenant's hub.
    ///
    /// # Errors
    /// [`DataError::Unknown`], [`DataError::Store`], [`DataError::Secret`].
    pub fn hub(&self, tenant: &TenantId) -> Result<Hub, DataError> {
        self.find(tenant)?
            .ok_or_else(|| DataError::Unknown(tenant.clone()))
    }

    /// Makes a tenant.
    ///
    /// # Errors
    /// [`DataError::Exists`], [`DataError::Store`], [`DataError::Secret`].
    pub fn create(&self, new: &NewTenant, now: &Now) -> Result<Hub, DataError> {
        let path = self.path(&new.tenant);
        if path.exists() {
            return Err(DataError::Exists(new.tenant.clone()));
        }
        Ok(Hub::create(&path, new, now, entropy()?)?)
    }

    fn path(&self, tenant: &TenantId) -> PathBuf {
        self.tenants.join(format!("{tenant}{SUFFIX}"))
    }
}
