//! What the model's till answers when it is looked at.

use std::collections::BTreeMap;

use domain::event::PeriodKind;
use serde_json::{Value, json};
use testkit::shop::{BALL, variant};
use till::door::RefusalCode;

use super::{
    Answered, Model, Receipt, Shift, minute, name_of, stamps_shown, taxes_shown, tender_key,
};
use crate::model::cart::{Cart, due, price, taxes};

impl Model {
    pub(super) fn cart_shown(&self, cart: &Cart, touched: Option<u32>) -> Answered {
        let priced = price(cart, self.rules.stamp)?;
        let (due_exact, due_cash) = due(priced.total, &cart.tenders, self.rules.rounding);
        let pairs = || cart.lines.iter().zip(&priced.lines);
        let lines: Value = pairs()
            .map(|(line, priced)| {
                json!({
                    "line": line.number,
                    "sku": line.sku,
                    "quantity": line.quantity,
                    "unit_minor": line.unit,
                    "list_minor": line.list,
                    "discount_minor": priced.off,
                    "discount": line.off,
                    "total_minor": priced.gross - priced.off,
                })
            })
            .collect();
        let mut short: Vec<&str> = Vec::new();
        for line in cart.lines.iter().filter(|line| line.tracked) {
            let same = cart.lines.iter().filter(|other| other.sku == line.sku);
            let wanted: i64 = same.map(|other| other.quantity).sum();
            if self.stock[line.sku] < wanted && !short.contains(&line.sku) {
                short.push(line.sku);
            }
        }
        let by_rate = pairs().map(|(line, priced)| (line.rate, priced.total, priced.net));
        let by_rate =
            taxes(by_rate.map(|(rate, total, net)| (rate, total, self.net(total, net, rate))));
        let mut shown = json!({
            "type": "Cart",
            "lines": lines,
            "touched": touched,
            "subtotal_minor": priced.subtotal,
            "cart_discount_minor": priced.off,
            "cart_discount": cart.off,
            "levies": stamps_shown(priced.stamp),
            "taxes": taxes_shown(&by_rate),
            "total_minor": priced.total,
            "units": cart.lines.iter().map(|line| line.quantity).sum::<i64>(),
            "tenders": cart.tenders.iter().map(|tender| json!({
                "kind": tender_key(tender.kind),
                "amount_minor": tender.amount,
                "reference": tender.reference,
            })).collect::<Value>(),
            "due_minor": due_exact,
            "due_cash_minor": due_cash,
            "warnings": short.iter().map(|sku| json!({
                "code": "stock_below_zero", "params": {"sku": sku},
            })).collect::<Value>(),
        });
        if let Some(sale) = cart.sale {
            shown["sale"] = json!(sale);
        }
        Ok(shown)
    }

    pub(super) fn list_parked(&self) -> Answered {
        let mut carts: Vec<&(Cart, i64)> = self.parked.iter().collect();
        carts.sort_by_key(|(cart, wall)| (std::cmp::Reverse(*wall), cart.sale.map(|sale| sale.0)));
        let mut rows = Vec::new();
        for (cart, wall) in carts {
            rows.push(json!({
                "sale": cart.sale,
                "label": cart.label,
                "at": minute(*wall),
                "units": cart.lines.iter().map(|line| line.quantity).sum::<i64>(),
                "total_minor": price(cart, self.rules.stamp)?.total,
            }));
        }
        Ok(json!({"type": "Parked", "carts": rows}))
    }

    pub(super) fn receipt_shown(&self, receipt: &Receipt) -> Value {
        let open = self.shift().map(|shift| shift.id);
        json!({
            "number": receipt.number,
            "at": minute(receipt.wall),
            "total_minor": receipt.body.total,
            "units": receipt.body.units(),
            "reversed": receipt.undone,
            "reverses": receipt.undoes,
            "reversible": !receipt.undone && open == Some(receipt.shift),
        })
    }

    /// Up to `limit` of the receipts whose number contains `query`, by year and number, the highest first.
    pub fn receipts_shown(&self, query: &str, limit: usize) -> Value {
        let mut found: Vec<&Receipt> = self.receipts.iter().collect();
        // Numbers are as long as each other, until there are a million a year.
        found.sort_by(|left, right| right.number.cmp(&left.number));
        found.retain(|receipt| receipt.number.contains(query));
        let rows: Vec<Value> = found
            .into_iter()
            .take(limit)
            .map(|receipt| self.receipt_shown(receipt))
            .collect();
        json!({"type": "Receipts", "receipts": rows})
    }

    pub(super) fn shift_shown(&self, shift: &Shift) -> Value {
        let tally = &shift.tally;
        json!({
            "type": "Report",
            "z_number": null,
            "drawer": shift.drawer,
            "holder_name": name_of(shift.holder),
            "business_date": shift.date.to_string(),
            "opened_at": minute(shift.wall),
            "sales": tally.sales,
            "reversals": tally.reversals,
            "units": tally.units,
            "takings_minor": tally.sales_minor + tally.reversals_minor,
            "discounts_minor": tally.discounts,
            "rounding_minor": tally.rounding,
            "levies": stamps_shown(tally.stamps),
            "taxes": taxes_shown(&tally.taxes),
            "tenders_minor": tally.tenders,
            "float_minor": shift.float,
            "expected_minor": shift.expected(),
            "counted_minor": null,
            "difference_minor": null,
            "moved_minor": tally.moved,
            "no_sales": shift.no_sales,
            "counts": shift.counts,
            "hand_overs": shift.hand_overs,
            "copies": 0,
            "perpetual_minor": null,
            "parked": self.parked.len(),
        })
    }

    // Reports.

    pub(super) fn report_at(&self, number: &str) -> Result<usize, RefusalCode> {
        let mut reports = self.reports.iter();
        let place = reports.position(|report| report.number == number.trim());
        place.ok_or(RefusalCode::UnknownReport)
    }

    pub(super) fn report_shown(&self, place: usize) -> Value {
        let report = &self.reports[place];
        let mut shown = report.shown.clone();
        shown["copies"] = json!(report.copies);
        if report.kind.is_none() {
            shown["parked"] = json!(self.parked.len());
        }
        shown
    }

    /// Newest of each kind, in the order of their numbers.
    pub fn reports_shown(&self, limit: usize) -> Value {
        let mut taken: BTreeMap<Option<PeriodKind>, usize> = BTreeMap::new();
        let mut rows = Vec::new();
        for report in self.reports.iter().rev() {
            let of_kind = taken.entry(report.kind).or_insert(0);
            *of_kind += 1;
            if *of_kind <= limit {
                rows.push(json!({
                    "number": report.number,
                    "name": report.name,
                    "period": report.kind,
                    "at": minute(report.wall),
                    "takings_minor": report.takings,
                    "difference_minor": report.difference,
                }));
            }
        }
        rows.sort_by_key(|row| row["number"].to_string());
        json!({"type": "Reports", "reports": rows})
    }

    pub(super) fn trial_balance(&self, number: &str) -> Answered {
        self.signed_in()?;
        let tally = match number {
            "" => &self.all,
            "X" => &self.open_shift()?.tally,
            number => &self.reports[self.report_at(number)?].tally,
        };
        Ok(tally.balance(number, self.location()))
    }

    pub(super) fn stock_of(&self, asked: domain::ids::VariantId) -> Answered {
        self.signed_in()?;
        let articles = &self.articles;
        let sku = articles.keys().find(|sku| variant(sku) == asked);
        let sku = sku.ok_or(RefusalCode::UnknownVariant)?;
        let here = self.stock.get(sku).copied();
        let elsewhere = if *sku == BALL { 10_000 } else { 0 };
        Ok(json!({
            "type": "Stock",
            "variant": {"sku": sku, "stock": articles[sku].tracked.then(|| here.unwrap_or(0))},
            "locations": [
                {"location": self.location(), "quantity": here.unwrap_or(0)},
                {"location": "SO", "quantity": elsewhere},
            ],
        }))
    }

    pub(super) fn status(&self) -> Value {
        let shown = |shift: &Shift| {
            json!({
                "drawer": shift.drawer,
                "holder": shift.holder,
                "business_date": shift.date.to_string(),
                "opened_at": minute(shift.wall),
                "opened_by": name_of(shift.opener),
                "receipts": shift.tally.sales + shift.tally.reversals,
            })
        };
        json!({
            "type": "Status",
            "ready": true,
            "user": self.user.map(|user| json!({"user": user, "blocked": false})),
            "drawer": self.drawer,
            "shift": self.shift().map(shown),
            "shifts": self.shifts.values().map(shown).collect::<Value>(),
            "parked": self.parked.len(),
        })
    }
}
