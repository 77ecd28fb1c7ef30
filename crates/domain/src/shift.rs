//! What a shift comes to: a fold over its facts, the same on till and server.

use std::collections::BTreeMap;

use crate::event::{
    CashMoved, CashMovement, CashStamp, Fact, SaleBody, ShiftOpened, ShiftTotals, TaxTotal,
    TenderKind,
};
use crate::money::MoneyError;
use crate::quantity::Quantity;

/// A whole in hundredths of a percent.
const WHOLE_BP: i64 = 10_000;

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
            | crate::goods_facts!() => Ok(()),
        }
    }

    fn add_sale(&mut self, sale: &SaleBody) -> Result<(), MoneyError> {
        add(&mut self.takings_minor, sale.total_minor)?;
        let kept = kept_by_kind(sale)?;
        if let Some(cash) = kept.get(&TenderKind::Cash) {
            add(&mut self.expected_minor, *cash)?;
        }
        SaleSums {
            units: &mut self.units,
            discounts_minor: &mut self.discounts_minor,
            rounding_minor: &mut self.rounding_minor,
            levies_minor: &mut self.levies_minor,
            cash_stamp: &mut self.cash_stamp,
            taxes: &mut self.taxes,
            tenders_minor: &mut self.tenders_minor,
        }
        .add(sale, &kept)
    }
}

/// The sums that every sale goes into, wherever they are kept: a shift's and a period's must not drift apart.
pub(crate) struct SaleSums<'a> {
    pub units: &'a mut Quantity,
    pub discounts_minor: &'a mut i64,
    pub rounding_minor: &'a mut i64,
    pub levies_minor: &'a mut BTreeMap<String, i64>,
    pub cash_stamp: &'a mut Vec<CashStamp>,
    pub taxes: &'a mut Vec<TaxTotal>,
    pub tenders_minor: &'a mut BTreeMap<TenderKind, i64>,
}

impl SaleSums<'_> {
    /// Adds a sale, or the mirror of one, of which `kept` was kept per kind of tender.
    pub fn add(self, sale: &SaleBody, kept: &BTreeMap<TenderKind, i64>) -> Result<(), MoneyError> {
        for line in &sale.lines {
            *self.units = self
                .units
                .checked_add(line.quantity)
                .ok_or(MoneyError::Overflow)?;
            add(self.discounts_minor, line.discount_minor)?;
            add(self.discounts_minor, line.cart_discount_minor)?;
        }
        add(self.rounding_minor, sale.rounding_minor)?;
        for levy in &sale.levies {
            add(
                self.levies_minor.entry(levy.code.clone()).or_insert(0),
                levy.minor,
            )?;
        }
        add_cash_stamp(self.cash_stamp, &cash_stamp_of(sale)?)?;
        for (kind, minor) in kept {
            add(self.tenders_minor.entry(*kind).or_insert(0), *minor)?;
        }
        add_taxes(self.taxes, &sale.taxes)
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

/// The stamp duty that a sale adds to what is declared, if it is one that kept cash under a rate.
///
/// # Errors
/// [`MoneyError::Overflow`].
fn cash_stamp_of(sale: &SaleBody) -> Result<Vec<CashStamp>, MoneyError> {
    let kept = kept_by_kind(sale)?.get(&TenderKind::Cash).copied();
    let (Some(rate_bp), Some(base_minor)) = (sale.cash_stamp_bp, kept.filter(|kept| *kept > 0))
    else {
        return Ok(Vec::new());
    };
    Ok(vec![CashStamp {
        rate_bp,
        count: 1,
        base_minor,
        duty_minor: 0,
    }])
}

/// Adds receipts and bases per rate, keeping the rates ascending, and computes the duty anew: the sum of rounded
/// duties is not the duty on the sum.
pub(crate) fn add_cash_stamp(
    sums: &mut Vec<CashStamp>,
    stamps: &[CashStamp],
) -> Result<(), MoneyError> {
    for stamp in stamps {
        let place = sums.binary_search_by_key(&stamp.rate_bp, |sum| sum.rate_bp);
        let index = place.unwrap_or_else(|index| {
            sums.insert(
                index,
                CashStamp {
                    rate_bp: stamp.rate_bp,
                    count: 0,
                    base_minor: 0,
                    duty_minor: 0,
                },
            );
            index
        });
        let sum = &mut sums[index];
        sum.count += stamp.count;
        add(&mut sum.base_minor, stamp.base_minor)?;
        let scaled = i128::from(sum.base_minor) * i128::from(sum.rate_bp);
        let duty = (scaled + i128::from(WHOLE_BP) / 2) / i128::from(WHOLE_BP);
        sum.duty_minor = i64::try_from(duty).map_err(|_| MoneyError::Overflow)?;
    }
    Ok(())
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
