//! One request has one answer, and what is no request is said so.

use domain::quantity::Quantity;
use serde_json::{Value, json};
use testkit::shop::{BALL, CASHIER, CASHIER_PIN, SHOE_42, Setup, Shop, tender};
use till::door::{Answer, Command, RefusalCode, Reply};

fn scan(code: &str) -> Command {
    Command::ScanCode {
        code: code.to_owned(),
    }
}

fn text(answer: &Answer) -> Value {
    serde_json::to_value(answer).expect("plain data")
}

#[test]
fn text_that_is_no_request_has_no_answer() {
    let mut shop = Setup::tunisia().build();
    let id = shop.request_id();
    for body in [
        String::new(),
        "{".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "\u{feff}{}".to_owned(),
        r#"{"command":{"type":"Status"}}"#.to_owned(),
        r#"{"id":"42","command":{"type":"Status"}}"#.to_owned(),
        format!(r#"{{"id":"{id}"}}"#),
        format!(r#"{{"id":"{id}","command":{{"type":"Status"}},"user":"root"}}"#),
        format!(r#"{{"id":"{id}","id":"{id}","command":{{"type":"Status"}}}}"#),
        format!(r#"{{"id":"{id}","command":{{"type":"Status"}}}} trailing"#),
    ] {
        assert!(shop.call_json(&body).is_err(), "{body:.80}");
    }
    shop.verify_clean();
}

#[test]
fn a_command_that_cannot_be_read_is_refused() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    let before = shop.traces();
    for command in [
        "null",
        "3",
        r#""Status""#,
        r#"{"type":"OpenSesame"}"#,
        r#"{"type":"status"}"#,
        r#"{"type":"Status","verbose":true}"#,
        r#"{"type":"ScanCode"}"#,
        r#"{"type":"ScanCode","code":6191234500016}"#,
        r#"{"type":"ScanCode","code":"a","code":"b"}"#,
        r#"{"type":"ScanCode","type":"ClearCart","code":"a"}"#,
        r#"{"type":"ScanCode","code":"\ud800"}"#,
        r#"{"type":"SetQuantity","line":1,"quantity":1.5}"#,
        r#"{"type":"SetQuantity","line":1,"quantity":1e3}"#,
        r#"{"type":"SetQuantity","line":1,"quantity":1000.0}"#,
        r#"{"type":"SetQuantity","line":1,"quantity":99999999999999999999}"#,
        r#"{"type":"SetQuantity","line":1,"quantity":"1000"}"#,
        r#"{"type":"SetQuantity","line":-1,"quantity":1000}"#,
        r#"{"type":"AddTender","tender":{"kind":"crypto"}}"#,
        r#"{"type":"AddTender","tender":{"kind":"cash","amount_minor":1,"currency":"USD"}}"#,
        r#"{"type":"DiscountCart","discount":{"type":"percent","bp":-1}}"#,
        r#"{"type":"SetSettings","settings":{"language":"de","printer":{"type":"file"},"profile":"generic-58"}}"#,
        r#"{"type":"Complete","sale":"not-a-uuid"}"#,
    ] {
        let answer = shop.call_text(command);
        let Answer::Refused(refusal) = answer else {
            panic!("{command} was carried out");
        };
        assert_eq!(refusal.code, RefusalCode::InvalidCommand, "{command}");
        assert!(refusal.params["detail"].is_string(), "{command}");
    }
    let deep = "[".repeat(5_000) + "1" + &"]".repeat(5_000);
    let answer = shop.call_text(&deep);
    assert!(
        matches!(&answer, Answer::Refused(refusal) if refusal.code == RefusalCode::InvalidCommand),
        "nested too deeply"
    );
    assert_eq!(before, shop.traces());
    shop.verify_clean();
}

#[test]
fn the_same_request_has_the_same_answer_and_happens_once() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    let scanned = shop.request_id();
    let first = shop.call_as(scanned, scan(BALL));
    let again = shop.call_as(scanned, scan(BALL));
    assert_eq!(text(&first), text(&again));
    assert_eq!(shop.cart().units, Quantity(1_000), "once");

    let refused = shop.request_id();
    let unknown = shop.call_as(refused, scan("6191234500214"));
    assert!(matches!(unknown, Answer::Refused(_)));

    let sale = shop.cart().sale;
    let paid = shop.request_id();
    let complete = Command::Complete {
        sale,
        tenders: vec![tender(domain::event::TenderKind::Cash, Some(30_000))],
        approval: None,
    };
    let done = shop.call_as(paid, complete.clone());
    assert!(matches!(done, Answer::Ok(Reply::Completed(_))), "{done:?}");
    let head = shop.ledger().head();
    assert_eq!(text(&done), text(&shop.call_as(paid, complete.clone())));

    shop.reopen();
    shop.advance_ms(3_600_000);
    assert_eq!(text(&first), text(&shop.call_as(scanned, scan(BALL))));
    assert_eq!(text(&done), text(&shop.call_as(paid, complete)));
    assert_eq!(
        text(&unknown),
        text(&shop.call_as(refused, scan("6191234500214")))
    );
    assert_eq!(shop.ledger().head(), head, "nothing happened twice");
    assert_eq!(shop.x_report().sales, 1);
    assert!(shop.cart().lines.is_empty());
    shop.verify_clean();
}

#[test]
fn a_refused_request_cannot_succeed_later() {
    let mut shop = Setup::tunisia().build();
    shop.sign_in(CASHIER);
    shop.scan(BALL);
    let sale = shop.cart().sale;
    let id = shop.request_id();
    let complete = Command::Complete {
        sale,
        tenders: vec![tender(domain::event::TenderKind::Cash, None)],
        approval: None,
    };
    let refused = shop.call_as(id, complete.clone());
    assert!(
        matches!(&refused, Answer::Refused(refusal) if refusal.code == RefusalCode::ShiftRequired)
    );
    shop.open_shift(0);
    assert_eq!(text(&refused), text(&shop.call_as(id, complete.clone())));
    assert_eq!(shop.x_report().sales, 0);
    let answer = shop.call(complete);
    assert!(matches!(answer, Answer::Ok(Reply::Completed(_))));
}

#[test]
fn a_request_id_serves_one_command() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    let id = shop.request_id();
    shop.call_as(id, scan(BALL));
    let before = shop.traces();
    for command in [
        scan(SHOE_42),
        Command::GetCart {},
        Command::OpenDrawer {
            reason: "change".to_owned(),
        },
        Command::SignIn {
            user: CASHIER,
            pin: CASHIER_PIN.to_owned(),
        },
    ] {
        let answer = shop.call_as(id, command);
        assert_eq!(
            text(&answer),
            json!({"refused": {"code": "request_id_reused", "params": {}}})
        );
    }
    let status = shop.call_as(id, Command::Status {});
    assert!(
        matches!(status, Answer::Ok(Reply::Status(_))),
        "a status is never refused"
    );
    assert_eq!(before, shop.traces());
}

#[test]
fn reading_leaves_nothing_behind() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(BALL);
    let id = shop.request_id();
    let first = text(&shop.call_as(id, Command::GetCart {}));
    shop.scan(BALL);
    let second = text(&shop.call_as(id, Command::GetCart {}));
    assert_ne!(first, second, "a reading is answered anew");
}

#[test]
fn a_pin_is_kept_nowhere_in_the_clear() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.refused(Command::SetPrice {
        line: 9,
        unit_minor: 1,
        approval: Some(testkit::shop::approval()),
    });
    shop.ok(Command::ResetPin {
        user: CASHIER,
        new_pin: "80517264".to_owned(),
        approval: testkit::shop::approval(),
    });
    let folder = shop.folder().to_owned();
    shop.close_till();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        let bytes = std::fs::read(&path).expect("readable");
        for pin in ["80517264", testkit::shop::MANAGER_PIN] {
            let found = bytes.windows(pin.len()).any(|part| part == pin.as_bytes());
            assert!(!found, "{} holds a PIN", path.display());
        }
    }
}

#[test]
fn the_same_commands_in_the_same_context_make_the_same_ledger() {
    let day = |shop: &mut Shop| {
        shop.open();
        shop.scan(BALL);
        shop.pay_cash(None);
        shop.close_exact();
        shop.ledger().head()
    };
    let (mut one, mut two) = (Setup::tunisia().build(), Setup::tunisia().build());
    assert_eq!(day(&mut one), day(&mut two));
}

#[test]
fn a_till_that_never_restarts_forgets_answers_after_a_week() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.sign_in(CASHIER);
    let scanned = shop.request_id();
    let first = shop.call_as(scanned, scan(BALL));
    let kept = |shop: &testkit::shop::Shop| -> i64 {
        crate::raw(shop.folder().join("drafts.db"))
            .query_row("SELECT count(*) FROM answer", [], |row| row.get(0))
            .expect("counts")
    };
    let settle = |shop: &mut testkit::shop::Shop| {
        let wall = shop.now().wall_ms;
        shop.till_mut().settle(wall).expect("settles");
    };
    shop.advance_days(6);
    settle(&mut shop);
    assert_eq!(text(&first), text(&shop.call_as(scanned, scan(BALL))));
    assert!(kept(&shop) > 0);
    shop.advance_days(2);
    settle(&mut shop);
    assert_eq!(kept(&shop), 0);
}

#[test]
fn scans_wait_for_no_checkpoint() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.sign_in(CASHIER);
    let file = shop.folder().join("drafts.db");
    let wall = shop.now().wall_ms;
    shop.till_mut().settle(wall).expect("settles");
    let size = || std::fs::metadata(&file).expect("a file").len();
    let before = size();
    for _ in 0..200 {
        shop.scan(BALL);
    }
    assert_eq!(size(), before, "a scan moved the log");
    shop.till_mut().settle(wall).expect("settles");
    assert!(size() > before, "an idle till moves it");
    let written = shop.till().written();
    shop.till_mut().settle(wall).expect("settles");
    assert_eq!(
        shop.till().written(),
        written,
        "a settled till has nothing to do"
    );
}
