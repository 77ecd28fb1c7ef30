//! The code on a receipt: what was sold, signed, so that any till of the chain can tell a real receipt from a
//! forged one without asking anybody.
//!
//! # Layout, version 1
//! | bytes | what |
//! |---|---|
//! | 1 | `0x48` |
//! | 1 | version, 1 |
//! | 16 | stream |
//! | n | sequence number of the event |
//! | 1 | 0 sale, 1 reversal |
//! | 1 + n, 1 + n | store and till, each a length and ASCII |
//! | n | sequence of the receipt's number; series and year follow from stream and date |
//! | s | trading day, days since 2000-01-01 |
//! | 3 | currency, ISO 4217 |
//! | s | total, minor units |
//! | n | lines of the receipt |
//! | 1 | lines that follow, at most 20 |
//! | 4 + s + s each | last four bytes of the variant's id; thousandths; paid, minor units |
//! | 16 | shift |
//! | 32 | shift key, Ed25519 |
//! | 64 | certificate: the device key over [`shift_key_message`] |
//! | 64 | signature: the shift key over `hanout-receipt-1\0` and all bytes before it |
//!
//! `n` is an unsigned LEB128 number, `s` one after zigzag; both in their shortest form.
//!
//! # Text
//! Digits only. Each 7 bytes are one big-endian number of 17 digits, the last 1 to 6 bytes one of 3, 5, 8, 10, 13
//! or 15. A QR code packs digits at 3.33 bits each, so this costs 1.2 % over plain bytes (base45 costs 3.1 %), and
//! digits are what every scanner that acts as a keyboard types right on every layout: where a GTIN can be
//! scanned, so can a receipt. Plain bytes are mangled by such scanners.

use chrono::{NaiveDate, TimeDelta};

use crate::event::{SaleBody, shift_key_message};
use crate::ids::{ShiftId, StoreId, StreamId, TenantId, TillId, VariantId};
use crate::money::Currency;
use crate::number::receipt_number;
use crate::quantity::Quantity;
use crate::signature::{PublicKey, SIGNATURE_LEN, sign};
use crate::time::BusinessDate;

/// Most lines that a code carries; a longer receipt says how many there are.
pub const LINES_MAX: usize = 20;

const MAGIC: u8 = 0x48;
const VERSION: u8 = 1;
/// No code is shorter: its fixed parts alone take more bytes.
const BYTES_MIN: usize = 16 + 16 + 32 + 2 * SIGNATURE_LEN;
/// No code is longer.
const BYTES_MAX: usize = 1_024;
/// Bytes of a group and digits that hold them.
const GROUP: (usize, usize) = (7, 17);
/// Digits that hold the last 0 to 6 bytes.
const TAIL_DIGITS: [usize; 7] = [0, 3, 5, 8, 10, 13, 15];

/// Why a text is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// It is something else: a barcode, a word.
    #[error("not a receipt code")]
    NotACode,
    /// It was read in part, or is not as any program writes it.
    #[error("the receipt code is damaged")]
    Damaged,
    /// A later program wrote it.
    #[error("the receipt code has version {found}")]
    TooNew {
        /// Version found.
        found: u8,
    },
}

/// One line as the code carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeLine {
    /// See [`short_variant`].
    pub variant: u32,
    /// Quantity, negative for goods that came back.
    pub quantity: Quantity,
    /// What the line came to.
    pub paid_minor: i64,
}

/// What a code says, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Stream of the receipt's event.
    pub stream: StreamId,
    /// Sequence number of the event.
    pub seq: u64,
    /// It undoes another receipt.
    pub reversal: bool,
    /// Store.
    pub store: StoreId,
    /// Till.
    pub till: TillId,
    /// Sequence of the receipt's number.
    pub number_seq: u64,
    /// Trading day.
    pub business_date: BusinessDate,
    /// Currency of the amounts.
    pub currency: Currency,
    /// What was due.
    pub total_minor: i64,
    /// Lines of the receipt, also those that the code leaves out.
    pub lines_total: u64,
    /// The first [`LINES_MAX`] lines.
    pub lines: Vec<CodeLine>,
    /// Shift.
    pub shift: ShiftId,
    /// Public key of the shift.
    pub shift_key: [u8; 32],
    /// The device's word for it.
    pub certificate: [u8; SIGNATURE_LEN],
}

/// A signed code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptCode {
    /// What it says.
    pub claims: Claims,
    /// The shift key's word for that.
    pub signature: [u8; SIGNATURE_LEN],
}

/// The last four bytes of a variant's id: the random end of a version 7 UUID, enough to find the article again.
pub fn short_variant(variant: VariantId) -> u32 {
    let id = variant.0.as_bytes();
    u32::from_be_bytes([id[12], id[13], id[14], id[15]])
}

/// Whether `text` is meant to be a receipt code, whole or not: far more digits than any barcode has.
pub fn looks_like_code(text: &str) -> bool {
    let text = text.trim();
    text.len() >= 100 && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Claims {
    /// What the code of `sale` says, with the key of its shift.
    pub fn of(
        sale: &SaleBody,
        reversal: bool,
        (store, till): (&StoreId, &TillId),
        (stream, seq): (StreamId, u64),
        (shift_key, certificate): ([u8; 32], [u8; SIGNATURE_LEN]),
    ) -> Claims {
        let lines = sale.lines.iter().take(LINES_MAX).map(|line| CodeLine {
            variant: short_variant(line.variant),
            quantity: line.quantity,
            paid_minor: line.total_minor,
        });
        Claims {
            stream,
            seq,
            reversal,
            store: store.clone(),
            till: till.clone(),
            number_seq: sale.number_seq,
            business_date: sale.business_date,
            currency: sale.currency,
            total_minor: sale.total_minor,
            lines_total: sale.lines.len() as u64,
            lines: lines.collect(),
            shift: sale.shift,
            shift_key,
            certificate,
        }
    }

    /// The receipt's number as printed.
    pub fn number(&self) -> String {
        let year = self.business_date.fiscal_year();
        receipt_number(&self.store, &self.till, self.stream, year, self.number_seq)
    }

    /// Signs with the private half of [`Claims::shift_key`].
    pub fn sign(self, key: &ed25519_dalek::SigningKey) -> ReceiptCode {
        let signature = sign(key, &message(&self.encode()));
        self.with_signature(signature)
    }

    /// The code with a signature that was made earlier.
    pub fn with_signature(self, signature: [u8; SIGNATURE_LEN]) -> ReceiptCode {
        ReceiptCode {
            claims: self,
            signature,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![MAGIC, VERSION];
        bytes.extend_from_slice(&self.stream.0);
        put(&mut bytes, self.seq);
        bytes.push(u8::from(self.reversal));
        for text in [self.store.as_str(), self.till.as_str()] {
            bytes.push(u8::try_from(text.len()).expect("codes of stores and tills are short"));
            bytes.extend_from_slice(text.as_bytes());
        }
        put(&mut bytes, self.number_seq);
        let days = (self.business_date.0 - EPOCH).num_days();
        put_signed(&mut bytes, days);
        bytes.extend_from_slice(self.currency.code().as_bytes());
        put_signed(&mut bytes, self.total_minor);
        put(&mut bytes, self.lines_total);
        let lines = &self.lines[..self.lines.len().min(LINES_MAX)];
        bytes.push(lines.len() as u8);
        for line in lines {
            bytes.extend_from_slice(&line.variant.to_be_bytes());
            put_signed(&mut bytes, line.quantity.thousandths());
            put_signed(&mut bytes, line.paid_minor);
        }
        bytes.extend_from_slice(self.shift.0.as_bytes());
        bytes.extend_from_slice(&self.shift_key);
        bytes.extend_from_slice(&self.certificate);
        bytes
    }
}

impl ReceiptCode {
    /// Whether the shift's key signed exactly this.
    pub fn is_intact(&self) -> bool {
        PublicKey::ed25519(&self.claims.shift_key)
            .and_then(|key| key.verify(&message(&self.claims.encode()), &self.signature))
            .is_ok()
    }

    /// Whether `device` vouched for the shift's key in `tenant`.
    pub fn is_certified_by(&self, tenant: &TenantId, device: &PublicKey) -> bool {
        let Claims {
            stream,
            shift,
            shift_key,
            certificate,
            ..
        } = &self.claims;
        let message = shift_key_message(tenant, *stream, *shift, shift_key);
        device.verify(&message, certificate).is_ok()
    }

    /// The bytes of the layout.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.claims.encode();
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// Reads the bytes of the layout, to the last one.
    ///
    /// # Errors
    /// [`CodeError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<ReceiptCode, CodeError> {
        match bytes {
            [MAGIC, VERSION, ..] => {}
            [MAGIC, 0, ..] => return Err(CodeError::Damaged),
            [MAGIC, found, ..] => return Err(CodeError::TooNew { found: *found }),
            _ => return Err(CodeError::NotACode),
        }
        let code = Reader(&bytes[2..]).code().ok_or(CodeError::Damaged)?;
        // Two spellings of one receipt would be two codes.
        if code.to_bytes() != bytes {
            return Err(CodeError::Damaged);
        }
        Ok(code)
    }

    /// The digits that the QR code holds.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for group in self.to_bytes().chunks(GROUP.0) {
            let number = group
                .iter()
                .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            let digits = if group.len() == GROUP.0 {
                GROUP.1
            } else {
                TAIL_DIGITS[group.len()]
            };
            text.push_str(&format!("{number:0digits$}"));
        }
        text
    }

    /// Reads the digits.
    ///
    /// # Errors
    /// [`CodeError`].
    pub fn from_text(text: &str) -> Result<ReceiptCode, CodeError> {
        let text = text.trim();
        if !looks_like_code(text) {
            return Err(CodeError::NotACode);
        }
        if text.len() > BYTES_MAX / GROUP.0 * GROUP.1 {
            return Err(CodeError::NotACode);
        }
        let mut bytes = Vec::new();
        for group in text.as_bytes().chunks(GROUP.1) {
            let group = std::str::from_utf8(group).expect("digits are ASCII");
            let number: u64 = group.parse().expect("17 digits fit 64 bits");
            let len = if group.len() == GROUP.1 {
                GROUP.0
            } else {
                let tail = TAIL_DIGITS.iter().position(|digits| *digits == group.len());
                tail.ok_or(CodeError::Damaged)?
            };
            if number >> (8 * len) != 0 {
                return Err(CodeError::Damaged);
            }
            bytes.extend_from_slice(&number.to_be_bytes()[8 - len..]);
        }
        match ReceiptCode::from_bytes(&bytes) {
            Ok(_) if bytes.len() < BYTES_MIN => Err(CodeError::Damaged),
            read => read,
        }
    }
}

const EPOCH: NaiveDate = NaiveDate::from_ymd_opt(2000, 1, 1).expect("a date");

fn message(claims: &[u8]) -> Vec<u8> {
    [b"hanout-receipt-1\0", claims].concat()
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put(bytes, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn code(&mut self) -> Option<ReceiptCode> {
        let stream = StreamId(self.array()?);
        let seq = self.number()?;
        let reversal = match self.byte()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let store = StoreId::new(self.text()?).ok()?;
        let till = TillId::new(self.text()?).ok()?;
        let number_seq = self.number()?;
        let days = TimeDelta::try_days(self.signed()?)?;
        let business_date = BusinessDate(EPOCH.checked_add_signed(days)?);
        let currency = Currency::from_code(std::str::from_utf8(self.take(3)?).ok()?)?;
        let total_minor = self.signed()?;
        let lines_total = self.number()?;
        let listed = usize::from(self.byte()?);
        if listed > LINES_MAX || lines_total < listed as u64 {
            return None;
        }
        let mut lines = Vec::with_capacity(listed);
        for _ in 0..listed {
            lines.push(CodeLine {
                variant: u32::from_be_bytes(self.array()?),
                quantity: Quantity(self.signed()?),
                paid_minor: self.signed()?,
            });
        }
        let claims = Claims {
            stream,
            seq,
            reversal,
            store,
            till,
            number_seq,
            business_date,
            currency,
            total_minor,
            lines_total,
            lines,
            shift: ShiftId(uuid::Uuid::from_bytes(self.array()?)),
            shift_key: self.array()?,
            certificate: self.array()?,
        };
        let signature = self.array()?;
        self.0
            .is_empty()
            .then_some(ReceiptCode { claims, signature })
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = self.byte()?;
        std::str::from_utf8(self.take(usize::from(len))?).ok()
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part {
                return None;
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}
