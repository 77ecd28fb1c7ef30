//! Goods that move without a sale, zones, transfers, and counts that several devices learn of.

use std::collections::BTreeMap;

use crate::shop::{Chance, counted, location, moved, moved_strict, stream, user, variant};
use domain::catalog::StockClass;
use domain::event::{
    ALL_ZONES, AdjustReason, CountLearned, CountReason, Counted, Fact, GoodsLine, GoodsReceived,
    MAIN_ZONE, OrderPicked, StockAdjusted, StockCounted, StreamPos, TransferLost, TransferReceived,
    TransferSent, ZoneMoved,
};
use domain::ids::{DocumentId, LocationId, PromiseId, StreamId, TransferId};
use domain::posting::stock_postings;
use domain::quantity::{QUANTITY_MAX, Quantity};
use domain::stock::{EventRef, GoodsFault, StockAccount, StockFold, check};
use domain::time::Hlc;
use uuid::Uuid;

const BALL: u64 = 1;

fn at(number: u8, seq: u64, clock: u64) -> EventRef {
    EventRef {
        stream: stream(number),
        seq,
        hlc: Hlc(clock),
    }
}

fn other() -> LocationId {
    LocationId::new("TC").expect("location")
}

fn transfer() -> TransferId {
    TransferId(Uuid::from_u64_pair(9, 1))
}

fn line(units: i64, class: StockClass) -> GoodsLine {
    GoodsLine {
        variant: variant(BALL),
        quantity: Quantity(units * 1_000),
        class,
    }
}

fn shelf(units: i64) -> Vec<GoodsLine> {
    vec![line(units, StockClass::Shelf)]
}

fn received(lines: Vec<GoodsLine>, included_in: Option<StreamPos>) -> Fact {
    Fact::GoodsReceived(GoodsReceived {
        document: DocumentId(Uuid::nil()),
        location: location(),
        zone: MAIN_ZONE.to_owned(),
        lines,
        reference: None,
        included_in,
        user: user(),
    })
}

fn adjusted(reason: AdjustReason, units: i64) -> Fact {
    Fact::StockAdjusted(StockAdjusted {
        approved_by: None,
        document: DocumentId(Uuid::nil()),
        location: location(),
        zone: MAIN_ZONE.to_owned(),
        reason,
        note: None,
        lines: shelf(units),
        user: user(),
        overrides: Vec::new(),
    })
}

fn sent(units: i64) -> Fact {
    Fact::TransferSent(TransferSent {
        transfer: transfer(),
        from: location(),
        zone: MAIN_ZONE.to_owned(),
        to: other(),
        lines: shelf(units),
        user: user(),
        overrides: Vec::new(),
    })
}

fn arrived(units: i64) -> Fact {
    Fact::TransferReceived(TransferReceived {
        transfer: transfer(),
        from: location(),
        to: other(),
        zone: MAIN_ZONE.to_owned(),
        lines: shelf(units),
        user: user(),
    })
}

fn lost(units: i64) -> Fact {
    Fact::TransferLost(TransferLost {
        approved_by: None,
        transfer: transfer(),
        from: location(),
        to: other(),
        lines: shelf(units),
        user: user(),
    })
}

fn zone_moved(from: &str, to: &str, units: i64) -> Fact {
    Fact::ZoneMoved(ZoneMoved {
        document: DocumentId(Uuid::nil()),
        location: location(),
        from_zone: from.to_owned(),
        to_zone: to.to_owned(),
        lines: shelf(units),
        user: user(),
    })
}

fn picked(units: i64) -> Fact {
    Fact::OrderPicked(OrderPicked {
        promise: PromiseId(Uuid::nil()),
        location: location(),
        zone: MAIN_ZONE.to_owned(),
        lines: shelf(units),
        user: None,
    })
}

fn count(zone: &str, units: i64, cut: &[(u8, u64)]) -> Fact {
    Fact::StockCounted(StockCounted {
        approved_by: None,
        location: location(),
        zone: zone.to_owned(),
        cut: cut.iter().map(|(of, seq)| (stream(*of), *seq)).collect(),
        items: vec![Counted {
            variant: variant(BALL),
            quantity: Quantity(units * 1_000),
            expected: None,
            looked: None,
            ago_ms: 0,
        }],
        reason: CountReason::Count,
        document: None,
        user: None,
    })
}

fn learned(of: u8, seq: u64) -> Fact {
    Fact::CountLearned(CountLearned {
        counts: vec![StreamPos {
            stream: stream(of),
            seq,
        }],
    })
}

fn fold<'a>(events: impl IntoIterator<Item = &'a (EventRef, Fact)>) -> StockFold {
    let mut fold = StockFold::default();
    for (event, fact) in events {
        fold.add(event, fact);
    }
    fold
}

fn units(quantity: Quantity) -> i64 {
    quantity.0 / 1_000
}

fn on_hand(fold: &StockFold) -> i64 {
    units(fold.on_hand(variant(BALL), &location()))
}

#[test]
fn a_day_of_the_stockroom() {
    let held = |fold: &StockFold, account: &StockAccount| units(fold.held(account, variant(BALL)));
    let damaged = StockAccount::Damaged(location());
    let transit = StockAccount::Transit(transfer());
    let mut day = StockFold::default();
    // Fact, then: on hand here, there, damaged, in transit, adjusted.
    for (seq, (fact, expected)) in [
        (received(shelf(20), None), [20, 0, 0, 0, 0]),
        (moved(BALL, 3), [17, 0, 0, 0, 0]),
        (adjusted(AdjustReason::Damaged, -2), [15, 0, 2, 0, 0]),
        (adjusted(AdjustReason::Damaged, 1), [16, 0, 1, 0, 0]),
        (adjusted(AdjustReason::Theft, -1), [15, 0, 1, 0, 1]),
        (adjusted(AdjustReason::Found, 2), [17, 0, 1, 0, -1]),
        (sent(6), [11, 0, 1, 6, -1]),
        (arrived(4), [11, 4, 1, 2, -1]),
        (lost(1), [11, 4, 1, 1, 0]),
        (picked(1), [10, 4, 1, 1, 0]),
        (zone_moved(MAIN_ZONE, "attic", 5), [10, 4, 1, 1, 0]),
    ]
    .into_iter()
    .enumerate()
    {
        let seq = u64::try_from(seq).expect("a number") + 1;
        let balance: i64 = stock_postings(&fact).iter().map(|p| p.quantity.0).sum();
        assert_eq!(balance, 0, "{fact:?} is balanced");
        assert_eq!(check(&fact), Ok(()), "{fact:?}");
        day.add(&at(1, seq, seq), &fact);
        let found = [
            on_hand(&day),
            units(day.on_hand(variant(BALL), &other())),
            held(&day, &damaged),
            held(&day, &transit),
            held(&day, &StockAccount::Adjusted),
        ];
        assert_eq!(found, expected, "after {fact:?}");
    }
    assert_eq!(units(day.in_zone(variant(BALL), &location(), "attic")), 5);
}

#[test]
fn a_count_of_the_whole_location_empties_its_zones() {
    let before = [
        (at(1, 1, 1), received(shelf(9), None)),
        (at(1, 2, 2), zone_moved(MAIN_ZONE, "attic", 4)),
    ];
    let whole = (at(1, 3, 3), count(ALL_ZONES, 8, &[]));
    let later = [
        (at(1, 4, 4), zone_moved(MAIN_ZONE, "attic", 3)),
        (at(1, 5, 5), moved(BALL, 1)),
        // A zone that nobody had heard of before.
        (at(1, 6, 6), zone_moved("attic", "window", 1)),
    ];
    let zones = |fold: &StockFold| {
        [MAIN_ZONE, "attic", "window"]
            .map(|zone| units(fold.in_zone(variant(BALL), &location(), zone)))
    };
    let events: Vec<_> = before.into_iter().chain([whole]).chain(later).collect();
    assert_eq!(zones(&fold(&events[..3])), [8, 0, 0]);
    assert_eq!(zones(&fold(&events)), [4, 2, 1]);
    assert_eq!(on_hand(&fold(events.iter().rev())), 7);
}

#[test]
fn who_learned_of_a_count_acts_after_it_whatever_the_clocks_say() {
    let strict = |units| received(vec![line(units, StockClass::Strict)], None);
    let pos = StreamPos {
        stream: stream(9),
        seq: 1,
    };
    for (case, events, expected) in [
        (
            "goods that came, clock behind, not known to have learned",
            vec![
                (at(9, 1, 50), count(MAIN_ZONE, 10, &[])),
                (at(1, 1, 5), received(shelf(3), None)),
            ],
            10,
        ),
        (
            "the same after learning",
            vec![
                (at(9, 1, 50), count(MAIN_ZONE, 10, &[])),
                (at(1, 1, 4), learned(9, 1)),
                (at(1, 2, 5), received(shelf(3), None)),
            ],
            13,
        ),
        (
            "strict goods that came beside the count are doubted, whatever the clock says",
            vec![
                (at(9, 1, 50), count(MAIN_ZONE, 10, &[])),
                (at(1, 1, 99), strict(3)),
            ],
            10,
        ),
        (
            "strict goods that came after learning are there",
            vec![
                (at(9, 1, 50), count(MAIN_ZONE, 10, &[])),
                (at(1, 1, 60), learned(9, 1)),
                (at(1, 2, 61), strict(3)),
            ],
            13,
        ),
        (
            "found by the count already, as the delivery's document says",
            vec![
                (at(9, 1, 50), count(MAIN_ZONE, 10, &[])),
                (at(1, 1, 99), received(shelf(3), Some(pos))),
            ],
            10,
        ),
    ] {
        assert_eq!(on_hand(&fold(&events)), expected, "{case}");
        assert_eq!(
            on_hand(&fold(events.iter().rev())),
            expected,
            "{case}, reversed"
        );
    }
}

#[test]
fn until_all_have_reported_no_more_is_promised_than_either_count_says() {
    let events = [
        (at(9, 1, 1), counted(BALL, 2, BTreeMap::new())),
        (
            at(9, 2, 50),
            counted(BALL, 5, BTreeMap::from([(stream(9), 1)])),
        ),
        (at(1, 1, 40), moved_strict(BALL, 1)),
    ];
    let fold = fold(&events);
    let least = |pending: &[u64]| {
        let is_pending = |anchor: &domain::stock::Anchor| pending.contains(&anchor.at.seq);
        units(fold.least_on_hand(variant(BALL), &location(), is_pending))
    };
    assert_eq!(least(&[]), 4);
    assert_eq!(least(&[2]), 1, "without the second count");
    assert_eq!(least(&[1, 2]), -1, "without any");
}

#[test]
fn goods_that_do_not_hold_are_refused() {
    let mut far = line(1, StockClass::Shelf);
    far.quantity = Quantity(QUANTITY_MAX + 1);
    let to_itself = Fact::TransferSent(TransferSent {
        transfer: transfer(),
        from: location(),
        zone: MAIN_ZONE.to_owned(),
        to: location(),
        lines: shelf(1),
        user: user(),
        overrides: Vec::new(),
    });
    for (fact, fault) in [
        (received(Vec::new(), None), GoodsFault::Lines),
        (
            received(vec![line(1, StockClass::Shelf); 5_001], None),
            GoodsFault::Lines,
        ),
        (received(shelf(0), None), GoodsFault::Quantity),
        (received(shelf(-1), None), GoodsFault::Quantity),
        (received(vec![far], None), GoodsFault::Quantity),
        (adjusted(AdjustReason::Theft, 0), GoodsFault::Quantity),
        (
            adjusted(AdjustReason::Theft, i64::MIN / 1_000),
            GoodsFault::Quantity,
        ),
        (to_itself, GoodsFault::Place),
        (zone_moved("attic", "attic", 1), GoodsFault::Place),
        (zone_moved("", "attic", 1), GoodsFault::Place),
        (zone_moved("main", ALL_ZONES, 1), GoodsFault::Place),
        (count("العلية", 1, &[]), GoodsFault::Place),
        (
            count(MAIN_ZONE, i64::MAX / 1_000, &[]),
            GoodsFault::Quantity,
        ),
    ] {
        assert_eq!(check(&fact), Err(fault), "{fact:?}");
    }
    assert_eq!(check(&count(ALL_ZONES, 0, &[])), Ok(()));
}

/// Facts of all kinds over three streams, with counts and what was learned of them.
fn random_events(chance: &mut Chance) -> Vec<(EventRef, Fact)> {
    let mut events = Vec::new();
    let mut seqs: BTreeMap<StreamId, u64> = BTreeMap::new();
    let mut counts: Vec<(u8, u64)> = Vec::new();
    for clock in 0..chance.below(40) {
        let of = *chance.pick(&[1_u8, 2, 3]);
        let seq = seqs.entry(stream(of)).or_default();
        *seq += 1;
        let (seq, units) = (*seq, chance.amount(5) + 1);
        let zone = *chance.pick(&[MAIN_ZONE, "attic", ALL_ZONES]);
        let known: Vec<(u8, u64)> = [1, 2, 3]
            .map(|of| (of, seqs.get(&stream(of)).copied().unwrap_or(0)))
            .map(|(of, seq)| (of, chance.below(seq + 1)))
            .to_vec();
        let class = *chance.pick(&[StockClass::Shelf, StockClass::Strict]);
        let fact = match chance.below(9) {
            0 => received(vec![line(units, class)], None),
            1 => adjusted(AdjustReason::Damaged, -units),
            2 => sent(units),
            3 => arrived(units),
            4 => zone_moved(MAIN_ZONE, "attic", units),
            5 if !counts.is_empty() => {
                let (of, seq) = *chance.pick(&counts);
                learned(of, seq)
            }
            6 | 7 => {
                counts.push((of, seq));
                count(zone, units, &known)
            }
            _ => moved(BALL, units - 3),
        };
        // Clocks may be wrong.
        let clock = if chance.below(4) == 0 {
            chance.below(40)
        } else {
            clock
        };
        events.push((at(of, seq, clock), fact));
    }
    events
}

#[test]
fn both_branches_of_a_forked_stream_happened() {
    let events = [
        (at(1, 2, 10), received(shelf(5), None)),
        (at(1, 3, 20), adjusted(AdjustReason::Theft, -1)),
        (at(1, 3, 30), adjusted(AdjustReason::Theft, -2)),
    ];
    assert_eq!(on_hand(&fold(events.iter().chain(&events))), 2);
}

#[test]
fn a_set_of_facts_has_one_answer() {
    for seed in 0..1_000 {
        let mut chance = Chance(seed);
        let events = random_events(&mut chance);
        let expected = fold(&events);
        let mut arrivals: Vec<&(EventRef, Fact)> = events.iter().collect();
        for _ in 0..chance.below(20) {
            if !events.is_empty() {
                arrivals.push(chance.pick(&events));
            }
        }
        chance.shuffle(&mut arrivals);
        let found = fold(arrivals);
        assert_eq!(found, expected, "seed {seed}");
        assert_eq!(on_hand(&found), on_hand(&expected), "seed {seed}");
        let sum: i64 = events
            .iter()
            .flat_map(|(_, fact)| stock_postings(fact))
            .map(|posting| posting.quantity.0)
            .sum();
        assert_eq!(sum, 0, "seed {seed}: goods neither appear nor vanish");
    }
}
