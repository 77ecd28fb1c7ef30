//! The stockroom through the door: documents, transfers, counting while selling, and where a quantity comes from.

use std::collections::BTreeMap;

use domain::event::{AdjustReason, Fact, OverrideKind};
use domain::ids::StreamId;
use domain::quantity::Quantity;
use domain::stock::EventRef;
use domain::time::Hlc;
use serde_json::{Value, json};
use testkit::shop::{
    BALL, CASHIER, MANAGER, MANAGER_PIN, SHOE_42, SHOE_42_EAN, STRICT, Setup, Shop, TEE, approval,
    variant,
};
use till::door::{
    Command, CountedView, GoodsView, LineageKind, LineageView, Reply, StockCountView, TransferView,
};

fn read(command: Value) -> Command {
    serde_json::from_value(command.clone()).unwrap_or_else(|error| panic!("{command}: {error}"))
}

/// A store with 10 balls and 5 shirts; a cashier is signed in and has a shift open.
fn store() -> Shop {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.set_stock("LM", &[(BALL, 10), (TEE, 5), (STRICT, 4)]);
    shop.open();
    shop
}

fn goods(shop: &mut Shop, command: Value) -> GoodsView {
    match shop.ok(read(command)) {
        Reply::Goods(view) => *view,
        other => panic!("{other:?}"),
    }
}

fn count(shop: &mut Shop, command: Value) -> StockCountView {
    match shop.ok(read(command)) {
        Reply::StockCount(view) => *view,
        other => panic!("{other:?}"),
    }
}

fn transfers(shop: &mut Shop) -> Vec<TransferView> {
    match shop.ok(read(json!({"type": "ListTransfers"}))) {
        Reply::Transfers { transfers, places } => {
            let here: Vec<_> = places
                .iter()
                .map(|place| (place.location.as_str(), place.here))
                .collect();
            assert_eq!(here, [("LM", true), ("SO", false)]);
            transfers
        }
        other => panic!("{other:?}"),
    }
}

fn lineage(shop: &mut Shop, sku: &str) -> LineageView {
    match shop.ok(read(
        json!({"type": "StockLineage", "variant": variant(sku)}),
    )) {
        Reply::Lineage(view) => *view,
        other => panic!("{other:?}"),
    }
}

/// On hand as the look-up screen shows it, in units; the lineage must come to the same.
fn units(shop: &mut Shop, sku: &str) -> i64 {
    let Reply::Stock(view) = shop.ok(read(json!({"type": "StockOf", "variant": variant(sku)})))
    else {
        panic!("stock");
    };
    let shown = view.locations[0].quantity.expect("known").0;
    let of = lineage(shop, sku);
    let moved = of
        .steps
        .iter()
        .filter(|step| step.counts && step.kind != LineageKind::Counted);
    let sum: i64 = of.start.0 + moved.map(|step| step.quantity.0).sum::<i64>();
    assert_eq!((of.quantity, sum), (Some(Quantity(shown)), shown));
    assert_eq!(view.variant.stock, of.quantity);
    shown / 1_000
}

fn line(sku: &str, units: i64) -> Value {
    json!({"variant": variant(sku), "quantity": units * 1_000})
}

fn signed() -> Value {
    json!({"user": MANAGER, "pin": MANAGER_PIN})
}

#[test]
fn a_label_names_its_variant_without_a_cart() {
    let mut shop = store();
    let Reply::Variants { rows, more } =
        shop.ok(read(json!({"type": "FindCode", "code": SHOE_42_EAN})))
    else {
        panic!("variants");
    };
    assert_eq!(
        (rows.len(), rows[0].sku.as_str(), more),
        (1, SHOE_42, false)
    );
    assert!(shop.cart().lines.is_empty());
}

#[test]
fn documents_move_stock_at_once_and_are_facts_of_whoever_is_signed_in() {
    let mut shop = store();
    let view = goods(
        &mut shop,
        json!({"type": "ReceiveGoods", "reference": " BL-77 ",
        "lines": [line(BALL, 2), line(TEE, 1), line(BALL, 1)]}),
    );
    let told: Vec<_> = view
        .lines
        .iter()
        .map(|line| (line.sku.as_str(), line.quantity.0, line.stock))
        .collect();
    assert_eq!(
        told,
        [
            (BALL, 3_000, Some(Quantity(10_000))),
            (TEE, 1_000, Some(Quantity(5_000)))
        ]
    );
    assert_eq!((units(&mut shop, BALL), units(&mut shop, TEE)), (13, 6));
    let Some(Fact::GoodsReceived(fact)) = shop.facts().pop() else {
        panic!("a delivery")
    };
    assert_eq!(
        (fact.document, fact.user, fact.reference.as_deref()),
        (view.document, CASHIER, Some("BL-77"))
    );

    goods(
        &mut shop,
        json!({"type": "AdjustStock", "reason": "damaged", "note": "carton mouillé",
        "lines": [line(BALL, -2)], "approval": signed()}),
    );
    assert_eq!(units(&mut shop, BALL), 11);
    assert_eq!(lineage(&mut shop, BALL).damaged, Quantity(2_000));
    let Some(Fact::StockAdjusted(fact)) = shop.facts().pop() else {
        panic!("an adjustment")
    };
    assert_eq!(
        (fact.reason, fact.user, fact.approved_by),
        (AdjustReason::Damaged, CASHIER, Some(MANAGER))
    );
    shop.sign_in(MANAGER);
    goods(
        &mut shop,
        json!({"type": "AdjustStock", "reason": "damaged", "lines": [line(BALL, 1)]}),
    );
    assert_eq!(
        (units(&mut shop, BALL), lineage(&mut shop, BALL).damaged),
        (12, Quantity(1_000))
    );
    let Some(Fact::StockAdjusted(fact)) = shop.facts().pop() else {
        panic!("an adjustment")
    };
    assert_eq!((fact.user, fact.approved_by), (MANAGER, None));

    goods(
        &mut shop,
        json!({"type": "MoveZone", "from_zone": "main", "to_zone": "reserve", "lines": [line(BALL, 5)]}),
    );
    assert_eq!(units(&mut shop, BALL), 12);
    let zones = lineage(&mut shop, BALL).zones;
    assert_eq!(
        (zones["main"], zones["reserve"]),
        (Quantity(7_000), Quantity(5_000))
    );
    shop.verify_clean();
}

#[test]
fn a_document_that_is_asked_for_again_is_written_once() {
    let mut shop = store();
    let id = shop.request_id();
    let command = || read(json!({"type": "ReceiveGoods", "lines": [line(BALL, 2)]}));
    let first = serde_json::to_value(shop.call_as(id, command())).expect("plain data");
    shop.reopen();
    let again = serde_json::to_value(shop.call_as(id, command())).expect("plain data");
    assert_eq!(first, again);
    assert_eq!(units(&mut shop, BALL), 12);
}

#[test]
fn a_transfer_leaves_is_seen_on_its_way_and_arrives_in_parts() {
    let mut shop = store();
    let sent = goods(
        &mut shop,
        json!({"type": "SendTransfer", "to": "SO", "lines": [line(BALL, 4), line(TEE, 1)]}),
    );
    assert_eq!((units(&mut shop, BALL), units(&mut shop, TEE)), (6, 4));
    let open = transfers(&mut shop);
    assert_eq!(
        (open.len(), open[0].to.as_str(), open[0].lines.len()),
        (1, "SO", 2)
    );
    assert_eq!(open[0].transfer.0, sent.document.0);
    assert_eq!(lineage(&mut shop, BALL).in_transit, Quantity(4_000));
    goods(
        &mut shop,
        json!({"type": "LoseTransfer", "transfer": sent.document, "from": "LM", "to": "SO",
        "lines": [line(BALL, 1)], "approval": signed()}),
    );
    assert_eq!(
        units(&mut shop, BALL),
        6,
        "what is lost on its way left long ago"
    );
    assert_eq!(lineage(&mut shop, BALL).in_transit, Quantity(3_000));

    let theirs = uuid::Uuid::from_u128(0x7A);
    for part in [3, 2] {
        goods(
            &mut shop,
            json!({"type": "ReceiveTransfer", "transfer": theirs, "from": "SO", "lines": [line(BALL, part)]}),
        );
    }
    assert_eq!(units(&mut shop, BALL), 11);
    assert_eq!(
        transfers(&mut shop).len(),
        1,
        "a transfer of others is no business of this list"
    );
    shop.verify_clean();
}

#[test]
fn a_manager_answers_for_a_strict_variant_that_leaves_without_a_right() {
    let mut shop = store();
    goods(
        &mut shop,
        json!({"type": "SendTransfer", "to": "SO", "lines": [line(STRICT, 1)],
        "without_right": true, "approval": signed()}),
    );
    let Some(Fact::TransferSent(fact)) = shop.facts().pop() else {
        panic!("a transfer")
    };
    assert_eq!(
        (
            fact.overrides.len(),
            fact.overrides[0].kind,
            fact.overrides[0].by
        ),
        (1, OverrideKind::NoRight, MANAGER)
    );
    assert!(
        domain::escrow::effects(&Fact::TransferSent(fact)).is_empty(),
        "no right is spent"
    );
    assert_eq!(units(&mut shop, STRICT), 3);
    // What comes in needs no right.
    goods(
        &mut shop,
        json!({"type": "ReceiveGoods", "lines": [line(STRICT, 2)]}),
    );
    assert_eq!(units(&mut shop, STRICT), 5);
}

#[test]
fn a_right_lets_a_strict_variant_leave_and_what_comes_in_is_a_right() {
    let mut shop = store();
    shop.grant(STRICT, 3, 24 * 60 * 60 * 1_000);
    let right = |shop: &Shop| {
        let right = shop
            .ledger()
            .right(variant(STRICT), &shop.location(), &shop.now());
        right.expect("right").0 / 1_000
    };
    goods(
        &mut shop,
        json!({"type": "SendTransfer", "to": "SO", "lines": [line(STRICT, 2)]}),
    );
    assert_eq!(right(&shop), 1);
    shop.sign_in(MANAGER);
    shop.refused_with(
        read(json!({"type": "AdjustStock", "reason": "theft", "lines": [line(STRICT, -2)]})),
        till::door::RefusalCode::NoRight,
        json!({"sku": STRICT, "variant": variant(STRICT), "right": 1_000}),
    );
    goods(
        &mut shop,
        json!({"type": "ReceiveGoods", "lines": [line(STRICT, 2)]}),
    );
    assert_eq!(right(&shop), 3);
    goods(
        &mut shop,
        json!({"type": "AdjustStock", "reason": "theft", "lines": [line(STRICT, -2)]}),
    );
    assert_eq!(right(&shop), 1);
    shop.verify_clean();
}

fn row<'a>(view: &'a StockCountView, sku: &str) -> &'a CountedView {
    view.rows.iter().find(|row| row.sku == sku).expect("a row")
}

fn sell(shop: &mut Shop, sku: &str) {
    shop.scan(sku);
    shop.pay_cash(None);
}

#[test]
fn a_count_goes_on_while_the_shop_sells() {
    let mut shop = store();
    count(&mut shop, json!({"type": "StartStockCount"}));
    count(&mut shop, json!({"type": "ScanCounted", "code": BALL}));
    count(
        &mut shop,
        json!({"type": "AddCounted", "variant": variant(BALL), "quantity": 5_000}),
    );
    // 6 on the first shelf; one is sold, from there or from the next shelf; 4 on that; then two more are sold.
    sell(&mut shop, BALL);
    shop.advance_ms(60_000);
    count(
        &mut shop,
        json!({"type": "AddCounted", "variant": variant(BALL), "quantity": 4_000}),
    );
    sell(&mut shop, BALL);
    sell(&mut shop, BALL);
    let view = count(
        &mut shop,
        json!({"type": "AddCounted", "variant": variant(TEE), "quantity": 0}),
    );
    assert_eq!(
        (view.items, view.units, view.finished),
        (2, Quantity(10_000), false)
    );
    let ball = row(&view, BALL);
    assert_eq!(
        (ball.found, ball.expected),
        (Quantity(10_000), Some(Quantity(7_000)))
    );
    assert_eq!(
        (ball.moved_between, ball.moved_since),
        (Quantity(-1_000), Quantity(-2_000))
    );
    assert_eq!(
        (ball.quantity, ball.difference),
        (Quantity(7_000), Some(Quantity::ZERO))
    );
    assert_ne!(ball.first_at, ball.last_at);
    assert_eq!(row(&view, TEE).difference, Some(Quantity(-5_000)));

    // The draft outlives the program, and nothing is booked until the end.
    shop.reopen();
    assert_eq!((units(&mut shop, BALL), units(&mut shop, TEE)), (7, 5));
    let again = count(&mut shop, json!({"type": "GetStockCount"}));
    assert_eq!(again, view);
    let done = count(
        &mut shop,
        json!({"type": "FinishStockCount", "approval": signed()}),
    );
    assert_eq!(
        (done.finished, done.document, done.rows.len()),
        (true, view.document, 2)
    );
    assert_eq!((units(&mut shop, BALL), units(&mut shop, TEE)), (7, 0));
    let Some(Fact::StockCounted(fact)) = shop.facts().pop() else {
        panic!("a count")
    };
    let head = shop.ledger().head();
    assert_eq!(fact.cut.get(&head.stream), Some(&(head.seq - 1)));
    assert_eq!(
        (fact.user, fact.approved_by, fact.document),
        (Some(CASHIER), Some(MANAGER), Some(view.document))
    );
    assert_eq!(
        fact.items
            .iter()
            .map(|item| item.expected)
            .collect::<Vec<_>>()
            .len(),
        2
    );
    shop.refused_with(
        read(json!({"type": "GetStockCount"})),
        till::door::RefusalCode::NoCount,
        json!({}),
    );
    sell(&mut shop, BALL);
    assert_eq!(units(&mut shop, BALL), 6);
    shop.verify_clean();
}

#[test]
fn what_others_moved_is_set_against_the_look_by_whoever_hears_of_both() {
    let mut shop = store();
    count(&mut shop, json!({"type": "StartStockCount"}));
    count(
        &mut shop,
        json!({"type": "AddCounted", "variant": variant(BALL), "quantity": 9_000}),
    );
    // Another till of the store sold three and took two in, nobody here knows when; we sell one.
    let other = StreamId([8; 16]);
    shop.advance_ms(60_000);
    shop.others = BTreeMap::from([(other, 5)]);
    shop.set_stock("LM", &[(BALL, 9)]);
    sell(&mut shop, BALL);
    let view = count(&mut shop, json!({"type": "GetStockCount"}));
    let ball = row(&view, BALL);
    assert_eq!(
        (ball.moved_since, ball.quantity, ball.difference),
        (Quantity(-1_000), Quantity(8_000), Some(Quantity(-1_000)))
    );
    shop.advance_ms(60_000);
    count(
        &mut shop,
        json!({"type": "FinishStockCount", "approval": signed()}),
    );
    assert_eq!(units(&mut shop, BALL), 8);
    let Some(Fact::StockCounted(fact)) = shop.facts().pop() else {
        panic!("a count")
    };
    // Those who know its events tell by their clocks which of them the look has seen.
    assert_eq!((fact.cut[&other], fact.items[0].ago_ms), (5, 120_000));
    let looked = fact.items[0].looked.as_ref().expect("more was heard of");
    assert_eq!(looked.folded, BTreeMap::from([(other, 0)]));
}

#[test]
fn how_long_ago_somebody_looked_is_told_by_the_clock_that_nobody_sets() {
    let mut shop = store();
    count(&mut shop, json!({"type": "StartStockCount"}));
    count(
        &mut shop,
        json!({"type": "AddCounted", "variant": variant(BALL), "quantity": 9_000}),
    );
    shop.advance_ms(600_000);
    let wall = shop.now().wall_ms;
    shop.set_wall_ms(wall - 7_200_000);
    count(
        &mut shop,
        json!({"type": "FinishStockCount", "approval": signed()}),
    );
    let Some(Fact::StockCounted(fact)) = shop.facts().pop() else {
        panic!("a count")
    };
    assert_eq!(fact.items[0].ago_ms, 600_000);
    assert_eq!(fact.items[0].looked, None, "nothing was heard of meanwhile");
}

#[test]
fn of_strict_goods_a_count_says_what_was_known_when_they_were_looked_at() {
    let (other, server) = (StreamId([8; 16]), StreamId([9; 16]));
    let mut shop = store();
    shop.others = BTreeMap::from([(other, 20), (server, 7)]);
    shop.set_stock("LM", &[(STRICT, 4), (BALL, 10)]);
    count(&mut shop, json!({"type": "StartStockCount"}));
    let looked_at = shop.now().wall_ms;
    for sku in [STRICT, BALL] {
        count(
            &mut shop,
            json!({"type": "AddCounted", "variant": variant(sku), "quantity": 4_000}),
        );
    }
    // An hour later it is heard that another till received two and sold one, and one is looked at once more.
    shop.advance_ms(3_600_000);
    shop.others = BTreeMap::from([(other, 25), (server, 7), (StreamId([10; 16]), 3)]);
    shop.set_stock("LM", &[(STRICT, 5), (BALL, 11)]);
    count(
        &mut shop,
        json!({"type": "AddCounted", "variant": variant(STRICT), "quantity": 1_000}),
    );
    goods(
        &mut shop,
        json!({"type": "SendTransfer", "to": "SO", "lines": [line(STRICT, 1)],
        "without_right": true, "approval": signed()}),
    );
    let view = count(&mut shop, json!({"type": "GetStockCount"}));
    let ticket = row(&view, STRICT);
    // Only what left here is taken along; the four of the look, less that one, were expected.
    assert_eq!(
        (ticket.quantity, ticket.expected, ticket.difference),
        (
            Quantity(4_000),
            Some(Quantity(3_000)),
            Some(Quantity(1_000))
        )
    );
    count(
        &mut shop,
        json!({"type": "FinishStockCount", "approval": signed()}),
    );
    let Some(Fact::StockCounted(fact)) = shop.facts().pop() else {
        panic!("a count")
    };
    let own = shop.ledger().head().stream;
    assert_eq!(fact.cut.keys().count(), 4);
    assert_eq!((fact.cut[&other], fact.cut[&server]), (25, 7));
    assert!(fact.cut.contains_key(&own));
    let item = |sku| {
        let found = fact.items.iter().find(|item| item.variant == variant(sku));
        found.expect("counted").clone()
    };
    let ball = item(BALL).looked.expect("more was heard of");
    assert_eq!(ball.folded.get(&other), Some(&20));
    let looked = item(STRICT).looked.expect("it is strict");
    assert_eq!(looked.wall, looked_at, "the first look");
    // Of the stream that nobody had heard of nothing was known then.
    let folded = BTreeMap::from([(other, 20), (StreamId([10; 16]), 0)]);
    assert_eq!(looked.folded, folded);
    let at = EventRef {
        stream: own,
        seq: shop.ledger().head().seq,
        hlc: Hlc(u64::MAX),
    };
    let anchor = &domain::stock::counted(&at, &fact)[&variant(STRICT)];
    assert!(anchor.knew(other, 20) && !anchor.knew(other, 21));
    assert!(!anchor.knew(StreamId([10; 16]), 1));
}

#[test]
fn several_devices_count_under_one_document_and_a_mistake_is_put_right() {
    let mut shop = store();
    let document = uuid::Uuid::from_u128(0xC0);
    let view = count(
        &mut shop,
        json!({"type": "StartStockCount", "zone": "reserve", "document": document}),
    );
    assert_eq!((view.document.0, view.zone.as_str()), (document, "reserve"));
    count(
        &mut shop,
        json!({"type": "AddCounted", "variant": variant(BALL), "quantity": 30_000}),
    );
    let view = count(
        &mut shop,
        json!({"type": "AddCounted", "variant": variant(BALL), "quantity": -27_000}),
    );
    assert_eq!(row(&view, BALL).found, Quantity(3_000));
    count(
        &mut shop,
        json!({"type": "AddCounted", "variant": variant(TEE), "quantity": 1_000}),
    );
    let view = count(
        &mut shop,
        json!({"type": "RemoveCounted", "variant": variant(TEE)}),
    );
    assert_eq!(view.items, 1);
    count(
        &mut shop,
        json!({"type": "FinishStockCount", "approval": signed()}),
    );
    assert_eq!(
        units(&mut shop, BALL),
        13,
        "3 in the reserve beside the 10 of the main zone"
    );
    assert_eq!(units(&mut shop, TEE), 5, "not counted");
    // A second part of the same count.
    let view = count(
        &mut shop,
        json!({"type": "StartStockCount", "zone": "*", "document": document}),
    );
    assert_eq!(view.items, 0);
    count(
        &mut shop,
        json!({"type": "AddCounted", "variant": variant(BALL), "quantity": 12_000}),
    );
    count(
        &mut shop,
        json!({"type": "FinishStockCount", "approval": signed()}),
    );
    assert_eq!(units(&mut shop, BALL), 12);
    shop.ok(read(json!({"type": "StartStockCount"})));
    shop.ok(read(json!({"type": "DropStockCount"})));
    assert_eq!(units(&mut shop, BALL), 12);
}

#[test]
fn a_count_that_was_written_before_a_crash_is_no_draft_any_more() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.set_stock("LM", &[(BALL, 10)]);
    shop.open();
    count(&mut shop, json!({"type": "StartStockCount"}));
    count(
        &mut shop,
        json!({"type": "AddCounted", "variant": variant(BALL), "quantity": 8_000}),
    );
    let drafts = shop.folder().join("drafts.db");
    shop.close_till();
    let before = std::fs::read(&drafts).expect("drafts");
    shop.reopen();
    count(
        &mut shop,
        json!({"type": "FinishStockCount", "approval": signed()}),
    );
    shop.close_till();
    // As after a power cut: the fact is there, the drafts are those of before.
    std::fs::write(&drafts, before).expect("drafts of before");
    shop.reopen();
    shop.refused_with(
        read(json!({"type": "GetStockCount"})),
        till::door::RefusalCode::NoCount,
        json!({}),
    );
    assert_eq!(units(&mut shop, BALL), 8);
    shop.ok(read(json!({"type": "StartStockCount"})));
}

#[test]
fn a_quantity_tells_where_it_comes_from() {
    let mut shop = store();
    sell(&mut shop, BALL);
    goods(
        &mut shop,
        json!({"type": "ReceiveGoods", "reference": "BL-1", "lines": [line(BALL, 4)]}),
    );
    // Head office has folded all of that.
    shop.set_stock("LM", &[(BALL, 13)]);
    goods(
        &mut shop,
        json!({"type": "AdjustStock", "reason": "theft", "lines": [line(BALL, -1)], "approval": signed()}),
    );
    let of = lineage(&mut shop, BALL);
    assert_eq!(
        (of.served, of.start, of.quantity),
        (
            Some(Quantity(13_000)),
            Quantity(13_000),
            Some(Quantity(12_000))
        )
    );
    assert!(of.age_ms.is_some());
    let told: Vec<_> = of
        .steps
        .iter()
        .map(|step| (step.kind, step.quantity.0, step.counts))
        .collect();
    assert_eq!(
        told,
        [
            (LineageKind::Adjusted, -1_000, true),
            (LineageKind::Received, 4_000, false),
            (LineageKind::Sold, -1_000, false),
        ]
    );
    assert_eq!(
        (of.steps[0].reason, of.steps[1].reference.as_str()),
        (Some(AdjustReason::Theft), "BL-1")
    );
    assert!(
        of.steps[2].reference.starts_with("LM-01-"),
        "the receipt's number"
    );
    assert_eq!(approval().user, MANAGER);
}
