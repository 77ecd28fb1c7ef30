//! Looking things up: the catalogue by words or barcode, and the stock of a variant with its age.

use domain::catalog::{Names, StockClass};
use domain::ids::VariantId;
use ledger::Item;

use crate::door::{Refusal, RefusalCode, Reply, StockAt, StockView, VariantView};
use crate::till::{Call, Outcome, Till, storage_refusal};
use crate::views::options_text;

/// Rows of a search unless asked otherwise.
const ROWS_DEFAULT: u32 = 30;
/// Most rows of a search.
pub(crate) const ROWS_MAX: u32 = 100;
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
        let class = variant.class_at(&terms.store.location);
        let stock = match class {
            StockClass::Untracked => None,
            StockClass::Shelf | StockClass::Strict => book
                .stock(variant.variant, &terms.store.location)
                .map_err(failed)?
                .map(|known| known.quantity),
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
            stock,
            class,
        })
    }

    pub(crate) fn stock_of(&self, variant: VariantId, call: &Call) -> Outcome {
        self.signed_in()?;
        let terms = self.terms(call)?;
        let book = self.book()?;
        let item = book
            .item(variant)
            .map_err(|error| storage_refusal(&error))?
            .ok_or(RefusalCode::UnknownVariant)?;
        let own = std::iter::once(&terms.store.location);
        let others = terms
            .store
            .follows
            .iter()
            .filter(|location| **location != terms.store.location);
        let mut locations = Vec::new();
        for location in own.chain(others) {
            let known = book
                .stock(variant, location)
                .map_err(|error| storage_refusal(&error))?;
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
