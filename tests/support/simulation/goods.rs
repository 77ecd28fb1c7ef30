//! Strict goods as they really are: what lies on each shelf, what web customers were promised, and how many units may be
//! missing for a reason that [docs/stock.md](../../../docs/stock.md) names. No program of the chain sees any of it.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use domain::ids::{EventId, LocationId, StreamId, VariantId};
use hub::PromiseRequest;

use super::node::SaleKey;

/// Strict articles: the first of the catalogue.
pub const STRICT: u64 = 3;
/// Units of each strict article at each store when it opens: few, so that tills and web meet over the last one.
const OPENING: [i64; STRICT as usize] = [3, 6, 12];
/// Thousandths of a unit.
pub const UNIT: i64 = 1_000;

/// A variant at a location.
pub type Place = (VariantId, LocationId);

/// A promise that the web shop was given.
#[derive(Debug, Clone)]
pub struct Order {
    /// As it was asked for.
    pub request: PromiseRequest,
    /// What of, and where.
    pub place: Place,
    /// Units.
    pub units: i64,
    /// Until when, milliseconds by the server's clock.
    pub expires: i64,
    /// Neither given up nor handed over.
    pub open: bool,
    /// An order is handed over, a cart is not.
    pub is_order: bool,
}

/// Strict goods that a till gave away, and the event that says so.
#[derive(Debug, Clone)]
pub struct Gone {
    /// Till.
    pub till: usize,
    /// The stream that it wrote.
    pub stream: StreamId,
    /// Receipt, or event.
    pub proof: Proof,
    /// What and where.
    pub place: Place,
    /// Units; below zero they came back.
    pub units: i64,
    /// The books have lost it, and the slack holds it already.
    pub forgiven: bool,
}

/// How it is found at the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// By its receipt.
    Sale(SaleKey),
    /// By its event.
    Event(EventId),
}

/// All strict goods of the chain.
#[derive(Debug, Default)]
pub struct Goods {
    /// Units on the shelf.
    pub shelf: BTreeMap<Place, i64>,
    /// Units that may be missing: sold under a manager's override, or by a till that nothing could tell that it was put
    /// back, or forgotten by all files that there were.
    pub slack: BTreeMap<Place, i64>,
    /// Promises.
    pub orders: Vec<Order>,
    /// What tills gave away.
    pub gone: Vec<Gone>,
}

impl Goods {
    /// Units at the beginning.
    pub fn opening(article: usize) -> i64 {
        OPENING
            .get(article)
            .copied()
            .unwrap_or(super::world::OPENING)
    }

    /// Takes units off the shelf, or puts them back when `units` is below zero.
    pub fn take(
        &mut self,
        (till, stream): (usize, StreamId),
        proof: Proof,
        place: &Place,
        units: i64,
    ) {
        *self.shelf.entry(place.clone()).or_default() -= units;
        self.gone.push(Gone {
            till,
            stream,
            proof,
            place: place.clone(),
            units,
            forgiven: false,
        });
    }

    /// Units may be missing.
    pub fn forgive(&mut self, place: &Place, units: i64) {
        *self.slack.entry(place.clone()).or_default() += units.max(0);
    }

    /// Units that web customers were promised and have not got, at `now_ms`.
    pub fn promised(&self, place: &Place, now_ms: i64) -> i64 {
        let open = |order: &&Order| order.open && order.expires > now_ms && order.place == *place;
        self.orders
            .iter()
            .filter(open)
            .map(|order| order.units)
            .sum()
    }

    /// The rule of rules: nobody holds a promise, or bought, what is not there. Claimed after **every** step.
    ///
    /// # Errors
    /// Names the place.
    pub fn never_oversold(&self, now_ms: i64) -> Result<()> {
        for (place, units) in &self.shelf {
            let promised = self.promised(place, now_ms);
            let slack = self.slack.get(place).copied().unwrap_or_default();
            ensure!(
                units + slack >= promised,
                "V5: oversold: {units} of {} lie at {}, {promised} are promised ({slack} may be missing)",
                place.0,
                place.1
            );
        }
        Ok(())
    }

    /// What lies at `known`, forgotten by every file: the books hold these units, the shelf does not.
    pub fn forget(&mut self, lost: impl Fn(&Gone) -> bool) {
        let mut slack = Vec::new();
        for gone in &mut self.gone {
            if !gone.forgiven && lost(gone) {
                gone.forgiven = true;
                slack.push((gone.place.clone(), gone.units));
            }
        }
        for (place, units) in slack {
            self.forgive(&place, units);
        }
    }
}
