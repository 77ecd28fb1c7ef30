//! Ringing up, with figures that a bookkeeper can check by hand.
//!
//! 19 %: 119.900 = 100.756 + 19.144, 29.500 = 24.790 + 4.710, 24.990 = 21.000 + 3.990.
//! 7 %: 7.350 = 6.869 + 0.481.

use domain::event::{Fact, TenderKind};
use domain::ids::SaleId;
use domain::quantity::Quantity;
use serde_json::json;
use testkit::shop::{
    ARCHIVED, BALL, BALL_UPC, CASHIER, FUTURE, MANAGER, SERVICE, SHOE_42, SHOE_42_EAN, SHOE_43,
    SHOE_43_CARTON, SHOE_43_EAN, SHOE_43_EAN_2, SOCKS, STRICT, Setup, Shop, TEE, approval, tender,
    variant,
};
use till::door::{
    CartView, Command, DiscountInput, LevyView, RefusalCode, Reply, TaxView, VariantView,
};

fn quantity(shop: &mut Shop, line: u32, thousandths: i64) -> CartView {
    shop.cart_of(Command::SetQuantity {
        line,
        quantity: Quantity(thousandths),
    })
}

fn off_line(line: u32, discount: DiscountInput) -> Command {
    Command::DiscountLine {
        line,
        discount,
        approval: None,
    }
}

fn off_cart(discount: DiscountInput) -> Command {
    Command::DiscountCart {
        discount,
        approval: None,
    }
}

fn tax(rate: &str, net_minor: i64, tax_minor: i64) -> TaxView {
    TaxView {
        rate: rate.to_owned(),
        net_minor,
        tax_minor,
    }
}

fn search(shop: &mut Shop, query: &str) -> Vec<VariantView> {
    match shop.ok(Command::Search {
        query: query.to_owned(),
        offset: 0,
        limit: None,
    }) {
        Reply::Variants { rows, more: false } => rows,
        other => panic!("not all rows: {other:?}"),
    }
}

fn skus(rows: &[VariantView]) -> Vec<&str> {
    rows.iter().map(|row| row.sku.as_str()).collect()
}

#[test]
fn a_shoe_two_balls_and_three_pairs_of_socks() {
    let mut shop = Setup::tunisia().with_stamp().build();
    shop.open();
    shop.scan(SHOE_42_EAN);
    shop.scan(BALL_UPC);
    shop.scan(BALL_UPC);
    shop.scan(SOCKS);
    let cart = quantity(&mut shop, 3, 3_000);
    assert_eq!(cart.touched, Some(3));
    // 119.900 + 2 x 29.500 + 3 x 7.350 = 200.950, and the stamp.
    assert_eq!(cart.subtotal_minor, 200_950);
    assert_eq!(cart.total_minor, 201_050);
    assert_eq!(cart.units, Quantity(6_000));
    let stamp = LevyView {
        code: "stamp".to_owned(),
        minor: 100,
    };
    assert_eq!(cart.levies, [stamp]);
    // 22.050 = 20.607 + 1.443 at 7 %; 119.900 and 59.000 = 100.756 + 49.580 net at 19 %.
    assert_eq!(
        cart.taxes,
        [tax("7", 20_607, 1_443), tax("19", 150_336, 28_564)]
    );
    let done = shop.pay_cash(Some(250_000));
    assert_eq!(
        (done.total_minor, done.cash_minor, done.change_minor),
        (201_050, 250_000, 48_950)
    );
    assert!(done.next.lines.is_empty() && done.next.sale != done.sale);
    let report = shop.x_report();
    assert_eq!(report.takings_minor, 201_050);
    assert_eq!(report.expected_minor, 100_000 + 201_050);
    shop.verify_clean();
}

#[test]
fn the_same_in_dirhams() {
    let mut shop = Setup::morocco().build();
    shop.open();
    shop.scan(SHOE_42_EAN);
    shop.scan(BALL);
    let cart = shop.scan(SOCKS);
    // 349.00 = 290.83 + 58.17 and 89.90 = 74.92 + 14.98 at 20 %; 22.50 = 20.45 + 2.05 at 10 %.
    assert_eq!(cart.total_minor, 46_140);
    assert_eq!(
        cart.taxes,
        [
            tax("10", 2_045, 205),
            tax("20", 29_083 + 7_492, 5_817 + 1_498)
        ]
    );
    let done = shop.pay_cash(Some(50_000));
    assert_eq!(done.change_minor, 3_860);
    assert!(done.number.starts_with("CA-01-"), "{}", done.number);
    shop.verify_clean();
}

#[test]
fn one_article_has_one_line_whatever_its_label_says() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    for code in [SHOE_43_EAN, SHOE_43_EAN_2, SHOE_43_CARTON, "atl-43-noir"] {
        shop.scan(code);
    }
    for code in ["036000291452", "0036000291452", "00036000291452"] {
        shop.scan(code);
    }
    let cart = shop.cart();
    let lines: Vec<_> = cart
        .lines
        .iter()
        .map(|line| (line.sku.as_str(), line.quantity, line.options.as_str()))
        .collect();
    assert_eq!(
        lines,
        [
            (SHOE_43, Quantity(4_000), "43 / Noir"),
            (BALL, Quantity(3_000), "")
        ]
    );
}

#[test]
fn what_is_in_the_shelf_sells_archived_or_not_and_services_too() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(ARCHIVED);
    let cart = shop.scan(SERVICE);
    assert_eq!(cart.total_minor, 25_000);
    assert!(cart.warnings.iter().all(|w| w.params["sku"] != SERVICE));
    shop.pay_cash(None);
    shop.verify_clean();
}

#[test]
fn discounts_are_taken_off_and_spread() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(SHOE_42);
    shop.scan(SOCKS);
    quantity(&mut shop, 2, 2_000);
    // 10 % off 119.900 is 11.990.
    let cart = shop.cart_of(off_line(1, DiscountInput::Percent { bp: 1_000 }));
    assert_eq!(cart.lines[0].discount_minor, 11_990);
    assert_eq!(cart.subtotal_minor, 107_910 + 14_700);
    // 5.000 over 107.910 and 14.700: 4.4005 and 0.5995, the odd millime to the larger remainder.
    let cart = shop.cart_of(off_cart(DiscountInput::Amount { minor: 5_000 }));
    assert_eq!(cart.cart_discount_minor, 5_000);
    assert_eq!(cart.total_minor, 117_610);
    // 103.509 = 86.982 + 16.527 at 19 %; 14.101 = 13.179 + 0.922 at 7 %.
    assert_eq!(
        cart.taxes,
        [tax("7", 13_179, 922), tax("19", 86_982, 16_527)]
    );
    shop.pay_cash(None);
    let report = shop.x_report();
    assert_eq!(report.discounts_minor, 11_990 + 5_000);
    shop.verify_clean();
}

#[test]
fn a_percentage_within_the_limit_stays_within_it_when_it_is_rounded() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(SOCKS);
    // 10 % of 11.025 is 1.1025, which rounds to 1.103: more than a tenth.
    quantity(&mut shop, 1, 1_500);
    let cart = shop.cart_of(off_line(1, DiscountInput::Percent { bp: 1_000 }));
    assert_eq!(cart.lines[0].discount_minor, 1_103);
}

#[test]
fn an_amount_within_the_limit_of_ten_is_not_within_that_of_one() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(BALL);
    quantity(&mut shop, 1, 10_000);
    shop.cart_of(off_line(1, DiscountInput::Amount { minor: 29_500 }));
    let one = Command::SetQuantity {
        line: 1,
        quantity: Quantity(1_000),
    };
    let code = RefusalCode::DiscountApprovalRequired;
    shop.refused_with(one.clone(), code, json!({"limit_bp": 1_000}));

    // Off the cart, the way is to take the other lines away.
    shop.cart_of(off_line(1, DiscountInput::None));
    shop.scan(SHOE_42);
    shop.cart_of(off_cart(DiscountInput::Amount { minor: 41_490 }));
    let remove = Command::RemoveLine { line: 1 };
    shop.refused_with(remove.clone(), code, json!({"limit_bp": 1_000}));

    // A manager at the till allows it by doing it, and is named in the sale.
    shop.sign_in(MANAGER);
    shop.ok(remove);
    shop.pay_cash(None);
    let overrides = shop.facts().into_iter().find_map(|fact| match fact {
        Fact::SaleCompleted(sale) => Some(sale.overrides),
        _ => None,
    });
    let overrides = overrides.expect("a sale");
    assert_eq!(overrides.len(), 1);
    assert_eq!((overrides[0].by, overrides[0].line), (MANAGER, None));
    shop.verify_clean();
}

#[test]
fn a_manager_allows_a_price_and_a_discount_by_pin() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(BALL);
    let cart = shop.cart_of(Command::SetPrice {
        line: 1,
        unit_minor: 25_000,
        approval: Some(approval()),
    });
    assert_eq!(
        (cart.lines[0].unit_minor, cart.lines[0].list_minor),
        (25_000, 29_500)
    );
    let cart = shop.cart_of(Command::DiscountLine {
        line: 1,
        discount: DiscountInput::Percent { bp: 10_000 },
        approval: Some(approval()),
    });
    assert_eq!(cart.total_minor, 0);
    // A smaller one again, and then more of it, needs the manager anew.
    shop.cart_of(off_line(1, DiscountInput::Percent { bp: 500 }));
    shop.refused_with(
        off_line(1, DiscountInput::Percent { bp: 5_000 }),
        RefusalCode::DiscountApprovalRequired,
        json!({"limit_bp": 1_000}),
    );
    shop.pay_cash(None);
    let sale = shop.facts().into_iter().find_map(|fact| match fact {
        Fact::SaleCompleted(sale) => Some(sale),
        _ => None,
    });
    let sale = sale.expect("a sale");
    assert_eq!((sale.total_minor, sale.cashier), (23_750, CASHIER));
    assert!(sale.overrides.iter().all(|noted| noted.by == MANAGER));
    shop.verify_clean();
}

#[test]
fn a_cart_given_away_is_paid_with_nothing() {
    let mut shop = Setup::tunisia().build();
    shop.sign_in(MANAGER);
    shop.open_shift(0);
    shop.scan(BALL);
    shop.cart_of(off_cart(DiscountInput::Percent { bp: 10_000 }));
    let done = shop.pay_cash(None);
    assert_eq!((done.total_minor, done.change_minor), (0, 0));
    assert_eq!(shop.x_report().expected_minor, 0);
    shop.verify_clean();
}

#[test]
fn cash_is_rounded_and_a_card_is_not() {
    let sell = |prepare: fn(&mut Shop), tenders| {
        let mut shop = Setup::tunisia().with_cash_rounding(50).build();
        shop.open();
        prepare(&mut shop);
        let done = shop.complete(tenders);
        shop.verify_clean();
        let rounding = shop.x_report().rounding_minor;
        (done.total_minor, rounding, done.change_minor)
    };
    let cash = |amount| tender(TenderKind::Cash, amount);
    let card = |amount| tender(TenderKind::Card, amount);
    let tee = |shop: &mut Shop| drop(shop.scan(TEE));
    // 24.990 is 25.000 in cash.
    assert_eq!(sell(tee, vec![cash(None)]), (25_000, 10, 0));
    assert_eq!(sell(tee, vec![cash(Some(30_000))]), (25_000, 10, 5_000));
    assert_eq!(sell(tee, vec![card(None)]), (24_990, 0, 0));
    // Card 10.000, and 14.990 is 15.000 in cash.
    let split = vec![card(Some(10_000)), cash(None)];
    assert_eq!(sell(tee, split), (25_000, 10, 0));
    // 1.001 of it: 25.015 is 25.000.
    let more = |shop: &mut Shop| {
        shop.scan(TEE);
        quantity(shop, 1, 1_001);
    };
    assert_eq!(sell(more, vec![cash(None)]), (25_000, -15, 0));
    // 0.002 pairs of socks: 0.015 rounds to nothing, which is exactly what is handed over.
    let crumb = |shop: &mut Shop| {
        shop.scan(SOCKS);
        quantity(shop, 1, 2);
    };
    assert_eq!(sell(crumb, vec![cash(None)]), (0, -15, 0));
    assert_eq!(sell(crumb, vec![]), (0, -15, 0));
}

#[test]
fn a_payment_is_split_and_recorded_as_it_comes() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(SHOE_42);
    let add = |tender| Command::AddTender { tender };
    let cart = shop.cart_of(add(tender(TenderKind::Card, Some(60_000))));
    assert_eq!((cart.due_minor, cart.tenders.len()), (59_900, 1));
    let cart = shop.cart_of(add(tender(TenderKind::Other, Some(20_000))));
    assert_eq!(cart.due_minor, 39_900);
    let cart = shop.cart_of(Command::RemoveTender { index: 1 });
    assert_eq!(cart.due_minor, 59_900);
    let done = shop.pay_cash(Some(70_000));
    assert_eq!((done.cash_minor, done.change_minor), (70_000, 10_100));
    let report = shop.x_report();
    assert_eq!(report.tenders_minor[&TenderKind::Cash], 59_900);
    assert_eq!(report.tenders_minor[&TenderKind::Card], 60_000);
    assert_eq!(report.expected_minor, 159_900);
    shop.verify_clean();
}

#[test]
fn two_taps_sell_for_cash() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    let sale = shop.scan(BALL).sale;
    let before = shop.ledger().head().seq;
    let tenders = vec![tender(TenderKind::Cash, None)];
    shop.ok(Command::Complete {
        sale,
        tenders,
        approval: None,
    });
    assert_eq!(shop.ledger().head().seq, before + 1, "one event");
    assert_eq!(shop.status().shift.expect("a shift").receipts, 1);
}

#[test]
fn a_cart_is_prepared_before_the_shift_and_sold_in_it() {
    let mut shop = Setup::tunisia().build();
    shop.sign_in(CASHIER);
    shop.scan(BALL);
    quantity(&mut shop, 1, 2_000);
    shop.ok(Command::RemoveLine { line: 1 });
    shop.cart_of(Command::RestoreLine { line: 1 });
    shop.open_shift(0);
    assert_eq!(shop.pay_cash(None).total_minor, 59_000);
    shop.verify_clean();
}

#[test]
fn lines_and_carts_that_are_given_up_leave_a_trace() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(SHOE_42);
    shop.scan(BALL);
    let cart = shop.cart_of(Command::RemoveLine { line: 1 });
    assert_eq!(cart.total_minor, 29_500);
    let cart = shop.cart_of(Command::RestoreLine { line: 1 });
    let order: Vec<u32> = cart.lines.iter().map(|line| line.line).collect();
    assert_eq!(order, [1, 2], "where it was");
    let first = cart.sale;
    let fresh = shop.cart_of(Command::ClearCart {});
    assert!(fresh.lines.is_empty() && fresh.sale != first);
    let voided: Vec<i64> = shop
        .facts()
        .iter()
        .filter_map(|fact| match fact {
            Fact::LineVoided(voided) => Some(voided.total_minor),
            Fact::CartVoided(voided) => Some(voided.total_minor),
            _ => None,
        })
        .collect();
    assert_eq!(voided, [119_900, 149_400]);
    shop.verify_clean();
}

/// Writes the first line of the cart in hand again and again, which thousands of scans would take long for.
fn fill_cart_in_hand(shop: &mut Shop, lines: u32) {
    shop.close_till();
    let db = crate::raw(shop.folder().join("drafts.db"));
    let body: String = db
        .query_row("SELECT body FROM cart", [], |row| row.get(0))
        .expect("a cart");
    let mut cart: domain::cart::Cart = serde_json::from_str(&body).expect("a cart");
    let first = cart.lines[0].clone();
    cart.lines = (1..=lines)
        .map(|line| domain::cart::CartLine {
            line,
            ..first.clone()
        })
        .collect();
    cart.next_line = lines + 1;
    let body = serde_json::to_string(&cart).expect("plain data");
    db.execute("UPDATE cart SET body = ?1", [body])
        .expect("writable");
    shop.try_open().expect("the till opens");
}

#[test]
fn five_hundred_lines_fit_and_no_more() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.scan(SOCKS);
    shop.cart_of(off_line(1, DiscountInput::Amount { minor: 1 }));
    fill_cart_in_hand(&mut shop, 499);
    assert_eq!(shop.scan(SOCKS).lines.len(), 500);
    // The last one has no discount, so it takes one more of the same.
    assert_eq!(shop.scan(SOCKS).lines.len(), 500);
    let other = Command::ScanCode {
        code: BALL.to_owned(),
    };
    shop.refused_with(other, RefusalCode::TooManyLines, json!({"max": 500}));
    let done = shop.pay_cash(None);
    assert_eq!(done.total_minor, 501 * 7_350 - 499);
    shop.verify_clean();
}

#[test]
fn a_new_price_holds_from_its_day_for_what_is_scanned_then() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    assert_eq!(shop.scan(TEE).total_minor, 24_990);
    shop.ok(Command::Park { label: None });
    let sale = shop.traces()[2]["ok"]["carts"][0]["sale"].clone();
    shop.close_exact();
    shop.advance_days(8);
    shop.ok(Command::OpenShift {
        drawer: None,
        count: vec![],
        approval: Some(approval()),
    });
    assert_eq!(shop.scan(TEE).total_minor, 19_990, "1 December");
    assert_eq!(shop.scan(FUTURE).total_minor, 29_890);
    let sale = serde_json::from_value(sale).expect("an id");
    let parked = shop.cart_of(Command::Recall { sale });
    assert_eq!(parked.total_minor, 24_990, "as it was promised");
    shop.set_price(TEE, "2026-01-01", 18_000);
    assert_eq!(shop.scan(TEE).total_minor, 24_990 + 18_000);
    shop.pay_cash(None);
    shop.verify_clean();
}

#[test]
fn carts_are_parked_found_and_survive_a_restart() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.scan(BALL);
    let first = shop.cart().sale;
    shop.ok(Command::Park {
        label: Some("Mme Ben Salah".to_owned()),
    });
    shop.advance_ms(1_000);
    shop.scan(SHOE_42);
    let second = shop.cart().sale;
    shop.reopen();
    assert_eq!(shop.cart().sale, second, "the cart in hand too");
    let cart = shop.cart_of(Command::Recall { sale: first });
    assert_eq!((cart.sale, cart.total_minor), (first, 29_500));
    let Reply::Parked { carts } = shop.ok(Command::ListParked {}) else {
        panic!("not parked carts");
    };
    let parked: Vec<_> = carts.iter().map(|c| (c.sale, c.total_minor)).collect();
    assert_eq!(parked, [(second, 119_900)], "they changed places");
    shop.pay_cash(None);
    shop.reopen();
    let cart = shop.cart_of(Command::Recall { sale: second });
    assert_eq!(cart.due_minor, 119_900);
    shop.pay_cash(None);
    assert_eq!(shop.status().parked, 0);
    shop.verify_clean();
}

#[test]
fn parked_carts_and_settings_survive_signing_out_and_a_restart() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.scan(BALL);
    shop.ok(Command::Park { label: None });
    let Reply::Settings(mut settings) = shop.ok(Command::GetSettings {}) else {
        panic!("not settings");
    };
    settings.language = domain::catalog::Language::Ar;
    settings.profile = "generic-80".to_owned();
    shop.ok(Command::SetSettings {
        settings: settings.clone(),
    });
    shop.ok(Command::SignOut {});
    shop.reopen();
    let status = shop.status();
    assert_eq!((status.parked, status.user), (1, None));
    assert!(matches!(shop.ok(Command::GetSettings {}), Reply::Settings(kept) if kept == settings));
    shop.verify_clean();
}

#[test]
fn a_cart_that_money_was_taken_for_is_neither_parked_nor_left_behind() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(BALL);
    shop.ok(Command::Park { label: None });
    shop.scan(SHOE_42);
    shop.ok(Command::AddTender {
        tender: tender(TenderKind::Card, Some(20_000)),
    });
    let Reply::Parked { carts } = shop.ok(Command::ListParked {}) else {
        panic!("not parked carts");
    };
    for command in [
        Command::Park { label: None },
        Command::Recall {
            sale: carts[0].sale,
        },
        Command::ClearCart {},
        Command::SignOut {},
        Command::CloseShift {
            count: Vec::new(),
            approval: Some(testkit::shop::approval()),
        },
    ] {
        assert_eq!(shop.refused(command).code, RefusalCode::TendersRecorded);
    }
    shop.ok(Command::RemoveTender { index: 0 });
    shop.ok(Command::SignOut {});
    shop.verify_clean();
}

#[test]
fn a_card_never_pays_more_than_cash_has_left() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(SHOE_42);
    shop.ok(Command::AddTender {
        tender: tender(TenderKind::Cash, Some(50_000)),
    });
    shop.refused_with(
        Command::AddTender {
            tender: tender(TenderKind::Card, Some(119_900)),
        },
        RefusalCode::TenderAboveDue,
        json!({"due_minor": 69_900}),
    );
    shop.verify_clean();
}

#[test]
fn an_approved_discount_does_not_grow_with_a_smaller_quantity() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    let line = shop.scan(BALL).lines[0].line;
    let quantity = |quantity| Command::SetQuantity {
        line,
        quantity: Quantity(quantity),
    };
    shop.ok(quantity(10_000));
    shop.ok(Command::DiscountLine {
        line,
        discount: till::door::DiscountInput::Amount { minor: 59_000 },
        approval: Some(testkit::shop::approval()),
    });
    // 20 % of ten balls were allowed; the same amount off two would be all of them.
    assert_eq!(
        shop.refused(quantity(2_000)).code,
        RefusalCode::DiscountApprovalRequired
    );
    shop.ok(quantity(12_000));
    shop.verify_clean();
}

#[test]
fn a_line_or_cart_given_up_just_before_a_crash_stays_given_up() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    let drafts = shop.folder().join("drafts.db");
    let body = || -> String {
        let db = crate::raw(&drafts);
        db.query_row(
            "SELECT body FROM cart WHERE parked_wall IS NULL",
            [],
            |row| row.get(0),
        )
        .expect("a cart")
    };
    let put_back = |body: &str| {
        let db = crate::raw(&drafts);
        let cart: serde_json::Value = serde_json::from_str(body).expect("a cart");
        let sale: SaleId = serde_json::from_value(cart["sale"].clone()).expect("an id");
        db.execute("DELETE FROM cart", []).expect("writable");
        let id = sale.0.as_bytes().to_vec();
        db.execute(
            "INSERT INTO cart (sale, parked_wall, body) VALUES (?1, NULL, ?2)",
            (&id, body),
        )
        .expect("writable");
    };
    // A line that was taken off, put back and taken off again: the last void is the one that counts.
    shop.scan(BALL);
    shop.scan(SHOE_42);
    shop.ok(Command::RemoveLine { line: 1 });
    shop.ok(Command::RestoreLine { line: 1 });
    let before = body();
    shop.ok(Command::RemoveLine { line: 1 });
    shop.close_till();
    put_back(&before);
    shop.try_open().expect("the till opens");
    let cart = shop.cart();
    assert_eq!(
        cart.lines.iter().map(|line| line.line).collect::<Vec<_>>(),
        [2]
    );
    // A restored line is no void.
    shop.ok(Command::RestoreLine { line: 1 });
    shop.reopen();
    assert_eq!(shop.cart().lines.len(), 2);
    // The whole cart.
    let before = body();
    let given_up = shop.cart().sale;
    shop.ok(Command::ClearCart {});
    shop.close_till();
    put_back(&before);
    shop.try_open().expect("the till opens");
    let cart = shop.cart();
    assert!(cart.lines.is_empty() && cart.sale != given_up);
    shop.verify_clean();
}

#[test]
fn a_draft_whose_sale_is_in_the_ledger_is_dropped() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.scan(BALL);
    let drafts = shop.folder().join("drafts.db");
    let db = crate::raw(&drafts);
    let body: String = db
        .query_row("SELECT body FROM cart", [], |row| row.get(0))
        .expect("a cart");
    let done = shop.pay_cash(None);
    shop.close_till();
    // The power went between the ledger's commit and that of the drafts.
    let id = done.sale.0.as_bytes().to_vec();
    db.execute("DELETE FROM cart", []).expect("writable");
    for parked in [None, Some(1)] {
        db.execute(
            "INSERT OR REPLACE INTO cart (sale, parked_wall, body) VALUES (?1, ?2, ?3)",
            (&id, parked, &body),
        )
        .expect("writable");
        shop.try_open().expect("the till opens");
        let cart = shop.cart();
        assert!(cart.lines.is_empty() && cart.sale != done.sale);
        assert_eq!(shop.status().parked, 0);
        shop.close_till();
    }
    shop.try_open().expect("the till opens");
    assert_eq!(shop.x_report().sales, 1);
    shop.verify_clean();
}

#[test]
fn stock_falls_with_each_sale_and_is_warned_about() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(BALL);
    let cart = quantity(&mut shop, 1, 3_000);
    assert!(cart.warnings.is_empty(), "there are three");
    let cart = quantity(&mut shop, 1, 4_000);
    assert_eq!(cart.warnings.len(), 1);
    assert_eq!(cart.warnings[0].code, RefusalCode::StockBelowZero);
    assert_eq!(cart.warnings[0].params["sku"], BALL);
    shop.pay_cash(None);
    shop.advance_ms(90_000);
    let Reply::Stock(stock) = shop.ok(Command::StockOf {
        variant: variant(BALL),
    }) else {
        panic!("not stock");
    };
    let found: Vec<_> = stock
        .locations
        .iter()
        .map(|at| {
            (
                at.location.as_str(),
                at.name.fr.as_str(),
                at.quantity,
                at.age_ms,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("LM", "La Marsa", Some(Quantity(-1_000)), Some(90_000)),
            ("SO", "Sousse", Some(Quantity(10_000)), Some(90_000)),
        ]
    );
    // The server has folded the sale and counted a delivery.
    shop.set_stock("LM", &[(BALL, 7)]);
    assert_eq!(search(&mut shop, BALL)[0].stock, Some(Quantity(7_000)));
    shop.verify_clean();
}

#[test]
fn search_folds_accents_and_arabic_letters() {
    let mut shop = Setup::tunisia().build();
    shop.sign_in(CASHIER);
    for (query, found) in [
        ("ete", vec![TEE]),
        ("ÉTÉ tee", vec![TEE]),
        ("entrainement", vec![BALL]),
        ("كره", vec![BALL]),
        ("حذاء اطلس", vec![SHOE_42, SHOE_43]),
        ("atlas 43", vec![SHOE_43]),
        ("noir 42", vec![SHOE_42]),
        ("stringing", vec![SERVICE]),
        ("6191234500023", vec![SHOE_43]),
        ("036000", vec![BALL]),
        ("billet", vec![STRICT]),
        ("zzz", vec![]),
        ("\" OR *", vec![]),
        ("\u{202e}ete", vec![TEE]),
    ] {
        assert_eq!(skus(&search(&mut shop, query)), found, "{query}");
    }
    let all = search(&mut shop, "");
    assert_eq!(all.len(), 11);
    assert_eq!(all[10].sku, ARCHIVED, "last");
    let Reply::Variants { rows, more } = shop.ok(Command::Search {
        query: String::new(),
        offset: 9,
        limit: Some(1),
    }) else {
        panic!("not variants");
    };
    assert!(more && rows.len() == 1 && rows[0].sku == all[9].sku);
    let row = &search(&mut shop, "atlas 42")[0];
    assert_eq!(
        (row.price_minor, row.gtin.as_str(), row.stock),
        (Some(119_900), "06191234500016", Some(Quantity(1_000)))
    );
    assert_eq!(search(&mut shop, "stringing")[0].stock, None);
    assert_eq!(search(&mut shop, "next")[0].price_minor, None);
}

#[test]
fn nothing_is_taken_off_an_empty_cart() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    // 5.000 off nothing would be two thirds off the first pair of socks, and nobody would have been asked.
    shop.refused_with(
        off_cart(DiscountInput::Amount { minor: 5_000 }),
        RefusalCode::DiscountInvalid,
        json!({}),
    );
    assert_eq!(shop.scan(SOCKS).total_minor, 7_350);
    shop.ok(off_cart(DiscountInput::None));
}

#[test]
fn a_word_given_for_one_discount_stands_for_the_one_it_makes_larger() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(BALL);
    // A tenth of 29.500 needs nobody; of 28.025 it is more than a tenth.
    shop.cart_of(off_cart(DiscountInput::Amount { minor: 2_950 }));
    let smaller = DiscountInput::Percent { bp: 500 };
    let refusal = shop.refused(off_line(1, smaller));
    assert_eq!(refusal.code, RefusalCode::DiscountApprovalRequired);
    let cart = shop.cart_of(Command::DiscountLine {
        line: 1,
        discount: smaller,
        approval: Some(approval()),
    });
    assert_eq!(cart.total_minor, 25_075);
}
