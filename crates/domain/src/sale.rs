//! From a cart to a finished sale, from a finished sale to its mirror, and what must hold for both.

use crate::cart::{self, Cart, CartError, Pricing};
use crate::cash::round_cash;
use crate::config::CashRounding;
use crate::event::{LevyCharged, SaleBody, SaleLine, TaxTotal, Tender, TenderKind};
use crate::ids::{LocationId, PriceListId, SaleId, ShiftId, UserId};
use crate::money::MINOR_MAX;
use crate::quantity::Quantity;
use crate::time::BusinessDate;

/// Why a sale cannot be completed. Variants are checked in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompleteSaleError {
    /// The cart has no lines.
    #[error("the cart has no lines")]
    Empty,
    /// The cart cannot be priced.
    #[error(transparent)]
    Cart(#[from] CartError),
    /// A tender is not positive.
    #[error("a tender is not positive")]
    TenderInvalid,
    /// Card or other is above what is due: only cash gives change.
    #[error("a tender is above the {due_minor} due")]
    TenderAboveDue {
        /// Still due before that tender.
        due_minor: i64,
    },
    /// Less than due.
    #[error("tendered {tendered_minor} of {due_minor}")]
    Underpaid {
        /// Due, rounded for cash where that applies.
        due_minor: i64,
        /// Tendered.
        tendered_minor: i64,
    },
    /// A sum does not fit.
    #[error("an amount overflows")]
    Overflow,
}

/// How a sale was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Tenders as given.
    pub tenders: Vec<Tender>,
    /// Rounding of the cash leg.
    pub rounding_minor: i64,
    /// Due, rounding included.
    pub total_minor: i64,
    /// Cash to hand back.
    pub change_minor: i64,
}

/// What is still due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Exactly, for card and other.
    pub due_minor: i64,
    /// For cash, rounded where the store rounds cash.
    pub due_cash_minor: i64,
}

struct Sums {
    cash: i64,
    other: i64,
}

fn sums(tenders: &[Tender]) -> Result<Sums, CompleteSaleError> {
    let mut sums = Sums { cash: 0, other: 0 };
    for tender in tenders {
        if tender.amount_minor < 0 {
            return Err(CompleteSaleError::TenderInvalid);
        }
        let side = match tender.kind {
            TenderKind::Cash => &mut sums.cash,
            TenderKind::Card | TenderKind::Other => &mut sums.other,
        };
        let sum = side.checked_add(tender.amount_minor).filter(|sum| *sum <= MINOR_MAX);
        *side = sum.ok_or(CompleteSaleError::Overflow)?;
    }
    Ok(sums)
}

/// What is due after `tenders`, of a document that comes to `exact_minor`.
///
/// # Errors
/// [`CompleteSaleError::TenderInvalid`], [`CompleteSaleError::Overflow`].
pub fn due(exact_minor: i64, tenders: &[Tender], rounding: Option<CashRounding>) -> Result<Due, CompleteSaleError> {
    let sums = sums(tenders)?;
    let after_others = exact_minor.checked_sub(sums.other).ok_or(CompleteSaleError::Overflow)?.max(0);
    let due_cash_minor = round_cash(after_others, rounding).saturating_sub(sums.cash).max(0);
    let due_minor = after_others.saturating_sub(sums.cash).max(0);
    Ok(Due { due_minor, due_cash_minor })
}

/// Settles `exact_minor` with `tenders`. Card and other pay exactly; what they leave is the cash leg, and
/// that leg alone is rounded; only cash gives change.
///
/// # Errors
/// [`CompleteSaleError::TenderInvalid`], [`CompleteSaleError::TenderAboveDue`],
/// [`CompleteSaleError::Underpaid`], [`CompleteSaleError::Overflow`].
pub fn settle(
    exact_minor: i64,
    tenders: &[Tender],
    rounding: Option<CashRounding>,
) -> Result<Completion, CompleteSaleError> {
    let sums = sums(tenders)?;
    if sums.other > exact_minor {
        return Err(CompleteSaleError::TenderAboveDue { due_minor: exact_minor });
    }
    let leg = exact_minor.checked_sub(sums.other).ok_or(CompleteSaleError::Overflow)?;
    let rounded = if sums.cash > 0 || leg > 0 { round_cash(leg, rounding) } else { leg };
    if sums.cash < rounded {
        let due_minor = sums.other.checked_add(rounded).ok_or(CompleteSaleError::Overflow)?;
        let tendered_minor = sums.other.checked_add(sums.cash).ok_or(CompleteSaleError::Overflow)?;
        return Err(CompleteSaleError::Underpaid { due_minor, tendered_minor });
    }
    let rounding_minor = rounded - leg;
    let total_minor = exact_minor.checked_add(rounding_minor).ok_or(CompleteSaleError::Overflow)?;
    Ok(Completion { tenders: tenders.to_vec(), rounding_minor, total_minor, change_minor: sums.cash - rounded })
}

/// What a sale is filed under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaleHeader {
    /// Receipt number.
    pub number: String,
    /// Its sequence.
    pub number_seq: u64,
    /// Trading day.
    pub business_date: BusinessDate,
    /// Shift.
    pub shift: ShiftId,
    /// Who sold.
    pub cashier: UserId,
    /// Location the goods leave.
    pub location: LocationId,
    /// Price list.
    pub price_list: PriceListId,
    /// Version of the price feed.
    pub price_version: u64,
}

/// Completes a cart.
///
/// # Errors
/// [`CompleteSaleError`], checked in the order of its variants.
pub fn complete(
    cart: &Cart,
    pricing: &Pricing<'_>,
    header: SaleHeader,
    tenders: &[Tender],
) -> Result<SaleBody, CompleteSaleError> {
    if cart.is_empty() {
        return Err(CompleteSaleError::Empty);
    }
    let priced = cart::price(cart, pricing)?;
    let settled = settle(priced.total_minor, tenders, pricing.cash_rounding)?;
    let lines = cart
        .lines
        .iter()
        .zip(&priced.lines)
        .map(|(line, amounts)| SaleLine {
            line: line.line,
            variant: line.variant,
            sku: line.sku.clone(),
            label: line.names.fr.clone(),
            quantity: line.quantity,
            list_minor: line.list_minor,
            unit_minor: line.unit_minor,
            discount_minor: amounts.discount_minor,
            cart_discount_minor: amounts.cart_discount_minor,
            total_minor: amounts.total_minor,
            tax: line.tax.clone(),
            rate: line.rate,
            net_minor: amounts.net_minor,
            tax_minor: amounts.tax_minor,
            class: line.class,
        })
        .collect();
    Ok(SaleBody {
        sale: cart.sale,
        number: header.number,
        number_seq: header.number_seq,
        business_date: header.business_date,
        shift: header.shift,
        cashier: header.cashier,
        location: header.location,
        currency: pricing.currency,
        price_list: header.price_list,
        price_version: header.price_version,
        tax_rounding: pricing.tax_rounding,
        lines,
        taxes: priced.taxes,
        levies: priced.levies,
        rounding_minor: settled.rounding_minor,
        total_minor: settled.total_minor,
        tenders: settled.tenders,
        change_minor: settled.change_minor,
        overrides: cart.overrides.clone(),
    })
}

/// The mirror of a sale: every quantity and amount with the other sign, at the rates and prices of the
/// original. Levies on the document are not given back: what the shopper gets is the total less the levies,
/// withheld from the cash leg first.
pub fn mirror(sale: &SaleBody, new_sale: SaleId, header: SaleHeader) -> SaleBody {
    let levies: i64 = sale.levies.iter().map(|levy| levy.minor).sum();
    let mut withheld = levies;
    let kept = |kind: TenderKind| -> i64 {
        sale.tenders.iter().filter(|tender| tender.kind == kind).map(|tender| tender.amount_minor).sum()
    };
    let mut tenders = Vec::new();
    let mut pay_back = |kind: TenderKind, amount: i64, reference: Option<String>| {
        let kept_back = withheld.clamp(0, amount.max(0));
        withheld -= kept_back;
        if amount - kept_back != 0 {
            tenders.push(Tender { kind, amount_minor: kept_back - amount, reference });
        }
    };
    let cash = kept(TenderKind::Cash) - sale.change_minor;
    if cash != 0 {
        pay_back(TenderKind::Cash, cash, None);
    }
    for tender in sale.tenders.iter().filter(|tender| tender.kind != TenderKind::Cash) {
        pay_back(tender.kind, tender.amount_minor, tender.reference.clone());
    }
    let lines = sale.lines.iter().map(mirror_line).collect();
    let taxes = sale
        .taxes
        .iter()
        .map(|tax| TaxTotal { rate: tax.rate, net_minor: -tax.net_minor, tax_minor: -tax.tax_minor })
        .collect();
    SaleBody {
        sale: new_sale,
        number: header.number,
        number_seq: header.number_seq,
        business_date: header.business_date,
        shift: header.shift,
        cashier: header.cashier,
        location: sale.location.clone(),
        currency: sale.currency,
        price_list: sale.price_list.clone(),
        price_version: sale.price_version,
        tax_rounding: sale.tax_rounding,
        lines,
        taxes,
        levies: Vec::<LevyCharged>::new(),
        rounding_minor: -sale.rounding_minor,
        total_minor: levies - sale.total_minor,
        tenders,
        change_minor: 0,
        overrides: Vec::new(),
    }
}

fn mirror_line(line: &SaleLine) -> SaleLine {
    SaleLine {
        quantity: Quantity(-line.quantity.0),
        discount_minor: -line.discount_minor,
        cart_discount_minor: -line.cart_discount_minor,
        total_minor: -line.total_minor,
        net_minor: -line.net_minor,
        tax_minor: -line.tax_minor,
        ..line.clone()
    }
}

/// What does not hold in a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaleFault {
    /// There are no lines.
    #[error("no lines")]
    Empty,
    /// Net and tax of a line do not sum to its total.
    #[error("net and tax of line {line} do not sum to its total")]
    LineTax {
        /// Line number.
        line: u32,
    },
    /// A discount exceeds what it is taken off, or the line's sum is wrong.
    #[error("line {line} does not come to its total")]
    LineTotal {
        /// Line number.
        line: u32,
    },
    /// Net or tax of a rate is not the sum of its lines.
    #[error("the taxes per rate are not the sums of the lines")]
    RateTotal,
    /// Lines, levies and rounding do not sum to the total.
    #[error("lines, levies and rounding do not sum to the total")]
    Total,
    /// Tenders less change are not the total.
    #[error("tenders less change are not the total")]
    Tenders,
    /// A sum does not fit.
    #[error("an amount overflows")]
    Overflow,
}

/// Checks everything that must hold in a finished sale or mirror.
///
/// # Errors
/// The first [`SaleFault`].
pub fn check(sale: &SaleBody) -> Result<(), SaleFault> {
    if sale.lines.is_empty() {
        return Err(SaleFault::Empty);
    }
    let mut total = 0_i64;
    let mut rates: std::collections::BTreeMap<_, (i64, i64)> = std::collections::BTreeMap::new();
    let plus = |left: i64, right: i64| left.checked_add(right).ok_or(SaleFault::Overflow);
    for line in &sale.lines {
        if plus(line.net_minor, line.tax_minor)? != line.total_minor {
            return Err(SaleFault::LineTax { line: line.line });
        }
        if gross_of(line)? != plus(plus(line.total_minor, line.discount_minor)?, line.cart_discount_minor)? {
            return Err(SaleFault::LineTotal { line: line.line });
        }
        let sum = rates.entry(line.rate).or_default();
        *sum = (plus(sum.0, line.net_minor)?, plus(sum.1, line.tax_minor)?);
        total = plus(total, line.total_minor)?;
    }
    let stated: Vec<_> = sale.taxes.iter().map(|tax| (tax.rate, (tax.net_minor, tax.tax_minor))).collect();
    if stated != rates.into_iter().collect::<Vec<_>>() {
        return Err(SaleFault::RateTotal);
    }
    for levy in &sale.levies {
        total = plus(total, levy.minor)?;
    }
    if plus(total, sale.rounding_minor)? != sale.total_minor {
        return Err(SaleFault::Total);
    }
    let mut tendered = 0_i64;
    for tender in &sale.tenders {
        tendered = plus(tendered, tender.amount_minor)?;
    }
    if tendered.checked_sub(sale.change_minor).ok_or(SaleFault::Overflow)? != sale.total_minor {
        return Err(SaleFault::Tenders);
    }
    Ok(())
}

/// Quantity times unit price, rounded half away from zero, with the sign of the quantity.
fn gross_of(line: &SaleLine) -> Result<i64, SaleFault> {
    let scaled = i128::from(line.quantity.0) * i128::from(line.unit_minor);
    let rounded = (scaled.abs() + 500) / 1_000;
    i64::try_from(if scaled < 0 { -rounded } else { rounded }).map_err(|_| SaleFault::Overflow)
}
