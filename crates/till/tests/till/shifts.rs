//! Opening, X, closing with Z, and what adds up over shifts.

use domain::event::{Fact, TenderKind};
use serde_json::json;
use testkit::shop::{
    BALL, CASHIER, Country, FUTURE, MANAGER, SHOE_42, SOCKS, START_WALL_MS, Setup, Shop, TEE,
    approval, pieces, tender,
};
use till::door::{Answer, Approval, Command, RefusalCode, Reply, ReportView};

fn opening(approval: Option<Approval>) -> Command {
    Command::OpenShift {
        drawer: None,
        count: pieces(Country::Tunisia, 100_000),
        approval,
    }
}

/// The figures of a report, without what tells X from Z.
fn figures(report: &ReportView) -> ReportView {
    ReportView {
        z_number: None,
        counted_minor: None,
        difference_minor: None,
        perpetual_minor: None,
        deposit: Vec::new(),
        deposit_minor: 0,
        job: None,
        png_base64: None,
        ..report.clone()
    }
}

fn day_of_three(shop: &mut Shop) {
    shop.scan(SHOE_42);
    shop.scan(BALL);
    shop.scan(BALL);
    for _ in 0..3 {
        shop.scan(SOCKS);
    }
    let first = shop.pay_cash(Some(250_000)).number;
    shop.scan(TEE);
    shop.complete(vec![tender(TenderKind::Card, None)]);
    shop.ok(Command::ReverseSale {
        number: first,
        reason: "erreur".to_owned(),
        approval: Some(approval()),
    });
}

#[test]
fn a_z_is_the_sum_of_its_receipts() {
    let mut shop = Setup::tunisia().with_stamp().build();
    shop.open();
    day_of_three(&mut shop);
    let x = shop.x_report();
    // 200.950 and its stamp in, 24.990 and its stamp in, 200.950 out again: the stamp is kept.
    assert_eq!((x.sales, x.reversals), (2, 1));
    assert_eq!(x.takings_minor, 25_190);
    assert_eq!(x.units.thousandths(), 1_000);
    assert_eq!(x.levies[0].minor, 200);
    assert_eq!(x.tenders_minor[&TenderKind::Cash], 100);
    assert_eq!(x.tenders_minor[&TenderKind::Card], 25_090);
    assert_eq!((x.float_minor, x.expected_minor), (100_000, 100_100));
    let standard = x.taxes.iter().find(|tax| tax.rate == "19");
    let standard = standard.expect("19 %");
    assert_eq!((standard.net_minor, standard.tax_minor), (21_000, 3_990));

    let z = shop.close_with(100_050);
    assert_eq!(figures(&z), figures(&x), "X = Z before closing");
    assert_eq!(
        (z.z_number, z.counted_minor, z.difference_minor),
        (Some(1), Some(100_050), Some(-50))
    );
    assert_eq!(z.perpetual_minor, Some(25_190));
    assert!(z.png_base64.is_some_and(|png| png.len() > 1_000));

    let receipts = shop.ledger().receipts("", 100).expect("readable");
    let sales = receipts.iter().map(|receipt| receipt.body.sale());
    assert_eq!(
        sales.clone().map(|sale| sale.total_minor).sum::<i64>(),
        z.takings_minor
    );
    let net: i64 = sales
        .clone()
        .flat_map(|s| &s.taxes)
        .map(|t| t.net_minor)
        .sum();
    assert_eq!(net, z.taxes.iter().map(|tax| tax.net_minor).sum::<i64>());
    let kept: i64 = sales
        .flat_map(|sale| {
            sale.tenders
                .iter()
                .map(|t| t.amount_minor)
                .chain([-sale.change_minor])
        })
        .sum();
    assert_eq!(kept, z.tenders_minor.values().sum::<i64>());
    shop.verify_clean();
}

#[test]
fn the_perpetual_total_and_numbers_go_on_over_shifts_and_years() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.sign_in(CASHIER);
    let mut numbers = Vec::new();
    let mut perpetual = 0;
    for day in 0..4 {
        shop.ok(opening((day > 0).then(approval)));
        for _ in 0..=day {
            shop.scan(BALL);
            numbers.push(shop.pay_cash(None).number);
            perpetual += 29_500;
        }
        let z = shop.close_exact();
        assert_eq!(z.z_number, Some(day + 1));
        assert_eq!(z.perpetual_minor, Some(perpetual));
        shop.advance_days(15);
        shop.reopen();
    }
    let tails: Vec<&str> = numbers
        .iter()
        .map(|number| &number[number.len() - 11..])
        .collect();
    // 23 November, 8 and 23 December, 7 January.
    assert_eq!(
        tails,
        [
            "2026-000001",
            "2026-000002",
            "2026-000003",
            "2026-000004",
            "2026-000005",
            "2026-000006",
            "2027-000001",
            "2027-000002",
            "2027-000003",
            "2027-000004",
        ]
    );
    let series: std::collections::BTreeSet<&str> = numbers
        .iter()
        .map(|number| &number[..number.len() - 12])
        .collect();
    assert_eq!(series.len(), 1, "{series:?}");
    shop.verify_clean();
}

#[test]
fn a_night_belongs_to_the_day_it_began_in() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.advance_ms(20 * 3_600_000);
    shop.scan(BALL);
    shop.pay_cash(None);
    let z = shop.close_exact();
    assert_eq!(z.business_date, "2026-11-23");
    assert_eq!(z.opened_at, "2026-11-23 08:00");
}

#[test]
fn a_trading_day_that_goes_back_or_jumps_needs_a_managers_pin() {
    let day = 86_400_000;
    for (days, today) in [(1, "2026-11-24"), (5, "2026-11-28"), (26_000, "2098-01-29")] {
        for user in [CASHIER, MANAGER] {
            let mut shop = Setup::tunisia().build();
            // The server was last heard from two days before the shift.
            shop.advance_days(2);
            shop.open();
            shop.close_exact();
            shop.sign_in(user);
            shop.set_wall_ms(START_WALL_MS + days * day);
            let params = json!({"last": "2026-11-25", "today": today});
            shop.refused_with(opening(None), RefusalCode::DateApprovalRequired, params);
            shop.ok(opening(Some(approval())));
            let opened = shop.facts().into_iter().rev().find_map(|fact| match fact {
                Fact::ShiftOpened(opened) => Some(opened),
                _ => None,
            });
            let opened = opened.expect("an opening");
            assert_eq!(opened.approved_by, Some(MANAGER));
            assert_eq!(opened.business_date.to_string(), today);
            shop.verify_clean();
        }
    }
    for days in [0, 1, 2] {
        let mut shop = Setup::tunisia().build();
        shop.open();
        shop.close_exact();
        shop.advance_days(days);
        shop.ok(opening(None));
    }
}

#[test]
fn a_clock_before_what_the_server_said_neither_stops_a_sale_nor_dates_it() {
    let day = 86_400_000;
    for wall in [0, -day, START_WALL_MS - 3_650 * day, i64::MIN, i64::MAX] {
        // Before the first shift the day is that of the last word of the server.
        let mut shop = Setup::tunisia().build();
        shop.set_wall_ms(wall);
        shop.sign_in(CASHIER);
        assert_eq!(shop.scan(BALL).total_minor, 29_500, "{wall}");
        shop.refused_with(
            Command::ScanCode {
                code: FUTURE.to_owned(),
            },
            RefusalCode::NoPrice,
            json!({"sku": FUTURE}),
        );
        shop.ok(opening(None));
        assert_eq!(
            shop.status().shift.expect("a shift").business_date,
            "2026-11-23"
        );
        shop.pay_cash(None);
        shop.close_exact();
        // After a shift of a later day it is that day.
        shop.set_wall_ms(START_WALL_MS + 2 * day);
        shop.sign_in(CASHIER);
        shop.ok(opening(None));
        shop.close_exact();
        shop.set_wall_ms(wall);
        shop.sign_in(CASHIER);
        shop.ok(opening(None));
        shop.scan(TEE);
        shop.pay_cash(None);
        assert_eq!(
            shop.status().shift.expect("a shift").business_date,
            "2026-11-25"
        );
        shop.close_exact();
        shop.verify_clean();
    }
}

#[test]
fn a_till_that_was_enrolled_with_a_clock_at_1970_sells() {
    let mut shop = Setup::tunisia().unenrolled();
    let real = shop.now().wall_ms;
    shop.set_wall_ms(0);
    shop.enrol();
    shop.set_wall_ms(real);
    shop.receive_everything();
    shop.set_wall_ms(1_000);
    shop.open();
    shop.scan(BALL);
    shop.pay_cash(None);
    shop.close_exact();
    shop.verify_clean();
}

#[test]
fn a_clock_at_2099_sells_at_the_latest_prices() {
    let mut shop = Setup::tunisia().build();
    shop.set_wall_ms(4_070_908_800_000);
    shop.open();
    shop.scan(BALL);
    shop.pay_cash(None);
    shop.close_exact();
    // Back at the right time a manager confirms the day that seems to go back.
    shop.set_wall_ms(START_WALL_MS);
    shop.sign_in(CASHIER);
    let refused = shop.refused(opening(None));
    assert_eq!(refused.code, RefusalCode::DateApprovalRequired);
    shop.ok(opening(Some(approval())));
    shop.scan(BALL);
    shop.pay_cash(None);
    shop.close_exact();
    shop.verify_clean();
}

#[test]
fn a_difference_within_the_limit_is_accepted_and_above_it_signed() {
    for (counted, needs_manager) in [
        (100_000, false),
        (99_000, false),
        (101_000, false),
        (98_995, true),
        (101_005, true),
    ] {
        let mut shop = Setup::tunisia().build();
        shop.open();
        let close = |approval| Command::CloseShift {
            count: pieces(Country::Tunisia, counted),
            approval,
        };
        if needs_manager {
            let refusal = shop.refused(close(None));
            assert_eq!(refusal.code, RefusalCode::DifferenceApprovalRequired);
            assert_eq!(refusal.params["difference_minor"], counted - 100_000);
            shop.ok(close(Some(approval())));
        } else {
            shop.ok(close(None));
        }
        let closed = shop.facts().into_iter().find_map(|fact| match fact {
            Fact::ShiftClosed(closed) => Some(closed),
            _ => None,
        });
        let closed = closed.expect("a closing");
        assert_eq!(closed.difference_minor, counted - 100_000);
        assert_eq!(closed.approved_by, needs_manager.then_some(MANAGER));
        shop.verify_clean();
    }
}

#[test]
fn parked_carts_and_the_cart_in_hand_outlive_the_shift() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.scan(BALL);
    shop.ok(Command::Park { label: None });
    let sale = shop.scan(SHOE_42).sale;
    let z = shop.close_exact();
    assert_eq!((z.parked, z.sales), (1, 0));
    shop.reopen();
    assert_eq!(shop.cart().sale, sale);
    shop.open_shift(0);
    assert_eq!(shop.pay_cash(None).total_minor, 119_900);
    shop.verify_clean();
}

#[test]
fn the_drawer_opens_without_a_sale_and_leaves_a_trace() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.ok(Command::OpenDrawer {
        reason: "change".to_owned(),
    });
    let opened = shop
        .facts()
        .iter()
        .filter(|fact| matches!(fact, Fact::DrawerOpened(_)))
        .count();
    assert_eq!(opened, 1);
    assert_eq!(shop.x_report().expected_minor, 100_000);
    shop.verify_clean();
}

#[test]
fn a_shift_closes_the_same_after_a_restart_as_before() {
    let mut shop = Setup::tunisia().with_stamp().on_folder().build();
    shop.open();
    day_of_three(&mut shop);
    let before = shop.x_report();
    shop.reopen();
    assert_eq!(figures(&shop.x_report()), figures(&before));
    let id = shop.request_id();
    let close = Command::CloseShift {
        count: pieces(Country::Tunisia, 100_100),
        approval: None,
    };
    let Answer::Ok(Reply::Report(z)) = shop.call_as(id, close.clone()) else {
        panic!("not closed");
    };
    shop.reopen();
    let Answer::Ok(Reply::Report(again)) = shop.call_as(id, close) else {
        panic!("not closed");
    };
    assert_eq!(z, again, "the Z is read again, not written again");
    assert_eq!(shop.status().shift, None);
    shop.verify_clean();
}
