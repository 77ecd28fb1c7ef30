//! Copying, checking and restoring by the program's own commands.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use testkit::shop::{BALL, Setup, Shop};
use testkit::wait::wait_until;

use crate::program::{PATIENCE, Till, run};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of letters")
}

fn refused(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(words) && said.lines().count() == 1, "{said}");
}

fn done(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Closes the till, and waits for programs that were being started beside it: until they run, they hold what this
/// process held, its lock too.
fn close(shop: &mut Shop) {
    shop.close_till();
    let lock = shop.folder().join("till.lock");
    wait_until(PATIENCE, "the lock", || {
        let free = Command::new("flock")
            .args(["-n", text(&lock), "true"])
            .status();
        free.expect("flock runs").success().then_some(())
    });
}

fn sell(shop: &mut Shop) {
    shop.try_open().expect("opens");
    shop.scan(BALL);
    shop.pay_cash(None);
    close(shop);
}

#[test]
fn a_copy_is_made_beside_the_till_checked_and_restored() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    close(&mut shop);
    sell(&mut shop);
    let data = shop.folder().to_owned();
    let place = tempfile::tempdir().expect("folder");
    let file = place.path().join("copy.db");
    let running = Till::start(&data, &[]);
    let made = done(&run(&[
        "backup",
        text(&data),
        "--to",
        text(&file),
        "--json",
    ]));
    assert_eq!(made["file"], text(&file));
    refused(
        &run(&["backup", text(&data), "--to", text(&file)]),
        "cannot be made",
    );
    refused(
        &run(&["restore", text(&data), text(&file)]),
        "stop it first",
    );
    assert!(run(&["verify", text(&data)]).status.success());
    assert!(run(&["verify", text(&file)]).status.success());
    running.stop();
    let named = run(&["backup", text(&data)]);
    assert!(named.status.success(), "{named:?}");
    assert!(String::from_utf8_lossy(&named.stdout).contains("backups"));

    let before = events(&data);
    sell(&mut shop);
    assert!(events(&data) > before);
    let restored = done(&run(&["restore", text(&data), text(&file), "--json"]));
    assert_eq!(restored["events"], before);
    assert_eq!(events(&data), before);
    // Nothing is lost: what stood there is a ledger under another name.
    let aside = restored["set_aside"].as_str().expect("a name");
    assert!(run(&["verify", aside]).status.success());
    let report = done(&run(&["verify", aside, "--json"]));
    assert!(heads(&report) > before);
}

#[test]
fn a_damaged_a_foreign_and_no_file_are_refused_and_nothing_changes() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    close(&mut shop);
    sell(&mut shop);
    let data = shop.folder().to_owned();
    let place = tempfile::tempdir().expect("folder");
    let file = place.path().join("copy.db");
    done(&run(&[
        "backup",
        text(&data),
        "--to",
        text(&file),
        "--json",
    ]));
    let before = std::fs::read(data.join("ledger.db")).expect("readable");

    let db = rusqlite::Connection::open(&file).expect("opens");
    db.execute_batch("UPDATE books SET state = json_set(state, '$.perpetual_minor', 1)")
        .expect("edited");
    db.close().expect("closed");
    refused(&run(&["restore", text(&data), text(&file)]), "damaged");
    assert_eq!(run(&["verify", text(&file)]).status.code(), Some(1));

    let mut other = Setup::morocco().on_folder().unenrolled();
    other.enrol();
    close(&mut other);
    let foreign = other.folder().join("ledger.db");
    std::fs::write(other.folder().join("device.key"), "22".repeat(32)).expect("written");
    let copy = data.join("device.key");
    let own = std::fs::read(&copy).expect("a key");
    std::fs::write(&copy, "33".repeat(32)).expect("written");
    refused(
        &run(&["restore", text(&data), text(&foreign)]),
        "another device",
    );
    std::fs::write(&copy, own).expect("written");

    let nothing = place.path().join("nothing.db");
    refused(&run(&["restore", text(&data), text(&nothing)]), "opened");
    std::fs::write(&nothing, "a letter").expect("written");
    refused(&run(&["restore", text(&data), text(&nothing)]), "opened");
    refused(&run(&["backup", text(place.path())]), "no ledger");
    refused(
        &run(&["restore", text(place.path()), text(&file)]),
        "no device key",
    );
    assert!(std::fs::read(data.join("ledger.db")).expect("readable") == before);
    for argument in ["backup", "restore"] {
        assert_eq!(run(&[argument]).status.code(), Some(2));
    }
}

/// The ledger broke, an older copy was put in its place, and what it had sold since is taken over from the old file.
#[test]
fn what_a_restored_copy_does_not_know_is_taken_over_from_the_file_that_it_replaced() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    close(&mut shop);
    sell(&mut shop);
    let data = shop.folder().to_owned();
    let place = tempfile::tempdir().expect("folder");
    let file = place.path().join("copy.db");
    run(&["backup", text(&data), "--to", text(&file)]);
    sell(&mut shop);
    sell(&mut shop);
    let restored = done(&run(&["restore", text(&data), text(&file), "--json"]));
    let aside = restored["set_aside"].as_str().expect("a name").to_owned();

    let running = Till::start(&data, &[]);
    refused(&run(&["recover", text(&data), &aside]), "stop it first");
    running.stop();
    let told = done(&run(&["recover", text(&data), &aside, "--json"]));
    assert_eq!(
        (&told["events"], &told["receipts"], &told["refused"]),
        (&2.into(), &2.into(), &0.into())
    );
    let again = run(&["recover", text(&data), &aside]);
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(again.status.success(), "{again:?}");
    assert!(said.contains("taken over: 0 events, 0 receipts"), "{said}");
    assert!(run(&["verify", text(&data)]).status.success());
    // By its name, where it lies in the folder of streams.
    let streams = std::fs::read_dir(data.join("streams")).expect("a folder");
    let kept = streams.map(|entry| entry.expect("an entry").file_name());
    let kept = kept
        .filter_map(|name| name.into_string().ok())
        .find(|name| name.ends_with(".db"))
        .expect("a kept file");
    assert_eq!(
        done(&run(&["recover", text(&data), &kept, "--json"]))["events"],
        0
    );

    let before = std::fs::read(data.join("ledger.db")).expect("readable");
    refused(
        &run(&["recover", text(&data), text(&data.join("ledger.db"))]),
        "the ledger in use",
    );
    refused(
        &run(&[
            "recover",
            text(&data),
            text(&place.path().join("nothing.db")),
        ]),
        "no ledger at this path",
    );
    let letter = place.path().join("letter.db");
    std::fs::write(&letter, "a letter").expect("written");
    refused(
        &run(&["recover", text(&data), text(&letter)]),
        "not a ledger",
    );
    refused(&run(&["recover", text(place.path()), &aside]), "no ledger");
    assert!(std::fs::read(data.join("ledger.db")).expect("readable") == before);
}

/// Where SQLite can make no shared memory beside a log, as on a medium that cannot be written, a copy of both
/// is read: nothing of the log is left out.
#[test]
fn a_log_on_a_medium_that_cannot_be_written_is_read_all_the_same() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.scan(BALL);
    shop.pay_cash(None);
    let expected = shop.ledger().head().seq;
    let place = tempfile::tempdir().expect("folder");
    for name in ["ledger.db", "ledger.db-wal"] {
        std::fs::copy(shop.folder().join(name), place.path().join(name)).expect("copied");
    }
    std::fs::create_dir(place.path().join("ledger.db-shm")).expect("in the way");
    let report = done(&run(&["verify", text(place.path()), "--json"]));
    assert_eq!(heads(&report), expected);
}

fn heads(report: &Value) -> u64 {
    let streams = report["streams"].as_object().expect("streams");
    let heads = streams.values().map(|head| head["seq"].as_u64());
    heads.map(|seq| seq.expect("a number")).max().expect("one")
}

fn events(data: &Path) -> u64 {
    heads(&done(&run(&["verify", text(data), "--json"])))
}
