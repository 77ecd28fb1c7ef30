//! Streams, their events, and what was set aside of them.

use std::collections::{BTreeMap, BTreeSet};

use domain::event::StreamPos;
use domain::ids::{DeviceId, Digest, EventId, SaleId, StoreId, StreamId, TillId};
use rusqlite::{OptionalExtension as _, params};

use super::{StoreError, StoreResult, Tx, digest, from_sql, stream_id, to_sql, uuid};

/// A stream as the hub knows it.
#[derive(Debug, Clone)]
pub(crate) struct StreamRow {
    pub stream: StreamId,
    pub device: DeviceId,
    /// None for the hub's own stream.
    pub store: Option<StoreId>,
    pub till: Option<TillId>,
    pub public_key: String,
    pub head_seq: u64,
    pub head_hash: Digest,
    /// The owner's signature over the head.
    pub signature: String,
    pub contact: i64,
}

/// An event about to be stored.
pub(crate) struct NewEvent<'a> {
    pub stream: StreamId,
    pub seq: u64,
    /// None when the id is unreadable or another event has it.
    pub id: Option<EventId>,
    pub bytes: &'a [u8],
    pub hash: Digest,
    pub recv: i64,
}

/// An event that is in no sum.
pub(crate) struct AsideRow {
    pub stream: StreamId,
    /// Of the till that owns the stream; none for the hub's own.
    pub store: Option<StoreId>,
    pub till: Option<TillId>,
    pub seq: u64,
    /// None for an event of another branch, unless a device wrote it that was revoked.
    pub code: Option<String>,
    pub bytes: Vec<u8>,
    pub recv: i64,
}

/// Events of other branches that are looked through for those nobody adopted.
const OTHER_BRANCHES_MAX: u32 = 10_000;

const STREAM_COLUMNS: &str =
    "stream, device, store, till, public_key, head_seq, head_hash, signature, contact";

type RawStream = (
    Vec<u8>,
    Vec<u8>,
    Option<String>,
    Option<String>,
    String,
    i64,
    Vec<u8>,
    String,
    i64,
);

type RawEvent = (i64, Option<Vec<u8>>, Vec<u8>, Vec<u8>);

fn raw_stream(row: &rusqlite::Row<'_>) -> rusqlite::Result<RawStream> {
    Ok((
        row.get(0)?,
        row.get(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
        row.get(5)?,
        row.get(6)?,
        row.get(7)?,
        row.get(8)?,
    ))
}

fn store_id(text: Option<String>) -> StoreResult<Option<StoreId>> {
    text.map(|text| StoreId::new(&text))
        .transpose()
        .map_err(|_| StoreError::Corrupt("stream"))
}

fn till_id(text: Option<String>) -> StoreResult<Option<TillId>> {
    text.map(|text| TillId::new(&text))
        .transpose()
        .map_err(|_| StoreError::Corrupt("stream"))
}

fn stream_row(raw: RawStream) -> StoreResult<StreamRow> {
    Ok(StreamRow {
        stream: stream_id(raw.0)?,
        device: DeviceId(uuid(raw.1)?),
        store: store_id(raw.2)?,
        till: till_id(raw.3)?,
        public_key: raw.4,
        head_seq: from_sql(raw.5)?,
        head_hash: digest(raw.6)?,
        signature: raw.7,
        contact: raw.8,
    })
}

impl Tx<'_> {
    pub fn stream(&self, stream: StreamId) -> StoreResult<Option<StreamRow>> {
        self.conn
            .prepare_cached(&format!(
                "SELECT {STREAM_COLUMNS} FROM stream WHERE stream = ?1"
            ))?
            .query_row([stream.0], raw_stream)
            .optional()?
            .map(stream_row)
            .transpose()
    }

    /// All streams by id.
    pub fn streams(&self) -> StoreResult<Vec<StreamRow>> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT {STREAM_COLUMNS} FROM stream ORDER BY stream"
        ))?;
        let rows = statement.query_map([], raw_stream)?;
        rows.map(|row| stream_row(row?)).collect()
    }

    pub fn put_stream(&self, row: &StreamRow) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO stream (stream, device, store, till, public_key, head_seq, head_hash, signature, contact)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT (stream) DO UPDATE SET head_seq = excluded.head_seq, head_hash = excluded.head_hash,
                     signature = excluded.signature, contact = excluded.contact",
            )?
            .execute(params![
                row.stream.0,
                row.device.0.as_bytes(),
                row.store.as_ref().map(StoreId::as_str),
                row.till.as_ref().map(TillId::as_str),
                row.public_key,
                to_sql(row.head_seq)?,
                row.head_hash.0,
                row.signature,
                row.contact,
            ])?;
        Ok(())
    }

    pub fn event_hash(&self, stream: StreamId, seq: u64) -> StoreResult<Option<Digest>> {
        self.conn
            .prepare_cached("SELECT hash FROM event WHERE stream = ?1 AND seq = ?2")?
            .query_row(params![stream.0, to_sql(seq)?], |row| {
                row.get::<_, Vec<u8>>(0)
            })
            .optional()?
            .map(digest)
            .transpose()
    }

    pub fn event_id_known(&self, id: EventId) -> StoreResult<bool> {
        Ok(self
            .conn
            .prepare_cached("SELECT 1 FROM event WHERE id = ?1")?
            .exists([id.0.as_bytes()])?)
    }

    /// The event with `id`: where it stands, and its bytes.
    pub fn event_by_id(&self, id: EventId) -> StoreResult<Option<(StreamId, u64, Vec<u8>)>> {
        self.conn
            .prepare_cached("SELECT stream, seq, bytes FROM event WHERE id = ?1")?
            .query_row([id.0.as_bytes()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?
            .map(|(stream, seq, bytes)| Ok((stream_id(stream)?, from_sql(seq)?, bytes)))
            .transpose()
    }

    /// The bytes of one event.
    pub fn event_bytes(&self, stream: StreamId, seq: u64) -> StoreResult<Option<Vec<u8>>> {
        Ok(self
            .conn
            .prepare_cached("SELECT bytes FROM event WHERE stream = ?1 AND seq = ?2")?
            .query_row(params![stream.0, to_sql(seq)?], |row| row.get(0))
            .optional()?)
    }

    /// Where the event was adopted that has this id itself.
    pub fn adopted(&self, id: EventId) -> StoreResult<Option<(StreamId, u64)>> {
        self.conn
            .prepare_cached("SELECT stream, seq FROM adopted WHERE id = ?1")?
            .query_row([id.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?
            .map(|(stream, seq)| Ok((stream_id(stream)?, from_sql(seq)?)))
            .transpose()
    }

    /// Takes down that an event came inside another.
    pub fn insert_adopted(&self, id: EventId, stream: StreamId, seq: u64) -> StoreResult<()> {
        self.conn
            .prepare_cached("INSERT INTO adopted (id, stream, seq) VALUES (?1, ?2, ?3)")?
            .execute(params![id.0.as_bytes(), stream.0, to_sql(seq)?])?;
        Ok(())
    }

    /// Everything that was adopted, by the ids of the originals.
    pub fn all_adopted(&self) -> StoreResult<BTreeMap<EventId, (StreamId, u64)>> {
        self.adopted_where(None)
    }

    /// What was adopted of one branch, see [`crate::fold::branch_of`].
    pub fn adopted_of_branch(
        &self,
        branch: i64,
    ) -> StoreResult<BTreeMap<EventId, (StreamId, u64)>> {
        self.adopted_where(Some(branch.to_be_bytes()))
    }

    fn adopted_where(
        &self,
        tail: Option<[u8; 8]>,
    ) -> StoreResult<BTreeMap<EventId, (StreamId, u64)>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT id, stream, seq FROM adopted WHERE ?1 IS NULL OR substr(id, 9) = ?1 ORDER BY id",
        )?;
        let mut rows = statement.query([tail])?;
        let mut all = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let at = (stream_id(row.get(1)?)?, from_sql(row.get(2)?)?);
            all.insert(EventId(uuid(row.get(0)?)?), at);
        }
        Ok(all)
    }

    pub fn insert_event(&self, event: &NewEvent<'_>) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO event (stream, seq, id, bytes, hash, recv) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                event.stream.0,
                to_sql(event.seq)?,
                event.id.as_ref().map(|id| id.0.as_bytes().as_slice()),
                event.bytes,
                event.hash.0,
                event.recv,
            ])?;
        Ok(())
    }

    /// Calls `visit` with (seq, id, bytes, hash) of every event of the stream, in order.
    pub fn each_event<E: From<StoreError>>(
        &self,
        stream: StreamId,
        mut visit: impl FnMut(u64, Option<EventId>, Vec<u8>, Digest) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT seq, id, bytes, hash FROM event WHERE stream = ?1 ORDER BY seq")
            .map_err(StoreError::from)?;
        let mut rows = statement.query([stream.0]).map_err(StoreError::from)?;
        while let Some(row) = rows.next().map_err(StoreError::from)? {
            let read = || -> rusqlite::Result<RawEvent> {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            };
            let (seq, id, bytes, hash) = read().map_err(StoreError::from)?;
            let id = id.map(uuid).transpose()?.map(EventId);
            visit(from_sql(seq)?, id, bytes, digest(hash)?)?;
        }
        Ok(())
    }

    pub fn quarantine(&self, stream: StreamId, seq: u64, code: &str, recv: i64) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO quarantine (stream, seq, code, recv) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![stream.0, to_sql(seq)?, code, recv])?;
        Ok(())
    }

    /// Quarantined events of a stream with seq in `from..=to`, in order.
    pub fn quarantined(
        &self,
        stream: StreamId,
        from: u64,
        to: u64,
    ) -> StoreResult<Vec<(u64, String)>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT seq, code FROM quarantine WHERE stream = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq",
        )?;
        let rows = statement.query_map(params![stream.0, to_sql(from)?, to_sql(to)?], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        rows.map(|row| {
            let (seq, code) = row?;
            Ok((from_sql(seq)?, code))
        })
        .collect()
    }

    pub fn quarantined_count(&self, device: DeviceId) -> StoreResult<u64> {
        let count = self
            .conn
            .prepare_cached(
                "SELECT COUNT(*) FROM quarantine q JOIN stream s ON s.stream = q.stream WHERE s.device = ?1",
            )?
            .query_row([device.0.as_bytes()], |row| row.get(0))?;
        from_sql(count)
    }

    /// The latest quarantined events of all streams.
    pub fn set_aside(&self, limit: u32) -> StoreResult<Vec<AsideRow>> {
        self.aside_rows(
            "SELECT q.stream, q.seq, q.code, e.bytes, q.recv, s.store, s.till
             FROM quarantine q
             JOIN event e ON e.stream = q.stream AND e.seq = q.seq
             JOIN stream s ON s.stream = q.stream
             ORDER BY q.recv DESC, q.seq DESC LIMIT ?1",
            [limit],
        )
    }

    /// The latest events of other branches of forked streams, adopted since or not.
    pub fn other_branches(&self) -> StoreResult<Vec<AsideRow>> {
        self.aside_rows(
            "SELECT c.stream, c.seq,
                    CASE WHEN d.revoked IS NOT NULL AND c.seq > s.head_seq THEN 'revoked_device' END,
                    c.bytes, c.recv, s.store, s.till
             FROM contested c JOIN stream s ON s.stream = c.stream
                 LEFT JOIN device d ON d.device = s.device
             ORDER BY c.recv DESC, c.seq DESC LIMIT ?1",
            [OTHER_BRANCHES_MAX],
        )
    }

    fn aside_rows(&self, sql: &str, params: impl rusqlite::Params) -> StoreResult<Vec<AsideRow>> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(AsideRow {
                stream: stream_id(row.get(0)?)?,
                seq: from_sql(row.get(1)?)?,
                code: row.get(2)?,
                bytes: row.get(3)?,
                recv: row.get(4)?,
                store: store_id(row.get(5)?)?,
                till: till_id(row.get(6)?)?,
            });
        }
        Ok(found)
    }

    /// Keeps another branch of a stream.
    pub fn contest(
        &self,
        stream: StreamId,
        seq: u64,
        hash: Digest,
        bytes: &[u8],
        recv: i64,
    ) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO contested (stream, seq, hash, bytes, recv) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (stream, seq, hash) DO NOTHING",
            )?
            .execute(params![stream.0, to_sql(seq)?, hash.0, bytes, recv])?;
        Ok(())
    }

    /// How many events are kept of other branches of a stream.
    pub fn contested_of(&self, stream: StreamId) -> StoreResult<u64> {
        from_sql(
            self.conn
                .prepare_cached("SELECT COUNT(*) FROM contested WHERE stream = ?1")?
                .query_row([stream.0], |row| row.get(0))?,
        )
    }

    /// Takes down that the event at a place undid a sale.
    pub fn insert_reversal(&self, of: SaleId, at: StreamPos, branch: i64) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO reversal (sale, stream, seq, branch) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                of.0.as_bytes(),
                at.stream.0,
                to_sql(at.seq)?,
                branch
            ])?;
        Ok(())
    }

    /// Where a sale was undone, ascending.
    pub fn reversals_of(&self, sale: SaleId) -> StoreResult<Vec<StreamPos>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT stream, seq FROM reversal WHERE sale = ?1 ORDER BY stream, seq",
        )?;
        let rows =
            statement.query_map([sale.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.map(|row| {
            let (stream, seq) = row?;
            Ok(StreamPos {
                stream: stream_id(stream)?,
                seq: from_sql(seq)?,
            })
        })
        .collect()
    }

    /// All reversals: the sale, where it was undone, and the branch.
    pub fn reversals(&self) -> StoreResult<BTreeSet<(SaleId, StreamPos, i64)>> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT sale, stream, seq, branch FROM reversal")?;
        let rows = statement.query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        rows.map(|row| {
            let (sale, stream, seq, branch) = row?;
            let at = StreamPos {
                stream: stream_id(stream)?,
                seq: from_sql(seq)?,
            };
            Ok((SaleId(uuid(sale)?), at, branch))
        })
        .collect()
    }

    pub fn contested_count(&self) -> StoreResult<u64> {
        from_sql(
            self.conn
                .query_row("SELECT COUNT(*) FROM contested", [], |row| row.get(0))?,
        )
    }
}
