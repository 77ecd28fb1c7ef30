//! Escrow: who may sell how many units of a strict variant without asking anybody.
//!
//! A right is a bounded counter over edges. `T[from][to]` is the total of units whose right `from` ever moved to
//! `to`; only `from` writes it, in its own stream, and totals are merged by taking the larger. What a stream has
//! consumed (sold, written off, sent away) and minted (received, taken back) follows from its own facts, in the
//! transaction that folds its stock, and is never sent. So
//!
//! ```text
//! right(i)       = minted(i) + sum T[*][i] - sum T[i][*] - consumed(i)   >= 0, checked on i before it sells
//! outstanding(i) = max(0, the same from what was folded)                  what i may still sell, as far as is known
//! free           = least on hand - sum outstanding - open promises        >= 0 before any grant or promise
//! ```
//!
//! and on hand = free + outstanding + promises: a sum of what is not negative.
//!
//! # Source
//! V. Balegas et al., "Extending Eventually Consistent Cloud Databases for Enforcing Numeric Invariants" (SRDS 2015):
//! the bounded counter; here without the full matrix, because only edges that were used are kept.

use std::collections::BTreeMap;

use crate::catalog::StockClass;
use crate::event::{Fact, GoodsLine, OverrideKind, RightsLine, RightsMoved, SaleBody};
use crate::ids::{LocationId, StreamId, TenantId, VariantId};
use crate::quantity::Quantity;
use crate::stock::taken;
use crate::time::{Boot, Hlc, Now};

/// What a fact does to its stream's right to a variant at a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// Variant.
    pub variant: VariantId,
    /// Location.
    pub location: LocationId,
    /// Units that were spent.
    pub consumed: Quantity,
    /// Units that came in and may be sold at once.
    pub minted: Quantity,
}

/// What a fact does to rights, each variant and location once, ascending. Lines that a manager let pass without a
/// right consume none: that unit was promised elsewhere, and booking it here would hand it back to be promised again.
pub fn effects(fact: &Fact) -> Vec<Effect> {
    let mut sums: BTreeMap<(VariantId, LocationId), (i128, i128)> = BTreeMap::new();
    let mut book = |location: &LocationId, line: &GoodsLine, sign: i128| {
        if line.class != StockClass::Strict {
            return;
        }
        let sum = sums.entry((line.variant, location.clone())).or_default();
        match sign * i128::from(line.quantity.0) {
            gone if gone < 0 => sum.0 -= gone,
            came => sum.1 += came,
        }
    };
    match fact {
        Fact::SaleCompleted(sale) => {
            for part in sold(sale) {
                book(&sale.location, &part, -1);
            }
        }
        Fact::Reversed(reversed) => {
            for part in sold(&reversed.mirror) {
                book(&reversed.mirror.location, &part, -1);
            }
        }
        Fact::GoodsReceived(received) => {
            for line in &received.lines {
                book(&received.location, line, 1);
            }
        }
        Fact::StockAdjusted(adjusted) if !is_overridden(&adjusted.overrides) => {
            for line in &adjusted.lines {
                book(&adjusted.location, line, 1);
            }
        }
        Fact::TransferSent(sent) if !is_overridden(&sent.overrides) => {
            for line in &sent.lines {
                book(&sent.from, line, -1);
            }
        }
        Fact::TransferReceived(received) => {
            for line in &received.lines {
                book(&received.to, line, 1);
            }
        }
        // A promise was taken off what is free when it was made, and closes with the goods.
        Fact::OrderPicked(_) => {}
        _ => {}
    }
    sums.into_iter()
        .map(|((variant, location), (consumed, minted))| Effect {
            variant,
            location,
            consumed: clamp(consumed),
            minted: clamp(minted),
        })
        .collect()
}

fn sold(sale: &SaleBody) -> impl Iterator<Item = GoodsLine> {
    let waived = |number: u32| {
        let of_line = |noted: &crate::event::Override| {
            noted.kind == OverrideKind::NoRight && noted.line == Some(number)
        };
        sale.overrides.iter().any(of_line)
    };
    sale.lines
        .iter()
        .filter(move |line| line.quantity.0 < 0 || !waived(line.line))
        .flat_map(taken)
}

fn is_overridden(overrides: &[crate::event::Override]) -> bool {
    let waives = |noted: &crate::event::Override| noted.kind == OverrideKind::NoRight;
    overrides.iter().any(waives)
}

/// Whose total a fact about rights states, and to whom; the author of a fact owns its edges.
pub fn edges(fact: &Fact) -> Option<(&RightsMoved, &[RightsLine])> {
    match fact {
        Fact::RightsGranted(moved) | Fact::RightsReturned(moved) | Fact::RightsPassed(moved) => {
            Some((moved, &moved.lines))
        }
        _ => None,
    }
}

/// Sums of one stream for one variant at one location.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Units that came in.
    pub minted: Quantity,
    /// Units that were spent.
    pub consumed: Quantity,
    /// Rights that came from others: sum of their totals.
    pub received: Quantity,
    /// Rights that went to others: sum of its own totals.
    pub given: Quantity,
}

impl Tally {
    /// What may still be spent. Below zero only where a fact was written without the right to it.
    pub fn right(&self) -> Quantity {
        let sum = i128::from(self.minted.0) + i128::from(self.received.0)
            - i128::from(self.given.0)
            - i128::from(self.consumed.0);
        clamp(sum)
    }

    /// What the stream may still sell as far as is known here; never below zero, for a debt of one stream is no unit
    /// that another may sell.
    pub fn outstanding(&self) -> Quantity {
        self.right().max(Quantity::ZERO)
    }
}

/// Totals and sums of one variant at one location, kept in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    edges: BTreeMap<(StreamId, StreamId), Quantity>,
    used: BTreeMap<StreamId, (Quantity, Quantity)>,
}

impl Rights {
    /// Takes a total in; a smaller one than is known changes nothing.
    pub fn moved(&mut self, from: StreamId, to: StreamId, total: Quantity) {
        // A stream that moves rights to itself would make some out of nothing.
        if from != to {
            let known = self.edges.entry((from, to)).or_default();
            *known = total.max(*known);
        }
    }

    /// Adds what a fact of `stream` did; the caller folds each fact once.
    pub fn used(&mut self, stream: StreamId, consumed: Quantity, minted: Quantity) {
        let sums = self.used.entry(stream).or_default();
        sums.0 = clamp(i128::from(sums.0.0) + i128::from(consumed.0));
        sums.1 = clamp(i128::from(sums.1.0) + i128::from(minted.0));
    }

    /// Sums of one stream.
    pub fn tally(&self, stream: StreamId) -> Tally {
        let (consumed, minted) = self.used.get(&stream).copied().unwrap_or_default();
        let sum = |edges: &mut dyn Iterator<Item = i64>| clamp(edges.map(i128::from).sum());
        let to = self.edges.iter().filter(|((_, to), _)| *to == stream);
        let from = self.edges.iter().filter(|((from, _), _)| *from == stream);
        Tally {
            minted,
            consumed,
            received: sum(&mut to.map(|(_, total)| total.0)),
            given: sum(&mut from.map(|(_, total)| total.0)),
        }
    }

    /// Total moved from one stream to another.
    pub fn total(&self, from: StreamId, to: StreamId) -> Quantity {
        self.edges.get(&(from, to)).copied().unwrap_or_default()
    }

    /// Streams that hold or held rights, ascending; the hub's own is not among them.
    pub fn streams(&self, hub: StreamId) -> Vec<StreamId> {
        let ends = self.edges.keys().flat_map(|(from, to)| [*from, *to]);
        let mut streams: Vec<StreamId> = ends.chain(self.used.keys().copied()).collect();
        streams.sort_unstable();
        streams.dedup();
        streams.retain(|stream| *stream != hub);
        streams
    }

    /// What all streams but the hub's may still sell. `settled` streams count as nothing: they reported to their end
    /// and hold none, or were reclaimed by a count after their lease.
    pub fn outstanding(&self, hub: StreamId, settled: impl Fn(StreamId) -> bool) -> Quantity {
        let streams = self
            .streams(hub)
            .into_iter()
            .filter(|stream| !settled(*stream));
        clamp(
            streams
                .map(|stream| i128::from(self.tally(stream).outstanding().0))
                .sum(),
        )
    }
}

/// What may still be granted or promised. Below zero the books hold fewer units than were given away.
pub fn free(least_on_hand: Quantity, outstanding: Quantity, promised: Quantity) -> Quantity {
    clamp(i128::from(least_on_hand.0) - i128::from(outstanding.0) - i128::from(promised.0))
}

fn clamp(sum: i128) -> Quantity {
    let limit = if sum < 0 { i64::MIN } else { i64::MAX };
    Quantity(i64::try_from(sum).unwrap_or(limit))
}

/// The message with which the hub signs a total that it granted, so that a till can prove what it holds and a relay
/// cannot invent any.
pub fn grant_message(
    tenant: &TenantId,
    epoch: u64,
    (from, to): (StreamId, StreamId),
    line: &RightsLine,
) -> Vec<u8> {
    let mut message = b"hanout-grant-1\0".to_vec();
    message.extend_from_slice(tenant.as_str().as_bytes());
    message.push(0);
    message.extend_from_slice(&epoch.to_be_bytes());
    message.extend_from_slice(&from.0);
    message.extend_from_slice(&to.0);
    message.extend_from_slice(line.variant.0.as_bytes());
    message.extend_from_slice(line.location.as_str().as_bytes());
    message.push(0);
    message.extend_from_slice(&line.total.0.to_be_bytes());
    message.extend_from_slice(&line.lease_end.unwrap_or(i64::MAX).to_be_bytes());
    message
}

/// How far a device's wall clock may lie behind what it has seen before its rights are frozen, milliseconds.
pub const CLOCK_TOLERANCE_MS: i64 = 60_000;

/// Until when rights may be spent, as a device knows it: it has no server clock, only its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Lease {
    /// How long from the moment it was learned of, milliseconds.
    pub length_ms: i64,
    /// Clock since boot at that moment.
    pub boot: Boot,
    /// Wall clock at that moment.
    pub wall: i64,
}

impl Lease {
    /// A lease that ends at `end` by the clock of a server that shows `server_time`, learned of `now`.
    pub fn learned(end: i64, server_time: i64, now: &Now) -> Lease {
        Lease {
            length_ms: end.saturating_sub(server_time).max(0),
            boot: now.boot,
            wall: now.wall_ms,
        }
    }

    /// Whether it still runs. In the boot in which it was learned of the clock since boot says so, which nobody sets;
    /// after a restart the wall clock must lie between then and the end. A wall clock behind what the journal has seen
    /// (`hlc`) was set back, and rights wait until the server was spoken to.
    pub fn runs(&self, now: &Now, hlc: Hlc) -> bool {
        let seen = i64::try_from(hlc.ms()).unwrap_or(i64::MAX);
        if now.wall_ms.saturating_add(CLOCK_TOLERANCE_MS) < seen.max(self.wall) {
            return false;
        }
        let passed = if now.boot.id == self.boot.id && now.boot.ms >= self.boot.ms {
            i64::try_from(now.boot.ms - self.boot.ms).unwrap_or(i64::MAX)
        } else {
            now.wall_ms.saturating_sub(self.wall)
        };
        passed <= self.length_ms
    }
}

/// How many units a till should hold that sells `demand` within the time that it should do without the hub: the
/// demand and its root above it, so that a busy hour does not leave it without.
pub fn target(demand: Quantity) -> Quantity {
    let demand = demand.max(Quantity::ZERO);
    let whole = demand.0.saturating_add(root(demand));
    // Rights are for whole units.
    Quantity((whole.saturating_add(999) / 1_000).saturating_mul(1_000))
}

/// Whether a till that holds `right` should ask for more.
pub fn wants_more(right: Quantity, demand: Quantity) -> bool {
    i128::from(right.0) * 2 < i128::from(demand.0)
}

/// What the online channel leaves on the shelf: what tills may have sold since they were last heard (`expected`), and
/// twice its root for chance.
pub fn web_buffer(expected: Quantity) -> Quantity {
    let expected = expected.max(Quantity::ZERO);
    Quantity(expected.0.saturating_add(root(expected).saturating_mul(2)))
}

/// Square root of a quantity as a quantity, rounded down.
fn root(of: Quantity) -> i64 {
    let thousandths = u64::try_from(of.0).unwrap_or(0).saturating_mul(1_000);
    i64::try_from(thousandths.isqrt()).unwrap_or(i64::MAX)
}
