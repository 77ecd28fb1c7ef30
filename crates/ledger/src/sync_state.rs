//! How much of the journal a server has acknowledged.

use domain::ids::Digest;
use rusqlite::OptionalExtension as _;

use crate::error::LedgerError;
use crate::ledger::{Ledger, WriteTx};
use crate::sql::N;

/// What the server has not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsynced {
    /// Events.
    pub count: u64,
    /// Wall clock of the oldest.
    pub oldest_wall: Option<i64>,
}

impl Ledger {
    /// Highest sequence number that `authority` acknowledged in `epoch`, 0 for none.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn acked(&self, authority: &str, epoch: u64) -> Result<u64, LedgerError> {
        let seq = self
            .prepare("SELECT seq FROM ack WHERE authority = ?1 AND epoch = ?2")?
            .query_row((authority, N(epoch)), |row| row.get(0))
            .optional()?;
        Ok(seq.unwrap_or(0))
    }

    /// What the server that acknowledged last has not acknowledged yet.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn unsynced(&self) -> Result<Unsynced, LedgerError> {
        let acked: u64 = self
            .prepare("SELECT seq FROM ack ORDER BY turn DESC LIMIT 1")?
            .query_row([], |row| row.get(0))
            .optional()?
            .unwrap_or(0);
        let oldest_wall = self
            .prepare("SELECT wall FROM event WHERE seq = ?1 + 1")?
            .query_row([N(acked)], |row| row.get(0))
            .optional()?;
        Ok(Unsynced {
            count: self.head.seq.saturating_sub(acked),
            oldest_wall,
        })
    }
}

impl WriteTx<'_> {
    /// Takes down what `authority` acknowledged in `epoch`. It may be less than before: a server that was
    /// restored is sent again what it lost.
    ///
    /// # Errors
    /// [`LedgerError::AckMismatch`] when `hash` is not ours at `seq`; [`LedgerError::Storage`].
    pub fn set_acked(
        &mut self,
        authority: &str,
        epoch: u64,
        seq: u64,
        hash: Digest,
    ) -> Result<(), LedgerError> {
        self.step(|ledger| {
            if seq > ledger.head.seq || ledger.hash_at(seq)? != Some(hash) {
                return Err(LedgerError::AckMismatch { seq });
            }
            ledger
                .prepare(
                    "INSERT INTO ack (authority, epoch, seq, hash, turn) \
                     VALUES (?1, ?2, ?3, ?4, (SELECT coalesce(max(turn), 0) + 1 FROM ack)) \
                     ON CONFLICT (authority, epoch) DO UPDATE \
                     SET seq = excluded.seq, hash = excluded.hash, turn = excluded.turn",
                )?
                .execute((authority, N(epoch), N(seq), hash.0))?;
            Ok(())
        })
    }
}
