//! The catalogue: styles, their variants, the numbers on their labels, and prices with a start date.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ts_rs::TS;

use std::collections::BTreeMap;

use crate::ids::{LocationId, StyleId, TaxCategory, VariantId};
use crate::quantity::{QUANTITY_MAX, Quantity};
use crate::time::BusinessDate;

/// Most parts of a kit.
pub const KIT_PARTS_MAX: usize = 50;

/// A text in the three languages of the till. French is always there; the others fall back to it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
pub struct Names {
    /// French.
    pub fr: String,
    /// Arabic, empty when not given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ar: String,
    /// English, empty when not given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub en: String,
}

/// A language of screens and receipts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema, TS,
)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// French.
    #[default]
    Fr,
    /// Arabic, right to left.
    Ar,
    /// English.
    En,
}

impl Names {
    /// The text in `language`, or in French where it was not given.
    pub fn get(&self, language: Language) -> &str {
        let text = match language {
            Language::Fr => &self.fr,
            Language::Ar => &self.ar,
            Language::En => &self.en,
        };
        if text.is_empty() { &self.fr } else { text }
    }
}

/// How a variant's stock is guarded at a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum StockClass {
    /// What is in the shopper's hand is sold; the count may go below zero and is then looked into.
    #[default]
    Shelf,
    /// No right, no sale: tickets, drops, pre-orders.
    Strict,
    /// Services and the like: no stock is kept.
    Untracked,
}

/// A style: one product in all its sizes and colours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Style {
    /// Id.
    pub style: StyleId,
    /// Code of the import file (`RUN-ATLAS-1`), unique in the tenant.
    pub code: String,
    /// Name.
    pub names: Names,
    /// Brand, may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub brand: String,
    /// Category path, `>` between levels, may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub category: String,
    /// Names of the options (`Taille`, `Couleur`), none to three.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// A sellable variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Id.
    pub variant: VariantId,
    /// Short number for receipts' codes, unique in the tenant.
    pub number: u32,
    /// The style it belongs to.
    pub style: StyleId,
    /// Stock keeping unit, unique in the tenant.
    pub sku: String,
    /// Values of the style's options, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Barcodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gtins: Vec<Gtin>,
    /// Tax category.
    pub tax: TaxCategory,
    /// Stock class where no location says otherwise.
    #[serde(default)]
    pub class: StockClass,
    /// Stock class by location.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<LocationId, StockClass>,
    /// What one unit is made of, for a kit: the parts leave the shelf, and no stock is kept of the kit itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<KitPart>,
    /// No longer sold; still scannable, so that what is on the shelf can leave it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
}

/// A part of a kit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KitPart {
    /// The article; never a kit itself.
    pub variant: VariantId,
    /// How much of it is in one unit of the kit, above zero.
    pub quantity: Quantity,
}

impl KitPart {
    /// How much of the part `kits` take, rounded to thousandths, half up; none where that is nothing or more than a line
    /// may hold.
    pub fn in_kits(&self, kits: Quantity) -> Option<Quantity> {
        let product = i128::from(self.quantity.0) * i128::from(kits.0);
        let rounded = (product + 500).div_euclid(1_000);
        let limit = i128::from(QUANTITY_MAX);
        let fits = rounded != 0 && (-limit..=limit).contains(&rounded);
        fits.then(|| i64::try_from(rounded).ok().map(Quantity))?
    }

    /// How many whole kits so much of the part is enough for; nothing where there is less than nothing.
    pub fn kits_of(&self, on_hand: Quantity) -> Quantity {
        let whole = i128::from(on_hand.0.max(0)) / i128::from(self.quantity.0.max(1));
        Quantity(i64::try_from(whole.saturating_mul(1_000)).unwrap_or(i64::MAX))
    }
}

impl Variant {
    /// Whether it is sold as its parts.
    pub const fn is_kit(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The stock class at `location`. That of a kit is [`StockClass::Untracked`]: its parts have their own.
    pub fn class_at(&self, location: &LocationId) -> StockClass {
        if self.is_kit() {
            return StockClass::Untracked;
        }
        self.classes.get(location).copied().unwrap_or(self.class)
    }
}

/// The prices of one variant in one list, tax included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceRow {
    /// The variant.
    pub variant: VariantId,
    /// Prices with the first day they hold, ascending.
    pub prices: Vec<DatedPrice>,
}

/// A price and the first day it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatedPrice {
    /// First business date.
    pub from: BusinessDate,
    /// Unit price, tax included, in minor units of the list's currency.
    pub minor: i64,
}

impl PriceRow {
    /// The unit price that holds on `date`.
    pub fn at(&self, date: BusinessDate) -> Option<i64> {
        self.prices
            .iter()
            .filter(|price| price.from <= date)
            .max_by_key(|price| price.from)
            .map(|price| price.minor)
    }
}

/// A GS1 trade item number, as 14 digits: UPC-A, EAN-8, EAN-13 and GTIN-14 of one item are one key.
///
/// # Source
/// GS1 General Specifications, section 7.9: check digit modulo 10, weights 3 and 1 from the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gtin(u64);

/// Why a text is no GTIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GtinError {
    /// Not 8, 12, 13 or 14 digits.
    #[error("not 8, 12, 13 or 14 digits")]
    Shape,
    /// The last digit does not fit the others.
    #[error("check digit is {found}, must be {expected}")]
    CheckDigit {
        /// The digit found.
        found: u8,
        /// The digit that would be right.
        expected: u8,
    },
}

impl Gtin {
    /// Reads 8, 12, 13 or 14 digits with a right check digit.
    ///
    /// # Errors
    /// [`GtinError::Shape`], [`GtinError::CheckDigit`].
    pub fn parse(text: &str) -> Result<Gtin, GtinError> {
        if !matches!(text.len(), 8 | 12 | 13 | 14) || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(GtinError::Shape);
        }
        let digits: Vec<u8> = text.bytes().map(|b| b - b'0').collect();
        let (found, body) = digits
            .split_last()
            .map(|(last, body)| (*last, body))
            .ok_or(GtinError::Shape)?;
        let sum: u32 = body
            .iter()
            .rev()
            .enumerate()
            .map(|(index, digit)| u32::from(*digit) * if index % 2 == 0 { 3 } else { 1 })
            .sum();
        let expected = u8::try_from((10 - sum % 10) % 10).map_err(|_| GtinError::Shape)?;
        if expected != found {
            return Err(GtinError::CheckDigit { found, expected });
        }
        text.parse().map(Gtin).map_err(|_| GtinError::Shape)
    }

    /// The 14 digits.
    pub fn as_14_digits(&self) -> String {
        format!("{:014}", self.0)
    }
}

impl std::fmt::Display for Gtin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:014}", self.0)
    }
}

impl Serialize for Gtin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Gtin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Gtin::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_item_has_one_key_whatever_the_label_s_length() {
        let upc = Gtin::parse("036000291452").expect("upc-a");
        assert_eq!(upc, Gtin::parse("0036000291452").expect("ean-13"));
        assert_eq!(upc, Gtin::parse("00036000291452").expect("gtin-14"));
        assert_eq!(upc.as_14_digits(), "00036000291452");
    }

    #[test]
    fn mistyped_numbers_are_refused() {
        assert_eq!(
            Gtin::parse("4006381333932"),
            Err(GtinError::CheckDigit {
                found: 2,
                expected: 1
            })
        );
        for bad in [
            "",
            "123",
            "40063813339311111",
            "400638133393X",
            "٤٠٠٦٣٨١٣٣٣٩٣١",
        ] {
            assert_eq!(Gtin::parse(bad), Err(GtinError::Shape), "{bad}");
        }
    }

    #[test]
    fn parts_are_rounded_to_thousandths_and_kits_are_whole() {
        let part = |thousandths| KitPart {
            variant: VariantId(uuid::Uuid::nil()),
            quantity: Quantity(thousandths),
        };
        for (part_of, kits, taken) in [
            (2_000, 3_000, Some(6_000)),
            (2_000, -3_000, Some(-6_000)),
            (333, 1_500, Some(500)),
            (333, 500, Some(167)),
            (1, 499, None),
            (1, 500, Some(1)),
            (1_000, 0, None),
            (QUANTITY_MAX, 1_000, Some(QUANTITY_MAX)),
            (QUANTITY_MAX, 1_001, None),
            (QUANTITY_MAX, QUANTITY_MAX, None),
        ] {
            let found = part(part_of).in_kits(Quantity(kits));
            assert_eq!(found, taken.map(Quantity), "{part_of} in {kits}");
        }
        for (part_of, on_hand, kits) in [
            (2_000, 9_000, 4_000),
            (2_000, 1_999, 0),
            (2_000, -9_000, 0),
            (500, 1_250, 2_000),
            (1, i64::MAX, i64::MAX),
        ] {
            let found = part(part_of).kits_of(Quantity(on_hand));
            assert_eq!(found, Quantity(kits), "{on_hand} by {part_of}");
        }
    }

    #[test]
    fn the_latest_price_that_has_begun_holds() {
        let date = |text: &str| text.parse().expect("date");
        let row = PriceRow {
            variant: VariantId(uuid::Uuid::nil()),
            prices: vec![
                DatedPrice {
                    from: date("2026-01-01"),
                    minor: 100,
                },
                DatedPrice {
                    from: date("2026-06-01"),
                    minor: 90,
                },
            ],
        };
        assert_eq!(row.at(date("2025-12-31")), None);
        assert_eq!(row.at(date("2026-05-31")), Some(100));
        assert_eq!(row.at(date("2026-06-01")), Some(90));
    }
}
