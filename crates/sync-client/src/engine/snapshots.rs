//! Large feeds as files that are fetched in parts.
//!
//! Only a till that cannot sell yet fetches them: one transaction over a whole catalogue would keep a shopper waiting,
//! so a selling till reads pages, between which sales go through. What has arrived is in the ledger under the file's
//! digest: after a restart the server names the file anew, and its parts go on where they stopped. Whatever goes wrong
//! with a file, its feed is read in pages in the end.

use std::collections::{BTreeMap, BTreeSet};

use domain::time::Now;
use ed25519_dalek::SigningKey;
use ledger::{Ledger, LedgerError, PageOutcome};
use sync_protocol::{
    Cursor, FeedName, FeedPage, ProtocolError, SNAPSHOT_DECODED_MAX, Snapshot, SyncReply,
};

use super::{
    Answer, Engine, EngineEvent, Flight, Link, Problem, ServerLife, Standing, read_reply,
    sign_request,
};
use crate::outgoing::{Outgoing, OutgoingKind, TransportOutcome};
use crate::unpack::unpack;

/// How much smaller parts become after failures, and larger after successes.
const PART_FACTOR_MAX: u64 = 8;
/// Files of a feed that may lead nowhere in one run, before the feed is read in pages.
const SPOILT_MAX: u32 = 2;

/// Answers in a row that may be a stranger's. A hotel's network lets the server through in the end; a proxy that knows
/// no such request never does.
const STRANGERS_MAX: u32 = 5;

/// Which files are under way.
#[derive(Debug)]
pub(super) struct Fetching {
    /// The first is fetched now.
    files: Vec<Snapshot>,
    /// How often a feed's file led nowhere in this run.
    spoilt: BTreeMap<FeedName, u32>,
    /// Answers in a row that were not the server's.
    strangers: u32,
    part_bytes: u64,
    /// No part is left of a feed that is read already.
    tidy: bool,
}

impl Fetching {
    pub const fn new(part_bytes: u64) -> Fetching {
        Fetching {
            files: Vec::new(),
            spoilt: BTreeMap::new(),
            strangers: 0,
            part_bytes,
            tidy: false,
        }
    }

    /// Another server, or the same one in another life, has other files.
    pub fn forget(&mut self) {
        self.files.clear();
    }

    pub const fn is_any(&self) -> bool {
        !self.files.is_empty()
    }

    pub fn is_under_way(&self, feed: &FeedName) -> bool {
        self.files.iter().any(|file| file.feed == *feed)
    }

    fn is_given_up(&self, feed: &FeedName) -> bool {
        self.spoilt
            .get(feed)
            .is_some_and(|times| *times > SPOILT_MAX)
    }

    /// Gives up the file, and its feed's files when that happens too often.
    fn spoil(&mut self, ledger: &mut Ledger, file: &Snapshot) -> Result<(), LedgerError> {
        *self.spoilt.entry(file.feed.clone()).or_insert(0) += 1;
        self.drop_file(file);
        self.keep_parts(ledger)
    }

    fn drop_file(&mut self, file: &Snapshot) {
        self.files.retain(|other| other.feed != file.feed);
    }

    fn keep_parts(&self, ledger: &mut Ledger) -> Result<(), LedgerError> {
        let wanted: Vec<_> = self.files.iter().map(|file| file.digest).collect();
        ledger.write(|tx| tx.keep_parts(&wanted))
    }
}

/// Bytes asked for of a file.
#[derive(Debug, Clone)]
pub(super) struct Part {
    file: Snapshot,
    from: u64,
    /// The byte after the last.
    to: u64,
}

impl Engine {
    /// Feeds to fetch as files, and no longer those files whose feeds are not among them.
    pub(super) fn snapshots_wanted(
        &mut self,
        ledger: &Ledger,
        cursors: &BTreeMap<FeedName, Cursor>,
    ) -> Result<BTreeSet<FeedName>, LedgerError> {
        let unread = cursors.iter().filter(|(feed, cursor)| {
            matches!(feed, FeedName::Catalogue | FeedName::Price(_))
                && **cursor == Cursor::default()
                && !self.fetching.is_given_up(feed)
        });
        let mut wanted: BTreeSet<FeedName> = unread.map(|(feed, _)| feed.clone()).collect();
        if self.no_pull() || !wanted.is_empty() && ledger.ready_to_sell()? {
            wanted.clear();
        }
        self.fetching
            .files
            .retain(|file| wanted.contains(&file.feed));
        Ok(wanted)
    }

    /// What to fetch next.
    pub(super) fn next_part(&self, ledger: &Ledger) -> Result<Option<Part>, LedgerError> {
        let Some(file) = self.fetching.files.first() else {
            return Ok(None);
        };
        let from = ledger.fetched(file.digest)?;
        let to = from
            .saturating_add(self.fetching.part_bytes)
            .min(file.bytes);
        let file = file.clone();
        Ok((from < to).then_some(Part { file, from, to }))
    }

    pub(super) fn ask_part(
        &mut self,
        part: Part,
        life: ServerLife,
        link: &Link,
        key: &SigningKey,
        now: &Now,
    ) -> Outgoing {
        self.tickets += 1;
        let digest = part.file.digest;
        let path = format!("/v1/snapshot/{digest}");
        let mut outgoing = Outgoing::get(self.tickets, path, OutgoingKind::Snapshot);
        // The digest is over the bytes as they are sent.
        outgoing.headers = vec![
            ("accept-encoding", "identity".to_owned()),
            ("range", format!("bytes={}-{}", part.from, part.to - 1)),
            ("if-range", format!("\"{digest}\"")),
        ];
        sign_request(&mut outgoing, link, key);
        self.flight = Some(Flight {
            ticket: self.tickets,
            part: Some(part),
            snapshots: BTreeSet::new(),
            pushed: None,
            pulled: true,
            cursors: BTreeMap::new(),
            life,
            told: None,
            asked: *now,
            trust: (link.tenant.clone(), link.server_key.clone()),
        });
        outgoing
    }

    /// Takes down which files the server names. One that is under way is gone on with, even if there is a newer one.
    pub(super) fn take_named(
        &mut self,
        ledger: &mut Ledger,
        flight: &Flight,
        reply: &SyncReply,
        now: &Now,
        events: &mut Vec<EngineEvent>,
    ) -> Result<(), LedgerError> {
        for file in &reply.snapshots {
            if !flight.snapshots.contains(&file.feed) || self.fetching.is_under_way(&file.feed) {
                continue;
            }
            self.fetching.files.push(file.clone());
            if file.bytes == 0 || file.bytes.max(file.decoded) > SNAPSHOT_DECODED_MAX {
                tracing::warn!(feed = %file.feed, "a snapshot is too large, or empty");
                self.fetching.spoil(ledger, file)?;
            }
        }
        if self.fetching.is_any() {
            self.fetching.keep_parts(ledger)?;
            self.fetching.tidy = false;
            for file in self.fetching.files.clone() {
                self.finish(ledger, &file, now, events)?;
            }
        } else if !self.fetching.tidy && ledger.ready_to_sell()? {
            self.fetching.keep_parts(ledger)?;
            self.fetching.tidy = true;
        }
        Ok(())
    }

    /// Takes in what became of a request for a part.
    pub(super) fn take_part(
        &mut self,
        ledger: &mut Ledger,
        part: &Part,
        outcome: TransportOutcome,
        now: &Now,
        events: &mut Vec<EngineEvent>,
    ) -> Result<(), LedgerError> {
        self.more = true;
        self.asked_to_wait = false;
        let (status, retry_after_ms, body) = match outcome {
            TransportOutcome::Reply {
                status,
                retry_after_ms,
                body,
            } => (status, retry_after_ms, body),
            TransportOutcome::Unreachable => {
                let least = (self.config.part_bytes / PART_FACTOR_MAX).max(1);
                self.fetching.part_bytes = (self.fetching.part_bytes / 2).max(least);
                self.fail(Standing::Offline, now);
                return Ok(());
            }
            TransportOutcome::NotOurs => {
                self.fetching.strangers += 1;
                if self.fetching.strangers > STRANGERS_MAX {
                    self.fetching.strangers = 0;
                    self.fetching.spoil(ledger, &part.file)?;
                }
                self.fail(Standing::Problem(Problem::ServerNonsense), now);
                return Ok(());
            }
        };
        let length = body.len() as u64;
        let digest = part.file.digest;
        match status {
            206 if (1..=part.to - part.from).contains(&length) => {
                ledger.write(|tx| tx.add_part(digest, &body))?;
            }
            // Somebody on the way knows no ranges.
            200 if length == part.file.bytes => {
                ledger.write(|tx| {
                    tx.keep_parts(&[])?;
                    tx.add_part(digest, &body)
                })?;
            }
            _ => return self.part_refused(ledger, part, (status, retry_after_ms, &body), now),
        }
        self.fetching.strangers = 0;
        let most = self.config.part_bytes.saturating_mul(PART_FACTOR_MAX);
        self.fetching.part_bytes = self.fetching.part_bytes.saturating_mul(2).min(most);
        self.standing = Standing::Online;
        self.failures = 0;
        self.not_before = 0;
        self.finish(ledger, &part.file, now, events)
    }

    fn part_refused(
        &mut self,
        ledger: &mut Ledger,
        part: &Part,
        (status, retry_after_ms, body): (u16, Option<u64>, &[u8]),
        now: &Now,
    ) -> Result<(), LedgerError> {
        match read_reply(status, retry_after_ms, body) {
            Answer::Refused(ProtocolError::Unauthorised) => {
                self.shut_out(Problem::Unauthorised, now);
            }
            Answer::Refused(ProtocolError::Forbidden) => self.shut_out(Problem::Forbidden, now),
            Answer::Refused(ProtocolError::Revoked) => self.shut_out(Problem::Revoked, now),
            Answer::Refused(ProtocolError::Busy { after_ms }) => self.wait_as_asked(after_ms, now),
            Answer::Refused(ProtocolError::Internal) | Answer::Down => {
                self.fail(Standing::Offline, now);
            }
            // It is gone, or not what was named: the server is asked again which there is.
            Answer::Refused(_) | Answer::Accepted(_) | Answer::Nonsense => {
                tracing::info!(feed = %part.file.feed, status, "no such part of a snapshot");
                self.fetching.spoil(ledger, &part.file)?;
                self.again(now);
            }
        }
        Ok(())
    }

    /// Takes in the feed, if its file is whole.
    fn finish(
        &mut self,
        ledger: &mut Ledger,
        file: &Snapshot,
        now: &Now,
        events: &mut Vec<EngineEvent>,
    ) -> Result<(), LedgerError> {
        if ledger.fetched(file.digest)? < file.bytes {
            return Ok(());
        }
        let Some(page) = read(file, &ledger.fetched_bytes(file.digest)?) else {
            tracing::warn!(feed = %file.feed, "a snapshot arrived damaged");
            return self.fetching.spoil(ledger, file);
        };
        let outcome = ledger.write(|tx| tx.apply_page(&page, now.wall_ms, now.wall_ms))?;
        match outcome {
            PageOutcome::Applied { .. } => {
                events.push(EngineEvent::Applied {
                    feed: file.feed.clone(),
                    rows: page.rows.len(),
                });
                self.fetching.drop_file(file);
                self.fetching.keep_parts(ledger)
            }
            PageOutcome::ChecksumMismatch => {
                events.push(EngineEvent::FeedReset(file.feed.clone()));
                self.fetching.spoil(ledger, file)
            }
            PageOutcome::Stale | PageOutcome::NotFollowed => self.fetching.spoil(ledger, file),
        }
    }
}

/// The page in a file; none when it is not what was named.
fn read(file: &Snapshot, bytes: &[u8]) -> Option<FeedPage> {
    if bytes.len() as u64 != file.bytes || Snapshot::digest(bytes) != file.digest {
        return None;
    }
    let json = unpack(bytes, file.decoded)?;
    if json.len() as u64 != file.decoded {
        return None;
    }
    let page: FeedPage = serde_json::from_slice(&json).ok()?;
    let is_whole = page.feed == file.feed && page.ver == file.ver && !page.more;
    is_whole.then_some(page)
}
