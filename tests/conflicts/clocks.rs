//! Rows 17 and 18: clocks that are wrong, and clocks that are changed because they are right.

use domain::event::{Fact, IncidentKind};
use support::world::MARSA;
use till::door::RefusalCode;

use crate::chain::Chain;
use crate::selling::{close, facts};

const DAY_MS: i64 = 86_400_000;

/// A sale is never refused for a clock, it counts once and on its trading day; head office is told. Rights to strict
/// articles rest while the clock stands before what the till knows.
#[test]
fn row_17_clock_ahead_behind_or_reset() {
    let epoch = Chain::new(0).world.now().wall_ms;
    for off in [DAY_MS, 3_600_000, 40_000 * DAY_MS, -2 * DAY_MS, -epoch] {
        let mut chain = Chain::new(1);
        let opened = facts(&chain, 0).into_iter().find_map(|fact| match fact {
            Fact::ShiftOpened(opened) => Some(opened.business_date),
            _ => None,
        });
        chain.till(0).clock_off_ms = off;
        if off < 0 {
            let refusal = chain.scan(0, &["TICKET"]).expect_err("frozen");
            assert_eq!(refusal.code, RefusalCode::NoRight, "{off}");
        }
        chain.sell(0, &["CORD"]);
        chain.assert_settled(&[IncidentKind::ClockSuspect]);
        let rows = chain.with_hub(|hub| hub.takings(None)).expect("takings");
        assert_eq!(Some(rows[0].date), opened, "{off}");
        // A count of a clock that is ahead would win over all later ones: it waits for a person.
        if off > 3_600_000 {
            chain.count(0, "CORD", 3, &[]);
            chain.settle();
            assert_eq!(chain.on_hand("CORD", MARSA), 19, "{off}");
        }
        // The clock is right again, and so is everything else.
        chain.till(0).clock_off_ms = 0;
        chain.sell(0, &["CORD"]);
        chain.settle();
        assert_eq!(chain.on_hand("CORD", MARSA), 18, "{off}");
        let report = chain.with_hub(|hub| hub.verify().expect("verify"));
        assert_eq!(report.first_bad, None);
    }
}

/// Order is by milliseconds of universal time, the trading day is the shift's: an hour more or less, or another zone,
/// changes neither.
#[test]
fn row_18_daylight_saving_and_time_zones() {
    let mut chain = Chain::new(2);
    // Three minutes to midnight, in a summer that ends then.
    chain.world.advance_to_day(1);
    for index in 0..2 {
        close(&mut chain, index);
        chain.till(index).utc_offset_min = 120;
        chain.open_till(index);
    }
    chain.world.advance(15 * 3_600_000 - 3 * 60_000);
    chain.sell(0, &["CORD"]);
    chain.till(0).utc_offset_min = 60;
    chain.world.advance(1_000);
    chain.sell(0, &["CORD"]);
    // The other one counts and knows of both, while its zone still says summer.
    for index in 0..2 {
        chain.sync(index);
    }
    let known = chain.head(0);
    chain.count(1, "CORD", 10, &[known]);
    chain.world.advance(6 * 60_000);
    chain.till(1).utc_offset_min = -480;
    chain.sell(1, &["CORD"]);
    chain.assert_settled(&[]);
    assert_eq!(chain.on_hand("CORD", MARSA), 9);
    let rows = chain.with_hub(|hub| hub.takings(None)).expect("takings");
    let days: std::collections::BTreeSet<_> = rows.iter().map(|row| row.date).collect();
    assert_eq!(days.len(), 1, "{rows:?}");
}
