//! Files that are opened, and files that are refused and left as they are.

use std::path::Path;

use domain::event::StreamReason;
use domain::ids::EventId;
use ledger::{Ledger, OpenError, OpenOptions};
use uuid::Uuid;

use crate::support::{
    Desk, Place, WALL, clock, create, listing, new_stream, options, raw_file, read_only,
};

fn refused(path: &Path) -> OpenError {
    let before = std::fs::read(path).ok();
    let beside = listing(path);
    let error = Ledger::open(path, &options()).expect_err("refused");
    assert!(read_only(path).is_err());
    assert_eq!(std::fs::read(path).ok(), before, "the file was touched");
    assert_eq!(listing(path), beside, "a file was left beside it");
    error
}

#[test]
fn foreign_files_are_refused_and_left_alone() {
    let place = Place::new();
    assert!(matches!(refused(&place.path), OpenError::NotFound));
    assert!(
        matches!(refused(place.directory()), OpenError::NotFound),
        "a directory"
    );

    for content in [&b""[..], b"hello", &[0_u8; 8_192]] {
        std::fs::write(&place.path, content).expect("write");
        assert!(
            matches!(refused(&place.path), OpenError::NotALedger),
            "{} bytes",
            content.len()
        );
    }
    for mode in ["DELETE", "WAL"] {
        std::fs::remove_file(&place.path).expect("remove");
        let conn =
            ledger::open_keyed(&place.path, rusqlite::OpenFlags::default(), None).expect("foreign");
        conn.pragma_update_and_check(None, "journal_mode", mode, |_| Ok(()))
            .expect("mode");
        conn.execute_batch("CREATE TABLE event (seq INTEGER); PRAGMA user_version = 1")
            .expect("foreign");
        conn.close().expect("close");
        assert!(
            matches!(refused(&place.path), OpenError::NotALedger),
            "{mode}"
        );
    }
}

#[test]
fn a_file_of_a_later_program_is_refused_and_left_alone_unless_it_says_otherwise() {
    let place = Place::new();
    drop(create(&place.path, &options()));
    let edit = |sql: &str| {
        let conn = raw_file(&place.path);
        conn.execute_batch(sql).expect("edit");
        conn.close().expect("close");
    };
    edit("PRAGMA user_version = 999; UPDATE format SET understood_from = 999");
    let error = refused(&place.path);
    assert!(
        matches!(
            error,
            OpenError::NewerVersion {
                found: 999,
                understood: 1..999
            }
        ),
        "{error:?}"
    );

    edit("UPDATE format SET understood_from = 1; ALTER TABLE shift ADD COLUMN later TEXT");
    let mut desk = Desk::new(Ledger::open(&place.path, &options()).expect("understood"));
    desk.trade();
    desk.assert_sound();
}

#[test]
fn creating_never_overwrites_and_leaves_no_draft() {
    let place = Place::new();
    std::fs::write(&place.path, b"precious").expect("write");
    let make = |path: &Path| {
        let id = EventId(Uuid::from_u128(1));
        Ledger::create(path, new_stream(), &clock(WALL), id, &options())
    };
    assert!(matches!(make(&place.path), Err(OpenError::Exists)));
    assert_eq!(std::fs::read(&place.path).expect("read"), b"precious");
    std::fs::remove_file(&place.path).expect("remove");

    // A draft that an earlier attempt left behind is no obstacle.
    std::fs::write(place.directory().join("ledger.db.new"), b"half").expect("write");
    let ledger = make(&place.path).expect("create");
    assert_eq!(ledger.head().seq, 1);
    assert_eq!(ledger.identity().reason, StreamReason::Enrolled);
    drop(ledger);
    assert_eq!(listing(&place.path), ["ledger.db"]);
    assert!(matches!(
        make(&place.directory().join("none/ledger.db")),
        Err(OpenError::NotFound)
    ));
}

#[test]
fn a_stream_without_store_or_till_is_no_till() {
    let place = Place::new();
    let mut new = new_stream();
    new.opened.till = None;
    let id = EventId(Uuid::from_u128(1));
    let result = Ledger::create(&place.path, new, &clock(WALL), id, &options());
    assert!(matches!(result, Err(OpenError::NotATill)));
    assert_eq!(listing(&place.path), [] as [&str; 0]);
}

#[test]
fn a_disk_without_room_refuses_to_create_and_leaves_nothing() {
    let place = Place::new();
    let options = OpenOptions {
        pages_max: Some(8),
        ..options()
    };
    let id = EventId(Uuid::from_u128(1));
    let result = Ledger::create(&place.path, new_stream(), &clock(WALL), id, &options);
    assert!(matches!(result, Err(OpenError::Full)));
    assert_eq!(listing(&place.path), [] as [&str; 0]);
}

#[cfg(unix)]
#[test]
fn a_directory_that_cannot_be_written_is_told_as_such() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::new();
    drop(create(&place.path, &options()));
    let before = std::fs::read(&place.path).expect("read");
    let permit = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
    };
    permit(&place.path, 0o444);
    permit(place.directory(), 0o555);
    // Root may write anyway; then the kernel's own read-only tree stands in for the directory.
    let bound_by_permissions = std::fs::write(place.directory().join("probe"), b"x").is_err();
    let id = EventId(Uuid::from_u128(1));
    let (path, opened) = if bound_by_permissions {
        let opened = Ledger::open(&place.path, &options()).err();
        (place.directory().join("other.db"), opened)
    } else {
        (
            Path::new("/proc/self/ledger.db").to_owned(),
            Some(OpenError::ReadOnly),
        )
    };
    let created = Ledger::create(&path, new_stream(), &clock(WALL), id, &options());
    permit(place.directory(), 0o755);
    assert!(matches!(opened, Some(OpenError::ReadOnly)), "{opened:?}");
    assert!(
        matches!(created, Err(OpenError::ReadOnly)),
        "{:?}",
        created.err()
    );
    assert_eq!(std::fs::read(&place.path).expect("read"), before);
}

#[test]
fn a_path_with_odd_characters_is_a_path() {
    let place = Place::new();
    let odd = place.directory().join("caisse 100% #1 ? été مرسى.db");
    drop(create(&odd, &options()));
    let ledger = Ledger::open(&odd, &options()).expect("open");
    assert_eq!(ledger.head().seq, 1);
    assert!(read_only(&odd).is_ok());
}

#[test]
fn durability_is_what_was_asked_for() {
    let place = Place::new();
    let mut desk = Desk::new(create(&place.path, &options()));
    desk.trade();
    desk.ledger.checkpoint().expect("checkpoint");
    let conn = raw_file(&place.path);
    let mode: String = conn
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .expect("mode");
    assert_eq!(mode, "wal");
    assert!(rusqlite::version_number() >= ledger::SQLITE_VERSION_MIN);
}

/// Moving the log into the file writes page after page; whoever is killed in between leaves a file that makes
/// no sense by itself.
#[test]
fn a_file_whose_log_was_being_moved_in_opens() {
    let place = Place::new();
    let mut desk = Desk::new(create(&place.path, &OpenOptions::default()));
    desk.ledger.checkpoint().expect("moved");
    let before = std::fs::read(&place.path).expect("the file");
    desk.follow(&["cfg:LM", "cat", "price:TN"]);
    desk.trade();
    let head = desk.ledger.head();
    let wal = format!("{}-wal", place.path.display());
    let log = std::fs::read(&wal).expect("the log");
    desk.ledger.checkpoint().expect("moved");
    drop(desk);
    let after = std::fs::read(&place.path).expect("the file");
    assert!(after.len() > before.len(), "the file has grown");
    let mut torn = before;
    torn[..4_096].copy_from_slice(&after[..4_096]);
    for read_only in [true, false] {
        std::fs::write(&place.path, &torn).expect("torn");
        std::fs::write(&wal, &log).expect("the log is still there");
        let opened = if read_only {
            Ledger::open_read_only(&place.path)
        } else {
            Ledger::open(&place.path, &OpenOptions::default())
        };
        let ledger = opened.expect("file and log are whole together");
        assert_eq!(ledger.head(), head);
        assert_eq!(ledger.verify().expect("verify").first_bad, None);
    }
    // Without its log it is damaged, and says so.
    std::fs::write(&place.path, &torn).expect("torn");
    assert!(Ledger::open(&place.path, &OpenOptions::default()).is_err());
}
