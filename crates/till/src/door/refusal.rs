//! Why a command was refused.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

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
    /// An article of the kit is not in this till's catalogue yet (params: `sku`).
    KitIncomplete,
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
    /// No right is left for so much of a strict variant; a manager may let it pass with `SellWithoutRight` (params:
    /// `sku`, `variant`, and `right`, the thousandths that this till may sell).
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
    /// No such location in the chain (params: `location`).
    UnknownLocation,
    /// A zone has no such name: letters, digits, `-` and `_`, at most 16 (params: `zone`).
    ZoneInvalid,
    /// From a place to itself, or a transfer that has nothing to do with this location.
    SamePlace,
    /// The document has no lines.
    NoLines,
    /// No stock is kept of the variant (params: `sku`).
    Untracked,
    /// The document was written already.
    DocumentKnown,
    /// Less of the variant is on its way (params: `sku`, `open` in thousandths).
    TransferShort,
    /// A count is in progress on this device: finish it or give it up.
    CountOpen,
    /// No count is in progress on this device.
    NoCount,
    /// There is no such count.
    UnknownCount,
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
