//! How much of the journal a server has acknowledged.

use domain::ids::Digest;

use crate::{Ledger, LedgerError, WriteTx};

/// What no server has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsynced {
    /// Events.
    pub count: u64,
    /// Wall clock of the oldest.
    pub oldest_wall: Option<i64>,
}

impl Ledger {
    /// Highest sequence number acknowledged by `authority` in `epoch`, 0 for none.
    pub fn acked(&self, authority: &str, epoch: u64) -> Result<u64, LedgerError> {
        unimplemented!()
    }
    /// What the server last spoken to has not acknowledged.
    pub fn unsynced(&self) -> Result<Unsynced, LedgerError> {
        unimplemented!()
    }
}

impl WriteTx<'_> {
    /// Believes an acknowledgement whose hash is ours.
    pub fn set_acked(
        &mut self,
        authority: &str,
        epoch: u64,
        seq: u64,
        hash: Digest,
    ) -> Result<(), LedgerError> {
        unimplemented!()
    }
}
