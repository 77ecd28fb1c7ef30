//! Starting and stopping a till, and the way in for its shells.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use domain::ids::RequestId;
use ledger::{OpenError, OpenOptions};
use printer::load_folder;
use receipt::Profiles;
use serde::Serialize;
use till::door::{Answer, Command, Request};
use till::{OpenTillError, Safeguards, Till, Unparsable};

use crate::clock::{Clock, NoEntropy, random_bytes};
use crate::copies::{self, BACKUP_FOLDER};
use crate::core::{Core, Hands, Inbox};
use crate::disk::{Disk, SystemDisk};
use crate::{keep, net, paper};

/// How a till runs.
#[derive(Debug, Clone)]
pub struct RuntimeOptions {
    /// Folder with ledger, drafts and device key; made when missing.
    pub data_dir: PathBuf,
    /// Folder for pictures of receipts, `receipts` in the data folder unless said otherwise.
    pub receipts_dir: Option<PathBuf>,
    /// Folder for the witness of the ledger, outside of the data folder; none for a till without one, which does not
    /// notice a file that was set back or copied. See [`crate::witness_dir`].
    pub witness_dir: Option<PathBuf>,
    /// Folder with further printer profiles.
    pub profiles_dir: Option<PathBuf>,
    /// Folder for copies of the ledger, `backups` in the data folder unless said otherwise.
    pub backup_dir: Option<PathBuf>,
    /// Longest time between two copies while the till sells.
    pub backup_every: Duration,
    /// Where the room on the disk is asked for.
    pub disk: Arc<dyn Disk>,
    /// Pause between two looks at the disk.
    pub disk_every: Duration,
    /// Version of the program.
    pub app: String,
    /// Milliseconds between polls of the server when nothing waits.
    pub poll_ms: u64,
}

impl RuntimeOptions {
    /// The usual options for a till in `data_dir`.
    pub fn new(data_dir: PathBuf, app: &str) -> RuntimeOptions {
        RuntimeOptions {
            data_dir,
            receipts_dir: None,
            backup_dir: None,
            backup_every: Duration::from_secs(3_600),
            disk: Arc::new(SystemDisk),
            disk_every: Duration::from_secs(10),
            witness_dir: None,
            profiles_dir: None,
            app: app.to_owned(),
            poll_ms: 15_000,
        }
    }
}

/// Why a till cannot start. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Open(#[from] OpenTillError),
    /// The printer profiles cannot be used.
    #[error("printer profiles cannot be used")]
    Profiles(#[from] printer::profiles::FolderError),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// A thread cannot be started.
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
}

/// What a person can do about a till that does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartProblem {
    /// Look for the other window.
    InUse,
    /// Make the data folder usable.
    Folder,
    /// Make room on the disk.
    Full,
    /// Install a newer program.
    NewerData,
    /// Bring the key of the files back.
    Key,
    /// Keep everything and call for help.
    Damaged,
    /// Call for help.
    Other,
}

impl StartError {
    /// What a person can do about it.
    pub fn problem(&self) -> StartProblem {
        match self {
            StartError::Open(OpenTillError::InUse { .. }) => StartProblem::InUse,
            StartError::Open(OpenTillError::DataDir { source, .. }) => match source.kind() {
                std::io::ErrorKind::StorageFull => StartProblem::Full,
                _ => StartProblem::Folder,
            },
            StartError::Open(OpenTillError::Ledger(error)) => match error {
                OpenError::NewerVersion { .. } => StartProblem::NewerData,
                OpenError::ReadOnly => StartProblem::Folder,
                OpenError::Full => StartProblem::Full,
                OpenError::Locked | OpenError::CannotEncrypt => StartProblem::Key,
                OpenError::Corrupt { .. } | OpenError::NotALedger => StartProblem::Damaged,
                _ => StartProblem::Other,
            },
            StartError::Open(OpenTillError::KeyMissing { .. }) => StartProblem::Key,
            StartError::Open(OpenTillError::BadKey { .. } | OpenTillError::Unreadable(_)) => {
                StartProblem::Damaged
            }
            StartError::Open(OpenTillError::Drafts(_))
            | StartError::Profiles(_)
            | StartError::Entropy(_)
            | StartError::Thread(_) => StartProblem::Other,
        }
    }
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The text is not a request.
    #[error(transparent)]
    Unparsable(#[from] Unparsable),
    /// The till has stopped; whether the command was carried out shows when it is asked again after a restart.
    #[error("the till has stopped")]
    Stopped,
}

/// Something changed; listeners ask for what they show. Losing events costs freshness, never data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TillEvent {
    /// What changed.
    pub kind: EventKind,
}

/// What may change behind a listener's back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Enrolment, sales, shift or settings.
    Status,
    /// A print job or the printer.
    Print,
    /// Synchronisation, or what it brought.
    Sync,
}

/// The way in: cheap to clone, usable from any thread.
#[derive(Debug, Clone)]
pub struct Handle {
    inbox: Sender<Inbox>,
}

impl Handle {
    /// Answers the text of a request with the text of an answer; waits for its turn.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call(&self, body: &str) -> Result<String, CallError> {
        let (reply, answer) = sync_channel(1);
        self.inbox
            .send(Inbox::Call {
                body: body.to_owned(),
                reply,
            })
            .map_err(|_| CallError::Stopped)?;
        Ok(answer.recv().map_err(|_| CallError::Stopped)??)
    }

    /// Carries out a command of the shell itself, under a request id of its own.
    ///
    /// # Errors
    /// [`CallError::Stopped`].
    pub fn command(&self, command: Command) -> Result<Answer, CallError> {
        let bytes = random_bytes().map_err(|_| CallError::Stopped)?;
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[..16]);
        let request = Request {
            id: RequestId(uuid::Builder::from_random_bytes(id).into_uuid()),
            command,
        };
        let (reply, answer) = sync_channel(1);
        self.inbox
            .send(Inbox::Command {
                request: Box::new(request),
                reply,
            })
            .map_err(|_| CallError::Stopped)?;
        answer.recv().map_err(|_| CallError::Stopped)
    }

    /// Events from now on. Hang up by dropping the receiver.
    pub fn subscribe(&self) -> Receiver<TillEvent> {
        let (listener, events) = channel();
        // A till that has stopped sends no events: the receiver is then closed from the start.
        let _ = self.inbox.send(Inbox::Subscribe(listener));
        events
    }
}

/// A till that runs until it is shut down or dropped.
#[derive(Debug)]
pub struct Runtime {
    handle: Handle,
    till: Option<JoinHandle<()>>,
}

impl Runtime {
    /// Opens the till and starts its threads.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(options: RuntimeOptions) -> Result<Runtime, StartError> {
        let clock = Clock::new()?;
        let profiles = match &options.profiles_dir {
            Some(folder) => load_folder(folder)?,
            None => Profiles::built_in(),
        };
        let (data_dir, app) = (&options.data_dir, &options.app);
        let backup_dir = options
            .backup_dir
            .clone()
            .unwrap_or_else(|| data_dir.join(BACKUP_FOLDER));
        let safeguards = Safeguards {
            witness_dir: options.witness_dir.clone(),
            copies: copies::newest_first(&backup_dir),
        };
        let till = Till::open_guarded(
            data_dir,
            app,
            clock.context()?,
            OpenOptions::default(),
            &safeguards,
        )?;
        let receipts_dir = options
            .receipts_dir
            .clone()
            .unwrap_or_else(|| options.data_dir.join("receipts"));
        let (inbox, messages) = channel();
        let (errands, errand_queue) = channel();
        let (listens, listen_queue) = channel();
        let (wakes, wake_queue) = channel();
        let (chores, chore_queue) = channel();
        let keep_options = keep::KeepOptions {
            data_dir: options.data_dir.clone(),
            backup_dir,
            key: till.file_key().copied(),
            disk: Arc::clone(&options.disk),
            look_every: options.disk_every,
        };
        let mut seed = [0; 8];
        seed.copy_from_slice(&random_bytes()?[..8]);
        let core = Core::new(
            till,
            clock,
            profiles,
            &options,
            u64::from_be_bytes(seed),
            Hands {
                errands,
                listens,
                wakes,
                chores,
            },
        );
        let paper_options = paper::PaperOptions {
            receipts_dir,
            target: core.printer_target(),
            profile: core.printer_profile(),
        };
        let back = inbox.clone();
        spawn("till-net", move || net::run(&errand_queue, &back))?;
        let back = inbox.clone();
        spawn("till-ear", move || net::listen(&listen_queue, &back))?;
        let back = inbox.clone();
        spawn("till-paper", move || {
            paper::run(paper_options, &wake_queue, back.clone());
            // The till may be gone by now; then nobody waits for this.
            let _ = back.send(Inbox::PaperDone);
        })?;
        let back = inbox.clone();
        spawn("till-keep", move || {
            keep::run(&keep_options, &chore_queue, &back);
        })?;
        let till = spawn("till", move || core.run(&messages))?;
        Ok(Runtime {
            handle: Handle { inbox },
            till: Some(till),
        })
    }

    /// The way in.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Answers what was asked before, finishes the job at the printer and closes the files. A request to the
    /// server that is under way is given up: it is repeated after the next start.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        let _ = self.handle.inbox.send(Inbox::Stop);
        if let Some(thread) = self.till.take()
            && thread.join().is_err()
        {
            tracing::error!("the till's thread had panicked");
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(StartError::Thread)
}
