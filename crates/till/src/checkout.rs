//! Ringing up: the cart, its prices and discounts, tenders, completion, and undoing a sale.
//!
//! A cart is a draft. [`Till::complete`] turns it into a fact: one ledger transaction holds the sale, its
//! print job and the answer, and only then does anybody hear of it.

use domain::cart::{
    self, Cart, CartError, CartLine, Discount, NewLine, PricedCart, PricedLine, Pricing,
};
use domain::catalog::{KitPart, Variant};
use domain::config::{Role, StoreConfig};
use domain::event::{
    CartVoided, Fact, GoodsLine, LineVoided, Override, OverrideKind, Reversed, SaleBody, SaleLine,
    Tender, TenderKind,
};
use domain::ids::{EventId, LocationId, SaleId, UserId, VariantId};
use domain::number::receipt_number;
use domain::quantity::Quantity;
use domain::sale::{self, CompleteSaleError, SaleHeader};
use domain::stock::taken;
use domain::text;
use domain::time::{Boot, BusinessDate, Now};
use ledger::{FeedName, Item, LedgerError, OpenShift, ReceiptBody};

use crate::door::{
    Answer, Approval, CompletedView, DiscountInput, ParkedView, Refusal, RefusalCode, Reply,
    TenderInput,
};
use crate::drafts::Change;
use crate::till::{Call, Outcome, Till, drafts_refusal, encode, storage_refusal};

/// Longest scan accepted; a longer one is two labels read as one.
const CODE_CHARS_MAX: usize = 64;
/// Longest note, reason or reference.
const TEXT_CHARS_MAX: usize = 80;

/// How long a shopper is taken to wait for what was refused, in milliseconds.
const MISSED_MS: u64 = 60_000;

/// What a cashier wanted to sell and had no right to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Missed {
    variant: VariantId,
    /// The whole demand of the cart, that included.
    quantity: Quantity,
    boot: Boot,
}

/// What prices and taxes depend on at this moment.
pub(crate) struct Terms {
    pub store: StoreConfig,
    pub date: domain::time::BusinessDate,
}

impl Terms {
    pub fn pricing(&self) -> Pricing<'_> {
        Pricing {
            currency: self.store.currency,
            tax_rounding: self.store.tax_rounding,
            levies: &self.store.levies,
            cash_rounding: self.store.cash_rounding,
            date: self.date,
        }
    }
}

impl Till {
    pub(crate) fn get_cart(&mut self, call: &mut Call) -> Outcome {
        let terms = self.terms(call)?;
        let view = self.cart_view(&self.cart, None, &terms, &call.now)?;
        Ok(Reply::Cart(Box::new(view)))
    }

    pub(crate) fn scan_code(&mut self, code: &str, call: &mut Call) -> Outcome {
        self.require_selling()?;
        let item = self.item_of_code(code)?;
        self.put_on_cart(item, Quantity::ONE, call)
    }

    /// The item that a barcode or SKU names.
    pub(crate) fn item_of_code(&self, code: &str) -> Result<Item, Refusal> {
        let code = code.trim();
        if domain::receipt_code::looks_like_code(code) {
            return Err(RefusalCode::ReceiptCode.into());
        }
        let unknown = || Refusal::new(RefusalCode::UnknownCode).with("code", shown(code));
        if code.is_empty() || code.chars().count() > CODE_CHARS_MAX {
            return Err(unknown());
        }
        self.book()?
            .find_code(code)
            .map_err(|error| storage_refusal(&error))?
            .ok_or_else(unknown)
    }

    pub(crate) fn add_line(
        &mut self,
        variant: VariantId,
        quantity: Option<Quantity>,
        call: &mut Call,
    ) -> Outcome {
        self.require_selling()?;
        let item = self
            .book()?
            .item(variant)
            .map_err(|error| storage_refusal(&error))?;
        let item = item.ok_or(RefusalCode::UnknownVariant)?;
        self.put_on_cart(item, quantity.unwrap_or(Quantity::ONE), call)
    }

    fn put_on_cart(&mut self, item: Item, quantity: Quantity, call: &mut Call) -> Outcome {
        self.require_room()?;
        let terms = self.terms(call)?;
        let line = self.new_line(item, quantity, &terms)?;
        let mut cart = self.cart.clone();
        let line = cart.add_line(line).map_err(cart_refusal)?;
        self.hold_rights(&cart, &terms, call)?;
        self.keep_cart(cart, Some(line), &terms, call)
    }

    /// Adds what no right is left for, on a line of its own, because a manager says so.
    pub(crate) fn sell_without_right(
        &mut self,
        variant: VariantId,
        quantity: Option<Quantity>,
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Outcome {
        self.require_selling()?;
        self.require_room()?;
        let item = self
            .book()?
            .item(variant)
            .map_err(|error| storage_refusal(&error))?;
        let item = item.ok_or(RefusalCode::UnknownVariant)?;
        let quantity = quantity.unwrap_or(Quantity::ONE);
        let terms = self.terms(call)?;
        let mut cart = self.cart.clone();
        let new = self.new_line(item.clone(), quantity, &terms)?;
        let line = cart.add_apart(new).map_err(cart_refusal)?;
        self.priced(&cart, &terms)?;
        // Where there is a right, or none is needed, there is nothing to allow.
        if self.lacking(&cart, &terms, call)?.is_none() {
            return self.put_on_cart(item, quantity, call);
        }
        let by = self.approved_by(approval, RefusalCode::ManagerRequired, call)?;
        note_override(&mut cart, OverrideKind::NoRight, by, Some(line));
        self.missed = None;
        self.keep_cart(cart, Some(line), &terms, call)
    }

    fn new_line(&self, item: Item, quantity: Quantity, terms: &Terms) -> Result<NewLine, Refusal> {
        let Item { variant, style } = item;
        let class = variant.class_at(&terms.store.location);
        let components = self.parts_of(&variant, &terms.store.location)?;
        let price = self
            .book()?
            .price(variant.variant, terms.date)
            .map_err(|error| storage_refusal(&error))?;
        let list_minor = price
            .ok_or_else(|| Refusal::new(RefusalCode::NoPrice).with("sku", variant.sku.clone()))?;
        let rate = terms.store.rate_on(&variant.tax, terms.date);
        let rate = rate.ok_or_else(|| {
            Refusal::new(RefusalCode::NoTaxRate).with("tax", variant.tax.as_str())
        })?;
        Ok(NewLine {
            variant: variant.variant,
            sku: variant.sku,
            names: style.names,
            options: variant.options,
            quantity,
            list_minor,
            tax: variant.tax,
            rate,
            class,
            components,
        })
    }

    /// What one unit of a kit takes off the shelf at `location`; nothing for what is no kit.
    fn parts_of(&self, kit: &Variant, location: &LocationId) -> Result<Vec<GoodsLine>, Refusal> {
        let part = |part: &KitPart| {
            let item = self.book()?.item(part.variant);
            let item = item.map_err(|error| storage_refusal(&error))?;
            // The catalogue comes in pages; without the part's class nobody knows whether a right is needed.
            let item = item.ok_or_else(|| {
                Refusal::new(RefusalCode::KitIncomplete).with("sku", kit.sku.clone())
            })?;
            Ok(GoodsLine {
                variant: part.variant,
                quantity: part.quantity,
                class: item.variant.class_at(location),
            })
        };
        kit.parts.iter().map(part).collect()
    }

    /// Lets no change through that takes more of a strict variant than this till may sell by itself. What was on the
    /// cart before may stay: it is looked at again before money changes hands.
    fn hold_rights(&mut self, cart: &Cart, terms: &Terms, call: &Call) -> Result<(), Refusal> {
        match self.lacking(cart, terms, call)? {
            None => Ok(()),
            Some((missed, refusal)) => {
                // The server is asked for what somebody waits for.
                self.missed = Some(missed);
                self.sync_requested = true;
                Err(refusal)
            }
        }
    }

    /// The first strict variant of which `cart` takes more than before and more than there is a right to.
    fn lacking(
        &self,
        cart: &Cart,
        terms: &Terms,
        call: &Call,
    ) -> Result<Option<(Missed, Refusal)>, Refusal> {
        let before = self.cart.strict_demand();
        for (variant, demand) in cart.strict_demand() {
            if demand > before.get(&variant).copied().unwrap_or(0)
                && let Some(found) = self.short_of(cart, variant, demand, terms, call)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn short_of(
        &self,
        cart: &Cart,
        variant: VariantId,
        demand: i64,
        terms: &Terms,
        call: &Call,
    ) -> Result<Option<(Missed, Refusal)>, Refusal> {
        let location = &terms.store.location;
        let right = self
            .book()?
            .right(variant, location, &call.now)
            .map_err(|error| storage_refusal(&error))?;
        if demand <= right.0 {
            return Ok(None);
        }
        let missed = Missed {
            variant,
            quantity: Quantity(demand),
            boot: call.now.boot,
        };
        // What was just put there, or became more: a manager is asked for that, and not for another line with the article.
        let before = |line: &CartLine| self.cart.lines.iter().find(|old| old.line == line.line);
        let grew = |line: &&CartLine| {
            line.takes_of(variant) && before(line).is_none_or(|old| old.quantity < line.quantity)
        };
        let line = cart.lines.iter().find(grew);
        let refusal = no_right(line.or_else(|| cart.line_taking(variant)), variant, right);
        Ok(Some((missed, refusal)))
    }

    /// Everything strict on the cart is this till's to sell now.
    fn require_rights(&mut self, terms: &Terms, call: &Call) -> Result<(), Refusal> {
        for (variant, demand) in self.cart.strict_demand() {
            if let Some((missed, refusal)) =
                self.short_of(&self.cart, variant, demand, terms, call)?
            {
                self.missed = Some(missed);
                self.sync_requested = true;
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// Gives the lines of the cart in hand the stock classes of now, when the catalogue has changed: an article may have
    /// become strict since it was put there, or while the cart was parked. Once something is paid the sale goes through
    /// as it is.
    pub(crate) fn reclassify(&mut self) -> Result<(), Refusal> {
        if self.cart.is_empty() || !self.cart.tenders.is_empty() {
            return Ok(());
        }
        let cursors = self.book()?.cursors();
        let mut cursors = cursors.map_err(|error| storage_refusal(&error))?;
        let read = cursors.remove(&FeedName::Catalogue);
        if read == self.classed {
            return Ok(());
        }
        let location = self.store()?.location;
        let class = |variant| -> Result<_, Refusal> {
            let item = self.book()?.item(variant);
            let item = item.map_err(|error| storage_refusal(&error))?;
            Ok(item.map(|item| item.variant.class_at(&location)))
        };
        let mut lines = self.cart.lines.clone();
        for line in &mut lines {
            // One that has left the catalogue stays what it was.
            line.class = class(line.variant)?.unwrap_or(line.class);
            for part in &mut line.components {
                part.class = class(part.variant)?.unwrap_or(part.class);
            }
        }
        self.cart.lines = lines;
        self.classed = read;
        Ok(())
    }

    /// What this till needs to hold of strict variants: for the cart in hand, and for a shopper who was just refused.
    pub fn rights_needed(&self, now: &Now) -> Vec<(VariantId, LocationId, Quantity)> {
        let Ok(store) = self.store() else {
            return Vec::new();
        };
        let mut needed = self.cart.strict_demand();
        if let Some(missed) = &self.missed {
            let waits = missed.boot.id == now.boot.id
                && now.boot.ms.saturating_sub(missed.boot.ms) < MISSED_MS;
            if waits {
                let sum = needed.entry(missed.variant).or_default();
                *sum = missed.quantity.0.max(*sum);
            }
        }
        needed
            .into_iter()
            .filter(|(_, quantity)| *quantity > 0)
            .map(|(variant, quantity)| (variant, store.location.clone(), Quantity(quantity)))
            .collect()
    }

    pub(crate) fn set_quantity(
        &mut self,
        line: u32,
        quantity: Quantity,
        call: &mut Call,
    ) -> Outcome {
        self.change_line(line, call, |cart| {
            let before = cart.lines.iter().find(|found| found.line == line);
            let grows = before.is_some_and(|found| found.quantity < quantity);
            cart.set_quantity(line, quantity)?;
            if grows {
                // A manager allowed so many, not more.
                forget_override(cart, OverrideKind::NoRight, Some(line));
            }
            Ok(())
        })
    }

    pub(crate) fn set_price(
        &mut self,
        line: u32,
        unit_minor: i64,
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Outcome {
        self.require_selling()?;
        let terms = self.terms(call)?;
        let (mut cart, priced) =
            self.trial_priced(&terms, |cart| cart.set_price(line, unit_minor))?;
        let by = self.approved_by(approval, RefusalCode::ManagerRequired, call)?;
        note_override(&mut cart, OverrideKind::Price, by, Some(line));
        self.hold_discounts(&mut cart, &priced, &terms, Some(by))?;
        self.keep_cart(cart, Some(line), &terms, call)
    }

    pub(crate) fn discount_line(
        &mut self,
        line: u32,
        discount: DiscountInput,
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Outcome {
        self.require_selling()?;
        let discount = to_discount(discount);
        let terms = self.terms(call)?;
        let (mut cart, priced) =
            self.trial_priced(&terms, |cart| cart.discount_line(line, discount))?;
        forget_override(&mut cart, OverrideKind::Discount, Some(line));
        let by = self.discount_approval(&mut cart, &priced, &terms, approval, call)?;
        self.hold_discounts(&mut cart, &priced, &terms, by)?;
        self.keep_cart(cart, Some(line), &terms, call)
    }

    pub(crate) fn discount_cart(
        &mut self,
        discount: DiscountInput,
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Outcome {
        self.require_selling()?;
        let discount = to_discount(discount);
        let terms = self.terms(call)?;
        let (mut cart, priced) = self.trial_priced(&terms, |cart| cart.discount_cart(discount))?;
        forget_override(&mut cart, OverrideKind::Discount, None);
        let by = self.discount_approval(&mut cart, &priced, &terms, approval, call)?;
        self.hold_discounts(&mut cart, &priced, &terms, by)?;
        self.keep_cart(cart, None, &terms, call)
    }

    /// The manager who allows the discounts of `cart`, when one of them needs a manager.
    fn discount_approval(
        &mut self,
        cart: &mut Cart,
        priced: &PricedCart,
        terms: &Terms,
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Result<Option<UserId>, Refusal> {
        let limit = terms.store.discount_limit_bp;
        // The word given now also stands for a discount that this change makes larger.
        let before = self.priced(&self.cart, terms)?;
        forget_outgrown(cart, priced, &self.cart, &before);
        match approval {
            Some(approval) if !unapproved_discounts(cart, priced, limit).is_empty() => {
                Ok(Some(self.manager_by_pin(approval, call)?))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Lets no discount above the limit stand without a manager's word. It is asked after every change that
    /// can raise a discount's share: an amount within the limit of ten articles is above that of one.
    fn hold_discounts(
        &self,
        cart: &mut Cart,
        priced: &PricedCart,
        terms: &Terms,
        by: Option<UserId>,
    ) -> Result<(), Refusal> {
        let limit = terms.store.discount_limit_bp;
        let before = self.priced(&self.cart, terms)?;
        forget_outgrown(cart, priced, &self.cart, &before);
        let open = unapproved_discounts(cart, priced, limit);
        if open.is_empty() {
            return Ok(());
        }
        let member = self.signed_in()?;
        let own = (member.role == Role::Manager).then_some(member.user);
        let by = by.or(own).ok_or_else(|| {
            Refusal::new(RefusalCode::DiscountApprovalRequired).with("limit_bp", limit)
        })?;
        for line in open {
            note_override(cart, OverrideKind::Discount, by, line);
        }
        Ok(())
    }

    pub(crate) fn remove_line(&mut self, line: u32, call: &mut Call) -> Outcome {
        let member = self.require_selling()?;
        let terms = self.terms(call)?;
        let before = self.priced(&self.cart, &terms)?;
        let mut cart = self.cart.clone();
        let index = cart
            .lines
            .iter()
            .position(|found| found.line == line)
            .ok_or(RefusalCode::UnknownLine)?;
        let removed = cart.remove_line(line).map_err(cart_refusal)?;
        if cart.is_empty() && !cart.tenders.is_empty() {
            return Err(RefusalCode::TendersRecorded.into());
        }
        let after = self.priced(&cart, &terms)?;
        self.hold_discounts(&mut cart, &after, &terms, None)?;
        let fact = Fact::LineVoided(LineVoided {
            sale: cart.sale,
            shift: self.shift_id()?,
            user: member.user,
            line,
            variant: removed.variant,
            quantity: removed.quantity,
            total_minor: before.lines[index].total_minor,
        });
        let view = self.cart_view(&cart, None, &terms, &call.now)?;
        let change = Change {
            cart: Some(cart),
            ..Change::default()
        };
        self.record(fact, change, Reply::Cart(Box::new(view)), call)
    }

    pub(crate) fn restore_line(&mut self, line: u32, call: &mut Call) -> Outcome {
        self.change_line(line, call, |cart| cart.restore_line(line))
    }

    pub(crate) fn clear_cart(&mut self, call: &mut Call) -> Outcome {
        let member = self.require_selling()?;
        let terms = self.terms(call)?;
        if self.cart.is_empty() {
            return Err(RefusalCode::EmptyCart.into());
        }
        if !self.cart.tenders.is_empty() {
            return Err(RefusalCode::TendersRecorded.into());
        }
        let priced = self.priced(&self.cart, &terms)?;
        let fact = Fact::CartVoided(CartVoided {
            sale: self.cart.sale,
            shift: self.shift_id()?,
            user: member.user,
            lines: u32::try_from(self.cart.lines.len()).unwrap_or(u32::MAX),
            total_minor: priced.total_minor,
        });
        let fresh = Cart::new(SaleId(call.uuid()));
        let view = self.cart_view(&fresh, None, &terms, &call.now)?;
        let change = Change {
            drop: Some(self.cart.sale),
            cart: Some(fresh),
            ..Change::default()
        };
        self.record(fact, change, Reply::Cart(Box::new(view)), call)
    }

    /// Money that was taken for a cart must end in its sale, or be handed back first.
    pub(crate) fn require_no_tenders(&self) -> Result<(), Refusal> {
        if self.cart.tenders.is_empty() {
            return Ok(());
        }
        Err(RefusalCode::TendersRecorded.into())
    }

    pub(crate) fn park(&mut self, label: Option<&str>, call: &mut Call) -> Outcome {
        self.require_selling()?;
        self.require_no_tenders()?;
        let terms = self.terms(call)?;
        if self.cart.is_empty() {
            return Err(RefusalCode::EmptyCart.into());
        }
        let label = label
            .map(|label| cleaned(label, "label"))
            .transpose()?
            .filter(|label| !label.is_empty());
        let change = self.shelve_cart(label, call);
        let next = change.cart.as_ref().unwrap_or(&self.cart);
        let view = self.cart_view(next, None, &terms, &call.now)?;
        call.draft(self, change, Reply::Cart(Box::new(view)))
    }

    /// Parks the cart in hand when it has lines, and takes an empty one.
    pub(crate) fn shelve_cart(&self, label: Option<String>, call: &mut Call) -> Change {
        if self.cart.is_empty() {
            return Change::default();
        }
        let mut parked = self.cart.clone();
        parked.label = label.or(parked.label);
        let fresh = Cart::new(SaleId(call.uuid()));
        Change {
            park: Some((parked, call.now.wall_ms)),
            cart: Some(fresh),
            ..Change::default()
        }
    }

    pub(crate) fn list_parked(&self, call: &Call) -> Outcome {
        let terms = self.terms(call)?;
        let mut carts = Vec::new();
        for parked in self
            .drafts
            .parked()
            .map_err(|error| drafts_refusal(&error))?
        {
            let priced = self.priced(&parked.cart, &terms)?;
            carts.push(ParkedView {
                sale: parked.cart.sale,
                label: parked.cart.label.clone().unwrap_or_default(),
                at: domain::time::local_minute(parked.wall, terms.store.utc_offset_min),
                units: priced.units,
                total_minor: priced.total_minor,
                first: parked.cart.lines.first().map(|line| line.names.clone()),
            });
        }
        Ok(Reply::Parked { carts })
    }

    pub(crate) fn recall(&mut self, sale: SaleId, call: &mut Call) -> Outcome {
        self.require_selling()?;
        let terms = self.terms(call)?;
        let parked = self
            .drafts
            .parked()
            .map_err(|error| drafts_refusal(&error))?;
        let found = parked
            .into_iter()
            .find(|parked| parked.cart.sale == sale)
            .ok_or(RefusalCode::UnknownParked)?;
        self.require_no_tenders()?;
        self.classed = None;
        let mut change = self.shelve_cart(None, call);
        let view = self.cart_view(&found.cart, None, &terms, &call.now)?;
        change.cart = Some(found.cart);
        call.draft(self, change, Reply::Cart(Box::new(view)))
    }

    pub(crate) fn add_tender(&mut self, tender: &TenderInput, call: &mut Call) -> Outcome {
        self.require_selling()?;
        let terms = self.terms(call)?;
        let mut cart = self.cart.clone();
        if cart.is_empty() {
            return Err(RefusalCode::EmptyCart.into());
        }
        // Once something is paid, the sale has to be finished.
        if cart.tenders.is_empty() {
            self.require_room()?;
        }
        self.require_rights(&terms, call)?;
        let priced = self.priced(&cart, &terms)?;
        let tender = read_tender(tender, priced.total_minor, &cart.tenders, &terms)?;
        cart.tenders.push(tender);
        // Settling now finds a card tender above what is due while the terminal's slip is still in hand.
        match sale::settle(priced.total_minor, &cart.tenders, terms.store.cash_rounding) {
            Ok(_) | Err(CompleteSaleError::Underpaid { .. }) => {}
            Err(error) => return Err(sale_refusal(error)),
        }
        self.keep_cart(cart, None, &terms, call)
    }

    pub(crate) fn remove_tender(&mut self, index: u32, call: &mut Call) -> Outcome {
        self.require_selling()?;
        let terms = self.terms(call)?;
        let mut cart = self.cart.clone();
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if index >= cart.tenders.len() {
            return Err(RefusalCode::UnknownTender.into());
        }
        cart.tenders.remove(index);
        self.keep_cart(cart, None, &terms, call)
    }

    pub(crate) fn complete(
        &mut self,
        sale: SaleId,
        tenders: &[TenderInput],
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Outcome {
        let member = self.require_selling()?;
        let terms = self.terms(call)?;
        let shift = self.open_shift_or_refuse()?;
        if sale != self.cart.sale {
            return Err(RefusalCode::OtherCart.into());
        }
        if self.cart.is_empty() {
            return Err(RefusalCode::EmptyCart.into());
        }
        if self.cart.tenders.is_empty() {
            self.require_room()?;
        }
        self.require_rights(&terms, call)?;
        let priced = self.priced(&self.cart, &terms)?;
        let mut paid = self.cart.tenders.clone();
        for tender in tenders {
            paid.push(read_tender(tender, priced.total_minor, &paid, &terms)?);
        }
        let header = self.sale_header(&shift, &terms, member.user)?;
        let mut body =
            sale::complete(&self.cart, &terms.pricing(), header, &paid).map_err(sale_refusal)?;
        let by = self.cash_approval(&body, &terms, approval, call)?;
        body.overrides.extend(by.map(|by| Override {
            kind: OverrideKind::CashCeiling,
            by,
            line: None,
        }));
        self.write_sale(body, &terms, call)
    }

    /// The manager who lets so much cash pass, when the sale reaches the ceiling of the law.
    fn cash_approval(
        &mut self,
        body: &SaleBody,
        terms: &Terms,
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Result<Option<UserId>, Refusal> {
        let ceiling = terms.store.cash_ceiling_on(terms.date);
        let Some(limit_minor) = ceiling.and_then(|ceiling| ceiling.hard_from_minor) else {
            return Ok(None);
        };
        let kept = domain::shift::kept_by_kind(body).map_err(|_| RefusalCode::AmountOverflow)?;
        let cash_minor = kept.get(&TenderKind::Cash).copied().unwrap_or(0);
        if cash_minor < limit_minor {
            return Ok(None);
        }
        let required = RefusalCode::CashCeilingApprovalRequired;
        let by = self.approved_by(approval, required, call);
        by.map(Some).map_err(|refusal| {
            if refusal.code == required {
                refusal
                    .with("limit_minor", limit_minor)
                    .with("cash_minor", cash_minor)
            } else {
                refusal
            }
        })
    }

    fn write_sale(&mut self, body: SaleBody, terms: &Terms, call: &mut Call) -> Outcome {
        let event = EventId(call.uuid());
        let fresh = Cart::new(SaleId(call.uuid()));
        let cash_minor = body
            .tenders
            .iter()
            .filter(|t| t.kind == TenderKind::Cash)
            .map(|t| t.amount_minor)
            .sum();
        let paper = self.sale_job(&body, None, terms, call);
        let kick = self.kick_job(cash_minor > 0, call);
        let reply = Reply::Completed(Box::new(CompletedView {
            sale: body.sale,
            number: body.number.clone(),
            total_minor: body.total_minor,
            cash_minor,
            change_minor: body.change_minor,
            job: paper.as_ref().map(|job| job.job),
            next: Box::new(self.cart_view(&fresh, None, terms, &call.now)?),
        }));
        let done = body.sale;
        let jobs: Vec<_> = kick.into_iter().chain(paper).collect();
        let reply = self.record_fact(event, &Fact::SaleCompleted(body), jobs, reply, call)?;
        let change = Change {
            drop: Some(done),
            cart: Some(fresh),
            ..Change::default()
        };
        self.adopt_after_fact(change, call.now.wall_ms);
        self.sync_requested = true;
        Ok(reply)
    }

    pub(crate) fn reverse_sale(
        &mut self,
        number: &str,
        reason: &str,
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Outcome {
        self.require_selling()?;
        let terms = self.terms(call)?;
        let shift = self.open_shift_or_refuse()?;
        let reason = cleaned(reason, "reason")?;
        if reason.is_empty() {
            return Err(Refusal::new(RefusalCode::TextInvalid).with("field", "reason"));
        }
        let found = self.receipt_by_number(number)?;
        let ReceiptBody::Sale(original) = &found.body else {
            return Err(RefusalCode::AlreadyReversed.into());
        };
        if found.reversed_by.is_some() {
            return Err(RefusalCode::AlreadyReversed.into());
        }
        if found.shift != shift.opened.shift {
            return Err(RefusalCode::ShiftOfReceiptClosed.into());
        }
        let by = self.approved_by(approval, RefusalCode::ManagerRequired, call)?;
        let member = self.signed_in()?;
        let header = self.sale_header(&shift, &terms, member.user)?;
        let mut mirror = sale::mirror(original, SaleId(call.uuid()), header);
        mirror.overrides = vec![Override {
            kind: OverrideKind::Reversal,
            by,
            line: None,
        }];
        let event = EventId(call.uuid());
        let cash_minor: i64 = mirror
            .tenders
            .iter()
            .filter(|t| t.kind == TenderKind::Cash)
            .map(|t| t.amount_minor)
            .sum();
        let paper = self.sale_job(&mirror, Some(&original.number), &terms, call);
        let kick = self.kick_job(cash_minor != 0, call);
        let reply = Reply::Completed(Box::new(CompletedView {
            sale: mirror.sale,
            number: mirror.number.clone(),
            total_minor: mirror.total_minor,
            cash_minor,
            change_minor: mirror.change_minor,
            job: paper.as_ref().map(|job| job.job),
            next: Box::new(self.cart_view(&self.cart, None, &terms, &call.now)?),
        }));
        let fact = Fact::Reversed(Reversed {
            of: original.sale,
            of_number: original.number.clone(),
            reason,
            mirror,
        });
        let jobs: Vec<_> = kick.into_iter().chain(paper).collect();
        let reply = self.record_fact(event, &fact, jobs, reply, call)?;
        self.sync_requested = true;
        Ok(reply)
    }

    /// Writes a fact, its print jobs and the answer in one transaction.
    pub(crate) fn record_fact(
        &mut self,
        event: EventId,
        fact: &Fact,
        jobs: Vec<ledger::NewPrintJob>,
        reply: Reply,
        call: &mut Call,
    ) -> Outcome {
        let answer = Answer::Ok(reply);
        let text = encode(&answer);
        let (id, digest, now) = (call.id, call.digest, call.now);
        let code = call.code.take();
        let written = self.book_mut()?.write(|tx| {
            let head = tx.append(&now, event, fact)?;
            if let Some(code) = code.filter(|code| code.claims.seq == head.seq) {
                tx.sign_receipt(&code)?;
            }
            for job in jobs {
                tx.queue_print(&job)?;
            }
            tx.store_answer(id, digest, &text, now.wall_ms)
        });
        written.map_err(|error: LedgerError| write_refusal(&error, fact))?;
        call.stored = true;
        match answer {
            Answer::Ok(reply) => Ok(reply),
            Answer::Refused(refusal) => Err(refusal),
        }
    }

    /// Writes a fact with its answer, then changes the drafts.
    fn record(&mut self, fact: Fact, change: Change, reply: Reply, call: &mut Call) -> Outcome {
        let event = EventId(call.uuid());
        let reply = self.record_fact(event, &fact, Vec::new(), reply, call)?;
        self.adopt_after_fact(change, call.now.wall_ms);
        Ok(reply)
    }

    /// Signed in, configured, and therefore able to ring up.
    fn require_selling(&self) -> Result<domain::config::StaffMember, Refusal> {
        let member = self.signed_in()?;
        if !self
            .book()?
            .ready_to_sell()
            .map_err(|error| storage_refusal(&error))?
        {
            return Err(RefusalCode::NotReady.into());
        }
        Ok(member)
    }

    pub(crate) fn terms(&self, call: &Call) -> Result<Terms, Refusal> {
        let store = self.store()?;
        let date = match self.current_shift()? {
            Some(shift) => shift.opened.business_date,
            None => self.today(call)?,
        };
        Ok(Terms { store, date })
    }

    /// The local date; where the server was heard from on a later one, the clock is wrong and the later of
    /// that date and the last trading day takes its place, so that a till that thinks it is 1970 has prices.
    ///
    /// The journal's own clock is not asked: one hour in 2099 would keep it there for good.
    pub(crate) fn today(&self, call: &Call) -> Result<BusinessDate, Refusal> {
        let failed = |error: LedgerError| storage_refusal(&error);
        let shown = call.now.local_date();
        let book = self.book()?;
        let heard = book.newest_contact().map_err(failed)?.map(|wall_ms| {
            let then = Now {
                wall_ms,
                ..call.now
            };
            then.local_date()
        });
        match heard {
            Some(heard) if shown < heard => {
                let last = book.last_business_date().map_err(failed)?;
                Ok(last.map_or(heard, |last| last.max(heard)))
            }
            _ => Ok(shown),
        }
    }

    pub(crate) fn current_shift(&self) -> Result<Option<OpenShift>, Refusal> {
        self.book()?
            .open_shift(self.drawer)
            .map_err(|error| storage_refusal(&error))
    }

    fn shift_id(&self) -> Result<Option<domain::ids::ShiftId>, Refusal> {
        Ok(self.current_shift()?.map(|shift| shift.opened.shift))
    }

    pub(crate) fn open_shift_or_refuse(&self) -> Result<OpenShift, Refusal> {
        self.current_shift()?
            .ok_or_else(|| RefusalCode::ShiftRequired.into())
    }

    fn sale_header(
        &self,
        shift: &OpenShift,
        terms: &Terms,
        cashier: UserId,
    ) -> Result<SaleHeader, Refusal> {
        let book = self.book()?;
        let identity = book.identity();
        let year = shift.opened.business_date.fiscal_year();
        let number_seq = book
            .next_number(year)
            .map_err(|error| storage_refusal(&error))?;
        Ok(SaleHeader {
            number: receipt_number(
                &identity.store,
                &identity.till,
                identity.stream,
                year,
                number_seq,
            ),
            number_seq,
            business_date: shift.opened.business_date,
            shift: shift.opened.shift,
            cashier,
            location: terms.store.location.clone(),
            price_list: terms.store.price_list.clone(),
            price_version: book
                .price_version()
                .map_err(|error| storage_refusal(&error))?,
            cash_stamp_bp: terms.store.cash_stamp_bp_on(shift.opened.business_date),
        })
    }

    pub(crate) fn priced(&self, cart: &Cart, terms: &Terms) -> Result<PricedCart, Refusal> {
        cart::price(cart, &terms.pricing()).map_err(cart_refusal)
    }

    /// The cart as `change` would leave it, and what it would come to. Nothing is kept.
    fn trial_priced(
        &self,
        terms: &Terms,
        change: impl FnOnce(&mut Cart) -> Result<(), CartError>,
    ) -> Result<(Cart, PricedCart), Refusal> {
        let mut cart = self.cart.clone();
        change(&mut cart).map_err(cart_refusal)?;
        let priced = self.priced(&cart, terms)?;
        Ok((cart, priced))
    }

    fn change_line(
        &mut self,
        line: u32,
        call: &mut Call,
        change: impl FnOnce(&mut Cart) -> Result<(), CartError>,
    ) -> Outcome {
        self.require_selling()?;
        let terms = self.terms(call)?;
        let (mut cart, priced) = self.trial_priced(&terms, change)?;
        self.hold_discounts(&mut cart, &priced, &terms, None)?;
        self.hold_rights(&cart, &terms, call)?;
        self.keep_cart(cart, Some(line), &terms, call)
    }

    fn keep_cart(
        &mut self,
        cart: Cart,
        touched: Option<u32>,
        terms: &Terms,
        call: &mut Call,
    ) -> Outcome {
        let view = self.cart_view(&cart, touched, terms, &call.now)?;
        let change = Change {
            cart: Some(cart),
            ..Change::default()
        };
        call.draft(self, change, Reply::Cart(Box::new(view)))
    }
}

/// What the cashier is told when a fact could not be written.
fn write_refusal(error: &LedgerError, fact: &Fact) -> Refusal {
    let (LedgerError::NoRight { variant }, Fact::SaleCompleted(sale)) = (error, fact) else {
        return storage_refusal(error);
    };
    let takes = |line: &&SaleLine| taken(line).iter().any(|goods| goods.variant == *variant);
    let line = sale.lines.iter().find(takes);
    Refusal::new(RefusalCode::NoRight)
        .with("sku", line.map(|line| line.sku.clone()).unwrap_or_default())
        .with(
            "variant",
            line.map_or(*variant, |line| line.variant).to_string(),
        )
        .with("right", 0)
}

/// That of a strict variant less is left than the cart takes. What is named is what stands on the line: of a kit the kit,
/// not its part.
pub(crate) fn no_right(line: Option<&CartLine>, variant: VariantId, right: Quantity) -> Refusal {
    Refusal::new(RefusalCode::NoRight)
        .with("sku", line.map(|line| line.sku.clone()).unwrap_or_default())
        .with(
            "variant",
            line.map_or(variant, |line| line.variant).to_string(),
        )
        .with("right", right.0)
}

fn to_discount(input: DiscountInput) -> Discount {
    match input {
        DiscountInput::None => Discount::None,
        DiscountInput::Percent { bp } => Discount::Percent { bp },
        DiscountInput::Amount { minor } => Discount::Amount { minor },
    }
}

/// Whether a discount that takes `taken_minor` off `base_minor` is above `limit_bp` hundredths of a percent.
/// A percentage counts as it was asked for: rounding to minor units must not push it over the limit.
fn above_limit(discount: Discount, taken_minor: i64, base_minor: i64, limit_bp: u32) -> bool {
    match discount {
        Discount::None => false,
        Discount::Percent { bp } => bp > limit_bp,
        Discount::Amount { .. } => {
            i128::from(taken_minor) * 10_000 > i128::from(base_minor) * i128::from(limit_bp)
        }
    }
}

/// Lines, and none for the cart, whose discount is above the limit and was not allowed yet.
fn unapproved_discounts(cart: &Cart, priced: &PricedCart, limit_bp: u32) -> Vec<Option<u32>> {
    let lines = cart.lines.iter().zip(&priced.lines);
    let mut open: Vec<Option<u32>> = lines
        .filter(|(line, priced)| {
            let PricedLine {
                discount_minor,
                gross_minor,
                ..
            } = **priced;
            above_limit(line.discount, discount_minor, gross_minor, limit_bp)
        })
        .map(|(line, _)| Some(line.line))
        .collect();
    let (taken_minor, base_minor) = (priced.cart_discount_minor, priced.subtotal_minor);
    if above_limit(cart.discount, taken_minor, base_minor, limit_bp) {
        open.push(None);
    }
    let allowed = |line: &Option<u32>| {
        let noted = |noted: &Override| (noted.kind, noted.line) == (OverrideKind::Discount, *line);
        cart.overrides.iter().any(noted)
    };
    open.retain(|line| !allowed(line));
    open
}

/// Drops the approval of a discount whose share has grown since: a manager allowed 20 % of ten articles, not
/// the same amount off two.
fn forget_outgrown(cart: &mut Cart, priced: &PricedCart, old: &Cart, before: &PricedCart) {
    let grown = |taken: i64, base: i64, taken_before: i64, base_before: i64| {
        i128::from(taken) * i128::from(base_before) > i128::from(taken_before) * i128::from(base)
    };
    let mut outgrown = Vec::new();
    for (line, now) in cart.lines.iter().zip(&priced.lines) {
        let was = old
            .lines
            .iter()
            .zip(&before.lines)
            .find(|(was, _)| was.line == line.line);
        let Some((_, was)) = was else { continue };
        let amount = matches!(line.discount, Discount::Amount { .. });
        if amount
            && grown(
                now.discount_minor,
                now.gross_minor,
                was.discount_minor,
                was.gross_minor,
            )
        {
            outgrown.push(Some(line.line));
        }
    }
    let amount = matches!(cart.discount, Discount::Amount { .. });
    let (taken, base) = (priced.cart_discount_minor, priced.subtotal_minor);
    if amount
        && grown(
            taken,
            base,
            before.cart_discount_minor,
            before.subtotal_minor,
        )
    {
        outgrown.push(None);
    }
    for line in outgrown {
        forget_override(cart, OverrideKind::Discount, line);
    }
}

fn forget_override(cart: &mut Cart, kind: OverrideKind, line: Option<u32>) {
    cart.overrides
        .retain(|noted| (noted.kind, noted.line) != (kind, line));
}

fn note_override(cart: &mut Cart, kind: OverrideKind, by: UserId, line: Option<u32>) {
    forget_override(cart, kind, line);
    cart.overrides.push(Override { kind, by, line });
}

fn read_tender(
    input: &TenderInput,
    exact_minor: i64,
    before: &[Tender],
    terms: &Terms,
) -> Result<Tender, Refusal> {
    let due = sale::due(exact_minor, before, terms.store.cash_rounding).map_err(sale_refusal)?;
    let reference = input
        .reference
        .as_deref()
        .map(|text| cleaned(text, "reference"))
        .transpose()?;
    let reference = reference.filter(|text| !text.is_empty());
    let (amount_minor, reference) = match input.kind {
        TenderKind::Cash => (input.amount_minor.unwrap_or(due.due_cash_minor), reference),
        TenderKind::Card | TenderKind::Other => {
            let reference = reference.ok_or(RefusalCode::ReferenceRequired)?;
            (input.amount_minor.unwrap_or(due.due_minor), Some(reference))
        }
    };
    if input.kind != TenderKind::Cash && amount_minor > due.due_minor {
        return Err(Refusal::new(RefusalCode::TenderAboveDue).with("due_minor", due.due_minor));
    }
    let nothing_due =
        amount_minor == 0 && due.due_cash_minor == 0 && input.kind == TenderKind::Cash;
    if amount_minor < 0 || (amount_minor == 0 && !nothing_due) {
        return Err(RefusalCode::TenderInvalid.into());
    }
    if amount_minor > domain::money::MINOR_MAX {
        return Err(RefusalCode::AmountOverflow.into());
    }
    Ok(Tender {
        kind: input.kind,
        amount_minor,
        reference,
    })
}

/// A text that may be printed and exported, or the refusal that names its field.
pub(crate) fn cleaned(input: &str, field: &str) -> Result<String, Refusal> {
    if input.trim().is_empty() {
        return Ok(String::new());
    }
    text::clean(input, TEXT_CHARS_MAX)
        .ok_or_else(|| Refusal::new(RefusalCode::TextInvalid).with("field", field))
}

/// A scanned code as it may be shown: without control and direction characters, not longer than a screen line.
pub(crate) fn shown(code: &str) -> String {
    let harmless = |c: &char| *c == ' ' || text::clean(&c.to_string(), 1).is_some();
    code.chars().filter(harmless).take(32).collect()
}

pub(crate) fn cart_refusal(error: CartError) -> Refusal {
    match error {
        CartError::UnknownLine => RefusalCode::UnknownLine.into(),
        CartError::QuantityInvalid => RefusalCode::QuantityInvalid.into(),
        CartError::PriceInvalid => RefusalCode::PriceInvalid.into(),
        CartError::DiscountInvalid => RefusalCode::DiscountInvalid.into(),
        CartError::AmountOverflow => RefusalCode::AmountOverflow.into(),
        CartError::TooManyLines => {
            Refusal::new(RefusalCode::TooManyLines).with("max", cart::LINES_MAX)
        }
    }
}

pub(crate) fn sale_refusal(error: CompleteSaleError) -> Refusal {
    match error {
        CompleteSaleError::Empty => RefusalCode::EmptyCart.into(),
        CompleteSaleError::TenderInvalid => RefusalCode::TenderInvalid.into(),
        CompleteSaleError::TenderAboveDue { due_minor } => {
            Refusal::new(RefusalCode::TenderAboveDue).with("due_minor", due_minor)
        }
        CompleteSaleError::Underpaid {
            due_minor,
            tendered_minor,
        } => Refusal::new(RefusalCode::Underpaid)
            .with("due_minor", due_minor)
            .with("tendered_minor", tendered_minor),
        CompleteSaleError::Overflow => RefusalCode::AmountOverflow.into(),
        CompleteSaleError::Cart(error) => cart_refusal(error),
    }
}
