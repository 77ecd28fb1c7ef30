//! Messages as they cross the wire: `tests/golden/*.json`. Tills of earlier versions send and read exactly these.
//!
//! `UPDATE_GOLDEN=1 cargo test -p sync-protocol --test golden` makes the files that are missing. One that is there
//! is never rewritten: a message gains optional fields, and a sample of its own with them.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sync_protocol::{EnrolReply, EnrolRequest, ProtocolError, SyncReply, SyncRequest};

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
    let bare = json!({"protocol": 1, "stream": stream, "head_seq": 2, "acked_seq": 1, "authority": "hub", "epoch": 1,
        "wall": 1_795_345_200_000_i64, "boot": {"id": 41, "ms": 1000}, "cursors": {}, "limit": 500,
        "status": {"unsynced": 0, "app": "0.1.0"}});
    check::<SyncRequest>("sync-request", &bare);
    let mut push = bare;
    push["push"] = json!({"stream": stream, "first_seq": 2, "prev_hash": hash, "events": [{"as": "stored"}],
        "head": {"seq": 2, "hash": hash, "signature": "AAAA"}});
    push["status"] = json!({"unsynced": 1, "oldest_wall": 5, "app": "0.1.0"});
    check::<SyncRequest>("sync-request-push", &push);
    check::<SyncReply>(
        "sync-reply",
        &json!({"authority": "hub", "epoch": 1, "server_time": 5, "ack_seq": 2, "ack_hash": hash,
            "quarantined": [{"seq": 2, "code": "bad_opening"}], "pages": [], "feeds": ["cat"]}),
    );
    for (name, error) in [
        ("error-gap", json!({"code": "gap", "expected": 5})),
        ("error-fork", json!({"code": "fork", "at": 5})),
        ("error-behind", json!({"code": "behind", "server_head": 5})),
        ("error-revoked", json!({"code": "revoked"})),
        ("error-busy", json!({"code": "busy", "after_ms": 1000})),
    ] {
        check::<ProtocolError>(name, &error);
    }
}
