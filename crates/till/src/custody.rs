//! Whether the ledger is the one this till left behind, and what happens when it is not.
//!
//! At every start the ledger is held against its witness, offline and before the first sale. A file that was set
//! back, put back from a copy, copied or damaged ends its stream there: a new one goes on from what can be proven,
//! under a series of its own, so that no number is printed twice. The server may find the same later; then the till
//! does the same by itself.

use std::path::{Path, PathBuf};

use domain::cart::Cart;
use domain::config::KeyAlgorithm;
use domain::entropy::Entropy;
use domain::event::{Event, StreamHead, StreamReason, chain_hash};
use domain::ids::{Digest, SaleId};
use domain::receipt_code::ReceiptCode;
use domain::time::Now;
use ed25519_dalek::SigningKey;
use ledger::{
    Ledger, LedgerError, NotOurs, OpenError, OpenOptions, PrintFilter, Receipt, RecoverError,
    Recovered, StorageKind, Succession, SuccessionError, Verdict, WitnessDir,
};

use crate::door::{
    Approval, IncidentView, NoticeReason, NoticeView, RecoveredView, Refusal, RefusalCode, Reply,
    StreamView,
};
use crate::enrol;
use crate::till::{Call, Context, LEDGER_FILE, OpenTillError, Outcome, Till, storage_refusal};

/// Stream whose beginning a manager has taken note of.
const NOTICED: &str = "notice.seen";
/// Events that the new stream could not take over, as a number.
const LOST: &str = "notice.lost";
/// What follows the ledger's name, before a number, in the name of a file that a restored copy took the place of.
pub const REPLACED: &str = ".before-restore-";
/// Events at the end of the journal that are proven at start.
const EVENTS_PROVEN: u64 = 1_000;

/// What lies outside of the ledger and helps to judge or to save it. None of it has to be there.
#[derive(Debug, Clone, Default)]
pub struct Safeguards {
    /// Folder of the witness, which must lie outside of the data folder. One that cannot be used costs the witness, not
    /// the till.
    pub witness_dir: Option<PathBuf>,
    /// Copies of the ledger, newest first: what a damaged file has lost is taken from them.
    pub copies: Vec<PathBuf>,
}

/// What a start finds in the data folder.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub ledger: Option<Ledger>,
    /// There is no ledger, but there was one.
    pub missing: Option<StreamHead>,
}

/// Who opens.
pub(crate) struct Custodian<'a> {
    pub path: PathBuf,
    pub options: &'a OpenOptions,
    pub witness: Option<&'a WitnessDir>,
    pub copies: &'a [PathBuf],
    pub key: &'a SigningKey,
    pub now: &'a Now,
}

impl Custodian<'_> {
    /// Opens the ledger, or the one that goes on in its place.
    pub fn open(&self, entropy: &mut Entropy) -> Result<Found, OpenTillError> {
        ledger::finish_succession(&self.path)?;
        if !self.path.exists() {
            let missing = self.testimony();
            if let Some(head) = missing {
                tracing::error!(stream = %head.stream, event.seq = head.seq, "the ledger of this till is gone");
            }
            return Ok(Found {
                ledger: None,
                missing,
            });
        }
        let damage = match Ledger::open(&self.path, self.options) {
            Ok(ledger) => match self.examine(ledger) {
                Ok(found) => return self.hand_over(found, entropy),
                Err(error) if error.storage_kind() == Some(StorageKind::Corrupt) => {
                    OpenTillError::Unreadable(error)
                }
                Err(error) => return Err(OpenTillError::Unreadable(error)),
            },
            // A file whose first page is damaged looks like a stranger's, or like one under another key.
            Err(
                error @ (OpenError::Corrupt { .. } | OpenError::NotALedger | OpenError::Locked),
            ) => OpenTillError::Ledger(error),
            Err(error) => return Err(error.into()),
        };
        tracing::error!(error = %damage, "the ledger is damaged, going on from what can be read");
        match self.succeed(StreamReason::Damaged, self.testimony(), entropy) {
            Ok(ledger) => Ok(Found {
                ledger: Some(ledger),
                missing: None,
            }),
            // Nothing was changed: the damage is what has to be told.
            Err(
                SuccessionError::Unreadable
                | SuccessionError::Open(
                    OpenError::NotALedger | OpenError::Locked | OpenError::Corrupt { .. },
                ),
            ) => Err(damage),
            Err(error) => Err(into_open(error)),
        }
    }

    /// Looks at whatever the till will need, so that damage is found before somebody waits at the counter.
    fn examine(&self, ledger: Ledger) -> Result<Examined, LedgerError> {
        // Enrolment ended between the two: the server is asked again, and answers the same.
        if enrol::is_only_begun(&ledger)? {
            return Ok(Examined::OnlyBegun);
        }
        ledger.open_shifts()?;
        ledger.perpetual_minor()?;
        ledger.last_z()?;
        ledger.last_receipt()?;
        ledger.ready_to_sell()?;
        ledger.unsynced()?;
        ledger.print_jobs(PrintFilter::Pending)?;
        prove_end(&ledger)?;
        let verdict = match self.witness {
            Some(witness) => ledger::judge(&ledger, &self.path, witness)?,
            None => Verdict::Trusted,
        };
        Ok(Examined::Judged(Box::new(ledger), verdict))
    }

    fn hand_over(&self, found: Examined, entropy: &mut Entropy) -> Result<Found, OpenTillError> {
        let mut ledger = match found {
            Examined::OnlyBegun => {
                // Of a ledger that lost its log no more may be left than of one whose enrolment was cut short, and it
                // does not know its server any more: it is as good as gone.
                let missing = self.testimony().filter(|head| head.seq > 1);
                if let Some(head) = missing {
                    tracing::error!(stream = %head.stream, event.seq = head.seq, "nothing is left of the ledger but its first event");
                }
                return Ok(Found {
                    ledger: None,
                    missing,
                });
            }
            Examined::Judged(ledger, Verdict::Trusted | Verdict::FirstTime) => *ledger,
            Examined::Judged(ledger, Verdict::Broken { reason, witness }) => {
                drop(ledger);
                self.succeed(reason, witness, entropy).map_err(into_open)?
            }
        };
        self.keep_witness(&mut ledger);
        Ok(Found {
            ledger: Some(ledger),
            missing: None,
        })
    }

    /// Ends the stream and goes on in a new one; nobody else has the file open.
    pub fn succeed(
        &self,
        reason: StreamReason,
        witness: Option<StreamHead>,
        entropy: &mut Entropy,
    ) -> Result<Ledger, SuccessionError> {
        let succession = Succession {
            reason,
            key_algorithm: KeyAlgorithm::Ed25519,
            public_key: Digest(self.key.verifying_key().to_bytes()).to_string(),
            witness,
            copies: self.copies.to_vec(),
        };
        let succeeded = ledger::succeed(
            &self.path,
            &succession,
            self.now,
            entropy,
            self.options,
            &mut |_| Ok(()),
        )?;
        let mut ledger = succeeded.ledger;
        tracing::warn!(
            stream.reason = ?reason,
            adopted = succeeded.adopted,
            lost = succeeded.lost,
            "a new stream goes on where the old one broke off"
        );
        if succeeded.lost > 0 {
            let lost = succeeded.lost.to_string();
            ledger.write(|tx| tx.set_local(LOST, &lost))?;
        }
        self.keep_witness(&mut ledger);
        Ok(ledger)
    }

    /// A till without a witness goes on; it only notices less.
    pub fn keep_witness(&self, ledger: &mut Ledger) {
        if let Some(witness) = self.witness
            && let Err(error) = ledger.keep_witness(&self.path, witness)
        {
            tracing::warn!(error = %error, "the ledger has no witness");
        }
    }

    fn testimony(&self) -> Option<StreamHead> {
        let found = self.witness?.testimony(&self.path);
        found
            .inspect_err(|error| tracing::warn!(error = %error, "the witness cannot be read"))
            .ok()?
            .map(|testimony| testimony.head())
    }
}

enum Examined {
    OnlyBegun,
    Judged(Box<Ledger>, Verdict),
}

fn into_open(error: SuccessionError) -> OpenTillError {
    match error {
        SuccessionError::Open(error) => OpenTillError::Ledger(error),
        SuccessionError::Ledger(error) => OpenTillError::Unreadable(error),
        SuccessionError::Unreadable => OpenTillError::Ledger(OpenError::Corrupt {
            detail: error.to_string(),
        }),
    }
}

fn prove_end(ledger: &Ledger) -> Result<(), LedgerError> {
    let head = ledger.head();
    let from = head.seq.saturating_sub(EVENTS_PROVEN).max(1);
    let damaged = |seq: u64, what: &str| LedgerError::Corrupt {
        table: "event",
        key: seq.to_string(),
        what: what.to_owned(),
    };
    let mut hash = ledger
        .hash_at(from - 1)?
        .ok_or_else(|| damaged(from - 1, "it is missing"))?;
    for event in ledger.events(from, EVENTS_PROVEN as usize + 1, usize::MAX)? {
        hash = chain_hash(hash, &event.bytes);
        if hash != event.hash || Event::decode(&event.bytes).is_err() {
            return Err(damaged(event.seq, "it does not chain"));
        }
    }
    if hash == head.hash {
        Ok(())
    } else {
        Err(damaged(head.seq, "it is not the end of the chain"))
    }
}

fn recover_refusal(error: &RecoverError, file: &str) -> Refusal {
    tracing::warn!(error = %error, "a file was not taken over");
    let code = match error {
        RecoverError::Ledger(error) => return storage_refusal(error),
        RecoverError::Open(OpenError::NotFound) => {
            return Refusal::new(RefusalCode::UnknownFile).with("file", file);
        }
        RecoverError::Open(error) => match error {
            OpenError::NotALedger | OpenError::NotATill => RefusalCode::FileNotALedger,
            OpenError::Locked | OpenError::CannotEncrypt => RefusalCode::FileLocked,
            OpenError::NewerVersion { .. } => RefusalCode::FileTooNew,
            OpenError::Corrupt { .. } => RefusalCode::FileDamaged,
            _ => RefusalCode::FileUnreadable,
        },
        RecoverError::NotOurs(reason) => match reason {
            NotOurs::Current => RefusalCode::FileCurrent,
            NotOurs::OtherTenant => RefusalCode::FileOfOtherChain,
            NotOurs::OtherTill => RefusalCode::FileOfOtherTill,
            NotOurs::OtherDevice => RefusalCode::FileOfOtherDevice,
            NotOurs::OtherBranch | NotOurs::Unrelated => RefusalCode::FileUnrelated,
            NotOurs::Damaged => RefusalCode::FileDamaged,
        },
    };
    code.into()
}

/// Why no new stream could be begun while the till runs. It goes on with the old one.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// A till in memory has no file to set aside.
    #[error("there is no file to go on from")]
    NoFile,
    /// The new stream cannot be begun.
    #[error(transparent)]
    Succession(#[from] SuccessionError),
}

impl Till {
    /// Ends the stream and goes on in a new one, because the server holds another history of it.
    ///
    /// # Errors
    /// [`RenewError`]; the till goes on with the old stream then.
    pub fn renew_stream(
        &mut self,
        reason: StreamReason,
        mut context: Context,
    ) -> Result<(), RenewError> {
        let (Some(dir), Some(ledger)) = (self.dir.clone(), self.ledger.take()) else {
            return Err(RenewError::NoFile);
        };
        drop(ledger);
        let custodian = Custodian {
            path: dir.join(LEDGER_FILE),
            options: &self.ledger_options,
            witness: self.witness.as_ref(),
            copies: &[],
            key: &self.key,
            now: &context.now,
        };
        match custodian.succeed(reason, None, &mut context.entropy) {
            Ok(ledger) => {
                self.ledger = Some(ledger);
                self.sync_requested = true;
                if let Err(error) = self.renew_drafts(&mut context.entropy, context.now.wall_ms) {
                    // The next start does it.
                    tracing::error!(error = %error, "the drafts are still of the journal that ended");
                }
                Ok(())
            }
            Err(error) => {
                // The old file, or the new one where only the last steps were missing.
                let reopened = ledger::finish_succession(&custodian.path)
                    .and_then(|_| Ledger::open(&custodian.path, custodian.options));
                match reopened {
                    Ok(mut ledger) => {
                        custodian.keep_witness(&mut ledger);
                        self.ledger = Some(ledger);
                    }
                    Err(error) => {
                        tracing::error!(error = %error, "the ledger cannot be opened again");
                    }
                }
                Err(error.into())
            }
        }
    }

    /// What a manager has to know of the ledger's fate; none when all is as it should be, or was taken note of.
    pub(crate) fn notice_view(&self, now: &Now) -> Option<NoticeView> {
        let Some(ledger) = &self.ledger else {
            return self.missing.map(|head| NoticeView {
                reason: NoticeReason::LedgerMissing,
                at: domain::time::local_minute(now.wall_ms, now.utc_offset_min),
                ended: Some(head.stream.series()),
                series: None,
                streams: self.earlier_files().len() as u32,
                lost: 0,
            });
        };
        let opening = ledger.opening();
        let reason = match opening.reason {
            StreamReason::Enrolled | StreamReason::TenantCreated => return None,
            StreamReason::Restored => NoticeReason::Restored,
            StreamReason::Cloned => NoticeReason::Cloned,
            StreamReason::RolledBack => NoticeReason::RolledBack,
            StreamReason::Damaged => NoticeReason::Damaged,
            StreamReason::WitnessMissing => NoticeReason::WitnessMissing,
        };
        let stream = ledger.identity().stream;
        if ledger.local(NOTICED).ok()? == Some(stream.to_string()) {
            return None;
        }
        let wall = ledger.began_wall()?;
        let lost = ledger.local(LOST).ok().flatten();
        Some(NoticeView {
            reason,
            at: domain::time::local_minute(wall, now.utc_offset_min),
            ended: opening.previous.map(|head| head.stream.series()),
            series: Some(stream.series()),
            streams: self.earlier_files().len() as u32,
            lost: lost.and_then(|lost| lost.parse().ok()).unwrap_or(0),
        })
    }

    /// A manager has read the notice.
    pub(crate) fn acknowledge_notice(
        &mut self,
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Outcome {
        self.approved_by(approval, RefusalCode::ManagerRequired, call)?;
        let stream = self.book()?.identity().stream.to_string();
        let noted = self.book_mut()?.write(|tx| tx.set_local(NOTICED, &stream));
        noted.map_err(|error: LedgerError| storage_refusal(&error))?;
        self.keep_jobs(Vec::new(), Reply::Done {}, call)
    }

    /// Ledger files of before: those of ended streams, and those that a restored copy took the place of.
    fn kept_files(&self) -> Vec<PathBuf> {
        let mut files = self.earlier_files();
        if let Some(dir) = &self.dir
            && let Ok(entries) = std::fs::read_dir(dir)
        {
            let mut replaced: Vec<PathBuf> = entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| {
                    let name = path.file_name().and_then(|name| name.to_str());
                    name.is_some_and(|name| {
                        name.strip_prefix(LEDGER_FILE)
                            .and_then(|rest| rest.strip_prefix(REPLACED))
                            .is_some_and(|wall| wall.bytes().all(|byte| byte.is_ascii_digit()))
                    })
                })
                .collect();
            replaced.sort();
            files.extend(replaced.into_iter().rev());
        }
        files
    }

    pub(crate) fn list_incidents(&self, call: &Call) -> Outcome {
        self.signed_in()?;
        let notices = self
            .book()?
            .incidents()
            .map_err(|error| storage_refusal(&error))?;
        let incidents = notices.into_iter().map(|notice| IncidentView {
            kind: notice.kind,
            sku: notice.sku,
            quantity: notice.quantity,
            till: notice.till.map(|till| till.to_string()),
            number: notice.number,
            at: domain::time::local_minute(notice.raised, call.now.utc_offset_min),
        });
        let incidents = incidents.collect();
        Ok(Reply::Incidents { incidents })
    }

    pub(crate) fn list_streams(&self, call: &Call) -> Outcome {
        self.signed_in()?;
        let view = |path: &PathBuf| {
            let read = self.read_earlier(path).and_then(|ledger| {
                let head = ledger.head();
                let last = ledger.events(head.seq, 1, 0).ok()?;
                Some((head, last.first()?.wall))
            });
            let file = path.file_name().unwrap_or_default();
            StreamView {
                file: file.to_string_lossy().into_owned(),
                series: read.map(|(head, _)| head.stream.series()),
                until: read
                    .map(|(_, wall)| domain::time::local_minute(wall, call.now.utc_offset_min)),
                events: read.map_or(0, |(head, _)| head.seq),
            }
        };
        let streams = self.kept_files().iter().map(view).collect();
        Ok(Reply::Streams { streams })
    }

    /// Takes over what a file of an earlier stream holds: the receipts of a device that broke, or of a time that a
    /// restored copy does not know.
    pub(crate) fn recover_stream(
        &mut self,
        file: &str,
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Outcome {
        self.signed_in()?;
        self.approved_by(approval, RefusalCode::ManagerRequired, call)?;
        let kept = self.kept_files();
        let named = kept
            .into_iter()
            .find(|path| path.file_name().is_some_and(|name| name == file));
        let path = named.unwrap_or_else(|| PathBuf::from(file));
        let told = self
            .take_over(&path, &call.now, &mut call.entropy)
            .map_err(|error| recover_refusal(&error, file))?;
        let fresh = Cart::new(SaleId(call.uuid()));
        if let Err(error) = self.catch_up_drafts(fresh, call.now.wall_ms) {
            tracing::error!(error = %error, "drafts lag behind the ledger");
        }
        let view = RecoveredView {
            series: told.stream.series(),
            events: told.adopted,
            receipts: told.receipts,
            known: told.known,
            refused: told.refused,
            supplements: told.supplements,
        };
        self.keep_jobs(Vec::new(), Reply::Recovered(view), call)
    }

    fn take_over(
        &mut self,
        file: &Path,
        now: &Now,
        entropy: &mut Entropy,
    ) -> Result<Recovered, RecoverError> {
        let ledger = self.ledger.as_mut().ok_or(OpenError::NotFound)?;
        let told = ledger.recover(file, now, entropy)?;
        tracing::warn!(
            adopted = told.adopted,
            known = told.known,
            refused = told.refused,
            "events of an earlier file were taken over"
        );
        Ok(told)
    }

    /// As [`crate::door::Command::RecoverStream`], for whoever holds the data folder.
    ///
    /// # Errors
    /// [`RecoverError`]; nothing was taken over.
    pub fn recover_file(
        &mut self,
        file: &Path,
        mut context: Context,
    ) -> Result<Recovered, RecoverError> {
        self.take_over(file, &context.now, &mut context.entropy)
    }

    fn earlier_files(&self) -> Vec<PathBuf> {
        let Some(dir) = &self.dir else {
            return Vec::new();
        };
        ledger::earlier_files(&dir.join(LEDGER_FILE))
            .inspect_err(|error| tracing::warn!(error = %error, "earlier streams cannot be listed"))
            .unwrap_or_default()
    }

    /// Looks into the files of earlier streams, newest first. One that cannot be read is passed over: it was set
    /// aside for a reason.
    pub(crate) fn in_earlier<T>(
        &self,
        mut look: impl FnMut(&Ledger) -> Result<Option<T>, LedgerError>,
    ) -> Option<T> {
        for path in self.earlier_files() {
            match self.read_earlier(&path).map(|ledger| look(&ledger)) {
                Some(Ok(Some(found))) => return Some(found),
                Some(Err(error)) => {
                    tracing::warn!(error = %error, "the file of an earlier stream cannot be read");
                }
                Some(Ok(None)) | None => {}
            }
        }
        None
    }

    fn read_earlier(&self, path: &Path) -> Option<Ledger> {
        Ledger::open_read_only_with(path, self.ledger_options.key.as_ref())
            .inspect_err(|error| {
                tracing::warn!(error = %error, "the file of an earlier stream cannot be opened");
            })
            .ok()
    }

    /// The receipt with `number` from the file of an earlier stream, with the copies printed since.
    pub(crate) fn earlier_receipt(&self, number: &str) -> Result<Option<Receipt>, LedgerError> {
        let Some(found) = self.in_earlier(|ledger| ledger.receipt(number)) else {
            return Ok(None);
        };
        let copies = match &self.ledger {
            Some(ledger) => ledger.copies(&found.number)?,
            None => 0,
        };
        Ok(Some(Receipt {
            copies: found.copies.max(copies),
            ..found
        }))
    }

    /// The code of a receipt in the file of an earlier stream.
    pub(crate) fn earlier_code(&self, number: &str) -> Option<ReceiptCode> {
        self.in_earlier(|ledger| match ledger.receipt(number)? {
            Some(receipt) => ledger.receipt_code(&receipt),
            None => Ok(None),
        })
    }

    /// Up to `limit` receipts of this ledger and of earlier streams whose number contains `query`, newest first.
    pub(crate) fn receipts_everywhere(
        &self,
        query: &str,
        limit: u32,
    ) -> Result<Vec<Receipt>, LedgerError> {
        let mut found = match &self.ledger {
            Some(ledger) => ledger.receipts(query, limit)?,
            None => Vec::new(),
        };
        let enough = limit as usize;
        self.in_earlier(|ledger| {
            // Each file is older than the ones before it, but what was adopted late may be older than all.
            let oldest = found
                .get(enough.wrapping_sub(1))
                .map(|receipt| receipt.wall);
            let last = ledger.last_receipt()?.map(|receipt| receipt.wall);
            if oldest.is_some_and(|oldest| last.is_none_or(|last| last <= oldest)) {
                return Ok(None);
            }
            for receipt in ledger.receipts(query, limit)? {
                if !found.iter().any(|known| known.number == receipt.number) {
                    found.push(receipt);
                }
            }
            found.sort_by_key(|receipt| std::cmp::Reverse(receipt.wall));
            found.truncate(enough);
            Ok(None::<()>)
        });
        Ok(found)
    }
}
