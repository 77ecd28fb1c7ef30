//! What a quantity is made of: the count that a shelf stands on, and every movement since, each with its event.

use std::collections::BTreeSet;

use domain::event::{Event, Fact, MAIN_ZONE, StreamPos};
use domain::ids::{LocationId, StreamId, VariantId};
use domain::quantity::Quantity;
use serde::Serialize;
use uuid::Uuid;

use crate::fold;
use crate::lifecycle::Hub;
use crate::office::{EventLine, record_of_event};
use crate::store::{KeptMovement, StockKey, StoreError, StoreResult, Tx};

/// Where the quantity of a variant at a location comes from. Its zones add up to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StockLineage {
    /// Variant.
    pub variant: VariantId,
    /// Location.
    pub location: LocationId,
    /// On hand, thousandths.
    pub quantity: Quantity,
    /// Its zones.
    pub zones: Vec<ZoneLineage>,
}

/// A shelf: its count, and what moved since. `counted + older_sum +` the steps `= quantity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ZoneLineage {
    /// Zone.
    pub zone: String,
    /// On hand there, thousandths.
    pub quantity: Quantity,
    /// The count that it stands on; none for a shelf that was never counted and began empty.
    pub count: Option<LineageStep>,
    /// Movements before those listed.
    pub older: u64,
    /// Their sum, thousandths.
    pub older_sum: Quantity,
    /// The latest movements since the count, in the order of the clock.
    pub steps: Vec<LineageStep>,
    /// Movements that lie before the count, which has made up for them.
    pub settled: u64,
}

/// An event that counted or moved goods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineageStep {
    /// The event.
    #[serde(flatten)]
    pub event: EventLine,
    /// Document, transfer or promise, if it is one.
    pub document: Option<Uuid>,
    /// Where goods were sent to, or came from, if it is a transfer.
    pub other: Option<LocationId>,
    /// What it found, or moved, thousandths.
    pub quantity: Quantity,
    /// On the shelf after it, thousandths.
    pub balance: Quantity,
}

impl Hub {
    /// Whether the chain has this location.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn has_location(&self, location: &LocationId) -> Result<bool, StoreError> {
        self.store
            .read(|tx| Ok(tx.locations()?.contains_key(location)))
    }

    /// Where a quantity comes from, with up to `limit` movements of each zone, the latest; none where the variant was
    /// never moved nor counted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stock_lineage(
        &self,
        variant: VariantId,
        location: &LocationId,
        limit: usize,
    ) -> Result<Option<StockLineage>, StoreError> {
        self.store.read(|tx| {
            let mut zones: BTreeSet<String> = tx
                .zones(variant, location)?
                .into_iter()
                .map(|(zone, _)| zone)
                .collect();
            if zones.is_empty() {
                return Ok(None);
            }
            zones.insert(MAIN_ZONE.to_owned());
            let mut lineage = StockLineage {
                variant,
                location: location.clone(),
                quantity: Quantity::ZERO,
                zones: Vec::new(),
            };
            for zone in zones {
                let key = StockKey {
                    variant,
                    location: location.clone(),
                    zone,
                };
                let zone = zone_lineage(tx, &key, limit)?;
                lineage.quantity = add(lineage.quantity, zone.quantity)?;
                lineage.zones.push(zone);
            }
            Ok(Some(lineage))
        })
    }
}

fn add(sum: Quantity, more: Quantity) -> StoreResult<Quantity> {
    sum.checked_add(more).ok_or(StoreError::Corrupt("stock"))
}

fn zone_lineage(tx: &Tx<'_>, key: &StockKey, limit: usize) -> StoreResult<ZoneLineage> {
    let state = tx.stock(key)?;
    let anchor = tx.anchor_of(key, &state)?;
    let all = tx.movements_by_branch(key)?;
    let known = all.len();
    let mut since: Vec<(KeptMovement, i64)> = all
        .into_iter()
        .filter(|(movement, _)| fold::counts(movement, anchor.as_ref()))
        .collect();
    let settled = (known - since.len()) as u64;
    since.sort_by_key(|(movement, branch)| {
        let at = movement.at;
        (at.hlc, at.stream, at.seq, *branch)
    });
    let count = match &anchor {
        Some(anchor) => {
            let at = StreamPos {
                stream: anchor.at.stream,
                seq: anchor.at.seq,
            };
            let written = written(tx, at, None)?;
            Some(written.step(anchor.quantity, anchor.quantity))
        }
        None => None,
    };
    let mut balance = count
        .as_ref()
        .map_or(Quantity::ZERO, |count| count.quantity);
    let older = since.len().saturating_sub(limit);
    let mut older_sum = Quantity::ZERO;
    for (movement, _) in &since[..older] {
        older_sum = add(older_sum, movement.moved.delta)?;
    }
    balance = add(balance, older_sum)?;
    let mut steps = Vec::new();
    for (movement, branch) in &since[older..] {
        let at = StreamPos {
            stream: movement.at.stream,
            seq: movement.at.seq,
        };
        balance = add(balance, movement.moved.delta)?;
        let written = written(tx, at, Some(*branch))?;
        steps.push(written.step(movement.moved.delta, balance));
    }
    Ok(ZoneLineage {
        zone: key.zone.clone(),
        quantity: state.quantity,
        count,
        older: older as u64,
        older_sum,
        steps,
        settled,
    })
}

/// A step, but for how much.
struct Written {
    event: EventLine,
    document: Option<Uuid>,
    other: Option<LocationId>,
}

impl Written {
    fn step(self, quantity: Quantity, balance: Quantity) -> LineageStep {
        LineageStep {
            event: self.event,
            document: self.document,
            other: self.other,
            quantity,
            balance,
        }
    }
}

/// Looks for an event at its place; where that holds another branch, or is not here at all, among what was adopted.
fn written(tx: &Tx<'_>, at: StreamPos, branch: Option<i64>) -> StoreResult<Written> {
    let is_it = |event: &Event| {
        // A file from before branches were told apart has 0.
        branch.is_none_or(|branch| branch == 0 || fold::branch_of(event.id) == branch)
    };
    let here = tx
        .event_bytes(at.stream, at.seq)?
        .and_then(|bytes| Event::decode(&bytes).ok())
        .filter(is_it);
    let found = match here {
        Some(event) => Some((at.stream, event)),
        None => adopted(tx, at, branch)?,
    };
    let Some((by, event)) = found else {
        return Ok(Written {
            event: EventLine::new(at, None, None),
            document: None,
            other: None,
        });
    };
    let author = match tx.stream(at.stream)? {
        Some(row) => Some(row),
        None => tx.stream(by)?,
    };
    let (document, other) = match event.fact() {
        Ok(fact) => document(&fact),
        Err(_) => (None, None),
    };
    Ok(Written {
        event: EventLine::new(at, author, Some(record_of_event(event))),
        document,
        other,
    })
}

/// The adopted event at a place, and the stream that adopted it.
fn adopted(
    tx: &Tx<'_>,
    at: StreamPos,
    branch: Option<i64>,
) -> StoreResult<Option<(StreamId, Event)>> {
    let known = match branch {
        Some(branch) if branch != 0 => tx.adopted_of_branch(branch)?,
        _ => tx.all_adopted()?,
    };
    for (id, (stream, seq)) in known {
        let original = tx
            .event_bytes(stream, seq)?
            .and_then(|bytes| Event::decode(&bytes).ok())
            .and_then(|event| match event.fact() {
                Ok(Fact::Adopted(adopted)) => adopted.original(),
                _ => None,
            })
            .map(|original| original.event);
        if let Some(event) = original
            && event.id == id
            && (event.stream, event.seq) == (at.stream, at.seq)
        {
            return Ok(Some((stream, event)));
        }
    }
    Ok(None)
}

fn document(fact: &Fact) -> (Option<Uuid>, Option<LocationId>) {
    match fact {
        Fact::GoodsReceived(received) => (Some(received.document.0), None),
        Fact::StockAdjusted(adjusted) => (Some(adjusted.document.0), None),
        Fact::ZoneMoved(moved) => (Some(moved.document.0), None),
        Fact::StockCounted(count) => (count.document.map(|document| document.0), None),
        Fact::OrderPicked(picked) => (Some(picked.promise.0), None),
        Fact::TransferSent(sent) => (Some(sent.transfer.0), Some(sent.to.clone())),
        Fact::TransferReceived(received) => {
            (Some(received.transfer.0), Some(received.from.clone()))
        }
        Fact::TransferLost(lost) => (Some(lost.transfer.0), None),
        _ => (None, None),
    }
}
