//! The sync engine: a state machine that owns no clock, no socket and no file.
//!
//! It is level-triggered: while the server has not acknowledged the head it wants to send, and otherwise it
//! waits for the next poll. Whatever it forgets when the program ends is found again in the ledger.

mod snapshots;

use std::collections::{BTreeMap, BTreeSet};

use domain::config::KeyAlgorithm;
use domain::escrow::grant_message;
use domain::event::{CountLearned, Fact, RightsLine, RightsMoved};
use domain::ids::{DeviceId, StreamId, TenantId};
use domain::quantity::Quantity;
use domain::time::Now;
use ed25519_dalek::SigningKey;
use ledger::{Ledger, LedgerError, PageOutcome};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sync_protocol::feed::{Cursor, FeedName, FeedPage};
use sync_protocol::{
    DeviceStatus, Grant, HEADER_DEVICE, HEADER_SIGNATURE, PROTOCOL, PUSH_BYTES_MAX,
    PUSH_EVENTS_MAX, Poke, ProtocolError, Push, Quarantined, Recall, RightsReport, SyncReply,
    SyncRequest, Want, sign,
};

use crate::engine::snapshots::{Fetching, Part};
use crate::outgoing::{Outgoing, OutgoingKind, TransportOutcome};
use crate::pace::{BACKOFF_MS_MAX, Pace, WAIT_MS_MAX};

/// How an engine behaves.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Version of the program, reported to head office.
    pub app: String,
    /// Milliseconds between polls when nothing is waiting.
    pub poll_ms: u64,
    /// Most rows wanted in one answer.
    pub rows_max: u32,
    /// Most events in one push.
    pub push_events_max: usize,
    /// Bytes of a file asked for at first; an eighth at least, and eight times as many at most.
    pub part_bytes: u64,
    /// Seed of the waiting times; another one in every till.
    pub seed: u64,
}

impl EngineConfig {
    /// The usual figures.
    pub fn new(app: &str, seed: u64) -> EngineConfig {
        EngineConfig {
            app: app.to_owned(),
            poll_ms: 15_000,
            rows_max: 1_000,
            push_events_max: PUSH_EVENTS_MAX,
            // A link of 9 kB/s brings them before a request is given up, one of 1 kB/s an eighth.
            part_bytes: 256 * 1024,
            seed,
        }
    }
}

/// Who the device is to its server, as enrolment said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Tenant.
    pub tenant: TenantId,
    /// Device.
    pub device: DeviceId,
    /// Bearer token.
    pub token: String,
    /// Server that enrolled the device. Later ones are kept in the ledger.
    pub authority: String,
    /// Its epoch then.
    pub epoch: u64,
    /// Its public key (Ed25519, hexadecimal), under which it signs grants.
    pub server_key: String,
}

/// Server that answered last; acknowledgements and cursors hold under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ServerLife {
    authority: String,
    epoch: u64,
}

/// Key of [`ServerLife`] among the ledger's device notes.
const SERVER_LIFE: &str = "sync.server";

/// How synchronisation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No answer yet in this run.
    Starting,
    /// The last try worked.
    Online,
    /// The last try did not reach the server.
    Offline,
    /// The server answered, but a person has to look: selling goes on.
    Problem(Problem),
}

/// What a person has to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The answer is not of our protocol.
    ServerNonsense,
    /// The server does not know the token or key.
    Unauthorised,
    /// Stream, store or tenant are another's.
    Forbidden,
    /// The device was revoked.
    Revoked,
    /// The server no longer speaks this version; what was sold is still sent.
    Upgrade,
    /// The server holds another history of this stream.
    StreamFork,
    /// The server knows more of this stream than its owner.
    StreamBehind,
    /// The server acknowledged a history that is not ours; the acknowledgement is not believed.
    AckMismatch,
    /// The server will not take an event, and its reasons concern that one alone.
    PushRefused,
    /// A feed arrives damaged again and again.
    FeedDamaged,
    /// The ledger cannot be read or written.
    StorageFailed,
}

impl Problem {
    /// Code for screens and logs.
    pub const fn code(self) -> &'static str {
        match self {
            Problem::ServerNonsense => "server_nonsense",
            Problem::Unauthorised => "unauthorised",
            Problem::Forbidden => "forbidden",
            Problem::Revoked => "revoked",
            Problem::Upgrade => "upgrade",
            Problem::StreamFork => "stream_fork",
            Problem::StreamBehind => "stream_behind",
            Problem::AckMismatch => "ack_mismatch",
            Problem::PushRefused => "push_refused",
            Problem::FeedDamaged => "feed_damaged",
            Problem::StorageFailed => "storage_failed",
        }
    }
}

/// What an answer changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineEvent {
    /// [`Engine::standing`] is another.
    StandingChanged(Standing),
    /// The server answered in our protocol.
    Contact {
        /// Its clock, milliseconds since 1970.
        server_time: i64,
    },
    /// Another server answers, or the same one restored from a backup: what it lacks is sent again.
    EpochChanged {
        /// Authority.
        authority: String,
        /// Epoch.
        epoch: u64,
    },
    /// Everything up to `seq` is durable on the server.
    Acked {
        /// Sequence number.
        seq: u64,
    },
    /// Events that the server keeps but could not project.
    Quarantined(Vec<Quarantined>),
    /// Rows of a feed arrived.
    Applied {
        /// Feed.
        feed: FeedName,
        /// Rows, tombstones included.
        rows: usize,
    },
    /// A feed is read again from its beginning.
    FeedReset(FeedName),
    /// The stream's history and the server's part: the owner needs a new stream.
    StreamBroken(Problem),
}

/// The request that waits for an answer.
#[derive(Debug)]
struct Flight {
    ticket: u64,
    /// The part asked for of a snapshot; none for push and pull.
    part: Option<Part>,
    /// Feeds asked for as files.
    snapshots: BTreeSet<FeedName>,
    /// First and last sequence number pushed.
    pushed: Option<(u64, u64)>,
    pulled: bool,
    cursors: BTreeMap<FeedName, Cursor>,
    life: ServerLife,
    /// Grants that the server was told to be all that were seen; none when it was told before.
    told: Option<Vec<Grant>>,
    /// What the clocks said when it was asked.
    asked: Now,
    /// Whose grants are believed: the tenant, and the server's key.
    trust: (TenantId, String),
}

/// Where the server stands, as it said itself in this run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ServerHead {
    life: ServerLife,
    seq: u64,
}

/// Why nothing is pushed although something waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PushStop {
    /// One event was refused: try again at this boot time, pull meanwhile.
    Until(u64),
    /// Only a new stream helps.
    Broken(Problem),
}

/// Tries that did not count as progress before the engine waits between them.
const FRUITLESS_MAX: u32 = 8;
/// Clean-up passes over one damaged feed before it is called a problem.
const DAMAGED_MAX: u32 = 2;

/// Over how many milliseconds tills spread that hear of the same thing, give or take a fifth.
const POKE_SPREAD_MS: u64 = 300;

/// Milliseconds between polls while a shopper waits for a strict variant that another till may give back.
const WAITING_POLL_MS: u64 = 2_000;

/// The engine; see the module.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    pace: Pace,
    standing: Standing,
    flight: Option<Flight>,
    tickets: u64,
    /// Failures in a row.
    failures: u32,
    /// Tries in a row that were answered, changed nothing and may be repeated at once.
    fruitless: u32,
    /// Boot time before which nothing is sent, and whether the server asked for it.
    not_before: u64,
    asked_to_wait: bool,
    next_pull: u64,
    more: bool,
    server_head: Option<ServerHead>,
    events_max: usize,
    push_stop: Option<PushStop>,
    /// Boot time until which nothing is pulled, because the server refused to answer in this version.
    pull_refused: Option<u64>,
    /// The till has no room for what would come.
    pulls_paused: bool,
    damaged: BTreeMap<FeedName, u32>,
    fetching: Fetching,
    /// What the till needs to hold now.
    needs: Vec<Want>,
    /// The last request asked for rights.
    waits: bool,
    /// Grants that the server has been told of in this run, under the life that it was told in.
    told: Option<(ServerLife, Vec<Grant>)>,
}

impl Engine {
    /// An engine that tries at once.
    pub fn new(config: EngineConfig) -> Engine {
        Engine {
            pace: Pace::new(config.seed),
            standing: Standing::Starting,
            flight: None,
            tickets: 0,
            failures: 0,
            fruitless: 0,
            not_before: 0,
            asked_to_wait: false,
            next_pull: 0,
            more: false,
            server_head: None,
            events_max: config.push_events_max,
            push_stop: None,
            pull_refused: None,
            pulls_paused: false,
            damaged: BTreeMap::new(),
            fetching: Fetching::new(config.part_bytes),
            needs: Vec::new(),
            waits: false,
            told: None,
            config,
        }
    }

    /// How synchronisation stands.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Somebody asks to try now. A wait that the server asked for is kept.
    pub fn nudge(&mut self) {
        self.next_pull = 0;
        self.pull_refused = None;
        if !self.asked_to_wait {
            self.not_before = 0;
        }
        if let Some(PushStop::Until(_)) = self.push_stop {
            self.push_stop = None;
        }
    }

    /// A request to hear when something is new. Its answer goes on for long and is no business of
    /// [`Engine::handle`]: what it says goes to [`Engine::poked`].
    pub fn listen(&self, link: &Link, key: &SigningKey) -> Outgoing {
        let mut outgoing = Outgoing::get(0, "/v1/poke".to_owned(), OutgoingKind::Poke);
        sign_request(&mut outgoing, link, key);
        outgoing
    }

    /// The server says that something is new. If the ledger has not got it, the next poll comes now; tills that follow
    /// the same feed come one after the other.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn poked(&mut self, ledger: &Ledger, poke: &Poke, now: &Now) -> Result<(), LedgerError> {
        let cursors = ledger.cursors()?;
        let is_new = |(feed, ver): (&String, &u64)| {
            let known = feed.parse::<FeedName>().ok();
            known.is_some_and(|feed| cursors.get(&feed).is_none_or(|cursor| cursor.ver < *ver))
        };
        let spread = if poke.rights {
            0
        } else if poke.feeds.iter().any(is_new) {
            self.pace.spread_ms(POKE_SPREAD_MS)
        } else {
            return Ok(());
        };
        self.next_pull = self.next_pull.min(now.boot.ms.saturating_add(spread));
        Ok(())
    }

    /// What the till needs to hold of strict variants now, for the cart in hand or a shopper who waits. What it has not
    /// is asked for, and none of it is given back.
    pub fn set_needs(&mut self, needs: Vec<Want>) {
        if needs != self.needs {
            self.needs = needs;
            if !self.needs.is_empty() {
                self.nudge();
            }
        }
    }

    /// The ledger goes on in a new stream, of which the server knows nothing: the verdict on the old one is past.
    pub fn new_stream(&mut self) {
        self.push_stop = None;
        self.server_head = None;
        self.told = None;
        self.flight = None;
        self.fruitless = 0;
        self.failures = 0;
        self.standing = Standing::Starting;
        self.nudge();
    }

    /// The next request, if it is time for one. At most one is under way; its outcome goes to [`Engine::handle`].
    pub fn poll(
        &mut self,
        ledger: &Ledger,
        link: &Link,
        key: &SigningKey,
        now: &Now,
    ) -> Option<Outgoing> {
        if self.flight.is_some() || !is_due(self.not_before, now) {
            return None;
        }
        match self.build(ledger, link, key, now) {
            Ok(outgoing) => outgoing,
            Err(error) => {
                tracing::error!(cause = %error, "the ledger cannot be read for synchronisation");
                self.standing = Standing::Problem(Problem::StorageFailed);
                self.wait_after_failure(now);
                None
            }
        }
    }

    /// Stops asking for rows, or asks again; what the till has to tell is sent all the same. What was being
    /// fetched is gone on with from where it stopped.
    pub const fn pause_pulls(&mut self, paused: bool) {
        if self.pulls_paused && !paused {
            self.more = true;
        }
        self.pulls_paused = paused;
    }

    /// Milliseconds until [`Engine::poll`] may have something although nothing happened; none while a
    /// request is under way.
    pub fn next_wake_ms(&self, now: &Now) -> Option<u64> {
        if self.flight.is_some() {
            return None;
        }
        if !is_due(self.not_before, now) {
            return Some(self.not_before - now.boot.ms);
        }
        let mut at = if self.more { 0 } else { self.next_pull };
        if let Some(PushStop::Until(until)) = self.push_stop {
            at = at.min(until);
        }
        Some(if is_due(at, now) { 0 } else { at - now.boot.ms })
    }

    fn build(
        &mut self,
        ledger: &Ledger,
        link: &Link,
        key: &SigningKey,
        now: &Now,
    ) -> Result<Option<Outgoing>, LedgerError> {
        let head = ledger.head();
        let life = server_life(ledger, link)?;
        let acked = self.known_ack(ledger, &life)?;
        if let Some(PushStop::Until(at)) = self.push_stop
            && is_due(at, now)
        {
            self.push_stop = None;
        }
        if self.pull_refused.is_some_and(|at| is_due(at, now)) {
            self.pull_refused = None;
            self.next_pull = 0;
        }
        let push_wanted = self.push_stop.is_none() && acked < head.seq;
        let pull_due = self.more || is_due(self.next_pull, now);
        if !push_wanted && !pull_due {
            return Ok(None);
        }
        let cursors = ledger.cursors()?;
        let snapshots = self.snapshots_wanted(ledger, &cursors)?;
        if !push_wanted && let Some(part) = self.next_part(ledger)? {
            return Ok(Some(self.ask_part(part, life, link, key, now)));
        }
        let push = if push_wanted {
            self.push(ledger, link, key, acked)?
        } else {
            None
        };
        let unsynced = ledger.unsynced()?;
        let (rights, told) = self.rights_report(ledger, &life, now)?;
        self.waits = !rights.want.is_empty();
        let message = SyncRequest {
            protocol: PROTOCOL,
            stream: head.stream,
            head_seq: head.seq,
            acked_seq: acked,
            authority: life.authority.clone(),
            epoch: life.epoch,
            wall: now.wall_ms,
            boot: now.boot,
            cursors: cursors.clone(),
            // No rows wanted where the server said that it has none for this version.
            limit: if self.no_pull() {
                0
            } else {
                self.config.rows_max
            },
            status: DeviceStatus {
                unsynced: unsynced.count,
                oldest_wall: unsynced.oldest_wall,
                app: self.config.app.clone(),
            },
            rights: Some(rights),
            snapshots,
            push,
        };
        self.tickets += 1;
        let mut outgoing = Outgoing::json(self.tickets, "/v1/sync", OutgoingKind::Sync, &message);
        sign_request(&mut outgoing, link, key);
        self.flight = Some(Flight {
            part: None,
            snapshots: message.snapshots.clone(),
            ticket: self.tickets,
            pushed: message
                .push
                .as_ref()
                .map(|push| (push.first_seq, push.head.seq)),
            pulled: !self.no_pull(),
            cursors,
            life,
            told,
            asked: *now,
            trust: (link.tenant.clone(), link.server_key.clone()),
        });
        Ok(Some(outgoing))
    }

    /// What the server should know of rights, and the grants in it when they are all that were seen.
    fn rights_report(
        &self,
        ledger: &Ledger,
        life: &ServerLife,
        now: &Now,
    ) -> Result<(RightsReport, Option<Vec<Grant>>), LedgerError> {
        let seen = ledger.grants_seen()?;
        let known = matches!(&self.told, Some((of, told)) if of == life && *told == seen);
        let mut want = Vec::new();
        for need in &self.needs {
            if ledger.right(need.variant, &need.location, now)? < need.quantity {
                want.push(need.clone());
            }
        }
        let report = RightsReport {
            seen: if known { Vec::new() } else { seen.clone() },
            whole: !known,
            want,
        };
        Ok((report, (!known).then_some(seen)))
    }

    const fn no_pull(&self) -> bool {
        self.pull_refused.is_some() || self.pulls_paused
    }

    /// What the server is known to hold: its own last word in this run, else what the ledger remembers.
    fn known_ack(&self, ledger: &Ledger, life: &ServerLife) -> Result<u64, LedgerError> {
        match &self.server_head {
            Some(head) if head.life == *life => Ok(head.seq),
            _ => ledger.acked(&life.authority, life.epoch),
        }
    }

    fn push(
        &self,
        ledger: &Ledger,
        link: &Link,
        key: &SigningKey,
        acked: u64,
    ) -> Result<Option<Push>, LedgerError> {
        let stored = ledger.events(acked + 1, self.events_max, PUSH_BYTES_MAX)?;
        let (Some(first), Some(last)) = (stored.first(), stored.last()) else {
            return Ok(None);
        };
        let (first_seq, last_seq, last_hash) = (first.seq, last.seq, last.hash);
        let stream = ledger.head().stream;
        let Some(prev_hash) = ledger.hash_at(first_seq - 1)? else {
            return Err(corrupt(first_seq - 1, "it has no hash"));
        };
        let mut events = Vec::with_capacity(stored.len());
        for event in stored {
            let text = String::from_utf8(event.bytes)
                .ok()
                .and_then(|text| RawValue::from_string(text).ok());
            let Some(raw) = text else {
                return Err(corrupt(event.seq, "it is no JSON"));
            };
            events.push(raw);
        }
        let head = sign::sign_head(key, &link.tenant, stream, last_seq, last_hash);
        Ok(Some(Push {
            stream,
            first_seq,
            prev_hash,
            events,
            head,
        }))
    }

    /// Takes in what became of the request with `ticket`. An outcome of another request is ignored: it was
    /// answered or given up before.
    pub fn handle(
        &mut self,
        ledger: &mut Ledger,
        ticket: u64,
        outcome: TransportOutcome,
        now: &Now,
    ) -> Vec<EngineEvent> {
        let Some(flight) = self.flight.take_if(|flight| flight.ticket == ticket) else {
            return Vec::new();
        };
        let before = self.standing;
        let mut events = Vec::new();
        if let Some(part) = &flight.part {
            if let Err(error) = self.take_part(ledger, part, outcome, now, &mut events) {
                tracing::error!(cause = %error, "the ledger cannot take a snapshot");
                self.fail(Standing::Problem(Problem::StorageFailed), now);
            }
            if self.standing != before {
                events.push(EngineEvent::StandingChanged(self.standing));
            }
            return events;
        }
        match outcome {
            TransportOutcome::Unreachable => self.fail(Standing::Offline, now),
            TransportOutcome::NotOurs => self.fail(Standing::Problem(Problem::ServerNonsense), now),
            TransportOutcome::Reply {
                status,
                retry_after_ms,
                body,
            } => match read_reply(status, retry_after_ms, &body) {
                Answer::Accepted(reply) => {
                    match self.accept(ledger, &flight, *reply, now, &mut events) {
                        Ok(()) => {}
                        Err(error) => {
                            tracing::error!(cause = %error, "the ledger cannot take the server's answer");
                            self.fail(Standing::Problem(Problem::StorageFailed), now);
                        }
                    }
                }
                Answer::Refused(error) => {
                    match self.refused(ledger, &flight, &error, now, &mut events) {
                        Ok(()) => {}
                        Err(error) => {
                            tracing::error!(cause = %error, "the ledger cannot follow the server's refusal");
                            self.fail(Standing::Problem(Problem::StorageFailed), now);
                        }
                    }
                }
                Answer::Down => self.fail(Standing::Offline, now),
                Answer::Nonsense => self.fail(Standing::Problem(Problem::ServerNonsense), now),
            },
        }
        if self.standing != before {
            events.push(EngineEvent::StandingChanged(self.standing));
        }
        events
    }

    fn accept(
        &mut self,
        ledger: &mut Ledger,
        flight: &Flight,
        reply: SyncReply,
        now: &Now,
        events: &mut Vec<EngineEvent>,
    ) -> Result<(), LedgerError> {
        self.asked_to_wait = false;
        events.push(EngineEvent::Contact {
            server_time: reply.server_time,
        });
        let life = ServerLife {
            authority: reply.authority.clone(),
            epoch: reply.epoch,
        };
        let moved = life != flight.life;
        if moved {
            let text = serde_json::to_string(&life).expect("a text and an integer are plain data");
            ledger.write(|tx| tx.set_local(SERVER_LIFE, &text))?;
            self.fetching.forget();
            events.push(EngineEvent::EpochChanged {
                authority: reply.authority.clone(),
                epoch: reply.epoch,
            });
            // Its versions count from another past: the same number may stand for other rows.
            let feeds = ledger.feeds()?;
            ledger.write(|tx| feeds.iter().try_for_each(|feed| tx.reset_feed(feed)))?;
            events.extend(feeds.into_iter().map(EngineEvent::FeedReset));
        }
        if !reply.quarantined.is_empty() {
            events.push(EngineEvent::Quarantined(reply.quarantined.clone()));
        }
        if let Some(told) = flight.told.as_ref().filter(|_| !moved) {
            self.told = Some((life.clone(), told.clone()));
        }
        let ack = self.take_ack(ledger, &reply, life, events)?;
        let feeds_moved = self.follow(ledger, &reply)?;
        let pages = if moved {
            // They begin at cursors that mean nothing here.
            PagesOutcome {
                reset: true,
                ..PagesOutcome::default()
            }
        } else if flight.pulled {
            self.take_named(ledger, flight, &reply, now, events)?;
            self.apply(ledger, flight, &reply, now, events)?
        } else {
            PagesOutcome::default()
        };
        if ack == Ack::Mine && !matches!(self.push_stop, Some(PushStop::Broken(_))) {
            self.take_rights(ledger, flight, &reply, now)?;
        }

        let stuck = pages.stuck
            || ack == Ack::Mine
                && flight
                    .pushed
                    .is_some_and(|(first, _)| !moved && reply.ack_seq < first);
        self.standing = if let Some(PushStop::Broken(problem)) = self.push_stop {
            Standing::Problem(problem)
        } else if let Ack::Fault(problem) = ack {
            Standing::Problem(problem)
        } else if matches!(self.push_stop, Some(PushStop::Until(_))) {
            Standing::Problem(Problem::PushRefused)
        } else if self.damaged.values().any(|times| *times > DAMAGED_MAX) {
            Standing::Problem(Problem::FeedDamaged)
        } else if pages.stuck {
            Standing::Problem(Problem::ServerNonsense)
        } else if self.pull_refused.is_some() {
            Standing::Problem(Problem::Upgrade)
        } else {
            Standing::Online
        };
        self.more = pages.more || pages.reset || feeds_moved || self.fetching.is_any();
        let poll_ms = if self.waits {
            self.config.poll_ms.min(WAITING_POLL_MS)
        } else {
            self.config.poll_ms
        };
        self.next_pull = now.boot.ms + self.pace.spread_ms(poll_ms);
        let broken = matches!(self.push_stop, Some(PushStop::Broken(_)));
        if !broken && ack != Ack::Mine || stuck || pages.damaged {
            self.wait_after_failure(now);
        } else {
            self.failures = 0;
            self.not_before = 0;
            if flight.pushed.is_some() {
                self.events_max = (self.events_max * 2).min(self.config.push_events_max);
            }
            self.fruitless = 0;
        }
        Ok(())
    }

    /// Believes an acknowledgement only when its hash is the one of our own chain.
    fn take_ack(
        &mut self,
        ledger: &mut Ledger,
        reply: &SyncReply,
        life: ServerLife,
        events: &mut Vec<EngineEvent>,
    ) -> Result<Ack, LedgerError> {
        if reply.ack_seq > ledger.head().seq {
            self.break_stream(Problem::StreamBehind, events);
            return Ok(Ack::Fault(Problem::StreamBehind));
        }
        if ledger.hash_at(reply.ack_seq)? != Some(reply.ack_hash) {
            tracing::error!(
                ack.seq = reply.ack_seq,
                "the server acknowledged another history"
            );
            return Ok(Ack::Fault(Problem::AckMismatch));
        }
        let before = ledger.acked(&reply.authority, reply.epoch)?;
        if reply.ack_seq > before {
            ledger.write(|tx| {
                tx.set_acked(&reply.authority, reply.epoch, reply.ack_seq, reply.ack_hash)
            })?;
            events.push(EngineEvent::Acked { seq: reply.ack_seq });
        }
        self.server_head = Some(ServerHead {
            life,
            seq: reply.ack_seq,
        });
        Ok(Ack::Mine)
    }

    /// Takes in grants, says to know of counts, and gives back what is asked for. Each is committed before the server
    /// hears of it, with the next push.
    fn take_rights(
        &mut self,
        ledger: &mut Ledger,
        flight: &Flight,
        reply: &SyncReply,
        now: &Now,
    ) -> Result<(), LedgerError> {
        let (tenant, server_key) = &flight.trust;
        let stream = ledger.head().stream;
        let is_genuine = |grant: &&Grant| {
            let message = grant_message(tenant, grant.epoch, (grant.from, stream), &grant.line);
            let algorithm = KeyAlgorithm::Ed25519;
            let genuine = grant.epoch == reply.epoch
                && sign::verify(algorithm, server_key, &message, &grant.signature).is_ok();
            if !genuine {
                tracing::warn!(epoch = grant.epoch, "a grant is not the server's of now");
            }
            genuine
        };
        let grants: Vec<Grant> = reply.grants.iter().filter(is_genuine).cloned().collect();
        if !grants.is_empty() {
            let (server_time, asked) = (reply.server_time, flight.asked);
            ledger.write(|tx| tx.take_grants(&grants, server_time, &asked))?;
        }
        let counts = ledger.unlearned(&reply.counts)?;
        if !counts.is_empty() {
            let fact = Fact::CountLearned(CountLearned { counts });
            ledger.write(|tx| tx.append_unasked(now, &fact))?;
        }
        let mut back: BTreeMap<StreamId, Vec<RightsLine>> = BTreeMap::new();
        if !reply.recall.is_empty() {
            let seen = ledger.grants_seen()?;
            for recall in &reply.recall {
                if let Some((to, line)) = self.give_back(ledger, &seen, recall, now)? {
                    back.entry(to).or_default().push(line);
                }
            }
        }
        for (to, lines) in back {
            let fact = Fact::RightsReturned(RightsMoved {
                to,
                epoch: reply.epoch,
                lines,
            });
            ledger.write(|tx| tx.append_unasked(now, &fact))?;
        }
        Ok(())
    }

    /// What goes back on a recall, and to whom: not what the till needs itself.
    fn give_back(
        &self,
        ledger: &Ledger,
        seen: &[Grant],
        recall: &Recall,
        now: &Now,
    ) -> Result<Option<(StreamId, RightsLine)>, LedgerError> {
        let Recall {
            variant, location, ..
        } = recall;
        let of_place =
            |grant: &&Grant| (grant.line.variant, &grant.line.location) == (*variant, location);
        let Some(grant) = seen.iter().find(of_place) else {
            return Ok(None);
        };
        let needed: i64 = self
            .needs
            .iter()
            .filter(|need| (need.variant, &need.location) == (*variant, location))
            .map(|need| need.quantity.0)
            .fold(0, i64::saturating_add);
        let held = ledger.right_held(*variant, location, now)?.right;
        let spare = held.0.saturating_sub(needed).max(0);
        let quantity = recall.quantity.0.min(spare);
        if quantity <= 0 {
            return Ok(None);
        }
        let given = ledger.right_given(*variant, location, grant.from)?;
        let line = RightsLine {
            variant: *variant,
            location: location.clone(),
            total: Quantity(given.0.saturating_add(quantity)),
            lease_end: None,
        };
        Ok(Some((grant.from, line)))
    }

    /// Follows the feeds that the server names; true when they are others than before.
    fn follow(&mut self, ledger: &mut Ledger, reply: &SyncReply) -> Result<bool, LedgerError> {
        if reply.feeds.is_empty() {
            return Ok(false);
        }
        let wanted: BTreeSet<&FeedName> = reply.feeds.iter().collect();
        let known = ledger.feeds()?;
        if wanted == known.iter().collect() {
            return Ok(false);
        }
        ledger.write(|tx| tx.follow(&reply.feeds))?;
        self.damaged.retain(|feed, _| reply.feeds.contains(feed));
        Ok(true)
    }

    fn apply(
        &mut self,
        ledger: &mut Ledger,
        flight: &Flight,
        reply: &SyncReply,
        now: &Now,
        events: &mut Vec<EngineEvent>,
    ) -> Result<PagesOutcome, LedgerError> {
        let mut all = PagesOutcome::default();
        let followed: BTreeSet<FeedName> = ledger.feeds()?.into_iter().collect();
        let (mut moved, mut waiting) = (false, false);
        for page in reply
            .pages
            .iter()
            .filter(|page| followed.contains(&page.feed))
        {
            // Its rows come in a file.
            if self.fetching.is_under_way(&page.feed) && page.rows.is_empty() {
                continue;
            }
            // A page without rows says only that there was no room for them in this answer.
            let idle = page.more && makes_no_progress(page, &flight.cursors);
            moved |= !idle;
            if idle {
                waiting = true;
                continue;
            }
            let outcome = ledger.write(|tx| tx.apply_page(page, reply.server_time, now.wall_ms))?;
            match outcome {
                PageOutcome::Applied { .. } => {
                    all.more |= page.more;
                    if !page.more {
                        self.damaged.remove(&page.feed);
                    }
                    if !page.rows.is_empty() {
                        events.push(EngineEvent::Applied {
                            feed: page.feed.clone(),
                            rows: page.rows.len(),
                        });
                    }
                }
                // Read before, by an answer that was thought lost; or no longer followed since it was asked for.
                PageOutcome::Stale => all.more |= page.more,
                PageOutcome::NotFollowed => {}
                PageOutcome::ChecksumMismatch => {
                    tracing::warn!(feed = %page.feed, "the checksum of a feed does not fit, reading it again");
                    let times = self.damaged.entry(page.feed.clone()).or_insert(0);
                    *times += 1;
                    all.damaged |= *times > DAMAGED_MAX;
                    all.reset = true;
                    events.push(EngineEvent::FeedReset(page.feed.clone()));
                }
            }
        }
        all.stuck = waiting && !moved;
        all.more |= waiting && moved;
        Ok(all)
    }

    fn refused(
        &mut self,
        ledger: &mut Ledger,
        flight: &Flight,
        error: &ProtocolError,
        now: &Now,
        events: &mut Vec<EngineEvent>,
    ) -> Result<(), LedgerError> {
        match error {
            ProtocolError::Gap { expected } => {
                let head = ledger.head().seq;
                let useful = *expected >= 1
                    && *expected <= head
                    && flight.pushed.is_some_and(|(first, _)| first != *expected);
                if !useful {
                    self.fail(Standing::Problem(Problem::ServerNonsense), now);
                    return Ok(());
                }
                self.server_head = Some(ServerHead {
                    life: flight.life.clone(),
                    seq: expected - 1,
                });
                self.again(now);
            }
            ProtocolError::Fork { .. } => self.parted(flight, Problem::StreamFork, now, events),
            ProtocolError::Behind { .. } => self.parted(flight, Problem::StreamBehind, now, events),
            ProtocolError::CursorExpired { feed } => {
                if !flight.cursors.contains_key(feed) {
                    self.fail(Standing::Problem(Problem::ServerNonsense), now);
                    return Ok(());
                }
                ledger.write(|tx| tx.reset_feed(feed))?;
                events.push(EngineEvent::FeedReset(feed.clone()));
                self.more = true;
                self.again(now);
            }
            ProtocolError::TooLarge | ProtocolError::Unreadable { .. } => {
                self.batch_refused(flight, error, now)
            }
            ProtocolError::Unauthorised => self.shut_out(Problem::Unauthorised, now),
            ProtocolError::Forbidden => self.shut_out(Problem::Forbidden, now),
            ProtocolError::Revoked => self.shut_out(Problem::Revoked, now),
            // The last two are answers to other requests.
            ProtocolError::CodeInvalid
            | ProtocolError::NoSnapshot
            | ProtocolError::BadRange { .. } => {
                self.fail(Standing::Problem(Problem::ServerNonsense), now)
            }
            ProtocolError::Upgrade => {
                self.standing = Standing::Problem(Problem::Upgrade);
                // Not for ever: a server may be put back, and a till that sells never starts anew.
                self.pull_refused = Some(now.boot.ms + BACKOFF_MS_MAX);
                if flight.pulled && flight.pushed.is_some() {
                    self.again(now);
                } else {
                    self.more = false;
                    self.next_pull = now.boot.ms + BACKOFF_MS_MAX;
                    self.failures = self.failures.max(5);
                    self.wait_after_failure(now);
                }
            }
            ProtocolError::Busy { after_ms } => self.wait_as_asked(*after_ms, now),
            ProtocolError::Internal => self.fail(Standing::Offline, now),
        }
        Ok(())
    }

    /// Halves the batch; a single event that is refused holds back the push for a while, never the pull.
    fn batch_refused(&mut self, flight: &Flight, error: &ProtocolError, now: &Now) {
        match flight.pushed {
            Some((first, last)) if last > first => {
                let sent = usize::try_from(last - first + 1).unwrap_or(self.events_max);
                self.events_max = (sent / 2).max(1);
                self.not_before = 0;
            }
            Some((seq, _)) => {
                tracing::error!(event.seq = seq, cause = %error, "the server will not take an event");
                self.push_stop = Some(PushStop::Until(now.boot.ms + BACKOFF_MS_MAX));
                self.standing = Standing::Problem(Problem::PushRefused);
                self.again(now);
            }
            None => self.fail(Standing::Problem(Problem::ServerNonsense), now),
        }
    }

    /// Stops pushing; goes on pulling, unless it was the pull that was answered so.
    fn parted(
        &mut self,
        flight: &Flight,
        problem: Problem,
        now: &Now,
        events: &mut Vec<EngineEvent>,
    ) {
        self.break_stream(problem, events);
        if flight.pushed.is_some() {
            self.again(now);
        } else {
            self.fail(Standing::Problem(problem), now);
        }
    }

    fn break_stream(&mut self, problem: Problem, events: &mut Vec<EngineEvent>) {
        if !matches!(self.push_stop, Some(PushStop::Broken(_))) {
            tracing::error!(
                problem = problem.code(),
                "this till's history and the server's part"
            );
            events.push(EngineEvent::StreamBroken(problem));
        }
        self.push_stop = Some(PushStop::Broken(problem));
        self.standing = Standing::Problem(problem);
    }

    /// The next try may follow at once, unless too many led nowhere.
    fn again(&mut self, now: &Now) {
        self.fruitless += 1;
        if self.fruitless > FRUITLESS_MAX {
            self.wait_after_failure(now);
        } else {
            self.not_before = 0;
            self.next_pull = 0;
        }
    }

    fn shut_out(&mut self, problem: Problem, now: &Now) {
        // Trying every second helps nobody: a person has to act first.
        self.failures = self.failures.max(6);
        self.fail(Standing::Problem(problem), now);
    }

    fn fail(&mut self, standing: Standing, now: &Now) {
        self.standing = standing;
        self.next_pull = 0;
        self.wait_after_failure(now);
    }

    fn wait_as_asked(&mut self, after_ms: u64, now: &Now) {
        let wait = after_ms.clamp(1_000, WAIT_MS_MAX);
        self.not_before = now.boot.ms + wait + self.pace.spread_ms(wait / 5);
        self.asked_to_wait = true;
    }

    fn wait_after_failure(&mut self, now: &Now) {
        self.failures = self.failures.saturating_add(1);
        self.asked_to_wait = false;
        self.not_before = now.boot.ms + self.pace.backoff_ms(self.failures);
    }
}

#[derive(Debug, Default)]
struct PagesOutcome {
    more: bool,
    reset: bool,
    damaged: bool,
    stuck: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ack {
    Mine,
    Fault(Problem),
}

enum Answer {
    Accepted(Box<SyncReply>),
    Refused(ProtocolError),
    Down,
    Nonsense,
}

fn read_reply(status: u16, retry_after_ms: Option<u64>, body: &[u8]) -> Answer {
    if status == 200 {
        return serde_json::from_slice(body)
            .map_or(Answer::Nonsense, |reply| Answer::Accepted(Box::new(reply)));
    }
    if let Ok(error) = serde_json::from_slice::<ProtocolError>(body) {
        return if (200..400).contains(&status) {
            Answer::Nonsense
        } else {
            Answer::Refused(error)
        };
    }
    match status {
        413 => Answer::Refused(ProtocolError::TooLarge),
        429 | 503 => Answer::Refused(ProtocolError::Busy {
            after_ms: retry_after_ms.unwrap_or(5_000),
        }),
        // A gateway speaks for a server that is down; any other failure in words that are not ours comes from
        // a stranger.
        502 | 504 => Answer::Down,
        _ => Answer::Nonsense,
    }
}

fn sign_request(outgoing: &mut Outgoing, link: &Link, key: &SigningKey) {
    let signature = sign::sign(
        key,
        &sign::request_message(&link.tenant, link.device, &outgoing.body),
    );
    outgoing
        .headers
        .push(("authorization", format!("Bearer {}", link.token)));
    outgoing
        .headers
        .push((HEADER_DEVICE, link.device.to_string()));
    outgoing.headers.push((HEADER_SIGNATURE, signature));
}

fn server_life(ledger: &Ledger, link: &Link) -> Result<ServerLife, LedgerError> {
    let enrolled = || ServerLife {
        authority: link.authority.clone(),
        epoch: link.epoch,
    };
    let kept = ledger.local(SERVER_LIFE)?;
    Ok(kept
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_else(enrolled))
}

fn corrupt(seq: u64, what: &str) -> LedgerError {
    LedgerError::Corrupt {
        table: "event",
        key: seq.to_string(),
        what: what.to_owned(),
    }
}

/// A page that promises more but does not move the cursor would be asked for for ever.
fn makes_no_progress(page: &FeedPage, cursors: &BTreeMap<FeedName, Cursor>) -> bool {
    match cursors.get(&page.feed) {
        Some(cursor) => page.next <= *cursor,
        None => page.rows.is_empty(),
    }
}

/// Whether boot time `at` has come. A time further ahead than any wait of ours belongs to another boot.
const fn is_due(at: u64, now: &Now) -> bool {
    at <= now.boot.ms || at - now.boot.ms > 2 * WAIT_MS_MAX
}
