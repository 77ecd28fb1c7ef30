//! Tax inside shelf prices: one function takes it out, one splits a receipt.

use std::collections::BTreeMap;

use rust_decimal::{Decimal, RoundingStrategy};

use crate::config::{Rate, TaxRounding};
use crate::event::TaxTotal;
use crate::money::{MoneyError, allocate};

/// Net and tax of an amount; they sum to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetTax {
    /// Net, minor units.
    pub net_minor: i64,
    /// Tax, minor units.
    pub tax_minor: i64,
}

/// Takes the tax out of a tax-inclusive amount: `net = total / (1 + rate)`, rounded half away from zero on
/// the magnitude; tax is the rest, so that both always sum to the total.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn extract(total_minor: i64, rate: Rate) -> Result<NetTax, MoneyError> {
    let magnitude = Decimal::from(total_minor.unsigned_abs());
    let gross_percent = Decimal::ONE_HUNDRED + rate.as_percent();
    let scaled = magnitude.checked_mul(Decimal::ONE_HUNDRED).ok_or(MoneyError::Overflow)?;
    let net = scaled.checked_div(gross_percent).ok_or(MoneyError::Overflow)?;
    let net = net.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero);
    let net = i64::try_from(net).map_err(|_| MoneyError::Overflow)?;
    let net_minor = if total_minor < 0 { -net } else { net };
    let tax_minor = total_minor.checked_sub(net_minor).ok_or(MoneyError::Overflow)?;
    Ok(NetTax { net_minor, tax_minor })
}

/// Net and tax of every line and of every rate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// Per line, in the order of the lines.
    pub lines: Vec<NetTax>,
    /// Per rate, ascending.
    pub per_rate: Vec<TaxTotal>,
}

/// Splits tax-inclusive line totals. With rounding per receipt, each rate is rounded once over its sum and
/// the lines get shares that add up to it.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn split(lines: &[(i64, Rate)], rounding: TaxRounding) -> Result<Split, MoneyError> {
    match rounding {
        TaxRounding::PerLine => per_line(lines),
        TaxRounding::PerReceipt => per_receipt(lines),
    }
}

fn per_line(lines: &[(i64, Rate)]) -> Result<Split, MoneyError> {
    let mut split = Split::default();
    let mut sums: BTreeMap<Rate, NetTax> = BTreeMap::new();
    for (total, rate) in lines {
        let part = extract(*total, *rate)?;
        add(sums.entry(*rate).or_insert(NetTax { net_minor: 0, tax_minor: 0 }), part)?;
        split.lines.push(part);
    }
    split.per_rate = totals(sums);
    Ok(split)
}

fn per_receipt(lines: &[(i64, Rate)]) -> Result<Split, MoneyError> {
    let mut groups: BTreeMap<Rate, (i64, Vec<usize>)> = BTreeMap::new();
    for (index, (total, rate)) in lines.iter().enumerate() {
        let group = groups.entry(*rate).or_default();
        group.0 = group.0.checked_add(*total).ok_or(MoneyError::Overflow)?;
        group.1.push(index);
    }
    let mut split = Split { lines: vec![NetTax { net_minor: 0, tax_minor: 0 }; lines.len()], per_rate: Vec::new() };
    let mut sums = BTreeMap::new();
    for (rate, (total, members)) in groups {
        let sum = extract(total, rate)?;
        let mut exact = 0_i64;
        for index in &members {
            let part = extract(lines[*index].0, rate)?;
            exact = exact.checked_add(part.tax_minor).ok_or(MoneyError::Overflow)?;
            split.lines[*index] = part;
        }
        // Lines keep their own rounding, and the few units of difference go to the largest of them.
        let difference = sum.tax_minor.checked_sub(exact).ok_or(MoneyError::Overflow)?;
        let weights: Vec<i64> = members.iter().map(|index| lines[*index].0.saturating_abs()).collect();
        for (index, share) in members.iter().zip(allocate(difference, &weights)) {
            let line = &mut split.lines[*index];
            line.tax_minor = line.tax_minor.checked_add(share).ok_or(MoneyError::Overflow)?;
            line.net_minor = line.net_minor.checked_sub(share).ok_or(MoneyError::Overflow)?;
        }
        sums.insert(rate, sum);
    }
    split.per_rate = totals(sums);
    Ok(split)
}

fn add(sum: &mut NetTax, part: NetTax) -> Result<(), MoneyError> {
    sum.net_minor = sum.net_minor.checked_add(part.net_minor).ok_or(MoneyError::Overflow)?;
    sum.tax_minor = sum.tax_minor.checked_add(part.tax_minor).ok_or(MoneyError::Overflow)?;
    Ok(())
}

fn totals(sums: BTreeMap<Rate, NetTax>) -> Vec<TaxTotal> {
    sums.into_iter()
        .map(|(rate, sum)| TaxTotal { rate, net_minor: sum.net_minor, tax_minor: sum.tax_minor })
        .collect()
}
