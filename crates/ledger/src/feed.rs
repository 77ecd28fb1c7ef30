//! Feeds: pages of rows from head office, applied with their cursor in one transaction.

use std::collections::BTreeMap;

use domain::catalog::PriceRow;
use domain::config::{DeviceRecord, StaffMember, StoreConfig};
use rusqlite::OptionalExtension as _;
use sync_protocol::feed::{IncidentNotice, StockRow, checksum_add, checksum_sub, row_checksum};
use sync_protocol::{Cursor, FeedName, FeedPage, FeedRow};

use crate::catalogue::CatalogueChanges;
use crate::error::LedgerError;
use crate::ledger::{Ledger, WriteTx};
use crate::proof::{FEED, FEED_ROW};
use crate::sql::{N, corrupt};

/// What became of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageOutcome {
    /// Rows are in, the cursor moved.
    Applied {
        /// Live rows written.
        rows: u32,
        /// Rows removed.
        tombstones: u32,
        /// Rows written that this program does not understand; they are kept and passed over.
        undecodable: u32,
        /// The feed is read to its end.
        complete: bool,
    },
    /// The page lies before what was read already; nothing changed.
    Stale,
    /// The feed is not followed; nothing changed.
    NotFollowed,
    /// The checksum of the whole feed differs: the feed is read from its beginning again. What was read so
    /// far serves until then, so that a till can go on selling.
    ChecksumMismatch,
}

struct Feed {
    id: u64,
    cursor: Cursor,
    ver: u64,
    checksum: u64,
    generation: u64,
    rereading: bool,
}

struct Old {
    id: i64,
    checksum: u64,
    current: bool,
}

impl Ledger {
    /// Position in every followed feed; the beginning where nothing was read.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Corrupt`].
    pub fn cursors(&self) -> Result<BTreeMap<FeedName, Cursor>, LedgerError> {
        let mut statement =
            self.prepare("SELECT name, cursor_ver, cursor_pk FROM feed ORDER BY name")?;
        let rows = statement.query_map([], |row| {
            let cursor = Cursor {
                ver: row.get(1)?,
                pk: row.get(2)?,
            };
            Ok((row.get::<_, String>(0)?, cursor))
        })?;
        let mut cursors = BTreeMap::new();
        for row in rows {
            let (name, cursor) = row?;
            cursors.insert(parse_name(&name)?, cursor);
        }
        Ok(cursors)
    }

    /// Followed feeds, in ascending order.
    ///
    /// # Errors
    /// As [`Ledger::cursors`].
    pub fn feeds(&self) -> Result<Vec<FeedName>, LedgerError> {
        Ok(self.cursors()?.into_keys().collect())
    }

    /// Whether configuration, catalogue and the store's price list were each read to their end once.
    ///
    /// # Errors
    /// As [`Ledger::cursors`].
    pub fn ready_to_sell(&self) -> Result<bool, LedgerError> {
        let Some(config) = self.store_config()? else {
            return Ok(false);
        };
        for feed in [
            FeedName::Config(self.identity().store.clone()),
            FeedName::Catalogue,
            FeedName::Price(config.price_list),
        ] {
            let complete: Option<bool> = self
                .prepare("SELECT complete FROM feed WHERE name = ?1")?
                .query_row([feed.to_string()], |row| row.get(0))
                .optional()?;
            if complete != Some(true) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The server's clock when it last sent the store's configuration, in milliseconds since 1970; none before
    /// the first page. It cannot be earlier than that now. Other feeds may begin with a file that does not tell that clock.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn newest_contact(&self) -> Result<Option<i64>, LedgerError> {
        let feed = FeedName::Config(self.identity().store.clone()).to_string();
        let time = self
            .prepare("SELECT server_time FROM feed WHERE name = ?1")?
            .query_row([feed], |row| row.get(0))
            .optional()?;
        Ok(time.flatten())
    }
}

pub(crate) fn parse_name(name: &str) -> Result<FeedName, LedgerError> {
    name.parse().map_err(|error| corrupt("feed", name, error))
}

impl WriteTx<'_> {
    /// Applies one page: rows, tombstones, cursor, checksum. `server_time` is the server's clock, `now_wall`
    /// this device's, both in milliseconds since 1970.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Corrupt`].
    pub fn apply_page(
        &mut self,
        page: &FeedPage,
        server_time: i64,
        now_wall: i64,
    ) -> Result<PageOutcome, LedgerError> {
        self.step(|ledger| {
            ledger.forget_feeds();
            let outcome = apply(ledger, page, server_time, now_wall)?;
            ledger.observe_counts(page, now_wall)?;
            Ok(outcome)
        })
    }

    /// Follows exactly `feeds`: new ones start at their beginning, rows of others are dropped.
    ///
    /// # Errors
    /// As [`WriteTx::apply_page`].
    pub fn follow(&mut self, feeds: &[FeedName]) -> Result<(), LedgerError> {
        self.step(|ledger| {
            for name in ledger.feeds()? {
                if !feeds.contains(&name) {
                    drop_feed(ledger, &name)?;
                    ledger.forget_feeds();
                }
            }
            for name in feeds {
                begin(ledger, name)?;
            }
            Ok(())
        })
    }

    /// Reads a feed from its beginning again. Rows read so far serve until its end is reached.
    ///
    /// # Errors
    /// As [`WriteTx::apply_page`].
    pub fn reset_feed(&mut self, feed: &FeedName) -> Result<(), LedgerError> {
        self.step(|ledger| read_anew(ledger, feed))
    }
}

/// Follows a feed.
pub(crate) fn begin(ledger: &Ledger, name: &FeedName) -> Result<(), LedgerError> {
    ledger
        .prepare("INSERT INTO feed (name) VALUES (?1) ON CONFLICT (name) DO NOTHING")?
        .execute([name.to_string()])?;
    ledger.prove(&FEED, "name = ?1", [name.to_string()])
}

/// Starts a feed from its beginning; its rows serve until its end is reached.
pub(crate) fn read_anew(ledger: &Ledger, name: &FeedName) -> Result<(), LedgerError> {
    match load(ledger, name)? {
        Some(found) => restart(ledger, &found),
        None => Ok(()),
    }
}

fn load(ledger: &Ledger, name: &FeedName) -> Result<Option<Feed>, LedgerError> {
    Ok(ledger
        .prepare(
            "SELECT id, cursor_ver, cursor_pk, ver, checksum, generation, rereading FROM feed WHERE name = ?1",
        )?
        .query_row([name.to_string()], |row| {
            Ok(Feed {
                id: row.get(0)?,
                cursor: Cursor {
                    ver: row.get(1)?,
                    pk: row.get(2)?,
                },
                ver: row.get(3)?,
                checksum: row.get(4)?,
                generation: row.get(5)?,
                rereading: row.get(6)?,
            })
        })
        .optional()?)
}

pub(crate) fn apply(
    ledger: &Ledger,
    page: &FeedPage,
    server_time: i64,
    now_wall: i64,
) -> Result<PageOutcome, LedgerError> {
    let Some(mut feed) = load(ledger, &page.feed)? else {
        return Ok(PageOutcome::NotFollowed);
    };
    if page.next < feed.cursor || page.ver < feed.ver {
        return Ok(PageOutcome::Stale);
    }
    let folded = page
        .folded
        .get(&ledger.identity().stream)
        .copied()
        .unwrap_or(0);
    let mut writer = PageWriter {
        ledger,
        page,
        folded,
        changes: CatalogueChanges::default(),
        rows: 0,
        tombstones: 0,
        undecodable: 0,
    };
    for row in &page.rows {
        // A page that was asked for twice brings again what is in already.
        if (row.ver, &row.pk) > (feed.cursor.ver, &feed.cursor.pk) {
            writer.write(&mut feed, row)?;
        }
    }
    let complete = !page.more;
    let differs = complete
        && page
            .checksum
            .is_some_and(|checksum| checksum != feed.checksum);
    // Rows of an earlier reading are only given up for a reading that is known to be right.
    if complete && feed.rereading && !differs {
        writer.sweep(&feed)?;
    }
    let (rows, tombstones, undecodable) = (writer.rows, writer.tombstones, writer.undecodable);
    writer.changes.index(ledger)?;
    let whole = complete && !differs;
    ledger
        .prepare(
            "UPDATE feed SET cursor_ver = ?2, cursor_pk = ?3, ver = ?4, checksum = ?5, server_time = ?6, \
             complete = max(complete, ?7), rereading = min(rereading, NOT ?7), \
             synced_wall = iif(?7, ?8, synced_wall), folded_seq = iif(?7, ?9, folded_seq), \
             folded = iif(?7, ?10, folded) WHERE id = ?1",
        )?
        .execute((
            N(feed.id),
            N(page.next.ver),
            &page.next.pk,
            N(page.ver),
            N(feed.checksum),
            server_time,
            whole,
            now_wall,
            N(folded),
            serde_json::to_string(&page.folded).expect("streams and numbers are plain data"),
        ))?;
    ledger.prove(&FEED, "id = ?1", [N(feed.id)])?;
    if differs {
        tracing::warn!(feed = %page.feed, "the checksum of a feed differs, reading it again");
        restart(ledger, &feed)?;
        return Ok(PageOutcome::ChecksumMismatch);
    }
    if complete {
        ledger.trim_movements(page, folded);
    }
    Ok(PageOutcome::Applied {
        rows,
        tombstones,
        undecodable,
        complete,
    })
}

struct PageWriter<'a> {
    ledger: &'a Ledger,
    page: &'a FeedPage,
    folded: u64,
    changes: CatalogueChanges,
    rows: u32,
    tombstones: u32,
    undecodable: u32,
}

impl PageWriter<'_> {
    fn write(&mut self, feed: &mut Feed, row: &FeedRow) -> Result<(), LedgerError> {
        let old: Option<Old> = self
            .ledger
            .prepare(
                "SELECT id, checksum, generation = ?3 FROM feed_row WHERE feed = ?1 AND pk = ?2",
            )?
            .query_row((N(feed.id), &row.pk, N(feed.generation)), |row| {
                Ok(Old {
                    id: row.get(0)?,
                    checksum: row.get(1)?,
                    current: row.get(2)?,
                })
            })
            .optional()?;
        if let Some(old) = old.as_ref().filter(|old| old.current) {
            feed.checksum = checksum_sub(feed.checksum, old.checksum);
        }
        match &row.row {
            Some(text) => self.put(feed, row, text.get(), old.as_ref()),
            None => {
                if let Some(old) = old {
                    self.tombstones += 1;
                    self.remove(old.id)?;
                }
                Ok(())
            }
        }
    }

    fn put(
        &mut self,
        feed: &mut Feed,
        row: &FeedRow,
        text: &str,
        old: Option<&Old>,
    ) -> Result<(), LedgerError> {
        let checksum = row_checksum(&row.pk, text);
        feed.checksum = checksum_add(feed.checksum, checksum);
        let catalogue = self.page.feed == FeedName::Catalogue;
        if let (Some(old), true) = (old, catalogue) {
            self.changes.forget(self.ledger, old.id)?;
        }
        let understood = understands(&self.page.feed, &row.pk, text);
        self.rows += 1;
        self.undecodable += u32::from(!understood);
        let id = match old {
            Some(old) => {
                self.ledger
                    .prepare(
                        "UPDATE feed_row SET ver = ?2, row = ?3, checksum = ?4, generation = ?5, understood = ?6, \
                         folded_seq = ?7 WHERE id = ?1",
                    )?
                    .execute((
                        old.id,
                        N(row.ver),
                        text,
                        N(checksum),
                        N(feed.generation),
                        understood,
                        N(self.folded),
                    ))?;
                old.id
            }
            None => {
                self.ledger
                    .prepare(
                        "INSERT INTO feed_row (feed, pk, ver, row, checksum, generation, understood, folded_seq) \
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    )?
                    .insert((
                        N(feed.id),
                        &row.pk,
                        N(row.ver),
                        text,
                        N(checksum),
                        N(feed.generation),
                        understood,
                        N(self.folded),
                    ))?
            }
        };
        self.ledger.prove(&FEED_ROW, "id = ?1", [id])?;
        if catalogue && understood {
            self.changes.add(self.ledger, id, &row.pk, text)?;
        }
        Ok(())
    }

    fn remove(&mut self, id: i64) -> Result<(), LedgerError> {
        if self.page.feed == FeedName::Catalogue {
            self.changes.forget(self.ledger, id)?;
        }
        self.ledger
            .prepare("DELETE FROM feed_row WHERE id = ?1")?
            .execute([id])?;
        Ok(())
    }

    /// Removes what an earlier reading brought and this one, now at its end, did not.
    fn sweep(&mut self, feed: &Feed) -> Result<(), LedgerError> {
        let ids: Vec<i64> = self
            .ledger
            .prepare("SELECT id FROM feed_row WHERE feed = ?1 AND generation <> ?2 ORDER BY id")?
            .query_map((N(feed.id), N(feed.generation)), |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for id in ids {
            self.tombstones += 1;
            self.remove(id)?;
        }
        Ok(())
    }
}

/// Whether this program can use a row. What it cannot use is kept and passed over, so that one bad row, or
/// one of a later version, never blocks a feed.
pub(crate) fn understands(feed: &FeedName, pk: &str, text: &str) -> bool {
    match feed {
        FeedName::Catalogue => crate::catalogue::understands(pk, text),
        FeedName::Price(_) => {
            serde_json::from_str::<PriceRow>(text).is_ok_and(|row| row.variant.to_string() == pk)
        }
        FeedName::Stock(_) => {
            serde_json::from_str::<StockRow>(text).is_ok_and(|row| row.variant.to_string() == pk)
        }
        FeedName::Config(store) => match pk.split_once(':') {
            None if pk == "store" => {
                serde_json::from_str::<StoreConfig>(text).is_ok_and(|config| config.store == *store)
            }
            Some(("user", id)) => serde_json::from_str::<StaffMember>(text)
                .is_ok_and(|member| member.user.to_string() == id),
            Some(("device", id)) => serde_json::from_str::<DeviceRecord>(text)
                .is_ok_and(|record| record.device.to_string() == id),
            Some(("incident", id)) => serde_json::from_str::<IncidentNotice>(text)
                .is_ok_and(|notice| notice.incident.to_string() == id),
            _ => false,
        },
    }
}

fn restart(ledger: &Ledger, feed: &Feed) -> Result<(), LedgerError> {
    // Each row keeps how far our stream was folded into it, since the feed as a whole forgets.
    ledger
        .prepare(
            "UPDATE feed_row SET folded_seq = max(folded_seq, (SELECT folded_seq FROM feed WHERE id = ?1)) \
             WHERE feed = ?1",
        )?
        .execute([N(feed.id)])?;
    ledger.prove(&FEED_ROW, "feed = ?1", [N(feed.id)])?;
    ledger
        .prepare(
            "UPDATE feed SET cursor_ver = 0, cursor_pk = '', ver = 0, checksum = 0, folded_seq = 0, \
             generation = generation + 1, rereading = 1 WHERE id = ?1",
        )?
        .execute([N(feed.id)])?;
    ledger.prove(&FEED, "id = ?1", [N(feed.id)])
}

fn drop_feed(ledger: &Ledger, name: &FeedName) -> Result<(), LedgerError> {
    let Some(feed) = load(ledger, name)? else {
        return Ok(());
    };
    if *name == FeedName::Catalogue {
        crate::catalogue::forget_all(ledger)?;
    }
    for sql in [
        "DELETE FROM feed_row WHERE feed = ?1",
        "DELETE FROM feed WHERE id = ?1",
    ] {
        ledger.prepare(sql)?.execute([N(feed.id)])?;
    }
    Ok(())
}
