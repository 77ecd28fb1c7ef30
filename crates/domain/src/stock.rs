//! Stock as a pure function of a *set* of events: the same answer in any order and under any repetition.
//!
//! On hand of (variant, location, zone) = the count that beats all others + the movements that lie after it.
//! A count carries its causal cut: a movement in the cut lies before it, a later event of the counting stream
//! lies after it. What is left is concurrent as far as anybody can tell, and [`is_after`] decides in doubt
//! against the shelf, so that a unit that may be gone is not promised.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::StockClass;
use crate::event::{
    ALL_ZONES, AdjustReason, Counted, Fact, GoodsLine, MAIN_ZONE, SaleBody, SaleLine, StockCounted,
    StreamPos,
};
use crate::ids::{EventId, LocationId, StreamId, TransferId, VariantId};
use crate::quantity::{QUANTITY_MAX, Quantity};
use crate::time::Hlc;
use uuid::Uuid;

/// Where an event stands: its identity and its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventRef {
    /// Stream.
    pub stream: StreamId,
    /// Sequence number.
    pub seq: u64,
    /// Clock reading.
    pub hlc: Hlc,
}

/// Goods that left or came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Variant.
    pub variant: VariantId,
    /// Location.
    pub location: LocationId,
    /// Zone.
    pub zone: String,
    /// How much, and what a fold must know of it.
    pub moved: Moved,
    /// Where the goods went, or came from.
    pub against: StockAccount,
}

/// How much moved, and what decides on which side of a count it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Negative when goods left.
    pub delta: Quantity,
    /// The variant was strict at the location: a doubt is decided against those that came, too.
    pub strict: bool,
    /// A count that found these goods already.
    pub included_in: Option<StreamPos>,
}

impl From<Quantity> for Moved {
    /// A movement of a variant of the shelf.
    fn from(delta: Quantity) -> Moved {
        Moved {
            delta,
            strict: false,
            included_in: None,
        }
    }
}

/// What a fact moves: one movement per variant, zone and counterpart, in ascending order; a fact that moves nothing
/// gives none, and so does a line of an untracked variant.
pub fn movements(fact: &Fact) -> Vec<Movement> {
    let mut sums = Sums::default();
    match fact {
        Fact::SaleCompleted(sale) => sums.sale(sale),
        Fact::Reversed(reversed) => sums.sale(&reversed.mirror),
        Fact::GoodsReceived(received) => {
            let place = (&received.location, received.zone.as_str());
            sums.lines(place, &received.lines, 1, &StockAccount::Supplier);
            sums.included_in = received.included_in;
        }
        Fact::StockAdjusted(adjusted) => {
            let against = match adjusted.reason {
                AdjustReason::Damaged => StockAccount::Damaged(adjusted.location.clone()),
                AdjustReason::Theft
                | AdjustReason::Expired
                | AdjustReason::Found
                | AdjustReason::OwnUse
                | AdjustReason::Correction => StockAccount::Adjusted,
            };
            let place = (&adjusted.location, adjusted.zone.as_str());
            sums.lines(place, &adjusted.lines, 1, &against);
        }
        Fact::TransferSent(sent) => {
            let transit = StockAccount::Transit(sent.transfer);
            sums.lines((&sent.from, &sent.zone), &sent.lines, -1, &transit);
        }
        Fact::TransferReceived(received) => {
            let transit = StockAccount::Transit(received.transfer);
            sums.lines((&received.to, &received.zone), &received.lines, 1, &transit);
        }
        Fact::ZoneMoved(moved) => {
            // Both halves stand against the same account, which they leave at nothing.
            let floor = StockAccount::Floor(moved.location.clone());
            sums.lines(
                (&moved.location, &moved.from_zone),
                &moved.lines,
                -1,
                &floor,
            );
            sums.lines((&moved.location, &moved.to_zone), &moved.lines, 1, &floor);
        }
        Fact::OrderPicked(picked) => {
            let place = (&picked.location, picked.zone.as_str());
            sums.lines(place, &picked.lines, -1, &StockAccount::Customer);
        }
        // Between two accounts that are no shelf, see `posting::stock_postings`.
        Fact::TransferLost(_)
        | Fact::StreamOpened(_)
        | Fact::ShiftOpened(_)
        | Fact::CartVoided(_)
        | Fact::LineVoided(_)
        | Fact::DrawerOpened(_)
        | Fact::ShiftClosed(_)
        | Fact::Reprinted(_)
        | Fact::PinReset(_)
        | Fact::SignInBlocked(_)
        | Fact::ClockJumped(_)
        | Fact::CashMoved(_)
        | Fact::DrawerHandedOver(_)
        | Fact::ShiftCounted(_)
        | Fact::PeriodClosed(_)
        | Fact::ClosingSupplemented(_)
        | Fact::Adopted(_)
        | Fact::StockCounted(_)
        | Fact::CountLearned(_)
        | Fact::RightsGranted(_)
        | Fact::RightsReturned(_)
        | Fact::RightsPassed(_)
        | Fact::StreamSealed(_)
        | Fact::IncidentRaised(_)
        | Fact::IncidentResolved(_) => {}
    }
    sums.finish()
}

/// A stock account: where goods are, or were last seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum StockAccount {
    /// What a location holds for sale.
    Location(LocationId),
    /// What customers took.
    Customer,
    /// What suppliers brought.
    Supplier,
    /// What a location keeps aside as damaged.
    Damaged(LocationId),
    /// What is on its way from one location to another.
    Transit(TransferId),
    /// What was found or is gone without a buyer.
    Adjusted,
    /// What goes from one zone of a location to another; empty once it has.
    Floor(LocationId),
}

impl StockAccount {
    /// Short name, stable in files.
    pub fn code(&self) -> String {
        match self {
            StockAccount::Location(location) => format!("location:{location}"),
            StockAccount::Customer => "customer".to_owned(),
            StockAccount::Supplier => "supplier".to_owned(),
            StockAccount::Damaged(location) => format!("damaged:{location}"),
            StockAccount::Transit(transfer) => format!("transit:{transfer}"),
            StockAccount::Adjusted => "adjusted".to_owned(),
            StockAccount::Floor(location) => format!("floor:{location}"),
        }
    }
}

#[derive(Default)]
struct Sums {
    deltas: BTreeMap<(VariantId, LocationId, String, StockAccount), (i128, bool)>,
    included_in: Option<StreamPos>,
}

impl Sums {
    fn add(
        &mut self,
        (location, zone): (&LocationId, &str),
        (variant, class): (VariantId, StockClass),
        delta: i128,
        against: &StockAccount,
    ) {
        if class == StockClass::Untracked {
            return;
        }
        let key = (variant, location.clone(), zone.to_owned(), against.clone());
        let sum = self.deltas.entry(key).or_default();
        sum.0 += delta;
        sum.1 |= class == StockClass::Strict;
    }

    fn lines(
        &mut self,
        place: (&LocationId, &str),
        lines: &[GoodsLine],
        sign: i128,
        against: &StockAccount,
    ) {
        for line in lines {
            let delta = sign * i128::from(line.quantity.0);
            self.add(place, (line.variant, line.class), delta, against);
        }
    }

    fn sale(&mut self, sale: &SaleBody) {
        let place = (&sale.location, MAIN_ZONE);
        for line in &sale.lines {
            for part in taken(line) {
                let delta = -i128::from(part.quantity.0);
                let what = (part.variant, part.class);
                self.add(place, what, delta, &StockAccount::Customer);
            }
        }
    }

    fn finish(self) -> Vec<Movement> {
        let included_in = self.included_in;
        self.deltas
            .into_iter()
            .filter(|(_, (delta, _))| *delta != 0)
            .map(
                |((variant, location, zone, against), (delta, strict))| Movement {
                    variant,
                    location,
                    zone,
                    moved: Moved {
                        delta: clamp(delta),
                        strict,
                        included_in,
                    },
                    against,
                },
            )
            .collect()
    }
}

/// What a line of a sale takes off the shelf: the variant, or what a kit is made of. With the sign of the line.
pub fn taken(line: &SaleLine) -> Vec<GoodsLine> {
    if line.components.is_empty() {
        return vec![GoodsLine {
            variant: line.variant,
            quantity: line.quantity,
            class: line.class,
        }];
    }
    line.components.clone()
}

/// What is wrong with a fact about goods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GoodsFault {
    /// It has no lines, or more than [`GOODS_LINES_MAX`].
    #[error("no lines, or too many")]
    Lines,
    /// A quantity is zero, too large, or of the wrong sign.
    #[error("a quantity is zero, too large or of the wrong sign")]
    Quantity,
    /// From a place to itself, or to a zone that cannot be.
    #[error("the places do not fit")]
    Place,
}

/// Most lines of one document of the stockroom, and most items of one count.
pub const GOODS_LINES_MAX: usize = 5_000;
/// Longest name of a zone.
pub const ZONE_CHARS_MAX: usize = 16;

/// Whether a zone may be named so: letters, digits, `-`, `_`, at most [`ZONE_CHARS_MAX`].
pub fn is_zone(zone: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !zone.is_empty() && zone.len() <= ZONE_CHARS_MAX && zone.chars().all(allowed)
}

/// Whether a fact about goods holds in itself; other facts do.
///
/// # Errors
/// [`GoodsFault`].
pub fn check(fact: &Fact) -> Result<(), GoodsFault> {
    let zoned = |zone: &str| is_zone(zone).then_some(()).ok_or(GoodsFault::Place);
    match fact {
        Fact::GoodsReceived(received) => {
            zoned(&received.zone)?;
            check_lines(&received.lines, false)
        }
        Fact::StockAdjusted(adjusted) => {
            zoned(&adjusted.zone)?;
            check_lines(&adjusted.lines, true)
        }
        Fact::TransferSent(sent) => {
            zoned(&sent.zone)?;
            apart(&sent.from, &sent.to)?;
            check_lines(&sent.lines, false)
        }
        Fact::TransferReceived(received) => {
            zoned(&received.zone)?;
            apart(&received.from, &received.to)?;
            check_lines(&received.lines, false)
        }
        Fact::TransferLost(lost) => {
            apart(&lost.from, &lost.to)?;
            check_lines(&lost.lines, false)
        }
        Fact::ZoneMoved(moved) => {
            zoned(&moved.from_zone)?;
            zoned(&moved.to_zone)?;
            if moved.from_zone == moved.to_zone {
                return Err(GoodsFault::Place);
            }
            check_lines(&moved.lines, false)
        }
        Fact::OrderPicked(picked) => {
            zoned(&picked.zone)?;
            check_lines(&picked.lines, false)
        }
        Fact::StockCounted(count) => {
            if count.zone != ALL_ZONES {
                zoned(&count.zone)?;
            }
            if count.items.len() > GOODS_LINES_MAX {
                return Err(GoodsFault::Lines);
            }
            let fits =
                |item: &Counted| item.quantity.0.unsigned_abs() <= QUANTITY_MAX.unsigned_abs();
            let all = count.items.iter().all(fits);
            all.then_some(()).ok_or(GoodsFault::Quantity)
        }
        _ => Ok(()),
    }
}

fn apart(from: &LocationId, to: &LocationId) -> Result<(), GoodsFault> {
    (from != to).then_some(()).ok_or(GoodsFault::Place)
}

fn check_lines(lines: &[GoodsLine], signed: bool) -> Result<(), GoodsFault> {
    if lines.is_empty() || lines.len() > GOODS_LINES_MAX {
        return Err(GoodsFault::Lines);
    }
    let fits = |line: &GoodsLine| {
        let quantity = line.quantity.0;
        quantity != 0
            && quantity.unsigned_abs() <= QUANTITY_MAX.unsigned_abs()
            && (signed || quantity > 0)
    };
    lines
        .iter()
        .all(fits)
        .then_some(())
        .ok_or(GoodsFault::Quantity)
}

/// A count of one variant in one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The counting event.
    pub at: EventRef,
    /// What its author had folded when it looked.
    pub cut: BTreeMap<StreamId, u64>,
    /// When it looked at the earliest, by its own clock: milliseconds since 1970.
    pub looked_ms: u64,
    /// The same by the clock of the counting event, as far as the fact says; never above it.
    pub seen_ms: u64,
    /// Where other streams say that they learned of it.
    pub learned: BTreeMap<StreamId, u64>,
    /// Quantity found.
    pub quantity: Quantity,
}

impl Anchor {
    /// Whether `event` lies in the cut, or before the count in its own stream. What the cut says of its own
    /// stream plays no part: an author knows its own past, and nobody knows his future.
    fn covers(&self, event: &EventRef) -> bool {
        self.knew(event.stream, event.seq)
    }

    /// Whether its author knew of the event at this place when it looked.
    pub fn knew(&self, stream: StreamId, seq: u64) -> bool {
        if stream == self.at.stream {
            return seq < self.at.seq;
        }
        self.cut.get(&stream).is_some_and(|known| seq <= *known)
    }
}

/// Whether goods moved by `event` are on top of what `anchor` counted.
///
/// 1. In the cut, before the count in its own stream, or found by the count as their document says: before. Later in
///    its own stream, or after its stream learned of the count: after.
/// 2. Otherwise, of a strict variant, goods that left are after and goods that came are before: no doubt may turn
///    into a promise. Counting a sale twice shows one unit too few, which a recount finds.
/// 3. Otherwise the clock says so, and the first look at the goods is what it is compared with. A device takes over the clock of the counts it learns of, so everything it does
///    later is after them; and what it did before, with a right clock, is before: a sale that reaches the server
///    days after a count of the emptied shelf does not empty it again.
pub fn is_after(event: &EventRef, moved: impl Into<Moved>, anchor: &Anchor) -> bool {
    let moved = moved.into();
    let counted = StreamPos {
        stream: anchor.at.stream,
        seq: anchor.at.seq,
    };
    if anchor.covers(event) || moved.included_in == Some(counted) {
        return false;
    }
    if event.stream == anchor.at.stream {
        return event.seq > anchor.at.seq;
    }
    let learned = anchor.learned.get(&event.stream);
    if learned.is_some_and(|seq| event.seq > *seq) {
        return true;
    }
    if moved.strict {
        return moved.delta < Quantity::ZERO;
    }
    if anchor.seen_ms < anchor.at.hlc.ms() {
        return event.hlc.ms() > anchor.seen_ms;
    }
    event.hlc > anchor.at.hlc
}

/// Whether `left` wins over `right`: a count that knew of the other beats it, and only concurrent counts are
/// told apart by their clocks, then by stream and sequence. Among three, with a clock that is wrong, this can
/// go round in a circle: [`winner`] is the judge of a set.
pub fn beats(left: &Anchor, right: &Anchor) -> bool {
    match (left.covers(&right.at), right.covers(&left.at)) {
        (true, false) => true,
        (false, true) => false,
        _ => {
            (left.at.hlc, left.at.stream, left.at.seq)
                > (right.at.hlc, right.at.stream, right.at.seq)
        }
    }
}

/// On hand of one variant in one zone, from its movements and counts in any order.
pub fn on_hand<'a>(
    movements: impl IntoIterator<Item = (EventRef, Moved)>,
    anchors: impl IntoIterator<Item = &'a Anchor>,
) -> Quantity {
    on_top_of(winner(anchors), movements)
}

/// What a count found and everything after it; without a count, everything.
pub fn on_top_of(
    anchor: Option<&Anchor>,
    movements: impl IntoIterator<Item = (EventRef, Moved)>,
) -> Quantity {
    let start = anchor.map_or(0, |anchor| i128::from(anchor.quantity.0));
    let moved: i128 = movements
        .into_iter()
        .filter(|(event, moved)| anchor.is_none_or(|anchor| is_after(event, *moved, anchor)))
        .map(|(_, moved)| i128::from(moved.delta.0))
        .sum();
    clamp(start + moved)
}

/// The least that can be on hand while some streams have not said whether they knew of a count (`pending`): the least
/// over the best settled count and every pending one. What is granted or promised may rest on no more than this.
///
/// # Source
/// Until every stream of the location has reported up to where it learned of a count, a unit that the count found may
/// be one that an unreported event moved.
pub fn least_on_hand(
    movements: &[(EventRef, Moved)],
    anchors: &[Anchor],
    pending: impl Fn(&Anchor) -> bool,
) -> Quantity {
    let settled = winner(anchors.iter().filter(|anchor| !pending(anchor)));
    let doubtful = anchors.iter().filter(|anchor| pending(anchor)).map(Some);
    let least = std::iter::once(settled)
        .chain(doubtful)
        .map(|anchor| on_top_of(anchor, movements.iter().copied()))
        .min();
    least.unwrap_or(Quantity::ZERO)
}

/// Sums are made in 128 bits and cut off once, so that their order plays no part even where they overflow.
fn clamp(sum: i128) -> Quantity {
    let limit = if sum < 0 { i64::MIN } else { i64::MAX };
    Quantity(i64::try_from(sum).unwrap_or(limit))
}

/// The count that beats all others.
///
/// Knowing of another count is transitive along a cut, so the winner is looked for among the counts that no
/// other count knew of; among those the clock decides. The order of arrival plays no part.
pub fn winner<'a>(anchors: impl IntoIterator<Item = &'a Anchor>) -> Option<&'a Anchor> {
    let anchors: Vec<&Anchor> = anchors.into_iter().collect();
    let known = |anchor: &&&Anchor| {
        anchors
            .iter()
            .any(|other| other.at != anchor.at && other.covers(&anchor.at))
    };
    let latest = |anchor: &&&Anchor| (anchor.at.hlc, anchor.at.stream, anchor.at.seq);
    let heads = anchors
        .iter()
        .filter(|anchor| !known(anchor))
        .max_by_key(latest);
    // Cuts that claim to know each other cannot come from honest clocks; the clock then decides alone.
    heads.or_else(|| anchors.iter().max_by_key(latest)).copied()
}

/// What a count found, each variant once: one that was counted in two places is there with both.
pub fn found(items: &[Counted]) -> BTreeMap<VariantId, Quantity> {
    let mut sums: BTreeMap<VariantId, i128> = BTreeMap::new();
    for item in items {
        *sums.entry(item.variant).or_default() += i128::from(item.quantity.0);
    }
    sums.into_iter()
        .map(|(variant, sum)| (variant, clamp(sum)))
        .collect()
}

/// What the count at `at` says of each variant. One that was counted in two places was looked at when the first of them
/// was.
pub fn counted(at: &EventRef, count: &StockCounted) -> BTreeMap<VariantId, Anchor> {
    let anchor = |quantity| Anchor {
        at: *at,
        cut: count.cut.clone(),
        looked_ms: at.hlc.ms(),
        seen_ms: at.hlc.ms(),
        learned: BTreeMap::new(),
        quantity,
    };
    let found = found(&count.items).into_iter();
    let mut anchors: BTreeMap<VariantId, Anchor> = found
        .map(|(variant, quantity)| (variant, anchor(quantity)))
        .collect();
    for item in &count.items {
        let Some(anchor) = anchors.get_mut(&item.variant) else {
            continue;
        };
        let seen_ms = at.hlc.ms().saturating_sub(item.ago_ms);
        anchor.seen_ms = anchor.seen_ms.min(seen_ms);
        let Some(looked) = &item.looked else { continue };
        let wall = u64::try_from(looked.wall).unwrap_or(0);
        anchor.looked_ms = anchor.looked_ms.min(wall);
        for (stream, seq) in &looked.folded {
            if let Some(known) = anchor.cut.get_mut(stream) {
                *known = (*seq).min(*known);
            }
        }
    }
    anchors
}

type Place = (VariantId, LocationId, String);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Shelf {
    movements: BTreeMap<(EventRef, EventId), Moved>,
    anchors: BTreeMap<(EventRef, EventId), Anchor>,
}

/// A fold over a set of events, kept in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StockFold {
    shelves: BTreeMap<Place, Shelf>,
    learned: BTreeMap<StreamPos, BTreeMap<StreamId, u64>>,
    aside: BTreeMap<(StockAccount, VariantId), BTreeMap<(EventRef, EventId), Quantity>>,
}

impl StockFold {
    /// Takes in an event of a set in which no stream forked. Repetition changes nothing.
    pub fn add(&mut self, event: &EventRef, fact: &Fact) {
        self.add_as(EventId(Uuid::nil()), event, fact);
    }

    /// As [`StockFold::add`], for any set. Where a stream forked two events have one number, both happened, and a clock
    /// that was behind gave both the same reading: their ids tell them apart.
    pub fn add_as(&mut self, id: EventId, event: &EventRef, fact: &Fact) {
        let key = (*event, id);
        for movement in movements(fact) {
            let place = (movement.variant, movement.location, movement.zone);
            self.shelves
                .entry(place)
                .or_default()
                .movements
                .insert(key, movement.moved);
        }
        let mut aside: BTreeMap<_, i128> = BTreeMap::new();
        for posting in crate::posting::stock_postings(fact) {
            if !matches!(posting.account, StockAccount::Location(_)) {
                let sum = aside.entry((posting.account, posting.variant)).or_default();
                *sum += i128::from(posting.quantity.0);
            }
        }
        for (of, sum) in aside {
            self.aside.entry(of).or_default().insert(key, clamp(sum));
        }
        match fact {
            Fact::StockCounted(count) => {
                for (variant, anchor) in counted(event, count) {
                    let place = (variant, count.location.clone(), count.zone.clone());
                    let shelf = self.shelves.entry(place).or_default();
                    shelf.anchors.insert(key, anchor);
                }
            }
            Fact::CountLearned(learned) => {
                for count in &learned.counts {
                    let streams = self.learned.entry(*count).or_default();
                    let seq = streams.entry(event.stream).or_insert(event.seq);
                    *seq = event.seq.min(*seq);
                }
            }
            _ => {}
        }
    }

    /// On hand over all zones of a location.
    pub fn on_hand(&self, variant: VariantId, location: &LocationId) -> Quantity {
        let mut zones = self.zones(variant, location);
        zones.insert(MAIN_ZONE);
        let sum = zones
            .into_iter()
            .map(|zone| i128::from(self.in_zone(variant, location, zone).0))
            .sum();
        clamp(sum)
    }

    /// On hand in one zone.
    pub fn in_zone(&self, variant: VariantId, location: &LocationId, zone: &str) -> Quantity {
        let anchors = self.anchors(variant, location, zone);
        on_hand(self.movements(variant, location, zone), &anchors)
    }

    /// The least that can be on hand, see [`least_on_hand`].
    pub fn least_on_hand(
        &self,
        variant: VariantId,
        location: &LocationId,
        pending: impl Fn(&Anchor) -> bool,
    ) -> Quantity {
        let mut zones = self.zones(variant, location);
        zones.insert(MAIN_ZONE);
        let sum = zones
            .into_iter()
            .map(|zone| {
                let movements: Vec<_> = self.movements(variant, location, zone).collect();
                let anchors = self.anchors(variant, location, zone);
                i128::from(least_on_hand(&movements, &anchors, &pending).0)
            })
            .sum();
        clamp(sum)
    }

    /// What an account other than a location holds: in transit, damaged, with customers.
    pub fn held(&self, account: &StockAccount, variant: VariantId) -> Quantity {
        let entries = self.aside.get(&(account.clone(), variant));
        let entries = entries.into_iter().flat_map(BTreeMap::values);
        clamp(entries.map(|quantity| i128::from(quantity.0)).sum())
    }

    /// Every variant and location that an event named, ascending.
    pub fn places(&self) -> Vec<(VariantId, LocationId)> {
        let mut places: Vec<_> = self
            .shelves
            .keys()
            .map(|(variant, location, _)| (*variant, location.clone()))
            .collect();
        places.dedup();
        places
    }

    fn zones(&self, variant: VariantId, location: &LocationId) -> BTreeSet<&str> {
        let from = (variant, location.clone(), String::new());
        self.shelves
            .range(from..)
            .take_while(|((v, l, _), _)| *v == variant && l == location)
            .map(|((_, _, zone), _)| zone.as_str())
            .filter(|zone| *zone != ALL_ZONES)
            .collect()
    }

    fn shelf(&self, variant: VariantId, location: &LocationId, zone: &str) -> Option<&Shelf> {
        let place = (variant, location.clone(), zone.to_owned());
        self.shelves.get(&place)
    }

    fn movements(
        &self,
        variant: VariantId,
        location: &LocationId,
        zone: &str,
    ) -> impl Iterator<Item = (EventRef, Moved)> {
        let shelf = self.shelf(variant, location, zone);
        let movements = shelf.into_iter().flat_map(|shelf| &shelf.movements);
        movements.map(|((event, _), moved)| (*event, *moved))
    }

    /// Counts of the zone, and those of the whole location: what they found lies in the main zone, and the others
    /// held nothing beside it.
    fn anchors(&self, variant: VariantId, location: &LocationId, zone: &str) -> Vec<Anchor> {
        let own = self.shelf(variant, location, zone);
        let all = self.shelf(variant, location, ALL_ZONES);
        let own = own.into_iter().flat_map(|shelf| shelf.anchors.values());
        let all = all.into_iter().flat_map(|shelf| shelf.anchors.values());
        let whole = all.map(|anchor| Anchor {
            quantity: share_of_whole(anchor.quantity, zone),
            ..anchor.clone()
        });
        own.cloned()
            .chain(whole)
            .map(|mut anchor| {
                let at = StreamPos {
                    stream: anchor.at.stream,
                    seq: anchor.at.seq,
                };
                if let Some(learned) = self.learned.get(&at) {
                    anchor.learned.clone_from(learned);
                }
                anchor
            })
            .collect()
    }
}

/// What a count of a whole location says about one of its zones: all of it lies in the main zone.
pub fn share_of_whole(found: Quantity, zone: &str) -> Quantity {
    if zone == MAIN_ZONE {
        found
    } else {
        Quantity::ZERO
    }
}
