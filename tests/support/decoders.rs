//! Everything that reads bytes from outside, each behind one function that takes any bytes at all. A decoder may
//! refuse; it may not panic, and what it takes must come out again as the same.
//!
//! `tests/fuzz` runs them over a small corpus and what becomes of it; `tests/fuzz/targets` hands them to cargo-fuzz.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use domain::entropy::Entropy;
use domain::event::Event;
use domain::ids::{StreamId, TenantId};
use domain::receipt_code::ReceiptCode;
use domain::time::{Boot, Now};
use hub::import::ImportOptions;
use hub::{Hub, NewTenant};
use hub_http::Tenants;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sync_protocol::{
    EnrolReply, EnrolRequest, FeedPage, Poke, ProtocolError, SyncReply, SyncRequest,
};
use till::{Context, Till};
use tower::ServiceExt as _;

/// Takes any bytes.
pub type Decoder = fn(&[u8]);

/// Every decoder under its name, which is also that of its corpus and of its target.
pub const DECODERS: [(&str, Decoder); 6] = [
    ("event", event),
    ("message", message),
    ("body", body),
    ("catalogue", catalogue),
    ("code", code),
    ("door", door),
];

const NOW: Now = Now {
    wall_ms: 1_795_000_000_000,
    boot: Boot { id: 1, ms: 1_000 },
    utc_offset_min: 60,
};

/// An event of a stream: what the hub, a recovery and a verifier read.
pub fn event(bytes: &[u8]) {
    let Ok(event) = Event::decode(bytes) else {
        return;
    };
    let again = Event::decode(&event.encode()).expect("what was read can be written and read");
    assert_eq!(again.encode(), event.encode());
    if let Ok(fact) = event.fact() {
        let written = Event {
            body: fact.encode(),
            ..again
        };
        assert_eq!(written.fact().expect("a fact"), fact);
    }
    let _ = domain::event::chain_hash(domain::event::genesis_hash(StreamId([1; 16])), bytes);
}

/// A message of the sync protocol, either way.
pub fn message(bytes: &[u8]) {
    fn both_ways<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
        if let Ok(read) = serde_json::from_slice::<T>(bytes) {
            let text = serde_json::to_string(&read).expect("it can be written");
            let again: T = serde_json::from_str(&text).expect("it can be read again");
            assert_eq!(serde_json::to_string(&again).expect("written"), text);
        }
    }
    both_ways::<EnrolRequest>(bytes);
    both_ways::<EnrolReply>(bytes);
    both_ways::<SyncRequest>(bytes);
    both_ways::<SyncReply>(bytes);
    both_ways::<FeedPage>(bytes);
    both_ways::<Poke>(bytes);
    both_ways::<ProtocolError>(bytes);
}

struct Center {
    router: axum::Router,
    hub: Mutex<Hub>,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

fn center() -> &'static Center {
    static CENTER: OnceLock<Center> = OnceLock::new();
    CENTER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("t.db");
        let tenant = NewTenant {
            tenant: TenantId::new("t").expect("tenant"),
            chain: "Test".to_owned(),
        };
        let hub = Hub::create(&file, &tenant, &NOW, Entropy::new([1; 32])).expect("a hub");
        let served = Hub::open(&file, Entropy::new([2; 32])).expect("a hub");
        let tenants = Arc::new(Tenants::single(served));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        Center {
            router: hub_http::routes(tenants, Arc::new(|| NOW)),
            hub: Mutex::new(hub),
            runtime,
            _folder: folder,
        }
    })
}

/// The body of an enrolment, which anybody may send: as it is and as a zstd frame.
pub fn body(bytes: &[u8]) {
    let center = center();
    for coding in ["identity", "zstd"] {
        let request = Request::post("/v1/enrol")
            .header("content-type", "application/json")
            .header("content-encoding", coding)
            .body(Body::from(bytes.to_vec()))
            .expect("a request");
        let answered = center
            .runtime
            .block_on(center.router.clone().oneshot(request));
        let status = answered.expect("an answer").status();
        let known = [
            StatusCode::NOT_FOUND,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNPROCESSABLE_ENTITY,
            StatusCode::UPGRADE_REQUIRED,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        assert!(known.contains(&status), "{coding}: {status}");
    }
}

/// A catalogue file of ours or of Shopify's.
pub fn catalogue(bytes: &[u8]) {
    let options = ImportOptions {
        dry_run: true,
        valid_from: "2026-01-01".parse().expect("a date"),
        price_list: None,
        tax: "standard".parse().expect("a category"),
        opening_stock: true,
        stock_location: None,
    };
    let mut hub = center().hub.lock().unwrap_or_else(PoisonError::into_inner);
    let report = hub.import(bytes, &options, &NOW, &mut |_, _| {});
    assert!(!report.expect("a report").applied);
}

/// The code on a receipt, as bytes and as what a scanner types.
pub fn code(bytes: &[u8]) {
    if let Ok(code) = ReceiptCode::from_bytes(bytes) {
        assert_eq!(code.to_bytes(), bytes);
        let typed = ReceiptCode::from_text(&code.to_text()).expect("its own text");
        assert_eq!(typed.to_bytes(), bytes);
        let _ = (code.claims.number(), code.is_intact());
    }
    let text = String::from_utf8_lossy(bytes);
    if let Ok(code) = ReceiptCode::from_text(&text) {
        assert!(ReceiptCode::from_bytes(&code.to_bytes()).is_ok());
    }
    let _ = domain::receipt_code::looks_like_code(&text);
}

/// The till's door.
pub fn door(bytes: &[u8]) {
    static TILL: OnceLock<Mutex<(Till, Entropy)>> = OnceLock::new();
    let till = TILL.get_or_init(|| {
        let mut entropy = Entropy::new([3; 32]);
        let context = Context {
            now: NOW,
            entropy: Entropy::new(entropy.next_bytes()),
        };
        Mutex::new((Till::in_memory("fuzz", context).expect("a till"), entropy))
    });
    let mut till = till.lock().unwrap_or_else(PoisonError::into_inner);
    let (till, entropy) = &mut *till;
    let context = Context {
        now: NOW,
        entropy: Entropy::new(entropy.next_bytes()),
    };
    let text = String::from_utf8_lossy(bytes);
    if let Ok(answer) = till.handle_json(&text, context) {
        let _: serde_json::Value = serde_json::from_str(&answer).expect("an answer is JSON");
    }
}
