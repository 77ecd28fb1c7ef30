//! Stock as this till knows it: the server's row and our own movements that the row does not hold yet.

use std::collections::BTreeMap;

use domain::event::Fact;
use domain::ids::{LocationId, VariantId};
use domain::quantity::Quantity;
use domain::stock::{Anchor, EventRef, is_after};
use domain::time::Hlc;
use rusqlite::OptionalExtension as _;
use sync_protocol::feed::StockRow;
use sync_protocol::{FeedName, FeedPage};
use uuid::Uuid;

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::projection;
use crate::sql::{N, corrupt, read_event};

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

/// Sets the clock that was learnt.
pub(crate) const SET_CLOCK: &str =
    "INSERT OR REPLACE INTO clock (only, hlc, proof) VALUES (1, ?1, row_proof('clock', 1, ?1))";

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
            // Our own clock has followed the count's since we learned of it, which tells as much.
            learned: BTreeMap::new(),
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
        if *location != self.identity().location {
            return Ok(Quantity::ZERO);
        }
        let mut cache = self.cache.borrow_mut();
        if self.is_read_only() {
            // The writer beside us changes the table.
            cache.own_movements = None;
        }
        let own = match &mut cache.own_movements {
            Some(own) if own.after <= folded => own,
            stale => stale.insert(self.load_movements(folded)?),
        };
        let mut sum = Quantity::ZERO;
        for moved in own.by_variant.get(&variant).into_iter().flatten() {
            let counts = moved.seq > folded
                && anchor.is_none_or(|anchor| is_after(&moved.at, moved.delta, anchor));
            if counts {
                sum = sum.checked_add(moved.delta).ok_or(LedgerError::Overflow)?;
            }
        }
        Ok(sum)
    }

    /// Reads what receipts after `folded` moved, from the newest back. Within a year numbers and events go
    /// the same way, so each year is read only as far as needed.
    fn load_movements(&self, folded: u64) -> Result<OwnMovements, LedgerError> {
        let mut own = OwnMovements {
            after: folded,
            by_variant: BTreeMap::new(),
        };
        let (stream, series) = (self.identity().stream, self.identity().stream.series());
        let mut before = i64::MAX;
        while let Some(year) = self
            .prepare("SELECT max(fiscal_year) FROM receipt WHERE series = ?1 AND fiscal_year < ?2")?
            .query_row((&series, before), |row| row.get::<_, Option<i64>>(0))?
        {
            let mut statement = self.prepare(
                "SELECT r.seq, r.moves, e.hlc FROM receipt r JOIN event e ON e.seq = r.seq \
                 WHERE r.series = ?1 AND r.fiscal_year = ?2 ORDER BY r.number_seq DESC",
            )?;
            let mut rows = statement.query((&series, year))?;
            while let Some(row) = rows.next()? {
                let seq: u64 = row.get(0)?;
                if seq <= folded {
                    break;
                }
                let hlc = Hlc(row.get::<_, i64>(2)?.cast_unsigned());
                let at = EventRef { stream, seq, hlc };
                own.add(seq, &at, row.get_ref(1)?.as_blob().unwrap_or_default());
            }
            before = year;
        }
        // Adopted ones, which lie where they were first written.
        for sql in [
            "SELECT r.seq, r.moves, e.bytes FROM receipt r JOIN event e ON e.seq = r.seq \
             WHERE r.series < ?1 AND r.seq > ?2 ORDER BY r.seq",
            "SELECT r.seq, r.moves, e.bytes FROM receipt r JOIN event e ON e.seq = r.seq \
             WHERE r.series > ?1 AND r.seq > ?2 ORDER BY r.seq",
        ] {
            let mut statement = self.prepare(sql)?;
            let mut rows = statement.query((&series, N(folded)))?;
            while let Some(row) = rows.next()? {
                let (seq, bytes): (u64, Vec<u8>) = (row.get(0)?, row.get(2)?);
                let (event, _) = read_event(seq, &bytes)?;
                let at = EventRef {
                    stream: event.stream,
                    seq: event.seq,
                    hlc: event.hlc,
                };
                own.add(seq, &at, row.get_ref(1)?.as_blob().unwrap_or_default());
            }
        }
        Ok(own)
    }

    /// Takes down what a receipt of ours moved, for as long as the server's rows may not hold it.
    pub(crate) fn note_movements(&self, seq: u64, at: &EventRef, moves: &[u8]) {
        if let Some(own) = &mut self.cache.borrow_mut().own_movements {
            own.add(seq, at, moves);
        }
    }

    /// Forgets movements that every row of our location holds, now that it was read to its end.
    pub(crate) fn trim_movements(&self, page: &FeedPage, folded: u64) {
        let ours = FeedName::Stock(self.identity().location.clone());
        if page.feed == ours
            && let Some(own) = &mut self.cache.borrow_mut().own_movements
            && folded > own.after
        {
            own.after = folded;
            own.by_variant.retain(|_, moved| {
                moved.retain(|moved| moved.seq > folded);
                !moved.is_empty()
            });
        }
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
            self.prepare(SET_CLOCK)?.execute([learnt.0.cast_signed()])?;
        }
        Ok(())
    }
}

/// What a fact moves at `location`, as the table `receipt` keeps it.
pub(crate) fn encode_moves(fact: &Fact, location: &LocationId) -> Result<Vec<u8>, LedgerError> {
    let mut bytes = Vec::new();
    for ((variant, at, _), delta) in projection::movements(fact)? {
        if at == *location {
            bytes.extend_from_slice(variant.0.as_bytes());
            bytes.extend_from_slice(&delta.to_be_bytes());
        }
    }
    Ok(bytes)
}

/// Movements of our own receipts after an event, by variant.
pub(crate) struct OwnMovements {
    after: u64,
    by_variant: BTreeMap<VariantId, Vec<Moved>>,
}

struct Moved {
    /// Event in this file.
    seq: u64,
    /// The event as it was first written.
    at: EventRef,
    delta: Quantity,
}

impl OwnMovements {
    fn add(&mut self, seq: u64, at: &EventRef, moves: &[u8]) {
        for pair in moves.chunks_exact(24) {
            let (variant, delta) = pair.split_at(16);
            let (Ok(variant), Ok(delta)) = (Uuid::from_slice(variant), delta.try_into()) else {
                continue;
            };
            let moved = Moved {
                seq,
                at: *at,
                delta: Quantity(i64::from_be_bytes(delta)),
            };
            self.by_variant
                .entry(VariantId(variant))
                .or_default()
                .push(moved);
        }
    }
}
