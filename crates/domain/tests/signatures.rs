//! What passes for a key and for a signature, and what does not.

use domain::config::KeyAlgorithm::{self, Ed25519, P256};
use domain::signature::{PublicKey, SignatureError, sign};
use p256::ecdsa::signature::Signer as _;

const MESSAGE: &[u8] = b"hanout";

fn ed() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[7; 32])
}

fn p256() -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[7; 32]).expect("scalar")
}

fn ed_text() -> String {
    hex::encode(ed().verifying_key().to_bytes())
}

fn p256_text(compress: bool) -> String {
    hex::encode(p256().verifying_key().to_sec1_point(compress).as_bytes())
}

fn p256_signature(message: &[u8]) -> [u8; 64] {
    let signature: p256::ecdsa::Signature = p256().sign(message);
    signature.normalize_s().to_bytes().into()
}

fn verify(algorithm: KeyAlgorithm, key: &str, signature: &[u8]) -> Result<(), SignatureError> {
    PublicKey::parse(algorithm, key)?.verify(MESSAGE, signature)
}

/// `n - s`: fits the same message for whoever does not insist on the lower half.
fn other_half(signature: [u8; 64]) -> Vec<u8> {
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order = hex::decode(ORDER).expect("hex");
    let mut bytes = signature.to_vec();
    let mut borrow = 0;
    for at in (0..32).rev() {
        let digit = i32::from(order[at]) - i32::from(signature[32 + at]) - borrow;
        borrow = i32::from(digit < 0);
        bytes[32 + at] = u8::try_from(digit.rem_euclid(256)).expect("a byte");
    }
    bytes
}

/// `s + l`: fits the same message for whoever does not reduce.
fn unreduced(signature: [u8; 64]) -> Vec<u8> {
    const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let order = hex::decode(ORDER).expect("hex");
    let mut bytes = signature.to_vec();
    let mut carry = 0;
    for at in 0..32 {
        let digit = u32::from(order[at]) + u32::from(signature[32 + at]) + carry;
        bytes[32 + at] = (digit & 0xff) as u8;
        carry = digit >> 8;
    }
    bytes
}

#[test]
fn signatures_hold_for_their_algorithm_key_and_message() {
    let ed_signature = sign(&ed(), MESSAGE);
    let p256_signature = p256_signature(MESSAGE);
    let stranger = p256::ecdsa::SigningKey::from_slice(&[9; 32]).expect("scalar");
    let stranger = hex::encode(stranger.verifying_key().to_sec1_point(true).as_bytes());
    let der = {
        let signature: p256::ecdsa::Signature = p256().sign(MESSAGE);
        signature.normalize_s().to_der().as_bytes().to_vec()
    };
    let mut flipped = p256_signature;
    flipped[40] ^= 1;
    let half: [u8; 32] = p256_signature[..32].try_into().expect("half");
    let good = Ok(());
    let bad = Err(SignatureError::BadSignature);
    let key = Err(SignatureError::BadKey);
    for (what, algorithm, public, signature, expected) in [
        ("ed25519", Ed25519, ed_text(), ed_signature.to_vec(), good),
        (
            "compressed",
            P256,
            p256_text(true),
            p256_signature.to_vec(),
            good,
        ),
        (
            "uncompressed",
            P256,
            p256_text(false),
            p256_signature.to_vec(),
            good,
        ),
        ("another key", P256, stranger, p256_signature.to_vec(), bad),
        (
            "p256 under ed25519",
            Ed25519,
            ed_text(),
            p256_signature.to_vec(),
            bad,
        ),
        (
            "ed25519 under p256",
            P256,
            p256_text(true),
            ed_signature.to_vec(),
            bad,
        ),
        (
            "keys mixed up",
            Ed25519,
            p256_text(true),
            p256_signature.to_vec(),
            key,
        ),
        ("keys mixed up", P256, ed_text(), ed_signature.to_vec(), key),
        (
            "upper s",
            P256,
            p256_text(true),
            other_half(p256_signature),
            bad,
        ),
        (
            "s not reduced",
            Ed25519,
            ed_text(),
            unreduced(ed_signature),
            bad,
        ),
        ("der", P256, p256_text(true), der, bad),
        (
            "a bit flipped",
            P256,
            p256_text(true),
            flipped.to_vec(),
            bad,
        ),
        ("r alone", P256, p256_text(true), half.to_vec(), bad),
        ("all zero", P256, p256_text(true), vec![0; 64], bad),
        ("all ones", P256, p256_text(true), vec![0xff; 64], bad),
        ("all zero", Ed25519, ed_text(), vec![0; 64], bad),
        ("empty", Ed25519, ed_text(), Vec::new(), bad),
    ] {
        assert_eq!(verify(algorithm, &public, &signature), expected, "{what}");
    }
    // The upper half is a signature for whoever takes it: the refusal is about the form, not the sum.
    let upper = p256::ecdsa::Signature::from_slice(&other_half(p256_signature)).expect("form");
    p256::ecdsa::signature::Verifier::verify(p256().verifying_key(), MESSAGE, &upper)
        .expect("it fits");
}

#[test]
fn wrong_points_are_no_keys() {
    let k256 = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    let mut off_curve = p256_text(false);
    off_curve.replace_range(128..130, "00");
    let hybrid = format!("06{}", &p256_text(false)[2..]);
    let compact = format!("05{}", &p256_text(true)[2..]);
    let small_order = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ];
    let mut table: Vec<(KeyAlgorithm, String)> = vec![
        (P256, String::new()),
        (P256, "00".to_owned()),
        (P256, p256_text(true).to_uppercase()),
        (P256, p256_text(true)[..64].to_owned()),
        (P256, format!("{}00", p256_text(true))),
        (P256, off_curve),
        (P256, hybrid),
        (P256, compact),
        // No point of the curve has the x of another curve's generator.
        (P256, k256.to_owned()),
        (P256, "zz".to_owned()),
        (Ed25519, ed_text().to_uppercase()),
        (Ed25519, ed_text()[..62].to_owned()),
        (Ed25519, String::new()),
        (
            Ed25519,
            "0200000000000000000000000000000000000000000000000000000000000000".to_owned(),
        ),
    ];
    table.extend(small_order.map(|text| (Ed25519, text.to_owned())));
    for (algorithm, text) in table {
        assert!(
            matches!(
                PublicKey::parse(algorithm, &text),
                Err(SignatureError::BadKey)
            ),
            "{algorithm:?} {text}"
        );
    }
}
