//! Laws of money: what must hold for every cart, every split and every shift.

use crate::shop::{
    Chance, Terms, article, card, cart, cash, date, header, opened, random_cart, random_tenders,
    random_terms, reversed, sale_id, shift, stream, user,
};
use domain::cart::{CartError, price};
use domain::config::{Rate, TaxRounding};
use domain::event::{
    CartVoided, Fact, LineVoided, SaleBody, ShiftClosed, ShiftTotals, StreamHead, TaxTotal,
    TenderKind,
};
use domain::ids::Digest;
use domain::money::{Currency, allocate};
use domain::posting::{Account, StockAccount, imbalance, postings, stock_postings};
use domain::quantity::Quantity;
use domain::sale::{check, check_mirror, complete, mirror};
use domain::tax;
use domain::text::{clean, fold_for_search};
use proptest::prelude::*;
use std::collections::BTreeMap;

const CARTS: u64 = 100_000;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A sale of the random cart of `seed`, or nothing when its discount is above what the cart comes to.
fn random_sale(seed: u64) -> Option<SaleBody> {
    let mut chance = Chance(seed);
    let terms = random_terms(&mut chance);
    let cart = random_cart(&mut chance);
    let priced = match price(&cart, &terms.pricing()) {
        Ok(priced) => priced,
        Err(error) => {
            assert_eq!(error, CartError::DiscountInvalid, "seed {seed}");
            return None;
        }
    };
    let tenders = random_tenders(&mut chance, priced.total_minor, &terms);
    let sale = complete(&cart, &terms.pricing(), header(1), &tenders);
    Some(sale.unwrap_or_else(|error| panic!("seed {seed}: {error}")))
}

fn tax_sums(taxes: &[TaxTotal]) -> (i64, i64) {
    taxes.iter().fold((0, 0), |sum, tax| {
        (sum.0 + tax.net_minor, sum.1 + tax.tax_minor)
    })
}

fn balance(fact: &Fact) -> BTreeMap<Account, i64> {
    let entries = postings(fact).expect("fits");
    assert_eq!(imbalance(&entries), Ok(0));
    let mut sums = BTreeMap::new();
    for entry in entries {
        *sums.entry(entry.account).or_insert(0) += entry.amount_minor;
    }
    sums
}

#[test]
fn every_cart_adds_up_is_paid_and_can_be_undone() {
    let mut sold = 0;
    for seed in 0..CARTS {
        let Some(sale) = random_sale(seed) else {
            continue;
        };
        sold += 1;
        assert_eq!(check(&sale), Ok(()), "seed {seed}");
        let goods: i64 = sale.lines.iter().map(|line| line.total_minor).sum();
        let (net, tax) = tax_sums(&sale.taxes);
        assert_eq!(net + tax, goods, "seed {seed}");
        for line in &sale.lines {
            let whole = 0..=line.total_minor;
            assert!(
                whole.contains(&line.net_minor) && whole.contains(&line.tax_minor),
                "seed {seed}"
            );
        }
        if sale
            .tenders
            .iter()
            .all(|tender| tender.kind != TenderKind::Cash)
        {
            assert_eq!(
                sale.rounding_minor, 0,
                "seed {seed}: nothing but cash is rounded"
            );
        }
        let back = mirror(&sale, sale_id(seed), header(2));
        assert_eq!(check_mirror(&back), Ok(()), "seed {seed}");
        check_undone(&sale, &back, seed);
    }
    assert!(sold > CARTS * 9 / 10, "only {sold} carts could be sold");
}

/// A sale and its mirror leave nothing behind but the levy, in the drawer and owed to the state.
fn check_undone(sale: &SaleBody, back: &SaleBody, seed: u64) {
    let levies: i64 = sale.levies.iter().map(|levy| levy.minor).sum();
    assert_eq!(sale.total_minor + back.total_minor, levies, "seed {seed}");
    let mut left = balance(&Fact::SaleCompleted(sale.clone()));
    for (account, amount) in balance(&reversed(sale, back.clone())) {
        *left.entry(account).or_insert(0) += amount;
    }
    let mut kept = 0;
    for (account, amount) in left {
        match account {
            Account::Levy(_) => assert_eq!(amount, -levies, "seed {seed}"),
            Account::Cash | Account::Card | Account::Other => {
                assert!(
                    amount >= 0,
                    "seed {seed}: more went back than came in by {account}"
                );
                kept += amount;
            }
            _ => assert_eq!(amount, 0, "seed {seed}: {account}"),
        }
    }
    assert_eq!(kept, levies, "seed {seed}");
    let stock = |fact: &Fact| -> Vec<(StockAccount, i64)> {
        stock_postings(fact)
            .into_iter()
            .map(|entry| (entry.account, entry.quantity.0))
            .collect()
    };
    let out = stock(&Fact::SaleCompleted(sale.clone()));
    assert_eq!(
        out.iter().map(|(_, quantity)| quantity).sum::<i64>(),
        0,
        "seed {seed}"
    );
    let negated: Vec<_> = out
        .into_iter()
        .map(|(account, quantity)| (account, -quantity))
        .collect();
    assert_eq!(stock(&reversed(sale, back.clone())), negated, "seed {seed}");
}

#[test]
fn a_shift_comes_to_what_its_receipts_come_to() {
    for seed in 0..200 {
        let mut chance = Chance(seed);
        let opening = opened(chance.amount(500_000));
        let mut facts = vec![
            Fact::CartVoided(CartVoided {
                sale: sale_id(1),
                shift: Some(shift()),
                user: user(),
                lines: 2,
                total_minor: 7,
            }),
            Fact::LineVoided(LineVoided {
                sale: sale_id(1),
                shift: Some(shift()),
                user: user(),
                line: 1,
                variant: crate::shop::variant(1),
                quantity: Quantity::ONE,
                total_minor: 7,
            }),
        ];
        let mut bodies = Vec::new();
        for number in 0..20 {
            let Some(sale) = random_sale(seed * 1_000 + number) else {
                continue;
            };
            if chance.below(3) == 0 {
                let back = mirror(&sale, sale_id(number), header(number));
                facts.push(reversed(&sale, back.clone()));
                bodies.push(back);
            }
            facts.push(Fact::SaleCompleted(sale.clone()));
            bodies.push(sale);
        }
        let fold = |facts: &[Fact]| {
            let mut totals = ShiftTotals::open(&opening);
            facts
                .iter()
                .for_each(|fact| totals.apply(fact).expect("fits"));
            totals
        };
        let totals = fold(&facts);
        chance.shuffle(&mut facts);
        assert_eq!(fold(&facts), totals, "seed {seed}: order plays no part");

        let sum = |of: fn(&SaleBody) -> i64| bodies.iter().map(of).sum::<i64>();
        let reversals = facts
            .iter()
            .filter(|fact| matches!(fact, Fact::Reversed(_)))
            .count() as u64;
        assert_eq!(
            (totals.sales + totals.reversals, totals.reversals),
            (bodies.len() as u64, reversals)
        );
        assert_eq!((totals.voided_carts, totals.voided_lines), (1, 1));
        assert_eq!(totals.takings_minor, sum(|body| body.total_minor));
        assert_eq!(totals.rounding_minor, sum(|body| body.rounding_minor));
        assert_eq!(
            totals.units.0,
            sum(|body| body.lines.iter().map(|line| line.quantity.0).sum())
        );
        let levies = sum(|body| body.levies.iter().map(|levy| levy.minor).sum());
        assert_eq!(totals.levies_minor.values().sum::<i64>(), levies);
        assert!(
            totals
                .taxes
                .is_sorted_by(|left, right| left.rate < right.rate),
            "seed {seed}"
        );
        let (net, tax) = tax_sums(&totals.taxes);
        assert_eq!(
            net + tax + levies + totals.rounding_minor,
            totals.takings_minor
        );
        assert_eq!(
            totals.tenders_minor.values().sum::<i64>(),
            totals.takings_minor
        );
        check_drawer(&opening, &facts, &totals, chance.amount(1_000) - 500);
    }
}

/// The drawer's account holds what the totals expect, and nothing once the shift is closed.
fn check_drawer(
    opening: &domain::event::ShiftOpened,
    facts: &[Fact],
    totals: &ShiftTotals,
    difference_minor: i64,
) {
    let mut drawer = balance(&Fact::ShiftOpened(opening.clone()))
        .remove(&Account::Cash)
        .unwrap_or(0);
    for fact in facts {
        drawer += balance(fact).remove(&Account::Cash).unwrap_or(0);
    }
    assert_eq!(drawer, totals.expected_minor);
    let closed = Fact::ShiftClosed(ShiftClosed {
        shift: shift(),
        z_number: 1,
        user: user(),
        approved_by: None,
        from_seq: 2,
        to: StreamHead {
            stream: stream(1),
            seq: 9,
            hash: Digest([0; 32]),
        },
        totals: totals.clone(),
        count: BTreeMap::new(),
        counted_minor: totals.expected_minor + difference_minor,
        difference_minor,
        perpetual_minor: 0,
        blind: false,
        deposit: Default::default(),
        paper: None,
    });
    let end = balance(&closed);
    assert_eq!(drawer + end.get(&Account::Cash).copied().unwrap_or(0), 0);
    assert_eq!(
        end.get(&Account::OverShort).copied().unwrap_or(0),
        -difference_minor
    );
}

fn rates() -> impl Strategy<Value = Rate> {
    (0_i64..=10_000).prop_map(|bp| {
        let percent = rust_decimal::Decimal::new(bp, 2);
        Rate::percent(percent).expect("between 0 and 100")
    })
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn allocation_sums_keeps_the_order_of_weights_and_stays_within_one_unit(
        total: i64,
        weights in prop::collection::vec(prop_oneof![0..100_i64, 0..i64::MAX], 0..12),
    ) {
        let parts = allocate(total, &weights);
        prop_assert_eq!(parts.len(), weights.len());
        let sum: i128 = parts.iter().map(|part| i128::from(*part)).sum();
        prop_assert_eq!(sum, if weights.is_empty() { 0 } else { i128::from(total) });
        let whole: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
        if whole == 0 {
            return Ok(());
        }
        for (part, weight) in parts.iter().zip(&weights) {
            let exact = i128::from(total) * i128::from(*weight) / whole;
            prop_assert!((i128::from(*part) - exact).abs() <= 1);
            prop_assert!(*part == 0 || *weight > 0 && (*part < 0) == (total < 0));
        }
        for (left, a) in weights.iter().enumerate() {
            for (right, b) in weights.iter().enumerate() {
                prop_assert!(a <= b || parts[left].unsigned_abs() >= parts[right].unsigned_abs());
            }
        }
    }

    #[test]
    fn tax_is_rounded_to_the_nearest_unit_and_mirrors_the_sign(total: i64, rate in rates()) {
        let part = tax::extract(total, rate).expect("fits");
        prop_assert_eq!(part.net_minor + part.tax_minor, total);
        let bp = i128::from(rust_decimal::prelude::ToPrimitive::to_i64(
            &(rate.as_percent() * rust_decimal::Decimal::ONE_HUNDRED),
        ).expect("whole"));
        let error = i128::from(part.net_minor) * (10_000 + bp) - i128::from(total) * 10_000;
        prop_assert!(2 * error.abs() <= 10_000 + bp);
        if let Some(negated) = total.checked_neg() {
            let mirrored = tax::extract(negated, rate).expect("fits");
            prop_assert_eq!((mirrored.net_minor, mirrored.tax_minor), (-part.net_minor, -part.tax_minor));
        }
        if let Some(more) = total.checked_add(1) {
            let more = tax::extract(more, rate).expect("fits");
            prop_assert!(more.net_minor >= part.net_minor && more.tax_minor >= part.tax_minor);
        }
    }

    #[test]
    fn a_split_adds_up_per_line_and_per_rate_whatever_the_signs(
        lines in prop::collection::vec((-1_000_000..1_000_000_i64, rates()), 0..12),
        per_receipt: bool,
    ) {
        let rounding = if per_receipt { TaxRounding::PerReceipt } else { TaxRounding::PerLine };
        let split = tax::split(&lines, rounding).expect("fits");
        let mut sums: BTreeMap<Rate, (i64, i64, i64)> = BTreeMap::new();
        for ((total, rate), part) in lines.iter().zip(&split.lines) {
            prop_assert_eq!(part.net_minor + part.tax_minor, *total);
            let alone = tax::extract(*total, *rate).expect("fits");
            prop_assert!((part.net_minor - alone.net_minor).abs() <= 1);
            let sum = sums.entry(*rate).or_default();
            *sum = (sum.0 + part.net_minor, sum.1 + part.tax_minor, sum.2 + total);
        }
        prop_assert_eq!(split.per_rate.len(), sums.len());
        for (row, (rate, (net, tax, total))) in split.per_rate.iter().zip(sums) {
            prop_assert_eq!((row.rate, row.net_minor, row.tax_minor), (rate, net, tax));
            if per_receipt {
                prop_assert_eq!(net, tax::extract(total, rate).expect("fits").net_minor);
            }
        }
        let negated: Vec<_> = lines.iter().map(|(total, rate)| (-total, *rate)).collect();
        let mirrored = tax::split(&negated, rounding).expect("fits");
        let sums = |split: &tax::Split| split.per_rate.iter().map(|row| row.net_minor).collect::<Vec<_>>();
        prop_assert_eq!(sums(&mirrored), sums(&split).into_iter().map(|net| -net).collect::<Vec<_>>());
    }

    /// Bodies come from other devices too: whatever amounts they hold, nothing panics or wraps.
    #[test]
    fn absurd_amounts_are_errors_and_never_panics(
        amounts in prop::collection::vec(
            prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0), Just(-1), any::<i64>()],
            14,
        ),
    ) {
        let terms = Terms::new(Currency::Tnd).stamped(100);
        let goods = cart([article("ball", 1_000, "19", 1_000), article("book", 500, "7", 1_000)]);
        let mut sale = complete(&goods, &terms.pricing(), header(1), &[card(500), cash(2_000)]).expect("a sale");
        let line = &mut sale.lines[0];
        line.quantity = Quantity(amounts[0]);
        line.unit_minor = amounts[1];
        line.discount_minor = amounts[2];
        line.cart_discount_minor = amounts[3];
        line.total_minor = amounts[4];
        line.net_minor = amounts[5];
        line.tax_minor = amounts[6];
        sale.taxes[0].net_minor = amounts[7];
        sale.taxes[1].tax_minor = amounts[8];
        sale.levies[0].minor = amounts[9];
        sale.rounding_minor = amounts[10];
        sale.total_minor = amounts[11];
        sale.tenders[1].amount_minor = amounts[12];
        sale.change_minor = amounts[13];
        prop_assert!(check(&sale).is_err());
        let back = mirror(&sale, sale_id(2), header(2));
        let _ = check_mirror(&back);
        let mut totals = ShiftTotals::open(&opened(i64::MAX));
        for fact in [Fact::SaleCompleted(sale.clone()), reversed(&sale, back)] {
            let _ = totals.apply(&fact);
            if let Ok(entries) = postings(&fact) {
                let _ = imbalance(&entries);
            }
            let _ = stock_postings(&fact);
        }
        let drafts = [(amounts[0], amounts[1]), (amounts[2], amounts[3])];
        let mut draft = cart([article("ball", 1_000, "19", 1_000), article("book", 500, "7", 1_000)]);
        for (line, (quantity, unit)) in draft.lines.iter_mut().zip(drafts) {
            (line.quantity, line.unit_minor) = (Quantity(quantity), unit);
        }
        let _ = price(&draft, &terms.pricing());
        let lines: Vec<_> = amounts.iter().map(|amount| (*amount, crate::shop::rate("19"))).collect();
        let _ = tax::split(&lines, TaxRounding::PerLine);
        let _ = tax::split(&lines, TaxRounding::PerReceipt);
    }

    #[test]
    fn folding_twice_is_folding_once(text in "\\PC*", arabic in "[\u{600}-\u{6ff}\u{fb50}-\u{fdff} a-zÀ-ž]*") {
        for text in [text, arabic] {
            let once = fold_for_search(&text);
            prop_assert_eq!(fold_for_search(&once), once);
        }
    }

    #[test]
    fn a_clean_text_is_short_and_stays_clean(text: String, max in 0_usize..40) {
        if let Some(kept) = clean(&text, max) {
            prop_assert!(!kept.is_empty() && kept.chars().count() <= max);
            prop_assert!(!kept.chars().any(char::is_control));
            prop_assert_eq!(clean(&kept, max), Some(kept.clone()));
        }
    }
}

#[test]
fn a_shift_that_overflows_says_so() {
    let sale = |minor: i64| {
        let goods = cart([article("yacht", minor, "0", 1_000)]);
        let terms = Terms::new(Currency::Tnd);
        let body = complete(&goods, &terms.pricing(), header(1), &[cash(minor)]).expect("a sale");
        Fact::SaleCompleted(body)
    };
    let mut totals = ShiftTotals::open(&opened(i64::MAX - 5));
    assert_eq!(totals.apply(&sale(5)), Ok(()));
    assert!(totals.apply(&sale(1)).is_err());
    assert_eq!(date("2026-11-22").fiscal_year(), 2026);
}
