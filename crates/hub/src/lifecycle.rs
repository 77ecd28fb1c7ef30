//! A tenant's hub: creating its file, opening it, and who it is.

use std::path::Path;

use domain::config::KeyAlgorithm;
use domain::entropy::Entropy;
use domain::event::{Fact, IncidentKind, IncidentRaised, StreamOpened, StreamPos, StreamReason};
use domain::ids::{DeviceId, Digest, StreamId, TenantId};
use domain::time::Now;
use ed25519_dalek::SigningKey;
use sync_protocol::sign;

use crate::incidents::{incident, raise};
use crate::store::{Store, StoreError, StoreResult, Tx};

/// Key of the note that says when the epoch began.
const EPOCH_BEGAN: &str = "epoch_began";

/// What a tenant is made from.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// Code, which enrolment codes and tokens begin with.
    pub tenant: TenantId,
    /// Name of the chain, as receipts print it.
    pub chain: String,
}

/// What never changes in a tenant's file, so it may be kept in memory beside other processes that write.
#[derive(Clone)]
pub(crate) struct Identity {
    pub tenant: TenantId,
    pub chain: String,
    pub authority: String,
    pub device: DeviceId,
    pub stream: StreamId,
    pub key: SigningKey,
    pub seed: [u8; 32],
}

/// The hub of one tenant over its own file.
pub struct Hub {
    pub(crate) store: Store,
    pub(crate) entropy: Entropy,
    pub(crate) identity: Identity,
}

impl Hub {
    /// Makes the file of a new tenant, its server key and the first event of its own stream.
    ///
    /// # Errors
    /// [`StoreError::NotOurs`] where the file exists.
    pub fn create(
        path: &Path,
        new: &NewTenant,
        now: &Now,
        mut entropy: Entropy,
    ) -> Result<Hub, StoreError> {
        let seed = entropy.next_bytes();
        let identity = Identity {
            tenant: new.tenant.clone(),
            chain: new.chain.clone(),
            authority: entropy.next_uuid(now.wall_ms).to_string(),
            device: DeviceId(entropy.next_uuid(now.wall_ms)),
            stream: entropy.next_stream_id(),
            key: SigningKey::from_bytes(&seed),
            seed,
        };
        let mut store = Store::create(path)?;
        let opened = Fact::StreamOpened(StreamOpened {
            reason: StreamReason::TenantCreated,
            tenant: identity.tenant.clone(),
            store: None,
            till: None,
            device: identity.device,
            key_algorithm: KeyAlgorithm::Ed25519,
            public_key: sign::public_key(&identity.key),
            previous: None,
            z_number: 0,
            perpetual_minor: 0,
            periods: std::collections::BTreeMap::new(),
            numbers: std::collections::BTreeMap::new(),
            witness: None,
        });
        store.write(|tx| -> StoreResult<()> {
            tx.set_meta("tenant", identity.tenant.as_str())?;
            tx.set_meta("chain", &identity.chain)?;
            tx.set_meta("authority", &identity.authority)?;
            tx.set_meta("epoch", "1")?;
            tx.set_meta("device", &identity.device.to_string())?;
            tx.set_meta("stream", &identity.stream.to_string())?;
            tx.set_meta("key_seed", &Digest(seed).to_string())?;
            crate::own_stream::append(tx, &identity, &mut entropy, &opened, now)?;
            Ok(())
        })?;
        Ok(Hub {
            store,
            entropy,
            identity,
        })
    }

    /// Opens a tenant's file.
    ///
    /// # Errors
    /// [`StoreError`] when it is no tenant's file, or of a newer program.
    pub fn open(path: &Path, entropy: Entropy) -> Result<Hub, StoreError> {
        let store = Store::open(path)?;
        let identity = store.read(read_identity)?;
        Ok(Hub {
            store,
            entropy,
            identity,
        })
    }

    /// The tenant.
    pub fn tenant(&self) -> &TenantId {
        &self.identity.tenant
    }

    /// Name of the chain.
    pub fn chain(&self) -> &str {
        &self.identity.chain
    }

    /// The hub's own stream.
    pub fn stream(&self) -> StreamId {
        self.identity.stream
    }

    /// The server's public key, hexadecimal.
    pub fn public_key(&self) -> String {
        sign::public_key(&self.identity.key)
    }

    /// The name under which this server acknowledges.
    pub fn authority(&self) -> &str {
        &self.identity.authority
    }

    /// The epoch: raised when the server was restored from a backup.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn epoch(&self) -> Result<u64, StoreError> {
        self.store.read(epoch)
    }

    /// Starts a new epoch, so that tills send again what this server may have lost. Strict variants are not granted
    /// or promised before they have.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn raise_epoch(&mut self, now: &Now) -> Result<u64, StoreError> {
        let (identity, entropy) = (&self.identity, &mut self.entropy);
        self.store.write(|tx| {
            let known = epoch(tx)?;
            start_epoch(tx, identity, entropy, known, Vec::new(), now)
        })
    }
}

/// Starts the epoch after `known`, which is not below the server's own.
pub(crate) fn start_epoch(
    tx: &Tx<'_>,
    identity: &Identity,
    entropy: &mut Entropy,
    known: u64,
    story: Vec<StreamPos>,
    now: &Now,
) -> StoreResult<u64> {
    let next = known.saturating_add(1);
    tx.set_meta("epoch", &next.to_string())?;
    tx.set_meta(EPOCH_BEGAN, &now.wall_ms.to_string())?;
    let restored = IncidentRaised {
        story,
        ..incident(IncidentKind::ServerRestored)
    };
    raise(tx, identity, entropy, restored, now)?;
    Ok(next)
}

/// When the epoch began, by the server's clock in milliseconds; 0 for one that began before this was kept.
pub(crate) fn epoch_began(tx: &Tx<'_>) -> StoreResult<i64> {
    match tx.meta(EPOCH_BEGAN)? {
        Some(_) => parsed(tx, EPOCH_BEGAN),
        None => Ok(0),
    }
}

pub(crate) fn epoch(tx: &Tx<'_>) -> StoreResult<u64> {
    parsed(tx, "epoch")
}

fn parsed<T: std::str::FromStr>(tx: &Tx<'_>, key: &'static str) -> StoreResult<T> {
    tx.meta(key)?
        .and_then(|text| text.parse().ok())
        .ok_or(StoreError::Corrupt(key))
}

fn read_identity(tx: &Tx<'_>) -> StoreResult<Identity> {
    let seed: Digest = parsed(tx, "key_seed")?;
    Ok(Identity {
        tenant: parsed(tx, "tenant")?,
        chain: parsed(tx, "chain")?,
        authority: parsed(tx, "authority")?,
        device: parsed(tx, "device")?,
        stream: parsed(tx, "stream")?,
        key: SigningKey::from_bytes(&seed.0),
        seed: seed.0,
    })
}
