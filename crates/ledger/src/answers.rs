//! Answers given at the door, kept so that a repeated request gets the same one, and small device notes.

use domain::ids::{Digest, RequestId};

use crate::{Ledger, LedgerError, WriteTx};

/// An answer that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Digest of the request it answers.
    pub digest: Digest,
    /// The answer.
    pub answer: String,
}

impl Ledger {
    /// The answer given to `request`.
    pub fn answer(&self, request: RequestId) -> Result<Option<StoredAnswer>, LedgerError> {
        unimplemented!()
    }
    /// A note under `key`.
    pub fn local(&self, key: &str) -> Result<Option<String>, LedgerError> {
        unimplemented!()
    }
}

impl WriteTx<'_> {
    /// Keeps an answer.
    pub fn store_answer(
        &mut self,
        request: RequestId,
        digest: Digest,
        answer: &str,
        wall: i64,
    ) -> Result<(), LedgerError> {
        unimplemented!()
    }
    /// Keeps a note.
    pub fn set_local(&mut self, key: &str, value: &str) -> Result<(), LedgerError> {
        unimplemented!()
    }
}
