//! What the stockroom asks and sees: documents, transfers, counts, and what a quantity is made of.

use std::collections::BTreeMap;

use domain::catalog::Names;
use domain::event::AdjustReason;
use domain::ids::{DocumentId, LocationId, TransferId, VariantId};
use domain::quantity::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Goods on a document as they are entered. A variant that is entered twice is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct GoodsInput {
    /// Variant.
    pub variant: VariantId,
    /// How much, above zero; of an adjustment, below zero where goods are gone.
    pub quantity: Quantity,
}

/// A count by its place: the stream that it stands in and its number there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct CountAt {
    /// Stream, 32 hexadecimal digits.
    pub stream: String,
    /// Sequence number.
    #[ts(type = "number")]
    pub seq: u64,
}

/// A document of the stockroom that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct GoodsView {
    /// Id of the document or transfer.
    pub document: DocumentId,
    /// Lines, as they were added up.
    pub lines: Vec<GoodsLineView>,
}

/// A line of such a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct GoodsLineView {
    /// Variant.
    pub variant: VariantId,
    /// SKU.
    pub sku: String,
    /// Name of the style.
    pub names: Names,
    /// Option values.
    pub options: String,
    /// How much; of an open transfer, what is still on its way.
    pub quantity: Quantity,
    /// On hand here; of a document, before it.
    pub stock: Option<Quantity>,
}

/// A transfer that was sent from here and has not wholly arrived, as far as this till knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct TransferView {
    /// Transfer.
    pub transfer: TransferId,
    /// Location that sent.
    pub from: LocationId,
    /// Location that is to receive.
    pub to: LocationId,
    /// Local time of the sending.
    pub at: String,
    /// What is on its way.
    pub lines: Vec<GoodsLineView>,
}

/// A location of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct PlaceView {
    /// Location.
    pub location: LocationId,
    /// Name.
    pub name: Names,
    /// It is this store's.
    pub here: bool,
}

/// A count in progress, or one that was just finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct StockCountView {
    /// The count that this is a part of: give it to another device to count along.
    pub document: DocumentId,
    /// Zone; `*` is the whole location.
    pub zone: String,
    /// Local time of the beginning.
    pub since: String,
    /// Variants counted.
    pub items: u32,
    /// Units counted.
    pub units: Quantity,
    /// Variants, last counted first. While counting, at most 100 of them; all when finished.
    pub rows: Vec<CountedView>,
    /// Transfers on their way from here, which a count never touches.
    pub transfers: u32,
    /// The count is written.
    pub finished: bool,
}

/// A counted variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct CountedView {
    /// Variant.
    pub variant: VariantId,
    /// SKU.
    pub sku: String,
    /// Name of the style.
    pub names: Names,
    /// Option values.
    pub options: String,
    /// What was found, as it was entered.
    pub found: Quantity,
    /// What the books hold now; none where nothing is known.
    pub expected: Option<Quantity>,
    /// What the books moved between the first and the last scan of it: nobody can tell on which side.
    pub moved_between: Quantity,
    /// What they moved after the last scan; the count takes it along.
    pub moved_since: Quantity,
    /// What is booked: found, and moved since. What left between the scans is taken for gone.
    pub quantity: Quantity,
    /// Booked less expected.
    pub difference: Option<Quantity>,
    /// Local time of the first scan.
    pub first_at: String,
    /// Local time of the last scan.
    pub last_at: String,
}

/// What a quantity is made of: `start` and every step that `counts` come to `quantity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct LineageView {
    /// Variant.
    pub variant: VariantId,
    /// SKU.
    pub sku: String,
    /// Name of the style.
    pub names: Names,
    /// On hand here; none where nothing is known.
    pub quantity: Option<Quantity>,
    /// By zone, where the location is divided.
    pub zones: BTreeMap<String, Quantity>,
    /// The server's figure; none where it has not spoken.
    pub served: Option<Quantity>,
    /// Age of the server's figure in milliseconds.
    #[ts(type = "number | null")]
    pub age_ms: Option<i64>,
    /// The count that the server's figure stands on.
    pub served_count: Option<CountAt>,
    /// What the steps are added to: the server's figure, or our own count in its place.
    pub start: Quantity,
    /// Kept aside as damaged, by this till's own documents.
    pub damaged: Quantity,
    /// On its way from here, by this till's own documents.
    pub in_transit: Quantity,
    /// This till's own events, newest first.
    pub steps: Vec<LineageStepView>,
}

/// An event behind a quantity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct LineageStepView {
    /// What happened; its text stands in the catalogues as `lineage.{kind}`.
    pub kind: LineageKind,
    /// Number of the event.
    #[ts(type = "number")]
    pub seq: u64,
    /// Local time.
    pub at: String,
    /// Zone.
    pub zone: String,
    /// What it moved, or for a count what it found.
    pub quantity: Quantity,
    /// It is a part of the sum. One that is not is in the server's figure already, or before a count.
    pub counts: bool,
    /// Receipt, delivery note, or location at the other end.
    pub reference: String,
    /// Why, of an adjustment.
    pub reason: Option<AdjustReason>,
}

/// What kind of event stands behind a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum LineageKind {
    /// Sold, or taken back.
    Sold,
    /// A sale was undone.
    Reversed,
    /// Received from a supplier.
    Received,
    /// Put right.
    Adjusted,
    /// Sent to another location.
    Sent,
    /// Arrived from another location.
    Arrived,
    /// Carried to another zone.
    Moved,
    /// Handed over for an order.
    Picked,
    /// Counted.
    Counted,
}
