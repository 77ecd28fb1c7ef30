//! What head office decides and tills obey: stores, staff, taxes, levies and rounding, as dated data.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ts_rs::TS;

use crate::catalog::{Language, Names};
use crate::ids::{DeviceId, LocationId, PriceListId, StoreId, TaxCategory, TillId, UserId};
use crate::money::Currency;
use crate::time::BusinessDate;

/// A tax rate in percent, exact: `19`, `5.5`. Written as text without trailing zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Rate(Decimal);

/// The rate is negative or above 100 percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a rate between 0 and 100 percent")]
pub struct InvalidRate;

impl Rate {
    /// A rate of `percent`.
    ///
    /// # Errors
    /// [`InvalidRate`] below 0 or above 100.
    pub fn percent(percent: Decimal) -> Result<Rate, InvalidRate> {
        if percent.is_sign_negative() && !percent.is_zero() || percent > Decimal::ONE_HUNDRED {
            return Err(InvalidRate);
        }
        Ok(Rate(percent.normalize()))
    }

    /// The percentage.
    pub const fn as_percent(self) -> Decimal {
        self.0
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let percent = text.parse::<Decimal>().map_err(serde::de::Error::custom)?;
        Rate::percent(percent).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rate".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "percent, exact decimal text" })
    }
}

/// A tax rate of a category and the days it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxRate {
    /// Category of the catalogue.
    pub category: TaxCategory,
    /// The rate.
    pub rate: Rate,
    /// First business date.
    pub from: BusinessDate,
    /// Last business date, none for open end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<BusinessDate>,
    /// Legal basis, for the auditor.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub basis: String,
}

/// At which step tax is rounded to minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum TaxRounding {
    /// Each line on its own.
    #[default]
    PerLine,
    /// Once per rate over the whole receipt.
    PerReceipt,
}

/// A levy on a document, outside the tax base: once per document, never per unit.
///
/// # Source
/// Tunisia: code des droits d'enregistrement et de timbre, art. 135 bis (0.100 TND per ticket).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentLevy {
    /// Key of its name in the catalogues of texts (`stamp`).
    pub code: String,
    /// Amount in minor units of the store's currency.
    pub minor: i64,
    /// First business date.
    pub from: BusinessDate,
    /// Last business date, none for open end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<BusinessDate>,
}

/// Which way cash is rounded. A refund is the mirror of its sale: the way goes by the magnitude.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoundingMode {
    /// To the nearest multiple, half away from zero.
    #[default]
    HalfUp,
    /// Towards zero: the shopper never pays more than the exact amount.
    Down,
}

/// Rounding of the cash leg to a unit that is still handed out. Card legs stay exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CashRounding {
    /// Unit in minor units (50 = 50 millimes).
    pub unit_minor: i64,
    /// Which way.
    #[serde(default)]
    pub mode: RoundingMode,
}

/// Something that holds from one day to another, both included.
pub trait Dated {
    /// First day; none when it has held as long as anybody asks.
    fn first_day(&self) -> Option<BusinessDate>;
    /// Last day; none for open end.
    fn last_day(&self) -> Option<BusinessDate>;
    /// Whether it holds on `date`.
    fn holds_on(&self, date: BusinessDate) -> bool {
        self.first_day().is_none_or(|first| first <= date)
            && self.last_day().is_none_or(|last| date <= last)
    }
}

macro_rules! dated {
    ($($name:ident),+) => {
        $(impl Dated for $name {
            fn first_day(&self) -> Option<BusinessDate> {
                self.from
            }
            fn last_day(&self) -> Option<BusinessDate> {
                self.to
            }
        })+
    };
}

/// A coin or note and the days on which a drawer is counted in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denomination {
    /// Minor units.
    pub minor: i64,
    /// First business date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<BusinessDate>,
    /// Last business date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<BusinessDate>,
}

/// A ceiling on the cash of one sale, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CashCeiling {
    /// The cashier is warned above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_above_minor: Option<i64>,
    /// A manager must allow it from this on: laws fine the amount itself, not what is above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard_from_minor: Option<i64>,
    /// First business date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<BusinessDate>,
    /// Last business date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<BusinessDate>,
}

/// A stamp duty on receipts paid in cash, which the firm declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CashStampRate {
    /// Hundredths of a percent of the cash kept, tax included.
    pub rate_bp: u32,
    /// First business date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<BusinessDate>,
    /// Last business date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<BusinessDate>,
}

dated!(Denomination, CashCeiling, CashStampRate);

/// What the law of the country gives every store, copied from its pack. Empty in rows of earlier versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountryRules {
    /// Coins and notes, ascending; the currency's own where it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denominations: Vec<Denomination>,
    /// Ceilings on cash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cash_ceilings: Vec<CashCeiling>,
    /// Stamp duty on cash receipts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cash_stamp: Vec<CashStampRate>,
    /// Years that fiscal data are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_years: Option<u32>,
}

impl CountryRules {
    /// Whether nothing is there, as in rows of earlier versions.
    pub fn is_empty(&self) -> bool {
        *self == CountryRules::default()
    }
}

/// A store as its tills need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreConfig {
    /// Code of the store.
    pub store: StoreId,
    /// Location that its sales take stock from.
    pub location: LocationId,
    /// Name of the chain, as receipts print it.
    pub chain: String,
    /// Name of the store.
    pub name: Names,
    /// Address lines.
    pub address: Vec<String>,
    /// Legal identity lines, printed as they are (`MF 1234567A/A/M/000`).
    pub legal: Vec<String>,
    /// ISO 3166 code: `TN` or `MA`.
    pub country: String,
    /// Currency of every amount in this store.
    pub currency: Currency,
    /// Price list.
    pub price_list: PriceListId,
    /// Language of receipts unless the shopper asks for another.
    pub receipt_language: Language,
    /// Local time minus UTC, in minutes.
    pub utc_offset_min: i32,
    /// Rates of the country.
    pub taxes: Vec<TaxRate>,
    /// Where tax is rounded.
    #[serde(default)]
    pub tax_rounding: TaxRounding,
    /// Levies on tickets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levies: Vec<DocumentLevy>,
    /// Rounding of cash, none for exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cash_rounding: Option<CashRounding>,
    /// Difference at closing above which a manager signs, in minor units.
    pub over_short_limit_minor: i64,
    /// Discount above which a manager signs, in hundredths of a percent of the line or cart.
    pub discount_limit_bp: u32,
    /// How drawers are kept.
    #[serde(default, skip_serializing_if = "DrawerRules::is_default")]
    pub drawer: DrawerRules,
    /// What the law of the country gives every store.
    #[serde(default, skip_serializing_if = "CountryRules::is_empty")]
    pub rules: CountryRules,
    /// Identifiers of the seller in their canonical form, by field of the country pack (`mf`, `ice`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub identity: BTreeMap<String, String>,
    /// Locations whose stock the store's tills follow.
    pub follows: Vec<LocationId>,
    /// Names of the locations, to show stock elsewhere.
    pub location_names: BTreeMap<LocationId, Names>,
    /// Receipts carry a signed code.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub receipt_code: bool,
}

/// How a store keeps its drawers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrawerRules {
    /// Drawers of a till, at most [`DRAWERS_MAX`].
    #[serde(default = "one")]
    pub drawers: u32,
    /// Cashiers count without being told what should be there.
    #[serde(default)]
    pub blind_count: bool,
    /// Pay-out up to which no manager is asked, in minor units; none asks for every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pay_out_limit_minor: Option<i64>,
}

/// Most drawers of a till.
pub const DRAWERS_MAX: u32 = 9;

const fn one() -> u32 {
    1
}

impl Default for DrawerRules {
    fn default() -> DrawerRules {
        DrawerRules {
            drawers: 1,
            blind_count: false,
            pay_out_limit_minor: None,
        }
    }
}

impl DrawerRules {
    fn is_default(&self) -> bool {
        *self == DrawerRules::default()
    }
}

const fn yes() -> bool {
    true
}

const fn is_yes(set: &bool) -> bool {
    *set
}

impl StoreConfig {
    /// The rate of `category` on `date`; the latest start wins where two overlap.
    pub fn rate_on(&self, category: &TaxCategory, date: BusinessDate) -> Option<Rate> {
        self.taxes
            .iter()
            .filter(|tax| {
                &tax.category == category && tax.from <= date && tax.to.is_none_or(|to| date <= to)
            })
            .max_by_key(|tax| tax.from)
            .map(|tax| tax.rate)
    }

    /// Denominations a drawer is counted in on `date`, ascending; the currency's own for a store whose row is
    /// older than country packs.
    pub fn denominations_on(&self, date: BusinessDate) -> Vec<i64> {
        if self.rules.denominations.is_empty() {
            return self.currency.denominations_minor().to_vec();
        }
        let held = self.rules.denominations.iter();
        held.filter(|row| row.holds_on(date))
            .map(|row| row.minor)
            .collect()
    }

    /// The ceiling on the cash of one sale on `date`.
    pub fn cash_ceiling_on(&self, date: BusinessDate) -> Option<CashCeiling> {
        let mut held = self.rules.cash_ceilings.iter();
        held.find(|row| row.holds_on(date)).copied()
    }

    /// Rate of the stamp duty on cash receipts on `date`, hundredths of a percent.
    pub fn cash_stamp_bp_on(&self, date: BusinessDate) -> Option<u32> {
        let mut held = self.rules.cash_stamp.iter();
        held.find(|row| row.holds_on(date)).map(|row| row.rate_bp)
    }
}

/// What a member of staff may do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sells.
    Cashier,
    /// Sells, approves, opens and closes.
    Manager,
}

/// A member of staff as tills know them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaffMember {
    /// Opaque id, the only thing that events hold.
    pub user: UserId,
    /// Shown on the sign-in screen and on receipts.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Argon2id verifier of the PIN (PHC string).
    pub pin_verifier: String,
    /// Raised whenever head office sets a new PIN; a newer one replaces a PIN that was reset on a till.
    pub pin_version: u32,
    /// Preferred language.
    #[serde(default)]
    pub language: Option<Language>,
    /// May still sign in.
    pub active: bool,
}

/// A device of the chain, so that any till can check another's signatures offline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// Device.
    pub device: DeviceId,
    /// Store it was enrolled for.
    pub store: StoreId,
    /// Till number.
    pub till: TillId,
    /// Signature algorithm of the registered key.
    pub algorithm: KeyAlgorithm,
    /// Public key, hexadecimal.
    pub public_key: String,
    /// No longer trusted.
    #[serde(default)]
    pub revoked: bool,
}

/// Signature algorithms a device key may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyAlgorithm {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA over NIST P-256 with SHA-256, for keystores that know no Ed25519.
    P256,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_exact_text() {
        let rate: Rate = serde_json::from_str("\"19.00\"").expect("rate");
        assert_eq!(serde_json::to_string(&rate).expect("text"), "\"19\"");
        for bad in ["\"-1\"", "\"100.01\"", "19", "\"x\""] {
            assert!(serde_json::from_str::<Rate>(bad).is_err(), "{bad}");
        }
    }
}
