//! Sales: tenders, cash rounding, levies, refunds, and the check that every sale passes.

use crate::shop::{
    Terms, article, card, cart, cash, cash_rounding, cheque, header, receipt, sale_id,
};
use domain::cart::{Cart, CartError, Discount};
use domain::event::{Override, OverrideKind, SaleBody, Tender};
use domain::money::{Currency, MINOR_MAX};
use domain::quantity::Quantity;
use domain::sale::{
    CompleteSaleError, SaleFault, check, check_mirror, complete, due, mirror, settle,
};

fn sell(cart: &Cart, terms: &Terms, tenders: &[Tender]) -> SaleBody {
    let sale = complete(cart, &terms.pricing(), header(1), tenders).expect("a sale");
    assert_eq!(check(&sale), Ok(()));
    sale
}

#[test]
fn a_tunisian_ticket_with_stamp_and_change() {
    let goods = cart([
        article("shoe", 119_990, "19", 1_000),
        article("ball", 1_000, "19", 3_000),
    ]);
    let sale = sell(
        &goods,
        &Terms::new(Currency::Tnd).stamped(100),
        &[cash(130_000)],
    );
    assert_eq!(
        receipt(&sale),
        "\
1 x shoe                   119.990
3 x ball                     3.000
stamp                        0.100
total                      123.090
net 19 %                   103.353
tax 19 %                    19.637
cash                       130.000
change                       6.910
"
    );
}

#[test]
fn a_moroccan_ticket_with_two_rates_and_a_cart_discount() {
    let mut goods = cart([
        article("shoe", 59_900, "20", 1_000),
        article("book", 5_000, "10", 2_000),
    ]);
    goods
        .discount_cart(Discount::Amount { minor: 6_900 })
        .expect("discount");
    let sale = sell(&goods, &Terms::new(Currency::Mad), &[card(63_000)]);
    assert_eq!(
        receipt(&sale),
        "\
1 x shoe                    539.87
  discount                  -59.13
2 x book                     90.13
  discount                   -9.87
total                       630.00
net 10 %                     81.94
tax 10 %                      8.19
net 20 %                    449.89
tax 20 %                     89.98
card                        630.00
"
    );
}

#[test]
fn tax_per_line_and_per_receipt_differ_by_one_millime() {
    let terms = Terms::new(Currency::Tnd);
    let mut thrice = cart([article("ball", 1_000, "19", 1_000)]);
    for _ in 0..2 {
        thrice
            .set_price(thrice.next_line - 1, 1_001)
            .expect("touched");
        thrice
            .add_line(article("ball", 1_000, "19", 1_000))
            .expect("a line of its own");
    }
    for line in 1..=3 {
        thrice.set_price(line, 1_000).expect("price");
    }
    let tax = |terms: &Terms| sell(&thrice, terms, &[cash(3_000)]).taxes[0].tax_minor;
    assert_eq!(tax(&terms), 480);
    assert_eq!(tax(&terms.clone().per_receipt()), 479);
}

#[test]
fn only_what_is_paid_in_cash_is_rounded() {
    let exact = 119_980;
    for (case, tenders, unit, total, rounding, change) in [
        ("no rounding", &[cash(120_000)][..], None, 119_980, 0, 20),
        ("cash up", &[cash(120_000)], Some(50), 120_000, 20, 0),
        (
            "cash with change",
            &[cash(150_000)],
            Some(50),
            120_000,
            20,
            30_000,
        ),
        ("card exact", &[card(119_980)], Some(50), 119_980, 0, 0),
        (
            "mixed, remainder up",
            &[card(100_000), cash(20_000)],
            Some(100),
            120_000,
            20,
            0,
        ),
        (
            "mixed, remainder down",
            &[card(100_040), cash(20_000)],
            Some(100),
            119_940,
            -40,
            100,
        ),
        (
            "mixed, remainder exact",
            &[card(19_980), cash(100_000)],
            Some(50),
            119_980,
            0,
            0,
        ),
        (
            "cash first",
            &[cash(50_000), card(69_980)],
            Some(50),
            119_980,
            0,
            0,
        ),
        (
            "cash first, odd card",
            &[cash(50_000), card(70_000)],
            Some(50),
            120_000,
            20,
            0,
        ),
        (
            "three ways",
            &[card(9_990), cheque(100_000), cash(10_000)],
            Some(50),
            119_990,
            10,
            0,
        ),
    ] {
        let rounding_unit = unit.map(cash_rounding);
        let done = settle(exact, tenders, rounding_unit).expect(case);
        assert_eq!(
            (done.total_minor, done.rounding_minor, done.change_minor),
            (total, rounding, change),
            "{case}"
        );
    }
}

#[test]
fn what_is_due_names_the_exact_and_the_cash_amount() {
    let unit = Some(cash_rounding(50));
    for (tenders, exact, in_cash) in [
        (&[][..], 119_980, 120_000),
        (&[card(100_000)], 19_980, 20_000),
        (&[cash(50_000)], 69_980, 70_000),
        (&[card(119_980)], 0, 0),
        (&[cash(200_000)], 0, 0),
        (&[card(119_970)], 10, 0),
    ] {
        let found = due(119_980, tenders, unit).expect("due");
        assert_eq!(
            (found.due_minor, found.due_cash_minor),
            (exact, in_cash),
            "{tenders:?}"
        );
    }
}

#[test]
fn tenders_that_do_not_settle_are_refused() {
    use CompleteSaleError::{Overflow, TenderAboveDue, TenderInvalid, Underpaid};
    let unit = Some(cash_rounding(50));
    for (tenders, error) in [
        (
            &[][..],
            Underpaid {
                due_minor: 120_000,
                tendered_minor: 0,
            },
        ),
        (
            &[cash(119_980)],
            Underpaid {
                due_minor: 120_000,
                tendered_minor: 119_980,
            },
        ),
        // A card that is short by less than the unit has not paid.
        (
            &[card(119_970)],
            Underpaid {
                due_minor: 119_980,
                tendered_minor: 119_970,
            },
        ),
        (&[card(119_981)], TenderAboveDue { due_minor: 119_980 }),
        (
            &[card(100_000), cheque(20_000)],
            TenderAboveDue { due_minor: 19_980 },
        ),
        (&[cash(-1)], TenderInvalid),
        (&[card(0)], TenderInvalid),
        (&[card(-5), cash(200_000)], TenderInvalid),
        (&[cash(MINOR_MAX), cash(1)], Overflow),
        (&[cash(i64::MAX)], Overflow),
    ] {
        assert_eq!(settle(119_980, tenders, unit), Err(error), "{tenders:?}");
    }
    assert_eq!(settle(i64::MAX, &[cash(1)], unit), Err(Overflow));
    assert_eq!(settle(-1, &[], unit), Err(TenderInvalid));
}

#[test]
fn nothing_to_pay_needs_no_tender() {
    let mut gift = cart([article("ball", 1_000, "19", 1_000)]);
    gift.discount_cart(Discount::Percent { bp: 10_000 })
        .expect("discount");
    for tenders in [&[][..], &[cash(0)]] {
        let sale = sell(&gift, &Terms::new(Currency::Tnd), tenders);
        assert_eq!((sale.total_minor, sale.change_minor), (0, 0));
    }
}

#[test]
fn what_cannot_be_completed_says_why() {
    let terms = Terms::new(Currency::Tnd);
    let empty = Cart::new(sale_id(1));
    let failed = |cart: &Cart, tenders: &[Tender]| {
        complete(cart, &terms.pricing(), header(1), tenders).err()
    };
    assert_eq!(failed(&empty, &[cash(1)]), Some(CompleteSaleError::Empty));
    let dear = cart([article("yacht", MINOR_MAX, "19", 2_000)]);
    assert_eq!(
        failed(&dear, &[]),
        Some(CompleteSaleError::Cart(CartError::AmountOverflow))
    );
}

#[test]
fn a_sale_keeps_the_approvals_that_still_matter() {
    let names = ["ball", "shoe", "sock"];
    let mut goods = cart(names.map(|name| article(name, 1_000, "19", 1_000)));
    goods.set_price(1, 900).expect("price");
    goods.set_price(2, 900).expect("price");
    goods.set_price(3, 900).expect("price");
    for line in [Some(1), Some(2), Some(3)] {
        goods.overrides.push(Override {
            kind: OverrideKind::Price,
            by: crate::shop::user(),
            line,
        });
    }
    let of_cart = Override {
        kind: OverrideKind::Discount,
        by: crate::shop::user(),
        line: None,
    };
    goods.overrides.push(of_cart);
    goods.set_price(2, 1_000).expect("back to the list");
    goods.remove_line(3).expect("line");
    let sale = sell(&goods, &Terms::new(Currency::Tnd), &[cash(2_000)]);
    let kept: Vec<_> = sale.overrides.iter().map(|kept| kept.line).collect();
    assert_eq!(kept, [Some(1)]);
}

#[test]
fn a_line_s_label_names_the_size() {
    let mut shoe = article("Atlas Run", 1_000, "19", 1_000);
    shoe.options = vec!["42".to_owned(), "Noir".to_owned()];
    let sale = sell(&cart([shoe]), &Terms::new(Currency::Tnd), &[cash(1_000)]);
    assert_eq!(sale.lines[0].label, "Atlas Run 42 / Noir");
}

#[test]
fn a_refund_keeps_the_stamp() {
    let goods = cart([article("shoe", 119_990, "19", 1_000)]);
    let terms = Terms::new(Currency::Tnd).stamped(100).rounded_to(50);
    let sale = sell(&goods, &terms, &[cash(150_000)]);
    let back = mirror(&sale, sale_id(2), header(2));
    assert_eq!(check_mirror(&back), Ok(()));
    assert_eq!(
        receipt(&sale),
        "\
1 x shoe                   119.990
stamp                        0.100
rounding                     0.010
total                      120.100
net 19 %                   100.832
tax 19 %                    19.158
cash                       150.000
change                      29.900
"
    );
    assert_eq!(
        receipt(&back),
        "\
-1 x shoe                 -119.990
rounding                    -0.010
total                     -120.000
net 19 %                  -100.832
tax 19 %                   -19.158
cash                      -120.000
"
    );
    assert_eq!(back.lines[0].unit_minor, 119_990);
}

#[test]
fn a_refund_goes_back_the_way_it_was_paid() {
    let goods = cart([article("shoe", 119_900, "19", 1_000)]);
    let terms = Terms::new(Currency::Tnd).stamped(100);
    for (case, tenders, refunds) in [
        ("cash alone", &[cash(150_000)][..], &[cash(-119_900)][..]),
        (
            "card alone: the stamp stays out of the card",
            &[card(120_000)],
            &[card(-119_900)],
        ),
        (
            "mixed: out of the cash",
            &[card(100_000), cash(50_000)],
            &[card(-100_000), cash(-19_900)],
        ),
        ("little cash", &[card(119_950), cash(50)], &[card(-119_900)]),
        (
            "two without cash: out of the last",
            &[card(60_000), cheque(60_000)],
            &[card(-60_000), cheque(-59_900)],
        ),
        (
            "cash in two parts",
            &[cash(20_000), cash(100_000)],
            &[cash(-119_900)],
        ),
    ] {
        let sale = sell(&goods, &terms, tenders);
        let back = mirror(&sale, sale_id(2), header(2));
        assert_eq!(check_mirror(&back), Ok(()), "{case}");
        assert_eq!(back.tenders, refunds, "{case}");
        assert_eq!((back.change_minor, back.levies.len()), (0, 0), "{case}");
    }
}

#[test]
fn a_gift_under_stamp_gives_nothing_back() {
    let mut gift = cart([article("ball", 1_000, "19", 1_000)]);
    gift.discount_cart(Discount::Percent { bp: 10_000 })
        .expect("discount");
    let sale = sell(&gift, &Terms::new(Currency::Tnd).stamped(100), &[cash(100)]);
    let back = mirror(&sale, sale_id(2), header(2));
    assert_eq!(
        (check_mirror(&back), back.total_minor, back.tenders.len()),
        (Ok(()), 0, 0)
    );
}

#[test]
fn every_altered_amount_is_found() {
    let goods = cart([
        article("shoe", 119_990, "19", 1_000),
        article("book", 5_000, "7", 2_000),
    ]);
    let terms = Terms::new(Currency::Tnd).stamped(100).rounded_to(50);
    let sale = sell(&goods, &terms, &[card(30_000), cash(150_000)]);
    type Change = fn(&mut SaleBody);
    let changes: [(Change, SaleFault); 19] = [
        (|s| s.lines.clear(), SaleFault::Empty),
        (|s| s.lines[1].line = 1, SaleFault::LineTwice { line: 1 }),
        (
            |s| s.lines[0].unit_minor += 1,
            SaleFault::LineTotal { line: 1 },
        ),
        (
            |s| s.lines[0].quantity = Quantity(2_000),
            SaleFault::LineTotal { line: 1 },
        ),
        (
            |s| s.lines[1].discount_minor += 1,
            SaleFault::LineTotal { line: 2 },
        ),
        (
            |s| s.lines[1].cart_discount_minor += 1,
            SaleFault::LineTotal { line: 2 },
        ),
        (
            |s| s.lines[1].total_minor += 1,
            SaleFault::LineTotal { line: 2 },
        ),
        (
            |s| s.lines[0].net_minor += 1,
            SaleFault::LineTax { line: 1 },
        ),
        (
            |s| s.lines[0].tax_minor -= 1,
            SaleFault::LineTax { line: 1 },
        ),
        (
            |s| {
                s.lines[0].quantity = Quantity(-s.lines[0].quantity.0);
                s.lines[0].unit_minor = -s.lines[0].unit_minor;
            },
            SaleFault::Quantity { line: 1 },
        ),
        (
            |s| {
                s.lines[1].quantity = Quantity(i64::MAX);
                s.lines[1].unit_minor = 0;
                s.lines[1].discount_minor = 0;
                s.lines[1].cart_discount_minor = -s.lines[1].total_minor;
            },
            SaleFault::Quantity { line: 2 },
        ),
        (|s| s.taxes[0].net_minor += 1, SaleFault::Taxes),
        (|s| s.taxes.reverse(), SaleFault::Taxes),
        (|s| s.taxes.truncate(1), SaleFault::Taxes),
        (|s| s.levies.clear(), SaleFault::Total),
        (|s| s.rounding_minor += 1, SaleFault::Total),
        (|s| s.total_minor += 1, SaleFault::Total),
        (|s| s.tenders[0].amount_minor += 1, SaleFault::Tenders),
        (
            |s| {
                s.change_minor = -1;
                s.tenders[1].amount_minor = s.total_minor - s.tenders[0].amount_minor - 1;
            },
            SaleFault::Change,
        ),
    ];
    for (index, (change, fault)) in changes.into_iter().enumerate() {
        let mut altered = sale.clone();
        change(&mut altered);
        assert_eq!(check(&altered), Err(fault), "change {index}");
    }
}
