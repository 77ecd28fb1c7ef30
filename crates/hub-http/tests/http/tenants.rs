//! Two chains on one server: whatever one is sent, the other goes on, and neither is told of the other.

use std::io::{BufReader, Write as _};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use domain::event::{ClockJumped, Fact};
use hub::{Hub, NewTenant};
use hub_http::Limits;

use super::*;

/// Pushes of the chain that is left alone.
const PUSHES: u64 = 30;

/// A server with the chains `t` and `u`, and a till of each under the same names.
fn two_chains(limits: Limits) -> (Server, Till, Till) {
    let mut code = String::new();
    let server = Server::start_with(limits, |_, folder| {
        let new = NewTenant {
            tenant: TenantId::new("u").expect("tenant"),
            chain: "Other".to_owned(),
        };
        let path = folder.join("u.db");
        let mut hub = Hub::create(&path, &new, &now(), Entropy::new([4; 32])).expect("hub");
        hub.create_store(&store()).expect("store");
        let till = TillId::new("01").expect("till");
        let issued = hub.issue_code(&store().store, &till, true, &now());
        code = issued.expect("code");
    });
    let first = server.enrol();
    let second = server.enrol_with(&code, 9);
    assert_eq!(second.enrolled.tenant.as_str(), "u");
    (server, first, second)
}

fn file(server: &Server, tenant: &str) -> Hub {
    let path = server.dir.path().join(format!("{tenant}.db"));
    Hub::open(&path, Entropy::new([6; 32])).expect("hub")
}

/// The journal of a till, as far as it was written, and what its next push holds.
struct Journal {
    request: SyncRequest,
    head: u64,
    hash: domain::ids::Digest,
}

impl Journal {
    fn of(till: &Till) -> Journal {
        let request = till.opening();
        let hash = request.push.as_ref().expect("a push").head.hash;
        Journal {
            request,
            head: 1,
            hash,
        }
    }

    /// One event more, as a request.
    fn next(&mut self, till: &Till) -> SyncRequest {
        let fact = Fact::ClockJumped(ClockJumped {
            expected_wall: WALL,
            found_wall: WALL + 3_600_000,
        });
        let stream = self.request.stream;
        self.head += 1;
        let event = Event {
            stream,
            seq: self.head,
            id: EventId(uuid::Uuid::from_u128(u128::from(self.head))),
            hlc: Hlc::default().tick(WALL + i64::try_from(self.head).expect("small")),
            wall: WALL,
            boot: Boot { id: 1, ms: 1 },
            kind: fact.kind().to_owned(),
            schema: fact.schema(),
            body: fact.encode(),
        };
        let bytes = event.encode();
        let before = self.hash;
        self.hash = chain_hash(before, &bytes);
        let text = String::from_utf8(bytes).expect("utf-8");
        let mut request = self.request.clone();
        request.head_seq = self.head;
        request.push = Some(Push {
            stream,
            first_seq: self.head,
            prev_hash: before,
            events: vec![RawValue::from_string(text).expect("json")],
            head: sign_head(
                &till.key,
                &till.enrolled.tenant,
                stream,
                self.head,
                self.hash,
            ),
        });
        request
    }
}

fn sent(till: &Till, server: &Server, request: &SyncRequest) -> SyncReply {
    let body = serde_json::to_vec(request).expect("json");
    let reply = till.sync(server, &body, &[]);
    let text = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.status, 200, "{text}");
    serde_json::from_slice(&reply.body).expect("reply")
}

/// One of everything that a server should not be sent, to the chain of `till`.
fn harass(server: &Server, till: &Till, round: usize) {
    let bomb = zstd::bulk::compress(&vec![b' '; 32 * 1024 * 1024], 3).expect("compress");
    let zstd = [("content-encoding", "zstd")];
    let status = match round % 6 {
        0 => till.sync(server, &bomb, &zstd).status,
        1 => {
            till.sync(server, &vec![b' '; BODY_BYTES_MAX + 1], &[])
                .status
        }
        2 => till.sync(server, b"{\"protocol\":1,", &[]).status,
        3 => {
            let mut request = till.opening();
            request.push.as_mut().expect("a push").head.signature = "AAAA".to_owned();
            let body = serde_json::to_vec(&request).expect("json");
            till.sync(server, &body, &[]).status
        }
        4 => {
            server
                .call("POST /v1/enrol", &[], b"{\"code\":\"t.00000000\"}")
                .status
        }
        _ => {
            // A body that never ends; the socket goes when it is dropped.
            let mut socket = server.connect();
            let mut head =
                "POST /v1/sync HTTP/1.1\r\nhost: t\r\ncontent-length: 900\r\n".to_owned();
            for (name, value) in till.headers(b"") {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            let _ = socket.write_all(format!("{head}\r\n{{").as_bytes());
            return;
        }
    };
    assert!((400..500).contains(&status), "round {round}: {status}");
}

#[test]
fn what_one_chain_is_sent_leaves_the_other_as_it_was() {
    let (server, first, second) = two_chains(Limits::default());
    sent(&first, &server, &first.opening());
    let mut journal = Journal::of(&second);
    sent(&second, &server, &second.opening());
    let (done, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|threads| {
        for at in 0..2 {
            let (server, first, done, rounds) = (&server, &first, &done, &rounds);
            threads.spawn(move || {
                let mut round = at;
                while !done.load(Ordering::Relaxed) || rounds.load(Ordering::Relaxed) < 12 {
                    harass(server, first, round);
                    round += 1;
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..PUSHES {
            let request = journal.next(&second);
            let reply = sent(&second, &server, &request);
            assert_eq!(
                (reply.ack_seq, reply.ack_hash),
                (journal.head, journal.hash)
            );
            assert!(reply.quarantined.is_empty());
        }
        done.store(true, Ordering::Relaxed);
    });
    // The chain that was harassed has what its till said and no more, too.
    let reply = sent(&first, &server, &first.opening());
    assert_eq!(reply.ack_seq, 1);
    for (tenant, head) in [("t", 1), ("u", PUSHES + 1)] {
        let hub = file(&server, tenant);
        let report = hub.verify().expect("verify");
        assert_eq!(report.first_bad, None, "{tenant}");
        let tills = hub.tills(&now()).expect("tills");
        let heads: Vec<_> = tills[0]
            .streams
            .iter()
            .map(|stream| stream.head_seq)
            .collect();
        assert_eq!(heads, [head], "{tenant}");
        assert!(hub.set_aside(10).expect("set aside").is_empty());
        assert!(hub.incidents(false, 10).expect("incidents").is_empty());
    }
}

#[test]
fn a_device_of_one_chain_is_nobody_in_the_other() {
    let (server, first, second) = two_chains(Limits::default());
    let (ours, theirs) = (first.headers(b""), second.headers(b""));
    assert_eq!(first.enrolled.till, second.enrolled.till);
    for ask in ["GET /v1/snapshot/cfg:LM", "GET /v1/poke"] {
        for mixed in 1..7_u8 {
            // Token, device and signature, each of one chain or the other, but not all of one.
            let headers: Vec<(&str, &str)> = (0..3_usize)
                .map(|at| {
                    if mixed >> at & 1 == 0 {
                        &ours[at]
                    } else {
                        &theirs[at]
                    }
                })
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let reply = server.call(ask, &headers, b"");
            let refused = (reply.status, reply.error());
            assert_eq!(refused, (401, ProtocolError::Unauthorised), "{ask} {mixed}");
        }
    }
    // A head that is signed for the other chain, sent under a token that is right.
    let mut request = first.opening();
    let push = request.push.as_mut().expect("a push");
    let hash = push.head.hash;
    push.head = sign_head(&first.key, &second.enrolled.tenant, request.stream, 1, hash);
    let body = serde_json::to_vec(&request).expect("json");
    let reply = first.sync(&server, &body, &[]);
    assert_eq!(
        (reply.status, reply.error()),
        (401, ProtocolError::Unauthorised)
    );
    // An opening that names the other chain, signed by the right key for the right one.
    let named = Till {
        enrolled: Enrolled {
            tenant: second.enrolled.tenant.clone(),
            ..first.enrolled.clone()
        },
        key: first.key.clone(),
    };
    let mut request = named.opening();
    let push = request.push.as_mut().expect("a push");
    push.head = sign_head(
        &first.key,
        &first.enrolled.tenant,
        request.stream,
        1,
        push.head.hash,
    );
    let body = serde_json::to_vec(&request).expect("json");
    let reply = first.sync(&server, &body, &[]);
    assert_eq!(
        (reply.status, reply.error()),
        (403, ProtocolError::Forbidden)
    );
    let hub = file(&server, "u");
    assert!(hub.tills(&now()).expect("tills")[0].streams.is_empty());
    assert_eq!(hub.verify().expect("verify").first_bad, None);
}

#[test]
fn a_till_is_not_told_of_what_is_new_in_the_other_chain() {
    let (server, first, _) = two_chains(Limits::default());
    let mut socket = server.connect();
    let mut request = "GET /v1/poke HTTP/1.1\r\nhost: t\r\n".to_owned();
    for (name, value) in first.headers(b"") {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let asked = socket.write_all(format!("{request}\r\n").as_bytes());
    asked.expect("write");
    let mut socket = BufReader::new(socket);
    let known = hear(&mut socket);
    let rename = |tenant: &str, chain: &str| {
        let renamed = StoreConfig {
            chain: chain.to_owned(),
            ..store()
        };
        let updated = file(&server, tenant).update_store(&renamed);
        updated.expect("update");
    };
    rename("t", "a");
    let first_news = hear(&mut socket).feeds["cfg:LM"];
    let step = first_news - known.feeds["cfg:LM"];
    // Several times theirs, then ours: the next word is of ours alone.
    for chain in ["b", "c", "d"] {
        rename("u", chain);
    }
    rename("t", "e");
    assert_eq!(hear(&mut socket).feeds["cfg:LM"], first_news + step);
}
