//! The journal: appending facts, and reading events back as they are stored.

use domain::event::{ClockJumped, Event, Fact, StreamHead, chain_hash, genesis_hash};
use domain::ids::{Digest, EventId};
use domain::time::Now;
use rusqlite::{Connection, OptionalExtension as _};
use sha2::{Digest as _, Sha256};

use crate::error::LedgerError;
use crate::ledger::{Ledger, WriteTx};
use crate::projection;
use crate::sql::{ADOPTED, Id, N};

/// An event as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Sequence number.
    pub seq: u64,
    /// The event as it was hashed and is sent.
    pub bytes: Vec<u8>,
    /// Chain hash after it.
    pub hash: Digest,
    /// Wall clock when it was written.
    pub wall: i64,
}

impl Ledger {
    /// Events from `from_seq` on: at most `max_events` of them and at most `max_bytes` of their text, but
    /// always the first, however long it is.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn events(
        &self,
        from_seq: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Vec<StoredEvent>, LedgerError> {
        let mut statement =
            self.prepare("SELECT seq, bytes, hash, wall FROM event WHERE seq >= ?1 ORDER BY seq")?;
        let mut rows = statement.query([N(from_seq)])?;
        let mut events = Vec::new();
        let mut total = 0_usize;
        while events.len() < max_events {
            let Some(row) = rows.next()? else { break };
            let event = StoredEvent {
                seq: row.get(0)?,
                bytes: row.get(1)?,
                hash: Digest(row.get(2)?),
                wall: row.get(3)?,
            };
            total = total.saturating_add(event.bytes.len());
            if total > max_bytes && !events.is_empty() {
                break;
            }
            events.push(event);
        }
        Ok(events)
    }

    /// Chain hash after `seq`; 0 is before the first event. None beyond the head.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn hash_at(&self, seq: u64) -> Result<Option<Digest>, LedgerError> {
        if seq == 0 {
            return Ok(Some(genesis_hash(self.identity().stream)));
        }
        Ok(self
            .prepare("SELECT hash FROM event WHERE seq = ?1")?
            .query_row([N(seq)], |row| row.get(0).map(Digest))
            .optional()?)
    }
}

impl Ledger {
    /// The first event after the opening that is the stream's own. What is adopted before it goes on here; what is
    /// adopted after it comes late.
    pub(crate) fn first_own_event(&self) -> Result<Option<u64>, LedgerError> {
        if let Some(known) = self.cache.borrow().first_own_event {
            return Ok(known);
        }
        let found: Option<u64> = self
            .prepare(
                "SELECT seq FROM event WHERE seq > 1 AND kind <> 'Adopted' ORDER BY seq LIMIT 1",
            )?
            .query_row([], |row| row.get(0))
            .optional()?;
        if !self.is_read_only() {
            self.cache.borrow_mut().first_own_event = Some(found);
        }
        Ok(found)
    }

    fn note_own_event(&self, seq: u64) {
        let mut cache = self.cache.borrow_mut();
        if cache.first_own_event == Some(None) {
            cache.first_own_event = Some(Some(seq));
        }
    }

    /// Whether an event with this id is in the journal, as its own or adopted.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn knows_event(&self, id: EventId) -> Result<bool, LedgerError> {
        for sql in [
            "SELECT 1 FROM event WHERE id = ?1",
            "SELECT 1 FROM adopted WHERE id = ?1",
        ] {
            if self.prepare(sql)?.exists([Id(id.0)])? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl WriteTx<'_> {
    /// Appends a fact as the next event of the stream and brings every projection up to it.
    ///
    /// # Errors
    /// [`LedgerError::NumberTaken`] when a receipt's number is not the next of its year;
    /// [`LedgerError::SaleFault`] and [`LedgerError::Unbalanced`] for amounts that do not add up;
    /// [`LedgerError::OutOfPlace`] when the journal cannot hold the fact here (a sale without its shift, a
    /// second reversal, a Z report that differs from the shift); [`LedgerError::IdTaken`];
    /// [`LedgerError::Overflow`]; [`LedgerError::Storage`]. The transaction can then only be given up.
    pub fn append(
        &mut self,
        now: &Now,
        id: EventId,
        fact: &Fact,
    ) -> Result<StreamHead, LedgerError> {
        self.note_clock(now, beside(id))?;
        self.step(|ledger| append(ledger, now, id, fact))
    }

    /// As [`WriteTx::append`], but what the journal cannot hold here leaves no trace, and the transaction goes on.
    ///
    /// # Errors
    /// Outside, when the transaction can only be given up; inside, why the fact does not fit.
    pub(crate) fn append_if_it_fits(
        &mut self,
        now: &Now,
        id: EventId,
        fact: &Fact,
    ) -> Result<Result<StreamHead, LedgerError>, LedgerError> {
        self.note_clock(now, beside(id))?;
        self.step(|ledger| {
            ledger.prepare("SAVEPOINT fact")?.execute([])?;
            let before = (ledger.head, ledger.hlc, ledger.clocks);
            let result = append(ledger, now, id, fact);
            match &result {
                Ok(_) => {}
                Err(error) if error.storage_kind().is_some() => return result.map(Ok),
                Err(_) => {
                    ledger.prepare("ROLLBACK TO fact")?.execute([])?;
                    (ledger.head, ledger.hlc, ledger.clocks) = before;
                    ledger.forget_cached();
                }
            }
            ledger.prepare("RELEASE fact")?.execute([])?;
            Ok(result)
        })
    }

    /// Writes down a jump of the wall clock since the last event, if there is one. What follows a jump is read with
    /// the jump in mind, so it stands before it; [`WriteTx::append`] sees to that, and only who states the head in a
    /// fact has to call this first.
    ///
    /// # Errors
    /// As [`WriteTx::append`].
    pub fn note_clock(&mut self, now: &Now, id: EventId) -> Result<(), LedgerError> {
        self.step(|ledger| {
            let (wall, boot) = ledger.clocks;
            if let Some(jumped) = ClockJumped::between(wall, boot, now) {
                append(ledger, now, id, &Fact::ClockJumped(jumped))?;
            }
            Ok(())
        })
    }
}

/// A second id for an event that comes with the one of `id`; the same for the same id.
pub(crate) fn beside(id: EventId) -> EventId {
    let mut hasher = Sha256::new();
    hasher.update(b"hanout-beside-1\0");
    hasher.update(id.0.as_bytes());
    let hash: [u8; 32] = hasher.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    EventId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

fn append(
    ledger: &mut Ledger,
    now: &Now,
    id: EventId,
    fact: &Fact,
) -> Result<StreamHead, LedgerError> {
    let told = projection::tell(ledger, fact)?;
    let balances = told.check()?;
    ledger.check_rights(fact, now)?;
    let event = Event {
        stream: ledger.head.stream,
        seq: ledger.head.seq + 1,
        id,
        hlc: ledger.hlc.tick(now.wall_ms),
        wall: now.wall_ms,
        boot: now.boot,
        kind: fact.kind().to_owned(),
        schema: fact.schema(),
        body: fact.encode(),
    };
    let bytes = event.encode();
    let hash = chain_hash(ledger.head.hash, &bytes);
    insert(ledger.conn()?, &event, &bytes, hash).map_err(|error| match error.sqlite_error() {
        Some(failure) if failure.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE => {
            LedgerError::IdTaken
        }
        _ => error.into(),
    })?;
    told.apply(ledger, &event, &balances)?;
    ledger.head = StreamHead {
        stream: event.stream,
        seq: event.seq,
        hash,
    };
    ledger.hlc = event.hlc;
    ledger.clocks = (event.wall, event.boot);
    if event.kind != ADOPTED {
        ledger.note_own_event(event.seq);
    }
    Ok(ledger.head)
}

/// Writes an event's row.
pub(crate) fn insert(
    conn: &Connection,
    event: &Event,
    bytes: &[u8],
    hash: Digest,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO event (seq, id, hlc, wall, kind, schema, bytes, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute((
        N(event.seq),
        Id(event.id.0),
        // All 64 bits are used; the column keeps them, not their order.
        event.hlc.0.cast_signed(),
        event.wall,
        &event.kind,
        event.schema,
        bytes,
        hash.0,
    ))
    .map(drop)
}
