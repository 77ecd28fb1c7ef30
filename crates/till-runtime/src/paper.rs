//! The thread that waits for the printer. Jobs live in the ledger, which the till's thread owns: every step of
//! the spooler asks there, and gets its answer after the commit.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use domain::ids::JobId;
use ledger::LedgerError;
use printer::{
    Cause, Event, FilePort, Job, JobStore, Next, Outcome, PrinterPort, Spooler, TcpOptions, TcpPort,
};
use receipt::Profile;
use till::door::PrinterTarget;

use crate::core::Inbox;

/// A drawer that opens later than this after the sale would open unwatched.
const KICK_AGE_MAX: Duration = Duration::from_secs(10);
/// Wait after the store failed.
const STORE_RETRY: Duration = Duration::from_secs(2);

/// Why a job's state cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the till has stopped")]
    Stopped,
    #[error("the printer was changed meanwhile")]
    PrinterChanged,
    #[error("not the id of a print job")]
    BadId,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

type Reply<T> = SyncSender<Result<T, StoreError>>;

/// What the spooler asks of the till's thread.
pub(crate) enum StoreCall {
    /// For the printer of this generation; another one gets nothing.
    Next(u64, Reply<Option<Job>>),
    Claim(u64, JobId, Reply<()>),
    Outcome(JobId, Outcome, Reply<()>),
    Recover(Reply<u64>),
    /// A drawer was opened, or not.
    Kicked(JobId, Outcome),
    /// What the last step saw, for the status.
    Seen(Event),
}

/// What the till's thread tells the printer's.
pub(crate) enum Wake {
    /// Something may be queued.
    Look,
    /// The printer is another one, of this generation.
    Printer(u64, PrinterTarget, Box<Profile>),
    /// Open the drawer; the job is claimed.
    Kick(JobId, Instant),
}

/// The spooler's jobs, at the other end of the till's inbox.
struct RemoteStore {
    inbox: Sender<Inbox>,
    /// Counts changes of the printer: a job asked for before a change must not go to the printer before it.
    generation: u64,
}

impl RemoteStore {
    fn ask<T>(&self, call: impl FnOnce(Reply<T>) -> StoreCall) -> Result<T, StoreError> {
        let (reply, answer) = sync_channel(1);
        self.inbox
            .send(Inbox::Store(call(reply)))
            .map_err(|_| StoreError::Stopped)?;
        answer.recv().map_err(|_| StoreError::Stopped)?
    }

    fn tell(&self, call: StoreCall) {
        // Nobody is left to tell once the till has stopped.
        let _ = self.inbox.send(Inbox::Store(call));
    }
}

fn job_id(job: &str) -> Result<JobId, StoreError> {
    job.parse().map_err(|_| StoreError::BadId)
}

impl JobStore for RemoteStore {
    type Error = StoreError;

    fn next_queued(&mut self) -> Result<Option<Job>, StoreError> {
        let generation = self.generation;
        self.ask(|reply| StoreCall::Next(generation, reply))
    }

    fn mark_claimed(&mut self, job: &str) -> Result<(), StoreError> {
        let (generation, job) = (self.generation, job_id(job)?);
        self.ask(|reply| StoreCall::Claim(generation, job, reply))
    }

    fn mark_outcome(&mut self, job: &str, outcome: Outcome) -> Result<(), StoreError> {
        let job = job_id(job)?;
        self.ask(|reply| StoreCall::Outcome(job, outcome, reply))
    }

    fn recover_claimed(&mut self) -> Result<u64, StoreError> {
        self.ask(StoreCall::Recover)
    }
}

/// Where pictures of receipts go, and which printer there is at start.
pub(crate) struct PaperOptions {
    pub receipts_dir: PathBuf,
    pub target: PrinterTarget,
    pub profile: Profile,
}

/// Feeds the printer until the till's thread hangs up.
pub(crate) fn run(options: PaperOptions, wakes: &Receiver<Wake>, inbox: Sender<Inbox>) {
    let mut store = RemoteStore {
        inbox,
        generation: 0,
    };
    let (mut spooler, _) = match Spooler::start(options.profile.clone(), &mut store) {
        Ok(started) => started,
        Err(error) => {
            tracing::error!(cause = %error, "the print queue cannot be read, nothing will be printed");
            return;
        }
    };
    let mut port = make_port(&options.target, &options.profile, &options.receipts_dir);
    let started = Instant::now();
    let mut wait = Duration::ZERO;
    loop {
        match wakes.recv_timeout(wait) {
            Ok(Wake::Look) => {}
            Ok(Wake::Printer(generation, target, profile)) => {
                store.generation = generation;
                port = make_port(&target, &profile, &options.receipts_dir);
                spooler.set_profile(*profile);
            }
            Ok(Wake::Kick(job, at)) => {
                store.tell(StoreCall::Kicked(job, kick(port.as_deref_mut(), at)))
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        wait = match port.as_deref_mut() {
            None => Duration::MAX,
            Some(port) => match spooler.step(&mut store, port, now_ms) {
                Ok(step) => {
                    let idle = matches!(step.event, Event::Idle | Event::Waiting);
                    if !idle {
                        store.tell(StoreCall::Seen(step.event));
                    }
                    match step.next {
                        Next::Now => Duration::ZERO,
                        Next::AtMs(at) => Duration::from_millis(at.saturating_sub(now_ms).max(1)),
                        Next::WhenQueued => Duration::MAX,
                    }
                }
                Err(StoreError::Stopped) => return,
                // The message that says so is on its way.
                Err(StoreError::PrinterChanged) => Duration::MAX,
                Err(error) => {
                    tracing::error!(cause = %error, "a print job cannot be read or marked");
                    STORE_RETRY
                }
            },
        };
    }
}

fn make_port(
    target: &PrinterTarget,
    profile: &Profile,
    receipts_dir: &std::path::Path,
) -> Option<Box<dyn PrinterPort>> {
    match target {
        PrinterTarget::None => None,
        PrinterTarget::File => Some(Box::new(FilePort::new(
            receipts_dir.to_owned(),
            profile.clone(),
        ))),
        PrinterTarget::Tcp { address } => {
            match TcpPort::new(address.clone(), profile.clone(), TcpOptions::default()) {
                Ok(port) => Some(Box::new(port)),
                Err(error) => {
                    tracing::error!(cause = %error, "the printer profile does not fit a network printer");
                    None
                }
            }
        }
    }
}

fn kick(port: Option<&mut (dyn PrinterPort + 'static)>, at: Instant) -> Outcome {
    match port {
        None => Outcome::NotStarted(Cause::NoDrawer),
        Some(_) if at.elapsed() > KICK_AGE_MAX => Outcome::NotStarted(Cause::TimedOut),
        Some(port) => port.kick_drawer(),
    }
}
