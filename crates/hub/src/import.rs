//! Bringing a catalogue in from CSV: read and checked as a whole first, then written in one transaction or not at all.
//!
//! Two formats, told apart by the header: our own (`own`) and the product export of Shopify (`shopify`).
//! `docs/catalogue-csv.md` describes both and every error code.

mod apply;
mod own;
mod shopify;

use std::collections::{BTreeMap, BTreeSet};

use domain::catalog::{Gtin, GtinError, Names, StockClass};
use domain::ids::{LocationId, PriceListId, TaxCategory};
use domain::money::{Currency, MINOR_MAX, Money, MoneyError};
use domain::quantity::{QUANTITY_MAX, Quantity};
use domain::text::clean;
use domain::time::BusinessDate;
use serde::Serialize;

/// Largest file taken, in bytes.
pub const FILE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Errors and warnings that are listed; the rest is only counted.
const LISTED_MAX: usize = 500;
const NAME_CHARS_MAX: usize = 200;
const CODE_CHARS_MAX: usize = 64;

/// What to do with a file.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Only read and check.
    pub dry_run: bool,
    /// First day on which the prices hold.
    pub valid_from: BusinessDate,
    /// Shopify: the list that `Variant Price` belongs to.
    pub price_list: Option<PriceListId>,
    /// Shopify: tax category of every variant.
    pub tax: TaxCategory,
    /// Our format: write the `stock:*` columns as counts.
    pub opening_stock: bool,
    /// Shopify: write `Variant Inventory Qty` as counts at this location.
    pub stock_location: Option<LocationId>,
}

/// Which format a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportFormat {
    /// Our own.
    Own,
    /// Shopify's product export.
    Shopify,
}

/// What a file holds, and what was done with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Format, none when the header is of neither.
    pub format: Option<ImportFormat>,
    /// The catalogue was changed; false for a dry run and after any error.
    pub applied: bool,
    /// Rows read, header not counted.
    pub rows: u64,
    /// Styles in the file.
    pub styles: u64,
    /// Variants in the file.
    pub variants: u64,
    /// Of these, variants that the catalogue did not have.
    pub new_variants: u64,
    /// Barcodes in the file.
    pub gtins: u64,
    /// Prices in the file.
    pub prices: u64,
    /// Counts of opening stock, one per variant and location.
    pub counted: u64,
    /// The first errors, by row.
    pub errors: Vec<RowNote>,
    /// How many errors there are.
    pub errors_total: u64,
    /// What was taken otherwise than it was written, by row.
    pub warnings: Vec<RowNote>,
}

/// Something about a cell of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowNote {
    /// Row as a spreadsheet counts: the header is 1.
    pub row: u64,
    /// Column by its name in the header, empty for the row as a whole.
    pub column: String,
    /// Which kind of thing.
    pub code: &'static str,
    /// In words.
    pub message: String,
}

/// What the catalogue knows that a file may refer to.
#[derive(Debug, Clone, Default)]
pub struct ImportContext {
    /// Price lists and their currencies.
    pub price_lists: BTreeMap<PriceListId, Currency>,
    /// Locations.
    pub locations: BTreeSet<LocationId>,
    /// Tax categories of any store.
    pub taxes: BTreeSet<TaxCategory>,
}

/// A style as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StyleIn {
    pub row: u64,
    pub code: String,
    pub names: Names,
    pub brand: String,
    pub category: String,
    pub options: Vec<String>,
}

/// A variant as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VariantIn {
    pub row: u64,
    pub style: usize,
    pub sku: String,
    pub options: Vec<String>,
    pub gtins: Vec<Gtin>,
    pub tax: TaxCategory,
    pub class: StockClass,
    /// SKUs and quantities of what one unit is made of, for a kit; none leaves it as it is.
    pub parts: Option<Vec<(String, Quantity)>>,
    /// None leaves it as it is.
    pub archived: Option<bool>,
    pub prices: Vec<(PriceListId, i64)>,
    pub stock: Vec<(LocationId, Quantity)>,
}

/// A file as read: everything that could be understood, and everything that could not.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub format: Option<ImportFormat>,
    pub rows: u64,
    pub styles: Vec<StyleIn>,
    pub variants: Vec<VariantIn>,
    pub notes: Notes,
}

/// Errors and warnings, capped.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub errors: Vec<RowNote>,
    pub errors_total: u64,
    pub warnings: Vec<RowNote>,
}

impl Notes {
    pub fn error(
        &mut self,
        row: u64,
        column: &str,
        code: &'static str,
        message: impl Into<String>,
    ) {
        self.errors_total += 1;
        if self.errors.len() < LISTED_MAX {
            self.errors.push(note(row, column, code, message));
        }
    }

    pub fn warning(
        &mut self,
        row: u64,
        column: &str,
        code: &'static str,
        message: impl Into<String>,
    ) {
        if self.warnings.len() < LISTED_MAX {
            self.warnings.push(note(row, column, code, message));
        }
    }
}

fn note(row: u64, column: &str, code: &'static str, message: impl Into<String>) -> RowNote {
    RowNote {
        row,
        column: column.to_owned(),
        code,
        message: message.into(),
    }
}

/// Reads a file against what the catalogue knows. Pure.
pub(crate) fn parse(bytes: &[u8], options: &ImportOptions, context: &ImportContext) -> Parsed {
    let mut parsed = Parsed {
        format: None,
        rows: 0,
        styles: Vec::new(),
        variants: Vec::new(),
        notes: Notes::default(),
    };
    if bytes.len() > FILE_BYTES_MAX {
        parsed
            .notes
            .error(0, "", "too_large", "the file is too large");
        return parsed;
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let header = match reader.byte_headers().cloned() {
        Ok(header) => header,
        Err(error) => {
            parsed.notes.error(1, "", "unreadable", error.to_string());
            return parsed;
        }
    };
    let Ok(header) = csv::StringRecord::from_byte_record(header) else {
        parsed
            .notes
            .error(1, "", "not_utf8", "the header is not UTF-8");
        return parsed;
    };
    let columns: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    let mut seen = BTreeSet::new();
    for column in &columns {
        if !column.is_empty() && !seen.insert(column.as_str()) {
            parsed
                .notes
                .error(1, column, "duplicate_column", "the column appears twice");
        }
    }
    let has = |name: &str| columns.iter().any(|column| column == name);
    parsed.format = if has("Handle") && has("Variant Price") {
        Some(ImportFormat::Shopify)
    } else if has("style") && has("sku") {
        Some(ImportFormat::Own)
    } else {
        None
    };
    let mut sink = Sink {
        styles: Vec::new(),
        style_by_code: BTreeMap::new(),
        variants: Vec::new(),
        skus: BTreeMap::new(),
        gtins: BTreeMap::new(),
        combinations: BTreeSet::new(),
        notes: parsed.notes,
    };
    match parsed.format {
        None => sink.notes.error(
            1,
            "",
            "unknown_format",
            "the header is neither ours (style, sku) nor Shopify's (Handle, Variant Price)",
        ),
        Some(ImportFormat::Own) => {
            if let Some(mut read) = own::Reader::new(&columns, options, context, &mut sink.notes) {
                parsed.rows = each_row(reader, &columns, &mut sink, |sink, row, cells| {
                    read.row(sink, row, cells);
                });
            }
        }
        Some(ImportFormat::Shopify) => {
            if let Some(mut read) =
                shopify::Reader::new(&columns, options, context, &mut sink.notes)
            {
                parsed.rows = each_row(reader, &columns, &mut sink, |sink, row, cells| {
                    read.row(sink, row, cells);
                });
            }
        }
    }
    if parsed.rows == 0 && sink.notes.errors_total == 0 {
        sink.notes.error(1, "", "empty", "the file has no rows");
    }
    parsed.styles = sink.styles;
    parsed.variants = sink.variants;
    parsed.notes = sink.notes;
    parsed
}

fn each_row(
    mut reader: csv::Reader<&[u8]>,
    columns: &[String],
    sink: &mut Sink,
    mut visit: impl FnMut(&mut Sink, u64, &Cells<'_>),
) -> u64 {
    let index: BTreeMap<&str, usize> = columns
        .iter()
        .enumerate()
        .map(|(position, name)| (name.as_str(), position))
        .collect();
    let mut bytes = csv::ByteRecord::new();
    let mut rows = 0;
    loop {
        let row = rows + 2;
        match reader.read_byte_record(&mut bytes) {
            Ok(false) => return rows,
            Ok(true) => rows += 1,
            Err(error) => {
                sink.notes.error(row, "", "unreadable", error.to_string());
                return rows;
            }
        }
        if bytes.len() != columns.len() {
            sink.notes.error(
                row,
                "",
                "wrong_column_count",
                format!("{} columns, the header has {}", bytes.len(), columns.len()),
            );
            continue;
        }
        match csv::StringRecord::from_byte_record(std::mem::take(&mut bytes)) {
            Ok(record) => {
                visit(
                    sink,
                    row,
                    &Cells {
                        record: &record,
                        index: &index,
                    },
                );
                bytes = record.into_byte_record();
            }
            Err(error) => {
                let field = error.utf8_error().field();
                let column = columns.get(field).map_or("", String::as_str);
                sink.notes
                    .error(row, column, "not_utf8", "the cell is not UTF-8");
                bytes = error.into_byte_record();
            }
        }
    }
}

/// The cells of one row by the names of their columns.
pub(crate) struct Cells<'a> {
    record: &'a csv::StringRecord,
    index: &'a BTreeMap<&'a str, usize>,
}

impl Cells<'_> {
    /// The trimmed cell, empty when the file has no such column.
    pub fn get(&self, column: &str) -> &str {
        self.index
            .get(column)
            .and_then(|position| self.record.get(*position))
            .unwrap_or("")
            .trim()
    }
}

/// Collects styles and variants and sees to what must be unique in a file.
pub(crate) struct Sink {
    styles: Vec<StyleIn>,
    style_by_code: BTreeMap<String, usize>,
    variants: Vec<VariantIn>,
    skus: BTreeMap<String, u64>,
    gtins: BTreeMap<Gtin, u64>,
    combinations: BTreeSet<(usize, Vec<String>)>,
    pub notes: Notes,
}

impl Sink {
    pub fn style(&self, code: &str) -> Option<(usize, &StyleIn)> {
        let index = *self.style_by_code.get(code)?;
        Some((index, &self.styles[index]))
    }

    pub fn add_style(&mut self, style: StyleIn) -> usize {
        let index = self.styles.len();
        self.style_by_code.insert(style.code.clone(), index);
        self.styles.push(style);
        index
    }

    /// Adds a variant unless its SKU, a barcode or its options are taken by an earlier row.
    pub fn add_variant(&mut self, variant: VariantIn, columns: &VariantColumns<'_>) {
        let row = variant.row;
        if let Some(first) = self.skus.insert(variant.sku.clone(), row) {
            self.notes.error(
                row,
                columns.sku,
                "duplicate_sku",
                format!("row {first} has the same SKU {}", variant.sku),
            );
            return;
        }
        for gtin in &variant.gtins {
            if let Some(first) = self.gtins.insert(*gtin, row) {
                self.notes.error(
                    row,
                    columns.gtin,
                    "duplicate_gtin",
                    format!("row {first} has the same code {gtin}"),
                );
            }
        }
        if !self
            .combinations
            .insert((variant.style, variant.options.clone()))
        {
            self.notes.error(
                row,
                columns.option,
                "duplicate_options",
                "another variant of the style has the same options",
            );
        }
        self.variants.push(variant);
    }

    /// A text cell: trimmed, short enough, without control characters and nothing that a spreadsheet would run.
    pub fn text(&mut self, row: u64, column: &str, cell: &str, chars_max: usize) -> Option<String> {
        if cell.is_empty() {
            return Some(String::new());
        }
        if cell.chars().count() > chars_max {
            self.notes.error(
                row,
                column,
                "too_long",
                format!("longer than {chars_max} characters"),
            );
            return None;
        }
        let Some(text) = clean(cell, chars_max) else {
            self.notes.error(
                row,
                column,
                "control_character",
                "a control or direction-changing character",
            );
            return None;
        };
        if is_formula(&text) {
            self.notes.error(
                row,
                column,
                "formula",
                "a spreadsheet would run this as a formula",
            );
            return None;
        }
        Some(text)
    }

    /// An amount of `currency` that is not negative.
    pub fn price(&mut self, row: u64, column: &str, cell: &str, currency: Currency) -> Option<i64> {
        match Money::parse(cell, currency) {
            Ok(money) if (0..=MINOR_MAX).contains(&money.minor) => Some(money.minor),
            Err(MoneyError::TooManyDecimals(_)) => {
                self.notes.error(
                    row,
                    column,
                    "too_many_decimals",
                    format!("{currency} has {} decimals", currency.exponent()),
                );
                None
            }
            Ok(_)
            | Err(
                MoneyError::NotAnAmount
                | MoneyError::Overflow
                | MoneyError::CurrencyMismatch { .. },
            ) => {
                self.notes.error(row, column, "bad_price", "not a price");
                None
            }
        }
    }

    /// A quantity whose magnitude a line can hold; negative ones are the caller's to judge.
    pub fn quantity(&mut self, row: u64, column: &str, cell: &str) -> Option<Quantity> {
        match Quantity::parse(cell) {
            Ok(quantity)
                if quantity.thousandths().unsigned_abs() <= QUANTITY_MAX.unsigned_abs() =>
            {
                Some(quantity)
            }
            Ok(_) | Err(_) => {
                self.notes
                    .error(row, column, "bad_quantity", "not a quantity");
                None
            }
        }
    }

    /// A barcode with a right check digit.
    pub fn gtin(&mut self, row: u64, column: &str, cell: &str) -> Option<Gtin> {
        match Gtin::parse(cell) {
            Ok(gtin) => Some(gtin),
            Err(error @ GtinError::Shape) => {
                self.notes.error(row, column, "bad_gtin", error.to_string());
                None
            }
            Err(error @ GtinError::CheckDigit { .. }) => {
                self.notes
                    .error(row, column, "bad_check_digit", error.to_string());
                None
            }
        }
    }
}

/// Names of the columns that a format keeps the unique things of a variant in.
pub(crate) struct VariantColumns<'a> {
    pub sku: &'a str,
    pub gtin: &'a str,
    pub option: &'a str,
}

/// Whether a spreadsheet would take the text for a formula; plain signed numbers (`-2.25`, a lens) are none.
fn is_formula(text: &str) -> bool {
    match text.chars().next() {
        Some('=' | '@') => true,
        Some('+' | '-') => {
            let rest = &text[1..];
            rest.is_empty()
                || !rest
                    .chars()
                    .all(|ch| ch.is_ascii_digit() || matches!(ch, '.' | ','))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_told_from_signed_numbers() {
        for (text, formula) in [
            ("=1+1", true),
            ("@SUM(A1)", true),
            ("+cmd|' /C calc'!A0", true),
            ("-2+3", true),
            ("-", true),
            ("-2.25", false),
            ("+1,5", false),
            ("42", false),
            ("T-shirt", false),
        ] {
            assert_eq!(is_formula(text), formula, "{text}");
        }
    }
}
