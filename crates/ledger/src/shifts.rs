//! Shifts and their reports.

use domain::event::{ShiftClosed, ShiftOpened, ShiftTotals};
use domain::time::BusinessDate;

use crate::{Ledger, LedgerError};

/// A shift that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenShift {
    /// Its opening.
    pub opened: ShiftOpened,
    /// Event of the opening.
    pub opened_seq: u64,
    /// Wall clock of the opening.
    pub opened_wall: i64,
    /// Totals so far.
    pub totals: ShiftTotals,
}

impl Ledger {
    /// The open shift of `drawer`.
    pub fn open_shift(&self, drawer: u32) -> Result<Option<OpenShift>, LedgerError> {
        unimplemented!()
    }
    /// Trading day of the latest shift.
    pub fn last_business_date(&self) -> Result<Option<BusinessDate>, LedgerError> {
        unimplemented!()
    }
    /// Highest Z number.
    pub fn last_z(&self) -> Result<u64, LedgerError> {
        unimplemented!()
    }
    /// A Z report: closing, opening, wall clock of the closing.
    pub fn z_report(&self, z: u64) -> Result<Option<(ShiftClosed, ShiftOpened, i64)>, LedgerError> {
        unimplemented!()
    }
}
