//! Appending: what is kept, what is refused, and that nothing is ever half there.

use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::event::{
    CartVoided, Event, Fact, LineVoided, Reprinted, StreamHead, chain_hash, genesis_hash,
};
use domain::ids::{EventId, SaleId, ShiftId};
use domain::quantity::Quantity;
use ledger::{Ledger, LedgerError, OpenOptions, ReceiptBody, StorageKind};
use uuid::Uuid;

use crate::support::{
    Desk, Place, STREAM, WALL, clock, create, day, new_stream, options, raw_file, user, variant,
};

#[test]
fn what_was_written_is_there_after_reopening() {
    let place = Place::new();
    let mut desk = Desk::new(create(&place.path, &options()));
    desk.trade();
    let head = desk.ledger.head();
    let before = desk.ledger.verify().expect("verify");
    let identity = desk.ledger.identity().clone();
    drop(desk);

    let ledger = Ledger::open(&place.path, &options()).expect("open");
    assert_eq!(ledger.head(), head);
    assert_eq!(*ledger.identity(), identity);
    assert_eq!(ledger.verify().expect("verify"), before);
    assert!(before.ok);
    let totals = ledger.open_shift(1).expect("read").expect("open").totals;
    assert_eq!((totals.sales, totals.takings_minor), (1, 3_600));
    assert_eq!(ledger.perpetual_minor().expect("perpetual"), 14_850);
    assert_eq!(
        ledger.last_business_date().expect("date"),
        Some(day("2026-11-22"))
    );
}

#[test]
fn the_chain_can_be_recomputed_by_anybody() {
    let mut desk = Desk::in_memory();
    desk.trade();
    let mut hash = genesis_hash(STREAM);
    let events = desk
        .ledger
        .events(1, usize::MAX, usize::MAX)
        .expect("events");
    for (index, stored) in events.iter().enumerate() {
        hash = chain_hash(hash, &stored.bytes);
        let event = Event::decode(&stored.bytes).expect("event");
        assert_eq!((stored.seq, event.seq), (index as u64 + 1, stored.seq));
        assert_eq!((stored.hash, stored.wall), (hash, event.wall));
        assert_eq!(desk.ledger.hash_at(stored.seq).expect("hash"), Some(hash));
    }
    assert_eq!(desk.ledger.head().hash, hash);
    assert_eq!(
        desk.ledger.hash_at(0).expect("genesis"),
        Some(genesis_hash(STREAM))
    );
    assert_eq!(desk.ledger.hash_at(99).expect("beyond"), None);
}

#[test]
fn events_come_in_bounded_batches_and_never_none() {
    let mut desk = Desk::in_memory();
    desk.trade();
    let sizes: Vec<usize> = desk
        .ledger
        .events(1, 100, usize::MAX)
        .expect("events")
        .iter()
        .map(|event| event.bytes.len())
        .collect();
    let seqs = |from, events, bytes| -> Vec<u64> {
        let batch = desk.ledger.events(from, events, bytes).expect("events");
        batch.iter().map(|event| event.seq).collect()
    };
    assert_eq!(seqs(2, 3, usize::MAX), [2, 3, 4]);
    assert_eq!(seqs(2, 100, sizes[1] + sizes[2]), [2, 3]);
    assert_eq!(seqs(2, 100, 1), [2], "one event however long");
    assert_eq!(seqs(99, 100, 1), [] as [u64; 0]);
}

#[test]
fn the_clock_never_steps_back_whatever_the_wall_says() {
    let mut desk = Desk::in_memory();
    let walls = [WALL, 0, -1, i64::MAX, WALL, i64::MIN];
    for wall in walls {
        let id = EventId(desk.id());
        let fact = Fact::CartVoided(voided_cart(None));
        desk.ledger
            .write(|tx| tx.append(&clock(wall), id, &fact))
            .expect("append");
    }
    desk.assert_sound();
}

#[test]
fn numbers_are_taken_in_order_and_only_from_the_own_series() {
    let mut desk = Desk::in_memory();
    desk.open_shift();
    desk.sell(&[(1, 1, 1_000)]);
    for (name, seq, number) in [
        ("a gap", 3, desk.number(3)),
        ("a number twice", 1, desk.number(1)),
        ("sequence and text differ", 2, desk.number(3)),
        (
            "another till's series",
            2,
            desk.number(2).replace("LM-01", "LM-02"),
        ),
    ] {
        let mut sale = desk.sale(&[(1, 1, 1_000)]);
        sale.number_seq = seq;
        sale.number = number;
        let head = desk.ledger.head();
        let result = desk.append(&Fact::SaleCompleted(sale));
        assert!(
            matches!(result, Err(LedgerError::NumberTaken { expected: 2, .. })),
            "{name}: {result:?}"
        );
        assert_eq!(desk.ledger.head(), head, "{name}");
    }
    let sale = desk.sell(&[(1, 1, 1_000)]);
    assert_eq!(sale.number, desk.number(2));
    desk.assert_sound();
}

#[test]
fn each_fiscal_year_counts_from_one() {
    let mut desk = Desk::in_memory();
    desk.open_shift();
    desk.sell(&[(1, 1, 1_000)]);
    desk.close_shift();
    desk.date = day("2027-01-02");
    desk.open_shift();
    let sale = desk.sell(&[(1, 1, 1_000)]);
    assert!(sale.number.ends_with("-2027-000001"), "{}", sale.number);
    assert_eq!(desk.ledger.next_number(2026).expect("2026"), 2);
    desk.assert_sound();
}

#[test]
fn what_does_not_add_up_is_refused_whole() {
    let mut desk = Desk::in_memory();
    desk.trade();
    let good = desk.sale(&[(1, 2, 5_000)]);
    let mut wrong_total = good.clone();
    wrong_total.total_minor += 1;
    let mut wrong_tax = good.clone();
    wrong_tax.lines[0].tax_minor += 1;
    let mut wrong_tender = good.clone();
    wrong_tender.change_minor -= 1;
    for sale in [wrong_total, wrong_tax, wrong_tender] {
        let before = desk.ledger.verify().expect("verify");
        let result = desk.append(&Fact::SaleCompleted(sale));
        assert!(
            matches!(result, Err(LedgerError::SaleFault(_))),
            "{result:?}"
        );
        assert_eq!(desk.ledger.verify().expect("verify"), before);
    }
    desk.append(&Fact::SaleCompleted(good))
        .expect("the sale itself is fine");
}

#[test]
fn facts_that_do_not_fit_the_journal_are_refused() {
    let mut desk = Desk::in_memory();
    desk.open_shift();
    let sold = desk.sell(&[(1, 1, 1_000)]);
    let mut cases: Vec<(&str, Fact)> = Vec::new();

    let mut sale = desk.sale(&[(1, 1, 1_000)]);
    sale.shift = ShiftId(Uuid::from_u128(99));
    cases.push(("a sale without its shift", Fact::SaleCompleted(sale)));
    let mut sale = desk.sale(&[(1, 1, 1_000)]);
    sale.sale = sold.sale;
    cases.push(("a sale twice", Fact::SaleCompleted(sale)));
    let mut reversal = desk.reversal(&sold);
    reversal.of = SaleId(Uuid::from_u128(99));
    cases.push(("a reversal of nothing", Fact::Reversed(reversal)));
    let mut reversal = desk.reversal(&sold);
    reversal.of_number.push('0');
    cases.push(("a reversal of another number", Fact::Reversed(reversal)));
    let opening = desk.opening();
    cases.push(("a second shift in the drawer", Fact::ShiftOpened(opening)));
    let mut opening = desk.opening();
    opening.shift = ShiftId(Uuid::from_u128(98));
    opening.drawer = 2;
    opening.float_minor += 1;
    cases.push(("a float that is not its count", Fact::ShiftOpened(opening)));
    let closing = desk.closing();
    for (name, change) in [
        ("a Z number left out", 0),
        ("totals that are not the shift's", 1),
        ("cash that is not its count", 2),
        ("a difference out of the air", 3),
        ("another perpetual total", 4),
        ("a prefix that ends early", 5),
        ("a prefix that starts late", 6),
    ] {
        let mut closing = closing.clone();
        match change {
            0 => closing.z_number += 1,
            1 => closing.totals.takings_minor += 1,
            2 => closing.counted_minor += 1,
            3 => closing.difference_minor += 1,
            4 => closing.perpetual_minor += 1,
            5 => closing.to.seq -= 1,
            _ => closing.from_seq += 1,
        }
        cases.push((name, Fact::ShiftClosed(closing)));
    }
    let copy = |copy| Reprinted {
        number: sold.number.clone(),
        copy,
        user: user(),
    };
    cases.push(("a copy number left out", Fact::Reprinted(copy(2))));
    cases.push((
        "a stream opened again",
        Fact::StreamOpened(new_stream().opened),
    ));

    for (name, fact) in cases {
        let before = desk.ledger.verify().expect("verify");
        let result = desk.append(&fact);
        assert!(
            matches!(result, Err(LedgerError::OutOfPlace { .. })),
            "{name}: {result:?}"
        );
        assert_eq!(desk.ledger.verify().expect("verify"), before, "{name}");
    }
    let result = desk.append(&Fact::CartVoided(voided_cart(Some(ShiftId(
        Uuid::from_u128(99),
    )))));
    assert!(
        matches!(result, Err(LedgerError::OutOfPlace { .. })),
        "{result:?}"
    );
    desk.assert_sound();
}

#[test]
fn an_event_id_is_taken_once() {
    let mut desk = Desk::in_memory();
    let id = EventId(desk.id());
    let fact = Fact::CartVoided(voided_cart(None));
    desk.ledger
        .write(|tx| tx.append(&clock(WALL), id, &fact))
        .expect("first");
    let again = desk.ledger.write(|tx| tx.append(&clock(WALL), id, &fact));
    assert!(matches!(again, Err(LedgerError::IdTaken)), "{again:?}");
    desk.assert_sound();
}

#[test]
fn several_facts_are_one_transaction() {
    let mut desk = Desk::in_memory();
    desk.open_shift();
    let head = desk.ledger.head();
    let sale = desk.sale(&[(1, 1, 1_000)]);
    let (now, ids) = (desk.tick(), [EventId(desk.id()), EventId(desk.id())]);
    let result: Result<(), LedgerError> = desk.ledger.write(|tx| {
        tx.append(&now, ids[0], &Fact::SaleCompleted(sale.clone()))?;
        assert_eq!(
            tx.head().seq,
            head.seq + 1,
            "the transaction sees its own event"
        );
        assert!(tx.sale(sale.sale)?.is_some());
        tx.append(&now, ids[1], &Fact::SaleCompleted(sale.clone()))
            .map(drop)
    });
    assert!(
        matches!(result, Err(LedgerError::NumberTaken { .. })),
        "{result:?}"
    );
    assert_eq!(desk.ledger.head(), head);
    assert_eq!(desk.ledger.sale(sale.sale).expect("read"), None);
    desk.assert_sound();
}

#[test]
fn a_refused_step_cannot_be_ignored() {
    let mut desk = Desk::in_memory();
    desk.open_shift();
    let mut sale = desk.sale(&[(1, 1, 1_000)]);
    sale.shift = ShiftId(Uuid::from_u128(99));
    let before = desk.ledger.verify().expect("verify");
    let (now, id) = (desk.tick(), EventId(desk.id()));
    // The refusal comes after the event's row was inserted; going on would keep a sale without projections.
    let result: Result<(), LedgerError> = desk.ledger.write(|tx| {
        let _ = tx.append(&now, id, &Fact::SaleCompleted(sale.clone()));
        assert!(
            tx.set_local("note", "x").is_err(),
            "later steps are refused"
        );
        Ok(())
    });
    assert!(
        matches!(result, Err(LedgerError::OutOfPlace { .. })),
        "{result:?}"
    );
    assert_eq!(desk.ledger.verify().expect("verify"), before);
    assert_eq!(desk.ledger.local("note").expect("note"), None);
}

#[test]
fn a_panic_in_a_transaction_leaves_nothing_and_the_ledger_usable() {
    let mut desk = Desk::in_memory();
    desk.open_shift();
    let head = desk.ledger.head();
    let sale = desk.sale(&[(1, 1, 1_000)]);
    let (now, id) = (desk.tick(), EventId(desk.id()));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        desk.ledger.write(|tx| -> Result<(), LedgerError> {
            tx.append(&now, id, &Fact::SaleCompleted(sale.clone()))?;
            panic!("the power of an example");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(desk.ledger.head(), head);
    desk.append(&Fact::SaleCompleted(sale))
        .expect("the same sale again");
    desk.assert_sound();
}

const CHILD: &str = "HANOUT_LEDGER_TEST_ABORT";

/// Not a test of its own: the process that [`a_crash_before_commit_leaves_nothing`] lets die.
#[test]
fn child_that_aborts_in_a_transaction() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let ledger = Ledger::open(path.as_ref(), &options()).expect("open");
    let mut desk = Desk::new(ledger);
    desk.entropy = domain::entropy::Entropy::new([9; 32]);
    desk.shift = desk
        .ledger
        .open_shift(1)
        .expect("read")
        .expect("open")
        .opened
        .shift;
    desk.sell(&[(1, 1, 777)]);
    let sale = desk.sale(&[(1, 1, 1_000)]);
    let (now, id) = (desk.tick(), EventId(desk.id()));
    let _: Result<(), LedgerError> = desk.ledger.write(|tx| {
        tx.append(&now, id, &Fact::SaleCompleted(sale.clone()))?;
        std::process::abort()
    });
}

#[test]
fn a_crash_before_commit_leaves_nothing() {
    let place = Place::new();
    let mut desk = Desk::new(create(&place.path, &options()));
    desk.trade();
    let head = desk.ledger.head();
    drop(desk);
    let status = std::process::Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", "journal::child_that_aborts_in_a_transaction"])
        .env(CHILD, &place.path)
        .output()
        .expect("child");
    assert!(!status.status.success(), "the child must die");

    let ledger = Ledger::open(&place.path, &options()).expect("open");
    assert_eq!(
        ledger.head().seq,
        head.seq + 1,
        "the committed sale and no more"
    );
    assert_eq!(
        ledger
            .last_receipt()
            .expect("read")
            .expect("sale")
            .body
            .sale()
            .total_minor,
        777
    );
    assert_eq!(ledger.verify().expect("verify").first_bad, None);
}

#[test]
fn receipts_are_found_by_number_sale_and_part_of_number() {
    let mut desk = Desk::in_memory();
    desk.open_shift();
    let sales: Vec<_> = (1..=12).map(|n| desk.sell(&[(1, n, 1_000)])).collect();
    let reversal = desk.reversal(&sales[2]);
    desk.append(&Fact::Reversed(reversal.clone()))
        .expect("reverse");
    let again = desk.reversal(&sales[2]);
    assert!(
        desk.append(&Fact::Reversed(again)).is_err(),
        "a sale is reversed once"
    );
    desk.append(&Fact::Reprinted(Reprinted {
        number: sales[2].number.clone(),
        copy: 1,
        user: user(),
    }))
    .expect("copy");

    let ledger = &desk.ledger;
    let third = ledger
        .receipt(&sales[2].number)
        .expect("read")
        .expect("receipt");
    assert_eq!(third.body, ReceiptBody::Sale(sales[2].clone()));
    assert_eq!(
        third.reversed_by.as_deref(),
        Some(reversal.mirror.number.as_str())
    );
    assert_eq!((third.copies, third.shift), (1, desk.shift));
    assert_eq!(ledger.sale(sales[2].sale).expect("read"), Some(third));
    let last = ledger.last_receipt().expect("read").expect("last");
    assert_eq!(last.body, ReceiptBody::Reversal(reversal));

    let found = |query: &str| -> Vec<u64> {
        let receipts = ledger.receipts(query, 5).expect("receipts");
        receipts
            .iter()
            .map(|receipt| receipt.body.sale().number_seq)
            .collect()
    };
    assert_eq!(found(""), [13, 12, 11, 10, 9], "newest first");
    assert_eq!(found("00001"), [13, 12, 11, 10, 1]);
    assert_eq!(
        found(" lm-01 "),
        [13, 12, 11, 10, 9],
        "in lower case and with blanks"
    );
    assert_eq!(found("٠٠٠٠١٢"), [12], "Arabic digits");
    assert_eq!(found("%"), [] as [u64; 0], "no wildcards");
    for unknown in [
        "",
        "x",
        "2026-000001",
        "LM-01-7GF1R-2026-99999999999999999999",
        "LM-01-ZZZZZ-2026-000001",
    ] {
        assert_eq!(ledger.receipt(unknown).expect("read"), None, "{unknown}");
    }
    desk.assert_sound();
}

#[test]
fn a_shift_adds_up_and_its_z_can_be_read_again() {
    let mut desk = Desk::in_memory();
    desk.open_shift();
    let sold = desk.sell(&[(1, 2, 5_000), (2, 1, 1_250)]);
    desk.sell(&[(1, 1, 5_000)]);
    let shift = Some(desk.shift);
    desk.append(&Fact::CartVoided(voided_cart(shift)))
        .expect("void cart");
    desk.append(&Fact::LineVoided(LineVoided {
        sale: SaleId(Uuid::from_u128(5)),
        shift,
        user: user(),
        line: 1,
        variant: variant(1),
        quantity: Quantity::ONE,
        total_minor: 5_000,
    }))
    .expect("void line");
    let reversal = desk.reversal(&sold);
    desk.append(&Fact::Reversed(reversal)).expect("reverse");
    let totals = desk
        .ledger
        .open_shift(1)
        .expect("read")
        .expect("open")
        .totals;
    assert_eq!((totals.sales, totals.reversals), (2, 1));
    assert_eq!((totals.voided_carts, totals.voided_lines), (1, 1));
    assert_eq!(
        (totals.takings_minor, totals.expected_minor),
        (5_000, 105_000)
    );
    assert_eq!(totals.units, Quantity::ONE);

    let closing = desk.closing();
    desk.append(&Fact::ShiftClosed(closing.clone()))
        .expect("close");
    assert_eq!(desk.ledger.open_shift(1).expect("read"), None);
    assert_eq!(desk.ledger.last_z().expect("z"), 1);
    let (closed, opened, wall) = desk.ledger.z_report(1).expect("read").expect("Z 1");
    assert_eq!((closed, wall), (closing, desk.wall));
    assert_eq!(opened.shift, desk.shift);
    assert_eq!(desk.ledger.z_report(2).expect("read"), None);
    assert_eq!(desk.ledger.z_report(u64::MAX).expect("read"), None);
    desk.assert_sound();
}

#[test]
fn totals_are_carried_over_from_the_stream_before() {
    let mut new = new_stream();
    new.opened.z_number = 41;
    new.opened.perpetual_minor = 1_000_000;
    let id = EventId(Uuid::from_u128(1));
    let ledger = Ledger::create_in_memory(new, &clock(WALL), id).expect("create");
    let mut desk = Desk::new(ledger);
    assert_eq!(desk.ledger.last_z().expect("z"), 41);
    desk.open_shift();
    desk.sell(&[(1, 1, 5_000)]);
    desk.close_shift();
    let (closed, ..) = desk.ledger.z_report(42).expect("read").expect("Z 42");
    assert_eq!(closed.perpetual_minor, 1_005_000);
    desk.assert_sound();
}

#[test]
fn acknowledgements_are_believed_only_with_our_own_hash() {
    let mut desk = Desk::in_memory();
    desk.trade();
    let head = desk.ledger.head();
    let third = desk.ledger.hash_at(3).expect("read").expect("hash");
    let mut ack = |authority: &str, epoch, seq, hash| {
        desk.ledger
            .write(|tx| tx.set_acked(authority, epoch, seq, hash))
    };
    ack("hub", 1, 3, third).expect("ours");
    for (seq, hash) in [
        (4, third),
        (3, head.hash),
        (head.seq + 1, head.hash),
        (u64::MAX, head.hash),
    ] {
        let result = ack("hub", 1, seq, hash);
        assert!(
            matches!(result, Err(LedgerError::AckMismatch { .. })),
            "{seq}: {result:?}"
        );
    }
    assert_eq!(desk.ledger.acked("hub", 1).expect("acked"), 3);
    assert_eq!(desk.ledger.acked("hub", 2).expect("acked"), 0);
    let unsynced = desk.ledger.unsynced().expect("unsynced");
    let oldest = desk.ledger.events(4, 1, 1).expect("events")[0].wall;
    assert_eq!(
        (unsynced.count, unsynced.oldest_wall),
        (head.seq - 3, Some(oldest))
    );

    let StreamHead { seq, hash, .. } = head;
    desk.ledger
        .write(|tx| tx.set_acked("hub", 1, seq, hash))
        .expect("all");
    let unsynced = desk.ledger.unsynced().expect("unsynced");
    assert_eq!((unsynced.count, unsynced.oldest_wall), (0, None));
    // A restored server knows less; what it lost is unsynced again.
    desk.ledger
        .write(|tx| tx.set_acked("hub", 2, 3, third))
        .expect("new epoch");
    assert_eq!(
        desk.ledger.unsynced().expect("unsynced").count,
        head.seq - 3
    );
    desk.assert_sound();
}

#[test]
fn a_full_disk_is_told_as_such_and_loses_nothing() {
    let place = Place::new();
    let mut desk = Desk::new(create(&place.path, &options()));
    desk.open_shift();
    drop(desk.ledger);
    let pages = pages_of(&place.path);
    let narrow = OpenOptions {
        pages_max: Some(pages + 6),
        ..options()
    };
    desk.ledger = Ledger::open(&place.path, &narrow).expect("open");
    let mut sold = 0_u64;
    let refusal = loop {
        let sale = desk.sale(&[(1, 1, 1_000), (2, 1, 1_000), (3, 1, 1_000), (4, 1, 1_000)]);
        match desk.append(&Fact::SaleCompleted(sale)) {
            Ok(_) => sold += 1,
            Err(error) => break error,
        }
        assert!(sold < 1_000, "the ceiling was never reached");
    };
    assert_eq!(
        refusal.storage_kind(),
        Some(StorageKind::Full),
        "{refusal:?}"
    );
    assert!(sold > 0);
    desk.assert_sound();
    let totals = desk
        .ledger
        .open_shift(1)
        .expect("read")
        .expect("open")
        .totals;
    assert_eq!(totals.sales, sold);

    drop(desk.ledger);
    desk.ledger = Ledger::open(&place.path, &options()).expect("open with room");
    desk.sell(&[(1, 1, 1_000)]);
    desk.close_shift();
    desk.assert_sound();
}

fn pages_of(path: &std::path::Path) -> u32 {
    let conn = raw_file(path);
    conn.pragma_query_value(None, "page_count", |row| row.get(0))
        .expect("pages")
}

fn voided_cart(shift: Option<ShiftId>) -> CartVoided {
    CartVoided {
        sale: SaleId(Uuid::from_u128(4)),
        shift,
        user: user(),
        lines: 1,
        total_minor: 900,
    }
}
