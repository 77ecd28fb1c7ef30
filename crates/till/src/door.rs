//! The door: all that a till can be asked, all that it can answer, and why it may refuse.
//!
//! Amounts are integer minor units of the store's currency, quantities integer thousandths.
//! The user interface computes nothing: it shows what stands in a [`Reply`].

use std::collections::BTreeMap;

use domain::catalog::{Language, Names, StockClass};
use domain::config::Role;
use domain::event::{CashMovement, PeriodKind, TenderKind};
use domain::ids::{JobId, LocationId, RequestId, SaleId, UserId, VariantId};
use domain::money::Currency;
use domain::quantity::Quantity;
use domain::time::BusinessDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

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

/// Pieces counted of one denomination.
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
    /// Ledger files of before.
    Streams {
        /// Rows, newest first.
        streams: Vec<StreamView>,
    },
    /// What was taken over.
    Recovered(RecoveredView),
}

/// State of the till.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Status {
    /// Where enrolment stands.
    pub enrolment: Enrolment,
    /// Version of the program.
    pub app: String,
    /// Store, once enrolled and configured.
    pub store: Option<StoreView>,
    /// Till number, once enrolled.
    pub till: Option<String>,
    /// Configuration, catalogue and prices have arrived: the till can sell.
    pub ready: bool,
    /// Variants known.
    pub variants: u32,
    /// Who is signed in.
    pub user: Option<UserView>,
    /// The open shift of the drawer in use.
    pub shift: Option<ShiftView>,
    /// Drawer in use, from 1.
    pub drawer: u32,
    /// Open shifts of every drawer, in the order of the drawers.
    pub shifts: Vec<ShiftView>,
    /// Sync.
    pub sync: SyncView,
    /// Printer.
    pub printer: PrinterView,
    /// Files and disk.
    pub storage: StorageView,
    /// What became of the ledger that a manager has to know.
    pub notice: Option<NoticeView>,
    /// Parked carts.
    pub parked: u32,
    /// Language of the screens.
    pub language: Language,
}

/// What became of the ledger. Selling goes on in a new series; a manager takes note with `AcknowledgeNotice`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct NoticeView {
    /// Why the stream ended.
    pub reason: NoticeReason,
    /// Local time of the new beginning.
    pub at: String,
    /// Series that ended, as receipts print it.
    pub ended: Option<String>,
    /// Series that goes on.
    pub series: Option<String>,
    /// Files of earlier streams that are kept.
    pub streams: u32,
    /// Events that could not be taken over.
    #[ts(type = "number")]
    pub lost: u64,
}

/// A ledger file of before that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct StreamView {
    /// Its name, for `RecoverStream`.
    pub file: String,
    /// Series of its receipts; none where it cannot be read.
    pub series: Option<String>,
    /// Local time of its last event; none where it cannot be read.
    pub until: Option<String>,
    /// Events in it.
    #[ts(type = "number")]
    pub events: u64,
}

/// What became of the events in a file that was taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct RecoveredView {
    /// Series of the file's receipts.
    pub series: String,
    /// Events taken over.
    #[ts(type = "number")]
    pub events: u64,
    /// Receipts among them.
    #[ts(type = "number")]
    pub receipts: u64,
    /// Events that were known already.
    #[ts(type = "number")]
    pub known: u64,
    /// Events that cannot be read or proven, or contradict what is here.
    #[ts(type = "number")]
    pub refused: u64,
    /// Supplements that were written to closings.
    #[ts(type = "number")]
    pub supplements: u64,
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum NoticeReason {
    /// A copy of the ledger was put in its place, or the server knew more of it.
    Restored,
    /// The folder was copied to another place or machine.
    Cloned,
    /// The ledger is an older state of itself.
    RolledBack,
    /// The ledger was damaged.
    Damaged,
    /// What vouched for the ledger is gone.
    WitnessMissing,
    /// The ledger itself is gone: the device has to be enrolled anew.
    LedgerMissing,
}

/// Where enrolment stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Enrolment {
    /// Not a till yet.
    None,
    /// Asked, no answer yet.
    Asking,
    /// The owner has to confirm this fingerprint.
    Pending {
        /// Six digits.
        fingerprint: String,
    },
    /// The last try failed.
    Failed {
        /// Code of the refusal to show.
        code: String,
    },
    /// A till.
    Enrolled,
}

/// A store on screens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct StoreView {
    /// Code.
    pub store: String,
    /// Chain.
    pub chain: String,
    /// Name.
    pub name: Names,
    /// Country, ISO 3166.
    pub country: String,
    /// Currency.
    pub currency: CurrencyView,
    /// Drawers of a till.
    pub drawers: u32,
    /// Cashiers count without being told what should be there.
    pub blind_count: bool,
}

/// A currency on screens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct CurrencyView {
    /// ISO code.
    pub code: Currency,
    /// Decimals.
    pub exponent: u32,
    /// Symbol in Latin script.
    pub symbol_latin: String,
    /// Symbol in Arabic script.
    pub symbol_arabic: String,
    /// Denominations, ascending, minor units.
    #[ts(type = "number[]")]
    pub denominations_minor: Vec<i64>,
}

/// A member of staff on screens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct UserView {
    /// Id.
    pub user: UserId,
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// A manager must unblock first.
    pub blocked: bool,
}

/// The open shift on screens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ShiftView {
    /// Drawer, from 1.
    pub drawer: u32,
    /// Who answers for the drawer.
    pub holder: UserId,
    /// Their name.
    pub holder_name: String,
    /// Trading day.
    pub business_date: String,
    /// Opened at, local time.
    pub opened_at: String,
    /// Opened by.
    pub opened_by: String,
    /// Receipts so far.
    #[ts(type = "number")]
    pub receipts: u64,
}

/// How synchronisation stands. Offline is normal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct SyncView {
    /// State.
    pub state: SyncState,
    /// Events that the server has not acknowledged.
    #[ts(type = "number")]
    pub unsynced: u64,
    /// Age of the oldest of them, in milliseconds.
    #[ts(type = "number | null")]
    pub oldest_age_ms: Option<i64>,
    /// Milliseconds since the server last answered, none for never.
    #[ts(type = "number | null")]
    pub last_contact_age_ms: Option<i64>,
    /// Code of the problem, for state `problem`.
    pub problem: Option<String>,
}

/// One word for synchronisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum SyncState {
    /// Never spoken to a server in this run.
    Starting,
    /// The last try worked.
    Online,
    /// The last try did not reach the server.
    Offline,
    /// The server answered, but something needs a person.
    Problem,
}

/// How printing stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct PrinterView {
    /// Target.
    pub target: PrinterTarget,
    /// Jobs that wait.
    pub queued: u32,
    /// Jobs that a person must look at.
    pub uncertain: u32,
    /// Why the first waiting job does not go out, if it was tried.
    pub problem: Option<String>,
}

/// How the till's files are kept, and how its disk is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct StorageView {
    /// The files are encrypted.
    pub encrypted: bool,
    /// Who keeps their key.
    pub key_storage: KeyStorage,
    /// When the newest copy was made, local time; none without one.
    pub last_backup_at: Option<String>,
    /// Copies that are kept.
    pub backups: u32,
    /// Room left on the disk, in megabytes; none where it cannot be told.
    pub disk_free_mb: Option<u32>,
    /// Little room is left: make some today.
    pub low_disk: bool,
    /// No new sale begins until there is room; the day can be closed.
    pub full: bool,
    /// The last write failed because the folder is read-only, failing or gone. Nothing that was sold is lost.
    pub read_only: bool,
    /// A copy, a check or an archive was asked for and is not done.
    pub working: bool,
    /// The last check that was asked for.
    pub last_check: Option<CheckView>,
    /// The last fiscal archive that was asked for: its name in `archives` of the data folder.
    pub last_archive: Option<String>,
    /// Code of the refusal to show when the last copy, check or archive failed.
    pub problem: Option<String>,
}

/// Who keeps the key of the till's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum KeyStorage {
    /// Nobody: the files are not encrypted.
    #[default]
    None,
    /// A file beside them that only its owner can read: a software key.
    Software,
    /// The keystore of the operating system.
    Os,
}

/// Outcome of a check of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct CheckView {
    /// When, local time.
    pub at: String,
    /// Whether everything fits.
    pub ok: bool,
    /// The first thing that does not.
    pub what: Option<String>,
}

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
    /// Stock class here.
    pub class: StockClass,
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

/// Why a command was not carried out. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Refusal {
    /// Stable code; its text stands in the catalogues as `refusal.{code}`.
    pub code: RefusalCode,
    /// Values for the text: amounts as `{name}_minor` integers, everything else as text.
    #[ts(type = "Record<string, string | number>")]
    pub params: BTreeMap<String, serde_json::Value>,
}

/// All reasons to refuse.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS,
)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The command cannot be read (params: `detail`).
    InvalidCommand,
    /// The request id was used for another command.
    RequestIdReused,
    /// Only the program itself may send this.
    InternalCommand,
    /// The device is not enrolled.
    NotEnrolled,
    /// The device is enrolled already.
    AlreadyEnrolled,
    /// Configuration, catalogue or prices have not arrived.
    NotReady,
    /// The server address is no address, or plain http to another machine.
    BadServerAddress,
    /// The enrolment code is wrong, used or expired.
    EnrolCodeInvalid,
    /// The server did not answer.
    ServerUnreachable,
    /// The server answered something else than our protocol.
    ServerNonsense,
    /// Nobody is signed in.
    SignInRequired,
    /// No such member of staff, or inactive.
    UserUnknown,
    /// Wrong PIN (params: `left` tries before a wait, `wait_ms` until the next try).
    WrongPin,
    /// Wait (params: `wait_ms`).
    PinWait,
    /// Blocked until a manager unblocks.
    PinBlocked,
    /// The new PIN is too short, not digits, or too common.
    PinWeak,
    /// A manager must approve.
    ManagerRequired,
    /// No shift is open.
    ShiftRequired,
    /// A shift is open already.
    ShiftOpen,
    /// The trading day would go back or jump (params: `last`, `today`).
    DateApprovalRequired,
    /// A count has an unknown denomination or a negative number of pieces (params: `denomination_minor`).
    CountInvalid,
    /// The difference needs a manager (params: `difference_minor`, `limit_minor`).
    DifferenceApprovalRequired,
    /// A blind count is further off than the limit: count again, or have a manager sign (params: `limit_minor`).
    /// The one refusal that leaves a fact: that this was counted.
    BlindCountDiffers,
    /// The amount is zero, negative or too large.
    AmountInvalid,
    /// The drawer does not hold that much (params: `expected_minor` unless the store counts blind).
    DrawerShort,
    /// The till has no such drawer (params: `drawer`).
    UnknownDrawer,
    /// The drawer is in the hands of that person already.
    HandOverToSelf,
    /// No such report (params: `number`).
    UnknownReport,
    /// No period has ended that is not closed.
    NothingToClose,
    /// No variant has this code (params: `code`).
    UnknownCode,
    /// It is the code of a receipt and not of an article: ask `CheckCode`.
    ReceiptCode,
    /// The code of a receipt was read in part or is damaged.
    CodeDamaged,
    /// The code of a receipt was made by a later version.
    CodeTooNew,
    /// No such variant.
    UnknownVariant,
    /// The variant has no price today (params: `sku`).
    NoPrice,
    /// The variant's tax category has no rate today (params: `tax`).
    NoTaxRate,
    /// No such line.
    UnknownLine,
    /// The quantity is zero, negative or too large.
    QuantityInvalid,
    /// The price is negative or too large.
    PriceInvalid,
    /// The discount is negative, above 100 percent or above the price.
    DiscountInvalid,
    /// The discount needs a manager (params: `limit_bp`).
    DiscountApprovalRequired,
    /// An amount would overflow.
    AmountOverflow,
    /// The cart has too many lines (params: `max`).
    TooManyLines,
    /// The cart has no lines.
    EmptyCart,
    /// The cart in hand is another one.
    OtherCart,
    /// Tenders are recorded that the change would leave above what is due: take them off first.
    TendersRecorded,
    /// No such parked cart.
    UnknownParked,
    /// The tender's amount is not positive.
    TenderInvalid,
    /// The tender is above what is due and is not cash (params: `due_minor`).
    TenderAboveDue,
    /// Card and other tenders need a reference.
    ReferenceRequired,
    /// No such tender.
    UnknownTender,
    /// Less than due (params: `due_minor`, `tendered_minor`).
    Underpaid,
    /// The cash of the sale reaches the ceiling of the law: a manager must approve (params: `limit_minor`,
    /// `cash_minor`).
    CashCeilingApprovalRequired,
    /// No right is left for a strict variant (params: `sku`).
    NoRight,
    /// No such receipt.
    UnknownReceipt,
    /// There is no receipt yet.
    NoReceipt,
    /// The receipt was undone already, or is itself an undoing.
    AlreadyReversed,
    /// The receipt belongs to a closed shift.
    ShiftOfReceiptClosed,
    /// No such file (params: `file`).
    UnknownFile,
    /// The file cannot be opened where it lies: copy it to this machine first.
    FileUnreadable,
    /// The file is no ledger.
    FileNotALedger,
    /// The file was written by a later version of the program.
    FileTooNew,
    /// The file is encrypted with another key.
    FileLocked,
    /// The file is damaged so far that nobody can tell whose it is.
    FileDamaged,
    /// The file is the ledger in use, or a copy of it.
    FileCurrent,
    /// The file is of another chain.
    FileOfOtherChain,
    /// The file is another till's.
    FileOfOtherTill,
    /// The file was written by another device, or with another key.
    FileOfOtherDevice,
    /// This till does not go on from the file, or the file went another way: its device hands it in itself.
    FileUnrelated,
    /// No such print job, or it is not uncertain.
    UnknownPrintJob,
    /// No such printer profile (params: `profile`).
    UnknownProfile,
    /// The printer address is no `host:port`.
    BadPrinterAddress,
    /// A text is too long or has control characters (params: `field`).
    TextInvalid,
    /// Warning: the server says that stock is used up here (params: `sku`).
    StockBelowZero,
    /// The disk is nearly full: no new sale begins, what was begun can be finished and the day closed.
    DiskFull,
    /// Warning: paid in cash, the sale would be above what the law lets a buyer deduct (params: `limit_minor`,
    /// `cash_minor`).
    CashAboveCeiling,
    /// The data folder cannot be written: full, read-only or gone. The sale was not taken.
    StorageFailed,
    /// Something broke inside; the log has the details (params: `log`).
    Internal,
}

impl Refusal {
    /// A refusal without parameters.
    pub fn new(code: RefusalCode) -> Refusal {
        Refusal {
            code,
            params: BTreeMap::new(),
        }
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Refusal {
        self.params.insert(name.to_owned(), value.into());
        self
    }
}

impl From<RefusalCode> for Refusal {
    fn from(code: RefusalCode) -> Refusal {
        Refusal::new(code)
    }
}
