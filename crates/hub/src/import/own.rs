//! Our own format: one row is one variant, with a column per price list and per location.

use domain::catalog::{KIT_PARTS_MAX, Names, StockClass};
use domain::ids::{LocationId, PriceListId, TaxCategory};
use domain::money::Currency;
use domain::quantity::Quantity;

use super::{
    CODE_CHARS_MAX, Cells, ImportContext, ImportOptions, NAME_CHARS_MAX, Notes, Sink, StyleIn,
    VariantColumns, VariantIn,
};

const COLUMNS: &[&str] = &[
    "style",
    "name_fr",
    "name_ar",
    "name_en",
    "brand",
    "category",
    "tax",
    "class",
    "option1_name",
    "option1_value",
    "option2_name",
    "option2_value",
    "option3_name",
    "option3_value",
    "sku",
    "gtins",
    KIT,
];
const KIT: &str = "kit";
const REQUIRED: &[&str] = &["style", "name_fr", "tax", "sku"];
const OPTIONS: [(&str, &str); 3] = [
    ("option1_name", "option1_value"),
    ("option2_name", "option2_value"),
    ("option3_name", "option3_value"),
];
const UNIQUE: VariantColumns<'static> = VariantColumns {
    sku: "sku",
    gtin: "gtins",
    option: "option1_value",
};

pub(super) struct Reader<'a> {
    context: &'a ImportContext,
    speaks_of_kits: bool,
    prices: Vec<(String, PriceListId, Currency)>,
    stock: Vec<(String, LocationId)>,
}

impl<'a> Reader<'a> {
    /// Reads the header; none when a column is missing or unknown.
    pub fn new(
        columns: &[String],
        options: &ImportOptions,
        context: &'a ImportContext,
        notes: &mut Notes,
    ) -> Option<Reader<'a>> {
        let before = notes.errors_total;
        for required in REQUIRED {
            if !columns.iter().any(|column| column == required) {
                notes.error(1, required, "missing_column", "the column is missing");
            }
        }
        let mut reader = Reader {
            context,
            speaks_of_kits: columns.iter().any(|column| column == KIT),
            prices: Vec::new(),
            stock: Vec::new(),
        };
        for column in columns {
            match column.split_once(':') {
                Some(("price", name)) => match PriceListId::new(name)
                    .ok()
                    .and_then(|list| Some((context.price_lists.get(&list).copied()?, list)))
                {
                    Some((currency, list)) => {
                        reader.prices.push((column.clone(), list, currency));
                    }
                    None => notes.error(1, column, "unknown_price_list", "no such price list"),
                },
                Some(("stock", name)) => match LocationId::new(name)
                    .ok()
                    .filter(|location| context.locations.contains(location))
                {
                    Some(location) if options.opening_stock => {
                        reader.stock.push((column.clone(), location));
                    }
                    Some(_) => {}
                    None => notes.error(1, column, "unknown_location", "no such location"),
                },
                _ if COLUMNS.contains(&column.as_str()) => {}
                _ => notes.error(1, column, "unknown_column", "no such column"),
            }
        }
        (notes.errors_total == before).then_some(reader)
    }

    pub fn row(&mut self, sink: &mut Sink, row: u64, cells: &Cells<'_>) {
        let before = sink.notes.errors_total;
        let style = self.style(sink, row, cells);
        let variant =
            style.and_then(|(style, values)| self.variant(sink, row, cells, style, values));
        if let Some(variant) = variant.filter(|_| sink.notes.errors_total == before) {
            sink.add_variant(variant, &UNIQUE);
        }
    }

    /// The style of the row, new or as before, and the row's option values.
    fn style(&self, sink: &mut Sink, row: u64, cells: &Cells<'_>) -> Option<(usize, Vec<String>)> {
        let mut text =
            |column: &str, chars_max| sink.text(row, column, cells.get(column), chars_max);
        let code = text("style", CODE_CHARS_MAX);
        let fr = text("name_fr", NAME_CHARS_MAX);
        let ar = text("name_ar", NAME_CHARS_MAX);
        let en = text("name_en", NAME_CHARS_MAX);
        let brand = text("brand", NAME_CHARS_MAX);
        let category = text("category", NAME_CHARS_MAX);
        let options = read_options(sink, row, cells);
        let (code, fr, ar, en) = (code?, fr?, ar?, en?);
        let (brand, category) = (brand?, category?);
        let (option_names, values) = options?;
        if code.is_empty() {
            sink.notes
                .error(row, "style", "missing_style", "the style has no code");
            return None;
        }
        if fr.is_empty() {
            sink.notes
                .error(row, "name_fr", "missing_name", "the French name is missing");
            return None;
        }
        let style = StyleIn {
            row,
            code,
            names: Names { fr, ar, en },
            brand,
            category,
            options: option_names,
        };
        let Some((index, first)) = sink.style(&style.code) else {
            return Some((sink.add_style(style), values));
        };
        let first_row = first.row;
        let differs = if first.options != style.options {
            Some(("option1_name", "inconsistent_options"))
        } else if first.names.fr != style.names.fr {
            Some(("name_fr", "inconsistent_style"))
        } else if first.names.ar != style.names.ar {
            Some(("name_ar", "inconsistent_style"))
        } else if first.names.en != style.names.en {
            Some(("name_en", "inconsistent_style"))
        } else if first.brand != style.brand {
            Some(("brand", "inconsistent_style"))
        } else if first.category != style.category {
            Some(("category", "inconsistent_style"))
        } else {
            None
        };
        if let Some((column, code)) = differs {
            sink.notes.error(
                row,
                column,
                code,
                format!("not the same as in row {first_row} of this style"),
            );
            return None;
        }
        Some((index, values))
    }

    fn variant(
        &self,
        sink: &mut Sink,
        row: u64,
        cells: &Cells<'_>,
        style: usize,
        options: Vec<String>,
    ) -> Option<VariantIn> {
        let sku = sink.text(row, "sku", cells.get("sku"), CODE_CHARS_MAX);
        if sku.as_deref() == Some("") {
            sink.notes
                .error(row, "sku", "missing_sku", "the SKU is missing");
        }
        let gtins: Vec<_> = cells
            .get("gtins")
            .split('|')
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .filter_map(|cell| sink.gtin(row, "gtins", cell))
            .collect();
        let tax = self.tax(sink, row, cells.get("tax"));
        let class = class(sink, row, cells.get("class"));
        let parts = if self.speaks_of_kits {
            Some(parts(sink, row, cells.get(KIT))?)
        } else {
            None
        };
        let is_kit = parts.as_ref().is_some_and(|parts| !parts.is_empty());
        if is_kit && !matches!(cells.get("class"), "" | "untracked") {
            sink.notes.error(
                row,
                "class",
                "kit_class",
                "the articles in a kit have stock classes, the kit has none",
            );
        }
        let mut prices = Vec::new();
        for (column, list, currency) in &self.prices {
            let cell = cells.get(column);
            if !cell.is_empty()
                && let Some(minor) = sink.price(row, column, cell, *currency)
            {
                prices.push((list.clone(), minor));
            }
        }
        let mut stock = Vec::new();
        for (column, location) in &self.stock {
            let cell = cells.get(column);
            if cell.is_empty() {
                continue;
            }
            let Some(quantity) = sink.quantity(row, column, cell) else {
                continue;
            };
            if quantity < Quantity::ZERO {
                sink.notes.error(
                    row,
                    column,
                    "negative_stock",
                    "nobody can count less than nothing",
                );
            } else if is_kit || class == Some(StockClass::Untracked) {
                sink.notes.warning(
                    row,
                    column,
                    "untracked_stock",
                    "no stock is kept of an untracked variant",
                );
            } else {
                stock.push((location.clone(), quantity));
            }
        }
        Some(VariantIn {
            row,
            style,
            sku: sku?,
            options,
            gtins,
            tax: tax?,
            class: class?,
            parts,
            archived: None,
            prices,
            stock,
        })
    }

    fn tax(&self, sink: &mut Sink, row: u64, cell: &str) -> Option<TaxCategory> {
        let known = TaxCategory::new(cell)
            .ok()
            .filter(|tax| self.context.taxes.contains(tax));
        if known.is_none() {
            sink.notes.error(
                row,
                "tax",
                "unknown_tax_category",
                "no store has a rate for it",
            );
        }
        known
    }
}

/// What a kit is made of: `2*SKU|SKU`. Nothing for an empty cell.
fn parts(sink: &mut Sink, row: u64, cell: &str) -> Option<Vec<(String, Quantity)>> {
    let before = sink.notes.errors_total;
    let mut parts: Vec<(String, Quantity)> = Vec::new();
    for part in cell.split('|').map(str::trim) {
        if part.is_empty() {
            continue;
        }
        // A SKU may hold a star, too.
        let (quantity, sku) = match part.split_once('*') {
            Some((count, sku)) if Quantity::parse(count.trim()).is_ok() => {
                (sink.quantity(row, KIT, count.trim())?, sku.trim())
            }
            Some(_) | None => (Quantity::ONE, part),
        };
        if quantity <= Quantity::ZERO {
            sink.notes.error(
                row,
                KIT,
                "bad_quantity",
                "a kit holds more than nothing of a part",
            );
        } else if parts.iter().any(|(known, _)| known == sku) {
            sink.notes
                .error(row, KIT, "duplicate_part", format!("{sku} is there twice"));
        } else {
            parts.push((sku.to_owned(), quantity));
        }
    }
    if parts.len() > KIT_PARTS_MAX {
        sink.notes.error(
            row,
            KIT,
            "too_many_parts",
            format!("more than {KIT_PARTS_MAX} parts"),
        );
    }
    (sink.notes.errors_total == before).then_some(parts)
}

fn class(sink: &mut Sink, row: u64, cell: &str) -> Option<StockClass> {
    match cell {
        "" | "shelf" => Some(StockClass::Shelf),
        "strict" => Some(StockClass::Strict),
        "untracked" => Some(StockClass::Untracked),
        _ => {
            sink.notes
                .error(row, "class", "unknown_class", "shelf, strict or untracked");
            None
        }
    }
}

/// Names and values of the options; each name needs a value and none may be left out before another.
fn read_options(
    sink: &mut Sink,
    row: u64,
    cells: &Cells<'_>,
) -> Option<(Vec<String>, Vec<String>)> {
    let mut names = Vec::new();
    let mut values = Vec::new();
    let mut ended = false;
    for (name_column, value_column) in OPTIONS {
        let name = sink.text(row, name_column, cells.get(name_column), NAME_CHARS_MAX)?;
        let value = sink.text(row, value_column, cells.get(value_column), NAME_CHARS_MAX)?;
        match (name.is_empty(), value.is_empty()) {
            (true, true) => ended = true,
            (false, false) if !ended => {
                names.push(name);
                values.push(value);
            }
            (false, false) | (true, false) | (false, true) => {
                sink.notes.error(
                    row,
                    name_column,
                    "inconsistent_options",
                    "an option needs a name and a value, and none before it may be empty",
                );
                return None;
            }
        }
    }
    Some((names, values))
}
