//! Stock as a pure function of a *set* of events: the same answer in any order and under any repetition.
//!
//! On hand of (variant, location, zone) = the count that beats all others + the movements that lie after it.
//! A count carries its causal cut: a movement in the cut lies before it, a later event of the counting stream
//! lies after it. What is left is concurrent as far as anybody can tell, and [`is_after`] decides in doubt
//! against the shelf, so that a unit that may be gone is not promised.

use std::collections::BTreeMap;

use crate::catalog::StockClass;
use crate::event::{Counted, Fact, MAIN_ZONE, SaleBody};
use crate::ids::{LocationId, StreamId, VariantId};
use crate::quantity::Quantity;
use crate::time::Hlc;

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
    /// Negative when goods left.
    pub delta: Quantity,
}

/// Whether goods left or came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MovementKind {
    /// They left the location.
    Out,
    /// They came to it.
    In,
}

impl From<Quantity> for MovementKind {
    /// The kind of a signed movement; moving nothing is as good as coming.
    fn from(delta: Quantity) -> MovementKind {
        if delta.0 < 0 {
            MovementKind::Out
        } else {
            MovementKind::In
        }
    }
}

impl Movement {
    /// Whether goods left or came.
    pub fn kind(&self) -> MovementKind {
        self.delta.into()
    }
}

/// What a fact moves, one movement per variant in ascending order; a fact that moves nothing gives none, and
/// so does a line of an untracked variant.
pub fn movements(fact: &Fact) -> Vec<Movement> {
    match fact {
        Fact::SaleCompleted(sale) => sale_movements(sale),
        Fact::Reversed(reversed) => sale_movements(&reversed.mirror),
        Fact::StreamOpened(_)
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
        | Fact::StockCounted(_) => Vec::new(),
    }
}

fn sale_movements(sale: &SaleBody) -> Vec<Movement> {
    let mut deltas: BTreeMap<VariantId, i128> = BTreeMap::new();
    for line in sale
        .lines
        .iter()
        .filter(|line| line.class != StockClass::Untracked)
    {
        *deltas.entry(line.variant).or_insert(0) -= i128::from(line.quantity.0);
    }
    deltas
        .into_iter()
        .filter(|(_, delta)| *delta != 0)
        .map(|(variant, delta)| Movement {
            variant,
            location: sale.location.clone(),
            zone: MAIN_ZONE.to_owned(),
            delta: clamp(delta),
        })
        .collect()
}

/// A count of one variant in one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The counting event.
    pub at: EventRef,
    /// What its author had folded.
    pub cut: BTreeMap<StreamId, u64>,
    /// Quantity found.
    pub quantity: Quantity,
}

impl Anchor {
    /// Whether `event` lies in the cut, or before the count in its own stream. What the cut says of its own
    /// stream plays no part: an author knows its own past, and nobody knows his future.
    fn covers(&self, event: &EventRef) -> bool {
        if event.stream == self.at.stream {
            return event.seq < self.at.seq;
        }
        self.cut
            .get(&event.stream)
            .is_some_and(|seq| event.seq <= *seq)
    }
}

/// Whether goods moved by `event` are on top of what `anchor` counted; `kind` may be the signed movement.
///
/// 1. In the cut, or before the count in its own stream: before. Later in its own stream: after.
/// 2. Otherwise goods that left are after: counting a sale twice shows one unit too few, which a recount
///    finds, and leaving it out would promise a unit that is gone.
/// 3. Otherwise goods that came are after only when the clock says so. A device takes over the clock of the
///    counts it learns of, so everything it does later is after them; and what it did before, with a right
///    clock, is before. Without the clock a return made the day after a count elsewhere would never show.
pub fn is_after(event: &EventRef, kind: impl Into<MovementKind>, anchor: &Anchor) -> bool {
    if anchor.covers(event) {
        return false;
    }
    if event.stream == anchor.at.stream {
        return event.seq > anchor.at.seq;
    }
    match kind.into() {
        MovementKind::Out => true,
        MovementKind::In => event.hlc > anchor.at.hlc,
    }
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
    movements: impl IntoIterator<Item = (EventRef, Quantity)>,
    anchors: impl IntoIterator<Item = &'a Anchor>,
) -> Quantity {
    let anchor = winner(anchors);
    let start = anchor.map_or(0, |anchor| i128::from(anchor.quantity.0));
    let moved: i128 = movements
        .into_iter()
        .filter(|(event, delta)| anchor.is_none_or(|anchor| is_after(event, *delta, anchor)))
        .map(|(_, delta)| i128::from(delta.0))
        .sum();
    clamp(start + moved)
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

type Place = (VariantId, LocationId, String);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Shelf {
    movements: BTreeMap<(StreamId, u64), (Hlc, Quantity)>,
    anchors: BTreeMap<(StreamId, u64), Anchor>,
}

/// A fold over a set of events, kept in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StockFold {
    shelves: BTreeMap<Place, Shelf>,
}

impl StockFold {
    /// Takes an event in. Repetition changes nothing.
    pub fn add(&mut self, event: &EventRef, fact: &Fact) {
        let key = (event.stream, event.seq);
        for movement in movements(fact) {
            let place = (movement.variant, movement.location, movement.zone);
            self.shelves
                .entry(place)
                .or_default()
                .movements
                .insert(key, (event.hlc, movement.delta));
        }
        let Fact::StockCounted(count) = fact else {
            return;
        };
        for (variant, quantity) in found(&count.items) {
            let place = (variant, count.location.clone(), count.zone.clone());
            let anchor = Anchor {
                at: *event,
                cut: count.cut.clone(),
                quantity,
            };
            self.shelves
                .entry(place)
                .or_default()
                .anchors
                .insert(key, anchor);
        }
    }

    /// On hand over all zones of a location.
    pub fn on_hand(&self, variant: VariantId, location: &LocationId) -> Quantity {
        let from = (variant, location.clone(), String::new());
        let zones = self
            .shelves
            .range(from..)
            .take_while(|((v, l, _), _)| *v == variant && l == location);
        clamp(zones.map(|(_, shelf)| i128::from(shelf.on_hand().0)).sum())
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
}

impl Shelf {
    fn on_hand(&self) -> Quantity {
        let movements = self.movements.iter().map(|((stream, seq), (hlc, delta))| {
            (
                EventRef {
                    stream: *stream,
                    seq: *seq,
                    hlc: *hlc,
                },
                *delta,
            )
        });
        on_hand(movements, self.anchors.values())
    }
}
