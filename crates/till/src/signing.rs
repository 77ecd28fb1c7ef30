//! Signatures: the key of a shift, the codes of receipts, the heads after closings, and the check of a code.
//!
//! None of it may hold up a sale or a closing: what cannot be signed goes out unsigned and says so.

use std::collections::BTreeSet;

use domain::config::KeyAlgorithm;
use domain::event::{SaleBody, ShiftKey, head_message, shift_key_message};
use domain::ids::ShiftId;
use domain::receipt_code::{CodeError, ReceiptCode};
use domain::signature::{PublicKey, sign};
use ed25519_dalek::SigningKey;
use ledger::{CertifiedKey, HeadSignature, LedgerError};

use crate::checkout::Terms;
use crate::door::{CodeLineView, CodeVerdict, CodeView, Refusal, RefusalCode, Reply};
use crate::till::{Call, Outcome, Till, storage_refusal};
use crate::views::currency_view;

impl Till {
    /// Makes the key that signs the receipts of a shift, and keeps its private half. Without one the shift opens
    /// all the same.
    pub(crate) fn new_shift_key(&mut self, shift: ShiftId, call: &mut Call) -> Option<ShiftKey> {
        let key = SigningKey::from_bytes(&call.entropy.next_bytes());
        let identity = self.ledger.as_ref()?.identity();
        let public_key = key.verifying_key().to_bytes();
        let message = shift_key_message(&identity.tenant, identity.stream, shift, &public_key);
        let certificate = sign(&self.key, &message);
        // Kept before the opening is written: a key that no shift came of is dropped at the next start.
        if let Err(error) = self.drafts.keep_shift_key(shift, &key.to_bytes()) {
            tracing::error!(error = %error, "a shift opens without a key: its receipts are not signed");
            return None;
        }
        self.shift_keys.insert(shift, key);
        Some(ShiftKey {
            public_key: hex::encode(public_key),
            certificate: Some(hex::encode(certificate)),
        })
    }

    /// Signs what the receipt of `body` will say; none when that cannot be done, or the store wants no codes.
    pub(crate) fn sign_sale(
        &self,
        body: &SaleBody,
        reversal: bool,
        terms: &Terms,
        call: &Call,
    ) -> Option<ReceiptCode> {
        if !terms.store.receipt_code {
            return None;
        }
        let book = self.ledger.as_ref()?;
        let key = self.shift_keys.get(&body.shift)?;
        let certified = book
            .shift_key(body.shift)
            .inspect_err(|error| tracing::error!(error = %error, "a receipt is not signed"))
            .ok()??;
        if certified.public_key != key.verifying_key().to_bytes() {
            return None;
        }
        let identity = book.identity();
        let CertifiedKey {
            public_key,
            certificate,
        } = certified;
        let claims = domain::receipt_code::Claims::of(
            body,
            reversal,
            (&identity.store, &identity.till),
            (identity.stream, book.seq_of_next(&call.now)),
            (public_key, certificate),
        );
        Some(claims.sign(key))
    }

    /// What a receipt's code says: as it was signed when the receipt was written, or nothing.
    pub(crate) fn code_of(
        code: Option<&ReceiptCode>,
        terms: &Terms,
    ) -> receipt::sale_receipt::ReceiptCode {
        use receipt::sale_receipt::ReceiptCode as Printed;
        match code {
            _ if !terms.store.receipt_code => Printed::Number,
            Some(code) => Printed::Signed(code.to_text()),
            None => Printed::Unverified,
        }
    }

    /// Brings signatures up to the journal: signs heads after closings, vouches for the keys of open shifts that
    /// come from an earlier stream, and forgets the keys of shifts that are not open. Whatever fails is tried again
    /// at the next closing or start.
    pub(crate) fn catch_up_signatures(&mut self) {
        if let Err(error) = self.sign_closings() {
            tracing::error!(error = %error, "a closing is not signed yet");
        }
        match self.certify_open_shifts() {
            Ok(open) => {
                let over = |shift: &ShiftId| !open.contains(shift);
                if !self.shift_keys.keys().any(over) {
                    return;
                }
                self.shift_keys.retain(|shift, _| open.contains(shift));
                if let Err(error) = self.drafts.forget_shift_keys(&open) {
                    tracing::error!(error = %error, "the key of a closed shift is not wiped yet");
                }
            }
            Err(error) => tracing::error!(error = %error, "open shifts cannot be read"),
        }
    }

    fn sign_closings(&mut self) -> Result<(), LedgerError> {
        let public_key = self.public_key();
        let Some(book) = &mut self.ledger else {
            return Ok(());
        };
        let heads = book.unsigned_closings()?;
        // Another key's word would be nobody's.
        if heads.is_empty() || book.device_key() != (KeyAlgorithm::Ed25519, public_key.as_str()) {
            return Ok(());
        }
        let tenant = book.identity().tenant.clone();
        let signed = heads.into_iter().map(|head| HeadSignature {
            head,
            algorithm: KeyAlgorithm::Ed25519,
            signature: sign(
                &self.key,
                &head_message(&tenant, head.stream, head.seq, head.hash),
            ),
        });
        let signed: Vec<_> = signed.collect();
        book.write(|tx| {
            for head in &signed {
                tx.keep_head_signature(head)?;
            }
            Ok(())
        })
    }

    fn certify_open_shifts(&mut self) -> Result<BTreeSet<ShiftId>, LedgerError> {
        let Some(book) = &mut self.ledger else {
            return Ok(BTreeSet::new());
        };
        let open: BTreeSet<ShiftId> = book
            .open_shifts()?
            .into_iter()
            .map(|shift| shift.opened.shift)
            .collect();
        for shift in &open {
            let Some(key) = self.shift_keys.get(shift) else {
                continue;
            };
            if book.shift_key(*shift)?.is_some() {
                continue;
            }
            let identity = book.identity();
            let public_key = key.verifying_key().to_bytes();
            let message = shift_key_message(&identity.tenant, identity.stream, *shift, &public_key);
            let certificate = sign(&self.key, &message);
            book.write(|tx| tx.keep_shift_certificate(*shift, &certificate))?;
        }
        Ok(open)
    }

    pub(crate) fn check_code(&self, text: &str) -> Outcome {
        self.signed_in()?;
        let code = ReceiptCode::from_text(text).map_err(|error| match error {
            CodeError::NotACode => {
                let code = crate::checkout::shown(text.trim());
                Refusal::new(RefusalCode::UnknownCode).with("code", code)
            }
            CodeError::Damaged => RefusalCode::CodeDamaged.into(),
            CodeError::TooNew { .. } => RefusalCode::CodeTooNew.into(),
        })?;
        let failed = |error: LedgerError| storage_refusal(&error);
        let verdict = self.judge(&code).map_err(failed)?;
        let book = self.book()?;
        let claims = &code.claims;
        let wanted = claims.lines.iter().map(|line| line.variant).collect();
        let items = book.items_by_short(&wanted).map_err(failed)?;
        let lines = claims.lines.iter().map(|line| {
            let item = items.get(&line.variant);
            CodeLineView {
                sku: item.map(|item| item.variant.sku.clone()),
                names: item.map(|item| item.style.names.clone()),
                quantity: line.quantity,
                paid_minor: line.paid_minor,
            }
        });
        let number = claims.number();
        let own = claims.stream == book.identity().stream;
        // Also one of an earlier stream that goes on here: its number is of that one's series.
        let kept = if verdict == CodeVerdict::Genuine {
            book.receipt(&number).map_err(failed)?
        } else {
            None
        };
        Ok(Reply::CodeChecked(Box::new(CodeView {
            verdict,
            store: claims.store.to_string(),
            till: claims.till.to_string(),
            business_date: claims.business_date.to_string(),
            currency: currency_view(
                claims.currency,
                claims.currency.denominations_minor().to_vec(),
            ),
            total_minor: claims.total_minor,
            reversal: claims.reversal,
            lines: lines.collect(),
            lines_total: u32::try_from(claims.lines_total).unwrap_or(u32::MAX),
            own,
            reversed_by: kept.and_then(|receipt| receipt.reversed_by),
            number,
        })))
    }

    fn judge(&self, code: &ReceiptCode) -> Result<CodeVerdict, LedgerError> {
        let Some(book) = &self.ledger else {
            return Ok(CodeVerdict::UnknownKey);
        };
        if !code.is_intact() {
            return Ok(CodeVerdict::Forged);
        }
        let claims = &code.claims;
        let identity = book.identity();
        let certified = |algorithm, text: &str| {
            PublicKey::parse(algorithm, text)
                .is_ok_and(|key| code.is_certified_by(&identity.tenant, &key))
        };
        // Only the device of that store and till may speak for its numbers.
        for device in book.devices_of(&claims.store, &claims.till)? {
            if certified(device.algorithm, &device.public_key) {
                return Ok(if device.revoked {
                    CodeVerdict::Revoked
                } else {
                    CodeVerdict::Genuine
                });
            }
        }
        // Its own record may not have come back from head office yet.
        let (algorithm, text) = book.device_key();
        let own = (&claims.store, &claims.till) == (&identity.store, &identity.till);
        Ok(if own && certified(algorithm, text) {
            CodeVerdict::Genuine
        } else {
            CodeVerdict::UnknownKey
        })
    }

    /// The code that was printed on a receipt, also on one that lies in the file of an earlier stream only.
    pub(crate) fn stored_code(&self, receipt: &ledger::Receipt) -> Option<ReceiptCode> {
        let book = self.ledger.as_ref()?;
        let here = book.receipt(&receipt.number).and_then(|found| match found {
            Some(found) => book.receipt_code(&found).map(Some),
            None => Ok(None),
        });
        match here {
            Ok(Some(code)) => code,
            Ok(None) => self.earlier_code(&receipt.number),
            Err(error) => {
                tracing::error!(error = %error, "a receipt's code cannot be read");
                None
            }
        }
    }
}
