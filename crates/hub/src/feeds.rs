//! Which feeds a device follows, and the pages it gets of them.

use domain::config::StoreConfig;
use domain::ids::DeviceId;
use domain::time::Now;
use sync_protocol::{Cursor, FeedName, FeedPage, PAGE_ROWS_MAX, ProtocolError, SyncRequest};

use crate::devices::internal;
use crate::lifecycle::Hub;
use crate::shops::store_config;
use crate::store::{StoreError, StoreResult, Tx};

/// What the tills of a store follow, in the order in which they need it.
pub(crate) fn feeds_of(config: &StoreConfig) -> Vec<FeedName> {
    let mut feeds = vec![
        FeedName::Config(config.store.clone()),
        FeedName::Catalogue,
        FeedName::Price(config.price_list.clone()),
    ];
    feeds.extend(config.follows.iter().cloned().map(FeedName::Stock));
    feeds
}

/// Pages of all followed feeds after the cursors of `request`, together at most its limit of rows.
///
/// A feed that has news but no room left gets an empty page with `more`. After a push, stock feeds always get
/// a page, because where the streams are folded has changed even where no row has.
pub(crate) fn pages(
    tx: &Tx<'_>,
    config: &StoreConfig,
    request: &SyncRequest,
    pushed: bool,
) -> StoreResult<Result<Vec<FeedPage>, ProtocolError>> {
    let mut room = usize::try_from(request.limit.clamp(1, PAGE_ROWS_MAX)).unwrap_or(1);
    let mut pages = Vec::new();
    for feed in feeds_of(config) {
        let cursor = request.cursors.get(&feed).cloned().unwrap_or_default();
        let head = tx.feed_head(&feed)?;
        if cursor.ver > head.ver {
            return Ok(Err(ProtocolError::CursorExpired { feed }));
        }
        let page = page(tx, config, &feed, cursor, room)?;
        room = room.saturating_sub(page.rows.len());
        let is_stock = matches!(feed, FeedName::Stock(_));
        if !page.rows.is_empty() || page.more || (pushed && is_stock) {
            pages.push(page);
        }
    }
    Ok(Ok(pages))
}

fn page(
    tx: &Tx<'_>,
    config: &StoreConfig,
    feed: &FeedName,
    cursor: Cursor,
    room: usize,
) -> StoreResult<FeedPage> {
    let head = tx.feed_head(feed)?;
    // One row more than there is room for tells whether more are waiting.
    let mut rows = tx.feed_rows_after(feed, &cursor, room.saturating_add(1))?;
    let more = rows.len() > room;
    rows.truncate(room);
    let next = rows.last().map_or(cursor, |last| Cursor {
        ver: last.ver,
        pk: last.pk.clone(),
    });
    Ok(FeedPage {
        feed: feed.clone(),
        rows,
        next,
        more,
        ver: head.ver,
        checksum: (!more).then_some(head.checksum),
        folded: match feed {
            FeedName::Stock(_) => tx.folded_for(config.store.as_str())?,
            FeedName::Config(_) | FeedName::Catalogue | FeedName::Price(_) => Default::default(),
        },
    })
}

impl Hub {
    /// All live rows of a feed in one page, for a new till or one whose cursor is of no use.
    ///
    /// # Errors
    /// [`ProtocolError::Forbidden`] for a feed that the device does not follow, [`ProtocolError::Revoked`].
    pub fn snapshot(
        &self,
        device: DeviceId,
        feed: &FeedName,
        _now: &Now,
    ) -> Result<FeedPage, ProtocolError> {
        let outcome = self
            .store
            .read(|tx| -> StoreResult<Result<FeedPage, ProtocolError>> {
                let Some(row) = tx.device(device)? else {
                    return Ok(Err(ProtocolError::Unauthorised));
                };
                if row.revoked.is_some() {
                    return Ok(Err(ProtocolError::Revoked));
                }
                let config = store_config(tx, &row.store)?.ok_or(StoreError::Corrupt("store"))?;
                if !feeds_of(&config).contains(feed) {
                    return Ok(Err(ProtocolError::Forbidden));
                }
                let mut page = page(tx, &config, feed, Cursor::default(), usize::MAX - 1)?;
                page.next = tx.feed_end(feed)?;
                Ok(Ok(page))
            });
        outcome.map_err(internal)?
    }
}
