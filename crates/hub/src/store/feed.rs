//! Feeds: rows by version. A version is taken inside the transaction that writes, so versions appear in commit order.

use std::collections::BTreeMap;

use domain::ids::StreamId;
use rusqlite::{OptionalExtension as _, params};
use serde_json::value::RawValue;
use sync_protocol::feed::{FeedRow, checksum_add, checksum_sub, row_checksum};
use sync_protocol::{Cursor, FeedName};

use super::{StoreError, StoreResult, Tx, from_sql, to_sql};

/// Version and checksum of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FeedHead {
    pub ver: u64,
    pub checksum: u64,
}

/// Writes rows of one feed under one new version, which is only taken when a row really changes.
pub(crate) struct FeedWriter<'t, 'c> {
    tx: &'t Tx<'c>,
    feed: String,
    head: FeedHead,
    changed: u64,
}

impl<'c> Tx<'c> {
    /// Versions of all feeds by name.
    pub fn feed_versions(&self) -> StoreResult<BTreeMap<String, u64>> {
        let mut statement = self.conn.prepare_cached("SELECT feed, ver FROM feed")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.map(|row| {
            let (feed, ver): (String, i64) = row?;
            Ok((feed, from_sql(ver)?))
        })
        .collect()
    }

    pub fn feed_head(&self, feed: &FeedName) -> StoreResult<FeedHead> {
        self.feed_head_named(&feed.to_string())
    }

    fn feed_head_named(&self, feed: &str) -> StoreResult<FeedHead> {
        let found = self
            .conn
            .prepare_cached("SELECT ver, checksum FROM feed WHERE feed = ?1")?
            .query_row([feed], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((ver, checksum)) = found else {
            return Ok(FeedHead::default());
        };
        Ok(FeedHead {
            ver: from_sql(ver)?,
            checksum: from_sql(checksum)?,
        })
    }

    pub fn feed_writer<'t>(&'t self, feed: &FeedName) -> StoreResult<FeedWriter<'t, 'c>> {
        let feed = feed.to_string();
        let head = self.feed_head_named(&feed)?;
        Ok(FeedWriter {
            tx: self,
            feed,
            head,
            changed: 0,
        })
    }

    pub fn feed_row(&self, feed: &FeedName, pk: &str) -> StoreResult<Option<String>> {
        Ok(self
            .conn
            .prepare_cached("SELECT row FROM feed_row WHERE feed = ?1 AND pk = ?2")?
            .query_row(params![feed.to_string(), pk], |row| row.get(0))
            .optional()?
            .flatten())
    }

    /// Live rows whose key begins with `prefix`, by key.
    pub fn feed_rows_with(
        &self,
        feed: &FeedName,
        prefix: &str,
    ) -> StoreResult<Vec<(String, String)>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT pk, row FROM feed_row
             WHERE feed = ?1 AND pk >= ?2 AND substr(pk, 1, length(?2)) = ?2 AND row IS NOT NULL
             ORDER BY pk",
        )?;
        let rows = statement.query_map(params![feed.to_string(), prefix], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Rows after `cursor`, at most `limit`; a reader at the beginning is spared the tombstones.
    pub fn feed_rows_after(
        &self,
        feed: &FeedName,
        cursor: &Cursor,
        limit: usize,
    ) -> StoreResult<Vec<FeedRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT pk, ver, row FROM feed_row
             WHERE feed = ?1 AND (ver, pk) > (?2, ?3) AND (?2 > 0 OR row IS NOT NULL)
             ORDER BY ver, pk LIMIT ?4",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(
            params![feed.to_string(), to_sql(cursor.ver)?, cursor.pk, limit],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, Option<String>>(2)?,
                ))
            },
        )?;
        rows.map(|row| {
            let (pk, ver, row) = row?;
            let row = row
                .map(RawValue::from_string)
                .transpose()
                .map_err(|_| StoreError::Corrupt("feed row"))?;
            Ok(FeedRow {
                pk,
                ver: from_sql(ver)?,
                row,
            })
        })
        .collect()
    }

    /// Bytes of all rows of a feed.
    pub fn feed_bytes(&self, feed: &FeedName) -> StoreResult<u64> {
        let bytes: i64 = self
            .conn
            .prepare_cached("SELECT coalesce(sum(length(row)), 0) FROM feed_row WHERE feed = ?1")?
            .query_row([feed.to_string()], |row| row.get(0))?;
        from_sql(bytes)
    }

    /// Position of the last row, tombstones included.
    pub fn feed_end(&self, feed: &FeedName) -> StoreResult<Cursor> {
        let end = self
            .conn
            .prepare_cached(
                "SELECT ver, pk FROM feed_row WHERE feed = ?1 ORDER BY ver DESC, pk DESC LIMIT 1",
            )?
            .query_row([feed.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match end {
            Some((ver, pk)) => Ok(Cursor {
                ver: from_sql(ver)?,
                pk,
            }),
            None => Ok(Cursor::default()),
        }
    }

    /// All feeds with their heads, by name.
    pub fn feed_heads(&self) -> StoreResult<Vec<(String, FeedHead)>> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT feed, ver, checksum FROM feed ORDER BY feed")?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
            ))
        })?;
        rows.map(|row| {
            let (feed, ver, checksum) = row?;
            Ok((
                feed,
                FeedHead {
                    ver: from_sql(ver)?,
                    checksum: from_sql(checksum)?,
                },
            ))
        })
        .collect()
    }

    /// The head of `feed` computed anew from its rows: greatest version and sum of the live rows.
    pub fn feed_head_from_rows(&self, feed: &str) -> StoreResult<FeedHead> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT pk, ver, row FROM feed_row WHERE feed = ?1 ORDER BY pk")?;
        let mut rows = statement.query([feed])?;
        let mut head = FeedHead::default();
        while let Some(row) = rows.next()? {
            let (pk, ver, text): (String, i64, Option<String>) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            head.ver = head.ver.max(from_sql(ver)?);
            if let Some(text) = text {
                head.checksum = checksum_add(head.checksum, row_checksum(&pk, &text));
            }
        }
        Ok(head)
    }

    /// Where each stream stands that a till of `store` may hold deltas of: its store's and the hub's own.
    pub fn folded_for(
        &self,
        store: &str,
    ) -> StoreResult<std::collections::BTreeMap<StreamId, u64>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT stream, head_seq FROM stream WHERE store = ?1 OR store IS NULL ORDER BY stream",
        )?;
        let rows = statement.query_map([store], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.map(|row| {
            let (stream, seq) = row?;
            Ok((super::stream_id(stream)?, from_sql(seq)?))
        })
        .collect()
    }
}

impl FeedWriter<'_, '_> {
    /// The version that what is written belongs to.
    pub const fn version(&self) -> u64 {
        self.head.ver
    }

    /// Sets a row, or buries it with `None`. Returns whether anything changed.
    pub fn put(&mut self, pk: &str, row: Option<&str>) -> StoreResult<bool> {
        let conn = self.tx.conn;
        let old: Option<Option<String>> = conn
            .prepare_cached("SELECT row FROM feed_row WHERE feed = ?1 AND pk = ?2")?
            .query_row(params![self.feed, pk], |row| row.get(0))
            .optional()?;
        let existed = old.is_some();
        let old = old.flatten();
        if old.as_deref() == row {
            return Ok(false);
        }
        if self.changed == 0 {
            self.head.ver += 1;
        }
        self.changed += 1;
        if let Some(old) = &old {
            self.head.checksum = checksum_sub(self.head.checksum, row_checksum(pk, old));
        }
        if let Some(new) = row {
            self.head.checksum = checksum_add(self.head.checksum, row_checksum(pk, new));
        }
        let ver = to_sql(self.head.ver)?;
        if existed {
            conn.prepare_cached(
                "UPDATE feed_row SET ver = ?3, row = ?4 WHERE feed = ?1 AND pk = ?2",
            )?
            .execute(params![self.feed, pk, ver, row])?;
        } else {
            conn.prepare_cached(
                "INSERT INTO feed_row (feed, pk, ver, row) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![self.feed, pk, ver, row])?;
        }
        Ok(true)
    }

    /// Records the new head; returns how many rows changed.
    pub fn finish(self) -> StoreResult<u64> {
        self.tx
            .conn
            .prepare_cached(
                "INSERT INTO feed (feed, ver, checksum) VALUES (?1, ?2, ?3)
                 ON CONFLICT (feed) DO UPDATE SET ver = excluded.ver, checksum = excluded.checksum",
            )?
            .execute(params![
                self.feed,
                to_sql(self.head.ver)?,
                to_sql(self.head.checksum)?
            ])?;
        Ok(self.changed)
    }
}
