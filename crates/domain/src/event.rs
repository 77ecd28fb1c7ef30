//! Facts: what happened, in the past tense, as it is stored, hashed, signed and sent.
//!
//! An event is an envelope (where and when it was written) around a body (what happened). Its bytes are
//! fixed when it is written: they are hashed as stored, sent as stored and never re-serialised.
//! No body holds personal data: staff and customers are opaque references.

mod goods;

pub use goods::*;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::catalog::StockClass;
use crate::config::{KeyAlgorithm, Rate, TaxRounding};
use crate::ids::{
    DeviceId, Digest, EventId, LocationId, PriceListId, SaleId, ShiftId, StoreId, StreamId,
    TaxCategory, TenantId, TillId, UserId, VariantId,
};
use crate::json::{NotStrict, from_strict, from_strict_signed};
use crate::money::Currency;
use crate::quantity::Quantity;
use crate::time::{Boot, BusinessDate, Hlc};

/// An event as stored and sent. Field order is the order of the stored text.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Stream it belongs to.
    pub stream: StreamId,
    /// 1, 2, 3... without gaps in the stream.
    pub seq: u64,
    /// Unique in the tenant.
    pub id: EventId,
    /// Hybrid clock reading.
    pub hlc: Hlc,
    /// Wall clock, milliseconds since 1970. Recorded, not trusted.
    pub wall: i64,
    /// Boot of the machine and milliseconds since.
    pub boot: Boot,
    /// Kind of the body, see [`Fact`].
    pub kind: String,
    /// Schema version of the body.
    pub schema: u32,
    /// The body, kept as the text it was written in.
    pub body: Box<RawValue>,
}

/// Why bytes are no event, or a body is no known fact.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The text is not strict JSON of the envelope or body.
    #[error(transparent)]
    NotStrict(#[from] NotStrict),
    /// This version does not know the kind or its schema; the event still chains, syncs and is kept.
    #[error("unknown fact {kind} schema {schema}")]
    Unknown {
        /// Kind found.
        kind: String,
        /// Schema found.
        schema: u32,
    },
}

impl Event {
    /// The bytes to store, hash and send.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an event holds only strings, integers and valid JSON")
    }

    /// Reads stored or received bytes.
    ///
    /// # Errors
    /// [`EventError::NotStrict`].
    pub fn decode(bytes: &[u8]) -> Result<Event, EventError> {
        Ok(from_strict(bytes)?)
    }

    /// The fact in the body.
    ///
    /// # Errors
    /// [`EventError::Unknown`] for kinds and schemas of a later version, [`EventError::NotStrict`] for a broken body.
    pub fn fact(&self) -> Result<Fact, EventError> {
        Fact::decode(&self.kind, self.schema, self.body.get())
    }
}

/// Hash before the first event of `stream`.
pub fn genesis_hash(stream: StreamId) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(b"hanout-stream-1\0");
    hasher.update(stream.0);
    Digest(hasher.finalize().into())
}

/// Hash after an event with `bytes`, given the hash before it.
pub fn chain_hash(previous: Digest, bytes: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(b"hanout-event-1\0");
    hasher.update(previous.0);
    hasher.update(bytes);
    Digest(hasher.finalize().into())
}

/// The message a device key signs to vouch for a stream up to `seq`.
pub fn head_message(tenant: &TenantId, stream: StreamId, seq: u64, hash: Digest) -> Vec<u8> {
    let mut message = b"hanout-head-1\0".to_vec();
    message.extend_from_slice(tenant.as_str().as_bytes());
    message.push(0);
    message.extend_from_slice(&stream.0);
    message.extend_from_slice(&seq.to_be_bytes());
    message.extend_from_slice(&hash.0);
    message
}

macro_rules! facts {
    ($($(#[$doc:meta])* $name:ident($body:ty) = $schema:literal,)+) => {
        /// Everything that can have happened.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Fact {
            $($(#[$doc])* $name($body),)+
        }

        impl Fact {
            /// Names of all kinds, in the order of their declaration.
            pub const KINDS: &'static [&'static str] = &[$(stringify!($name)),+];

            /// Kind as written in the envelope.
            pub const fn kind(&self) -> &'static str {
                match self { $(Fact::$name(_) => stringify!($name),)+ }
            }

            /// Schema version as written in the envelope.
            pub const fn schema(&self) -> u32 {
                match self { $(Fact::$name(_) => $schema,)+ }
            }

            /// The body as JSON text.
            pub fn encode(&self) -> Box<RawValue> {
                let text = match self { $(Fact::$name(body) => serde_json::value::to_raw_value(body),)+ };
                text.expect("a body holds only strings, integers and maps with string keys")
            }

            fn decode(kind: &str, schema: u32, body: &str) -> Result<Fact, EventError> {
                match (kind, schema) {
                    $((stringify!($name), $schema) => Ok(Fact::$name(from_strict_signed(body.as_bytes())?)),)+
                    _ => Err(EventError::Unknown { kind: kind.to_owned(), schema }),
                }
            }
        }
    };
}

facts! {
    /// First event of every stream.
    StreamOpened(StreamOpened) = 1,
    /// A drawer was counted and trading began.
    ShiftOpened(ShiftOpened) = 1,
    /// A sale, a return or an exchange was paid.
    SaleCompleted(SaleBody) = 1,
    /// A completed sale was undone as a whole by a compensating entry.
    Reversed(Reversed) = 1,
    /// A cart was given up.
    CartVoided(CartVoided) = 1,
    /// A line was taken off a cart.
    LineVoided(LineVoided) = 1,
    /// The drawer was opened.
    DrawerOpened(DrawerOpened) = 1,
    /// Money was put into a drawer or taken out of it without a sale.
    CashMoved(CashMoved) = 1,
    /// A drawer passed from one member of staff to another without being closed.
    DrawerHandedOver(DrawerHandedOver) = 1,
    /// A drawer was counted and stays open: a spot check, or a count that did not close the shift.
    ShiftCounted(ShiftCounted) = 1,
    /// A shift was counted and closed; its Z report is fixed.
    ShiftClosed(ShiftClosed) = 1,
    /// A day, month or year of this till was closed.
    PeriodClosed(PeriodClosed) = 1,
    /// Events that were found after a closing that should have held them were added to it.
    ClosingSupplemented(ClosingSupplemented) = 1,
    /// An event of a stream that broke off was taken over as it was written.
    Adopted(Adopted) = 1,
    /// A document was printed again and marked as a copy.
    Reprinted(Reprinted) = 1,
    /// A manager gave a member of staff a new PIN on this device.
    PinReset(PinReset) = 1,
    /// Sign-in was blocked after wrong PINs, or unblocked by a manager.
    SignInBlocked(SignInBlocked) = 1,
    /// The wall clock moved against the clock since boot.
    ClockJumped(ClockJumped) = 1,
    /// Stock was counted: an anchor, not a delta.
    StockCounted(StockCounted) = 1,
    /// A device learned of counts that others made.
    CountLearned(CountLearned) = 1,
    /// Goods came from a supplier.
    GoodsReceived(GoodsReceived) = 1,
    /// Stock was put right, with a reason.
    StockAdjusted(StockAdjusted) = 1,
    /// Goods left a location for another.
    TransferSent(TransferSent) = 1,
    /// Goods arrived from another location.
    TransferReceived(TransferReceived) = 1,
    /// Goods between two locations were lost.
    TransferLost(TransferLost) = 1,
    /// Goods went from one zone of a location to another.
    ZoneMoved(ZoneMoved) = 1,
    /// What was promised online was handed over.
    OrderPicked(OrderPicked) = 1,
    /// The hub gave a till the right to sell units of strict variants.
    RightsGranted(RightsMoved) = 1,
    /// A till gave rights back to the hub.
    RightsReturned(RightsMoved) = 1,
    /// A till passed rights on to another till.
    RightsPassed(RightsMoved) = 1,
    /// A stream ended: nobody waits for it any more.
    StreamSealed(StreamSealed) = 1,
    /// Something was settled that a person should look at.
    IncidentRaised(IncidentRaised) = 1,
    /// A person looked at it.
    IncidentResolved(IncidentResolved) = 1,
}

/// Why a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamReason {
    /// The device was enrolled.
    Enrolled,
    /// The tenant was created: the hub's own stream.
    TenantCreated,
    /// The file was found restored from a backup or rolled back.
    Restored,
    /// The file was found copied to another machine or path.
    Cloned,
    /// The file is of this device and place, but ends before what the device wrote last.
    RolledBack,
    /// The file could not be read to its end.
    Damaged,
    /// Nothing outside the file vouches for it.
    WitnessMissing,
}

/// Body of [`Fact::StreamOpened`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamOpened {
    /// Why.
    pub reason: StreamReason,
    /// Tenant.
    pub tenant: TenantId,
    /// Store; none for the hub's stream.
    pub store: Option<StoreId>,
    /// Till number; none for the hub's stream.
    pub till: Option<TillId>,
    /// Device that writes the stream.
    pub device: DeviceId,
    /// Algorithm of the device key.
    pub key_algorithm: KeyAlgorithm,
    /// Public key, hexadecimal.
    pub public_key: String,
    /// The stream that this one follows, and the last head known of it.
    pub previous: Option<StreamHead>,
    /// Highest Z number before this stream.
    pub z_number: u64,
    /// Perpetual total before this stream, in minor units of the store's currency; never resets.
    pub perpetual_minor: i64,
    /// Last number of each closing before this stream.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub periods: BTreeMap<PeriodKind, u64>,
    /// Last receipt number per fiscal year in the series before this one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<i32, u64>,
    /// What the witness outside the file held, when it held another head than `previous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<StreamHead>,
}

/// A position in a stream and the hash there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamHead {
    /// Stream.
    pub stream: StreamId,
    /// Last sequence number covered.
    pub seq: u64,
    /// Chain hash after it.
    pub hash: Digest,
}

/// How often each denomination was counted: minor units to pieces.
pub type CashCount = BTreeMap<i64, i64>;

/// Body of [`Fact::ShiftOpened`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShiftOpened {
    /// Shift.
    pub shift: ShiftId,
    /// Drawer; `1` unless the till has several.
    pub drawer: u32,
    /// Trading day.
    pub business_date: BusinessDate,
    /// Who opened.
    pub user: UserId,
    /// Currency of the drawer.
    pub currency: Currency,
    /// Pieces by denomination.
    pub count: CashCount,
    /// Sum of the count.
    pub float_minor: i64,
    /// Manager who approved an unusual date, if one was needed.
    pub approved_by: Option<UserId>,
    /// Key that signs the receipts of the shift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift_key: Option<ShiftKey>,
}

/// A key that lives for one shift, vouched for by the device key, which may sit in a slow keystore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShiftKey {
    /// Ed25519 public key, hexadecimal.
    pub public_key: String,
    /// The device key's signature over [`shift_key_message`], hexadecimal. None where the device's algorithm gives
    /// another signature every time: those never enter a body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// The message with which a device key vouches for the key of a shift.
pub fn shift_key_message(
    tenant: &TenantId,
    stream: StreamId,
    shift: ShiftId,
    public_key: &[u8; 32],
) -> Vec<u8> {
    let mut message = b"hanout-shift-key-1\0".to_vec();
    message.extend_from_slice(tenant.as_str().as_bytes());
    message.push(0);
    message.extend_from_slice(&stream.0);
    message.extend_from_slice(shift.0.as_bytes());
    message.extend_from_slice(public_key);
    message
}

/// How something was paid.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    ts_rs::TS,
)]
#[serde(rename_all = "snake_case")]
pub enum TenderKind {
    /// Notes and coins.
    Cash,
    /// A card on a separate terminal, recorded by hand with its reference.
    Card,
    /// Anything else, with a reference (cheque, voucher).
    Other,
}

/// One tender of a sale. For cash, `amount_minor` is what the shopper handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tender {
    /// How.
    pub kind: TenderKind,
    /// Amount, negative when paid out.
    pub amount_minor: i64,
    /// Terminal slip, cheque number; no card number and no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// One line of a sale. Positive quantities leave the store, negative ones come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleLine {
    /// Number of the line on the cart, from 1; gaps are voided lines.
    pub line: u32,
    /// Variant.
    pub variant: VariantId,
    /// SKU at the time of sale.
    pub sku: String,
    /// Name at the time of sale, in French.
    pub label: String,
    /// Quantity.
    pub quantity: Quantity,
    /// Unit price of the price list, tax included.
    pub list_minor: i64,
    /// Unit price charged, tax included.
    pub unit_minor: i64,
    /// Discount on this line, a magnitude with the sign of the quantity.
    pub discount_minor: i64,
    /// Share of the discount on the whole cart, likewise.
    pub cart_discount_minor: i64,
    /// What the line comes to, tax included, after discounts.
    pub total_minor: i64,
    /// Tax category.
    pub tax: TaxCategory,
    /// Rate applied.
    pub rate: Rate,
    /// Net of tax. With rounding per receipt this is a share, and the sums per rate are what counts.
    pub net_minor: i64,
    /// Tax in the total.
    pub tax_minor: i64,
    /// Stock class that held at the location.
    pub class: StockClass,
    /// What the line is made of, for a kit: these leave the shelf instead of the variant itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<GoodsLine>,
}

/// Net and tax of one rate over a whole receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxTotal {
    /// Rate.
    pub rate: Rate,
    /// Net.
    pub net_minor: i64,
    /// Tax.
    pub tax_minor: i64,
}

/// Stamp duty on receipts paid in cash, at one rate. Refunds do not lower it: a receipt was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CashStamp {
    /// Hundredths of a percent.
    pub rate_bp: u32,
    /// Receipts of sales that kept cash.
    pub count: u64,
    /// Cash that they kept, tax included.
    pub base_minor: i64,
    /// Rate times base, rounded once, half up.
    pub duty_minor: i64,
}

impl CashStamp {
    /// The rate in percent as text: `0.25`.
    pub fn percent(&self) -> String {
        let percent = rust_decimal::Decimal::new(i64::from(self.rate_bp), 2);
        percent.normalize().to_string()
    }
}

/// A levy charged on the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevyCharged {
    /// Code of the levy.
    pub code: String,
    /// Amount.
    pub minor: i64,
}

/// What a manager allowed during a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverrideKind {
    /// Another unit price than the list's.
    Price,
    /// A discount above the limit.
    Discount,
    /// Undoing a sale.
    Reversal,
    /// More cash in one sale than the law lets pass unasked.
    CashCeiling,
    /// A strict variant without a right to it.
    NoRight,
}

/// A manager's approval, kept inside the event it made possible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// What was allowed.
    pub kind: OverrideKind,
    /// Manager.
    pub by: UserId,
    /// Line concerned, none for the cart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// Body of [`Fact::SaleCompleted`].
///
/// `total = sum of line totals + levies + rounding`, and `sum of tenders - change = total`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleBody {
    /// Sale.
    pub sale: SaleId,
    /// Receipt number, gap-free in its series.
    pub number: String,
    /// Sequence of the number within (stream, fiscal year).
    pub number_seq: u64,
    /// Trading day.
    pub business_date: BusinessDate,
    /// Shift whose drawer took the money.
    pub shift: ShiftId,
    /// Who sold.
    pub cashier: UserId,
    /// Location the goods left.
    pub location: LocationId,
    /// Currency of every amount.
    pub currency: Currency,
    /// Price list and the version of it that the till held.
    pub price_list: PriceListId,
    /// Version of the price feed.
    pub price_version: u64,
    /// Where tax was rounded.
    pub tax_rounding: TaxRounding,
    /// Lines.
    pub lines: Vec<SaleLine>,
    /// Net and tax per rate, ascending by rate.
    pub taxes: Vec<TaxTotal>,
    /// Levies on the document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levies: Vec<LevyCharged>,
    /// Rounding of the cash leg; its own posting, never a price or a tax.
    pub rounding_minor: i64,
    /// What was due.
    pub total_minor: i64,
    /// Tenders.
    pub tenders: Vec<Tender>,
    /// Cash handed back.
    pub change_minor: i64,
    /// Rate of the stamp duty on receipts paid in cash, in hundredths of a percent, that was in force: whoever reads
    /// the fact needs no law book. Only on sales that kept cash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cash_stamp_bp: Option<u32>,
    /// Approvals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
}

/// Body of [`Fact::Reversed`]: the mirror of a sale, with a number of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reversed {
    /// Sale undone.
    pub of: SaleId,
    /// Its receipt number.
    pub of_number: String,
    /// Why, in the words of a fixed list or the manager's.
    pub reason: String,
    /// The mirrored sale: every quantity and amount with the other sign. Levies are not given back
    /// where the law keeps them.
    pub mirror: SaleBody,
}

/// Body of [`Fact::CartVoided`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartVoided {
    /// The cart's id.
    pub sale: SaleId,
    /// Shift, when one was open.
    pub shift: Option<ShiftId>,
    /// Who.
    pub user: UserId,
    /// Lines it had.
    pub lines: u32,
    /// What it came to.
    pub total_minor: i64,
}

/// Body of [`Fact::LineVoided`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineVoided {
    /// The cart's id.
    pub sale: SaleId,
    /// Shift, when one was open.
    pub shift: Option<ShiftId>,
    /// Who.
    pub user: UserId,
    /// Line number.
    pub line: u32,
    /// Variant.
    pub variant: VariantId,
    /// Quantity it had.
    pub quantity: Quantity,
    /// What it came to.
    pub total_minor: i64,
}

/// Why a drawer was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrawerReason {
    /// Cash changed hands in a sale.
    Sale,
    /// Nothing was sold.
    NoSale,
}

/// Body of [`Fact::DrawerOpened`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrawerOpened {
    /// Shift.
    pub shift: ShiftId,
    /// Who.
    pub user: UserId,
    /// Why.
    pub reason: DrawerReason,
    /// Number of the slip, for an opening without a sale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slip: Option<SlipNumber>,
    /// The reason given, for an opening without a sale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Number of a cash slip: gap-free per stream and fiscal year, apart from receipts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlipNumber {
    /// As printed, see [`crate::number::slip_number`].
    pub number: String,
    /// Sequence within (stream, fiscal year).
    pub number_seq: u64,
}

/// Which way money moved that was no sale.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    ts_rs::TS,
)]
#[serde(rename_all = "snake_case")]
pub enum CashMovement {
    /// Into the drawer: change from the bank, money found.
    PayIn,
    /// Out of the drawer for an expense.
    PayOut,
    /// Out of the drawer into the safe.
    Drop,
}

/// Body of [`Fact::CashMoved`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CashMoved {
    /// Shift of the drawer.
    pub shift: ShiftId,
    /// Which way.
    pub movement: CashMovement,
    /// Slip.
    pub slip: SlipNumber,
    /// Trading day.
    pub business_date: BusinessDate,
    /// How much, above zero.
    pub amount_minor: i64,
    /// Why; no names of people.
    pub reason: String,
    /// Who.
    pub user: UserId,
    /// Manager who approved, where one was needed.
    pub approved_by: Option<UserId>,
}

/// Body of [`Fact::DrawerHandedOver`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrawerHandedOver {
    /// Shift of the drawer.
    pub shift: ShiftId,
    /// Who answered for it.
    pub from: UserId,
    /// Who answers for it from now on; signed with their PIN.
    pub to: UserId,
    /// What both counted, if they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<DrawerCount>,
}

/// Money counted in a drawer beside what should be there. A difference is noted; only closing books it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrawerCount {
    /// Pieces by denomination.
    pub count: CashCount,
    /// Sum of the count.
    pub counted_minor: i64,
    /// Cash that should be there.
    pub expected_minor: i64,
}

/// Body of [`Fact::ShiftCounted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShiftCounted {
    /// Shift of the drawer.
    pub shift: ShiftId,
    /// Who counted.
    pub user: UserId,
    /// The till did not show what should be there.
    pub blind: bool,
    /// What was counted.
    pub count: DrawerCount,
}

/// Body of [`Fact::ShiftClosed`]: the Z report. Immutable once written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShiftClosed {
    /// Shift.
    pub shift: ShiftId,
    /// Z number, 1, 2, 3... on this till.
    pub z_number: u64,
    /// Who closed.
    pub user: UserId,
    /// Manager who signed a difference above the limit.
    pub approved_by: Option<UserId>,
    /// Events the report covers: from the opening to the one before this.
    pub from_seq: u64,
    /// Last event covered, and the hash there.
    pub to: StreamHead,
    /// Totals.
    pub totals: ShiftTotals,
    /// Pieces by denomination.
    pub count: CashCount,
    /// Sum of the count.
    pub counted_minor: i64,
    /// Counted minus expected.
    pub difference_minor: i64,
    /// Sum of all sales ever on this till, this shift included; never resets.
    pub perpetual_minor: i64,
    /// The till did not show what should be there before it was counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blind: bool,
    /// Proposed to be banked: what was counted without the float that the next shift needs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub deposit: CashCount,
    /// SHA-256 of the report's document as it was first issued, so that a reprint is that one and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paper: Option<Digest>,
}

/// What a shift came to; an X report shows it, a Z report fixes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ShiftTotals {
    /// Receipts of sales.
    pub sales: u64,
    /// Receipts of reversals.
    pub reversals: u64,
    /// Lines taken off carts.
    pub voided_lines: u64,
    /// Carts given up.
    pub voided_carts: u64,
    /// Units sold minus units taken back.
    pub units: Quantity,
    /// Sum of totals of sales and reversals.
    pub takings_minor: i64,
    /// Discounts given, lines and carts.
    pub discounts_minor: i64,
    /// Cash rounding.
    pub rounding_minor: i64,
    /// Levies by code.
    pub levies_minor: BTreeMap<String, i64>,
    /// Stamp duty on cash receipts per rate, ascending; to be declared, never charged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cash_stamp: Vec<CashStamp>,
    /// Net and tax per rate, ascending.
    pub taxes: Vec<TaxTotal>,
    /// Money kept per kind of tender: for cash, tendered minus change.
    pub tenders_minor: BTreeMap<TenderKind, i64>,
    /// Counted float at opening.
    pub float_minor: i64,
    /// Cash that should be in the drawer.
    pub expected_minor: i64,
    /// Money put in and taken out without a sale, by kind; magnitudes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub moved_minor: BTreeMap<CashMovement, i64>,
    /// Openings of the drawer without a sale.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub no_sales: u64,
    /// Counts that did not close the shift.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub counts: u64,
    /// Times that the drawer was handed over.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hand_overs: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Length of a period that is closed for good.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    ts_rs::TS,
)]
#[serde(rename_all = "snake_case")]
pub enum PeriodKind {
    /// A trading day.
    Day,
    /// A calendar month of trading days.
    Month,
    /// A fiscal year.
    Year,
}

/// A run of events of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First event covered.
    pub from_seq: u64,
    /// Last event covered, and the hash there.
    pub to: StreamHead,
}

/// A closing that another one refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosingRef {
    /// Its number.
    pub number: u64,
    /// Its event, and the chain hash after it.
    pub at: StreamHead,
}

/// Body of [`Fact::PeriodClosed`]: totals of everything between two closings of a kind. Written by itself when a
/// shift opens on a later day, before its first sale, so that nothing on this stream is ever late.
///
/// # Source
/// NF525 model (BOI-TVA-DECLA-30-10-30): daily, monthly and yearly closings with a perpetual total.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodClosed {
    /// Day, month or year.
    pub period: PeriodKind,
    /// 1, 2, 3... for each kind on this till.
    pub number: u64,
    /// First trading day in it.
    pub from: BusinessDate,
    /// Last trading day in it, which names the period: `2026-11-22`, `2026-11`, `2026`.
    pub to: BusinessDate,
    /// Events covered: from the closing of the kind before to the event before this.
    pub covers: Span,
    /// First and last Z report in it; none when no shift was closed.
    pub z_numbers: Option<(u64, u64)>,
    /// Totals.
    pub totals: PeriodTotals,
    /// Sum of all sales ever on this till, this period included; never resets.
    pub perpetual_minor: i64,
    /// The closing of this kind before, on this stream or the one before it.
    pub previous: Option<ClosingRef>,
}

/// What a period came to. Sums of facts in the order of the journal, whichever drawer they were in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PeriodTotals {
    /// Receipts of sales.
    pub sales: u64,
    /// Receipts of reversals.
    pub reversals: u64,
    /// Units sold minus units taken back.
    pub units: Quantity,
    /// Sum of the totals of sales.
    pub sales_minor: i64,
    /// Sum of the totals of reversals; zero or negative.
    pub reversals_minor: i64,
    /// Discounts given.
    pub discounts_minor: i64,
    /// Cash rounding.
    pub rounding_minor: i64,
    /// Levies by code.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub levies_minor: BTreeMap<String, i64>,
    /// Stamp duty on cash receipts per rate, ascending; to be declared, never charged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cash_stamp: Vec<CashStamp>,
    /// Net and tax per rate, ascending.
    pub taxes: Vec<TaxTotal>,
    /// Money kept per kind of tender.
    pub tenders_minor: BTreeMap<TenderKind, i64>,
    /// Money moved without a sale, by kind; magnitudes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub moved_minor: BTreeMap<CashMovement, i64>,
    /// Differences found when shifts were closed.
    pub over_short_minor: i64,
    /// Shifts closed.
    pub shifts: u64,
    /// Change of the balance of every account over the period; sums to zero.
    pub accounts_minor: BTreeMap<String, i64>,
}

/// Body of [`Fact::ClosingSupplemented`]: numbered, chained to the closing it adds to, and never part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosingSupplemented {
    /// Kind of the closing added to.
    pub period: PeriodKind,
    /// The closing.
    pub of: ClosingRef,
    /// 1, 2, 3... for the closing.
    pub number: u64,
    /// Events of the broken stream that were found.
    pub covers: Span,
    /// What they add.
    pub totals: PeriodTotals,
    /// Perpetual total with them.
    pub perpetual_minor: i64,
}

/// Body of [`Fact::Adopted`]. The event inside keeps its id, number and meaning; who reads facts reads the inner one,
/// once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    /// Where the event stood, and the chain hash after it there.
    pub at: StreamHead,
    /// The event's bytes as they were written: UTF-8 JSON as text.
    pub bytes: String,
}

/// Wrappers that are looked into; a tail recovered into a stream that broke off in its turn lies in two.
const WRAPPERS_MAX: u32 = 4;

/// An event as it was first written, taken out of the [`Adopted`] around it.
#[derive(Debug, Clone)]
pub struct Original {
    /// Where it stood, and the chain hash after it there.
    pub at: StreamHead,
    /// The event.
    pub event: Event,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// It had been recovered late already, by the stream that this one follows.
    pub recovered: bool,
}

impl Adopted {
    /// The event inside; none when the bytes are no event, or one of another place than they are said to be of.
    pub fn original(&self) -> Option<Original> {
        self.unwrapped(WRAPPERS_MAX)
    }

    fn unwrapped(&self, wrappers_max: u32) -> Option<Original> {
        let event = Event::decode(self.bytes.as_bytes()).ok()?;
        if event.stream != self.at.stream || event.seq != self.at.seq {
            return None;
        }
        match event.fact() {
            Ok(Fact::Adopted(inner)) if wrappers_max > 0 => Some(Original {
                recovered: true,
                ..inner.unwrapped(wrappers_max - 1)?
            }),
            Ok(Fact::Adopted(_)) => None,
            Ok(_) | Err(EventError::Unknown { .. }) => Some(Original {
                at: self.at,
                bytes: self.bytes.clone().into_bytes(),
                event,
                recovered: false,
            }),
            Err(EventError::NotStrict(_)) => None,
        }
    }
}

/// Body of [`Fact::Reprinted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reprinted {
    /// Receipt or Z number.
    pub number: String,
    /// 1 for the first copy.
    pub copy: u32,
    /// Who.
    pub user: UserId,
}

/// Body of [`Fact::PinReset`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinReset {
    /// Whose.
    pub user: UserId,
    /// Manager.
    pub by: UserId,
}

/// Body of [`Fact::SignInBlocked`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInBlocked {
    /// Whose.
    pub user: UserId,
    /// Wrong PINs in a row; 0 when a manager unblocked.
    pub failures: u32,
    /// Manager who unblocked.
    pub unblocked_by: Option<UserId>,
}

/// Body of [`Fact::ClockJumped`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockJumped {
    /// Wall clock expected from the clock since boot.
    pub expected_wall: i64,
    /// Wall clock found.
    pub found_wall: i64,
}

/// Difference of the wall clock to the clock since boot from which a jump is written down.
pub const CLOCK_JUMP_MS: i64 = 2 * 60 * 1_000;

impl ClockJumped {
    /// The jump between two readings, if there is one: against the clock since boot within one boot, and backwards
    /// across boots.
    pub fn between(wall: i64, boot: Boot, now: &crate::time::Now) -> Option<ClockJumped> {
        let same_boot = boot.id == now.boot.id && now.boot.ms >= boot.ms;
        let expected_wall = if same_boot {
            let passed = i64::try_from(now.boot.ms - boot.ms).unwrap_or(i64::MAX);
            wall.saturating_add(passed)
        } else {
            wall
        };
        let off = now.wall_ms.saturating_sub(expected_wall);
        let jumped = if same_boot {
            off.saturating_abs() > CLOCK_JUMP_MS
        } else {
            off < -CLOCK_JUMP_MS
        };
        jumped.then_some(ClockJumped {
            expected_wall,
            found_wall: now.wall_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn event() -> Event {
        let fact = Fact::PinReset(PinReset {
            user: UserId(Uuid::nil()),
            by: UserId(Uuid::nil()),
        });
        Event {
            stream: StreamId([7; 16]),
            seq: 1,
            id: EventId(Uuid::nil()),
            hlc: Hlc(1 << 16),
            wall: 1,
            boot: Boot { id: 1, ms: 2 },
            kind: fact.kind().to_owned(),
            schema: fact.schema(),
            body: fact.encode(),
        }
    }

    #[test]
    fn stored_bytes_are_read_back_unchanged() {
        let bytes = event().encode();
        let read = Event::decode(&bytes).expect("event");
        assert_eq!(read.encode(), bytes);
        assert!(matches!(read.fact(), Ok(Fact::PinReset(_))));
    }

    #[test]
    fn an_unknown_kind_is_kept_and_named() {
        let mut later = event();
        later.kind = "DroneDispatched".to_owned();
        let read = Event::decode(&later.encode()).expect("envelope");
        assert!(matches!(
            read.fact(),
            Err(EventError::Unknown { schema: 1, .. })
        ));
    }

    #[test]
    fn the_chain_depends_on_stream_order_and_every_byte() {
        let stream = StreamId([7; 16]);
        let bytes = event().encode();
        let first = chain_hash(genesis_hash(stream), &bytes);
        assert_ne!(first, chain_hash(genesis_hash(StreamId([8; 16])), &bytes));
        let mut flipped = bytes.clone();
        flipped[10] ^= 1;
        assert_ne!(first, chain_hash(genesis_hash(stream), &flipped));
    }

    #[test]
    fn ambiguous_events_are_refused() {
        let text = String::from_utf8(event().encode()).expect("utf-8");
        assert!(
            Event::decode(
                text.replacen("\"seq\":1", "\"seq\":1,\"seq\":2", 1)
                    .as_bytes()
            )
            .is_err()
        );
        assert!(Event::decode(text.replacen("\"wall\":1", "\"wall\":1.5", 1).as_bytes()).is_err());
        assert!(
            Event::decode(
                text.replacen("\"wall\":1", "\"extra\":0,\"wall\":1", 1)
                    .as_bytes()
            )
            .is_err()
        );
    }
}
