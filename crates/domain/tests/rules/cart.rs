//! Carts: what changes are allowed, and what they come to.

use crate::shop::{Terms, article, cart, date, levy, sale_id};
use domain::cart::{Cart, CartError, Discount, LINES_MAX, price};
use domain::money::{Currency, MINOR_MAX};
use domain::quantity::{QUANTITY_MAX, Quantity};

fn quantities(cart: &Cart) -> Vec<(u32, i64)> {
    cart.lines
        .iter()
        .map(|line| (line.line, line.quantity.0))
        .collect()
}

#[test]
fn the_same_article_at_the_same_price_grows_its_line() {
    let mut cart = cart([article("ball", 1_000, "19", 1_000)]);
    assert_eq!(cart.add_line(article("ball", 1_000, "19", 2_000)), Ok(1));
    assert_eq!(cart.add_line(article("ball", 900, "19", 1_000)), Ok(2));
    assert_eq!(cart.add_line(article("shoe", 1_000, "19", 1_000)), Ok(3));
    assert_eq!(quantities(&cart), [(1, 3_000), (2, 1_000), (3, 1_000)]);
}

#[test]
fn a_line_that_somebody_touched_stays_alone() {
    let mut cart = cart([
        article("ball", 1_000, "19", 1_000),
        article("shoe", 1_000, "19", 1_000),
    ]);
    cart.set_price(1, 900).expect("price");
    cart.discount_line(2, Discount::Percent { bp: 1_000 })
        .expect("discount");
    assert_eq!(cart.add_line(article("ball", 1_000, "19", 1_000)), Ok(3));
    assert_eq!(cart.add_line(article("shoe", 1_000, "19", 1_000)), Ok(4));
    assert_eq!(cart.add_line(article("ball", 1_000, "19", 1_000)), Ok(3));
}

#[test]
fn what_cannot_be_sold_is_refused_and_changes_nothing() {
    let mut cart = cart([article("ball", 1_000, "19", 1_000)]);
    let before = cart.clone();
    for (result, error) in [
        (
            cart.add_line(article("shoe", 1, "19", 0)).map(drop),
            CartError::QuantityInvalid,
        ),
        (
            cart.add_line(article("shoe", 1, "19", -1)).map(drop),
            CartError::QuantityInvalid,
        ),
        (
            cart.add_line(article("shoe", -1, "19", 1)).map(drop),
            CartError::PriceInvalid,
        ),
        (
            cart.add_line(article("ball", 1_000, "19", QUANTITY_MAX))
                .map(drop),
            CartError::QuantityInvalid,
        ),
        (
            cart.set_quantity(1, Quantity::ZERO),
            CartError::QuantityInvalid,
        ),
        (
            cart.set_quantity(1, Quantity(QUANTITY_MAX + 1)),
            CartError::QuantityInvalid,
        ),
        (cart.set_quantity(9, Quantity::ONE), CartError::UnknownLine),
        (cart.set_price(1, -1), CartError::PriceInvalid),
        (cart.set_price(1, i64::MAX), CartError::PriceInvalid),
        (cart.set_price(9, 1), CartError::UnknownLine),
        (
            cart.discount_line(1, Discount::Amount { minor: 1_001 }),
            CartError::DiscountInvalid,
        ),
        (
            cart.discount_line(1, Discount::Amount { minor: -1 }),
            CartError::DiscountInvalid,
        ),
        (
            cart.discount_line(1, Discount::Percent { bp: 10_001 }),
            CartError::DiscountInvalid,
        ),
        (
            cart.discount_line(9, Discount::None),
            CartError::UnknownLine,
        ),
        (
            cart.discount_cart(Discount::Amount { minor: i64::MIN }),
            CartError::DiscountInvalid,
        ),
        (cart.remove_line(9).map(drop), CartError::UnknownLine),
        (cart.restore_line(1), CartError::UnknownLine),
    ] {
        assert_eq!(result, Err(error));
    }
    assert_eq!(cart, before);
}

#[test]
fn a_removed_line_comes_back_to_its_place_with_its_number() {
    let names = ["ball", "shoe", "sock"];
    let mut cart = cart(names.map(|name| article(name, 1_000, "19", 1_000)));
    let whole = cart.clone();
    let removed = cart.remove_line(2).expect("line");
    assert_eq!((removed.line, removed.sku.as_str()), (2, "SHOE"));
    assert_eq!(quantities(&cart), [(1, 1_000), (3, 1_000)]);
    cart.restore_line(2).expect("line");
    assert_eq!(cart.voids, 1, "taken off once");
    assert_eq!(
        Cart {
            voids: 0,
            ..cart.clone()
        },
        whole
    );
    cart.remove_line(3).expect("line");
    assert_eq!(
        cart.add_line(article("cap", 1, "19", 1_000)),
        Ok(4),
        "numbers are never used twice"
    );
}

#[test]
fn a_cart_discount_goes_with_the_last_line() {
    let mut cart = cart([article("ball", 50_000, "19", 1_000)]);
    cart.discount_cart(Discount::Amount { minor: 20_000 })
        .expect("discount");
    cart.remove_line(1).expect("line");
    cart.add_line(article("sock", 5_000, "19", 1_000))
        .expect("line");
    let priced = price(&cart, &Terms::new(Currency::Tnd).pricing()).expect("priced");
    assert_eq!(priced.total_minor, 5_000);
}

#[test]
fn a_cart_holds_five_hundred_lines() {
    let mut cart = Cart::new(sale_id(1));
    for number in 0..LINES_MAX {
        cart.add_line(article(&format!("a{number}"), 1, "19", 1_000))
            .expect("room");
    }
    assert_eq!(
        cart.add_line(article("more", 1, "19", 1_000)),
        Err(CartError::TooManyLines)
    );
    assert_eq!(
        cart.add_line(article("a7", 1, "19", 1_000)),
        Ok(8),
        "what is there still grows"
    );
    cart.remove_line(1).expect("line");
    cart.add_line(article("more", 1, "19", 1_000))
        .expect("room");
    assert_eq!(cart.restore_line(1), Err(CartError::TooManyLines));
}

#[test]
fn discounts_go_line_first_then_cart_and_the_parts_add_up() {
    let mut cart = cart([
        article("shoe", 119_990, "19", 1_000),
        article("rope", 1_500, "19", 2_345),
        article("book", 10_000, "7", 1_000),
    ]);
    cart.discount_line(1, Discount::Percent { bp: 1_250 })
        .expect("discount");
    cart.discount_line(3, Discount::Amount { minor: 1_000 })
        .expect("discount");
    cart.discount_cart(Discount::Percent { bp: 1_000 })
        .expect("discount");
    let priced = price(&cart, &Terms::new(Currency::Tnd).pricing()).expect("priced");
    let rows: Vec<_> = priced
        .lines
        .iter()
        .map(|l| {
            (
                l.gross_minor,
                l.discount_minor,
                l.cart_discount_minor,
                l.total_minor,
                l.net_minor,
                l.tax_minor,
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            // 12.5 % of 119.990 is 14.99875
            (119_990, 14_999, 10_499, 94_492, 79_405, 15_087),
            // 2.345 m at 1.500 is 3.5175, away from zero 3.518
            (3_518, 0, 352, 3_166, 2_661, 505),
            (10_000, 1_000, 900, 8_100, 7_570, 530),
        ]
    );
    assert_eq!(
        (priced.subtotal_minor, priced.cart_discount_minor),
        (117_509, 11_751)
    );
    assert_eq!(
        (priced.total_minor, priced.units),
        (105_758, Quantity(4_345))
    );
}

#[test]
fn a_discount_that_has_become_too_large_is_refused_when_priced() {
    let terms = Terms::new(Currency::Tnd);
    let mut line = cart([article("ball", 1_000, "19", 2_000)]);
    line.discount_line(1, Discount::Amount { minor: 1_500 })
        .expect("discount");
    line.set_quantity(1, Quantity::ONE).expect("quantity");
    assert_eq!(
        price(&line, &terms.pricing()),
        Err(CartError::DiscountInvalid)
    );
    let mut whole = cart([article("ball", 1_000, "19", 1_000)]);
    whole
        .discount_cart(Discount::Amount { minor: 1_001 })
        .expect("fits some cart");
    assert_eq!(
        price(&whole, &terms.pricing()),
        Err(CartError::DiscountInvalid)
    );
    whole
        .discount_cart(Discount::Percent { bp: 10_000 })
        .expect("all of it");
    assert_eq!(
        price(&whole, &terms.pricing()).expect("priced").total_minor,
        0
    );
}

#[test]
fn levies_in_force_are_charged_once_per_document() {
    let mut terms = Terms::new(Currency::Tnd);
    terms.levies = vec![
        levy("stamp", 100, "2022-02-01", None),
        levy("stamp", 200, "2027-01-01", None),
        levy("old", 50, "2000-01-01", Some("2021-12-31")),
        levy("off", 0, "2000-01-01", None),
    ];
    let charged = |articles: Vec<_>, terms: &Terms| {
        let priced = price(&cart(articles), &terms.pricing()).expect("priced");
        (
            priced
                .levies
                .iter()
                .map(|levy| levy.minor)
                .collect::<Vec<_>>(),
            priced.total_minor,
        )
    };
    let three = || vec![article("ball", 1_000, "19", 3_000)];
    assert_eq!(
        charged(three(), &terms),
        (vec![100], 3_100),
        "three units, one stamp"
    );
    assert_eq!(
        charged(Vec::new(), &terms),
        (vec![], 0),
        "an empty cart owes nothing"
    );
    terms.date = date("2022-01-31");
    assert_eq!(
        charged(three(), &terms),
        (vec![], 3_000),
        "not yet in force"
    );
    terms.date = date("2027-01-01");
    assert_eq!(
        charged(three(), &terms),
        (vec![200], 3_200),
        "the later start wins"
    );
}

#[test]
fn amounts_that_no_screen_can_show_are_errors() {
    let terms = Terms::new(Currency::Tnd);
    let dear = cart([article("yacht", MINOR_MAX, "19", 1_000)]);
    assert_eq!(
        price(&dear, &terms.pricing()).expect("fits").total_minor,
        MINOR_MAX
    );
    for cart in [
        cart([article("yacht", MINOR_MAX, "19", 1_001)]),
        cart([article("yacht", MINOR_MAX, "19", QUANTITY_MAX)]),
        cart([
            article("yacht", MINOR_MAX, "19", 1_000),
            article("sock", 1, "7", 1_000),
        ]),
    ] {
        assert_eq!(
            price(&cart, &terms.pricing()),
            Err(CartError::AmountOverflow)
        );
    }
    assert_eq!(
        price(&dear, &terms.stamped(100).pricing()),
        Err(CartError::AmountOverflow)
    );
}

#[test]
fn a_draft_is_read_back_as_it_was() {
    let mut draft = cart([article("ball", 1_000, "5.5", 1_500)]);
    draft
        .discount_cart(Discount::Percent { bp: 250 })
        .expect("discount");
    draft
        .discount_line(1, Discount::Amount { minor: 3 })
        .expect("discount");
    draft.remove_line(1).expect("line");
    let text = serde_json::to_string(&draft).expect("text");
    assert_eq!(serde_json::from_str::<Cart>(&text).expect("cart"), draft);
}
