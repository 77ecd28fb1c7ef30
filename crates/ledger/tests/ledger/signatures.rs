//! A device whose keystore signs with P-256: nothing of that ever stands in hashed bytes.

use domain::config::KeyAlgorithm;
use domain::event::{Fact, ShiftKey, ShiftOpened, head_message, shift_key_message};
use domain::ids::{EventId, ShiftId};
use domain::money::Currency;
use ledger::{HeadSignature, Ledger, LedgerError};
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;
use uuid::Uuid;

use crate::support::{clock, day, new_stream, user};

const WALL: i64 = 1_795_345_200_000;

fn key() -> SigningKey {
    SigningKey::from_slice(&[5; 32]).expect("scalar")
}

fn sign(key: &SigningKey, message: &[u8]) -> [u8; 64] {
    let signature: p256::ecdsa::Signature = key.sign(message);
    signature.normalize_s().to_bytes().into()
}

fn opening(certificate: Option<String>) -> Fact {
    Fact::ShiftOpened(ShiftOpened {
        shift: ShiftId(Uuid::from_u128(3)),
        drawer: 1,
        business_date: day("2026-11-22"),
        user: user(),
        currency: Currency::Tnd,
        count: [(1_000, 100)].into(),
        float_minor: 100_000,
        approved_by: None,
        shift_key: Some(ShiftKey {
            public_key: "22".repeat(32),
            certificate,
        }),
    })
}

fn ledger() -> Ledger {
    let mut new = new_stream();
    new.opened.key_algorithm = KeyAlgorithm::P256;
    new.opened.public_key = hex::encode(key().verifying_key().to_sec1_point(true).as_bytes());
    Ledger::create_in_memory(new, &clock(WALL), EventId(Uuid::from_u128(1))).expect("create")
}

fn first_bad(ledger: &Ledger) -> Option<(String, String)> {
    let bad = ledger.verify().expect("readable").first_bad;
    bad.map(|bad| (bad.table, bad.key))
}

#[test]
fn a_certificate_of_p256_stands_beside_the_journal() {
    let mut ledger = ledger();
    let id = EventId(Uuid::from_u128(2));
    let hashed = ledger.write(|tx| tx.append(&clock(WALL), id, &opening(Some("01".repeat(64)))));
    assert!(matches!(hashed, Err(LedgerError::OutOfPlace { .. })));
    ledger
        .write(|tx| tx.append(&clock(WALL), id, &opening(None)))
        .expect("open");
    let shift = ShiftId(Uuid::from_u128(3));
    assert_eq!(ledger.shift_key(shift).expect("readable"), None);
    assert_eq!(first_bad(&ledger), None);

    let identity = ledger.identity().clone();
    let message = shift_key_message(&identity.tenant, identity.stream, shift, &[0x22; 32]);
    let certificate = sign(&key(), &message);
    ledger
        .write(|tx| tx.keep_shift_certificate(shift, &certificate))
        .expect("keep");
    let found = ledger.shift_key(shift).expect("readable").expect("a key");
    assert_eq!(
        (found.public_key, found.certificate),
        ([0x22; 32], certificate)
    );
    assert_eq!(first_bad(&ledger), None);

    let stranger = SigningKey::from_slice(&[6; 32]).expect("scalar");
    let forged = sign(&stranger, &message);
    ledger
        .write(|tx| tx.keep_shift_certificate(shift, &forged))
        .expect("keep");
    assert_eq!(
        first_bad(&ledger),
        Some(("event".to_owned(), "2".to_owned()))
    );
}

#[test]
fn heads_are_signed_with_the_registered_algorithm() {
    let mut ledger = ledger();
    let head = ledger.head();
    let tenant = ledger.identity().tenant.clone();
    let message = head_message(&tenant, head.stream, head.seq, head.hash);
    let mut signed = HeadSignature {
        head,
        algorithm: KeyAlgorithm::P256,
        signature: sign(&key(), &message),
    };
    ledger
        .write(|tx| tx.keep_head_signature(&signed))
        .expect("keep");
    let report = ledger.verify().expect("readable");
    assert_eq!((report.ok, report.signatures.heads), (true, 1));
    assert_eq!(
        ledger.head_signatures().expect("readable"),
        [signed.clone()]
    );

    let mut elsewhere = signed.clone();
    elsewhere.head.hash.0[0] ^= 1;
    let refused = ledger.write(|tx| tx.keep_head_signature(&elsewhere));
    assert!(matches!(refused, Err(LedgerError::OutOfPlace { .. })));

    signed.algorithm = KeyAlgorithm::Ed25519;
    ledger
        .write(|tx| tx.keep_head_signature(&signed))
        .expect("keep");
    let bad = Some(("head_signature".to_owned(), "1".to_owned()));
    assert_eq!(first_bad(&ledger), bad);
}
