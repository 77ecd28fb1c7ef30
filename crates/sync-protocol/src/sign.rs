//! Signatures: over a request by the key that its token is bound to, and over the head of a stream.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::config::KeyAlgorithm;
use domain::ids::{DeviceId, Digest, StreamId, TenantId};
use domain::signature::PublicKey;
pub use domain::signature::SignatureError as SignError;
use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};

use crate::SignedHead;

/// The message a device signs for a request: tenant, device and the hash of the body as sent.
pub fn request_message(tenant: &TenantId, device: DeviceId, body: &[u8]) -> Vec<u8> {
    let mut message = b"hanout-request-1\0".to_vec();
    message.extend_from_slice(tenant.as_str().as_bytes());
    message.push(0);
    message.extend_from_slice(device.0.as_bytes());
    let digest: [u8; 32] = Sha256::digest(body).into();
    message.extend_from_slice(&digest);
    message
}

/// Signs `message`; the result is base64.
pub fn sign(key: &SigningKey, message: &[u8]) -> String {
    STANDARD.encode(domain::signature::sign(key, message))
}

/// Checks a base64 signature under a registered key.
///
/// # Errors
/// [`SignError::BadKey`], [`SignError::BadSignature`].
pub fn verify(
    algorithm: KeyAlgorithm,
    public_key: &str,
    message: &[u8],
    signature: &str,
) -> Result<(), SignError> {
    let key = PublicKey::parse(algorithm, public_key)?;
    let signature = STANDARD
        .decode(signature)
        .map_err(|_| SignError::BadSignature)?;
    key.verify(message, &signature)
}

/// The public half of a key, hexadecimal.
pub fn public_key(key: &SigningKey) -> String {
    Digest(key.verifying_key().to_bytes()).to_string()
}

/// Vouches for `stream` up to `seq`.
pub fn sign_head(
    key: &SigningKey,
    tenant: &TenantId,
    stream: StreamId,
    seq: u64,
    hash: Digest,
) -> SignedHead {
    let message = domain::event::head_message(tenant, stream, seq, hash);
    SignedHead {
        seq,
        hash,
        signature: sign(key, &message),
    }
}

/// Checks a signed head.
///
/// # Errors
/// As [`verify`].
pub fn verify_head(
    algorithm: KeyAlgorithm,
    public_key: &str,
    tenant: &TenantId,
    stream: StreamId,
    head: &SignedHead,
) -> Result<(), SignError> {
    verify(
        algorithm,
        public_key,
        &domain::event::head_message(tenant, stream, head.seq, head.hash),
        &head.signature,
    )
}

/// Six digits that both sides show, so that an owner sees whose key is being confirmed.
pub fn fingerprint(public_key: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(public_key.as_bytes()).into();
    let head = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    format!("{:06}", head % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_one_key_tenant_stream_and_head() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let tenant = TenantId::new("atlas").expect("tenant");
        let stream = StreamId([1; 16]);
        let head = sign_head(&key, &tenant, stream, 5, Digest([9; 32]));
        let public = public_key(&key);
        assert_eq!(
            verify_head(KeyAlgorithm::Ed25519, &public, &tenant, stream, &head),
            Ok(())
        );
        let other = TenantId::new("other").expect("tenant");
        assert_eq!(
            verify_head(KeyAlgorithm::Ed25519, &public, &other, stream, &head),
            Err(SignError::BadSignature)
        );
        assert_eq!(
            verify_head(
                KeyAlgorithm::Ed25519,
                &public,
                &tenant,
                StreamId([2; 16]),
                &head
            ),
            Err(SignError::BadSignature)
        );
        let moved = SignedHead {
            seq: 6,
            ..head.clone()
        };
        assert_eq!(
            verify_head(KeyAlgorithm::Ed25519, &public, &tenant, stream, &moved),
            Err(SignError::BadSignature)
        );
        let stranger = public_key_of(8);
        assert_eq!(
            verify_head(KeyAlgorithm::Ed25519, &stranger, &tenant, stream, &head),
            Err(SignError::BadSignature)
        );
        assert_eq!(
            verify_head(KeyAlgorithm::Ed25519, "zz", &tenant, stream, &head),
            Err(SignError::BadKey)
        );
    }

    fn public_key_of(seed: u8) -> String {
        public_key(&SigningKey::from_bytes(&[seed; 32]))
    }
}
