//! What a country's law makes of cash: ceilings, the stamp that is declared, and the pieces a drawer is counted in.

use domain::country::{Country, CountryPack};
use domain::event::{CashStamp, Fact, OverrideKind, SaleBody, TenderKind};
use serde_json::json;
use testkit::shop::{BALL, CASHIER, MANAGER, SHOE_42, Setup, Shop, approval, tender};
use till::door::{CartView, CashStampView, Command, Pieces, Refusal, RefusalCode, TenderInput};

/// A shop in Casablanca under the pack of its country.
fn casablanca() -> Shop {
    let mut shop = Setup::morocco().build();
    shop.configure(|store| store.rules = CountryPack::of(Country::Morocco).rules());
    shop.open();
    shop
}

/// A cart that comes to `minor` dirhams' centimes, one ball at that price.
fn cart_of(shop: &mut Shop, minor: i64) -> CartView {
    shop.scan(BALL);
    shop.cart_of(Command::SetPrice {
        line: 1,
        unit_minor: minor,
        approval: Some(approval()),
    })
}

fn complete(shop: &mut Shop, tenders: Vec<TenderInput>, approved: bool) -> Command {
    Command::Complete {
        sale: shop.cart().sale,
        tenders,
        approval: approved.then(approval),
    }
}

fn warned(cart: &CartView) -> Option<&Refusal> {
    let mut warnings = cart.warnings.iter();
    warnings.find(|warning| warning.code == RefusalCode::CashAboveCeiling)
}

fn last_sale(shop: &Shop) -> SaleBody {
    let sale = shop.facts().into_iter().rev().find_map(|fact| match fact {
        Fact::SaleCompleted(sale) => Some(sale),
        _ => None,
    });
    sale.expect("a sale")
}

#[test]
fn cash_above_the_soft_ceiling_warns_before_it_is_taken() {
    for (minor, expected) in [(500_000, None), (500_001, Some(500_001))] {
        let mut shop = casablanca();
        let cart = cart_of(&mut shop, minor);
        let params = warned(&cart).map(|warning| json!(warning.params));
        let expected =
            expected.map(|cash: i64| json!({"limit_minor": 500_000, "cash_minor": cash}));
        assert_eq!(params, expected, "{minor}");
        // Change is no cash that stays.
        let add = |shop: &mut Shop, kind, amount| {
            shop.cart_of(Command::AddTender {
                tender: tender(kind, Some(amount)),
            })
        };
        let cart = add(&mut shop, TenderKind::Cash, 600_000);
        assert_eq!(warned(&cart).is_some(), expected.is_some(), "{minor}");
        shop.cart_of(Command::RemoveTender { index: 0 });
        let cart = add(&mut shop, TenderKind::Card, 1);
        assert!(warned(&cart).is_none(), "{minor} with a card's share");
        shop.pay_cash(None);
        assert!(
            last_sale(&shop)
                .overrides
                .iter()
                .all(|noted| noted.kind == OverrideKind::Price)
        );
        shop.verify_clean();
    }
}

#[test]
fn cash_from_the_hard_ceiling_on_needs_a_manager_whose_word_is_in_the_sale() {
    let mut shop = casablanca();
    let cash = vec![tender(TenderKind::Cash, None)];
    cart_of(&mut shop, 1_999_999);
    shop.pay_cash(Some(2_100_000));
    cart_of(&mut shop, 2_000_000);
    let bare = complete(&mut shop, cash.clone(), false);
    shop.refused_with(
        bare,
        RefusalCode::CashCeilingApprovalRequired,
        json!({"limit_minor": 2_000_000, "cash_minor": 2_000_000}),
    );
    let mut wrong = approval();
    wrong.pin = "000000".to_owned();
    let sale = shop.cart().sale;
    let refused = shop.refused(Command::Complete {
        sale,
        tenders: cash.clone(),
        approval: Some(wrong),
    });
    assert_eq!(refused.code, RefusalCode::WrongPin);
    let approved = complete(&mut shop, cash, true);
    shop.ok(approved);
    let noted = last_sale(&shop).overrides;
    let ceiling = noted
        .iter()
        .find(|noted| noted.kind == OverrideKind::CashCeiling);
    assert_eq!(
        ceiling.map(|noted| (noted.by, noted.line)),
        Some((MANAGER, None))
    );

    // The same amount with a part on a card is no cash of that size, and nobody is asked.
    cart_of(&mut shop, 2_000_000);
    let split = vec![
        tender(TenderKind::Card, Some(1)),
        tender(TenderKind::Cash, None),
    ];
    let split = complete(&mut shop, split, false);
    shop.ok(split);
    let noted = last_sale(&shop).overrides;
    assert!(
        noted
            .iter()
            .all(|noted| noted.kind != OverrideKind::CashCeiling)
    );
    shop.verify_clean();
}

#[test]
fn a_manager_who_sells_answers_for_the_cash() {
    let mut shop = casablanca();
    shop.sign_in(MANAGER);
    cart_of(&mut shop, 2_500_000);
    shop.pay_cash(None);
    let noted = last_sale(&shop).overrides;
    assert!(
        noted
            .iter()
            .any(|noted| noted.kind == OverrideKind::CashCeiling)
    );
    shop.sign_in(CASHIER);
    shop.verify_clean();
}

#[test]
fn a_repealed_ceiling_asks_nobody() {
    let mut shop = Setup::tunisia().build();
    shop.configure(|store| store.rules = CountryPack::of(Country::Tunisia).rules());
    shop.open();
    let cart = cart_of(&mut shop, 6_000_000);
    assert!(warned(&cart).is_none());
    shop.pay_cash(None);
    assert_eq!(last_sale(&shop).cash_stamp_bp, None);
    assert!(shop.x_report().cash_stamp.is_empty());
    shop.verify_clean();
}

#[test]
fn the_cash_stamp_adds_up_what_stays_in_cash() {
    let mut shop = casablanca();
    cart_of(&mut shop, 39_900);
    shop.pay_cash(Some(50_000));
    let stamp = |count, base_minor, duty_minor| {
        let rate = "0.25".to_owned();
        vec![CashStampView {
            rate,
            count,
            base_minor,
            duty_minor,
        }]
    };
    assert_eq!(shop.x_report().cash_stamp, stamp(1, 39_900, 100));
    // A card leaves no trace in it, and a split only its cash leg.
    cart_of(&mut shop, 100_000);
    shop.complete(vec![tender(TenderKind::Card, None)]);
    assert_eq!(last_sale(&shop).cash_stamp_bp, None);
    cart_of(&mut shop, 100_000);
    shop.complete(vec![
        tender(TenderKind::Card, Some(99_900)),
        tender(TenderKind::Cash, None),
    ]);
    assert_eq!(shop.x_report().cash_stamp, stamp(2, 40_000, 100));
    cart_of(&mut shop, 160);
    let number = shop.pay_cash(None).number;
    assert_eq!(shop.x_report().cash_stamp, stamp(3, 40_160, 100));
    // The duty is taken of the sum: 401.60 and 0.40 at 0.25 % are 1.005, rounded half up once.
    cart_of(&mut shop, 40);
    shop.pay_cash(None);
    assert_eq!(shop.x_report().cash_stamp, stamp(4, 40_200, 101));
    // A receipt was given: taking the money back does not take it out of the declaration.
    shop.ok(Command::ReverseSale {
        number,
        reason: "erreur".to_owned(),
        approval: Some(approval()),
    });
    assert_eq!(shop.x_report().cash_stamp, stamp(4, 40_200, 101));
    shop.verify_clean();
    let z = shop.close_exact();
    assert_eq!(z.cash_stamp, stamp(4, 40_200, 101));
    let fixed = shop.facts().into_iter().find_map(|fact| match fact {
        Fact::ShiftClosed(closed) => Some(closed.totals.cash_stamp),
        _ => None,
    });
    assert_eq!(
        fixed,
        Some(vec![CashStamp {
            rate_bp: 25,
            count: 4,
            base_minor: 40_200,
            duty_minor: 101
        }])
    );
    shop.verify_clean();
}

#[test]
fn a_drawer_is_counted_in_the_pieces_of_its_day() {
    let mut shop = Setup::tunisia().build();
    shop.configure(|store| {
        store.rules = CountryPack::of(Country::Tunisia).rules();
        for row in &mut store.rules.denominations {
            if row.minor == 20_000 {
                row.to = Some("2026-11-22".parse().expect("a date"));
            }
        }
    });
    let shown = |shop: &mut Shop| {
        let store = shop.status().store.expect("a store");
        store.currency.denominations_minor.contains(&20_000)
    };
    let note = vec![Pieces {
        denomination_minor: 20_000,
        pieces: 1,
    }];
    shop.sign_in(CASHIER);
    let open = Command::OpenShift {
        count: note,
        drawer: None,
        approval: None,
    };
    assert!(!shown(&mut shop), "withdrawn the day before");
    shop.refused_with(
        open,
        RefusalCode::CountInvalid,
        json!({"denomination_minor": 20_000}),
    );
    shop.open();
    shop.scan(SHOE_42);
    // 15 notes of 20 would be the next multiple above 299.000.
    let cart = shop.cart_of(Command::SetPrice {
        line: 1,
        unit_minor: 299_000,
        approval: Some(approval()),
    });
    assert!(cart.quick_cash_minor.contains(&300_000));
    shop.verify_clean();
}
