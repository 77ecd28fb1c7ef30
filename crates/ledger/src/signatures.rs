//! What the device has vouched for, kept beside the journal: heads after closings, keys of shifts, receipts.

use domain::config::KeyAlgorithm;
use domain::event::{Fact, ShiftOpened, StreamHead, StreamOpened, head_message, shift_key_message};
use domain::ids::{Digest, SaleId, ShiftId, StreamId};
use domain::receipt_code::{Claims, ReceiptCode};
use domain::signature::{PublicKey, SIGNATURE_LEN};
use rusqlite::{Connection, OptionalExtension as _};

use crate::error::LedgerError;
use crate::ledger::{Ledger, WriteTx};
use crate::receipts::{Receipt, ReceiptBody};
use crate::sql::{Id, N, corrupt, read_event, read_fact};

/// The device's word for the journal up to a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadSignature {
    /// The place.
    pub head: StreamHead,
    /// Algorithm of the key, as in the stream's first event.
    pub algorithm: KeyAlgorithm,
    /// Signature over `domain::event::head_message`.
    pub signature: [u8; SIGNATURE_LEN],
}

/// The public key of a shift and the device's word for it on this stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertifiedKey {
    /// Ed25519.
    pub public_key: [u8; 32],
    /// Signature over `domain::event::shift_key_message`.
    pub certificate: [u8; SIGNATURE_LEN],
}

/// How much of a file is signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct SignatureReport {
    /// Signed heads.
    pub heads: u64,
    /// Closings of shifts whose head is not signed yet; the next start of the till signs them.
    pub closings_unsigned: u64,
    /// Signed receipts.
    pub receipts: u64,
}

fn kept_code(conn: &Connection, sale: SaleId) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached("SELECT code FROM adopted_code WHERE sale = ?1")?
        .query_row([Id(sale.0)], |row| row.get(0))
        .optional()
}

/// The code that was printed on a receipt of an earlier file, whatever its format; none where it cannot be read or
/// made, or does not hold. `at` is where the receipt stands in that file.
pub(crate) fn code_in_earlier(
    conn: &Connection,
    opened: &StreamOpened,
    at: (StreamId, u64),
    body: &ReceiptBody,
) -> Option<String> {
    let sale = body.sale();
    if let Ok(Some(kept)) = kept_code(conn, sale.sale) {
        return Some(kept);
    }
    let signature: [u8; SIGNATURE_LEN] = conn
        .query_row(
            "SELECT signature FROM receipt WHERE sale = ?1 AND signature IS NOT NULL",
            [Id(sale.sale.0)],
            |row| row.get(0),
        )
        .ok()?;
    let (seq, bytes): (u64, Vec<u8>) = conn
        .query_row(
            "SELECT e.seq, e.bytes FROM shift s JOIN event e ON e.seq = s.opened_seq WHERE s.shift = ?1",
            [Id(sale.shift.0)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .ok()?;
    let (event, Fact::ShiftOpened(opening)) = read_fact(seq, &bytes).ok()? else {
        return None;
    };
    let key = opening.shift_key?;
    let beside: Option<[u8; SIGNATURE_LEN]> = conn
        .query_row(
            "SELECT certificate FROM shift_certificate WHERE shift = ?1",
            [Id(sale.shift.0)],
            |row| row.get(0),
        )
        .ok();
    let inside = key.certificate.filter(|_| event.stream == at.0);
    let certificate = beside.or_else(|| inside.as_deref().and_then(hex_array))?;
    let claims = Claims::of(
        sale,
        matches!(body, ReceiptBody::Reversal(_)),
        (opened.store.as_ref()?, opened.till.as_ref()?),
        at,
        (hex_array(&key.public_key)?, certificate),
    );
    let code = claims.with_signature(signature);
    code.is_intact().then(|| code.to_text())
}

const fn algorithm_text(algorithm: KeyAlgorithm) -> &'static str {
    match algorithm {
        KeyAlgorithm::Ed25519 => "ed25519",
        KeyAlgorithm::P256 => "p256",
    }
}

fn hex_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

impl Ledger {
    /// Algorithm and public key of the device, as the stream's first event has them.
    pub fn device_key(&self) -> (KeyAlgorithm, &str) {
        (self.opened.key_algorithm, &self.opened.public_key)
    }

    /// Signed heads, oldest first.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Corrupt`].
    pub fn head_signatures(&self) -> Result<Vec<HeadSignature>, LedgerError> {
        let mut statement = self
            .prepare("SELECT seq, hash, algorithm, signature FROM head_signature ORDER BY seq")?;
        let mut rows = statement.query([])?;
        let mut heads = Vec::new();
        while let Some(row) = rows.next()? {
            let seq = row.get(0)?;
            let text: String = row.get(2)?;
            let known = [KeyAlgorithm::Ed25519, KeyAlgorithm::P256];
            let algorithm = known
                .into_iter()
                .find(|known| algorithm_text(*known) == text);
            heads.push(HeadSignature {
                head: StreamHead {
                    stream: self.identity().stream,
                    seq,
                    hash: Digest(row.get(1)?),
                },
                algorithm: algorithm
                    .ok_or_else(|| corrupt("head_signature", seq, "its algorithm is unknown"))?,
                signature: row.get(3)?,
            });
        }
        Ok(heads)
    }

    /// Heads after closings of shifts that nobody has signed, oldest first.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn unsigned_closings(&self) -> Result<Vec<StreamHead>, LedgerError> {
        let stream = self.identity().stream;
        let mut statement = self.prepare(
            "SELECT e.seq, e.hash FROM shift s JOIN event e ON e.seq = s.closed_seq \
             WHERE NOT EXISTS (SELECT 1 FROM head_signature h WHERE h.seq = e.seq) ORDER BY e.seq",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(StreamHead {
                stream,
                seq: row.get(0)?,
                hash: Digest(row.get(1)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Sequence number of the next fact, given that a jump of the clock is written down before it.
    pub fn seq_of_next(&self, now: &domain::time::Now) -> u64 {
        let (wall, boot) = self.clocks;
        let jumped = domain::event::ClockJumped::between(wall, boot, now).is_some();
        self.head.seq + 1 + u64::from(jumped)
    }

    /// The key of a shift, if it has one that the device vouched for on this stream.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Corrupt`].
    pub fn shift_key(&self, shift: ShiftId) -> Result<Option<CertifiedKey>, LedgerError> {
        let found: Option<(u64, Vec<u8>)> = self
            .prepare(
                "SELECT e.seq, e.bytes FROM shift s JOIN event e ON e.seq = s.opened_seq WHERE s.shift = ?1",
            )?
            .query_row([Id(shift.0)], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((seq, bytes)) = found else {
            return Ok(None);
        };
        let (event, fact) = read_fact(seq, &bytes)?;
        let Fact::ShiftOpened(opened) = fact else {
            return Err(corrupt("shift", seq, fact.kind()));
        };
        self.key_of_opening(&opened, event.stream == self.identity().stream)
    }

    fn key_of_opening(
        &self,
        opened: &ShiftOpened,
        on_this_stream: bool,
    ) -> Result<Option<CertifiedKey>, LedgerError> {
        let Some(key) = &opened.shift_key else {
            return Ok(None);
        };
        let Some(public_key) = hex_array(&key.public_key) else {
            return Ok(None);
        };
        let beside: Option<[u8; SIGNATURE_LEN]> = self
            .prepare("SELECT certificate FROM shift_certificate WHERE shift = ?1")?
            .query_row([Id(opened.shift.0)], |row| row.get(0))
            .optional()?;
        let inside = key.certificate.as_deref().filter(|_| on_this_stream);
        let certificate = beside.or_else(|| inside.and_then(hex_array));
        Ok(certificate.map(|certificate| CertifiedKey {
            public_key,
            certificate,
        }))
    }

    /// The code that was printed on a receipt; none for one that was not signed.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Corrupt`].
    pub fn receipt_code(&self, receipt: &Receipt) -> Result<Option<ReceiptCode>, LedgerError> {
        if let Some(text) = kept_code(self.conn()?, receipt.body.sale().sale)? {
            let code = ReceiptCode::from_text(&text)
                .map_err(|error| corrupt("adopted_code", &receipt.number, error))?;
            return Ok(Some(code));
        }
        let signature: Option<[u8; SIGNATURE_LEN]> = self
            .prepare("SELECT signature FROM receipt WHERE sale = ?1")?
            .query_row([Id(receipt.body.sale().sale.0)], |row| row.get(0))
            .optional()?
            .flatten();
        let (Some(signature), Some(key)) = (signature, self.shift_key(receipt.shift)?) else {
            return Ok(None);
        };
        let claims = self.claims(&receipt.body, receipt.seq, key);
        Ok(Some(claims.with_signature(signature)))
    }

    /// What the code of a receipt with event `seq` says.
    pub fn claims(&self, body: &ReceiptBody, seq: u64, key: CertifiedKey) -> Claims {
        let identity = self.identity();
        Claims::of(
            body.sale(),
            matches!(body, ReceiptBody::Reversal(_)),
            (&identity.store, &identity.till),
            (identity.stream, seq),
            (key.public_key, key.certificate),
        )
    }

    /// Checks every signature. Only for a journal and projections that were found sound.
    ///
    /// The error of the inner result is a bad row: its table, key, and what is wrong.
    pub(crate) fn check_signatures(
        &self,
    ) -> Result<Result<SignatureReport, (&'static str, String, &'static str)>, LedgerError> {
        let bad = |table, key: &dyn ToString, what| Ok(Err((table, key.to_string(), what)));
        let identity = self.identity();
        let (algorithm, public_key) = self.device_key();
        let device = PublicKey::parse(algorithm, public_key);
        let mut report = SignatureReport {
            closings_unsigned: self.unsigned_closings()?.len() as u64,
            ..SignatureReport::default()
        };
        for signed in self.head_signatures()? {
            let StreamHead { stream, seq, hash } = signed.head;
            if self.hash_at(seq)? != Some(hash) {
                return bad("head_signature", &seq, "it is of another head");
            }
            let message = head_message(&identity.tenant, stream, seq, hash);
            let fits = signed.algorithm == algorithm
                && device
                    .as_ref()
                    .is_ok_and(|device| device.verify(&message, &signed.signature).is_ok());
            if !fits {
                return bad("head_signature", &seq, "it is not the device's");
            }
            report.heads += 1;
        }
        let mut statement = self.prepare(
            "SELECT e.seq, e.bytes FROM shift s JOIN event e ON e.seq = s.opened_seq ORDER BY e.seq",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let seq: u64 = row.get(0)?;
            let (event, fact) = read_fact(seq, &row.get::<_, Vec<u8>>(1)?)?;
            let Fact::ShiftOpened(opened) = fact else {
                return bad("shift", &seq, "it is no opening");
            };
            let inside = opened.shift_key.as_ref().map(|key| &key.certificate);
            if inside.is_some_and(Option::is_some) && algorithm != KeyAlgorithm::Ed25519 {
                return bad(
                    "event",
                    &seq,
                    "a signature of this algorithm is never hashed",
                );
            }
            let own = event.stream == identity.stream;
            let Some(key) = self.key_of_opening(&opened, own)? else {
                if own && inside.is_some_and(Option::is_some) {
                    return bad("event", &seq, "its shift key cannot be read");
                }
                continue;
            };
            let message = shift_key_message(
                &identity.tenant,
                identity.stream,
                opened.shift,
                &key.public_key,
            );
            let fits = device
                .as_ref()
                .is_ok_and(|device| device.verify(&message, &key.certificate).is_ok());
            if !fits {
                return bad(
                    "event",
                    &seq,
                    "its shift key is not certified by the device",
                );
            }
        }
        let mut statement = self.prepare(
            "SELECT e.seq, e.bytes, r.signature, r.number FROM receipt r JOIN event e ON e.seq = r.seq \
             WHERE r.signature IS NOT NULL ORDER BY e.seq",
        )?;
        let mut rows = statement.query([])?;
        let mut last: Option<(ShiftId, Option<CertifiedKey>)> = None;
        while let Some(row) = rows.next()? {
            let seq: u64 = row.get(0)?;
            let number: String = row.get(3)?;
            let body = match read_fact(seq, &row.get::<_, Vec<u8>>(1)?)?.1 {
                Fact::SaleCompleted(sale) => ReceiptBody::Sale(sale),
                Fact::Reversed(reversed) => ReceiptBody::Reversal(reversed),
                other => return bad("receipt", &number, other.kind()),
            };
            let shift = body.sale().shift;
            let key = match last {
                Some((of, key)) if of == shift => key,
                _ => self.shift_key(shift)?,
            };
            last = Some((shift, key));
            let Some(key) = key else {
                return bad("receipt", &number, "it is signed and its shift has no key");
            };
            let code = self.claims(&body, seq, key).with_signature(row.get(2)?);
            if !code.is_intact() {
                return bad("receipt", &number, "its signature does not fit");
            }
            report.receipts += 1;
        }
        drop(rows);
        let mut statement = self.prepare(
            "SELECT a.code, e.seq, e.bytes, r.number FROM adopted_code a LEFT JOIN receipt r ON r.sale = a.sale \
             LEFT JOIN event e ON e.seq = r.seq ORDER BY a.sale",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let found: (Option<u64>, Option<Vec<u8>>, Option<String>) =
                (row.get(1)?, row.get(2)?, row.get(3)?);
            let (Some(seq), Some(bytes), Some(number)) = found else {
                return bad("adopted_code", &"", "it is of no receipt");
            };
            let (event, at) = read_event(seq, &bytes)?;
            let body = event.fact().ok().and_then(ReceiptBody::of);
            let code = ReceiptCode::from_text(&row.get::<_, String>(0)?);
            let (Some(at), Some(body), Ok(code)) = (at, body, code) else {
                return bad("adopted_code", &number, "it cannot be read");
            };
            let said = Claims::of(
                body.sale(),
                matches!(body, ReceiptBody::Reversal(_)),
                (&identity.store, &identity.till),
                (at.stream, at.seq),
                (code.claims.shift_key, code.claims.certificate),
            );
            if !code.is_intact() || code.claims != said {
                return bad("adopted_code", &number, "its code does not fit");
            }
            report.receipts += 1;
        }
        Ok(Ok(report))
    }
}

impl WriteTx<'_> {
    /// Keeps the device's signature over a head.
    ///
    /// # Errors
    /// [`LedgerError::OutOfPlace`] when the head is not in the journal; [`LedgerError::Storage`].
    pub fn keep_head_signature(&mut self, signed: &HeadSignature) -> Result<(), LedgerError> {
        self.step(|ledger| {
            let StreamHead { seq, hash, .. } = signed.head;
            if ledger.hash_at(seq)? != Some(hash) {
                return Err(LedgerError::OutOfPlace {
                    kind: "head signature",
                    what: "the journal has no such head",
                });
            }
            ledger
                .prepare(
                    "INSERT OR REPLACE INTO head_signature (seq, hash, algorithm, signature) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute((N(seq), hash.0, algorithm_text(signed.algorithm), signed.signature))?;
            Ok(())
        })
    }

    /// Keeps the device's word for the key of a shift that does not stand in its opening.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn keep_shift_certificate(
        &mut self,
        shift: ShiftId,
        certificate: &[u8; SIGNATURE_LEN],
    ) -> Result<(), LedgerError> {
        self.step(|ledger| {
            ledger
                .prepare(
                    "INSERT OR REPLACE INTO shift_certificate (shift, certificate) VALUES (?1, ?2)",
                )?
                .execute((Id(shift.0), certificate))?;
            Ok(())
        })
    }

    /// Keeps the code that an adopted receipt was printed with.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub(crate) fn keep_code(&mut self, sale: SaleId, code: &str) -> Result<(), LedgerError> {
        self.step(|ledger| {
            ledger
                .prepare("INSERT OR IGNORE INTO adopted_code (sale, code) VALUES (?1, ?2)")?
                .execute((Id(sale.0), code))?;
            Ok(())
        })
    }

    /// Keeps the signature printed on a receipt of this transaction, in the row of its number.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn sign_receipt(&mut self, code: &ReceiptCode) -> Result<(), LedgerError> {
        self.step(|ledger| {
            let claims = &code.claims;
            ledger
                .prepare(
                    "UPDATE receipt SET signature = ?4 WHERE series = ?1 AND fiscal_year = ?2 AND number_seq = ?3",
                )?
                .execute((
                    claims.stream.series(),
                    claims.business_date.fiscal_year(),
                    N(claims.number_seq),
                    code.signature,
                ))?;
            Ok(())
        })
    }
}
