//! Files of earlier streams: what they hold and this till does not know is taken over, once.

use std::path::{Path, PathBuf};

use domain::entropy::Entropy;
use domain::event::StreamOpened;
use domain::ids::{EventId, StreamId};
use ledger::{Ledger, NewStream};
use testkit::shop::{BALL, CASHIER, MANAGER, Setup, Shop, TEE, approval};
use till::door::{Command, RecoveredView, RefusalCode as Code, Reply};

/// A till that was set back by two sales and a parked cart, and the file that holds them.
struct World {
    shop: Shop,
    found: PathBuf,
    lost: Vec<String>,
    place: tempfile::TempDir,
}

fn copy(from: &Path, to: &Path) {
    for suffix in ["", "-wal"] {
        let with = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        if with(from).exists() {
            std::fs::copy(with(from), with(to)).expect("copy");
        }
    }
}

fn sell(shop: &mut Shop, code: &str) -> String {
    shop.scan(code);
    shop.pay_cash(None).number
}

fn world() -> World {
    let place = tempfile::tempdir().expect("a folder");
    let mut shop = Setup::tunisia().on_folder().build();
    shop.witness_in(&place.path().join("witness"));
    shop.reopen();
    shop.open();
    sell(&mut shop, BALL);
    shop.close_till();
    let ledger = shop.folder().join("ledger.db");
    let older = place.path().join("older.db");
    copy(&ledger, &older);
    shop.reopen();
    let lost = vec![sell(&mut shop, TEE), sell(&mut shop, BALL)];
    shop.close_till();
    let found = place.path().join("found.db");
    copy(&ledger, &found);
    for suffix in ["", "-wal", "-shm"] {
        let path = PathBuf::from(format!("{}{suffix}", ledger.display()));
        let gone = std::fs::remove_file(path);
        assert!(gone.is_ok() || !suffix.is_empty());
    }
    copy(&older, &ledger);
    shop.reopen();
    World {
        shop,
        found,
        lost,
        place,
    }
}

fn recover(shop: &mut Shop, file: &str) -> RecoveredView {
    let answer = shop.ok(Command::RecoverStream {
        file: file.to_owned(),
        approval: Some(approval()),
    });
    match answer {
        Reply::Recovered(told) => told,
        other => panic!("{other:?}"),
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path of letters").to_owned()
}

#[test]
fn what_a_found_file_holds_is_taken_over_once() {
    let World {
        mut shop,
        found,
        lost,
        place: _place,
    } = world();
    for number in &lost {
        let gone = shop.refused(Command::GetReceipt {
            number: number.clone(),
        });
        assert_eq!(gone.code, Code::UnknownReceipt);
    }
    let before = shop.x_report().takings_minor;
    let own = sell(&mut shop, TEE);
    let refused = shop.refused(Command::RecoverStream {
        file: text(&found),
        approval: None,
    });
    assert_eq!(refused.code, Code::ManagerRequired);
    let bytes = std::fs::read(&found).expect("read");
    let told = recover(&mut shop, &text(&found));
    assert_eq!((told.events, told.receipts, told.refused), (2, 2, 0));
    assert!(told.known > 0 && lost[0].contains(&told.series));
    assert_eq!(std::fs::read(&found).expect("read"), bytes, "only read");
    for number in lost.iter().chain([&own]) {
        shop.ok(Command::GetReceipt {
            number: number.clone(),
        });
    }
    // With the codes that they were printed with.
    let receipt = shop.ledger().receipt(&lost[0]).expect("readable");
    let code = shop
        .ledger()
        .receipt_code(&receipt.expect("there"))
        .expect("readable");
    let checked = shop.ok(Command::CheckCode {
        text: code.expect("a code").to_text(),
    });
    let Reply::CodeChecked(checked) = checked else {
        panic!("{checked:?}")
    };
    assert_eq!(checked.verdict, till::door::CodeVerdict::Genuine);
    // The shift went on, so its drawer holds that money too.
    let report = shop.x_report();
    assert_eq!(report.takings_minor, before + 24_990 + 29_500 + 24_990);
    let again = recover(&mut shop, &text(&found));
    assert_eq!((again.events, again.receipts), (0, 0));
    assert_eq!(again.known, told.known + 2);
    shop.close_exact();
    shop.verify_clean();
}

#[test]
fn kept_files_are_listed_and_taken_over_by_their_names() {
    let World {
        mut shop,
        found,
        place: _place,
        ..
    } = world();
    // As the command line leaves a file that a copy took the place of, and one that nobody can read.
    let aside = shop.folder().join("ledger.db.before-restore-17");
    copy(&found, &aside);
    std::fs::write(shop.folder().join("streams/broken.db"), "x".repeat(5_000)).expect("written");
    let Reply::Streams { streams } = shop.ok(Command::ListStreams {}) else {
        panic!("streams")
    };
    let of = |name: &str| streams.iter().find(|stream| stream.file.contains(name));
    assert_eq!(streams.len(), 3, "{streams:?}");
    let broken = of("broken").expect("listed");
    assert_eq!((&broken.series, broken.events), (&None, 0));
    let kept = of("before-restore").expect("listed").clone();
    assert!(kept.series.is_some() && kept.until.is_some());
    // The file that the stream went on from has nothing that is not here.
    let ended = streams
        .iter()
        .find(|stream| stream.series.is_some() && stream.file != kept.file)
        .expect("listed")
        .clone();
    assert_eq!(recover(&mut shop, &ended.file).events, 0);
    let told = recover(&mut shop, &kept.file);
    assert_eq!((told.events, told.receipts), (2, 2));
    shop.verify_clean();
}

#[test]
fn a_file_that_cannot_be_taken_over_is_refused_and_says_why() {
    let World {
        mut shop,
        found,
        place,
        ..
    } = world();
    let options = crate::options(shop.folder());
    let opening = shop.ledger().opening().clone();
    let location = shop.location();
    let now = shop.now();
    let make = |name: &str, change: &dyn Fn(&mut StreamOpened)| {
        let mut opened = StreamOpened {
            previous: None,
            witness: None,
            ..opening.clone()
        };
        change(&mut opened);
        let mut entropy = Entropy::new([61; 32]);
        let new = NewStream {
            stream: StreamId(entropy.next_uuid(1).into_bytes()),
            location: location.clone(),
            opened,
        };
        let id = EventId(entropy.next_uuid(1));
        let path = place.path().join(name);
        drop(Ledger::create(&path, new, &now, id, &options).expect("created"));
        text(&path)
    };
    let chain = make("chain.db", &|opened| {
        opened.tenant = domain::ids::TenantId::new("other").expect("a code");
    });
    let till = make("till.db", &|opened| {
        opened.till = Some(domain::ids::TillId::new("77").expect("a number"));
    });
    let device = make("device.db", &|opened| {
        opened.public_key = "11".repeat(32);
    });
    let unrelated = make("unrelated.db", &|_| {});
    let newer = make("newer.db", &|_| {});
    let conn = crate::raw_with(Path::new(&newer), &options);
    conn.execute_batch("PRAGMA user_version = 99; UPDATE format SET understood_from = 99")
        .expect("newer");
    conn.close().expect("closed");
    let begun = make("begun.db", &|_| {});
    let conn = crate::raw_with(Path::new(&begun), &options);
    conn.execute_batch("DROP TRIGGER event_is_never_changed; UPDATE event SET bytes = x'00'")
        .expect("damaged");
    conn.close().expect("closed");
    let letter = place.path().join("letter.db");
    std::fs::write(&letter, "a letter to the taxman ".repeat(100)).expect("written");
    // To a program without its key an encrypted file is noise in whole pages.
    let sealed = place.path().join("sealed.db");
    let noise: [u8; 32] = Entropy::new([62; 32]).next_bytes();
    std::fs::write(&sealed, noise.repeat(256)).expect("written");
    let live = text(&shop.folder().join("ledger.db"));
    let head = shop.ledger().head();
    for (file, code) in [
        (chain, Code::FileOfOtherChain),
        (till, Code::FileOfOtherTill),
        (device, Code::FileOfOtherDevice),
        (unrelated, Code::FileUnrelated),
        (newer, Code::FileTooNew),
        (begun, Code::FileDamaged),
        (live, Code::FileCurrent),
        (text(&letter), Code::FileNotALedger),
        (text(&sealed), Code::FileLocked),
        (text(place.path()), Code::UnknownFile),
        (text(&place.path().join("nothing.db")), Code::UnknownFile),
        (String::new(), Code::UnknownFile),
    ] {
        let refused = shop.refused(Command::RecoverStream {
            file: file.clone(),
            approval: Some(approval()),
        });
        assert_eq!(refused.code, code, "{file}");
        assert_eq!(
            refused.params.contains_key("file"),
            code == Code::UnknownFile
        );
    }
    assert_eq!(shop.ledger().head(), head);
    // A file that the program may not open, where the rights of files are asked at all.
    let shut = place.path().join("shut.db");
    copy(&found, &shut);
    shut_off(&shut);
    if std::fs::File::open(&shut).is_err() {
        shop.refused_with(
            Command::RecoverStream {
                file: text(&shut),
                approval: Some(approval()),
            },
            Code::FileUnreadable,
            serde_json::json!({}),
        );
    }
    shop.sign_in(MANAGER);
    shop.ok(Command::ListStreams {});
    shop.sign_in(CASHIER);
    shop.verify_clean();
    drop(place);
}

fn shut_off(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let none = std::fs::Permissions::from_mode(0o000);
        std::fs::set_permissions(path, none).expect("changed");
    }
}
