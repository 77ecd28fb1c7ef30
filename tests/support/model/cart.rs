//! The reference model's cart: what lines, discounts, taxes, levies and tenders come to, in wide integers and
//! without a line of the product's arithmetic.

use std::collections::{BTreeMap, BTreeSet};

use domain::event::TenderKind;
use domain::ids::SaleId;
use till::door::{DiscountInput, RefusalCode};

/// The largest amount that a screen shows exactly.
pub const AMOUNT_MAX: i64 = (1 << 53) - 1;
/// Most thousandths of a line.
pub const QUANTITY_MAX: i64 = 1_000_000_000;

/// A line.
#[derive(Debug, Clone)]
pub struct Line {
    pub number: u32,
    pub sku: &'static str,
    pub quantity: i64,
    pub list: i64,
    pub unit: i64,
    pub off: DiscountInput,
    /// Percent.
    pub rate: u32,
    /// Stock is kept of it.
    pub tracked: bool,
}

/// A tender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tender {
    pub kind: TenderKind,
    pub amount: i64,
    pub reference: Option<String>,
}

/// A cart.
#[derive(Debug, Clone)]
pub struct Cart {
    /// Known once a reply has named it.
    pub sale: Option<SaleId>,
    pub lines: Vec<Line>,
    pub removed: Vec<Line>,
    pub next: u32,
    pub off: DiscountInput,
    pub tenders: Vec<Tender>,
    /// Discounts that a manager has allowed: lines, and none for that of the cart.
    pub allowed: BTreeSet<Option<u32>>,
    pub label: String,
}

impl Cart {
    pub fn empty() -> Cart {
        Cart {
            sale: None,
            lines: Vec::new(),
            removed: Vec::new(),
            next: 1,
            off: DiscountInput::None,
            tenders: Vec::new(),
            allowed: BTreeSet::new(),
            label: String::new(),
        }
    }

    pub fn line(&mut self, number: u32) -> Result<&mut Line, RefusalCode> {
        let mut lines = self.lines.iter_mut();
        let found = lines.find(|line| line.number == number);
        found.ok_or(RefusalCode::UnknownLine)
    }

    /// Takes a line off; the last one takes the discount of the cart with it.
    pub fn remove(&mut self, number: u32) -> Result<(), RefusalCode> {
        let place = self.lines.iter().position(|line| line.number == number);
        let line = self.lines.remove(place.ok_or(RefusalCode::UnknownLine)?);
        self.removed.push(line);
        if self.lines.is_empty() {
            self.off = DiscountInput::None;
        }
        Ok(())
    }

    pub fn restore(&mut self, number: u32) -> Result<(), RefusalCode> {
        let place = self.removed.iter().position(|line| line.number == number);
        let line = self.removed.remove(place.ok_or(RefusalCode::UnknownLine)?);
        self.lines.push(line);
        self.lines.sort_by_key(|line| line.number);
        Ok(())
    }
}

/// What a line comes to.
#[derive(Debug, Clone, Copy)]
pub struct PricedLine {
    pub gross: i64,
    pub off: i64,
    /// Its share of the discount of the cart.
    pub share: i64,
    pub total: i64,
    pub net: i64,
}

/// What a cart comes to.
#[derive(Debug, Clone)]
pub struct Priced {
    pub lines: Vec<PricedLine>,
    pub subtotal: i64,
    pub off: i64,
    pub total: i64,
    pub stamp: i64,
}

/// `dividend / divisor`, to the nearest, half away from zero.
fn nearest(dividend: i128, divisor: i128) -> i128 {
    let twice = 2 * dividend.abs() + divisor;
    twice / (2 * divisor) * dividend.signum()
}

fn fits(amount: i128) -> Result<i64, RefusalCode> {
    if amount.abs() > i128::from(AMOUNT_MAX) {
        return Err(RefusalCode::AmountOverflow);
    }
    i64::try_from(amount).map_err(|_| RefusalCode::AmountOverflow)
}

fn taken(off: DiscountInput, base: i64) -> Result<i64, RefusalCode> {
    match off {
        DiscountInput::None => Ok(0),
        DiscountInput::Percent { bp } if bp > 10_000 => Err(RefusalCode::DiscountInvalid),
        DiscountInput::Percent { bp } => fits(nearest(i128::from(base) * i128::from(bp), 10_000)),
        DiscountInput::Amount { minor } if (0..=base).contains(&minor) => Ok(minor),
        DiscountInput::Amount { .. } => Err(RefusalCode::DiscountInvalid),
    }
}

/// Net of tax.
pub fn net_of(total: i64, rate: u32) -> i64 {
    let net = nearest(i128::from(total) * 100, 100 + i128::from(rate));
    i64::try_from(net).expect("a part is no more than the whole")
}

/// Splits `amount` by `weights`: what the exact shares come to rounded down, and what is left one by one to the
/// largest remainders, earlier lines first.
fn spread(amount: i64, weights: &[i64]) -> Vec<i64> {
    let sum: i128 = weights.iter().copied().map(i128::from).sum();
    if sum == 0 {
        return vec![0; weights.len()];
    }
    let exact = |weight: i64| i128::from(amount) * i128::from(weight);
    let mut shares: Vec<i128> = weights.iter().map(|weight| exact(*weight) / sum).collect();
    let mut places: Vec<usize> = (0..weights.len()).collect();
    places.sort_by_key(|place| std::cmp::Reverse(exact(weights[*place]) % sum));
    let mut left = i128::from(amount) - shares.iter().sum::<i128>();
    for place in places {
        if left > 0 {
            shares[place] += 1;
            left -= 1;
        }
    }
    let whole = |share| i64::try_from(share).expect("a share is no more than the whole");
    shares.into_iter().map(whole).collect()
}

/// Prices a cart; `stamp` is due on a document with lines.
pub fn price(cart: &Cart, stamp: i64) -> Result<Priced, RefusalCode> {
    let mut lines = Vec::new();
    for line in &cart.lines {
        let exact = i128::from(line.unit) * i128::from(line.quantity);
        let gross = fits(nearest(exact, 1_000))?;
        let off = taken(line.off, gross)?;
        lines.push(PricedLine {
            gross,
            off,
            share: 0,
            total: gross - off,
            net: 0,
        });
    }
    let subtotal = fits(lines.iter().map(|line| i128::from(line.total)).sum())?;
    let off = match lines.is_empty() {
        true => 0,
        false => taken(cart.off, subtotal)?,
    };
    let weights: Vec<i64> = lines.iter().map(|line| line.total).collect();
    for (index, share) in spread(off, &weights).into_iter().enumerate() {
        lines[index].share = share;
        lines[index].total -= share;
        lines[index].net = net_of(lines[index].total, cart.lines[index].rate);
    }
    let stamp = if lines.is_empty() { 0 } else { stamp };
    Ok(Priced {
        lines,
        subtotal,
        off,
        total: fits(i128::from(subtotal) - i128::from(off) + i128::from(stamp))?,
        stamp,
    })
}

/// Net and tax by rate.
pub fn taxes(lines: impl Iterator<Item = (u32, i64, i64)>) -> BTreeMap<u32, (i64, i64)> {
    let mut taxes: BTreeMap<u32, (i64, i64)> = BTreeMap::new();
    for (rate, total, net) in lines {
        let sums = taxes.entry(rate).or_default();
        sums.0 += net;
        sums.1 += total - net;
    }
    taxes
}

/// Discounts by line, and none for the cart: as asked, what they take, and off what.
type Shares = BTreeMap<Option<u32>, (DiscountInput, i64, i64)>;

/// Lets no discount above `limit_bp` stand that nobody allowed; `ask` is who is asked for all of them at once.
/// A word given for an amount holds only until its share grows.
pub fn hold_discounts(
    old: &Cart,
    new: &mut Cart,
    limit_bp: u32,
    ask: impl FnOnce() -> Result<(), RefusalCode>,
) -> Result<(), RefusalCode> {
    let shares = |cart: &Cart| -> Result<Shares, RefusalCode> {
        let priced = price(cart, 0)?;
        let lines = cart.lines.iter().zip(&priced.lines);
        let mut shares: BTreeMap<_, _> = lines
            .map(|(line, priced)| (Some(line.number), (line.off, priced.off, priced.gross)))
            .collect();
        shares.insert(None, (cart.off, priced.off, priced.subtotal));
        Ok(shares)
    };
    let (before, after) = (shares(old)?, shares(new)?);
    let mut open = Vec::new();
    for (place, (off, taken, base)) in after {
        let above = match off {
            DiscountInput::None => false,
            DiscountInput::Percent { bp } => bp > limit_bp,
            DiscountInput::Amount { .. } => {
                if let Some((_, was_taken, was_base)) = before.get(&place)
                    && i128::from(taken) * i128::from(*was_base)
                        > i128::from(*was_taken) * i128::from(base)
                {
                    new.allowed.remove(&place);
                }
                i128::from(taken) * 10_000 > i128::from(base) * i128::from(limit_bp)
            }
        };
        if above && !new.allowed.contains(&place) {
            open.push(place);
        }
    }
    if !open.is_empty() {
        ask()?;
        new.allowed.extend(open);
    }
    Ok(())
}

/// Tenders that pay an amount.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settled {
    pub total: i64,
    pub rounding: i64,
    pub change: i64,
}

/// Sums of what is exact and what is cash.
fn paid(tenders: &[Tender]) -> (i64, i64) {
    let sum = |cash: bool| {
        let of_kind = tenders
            .iter()
            .filter(|t| (t.kind == TenderKind::Cash) == cash);
        of_kind.map(|tender| tender.amount).sum()
    };
    (sum(false), sum(true))
}

fn to_unit(amount: i64, unit: Option<i64>) -> i64 {
    let Some(unit) = unit else { return amount };
    let steps = nearest(i128::from(amount), i128::from(unit));
    i64::try_from(steps).expect("fewer units than minor units") * unit
}

/// What is still due: exactly, and in cash.
pub fn due(exact: i64, tenders: &[Tender], unit: Option<i64>) -> (i64, i64) {
    let (by_other, cash) = paid(tenders);
    let leg = exact - by_other;
    ((leg - cash).max(0), (to_unit(leg, unit) - cash).max(0))
}

/// Pays `exact`: other tenders stay exact, what they leave is rounded when anything of it is paid in cash, and
/// change comes out of cash.
pub fn settle(exact: i64, tenders: &[Tender], unit: Option<i64>) -> Result<Settled, RefusalCode> {
    let (by_other, cash) = paid(tenders);
    let leg = exact - by_other;
    let owed = if cash > 0 || by_other == 0 {
        to_unit(leg, unit)
    } else {
        leg
    };
    if cash < owed {
        return Err(RefusalCode::Underpaid);
    }
    Ok(Settled {
        total: by_other + owed,
        rounding: owed - leg,
        change: cash - owed,
    })
}
