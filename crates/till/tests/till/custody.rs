//! A ledger that is not the one this till left behind: noticed at start, offline, and selling goes on.

use std::path::Path;

use domain::event::StreamReason;
use ledger::{Ledger, OpenOptions};
use testkit::shop::{BALL, CASHIER, MANAGER, Setup, Shop, TEE};
use till::OpenTillError;
use till::door::{Command, NoticeReason, RefusalCode, Reply};

struct World {
    shop: Shop,
    state: tempfile::TempDir,
}

/// A witnessed till in the midst of a shift.
fn world() -> World {
    let state = tempfile::tempdir().expect("a folder");
    let mut shop = Setup::tunisia().on_folder().build();
    shop.witness_in(state.path());
    shop.reopen();
    assert_eq!(shop.status().notice, None, "taken on trust once");
    shop.sign_in(CASHIER);
    shop.open_shift(50_000);
    World { shop, state }
}

fn sell(shop: &mut Shop, code: &str) -> String {
    shop.scan(code);
    shop.complete(vec![tender()]).number
}

fn tender() -> till::door::TenderInput {
    till::door::TenderInput {
        kind: domain::event::TenderKind::Cash,
        amount_minor: None,
        reference: None,
    }
}

fn copy_of(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    for name in ["ledger.db", "ledger.db-wal"] {
        if folder.join(name).exists() {
            std::fs::copy(folder.join(name), copy.path().join(name)).expect("copy");
        }
    }
    copy
}

/// Puts an older copy back into the very same file.
fn put_back(copy: &Path, folder: &Path) {
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.join(format!("ledger.db{suffix}")));
    }
    let bytes = std::fs::read(copy.join("ledger.db")).expect("the copy");
    std::fs::write(folder.join("ledger.db"), bytes).expect("put back");
}

fn expected_minor(shop: &mut Shop) -> i64 {
    match shop.ok(Command::XReport {
        print: false,
        approval: None,
    }) {
        Reply::Report(report) => report.takings_minor,
        other => panic!("no report: {other:?}"),
    }
}

fn assert_sound(shop: &Shop) {
    let report = crate::read_only(shop.folder())
        .expect("open")
        .verify()
        .expect("verify");
    assert_eq!(report.first_bad, None);
}

#[test]
fn a_till_that_was_set_back_goes_on_in_a_new_series_and_says_so() {
    let World {
        mut shop,
        state: _state,
    } = world();
    let first = sell(&mut shop, BALL);
    shop.close_till();
    let copy = copy_of(shop.folder());
    shop.reopen();
    let lost = sell(&mut shop, TEE);
    shop.close_till();
    put_back(copy.path(), shop.folder());
    shop.reopen();
    let status = shop.status();
    let notice = status.notice.expect("a notice");
    assert_eq!(notice.reason, NoticeReason::RolledBack);
    assert_eq!((notice.streams, notice.lost), (1, 0));
    assert_ne!(notice.series, notice.ended);
    assert!(first.contains(&notice.ended.expect("a series")));
    assert!(status.ready && status.shift.is_some() && status.user.is_some());
    // The shift goes on with what is known of it, in numbers that the lost sale cannot have.
    assert_eq!(expected_minor(&mut shop), 29_500);
    let next = sell(&mut shop, TEE);
    assert!(next.contains(&notice.series.expect("a series")));
    assert_ne!(next, lost);
    let opening = shop.till().ledger().expect("a ledger").opening().clone();
    assert_eq!(opening.reason, StreamReason::RolledBack);
    assert_eq!(
        opening.witness.map(|head| head.seq),
        opening.previous.map(|head| head.seq + 1)
    );
    // A cashier sees the notice, a manager takes note of it, and it does not come back.
    let refusal = shop.refused(Command::AcknowledgeNotice { approval: None });
    assert_eq!(refusal.code, RefusalCode::ManagerRequired);
    shop.sign_in(MANAGER);
    shop.ok(Command::AcknowledgeNotice { approval: None });
    assert_eq!(shop.status().notice, None);
    shop.reopen();
    assert_eq!(shop.status().notice, None);
    assert_sound(&shop);
}

#[test]
fn receipts_of_the_old_series_are_found_shown_and_printed_again() {
    let World {
        mut shop,
        state: _state,
    } = world();
    let old = sell(&mut shop, BALL);
    shop.ok(Command::Reprint {
        number: old.clone(),
    });
    let head = shop.till().ledger().expect("a ledger").head();
    shop.ledger_mut()
        .write(|tx| tx.set_acked("hub", 1, head.seq, head.hash))
        .expect("acknowledged");
    shop.close_till();
    let copy = copy_of(shop.folder());
    shop.reopen();
    shop.close_till();
    // The same bytes in another file: a copy was put in its place. The old one stays, or its number in the file system
    // might be given to the copy.
    std::fs::rename(
        shop.folder().join("ledger.db"),
        shop.folder().join("ledger.db-before"),
    )
    .expect("aside");
    std::fs::copy(
        copy.path().join("ledger.db"),
        shop.folder().join("ledger.db-other"),
    )
    .expect("copy");
    std::fs::rename(
        shop.folder().join("ledger.db-other"),
        shop.folder().join("ledger.db"),
    )
    .expect("put in place");
    let files = std::fs::read_dir(shop.folder()).expect("folder").count();
    shop.reopen();
    assert!(std::fs::read_dir(shop.folder()).expect("folder").count() >= files);
    let own = sell(&mut shop, TEE);
    for number in [&old, &own] {
        let Reply::Receipt(view) = shop.ok(Command::GetReceipt {
            number: number.clone(),
        }) else {
            panic!("a receipt")
        };
        assert_eq!(view.row.number, *number);
    }
    let Reply::Receipt(view) = shop.ok(Command::Reprint {
        number: old.clone(),
    }) else {
        panic!("a receipt")
    };
    assert_eq!(view.copies, 2);
    let Reply::Receipts { receipts } = shop.ok(Command::ListReceipts {
        query: String::new(),
        limit: None,
    }) else {
        panic!("receipts")
    };
    let numbers: Vec<&str> = receipts.iter().map(|row| row.number.as_str()).collect();
    assert_eq!(numbers, [own.as_str(), old.as_str()]);
    assert_sound(&shop);
}

/// The picture of a report, and what it says.
fn report(shop: &mut Shop, number: &str, print: bool) -> (String, u32) {
    let number = number.to_owned();
    let command = if print {
        Command::ReprintReport { number }
    } else {
        Command::GetReport { number }
    };
    match shop.ok(command) {
        Reply::Report(report) => (report.png_base64.expect("a picture"), report.copies),
        Reply::Period(period) => (period.png_base64, period.copies),
        other => panic!("no report: {other:?}"),
    }
}

/// What was closed and acknowledged stays in the file of the stream that ended. It is found there, printed again as it
/// was, and not undone.
#[test]
fn what_only_an_earlier_file_holds_is_listed_and_printed_again() {
    let state = tempfile::tempdir().expect("a folder");
    let mut shop = Setup::tunisia().on_folder().build();
    shop.witness_in(state.path());
    shop.reopen();
    let mut sold = Vec::new();
    for days in [8, 1, 1] {
        shop.sign_in(MANAGER);
        shop.ok(Command::OpenShift {
            count: Vec::new(),
            drawer: None,
            approval: Some(testkit::shop::approval()),
        });
        sold.push(sell(&mut shop, BALL));
        sold.push(sell(&mut shop, TEE));
        shop.close_exact();
        shop.advance_days(days);
    }
    let reports = ["Z1", "Z2", "D1", "M1"];
    let before: Vec<_> = reports
        .iter()
        .map(|number| report(&mut shop, number, false))
        .collect();
    let (z1_copy, copies) = report(&mut shop, "Z1", true);
    assert_eq!(copies, 1);
    let listed = |shop: &mut Shop| match shop.ok(Command::ListReports { limit: None }) {
        Reply::Reports { reports } => reports,
        other => panic!("no reports: {other:?}"),
    };
    let rows = listed(&mut shop);
    let balance = |shop: &mut Shop| match shop.ok(Command::TrialBalance {
        number: Some("Z1".to_owned()),
    }) {
        Reply::Balance(balance) => balance,
        other => panic!("no balance: {other:?}"),
    };
    let balanced = balance(&mut shop);
    let head = shop.till().ledger().expect("a ledger").head();
    shop.ledger_mut()
        .write(|tx| tx.set_acked("hub", 1, head.seq, head.hash))
        .expect("acknowledged");
    // The server's stock holds all of it.
    shop.set_stock("LM", &[(BALL, 7)]);
    shop.close_till();
    let copy = copy_of(shop.folder());
    shop.reopen();
    shop.sign_in(MANAGER);
    shop.ok(Command::OpenShift {
        count: Vec::new(),
        drawer: None,
        approval: Some(testkit::shop::approval()),
    });
    shop.close_till();
    put_back(copy.path(), shop.folder());
    shop.reopen();
    let notice = shop.status().notice.expect("a notice");
    assert_eq!(notice.reason, NoticeReason::RolledBack);
    let book = shop.till().ledger().expect("a ledger");
    assert!(book.z_report(1).expect("read").is_none(), "it stayed there");
    assert!(book.receipt(&sold[0]).expect("read").is_none());

    shop.sign_in(MANAGER);
    assert_eq!(listed(&mut shop), rows);
    assert_eq!(balance(&mut shop), balanced);
    for (number, (picture, _)) in reports.iter().zip(&before) {
        assert_eq!(&report(&mut shop, number, false).0, picture, "{number}");
    }
    let (again, copies) = report(&mut shop, "Z1", true);
    assert_eq!(copies, 2, "the first copy was made before");
    assert_ne!(again, z1_copy, "it says which copy it is");
    assert_eq!(report(&mut shop, "Z2", true).1, 1);
    assert_eq!(
        shop.refused(Command::GetReport {
            number: "Z9".to_owned()
        })
        .code,
        RefusalCode::UnknownReport
    );

    shop.ok(Command::OpenShift {
        count: Vec::new(),
        drawer: None,
        approval: Some(testkit::shop::approval()),
    });
    sold.push(sell(&mut shop, TEE));
    let reverse = |number: &str| Command::ReverseSale {
        number: number.to_owned(),
        reason: "cassé".to_owned(),
        approval: None,
    };
    assert_eq!(
        shop.refused(reverse(&sold[0])).code,
        RefusalCode::ShiftOfReceiptClosed
    );
    assert_eq!(
        shop.refused(reverse("LM-01-XXXXX-2026-000001")).code,
        RefusalCode::UnknownReceipt
    );
    for limit in [1, 3, 50] {
        let Reply::Receipts { receipts } = shop.ok(Command::ListReceipts {
            query: String::new(),
            limit: Some(limit),
        }) else {
            panic!("receipts")
        };
        let numbers: Vec<&str> = receipts.iter().map(|row| row.number.as_str()).collect();
        let newest: Vec<&str> = sold.iter().rev().map(String::as_str).collect();
        let expected = newest.len().min(limit as usize);
        assert_eq!(numbers, newest[..expected], "{limit}");
    }
    assert_sound(&shop);
}

/// Where a stream breaks off.
#[derive(Clone, Copy, PartialEq)]
enum Break {
    Nowhere,
    /// The file was set back by nothing, but put back.
    PutBack,
    /// The same, and the old file cannot be read any more.
    Lost,
}

/// A closed shift and an open one that is closed after the break, nothing of them acknowledged: reports and balances.
fn reports_beside(place: Break) -> Vec<String> {
    let state = tempfile::tempdir().expect("a folder");
    let mut shop = Setup::tunisia().on_folder().build();
    shop.witness_in(state.path());
    shop.reopen();
    let day = |shop: &mut Shop| {
        shop.sign_in(CASHIER);
        shop.open_shift(50_000);
        sell(shop, BALL);
        shop.advance_ms(60_000);
        shop.ok(Command::MoveCash {
            movement: domain::event::CashMovement::PayIn,
            amount_minor: 7_000,
            reason: "monnaie".to_owned(),
            approval: None,
        });
        shop.ok(Command::HandOver {
            to: MANAGER,
            pin: testkit::shop::MANAGER_PIN.to_owned(),
            count: None,
        });
        sell(shop, TEE);
    };
    day(&mut shop);
    shop.close_exact();
    shop.advance_ms(60_000);
    day(&mut shop);
    if place != Break::Nowhere {
        shop.close_till();
        let copy = copy_of(shop.folder());
        let path = shop.folder().join("ledger.db");
        // As long as the old file is there nothing else gets its number in the file system.
        std::fs::rename(&path, shop.folder().join("before")).expect("aside");
        let bytes = std::fs::read(copy.path().join("ledger.db")).expect("the copy");
        std::fs::write(&path, bytes).expect("put back");
        shop.reopen();
        assert!(shop.status().notice.is_some(), "a new stream");
        let old = ledger::earlier_files(&path).expect("files").remove(0);
        if place == Break::Lost {
            std::fs::remove_file(old).expect("lost");
        }
        assert_eq!(shop.status().user.map(|user| user.user), Some(MANAGER));
    }
    sell(&mut shop, BALL);
    shop.close_exact();
    let mut seen = Vec::new();
    for number in ["Z1", "Z2"] {
        let Reply::Balance(balance) = shop.ok(Command::TrialBalance {
            number: Some(number.to_owned()),
        }) else {
            panic!("no balance")
        };
        assert_eq!(balance.debit_minor, balance.credit_minor);
        assert!(balance.debit_minor > 0, "{number}");
        seen.push(format!("{balance:?}"));
        let Reply::Report(report) = shop.ok(Command::GetReport {
            number: number.to_owned(),
        }) else {
            panic!("no report")
        };
        seen.push(format!(
            "{} {} {:?} {} {:?}",
            report.holder_name,
            report.opened_at,
            report.moved_minor,
            report.takings_minor,
            report.counted_minor
        ));
    }
    let Reply::Balance(all) = shop.ok(Command::TrialBalance { number: None }) else {
        panic!("no balance")
    };
    seen.push(format!("{all:?}"));
    assert_sound(&shop);
    seen
}

#[test]
fn balances_and_reports_are_the_same_whether_a_stream_broke_off_or_not() {
    let whole = reports_beside(Break::Nowhere);
    assert_eq!(reports_beside(Break::PutBack), whole);
    assert_eq!(reports_beside(Break::Lost), whole);
}

#[test]
fn a_damaged_ledger_is_kept_and_selling_goes_on() {
    let World {
        mut shop,
        state: _state,
    } = world();
    for _ in 0..3 {
        sell(&mut shop, BALL);
    }
    shop.close_till();
    let path = shop.folder().join("ledger.db");
    drop(Ledger::open(&path, &crate::options(shop.folder())).expect("move the log"));
    let conn = crate::raw(&path);
    conn.execute_batch(
        "DROP TRIGGER event_is_never_changed; UPDATE event SET bytes = CAST(replace(CAST(bytes AS TEXT), '29500', '29501') AS BLOB) \
         WHERE kind = 'SaleCompleted' AND seq = (SELECT max(seq) FROM event)",
    )
    .expect("damage");
    conn.close().expect("close");
    shop.reopen();
    let status = shop.status();
    let notice = status.notice.expect("a notice");
    assert_eq!((notice.reason, notice.lost), (NoticeReason::Damaged, 1));
    assert!(status.ready && status.shift.is_some());
    assert_eq!(expected_minor(&mut shop), 59_000);
    sell(&mut shop, TEE);
    assert_sound(&shop);
}

/// The ledger of a closed till with its log in it, and where a copy of it was made two sales before.
fn copied(world: &mut World) -> std::path::PathBuf {
    let shop = &mut world.shop;
    sell(shop, BALL);
    let copy = world.state.path().join("copy.db");
    let ledger = shop.till().ledger().expect("a ledger");
    ledger.back_up(&copy, 1).expect("a copy");
    sell(shop, BALL);
    sell(shop, TEE);
    shop.close_till();
    let path = shop.folder().join("ledger.db");
    drop(Ledger::open(&path, &crate::options(shop.folder())).expect("move the log"));
    copy
}

#[test]
fn a_ledger_without_its_first_page_goes_on_with_the_help_of_a_copy() {
    let mut world = world();
    let copy = copied(&mut world);
    let shop = &mut world.shop;
    let path = shop.folder().join("ledger.db");
    let mut bytes = std::fs::read(&path).expect("read");
    bytes[..4_096].fill(0xa5);
    std::fs::write(&path, &bytes).expect("damage");
    // Alone it is not recognised, and nothing is touched.
    let drafts = std::fs::read(shop.folder().join("drafts.db")).expect("drafts");
    assert!(shop.try_open_with(&OpenOptions::default()).is_err());
    assert_eq!(std::fs::read(&path).expect("kept"), bytes);
    assert_eq!(
        std::fs::read(shop.folder().join("drafts.db")).expect("drafts"),
        drafts
    );
    shop.copies_are(vec![copy]);
    shop.reopen();
    let status = shop.status();
    let notice = status.notice.expect("a notice");
    assert_eq!((notice.reason, notice.lost), (NoticeReason::Damaged, 0));
    assert!(status.ready && status.shift.is_some());
    assert_eq!(expected_minor(shop), 2 * 29_500 + 24_990);
    sell(shop, TEE);
    assert_sound(shop);
}

#[test]
fn a_ledger_of_which_nothing_is_left_goes_on_from_its_copy_and_says_what_is_missing() {
    let mut world = world();
    let copy = copied(&mut world);
    let shop = &mut world.shop;
    let path = shop.folder().join("ledger.db");
    let size = std::fs::metadata(&path).expect("size").len();
    std::fs::write(&path, vec![0; size as usize]).expect("damage");
    shop.copies_are(vec![copy]);
    shop.reopen();
    let status = shop.status();
    let notice = status.notice.expect("a notice");
    assert_eq!(notice.reason, NoticeReason::Damaged);
    assert!(notice.lost >= 2, "{}", notice.lost);
    assert!(status.ready && status.shift.is_some());
    assert_eq!(expected_minor(shop), 29_500);
    sell(shop, TEE);
    assert_sound(shop);
    // Another file is not taken for what is left of it.
    shop.close_till();
    std::fs::write(&path, b"a letter to the taxman").expect("foreign");
    assert!(shop.try_open_with(&OpenOptions::default()).is_err());
    assert_eq!(
        std::fs::read(&path).expect("kept"),
        b"a letter to the taxman"
    );
}

#[test]
fn a_count_in_progress_ends_with_the_journal_that_it_was_begun_in() {
    let mut world = world();
    let ball = testkit::shop::variant(BALL);
    world.shop.ok(Command::StartStockCount {
        zone: None,
        document: None,
    });
    world.shop.ok(Command::AddCounted {
        variant: ball,
        quantity: domain::quantity::Quantity(3_000),
    });
    // A restart alone changes nothing.
    world.shop.reopen();
    assert!(matches!(
        world.shop.ok(Command::GetStockCount {}),
        Reply::StockCount(count) if count.rows.len() == 1
    ));
    let copy = copied(&mut world);
    let shop = &mut world.shop;
    let path = shop.folder().join("ledger.db");
    std::fs::rename(&path, shop.folder().join("newer.db")).expect("set aside");
    std::fs::copy(&copy, &path).expect("put back");
    shop.reopen();
    assert!(shop.status().notice.is_some(), "another journal has begun");
    shop.refused_with(
        Command::GetStockCount {},
        RefusalCode::NoCount,
        serde_json::json!({}),
    );
    shop.ok(Command::StartStockCount {
        zone: None,
        document: None,
    });
    sell(shop, BALL);
    assert_sound(shop);
}

#[test]
fn a_ledger_that_is_gone_is_not_taken_for_a_new_device() {
    let World { mut shop, state } = world();
    sell(&mut shop, BALL);
    let head = shop.till().ledger().expect("a ledger").head();
    shop.close_till();
    std::fs::remove_file(shop.folder().join("ledger.db")).expect("remove");
    shop.reopen();
    let notice = shop.status().notice.expect("a notice");
    assert_eq!(notice.reason, NoticeReason::LedgerMissing);
    assert_eq!(notice.ended, Some(head.stream.series()));
    shop.enrol();
    shop.receive_everything();
    assert_eq!(shop.status().notice, None);
    let opening = shop.till().ledger().expect("a ledger").opening().clone();
    assert_eq!(opening.witness, Some(head), "the trace that it leaves");
    drop(state);
}

/// The file without its log, as it was made: what a disk may leave that lost the log of a till's first hours.
#[test]
fn a_ledger_of_which_only_the_first_event_is_left_is_as_good_as_gone() {
    let state = tempfile::tempdir().expect("a folder");
    let mut shop = Setup::tunisia().on_folder().unenrolled();
    shop.witness_in(state.path());
    shop.reopen();
    shop.enrol();
    shop.receive_everything();
    shop.sign_in(CASHIER);
    shop.open_shift(50_000);
    sell(&mut shop, BALL);
    let head = shop.till().ledger().expect("a ledger").head();
    let path = shop.folder().join("ledger.db");
    let first = std::fs::read(&path).expect("the file without its log");
    shop.close_till();
    std::fs::rename(&path, shop.folder().join("whole.db")).expect("set aside");
    std::fs::write(&path, first).expect("put back");
    shop.reopen();
    let status = shop.status();
    let notice = status.notice.expect("a notice");
    assert_eq!(notice.reason, NoticeReason::LedgerMissing);
    assert_eq!(notice.ended, Some(head.stream.series()));
    assert_eq!(status.enrolment, till::door::Enrolment::None);
    shop.enrol();
    shop.receive_everything();
    assert_eq!(shop.status().notice, None);
    let opening = shop.till().ledger().expect("a ledger").opening().clone();
    assert_eq!(opening.witness, Some(head), "the trace that it leaves");
    shop.sign_in(CASHIER);
    shop.open_shift(50_000);
    sell(&mut shop, BALL);
    drop(state);
}

#[test]
fn a_foreign_file_in_its_place_stays_a_refusal() {
    let World {
        mut shop,
        state: _state,
    } = world();
    shop.close_till();
    std::fs::write(shop.folder().join("ledger.db"), b"a letter to the taxman").expect("foreign");
    let refused = shop.try_open_with(&OpenOptions::default());
    assert!(
        matches!(refused, Err(OpenTillError::Ledger(_))),
        "{refused:?}"
    );
    assert_eq!(
        std::fs::read(shop.folder().join("ledger.db")).expect("read"),
        b"a letter to the taxman"
    );
}

#[test]
fn a_copied_folder_goes_on_beside_the_original_and_no_number_comes_twice() {
    let World { mut shop, state } = world();
    sell(&mut shop, BALL);
    shop.close_till();
    let elsewhere = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(shop.folder()).expect("folder") {
        let from = entry.expect("entry").path();
        if from.is_file() {
            let to = elsewhere.path().join(from.file_name().expect("a name"));
            std::fs::copy(&from, to).expect("copy");
        }
    }
    let context = till::Context {
        now: shop.now(),
        entropy: domain::entropy::Entropy::new([99; 32]),
    };
    let safeguards = till::Safeguards {
        witness_dir: Some(state.path().to_owned()),
        copies: Vec::new(),
    };
    let mut copy = till::Till::open_guarded(
        elsewhere.path(),
        "test",
        context,
        OpenOptions::default(),
        &safeguards,
    )
    .expect("the copy opens");
    let ledger = copy.ledger_mut().expect("a ledger");
    assert_eq!(ledger.identity().reason, StreamReason::Cloned);
    let (copied, next) = (ledger.identity().stream, ledger.next_number(2026));
    assert_eq!(next.expect("a number"), 1);
    shop.reopen();
    assert_eq!(shop.status().notice, None, "the original is what it was");
    assert_ne!(
        shop.till()
            .ledger()
            .expect("a ledger")
            .identity()
            .stream
            .series(),
        copied.series()
    );
    sell(&mut shop, TEE);
    assert_sound(&shop);
}
