//! The sync routes over real sockets: who is let in, what is too much, and who is shown the door.

#[path = "http/refusals.rs"]
mod refusals;
#[path = "http/snapshots.rs"]
mod snapshots;
#[path = "http/tenants.rs"]
mod tenants;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::catalog::{Language, Names};
use domain::config::{KeyAlgorithm, StoreConfig, TaxRounding};
use domain::entropy::Entropy;
use domain::event::{
    Event, Fact, SealReason, StreamOpened, StreamReason, chain_hash, genesis_hash,
};
use domain::ids::{EventId, LocationId, PriceListId, StoreId, StreamId, TenantId, TillId};
use domain::money::Currency;
use domain::time::{Boot, Hlc, Now};
use ed25519_dalek::SigningKey;
use hub::{Hub, NewTenant};
use hub_http::{Limits, Serving, Tenants, routes, serve};
use serde_json::value::RawValue;
use sync_protocol::sign::{public_key, request_message, sign, sign_head};
use sync_protocol::{
    BODY_BYTES_MAX, DeviceStatus, EnrolReply, EnrolRequest, Enrolled, FeedPage, HEADER_DEVICE,
    HEADER_SIGNATURE, PROTOCOL, Poke, ProtocolError, Push, SyncReply, SyncRequest,
};
use tokio::runtime::Runtime;

const WALL: i64 = 1_795_000_000_000;
/// Longest that anything in here may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(20);

fn now() -> Now {
    Now {
        wall_ms: WALL,
        boot: Boot { id: 1, ms: 1 },
        utc_offset_min: 0,
    }
}

struct Server {
    addr: SocketAddr,
    code: String,
    running: Option<(Runtime, Serving)>,
    dir: tempfile::TempDir,
}

impl Server {
    fn start(limits: Limits) -> Server {
        Server::start_with(limits, |_, _| {})
    }

    /// A server whose tenant was prepared by `prepare`; what else lies in its folder is a tenant as well.
    fn start_with(limits: Limits, prepare: impl FnOnce(&mut Hub, &Path)) -> Server {
        let dir = tempfile::tempdir().expect("directory");
        let mut hub = Hub::create(
            &dir.path().join("t.db"),
            &NewTenant {
                tenant: TenantId::new("t").expect("tenant"),
                chain: "Test".to_owned(),
            },
            &now(),
            Entropy::new([1; 32]),
        )
        .expect("hub");
        hub.create_store(&store()).expect("store");
        let till = TillId::new("01").expect("till");
        let code = hub
            .issue_code(&store().store, &till, true, &now())
            .expect("code");
        prepare(&mut hub, dir.path());
        drop(hub);
        let folder = dir.path().to_owned();
        let open = move |tenant: &TenantId| {
            let path = folder.join(format!("{tenant}.db"));
            // Two chains on one server draw no ids alike.
            let seed = tenant.as_str().bytes().fold(2, u8::wrapping_add);
            let hub = path
                .is_file()
                .then(|| Hub::open(&path, Entropy::new([seed; 32])));
            hub.transpose()
        };
        let runtime = Runtime::new().expect("runtime");
        let serving = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
                .await
                .expect("listen");
            let router = routes(Arc::new(Tenants::new(Box::new(open))), Arc::new(now));
            serve(listener, router, limits).expect("serve")
        });
        Server {
            addr: serving.addr(),
            code,
            running: Some((runtime, serving)),
            dir,
        }
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.addr).expect("connect");
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        socket
    }

    fn call(&self, head: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut socket = self.connect();
        let mut request = format!(
            "{head} HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        socket.write_all(request.as_bytes()).expect("write");
        // A server that has refused the header may close before the body is through.
        let _ = socket.write_all(body);
        let mut raw = Vec::new();
        let _ = socket.read_to_end(&mut raw);
        Reply::read(&raw)
    }

    fn enrol(&self) -> Till {
        self.enrol_with(&self.code, 7)
    }

    fn enrol_with(&self, code: &str, seed: u8) -> Till {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let request = EnrolRequest {
            code: code.to_owned(),
            key_algorithm: KeyAlgorithm::Ed25519,
            public_key: public_key(&key),
            app: "test".to_owned(),
            protocols: vec![PROTOCOL],
        };
        let body = serde_json::to_vec(&request).expect("json");
        let reply = self.call("POST /v1/enrol", &[], &body);
        assert_eq!(reply.status, 200);
        match serde_json::from_slice(&reply.body).expect("reply") {
            EnrolReply::Enrolled(enrolled) => Till {
                enrolled: *enrolled,
                key,
            },
            EnrolReply::Pending { .. } => panic!("the code was confirmed beforehand"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((runtime, serving)) = self.running.take() {
            runtime.block_on(serving.shutdown());
        }
    }
}

#[derive(Debug)]
struct Reply {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Reply {
    fn read(raw: &[u8]) -> Reply {
        let end = raw
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(raw)));
        let head = String::from_utf8_lossy(&raw[..end]);
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        Reply {
            status: status.and_then(|code| code.parse().ok()).expect("status"),
            headers: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: raw[end + 4..].to_vec(),
        }
    }

    fn error(&self) -> ProtocolError {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }
}

fn store() -> StoreConfig {
    StoreConfig {
        store: StoreId::new("LM").expect("store"),
        location: LocationId::new("LM").expect("location"),
        chain: "Test".to_owned(),
        name: Names::default(),
        address: vec![],
        legal: vec![],
        country: "TN".to_owned(),
        currency: Currency::Tnd,
        price_list: PriceListId::new("TN").expect("list"),
        receipt_language: Language::Fr,
        utc_offset_min: 60,
        taxes: vec![],
        tax_rounding: TaxRounding::PerLine,
        levies: vec![],
        cash_rounding: None,
        over_short_limit_minor: 0,
        discount_limit_bp: 0,
        drawer: domain::config::DrawerRules::default(),
        rules: Default::default(),
        identity: BTreeMap::new(),
        follows: vec![],
        location_names: BTreeMap::new(),
        receipt_code: true,
    }
}

struct Till {
    enrolled: Enrolled,
    key: SigningKey,
}

impl Till {
    fn headers(&self, body: &[u8]) -> Vec<(&'static str, String)> {
        let message = request_message(&self.enrolled.tenant, self.enrolled.device, body);
        vec![
            ("authorization", format!("Bearer {}", self.enrolled.token)),
            (HEADER_DEVICE, self.enrolled.device.to_string()),
            (HEADER_SIGNATURE, sign(&self.key, &message)),
        ]
    }

    fn opening(&self) -> SyncRequest {
        let stream = StreamId([5; 16]);
        let fact = Fact::StreamOpened(StreamOpened {
            reason: StreamReason::Enrolled,
            tenant: self.enrolled.tenant.clone(),
            store: Some(self.enrolled.store.clone()),
            till: Some(self.enrolled.till.clone()),
            device: self.enrolled.device,
            key_algorithm: KeyAlgorithm::Ed25519,
            public_key: public_key(&self.key),
            previous: None,
            z_number: 0,
            perpetual_minor: 0,
            periods: std::collections::BTreeMap::new(),
            numbers: std::collections::BTreeMap::new(),
            witness: None,
        });
        let event = Event {
            stream,
            seq: 1,
            id: EventId(uuid::Uuid::from_u128(1)),
            hlc: Hlc::default().tick(WALL),
            wall: WALL,
            boot: Boot { id: 1, ms: 1 },
            kind: fact.kind().to_owned(),
            schema: fact.schema(),
            body: fact.encode(),
        };
        let bytes = event.encode();
        let hash = chain_hash(genesis_hash(stream), &bytes);
        let text = String::from_utf8(bytes).expect("utf-8");
        SyncRequest {
            protocol: PROTOCOL,
            stream,
            head_seq: 1,
            acked_seq: 0,
            authority: self.enrolled.authority.clone(),
            epoch: self.enrolled.epoch,
            wall: WALL,
            boot: Boot { id: 1, ms: 1 },
            push: Some(Push {
                stream,
                first_seq: 1,
                prev_hash: genesis_hash(stream),
                events: vec![RawValue::from_string(text).expect("json")],
                head: sign_head(&self.key, &self.enrolled.tenant, stream, 1, hash),
            }),
            cursors: BTreeMap::new(),
            limit: 100,
            status: DeviceStatus::default(),
            rights: None,
            snapshots: Default::default(),
        }
    }

    fn sync(&self, server: &Server, body: &[u8], more: &[(&str, &str)]) -> Reply {
        let headers = self.headers(body);
        let mut all: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        all.extend(more);
        server.call("POST /v1/sync", &all, body)
    }
}

#[test]
fn a_till_enrols_pushes_and_takes_a_snapshot_plain_and_compressed() {
    let server = Server::start(Limits::default());
    let till = server.enrol();
    let body = serde_json::to_vec(&till.opening()).expect("json");
    let reply = till.sync(&server, &body, &[]);
    assert_eq!(reply.status, 200);
    let plain: SyncReply = serde_json::from_slice(&reply.body).expect("reply");
    assert_eq!(plain.ack_seq, 1);
    assert!(!plain.pages.is_empty());
    // The signature is over the bytes as sent, so over the compressed ones.
    let packed = zstd::bulk::compress(&body, 3).expect("compress");
    let coded = [
        ("content-encoding", "zstd"),
        ("accept-encoding", "gzip, zstd"),
    ];
    let reply = till.sync(&server, &packed, &coded);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["content-encoding"], "zstd");
    let unpacked = zstd::bulk::decompress(&reply.body, 1 << 20).expect("decompress");
    let again: SyncReply = serde_json::from_slice(&unpacked).expect("reply");
    assert_eq!((again.ack_seq, again.ack_hash), (1, plain.ack_hash));

    let headers = till.headers(b"");
    let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let reply = server.call("GET /v1/snapshot/cfg:LM", &headers, b"");
    assert_eq!(reply.status, 200);
    let page: FeedPage = serde_json::from_slice(&reply.body).expect("page");
    assert_eq!((page.rows.len(), page.more), (2, false));
    for feed in ["cfg:TC", "stock:XX", "nonsense", "%2e%2e"] {
        let reply = server.call(&format!("GET /v1/snapshot/{feed}"), &headers, b"");
        assert_eq!(
            (reply.status, reply.error()),
            (403, ProtocolError::Forbidden)
        );
    }
}

/// Reads one event of an answer that goes on.
fn hear(socket: &mut BufReader<TcpStream>) -> Poke {
    loop {
        let mut line = String::new();
        assert!(socket.read_line(&mut line).expect("a line") > 0, "it ended");
        if let Some(data) = line.strip_prefix("data: ") {
            return serde_json::from_str(data).expect("a poke");
        }
    }
}

#[test]
fn a_till_hears_of_what_is_new_until_the_server_stops() {
    let server = Server::start(Limits::default());
    let till = server.enrol();
    let stranger = server.call("GET /v1/poke", &[], b"");
    assert_eq!(
        (stranger.status, stranger.error()),
        (401, ProtocolError::Unauthorised)
    );
    let listen = || {
        let mut socket = server.connect();
        let mut request = "GET /v1/poke HTTP/1.1\r\nhost: t\r\n".to_owned();
        for (name, value) in till.headers(b"") {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        socket
            .write_all(format!("{request}\r\n").as_bytes())
            .expect("write");
        BufReader::new(socket)
    };
    let (mut one, mut two) = (listen(), listen());
    let first = hear(&mut one);
    assert_eq!(hear(&mut two), first);
    assert!(first.feeds.contains_key("cfg:LM"), "{first:?}");
    assert!(!first.rights);
    // What another process writes is heard of too.
    let path = server.dir.path().join("t.db");
    let mut other = Hub::open(&path, Entropy::new([2; 32])).expect("hub");
    let renamed = StoreConfig {
        chain: "Other".to_owned(),
        ..store()
    };
    other.update_store(&renamed).expect("update");
    let news = hear(&mut one);
    assert_eq!(hear(&mut two), news);
    assert_eq!(news.feeds.keys().collect::<Vec<_>>(), ["cfg:LM"]);
    assert!(news.feeds["cfg:LM"] > first.feeds["cfg:LM"]);
    other
        .revoke_device(till.enrolled.device, SealReason::Lost, &now())
        .expect("revoked");
    let headers = till.headers(b"");
    let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let reply = server.call("GET /v1/poke", &headers, b"");
    assert_eq!((reply.status, reply.error()), (403, ProtocolError::Revoked));
    // The end of the server is not waited for.
    drop(server);
    let mut rest = String::new();
    let ended = one.read_to_string(&mut rest);
    assert!(ended.is_err() || !rest.contains("data:"), "{rest}");
}

#[test]
fn strangers_and_forgeries_are_not_let_in() {
    let server = Server::start(Limits::default());
    let till = server.enrol();
    let body = serde_json::to_vec(&till.opening()).expect("json");
    let right = till.headers(&body);
    let with = |changes: &[(&str, &str)]| -> Vec<(String, String)> {
        let mut headers: Vec<(String, String)> = right
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        for (name, value) in changes {
            headers.retain(|(other, _)| other != name);
            if !value.is_empty() {
                headers.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        headers
    };
    let stranger = SigningKey::from_bytes(&[9; 32]);
    let message = request_message(&till.enrolled.tenant, till.enrolled.device, &body);
    let forged = sign(&stranger, &message);
    let other_tenant = TenantId::new("other").expect("tenant");
    let elsewhere = sign(
        &till.key,
        &request_message(&other_tenant, till.enrolled.device, &body),
    );
    let of_nothing = sign(
        &till.key,
        &request_message(&till.enrolled.tenant, till.enrolled.device, b""),
    );
    let uuid = uuid::Uuid::nil().to_string();
    let table: Vec<(&str, Vec<(String, String)>)> = vec![
        ("no token", with(&[("authorization", "")])),
        (
            "a token of nobody",
            with(&[("authorization", "Bearer t.00")]),
        ),
        (
            "a token of no tenant",
            with(&[("authorization", "Bearer x.00")]),
        ),
        (
            "a token that is none",
            with(&[("authorization", "Basic dDp0")]),
        ),
        ("no device", with(&[(HEADER_DEVICE, "")])),
        ("another device", with(&[(HEADER_DEVICE, &uuid)])),
        ("no signature", with(&[(HEADER_SIGNATURE, "")])),
        (
            "a signature that is none",
            with(&[(HEADER_SIGNATURE, "AAAA")]),
        ),
        ("another's signature", with(&[(HEADER_SIGNATURE, &forged)])),
        (
            "for another tenant",
            with(&[(HEADER_SIGNATURE, &elsewhere)]),
        ),
        ("of another body", with(&[(HEADER_SIGNATURE, &of_nothing)])),
    ];
    for (name, headers) in table {
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let reply = server.call("POST /v1/sync", &headers, &body);
        assert_eq!(
            (reply.status, reply.error()),
            (401, ProtocolError::Unauthorised),
            "{name}"
        );
    }
    assert_eq!(till.sync(&server, &body, &[]).status, 200);
}

#[test]
fn bodies_that_are_too_much_or_make_no_sense_are_refused() {
    let server = Server::start(Limits::default());
    let till = server.enrol();
    let bomb = zstd::bulk::compress(&vec![b' '; 512 * 1024 * 1024 / 8], 3).expect("compress");
    let large = vec![b' '; BODY_BYTES_MAX + 1];
    const ZSTD: (&str, &str) = ("content-encoding", "zstd");
    type Headers = &'static [(&'static str, &'static str)];
    let table: &[(&str, &[u8], Headers, u16)] = &[
        ("a bomb", &bomb, &[ZSTD], 413),
        ("too large", &large, &[], 413),
        ("not compressed as it says", b"{}", &[ZSTD], 422),
        (
            "another compression",
            b"{}",
            &[("content-encoding", "br")],
            422,
        ),
        ("garbage", b"\xff\xfe\x00", &[], 422),
        ("nothing", b"", &[], 422),
        ("half of something", b"{\"protocol\":1,", &[], 422),
        ("another shape", b"[]", &[], 422),
    ];
    for (name, body, headers, status) in table {
        let reply = till.sync(&server, body, headers);
        assert_eq!(reply.status, *status, "{name}");
        let _ = reply.error();
    }
    let enrol = |body: &[u8]| server.call("POST /v1/enrol", &[], body).status;
    assert_eq!(enrol(b"{}"), 422);
    assert_eq!(enrol(&vec![b' '; 20 * 1024]), 413);
    assert_eq!(server.call("GET /v1/sync", &[], b"").status, 405);
    assert_eq!(server.call("GET /v2/sync", &[], b"").status, 404);
    // And all that did no harm.
    let body = serde_json::to_vec(&till.opening()).expect("json");
    assert_eq!(till.sync(&server, &body, &[]).status, 200);
}

/// Whether the server ends the connection; what it says before is of no interest.
fn is_closed(mut socket: TcpStream) -> bool {
    let mut rest = Vec::new();
    match socket.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => !matches!(
            error.kind(),
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
        ),
    }
}

#[test]
fn silent_and_slow_peers_are_shown_the_door() {
    let server = Server::start(Limits {
        header_time_max: Duration::from_millis(300),
        stall_time_max: Duration::from_millis(600),
        ..Limits::default()
    });
    let till = server.enrol();
    let silent = server.connect();
    let mut half_header = server.connect();
    half_header
        .write_all(b"POST /v1/sync HTTP/1.1\r\nhost: t\r\n")
        .expect("write");
    let mut half_body = server.connect();
    let mut head = String::from("POST /v1/sync HTTP/1.1\r\nhost: t\r\ncontent-length: 1000\r\n");
    for (name, value) in till.headers(b"") {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    half_body
        .write_all(format!("{head}\r\n{{").as_bytes())
        .expect("write");
    let mut idle = server.connect();
    idle.write_all(b"GET /nothing HTTP/1.1\r\nhost: t\r\n\r\n")
        .expect("write");
    for (name, socket) in [
        ("silent", silent),
        ("half a header", half_header),
        ("half a body", half_body),
        ("idle after an answer", idle),
    ] {
        assert!(is_closed(socket), "{name}");
    }
}

#[test]
fn more_connections_than_allowed_wait_for_their_turn() {
    let server = Server::start(Limits {
        header_time_max: Duration::from_millis(300),
        connections_max: 2,
        ..Limits::default()
    });
    let _first = server.connect();
    let _second = server.connect();
    // Served once the silent ones are gone.
    assert_eq!(server.call("GET /v1/sync", &[], b"").status, 405);
}
