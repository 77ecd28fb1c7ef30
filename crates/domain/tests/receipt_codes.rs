//! Codes of receipts: what they say, and what passes for one.

use domain::config::KeyAlgorithm;
use domain::event::shift_key_message;
use domain::ids::{ShiftId, StoreId, StreamId, TenantId, TillId};
use domain::money::Currency;
use domain::quantity::Quantity;
use domain::receipt_code::{Claims, CodeError, CodeLine, LINES_MAX, ReceiptCode, looks_like_code};
use domain::signature::{PublicKey, sign};
use ed25519_dalek::SigningKey;
use p256::ecdsa::signature::Signer as _;
use uuid::Uuid;

fn tenant() -> TenantId {
    TenantId::new("atlas").expect("tenant")
}

fn device() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn shift() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

fn public(key: &SigningKey) -> PublicKey {
    PublicKey::ed25519(&key.verifying_key().to_bytes()).expect("key")
}

fn claims(lines: usize) -> Claims {
    let stream = StreamId([9; 16]);
    let id = ShiftId(Uuid::from_u128(77));
    let shift_key = shift().verifying_key().to_bytes();
    let message = shift_key_message(&tenant(), stream, id, &shift_key);
    Claims {
        stream,
        seq: 123_456,
        reversal: false,
        store: StoreId::new("LM").expect("store"),
        till: TillId::new("01").expect("till"),
        number_seq: 128,
        business_date: "2026-11-22".parse().expect("date"),
        currency: Currency::Tnd,
        total_minor: 286_000,
        lines_total: lines as u64,
        lines: (0..lines.min(LINES_MAX))
            .map(|at| CodeLine {
                variant: 0xdead_0000 + at as u32,
                quantity: Quantity(if at % 2 == 0 { 1_000 } else { -7_500 }),
                paid_minor: 189_900 - 40_000 * at as i64,
            })
            .collect(),
        shift: id,
        shift_key,
        certificate: sign(&device(), &message),
    }
}

#[test]
fn a_code_says_what_was_signed() {
    for lines in [0, 1, 4, 20, 30] {
        let code = claims(lines).sign(&shift());
        let text = code.to_text();
        assert!(looks_like_code(&text));
        let read = ReceiptCode::from_text(&format!(" {text}\r\n")).expect("code");
        assert_eq!(read, code);
        assert_eq!(read.claims.number(), "LM-01-144GJ-2026-000128");
        assert!(read.is_intact() && read.is_certified_by(&tenant(), &public(&device())));
    }
    let extreme = Claims {
        seq: u64::MAX,
        number_seq: u64::MAX,
        total_minor: i64::MIN,
        reversal: true,
        business_date: "1970-01-01".parse().expect("date"),
        ..claims(1)
    };
    let code = extreme.sign(&shift());
    assert_eq!(ReceiptCode::from_text(&code.to_text()), Ok(code));
}

/// A QR code of version 16 with error correction M holds 1,082 digits in 81 modules: three dots each on 384.
#[test]
fn the_longest_code_fits_narrow_paper() {
    let mut longest = claims(20);
    longest.store = StoreId::new("ABCDEFGH").expect("store");
    longest.till = TillId::new("ABCD").expect("till");
    for line in &mut longest.lines {
        (line.quantity, line.paid_minor) = (Quantity(-100_000), -1_000_000);
    }
    let digits = longest.sign(&shift()).to_text().len();
    assert!(digits <= 1_082, "{digits}");
    let usual = claims(4).sign(&shift()).to_text().len();
    assert!(usual <= 691, "{usual}");
}

#[test]
fn every_flipped_bit_is_seen() {
    let bytes = claims(3).sign(&shift()).to_bytes();
    let certificate_at = bytes.len() - 128;
    for at in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        if let Ok(code) = ReceiptCode::from_bytes(&flipped) {
            assert!(!code.is_intact(), "bit {at}");
            let within = (certificate_at * 8..(certificate_at + 64) * 8).contains(&at);
            let certified = code.is_certified_by(&tenant(), &public(&device()));
            assert!(!(within && certified), "bit {at}");
        }
    }
}

#[test]
fn what_is_no_code_is_named() {
    let bytes = claims(3).sign(&shift()).to_bytes();
    let text = claims(3).sign(&shift()).to_text();
    for len in 2..bytes.len() {
        let cut = ReceiptCode::from_bytes(&bytes[..len]);
        assert_eq!(cut, Err(CodeError::Damaged), "{len}");
    }
    for len in 0..text.len() {
        assert!(ReceiptCode::from_text(&text[..len]).is_err(), "{len}");
    }
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        ReceiptCode::from_bytes(&bytes)
    };
    assert_eq!(with(0, 0x47), Err(CodeError::NotACode));
    assert_eq!(with(1, 0), Err(CodeError::Damaged));
    assert_eq!(with(1, 2), Err(CodeError::TooNew { found: 2 }));
    assert_eq!(with(1, 255), Err(CodeError::TooNew { found: 255 }));
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(ReceiptCode::from_bytes(&longer), Err(CodeError::Damaged));
    // The sequence number spelled with a needless byte.
    let mut spelled = bytes.clone();
    assert_eq!(spelled[20] & 0x80, 0);
    spelled[20] |= 0x80;
    spelled.insert(21, 0);
    assert_eq!(ReceiptCode::from_bytes(&spelled), Err(CodeError::Damaged));
    for text in [
        "",
        "4006381333931",
        "LM-01-7K3QF-2026-000128",
        &"9".repeat(100),
        &"9".repeat(17 * 40),
        &"0".repeat(17 * 40),
        &"1".repeat(100_000),
        &format!("{text}x"),
        &text.replacen('1', "١", 1),
    ] {
        let read = ReceiptCode::from_text(text);
        assert!(
            matches!(read, Err(CodeError::NotACode | CodeError::Damaged)),
            "{read:?}"
        );
    }
}

#[test]
fn a_code_counts_only_with_the_word_of_a_device_of_the_chain() {
    let code = claims(2).sign(&shift());
    let other = SigningKey::from_bytes(&[3; 32]);
    assert!(!code.is_certified_by(&tenant(), &public(&other)));
    let elsewhere = TenantId::new("other").expect("tenant");
    assert!(!code.is_certified_by(&elsewhere, &public(&device())));
    // A shift key that nobody vouched for signs well, and that is all.
    let mut own = claims(2);
    own.shift_key = other.verifying_key().to_bytes();
    let own = own.sign(&other);
    assert!(own.is_intact());
    assert!(!own.is_certified_by(&tenant(), &public(&device())));
    // Signed by another key than the one it names.
    assert!(!claims(2).sign(&other).is_intact());
    // A certificate of another shift or stream.
    for change in [
        |claims: &mut Claims| claims.shift = ShiftId(Uuid::from_u128(78)),
        |claims: &mut Claims| claims.stream = StreamId([8; 16]),
    ] {
        let mut moved = claims(2);
        change(&mut moved);
        let moved = moved.sign(&shift());
        assert!(moved.is_intact());
        assert!(!moved.is_certified_by(&tenant(), &public(&device())));
    }
    // A device whose keystore knows only P-256.
    let keystore = p256::ecdsa::SigningKey::from_slice(&[4; 32]).expect("scalar");
    let mut certified = claims(2);
    let message = shift_key_message(
        &tenant(),
        certified.stream,
        certified.shift,
        &certified.shift_key,
    );
    let signature: p256::ecdsa::Signature = keystore.sign(&message);
    certified.certificate = signature.normalize_s().to_bytes().into();
    let point = hex::encode(keystore.verifying_key().to_sec1_point(true).as_bytes());
    let key = PublicKey::parse(KeyAlgorithm::P256, &point).expect("key");
    assert!(certified.sign(&shift()).is_certified_by(&tenant(), &key));
}
