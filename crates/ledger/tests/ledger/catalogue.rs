//! Finding items: by code, by words in three languages, by the beginning of a barcode; and their prices.

use domain::catalog::Variant;
use sync_protocol::FeedPage;

use crate::support::{
    Desk, day, make_style, make_variant, price_row, row, store_config, style, style_row, variant,
    variant_row, whole,
};

fn shop() -> Desk {
    let mut desk = Desk::in_memory();
    desk.follow(&["cfg:LM", "cat", "price:TN"]);
    desk.apply(&whole("cfg:LM", 1, vec![row("store", 1, &store_config())]));
    let mut retired = make_variant(4, 2, "CHS-43", &["6191234500030"]);
    retired.archived = true;
    let mut red = make_variant(5, 2, "CHS-42-R", &["6191234500047"]);
    red.options = vec!["42".to_owned(), "Rouge foncé".to_owned()];
    let variants: Vec<Variant> = vec![
        make_variant(1, 1, "BAL-05", &["036000291452", "4006381333931"]),
        make_variant(2, 1, "BAL-04", &["96385074"]),
        make_variant(3, 2, "CHS-42", &["6191234500023"]),
        retired,
        red,
    ];
    let mut rows = vec![
        style_row(1, &make_style(1, "Ballon d'Été", "كُرةُ القدم", "Football")),
        style_row(
            1,
            &make_style(2, "Chaussures de course", "أحذية الجري", "Running shoes"),
        ),
    ];
    rows.extend(variants.iter().map(|variant| variant_row(1, variant)));
    desk.apply(&whole("cat", 1, rows));
    desk
}

fn skus(desk: &Desk, query: &str) -> Vec<String> {
    let items = desk.ledger.search(query, 0, 20).expect("search");
    items.into_iter().map(|item| item.variant.sku).collect()
}

#[test]
fn a_scan_finds_the_item_whatever_the_label_s_length() {
    let desk = shop();
    for (code, sku) in [
        ("036000291452", "BAL-05"),
        ("0036000291452", "BAL-05"),
        ("00036000291452", "BAL-05"),
        (" 4006381333931 ", "BAL-05"),
        ("96385074", "BAL-04"),
        ("00000096385074", "BAL-04"),
        ("chs-42", "CHS-42"),
        ("6191234500030", "CHS-43"),
    ] {
        let item = desk.ledger.find_code(code).expect("find").expect(code);
        assert_eq!(item.variant.sku, sku, "{code}");
    }
    for code in [
        "",
        "4006381333932",
        "36000291452",
        "CHS",
        "' OR 1=1",
        "٤٠٠٦٣٨١٣٣٣٩٣١",
    ] {
        assert_eq!(desk.ledger.find_code(code).expect("find"), None, "{code}");
    }
    let item = desk
        .ledger
        .item(variant(3))
        .expect("item")
        .expect("variant 3");
    assert_eq!(
        (item.style.style, item.variant.sku.as_str()),
        (style(2), "CHS-42")
    );
    assert_eq!(desk.ledger.item(variant(77)).expect("item"), None);
    assert_eq!(desk.ledger.variant_count().expect("count"), 5);
}

#[test]
fn words_are_found_in_three_languages_however_they_are_typed() {
    let desk = shop();
    for (query, expected) in [
        ("ballon", vec!["BAL-05", "BAL-04"]),
        ("BALLON ete", vec!["BAL-05", "BAL-04"]),
        ("été", vec!["BAL-05", "BAL-04"]),
        ("cours", vec!["CHS-42", "CHS-42-R", "CHS-43"]),
        ("run sho", vec![]),
        ("running sho", vec!["CHS-42", "CHS-42-R", "CHS-43"]),
        ("كرة", vec!["BAL-05", "BAL-04"]),
        ("كره", vec!["BAL-05", "BAL-04"]),
        ("كـــرة القد", vec!["BAL-05", "BAL-04"]),
        ("احذيه", vec!["CHS-42", "CHS-42-R", "CHS-43"]),
        ("chaussures rouge", vec!["CHS-42-R"]),
        ("fonce", vec!["CHS-42-R"]),
        (
            "atlas",
            vec!["BAL-05", "BAL-04", "CHS-42", "CHS-42-R", "CHS-43"],
        ),
        ("chs 42", vec!["CHS-42", "CHS-42-R", "CHS-43"]),
        ("chs-42", vec!["CHS-42", "CHS-42-R", "CHS-43"]),
        ("٤٢ rouge", vec!["CHS-42-R"]),
        ("trottinette", vec![]),
        ("\"", vec![]),
        ("ballon* OR course", vec![]),
        ("-ballon", vec!["BAL-05", "BAL-04"]),
    ] {
        assert_eq!(skus(&desk, query), expected, "{query}");
    }
}

#[test]
fn an_exact_code_comes_first_and_digits_are_the_beginning_of_a_barcode() {
    let desk = shop();
    for (query, expected) in [
        ("chs-42-r", vec!["CHS-42-R", "CHS-42", "CHS-43"]),
        ("bal-04", vec!["BAL-04"]),
        ("619123", vec!["CHS-42", "CHS-42-R", "CHS-43"]),
        ("0619123", vec!["CHS-42", "CHS-42-R", "CHS-43"]),
        ("400638133393", vec!["BAL-05"]),
        ("4006381333931", vec!["BAL-05"]),
        ("0360", vec!["BAL-05"]),
        ("٦١٩١٢٣", vec!["CHS-42", "CHS-42-R", "CHS-43"]),
        ("999", vec![]),
        ("000", vec![]),
    ] {
        assert_eq!(skus(&desk, query), expected, "{query}");
    }
}

#[test]
fn results_come_in_pages_with_one_more_to_tell_that_there_is() {
    let desk = shop();
    let page = |offset, limit| -> Vec<String> {
        let items = desk.ledger.search("", offset, limit).expect("search");
        items.into_iter().map(|item| item.variant.sku).collect()
    };
    assert_eq!(page(0, 2), ["BAL-05", "BAL-04", "CHS-42"]);
    assert_eq!(page(2, 2), ["CHS-42", "CHS-42-R", "CHS-43"]);
    assert_eq!(page(4, 2), ["CHS-43"]);
    assert_eq!(page(9, 2), [] as [&str; 0]);
    assert_eq!(page(u32::MAX, u32::MAX), [] as [&str; 0]);
}

#[test]
fn a_renamed_style_is_found_by_its_new_name_alone() {
    let mut desk = shop();
    let renamed = style_row(2, &make_style(1, "Sphère", "", ""));
    desk.apply(&FeedPage {
        checksum: None,
        ..whole("cat", 2, vec![renamed])
    });
    assert_eq!(skus(&desk, "ballon"), [] as [&str; 0]);
    assert_eq!(skus(&desk, "sphere"), ["BAL-05", "BAL-04"]);
    let mut moved = make_variant(2, 2, "BAL-04B", &["4006381333931"]);
    moved.archived = true;
    desk.apply(&FeedPage {
        checksum: None,
        ..whole("cat", 3, vec![variant_row(3, &moved)])
    });
    assert_eq!(skus(&desk, "sphere"), ["BAL-05"]);
    assert_eq!(
        desk.ledger.find_code("96385074").expect("find"),
        None,
        "its old barcode"
    );
    let shared = desk
        .ledger
        .find_code("4006381333931")
        .expect("find")
        .expect("item");
    assert_eq!(
        shared.variant.sku, "BAL-05",
        "one that is still sold wins a shared barcode"
    );
    desk.assert_sound();
}

#[test]
fn a_variant_may_come_before_its_style() {
    let mut desk = Desk::in_memory();
    desk.follow(&["cat"]);
    let early = variant_row(1, &make_variant(1, 1, "BAL-05", &[]));
    desk.apply(&FeedPage {
        more: true,
        checksum: None,
        ..whole("cat", 1, vec![early.clone()])
    });
    let item = desk
        .ledger
        .find_code("BAL-05")
        .expect("find")
        .expect("item");
    assert_eq!(
        item.style.names.fr, "BAL-05",
        "named like its SKU until the style comes"
    );
    let late = style_row(2, &make_style(1, "Ballon", "", ""));
    desk.apply(&FeedPage {
        checksum: None,
        ..whole("cat", 2, vec![late])
    });
    assert_eq!(skus(&desk, "ballon"), ["BAL-05"]);
    desk.assert_sound();
}

#[test]
fn the_price_of_the_day_is_charged() {
    let mut desk = shop();
    assert_eq!(desk.ledger.price_version().expect("version"), 0);
    let prices = price_row(8, 1, &[("2026-01-01", 5_000), ("2026-12-01", 4_500)]);
    desk.apply(&whole("price:TN", 8, vec![prices]));
    let price = |number, date: &str| {
        desk.ledger
            .price(variant(number), day(date))
            .expect("price")
    };
    assert_eq!(price(1, "2025-12-31"), None);
    assert_eq!(price(1, "2026-11-30"), Some(5_000));
    assert_eq!(price(1, "2026-12-01"), Some(4_500));
    assert_eq!(price(2, "2026-12-01"), None);
    assert_eq!(desk.ledger.price_version().expect("version"), 8);
}
