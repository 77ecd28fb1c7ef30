//! Who may sell or promise how many units of a strict variant: what is free, grants, recalls, and the counts that
//! streams are told of.
//!
//! Everything here is arithmetic over facts that were folded; whatever is given away is written as a fact of the
//! hub's own stream in the same transaction, before anybody hears of it.

use std::collections::{BTreeMap, BTreeSet};

use domain::catalog::Variant;
use domain::entropy::Entropy;
use domain::escrow::{self, Rights, Tally, grant_message, target, wants_more};
use domain::event::{ALL_ZONES, Fact, IncidentKind, MAIN_ZONE, RightsLine, RightsMoved, StreamPos};
use domain::ids::{LocationId, StoreId, StreamId, TillId, VariantId};
use domain::quantity::Quantity;
use domain::stock::{self, Anchor, EventRef, Moved};
use domain::time::Now;
use sync_protocol::{Cursor, FeedName, Grant, Recall, SyncRequest, sign};

use crate::accept::ANCHOR_AHEAD_MS_MAX;
use crate::fold::{Fold, FoldError, Origin, each_folded};
use crate::incidents::incident;
use crate::lifecycle::{Hub, Identity, epoch, epoch_began};
use crate::own_stream::append;
use crate::shops::{AdminError, from_row, unknown};
use crate::store::{
    DeviceRow, EdgeRow, KeptMovement, Place, SealRow, SeenRow, StockKey, StoreError, StoreResult,
    StreamRow, Tx,
};

/// How long rights may be spent after they were granted, in milliseconds.
pub const LEASE_MS: i64 = 7 * 24 * 60 * 60 * 1_000;
/// Sales within this time are what a till is expected to sell without being heard, in milliseconds.
pub const DEMAND_MS: i64 = 8 * 60 * 60 * 1_000;
/// A device that was heard of within this time shares in what is given out, in milliseconds.
pub const ONLINE_MS: i64 = 2 * 60 * 1_000;
/// How long somebody is taken to stand and wait, in milliseconds.
pub const WANT_MS: i64 = 2 * 60 * 1_000;
/// How much later than the seal of a lost device's stream a count must be made to reclaim what it held, in milliseconds:
/// a clock that is further ahead than this is not believed when it counts.
pub const RECLAIM_MARGIN_MS: i64 = ANCHOR_AHEAD_MS_MAX.cast_signed();
/// Strict variants that are looked at in one answer.
const PLACES_MAX: usize = 500;
/// Lines of one answer.
const LINES_MAX: usize = 1_000;
/// Counts of one answer.
const COUNTS_MAX: u32 = 100;

/// What the hub knows of the rights at one place.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub free: Quantity,
    pub outstanding: Quantity,
    pub promised: Quantity,
    /// Of every stream but the hub's; those that were reclaimed are left out.
    pub tallies: BTreeMap<StreamId, Tally>,
}

impl Standing {
    /// What a stream may spend as far as is known.
    pub fn right(&self, stream: StreamId) -> Quantity {
        self.tallies
            .get(&stream)
            .map(Tally::right)
            .unwrap_or_default()
    }
}

/// The rights at a place, as a report shows them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RightsView {
    /// What may still be granted or promised; below zero more was given away than there is.
    pub free: Quantity,
    /// What streams may still sell as far as is known.
    pub outstanding: Quantity,
    /// What open promises hold.
    pub promised: Quantity,
    /// What each stream may still sell.
    pub by_stream: BTreeMap<StreamId, Quantity>,
}

/// A strict variant at a location: what is there, and who may sell it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PlaceRights {
    /// Location.
    pub location: LocationId,
    /// Thousandths on hand as far as is known.
    pub on_hand: Quantity,
    /// What may still be granted or promised; below zero more was given away than there is.
    pub free: Quantity,
    /// What open promises hold.
    pub promised: Quantity,
    /// Streams of tills that may still sell some.
    pub holders: Vec<HolderLine>,
}

/// What a till's stream may still sell of a strict variant.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HolderLine {
    /// Stream.
    pub stream: StreamId,
    /// Store of its till.
    pub store: Option<StoreId>,
    /// Its till.
    pub till: Option<TillId>,
    /// How much, thousandths.
    pub quantity: Quantity,
    /// Whether the stream is sealed: only a report of it or a count brings this back.
    pub sealed: bool,
}

impl Hub {
    /// Who may sell a SKU, at each location where it is strict.
    ///
    /// # Errors
    /// [`AdminError::Unknown`] SKU.
    pub fn rights_of(&self, sku: &str) -> Result<Vec<PlaceRights>, AdminError> {
        let own = self.identity.stream;
        self.store.read(|tx| {
            let row = tx.variant_by_sku(sku)?.ok_or_else(|| unknown("SKU", sku))?;
            let mut places = Vec::new();
            for location in tx.locations()?.into_keys() {
                let place = (row.variant, location);
                if !tx.is_strict(&place)? {
                    continue;
                }
                let standing = standing(tx, own, &place)?;
                let mut holders = Vec::new();
                for (stream, tally) in &standing.tallies {
                    let quantity = tally.outstanding();
                    if quantity <= Quantity::ZERO {
                        continue;
                    }
                    let holder = tx.stream(*stream)?;
                    holders.push(HolderLine {
                        stream: *stream,
                        store: holder.as_ref().and_then(|row| row.store.clone()),
                        till: holder.and_then(|row| row.till),
                        quantity,
                        sealed: tx.seal(*stream)?.is_some(),
                    });
                }
                let on_hand = tx.zones(place.0, &place.1)?.into_iter();
                places.push(PlaceRights {
                    location: place.1,
                    on_hand: Quantity(on_hand.map(|(_, state)| state.quantity.0).sum()),
                    free: standing.free,
                    promised: standing.promised,
                    holders,
                });
            }
            Ok(places)
        })
    }

    /// What is free, granted and promised of a variant at a location.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rights(
        &self,
        variant: VariantId,
        location: &LocationId,
    ) -> Result<RightsView, StoreError> {
        let own = self.identity.stream;
        let standing = self
            .store
            .read(|tx| standing(tx, own, &(variant, location.clone())))?;
        Ok(RightsView {
            free: standing.free,
            outstanding: standing.outstanding,
            promised: standing.promised,
            by_stream: standing
                .tallies
                .iter()
                .map(|(stream, tally)| (*stream, tally.outstanding()))
                .collect(),
        })
    }
}

/// Adds a fact to the hub's own stream and folds it.
pub(crate) fn write_fact(
    tx: &Tx<'_>,
    identity: &Identity,
    entropy: &mut Entropy,
    fact: &Fact,
    now: &Now,
) -> StoreResult<EventRef> {
    let at = append(tx, identity, entropy, fact, now)?;
    let mut fold = Fold::new(tx);
    let origin = Origin {
        till: None,
        branch: 0,
    };
    fold.apply(&origin, &at, fact)
        .map_err(|error| match error {
            FoldError::Store(error) => error,
            FoldError::Overflow => StoreError::Corrupt("rights"),
        })?;
    fold.finish()?;
    Ok(at)
}

/// What the facts say about a place.
pub(crate) fn standing(tx: &Tx<'_>, own: StreamId, place: &Place) -> StoreResult<Standing> {
    standing_beside(tx, own, place, &waited_at(tx, &place.1)?)
}

/// As [`standing`], with the streams that are waited for at the location.
fn standing_beside(
    tx: &Tx<'_>,
    own: StreamId,
    place: &Place,
    waited_for: &[Waited],
) -> StoreResult<Standing> {
    let mut rights = Rights::default();
    let edges = tx.edges_at(place)?;
    for edge in &edges {
        rights.moved(edge.from, edge.to, edge.total);
    }
    for (stream, used) in tx.used_at(place)? {
        rights.used(stream, used.consumed, used.minted);
    }
    let mut tallies = BTreeMap::new();
    let mut settled = BTreeSet::new();
    for stream in rights.streams(own) {
        let tally = rights.tally(stream);
        if tally.outstanding() > Quantity::ZERO
            && is_reclaimed(tx, own, place, (stream, &tally), &edges)?
        {
            settled.insert(stream);
        } else {
            tallies.insert(stream, tally);
        }
    }
    let outstanding = rights.outstanding(own, |stream| settled.contains(&stream));
    let promised = tx.promised(place)?;
    Ok(Standing {
        free: escrow::free(
            least_on_hand(tx, own, place, waited_for)?,
            outstanding,
            promised,
        ),
        outstanding,
        promised,
        tallies,
    })
}

/// Whether what a sealed stream held was given up: every lease on its way there is over, and somebody counted after
/// that. The end of the lease alone says nothing: the device may have sold before it, and nobody heard.
fn is_reclaimed(
    tx: &Tx<'_>,
    own: StreamId,
    place: &Place,
    (stream, tally): (StreamId, &Tally),
    edges: &[EdgeRow],
) -> StoreResult<bool> {
    let Some(seal) = tx.seal(stream)? else {
        return Ok(false);
    };
    let mut ends = Vec::new();
    for edge in edges.iter().filter(|edge| edge.to == stream) {
        // A right without end never comes back by itself.
        let Some(end) = edge.lease_end else {
            return Ok(false);
        };
        ends.push(end);
    }
    let Some(end) = ends.into_iter().max() else {
        return Ok(false);
    };
    // What came in over its own counter is under a lease only once the device has seen one.
    let bound = tally.minted == Quantity::ZERO
        || tx
            .seen(stream, place)?
            .is_some_and(|seen| seen.lease_end.is_some());
    if !bound {
        return Ok(false);
    }
    // First the lease, then the seal, then the count; a seal of before is set again.
    if seal.wall <= end {
        return Ok(false);
    }
    // Anchors of the main zone hold those of the whole location.
    let counts = tx.anchors(&main_shelf(place))?;
    // Only the count that the stock stands on: one that another beats says nothing of what is there.
    Ok(stock::winner(&counts)
        .is_some_and(|count| count.at.stream != stream && knew_of(count, &seal, own)))
}

/// Whether the author of a count knew of a seal when it looked at the goods. Its cut says so; the clock is asked
/// besides, because a restored server may come to one place of its stream (`own`) twice.
fn knew_of(count: &Anchor, seal: &SealRow, own: StreamId) -> bool {
    let after = seal.wall.saturating_add(RECLAIM_MARGIN_MS);
    count.knew(own, seal.at) && count.looked_ms > u64::try_from(after).unwrap_or(u64::MAX)
}

/// The least that can be on hand while some streams have not said whether they knew of a count.
fn least_on_hand(
    tx: &Tx<'_>,
    own: StreamId,
    place: &Place,
    waited_for: &[Waited],
) -> StoreResult<Quantity> {
    let (variant, location) = place;
    let mut sum = 0_i128;
    for (zone, state) in tx.zones(*variant, location)? {
        if zone == ALL_ZONES {
            continue;
        }
        let key = StockKey {
            variant: *variant,
            location: location.clone(),
            zone,
        };
        let anchors = tx.anchors(&key)?;
        let pending = pending(&anchors, waited_for, own);
        let least = if pending.is_empty() {
            state.quantity
        } else {
            let movements: Vec<(EventRef, Moved)> = tx
                .movements(&key)?
                .into_iter()
                .map(|KeptMovement { at, moved }| (at, moved))
                .collect();
            stock::least_on_hand(&movements, &anchors, |anchor| {
                pending.contains(&place_of(&anchor.at))
            })
        };
        sum += i128::from(least.0);
    }
    let limit = if sum < 0 { i64::MIN } else { i64::MAX };
    Ok(Quantity(i64::try_from(sum).unwrap_or(limit)))
}

fn place_of(at: &EventRef) -> StreamPos {
    StreamPos {
        stream: at.stream,
        seq: at.seq,
    }
}

/// Counts that not every stream has said to know of; one that a settled count knew of plays no part any more.
fn pending(anchors: &[Anchor], waited_for: &[Waited], own: StreamId) -> BTreeSet<StreamPos> {
    let open = |anchor: &Anchor| {
        waited_for.iter().any(|waited| {
            let seal = waited.sealed.as_ref();
            let sealed_before = seal.is_some_and(|seal| knew_of(anchor, seal, own));
            waited.stream != anchor.at.stream
                && !sealed_before
                && !anchor.learned.contains_key(&waited.stream)
        })
    };
    let knew = |later: &Anchor, earlier: &Anchor| later.knew(earlier.at.stream, earlier.at.seq);
    let settled: Vec<&Anchor> = anchors.iter().filter(|anchor| !open(anchor)).collect();
    anchors
        .iter()
        .filter(|anchor| open(anchor) && !settled.iter().any(|later| knew(later, anchor)))
        .map(|anchor| place_of(&anchor.at))
        .collect()
}

/// A stream of a location, and when it was sealed. A count waits for it unless its author knew of the seal.
struct Waited {
    stream: StreamId,
    sealed: Option<SealRow>,
}

fn waited_at(tx: &Tx<'_>, location: &LocationId) -> StoreResult<Vec<Waited>> {
    let Some(store) = store_of(tx, location)? else {
        return Ok(Vec::new());
    };
    let seals = tx.seals()?.into_iter().map(|row| (row.stream, row));
    let mut seals: BTreeMap<StreamId, SealRow> = seals.collect();
    let streams = tx.streams()?.into_iter();
    Ok(streams
        .filter(|row| row.store.as_ref() == Some(&store))
        .map(|row| Waited {
            sealed: seals.remove(&row.stream),
            stream: row.stream,
        })
        .collect())
}

/// Streams that are waited for at a location.
pub(crate) fn streams_at(tx: &Tx<'_>, location: &LocationId) -> StoreResult<Vec<StreamRow>> {
    match store_of(tx, location)? {
        Some(store) => tx.open_streams(&store),
        None => Ok(Vec::new()),
    }
}

fn store_of(tx: &Tx<'_>, location: &LocationId) -> StoreResult<Option<StoreId>> {
    Ok(tx
        .locations()?
        .remove(location)
        .and_then(|(_, store)| store))
}

/// What a restored server must hear before strict variants are granted and promised again at a location: what was
/// granted since the backup it does not know.
pub(crate) enum Gate {
    /// Somebody has not said what it holds and how far it has come, or nobody has said that the list of devices is
    /// complete.
    Shut,
    /// Everybody who could be heard was heard. These streams were sealed instead, when their last leases had ended: each
    /// place opens when it was counted by somebody who knew of it.
    Counted(Vec<SealRow>),
}

impl Gate {
    pub fn at(tx: &Tx<'_>, location: &LocationId) -> StoreResult<Gate> {
        let epoch = epoch(tx)?;
        if epoch <= 1 {
            return Ok(Gate::Counted(Vec::new()));
        }
        // A device that was enrolled after the backup is not known here, and may hold rights.
        if tx.has_open_incident(&incident(IncidentKind::ServerRestored))? {
            return Ok(Gate::Shut);
        }
        let Some(store) = store_of(tx, location)? else {
            return Ok(Gate::Counted(Vec::new()));
        };
        let began = epoch_began(tx)?;
        let mut counted = Vec::new();
        for row in tx.streams()? {
            if row.store.as_ref() != Some(&store) {
                continue;
            }
            let reported = tx.epoch_report(row.stream)?;
            if reported.is_some_and(|(of, head)| of == epoch && head <= row.head_seq) {
                continue;
            }
            match tx.seal(row.stream)? {
                // Nothing was granted to it after the backup.
                Some(seal) if seal.wall < began => {}
                // The backup does not know its last leases, so the longest counts.
                Some(seal) if seal.wall > began.saturating_add(LEASE_MS) => {
                    counted.push(seal);
                }
                _ => return Ok(Gate::Shut),
            }
        }
        Ok(Gate::Counted(counted))
    }

    /// Whether a variant may be granted and promised there.
    pub fn lets(&self, tx: &Tx<'_>, own: StreamId, place: &Place) -> StoreResult<bool> {
        if !is_known_strict(tx, place)? {
            return Ok(false);
        }
        let Gate::Counted(sealed) = self else {
            return Ok(false);
        };
        if sealed.is_empty() {
            return Ok(true);
        }
        let counts = tx.anchors(&main_shelf(place))?;
        let standing = stock::winner(&counts);
        Ok(sealed.iter().all(|seal| {
            standing
                .is_some_and(|count| count.at.stream != seal.stream && knew_of(count, seal, own))
        }))
    }
}

/// Whether every till of the store knows that the variant is strict there, and has reported what it did before it knew: it
/// sold units of it without any right until then, offline too.
fn is_known_strict(tx: &Tx<'_>, place: &Place) -> StoreResult<bool> {
    let since = tx.strict_since(place)?.unwrap_or(0);
    if since == 0 {
        return Ok(true);
    }
    let row = Cursor {
        ver: since,
        pk: format!("variant:{}", place.0),
    };
    for stream in streams_at(tx, &place.1)? {
        let read = tx.catalogue_read(stream.stream)?;
        if !read.is_some_and(|(read, head)| read >= row && head <= stream.head_seq) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn main_shelf(place: &Place) -> StockKey {
    StockKey {
        variant: place.0,
        location: place.1.clone(),
        zone: MAIN_ZONE.to_owned(),
    }
}

/// Whether somebody shows a grant of this epoch or a later one that this server signed and knows nothing of.
pub(crate) fn has_forgotten<'g>(
    tx: &Tx<'_>,
    identity: &Identity,
    stream: StreamId,
    seen: impl Iterator<Item = &'g Grant>,
) -> StoreResult<bool> {
    let epoch = epoch(tx)?;
    for grant in seen.take(LINES_MAX).filter(|grant| grant.epoch >= epoch) {
        let place = (grant.line.variant, grant.line.location.clone());
        let known = tx.edge(&place, identity.stream, stream)?;
        let known = known.map(|edge| edge.total).unwrap_or_default();
        if grant.line.total > known && is_ours(identity, stream, grant) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_ours(identity: &Identity, stream: StreamId, grant: &Grant) -> bool {
    let message = grant_message(
        &identity.tenant,
        grant.epoch,
        (grant.from, stream),
        &grant.line,
    );
    grant.from == identity.stream
        && sign::verify(
            domain::config::KeyAlgorithm::Ed25519,
            &sign::public_key(&identity.key),
            &message,
            &grant.signature,
        )
        .is_ok()
}

/// What an answer says about rights.
#[derive(Debug, Default)]
pub(crate) struct RightsReply {
    pub grants: Vec<Grant>,
    pub recall: Vec<Recall>,
    pub counts: Vec<StreamPos>,
}

/// Takes in what a device says of its rights, gives out what is due, and says what it should know or give back.
pub(crate) fn answer(
    tx: &Tx<'_>,
    identity: &Identity,
    entropy: &mut Entropy,
    (device, location): (&DeviceRow, &LocationId),
    request: &SyncRequest,
    now: &Now,
) -> StoreResult<RightsReply> {
    let stream = request.stream;
    // A device that does not speak of rights cannot hold any, and a sealed stream gets none.
    let (Some(report), Some(row), None) = (&request.rights, tx.stream(stream)?, tx.seal(stream)?)
    else {
        return Ok(RightsReply::default());
    };
    if row.store.as_ref() != Some(&device.store) {
        return Ok(RightsReply::default());
    }
    tx.expire_promises(now.wall_ms)?;
    let epoch = epoch(tx)?;
    let mut desk = Desk {
        tx,
        identity,
        entropy,
        epoch,
        now,
    };
    if request.authority == identity.authority && request.epoch == epoch {
        desk.take_seen(stream, &report.seen)?;
        desk.take_read(request)?;
        let known = tx.epoch_report(stream)?;
        if report.whole && known.is_none_or(|(of, _)| of != epoch) {
            tx.put_epoch_report(stream, epoch, request.head_seq)?;
        }
    }
    tx.drop_wants(stream)?;
    for want in report.want.iter().take(PLACES_MAX) {
        let place = (want.variant, want.location.clone());
        if want.location == *location && want.quantity > Quantity::ZERO && tx.is_strict(&place)? {
            tx.put_want(stream, &place, want.quantity, now.wall_ms)?;
        }
    }
    if tx.epoch_report(stream)?.is_some() {
        desk.grant(&row, location)?;
    }
    Ok(RightsReply {
        grants: desk.unseen(stream)?,
        recall: desk.recalls(&row, location)?,
        counts: tx.counts_to_learn(stream, location, COUNTS_MAX)?,
    })
}

/// One answer's work on rights.
struct Desk<'a, 'c> {
    tx: &'a Tx<'c>,
    identity: &'a Identity,
    entropy: &'a mut Entropy,
    epoch: u64,
    now: &'a Now,
}

/// Who takes part when a place is shared out.
struct Claim {
    stream: StreamId,
    demand: Quantity,
    /// Somebody waits for these.
    urgent: Quantity,
    /// These would bring it to what it should hold.
    more: Quantity,
}

impl Desk<'_, '_> {
    /// Takes down how far a till has read the catalogue, and what it had done by then.
    fn take_read(&self, request: &SyncRequest) -> StoreResult<()> {
        let Some(cursor) = request.cursors.get(&FeedName::Catalogue) else {
            return Ok(());
        };
        let stream = request.stream;
        let known = self.tx.catalogue_read(stream)?;
        let is_news = known.is_none_or(|(read, _)| read < *cursor);
        // One from the future says nothing of the rows that are still to come.
        if is_news && cursor.ver <= self.tx.feed_head(&FeedName::Catalogue)?.ver {
            self.tx
                .put_catalogue_read(stream, cursor, request.head_seq)?;
        }
        Ok(())
    }

    /// Believes what the hub itself has signed: after a restore that may be more than it remembers.
    fn take_seen(&mut self, stream: StreamId, seen: &[Grant]) -> StoreResult<()> {
        let own = self.identity.stream;
        let mut lines = Vec::new();
        for grant in seen.iter().take(LINES_MAX) {
            let line = &grant.line;
            let place = (line.variant, line.location.clone());
            if !is_ours(self.identity, stream, grant) {
                tracing::warn!(stream = %stream, "a device shows a grant that is not ours");
                continue;
            }
            let known = self.tx.edge(&place, own, stream)?;
            let said = EdgeRow {
                from: own,
                to: stream,
                total: line.total,
                lease_end: line.lease_end,
            };
            if known.is_none_or(|known| known.merge(said) != known) {
                lines.push(line.clone());
            }
            let fresh = SeenRow {
                epoch: grant.epoch,
                total: line.total,
                lease_end: line.lease_end,
            };
            self.tx.put_seen(stream, &place, &fresh)?;
        }
        self.write_grants(stream, lines)
    }

    fn write_grants(&mut self, to: StreamId, lines: Vec<RightsLine>) -> StoreResult<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let fact = Fact::RightsGranted(RightsMoved {
            to,
            epoch: self.epoch,
            lines,
        });
        write_fact(self.tx, self.identity, self.entropy, &fact, self.now)?;
        Ok(())
    }

    /// Gives out what is due at a location, to all who share in it at once, so that the order in which they call
    /// plays no part.
    fn grant(&mut self, caller: &StreamRow, location: &LocationId) -> StoreResult<()> {
        let gate = Gate::at(self.tx, location)?;
        if matches!(gate, Gate::Shut) {
            return Ok(());
        }
        let claimants = self.claimants(caller, location)?;
        let waited_for = waited_at(self.tx, location)?;
        let mut lines: BTreeMap<StreamId, Vec<RightsLine>> = BTreeMap::new();
        let lease_end = self.now.wall_ms.saturating_add(LEASE_MS);
        for variant in self.tx.strict_at(location)?.into_iter().take(PLACES_MAX) {
            let place = (variant, location.clone());
            if !gate.lets(self.tx, self.identity.stream, &place)? {
                continue;
            }
            let standing = standing_beside(self.tx, self.identity.stream, &place, &waited_for)?;
            for (stream, units) in self.shares(&claimants, &place, &standing)? {
                let known = self.total(&place, stream)?;
                let total = known
                    .checked_add(Quantity(units * 1_000))
                    .ok_or(StoreError::Corrupt("rights"))?;
                lines.entry(stream).or_default().push(RightsLine {
                    variant,
                    location: location.clone(),
                    total,
                    lease_end: Some(lease_end),
                });
            }
            if let Some(line) = self.renewal(caller.stream, &place, &standing, lease_end)? {
                let of_caller = lines.entry(caller.stream).or_default();
                if of_caller.iter().all(|line| line.variant != variant) {
                    of_caller.push(line);
                }
            }
        }
        for (stream, lines) in lines {
            self.write_grants(stream, lines)?;
        }
        Ok(())
    }

    /// The clock reading from which on sales tell what a till is expected to sell.
    fn demand_since(&self) -> u64 {
        u64::try_from(self.now.wall_ms.saturating_sub(DEMAND_MS)).unwrap_or(0) << 16
    }

    fn total(&self, place: &Place, stream: StreamId) -> StoreResult<Quantity> {
        let edge = self.tx.edge(place, self.identity.stream, stream)?;
        Ok(edge.map(|edge| edge.total).unwrap_or_default())
    }

    /// A longer lease for what the caller holds, when half of it is over or it has none yet.
    fn renewal(
        &self,
        stream: StreamId,
        place: &Place,
        standing: &Standing,
        lease_end: i64,
    ) -> StoreResult<Option<RightsLine>> {
        // A lease revives whatever the till still holds, so there must be enough for that.
        if standing.right(stream) <= Quantity::ZERO || standing.free < Quantity::ZERO {
            return Ok(None);
        }
        let edge = self.tx.edge(place, self.identity.stream, stream)?;
        let half_over = self.now.wall_ms.saturating_add(LEASE_MS / 2);
        if edge.is_some_and(|edge| edge.lease_end.is_none_or(|end| end > half_over)) {
            return Ok(None);
        }
        Ok(Some(RightsLine {
            variant: place.0,
            location: place.1.clone(),
            total: edge.map(|edge| edge.total).unwrap_or_default(),
            lease_end: Some(lease_end),
        }))
    }

    /// Streams of the location that are heard of and speak of rights; the caller is among them.
    fn claimants(&self, caller: &StreamRow, location: &LocationId) -> StoreResult<Vec<StreamId>> {
        let mut claimants = Vec::new();
        for row in streams_at(self.tx, location)? {
            let Some(device) = self.tx.device(row.device)? else {
                continue;
            };
            let heard = device.contact.saturating_add(ONLINE_MS) >= self.now.wall_ms;
            let speaks = self
                .tx
                .epoch_report(row.stream)?
                .is_some_and(|(epoch, _)| epoch == self.epoch);
            if row.stream == caller.stream || heard && speaks && device.revoked.is_none() {
                claimants.push(row.stream);
            }
        }
        Ok(claimants)
    }

    /// How many units each stream gets of what is free.
    fn shares(
        &self,
        claimants: &[StreamId],
        place: &Place,
        standing: &Standing,
    ) -> StoreResult<Vec<(StreamId, i64)>> {
        let free = standing.free.0.div_euclid(1_000);
        if free <= 0 {
            return Ok(Vec::new());
        }
        let wants = self
            .tx
            .wants_at(place, self.now.wall_ms.saturating_sub(WANT_MS))?;
        let since = self.demand_since();
        let mut claims = Vec::new();
        for stream in claimants {
            let want = wants.get(stream).copied().unwrap_or_default();
            let sold = self.tx.sold_since(place, *stream, since)?;
            // A till that never sold one should be able to sell one all the same.
            let demand = sold.max(want).max(Quantity::ONE);
            let right = standing.right(*stream);
            let urgent = Quantity((want.0 - right.0).max(0));
            let after = Quantity(right.0.saturating_add(urgent.0));
            let more = if wants_more(right, demand) {
                Quantity((target(demand).0 - after.0).max(0))
            } else {
                Quantity::ZERO
            };
            claims.push(Claim {
                stream: *stream,
                demand,
                urgent,
                more,
            });
        }
        let units = |quantity: Quantity| quantity.0.saturating_add(999) / 1_000;
        let urgent: Vec<(i64, i64)> = claims
            .iter()
            .map(|claim| (units(claim.urgent), claim.demand.0))
            .collect();
        let first = largest_remainder(free, &urgent);
        let left = free - first.iter().sum::<i64>();
        let more: Vec<(i64, i64)> = claims
            .iter()
            .map(|claim| (units(claim.more), claim.demand.0))
            .collect();
        let second = largest_remainder(left, &more);
        Ok(claims
            .iter()
            .zip(first.iter().zip(&second))
            .map(|(claim, (first, second))| (claim.stream, first + second))
            .filter(|(_, units)| *units > 0)
            .collect())
    }

    /// Totals that the device has not said to have seen, under the epoch of now.
    fn unseen(&self, stream: StreamId) -> StoreResult<Vec<Grant>> {
        let own = self.identity.stream;
        let mut grants = Vec::new();
        for (place, edge) in self.tx.edges_to(stream)? {
            if edge.from != own || grants.len() >= LINES_MAX {
                continue;
            }
            let seen = self.tx.seen(stream, &place)?;
            let has = seen.is_some_and(|seen| {
                seen.total == edge.total
                    && seen.lease_end == edge.lease_end
                    && seen.epoch == self.epoch
            });
            if has {
                continue;
            }
            let line = RightsLine {
                variant: place.0,
                location: place.1,
                total: edge.total,
                lease_end: edge.lease_end,
            };
            let message = grant_message(&self.identity.tenant, self.epoch, (own, stream), &line);
            grants.push(Grant {
                from: own,
                epoch: self.epoch,
                line,
                signature: sign::sign(&self.identity.key, &message),
            });
        }
        Ok(grants)
    }

    /// What the caller should give back: more is wanted elsewhere than is free, and it is the richest that can be
    /// asked; or it holds far more than it sells.
    fn recalls(&self, caller: &StreamRow, location: &LocationId) -> StoreResult<Vec<Recall>> {
        let online = self.claimants(caller, location)?;
        let waited_for = waited_at(self.tx, location)?;
        let since = self.now.wall_ms.saturating_sub(WANT_MS);
        let mut recalls = Vec::new();
        for place in self.tx.places_of(caller.stream)? {
            if place.1 != *location || recalls.len() >= LINES_MAX {
                continue;
            }
            let standing = standing_beside(self.tx, self.identity.stream, &place, &waited_for)?;
            let mine = standing.right(caller.stream);
            if mine <= Quantity::ZERO {
                continue;
            }
            let wants = self.tx.wants_at(&place, since)?;
            let missing: i64 = wants
                .iter()
                .filter(|(stream, _)| **stream != caller.stream)
                .map(|(stream, want)| {
                    (want.0 - standing.right(*stream).max(Quantity::ZERO).0).max(0)
                })
                .fold(0_i64, i64::saturating_add);
            let short = missing.saturating_sub(standing.free.0).max(0);
            let richest = online
                .iter()
                .max_by_key(|stream| (standing.right(**stream), std::cmp::Reverse(**stream)));
            let own_want = wants.get(&caller.stream).copied().unwrap_or_default();
            let spare = mine.0.saturating_sub(own_want.0).max(0);
            let short = if richest == Some(&caller.stream) {
                short
            } else {
                0
            };
            let sold = self
                .tx
                .sold_since(&place, caller.stream, self.demand_since())?;
            let enough = target(sold.max(own_want).max(Quantity::ONE));
            // Twice what it should hold is more than it will miss.
            let above = if mine.0 / 2 > enough.0 {
                mine.0 - enough.0
            } else {
                0
            };
            let quantity = short.max(above).min(spare);
            if quantity > 0 {
                recalls.push(Recall {
                    variant: place.0,
                    location: place.1,
                    quantity: Quantity(quantity),
                });
            }
        }
        Ok(recalls)
    }
}

/// Shares `units` out among claims of (units wanted, weight): by weight, what is left over to the largest remainders,
/// nobody more than he wants. The same claims always come to the same shares; among equals the earlier wins.
fn largest_remainder(units: i64, claims: &[(i64, i64)]) -> Vec<i64> {
    let mut shares = vec![0_i64; claims.len()];
    let mut left = units.max(0);
    loop {
        let room = |shares: &[i64], index: usize| claims[index].0 - shares[index];
        let hungry: Vec<usize> = (0..claims.len())
            .filter(|index| room(&shares, *index) > 0)
            .collect();
        if left == 0 || hungry.is_empty() {
            return shares;
        }
        let weight = |index: usize| i128::from(claims[index].1.max(1));
        let weights: i128 = hungry.iter().map(|index| weight(*index)).sum();
        let quota = |index: usize| i128::from(left) * weight(index);
        // Whoever wants less than his part gets all he wants, and the rest is shared among the others.
        let content: Vec<usize> = hungry
            .iter()
            .copied()
            .filter(|index| i128::from(room(&shares, *index)) * weights <= quota(*index))
            .collect();
        if !content.is_empty() {
            for index in content {
                left -= room(&shares, index);
                shares[index] = claims[index].0;
            }
            continue;
        }
        let mut order = hungry;
        order.sort_by_key(|index| (std::cmp::Reverse(quota(*index) % weights), *index));
        let whole = |index: usize| i64::try_from(quota(index) / weights).unwrap_or(0);
        let mut over = left - order.iter().map(|index| whole(*index)).sum::<i64>();
        for index in order {
            let one = i64::from(over > 0);
            shares[index] += whole(index) + one;
            over -= one;
        }
        return shares;
    }
}

/// Reads all events of a file from before rights were kept, and the classes of its catalogue.
pub(crate) fn index_everything(tx: &Tx<'_>) -> StoreResult<()> {
    index_classes(tx)?;
    each_folded(tx, |at, _, fact| {
        crate::fold::fold_rights(tx, at, fact).map_err(|error| match error {
            FoldError::Overflow => StoreError::Corrupt("rights"),
            FoldError::Store(error) => error,
        })
    })
}

/// Brings the list of strict variants up to the catalogue.
pub(crate) fn index_classes(tx: &Tx<'_>) -> StoreResult<()> {
    let locations: Vec<LocationId> = tx.locations()?.into_keys().collect();
    for (_, row) in tx.feed_rows_with(&FeedName::Catalogue, "variant:")? {
        tx.index_class(&from_row::<Variant>(&row, "variant")?, &locations, 0)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_go_by_weight_and_what_is_left_to_the_largest_remainders() {
        // 5 units among weights 6, 3, 1: quotas 3, 1.5 and 0.5; among equal remainders the earlier wins.
        assert_eq!(largest_remainder(5, &[(9, 6), (9, 3), (9, 1)]), [3, 2, 0]);
        assert_eq!(largest_remainder(4, &[(9, 1), (9, 6)]), [1, 3]);
        // Nobody gets more than he wants, and what he leaves is shared again.
        assert_eq!(largest_remainder(5, &[(1, 6), (9, 3), (9, 1)]), [1, 3, 1]);
        assert_eq!(largest_remainder(1, &[(1, 1), (1, 1)]), [1, 0]);
        assert_eq!(largest_remainder(1, &[(1, 1), (1, 2)]), [0, 1]);
        assert_eq!(largest_remainder(9, &[(2, 1), (3, 1)]), [2, 3]);
        assert_eq!(largest_remainder(0, &[(2, 1)]), [0]);
        assert_eq!(largest_remainder(-3, &[(2, 1)]), [0]);
    }
}
