//! Receipts: sales and reversals by number.

use domain::event::{Fact, Reversed, SaleBody};
use domain::ids::{SaleId, ShiftId};
use domain::text::fold_for_search;
use rusqlite::{OptionalExtension as _, Row};

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::sql::{Id, N, corrupt, read_fact};

/// What a receipt is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiptBody {
    /// A sale.
    Sale(SaleBody),
    /// The undoing of one.
    Reversal(Reversed),
}

impl ReceiptBody {
    /// The receipt of a fact, if it has one.
    pub(crate) fn of(fact: Fact) -> Option<ReceiptBody> {
        match fact {
            Fact::SaleCompleted(sale) => Some(ReceiptBody::Sale(sale)),
            Fact::Reversed(reversed) => Some(ReceiptBody::Reversal(reversed)),
            _ => None,
        }
    }

    /// The sale, or the mirrored one.
    pub fn sale(&self) -> &SaleBody {
        match self {
            ReceiptBody::Sale(sale) => sale,
            ReceiptBody::Reversal(reversed) => &reversed.mirror,
        }
    }
}

/// A numbered receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Number as printed.
    pub number: String,
    /// Sequence number of its event.
    pub seq: u64,
    /// Wall clock when it was completed.
    pub wall: i64,
    /// Shift whose drawer took the money.
    pub shift: ShiftId,
    /// The sale or reversal.
    pub body: ReceiptBody,
    /// Number of the receipt that undid it.
    pub reversed_by: Option<String>,
    /// Copies printed of it.
    pub copies: u32,
}

macro_rules! receipts_where {
    ($condition:literal) => {
        concat!(
            "SELECT r.seq, e.bytes, r.reversed_by, ",
            "coalesce((SELECT copies FROM copy WHERE number = r.number), 0) ",
            "FROM receipt r JOIN event e ON e.seq = r.seq ",
            $condition
        )
    };
}

struct Raw {
    seq: u64,
    bytes: Vec<u8>,
    reversed_by: Option<String>,
    copies: u32,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        seq: row.get(0)?,
        bytes: row.get(1)?,
        reversed_by: row.get(2)?,
        copies: row.get(3)?,
    })
}

impl Raw {
    fn decode(self) -> Result<Receipt, LedgerError> {
        let (event, fact) = read_fact(self.seq, &self.bytes)?;
        let body = match fact {
            Fact::SaleCompleted(sale) => ReceiptBody::Sale(sale),
            Fact::Reversed(reversed) => ReceiptBody::Reversal(reversed),
            other => return Err(corrupt("receipt", self.seq, other.kind())),
        };
        let sale = body.sale();
        Ok(Receipt {
            number: sale.number.clone(),
            seq: self.seq,
            wall: event.wall,
            shift: sale.shift,
            reversed_by: self.reversed_by,
            copies: self.copies,
            body,
        })
    }
}

impl Ledger {
    /// The sequence that the next receipt of `fiscal_year` must have; sales and reversals share it.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn next_number(&self, fiscal_year: i32) -> Result<u64, LedgerError> {
        let last: Option<u64> = self
            .prepare(
                "SELECT number_seq FROM receipt WHERE series = ?1 AND fiscal_year = ?2 \
                 ORDER BY number_seq DESC LIMIT 1",
            )?
            .query_row((self.identity().stream.series(), fiscal_year), |row| {
                row.get(0)
            })
            .optional()?;
        last.unwrap_or(0)
            .checked_add(1)
            .ok_or(LedgerError::Overflow)
    }

    /// The receipt with exactly `number`.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Corrupt`].
    pub fn receipt(&self, number: &str) -> Result<Option<Receipt>, LedgerError> {
        // The number's tail is its key; an index over the whole text would cost every sale a page.
        let mut parts = number.rsplit('-');
        let (Some(Ok(number_seq)), Some(Ok(fiscal_year)), Some(series)) = (
            parts.next().map(str::parse::<u64>),
            parts.next().map(str::parse::<i32>),
            parts.next(),
        ) else {
            return Ok(None);
        };
        if i64::try_from(number_seq).is_err() {
            return Ok(None);
        }
        self.prepare(receipts_where!(
            "WHERE r.series = ?1 AND r.fiscal_year = ?2 AND r.number_seq = ?3 AND r.number = ?4"
        ))?
        .query_row((series, fiscal_year, N(number_seq), number), raw)
        .optional()?
        .map(Raw::decode)
        .transpose()
    }

    /// The latest receipt.
    ///
    /// # Errors
    /// As [`Ledger::receipt`].
    pub fn last_receipt(&self) -> Result<Option<Receipt>, LedgerError> {
        // By event and not by number: a trading day of an earlier year may have come later. Adopted ones are
        // earlier than any of this stream's own.
        for sql in [
            "SELECT seq, bytes FROM event WHERE kind IN ('SaleCompleted', 'Reversed') ORDER BY seq DESC LIMIT 1",
            "SELECT seq, bytes FROM event WHERE seq = (SELECT max(seq) FROM receipt)",
        ] {
            let found: Option<(u64, Vec<u8>)> = self
                .prepare(sql)?
                .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            if let Some((seq, bytes)) = found {
                return match read_fact(seq, &bytes)?.1 {
                    Fact::SaleCompleted(sale) => self.receipt(&sale.number),
                    Fact::Reversed(reversed) => self.receipt(&reversed.mirror.number),
                    other => Err(corrupt("event", seq, other.kind())),
                };
            }
        }
        Ok(None)
    }

    /// Up to `limit` receipts whose number contains `query`, newest first; all of them when it is empty.
    ///
    /// # Errors
    /// As [`Ledger::receipt`].
    pub fn receipts(&self, query: &str, limit: u32) -> Result<Vec<Receipt>, LedgerError> {
        let mut pattern = String::from("%");
        for c in fold_for_search(query.trim()).chars() {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('%');
        let mut series = Vec::new();
        for name in self.all_series()? {
            series.push(
                self.receipts_of(&name, &pattern, limit)?
                    .into_iter()
                    .peekable(),
            );
        }
        // In a series numbers follow time; over all of them the clock decides.
        let mut found = Vec::new();
        while found.len() < limit as usize {
            let newest = series
                .iter_mut()
                .filter_map(|receipts| {
                    let wall = receipts.peek()?.wall;
                    Some((wall, receipts))
                })
                .max_by_key(|(wall, _)| *wall);
            let Some(receipt) = newest.and_then(|(_, receipts)| receipts.next()) else {
                break;
            };
            found.push(receipt);
        }
        Ok(found)
    }

    fn receipts_of(
        &self,
        series: &str,
        pattern: &str,
        limit: u32,
    ) -> Result<Vec<Receipt>, LedgerError> {
        let mut statement = self.prepare(receipts_where!(
            r"WHERE r.series = ?1 AND r.number LIKE ?2 ESCAPE '\' ORDER BY r.fiscal_year DESC, r.number_seq DESC LIMIT ?3"
        ))?;
        let mut found = Vec::new();
        for row in statement.query_map((series, pattern, limit), raw)? {
            found.push(row?.decode()?);
        }
        Ok(found)
    }

    /// The series of all receipts here, read by leaps over the index.
    fn all_series(&self) -> Result<Vec<String>, LedgerError> {
        let mut statement = self.prepare(
            "WITH RECURSIVE found (series) AS (
                 SELECT min(series) FROM receipt
                 UNION ALL
                 SELECT (SELECT min(series) FROM receipt WHERE series > found.series) FROM found
                 WHERE found.series IS NOT NULL
             ) SELECT series FROM found WHERE series IS NOT NULL",
        )?;
        let series = statement.query_map([], |row| row.get(0))?;
        Ok(series.collect::<Result<_, _>>()?)
    }

    /// The receipt of a sale or reversal by its id.
    ///
    /// # Errors
    /// As [`Ledger::receipt`].
    pub fn sale(&self, sale: SaleId) -> Result<Option<Receipt>, LedgerError> {
        self.prepare(receipts_where!("WHERE r.sale = ?1"))?
            .query_row([Id(sale.0)], raw)
            .optional()?
            .map(Raw::decode)
            .transpose()
    }

    /// Copies printed of the receipt or report with `number`.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn copies(&self, number: &str) -> Result<u32, LedgerError> {
        let copies = self
            .prepare("SELECT copies FROM copy WHERE number = ?1")?
            .query_row([number], |row| row.get(0))
            .optional()?;
        Ok(copies.unwrap_or(0))
    }

    /// Sum of the totals of all receipts ever, reversals taken off, in minor units of the store's currency.
    /// Never resets; carried over from the stream before this one.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn perpetual_minor(&self) -> Result<i64, LedgerError> {
        self.with_books(|books| books.perpetual_minor)
    }
}
