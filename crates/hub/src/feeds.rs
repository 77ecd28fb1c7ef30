//! Which feeds a device follows, and the pages it gets of them.

use std::collections::BTreeMap;

use domain::config::StoreConfig;
use domain::ids::DeviceId;
use domain::time::Now;
use sync_protocol::{
    Cursor, FeedName, FeedPage, PAGE_ROWS_MAX, Poke, ProtocolError, Snapshot, SyncRequest,
};

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
/// A feed that has news but no room left gets an empty page with `more`. Where streams may have been folded further
/// although no row is another (`folds_moved`), stock feeds always get a page. So does a feed that the reply
/// names a snapshot of: its rows are not sent twice.
pub(crate) fn pages(
    tx: &Tx<'_>,
    config: &StoreConfig,
    request: &SyncRequest,
    named: &[Snapshot],
    folds_moved: bool,
) -> StoreResult<Result<Vec<FeedPage>, ProtocolError>> {
    let mut room = usize::try_from(request.limit.clamp(1, PAGE_ROWS_MAX)).unwrap_or(1);
    let mut pages = Vec::new();
    for feed in feeds_of(config) {
        let cursor = request.cursors.get(&feed).cloned().unwrap_or_default();
        let head = tx.feed_head(&feed)?;
        if cursor.ver > head.ver {
            return Ok(Err(ProtocolError::CursorExpired { feed }));
        }
        let is_named = named.iter().any(|snapshot| snapshot.feed == feed);
        let page = page(tx, config, &feed, cursor, if is_named { 0 } else { room })?;
        room = room.saturating_sub(page.rows.len());
        let is_stock = matches!(feed, FeedName::Stock(_));
        if !page.rows.is_empty() || page.more || (folds_moved && is_stock) {
            pages.push(page);
        }
    }
    Ok(Ok(pages))
}

pub(crate) fn page(
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

/// What is newest, for those who wait to hear of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heads {
    /// Versions of all feeds by name.
    feeds: BTreeMap<String, u64>,
    /// How many wait for rights at a location, and for how much.
    wanted: BTreeMap<String, (i64, i64)>,
}

/// What a device is to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follows {
    feeds: Vec<String>,
    location: String,
}

impl Follows {
    /// What is new for the device between two looks; none when nothing is.
    pub fn poke(&self, before: &Heads, after: &Heads) -> Option<Poke> {
        let feeds = self.feeds.iter().filter_map(|feed| {
            let ver = *after.feeds.get(feed)?;
            (before.feeds.get(feed) != Some(&ver)).then(|| (feed.clone(), ver))
        });
        let poke = Poke {
            feeds: feeds.collect(),
            rights: before.wanted.get(&self.location) != after.wanted.get(&self.location),
        };
        (poke != Poke::default()).then_some(poke)
    }
}

impl Hub {
    /// What is newest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn heads(&self) -> Result<Heads, StoreError> {
        self.store.read(|tx| {
            Ok(Heads {
                feeds: tx.feed_versions()?,
                wanted: tx.wanted()?,
            })
        })
    }

    /// What a device is to hear of.
    ///
    /// # Errors
    /// [`ProtocolError::Unauthorised`], [`ProtocolError::Revoked`].
    pub fn follows(&self, device: DeviceId) -> Result<Follows, ProtocolError> {
        let outcome = self
            .store
            .read(|tx| -> StoreResult<Result<Follows, ProtocolError>> {
                let row = match tx.device(device)? {
                    None => return Ok(Err(ProtocolError::Unauthorised)),
                    Some(row) if row.revoked.is_some() => return Ok(Err(ProtocolError::Revoked)),
                    Some(row) => row,
                };
                let config = store_config(tx, &row.store)?.ok_or(StoreError::Corrupt("store"))?;
                Ok(Ok(Follows {
                    feeds: feeds_of(&config).iter().map(FeedName::to_string).collect(),
                    location: config.location.to_string(),
                }))
            });
        outcome.map_err(internal)?
    }

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
