//! Promises: units that the online channel keeps for a shopper, all of a batch or none. A cart is kept for a limited time;
//! an order is kept until its goods were handed over or it was given up, because nobody who hands over is asked how late
//! it is.

use std::collections::BTreeMap;

use domain::catalog::StockClass;
use domain::escrow::web_buffer;
use domain::ids::{LocationId, PromiseId, VariantId};
use domain::quantity::{QUANTITY_MAX, Quantity};
use domain::time::Now;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sync_protocol::DeviceStatus;

use crate::incidents::look_at;
use crate::lifecycle::{Hub, Identity, epoch};
use crate::office::{least_kits, variant_by_id};
use crate::rights::{Gate, standing, streams_at};
use crate::shops::from_row;
use crate::store::{Place, PromiseRow, StoreError, StoreResult, StreamRow, Tx};

/// Longest life of a cart, in milliseconds.
pub const PROMISE_MS_MAX: i64 = 30 * 24 * 60 * 60 * 1_000;
/// Most lines of a promise.
pub const PROMISE_LINES_MAX: usize = 500;
/// How long goods lie on the shelf after they were promised, until somebody picks them, in milliseconds.
pub const PICK_MS: i64 = 45 * 60 * 1_000;
/// The time over which tills' sales are looked at to guess what they sell unheard, in milliseconds.
const RATE_MS: i64 = 7 * 24 * 60 * 60 * 1_000;
/// When an order expires, as it is kept.
const NEVER: i64 = i64::MAX;
/// Epoch in which the channel has said which promises it has made.
const CONFIRMED: &str = "promises_epoch";

/// One wish of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromiseLine {
    /// Variant.
    pub variant: VariantId,
    /// Location that is to hand it over.
    pub location: LocationId,
    /// How much, above zero.
    pub quantity: Quantity,
}

/// A batch that is promised as a whole or not at all. Lines of one variant at one location are one demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromiseRequest {
    /// Id that the asker made; asking again with it gets the same answer.
    pub promise: PromiseId,
    /// What is wanted; of a kit its parts are kept.
    pub lines: Vec<PromiseLine>,
    /// How long a cart is to be kept by the server's clock, milliseconds; none for an order, which does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life_ms: Option<i64>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum PromiseAnswer {
    /// All of it is kept.
    Promised {
        /// Until when, milliseconds since 1970 by the server's clock; none for an order.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<i64>,
    },
    /// None of it is kept.
    Refused {
        /// What there is too little of.
        short: Vec<Shortage>,
    },
}

/// What there was too little of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// Variant; where a kit was wanted, its part.
    pub variant: VariantId,
    /// Location.
    pub location: LocationId,
    /// How much was wanted in all.
    pub asked: Quantity,
    /// How much could have been promised; never below zero.
    pub available: Quantity,
}

/// How a promise stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromiseState {
    /// The units are kept.
    Open,
    /// There was too little.
    Refused,
    /// Given up by the asker.
    Released,
    /// Its time was over.
    Expired,
    /// Handed over.
    Picked,
}

impl PromiseState {
    const fn code(self) -> &'static str {
        match self {
            PromiseState::Open => "open",
            PromiseState::Refused => "refused",
            PromiseState::Released => "released",
            PromiseState::Expired => "expired",
            PromiseState::Picked => "picked",
        }
    }

    fn of(code: &str) -> StoreResult<PromiseState> {
        [
            PromiseState::Open,
            PromiseState::Refused,
            PromiseState::Released,
            PromiseState::Expired,
            PromiseState::Picked,
        ]
        .into_iter()
        .find(|state| state.code() == code)
        .ok_or(StoreError::Corrupt("promise"))
    }
}

/// Why a batch was not even looked at.
#[derive(Debug, thiserror::Error)]
pub enum PromiseError {
    /// It has no lines, too many, or a quantity or time that cannot be.
    #[error("the batch cannot be promised: {what}")]
    Invalid {
        /// What is wrong.
        what: &'static str,
    },
    /// The id was used for another batch.
    #[error("the promise was asked for with another body")]
    OtherBody,
    /// Nothing of that name exists.
    #[error("no {what} {name}")]
    Unknown {
        /// What.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The server was restored and does not know yet what was given away since its backup.
    #[error("promises have stopped since the server was restored")]
    Stopped,
    /// The file failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Hub {
    /// Promises all of a batch or nothing. Asking again with the same id and body gets the same answer, whatever
    /// has happened since.
    ///
    /// # Errors
    /// [`PromiseError`].
    pub fn promise(
        &mut self,
        request: &PromiseRequest,
        now: &Now,
    ) -> Result<PromiseAnswer, PromiseError> {
        let wanted = demand_of(request)?;
        let identity = &self.identity;
        self.store.write(|tx| {
            tx.expire_promises(now.wall_ms)?;
            let body = body_of(request)?;
            if let Some(known) = tx.promise(request.promise)? {
                return same_again(&known, &body);
            }
            let demand = in_parts(tx, &wanted)?;
            if !is_confirmed(tx)? {
                return Err(PromiseError::Stopped);
            }
            let mut short = Vec::new();
            for (place, asked) in &demand {
                if !Gate::at(tx, &place.1)?.lets(tx, identity.stream, place)? {
                    return Err(PromiseError::Stopped);
                }
                let Some(available) = available(tx, identity, place, now)? else {
                    continue;
                };
                if available < *asked {
                    // Whoever holds rights to it is asked to give some back.
                    tx.put_want(identity.stream, place, *asked, now.wall_ms)?;
                    short.push(Shortage {
                        variant: place.0,
                        location: place.1.clone(),
                        asked: *asked,
                        available: available.max(Quantity::ZERO),
                    });
                }
            }
            let expires = expires(request, now);
            let (answer, state) = if short.is_empty() {
                (PromiseAnswer::Promised { expires }, PromiseState::Open)
            } else {
                (PromiseAnswer::Refused { short }, PromiseState::Refused)
            };
            put(tx, request, &demand, (&answer, state), expires)?;
            Ok(answer)
        })
    }

    /// Makes an order of a cart that is still kept: it was paid for. Asking again changes nothing, and one that has ended
    /// stays as it ended: the channel has to ask anew.
    ///
    /// # Errors
    /// [`PromiseError::Unknown`].
    pub fn order_promise(
        &mut self,
        promise: PromiseId,
        now: &Now,
    ) -> Result<PromiseState, PromiseError> {
        self.end_or_keep(promise, now, |row| PromiseRow {
            expires: NEVER,
            ..row
        })
    }

    /// Gives a promise up; one that has ended already stays as it ended.
    ///
    /// # Errors
    /// [`PromiseError::Unknown`].
    pub fn release_promise(
        &mut self,
        promise: PromiseId,
        now: &Now,
    ) -> Result<PromiseState, PromiseError> {
        self.end_or_keep(promise, now, |row| PromiseRow {
            state: PromiseState::Released.code().to_owned(),
            ..row
        })
    }

    /// Changes a promise that is open; how it stands then.
    fn end_or_keep(
        &mut self,
        promise: PromiseId,
        now: &Now,
        change: impl FnOnce(PromiseRow) -> PromiseRow,
    ) -> Result<PromiseState, PromiseError> {
        self.store.write(|tx| {
            tx.expire_promises(now.wall_ms)?;
            let row = tx.promise(promise)?.ok_or_else(|| PromiseError::Unknown {
                what: "promise",
                name: promise.to_string(),
            })?;
            let state = PromiseState::of(&row.state)?;
            if state != PromiseState::Open {
                return Ok(state);
            }
            let row = change(row);
            tx.put_promise(&row)?;
            Ok(PromiseState::of(&row.state)?)
        })
    }

    /// How a promise stands at `now`; none for one that was never asked for.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn promise_state(
        &self,
        promise: PromiseId,
        now: &Now,
    ) -> Result<Option<PromiseState>, StoreError> {
        self.store.read(|tx| {
            let Some(row) = tx.promise(promise)? else {
                return Ok(None);
            };
            let state = PromiseState::of(&row.state)?;
            let over = state == PromiseState::Open && row.expires <= now.wall_ms;
            Ok(Some(if over { PromiseState::Expired } else { state }))
        })
    }

    /// After a restore: `open` is all that the channel has promised and not handed over. What this server has
    /// forgotten is taken in as it is, and where there is too little of it, an incident says so; then the channel
    /// may go on.
    ///
    /// # Errors
    /// [`PromiseError::Invalid`], [`PromiseError::Unknown`].
    pub fn confirm_promises(
        &mut self,
        open: &[PromiseRequest],
        now: &Now,
    ) -> Result<(), PromiseError> {
        let demands = open
            .iter()
            .map(|request| Ok((request, demand_of(request)?)))
            .collect::<Result<Vec<_>, PromiseError>>()?;
        let (identity, entropy) = (&self.identity, &mut self.entropy);
        self.store.write(|tx| {
            tx.expire_promises(now.wall_ms)?;
            let mut places = std::collections::BTreeSet::new();
            for (request, wanted) in &demands {
                let demand = in_parts(tx, wanted)?;
                let expires = expires(request, now);
                if tx.promise(request.promise)?.is_some() {
                    continue;
                }
                let answer = PromiseAnswer::Promised { expires };
                put(tx, request, &demand, (&answer, PromiseState::Open), expires)?;
                places.extend(demand.into_keys());
            }
            tx.set_meta(CONFIRMED, &epoch(tx)?.to_string())?;
            for place in places {
                look_at(tx, identity, entropy, &place, now)?;
            }
            Ok(())
        })
    }

    /// What could be promised of a variant at a location now, of a kit how many whole ones; none where no stock is kept
    /// of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn promisable(
        &self,
        variant: VariantId,
        location: &LocationId,
        now: &Now,
    ) -> Result<Option<Quantity>, StoreError> {
        self.store.read(|tx| {
            let of = |variant| available(tx, &self.identity, &(variant, location.clone()), now);
            match variant_by_id(tx, variant)? {
                Some(row) if row.is_kit() => least_kits(&row, of),
                Some(_) | None => of(variant),
            }
        })
    }
}

fn demand_of(request: &PromiseRequest) -> Result<BTreeMap<Place, Quantity>, PromiseError> {
    let invalid = |what| Err(PromiseError::Invalid { what });
    if request.lines.is_empty() || request.lines.len() > PROMISE_LINES_MAX {
        return invalid("no lines, or too many");
    }
    let fits = |life: i64| (1..=PROMISE_MS_MAX).contains(&life);
    if !request.life_ms.is_none_or(fits) {
        return invalid("its life");
    }
    let mut demand: BTreeMap<Place, Quantity> = BTreeMap::new();
    for line in &request.lines {
        let sum = demand
            .entry((line.variant, line.location.clone()))
            .or_default();
        *sum = Quantity(sum.0.saturating_add(line.quantity.0));
        if line.quantity <= Quantity::ZERO || sum.0 > QUANTITY_MAX {
            return invalid("a quantity");
        }
    }
    Ok(demand)
}

fn expires(request: &PromiseRequest, now: &Now) -> Option<i64> {
    let life = request.life_ms?;
    Some(now.wall_ms.saturating_add(life))
}

fn body_of(request: &PromiseRequest) -> StoreResult<Vec<u8>> {
    let text = serde_json::to_vec(request).map_err(|_| StoreError::Corrupt("promise"))?;
    Ok(Sha256::digest(&text).to_vec())
}

fn same_again(known: &PromiseRow, body: &[u8]) -> Result<PromiseAnswer, PromiseError> {
    if known.body != body {
        return Err(PromiseError::OtherBody);
    }
    Ok(from_row(&known.answer, "promise")?)
}

/// What a batch takes off shelves: of a kit its parts, which are one demand with what is wanted of them by themselves.
fn in_parts(
    tx: &Tx<'_>,
    wanted: &BTreeMap<Place, Quantity>,
) -> Result<BTreeMap<Place, Quantity>, PromiseError> {
    let locations = tx.locations()?;
    let unknown = |what, name: String| PromiseError::Unknown { what, name };
    let too_much = || PromiseError::Invalid { what: "a quantity" };
    let mut demand: BTreeMap<Place, Quantity> = BTreeMap::new();
    for ((variant, location), quantity) in wanted {
        if !locations.contains_key(location) {
            return Err(unknown("location", location.to_string()));
        }
        let row = variant_by_id(tx, *variant)?;
        let row = row.ok_or_else(|| unknown("variant", variant.to_string()))?;
        let mut take = |variant: VariantId, quantity: Quantity| {
            let sum = demand.entry((variant, location.clone())).or_default();
            *sum = Quantity(sum.0.saturating_add(quantity.0));
            (sum.0 <= QUANTITY_MAX).then_some(()).ok_or_else(too_much)
        };
        if !row.is_kit() {
            take(*variant, *quantity)?;
        }
        for part in &row.parts {
            take(part.variant, part.in_kits(*quantity).ok_or_else(too_much)?)?;
        }
    }
    Ok(demand)
}

fn is_confirmed(tx: &Tx<'_>) -> StoreResult<bool> {
    let epoch = epoch(tx)?;
    Ok(epoch <= 1 || tx.meta(CONFIRMED)?.as_deref() == Some(epoch.to_string().as_str()))
}

fn put(
    tx: &Tx<'_>,
    request: &PromiseRequest,
    demand: &BTreeMap<Place, Quantity>,
    (answer, state): (&PromiseAnswer, PromiseState),
    expires: Option<i64>,
) -> StoreResult<()> {
    tx.put_promise(&PromiseRow {
        promise: request.promise,
        body: body_of(request)?,
        answer: serde_json::to_string(answer).map_err(|_| StoreError::Corrupt("promise"))?,
        state: state.code().to_owned(),
        expires: expires.unwrap_or(NEVER),
    })?;
    for (place, quantity) in demand {
        tx.put_promise_line(request.promise, place, *quantity)?;
    }
    Ok(())
}

/// What may be promised: of a strict variant what is free; of one of the shelf what lies there, less what tills may
/// have sold since they were heard and will sell until somebody picks it.
fn available(
    tx: &Tx<'_>,
    identity: &Identity,
    place: &Place,
    now: &Now,
) -> StoreResult<Option<Quantity>> {
    let (variant, location) = place;
    let class = variant_by_id(tx, *variant)?.map(|variant| variant.class_at(location));
    match class {
        None | Some(StockClass::Untracked) => Ok(None),
        Some(StockClass::Strict) => Ok(Some(standing(tx, identity.stream, place)?.free)),
        Some(StockClass::Shelf) => {
            let zones = tx.zones(*variant, location)?;
            let on_hand: i128 = zones
                .iter()
                .map(|(_, state)| i128::from(state.quantity.0))
                .sum();
            let promised = tx.promised(place)?;
            let buffer = buffer(tx, place, now)?;
            let left = on_hand - i128::from(promised.0) - i128::from(buffer.0);
            let limit = if left < 0 { i64::MIN } else { i64::MAX };
            Ok(Some(Quantity(i64::try_from(left).unwrap_or(limit))))
        }
    }
}

/// Whole units that stay on the shelf for the tills.
fn buffer(tx: &Tx<'_>, place: &Place, now: &Now) -> StoreResult<Quantity> {
    let since = u64::try_from(now.wall_ms.saturating_sub(RATE_MS)).unwrap_or(0) << 16;
    let mut expected = 0_i128;
    for row in streams_at(tx, &place.1)? {
        let sold = tx.sold_since(place, row.stream, since)?;
        // One a week where nobody has sold any yet.
        let rate = i128::from(sold.0.max(Quantity::ONE.0));
        let unheard = i128::from(staleness_ms(tx, &row, now)?.saturating_add(PICK_MS));
        expected += rate * unheard / i128::from(RATE_MS);
    }
    let exact = web_buffer(Quantity(i64::try_from(expected).unwrap_or(i64::MAX)));
    Ok(Quantity(exact.0.saturating_add(500) / 1_000 * 1_000))
}

/// How long ago a stream was last known completely. A till in contact that has not sent everything is as old as the
/// oldest event that it still holds.
fn staleness_ms(tx: &Tx<'_>, row: &StreamRow, now: &Now) -> StoreResult<i64> {
    let Some(device) = tx.device(row.device)? else {
        return Ok(0);
    };
    let status: DeviceStatus = from_row(&device.status, "status")?;
    let waiting = device.head_seq > row.head_seq;
    let since = match status.oldest_wall {
        Some(oldest) if waiting => oldest.min(device.contact),
        _ => device.contact,
    };
    Ok(now.wall_ms.saturating_sub(since).max(0))
}
