//! Shown stock: the server's row and our own movements, never subtracted twice.

use std::collections::BTreeMap;

use domain::event::{CountReason, Event, Fact, MAIN_ZONE, StockCounted};
use domain::ids::{LocationId, StreamId};
use domain::quantity::Quantity;
use domain::time::Hlc;
use ledger::Ledger;
use sync_protocol::FeedPage;
use sync_protocol::feed::{AnchorRef, StockRow};

use crate::support::{
    Desk, Place, STREAM, WALL, create, location, options, row, tombstone, variant, whole,
};

fn stock_row(number: u128, units: i64, anchor: Option<AnchorRef>) -> StockRow {
    StockRow {
        variant: variant(number),
        quantity: Quantity::units(units).expect("quantity"),
        anchor,
        zones: BTreeMap::new(),
    }
}

fn page(ver: u64, folded: u64, rows: &[StockRow]) -> FeedPage {
    let rows = rows
        .iter()
        .map(|stock| row(stock.variant, ver, stock))
        .collect();
    FeedPage {
        folded: BTreeMap::from([(STREAM, folded)]),
        ..whole("stock:LM", ver, rows)
    }
}

fn units(desk: &Desk, number: u128) -> Option<i64> {
    let known = desk
        .ledger
        .stock(variant(number), &location("LM"))
        .expect("stock");
    known.map(|known| known.quantity.0 / 1_000)
}

#[test]
fn nothing_is_known_before_the_first_row() {
    let mut desk = Desk::in_memory();
    desk.trade();
    assert_eq!(units(&desk, 1), None);
    desk.follow(&["stock:LM"]);
    assert_eq!(units(&desk, 1), None, "followed but not read");
    desk.apply(&page(1, 0, &[stock_row(1, 10, None)]));
    assert_eq!(units(&desk, 1), Some(8), "2 + 1 - 1 sold and not folded");
    assert_eq!(
        units(&desk, 3),
        Some(-4),
        "read to its end: no row means none"
    );
    let elsewhere = desk
        .ledger
        .stock(variant(1), &location("WEB"))
        .expect("stock");
    assert_eq!(elsewhere, None);
    desk.assert_sound();
}

#[test]
fn own_sales_count_until_the_server_has_folded_them() {
    let mut desk = Desk::in_memory();
    desk.follow(&["stock:LM"]);
    desk.open_shift();
    desk.apply(&page(1, 0, &[stock_row(1, 10, None)]));
    desk.sell(&[(1, 2, 1_000)]); // seq 3
    desk.sell(&[(1, 1, 1_000)]); // seq 4
    assert_eq!(units(&desk, 1), Some(7));
    // The server has folded the first sale and says so; nothing need be acknowledged for that.
    desk.apply(&page(2, 3, &[stock_row(1, 8, None)]));
    assert_eq!(units(&desk, 1), Some(7));
    desk.apply(&page(3, 4, &[stock_row(1, 7, None)]));
    assert_eq!(units(&desk, 1), Some(7));
    let reversed = desk.sell(&[(1, 3, 1_000)]);
    let reversal = desk.reversal(&reversed);
    desk.append(&Fact::Reversed(reversal)).expect("reverse");
    assert_eq!(units(&desk, 1), Some(7), "sold and given back");
    desk.assert_sound();
}

#[test]
fn a_row_that_did_not_change_is_not_charged_again() {
    let mut desk = Desk::in_memory();
    desk.follow(&["stock:LM"]);
    desk.open_shift();
    desk.apply(&page(
        1,
        0,
        &[stock_row(1, 10, None), stock_row(2, 5, None)],
    ));
    desk.sell(&[(1, 1, 1_000)]);
    desk.sell(&[(2, 1, 1_000)]);
    // Only variant 1 changed on the server's side so far; variant 2's sale is not folded yet.
    desk.apply(&FeedPage {
        checksum: None,
        ..page(2, 3, &[stock_row(1, 9, None)])
    });
    assert_eq!((units(&desk, 1), units(&desk, 2)), (Some(9), Some(4)));
    // A server may fold on without any row changing (other kinds of events).
    let empty = FeedPage {
        checksum: None,
        next: sync_protocol::Cursor {
            ver: 3,
            pk: String::new(),
        },
        ..page(3, 3, &[])
    };
    desk.apply(&empty);
    assert_eq!((units(&desk, 1), units(&desk, 2)), (Some(9), Some(4)));
    desk.assert_sound();
}

#[test]
fn in_the_middle_of_a_reading_each_row_counts_from_its_own_page() {
    let mut desk = Desk::in_memory();
    desk.follow(&["stock:LM"]);
    desk.open_shift();
    desk.sell(&[(1, 1, 1_000), (2, 1, 1_000)]); // seq 3
    desk.apply(&FeedPage {
        more: true,
        checksum: None,
        ..page(1, 0, &[stock_row(1, 10, None)])
    });
    assert_eq!(units(&desk, 1), Some(9));
    // Between the pages the server folds the sale: row 2 has it, row 1 will come again.
    desk.apply(&FeedPage {
        more: true,
        checksum: None,
        ..page(2, 3, &[stock_row(2, 4, None)])
    });
    assert_eq!((units(&desk, 1), units(&desk, 2)), (Some(9), Some(4)));
    desk.apply(&FeedPage {
        checksum: None,
        ..page(3, 3, &[stock_row(1, 9, None)])
    });
    assert_eq!((units(&desk, 1), units(&desk, 2)), (Some(9), Some(4)));
    desk.assert_sound();
}

#[test]
fn movements_before_the_count_are_not_subtracted_from_it() {
    let other = StreamId([9; 16]);
    // In milliseconds from the beginning of the day; the sales are at 2, 4 and 5 seconds.
    let anchor = |stream, seq, ms: i64, cut: &[(StreamId, u64)]| AnchorRef {
        seen_ms: None,
        stream,
        seq,
        hlc: Hlc::default().tick(WALL + ms),
        cut: cut.iter().copied().collect(),
    };
    for (name, anchor, expected) in [
        ("no count", None, 10 - 2 - 1 + 2),
        (
            "a count that knew the first sale, before what came back",
            Some(anchor(other, 5, 4_500, &[(STREAM, 3)])),
            10 + 2,
        ),
        (
            "a count that knew everything",
            Some(anchor(other, 5, 9_000, &[(STREAM, 6)])),
            10,
        ),
        (
            "a count that knew nothing, at night: all of the day is before",
            Some(anchor(other, 5, 9_000, &[])),
            10,
        ),
        (
            "a count of our own stream between the sales",
            Some(anchor(STREAM, 4, 9_000, &[])),
            10 - 1 + 2,
        ),
    ] {
        let mut desk = Desk::in_memory();
        desk.follow(&["stock:LM"]);
        desk.open_shift();
        let first = desk.sell(&[(1, 2, 1_000)]); // seq 3
        let count = Fact::StockCounted(StockCounted {
            approved_by: None,
            location: location("LM"),
            zone: MAIN_ZONE.to_owned(),
            cut: BTreeMap::new(),
            items: Vec::new(),
            reason: CountReason::Count,
            document: None,
            user: None,
        });
        desk.append(&count).expect("count"); // seq 4
        desk.sell(&[(1, 1, 1_000)]); // seq 5
        let back = desk.reversal(&first); // seq 6
        desk.append(&Fact::Reversed(back)).expect("reverse");
        desk.apply(&page(1, 2, &[stock_row(1, 10, anchor)]));
        assert_eq!(units(&desk, 1), Some(expected), "{name}");
    }
}

#[test]
fn movements_are_dropped_when_folded_and_come_back_for_a_restored_server() {
    let mut desk = Desk::in_memory();
    desk.follow(&["stock:LM"]);
    desk.open_shift();
    desk.sell(&[(1, 2, 1_000)]); // seq 3
    desk.sell(&[(1, 1, 1_000)]); // seq 4
    desk.apply(&page(7, 4, &[stock_row(1, 7, None)]));
    assert_eq!(units(&desk, 1), Some(7));
    desk.assert_sound();
    // The server was restored from before the second sale and starts its versions again.
    desk.ledger
        .write(|tx| tx.reset_feed(&crate::support::feed("stock:LM")))
        .expect("reset");
    assert_eq!(units(&desk, 1), Some(7), "the old row serves on");
    desk.apply(&page(2, 3, &[stock_row(1, 8, None)]));
    assert_eq!(units(&desk, 1), Some(7));
    desk.assert_sound();
}

#[test]
fn a_row_that_leaves_the_feed_is_none_left() {
    let mut desk = Desk::in_memory();
    desk.follow(&["stock:LM"]);
    desk.apply(&page(1, 0, &[stock_row(1, 10, None)]));
    let gone = FeedPage {
        rows: vec![tombstone(variant(1), 2)],
        ..page(2, 0, &[])
    };
    desk.apply(&FeedPage {
        next: sync_protocol::Cursor {
            ver: 2,
            pk: variant(1).to_string(),
        },
        ..gone
    });
    let here: LocationId = location("LM");
    let known = desk
        .ledger
        .stock(variant(1), &here)
        .expect("stock")
        .expect("known");
    assert_eq!(known.quantity, Quantity::ZERO);
    assert_eq!(known.synced_wall, Some(desk.wall));
}

#[test]
fn what_comes_back_after_a_count_was_learnt_is_after_it() {
    let place = Place::new();
    let mut desk = Desk::new(create(&place.path, &options()));
    desk.follow(&["stock:LM"]);
    desk.open_shift();
    let sold = desk.sell(&[(1, 2, 1_000)]); // seq 3
    // The counting device's clock is half a minute ahead of ours, another's by years.
    let counted = |number, ms: i64| {
        let anchor = AnchorRef {
            seen_ms: None,
            stream: StreamId([9; 16]),
            seq: 5,
            hlc: Hlc::default().tick(desk.wall + ms),
            cut: BTreeMap::from([(STREAM, 3)]),
        };
        stock_row(number, 8, Some(anchor))
    };
    let rows = [counted(1, 30_000), counted(2, 1 << 38)];
    desk.apply(&page(1, 3, &rows));
    drop(desk.ledger);
    desk.ledger = Ledger::open(&place.path, &options()).expect("open");
    let back = desk.reversal(&sold);
    desk.append(&Fact::Reversed(back)).expect("reverse");
    assert_eq!(units(&desk, 1), Some(10));
    let bytes = desk
        .ledger
        .events(4, 1, usize::MAX)
        .expect("events")
        .remove(0)
        .bytes;
    let written = Event::decode(&bytes).expect("event").hlc;
    assert!(
        written < Hlc::default().tick(desk.wall + 60_000),
        "the clock years ahead is not followed"
    );
    desk.assert_sound();
}
