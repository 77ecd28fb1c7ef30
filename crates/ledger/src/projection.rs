//! What each fact changes besides the journal. `verify.rs` computes the same from the stored bytes.

use std::collections::BTreeMap;

use domain::event::{
    CashCount, Fact, Reprinted, Reversed, SaleBody, ShiftClosed, ShiftOpened, ShiftTotals,
};
use domain::ids::{LocationId, ShiftId, VariantId};
use domain::number::receipt_number;
use domain::posting::{self, Posting};
use domain::stock::{self, Movement};
use rusqlite::OptionalExtension as _;

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::sql::{Day, Id, N, corrupt};

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
        Fact::ShiftOpened(_)
        | Fact::ShiftClosed(_)
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
        let balance = by_account
            .entry(format!("account:{}", posting.account.code()))
            .or_insert(0_i64);
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
    fact: &Fact,
    balances: &BTreeMap<String, i64>,
) -> Result<(), LedgerError> {
    match fact {
        Fact::ShiftOpened(opened) => open_shift(ledger, seq, opened)?,
        Fact::SaleCompleted(sale) => {
            add_receipt(ledger, seq, fact, sale)?;
            update_totals(ledger, sale.shift, fact)?;
        }
        Fact::Reversed(reversed) => {
            add_receipt(ledger, seq, fact, &reversed.mirror)?;
            mark_reversed(ledger, seq, fact, reversed)?;
            update_totals(ledger, reversed.mirror.shift, fact)?;
        }
        Fact::CartVoided(voided) => {
            if let Some(shift) = voided.shift {
                update_totals(ledger, shift, fact)?;
            }
        }
        Fact::LineVoided(voided) => {
            if let Some(shift) = voided.shift {
                update_totals(ledger, shift, fact)?;
            }
        }
        Fact::ShiftClosed(closed) => close_shift(ledger, seq, fact, closed)?,
        Fact::Reprinted(reprinted) => add_copy(ledger, fact, reprinted)?,
        Fact::StreamOpened(_)
        | Fact::DrawerOpened(_)
        | Fact::PinReset(_)
        | Fact::SignInBlocked(_)
        | Fact::ClockJumped(_)
        | Fact::StockCounted(_) => {}
    }
    for (account, amount_minor) in balances {
        add_to_tally(ledger, account, *amount_minor)?;
    }
    insert_movements(ledger, seq, fact, None)
}

fn out_of_place(fact: &Fact, what: &'static str) -> LedgerError {
    LedgerError::OutOfPlace {
        kind: fact.kind(),
        what,
    }
}

fn add_to_tally(ledger: &Ledger, name: &str, amount: i64) -> Result<(), LedgerError> {
    let result = ledger
        .prepare(
            "INSERT INTO tally (name, value) VALUES (?1, ?2) \
             ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        )?
        .execute((name, amount));
    match result {
        Ok(_) => Ok(()),
        // A sum beyond 64 bits turns into a float, which the column refuses.
        Err(error) if is_constraint(&error, rusqlite::ffi::SQLITE_CONSTRAINT_DATATYPE) => {
            Err(LedgerError::Overflow)
        }
        Err(error) => Err(error.into()),
    }
}

fn is_constraint(error: &rusqlite::Error, code: i32) -> bool {
    error
        .sqlite_error()
        .is_some_and(|failure| failure.extended_code == code)
}

/// Writes a fact's movements, all of them or those at one location.
pub(crate) fn insert_movements(
    ledger: &Ledger,
    seq: u64,
    fact: &Fact,
    only: Option<&LocationId>,
) -> Result<(), LedgerError> {
    let movements = movements(fact)?;
    if movements.is_empty() {
        return Ok(());
    }
    let mut insert = ledger.prepare(
        "INSERT INTO own_movement (variant, location, seq, zone, delta) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for ((variant, location, zone), delta) in &movements {
        if only.is_none_or(|only| only == location) {
            insert.execute((Id(variant.0), location.as_str(), N(seq), zone, delta))?;
        }
    }
    Ok(())
}

fn open_shift(ledger: &Ledger, seq: u64, opened: &ShiftOpened) -> Result<(), LedgerError> {
    let totals = ShiftTotals::open(opened);
    let result = ledger
        .prepare(
            "INSERT INTO shift (opened_seq, shift, drawer, business_date, totals) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            N(seq),
            Id(opened.shift.0),
            opened.drawer,
            opened.business_date.to_string(),
            encode_totals(&totals),
        ));
    match result {
        Ok(_) => Ok(()),
        Err(error) if is_constraint(&error, rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE) => {
            Err(LedgerError::OutOfPlace {
                kind: "ShiftOpened",
                what: "the drawer has an open shift, or the shift is known already",
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// The text of totals as the projection keeps it.
pub(crate) fn encode_totals(totals: &ShiftTotals) -> String {
    serde_json::to_string(totals).expect("totals hold only strings, integers and string keys")
}

pub(crate) fn decode_totals(seq: u64, text: &str) -> Result<ShiftTotals, LedgerError> {
    serde_json::from_str(text).map_err(|error| corrupt("shift", seq, error))
}

struct OpenRow {
    opened_seq: u64,
    day: Day,
    totals: ShiftTotals,
}

fn open_row(ledger: &Ledger, shift: ShiftId, fact: &Fact) -> Result<OpenRow, LedgerError> {
    let found: Option<(u64, Day, String)> = ledger
        .prepare(
            "SELECT opened_seq, business_date, totals FROM shift WHERE shift = ?1 AND closed_seq IS NULL",
        )?
        .query_row([Id(shift.0)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (opened_seq, day, text) =
        found.ok_or_else(|| out_of_place(fact, "its shift is not open"))?;
    let totals = decode_totals(opened_seq, &text)?;
    Ok(OpenRow {
        opened_seq,
        day,
        totals,
    })
}

fn update_totals(ledger: &Ledger, shift: ShiftId, fact: &Fact) -> Result<(), LedgerError> {
    let OpenRow {
        opened_seq,
        day,
        mut totals,
    } = open_row(ledger, shift, fact)?;
    let dated = match fact {
        Fact::SaleCompleted(sale) => Some(sale.business_date),
        Fact::Reversed(reversed) => Some(reversed.mirror.business_date),
        _ => None,
    };
    if dated.is_some_and(|date| date != day.0) {
        return Err(out_of_place(fact, "its business date is not the shift's"));
    }
    totals.apply(fact)?;
    ledger
        .prepare("UPDATE shift SET totals = ?2 WHERE opened_seq = ?1")?
        .execute((N(opened_seq), encode_totals(&totals)))?;
    Ok(())
}

fn add_receipt(ledger: &Ledger, seq: u64, fact: &Fact, sale: &SaleBody) -> Result<(), LedgerError> {
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
    let result = ledger
        .prepare(
            "INSERT INTO receipt (seq, kind, sale, number, fiscal_year, number_seq, shift, total_minor) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            N(seq),
            kind,
            Id(sale.sale.0),
            &sale.number,
            fiscal_year,
            N(expected),
            Id(sale.shift.0),
            sale.total_minor,
        ));
    match result {
        Ok(_) => {}
        Err(error) if is_constraint(&error, rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE) => {
            return Err(out_of_place(fact, "the sale was completed already"));
        }
        Err(error) => return Err(error.into()),
    }
    let perpetual = ledger
        .perpetual_minor()?
        .checked_add(sale.total_minor)
        .ok_or(LedgerError::Overflow)?;
    ledger
        .prepare("INSERT OR REPLACE INTO tally (name, value) VALUES ('perpetual', ?1)")?
        .execute([perpetual])?;
    Ok(())
}

fn mark_reversed(
    ledger: &Ledger,
    seq: u64,
    fact: &Fact,
    reversed: &Reversed,
) -> Result<(), LedgerError> {
    let changed = ledger
        .prepare(
            "UPDATE receipt SET reversed_by_seq = ?1 \
             WHERE sale = ?2 AND number = ?3 AND kind = 0 AND reversed_by_seq IS NULL",
        )?
        .execute((N(seq), Id(reversed.of.0), &reversed.of_number))?;
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
    seq: u64,
    fact: &Fact,
    closed: &ShiftClosed,
) -> Result<(), LedgerError> {
    let open = open_row(ledger, closed.shift, fact)?;
    let wrong = |what| Err(out_of_place(fact, what));
    if closed.z_number != ledger.last_z()? + 1 {
        return wrong("its Z number is not the next");
    }
    if closed.from_seq != open.opened_seq || closed.to != ledger.head {
        return wrong("it does not cover the shift up to the event before it");
    }
    if closed.totals != open.totals {
        return wrong("its totals are not the shift's");
    }
    if Some(closed.difference_minor)
        != closed
            .counted_minor
            .checked_sub(closed.totals.expected_minor)
    {
        return wrong("its difference is not counted minus expected");
    }
    if closed.perpetual_minor != ledger.perpetual_minor()? {
        return wrong("its perpetual total is not the journal's");
    }
    ledger
        .prepare("UPDATE shift SET closed_seq = ?2, z_number = ?3 WHERE opened_seq = ?1")?
        .execute((N(open.opened_seq), N(seq), N(closed.z_number)))?;
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
    use domain::posting::Account;

    use super::*;

    #[test]
    fn postings_that_do_not_balance_are_refused() {
        let posting = |account, amount_minor| Posting {
            account,
            amount_minor,
        };
        let cash = |amount| posting(Account::Cash, amount);
        let revenue = |amount| posting(Account::Revenue, amount);
        let sums = balanced("Test", &[cash(3), cash(2), revenue(-5)]).expect("balanced");
        assert_eq!(
            sums,
            BTreeMap::from([
                ("account:cash".to_owned(), 5),
                ("account:revenue".to_owned(), -5)
            ])
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
