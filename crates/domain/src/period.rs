//! Days, months and years: what they come to, and when they are over.

use std::collections::BTreeMap;

use crate::event::{Fact, PeriodClosed, PeriodKind, PeriodTotals, SaleBody};
use crate::money::MoneyError;
use crate::posting::postings;
use crate::shift::{SaleSums, add, add_cash_stamp, add_taxes, kept_by_kind};
use crate::time::BusinessDate;

fn add_all<K: Ord + Clone>(
    sums: &mut BTreeMap<K, i64>,
    amounts: &BTreeMap<K, i64>,
) -> Result<(), MoneyError> {
    for (key, amount) in amounts {
        add(sums.entry(key.clone()).or_insert(0), *amount)?;
    }
    Ok(())
}

impl PeriodTotals {
    /// Adds a fact; facts that move no money leave the totals as they are.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`]; the totals are then partly changed and must be thrown away.
    pub fn apply(&mut self, fact: &Fact) -> Result<(), MoneyError> {
        match fact {
            Fact::SaleCompleted(sale) => {
                self.sales += 1;
                add(&mut self.sales_minor, sale.total_minor)?;
                self.add_sale(sale)?;
            }
            Fact::Reversed(reversed) => {
                self.reversals += 1;
                add(&mut self.reversals_minor, reversed.mirror.total_minor)?;
                self.add_sale(&reversed.mirror)?;
            }
            Fact::CashMoved(moved) => add(
                self.moved_minor.entry(moved.movement).or_insert(0),
                moved.amount_minor,
            )?,
            Fact::ShiftClosed(closed) => {
                self.shifts += 1;
                add(&mut self.over_short_minor, closed.difference_minor)?;
            }
            Fact::StreamOpened(_)
            | Fact::ShiftOpened(_)
            | Fact::CartVoided(_)
            | Fact::LineVoided(_)
            | Fact::DrawerOpened(_)
            | Fact::DrawerHandedOver(_)
            | Fact::ShiftCounted(_)
            | Fact::PeriodClosed(_)
            | Fact::ClosingSupplemented(_)
            | Fact::Adopted(_)
            | Fact::Reprinted(_)
            | Fact::PinReset(_)
            | Fact::SignInBlocked(_)
            | Fact::ClockJumped(_)
            | crate::goods_facts!() => {}
        }
        for posting in postings(fact)? {
            add(
                self.accounts_minor
                    .entry(posting.account.code())
                    .or_insert(0),
                posting.amount_minor,
            )?;
        }
        Ok(())
    }

    /// Adds the totals of a shorter period.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn merge(&mut self, other: &PeriodTotals) -> Result<(), MoneyError> {
        self.sales += other.sales;
        self.reversals += other.reversals;
        self.shifts += other.shifts;
        self.units = self
            .units
            .checked_add(other.units)
            .ok_or(MoneyError::Overflow)?;
        add(&mut self.sales_minor, other.sales_minor)?;
        add(&mut self.reversals_minor, other.reversals_minor)?;
        add(&mut self.discounts_minor, other.discounts_minor)?;
        add(&mut self.rounding_minor, other.rounding_minor)?;
        add(&mut self.over_short_minor, other.over_short_minor)?;
        add_all(&mut self.levies_minor, &other.levies_minor)?;
        add_cash_stamp(&mut self.cash_stamp, &other.cash_stamp)?;
        add_all(&mut self.tenders_minor, &other.tenders_minor)?;
        add_all(&mut self.moved_minor, &other.moved_minor)?;
        add_all(&mut self.accounts_minor, &other.accounts_minor)?;
        add_taxes(&mut self.taxes, &other.taxes)
    }

    fn add_sale(&mut self, sale: &SaleBody) -> Result<(), MoneyError> {
        SaleSums {
            units: &mut self.units,
            discounts_minor: &mut self.discounts_minor,
            rounding_minor: &mut self.rounding_minor,
            levies_minor: &mut self.levies_minor,
            cash_stamp: &mut self.cash_stamp,
            taxes: &mut self.taxes,
            tenders_minor: &mut self.tenders_minor,
        }
        .add(sale, &kept_by_kind(sale)?)
    }
}

impl PeriodKind {
    /// Shortest first: a month is closed after its last day.
    pub const ALL: [PeriodKind; 3] = [PeriodKind::Day, PeriodKind::Month, PeriodKind::Year];

    /// Name of the period that `date` lies in: `2026-11-22`, `2026-11` or `2026`.
    pub fn name(self, date: BusinessDate) -> String {
        let format = match self {
            PeriodKind::Day => "%Y-%m-%d",
            PeriodKind::Month => "%Y-%m",
            PeriodKind::Year => "%Y",
        };
        date.0.format(format).to_string()
    }

    /// Whether two dates lie in the same period.
    pub fn same(self, left: BusinessDate, right: BusinessDate) -> bool {
        self.name(left) == self.name(right)
    }
}

impl PeriodClosed {
    /// Number as printed and reprinted: `D12`, `M3`, `Y1`.
    pub fn document_number(&self) -> String {
        let letter = match self.period {
            PeriodKind::Day => 'D',
            PeriodKind::Month => 'M',
            PeriodKind::Year => 'Y',
        };
        format!("{letter}{}", self.number)
    }
}
