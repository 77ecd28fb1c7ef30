//! Amounts of money: integer minor units of a named currency, checked arithmetic, fixed text format.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A currency the shop trades in.
///
/// # Source
/// ISO 4217: TND has three decimals (1 dinar = 1,000 millimes), MAD and EUR two.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Currency {
    /// Tunisian dinar, 3 decimals.
    Tnd,
    /// Moroccan dirham, 2 decimals.
    Mad,
    /// Euro, 2 decimals.
    Eur,
}

impl Currency {
    /// Every currency, in a fixed order.
    pub const ALL: [Currency; 3] = [Currency::Tnd, Currency::Mad, Currency::Eur];

    /// Digits after the decimal separator.
    pub const fn exponent(self) -> u32 {
        match self {
            Currency::Tnd => 3,
            Currency::Mad | Currency::Eur => 2,
        }
    }

    /// ISO 4217 alphabetic code.
    pub const fn code(self) -> &'static str {
        match self {
            Currency::Tnd => "TND",
            Currency::Mad => "MAD",
            Currency::Eur => "EUR",
        }
    }

    /// Symbol printed in Latin script.
    pub const fn symbol_latin(self) -> &'static str {
        match self {
            Currency::Tnd => "DT",
            Currency::Mad => "DH",
            Currency::Eur => "EUR",
        }
    }

    /// Symbol printed in Arabic script.
    pub const fn symbol_arabic(self) -> &'static str {
        match self {
            Currency::Tnd => "د.ت",
            Currency::Mad => "د.م",
            Currency::Eur => "يورو",
        }
    }

    /// Coins and notes a drawer is counted in, ascending, in minor units.
    ///
    /// # Source
    /// Banque Centrale de Tunisie and Bank Al-Maghrib, pieces in circulation; millimes below 5 are not handed out.
    pub const fn denominations_minor(self) -> &'static [i64] {
        match self {
            Currency::Tnd => &[
                5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000,
            ],
            Currency::Mad => &[
                5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000,
            ],
            Currency::Eur => &[
                1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000,
            ],
        }
    }

    /// Reads an ISO code.
    pub fn from_code(code: &str) -> Option<Currency> {
        Currency::ALL
            .into_iter()
            .find(|currency| currency.code() == code)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount in minor units of its currency. May be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
pub struct Money {
    /// Minor units: millimes for TND, centimes for MAD, cents for EUR.
    #[ts(type = "number")]
    pub minor: i64,
    /// The currency of `minor`.
    pub currency: Currency,
}

/// Why an amount could not be computed or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The result does not fit 64 bits, or the 53 bits that the user interface can show.
    #[error("amount overflows")]
    Overflow,
    /// Two currencies met in one sum.
    #[error("cannot add {left} to {right}")]
    CurrencyMismatch {
        /// Currency of the left operand.
        left: Currency,
        /// Currency of the right operand.
        right: Currency,
    },
    /// The text is not an amount.
    #[error("not an amount")]
    NotAnAmount,
    /// The text has more decimals than the currency.
    #[error("more decimals than {0} has")]
    TooManyDecimals(Currency),
}

/// Largest magnitude allowed in an amount that crosses the door: JavaScript numbers are exact to 2^53.
pub const MINOR_MAX: i64 = (1 << 53) - 1;

impl Money {
    /// An amount of `minor` units.
    pub const fn new(minor: i64, currency: Currency) -> Money {
        Money { minor, currency }
    }

    /// Nothing, in `currency`.
    pub const fn zero(currency: Currency) -> Money {
        Money { minor: 0, currency }
    }

    /// Sum of two amounts of one currency.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMismatch`], [`MoneyError::Overflow`].
    pub fn checked_add(self, other: Money) -> Result<Money, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch {
                left: self.currency,
                right: other.currency,
            });
        }
        let minor = self
            .minor
            .checked_add(other.minor)
            .ok_or(MoneyError::Overflow)?;
        Ok(Money {
            minor,
            currency: self.currency,
        })
    }

    /// Difference of two amounts of one currency.
    ///
    /// # Errors
    /// As [`Money::checked_add`].
    pub fn checked_sub(self, other: Money) -> Result<Money, MoneyError> {
        let minor = other.minor.checked_neg().ok_or(MoneyError::Overflow)?;
        self.checked_add(Money {
            minor,
            currency: other.currency,
        })
    }

    /// Reads `"119.900"`, `"119,9"`, `"-12"` or `"1 250.5"` as an amount of `currency`.
    ///
    /// # Errors
    /// [`MoneyError::NotAnAmount`], [`MoneyError::TooManyDecimals`], [`MoneyError::Overflow`].
    pub fn parse(text: &str, currency: Currency) -> Result<Money, MoneyError> {
        let scale = currency.exponent();
        let minor = parse_scaled(text, scale).map_err(|error| match error {
            ScaledError::NotANumber => MoneyError::NotAnAmount,
            ScaledError::TooManyDecimals => MoneyError::TooManyDecimals(currency),
            ScaledError::Overflow => MoneyError::Overflow,
        })?;
        Ok(Money { minor, currency })
    }
}

/// Why a decimal text is not an integer at a given scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScaledError {
    NotANumber,
    TooManyDecimals,
    Overflow,
}

/// Reads a decimal text as an integer of `10^-scale` units.
pub(crate) fn parse_scaled(text: &str, scale: u32) -> Result<i64, ScaledError> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut whole = String::new();
    let mut fraction = String::new();
    let mut in_fraction = false;
    for ch in digits.chars() {
        match ch {
            '0'..='9' if in_fraction => fraction.push(ch),
            '0'..='9' => whole.push(ch),
            '.' | ',' if !in_fraction => in_fraction = true,
            ' ' | '\u{a0}' | '\u{202f}' if !in_fraction && !whole.is_empty() => {}
            _ => return Err(ScaledError::NotANumber),
        }
    }
    if whole.is_empty() && fraction.is_empty() {
        return Err(ScaledError::NotANumber);
    }
    let scale = usize::try_from(scale).map_err(|_| ScaledError::Overflow)?;
    while fraction.len() > scale && fraction.ends_with('0') {
        fraction.pop();
    }
    if fraction.len() > scale {
        return Err(ScaledError::TooManyDecimals);
    }
    while fraction.len() < scale {
        fraction.push('0');
    }
    whole.push_str(&fraction);
    let magnitude: i64 = whole.parse().map_err(|_| ScaledError::Overflow)?;
    Ok(if negative { -magnitude } else { magnitude })
}

/// Splits `total_minor` over `weights` so that the parts sum to it exactly.
///
/// # Units
/// `total_minor` in minor units; `weights` are non-negative ratios, any unit.
/// # Shape
/// As many parts as weights, in their order; leftover units go to the largest remainders, ties to the first.
/// Weights that are all zero put everything on the first part.
/// # Source
/// Largest-remainder (Hamilton) method.
pub fn allocate(total_minor: i64, weights: &[i64]) -> Vec<i64> {
    let sum: i128 = weights
        .iter()
        .map(|weight| i128::from((*weight).max(0)))
        .sum();
    let mut parts = vec![0_i64; weights.len()];
    if sum == 0 {
        if let Some(first) = parts.first_mut() {
            *first = total_minor;
        }
        return parts;
    }
    let magnitude = i128::from(total_minor).abs();
    let sign = if total_minor < 0 { -1 } else { 1 };
    let mut left = magnitude;
    let mut remainders = Vec::with_capacity(weights.len());
    for (index, weight) in weights.iter().enumerate() {
        let scaled = magnitude * i128::from((*weight).max(0));
        let share = scaled / sum;
        left -= share;
        remainders.push((std::cmp::Reverse(scaled % sum), index));
        // A share is at most the total, so it fits as the total does; the sign is put on while it is wide.
        parts[index] = i64::try_from(share * sign).unwrap_or(total_minor);
    }
    remainders.sort_unstable();
    for (_, index) in remainders
        .into_iter()
        .take(usize::try_from(left).unwrap_or(usize::MAX))
    {
        parts[index] += if sign < 0 { -1 } else { 1 };
    }
    parts
}

/// Formats `minor` units as plain digits: `1 234.567`, thousands separated by a space, Latin digits,
/// leading minus, always all decimals. One format for every language: it is what notes and shop
/// labels in both countries show, and a thermal printer has no narrow no-break space.
pub fn format_amount(minor: i64, currency: Currency) -> String {
    let exponent = currency.exponent() as usize;
    let magnitude = minor.unsigned_abs().to_string();
    let padded = format!("{magnitude:0>width$}", width = exponent + 1);
    let (whole, fraction) = padded.split_at(padded.len() - exponent);
    let mut text = String::with_capacity(padded.len() + 8);
    if minor < 0 {
        text.push('-');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text.push('.');
    text.push_str(fraction);
    text
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}",
            format_amount(self.minor, self.currency),
            self.currency
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_and_print_with_their_currency_s_decimals() {
        for (text, currency, minor, printed) in [
            ("119.990", Currency::Tnd, 119_990, "119.990"),
            ("119,99", Currency::Tnd, 119_990, "119.990"),
            ("1 234 567.5", Currency::Mad, 123_456_750, "1 234 567.50"),
            ("-0.05", Currency::Mad, -5, "-0.05"),
            ("7", Currency::Eur, 700, "7.00"),
            (".5", Currency::Tnd, 500, "0.500"),
            ("12.5000", Currency::Mad, 1_250, "12.50"),
        ] {
            let money = Money::parse(text, currency).expect(text);
            assert_eq!(
                (money.minor, format_amount(money.minor, currency).as_str()),
                (minor, printed),
                "{text}"
            );
        }
    }

    #[test]
    fn text_that_is_no_amount_is_refused() {
        for (text, error) in [
            ("", MoneyError::NotAnAmount),
            ("1e5", MoneyError::NotAnAmount),
            ("1.2.3", MoneyError::NotAnAmount),
            ("NaN", MoneyError::NotAnAmount),
            ("1.2345", MoneyError::TooManyDecimals(Currency::Tnd)),
            ("99999999999999999999", MoneyError::Overflow),
        ] {
            assert_eq!(Money::parse(text, Currency::Tnd), Err(error), "{text}");
        }
    }

    #[test]
    fn currencies_never_mix_and_sums_never_wrap() {
        let dinar = Money::new(1, Currency::Tnd);
        let dirham = Money::new(1, Currency::Mad);
        assert!(matches!(
            dinar.checked_add(dirham),
            Err(MoneyError::CurrencyMismatch { .. })
        ));
        assert_eq!(
            Money::new(i64::MAX, Currency::Tnd).checked_add(dinar),
            Err(MoneyError::Overflow)
        );
    }
}
