//! Balances of accounts, and the closings that tills wrote.

use domain::ids::{ShiftId, StreamId};
use domain::time::BusinessDate;
use rusqlite::{OptionalExtension as _, params};

use super::{StoreError, StoreResult, Tx, from_sql, to_sql};

/// Balance of an account of a till; debit positive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BalanceRow {
    pub store: String,
    pub till: String,
    pub account: String,
    pub minor: i64,
}

/// A closing as a till wrote it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClosingRow {
    pub stream: StreamId,
    pub seq: u64,
    pub store: String,
    pub till: String,
    pub kind: String,
    pub number: u64,
    pub name: String,
    pub wall: i64,
    pub sales: u64,
    pub reversals: u64,
    pub takings_minor: i64,
    pub difference_minor: i64,
    pub perpetual_minor: i64,
}

const CLOSING_COLUMNS: &str = "stream, seq, store, till, kind, number, name, wall, sales, reversals, takings_minor, \
                               difference_minor, perpetual_minor";

impl Tx<'_> {
    /// Adds to a balance; false when it would overflow.
    pub fn add_balance(
        &self,
        store: &str,
        till: &str,
        account: &str,
        minor: i64,
    ) -> StoreResult<bool> {
        let found: Option<i64> = self
            .conn
            .prepare_cached(
                "SELECT minor FROM balance WHERE store = ?1 AND till = ?2 AND account = ?3",
            )?
            .query_row((store, till, account), |row| row.get(0))
            .optional()?;
        let Some(sum) = found.unwrap_or(0).checked_add(minor) else {
            return Ok(false);
        };
        self.conn
            .prepare_cached(
                "INSERT INTO balance (store, till, account, minor) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (store, till, account) DO UPDATE SET minor = excluded.minor",
            )?
            .execute((store, till, account, sum))?;
        Ok(true)
    }

    /// Every balance, by store, till and account.
    pub fn balances(&self) -> StoreResult<Vec<BalanceRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT store, till, account, minor FROM balance ORDER BY store, till, account",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(BalanceRow {
                store: row.get(0)?,
                till: row.get(1)?,
                account: row.get(2)?,
                minor: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub fn put_shift_day(&self, shift: ShiftId, date: BusinessDate) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO shift_day (shift, business_date) VALUES (?1, ?2) ON CONFLICT (shift) DO NOTHING",
            )?
            .execute((shift.0.as_bytes().as_slice(), date.to_string()))?;
        Ok(())
    }

    pub fn shift_day(&self, shift: ShiftId) -> StoreResult<Option<String>> {
        Ok(self
            .conn
            .prepare_cached("SELECT business_date FROM shift_day WHERE shift = ?1")?
            .query_row([shift.0.as_bytes().as_slice()], |row| row.get(0))
            .optional()?)
    }

    /// Keeps a closing; `branch` tells apart those at one place of a stream that forked.
    pub fn put_closing(&self, row: &ClosingRow, branch: i64) -> StoreResult<()> {
        self.conn
            .prepare_cached(&format!(
                "INSERT INTO closing ({CLOSING_COLUMNS}, branch)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
            ))?
            .execute(params![
                row.stream.0,
                to_sql(row.seq)?,
                row.store,
                row.till,
                row.kind,
                to_sql(row.number)?,
                row.name,
                row.wall,
                to_sql(row.sales)?,
                to_sql(row.reversals)?,
                row.takings_minor,
                row.difference_minor,
                row.perpetual_minor,
                branch,
            ])?;
        Ok(())
    }

    /// The latest closings, newest first; all of them without a limit.
    pub fn closings(&self, limit: Option<u32>) -> StoreResult<Vec<ClosingRow>> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT {CLOSING_COLUMNS} FROM closing ORDER BY wall DESC, stream, seq DESC, branch LIMIT ?1"
        ))?;
        // A negative limit is none.
        let mut rows = statement.query([limit.map_or(-1, i64::from)])?;
        let mut closings = Vec::new();
        while let Some(row) = rows.next()? {
            let stream: [u8; 16] = row.get(0).map_err(|_| StoreError::Corrupt("closing"))?;
            closings.push(ClosingRow {
                stream: StreamId(stream),
                seq: from_sql(row.get(1)?)?,
                store: row.get(2)?,
                till: row.get(3)?,
                kind: row.get(4)?,
                number: from_sql(row.get(5)?)?,
                name: row.get(6)?,
                wall: row.get(7)?,
                sales: from_sql(row.get(8)?)?,
                reversals: from_sql(row.get(9)?)?,
                takings_minor: row.get(10)?,
                difference_minor: row.get(11)?,
                perpetual_minor: row.get(12)?,
            });
        }
        Ok(closings)
    }
}
