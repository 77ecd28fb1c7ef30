//! Checks a tenant's file against itself: everything that can be computed from the events is computed anew.

use std::collections::{BTreeMap, BTreeSet};

use domain::catalog::{StockClass, Variant};
use domain::config::KeyAlgorithm;
use domain::escrow;
use domain::event::{ALL_ZONES, Event, Fact, MAIN_ZONE, StreamPos, chain_hash, genesis_hash};
use domain::ids::{
    Digest, EventId, IncidentId, PromiseId, SaleId, ShiftId, StoreId, StreamId, TillId, VariantId,
};
use domain::quantity::Quantity;
use domain::stock::{self, Anchor, EventRef};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sync_protocol::feed::HeadReport;
use sync_protocol::{FeedName, SignedHead, sign};

use crate::accept::registered_id;
use crate::books;
use crate::fold::{
    FoldError, add_sale, add_up, branch_of, kept_aside, kept_edges, kept_movements, kept_seal,
    stock_row, wall_of,
};
use crate::lifecycle::Hub;
use crate::shops::{from_row, to_row};
use crate::store::{
    BalanceRow, ClosingRow, EdgeRow, IncidentRow, KeptMovement, Place, SealRow, StockKey,
    StockState, StoreError, StoreResult, StreamRow, TakingsRow, Tx, UsedRow,
};

/// What `verify` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Everything agrees.
    pub ok: bool,
    /// The first thing that does not, in words.
    pub first_bad: Option<String>,
    /// Head of every stream.
    pub streams: BTreeMap<String, HeadReport>,
    /// Version and checksum of every feed.
    pub feeds: BTreeMap<String, FeedReport>,
    /// Events kept of the other branches of forked streams.
    pub contested: u64,
    /// Hash over every projection's rows.
    pub projections: BTreeMap<String, Digest>,
}

/// Head of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeedReport {
    /// Version.
    pub ver: u64,
    /// Checksum.
    pub checksum: u64,
}

/// What the events come to.
#[derive(Default)]
struct Refold {
    anchors: BTreeMap<StockKey, Vec<Anchor>>,
    movements: BTreeMap<StockKey, Vec<KeptMovement>>,
    learned: BTreeMap<StreamPos, BTreeMap<StreamId, u64>>,
    held: BTreeMap<(String, VariantId), Quantity>,
    edges: BTreeMap<(Place, StreamId, StreamId), EdgeRow>,
    used: BTreeMap<(Place, StreamId), UsedRow>,
    seals: BTreeMap<StreamId, SealRow>,
    picked: BTreeSet<PromiseId>,
    incidents: BTreeMap<IncidentId, IncidentRow>,
    reversals: BTreeSet<(SaleId, StreamPos, i64)>,
    takings: BTreeMap<(String, String, String, String), TakingsRow>,
    shift_days: BTreeMap<ShiftId, String>,
    /// By store, till and account.
    balances: BTreeMap<(String, String, String), i64>,
    /// By stream and sequence, and two at one place where a stream forked.
    closings: Vec<ClosingRow>,
    /// Events that were folded, by their own ids: one that was adopted is folded once.
    seen: BTreeSet<EventId>,
    /// Adopted events by their ids, and the adopting ones.
    adopted: BTreeMap<EventId, BTreeSet<(StreamId, u64)>>,
}

struct Findings {
    first_bad: Option<String>,
}

impl Findings {
    fn note(&mut self, found: impl FnOnce() -> String) {
        if self.first_bad.is_none() {
            self.first_bad = Some(found());
        }
    }
}

impl Hub {
    /// Folds all events again and compares chain, signatures, stock, takings and feeds with what is stored.
    /// Works on one snapshot, beside a running server.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read at all.
    pub fn verify(&self) -> Result<VerifyReport, StoreError> {
        self.store.read(|tx| self.verify_in(tx))
    }

    fn verify_in(&self, tx: &Tx<'_>) -> StoreResult<VerifyReport> {
        let mut findings = Findings { first_bad: None };
        let pages = tx.quick_check()?;
        if pages != "ok" {
            findings.note(|| format!("file: {pages}"));
        }
        let mut refold = Refold::default();
        let mut streams = BTreeMap::new();
        for row in tx.streams()? {
            self.verify_stream(tx, &row, &mut refold, &mut findings)?;
            streams.insert(
                row.stream.to_string(),
                HeadReport {
                    seq: row.head_seq,
                    hash: row.head_hash,
                },
            );
        }
        for (id, at) in tx.all_adopted()? {
            let holds = refold
                .adopted
                .get(&id)
                .is_some_and(|adopting| adopting.contains(&at));
            if !holds {
                findings.note(|| format!("adopted: nothing at {} {} holds {id}", at.0, at.1));
            }
        }
        let mut projections = BTreeMap::new();
        projections.insert(
            "stock".to_owned(),
            verify_stock(tx, &refold, &mut findings)?,
        );
        projections.insert(
            "takings".to_owned(),
            verify_takings(tx, &refold, &mut findings)?,
        );
        projections.insert(
            "accounts".to_owned(),
            verify_books(tx, &refold, &mut findings)?,
        );
        projections.insert(
            "rights".to_owned(),
            verify_rights(tx, &refold, &mut findings)?,
        );
        if tx.reversals()? != refold.reversals {
            findings.note(|| "reversals: what was undone is not what the events undid".to_owned());
        }
        let feeds = verify_feeds(tx, &mut findings)?;
        Ok(VerifyReport {
            ok: findings.first_bad.is_none(),
            first_bad: findings.first_bad,
            streams,
            feeds,
            contested: tx.contested_count()?,
            projections,
        })
    }

    fn verify_stream(
        &self,
        tx: &Tx<'_>,
        row: &StreamRow,
        refold: &mut Refold,
        findings: &mut Findings,
    ) -> StoreResult<()> {
        let stream = row.stream;
        let set_aside: BTreeSet<u64> = tx
            .quarantined(stream, 1, row.head_seq)?
            .into_iter()
            .map(|(seq, _)| seq)
            .collect();
        let mut expected = 1;
        let mut hash = genesis_hash(stream);
        tx.each_event(stream, |seq, id, bytes, stored| -> StoreResult<()> {
            if seq != expected {
                findings.note(|| format!("stream {stream}: {expected} is missing"));
            }
            expected = seq + 1;
            hash = chain_hash(hash, &bytes);
            if hash != stored {
                findings.note(|| format!("stream {stream}: chain breaks at {seq}"));
                hash = stored;
            }
            let aside = set_aside.contains(&seq);
            if id != registered_id(stream, seq, &bytes) && !(aside && id.is_none()) {
                findings.note(|| format!("stream {stream}: id of {seq} is not that of its bytes"));
            }
            if aside {
                return Ok(());
            }
            let folded = Event::decode(&bytes)
                .map_err(|error| error.to_string())
                .and_then(|event| Ok((event.fact().map_err(|e| e.to_string())?, event)))
                .and_then(|(fact, event)| {
                    let (event, fact) = match &fact {
                        Fact::Adopted(adopted) => {
                            let original = adopted
                                .original()
                                .ok_or_else(|| "what it adopts is no event".to_owned())?;
                            refold
                                .adopted
                                .entry(original.event.id)
                                .or_default()
                                .insert((stream, seq));
                            let fact = original.event.fact().map_err(|e| e.to_string())?;
                            (original.event, fact)
                        }
                        _ => (event, fact),
                    };
                    if !refold.seen.insert(event.id) {
                        return Ok(());
                    }
                    let at = EventRef {
                        stream: event.stream,
                        seq: event.seq,
                        hlc: event.hlc,
                    };
                    if let Fact::Reversed(reversed) = &fact {
                        let here = StreamPos {
                            stream: event.stream,
                            seq: event.seq,
                        };
                        let branch = branch_of(event.id);
                        refold.reversals.insert((reversed.of, here, branch));
                    }
                    refold.take(row, &at, &fact).map_err(|e| e.to_string())
                });
            if let Err(error) = folded {
                findings.note(|| format!("stream {stream}: {seq} does not fold: {error}"));
            }
            Ok(())
        })?;
        if expected != row.head_seq + 1 || hash != row.head_hash {
            findings.note(|| {
                format!(
                    "stream {stream}: head {} is not its last event",
                    row.head_seq
                )
            });
        }
        let head = SignedHead {
            seq: row.head_seq,
            hash: row.head_hash,
            signature: row.signature.clone(),
        };
        // The hub's own device is no till and has no row.
        let owner = tx.device(row.device)?;
        let algorithm = owner.map_or(KeyAlgorithm::Ed25519, |owner| owner.algorithm);
        if sign::verify_head(algorithm, &row.public_key, self.tenant(), stream, &head).is_err() {
            findings.note(|| format!("stream {stream}: head is not signed by its owner"));
        }
        Ok(())
    }
}

impl Refold {
    fn take(&mut self, row: &StreamRow, at: &EventRef, fact: &Fact) -> Result<(), FoldError> {
        for (key, movement) in kept_movements(at, fact) {
            self.movements.entry(key).or_default().push(movement);
        }
        for (account, variant, quantity) in kept_aside(fact) {
            let sum = self.held.entry((account.code(), variant)).or_default();
            *sum = sum.checked_add(quantity).ok_or(FoldError::Overflow)?;
        }
        if let (Some(store), Some(till)) = (&row.store, &row.till) {
            self.book((store, till), at, fact)?;
        }
        self.rights(at, fact)?;
        match fact {
            Fact::StockCounted(count) => {
                for (variant, anchor) in stock::counted(at, count) {
                    let key = StockKey {
                        variant,
                        location: count.location.clone(),
                        zone: count.zone.clone(),
                    };
                    self.anchors.entry(key).or_default().push(anchor);
                }
                Ok(())
            }
            Fact::CountLearned(learned) => {
                for count in &learned.counts {
                    let streams = self.learned.entry(*count).or_default();
                    let seq = streams.entry(at.stream).or_insert(at.seq);
                    *seq = at.seq.min(*seq);
                }
                Ok(())
            }
            Fact::SaleCompleted(sale) => self.takings(row, sale, false),
            Fact::Reversed(reversed) => self.takings(row, &reversed.mirror, true),
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
            | Fact::IncidentResolved(_) => Ok(()),
        }
    }

    fn rights(&mut self, at: &EventRef, fact: &Fact) -> Result<(), FoldError> {
        for effect in escrow::effects(fact) {
            let place = (effect.variant, effect.location);
            let used = self.used.entry((place, at.stream)).or_default();
            let add = |sum: Quantity, more| sum.checked_add(more).ok_or(FoldError::Overflow);
            used.consumed = add(used.consumed, effect.consumed)?;
            used.minted = add(used.minted, effect.minted)?;
        }
        for (place, edge) in kept_edges(at, fact) {
            self.edges
                .entry((place, edge.from, edge.to))
                .and_modify(|known| *known = known.merge(edge))
                .or_insert(edge);
        }
        if let Some(seal) = kept_seal(at, fact)? {
            self.seals.insert(seal.stream, seal);
        }
        match fact {
            Fact::OrderPicked(picked) => {
                self.picked.insert(picked.promise);
            }
            Fact::IncidentRaised(raised) => {
                let row = IncidentRow {
                    seq: at.seq,
                    raised: raised.clone(),
                    wall: wall_of(at),
                    note: None,
                    resolved: None,
                };
                self.incidents.entry(raised.incident).or_insert(row);
            }
            Fact::IncidentResolved(resolved) => {
                let row = self.incidents.get_mut(&resolved.incident);
                if let Some(row) = row.filter(|row| row.resolved.is_none()) {
                    row.note = Some(resolved.note.clone());
                    row.resolved = Some(wall_of(at));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn book(
        &mut self,
        (store, till): (&StoreId, &TillId),
        at: &EventRef,
        fact: &Fact,
    ) -> Result<(), FoldError> {
        for (account, minor) in books::entries(fact)? {
            let key = (store.to_string(), till.to_string(), account);
            let sum = self.balances.entry(key).or_insert(0);
            *sum = sum.checked_add(minor).ok_or(FoldError::Overflow)?;
        }
        if let Some((shift, date)) = books::shift_day(fact) {
            self.shift_days.entry(shift).or_insert(date.to_string());
        }
        let days = &self.shift_days;
        let day = |shift| Ok(days.get(&shift).cloned());
        if let Some(row) = books::closing((store, till), at, fact, day)? {
            self.closings.push(row);
        }
        Ok(())
    }

    fn takings(
        &mut self,
        row: &StreamRow,
        sale: &domain::event::SaleBody,
        reversal: bool,
    ) -> Result<(), FoldError> {
        let (Some(store), Some(till)) = (&row.store, &row.till) else {
            return Ok(());
        };
        let key = (
            sale.business_date.to_string(),
            store.to_string(),
            till.to_string(),
            sale.currency.code().to_owned(),
        );
        let entry = self.takings.entry(key).or_insert_with(|| TakingsRow {
            date: sale.business_date,
            store: store.to_string(),
            till: till.to_string(),
            currency: sale.currency,
            receipts: 0,
            reversals: 0,
            takings_minor: 0,
            units: Quantity::ZERO,
        });
        add_sale(entry, sale, reversal)
    }

    fn stock(&self) -> Result<BTreeMap<StockKey, StockState>, FoldError> {
        let mut keys: BTreeSet<StockKey> = self.movements.keys().cloned().collect();
        for key in self.anchors.keys() {
            // A count of the whole location is one of its main zone, if of no other.
            let zone = if key.zone == ALL_ZONES {
                MAIN_ZONE.to_owned()
            } else {
                key.zone.clone()
            };
            keys.insert(StockKey {
                zone,
                ..key.clone()
            });
        }
        keys.into_iter()
            .map(|key| {
                let anchors = self.anchors_of(&key);
                let movements = self.movements.get(&key).map_or(&[][..], Vec::as_slice);
                let state = add_up(stock::winner(&anchors), movements)?;
                Ok((key, state))
            })
            .collect()
    }

    fn anchors_of(&self, key: &StockKey) -> Vec<Anchor> {
        let whole = StockKey {
            zone: ALL_ZONES.to_owned(),
            ..key.clone()
        };
        let of = |key: &StockKey| self.anchors.get(key).cloned().unwrap_or_default();
        let whole = of(&whole).into_iter().map(|anchor| Anchor {
            quantity: stock::share_of_whole(anchor.quantity, &key.zone),
            ..anchor
        });
        of(key)
            .into_iter()
            .chain(whole)
            .map(|anchor| {
                let at = StreamPos {
                    stream: anchor.at.stream,
                    seq: anchor.at.seq,
                };
                Anchor {
                    learned: self.learned.get(&at).cloned().unwrap_or_default(),
                    ..anchor
                }
            })
            .collect()
    }
}

fn verify_stock(tx: &Tx<'_>, refold: &Refold, findings: &mut Findings) -> StoreResult<Digest> {
    let stored = tx.all_stock()?;
    let mut hasher = Sha256::new();
    for (key, state) in &stored {
        hasher.update(format!(
            "{} {} {} {}\n",
            key.variant,
            key.location,
            key.zone,
            state.quantity.thousandths()
        ));
    }
    if tx.held()? != refold.held {
        findings.note(|| "stock: what is in transit, damaged or gone is not what moved".to_owned());
    }
    match refold.stock() {
        Err(error) => findings.note(|| format!("stock: {error}")),
        Ok(fresh) => {
            for (key, state) in &fresh {
                if stored.get(key) != Some(state) {
                    findings.note(|| {
                        format!(
                            "stock: {} at {} is not what its events come to",
                            key.variant, key.location
                        )
                    });
                }
            }
            if let Some(key) = stored.keys().find(|key| !fresh.contains_key(*key)) {
                findings
                    .note(|| format!("stock: {} at {} has no event", key.variant, key.location));
            }
        }
    }
    for key in stored.keys() {
        let fresh = to_row(&stock_row(tx, key.variant, &key.location)?, "stock row")?;
        let feed = FeedName::Stock(key.location.clone());
        if tx.feed_row(&feed, &key.variant.to_string())?.as_ref() != Some(&fresh) {
            findings.note(|| format!("feed {feed}: row {} is stale", key.variant));
        }
    }
    Ok(Digest(hasher.finalize().into()))
}

fn verify_rights(tx: &Tx<'_>, refold: &Refold, findings: &mut Findings) -> StoreResult<Digest> {
    let mut hasher = Sha256::new();
    let mut edges = BTreeMap::new();
    let mut used = BTreeMap::new();
    for place in tx.right_places()? {
        for edge in tx.edges_at(&place)? {
            hasher.update(format!(
                "{} {} {} {} {} {}\n",
                place.0,
                place.1,
                edge.from,
                edge.to,
                edge.total.thousandths(),
                edge.lease_end.unwrap_or(i64::MAX)
            ));
            edges.insert((place.clone(), edge.from, edge.to), edge);
        }
        for (stream, row) in tx.used_at(&place)? {
            hasher.update(format!(
                "{} {} {stream} {} {}\n",
                place.0,
                place.1,
                row.consumed.thousandths(),
                row.minted.thousandths()
            ));
            used.insert((place.clone(), stream), row);
        }
    }
    if edges != refold.edges {
        findings.note(|| "rights: totals are not what the streams moved".to_owned());
    }
    if used != refold.used {
        findings.note(|| "rights: what was spent and added is not what the events did".to_owned());
    }
    let seals: BTreeMap<_, _> = tx
        .seals()?
        .into_iter()
        .map(|row| (row.stream, row))
        .collect();
    if seals != refold.seals {
        findings.note(|| "rights: seals are not those of the events".to_owned());
    }
    let states = tx.promise_states()?;
    let is_picked = |promise: &PromiseId| refold.picked.contains(promise);
    let fits = |(promise, state): (&PromiseId, &String)| (state == "picked") == is_picked(promise);
    if !states.iter().all(fits) || refold.picked.iter().any(|id| !states.contains_key(id)) {
        findings.note(|| "rights: promises that were handed over are not the events'".to_owned());
    }
    let incidents: BTreeMap<_, _> = tx
        .incidents(false, u32::MAX)?
        .into_iter()
        .map(|row| (row.raised.incident, row))
        .collect();
    if incidents != refold.incidents {
        findings.note(|| "rights: incidents are not those of the events".to_owned());
    }
    let mut strict = BTreeSet::new();
    let locations = tx.locations()?;
    for (_, row) in tx.feed_rows_with(&FeedName::Catalogue, "variant:")? {
        let variant: Variant = from_row(&row, "variant")?;
        let here = locations
            .keys()
            .filter(|at| variant.class_at(at) == StockClass::Strict);
        strict.extend(here.map(|at| (variant.variant, at.clone())));
    }
    if tx.all_strict()? != strict {
        findings.note(|| "rights: strict variants are not the catalogue's".to_owned());
    }
    Ok(Digest(hasher.finalize().into()))
}

fn verify_takings(tx: &Tx<'_>, refold: &Refold, findings: &mut Findings) -> StoreResult<Digest> {
    let stored = tx.takings(None)?;
    let mut hasher = Sha256::new();
    for row in &stored {
        hasher.update(format!(
            "{} {} {} {} {} {} {} {}\n",
            row.date,
            row.store,
            row.till,
            row.currency,
            row.receipts,
            row.reversals,
            row.takings_minor,
            row.units.thousandths()
        ));
    }
    let fresh: Vec<&TakingsRow> = refold.takings.values().collect();
    if !stored.iter().eq(fresh.iter().copied()) {
        findings.note(|| "takings: not what the sales come to".to_owned());
    }
    Ok(Digest(hasher.finalize().into()))
}

fn verify_books(tx: &Tx<'_>, refold: &Refold, findings: &mut Findings) -> StoreResult<Digest> {
    let stored = tx.balances()?;
    let mut hasher = Sha256::new();
    let mut sums: BTreeMap<(&str, &str), i128> = BTreeMap::new();
    for row in &stored {
        hasher.update(format!(
            "{} {} {} {}\n",
            row.store, row.till, row.account, row.minor
        ));
        *sums.entry((&row.store, &row.till)).or_insert(0) += i128::from(row.minor);
    }
    if let Some(((store, till), _)) = sums.iter().find(|(_, sum)| **sum != 0) {
        findings.note(|| format!("accounts: debits and credits of {store} {till} differ"));
    }
    let fresh = refold
        .balances
        .iter()
        .map(|((store, till, account), minor)| BalanceRow {
            store: store.clone(),
            till: till.clone(),
            account: account.clone(),
            minor: *minor,
        });
    if !stored.into_iter().eq(fresh) {
        findings.note(|| "accounts: not what the events come to".to_owned());
    }
    let mut closings = tx.closings(None)?;
    closings.sort();
    // The branches of a forked stream may hold closings that are alike in everything.
    let mut written: Vec<&ClosingRow> = refold.closings.iter().collect();
    written.sort();
    if !closings.iter().eq(written) {
        findings.note(|| "closings: not what the tills wrote".to_owned());
    }
    Ok(Digest(hasher.finalize().into()))
}

fn verify_feeds(tx: &Tx<'_>, findings: &mut Findings) -> StoreResult<BTreeMap<String, FeedReport>> {
    let mut feeds = BTreeMap::new();
    for (feed, head) in tx.feed_heads()? {
        let fresh = tx.feed_head_from_rows(&feed)?;
        // A version may have been taken and its only row changed again since, so the head may be ahead.
        if fresh.checksum != head.checksum || fresh.ver > head.ver {
            findings.note(|| format!("feed {feed}: rows do not come to its checksum"));
        }
        feeds.insert(
            feed,
            FeedReport {
                ver: head.ver,
                checksum: head.checksum,
            },
        );
    }
    Ok(feeds)
}
