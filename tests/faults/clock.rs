//! Wrong clocks: selling goes on, the order of the journal holds, and a jump is written down.

use domain::event::Fact;
use testkit::shop::{BALL_UPC, CASHIER, Country, START_WALL_MS, Setup, approval, pieces};
use till::door::Command;

const DAY_MS: i64 = 86_400_000;

#[test]
fn a_clock_set_anywhere_stops_no_sale_and_is_written_down() {
    let walls = [
        0,
        -DAY_MS,
        START_WALL_MS - 3_650 * DAY_MS,
        START_WALL_MS - DAY_MS,
        START_WALL_MS + DAY_MS,
        2_147_483_648_000,
        4_070_908_800_000,
        i64::MAX,
        i64::MIN,
    ];
    for wall in walls {
        let mut shop = Setup::tunisia().on_disk().build();
        shop.open();
        let opened = shop.status().shift.expect("a shift").business_date;
        shop.scan(BALL_UPC);
        shop.pay_cash(None);
        shop.set_wall_ms(wall);
        shop.scan(BALL_UPC);
        let done = shop.pay_cash(None);
        assert!(done.number.ends_with("000002"), "{wall}: {}", done.number);
        let facts = shop.facts();
        let jump = facts
            .iter()
            .position(|fact| matches!(fact, Fact::ClockJumped(_)));
        let last = facts
            .iter()
            .rposition(|fact| matches!(fact, Fact::SaleCompleted(_)));
        assert!(
            jump.is_some() && jump < last,
            "{wall}: no jump before the sale"
        );
        assert_eq!(
            shop.status().shift.expect("a shift").business_date,
            opened,
            "{wall}"
        );
        shop.reopen();
        shop.close_exact();
        // A day that goes back or leaps ahead needs a manager, who may say that it is right.
        shop.sign_in(CASHIER);
        shop.ok(Command::OpenShift {
            count: pieces(Country::Tunisia, 100_000),
            drawer: None,
            approval: Some(approval()),
        });
        // Prices go by the trading day, and there are none before 2026.
        if shop.status().shift.expect("a shift").business_date.as_str() >= "2026-01-01" {
            shop.scan(BALL_UPC);
            shop.pay_cash(None);
        }
        shop.verify_clean();
    }
}
