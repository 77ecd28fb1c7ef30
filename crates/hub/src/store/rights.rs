//! Rights to strict variants, seals, promises and incidents.

use std::collections::{BTreeMap, BTreeSet};

use domain::catalog::{StockClass, Variant};
use domain::event::{IncidentRaised, StreamPos};
use domain::ids::{IncidentId, LocationId, PromiseId, StoreId, StreamId, VariantId};
use domain::quantity::Quantity;
use rusqlite::{OptionalExtension as _, params};
use sync_protocol::Cursor;

use super::{StoreError, StoreResult, Tx, from_sql, hlc_to_sql, stream_id, to_sql, uuid};

/// A variant at a location.
pub(crate) type Place = (VariantId, LocationId);

/// A total that was moved from one stream to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EdgeRow {
    pub from: StreamId,
    pub to: StreamId,
    pub total: Quantity,
    /// None: without end.
    pub lease_end: Option<i64>,
}

impl EdgeRow {
    /// The larger total, and the longer lease: what may be spent by now for all that is known.
    pub fn merge(self, other: EdgeRow) -> EdgeRow {
        EdgeRow {
            total: self.total.max(other.total),
            lease_end: match (self.lease_end, other.lease_end) {
                (Some(one), Some(two)) => Some(one.max(two)),
                _ => None,
            },
            ..self
        }
    }
}

/// What the events of a stream spent and added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct UsedRow {
    pub consumed: Quantity,
    pub minted: Quantity,
}

/// A seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealRow {
    pub stream: StreamId,
    pub seq: u64,
    pub reason: String,
    pub wall: i64,
    /// Where it stands in the hub's own stream.
    pub at: u64,
}

/// What a device has seen of the hub's total for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeenRow {
    pub epoch: u64,
    pub total: Quantity,
    pub lease_end: Option<i64>,
}

/// A promise as kept.
#[derive(Debug, Clone)]
pub(crate) struct PromiseRow {
    pub promise: PromiseId,
    /// Hash of what was asked.
    pub body: Vec<u8>,
    pub answer: String,
    pub state: String,
    pub expires: i64,
}

/// An incident as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IncidentRow {
    pub seq: u64,
    pub raised: IncidentRaised,
    pub wall: i64,
    pub note: Option<String>,
    pub resolved: Option<i64>,
}

fn location(text: &str) -> StoreResult<LocationId> {
    LocationId::new(text).map_err(|_| StoreError::Corrupt("location"))
}

/// Name of an incident's kind, as facts spell it.
fn kind_code(raised: &IncidentRaised) -> StoreResult<String> {
    let value =
        serde_json::to_value(raised.kind).map_err(|_| StoreError::Corrupt("kind of incident"))?;
    let code = value
        .as_str()
        .ok_or(StoreError::Corrupt("kind of incident"))?;
    Ok(code.to_owned())
}

impl Tx<'_> {
    pub fn edge(
        &self,
        (variant, at): &Place,
        from: StreamId,
        to: StreamId,
    ) -> StoreResult<Option<EdgeRow>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT total, lease_end FROM right_edge
                 WHERE variant = ?1 AND location = ?2 AND from_stream = ?3 AND to_stream = ?4",
            )?
            .query_row(
                params![variant.0.as_bytes(), at.as_str(), from.0, to.0],
                |row| {
                    Ok(EdgeRow {
                        from,
                        to,
                        total: Quantity(row.get(0)?),
                        lease_end: row.get(1)?,
                    })
                },
            )
            .optional()?)
    }

    pub fn put_edge(&self, (variant, at): &Place, edge: &EdgeRow) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO right_edge (variant, location, from_stream, to_stream, total, lease_end)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                variant.0.as_bytes(),
                at.as_str(),
                edge.from.0,
                edge.to.0,
                edge.total.0,
                edge.lease_end
            ])?;
        Ok(())
    }

    /// Totals of a place, by streams.
    pub fn edges_at(&self, (variant, at): &Place) -> StoreResult<Vec<EdgeRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT from_stream, to_stream, total, lease_end FROM right_edge
             WHERE variant = ?1 AND location = ?2 ORDER BY from_stream, to_stream",
        )?;
        let mut rows = statement.query(params![variant.0.as_bytes(), at.as_str()])?;
        let mut edges = Vec::new();
        while let Some(row) = rows.next()? {
            edges.push(EdgeRow {
                from: stream_id(row.get(0)?)?,
                to: stream_id(row.get(1)?)?,
                total: Quantity(row.get(2)?),
                lease_end: row.get(3)?,
            });
        }
        Ok(edges)
    }

    /// Totals that came to a stream, by place.
    pub fn edges_to(&self, to: StreamId) -> StoreResult<Vec<(Place, EdgeRow)>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT variant, location, from_stream, total, lease_end FROM right_edge
             WHERE to_stream = ?1 ORDER BY variant, location, from_stream",
        )?;
        let mut rows = statement.query([to.0])?;
        let mut edges = Vec::new();
        while let Some(row) = rows.next()? {
            let place = (
                VariantId(uuid(row.get(0)?)?),
                location(&row.get::<_, String>(1)?)?,
            );
            edges.push((
                place,
                EdgeRow {
                    from: stream_id(row.get(2)?)?,
                    to,
                    total: Quantity(row.get(3)?),
                    lease_end: row.get(4)?,
                },
            ));
        }
        Ok(edges)
    }

    pub fn used(&self, (variant, at): &Place, stream: StreamId) -> StoreResult<UsedRow> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT consumed, minted FROM right_used WHERE variant = ?1 AND location = ?2 AND stream = ?3",
            )?
            .query_row(
                params![variant.0.as_bytes(), at.as_str(), stream.0],
                |row| {
                    Ok(UsedRow {
                        consumed: Quantity(row.get(0)?),
                        minted: Quantity(row.get(1)?),
                    })
                },
            )
            .optional()?
            .unwrap_or_default())
    }

    pub fn put_used(
        &self,
        (variant, at): &Place,
        stream: StreamId,
        used: &UsedRow,
    ) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO right_used (variant, location, stream, consumed, minted)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                variant.0.as_bytes(),
                at.as_str(),
                stream.0,
                used.consumed.0,
                used.minted.0
            ])?;
        Ok(())
    }

    pub fn used_at(&self, (variant, at): &Place) -> StoreResult<Vec<(StreamId, UsedRow)>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT stream, consumed, minted FROM right_used
             WHERE variant = ?1 AND location = ?2 ORDER BY stream",
        )?;
        let mut rows = statement.query(params![variant.0.as_bytes(), at.as_str()])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let used = UsedRow {
                consumed: Quantity(row.get(1)?),
                minted: Quantity(row.get(2)?),
            };
            all.push((stream_id(row.get(0)?)?, used));
        }
        Ok(all)
    }

    /// Every place that rights were moved or used at, ascending.
    pub fn right_places(&self) -> StoreResult<BTreeSet<Place>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT variant, location FROM right_edge UNION SELECT variant, location FROM right_used
             ORDER BY 1, 2",
        )?;
        let mut rows = statement.query([])?;
        let mut places = BTreeSet::new();
        while let Some(row) = rows.next()? {
            places.insert((
                VariantId(uuid(row.get(0)?)?),
                location(&row.get::<_, String>(1)?)?,
            ));
        }
        Ok(places)
    }

    /// Places where a stream holds, spent or added rights.
    pub fn places_of(&self, stream: StreamId) -> StoreResult<BTreeSet<Place>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT variant, location FROM right_edge WHERE to_stream = ?1
             UNION SELECT variant, location FROM right_used WHERE stream = ?1 ORDER BY 1, 2",
        )?;
        let mut rows = statement.query([stream.0])?;
        let mut places = BTreeSet::new();
        while let Some(row) = rows.next()? {
            places.insert((
                VariantId(uuid(row.get(0)?)?),
                location(&row.get::<_, String>(1)?)?,
            ));
        }
        Ok(places)
    }

    pub fn seal(&self, stream: StreamId) -> StoreResult<Option<SealRow>> {
        self.conn
            .prepare_cached("SELECT seq, reason, wall, at FROM sealed WHERE stream = ?1")?
            .query_row([stream.0], |row| {
                Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .optional()?
            .map(|(seq, reason, wall, at)| {
                Ok(SealRow {
                    at: from_sql(at)?,
                    stream,
                    seq: from_sql(seq)?,
                    reason,
                    wall,
                })
            })
            .transpose()
    }

    pub fn put_seal(&self, row: &SealRow) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO sealed (stream, seq, reason, wall, at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (stream) DO UPDATE SET seq = excluded.seq, reason = excluded.reason, wall = excluded.wall,
                     at = excluded.at",
            )?
            .execute(params![
                row.stream.0,
                to_sql(row.seq)?,
                row.reason,
                row.wall,
                to_sql(row.at)?
            ])?;
        Ok(())
    }

    /// Sealed streams, ascending.
    pub fn seals(&self) -> StoreResult<Vec<SealRow>> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT stream, seq, reason, wall, at FROM sealed ORDER BY stream")?;
        let mut rows = statement.query([])?;
        let mut seals = Vec::new();
        while let Some(row) = rows.next()? {
            seals.push(SealRow {
                stream: stream_id(row.get(0)?)?,
                seq: from_sql(row.get(1)?)?,
                reason: row.get(2)?,
                wall: row.get(3)?,
                at: from_sql(row.get(4)?)?,
            });
        }
        Ok(seals)
    }

    /// Streams of a store that are waited for, ascending: neither sealed nor the hub's own.
    pub fn open_streams(&self, store: &StoreId) -> StoreResult<Vec<super::StreamRow>> {
        let mut streams = self.streams()?;
        let sealed: BTreeSet<StreamId> = self.seals()?.into_iter().map(|row| row.stream).collect();
        streams.retain(|row| row.store.as_ref() == Some(store) && !sealed.contains(&row.stream));
        Ok(streams)
    }

    pub fn seen(&self, stream: StreamId, (variant, at): &Place) -> StoreResult<Option<SeenRow>> {
        self.conn
            .prepare_cached(
                "SELECT epoch, total, lease_end FROM right_seen
                 WHERE stream = ?1 AND variant = ?2 AND location = ?3",
            )?
            .query_row(
                params![stream.0, variant.0.as_bytes(), at.as_str()],
                |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?
            .map(|(epoch, total, lease_end)| {
                Ok(SeenRow {
                    epoch: from_sql(epoch)?,
                    total: Quantity(total),
                    lease_end,
                })
            })
            .transpose()
    }

    pub fn put_seen(
        &self,
        stream: StreamId,
        (variant, at): &Place,
        seen: &SeenRow,
    ) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO right_seen (stream, variant, location, epoch, total, lease_end)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                stream.0,
                variant.0.as_bytes(),
                at.as_str(),
                to_sql(seen.epoch)?,
                seen.total.0,
                seen.lease_end
            ])?;
        Ok(())
    }

    /// What is wanted of a place since `since`, by stream.
    pub fn wants_at(
        &self,
        (variant, at): &Place,
        since: i64,
    ) -> StoreResult<BTreeMap<StreamId, Quantity>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT stream, quantity FROM right_want
             WHERE variant = ?1 AND location = ?2 AND wall >= ?3 ORDER BY stream",
        )?;
        let mut rows = statement.query(params![variant.0.as_bytes(), at.as_str(), since])?;
        let mut wants = BTreeMap::new();
        while let Some(row) = rows.next()? {
            wants.insert(stream_id(row.get(0)?)?, Quantity(row.get(1)?));
        }
        Ok(wants)
    }

    /// What is wanted at each location, streams, variants and quantities taken together.
    pub fn wanted(&self) -> StoreResult<BTreeMap<String, (i64, i64)>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT location, COUNT(*), SUM(quantity) FROM right_want GROUP BY location",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub fn put_want(
        &self,
        stream: StreamId,
        (variant, at): &Place,
        quantity: Quantity,
        wall: i64,
    ) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO right_want (stream, variant, location, quantity, wall)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                stream.0,
                variant.0.as_bytes(),
                at.as_str(),
                quantity.0,
                wall
            ])?;
        Ok(())
    }

    /// Forgets what a stream wanted.
    pub fn drop_wants(&self, stream: StreamId) -> StoreResult<()> {
        self.conn
            .prepare_cached("DELETE FROM right_want WHERE stream = ?1")?
            .execute([stream.0])?;
        Ok(())
    }

    /// Where a stream stood when it first spoke in an epoch.
    pub fn epoch_report(&self, stream: StreamId) -> StoreResult<Option<(u64, u64)>> {
        self.conn
            .prepare_cached("SELECT epoch, head_seq FROM epoch_report WHERE stream = ?1")?
            .query_row([stream.0], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
            .optional()?
            .map(|(epoch, head)| Ok((from_sql(epoch)?, from_sql(head)?)))
            .transpose()
    }

    pub fn put_epoch_report(&self, stream: StreamId, epoch: u64, head: u64) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO epoch_report (stream, epoch, head_seq) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![stream.0, to_sql(epoch)?, to_sql(head)?])?;
        Ok(())
    }

    /// How far the author of a stream said to have read the catalogue, and its head then.
    pub fn catalogue_read(&self, stream: StreamId) -> StoreResult<Option<(Cursor, u64)>> {
        self.conn
            .prepare_cached("SELECT ver, pk, head_seq FROM catalogue_read WHERE stream = ?1")?
            .query_row([stream.0], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?
            .map(|(ver, pk, head): (i64, String, i64)| {
                let ver = from_sql(ver)?;
                Ok((Cursor { ver, pk }, from_sql(head)?))
            })
            .transpose()
    }

    pub fn put_catalogue_read(
        &self,
        stream: StreamId,
        read: &Cursor,
        head: u64,
    ) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO catalogue_read (stream, ver, pk, head_seq) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![stream.0, to_sql(read.ver)?, read.pk, to_sql(head)?])?;
        Ok(())
    }

    /// Version of the catalogue with which a variant became strict at a location; none where it is not.
    pub fn strict_since(&self, (variant, at): &Place) -> StoreResult<Option<u64>> {
        self.conn
            .prepare_cached(
                "SELECT since FROM strict_variant WHERE variant = ?1 AND location = ?2",
            )?
            .query_row(params![variant.0.as_bytes(), at.as_str()], |row| row.get(0))
            .optional()?
            .map(from_sql)
            .transpose()
    }

    /// Brings the list of strict variants up to a row of the catalogue. Where it was not strict before it is so since
    /// version `since`; 0 for one that no till knows otherwise.
    pub fn index_class(
        &self,
        variant: &Variant,
        locations: &[LocationId],
        since: u64,
    ) -> StoreResult<()> {
        let mut before = BTreeMap::new();
        for at in locations {
            let place = (variant.variant, at.clone());
            before.extend(self.strict_since(&place)?.map(|since| (at, since)));
        }
        self.conn
            .prepare_cached("DELETE FROM strict_variant WHERE variant = ?1")?
            .execute([variant.variant.0.as_bytes()])?;
        for at in locations {
            if variant.class_at(at) == StockClass::Strict {
                self.conn
                    .prepare_cached(
                        "INSERT INTO strict_variant (variant, location, since) VALUES (?1, ?2, ?3)",
                    )?
                    .execute(params![
                        variant.variant.0.as_bytes(),
                        at.as_str(),
                        to_sql(before.get(at).copied().unwrap_or(since))?
                    ])?;
            }
        }
        Ok(())
    }

    pub fn is_strict(&self, (variant, at): &Place) -> StoreResult<bool> {
        Ok(self
            .conn
            .prepare_cached("SELECT 1 FROM strict_variant WHERE variant = ?1 AND location = ?2")?
            .exists(params![variant.0.as_bytes(), at.as_str()])?)
    }

    /// Variants that are strict at a location, ascending.
    pub fn strict_at(&self, at: &LocationId) -> StoreResult<Vec<VariantId>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT variant FROM strict_variant WHERE location = ?1 ORDER BY variant",
        )?;
        let rows = statement.query_map([at.as_str()], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|bytes| Ok(VariantId(uuid(bytes?)?))).collect()
    }

    /// Everything that is strict anywhere.
    pub fn all_strict(&self) -> StoreResult<BTreeSet<Place>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT variant, location FROM strict_variant ORDER BY variant, location",
        )?;
        let mut rows = statement.query([])?;
        let mut places = BTreeSet::new();
        while let Some(row) = rows.next()? {
            places.insert((
                VariantId(uuid(row.get(0)?)?),
                location(&row.get::<_, String>(1)?)?,
            ));
        }
        Ok(places)
    }

    /// Counts of strict variants at a location that a stream has not said to know of.
    pub fn counts_to_learn(
        &self,
        stream: StreamId,
        at: &LocationId,
        limit: u32,
    ) -> StoreResult<Vec<StreamPos>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT DISTINCT a.stream, a.seq FROM strict_variant s
             JOIN anchor a ON a.variant = s.variant AND a.location = s.location
             WHERE s.location = ?1 AND a.stream <> ?2 AND NOT EXISTS (
                 SELECT 1 FROM learned l
                 WHERE l.count_stream = a.stream AND l.count_seq = a.seq AND l.stream = ?2)
             ORDER BY a.stream, a.seq LIMIT ?3",
        )?;
        let mut rows = statement.query(params![at.as_str(), stream.0, limit])?;
        let mut counts = Vec::new();
        while let Some(row) = rows.next()? {
            counts.push(StreamPos {
                stream: stream_id(row.get(0)?)?,
                seq: from_sql(row.get(1)?)?,
            });
        }
        Ok(counts)
    }

    /// Goods of a place that left through a stream since the clock reading `since`, as a positive quantity.
    pub fn sold_since(
        &self,
        (variant, at): &Place,
        stream: StreamId,
        since: u64,
    ) -> StoreResult<Quantity> {
        let mut statement = self.conn.prepare_cached(
            "SELECT delta FROM movement
             WHERE variant = ?1 AND location = ?2 AND stream = ?3 AND hlc >= ?4 AND delta < 0",
        )?;
        let mut rows = statement.query(params![
            variant.0.as_bytes(),
            at.as_str(),
            stream.0,
            hlc_to_sql(since)
        ])?;
        let mut sum = 0_i128;
        while let Some(row) = rows.next()? {
            sum -= i128::from(row.get::<_, i64>(0)?);
        }
        Ok(Quantity(i64::try_from(sum).unwrap_or(i64::MAX)))
    }

    pub fn promise(&self, promise: PromiseId) -> StoreResult<Option<PromiseRow>> {
        Ok(self
            .conn
            .prepare_cached("SELECT body, answer, state, expires FROM promise WHERE promise = ?1")?
            .query_row([promise.0.as_bytes()], |row| {
                Ok(PromiseRow {
                    promise,
                    body: row.get(0)?,
                    answer: row.get(1)?,
                    state: row.get(2)?,
                    expires: row.get(3)?,
                })
            })
            .optional()?)
    }

    pub fn put_promise(&self, row: &PromiseRow) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO promise (promise, body, answer, state, expires) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                row.promise.0.as_bytes(),
                row.body,
                row.answer,
                row.state,
                row.expires
            ])?;
        Ok(())
    }

    pub fn put_promise_line(
        &self,
        promise: PromiseId,
        (variant, at): &Place,
        quantity: Quantity,
    ) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO promise_line (promise, variant, location, quantity) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                promise.0.as_bytes(),
                variant.0.as_bytes(),
                at.as_str(),
                quantity.0
            ])?;
        Ok(())
    }

    /// Ends promises whose time is over.
    pub fn expire_promises(&self, now: i64) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "UPDATE promise SET state = 'expired' WHERE state = 'open' AND expires <= ?1",
            )?
            .execute([now])?;
        Ok(())
    }

    /// What open promises hold of a place.
    pub fn promised(&self, (variant, at): &Place) -> StoreResult<Quantity> {
        let mut statement = self.conn.prepare_cached(
            "SELECT l.quantity FROM promise_line l JOIN promise p ON p.promise = l.promise
             WHERE l.variant = ?1 AND l.location = ?2 AND p.state = 'open'",
        )?;
        let mut rows = statement.query(params![variant.0.as_bytes(), at.as_str()])?;
        let mut sum = 0_i128;
        while let Some(row) = rows.next()? {
            sum += i128::from(row.get::<_, i64>(0)?);
        }
        Ok(Quantity(i64::try_from(sum).unwrap_or(i64::MAX)))
    }

    /// States of all promises.
    pub fn promise_states(&self) -> StoreResult<BTreeMap<PromiseId, String>> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT promise, state FROM promise ORDER BY promise")?;
        let mut rows = statement.query([])?;
        let mut states = BTreeMap::new();
        while let Some(row) = rows.next()? {
            states.insert(PromiseId(uuid(row.get(0)?)?), row.get(1)?);
        }
        Ok(states)
    }

    pub fn insert_incident(&self, row: &IncidentRow) -> StoreResult<()> {
        let body =
            serde_json::to_string(&row.raised).map_err(|_| StoreError::Corrupt("incident"))?;
        self.conn
            .prepare_cached(
                "INSERT INTO incident (incident, seq, kind, location, variant, stream, body, wall)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (incident) DO NOTHING",
            )?
            .execute(params![
                row.raised.incident.0.as_bytes(),
                to_sql(row.seq)?,
                kind_code(&row.raised)?,
                row.raised.location.as_ref().map(LocationId::as_str),
                row.raised
                    .variant
                    .as_ref()
                    .map(|variant| variant.0.as_bytes().as_slice()),
                row.raised.stream.as_ref().map(|stream| stream.0.as_slice()),
                body,
                row.wall
            ])?;
        Ok(())
    }

    pub fn resolve_incident(&self, incident: IncidentId, note: &str, wall: i64) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "UPDATE incident SET note = ?2, resolved = ?3 WHERE incident = ?1 AND resolved IS NULL",
            )?
            .execute(params![incident.0.as_bytes(), note, wall])?;
        Ok(())
    }

    /// Whether an incident of this kind about this is still open.
    pub fn has_open_incident(&self, raised: &IncidentRaised) -> StoreResult<bool> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT 1 FROM incident WHERE kind = ?1 AND location IS ?2 AND variant IS ?3 AND stream IS ?4
                     AND resolved IS NULL",
            )?
            .exists(params![
                kind_code(raised)?,
                raised.location.as_ref().map(LocationId::as_str),
                raised
                    .variant
                    .as_ref()
                    .map(|variant| variant.0.as_bytes().as_slice()),
                raised.stream.as_ref().map(|stream| stream.0.as_slice()),
            ])?)
    }

    /// Incidents, the latest first; at most `limit` of them, only open ones if asked.
    pub fn incidents(&self, open_only: bool, limit: u32) -> StoreResult<Vec<IncidentRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT seq, body, wall, note, resolved FROM incident
             WHERE ?1 = 0 OR resolved IS NULL ORDER BY wall DESC, seq DESC LIMIT ?2",
        )?;
        let mut rows = statement.query(params![open_only, limit])?;
        let mut incidents = Vec::new();
        while let Some(row) = rows.next()? {
            let body: String = row.get(1)?;
            incidents.push(IncidentRow {
                seq: from_sql(row.get(0)?)?,
                raised: serde_json::from_str(&body).map_err(|_| StoreError::Corrupt("incident"))?,
                wall: row.get(2)?,
                note: row.get(3)?,
                resolved: row.get(4)?,
            });
        }
        Ok(incidents)
    }
}
