//! The cart: a draft of a sale, kept until it is paid, and the one function that prices it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::{KitPart, Names, StockClass};
use crate::config::{CashRounding, DocumentLevy, Rate, TaxRounding};
use crate::event::{GoodsLine, LevyCharged, Override, OverrideKind, TaxTotal, Tender};
use crate::ids::{SaleId, TaxCategory, VariantId};
use crate::money::{Currency, MINOR_MAX, MoneyError, allocate};
use crate::quantity::{QUANTITY_MAX, Quantity};
use crate::tax;
use crate::time::BusinessDate;

/// Most lines a cart may have.
pub const LINES_MAX: usize = 500;

/// A whole, in hundredths of a percent.
const WHOLE_BP: u32 = 10_000;

/// Why a cart cannot be changed or priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CartError {
    /// The cart has no such line.
    #[error("the cart has no such line")]
    UnknownLine,
    /// Nothing, less than nothing, or more than a line may hold.
    #[error("not a quantity that can be sold")]
    QuantityInvalid,
    /// A negative price, or one that the user interface cannot show.
    #[error("not a price")]
    PriceInvalid,
    /// A negative discount, or one above what it is taken off.
    #[error("not a discount on this amount")]
    DiscountInvalid,
    /// An amount of the cart is above [`MINOR_MAX`].
    #[error("amount overflows")]
    AmountOverflow,
    /// The cart already has [`LINES_MAX`] lines.
    #[error("the cart is full")]
    TooManyLines,
}

impl From<MoneyError> for CartError {
    fn from(error: MoneyError) -> CartError {
        match error {
            MoneyError::Overflow
            | MoneyError::CurrencyMismatch { .. }
            | MoneyError::NotAnAmount
            | MoneyError::TooManyDecimals(_) => CartError::AmountOverflow,
        }
    }
}

/// A reduction of a line or of the whole cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Discount {
    /// None.
    #[default]
    None,
    /// A share, in hundredths of a percent: 1000 is 10 %.
    Percent {
        /// Hundredths of a percent, at most 10000.
        bp: u32,
    },
    /// An amount, tax included.
    Amount {
        /// Minor units, not negative.
        minor: i64,
    },
}

/// What is put on a cart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLine {
    /// Variant.
    pub variant: VariantId,
    /// SKU now.
    pub sku: String,
    /// Name now.
    pub names: Names,
    /// Values of the options (`42`, `Noir`).
    pub options: Vec<String>,
    /// How many.
    pub quantity: Quantity,
    /// Unit price of the price list, tax included, minor units.
    pub list_minor: i64,
    /// Tax category.
    pub tax: TaxCategory,
    /// Rate of that category on the business date.
    pub rate: Rate,
    /// Stock class at the location.
    pub class: StockClass,
    /// What one unit is made of, for a kit; empty otherwise.
    pub components: Vec<GoodsLine>,
}

/// A line of the cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartLine {
    /// Number of the line on this cart, from 1; never used twice.
    pub line: u32,
    /// Variant.
    pub variant: VariantId,
    /// SKU when it was put here.
    pub sku: String,
    /// Name when it was put here.
    pub names: Names,
    /// Values of the options.
    pub options: Vec<String>,
    /// How many.
    pub quantity: Quantity,
    /// Unit price of the price list, tax included, minor units.
    pub list_minor: i64,
    /// Unit price asked, tax included, minor units; another than the list's once somebody set it.
    pub unit_minor: i64,
    /// Discount on this line.
    pub discount: Discount,
    /// Tax category.
    pub tax: TaxCategory,
    /// Rate.
    pub rate: Rate,
    /// Stock class.
    pub class: StockClass,
    /// What one unit is made of, for a kit.
    #[serde(default)]
    pub components: Vec<GoodsLine>,
}

/// A sale that is being rung up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cart {
    /// The sale this becomes.
    pub sale: SaleId,
    /// Lines, ascending by number.
    pub lines: Vec<CartLine>,
    /// Lines taken off, in the order they were, so that an undo can bring them back.
    pub removed: Vec<CartLine>,
    /// How often a line was taken off: the journal holds as many traces, or one more after a crash.
    #[serde(default)]
    pub voids: u32,
    /// Number of the next line.
    pub next_line: u32,
    /// Discount on the whole cart.
    pub discount: Discount,
    /// Tenders recorded so far.
    pub tenders: Vec<Tender>,
    /// Approvals given so far.
    pub overrides: Vec<Override>,
    /// Name of a parked cart, to find it again.
    pub label: Option<String>,
}

impl Cart {
    /// An empty cart.
    pub const fn new(sale: SaleId) -> Cart {
        Cart {
            sale,
            lines: Vec::new(),
            removed: Vec::new(),
            voids: 0,
            next_line: 1,
            discount: Discount::None,
            tenders: Vec::new(),
            overrides: Vec::new(),
            label: None,
        }
    }

    /// Whether there is nothing to sell.
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Puts something on the cart and returns the number of its line. What is already there at the same
    /// price, untouched by price change and discount, grows instead of getting a second line; a line that a manager
    /// let pass without a right stays as it was allowed.
    ///
    /// # Errors
    /// [`CartError::QuantityInvalid`], [`CartError::PriceInvalid`], [`CartError::TooManyLines`], in this order.
    pub fn add_line(&mut self, new: NewLine) -> Result<u32, CartError> {
        check_parts(&new.components, new.quantity)?;
        check_price(new.list_minor)?;
        let overrides = &self.overrides;
        let waived = |line: u32| waives_right(overrides, line);
        let grows = |line: &&mut CartLine| line.takes(&new) && !waived(line.line);
        if let Some(line) = self.lines.iter_mut().find(grows) {
            let sum = line.quantity.checked_add(new.quantity);
            let sum = sum.ok_or(CartError::QuantityInvalid)?;
            check_parts(&line.components, sum)?;
            line.quantity = sum;
            return Ok(line.line);
        }
        self.add_apart(new)
    }

    /// As [`Cart::add_line`], on a line of its own.
    ///
    /// # Errors
    /// As [`Cart::add_line`].
    pub fn add_apart(&mut self, new: NewLine) -> Result<u32, CartError> {
        check_parts(&new.components, new.quantity)?;
        check_price(new.list_minor)?;
        if self.lines.len() >= LINES_MAX {
            return Err(CartError::TooManyLines);
        }
        let line = self.next_line;
        self.next_line = line.checked_add(1).ok_or(CartError::TooManyLines)?;
        self.lines.push(CartLine {
            line,
            variant: new.variant,
            sku: new.sku,
            names: new.names,
            options: new.options,
            quantity: new.quantity,
            list_minor: new.list_minor,
            unit_minor: new.list_minor,
            discount: Discount::None,
            tax: new.tax,
            rate: new.rate,
            class: new.class,
            components: new.components,
        });
        Ok(line)
    }

    /// What the cart takes of rights to strict variants, thousandths: lines and parts of kits of one variant are one
    /// demand, what is taken back is taken off, and lines that a manager let pass take none.
    pub fn strict_demand(&self) -> BTreeMap<VariantId, i64> {
        let waived = |line: &&CartLine| !waives_right(&self.overrides, line.line);
        demand(self.lines.iter().filter(waived), StockClass::Strict)
    }

    /// What the cart takes off the shelf of variants of class `shelf`, thousandths, parts of kits too.
    pub fn shelf_demand(&self) -> BTreeMap<VariantId, i64> {
        demand(self.lines.iter(), StockClass::Shelf)
    }

    /// The first line that takes of `variant`, itself or as a part.
    pub fn line_taking(&self, variant: VariantId) -> Option<&CartLine> {
        self.lines.iter().find(|line| line.takes_of(variant))
    }

    /// Sets how many of a line there are; more than none.
    ///
    /// # Errors
    /// [`CartError::QuantityInvalid`], [`CartError::UnknownLine`].
    pub fn set_quantity(&mut self, line: u32, quantity: Quantity) -> Result<(), CartError> {
        check_quantity(quantity)?;
        let line = self.line_mut(line)?;
        check_parts(&line.components, quantity)?;
        line.quantity = quantity;
        Ok(())
    }

    /// Sets the unit price of a line, tax included, in minor units. Nothing is a price too.
    ///
    /// # Errors
    /// [`CartError::PriceInvalid`], [`CartError::UnknownLine`].
    pub fn set_price(&mut self, line: u32, unit_minor: i64) -> Result<(), CartError> {
        check_price(unit_minor)?;
        self.line_mut(line)?.unit_minor = unit_minor;
        Ok(())
    }

    /// Sets the discount of a line, in place of the one it had.
    ///
    /// # Errors
    /// [`CartError::UnknownLine`]; [`CartError::DiscountInvalid`] also when it is above what the line comes to.
    pub fn discount_line(&mut self, line: u32, discount: Discount) -> Result<(), CartError> {
        let line = self.line_mut(line)?;
        let gross = line.gross_minor()?;
        reduction(discount, gross)?;
        line.discount = discount;
        Ok(())
    }

    /// Sets the discount of the whole cart, in place of the one it had. Whether an amount is above what the
    /// cart comes to shows when it is priced; off an empty cart none can be taken, or the first article would get
    /// a discount that nobody weighed against a limit.
    ///
    /// # Errors
    /// [`CartError::DiscountInvalid`] for one that fits no cart.
    pub fn discount_cart(&mut self, discount: Discount) -> Result<(), CartError> {
        let most_minor = if self.is_empty() { 0 } else { MINOR_MAX };
        reduction(discount, most_minor)?;
        self.discount = discount;
        Ok(())
    }

    /// Takes a line off and returns it; [`Cart::restore_line`] brings it back. The last line takes the
    /// discount of the cart with it: the next article would otherwise get a discount meant for others.
    ///
    /// # Errors
    /// [`CartError::UnknownLine`].
    pub fn remove_line(&mut self, line: u32) -> Result<CartLine, CartError> {
        let index = self.lines.iter().position(|found| found.line == line);
        let removed = self.lines.remove(index.ok_or(CartError::UnknownLine)?);
        self.voids = self.voids.saturating_add(1);
        self.removed.push(removed.clone());
        if self.lines.is_empty() {
            self.discount = Discount::None;
        }
        Ok(removed)
    }

    /// Brings a removed line back to where it was, with its number, price and discount.
    ///
    /// # Errors
    /// [`CartError::UnknownLine`], [`CartError::TooManyLines`].
    pub fn restore_line(&mut self, line: u32) -> Result<(), CartError> {
        let index = self.removed.iter().position(|found| found.line == line);
        let index = index.ok_or(CartError::UnknownLine)?;
        if self.lines.len() >= LINES_MAX {
            return Err(CartError::TooManyLines);
        }
        let restored = self.removed.remove(index);
        let place = self.lines.partition_point(|found| found.line < line);
        self.lines.insert(place, restored);
        Ok(())
    }

    fn line_mut(&mut self, line: u32) -> Result<&mut CartLine, CartError> {
        let found = self.lines.iter_mut().find(|found| found.line == line);
        found.ok_or(CartError::UnknownLine)
    }
}

/// What lines take of the variants of a class.
fn demand<'a>(
    lines: impl Iterator<Item = &'a CartLine>,
    class: StockClass,
) -> BTreeMap<VariantId, i64> {
    let mut demand: BTreeMap<VariantId, i64> = BTreeMap::new();
    for taken in lines.flat_map(CartLine::taken) {
        if taken.class == class {
            let sum = demand.entry(taken.variant).or_default();
            *sum = sum.saturating_add(taken.quantity.0);
        }
    }
    demand
}

/// Whether a manager let a line pass without a right.
fn waives_right(overrides: &[Override], line: u32) -> bool {
    overrides
        .iter()
        .any(|noted| noted.kind == OverrideKind::NoRight && noted.line == Some(line))
}

impl CartLine {
    /// Whether `new` is more of the same, so that this line can grow.
    fn takes(&self, new: &NewLine) -> bool {
        self.variant == new.variant
            && self.list_minor == new.list_minor
            && self.unit_minor == self.list_minor
            && self.discount == Discount::None
            && self.tax == new.tax
            && self.rate == new.rate
            && self.class == new.class
            && self.components == new.components
    }

    /// What `quantity` of the line is made of, for a kit. Shares of a unit are rounded to thousandths, half up.
    pub fn components_of(&self, quantity: Quantity) -> Vec<GoodsLine> {
        let share = |part: &GoodsLine| GoodsLine {
            // No line holds a quantity of which a part is nothing or too much.
            quantity: part_of(part, quantity).unwrap_or_default(),
            ..part.clone()
        };
        self.components.iter().map(share).collect()
    }

    /// What leaves the shelf: the variant, or what a kit is made of.
    pub fn taken(&self) -> Vec<GoodsLine> {
        if self.components.is_empty() {
            return vec![GoodsLine {
                variant: self.variant,
                quantity: self.quantity,
                class: self.class,
            }];
        }
        self.components_of(self.quantity)
    }

    /// Whether it takes of `variant`, itself or as a part.
    pub fn takes_of(&self, variant: VariantId) -> bool {
        if self.components.is_empty() {
            return self.variant == variant;
        }
        self.components.iter().any(|part| part.variant == variant)
    }

    /// Whether selling it spends a right.
    pub fn is_strict(&self) -> bool {
        let strict = |part: &GoodsLine| part.class == StockClass::Strict;
        self.taken().iter().any(strict)
    }

    /// Unit price times quantity, rounded half away from zero to minor units.
    fn gross_minor(&self) -> Result<i64, CartError> {
        within(extend(self.unit_minor, self.quantity))
    }
}

/// What prices depend on besides the cart.
#[derive(Debug, Clone, Copy)]
pub struct Pricing<'a> {
    /// Currency of every amount.
    pub currency: Currency,
    /// Where tax is rounded.
    pub tax_rounding: TaxRounding,
    /// Levies of the store, in force or not.
    pub levies: &'a [DocumentLevy],
    /// Rounding of the cash leg.
    pub cash_rounding: Option<CashRounding>,
    /// Business date, which decides what is in force.
    pub date: BusinessDate,
}

/// What a line comes to, in minor units, tax included unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PricedLine {
    /// Unit price times quantity.
    pub gross_minor: i64,
    /// Discount on the line.
    pub discount_minor: i64,
    /// After the discount on the line.
    pub subtotal_minor: i64,
    /// Share of the discount on the cart.
    pub cart_discount_minor: i64,
    /// After both discounts.
    pub total_minor: i64,
    /// Total without tax.
    pub net_minor: i64,
    /// Tax in the total.
    pub tax_minor: i64,
}

/// What a cart comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricedCart {
    /// Lines, in the order of the cart's.
    pub lines: Vec<PricedLine>,
    /// Sum of the lines after their own discounts.
    pub subtotal_minor: i64,
    /// Discount on the cart.
    pub cart_discount_minor: i64,
    /// Net and tax per rate, ascending.
    pub taxes: Vec<TaxTotal>,
    /// Levies on the document.
    pub levies: Vec<LevyCharged>,
    /// What is due before cash is rounded: lines after all discounts, and levies.
    pub total_minor: i64,
    /// Sum of the quantities.
    pub units: Quantity,
}

/// Prices a cart. Discounts go before tax, levies come after it and only when there is something to sell.
///
/// # Errors
/// [`CartError::DiscountInvalid`] when a discount is above what it is taken off,
/// [`CartError::AmountOverflow`] when an amount is above [`MINOR_MAX`].
pub fn price(cart: &Cart, pricing: &Pricing<'_>) -> Result<PricedCart, CartError> {
    let mut lines = Vec::with_capacity(cart.lines.len());
    for line in &cart.lines {
        let gross_minor = line.gross_minor()?;
        let discount_minor = reduction(line.discount, gross_minor)?;
        lines.push(PricedLine {
            gross_minor,
            discount_minor,
            subtotal_minor: gross_minor - discount_minor,
            cart_discount_minor: 0,
            total_minor: 0,
            net_minor: 0,
            tax_minor: 0,
        });
    }
    let subtotal_minor = within(
        lines
            .iter()
            .map(|line| i128::from(line.subtotal_minor))
            .sum(),
    )?;
    let cart_discount_minor = share_cart_discount(cart, subtotal_minor, &mut lines)?;
    let totals: Vec<(i64, Rate)> = lines
        .iter()
        .zip(&cart.lines)
        .map(|(priced, line)| (priced.total_minor, line.rate))
        .collect();
    let split = tax::split(&totals, pricing.tax_rounding)?;
    for (line, part) in lines.iter_mut().zip(split.lines) {
        line.net_minor = part.net_minor;
        line.tax_minor = part.tax_minor;
    }
    let levies = if cart.is_empty() {
        Vec::new()
    } else {
        levies_on(pricing.levies, pricing.date)
    };
    let charged: i128 = levies.iter().map(|levy| i128::from(levy.minor)).sum();
    let goods = i128::from(subtotal_minor) - i128::from(cart_discount_minor);
    let units = cart.lines.iter().map(|line| i128::from(line.quantity.0));
    Ok(PricedCart {
        lines,
        subtotal_minor,
        cart_discount_minor,
        taxes: split.per_rate,
        levies,
        total_minor: within(goods + charged)?,
        units: Quantity(within(units.sum())?),
    })
}

/// Spreads the discount of the cart over its lines by what they come to, and fixes their totals.
fn share_cart_discount(
    cart: &Cart,
    subtotal_minor: i64,
    lines: &mut [PricedLine],
) -> Result<i64, CartError> {
    if lines.is_empty() {
        return Ok(0);
    }
    let discount_minor = reduction(cart.discount, subtotal_minor)?;
    let weights: Vec<i64> = lines.iter().map(|line| line.subtotal_minor).collect();
    for (line, share) in lines.iter_mut().zip(allocate(discount_minor, &weights)) {
        line.cart_discount_minor = share;
        line.total_minor = line.subtotal_minor - share;
    }
    Ok(discount_minor)
}

/// The levies in force on `date`, each code once; of two entries of one code the later start wins.
fn levies_on(levies: &[DocumentLevy], date: BusinessDate) -> Vec<LevyCharged> {
    let in_force = |levy: &&DocumentLevy| levy.from <= date && levy.to.is_none_or(|to| date <= to);
    let mut charged: Vec<&DocumentLevy> = Vec::new();
    for levy in levies.iter().filter(in_force) {
        match charged.iter_mut().find(|found| found.code == levy.code) {
            Some(found) if found.from < levy.from => *found = levy,
            Some(_) => {}
            None => charged.push(levy),
        }
    }
    charged
        .into_iter()
        .filter(|levy| levy.minor > 0)
        .map(|levy| LevyCharged {
            code: levy.code.clone(),
            minor: levy.minor,
        })
        .collect()
}

/// What a discount takes off `base_minor`, which is not negative.
fn reduction(discount: Discount, base_minor: i64) -> Result<i64, CartError> {
    match discount {
        Discount::None => Ok(0),
        Discount::Percent { bp } if bp > WHOLE_BP => Err(CartError::DiscountInvalid),
        Discount::Percent { bp } => {
            let scaled = i128::from(base_minor) * i128::from(bp);
            within(div_half_away(scaled, i128::from(WHOLE_BP)))
        }
        Discount::Amount { minor } if minor < 0 || minor > base_minor => {
            Err(CartError::DiscountInvalid)
        }
        Discount::Amount { minor } => Ok(minor),
    }
}

/// Unit price times quantity in minor units, half away from zero.
pub(crate) fn extend(unit_minor: i64, quantity: Quantity) -> i128 {
    div_half_away(
        i128::from(unit_minor) * i128::from(quantity.0),
        i128::from(Quantity::ONE.0),
    )
}

fn div_half_away(dividend: i128, divisor: i128) -> i128 {
    let magnitude = (dividend.abs() + divisor / 2) / divisor;
    if dividend < 0 { -magnitude } else { magnitude }
}

fn within(value: i128) -> Result<i64, CartError> {
    match i64::try_from(value) {
        Ok(minor) if minor.unsigned_abs() <= MINOR_MAX.unsigned_abs() => Ok(minor),
        _ => Err(CartError::AmountOverflow),
    }
}

/// Whether so much can be sold of a line: each part of a kit has to come to something, too.
fn check_parts(components: &[GoodsLine], quantity: Quantity) -> Result<(), CartError> {
    check_quantity(quantity)?;
    let fits = |part: &GoodsLine| part_of(part, quantity).is_some();
    if components.iter().all(fits) {
        Ok(())
    } else {
        Err(CartError::QuantityInvalid)
    }
}

/// What `quantity` of a line takes of one of its parts.
fn part_of(part: &GoodsLine, quantity: Quantity) -> Option<Quantity> {
    let kit = KitPart {
        variant: part.variant,
        quantity: part.quantity,
    };
    kit.in_kits(quantity)
}

const fn check_quantity(quantity: Quantity) -> Result<(), CartError> {
    if quantity.0 <= 0 || quantity.0 > QUANTITY_MAX {
        return Err(CartError::QuantityInvalid);
    }
    Ok(())
}

const fn check_price(minor: i64) -> Result<(), CartError> {
    if minor < 0 || minor > MINOR_MAX {
        return Err(CartError::PriceInvalid);
    }
    Ok(())
}
