//! Checking signatures: the algorithm is that of the registered key, never one that the message names.
//!
//! Ed25519 is held to the strict reading: no key and no nonce of small order, one encoding of each signature.
//! P-256 signatures are 64 bytes, `r` and `s` big-endian, with `s` in the lower half: of the two values that
//! fit every message only one is taken, so that nobody can make a second signature out of a first.

use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::Verifier as _;

use crate::config::KeyAlgorithm;

/// Length of a signature of either algorithm, in bytes.
pub const SIGNATURE_LEN: usize = 64;

/// A key or signature that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a public key of the algorithm.
    #[error("not a public key")]
    BadKey,
    /// Not a signature, or not of this message by this key.
    #[error("the signature does not fit")]
    BadSignature,
}

/// A registered public key.
#[derive(Debug, Clone)]
pub struct PublicKey(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
}

impl PublicKey {
    /// Reads a key as it was registered, lower-case hexadecimal: 32 bytes for Ed25519, a SEC1 point of 33
    /// (compressed) or 65 bytes for P-256.
    ///
    /// # Errors
    /// [`SignatureError::BadKey`] for anything else, for a point that is not on the curve, and for a point of
    /// small order, under which a signature of nobody fits.
    pub fn parse(algorithm: KeyAlgorithm, text: &str) -> Result<PublicKey, SignatureError> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(SignatureError::BadKey);
        }
        let bytes = hex::decode(text).map_err(|_| SignatureError::BadKey)?;
        match algorithm {
            KeyAlgorithm::Ed25519 => {
                let bytes: [u8; 32] = bytes.try_into().map_err(|_| SignatureError::BadKey)?;
                PublicKey::ed25519(&bytes)
            }
            KeyAlgorithm::P256 => {
                if !matches!(
                    (bytes.len(), bytes.first()),
                    (33, Some(2 | 3)) | (65, Some(4))
                ) {
                    return Err(SignatureError::BadKey);
                }
                p256::ecdsa::VerifyingKey::from_sec1_bytes(&bytes)
                    .map(|key| PublicKey(Kind::P256(key)))
                    .map_err(|_| SignatureError::BadKey)
            }
        }
    }

    /// An Ed25519 key from its bytes.
    ///
    /// # Errors
    /// As [`PublicKey::parse`].
    pub fn ed25519(bytes: &[u8; 32]) -> Result<PublicKey, SignatureError> {
        ed25519_dalek::VerifyingKey::from_bytes(bytes)
            .ok()
            .filter(|key| !key.is_weak())
            .map(|key| PublicKey(Kind::Ed25519(key)))
            .ok_or(SignatureError::BadKey)
    }

    /// Checks a signature over `message`.
    ///
    /// # Errors
    /// [`SignatureError::BadSignature`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let fits = match &self.0 {
            Kind::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .and_then(|signature| key.verify_strict(message, &signature)),
            Kind::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .ok()
                .filter(|signature| signature.normalize_s() == *signature)
                .ok_or_else(ed25519_dalek::SignatureError::new)
                .and_then(|signature| key.verify(message, &signature)),
        };
        fits.map_err(|_| SignatureError::BadSignature)
    }
}

/// Signs with an Ed25519 key. The same key and message give the same signature.
pub fn sign(key: &ed25519_dalek::SigningKey, message: &[u8]) -> [u8; SIGNATURE_LEN] {
    key.sign(message).to_bytes()
}
