//! What each fact changes besides the journal. `verify.rs` computes the same from the stored bytes.

use std::collections::BTreeMap;

use domain::event::{
    CashCount, DrawerCount, DrawerOpened, Fact, PeriodClosed, Reprinted, Reversed, SaleBody,
    ShiftClosed, ShiftOpened, ShiftTotals, SlipNumber,
};
use domain::ids::{LocationId, ShiftId, VariantId};
use domain::number::{receipt_number, slip_number};
use domain::posting::{self, Posting};
use domain::stock::{self, Movement};
use domain::time::Hlc;

use crate::books::{Books, OpenBooks, shift_of};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::periods::kind_code;
use crate::sql::{Id, N};
use crate::stock::encode_moves;

/// Refuses a fact that contradicts itself.
pub(crate) fn check(fact: &Fact) -> Result<BTreeMap<String, i64>, LedgerError> {
    match fact {
        Fact::SaleCompleted(sale) => domain::sale::check(sale)?,
        Fact::Reversed(reversed) => domain::sale::check(&reversed.mirror)?,
        Fact::StreamOpened(_) => return Err(out_of_place(fact, "a stream opens once")),
        Fact::ShiftOpened(opened) if counted(&opened.count) != Some(opened.float_minor) => {
            return Err(out_of_place(fact, "its float is not the sum of its count"));
        }
        Fact::ShiftClosed(closed) if counted(&closed.count) != Some(closed.counted_minor) => {
            return Err(out_of_place(fact, "its cash is not the sum of its count"));
        }
        Fact::CashMoved(moved) if moved.amount_minor <= 0 => {
            return Err(out_of_place(fact, "it moves nothing"));
        }
        Fact::DrawerHandedOver(handed) if handed.count.as_ref().is_some_and(miscounted) => {
            return Err(out_of_place(fact, "its cash is not the sum of its count"));
        }
        Fact::ShiftCounted(counted) if miscounted(&counted.count) => {
            return Err(out_of_place(fact, "its cash is not the sum of its count"));
        }
        Fact::Adopted(_) | Fact::ClosingSupplemented(_) => {
            return Err(out_of_place(fact, "nothing of this stream broke off"));
        }
        Fact::ShiftOpened(_)
        | Fact::ShiftClosed(_)
        | Fact::CashMoved(_)
        | Fact::DrawerHandedOver(_)
        | Fact::ShiftCounted(_)
        | Fact::PeriodClosed(_)
        | Fact::CartVoided(_)
        | Fact::LineVoided(_)
        | Fact::DrawerOpened(_)
        | Fact::Reprinted(_)
        | Fact::PinReset(_)
        | Fact::SignInBlocked(_)
        | Fact::ClockJumped(_)
        | Fact::StockCounted(_) => {}
    }
    balances(fact)
}

fn miscounted(drawer: &DrawerCount) -> bool {
    counted(&drawer.count) != Some(drawer.counted_minor)
}

/// Sum of a count; none when it overflows.
fn counted(count: &CashCount) -> Option<i64> {
    count.iter().try_fold(0_i64, |sum, (minor, pieces)| {
        sum.checked_add(minor.checked_mul(*pieces)?)
    })
}

/// What a fact moves per account, proven to sum to zero.
pub(crate) fn balances(fact: &Fact) -> Result<BTreeMap<String, i64>, LedgerError> {
    balanced(fact.kind(), &posting::postings(fact)?)
}

fn balanced(
    kind: &'static str,
    postings: &[Posting],
) -> Result<BTreeMap<String, i64>, LedgerError> {
    let mut by_account = BTreeMap::new();
    let mut sum = 0_i64;
    for posting in postings {
        let amount = posting.amount_minor;
        sum = sum.checked_add(amount).ok_or(LedgerError::Overflow)?;
        let balance = by_account.entry(posting.account.code()).or_insert(0_i64);
        *balance = balance.checked_add(amount).ok_or(LedgerError::Overflow)?;
    }
    if sum != 0 {
        return Err(LedgerError::Unbalanced {
            kind,
            by_minor: sum,
        });
    }
    Ok(by_account)
}

/// Key of a stock movement: variant, location, zone.
pub(crate) type MovementKey = (VariantId, LocationId, String);

/// What a fact moves per variant, location and zone.
pub(crate) fn movements(fact: &Fact) -> Result<BTreeMap<MovementKey, i64>, LedgerError> {
    let mut sums = BTreeMap::new();
    for movement in stock::movements(fact) {
        let Movement {
            variant,
            location,
            zone,
            delta,
        } = movement;
        let sum = sums.entry((variant, location, zone)).or_insert(0_i64);
        *sum = sum.checked_add(delta.0).ok_or(LedgerError::Overflow)?;
    }
    sums.retain(|_, delta| *delta != 0);
    Ok(sums)
}

/// Brings every projection up to a fact whose event has just been inserted at `seq`.
pub(crate) fn apply(
    ledger: &Ledger,
    seq: u64,
    hlc: Hlc,
    fact: &Fact,
    balances: &BTreeMap<String, i64>,
) -> Result<(), LedgerError> {
    match fact {
        Fact::Reprinted(reprinted) => add_copy(ledger, fact, reprinted)?,
        Fact::PeriodClosed(closed) => close_period(ledger, seq, fact, closed)?,
        _ => {}
    }
    let Some(shift) = shift_of(fact) else {
        return Ok(());
    };
    let mut books = ledger.take_books()?;
    match fact {
        Fact::ShiftOpened(opened) => open_shift(ledger, &mut books, seq, opened)?,
        Fact::ShiftClosed(closed) => close_shift(ledger, &mut books, seq, fact, closed)?,
        _ => add_to_shift(ledger, &mut books, (seq, hlc), fact, shift)?,
    }
    books.post(balances)?;
    ledger.put_books(books)
}

fn add_to_shift(
    ledger: &Ledger,
    books: &mut Books,
    at: (u64, Hlc),
    fact: &Fact,
    shift: ShiftId,
) -> Result<(), LedgerError> {
    let Some((_, open)) = books.shift(shift) else {
        return Err(out_of_place(fact, "its shift is not open"));
    };
    let sale = match fact {
        Fact::SaleCompleted(sale) => Some(sale),
        Fact::Reversed(reversed) => Some(&reversed.mirror),
        _ => None,
    };
    let date = match fact {
        Fact::CashMoved(moved) => Some(moved.business_date),
        _ => sale.map(|sale| sale.business_date),
    };
    if date.is_some_and(|date| date != open.business_date) {
        return Err(out_of_place(fact, "its business date is not the shift's"));
    }
    let expected_minor = open.totals.expected_minor;
    let counted = match fact {
        Fact::ShiftCounted(counted) => Some(&counted.count),
        Fact::DrawerHandedOver(handed) => {
            if handed.from != open.holder {
                return Err(out_of_place(fact, "another holds the drawer"));
            }
            handed.count.as_ref()
        }
        _ => None,
    };
    if counted.is_some_and(|count| count.expected_minor != expected_minor) {
        return Err(out_of_place(fact, "its expected cash is not the drawer's"));
    }
    open.take(fact)?;
    let year = open.business_date.fiscal_year();
    match fact {
        Fact::CashMoved(moved) => add_slip(ledger, at.0, fact, year, &moved.slip)?,
        Fact::DrawerOpened(DrawerOpened {
            slip: Some(slip), ..
        }) => add_slip(ledger, at.0, fact, year, slip)?,
        _ => {}
    }
    if let Some(sale) = sale {
        add_receipt(ledger, at, fact, sale)?;
        books.perpetual_minor = books
            .perpetual_minor
            .checked_add(sale.total_minor)
            .ok_or(LedgerError::Overflow)?;
    }
    match fact {
        Fact::Reversed(reversed) => mark_reversed(ledger, fact, reversed),
        _ => Ok(()),
    }
}

fn out_of_place(fact: &Fact, what: &'static str) -> LedgerError {
    LedgerError::OutOfPlace {
        kind: fact.kind(),
        what,
    }
}

fn is_unique(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|failure| {
        matches!(
            failure.extended_code,
            rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        )
    })
}

fn open_shift(
    ledger: &Ledger,
    books: &mut Books,
    seq: u64,
    opened: &ShiftOpened,
) -> Result<(), LedgerError> {
    let result = ledger
        .prepare(
            "INSERT INTO shift (opened_seq, shift, drawer, business_date) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((
            N(seq),
            Id(opened.shift.0),
            opened.drawer,
            opened.business_date.to_string(),
        ));
    match result {
        Ok(_) => {}
        Err(error) if is_unique(&error) => {
            return Err(LedgerError::OutOfPlace {
                kind: "ShiftOpened",
                what: "the drawer has an open shift, or the shift is known already",
            });
        }
        Err(error) => return Err(error.into()),
    }
    books.open.insert(seq, OpenBooks::new(opened));
    Ok(())
}

fn add_slip(
    ledger: &Ledger,
    seq: u64,
    fact: &Fact,
    fiscal_year: i32,
    slip: &SlipNumber,
) -> Result<(), LedgerError> {
    let expected = ledger.next_slip(fiscal_year)?;
    let identity = ledger.identity();
    let number = slip_number(
        &identity.store,
        &identity.till,
        identity.stream,
        fiscal_year,
        expected,
    );
    if slip.number_seq != expected || slip.number != number {
        return Err(out_of_place(fact, "its slip number is not the next"));
    }
    ledger
        .prepare("INSERT INTO slip (fiscal_year, number_seq, seq) VALUES (?1, ?2, ?3)")?
        .execute((fiscal_year, N(expected), N(seq)))?;
    Ok(())
}

fn close_period(
    ledger: &Ledger,
    seq: u64,
    fact: &Fact,
    closed: &PeriodClosed,
) -> Result<(), LedgerError> {
    // The event itself is in the table already and closes nothing.
    if ledger.next_closing(closed.period)?.as_ref() != Some(closed) {
        return Err(out_of_place(fact, "it is not what the journal comes to"));
    }
    ledger
        .prepare("INSERT INTO period (kind, number, seq) VALUES (?1, ?2, ?3)")?
        .execute((kind_code(closed.period), N(closed.number), N(seq)))?;
    Ok(())
}

/// The text of closed totals as the projection keeps it.
pub(crate) fn encode_totals(totals: &ShiftTotals) -> String {
    serde_json::to_string(totals).expect("totals hold only strings, integers and string keys")
}

fn add_receipt(
    ledger: &Ledger,
    (seq, hlc): (u64, Hlc),
    fact: &Fact,
    sale: &SaleBody,
) -> Result<(), LedgerError> {
    let fiscal_year = sale.business_date.fiscal_year();
    let expected = ledger.next_number(fiscal_year)?;
    let identity = ledger.identity();
    let number = receipt_number(
        &identity.store,
        &identity.till,
        identity.stream,
        fiscal_year,
        expected,
    );
    if sale.number_seq != expected || sale.number != number {
        return Err(LedgerError::NumberTaken {
            expected,
            found: sale.number.clone(),
        });
    }
    let kind = i64::from(matches!(fact, Fact::Reversed(_)));
    let moves = encode_moves(fact, &identity.location)?;
    let result = ledger
        .prepare(
            "INSERT INTO receipt (fiscal_year, number_seq, seq, kind, sale, number, total_minor, moves) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            fiscal_year,
            N(expected),
            N(seq),
            kind,
            Id(sale.sale.0),
            &sale.number,
            sale.total_minor,
            &moves,
        ));
    match result {
        Ok(_) => {
            ledger.note_movements(seq, hlc, &moves);
            Ok(())
        }
        Err(error) if is_unique(&error) => {
            Err(out_of_place(fact, "the sale was completed already"))
        }
        Err(error) => Err(error.into()),
    }
}

fn mark_reversed(ledger: &Ledger, fact: &Fact, reversed: &Reversed) -> Result<(), LedgerError> {
    let changed = ledger
        .prepare(
            "UPDATE receipt SET reversed_by = ?1 \
             WHERE sale = ?2 AND number = ?3 AND kind = 0 AND reversed_by IS NULL",
        )?
        .execute((
            &reversed.mirror.number,
            Id(reversed.of.0),
            &reversed.of_number,
        ))?;
    if changed == 0 {
        return Err(out_of_place(
            fact,
            "the sale is unknown here or was reversed already",
        ));
    }
    Ok(())
}

fn close_shift(
    ledger: &Ledger,
    books: &mut Books,
    seq: u64,
    fact: &Fact,
    closed: &ShiftClosed,
) -> Result<(), LedgerError> {
    let wrong = |what| Err(out_of_place(fact, what));
    let perpetual_minor = books.perpetual_minor;
    let Some((opened_seq, open)) = books.shift(closed.shift) else {
        return wrong("its shift is not open");
    };
    if closed.z_number != ledger.last_z()? + 1 {
        return wrong("its Z number is not the next");
    }
    if closed.from_seq != opened_seq || closed.to != ledger.head {
        return wrong("it does not cover the shift up to the event before it");
    }
    if closed.totals != open.totals {
        return wrong("its totals are not the shift's");
    }
    let difference = closed
        .counted_minor
        .checked_sub(closed.totals.expected_minor);
    if Some(closed.difference_minor) != difference {
        return wrong("its difference is not counted minus expected");
    }
    if closed.perpetual_minor != perpetual_minor {
        return wrong("its perpetual total is not the journal's");
    }
    ledger
        .prepare(
            "UPDATE shift SET closed_seq = ?2, z_number = ?3, totals = ?4 WHERE opened_seq = ?1",
        )?
        .execute((
            N(opened_seq),
            N(seq),
            N(closed.z_number),
            encode_totals(&closed.totals),
        ))?;
    books.open.remove(&opened_seq);
    Ok(())
}

fn add_copy(ledger: &Ledger, fact: &Fact, reprinted: &Reprinted) -> Result<(), LedgerError> {
    let expected = ledger
        .copies(&reprinted.number)?
        .checked_add(1)
        .ok_or(LedgerError::Overflow)?;
    if reprinted.copy != expected {
        return Err(out_of_place(fact, "its copy number is not the next"));
    }
    ledger
        .prepare("INSERT OR REPLACE INTO copy (number, copies) VALUES (?1, ?2)")?
        .execute((&reprinted.number, expected))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::config::Rate;
    use domain::posting::Account;

    use super::*;

    #[test]
    fn postings_that_do_not_balance_are_refused() {
        let posting = |account, amount_minor| Posting {
            account,
            amount_minor,
        };
        let cash = |amount| posting(Account::Cash, amount);
        let revenue = |amount| posting(Account::Revenue(Rate::default()), amount);
        let sums = balanced("Test", &[cash(3), cash(2), revenue(-5)]).expect("balanced");
        assert_eq!(
            sums,
            BTreeMap::from([("cash".to_owned(), 5), ("revenue:0".to_owned(), -5)])
        );
        for (postings, by) in [(vec![cash(3), revenue(-2)], 1), (vec![cash(-1)], -1)] {
            let result = balanced("Test", &postings);
            assert!(
                matches!(result, Err(LedgerError::Unbalanced { kind: "Test", by_minor }) if by_minor == by)
            );
        }
        let result = balanced("Test", &[cash(i64::MAX), cash(1)]);
        assert!(matches!(result, Err(LedgerError::Overflow)));
    }
}
