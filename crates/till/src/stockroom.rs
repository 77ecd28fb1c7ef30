//! Looking things up: the catalogue by words or barcode, and the stock of a variant with its age.

use std::collections::BTreeMap;

use domain::catalog::{KitPart, Names, StockClass, Variant};
use domain::event::{AdjustReason, Fact};
use domain::ids::{LocationId, VariantId};
use domain::quantity::Quantity;
use domain::stock::StockAccount;
use ledger::{Item, StockKnown};

use crate::door::{
    CountAt, LineageKind, LineageStepView, LineageView, PartView, Refusal, RefusalCode, Reply,
    StockAt, StockView, VariantView,
};
use crate::till::{Call, Outcome, Till, storage_refusal};
use crate::views::options_text;

/// Rows of a search unless asked otherwise.
const ROWS_DEFAULT: u32 = 30;
/// Most rows of a search.
pub(crate) const ROWS_MAX: u32 = 100;
/// Steps of a lineage shown beside those that count.
const OLDER_STEPS: usize = 50;
/// Longest query looked at.
const QUERY_CHARS_MAX: usize = 80;

impl Till {
    pub(crate) fn search(
        &self,
        query: &str,
        offset: u32,
        limit: Option<u32>,
        call: &Call,
    ) -> Outcome {
        self.signed_in()?;
        let terms = self.terms(call)?;
        let limit = limit.unwrap_or(ROWS_DEFAULT).clamp(1, ROWS_MAX);
        let query: String = query
            .chars()
            .filter(|c| !c.is_control())
            .take(QUERY_CHARS_MAX)
            .collect();
        let found = self
            .book()?
            .search(&query, offset, limit)
            .map_err(|error| storage_refusal(&error))?;
        let more = found.len() > limit as usize;
        let mut rows = Vec::new();
        for item in found.into_iter().take(limit as usize) {
            rows.push(self.variant_view(item, &terms)?);
        }
        Ok(Reply::Variants { rows, more })
    }

    fn variant_view(
        &self,
        item: Item,
        terms: &crate::checkout::Terms,
    ) -> Result<VariantView, Refusal> {
        let book = self.book()?;
        let failed = |error: ledger::LedgerError| storage_refusal(&error);
        let Item { variant, style } = item;
        let parts = self.kit_parts(&variant)?;
        let class = class_of(&variant, &parts, &terms.store.location);
        let known = match class {
            StockClass::Untracked => None,
            StockClass::Shelf | StockClass::Strict => {
                self.known_at(&variant, &parts, &terms.store.location)?
            }
        };
        Ok(VariantView {
            variant: variant.variant,
            price_minor: book.price(variant.variant, terms.date).map_err(failed)?,
            options: options_text(&variant.options),
            gtin: variant
                .gtins
                .first()
                .map(ToString::to_string)
                .unwrap_or_default(),
            sku: variant.sku,
            names: style.names,
            brand: style.brand,
            stock: known.map(|known| known.quantity),
            class,
            parts: parts
                .into_iter()
                .map(|(part, item)| match item {
                    Some(item) => PartView {
                        sku: item.variant.sku,
                        names: item.style.names,
                        options: options_text(&item.variant.options),
                        quantity: part.quantity,
                    },
                    None => PartView {
                        sku: String::new(),
                        names: Names::default(),
                        options: String::new(),
                        quantity: part.quantity,
                    },
                })
                .collect(),
        })
    }

    /// The parts of a kit, with what the catalogue says of them.
    fn kit_parts(&self, kit: &Variant) -> Result<Vec<(KitPart, Option<Item>)>, Refusal> {
        let part = |part: &KitPart| {
            let item = self.book()?.item(part.variant);
            Ok((*part, item.map_err(|error| storage_refusal(&error))?))
        };
        kit.parts.iter().map(part).collect()
    }

    /// Stock of a variant at a location: of a kit, how many whole ones its parts are enough for, as old as the oldest
    /// figure of them. None where nothing is known.
    fn known_at(
        &self,
        variant: &Variant,
        parts: &[(KitPart, Option<Item>)],
        location: &LocationId,
    ) -> Result<Option<StockKnown>, Refusal> {
        let book = self.book()?;
        let stock = |variant| {
            let known = book.stock(variant, location);
            known.map_err(|error| storage_refusal(&error))
        };
        if !variant.is_kit() {
            return stock(variant.variant);
        }
        let mut kits: Option<StockKnown> = None;
        for (part, item) in parts {
            let Some(item) = item else { return Ok(None) };
            if item.variant.class_at(location) == StockClass::Untracked {
                continue;
            }
            let Some(known) = stock(part.variant)? else {
                return Ok(None);
            };
            let enough = part.kits_of(known.quantity);
            kits = Some(match kits {
                None => StockKnown {
                    quantity: enough,
                    count: None,
                    ..known
                },
                Some(kits) => StockKnown {
                    quantity: kits.quantity.min(enough),
                    synced_wall: kits.synced_wall.min(known.synced_wall),
                    count: None,
                },
            });
        }
        Ok(kits)
    }

    pub(crate) fn find_code(&self, code: &str, call: &Call) -> Outcome {
        self.signed_in()?;
        let terms = self.terms(call)?;
        let item = self.item_of_code(code)?;
        let rows = vec![self.variant_view(item, &terms)?];
        Ok(Reply::Variants { rows, more: false })
    }

    /// Where a quantity comes from, so that nobody has to believe it.
    pub(crate) fn stock_lineage(&self, variant: VariantId, call: &Call) -> Outcome {
        self.signed_in()?;
        let terms = self.terms(call)?;
        let item = self.tracked(variant, &terms)?;
        let failed = |error: ledger::LedgerError| storage_refusal(&error);
        let book = self.book()?;
        let location = &terms.store.location;
        let lineage = book.lineage(variant, OLDER_STEPS).map_err(failed)?;
        let zones = book.stock_by_zone(variant, location).map_err(failed)?;
        let damaged = StockAccount::Damaged(location.clone());
        let damaged = book.held(&damaged, variant).map_err(failed)?;
        let transfers = book.open_transfers().map_err(failed)?;
        let in_transit = transfers
            .iter()
            .filter_map(|transfer| transfer.open.get(&variant))
            .fold(0_i64, |sum, open| sum.saturating_add(open.0));
        let minute = |wall| domain::time::local_minute(wall, terms.store.utc_offset_min);
        let mut steps = Vec::new();
        for entry in &lineage.entries {
            let Some((kind, reference, reason)) = told(&entry.fact) else {
                continue;
            };
            for (zone, step) in &entry.zones {
                steps.push(LineageStepView {
                    kind,
                    seq: entry.seq,
                    at: minute(entry.event.wall),
                    zone: zone.clone(),
                    quantity: step.quantity,
                    counts: step.counts,
                    reference: reference.clone(),
                    reason,
                });
            }
        }
        let age_ms = lineage
            .synced_wall
            .map(|wall| (call.now.wall_ms - wall).max(0));
        Ok(Reply::Lineage(Box::new(LineageView {
            variant,
            sku: item.variant.sku,
            names: item.style.names,
            quantity: lineage.quantity,
            zones: if zones.len() > 1 {
                zones
            } else {
                BTreeMap::new()
            },
            served: lineage.served,
            age_ms,
            served_count: lineage.served_count.map(|at| CountAt {
                stream: at.stream.to_string(),
                seq: at.seq,
            }),
            start: lineage.start,
            damaged,
            in_transit: Quantity(in_transit),
            steps,
        })))
    }

    pub(crate) fn stock_of(&self, variant: VariantId, call: &Call) -> Outcome {
        self.signed_in()?;
        let terms = self.terms(call)?;
        let book = self.book()?;
        let item = book
            .item(variant)
            .map_err(|error| storage_refusal(&error))?
            .ok_or(RefusalCode::UnknownVariant)?;
        let parts = self.kit_parts(&item.variant)?;
        let own = std::iter::once(&terms.store.location);
        let others = terms
            .store
            .follows
            .iter()
            .filter(|location| **location != terms.store.location);
        let mut locations = Vec::new();
        for location in own.chain(others) {
            let known = self.known_at(&item.variant, &parts, location)?;
            let age_ms = known
                .as_ref()
                .and_then(|known| known.synced_wall)
                .map(|wall| call.now.wall_ms - wall);
            let code_only = || Names {
                fr: location.to_string(),
                ..Names::default()
            };
            locations.push(StockAt {
                location: location.clone(),
                name: terms
                    .store
                    .location_names
                    .get(location)
                    .cloned()
                    .unwrap_or_else(code_only),
                quantity: known.map(|known| known.quantity),
                age_ms: age_ms.map(|age| age.max(0)),
            });
        }
        let variant = self.variant_view(item, &terms)?;
        Ok(Reply::Stock(Box::new(StockView { variant, locations })))
    }
}

/// The stock class that screens show: of a kit the strictest of its parts.
fn class_of(
    variant: &Variant,
    parts: &[(KitPart, Option<Item>)],
    location: &LocationId,
) -> StockClass {
    let items = parts.iter().filter_map(|(_, item)| item.as_ref());
    let classes: Vec<StockClass> = items.map(|item| item.variant.class_at(location)).collect();
    [StockClass::Strict, StockClass::Shelf]
        .into_iter()
        .find(|class| classes.contains(class))
        .unwrap_or_else(|| variant.class_at(location))
}

/// What a fact did to stock, what it is found by, and why.
fn told(fact: &Fact) -> Option<(LineageKind, String, Option<AdjustReason>)> {
    Some(match fact {
        Fact::SaleCompleted(sale) => (LineageKind::Sold, sale.number.clone(), None),
        Fact::Reversed(reversed) => (LineageKind::Reversed, reversed.mirror.number.clone(), None),
        Fact::GoodsReceived(received) => {
            let reference = received.reference.clone().unwrap_or_default();
            (LineageKind::Received, reference, None)
        }
        Fact::StockAdjusted(adjusted) => {
            let note = adjusted.note.clone().unwrap_or_default();
            (LineageKind::Adjusted, note, Some(adjusted.reason))
        }
        Fact::TransferSent(sent) => (LineageKind::Sent, sent.to.to_string(), None),
        Fact::TransferReceived(received) => (LineageKind::Arrived, received.from.to_string(), None),
        Fact::ZoneMoved(moved) => {
            let way = format!("{} > {}", moved.from_zone, moved.to_zone);
            (LineageKind::Moved, way, None)
        }
        Fact::OrderPicked(_) => (LineageKind::Picked, String::new(), None),
        Fact::StockCounted(_) => (LineageKind::Counted, String::new(), None),
        _ => return None,
    })
}
