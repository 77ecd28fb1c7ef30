//! The cart: a draft of a sale, and the one function that prices it.

use serde::{Deserialize, Serialize};

use crate::catalog::{Names, StockClass};
use crate::config::{CashRounding, DocumentLevy, Rate, TaxRounding};
use crate::event::{LevyCharged, Override, TaxTotal, Tender};
use crate::ids::{SaleId, TaxCategory, VariantId};
use crate::money::{Currency, MINOR_MAX, MoneyError, allocate};
use crate::quantity::{QUANTITY_MAX, Quantity};
use crate::tax;
use crate::time::BusinessDate;

/// Most lines on one cart.
pub const LINES_MAX: usize = 500;
/// One hundred percent, in hundredths of a percent.
const BP_MAX: u32 = 10_000;

/// A discount on a line or on the cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Discount {
    /// None.
    #[default]
    None,
    /// Hundredths of a percent.
    Percent {
        /// 0 to 10000.
        bp: u32,
    },
    /// A fixed amount.
    Amount {
        /// Minor units.
        minor: i64,
    },
}

/// A line of a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartLine {
    /// Number, from 1, never used twice on one cart.
    pub line: u32,
    /// Variant.
    pub variant: VariantId,
    /// SKU.
    pub sku: String,
    /// Name of the style.
    pub names: Names,
    /// Option values.
    pub options: Vec<String>,
    /// Quantity, positive.
    pub quantity: Quantity,
    /// Unit price of the list, tax included.
    pub list_minor: i64,
    /// Unit price charged, tax included.
    pub unit_minor: i64,
    /// Discount on this line.
    pub discount: Discount,
    /// Tax category.
    pub tax: TaxCategory,
    /// Tax rate.
    pub rate: Rate,
    /// Stock class at the location.
    pub class: StockClass,
}

/// What a line is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLine {
    /// Variant.
    pub variant: VariantId,
    /// SKU.
    pub sku: String,
    /// Name of the style.
    pub names: Names,
    /// Option values.
    pub options: Vec<String>,
    /// Quantity, positive.
    pub quantity: Quantity,
    /// Unit price of the list, tax included.
    pub list_minor: i64,
    /// Tax category.
    pub tax: TaxCategory,
    /// Tax rate.
    pub rate: Rate,
    /// Stock class at the location.
    pub class: StockClass,
}

/// A sale in the making.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cart {
    /// Id of the cart and of the sale it becomes.
    pub sale: SaleId,
    /// Lines in the order of entry.
    pub lines: Vec<CartLine>,
    /// Lines taken off, which may be put back.
    pub removed: Vec<CartLine>,
    /// Number of the next line.
    pub next_line: u32,
    /// Discount on the whole cart.
    pub discount: Discount,
    /// Tenders recorded so far.
    pub tenders: Vec<Tender>,
    /// A manager's approvals so far.
    pub overrides: Vec<Override>,
    /// Note of a parked cart.
    pub label: Option<String>,
}

/// Why a cart cannot be changed or priced. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CartError {
    /// No line has this number.
    #[error("no such line")]
    UnknownLine,
    /// Zero, negative or above a million units.
    #[error("the quantity is not allowed")]
    QuantityInvalid,
    /// Negative, or above what a screen can show exactly.
    #[error("the price is not allowed")]
    PriceInvalid,
    /// Negative, above 100 percent, or above what it is taken off.
    #[error("the discount is not allowed")]
    DiscountInvalid,
    /// A sum does not fit.
    #[error("an amount overflows")]
    AmountOverflow,
    /// The cart is full.
    #[error("the cart has {LINES_MAX} lines")]
    TooManyLines,
}

impl From<MoneyError> for CartError {
    fn from(_: MoneyError) -> CartError {
        CartError::AmountOverflow
    }
}

impl Cart {
    /// An empty cart.
    pub const fn new(sale: SaleId) -> Cart {
        Cart {
            sale,
            lines: Vec::new(),
            removed: Vec::new(),
            next_line: 1,
            discount: Discount::None,
            tenders: Vec::new(),
            overrides: Vec::new(),
            label: None,
        }
    }

    /// Whether nothing is on the cart.
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds a line, or adds to a line of the same variant at the same price without a discount.
    /// Returns the number of the line.
    ///
    /// # Errors
    /// [`CartError::QuantityInvalid`], [`CartError::PriceInvalid`], [`CartError::TooManyLines`].
    pub fn add_line(&mut self, new: NewLine) -> Result<u32, CartError> {
        check_quantity(new.quantity)?;
        check_price(new.list_minor)?;
        let same = self.lines.iter_mut().find(|line| {
            line.variant == new.variant
                && line.unit_minor == new.list_minor
                && line.list_minor == new.list_minor
                && line.rate == new.rate
                && line.discount == Discount::None
        });
        if let Some(line) = same {
            let quantity = line.quantity.checked_add(new.quantity).ok_or(CartError::QuantityInvalid)?;
            check_quantity(quantity)?;
            line.quantity = quantity;
            return Ok(line.line);
        }
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
        });
        Ok(line)
    }

    fn line_mut(&mut self, line: u32) -> Result<&mut CartLine, CartError> {
        self.lines.iter_mut().find(|found| found.line == line).ok_or(CartError::UnknownLine)
    }

    /// Changes a quantity.
    ///
    /// # Errors
    /// [`CartError::UnknownLine`], [`CartError::QuantityInvalid`].
    pub fn set_quantity(&mut self, line: u32, quantity: Quantity) -> Result<(), CartError> {
        check_quantity(quantity)?;
        self.line_mut(line)?.quantity = quantity;
        Ok(())
    }

    /// Charges another unit price.
    ///
    /// # Errors
    /// [`CartError::UnknownLine`], [`CartError::PriceInvalid`].
    pub fn set_price(&mut self, line: u32, unit_minor: i64) -> Result<(), CartError> {
        check_price(unit_minor)?;
        self.line_mut(line)?.unit_minor = unit_minor;
        Ok(())
    }

    /// Puts a discount on a line, or takes it off.
    ///
    /// # Errors
    /// [`CartError::UnknownLine`], [`CartError::DiscountInvalid`].
    pub fn discount_line(&mut self, line: u32, discount: Discount) -> Result<(), CartError> {
        check_discount(discount)?;
        let found = self.line_mut(line)?;
        found.discount = discount;
        discounted(gross(found)?, discount).map(|_| ())
    }

    /// Puts a discount on the whole cart, or takes it off.
    ///
    /// # Errors
    /// [`CartError::DiscountInvalid`].
    pub const fn discount_cart(&mut self, discount: Discount) -> Result<(), CartError> {
        match check_discount(discount) {
            Ok(()) => {
                self.discount = discount;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Takes a line off and returns it; it can be put back.
    ///
    /// # Errors
    /// [`CartError::UnknownLine`].
    pub fn remove_line(&mut self, line: u32) -> Result<CartLine, CartError> {
        let index = self.lines.iter().position(|found| found.line == line).ok_or(CartError::UnknownLine)?;
        let removed = self.lines.remove(index);
        self.removed.push(removed.clone());
        Ok(removed)
    }

    /// Puts a line back where it was.
    ///
    /// # Errors
    /// [`CartError::UnknownLine`], [`CartError::TooManyLines`].
    pub fn restore_line(&mut self, line: u32) -> Result<(), CartError> {
        let index = self.removed.iter().position(|found| found.line == line).ok_or(CartError::UnknownLine)?;
        if self.lines.len() >= LINES_MAX {
            return Err(CartError::TooManyLines);
        }
        let restored = self.removed.remove(index);
        let place = self.lines.partition_point(|found| found.line < line);
        self.lines.insert(place, restored);
        Ok(())
    }
}

const fn check_quantity(quantity: Quantity) -> Result<(), CartError> {
    if quantity.0 > 0 && quantity.0 <= QUANTITY_MAX { Ok(()) } else { Err(CartError::QuantityInvalid) }
}

const fn check_price(minor: i64) -> Result<(), CartError> {
    if minor >= 0 && minor <= MINOR_MAX { Ok(()) } else { Err(CartError::PriceInvalid) }
}

const fn check_discount(discount: Discount) -> Result<(), CartError> {
    match discount {
        Discount::Percent { bp } if bp > BP_MAX => Err(CartError::DiscountInvalid),
        Discount::Amount { minor } if minor < 0 => Err(CartError::DiscountInvalid),
        Discount::None | Discount::Percent { .. } | Discount::Amount { .. } => Ok(()),
    }
}

/// What prices and taxes of a cart depend on.
#[derive(Debug, Clone, Copy)]
pub struct Pricing<'a> {
    /// Currency of every amount.
    pub currency: Currency,
    /// Where tax is rounded.
    pub tax_rounding: TaxRounding,
    /// Levies of the store.
    pub levies: &'a [DocumentLevy],
    /// Rounding of cash.
    pub cash_rounding: Option<CashRounding>,
    /// Trading day.
    pub date: BusinessDate,
}

/// A line with its amounts, all in minor units, tax included unless named net.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PricedLine {
    /// Quantity times unit price.
    pub gross_minor: i64,
    /// Discount on the line.
    pub discount_minor: i64,
    /// After the discount on the line.
    pub subtotal_minor: i64,
    /// Share of the discount on the cart.
    pub cart_discount_minor: i64,
    /// After both discounts.
    pub total_minor: i64,
    /// Net of tax.
    pub net_minor: i64,
    /// Tax.
    pub tax_minor: i64,
}

/// A cart with its amounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricedCart {
    /// In the order of the cart's lines.
    pub lines: Vec<PricedLine>,
    /// Sum of line subtotals.
    pub subtotal_minor: i64,
    /// Discount on the cart.
    pub cart_discount_minor: i64,
    /// Net and tax per rate, ascending.
    pub taxes: Vec<TaxTotal>,
    /// Levies on the document.
    pub levies: Vec<LevyCharged>,
    /// Due before any rounding of cash.
    pub total_minor: i64,
    /// Sum of quantities.
    pub units: Quantity,
}

/// Prices a cart: discounts on lines, then the cart's discount spread over the lines, then tax, then levies.
///
/// # Errors
/// [`CartError::DiscountInvalid`] when a fixed discount is above what it is taken off,
/// [`CartError::AmountOverflow`] when an amount leaves the 53 bits that every screen shows exactly.
pub fn price(cart: &Cart, pricing: &Pricing<'_>) -> Result<PricedCart, CartError> {
    let mut subtotals = Vec::with_capacity(cart.lines.len());
    let mut grosses = Vec::with_capacity(cart.lines.len());
    let mut subtotal_minor = 0_i64;
    let mut units = 0_i64;
    for line in &cart.lines {
        let gross_minor = gross(line)?;
        let line_total = gross_minor - discounted(gross_minor, line.discount)?;
        subtotal_minor = within(subtotal_minor.checked_add(line_total))?;
        units = units.checked_add(line.quantity.0).ok_or(CartError::AmountOverflow)?;
        grosses.push(gross_minor);
        subtotals.push(line_total);
    }
    let cart_discount_minor = discounted(subtotal_minor, cart.discount)?;
    let shares = allocate(cart_discount_minor, &subtotals);
    let totals: Vec<(i64, Rate)> = subtotals
        .iter()
        .zip(&shares)
        .zip(&cart.lines)
        .map(|((subtotal, share), line)| (subtotal - share, line.rate))
        .collect();
    let split = tax::split(&totals, pricing.tax_rounding)?;
    let lines = (0..cart.lines.len())
        .map(|index| PricedLine {
            gross_minor: grosses[index],
            discount_minor: grosses[index] - subtotals[index],
            subtotal_minor: subtotals[index],
            cart_discount_minor: shares[index],
            total_minor: totals[index].0,
            net_minor: split.lines[index].net_minor,
            tax_minor: split.lines[index].tax_minor,
        })
        .collect();
    let levies = levies_on(cart, pricing);
    let mut total_minor = subtotal_minor - cart_discount_minor;
    for levy in &levies {
        total_minor = within(total_minor.checked_add(levy.minor))?;
    }
    let units = Quantity(units);
    Ok(PricedCart { lines, subtotal_minor, cart_discount_minor, taxes: split.per_rate, levies, total_minor, units })
}

/// A levy is due once per document, whatever is on it.
fn levies_on(cart: &Cart, pricing: &Pricing<'_>) -> Vec<LevyCharged> {
    if cart.is_empty() {
        return Vec::new();
    }
    pricing
        .levies
        .iter()
        .filter(|levy| levy.from <= pricing.date && levy.to.is_none_or(|to| pricing.date <= to))
        .map(|levy| LevyCharged { code: levy.code.clone(), minor: levy.minor })
        .collect()
}

fn within(sum: Option<i64>) -> Result<i64, CartError> {
    sum.filter(|sum| *sum <= MINOR_MAX).ok_or(CartError::AmountOverflow)
}

/// Quantity times unit price, rounded half away from zero.
fn gross(line: &CartLine) -> Result<i64, CartError> {
    let thousandths = i128::from(line.quantity.0) * i128::from(line.unit_minor);
    within(i64::try_from((thousandths + 500).div_euclid(1_000)).ok())
}

/// What a discount takes off `base_minor`.
fn discounted(base_minor: i64, discount: Discount) -> Result<i64, CartError> {
    match discount {
        Discount::None => Ok(0),
        Discount::Percent { bp } if bp <= BP_MAX => {
            let scaled = i128::from(base_minor) * i128::from(bp);
            let half = i128::from(BP_MAX) / 2;
            i64::try_from((scaled + half) / i128::from(BP_MAX)).map_err(|_| CartError::AmountOverflow)
        }
        Discount::Amount { minor } if (0..=base_minor).contains(&minor) => Ok(minor),
        Discount::Percent { .. } | Discount::Amount { .. } => Err(CartError::DiscountInvalid),
    }
}
