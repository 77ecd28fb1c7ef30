//! The hub writes a stream of its own under the server's key, for what no till has seen happen.

use domain::entropy::Entropy;
use domain::event::{Event, Fact, chain_hash, genesis_hash};
use domain::ids::EventId;
use domain::stock::EventRef;
use domain::time::{Hlc, Now};
use sync_protocol::sign;

use crate::lifecycle::Identity;
use crate::store::{NewEvent, StoreError, StoreResult, StreamRow, Tx};

/// Appends `fact`, chained and signed; the caller folds it in the same transaction.
pub(crate) fn append(
    tx: &Tx<'_>,
    identity: &Identity,
    entropy: &mut Entropy,
    fact: &Fact,
    now: &Now,
) -> StoreResult<EventRef> {
    let mut row = match tx.stream(identity.stream)? {
        Some(row) => row,
        None => StreamRow {
            stream: identity.stream,
            device: identity.device,
            store: None,
            till: None,
            public_key: sign::public_key(&identity.key),
            head_seq: 0,
            head_hash: genesis_hash(identity.stream),
            signature: String::new(),
            contact: now.wall_ms,
        },
    };
    let hlc = last_hlc(tx)?.tick(now.wall_ms);
    let event = Event {
        stream: identity.stream,
        seq: row.head_seq + 1,
        id: EventId(entropy.next_uuid(now.wall_ms)),
        hlc,
        wall: now.wall_ms,
        boot: now.boot,
        kind: fact.kind().to_owned(),
        schema: fact.schema(),
        body: fact.encode(),
    };
    let bytes = event.encode();
    row.head_hash = chain_hash(row.head_hash, &bytes);
    row.head_seq = event.seq;
    row.contact = now.wall_ms;
    row.signature = sign::sign_head(
        &identity.key,
        &identity.tenant,
        row.stream,
        row.head_seq,
        row.head_hash,
    )
    .signature;
    tx.put_stream(&row)?;
    tx.insert_event(&NewEvent {
        stream: row.stream,
        seq: row.head_seq,
        id: Some(event.id),
        bytes: &bytes,
        hash: row.head_hash,
        recv: now.wall_ms,
    })?;
    set_hlc(tx, hlc)?;
    Ok(EventRef {
        stream: row.stream,
        seq: row.head_seq,
        hlc,
    })
}

/// The hub's clock.
pub(crate) fn last_hlc(tx: &Tx<'_>) -> StoreResult<Hlc> {
    match tx.meta("hlc")? {
        None => Ok(Hlc::default()),
        Some(text) => u64::from_str_radix(&text, 16)
            .map(Hlc)
            .map_err(|_| StoreError::Corrupt("clock")),
    }
}

/// Lets the hub's clock stand where it has come to by following what was folded, so that its counts come after.
pub(crate) fn set_hlc(tx: &Tx<'_>, hlc: Hlc) -> StoreResult<()> {
    tx.set_meta("hlc", &hlc.to_string())
}
