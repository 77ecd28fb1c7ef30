//! A server in memory that keeps the rules of the protocol, and a till that talks to it over a bad line.

use std::collections::BTreeMap;
use std::io::Read as _;

use domain::config::KeyAlgorithm;
use domain::event::{Fact, SignInBlocked, StreamOpened, StreamReason, chain_hash, genesis_hash};
use domain::ids::{
    DeviceId, Digest, EventId, LocationId, StoreId, StreamId, TenantId, TillId, UserId,
};
use domain::time::{Boot, Now};
use ed25519_dalek::SigningKey;
use ledger::{Ledger, LedgerError, NewStream};
use sync_client::{Engine, EngineConfig, EngineEvent, Link, Outgoing, TransportOutcome};
use sync_protocol::feed::{checksum_add, row_checksum};
use sync_protocol::{
    Cursor, FeedName, FeedPage, FeedRow, HEADER_DEVICE, HEADER_SIGNATURE, PROTOCOL, ProtocolError,
    Snapshot, SyncReply, SyncRequest, sign,
};
use uuid::Uuid;

/// What the line or the server does to one request.
pub enum Fault {
    /// The request never arrives.
    LoseRequest,
    /// The server acts, its reply is lost.
    LoseReply,
    /// The request arrives twice; the second reply comes back.
    Duplicate,
    /// The server answers this instead of acting.
    Answer(u16, Vec<u8>),
    /// The reply is changed on its way by a server gone wrong.
    Bend(Box<dyn Fn(&mut SyncReply)>),
}

impl Fault {
    pub fn error(error: ProtocolError) -> Fault {
        Fault::Answer(error.status(), serde_json::to_vec(&error).expect("error"))
    }
}

/// Rows of one feed: key to version and content.
pub type Rows = BTreeMap<String, (u64, Option<String>)>;

/// The server's side.
pub struct Server {
    pub authority: String,
    pub epoch: u64,
    pub stream: StreamId,
    pub events: Vec<Vec<u8>>,
    pub feeds: BTreeMap<FeedName, Rows>,
    pub page_rows: usize,
    pub requests: Vec<SyncRequest>,
    /// Takes no batch with more events than this.
    pub batch_max: usize,
    /// The version of the protocol that it speaks; like the real one it takes nothing of a request in another.
    pub protocol: u32,
    /// Cannot read events at these positions when they come.
    pub unreadable: Vec<u64>,
    pub offers_snapshots: bool,
    /// Files that were named, by what names them.
    pub files: BTreeMap<Digest, Vec<u8>>,
    /// What is wrong with files and what they are named.
    pub bend_file: fn(&mut Snapshot, &mut Vec<u8>),
    /// Sends the whole file whatever range is asked for.
    pub knows_no_ranges: bool,
    /// Bytes of files that were sent.
    pub file_bytes: usize,
    /// Sends no page of a feed that has no news, as the real one does.
    pub no_news_no_page: bool,
    /// Requests for files.
    pub snapshots: usize,
    public_key: String,
    link: Link,
}

impl Server {
    fn hash_at(&self, seq: u64) -> Digest {
        self.events[..seq as usize]
            .iter()
            .fold(genesis_hash(self.stream), |hash, bytes| {
                chain_hash(hash, bytes)
            })
    }

    pub fn put(&mut self, feed: &FeedName, pk: &str, row: Option<&str>) {
        let rows = self.feeds.entry(feed.clone()).or_default();
        let ver = rows.values().map(|(ver, _)| *ver).max().unwrap_or(0) + 1;
        rows.insert(pk.to_owned(), (ver, row.map(str::to_owned)));
    }

    /// Checksum of a feed as it is served.
    pub fn checksum(&self, feed: &FeedName) -> u64 {
        let live = self.feeds[feed].iter().filter_map(|(pk, (_, row))| {
            let row = row.as_ref()?;
            Some(row_checksum(pk, row))
        });
        live.fold(0, checksum_add)
    }

    fn page(&self, feed: &FeedName, cursor: Option<&Cursor>, limit: usize) -> FeedPage {
        let rows = &self.feeds[feed];
        let mut after: Vec<(&String, &(u64, Option<String>))> = rows
            .iter()
            .filter(|(pk, (ver, _))| {
                cursor.is_none_or(|cursor| (*ver, pk.as_str()) > (cursor.ver, cursor.pk.as_str()))
            })
            .collect();
        after.sort_by_key(|(pk, (ver, _))| (*ver, pk.as_str()));
        let take = limit.min(self.page_rows);
        let more = after.len() > take;
        after.truncate(take);
        let next = after.last().map_or_else(
            || cursor.cloned().unwrap_or_default(),
            |(pk, (ver, _))| Cursor {
                ver: *ver,
                pk: (*pk).clone(),
            },
        );
        FeedPage {
            feed: feed.clone(),
            rows: after
                .into_iter()
                .map(|(pk, (ver, row))| FeedRow {
                    pk: pk.clone(),
                    ver: *ver,
                    row: row.as_ref().map(|row| {
                        serde_json::value::RawValue::from_string(row.clone()).expect("row")
                    }),
                })
                .collect(),
            next,
            more,
            ver: rows.values().map(|(ver, _)| *ver).max().unwrap_or(0),
            checksum: (!more).then(|| self.checksum(feed)),
            folded: BTreeMap::new(),
        }
    }

    /// Answers as the protocol wants it.
    pub fn serve(&mut self, outgoing: &Outgoing) -> TransportOutcome {
        if let Some(digest) = outgoing.path.strip_prefix("/v1/snapshot/") {
            self.check(outgoing);
            self.snapshots += 1;
            return self.part(digest.parse().expect("digest"), outgoing);
        }
        answer(self.sync(outgoing))
    }

    fn part(&mut self, digest: Digest, outgoing: &Outgoing) -> TransportOutcome {
        let Some(file) = self.files.get(&digest) else {
            return answer(Err(ProtocolError::NoSnapshot));
        };
        let (status, body) = if self.knows_no_ranges {
            (200, file.clone())
        } else {
            let range = header(outgoing, "range");
            let range = range.strip_prefix("bytes=").and_then(|r| r.split_once('-'));
            let (from, last) = range.expect("range");
            let from: usize = from.parse().expect("first byte");
            let last: usize = last.parse().expect("last byte");
            assert!(from <= last && last < file.len(), "{from}-{last}");
            (206, file[from..=last].to_vec())
        };
        assert_eq!(header(outgoing, "if-range"), format!("\"{digest}\""));
        self.file_bytes += body.len();
        TransportOutcome::Reply {
            status,
            retry_after_ms: None,
            body,
        }
    }

    /// Names a file of all live rows of `feed`.
    pub fn name(&mut self, feed: &FeedName) -> Snapshot {
        let page_rows = std::mem::replace(&mut self.page_rows, usize::MAX);
        let page = self.page(feed, None, usize::MAX);
        self.page_rows = page_rows;
        let json = serde_json::to_vec(&page).expect("page");
        let mut file = zstd::bulk::compress(&json, 3).expect("zstd");
        let mut snapshot = Snapshot {
            feed: feed.clone(),
            ver: page.ver,
            digest: Snapshot::digest(&file),
            bytes: file.len() as u64,
            decoded: json.len() as u64,
        };
        let digest = snapshot.digest;
        (self.bend_file)(&mut snapshot, &mut file);
        self.files.insert(digest, file);
        snapshot
    }

    fn check(&self, outgoing: &Outgoing) {
        let header = |name| header(outgoing, name);
        assert_eq!(
            header("authorization"),
            format!("Bearer {}", self.link.token)
        );
        assert_eq!(header(HEADER_DEVICE), self.link.device.to_string());
        let message = sign::request_message(&self.link.tenant, self.link.device, &outgoing.body);
        sign::verify(
            KeyAlgorithm::Ed25519,
            &self.public_key,
            &message,
            &header(HEADER_SIGNATURE),
        )
        .expect("signature of the request");
    }

    pub fn sync(&mut self, outgoing: &Outgoing) -> Result<SyncReply, ProtocolError> {
        assert_eq!(outgoing.path, "/v1/sync");
        self.check(outgoing);
        let mut text = Vec::new();
        let mut decoder = zstd::stream::read::Decoder::new(&outgoing.body[..]).expect("zstd");
        decoder.read_to_end(&mut text).expect("zstd");
        let request: SyncRequest = serde_json::from_slice(&text).expect("request");
        self.requests.push(request.clone());
        if request.protocol != self.protocol {
            return Err(ProtocolError::Upgrade);
        }
        assert_eq!(request.stream, self.stream);
        self.push(&request)?;
        let ack_seq = self.events.len() as u64;
        let mut snapshots = Vec::new();
        if self.offers_snapshots {
            snapshots.extend(request.snapshots.iter().map(|feed| self.name(feed)));
        }
        let newest = |feed: &FeedName| {
            self.feeds[feed]
                .values()
                .map(|(ver, _)| *ver)
                .max()
                .unwrap_or(0)
        };
        let mut pages = Vec::new();
        if request.limit > 0 {
            for feed in self.feeds.keys() {
                let cursor = request.cursors.get(feed);
                if cursor.is_some_and(|cursor| cursor.ver > newest(feed)) {
                    return Err(ProtocolError::CursorExpired { feed: feed.clone() });
                }
                let is_named = snapshots.iter().any(|file| file.feed == *feed);
                let limit = if is_named { 0 } else { request.limit as usize };
                let page = self.page(feed, cursor, limit);
                if !page.rows.is_empty() || page.more || !self.no_news_no_page {
                    pages.push(page);
                }
            }
        }
        Ok(SyncReply {
            authority: self.authority.clone(),
            epoch: self.epoch,
            server_time: 5_000,
            ack_seq,
            ack_hash: self.hash_at(ack_seq),
            quarantined: Vec::new(),
            pages,
            feeds: self.feeds.keys().cloned().collect(),
            grants: Vec::new(),
            recall: Vec::new(),
            counts: Vec::new(),
            snapshots,
        })
    }

    fn push(&mut self, request: &SyncRequest) -> Result<(), ProtocolError> {
        let Some(push) = &request.push else {
            return Ok(());
        };
        let last = push.first_seq + push.events.len() as u64 - 1;
        assert_eq!(push.head.seq, last);
        sign::verify_head(
            KeyAlgorithm::Ed25519,
            &self.public_key,
            &self.link.tenant,
            self.stream,
            &push.head,
        )
        .expect("signature of the head");
        if push.events.len() > self.batch_max {
            return Err(ProtocolError::TooLarge);
        }
        if self
            .unreadable
            .iter()
            .any(|seq| (push.first_seq..=last).contains(seq))
        {
            return Err(ProtocolError::Unreadable {
                reason: "test".to_owned(),
            });
        }
        let have = self.events.len() as u64;
        if have > request.head_seq {
            return Err(ProtocolError::Behind { server_head: have });
        }
        if push.first_seq > have + 1 {
            return Err(ProtocolError::Gap { expected: have + 1 });
        }
        if push.prev_hash != self.hash_at(push.first_seq - 1) {
            return Err(ProtocolError::Fork {
                at: push.first_seq - 1,
            });
        }
        for (index, event) in push.events.iter().enumerate() {
            let at = push.first_seq as usize - 1 + index;
            match self.events.get(at) {
                Some(known) if known == event.get().as_bytes() => {}
                Some(_) => return Err(ProtocolError::Fork { at: at as u64 + 1 }),
                None => self.events.push(event.get().as_bytes().to_vec()),
            }
        }
        assert_eq!(
            self.hash_at(last),
            push.head.hash,
            "the signed head is the head of the events"
        );
        Ok(())
    }
}

fn header(outgoing: &Outgoing, name: &str) -> String {
    let found = outgoing.headers.iter().find(|(key, _)| *key == name);
    let (_, value) = found.unwrap_or_else(|| panic!("no header {name}"));
    value.clone()
}

/// A till, its server and the line between them.
pub struct World {
    pub ledger: Ledger,
    pub engine: Engine,
    pub link: Link,
    pub key: SigningKey,
    pub server: Server,
    pub now: Now,
    pub seen: Vec<EngineEvent>,
    ids: u128,
}

pub const CATALOGUE: FeedName = FeedName::Catalogue;

impl World {
    pub fn new() -> World {
        World::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut EngineConfig)) -> World {
        let key = SigningKey::from_bytes(&[3; 32]);
        let tenant = TenantId::new("atlas").expect("tenant");
        let device = DeviceId(Uuid::from_u128(77));
        let stream = StreamId([5; 16]);
        let now = Now {
            wall_ms: 1_790_000_000_000,
            boot: Boot { id: 1, ms: 10_000 },
            utc_offset_min: 60,
        };
        let opened = StreamOpened {
            reason: StreamReason::Enrolled,
            tenant: tenant.clone(),
            store: Some(StoreId::new("LM").expect("store")),
            till: Some(TillId::new("01").expect("till")),
            device,
            key_algorithm: KeyAlgorithm::Ed25519,
            public_key: sign::public_key(&key),
            previous: None,
            z_number: 0,
            perpetual_minor: 0,
            periods: std::collections::BTreeMap::new(),
            numbers: std::collections::BTreeMap::new(),
            witness: None,
        };
        let new = NewStream {
            stream,
            location: LocationId::new("LM").expect("location"),
            opened,
        };
        let ledger =
            Ledger::create_in_memory(new, &now, EventId(Uuid::from_u128(1))).expect("ledger");
        let link = Link {
            tenant,
            device,
            token: "secret".to_owned(),
            authority: "hq".to_owned(),
            epoch: 1,
            server_key: sign::public_key(&SigningKey::from_bytes(&[99; 32])),
        };
        let server = Server {
            authority: "hq".to_owned(),
            epoch: 1,
            stream,
            events: Vec::new(),
            feeds: BTreeMap::new(),
            page_rows: 100,
            requests: Vec::new(),
            batch_max: usize::MAX,
            protocol: PROTOCOL,
            unreadable: Vec::new(),
            offers_snapshots: false,
            files: BTreeMap::new(),
            bend_file: |_, _| {},
            knows_no_ranges: false,
            file_bytes: 0,
            no_news_no_page: false,
            snapshots: 0,
            public_key: sign::public_key(&key),
            link: link.clone(),
        };
        let mut config = EngineConfig::new("test", 42);
        change(&mut config);
        World {
            ledger,
            engine: Engine::new(config),
            link,
            key,
            server,
            now,
            seen: Vec::new(),
            ids: 1,
        }
    }

    /// Lets something happen `times` times at the till.
    pub fn happen(&mut self, times: usize) {
        for _ in 0..times {
            self.ids += 1;
            let fact = Fact::SignInBlocked(SignInBlocked {
                user: UserId(Uuid::nil()),
                failures: 1,
                unblocked_by: None,
            });
            let (now, id) = (self.now, EventId(Uuid::from_u128(self.ids)));
            self.ledger
                .write(|tx| -> Result<_, LedgerError> { tx.append(&now, id, &fact) })
                .expect("append");
        }
    }

    pub fn pass(&mut self, ms: u64) {
        self.now.boot.ms += ms;
        self.now.wall_ms += ms as i64;
    }

    pub fn poll(&mut self) -> Option<Outgoing> {
        self.engine
            .poll(&self.ledger, &self.link, &self.key, &self.now)
    }

    pub fn take(&mut self, ticket: u64, outcome: TransportOutcome) -> Vec<EngineEvent> {
        let events = self
            .engine
            .handle(&mut self.ledger, ticket, outcome, &self.now);
        self.seen.extend(events.clone());
        events
    }

    /// One exchange, if the engine wants one.
    pub fn exchange(&mut self, fault: Option<Fault>) -> bool {
        let Some(outgoing) = self.poll() else {
            return false;
        };
        let outcome = match fault {
            None => self.server.serve(&outgoing),
            Some(Fault::LoseRequest) => TransportOutcome::Unreachable,
            Some(Fault::LoseReply) => {
                let _ = self.server.serve(&outgoing);
                TransportOutcome::Unreachable
            }
            Some(Fault::Duplicate) => {
                let _ = self.server.serve(&outgoing);
                self.server.serve(&outgoing)
            }
            Some(Fault::Answer(status, body)) => TransportOutcome::Reply {
                status,
                retry_after_ms: None,
                body,
            },
            Some(Fault::Bend(bend)) => {
                let mut reply = self.server.sync(&outgoing).expect("reply");
                bend(&mut reply);
                answer(Ok(reply))
            }
        };
        self.take(outgoing.ticket, outcome);
        true
    }

    /// Exchanges until the engine waits, without time passing; returns how many.
    pub fn settle(&mut self) -> usize {
        let mut count = 0;
        while self.exchange(None) {
            count += 1;
            assert!(count < 200, "the engine spins");
        }
        count
    }

    /// Passes time to the engine's next wake and settles, as often as `times`.
    pub fn live(&mut self, times: usize) {
        for _ in 0..times {
            let wait = self
                .engine
                .next_wake_ms(&self.now)
                .expect("nothing is under way");
            self.pass(wait);
            self.settle();
        }
    }

    pub fn acked(&self) -> u64 {
        self.ledger
            .acked(&self.server.authority, self.server.epoch)
            .expect("acked")
    }

    pub fn head(&self) -> u64 {
        self.ledger.head().seq
    }

    /// The server holds exactly the till's journal, and the till knows it.
    pub fn assert_in_step(&self) {
        assert_eq!(self.server.events.len() as u64, self.head());
        assert_eq!(self.server.hash_at(self.head()), self.ledger.head().hash);
        assert_eq!(self.acked(), self.head());
    }
}

pub fn answer(result: Result<SyncReply, ProtocolError>) -> TransportOutcome {
    let (status, body) = match result {
        Ok(reply) => (200, serde_json::to_vec(&reply).expect("reply")),
        Err(error) => (error.status(), serde_json::to_vec(&error).expect("error")),
    };
    TransportOutcome::Reply {
        status,
        retry_after_ms: None,
        body,
    }
}
