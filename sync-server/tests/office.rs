//! Head office over HTTP: signing in, what is shown, and what a stranger gets.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use domain::event::IncidentKind;
use domain::ids::TenantId;
use serde_json::{Value, json};
use sync_server::{DataDir, Running, ServerConfig, demo, system_clock};

struct Office {
    running: Running,
    password: String,
    dir: tempfile::TempDir,
}

#[derive(Debug)]
struct Reply {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}", self.body))
    }
}

fn call(addr: SocketAddr, head: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut socket = TcpStream::connect(addr).expect("connect");
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("timeout");
    let mut request = format!(
        "{head} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    socket.write_all(request.as_bytes()).expect("write");
    let mut raw = String::new();
    socket.read_to_string(&mut raw).expect("answer");
    let (head, body) = raw.split_once("\r\n\r\n").expect("header");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    Reply {
        status: status.and_then(|code| code.parse().ok()).expect("status"),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
    }
}

impl Office {
    fn start() -> Office {
        let dir = tempfile::tempdir().expect("directory");
        let ui = dir.path().join("ui");
        std::fs::create_dir_all(ui.join("assets")).expect("ui");
        std::fs::write(ui.join("office.html"), "<!doctype html><p>office").expect("page");
        std::fs::write(ui.join("index.html"), "<!doctype html><p>till").expect("page");
        std::fs::write(ui.join("assets/office.js"), "void 0").expect("script");
        let data = DataDir::open(dir.path()).expect("data");
        let made = demo::prepare(&data, None, &system_clock()()).expect("demo");
        let config = ServerConfig {
            ui_dir: Some(ui),
            ..ServerConfig::new(dir.path())
        };
        Office {
            running: Running::start(config).expect("server"),
            password: made.password.expect("a new administrator"),
            dir,
        }
    }

    fn get(&self, path: &str, cookie: &str) -> Reply {
        call(
            self.running.addr(),
            &format!("GET {path}"),
            &[("cookie", cookie)],
            "",
        )
    }

    fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        call(
            self.running.addr(),
            &format!("POST {path}"),
            &all,
            &body.to_string(),
        )
    }

    fn sign_in(&self, name: &str, password: &str) -> Reply {
        self.post(
            "/office/api/login",
            &[],
            &json!({ "name": name, "password": password }),
        )
    }

    fn cookie(&self) -> String {
        let reply = self.sign_in("admin", &self.password);
        assert_eq!(reply.status, 200, "{}", reply.body);
        let cookie = &reply.headers["set-cookie"];
        for part in ["HttpOnly", "SameSite=Strict", "Path=/office"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        cookie.split(';').next().expect("cookie").to_owned()
    }
}

const PRIVATE: [&str; 6] = [
    "/office/api/me",
    "/office/api/stock",
    "/office/api/takings",
    "/office/api/tills",
    "/office/api/accounts",
    "/office/api/incidents",
];

#[test]
fn an_administrator_sees_stock_takings_and_tills() {
    let office = Office::start();
    let cookie = office.cookie();
    let me = office.get("/office/api/me", &cookie).json();
    assert_eq!(
        me,
        json!({ "tenant": "atlas", "chain": "Atlas Sport", "name": "admin" })
    );
    let stock = office.get("/office/api/stock?limit=3", &cookie).json();
    assert_eq!(stock["locations"], json!(["CA", "LM", "TC", "WEB"]));
    assert_eq!(stock["rows"].as_array().map(Vec::len), Some(3));
    assert_eq!(stock["total"], 401);
    let found = office
        .get(
            "/office/api/stock?query=FBT-RAMI-1-BLK-41-FG&offset=0",
            &cookie,
        )
        .json();
    assert_eq!(found["total"], 1);
    assert_eq!(
        found["rows"][0]["quantities"],
        json!({ "CA": 8000, "LM": 7000, "TC": 5000, "WEB": 1000 })
    );
    assert_eq!(
        found["rows"][0]["options"][1],
        json!({ "name": "Pointure", "value": "41" })
    );
    let takings = office
        .get("/office/api/takings?date=2026-11-22", &cookie)
        .json();
    assert_eq!(
        (&takings["rows"], &takings["totals"]),
        (&json!([]), &json!([]))
    );
    let tills = office.get("/office/api/tills", &cookie).json();
    assert_eq!(
        (&tills["rows"], &tills["set_aside"]),
        (&json!([]), &json!([]))
    );
    assert!(tills["server_time"].is_i64());
}

#[test]
fn a_quantity_tells_where_it_comes_from() {
    let office = Office::start();
    let cookie = office.cookie();
    let page = office.get("/office/api/stock?limit=1", &cookie).json();
    let row = &page["rows"][0];
    let (variant, quantities) = (&row["variant"], &row["quantities"]);
    let (at, held) = quantities
        .as_object()
        .and_then(|held| held.iter().next())
        .expect("stock");
    let ask = |variant: &str, at: &str| {
        let path = format!("/office/api/stock/lineage?variant={variant}&location={at}");
        office.get(&path, &cookie)
    };
    let found = ask(variant.as_str().expect("id"), at).json();
    assert_eq!(&found["quantity"], held);
    let zone = &found["zones"][0];
    assert_eq!(zone["count"]["kind"], "StockCounted");
    let steps = zone["steps"].as_array().expect("steps");
    let moved: i64 = steps
        .iter()
        .map(|step| step["quantity"].as_i64().expect("a quantity"))
        .sum();
    let counted = zone["count"]["quantity"].as_i64().expect("a count");
    let older = zone["older_sum"].as_i64().expect("a sum");
    assert_eq!(counted + older + moved, held.as_i64().expect("a quantity"));
    let never = ask("00000000-0000-0000-0000-000000000009", at);
    assert_eq!((never.status, never.json()), (200, Value::Null));
    assert_eq!(ask("x", at).status, 400);
    assert_eq!(ask(variant.as_str().expect("id"), "a%20b").status, 400);
    let path = format!(
        "/office/api/stock/lineage?variant={}&location={at}",
        variant.as_str().expect("id")
    );
    assert_eq!(office.get(&path, "").status, 401);
}

#[test]
fn every_reason_to_set_an_event_aside_has_a_text() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../ui/i18n/fr/office.json");
    let texts: Value =
        serde_json::from_str(&std::fs::read_to_string(page).expect("texts")).expect("json");
    for code in hub::QUARANTINE_CODES
        .iter()
        .chain(&["other_branch", "revoked_device"])
    {
        assert!(texts[format!("aside_{code}")].is_string(), "{code}");
    }
}

#[test]
fn every_kind_of_incident_has_a_text() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../ui/i18n/fr/office.json");
    let texts: Value =
        serde_json::from_str(&std::fs::read_to_string(page).expect("texts")).expect("json");
    for kind in IncidentKind::ALL {
        let code = serde_json::to_value(kind).expect("json");
        let code = code.as_str().expect("a text");
        assert!(texts[format!("kind_{code}")].is_string(), "{code}");
    }
}

#[test]
fn an_administrator_resolves_an_incident_once() {
    let office = Office::start();
    let cookie = office.cookie();
    let headers = [("cookie", cookie.as_str())];
    let listed = |path: &str| office.get(path, &cookie).json()["rows"].clone();
    assert_eq!(listed("/office/api/incidents"), json!([]));
    let data = DataDir::existing(office.dir.path()).expect("data");
    let tenant = TenantId::new(demo::TENANT).expect("tenant");
    let mut hub = data.hub(&tenant).expect("hub");
    hub.raise_epoch(&system_clock()()).expect("epoch");
    let open = listed("/office/api/incidents");
    assert_eq!(open[0]["kind"], "server_restored");
    let resolve = |incident: &Value, note: &str| {
        let body = json!({ "incident": incident, "note": note });
        let reply = office.post("/office/api/incidents/resolve", &headers, &body);
        (reply.status, reply.json())
    };
    let id = &open[0]["incident"];
    for note in ["", "  ", &"x".repeat(300)] {
        assert_eq!(resolve(id, note), (422, json!({ "code": "bad_note" })));
    }
    for body in [json!({}), json!({ "incident": "x", "note": "y" })] {
        let reply = office.post("/office/api/incidents/resolve", &headers, &body);
        assert_eq!(reply.status, 400);
    }
    let stranger = json!({ "incident": id, "note": "y" });
    let reply = office.post("/office/api/incidents/resolve", &[], &stranger);
    assert_eq!(reply.status, 401);
    let evil = [
        ("cookie", cookie.as_str()),
        ("origin", "http://evil.example"),
    ];
    let reply = office.post("/office/api/incidents/resolve", &evil, &stranger);
    assert_eq!(reply.status, 400);
    assert_eq!(listed("/office/api/incidents"), open);

    let (status, left) = resolve(id, "the shops were rung up");
    assert_eq!((status, &left["rows"]), (200, &json!([])));
    assert_eq!(resolve(id, "again"), (409, json!({ "code": "not_open" })));
    let all = listed("/office/api/incidents?all=true");
    assert_eq!(all[0]["note"], "the shops were rung up (admin)");
}

#[test]
fn nobody_else_sees_anything() {
    let office = Office::start();
    let cookie = office.cookie();
    for path in PRIVATE {
        for stranger in [
            "",
            "hanout_office=",
            "hanout_office=atlas.00",
            "hanout_office=other.00",
            "other=1",
        ] {
            let reply = office.get(path, stranger);
            assert_eq!(
                (reply.status, reply.json()),
                (401, json!({ "code": "sign_in" }))
            );
        }
    }
    let out = office.post("/office/api/logout", &[("cookie", &cookie)], &json!({}));
    assert_eq!(out.status, 204);
    for path in PRIVATE {
        assert_eq!(office.get(path, &cookie).status, 401, "{path}");
    }
}

#[test]
fn wrong_passwords_are_alike_and_then_blocked() {
    let office = Office::start();
    let wrong = json!({ "code": "wrong_password" });
    let reply = office.sign_in("nobody", "x");
    assert_eq!((reply.status, reply.json()), (401, wrong.clone()));
    let elsewhere = office.post(
        "/office/api/login",
        &[],
        &json!({ "tenant": "other", "name": "admin", "password": office.password }),
    );
    assert_eq!((elsewhere.status, elsewhere.json()), (401, wrong.clone()));
    for _ in 0..5 {
        let reply = office.sign_in("admin", "wrong");
        assert_eq!((reply.status, reply.json()), (401, wrong.clone()));
    }
    // Not even the right one, for a while.
    let reply = office.sign_in("admin", &office.password);
    assert_eq!(
        (reply.status, &reply.json()["code"]),
        (429, &json!("blocked"))
    );
    // A restart does not help.
    let config = ServerConfig::new(office.dir.path());
    let second = Running::start(config).expect("server");
    let body = json!({ "name": "admin", "password": office.password }).to_string();
    let headers = [("content-type", "application/json")];
    let reply = call(second.addr(), "POST /office/api/login", &headers, &body);
    assert_eq!(reply.status, 429);
}

#[test]
fn posts_from_other_sites_and_other_shapes_are_refused() {
    let office = Office::start();
    let good = json!({ "name": "admin", "password": office.password });
    for headers in [
        [("origin", "http://evil.example")],
        [("sec-fetch-site", "cross-site")],
    ] {
        assert_eq!(
            office.post("/office/api/login", &headers, &good).status,
            400
        );
    }
    let addr = office.running.addr();
    let form = [("content-type", "text/plain")];
    let reply = call(addr, "POST /office/api/login", &form, &good.to_string());
    assert_eq!(reply.status, 400);
    for body in [
        json!([]),
        json!({ "name": "admin" }),
        json!({ "name": 1, "password": 2 }),
    ] {
        assert_eq!(office.post("/office/api/login", &[], &body).status, 400);
    }
    let large = json!({ "name": "admin", "password": "x".repeat(10_000) });
    assert_eq!(office.post("/office/api/login", &[], &large).status, 413);
    let cookie = office.cookie();
    for path in [
        "/office/api/takings?date=yesterday",
        "/office/api/stock?offset=-1",
    ] {
        assert_eq!(office.get(path, &cookie).status, 400, "{path}");
    }
}

#[test]
fn pages_come_with_strict_headers_and_nothing_else_is_served() {
    let office = Office::start();
    let page = office.get("/office/", "");
    assert_eq!(
        (page.status, page.body.as_str()),
        (200, "<!doctype html><p>office")
    );
    let csp = &page.headers["content-security-policy"];
    assert!(csp.contains("default-src 'none'") && csp.contains("frame-ancestors 'none'"));
    assert!(!csp.contains("unsafe"));
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
    for path in ["/assets/office.js", "/office/assets/office.js"] {
        let script = office.get(path, "");
        assert_eq!((script.status, script.body.as_str()), (200, "void 0"));
        assert_eq!(
            script.headers["content-type"],
            "text/javascript; charset=utf-8"
        );
    }
    for path in ["/", "/office"] {
        assert_eq!(office.get(path, "").headers["location"], "/office/");
    }
    for path in [
        "/index.html",
        "/office.html",
        "/tenants/atlas.db",
        "/../tenants/atlas.db",
        "/assets/../../demo.json",
        "/assets/%2e%2e/office.html",
        "/missing.js",
    ] {
        assert_eq!(office.get(path, "").status, 404, "{path}");
    }
    assert_eq!(office.get("/healthz", "").status, 200);
    assert_eq!(office.get("/readyz", "").status, 200);
    let bare = Running::start(ServerConfig::new(office.dir.path())).expect("server");
    assert_eq!(call(bare.addr(), "GET /office/", &[], "").status, 503);
}

#[test]
fn the_demo_is_made_once_and_gets_fresh_codes() {
    let dir = tempfile::tempdir().expect("directory");
    let data = DataDir::open(Path::new(dir.path())).expect("data");
    let now = system_clock()();
    let first = demo::prepare(&data, None, &now).expect("demo");
    let second = demo::prepare(&data, first.password.clone(), &now).expect("demo");
    assert_eq!(first.password, second.password);
    assert_eq!(first.users, second.users);
    assert_ne!(first.codes, second.codes);
    let hub = data
        .hub(&TenantId::new(demo::TENANT).expect("tenant"))
        .expect("hub");
    let report = hub.verify().expect("verify");
    assert_eq!(report.first_bad, None);
    let feeds: Vec<_> = report.feeds.keys().map(String::as_str).collect();
    assert_eq!(
        feeds,
        [
            "cat",
            "cfg:CA",
            "cfg:LM",
            "cfg:TC",
            "price:MA",
            "price:TN",
            "stock:CA",
            "stock:LM",
            "stock:TC",
            "stock:WEB"
        ]
    );
    assert_eq!(hub.stores().expect("stores").len(), 3);
}
