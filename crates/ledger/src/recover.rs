//! Taking over what is found late: a set-aside or found file of an earlier stream of this till.
//!
//! Its events that nobody here knows are adopted as they were written. What belongs to a day that is closed becomes a
//! numbered supplement to its closing, and to those of its month and year where they are closed too; what is closed
//! is never changed. Doing it again finds nothing.

use std::path::Path;

use domain::entropy::Entropy;
use domain::event::{
    Adopted, ClosingRef, ClosingSupplemented, Event, Fact, PeriodKind, Span, StreamHead,
};
use domain::ids::EventId;
use domain::time::{BusinessDate, Now};

use crate::error::{LedgerError, OpenError};
use crate::ledger::{Ledger, WriteTx};
use crate::periods::kind_code;
use crate::projection::sale_of;

/// What was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Events that were unknown and are adopted.
    pub adopted: u64,
    /// Supplements that were written to closings.
    pub supplements: u64,
}

/// Why nothing was taken over; the ledger is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The file cannot be opened, or its end is damaged.
    #[error("the file cannot be read")]
    Open(#[from] OpenError),
    /// It is this very stream's, another till's, or another branch of a stream that went two ways.
    #[error("the file is not one that this till can take over: {what}")]
    NotOurs {
        /// What does not fit.
        what: &'static str,
    },
    /// The ledger refuses.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn not_ours<T>(what: &'static str) -> Result<T, RecoverError> {
    Err(RecoverError::NotOurs { what })
}

impl Ledger {
    /// Adopts from `file` what is known nowhere here: events after the last that this stream knows of it.
    ///
    /// # Errors
    /// [`RecoverError`]; all of it is taken over or nothing.
    pub fn recover(
        &mut self,
        file: &Path,
        now: &Now,
        entropy: &mut Entropy,
    ) -> Result<Recovered, RecoverError> {
        let found = Ledger::open_read_only_with(file, self.key())?;
        let (ours, theirs) = (self.identity(), found.identity());
        if ours.stream == theirs.stream {
            return not_ours("it is of the stream that is going on");
        }
        if (&ours.tenant, &ours.store, &ours.till) != (&theirs.tenant, &theirs.store, &theirs.till)
        {
            return not_ours("it is another till's");
        }
        if found.verify()?.first_bad.is_some() {
            return not_ours("it is damaged");
        }
        let from = self.known_of(&found)? + 1;
        let events = found.events(from, usize::MAX, usize::MAX)?;
        let mut fresh = Vec::new();
        for stored in events {
            let event = Event::decode(&stored.bytes)
                .map_err(|error| crate::sql::corrupt("event", stored.seq, error))?;
            // What it had adopted itself is looked for in the stream that it came from.
            if matches!(event.fact(), Ok(Fact::Adopted(_) | Fact::StreamOpened(_)))
                || self.knows_event(event.id)?
            {
                continue;
            }
            fresh.push((event, stored));
        }
        if fresh.is_empty() {
            return Ok(Recovered::default());
        }
        let stream = theirs.stream;
        self.write(|tx| -> Result<Recovered, RecoverError> {
            let mut spans: Vec<(Option<BusinessDate>, Span)> = Vec::new();
            let mut day = None;
            for (event, stored) in &fresh {
                let at = StreamHead {
                    stream,
                    seq: stored.seq,
                    hash: stored.hash,
                };
                day = event.fact().ok().as_ref().and_then(day_of).or(day);
                match spans.last_mut() {
                    Some((last, span)) if *last == day => span.to = at,
                    _ => spans.push((
                        day,
                        Span {
                            from_seq: stored.seq,
                            to: at,
                        },
                    )),
                }
                let fact = Fact::Adopted(Adopted {
                    at,
                    bytes: String::from_utf8_lossy(&stored.bytes).into_owned(),
                });
                tx.append(now, EventId(entropy.next_uuid(now.wall_ms)), &fact)?;
            }
            let mut supplements = 0;
            for (day, covers) in spans {
                if let Some(day) = day {
                    supplements += supplement(tx, day, covers, now, entropy)?;
                }
            }
            Ok(Recovered {
                adopted: fresh.len() as u64,
                supplements,
            })
        })
    }

    /// The last place of another file's stream that this ledger knows, by what it went on from or adopted.
    fn known_of(&self, found: &Ledger) -> Result<u64, RecoverError> {
        let stream = found.identity().stream;
        let adopted: Option<u64> = self
            .prepare("SELECT max(old_seq) FROM adopted WHERE stream = ?1")?
            .query_row([stream.0], |row| row.get(0))
            .map_err(LedgerError::from)?;
        let previous = self.opening().previous.filter(|head| head.stream == stream);
        if let Some(head) = previous
            && found.hash_at(head.seq)? != Some(head.hash)
        {
            return not_ours("it went another way, and gives its part to the server itself");
        }
        match (previous.map(|head| head.seq), adopted) {
            (None, None) => not_ours("this stream does not go on from it"),
            (known, adopted) => Ok(known.unwrap_or(0).max(adopted.unwrap_or(0))),
        }
    }

    /// The last closing of a kind that holds `day`, and where it stands here.
    fn closing_of(
        &self,
        kind: PeriodKind,
        day: BusinessDate,
    ) -> Result<Option<ClosingRef>, LedgerError> {
        let closings = self.closings(kind, u32::MAX)?;
        Ok(closings
            .into_iter()
            .find(|closing| (closing.closed.from..=closing.closed.to).contains(&day))
            .map(|closing| closing.at))
    }
}

/// Trading day that a fact states.
fn day_of(fact: &Fact) -> Option<BusinessDate> {
    match fact {
        Fact::ShiftOpened(opened) => Some(opened.business_date),
        Fact::CashMoved(moved) => Some(moved.business_date),
        fact => sale_of(fact).map(|sale| sale.business_date),
    }
}

/// Writes the supplements to the closings that hold `day`, shortest first.
fn supplement(
    tx: &mut WriteTx<'_>,
    day: BusinessDate,
    covers: Span,
    now: &Now,
    entropy: &mut Entropy,
) -> Result<u64, LedgerError> {
    let mut written = 0;
    for period in PeriodKind::ALL {
        let Some(of) = tx.closing_of(period, day)? else {
            break;
        };
        let supplement = ClosingSupplemented {
            period,
            of,
            number: tx.next_supplement(period, of.number)?,
            covers,
            totals: tx.late_totals(&covers)?,
            perpetual_minor: tx.perpetual_minor()?,
        };
        tracing::warn!(
            closing.kind = kind_code(period),
            closing.number = of.number,
            "a closing has a supplement"
        );
        let fact = Fact::ClosingSupplemented(supplement);
        tx.append(now, EventId(entropy.next_uuid(now.wall_ms)), &fact)?;
        written += 1;
    }
    Ok(written)
}
