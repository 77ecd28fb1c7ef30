//! How a device becomes a till: it asks with a one-time code and its own key, the runtime carries the
//! question to the server, and the answer opens the device's stream.

use domain::config::KeyAlgorithm;
use domain::event::{StreamOpened, StreamReason};
use domain::ids::{DeviceId, EventId, JobId, LocationId, StoreId, TenantId, TillId};
use ledger::{Ledger, NewStream};
use serde::{Deserialize, Serialize};

use crate::custody::Custodian;
use crate::door::{Command, Enrolment, JobResult, RefusalCode, Reply};
use crate::drafts::Change;
use crate::till::{Call, LEDGER_FILE, Outcome, Till};

/// Where enrolment stands, kept over restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EnrolState {
    job: JobId,
    server: String,
    code: String,
    view: Enrolment,
}

/// Work that the runtime does for the till; its result comes back as [`Command::JobFinished`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingJob {
    /// Job.
    pub job: JobId,
    /// What to do.
    pub work: PendingWork,
}

/// Kinds of outside work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PendingWork {
    /// Ask the server to enrol this device; ask again while the owner has not confirmed.
    Enrol {
        /// Address of the server, without a trailing slash.
        server: String,
        /// One-time code.
        code: String,
        /// Algorithm of the device key.
        key_algorithm: KeyAlgorithm,
        /// Public key, hexadecimal.
        public_key: String,
    },
}

/// How the till reaches its server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerLink {
    /// Address, without a trailing slash.
    pub server: String,
    /// Tenant.
    pub tenant: TenantId,
    /// Device.
    pub device: DeviceId,
    /// Bearer token.
    pub token: String,
    /// Authority that enrolled the device.
    pub authority: String,
    /// Its epoch at that time.
    pub epoch: u64,
    /// The server's public key, hexadecimal.
    pub server_key: String,
}

/// Key of the link in the ledger's local store.
const LINK: &str = "link";

/// The parts of the server's answer that the till itself needs.
#[derive(Debug, Deserialize)]
struct EnrolledBody {
    tenant: TenantId,
    store: StoreId,
    till: TillId,
    device: DeviceId,
    location: LocationId,
    token: String,
    authority: String,
    epoch: u64,
    server_key: String,
    feeds: Vec<ledger::FeedName>,
}

impl EnrolState {
    pub(crate) fn view(&self) -> Enrolment {
        self.view.clone()
    }
}

impl Till {
    pub(crate) fn enrol(&mut self, server: &str, code: &str, call: &mut Call) -> Outcome {
        if self.ledger.is_some() {
            return Err(RefusalCode::AlreadyEnrolled.into());
        }
        let server = server.trim().trim_end_matches('/').to_owned();
        if !is_server_address(&server) {
            return Err(RefusalCode::BadServerAddress.into());
        }
        let code = code.trim().to_owned();
        if !is_enrol_code(&code) {
            return Err(RefusalCode::EnrolCodeInvalid.into());
        }
        let job = JobId(call.uuid());
        let state = EnrolState {
            job,
            server,
            code,
            view: Enrolment::Asking,
        };
        let change = Change {
            enrol: Some(state),
            ..Change::default()
        };
        call.draft(self, change, Reply::Pending { job })
    }

    pub(crate) fn job_finished(
        &mut self,
        job: JobId,
        result: &JobResult,
        call: &mut Call,
    ) -> Outcome {
        if self.storage_job_finished(job, result, call) {
            return Ok(Reply::Done {});
        }
        let Some(state) = self.enrol.clone().filter(|state| state.job == job) else {
            return Ok(Reply::Done {});
        };
        let view = match result {
            JobResult::EnrolPending { fingerprint } => Enrolment::Pending {
                fingerprint: fingerprint.clone(),
            },
            JobResult::Failed { code } => Enrolment::Failed { code: code.clone() },
            JobResult::BackedUp {} | JobResult::Verified { .. } | JobResult::Archived { .. } => {
                return Ok(Reply::Done {});
            }
            JobResult::Enrolled { enrolled } => {
                self.become_till(&state, enrolled, call)?;
                Enrolment::Enrolled
            }
        };
        let change = Change {
            enrol: Some(EnrolState { view, ..state }),
            ..Change::default()
        };
        call.draft(self, change, Reply::Done {})
    }

    fn become_till(
        &mut self,
        state: &EnrolState,
        enrolled: &str,
        call: &mut Call,
    ) -> Result<(), crate::door::Refusal> {
        if self.ledger.is_some() {
            return Ok(());
        }
        let body: EnrolledBody =
            serde_json::from_str(enrolled).map_err(|_| RefusalCode::ServerNonsense)?;
        let opened = StreamOpened {
            reason: StreamReason::Enrolled,
            tenant: body.tenant.clone(),
            store: Some(body.store),
            till: Some(body.till),
            device: body.device,
            key_algorithm: KeyAlgorithm::Ed25519,
            public_key: self.public_key(),
            previous: None,
            z_number: 0,
            perpetual_minor: 0,
            periods: std::collections::BTreeMap::new(),
            numbers: std::collections::BTreeMap::new(),
            // A ledger that is gone leaves this trace of itself.
            witness: self.missing,
        };
        let stream = call.entropy.next_stream_id();
        let event = EventId(call.uuid());
        let new = NewStream {
            stream,
            location: body.location,
            opened,
        };
        let mut ledger = self.create_ledger(new, &call.now, event)?;
        let link = ServerLink {
            server: state.server.clone(),
            tenant: body.tenant,
            device: body.device,
            token: body.token,
            authority: body.authority,
            epoch: body.epoch,
            server_key: body.server_key,
        };
        let text = serde_json::to_string(&link).expect("a link holds only strings and integers");
        let stored = ledger.write(|tx| {
            tx.set_local(LINK, &text)?;
            tx.follow(&body.feeds)
        });
        stored.map_err(|error: ledger::LedgerError| crate::till::storage_refusal(&error))?;
        if let Some(dir) = &self.dir {
            Custodian {
                path: dir.join(LEDGER_FILE),
                options: &self.ledger_options,
                witness: self.witness.as_ref(),
                copies: &[],
                key: &self.key,
                now: &call.now,
            }
            .keep_witness(&mut ledger);
        }
        self.missing = None;
        self.ledger = Some(ledger);
        self.sync_requested = true;
        if let Err(error) = self.renew_drafts(&mut call.entropy, call.now.wall_ms) {
            // The next start does it.
            tracing::error!(error = %error, "the drafts are still of the journal that ended");
        }
        Ok(())
    }

    /// How to reach the server, once enrolled.
    pub fn link(&self) -> Option<ServerLink> {
        let text = self.ledger.as_ref()?.local(LINK).ok()??;
        serde_json::from_str(&text).ok()
    }

    /// Work that waits for the runtime.
    pub fn pending(&self) -> Option<PendingJob> {
        let state = self.enrol.as_ref().filter(|_| self.ledger.is_none())?;
        match state.view {
            Enrolment::Asking | Enrolment::Pending { .. } => Some(PendingJob {
                job: state.job,
                work: PendingWork::Enrol {
                    server: state.server.clone(),
                    code: state.code.clone(),
                    key_algorithm: KeyAlgorithm::Ed25519,
                    public_key: self.public_key(),
                },
            }),
            Enrolment::None | Enrolment::Failed { .. } | Enrolment::Enrolled => None,
        }
    }

    pub(crate) fn enrolment_view(&self) -> Enrolment {
        if self.ledger.is_some() {
            return Enrolment::Enrolled;
        }
        match self.enrol.as_ref().map(EnrolState::view) {
            // Enrolled once, but the ledger is gone: this device has to be enrolled anew.
            None | Some(Enrolment::Enrolled) => Enrolment::None,
            Some(view) => view,
        }
    }

    fn create_ledger(
        &self,
        new: NewStream,
        now: &domain::time::Now,
        event: EventId,
    ) -> Result<Ledger, crate::door::Refusal> {
        let failed = |error: &dyn std::error::Error| {
            tracing::error!(error = %error, "the ledger could not be created");
            RefusalCode::StorageFailed
        };
        let created = match &self.dir {
            Some(dir) => {
                let path = dir.join(crate::till::LEDGER_FILE);
                discard_begun(&path, &self.ledger_options).map_err(|error| failed(&error))?;
                Ledger::create(&path, new, now, event, &self.ledger_options)
            }
            None => Ledger::create_in_memory(new, now, event),
        };
        created.map_err(|error| failed(&error).into())
    }
}

/// Whether a ledger holds nothing but its first event and does not know its server: enrolment was cut short
/// between making the file and writing the link.
pub(crate) fn is_only_begun(ledger: &Ledger) -> Result<bool, ledger::LedgerError> {
    let goes_on = ledger.opening().previous.is_some();
    Ok(!goes_on && ledger.head().seq <= 1 && ledger.local(LINK)?.is_none())
}

/// Removes a ledger that was only begun. Any other file stays, and creating one in its place fails.
fn discard_begun(path: &std::path::Path, options: &ledger::OpenOptions) -> std::io::Result<()> {
    let begun =
        Ledger::open(path, options).is_ok_and(|ledger| is_only_begun(&ledger).unwrap_or(false));
    if !begun {
        return Ok(());
    }
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// A tenant's code, a dot, and a few letters and digits; whether it is valid only the server knows.
fn is_enrol_code(code: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=64).contains(&code.len()) && code.chars().all(allowed)
}

/// Accepts `https://host[:port]`, and `http://` for this machine alone: sales must not cross a network in the clear.
fn is_server_address(address: &str) -> bool {
    let (secure, rest) = match (
        address.strip_prefix("https://"),
        address.strip_prefix("http://"),
    ) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return false,
    };
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, tail)) => (host, tail.strip_prefix(':')),
        None => rest
            .split_once(':')
            .map_or((rest, None), |(host, port)| (host, Some(port))),
    };
    let host_ok = !host.is_empty()
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':'));
    let port_ok = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    host_ok && port_ok && (secure || matches!(host, "127.0.0.1" | "localhost" | "::1"))
}

/// Whether a command may only come from the program itself.
pub(crate) fn is_internal(command: &Command) -> bool {
    matches!(command, Command::JobFinished { .. })
}

#[cfg(test)]
mod tests {
    use super::is_server_address;

    #[test]
    fn sales_cross_no_network_in_the_clear() {
        for (address, accepted) in [
            ("https://hq.example", true),
            ("https://hq.example:8443", true),
            ("http://127.0.0.1:4000", true),
            ("http://[::1]:4000", true),
            ("http://localhost", true),
            ("http://hq.example", false),
            ("http://192.168.1.5:80", false),
            ("https://", false),
            ("https://user@hq.example", false),
            ("https://hq.example/path", false),
            ("https://hq.example:0", false),
            ("https://hq.example:99999", false),
            ("ftp://hq.example", false),
            ("hq.example", false),
            ("", false),
        ] {
            assert_eq!(is_server_address(address), accepted, "{address}");
        }
    }
}
