//! Feeds: pages of rows from head office, applied with their cursor in one transaction.

use std::collections::BTreeMap;

use sync_protocol::{Cursor, FeedName, FeedPage};

use crate::{Ledger, LedgerError, WriteTx};

/// What became of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageOutcome {
    /// Rows are in, the cursor moved.
    Applied {
        /// Live rows written.
        rows: u32,
        /// Rows removed.
        tombstones: u32,
        /// Rows kept but not understood.
        undecodable: u32,
        /// The feed is read to its end.
        complete: bool,
    },
    /// The page lies before the cursor; nothing changed.
    Stale,
    /// The feed is not followed; nothing changed.
    NotFollowed,
    /// The checksum of the whole feed differs; the feed was emptied and starts again.
    ChecksumMismatch,
}

impl Ledger {
    /// Position in every followed feed.
    pub fn cursors(&self) -> Result<BTreeMap<FeedName, Cursor>, LedgerError> {
        unimplemented!()
    }
    /// Followed feeds.
    pub fn feeds(&self) -> Result<Vec<FeedName>, LedgerError> {
        unimplemented!()
    }
    /// Whether configuration, catalogue and prices were read to their end once.
    pub fn ready_to_sell(&self) -> Result<bool, LedgerError> {
        unimplemented!()
    }
}

impl WriteTx<'_> {
    /// Applies one page.
    pub fn apply_page(
        &mut self,
        page: &FeedPage,
        server_time: i64,
        now_wall: i64,
    ) -> Result<PageOutcome, LedgerError> {
        unimplemented!()
    }
    /// Follows exactly `feeds`.
    pub fn follow(&mut self, feeds: &[FeedName]) -> Result<(), LedgerError> {
        unimplemented!()
    }
    /// Empties a feed, so that it is read from its beginning.
    pub fn reset_feed(&mut self, feed: &FeedName) -> Result<(), LedgerError> {
        unimplemented!()
    }
}
