//! Closings of days, months and years: when one is due, and what it comes to.

use domain::event::{
    ClosingRef, ClosingSupplemented, Fact, PeriodClosed, PeriodKind, PeriodTotals, Span, StreamHead,
};
use domain::ids::{Digest, EventId};
use domain::time::{BusinessDate, Now};
use rusqlite::OptionalExtension as _;

use crate::error::LedgerError;
use crate::journal;
use crate::ledger::{Ledger, WriteTx};
use crate::sql::{N, corrupt, read_event, read_fact};

/// A closing as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredClosing {
    /// The closing.
    pub closed: PeriodClosed,
    /// Its event, and the chain hash after it.
    pub at: ClosingRef,
    /// Wall clock of the closing.
    pub wall: i64,
}

/// What lies between two closings, event by event.
pub(crate) struct Gathering {
    pub totals: PeriodTotals,
    pub days: Option<(BusinessDate, BusinessDate)>,
    pub z_numbers: Option<(u64, u64)>,
}

impl Gathering {
    pub fn new() -> Gathering {
        Gathering {
            totals: PeriodTotals::default(),
            days: None,
            z_numbers: None,
        }
    }

    /// Adds a fact to a day.
    pub fn add(&mut self, fact: &Fact) -> Result<(), LedgerError> {
        self.totals.apply(fact)?;
        match fact {
            Fact::ShiftOpened(opened) => self.see(opened.business_date, opened.business_date),
            Fact::SaleCompleted(sale) => self.see(sale.business_date, sale.business_date),
            Fact::Reversed(reversed) => {
                self.see(reversed.mirror.business_date, reversed.mirror.business_date);
            }
            Fact::CashMoved(moved) => self.see(moved.business_date, moved.business_date),
            Fact::ShiftClosed(closed) => self.see_z(closed.z_number, closed.z_number),
            _ => {}
        }
        Ok(())
    }

    /// Adds a shorter closing to a longer one.
    pub fn merge(&mut self, closed: &PeriodClosed) -> Result<(), LedgerError> {
        self.totals.merge(&closed.totals)?;
        self.see(closed.from, closed.to);
        if let Some((first, last)) = closed.z_numbers {
            self.see_z(first, last);
        }
        Ok(())
    }

    fn see(&mut self, from: BusinessDate, to: BusinessDate) {
        let (first, last) = self.days.unwrap_or((from, to));
        self.days = Some((first.min(from), last.max(to)));
    }

    fn see_z(&mut self, first: u64, last: u64) {
        let (lowest, highest) = self.z_numbers.unwrap_or((first, last));
        self.z_numbers = Some((lowest.min(first), highest.max(last)));
    }
}

/// Number of the kind in the table.
pub(crate) const fn kind_code(kind: PeriodKind) -> i64 {
    match kind {
        PeriodKind::Day => 0,
        PeriodKind::Month => 1,
        PeriodKind::Year => 2,
    }
}

/// The kind whose closings add up to those of `kind`; none for days, which are sums of facts.
pub(crate) const fn shorter(kind: PeriodKind) -> Option<PeriodKind> {
    match kind {
        PeriodKind::Day => None,
        PeriodKind::Month => Some(PeriodKind::Day),
        PeriodKind::Year => Some(PeriodKind::Month),
    }
}

/// Sequence number, bytes and hash of a closing's event.
type Row = (u64, Vec<u8>, [u8; 32]);

/// Whether an event lies in a span.
pub(crate) fn holds(span: &Span, at: &StreamHead) -> bool {
    span.to.stream == at.stream && (span.from_seq..=span.to.seq).contains(&at.seq)
}

fn read_supplement(seq: u64, bytes: &[u8]) -> Result<ClosingSupplemented, LedgerError> {
    match read_fact(seq, bytes)?.1 {
        Fact::ClosingSupplemented(supplement) => Ok(supplement),
        other => Err(corrupt("supplement", seq, other.kind())),
    }
}

impl Ledger {
    /// The last closing of a kind on this stream.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Corrupt`].
    pub fn last_closing(&self, kind: PeriodKind) -> Result<Option<StoredClosing>, LedgerError> {
        let row: Option<Row> = self
            .prepare(
                "SELECT e.seq, e.bytes, e.hash FROM period p JOIN event e ON e.seq = p.seq \
                 WHERE p.kind = ?1 ORDER BY p.number DESC LIMIT 1",
            )?
            .query_row([kind_code(kind)], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        row.map(|row| self.read_closing(row)).transpose()
    }

    /// The closing of a kind with `number`, if it is on this stream.
    ///
    /// # Errors
    /// As [`Ledger::last_closing`].
    pub fn closing(
        &self,
        kind: PeriodKind,
        number: u64,
    ) -> Result<Option<StoredClosing>, LedgerError> {
        if i64::try_from(number).is_err() {
            return Ok(None);
        }
        let row: Option<Row> = self
            .prepare(
                "SELECT e.seq, e.bytes, e.hash FROM period p JOIN event e ON e.seq = p.seq \
                 WHERE p.kind = ?1 AND p.number = ?2",
            )?
            .query_row((kind_code(kind), N(number)), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        row.map(|row| self.read_closing(row)).transpose()
    }

    /// Up to `limit` closings of a kind, newest first.
    ///
    /// # Errors
    /// As [`Ledger::last_closing`].
    pub fn closings(
        &self,
        kind: PeriodKind,
        limit: u32,
    ) -> Result<Vec<StoredClosing>, LedgerError> {
        let mut statement = self.prepare(
            "SELECT e.seq, e.bytes, e.hash FROM period p JOIN event e ON e.seq = p.seq \
             WHERE p.kind = ?1 ORDER BY p.number DESC LIMIT ?2",
        )?;
        let rows = statement.query_map((kind_code(kind), limit), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        rows.map(|row| self.read_closing(row?)).collect()
    }

    fn read_closing(&self, (seq, bytes, hash): Row) -> Result<StoredClosing, LedgerError> {
        let (event, adopted_from) = read_event(seq, &bytes)?;
        let at = adopted_from.unwrap_or(StreamHead {
            stream: self.identity().stream,
            seq,
            hash: Digest(hash),
        });
        match event.fact() {
            Ok(Fact::PeriodClosed(closed)) => Ok(StoredClosing {
                at: ClosingRef {
                    number: closed.number,
                    at,
                },
                closed,
                wall: event.wall,
            }),
            Ok(other) => Err(corrupt("period", seq, other.kind())),
            Err(error) => Err(corrupt("period", seq, error)),
        }
    }

    /// The first event here that the next closing of `kind` covers.
    fn closing_from(&self, kind: PeriodKind) -> Result<u64, LedgerError> {
        Ok(self
            .prepare("SELECT coalesce(max(seq), 0) + 1 FROM period WHERE kind = ?1")?
            .query_row([kind_code(kind)], |row| row.get(0))?)
    }

    /// The number that the next supplement to a closing must have.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub(crate) fn next_supplement(
        &self,
        kind: PeriodKind,
        closing: u64,
    ) -> Result<u64, LedgerError> {
        Ok(self
            .prepare(
                "SELECT coalesce(max(number), 0) + 1 FROM supplement WHERE kind = ?1 AND closing = ?2",
            )?
            .query_row((kind_code(kind), N(closing)), |row| row.get(0))?)
    }

    /// Supplements to a closing, in their order.
    ///
    /// # Errors
    /// As [`Ledger::last_closing`].
    pub fn supplements(
        &self,
        kind: PeriodKind,
        closing: u64,
    ) -> Result<Vec<ClosingSupplemented>, LedgerError> {
        let mut statement = self.prepare(
            "SELECT e.seq, e.bytes FROM supplement s JOIN event e ON e.seq = s.seq \
             WHERE s.kind = ?1 AND s.closing = ?2 ORDER BY s.number",
        )?;
        let rows = statement.query_map((kind_code(kind), N(closing)), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        rows.map(|row| {
            let (seq, bytes): (u64, Vec<u8>) = row?;
            read_supplement(seq, &bytes)
        })
        .collect()
    }

    /// Kinds that have to be closed before trading on `next`, shortest first.
    ///
    /// # Errors
    /// As [`Ledger::last_closing`].
    pub fn closings_due(&self, next: BusinessDate) -> Result<Vec<PeriodKind>, LedgerError> {
        let day = self.gather(PeriodKind::Day)?.days;
        let mut due = Vec::new();
        // What closes today is part of the month that may end with it.
        let mut last = None;
        if let Some((_, to)) = day
            && to != next
        {
            due.push(PeriodKind::Day);
            last = Some(to);
        }
        for kind in [PeriodKind::Month, PeriodKind::Year] {
            let gathered = self.gather(kind)?.days.map(|(_, to)| to);
            match gathered.max(last) {
                Some(to) if !kind.same(to, next) => {
                    due.push(kind);
                    last = Some(to);
                }
                // What has not ended ends nothing longer either.
                Some(_) => break,
                // Closed on its own earlier: the longer one may have ended since.
                None => {}
            }
        }
        Ok(due)
    }

    /// The closing of `kind` that would be written now; none when nothing happened since the last.
    ///
    /// # Errors
    /// As [`Ledger::last_closing`]; [`LedgerError::Overflow`].
    pub fn next_closing(&self, kind: PeriodKind) -> Result<Option<PeriodClosed>, LedgerError> {
        let gathered = self.gather(kind)?;
        let Some((from, to)) = gathered.days else {
            return Ok(None);
        };
        let previous = self.last_closing(kind)?;
        let before = self.opened.periods.get(&kind).copied().unwrap_or(0);
        let number = previous
            .as_ref()
            .map_or(before, |last| last.closed.number)
            .checked_add(1)
            .ok_or(LedgerError::Overflow)?;
        Ok(Some(PeriodClosed {
            period: kind,
            number,
            from,
            to,
            covers: Span {
                from_seq: self.closing_from(kind)?,
                to: self.head(),
            },
            z_numbers: gathered.z_numbers,
            totals: gathered.totals,
            perpetual_minor: self.perpetual_minor()?,
            previous: previous.map(|last| last.at),
        }))
    }

    /// Everything since the last closing of `kind`.
    fn gather(&self, kind: PeriodKind) -> Result<Gathering, LedgerError> {
        let from_seq = self.closing_from(kind)?;
        let mut gathering = Gathering::new();
        match shorter(kind) {
            None => {
                let first_own = self.first_own_event()?.unwrap_or(u64::MAX);
                let supplemented = self.supplemented_since(from_seq)?;
                let mut statement =
                    self.prepare("SELECT seq, bytes FROM event WHERE seq >= ?1 ORDER BY seq")?;
                let mut rows = statement.query([N(from_seq)])?;
                while let Some(row) = rows.next()? {
                    let (seq, bytes): (u64, Vec<u8>) = (row.get(0)?, row.get(1)?);
                    let (event, adopted_from) = read_event(seq, &bytes)?;
                    // A later version's fact is not for this one to add up.
                    let Ok(fact) = event.fact() else { continue };
                    let late = adopted_from.filter(|_| seq > first_own);
                    let stands = match late {
                        Some(at) => {
                            !supplemented.iter().any(|span| holds(span, &at))
                                && self.counts_late(&fact)?
                        }
                        None => true,
                    };
                    if stands {
                        gathering.add(&fact)?;
                    }
                }
            }
            Some(shorter) => {
                let mut statement = self.prepare(
                    "SELECT e.seq, e.bytes FROM period p JOIN event e ON e.seq = p.seq \
                     WHERE p.kind = ?1 AND p.seq >= ?2 ORDER BY p.seq",
                )?;
                let mut rows = statement.query((kind_code(shorter), N(from_seq)))?;
                while let Some(row) = rows.next()? {
                    let (seq, bytes): (u64, Vec<u8>) = (row.get(0)?, row.get(1)?);
                    match read_fact(seq, &bytes)?.1 {
                        Fact::PeriodClosed(closed) => gathering.merge(&closed)?,
                        other => return Err(corrupt("period", seq, other.kind())),
                    }
                }
                let mut statement = self.prepare(
                    "SELECT e.seq, e.bytes FROM supplement s \
                     JOIN period p ON p.kind = s.kind AND p.number = s.closing \
                     JOIN event e ON e.seq = s.seq WHERE s.kind = ?1 AND p.seq >= ?2 ORDER BY s.seq",
                )?;
                let mut rows = statement.query((kind_code(shorter), N(from_seq)))?;
                while let Some(row) = rows.next()? {
                    let (seq, bytes): (u64, Vec<u8>) = (row.get(0)?, row.get(1)?);
                    gathering
                        .totals
                        .merge(&read_supplement(seq, &bytes)?.totals)?;
                }
            }
        }
        Ok(gathering)
    }

    /// What supplements to days, written at `from_seq` or later, hold already.
    fn supplemented_since(&self, from_seq: u64) -> Result<Vec<Span>, LedgerError> {
        let mut statement = self.prepare(
            "SELECT e.seq, e.bytes FROM supplement s JOIN event e ON e.seq = s.seq \
             WHERE s.kind = ?1 AND s.seq >= ?2 ORDER BY s.seq",
        )?;
        let rows = statement.query_map((kind_code(PeriodKind::Day), N(from_seq)), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        rows.map(|row| {
            let (seq, bytes): (u64, Vec<u8>) = row?;
            Ok(read_supplement(seq, &bytes)?.covers)
        })
        .collect()
    }
}

impl Ledger {
    /// A report's document as it was first issued.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn report_document(&self, number: &str) -> Result<Option<String>, LedgerError> {
        Ok(self
            .prepare("SELECT document FROM report WHERE number = ?1")?
            .query_row([number], |row| row.get(0))
            .optional()?)
    }
}

impl WriteTx<'_> {
    /// Keeps the document of a report as it is first issued.
    ///
    /// # Errors
    /// [`LedgerError::OutOfPlace`] when there is one already; [`LedgerError::Storage`].
    pub fn keep_report(&mut self, number: &str, document: &str) -> Result<(), LedgerError> {
        self.step(|ledger| {
            let kept = ledger
                .prepare("INSERT OR IGNORE INTO report (number, document, proof) VALUES (?1, ?2, row_proof('report', ?1, ?2))")?
                .execute((number, document))?;
            if kept == 0 {
                return Err(LedgerError::OutOfPlace {
                    kind: "report",
                    what: "it was issued already",
                });
            }
            Ok(())
        })
    }

    /// Writes every closing that is due before trading on `next`, as events of this transaction. `id` gives one id
    /// per closing.
    ///
    /// # Errors
    /// As [`WriteTx::append`].
    pub fn close_periods(
        &mut self,
        now: &Now,
        next: BusinessDate,
        mut id: impl FnMut() -> EventId,
    ) -> Result<Vec<StoredClosing>, LedgerError> {
        let mut written = Vec::new();
        for kind in self.closings_due(next)? {
            let event = id();
            self.note_clock(now, journal::beside(event))?;
            if let Some(closed) = self.next_closing(kind)? {
                let number = closed.number;
                let fact = Fact::PeriodClosed(closed.clone());
                let at = self.append(now, event, &fact)?;
                written.push(StoredClosing {
                    closed,
                    at: ClosingRef { number, at },
                    wall: now.wall_ms,
                });
            }
        }
        Ok(written)
    }
}
