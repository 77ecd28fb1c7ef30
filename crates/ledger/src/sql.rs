//! Values in and out of columns.

use domain::event::{Event, Fact, StreamHead};
use domain::time::BusinessDate;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use uuid::Uuid;

use crate::error::LedgerError;

/// A count or sequence number; SQLite's integers are signed.
pub(crate) struct N(pub u64);

impl ToSql for N {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        i64::try_from(self.0)
            .map(ToSqlOutput::from)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
    }
}

/// A UUID as its 16 bytes.
pub(crate) struct Id(pub Uuid);

impl ToSql for Id {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.as_bytes().as_slice()))
    }
}

impl FromSql for Id {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Uuid::from_slice(value.as_blob()?)
            .map(Id)
            .map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

/// A business date as `2026-11-22`.
pub(crate) struct Day(pub BusinessDate);

impl FromSql for Day {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value
            .as_str()?
            .parse::<BusinessDate>()
            .map(Day)
            .map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

/// A row that cannot be what was written.
pub(crate) fn corrupt(table: &'static str, key: impl ToString, what: impl ToString) -> LedgerError {
    LedgerError::Corrupt {
        table,
        key: key.to_string(),
        what: what.to_string(),
    }
}

/// The envelope and the fact in stored bytes that this program wrote itself; of an adopted event its own ones.
pub(crate) fn read_fact(seq: u64, bytes: &[u8]) -> Result<(Event, Fact), LedgerError> {
    let (event, _) = read_event(seq, bytes)?;
    let fact = event.fact().map_err(|error| corrupt("event", seq, error))?;
    Ok((event, fact))
}

/// The event in stored bytes, and where it was adopted from, if it was.
pub(crate) fn read_event(
    seq: u64,
    bytes: &[u8],
) -> Result<(Event, Option<StreamHead>), LedgerError> {
    let event = Event::decode(bytes).map_err(|error| corrupt("event", seq, error))?;
    if event.kind != ADOPTED {
        return Ok((event, None));
    }
    match event.fact() {
        Ok(Fact::Adopted(adopted)) => {
            let original = adopted
                .original()
                .ok_or_else(|| corrupt("event", seq, "what it adopts is no event"))?;
            Ok((original.event, Some(original.at)))
        }
        _ => Ok((event, None)),
    }
}

/// Kind of the events that hold another one.
pub(crate) const ADOPTED: &str = "Adopted";
