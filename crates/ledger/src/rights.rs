//! Rights to strict variants: what this stream may sell without asking anybody.
//!
//! What it has spent and added follows from its own events, and a new stream begins with nothing. What it was granted
//! are signed totals of the server, each with a lease; what was read of a damaged row counts as nothing.

use std::collections::BTreeMap;

use domain::escrow::{self, Lease, Tally};
use domain::event::{Fact, RightsLine, RightsMoved, StreamPos};
use domain::ids::{EventId, LocationId, StreamId, VariantId};
use domain::quantity::Quantity;
use domain::time::{Boot, Now};
use rusqlite::OptionalExtension as _;
use sha2::{Digest as _, Sha256};
use sync_protocol::Grant;

use crate::error::LedgerError;
use crate::ledger::{Ledger, WriteTx};
use crate::proof::RIGHT_SEEN;
use crate::sql::{Id, N, corrupt};

/// A variant at a location.
pub(crate) type Place = (VariantId, LocationId);

/// What this stream holds of a strict variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RightHeld {
    /// What it may still sell; below zero only where a fact was written without the right to it.
    pub right: Quantity,
    /// A lease is over or the clock cannot be trusted: it waits for the server.
    pub frozen: bool,
}

impl RightHeld {
    /// What may be sold now, never below zero.
    pub fn spendable(&self) -> Quantity {
        if self.frozen {
            return Quantity::ZERO;
        }
        self.right.max(Quantity::ZERO)
    }
}

impl Ledger {
    /// What may be sold now of `variant` at `location` without asking anybody.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Overflow`].
    pub fn right(
        &self,
        variant: VariantId,
        location: &LocationId,
        now: &Now,
    ) -> Result<Quantity, LedgerError> {
        Ok(self.right_held(variant, location, now)?.spendable())
    }

    /// What this stream holds of `variant` at `location`, and whether it may be spent.
    ///
    /// # Errors
    /// As [`Ledger::right`].
    pub fn right_held(
        &self,
        variant: VariantId,
        location: &LocationId,
        now: &Now,
    ) -> Result<RightHeld, LedgerError> {
        let mut tally = Tally::default();
        let mut frozen = false;
        let add = |sum: Quantity, more| sum.checked_add(more).ok_or(LedgerError::Overflow);
        let used: Option<(i64, i64)> = self
            .prepare(
                "SELECT minted, consumed FROM right_used WHERE variant = ?1 AND location = ?2",
            )?
            .query_row((Id(variant.0), location.as_str()), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        if let Some((minted, consumed)) = used {
            (tally.minted, tally.consumed) = (Quantity(minted), Quantity(consumed));
        }
        let mut statement =
            self.prepare("SELECT total FROM right_given WHERE variant = ?1 AND location = ?2")?;
        let mut rows = statement.query((Id(variant.0), location.as_str()))?;
        while let Some(row) = rows.next()? {
            tally.given = add(tally.given, Quantity(row.get(0)?))?;
        }
        let mut statement = self.prepare(&format!(
            "SELECT total, lease_end, length_ms, boot_id, boot_ms, wall FROM right_seen \
             WHERE variant = ?1 AND location = ?2 AND proof = {}",
            RIGHT_SEEN.proof()
        ))?;
        let mut rows = statement.query((Id(variant.0), location.as_str()))?;
        while let Some(row) = rows.next()? {
            tally.received = add(tally.received, Quantity(row.get(0)?))?;
            let lease = Lease {
                length_ms: row.get(2)?,
                boot: Boot {
                    id: row.get(3)?,
                    ms: row.get(4)?,
                },
                wall: row.get(5)?,
            };
            let ends = row.get::<_, Option<i64>>(1)?.is_some();
            frozen |= ends && !lease.runs(now, self.hlc);
        }
        Ok(RightHeld {
            right: tally.right(),
            frozen,
        })
    }

    /// Every grant that was seen, as it was signed, by place.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Corrupt`].
    pub fn grants_seen(&self) -> Result<Vec<Grant>, LedgerError> {
        let mut statement = self.prepare(&format!(
            "SELECT from_stream, variant, location, epoch, total, lease_end, signature FROM right_seen \
             WHERE proof = {} ORDER BY place",
            RIGHT_SEEN.proof()
        ))?;
        let mut rows = statement.query([])?;
        let mut grants = Vec::new();
        while let Some(row) = rows.next()? {
            let location: String = row.get(2)?;
            grants.push(Grant {
                from: StreamId(row.get(0)?),
                epoch: row.get(3)?,
                line: RightsLine {
                    variant: VariantId(row.get::<_, Id>(1)?.0),
                    location: LocationId::new(&location)
                        .map_err(|error| corrupt("right_seen", &location, error))?,
                    total: Quantity(row.get(4)?),
                    lease_end: row.get(5)?,
                },
                signature: row.get(6)?,
            });
        }
        Ok(grants)
    }

    /// All that this stream has ever moved to `to` of a variant.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn right_given(
        &self,
        variant: VariantId,
        location: &LocationId,
        to: StreamId,
    ) -> Result<Quantity, LedgerError> {
        let total = self
            .prepare(
                "SELECT total FROM right_given WHERE variant = ?1 AND location = ?2 AND to_stream = ?3",
            )?
            .query_row((Id(variant.0), location.as_str(), to.0), |row| row.get(0))
            .optional()?;
        Ok(Quantity(total.unwrap_or(0)))
    }

    /// Those of `counts` that this stream has not said to know of; its own it knows.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn unlearned(&self, counts: &[StreamPos]) -> Result<Vec<StreamPos>, LedgerError> {
        let mut unlearned = Vec::new();
        for count in counts {
            let known = count.stream == self.identity().stream
                || self
                    .prepare("SELECT 1 FROM count_learned WHERE stream = ?1 AND count_seq = ?2")?
                    .exists((count.stream.0, N(count.seq)))?;
            if !known {
                unlearned.push(*count);
            }
        }
        Ok(unlearned)
    }

    /// Refuses a sale, an adjustment or a transfer that takes more than this stream has the right to, and rights given back that it does not hold.
    pub(crate) fn check_rights(&self, fact: &Fact, now: &Now) -> Result<(), LedgerError> {
        match fact {
            Fact::SaleCompleted(_) | Fact::StockAdjusted(_) | Fact::TransferSent(_) => {
                for effect in escrow::effects(fact) {
                    if effect.consumed == Quantity::ZERO {
                        continue;
                    }
                    let held = self.right_held(effect.variant, &effect.location, now)?;
                    let before = if held.frozen {
                        held.right.min(Quantity::ZERO)
                    } else {
                        held.right
                    };
                    let after = before
                        .checked_add(effect.minted)
                        .and_then(|sum| sum.0.checked_sub(effect.consumed.0))
                        .ok_or(LedgerError::Overflow)?;
                    if after < 0 {
                        return Err(LedgerError::NoRight {
                            variant: effect.variant,
                        });
                    }
                }
                Ok(())
            }
            Fact::RightsReturned(moved) | Fact::RightsPassed(moved) => {
                self.check_moved(fact, moved, now)
            }
            _ => Ok(()),
        }
    }

    fn check_moved(&self, fact: &Fact, moved: &RightsMoved, now: &Now) -> Result<(), LedgerError> {
        let out_of_place = |what| {
            Err(LedgerError::OutOfPlace {
                kind: fact.kind(),
                what,
            })
        };
        if moved.to == self.identity().stream {
            return out_of_place("a stream moves no rights to itself");
        }
        for line in &moved.lines {
            let given = self.right_given(line.variant, &line.location, moved.to)?;
            let more = line
                .total
                .0
                .checked_sub(given.0)
                .ok_or(LedgerError::Overflow)?;
            let held = self.right_held(line.variant, &line.location, now)?;
            if more < 0 {
                return out_of_place("a total falls");
            }
            if more > held.right.0.max(0) {
                return out_of_place("it holds fewer rights");
            }
        }
        Ok(())
    }

    /// What an event of this stream does to its rights.
    pub(crate) fn apply_rights(&self, seq: u64, fact: &Fact) -> Result<(), LedgerError> {
        for (place, (minted, consumed)) in used_by(fact) {
            self.prepare(
                "INSERT INTO right_used (variant, location, minted, consumed) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (variant, location) DO UPDATE \
                 SET minted = minted + excluded.minted, consumed = consumed + excluded.consumed",
            )?
            .execute((Id(place.0.0), place.1.as_str(), minted, consumed))?;
        }
        for ((place, to), total) in given_by(fact) {
            self.prepare(
                "INSERT INTO right_given (variant, location, to_stream, total) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (variant, location, to_stream) DO UPDATE SET total = max(total, excluded.total)",
            )?
            .execute((Id(place.0.0), place.1.as_str(), to.0, total))?;
        }
        for count in learned_by(fact) {
            self.prepare(
                "INSERT INTO count_learned (stream, count_seq, seq) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (stream, count_seq) DO NOTHING",
            )?
            .execute((count.stream.0, N(count.seq), N(seq)))?;
        }
        Ok(())
    }
}

/// What an event adds to rights and spends of them.
pub(crate) fn used_by(fact: &Fact) -> impl Iterator<Item = (Place, (i64, i64))> {
    escrow::effects(fact).into_iter().map(|effect| {
        let used = (effect.minted.0, effect.consumed.0);
        ((effect.variant, effect.location), used)
    })
}

/// Totals that an event of a till states.
pub(crate) fn given_by(fact: &Fact) -> BTreeMap<(Place, StreamId), i64> {
    let mut given = BTreeMap::new();
    if let Some((moved, lines)) = escrow::edges(fact) {
        for line in lines {
            let key = ((line.variant, line.location.clone()), moved.to);
            let total = given.entry(key).or_insert(line.total.0);
            *total = line.total.0.max(*total);
        }
    }
    given
}

/// Counts that an event says to know of.
pub(crate) fn learned_by(fact: &Fact) -> &[StreamPos] {
    match fact {
        Fact::CountLearned(learned) => &learned.counts,
        _ => &[],
    }
}

impl WriteTx<'_> {
    /// Takes in grants whose signatures the caller has checked; a total that is no higher and a lease that is no
    /// longer than what is known changes nothing. `asked` is what the clocks said when the server was asked: an answer
    /// that was long on its way must not make a lease longer. Returns how many were news.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn take_grants(
        &mut self,
        grants: &[Grant],
        server_time: i64,
        asked: &Now,
    ) -> Result<usize, LedgerError> {
        self.step(|ledger| {
            let mut news = 0;
            for grant in grants {
                news += usize::from(ledger.take_grant(grant, server_time, asked)?);
            }
            Ok(news)
        })
    }

    /// Appends a fact that nobody asked for, under an id that follows from where the journal stands.
    ///
    /// # Errors
    /// As [`WriteTx::append`].
    pub fn append_unasked(&mut self, now: &Now, fact: &Fact) -> Result<(), LedgerError> {
        let head = self.head();
        let mut hasher = Sha256::new();
        hasher.update(b"hanout-unasked-1\0");
        hasher.update(head.stream.0);
        hasher.update(head.seq.to_be_bytes());
        hasher.update(head.hash.0);
        let hash: [u8; 32] = hasher.finalize().into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        let id = EventId(uuid::Builder::from_custom_bytes(bytes).into_uuid());
        self.append(now, id, fact)?;
        Ok(())
    }
}

impl Ledger {
    fn take_grant(
        &self,
        grant: &Grant,
        server_time: i64,
        asked: &Now,
    ) -> Result<bool, LedgerError> {
        let line = &grant.line;
        let place = format!("{} {} {}", grant.from, line.variant, line.location);
        let known: Option<(u64, i64, Option<i64>)> = self
            .prepare(&format!(
                "SELECT epoch, total, lease_end FROM right_seen WHERE place = ?1 AND proof = {}",
                RIGHT_SEEN.proof()
            ))?
            .query_row([&place], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        // No end is later than any.
        let end = |end: Option<i64>| end.unwrap_or(i64::MAX);
        if let Some((epoch, total, lease_end)) = known {
            let older = (line.total.0, grant.epoch) < (total, epoch) || grant.epoch < epoch;
            let same = (line.total.0, grant.epoch) == (total, epoch);
            if older || same && end(line.lease_end) <= end(lease_end) {
                return Ok(false);
            }
        }
        let lease = Lease::learned(end(line.lease_end), server_time, asked);
        self.prepare(
            "INSERT OR REPLACE INTO right_seen (place, from_stream, variant, location, epoch, total, lease_end, \
                 signature, length_ms, boot_id, boot_ms, wall, proof) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0)",
        )?
        .execute(rusqlite::params![
            place,
            grant.from.0,
            Id(line.variant.0),
            line.location.as_str(),
            N(grant.epoch),
            line.total.0,
            line.lease_end,
            grant.signature,
            lease.length_ms,
            N(lease.boot.id),
            N(lease.boot.ms),
            lease.wall
        ])?;
        self.prove(&RIGHT_SEEN, "place = ?1", [&place])?;
        Ok(true)
    }
}
