//! Taking over what is found late: a set-aside or found file of an earlier stream of this till.
//!
//! Its events that nobody here knows are adopted as they were written. What belongs to a day that is closed becomes a
//! numbered supplement to its closing, and to those of its month and year where they are closed too; what is closed
//! is never changed. Doing it again finds nothing.

use std::path::Path;

use domain::entropy::Entropy;
use domain::event::{
    Adopted, ClosingRef, ClosingSupplemented, Fact, Original, PeriodKind, Span, StreamHead,
};
use domain::ids::{Digest, EventId, SaleId, StreamId};
use domain::time::{BusinessDate, Now};

use crate::error::{LedgerError, OpenError};
use crate::ledger::{Ledger, WriteTx};
use crate::open::{OpenOptions, look_at};
use crate::periods::kind_code;
use crate::projection::sale_of;
use crate::succession::{Line, Old, SuccessionError};

/// What became of the events in a file that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// Stream of the file.
    pub stream: StreamId,
    /// Events that were unknown and are adopted.
    pub adopted: u64,
    /// Receipts among them.
    pub receipts: u64,
    /// Events that were here already, or carried over in totals.
    pub known: u64,
    /// Events that cannot be read or proven, and those that contradict what is here.
    pub refused: u64,
    /// Supplements that were written to closings.
    pub supplements: u64,
}

/// Why a file is not one that this till can take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// It is of the stream that is going on: the ledger itself, or a copy of it.
    #[error("it is the ledger in use, or a copy of it")]
    Current,
    /// It is of another chain.
    #[error("it is of another chain")]
    OtherTenant,
    /// It is another till's.
    #[error("it is another till's")]
    OtherTill,
    /// It was written by another device, or with another key.
    #[error("it was written by another device, or with another key")]
    OtherDevice,
    /// It is another branch of a stream that went two ways, and gives its part to the server itself.
    #[error("it went another way: its device hands it in itself")]
    OtherBranch,
    /// This stream does not go on from it.
    #[error("this till does not go on from it")]
    Unrelated,
    /// Not even its beginning can be read.
    #[error("it is damaged so far that nobody can tell whose it is")]
    Damaged,
}

/// Why nothing was taken over; the ledger is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The file cannot be opened.
    #[error("the file cannot be read")]
    Open(#[from] OpenError),
    /// It is not a file that this till can take over.
    #[error("the file is not one that this till can take over")]
    NotOurs(#[source] NotOurs),
    /// The ledger refuses.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<NotOurs> for RecoverError {
    fn from(reason: NotOurs) -> RecoverError {
        RecoverError::NotOurs(reason)
    }
}

/// An event that nobody here knows.
struct Fresh {
    adopted: Adopted,
    original: Original,
    /// The code that was printed on it, when it is a receipt that was signed.
    code: Option<(SaleId, String)>,
}

/// What a file holds that is not known here.
struct Findings {
    fresh: Vec<Fresh>,
    known: u64,
    refused: u64,
}

impl Ledger {
    /// Adopts from `file` what is known nowhere here. A damaged file gives what can be read and proven of it; an
    /// event that contradicts what is here is left out. The file is only read.
    ///
    /// # Errors
    /// [`RecoverError`]; all that can be taken over is, or nothing.
    pub fn recover(
        &mut self,
        file: &Path,
        now: &Now,
        entropy: &mut Entropy,
    ) -> Result<Recovered, RecoverError> {
        let old = self.open_found(file)?;
        let found = self.compare(&old)?;
        let mut told = Recovered {
            stream: old.stream,
            adopted: 0,
            receipts: 0,
            known: found.known,
            refused: found.refused,
            supplements: 0,
        };
        if found.fresh.is_empty() {
            return Ok(told);
        }
        self.write(|tx| -> Result<Recovered, RecoverError> {
            let mut spans: Vec<(Option<BusinessDate>, Span)> = Vec::new();
            let mut day = None;
            for Fresh {
                adopted,
                original,
                code,
            } in found.fresh
            {
                let inner = original.event.fact().ok();
                day = inner.as_ref().and_then(day_of).or(day);
                let id = EventId(entropy.next_uuid(now.wall_ms));
                if let Err(error) = tx.append_if_it_fits(now, id, &Fact::Adopted(adopted))? {
                    tracing::warn!(event.seq = original.at.seq, error = %error, "an event does not fit and is left in its file");
                    told.refused += 1;
                    continue;
                }
                if let Some((sale, code)) = code {
                    tx.keep_code(sale, &code)?;
                }
                told.adopted += 1;
                told.receipts += u64::from(inner.as_ref().is_some_and(|fact| sale_of(fact).is_some()));
                let at = original.at;
                match spans.last_mut() {
                    Some((last, span)) if *last == day && span.to.stream == at.stream => {
                        span.to = at;
                    }
                    _ => spans.push((
                        day,
                        Span {
                            from_seq: at.seq,
                            to: at,
                        },
                    )),
                }
            }
            for (day, covers) in spans {
                if let Some(day) = day {
                    told.supplements += supplement(tx, day, covers, now, entropy)?;
                }
            }
            Ok(told)
        })
    }

    /// Opens a file that was found, and refuses one that cannot be of this till.
    fn open_found(&self, file: &Path) -> Result<Old, RecoverError> {
        match look_at(file, self.key()) {
            // What can be read of it is looked for below.
            Ok(()) | Err(OpenError::Corrupt { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let options = OpenOptions {
            key: self.key().copied(),
            ..OpenOptions::default()
        };
        let old = Old::read(file, &options).map_err(|error| match error {
            SuccessionError::Unreadable => NotOurs::Damaged.into(),
            SuccessionError::Open(error) => RecoverError::Open(error),
            SuccessionError::Ledger(error) => RecoverError::Ledger(error),
        })?;
        let (ours, theirs) = (&self.opened, &old.opened);
        let reason = if old.stream == self.identity().stream {
            NotOurs::Current
        } else if ours.tenant != theirs.tenant {
            NotOurs::OtherTenant
        } else if (&ours.store, &ours.till) != (&theirs.store, &theirs.till) {
            NotOurs::OtherTill
        } else if (ours.device, &ours.public_key) != (theirs.device, &theirs.public_key) {
            NotOurs::OtherDevice
        } else {
            return Ok(old);
        };
        Err(reason.into())
    }

    /// Sorts the events of a file by whether they are known here.
    fn compare(&self, old: &Old) -> Result<Findings, RecoverError> {
        let mut found = Findings {
            fresh: Vec::new(),
            known: 0,
            refused: old.lost,
        };
        let carried = self.opened.previous;
        let from = self.known_of(old)? + 1;
        for line in &old.lines {
            if line.seq < from || line.seq == 1 {
                found.known += 1;
                continue;
            }
            let Some((adopted, original)) = old.told(line)? else {
                found.refused += 1;
                continue;
            };
            // What it had adopted itself lies in the file that it came from, unless both streams came from that one.
            let elsewhere = original.at.stream != old.stream
                && carried.is_none_or(|head| {
                    head.stream != original.at.stream || original.at.seq <= head.seq
                });
            if elsewhere || self.knows_event(original.event.id)? {
                found.known += 1;
            } else {
                let code = old.code_of(line, &original);
                found.fresh.push(Fresh {
                    adopted,
                    original,
                    code,
                });
            }
        }
        Ok(found)
    }

    /// The last place of another file's stream that this ledger knows, by what it went on from or adopted; 0 for a
    /// stream that went on from the same one as this.
    fn known_of(&self, old: &Old) -> Result<u64, RecoverError> {
        let mut anchors: Vec<StreamHead> = self.adopted_of(old.stream)?;
        anchors.extend(
            self.opened
                .previous
                .filter(|head| head.stream == old.stream),
        );
        if anchors.is_empty() {
            let parent = |previous: Option<StreamHead>| previous.map(|head| head.stream);
            let ours = parent(self.opened.previous);
            return if ours.is_some() && ours == parent(old.opened.previous) {
                Ok(0)
            } else {
                Err(NotOurs::Unrelated.into())
            };
        }
        let mut proven = false;
        for anchor in &anchors {
            let line = |line: &&Line| line.seq == anchor.seq;
            match old.lines.iter().find(line) {
                Some(line) if line.hash != anchor.hash => return Err(NotOurs::OtherBranch.into()),
                Some(_) => proven = true,
                None => {}
            }
        }
        if !proven {
            return Err(NotOurs::OtherBranch.into());
        }
        Ok(anchors.iter().map(|anchor| anchor.seq).max().unwrap_or(0))
    }

    /// Events of a stream that were adopted here.
    fn adopted_of(&self, stream: StreamId) -> Result<Vec<StreamHead>, LedgerError> {
        let mut statement = self
            .prepare("SELECT old_seq, hash FROM adopted WHERE stream = ?1 ORDER BY old_seq, id")?;
        let rows = statement.query_map([stream.0], |row| {
            Ok(StreamHead {
                stream,
                seq: row.get(0)?,
                hash: Digest(row.get(1)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
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
