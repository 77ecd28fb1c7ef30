//! Stock: a set of events has one answer, whatever their order and however often they come.

use crate::shop::{
    Chance, Terms, article, cart, counted, header, location, moved, stream, variant,
};
use crdts::{CmRDT as _, CvRDT as _, PNCounter};
use domain::catalog::StockClass;
use domain::event::{CountReason, Counted, Fact, StockCounted};
use domain::ids::{EventId, StreamId};
use domain::money::Currency;
use domain::posting::stock_postings;
use domain::quantity::Quantity;
use domain::sale::complete;
use domain::stock::{Anchor, EventRef, Moved, StockFold, beats, is_after, movements, winner};
use domain::time::Hlc;
use std::collections::BTreeMap;
use uuid::Uuid;

const BALL: u64 = 1;

fn at(stream_number: u8, seq: u64, clock: u64) -> EventRef {
    EventRef {
        stream: stream(stream_number),
        seq,
        hlc: Hlc(clock),
    }
}

fn cut(entries: &[(u8, u64)]) -> BTreeMap<StreamId, u64> {
    entries
        .iter()
        .map(|(number, seq)| (stream(*number), *seq))
        .collect()
}

fn units(fold: &StockFold) -> i64 {
    fold.on_hand(variant(BALL), &location()).0 / 1_000
}

fn fold<'a>(events: impl IntoIterator<Item = &'a (EventRef, Fact)>) -> StockFold {
    let mut fold = StockFold::default();
    for (event, fact) in events {
        fold.add(event, fact);
    }
    fold
}

#[test]
fn a_count_and_what_comes_after_it() {
    // Stream 1 is a till, 2 another, 9 the hub. Each row: event, clock, fact; then what is on hand.
    let sold = |units| moved(BALL, units);
    let count = |units, known: &[(u8, u64)]| counted(BALL, units, cut(known));
    for (case, events, on_hand) in [
        (
            "sales without a count",
            vec![(at(1, 1, 10), sold(2)), (at(1, 2, 11), sold(-1))],
            -1,
        ),
        (
            "opening stock, then sales",
            vec![(at(9, 1, 5), count(10, &[])), (at(1, 1, 10), sold(3))],
            7,
        ),
        (
            "a return after the opening",
            vec![
                (at(9, 1, 5), count(10, &[])),
                (at(1, 1, 10), sold(3)),
                (at(1, 2, 11), sold(-3)),
            ],
            10,
        ),
        (
            "a sale in the cut is counted",
            vec![(at(1, 1, 4), sold(3)), (at(9, 1, 5), count(10, &[(1, 1)]))],
            10,
        ),
        (
            "a late sale from before the count is before it",
            vec![(at(1, 1, 4), sold(3)), (at(9, 1, 5), count(10, &[]))],
            10,
        ),
        (
            "a late return from before the count is before it",
            vec![(at(1, 1, 4), sold(-3)), (at(9, 1, 5), count(10, &[]))],
            10,
        ),
        (
            "one's own sale before",
            vec![(at(1, 1, 99), sold(3)), (at(1, 2, 5), count(10, &[]))],
            10,
        ),
        (
            "one's own sale after, clock back",
            vec![(at(1, 1, 50), count(10, &[])), (at(1, 2, 5), sold(3))],
            7,
        ),
        (
            "one's own return after, clock back",
            vec![(at(1, 1, 50), count(10, &[])), (at(1, 2, 5), sold(-3))],
            13,
        ),
        (
            "the later count wins",
            vec![(at(1, 1, 5), count(10, &[])), (at(2, 1, 6), count(8, &[]))],
            8,
        ),
        (
            "a count that knew the other wins, whatever the clocks say",
            vec![
                (at(1, 1, 99), count(10, &[])),
                (at(2, 1, 6), count(8, &[(1, 1)])),
            ],
            8,
        ),
        (
            "two counts of one stream",
            vec![(at(1, 1, 99), count(10, &[])), (at(1, 2, 6), count(8, &[]))],
            8,
        ),
        (
            "a count below what was sold",
            vec![
                (at(9, 1, 5), count(1, &[])),
                (at(1, 1, 6), sold(2)),
                (at(2, 1, 6), sold(2)),
            ],
            -3,
        ),
    ] {
        assert_eq!(units(&fold(&events)), on_hand, "{case}");
        assert_eq!(
            units(&fold(events.iter().rev().chain(&events))),
            on_hand,
            "{case}, back and forth"
        );
    }
}

#[test]
fn what_no_cut_can_order_the_clock_orders_and_for_strict_variants_doubt_does() {
    let anchor = Anchor {
        at: at(9, 7, 50),
        cut: cut(&[(1, 3), (9, 99)]),
        looked_ms: at(9, 7, 50).hlc.ms(),
        seen_ms: at(9, 7, 50).hlc.ms(),
        learned: BTreeMap::new(),
        quantity: Quantity(0),
    };
    for (event, out, goods_in) in [
        (at(1, 3, 99), false, false), // in the cut, whatever its clock says
        (at(1, 4, 49), false, false),
        (at(1, 4, 50), false, false),
        (at(1, 4, 51), true, true),
        (at(2, 1, 1), false, false),
        (at(9, 6, 99), false, false), // the author's own past
        (at(9, 8, 1), true, true),    // and its future, although its cut claims to know it
    ] {
        assert_eq!(
            is_after(&event, Quantity(-1), &anchor),
            out,
            "{event:?} out"
        );
        assert_eq!(
            is_after(&event, Quantity(1), &anchor),
            goods_in,
            "{event:?} in"
        );
    }
    // The clock is asked about the look, where that was some time before the end.
    let at_ms = |stream, seq, ms: i64| EventRef {
        hlc: Hlc::default().tick(ms),
        ..at(stream, seq, 0)
    };
    let looked = Anchor {
        at: at_ms(9, 7, 50),
        looked_ms: 50,
        seen_ms: 40,
        ..anchor.clone()
    };
    for (event, after) in [
        (at_ms(1, 4, 40), false),
        (at_ms(1, 4, 41), true),
        (at_ms(1, 3, 99), false),
        (at_ms(9, 6, 45), false),
    ] {
        for delta in [-1, 1] {
            assert_eq!(
                is_after(&event, Quantity(delta), &looked),
                after,
                "{event:?}"
            );
        }
    }
    let strict = |delta| Moved {
        delta: Quantity(delta),
        strict: true,
        included_in: None,
    };
    for clock in [39, 49, 50, 51] {
        for anchor in [&anchor, &looked] {
            assert!(is_after(&at(1, 4, clock), strict(-1), anchor), "{clock}");
            assert!(!is_after(&at(1, 4, clock), strict(1), anchor), "{clock}");
        }
    }
}

#[test]
fn three_counts_in_a_circle_have_one_winner() {
    // b knew a; c is concurrent to both, with a clock between that of a, which ran ahead, and b.
    let a = Anchor {
        at: at(1, 1, 90),
        cut: cut(&[]),
        looked_ms: at(1, 1, 90).hlc.ms(),
        seen_ms: at(1, 1, 90).hlc.ms(),
        learned: BTreeMap::new(),
        quantity: Quantity(1),
    };
    let b = Anchor {
        at: at(2, 1, 10),
        cut: cut(&[(1, 1)]),
        looked_ms: at(2, 1, 10).hlc.ms(),
        seen_ms: at(2, 1, 10).hlc.ms(),
        learned: BTreeMap::new(),
        quantity: Quantity(2),
    };
    let c = Anchor {
        at: at(3, 1, 50),
        cut: cut(&[]),
        looked_ms: at(3, 1, 50).hlc.ms(),
        seen_ms: at(3, 1, 50).hlc.ms(),
        learned: BTreeMap::new(),
        quantity: Quantity(3),
    };
    assert!(
        beats(&b, &a) && beats(&c, &b) && beats(&a, &c),
        "pair by pair it goes round"
    );
    for order in [
        [&a, &b, &c],
        [&c, &b, &a],
        [&b, &a, &c],
        [&a, &c, &b],
        [&b, &c, &a],
        [&c, &a, &b],
    ] {
        assert_eq!(winner(order), Some(&c));
    }
}

#[test]
fn services_have_no_stock_and_lines_of_one_variant_are_one_movement() {
    let mut service = article("stringing", 1_000, "19", 1_000);
    service.class = StockClass::Untracked;
    let mut goods = cart([
        service,
        article("ball", 1_000, "19", 2_000),
        article("ball", 900, "19", 3_000),
    ]);
    goods.lines[2].variant = goods.lines[1].variant;
    let pricing = Terms::new(Currency::Tnd);
    let sale = complete(
        &goods,
        &pricing.pricing(),
        header(1),
        &[crate::shop::cash(9_000)],
    )
    .expect("a sale");
    let fact = Fact::SaleCompleted(sale);
    let found = movements(&fact);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].variant, found[0].moved.delta),
        (goods.lines[1].variant, Quantity(-5_000))
    );
    assert!(found[0].moved.delta < Quantity::ZERO);
    let sums: Vec<i64> = stock_postings(&fact)
        .iter()
        .map(|entry| entry.quantity.0)
        .collect();
    assert_eq!(sums, [-5_000, 5_000]);
}

#[test]
fn zones_are_counted_apart_and_shown_together() {
    let count = |zone: &str, units: &[i64]| {
        let counted = |units: &i64| Counted {
            variant: variant(BALL),
            quantity: Quantity(units * 1_000),
            expected: None,
            looked: None,
            ago_ms: 0,
        };
        Fact::StockCounted(StockCounted {
            approved_by: None,
            location: location(),
            zone: zone.to_owned(),
            cut: BTreeMap::new(),
            items: units.iter().map(counted).collect(),
            reason: CountReason::Count,
            document: None,
            user: None,
        })
    };
    let events = [
        (at(1, 1, 1), count("main", &[5, 2])), // found in two places
        (at(1, 2, 2), count("attic", &[10])),
        (at(1, 3, 3), moved(BALL, 1)),
        (at(1, 4, 4), count("attic", &[9])),
    ];
    assert_eq!(units(&fold(&events)), 15);
}

/// Streams with clocks of their own; a count knows a random part of what happened before it.
fn random_events(chance: &mut Chance, with_counts: bool) -> Vec<(EventRef, Fact)> {
    let mut seqs = [0_u64; 4];
    let mut events: Vec<(EventRef, Fact)> = Vec::new();
    for _ in 0..chance.below(30) {
        let author = *chance.pick(&[0_u8, 1, 2, 3]);
        let seq = &mut seqs[usize::from(author)];
        *seq += 1;
        let event = at(author, *seq, chance.below(50));
        let fact = if with_counts && chance.below(5) == 0 {
            let mut known = BTreeMap::new();
            for other in 0..4_u8 {
                let head = seqs[usize::from(other)];
                known.insert(stream(other), chance.below(head + 1));
            }
            counted(BALL, chance.amount(40), known)
        } else {
            moved(BALL, chance.amount(9) - 4)
        };
        events.push((event, fact));
    }
    events
}

#[test]
fn order_and_repetition_play_no_part() {
    for seed in 0..2_000 {
        let mut chance = Chance(seed);
        let events = random_events(&mut chance, true);
        let expected = fold(&events);
        let mut arrivals: Vec<&(EventRef, Fact)> = events.iter().collect();
        for _ in 0..chance.below(20) {
            if !events.is_empty() {
                arrivals.push(chance.pick(&events));
            }
        }
        chance.shuffle(&mut arrivals);
        let found = fold(arrivals);
        assert_eq!(units(&found), units(&expected), "seed {seed}");
        assert_eq!(found, expected, "seed {seed}");
    }
}

#[test]
fn without_counts_it_is_a_pn_counter() {
    for seed in 0..500 {
        let mut chance = Chance(seed);
        let events = random_events(&mut chance, false);
        let mut replicas: BTreeMap<StreamId, PNCounter<StreamId>> = BTreeMap::new();
        for (event, fact) in &events {
            let counter = replicas.entry(event.stream).or_default();
            for movement in movements(fact) {
                let steps = movement.moved.delta.0.unsigned_abs();
                let op = if movement.moved.delta < Quantity::ZERO {
                    counter.dec_many(event.stream, steps)
                } else {
                    counter.inc_many(event.stream, steps)
                };
                counter.apply(op);
            }
        }
        let mut gossip: Vec<_> = replicas
            .values()
            .chain(replicas.values())
            .cloned()
            .collect();
        chance.shuffle(&mut gossip);
        let mut oracle = PNCounter::new();
        gossip.into_iter().for_each(|counter| oracle.merge(counter));
        let found = fold(&events).on_hand(variant(BALL), &location());
        assert_eq!(
            found.0.to_string(),
            oracle.read().to_string(),
            "seed {seed}"
        );
    }
}

#[test]
fn a_count_that_knows_everything_is_the_answer() {
    for seed in 0..500 {
        let mut chance = Chance(seed);
        let mut events = random_events(&mut chance, true);
        let mut known: BTreeMap<StreamId, u64> = BTreeMap::new();
        for (event, _) in &events {
            let seq = known.entry(event.stream).or_default();
            *seq = (*seq).max(event.seq);
        }
        // Its clock is behind all others, and still it wins.
        events.push((at(9, 1, 0), counted(BALL, 17, known.clone())));
        assert_eq!(units(&fold(&events)), 17, "seed {seed}");
        let next = known.get(&stream(1)).copied().unwrap_or_default() + 1;
        events.push((at(1, next, 1), moved(BALL, 3)));
        assert_eq!(
            units(&fold(&events)),
            14,
            "seed {seed}: what is sold later counts"
        );
        chance.shuffle(&mut events);
        assert_eq!(units(&fold(&events)), 14, "seed {seed}: in any order");
    }
}

#[test]
fn two_events_of_a_forked_stream_both_count_whatever_their_clock() {
    let mut fold = StockFold::default();
    for (id, units) in [(1, 2), (2, 3), (1, 2)] {
        let id = EventId(Uuid::from_u128(id));
        fold.add_as(id, &at(1, 5, 9), &moved(BALL, units));
    }
    assert_eq!(units(&fold), -5);
}

#[test]
fn sums_beyond_the_range_stop_at_its_end_in_any_order() {
    let extreme = |units| {
        let Fact::SaleCompleted(mut sale) = moved(BALL, 1) else {
            unreachable!("a sale")
        };
        sale.lines[0].quantity = Quantity(units);
        Fact::SaleCompleted(sale)
    };
    let events = [
        (at(1, 1, 1), extreme(i64::MIN)),
        (at(1, 2, 2), extreme(i64::MIN)),
        (at(1, 3, 3), extreme(i64::MAX)),
    ];
    let on_hand = |fold: StockFold| fold.on_hand(variant(BALL), &location());
    assert_eq!(on_hand(fold(&events)), on_hand(fold(events.iter().rev())));
    assert_eq!(on_hand(fold(&events[..2])), Quantity(i64::MAX));
}
