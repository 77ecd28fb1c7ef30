//! The real `hanout-till` against a real server in this process: what outsiders rely on.

mod command_line;
mod copies;
mod program;
mod story;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use program::{PATIENCE, Till, fresh_id, run};
use serde_json::{Value, json};
use sync_server::demo::{self, Demo};
use sync_server::{DataDir, Running, ServerConfig, system_clock};
use testkit::wait::wait_until;

struct HeadOffice {
    server: Running,
    demo: Demo,
    _folder: tempfile::TempDir,
}

impl HeadOffice {
    fn open() -> HeadOffice {
        let folder = tempfile::tempdir().expect("folder");
        let data = DataDir::open(folder.path()).expect("data");
        let demo = demo::prepare(&data, None, &system_clock()()).expect("demo");
        let server = Running::start(ServerConfig::new(folder.path())).expect("server");
        HeadOffice {
            server,
            demo,
            _folder: folder,
        }
    }

    fn code(&self, store: &str) -> &str {
        &self
            .demo
            .codes
            .iter()
            .find(|code| code.store.as_str() == store)
            .expect("code")
            .code
    }

    fn pin(&self, name: &str) -> &str {
        &self
            .demo
            .users
            .iter()
            .find(|user| user.name == name)
            .expect("user")
            .pin
    }
}

fn ready(till: &Till) {
    wait_until(PATIENCE, "the catalogue's arrival", || {
        let status = till.status();
        assert_ne!(status["enrolment"]["state"], "failed", "{status}");
        (status["ready"] == true).then_some(())
    });
}

fn acknowledged(till: &Till) {
    wait_until(PATIENCE, "the acknowledgement", || {
        let status = till.status();
        (status["sync"]["unsynced"] == 0 && status["sync"]["state"] == "online").then_some(())
    });
}

fn open_shop(till: &Till, office: &HeadOffice) {
    let users = till.ok(&json!({ "type": "ListUsers" }));
    let manager = users["users"]
        .as_array()
        .expect("users")
        .iter()
        .find(|user| user["name"] == "Slim")
        .expect("Slim");
    till.ok(&json!({ "type": "SignIn", "user": manager["user"], "pin": office.pin("Slim") }));
    till.ok(
        &json!({ "type": "OpenShift", "count": [{ "denomination_minor": 10_000, "pieces": 5 }] }),
    );
}

fn some_sku(till: &Till) -> String {
    let rows = till.ok(&json!({ "type": "Search", "query": "", "limit": 20 }));
    let priced = rows["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .find(|row| row["price_minor"].is_number() && row["class"] == "shelf")
        .expect("priced");
    priced["sku"].as_str().expect("sku").to_owned()
}

/// Scans one item; the command that completes its sale for exact cash.
fn scan_one(till: &Till) -> Value {
    let cart = till.ok(&json!({ "type": "ScanCode", "code": some_sku(till) }));
    assert_eq!(cart["lines"].as_array().expect("lines").len(), 1);
    json!({ "type": "Complete", "sale": cart["sale"], "tenders": [{ "kind": "cash" }] })
}

fn pictures(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "png"))
        .collect()
}

#[test]
fn a_sale_is_rung_answered_once_printed_and_acknowledged() {
    let office = HeadOffice::open();
    let folder = tempfile::tempdir().expect("folder");
    let data = folder.path().join("till");
    let url = office.server.url();
    let till = Till::start(&data, &["--server", &url, "--code", office.code("LM")]);
    ready(&till);
    open_shop(&till, &office);
    let complete = scan_one(&till);
    let id = fresh_id();
    let answer = till.call_as(&id, &complete);
    let number = answer["ok"]["number"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned();
    assert!(number.starts_with("LM-01-"), "{number}");
    assert_eq!(
        till.call_as(&id, &complete),
        answer,
        "the same id gets the same answer"
    );
    let other = till.call_as(&id, &json!({ "type": "Park" }));
    assert_eq!(other["refused"]["code"], "request_id_reused");
    acknowledged(&till);

    let receipt = wait_until(PATIENCE, "the picture of the receipt", || {
        pictures(&data.join("receipts"))
            .into_iter()
            .find(|path| path.to_string_lossy().contains(&number))
    });
    assert!(
        std::fs::read(receipt)
            .expect("picture")
            .starts_with(b"\x89PNG")
    );
    wait_until(PATIENCE, "the end of the print job", || {
        let status = till.status();
        (status["printer"]["queued"] == 0 && status["printer"]["uncertain"] == 0).then_some(())
    });

    // Beside the running till.
    let report = run(&["verify", data.to_str().expect("path"), "--json"]);
    assert!(report.status.success(), "{report:?}");
    let report: Value = serde_json::from_slice(&report.stdout).expect("report");
    assert_eq!(
        (&report["ok"], &report["first_bad"]),
        (&json!(true), &Value::Null)
    );
    for part in ["streams", "feeds", "projections"] {
        assert!(
            report[part]
                .as_object()
                .is_some_and(|part| !part.is_empty()),
            "{part}: {report}"
        );
    }
    let job = answer["ok"]["job"].as_str().expect("job");
    let png = folder.path().join("again.png");
    let render = [
        "render",
        job,
        "--data",
        data.to_str().expect("path"),
        "--png",
        png.to_str().expect("path"),
    ];
    let rendered = run(&render);
    assert!(rendered.status.success(), "{rendered:?}");
    assert!(std::fs::read(&png).expect("png").starts_with(b"\x89PNG"));

    // A power cut, then a start without the server.
    till.kill();
    drop(office);
    let till = Till::start(&data, &["--server", &url, "--code", "atlas.USEDCODE"]);
    assert_eq!(till.call_as(&id, &complete), answer, "after a restart too");
    assert_eq!(
        till.call_as(&id, &json!({ "type": "Park" }))["refused"]["code"],
        "request_id_reused"
    );
    let status = till.status();
    assert_eq!(status["shift"]["receipts"], 1, "rung once");
    // The cable is out: selling goes on, and the status says so.
    let complete = scan_one(&till);
    assert!(till.call(&complete)["ok"]["number"].is_string());
    wait_until(PATIENCE, "the missing server to be noticed", || {
        let sync = till.status()["sync"].clone();
        (sync["state"] == "offline" && sync["unsynced"].as_u64() > Some(0)).then_some(())
    });
    till.stop();
}

#[test]
fn a_print_job_that_a_crash_interrupted_waits_for_a_person() {
    let office = HeadOffice::open();
    let folder = tempfile::tempdir().expect("folder");
    let data = folder.path().join("till");
    // A profile that waits half a minute for a confirmation, which never comes: the job stays claimed.
    let profiles = folder.path().join("profiles");
    std::fs::create_dir(&profiles).expect("profiles");
    let generic = include_str!("../../../../printer-profiles/generic-58.json");
    let confirming = generic.replace("\"confirm\": \"none\"", "\"confirm\": \"gs-r\"");
    assert_ne!(confirming, generic);
    std::fs::write(profiles.join("generic-58.json"), confirming).expect("profile");
    let profiles = profiles.to_str().expect("path");
    let url = office.server.url();
    let more = [
        "--server",
        &url,
        "--code",
        office.code("LM"),
        "--profiles",
        profiles,
    ];
    let till = Till::start(&data, &more);
    ready(&till);
    open_shop(&till, &office);
    let printer = TcpListener::bind("127.0.0.1:0").expect("printer");
    printer.set_nonblocking(true).expect("non-blocking");
    let address = printer.local_addr().expect("address").to_string();
    let language = till.ok(&json!({ "type": "GetSettings" }))["language"].clone();
    let target = json!({ "type": "tcp", "address": address });
    let settings = json!({ "language": language, "profile": "generic-58", "printer": target });
    till.ok(&json!({ "type": "SetSettings", "settings": settings }));
    till.ok(&json!({ "type": "TestPrint" }));
    let (connection, _) = wait_until(PATIENCE, "the connection to the printer", || {
        printer.accept().ok()
    });
    let state = |till: &Till| till.ok(&json!({ "type": "ListPrintJobs" }))["jobs"][0].clone();
    assert_eq!(
        state(&till)["state"],
        "claimed",
        "claimed before the first byte"
    );
    till.kill();
    drop(connection);
    let till = Till::start(&data, &["--profiles", profiles]);
    let job = state(&till);
    assert_eq!(
        (&job["state"], &job["cause"]),
        (&json!("uncertain"), &json!("interrupted"))
    );
    assert!(printer.accept().is_err(), "nothing is sent again by itself");
    till.ok(&json!({ "type": "ResolvePrintJob", "job": job["job"], "came_out": true }));
    assert!(state(&till).is_null());
    till.stop();
}

#[test]
fn the_door_names_what_it_cannot_take() {
    let folder = tempfile::tempdir().expect("folder");
    let till = Till::start(&folder.path().join("till"), &[]);
    let bearer = format!("Bearer {}", till.token);
    let call =
        |headers: &[(&str, &str)], body: &[u8]| till.send("POST", "/api/call", headers, body);
    let status = json!({ "id": fresh_id(), "command": { "type": "Status" } }).to_string();
    let status = status.as_bytes();

    assert_eq!(call(&[("authorization", &bearer)], status).status, 200);
    for headers in [
        &[][..],
        &[("authorization", "Bearer wrong")],
        &[("authorization", till.token.as_str())],
        &[("authorization", "Basic YTpi")],
    ] {
        assert_eq!(call(headers, status).status, 401, "{headers:?}");
    }
    for host in [
        "evil.example",
        "127.0.0.1",
        "evil.example:80",
        "localhost.evil.example",
    ] {
        assert_eq!(
            call(&[("authorization", &bearer), ("host", host)], status).status,
            403,
            "{host}"
        );
    }
    for body in [
        &b""[..],
        b"{",
        b"[]",
        b"nonsense",
        b"{\"id\":\"not a uuid\",\"command\":{\"type\":\"Status\"}}",
        b"{\"command\":{\"type\":\"Status\"}}",
        b"{\"id\":\"0190aaaa-0000-4000-8000-000000000000\"}",
        b"\xff\xfe",
    ] {
        assert_eq!(
            call(&[("authorization", &bearer)], body).status,
            400,
            "{body:?}"
        );
    }
    let large = vec![b' '; 1024 * 1024 + 1];
    assert_eq!(call(&[("authorization", &bearer)], &large).status, 413);

    for (command, code) in [
        (json!({ "type": "Fly" }), "invalid_command"),
        (json!({ "type": "ScanCode" }), "invalid_command"),
        (json!({ "type": "ScanCode", "code": 5 }), "invalid_command"),
        (json!({ "type": "Status", "extra": 1 }), "invalid_command"),
        (json!("Status"), "invalid_command"),
        (json!({ "type": "ListUsers" }), "not_enrolled"),
        (
            json!({ "type": "Enrol", "server": "http://example.tn", "code": "a.b" }),
            "bad_server_address",
        ),
        (
            json!({ "type": "JobFinished", "job": fresh_id(), "result": { "type": "failed", "code": "x" } }),
            "internal_command",
        ),
    ] {
        let answer = till.call(&command);
        assert_eq!(answer["refused"]["code"], code, "{command} -> {answer}");
        assert!(answer["refused"]["params"].is_object(), "{answer}");
    }
    assert_eq!(till.send("GET", "/nothing", &[], b"").status, 404);
    assert_eq!(till.send("GET", "/api/events", &[], b"").status, 401);
    assert_eq!(till.send("GET", "/api/call?token=x", &[], b"").status, 401);
    till.stop();
}

#[test]
fn schemas_and_screens_are_served_to_this_machine() {
    let folder = tempfile::tempdir().expect("folder");
    let ui = folder.path().join("ui");
    std::fs::create_dir(&ui).expect("ui");
    std::fs::write(ui.join("till.html"), "<!doctype html>").expect("page");
    let till = Till::start(
        &folder.path().join("till"),
        &["--ui", ui.to_str().expect("path")],
    );
    let schema = till.send("GET", "/api/schema", &[], b"").json();
    assert!(
        schema["commands"]["ScanCode"]["properties"]["code"].is_object(),
        "{schema}"
    );
    let page = till.send("GET", "/", &[], b"");
    assert_eq!((page.status, page.body.as_str()), (200, "<!doctype html>"));
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'; script-src 'self'"),
        "{}",
        page.head
    );
    assert!(page.head.contains("text/html"), "{}", page.head);
    assert_eq!(
        till.send("GET", "/../till/device.key", &[], b"").status,
        404
    );
    assert_eq!(
        till.send("GET", "/", &[("host", "evil.example")], b"")
            .status,
        403
    );
}

#[test]
fn changes_are_told_to_listeners() {
    let office = HeadOffice::open();
    let folder = tempfile::tempdir().expect("folder");
    let till = Till::start(&folder.path().join("till"), &[]);
    let mut stream = std::net::TcpStream::connect(till.address).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("time-out");
    let request = format!(
        "GET /api/events?token={} HTTP/1.1\r\nhost: {}\r\n\r\n",
        till.token, till.address
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut seen = String::new();
    let mut until = |wanted: &str| {
        let mut chunk = [0; 1024];
        let end = std::time::Instant::now() + PATIENCE;
        while !seen.contains(wanted) {
            let read = stream.read(&mut chunk).expect("events");
            assert!(read > 0, "the stream ended: {seen}");
            assert!(
                std::time::Instant::now() < end,
                "{wanted} did not come: {seen}"
            );
            seen.push_str(&String::from_utf8_lossy(&chunk[..read]));
        }
    };
    until("listening");
    till.ok(&json!({ "type": "Enrol", "server": office.server.url(), "code": office.code("LM") }));
    until("data: {\"kind\":\"status\"}");
    until("data: {\"kind\":\"sync\"}");
    till.stop();
}

#[test]
fn enrolment_that_fails_says_why() {
    let office = HeadOffice::open();
    let folder = tempfile::tempdir().expect("folder");
    let till = Till::start(&folder.path().join("till"), &[]);
    let enrol = |server: &str, code: &str| {
        till.ok(&json!({ "type": "Enrol", "server": server, "code": code }));
        wait_until(PATIENCE, "the failure", || {
            let enrolment = till.status()["enrolment"].clone();
            assert_ne!(enrolment["state"], "enrolled");
            (enrolment["state"] == "failed").then(|| enrolment["code"].clone())
        })
    };
    assert_eq!(
        enrol(&office.server.url(), "atlas.WRONGONE"),
        "enrol_code_invalid"
    );
    assert_eq!(
        enrol(&office.server.url(), "nobody.WRONGONE"),
        "enrol_code_invalid"
    );
    let closed = TcpListener::bind("127.0.0.1:0")
        .expect("port")
        .local_addr()
        .expect("address");
    assert_eq!(
        enrol(&format!("http://{closed}"), "atlas.WRONGONE"),
        "server_unreachable"
    );
    // Something else answers: another till's door.
    let other = Till::start(&folder.path().join("other"), &[]);
    assert_eq!(
        enrol(&format!("http://{}", other.address), "atlas.WRONGONE"),
        "server_nonsense"
    );
    // The right code still works after all that.
    till.ok(&json!({ "type": "Enrol", "server": office.server.url(), "code": office.code("LM") }));
    ready(&till);
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut talkative = program::program();
    talkative.env("HANOUT_LOG", "trace").stderr(writer);
    let till = Till::start_as(talkative, &folder.path().join("till"), &[]);
    // An enrolment without a server is logged by the till's own thread.
    till.ok(&json!({ "type": "Enrol", "server": "http://127.0.0.1:1", "code": "a.b" }));
    wait_until(PATIENCE, "the failure", || {
        (till.status()["enrolment"]["state"] == "failed").then_some(())
    });
    till.stop();
}

#[test]
fn a_start_that_cannot_be_is_one_clear_line() {
    let folder = tempfile::tempdir().expect("folder");
    let data = folder.path().join("till");
    let data_text = data.to_str().expect("path");
    let till = Till::start(&data, &[]);
    let taken = till.address.to_string();
    let other = folder.path().join("other");
    let other_text = other.to_str().expect("path");
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").expect("file");
    let below_file = file.join("till");
    for (arguments, code, words) in [
        (
            vec!["serve", "--data", other_text, "--listen", &taken],
            1,
            "cannot listen",
        ),
        (
            vec!["serve", "--data", data_text],
            1,
            "in use by another process",
        ),
        (
            vec!["serve", "--data", below_file.to_str().expect("path")],
            1,
            "cannot be used",
        ),
        (vec!["verify", other_text], 1, "no ledger"),
        (vec!["serve"], 2, "--data"),
        (
            vec!["serve", "--data", other_text, "--listen", "0.0.0.0:0"],
            2,
            "loopback",
        ),
        (
            vec![
                "serve",
                "--data",
                other_text,
                "--server",
                "http://127.0.0.1:1",
            ],
            2,
            "--code",
        ),
        (
            vec![
                "serve",
                "--data",
                other_text,
                "--server",
                "http://example.tn",
                "--code",
                "a.b",
            ],
            1,
            "bad_server_address",
        ),
        (
            vec!["render", "nothing", "--data", other_text, "--png", "x.png"],
            2,
            "print job",
        ),
        (vec!["fly"], 2, "fly"),
        (vec![], 2, "Usage"),
    ] {
        let output = run(&arguments);
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        if code == 1 {
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
        }
    }
    for arguments in [
        vec!["--help"],
        vec!["serve", "--help"],
        vec!["verify", "--help"],
        vec!["backup", "--help"],
        vec!["restore", "--help"],
        vec!["render", "--help"],
    ] {
        let output = run(&arguments);
        assert!(output.status.success());
        assert!(
            String::from_utf8(output.stdout)
                .expect("text")
                .contains("Usage: hanout-till")
        );
    }
}
