//! Stock as this till knows it.

use domain::ids::{LocationId, VariantId};
use domain::quantity::Quantity;

use crate::{Ledger, LedgerError};

/// What this till knows of a variant's stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockKnown {
    /// The server's quantity and our own movements after it.
    pub quantity: Quantity,
    /// Wall clock of this device when the location was last read to its end; none if never.
    pub synced_wall: Option<i64>,
}

impl Ledger {
    /// Stock of `variant` at `location`; none where this till knows nothing.
    pub fn stock(
        &self,
        variant: VariantId,
        location: &LocationId,
    ) -> Result<Option<StockKnown>, LedgerError> {
        unimplemented!()
    }
}
