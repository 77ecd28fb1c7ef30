//! What an event does: movements and counts to stock, sales to takings.
//!
//! Stock is kept incrementally and comes out the same in any order of streams: movements stay single, all counts
//! are kept, and whenever another count wins, the shelf is added up again from them.

use std::collections::{BTreeMap, BTreeSet};

use domain::catalog::StockClass;
use domain::escrow;
use domain::event::{
    ALL_ZONES, CountLearned, Event, Fact, IncidentKind, MAIN_ZONE, Override, OverrideKind,
    SaleBody, StockCounted, StreamPos,
};
use domain::ids::{EventId, LocationId, PromiseId, StoreId, TillId, VariantId};
use domain::posting;
use domain::quantity::Quantity;
use domain::stock::{self, Anchor, EventRef, StockAccount};
use sync_protocol::FeedName;
use sync_protocol::feed::{AnchorRef, StockRow, ZoneRow};

use crate::books;
use crate::shops::to_row;
use crate::store::{
    EdgeRow, IncidentRow, KeptMovement, Place, PromiseRow, SealRow, StockKey, StockState,
    StoreError, StoreResult, TakingsRow, Tx, UsedRow,
};

/// Why an event could not be folded; it is quarantined and nothing of it remains.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FoldError {
    /// A sum does not fit 64 bits.
    #[error("a sum overflows")]
    Overflow,
    /// The file failed: not the event's fault.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whose event it is.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// None for the hub's own stream.
    pub till: Option<(StoreId, TillId)>,
    /// Tells apart events of forked branches at one place.
    pub branch: i64,
}

/// The branch of an event: a part of its own id, so that it is the same by whichever way it came.
pub(crate) fn branch_of(id: EventId) -> i64 {
    let (_, tail) = id.0.as_u64_pair();
    tail.cast_signed()
}

/// Folds events within one transaction; stock rows are written once, at the end.
pub(crate) struct Fold<'t, 'c> {
    tx: &'t Tx<'c>,
    touched: BTreeMap<LocationId, BTreeSet<VariantId>>,
    noted: Vec<Noted>,
}

/// What a fold came across that a person should look at.
#[derive(Debug, Clone)]
pub(crate) struct Noted {
    pub kind: IncidentKind,
    pub location: LocationId,
    pub variant: VariantId,
    pub quantity: Quantity,
    pub at: StreamPos,
}

/// What a fold did, for those who look at the outcome.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    /// Variants whose stock changed, by location.
    pub touched: BTreeMap<LocationId, BTreeSet<VariantId>>,
    pub noted: Vec<Noted>,
}

impl<'t, 'c> Fold<'t, 'c> {
    pub fn new(tx: &'t Tx<'c>) -> Self {
        Fold {
            tx,
            touched: BTreeMap::new(),
            noted: Vec::new(),
        }
    }

    pub fn apply(&mut self, origin: &Origin, at: &EventRef, fact: &Fact) -> Result<(), FoldError> {
        for (key, movement) in kept_movements(at, fact) {
            self.movement(key, movement, origin.branch)?;
        }
        self.set_aside(fact)?;
        book(self.tx, origin, at, fact)?;
        fold_rights(self.tx, at, fact)?;
        self.note(at, fact);
        match fact {
            Fact::StockCounted(count) => self.count(at, count)?,
            Fact::CountLearned(learned) => self.learned(at, learned)?,
            Fact::SaleCompleted(sale) => self.takings(origin, sale, false)?,
            Fact::Reversed(reversed) => {
                let here = StreamPos {
                    stream: at.stream,
                    seq: at.seq,
                };
                self.tx.insert_reversal(reversed.of, here, origin.branch)?;
                self.takings(origin, &reversed.mirror, true)?;
            }
            Fact::StreamOpened(_)
            | Fact::ShiftOpened(_)
            | Fact::CartVoided(_)
            | Fact::LineVoided(_)
            | Fact::DrawerOpened(_)
            | Fact::ShiftClosed(_)
            | Fact::Reprinted(_)
            | Fact::PinReset(_)
            | Fact::SignInBlocked(_)
            | Fact::CashMoved(_)
            | Fact::DrawerHandedOver(_)
            | Fact::ShiftCounted(_)
            | Fact::PeriodClosed(_)
            | Fact::ClosingSupplemented(_)
            | Fact::Adopted(_)
            | Fact::ClockJumped(_)
            | Fact::GoodsReceived(_)
            | Fact::StockAdjusted(_)
            | Fact::TransferSent(_)
            | Fact::TransferReceived(_)
            | Fact::TransferLost(_)
            | Fact::ZoneMoved(_)
            | Fact::OrderPicked(_)
            | Fact::RightsGranted(_)
            | Fact::RightsReturned(_)
            | Fact::RightsPassed(_)
            | Fact::StreamSealed(_)
            | Fact::IncidentRaised(_)
            | Fact::IncidentResolved(_) => {}
        }
        Ok(())
    }

    /// Writes the changed rows into the stock feeds.
    pub fn finish(self) -> StoreResult<Folded> {
        for (location, variants) in &self.touched {
            let mut writer = self.tx.feed_writer(&FeedName::Stock(location.clone()))?;
            for variant in variants {
                let row = stock_row(self.tx, *variant, location)?;
                writer.put(&variant.to_string(), Some(&to_row(&row, "stock row")?))?;
            }
            writer.finish()?;
        }
        Ok(Folded {
            touched: self.touched,
            noted: self.noted,
        })
    }

    /// What a manager let leave without a right to it.
    fn note(&mut self, at: &EventRef, fact: &Fact) {
        let waived = |noted: &Override| noted.kind == OverrideKind::NoRight;
        let (location, left) = match fact {
            Fact::SaleCompleted(sale) => {
                let lines = sale.overrides.iter().filter(|noted| waived(noted));
                let lines: BTreeSet<u32> = lines.filter_map(|noted| noted.line).collect();
                let lines = sale.lines.iter().filter(|line| lines.contains(&line.line));
                let taken = lines.flat_map(stock::taken);
                let left = taken.map(|part| (part.variant, part.class, part.quantity));
                (&sale.location, left.collect::<Vec<_>>())
            }
            Fact::StockAdjusted(adjusted) if adjusted.overrides.iter().any(waived) => {
                let left = adjusted.lines.iter().map(|line| {
                    let quantity = Quantity(line.quantity.0.saturating_neg());
                    (line.variant, line.class, quantity)
                });
                (&adjusted.location, left.collect())
            }
            Fact::TransferSent(sent) if sent.overrides.iter().any(waived) => {
                let left = sent.lines.iter();
                let left = left.map(|line| (line.variant, line.class, line.quantity));
                (&sent.from, left.collect())
            }
            _ => return,
        };
        for (variant, class, quantity) in left {
            if class == StockClass::Strict && quantity > Quantity::ZERO {
                self.noted.push(Noted {
                    kind: IncidentKind::SoldWithoutRight,
                    location: location.clone(),
                    variant,
                    quantity,
                    at: StreamPos {
                        stream: at.stream,
                        seq: at.seq,
                    },
                });
            }
        }
    }

    fn touch(&mut self, key: &StockKey) {
        self.touched
            .entry(key.location.clone())
            .or_default()
            .insert(key.variant);
    }

    fn movement(
        &mut self,
        key: StockKey,
        movement: KeptMovement,
        branch: i64,
    ) -> Result<(), FoldError> {
        self.touch(&key);
        let is_new = !self.tx.has_stock(&key)?;
        self.tx.insert_movement(&key, &movement, branch)?;
        if is_new {
            // A count of the whole location may stand for this zone already.
            return self.add_up_again(&key);
        }
        let mut state = self.tx.stock(&key)?;
        let anchor = self.tx.anchor_of(&key, &state)?;
        if counts(&movement, anchor.as_ref()) {
            state.quantity = state
                .quantity
                .checked_add(movement.moved.delta)
                .ok_or(FoldError::Overflow)?;
        }
        self.tx.put_stock(&key, &state)?;
        Ok(())
    }

    fn add_up_again(&mut self, key: &StockKey) -> Result<(), FoldError> {
        self.touch(key);
        let anchors = self.tx.anchors(key)?;
        let state = add_up(stock::winner(&anchors), &self.tx.movements(key)?)?;
        self.tx.put_stock(key, &state)?;
        Ok(())
    }

    fn set_aside(&mut self, fact: &Fact) -> Result<(), FoldError> {
        for (account, variant, quantity) in kept_aside(fact) {
            if !self.tx.add_held(&account, variant, quantity)? {
                return Err(FoldError::Overflow);
            }
        }
        Ok(())
    }

    /// What the stream does from here on lies after these counts. Only where later events of it were folded already,
    /// as beside a fork, do their shelves come out otherwise.
    fn learned(&mut self, at: &EventRef, learned: &CountLearned) -> Result<(), FoldError> {
        let late = self
            .tx
            .stream(at.stream)?
            .is_some_and(|row| row.head_seq > at.seq);
        let place = StreamPos {
            stream: at.stream,
            seq: at.seq,
        };
        for count in &learned.counts {
            self.tx.insert_learned(*count, place)?;
            if late {
                for key in self.tx.counted(*count)? {
                    for key in self.shelves_of(&key)? {
                        self.add_up_again(&key)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The shelves that a count of `key` is about: all zones where the whole location was counted.
    fn shelves_of(&self, key: &StockKey) -> StoreResult<Vec<StockKey>> {
        if key.zone != ALL_ZONES {
            return Ok(vec![key.clone()]);
        }
        let zones = self.tx.zones(key.variant, &key.location)?;
        let mut zones: BTreeSet<String> = zones.into_iter().map(|(zone, _)| zone).collect();
        zones.insert(MAIN_ZONE.to_owned());
        let shelf = |zone| StockKey {
            zone,
            ..key.clone()
        };
        Ok(zones.into_iter().map(shelf).collect())
    }

    fn count(&mut self, at: &EventRef, count: &StockCounted) -> Result<(), FoldError> {
        self.tx.insert_count(at, &count.cut)?;
        for (variant, found) in stock::counted(at, count) {
            let key = StockKey {
                variant,
                location: count.location.clone(),
                zone: count.zone.clone(),
            };
            self.tx.insert_anchor(&key, &found, &count.cut)?;
            for key in self.shelves_of(&key)? {
                self.touch(&key);
                let anchors = self.tx.anchors(&key)?;
                let Some(winner) = stock::winner(&anchors) else {
                    continue;
                };
                // The newcomer may take the place from one count in favour of a third, so any change counts.
                let stands = self.tx.stock(&key)?.anchor;
                if winner.at != *at && stands == Some((winner.at.stream, winner.at.seq)) {
                    continue;
                }
                let state = add_up(Some(winner), &self.tx.movements(&key)?)?;
                self.tx.put_stock(&key, &state)?;
            }
        }
        Ok(())
    }

    fn takings(
        &mut self,
        origin: &Origin,
        sale: &SaleBody,
        reversal: bool,
    ) -> Result<(), FoldError> {
        let Some((store, till)) = &origin.till else {
            return Ok(());
        };
        let mut row = self.tx.takings_of(
            sale.business_date,
            store.as_str(),
            till.as_str(),
            sale.currency,
        )?;
        add_sale(&mut row, sale, reversal)?;
        self.tx.put_takings(&row)?;
        Ok(())
    }
}

/// What an event does to rights, seals, promises and incidents. Consumption and minting are never told, they are read
/// off the event in the transaction that moves its stock.
pub(crate) fn fold_rights(tx: &Tx<'_>, at: &EventRef, fact: &Fact) -> Result<(), FoldError> {
    for effect in escrow::effects(fact) {
        let place = (effect.variant, effect.location);
        let used = tx.used(&place, at.stream)?;
        let add = |sum: Quantity, more| sum.checked_add(more).ok_or(FoldError::Overflow);
        let used = UsedRow {
            consumed: add(used.consumed, effect.consumed)?,
            minted: add(used.minted, effect.minted)?,
        };
        tx.put_used(&place, at.stream, &used)?;
    }
    for (place, edge) in kept_edges(at, fact) {
        let edge = match tx.edge(&place, edge.from, edge.to)? {
            Some(known) => known.merge(edge),
            None => edge,
        };
        tx.put_edge(&place, &edge)?;
    }
    match fact {
        Fact::StreamSealed(_) => {
            if let Some(row) = kept_seal(at, fact)? {
                tx.put_seal(&row)?;
            }
        }
        Fact::OrderPicked(picked) => close_promise(tx, picked.promise)?,
        Fact::IncidentRaised(raised) => tx.insert_incident(&IncidentRow {
            seq: at.seq,
            raised: raised.clone(),
            wall: wall_of(at),
            note: None,
            resolved: None,
        })?,
        Fact::IncidentResolved(resolved) => {
            tx.resolve_incident(resolved.incident, &resolved.note, wall_of(at))?;
        }
        _ => {}
    }
    Ok(())
}

/// Totals that an event states, as they are kept; its author owns them.
pub(crate) fn kept_edges(at: &EventRef, fact: &Fact) -> Vec<(Place, EdgeRow)> {
    let Some((moved, lines)) = escrow::edges(fact) else {
        return Vec::new();
    };
    // A stream that moves rights to itself would make some out of nothing.
    if moved.to == at.stream {
        return Vec::new();
    }
    let edge = |line: &domain::event::RightsLine| {
        let place = (line.variant, line.location.clone());
        let edge = EdgeRow {
            from: at.stream,
            to: moved.to,
            total: line.total,
            lease_end: line.lease_end,
        };
        (place, edge)
    };
    lines.iter().map(edge).collect()
}

/// The seal that an event sets.
pub(crate) fn kept_seal(at: &EventRef, fact: &Fact) -> StoreResult<Option<SealRow>> {
    let Fact::StreamSealed(sealed) = fact else {
        return Ok(None);
    };
    let reason = serde_json::to_value(sealed.reason).map_err(|_| StoreError::Corrupt("seal"))?;
    Ok(Some(SealRow {
        stream: sealed.stream,
        seq: sealed.seq,
        reason: reason
            .as_str()
            .ok_or(StoreError::Corrupt("seal"))?
            .to_owned(),
        wall: wall_of(at),
        at: at.seq,
    }))
}

pub(crate) fn wall_of(at: &EventRef) -> i64 {
    i64::try_from(at.hlc.ms()).unwrap_or(i64::MAX)
}

/// What was promised was handed over, however late; one that this server has forgotten is not opened again.
fn close_promise(tx: &Tx<'_>, promise: PromiseId) -> StoreResult<()> {
    let row = tx.promise(promise)?.unwrap_or(PromiseRow {
        promise,
        body: Vec::new(),
        answer: String::new(),
        state: String::new(),
        expires: 0,
    });
    tx.put_promise(&PromiseRow {
        state: "picked".to_owned(),
        ..row
    })
}

/// Adds an event to the accounts and closings of the till that wrote it.
fn book(tx: &Tx<'_>, origin: &Origin, at: &EventRef, fact: &Fact) -> Result<(), FoldError> {
    let Some((store, till)) = &origin.till else {
        return Ok(());
    };
    for (account, minor) in books::entries(fact)? {
        if !tx.add_balance(store.as_str(), till.as_str(), &account, minor)? {
            return Err(FoldError::Overflow);
        }
    }
    if let Some((shift, date)) = books::shift_day(fact) {
        tx.put_shift_day(shift, date)?;
    }
    let day = |shift| Ok(tx.shift_day(shift)?);
    if let Some(row) = books::closing((store, till), at, fact, day)? {
        tx.put_closing(&row, origin.branch)?;
    }
    Ok(())
}

/// Books the events of a file from before accounts were kept.
pub(crate) fn book_everything(tx: &Tx<'_>) -> StoreResult<()> {
    for row in tx.streams()? {
        let (Some(store), Some(till)) = (&row.store, &row.till) else {
            continue;
        };
        let aside: BTreeSet<u64> = tx
            .quarantined(row.stream, 1, row.head_seq)?
            .into_iter()
            .map(|(seq, _)| seq)
            .collect();
        tx.each_event(row.stream, |seq, _, bytes, _| -> StoreResult<()> {
            if aside.contains(&seq) {
                return Ok(());
            }
            let event = Event::decode(&bytes).map_err(|_| StoreError::Corrupt("event"))?;
            let Ok(fact) = event.fact() else {
                return Err(StoreError::Corrupt("event"));
            };
            let origin = Origin {
                till: Some((store.clone(), till.clone())),
                branch: branch_of(event.id),
            };
            let at = EventRef {
                stream: row.stream,
                seq,
                hlc: event.hlc,
            };
            book(tx, &origin, &at, &fact).map_err(|error| match error {
                FoldError::Overflow => StoreError::Corrupt("accounts"),
                FoldError::Store(error) => error,
            })
        })?;
    }
    Ok(())
}

/// Takes down the reversals of a file from before they were kept.
pub(crate) fn index_reversals(tx: &Tx<'_>) -> StoreResult<()> {
    each_folded(tx, |at, branch, fact| {
        if let Fact::Reversed(reversed) = fact {
            let here = StreamPos {
                stream: at.stream,
                seq: at.seq,
            };
            tx.insert_reversal(reversed.of, here, branch)?;
        }
        Ok(())
    })
}

/// Takes down where the seals of a file stand, from before that was kept.
pub(crate) fn index_seals(tx: &Tx<'_>) -> StoreResult<()> {
    each_folded(tx, |at, _, fact| match kept_seal(at, fact)? {
        Some(row) => tx.put_seal(&row),
        None => Ok(()),
    })
}

/// Calls `visit` with every event that was folded, its branch and its fact, stream by stream; what was adopted in the
/// place of what adopted it.
pub(crate) fn each_folded(
    tx: &Tx<'_>,
    mut visit: impl FnMut(&EventRef, i64, &Fact) -> StoreResult<()>,
) -> StoreResult<()> {
    for row in tx.streams()? {
        let aside: BTreeSet<u64> = tx
            .quarantined(row.stream, 1, row.head_seq)?
            .into_iter()
            .map(|(seq, _)| seq)
            .collect();
        tx.each_event(row.stream, |seq, _, bytes, _| -> StoreResult<()> {
            if aside.contains(&seq) {
                return Ok(());
            }
            let corrupt = || StoreError::Corrupt("event");
            let event = Event::decode(&bytes).map_err(|_| corrupt())?;
            let fact = event.fact().map_err(|_| corrupt())?;
            let (event, fact) = match &fact {
                Fact::Adopted(adopted) => {
                    let original = adopted.original().ok_or_else(corrupt)?;
                    let known_by_itself = tx.event_by_id(original.event.id)?.is_some();
                    let here = tx.adopted(original.event.id)? == Some((row.stream, seq));
                    let Ok(inner) = original.event.fact() else {
                        return Ok(());
                    };
                    if known_by_itself || !here {
                        return Ok(());
                    }
                    (original.event, inner)
                }
                _ => (event, fact),
            };
            let at = EventRef {
                stream: event.stream,
                seq: event.seq,
                hlc: event.hlc,
            };
            visit(&at, branch_of(event.id), &fact)
        })?;
    }
    Ok(())
}

/// Movements of an event as they are kept, at most one per shelf.
pub(crate) fn kept_movements(
    at: &EventRef,
    fact: &Fact,
) -> impl Iterator<Item = (StockKey, KeptMovement)> {
    let at = *at;
    stock::movements(fact).into_iter().map(move |movement| {
        let key = StockKey {
            variant: movement.variant,
            location: movement.location,
            zone: movement.zone,
        };
        let moved = movement.moved;
        (key, KeptMovement { at, moved })
    })
}

/// What an event moves between accounts that are kept although they are no shelf.
pub(crate) fn kept_aside(fact: &Fact) -> impl Iterator<Item = (StockAccount, VariantId, Quantity)> {
    let is_kept = |account: &StockAccount| match account {
        StockAccount::Location(_) | StockAccount::Customer | StockAccount::Floor(_) => false,
        StockAccount::Supplier
        | StockAccount::Damaged(_)
        | StockAccount::Transit(_)
        | StockAccount::Adjusted => true,
    };
    posting::stock_postings(fact)
        .into_iter()
        .filter(move |posting| is_kept(&posting.account))
        .map(|posting| (posting.account, posting.variant, posting.quantity))
}

/// Whether a movement lies after the count that its shelf stands on.
pub(crate) fn counts(movement: &KeptMovement, anchor: Option<&Anchor>) -> bool {
    anchor.is_none_or(|anchor| stock::is_after(&movement.at, movement.moved, anchor))
}

/// A shelf from its winning count and all its movements.
pub(crate) fn add_up(
    anchor: Option<&Anchor>,
    movements: &[KeptMovement],
) -> Result<StockState, FoldError> {
    let start = anchor.map_or(Quantity::ZERO, |anchor| anchor.quantity);
    let quantity = movements
        .iter()
        .filter(|movement| counts(movement, anchor))
        .try_fold(start, |sum, movement| sum.checked_add(movement.moved.delta))
        .ok_or(FoldError::Overflow)?;
    Ok(StockState {
        quantity,
        anchor: anchor.map(|anchor| (anchor.at.stream, anchor.at.seq)),
    })
}

pub(crate) fn add_sale(
    row: &mut TakingsRow,
    sale: &SaleBody,
    reversal: bool,
) -> Result<(), FoldError> {
    if reversal {
        row.reversals += 1;
    } else {
        row.receipts += 1;
    }
    row.takings_minor = row
        .takings_minor
        .checked_add(sale.total_minor)
        .ok_or(FoldError::Overflow)?;
    row.units = sale
        .lines
        .iter()
        .try_fold(row.units, |sum, line| sum.checked_add(line.quantity))
        .ok_or(FoldError::Overflow)?;
    Ok(())
}

/// What tills see of a variant at a location: zones added up, those beside the main one apart, and their counts.
pub(crate) fn stock_row(
    tx: &Tx<'_>,
    variant: VariantId,
    location: &LocationId,
) -> StoreResult<StockRow> {
    let mut row = StockRow {
        variant,
        quantity: Quantity::ZERO,
        anchor: None,
        zones: BTreeMap::new(),
    };
    for (zone, state) in tx.zones(variant, location)? {
        // Each zone fits; a chain of shelves that together overflow would be 9 billion million units.
        row.quantity = row
            .quantity
            .checked_add(state.quantity)
            .ok_or(StoreError::Corrupt("stock"))?;
        let key = StockKey {
            variant,
            location: location.clone(),
            zone,
        };
        let anchor = tx.anchor_of(&key, &state)?.map(|anchor| AnchorRef {
            stream: anchor.at.stream,
            seq: anchor.at.seq,
            hlc: anchor.at.hlc,
            seen_ms: (anchor.seen_ms < anchor.at.hlc.ms()).then_some(anchor.seen_ms),
            cut: anchor.cut,
        });
        let zone = key.zone;
        if zone == MAIN_ZONE {
            row.anchor = anchor;
        } else {
            let quantity = state.quantity;
            row.zones.insert(zone, ZoneRow { quantity, anchor });
        }
    }
    Ok(row)
}
