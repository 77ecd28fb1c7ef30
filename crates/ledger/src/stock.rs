//! Stock as this till knows it: the server's row and our own movements that the row does not hold yet.

use std::collections::BTreeMap;

use domain::ids::{LocationId, VariantId};
use domain::quantity::Quantity;
use domain::stock::{Anchor, EventRef, is_after};
use domain::time::Hlc;
use rusqlite::OptionalExtension as _;
use sync_protocol::feed::StockRow;
use sync_protocol::{FeedName, FeedPage};

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::projection;
use crate::sql::{Id, N, corrupt, read_fact};

/// What this till knows of a variant's stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockKnown {
    /// The server's quantity and our own movements after it.
    pub quantity: Quantity,
    /// Wall clock of this device when the location was last read to its end; none if never.
    pub synced_wall: Option<i64>,
}

struct FeedState {
    id: u64,
    complete: bool,
    folded_seq: u64,
    synced_wall: Option<i64>,
}

impl Ledger {
    /// Stock of `variant` at `location`; none where this till has no row and has not read the location to its
    /// end. Read to its end, a variant without a row is known to have none.
    ///
    /// Our own movements count from beyond what the server had folded when it wrote the row, and only if they
    /// lie after the count that the row stands on. Counting what is unacknowledged instead would subtract
    /// twice whatever the server has folded but not yet acknowledged.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Corrupt`], [`LedgerError::Overflow`].
    pub fn stock(
        &self,
        variant: VariantId,
        location: &LocationId,
    ) -> Result<Option<StockKnown>, LedgerError> {
        let name = FeedName::Stock(location.clone()).to_string();
        let Some(feed) = self
            .prepare("SELECT id, complete, folded_seq, synced_wall FROM feed WHERE name = ?1")?
            .query_row([name], |row| {
                Ok(FeedState {
                    id: row.get(0)?,
                    complete: row.get(1)?,
                    folded_seq: row.get(2)?,
                    synced_wall: row.get(3)?,
                })
            })
            .optional()?
        else {
            return Ok(None);
        };
        let row: Option<(String, u64)> = self
            .prepare(
                "SELECT row, folded_seq FROM feed_row WHERE feed = ?1 AND pk = ?2 AND understood = 1",
            )?
            .query_row((N(feed.id), variant.to_string()), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let (quantity, anchor, folded) = match row {
            Some((text, folded)) => {
                let row: StockRow = serde_json::from_str(&text)
                    .map_err(|error| corrupt("feed_row", variant, error))?;
                // A row that did not change while the feed was read to its end was true at that end too.
                (row.quantity, row.anchor, folded.max(feed.folded_seq))
            }
            None if feed.complete => (Quantity::ZERO, None, feed.folded_seq),
            None => return Ok(None),
        };
        let anchor = anchor.map(|anchor| Anchor {
            at: EventRef {
                stream: anchor.stream,
                seq: anchor.seq,
                hlc: anchor.hlc,
            },
            cut: anchor.cut,
            quantity,
        });
        let own = self.own_after(variant, location, folded, anchor.as_ref())?;
        Ok(Some(StockKnown {
            quantity: quantity.checked_add(own).ok_or(LedgerError::Overflow)?,
            synced_wall: feed.synced_wall,
        }))
    }

    fn own_after(
        &self,
        variant: VariantId,
        location: &LocationId,
        folded: u64,
        anchor: Option<&Anchor>,
    ) -> Result<Quantity, LedgerError> {
        let mut statement = self.prepare(
            "SELECT m.seq, e.hlc, m.delta FROM own_movement m JOIN event e ON e.seq = m.seq \
             WHERE m.variant = ?1 AND m.location = ?2 AND m.seq > ?3 ORDER BY m.seq",
        )?;
        let mut rows = statement.query((Id(variant.0), location.as_str(), N(folded)))?;
        let mut sum = Quantity::ZERO;
        while let Some(row) = rows.next()? {
            let event = EventRef {
                stream: self.identity().stream,
                seq: row.get(0)?,
                hlc: Hlc(row.get::<_, i64>(1)?.cast_unsigned()),
            };
            let delta = Quantity(row.get(2)?);
            if anchor.is_none_or(|anchor| is_after(&event, delta, anchor)) {
                sum = sum.checked_add(delta).ok_or(LedgerError::Overflow)?;
            }
        }
        Ok(sum)
    }

    /// Up to which event the movements of `location` were dropped.
    pub(crate) fn movement_floors(&self) -> Result<BTreeMap<LocationId, u64>, LedgerError> {
        let mut statement = self.prepare("SELECT location, seq FROM movement_floor")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
        let mut floors = BTreeMap::new();
        for row in rows {
            let (location, seq) = row?;
            let id = LocationId::new(&location)
                .map_err(|error| corrupt("movement_floor", &location, error))?;
            floors.insert(id, seq);
        }
        Ok(floors)
    }

    /// Keeps the movements that a page's rows need: those after `folded`, which is lower than before when the
    /// server was restored or the feed is read anew.
    pub(crate) fn need_movements_after(
        &self,
        location: &LocationId,
        folded: u64,
    ) -> Result<(), LedgerError> {
        let floor = self.movement_floors()?.get(location).copied().unwrap_or(0);
        if folded >= floor {
            return Ok(());
        }
        let mut statement =
            self.prepare("SELECT seq, bytes FROM event WHERE seq > ?1 AND seq <= ?2 ORDER BY seq")?;
        let mut rows = statement.query((N(folded), N(floor)))?;
        while let Some(row) = rows.next()? {
            let seq: u64 = row.get(0)?;
            let bytes: Vec<u8> = row.get(1)?;
            let (_, fact) = read_fact(seq, &bytes)?;
            projection::insert_movements(self, seq, &fact, Some(location))?;
        }
        drop(rows);
        self.set_floor(location, folded)
    }

    /// Drops the movements up to `folded`: the server's rows hold them.
    pub(crate) fn drop_movements_to(
        &self,
        location: &LocationId,
        folded: u64,
    ) -> Result<(), LedgerError> {
        let floor = self.movement_floors()?.get(location).copied().unwrap_or(0);
        if folded <= floor {
            return Ok(());
        }
        self.prepare("DELETE FROM own_movement WHERE location = ?1 AND seq <= ?2")?
            .execute((location.as_str(), N(folded)))?;
        self.set_floor(location, folded)
    }

    /// Takes over the clock of the counts that a page's rows stand on: what this till does from now on is
    /// after them, and the fold tells a later return from an earlier one by that.
    pub(crate) fn observe_counts(
        &mut self,
        page: &FeedPage,
        now_wall: i64,
    ) -> Result<(), LedgerError> {
        if !matches!(page.feed, FeedName::Stock(_)) {
            return Ok(());
        }
        let rows = page.rows.iter().filter_map(|row| row.row.as_ref());
        let clocks = rows
            .filter_map(|row| serde_json::from_str::<StockRow>(row.get()).ok())
            .filter_map(|row| row.anchor.map(|anchor| anchor.hlc));
        // Each on its own: a clock that is far ahead is not followed, and must not hide one that is right.
        let learnt = clocks.fold(self.hlc, |hlc, other| hlc.observe(other, now_wall));
        if learnt > self.hlc {
            self.hlc = learnt;
            self.prepare("INSERT OR REPLACE INTO clock (only, hlc) VALUES (1, ?1)")?
                .execute([learnt.0.cast_signed()])?;
        }
        Ok(())
    }

    fn set_floor(&self, location: &LocationId, seq: u64) -> Result<(), LedgerError> {
        self.prepare("INSERT OR REPLACE INTO movement_floor (location, seq) VALUES (?1, ?2)")?
            .execute((location.as_str(), N(seq)))?;
        Ok(())
    }
}
