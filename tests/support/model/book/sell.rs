//! Carts, tenders and receipts, as the model has them.

use std::collections::BTreeMap;

use chrono::Datelike as _;
use domain::event::TenderKind;
use domain::ids::SaleId;
use domain::time::Now;
use serde_json::json;
use testkit::shop::Country;
use till::door::{Approval, DiscountInput, RefusalCode, TenderInput};

use super::{Answered, Body, BodyLine, Model, Receipt, Tax, WrongRule, beside_receipt, day, typed};
use crate::model::cart::{
    AMOUNT_MAX, Cart, Line, QUANTITY_MAX, Settled, Tender, due, hold_discounts, price, settle,
};

impl Model {
    // The cart.

    pub(super) fn sellable(
        &self,
        sku: &'static str,
        quantity: i64,
        now: &Now,
    ) -> Result<Line, RefusalCode> {
        let date = self
            .shift()
            .map_or_else(|| self.today(now), |shift| shift.date);
        let articles = &self.articles;
        let article = &articles[sku];
        let mut prices = article.prices.iter().rev();
        let list = prices
            .find(|(from, _)| *from <= date)
            .map(|(_, minor)| *minor);
        let list = list.ok_or(RefusalCode::NoPrice)?;
        let tunisia = self.rules.country == Country::Tunisia;
        let rate = match article.tax {
            Tax::Standard if tunisia => 19,
            Tax::Standard => 20,
            Tax::Reduced if tunisia => 7,
            Tax::Reduced => 10,
            Tax::Book if date <= day("2026-06-30") => 0,
            Tax::Book => return Err(RefusalCode::NoTaxRate),
        };
        if !(1..=QUANTITY_MAX).contains(&quantity) {
            return Err(RefusalCode::QuantityInvalid);
        }
        if article.strict {
            return Err(RefusalCode::NoRight);
        }
        Ok(Line {
            number: 0,
            sku,
            quantity,
            list,
            unit: list,
            off: DiscountInput::None,
            rate,
            tracked: article.tracked,
        })
    }

    pub(super) fn add(&mut self, sku: &'static str, quantity: i64, now: &Now) -> Answered {
        let line = self.sellable(sku, quantity, now)?;
        let mut cart = self.cart.clone();
        let more = cart.lines.iter_mut().find(|other| {
            (other.sku, other.list, other.unit, other.rate)
                == (line.sku, line.list, line.list, line.rate)
                && other.off == DiscountInput::None
        });
        let number = match more {
            Some(other) => {
                other.quantity += quantity;
                if other.quantity > QUANTITY_MAX {
                    return Err(RefusalCode::QuantityInvalid);
                }
                other.number
            }
            None => {
                let number = cart.next;
                cart.next += 1;
                cart.lines.push(Line { number, ..line });
                number
            }
        };
        self.change(cart, Some(number), None)
    }

    /// Takes a changed cart over, if its discounts are allowed and no more is paid of it than it comes to.
    pub(super) fn change(
        &mut self,
        mut cart: Cart,
        touched: Option<u32>,
        approval: Option<&Approval>,
    ) -> Answered {
        let limit = self.rules.discount_limit_bp;
        price(&cart, self.rules.stamp)?;
        hold_discounts(&self.cart, &mut cart, limit, || {
            self.approved(approval, RefusalCode::DiscountApprovalRequired)
        })?;
        self.keep(cart, touched)
    }

    pub(super) fn keep(&mut self, cart: Cart, touched: Option<u32>) -> Answered {
        let priced = price(&cart, self.rules.stamp)?;
        let exact = cart.tenders.iter().filter(|t| t.kind != TenderKind::Cash);
        if exact.map(|tender| tender.amount).sum::<i64>() > priced.total {
            return Err(RefusalCode::TendersRecorded);
        }
        let shown = self.cart_shown(&cart, touched)?;
        self.cart = cart;
        Ok(shown)
    }

    pub(super) fn net(&self, total: i64, net: i64, rate: u32) -> i64 {
        if self.is(WrongRule::NetRoundsUp) && rate > 0 {
            let (total, rate) = (i128::from(total) * 100, 100 + i128::from(rate));
            return i64::try_from((total + rate - 1).div_euclid(rate)).unwrap_or(net);
        }
        net
    }

    pub(super) fn shelve(&mut self, label: Option<String>, now: &Now) {
        if self.cart.lines.is_empty() {
            return;
        }
        let mut cart = std::mem::replace(&mut self.cart, Cart::empty());
        cart.label = label.unwrap_or(cart.label);
        self.parked.push((cart, now.wall_ms));
    }

    pub(super) fn park(&mut self, label: Option<&str>, now: &Now) -> Answered {
        self.signed_in()?;
        self.no_tenders()?;
        if self.cart.lines.is_empty() {
            return Err(RefusalCode::EmptyCart);
        }
        let label = match label {
            Some(label) => Some(typed(label).ok_or(RefusalCode::TextInvalid)?),
            None => None,
        };
        self.shelve(label.filter(|label| !label.is_empty()), now);
        self.cart_shown(&self.cart, None)
    }

    pub(super) fn recall(&mut self, sale: SaleId, now: &Now) -> Answered {
        self.signed_in()?;
        let mut parked = self.parked.iter();
        let place = parked.position(|(cart, _)| cart.sale == Some(sale));
        let place = place.ok_or(RefusalCode::UnknownParked)?;
        self.no_tenders()?;
        let (cart, _) = self.parked.remove(place);
        self.shelve(None, now);
        self.cart = cart;
        self.cart_shown(&self.cart, None)
    }

    // Paying.

    pub(super) fn read_tender(
        &self,
        input: &TenderInput,
        total: i64,
        before: &[Tender],
    ) -> Result<Tender, RefusalCode> {
        let (exact, cash) = due(total, before, self.rules.rounding);
        let reference = input.reference.as_deref().and_then(typed);
        let reference = reference.filter(|text| !text.is_empty());
        let is_cash = input.kind == TenderKind::Cash;
        if !is_cash && reference.is_none() {
            return Err(RefusalCode::ReferenceRequired);
        }
        let wanted = if is_cash { cash } else { exact };
        let amount = input.amount_minor.unwrap_or(wanted);
        if !is_cash && amount > exact {
            return Err(RefusalCode::TenderAboveDue);
        }
        if amount < 0 || (amount == 0 && !(is_cash && cash == 0)) {
            return Err(RefusalCode::TenderInvalid);
        }
        if amount > AMOUNT_MAX {
            return Err(RefusalCode::AmountOverflow);
        }
        Ok(Tender {
            kind: input.kind,
            amount,
            reference,
        })
    }

    pub(super) fn add_tender(&mut self, input: &TenderInput) -> Answered {
        self.signed_in()?;
        if self.cart.lines.is_empty() {
            return Err(RefusalCode::EmptyCart);
        }
        let total = self.priced()?.total;
        let mut cart = self.cart.clone();
        let tender = self.read_tender(input, total, &cart.tenders)?;
        cart.tenders.push(tender);
        self.keep(cart, None)
    }

    pub(super) fn complete(&mut self, sale: SaleId, inputs: &[TenderInput], now: &Now) -> Answered {
        self.signed_in()?;
        self.open_shift()?;
        if self.cart.sale != Some(sale) {
            return Err(RefusalCode::OtherCart);
        }
        if self.cart.lines.is_empty() {
            return Err(RefusalCode::EmptyCart);
        }
        let priced = self.priced()?;
        let mut tenders = self.cart.tenders.clone();
        for input in inputs {
            let tender = self.read_tender(input, priced.total, &tenders)?;
            tenders.push(tender);
        }
        let Settled {
            total,
            rounding,
            change,
        } = settle(priced.total, &tenders, self.rules.rounding)?;
        let mut kept: BTreeMap<TenderKind, i64> = BTreeMap::new();
        for tender in &tenders {
            *kept.entry(tender.kind).or_insert(0) += tender.amount;
        }
        if !self.is(WrongRule::ChangeStaysInDrawer) {
            *kept.entry(TenderKind::Cash).or_insert(0) -= change;
        }
        let pairs = self.cart.lines.iter().zip(&priced.lines);
        let lines = pairs.map(|(line, priced)| BodyLine {
            sku: line.sku,
            quantity: line.quantity,
            tracked: line.tracked,
            off: priced.off + priced.share,
            total: priced.total,
            net: self.net(priced.total, priced.net, line.rate),
            rate: line.rate,
        });
        let body = Body {
            lines: lines.collect(),
            stamp: priced.stamp,
            rounding,
            total,
            tenders,
            change,
            kept,
        };
        self.cart = Cart::empty();
        let mut shown = self.issue(body, None, now)?;
        shown["sale"] = json!(sale);
        Ok(shown)
    }

    /// Numbers a receipt and adds it up.
    pub(super) fn issue(&mut self, body: Body, undoes: Option<String>, now: &Now) -> Answered {
        let kind = match undoes {
            Some(_) => "Reversed",
            None => "SaleCompleted",
        };
        self.fact(kind, now);
        let shift = self.open_shift()?;
        let (id, year) = (shift.id, shift.date.year());
        let series = match self.is(WrongRule::NumbersGoOnOverYears) {
            true => 0,
            false => year,
        };
        let sequence = self.numbers.entry(series).or_insert(0);
        *sequence += 1;
        let number = format!("{}-{year}-{sequence:06}", self.series);
        self.tally(|tally| tally.take(&body, undoes.is_some()));
        let back = undoes.is_some() && self.is(WrongRule::StockNotReturned);
        for line in body.lines.iter().filter(|line| line.tracked && !back) {
            *self.stock.entry(line.sku).or_insert(0) -= line.quantity;
        }
        let shown = json!({
            "type": "Completed",
            "number": number,
            "total_minor": body.total,
            "cash_minor": body.cash(),
            "change_minor": body.change,
            "next": self.cart_shown(&self.cart, None)?,
        });
        self.receipts.push(Receipt {
            number,
            body,
            shift: id,
            wall: now.wall_ms,
            undone: undoes.is_some(),
            undoes,
            copies: 0,
        });
        Ok(beside_receipt(shown))
    }

    pub(super) fn reverse(
        &mut self,
        number: &str,
        reason: &str,
        approval: Option<&Approval>,
        now: &Now,
    ) -> Answered {
        self.signed_in()?;
        let shift = self.open_shift()?.id;
        let reason = typed(reason).filter(|reason| !reason.is_empty());
        reason.ok_or(RefusalCode::TextInvalid)?;
        let place = self.receipt_at(number)?;
        let found = &self.receipts[place];
        if found.undone {
            return Err(RefusalCode::AlreadyReversed);
        }
        if found.shift != shift {
            return Err(RefusalCode::ShiftOfReceiptClosed);
        }
        self.approved(approval, RefusalCode::ManagerRequired)?;
        let body = self.undo(&found.body);
        let undoes = found.number.clone();
        self.receipts[place].undone = true;
        self.issue(body, Some(undoes), now)
    }

    /// Everything with the other sign, except the levy, which is kept. Other tenders are paid back first, cash is
    /// the rest.
    pub(super) fn undo(&self, sold: &Body) -> Body {
        let lines: Vec<BodyLine> = sold
            .lines
            .iter()
            .map(|line| BodyLine {
                quantity: -line.quantity,
                off: -line.off,
                total: -line.total,
                net: -line.net,
                ..line.clone()
            })
            .collect();
        let stamp = match self.is(WrongRule::LevyGivenBack) {
            true => -sold.stamp,
            false => 0,
        };
        let goods: i64 = lines.iter().map(|line| line.total).sum();
        let total = goods - sold.rounding + stamp;
        let mut left = total;
        let mut tenders = Vec::new();
        let others = sold.tenders.iter().filter(|t| t.kind != TenderKind::Cash);
        for tender in others {
            let amount = left.min(0).max(-tender.amount);
            left -= amount;
            tenders.push(Tender {
                amount,
                ..tender.clone()
            });
        }
        tenders.push(Tender {
            kind: TenderKind::Cash,
            amount: left,
            reference: None,
        });
        let mut kept: BTreeMap<TenderKind, i64> = BTreeMap::new();
        for tender in &tenders {
            *kept.entry(tender.kind).or_insert(0) += tender.amount;
        }
        Body {
            lines,
            stamp,
            rounding: -sold.rounding,
            total,
            tenders,
            change: 0,
            kept,
        }
    }

    // Receipts.

    pub(super) fn receipt_at(&self, number: &str) -> Result<usize, RefusalCode> {
        let mut receipts = self.receipts.iter();
        let place = receipts.position(|receipt| receipt.number == number);
        place.ok_or(RefusalCode::UnknownReceipt)
    }

    pub(super) fn reprint(&mut self, place: usize, now: &Now) -> Answered {
        self.fact("Reprinted", now);
        let row = self.receipt_shown(&self.receipts[place]);
        self.receipts[place].copies += 1;
        Ok(json!({"type": "Receipt", "row": row, "copies": self.receipts[place].copies}))
    }
}
