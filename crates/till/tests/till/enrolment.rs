//! Becoming a till, its folder, and storage that fails.

use domain::ids::JobId;
use ledger::{Ledger, NewStream, OpenOptions};
use serde_json::json;
use testkit::shop::{BALL, CASHIER, CASHIER_PIN, Setup, Shop, tender};
use till::door::{Answer, Command, Enrolment, JobResult, Refusal, RefusalCode, Reply};
use till::{OpenTillError, PendingWork, Till};

fn enrol(server: &str, code: &str) -> Command {
    Command::Enrol {
        server: server.to_owned(),
        code: code.to_owned(),
    }
}

fn ask(shop: &mut Shop) -> JobId {
    match shop.ok(enrol("https://hq.example/", " atlas.7ZK3QW2M ")) {
        Reply::Pending { job } => job,
        other => panic!("not pending: {other:?}"),
    }
}

fn enrolled(shop: &Shop) -> JobResult {
    JobResult::Enrolled {
        enrolled: serde_json::to_string(&shop.enrolled()).expect("plain data"),
    }
}

fn code_of(answer: &Answer) -> Option<RefusalCode> {
    match answer {
        Answer::Ok(_) => None,
        Answer::Refused(Refusal { code, .. }) => Some(*code),
    }
}

#[test]
fn a_device_that_is_no_till_says_so() {
    let mut shop = Setup::tunisia().unenrolled();
    let status = shop.status();
    assert_eq!((status.enrolment, status.ready), (Enrolment::None, false));
    for command in [
        Command::ListUsers {},
        Command::GetCart {},
        Command::ScanCode {
            code: BALL.to_owned(),
        },
        Command::SignIn {
            user: CASHIER,
            pin: CASHIER_PIN.to_owned(),
        },
        Command::TestPrint {},
        Command::CloseShift {
            count: vec![],
            approval: None,
        },
    ] {
        let code = code_of(&shop.call(command.clone()));
        let signed_out = code == Some(RefusalCode::SignInRequired);
        assert!(
            signed_out || code == Some(RefusalCode::NotEnrolled),
            "{command:?}: {code:?}"
        );
    }
    shop.ok(Command::GetSettings {});
    shop.ok(Command::SyncNow {});
}

#[test]
fn nonsense_is_refused_before_anything_is_sent() {
    let mut shop = Setup::tunisia().unenrolled();
    for server in [
        "",
        "hq.example",
        "http://hq.example",
        "ftp://hq.example",
        "https://a b",
    ] {
        let refusal = shop.refused(enrol(server, "atlas.7ZK3QW2M"));
        assert_eq!(refusal.code, RefusalCode::BadServerAddress, "{server}");
    }
    let long = "A".repeat(65);
    for code in [
        "",
        " ",
        "atlas 7ZK3",
        "atlas\n7ZK3",
        "\u{202e}atlas",
        "أطلس",
        "a/../b",
        &long,
    ] {
        let refusal = shop.refused(enrol("https://hq.example", code));
        assert_eq!(refusal.code, RefusalCode::EnrolCodeInvalid, "{code:?}");
    }
    assert!(shop.till().pending().is_none());
}

#[test]
fn enrolment_waits_for_its_owner_and_survives_a_restart() {
    let mut shop = Setup::tunisia().on_folder().unenrolled();
    let job = ask(&mut shop);
    assert_eq!(shop.status().enrolment, Enrolment::Asking);
    let fingerprint = "482913".to_owned();
    shop.job_finished(
        job,
        JobResult::EnrolPending {
            fingerprint: fingerprint.clone(),
        },
    );
    let pending = shop.till().pending();
    shop.reopen();
    assert_eq!(shop.status().enrolment, Enrolment::Pending { fingerprint });
    assert_eq!(shop.till().pending(), pending, "the same key and code");
    let PendingWork::Enrol { server, code, .. } = pending.expect("work").work;
    assert_eq!(
        (server.as_str(), code.as_str()),
        ("https://hq.example", "atlas.7ZK3QW2M")
    );

    let code = "server_unreachable".to_owned();
    shop.job_finished(job, JobResult::Failed { code: code.clone() });
    assert_eq!(shop.status().enrolment, Enrolment::Failed { code });
    assert!(shop.till().pending().is_none());
    let again = ask(&mut shop);
    assert_ne!(again, job);
    let late = enrolled(&shop);
    shop.job_finished(job, late);
    assert_eq!(
        shop.status().enrolment,
        Enrolment::Asking,
        "an answer to another question"
    );
    let result = enrolled(&shop);
    shop.job_finished(again, result);
    let status = shop.status();
    assert_eq!(
        (status.enrolment, status.ready),
        (Enrolment::Enrolled, false)
    );
    assert_eq!(status.till.as_deref(), Some("01"));
    let link = shop.till().link().expect("a link");
    assert_eq!(
        (link.server.as_str(), link.authority.as_str()),
        ("https://hq.example", "hub")
    );
    assert!(shop.till().pending().is_none());
}

#[test]
fn a_server_that_answers_nonsense_makes_no_till() {
    let mut shop = Setup::tunisia().on_folder().unenrolled();
    let job = ask(&mut shop);
    for nonsense in ["", "<html>", "{}", r#"{"tenant":"a b"}"#] {
        let answer = shop.job_finished(
            job,
            JobResult::Enrolled {
                enrolled: nonsense.to_owned(),
            },
        );
        assert_eq!(
            code_of(&answer),
            Some(RefusalCode::ServerNonsense),
            "{nonsense}"
        );
    }
    assert!(shop.till().ledger().is_none());
    assert!(!shop.folder().join("ledger.db").exists());
}

#[test]
fn an_enrolment_cut_short_begins_anew() {
    let mut shop = Setup::tunisia().on_folder().unenrolled();
    let job = ask(&mut shop);
    let context = shop.now();
    shop.close_till();
    // The ledger was made, and the power went before it knew its server.
    let mut entropy = domain::entropy::Entropy::new([9; 32]);
    let body = shop.enrolled();
    let new = NewStream {
        stream: entropy.next_stream_id(),
        location: body.location.clone(),
        opened: domain::event::StreamOpened {
            reason: domain::event::StreamReason::Enrolled,
            tenant: body.tenant.clone(),
            store: Some(body.store.clone()),
            till: Some(body.till.clone()),
            device: body.device,
            key_algorithm: domain::config::KeyAlgorithm::Ed25519,
            public_key: "00".repeat(32),
            previous: None,
            z_number: 0,
            perpetual_minor: 0,
            periods: std::collections::BTreeMap::new(),
            numbers: std::collections::BTreeMap::new(),
            witness: None,
        },
    };
    let event = domain::ids::EventId(entropy.next_uuid(0));
    let path = shop.folder().join("ledger.db");
    let made = Ledger::create(&path, new, &context, event, &OpenOptions::default());
    drop(made.expect("a ledger"));
    shop.try_open().expect("the till opens");
    assert_eq!(shop.status().enrolment, Enrolment::Asking);
    assert!(shop.till().pending().is_some(), "the server is asked again");
    let result = enrolled(&shop);
    shop.job_finished(job, result);
    shop.receive_everything();
    shop.reopen();
    assert!(shop.status().ready && shop.till().link().is_some());
    shop.open();
    shop.verify_clean();
}

#[test]
fn a_till_whose_ledger_is_gone_asks_to_be_enrolled() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.close_till();
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        let _ = std::fs::remove_file(shop.folder().join(name));
    }
    shop.try_open().expect("the till opens");
    assert_eq!(shop.status().enrolment, Enrolment::None);
    ask(&mut shop);
}

#[test]
fn it_sells_once_configuration_catalogue_and_prices_are_there() {
    let mut shop = Setup::tunisia().unenrolled();
    shop.enrol();
    assert_eq!(shop.status().enrolment, Enrolment::Enrolled);
    let test_print = shop.call(Command::TestPrint {});
    assert_eq!(code_of(&test_print), Some(RefusalCode::NotReady));
    let config = shop.config_feed();
    // Staff and store arrive, the catalogue does not.
    let mut full = Setup::tunisia().build();
    full.sign_in(CASHIER);
    let store = full
        .ledger()
        .store_config()
        .expect("readable")
        .expect("a store");
    let member = full
        .ledger()
        .staff_member(CASHIER)
        .expect("readable")
        .expect("Amira");
    let rows = vec![
        (
            "store".to_owned(),
            Some(serde_json::to_value(store).expect("plain data")),
        ),
        (
            format!("user:{CASHIER}"),
            Some(serde_json::to_value(member).expect("plain data")),
        ),
    ];
    shop.publish(&config, rows);
    shop.sign_in(CASHIER);
    assert!(!shop.status().ready);
    for command in [
        Command::ScanCode {
            code: BALL.to_owned(),
        },
        Command::OpenShift {
            drawer: None,
            count: vec![],
            approval: None,
        },
    ] {
        assert_eq!(code_of(&shop.call(command)), Some(RefusalCode::NotReady));
    }
    shop.verify_clean();
}

#[test]
fn one_folder_has_one_till() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    let context = till::Context {
        now: shop.now(),
        entropy: domain::entropy::Entropy::new([3; 32]),
    };
    let second = Till::open(shop.folder(), "test", context.clone());
    assert!(
        matches!(second, Err(OpenTillError::InUse { .. })),
        "{second:?}"
    );
    shop.scan(BALL);
    shop.pay_cash(None);
    let folder = shop.folder().to_owned();
    shop.close_till();
    drop(Till::open(&folder, "test", context).expect("it is free again"));
}

#[test]
fn a_folder_that_cannot_be_used_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "x").expect("writable");
    let context = till::Context {
        now: Setup::tunisia().unenrolled().now(),
        entropy: domain::entropy::Entropy::new([3; 32]),
    };
    let opened = Till::open(&file.join("till"), "test", context.clone());
    assert!(
        matches!(opened, Err(OpenTillError::DataDir { .. })),
        "{opened:?}"
    );

    std::fs::write(folder.path().join("device.key"), "not a key").expect("writable");
    let opened = Till::open(folder.path(), "test", context.clone());
    assert!(
        matches!(opened, Err(OpenTillError::BadKey { .. })),
        "{opened:?}"
    );

    std::fs::remove_file(folder.path().join("device.key")).expect("there");
    std::fs::write(folder.path().join("ledger.db"), "not a ledger").expect("writable");
    let opened = Till::open(folder.path(), "test", context);
    assert!(
        matches!(opened, Err(OpenTillError::Ledger(_))),
        "{opened:?}"
    );
    let kept = std::fs::read(folder.path().join("ledger.db")).expect("readable");
    assert_eq!(kept, b"not a ledger", "nothing is overwritten");
}

#[test]
fn a_full_disk_loses_no_sale_and_no_cart() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.close_till();
    // The file may not grow from here on.
    let options = OpenOptions {
        pages_max: Some(pages(&shop)),
        ..OpenOptions::default()
    };
    shop.try_open_with(&options).expect("the till opens");
    let mut sold = 0;
    let (id, complete) = loop {
        let sale = shop.scan(BALL).sale;
        let id = shop.request_id();
        let complete = Command::Complete {
            sale,
            tenders: vec![tender(domain::event::TenderKind::Cash, None)],
            approval: None,
        };
        let before = shop.traces();
        match shop.call_as(id, complete.clone()) {
            Answer::Ok(_) => sold += 1,
            Answer::Refused(refusal) => {
                assert_eq!(refusal.code, RefusalCode::StorageFailed);
                assert_eq!(before, shop.traces(), "the cart is still there");
                break (id, complete);
            }
        }
        assert!(sold < 2_000, "the disk is never full");
    };
    assert_eq!(shop.x_report().sales, sold);
    shop.verify_clean();
    // Space again: the very same request goes through.
    shop.reopen();
    let answer = shop.call_as(id, complete);
    assert!(
        matches!(answer, Answer::Ok(Reply::Completed(_))),
        "{answer:?}"
    );
    assert_eq!(shop.x_report().sales, sold + 1);
    shop.verify_clean();
}

fn pages(shop: &Shop) -> u32 {
    let db = crate::raw(shop.folder().join("ledger.db"));
    let pages = db.query_row("PRAGMA page_count", [], |row| row.get(0));
    pages.expect("a number of pages")
}

#[test]
fn drafts_that_cannot_be_written_refuse_the_scan_but_not_the_sale() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.scan(BALL);
    let db = crate::raw(shop.folder().join("drafts.db"));
    db.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON cart BEGIN SELECT RAISE(ABORT, 'full'); END;",
    )
    .expect("a trigger");
    let scan = Command::ScanCode {
        code: BALL.to_owned(),
    };
    shop.refused_with(scan, RefusalCode::StorageFailed, json!({}));
    assert_eq!(shop.cart().lines.len(), 1);
    let done = shop.pay_cash(None);
    assert_eq!(done.total_minor, 29_500);
    assert!(
        shop.cart().lines.is_empty(),
        "the sale is made, whatever the drafts say"
    );
    db.execute_batch("DROP TRIGGER full").expect("dropped");
    shop.reopen();
    assert!(shop.cart().lines.is_empty());
    assert_eq!(shop.x_report().sales, 1);
    shop.verify_clean();
}

#[test]
fn a_journal_that_cannot_be_written_keeps_the_cart() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.scan(BALL);
    shop.scan(BALL);
    let db = crate::raw(shop.folder().join("ledger.db"));
    db.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'full'); END;",
    )
    .expect("a trigger");
    let sale = shop.cart().sale;
    for command in [
        Command::Complete {
            sale,
            tenders: vec![tender(domain::event::TenderKind::Cash, None)],
            approval: None,
        },
        Command::RemoveLine { line: 1 },
        Command::ClearCart {},
        Command::OpenDrawer {
            reason: "change".to_owned(),
        },
        Command::CloseShift {
            count: testkit::shop::pieces(testkit::shop::Country::Tunisia, 100_000),
            approval: None,
        },
    ] {
        shop.refused_with(command, RefusalCode::StorageFailed, json!({}));
    }
    db.execute_batch("DROP TRIGGER full").expect("dropped");
    assert_eq!(shop.pay_cash(None).total_minor, 59_000);
    shop.verify_clean();
}

#[test]
fn damaged_drafts_are_set_aside_and_the_till_sells_on() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.sign_in(CASHIER);
    shop.open();
    shop.scan(BALL);
    let sold = shop.pay_cash(None);
    shop.scan(BALL);
    shop.close_till();
    for name in ["drafts.db-wal", "drafts.db-shm"] {
        let _ = std::fs::remove_file(shop.folder().join(name));
    }
    std::fs::write(shop.folder().join("drafts.db"), b"no database at all").expect("written");
    shop.try_open().expect("the till opens with new drafts");
    // The cart and the sign-in are lost, the sale and the shift are not, and the damaged file is kept.
    shop.sign_in(CASHIER);
    let Reply::Cart(cart) = shop.ok(Command::GetCart {}) else {
        panic!("the cart")
    };
    assert!(cart.lines.is_empty());
    let Reply::Receipt(receipt) = shop.ok(Command::GetReceipt {
        number: sold.number.clone(),
    }) else {
        panic!("the receipt")
    };
    assert_eq!(receipt.row.number, sold.number);
    let kept = std::fs::read_dir(shop.folder()).expect("the folder");
    let kept = kept.filter_map(Result::ok).filter(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with("drafts.db.damaged-")
    });
    assert_eq!(kept.count(), 1);
    shop.verify_clean();
}
