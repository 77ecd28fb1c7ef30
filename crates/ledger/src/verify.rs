//! Recomputing everything from the stored bytes.

use std::collections::BTreeMap;

use domain::ids::{Digest, StreamId};
use serde::Serialize;
use sync_protocol::FeedName;
use sync_protocol::feed::HeadReport;

use crate::{Ledger, LedgerError};

/// The first row that is not what the journal says it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FirstBad {
    /// Table.
    pub table: String,
    /// Key of the row.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

/// Where a feed stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FeedReport {
    /// Version.
    pub ver: u64,
    /// Checksum over the stored rows.
    pub checksum: u64,
}

/// Result of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Nothing bad was found.
    pub ok: bool,
    /// The first bad row.
    pub first_bad: Option<FirstBad>,
    /// Heads of the streams in the file.
    pub streams: BTreeMap<StreamId, HeadReport>,
    /// Feeds in the file.
    pub feeds: BTreeMap<FeedName, FeedReport>,
    /// Hashes of what the events add up to; the same events give the same hashes on any machine.
    pub projections: BTreeMap<String, Digest>,
}

impl Ledger {
    /// Recomputes everything.
    pub fn verify(&self) -> Result<VerifyReport, LedgerError> {
        unimplemented!()
    }
}
