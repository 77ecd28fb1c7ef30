//! What the stockroom writes down: shown once, counted from, set aside, traced, and kept through everything.

use std::collections::BTreeMap;

use domain::catalog::StockClass;
use domain::entropy::Entropy;
use domain::event::{
    ALL_ZONES, AdjustReason, CountReason, Counted, Event, Fact, GoodsLine, GoodsReceived,
    MAIN_ZONE, OrderPicked, StockAdjusted, StockCounted, StreamPos, StreamReason, TransferLost,
    TransferReceived, TransferSent, ZoneMoved,
};
use domain::ids::{DocumentId, PromiseId, StreamId, TransferId};
use domain::quantity::Quantity;
use domain::stock::{Anchor, EventRef, StockAccount, StockFold, winner};
use domain::time::Hlc;
use ledger::{LedgerError, OpenOptions};
use sync_protocol::FeedPage;
use sync_protocol::feed::{AnchorRef, StockRow, ZoneRow};
use uuid::Uuid;

use crate::streams::{desk_of, go_on};
use crate::support::{Desk, Place, STREAM, create, location, raw_file, row, user, variant, whole};

fn lines(of: &[(u128, i64)]) -> Vec<GoodsLine> {
    of.iter()
        .map(|(number, units)| GoodsLine {
            variant: variant(*number),
            quantity: Quantity::units(*units).expect("quantity"),
            class: StockClass::Shelf,
        })
        .collect()
}

fn document(number: u128) -> DocumentId {
    DocumentId(Uuid::from_u128(0x5000 + number))
}

fn transfer(number: u128) -> TransferId {
    TransferId(Uuid::from_u128(0x6000 + number))
}

pub fn received(number: u128, of: &[(u128, i64)]) -> Fact {
    Fact::GoodsReceived(GoodsReceived {
        document: document(number),
        location: location("LM"),
        zone: MAIN_ZONE.to_owned(),
        lines: lines(of),
        reference: None,
        included_in: None,
        user: user(),
    })
}

fn adjusted(number: u128, reason: AdjustReason, of: &[(u128, i64)]) -> Fact {
    Fact::StockAdjusted(StockAdjusted {
        approved_by: None,
        document: document(number),
        location: location("LM"),
        zone: MAIN_ZONE.to_owned(),
        reason,
        note: None,
        lines: lines(of),
        user: user(),
        overrides: Vec::new(),
    })
}

fn sent(number: u128, of: &[(u128, i64)]) -> Fact {
    Fact::TransferSent(TransferSent {
        transfer: transfer(number),
        from: location("LM"),
        zone: MAIN_ZONE.to_owned(),
        to: location("TN2"),
        lines: lines(of),
        user: user(),
        overrides: Vec::new(),
    })
}

fn arrived(number: u128, of: &[(u128, i64)]) -> Fact {
    Fact::TransferReceived(TransferReceived {
        transfer: transfer(number),
        from: location("TN2"),
        to: location("LM"),
        zone: MAIN_ZONE.to_owned(),
        lines: lines(of),
        user: user(),
    })
}

fn lost(number: u128, of: &[(u128, i64)]) -> Fact {
    Fact::TransferLost(TransferLost {
        approved_by: None,
        transfer: transfer(number),
        from: location("LM"),
        to: location("TN2"),
        lines: lines(of),
        user: user(),
    })
}

fn carried(number: u128, from: &str, to: &str, of: &[(u128, i64)]) -> Fact {
    Fact::ZoneMoved(ZoneMoved {
        document: document(number),
        location: location("LM"),
        from_zone: from.to_owned(),
        to_zone: to.to_owned(),
        lines: lines(of),
        user: user(),
    })
}

fn counted(desk: &Desk, zone: &str, of: &[(u128, i64)]) -> Fact {
    let item = |(number, units): &(u128, i64)| Counted {
        variant: variant(*number),
        quantity: Quantity::units(*units).expect("quantity"),
        expected: None,
        looked: None,
        // Of some of them the goods were looked at a while before the end.
        ago_ms: units.unsigned_abs() % 3 * 600_000,
    };
    Fact::StockCounted(StockCounted {
        approved_by: None,
        location: location("LM"),
        zone: zone.to_owned(),
        cut: desk.ledger.cut(&location("LM")).expect("cut"),
        items: of.iter().map(item).collect(),
        reason: CountReason::Count,
        document: Some(document(900)),
        user: Some(user()),
    })
}

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
    units_in(desk, number, ALL_ZONES)
}

fn units_in(desk: &Desk, number: u128, zone: &str) -> Option<i64> {
    let known = desk
        .ledger
        .stock_in(variant(number), &location("LM"), zone)
        .expect("stock");
    known.map(|known| known.quantity.0 / 1_000)
}

/// A desk that has read its stock to the end: `units` of variant 1.
fn desk_with(units: i64) -> Desk {
    let mut desk = Desk::in_memory();
    desk.follow(&["stock:LM"]);
    desk.open_shift(); // seq 2
    desk.apply(&page(1, 2, &[stock_row(1, units, None)]));
    desk
}

#[test]
fn every_document_moves_what_is_shown_until_the_server_holds_it() {
    let mut desk = desk_with(10);
    let mut at = 10;
    for (fact, delta) in [
        (received(1, &[(1, 4)]), 4),
        (adjusted(2, AdjustReason::Theft, &[(1, -2)]), -2),
        (adjusted(3, AdjustReason::Damaged, &[(1, -1)]), -1),
        (adjusted(4, AdjustReason::Damaged, &[(1, 1)]), 1),
        (sent(1, &[(1, 3)]), -3),
        (arrived(2, &[(1, 2)]), 2),
        (lost(1, &[(1, 1)]), 0),
        (carried(5, MAIN_ZONE, "back", &[(1, 2)]), 0),
        (
            Fact::OrderPicked(OrderPicked {
                promise: PromiseId(Uuid::from_u128(1)),
                location: location("LM"),
                zone: MAIN_ZONE.to_owned(),
                lines: lines(&[(1, 1)]),
                user: None,
            }),
            -1,
        ),
    ] {
        let kind = fact.kind();
        desk.append(&fact).expect(kind);
        at += delta;
        assert_eq!(units(&desk, 1), Some(at), "{kind}");
        // A till that starts again reads the same from its tables.
        desk.ledger
            .write(|tx| tx.follow(&[]).and(Err::<(), _>(LedgerError::Overflow)))
            .expect_err("rolled back");
        assert_eq!(units(&desk, 1), Some(at), "{kind}, read anew");
    }
    assert_eq!(
        (units_in(&desk, 1, MAIN_ZONE), units_in(&desk, 1, "back")),
        (Some(8), Some(2))
    );
    let head = desk.ledger.head().seq;
    // The server has folded half of it: 10 + 4 - 2 - 1, at seq 5.
    desk.apply(&page(2, 5, &[stock_row(1, 11, None)]));
    assert_eq!(units(&desk, 1), Some(at));
    let zones = BTreeMap::from([(
        "back".to_owned(),
        ZoneRow {
            quantity: Quantity(2_000),
            anchor: None,
        },
    )]);
    let all = StockRow {
        zones,
        ..stock_row(1, at, None)
    };
    desk.apply(&page(3, head, &[all]));
    assert_eq!(units(&desk, 1), Some(at));
    assert_eq!(
        (units_in(&desk, 1, MAIN_ZONE), units_in(&desk, 1, "back")),
        (Some(8), Some(2))
    );
    desk.assert_sound();
}

#[test]
fn a_count_of_our_own_stands_until_the_server_has_folded_it() {
    let mut desk = desk_with(10);
    desk.sell(&[(1, 1, 1_000)]); // seq 3
    let count = counted(&desk, MAIN_ZONE, &[(1, 6), (2, 0)]);
    desk.append(&count).expect("count"); // seq 4
    assert_eq!(units(&desk, 1), Some(6));
    desk.sell(&[(1, 2, 1_000)]); // seq 5
    desk.append(&received(1, &[(1, 5)])).expect("received"); // seq 6
    assert_eq!(units(&desk, 1), Some(9));
    // The server folds up to the sale, not yet the count: it says 9, and the count still stands.
    desk.apply(&page(2, 3, &[stock_row(1, 9, None)]));
    assert_eq!(units(&desk, 1), Some(9));
    let known = desk
        .ledger
        .stock(variant(1), &location("LM"))
        .expect("stock")
        .expect("known");
    assert_eq!(
        known.count,
        Some(StreamPos {
            stream: STREAM,
            seq: 4
        })
    );
    // Now the count too: the row stands on it, and what came after is added once.
    let anchor = |desk: &Desk| AnchorRef {
        seen_ms: None,
        stream: STREAM,
        seq: 4,
        hlc: hlc_of(desk, 4),
        cut: BTreeMap::new(),
    };
    let on_count = anchor(&desk);
    desk.apply(&page(3, 4, &[stock_row(1, 6, Some(on_count.clone()))]));
    assert_eq!(units(&desk, 1), Some(9));
    desk.apply(&page(4, 6, &[stock_row(1, 9, Some(on_count))]));
    assert_eq!(units(&desk, 1), Some(9));
    desk.assert_sound();
}

fn hlc_of(desk: &Desk, seq: u64) -> Hlc {
    let bytes = desk
        .ledger
        .events(seq, 1, usize::MAX)
        .expect("events")
        .remove(0)
        .bytes;
    Event::decode(&bytes).expect("event").hlc
}

#[test]
fn a_count_elsewhere_that_knew_of_ours_takes_its_place_and_one_that_ours_knew_does_not() {
    let other = StreamId([9; 16]);
    for (name, cut_of_other, ours_knows, expected) in
        [("it knew of ours", 3, 0, 20), ("ours knew of it", 0, 5, 6)]
    {
        let mut desk = desk_with(10);
        let mut page_before = page(2, 2, &[stock_row(1, 10, None)]);
        page_before.folded.insert(other, ours_knows);
        desk.apply(&page_before);
        let count = counted(&desk, MAIN_ZONE, &[(1, 6)]);
        desk.append(&count).expect("count"); // seq 3
        let anchor = AnchorRef {
            seen_ms: None,
            stream: other,
            seq: 5,
            hlc: Hlc::default().tick(desk.wall - 3_600_000),
            cut: BTreeMap::from([(STREAM, cut_of_other)]),
        };
        let mut page = page(3, 2, &[stock_row(1, 20, Some(anchor))]);
        page.folded.insert(other, 5);
        desk.apply(&page);
        assert_eq!(units(&desk, 1), Some(expected), "{name}");
    }
}

#[test]
fn a_variant_that_was_counted_here_is_known_before_the_server_speaks() {
    let mut desk = Desk::in_memory();
    desk.append(&received(1, &[(1, 3), (2, 3)]))
        .expect("received");
    assert_eq!((units(&desk, 1), units(&desk, 2)), (None, None));
    let count = counted(&desk, ALL_ZONES, &[(1, 7)]);
    desk.append(&count).expect("count");
    desk.append(&received(2, &[(1, 1), (2, 1)]))
        .expect("received");
    assert_eq!((units(&desk, 1), units(&desk, 2)), (Some(8), None));
    desk.assert_sound();
}

#[test]
fn zones_are_counted_apart_and_a_count_of_all_empties_the_others() {
    let mut desk = desk_with(10);
    desk.append(&carried(1, MAIN_ZONE, "back", &[(1, 4)]))
        .expect("carry");
    let count = counted(&desk, "back", &[(1, 5)]);
    desk.append(&count).expect("count the back");
    assert_eq!(
        (units_in(&desk, 1, MAIN_ZONE), units_in(&desk, 1, "back")),
        (Some(6), Some(5))
    );
    let by_zone = desk
        .ledger
        .stock_by_zone(variant(1), &location("LM"))
        .expect("zones");
    assert_eq!(by_zone.values().map(|held| held.0).sum::<i64>(), 11_000);
    let count = counted(&desk, ALL_ZONES, &[(1, 9)]);
    desk.append(&count).expect("count everything");
    assert_eq!(
        (units_in(&desk, 1, MAIN_ZONE), units_in(&desk, 1, "back")),
        (Some(9), Some(0))
    );
    desk.append(&carried(2, MAIN_ZONE, "back", &[(1, 1)]))
        .expect("carry again");
    assert_eq!(
        (units_in(&desk, 1, MAIN_ZONE), units_in(&desk, 1, "back")),
        (Some(8), Some(1))
    );
    assert_eq!(units(&desk, 1), Some(9));
    desk.assert_sound();
}

#[test]
fn goods_that_a_count_found_already_are_not_added_to_it() {
    let mut desk = desk_with(10);
    let count = counted(&desk, MAIN_ZONE, &[(1, 12)]);
    desk.append(&count).expect("count"); // seq 3
    let Fact::GoodsReceived(mut late) = received(1, &[(1, 2)]) else {
        panic!("goods received");
    };
    late.included_in = Some(StreamPos {
        stream: STREAM,
        seq: 3,
    });
    desk.append(&Fact::GoodsReceived(late)).expect("received");
    assert_eq!(units(&desk, 1), Some(12));
    desk.assert_sound();
}

#[test]
fn what_lies_damaged_or_is_on_its_way_is_known() {
    let mut desk = desk_with(10);
    let damaged = StockAccount::Damaged(location("LM"));
    desk.append(&adjusted(1, AdjustReason::Damaged, &[(1, -3)]))
        .expect("broken");
    desk.append(&adjusted(2, AdjustReason::Damaged, &[(1, 1)]))
        .expect("mended");
    assert_eq!(
        desk.ledger.held(&damaged, variant(1)).expect("held"),
        Quantity(2_000)
    );
    desk.append(&sent(1, &[(1, 3), (2, 1)])).expect("sent");
    desk.append(&sent(2, &[(1, 1)])).expect("sent");
    desk.append(&lost(1, &[(1, 1)])).expect("lost");
    desk.append(&lost(2, &[(1, 1)])).expect("lost");
    desk.append(&arrived(7, &[(1, 2)])).expect("another's");
    let open = desk.ledger.open_transfers().expect("transfers");
    assert_eq!(
        open.len(),
        1,
        "the second was lost whole, the third is another's"
    );
    assert_eq!(
        (open[0].transfer, open[0].to.clone()),
        (transfer(1), location("TN2"))
    );
    let expected = BTreeMap::from([(variant(1), Quantity(2_000)), (variant(2), Quantity(1_000))]);
    assert_eq!(open[0].open, expected);
    let transit = StockAccount::Transit(transfer(7));
    assert_eq!(
        desk.ledger.held(&transit, variant(1)).expect("held"),
        Quantity(-2_000)
    );
    desk.assert_sound();
}

#[test]
fn a_document_is_written_once_and_a_wrong_one_never() {
    let mut desk = desk_with(10);
    desk.append(&received(1, &[(1, 1)])).expect("first");
    desk.append(&adjusted(1, AdjustReason::Found, &[(1, 1)]))
        .expect("another kind of document");
    desk.append(&arrived(1, &[(1, 1)])).expect("a part");
    desk.append(&arrived(1, &[(1, 1)])).expect("the rest");
    for wrong in [
        received(1, &[(1, 1)]),
        received(2, &[(1, 0)]),
        received(2, &[(1, -1)]),
        received(2, &[]),
        carried(2, "back", "back", &[(1, 1)]),
        carried(2, "back", "a zone", &[(1, 1)]),
    ] {
        let refused = desk.append(&wrong).expect_err("refused");
        assert!(
            matches!(refused, LedgerError::OutOfPlace { .. }),
            "{refused:?}"
        );
    }
    assert_eq!(units(&desk, 1), Some(14));
    desk.assert_sound();
}

#[test]
fn a_quantity_is_the_sum_of_its_lineage() {
    let mut desk = desk_with(10);
    desk.sell(&[(1, 1, 1_000)]); // seq 3
    desk.append(&received(1, &[(1, 4), (2, 9)]))
        .expect("received"); // seq 4
    desk.apply(&page(2, 3, &[stock_row(1, 9, None)]));
    desk.append(&adjusted(2, AdjustReason::Damaged, &[(1, -1)]))
        .expect("broken"); // seq 5
    let lineage = desk.ledger.lineage(variant(1), 100).expect("lineage");
    assert_eq!(
        (lineage.served, lineage.start),
        (Some(Quantity(9_000)), Quantity(9_000))
    );
    let told: Vec<_> = lineage
        .entries
        .iter()
        .map(|entry| (entry.seq, entry.fact.kind(), entry.counts()))
        .collect();
    assert_eq!(
        told,
        [
            (5, "StockAdjusted", true),
            (4, "GoodsReceived", true),
            (3, "SaleCompleted", false)
        ]
    );
    assert_eq!(sum(&lineage), units(&desk, 1));
    assert_eq!(
        desk.ledger
            .lineage(variant(1), 0)
            .expect("lineage")
            .entries
            .len(),
        2
    );

    let count = counted(&desk, MAIN_ZONE, &[(1, 6)]);
    desk.append(&count).expect("count"); // seq 6
    desk.sell(&[(1, 2, 1_000)]); // seq 7
    let lineage = desk.ledger.lineage(variant(1), 0).expect("lineage");
    let told: Vec<_> = lineage
        .entries
        .iter()
        .map(|entry| (entry.seq, entry.fact.kind()))
        .collect();
    assert_eq!(told, [(7, "SaleCompleted"), (6, "StockCounted")]);
    assert_eq!(
        (lineage.start, lineage.quantity),
        (Quantity(6_000), Some(Quantity(4_000)))
    );
    assert_eq!(sum(&lineage), units(&desk, 1));
}

/// What a lineage adds up to, in units.
fn sum(lineage: &ledger::Lineage) -> Option<i64> {
    let steps = lineage
        .entries
        .iter()
        .flat_map(|entry| entry.zones.values());
    let moved = steps.filter(|step| step.counts && !step.counted);
    let moved: i64 = moved.map(|step| step.quantity.0).sum();
    lineage.quantity.map(|_| (lineage.start.0 + moved) / 1_000)
}

#[test]
fn what_was_not_sent_goes_on_in_the_stream_after() {
    let place = Place::new();
    let mut desk = Desk::new(create(&place.path, &OpenOptions::default()));
    desk.follow(&["stock:LM"]);
    desk.open_shift();
    desk.apply(&page(1, 2, &[stock_row(1, 10, None)]));
    let head = desk.ledger.head();
    desk.ledger
        .write(|tx| tx.set_acked("hub", 1, head.seq, head.hash))
        .expect("ack");
    desk.append(&received(1, &[(1, 4)])).expect("received");
    desk.append(&sent(1, &[(1, 3)])).expect("sent");
    let count = counted(&desk, MAIN_ZONE, &[(1, 12)]);
    desk.append(&count).expect("count");
    desk.sell(&[(1, 1, 1_000)]);
    let (before, open) = (
        units(&desk, 1),
        desk.ledger.open_transfers().expect("transfers"),
    );
    assert_eq!(before, Some(11));
    let wall = desk.wall + 60_000;
    let shift = desk.shift;
    drop(desk.ledger);
    let next = go_on(&place.path, StreamReason::Restored, 3, wall);
    let old = Desk {
        ledger: ledger::Ledger::create_in_memory(
            crate::support::new_stream(),
            &crate::support::clock(wall),
            domain::ids::EventId(Uuid::from_u128(1)),
        )
        .expect("a desk"),
        entropy: Entropy::new([1; 32]),
        wall,
        shift,
        date: crate::support::day("2026-11-22"),
    };
    let mut desk = desk_of(next.ledger, &old, 4);
    desk.apply(&FeedPage {
        folded: BTreeMap::from([(STREAM, 2)]),
        ..page(1, 0, &[stock_row(1, 10, None)])
    });
    assert_eq!(units(&desk, 1), before);
    assert_eq!(
        desk.ledger
            .open_transfers()
            .expect("transfers")
            .iter()
            .map(|t| &t.open)
            .collect::<Vec<_>>(),
        open.iter().map(|t| &t.open).collect::<Vec<_>>()
    );
    // What was adopted is on the one side of the count where it was before, and new facts are on the other.
    desk.append(&received(2, &[(1, 2)])).expect("received");
    assert_eq!(units(&desk, 1), Some(13));
    desk.assert_sound();
}

#[test]
fn a_changed_row_of_the_stockroom_is_found() {
    for (sql, table) in [
        (
            "UPDATE goods SET quantity = quantity + 1 WHERE seq = 3",
            "goods",
        ),
        ("DELETE FROM goods WHERE seq = 3", "goods"),
        (
            "INSERT INTO goods SELECT variant, 2, zone, counted, quantity FROM goods WHERE seq = 3",
            "goods",
        ),
        ("UPDATE goods SET counted = 1 WHERE seq = 3", "goods"),
        (
            "UPDATE goods_document SET document = NULL WHERE seq = 3",
            "goods_document",
        ),
        ("DELETE FROM held", "held"),
        ("UPDATE held SET quantity = 7", "held"),
    ] {
        let place = Place::new();
        let mut desk = Desk::new(create(&place.path, &crate::support::options()));
        desk.open_shift();
        desk.append(&adjusted(1, AdjustReason::Damaged, &[(1, -2)]))
            .expect("damaged"); // seq 3
        desk.assert_sound();
        drop(desk.ledger);
        raw_file(&place.path).execute_batch(sql).expect(sql);
        let ledger = ledger::Ledger::open(&place.path, &crate::support::options()).expect("open");
        let bad = ledger.verify().expect("verify").first_bad.expect(sql);
        assert_eq!(bad.table, table, "{sql}");
    }
}

/// The server's side of the law: everything folded so far, by the same rules that the server folds by.
struct Server {
    fold: StockFold,
    movements: Vec<(String, EventRef, domain::stock::Moved)>,
    anchors: Vec<(String, Anchor)>,
    folded: BTreeMap<StreamId, u64>,
}

impl Server {
    fn add(&mut self, at: EventRef, fact: &Fact) {
        self.fold.add(&at, fact);
        self.folded.insert(at.stream, at.seq);
        for movement in domain::stock::movements(fact) {
            self.movements.push((movement.zone, at, movement.moved));
        }
        if let Fact::StockCounted(count) = fact {
            for anchor in domain::stock::counted(&at, count).into_values() {
                self.anchors.push((count.zone.clone(), anchor));
            }
        }
    }

    fn zone(&self, zone: &str) -> ZoneRow {
        let anchors: Vec<Anchor> = self
            .anchors
            .iter()
            .filter(|(of, _)| of == zone || of == ALL_ZONES)
            .map(|(of, anchor)| {
                let quantity = if of == ALL_ZONES {
                    domain::stock::share_of_whole(anchor.quantity, zone)
                } else {
                    anchor.quantity
                };
                Anchor {
                    quantity,
                    ..anchor.clone()
                }
            })
            .collect();
        let stands = winner(&anchors).map(|anchor| AnchorRef {
            seen_ms: (anchor.seen_ms < anchor.at.hlc.ms()).then_some(anchor.seen_ms),
            stream: anchor.at.stream,
            seq: anchor.at.seq,
            hlc: anchor.at.hlc,
            cut: anchor.cut.clone(),
        });
        ZoneRow {
            quantity: self.fold.in_zone(variant(1), &location("LM"), zone),
            anchor: stands,
        }
    }

    fn page(&self, ver: u64) -> FeedPage {
        let main = self.zone(MAIN_ZONE);
        let moved = |zone: &str| {
            self.movements.iter().any(|(of, ..)| of == zone)
                || self.anchors.iter().any(|(of, _)| of == zone)
        };
        let zones: BTreeMap<String, ZoneRow> = ["back"]
            .into_iter()
            .filter(|zone| moved(zone))
            .map(|zone| (zone.to_owned(), self.zone(zone)))
            .collect();
        let stock = StockRow {
            variant: variant(1),
            quantity: self.fold.on_hand(variant(1), &location("LM")),
            anchor: main.anchor,
            zones,
        };
        FeedPage {
            folded: self.folded.clone(),
            ..whole("stock:LM", ver, vec![row(variant(1), ver, &stock)])
        }
    }
}

#[test]
fn what_is_shown_is_the_fold_of_what_the_server_holds_and_of_all_that_is_our_own() {
    let other = StreamId([9; 16]);
    for seed in 0..60_u8 {
        let mut dice = Entropy::new([seed; 32]);
        let mut roll = move |sides: u64| {
            let bytes = dice.next_bytes();
            u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) % sides
        };
        let mut desk = Desk::in_memory();
        desk.follow(&["stock:LM"]);
        desk.open_shift();
        let mut server = Server {
            fold: StockFold::default(),
            movements: Vec::new(),
            anchors: Vec::new(),
            folded: BTreeMap::new(),
        };
        let (mut ver, mut sent_up_to, mut theirs) = (1, 0, 0);
        let mut uncounted = 0;
        desk.apply(&server.page(ver));
        for step in 0..40_u128 {
            let zone = if roll(3) == 0 { "back" } else { MAIN_ZONE };
            let amount = i64::try_from(roll(5)).expect("small") + 1;
            match roll(9) {
                0 | 1 => drop(desk.sell(&[(1, amount, 1_000)])),
                2 => drop(
                    desk.append(&received(step, &[(1, amount)]))
                        .expect("received"),
                ),
                3 => drop(desk.append(&sent(step, &[(1, amount)])).expect("sent")),
                4 => {
                    let (from, to) = if zone == "back" {
                        ("back", MAIN_ZONE)
                    } else {
                        (MAIN_ZONE, "back")
                    };
                    desk.append(&carried(step, from, to, &[(1, amount)]))
                        .expect("carried");
                }
                5 => {
                    // Who counts has read what the server holds: only then it can tell what others did before.
                    ver += 1;
                    desk.apply(&server.page(ver));
                    let zone = if roll(3) == 0 { ALL_ZONES } else { zone };
                    let count = counted(&desk, zone, &[(1, amount * 3)]);
                    desk.append(&count).expect("counted");
                    uncounted = desk.ledger.head().seq;
                }
                // Another till of the store, while the server holds every count of ours: of what it knows of ours
                // the server speaks.
                6 if uncounted <= sent_up_to => {
                    theirs += 1;
                    let at = EventRef {
                        stream: other,
                        seq: theirs,
                        hlc: Hlc::default().tick(desk.wall),
                    };
                    let fact = if roll(4) == 0 {
                        let Fact::StockCounted(mut count) =
                            counted(&desk, zone, &[(1, amount * 2)])
                        else {
                            panic!("a count")
                        };
                        count.cut = server.folded.clone();
                        Fact::StockCounted(count)
                    } else {
                        adjusted(1_000 + step, AdjustReason::OwnUse, &[(1, -amount)])
                    };
                    server.add(at, &fact);
                }
                7 => {
                    // Part of what we have goes to the server.
                    let upto = sent_up_to + roll(desk.ledger.head().seq - sent_up_to + 1);
                    for stored in desk
                        .ledger
                        .events(
                            sent_up_to + 1,
                            usize::try_from(upto - sent_up_to).expect("few"),
                            usize::MAX,
                        )
                        .expect("events")
                    {
                        let event = Event::decode(&stored.bytes).expect("event");
                        let at = EventRef {
                            stream: STREAM,
                            seq: stored.seq,
                            hlc: event.hlc,
                        };
                        server.add(at, &event.fact().expect("fact"));
                    }
                    sent_up_to = upto;
                }
                _ => {
                    ver += 1;
                    desk.apply(&server.page(ver));
                }
            }
            // What the till has read is older than what the server holds, unless it has just read.
            if roll(3) == 0 {
                ver += 1;
                desk.apply(&server.page(ver));
                let mut all = server.fold.clone();
                for stored in desk
                    .ledger
                    .events(sent_up_to + 1, usize::MAX, usize::MAX)
                    .expect("events")
                {
                    let event = Event::decode(&stored.bytes).expect("event");
                    let at = EventRef {
                        stream: STREAM,
                        seq: stored.seq,
                        hlc: event.hlc,
                    };
                    all.add(&at, &event.fact().expect("fact"));
                }
                for zone in [MAIN_ZONE, "back"] {
                    let expected = all.in_zone(variant(1), &location("LM"), zone);
                    let shown = desk
                        .ledger
                        .stock_by_zone(variant(1), &location("LM"))
                        .expect("stock");
                    let found = shown.get(zone).copied().unwrap_or(Quantity::ZERO);
                    assert_eq!(found, expected, "seed {seed}, step {step}, zone {zone}");
                }
                let lineage = desk.ledger.lineage(variant(1), 0).expect("lineage");
                assert_eq!(sum(&lineage), units(&desk, 1), "seed {seed}, step {step}");
            }
        }
        desk.assert_sound();
    }
}
