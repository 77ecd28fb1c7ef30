//! Bodies of the facts about goods: what moved, what was counted, who may promise what, and what went wrong.
//!
//! Every line says which stock class held when it was written, so that a fold needs nothing but the fact.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Override;
use crate::catalog::StockClass;
use crate::ids::{
    DocumentId, IncidentId, LocationId, PromiseId, StreamId, TransferId, UserId, VariantId,
};
use crate::quantity::Quantity;

/// Zone of a location that is not divided.
pub const MAIN_ZONE: &str = "main";
/// As the zone of a count: the whole location was counted, whatever its zones.
pub const ALL_ZONES: &str = "*";

/// A place in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamPos {
    /// Stream.
    pub stream: StreamId,
    /// Sequence number.
    pub seq: u64,
}

/// Goods of one variant on a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodsLine {
    /// Variant.
    pub variant: VariantId,
    /// How much: above zero, but for an adjustment, where goods that are gone are negative.
    pub quantity: Quantity,
    /// Stock class that held at the location.
    pub class: StockClass,
}

/// Body of [`super::Fact::GoodsReceived`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodsReceived {
    /// The receipt of goods.
    pub document: DocumentId,
    /// Location that they came to.
    pub location: LocationId,
    /// Zone.
    pub zone: String,
    /// Lines.
    pub lines: Vec<GoodsLine>,
    /// Number of the supplier's delivery note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// A count that found these goods already: they lie before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub included_in: Option<StreamPos>,
    /// Who.
    pub user: UserId,
}

/// Why stock was put right without a sale, a delivery or a count.
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
pub enum AdjustReason {
    /// Cannot be sold; kept aside as damaged. With the other sign: repaired, back for sale.
    Damaged,
    /// Stolen.
    Theft,
    /// Past its date.
    Expired,
    /// Lost or found, nobody knows why.
    Found,
    /// Used by the shop itself.
    OwnUse,
    /// A mistake of an earlier document.
    Correction,
}

/// Body of [`super::Fact::StockAdjusted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockAdjusted {
    /// The document.
    pub document: DocumentId,
    /// Location.
    pub location: LocationId,
    /// Zone.
    pub zone: String,
    /// Why.
    pub reason: AdjustReason,
    /// In words; no names of people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Lines, negative where goods are gone.
    pub lines: Vec<GoodsLine>,
    /// Who.
    pub user: UserId,
    /// The manager who signed for it, where another did the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<UserId>,
    /// Approvals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
}

/// Body of [`super::Fact::TransferSent`]: goods left a location for another and are in transit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferSent {
    /// Transfer.
    pub transfer: TransferId,
    /// Location that sent.
    pub from: LocationId,
    /// Zone there.
    pub zone: String,
    /// Location that is to receive.
    pub to: LocationId,
    /// Lines.
    pub lines: Vec<GoodsLine>,
    /// Who.
    pub user: UserId,
    /// Approvals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
}

/// Body of [`super::Fact::TransferReceived`]: goods in transit arrived. A transfer may arrive in parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferReceived {
    /// Transfer.
    pub transfer: TransferId,
    /// Location that sent.
    pub from: LocationId,
    /// Location that received.
    pub to: LocationId,
    /// Zone there.
    pub zone: String,
    /// What arrived.
    pub lines: Vec<GoodsLine>,
    /// Who.
    pub user: UserId,
}

/// Body of [`super::Fact::TransferLost`]: goods in transit will not arrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferLost {
    /// Transfer.
    pub transfer: TransferId,
    /// Location that sent.
    pub from: LocationId,
    /// Location that was to receive.
    pub to: LocationId,
    /// What was lost.
    pub lines: Vec<GoodsLine>,
    /// Who found out.
    pub user: UserId,
    /// The manager who signed for it, where another did the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<UserId>,
}

/// Body of [`super::Fact::ZoneMoved`]: goods went from one zone of a location to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneMoved {
    /// The document.
    pub document: DocumentId,
    /// Location.
    pub location: LocationId,
    /// Zone that they left.
    pub from_zone: String,
    /// Zone that they came to.
    pub to_zone: String,
    /// Lines.
    pub lines: Vec<GoodsLine>,
    /// Who.
    pub user: UserId,
}

/// Body of [`super::Fact::OrderPicked`]: what was promised online was handed over, which closes the promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderPicked {
    /// Promise.
    pub promise: PromiseId,
    /// Location that they left.
    pub location: LocationId,
    /// Zone.
    pub zone: String,
    /// Lines.
    pub lines: Vec<GoodsLine>,
    /// Who handed them over; none for the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
}

/// Body of [`super::Fact::StockCounted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockCounted {
    /// Location counted.
    pub location: LocationId,
    /// Zone counted; `main` unless the location is divided, and [`ALL_ZONES`] for all of them at once.
    pub zone: String,
    /// What the author had folded of every stream: events in the cut lie before the count.
    pub cut: BTreeMap<StreamId, u64>,
    /// Quantities found. A variant that is not listed was not counted.
    pub items: Vec<Counted>,
    /// What the count is for.
    pub reason: CountReason,
    /// The count that this is a part of: several devices count one location together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentId>,
    /// Who counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The manager who signed for it, where another did the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<UserId>,
}

/// One counted variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Variant.
    pub variant: VariantId,
    /// Quantity found.
    pub quantity: Quantity,
    /// What the author expected to find, as far as it knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Quantity>,
    /// What the author knew when it looked at the goods, which may be long before the end of the count; none where
    /// nothing depends on it, as of goods that are not strict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked: Option<Looked>,
    /// How long before the end of the count the goods were looked at first, milliseconds.
    #[serde(default, skip_serializing_if = "is_none")]
    pub ago_ms: u64,
}

const fn is_none(ms: &u64) -> bool {
    *ms == 0
}

/// A look at goods that are counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// Wall clock of the first look, milliseconds since 1970.
    pub wall: i64,
    /// Streams of which the author had folded less then than the count's cut says, and how much: later events may have
    /// come after the look.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub folded: BTreeMap<StreamId, u64>,
}

/// Why stock was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountReason {
    /// Opening stock of an import.
    Opening,
    /// A physical count.
    Count,
}

/// Body of [`super::Fact::CountLearned`]: the author knows of these counts, so what it does from here on lies after
/// them, whatever any clock says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountLearned {
    /// Events that are counts.
    pub counts: Vec<StreamPos>,
}

/// A running total of rights to units of a strict variant that one stream has moved to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightsLine {
    /// Variant.
    pub variant: VariantId,
    /// Location whose units they are.
    pub location: LocationId,
    /// All that was ever moved on this way, this time included. A total may be repeated; it never falls.
    pub total: Quantity,
    /// Until when what was moved may be spent, milliseconds since 1970 by the server's clock: the earliest end on
    /// its way here. None: without end, as where rights go back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_end: Option<i64>,
}

/// Body of [`super::Fact::RightsGranted`], [`super::Fact::RightsReturned`] and [`super::Fact::RightsPassed`]: the
/// hub gave rights to a till, a till gave them back, a till passed them on to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightsMoved {
    /// Stream that gets them.
    pub to: StreamId,
    /// Epoch of the server as the author knew it.
    pub epoch: u64,
    /// Lines.
    pub lines: Vec<RightsLine>,
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SealReason {
    /// Its device went on with a new stream.
    Superseded,
    /// Its device is no longer used, or went to another store.
    Retired,
    /// Its device is broken or cannot be found.
    Lost,
    /// Its device was stolen.
    Stolen,
}

/// Body of [`super::Fact::StreamSealed`]: from here on the stream is not waited for. It edits no total; later events
/// of it are facts all the same, and an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSealed {
    /// Stream.
    pub stream: StreamId,
    /// How much of it was known.
    pub seq: u64,
    /// Why.
    pub reason: SealReason,
}

/// What the program settled by itself and a person should look at.
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
pub enum IncidentKind {
    /// More units left a shelf than it held: the books are below zero.
    Oversold,
    /// A manager let a strict variant leave without a right, sold or otherwise.
    SoldWithoutRight,
    /// A strict variant has fewer units than were promised or granted.
    RightsDeficit,
    /// What was promised online is not there.
    PromiseAtRisk,
    /// Two histories of one stream.
    StreamForked,
    /// A device came back with less than it had sent before.
    StreamBehind,
    /// A sealed stream reported after all.
    SealedStreamReported,
    /// Events of a revoked device.
    RevokedDevice,
    /// A device's clock is wrong.
    ClockSuspect,
    /// An event could not be folded.
    Quarantined,
    /// One sale was undone twice.
    ReversedTwice,
    /// Two sales look like one keyed in twice.
    DuplicateSuspect,
    /// The server came back from an older backup.
    ServerRestored,
}

impl IncidentKind {
    /// Every one.
    pub const ALL: [IncidentKind; 13] = [
        IncidentKind::Oversold,
        IncidentKind::SoldWithoutRight,
        IncidentKind::RightsDeficit,
        IncidentKind::PromiseAtRisk,
        IncidentKind::StreamForked,
        IncidentKind::StreamBehind,
        IncidentKind::SealedStreamReported,
        IncidentKind::RevokedDevice,
        IncidentKind::ClockSuspect,
        IncidentKind::Quarantined,
        IncidentKind::ReversedTwice,
        IncidentKind::DuplicateSuspect,
        IncidentKind::ServerRestored,
    ];
}

/// Body of [`super::Fact::IncidentRaised`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentRaised {
    /// Incident.
    pub incident: IncidentId,
    /// What.
    pub kind: IncidentKind,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationId>,
    /// Of what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<VariantId>,
    /// How much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    /// Stream that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamId>,
    /// The events that led to it, in the order of what caused what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub story: Vec<StreamPos>,
}

/// Body of [`super::Fact::IncidentResolved`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentResolved {
    /// Incident.
    pub incident: IncidentId,
    /// What was done, in words; no names of people.
    pub note: String,
}

/// The facts about goods, rights and incidents that move no money: one pattern for those who look at money only.
#[macro_export]
macro_rules! goods_facts {
    () => {
        $crate::event::Fact::StockCounted(_)
            | $crate::event::Fact::CountLearned(_)
            | $crate::event::Fact::GoodsReceived(_)
            | $crate::event::Fact::StockAdjusted(_)
            | $crate::event::Fact::TransferSent(_)
            | $crate::event::Fact::TransferReceived(_)
            | $crate::event::Fact::TransferLost(_)
            | $crate::event::Fact::ZoneMoved(_)
            | $crate::event::Fact::OrderPicked(_)
            | $crate::event::Fact::RightsGranted(_)
            | $crate::event::Fact::RightsReturned(_)
            | $crate::event::Fact::RightsPassed(_)
            | $crate::event::Fact::StreamSealed(_)
            | $crate::event::Fact::IncidentRaised(_)
            | $crate::event::Fact::IncidentResolved(_)
    };
}
