//! Shifts and their reports.

use domain::event::{Fact, ShiftClosed, ShiftOpened, ShiftTotals};
use domain::ids::UserId;
use domain::time::BusinessDate;
use rusqlite::OptionalExtension as _;

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::sql::{Day, N, corrupt, read_fact};

/// A shift that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenShift {
    /// Its opening.
    pub opened: ShiftOpened,
    /// Sequence number of the opening.
    pub opened_seq: u64,
    /// Wall clock of the opening.
    pub opened_wall: i64,
    /// Who answers for the drawer: who opened it, or the last one it was handed to.
    pub holder: UserId,
    /// Totals so far: the X report.
    pub totals: ShiftTotals,
}

impl Ledger {
    /// The open shift of `drawer`.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Corrupt`].
    pub fn open_shift(&self, drawer: u32) -> Result<Option<OpenShift>, LedgerError> {
        let open = self.with_books(|books| {
            let mut shifts = books.open.iter();
            shifts
                .find(|(_, open)| open.drawer == drawer)
                .map(|(seq, open)| (*seq, open.holder, open.totals.clone()))
        })?;
        open.map(|(seq, holder, totals)| self.read_open_shift(seq, holder, totals))
            .transpose()
    }

    /// Every open shift, in the order of their drawers.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Corrupt`].
    pub fn open_shifts(&self) -> Result<Vec<OpenShift>, LedgerError> {
        let mut open = self.with_books(|books| {
            let shifts = books.open.iter();
            shifts
                .map(|(seq, open)| (open.drawer, *seq, open.holder, open.totals.clone()))
                .collect::<Vec<_>>()
        })?;
        open.sort_by_key(|(drawer, ..)| *drawer);
        open.into_iter()
            .map(|(_, seq, holder, totals)| self.read_open_shift(seq, holder, totals))
            .collect()
    }

    fn read_open_shift(
        &self,
        opened_seq: u64,
        holder: UserId,
        totals: ShiftTotals,
    ) -> Result<OpenShift, LedgerError> {
        let bytes: Vec<u8> = self
            .prepare("SELECT bytes FROM event WHERE seq = ?1")?
            .query_row([N(opened_seq)], |row| row.get(0))?;
        let (opened, opened_wall) = read_opening(opened_seq, &bytes)?;
        Ok(OpenShift {
            opened,
            opened_seq,
            opened_wall,
            holder,
            totals,
        })
    }

    /// Numbers of up to `limit` Z reports on this stream, newest first.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn z_numbers(&self, limit: u32) -> Result<Vec<u64>, LedgerError> {
        let mut statement = self.prepare(
            "SELECT z_number FROM shift WHERE z_number IS NOT NULL ORDER BY z_number DESC LIMIT ?1",
        )?;
        let rows = statement.query_map([limit], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The sequence that the next cash slip of `fiscal_year` must have.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn next_slip(&self, fiscal_year: i32) -> Result<u64, LedgerError> {
        let last: u64 = self
            .prepare(
                "SELECT coalesce(max(number_seq), 0) FROM slip WHERE series = ?1 AND fiscal_year = ?2",
            )?
            .query_row((self.identity().stream.series(), fiscal_year), |row| {
                row.get(0)
            })?;
        last.checked_add(1).ok_or(LedgerError::Overflow)
    }

    /// Trading day of the shift that was opened last.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn last_business_date(&self) -> Result<Option<BusinessDate>, LedgerError> {
        Ok(self
            .prepare("SELECT business_date FROM shift ORDER BY opened_seq DESC LIMIT 1")?
            .query_row([], |row| row.get(0).map(|Day(day)| day))
            .optional()?)
    }

    /// The highest Z number, that of an earlier stream included; 0 before the first.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn last_z(&self) -> Result<u64, LedgerError> {
        let last: Option<u64> = self
            .prepare("SELECT max(z_number) FROM shift WHERE z_number IS NOT NULL")?
            .query_row([], |row| row.get(0))?;
        Ok(last.unwrap_or(self.opened.z_number))
    }

    /// A Z report: the closing, the opening of the shift, and the wall clock of the closing.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Corrupt`].
    pub fn z_report(&self, z: u64) -> Result<Option<(ShiftClosed, ShiftOpened, i64)>, LedgerError> {
        if i64::try_from(z).is_err() {
            return Ok(None);
        }
        let found: Option<ClosingRow> = self
            .prepare(
                "SELECT c.seq, c.bytes, o.seq, o.bytes FROM shift s \
                 JOIN event c ON c.seq = s.closed_seq JOIN event o ON o.seq = s.opened_seq WHERE s.z_number = ?1",
            )?
            .query_row([N(z)], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        let Some((closed_seq, closing, opened_seq, opening)) = found else {
            return Ok(None);
        };
        match read_fact(closed_seq, &closing)? {
            (event, Fact::ShiftClosed(closed)) => {
                let (opened, _) = read_opening(opened_seq, &opening)?;
                Ok(Some((closed, opened, event.wall)))
            }
            (_, other) => Err(corrupt("shift", closed_seq, other.kind())),
        }
    }
}

/// Closing event and its bytes; opening event and its bytes.
type ClosingRow = (u64, Vec<u8>, u64, Vec<u8>);

/// The opening of a shift, and the wall clock then.
fn read_opening(seq: u64, bytes: &[u8]) -> Result<(ShiftOpened, i64), LedgerError> {
    match read_fact(seq, bytes)? {
        (event, Fact::ShiftOpened(opened)) => Ok((opened, event.wall)),
        (_, other) => Err(corrupt("shift", seq, other.kind())),
    }
}
