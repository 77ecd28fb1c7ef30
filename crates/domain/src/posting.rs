//! Double entry: what each fact moves between accounts. Debits are positive, credits negative, and every
//! fact's postings sum to zero, in money and per variant.

use crate::catalog::StockClass;
use crate::config::Rate;
use crate::event::{CashMovement, Fact, SaleBody, TenderKind};
use crate::ids::VariantId;
use crate::money::MoneyError;
use crate::quantity::Quantity;
use crate::shift::kept_by_kind;
use crate::stock::movements;

pub use crate::stock::StockAccount;

/// A money account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// The drawers of a till.
    Cash,
    /// Card payments to come from the acquirer.
    Card,
    /// Cheques, vouchers and the like.
    Other,
    /// The safe that floats come from.
    Safe,
    /// Sales at a tax rate, net of it.
    Revenue(Rate),
    /// Tax collected at a rate.
    Tax(Rate),
    /// A levy collected for the state.
    Levy(String),
    /// Rounding of cash.
    Rounding,
    /// Differences found at closing.
    OverShort,
    /// Money that came into a drawer from elsewhere.
    PaidIn,
    /// Expenses paid from a drawer.
    PaidOut,
}

impl Account {
    /// Short name, stable in files.
    pub fn code(&self) -> String {
        match self {
            Account::Cash => "cash".to_owned(),
            Account::Card => "card".to_owned(),
            Account::Other => "other".to_owned(),
            Account::Safe => "safe".to_owned(),
            Account::Revenue(rate) => format!("revenue:{rate}"),
            Account::Tax(rate) => format!("tax:{rate}"),
            Account::Levy(code) => format!("levy:{code}"),
            Account::Rounding => "rounding".to_owned(),
            Account::OverShort => "over_short".to_owned(),
            Account::PaidIn => "paid_in".to_owned(),
            Account::PaidOut => "paid_out".to_owned(),
        }
    }
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.code())
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// Account.
    pub account: Account,
    /// Minor units; debit positive, credit negative.
    pub amount_minor: i64,
}

/// The money postings of a fact; empty when it moves no money.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn postings(fact: &Fact) -> Result<Vec<Posting>, MoneyError> {
    let postings = match fact {
        Fact::SaleCompleted(sale) => sale_postings(sale)?,
        Fact::Reversed(reversed) => sale_postings(&reversed.mirror)?,
        Fact::ShiftOpened(opened) => pair(Account::Cash, Account::Safe, opened.float_minor)?,
        Fact::ShiftClosed(closed) => {
            // The difference is booked, then what was counted leaves the drawer: a closed drawer holds nothing.
            let mut entries = pair(Account::Cash, Account::OverShort, closed.difference_minor)?;
            entries.extend(pair(Account::Safe, Account::Cash, closed.counted_minor)?);
            entries
        }
        Fact::CashMoved(moved) => {
            let (debit, credit) = match moved.movement {
                CashMovement::PayIn => (Account::Cash, Account::PaidIn),
                CashMovement::PayOut => (Account::PaidOut, Account::Cash),
                CashMovement::Drop => (Account::Safe, Account::Cash),
            };
            pair(debit, credit, moved.amount_minor)?
        }
        Fact::StreamOpened(_)
        | Fact::CartVoided(_)
        | Fact::LineVoided(_)
        | Fact::DrawerOpened(_)
        | Fact::DrawerHandedOver(_)
        | Fact::ShiftCounted(_)
        | Fact::PeriodClosed(_)
        | Fact::ClosingSupplemented(_)
        | Fact::Adopted(_)
        | Fact::Reprinted(_)
        | Fact::PinReset(_)
        | Fact::SignInBlocked(_)
        | Fact::ClockJumped(_)
        | crate::goods_facts!() => Vec::new(),
    };
    Ok(postings
        .into_iter()
        .filter(|posting| posting.amount_minor != 0)
        .collect())
}

fn pair(debit: Account, credit: Account, amount_minor: i64) -> Result<Vec<Posting>, MoneyError> {
    let negated = amount_minor.checked_neg().ok_or(MoneyError::Overflow)?;
    Ok(vec![
        Posting {
            account: debit,
            amount_minor,
        },
        Posting {
            account: credit,
            amount_minor: negated,
        },
    ])
}

fn sale_postings(sale: &SaleBody) -> Result<Vec<Posting>, MoneyError> {
    let credit = |minor: i64| minor.checked_neg().ok_or(MoneyError::Overflow);
    let mut postings = Vec::new();
    for (kind, kept) in kept_by_kind(sale)? {
        let account = match kind {
            TenderKind::Cash => Account::Cash,
            TenderKind::Card => Account::Card,
            TenderKind::Other => Account::Other,
        };
        postings.push(Posting {
            account,
            amount_minor: kept,
        });
    }
    for tax in &sale.taxes {
        postings.push(Posting {
            account: Account::Revenue(tax.rate),
            amount_minor: credit(tax.net_minor)?,
        });
        postings.push(Posting {
            account: Account::Tax(tax.rate),
            amount_minor: credit(tax.tax_minor)?,
        });
    }
    for levy in &sale.levies {
        postings.push(Posting {
            account: Account::Levy(levy.code.clone()),
            amount_minor: credit(levy.minor)?,
        });
    }
    postings.push(Posting {
        account: Account::Rounding,
        amount_minor: credit(sale.rounding_minor)?,
    });
    Ok(postings)
}

/// Sum of postings; zero when they balance.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn imbalance(postings: &[Posting]) -> Result<i64, MoneyError> {
    postings
        .iter()
        .try_fold(0_i64, |sum, posting| sum.checked_add(posting.amount_minor))
        .ok_or(MoneyError::Overflow)
}

/// One entry of goods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockPosting {
    /// Account.
    pub account: StockAccount,
    /// Variant.
    pub variant: VariantId,
    /// Debit positive, credit negative.
    pub quantity: Quantity,
}

/// The stock postings of a fact: what leaves a location is with a customer, in transit, damaged or gone. A count is no
/// movement and posts nothing; its difference is a report of the fold.
pub fn stock_postings(fact: &Fact) -> Vec<StockPosting> {
    let mut postings = Vec::new();
    for movement in movements(fact) {
        let (variant, delta) = (movement.variant, movement.moved.delta);
        let location = StockAccount::Location(movement.location);
        exchange(&mut postings, variant, delta, location, movement.against);
    }
    if let Fact::TransferLost(lost) = fact {
        for line in lost
            .lines
            .iter()
            .filter(|line| line.class != StockClass::Untracked)
        {
            let (gone, transit) = (StockAccount::Adjusted, StockAccount::Transit(lost.transfer));
            exchange(&mut postings, line.variant, line.quantity, gone, transit);
        }
    }
    postings
}

fn exchange(
    postings: &mut Vec<StockPosting>,
    variant: VariantId,
    quantity: Quantity,
    debit: StockAccount,
    credit: StockAccount,
) {
    postings.push(StockPosting {
        account: debit,
        variant,
        quantity,
    });
    postings.push(StockPosting {
        account: credit,
        variant,
        quantity: Quantity(quantity.0.saturating_neg()),
    });
}
