//! What a cashier sees: carts, articles, receipts, codes, paper, stock.

use domain::catalog::{Names, StockClass};
use domain::event::TenderKind;
use domain::ids::{JobId, LocationId, SaleId, VariantId};
use domain::quantity::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{CurrencyView, DiscountInput, Refusal};

/// The cart on screens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct CartView {
    /// Id of the cart and of the sale it becomes.
    pub sale: SaleId,
    /// Lines in the order of entry.
    pub lines: Vec<LineView>,
    /// Line that the last command touched.
    pub touched: Option<u32>,
    /// Sum of line totals before the cart discount.
    #[ts(type = "number")]
    pub subtotal_minor: i64,
    /// Discount on the cart.
    #[ts(type = "number")]
    pub cart_discount_minor: i64,
    /// The cart discount as it was asked for.
    pub cart_discount: DiscountInput,
    /// Levies on the document.
    pub levies: Vec<LevyView>,
    /// Tax per rate.
    pub taxes: Vec<TaxView>,
    /// Due for exact payment, tax and levies included.
    #[ts(type = "number")]
    pub total_minor: i64,
    /// Units.
    pub units: Quantity,
    /// Tenders recorded so far.
    pub tenders: Vec<TenderView>,
    /// Still due after them.
    #[ts(type = "number")]
    pub due_minor: i64,
    /// Still due if it is all paid in cash, rounded where the store rounds cash.
    #[ts(type = "number")]
    pub due_cash_minor: i64,
    /// Notes a shopper is likely to hand over, ascending, above the amount due.
    #[ts(type = "number[]")]
    pub quick_cash_minor: Vec<i64>,
    /// Warnings to show, none of which blocks.
    pub warnings: Vec<Refusal>,
}

/// A line of the cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct LineView {
    /// Line number.
    pub line: u32,
    /// Variant.
    pub variant: VariantId,
    /// SKU.
    pub sku: String,
    /// Name.
    pub names: Names,
    /// Option values, as `42 / Bleu`.
    pub options: String,
    /// Quantity.
    pub quantity: Quantity,
    /// Unit price charged.
    #[ts(type = "number")]
    pub unit_minor: i64,
    /// Unit price of the list.
    #[ts(type = "number")]
    pub list_minor: i64,
    /// Discount on the line.
    #[ts(type = "number")]
    pub discount_minor: i64,
    /// The discount as it was asked for.
    pub discount: DiscountInput,
    /// Line total after its own discount.
    #[ts(type = "number")]
    pub total_minor: i64,
    /// Of a strict variant: what this till may still sell of it beyond this cart, thousandths.
    pub right: Option<Quantity>,
    /// A manager let it pass without a right.
    pub without_right: bool,
}

/// A levy on screens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct LevyView {
    /// Code; its name stands in the catalogues of texts as `receipt.levy.{code}`.
    pub code: String,
    /// Amount.
    #[ts(type = "number")]
    pub minor: i64,
}

/// Net and tax of a rate on screens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct TaxView {
    /// Percent as text.
    pub rate: String,
    /// Net.
    #[ts(type = "number")]
    pub net_minor: i64,
    /// Tax.
    #[ts(type = "number")]
    pub tax_minor: i64,
}

/// A tender on screens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct TenderView {
    /// Kind.
    pub kind: TenderKind,
    /// Amount handed over.
    #[ts(type = "number")]
    pub amount_minor: i64,
    /// Reference.
    pub reference: Option<String>,
}

/// A variant in search results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct VariantView {
    /// Id.
    pub variant: VariantId,
    /// SKU.
    pub sku: String,
    /// Name of the style.
    pub names: Names,
    /// Option values.
    pub options: String,
    /// Brand.
    pub brand: String,
    /// First barcode, 14 digits, may be empty.
    pub gtin: String,
    /// Price today, none when the list has none.
    #[ts(type = "number | null")]
    pub price_minor: Option<i64>,
    /// On hand here; none for untracked.
    pub stock: Option<Quantity>,
    /// Stock class here; of a kit the strictest of its parts.
    pub class: StockClass,
    /// What one unit is made of, for a kit: no stock is kept of the kit itself, `stock` is what its parts are enough for.
    pub parts: Vec<PartView>,
}

/// A part of a kit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct PartView {
    /// SKU; empty while the catalogue has not brought the part.
    pub sku: String,
    /// Name of the style.
    pub names: Names,
    /// Option values.
    pub options: String,
    /// How much of it is in one unit.
    pub quantity: Quantity,
}

/// A parked cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ParkedView {
    /// Id.
    pub sale: SaleId,
    /// Note.
    pub label: String,
    /// When, local time.
    pub at: String,
    /// Units.
    pub units: Quantity,
    /// Total.
    #[ts(type = "number")]
    pub total_minor: i64,
    /// First line's name.
    pub first: Option<Names>,
}

/// A sale that is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct CompletedView {
    /// Sale.
    pub sale: SaleId,
    /// Receipt number.
    pub number: String,
    /// Total.
    #[ts(type = "number")]
    pub total_minor: i64,
    /// Cash handed over.
    #[ts(type = "number")]
    pub cash_minor: i64,
    /// Change to give.
    #[ts(type = "number")]
    pub change_minor: i64,
    /// Print job of the receipt.
    pub job: Option<JobId>,
    /// The new, empty cart.
    pub next: Box<CartView>,
}

/// A receipt in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ReceiptRow {
    /// Number.
    pub number: String,
    /// Local time.
    pub at: String,
    /// Total.
    #[ts(type = "number")]
    pub total_minor: i64,
    /// Units.
    pub units: Quantity,
    /// It was undone, or undoes another.
    pub reversed: bool,
    /// Number of the receipt it undoes.
    pub reverses: Option<String>,
    /// It belongs to the open shift and can be undone.
    pub reversible: bool,
}

/// A receipt with its picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ReceiptView {
    /// The row.
    pub row: ReceiptRow,
    /// PNG, base64.
    pub png_base64: String,
    /// Times it was printed again.
    pub copies: u32,
}

/// A print job on screens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct PrintJobView {
    /// Job.
    pub job: JobId,
    /// Number of the document, or its kind.
    pub document: String,
    /// State.
    pub state: PrintState,
    /// Why it waits or is uncertain.
    pub cause: Option<String>,
    /// Queued at, local time.
    pub at: String,
}

/// What a receipt's code is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum CodeVerdict {
    /// A till of this chain wrote the receipt, and it says what that till said.
    Genuine,
    /// Something was changed after it was signed.
    Forged,
    /// It fits together, but no till of this chain known here vouches for it.
    UnknownKey,
    /// The till that vouches for it is no longer trusted.
    Revoked,
}

/// What the code of a receipt says. Only a genuine one is to be believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct CodeView {
    /// What it is worth.
    pub verdict: CodeVerdict,
    /// Receipt number.
    pub number: String,
    /// Store.
    pub store: String,
    /// Till.
    pub till: String,
    /// Trading day.
    pub business_date: String,
    /// Currency of the amounts.
    pub currency: CurrencyView,
    /// Total.
    #[ts(type = "number")]
    pub total_minor: i64,
    /// It undoes another receipt.
    pub reversal: bool,
    /// The first 20 lines.
    pub lines: Vec<CodeLineView>,
    /// Lines of the receipt.
    pub lines_total: u32,
    /// This till wrote it.
    pub own: bool,
    /// Number of the receipt that undid it, where this till knows.
    pub reversed_by: Option<String>,
}

/// A line of a receipt's code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct CodeLineView {
    /// SKU; none for an article that this till does not know.
    pub sku: Option<String>,
    /// Name, likewise.
    pub names: Option<Names>,
    /// Quantity.
    pub quantity: Quantity,
    /// What it came to.
    #[ts(type = "number")]
    pub paid_minor: i64,
}

/// State of a print job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum PrintState {
    /// Waits.
    Queued,
    /// Being sent.
    Claimed,
    /// The printer confirmed.
    Printed,
    /// Handed over to a printer that cannot confirm.
    Accepted,
    /// Bytes left, nothing came back: a person decides.
    Uncertain,
}

/// Stock of a variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct StockView {
    /// The variant.
    pub variant: VariantView,
    /// By location, this store first.
    pub locations: Vec<StockAt>,
}

/// Stock at one location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct StockAt {
    /// Location.
    pub location: LocationId,
    /// Name.
    pub name: Names,
    /// On hand as known here; none when nothing is known.
    pub quantity: Option<Quantity>,
    /// Age of the server's figure in milliseconds, none when never synced.
    #[ts(type = "number | null")]
    pub age_ms: Option<i64>,
}
