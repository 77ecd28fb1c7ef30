//! What head office sent, as a till asks for it: items, prices, configuration, staff.

use domain::catalog::{Style, Variant};
use domain::config::{DeviceRecord, StaffMember, StoreConfig};
use domain::ids::{DeviceId, UserId, VariantId};
use domain::time::BusinessDate;

use crate::{Ledger, LedgerError};

/// A sellable item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Variant.
    pub variant: Variant,
    /// Its style.
    pub style: Style,
}

impl Ledger {
    /// Configuration of the store.
    pub fn store_config(&self) -> Result<Option<StoreConfig>, LedgerError> {
        unimplemented!()
    }
    /// All staff, by name.
    pub fn staff(&self) -> Result<Vec<StaffMember>, LedgerError> {
        unimplemented!()
    }
    /// One member of staff.
    pub fn staff_member(&self, user: UserId) -> Result<Option<StaffMember>, LedgerError> {
        unimplemented!()
    }
    /// A device of the chain.
    pub fn device_record(&self, device: DeviceId) -> Result<Option<DeviceRecord>, LedgerError> {
        unimplemented!()
    }
    /// The item with a GTIN of any length, else with the SKU.
    pub fn find_code(&self, code: &str) -> Result<Option<Item>, LedgerError> {
        unimplemented!()
    }
    /// One item.
    pub fn item(&self, variant: VariantId) -> Result<Option<Item>, LedgerError> {
        unimplemented!()
    }
    /// Items that match every word of `query`; one more than `limit` when there are more.
    pub fn search(&self, query: &str, offset: u32, limit: u32) -> Result<Vec<Item>, LedgerError> {
        unimplemented!()
    }
    /// Unit price on `date` in the store's price list.
    pub fn price(
        &self,
        variant: VariantId,
        date: BusinessDate,
    ) -> Result<Option<i64>, LedgerError> {
        unimplemented!()
    }
    /// Version of the store's price list.
    pub fn price_version(&self) -> Result<u64, LedgerError> {
        unimplemented!()
    }
    /// Variants known.
    pub fn variant_count(&self) -> Result<u32, LedgerError> {
        unimplemented!()
    }
}
