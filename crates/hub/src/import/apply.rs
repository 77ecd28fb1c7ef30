//! Writes a checked file into the catalogue, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use domain::catalog::{DatedPrice, KitPart, PriceRow, Style, Variant};
use domain::event::{CountReason, Counted, Fact, MAIN_ZONE, StockCounted};
use domain::ids::{LocationId, PriceListId, StyleId, VariantId};
use domain::quantity::Quantity;
use domain::text::fold_for_search;
use domain::time::{BusinessDate, Now};
use sync_protocol::FeedName;

use super::{ImportContext, ImportOptions, ImportReport, Notes, Parsed, VariantIn, parse};
use crate::fold::{Fold, FoldError, Origin};
use crate::lifecycle::{Hub, Identity};
use crate::office::variant_by_id;
use crate::own_stream::append;
use crate::shops::{all_stores, from_row, to_row};
use crate::store::{FeedWriter, StoreError, StoreResult, Tx, VariantRow};

/// Items of one count event: its bytes stay small enough for any push and any screen.
const COUNT_ITEMS_MAX: usize = 500;
/// Variants between two reports of progress.
const PROGRESS_STEP: usize = 256;

impl Hub {
    /// Imports a CSV file, or only checks it. With any error the catalogue stays as it was.
    /// `progress` is told how many of how many variants are written.
    ///
    /// # Errors
    /// [`StoreError`]; what is wrong with the file is in the report.
    pub fn import(
        &mut self,
        bytes: &[u8],
        options: &ImportOptions,
        now: &Now,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<ImportReport, StoreError> {
        let context = self.store.read(read_context)?;
        let mut parsed = parse(bytes, options, &context);
        let identity = self.identity.clone();
        let entropy = &mut self.entropy;
        let work = |tx: &Tx<'_>| -> StoreResult<ImportReport> {
            let known = check_against(tx, &mut parsed)?;
            let mut report = report(&parsed, &known);
            if options.dry_run || report.errors_total > 0 {
                return Ok(report);
            }
            let mut import = Import {
                tx,
                identity: &identity,
                entropy,
                now,
                valid_from: options.valid_from,
            };
            let ids = import.catalogue(&parsed, &known, progress)?;
            import.opening_stock(&parsed.variants, &ids)?;
            report.applied = true;
            Ok(report)
        };
        if options.dry_run {
            self.store.read(work)
        } else {
            self.store.write(work)
        }
    }
}

fn read_context(tx: &Tx<'_>) -> StoreResult<ImportContext> {
    Ok(ImportContext {
        price_lists: tx.price_lists()?,
        locations: tx.locations()?.into_keys().collect(),
        taxes: all_stores(tx)?
            .into_iter()
            .flat_map(|store| store.taxes)
            .map(|tax| tax.category)
            .collect(),
    })
}

/// What the catalogue already has of a file: styles and variants by their position in it.
struct Known {
    styles: Vec<Option<StyleId>>,
    variants: Vec<Option<VariantRow>>,
    /// Parts of kits; none where the file does not speak of them.
    parts: Vec<Option<Vec<PartIn>>>,
}

/// A part of a kit, found.
struct PartIn {
    article: Article,
    quantity: Quantity,
}

/// Where an article stands that a row speaks of.
#[derive(Clone, Copy, PartialEq)]
enum Article {
    /// By its position in the file.
    InFile(usize),
    /// In the catalogue alone.
    Known(VariantId),
}

fn check_against(tx: &Tx<'_>, parsed: &mut Parsed) -> StoreResult<Known> {
    let styles = parsed
        .styles
        .iter()
        .map(|style| tx.style_by_code(&style.code))
        .collect::<StoreResult<Vec<_>>>()?;
    let mut variants = Vec::with_capacity(parsed.variants.len());
    for variant in &parsed.variants {
        let known = tx.variant_by_sku(&variant.sku)?;
        if let Some(known) = &known
            && styles[variant.style] != Some(known.style)
        {
            parsed.notes.error(
                variant.row,
                "sku",
                "duplicate_sku",
                format!("SKU {} belongs to another style", variant.sku),
            );
        }
        variants.push(known);
    }
    let in_file: BTreeSet<VariantId> = variants.iter().flatten().map(|row| row.variant).collect();
    for (variant, known) in parsed.variants.iter().zip(&variants) {
        check_gtins(tx, variant, known.as_ref(), &in_file, &mut parsed.notes)?;
    }
    let parts = find_parts(tx, parsed, &variants)?;
    Ok(Known {
        styles,
        variants,
        parts,
    })
}

/// The parts of kits. A part is no kit, and what becomes a kit has no stock of its own that nobody could sell any more.
fn find_parts(
    tx: &Tx<'_>,
    parsed: &mut Parsed,
    known: &[Option<VariantRow>],
) -> StoreResult<Vec<Option<Vec<PartIn>>>> {
    let rows: Vec<&VariantIn> = parsed.variants.iter().collect();
    let is_kit = |row: &VariantIn| row.parts.as_ref().is_some_and(|parts| !parts.is_empty());
    if !rows.iter().any(|row| is_kit(row)) {
        return Ok(rows
            .iter()
            .map(|row| row.parts.as_ref().map(|_| Vec::new()))
            .collect());
    }
    let in_file: BTreeMap<&str, usize> = rows
        .iter()
        .enumerate()
        .map(|(index, row)| (row.sku.as_str(), index))
        .collect();
    let in_kits = parts_in_catalogue(tx, &in_file)?;
    let locations: Vec<LocationId> = tx.locations()?.into_keys().collect();
    let mut notes = Vec::new();
    let mut all = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let mut note = |code, message: String| notes.push((row.row, code, message));
        let mut found = Vec::new();
        for (sku, quantity) in row.parts.iter().flatten() {
            let article = match in_file.get(sku.as_str()) {
                Some(at) => Some((Article::InFile(*at), *at == index || is_kit(rows[*at]))),
                None => match tx.variant_by_sku(sku)? {
                    Some(row) => {
                        let kit = is_kit_now(tx, row.variant)?;
                        Some((Article::Known(row.variant), kit))
                    }
                    None => None,
                },
            };
            match article {
                None => note("unknown_part", format!("no article has the SKU {sku}")),
                Some((_, true)) => note("kit_in_kit", format!("{sku} is a kit, or this one")),
                Some((article, false)) => found.push(PartIn {
                    article,
                    quantity: *quantity,
                }),
            }
        }
        if is_kit(row)
            && let Some(known) = &known[index]
            && !is_kit_now(tx, known.variant)?
        {
            if in_kits.contains(&known.variant) {
                note("kit_in_kit", format!("{} is a part of a kit", row.sku));
            }
            for location in &locations {
                if !tx.zones(known.variant, location)?.is_empty() {
                    note(
                        "kit_has_stock",
                        format!(
                            "{location} has stock of {}: a kit needs a SKU of its own",
                            row.sku
                        ),
                    );
                    break;
                }
            }
        }
        all.push(row.parts.as_ref().map(|_| found));
    }
    for (row, code, message) in notes {
        parsed.notes.error(row, "kit", code, message);
    }
    Ok(all)
}

/// What is a part of a kit of the catalogue that the file does not have.
fn parts_in_catalogue(
    tx: &Tx<'_>,
    in_file: &BTreeMap<&str, usize>,
) -> StoreResult<BTreeSet<VariantId>> {
    let mut parts = BTreeSet::new();
    for (_, row) in tx.feed_rows_with(&FeedName::Catalogue, "variant:")? {
        // Most articles are none, and a catalogue is long.
        if !row.contains("\"parts\"") {
            continue;
        }
        let variant: Variant = from_row(&row, "variant")?;
        if !in_file.contains_key(variant.sku.as_str()) {
            parts.extend(variant.parts.into_iter().map(|part| part.variant));
        }
    }
    Ok(parts)
}

fn is_kit_now(tx: &Tx<'_>, variant: VariantId) -> StoreResult<bool> {
    Ok(variant_by_id(tx, variant)?.is_some_and(|row| row.is_kit()))
}

/// A barcode may change hands only between variants of the same file, which is checked for doubles already.
fn check_gtins(
    tx: &Tx<'_>,
    variant: &VariantIn,
    known: Option<&VariantRow>,
    in_file: &BTreeSet<VariantId>,
    notes: &mut Notes,
) -> StoreResult<()> {
    for gtin in &variant.gtins {
        let Some(owner) = tx.gtin_owner(&gtin.as_14_digits())? else {
            continue;
        };
        let own = known.is_some_and(|known| known.variant == owner);
        if !own && !in_file.contains(&owner) {
            notes.error(
                variant.row,
                "gtins",
                "duplicate_gtin",
                format!("code {gtin} belongs to another variant of the catalogue"),
            );
        }
    }
    Ok(())
}

fn report(parsed: &Parsed, known: &Known) -> ImportReport {
    let sum = |count: fn(&VariantIn) -> usize| -> u64 {
        parsed
            .variants
            .iter()
            .map(|variant| count(variant) as u64)
            .sum()
    };
    ImportReport {
        format: parsed.format,
        applied: false,
        rows: parsed.rows,
        styles: parsed.styles.len() as u64,
        variants: parsed.variants.len() as u64,
        new_variants: known.variants.iter().filter(|row| row.is_none()).count() as u64,
        gtins: sum(|variant| variant.gtins.len()),
        prices: sum(|variant| variant.prices.len()),
        counted: sum(|variant| variant.stock.len()),
        errors: parsed.notes.errors.clone(),
        errors_total: parsed.notes.errors_total,
        warnings: parsed.notes.warnings.clone(),
    }
}

/// What a row of the catalogue has besides the cells of the file.
struct NewRow {
    id: VariantId,
    number: u32,
    parts: Option<Vec<KitPart>>,
}

struct Import<'a, 'c> {
    tx: &'a Tx<'c>,
    identity: &'a Identity,
    entropy: &'a mut domain::entropy::Entropy,
    now: &'a Now,
    valid_from: BusinessDate,
}

impl Import<'_, '_> {
    /// Writes styles, variants, barcodes and prices; returns the variants' ids by position.
    fn catalogue(
        &mut self,
        parsed: &Parsed,
        known: &Known,
        progress: &mut dyn FnMut(usize, usize),
    ) -> StoreResult<Vec<VariantId>> {
        let tx = self.tx;
        let locations: Vec<LocationId> = tx.locations()?.into_keys().collect();
        let mut writer = tx.feed_writer(&FeedName::Catalogue)?;
        let mut styles = Vec::with_capacity(parsed.styles.len());
        for (style, known) in parsed.styles.iter().zip(&known.styles) {
            let id = match known {
                Some(id) => *id,
                None => {
                    let id = StyleId(self.entropy.next_uuid(self.now.wall_ms));
                    tx.insert_style(id, &style.code)?;
                    id
                }
            };
            let row = Style {
                style: id,
                code: style.code.clone(),
                names: style.names.clone(),
                brand: style.brand.clone(),
                category: style.category.clone(),
                options: style.options.clone(),
            };
            writer.put(&format!("style:{id}"), Some(&to_row(&row, "style")?))?;
            styles.push(row);
        }
        // Barcodes that change hands within the file leave their old variants first.
        for row in known.variants.iter().flatten() {
            tx.put_gtins(row.variant, &[])?;
        }
        let mut lists: BTreeMap<PriceListId, FeedWriter<'_, '_>> = BTreeMap::new();
        let mut number = tx.variant_number_max()?;
        // A kit may stand before its parts.
        let mut numbered = Vec::with_capacity(parsed.variants.len());
        for known in &known.variants {
            numbered.push(match known {
                Some(row) => (row.variant, row.number),
                None => {
                    number += 1;
                    (VariantId(self.entropy.next_uuid(self.now.wall_ms)), number)
                }
            });
        }
        let mut ids = Vec::with_capacity(parsed.variants.len());
        for (done, (variant, before)) in parsed.variants.iter().zip(&known.variants).enumerate() {
            if done % PROGRESS_STEP == 0 {
                progress(done, parsed.variants.len());
            }
            let style = &styles[variant.style];
            let (id, number) = numbered[done];
            let part = |part: &PartIn| KitPart {
                variant: match part.article {
                    Article::InFile(at) => numbered[at].0,
                    Article::Known(variant) => variant,
                },
                quantity: part.quantity,
            };
            let parts = known.parts[done].as_ref();
            let parts = parts.map(|parts| parts.iter().map(part).collect());
            let new = NewRow { id, number, parts };
            let row = self.variant_row(variant, style, new, before.is_some())?;
            tx.put_variant(&VariantRow {
                variant: id,
                number,
                sku: variant.sku.clone(),
                style: style.style,
                search: search_text(style, variant),
            })?;
            let gtins: Vec<String> = variant.gtins.iter().map(|g| g.as_14_digits()).collect();
            tx.put_gtins(id, &gtins)?;
            writer.put(&format!("variant:{id}"), Some(&to_row(&row, "variant")?))?;
            let since = if before.is_some() {
                writer.version()
            } else {
                0
            };
            tx.index_class(&row, &locations, since)?;
            for (list, minor) in &variant.prices {
                let feed = FeedName::Price(list.clone());
                if !lists.contains_key(list) {
                    lists.insert(list.clone(), tx.feed_writer(&feed)?);
                }
                if let Some(writer) = lists.get_mut(list) {
                    let old = tx.feed_row(&feed, &id.to_string())?;
                    let row = with_price(old.as_deref(), id, self.valid_from, *minor)?;
                    writer.put(&id.to_string(), Some(&to_row(&row, "price")?))?;
                }
            }
            ids.push(id);
        }
        for writer in lists.into_values() {
            writer.finish()?;
        }
        writer.finish()?;
        progress(parsed.variants.len(), parsed.variants.len());
        Ok(ids)
    }

    /// The variant's row; what the file does not speak of stays as it was.
    fn variant_row(
        &self,
        variant: &VariantIn,
        style: &Style,
        NewRow { id, number, parts }: NewRow,
        known: bool,
    ) -> StoreResult<Variant> {
        let old = if known {
            variant_by_id(self.tx, id)?
        } else {
            None
        };
        Ok(Variant {
            variant: id,
            number,
            style: style.style,
            sku: variant.sku.clone(),
            options: variant.options.clone(),
            gtins: variant.gtins.clone(),
            tax: variant.tax.clone(),
            class: variant.class,
            archived: variant
                .archived
                .unwrap_or_else(|| old.as_ref().is_some_and(|old| old.archived)),
            parts: match (parts, &old) {
                (Some(parts), _) => parts,
                (None, Some(old)) => old.parts.clone(),
                (None, None) => Vec::new(),
            },
            classes: old.map(|old| old.classes).unwrap_or_default(),
        })
    }

    /// Writes counts into the hub's own stream; their cut is all that the hub has folded.
    fn opening_stock(&mut self, variants: &[VariantIn], ids: &[VariantId]) -> StoreResult<()> {
        let mut by_location: BTreeMap<&LocationId, Vec<Counted>> = BTreeMap::new();
        for (variant, id) in variants.iter().zip(ids) {
            for (location, quantity) in &variant.stock {
                by_location.entry(location).or_default().push(Counted {
                    variant: *id,
                    quantity: *quantity,
                    expected: None,
                    looked: None,
                    ago_ms: 0,
                });
            }
        }
        let mut fold = Fold::new(self.tx);
        for (location, items) in by_location {
            for items in items.chunks(COUNT_ITEMS_MAX) {
                let cut = self
                    .tx
                    .streams()?
                    .into_iter()
                    .map(|row| (row.stream, row.head_seq))
                    .collect();
                let fact = Fact::StockCounted(StockCounted {
                    approved_by: None,
                    location: location.clone(),
                    zone: MAIN_ZONE.to_owned(),
                    cut,
                    items: items.to_vec(),
                    reason: CountReason::Opening,
                    document: None,
                    user: None,
                });
                let at = append(self.tx, self.identity, self.entropy, &fact, self.now)?;
                fold.apply(
                    &Origin {
                        till: None,
                        branch: 0,
                    },
                    &at,
                    &fact,
                )
                .map_err(|error| match error {
                    FoldError::Store(error) => error,
                    FoldError::Overflow => StoreError::Corrupt("stock"),
                })?;
            }
        }
        fold.finish()?;
        Ok(())
    }
}

/// The price row with one price more, unless that price holds on that day already.
fn with_price(
    old: Option<&str>,
    variant: VariantId,
    from: BusinessDate,
    minor: i64,
) -> StoreResult<PriceRow> {
    let mut row = match old {
        Some(old) => from_row::<PriceRow>(old, "price")?,
        None => PriceRow {
            variant,
            prices: Vec::new(),
        },
    };
    if row.at(from) == Some(minor) {
        return Ok(row);
    }
    row.prices.retain(|price| price.from != from);
    row.prices.push(DatedPrice { from, minor });
    row.prices.sort_by_key(|price| price.from);
    Ok(row)
}

fn search_text(style: &Style, variant: &VariantIn) -> String {
    let mut text = [
        style.names.fr.as_str(),
        &style.names.ar,
        &style.names.en,
        &style.brand,
        &style.category,
        &style.code,
        &variant.sku,
    ]
    .join(" ");
    for option in &variant.options {
        text.push(' ');
        text.push_str(option);
    }
    for gtin in &variant.gtins {
        text.push(' ');
        text.push_str(&gtin.as_14_digits());
    }
    fold_for_search(&text)
}
