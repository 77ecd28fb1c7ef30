//! Messages as they cross the wire: `tests/golden/*.json`. Tills of earlier versions send and read exactly these.
//!
//! `UPDATE_GOLDEN=1 cargo test -p sync-protocol --test golden` makes the files that are missing. One that is there
//! is never rewritten: a message gains optional fields, and a sample of its own with them.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sync_protocol::{EnrolReply, EnrolRequest, Poke, ProtocolError, SyncReply, SyncRequest};

fn check<T: Serialize + DeserializeOwned>(name: &str, sample: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() && !path.exists() {
        let message: T = serde_json::from_str(&sample.to_string()).expect("a message");
        std::fs::create_dir_all(path.parent().expect("folder")).expect("folder");
        let text = serde_json::to_string(&message).expect("json");
        std::fs::write(&path, text + "\n").expect("write");
    }
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{name}: {error}; UPDATE_GOLDEN=1 makes it"));
    let message: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let again = serde_json::to_string(&message).expect("json");
    assert_eq!(again, text.trim_end(), "{name}");
}

#[test]
fn messages_read_and_write_as_they_always_did() {
    let hash = "ab".repeat(32);
    let stream = "07".repeat(16);
    let id = "01936f5e-7a00-7000-8000-000000000001";
    check::<EnrolRequest>(
        "enrol-request",
        &json!({"code": "atlas.7ZK3QW2M", "key_algorithm": "p256", "public_key": format!("02{}", "cd".repeat(32)),
            "app": "0.1.0", "protocols": [1]}),
    );
    check::<EnrolReply>(
        "enrol-pending",
        &json!({"status": "pending", "fingerprint": "012345"}),
    );
    check::<EnrolReply>(
        "enrol-enrolled",
        &json!({"status": "enrolled", "tenant": "atlas", "store": "LM", "till": "01", "device": id, "location": "LM",
            "token": "atlas.00", "authority": "hub", "epoch": 1, "server_key": "cd".repeat(32),
            "server_time": 1_795_345_200_000_i64, "feeds": ["cat", "cfg:LM", "stock:LM"]}),
    );
    check::<Poke>(
        "poke",
        &json!({"feeds": {"cat": 7, "stock:LM": 12}, "rights": true}),
    );
    let bare = json!({"protocol": 1, "stream": stream, "head_seq": 2, "acked_seq": 1, "authority": "hub", "epoch": 1,
        "wall": 1_795_345_200_000_i64, "boot": {"id": 41, "ms": 1000}, "cursors": {}, "limit": 500,
        "status": {"unsynced": 0, "app": "0.1.0"}});
    check::<SyncRequest>("sync-request", &bare);
    let mut push = bare;
    push["push"] = json!({"stream": stream, "first_seq": 2, "prev_hash": hash, "events": [{"as": "stored"}],
        "head": {"seq": 2, "hash": hash, "signature": "AAAA"}});
    push["status"] = json!({"unsynced": 1, "oldest_wall": 5, "app": "0.1.0"});
    check::<SyncRequest>("sync-request-push", &push);
    let line = json!({"variant": id, "location": "LM", "total": 3_000, "lease_end": 1_795_950_000_000_i64});
    let grant = json!({"from": stream, "epoch": 1, "line": line, "signature": "AAAA"});
    let mut rights = push;
    rights["rights"] = json!({"seen": [grant], "whole": true,
        "want": [{"variant": id, "location": "LM", "quantity": 1_000}]});
    check::<SyncRequest>("sync-request-rights", &rights);
    rights["rights"] = json!({});
    check::<SyncRequest>("sync-request-no-rights", &rights);
    check::<SyncReply>(
        "sync-reply",
        &json!({"authority": "hub", "epoch": 1, "server_time": 5, "ack_seq": 2, "ack_hash": hash,
            "quarantined": [{"seq": 2, "code": "bad_opening"}], "pages": [], "feeds": ["cat"]}),
    );
    check::<SyncReply>(
        "sync-reply-rights",
        &json!({"authority": "hub", "epoch": 2, "server_time": 5, "ack_seq": 2, "ack_hash": hash, "pages": [],
            "feeds": ["cat"], "grants": [grant], "recall": [{"variant": id, "location": "LM", "quantity": 2_000}],
            "counts": [{"stream": stream, "seq": 4}]}),
    );
    rights["snapshots"] = json!(["cat", "price:TN"]);
    check::<SyncRequest>("sync-request-snapshots", &rights);
    check::<SyncReply>(
        "sync-reply-snapshots",
        &json!({"authority": "hub", "epoch": 1, "server_time": 5, "ack_seq": 2, "ack_hash": hash,
            "pages": [{"feed": "cat", "rows": [], "next": {"ver": 0, "pk": ""}, "more": true, "ver": 9}],
            "feeds": ["cat"], "snapshots": [{"feed": "cat", "ver": 9, "digest": hash, "bytes": 900,
                "decoded": 9_000}]}),
    );
    for (name, error) in [
        ("error-no-snapshot", json!({"code": "no_snapshot"})),
        (
            "error-bad-range",
            json!({"code": "bad_range", "bytes": 900}),
        ),
        ("error-gap", json!({"code": "gap", "expected": 5})),
        ("error-fork", json!({"code": "fork", "at": 5})),
        ("error-behind", json!({"code": "behind", "server_head": 5})),
        ("error-revoked", json!({"code": "revoked"})),
        ("error-busy", json!({"code": "busy", "after_ms": 1000})),
        (
            "error-cursor-expired",
            json!({"code": "cursor_expired", "feed": "stock:LM"}),
        ),
        ("error-too-large", json!({"code": "too_large"})),
        (
            "error-unreadable",
            json!({"code": "unreadable", "reason": "no such field"}),
        ),
        ("error-unauthorised", json!({"code": "unauthorised"})),
        ("error-forbidden", json!({"code": "forbidden"})),
        ("error-code-invalid", json!({"code": "code_invalid"})),
        ("error-upgrade", json!({"code": "upgrade"})),
        ("error-internal", json!({"code": "internal"})),
    ] {
        check::<ProtocolError>(name, &error);
    }
    check::<SyncReply>(
        "sync-reply-rows",
        &json!({"authority": "hub", "epoch": 1, "server_time": 5, "ack_seq": 2, "ack_hash": hash, "pages": [
            {"feed": "price:TN", "rows": [{"pk": id, "ver": 8, "row": {"variant": id, "prices": []}},
                {"pk": "gone", "ver": 9, "row": null}], "next": {"ver": 9, "pk": "gone"}, "more": false, "ver": 9,
                "checksum": 77}], "feeds": ["price:TN"]}),
    );
}

/// Every sample by the digest of its bytes: one that was written once is what a till out there still sends or reads. A new
/// one gets a line here; a line that is here is not changed.
const PINNED: &[(&str, &str)] = &[
    ("enrol-enrolled", "a06b20045937b4d5"),
    ("enrol-pending", "41f041e96f89b552"),
    ("enrol-request", "f3e8e9376746dd64"),
    ("error-bad-range", "49b036c9c0884bca"),
    ("error-behind", "641b696593bcdb13"),
    ("error-busy", "c80c8c7736bc1ba6"),
    ("error-code-invalid", "59a1ba8ec99222ef"),
    ("error-cursor-expired", "5e5198371f4f5eaa"),
    ("error-forbidden", "78b8538a426298df"),
    ("error-fork", "eeec7d5c39422cb9"),
    ("error-gap", "7ef2b53df34dd184"),
    ("error-internal", "628bcc704c84340c"),
    ("error-no-snapshot", "284f95a2ca2a0711"),
    ("error-revoked", "920a8ee000228b7d"),
    ("error-too-large", "d47f55e19ce71274"),
    ("error-unauthorised", "47f3109de784fb5d"),
    ("error-unreadable", "bc9cd03322761e12"),
    ("error-upgrade", "e869cce2489f4df0"),
    ("poke", "404fcd9df0fe8c71"),
    ("sync-reply", "669789af226cd42e"),
    ("sync-reply-rights", "b6c0800dcc0a7dcb"),
    ("sync-reply-rows", "6ef99f70335bbda8"),
    ("sync-reply-snapshots", "20cf0cf477894c21"),
    ("sync-request", "8dfd421f94d2cf01"),
    ("sync-request-no-rights", "81d81e9f7a82fdb4"),
    ("sync-request-push", "a4fff09a14048a94"),
    ("sync-request-rights", "4fff3732f17bc60a"),
    ("sync-request-snapshots", "0973ccd1c45c8678"),
];

#[test]
fn no_sample_is_edited_later() {
    use sha2::{Digest as _, Sha256};
    use std::fmt::Write as _;

    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the samples") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy();
        let digest = Sha256::digest(std::fs::read(&path).expect("readable"));
        let mut short = String::new();
        for byte in digest.iter().take(8) {
            write!(short, "{byte:02x}").expect("text");
        }
        found.push((name.into_owned(), short));
    }
    found.sort();
    let pinned: Vec<(String, String)> = PINNED
        .iter()
        .map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned()))
        .collect();
    assert_eq!(found, pinned);
}

/// What a program from before snapshots says is read as wanting none, and what names them it can read as well.
#[test]
fn a_program_that_knows_no_snapshots_is_sent_pages() {
    let text = |name: &str| {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        std::fs::read_to_string(folder.join(name)).expect("a golden file")
    };
    let old: SyncRequest =
        serde_json::from_str(&text("sync-request-rights.json")).expect("request");
    assert!(old.snapshots.is_empty());
    let old: SyncReply = serde_json::from_str(&text("sync-reply-rights.json")).expect("reply");
    assert!(old.snapshots.is_empty());
    #[derive(serde::Deserialize)]
    struct OldReply {
        pages: Vec<sync_protocol::FeedPage>,
    }
    let reply: OldReply = serde_json::from_str(&text("sync-reply-snapshots.json")).expect("reply");
    assert!(reply.pages[0].rows.is_empty() && reply.pages[0].more);
}

/// What a program from before rights reads: it ignores what it does not know.
#[test]
fn a_program_that_knows_no_rights_reads_what_names_them() {
    #[derive(serde::Deserialize)]
    struct OldReply {
        ack_seq: u64,
        feeds: Vec<sync_protocol::FeedName>,
    }
    #[derive(serde::Deserialize)]
    struct OldRequest {
        head_seq: u64,
    }
    let text = |name: &str| {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        std::fs::read_to_string(folder.join(name)).expect("a golden file")
    };
    let reply: OldReply = serde_json::from_str(&text("sync-reply-rights.json")).expect("reply");
    assert_eq!((reply.ack_seq, reply.feeds.len()), (2, 1));
    let request: OldRequest =
        serde_json::from_str(&text("sync-request-rights.json")).expect("request");
    assert_eq!(request.head_seq, 2);
    // And what it says is read as knowing of none.
    let old: SyncRequest = serde_json::from_str(&text("sync-request-push.json")).expect("request");
    assert_eq!(old.rights, None);
    let old: SyncReply = serde_json::from_str(&text("sync-reply.json")).expect("reply");
    assert!(old.grants.is_empty() && old.recall.is_empty() && old.counts.is_empty());
}
