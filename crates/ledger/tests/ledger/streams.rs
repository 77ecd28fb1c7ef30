//! A stream that ends and another that goes on: what is adopted, what a power cut leaves, what can be salvaged.

use std::path::{Path, PathBuf};

use domain::config::KeyAlgorithm;
use domain::entropy::Entropy;
use domain::event::{Fact, PeriodKind, Reprinted, StreamHead, StreamReason};
use domain::ids::{Digest, JobId, RequestId, ShiftId};
use ledger::{
    Ledger, NewPrintJob, NewStream, NotOurs, OpenError, OpenOptions, PrintFilter, PrintKind,
    PrintState, PrintUpdate, RecoverError, Step, Succeeded, Succession, SuccessionError, Verdict,
    WitnessDir, earlier_files, finish_succession, judge, succeed,
};
use uuid::Uuid;

use crate::support::{
    Desk, Place, clock, create, day, location, make_style, make_variant, price_row, row,
    store_config, style_row, user, variant, variant_row, whole,
};

pub fn succession(reason: StreamReason) -> Succession {
    Succession {
        reason,
        key_algorithm: KeyAlgorithm::Ed25519,
        public_key: "ab".repeat(32),
        witness: None,
        copies: Vec::new(),
    }
}

pub fn go_on(path: &Path, reason: StreamReason, seed: u8, wall: i64) -> Succeeded {
    let mut entropy = Entropy::new([seed; 32]);
    succeed(
        path,
        &succession(reason),
        &clock(wall),
        &mut entropy,
        &OpenOptions::default(),
        &mut |_| Ok(()),
    )
    .expect("the stream goes on")
}

/// The desk of a ledger that goes on with the shift of an earlier one.
pub fn desk_of(ledger: Ledger, before: &Desk, seed: u8) -> Desk {
    let open = ledger.open_shift(1).expect("read");
    let mut desk = Desk::new(ledger);
    desk.entropy = Entropy::new([seed; 32]);
    desk.wall = before.wall + 60_000;
    desk.date = before.date;
    if let Some(open) = open {
        desk.shift = open.opened.shift;
    }
    desk
}

fn acknowledge(desk: &mut Desk) {
    let head = desk.ledger.head();
    desk.ledger
        .write(|tx| tx.set_acked("hub", 1, head.seq, head.hash))
        .expect("ack");
    let mut page = stock_page(2, 15);
    page.folded.insert(head.stream, head.seq);
    desk.apply(&page);
}

fn stock_page(ver: u64, units: i64) -> sync_protocol::FeedPage {
    let value = sync_protocol::feed::StockRow {
        variant: variant(1),
        quantity: domain::quantity::Quantity::units(units).expect("units"),
        anchor: None,
        zones: Default::default(),
    };
    whole("stock:LM", ver, vec![row(variant(1), ver, &value)])
}

fn fill_feeds(desk: &mut Desk) {
    desk.follow(&["cfg:LM", "cat", "price:TN", "stock:LM"]);
    desk.apply(&whole("cfg:LM", 1, vec![row("store", 1, &store_config())]));
    desk.apply(&whole(
        "cat",
        1,
        vec![
            style_row(1, &make_style(1, "Ballon", "كرة", "Ball")),
            variant_row(1, &make_variant(1, 1, "BAL-1", &["4006381333931"])),
            variant_row(1, &make_variant(2, 1, "BAL-2", &[])),
        ],
    ));
    desk.apply(&whole(
        "price:TN",
        1,
        vec![price_row(1, 1, &[("2026-01-01", 5_000)])],
    ));
    desk.apply(&stock_page(1, 20));
}

/// A closed day, an open shift with two sales, feeds, an answer, notes and print jobs.
fn busy(place: &Place) -> Desk {
    let mut desk = Desk::new(create(&place.path, &OpenOptions::default()));
    fill_feeds(&mut desk);
    desk.trade();
    desk.close_shift();
    desk.date = day("2026-11-23");
    let (now, date) = (desk.tick(), desk.date);
    let mut ids = Entropy::new([77; 32]);
    desk.ledger
        .write(|tx| {
            tx.close_periods(&now, date, || {
                domain::ids::EventId(ids.next_uuid(now.wall_ms))
            })
        })
        .expect("close the day");
    acknowledge(&mut desk);
    desk.open_shift();
    desk.sell(&[(1, 3, 5_000)]);
    let copied = desk.sell(&[(2, 1, 1_250)]);
    let copy = Fact::Reprinted(Reprinted {
        number: copied.number,
        copy: 1,
        user: user(),
    });
    desk.append(&copy).expect("reprint");
    let job = |number: u128| NewPrintJob {
        job: JobId(Uuid::from_u128(number)),
        kind: PrintKind::Receipt,
        number: format!("N{number}"),
        document: "{}".to_owned(),
        copy: 0,
        wall: 1,
    };
    desk.ledger
        .write(|tx| {
            tx.set_local("link", "token")?;
            tx.set_local("backup.stamp", "{}")?;
            tx.store_answer(
                RequestId(Uuid::from_u128(9)),
                Digest([9; 32]),
                "{\"ok\":1}",
                1,
            )?;
            tx.queue_print(&job(1))?;
            tx.queue_print(&job(2))?;
            tx.mark_print(JobId(Uuid::from_u128(1)), &PrintUpdate::Claimed)
        })
        .expect("notes");
    desk.assert_sound();
    desk
}

/// What a cashier and a bookkeeper can see of a till, whichever stream it is on.
#[derive(Debug, PartialEq)]
struct Seen {
    perpetual_minor: i64,
    last_z: u64,
    open: Option<(ShiftId, domain::event::ShiftTotals)>,
    stock: Vec<Option<i64>>,
    found: bool,
    price: bool,
    ready: bool,
}

fn seen(ledger: &Ledger) -> Seen {
    let stock = |number: u128| {
        let known = ledger
            .stock(variant(number), &location("LM"))
            .expect("stock");
        known.map(|known| known.quantity.thousandths())
    };
    Seen {
        perpetual_minor: ledger.perpetual_minor().expect("perpetual"),
        last_z: ledger.last_z().expect("z"),
        open: ledger
            .open_shift(1)
            .expect("shift")
            .map(|open| (open.opened.shift, open.totals)),
        stock: vec![stock(1), stock(2)],
        found: ledger.find_code("4006381333931").expect("find").is_some(),
        price: ledger
            .price(variant(1), day("2026-11-23"))
            .expect("price")
            .is_some(),
        ready: ledger.ready_to_sell().expect("ready"),
    }
}

#[test]
fn an_open_shift_goes_on_in_the_new_stream_and_is_closed_with_the_right_z() {
    let place = Place::new();
    let desk = busy(&place);
    let before = seen(&desk.ledger);
    let (old_head, old_stream) = (desk.ledger.head(), desk.ledger.identity().stream);
    let old_closing = desk
        .ledger
        .last_closing(PeriodKind::Day)
        .expect("read")
        .expect("a closed day");
    let number = desk
        .ledger
        .last_receipt()
        .expect("read")
        .expect("a receipt");
    let frame = desk.date;
    let mut old = desk;
    drop(std::mem::replace(&mut old.ledger, in_memory()));
    let went_on = go_on(&place.path, StreamReason::Restored, 40, old.wall + 1_000);
    assert_eq!((went_on.lost, went_on.feeds_whole), (0, true));
    let mut desk = desk_of(went_on.ledger, &old, 41);
    desk.assert_sound();
    assert_eq!(seen(&desk.ledger), before);
    assert_ne!(desk.ledger.identity().stream, old_stream);
    assert_eq!(desk.ledger.identity().reason, StreamReason::Restored);
    let opened = desk.ledger.opening();
    assert_eq!(opened.previous, Some(old_head));
    assert_eq!(opened.numbers, [(2026, 6)].into());
    // The sale is still found, with its copies, under its own number and time.
    let found = desk
        .ledger
        .receipt(&number.number)
        .expect("read")
        .expect("adopted");
    assert_eq!(
        (found.copies, found.wall, found.body.sale()),
        (1, number.wall, number.body.sale())
    );
    assert_eq!(
        desk.ledger.last_receipt().expect("read").map(|r| r.number),
        Some(number.number.clone())
    );
    // Notes and answers are there; what was being printed is uncertain; the stamp of a copy is not carried on.
    assert_eq!(
        desk.ledger.local("link").expect("note").as_deref(),
        Some("token")
    );
    assert_eq!(desk.ledger.local("backup.stamp").expect("note"), None);
    let answer = desk
        .ledger
        .answer(RequestId(Uuid::from_u128(9)))
        .expect("read");
    assert_eq!(answer.expect("kept").answer, "{\"ok\":1}");
    let jobs = desk.ledger.print_jobs(PrintFilter::Pending).expect("jobs");
    let states: Vec<PrintState> = jobs.iter().map(|job| job.state).collect();
    assert_eq!(states, [PrintState::Uncertain, PrintState::Queued]);
    // A new series begins at 1, and the adopted sale can be undone once.
    let sale = desk.sell(&[(1, 1, 5_000)]);
    assert_eq!(sale.number_seq, 1);
    assert!(
        sale.number
            .contains(&desk.ledger.identity().stream.series())
    );
    let reversal = desk.reversal(found.body.sale());
    desk.append(&Fact::Reversed(reversal.clone()))
        .expect("reverse an adopted sale");
    assert!(desk.append(&Fact::Reversed(reversal)).is_err(), "once");
    assert_eq!(
        desk.ledger
            .receipt(&number.number)
            .expect("read")
            .expect("adopted")
            .reversed_by,
        Some(desk.number(2))
    );
    desk.close_shift();
    let (z, opened, _) = desk.ledger.z_report(3).expect("read").expect("Z 3");
    assert_eq!(opened.business_date, frame);
    assert_eq!((z.totals.sales, z.totals.reversals), (3, 1));
    assert_eq!(z.totals.takings_minor, 15_000 + 1_250 + 5_000 - 1_250);
    assert_eq!(z.perpetual_minor, before.perpetual_minor + 5_000 - 1_250);
    // The day closes with what was sold on both sides of the break, and refers to the closing before.
    desk.date = day("2026-11-24");
    let (now, date) = (desk.tick(), desk.date);
    let mut ids = Entropy::new([78; 32]);
    let closed = desk
        .ledger
        .write(|tx| {
            tx.close_periods(&now, date, || {
                domain::ids::EventId(ids.next_uuid(now.wall_ms))
            })
        })
        .expect("close the day");
    assert_eq!(closed.len(), 1);
    assert_eq!(
        (closed[0].closed.number, closed[0].closed.totals.sales),
        (2, 3)
    );
    assert_eq!(closed[0].closed.previous, Some(old_closing.at));
    desk.assert_sound();
    drop(desk);
    let report = Ledger::open_read_only(&place.path)
        .expect("open")
        .verify()
        .expect("verify");
    assert_eq!(report.first_bad, None);
    // The old file is kept and readable.
    let files = earlier_files(&place.path).expect("list");
    assert_eq!(files.len(), 1);
    let old = Ledger::open_read_only(&files[0]).expect("the old file");
    assert_eq!(old.head(), old_head);
    assert_eq!(old.verify().expect("verify").first_bad, None);
}

fn in_memory() -> Ledger {
    Desk::in_memory().ledger
}

#[test]
fn a_stream_may_break_again_and_again() {
    let place = Place::new();
    let mut desk = busy(&place);
    let before = seen(&desk.ledger);
    let mut series = std::collections::BTreeSet::new();
    for round in 0..3_u8 {
        series.insert(desk.ledger.identity().stream.series());
        desk.ledger = in_memory();
        let went_on = go_on(&place.path, StreamReason::Cloned, 50 + round, desk.wall);
        desk = desk_of(went_on.ledger, &desk, 60 + round);
        desk.sell(&[(1, 1, 1_000)]);
        desk.assert_sound();
    }
    let after = seen(&desk.ledger);
    assert_eq!(after.perpetual_minor, before.perpetual_minor + 3_000);
    assert_eq!(after.open.expect("open").1.sales, 5);
    assert_eq!(after.stock[0], before.stock[0].map(|units| units - 3_000));
    // Every receipt of the open shift is here under the number that it was printed with.
    let numbers: std::collections::BTreeSet<String> = desk
        .ledger
        .receipts("", 100)
        .expect("list")
        .into_iter()
        .map(|receipt| receipt.number)
        .collect();
    assert_eq!(numbers.len(), 5);
    assert_eq!(series.len(), 3);
    assert_eq!(earlier_files(&place.path).expect("list").len(), 3);
    desk.close_shift();
    desk.assert_sound();
}

#[test]
fn what_is_acknowledged_and_closed_stays_behind_and_its_copies_are_counted_on() {
    let place = Place::new();
    let mut desk = busy(&place);
    let first = desk.ledger.receipts("", 100).expect("list");
    let first = first.last().expect("a receipt").number.clone();
    desk.close_shift();
    acknowledge(&mut desk);
    let wall = desk.wall;
    let before = desk;
    let mut before = before;
    before.ledger = in_memory();
    let went_on = go_on(&place.path, StreamReason::Restored, 42, wall);
    let mut desk = desk_of(went_on.ledger, &before, 43);
    // Only the day that is not closed came along, and the last closing.
    assert_eq!(desk.ledger.receipts("", 100).expect("list").len(), 2);
    assert!(desk.ledger.receipt(&first).expect("read").is_none());
    // Its fourth copy: three were printed when the other stream held it.
    let copy = |number: &str, copy| {
        Fact::Reprinted(Reprinted {
            number: number.to_owned(),
            copy,
            user: user(),
        })
    };
    desk.append(&copy(&first, 4)).expect("a copy of before");
    assert!(
        desk.append(&copy(&first, 6)).is_err(),
        "one after the other"
    );
    desk.append(&copy(&first, 5)).expect("the next");
    desk.append(&copy("Z1", 2)).expect("a Z of before");
    desk.open_shift();
    let own = desk.sell(&[(1, 1, 1_000)]).number;
    assert!(desk.append(&copy(&own, 2)).is_err(), "never copied before");
    desk.append(&copy(&own, 1)).expect("its first");
    desk.assert_sound();
}

#[test]
fn receipts_of_all_series_are_listed_by_time() {
    let place = Place::new();
    let mut desk = busy(&place);
    let (head, wall) = (desk.ledger.head(), desk.wall);
    desk.ledger = in_memory();
    assert!(head.seq > 0);
    let went_on = go_on(&place.path, StreamReason::Restored, 42, wall);
    let mut desk = desk_of(went_on.ledger, &desk, 43);
    let own = desk.sell(&[(1, 1, 1_000)]);
    // The clock is set back to before the sales that were adopted.
    desk.wall = wall - 60 * 60_000;
    let early = desk.sell(&[(1, 1, 1_000)]);
    let listed = |limit: u32| -> Vec<(i64, String)> {
        let found = desk.ledger.receipts("", limit).expect("list");
        found
            .into_iter()
            .map(|receipt| (receipt.wall, receipt.number))
            .collect()
    };
    let all = listed(100);
    assert_eq!(all.len(), 4, "{all:?}");
    // In its own series a number that is higher is later, whatever the clock said; the adopted ones lie between.
    let numbers: Vec<&str> = all.iter().map(|(_, number)| number.as_str()).collect();
    let place_of = |number: &str| numbers.iter().position(|found| *found == number);
    assert!(place_of(&early.number) < place_of(&own.number));
    assert_eq!(place_of(&early.number), Some(2), "{all:?}");
    for limit in 0..4 {
        assert_eq!(listed(limit), all[..limit as usize]);
    }
}

#[test]
fn a_power_cut_between_any_two_steps_leaves_the_old_stream_or_the_new_one() {
    for step in Step::ALL {
        let place = Place::new();
        let mut desk = busy(&place);
        let before = seen(&desk.ledger);
        let (old_head, wall) = (desk.ledger.head(), desk.wall);
        desk.ledger = in_memory();
        let mut entropy = Entropy::new([44; 32]);
        let cut = succeed(
            &place.path,
            &succession(StreamReason::Cloned),
            &clock(wall),
            &mut entropy,
            &OpenOptions::default(),
            &mut |done| {
                if done == step {
                    Err(OpenError::ReadOnly)
                } else {
                    Ok(())
                }
            },
        );
        assert!(matches!(cut, Err(SuccessionError::Open(_))), "{step:?}");
        let new = finish_succession(&place.path).expect("finish");
        assert_eq!(new, step != Step::Drafted, "{step:?}");
        assert!(!finish_succession(&place.path).expect("once"));
        let ledger = Ledger::open(&place.path, &OpenOptions::default()).expect("open");
        assert_eq!(seen(&ledger), before, "{step:?}");
        assert_eq!(ledger.verify().expect("verify").first_bad, None);
        let head = ledger.head();
        assert_eq!(head.stream != old_head.stream, new);
        if !new {
            assert_eq!(head, old_head);
        }
        drop(ledger);
        // Nothing half-made is left, and the old file is kept.
        let left: Vec<String> = std::fs::read_dir(place.directory())
            .expect("folder")
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .filter(|name| name.contains(".next") || name.contains(".switch"))
            .collect();
        assert_eq!(left, [] as [&str; 0], "{step:?}");
        assert_eq!(
            earlier_files(&place.path).expect("list").len(),
            usize::from(new)
        );
    }
}

#[test]
fn what_stands_in_the_log_only_is_not_lost_with_it() {
    // The writer was killed: its last commits are in the log, and the log moves with the file.
    let place = Place::new();
    let mut desk = busy(&place);
    let before = seen(&desk.ledger);
    let copy = place.directory().join("killed");
    std::fs::create_dir(&copy).expect("folder");
    for suffix in ["", "-wal"] {
        let name = format!("ledger.db{suffix}");
        std::fs::copy(place.directory().join(&name), copy.join(&name)).expect("copy");
    }
    let wall = desk.wall;
    desk.ledger = in_memory();
    let path = copy.join("ledger.db");
    let mut entropy = Entropy::new([45; 32]);
    let cut = succeed(
        &path,
        &succession(StreamReason::Cloned),
        &clock(wall),
        &mut entropy,
        &OpenOptions::default(),
        &mut |done| match done {
            Step::LogMoved => Err(OpenError::ReadOnly),
            _ => Ok(()),
        },
    );
    assert!(cut.is_err());
    finish_succession(&path).expect("finish");
    let ledger = Ledger::open(&path, &OpenOptions::default()).expect("open");
    assert_eq!(seen(&ledger), before);
    let files = earlier_files(&path).expect("list");
    let old = Ledger::open_read_only(&files[0]).expect("the old file");
    assert_eq!(old.verify().expect("verify").first_bad, None);
    assert_eq!(old.head().seq, ledger.opening().previous.expect("head").seq);
}

fn damage_event(path: &Path, sql: &str) {
    let conn = ledger::open_keyed(path, rusqlite::OpenFlags::default(), None).expect("raw");
    conn.execute_batch(
        "PRAGMA foreign_keys = 0; DROP TRIGGER event_is_never_changed; DROP TRIGGER event_is_never_deleted; \
         DROP TRIGGER event_follows_the_last;",
    )
    .expect("triggers");
    conn.execute_batch(sql).expect(sql);
    conn.close().expect("close");
}

#[test]
fn an_event_that_cannot_be_proven_is_left_out_and_the_rest_goes_on() {
    for (sql, lost) in [
        // A byte of a sale of the open shift.
        (
            "UPDATE event SET bytes = CAST(replace(CAST(bytes AS TEXT), '\"total_minor\":15000', '\"total_minor\":15001') AS BLOB) WHERE seq = 12",
            1,
        ),
        // Its hash alone: the event is proven by the next.
        ("UPDATE event SET hash = zeroblob(32) WHERE seq = 12", 0),
        ("UPDATE event SET bytes = x'00ff' WHERE seq = 12", 1),
        // The one after a missing event cannot be proven either.
        ("DELETE FROM event WHERE seq = 12", 2),
        // The last one's hash has no witness.
        ("UPDATE event SET hash = zeroblob(32) WHERE seq = 14", 1),
    ] {
        let place = Place::new();
        let mut desk = busy(&place);
        assert_eq!(desk.ledger.head().seq, 14);
        let before = seen(&desk.ledger);
        desk.ledger = in_memory();
        damage_event(&place.path, sql);
        let went_on = go_on(&place.path, StreamReason::Damaged, 46, desk.wall);
        assert_eq!(went_on.lost, lost, "{sql}");
        let mut desk = desk_of(went_on.ledger, &desk, 47);
        desk.assert_sound();
        let after = seen(&desk.ledger);
        assert_eq!(after.last_z, before.last_z, "{sql}");
        assert!(after.ready && after.open.is_some(), "{sql}");
        desk.sell(&[(1, 1, 1_000)]);
        desk.close_shift();
        desk.assert_sound();
    }
}

#[test]
fn a_hole_before_a_z_costs_nothing_of_the_perpetual_total() {
    let place = Place::new();
    let mut desk = busy(&place);
    let before = seen(&desk.ledger);
    desk.ledger = in_memory();
    damage_event(
        &place.path,
        "UPDATE event SET bytes = x'00' WHERE seq IN (3, 4)",
    );
    let went_on = go_on(&place.path, StreamReason::Damaged, 48, desk.wall);
    assert_eq!(went_on.lost, 2);
    assert_eq!(seen(&went_on.ledger), before);
    assert_eq!(went_on.ledger.verify().expect("verify").first_bad, None);
}

/// Damages each page in turn; the till goes on or says that nobody can tell whose file it is, and never loses the
/// file.
#[test]
fn a_file_with_any_page_damaged_or_cut_off_goes_on_or_is_left_alone() {
    let place = Place::new();
    let mut desk = busy(&place);
    // Enough that most pages hold events and not the schema.
    for _ in 0..120 {
        desk.sell(&[(1, 1, 1_000)]);
    }
    let before = seen(&desk.ledger);
    desk.ledger = in_memory();
    drop(Ledger::open(&place.path, &OpenOptions::default()).expect("move the log"));
    let sound = std::fs::read(&place.path).expect("file");
    let pages = sound.len() / 4_096;
    let (mut went_on, mut unreadable, mut whole) = (0, 0, 0);
    for page in (1..pages).step_by(2) {
        for cut in [false, true] {
            let elsewhere = tempfile::tempdir().expect("directory");
            let path: PathBuf = elsewhere.path().join("ledger.db");
            let mut bytes = sound.clone();
            if cut {
                bytes.truncate(page * 4_096);
            } else {
                for byte in &mut bytes[page * 4_096..page * 4_096 + 64] {
                    *byte ^= 0x5a;
                }
            }
            std::fs::write(&path, &bytes).expect("damage");
            let mut entropy = Entropy::new([49; 32]);
            let result = succeed(
                &path,
                &succession(StreamReason::Damaged),
                &clock(desk.wall),
                &mut entropy,
                &OpenOptions::default(),
                &mut |_| Ok(()),
            );
            match result {
                Ok(succeeded) => {
                    went_on += 1;
                    let report = succeeded.ledger.verify().expect("verify");
                    assert_eq!(report.first_bad, None, "page {page}, cut {cut}");
                    whole += u32::from(seen(&succeeded.ledger) == before);
                    let kept = earlier_files(&path).expect("list");
                    assert_eq!(std::fs::read(&kept[0]).expect("kept"), bytes);
                }
                Err(_) => {
                    unreadable += 1;
                    assert_eq!(std::fs::read(&path).expect("kept"), bytes);
                }
            }
        }
    }
    assert!(
        went_on > 2 * unreadable && whole > 0,
        "{went_on} went on, {whole} with everything, {unreadable} could not"
    );
}

fn witness(at: &Path) -> WitnessDir {
    WitnessDir::on_machine(at, "this machine").expect("witness")
}

fn verdict(path: &Path, dir: &WitnessDir) -> Verdict {
    let ledger = Ledger::open(path, &OpenOptions::default()).expect("open");
    judge(&ledger, path, dir).expect("judge")
}

fn reason(verdict: &Verdict) -> Option<StreamReason> {
    match verdict {
        Verdict::Broken { reason, .. } => Some(*reason),
        Verdict::Trusted | Verdict::FirstTime => None,
    }
}

struct Witnessed {
    place: Place,
    state: tempfile::TempDir,
    head: StreamHead,
    old: tempfile::TempDir,
}

impl Witnessed {
    /// A witnessed ledger, closed, and a copy from before its last two sales.
    fn new() -> Witnessed {
        let place = Place::new();
        let state = tempfile::tempdir().expect("directory");
        let old = tempfile::tempdir().expect("directory");
        let mut desk = Desk::new(create(&place.path, &OpenOptions::default()));
        let dir = witness(state.path());
        assert_eq!(
            judge(&desk.ledger, &place.path, &dir).expect("judge"),
            Verdict::FirstTime
        );
        desk.ledger
            .keep_witness(&place.path, &dir)
            .expect("witness");
        desk.trade();
        desk.ledger.checkpoint().expect("checkpoint");
        for suffix in ["", "-wal"] {
            let name = format!("ledger.db{suffix}");
            std::fs::copy(place.directory().join(&name), old.path().join(&name)).expect("copy");
        }
        desk.sell(&[(1, 1, 1_000)]);
        desk.sell(&[(1, 1, 2_000)]);
        let head = desk.ledger.head();
        Witnessed {
            place,
            state,
            head,
            old,
        }
    }

    fn dir(&self) -> WitnessDir {
        witness(self.state.path())
    }
}

#[test]
fn a_ledger_that_is_as_it_was_left_is_trusted() {
    let world = Witnessed::new();
    let found = verdict(&world.place.path, &world.dir());
    assert_eq!(found, Verdict::Trusted);
    let testimony = world.dir().testimony(&world.place.path).expect("read");
    assert_eq!(testimony.expect("a witness").head(), world.head);
}

#[test]
fn an_older_state_of_the_file_is_told() {
    let world = Witnessed::new();
    // In place, so that it is the same file: a file system that was set back.
    let bytes = std::fs::read(world.old.path().join("ledger.db")).expect("old");
    std::fs::write(&world.place.path, bytes).expect("write");
    let found = verdict(&world.place.path, &world.dir());
    let Verdict::Broken { reason, witness } = found else {
        panic!("{found:?}")
    };
    assert_eq!(
        (reason, witness),
        (StreamReason::RolledBack, Some(world.head))
    );
}

#[test]
fn a_copy_put_in_place_is_told() {
    let world = Witnessed::new();
    let copy = world.place.directory().join("copy.db");
    std::fs::copy(&world.place.path, &copy).expect("copy");
    std::fs::rename(&copy, &world.place.path).expect("put in place");
    assert_eq!(
        reason(&verdict(&world.place.path, &world.dir())),
        Some(StreamReason::Restored)
    );
}

#[test]
fn a_copy_that_our_own_backup_made_is_told_as_such() {
    let world = Witnessed::new();
    let mut ledger = Ledger::open(&world.place.path, &OpenOptions::default()).expect("open");
    ledger
        .write(|tx| tx.set_local("backup.stamp", "{\"made_wall\":1}"))
        .expect("stamp");
    drop(ledger);
    assert_eq!(
        reason(&verdict(&world.place.path, &world.dir())),
        Some(StreamReason::Restored)
    );
}

#[test]
fn a_copy_in_another_folder_or_on_another_machine_is_told() {
    let world = Witnessed::new();
    let elsewhere = Place::new();
    std::fs::copy(&world.place.path, &elsewhere.path).expect("copy");
    let found = verdict(&elsewhere.path, &world.dir());
    assert_eq!(reason(&found), Some(StreamReason::Cloned));
    let other = WitnessDir::on_machine(world.state.path(), "another machine").expect("witness");
    assert_eq!(
        reason(&verdict(&world.place.path, &other)),
        Some(StreamReason::Cloned)
    );
    // The original is not touched by any of that.
    assert_eq!(verdict(&world.place.path, &world.dir()), Verdict::Trusted);
}

#[test]
fn a_witness_that_is_gone_is_told_and_a_file_that_never_had_one_is_taken_on_trust_once() {
    let world = Witnessed::new();
    let empty = tempfile::tempdir().expect("directory");
    let found = verdict(&world.place.path, &witness(empty.path()));
    assert_eq!(reason(&found), Some(StreamReason::WitnessMissing));
    // The same copied to a machine that knows nothing.
    let elsewhere = Place::new();
    std::fs::copy(&world.place.path, &elsewhere.path).expect("copy");
    let found = verdict(&elsewhere.path, &witness(empty.path()));
    assert_eq!(reason(&found), Some(StreamReason::WitnessMissing));
    let never = Place::new();
    drop(create(&never.path, &OpenOptions::default()));
    let dir = witness(empty.path());
    assert_eq!(verdict(&never.path, &dir), Verdict::FirstTime);
    let mut ledger = Ledger::open(&never.path, &OpenOptions::default()).expect("open");
    ledger.keep_witness(&never.path, &dir).expect("witness");
    drop(ledger);
    assert_eq!(verdict(&never.path, &dir), Verdict::Trusted);
}

#[test]
fn a_witness_may_lag_behind_and_a_torn_one_is_the_one_before() {
    let world = Witnessed::new();
    let name = std::fs::read_dir(world.state.path())
        .expect("folder")
        .map(|entry| entry.expect("entry").path())
        .find(|path| path.extension().is_some_and(|end| end == "witness"))
        .expect("a witness file");
    let mut bytes = std::fs::read(&name).expect("read");
    // The slot written last; which one it is shows in what is left when it is torn.
    for slot in [0, 512] {
        let mut torn = bytes.clone();
        torn[slot + 30] ^= 1;
        std::fs::write(&name, &torn).expect("tear");
        assert_eq!(verdict(&world.place.path, &world.dir()), Verdict::Trusted);
    }
    bytes[30] ^= 1;
    bytes[512 + 30] ^= 1;
    std::fs::write(&name, &bytes).expect("tear both");
    assert_eq!(
        reason(&verdict(&world.place.path, &world.dir())),
        Some(StreamReason::WitnessMissing)
    );
}

#[test]
fn two_copies_of_a_folder_go_on_in_two_series() {
    let world = Witnessed::new();
    let elsewhere = Place::new();
    std::fs::copy(&world.place.path, &elsewhere.path).expect("copy");
    let ledger = Ledger::open(&world.place.path, &OpenOptions::default()).expect("open");
    let mut original = Desk::new(ledger);
    original.wall += 100_000;
    original.shift = original
        .ledger
        .open_shift(1)
        .expect("read")
        .expect("open")
        .opened
        .shift;
    original.entropy = Entropy::new([90; 32]);
    let went_on = go_on(&elsewhere.path, StreamReason::Cloned, 91, original.wall);
    let mut copy = desk_of(went_on.ledger, &original, 92);
    let mut numbers = std::collections::BTreeSet::new();
    for _ in 0..3 {
        assert!(numbers.insert(original.sell(&[(1, 1, 1_000)]).number));
        assert!(numbers.insert(copy.sell(&[(1, 1, 1_000)]).number));
    }
    for desk in [&mut original, &mut copy] {
        desk.close_shift();
        desk.assert_sound();
    }
}

fn close_day(desk: &mut Desk, next: &str, seed: u8) -> usize {
    desk.date = day(next);
    let (now, date) = (desk.tick(), desk.date);
    let mut ids = Entropy::new([seed; 32]);
    desk.ledger
        .write(|tx| {
            tx.close_periods(&now, date, || {
                domain::ids::EventId(ids.next_uuid(now.wall_ms))
            })
        })
        .expect("close the day")
        .len()
}

/// A file that sold on after the copy that another stream goes on from; its path, and that stream's desk.
fn lost_and_gone_on() -> (Place, PathBuf, Desk) {
    let place = Place::new();
    let mut desk = busy(&place);
    desk.ledger.checkpoint().expect("checkpoint");
    let copy = place.directory().join("copy.db");
    desk.ledger.back_up(&copy, 1).expect("a copy");
    // Sold after the copy: a sale of the open shift, then its closing, and a shift that nobody closed.
    desk.sell(&[(1, 2, 1_000)]);
    desk.close_shift();
    desk.open_shift();
    desk.sell(&[(2, 1, 7_000)]);
    let wall = desk.wall;
    let found = place.directory().join("found.db");
    desk.ledger = in_memory();
    std::fs::rename(&place.path, &found).expect("lost");
    for suffix in ["-wal", "-shm"] {
        let log = place.directory().join(format!("ledger.db{suffix}"));
        if log.exists() {
            std::fs::rename(log, place.directory().join(format!("found.db{suffix}")))
                .expect("its log");
        }
    }
    std::fs::rename(&copy, &place.path).expect("restored");
    let went_on = go_on(&place.path, StreamReason::Restored, 70, wall);
    let desk = desk_of(went_on.ledger, &desk, 71);
    (place, found, desk)
}

#[test]
fn a_tail_that_is_found_while_its_shift_is_open_belongs_to_it() {
    let (_place, found, mut desk) = lost_and_gone_on();
    let before = seen(&desk.ledger);
    let now = desk.tick();
    // Before the stream has events of its own the tail simply goes on; after them it came late.
    desk.sell(&[(1, 1, 5_000)]);
    let recovered = desk
        .ledger
        .recover(&found, &now, &mut Entropy::new([72; 32]))
        .expect("recover");
    assert_eq!((recovered.adopted, recovered.supplements), (4, 0));
    desk.assert_sound();
    let after = seen(&desk.ledger);
    assert_eq!(
        after.perpetual_minor,
        before.perpetual_minor + 5_000 + 2_000 + 7_000
    );
    // The drawer that is open had the first sale's cash; the lost shift was another one.
    assert_eq!(after.open.expect("open").1.sales, 4);
    desk.close_shift();
    assert_eq!(close_day(&mut desk, "2026-11-24", 73), 1);
    let closed = desk.ledger.last_closing(PeriodKind::Day).expect("read");
    assert_eq!(closed.expect("a day").closed.totals.sales, 5);
    desk.assert_sound();
}

#[test]
fn a_tail_that_is_found_after_its_day_was_closed_is_a_supplement() {
    let (_place, found, mut desk) = lost_and_gone_on();
    let before = seen(&desk.ledger);
    desk.sell(&[(1, 1, 5_000)]);
    desk.close_shift();
    // The day and, with December, its month are closed before anybody finds the file.
    assert_eq!(close_day(&mut desk, "2026-12-01", 74), 2);
    desk.open_shift();
    let day_closed = desk
        .ledger
        .last_closing(PeriodKind::Day)
        .expect("read")
        .expect("closed");
    let now = desk.tick();
    let recovered = desk
        .ledger
        .recover(&found, &now, &mut Entropy::new([75; 32]))
        .expect("recover");
    assert_eq!((recovered.adopted, recovered.supplements), (4, 2));
    desk.assert_sound();
    let supplements = desk
        .ledger
        .supplements(PeriodKind::Day, day_closed.at.number)
        .expect("read");
    assert_eq!(supplements.len(), 1);
    let supplement = &supplements[0];
    assert_eq!(supplement.of, day_closed.at);
    assert_eq!(
        (supplement.totals.sales, supplement.totals.sales_minor),
        (2, 9_000)
    );
    assert_eq!(
        supplement.perpetual_minor,
        before.perpetual_minor + 5_000 + 9_000
    );
    // What is closed is as it was, and doing it again finds nothing.
    let again = desk
        .ledger
        .last_closing(PeriodKind::Day)
        .expect("read")
        .expect("closed");
    assert_eq!(again, day_closed);
    let head = desk.ledger.head();
    let twice = desk
        .ledger
        .recover(&found, &now, &mut Entropy::new([76; 32]))
        .expect("recover");
    assert_eq!((twice.adopted, twice.supplements), (0, 0));
    assert_eq!(desk.ledger.head(), head);
    // The open day is not touched by it; the year adds it up with its month.
    desk.sell(&[(1, 1, 5_000)]);
    desk.close_shift();
    assert_eq!(close_day(&mut desk, "2027-01-04", 79), 3);
    let year = desk
        .ledger
        .last_closing(PeriodKind::Year)
        .expect("read")
        .expect("closed");
    assert_eq!(
        year.closed.totals.sales_minor + year.closed.totals.reversals_minor,
        desk.ledger.perpetual_minor().expect("perpetual")
    );
    let day = desk
        .ledger
        .last_closing(PeriodKind::Day)
        .expect("read")
        .expect("closed");
    assert_eq!(day.closed.totals.sales, 1);
    desk.assert_sound();
    // Its receipts are found under the numbers that they were printed with.
    assert_eq!(desk.ledger.receipts("", 100).expect("list").len(), 6);
}

/// A ledger of the same till but for what `change` says.
fn made_like(path: &Path, change: impl FnOnce(&mut NewStream)) {
    let mut new = crate::support::new_stream();
    new.stream = domain::ids::StreamId([0x77; 16]);
    change(&mut new);
    let id = domain::ids::EventId(Uuid::from_u128(77));
    let made = Ledger::create(path, new, &clock(1), id, &OpenOptions::default());
    drop(made.expect("create"));
}

#[test]
fn a_file_that_is_not_an_earlier_part_of_this_till_is_refused() {
    let (place, _found, mut desk) = lost_and_gone_on();
    let now = desk.tick();
    let head = desk.ledger.head();
    let mut entropy = Entropy::new([80; 32]);
    let path = |name: &str| place.directory().join(name);
    made_like(&path("chain.db"), |new| {
        new.opened.tenant = domain::ids::TenantId::new("rif").expect("a code");
    });
    made_like(&path("till.db"), |new| {
        new.opened.till = Some(domain::ids::TillId::new("02").expect("a number"));
    });
    made_like(&path("device.db"), |new| {
        new.opened.device = domain::ids::DeviceId(Uuid::from_u128(2));
    });
    made_like(&path("key.db"), |new| {
        new.opened.public_key = "cd".repeat(32);
    });
    made_like(&path("unrelated.db"), |_| {});
    // Of the stream before, but another way from its first event on.
    made_like(&path("branch.db"), |new| {
        new.stream = crate::support::STREAM;
    });
    made_like(&path("begun.db"), |_| {});
    damage_event(
        &path("begun.db"),
        "UPDATE event SET bytes = x'00' WHERE seq = 1",
    );
    desk.ledger
        .back_up(&path("ours.db"), 1)
        .expect("a copy of its own");
    for (name, expected) in [
        ("ledger.db", NotOurs::Current),
        ("ours.db", NotOurs::Current),
        ("chain.db", NotOurs::OtherTenant),
        ("till.db", NotOurs::OtherTill),
        ("device.db", NotOurs::OtherDevice),
        ("key.db", NotOurs::OtherDevice),
        ("unrelated.db", NotOurs::Unrelated),
        ("branch.db", NotOurs::OtherBranch),
        ("begun.db", NotOurs::Damaged),
    ] {
        match desk.ledger.recover(&path(name), &now, &mut entropy) {
            Err(RecoverError::NotOurs(found)) => assert_eq!(found, expected, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    std::fs::write(path("text.db"), "no ledger".repeat(500)).expect("write");
    made_like(&path("newer.db"), |_| {});
    let conn =
        ledger::open_keyed(path("newer.db"), rusqlite::OpenFlags::default(), None).expect("raw");
    conn.execute_batch("PRAGMA user_version = 99; UPDATE format SET understood_from = 99")
        .expect("newer");
    conn.close().expect("close");
    type Fits = fn(&OpenError) -> bool;
    let cases: [(&str, Fits); 3] = [
        ("nothing.db", |error| matches!(error, OpenError::NotFound)),
        ("text.db", |error| matches!(error, OpenError::NotALedger)),
        ("newer.db", |error| {
            matches!(error, OpenError::NewerVersion { found: 99, .. })
        }),
    ];
    for (name, fits) in cases {
        match desk.ledger.recover(&path(name), &now, &mut entropy) {
            Err(RecoverError::Open(error)) => assert!(fits(&error), "{name}: {error:?}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(desk.ledger.head(), head);
    desk.assert_sound();
}

#[test]
fn a_damaged_file_that_is_found_gives_what_can_be_proven() {
    let (_place, found, mut desk) = lost_and_gone_on();
    let before = seen(&desk.ledger);
    desk.sell(&[(1, 1, 5_000)]);
    let now = desk.tick();
    damage_event(&found, "UPDATE event SET bytes = x'00' WHERE seq = 15");
    let told = desk
        .ledger
        .recover(&found, &now, &mut Entropy::new([81; 32]))
        .expect("recover");
    assert_eq!((told.adopted, told.receipts), (3, 1));
    assert_eq!((told.known, told.refused), (14, 1));
    assert_eq!(
        seen(&desk.ledger).perpetual_minor,
        before.perpetual_minor + 5_000 + 7_000
    );
    desk.assert_sound();
    let again = desk
        .ledger
        .recover(&found, &now, &mut Entropy::new([82; 32]))
        .expect("recover");
    assert_eq!((again.adopted, again.known, again.refused), (0, 17, 1));
}

/// The same copy was put back twice: what the first new stream sold is found after the second has gone on.
#[test]
fn a_stream_that_went_on_from_the_same_copy_is_taken_over_too() {
    let place = Place::new();
    let mut desk = busy(&place);
    desk.ledger.checkpoint().expect("checkpoint");
    let copy = place.directory().join("copy.db");
    desk.ledger.back_up(&copy, 1).expect("a copy");
    desk.sell(&[(1, 2, 1_000)]);
    let wall = desk.wall;
    desk.ledger = in_memory();
    // The first goes on from the whole file, the second only from the copy.
    let first = go_on(&place.path, StreamReason::WitnessMissing, 83, wall);
    let mut first = desk_of(first.ledger, &desk, 84);
    first.sell(&[(1, 1, 300)]);
    let found = place.directory().join("found.db");
    first.ledger.copy_as_is(&found).expect("kept");
    first.ledger = in_memory();
    std::fs::rename(&copy, &place.path).expect("restored");
    let second = go_on(&place.path, StreamReason::Restored, 85, wall);
    let mut second = desk_of(second.ledger, &desk, 86);
    let before = seen(&second.ledger).perpetual_minor;
    second.sell(&[(1, 1, 10)]);
    let now = second.tick();
    let told = second
        .ledger
        .recover(&found, &now, &mut Entropy::new([87; 32]))
        .expect("recover");
    assert_eq!((told.adopted, told.receipts, told.refused), (2, 2, 0));
    assert_eq!(
        seen(&second.ledger).perpetual_minor,
        before + 10 + 2_000 + 300
    );
    second.assert_sound();
    let again = second
        .ledger
        .recover(&found, &now, &mut Entropy::new([88; 32]))
        .expect("recover");
    assert_eq!((again.adopted, again.refused), (0, 0));
}

/// A cart in hand was paid on both sides of a restored copy: one of the two receipts cannot be of this journal.
#[test]
fn an_event_that_contradicts_what_is_here_stays_in_its_file() {
    let (_place, found, mut desk) = lost_and_gone_on();
    let lost = Ledger::open_read_only(&found).expect("open");
    let number = lost.receipts("", 10).expect("list")[1].number.clone();
    let sale = lost
        .receipt(&number)
        .expect("read")
        .expect("there")
        .body
        .sale()
        .sale;
    drop(lost);
    let mut body = desk.sale(&[(1, 1, 5_000)]);
    body.sale = sale;
    desk.append(&Fact::SaleCompleted(body)).expect("sold here");
    let now = desk.tick();
    let told = desk
        .ledger
        .recover(&found, &now, &mut Entropy::new([89; 32]))
        .expect("recover");
    assert_eq!((told.adopted, told.receipts, told.refused), (3, 1, 1));
    desk.assert_sound();
}
