//! Takes queued jobs to a printer, one at a time, so that each comes out once.
//!
//! Exactly once on paper cannot be had; what can be had is that nothing is sent twice without a person asking.
//! A job is claimed durably before its first byte. After a crash, claimed means uncertain. Only an outcome that
//! proves that nothing left is tried again by itself.

use receipt::encode::encode;
use receipt::{Document, Profile, Renderer};

use crate::port::{Cause, Outcome, Payload, PrinterPort, Readiness};

/// A queued job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Unique id.
    pub id: String,
    /// Receipt number, or another name a person knows it by.
    pub label: String,
    /// The frozen [`Document`] as JSON, its copy mark included.
    pub document: String,
}

/// Where the jobs of one printer are kept. Each method is one transaction, durable when it returns.
pub trait JobStore {
    /// What may go wrong in storage.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The oldest queued job of this printer. It stays queued.
    ///
    /// # Errors
    /// Storage.
    fn next_queued(&mut self) -> Result<Option<Job>, Self::Error>;

    /// Queued becomes claimed, counted as one attempt. Committed with a full sync before it returns, because
    /// the first byte follows. An error means the job was not claimed, and nothing is sent.
    ///
    /// # Errors
    /// Storage, or the job is no longer queued (cancelled meanwhile).
    fn mark_claimed(&mut self, job: &str) -> Result<(), Self::Error>;

    /// Claimed becomes printed, accepted or uncertain as `outcome` says; after [`Outcome::NotStarted`] the job
    /// is queued again at its old place, with the cause for the screen.
    ///
    /// # Errors
    /// Storage; the spooler keeps the outcome and asks again.
    fn mark_outcome(&mut self, job: &str, outcome: Outcome) -> Result<(), Self::Error>;

    /// Every claimed job becomes uncertain with [`Cause::Interrupted`]; how many there were. Called once,
    /// before the first job of a program run.
    ///
    /// # Errors
    /// Storage.
    fn recover_claimed(&mut self) -> Result<u64, Self::Error>;
}

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing was queued.
    Idle,
    /// The last failure is too recent.
    Waiting,
    /// The printer refuses jobs; the job stays queued and nothing was sent.
    Blocked {
        /// Job at the head of the queue.
        job: String,
        /// Why.
        cause: Cause,
    },
    /// A job was tried.
    Finished {
        /// Job.
        job: String,
        /// What became of it.
        outcome: Outcome,
    },
}

/// When to call [`Spooler::step`] again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// At once: there may be another job.
    Now,
    /// At this time, or when something was queued.
    AtMs(u64),
    /// When something was queued.
    WhenQueued,
}

/// The result of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was done.
    pub event: Event,
    /// When to come back.
    pub next: Next,
}

/// Waits after jobs that did not start: doubling from the first to the last.
const RETRY_MS_MIN: u64 = 1_000;
const RETRY_MS_MAX: u64 = 30_000;
/// Wait after a printer that says it is blocked: somebody is probably changing the roll.
const BLOCKED_MS: u64 = 2_000;

/// Feeds one printer. Holds no thread and no clock.
#[derive(Debug)]
pub struct Spooler {
    renderer: Renderer,
    profile: Profile,
    failures: u32,
    not_before_ms: u64,
    unrecorded: Option<(String, Outcome)>,
}

impl Spooler {
    /// A spooler for a printer of `profile`, and how many jobs a crash had left claimed: they are uncertain now.
    ///
    /// # Errors
    /// Of the store.
    pub fn start<S: JobStore>(profile: Profile, store: &mut S) -> Result<(Spooler, u64), S::Error> {
        let recovered = store.recover_claimed()?;
        if recovered > 0 {
            tracing::warn!(
                printer.jobs = recovered,
                "print jobs were interrupted and need a look at the paper"
            );
        }
        let spooler = Spooler {
            renderer: Renderer::new(),
            profile,
            failures: 0,
            not_before_ms: 0,
            unrecorded: None,
        };
        Ok((spooler, recovered))
    }

    /// Changes the printer model, and tries at once.
    pub fn set_profile(&mut self, profile: Profile) {
        self.profile = profile;
        self.retry_now();
    }

    /// Forgets the wait after a failure: the user asked, or the printer was changed.
    pub fn retry_now(&mut self) {
        self.failures = 0;
        self.not_before_ms = 0;
    }

    /// Does at most one job.
    ///
    /// # Errors
    /// Of the store. The outcome of a job that was sent but could not be recorded is kept and recorded before
    /// anything else is sent.
    pub fn step<S: JobStore>(
        &mut self,
        store: &mut S,
        port: &mut dyn PrinterPort,
        now_ms: u64,
    ) -> Result<Step, S::Error> {
        if let Some((job, outcome)) = &self.unrecorded {
            store.mark_outcome(job, *outcome)?;
            let (job, outcome) = (job.clone(), *outcome);
            self.unrecorded = None;
            return Ok(self.finished(job, outcome, now_ms));
        }
        if now_ms < self.not_before_ms {
            return Ok(Step {
                event: Event::Waiting,
                next: Next::AtMs(self.not_before_ms),
            });
        }
        let Some(job) = store.next_queued()? else {
            return Ok(Step {
                event: Event::Idle,
                next: Next::WhenQueued,
            });
        };
        let Ok(document) = Document::from_json(&job.document) else {
            // One bad record never blocks the queue: it goes to a person, and the next job follows.
            store.mark_claimed(&job.id)?;
            return self.record(store, job.id, Outcome::Uncertain(Cause::Unreadable), now_ms);
        };
        if let Readiness::Blocked(cause) = port.readiness() {
            self.not_before_ms = now_ms.saturating_add(BLOCKED_MS);
            return Ok(Step {
                event: Event::Blocked { job: job.id, cause },
                next: Next::AtMs(self.not_before_ms),
            });
        }
        let bitmap = self.renderer.render(&document, self.profile.width_dots());
        let bytes = encode(&bitmap, &self.profile);
        store.mark_claimed(&job.id)?;
        let outcome = port.print(&Payload {
            job: &job.id,
            label: &job.label,
            bitmap: &bitmap,
            bytes: &bytes,
        });
        self.record(store, job.id, outcome, now_ms)
    }

    fn record<S: JobStore>(
        &mut self,
        store: &mut S,
        job: String,
        outcome: Outcome,
        now_ms: u64,
    ) -> Result<Step, S::Error> {
        if let Err(error) = store.mark_outcome(&job, outcome) {
            self.unrecorded = Some((job, outcome));
            return Err(error);
        }
        Ok(self.finished(job, outcome, now_ms))
    }

    fn finished(&mut self, job: String, outcome: Outcome, now_ms: u64) -> Step {
        let next = match outcome {
            Outcome::NotStarted(_) => {
                let wait = RETRY_MS_MIN
                    .saturating_mul(1 << self.failures.min(16))
                    .min(RETRY_MS_MAX);
                self.failures = self.failures.saturating_add(1);
                self.not_before_ms = now_ms.saturating_add(wait);
                Next::AtMs(self.not_before_ms)
            }
            Outcome::Printed | Outcome::Accepted | Outcome::Uncertain(_) => {
                self.retry_now();
                Next::Now
            }
        };
        tracing::debug!(printer.job = %job, printer.outcome = outcome.code(), "print job tried");
        Step {
            event: Event::Finished { job, outcome },
            next,
        }
    }
}
