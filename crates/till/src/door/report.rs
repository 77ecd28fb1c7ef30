//! What a manager sees: X and Z reports, slips, counts, periods, balances.

use std::collections::BTreeMap;

use domain::event::{CashMovement, PeriodKind, TenderKind};
use domain::ids::JobId;
use domain::quantity::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{LevyView, Pieces, TaxView};

/// Stamp duty on cash receipts on screens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct CashStampView {
    /// Percent as text.
    pub rate: String,
    /// Receipts of sales that kept cash.
    #[ts(type = "number")]
    pub count: u64,
    /// Cash that they kept, tax included.
    #[ts(type = "number")]
    pub base_minor: i64,
    /// Duty to declare.
    #[ts(type = "number")]
    pub duty_minor: i64,
}

/// An X or Z report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ReportView {
    /// Z number, none for an X.
    #[ts(type = "number | null")]
    pub z_number: Option<u64>,
    /// Drawer, from 1.
    pub drawer: u32,
    /// Who answers for the drawer.
    pub holder_name: String,
    /// Trading day.
    pub business_date: String,
    /// Opened at, local time.
    pub opened_at: String,
    /// Sales.
    #[ts(type = "number")]
    pub sales: u64,
    /// Reversals.
    #[ts(type = "number")]
    pub reversals: u64,
    /// Units.
    pub units: Quantity,
    /// Takings.
    #[ts(type = "number")]
    pub takings_minor: i64,
    /// Discounts.
    #[ts(type = "number")]
    pub discounts_minor: i64,
    /// Cash rounding.
    #[ts(type = "number")]
    pub rounding_minor: i64,
    /// Levies.
    pub levies: Vec<LevyView>,
    /// Stamp duty on cash receipts, to be declared; empty where there is none.
    pub cash_stamp: Vec<CashStampView>,
    /// Tax.
    pub taxes: Vec<TaxView>,
    /// Money kept by kind of tender.
    #[ts(type = "Record<string, number>")]
    pub tenders_minor: BTreeMap<TenderKind, i64>,
    /// Float.
    #[ts(type = "number")]
    pub float_minor: i64,
    /// Cash that should be there.
    #[ts(type = "number")]
    pub expected_minor: i64,
    /// Cash counted, on a Z.
    #[ts(type = "number | null")]
    pub counted_minor: Option<i64>,
    /// Counted minus expected, on a Z.
    #[ts(type = "number | null")]
    pub difference_minor: Option<i64>,
    /// Money put in and taken out without a sale, by kind.
    #[ts(type = "Record<string, number>")]
    pub moved_minor: BTreeMap<CashMovement, i64>,
    /// Openings of the drawer without a sale.
    #[ts(type = "number")]
    pub no_sales: u64,
    /// Counts that did not close the shift.
    #[ts(type = "number")]
    pub counts: u64,
    /// Times that the drawer was handed over.
    #[ts(type = "number")]
    pub hand_overs: u64,
    /// Proposed to be banked, on a Z.
    pub deposit: Vec<Pieces>,
    /// Its sum.
    #[ts(type = "number")]
    pub deposit_minor: i64,
    /// Copies printed of it, on a Z.
    pub copies: u32,
    /// Perpetual total, on a Z.
    #[ts(type = "number | null")]
    pub perpetual_minor: Option<i64>,
    /// Print job, when printed.
    pub job: Option<JobId>,
    /// Carts parked at closing; they are kept.
    pub parked: u32,
    /// PNG of the paper, base64; on a Z.
    pub png_base64: Option<String>,
}

/// A cash slip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct SlipView {
    /// Number of the slip.
    pub number: String,
    /// Which way money moved; none when only the drawer was opened.
    pub movement: Option<CashMovement>,
    /// How much; 0 when only the drawer was opened.
    #[ts(type = "number")]
    pub amount_minor: i64,
    /// Why.
    pub reason: String,
    /// Print job.
    pub job: Option<JobId>,
}

/// A count that did not close the shift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct CountView {
    /// What was counted.
    #[ts(type = "number")]
    pub counted_minor: i64,
    /// What should be there; none for a blind count.
    #[ts(type = "number | null")]
    pub expected_minor: Option<i64>,
    /// Counted minus expected; none for a blind count.
    #[ts(type = "number | null")]
    pub difference_minor: Option<i64>,
}

/// A report in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ReportRow {
    /// `Z12`, `D12`, `M3` or `Y1`.
    pub number: String,
    /// Trading day of a shift, or the name of the period: `2026-11-22`, `2026-11`, `2026`.
    pub name: String,
    /// Kind of the period; none for a shift.
    pub period: Option<PeriodKind>,
    /// Closed at, local time.
    pub at: String,
    /// Takings, reversals taken off.
    #[ts(type = "number")]
    pub takings_minor: i64,
    /// Counted minus expected.
    #[ts(type = "number")]
    pub difference_minor: i64,
}

/// Closing of a day, month or year.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct PeriodView {
    /// `D12`, `M3` or `Y1`.
    pub number: String,
    /// Kind.
    pub period: PeriodKind,
    /// Name: `2026-11-22`, `2026-11`, `2026`.
    pub name: String,
    /// Closed at, local time.
    pub at: String,
    /// First and last Z number in it.
    #[ts(type = "[number, number] | null")]
    pub z_numbers: Option<(u64, u64)>,
    /// Receipts of sales.
    #[ts(type = "number")]
    pub sales: u64,
    /// Sum of sales.
    #[ts(type = "number")]
    pub sales_minor: i64,
    /// Receipts of reversals.
    #[ts(type = "number")]
    pub reversals: u64,
    /// Sum of reversals; zero or negative.
    #[ts(type = "number")]
    pub reversals_minor: i64,
    /// Discounts.
    #[ts(type = "number")]
    pub discounts_minor: i64,
    /// Cash rounding.
    #[ts(type = "number")]
    pub rounding_minor: i64,
    /// Levies.
    pub levies: Vec<LevyView>,
    /// Stamp duty on cash receipts, to be declared; empty where there is none.
    pub cash_stamp: Vec<CashStampView>,
    /// Tax.
    pub taxes: Vec<TaxView>,
    /// Money kept by kind of tender.
    #[ts(type = "Record<string, number>")]
    pub tenders_minor: BTreeMap<TenderKind, i64>,
    /// Money moved without a sale, by kind.
    #[ts(type = "Record<string, number>")]
    pub moved_minor: BTreeMap<CashMovement, i64>,
    /// Differences found at closings of shifts.
    #[ts(type = "number")]
    pub over_short_minor: i64,
    /// Sum of all sales ever on this till; never resets.
    #[ts(type = "number")]
    pub perpetual_minor: i64,
    /// Events covered.
    #[ts(type = "[number, number]")]
    pub covers: (u64, u64),
    /// First digits of the chain hash after the closing.
    pub seal: String,
    /// Print job, when printed.
    pub job: Option<JobId>,
    /// Copies printed of it.
    pub copies: u32,
    /// PNG of the paper, base64.
    pub png_base64: String,
}

/// Trial balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct BalanceView {
    /// What it is of: `Z12`, `D12`, `X`; empty for the whole journal.
    pub number: String,
    /// Money accounts, by code.
    pub rows: Vec<BalanceRow>,
    /// Sum of the debits, equal to that of the credits.
    #[ts(type = "number")]
    pub debit_minor: i64,
    /// Sum of the credits.
    #[ts(type = "number")]
    pub credit_minor: i64,
    /// Stock accounts: units by account, summing to zero.
    pub stock: Vec<StockBalanceRow>,
}

/// An account of a trial balance: one of the two amounts is zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct BalanceRow {
    /// Code; its name stands in the catalogues as `account.{code up to the colon}`.
    pub account: String,
    /// Debit.
    #[ts(type = "number")]
    pub debit_minor: i64,
    /// Credit.
    #[ts(type = "number")]
    pub credit_minor: i64,
}

/// A stock account of a trial balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct StockBalanceRow {
    /// Code: `location:LM`, `customer`.
    pub account: String,
    /// Units, debit positive.
    pub quantity: Quantity,
}
