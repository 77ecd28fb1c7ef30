//! Escrow: what a stream may sell of a strict variant, and what is left to promise.

use std::collections::BTreeMap;

use crate::shop::{Chance, location, moved, stream, user, variant};
use crdts::{CvRDT as _, VClock};
use domain::catalog::StockClass;
use domain::escrow::{
    CLOCK_TOLERANCE_MS, Effect, Lease, Rights, Tally, effects, free, grant_message, target,
    wants_more, web_buffer,
};
use domain::event::{
    Fact, GoodsLine, GoodsReceived, MAIN_ZONE, Override, OverrideKind, RightsLine, SaleBody,
    TransferSent,
};
use domain::ids::{DocumentId, LocationId, StreamId, TenantId, TransferId};
use domain::quantity::Quantity;
use domain::time::{Boot, Hlc, Now};
use uuid::Uuid;

const TICKET: u64 = 1;

fn whole(units: i64) -> Quantity {
    Quantity(units * 1_000)
}

fn strict(units: i64) -> GoodsLine {
    GoodsLine {
        variant: variant(TICKET),
        quantity: whole(units),
        class: StockClass::Strict,
    }
}

fn strict_sale(units: i64, edit: impl FnOnce(&mut SaleBody)) -> Fact {
    let Fact::SaleCompleted(mut sale) = moved(TICKET, units) else {
        unreachable!("a sale")
    };
    sale.lines[0].class = StockClass::Strict;
    edit(&mut sale);
    Fact::SaleCompleted(sale)
}

fn effect(consumed: i64, minted: i64) -> Vec<Effect> {
    vec![Effect {
        variant: variant(TICKET),
        location: location(),
        consumed: whole(consumed),
        minted: whole(minted),
    }]
}

#[test]
fn what_each_fact_does_to_rights() {
    let no_right = |line| Override {
        kind: OverrideKind::NoRight,
        by: user(),
        line,
    };
    let received = Fact::GoodsReceived(GoodsReceived {
        document: DocumentId(Uuid::nil()),
        location: location(),
        zone: MAIN_ZONE.to_owned(),
        lines: vec![strict(3), strict(2)],
        reference: None,
        included_in: None,
        user: user(),
    });
    let sent = |overrides| {
        Fact::TransferSent(TransferSent {
            transfer: TransferId(Uuid::nil()),
            from: location(),
            zone: MAIN_ZONE.to_owned(),
            to: LocationId::new("TC").expect("location"),
            lines: vec![strict(4)],
            user: user(),
            overrides,
        })
    };
    let kit = |sale: &mut SaleBody| {
        sale.lines[0].class = StockClass::Shelf;
        sale.lines[0].components = vec![strict(6)];
    };
    for (case, fact, expected) in [
        ("a sale", strict_sale(2, |_| {}), effect(2, 0)),
        ("a shelf sale", moved(TICKET, 2), Vec::new()),
        ("brought back", strict_sale(-2, |_| {}), effect(0, 2)),
        ("a kit", strict_sale(2, kit), effect(6, 0)),
        ("received", received, effect(0, 5)),
        ("sent away", sent(Vec::new()), effect(4, 0)),
        (
            "sent away without a right",
            sent(vec![no_right(None)]),
            Vec::new(),
        ),
        (
            "sold without a right",
            strict_sale(2, |sale| {
                sale.overrides.push(no_right(Some(sale.lines[0].line)))
            }),
            Vec::new(),
        ),
        (
            "a waiver for another line",
            strict_sale(2, |sale| sale.overrides.push(no_right(Some(77)))),
            effect(2, 0),
        ),
        (
            "brought back, whatever was waived",
            strict_sale(-1, |sale| {
                sale.overrides.push(no_right(Some(sale.lines[0].line)))
            }),
            effect(0, 1),
        ),
    ] {
        assert_eq!(effects(&fact), expected, "{case}");
    }
}

#[test]
fn rights_go_round_without_growing() {
    let (hub, one, two) = (stream(9), stream(1), stream(2));
    let mut rights = Rights::default();
    rights.moved(hub, one, whole(5));
    rights.moved(hub, one, whole(3)); // an old message
    rights.moved(one, two, whole(2));
    rights.moved(two, hub, whole(1));
    rights.moved(one, one, whole(100)); // to itself
    rights.used(one, whole(1), whole(0));
    rights.used(two, whole(0), whole(4));
    assert_eq!(
        rights.tally(one),
        Tally {
            minted: whole(0),
            consumed: whole(1),
            received: whole(5),
            given: whole(2),
        }
    );
    assert_eq!(rights.tally(one).right(), whole(2));
    assert_eq!(rights.tally(two).right(), whole(5));
    assert_eq!(rights.streams(hub), [one, two]);
    assert_eq!(rights.outstanding(hub, |_| false), whole(7));
    assert_eq!(
        rights.outstanding(hub, |of| of == two),
        whole(2),
        "two is settled"
    );
    assert_eq!(free(whole(10), whole(7), whole(2)), whole(1));
    assert_eq!(free(whole(3), whole(7), whole(2)), whole(-6));
}

#[test]
fn a_debt_of_one_stream_is_no_unit_for_another() {
    let (hub, one, two) = (stream(9), stream(1), stream(2));
    let mut rights = Rights::default();
    rights.moved(hub, one, whole(1));
    rights.used(one, whole(3), whole(0)); // restored under the same stream, it sold twice
    rights.moved(hub, two, whole(2));
    assert_eq!(rights.tally(one).right(), whole(-2));
    assert_eq!(rights.outstanding(hub, |_| false), whole(2));
}

#[test]
fn totals_merge_like_a_vector_clock() {
    // Each edge is one actor's counter; merging in any order and number keeps the largest.
    for seed in 0..500 {
        let mut chance = Chance(seed);
        let mut oracle: BTreeMap<StreamId, VClock<u8>> = BTreeMap::new();
        let mut moves = Vec::new();
        for _ in 0..chance.below(30) {
            let (from, to) = (
                *chance.pick(&[1_u8, 2, 3, 9]),
                *chance.pick(&[1_u8, 2, 3, 9]),
            );
            let total = chance.below(20);
            if from != to {
                moves.push((from, to, total));
                let mut dot = VClock::new();
                if total > 0 {
                    dot.dots.insert(from, total);
                }
                oracle.entry(stream(to)).or_default().merge(dot);
            }
        }
        let again: Vec<_> = moves.iter().rev().chain(&moves).copied().collect();
        for order in [moves, again] {
            let mut rights = Rights::default();
            for (from, to, total) in &order {
                let total = Quantity(i64::try_from(*total).expect("small"));
                rights.moved(stream(*from), stream(*to), total);
            }
            for to in [1_u8, 2, 3, 9] {
                let expected: u64 = oracle
                    .get(&stream(to))
                    .map_or(0, |clock| clock.dots.values().sum());
                let found = rights.tally(stream(to)).received.0;
                assert_eq!(u64::try_from(found), Ok(expected), "seed {seed}");
            }
        }
    }
}

fn now(wall_ms: i64, boot: u64, ms: u64) -> Now {
    Now {
        wall_ms,
        boot: Boot { id: boot, ms },
        utc_offset_min: 60,
    }
}

#[test]
fn a_lease_ends_by_a_clock_that_nobody_sets() {
    let hour = 3_600_000;
    let learned = now(1_000_000_000, 1, 5_000);
    let lease = Lease::learned(50_000 + hour, 50_000, &learned);
    assert_eq!(lease.length_ms, hour);
    let seen = Hlc(u64::try_from(learned.wall_ms).expect("time") << 16);
    let passed = |ms: i64| u64::try_from(5_000 + ms).expect("time");
    let wall = learned.wall_ms;
    for (case, at, expected) in [
        ("at once", learned, true),
        ("at its end", now(wall + hour, 1, passed(hour)), true),
        ("after it", now(wall + hour + 1, 1, passed(hour + 1)), false),
        (
            "after it, wall clock set back a little",
            now(wall, 1, passed(hour + 1)),
            false,
        ),
        (
            "wall clock set far ahead, in the same boot",
            now(wall + 90 * hour, 1, passed(1)),
            true,
        ),
        (
            "wall clock set back",
            now(wall - CLOCK_TOLERANCE_MS - 1, 1, passed(1)),
            false,
        ),
        ("after a restart", now(wall + hour, 2, 1), true),
        (
            "after a restart, too late",
            now(wall + hour + 1, 2, 1),
            false,
        ),
        ("after a restart at 1970", now(0, 2, 1), false),
    ] {
        assert_eq!(lease.runs(&at, seen), expected, "{case}");
    }
    // What the journal has seen later counts, too: a count dated tomorrow by another till.
    let tomorrow = Hlc(u64::try_from(wall + 24 * hour).expect("time") << 16);
    assert!(!lease.runs(&now(wall + 1, 1, passed(1)), tomorrow));
    let over = Lease::learned(10, 50, &learned);
    assert_eq!(over.length_ms, 0, "a lease that was over when it came");
}

#[test]
fn the_grant_that_is_signed_names_everything() {
    let tenant = TenantId::new("atlas").expect("tenant");
    let line = |total, location: &str, lease_end| RightsLine {
        variant: variant(TICKET),
        location: LocationId::new(location).expect("location"),
        total: whole(total),
        lease_end,
    };
    let base = grant_message(&tenant, 1, (stream(9), stream(1)), &line(5, "LM", Some(7)));
    let others = [
        grant_message(
            &TenantId::new("atla").expect("tenant"),
            1,
            (stream(9), stream(1)),
            &line(5, "LM", Some(7)),
        ),
        grant_message(&tenant, 2, (stream(9), stream(1)), &line(5, "LM", Some(7))),
        grant_message(&tenant, 1, (stream(8), stream(1)), &line(5, "LM", Some(7))),
        grant_message(&tenant, 1, (stream(9), stream(2)), &line(5, "LM", Some(7))),
        grant_message(&tenant, 1, (stream(9), stream(1)), &line(6, "LM", Some(7))),
        grant_message(&tenant, 1, (stream(9), stream(1)), &line(5, "TC", Some(7))),
        grant_message(&tenant, 1, (stream(9), stream(1)), &line(5, "LM", Some(8))),
        grant_message(&tenant, 1, (stream(9), stream(1)), &line(5, "LM", None)),
    ];
    assert!(others.iter().all(|other| *other != base));
}

#[test]
fn how_much_a_till_holds_and_the_web_leaves() {
    for (demand, expected) in [
        (0, 0),
        (1_000, 2_000),
        (4_000, 6_000),
        (10_000, 14_000),
        (-5, 0),
    ] {
        assert_eq!(target(Quantity(demand)), Quantity(expected), "{demand}");
    }
    assert!(wants_more(Quantity(1_999), Quantity(4_000)));
    assert!(!wants_more(Quantity(2_000), Quantity(4_000)));
    assert!(!wants_more(Quantity(0), Quantity(0)));
    for (expected_sales, buffer) in [(0, 0), (1_000, 3_000), (4_000, 8_000)] {
        assert_eq!(web_buffer(Quantity(expected_sales)), Quantity(buffer));
    }
    assert_eq!(
        web_buffer(Quantity(i64::MAX)),
        Quantity(i64::MAX),
        "no overflow"
    );
}
