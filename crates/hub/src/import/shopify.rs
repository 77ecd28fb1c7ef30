//! Shopify's product export: the rows of one `Handle` are one style, the first of them names it.

use domain::catalog::{Names, StockClass};
use domain::ids::{LocationId, PriceListId, TaxCategory};
use domain::money::Currency;
use domain::quantity::Quantity;

use super::{
    CODE_CHARS_MAX, Cells, ImportContext, ImportOptions, NAME_CHARS_MAX, Notes, Sink, StyleIn,
    VariantColumns, VariantIn,
};

const NAME_COLUMNS: [&str; 3] = ["Option1 Name", "Option2 Name", "Option3 Name"];
const VALUE_COLUMNS: [&str; 3] = ["Option1 Value", "Option2 Value", "Option3 Value"];
/// What Shopify writes for a product without options.
const NO_OPTION: &str = "Default Title";
const UNIQUE: VariantColumns<'static> = VariantColumns {
    sku: "Variant SKU",
    gtin: "Variant Barcode",
    option: "Option1 Value",
};

pub(super) struct Reader {
    list: PriceListId,
    currency: Currency,
    tax: TaxCategory,
    stock_location: Option<LocationId>,
}

impl Reader {
    /// Checks header and options; none when something is missing or unknown.
    pub fn new(
        columns: &[String],
        options: &ImportOptions,
        context: &ImportContext,
        notes: &mut Notes,
    ) -> Option<Reader> {
        let before = notes.errors_total;
        for required in ["Title", "Option1 Name", "Option1 Value"] {
            if !columns.iter().any(|column| column == required) {
                notes.error(1, required, "missing_column", "the column is missing");
            }
        }
        let list = match &options.price_list {
            None => {
                notes.error(
                    1,
                    "Variant Price",
                    "price_list_needed",
                    "say which price list the prices belong to",
                );
                None
            }
            Some(list) => match context.price_lists.get(list) {
                Some(currency) => Some((list.clone(), *currency)),
                None => {
                    notes.error(
                        1,
                        "Variant Price",
                        "unknown_price_list",
                        format!("no price list {list}"),
                    );
                    None
                }
            },
        };
        if !context.taxes.contains(&options.tax) {
            notes.error(
                1,
                "",
                "unknown_tax_category",
                format!("no store has a rate for {}", options.tax),
            );
        }
        if let Some(location) = &options.stock_location
            && !context.locations.contains(location)
        {
            notes.error(
                1,
                "Variant Inventory Qty",
                "unknown_location",
                format!("no location {location}"),
            );
        }
        let (list, currency) = list?;
        (notes.errors_total == before).then(|| Reader {
            list,
            currency,
            tax: options.tax.clone(),
            stock_location: options.stock_location.clone(),
        })
    }

    pub fn row(&mut self, sink: &mut Sink, row: u64, cells: &Cells<'_>) {
        let before = sink.notes.errors_total;
        let Some(handle) = sink.text(row, "Handle", cells.get("Handle"), CODE_CHARS_MAX * 4) else {
            return;
        };
        if handle.is_empty() {
            sink.notes
                .error(row, "Handle", "missing_style", "the handle is missing");
            return;
        }
        let index = match sink.style(&handle) {
            // Rows that only carry another picture of the product.
            Some(_)
                if cells.get("Option1 Value").is_empty()
                    && cells.get("Variant Price").is_empty() =>
            {
                return;
            }
            Some((index, _)) => Some(index),
            None => read_style(sink, row, &handle, cells),
        };
        let variant = index.and_then(|index| self.variant(sink, row, &handle, index, cells));
        if let Some(variant) = variant.filter(|_| sink.notes.errors_total == before) {
            sink.add_variant(variant, &UNIQUE);
        }
    }

    fn variant(
        &self,
        sink: &mut Sink,
        row: u64,
        handle: &str,
        style: usize,
        cells: &Cells<'_>,
    ) -> Option<VariantIn> {
        let options = read_values(sink, row, handle, cells)?;
        let sku = read_sku(sink, row, handle, &options, cells)?;
        let barcode = unquoted(cells.get("Variant Barcode"));
        let gtins = if barcode.is_empty() {
            Vec::new()
        } else {
            vec![sink.gtin(row, "Variant Barcode", barcode)?]
        };
        let price = cells.get("Variant Price");
        if price.is_empty() {
            sink.notes.error(
                row,
                "Variant Price",
                "missing_price",
                "the price is missing",
            );
            return None;
        }
        let minor = sink.price(row, "Variant Price", price, self.currency)?;
        if cells.get("Variant Taxable").eq_ignore_ascii_case("false") {
            sink.notes.warning(
                row,
                "Variant Taxable",
                "not_taxable",
                format!("taken with tax category {} all the same", self.tax),
            );
        }
        let archived = match cells.get("Status") {
            "" => None,
            status => Some(status.eq_ignore_ascii_case("archived")),
        };
        Some(VariantIn {
            row,
            style,
            sku,
            options,
            gtins,
            tax: self.tax.clone(),
            class: StockClass::Shelf,
            parts: None,
            archived,
            prices: vec![(self.list.clone(), minor)],
            stock: self.stock(sink, row, cells)?,
        })
    }

    fn stock(
        &self,
        sink: &mut Sink,
        row: u64,
        cells: &Cells<'_>,
    ) -> Option<Vec<(LocationId, Quantity)>> {
        let column = "Variant Inventory Qty";
        let cell = cells.get(column);
        let Some(location) = self.stock_location.as_ref().filter(|_| !cell.is_empty()) else {
            return Some(Vec::new());
        };
        let mut quantity = sink.quantity(row, column, cell)?;
        if quantity < Quantity::ZERO {
            // Shopify lets oversold stock go below zero; a shelf cannot.
            sink.notes.warning(
                row,
                column,
                "negative_stock_as_zero",
                format!("{quantity} was taken as 0"),
            );
            quantity = Quantity::ZERO;
        }
        Some(vec![(location.clone(), quantity)])
    }
}

fn read_style(sink: &mut Sink, row: u64, handle: &str, cells: &Cells<'_>) -> Option<usize> {
    let title = sink.text(row, "Title", cells.get("Title"), NAME_CHARS_MAX)?;
    let brand = sink.text(row, "Vendor", cells.get("Vendor"), NAME_CHARS_MAX)?;
    let category = sink.text(row, "Type", cells.get("Type"), NAME_CHARS_MAX)?;
    if title.is_empty() {
        sink.notes
            .error(row, "Title", "missing_name", "the title is missing");
        return None;
    }
    let mut options = Vec::new();
    if cells.get("Option1 Value") != NO_OPTION {
        for column in NAME_COLUMNS {
            let name = sink.text(row, column, cells.get(column), NAME_CHARS_MAX)?;
            if !name.is_empty() {
                options.push(name);
            }
        }
    }
    Some(sink.add_style(StyleIn {
        row,
        code: handle.to_owned(),
        names: Names {
            fr: title,
            ar: String::new(),
            en: String::new(),
        },
        brand,
        category,
        options,
    }))
}

fn read_values(sink: &mut Sink, row: u64, handle: &str, cells: &Cells<'_>) -> Option<Vec<String>> {
    let wanted = sink
        .style(handle)
        .map_or(0, |(_, style)| style.options.len());
    let mut values = Vec::new();
    for column in VALUE_COLUMNS {
        let value = sink.text(row, column, cells.get(column), NAME_CHARS_MAX)?;
        let none = value.is_empty() || wanted == 0 && value == NO_OPTION;
        if !none {
            values.push(value);
        }
    }
    if values.len() != wanted {
        sink.notes.error(
            row,
            "Option1 Value",
            "inconsistent_options",
            format!(
                "{} option values, the product has {wanted} options",
                values.len()
            ),
        );
        return None;
    }
    Some(values)
}

/// The SKU, or one made of handle and options where the shop never gave one.
fn read_sku(
    sink: &mut Sink,
    row: u64,
    handle: &str,
    options: &[String],
    cells: &Cells<'_>,
) -> Option<String> {
    let sku = sink.text(
        row,
        "Variant SKU",
        unquoted(cells.get("Variant SKU")),
        CODE_CHARS_MAX,
    )?;
    if !sku.is_empty() {
        return Some(sku);
    }
    let mut made = slug(handle);
    for option in options {
        made.push('-');
        made.push_str(&slug(option));
    }
    Some(made)
}

/// Spreadsheets keep long numbers as text by an apostrophe, which exports then carry.
fn unquoted(cell: &str) -> &str {
    cell.strip_prefix('\'').unwrap_or(cell)
}

/// Lower case letters and digits of any script, everything else one hyphen.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for ch in text.chars().flat_map(char::to_lowercase) {
        if ch.is_alphanumeric() {
            slug.push(ch);
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skus_are_made_of_any_script() {
        for (text, made) in [
            ("Small", "small"),
            ("42 1/3", "42-1-3"),
            ("  Bleu/Noir ", "bleu-noir"),
            ("أزرق", "أزرق"),
        ] {
            assert_eq!(slug(text), made);
        }
    }
}
