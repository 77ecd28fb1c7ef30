//! From rules and rows to what screens show. No decision is made here.

use std::collections::{BTreeMap, BTreeSet};

use domain::cart::{Cart, CartLine, Discount};
use domain::catalog::{KitPart, StockClass};
use domain::event::{
    CashCount, CashStamp, GoodsLine, Override, OverrideKind, ShiftClosed, ShiftTotals, TaxTotal,
};
use domain::ids::VariantId;
use domain::money::Currency;
use domain::quantity::Quantity;
use domain::sale::CompleteSaleError;
use domain::time::Now;
use ledger::{OpenShift, Receipt, ReceiptBody};

use crate::checkout::{Terms, no_right, sale_refusal};
use crate::door::{
    CartView, CashStampView, CurrencyView, DiscountInput, LevyView, LineView, Pieces, ReceiptRow,
    Refusal, RefusalCode, ReportView, StoreView, TaxView, TenderView,
};
use crate::till::{Call, Till, drafts_refusal, storage_refusal};

/// Option values as one text.
pub(crate) fn options_text(options: &[String]) -> String {
    options.join(" / ")
}

impl Till {
    pub(crate) fn cart_view(
        &self,
        cart: &Cart,
        touched: Option<u32>,
        terms: &Terms,
        now: &Now,
    ) -> Result<CartView, Refusal> {
        let priced = self.priced(cart, terms)?;
        let due = domain::sale::due(priced.total_minor, &cart.tenders, terms.store.cash_rounding)
            .map_err(due_refusal)?;
        let rights = self.rights_left(cart, terms, now)?;
        let waived = |line: u32| {
            let noted =
                |noted: &Override| (noted.kind, noted.line) == (OverrideKind::NoRight, Some(line));
            cart.overrides.iter().any(noted)
        };
        let lines = cart
            .lines
            .iter()
            .zip(&priced.lines)
            .map(|(line, priced)| LineView {
                right: right_of(line, &rights),
                without_right: waived(line.line),
                line: line.line,
                variant: line.variant,
                sku: line.sku.clone(),
                names: line.names.clone(),
                options: options_text(&line.options),
                quantity: line.quantity,
                unit_minor: line.unit_minor,
                list_minor: line.list_minor,
                discount_minor: priced.discount_minor,
                discount: from_discount(line.discount),
                total_minor: priced.subtotal_minor,
            })
            .collect();
        Ok(CartView {
            sale: cart.sale,
            lines,
            touched,
            subtotal_minor: priced.subtotal_minor,
            cart_discount_minor: priced.cart_discount_minor,
            cart_discount: from_discount(cart.discount),
            levies: priced
                .levies
                .iter()
                .map(|levy| LevyView {
                    code: levy.code.clone(),
                    minor: levy.minor,
                })
                .collect(),
            taxes: tax_views(&priced.taxes),
            total_minor: priced.total_minor,
            units: priced.units,
            tenders: cart
                .tenders
                .iter()
                .map(|tender| TenderView {
                    kind: tender.kind,
                    amount_minor: tender.amount_minor,
                    reference: tender.reference.clone(),
                })
                .collect(),
            due_minor: due.due_minor,
            due_cash_minor: due.due_cash_minor,
            quick_cash_minor: domain::cash::quick_cash(
                due.due_cash_minor,
                terms.store.currency,
                &terms.store.denominations_on(terms.date),
            ),
            warnings: self
                .stock_warnings(cart, terms)?
                .into_iter()
                .chain(self.right_warnings(cart, terms, now)?)
                .chain(cash_warning(due.cash_leg_minor, terms))
                .collect(),
        })
    }

    /// What may still be sold of the cart's strict variants beyond it, never below zero.
    fn rights_left(
        &self,
        cart: &Cart,
        terms: &Terms,
        now: &Now,
    ) -> Result<BTreeMap<VariantId, Quantity>, Refusal> {
        let book = self.book()?;
        let demand = cart.strict_demand();
        let mut left = BTreeMap::new();
        for goods in cart.lines.iter().flat_map(CartLine::taken) {
            if goods.class != StockClass::Strict {
                continue;
            }
            let right = book
                .right(goods.variant, &terms.store.location, now)
                .map_err(|error| storage_refusal(&error))?;
            let taken = demand.get(&goods.variant).copied().unwrap_or(0);
            left.insert(goods.variant, Quantity((right.0 - taken).max(0)));
        }
        Ok(left)
    }

    /// Strict variants on the cart that this till has no right to any more: it was parked, or a lease ended.
    fn right_warnings(
        &self,
        cart: &Cart,
        terms: &Terms,
        now: &Now,
    ) -> Result<Vec<Refusal>, Refusal> {
        let book = self.book()?;
        let mut warnings = Vec::new();
        for (variant, demand) in cart.strict_demand() {
            let right = book
                .right(variant, &terms.store.location, now)
                .map_err(|error| storage_refusal(&error))?;
            if demand > right.0 {
                warnings.push(no_right(cart.line_taking(variant), variant, right));
            }
        }
        Ok(warnings)
    }

    /// Names the variants of which more is on the cart than the books know of. It never blocks: what is in
    /// the shopper's hand exists.
    fn stock_warnings(&self, cart: &Cart, terms: &Terms) -> Result<Vec<Refusal>, Refusal> {
        let book = self.book()?;
        let wanted = cart.shelf_demand();
        let mut short: BTreeSet<VariantId> = BTreeSet::new();
        for (variant, wanted) in wanted {
            let known = book
                .stock(variant, &terms.store.location)
                .map_err(|error| storage_refusal(&error))?;
            if known.is_some_and(|known| known.quantity.thousandths() < wanted) {
                short.insert(variant);
            }
        }
        // Each article is named once, by the first line that takes of it.
        let mut skus: Vec<&str> = Vec::new();
        for line in &cart.lines {
            let fresh = line
                .taken()
                .iter()
                .any(|goods| short.remove(&goods.variant));
            if fresh && !skus.contains(&line.sku.as_str()) {
                skus.push(&line.sku);
            }
        }
        let warning = |sku: &str| Refusal::new(RefusalCode::StockBelowZero).with("sku", sku);
        Ok(skus.into_iter().map(warning).collect())
    }

    pub(crate) fn store_view(&self, call: &Call) -> Option<StoreView> {
        let Terms { store, date } = self.terms(call).ok()?;
        let denominations_minor = store.denominations_on(date);
        Some(StoreView {
            store: store.store.to_string(),
            chain: store.chain,
            name: store.name,
            country: store.country,
            currency: currency_view(store.currency, denominations_minor),
            drawers: store.drawer.drawers.clamp(1, domain::config::DRAWERS_MAX),
            blind_count: store.drawer.blind_count,
        })
    }

    pub(crate) fn receipt_row(&self, receipt: &Receipt) -> Result<ReceiptRow, Refusal> {
        let offset = self.store()?.utc_offset_min;
        let open = self.current_shift()?.map(|shift| shift.opened.shift);
        let (body, reverses) = match &receipt.body {
            ReceiptBody::Sale(body) => (body, None),
            ReceiptBody::Reversal(reversed) => (&reversed.mirror, Some(reversed.of_number.clone())),
        };
        let units = body
            .lines
            .iter()
            .map(|line| line.quantity.thousandths())
            .sum();
        let reversed = receipt.reversed_by.is_some() || reverses.is_some();
        Ok(ReceiptRow {
            number: receipt.number.clone(),
            at: domain::time::local_minute(receipt.wall, offset),
            total_minor: body.total_minor,
            units: domain::quantity::Quantity(units),
            reversed,
            reverses,
            reversible: !reversed && open == Some(receipt.shift),
        })
    }

    pub(crate) fn report_view(
        &self,
        shift: &OpenShift,
        closed: Option<&ShiftClosed>,
    ) -> Result<ReportView, Refusal> {
        let totals: &ShiftTotals = closed.map_or(&shift.totals, |closed| &closed.totals);
        let offset = self.store()?.utc_offset_min;
        Ok(ReportView {
            z_number: closed.map(|closed| closed.z_number),
            drawer: shift.opened.drawer,
            holder_name: self.display_name(shift.holder),
            business_date: shift.opened.business_date.to_string(),
            opened_at: domain::time::local_minute(shift.opened_wall, offset),
            sales: totals.sales,
            reversals: totals.reversals,
            units: totals.units,
            takings_minor: totals.takings_minor,
            discounts_minor: totals.discounts_minor,
            rounding_minor: totals.rounding_minor,
            levies: totals
                .levies_minor
                .iter()
                .map(|(code, minor)| LevyView {
                    code: code.clone(),
                    minor: *minor,
                })
                .collect(),
            cash_stamp: totals.cash_stamp.iter().map(cash_stamp_view).collect(),
            taxes: tax_views(&totals.taxes),
            tenders_minor: totals.tenders_minor.clone(),
            float_minor: totals.float_minor,
            expected_minor: totals.expected_minor,
            counted_minor: closed.map(|closed| closed.counted_minor),
            difference_minor: closed.map(|closed| closed.difference_minor),
            moved_minor: totals.moved_minor.clone(),
            no_sales: totals.no_sales,
            counts: totals.counts,
            hand_overs: totals.hand_overs,
            deposit: closed.map_or_else(Vec::new, |closed| pieces_of(&closed.deposit)),
            deposit_minor: closed.map_or(0, |closed| count_sum(&closed.deposit)),
            copies: 0,
            perpetual_minor: closed.map(|closed| closed.perpetual_minor),
            job: None,
            parked: self
                .drafts
                .parked_count()
                .map_err(|error| drafts_refusal(&error))?,
            png_base64: None,
        })
    }
}

/// A change that leaves less to pay than was paid by card already: the tender has to come off first.
fn due_refusal(error: CompleteSaleError) -> Refusal {
    match error {
        CompleteSaleError::TenderAboveDue { .. } => RefusalCode::TendersRecorded.into(),
        other => sale_refusal(other),
    }
}

/// A word to the cashier while another tender can still be proposed: what is left counts as cash.
fn cash_warning(cash_minor: i64, terms: &Terms) -> Option<Refusal> {
    let limit_minor = terms
        .store
        .cash_ceiling_on(terms.date)?
        .soft_above_minor
        .filter(|limit_minor| cash_minor > *limit_minor)?;
    Some(
        Refusal::new(RefusalCode::CashAboveCeiling)
            .with("limit_minor", limit_minor)
            .with("cash_minor", cash_minor),
    )
}

pub(crate) fn cash_stamp_view(stamp: &CashStamp) -> CashStampView {
    CashStampView {
        rate: stamp.percent(),
        count: stamp.count,
        base_minor: stamp.base_minor,
        duty_minor: stamp.duty_minor,
    }
}

/// What may still be sold of a line beyond the cart: of a kit, as many as its strict parts allow; none without any.
fn right_of(line: &CartLine, rights: &BTreeMap<VariantId, Quantity>) -> Option<Quantity> {
    if line.components.is_empty() {
        return rights.get(&line.variant).copied();
    }
    let kits = |part: &GoodsLine| {
        let kit = KitPart {
            variant: part.variant,
            quantity: part.quantity,
        };
        rights.get(&part.variant).map(|right| kit.kits_of(*right))
    };
    line.components.iter().filter_map(kits).min()
}

/// A count as screens have it, largest piece first.
pub(crate) fn pieces_of(count: &CashCount) -> Vec<Pieces> {
    let pieces = count.iter().rev();
    pieces
        .map(|(denomination_minor, pieces)| Pieces {
            denomination_minor: *denomination_minor,
            pieces: *pieces,
        })
        .collect()
}

/// Sum of a count that was taken already.
pub(crate) fn count_sum(count: &CashCount) -> i64 {
    count.iter().fold(0_i64, |sum, (denomination, pieces)| {
        sum.saturating_add(denomination.saturating_mul(*pieces))
    })
}

pub(crate) fn tax_views(taxes: &[TaxTotal]) -> Vec<TaxView> {
    taxes
        .iter()
        .map(|tax| TaxView {
            rate: tax.rate.to_string(),
            net_minor: tax.net_minor,
            tax_minor: tax.tax_minor,
        })
        .collect()
}

const fn from_discount(discount: Discount) -> DiscountInput {
    match discount {
        Discount::None => DiscountInput::None,
        Discount::Percent { bp } => DiscountInput::Percent { bp },
        Discount::Amount { minor } => DiscountInput::Amount { minor },
    }
}

pub(crate) fn currency_view(currency: Currency, denominations_minor: Vec<i64>) -> CurrencyView {
    CurrencyView {
        code: currency,
        exponent: currency.exponent(),
        symbol_latin: currency.symbol_latin().to_owned(),
        symbol_arabic: currency.symbol_arabic().to_owned(),
        denominations_minor,
    }
}
