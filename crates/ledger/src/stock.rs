//! Stock as this till knows it: the server's row and our own movements that the row does not hold yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::event::{ALL_ZONES, Fact, MAIN_ZONE, StreamPos};
use domain::ids::{LocationId, StreamId, VariantId};
use domain::quantity::Quantity;
use domain::stock::{self, Anchor, EventRef, is_after, share_of_whole, winner};
use domain::time::Hlc;
use rusqlite::OptionalExtension as _;
use sync_protocol::feed::{AnchorRef, StockRow};
use sync_protocol::{FeedName, FeedPage};
use uuid::Uuid;

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::projection;
use crate::sql::{N, corrupt, read_event};

/// What this till knows of a variant's stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockKnown {
    /// The server's quantity and our own movements after it, or what we counted ourselves since.
    pub quantity: Quantity,
    /// Wall clock of this device when the location was last read to its end; none if never.
    pub synced_wall: Option<i64>,
    /// The count that it stands on; where a location is divided, that of its main zone.
    pub count: Option<StreamPos>,
}

struct FeedState {
    id: u64,
    complete: bool,
    folded_seq: u64,
    synced_wall: Option<i64>,
}

/// Sets the clock that was learnt.
pub(crate) const SET_CLOCK: &str =
    "INSERT OR REPLACE INTO clock (only, hlc, proof) VALUES (1, ?1, row_proof('clock', 1, ?1))";

/// What the server says of a variant at a location.
pub(crate) struct Served {
    /// What each zone holds and the count that it stands on; none where nothing is known.
    pub zones: Option<BTreeMap<String, Zone>>,
    /// Up to where our stream is folded into that.
    pub folded: u64,
    pub synced_wall: Option<i64>,
}

/// One zone.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    pub quantity: Quantity,
    /// With the zone's quantity as what was found: what the server added since is not told apart.
    pub anchor: Option<Anchor>,
}

impl Zone {
    fn new(quantity: Quantity, anchor: Option<AnchorRef>) -> Zone {
        let anchor = anchor.map(|anchor| Anchor {
            at: EventRef {
                stream: anchor.stream,
                seq: anchor.seq,
                hlc: anchor.hlc,
            },
            cut: anchor.cut,
            looked_ms: anchor.hlc.ms(),
            seen_ms: anchor.seen_ms.unwrap_or(anchor.hlc.ms()),
            // Our own clock has followed the count's since we learned of it, which tells as much.
            learned: BTreeMap::new(),
            quantity,
        });
        Zone { quantity, anchor }
    }
}

/// What a zone holds, our own facts included.
struct Shown {
    quantity: Quantity,
    count: Option<EventRef>,
    /// What the server says, or our own count in its place.
    start: Quantity,
    /// Our own events on top of that, and the count that stands in the server's place.
    counting: Vec<u64>,
}

/// See [`Ledger::made_of`].
pub(crate) struct MadeOf {
    pub quantity: Option<Quantity>,
    pub start: Quantity,
    pub counting: BTreeSet<(u64, String)>,
}

impl Ledger {
    /// Stock of `variant` at `location`, all its zones together; none where this till has no row and has neither
    /// read the location to its end nor counted the variant itself. Read to its end, a variant without a row is
    /// known to have none.
    ///
    /// Our own movements count from beyond what the server had folded when it wrote the row, and only if they
    /// lie after the count that the row stands on. Counting what is unacknowledged instead would subtract
    /// twice whatever the server has folded but not yet acknowledged. A count of our own stands in the place of
    /// the row until the server has folded it.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Corrupt`], [`LedgerError::Overflow`].
    pub fn stock(
        &self,
        variant: VariantId,
        location: &LocationId,
    ) -> Result<Option<StockKnown>, LedgerError> {
        self.stock_in(variant, location, ALL_ZONES)
    }

    /// As [`Ledger::stock`], of one zone; `*` is all of them.
    ///
    /// # Errors
    /// As [`Ledger::stock`].
    pub fn stock_in(
        &self,
        variant: VariantId,
        location: &LocationId,
        zone: &str,
    ) -> Result<Option<StockKnown>, LedgerError> {
        let served = self.served(variant, location)?;
        let Some(zones) = self.shown(variant, location, &served)? else {
            return Ok(None);
        };
        let wanted = |(name, _): &(&String, &Shown)| zone == ALL_ZONES || *name == zone;
        let mut sum = Quantity::ZERO;
        for (_, shown) in zones.iter().filter(wanted) {
            sum = sum
                .checked_add(shown.quantity)
                .ok_or(LedgerError::Overflow)?;
        }
        let stands = if zone == ALL_ZONES { MAIN_ZONE } else { zone };
        let count = zones.get(stands).and_then(|shown| shown.count);
        Ok(Some(StockKnown {
            quantity: sum,
            synced_wall: served.synced_wall,
            count: count.map(|at| StreamPos {
                stream: at.stream,
                seq: at.seq,
            }),
        }))
    }

    /// What each zone of `location` holds of `variant`, by zone; empty where nothing is known.
    ///
    /// # Errors
    /// As [`Ledger::stock`].
    pub fn stock_by_zone(
        &self,
        variant: VariantId,
        location: &LocationId,
    ) -> Result<BTreeMap<String, Quantity>, LedgerError> {
        let served = self.served(variant, location)?;
        let zones = self.shown(variant, location, &served)?.unwrap_or_default();
        Ok(zones
            .into_iter()
            .map(|(zone, shown)| (zone, shown.quantity))
            .collect())
    }

    /// How far this till has folded every stream of `location`: what the server had folded when the location was
    /// last read to its end, and all of our own. It is the causal cut of a count made now.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Corrupt`].
    pub fn cut(&self, location: &LocationId) -> Result<BTreeMap<StreamId, u64>, LedgerError> {
        let name = FeedName::Stock(location.clone()).to_string();
        let folded: Option<String> = self
            .prepare("SELECT folded FROM feed WHERE name = ?1")?
            .query_row([&name], |row| row.get(0))
            .optional()?;
        let mut cut: BTreeMap<StreamId, u64> = match folded {
            Some(text) => {
                serde_json::from_str(&text).map_err(|error| corrupt("feed", name, error))?
            }
            None => BTreeMap::new(),
        };
        let head = self.head();
        cut.insert(head.stream, head.seq);
        Ok(cut)
    }

    pub(crate) fn served(
        &self,
        variant: VariantId,
        location: &LocationId,
    ) -> Result<Served, LedgerError> {
        let name = FeedName::Stock(location.clone()).to_string();
        let feed = self
            .prepare("SELECT id, complete, folded_seq, synced_wall FROM feed WHERE name = ?1")?
            .query_row([name], |row| {
                Ok(FeedState {
                    id: row.get(0)?,
                    complete: row.get(1)?,
                    folded_seq: row.get(2)?,
                    synced_wall: row.get(3)?,
                })
            })
            .optional()?;
        let Some(feed) = feed else {
            return Ok(Served {
                zones: None,
                folded: 0,
                synced_wall: None,
            });
        };
        let row: Option<(String, u64)> = self
            .prepare(
                "SELECT row, folded_seq FROM feed_row WHERE feed = ?1 AND pk = ?2 AND understood = 1",
            )?
            .query_row((N(feed.id), variant.to_string()), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let (zones, folded) = match row {
            Some((text, folded)) => {
                let row: StockRow = serde_json::from_str(&text)
                    .map_err(|error| corrupt("feed_row", variant, error))?;
                // A row that did not change while the feed was read to its end was true at that end too.
                (Some(zones_of(row)?), folded.max(feed.folded_seq))
            }
            None => (feed.complete.then(BTreeMap::new), feed.folded_seq),
        };
        Ok(Served {
            zones,
            folded,
            synced_wall: feed.synced_wall,
        })
    }

    fn shown(
        &self,
        variant: VariantId,
        location: &LocationId,
        served: &Served,
    ) -> Result<Option<BTreeMap<String, Shown>>, LedgerError> {
        if *location != self.identity().location {
            let plain = |(zone, held): (&String, &Zone)| {
                let shown = Shown {
                    quantity: held.quantity,
                    count: held.anchor.as_ref().map(|anchor| anchor.at),
                    start: held.quantity,
                    counting: Vec::new(),
                };
                (zone.clone(), shown)
            };
            let zones = served.zones.as_ref();
            return Ok(zones.map(|zones| zones.iter().map(plain).collect()));
        }
        let mut cache = self.cache.borrow_mut();
        if self.is_read_only() {
            // The writer beside us changes the table.
            cache.own_movements = None;
        }
        let own = match &mut cache.own_movements {
            Some(own) if own.after <= served.folded => own,
            stale => stale.insert(self.load_movements(served.folded)?),
        };
        own.by_variant
            .get(&variant)
            .unwrap_or(&Own::default())
            .shown(served)
    }

    /// The quantity of `variant` at our own location, what it starts from, and our own events that count in it, with
    /// the zone in which they do.
    pub(crate) fn made_of(
        &self,
        variant: VariantId,
        served: &Served,
    ) -> Result<MadeOf, LedgerError> {
        let zones = self.shown(variant, &self.identity().location, served)?;
        let is_known = zones.is_some();
        let (mut quantity, mut start) = (Quantity::ZERO, Quantity::ZERO);
        let mut counting = BTreeSet::new();
        for (zone, shown) in zones.unwrap_or_default() {
            let add = |sum: Quantity, part| sum.checked_add(part).ok_or(LedgerError::Overflow);
            quantity = add(quantity, shown.quantity)?;
            start = add(start, shown.start)?;
            counting.extend(shown.counting.into_iter().map(|seq| (seq, zone.clone())));
        }
        Ok(MadeOf {
            quantity: is_known.then_some(quantity),
            start,
            counting,
        })
    }

    /// Reads what our own facts after `folded` moved and counted. Receipts are read from the newest back: within a
    /// year numbers and events go the same way, so each year is read only as far as needed.
    fn load_movements(&self, folded: u64) -> Result<OwnMovements, LedgerError> {
        let mut own = OwnMovements {
            after: folded,
            by_variant: BTreeMap::new(),
        };
        let (stream, series) = (self.identity().stream, self.identity().stream.series());
        let mut before = i64::MAX;
        while let Some(year) = self
            .prepare("SELECT max(fiscal_year) FROM receipt WHERE series = ?1 AND fiscal_year < ?2")?
            .query_row((&series, before), |row| row.get::<_, Option<i64>>(0))?
        {
            let mut statement = self.prepare(
                "SELECT r.seq, r.moves, e.hlc FROM receipt r JOIN event e ON e.seq = r.seq \
                 WHERE r.series = ?1 AND r.fiscal_year = ?2 ORDER BY r.number_seq DESC",
            )?;
            let mut rows = statement.query((&series, year))?;
            while let Some(row) = rows.next()? {
                let seq: u64 = row.get(0)?;
                if seq <= folded {
                    break;
                }
                let hlc = Hlc(row.get::<_, i64>(2)?.cast_unsigned());
                let at = EventRef { stream, seq, hlc };
                own.add(seq, &at, row.get_ref(1)?.as_blob().unwrap_or_default());
            }
            before = year;
        }
        // Adopted ones, which lie where they were first written.
        for sql in [
            "SELECT r.seq, r.moves, e.bytes FROM receipt r JOIN event e ON e.seq = r.seq \
             WHERE r.series < ?1 AND r.seq > ?2 ORDER BY r.seq",
            "SELECT r.seq, r.moves, e.bytes FROM receipt r JOIN event e ON e.seq = r.seq \
             WHERE r.series > ?1 AND r.seq > ?2 ORDER BY r.seq",
        ] {
            let mut statement = self.prepare(sql)?;
            let mut rows = statement.query((&series, N(folded)))?;
            while let Some(row) = rows.next()? {
                let (seq, bytes): (u64, Vec<u8>) = (row.get(0)?, row.get(2)?);
                let (event, _) = read_event(seq, &bytes)?;
                let at = EventRef {
                    stream: event.stream,
                    seq: event.seq,
                    hlc: event.hlc,
                };
                own.add(seq, &at, row.get_ref(1)?.as_blob().unwrap_or_default());
            }
        }
        let mut statement = self.prepare(
            "SELECT d.seq, e.bytes FROM goods_document d JOIN event e ON e.seq = d.seq \
             WHERE d.seq > ?1 ORDER BY d.seq",
        )?;
        let mut rows = statement.query([N(folded)])?;
        while let Some(row) = rows.next()? {
            let (seq, bytes): (u64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let (event, _) = read_event(seq, &bytes)?;
            let fact = event.fact().map_err(|error| corrupt("event", seq, error))?;
            let at = EventRef {
                stream: event.stream,
                seq: event.seq,
                hlc: event.hlc,
            };
            own.add_goods(seq, &at, &fact, &self.identity().location);
        }
        Ok(own)
    }

    /// What our own facts after event `after` moved of `variant` in `zone` (`*`: in all of them).
    ///
    /// # Errors
    /// As [`Ledger::stock`].
    pub fn moved_since(
        &self,
        variant: VariantId,
        zone: &str,
        after: u64,
    ) -> Result<Quantity, LedgerError> {
        let own = self.load_movements(after)?;
        let moved = own.by_variant.get(&variant).into_iter();
        moved
            .flat_map(|own| &own.moved)
            .filter(|moved| zone == ALL_ZONES || moved.zone() == zone)
            .try_fold(Quantity::ZERO, |sum, moved| sum.checked_add(moved.delta))
            .ok_or(LedgerError::Overflow)
    }

    /// Takes down what a receipt of ours moved, for as long as the server's rows may not hold it.
    pub(crate) fn note_movements(&self, seq: u64, at: &EventRef, moves: &[u8]) {
        if let Some(own) = &mut self.cache.borrow_mut().own_movements {
            own.add(seq, at, moves);
        }
    }

    /// The same for a fact of the stockroom.
    pub(crate) fn note_goods(&self, seq: u64, at: &EventRef, fact: &Fact) {
        if let Some(own) = &mut self.cache.borrow_mut().own_movements {
            own.add_goods(seq, at, fact, &self.identity().location);
        }
    }

    /// Forgets movements that every row of our location holds, now that it was read to its end.
    pub(crate) fn trim_movements(&self, page: &FeedPage, folded: u64) {
        let ours = FeedName::Stock(self.identity().location.clone());
        if page.feed == ours
            && let Some(own) = &mut self.cache.borrow_mut().own_movements
            && folded > own.after
        {
            own.after = folded;
            own.by_variant.retain(|_, own| {
                own.moved.retain(|moved| moved.seq > folded);
                own.counts.retain(|count| count.seq > folded);
                !own.moved.is_empty() || !own.counts.is_empty()
            });
        }
    }

    /// Takes over the clock of the counts that a page's rows stand on: what this till does from now on is
    /// after them, and the fold tells a later return from an earlier one by that.
    pub(crate) fn observe_counts(
        &mut self,
        page: &FeedPage,
        now_wall: i64,
    ) -> Result<(), LedgerError> {
        if !matches!(page.feed, FeedName::Stock(_)) {
            return Ok(());
        }
        let rows = page.rows.iter().filter_map(|row| row.row.as_ref());
        let clocks = rows
            .filter_map(|row| serde_json::from_str::<StockRow>(row.get()).ok())
            .flat_map(|row| {
                let zones = row.zones.into_values().map(|zone| zone.anchor);
                zones.chain([row.anchor]).flatten().map(|anchor| anchor.hlc)
            });
        // Each on its own: a clock that is far ahead is not followed, and must not hide one that is right.
        let learnt = clocks.fold(self.hlc, |hlc, other| hlc.observe(other, now_wall));
        if learnt > self.hlc {
            self.hlc = learnt;
            self.prepare(SET_CLOCK)?.execute([learnt.0.cast_signed()])?;
        }
        Ok(())
    }
}

/// What a fact moves at `location`, as the table `receipt` keeps it.
pub(crate) fn encode_moves(fact: &Fact, location: &LocationId) -> Result<Vec<u8>, LedgerError> {
    let mut bytes = Vec::new();
    for ((variant, at, _), delta) in projection::movements(fact)? {
        if at == *location {
            bytes.extend_from_slice(variant.0.as_bytes());
            bytes.extend_from_slice(&delta.to_be_bytes());
        }
    }
    Ok(bytes)
}

/// The zones in a server's row.
fn zones_of(row: StockRow) -> Result<BTreeMap<String, Zone>, LedgerError> {
    let mut main = row.quantity;
    let mut zones = BTreeMap::new();
    for (zone, held) in row.zones {
        let rest = main.0.checked_sub(held.quantity.0);
        main = Quantity(rest.ok_or(LedgerError::Overflow)?);
        zones.insert(zone, Zone::new(held.quantity, held.anchor));
    }
    zones.insert(MAIN_ZONE.to_owned(), Zone::new(main, row.anchor));
    Ok(zones)
}

/// Movements and counts of our own after an event, by variant.
pub(crate) struct OwnMovements {
    after: u64,
    by_variant: BTreeMap<VariantId, Own>,
}

#[derive(Default)]
struct Own {
    moved: Vec<Moved>,
    counts: Vec<Count>,
}

struct Moved {
    /// Event in this file.
    seq: u64,
    /// The event as it was first written.
    at: EventRef,
    delta: Quantity,
    /// None for the main one.
    zone: Option<Box<str>>,
    included_in: Option<StreamPos>,
}

impl Moved {
    fn zone(&self) -> &str {
        self.zone.as_deref().unwrap_or(MAIN_ZONE)
    }

    fn is_after(&self, anchor: &Anchor) -> bool {
        let moved = stock::Moved {
            delta: self.delta,
            // Our own clock has followed the counts that we learned of, so it may decide here.
            strict: false,
            included_in: self.included_in,
        };
        is_after(&self.at, moved, anchor)
    }
}

struct Count {
    /// Event in this file.
    seq: u64,
    at: EventRef,
    zone: Box<str>,
    cut: Arc<BTreeMap<StreamId, u64>>,
    looked_ms: u64,
    seen_ms: u64,
    quantity: Quantity,
}

impl Own {
    /// What each zone holds: what the server says and our own facts that it does not hold yet.
    fn shown(&self, served: &Served) -> Result<Option<BTreeMap<String, Shown>>, LedgerError> {
        let fresh = |seq: u64| seq > served.folded;
        let counts: Vec<&Count> = self.counts.iter().filter(|c| fresh(c.seq)).collect();
        let moved: Vec<&Moved> = self.moved.iter().filter(|m| fresh(m.seq)).collect();
        let main = |count: &&Count| matches!(&*count.zone, ALL_ZONES | MAIN_ZONE);
        if served.zones.is_none() && !counts.iter().any(main) {
            return Ok(None);
        }
        let none = BTreeMap::new();
        let served = served.zones.as_ref().unwrap_or(&none);
        let mut names: BTreeSet<&str> = served.keys().map(String::as_str).collect();
        names.extend(moved.iter().map(|moved| moved.zone()));
        names.extend(counts.iter().map(|count| &*count.zone));
        names.insert(MAIN_ZONE);
        names.remove(ALL_ZONES);
        let mut zones = BTreeMap::new();
        for name in names {
            let held = served.get(name);
            let mut anchors: Vec<Anchor> = held
                .and_then(|held| held.anchor.clone())
                .into_iter()
                .collect();
            for count in counts
                .iter()
                .filter(|c| matches!(&*c.zone, z if z == name || z == ALL_ZONES))
            {
                anchors.push(count.anchor(name));
            }
            let stands = winner(&anchors);
            let start = match (stands, held) {
                (Some(anchor), _) => anchor.quantity,
                (None, Some(held)) => held.quantity,
                (None, None) => Quantity::ZERO,
            };
            let count = stands.map(|anchor| anchor.at);
            let mut shown = Shown {
                quantity: start,
                count,
                start,
                counting: Vec::new(),
            };
            let own = counts.iter().find(|own| Some(own.at) == count);
            shown.counting.extend(own.map(|own| own.seq));
            for moved in moved.iter().filter(|moved| moved.zone() == name) {
                if stands.is_none_or(|anchor| moved.is_after(anchor)) {
                    let sum = shown.quantity.checked_add(moved.delta);
                    shown.quantity = sum.ok_or(LedgerError::Overflow)?;
                    shown.counting.push(moved.seq);
                }
            }
            zones.insert(name.to_owned(), shown);
        }
        Ok(Some(zones))
    }
}

impl Count {
    fn anchor(&self, zone: &str) -> Anchor {
        let quantity = if &*self.zone == ALL_ZONES {
            share_of_whole(self.quantity, zone)
        } else {
            self.quantity
        };
        Anchor {
            at: self.at,
            cut: BTreeMap::clone(&self.cut),
            looked_ms: self.looked_ms,
            seen_ms: self.seen_ms,
            learned: BTreeMap::new(),
            quantity,
        }
    }
}

impl OwnMovements {
    fn add(&mut self, seq: u64, at: &EventRef, moves: &[u8]) {
        for pair in moves.chunks_exact(24) {
            let (variant, delta) = pair.split_at(16);
            let (Ok(variant), Ok(delta)) = (Uuid::from_slice(variant), delta.try_into()) else {
                continue;
            };
            let moved = Moved {
                seq,
                at: *at,
                delta: Quantity(i64::from_be_bytes(delta)),
                zone: None,
                included_in: None,
            };
            self.of(VariantId(variant)).moved.push(moved);
        }
    }

    fn add_goods(&mut self, seq: u64, at: &EventRef, fact: &Fact, location: &LocationId) {
        for movement in stock::movements(fact) {
            if movement.location != *location {
                continue;
            }
            let zone = (movement.zone != MAIN_ZONE).then(|| movement.zone.into_boxed_str());
            let moved = Moved {
                seq,
                at: *at,
                delta: movement.moved.delta,
                zone,
                included_in: movement.moved.included_in,
            };
            self.of(movement.variant).moved.push(moved);
        }
        let Fact::StockCounted(count) = fact else {
            return;
        };
        if count.location != *location {
            return;
        }
        let shared = Arc::new(count.cut.clone());
        for (variant, found) in stock::counted(at, count) {
            let is_shared = found.cut == *shared;
            let count = Count {
                seq,
                at: *at,
                zone: count.zone.clone().into_boxed_str(),
                cut: if is_shared {
                    Arc::clone(&shared)
                } else {
                    Arc::new(found.cut)
                },
                looked_ms: found.looked_ms,
                seen_ms: found.seen_ms,
                quantity: found.quantity,
            };
            self.of(variant).counts.push(count);
        }
    }

    fn of(&mut self, variant: VariantId) -> &mut Own {
        self.by_variant.entry(variant).or_default()
    }
}
