//! A till whose stream broke off: what its next stream adopts counts once, whatever came first.

mod support;

use domain::event::{Adopted, Fact, StreamHead, StreamOpened, StreamReason};
use domain::ids::StreamId;
use support::{Till, World, now};
use sync_protocol::ProtocolError;

/// The stream that goes on from `old`, as a till would begin it.
fn successor(old: &Till, id: u8, reason: StreamReason) -> Till {
    let mut next = Till {
        stream: StreamId([id; 16]),
        events: Vec::new(),
        entropy: domain::entropy::Entropy::new([id; 32]),
        ..old.clone()
    };
    let Fact::StreamOpened(opened) = old.opened() else {
        panic!("an opening")
    };
    next.append(&Fact::StreamOpened(StreamOpened {
        reason,
        previous: Some(StreamHead {
            stream: old.stream,
            seq: old.head(),
            hash: old.hash(old.head()),
        }),
        ..opened
    }));
    next
}

fn adopt(next: &mut Till, old: &Till, seqs: std::ops::RangeInclusive<u64>) {
    for seq in seqs {
        let at = StreamHead {
            stream: old.stream,
            seq,
            hash: old.hash(seq),
        };
        let bytes = old.events[usize::try_from(seq).expect("seq") - 1].clone();
        next.append(&Fact::Adopted(Adopted { at, bytes }));
    }
}

struct Story {
    world: World,
    old: Till,
    next: Till,
}

/// A stream of three sales, of which the first two were pushed, and its successor that adopts the last two and sells.
fn story() -> Story {
    let mut world = World::with_catalogue();
    let mut old = world.till("01", 3);
    let ball = world.variant("BAL-4");
    old.sell(ball, 1, 10_000);
    old.sell(ball, 1, 10_000);
    old.sell(ball, 2, 10_000);
    let mut next = successor(&old, 8, StreamReason::Restored);
    adopt(&mut next, &old, 3..=4);
    next.sell(ball, 1, 10_000);
    Story { world, old, next }
}

fn takings(world: &World) -> (u64, i64) {
    let rows = world.hub.takings(None).expect("takings");
    rows.iter().fold((0, 0), |(receipts, minor), row| {
        (receipts + row.receipts, minor + row.takings_minor)
    })
}

fn push(world: &mut World, till: &Till, first: u64, last: u64) {
    let request = till.request(Some(till.push(first, last)));
    let reply = world.sync(till, &request).expect("accepted");
    assert_eq!((reply.ack_seq, reply.quarantined.len()), (last, 0));
}

#[test]
fn every_order_of_arrival_comes_to_the_same() {
    let mut seen = Vec::new();
    for order in 0..4 {
        let Story {
            mut world,
            old,
            next,
        } = story();
        match order {
            // As it was: a part of the old stream, then the new one; the old file never comes back.
            0 => {
                push(&mut world, &old, 1, 3);
                push(&mut world, &next, 1, next.head());
            }
            // The rest of the old stream comes later, from another copy.
            1 => {
                push(&mut world, &old, 1, 3);
                push(&mut world, &next, 1, next.head());
                push(&mut world, &old, 4, 4);
            }
            // The new stream is there first.
            2 => {
                push(&mut world, &next, 1, next.head());
                push(&mut world, &old, 1, 4);
            }
            // Everything of the old one first.
            _ => {
                push(&mut world, &old, 1, 4);
                push(&mut world, &next, 1, 2);
                push(&mut world, &next, 3, next.head());
            }
        }
        world.assert_verified();
        seen.push((takings(&world), world.on_hand("BAL-4", "LM")));
    }
    assert_eq!(seen[0], ((4, 50_000), 15));
    assert_eq!(seen, [seen[0]; 4]);
}

#[test]
fn a_quantity_names_what_it_is_made_of_adopted_sales_too() {
    let Story {
        mut world,
        old,
        next,
    } = story();
    push(&mut world, &old, 1, 3);
    push(&mut world, &next, 1, next.head());
    let ball = world.variant("BAL-4");
    let at = support::location("LM");
    let found = world.hub.stock_lineage(ball, &at, 10).expect("lineage");
    let [zone] = &found.expect("known").zones[..] else {
        panic!("one zone");
    };
    let count = zone.count.as_ref().expect("the opening count");
    assert_eq!(
        (
            count.event.kind.as_deref(),
            count.event.till.as_ref(),
            count.quantity.0
        ),
        (Some("StockCounted"), None, 20_000)
    );
    let steps: Vec<_> = zone
        .steps
        .iter()
        .map(|step| {
            (
                step.event.stream,
                step.event.seq,
                step.quantity.0,
                step.balance.0,
            )
        })
        .collect();
    let sold = [
        (old.stream, 2, -1_000, 19_000),
        (old.stream, 3, -1_000, 18_000),
        // Only its successor has it.
        (old.stream, 4, -2_000, 16_000),
        (next.stream, next.head(), -1_000, 15_000),
    ];
    assert_eq!(steps, sold);
    for step in &zone.steps {
        assert_eq!(step.event.kind.as_deref(), Some("SaleCompleted"));
        assert_eq!(step.event.till.as_ref(), Some(&old.enrolled.till));
        assert!(step.event.number.is_some() && step.event.wall.is_some());
    }
    let latest = world.hub.stock_lineage(ball, &at, 1).expect("lineage");
    let zone = &latest.expect("known").zones[0];
    assert_eq!((zone.older, zone.older_sum.0), (3, -4_000));
    let unknown = domain::ids::VariantId(uuid::Uuid::from_u128(9));
    let none = world.hub.stock_lineage(unknown, &at, 10).expect("lineage");
    assert_eq!(none, None);
}

#[test]
fn two_copies_of_a_till_adopt_the_same_and_it_counts_once() {
    for swapped in [false, true] {
        let Story {
            mut world,
            old,
            next,
        } = story();
        let ball = world.variant("BAL-4");
        let mut other = successor(&old, 9, StreamReason::Cloned);
        adopt(&mut other, &old, 2..=4);
        other.sell(ball, 3, 10_000);
        let (first, second) = if swapped {
            (&other, &next)
        } else {
            (&next, &other)
        };
        push(&mut world, first, 1, first.head());
        push(&mut world, second, 1, second.head());
        push(&mut world, &old, 1, 4);
        assert_eq!(takings(&world), (5, 10_000 * (1 + 1 + 2 + 1 + 3)));
        assert_eq!(world.on_hand("BAL-4", "LM"), 20 - 8);
        world.assert_verified();
    }
}

#[test]
fn the_contested_branch_of_a_fork_counts_once_its_owner_adopts_it() {
    let Story { mut world, old, .. } = story();
    let ball = world.variant("BAL-4");
    // A copy went its own way from event 3 on: other sales in the same places, of the same goods.
    let mut copy = Till {
        events: old.events[..2].to_vec(),
        entropy: domain::entropy::Entropy::new([77; 32]),
        ..old.clone()
    };
    copy.sell(ball, 4, 10_000);
    copy.sell(ball, 1, 10_000);
    push(&mut world, &old, 1, 4);
    let refused = world.sync(&copy, &copy.push_all());
    assert!(matches!(refused, Err(ProtocolError::Fork { at: 3 })));
    assert_eq!(takings(&world), (3, 40_000));
    let mut next = successor(&copy, 10, StreamReason::Cloned);
    adopt(&mut next, &copy, 3..=4);
    push(&mut world, &next, 1, next.head());
    assert_eq!(takings(&world), (5, 90_000));
    assert_eq!(world.on_hand("BAL-4", "LM"), 20 - 4 - 5);
    let report = world.hub.verify().expect("verify");
    assert_eq!(report.first_bad, None);
    assert_eq!(report.contested, 2);
}

#[test]
fn both_closings_at_one_place_of_a_fork_are_in_the_accounts() {
    for swapped in [false, true] {
        let mut world = World::with_catalogue();
        let ball = world.variant("BAL-4");
        let mut old = world.till("01", 3);
        old.sell(ball, 1, 10_000);
        // A copy went its own way, and both closed as the third event of their streams.
        let mut copy = Till {
            entropy: domain::entropy::Entropy::new([77; 32]),
            ..old.clone()
        };
        old.close_shift(1, 10_000, 9_000);
        copy.close_shift(1, 10_000, 10_500);
        let (first, second) = if swapped { (copy, old) } else { (old, copy) };
        push(&mut world, &first, 1, 3);
        let refused = world.sync(&second, &second.push_all());
        assert!(matches!(refused, Err(ProtocolError::Fork { at: 3 })));
        // Until the other till adopts its branch, head office sees what is in no sum.
        let lines = world.hub.set_aside(10).expect("set aside");
        let shown: Vec<_> = lines
            .iter()
            .map(|line| (line.till.as_str(), line.seq, line.code.as_str()))
            .collect();
        assert_eq!(shown, [("01", 3, "other_branch")]);
        assert_eq!(lines[0].kind.as_deref(), Some("ShiftClosed"));
        let mut next = successor(&second, 10, StreamReason::Cloned);
        adopt(&mut next, &second, 3..=3);
        push(&mut world, &next, 1, next.head());
        assert_eq!(world.hub.set_aside(10).expect("set aside"), []);
        let minor = |code: &str| {
            let lines = world.hub.balances().expect("balances");
            let line = lines.iter().find(|line| line.account == code);
            line.map_or(0, |line| line.debit_minor - line.credit_minor)
        };
        // One sale of 10.000; each closing books its difference and takes what was counted to the safe.
        let safe = minor(&domain::posting::Account::Safe.code());
        let off = minor(&domain::posting::Account::OverShort.code());
        let cash = minor(&domain::posting::Account::Cash.code());
        assert_eq!((safe, off, cash), (19_500, 500, -10_000));
        let mut closings = world.hub.closings(10).expect("closings");
        closings.sort_by_key(|line| line.difference_minor);
        let differences: Vec<i64> = closings.iter().map(|line| line.difference_minor).collect();
        assert_eq!(differences, [-1_000, 500]);
        world.assert_verified();
    }
}

#[test]
fn an_adopted_opening_is_of_this_till() {
    let Story {
        mut world,
        old,
        mut next,
    } = story();
    let Fact::StreamOpened(opened) = old.opened() else {
        panic!("an opening")
    };
    let mut other = Till {
        stream: StreamId([55; 16]),
        events: Vec::new(),
        ..old.clone()
    };
    other.append(&Fact::StreamOpened(StreamOpened {
        till: Some(domain::ids::TillId::new("09").expect("till")),
        ..opened
    }));
    adopt(&mut next, &other, 1..=1);
    let reply = world.sync(&next, &next.push_all()).expect("accepted");
    let codes: Vec<&str> = reply.quarantined.iter().map(|bad| &*bad.code).collect();
    assert_eq!(codes, ["bad_opening"]);
    world.assert_verified();
}

#[test]
fn an_adoption_that_is_not_what_it_says_is_set_aside_and_the_next_goes_on() {
    let Story {
        mut world,
        old,
        mut next,
    } = story();
    let mut other = world.till("02", 4);
    let ball = world.variant("BAL-4");
    other.sell(ball, 1, 10_000);
    push(&mut world, &other, 1, 2);
    push(&mut world, &old, 1, 4);
    let before = takings(&world);
    let at = |till: &Till, seq: u64| StreamHead {
        stream: till.stream,
        seq,
        hash: till.hash(seq),
    };
    let forged = old.events[2].replace("\"sku\":\"S\"", "\"sku\":\"T\"");
    assert_ne!(forged, old.events[2]);
    for (at, bytes) in [
        // No event, and one of another place.
        (at(&old, 3), "{}".to_owned()),
        (at(&old, 2), old.events[2].clone()),
        // Another text under an id that is known.
        (at(&old, 3), forged),
        // Another till's.
        (at(&other, 2), other.events[1].clone()),
    ] {
        next.append(&Fact::Adopted(Adopted { at, bytes }));
    }
    let first_bad = next.head() - 3;
    next.sell(ball, 1, 10_000);
    let request = next.push_all();
    let reply = world.sync(&next, &request).expect("accepted");
    let codes: Vec<(u64, &str)> = reply
        .quarantined
        .iter()
        .map(|bad| (bad.seq, bad.code.as_str()))
        .collect();
    assert_eq!(
        codes,
        [
            (first_bad, "bad_adoption"),
            (first_bad + 1, "bad_adoption"),
            (first_bad + 2, "duplicate_id"),
            (first_bad + 3, "duplicate_id"),
        ]
    );
    // Its own sale from before and the one after.
    assert_eq!(takings(&world), (before.0 + 2, before.1 + 20_000));
    world.assert_verified();
}

#[test]
fn what_was_set_aside_by_itself_is_set_aside_inside_another_too() {
    let mut world = World::with_catalogue();
    let mut old = world.till("01", 3);
    let ball = world.variant("BAL-4");
    let mut sale = old.sale(ball, 1, 10_000);
    sale.currency = domain::money::Currency::Mad;
    old.append(&Fact::SaleCompleted(sale));
    let mut next = successor(&old, 8, StreamReason::Damaged);
    adopt(&mut next, &old, 2..=2);
    for swapped in [false, true] {
        let mut world = World::with_catalogue();
        // The same till in a world of its own.
        let again = world.till("01", 3);
        assert_eq!(again.enrolled.device, old.enrolled.device);
        let pair = if swapped {
            [&next, &old]
        } else {
            [&old, &next]
        };
        for till in pair {
            let reply = world.sync(till, &till.push_all()).expect("accepted");
            assert_eq!(reply.quarantined.len(), 1);
        }
        assert_eq!(takings(&world), (0, 0));
        world.assert_verified();
    }
}

#[test]
fn head_office_sees_why_a_series_ended() {
    let Story {
        mut world,
        old,
        next,
    } = story();
    push(&mut world, &old, 1, 3);
    push(&mut world, &next, 1, next.head());
    let tills = world.hub.tills(&now()).expect("tills");
    let streams = &tills[0].streams;
    assert_eq!(streams.len(), 2);
    let later = streams
        .iter()
        .find(|line| line.stream == next.stream)
        .expect("the new one");
    assert_eq!(later.reason, StreamReason::Restored);
    assert_eq!(
        later.previous.map(|head| (head.stream, head.seq)),
        Some((old.stream, 4))
    );
    assert_eq!(later.series, next.stream.series());
}
