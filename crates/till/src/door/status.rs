//! How the till stands: enrolment, store, people, sync, printer, files.

use domain::catalog::{Language, Names};
use domain::config::Role;
use domain::event::IncidentKind;
use domain::ids::UserId;
use domain::money::Currency;
use domain::quantity::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::PrinterTarget;

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

/// Something that was settled by itself and a person should look at. Head office has the whole story, and closes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct IncidentView {
    /// What.
    pub kind: IncidentKind,
    /// SKU that it is about.
    pub sku: Option<String>,
    /// How much, thousandths.
    pub quantity: Option<Quantity>,
    /// Till that it is about.
    pub till: Option<String>,
    /// Receipt or slip that it ended with.
    pub number: Option<String>,
    /// Local time at which it was raised.
    pub at: String,
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
