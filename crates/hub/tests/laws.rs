//! Laws: the order and repetition of pushes play no part, and feeds read in any pages come to the same rows.

mod support;

use std::collections::BTreeMap;

use domain::catalog::StockClass;
use domain::event::{
    ALL_ZONES, AdjustReason, CountLearned, CountReason, Counted, Event, Fact, GoodsLine,
    GoodsReceived, Looked, MAIN_ZONE, StockAdjusted, StockCounted, StreamPos, TransferSent,
    ZoneMoved,
};
use domain::ids::{DocumentId, StreamId, TransferId, UserId, VariantId};
use domain::quantity::Quantity;
use domain::stock::{EventRef, StockFold};
use proptest::prelude::*;
use sync_protocol::feed::{checksum_add, row_checksum};
use sync_protocol::{Cursor, FeedName, SyncRequest};
use uuid::Uuid;

use support::{Till, World, location, options};

const SKUS: [&str; 3] = ["BAL-4", "BAL-5", "COR"];

/// What a till does next.
#[derive(Debug, Clone)]
enum Step {
    Sell {
        till: usize,
        sku: usize,
        units: i64,
    },
    Count {
        till: usize,
        sku: usize,
        units: i64,
        knows: Vec<u64>,
    },
    Goods {
        till: usize,
        sku: usize,
        units: i64,
        what: u8,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sell = (0..3_usize, 0..3_usize, 1..4_i64).prop_map(|(till, sku, units)| Step::Sell {
        till,
        sku,
        units,
    });
    let count = (
        0..3_usize,
        0..3_usize,
        0..30_i64,
        prop::collection::vec(0..100_u64, 3),
    )
        .prop_map(|(till, sku, units, knows)| Step::Count {
            till,
            sku,
            units,
            knows,
        });
    let goods = (0..3_usize, 0..3_usize, 1..5_i64, 0..7_u8).prop_map(|(till, sku, units, what)| {
        Step::Goods {
            till,
            sku,
            units,
            what,
        }
    });
    prop::collection::vec(prop_oneof![4 => sell, 1 => count, 3 => goods], 1..24)
}

/// Three tills that have done `steps` without contact.
fn played(world: &mut World, steps: &[Step]) -> Vec<Till> {
    let mut tills: Vec<Till> = (0..3)
        .map(|index| world.till(&format!("0{}", index + 1), 10 + index))
        .collect();
    for step in steps {
        match step {
            Step::Sell { till, sku, units } => {
                let variant = world.variant(SKUS[*sku]);
                // Nobody sells nothing.
                let units = if *units == 0 { 1 } else { *units };
                tills[*till].sell(variant, units, 10_000);
            }
            Step::Count {
                till,
                sku,
                units,
                knows,
            } => {
                let cut: BTreeMap<StreamId, u64> = tills
                    .iter()
                    .zip(knows)
                    .map(|(other, part)| (other.stream, other.head() * part / 100))
                    .collect();
                // Half of them take a while: less was known when the goods were looked at.
                let looked = (*units % 2 == 1).then(|| Looked {
                    wall: support::WALL,
                    folded: cut.iter().map(|(stream, seq)| (*stream, seq / 2)).collect(),
                });
                let item = Counted {
                    variant: world.variant(SKUS[*sku]),
                    quantity: Quantity::units(*units).expect("units"),
                    expected: None,
                    looked,
                    ago_ms: units.unsigned_abs() % 4,
                };
                tills[*till].count("LM", cut, vec![item]);
            }
            Step::Goods {
                till,
                sku,
                units,
                what,
            } => {
                let variant = world.variant(SKUS[*sku]);
                let head = tills[(*till + 1) % 3].head();
                let other = tills[(*till + 1) % 3].stream;
                let fact = goods(*what, variant, *units, (other, head));
                tills[*till].append(&fact);
            }
        }
    }
    tills
}

/// One of the facts of the stockroom; the last knows of what another till wrote last, which may be a count.
fn goods(what: u8, variant: VariantId, units: i64, last: (StreamId, u64)) -> Fact {
    let line = |units| {
        vec![GoodsLine {
            variant,
            quantity: Quantity::units(units).expect("units"),
            class: StockClass::Strict,
        }]
    };
    let (document, user) = (DocumentId(Uuid::nil()), UserId(Uuid::nil()));
    let place = || location("LM");
    let zone = || MAIN_ZONE.to_owned();
    match what {
        0 => Fact::GoodsReceived(GoodsReceived {
            document,
            location: place(),
            zone: zone(),
            lines: line(units),
            reference: None,
            included_in: None,
            user,
        }),
        1 => Fact::StockAdjusted(StockAdjusted {
            approved_by: None,
            document,
            location: place(),
            zone: zone(),
            reason: AdjustReason::Damaged,
            note: None,
            lines: line(-units),
            user,
            overrides: Vec::new(),
        }),
        2 => Fact::TransferSent(TransferSent {
            transfer: TransferId(Uuid::nil()),
            from: place(),
            zone: zone(),
            to: location("TC"),
            lines: line(units),
            user,
            overrides: Vec::new(),
        }),
        3 | 4 => {
            let (from_zone, to_zone) = if what == 3 {
                (zone(), "attic".to_owned())
            } else {
                ("attic".to_owned(), zone())
            };
            Fact::ZoneMoved(ZoneMoved {
                document,
                location: place(),
                from_zone,
                to_zone,
                lines: line(units),
                user,
            })
        }
        5 => Fact::StockCounted(StockCounted {
            approved_by: None,
            location: place(),
            zone: ALL_ZONES.to_owned(),
            cut: BTreeMap::new(),
            items: vec![Counted {
                variant,
                quantity: Quantity::units(units).expect("units"),
                expected: None,
                looked: None,
                ago_ms: 0,
            }],
            reason: CountReason::Count,
            document: None,
            user: None,
        }),
        _ => Fact::CountLearned(CountLearned {
            counts: vec![StreamPos {
                stream: last.0,
                seq: last.1,
            }],
        }),
    }
}

/// Pushes in an arbitrary order with repetitions, cut into arbitrary batches, until everything is in.
fn push_in_some_order(world: &mut World, tills: &[Till], order: &[(usize, u64)]) {
    let mut acked: Vec<u64> = vec![0; tills.len()];
    let everything = (0..tills.len()).map(|till| (till, 1_000));
    for (till, take) in order.iter().copied().chain(everything) {
        let one = &tills[till];
        let last = (acked[till] + take).min(one.head());
        if last == 0 {
            continue;
        }
        // Every second push repeats from the beginning.
        let first = if take % 2 == 0 {
            1
        } else {
            (acked[till] + 1).min(last)
        };
        let reply = world
            .sync(one, &one.request(Some(one.push(first, last))))
            .expect("push");
        assert_eq!(reply.ack_seq, last.max(acked[till]));
        acked[till] = reply.ack_seq;
    }
    for (till, acked) in tills.iter().zip(acked) {
        assert_eq!(till.head(), acked);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_order_and_repetition_gives_the_same_stock_and_takings(
        steps in steps(),
        orders in prop::collection::vec(prop::collection::vec((0..3_usize, 1..6_u64), 0..16), 2),
    ) {
        let mut results = Vec::new();
        for order in &orders {
            let mut world = World::with_catalogue();
            let tills = played(&mut world, &steps);
            push_in_some_order(&mut world, &tills, order);
            world.assert_verified();
            let projections = world.hub.verify().expect("verify").projections;
            let stock: Vec<i64> = SKUS.iter().map(|sku| world.on_hand(sku, "LM")).collect();
            // The oracle folds the opening count and all events of the tills in one go.
            let mut oracle = StockFold::default();
            for (at, fact) in opening(&world) {
                oracle.add(&at, &fact);
            }
            for till in &tills {
                for text in &till.events {
                    let event = Event::decode(text.as_bytes()).expect("event");
                    let at = EventRef { stream: event.stream, seq: event.seq, hlc: event.hlc };
                    oracle.add(&at, &event.fact().expect("fact"));
                }
            }
            let expected: Vec<i64> = SKUS
                .iter()
                .map(|sku| {
                    oracle.on_hand(world.variant(sku), &location("LM")).thousandths() / 1_000
                })
                .collect();
            prop_assert_eq!(&stock, &expected);
            results.push((stock, projections["takings"]));
        }
        prop_assert_eq!(&results[0], &results[1]);
    }

    #[test]
    fn pages_of_any_size_come_to_the_rows_of_the_snapshot(
        limit in 1..9_u32,
        sales in prop::collection::vec((0..3_usize, 1..3_i64), 0..12),
        reprice in any::<bool>(),
    ) {
        let mut world = World::with_catalogue();
        let mut seller = world.till("01", 7);
        let reader = world.till("02", 8);
        let mut cursors: BTreeMap<FeedName, Cursor> = BTreeMap::new();
        let mut rows: BTreeMap<FeedName, BTreeMap<String, String>> = BTreeMap::new();
        pull(&mut world, &reader, limit, &mut cursors, &mut rows)?;
        for (sku, units) in &sales {
            seller.sell(world.variant(SKUS[*sku]), *units, 10_000);
            world.sync(&seller, &seller.push_all()).expect("push");
        }
        if reprice {
            let csv = support::CATALOGUE.replace("12.500", "13.500");
            let mut later = options(false);
            later.valid_from = "2026-06-01".parse().expect("date");
            prop_assert!(world.import(&csv, &later).applied);
        }
        pull(&mut world, &reader, limit, &mut cursors, &mut rows)?;
        world.assert_verified();
    }
}

/// The hub's own counts of opening stock, read back from what they came to.
fn opening(world: &World) -> Vec<(EventRef, domain::event::Fact)> {
    let path = world.dir.path().join("t.db");
    let conn = rusqlite::Connection::open(path).expect("open");
    let mut statement = conn
        .prepare("SELECT bytes FROM event WHERE stream = ?1 ORDER BY seq")
        .expect("prepare");
    let rows = statement
        .query_map([world.hub.stream().0], |row| row.get::<_, Vec<u8>>(0))
        .expect("query");
    rows.map(|bytes| {
        let event = Event::decode(&bytes.expect("bytes")).expect("event");
        let at = EventRef {
            stream: event.stream,
            seq: event.seq,
            hlc: event.hlc,
        };
        (at, event.fact().expect("fact"))
    })
    .collect()
}

/// Reads all feeds to their ends and compares checksums and snapshots.
fn pull(
    world: &mut World,
    reader: &Till,
    limit: u32,
    cursors: &mut BTreeMap<FeedName, Cursor>,
    rows: &mut BTreeMap<FeedName, BTreeMap<String, String>>,
) -> Result<(), TestCaseError> {
    loop {
        let request = SyncRequest {
            cursors: cursors.clone(),
            limit,
            ..reader.request(None)
        };
        let reply = world.sync(reader, &request).expect("pull");
        let given: usize = reply.pages.iter().map(|page| page.rows.len()).sum();
        prop_assert!(given <= limit as usize);
        let mut more = false;
        for page in reply.pages {
            more |= page.more;
            let feed = rows.entry(page.feed.clone()).or_default();
            for row in page.rows {
                match row.row {
                    Some(text) => feed.insert(row.pk, text.get().to_owned()),
                    None => feed.remove(&row.pk),
                };
            }
            prop_assert_eq!(page.more, page.checksum.is_none());
            if let Some(checksum) = page.checksum {
                prop_assert_eq!(checksum, sum(feed));
            }
            cursors.insert(page.feed, page.next);
        }
        if !more {
            break;
        }
        prop_assert!(given > 0);
    }
    for feed in reader.enrolled.feeds.clone() {
        let page = world
            .hub
            .snapshot(reader.enrolled.device, &feed, &support::now())
            .expect("snapshot");
        let read = rows.entry(feed.clone()).or_default();
        prop_assert_eq!(page.rows.len(), read.len(), "{}", &feed);
        prop_assert_eq!(page.checksum, Some(sum(read)));
        // A cursor from a snapshot has nothing more to read.
        let mut request = reader.request(None);
        request.limit = 100;
        request.cursors.clone_from(cursors);
        request.cursors.insert(feed.clone(), page.next);
        let reply = world.sync(reader, &request).expect("pull");
        prop_assert!(reply.pages.is_empty());
    }
    Ok(())
}

fn sum(rows: &BTreeMap<String, String>) -> u64 {
    rows.iter()
        .fold(0, |sum, (pk, row)| checksum_add(sum, row_checksum(pk, row)))
}

#[test]
fn verify_names_what_was_tampered_with() {
    let table = [
        (
            "UPDATE event SET bytes = CAST(REPLACE(CAST(bytes AS TEXT), '10000', '10001') AS BLOB) WHERE seq = 2",
            "chain breaks",
        ),
        ("DELETE FROM event WHERE seq = 2", "is missing"),
        ("UPDATE stock SET quantity = quantity + 1", "stock:"),
        (
            "UPDATE takings SET takings_minor = takings_minor + 1",
            "takings:",
        ),
        ("UPDATE takings SET currency = 'MAD'", "takings:"),
        (
            "UPDATE feed SET checksum = checksum + 1 WHERE feed = 'cat'",
            "feed cat",
        ),
        (
            "UPDATE feed_row SET row = '{}' WHERE feed = 'stock:LM'",
            "feed stock:LM",
        ),
        (
            "UPDATE stream SET head_seq = head_seq - 1 WHERE store IS NOT NULL",
            "head",
        ),
        (
            "UPDATE stream SET signature = '' WHERE store IS NOT NULL",
            "not signed",
        ),
    ];
    for (sql, finding) in table {
        let mut world = World::with_catalogue();
        let mut till = world.till("01", 7);
        let variant = world.variant("BAL-4");
        till.sell(variant, 1, 10_000);
        till.sell(variant, 1, 10_000);
        world.sync(&till, &till.push_all()).expect("push");
        world.assert_verified();
        let conn = rusqlite::Connection::open(world.dir.path().join("t.db")).expect("open");
        assert!(conn.execute(sql, []).expect("tamper") > 0, "{sql}");
        let report = world.hub.verify().expect("verify");
        let first = report.first_bad.unwrap_or_default();
        assert!(!report.ok && first.contains(finding), "{sql}: {first}");
    }
}

#[test]
fn a_sale_and_its_reversal_cancel_out() {
    let mut world = World::with_catalogue();
    let mut till = world.till("01", 7);
    let variant = world.variant("BAL-4");
    let sale = till.sale(variant, 3, 10_000);
    let id = sale.sale;
    till.append(&domain::event::Fact::SaleCompleted(sale));
    till.reverse(id, variant, 3, 10_000);
    let reply = world.sync(&till, &till.push_all()).expect("push");
    assert_eq!(reply.quarantined, []);
    assert_eq!(world.on_hand("BAL-4", "LM"), 20);
    let takings = &world.hub.takings(None).expect("takings")[0];
    assert_eq!(
        (takings.receipts, takings.reversals, takings.takings_minor),
        (1, 1, 0)
    );
    assert_eq!(takings.units, Quantity::ZERO);
    world.assert_verified();
}

#[test]
fn the_closings_of_an_older_file_are_kept() {
    let mut world = World::with_catalogue();
    let mut till = world.till("01", 7);
    till.close_shift(1, 0, 500);
    till.close_shift(2, 0, -200);
    let ball = world.variant("BAL-4");
    till.reverse(domain::ids::SaleId(uuid::Uuid::nil()), ball, 1, 10_000);
    world.sync(&till, &till.push_all()).expect("push");
    let before = world.hub.closings(10).expect("closings");
    assert_eq!(before.len(), 2);
    let path = world.dir.path().join("t.db");
    let conn = rusqlite::Connection::open(&path).expect("open");
    // As the third schema had it.
    conn.execute_batch(
        "CREATE TABLE third (stream BLOB NOT NULL, seq INTEGER NOT NULL, store TEXT NOT NULL, till TEXT NOT NULL,
             kind TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, wall INTEGER NOT NULL,
             sales INTEGER NOT NULL, reversals INTEGER NOT NULL, takings_minor INTEGER NOT NULL,
             difference_minor INTEGER NOT NULL, perpetual_minor INTEGER NOT NULL, PRIMARY KEY (stream, seq))
             STRICT, WITHOUT ROWID;
         INSERT INTO third SELECT stream, seq, store, till, kind, number, name, wall, sales, reversals, takings_minor,
             difference_minor, perpetual_minor FROM closing;
         DROP TABLE closing;
         ALTER TABLE third RENAME TO closing;
         CREATE INDEX closing_wall ON closing (wall);
         DROP TABLE right_edge;
         DROP TABLE right_used;
         DROP TABLE sealed;
         DROP TABLE right_seen;
         DROP TABLE right_want;
         DROP TABLE epoch_report;
         DROP TABLE strict_variant;
         DROP TABLE promise;
         DROP TABLE promise_line;
         DROP TABLE incident;
         DROP TABLE reversal;
         DROP TABLE learned;
         DROP TABLE held;
         ALTER TABLE movement DROP COLUMN strict;
         ALTER TABLE movement DROP COLUMN included_stream;
         ALTER TABLE movement DROP COLUMN included_seq;
         ALTER TABLE anchor DROP COLUMN looked;
         DROP TABLE catalogue_read;
         PRAGMA user_version = 3;",
    )
    .expect("third schema");
    drop(conn);
    world.hub = hub::Hub::open(&path, domain::entropy::Entropy::new([2; 32])).expect("open");
    assert_eq!(world.hub.closings(10).expect("closings"), before);
    till.close_shift(3, 0, 0);
    world.sync(&till, &till.push_all()).expect("push");
    assert_eq!(world.hub.closings(10).expect("closings").len(), 3);
    world.assert_verified();
}

#[test]
fn a_file_is_opened_by_its_own_program_only_once_it_is_known() {
    let world = World::new();
    let path = world.dir.path().join("t.db");
    let open = || hub::Hub::open(&path, domain::entropy::Entropy::new([2; 32]));
    assert!(
        open().is_ok(),
        "a second process may open it beside the first"
    );
    let conn = rusqlite::Connection::open(&path).expect("open");
    conn.pragma_update(None, "user_version", 99)
        .expect("pragma");
    assert!(matches!(
        open().err(),
        Some(hub::StoreError::TooNew { found: 99, .. })
    ));
    let foreign = world.dir.path().join("foreign.db");
    rusqlite::Connection::open(&foreign)
        .and_then(|conn| conn.execute_batch("CREATE TABLE x (y)"))
        .expect("foreign");
    assert!(matches!(
        hub::Hub::open(&foreign, domain::entropy::Entropy::new([2; 32])).err(),
        Some(hub::StoreError::NotOurs)
    ));
}

#[test]
fn a_count_may_take_the_place_from_another_in_favour_of_a_third() {
    // The second beats the first by its clock; the third knew of the second, but its own clock is behind the first.
    let mut world = World::with_catalogue();
    let variant = world.variant("COR");
    let mut tills: Vec<Till> = (0..3)
        .map(|index| world.till(&format!("0{}", index + 1), 10 + index))
        .collect();
    let opening = BTreeMap::from([(world.hub.stream(), 100)]);
    let knows_second = BTreeMap::from([(world.hub.stream(), 100), (tills[1].stream, 2)]);
    let counts = [
        (30, opening.clone(), 11),
        (60, opening, 22),
        (10, knows_second, 33),
    ];
    for (till, (minutes, cut, units)) in tills.iter_mut().zip(counts) {
        till.hlc = domain::time::Hlc::default().tick(support::WALL + minutes * 60_000);
        let quantity = Quantity::units(units).expect("units");
        till.count(
            "LM",
            cut,
            vec![Counted {
                variant,
                quantity,
                expected: None,
                looked: None,
                ago_ms: 0,
            }],
        );
    }
    for (order, expected) in [([0, 1, 2], [11, 22, 11]), ([2, 1, 0], [33, 33, 11])] {
        let mut world = World::with_catalogue();
        // The same seeds give the same ids in every world.
        for index in 0..3 {
            world.till(&format!("0{}", index + 1), 10 + index);
        }
        for (index, units) in order.into_iter().zip(expected) {
            let till = &tills[index];
            world.sync(till, &till.push_all()).expect("push");
            assert_eq!(world.on_hand("COR", "LM"), units, "{order:?}");
        }
        world.assert_verified();
    }
}
