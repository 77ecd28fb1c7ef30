//! Quantities: integer thousandths of a unit, so half a metre of rope and three balls are both exact.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::money::{ScaledError, parse_scaled};

/// A signed quantity in thousandths of the sales unit: `3000` is three pieces.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
    TS,
)]
#[serde(transparent)]
pub struct Quantity(#[ts(type = "number")] pub i64);

/// Largest quantity a line may hold, in thousandths: a million units; more is a mistyped barcode.
pub const QUANTITY_MAX: i64 = 1_000_000_000;

/// Why a text is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a quantity")]
pub struct NotAQuantity;

impl Quantity {
    /// One unit.
    pub const ONE: Quantity = Quantity(1_000);
    /// No unit.
    pub const ZERO: Quantity = Quantity(0);

    /// `count` whole units; `None` when that does not fit.
    pub const fn units(count: i64) -> Option<Quantity> {
        match count.checked_mul(1_000) {
            Some(thousandths) => Some(Quantity(thousandths)),
            None => None,
        }
    }

    /// The value in thousandths.
    pub const fn thousandths(self) -> i64 {
        self.0
    }

    /// Sum, `None` on overflow.
    pub const fn checked_add(self, other: Quantity) -> Option<Quantity> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Quantity(sum)),
            None => None,
        }
    }

    /// Reads `"3"`, `"0.5"` or `"-2,25"`.
    ///
    /// # Errors
    /// [`NotAQuantity`] for anything else, for more than three decimals and for overflow.
    pub fn parse(text: &str) -> Result<Quantity, NotAQuantity> {
        parse_scaled(text, 3)
            .map(Quantity)
            .map_err(|error| match error {
                ScaledError::NotANumber | ScaledError::TooManyDecimals | ScaledError::Overflow => {
                    NotAQuantity
                }
            })
    }
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let (whole, thousandths) = (magnitude / 1_000, magnitude % 1_000);
        if thousandths == 0 {
            return write!(f, "{sign}{whole}");
        }
        let digits = format!("{thousandths:03}");
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_and_print_without_needless_zeros() {
        for (text, thousandths, printed) in [
            ("3", 3_000, "3"),
            ("0.5", 500, "0.5"),
            ("-2,25", -2_250, "-2.25"),
            ("1.001", 1_001, "1.001"),
        ] {
            let quantity = Quantity::parse(text).expect(text);
            assert_eq!(
                (quantity.0, quantity.to_string().as_str()),
                (thousandths, printed)
            );
        }
        assert_eq!(Quantity::parse("1.0001"), Err(NotAQuantity));
        assert_eq!(Quantity::parse("x"), Err(NotAQuantity));
    }
}
