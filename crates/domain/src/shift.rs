//! What a shift comes to: a fold over its facts, the same on till and server.

use std::collections::BTreeMap;

use crate::event::{
    CashMoved, CashMovement, Fact, SaleBody, ShiftOpened, ShiftTotals, TaxTotal, TenderKind,
};
use crate::money::MoneyError;
use crate::quantity::Quantity;

pub(crate) fn add(sum: &mut i64, amount: i64) -> Result<(), MoneyError> {
    *sum = sum.checked_add(amount).ok_or(MoneyError::Overflow)?;
    Ok(())
}

impl ShiftTotals {
    /// Totals of a shift that has just been opened.
    pub fn open(opened: &ShiftOpened) -> ShiftTotals {
        ShiftTotals {
            float_minor: opened.float_minor,
            expected_minor: opened.float_minor,
            ..ShiftTotals::default()
        }
    }

    /// Adds a fact of the shift; facts that move nothing leave the totals as they are.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`]; the totals are then partly changed and must be thrown away.
    pub fn apply(&mut self, fact: &Fact) -> Result<(), MoneyError> {
        match fact {
            Fact::SaleCompleted(sale) => {
                self.sales += 1;
                self.add_sale(sale)
            }
            Fact::Reversed(reversed) => {
                self.reversals += 1;
                self.add_sale(&reversed.mirror)
            }
            Fact::LineVoided(_) => {
                self.voided_lines += 1;
                Ok(())
            }
            Fact::CartVoided(_) => {
                self.voided_carts += 1;
                Ok(())
            }
            Fact::CashMoved(moved) => {
                add(
                    self.moved_minor.entry(moved.movement).or_insert(0),
                    moved.amount_minor,
                )?;
                add(&mut self.expected_minor, moved.signed_minor()?)
            }
            Fact::DrawerOpened(opened) => {
                // Openings from before there were slips stand in no report.
                self.no_sales += u64::from(opened.slip.is_some());
                Ok(())
            }
            Fact::DrawerHandedOver(_) => {
                self.hand_overs += 1;
                Ok(())
            }
            Fact::ShiftCounted(_) => {
                self.counts += 1;
                Ok(())
            }
            Fact::StreamOpened(_)
            | Fact::ShiftOpened(_)
            | Fact::ShiftClosed(_)
            | Fact::PeriodClosed(_)
            | Fact::ClosingSupplemented(_)
            | Fact::Adopted(_)
            | Fact::Reprinted(_)
            | Fact::PinReset(_)
            | Fact::SignInBlocked(_)
            | Fact::ClockJumped(_)
            | Fact::StockCounted(_) => Ok(()),
        }
    }

    fn add_sale(&mut self, sale: &SaleBody) -> Result<(), MoneyError> {
        for line in &sale.lines {
            self.units = self
                .units
                .checked_add(line.quantity)
                .ok_or(MoneyError::Overflow)?;
            add(&mut self.discounts_minor, line.discount_minor)?;
            add(&mut self.discounts_minor, line.cart_discount_minor)?;
        }
        add(&mut self.takings_minor, sale.total_minor)?;
        add(&mut self.rounding_minor, sale.rounding_minor)?;
        for levy in &sale.levies {
            add(
                self.levies_minor.entry(levy.code.clone()).or_insert(0),
                levy.minor,
            )?;
        }
        add_taxes(&mut self.taxes, &sale.taxes)?;
        for (kind, kept) in kept_by_kind(sale)? {
            add(self.tenders_minor.entry(kind).or_insert(0), kept)?;
            if kind == TenderKind::Cash {
                add(&mut self.expected_minor, kept)?;
            }
        }
        Ok(())
    }
}

impl CashMoved {
    /// What the movement adds to the drawer, in minor units.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn signed_minor(&self) -> Result<i64, MoneyError> {
        match self.movement {
            CashMovement::PayIn => Ok(self.amount_minor),
            CashMovement::PayOut | CashMovement::Drop => {
                self.amount_minor.checked_neg().ok_or(MoneyError::Overflow)
            }
        }
    }
}

/// Adds net and tax per rate, keeping the rates ascending.
pub(crate) fn add_taxes(sums: &mut Vec<TaxTotal>, taxes: &[TaxTotal]) -> Result<(), MoneyError> {
    for tax in taxes {
        let place = sums.binary_search_by_key(&tax.rate, |sum| sum.rate);
        let index = place.unwrap_or_else(|index| {
            sums.insert(
                index,
                TaxTotal {
                    rate: tax.rate,
                    net_minor: 0,
                    tax_minor: 0,
                },
            );
            index
        });
        add(&mut sums[index].net_minor, tax.net_minor)?;
        add(&mut sums[index].tax_minor, tax.tax_minor)?;
    }
    Ok(())
}

/// Money kept per kind of tender: for cash, tendered minus change.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn kept_by_kind(sale: &SaleBody) -> Result<BTreeMap<TenderKind, i64>, MoneyError> {
    let mut kept = BTreeMap::new();
    for tender in &sale.tenders {
        add(kept.entry(tender.kind).or_insert(0), tender.amount_minor)?;
    }
    if sale.change_minor != 0 {
        let change = sale
            .change_minor
            .checked_neg()
            .ok_or(MoneyError::Overflow)?;
        add(kept.entry(TenderKind::Cash).or_insert(0), change)?;
    }
    Ok(kept)
}

/// Units that a sale moves out of the store, reversals counting back.
pub fn units_of(sale: &SaleBody) -> Quantity {
    Quantity(
        sale.lines
            .iter()
            .fold(0_i64, |sum, line| sum.saturating_add(line.quantity.0)),
    )
}
