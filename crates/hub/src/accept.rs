//! What a push must satisfy, and what becomes of its events.
//!
//! A push whose chain or signature is wrong changes nothing. After that every event of the contiguous new part is
//! stored as it came and acknowledged; one that cannot be read or does not hold is quarantined, and the next one goes on.

use std::collections::BTreeMap;

use domain::entropy::Entropy;
use domain::event::{
    Adopted, Event, EventError, Fact, IncidentKind, IncidentRaised, Original, RightsMoved,
    SaleBody, StreamPos, chain_hash, genesis_hash,
};
use domain::ids::{DeviceId, Digest, EventId, LocationId, StoreId, StreamId};
use domain::money::Currency;
use domain::number::number_prefix;
use domain::quantity::Quantity;
use domain::stock::{self, EventRef};
use domain::time::{Hlc, Now};
use sync_protocol::{
    DECODED_BYTES_MAX, PROTOCOL, PUSH_BYTES_MAX, PUSH_EVENTS_MAX, ProtocolError, Push, Quarantined,
    Snapshot, SyncReply, SyncRequest, sign,
};

use crate::alike::Alike;
use crate::devices::internal;
use crate::feeds::{feeds_of, pages};
use crate::fold::{Fold, FoldError, Origin, branch_of};
use crate::incidents::{incident, look_over, raise, raise_again, story_of};
use crate::lifecycle::{Hub, Identity, epoch, start_epoch};
use crate::own_stream::{last_hlc, set_hlc};
use crate::shops::{store_config, to_row};
use crate::store::{DeviceRow, NewEvent, StoreError, StoreResult, StreamRow, Tx};
use crate::{rights, seal};

/// A count whose clock is further ahead of the server's is held for review: it would win over every later one.
pub const ANCHOR_AHEAD_MS_MAX: u64 = 60 * 60 * 1_000;
/// A device whose clock is further from the server's than this, in milliseconds, is an incident. Requests do not live
/// that long on their way.
pub const CLOCK_OFF_MS_MAX: i64 = 10 * 60 * 1_000;
/// Events of a revoked device that are kept of one stream: whoever has its key could send them without end.
const REVOKED_EVENTS_MAX: u64 = 10_000;
/// How far beyond the server's own a device's epoch is believed to be.
const EPOCHS_MAX: u64 = 1_000;

/// Why an event is quarantined.
pub const QUARANTINE_CODES: &[&str] = &[
    "unreadable",
    "wrong_stream",
    "wrong_seq",
    "duplicate_id",
    "unknown_kind",
    "bad_body",
    "bad_opening",
    "sale_does_not_hold",
    "goods_do_not_hold",
    "rights_do_not_hold",
    "not_the_hub",
    "unknown_location",
    "foreign_location",
    "foreign_number",
    "wrong_currency",
    "clock_ahead",
    "contested_count",
    "bad_adoption",
    "overflow",
];

/// A refusal of the request as a whole, or a failure of the file.
enum Refused {
    Protocol(ProtocolError),
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Refused {
        Refused::Store(error)
    }
}

impl From<ProtocolError> for Refused {
    fn from(error: ProtocolError) -> Refused {
        Refused::Protocol(error)
    }
}

fn unreadable(reason: &str) -> ProtocolError {
    ProtocolError::Unreadable {
        reason: reason.to_owned(),
    }
}

impl Hub {
    /// Answers `POST /v1/sync` of a device whose token and signature were checked.
    ///
    /// The push is committed before the pull is answered, so a cursor that is of no use never holds up sales.
    ///
    /// # Errors
    /// Every [`ProtocolError`] except those of enrolment.
    pub fn sync(
        &mut self,
        device: DeviceId,
        request: &SyncRequest,
        now: &Now,
    ) -> Result<SyncReply, ProtocolError> {
        if request.protocol != PROTOCOL {
            return Err(ProtocolError::Upgrade);
        }
        let named = self.name_snapshots(device, request);
        let (identity, entropy) = (&self.identity, &mut self.entropy);
        // A refusal commits too: it may have kept the other branch of a fork.
        let outcome = self
            .store
            .write(|tx| -> StoreResult<Result<SyncReply, ProtocolError>> {
                match sync(tx, identity, entropy, device, (request, &named), now) {
                    Ok(reply) => Ok(reply),
                    Err(Refused::Protocol(error)) => Ok(Err(error)),
                    Err(Refused::Store(error)) => Err(error),
                }
            });
        outcome.map_err(internal)?
    }
}

fn sync(
    tx: &Tx<'_>,
    identity: &Identity,
    entropy: &mut Entropy,
    device: DeviceId,
    (request, named): (&SyncRequest, &[Snapshot]),
    now: &Now,
) -> Result<Result<SyncReply, ProtocolError>, Refused> {
    let row = tx.device(device)?.ok_or(ProtocolError::Unauthorised)?;
    if row.revoked.is_some() {
        // What it has to say is kept, and it learns nothing.
        if let Some(push) = request
            .push
            .as_ref()
            .filter(|push| push.stream == request.stream)
        {
            match accept(tx, identity, entropy, &row, push, now) {
                Ok(()) | Err(Refused::Protocol(_)) => {}
                Err(error @ Refused::Store(_)) => return Err(error),
            }
        }
        return Err(ProtocolError::Revoked.into());
    }
    let own = tx.stream(request.stream)?;
    if own.as_ref().is_some_and(|own| own.device != device) {
        return Err(ProtocolError::Forbidden.into());
    }
    let server_head = own.as_ref().map_or(0, |own| own.head_seq);
    notice_restore(tx, identity, entropy, request, server_head, now)?;
    notice_clock(tx, identity, entropy, request, server_head, now)?;
    if server_head > request.head_seq {
        if let Some(push) = request
            .push
            .as_ref()
            .filter(|push| push.stream == request.stream)
        {
            // Keeps the other branch, if there is one; the verdict is the same either way.
            match accept(tx, identity, entropy, &row, push, now) {
                Ok(()) | Err(Refused::Protocol(_)) => {}
                Err(error @ Refused::Store(_)) => return Err(error),
            }
        }
        tracing::warn!(stream = %request.stream, server_head, head = request.head_seq, "a device is behind its own stream");
        let raised = IncidentRaised {
            stream: Some(request.stream),
            story: vec![StreamPos {
                stream: request.stream,
                seq: request.head_seq,
            }],
            ..incident(IncidentKind::StreamBehind)
        };
        raise(tx, identity, entropy, raised, now)?;
        return Err(ProtocolError::Behind { server_head }.into());
    }
    if let Some(push) = &request.push {
        accept(tx, identity, entropy, &row, push, now)?;
    }
    tx.put_device(&DeviceRow {
        contact: now.wall_ms,
        head_seq: request.head_seq,
        status: to_row(&request.status, "status")?,
        ..row.clone()
    })?;
    let config = store_config(tx, &row.store)?.ok_or(StoreError::Corrupt("store"))?;
    let rights = rights::answer(
        tx,
        identity,
        entropy,
        (&row, &config.location),
        request,
        now,
    )?;
    let epoch = epoch(tx)?;
    let stream = request.push.as_ref().map_or(request.stream, |p| p.stream);
    let (ack_seq, ack_hash) = tx.stream(stream)?.map_or((0, genesis_hash(stream)), |row| {
        (row.head_seq, row.head_hash)
    });
    let quarantined = match &request.push {
        Some(push) => tx
            .quarantined(stream, push.first_seq, ack_seq)?
            .into_iter()
            .map(|(seq, code)| Quarantined { seq, code })
            .collect(),
        None => Vec::new(),
    };
    // Cursors of another authority or epoch say nothing here: the device learns the new one first.
    let foreign = request.authority != identity.authority || request.epoch != epoch;
    let (pages, snapshots) = if foreign && request.cursors.values().any(|cursor| cursor.ver > 0) {
        (Vec::new(), Vec::new())
    } else {
        let folds_moved =
            request.push.is_some() || sealed_since(tx, &row, now.wall_ms.min(row.contact))?;
        match pages(tx, &config, request, named, folds_moved)? {
            Ok(pages) => (pages, named.to_vec()),
            Err(error) => return Ok(Err(error)),
        }
    };
    Ok(Ok(SyncReply {
        authority: identity.authority.clone(),
        epoch,
        server_time: now.wall_ms,
        ack_seq,
        ack_hash,
        quarantined,
        pages,
        feeds: feeds_of(&config),
        grants: rights.grants,
        recall: rights.recall,
        counts: rights.counts,
        snapshots,
    }))
}

/// Whether a stream of the device's store was sealed since `contact`, or so shortly before that the answer may have been
/// lost: a count says to know of a seal only after it was told how far the server's stream is folded.
fn sealed_since(tx: &Tx<'_>, row: &DeviceRow, contact: i64) -> StoreResult<bool> {
    let since = contact.saturating_sub(rights::RECLAIM_MARGIN_MS);
    for seal in tx.seals()?.iter().filter(|seal| seal.wall > since) {
        if tx.stream(seal.stream)?.and_then(|of| of.store).as_ref() == Some(&row.store) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A device that knows more of what this server said than the server itself: the server came back from a backup and
/// nobody told it. It acknowledges and grants only what is durable, so there is no other way to that.
fn notice_restore(
    tx: &Tx<'_>,
    identity: &Identity,
    entropy: &mut Entropy,
    request: &SyncRequest,
    server_head: u64,
    now: &Now,
) -> StoreResult<()> {
    let epoch = epoch(tx)?;
    let ahead = request.epoch.checked_sub(epoch);
    if request.authority != identity.authority || ahead.is_none_or(|ahead| ahead > EPOCHS_MAX) {
        return Ok(());
    }
    let seen = request.rights.iter().flat_map(|report| &report.seen);
    if request.epoch > epoch
        || request.acked_seq > server_head
        || rights::has_forgotten(tx, identity, request.stream, seen)?
    {
        tracing::warn!(stream = %request.stream, epoch, "a device knows more of this server than it does itself");
        let shown = StreamPos {
            stream: request.stream,
            seq: request.acked_seq,
        };
        start_epoch(tx, identity, entropy, request.epoch, vec![shown], now)?;
    }
    Ok(())
}

fn notice_clock(
    tx: &Tx<'_>,
    identity: &Identity,
    entropy: &mut Entropy,
    request: &SyncRequest,
    server_head: u64,
    now: &Now,
) -> StoreResult<()> {
    // A request that comes late, or once more, was on time when it was sent: it brings nothing new.
    let is_behind = request.wall < now.wall_ms && request.head_seq <= server_head;
    let off = request.wall.abs_diff(now.wall_ms);
    if is_behind || off <= CLOCK_OFF_MS_MAX.unsigned_abs() {
        return Ok(());
    }
    let raised = IncidentRaised {
        stream: Some(request.stream),
        story: vec![StreamPos {
            stream: request.stream,
            seq: request.head_seq,
        }],
        ..incident(IncidentKind::ClockSuspect)
    };
    raise(tx, identity, entropy, raised, now)
}

/// Takes in one push of `device`, its own stream's or one that it relays.
fn accept(
    tx: &Tx<'_>,
    identity: &Identity,
    entropy: &mut Entropy,
    device: &DeviceRow,
    push: &Push,
    now: &Now,
) -> Result<(), Refused> {
    let hashes = check_shape(push)?;
    let known = tx.stream(push.stream)?;
    let owner = match &known {
        Some(row) => owner_of(tx, device, row)?,
        None => owner_of_new(tx, identity, device, push)?,
    };
    let algorithm = owner.algorithm;
    sign::verify_head(
        algorithm,
        &owner.public_key,
        &identity.tenant,
        push.stream,
        &push.head,
    )
    .map_err(|_| ProtocolError::Unauthorised)?;
    if owner.revoked.is_some() {
        return Ok(keep_aside(tx, identity, entropy, push, &hashes, now)?);
    }
    let (head_seq, head_hash) = known
        .as_ref()
        .map_or((0, genesis_hash(push.stream)), |row| {
            (row.head_seq, row.head_hash)
        });
    if push.first_seq > head_seq + 1 {
        return Err(ProtocolError::Gap {
            expected: head_seq + 1,
        }
        .into());
    }
    if let Some(at) = fork_at(tx, push, &hashes, head_hash)? {
        for (offset, (raw, hash)) in push.events.iter().zip(&hashes).enumerate() {
            let seq = push.first_seq + offset as u64;
            if seq >= at {
                tx.contest(push.stream, seq, *hash, raw.get().as_bytes(), now.wall_ms)?;
            }
        }
        tracing::warn!(stream = %push.stream, at, "a stream forks");
        let raised = IncidentRaised {
            stream: Some(push.stream),
            story: vec![StreamPos {
                stream: push.stream,
                seq: at,
            }],
            ..incident(IncidentKind::StreamForked)
        };
        raise(tx, identity, entropy, raised, now)?;
        return Err(ProtocolError::Fork { at }.into());
    }
    let skip = usize::try_from(head_seq + 1 - push.first_seq).unwrap_or(usize::MAX);
    let mut row = StreamRow {
        stream: push.stream,
        device: owner.device,
        store: Some(owner.store.clone()),
        till: Some(owner.till.clone()),
        public_key: owner.public_key.clone(),
        head_seq,
        head_hash,
        signature: known.map(|row| row.signature).unwrap_or_default(),
        contact: now.wall_ms,
    };
    let clock = last_hlc(tx)?;
    let mut intake = Intake {
        tx,
        identity,
        owner: &owner,
        now,
        currency: store_config(tx, &owner.store)?.map(|config| config.currency),
        locations: tx
            .locations()?
            .into_iter()
            .map(|(location, (_, store))| (location, store))
            .collect(),
        clock,
        fold: Fold::new(tx),
        aside: Vec::new(),
        alike: Alike::after(tx, push.stream, head_seq)?,
        again: Vec::new(),
    };
    for (raw, hash) in push.events.iter().zip(&hashes).skip(skip) {
        row.head_seq += 1;
        row.head_hash = *hash;
        intake.take(push.stream, row.head_seq, raw.get().as_bytes(), *hash)?;
    }
    if intake.clock != clock {
        set_hlc(tx, intake.clock)?;
    }
    let Intake {
        fold,
        aside,
        alike,
        again,
        ..
    } = intake;
    let folded = fold.finish()?;
    if row.head_seq > head_seq {
        row.signature.clone_from(&push.head.signature);
    }
    tx.put_stream(&row)?;
    if row.head_seq > head_seq {
        settle(tx, identity, entropy, push, &row, head_seq, now)?;
    }
    if !aside.is_empty() {
        let raised = IncidentRaised {
            stream: Some(push.stream),
            story: story_of(aside),
            ..incident(IncidentKind::Quarantined)
        };
        raise(tx, identity, entropy, raised, now)?;
    }
    let pairs = alike.pairs().into_iter();
    let pairs = pairs.map(|story| (IncidentKind::DuplicateSuspect, story));
    let twice = again
        .into_iter()
        .map(|story| (IncidentKind::ReversedTwice, story));
    for (kind, story) in pairs.chain(twice) {
        let raised = IncidentRaised {
            stream: Some(push.stream),
            story: story_of(story),
            ..incident(kind)
        };
        raise_again(tx, identity, entropy, raised, now)?;
    }
    look_over(tx, identity, entropy, &folded, now)?;
    Ok(())
}

/// Keeps what a revoked device sends as if it were another branch: in no sum, and not part of the stream, whose end
/// stays where it was sealed. A till that is trusted may still adopt it, from the device's own file.
fn keep_aside(
    tx: &Tx<'_>,
    identity: &Identity,
    entropy: &mut Entropy,
    push: &Push,
    hashes: &[Digest],
    now: &Now,
) -> StoreResult<()> {
    let mut kept = Vec::new();
    let room = REVOKED_EVENTS_MAX.saturating_sub(tx.contested_of(push.stream)?);
    let events = push.events.iter().zip(hashes).enumerate();
    for (offset, (raw, hash)) in events.take(usize::try_from(room).unwrap_or(usize::MAX)) {
        let seq = push.first_seq + offset as u64;
        if tx.event_hash(push.stream, seq)? != Some(*hash) {
            tx.contest(push.stream, seq, *hash, raw.get().as_bytes(), now.wall_ms)?;
            kept.push(StreamPos {
                stream: push.stream,
                seq,
            });
        }
    }
    if kept.is_empty() {
        return Ok(());
    }
    tracing::warn!(stream = %push.stream, "a revoked device still writes");
    let raised = IncidentRaised {
        stream: Some(push.stream),
        story: story_of(kept),
        ..incident(IncidentKind::RevokedDevice)
    };
    raise(tx, identity, entropy, raised, now)
}

/// What new events of a stream mean for streams: the one that it follows has ended, and one that was sealed speaks.
fn settle(
    tx: &Tx<'_>,
    identity: &Identity,
    entropy: &mut Entropy,
    push: &Push,
    row: &StreamRow,
    before: u64,
    now: &Now,
) -> StoreResult<()> {
    if before == 0
        && tx.quarantined(row.stream, 1, 1)?.is_empty()
        && let Some(raw) = push.events.first()
        && let Ok((_, Fact::StreamOpened(opened))) = read(row.stream, 1, raw.get().as_bytes())
    {
        seal::supersede(tx, identity, entropy, row, &opened, now)?;
    }
    if tx.seal(row.stream)?.is_some() {
        let raised = IncidentRaised {
            stream: Some(row.stream),
            story: vec![StreamPos {
                stream: row.stream,
                seq: before + 1,
            }],
            ..incident(IncidentKind::SealedStreamReported)
        };
        raise(tx, identity, entropy, raised, now)?;
    }
    Ok(())
}

/// Checks limits and that the chain over the events as sent ends at the signed head; returns the hash after each event.
fn check_shape(push: &Push) -> Result<Vec<Digest>, ProtocolError> {
    let bytes: usize = push.events.iter().map(|raw| raw.get().len()).sum();
    // One event alone may be as large as a body can be: it could never be halved.
    let too_large = bytes > PUSH_BYTES_MAX && push.events.len() > 1;
    if push.events.len() > PUSH_EVENTS_MAX || too_large || bytes > DECODED_BYTES_MAX {
        return Err(ProtocolError::TooLarge);
    }
    if push.events.is_empty() {
        return Err(unreadable("the push is empty"));
    }
    if push.first_seq == 0 || i64::try_from(push.first_seq).is_err() {
        return Err(unreadable("sequence numbers begin at 1"));
    }
    if push.first_seq == 1 && push.prev_hash != genesis_hash(push.stream) {
        return Err(unreadable(
            "the first event does not follow from the stream's id",
        ));
    }
    let mut hash = push.prev_hash;
    let hashes: Vec<Digest> = push
        .events
        .iter()
        .map(|raw| {
            hash = chain_hash(hash, raw.get().as_bytes());
            hash
        })
        .collect();
    let last_seq = push.first_seq + (hashes.len() as u64 - 1);
    if push.head.seq != last_seq || push.head.hash != hash {
        return Err(unreadable("the chain does not end at the signed head"));
    }
    Ok(hashes)
}

/// The device that owns a known stream, if `device` may push it: its own, or a neighbour's of the same store.
fn owner_of(tx: &Tx<'_>, device: &DeviceRow, stream: &StreamRow) -> Result<DeviceRow, Refused> {
    if stream.device == device.device {
        return Ok(DeviceRow {
            public_key: stream.public_key.clone(),
            ..device.clone()
        });
    }
    let owner = tx.device(stream.device)?.ok_or(ProtocolError::Forbidden)?;
    if owner.store != device.store {
        return Err(ProtocolError::Forbidden.into());
    }
    Ok(DeviceRow {
        public_key: stream.public_key.clone(),
        ..owner
    })
}

fn owner_of_new(
    tx: &Tx<'_>,
    identity: &Identity,
    device: &DeviceRow,
    push: &Push,
) -> Result<DeviceRow, Refused> {
    if push.first_seq != 1 {
        return Err(ProtocolError::Gap { expected: 1 }.into());
    }
    let opened = push
        .events
        .first()
        .and_then(|raw| Event::decode(raw.get().as_bytes()).ok())
        .and_then(|event| event.fact().ok());
    let Some(Fact::StreamOpened(opened)) = opened else {
        return Ok(device.clone());
    };
    if opened.tenant != identity.tenant {
        return Err(ProtocolError::Forbidden.into());
    }
    if opened.device == device.device {
        return Ok(device.clone());
    }
    let owner = tx.device(opened.device)?.ok_or(ProtocolError::Forbidden)?;
    if owner.store != device.store {
        return Err(ProtocolError::Forbidden.into());
    }
    Ok(owner)
}

/// The first seq at which the push tells another history than the stored one.
fn fork_at(
    tx: &Tx<'_>,
    push: &Push,
    hashes: &[Digest],
    head_hash: Digest,
) -> StoreResult<Option<u64>> {
    let before = push.first_seq - 1;
    if before > 0 {
        let stored = tx.event_hash(push.stream, before)?.unwrap_or(head_hash);
        if stored != push.prev_hash {
            return Ok(Some(before));
        }
    }
    for (offset, hash) in hashes.iter().enumerate() {
        let seq = push.first_seq + offset as u64;
        match tx.event_hash(push.stream, seq)? {
            None => return Ok(None),
            Some(stored) if stored == *hash => {}
            Some(_) => return Ok(Some(seq)),
        }
    }
    Ok(None)
}

/// Stores and folds the new events of a push.
struct Intake<'a, 'c> {
    tx: &'a Tx<'c>,
    identity: &'a Identity,
    owner: &'a DeviceRow,
    now: &'a Now,
    currency: Option<Currency>,
    /// Every location of the chain, and the store that it belongs to.
    locations: BTreeMap<LocationId, Option<StoreId>>,
    /// The hub's own clock, following the events.
    clock: Hlc,
    fold: Fold<'a, 'c>,
    /// Events that were set aside.
    aside: Vec<StreamPos>,
    alike: Alike,
    /// For each reversal of what was reversed before: all of them.
    again: Vec<Vec<StreamPos>>,
}

impl Intake<'_, '_> {
    fn take(
        &mut self,
        stream: StreamId,
        seq: u64,
        bytes: &[u8],
        hash: Digest,
    ) -> Result<(), StoreError> {
        let read = read(stream, seq, bytes);
        let id = match &read {
            Ok((event, _)) => Some(event.id),
            Err((id, _)) => *id,
        };
        // It came inside an adopting event before: what it does has been done.
        let known_inside = match id {
            Some(id) => self.adopted_as(id)?,
            None => None,
        };
        let id_taken = match (&known_inside, id) {
            (Some(inside), _) => !(inside.bytes == bytes && self.is_owners(inside.adopter)?),
            (None, Some(id)) => self.tx.event_id_known(id)?,
            (None, None) => false,
        };
        self.tx.insert_event(&NewEvent {
            stream,
            seq,
            id: id.filter(|_| !id_taken),
            bytes,
            hash,
            recv: self.now.wall_ms,
        })?;
        let verdict = match read {
            _ if id_taken => Err("duplicate_id"),
            _ if known_inside.is_some() => Ok(()),
            Ok((event, Fact::Adopted(adopted))) => self.adopt(&event, &adopted)?,
            Ok((event, fact)) => {
                let verdict = self.check(&event, &fact)?;
                self.fold_checked(verdict, &event, &fact, None)?
            }
            Err((_, code)) => Err(code),
        };
        if let Err(code) = verdict {
            tracing::warn!(stream = %stream, seq, code, "an event was quarantined");
            self.tx.quarantine(stream, seq, code, self.now.wall_ms)?;
            self.aside.push(StreamPos { stream, seq });
        }
        Ok(())
    }

    /// Folds what is inside an adopting event, unless it has been here before, by itself or inside another.
    fn adopt(&mut self, event: &Event, adopted: &Adopted) -> Result<Verdict, StoreError> {
        let Some(original) = adopted.original() else {
            return Ok(Err("bad_adoption"));
        };
        let id = original.event.id;
        if let Some((stream, seq, bytes)) = self.tx.event_by_id(id)? {
            if bytes != original.bytes || !self.is_owners(stream)? {
                return Ok(Err("duplicate_id"));
            }
            // What does not hold by itself does not hold inside another either.
            let aside = self.tx.quarantined(stream, seq, seq)?;
            let known = QUARANTINE_CODES.iter().copied();
            return Ok(match aside.into_iter().next() {
                Some((_, code)) => Err(known
                    .into_iter()
                    .find(|known| *known == code)
                    .unwrap_or("bad_adoption")),
                None => Ok(()),
            });
        }
        if let Some(inside) = self.adopted_as(id)? {
            let same = inside.bytes == original.bytes && self.is_owners(inside.adopter)?;
            return Ok(if same { Ok(()) } else { Err("duplicate_id") });
        }
        // The stream that it was written to is another till's.
        if self.tx.stream(original.at.stream)?.is_some() && !self.is_owners(original.at.stream)? {
            return Ok(Err("bad_adoption"));
        }
        let fact = match original.event.fact() {
            Ok(fact) => fact,
            Err(EventError::Unknown { .. }) => return Ok(Err("unknown_kind")),
            Err(EventError::NotStrict(_)) => return Ok(Err("bad_body")),
        };
        let verdict = match &fact {
            // It opened a stream of this till under a key of its time.
            Fact::StreamOpened(opened) if original.event.seq == 1 => {
                let fits = opened.tenant == self.identity.tenant
                    && opened.store.as_ref() == Some(&self.owner.store)
                    && opened.till.as_ref() == Some(&self.owner.till);
                if fits { Ok(()) } else { Err("bad_opening") }
            }
            fact => self.check(&original.event, fact)?,
        };
        self.fold_checked(verdict, &original.event, &fact, Some((event, id)))
    }

    /// Where the event with this id was adopted, if it was.
    fn adopted_as(&self, id: EventId) -> Result<Option<Inside>, StoreError> {
        let Some((adopter, seq)) = self.tx.adopted(id)? else {
            return Ok(None);
        };
        let bytes = self
            .tx
            .event_bytes(adopter, seq)?
            .ok_or(StoreError::Corrupt("adopted"))?;
        let original = original_in(&bytes).ok_or(StoreError::Corrupt("adopted"))?;
        Ok(Some(Inside {
            adopter,
            bytes: original.bytes,
        }))
    }

    /// Whether a known stream is one of the same till as the one that is taken in.
    fn is_owners(&self, stream: StreamId) -> Result<bool, StoreError> {
        // The stream that is taken in is stored at the end of its first push.
        Ok(self.tx.stream(stream)?.is_none_or(|row| {
            row.store.as_ref() == Some(&self.owner.store)
                && row.till.as_ref() == Some(&self.owner.till)
        }))
    }

    /// Folds what was found to hold; `inside` is the adopting event and the id of what it adopts.
    fn fold_checked(
        &mut self,
        verdict: Verdict,
        event: &Event,
        fact: &Fact,
        inside: Option<(&Event, EventId)>,
    ) -> Result<Verdict, StoreError> {
        if let Err(code) = verdict {
            return Ok(Err(code));
        }
        self.clock = self.clock.observe(event.hlc, self.now.wall_ms);
        let origin = Origin {
            till: Some((self.owner.store.clone(), self.owner.till.clone())),
            branch: branch_of(event.id),
        };
        let at = EventRef {
            stream: event.stream,
            seq: event.seq,
            hlc: event.hlc,
        };
        let before = match fact {
            Fact::Reversed(reversed) => self.tx.reversals_of(reversed.of)?,
            _ => Vec::new(),
        };
        let (tx, fold) = (self.tx, &mut self.fold);
        let folded = tx.savepoint(|| {
            if let Some((adopting, id)) = inside {
                tx.insert_adopted(id, adopting.stream, adopting.seq)?;
            }
            fold.apply(&origin, &at, fact)
        });
        match folded {
            Ok(()) => {
                let here = StreamPos {
                    stream: event.stream,
                    seq: event.seq,
                };
                if !before.is_empty() {
                    self.again.push(before.into_iter().chain([here]).collect());
                }
                // What is adopted was written long ago, beside whatever.
                if inside.is_none() {
                    self.alike.see(here, event.wall, fact);
                }
                Ok(Ok(()))
            }
            Err(FoldError::Overflow) => Ok(Err("overflow")),
            Err(FoldError::Store(error)) => Err(error),
        }
    }

    fn check(&self, event: &Event, fact: &Fact) -> Result<Verdict, StoreError> {
        if matches!(fact, Fact::StockCounted(_)) && self.tx.is_count(event.stream, event.seq)? {
            // The other branch of a fork counted here, and a count is known by its place.
            return Ok(Err("contested_count"));
        }
        Ok(self.check_fact(event, fact))
    }

    fn check_fact(&self, event: &Event, fact: &Fact) -> Verdict {
        if (event.seq == 1) != matches!(fact, Fact::StreamOpened(_)) {
            return Err("bad_opening");
        }
        match fact {
            Fact::StreamOpened(opened) => {
                let fits = opened.tenant == self.identity.tenant
                    && opened.device == self.owner.device
                    && opened.store.as_ref() == Some(&self.owner.store)
                    && opened.till.as_ref() == Some(&self.owner.till)
                    && opened.key_algorithm == self.owner.algorithm
                    && opened.public_key == self.owner.public_key;
                if fits { Ok(()) } else { Err("bad_opening") }
            }
            Fact::SaleCompleted(sale) => self.check_sale(event, fact, sale),
            Fact::Reversed(reversed) => self.check_sale(event, fact, &reversed.mirror),
            Fact::CashMoved(moved) => self.check_number(event, &moved.slip.number),
            Fact::DrawerOpened(opened) => match &opened.slip {
                Some(slip) => self.check_number(event, &slip.number),
                None => Ok(()),
            },
            Fact::StockCounted(count) => {
                self.check_location(&count.location)?;
                let now = u64::try_from(self.now.wall_ms).unwrap_or(0);
                if event.hlc.ms() > now.saturating_add(ANCHOR_AHEAD_MS_MAX) {
                    Err("clock_ahead")
                } else {
                    Ok(())
                }
            }
            Fact::GoodsReceived(_)
            | Fact::StockAdjusted(_)
            | Fact::TransferSent(_)
            | Fact::TransferReceived(_)
            | Fact::TransferLost(_)
            | Fact::ZoneMoved(_)
            | Fact::OrderPicked(_) => self.check_goods(fact),
            Fact::CountLearned(_) => Ok(()),
            Fact::RightsReturned(moved) => self.check_rights(event, moved, true),
            Fact::RightsPassed(moved) => self.check_rights(event, moved, false),
            // Only the hub grants, seals and settles.
            Fact::RightsGranted(_)
            | Fact::StreamSealed(_)
            | Fact::IncidentRaised(_)
            | Fact::IncidentResolved(_) => Err("not_the_hub"),
            Fact::ShiftOpened(_)
            | Fact::CartVoided(_)
            | Fact::LineVoided(_)
            | Fact::ShiftClosed(_)
            | Fact::Reprinted(_)
            | Fact::PinReset(_)
            | Fact::SignInBlocked(_)
            | Fact::DrawerHandedOver(_)
            | Fact::ShiftCounted(_)
            | Fact::PeriodClosed(_)
            | Fact::ClosingSupplemented(_)
            | Fact::Adopted(_)
            | Fact::ClockJumped(_) => Ok(()),
        }
    }

    fn check_goods(&self, fact: &Fact) -> Verdict {
        for movement in stock::movements(fact) {
            self.check_location(&movement.location)?;
        }
        stock::check(fact).map_err(|_| "goods_do_not_hold")
    }

    /// Rights go back to the hub, or to another stream; the sums decide whether they were there.
    fn check_rights(&self, event: &Event, moved: &RightsMoved, back: bool) -> Verdict {
        let fits = (moved.to == self.identity.stream) == back && moved.to != event.stream;
        let sound = moved.lines.iter().all(|line| line.total >= Quantity::ZERO);
        if !fits || !sound || moved.lines.len() > stock::GOODS_LINES_MAX {
            return Err("rights_do_not_hold");
        }
        for line in &moved.lines {
            self.check_location(&line.location)?;
        }
        Ok(())
    }

    /// A till's goods are those of its own store: another one's shelf is that store's tills' to move, or head office's.
    fn check_location(&self, location: &LocationId) -> Verdict {
        match self.locations.get(location) {
            None => Err("unknown_location"),
            Some(Some(store)) if *store == self.owner.store => Ok(()),
            Some(_) => Err("foreign_location"),
        }
    }

    /// A number that another till gives would be on two papers.
    fn check_number(&self, event: &Event, number: &str) -> Verdict {
        let prefix = number_prefix(&self.owner.store, &self.owner.till, event.stream);
        if number.starts_with(&prefix) {
            Ok(())
        } else {
            Err("foreign_number")
        }
    }

    fn check_sale(&self, event: &Event, fact: &Fact, sale: &SaleBody) -> Verdict {
        self.check_location(&sale.location)?;
        self.check_number(event, &sale.number)?;
        if self.currency != Some(sale.currency) {
            return Err("wrong_currency");
        }
        domain::sale::check_fact(fact).map_err(|_| "sale_does_not_hold")
    }
}

/// Whether an event holds, or why not.
type Verdict = Result<(), &'static str>;

/// An event that came inside another.
struct Inside {
    /// Stream of the adopting event.
    adopter: StreamId,
    bytes: Vec<u8>,
}

/// What an adopting event holds.
pub(crate) fn original_in(bytes: &[u8]) -> Option<Original> {
    match Event::decode(bytes).ok()?.fact().ok()? {
        Fact::Adopted(adopted) => adopted.original(),
        _ => None,
    }
}

/// Event and fact, or the id that could be read all the same and why not the rest.
type ReadEvent = Result<(Event, Fact), (Option<EventId>, &'static str)>;

fn read(stream: StreamId, seq: u64, bytes: &[u8]) -> ReadEvent {
    let event = Event::decode(bytes).map_err(|_| (None, "unreadable"))?;
    if event.stream != stream {
        return Err((None, "wrong_stream"));
    }
    if event.seq != seq {
        return Err((None, "wrong_seq"));
    }
    match event.fact() {
        Ok(fact) => Ok((event, fact)),
        Err(EventError::Unknown { .. }) => Err((Some(event.id), "unknown_kind")),
        Err(EventError::NotStrict(_)) => Err((Some(event.id), "bad_body")),
    }
}

/// The id under which an event is registered, none when it was not readable in its place.
pub(crate) fn registered_id(stream: StreamId, seq: u64, bytes: &[u8]) -> Option<EventId> {
    match read(stream, seq, bytes) {
        Ok((event, _)) => Some(event.id),
        Err((id, _)) => id,
    }
}
