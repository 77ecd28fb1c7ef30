//! Receipts: sales and reversals by number.

use domain::event::{Reversed, SaleBody};
use domain::ids::{SaleId, ShiftId};

use crate::{Ledger, LedgerError};

/// What a receipt is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiptBody {
    /// A sale.
    Sale(SaleBody),
    /// The undoing of one.
    Reversal(Reversed),
}

/// A numbered receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Number as printed.
    pub number: String,
    /// Event.
    pub seq: u64,
    /// Wall clock.
    pub wall: i64,
    /// Shift.
    pub shift: ShiftId,
    /// The sale or reversal.
    pub body: ReceiptBody,
    /// Number of the receipt that undid it.
    pub reversed_by: Option<String>,
    /// Copies printed.
    pub copies: u32,
}

impl Ledger {
    /// The next sequence number in `fiscal_year`.
    pub fn next_number(&self, fiscal_year: i32) -> Result<u64, LedgerError> {
        unimplemented!()
    }
    /// The receipt with `number`.
    pub fn receipt(&self, number: &str) -> Result<Option<Receipt>, LedgerError> {
        unimplemented!()
    }
    /// The latest receipt.
    pub fn last_receipt(&self) -> Result<Option<Receipt>, LedgerError> {
        unimplemented!()
    }
    /// Receipts whose number contains `query`, newest first.
    pub fn receipts(&self, query: &str, limit: u32) -> Result<Vec<Receipt>, LedgerError> {
        unimplemented!()
    }
    /// The receipt of `sale`.
    pub fn sale(&self, sale: SaleId) -> Result<Option<Receipt>, LedgerError> {
        unimplemented!()
    }
    /// Copies printed of the receipt or report with `number`.
    pub fn copies(&self, number: &str) -> Result<u32, LedgerError> {
        unimplemented!()
    }
    /// Sum of all receipts ever; never resets.
    pub fn perpetual_minor(&self) -> Result<i64, LedgerError> {
        unimplemented!()
    }
}
