//! Enrolment: a one-time code, a key that the device made itself, a fingerprint that the owner compares.

use domain::config::KeyAlgorithm;
use domain::event::SealReason;
use domain::ids::{DeviceId, StoreId, TenantId, TillId};
use domain::signature::PublicKey;
use domain::time::Now;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sync_protocol::{EnrolReply, EnrolRequest, Enrolled, PROTOCOL, ProtocolError, sign};

use crate::feeds::feeds_of;
use crate::lifecycle::{Hub, Identity, epoch};
use crate::seal::seal;
use crate::shops::{AdminError, publish_device, store_config, unknown};
use crate::store::{CodeRow, DeviceRow, StoreError, StoreResult, Tx};

/// How long an enrolment code lives, in milliseconds.
pub const CODE_LIFE_MS: i64 = 10 * 60 * 1_000;
/// How often a code may be guessed wrongly.
const CODE_TRIES: i64 = 5;
/// Characters of a code, and how many of them tell which code is meant when the rest is wrong.
const CODE_LEN: usize = 8;
const SELECTOR_LEN: usize = 3;
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A device whose token was recognised; its signature is still to be checked.
#[derive(Debug, Clone)]
pub struct DeviceAuth {
    /// Device.
    pub device: DeviceId,
    /// Tenant.
    pub tenant: TenantId,
    /// Store.
    pub store: StoreId,
    /// Till.
    pub till: TillId,
    /// Algorithm of the registered key.
    pub algorithm: KeyAlgorithm,
    /// Registered public key, hexadecimal.
    pub public_key: String,
    /// No longer trusted: what it sends is kept aside, and it is told nothing.
    pub revoked: bool,
}

/// A device that waits for the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PendingDevice {
    /// Store.
    pub store: StoreId,
    /// Till.
    pub till: TillId,
    /// Six digits that the device shows; none while nobody has used the code.
    pub fingerprint: Option<String>,
    /// The owner has confirmed.
    pub confirmed: bool,
    /// When the code ends, milliseconds since 1970.
    pub expires: i64,
}

impl Hub {
    /// Makes a one-time code `{tenant}.{8 characters}` for a till of a store.
    ///
    /// # Errors
    /// [`AdminError::Unknown`] store.
    pub fn issue_code(
        &mut self,
        store: &StoreId,
        till: &TillId,
        preconfirmed: bool,
        now: &Now,
    ) -> Result<String, AdminError> {
        let random = self.entropy.next_bytes();
        let code: String = random[..CODE_LEN]
            .iter()
            .map(|byte| char::from(CROCKFORD[usize::from(byte & 31)]))
            .collect();
        let row = CodeRow {
            code_hash: code_hash(&code),
            selector: code[..SELECTOR_LEN].to_owned(),
            store: store.clone(),
            till: till.clone(),
            expires: now.wall_ms + CODE_LIFE_MS,
            tries: CODE_TRIES,
            confirmed: preconfirmed,
            public_key: None,
            device: None,
        };
        self.store.write(|tx| {
            if store_config(tx, store)?.is_none() {
                return Err(unknown("store", store));
            }
            tx.drop_codes_before(now.wall_ms)?;
            tx.put_code(&row)?;
            Ok(())
        })?;
        Ok(format!("{}.{code}", self.identity.tenant))
    }

    /// Codes that live and are not used up, with the fingerprints of devices that wait.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn pending_devices(&self, now: &Now) -> Result<Vec<PendingDevice>, StoreError> {
        let codes = self.store.read(|tx| tx.live_codes(now.wall_ms))?;
        Ok(codes
            .into_iter()
            .filter(|code| code.device.is_none() && code.tries > 0)
            .map(|code| PendingDevice {
                store: code.store,
                till: code.till,
                fingerprint: code.public_key.as_deref().map(sign::fingerprint),
                confirmed: code.confirmed,
                expires: code.expires,
            })
            .collect())
    }

    /// The owner has compared `fingerprint` with the device's screen.
    ///
    /// # Errors
    /// [`AdminError::Unknown`] when no waiting device shows it.
    pub fn confirm_device(&mut self, fingerprint: &str, now: &Now) -> Result<(), AdminError> {
        self.store.write(|tx| {
            let code = tx
                .live_codes(now.wall_ms)?
                .into_iter()
                .find(|code| {
                    code.device.is_none()
                        && code
                            .public_key
                            .as_deref()
                            .is_some_and(|key| sign::fingerprint(key) == fingerprint)
                })
                .ok_or_else(|| unknown("waiting device with fingerprint", fingerprint))?;
            tx.put_code(&CodeRow {
                confirmed: true,
                ..code
            })?;
            Ok(())
        })
    }

    /// Takes trust from a device for `reason`: all tills learn of it, its streams are sealed, and whatever it still
    /// sends is kept aside.
    ///
    /// # Errors
    /// [`AdminError::Unknown`].
    pub fn revoke_device(
        &mut self,
        device: DeviceId,
        reason: SealReason,
        now: &Now,
    ) -> Result<(), AdminError> {
        let (identity, entropy) = (&self.identity, &mut self.entropy);
        self.store.write(|tx| {
            let mut row = tx
                .device(device)?
                .ok_or_else(|| unknown("device", device))?;
            row.revoked = Some(row.revoked.unwrap_or(now.wall_ms));
            tx.put_device(&row)?;
            publish_device(tx, &row)?;
            for stream in tx.streams()?.into_iter().filter(|row| row.device == device) {
                if tx.seal(stream.stream)?.is_none() {
                    seal(tx, identity, entropy, stream.stream, reason, now)?;
                }
            }
            Ok(())
        })
    }

    /// Answers `POST /v1/enrol`. Asking again with the same code and key gets the same answer.
    ///
    /// # Errors
    /// [`ProtocolError::CodeInvalid`], [`ProtocolError::Upgrade`], [`ProtocolError::Unreadable`].
    pub fn enrol(
        &mut self,
        request: &EnrolRequest,
        now: &Now,
    ) -> Result<EnrolReply, ProtocolError> {
        if !request.protocols.contains(&PROTOCOL) {
            return Err(ProtocolError::Upgrade);
        }
        check_key(request)?;
        let code = self.code_of(&request.code)?;
        let identity = &self.identity;
        let entropy = &mut self.entropy;
        let outcome = self
            .store
            .write(|tx| -> StoreResult<Result<EnrolReply, ProtocolError>> {
                let Some(mut row) = usable_code(tx, &code, &request.public_key, now)? else {
                    tx.spend_try(&code[..SELECTOR_LEN])?;
                    return Ok(Err(ProtocolError::CodeInvalid));
                };
                row.public_key = Some(request.public_key.clone());
                if !row.confirmed {
                    tx.put_code(&row)?;
                    return Ok(Ok(EnrolReply::Pending {
                        fingerprint: sign::fingerprint(&request.public_key),
                    }));
                }
                let device = match row.device {
                    Some(device) => device,
                    None => DeviceId(entropy.next_uuid(now.wall_ms)),
                };
                let token = token_for(identity, device, &request.public_key);
                if row.device.is_none() {
                    let fresh = DeviceRow {
                        device,
                        store: row.store.clone(),
                        till: row.till.clone(),
                        algorithm: request.key_algorithm,
                        public_key: request.public_key.clone(),
                        token_hash: token_hash(&token),
                        enrolled: now.wall_ms,
                        revoked: None,
                        contact: now.wall_ms,
                        head_seq: 0,
                        status: "{\"unsynced\":0,\"app\":\"\"}".to_owned(),
                    };
                    tx.put_device(&fresh)?;
                    publish_device(tx, &fresh)?;
                    row.device = Some(device);
                    tx.put_code(&row)?;
                }
                let config = store_config(tx, &row.store)?.ok_or(StoreError::Corrupt("store"))?;
                Ok(Ok(EnrolReply::Enrolled(Box::new(Enrolled {
                    tenant: identity.tenant.clone(),
                    store: row.store.clone(),
                    till: row.till.clone(),
                    device,
                    location: config.location.clone(),
                    token,
                    authority: identity.authority.clone(),
                    epoch: epoch(tx)?,
                    server_key: sign::public_key(&identity.key),
                    server_time: now.wall_ms,
                    feeds: feeds_of(&config),
                }))))
            });
        outcome.map_err(internal)?
    }

    /// Whose token this is, a revoked device's too.
    ///
    /// # Errors
    /// [`ProtocolError::Unauthorised`].
    pub fn device_by_token(&self, token: &str) -> Result<DeviceAuth, ProtocolError> {
        let row = self
            .store
            .read(|tx| tx.device_by_token(token_hash(token)))
            .map_err(internal)?
            .ok_or(ProtocolError::Unauthorised)?;
        Ok(DeviceAuth {
            revoked: row.revoked.is_some(),
            device: row.device,
            tenant: self.identity.tenant.clone(),
            store: row.store,
            till: row.till,
            algorithm: row.algorithm,
            public_key: row.public_key,
        })
    }

    /// The code without its tenant, in the canonical alphabet.
    fn code_of(&self, code: &str) -> Result<String, ProtocolError> {
        let (tenant, typed) = code
            .trim()
            .split_once('.')
            .ok_or(ProtocolError::CodeInvalid)?;
        let code: String = typed
            .chars()
            .filter(|ch| !matches!(ch, '-' | ' '))
            .map(|ch| match ch.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            })
            .collect();
        let canonical = code.len() == CODE_LEN && code.bytes().all(|b| CROCKFORD.contains(&b));
        if tenant != self.identity.tenant.as_str() || !canonical {
            return Err(ProtocolError::CodeInvalid);
        }
        Ok(code)
    }
}

/// Failures of the file as a device sees them; the cause is logged once, here.
pub(crate) fn internal(error: StoreError) -> ProtocolError {
    match error {
        StoreError::Busy => ProtocolError::Busy { after_ms: 1_000 },
        other => {
            tracing::error!(error = %other, source = ?std::error::Error::source(&other), "the tenant's file failed");
            ProtocolError::Internal
        }
    }
}

fn check_key(request: &EnrolRequest) -> Result<(), ProtocolError> {
    PublicKey::parse(request.key_algorithm, &request.public_key)
        .map(drop)
        .map_err(|_| ProtocolError::Unreadable {
            reason: "the public key is not one of its algorithm".to_owned(),
        })
}

fn usable_code(
    tx: &Tx<'_>,
    code: &str,
    public_key: &str,
    now: &Now,
) -> StoreResult<Option<CodeRow>> {
    Ok(tx.code(code_hash(code))?.filter(|row| {
        row.expires > now.wall_ms
            && row.tries > 0
            && row
                .public_key
                .as_deref()
                .is_none_or(|key| key == public_key)
    }))
}

fn code_hash(code: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"hanout-code-1\0");
    hasher.update(code.as_bytes());
    hasher.finalize().into()
}

/// Derived, not drawn: an enrolment whose answer was lost or doubled must hand out the same token again.
fn token_for(identity: &Identity, device: DeviceId, public_key: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"hanout-token-1\0");
    hasher.update(identity.seed);
    hasher.update(device.0.as_bytes());
    hasher.update(public_key.as_bytes());
    format!("{}.{}", identity.tenant, hex::encode(hasher.finalize()))
}

pub(crate) fn token_hash(token: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"hanout-token-hash-1\0");
    hasher.update(token.as_bytes());
    hasher.finalize().into()
}
