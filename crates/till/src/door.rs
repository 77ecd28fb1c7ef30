//! The door: all that a till can be asked, all that it can answer, and why it may refuse.
//!
//! Amounts are integer minor units of the store's currency, quantities integer thousandths.
//! The user interface computes nothing: it shows what stands in a [`Reply`].

mod refusal;
mod report;
mod sale;
mod status;
mod stock;

use domain::catalog::Language;
use domain::event::{AdjustReason, CashMovement, TenderKind};
use domain::ids::{
    DocumentId, JobId, LocationId, RequestId, SaleId, TransferId, UserId, VariantId,
};
use domain::quantity::Quantity;
use domain::time::BusinessDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

pub use refusal::{Refusal, RefusalCode};
pub use report::{
    BalanceRow, BalanceView, CashStampView, CountView, PeriodView, ReportRow, ReportView, SlipView,
    StockBalanceRow,
};
pub use sale::{
    CartView, CodeLineView, CodeVerdict, CodeView, CompletedView, LevyView, LineView, ParkedView,
    PartView, PrintJobView, PrintState, ReceiptRow, ReceiptView, StockAt, StockView, TaxView,
    TenderView, VariantView,
};
pub use status::{
    CheckView, CurrencyView, Enrolment, IncidentView, KeyStorage, NoticeReason, NoticeView,
    PrinterView, RecoveredView, ShiftView, Status, StorageView, StoreView, StreamView, SyncState,
    SyncView, UserView,
};
pub use stock::{
    CountAt, CountedView, GoodsInput, GoodsLineView, GoodsView, LineageKind, LineageStepView,
    LineageView, PlaceView, StockCountView, TransferView,
};

/// One request: the same id always gets the same answer, after a restart too.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Made by the caller, never reused for another command.
    pub id: RequestId,
    /// What is asked.
    pub command: Command,
}

/// One answer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Done.
    Ok(Reply),
    /// Not done, nothing changed.
    Refused(Refusal),
}

/// A manager's word for one action.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The manager.
    pub user: UserId,
    /// Their PIN.
    pub pin: String,
}

impl std::fmt::Debug for Approval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Approval {{ user: {} }}", self.user)
    }
}

/// A discount as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum DiscountInput {
    /// Share of the price, in hundredths of a percent (`1000` = 10 %).
    Percent {
        /// Hundredths of a percent, 0 to 10000.
        bp: u32,
    },
    /// Fixed amount off the line or cart.
    Amount {
        /// Minor units.
        #[ts(type = "number")]
        minor: i64,
    },
    /// Takes the discount off again.
    None,
}

/// A tender as it is entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct TenderInput {
    /// How it is paid.
    pub kind: TenderKind,
    /// Amount handed over; none means exactly what is still due.
    #[ts(type = "number | null")]
    #[serde(default)]
    pub amount_minor: Option<i64>,
    /// Terminal slip or cheque number; required for card and other.
    #[serde(default)]
    pub reference: Option<String>,
}

/// Pieces counted of one denomination. A denomination may stand more than once; its pieces add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Pieces {
    /// Denomination in minor units.
    #[ts(type = "number")]
    pub denomination_minor: i64,
    /// How many.
    #[ts(type = "number")]
    pub pieces: i64,
}

/// Where receipts go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum PrinterTarget {
    /// Pictures in the till's receipts folder.
    File,
    /// A network printer.
    Tcp {
        /// `host:port`.
        address: String,
    },
    /// No paper.
    None,
}

/// Settings of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Language of the screens.
    pub language: Language,
    /// Language of receipts, none for the store's.
    #[serde(default)]
    pub receipt_language: Option<Language>,
    /// Printer.
    pub printer: PrinterTarget,
    /// Printer profile (`generic-58`, `generic-80`).
    pub profile: String,
}

/// Everything a till can be asked.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Command {
    /// How the till is: enrolment, sign-in, shift, sync backlog, printer. Never refused.
    Status {},
    /// Makes this device a till with a one-time code. Answers `Pending`; progress shows in `Status`.
    Enrol {
        /// Address of the server, `https://...`; `http://` only for loopback.
        server: String,
        /// Code from head office.
        code: String,
    },
    /// Reads the device settings.
    GetSettings {},
    /// Changes the device settings.
    SetSettings {
        /// New settings, whole.
        settings: Settings,
    },
    /// Queues a test page.
    TestPrint {},

    /// Staff that may sign in here.
    ListUsers {},
    /// Signs in by PIN. 5 wrong PINs: 30 s wait, doubling; 10: a manager must unblock.
    SignIn {
        /// Who.
        user: UserId,
        /// PIN.
        pin: String,
    },
    /// Signs out. The cart is kept as parked when it has lines.
    SignOut {},
    /// A manager has read what `Status` says in `notice`.
    AcknowledgeNotice {
        /// A manager's PIN; not needed when one is signed in.
        #[serde(default)]
        approval: Option<Approval>,
    },
    /// A manager unblocks a member of staff.
    Unblock {
        /// Who is blocked.
        user: UserId,
        /// Manager.
        approval: Approval,
    },
    /// A manager gives somebody a new PIN on this device.
    ResetPin {
        /// Whose PIN.
        user: UserId,
        /// New PIN: 4 digits or more, 6 for managers; no 0000 or 1234.
        new_pin: String,
        /// Manager.
        approval: Approval,
    },

    /// Opens a shift with a counted float. Days, months and years that have ended are closed first.
    OpenShift {
        /// Float by denomination.
        count: Vec<Pieces>,
        /// Drawer; the one in use when left out.
        #[serde(default)]
        drawer: Option<u32>,
        /// Manager, when the trading day would go back or jump by more than 2 days.
        #[serde(default)]
        approval: Option<Approval>,
    },
    /// Sells from another drawer of this till from now on.
    UseDrawer {
        /// Drawer, from 1.
        drawer: u32,
    },
    /// Totals of the open shift so far.
    XReport {
        /// Also print it.
        #[serde(default)]
        print: bool,
        /// Manager, where cashiers count blind.
        #[serde(default)]
        approval: Option<Approval>,
    },
    /// Puts money into the drawer, pays an expense from it, or drops money into the safe; prints a slip.
    MoveCash {
        /// Which way.
        movement: CashMovement,
        /// How much, above zero.
        #[ts(type = "number")]
        amount_minor: i64,
        /// Why, up to 80 characters.
        reason: String,
        /// Manager, for a pay-out above the store's limit.
        #[serde(default)]
        approval: Option<Approval>,
    },
    /// Counts the drawer without closing. Blind for cashiers where the store says so.
    CountDrawer {
        /// Drawer by denomination.
        count: Vec<Pieces>,
    },
    /// Passes the drawer in use to another member of staff, who signs with their PIN and is signed in then. The
    /// shift goes on; a cart in hand is parked.
    HandOver {
        /// Who takes it.
        to: UserId,
        /// Their PIN.
        pin: String,
        /// What both counted, if they did.
        #[serde(default)]
        count: Option<Vec<Pieces>>,
    },
    /// Counts the drawer and closes the shift: writes and prints the Z report. Never held up by parked carts, the
    /// network or a printer.
    CloseShift {
        /// Drawer by denomination.
        count: Vec<Pieces>,
        /// Manager, when the difference is above the store's limit.
        #[serde(default)]
        approval: Option<Approval>,
    },
    /// Opens the drawer without a sale; prints a slip.
    OpenDrawer {
        /// Why, up to 80 characters.
        reason: String,
    },
    /// Closes days, months and years that ended before today, where no shift will open soon. Needs a manager, and
    /// no open shift.
    ClosePeriods {
        /// Manager; not needed when one is signed in.
        #[serde(default)]
        approval: Option<Approval>,
    },
    /// Z reports and closings of days, months and years, newest first.
    ListReports {
        /// Most rows of each kind, at most 100.
        #[serde(default)]
        limit: Option<u32>,
    },
    /// A Z report (`Z12`) or the closing of a day (`D12`), month (`M3`) or year (`Y1`), with its picture.
    GetReport {
        /// Number.
        number: String,
    },
    /// Prints such a report again, marked as a copy and otherwise the same.
    ReprintReport {
        /// Number.
        number: String,
    },
    /// Debits and credits of every account: of a report by number, of the open shift (`X`), or of everything. Where
    /// cashiers count blind, the last two are for managers.
    TrialBalance {
        /// `Z12`, `D12`, `M3`, `Y1`, `X`; none for the whole journal.
        #[serde(default)]
        number: Option<String>,
    },

    /// The cart as it is.
    GetCart {},
    /// Adds what a barcode (GTIN of any length, or a SKU) names.
    ScanCode {
        /// As read by the scanner.
        code: String,
    },
    /// Finds variants by name, SKU or start of a barcode, in any of the three languages.
    Search {
        /// Words; empty lists everything.
        query: String,
        /// Rows to skip.
        #[serde(default)]
        offset: u32,
        /// Most rows wanted, at most 100.
        #[serde(default)]
        limit: Option<u32>,
    },
    /// Adds a variant found by search.
    AddLine {
        /// Variant.
        variant: VariantId,
        /// Quantity in thousandths; one unit when left out.
        #[serde(default)]
        quantity: Option<Quantity>,
    },
    /// Adds a strict variant that no right is left for, on a line of its own; needs a manager, and is an incident.
    SellWithoutRight {
        /// Variant.
        variant: VariantId,
        /// Quantity in thousandths; one unit when left out.
        #[serde(default)]
        quantity: Option<Quantity>,
        /// Manager; not needed when one is signed in.
        #[serde(default)]
        approval: Option<Approval>,
    },
    /// Changes the quantity of a line; at least 1 thousandth. Refused where it would push a discount that is a
    /// fixed amount above the store's limit.
    SetQuantity {
        /// Line number.
        line: u32,
        /// Quantity in thousandths.
        quantity: Quantity,
    },
    /// Charges another unit price; needs a manager.
    SetPrice {
        /// Line number.
        line: u32,
        /// Unit price, tax included.
        #[ts(type = "number")]
        unit_minor: i64,
        /// Manager; not needed when one is signed in.
        #[serde(default)]
        approval: Option<Approval>,
    },
    /// Discount on a line.
    DiscountLine {
        /// Line number.
        line: u32,
        /// Discount.
        discount: DiscountInput,
        /// Manager, when it is above the store's limit.
        #[serde(default)]
        approval: Option<Approval>,
    },
    /// Discount on the cart, spread over its lines.
    DiscountCart {
        /// Discount.
        discount: DiscountInput,
        /// Manager, when it is above the store's limit.
        #[serde(default)]
        approval: Option<Approval>,
    },
    /// Takes a line off the cart; leaves a trace.
    RemoveLine {
        /// Line number.
        line: u32,
    },
    /// Puts a line back that was taken off this cart.
    RestoreLine {
        /// Line number.
        line: u32,
    },
    /// Gives the cart up; leaves a trace.
    ClearCart {},
    /// Parks the cart.
    Park {
        /// Note to find it by.
        #[serde(default)]
        label: Option<String>,
    },
    /// Parked carts.
    ListParked {},
    /// Brings a parked cart back; the cart in hand, if it has lines, is parked.
    Recall {
        /// The parked cart.
        sale: SaleId,
    },

    /// Records a tender of a split payment.
    AddTender {
        /// Tender.
        tender: TenderInput,
    },
    /// Takes a recorded tender off again.
    RemoveTender {
        /// Position in the cart's tenders, from 0.
        index: u32,
    },
    /// Completes the sale with the recorded tenders and these.
    Complete {
        /// Cart this is meant for; another cart in hand is refused.
        sale: SaleId,
        /// Further tenders, often just one.
        #[serde(default)]
        tenders: Vec<TenderInput>,
        /// Manager, when the cash reaches the ceiling of the law; not needed when one is signed in.
        #[serde(default)]
        approval: Option<Approval>,
    },
    /// Undoes a completed sale of the open shift as a whole; needs a manager.
    ReverseSale {
        /// Receipt number.
        number: String,
        /// Why.
        reason: String,
        /// Manager; not needed when one is signed in.
        #[serde(default)]
        approval: Option<Approval>,
    },

    /// Recent receipts, newest first, or those whose number contains the query.
    ListReceipts {
        /// Part of a number; empty for the newest.
        #[serde(default)]
        query: String,
        /// Most rows wanted, at most 100.
        #[serde(default)]
        limit: Option<u32>,
    },
    /// A receipt by number, with its picture.
    GetReceipt {
        /// Receipt number.
        number: String,
    },
    /// Says whether the code of a receipt is genuine, and what was sold; of any till of the chain, offline.
    CheckCode {
        /// The digits that the scanner read.
        text: String,
    },
    /// Prints the last receipt again, marked as a copy.
    ReprintLast {},
    /// Prints a receipt again, marked as a copy.
    Reprint {
        /// Receipt number.
        number: String,
    },
    /// Print jobs that wait or are uncertain.
    ListPrintJobs {},
    /// Says what became of an uncertain print job.
    ResolvePrintJob {
        /// Job.
        job: JobId,
        /// True when the paper came out complete; false prints a copy, marked as such.
        came_out: bool,
    },

    /// Stock of a variant, here and elsewhere, with its age.
    StockOf {
        /// Variant.
        variant: VariantId,
    },
    /// The variant that a barcode (GTIN of any length, or a SKU) names; nothing is put on the cart.
    FindCode {
        /// As read by the scanner.
        code: String,
    },
    /// What the quantity of a variant here is made of: the server's figure, the count that it stands on, and this
    /// till's own events on top of it.
    StockLineage {
        /// Variant.
        variant: VariantId,
    },
    /// Goods came from a supplier.
    ReceiveGoods {
        /// Lines.
        lines: Vec<GoodsInput>,
        /// Zone; `main` when left out.
        #[serde(default)]
        zone: Option<String>,
        /// Number of the supplier's delivery note, up to 80 characters.
        #[serde(default)]
        reference: Option<String>,
        /// A count that found these goods on the shelf already.
        #[serde(default)]
        included_in: Option<CountAt>,
        /// Id of the document, to write it once only; made here when left out.
        #[serde(default)]
        document: Option<DocumentId>,
    },
    /// Puts stock right without a delivery or a count; needs a manager.
    AdjustStock {
        /// Why.
        reason: AdjustReason,
        /// Lines, below zero where goods are gone. Of `damaged`: below zero sets aside, above zero puts back.
        lines: Vec<GoodsInput>,
        /// Zone; `main` when left out.
        #[serde(default)]
        zone: Option<String>,
        /// In words, up to 80 characters; no names of people.
        #[serde(default)]
        note: Option<String>,
        /// Id of the document.
        #[serde(default)]
        document: Option<DocumentId>,
        /// Also takes out strict variants that no right is left for; a manager answers for it.
        #[serde(default)]
        without_right: bool,
        /// Manager; not needed when one is signed in.
        #[serde(default)]
        approval: Option<Approval>,
    },
    /// Sends goods to another location.
    SendTransfer {
        /// Location that is to receive.
        to: LocationId,
        /// Lines.
        lines: Vec<GoodsInput>,
        /// Zone that they leave; `main` when left out.
        #[serde(default)]
        zone: Option<String>,
        /// Id of the transfer.
        #[serde(default)]
        transfer: Option<TransferId>,
        /// Also sends strict variants that no right is left for; a manager answers for it.
        #[serde(default)]
        without_right: bool,
        /// Manager, only for `without_right`.
        #[serde(default)]
        approval: Option<Approval>,
    },
    /// Goods of a transfer arrived here. It may arrive in parts.
    ReceiveTransfer {
        /// Transfer, as its sender's paper says.
        transfer: TransferId,
        /// Location that sent.
        from: LocationId,
        /// What arrived.
        lines: Vec<GoodsInput>,
        /// Zone; `main` when left out.
        #[serde(default)]
        zone: Option<String>,
    },
    /// Goods of a transfer from or to here will not arrive; needs a manager.
    LoseTransfer {
        /// Transfer.
        transfer: TransferId,
        /// Location that sent.
        from: LocationId,
        /// Location that was to receive.
        to: LocationId,
        /// What was lost.
        lines: Vec<GoodsInput>,
        /// Manager; not needed when one is signed in.
        #[serde(default)]
        approval: Option<Approval>,
    },
    /// Transfers that this till sent and that have not wholly arrived or been lost, oldest first, and the locations of
    /// the chain.
    ListTransfers {},
    /// Carries goods from one zone of this location to another.
    MoveZone {
        /// Zone that they leave.
        from_zone: String,
        /// Zone that they come to.
        to_zone: String,
        /// Lines.
        lines: Vec<GoodsInput>,
        /// Id of the document.
        #[serde(default)]
        document: Option<DocumentId>,
    },
    /// Begins a count on this device. Selling goes on.
    StartStockCount {
        /// Zone; `main` when left out, `*` for the whole location.
        #[serde(default)]
        zone: Option<String>,
        /// A count that was begun on another device, to be a part of it.
        #[serde(default)]
        document: Option<DocumentId>,
    },
    /// The count on this device.
    GetStockCount {},
    /// Adds one unit of what a barcode names to the count.
    ScanCounted {
        /// As read by the scanner.
        code: String,
    },
    /// Adds to what was counted of a variant, or takes off again.
    AddCounted {
        /// Variant.
        variant: VariantId,
        /// How much more was found; zero counts that none is there.
        quantity: Quantity,
    },
    /// Takes a variant out of the count as if it had not been looked at.
    RemoveCounted {
        /// Variant.
        variant: VariantId,
    },
    /// Writes the count: from now on the stock of every variant in it is what was found. Needs a manager.
    FinishStockCount {
        /// Manager; not needed when one is signed in.
        #[serde(default)]
        approval: Option<Approval>,
    },
    /// Gives the count on this device up.
    DropStockCount {},
    /// Asks the sync driver to try now.
    SyncNow {},
    /// Copies the ledger now. Answers `Pending`; the outcome shows in `Status`.
    BackupNow {},
    /// Recomputes everything in the ledger from its stored bytes. Answers `Pending`; the outcome shows in `Status`.
    VerifyLedger {},

    /// Writes the fiscal archive of the trading days `from` to `until`, both included, into `archives` of the data
    /// folder. For managers. Answers `Pending`; the file shows in `Status`.
    ExportArchive {
        /// First day; the first of all when left out.
        #[serde(default)]
        from: Option<BusinessDate>,
        /// Last day; the last of all when left out.
        #[serde(default)]
        until: Option<BusinessDate>,
        /// Manager, when a cashier is signed in.
        #[serde(default)]
        approval: Option<Approval>,
    },

    /// What was settled by itself in this store and a person should look at, as far as head office has told.
    ListIncidents {},
    /// Ledger files of before that are kept in the data folder, newest first.
    ListStreams {},
    /// Takes over what the file of an earlier stream holds and this till does not know: events, and the receipts in
    /// them. The file is only read; doing it again finds nothing. For managers.
    RecoverStream {
        /// Name of a file in `ListStreams`, or the path of one that was found elsewhere.
        file: String,
        /// Manager, when a cashier is signed in.
        #[serde(default)]
        approval: Option<Approval>,
    },

    /// What the outside answered to a pending job; refused from outside the program.
    JobFinished {
        /// Job of a `Pending` reply.
        job: JobId,
        /// Result.
        result: JobResult,
    },
}

/// What became of a job that needed the outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum JobResult {
    /// The device is a till; `enrolled` is the server's answer as JSON text.
    Enrolled {
        /// `sync_protocol::Enrolled` as JSON.
        enrolled: String,
    },
    /// The owner has yet to confirm.
    EnrolPending {
        /// Six digits shown on both sides.
        fingerprint: String,
    },
    /// The ledger was copied.
    BackedUp {},
    /// The ledger was recomputed.
    Verified {
        /// Whether everything fits.
        ok: bool,
        /// The first thing that does not: table, row and what is wrong.
        what: Option<String>,
    },
    /// The fiscal archive was written.
    Archived {
        /// Its name in the folder of archives.
        file: String,
    },
    /// It failed.
    Failed {
        /// Code of the refusal to show.
        code: String,
    },
}

/// What a till answers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type")]
pub enum Reply {
    /// Done, nothing to show.
    Done {},
    /// Under way outside; look at `Status`.
    Pending {
        /// Job.
        job: JobId,
    },
    /// State of the till.
    Status(Box<Status>),
    /// Settings.
    Settings(Settings),
    /// Staff.
    Users {
        /// Everybody active, by name.
        users: Vec<UserView>,
    },
    /// The cart after the change.
    Cart(Box<CartView>),
    /// Search results.
    Variants {
        /// Rows.
        rows: Vec<VariantView>,
        /// More rows follow.
        more: bool,
    },
    /// Parked carts, newest first.
    Parked {
        /// Rows.
        carts: Vec<ParkedView>,
    },
    /// The sale is in the ledger.
    Completed(Box<CompletedView>),
    /// Receipts, newest first.
    Receipts {
        /// Rows.
        receipts: Vec<ReceiptRow>,
    },
    /// A receipt.
    Receipt(Box<ReceiptView>),
    /// What a receipt's code is worth.
    CodeChecked(Box<CodeView>),
    /// Print jobs.
    PrintJobs {
        /// Rows, oldest first.
        jobs: Vec<PrintJobView>,
    },
    /// X or Z report.
    Report(Box<ReportView>),
    /// A slip for money that moved, or a drawer that was opened, without a sale.
    Slip(Box<SlipView>),
    /// A drawer was counted.
    Counted(Box<CountView>),
    /// Reports.
    Reports {
        /// Rows, newest first.
        reports: Vec<ReportRow>,
    },
    /// Closing of a day, month or year.
    Period(Box<PeriodView>),
    /// Trial balance.
    Balance(Box<BalanceView>),
    /// Stock.
    Stock(Box<StockView>),
    /// What a person should look at.
    Incidents {
        /// Open ones, the latest first; at most 20.
        incidents: Vec<IncidentView>,
    },
    /// A document of the stockroom was written.
    Goods(Box<GoodsView>),
    /// Transfers.
    Transfers {
        /// Rows, oldest first.
        transfers: Vec<TransferView>,
        /// Locations that goods may be sent to or come from, and this store's.
        places: Vec<PlaceView>,
    },
    /// A count.
    StockCount(Box<StockCountView>),
    /// What a quantity is made of.
    Lineage(Box<LineageView>),
    /// Ledger files of before.
    Streams {
        /// Rows, newest first.
        streams: Vec<StreamView>,
    },
    /// What was taken over.
    Recovered(RecoveredView),
}
