//! Rights to strict variants: grants, leases, what goes back, and what verify says of them.

use domain::catalog::StockClass;
use domain::event::{
    CountLearned, Fact, GoodsLine, GoodsReceived, MAIN_ZONE, RightsLine, RightsMoved, SaleBody,
    StreamPos,
};
use domain::ids::{DocumentId, StreamId};
use domain::quantity::Quantity;
use domain::time::{Boot, Now};
use ledger::{Grant, Ledger, LedgerError};
use uuid::Uuid;

use crate::support::{
    Desk, Place, WALL, clock, create, location, options, raw_file, user, variant,
};

const HUB: StreamId = StreamId([0xAA; 16]);
const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

fn units(count: i64) -> Quantity {
    Quantity::units(count).expect("units")
}

fn grant(total: i64, epoch: u64, lease_end: i64) -> Grant {
    Grant {
        from: HUB,
        epoch,
        line: RightsLine {
            variant: variant(1),
            location: location("LM"),
            total: units(total),
            lease_end: Some(lease_end),
        },
        signature: format!("{total} {epoch} {lease_end}"),
    }
}

fn take(desk: &mut Desk, grant: Grant, now: &Now) -> usize {
    desk.ledger
        .write(|tx| tx.take_grants(&[grant], WALL, now))
        .expect("take")
}

fn right(ledger: &Ledger, now: &Now) -> i64 {
    let right = ledger.right(variant(1), &location("LM"), now);
    right.expect("right").0 / 1_000
}

fn strict_sale(desk: &mut Desk, pieces: i64) -> SaleBody {
    let mut sale = desk.sale(&[(1, pieces, 1_000)]);
    sale.lines[0].class = StockClass::Strict;
    sale
}

fn received(pieces: i64) -> Fact {
    Fact::GoodsReceived(GoodsReceived {
        document: DocumentId(Uuid::nil()),
        location: location("LM"),
        zone: MAIN_ZONE.to_owned(),
        lines: vec![GoodsLine {
            variant: variant(1),
            quantity: units(pieces),
            class: StockClass::Strict,
        }],
        reference: None,
        included_in: None,
        user: user(),
    })
}

fn returned(to: StreamId, total: i64) -> Fact {
    Fact::RightsReturned(RightsMoved {
        to,
        epoch: 1,
        lines: vec![RightsLine {
            variant: variant(1),
            location: location("LM"),
            total: units(total),
            lease_end: None,
        }],
    })
}

fn open_desk() -> Desk {
    let mut desk = Desk::in_memory();
    desk.open_shift();
    desk
}

#[test]
fn a_sale_without_the_right_to_it_is_refused_in_its_own_transaction() {
    let mut desk = open_desk();
    let sale = strict_sale(&mut desk, 1);
    let refused = desk.append(&Fact::SaleCompleted(sale));
    assert!(matches!(refused, Err(LedgerError::NoRight { variant: v }) if v == variant(1)));
    let now = clock(desk.wall);
    take(&mut desk, grant(2, 1, WALL + WEEK_MS), &now);
    let sale = strict_sale(&mut desk, 2);
    desk.append(&Fact::SaleCompleted(sale)).expect("sell");
    let sale = strict_sale(&mut desk, 1);
    assert!(desk.append(&Fact::SaleCompleted(sale)).is_err());
    assert_eq!(right(&desk.ledger, &clock(desk.wall)), 0);
    desk.append(&received(3)).expect("goods");
    assert_eq!(right(&desk.ledger, &clock(desk.wall)), 3, "minted");
    desk.assert_sound();
}

#[test]
fn the_highest_total_stands_whatever_the_order_of_answers() {
    let totals = [(3, 1), (5, 1), (2, 1), (5, 1), (4, 1)];
    let mut desk = open_desk();
    let now = clock(desk.wall);
    let mut news = 0;
    for (total, epoch) in totals {
        news += take(&mut desk, grant(total, epoch, WALL + WEEK_MS), &now);
    }
    assert_eq!((news, right(&desk.ledger, &now)), (2, 5));
    // Signed anew in a new epoch; what was signed before it is of no use after that.
    assert_eq!(take(&mut desk, grant(5, 2, WALL + WEEK_MS), &now), 1);
    assert_eq!(take(&mut desk, grant(9, 1, WALL + WEEK_MS), &now), 0);
    // A restored server that knows of less takes nothing back.
    assert_eq!(take(&mut desk, grant(1, 3, WALL + WEEK_MS), &now), 0);
    assert_eq!(right(&desk.ledger, &now), 5);
    let seen = desk.ledger.grants_seen().expect("seen");
    assert_eq!(seen, [grant(5, 2, WALL + WEEK_MS)]);
    desk.assert_sound();
}

#[test]
fn a_lease_runs_from_when_the_server_was_asked_and_a_late_answer_makes_it_no_longer() {
    let mut desk = open_desk();
    let asked = Now {
        boot: Boot { id: 4, ms: 1_000 },
        ..clock(WALL)
    };
    take(&mut desk, grant(1, 1, WALL + WEEK_MS), &asked);
    let later = |ms: i64| Now {
        wall_ms: WALL + ms,
        boot: Boot {
            id: 4,
            ms: 1_000 + u64::try_from(ms).expect("later"),
        },
        utc_offset_min: 60,
    };
    assert_eq!(right(&desk.ledger, &later(WEEK_MS)), 1);
    assert_eq!(right(&desk.ledger, &later(WEEK_MS + 1)), 0);
    // A shorter lease for the same total changes nothing, a longer one does.
    assert_eq!(take(&mut desk, grant(1, 1, WALL + 1), &asked), 0);
    assert_eq!(take(&mut desk, grant(1, 1, WALL + 2 * WEEK_MS), &asked), 1);
    assert_eq!(right(&desk.ledger, &later(WEEK_MS + 1)), 1);
    // Frozen rights cannot be spent, but they can be given back.
    let held = desk
        .ledger
        .right_held(variant(1), &location("LM"), &later(3 * WEEK_MS))
        .expect("held");
    assert!(held.frozen);
    assert_eq!((held.right, held.spendable()), (units(1), units(0)));
}

#[test]
fn only_what_is_held_goes_back_and_a_total_never_falls() {
    let mut desk = open_desk();
    let now = clock(desk.wall);
    take(&mut desk, grant(3, 1, WALL + WEEK_MS), &now);
    assert!(desk.append(&returned(HUB, 4)).is_err());
    desk.append(&returned(HUB, 2)).expect("return");
    assert_eq!(right(&desk.ledger, &clock(desk.wall)), 1);
    assert!(desk.append(&returned(HUB, 1)).is_err());
    let own = desk.ledger.identity().stream;
    assert!(desk.append(&returned(own, 1)).is_err());
    desk.append(&returned(HUB, 2)).expect("a repeated total");
    desk.append(&returned(HUB, 3)).expect("return");
    assert!(desk.append(&returned(HUB, 4)).is_err());
    assert_eq!(right(&desk.ledger, &clock(desk.wall)), 0);
    desk.assert_sound();
}

#[test]
fn counts_are_learned_once() {
    let mut desk = open_desk();
    let count = |seq| StreamPos { stream: HUB, seq };
    let own = StreamPos {
        stream: desk.ledger.identity().stream,
        seq: 1,
    };
    let all = [count(3), count(4), own];
    let unlearned = |desk: &Desk| desk.ledger.unlearned(&all).expect("unlearned");
    assert_eq!(unlearned(&desk), [count(3), count(4)]);
    let now = desk.tick();
    let fact = Fact::CountLearned(CountLearned {
        counts: vec![count(3)],
    });
    desk.ledger
        .write(|tx| tx.append_unasked(&now, &fact))
        .expect("learn");
    assert_eq!(unlearned(&desk), [count(4)]);
    desk.ledger
        .write(|tx| tx.append_unasked(&now, &fact))
        .expect("said again");
    desk.assert_sound();
}

#[test]
fn verify_names_a_right_that_no_event_and_no_grant_speaks_of() {
    for (sql, table) in [
        ("UPDATE right_used SET minted = minted + 1000", "right_used"),
        ("DELETE FROM right_used", "right_used"),
        ("UPDATE right_given SET total = total - 1000", "right_given"),
        ("DELETE FROM count_learned", "count_learned"),
        ("UPDATE right_seen SET total = total + 1000", "right_seen"),
        (
            "UPDATE right_seen SET length_ms = length_ms + 1",
            "right_seen",
        ),
    ] {
        let place = Place::new();
        let mut desk = Desk::new(create(&place.path, &options()));
        desk.open_shift();
        let now = clock(desk.wall);
        take(&mut desk, grant(3, 1, WALL + WEEK_MS), &now);
        desk.append(&received(1)).expect("goods");
        desk.append(&returned(HUB, 1)).expect("return");
        let learned = Fact::CountLearned(CountLearned {
            counts: vec![StreamPos {
                stream: HUB,
                seq: 9,
            }],
        });
        desk.append(&learned).expect("learn");
        let now = clock(desk.wall);
        drop(desk);
        raw_file(&place.path).execute_batch(sql).expect("edit");
        let ledger = Ledger::open(&place.path, &options()).expect("open");
        let found = ledger.verify().expect("verify").first_bad.expect("a fault");
        assert_eq!(found.table, table, "{sql}");
        // What was read of a damaged row counts as nothing.
        if table == "right_seen" {
            assert_eq!(right(&ledger, &now), 0, "{sql}");
        }
    }
}
