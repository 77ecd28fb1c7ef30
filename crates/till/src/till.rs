//! The till itself: its files, its dispatch, and the rule that one request has one answer.

use std::fs::{self, File, OpenOptions as FileOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use domain::cart::Cart;
use domain::config::StoreConfig;
use domain::entropy::Entropy;
use domain::event::{Event, Fact, StreamHead};
use domain::ids::{Digest, RequestId, SaleId, UserId};
use domain::time::Now;
use ed25519_dalek::SigningKey;
use ledger::{Ledger, LedgerError, OpenError, OpenOptions, WitnessDir};
use receipt::{Profiles, Renderer};
use sha2::{Digest as _, Sha256};

use crate::counting::CountDraft;
use crate::custody::{Custodian, Found, Safeguards};
use crate::door::{
    Answer, Command, KeyStorage, Refusal, RefusalCode, Reply, Request, Settings, SyncState,
};
use crate::drafts::{Change, CountChange, Drafts, DraftsError, Parked};
use crate::enrol::{EnrolState, is_internal};
use crate::storage::{Storage, StorageWork};

/// Name of the ledger in the data folder.
pub(crate) const LEDGER_FILE: &str = "ledger.db";
pub(crate) const DRAFTS_FILE: &str = "drafts.db";
const KEY_FILE: &str = "device.key";
/// Name of the file in the data folder that a running program holds locked.
pub const LOCK_FILE: &str = "till.lock";
/// Drawer of a till that has one.
const DRAWER: u32 = 1;

/// What a command needs from outside: the time and randomness. The same context gives the same answer.
#[derive(Debug, Clone)]
pub struct Context {
    /// Clocks.
    pub now: Now,
    /// Randomness.
    pub entropy: Entropy,
}

/// Why a log was not taken into its file. It stays beside it, whole.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// That of the drafts.
    #[error("the log of the drafts stays")]
    Drafts(#[from] crate::drafts::DraftsError),
    /// That of the ledger.
    #[error("the log of the ledger stays")]
    Ledger(#[from] ledger::LedgerError),
}

/// Why a till could not be opened. Nothing has been changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenTillError {
    /// The data folder cannot be made, read or written.
    #[error("data folder {path} cannot be used")]
    DataDir {
        /// Folder.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// Another process has the data folder open.
    #[error("data folder {path} is in use by another process")]
    InUse {
        /// Folder.
        path: PathBuf,
    },
    /// The device key is damaged.
    #[error("device key {path} is damaged")]
    BadKey {
        /// File.
        path: PathBuf,
    },
    /// The files are encrypted and their key is gone. They are kept: with the key they open again.
    #[error("the till's files are encrypted and their key {path} is gone")]
    KeyMissing {
        /// Where it was.
        path: PathBuf,
    },
    /// The ledger cannot be opened.
    #[error("ledger cannot be opened")]
    Ledger(#[from] ledger::OpenError),
    /// The ledger opens but cannot be read.
    #[error("ledger cannot be read")]
    Unreadable(#[source] LedgerError),
    /// The drafts cannot be opened.
    #[error("drafts cannot be opened")]
    Drafts(#[from] DraftsError),
}

/// The text is not a request.
#[derive(Debug, thiserror::Error)]
#[error("not a request: {0}")]
pub struct Unparsable(pub String);

/// What the sync driver saw last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncReport {
    /// One word.
    pub state: SyncState,
    /// Wall clock of the server's last answer.
    pub last_contact_wall: Option<i64>,
    /// Code of the problem.
    pub problem: Option<String>,
}

/// A till: one ledger, one set of drafts, one key.
#[derive(Debug)]
pub struct Till {
    pub(crate) app: String,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) ledger_options: OpenOptions,
    pub(crate) ledger: Option<Ledger>,
    /// The head of a ledger that was here and is gone.
    pub(crate) missing: Option<StreamHead>,
    pub(crate) witness: Option<WitnessDir>,
    pub(crate) drafts: Drafts,
    pub(crate) key: SigningKey,
    /// Private keys of the open shifts.
    pub(crate) shift_keys: std::collections::BTreeMap<domain::ids::ShiftId, SigningKey>,
    /// The count in progress.
    pub(crate) count: Option<CountDraft>,
    pub(crate) cart: Cart,
    pub(crate) user: Option<UserId>,
    /// Drawer that sales go into.
    pub(crate) drawer: u32,
    pub(crate) settings: Settings,
    pub(crate) enrol: Option<EnrolState>,
    pub(crate) sync: SyncReport,
    pub(crate) sync_requested: bool,
    /// What a shopper was just refused for want of a right.
    pub(crate) missed: Option<crate::checkout::Missed>,
    /// Where the catalogue stood when the stock classes of the cart in hand were looked at.
    pub(crate) classed: Option<ledger::Cursor>,
    pub(crate) printer_problem: Option<String>,
    pub(crate) storage: Storage,
    /// [`Ledger::reopened`] when the drafts were last compared with the ledger.
    caught_up: u64,
    pub(crate) profiles: Profiles,
    pub(crate) renderer: Option<Renderer>,
    // Held for the life of the till: two programs on one folder would fork the stream.
    _lock: Option<FolderLock>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The data folder is this till's until it is dropped. Closing the file would not do: a child process that is just being
/// started has it open too for a moment.
#[derive(Debug)]
struct FolderLock(File);

impl Drop for FolderLock {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(cause = %error, "the data folder stays locked until the program ends");
        }
    }
}

/// What a till is put together from.
struct Files {
    dir: Option<PathBuf>,
    ledger_options: OpenOptions,
    found: Found,
    witness: Option<WitnessDir>,
    drafts: Drafts,
    key_storage: KeyStorage,
    lock: Option<FolderLock>,
}

/// One command under way.
pub(crate) struct Call {
    pub id: RequestId,
    pub digest: Digest,
    pub now: Now,
    pub entropy: Entropy,
    /// The answer is already stored beside the facts it reports.
    pub stored: bool,
    /// Code of the receipt that the command writes, kept in the transaction of its sale.
    pub code: Option<domain::receipt_code::ReceiptCode>,
}

/// What a use case ends with.
pub(crate) type Outcome = Result<Reply, Refusal>;

impl Call {
    pub fn uuid(&mut self) -> uuid::Uuid {
        self.entropy.next_uuid(self.now.wall_ms)
    }

    /// Applies a change of drafts and keeps the answer in the same transaction.
    pub fn draft(&mut self, till: &mut Till, change: Change, reply: Reply) -> Outcome {
        let answer = Answer::Ok(reply);
        let text = encode(&answer);
        let kept = Some((self.id, self.digest, text.as_str()));
        till.drafts
            .commit(&change, kept, self.now.wall_ms)
            .map_err(|error| drafts_refusal(&error))?;
        self.stored = true;
        till.adopt(change);
        match answer {
            Answer::Ok(reply) => Ok(reply),
            Answer::Refused(refusal) => Err(refusal),
        }
    }
}

impl Till {
    /// Opens the till in `data_dir`, making folder, key and drafts where they are missing.
    ///
    /// # Errors
    /// [`OpenTillError`]; nothing is overwritten.
    pub fn open(data_dir: &Path, app: &str, context: Context) -> Result<Till, OpenTillError> {
        Till::open_with(data_dir, app, context, OpenOptions::default())
    }

    /// As [`Till::open`], with other options for the ledger: simulations trade durability for speed, and tests
    /// act out a full disk.
    ///
    /// # Errors
    /// As [`Till::open`].
    pub fn open_with(
        data_dir: &Path,
        app: &str,
        context: Context,
        ledger_options: OpenOptions,
    ) -> Result<Till, OpenTillError> {
        Till::open_guarded(
            data_dir,
            app,
            context,
            ledger_options,
            &Safeguards::default(),
        )
    }

    /// As [`Till::open_with`], with what lies outside of the ledger to judge and to save it.
    ///
    /// # Errors
    /// As [`Till::open`].
    pub fn open_guarded(
        data_dir: &Path,
        app: &str,
        mut context: Context,
        mut ledger_options: OpenOptions,
        safeguards: &Safeguards,
    ) -> Result<Till, OpenTillError> {
        let witness = safeguards.witness_dir.as_ref().and_then(|dir| {
            WitnessDir::open(dir)
                .inspect_err(|error| {
                    tracing::warn!(error = %error, "the ledger will have no witness");
                })
                .ok()
        });
        let failed = |source| OpenTillError::DataDir {
            path: data_dir.to_owned(),
            source,
        };
        make_private_dir(data_dir).map_err(failed)?;
        let lock = File::create(data_dir.join(LOCK_FILE)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(OpenTillError::InUse {
                    path: data_dir.to_owned(),
                });
            }
            Err(fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
        let key = device_key(&data_dir.join(KEY_FILE), &mut context.entropy)?;
        let path = data_dir.join(LEDGER_FILE);
        ledger::finish_succession(&path)?;
        let mut key_storage = KeyStorage::Os;
        if ledger_options.key.is_none() {
            ledger_options.key = crate::storage::file_key(data_dir, &mut context.entropy)?;
            key_storage = match ledger_options.key {
                Some(_) => KeyStorage::Software,
                None => KeyStorage::None,
            };
        }
        // Before the drafts, which a key that does not fit would show as damaged.
        let found = Custodian {
            path,
            options: &ledger_options,
            witness: witness.as_ref(),
            copies: &safeguards.copies,
            key: &key,
            now: &context.now,
        }
        .open(&mut context.entropy)?;
        let drafts = Drafts::open_or_set_aside(
            &data_dir.join(DRAFTS_FILE),
            ledger_options.key.as_ref(),
            context.now.wall_ms,
        )?;
        let files = Files {
            dir: Some(data_dir.to_owned()),
            ledger_options,
            found,
            witness,
            drafts,
            key_storage,
            lock: Some(FolderLock(lock)),
        };
        Till::assemble(app, files, key, context)
    }

    /// A till that lives in memory: for tests, simulations and benchmarks.
    ///
    /// # Errors
    /// Only when SQLite cannot allocate.
    pub fn in_memory(app: &str, mut context: Context) -> Result<Till, OpenTillError> {
        let key = SigningKey::from_bytes(&context.entropy.next_bytes());
        let files = Files {
            dir: None,
            ledger_options: OpenOptions::default(),
            found: Found::default(),
            witness: None,
            drafts: Drafts::in_memory()?,
            key_storage: KeyStorage::None,
            lock: None,
        };
        Till::assemble(app, files, key, context)
    }

    fn assemble(
        app: &str,
        files: Files,
        key: SigningKey,
        mut context: Context,
    ) -> Result<Till, OpenTillError> {
        let Files {
            dir,
            ledger_options,
            found: Found { ledger, missing },
            witness,
            drafts,
            key_storage,
            lock,
        } = files;
        let storage = Storage::new(key_storage);
        let loaded = drafts.load()?;
        drafts.prune(context.now.wall_ms)?;
        let wall = context.now.wall_ms;
        let fresh = Cart::new(SaleId(context.entropy.next_uuid(wall)));
        let mut till = Till {
            app: app.to_owned(),
            dir,
            ledger_options,
            ledger,
            missing,
            witness,
            drafts,
            key,
            cart: loaded.cart.unwrap_or_else(|| fresh.clone()),
            user: loaded.user,
            drawer: loaded.drawer.unwrap_or(DRAWER),
            settings: loaded.settings.unwrap_or_else(default_settings),
            enrol: loaded.enrol,
            sync: SyncReport {
                state: SyncState::Starting,
                last_contact_wall: None,
                problem: None,
            },
            sync_requested: false,
            missed: None,
            classed: None,
            printer_problem: None,
            storage,
            caught_up: 0,
            shift_keys: loaded.shift_keys,
            count: loaded.count,
            profiles: Profiles::built_in(),
            renderer: None,
            _lock: lock,
        };
        till.catch_up_drafts(fresh, wall)?;
        till.renew_drafts(&mut context.entropy, wall)?;
        till.catch_up_signatures();
        Ok(till)
    }

    /// Gives the carts ids of their own, and the count in progress up, when the stream is another than the one they
    /// were begun in.
    pub(crate) fn renew_drafts(
        &mut self,
        entropy: &mut Entropy,
        wall: i64,
    ) -> Result<(), DraftsError> {
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        let stream = ledger.identity().stream;
        self.drafts
            .renew(stream, || SaleId(entropy.next_uuid(wall)))?;
        let loaded = self.drafts.load()?;
        if let Some(cart) = loaded.cart {
            self.cart = cart;
        }
        self.count = loaded.count;
        Ok(())
    }

    /// A fact is written before the drafts follow, so after a crash they may lag: a cart that was sold or given
    /// up is dropped, and a line that was taken off leaves its cart.
    pub(crate) fn catch_up_drafts(&mut self, fresh: Cart, wall: i64) -> Result<(), OpenTillError> {
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        let recent = recent_voids(ledger).map_err(OpenTillError::Unreadable)?;
        let lag = |cart: &Cart| lag_of(ledger, &recent, cart).map_err(OpenTillError::Unreadable);
        let mut changes = Vec::new();
        for Parked { cart, wall } in self.drafts.parked()? {
            let change = match lag(&cart)? {
                Lag::None => continue,
                Lag::Over => Change {
                    drop: Some(cart.sale),
                    ..Change::default()
                },
                Lag::Lines(cart) => Change {
                    park: Some((cart, wall)),
                    ..Change::default()
                },
            };
            changes.push(change);
        }
        match lag(&self.cart)? {
            Lag::None => {}
            Lag::Over => changes.push(Change {
                drop: Some(self.cart.sale),
                cart: Some(fresh),
                ..Change::default()
            }),
            Lag::Lines(cart) => changes.push(Change {
                cart: Some(cart),
                ..Change::default()
            }),
        }
        if let Some(count) = &self.count
            && ledger
                .knows_event(count.head.event)
                .map_err(OpenTillError::Unreadable)?
        {
            changes.push(Change {
                count: Some(CountChange::Over),
                ..Change::default()
            });
        }
        for change in changes {
            self.drafts.commit(&change, None, wall)?;
            self.adopt(change);
        }
        Ok(())
    }

    /// Answers a request. The same id with the same command gets the same answer, whatever happened since.
    pub fn handle(&mut self, request: &Request, context: Context) -> Answer {
        if is_internal(&request.command) {
            return Answer::Refused(RefusalCode::InternalCommand.into());
        }
        self.answer(request.id, &request.command, context)
    }

    /// Answers a command that the program itself sends.
    pub fn handle_internal(&mut self, command: Command, mut context: Context) -> Answer {
        let id = RequestId(context.entropy.next_uuid(context.now.wall_ms));
        self.answer(id, &command, context)
    }

    /// Answers the text of a request with the text of an answer.
    ///
    /// # Errors
    /// [`Unparsable`] when the text is not JSON of `{id, command}`; a command that cannot be read is a refusal.
    pub fn handle_json(&mut self, body: &str, context: Context) -> Result<String, Unparsable> {
        let envelope: Envelope<'_> =
            serde_json::from_str(body).map_err(|error| Unparsable(error.to_string()))?;
        let answer = match read_command(envelope.command.get()) {
            Ok(command) => self.handle(
                &Request {
                    id: envelope.id,
                    command,
                },
                context,
            ),
            Err(refusal) => Answer::Refused(refusal),
        };
        Ok(encode(&answer))
    }

    fn answer(&mut self, id: RequestId, command: &Command, mut context: Context) -> Answer {
        let digest = self.command_digest(command);
        self.reconnect(&mut context);
        // A status is never refused, not even when nothing can be read.
        if !matches!(command, Command::Status {}) {
            match self.stored_answer(id) {
                Ok(Some((stored, answer))) if stored == digest => return answer,
                Ok(Some(_)) => return Answer::Refused(RefusalCode::RequestIdReused.into()),
                Ok(None) => {}
                Err(refusal) => return Answer::Refused(refusal),
            }
        }
        let mut call = Call {
            id,
            digest,
            now: self.localised(context.now),
            entropy: context.entropy,
            stored: false,
            code: None,
        };
        if let Err(refusal) = self.reclassify() {
            // Whatever the command needs of the ledger it will miss itself.
            tracing::warn!(code = ?refusal.code, "the classes of the cart cannot be looked at");
        }
        match self.dispatch(command, &mut call) {
            Ok(reply) => Answer::Ok(reply),
            Err(refusal) => {
                let answer = Answer::Refused(refusal);
                self.keep_refusal(command, &answer, &call);
                answer
            }
        }
    }

    /// After a failed commit the ledger is without a connection. What was answered can only be looked up
    /// through a new one, and the disk may be back.
    ///
    /// A commit that was reported as failed may have landed: its cart is sold then, and no draft any more.
    fn reconnect(&mut self, context: &mut Context) {
        let Some(ledger) = self.ledger.as_mut() else {
            return;
        };
        if let Err(error) = ledger.ensure_open() {
            let error: OpenError = error;
            tracing::error!(error = %error, "the ledger is still out of reach");
            return;
        }
        let reopened = ledger.reopened();
        if reopened == self.caught_up {
            return;
        }
        let wall = context.now.wall_ms;
        let fresh = Cart::new(SaleId(context.entropy.next_uuid(wall)));
        match self.catch_up_drafts(fresh, wall) {
            Ok(()) => self.caught_up = reopened,
            Err(error) => tracing::error!(error = %error, "drafts lag behind the ledger"),
        }
    }

    /// A refusal of a changing command is an answer like any other: a late repetition must not succeed.
    fn keep_refusal(&mut self, command: &Command, answer: &Answer, call: &Call) {
        let Answer::Refused(refusal) = answer else {
            return;
        };
        let passing = matches!(
            refusal.code,
            RefusalCode::StorageFailed | RefusalCode::Internal
        );
        if call.stored || passing || is_read(command) {
            return;
        }
        let text = encode(answer);
        let kept = self.drafts.commit(
            &Change::default(),
            Some((call.id, call.digest, &text)),
            call.now.wall_ms,
        );
        if let Err(error) = kept {
            tracing::error!(error = %error, "a refusal could not be kept");
        }
    }

    fn dispatch(&mut self, command: &Command, call: &mut Call) -> Outcome {
        match command {
            Command::Status {} => Ok(Reply::Status(Box::new(self.status(call)))),
            Command::Enrol { server, code } => self.enrol(server, code, call),
            Command::GetSettings {} => Ok(Reply::Settings(self.settings.clone())),
            Command::SetSettings { settings } => self.set_settings(settings, call),
            Command::TestPrint {} => self.test_print(call),
            Command::ListUsers {} => self.list_users(),
            Command::SignIn { user, pin } => self.sign_in(*user, pin, call),
            Command::SignOut {} => self.sign_out(call),
            Command::AcknowledgeNotice { approval } => {
                self.acknowledge_notice(approval.as_ref(), call)
            }
            Command::Unblock { user, approval } => self.unblock(*user, approval, call),
            Command::ResetPin {
                user,
                new_pin,
                approval,
            } => self.reset_pin(*user, new_pin, approval, call),
            Command::OpenShift {
                count,
                drawer,
                approval,
            } => self.open_shift(count, *drawer, approval.as_ref(), call),
            Command::UseDrawer { drawer } => self.use_drawer(*drawer, call),
            Command::XReport { print, approval } => self.x_report(*print, approval.as_ref(), call),
            Command::MoveCash {
                movement,
                amount_minor,
                reason,
                approval,
            } => self.move_cash(*movement, *amount_minor, reason, approval.as_ref(), call),
            Command::CountDrawer { count } => self.count_drawer(count, call),
            Command::HandOver { to, pin, count } => {
                self.hand_over(*to, pin, count.as_deref(), call)
            }
            Command::CloseShift { count, approval } => {
                self.close_shift(count, approval.as_ref(), call)
            }
            Command::OpenDrawer { reason } => self.open_drawer(reason, call),
            Command::ClosePeriods { approval } => self.close_periods(approval.as_ref(), call),
            Command::ListReports { limit } => self.list_reports(*limit),
            Command::GetReport { number } => self.get_report(number),
            Command::ReprintReport { number } => self.reprint_report(number, call),
            Command::TrialBalance { number } => self.trial_balance(number.as_deref()),
            Command::GetCart {} => self.get_cart(call),
            Command::ScanCode { code } => self.scan_code(code, call),
            Command::Search {
                query,
                offset,
                limit,
            } => self.search(query, *offset, *limit, call),
            Command::AddLine { variant, quantity } => self.add_line(*variant, *quantity, call),
            Command::SellWithoutRight {
                variant,
                quantity,
                approval,
            } => self.sell_without_right(*variant, *quantity, approval.as_ref(), call),
            Command::SetQuantity { line, quantity } => self.set_quantity(*line, *quantity, call),
            Command::SetPrice {
                line,
                unit_minor,
                approval,
            } => self.set_price(*line, *unit_minor, approval.as_ref(), call),
            Command::DiscountLine {
                line,
                discount,
                approval,
            } => self.discount_line(*line, *discount, approval.as_ref(), call),
            Command::DiscountCart { discount, approval } => {
                self.discount_cart(*discount, approval.as_ref(), call)
            }
            Command::RemoveLine { line } => self.remove_line(*line, call),
            Command::RestoreLine { line } => self.restore_line(*line, call),
            Command::ClearCart {} => self.clear_cart(call),
            Command::Park { label } => self.park(label.as_deref(), call),
            Command::ListParked {} => self.list_parked(call),
            Command::Recall { sale } => self.recall(*sale, call),
            Command::AddTender { tender } => self.add_tender(tender, call),
            Command::RemoveTender { index } => self.remove_tender(*index, call),
            Command::Complete {
                sale,
                tenders,
                approval,
            } => self.complete(*sale, tenders, approval.as_ref(), call),
            Command::ReverseSale {
                number,
                reason,
                approval,
            } => self.reverse_sale(number, reason, approval.as_ref(), call),
            Command::ListReceipts { query, limit } => self.list_receipts(query, *limit),
            Command::GetReceipt { number } => self.get_receipt(number),
            Command::CheckCode { text } => self.check_code(text),
            Command::ReprintLast {} => self.reprint_last(call),
            Command::Reprint { number } => self.reprint(number, call),
            Command::ListPrintJobs {} => self.list_print_jobs(),
            Command::ResolvePrintJob { job, came_out } => {
                self.resolve_print_job(*job, *came_out, call)
            }
            Command::StockOf { variant } => self.stock_of(*variant, call),
            Command::FindCode { code } => self.find_code(code, call),
            Command::StockLineage { variant } => self.stock_lineage(*variant, call),
            Command::ReceiveGoods { .. }
            | Command::AdjustStock { .. }
            | Command::SendTransfer { .. }
            | Command::ReceiveTransfer { .. }
            | Command::LoseTransfer { .. }
            | Command::MoveZone { .. } => self.move_goods(command, call),
            Command::ListTransfers {} => self.list_transfers(call),
            Command::StartStockCount { zone, document } => {
                self.start_stock_count(zone.as_deref(), *document, call)
            }
            Command::GetStockCount {} => self.get_stock_count(call),
            Command::ScanCounted { code } => self.scan_counted(code, call),
            Command::AddCounted { variant, quantity } => {
                self.add_counted(*variant, *quantity, call)
            }
            Command::RemoveCounted { variant } => self.remove_counted(*variant, call),
            Command::FinishStockCount { approval } => {
                self.finish_stock_count(approval.as_ref(), call)
            }
            Command::DropStockCount {} => self.drop_stock_count(call),
            Command::SyncNow {} => {
                self.sync_requested = true;
                Ok(Reply::Done {})
            }
            Command::BackupNow {} => self.storage_job(StorageWork::BackUp, call),
            Command::VerifyLedger {} => self.storage_job(StorageWork::Verify, call),
            Command::ExportArchive {
                from,
                until,
                approval,
            } => self.export_archive(*from, *until, approval.as_ref(), call),
            Command::ListIncidents {} => self.list_incidents(call),
            Command::ListStreams {} => self.list_streams(call),
            Command::RecoverStream { file, approval } => {
                self.recover_stream(file, approval.as_ref(), call)
            }
            Command::JobFinished { job, result } => self.job_finished(*job, result, call),
        }
    }

    fn stored_answer(&self, id: RequestId) -> Result<Option<(Digest, Answer)>, Refusal> {
        if let Some(ledger) = &self.ledger
            && let Some(stored) = ledger.answer(id).map_err(|error| storage_refusal(&error))?
        {
            return Ok(Some((stored.digest, decode(&stored.answer)?)));
        }
        match self
            .drafts
            .answer(id)
            .map_err(|error| drafts_refusal(&error))?
        {
            Some((digest, text)) => Ok(Some((digest, decode(&text)?))),
            None => Ok(None),
        }
    }

    /// Tells commands apart without keeping them: they may hold PINs, so the digest is keyed by the device.
    fn command_digest(&self, command: &Command) -> Digest {
        let text = serde_json::to_vec(command).expect("a command is plain data");
        let mut hasher = Sha256::new();
        hasher.update(b"hanout-answer-1\0");
        hasher.update(self.key.to_bytes());
        hasher.update(&text);
        Digest(hasher.finalize().into())
    }

    /// Takes over what a committed change says.
    pub(crate) fn adopt(&mut self, change: Change) {
        if let Some(cart) = change.cart {
            self.cart = cart;
        }
        if let Some(user) = change.user {
            self.user = user;
        }
        if let Some(drawer) = change.drawer {
            self.drawer = drawer;
        }
        if let Some(settings) = change.settings {
            self.settings = settings;
        }
        if let Some(enrol) = change.enrol {
            self.enrol = Some(enrol);
        }
        match change.count {
            None => {}
            Some(CountChange::Begun(head)) => self.count = Some(CountDraft::new(head)),
            Some(CountChange::Item(variant, item)) => {
                if let Some(count) = &mut self.count {
                    match item {
                        Some(item) => drop(count.items.insert(variant, item)),
                        None => drop(count.items.remove(&variant)),
                    }
                }
            }
            Some(CountChange::Over) => self.count = None,
        }
    }

    /// Applies a change of drafts after its facts are in the ledger. A failure costs the draft, never the
    /// fact, and the next start cleans up.
    pub(crate) fn adopt_after_fact(&mut self, change: Change, wall: i64) {
        if let Err(error) = self.drafts.commit(&change, None, wall) {
            tracing::error!(error = %error, "drafts lag behind the ledger");
        }
        self.adopt(change);
    }

    fn localised(&self, now: Now) -> Now {
        match self.store() {
            Ok(store) => Now {
                utc_offset_min: store.utc_offset_min,
                ..now
            },
            Err(_) => now,
        }
    }

    /// The ledger, or the refusal that the device is not a till yet.
    pub(crate) fn book(&self) -> Result<&Ledger, Refusal> {
        self.ledger
            .as_ref()
            .ok_or_else(|| RefusalCode::NotEnrolled.into())
    }

    /// The ledger for writing.
    pub(crate) fn book_mut(&mut self) -> Result<&mut Ledger, Refusal> {
        self.ledger
            .as_mut()
            .ok_or_else(|| RefusalCode::NotEnrolled.into())
    }

    /// Configuration of the store, or the refusal that it has not arrived.
    pub(crate) fn store(&self) -> Result<StoreConfig, Refusal> {
        let config = self
            .book()?
            .store_config()
            .map_err(|error| storage_refusal(&error))?;
        config.ok_or_else(|| RefusalCode::NotReady.into())
    }

    /// The ledger, once enrolled.
    pub const fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// The ledger for the sync driver and the spooler.
    pub const fn ledger_mut(&mut self) -> Option<&mut Ledger> {
        self.ledger.as_mut()
    }

    /// How much was written so far: it grows with every change of a file.
    pub fn written(&self) -> (u64, u64) {
        let head = self.ledger.as_ref().map_or(0, |ledger| ledger.head().seq);
        (head, self.drafts.written())
    }

    /// What no sale and no scan should wait for: old answers are forgotten and both files take in their logs. To be
    /// called when the till is idle; `wall_ms` is the time of day.
    ///
    /// # Errors
    /// [`SettleError`]; nothing is lost, the logs stay.
    pub fn settle(&mut self, wall_ms: i64) -> Result<(), SettleError> {
        let drafts = self
            .drafts
            .prune(wall_ms)
            .and_then(|()| self.drafts.checkpoint());
        // Whatever became of the drafts: on a full disk the ledger's log is what has to shrink.
        if let Some(ledger) = &mut self.ledger {
            ledger.checkpoint()?;
        }
        Ok(drafts?)
    }

    /// Key of this device.
    pub const fn signing_key(&self) -> &SigningKey {
        &self.key
    }

    /// Public half of the device key, hexadecimal.
    pub(crate) fn public_key(&self) -> String {
        Digest(self.key.verifying_key().to_bytes()).to_string()
    }

    /// Settings of the device.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Tells the till what the sync driver saw.
    pub fn report_sync(&mut self, report: SyncReport) {
        self.sync = report;
    }

    /// Tells the till why printing does not go on, or that it does.
    pub fn report_printer(&mut self, problem: Option<String>) {
        self.printer_problem = problem;
    }

    /// Whether somebody asked for a sync since the last call.
    pub fn take_sync_request(&mut self) -> bool {
        std::mem::take(&mut self.sync_requested)
    }
}

/// `{id, command}` with the command left as text: an unreadable command is a refusal, not a parse error.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    id: RequestId,
    #[serde(borrow)]
    command: &'a serde_json::value::RawValue,
}

fn read_command(text: &str) -> Result<Command, Refusal> {
    domain::json::from_strict(text.as_bytes()).map_err(|error| {
        Refusal::new(RefusalCode::InvalidCommand).with("detail", error.to_string())
    })
}

/// Commands that change nothing; their answers are not kept.
const fn is_read(command: &Command) -> bool {
    matches!(
        command,
        Command::Status {}
            | Command::GetSettings {}
            | Command::ListUsers {}
            | Command::GetCart {}
            | Command::Search { .. }
            | Command::ListParked {}
            | Command::ListReceipts { .. }
            | Command::GetReceipt { .. }
            | Command::CheckCode { .. }
            | Command::ListPrintJobs {}
            | Command::StockOf { .. }
            | Command::FindCode { .. }
            | Command::StockLineage { .. }
            | Command::ListTransfers {}
            | Command::GetStockCount {}
            | Command::SyncNow {}
            | Command::XReport { print: false, .. }
            | Command::ListReports { .. }
            | Command::GetReport { .. }
            | Command::TrialBalance { .. }
            | Command::ListIncidents {}
            | Command::ListStreams {}
    )
}

pub(crate) fn encode(answer: &Answer) -> String {
    serde_json::to_string(answer).expect("an answer is plain data with string keys")
}

fn decode(text: &str) -> Result<Answer, Refusal> {
    serde_json::from_str(text).map_err(|error| {
        tracing::error!(error = %error, "a kept answer cannot be read");
        RefusalCode::Internal.into()
    })
}

/// What the cashier is told when the ledger fails.
pub(crate) fn storage_refusal(error: &LedgerError) -> Refusal {
    tracing::error!(error = %error, "the ledger failed");
    match error {
        LedgerError::Overflow => RefusalCode::AmountOverflow.into(),
        _ => RefusalCode::StorageFailed.into(),
    }
}

/// What the cashier is told when the drafts fail.
pub(crate) fn drafts_refusal(error: &DraftsError) -> Refusal {
    tracing::error!(error = %error, "the drafts failed");
    RefusalCode::StorageFailed.into()
}

fn default_settings() -> Settings {
    Settings {
        language: domain::catalog::Language::Fr,
        receipt_language: None,
        printer: crate::door::PrinterTarget::File,
        profile: "generic-58".to_owned(),
    }
}

/// Makes a folder that only its owner can look into: it holds the server's token and PIN verifiers.
fn make_private_dir(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Reads the device key, or makes one that only its owner can read.
fn device_key(path: &Path, entropy: &mut Entropy) -> Result<SigningKey, OpenTillError> {
    let failed = |source| OpenTillError::DataDir {
        path: path.to_owned(),
        source,
    };
    if path.exists() {
        let mut text = String::new();
        File::open(path)
            .and_then(|mut file| file.read_to_string(&mut text))
            .map_err(failed)?;
        let seed: Digest = text.trim().parse().map_err(|_| OpenTillError::BadKey {
            path: path.to_owned(),
        })?;
        return Ok(SigningKey::from_bytes(&seed.0));
    }
    let key = SigningKey::from_bytes(&entropy.next_bytes());
    let mut options = FileOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(Digest(key.to_bytes()).to_string().as_bytes())
        .map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok(key)
}

/// Public half of the device key in `data_dir`, hexadecimal; none where no key was made.
///
/// # Errors
/// [`OpenTillError::BadKey`], [`OpenTillError::DataDir`].
pub fn device_public_key(data_dir: &Path) -> Result<Option<String>, OpenTillError> {
    let path = data_dir.join(KEY_FILE);
    if !path.exists() {
        return Ok(None);
    }
    // With a key in place no randomness is asked for.
    let key = device_key(&path, &mut Entropy::new([0; 32]))?;
    Ok(Some(Digest(key.verifying_key().to_bytes()).to_string()))
}

/// Events looked back on for carts that lag; a cart in hand is younger than that.
const EVENTS_BACK: u64 = 1_000;

/// How far a draft is behind the ledger.
enum Lag {
    None,
    /// Sold or given up.
    Over,
    /// The cart without the lines that were taken off.
    Lines(Cart),
}

/// Voids of the latest events: the sale, and the line or none for the whole cart.
fn recent_voids(ledger: &Ledger) -> Result<Vec<(SaleId, Option<u32>)>, LedgerError> {
    let from = ledger.head().seq.saturating_sub(EVENTS_BACK).max(1);
    let events = ledger.events(from, EVENTS_BACK as usize + 1, usize::MAX)?;
    let mut voids = Vec::new();
    for stored in events {
        let fact = Event::decode(&stored.bytes).and_then(|event| event.fact());
        // What was adopted was voided all the same.
        let fact = match fact {
            Ok(Fact::Adopted(adopted)) => match adopted.original() {
                Some(original) => original.event.fact(),
                None => continue,
            },
            fact => fact,
        };
        match fact {
            Ok(Fact::CartVoided(voided)) => voids.push((voided.sale, None)),
            Ok(Fact::LineVoided(voided)) => voids.push((voided.sale, Some(voided.line))),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(voids)
}

fn lag_of(
    ledger: &Ledger,
    recent: &[(SaleId, Option<u32>)],
    cart: &Cart,
) -> Result<Lag, LedgerError> {
    let voids: Vec<Option<u32>> = recent
        .iter()
        .filter(|(sale, _)| *sale == cart.sale)
        .map(|(_, line)| *line)
        .collect();
    if voids.contains(&None) || ledger.sale(cart.sale)?.is_some() {
        return Ok(Lag::Over);
    }
    let known = usize::try_from(cart.voids).unwrap_or(usize::MAX);
    if voids.len() <= known {
        return Ok(Lag::None);
    }
    let mut cart = cart.clone();
    for line in voids[known..].iter().flatten() {
        if let Err(error) = cart.remove_line(*line) {
            tracing::warn!(error = %error, "a voided line is on no cart");
        }
    }
    cart.voids = u32::try_from(voids.len()).unwrap_or(u32::MAX);
    Ok(Lag::Lines(cart))
}

/// Facts and jobs to write beside something else that is answered.
#[derive(Debug, Default)]
pub(crate) struct Answerless {
    pub fact: Option<(domain::ids::EventId, domain::event::Fact)>,
    pub jobs: Vec<ledger::NewPrintJob>,
}
