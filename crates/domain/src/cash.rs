//! Notes and coins: counting a drawer, rounding the cash leg, and what shoppers are likely to hand over.

use std::collections::BTreeSet;

use crate::config::{CashRounding, RoundingMode};
use crate::event::CashCount;
use crate::money::{Currency, MINOR_MAX};

/// Why a count cannot be summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CountError {
    /// There is no such coin or note.
    #[error("there is no piece of {denomination_minor}")]
    UnknownDenomination {
        /// Denomination in minor units.
        denomination_minor: i64,
    },
    /// Fewer than no pieces.
    #[error("a negative number of pieces of {denomination_minor}")]
    NegativePieces {
        /// Denomination in minor units.
        denomination_minor: i64,
    },
    /// The sum does not fit.
    #[error("the count overflows")]
    Overflow,
}

/// What a count of `denominations` comes to, in minor units.
///
/// # Errors
/// [`CountError`], with the first denomination that is wrong.
pub fn count_total(count: &CashCount, denominations: &[i64]) -> Result<i64, CountError> {
    let mut total = 0_i64;
    for (denomination_minor, pieces) in count {
        if !denominations.contains(denomination_minor) {
            return Err(CountError::UnknownDenomination {
                denomination_minor: *denomination_minor,
            });
        }
        if *pieces < 0 {
            return Err(CountError::NegativePieces {
                denomination_minor: *denomination_minor,
            });
        }
        let sum = denomination_minor
            .checked_mul(*pieces)
            .and_then(|amount| total.checked_add(amount));
        total = sum.ok_or(CountError::Overflow)?;
    }
    Ok(total)
}

/// What to bank of a counted drawer so that at least `float_minor` stays in it: the largest pieces go, small ones
/// stay for change. Nothing when less than the float is there.
pub fn suggest_deposit(count: &CashCount, float_minor: i64) -> CashCount {
    let held = count.iter().map(|(denomination_minor, pieces)| {
        i128::from(*denomination_minor) * i128::from((*pieces).max(0))
    });
    let mut spare = held.sum::<i128>() - i128::from(float_minor.max(0));
    let mut deposit = CashCount::new();
    for (denomination_minor, pieces) in count.iter().rev() {
        if *denomination_minor <= 0 || spare <= 0 {
            continue;
        }
        let fits = i64::try_from(spare / i128::from(*denomination_minor)).unwrap_or(i64::MAX);
        let banked = fits.min(*pieces);
        if banked > 0 {
            spare -= i128::from(banked) * i128::from(*denomination_minor);
            deposit.insert(*denomination_minor, banked);
        }
    }
    deposit
}

/// `minor` rounded to a multiple of the unit, the way the mode says; unchanged without rounding.
pub fn round_cash(minor: i64, rounding: Option<CashRounding>) -> i64 {
    let Some(CashRounding { unit_minor, mode }) = rounding.filter(|to| to.unit_minor > 1) else {
        return minor;
    };
    let (magnitude, unit) = (i128::from(minor).abs(), i128::from(unit_minor));
    let lift = match mode {
        RoundingMode::HalfUp => unit / 2,
        RoundingMode::Down => 0,
    };
    let rounded = (magnitude + lift) / unit * unit;
    let signed = if minor < 0 { -rounded } else { rounded };
    i64::try_from(signed).unwrap_or(minor)
}

/// Up to four amounts above `due_minor` that a shopper is likely to hand over in `denominations`, ascending: the
/// next multiple of each note, and of the larger coins where notes give fewer than three. One of them may be the
/// only one: no amount is listed from which a piece could be kept back.
pub fn quick_cash(due_minor: i64, currency: Currency, denominations: &[i64]) -> Vec<i64> {
    if due_minor <= 0 || due_minor > MINOR_MAX / 2 {
        return Vec::new();
    }
    let note_min = match currency {
        Currency::Tnd => 5_000,
        Currency::Mad => 2_000,
        Currency::Eur => 500,
    };
    let amount_max = due_minor.saturating_mul(4).max(note_min * 2);
    let multiples = |piece_min| multiples_above(due_minor, piece_min, amount_max, denominations);
    let notes = multiples(note_min);
    if notes.len() >= 3 {
        return notes.into_iter().take(4).collect();
    }
    let with_coins = multiples(note_min / 5);
    with_coins.into_iter().take(4).collect()
}

/// The next multiple above `due_minor` of each piece from `piece_min` on, up to `amount_max`.
fn multiples_above(
    due_minor: i64,
    piece_min: i64,
    amount_max: i64,
    denominations: &[i64],
) -> BTreeSet<i64> {
    denominations
        .iter()
        .filter(|piece| **piece >= piece_min)
        .map(|piece| (due_minor / piece + 1) * piece)
        .filter(|amount| *amount <= amount_max)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawer_is_summed_by_denomination() {
        let count = CashCount::from([(20_000, 2), (500, 3), (100, 1)]);
        let pieces = Currency::Tnd.denominations_minor();
        assert_eq!(count_total(&count, pieces), Ok(41_600));
        let unknown = CashCount::from([(3_000, 1)]);
        let error = CountError::UnknownDenomination {
            denomination_minor: 3_000,
        };
        assert_eq!(count_total(&unknown, pieces), Err(error));
        let negative = CashCount::from([(500, -1)]);
        assert_eq!(
            count_total(&negative, pieces),
            Err(CountError::NegativePieces {
                denomination_minor: 500
            })
        );
        let huge = CashCount::from([(500, i64::MAX)]);
        assert_eq!(count_total(&huge, pieces), Err(CountError::Overflow));
    }

    #[test]
    fn a_deposit_leaves_the_float_in_small_pieces() {
        let count = CashCount::from([(500, 10), (1_000, 20), (10_000, 3), (50_000, 2)]);
        for (float_minor, deposit) in [
            (50_000, &[(1_000, 5), (50_000, 2)][..]),
            (100_000, &[(1_000, 5), (50_000, 1)]),
            (0, &[(500, 10), (1_000, 20), (10_000, 3), (50_000, 2)]),
            (-5, &[(500, 10), (1_000, 20), (10_000, 3), (50_000, 2)]),
            (i64::MAX, &[]),
            (155_000, &[]),
            (154_400, &[(500, 1)]),
        ] {
            let wanted: CashCount = deposit.iter().copied().collect();
            assert_eq!(
                suggest_deposit(&count, float_minor),
                wanted,
                "{float_minor}"
            );
        }
    }

    #[test]
    fn cash_rounds_to_the_unit_half_away_from_zero() {
        let unit = |unit_minor| {
            let mode = RoundingMode::HalfUp;
            Some(CashRounding { unit_minor, mode })
        };
        for (minor, rounding, rounded) in [
            (119_990, unit(50), 120_000),
            (119_974, unit(50), 119_950),
            (119_975, unit(50), 120_000),
            (-119_975, unit(50), -120_000),
            (1_234, None, 1_234),
            (i64::MAX, unit(50), 9_223_372_036_854_775_800),
        ] {
            assert_eq!(round_cash(minor, rounding), rounded, "{minor}");
        }
    }

    #[test]
    fn cash_rounded_down_never_costs_the_shopper_more() {
        let down = |unit_minor| {
            let mode = RoundingMode::Down;
            Some(CashRounding { unit_minor, mode })
        };
        for (minor, rounding, rounded) in [
            (119_990, down(50), 119_950),
            (119_999, down(50), 119_950),
            (120_000, down(50), 120_000),
            (59_909, down(10), 59_900),
            (-119_990, down(50), -119_950),
            (49, down(50), 0),
            (i64::MIN, down(10), -9_223_372_036_854_775_800),
        ] {
            assert_eq!(round_cash(minor, rounding), rounded, "{minor}");
        }
    }

    #[test]
    fn quick_amounts_are_notes_above_what_is_due() {
        for (due, currency, amounts) in [
            (37_500, Currency::Tnd, &[38_000, 40_000, 50_000][..]),
            (
                163_450,
                Currency::Tnd,
                &[165_000, 170_000, 180_000, 200_000],
            ),
            (50_000, Currency::Tnd, &[55_000, 60_000, 100_000]),
            (300, Currency::Tnd, &[1_000, 2_000, 5_000, 10_000]),
            (59_900, Currency::Mad, &[60_000]),
            (12_300, Currency::Mad, &[14_000, 15_000, 20_000]),
        ] {
            let found = quick_cash(due, currency, currency.denominations_minor());
            assert_eq!(found, amounts, "{due} {currency}");
        }
        let tnd = Currency::Tnd.denominations_minor();
        assert!(quick_cash(0, Currency::Tnd, tnd).is_empty());
        let without_twenty: Vec<i64> = tnd
            .iter()
            .copied()
            .filter(|piece| *piece != 20_000)
            .collect();
        assert_eq!(
            quick_cash(50_000, Currency::Tnd, &without_twenty),
            [55_000, 60_000, 100_000]
        );
        for due in [1, 999, 1_000, 49_999, 50_000, 123_456] {
            for currency in Currency::ALL {
                let amounts = quick_cash(due, currency, currency.denominations_minor());
                assert!(
                    amounts.iter().all(|amount| *amount > due) && amounts.is_sorted(),
                    "{due} {currency}"
                );
            }
        }
    }
}
