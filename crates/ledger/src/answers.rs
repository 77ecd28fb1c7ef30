//! Answers given at the door, kept so that a repeated request gets the same one, and small device notes.

use domain::ids::{Digest, RequestId};
use rusqlite::OptionalExtension as _;

use crate::error::LedgerError;
use crate::ledger::{Ledger, WriteTx};
use crate::sql::Id;

/// Answers kept at most.
const ANSWERS_MAX: i64 = 100_000;
/// Answers kept however old they seem, because a clock that jumped ahead makes all of them old.
const ANSWERS_MIN: i64 = 10_000;
/// How long an answer is kept: 30 days.
const ANSWER_AGE_MS_MAX: i64 = 30 * 24 * 3_600_000;
/// Every so many answers the oldest are looked at, four times as many, so that the backlog shrinks.
const PRUNE_EVERY: i64 = 64;

/// An answer that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Digest of the request that it answers; another request under the same id is refused.
    pub digest: Digest,
    /// The answer as text.
    pub answer: String,
}

impl Ledger {
    /// The answer given to `request`.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn answer(&self, request: RequestId) -> Result<Option<StoredAnswer>, LedgerError> {
        Ok(self
            .prepare("SELECT digest, answer FROM answer WHERE request = ?1")?
            .query_row([Id(request.0)], |row| {
                Ok(StoredAnswer {
                    digest: Digest(row.get(0)?),
                    answer: row.get(1)?,
                })
            })
            .optional()?)
    }

    /// The note under `key`: durable device state that is no fact.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn local(&self, key: &str) -> Result<Option<String>, LedgerError> {
        Ok(self
            .prepare("SELECT value FROM local WHERE key = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()?)
    }
}

/// Sets a note.
pub(crate) const SET_LOCAL: &str =
    "INSERT OR REPLACE INTO local (key, value, proof) VALUES (?1, ?2, row_proof('local', ?1, ?2))";

impl WriteTx<'_> {
    /// Keeps the answer to `request`, and drops the oldest ones now and then.
    ///
    /// # Errors
    /// [`LedgerError::OutOfPlace`] when the request has an answer already; [`LedgerError::Storage`].
    pub fn store_answer(
        &mut self,
        request: RequestId,
        digest: Digest,
        answer: &str,
        wall: i64,
    ) -> Result<(), LedgerError> {
        self.step(|ledger| {
            let inserted = ledger
                .prepare(
                    "INSERT INTO answer (ordinal, request, digest, wall, answer, proof) \
                     SELECT next, ?1, ?2, ?3, ?4, row_proof('answer', next, ?1, ?2, ?3, ?4) \
                     FROM (SELECT coalesce(max(ordinal), 0) + 1 AS next FROM answer) WHERE true \
                     ON CONFLICT (request) DO NOTHING",
                )?
                .execute((Id(request.0), digest.0, wall, answer))?;
            if inserted == 0 {
                return Err(LedgerError::OutOfPlace {
                    kind: "answer",
                    what: "the request was answered already",
                });
            }
            let last = ledger.conn()?.last_insert_rowid();
            if last % PRUNE_EVERY != 0 {
                return Ok(());
            }
            ledger
                .prepare("DELETE FROM answer WHERE ordinal <= ?1")?
                .execute([last - ANSWERS_MAX])?;
            ledger
                .prepare(
                    "DELETE FROM answer WHERE ordinal IN \
                     (SELECT ordinal FROM answer WHERE ordinal <= ?1 ORDER BY ordinal LIMIT ?2) AND wall < ?3",
                )?
                .execute((
                    last - ANSWERS_MIN,
                    4 * PRUNE_EVERY,
                    wall.saturating_sub(ANSWER_AGE_MS_MAX),
                ))?;
            Ok(())
        })
    }

    /// Keeps a note under `key`.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn set_local(&mut self, key: &str, value: &str) -> Result<(), LedgerError> {
        self.step(|ledger| {
            ledger.prepare(SET_LOCAL)?.execute((key, value))?;
            Ok(())
        })
    }
}
