//! A cart becomes a sale: settling tenders, completing, undoing as a whole, and the check every sale passes.

use std::collections::{BTreeMap, BTreeSet};

use crate::cart::{
    Cart, CartError, CartLine, Discount, PricedCart, PricedLine, Pricing, extend, price,
};
use crate::cash::round_cash;
use crate::config::{CashRounding, Rate};
use crate::event::{
    Fact, GoodsLine, Override, OverrideKind, SaleBody, SaleLine, TaxTotal, Tender, TenderKind,
};
use crate::ids::{LocationId, PriceListId, SaleId, ShiftId, UserId};
use crate::money::MINOR_MAX;
use crate::quantity::{QUANTITY_MAX, Quantity};
use crate::time::BusinessDate;

/// Why a sale could not be completed. Variants are checked in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompleteSaleError {
    /// The cart cannot be priced.
    #[error(transparent)]
    Cart(#[from] CartError),
    /// The cart has no lines.
    #[error("the cart has no lines")]
    Empty,
    /// A tender is negative, or is nothing and not cash.
    #[error("not a tender")]
    TenderInvalid,
    /// A tender that gives no change is above what is due.
    #[error("the tender is above the {due_minor} that are due")]
    TenderAboveDue {
        /// What could be tendered instead.
        due_minor: i64,
    },
    /// The tenders do not reach the total.
    #[error("tendered {tendered_minor} of {due_minor}")]
    Underpaid {
        /// The whole total, cash rounding included.
        due_minor: i64,
        /// Sum of the tenders.
        tendered_minor: i64,
    },
    /// An amount is above [`MINOR_MAX`].
    #[error("amount overflows")]
    Overflow,
}

/// Tenders that settle an amount, and what follows from them. Minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The tenders, as given.
    pub tenders: Vec<Tender>,
    /// Total minus the exact amount: rounding of the cash leg.
    pub rounding_minor: i64,
    /// What was due.
    pub total_minor: i64,
    /// Cash to hand back.
    pub change_minor: i64,
    /// Cash tendered minus change: the cash leg.
    pub cash_kept_minor: i64,
}

/// What is still to pay. Minor units, nothing when more than enough was tendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// By a tender that stays exact.
    pub due_minor: i64,
    /// In cash, rounded.
    pub due_cash_minor: i64,
    /// Cash leg of the sale if the rest is paid in cash: what was handed over so far and what is due, without change.
    pub cash_leg_minor: i64,
}

/// Sums of tenders by what they may do.
#[derive(Debug, Clone, Copy)]
struct Paid {
    exact: i64,
    cash: i64,
}

/// Settles `exact_minor`, which is not negative, by `tenders`.
///
/// Only cash is rounded, and only what other tenders left over; only cash gives change.
///
/// # Errors
/// [`CompleteSaleError::TenderInvalid`], [`CompleteSaleError::TenderAboveDue`],
/// [`CompleteSaleError::Underpaid`], [`CompleteSaleError::Overflow`].
pub fn settle(
    exact_minor: i64,
    tenders: &[Tender],
    rounding: Option<CashRounding>,
) -> Result<Completion, CompleteSaleError> {
    let paid = add_up(exact_minor, tenders)?;
    let cash_leg = exact_minor - paid.exact;
    // A card that falls short by less than the unit has not paid: nothing was handed over in cash.
    let by_cash = paid.cash > 0 || paid.exact == 0;
    let rounded_leg = if by_cash {
        round_leg(cash_leg, rounding)?
    } else {
        cash_leg
    };
    let total_minor = within(i128::from(paid.exact) + i128::from(rounded_leg))?;
    if paid.cash < rounded_leg {
        return Err(CompleteSaleError::Underpaid {
            due_minor: total_minor,
            tendered_minor: within(i128::from(paid.exact) + i128::from(paid.cash))?,
        });
    }
    Ok(Completion {
        tenders: tenders.to_vec(),
        rounding_minor: rounded_leg - cash_leg,
        total_minor,
        change_minor: paid.cash - rounded_leg,
        cash_kept_minor: rounded_leg,
    })
}

/// What `tenders` leave to pay of `exact_minor`.
///
/// # Errors
/// As [`settle`], without [`CompleteSaleError::Underpaid`].
pub fn due(
    exact_minor: i64,
    tenders: &[Tender],
    rounding: Option<CashRounding>,
) -> Result<Due, CompleteSaleError> {
    let paid = add_up(exact_minor, tenders)?;
    let cash_leg = exact_minor - paid.exact;
    let rounded_leg = round_leg(cash_leg, rounding)?;
    Ok(Due {
        due_minor: (cash_leg - paid.cash).max(0),
        due_cash_minor: (rounded_leg - paid.cash).max(0),
        cash_leg_minor: rounded_leg,
    })
}

fn add_up(exact_minor: i64, tenders: &[Tender]) -> Result<Paid, CompleteSaleError> {
    if exact_minor < 0 {
        return Err(CompleteSaleError::TenderInvalid);
    }
    within(i128::from(exact_minor))?;
    let mut paid = Paid { exact: 0, cash: 0 };
    for tender in tenders {
        let amount = tender.amount_minor;
        let is_cash = tender.kind == TenderKind::Cash;
        // Nothing in cash settles a sale that comes to nothing; a card slip over nothing is a mistake.
        if amount < 0 || (amount == 0 && !is_cash) {
            return Err(CompleteSaleError::TenderInvalid);
        }
        if is_cash {
            paid.cash = within(i128::from(paid.cash) + i128::from(amount))?;
            continue;
        }
        let due_minor = exact_minor - paid.exact;
        if amount > due_minor {
            return Err(CompleteSaleError::TenderAboveDue { due_minor });
        }
        paid.exact += amount;
    }
    Ok(paid)
}

fn round_leg(leg_minor: i64, rounding: Option<CashRounding>) -> Result<i64, CompleteSaleError> {
    within(i128::from(round_cash(leg_minor, rounding)))
}

fn within(value: i128) -> Result<i64, CompleteSaleError> {
    match i64::try_from(value) {
        Ok(minor) if minor.unsigned_abs() <= MINOR_MAX.unsigned_abs() => Ok(minor),
        _ => Err(CompleteSaleError::Overflow),
    }
}

/// Where, when and by whom a sale is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaleHeader {
    /// Receipt number.
    pub number: String,
    /// Sequence of the number within (stream, fiscal year).
    pub number_seq: u64,
    /// Trading day of the shift.
    pub business_date: BusinessDate,
    /// Shift whose drawer takes the money.
    pub shift: ShiftId,
    /// Who sells.
    pub cashier: UserId,
    /// Location the goods leave.
    pub location: LocationId,
    /// Price list.
    pub price_list: PriceListId,
    /// Version of the price feed.
    pub price_version: u64,
    /// Rate of the stamp duty on cash receipts in force, hundredths of a percent.
    pub cash_stamp_bp: Option<u32>,
}

/// Prices `cart`, settles it by `tenders` and makes the sale's body of both. The cart's own tenders are not
/// looked at: the caller says which ones count.
///
/// # Errors
/// [`CompleteSaleError`].
pub fn complete(
    cart: &Cart,
    pricing: &Pricing<'_>,
    header: SaleHeader,
    tenders: &[Tender],
) -> Result<SaleBody, CompleteSaleError> {
    let priced = price(cart, pricing)?;
    if cart.is_empty() {
        return Err(CompleteSaleError::Empty);
    }
    let settled = settle(priced.total_minor, tenders, pricing.cash_rounding)?;
    let PricedCart {
        lines,
        taxes,
        levies,
        ..
    } = priced;
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
        lines: cart.lines.iter().zip(lines).map(sale_line).collect(),
        taxes,
        levies,
        rounding_minor: settled.rounding_minor,
        total_minor: settled.total_minor,
        tenders: settled.tenders,
        change_minor: settled.change_minor,
        cash_stamp_bp: header.cash_stamp_bp.filter(|_| settled.cash_kept_minor > 0),
        overrides: cart
            .overrides
            .iter()
            .filter(|noted| still_matters(noted, cart))
            .cloned()
            .collect(),
    })
}

fn sale_line((line, priced): (&CartLine, PricedLine)) -> SaleLine {
    SaleLine {
        line: line.line,
        variant: line.variant,
        sku: line.sku.clone(),
        label: label(line),
        quantity: line.quantity,
        list_minor: line.list_minor,
        unit_minor: line.unit_minor,
        discount_minor: priced.discount_minor,
        cart_discount_minor: priced.cart_discount_minor,
        total_minor: priced.total_minor,
        tax: line.tax.clone(),
        rate: line.rate,
        net_minor: priced.net_minor,
        tax_minor: priced.tax_minor,
        class: line.class,
        components: line.components_of(line.quantity),
    }
}

/// Name and options: a reprint years later must say which size it was, whatever the catalogue says then.
fn label(line: &CartLine) -> String {
    if line.options.is_empty() {
        return line.names.fr.clone();
    }
    format!("{} {}", line.names.fr, line.options.join(" / "))
}

/// An approval for a line that is gone, or for a discount that was taken back, allowed nothing.
fn still_matters(noted: &Override, cart: &Cart) -> bool {
    let line = noted
        .line
        .and_then(|number| cart.lines.iter().find(|line| line.line == number));
    match (noted.kind, noted.line, line) {
        (OverrideKind::Reversal | OverrideKind::CashCeiling, _, _) => true,
        (_, Some(_), None) => false,
        (OverrideKind::NoRight, _, Some(line)) => line.is_strict(),
        (OverrideKind::NoRight, None, None) => false,
        (OverrideKind::Price, _, Some(line)) => line.unit_minor != line.list_minor,
        (OverrideKind::Discount, _, Some(line)) => line.discount != Discount::None,
        (OverrideKind::Discount, None, None) => cart.discount != Discount::None,
        (OverrideKind::Price, None, None) => true,
    }
}

/// The entry that undoes `sale` as a whole: every quantity and amount with the other sign, unit prices and
/// rates as they were. Levies are not given back: the refund is the total without them, kept out of the cash
/// first, then out of the last of the other tenders. Approvals are not copied.
///
/// # Shape
/// Amounts are paid out as negative tenders, change is nothing. [`check`] holds when it holds for `sale`.
///
/// # Source
/// Tunisia: the stamp on a ticket is due once the ticket was issued; a refund does not give it back.
pub fn mirror(sale: &SaleBody, new_sale: SaleId, header: SaleHeader) -> SaleBody {
    let lines: Vec<SaleLine> = sale.lines.iter().map(mirror_line).collect();
    let goods = sum(lines.iter().map(|line| line.total_minor));
    let rounding_minor = sale.rounding_minor.saturating_neg();
    let total_minor = clamp(goods + i128::from(rounding_minor));
    SaleBody {
        sale: new_sale,
        number: header.number,
        number_seq: header.number_seq,
        business_date: header.business_date,
        shift: header.shift,
        cashier: header.cashier,
        location: header.location,
        currency: sale.currency,
        price_list: header.price_list,
        price_version: header.price_version,
        tax_rounding: sale.tax_rounding,
        lines,
        taxes: sale.taxes.iter().map(mirror_tax).collect(),
        levies: Vec::new(),
        rounding_minor,
        total_minor,
        tenders: refund_tenders(sale, total_minor),
        change_minor: 0,
        cash_stamp_bp: None,
        overrides: Vec::new(),
    }
}

fn mirror_line(line: &SaleLine) -> SaleLine {
    SaleLine {
        quantity: crate::quantity::Quantity(line.quantity.0.saturating_neg()),
        discount_minor: line.discount_minor.saturating_neg(),
        cart_discount_minor: line.cart_discount_minor.saturating_neg(),
        total_minor: line.total_minor.saturating_neg(),
        net_minor: line.net_minor.saturating_neg(),
        tax_minor: line.tax_minor.saturating_neg(),
        components: line.components.iter().map(mirror_part).collect(),
        ..line.clone()
    }
}

fn mirror_part(part: &GoodsLine) -> GoodsLine {
    GoodsLine {
        quantity: crate::quantity::Quantity(part.quantity.0.saturating_neg()),
        ..part.clone()
    }
}

fn mirror_tax(tax: &TaxTotal) -> TaxTotal {
    TaxTotal {
        rate: tax.rate,
        net_minor: tax.net_minor.saturating_neg(),
        tax_minor: tax.tax_minor.saturating_neg(),
    }
}

/// Pays `total_minor` back the way it came: other tenders first, up to their amounts; cash is the rest.
fn refund_tenders(sale: &SaleBody, total_minor: i64) -> Vec<Tender> {
    let others = sale
        .tenders
        .iter()
        .filter(|tender| tender.kind != TenderKind::Cash);
    let mut left = i128::from(total_minor);
    let mut tenders = Vec::new();
    for tender in others {
        let back = -i128::from(tender.amount_minor);
        // Never more than what is left, in the direction the tender goes.
        let amount = if back < 0 {
            back.max(left.min(0))
        } else {
            back.min(left.max(0))
        };
        left -= amount;
        if amount != 0 {
            tenders.push(Tender {
                amount_minor: clamp(amount),
                ..tender.clone()
            });
        }
    }
    if left != 0 {
        tenders.push(Tender {
            kind: TenderKind::Cash,
            amount_minor: clamp(left),
            reference: None,
        });
    }
    tenders
}

/// What is wrong with a sale's arithmetic. Variants are checked in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaleFault {
    /// There is no line.
    #[error("no lines")]
    Empty,
    /// Two lines have one number.
    #[error("line {line} is there twice")]
    LineTwice {
        /// Number of the line.
        line: u32,
    },
    /// Unit price times quantity minus discounts is not the total of the line.
    #[error("line {line}: price, quantity and discounts do not give the total")]
    LineTotal {
        /// Number of the line.
        line: u32,
    },
    /// Net and tax do not sum to the total of the line.
    #[error("line {line}: net and tax do not give the total")]
    LineTax {
        /// Number of the line.
        line: u32,
    },
    /// The quantity is none that a sale gives out, or a mirror takes back.
    #[error("the quantity of line {line} is not of its kind")]
    Quantity {
        /// Number of the line.
        line: u32,
    },
    /// A kit's part has another sign than its line, or is too much.
    #[error("the parts of line {line} do not fit it")]
    Components {
        /// Line.
        line: u32,
    },
    /// The taxes are not the sums of the lines per rate, each rate once, ascending.
    #[error("taxes are not the sums of the lines")]
    Taxes,
    /// Lines, levies and rounding do not sum to the total.
    #[error("lines, levies and rounding do not give the total")]
    Total,
    /// Tenders minus change are not the total.
    #[error("tenders and change do not give the total")]
    Tenders,
    /// Change is negative, or above the cash handed over.
    #[error("change is not out of the cash")]
    Change,
}

/// Whether the receipt in a fact holds, if there is one: see [`check`] and [`check_mirror`].
///
/// # Errors
/// [`SaleFault`], the first one found.
pub fn check_fact(fact: &Fact) -> Result<(), SaleFault> {
    match fact {
        Fact::SaleCompleted(sale) => check(sale),
        Fact::Reversed(reversed) => check_mirror(&reversed.mirror),
        _ => Ok(()),
    }
}

/// Whether a sale gives out goods and its amounts fit together: per line, per rate, in total and in what was paid.
///
/// # Errors
/// [`SaleFault`], the first one found.
pub fn check(sale: &SaleBody) -> Result<(), SaleFault> {
    check_signed(sale, 1)
}

/// As [`check`], for the mirror of a sale, which takes its goods back.
///
/// # Errors
/// As [`check`].
pub fn check_mirror(mirror: &SaleBody) -> Result<(), SaleFault> {
    check_signed(mirror, -1)
}

fn check_signed(sale: &SaleBody, sign: i64) -> Result<(), SaleFault> {
    if sale.lines.is_empty() {
        return Err(SaleFault::Empty);
    }
    let mut numbers = BTreeSet::new();
    let mut rates: BTreeMap<Rate, (i128, i128)> = BTreeMap::new();
    for line in &sale.lines {
        if !numbers.insert(line.line) {
            return Err(SaleFault::LineTwice { line: line.line });
        }
        check_line(line, sign)?;
        let rate = rates.entry(line.rate).or_default();
        rate.0 += i128::from(line.net_minor);
        rate.1 += i128::from(line.tax_minor);
    }
    let stated = sale.taxes.iter().map(|tax| {
        (
            tax.rate,
            (i128::from(tax.net_minor), i128::from(tax.tax_minor)),
        )
    });
    if !rates.into_iter().eq(stated) {
        return Err(SaleFault::Taxes);
    }
    let goods = sum(sale.lines.iter().map(|line| line.total_minor));
    let levies = sum(sale.levies.iter().map(|levy| levy.minor));
    let total = i128::from(sale.total_minor);
    if goods + levies + i128::from(sale.rounding_minor) != total {
        return Err(SaleFault::Total);
    }
    let paid = sum(sale.tenders.iter().map(|tender| tender.amount_minor));
    if paid - i128::from(sale.change_minor) != total {
        return Err(SaleFault::Tenders);
    }
    let cash = sale
        .tenders
        .iter()
        .filter(|tender| tender.kind == TenderKind::Cash);
    let cash = sum(cash.map(|tender| tender.amount_minor)).max(0);
    if sale.change_minor < 0 || i128::from(sale.change_minor) > cash {
        return Err(SaleFault::Change);
    }
    Ok(())
}

fn check_line(line: &SaleLine, sign: i64) -> Result<(), SaleFault> {
    let total = i128::from(line.total_minor);
    let discounts = i128::from(line.discount_minor) + i128::from(line.cart_discount_minor);
    if extend(line.unit_minor, line.quantity) - discounts != total {
        return Err(SaleFault::LineTotal { line: line.line });
    }
    if i128::from(line.net_minor) + i128::from(line.tax_minor) != total {
        return Err(SaleFault::LineTax { line: line.line });
    }
    let fits = |quantity: Quantity| {
        quantity.0.signum() == sign && quantity.0.unsigned_abs() <= QUANTITY_MAX.unsigned_abs()
    };
    if !fits(line.quantity) {
        return Err(SaleFault::Quantity { line: line.line });
    }
    if !line.components.iter().all(|part| fits(part.quantity)) {
        return Err(SaleFault::Components { line: line.line });
    }
    Ok(())
}

fn sum(amounts: impl Iterator<Item = i64>) -> i128 {
    amounts.map(i128::from).sum()
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}
