//! Country packs: what the law of a country says about tills, as dated data with its sources.
//!
//! A pack is a strict JSON file under `packs/`, part of the program and checked as a whole before anything of it
//! is used. Stores keep their own copy of the rows they need (`domain::config`): a till asks its store, never
//! the pack, so that a change of law reaches it as a row with a first day. docs/country-packs.md says how.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::config::{
    CashCeiling, CashRounding, CashStampRate, CountryRules, Dated, Denomination, DocumentLevy,
    Rate, RoundingMode, TaxRate,
};
use crate::ids::TaxCategory;
use crate::json::{NotStrict, from_strict};
use crate::legal_id::{self, IdError, IdWarning};
use crate::money::{Currency, MINOR_MAX};
use crate::time::BusinessDate;

/// Version of the layout of pack files that this program reads.
const SCHEMA: u32 = 1;
/// Largest rate of a cash stamp, in hundredths of a percent: beyond it a figure was written in another unit.
const STAMP_BP_MAX: u32 = 1_000;
/// Longest retention that is taken for a number of years.
const RETENTION_YEARS_MAX: u32 = 100;
/// Category that every catalogue falls back to.
const STANDARD: &str = "standard";

/// A country that stores can be opened in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum Country {
    /// Tunisia.
    #[serde(rename = "TN")]
    Tunisia,
    /// Morocco.
    #[serde(rename = "MA")]
    Morocco,
}

/// The code is of no country known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("country must be TN or MA")]
pub struct UnknownCountry;

impl FromStr for Country {
    type Err = UnknownCountry;
    fn from_str(code: &str) -> Result<Country, UnknownCountry> {
        Country::ALL
            .into_iter()
            .find(|country| country.code() == code)
            .ok_or(UnknownCountry)
    }
}

impl Country {
    /// Every country, in a fixed order.
    pub const ALL: [Country; 2] = [Country::Tunisia, Country::Morocco];

    /// ISO 3166 code.
    pub const fn code(self) -> &'static str {
        match self {
            Country::Tunisia => "TN",
            Country::Morocco => "MA",
        }
    }

    /// Currency of the country.
    pub const fn currency(self) -> Currency {
        match self {
            Country::Tunisia => Currency::Tnd,
            Country::Morocco => Currency::Mad,
        }
    }
}

/// Why a text is no country pack. Variants are checked in this order.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The text is not strict JSON, or a field is unknown, missing or of the wrong type.
    #[error(transparent)]
    NotStrict(#[from] NotStrict),
    /// The layout is of another version.
    #[error("schema {found} is not {SCHEMA}")]
    Schema {
        /// Version found.
        found: u32,
    },
    /// The currency is not the country's.
    #[error("{found} is not the currency of {country}")]
    Currency {
        /// Code of the country.
        country: &'static str,
        /// Currency found.
        found: Currency,
    },
    /// The currency has another number of decimals.
    #[error("{currency} does not have {found} decimals")]
    Exponent {
        /// Currency.
        currency: Currency,
        /// Decimals found.
        found: u32,
    },
    /// Local time is more than fourteen hours from UTC.
    #[error("{0} minutes is no offset of a clock")]
    UtcOffset(i32),
    /// A figure has no source, or a legal basis or a note is there without a word.
    #[error("{0} lacks a source, a basis or the words of its note")]
    Unsourced(String),
    /// A row ends before it begins.
    #[error("{0} ends before it begins")]
    DatesReversed(String),
    /// Two rows of one kind hold on one day.
    #[error("two rows of {0} hold on one day")]
    DatesOverlap(String),
    /// A row of a law has no first day.
    #[error("a {0} has no first day")]
    Undated(String),
    /// No standard rate without an end: goods could not be sold one day.
    #[error("no standard tax rate without an end")]
    NoStandardRate,
    /// A levy is not positive, too large or without a code.
    #[error("{0} is no amount for a levy")]
    Levy(i64),
    /// There is no unit or no mode to round cash by, or a unit is twice there, not ascending, or cannot be
    /// paid in coins.
    #[error("cash rounding has no mode, or a unit that coins do not make")]
    CashRounding,
    /// No denominations, or one that is not positive or not above the one before.
    #[error("denominations are not positive and ascending at {0}")]
    Denominations(i64),
    /// An identity field is there twice, or is not a short lower-case word.
    #[error("identity field {0} is there twice or not a short lower-case word")]
    IdentityField(String),
    /// No identity field is mandatory: a seller without a name to the tax office.
    #[error("no identity field is mandatory")]
    NoIdentity,
    /// Retention is nothing, or no number of years.
    #[error("{0} years is no retention")]
    Retention(u32),
    /// A cash ceiling has no figure, one that is not positive, or a soft one above the hard one.
    #[error("a cash ceiling has no figure, or its figures contradict each other")]
    CashCeiling,
    /// The rate of a cash stamp is nothing or above ten percent.
    #[error("{0} hundredths of a percent is no rate of a cash stamp")]
    CashStamp(u32),
}

/// A kind of document that can bear a levy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// A till's receipt.
    Ticket,
    /// An invoice to a named buyer.
    Invoice,
    /// A credit note.
    CreditNote,
}

/// What becomes of the cash stamp. Charging it to the shopper is no mode yet: the amount depends on the cash leg,
/// which would depend on the amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CashStampMode {
    /// Added up in X and Z for the declaration; the shopper pays nothing.
    DeclareOnly,
}

/// How an identifier is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdCheck {
    /// Tunisian tax id, see [`legal_id::matricule_fiscal`].
    MatriculeFiscal,
    /// Moroccan enterprise id, see [`legal_id::ice`].
    Ice,
    /// Digits only.
    Digits,
    /// Any text that may be printed.
    Text,
}

macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $type,)*
                /// First day; none when it has held as long as anybody asks.
                #[serde(default)]
                pub from: Option<BusinessDate>,
                /// Last day; none for open end.
                #[serde(default)]
                pub to: Option<BusinessDate>,
                /// Legal basis; none where there is no law but practice.
                #[serde(default)]
                pub basis: Option<String>,
                /// Where the figure was read.
                pub source: String,
                /// What is not verified, or what a reader must know.
                #[serde(default)]
                pub note: Option<String>,
            }

            impl Dated for $name {
                fn first_day(&self) -> Option<BusinessDate> {
                    self.from
                }
                fn last_day(&self) -> Option<BusinessDate> {
                    self.to
                }
            }

            impl Row for $name {
                fn cited(&self) -> [Option<&str>; 3] {
                    [Some(&self.source), self.basis.as_deref(), self.note.as_deref()]
                }
            }
        )+
    };
}

/// A row with days and sources.
trait Row: Dated {
    /// Source, basis and note, where they are there.
    fn cited(&self) -> [Option<&str>; 3];
}

rows! {
    /// Local time.
    Clock {
        /// Local time minus UTC, minutes.
        utc_offset_min: i32,
    }
    /// A tax rate.
    PackRate {
        /// Category of the catalogue.
        category: TaxCategory,
        /// The rate.
        rate: Rate,
    }
    /// A levy on a document: once per document, outside the tax base.
    PackLevy {
        /// Key of its name in the catalogues of texts.
        code: String,
        /// Document that bears it.
        document: DocumentKind,
        /// Minor units.
        minor: i64,
        /// Whether a refund gives it back.
        refundable: bool,
    }
    /// Ways to round cash that a tenant may choose from.
    PackRounding {
        /// Units in minor units, ascending.
        units_minor: Vec<i64>,
        /// Modes.
        modes: Vec<RoundingMode>,
    }
    /// A coin or note.
    PackDenomination {
        /// Minor units.
        minor: i64,
    }
    /// An identifier of the seller.
    IdentityField {
        /// Key (`mf`, `ice`).
        field: String,
        /// Printed before the value, may be empty.
        label: String,
        /// How it is checked.
        check: IdCheck,
        /// The law wants it on documents.
        mandatory: bool,
        /// It is printed when the seller has one.
        printed: bool,
    }
    /// How long fiscal data are kept.
    Retention {
        /// Years.
        years: u32,
    }
    /// A ceiling on cash in one sale.
    PackCeiling {
        /// A warning is due above this, minor units.
        soft_above_minor: Option<i64>,
        /// A manager's word is due from this on, minor units.
        hard_from_minor: Option<i64>,
    }
    /// A stamp duty on receipts paid in cash.
    PackCashStamp {
        /// Hundredths of a percent of the cash kept, tax included.
        rate_bp: u32,
        /// What becomes of it.
        mode: CashStampMode,
    }
}

/// What the law of a country says about tills. Only [`CountryPack::load`] makes one, so it has been checked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountryPack {
    schema: u32,
    country: Country,
    currency: Currency,
    exponent: u32,
    clock: Clock,
    tax_rates: Vec<PackRate>,
    levies: Vec<PackLevy>,
    cash_rounding: PackRounding,
    denominations: Vec<PackDenomination>,
    identity: Vec<IdentityField>,
    retention: Retention,
    cash_ceilings: Vec<PackCeiling>,
    #[serde(default)]
    cash_stamp: Vec<PackCashStamp>,
}

static TUNISIA: LazyLock<CountryPack> = LazyLock::new(|| {
    CountryPack::load(include_str!("../packs/tn.json")).expect("tests load the packs of the tree")
});
static MOROCCO: LazyLock<CountryPack> = LazyLock::new(|| {
    CountryPack::load(include_str!("../packs/ma.json")).expect("tests load the packs of the tree")
});

impl CountryPack {
    /// The pack that came with the program.
    pub fn of(country: Country) -> &'static CountryPack {
        match country {
            Country::Tunisia => &TUNISIA,
            Country::Morocco => &MOROCCO,
        }
    }

    /// Reads and checks a pack.
    ///
    /// # Errors
    /// [`PackError`], the first one found.
    pub fn load(json: &str) -> Result<CountryPack, PackError> {
        let pack: CountryPack = from_strict(json.as_bytes())?;
        pack.check_frame()?;
        pack.check_rows()?;
        pack.check_money()?;
        pack.check_identity()?;
        Ok(pack)
    }

    fn check_frame(&self) -> Result<(), PackError> {
        if self.schema != SCHEMA {
            return Err(PackError::Schema { found: self.schema });
        }
        if self.currency != self.country.currency() {
            return Err(PackError::Currency {
                country: self.country.code(),
                found: self.currency,
            });
        }
        if self.exponent != self.currency.exponent() {
            return Err(PackError::Exponent {
                currency: self.currency,
                found: self.exponent,
            });
        }
        let offset = self.clock.utc_offset_min;
        if !(-14 * 60..=14 * 60).contains(&offset) {
            return Err(PackError::UtcOffset(offset));
        }
        Ok(())
    }

    /// Sources and days of every row.
    fn check_rows(&self) -> Result<(), PackError> {
        check_each(std::slice::from_ref(&self.clock), |_| "clock".to_owned())?;
        check_each(std::slice::from_ref(&self.cash_rounding), |_| {
            "cash rounding".to_owned()
        })?;
        check_each(std::slice::from_ref(&self.retention), |_| {
            "retention".to_owned()
        })?;
        check_each(&self.identity, |row| format!("identity {}", row.field))?;
        check_each(&self.denominations, |row| {
            format!("denomination {}", row.minor)
        })?;
        check_each(&self.tax_rates, |row| format!("tax rate {}", row.category))?;
        check_each(&self.levies, |row| {
            format!("levy {} on {:?}", row.code, row.document)
        })?;
        check_each(&self.cash_ceilings, |_| "cash ceiling".to_owned())?;
        check_each(&self.cash_stamp, |_| "cash stamp".to_owned())?;
        check_begins(&self.tax_rates, "tax rate")?;
        check_begins(&self.levies, "levy")?;
        check_begins(&self.cash_ceilings, "cash ceiling")?;
        check_begins(&self.cash_stamp, "cash stamp")
    }

    fn check_money(&self) -> Result<(), PackError> {
        let standard = |row: &&PackRate| row.category.as_str() == STANDARD && row.to.is_none();
        if self.tax_rates.iter().find(standard).is_none() {
            return Err(PackError::NoStandardRate);
        }
        for levy in &self.levies {
            if !is_amount(levy.minor) || !is_key(&levy.code) {
                return Err(PackError::Levy(levy.minor));
            }
        }
        let mut last = 0;
        for row in &self.denominations {
            if row.minor <= last || !is_amount(row.minor) {
                return Err(PackError::Denominations(row.minor));
            }
            last = row.minor;
        }
        let Some(smallest) = self.denominations.first().map(|row| row.minor) else {
            return Err(PackError::Denominations(0));
        };
        let units = &self.cash_rounding.units_minor;
        let payable = |unit: &i64| is_amount(*unit) && unit % smallest == 0;
        if units.is_empty()
            || self.cash_rounding.modes.is_empty()
            || !units.is_sorted_by(|a, b| a < b)
            || !units.iter().all(payable)
        {
            return Err(PackError::CashRounding);
        }
        if !(1..=RETENTION_YEARS_MAX).contains(&self.retention.years) {
            return Err(PackError::Retention(self.retention.years));
        }
        for row in &self.cash_ceilings {
            let figures = [row.soft_above_minor, row.hard_from_minor];
            let (soft, hard) = (row.soft_above_minor, row.hard_from_minor);
            let contradict = soft.zip(hard).is_some_and(|(soft, hard)| soft > hard);
            if figures == [None, None]
                || contradict
                || !figures.into_iter().flatten().all(is_amount)
            {
                return Err(PackError::CashCeiling);
            }
        }
        for row in &self.cash_stamp {
            if !(1..=STAMP_BP_MAX).contains(&row.rate_bp) {
                return Err(PackError::CashStamp(row.rate_bp));
            }
        }
        Ok(())
    }

    fn check_identity(&self) -> Result<(), PackError> {
        let mut seen = BTreeSet::new();
        for row in &self.identity {
            if !is_key(&row.field) || !seen.insert(&row.field) {
                return Err(PackError::IdentityField(row.field.clone()));
            }
        }
        if !self.identity.iter().any(|row| row.mandatory) {
            return Err(PackError::NoIdentity);
        }
        Ok(())
    }

    /// Country.
    pub const fn country(&self) -> Country {
        self.country
    }

    /// Currency.
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    /// Local time minus UTC, minutes.
    pub const fn utc_offset_min(&self) -> i32 {
        self.clock.utc_offset_min
    }

    /// Years that fiscal data are kept.
    pub const fn retention_years(&self) -> u32 {
        self.retention.years
    }

    /// Identifiers of a seller, in the order of printing.
    pub fn identity(&self) -> &[IdentityField] {
        &self.identity
    }

    /// Ways to round cash; none is on unless a tenant chooses it.
    pub const fn cash_rounding(&self) -> &PackRounding {
        &self.cash_rounding
    }

    /// Tax rates in force on `date`, in the order of the file.
    pub fn rates_on(&self, date: BusinessDate) -> Vec<&PackRate> {
        held_on(&self.tax_rates, date).collect()
    }

    /// The rate of `category` on `date`.
    pub fn rate_on(&self, category: &TaxCategory, date: BusinessDate) -> Option<Rate> {
        held_on(&self.tax_rates, date)
            .find(|row| &row.category == category)
            .map(|row| row.rate)
    }

    /// The levies that documents of a kind bear on `date` where the tenant is liable.
    pub fn levies_on(&self, document: DocumentKind, date: BusinessDate) -> Vec<&PackLevy> {
        held_on(&self.levies, date)
            .filter(|row| row.document == document)
            .collect()
    }

    /// Denominations a drawer is counted in on `date`, ascending, minor units.
    pub fn denominations_on(&self, date: BusinessDate) -> Vec<i64> {
        held_on(&self.denominations, date)
            .map(|row| row.minor)
            .collect()
    }

    /// The ceiling on cash in one sale on `date`.
    pub fn cash_ceiling_on(&self, date: BusinessDate) -> Option<&PackCeiling> {
        held_on(&self.cash_ceilings, date).next()
    }

    /// The stamp duty on receipts paid in cash on `date`.
    pub fn cash_stamp_on(&self, date: BusinessDate) -> Option<&PackCashStamp> {
        held_on(&self.cash_stamp, date).next()
    }

    /// All tax rates, past and coming, for the configuration of a store.
    pub fn taxes(&self) -> Vec<TaxRate> {
        self.tax_rates
            .iter()
            .filter_map(|row| {
                Some(TaxRate {
                    category: row.category.clone(),
                    rate: row.rate,
                    from: row.from?,
                    to: row.to,
                    basis: row.basis.clone().unwrap_or_default(),
                })
            })
            .collect()
    }

    /// All levies of one kind of document, past and coming, for the configuration of a store that is liable.
    pub fn levies(&self, document: DocumentKind) -> Vec<DocumentLevy> {
        self.levies
            .iter()
            .filter(|row| row.document == document)
            .filter_map(|row| {
                Some(DocumentLevy {
                    code: row.code.clone(),
                    minor: row.minor,
                    from: row.from?,
                    to: row.to,
                })
            })
            .collect()
    }

    /// What holds for every store of the country whatever its tenant decides, for the configuration of a store.
    pub fn rules(&self) -> CountryRules {
        CountryRules {
            denominations: self
                .denominations
                .iter()
                .map(|row| Denomination {
                    minor: row.minor,
                    from: row.from,
                    to: row.to,
                })
                .collect(),
            cash_ceilings: self
                .cash_ceilings
                .iter()
                .map(|row| CashCeiling {
                    soft_above_minor: row.soft_above_minor,
                    hard_from_minor: row.hard_from_minor,
                    from: row.from,
                    to: row.to,
                })
                .collect(),
            cash_stamp: self
                .cash_stamp
                .iter()
                .map(|row| CashStampRate {
                    rate_bp: row.rate_bp,
                    from: row.from,
                    to: row.to,
                })
                .collect(),
            retention_years: Some(self.retention.years),
        }
    }

    /// Whether a tenant may round cash so.
    pub fn allows(&self, rounding: CashRounding) -> bool {
        self.cash_rounding
            .units_minor
            .contains(&rounding.unit_minor)
            && self.cash_rounding.modes.contains(&rounding.mode)
    }

    /// Reads the identifier of one field.
    ///
    /// # Errors
    /// [`IdentityError::UnknownField`] for a field the country does not have, [`IdentityError::Invalid`].
    pub fn read_identifier(&self, field: &str, value: &str) -> Result<Identifier, IdentityError> {
        let row = self.identity.iter().find(|row| row.field == field);
        let Some(row) = row else {
            return Err(IdentityError::UnknownField {
                field: field.to_owned(),
                country: self.country.code(),
            });
        };
        let invalid = |error| IdentityError::Invalid {
            field: field.to_owned(),
            error,
        };
        let (value, printed, warnings) = match row.check {
            IdCheck::MatriculeFiscal => {
                let (id, warnings) = legal_id::matricule_fiscal(value).map_err(invalid)?;
                (id.canonical(), id.to_string(), warnings)
            }
            IdCheck::Ice => {
                let id = legal_id::ice(value).map_err(invalid)?;
                (id.clone(), id, Vec::new())
            }
            IdCheck::Digits => {
                let id = legal_id::digits(value).map_err(invalid)?;
                (id.clone(), id, Vec::new())
            }
            IdCheck::Text => {
                let id = legal_id::text(value).map_err(invalid)?;
                (id.clone(), id, Vec::new())
            }
        };
        let line = format!("{} {printed}", row.label).trim_start().to_owned();
        Ok(Identifier {
            field: field.to_owned(),
            value,
            line: row.printed.then_some(line),
            warnings,
        })
    }

    /// Mandatory fields that are not among `given`.
    pub fn missing_fields<'a>(&self, given: impl IntoIterator<Item = &'a str>) -> Vec<&str> {
        let given: BTreeSet<&str> = given.into_iter().collect();
        self.identity
            .iter()
            .filter(|row| row.mandatory && !given.contains(row.field.as_str()))
            .map(|row| row.field.as_str())
            .collect()
    }
}

/// An identifier that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    /// Field of the pack.
    pub field: String,
    /// The value in its one canonical form.
    pub value: String,
    /// As it is printed; none where the country does not print it.
    pub line: Option<String>,
    /// What somebody should look at twice.
    pub warnings: Vec<IdWarning>,
}

/// Why an identifier cannot be kept. Holds no value: ids of one-person firms are personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The country has no such field.
    #[error("{country} has no identifier {field}")]
    UnknownField {
        /// Field asked for.
        field: String,
        /// Code of the country.
        country: &'static str,
    },
    /// The value is not one.
    #[error("{field}: {error}")]
    Invalid {
        /// Field.
        field: String,
        /// What is wrong.
        error: IdError,
    },
}

fn held_on<T: Dated>(rows: &[T], date: BusinessDate) -> impl Iterator<Item = &T> {
    rows.iter().filter(move |row| row.holds_on(date))
}

const fn is_amount(minor: i64) -> bool {
    minor > 0 && minor <= MINOR_MAX
}

/// A short lower-case word, as keys of texts and fields are.
fn is_key(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// Sources and days of rows; rows of one name must not hold on one day.
fn check_each<T: Row>(rows: &[T], name: impl Fn(&T) -> String) -> Result<(), PackError> {
    for (index, row) in rows.iter().enumerate() {
        let name_here = name(row);
        if row
            .cited()
            .into_iter()
            .flatten()
            .any(|text| text.trim().is_empty())
        {
            return Err(PackError::Unsourced(name_here));
        }
        if row
            .first_day()
            .zip(row.last_day())
            .is_some_and(|(first, last)| last < first)
        {
            return Err(PackError::DatesReversed(name_here));
        }
        let overlaps = |other: &T| name(other) == name_here && overlap(other, row);
        if rows[..index].iter().any(overlaps) {
            return Err(PackError::DatesOverlap(name_here));
        }
    }
    Ok(())
}

fn check_begins<T: Row>(rows: &[T], what: &str) -> Result<(), PackError> {
    if rows.iter().any(|row| row.first_day().is_none()) {
        return Err(PackError::Undated(what.to_owned()));
    }
    Ok(())
}

fn overlap(left: &impl Dated, right: &impl Dated) -> bool {
    let begins_after = |later: Option<BusinessDate>, end: Option<BusinessDate>| {
        later.zip(end).is_some_and(|(first, last)| first > last)
    };
    !begins_after(left.first_day(), right.last_day())
        && !begins_after(right.first_day(), left.last_day())
}
