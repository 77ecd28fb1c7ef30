//! The disk at the door: little room, no room, no disk, the key of the files, copies and checks.

use domain::event::TenderKind;
use serde_json::json;
use testkit::disk::{Fault, FaultKind};
use testkit::shop::{BALL, CASHIER, Setup, Shop, approval, tender};
use till::door::{Answer, Command, JobResult, KeyStorage, RefusalCode, Reply};
use till::{ROOM_LOW, ROOM_NONE, StorageReport, StorageWork};

fn room(shop: &mut Shop, free_bytes: u64) {
    shop.till_mut().report_storage(StorageReport {
        free_bytes: Some(free_bytes),
        ..StorageReport::default()
    });
}

fn scan() -> Command {
    Command::ScanCode {
        code: BALL.to_owned(),
    }
}

#[test]
fn little_room_warns_and_sells_on() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    for (free, low, full) in [
        (ROOM_LOW, false, false),
        (ROOM_LOW - 1, true, false),
        (ROOM_NONE, true, false),
        (ROOM_NONE - 1, true, true),
        (0, true, true),
    ] {
        room(&mut shop, free);
        let storage = shop.status().storage;
        assert_eq!((storage.low_disk, storage.full), (low, full), "{free}");
        assert_eq!(storage.disk_free_mb.map(u64::from), Some(free / 1_000_000));
        assert!(!storage.read_only);
    }
    room(&mut shop, ROOM_NONE);
    shop.scan(BALL);
    shop.pay_cash(None);
}

#[test]
fn no_room_refuses_a_sale_before_anything_is_paid() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    let cart = shop.scan(BALL);
    room(&mut shop, ROOM_NONE - 1);
    let item = cart.lines[0].variant;
    let card = Command::AddTender {
        tender: tender(TenderKind::Card, Some(10_000)),
    };
    let complete = Command::Complete {
        sale: cart.sale,
        tenders: vec![tender(TenderKind::Cash, None)],
        approval: None,
    };
    let add = Command::AddLine {
        variant: item,
        quantity: None,
    };
    for command in [scan(), add, card.clone(), complete.clone()] {
        shop.refused_with(command, RefusalCode::DiskFull, json!({}));
    }
    // The same till, with the space for closing given up although nobody can tell how much is left.
    shop.till_mut().report_storage(StorageReport {
        reserve_used: true,
        ..StorageReport::default()
    });
    shop.refused_with(scan(), RefusalCode::DiskFull, json!({}));
    assert!(shop.status().storage.full);
    // The day is closed all the same, with the cart waiting.
    shop.ok(Command::Park { label: None });
    let closed = shop.close_exact();
    assert_eq!(closed.z_number, Some(1));
    shop.verify_clean();
}

#[test]
fn what_was_paid_is_finished_on_a_full_disk() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    let cart = shop.scan(BALL);
    let mut card = tender(TenderKind::Card, Some(10_000));
    card.reference = Some("A1".to_owned());
    shop.ok(Command::AddTender { tender: card });
    room(&mut shop, 0);
    shop.refused_with(scan(), RefusalCode::DiskFull, json!({}));
    let done = shop.ok(Command::Complete {
        sale: cart.sale,
        tenders: vec![tender(TenderKind::Cash, None)],
        approval: None,
    });
    assert!(matches!(done, Reply::Completed(_)), "{done:?}");
    room(&mut shop, ROOM_LOW);
    shop.scan(BALL);
    shop.pay_cash(None);
    shop.verify_clean();
}

#[test]
fn a_copy_and_a_check_are_asked_for_and_their_outcome_shows() {
    let mut shop = Setup::tunisia().build();
    shop.refused_with(
        Command::BackupNow {},
        RefusalCode::SignInRequired,
        json!({}),
    );
    shop.sign_in(CASHIER);
    let ask = |shop: &mut Shop, command: Command, work| {
        let Reply::Pending { job } = shop.ok(command) else {
            panic!("not pending");
        };
        let jobs = shop.till_mut().take_storage_jobs();
        assert_eq!(jobs.len(), 1);
        assert_eq!((jobs[0].job, jobs[0].work), (job, work));
        assert!(shop.till_mut().take_storage_jobs().is_empty());
        assert!(shop.status().storage.working);
        job
    };
    let job = ask(&mut shop, Command::BackupNow {}, StorageWork::BackUp);
    shop.job_finished(
        job,
        JobResult::Failed {
            code: "storage_failed".to_owned(),
        },
    );
    let storage = shop.status().storage;
    assert!(!storage.working);
    assert_eq!(storage.problem.as_deref(), Some("storage_failed"));

    let job = ask(&mut shop, Command::BackupNow {}, StorageWork::BackUp);
    shop.job_finished(job, JobResult::BackedUp {});
    let wall = shop.now().wall_ms;
    shop.till_mut().report_storage(StorageReport {
        backups: 3,
        last_backup_wall: Some(wall),
        ..StorageReport::default()
    });
    let storage = shop.status().storage;
    assert_eq!((storage.problem, storage.backups), (None, 3));
    assert_eq!(
        storage.last_backup_at,
        Some(domain::time::local_minute(wall, 60))
    );

    let job = ask(&mut shop, Command::VerifyLedger {}, StorageWork::Verify);
    let what = Some("event 7: the hash does not fit".to_owned());
    let result = JobResult::Verified {
        ok: false,
        what: what.clone(),
    };
    shop.job_finished(job, result.clone());
    let check = shop.status().storage.last_check.expect("a check");
    assert_eq!((check.ok, check.what), (false, what));
    // A result that nobody waits for changes nothing.
    shop.job_finished(
        job,
        JobResult::Verified {
            ok: true,
            what: None,
        },
    );
    assert!(!shop.status().storage.last_check.expect("a check").ok);
}

#[test]
fn an_archive_is_for_managers_and_its_name_shows() {
    let mut shop = Setup::tunisia().build();
    shop.sign_in(CASHIER);
    let day = |text: &str| Some(text.parse().expect("a date"));
    let (from, until) = (day("2026-11-01"), day("2026-11-30"));
    let ask = |from, until, approval| Command::ExportArchive {
        from,
        until,
        approval,
    };
    shop.refused_with(
        ask(from, until, None),
        RefusalCode::ManagerRequired,
        json!({}),
    );
    let refused = shop.refused(ask(until, from, Some(approval())));
    assert_eq!(refused.code, RefusalCode::InvalidCommand);
    assert!(shop.till_mut().take_storage_jobs().is_empty());
    let Reply::Pending { job } = shop.ok(ask(from, until, Some(approval()))) else {
        panic!("not pending");
    };
    let jobs = shop.till_mut().take_storage_jobs();
    assert_eq!(jobs[0].work, StorageWork::Archive { from, until });
    let file = "LM-01-2026-11-01-2026-11-30.zip".to_owned();
    shop.job_finished(job, JobResult::Archived { file: file.clone() });
    let storage = shop.status().storage;
    assert_eq!((storage.last_archive, storage.working), (Some(file), false));
}

/// A commit whose sync fails may be in the log all the same; only opening the file again tells. While the disk
/// cannot be opened nobody can know, so nothing is promised; the first command after that knows.
#[test]
fn a_sale_whose_commit_failed_is_answered_by_what_the_file_holds() {
    let (mut landed, mut taken_back) = (0, 0);
    for (at, sticky, same_request) in [
        (0, false, true),
        (0, false, false),
        (0, true, true),
        (0, true, false),
        (1, true, true),
        (1, true, false),
    ] {
        let mut shop = Setup::tunisia().on_disk().build();
        shop.open();
        let cart = shop.scan(BALL);
        let before = shop.ledger().head();
        let id = shop.request_id();
        let complete = Command::Complete {
            sale: cart.sale,
            tenders: vec![tender(TenderKind::Cash, None)],
            approval: None,
        };
        shop.disk().fail(Fault {
            kind: FaultKind::Sync,
            at,
            sticky,
            only: "ledger.db",
        });
        let answer = shop.call_as(id, complete.clone());
        let mut done = None;
        match answer {
            Answer::Ok(Reply::Completed(view)) => done = Some(view),
            Answer::Refused(refusal) => assert_eq!(refusal.code, RefusalCode::StorageFailed),
            other => panic!("{other:?}"),
        }
        shop.disk().heal();
        shop.status();
        let in_file = shop.ledger().head().seq > before.seq;
        if in_file {
            landed += 1;
        } else {
            taken_back += 1;
            assert!(done.is_none(), "what was answered as done is in the file");
        }
        // Whoever heard nothing, or a refusal, asks again: the same request, or the cart as it stands.
        if same_request {
            let again = shop.call_as(id, complete.clone());
            let Answer::Ok(Reply::Completed(view)) = again else {
                panic!("{again:?}");
            };
            if let Some(done) = done {
                assert_eq!(done.number, view.number);
            }
        } else if !shop.cart().lines.is_empty() {
            assert!(!in_file, "a sold cart is no cart");
            shop.pay_cash(None);
        }
        assert_eq!(shop.x_report().sales, 1);
        assert!(shop.cart().lines.is_empty());
        shop.reopen();
        let later = shop.call_as(id, complete);
        assert_eq!(shop.x_report().sales, 1, "{later:?}");
        shop.verify_clean();
    }
    assert!(
        landed > 0 && taken_back > 0,
        "{landed} landed, {taken_back} did not"
    );
}

#[test]
fn a_disk_that_fails_shows_until_it_is_back() {
    let mut shop = Setup::tunisia().on_disk().build();
    shop.open();
    let sale = shop.scan(BALL).sale;
    assert!(!shop.status().storage.read_only);
    shop.disk().fail(Fault {
        kind: FaultKind::Write,
        at: 0,
        sticky: true,
        only: "ledger.db",
    });
    let complete = Command::Complete {
        sale,
        tenders: vec![tender(TenderKind::Cash, None)],
        approval: None,
    };
    let storage_failed = |answer: Answer| matches!(answer, Answer::Refused(refusal) if refusal.code == RefusalCode::StorageFailed);
    assert!(storage_failed(shop.call(complete.clone())));
    assert!(shop.status().storage.read_only);
    shop.disk().heal();
    shop.ok(complete);
    assert!(!shop.status().storage.read_only);
    shop.disk().fail(Fault {
        kind: FaultKind::Full,
        at: 0,
        sticky: true,
        only: "ledger.db",
    });
    let sale = shop.scan(BALL).sale;
    let complete = Command::Complete {
        sale,
        tenders: vec![tender(TenderKind::Cash, None)],
        approval: None,
    };
    assert!(storage_failed(shop.call(complete)));
    let storage = shop.status().storage;
    assert_eq!((storage.low_disk, storage.read_only), (true, false));
    shop.disk().heal();
    assert_eq!(shop.x_report().sales, 1);
    shop.verify_clean();
}

#[test]
fn the_status_says_who_keeps_the_key() {
    let mut shop = Setup::tunisia().on_folder().build();
    let storage = shop.status().storage;
    let expected = if ledger::can_encrypt() {
        KeyStorage::Software
    } else {
        KeyStorage::None
    };
    assert_eq!(storage.key_storage, expected);
    assert_eq!(storage.encrypted, ledger::can_encrypt());
    let mut in_memory = Setup::tunisia().build();
    assert_eq!(in_memory.status().storage.key_storage, KeyStorage::None);
}

#[test]
fn a_plain_program_refuses_an_encrypted_folder_and_touches_nothing() {
    if ledger::can_encrypt() {
        return;
    }
    let mut shop = Setup::tunisia().on_folder().unenrolled();
    shop.close_till();
    let mut noise: Vec<u8> = Vec::new();
    for number in 0_u32..2_048 {
        noise.extend(number.wrapping_mul(2_654_435_761).to_be_bytes());
    }
    for name in ["drafts.db-wal", "drafts.db-shm"] {
        let _ = std::fs::remove_file(shop.folder().join(name));
    }
    for name in ["ledger.db", "drafts.db"] {
        std::fs::write(shop.folder().join(name), &noise).expect("written");
    }
    std::fs::write(shop.folder().join("ledger.key"), "11".repeat(32)).expect("written");
    let refused = shop.try_open().expect_err("refused");
    assert!(
        matches!(
            refused,
            till::OpenTillError::Ledger(ledger::OpenError::CannotEncrypt)
        ),
        "{refused:?}"
    );
    for name in ["ledger.db", "drafts.db"] {
        assert!(std::fs::read(shop.folder().join(name)).expect("kept") == noise);
    }
}

#[cfg(feature = "sqlcipher")]
mod encrypted {
    use std::collections::BTreeMap;
    use std::path::Path;

    use ledger::OpenError;
    use till::OpenTillError;

    use super::*;

    fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        std::fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.is_file() && !path.ends_with("till.lock"))
            .map(|path| {
                let name = path.file_name().expect("a name").to_string_lossy().into();
                (name, std::fs::read(path).expect("readable"))
            })
            .collect()
    }

    #[cfg(unix)]
    #[test]
    fn the_key_file_is_its_owners_alone_and_no_file_shows_anything() {
        use std::os::unix::fs::PermissionsExt as _;
        let mut shop = Setup::tunisia().on_folder().build();
        shop.open();
        shop.scan(BALL);
        let key = shop.folder().join("ledger.key");
        let mode = std::fs::metadata(key).expect("a key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for (name, bytes) in contents(shop.folder()) {
            for text in ["StreamOpened", "CREATE TABLE", BALL, "token"] {
                let shows = bytes
                    .windows(text.len())
                    .any(|window| window == text.as_bytes());
                assert!(!shows, "{name} shows {text}");
            }
        }
    }

    #[test]
    fn without_its_key_a_folder_is_refused_and_kept() {
        let mut shop = Setup::tunisia().on_folder().build();
        shop.open();
        shop.scan(BALL);
        shop.close_till();
        let path = shop.folder().join("ledger.key");
        let key = std::fs::read(&path).expect("a key");
        let before = contents(shop.folder());

        std::fs::remove_file(&path).expect("removed");
        let refused = shop.try_open().expect_err("refused");
        assert!(
            matches!(refused, OpenTillError::KeyMissing { .. }),
            "{refused:?}"
        );
        assert!(!path.exists(), "no new key is made beside old files");

        std::fs::write(&path, "11".repeat(32)).expect("another key");
        let refused = shop.try_open().expect_err("refused");
        assert!(
            matches!(refused, OpenTillError::Ledger(OpenError::Locked)),
            "{refused:?}"
        );
        std::fs::write(&path, "no key").expect("written");
        let refused = shop.try_open().expect_err("refused");
        assert!(
            matches!(refused, OpenTillError::BadKey { .. }),
            "{refused:?}"
        );

        std::fs::write(&path, key).expect("the key is back");
        assert_eq!(contents(shop.folder()), before);
        shop.try_open().expect("opens");
        assert_eq!(shop.cart().lines.len(), 1);
        shop.verify_clean();
    }

    #[test]
    fn a_till_of_a_plain_program_is_encrypted_with_its_carts() {
        let mut shop = Setup::tunisia().on_folder().build();
        shop.open();
        shop.scan(BALL);
        let done = shop.pay_cash(None);
        shop.scan(BALL);
        shop.close_till();
        // Back to what a plain program would have left.
        for name in ["ledger.db", "drafts.db"] {
            let path = shop.folder().join(name);
            let plain = shop.folder().join("plain.db");
            let db = crate::raw(&path);
            db.execute(
                "ATTACH DATABASE ?1 AS plain KEY ''",
                [plain.to_str().expect("text")],
            )
            .expect("attached");
            db.query_row("SELECT sqlcipher_export('plain')", [], |_| Ok(()))
                .expect("exported");
            for pragma in ["user_version", "application_id"] {
                let value: i64 = db
                    .pragma_query_value(None, pragma, |row| row.get(0))
                    .expect("a number");
                db.pragma_update(Some("plain"), pragma, value).expect("set");
            }
            db.execute_batch("DETACH DATABASE plain").expect("detached");
            db.close().expect("closed");
            for suffix in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(shop.folder().join(format!("{name}{suffix}")));
            }
            std::fs::rename(plain, path).expect("swapped");
        }
        std::fs::remove_file(shop.folder().join("ledger.key")).expect("removed");
        shop.try_open().expect("opens");
        assert!(shop.status().storage.encrypted);
        assert_eq!(shop.cart().lines.len(), 1);
        let last = shop.ledger().last_receipt().expect("readable");
        assert_eq!(last.expect("a receipt").number, done.number);
        for name in ["ledger.db", "drafts.db"] {
            let state = ledger::file_state(&shop.folder().join(name)).expect("readable");
            assert_eq!(state, ledger::FileState::Sealed, "{name}");
        }
        shop.pay_cash(None);
        shop.verify_clean();
    }
}
