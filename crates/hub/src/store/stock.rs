//! Movements, counts, the stock they come to, and the takings.

use std::collections::BTreeMap;

use domain::event::{ALL_ZONES, StreamPos};
use domain::ids::{LocationId, StreamId, VariantId};
use domain::money::Currency;
use domain::quantity::Quantity;
use domain::stock::{Anchor, EventRef, Moved, StockAccount, share_of_whole};
use domain::time::{BusinessDate, Hlc};
use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::{
    StoreError, StoreResult, Tx, from_sql, hlc_from_sql, hlc_to_sql, stream_id, to_sql, uuid,
};

/// A shelf: variant, location and zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StockKey {
    pub variant: VariantId,
    pub location: LocationId,
    pub zone: String,
}

/// What a shelf holds, and the count it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StockState {
    pub quantity: Quantity,
    pub anchor: Option<(StreamId, u64)>,
}

/// What the author of a count knew when it looked, where that is less than at the end.
#[derive(Debug, Serialize, Deserialize)]
struct LookedRow {
    ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<u64>,
    /// Streams of which it knew less than at the end.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    cut: BTreeMap<StreamId, u64>,
}

/// A movement as kept, so that a later count can decide anew whether it lies after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeptMovement {
    pub at: EventRef,
    pub moved: Moved,
}

/// Takings of one till on one day in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TakingsRow {
    pub date: BusinessDate,
    pub store: String,
    pub till: String,
    pub currency: Currency,
    pub receipts: u64,
    pub reversals: u64,
    pub takings_minor: i64,
    pub units: Quantity,
}

impl Tx<'_> {
    pub fn stock(&self, key: &StockKey) -> StoreResult<StockState> {
        let found = self
            .conn
            .prepare_cached(
                "SELECT quantity, anchor_stream, anchor_seq FROM stock WHERE variant = ?1 AND location = ?2 AND zone = ?3",
            )?
            .query_row(
                params![key.variant.0.as_bytes(), key.location.as_str(), key.zone],
                |row| {
                    Ok((
                        row.get::<_, i64>(0)?,
                        row.get::<_, Option<Vec<u8>>>(1)?,
                        row.get::<_, Option<i64>>(2)?,
                    ))
                },
            )
            .optional()?;
        let Some((quantity, stream, seq)) = found else {
            return Ok(StockState::default());
        };
        Ok(StockState {
            quantity: Quantity(quantity),
            anchor: stream
                .zip(seq)
                .map(|(stream, seq)| Ok::<_, StoreError>((stream_id(stream)?, from_sql(seq)?)))
                .transpose()?,
        })
    }

    pub fn put_stock(&self, key: &StockKey, state: &StockState) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO stock (variant, location, zone, quantity, anchor_stream, anchor_seq)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (variant, location, zone) DO UPDATE SET quantity = excluded.quantity,
                     anchor_stream = excluded.anchor_stream, anchor_seq = excluded.anchor_seq",
            )?
            .execute(params![
                key.variant.0.as_bytes(),
                key.location.as_str(),
                key.zone,
                state.quantity.0,
                state.anchor.as_ref().map(|(stream, _)| stream.0.as_slice()),
                state.anchor.map(|(_, seq)| to_sql(seq)).transpose()?,
            ])?;
        Ok(())
    }

    /// Every shelf in key order.
    pub fn all_stock(&self) -> StoreResult<BTreeMap<StockKey, StockState>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT variant, location, zone, quantity, anchor_stream, anchor_seq FROM stock ORDER BY variant, location, zone",
        )?;
        let mut rows = statement.query([])?;
        let mut all = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let key = StockKey {
                variant: VariantId(uuid(row.get(0)?)?),
                location: LocationId::new(&row.get::<_, String>(1)?)
                    .map_err(|_| StoreError::Corrupt("location"))?,
                zone: row.get(2)?,
            };
            let anchor = row
                .get::<_, Option<Vec<u8>>>(4)?
                .zip(row.get::<_, Option<i64>>(5)?)
                .map(|(stream, seq)| Ok::<_, StoreError>((stream_id(stream)?, from_sql(seq)?)))
                .transpose()?;
            all.insert(
                key,
                StockState {
                    quantity: Quantity(row.get(3)?),
                    anchor,
                },
            );
        }
        Ok(all)
    }

    /// Zones of a variant at a location with what they hold, by zone.
    pub fn zones(
        &self,
        variant: VariantId,
        location: &LocationId,
    ) -> StoreResult<Vec<(String, StockState)>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT zone FROM stock WHERE variant = ?1 AND location = ?2 ORDER BY zone",
        )?;
        let zones = statement
            .query_map(params![variant.0.as_bytes(), location.as_str()], |row| {
                row.get::<_, String>(0)
            })?
            .collect::<Result<Vec<_>, _>>()?;
        zones
            .into_iter()
            .map(|zone| {
                let key = StockKey {
                    variant,
                    location: location.clone(),
                    zone,
                };
                let state = self.stock(&key)?;
                Ok((key.zone, state))
            })
            .collect()
    }

    /// Keeps a movement; `branch` tells apart events of forked branches at one place.
    pub fn insert_movement(
        &self,
        key: &StockKey,
        movement: &KeptMovement,
        branch: i64,
    ) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO movement (variant, location, zone, stream, seq, branch, hlc, delta, strict,
                     included_stream, included_seq)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                key.variant.0.as_bytes(),
                key.location.as_str(),
                key.zone,
                movement.at.stream.0,
                to_sql(movement.at.seq)?,
                branch,
                hlc_to_sql(movement.at.hlc.0),
                movement.moved.delta.0,
                movement.moved.strict,
                movement.moved.included_in.map(|count| count.stream.0),
                movement
                    .moved
                    .included_in
                    .map(|count| to_sql(count.seq))
                    .transpose()?,
            ])?;
        Ok(())
    }

    /// Movements of a shelf by stream and seq.
    pub fn movements(&self, key: &StockKey) -> StoreResult<Vec<KeptMovement>> {
        let all = self.movements_by_branch(key)?;
        Ok(all.into_iter().map(|(movement, _)| movement).collect())
    }

    /// The same with the branch of each, see [`crate::fold::branch_of`].
    pub fn movements_by_branch(&self, key: &StockKey) -> StoreResult<Vec<(KeptMovement, i64)>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT stream, seq, hlc, delta, strict, included_stream, included_seq, branch FROM movement
             WHERE variant = ?1 AND location = ?2 AND zone = ?3 ORDER BY stream, seq, branch",
        )?;
        let mut rows = statement.query(params![
            key.variant.0.as_bytes(),
            key.location.as_str(),
            key.zone
        ])?;
        let mut movements = Vec::new();
        while let Some(row) = rows.next()? {
            let movement = KeptMovement {
                at: EventRef {
                    stream: stream_id(row.get(0)?)?,
                    seq: from_sql(row.get(1)?)?,
                    hlc: Hlc(hlc_from_sql(row.get(2)?)),
                },
                moved: Moved {
                    delta: Quantity(row.get(3)?),
                    strict: row.get(4)?,
                    included_in: row
                        .get::<_, Option<Vec<u8>>>(5)?
                        .zip(row.get::<_, Option<i64>>(6)?)
                        .map(|(stream, seq)| {
                            Ok::<_, StoreError>(StreamPos {
                                stream: stream_id(stream)?,
                                seq: from_sql(seq)?,
                            })
                        })
                        .transpose()?,
                },
            };
            movements.push((movement, row.get(7)?));
        }
        Ok(movements)
    }

    /// Whether a count is known at this place.
    pub fn is_count(&self, stream: StreamId, seq: u64) -> StoreResult<bool> {
        Ok(self
            .conn
            .prepare_cached("SELECT 1 FROM count_event WHERE stream = ?1 AND seq = ?2")?
            .exists(params![stream.0, to_sql(seq)?])?)
    }

    pub fn insert_count(&self, at: &EventRef, cut: &BTreeMap<StreamId, u64>) -> StoreResult<()> {
        let cut = serde_json::to_string(cut).map_err(|_| StoreError::Corrupt("cut"))?;
        self.conn
            .prepare_cached(
                "INSERT INTO count_event (stream, seq, hlc, cut) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                at.stream.0,
                to_sql(at.seq)?,
                hlc_to_sql(at.hlc.0),
                cut
            ])?;
        Ok(())
    }

    /// When a count was made and what its author had folded.
    pub fn count_event(
        &self,
        stream: StreamId,
        seq: u64,
    ) -> StoreResult<(EventRef, BTreeMap<StreamId, u64>)> {
        let (hlc, cut): (i64, String) = self
            .conn
            .prepare_cached("SELECT hlc, cut FROM count_event WHERE stream = ?1 AND seq = ?2")?
            .query_row(params![stream.0, to_sql(seq)?], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let at = EventRef {
            stream,
            seq,
            hlc: Hlc(hlc_from_sql(hlc)),
        };
        let cut = serde_json::from_str(&cut).map_err(|_| StoreError::Corrupt("cut"))?;
        Ok((at, cut))
    }

    pub fn insert_anchor(
        &self,
        key: &StockKey,
        found: &Anchor,
        cut: &BTreeMap<StreamId, u64>,
    ) -> StoreResult<()> {
        let end = found.at.hlc.ms();
        let row = LookedRow {
            ms: found.looked_ms,
            seen: (found.seen_ms < end).then_some(found.seen_ms),
            cut: found
                .cut
                .iter()
                .filter(|(stream, seq)| cut.get(stream) != Some(seq))
                .map(|(stream, seq)| (*stream, *seq))
                .collect(),
        };
        let says_more = found.looked_ms != end || row.seen.is_some() || !row.cut.is_empty();
        let looked = says_more.then_some(row);
        let looked = looked
            .map(|looked| serde_json::to_string(&looked))
            .transpose();
        let looked = looked.map_err(|_| StoreError::Corrupt("cut"))?;
        self.conn
            .prepare_cached(
                "INSERT INTO anchor (variant, location, zone, stream, seq, quantity, looked)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                key.variant.0.as_bytes(),
                key.location.as_str(),
                key.zone,
                found.at.stream.0,
                to_sql(found.at.seq)?,
                found.quantity.0,
                looked
            ])?;
        Ok(())
    }

    /// Counts of a shelf by stream and seq, those of the whole location among them.
    pub fn anchors(&self, key: &StockKey) -> StoreResult<Vec<Anchor>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT stream, seq, quantity, zone, looked FROM anchor
             WHERE variant = ?1 AND location = ?2 AND zone IN (?3, ?4) ORDER BY stream, seq",
        )?;
        let mut rows = statement.query(params![
            key.variant.0.as_bytes(),
            key.location.as_str(),
            key.zone,
            ALL_ZONES
        ])?;
        let mut anchors = Vec::new();
        while let Some(row) = rows.next()? {
            let (stream, seq) = (stream_id(row.get(0)?)?, from_sql(row.get(1)?)?);
            let found = (row.get(2)?, row.get(3)?, row.get(4)?);
            anchors.push(self.anchor(key, (stream, seq), found)?);
        }
        Ok(anchors)
    }

    fn anchor(
        &self,
        key: &StockKey,
        (stream, seq): (StreamId, u64),
        (found, zone, looked): (i64, String, Option<String>),
    ) -> StoreResult<Anchor> {
        let (at, mut cut) = self.count_event(stream, seq)?;
        let end = at.hlc.ms();
        let (looked_ms, seen_ms) = match looked {
            Some(text) => {
                let row: LookedRow =
                    serde_json::from_str(&text).map_err(|_| StoreError::Corrupt("cut"))?;
                cut.extend(row.cut);
                (row.ms, row.seen.unwrap_or(end))
            }
            None => (end, end),
        };
        let found = Quantity(found);
        let quantity = if zone == ALL_ZONES {
            share_of_whole(found, &key.zone)
        } else {
            found
        };
        Ok(Anchor {
            at,
            cut,
            looked_ms,
            seen_ms,
            learned: self.learned(stream, seq)?,
            quantity,
        })
    }

    /// The count that a shelf stands on.
    pub fn anchor_of(&self, key: &StockKey, state: &StockState) -> StoreResult<Option<Anchor>> {
        let Some((stream, seq)) = state.anchor else {
            return Ok(None);
        };
        let found: (i64, String, Option<String>) = self
            .conn
            .prepare_cached(
                "SELECT quantity, zone, looked FROM anchor WHERE variant = ?1 AND location = ?2 AND zone IN (?3, ?4)
                     AND stream = ?5 AND seq = ?6",
            )?
            .query_row(
                params![
                    key.variant.0.as_bytes(),
                    key.location.as_str(),
                    key.zone,
                    ALL_ZONES,
                    stream.0,
                    to_sql(seq)?
                ],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )?;
        self.anchor(key, (stream, seq), found).map(Some)
    }

    /// Where streams say that they learned of a count.
    pub fn learned(&self, stream: StreamId, seq: u64) -> StoreResult<BTreeMap<StreamId, u64>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT stream, seq FROM learned WHERE count_stream = ?1 AND count_seq = ?2 ORDER BY stream",
        )?;
        let mut rows = statement.query(params![stream.0, to_sql(seq)?])?;
        let mut learned = BTreeMap::new();
        while let Some(row) = rows.next()? {
            learned.insert(stream_id(row.get(0)?)?, from_sql(row.get(1)?)?);
        }
        Ok(learned)
    }

    /// Notes where a stream learned of a count; an earlier place stands.
    pub fn insert_learned(&self, count: StreamPos, at: StreamPos) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO learned (count_stream, count_seq, stream, seq) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (count_stream, count_seq, stream) DO UPDATE SET seq = min(seq, excluded.seq)",
            )?
            .execute(params![
                count.stream.0,
                to_sql(count.seq)?,
                at.stream.0,
                to_sql(at.seq)?
            ])?;
        Ok(())
    }

    /// Shelves that a count was made of.
    pub fn counted(&self, count: StreamPos) -> StoreResult<Vec<StockKey>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT variant, location, zone FROM anchor WHERE stream = ?1 AND seq = ?2 ORDER BY variant, location, zone",
        )?;
        let mut rows = statement.query(params![count.stream.0, to_sql(count.seq)?])?;
        let mut keys = Vec::new();
        while let Some(row) = rows.next()? {
            keys.push(StockKey {
                variant: VariantId(uuid(row.get(0)?)?),
                location: LocationId::new(&row.get::<_, String>(1)?)
                    .map_err(|_| StoreError::Corrupt("location"))?,
                zone: row.get(2)?,
            });
        }
        Ok(keys)
    }

    /// Whether a shelf was ever written.
    pub fn has_stock(&self, key: &StockKey) -> StoreResult<bool> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT 1 FROM stock WHERE variant = ?1 AND location = ?2 AND zone = ?3",
            )?
            .exists(params![
                key.variant.0.as_bytes(),
                key.location.as_str(),
                key.zone
            ])?)
    }

    /// Adds to what an account off the shelves holds; false when the sum does not fit.
    pub fn add_held(
        &self,
        account: &StockAccount,
        variant: VariantId,
        quantity: Quantity,
    ) -> StoreResult<bool> {
        let account = account.code();
        let before: i64 = self
            .conn
            .prepare_cached("SELECT quantity FROM held WHERE account = ?1 AND variant = ?2")?
            .query_row(params![account, variant.0.as_bytes()], |row| row.get(0))
            .optional()?
            .unwrap_or(0);
        let Some(sum) = before.checked_add(quantity.0) else {
            return Ok(false);
        };
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO held (account, variant, quantity) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![account, variant.0.as_bytes(), sum])?;
        Ok(true)
    }

    /// What accounts off the shelves hold, by account and variant.
    pub fn held(&self) -> StoreResult<BTreeMap<(String, VariantId), Quantity>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT account, variant, quantity FROM held ORDER BY account, variant",
        )?;
        let mut rows = statement.query([])?;
        let mut held = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let key = (row.get(0)?, VariantId(uuid(row.get(1)?)?));
            held.insert(key, Quantity(row.get(2)?));
        }
        Ok(held)
    }

    /// Adds to the takings of a till; the caller has checked that nothing overflows.
    pub fn put_takings(&self, row: &TakingsRow) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO takings (business_date, store, till, currency, receipts, reversals, takings_minor, units)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (business_date, store, till, currency) DO UPDATE SET receipts = excluded.receipts,
                     reversals = excluded.reversals, takings_minor = excluded.takings_minor, units = excluded.units",
            )?
            .execute(params![
                row.date.to_string(),
                row.store,
                row.till,
                row.currency.code(),
                to_sql(row.receipts)?,
                to_sql(row.reversals)?,
                row.takings_minor,
                row.units.0,
            ])?;
        Ok(())
    }

    pub fn takings_of(
        &self,
        date: BusinessDate,
        store: &str,
        till: &str,
        currency: Currency,
    ) -> StoreResult<TakingsRow> {
        let found = self
            .conn
            .prepare_cached(
                "SELECT business_date, store, till, currency, receipts, reversals, takings_minor, units FROM takings
                 WHERE business_date = ?1 AND store = ?2 AND till = ?3 AND currency = ?4",
            )?
            .query([date.to_string().as_str(), store, till, currency.code()])?
            .next()?
            .map(takings_row)
            .transpose()?;
        Ok(found.unwrap_or_else(|| TakingsRow {
            date,
            store: store.to_owned(),
            till: till.to_owned(),
            currency,
            receipts: 0,
            reversals: 0,
            takings_minor: 0,
            units: Quantity::ZERO,
        }))
    }

    /// Takings of one day, or of all days, by date, store, till and currency.
    pub fn takings(&self, date: Option<BusinessDate>) -> StoreResult<Vec<TakingsRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT business_date, store, till, currency, receipts, reversals, takings_minor, units FROM takings
             WHERE ?1 IS NULL OR business_date = ?1 ORDER BY business_date, store, till, currency",
        )?;
        let mut rows = statement.query([date.map(|date| date.to_string())])?;
        let mut takings = Vec::new();
        while let Some(row) = rows.next()? {
            takings.push(takings_row(row)?);
        }
        Ok(takings)
    }
}

fn takings_row(row: &rusqlite::Row<'_>) -> StoreResult<TakingsRow> {
    Ok(TakingsRow {
        date: row
            .get::<_, String>(0)?
            .parse()
            .map_err(|_| StoreError::Corrupt("business date"))?,
        store: row.get(1)?,
        till: row.get(2)?,
        currency: Currency::from_code(&row.get::<_, String>(3)?)
            .ok_or(StoreError::Corrupt("currency"))?,
        receipts: from_sql(row.get(4)?)?,
        reversals: from_sql(row.get(5)?)?,
        takings_minor: row.get(6)?,
        units: Quantity(row.get(7)?),
    })
}
