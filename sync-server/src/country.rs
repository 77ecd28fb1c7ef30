//! What a country gives a new store: currency and tax rates, as dated data that head office may change later.

use std::str::FromStr;

use domain::config::{Rate, TaxRate};
use domain::ids::TaxCategory;
use domain::money::Currency;
use domain::time::BusinessDate;
use rust_decimal::Decimal;

/// A country that stores can be opened in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Country {
    /// Tunisia.
    Tunisia,
    /// Morocco.
    Morocco,
}

/// The code is of no country known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("country must be TN or MA")]
pub struct UnknownCountry;

impl FromStr for Country {
    type Err = UnknownCountry;
    fn from_str(code: &str) -> Result<Country, UnknownCountry> {
        match code {
            "TN" => Ok(Country::Tunisia),
            "MA" => Ok(Country::Morocco),
            _ => Err(UnknownCountry),
        }
    }
}

impl Country {
    /// ISO 3166 code.
    pub const fn code(self) -> &'static str {
        match self {
            Country::Tunisia => "TN",
            Country::Morocco => "MA",
        }
    }

    /// Currency.
    pub const fn currency(self) -> Currency {
        match self {
            Country::Tunisia => Currency::Tnd,
            Country::Morocco => Currency::Mad,
        }
    }

    /// Local time minus UTC in minutes; both countries keep UTC+1 (Morocco's month of Ramadan aside).
    pub const fn utc_offset_min(self) -> i32 {
        60
    }

    /// Rates of the general and the reduced category.
    ///
    /// # Source
    /// Tunisia: code de la TVA with the finance law for 2018 (19 %, 7 %).
    /// Morocco: code général des impôts, articles 98 and 99 (20 %, 10 %).
    pub fn taxes(self) -> Vec<TaxRate> {
        let (rates, basis) = match self {
            Country::Tunisia => (
                [("standard", 19), ("reduced", 7)],
                "code de la TVA, loi de finances 2018",
            ),
            Country::Morocco => (
                [("standard", 20), ("reduced", 10)],
                "code général des impôts, art. 98 et 99",
            ),
        };
        let from: BusinessDate = "2018-01-01".parse().expect("a date of the calendar");
        rates
            .into_iter()
            .map(|(category, percent)| TaxRate {
                category: TaxCategory::new(category).expect("a short code"),
                rate: Rate::percent(Decimal::from(percent)).expect("between 0 and 100"),
                from,
                to: None,
                basis: basis.to_owned(),
            })
            .collect()
    }
}
