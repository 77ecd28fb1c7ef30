//! Parts of files that are being fetched from the server.

use domain::ids::Digest;

use crate::error::LedgerError;
use crate::ledger::{Ledger, WriteTx};
use crate::sql::N;

impl Ledger {
    /// How many bytes of the file have arrived, from its first on.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn fetched(&self, digest: Digest) -> Result<u64, LedgerError> {
        Ok(self
            .prepare("SELECT coalesce(sum(length(bytes)), 0) FROM part WHERE digest = ?1")?
            .query_row([digest.0], |row| row.get(0))?)
    }

    /// The bytes that have arrived. Whether they are the file, its digest says.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn fetched_bytes(&self, digest: Digest) -> Result<Vec<u8>, LedgerError> {
        let mut parts = self.prepare("SELECT bytes FROM part WHERE digest = ?1 ORDER BY at")?;
        let mut rows = parts.query([digest.0])?;
        let mut bytes = Vec::new();
        while let Some(row) = rows.next()? {
            bytes.extend(row.get::<_, Vec<u8>>(0)?);
        }
        Ok(bytes)
    }
}

impl WriteTx<'_> {
    /// Keeps the next bytes of a file.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn add_part(&mut self, digest: Digest, bytes: &[u8]) -> Result<(), LedgerError> {
        self.step(|ledger| {
            let at = ledger.fetched(digest)?;
            ledger
                .prepare("INSERT INTO part (digest, at, bytes) VALUES (?1, ?2, ?3)")?
                .execute((digest.0, N(at), bytes))?;
            Ok(())
        })
    }

    /// Gives up the parts of all files but `wanted`.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn keep_parts(&mut self, wanted: &[Digest]) -> Result<(), LedgerError> {
        self.step(|ledger| {
            let known: Vec<[u8; 32]> = ledger
                .prepare("SELECT DISTINCT digest FROM part")?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for digest in known {
                if !wanted.contains(&Digest(digest)) {
                    ledger
                        .prepare("DELETE FROM part WHERE digest = ?1")?
                        .execute([digest])?;
                }
            }
            Ok(())
        })
    }
}
