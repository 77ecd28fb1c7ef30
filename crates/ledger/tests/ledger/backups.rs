//! Copies: whole, checked, stamped, and never in the way of the till.

use ledger::{BackupStamp, Ledger, OpenError};

use crate::support::{Desk, Place, STREAM, WALL, create, options, raw_file, read_only};

#[test]
fn a_copy_holds_everything_and_says_that_it_is_one() {
    let place = Place::new();
    let mut desk = Desk::new(create(&place.path, &options()));
    desk.trade();
    assert_eq!(desk.ledger.backup_stamp().expect("readable"), None);
    let to = place.directory().join("copy.db");
    let reader = read_only(&place.path).expect("a second connection");
    // What is sold while the copier has the file open is in the copy or not, never half.
    desk.sell(&[(1, 1, 1_000)]);
    let head = reader.back_up(&to, WALL).expect("copied");
    assert_eq!(head, desk.ledger.head());
    desk.sell(&[(1, 1, 1_000)]);

    let copy = read_only(&to).expect("opens");
    assert_eq!(copy.head(), head);
    assert_eq!(copy.verify().expect("verify").first_bad, None);
    let stamp = BackupStamp {
        made_wall: WALL,
        stream: STREAM,
        seq: head.seq,
    };
    assert_eq!(copy.backup_stamp().expect("readable"), Some(stamp));
    assert_eq!(desk.ledger.backup_stamp().expect("readable"), None);
    let names = crate::support::listing(&to);
    assert_eq!(
        names
            .iter()
            .filter(|name| name.starts_with("copy.db"))
            .count(),
        1
    );

    // A copy of the copy keeps what the copy says of itself.
    let again = place.directory().join("again.db");
    copy.copy_as_is(&again).expect("copied");
    let again = read_only(&again).expect("opens");
    assert_eq!(again.backup_stamp().expect("readable"), Some(stamp));
    desk.assert_sound();
}

#[test]
fn a_copy_can_be_written_like_the_original() {
    let place = Place::new();
    let mut desk = Desk::new(create(&place.path, &options()));
    desk.trade();
    let to = place.directory().join("copy.db");
    desk.ledger.back_up(&to, WALL).expect("copied");
    drop(desk.ledger);
    desk.ledger = Ledger::open(&to, &options()).expect("opens");
    desk.sell(&[(1, 1, 1_000)]);
    desk.assert_sound();
}

#[test]
fn a_copy_never_overwrites_and_never_stays_half() {
    let place = Place::new();
    let desk = Desk::new(create(&place.path, &options()));
    let to = place.directory().join("copy.db");
    std::fs::write(&to, b"precious").expect("written");
    let refused = desk.ledger.back_up(&to, WALL).expect_err("refused");
    assert!(matches!(refused, OpenError::Exists), "{refused:?}");
    assert_eq!(std::fs::read(&to).expect("readable"), b"precious");
    let nowhere = place.directory().join("none/copy.db");
    let refused = desk.ledger.back_up(&nowhere, WALL).expect_err("refused");
    assert!(matches!(refused, OpenError::NotFound), "{refused:?}");
}

#[test]
fn a_damaged_original_makes_no_copy() {
    let place = Place::new();
    let mut desk = Desk::new(create(&place.path, &options()));
    desk.trade();
    drop(desk.ledger);
    // An index row that the table does not have: every event can be read, the file is damaged all the same.
    let conn = raw_file(&place.path);
    conn.execute_batch(
        "PRAGMA writable_schema = 1;
         UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'barcode')
         WHERE name = 'feed';",
    )
    .expect("damaged");
    conn.close().expect("closed");
    let to = place.directory().join("copy.db");
    let made = read_only(&place.path).map(|reader| reader.back_up(&to, WALL));
    assert!(!matches!(made, Ok(Ok(_))), "{made:?}");
    assert!(
        !crate::support::listing(&to)
            .iter()
            .any(|name| name.starts_with("copy.db"))
    );
}

#[test]
fn sound_pages_are_told_from_damaged_ones() {
    let place = Place::new();
    let mut desk = Desk::new(create(&place.path, &options()));
    desk.trade();
    assert!(desk.ledger.pages_are_sound().expect("readable"));
}
