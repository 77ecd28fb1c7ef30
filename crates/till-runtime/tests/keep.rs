//! A running till looks after its files: room, copies, checks, and a disk that goes and comes back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ledger::Ledger;
use testkit::shop::{BALL, Setup, Shop, approval, pieces, tender};
use testkit::wait::wait_until;
use till::door::{Answer, Command, RefusalCode, Reply, Status, StorageView};
use till::{ROOM_LOW, ROOM_NONE};
use till_runtime::disk::{Disk, DiskSeen};
use till_runtime::{Handle, Runtime, RuntimeOptions};

/// For anything that has to happen at all; a loaded machine may take its time.
const PATIENCE: Duration = Duration::from_secs(120);

/// A disk whose room the test decides.
#[derive(Debug)]
struct FakeDisk {
    free: AtomicU64,
    gone: AtomicBool,
}

impl FakeDisk {
    fn new(free: u64) -> Arc<FakeDisk> {
        Arc::new(FakeDisk {
            free: AtomicU64::new(free),
            gone: AtomicBool::new(false),
        })
    }

    fn set(&self, free: u64) {
        self.free.store(free, Ordering::SeqCst);
    }
}

impl Disk for FakeDisk {
    fn look(&self, _: &Path) -> DiskSeen {
        DiskSeen {
            free_bytes: Some(self.free.load(Ordering::SeqCst)),
            read_only: self.gone.load(Ordering::SeqCst),
        }
    }
}

/// A till that has sold, closed so that a runtime can open its folder.
fn sold() -> Shop {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.scan(BALL);
    shop.pay_cash(None);
    shop.close_till();
    shop
}

fn options(shop: &Shop, disk: &Arc<FakeDisk>) -> RuntimeOptions {
    RuntimeOptions {
        disk: Arc::<FakeDisk>::clone(disk),
        disk_every: Duration::from_millis(20),
        ..RuntimeOptions::new(shop.folder().to_owned(), "test")
    }
}

fn ok(handle: &Handle, command: Command) -> Reply {
    match handle.command(command).expect("the till runs") {
        Answer::Ok(reply) => reply,
        Answer::Refused(refusal) => panic!("{refusal:?}"),
    }
}

fn code(handle: &Handle, command: Command) -> Option<RefusalCode> {
    match handle.command(command).expect("the till runs") {
        Answer::Ok(_) => None,
        Answer::Refused(refusal) => Some(refusal.code),
    }
}

fn status(handle: &Handle) -> Status {
    match ok(handle, Command::Status {}) {
        Reply::Status(status) => *status,
        other => panic!("{other:?}"),
    }
}

fn storage_when(handle: &Handle, what: &str, test: impl Fn(&StorageView) -> bool) -> StorageView {
    wait_until(PATIENCE, what, || {
        let storage = status(handle).storage;
        test(&storage).then_some(storage)
    })
}

fn scan() -> Command {
    Command::ScanCode {
        code: BALL.to_owned(),
    }
}

fn copies(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .map(|entries| entries.map(|entry| entry.expect("entry").path()).collect())
        .unwrap_or_default()
}

fn key(shop: &Shop) -> Option<ledger::FileKey> {
    till::read_file_key(shop.folder()).expect("readable")
}

#[test]
fn a_till_copies_itself_when_idle_and_after_a_closed_day() {
    let shop = sold();
    let disk = FakeDisk::new(10 * ROOM_LOW);
    let runtime = Runtime::start(options(&shop, &disk)).expect("starts");
    let handle = runtime.handle();
    let first = storage_when(&handle, "the first copy", |storage| storage.backups == 1);
    assert!(first.last_backup_at.is_some());
    let folder = shop.folder().join("backups");
    let made = copies(&folder);
    assert_eq!(made.len(), 1);
    let copy = Ledger::open_read_only_with(&made[0], key(&shop).as_ref()).expect("opens");
    assert_eq!(copy.verify().expect("verify").first_bad, None);
    assert!(copy.backup_stamp().expect("readable").is_some());
    let head = copy.head().seq;
    drop(copy);

    // A sale alone is not copied within the hour; a closed day is.
    let Reply::Report(report) = ok(
        &handle,
        Command::XReport {
            print: false,
            approval: None,
        },
    ) else {
        panic!("no report");
    };
    ok(
        &handle,
        Command::CloseShift {
            count: pieces(testkit::shop::Country::Tunisia, report.expected_minor),
            approval: Some(approval()),
        },
    );
    storage_when(&handle, "the copy of the day", |storage| {
        storage.backups == 2
    });
    let newest = copies(&folder)
        .into_iter()
        .filter(|path| !made.contains(path))
        .map(|path| Ledger::open_read_only_with(&path, key(&shop).as_ref()).expect("opens"))
        .next()
        .expect("a second copy");
    assert!(newest.head().seq > head && newest.last_z().expect("readable") == 1);
    runtime.shutdown();
}

#[test]
fn a_ledger_whose_beginning_is_destroyed_starts_with_what_its_copy_knows() {
    let shop = sold();
    let disk = FakeDisk::new(10 * ROOM_LOW);
    let runtime = Runtime::start(options(&shop, &disk)).expect("starts");
    let handle = runtime.handle();
    storage_when(&handle, "the first copy", |storage| storage.backups == 1);
    let Reply::Cart(cart) = ok(&handle, scan()) else {
        panic!("no cart");
    };
    ok(
        &handle,
        Command::Complete {
            sale: cart.sale,
            tenders: vec![tender(domain::event::TenderKind::Cash, None)],
            approval: None,
        },
    );
    let takings = |handle: &Handle| {
        let Reply::Report(report) = ok(
            handle,
            Command::XReport {
                print: false,
                approval: None,
            },
        ) else {
            panic!("no report");
        };
        report.expected_minor
    };
    let before = takings(&handle);
    runtime.shutdown();
    let path = shop.folder().join("ledger.db");
    drop(
        Ledger::open(
            &path,
            &ledger::OpenOptions {
                key: key(&shop),
                ..ledger::OpenOptions::default()
            },
        )
        .expect("move the log"),
    );
    let mut bytes = std::fs::read(&path).expect("read");
    bytes[..4_096].fill(0xa5);
    std::fs::write(&path, &bytes).expect("damage");

    let runtime = Runtime::start(options(&shop, &disk)).expect("starts");
    let handle = runtime.handle();
    let seen = status(&handle);
    let notice = seen.notice.expect("a notice");
    assert_eq!(notice.reason, till::door::NoticeReason::Damaged);
    assert_eq!(takings(&handle), before);
    // The new stream is copied at once: a copy of the old one would not help it.
    storage_when(&handle, "a copy of the new stream", |storage| {
        storage.backups == 2
    });
    runtime.shutdown();
}

#[test]
fn nothing_is_copied_while_somebody_sells_unless_asked_for() {
    let shop = sold();
    let disk = FakeDisk::new(10 * ROOM_LOW);
    let runtime = Runtime::start(options(&shop, &disk)).expect("starts");
    let handle = runtime.handle();
    ok(&handle, scan());
    assert!(matches!(
        ok(&handle, Command::BackupNow {}),
        Reply::Pending { .. }
    ));
    let storage = storage_when(&handle, "the copy asked for", |storage| !storage.working);
    assert_eq!((storage.backups, storage.problem), (1, None));
    assert!(matches!(
        ok(&handle, Command::VerifyLedger {}),
        Reply::Pending { .. }
    ));
    let storage = storage_when(&handle, "the check", |storage| storage.last_check.is_some());
    let check = storage.last_check.expect("a check");
    assert!(check.ok, "{check:?}");
    // The only copy is the one asked for: the cart is still open.
    assert_eq!(status(&handle).storage.backups, 1);
    runtime.shutdown();
}

#[test]
fn a_check_that_finds_something_says_what() {
    let shop = sold();
    let file = shop.folder().join("ledger.db");
    let db = ledger::open_keyed(file, rusqlite::OpenFlags::default(), key(&shop).as_ref())
        .expect("opens");
    db.execute_batch("UPDATE books SET state = json_set(state, '$.perpetual_minor', 1)")
        .expect("edited");
    db.close().expect("closed");
    let disk = FakeDisk::new(10 * ROOM_LOW);
    let runtime = Runtime::start(options(&shop, &disk)).expect("starts");
    let handle = runtime.handle();
    ok(&handle, Command::VerifyLedger {});
    let storage = storage_when(&handle, "the check", |storage| storage.last_check.is_some());
    let check = storage.last_check.expect("a check");
    assert!(!check.ok && check.what.is_some(), "{check:?}");
    runtime.shutdown();
}

#[test]
fn a_disk_that_fills_up_warns_then_refuses_and_frees_the_space_for_closing() {
    let shop = sold();
    let disk = FakeDisk::new(10 * ROOM_LOW);
    let runtime = Runtime::start(options(&shop, &disk)).expect("starts");
    let handle = runtime.handle();
    let reserve = shop.folder().join("reserve");
    wait_until(PATIENCE, "the reserve", || reserve.exists().then_some(()));
    disk.set(ROOM_LOW - 1);
    let storage = storage_when(&handle, "the warning", |storage| storage.low_disk);
    assert!(!storage.full);
    let Reply::Cart(cart) = ok(&handle, scan()) else {
        panic!("no cart");
    };
    disk.set(ROOM_NONE - 1);
    storage_when(&handle, "the full disk", |storage| storage.full);
    assert!(!reserve.exists(), "the space is free for closing");
    let complete = Command::Complete {
        sale: cart.sale,
        tenders: vec![tender(domain::event::TenderKind::Cash, None)],
        approval: None,
    };
    assert_eq!(
        code(&handle, complete.clone()),
        Some(RefusalCode::DiskFull),
        "before payment"
    );
    // The day closes on what was kept back; then somebody makes room.
    ok(&handle, Command::Park { label: None });
    disk.set(10 * ROOM_LOW);
    storage_when(&handle, "room again", |storage| !storage.low_disk);
    wait_until(PATIENCE, "the reserve again", || {
        reserve.exists().then_some(())
    });
    ok(&handle, Command::Recall { sale: cart.sale });
    assert_eq!(code(&handle, complete), None);
    runtime.shutdown();
}

#[test]
fn a_disk_that_is_gone_shows_and_shows_again_when_it_is_back() {
    let shop = sold();
    let disk = FakeDisk::new(10 * ROOM_LOW);
    let runtime = Runtime::start(options(&shop, &disk)).expect("starts");
    let handle = runtime.handle();
    disk.gone.store(true, Ordering::SeqCst);
    storage_when(&handle, "the disk is gone", |storage| storage.read_only);
    disk.gone.store(false, Ordering::SeqCst);
    storage_when(&handle, "the disk is back", |storage| !storage.read_only);
    ok(&handle, scan());
    runtime.shutdown();
}
