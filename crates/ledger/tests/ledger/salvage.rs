//! A damaged file and its copies: what they prove together goes on, and nothing that stands in its place is lost.

use std::path::{Path, PathBuf};

use domain::config::KeyAlgorithm;
use domain::entropy::Entropy;
use domain::event::{StreamHead, StreamReason};
use domain::ids::JobId;
use ledger::{
    Ledger, NewPrintJob, OpenError, PrintFilter, PrintKind, PrintState, Succeeded, Succession,
    SuccessionError, earlier_files, succeed,
};
use uuid::Uuid;

use crate::support::{Desk, Place, WALL, clock, create, listing, options, raw_file, read_only};

const PAGE: usize = 4_096;
/// Sales before the copy, and after it.
const BEFORE: u64 = 60;
const AFTER: u64 = 30;

/// A till's file, closed, its log moved into it, and a copy from a while before.
struct Kept {
    place: Place,
    sound: Vec<u8>,
    copy: PathBuf,
    copied: StreamHead,
    head: StreamHead,
    perpetual_minor: i64,
    wall: i64,
}

impl Kept {
    fn new() -> Kept {
        let (place, mut desk, copy, copied) = Kept::trading();
        desk.ledger.checkpoint().expect("checkpoint");
        let (head, wall) = (desk.ledger.head(), desk.wall);
        let perpetual_minor = desk.ledger.perpetual_minor().expect("total");
        drop(desk);
        let sound = std::fs::read(&place.path).expect("file");
        assert!(!place.directory().join("ledger.db-wal").exists());
        Kept {
            place,
            sound,
            copy,
            copied,
            head,
            perpetual_minor,
            wall,
        }
    }

    /// As it is while the till runs: the latest sales are in the log alone.
    fn trading() -> (Place, Desk, PathBuf, StreamHead) {
        let place = Place::new();
        let mut desk = Desk::new(create(&place.path, &options()));
        desk.open_shift();
        for _ in 0..BEFORE {
            desk.sell(&[(1, 1, 1_000)]);
        }
        let waiting = NewPrintJob {
            job: JobId(Uuid::from_u128(1)),
            kind: PrintKind::Receipt,
            number: "N1".to_owned(),
            document: "{}".to_owned(),
            copy: 0,
            wall: 1,
        };
        desk.ledger
            .write(|tx| tx.queue_print(&waiting))
            .expect("a job");
        let copy = place.directory().join("copy.db");
        let copied = desk.ledger.back_up(&copy, WALL).expect("a copy");
        desk.ledger.checkpoint().expect("checkpoint");
        for _ in 0..AFTER {
            desk.sell(&[(1, 1, 1_000)]);
        }
        (place, desk, copy, copied)
    }

    fn succession(&self) -> Succession {
        Succession {
            reason: StreamReason::Damaged,
            key_algorithm: KeyAlgorithm::Ed25519,
            public_key: "ab".repeat(32),
            witness: Some(self.head),
            copies: vec![self.copy.clone()],
        }
    }

    /// Puts `bytes` in the place of a ledger elsewhere and goes on from there.
    fn go_on(&self, bytes: &[u8], succession: &Succession) -> Outcome {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("ledger.db");
        std::fs::write(&path, bytes).expect("damage");
        let result = go_on(&path, succession, self.wall);
        let kept = match &result {
            Ok(_) => earlier_files(&path).expect("list").remove(0),
            Err(_) => path.clone(),
        };
        assert_eq!(std::fs::read(kept).expect("kept"), bytes, "the old file");
        let drafts = |name: &String| {
            [".next", ".mending", ".switch"]
                .iter()
                .any(|end| name.contains(end))
        };
        let left = listing(&path).into_iter().filter(drafts);
        assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());
        Outcome {
            _folder: folder,
            result,
        }
    }

    fn expect_all(&self, what: &str, outcome: &Outcome) {
        let went_on = outcome.ledger(what);
        assert_eq!(went_on.lost, 0, "{what}");
        let total = went_on.ledger.perpetual_minor().expect("total");
        assert_eq!(total, self.perpetual_minor, "{what}");
        let carried = went_on.ledger.opening().previous;
        assert_eq!(carried, Some(self.head), "{what}");
    }
}

struct Outcome {
    _folder: tempfile::TempDir,
    result: Result<Succeeded, SuccessionError>,
}

impl Outcome {
    fn ledger(&self, what: &str) -> &Succeeded {
        let went_on = self.result.as_ref().expect(what);
        let report = went_on.ledger.verify().expect("verify");
        assert_eq!(report.first_bad, None, "{what}");
        went_on
    }
}

fn go_on(path: &Path, succession: &Succession, wall: i64) -> Result<Succeeded, SuccessionError> {
    let mut entropy = Entropy::new([31; 32]);
    succeed(
        path,
        succession,
        &clock(wall),
        &mut entropy,
        &options(),
        &mut |_| Ok(()),
    )
}

fn scrambled(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ 0x5a).collect()
}

#[test]
fn a_file_without_its_first_page_is_read_with_that_of_a_copy() {
    let kept = Kept::new();
    let mut zeros = kept.sound.clone();
    zeros[..PAGE].fill(0);
    let mut noise = kept.sound.clone();
    noise[..PAGE].copy_from_slice(&scrambled(&kept.sound[..PAGE]));
    let mut header = kept.sound.clone();
    header[..100].fill(0xff);
    let mut inside = kept.sound.clone();
    inside[100..PAGE].fill(0xff);
    for (what, bytes) in [
        ("zeros", zeros),
        ("noise", noise),
        ("its header", header),
        ("behind its header", inside),
    ] {
        kept.expect_all(what, &kept.go_on(&bytes, &kept.succession()));
        let without = Succession {
            copies: Vec::new(),
            ..kept.succession()
        };
        assert!(kept.go_on(&bytes, &without).result.is_err(), "{what}");
    }
}

#[test]
fn the_log_beside_a_file_without_its_first_page_is_read_too() {
    let (place, desk, copy, _) = Kept::trading();
    let head = desk.ledger.head();
    let elsewhere = tempfile::tempdir().expect("folder");
    let path = elsewhere.path().join("ledger.db");
    for suffix in ["", "-wal"] {
        let name = format!("ledger.db{suffix}");
        std::fs::copy(place.directory().join(&name), elsewhere.path().join(&name)).expect("copy");
    }
    let mut bytes = std::fs::read(&path).expect("file");
    bytes[..PAGE].fill(0);
    std::fs::write(&path, &bytes).expect("damage");
    let succession = Succession {
        reason: StreamReason::Damaged,
        key_algorithm: KeyAlgorithm::Ed25519,
        public_key: "ab".repeat(32),
        witness: Some(head),
        copies: vec![copy],
    };
    let went_on = go_on(&path, &succession, desk.wall).expect("goes on");
    assert_eq!(went_on.lost, 0);
    assert_eq!(went_on.ledger.opening().previous, Some(head));
    assert_eq!(went_on.ledger.verify().expect("verify").first_bad, None);
}

#[test]
fn events_that_are_damaged_here_are_taken_from_the_copy() {
    let kept = Kept::new();
    let last = kept.head.seq;
    for (sql, lost) in [
        ("UPDATE event SET bytes = x'00' WHERE seq = 1".to_owned(), 0),
        ("DELETE FROM event WHERE seq IN (1, 2, 7, 8)".to_owned(), 0),
        (
            "DELETE FROM identity; DELETE FROM event WHERE seq = 1".to_owned(),
            0,
        ),
        (
            "UPDATE event SET bytes = x'00', hash = zeroblob(32) WHERE seq BETWEEN 10 AND 20"
                .to_owned(),
            0,
        ),
        // Behind the end of the copy nobody knows it, nor what comes after a hole.
        (
            format!(
                "UPDATE event SET bytes = x'00' WHERE seq IN (5, {})",
                last - 3
            ),
            1,
        ),
        (
            format!("DELETE FROM event WHERE seq = {}", kept.copied.seq + 2),
            2,
        ),
    ] {
        let place = Place::new();
        std::fs::write(&place.path, &kept.sound).expect("file");
        let conn = raw_file(&place.path);
        conn.execute_batch(
            "PRAGMA foreign_keys = 0; DROP TRIGGER event_is_never_changed; \
             DROP TRIGGER event_is_never_deleted; DROP TRIGGER event_follows_the_last; DROP TRIGGER identity_is_never_deleted;",
        )
        .expect("triggers");
        conn.execute_batch(&sql).expect(&sql);
        conn.close().expect("close");
        let bytes = std::fs::read(&place.path).expect("damaged");
        let outcome = kept.go_on(&bytes, &kept.succession());
        if lost == 0 {
            kept.expect_all(&sql, &outcome);
        }
        assert_eq!(outcome.ledger(&sql).lost, lost, "{sql}");
        let without = Succession {
            copies: Vec::new(),
            ..kept.succession()
        };
        if let Ok(alone) = kept.go_on(&bytes, &without).result {
            assert!(alone.lost > 0 && alone.lost >= lost, "{sql}");
        }
    }
}

/// Whatever page is damaged, or wherever the file is cut off, the till goes on, and what is lost is younger than the
/// copy.
#[test]
fn with_a_copy_any_damaged_page_costs_at_most_what_came_after_it() {
    let kept = Kept::new();
    let pages = kept.sound.len() / PAGE;
    let (mut nothing, mut something) = (0, 0);
    // The first ones hold the schema, most of the others events.
    for page in (0..6).chain((6..pages).step_by(5)) {
        for cut in [false, true] {
            let what = format!("page {page}, cut {cut}");
            let mut bytes = kept.sound.clone();
            if cut {
                bytes.truncate(page * PAGE);
            } else {
                for byte in &mut bytes[page * PAGE..page * PAGE + 64] {
                    *byte ^= 0x5a;
                }
            }
            let outcome = kept.go_on(&bytes, &kept.succession());
            let went_on = outcome.ledger(&what);
            let end = went_on.ledger.opening().previous.expect("what went before");
            assert!(end.seq >= kept.copied.seq, "{what}");
            assert!(went_on.lost <= kept.head.seq - kept.copied.seq, "{what}");
            if went_on.lost == 0 && end == kept.head {
                nothing += 1;
            } else {
                something += 1;
            }
        }
    }
    assert!(nothing > 0 && something > 0, "{nothing}, {something}");
}

#[test]
fn the_newest_copy_stands_in_for_a_file_of_which_nothing_is_left() {
    let kept = Kept::new();
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("zeros", vec![0; kept.sound.len()]),
    ] {
        let outcome = kept.go_on(&bytes, &kept.succession());
        let went_on = outcome.ledger(what);
        assert_eq!(went_on.lost, kept.head.seq - kept.copied.seq, "{what}");
        let opening = went_on.ledger.opening();
        assert_eq!(opening.previous, Some(kept.copied), "{what}");
        assert_eq!(opening.witness, Some(kept.head), "{what}");
        // It was printed since, or not: nobody knows.
        let jobs = went_on.ledger.print_jobs(PrintFilter::Latest(9));
        let states: Vec<PrintState> = jobs.expect("jobs").iter().map(|job| job.state).collect();
        assert_eq!(states, [PrintState::Uncertain], "{what}");

        let unwitnessed = Succession {
            witness: None,
            ..kept.succession()
        };
        assert_eq!(
            kept.go_on(&bytes, &unwitnessed).ledger(what).lost,
            1,
            "{what}"
        );
        // A copy of another stream than the witness names is not what went before.
        let other = Succession {
            witness: Some(StreamHead {
                stream: domain::ids::StreamId([7; 16]),
                ..kept.head
            }),
            ..kept.succession()
        };
        assert!(kept.go_on(&bytes, &other).result.is_err(), "{what}");
    }
}

#[test]
fn a_strangers_file_stays_where_it_is_and_a_strangers_copy_is_not_used() {
    let kept = Kept::new();
    let database = {
        let place = Place::new();
        let conn = ledger::open_keyed(&place.path, rusqlite::OpenFlags::default(), None)
            .expect("a database");
        conn.execute_batch(
            "CREATE TABLE event (seq, bytes, hash); INSERT INTO event VALUES (1, 2, 3)",
        )
        .expect("a table");
        conn.close().expect("close");
        std::fs::read(&place.path).expect("read")
    };
    for bytes in [b"a letter to the taxman".to_vec(), database] {
        assert!(kept.go_on(&bytes, &kept.succession()).result.is_err());
    }
    let mut damaged = kept.sound.clone();
    damaged[..PAGE].fill(0);
    let stranger = Succession {
        public_key: "cd".repeat(32),
        ..kept.succession()
    };
    assert!(kept.go_on(&damaged, &stranger).result.is_err());
    // A copy that is gone, one that is no ledger, and then the right one.
    let letter = kept.place.directory().join("letter.db");
    std::fs::write(&letter, "not a copy").expect("write");
    let mut succession = kept.succession();
    succession.copies.insert(0, letter);
    succession
        .copies
        .insert(0, kept.place.directory().join("gone.db"));
    kept.expect_all("the third copy", &kept.go_on(&damaged, &succession));
}

#[test]
fn a_copy_has_the_salt_of_its_original() {
    let kept = Kept::new();
    let head = |path: &Path| std::fs::read(path).expect("read")[..16].to_vec();
    assert_eq!(head(&kept.copy), kept.sound[..16]);
    assert!(matches!(
        read_only(&kept.copy).map(|copy| copy.head()),
        Ok(found) if found == kept.copied
    ));
    assert!(matches!(
        Ledger::open(&kept.place.directory().join("none.db"), &options()),
        Err(OpenError::NotFound)
    ));
}
