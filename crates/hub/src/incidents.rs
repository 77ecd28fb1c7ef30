//! Incidents: what was settled by itself and a person should look at, as facts of the hub's own stream.

use std::collections::BTreeMap;

use domain::entropy::Entropy;
use domain::event::{Fact, IncidentKind, IncidentRaised, IncidentResolved, MAIN_ZONE, StreamPos};
use domain::ids::{IncidentId, LocationId, StoreId, StreamId, TillId, VariantId};
use domain::quantity::Quantity;
use domain::text;
use domain::time::Now;
use serde::Serialize;
use sync_protocol::FeedName;
use sync_protocol::feed::IncidentNotice;
use uuid::Uuid;

use crate::fold::Folded;
use crate::lifecycle::{Hub, Identity};
use crate::office::{EventLine, record_of, variant_by_id};
use crate::rights::{standing, write_fact};
use crate::shops::{AdminError, all_stores, to_row, unknown};
use crate::store::{IncidentRow, Place, StockKey, StoreError, StoreResult, Tx};

/// Events in a story.
const STORY_MAX: usize = 10;
/// Open incidents that the tills of a store are told of.
const NOTICES_MAX: usize = 20;
/// Open incidents that are looked through for those of a store.
const LOOKED_THROUGH: u32 = 500;
/// Beginning of the keys of what tills are told, in the configuration feed.
const NOTICE: &str = "incident:";
/// Longest note of what was done.
const NOTE_CHARS_MAX: usize = 200;

/// An incident as head office sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IncidentLine {
    /// Incident.
    pub incident: IncidentId,
    /// What.
    pub kind: IncidentKind,
    /// Where.
    pub location: Option<LocationId>,
    /// Of what.
    pub variant: Option<VariantId>,
    /// Its SKU.
    pub sku: Option<String>,
    /// How much, thousandths.
    pub quantity: Option<Quantity>,
    /// Store of the till that it is about.
    pub store: Option<StoreId>,
    /// The till that it is about.
    pub till: Option<TillId>,
    /// Stream that it is about.
    pub stream: Option<StreamId>,
    /// The events that led to it, the oldest first.
    pub story: Vec<EventLine>,
    /// When it was raised, milliseconds since 1970 by the server's clock.
    pub raised: i64,
    /// What was done; none while it is open.
    pub note: Option<String>,
    /// When that was.
    pub resolved: Option<i64>,
}

/// An incident that is about nothing in particular yet.
pub(crate) fn incident(kind: IncidentKind) -> IncidentRaised {
    IncidentRaised {
        incident: IncidentId(Uuid::nil()),
        kind,
        location: None,
        variant: None,
        quantity: None,
        stream: None,
        story: Vec::new(),
    }
}

/// Raises an incident, unless one of that kind about the same is open.
pub(crate) fn raise(
    tx: &Tx<'_>,
    identity: &Identity,
    entropy: &mut Entropy,
    raised: IncidentRaised,
    now: &Now,
) -> StoreResult<()> {
    if tx.has_open_incident(&raised)? {
        return Ok(());
    }
    raise_again(tx, identity, entropy, raised, now)
}

/// Raises an incident also beside others of that kind: each is about events of its own.
pub(crate) fn raise_again(
    tx: &Tx<'_>,
    identity: &Identity,
    entropy: &mut Entropy,
    raised: IncidentRaised,
    now: &Now,
) -> StoreResult<()> {
    let fact = Fact::IncidentRaised(IncidentRaised {
        incident: IncidentId(entropy.next_uuid(now.wall_ms)),
        ..raised
    });
    write_fact(tx, identity, entropy, &fact, now)?;
    publish(tx)
}

/// Tells the tills of each store of its latest open incidents, and of no others.
pub(crate) fn publish(tx: &Tx<'_>) -> StoreResult<()> {
    let stores: Vec<StoreId> = all_stores(tx)?.into_iter().map(|row| row.store).collect();
    let mut told: BTreeMap<&StoreId, BTreeMap<String, String>> = BTreeMap::new();
    for row in tx.incidents(true, LOOKED_THROUGH)? {
        let place = match &row.raised.location {
            Some(location) => tx
                .locations()?
                .remove(location)
                .and_then(|(_, store)| store),
            None => None,
        };
        let line = incident_line(tx, row)?;
        // One that is about no store is everybody's.
        let of = place.or(line.store);
        let notice = IncidentNotice {
            incident: line.incident,
            kind: line.kind,
            sku: line.sku,
            quantity: line.quantity,
            till: line.till,
            number: line.story.into_iter().rev().find_map(|event| event.number),
            raised: line.raised,
        };
        let text = to_row(&notice, "incident")?;
        for store in stores
            .iter()
            .filter(|store| of.as_ref().is_none_or(|of| of == *store))
        {
            let rows = told.entry(store).or_default();
            if rows.len() < NOTICES_MAX {
                rows.insert(format!("{NOTICE}{}", notice.incident), text.clone());
            }
        }
    }
    for store in &stores {
        let feed = FeedName::Config(store.clone());
        let rows = told.remove(store).unwrap_or_default();
        let known = tx.feed_rows_with(&feed, NOTICE)?;
        let mut writer = tx.feed_writer(&feed)?;
        for (pk, _) in known.iter().filter(|(pk, _)| !rows.contains_key(pk)) {
            writer.put(pk, None)?;
        }
        for (pk, row) in &rows {
            if known.iter().all(|(at, _)| at != pk) {
                writer.put(pk, Some(row))?;
            }
        }
        writer.finish()?;
    }
    Ok(())
}

/// The first events of a story that may be long.
pub(crate) fn story_of(mut events: Vec<StreamPos>) -> Vec<StreamPos> {
    events.truncate(STORY_MAX);
    events
}

/// Looks at what a push has done to stock, rights and promises.
pub(crate) fn look_over(
    tx: &Tx<'_>,
    identity: &Identity,
    entropy: &mut Entropy,
    folded: &Folded,
    now: &Now,
) -> StoreResult<()> {
    for noted in &folded.noted {
        let raised = IncidentRaised {
            location: Some(noted.location.clone()),
            variant: Some(noted.variant),
            quantity: Some(noted.quantity),
            stream: Some(noted.at.stream),
            story: vec![noted.at],
            ..incident(noted.kind)
        };
        // Each is somebody's decision of its own, also while an earlier one is open.
        raise_again(tx, identity, entropy, raised, now)?;
    }
    for (location, variants) in &folded.touched {
        for variant in variants {
            let place = (*variant, location.clone());
            look_at(tx, identity, entropy, &place, now)?;
        }
    }
    Ok(())
}

/// Looks at one variant at a location.
pub(crate) fn look_at(
    tx: &Tx<'_>,
    identity: &Identity,
    entropy: &mut Entropy,
    place: &Place,
    now: &Now,
) -> StoreResult<()> {
    let (variant, location) = place;
    let zones = tx.zones(*variant, location)?;
    let on_hand: i128 = zones
        .iter()
        .map(|(_, state)| i128::from(state.quantity.0))
        .sum();
    let about = |kind, short: i128| -> StoreResult<IncidentRaised> {
        Ok(IncidentRaised {
            location: Some(location.clone()),
            variant: Some(*variant),
            quantity: Some(Quantity(i64::try_from(short).unwrap_or(i64::MAX))),
            story: story(tx, place)?,
            ..incident(kind)
        })
    };
    if on_hand < 0 {
        let raised = about(IncidentKind::Oversold, -on_hand)?;
        raise(tx, identity, entropy, raised, now)?;
    }
    let promised = i128::from(tx.promised(place)?.0);
    let mut short = promised - on_hand;
    if tx.is_strict(place)? {
        let standing = standing(tx, identity.stream, place)?;
        let given = standing.outstanding > Quantity::ZERO || promised > 0;
        short = -i128::from(standing.free.0);
        if given && short > 0 {
            let raised = about(IncidentKind::RightsDeficit, short)?;
            raise(tx, identity, entropy, raised, now)?;
        }
    }
    if promised > 0 && short > 0 {
        let raised = about(IncidentKind::PromiseAtRisk, short.min(promised))?;
        raise(tx, identity, entropy, raised, now)?;
    }
    Ok(())
}

/// The count that a shelf stands on, and the last goods that left it.
fn story(tx: &Tx<'_>, (variant, location): &Place) -> StoreResult<Vec<StreamPos>> {
    let key = StockKey {
        variant: *variant,
        location: location.clone(),
        zone: MAIN_ZONE.to_owned(),
    };
    let anchor = tx.stock(&key)?.anchor;
    let mut left: Vec<_> = tx
        .movements(&key)?
        .into_iter()
        .filter(|movement| movement.moved.delta < Quantity::ZERO)
        .map(|movement| movement.at)
        .collect();
    left.sort_by_key(|at| (at.hlc, at.stream, at.seq));
    let last = left.len().saturating_sub(STORY_MAX);
    let anchor = anchor.map(|(stream, seq)| StreamPos { stream, seq });
    let left = left[last..].iter().map(|at| StreamPos {
        stream: at.stream,
        seq: at.seq,
    });
    Ok(anchor.into_iter().chain(left).collect())
}

impl Hub {
    /// Incidents, the latest first; only open ones if asked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn incidents(&self, open_only: bool, limit: u32) -> Result<Vec<IncidentLine>, StoreError> {
        self.store.read(|tx| {
            tx.incidents(open_only, limit)?
                .into_iter()
                .map(|row| incident_line(tx, row))
                .collect()
        })
    }

    /// Somebody has looked at an incident and done what `note` says.
    ///
    /// # Errors
    /// [`AdminError::Unknown`] when there is no such open incident; [`AdminError::BadText`].
    pub fn resolve_incident(
        &mut self,
        incident: IncidentId,
        note: &str,
        now: &Now,
    ) -> Result<(), AdminError> {
        let note = text::clean(note, NOTE_CHARS_MAX).ok_or(AdminError::BadText { what: "note" })?;
        let (identity, entropy) = (&self.identity, &mut self.entropy);
        self.store.write(|tx| {
            let open = tx.incidents(true, u32::MAX)?;
            if !open.iter().any(|row| row.raised.incident == incident) {
                return Err(unknown("open incident", incident));
            }
            let fact = Fact::IncidentResolved(IncidentResolved { incident, note });
            write_fact(tx, identity, entropy, &fact, now)?;
            publish(tx)?;
            Ok(())
        })
    }
}

fn incident_line(tx: &Tx<'_>, row: IncidentRow) -> StoreResult<IncidentLine> {
    let raised = row.raised;
    let stream = match raised.stream {
        Some(stream) => tx.stream(stream)?,
        None => None,
    };
    let variant = match raised.variant {
        Some(variant) => variant_by_id(tx, variant)?,
        None => None,
    };
    let mut story = Vec::new();
    for at in raised.story {
        story.push(story_line(tx, at)?);
    }
    Ok(IncidentLine {
        incident: raised.incident,
        kind: raised.kind,
        location: raised.location,
        variant: raised.variant,
        sku: variant.map(|variant| variant.sku),
        quantity: raised.quantity,
        store: stream.as_ref().and_then(|row| row.store.clone()),
        till: stream.and_then(|row| row.till),
        stream: raised.stream,
        story,
        raised: row.wall,
        note: row.note,
        resolved: row.resolved,
    })
}

fn story_line(tx: &Tx<'_>, at: StreamPos) -> StoreResult<EventLine> {
    let author = tx.stream(at.stream)?;
    let record = tx
        .event_bytes(at.stream, at.seq)?
        .and_then(|bytes| record_of(&bytes));
    Ok(EventLine::new(at, author, record))
}
