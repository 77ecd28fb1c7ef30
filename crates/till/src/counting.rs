//! Counting while the shop sells. A count in progress is a draft like a cart; finishing it writes one fact, which
//! says what this till had folded of every stream, so that nobody has to stop for it.
//!
//! Between the scan of an article and the end of the count the shop goes on. What this till moved after the last scan is
//! taken along; what left here between the first scan and the last, when nobody can tell on which side of the counter's
//! eyes, is taken for gone: the shelf may then hold one more than the books, never one less. What others moved is not: the
//! fact says when the goods were looked at first and what we knew then, so that it is set against the look by everybody
//! who hears of both.

use std::collections::BTreeMap;

use domain::catalog::StockClass;
use domain::event::{ALL_ZONES, CountReason, Counted, Fact, Looked, StockCounted};
use domain::ids::{DocumentId, EventId, StreamId, VariantId};
use domain::quantity::{QUANTITY_MAX, Quantity};
use domain::stock::GOODS_LINES_MAX;
use domain::time::{Boot, Now};
use serde::{Deserialize, Serialize};

use crate::checkout::Terms;
use crate::door::{Approval, CountedView, Refusal, RefusalCode, Reply, StockCountView};
use crate::drafts::{Change, CountChange};
use crate::goods::zone_or_main;
use crate::till::{Call, Outcome, Till, storage_refusal};
use crate::views::options_text;

/// Rows shown while counting.
const ROWS_SHOWN: usize = 100;

/// A count in progress on this device.
#[derive(Debug, Clone)]
pub(crate) struct CountDraft {
    pub head: CountHead,
    pub items: BTreeMap<VariantId, CountedItem>,
}

impl CountDraft {
    pub const fn new(head: CountHead) -> CountDraft {
        CountDraft {
            head,
            items: BTreeMap::new(),
        }
    }
}

/// What a count is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CountHead {
    pub document: DocumentId,
    /// Event that it will be: a draft whose event is in the journal is over.
    pub event: EventId,
    pub zone: String,
    /// Wall clock of the beginning.
    pub wall: i64,
}

/// What was found of a variant so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CountedItem {
    pub found: Quantity,
    pub first: Seen,
    pub last: Seen,
    /// How far every stream was folded here at the first scan.
    #[serde(default)]
    pub folded: BTreeMap<StreamId, u64>,
}

/// What the books said when a variant was scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Wall clock.
    wall: i64,
    /// Last event of this till.
    seq: u64,
    /// On hand in the zone.
    stock: Option<Quantity>,
    /// The clock that nobody sets; none in a draft from before it was kept.
    #[serde(default)]
    boot: Option<Boot>,
}

impl Seen {
    /// How long ago it was, in milliseconds. Across a start of the machine the wall clock tells, and one that was set back
    /// says nothing.
    fn ago_ms(&self, now: &Now) -> u64 {
        match self.boot {
            Some(then) if then.id == now.boot.id => now.boot.ms.saturating_sub(then.ms),
            Some(_) | None => u64::try_from(now.wall_ms.saturating_sub(self.wall)).unwrap_or(0),
        }
    }
}

/// What the end of a count makes of a variant.
struct Reckoned {
    expected: Option<Quantity>,
    between: Quantity,
    since: Quantity,
    quantity: Quantity,
}

impl Till {
    pub(crate) fn start_stock_count(
        &mut self,
        zone: Option<&str>,
        document: Option<DocumentId>,
        call: &mut Call,
    ) -> Outcome {
        self.signed_in()?;
        self.require_room()?;
        let terms = self.terms(call)?;
        let zone = match zone.map(str::trim) {
            Some(ALL_ZONES) => ALL_ZONES.to_owned(),
            zone => zone_or_main(zone)?,
        };
        if self.count.is_some() {
            return Err(RefusalCode::CountOpen.into());
        }
        let head = CountHead {
            document: document.unwrap_or_else(|| DocumentId(call.uuid())),
            event: EventId(call.uuid()),
            zone,
            wall: call.now.wall_ms,
        };
        let draft = CountDraft::new(head.clone());
        let view = self.count_view(&draft, false, &terms)?;
        let change = count_change(CountChange::Begun(head));
        call.draft(self, change, Reply::StockCount(Box::new(view)))
    }

    pub(crate) fn get_stock_count(&self, call: &Call) -> Outcome {
        self.signed_in()?;
        let terms = self.terms(call)?;
        let view = self.count_view(self.counting()?, false, &terms)?;
        Ok(Reply::StockCount(Box::new(view)))
    }

    fn counting(&self) -> Result<&CountDraft, Refusal> {
        self.count
            .as_ref()
            .ok_or_else(|| RefusalCode::NoCount.into())
    }

    pub(crate) fn scan_counted(&mut self, code: &str, call: &mut Call) -> Outcome {
        self.signed_in()?;
        self.counting()?;
        let variant = self.item_of_code(code)?.variant.variant;
        self.add_counted(variant, Quantity::ONE, call)
    }

    pub(crate) fn add_counted(
        &mut self,
        variant: VariantId,
        quantity: Quantity,
        call: &mut Call,
    ) -> Outcome {
        self.signed_in()?;
        let terms = self.terms(call)?;
        let mut draft = self.counting()?.clone();
        self.tracked(variant, &terms)?;
        let seen = self.seen(variant, &draft.head.zone, &terms, call)?;
        if !draft.items.contains_key(&variant) && draft.items.len() >= GOODS_LINES_MAX {
            return Err(Refusal::new(RefusalCode::TooManyLines).with("max", GOODS_LINES_MAX));
        }
        let folded = self.cut(&terms)?;
        let item = draft.items.entry(variant).or_insert(CountedItem {
            found: Quantity::ZERO,
            first: seen,
            last: seen,
            folded,
        });
        item.last = seen;
        let found = item.found.checked_add(quantity);
        item.found = found
            .filter(|found| (0..=QUANTITY_MAX).contains(&found.0))
            .ok_or(RefusalCode::QuantityInvalid)?;
        let item = item.clone();
        let view = self.count_view(&draft, false, &terms)?;
        let change = count_change(CountChange::Item(variant, Some(item)));
        call.draft(self, change, Reply::StockCount(Box::new(view)))
    }

    pub(crate) fn remove_counted(&mut self, variant: VariantId, call: &mut Call) -> Outcome {
        self.signed_in()?;
        let terms = self.terms(call)?;
        let mut draft = self.counting()?.clone();
        if draft.items.remove(&variant).is_none() {
            return Err(RefusalCode::UnknownVariant.into());
        }
        let view = self.count_view(&draft, false, &terms)?;
        let change = count_change(CountChange::Item(variant, None));
        call.draft(self, change, Reply::StockCount(Box::new(view)))
    }

    pub(crate) fn drop_stock_count(&mut self, call: &mut Call) -> Outcome {
        self.signed_in()?;
        self.counting()?;
        call.draft(self, count_change(CountChange::Over), Reply::Done {})
    }

    pub(crate) fn finish_stock_count(
        &mut self,
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Outcome {
        let member = self.signed_in()?;
        let terms = self.terms(call)?;
        let draft = self.counting()?.clone();
        if draft.items.is_empty() {
            return Err(RefusalCode::NoLines.into());
        }
        let cut = self.cut(&terms)?;
        let own = self.book()?.head().stream;
        let mut items = Vec::with_capacity(draft.items.len());
        for (variant, item) in &draft.items {
            let reckoned = self.reckon(*variant, item, &draft.head.zone, &terms)?;
            let looked = looked(item, &cut, own);
            // Where nothing else was heard of, only seals ask when somebody looked, and those of strict variants alone.
            let tells = !looked.folded.is_empty() || self.is_strict(*variant, &terms)?;
            items.push(Counted {
                variant: *variant,
                quantity: reckoned.quantity,
                expected: reckoned.expected,
                looked: tells.then_some(looked),
                ago_ms: item.first.ago_ms(&call.now),
            });
        }
        let view = self.count_view(&draft, true, &terms)?;
        let by = self.approved_by(approval, RefusalCode::ManagerRequired, call)?;
        let fact = Fact::StockCounted(StockCounted {
            location: terms.store.location.clone(),
            zone: draft.head.zone.clone(),
            cut,
            items,
            reason: CountReason::Count,
            document: Some(draft.head.document),
            user: Some(member.user),
            approved_by: (by != member.user).then_some(by),
        });
        let reply = Reply::StockCount(Box::new(view));
        let reply = self.record_fact(draft.head.event, &fact, Vec::new(), reply, call)?;
        self.adopt_after_fact(count_change(CountChange::Over), call.now.wall_ms);
        self.sync_requested = true;
        Ok(reply)
    }

    fn cut(&self, terms: &Terms) -> Result<BTreeMap<StreamId, u64>, Refusal> {
        let cut = self.book()?.cut(&terms.store.location);
        cut.map_err(|error| storage_refusal(&error))
    }

    fn is_strict(&self, variant: VariantId, terms: &Terms) -> Result<bool, Refusal> {
        let item = self.book()?.item(variant);
        let item = item.map_err(|error| storage_refusal(&error))?;
        // Of one that has left the catalogue nobody knows.
        Ok(item
            .is_none_or(|item| item.variant.class_at(&terms.store.location) == StockClass::Strict))
    }

    /// What the books say of a variant at this moment.
    fn seen(
        &self,
        variant: VariantId,
        zone: &str,
        terms: &Terms,
        call: &Call,
    ) -> Result<Seen, Refusal> {
        let book = self.book()?;
        let known = book
            .stock_in(variant, &terms.store.location, zone)
            .map_err(|error| storage_refusal(&error))?;
        Ok(Seen {
            wall: call.now.wall_ms,
            boot: Some(call.now.boot),
            seq: book.head().seq,
            stock: known.map(|known| known.quantity),
        })
    }

    fn reckon(
        &self,
        variant: VariantId,
        item: &CountedItem,
        zone: &str,
        terms: &Terms,
    ) -> Result<Reckoned, Refusal> {
        let book = self.book()?;
        let failed = |error| storage_refusal(&error);
        let known = book
            .stock_in(variant, &terms.store.location, zone)
            .map_err(failed)?;
        let now = Seen {
            stock: known.map(|known| known.quantity),
            seq: book.head().seq,
            ..item.last
        };
        let moved = |from, to| self.moved_here(variant, zone, (from, to));
        let since = moved(&item.last, &now)?;
        let between = moved(&item.first, &item.last)?;
        // What others did is set against the look wherever it is heard of, here too.
        let expected = match item.first.stock {
            Some(stock) => Some(
                stock
                    .checked_add(moved(&item.first, &now)?)
                    .ok_or(RefusalCode::AmountOverflow)?,
            ),
            None => now.stock,
        };
        let overflow = || Refusal::from(RefusalCode::QuantityInvalid);
        let quantity = item
            .found
            .checked_add(since)
            .and_then(|sum| sum.checked_add(between.min(Quantity::ZERO)))
            .filter(|sum| sum.0.unsigned_abs() <= QUANTITY_MAX.unsigned_abs())
            .ok_or_else(overflow)?;
        Ok(Reckoned {
            expected,
            between,
            since,
            quantity,
        })
    }

    /// What this till moved between two looks.
    fn moved_here(
        &self,
        variant: VariantId,
        zone: &str,
        (from, to): (&Seen, &Seen),
    ) -> Result<Quantity, Refusal> {
        let book = self.book()?;
        let failed = |error| storage_refusal(&error);
        let since = |seq| book.moved_since(variant, zone, seq).map_err(failed);
        less(since(from.seq)?, since(to.seq)?)
    }

    fn count_view(
        &self,
        draft: &CountDraft,
        finished: bool,
        terms: &Terms,
    ) -> Result<StockCountView, Refusal> {
        let minute = |wall| domain::time::local_minute(wall, terms.store.utc_offset_min);
        let mut latest: Vec<_> = draft.items.iter().collect();
        latest.sort_by_key(|(variant, item)| {
            (
                std::cmp::Reverse((item.last.wall, item.last.seq)),
                **variant,
            )
        });
        let shown = if finished { latest.len() } else { ROWS_SHOWN };
        let mut rows = Vec::new();
        for (variant, item) in latest.into_iter().take(shown) {
            let reckoned = self.reckon(*variant, item, &draft.head.zone, terms)?;
            let found = self
                .book()?
                .item(*variant)
                .map_err(|error| storage_refusal(&error))?;
            // A variant that has left the catalogue since is counted all the same.
            let Some(found) = found else { continue };
            let difference = reckoned
                .expected
                .map(|expected| Quantity(reckoned.quantity.0.saturating_sub(expected.0)));
            rows.push(CountedView {
                variant: *variant,
                sku: found.variant.sku,
                names: found.style.names,
                options: options_text(&found.variant.options),
                found: item.found,
                expected: reckoned.expected,
                moved_between: reckoned.between,
                moved_since: reckoned.since,
                quantity: reckoned.quantity,
                difference,
                first_at: minute(item.first.wall),
                last_at: minute(item.last.wall),
            });
        }
        let units: i64 = draft.items.values().map(|item| item.found.0).sum();
        let transfers = self
            .book()?
            .open_transfers()
            .map_err(|error| storage_refusal(&error))?;
        Ok(StockCountView {
            document: draft.head.document,
            zone: draft.head.zone.clone(),
            since: minute(draft.head.wall),
            items: u32::try_from(draft.items.len()).unwrap_or(u32::MAX),
            units: Quantity(units),
            rows,
            transfers: u32::try_from(transfers.len()).unwrap_or(u32::MAX),
            finished,
        })
    }
}

fn less(a: Quantity, b: Quantity) -> Result<Quantity, Refusal> {
    let less = a.0.checked_sub(b.0).map(Quantity);
    less.ok_or_else(|| RefusalCode::AmountOverflow.into())
}

/// What was known at the first look, beside the cut of the end. Our own later events are in the quantity.
fn looked(item: &CountedItem, cut: &BTreeMap<StreamId, u64>, own: StreamId) -> Looked {
    let others = cut.iter().filter(|(stream, _)| **stream != own);
    let folded = others.filter_map(|(stream, end)| {
        let then = item.folded.get(stream).copied().unwrap_or(0);
        (then < *end).then_some((*stream, then))
    });
    Looked {
        wall: item.first.wall,
        folded: folded.collect(),
    }
}

fn count_change(count: CountChange) -> Change {
    Change {
        count: Some(count),
        ..Change::default()
    }
}
