//! The running state that sales move: balances, the perpetual total, and the totals of open shifts.

use std::collections::BTreeMap;

use domain::event::ShiftTotals;
use domain::ids::ShiftId;
use domain::time::BusinessDate;
use rusqlite::OptionalExtension as _;
use serde::{Deserialize, Serialize};

use crate::error::LedgerError;
use crate::ledger::Ledger;
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
    pub totals: ShiftTotals,
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

    /// The open shift with `id`, and the event that opened it.
    pub(crate) fn shift(&mut self, id: ShiftId) -> Option<(u64, &mut OpenBooks)> {
        self.open
            .iter_mut()
            .find(|(_, open)| open.shift == id)
            .map(|(seq, open)| (*seq, open))
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
