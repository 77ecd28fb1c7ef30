//! The running state that sales move: balances, the perpetual total, and the totals of open shifts.

use std::collections::BTreeMap;

use domain::event::{Fact, ShiftOpened, ShiftTotals};
use domain::ids::{ShiftId, UserId};
use domain::time::BusinessDate;
use rusqlite::OptionalExtension as _;
use serde::{Deserialize, Serialize};

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::projection::balances;
use crate::sql::corrupt;

/// State after the last event. Stored as one text, which `verify` computes anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Books {
    /// Sum of the totals of all receipts ever.
    pub perpetual_minor: i64,
    /// Balance per account, by its code; debit positive.
    pub accounts: BTreeMap<String, i64>,
    /// Open shifts by the event that opened them.
    pub open: BTreeMap<u64, OpenBooks>,
}

/// An open shift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenBooks {
    pub shift: ShiftId,
    pub drawer: u32,
    pub business_date: BusinessDate,
    /// Who answers for the drawer.
    pub holder: UserId,
    pub totals: ShiftTotals,
}

impl OpenBooks {
    /// Books of a drawer that was just opened.
    pub(crate) fn new(opened: &ShiftOpened) -> OpenBooks {
        OpenBooks {
            shift: opened.shift,
            drawer: opened.drawer,
            business_date: opened.business_date,
            holder: opened.user,
            totals: ShiftTotals::open(opened),
        }
    }

    /// Adds a fact of the shift.
    pub(crate) fn take(&mut self, fact: &Fact) -> Result<(), LedgerError> {
        if let Fact::DrawerHandedOver(handed) = fact {
            self.holder = handed.to;
        }
        Ok(self.totals.apply(fact)?)
    }
}

/// Shift that a fact is counted in; none for facts of no shift.
pub fn shift_of(fact: &Fact) -> Option<ShiftId> {
    match fact {
        Fact::ShiftOpened(opened) => Some(opened.shift),
        Fact::ShiftClosed(closed) => Some(closed.shift),
        Fact::SaleCompleted(sale) => Some(sale.shift),
        Fact::Reversed(reversed) => Some(reversed.mirror.shift),
        Fact::CartVoided(voided) => voided.shift,
        Fact::LineVoided(voided) => voided.shift,
        Fact::CashMoved(moved) => Some(moved.shift),
        // Openings without a slip stood in no report when they were written.
        Fact::DrawerOpened(opened) => opened.slip.as_ref().map(|_| opened.shift),
        Fact::DrawerHandedOver(handed) => Some(handed.shift),
        Fact::ShiftCounted(counted) => Some(counted.shift),
        Fact::StreamOpened(_)
        | Fact::PeriodClosed(_)
        | Fact::ClosingSupplemented(_)
        | Fact::Adopted(_)
        | Fact::Reprinted(_)
        | Fact::PinReset(_)
        | Fact::SignInBlocked(_)
        | Fact::ClockJumped(_)
        | domain::goods_facts!() => None,
    }
}

impl Books {
    /// Books of a stream that has sold nothing yet.
    pub(crate) fn new(perpetual_minor: i64) -> Books {
        Books {
            perpetual_minor,
            accounts: BTreeMap::new(),
            open: BTreeMap::new(),
        }
    }

    /// Adds to the balances; accounts that never moved are not there.
    pub(crate) fn post(&mut self, balances: &BTreeMap<String, i64>) -> Result<(), LedgerError> {
        for (account, amount_minor) in balances {
            match self.accounts.get_mut(account) {
                Some(balance) => {
                    *balance = balance
                        .checked_add(*amount_minor)
                        .ok_or(LedgerError::Overflow)?;
                }
                None => {
                    self.accounts.insert(account.clone(), *amount_minor);
                }
            }
        }
        Ok(())
    }

    /// Takes a fact that is in the journal already: for computing the books anew.
    pub(crate) fn replay(&mut self, seq: u64, fact: &Fact) -> Result<(), LedgerError> {
        match fact {
            Fact::ShiftOpened(opened) => {
                self.open.insert(seq, OpenBooks::new(opened));
            }
            Fact::ShiftClosed(closed) => self.open.retain(|_, open| open.shift != closed.shift),
            _ => {
                if let Some((_, open)) = shift_of(fact).and_then(|shift| self.shift(shift)) {
                    open.take(fact)?;
                }
            }
        }
        let receipt = match fact {
            Fact::SaleCompleted(sale) => Some(sale),
            Fact::Reversed(reversed) => Some(&reversed.mirror),
            _ => None,
        };
        if let Some(sale) = receipt {
            self.perpetual_minor = self
                .perpetual_minor
                .checked_add(sale.total_minor)
                .ok_or(LedgerError::Overflow)?;
        }
        self.post(&balances(fact)?)
    }

    /// The open shift with `id`, and the event that opened it.
    pub(crate) fn shift(&mut self, id: ShiftId) -> Option<(u64, &mut OpenBooks)> {
        self.open
            .iter_mut()
            .find(|(_, open)| open.shift == id)
            .map(|(seq, open)| (*seq, open))
    }

    /// The event that opened the open shift of a drawer.
    pub(crate) fn of_drawer(&self, drawer: u32) -> Option<u64> {
        let mut open = self.open.iter();
        open.find(|(_, open)| open.drawer == drawer)
            .map(|(seq, _)| *seq)
    }

    pub(crate) fn encode(&self) -> String {
        serde_json::to_string(self).expect("books hold only strings, integers and maps")
    }

    pub(crate) fn decode(text: &str) -> Result<Books, LedgerError> {
        serde_json::from_str(text).map_err(|error| corrupt("books", 1, error))
    }
}

impl Ledger {
    /// Looks at the books.
    pub(crate) fn with_books<T>(&self, look: impl FnOnce(&Books) -> T) -> Result<T, LedgerError> {
        if let Some(books) = &self.cache.borrow().books {
            return Ok(look(books));
        }
        let books = self.read_books()?;
        let seen = look(&books);
        // A reader sees the file change under it and must not keep what it saw.
        if !self.is_read_only() {
            self.cache.borrow_mut().books = Some(books);
        }
        Ok(seen)
    }

    /// The books as stored.
    pub(crate) fn read_books(&self) -> Result<Books, LedgerError> {
        let text: Option<String> = self
            .prepare("SELECT state FROM books")?
            .query_row([], |row| row.get(0))
            .optional()?;
        match text {
            Some(text) => Books::decode(&text),
            None => Ok(Books::new(self.opened.perpetual_minor)),
        }
    }

    /// Takes the books out to change them; [`Ledger::put_books`] stores what became of them. In between a
    /// failure leaves nothing behind, since the stored ones are read again.
    pub(crate) fn take_books(&self) -> Result<Books, LedgerError> {
        let cached = self.cache.borrow_mut().books.take();
        cached.map_or_else(|| self.read_books(), Ok)
    }

    /// Stores the books.
    pub(crate) fn put_books(&self, books: Books) -> Result<(), LedgerError> {
        self.prepare(
            "INSERT INTO books (only, state) VALUES (1, ?1) ON CONFLICT (only) DO UPDATE SET state = excluded.state",
        )?
        .execute([books.encode()])?;
        self.cache.borrow_mut().books = Some(books);
        Ok(())
    }
}
