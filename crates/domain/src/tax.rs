//! Tax inside shelf prices: one function takes it out, one splits a receipt.

use std::collections::BTreeMap;

use crate::config::{Rate, TaxRounding};
use crate::event::TaxTotal;
use crate::money::MoneyError;

/// Net and tax of an amount; they sum to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetTax {
    /// Net of tax, minor units.
    pub net_minor: i64,
    /// Tax, minor units.
    pub tax_minor: i64,
}

/// Net and tax of every line and of every rate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// Per line, in the order of the lines.
    pub lines: Vec<NetTax>,
    /// Per rate, ascending; each is the sum of its lines.
    pub per_rate: Vec<TaxTotal>,
}

/// Takes the tax out of a tax-inclusive amount: `net = total / (1 + rate)`, rounded half away from zero on
/// the magnitude, then given its sign; tax is the rest.
///
/// # Errors
/// [`MoneyError::Overflow`] when a rate has so many decimals that the exact fraction does not fit 128 bits.
///
/// # Source
/// Rounding net and not tax is what auditors recompute, and what Odoo 17 does.
pub fn extract(total_minor: i64, rate: Rate) -> Result<NetTax, MoneyError> {
    let (multiplier, divisor) = net_fraction(rate)?;
    let magnitude = i128::from(total_minor).abs();
    let scaled = magnitude
        .checked_mul(multiplier)
        .ok_or(MoneyError::Overflow)?;
    let net = div_half_up(scaled, divisor);
    let signed = if total_minor < 0 { -net } else { net };
    part(total_minor, signed)
}

/// Splits tax-inclusive line totals, each with its rate. With rounding per receipt each rate is rounded
/// once over its sum, and every line gets its exact net rounded down or up so that they add up to it.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn split(lines: &[(i64, Rate)], rounding: TaxRounding) -> Result<Split, MoneyError> {
    let parts = match rounding {
        TaxRounding::PerLine => lines
            .iter()
            .map(|(total, rate)| extract(*total, *rate))
            .collect::<Result<Vec<_>, _>>()?,
        TaxRounding::PerReceipt => shares(lines)?,
    };
    let mut sums: BTreeMap<Rate, NetTax> = BTreeMap::new();
    for ((_, rate), part) in lines.iter().zip(&parts) {
        let sum = sums.entry(*rate).or_default();
        sum.net_minor = add(sum.net_minor, part.net_minor)?;
        sum.tax_minor = add(sum.tax_minor, part.tax_minor)?;
    }
    Ok(Split {
        lines: parts,
        per_rate: sums
            .into_iter()
            .map(|(rate, sum)| TaxTotal {
                rate,
                net_minor: sum.net_minor,
                tax_minor: sum.tax_minor,
            })
            .collect(),
    })
}

fn shares(lines: &[(i64, Rate)]) -> Result<Vec<NetTax>, MoneyError> {
    let mut members: BTreeMap<Rate, Vec<usize>> = BTreeMap::new();
    for (index, (_, rate)) in lines.iter().enumerate() {
        members.entry(*rate).or_default().push(index);
    }
    let mut parts = vec![NetTax::default(); lines.len()];
    for (rate, indices) in members {
        let totals: Vec<i64> = indices.iter().map(|index| lines[*index].0).collect();
        for (index, part) in indices.into_iter().zip(shares_of_rate(&totals, rate)?) {
            parts[index] = part;
        }
    }
    Ok(parts)
}

/// Shares of the lines of one rate. Not `allocate`: a return among sales makes weights of both signs.
fn shares_of_rate(totals: &[i64], rate: Rate) -> Result<Vec<NetTax>, MoneyError> {
    let (multiplier, divisor) = net_fraction(rate)?;
    let sum = totals.iter().try_fold(0, |sum, total| add(sum, *total))?;
    let net_sum = i128::from(extract(sum, rate)?.net_minor);
    // A refund must be the mirror of its sale, so the rounding down happens on the magnitude of the sum.
    let sign = if sum < 0 { -1 } else { 1 };
    let mut floors = Vec::with_capacity(totals.len());
    let mut remainders = Vec::with_capacity(totals.len());
    for total in totals {
        let scaled = (i128::from(*total) * sign)
            .checked_mul(multiplier)
            .ok_or(MoneyError::Overflow)?;
        floors.push(scaled.div_euclid(divisor));
        remainders.push(scaled.rem_euclid(divisor));
    }
    let mut rest = net_sum * sign - floors.iter().sum::<i128>();
    let mut by_remainder: Vec<usize> = (0..totals.len()).collect();
    by_remainder.sort_by_key(|index| std::cmp::Reverse(remainders[*index]));
    for index in by_remainder {
        if rest <= 0 {
            break;
        }
        floors[index] += 1;
        rest -= 1;
    }
    totals
        .iter()
        .zip(floors)
        .map(|(total, net)| part(*total, net * sign))
        .collect()
}

/// `100 / (100 + rate)` as whole numbers.
fn net_fraction(rate: Rate) -> Result<(i128, i128), MoneyError> {
    let percent = rate.as_percent();
    let scale = 10_i128
        .checked_pow(percent.scale())
        .and_then(|scale| scale.checked_mul(100))
        .ok_or(MoneyError::Overflow)?;
    let divisor = scale
        .checked_add(percent.mantissa())
        .ok_or(MoneyError::Overflow)?;
    Ok((scale, divisor))
}

/// `dividend / divisor`, half up; both not negative, `divisor` above zero.
fn div_half_up(dividend: i128, divisor: i128) -> i128 {
    let (quotient, remainder) = (dividend / divisor, dividend % divisor);
    if remainder >= divisor - remainder {
        quotient + 1
    } else {
        quotient
    }
}

fn part(total_minor: i64, net: i128) -> Result<NetTax, MoneyError> {
    let net_minor = i64::try_from(net).map_err(|_| MoneyError::Overflow)?;
    let tax_minor = total_minor
        .checked_sub(net_minor)
        .ok_or(MoneyError::Overflow)?;
    Ok(NetTax {
        net_minor,
        tax_minor,
    })
}

fn add(left: i64, right: i64) -> Result<i64, MoneyError> {
    left.checked_add(right).ok_or(MoneyError::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        Rate::percent(text.parse().expect("decimal")).expect("rate")
    }

    #[test]
    fn tax_is_taken_out_of_the_shelf_price() {
        for (total, percent, net, tax) in [
            (119_990, "19", 100_832, 19_158), // 119.990 TND
            (59_900, "20", 49_917, 9_983),    // 599.00 MAD
            (100, "19", 84, 16),              // 0.100 TND
            (1_000, "19", 840, 160),
            (100, "20", 83, 17),
            (-119_990, "19", -100_832, -19_158),
            (105, "5", 100, 5),
            (1_055, "5.5", 1_000, 55),
            (3, "100", 2, 1), // 1.5 rounds away from zero
            (-3, "100", -2, -1),
            (12_345, "0", 12_345, 0),
            (0, "19", 0, 0),
            (i64::MAX, "0", i64::MAX, 0),
            (i64::MIN, "0", i64::MIN, 0),
            (i64::MIN, "100", i64::MIN / 2, i64::MIN / 2),
        ] {
            let found = extract(total, rate(percent)).expect("fits");
            assert_eq!(
                (found.net_minor, found.tax_minor),
                (net, tax),
                "{total} at {percent} %"
            );
        }
    }

    #[test]
    fn a_rate_with_absurd_decimals_is_an_error_and_no_panic() {
        let absurd = rate("19.0000000000000000000000001");
        assert_eq!(extract(i64::MAX, absurd), Err(MoneyError::Overflow));
    }

    #[test]
    fn rounding_per_line_and_per_receipt_differ_and_both_add_up() {
        for (totals, percent, rounding, tax) in [
            ([1_000; 3], "19", TaxRounding::PerLine, 480),
            ([1_000; 3], "19", TaxRounding::PerReceipt, 479),
            ([100; 3], "20", TaxRounding::PerLine, 51),
            ([100; 3], "20", TaxRounding::PerReceipt, 50),
            ([-1_000; 3], "19", TaxRounding::PerReceipt, -479),
            ([1_000, -1_000, 1_000], "19", TaxRounding::PerReceipt, 160),
        ] {
            let lines: Vec<_> = totals.iter().map(|total| (*total, rate(percent))).collect();
            let split = split(&lines, rounding).expect("fits");
            assert_eq!(split.per_rate.len(), 1);
            assert_eq!(
                split.per_rate[0].tax_minor, tax,
                "{totals:?} {percent} {rounding:?}"
            );
            let sum: i64 = split.lines.iter().map(|line| line.tax_minor).sum();
            assert_eq!(sum, tax);
            for (line, total) in split.lines.iter().zip(totals) {
                assert_eq!(line.net_minor + line.tax_minor, total);
            }
        }
    }

    #[test]
    fn rates_come_in_ascending_order() {
        let lines = [
            (1_190, rate("19")),
            (1_070, rate("7")),
            (500, rate("0")),
            (2_380, rate("19")),
        ];
        for rounding in [TaxRounding::PerLine, TaxRounding::PerReceipt] {
            let rows: Vec<_> = split(&lines, rounding)
                .expect("fits")
                .per_rate
                .iter()
                .map(|row| (row.rate.to_string(), row.net_minor, row.tax_minor))
                .collect();
            assert_eq!(
                rows,
                [
                    ("0".to_owned(), 500, 0),
                    ("7".to_owned(), 1_000, 70),
                    ("19".to_owned(), 3_000, 570)
                ]
            );
        }
    }

    #[test]
    fn sums_that_do_not_fit_are_errors() {
        let lines = [(i64::MAX, rate("0")), (1, rate("0"))];
        for rounding in [TaxRounding::PerLine, TaxRounding::PerReceipt] {
            assert_eq!(split(&lines, rounding), Err(MoneyError::Overflow));
        }
    }
}
