//! The till's own thread: it alone owns the till, and everything reaches it through one inbox, in order.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{Duration, Instant};

use domain::event::StreamReason;
use domain::ids::JobId;
use ledger::{
    Ledger, LedgerError, OpenError, PrintFilter, PrintJob, PrintKind, PrintState, PrintUpdate,
    StorageKind,
};
use printer::{Cause, Event, Job, Outcome};
use receipt::{Profile, Profiles};
use sync_client::engine::Problem;
use sync_client::enrol::{self, EnrolOutcome};
use sync_client::{Engine, EngineConfig, EngineEvent, Link, Standing, TransportOutcome, Want};
use till::door::{
    Answer, Command, Enrolment, JobResult, PrinterTarget, RefusalCode, Reply, Request, SyncState,
};
use till::{PendingJob, PendingWork, ServerLink, StorageWork, SyncReport, Till, Unparsable};

use crate::archive::Range;
use crate::clock::Clock;
use crate::handle::{EventKind, RuntimeOptions, TillEvent};
use crate::keep::{Chore, ChoreDone};
use crate::net::{Errand, Heard, Listen, Purpose, Returned};
use crate::paper::{StoreCall, StoreError, Wake};

/// Shortest time between two openings of the ear.
const LISTEN_AFTER: Duration = Duration::from_secs(1);
/// Wait before the ear is opened again that the server shut.
const LISTEN_AFTER_REFUSAL: Duration = Duration::from_secs(60);
/// Pause between two tries to enrol.
const ENROL_RETRY: Duration = Duration::from_secs(2);
/// Tries without any answer before an enrolment is given up.
const ENROL_TRIES: u32 = 3;
/// Quiet time after which the write-ahead log is moved into the file.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(2);
/// Quiet time after which a disk that failed is tried again.
const TRY_WRITING_AFTER: Duration = Duration::from_secs(5);
/// Longest sleep: the wall clock is looked at again then.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Shortest sleep, so that a timer that is always due does not spin.
const SLEEP_MIN: Duration = Duration::from_millis(20);
/// How long a stopping till waits for the job at the printer.
const PAPER_PATIENCE: Duration = Duration::from_secs(10);
/// A drawer that opens later than this after the sale would open unwatched.
const KICK_AGE_MS_MAX: i64 = 10_000;
/// Profile used when the one in the settings is unknown.
const PROFILE_DEFAULT: &str = "generic-58";

/// Everything that can reach the till.
pub(crate) enum Inbox {
    Call {
        body: String,
        reply: SyncSender<Result<String, Unparsable>>,
    },
    Command {
        request: Box<Request>,
        reply: SyncSender<Answer>,
    },
    Subscribe(Sender<TillEvent>),
    Net(Returned),
    Store(StoreCall),
    Kept(ChoreDone),
    PaperDone,
    Heard(Heard),
    Stop,
}

/// The enrolment under way.
#[derive(Debug)]
struct EnrolTry {
    job: JobId,
    asking: bool,
    unanswered: u32,
    not_before: Instant,
}

/// The ways to the other threads.
pub(crate) struct Hands {
    pub errands: Sender<Errand>,
    pub listens: Sender<Listen>,
    pub wakes: Sender<Wake>,
    pub chores: Sender<Chore>,
}

/// Whether the till hears of what is new as it happens.
struct Ear {
    listens: Sender<Listen>,
    open: bool,
    /// When it may be opened.
    not_before: Instant,
}

/// When the ledger was copied and when it is to be.
struct Copies {
    every: Duration,
    /// Not before this.
    next: Instant,
    /// Head at the last copy.
    seq: u64,
    /// Last Z report at the last copy.
    z: u64,
    running: bool,
    /// When something was written last.
    written: Instant,
    /// Whether the space for closing the day was asked to be given up.
    reserve_given_up: bool,
}

/// The till and what it runs with.
pub(crate) struct Core {
    till: Till,
    clock: Clock,
    profiles: Profiles,
    app: String,
    engine: Engine,
    link: Option<ServerLink>,
    errands: Sender<Errand>,
    ear: Ear,
    wakes: Sender<Wake>,
    chores: Sender<Chore>,
    copies: Copies,
    listeners: Vec<Sender<TillEvent>>,
    enrol: Option<EnrolTry>,
    last_contact_wall: Option<i64>,
    printer: (PrinterTarget, String),
    printer_generation: u64,
    offered: Option<JobId>,
    /// Head at which drawers to open were looked for last.
    kick_seq: u64,
    head_seq: u64,
    /// What was written when the till was last settled.
    settled: (u64, u64),
}

impl Core {
    pub fn new(
        till: Till,
        clock: Clock,
        profiles: Profiles,
        options: &RuntimeOptions,
        seed: u64,
        hands: Hands,
    ) -> Core {
        let config = EngineConfig {
            poll_ms: options.poll_ms,
            ..EngineConfig::new(&options.app, seed)
        };
        let printer = (
            till.settings().printer.clone(),
            till.settings().profile.clone(),
        );
        let link = till.link();
        let head_seq = till.ledger().map_or(0, |ledger| ledger.head().seq);
        let last_z = till
            .ledger()
            .map_or(0, |ledger| ledger.last_z().unwrap_or(0));
        Core {
            till,
            clock,
            profiles,
            app: options.app.clone(),
            engine: Engine::new(config),
            link,
            errands: hands.errands,
            ear: Ear {
                listens: hands.listens,
                open: false,
                not_before: Instant::now(),
            },
            wakes: hands.wakes,
            chores: hands.chores,
            copies: Copies {
                every: options.backup_every,
                next: Instant::now(),
                seq: 0,
                z: last_z,
                running: false,
                written: Instant::now(),
                reserve_given_up: false,
            },
            listeners: Vec::new(),
            enrol: None,
            last_contact_wall: None,
            printer,
            printer_generation: 0,
            offered: None,
            kick_seq: 0,
            head_seq,
            settled: (0, 0),
        }
    }

    pub fn printer_target(&self) -> PrinterTarget {
        self.till.settings().printer.clone()
    }

    pub fn printer_profile(&self) -> Profile {
        let wanted = &self.till.settings().profile;
        let found = self
            .profiles
            .get(wanted)
            .or_else(|| self.profiles.get(PROFILE_DEFAULT));
        found
            .expect("the default profile ships with the program")
            .clone()
    }

    pub fn run(mut self, inbox: &Receiver<Inbox>) {
        if let Some(ledger) = self.till.ledger_mut() {
            match recover(ledger) {
                Ok(0) => {}
                Ok(count) => tracing::warn!(
                    printer.jobs = count,
                    "print jobs were interrupted, the paper needs a look"
                ),
                Err(error) => {
                    tracing::error!(cause = %error, "interrupted print jobs cannot be marked")
                }
            }
        }
        loop {
            self.pump();
            match inbox.recv_timeout(self.sleep()) {
                Ok(Inbox::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => self.idle(),
            }
        }
        self.finish(inbox);
    }

    /// Everything that may have become possible by what happened last.
    fn pump(&mut self) {
        if let Some(ledger) = self.till.ledger_mut()
            && let Err(error) = ledger.ensure_open()
        {
            tracing::error!(cause = %error, "the ledger cannot be opened again");
            return;
        }
        self.follow_settings();
        self.offer_paper();
        self.try_enrol();
        self.try_sync();
        self.hand_out_chores();
        self.copy_if_due();
    }

    fn sleep(&self) -> Duration {
        let mut sleep = SLEEP_MAX;
        if self.link.is_some()
            && let Some(ms) = self.engine.next_wake_ms(&self.clock.now())
        {
            sleep = sleep.min(Duration::from_millis(ms));
        }
        if self.may_listen() {
            let wait = self.ear.not_before;
            sleep = sleep.min(wait.saturating_duration_since(Instant::now()));
        }
        if let Some(tried) = self.enrol.as_ref().filter(|tried| !tried.asking) {
            sleep = sleep.min(tried.not_before.saturating_duration_since(Instant::now()));
        }
        if self.settled != self.till.written() {
            sleep = sleep.min(CHECKPOINT_AFTER);
        }
        if self
            .till
            .ledger()
            .is_some_and(|ledger| ledger.trouble().is_some())
        {
            sleep = sleep.min(TRY_WRITING_AFTER);
        }
        if let Some(wait) = self.copy_wait() {
            sleep = sleep.min(wait.max(CHECKPOINT_AFTER));
        }
        sleep.max(SLEEP_MIN)
    }

    /// Nobody asked for anything for a while: the one moment at which a checkpoint delays no sale.
    fn idle(&mut self) {
        self.try_writing();
        if self.settled == self.till.written() {
            return;
        }
        if let Err(error) = self.till.settle(self.clock.now().wall_ms) {
            tracing::warn!(cause = %error, "checkpoint put off");
        }
        self.settled = self.till.written();
    }

    fn take(&mut self, message: Inbox) {
        match message {
            Inbox::Call { body, reply } => {
                let Ok(context) = self.clock.context() else {
                    return;
                };
                let answer = self.till.handle_json(&body, context);
                // The caller may have hung up; the answer is stored and waits for the repetition.
                let _ = reply.send(answer);
                self.after_command();
            }
            Inbox::Command { request, reply } => {
                let Ok(context) = self.clock.context() else {
                    return;
                };
                let answer = self.till.handle(&request, context);
                let _ = reply.send(answer);
                self.after_command();
            }
            Inbox::Subscribe(listener) => self.listeners.push(listener),
            Inbox::Net(returned) => match returned.purpose {
                Purpose::Sync => self.take_sync(returned),
                Purpose::Enrol(job) => self.take_enrol(job, returned),
            },
            Inbox::Store(call) => self.take_store(call),
            Inbox::Kept(done) => self.take_chore(done),
            Inbox::Heard(heard) => self.heard(heard),
            Inbox::PaperDone | Inbox::Stop => {}
        }
    }

    /// Sockets and files are closed in an order that leaves no job in doubt that need not be.
    fn finish(mut self, inbox: &Receiver<Inbox>) {
        let (errands, wakes) = (self.errands.clone(), self.wakes.clone());
        // A copy or check under way is not waited for: it appears whole or not at all.
        self.chores = std::sync::mpsc::channel().0;
        // Hanging up ends the other threads; the fields are replaced by channels nobody reads.
        self.errands = std::sync::mpsc::channel().0;
        self.wakes = std::sync::mpsc::channel().0;
        drop((errands, wakes));
        let deadline = Instant::now() + PAPER_PATIENCE;
        while let Ok(message) =
            inbox.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            match message {
                Inbox::Store(call) => self.take_store(call),
                Inbox::PaperDone => break,
                Inbox::Call { .. }
                | Inbox::Command { .. }
                | Inbox::Subscribe(_)
                | Inbox::Net(_)
                | Inbox::Kept(_)
                | Inbox::Heard(_)
                | Inbox::Stop => {}
            }
        }
        if let Err(error) = self.till.settle(self.clock.now().wall_ms) {
            tracing::warn!(cause = %error, "the last checkpoint was left to the next start");
        }
    }

    fn tell(&mut self, kind: EventKind) {
        self.listeners
            .retain(|listener| listener.send(TillEvent { kind }).is_ok());
    }

    fn after_command(&mut self) {
        if self.till.take_sync_request() {
            self.engine.nudge();
            // Somebody who asks for a sync also wants the printer tried.
            let _ = self.wakes.send(Wake::Look);
        }
        let head = self.till.ledger().map_or(0, |ledger| ledger.head().seq);
        if head != self.head_seq {
            self.copies.written = Instant::now();
            self.head_seq = head;
            self.tell(EventKind::Status);
        }
    }

    fn internal(&mut self, command: Command) -> Option<Answer> {
        match self.clock.context() {
            Ok(context) => Some(self.till.handle_internal(command, context)),
            Err(error) => {
                tracing::error!(cause = %error, "a command of the program itself was left out");
                None
            }
        }
    }
}

/// Disk, copies and checks.
impl Core {
    fn hand_out_chores(&mut self) {
        let wall = self.clock.now().wall_ms;
        for asked in self.till.take_storage_jobs() {
            let job = asked.job;
            let chore = match asked.work {
                StorageWork::BackUp => Chore::BackUp {
                    job: Some(job),
                    wall,
                },
                StorageWork::Verify => Chore::Verify(job),
                StorageWork::Archive { from, until } => Chore::Archive(job, Range { from, until }),
            };
            if self.chores.send(chore).is_err() {
                self.chore_finished(job, failed(RefusalCode::Internal));
            }
        }
        let trouble = self.till.ledger().and_then(Ledger::trouble);
        if trouble == Some(StorageKind::Full) && !self.copies.reserve_given_up {
            self.copies.reserve_given_up = self.chores.send(Chore::GiveUpReserve).is_ok();
        }
    }

    /// Time until a copy is due; none when nothing was written since the last.
    fn copy_wait(&self) -> Option<Duration> {
        let ledger = self.till.ledger()?;
        if self.copies.running || ledger.head().seq == self.copies.seq {
            return None;
        }
        // A closed day is copied at once.
        if ledger.last_z().is_ok_and(|z| z != self.copies.z) {
            return Some(Duration::ZERO);
        }
        Some(self.copies.next.saturating_duration_since(Instant::now()))
    }

    /// Starts a copy, but never while somebody sells. Questions about the status do not count as work.
    fn copy_if_due(&mut self) {
        if self.copies.written.elapsed() < CHECKPOINT_AFTER
            || self.till.is_selling()
            || self.copy_wait() != Some(Duration::ZERO)
        {
            return;
        }
        let wall = self.clock.now().wall_ms;
        self.copies.running = self.chores.send(Chore::BackUp { job: None, wall }).is_ok();
        if let Some(ledger) = self.till.ledger() {
            self.copies.seq = ledger.head().seq;
            self.copies.z = ledger.last_z().unwrap_or(self.copies.z);
        }
        self.copies.next = Instant::now() + self.copies.every;
    }

    fn take_chore(&mut self, done: ChoreDone) {
        match done {
            ChoreDone::Seen(report) => {
                self.till.report_storage(report);
                self.engine.pause_pulls(report.is_low());
                if !report.reserve_used {
                    self.copies.reserve_given_up = false;
                }
                if let Some(made) = report.last_backup_wall
                    && self.copies.seq == 0
                {
                    // A till that is started often is not copied more often, unless its stream is newer: a copy of
                    // another one is of little use to a damaged file.
                    let began = self.till.ledger().and_then(Ledger::began_wall);
                    let made = if began.is_some_and(|began| began > made) {
                        0
                    } else {
                        made
                    };
                    let age = self.clock.now().wall_ms.saturating_sub(made);
                    let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
                    self.copies.next = Instant::now() + self.copies.every.saturating_sub(age);
                }
                self.tell(EventKind::Status);
            }
            ChoreDone::BackedUp { job, outcome } => {
                self.copies.running = false;
                let result = match outcome {
                    Ok(()) => JobResult::BackedUp {},
                    Err(error) => {
                        tracing::error!(cause = %error, "the ledger was not copied");
                        failed(match error {
                            OpenError::Full => RefusalCode::DiskFull,
                            _ => RefusalCode::StorageFailed,
                        })
                    }
                };
                if let Some(job) = job {
                    self.chore_finished(job, result);
                }
            }
            ChoreDone::Archived(job, outcome) => {
                let result = match outcome {
                    Ok(made) => JobResult::Archived {
                        file: made
                            .path
                            .file_name()
                            .map(|name| name.to_string_lossy().into_owned())
                            .unwrap_or_default(),
                    },
                    Err(error) => {
                        tracing::error!(cause = %error, "the archive was not written");
                        failed(if error.is_full() {
                            RefusalCode::DiskFull
                        } else {
                            RefusalCode::StorageFailed
                        })
                    }
                };
                self.chore_finished(job, result);
            }
            ChoreDone::Verified(job, outcome) => {
                let result = match outcome {
                    Ok(what) => JobResult::Verified {
                        ok: what.is_none(),
                        what,
                    },
                    Err(what) => JobResult::Verified {
                        ok: false,
                        what: Some(what),
                    },
                };
                self.chore_finished(job, result);
            }
        }
    }

    fn chore_finished(&mut self, job: JobId, result: JobResult) {
        self.internal(Command::JobFinished { job, result });
        self.tell(EventKind::Status);
    }

    /// After a failed write the till cannot know that the disk is back unless something is written.
    fn try_writing(&mut self) {
        let Some(ledger) = self.till.ledger_mut() else {
            return;
        };
        if ledger.trouble().is_none() {
            return;
        }
        let tried: Result<(), LedgerError> = ledger.write(|tx| tx.set_local("storage.tried", ""));
        match tried {
            Ok(()) => self.tell(EventKind::Status),
            Err(error) => {
                tracing::warn!(cause = %error, "the ledger still cannot be written");
            }
        }
    }
}

/// Enrolment.
impl Core {
    fn try_enrol(&mut self) {
        let Some(PendingJob { job, work }) = self.till.pending() else {
            self.enrol = None;
            return;
        };
        let PendingWork::Enrol {
            server,
            code,
            key_algorithm,
            public_key,
        } = work;
        let now = Instant::now();
        let tried = match self.enrol.take().filter(|tried| tried.job == job) {
            Some(tried) => tried,
            None => EnrolTry {
                job,
                asking: false,
                unanswered: 0,
                not_before: now,
            },
        };
        if tried.asking || now < tried.not_before {
            self.enrol = Some(tried);
            return;
        }
        let outgoing = enrol::request(&code, key_algorithm, &public_key, &self.app);
        let asking = self
            .errands
            .send(Errand {
                server,
                outgoing,
                purpose: Purpose::Enrol(job),
            })
            .is_ok();
        self.enrol = Some(EnrolTry {
            asking,
            not_before: now + ENROL_RETRY,
            ..tried
        });
    }

    fn take_enrol(&mut self, job: JobId, returned: Returned) {
        let Some(tried) = self.enrol.as_mut().filter(|tried| tried.job == job) else {
            return;
        };
        tried.asking = false;
        tried.not_before = Instant::now() + ENROL_RETRY;
        let outcome = match returned.outcome {
            Ok(outcome) => enrol::read(&outcome),
            Err(error) => {
                tracing::warn!(cause = %error, "the server's address cannot be used");
                return self.enrol_result(job, failed(RefusalCode::BadServerAddress));
            }
        };
        match outcome {
            EnrolOutcome::Enrolled(enrolled) => {
                let enrolled = serde_json::to_string(&enrolled).expect("an answer is plain data");
                self.enrol_result(job, JobResult::Enrolled { enrolled });
            }
            EnrolOutcome::Pending { fingerprint } => {
                tried.unanswered = 0;
                self.enrol_result(job, JobResult::EnrolPending { fingerprint });
            }
            EnrolOutcome::CodeInvalid => {
                self.enrol_result(job, failed(RefusalCode::EnrolCodeInvalid))
            }
            EnrolOutcome::Busy { after_ms } => {
                tried.not_before =
                    Instant::now() + Duration::from_millis(after_ms.clamp(1_000, 60_000));
            }
            EnrolOutcome::Unreachable => {
                tried.unanswered += 1;
                let given_up = tried.unanswered >= ENROL_TRIES;
                // An owner who has the fingerprint in hand may take an hour, and the network with them.
                if given_up && !matches!(self.enrolment(), Some(Enrolment::Pending { .. })) {
                    self.enrol_result(job, failed(RefusalCode::ServerUnreachable));
                }
            }
            EnrolOutcome::Nonsense => self.enrol_result(job, failed(RefusalCode::ServerNonsense)),
        }
    }

    fn enrol_result(&mut self, job: JobId, result: JobResult) {
        let before = self.enrolment();
        if let Some(Answer::Refused(refusal)) = self.internal(Command::JobFinished { job, result })
        {
            tracing::error!(refusal.code = ?refusal.code, "the result of the enrolment was not taken");
        }
        self.link = self.till.link();
        self.after_command();
        if self.enrolment() != before {
            self.tell(EventKind::Status);
        }
    }

    fn enrolment(&mut self) -> Option<Enrolment> {
        match self.internal(Command::Status {}) {
            Some(Answer::Ok(Reply::Status(status))) => Some(status.enrolment),
            _ => None,
        }
    }
}

fn failed(code: RefusalCode) -> JobResult {
    let code = serde_json::to_value(code)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned));
    JobResult::Failed {
        code: code.expect("a refusal code is a text"),
    }
}

/// What the till needs to hold of strict variants, as the server is asked for it.
fn needs_of(till: &Till, now: &domain::time::Now) -> Vec<Want> {
    let needed = till.rights_needed(now).into_iter();
    needed
        .map(|(variant, location, quantity)| Want {
            variant,
            location,
            quantity,
        })
        .collect()
}

/// Synchronisation.
impl Core {
    fn try_sync(&mut self) {
        let (Some(link), Some(ledger)) = (&self.link, self.till.ledger()) else {
            return;
        };
        let identity = Link {
            tenant: link.tenant.clone(),
            device: link.device,
            token: link.token.clone(),
            authority: link.authority.clone(),
            epoch: link.epoch,
            server_key: link.server_key.clone(),
        };
        let now = self.clock.now();
        self.engine.set_needs(needs_of(&self.till, &now));
        if let Some(outgoing) = self
            .engine
            .poll(ledger, &identity, self.till.signing_key(), &now)
        {
            let errand = Errand {
                server: link.server.clone(),
                outgoing,
                purpose: Purpose::Sync,
            };
            if self.errands.send(errand).is_err() {
                tracing::error!("the thread that talks to the server has ended");
            }
        }
        if self.may_listen()
            && Instant::now() >= self.ear.not_before
            && let Some(link) = &self.link
        {
            let outgoing = self.engine.listen(&identity, self.till.signing_key());
            let server = link.server.clone();
            self.ear.open = self.ear.listens.send(Listen { server, outgoing }).is_ok();
            self.ear.not_before = Instant::now() + LISTEN_AFTER;
        }
        self.report_sync();
    }

    /// Polls find a server that is away; then the ear is opened too.
    fn may_listen(&self) -> bool {
        self.link.is_some() && !self.ear.open && self.engine.standing() == Standing::Online
    }

    fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Poke(poke) => {
                let now = self.clock.now();
                let Some(ledger) = self.till.ledger() else {
                    return;
                };
                if let Err(error) = self.engine.poked(ledger, &poke, &now) {
                    tracing::error!(cause = %error, "the ledger cannot be read for synchronisation");
                }
            }
            Heard::End { well } => {
                self.ear.open = false;
                if !well {
                    self.ear.not_before = Instant::now() + LISTEN_AFTER_REFUSAL;
                }
            }
        }
    }

    fn take_sync(&mut self, returned: Returned) {
        let outcome = returned.outcome.unwrap_or_else(|error| {
            tracing::warn!(cause = %error, "the server's address cannot be used");
            TransportOutcome::NotOurs
        });
        let now = self.clock.now();
        // What came onto the cart since the request must not be given back.
        self.engine.set_needs(needs_of(&self.till, &now));
        let Some(ledger) = self.till.ledger_mut() else {
            return;
        };
        let events = self.engine.handle(ledger, returned.ticket, outcome, &now);
        let changed = events
            .iter()
            .any(|event| !matches!(event, EngineEvent::Contact { .. }));
        if events
            .iter()
            .any(|event| matches!(event, EngineEvent::Contact { .. }))
        {
            self.last_contact_wall = Some(now.wall_ms);
        }
        for event in &events {
            match event {
                EngineEvent::StreamBroken(problem) => self.renew_stream(*problem),
                EngineEvent::Quarantined(quarantined) => {
                    for bad in quarantined {
                        tracing::warn!(event.seq = bad.seq, code = %bad.code, "the server keeps an event it cannot use");
                    }
                }
                EngineEvent::EpochChanged { epoch, .. } => {
                    tracing::warn!(epoch, "the server was restored or replaced")
                }
                EngineEvent::StandingChanged(standing) => {
                    tracing::info!(?standing, "synchronisation")
                }
                EngineEvent::Contact { .. }
                | EngineEvent::Acked { .. }
                | EngineEvent::Applied { .. }
                | EngineEvent::FeedReset(_) => {}
            }
        }
        self.report_sync();
        if changed {
            self.tell(EventKind::Sync);
        }
    }

    /// The server holds another history of this stream: it ends here, and a new one goes on with what is not
    /// acknowledged. Nobody has to be asked for that; a manager is told.
    fn renew_stream(&mut self, problem: Problem) {
        let reason = match problem {
            Problem::StreamFork => StreamReason::Cloned,
            _ => StreamReason::Restored,
        };
        let renewed = match self.clock.context() {
            Ok(context) => self.till.renew_stream(reason, context),
            Err(error) => {
                tracing::error!(cause = %error, "no new stream without randomness");
                return;
            }
        };
        match renewed {
            Ok(()) => self.engine.new_stream(),
            Err(error) => {
                tracing::error!(cause = %error, "no new stream could be begun, selling goes on")
            }
        }
        self.after_command();
        self.tell(EventKind::Status);
    }

    fn report_sync(&mut self) {
        let (state, problem) = match self.engine.standing() {
            Standing::Starting => (SyncState::Starting, None),
            Standing::Online => (SyncState::Online, None),
            Standing::Offline => (SyncState::Offline, None),
            Standing::Problem(problem) => (SyncState::Problem, Some(problem.code().to_owned())),
        };
        self.till.report_sync(SyncReport {
            state,
            last_contact_wall: self.last_contact_wall,
            problem,
        });
    }
}

/// Printing.
impl Core {
    fn follow_settings(&mut self) {
        let settings = self.till.settings();
        if settings.printer == self.printer.0 && settings.profile == self.printer.1 {
            return;
        }
        self.printer = (settings.printer.clone(), settings.profile.clone());
        self.printer_generation += 1;
        let wake = Wake::Printer(
            self.printer_generation,
            self.printer_target(),
            Box::new(self.printer_profile()),
        );
        // A printer thread that ended has said why.
        let _ = self.wakes.send(wake);
        self.till.report_printer(None);
        self.tell(EventKind::Print);
    }

    /// Wakes the printer's thread for a job it has not been woken for, and opens drawers at once: a drawer does
    /// not wait behind paper.
    fn offer_paper(&mut self) {
        if self.kick_seq != self.head_seq {
            self.kick_seq = self.head_seq;
            self.kick_drawers();
        }
        let Some(ledger) = self.till.ledger() else {
            return;
        };
        match ledger.next_print_job() {
            Ok(next) => {
                let next = next.map(|job| job.job);
                if next.is_some() && next != self.offered {
                    let _ = self.wakes.send(Wake::Look);
                    self.tell(EventKind::Print);
                }
                self.offered = next;
            }
            Err(error) => tracing::error!(cause = %error, "the print queue cannot be read"),
        }
    }

    /// Hands queued openings to the printer's thread, claimed; one that comes too late is given up, because the
    /// drawer would open unwatched.
    fn kick_drawers(&mut self) {
        let now_wall = self.clock.now().wall_ms;
        let has_drawer = matches!(self.printer.0, PrinterTarget::Tcp { .. });
        let Some(ledger) = self.till.ledger_mut() else {
            return;
        };
        let jobs = match ledger.print_jobs(PrintFilter::Pending) {
            Ok(jobs) => jobs,
            Err(error) => {
                tracing::error!(cause = %error, "the print queue cannot be read");
                return;
            }
        };
        for kick in jobs
            .iter()
            .filter(|job| is_kick(job) && job.state == PrintState::Queued)
        {
            let timely = has_drawer && now_wall.saturating_sub(kick.wall) <= KICK_AGE_MS_MAX;
            let update = if timely {
                PrintUpdate::Claimed
            } else {
                PrintUpdate::Cancelled
            };
            match mark(ledger, kick.job, &update) {
                Ok(()) if timely => {
                    let _ = self.wakes.send(Wake::Kick(kick.job, Instant::now()));
                }
                Ok(()) => {}
                Err(error) => {
                    tracing::error!(cause = %error, "the opening of the drawer cannot be marked")
                }
            }
        }
    }

    fn take_store(&mut self, call: StoreCall) {
        let ledger = self.till.ledger_mut();
        match call {
            StoreCall::Next(generation, reply) if generation != self.printer_generation => {
                let _ = reply.send(Ok(None));
            }
            StoreCall::Claim(generation, _, reply) if generation != self.printer_generation => {
                let _ = reply.send(Err(StoreError::PrinterChanged));
            }
            StoreCall::Next(_, reply) => {
                let _ = reply.send(ledger.map_or(Ok(None), |ledger| next_document(ledger)));
            }
            StoreCall::Claim(_, job, reply) => {
                let _ = reply.send(ledger.map_or(Err(StoreError::Stopped), |ledger| {
                    mark(ledger, job, &PrintUpdate::Claimed)
                }));
            }
            StoreCall::Outcome(job, outcome, reply) => {
                let update = update_of(outcome);
                let _ = reply.send(ledger.map_or(Err(StoreError::Stopped), |ledger| {
                    mark(ledger, job, &update)
                }));
            }
            StoreCall::Recover(reply) => {
                // Done before the first message, see `run`.
                let _ = reply.send(Ok(0));
            }
            StoreCall::Kicked(job, outcome) => {
                if let Some(ledger) = ledger {
                    // A drawer is never tried twice: what did not start is given up.
                    let update = match outcome {
                        Outcome::Printed | Outcome::Accepted => PrintUpdate::Accepted,
                        Outcome::NotStarted(_) | Outcome::Uncertain(_) => PrintUpdate::Cancelled,
                    };
                    if let Err(error) = mark(ledger, job, &update) {
                        tracing::error!(cause = %error, "the opening of the drawer cannot be marked");
                    }
                }
                tracing::debug!(printer.outcome = outcome.code(), "drawer");
            }
            StoreCall::Seen(event) => {
                let problem = match event {
                    Event::Blocked { cause, .. }
                    | Event::Finished {
                        outcome: Outcome::NotStarted(cause),
                        ..
                    } => Some(cause.code().to_owned()),
                    Event::Idle | Event::Waiting | Event::Finished { .. } => None,
                };
                self.till.report_printer(problem);
                self.tell(EventKind::Print);
            }
        }
    }
}

/// The oldest job that goes on paper.
fn next_document(ledger: &Ledger) -> Result<Option<Job>, StoreError> {
    let first = match ledger.next_print_job()? {
        Some(job) if is_kick(&job) => {
            let pending = ledger.print_jobs(PrintFilter::Pending)?;
            pending
                .into_iter()
                .find(|job| job.state == PrintState::Queued && !is_kick(job))
        }
        other => other,
    };
    Ok(first.map(|job| Job {
        id: job.job.to_string(),
        label: label(&job),
        document: job.document,
    }))
}

fn label(job: &PrintJob) -> String {
    match job.copy {
        0 => job.number.clone(),
        copy => format!("{}-copy{copy}", job.number),
    }
}

/// Whether a job opens the drawer and has no paper.
fn is_kick(job: &PrintJob) -> bool {
    job.kind == PrintKind::Kick
}

/// After a start: what was claimed may be on paper, a person has to look. Drawers are past.
fn recover(ledger: &mut Ledger) -> Result<u64, StoreError> {
    let mut uncertain = 0;
    for job in ledger.print_jobs(PrintFilter::Pending)? {
        if is_kick(&job) {
            mark(ledger, job.job, &PrintUpdate::Cancelled)?;
        } else if job.state == PrintState::Claimed {
            mark(
                ledger,
                job.job,
                &PrintUpdate::Uncertain {
                    cause: Cause::Interrupted.code().to_owned(),
                },
            )?;
            uncertain += 1;
        }
    }
    Ok(uncertain)
}

fn mark(ledger: &mut Ledger, job: JobId, update: &PrintUpdate) -> Result<(), StoreError> {
    Ok(ledger.write(|tx| -> Result<(), LedgerError> { tx.mark_print(job, update) })?)
}

fn update_of(outcome: Outcome) -> PrintUpdate {
    match outcome {
        Outcome::Printed => PrintUpdate::Printed,
        Outcome::Accepted => PrintUpdate::Accepted,
        Outcome::NotStarted(cause) => PrintUpdate::Queued {
            cause: Some(cause.code().to_owned()),
            not_before_wall: None,
        },
        Outcome::Uncertain(cause) => PrintUpdate::Uncertain {
            cause: cause.code().to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{channel, sync_channel};

    use super::*;

    #[test]
    fn a_job_asked_for_before_a_change_of_printer_does_not_go_to_the_old_one() {
        let clock = Clock::new().expect("clock");
        let till = Till::in_memory("test", clock.context().expect("context")).expect("till");
        let mut settings = till.settings().clone();
        let options = RuntimeOptions::new("unused".into(), "test");
        let (errands, _errands) = channel();
        let (wakes, woken) = channel();
        let mut core = Core::new(
            till,
            clock,
            Profiles::built_in(),
            &options,
            1,
            Hands {
                errands,
                listens: channel().0,
                wakes,
                chores: std::sync::mpsc::channel().0,
            },
        );
        let claim = |core: &mut Core, generation: u64| {
            let (reply, answer) = sync_channel(1);
            let job = JobId(uuid::Uuid::nil());
            core.take_store(StoreCall::Claim(generation, job, reply));
            answer.recv().expect("answer")
        };
        assert!(!matches!(
            claim(&mut core, 0),
            Err(StoreError::PrinterChanged)
        ));
        settings.printer = PrinterTarget::Tcp {
            address: "127.0.0.1:9100".to_owned(),
        };
        core.internal(Command::SetSettings { settings });
        core.pump();
        let Ok(Wake::Printer(generation, PrinterTarget::Tcp { .. }, _)) = woken.try_recv() else {
            panic!("the printer's thread was not told");
        };
        assert!(matches!(
            claim(&mut core, 0),
            Err(StoreError::PrinterChanged)
        ));
        assert!(!matches!(
            claim(&mut core, generation),
            Err(StoreError::PrinterChanged)
        ));
    }
}
