//! Strict variants: no right, no sale, unless a manager says so.

use domain::catalog::{KitPart, StockClass};
use domain::escrow;
use domain::event::{Fact, OverrideKind, TenderKind};
use domain::quantity::Quantity;
use serde_json::json;
use testkit::shop::{
    BALL, CASHIER, MANAGER, SOCKS, STRICT, Setup, Shop, TEE, approval, tender, variant,
};
use till::door::{CartView, Command, RefusalCode, Reply};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

fn shop(units: i64) -> Shop {
    let mut shop = Setup::tunisia().build();
    shop.sign_in(CASHIER);
    shop.open();
    if units > 0 {
        shop.grant(STRICT, units, DAY_MS);
    }
    shop
}

fn right(shop: &Shop) -> i64 {
    let right = shop
        .ledger()
        .right(variant(STRICT), &shop.location(), &shop.now());
    right.expect("right").0 / 1_000
}

fn scan() -> Command {
    Command::ScanCode {
        code: STRICT.to_owned(),
    }
}

fn no_right(units: i64) -> serde_json::Value {
    json!({"sku": STRICT, "variant": variant(STRICT), "right": units * 1_000})
}

fn without_right(shop: &mut Shop) -> CartView {
    shop.cart_of(Command::SellWithoutRight {
        variant: variant(STRICT),
        quantity: None,
        approval: Some(approval()),
    })
}

fn quantity(line: u32, units: i64) -> Command {
    Command::SetQuantity {
        line,
        quantity: Quantity::units(units).expect("units"),
    }
}

#[test]
fn a_strict_variant_is_sold_up_to_its_right_without_asking_anybody() {
    let mut shop = shop(2);
    assert_eq!(shop.scan(STRICT).lines[0].right, Some(Quantity(1_000)));
    let cart = shop.scan(STRICT);
    assert_eq!(cart.lines[0].right, Some(Quantity(0)));
    shop.refused_with(scan(), RefusalCode::NoRight, no_right(2));
    shop.refused_with(quantity(1, 3), RefusalCode::NoRight, no_right(2));
    assert_eq!(right(&shop), 2, "a cart is a draft");
    shop.pay_cash(None);
    assert_eq!(right(&shop), 0);
    shop.refused_with(scan(), RefusalCode::NoRight, no_right(0));
    shop.verify_clean();
}

#[test]
fn lines_of_one_variant_are_one_demand() {
    let mut shop = shop(2);
    shop.scan(STRICT);
    // Another price makes another line.
    shop.ok(Command::SetPrice {
        line: 1,
        unit_minor: 1_000,
        approval: Some(approval()),
    });
    assert_eq!(shop.scan(STRICT).lines.len(), 2);
    shop.refused_with(scan(), RefusalCode::NoRight, no_right(2));
    shop.refused_with(quantity(1, 2), RefusalCode::NoRight, no_right(2));
    shop.ok(Command::RemoveLine { line: 1 });
    shop.ok(quantity(2, 2));
    shop.refused_with(
        Command::RestoreLine { line: 1 },
        RefusalCode::NoRight,
        no_right(2),
    );
}

#[test]
fn an_undone_sale_gives_the_right_back() {
    let mut shop = shop(1);
    shop.scan(STRICT);
    let number = shop.pay_cash(None).number;
    assert_eq!(right(&shop), 0);
    shop.ok(Command::ReverseSale {
        number,
        reason: "erreur".to_owned(),
        approval: Some(approval()),
    });
    assert_eq!(right(&shop), 1);
    shop.scan(STRICT);
    shop.pay_cash(None);
    shop.verify_clean();
}

#[test]
fn a_manager_may_let_it_pass_on_a_line_of_its_own_outside_the_sums() {
    let mut shop = shop(1);
    shop.scan(STRICT);
    shop.refused_with(scan(), RefusalCode::NoRight, no_right(1));
    shop.refused_with(
        Command::SellWithoutRight {
            variant: variant(STRICT),
            quantity: None,
            approval: None,
        },
        RefusalCode::ManagerRequired,
        json!({}),
    );
    let cart = without_right(&mut shop);
    let waived: Vec<bool> = cart.lines.iter().map(|line| line.without_right).collect();
    assert_eq!(waived, [false, true]);
    // One was allowed, not two; and nothing more slips onto the allowed line.
    shop.refused_with(quantity(2, 2), RefusalCode::NoRight, no_right(1));
    shop.refused_with(scan(), RefusalCode::NoRight, no_right(1));
    shop.pay_cash(None);
    assert_eq!(right(&shop), 0, "one unit was sold on the right");
    let sold = shop.facts().into_iter().find_map(|fact| match fact {
        Fact::SaleCompleted(sale) => Some(sale),
        _ => None,
    });
    let sold = sold.expect("a sale");
    assert_eq!(sold.overrides.len(), 1);
    let noted = &sold.overrides[0];
    assert_eq!(
        (noted.kind, noted.by, noted.line),
        (OverrideKind::NoRight, MANAGER, Some(2))
    );
    let effects = escrow::effects(&Fact::SaleCompleted(sold));
    assert_eq!(effects[0].consumed, Quantity::ONE);
    shop.verify_clean();
}

#[test]
fn where_there_is_a_right_a_managers_word_is_not_used() {
    let mut shop = shop(2);
    let cart = without_right(&mut shop);
    assert!(!cart.lines[0].without_right);
    shop.pay_cash(None);
    assert_eq!(right(&shop), 1);
}

#[test]
fn a_right_that_is_gone_is_seen_before_money_changes_hands() {
    let mut shop = shop(1);
    shop.scan(STRICT);
    let sale = shop.cart().sale;
    shop.advance_ms(2 * DAY_MS);
    let refused = no_right(0);
    shop.refused_with(
        Command::AddTender {
            tender: tender(TenderKind::Cash, None),
        },
        RefusalCode::NoRight,
        refused.clone(),
    );
    shop.refused_with(
        Command::Complete {
            sale,
            tenders: vec![tender(TenderKind::Cash, None)],
            approval: None,
        },
        RefusalCode::NoRight,
        refused,
    );
    let cart = shop.cart();
    assert!(cart.warnings.iter().any(|w| w.code == RefusalCode::NoRight));
    // The cart can still be made right.
    shop.ok(Command::RemoveLine { line: 1 });
    without_right(&mut shop);
    shop.pay_cash(None);
    shop.verify_clean();
}

#[test]
fn a_parked_cart_comes_back_and_says_what_it_has_no_right_to_any_more() {
    let mut shop = shop(1);
    shop.scan(STRICT);
    let parked = shop.cart().sale;
    shop.ok(Command::Park { label: None });
    shop.scan(STRICT);
    shop.pay_cash(None);
    let cart = shop.cart_of(Command::Recall { sale: parked });
    assert!(cart.warnings.iter().any(|w| w.code == RefusalCode::NoRight));
    shop.refused_with(
        Command::Complete {
            sale: parked,
            tenders: vec![tender(TenderKind::Cash, None)],
            approval: None,
        },
        RefusalCode::NoRight,
        no_right(0),
    );
}

#[test]
fn an_article_that_became_strict_since_it_was_put_on_the_cart_needs_a_right() {
    let no_right = json!({"sku": BALL, "variant": variant(BALL), "right": 0});
    for parked in [false, true] {
        let mut shop = shop(0);
        shop.scan(BALL);
        let sale = shop.cart().sale;
        if parked {
            shop.ok(Command::Park { label: None });
        }
        shop.set_class(BALL, StockClass::Strict);
        if parked {
            shop.ok(Command::Recall { sale });
        }
        let cash = || tender(TenderKind::Cash, None);
        shop.refused_with(
            Command::AddTender { tender: cash() },
            RefusalCode::NoRight,
            no_right.clone(),
        );
        let complete = || Command::Complete {
            sale,
            tenders: vec![cash()],
            approval: None,
        };
        shop.refused_with(complete(), RefusalCode::NoRight, no_right.clone());
        // With a right it is sold as what it is now.
        shop.grant(BALL, 2, DAY_MS);
        shop.ok(complete());
        let Some(Fact::SaleCompleted(sold)) = shop.facts().pop() else {
            panic!("a sale")
        };
        assert_eq!(sold.lines[0].class, StockClass::Strict);
        // Back on the shelf it needs none.
        shop.scan(BALL);
        shop.set_class(BALL, StockClass::Shelf);
        shop.pay_cash(None);
        let Some(Fact::SaleCompleted(sold)) = shop.facts().pop() else {
            panic!("a sale")
        };
        assert_eq!(sold.lines[0].class, StockClass::Shelf);
        shop.verify_clean();
    }
}

#[test]
fn rights_freeze_when_the_clock_was_set_back() {
    let mut shop = shop(1);
    shop.scan(STRICT);
    shop.ok(Command::ClearCart {});
    assert_eq!(right(&shop), 1);
    shop.reboot();
    let wall = shop.now().wall_ms;
    shop.set_wall_ms(wall - DAY_MS);
    assert_eq!(right(&shop), 0);
    shop.set_wall_ms(wall);
    assert_eq!(right(&shop), 1);
}

#[test]
fn the_server_is_asked_for_what_a_shopper_waits_for() {
    let mut shop = shop(1);
    let needed = |shop: &Shop| {
        let needed = shop.till().rights_needed(&shop.now());
        needed.first().map(|(_, _, quantity)| quantity.0 / 1_000)
    };
    assert_eq!(needed(&shop), None);
    shop.scan(STRICT);
    assert_eq!(needed(&shop), Some(1), "what is on the cart is kept");
    shop.refused_with(scan(), RefusalCode::NoRight, no_right(1));
    assert_eq!(needed(&shop), Some(2));
    shop.advance_ms(61_000);
    assert_eq!(needed(&shop), Some(1));
    let Reply::Cart(_) = shop.ok(Command::ClearCart {}) else {
        panic!("a cart");
    };
    assert_eq!(needed(&shop), None);
}

fn kit_part(sku: &str, thousandths: i64) -> KitPart {
    KitPart {
        variant: variant(sku),
        quantity: Quantity(thousandths),
    }
}

/// A shop in which `SOCKS` is a kit of two balls and a ticket.
fn kit_shop(rights: i64) -> Shop {
    let mut shop = shop(rights);
    shop.set_parts(SOCKS, &[kit_part(BALL, 2_000), kit_part(STRICT, 1_000)]);
    shop
}

fn kit_without_right(units: i64) -> serde_json::Value {
    json!({"sku": SOCKS, "variant": variant(SOCKS), "right": units * 1_000})
}

#[test]
fn a_kit_takes_the_rights_and_the_stock_of_its_parts() {
    let mut shop = kit_shop(3);
    shop.set_stock("LM", &[(BALL, 9), (STRICT, 9)]);
    let cart = shop.scan(SOCKS);
    assert_eq!(cart.lines[0].right, Some(Quantity(2_000)));
    // A ticket by itself is of the same three.
    shop.scan(STRICT);
    let cart = shop.scan(SOCKS);
    assert_eq!(cart.lines[0].right, Some(Quantity(0)));
    let scan_kit = || Command::ScanCode {
        code: SOCKS.to_owned(),
    };
    shop.refused_with(scan_kit(), RefusalCode::NoRight, kit_without_right(3));
    shop.refused_with(scan(), RefusalCode::NoRight, no_right(3));
    let needed = shop.till().rights_needed(&shop.now());
    assert_eq!(
        needed,
        [(variant(STRICT), shop.location(), Quantity(4_000))]
    );
    let stock = |shop: &Shop, sku| {
        let known = shop.ledger().stock(variant(sku), &shop.location());
        known.expect("stock").map(|known| known.quantity.0 / 1_000)
    };
    let kits = |shop: &mut Shop| {
        let found = shop.ok(Command::StockOf {
            variant: variant(SOCKS),
        });
        let Reply::Stock(found) = found else {
            panic!("stock")
        };
        let parts = found.variant.parts.iter();
        let parts: Vec<_> = parts
            .map(|part| (part.sku.clone(), part.quantity.0))
            .collect();
        assert_eq!(
            parts,
            [(BALL.to_owned(), 2_000), (STRICT.to_owned(), 1_000)]
        );
        assert_eq!(found.variant.class, StockClass::Strict);
        assert_eq!(found.variant.stock, found.locations[0].quantity);
        found.variant.stock.map(|kits| kits.0)
    };
    assert_eq!(kits(&mut shop), Some(4_000), "nine balls are four pairs");
    let number = shop.pay_cash(None).number;
    assert_eq!(right(&shop), 0);
    let left = (
        stock(&shop, BALL),
        stock(&shop, STRICT),
        stock(&shop, SOCKS),
    );
    assert_eq!(left, (Some(5), Some(6), Some(0)));
    assert_eq!(kits(&mut shop), Some(2_000));
    // What is undone comes back in parts.
    shop.ok(Command::ReverseSale {
        number,
        reason: "erreur".to_owned(),
        approval: Some(approval()),
    });
    assert_eq!(right(&shop), 3);
    let left = (
        stock(&shop, BALL),
        stock(&shop, STRICT),
        stock(&shop, SOCKS),
    );
    assert_eq!(left, (Some(9), Some(9), Some(0)));
    shop.verify_clean();
}

#[test]
fn a_manager_lets_a_kit_pass_and_not_the_part_that_is_missing() {
    let mut shop = kit_shop(1);
    shop.scan(STRICT);
    let refused = shop.refused(Command::ScanCode {
        code: SOCKS.to_owned(),
    });
    assert_eq!(refused.params["variant"], json!(variant(SOCKS)));
    let cart = shop.cart_of(Command::SellWithoutRight {
        variant: variant(SOCKS),
        quantity: None,
        approval: Some(approval()),
    });
    let lines: Vec<_> = cart
        .lines
        .iter()
        .map(|line| (&*line.sku, line.without_right))
        .collect();
    assert_eq!(lines, [(STRICT, false), (SOCKS, true)]);
    shop.pay_cash(None);
    assert_eq!(
        right(&shop),
        0,
        "only the ticket by itself was sold on the right"
    );
    let Some(Fact::SaleCompleted(sold)) = shop.facts().pop() else {
        panic!("a sale")
    };
    let effects = escrow::effects(&Fact::SaleCompleted(sold));
    assert_eq!(
        effects.iter().map(|effect| effect.consumed.0).sum::<i64>(),
        1_000
    );
    shop.verify_clean();
}

#[test]
fn a_kit_is_sold_in_amounts_that_leave_something_of_each_part() {
    let mut shop = shop(0);
    shop.set_parts(SOCKS, &[kit_part(BALL, 1), kit_part(TEE, 900_000_000)]);
    shop.scan(SOCKS);
    for thousandths in [0, -1_000, 1, 499, 2_000, 1_000_000_000] {
        let asked = Command::SetQuantity {
            line: 1,
            quantity: Quantity(thousandths),
        };
        shop.refused_with(asked, RefusalCode::QuantityInvalid, json!({}));
    }
    shop.refused_with(
        Command::ScanCode {
            code: SOCKS.to_owned(),
        },
        RefusalCode::QuantityInvalid,
        json!({}),
    );
    assert_eq!(shop.cart().lines[0].quantity, Quantity::ONE);
    shop.pay_cash(None);
    shop.verify_clean();
}

#[test]
fn a_part_that_becomes_strict_needs_a_right_on_a_cart_that_has_the_kit_already() {
    let mut shop = shop(0);
    shop.set_parts(SOCKS, &[kit_part(BALL, 2_000)]);
    shop.scan(SOCKS);
    shop.set_class(BALL, StockClass::Strict);
    let pay = Command::AddTender {
        tender: tender(TenderKind::Cash, None),
    };
    shop.refused_with(pay, RefusalCode::NoRight, kit_without_right(0));
    shop.grant(BALL, 2, DAY_MS);
    shop.pay_cash(None);
    let left = shop
        .ledger()
        .right(variant(BALL), &shop.location(), &shop.now());
    assert_eq!(left.expect("right"), Quantity(0));
    shop.verify_clean();
}

#[test]
fn no_document_of_the_stockroom_names_a_kit() {
    let mut shop = kit_shop(0);
    let refused = shop.refused(Command::StockLineage {
        variant: variant(SOCKS),
    });
    assert_eq!(refused.code, RefusalCode::Untracked);
}
