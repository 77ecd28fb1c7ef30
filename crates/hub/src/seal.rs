//! Seals: streams that are not waited for any more. A seal edits no total: what its stream held stays given away until
//! the stream has reported it, or its lease is over and somebody has counted.

use domain::entropy::Entropy;
use domain::event::{Fact, SealReason, StreamOpened, StreamSealed};
use domain::ids::StreamId;
use domain::time::Now;

use crate::lifecycle::{Hub, Identity};
use crate::rights::{LEASE_MS, write_fact};
use crate::shops::{AdminError, exists, unknown};
use crate::store::{StoreResult, StreamRow, Tx};

impl Hub {
    /// Seals a stream of a till, or seals it again: what it held can be counted back only after a seal that was set when
    /// its leases had ended.
    ///
    /// # Errors
    /// [`AdminError::Unknown`] stream, or the hub's own; [`AdminError::Exists`] when it was sealed within
    /// the length of a lease.
    pub fn seal_stream(
        &mut self,
        stream: StreamId,
        reason: SealReason,
        now: &Now,
    ) -> Result<(), AdminError> {
        let (identity, entropy) = (&self.identity, &mut self.entropy);
        self.store.write(|tx| {
            let known = tx.stream(stream)?.filter(|row| row.store.is_some());
            if known.is_none() {
                return Err(unknown("stream", stream));
            }
            let fresh = now.wall_ms.saturating_sub(LEASE_MS);
            if tx.seal(stream)?.is_some_and(|seal| seal.wall > fresh) {
                return Err(exists("seal of stream", stream));
            }
            seal(tx, identity, entropy, stream, reason, now)?;
            Ok(())
        })
    }

    /// Sealed streams, ascending.
    ///
    /// # Errors
    /// [`crate::StoreError`].
    pub fn sealed_streams(&self) -> Result<Vec<StreamId>, crate::StoreError> {
        let seals = self.store.read(|tx| tx.seals())?;
        Ok(seals.into_iter().map(|row| row.stream).collect())
    }
}

pub(crate) fn seal(
    tx: &Tx<'_>,
    identity: &Identity,
    entropy: &mut Entropy,
    stream: StreamId,
    reason: SealReason,
    now: &Now,
) -> StoreResult<()> {
    let known = tx.stream(stream)?.map_or(0, |row| row.head_seq);
    let fact = Fact::StreamSealed(StreamSealed {
        stream,
        seq: known,
        reason,
    });
    write_fact(tx, identity, entropy, &fact, now)?;
    Ok(())
}

/// Seals the streams that a device's new stream says to follow.
pub(crate) fn supersede(
    tx: &Tx<'_>,
    identity: &Identity,
    entropy: &mut Entropy,
    new: &StreamRow,
    opened: &StreamOpened,
    now: &Now,
) -> StoreResult<()> {
    for head in opened.previous.iter().chain(&opened.witness) {
        let Some(old) = tx.stream(head.stream)? else {
            continue;
        };
        let same_till = old.device == new.device && old.store == new.store;
        if old.stream != new.stream && same_till && tx.seal(old.stream)?.is_none() {
            seal(
                tx,
                identity,
                entropy,
                old.stream,
                SealReason::Superseded,
                now,
            )?;
        }
    }
    Ok(())
}
