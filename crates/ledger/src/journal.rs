//! The journal: appending facts, and reading events back as they are stored.

use domain::ids::Digest;

use crate::{Ledger, LedgerError};

/// An event as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Sequence number.
    pub seq: u64,
    /// The event as it was hashed and is sent.
    pub bytes: Vec<u8>,
    /// Chain hash after it.
    pub hash: Digest,
    /// Wall clock when it was written.
    pub wall: i64,
}

impl Ledger {
    /// Events from `from_seq` on: at most `max_events`, and at most `max_bytes` of text but always one event.
    pub fn events(
        &self,
        from_seq: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Vec<StoredEvent>, LedgerError> {
        unimplemented!()
    }
    /// Chain hash after `seq`; 0 is before the first event.
    pub fn hash_at(&self, seq: u64) -> Result<Option<Digest>, LedgerError> {
        unimplemented!()
    }
}
