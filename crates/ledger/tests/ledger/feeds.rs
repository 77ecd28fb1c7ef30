//! Feeds: pages, cursors, tombstones, checksums, and rows that cannot be read.

use ledger::PageOutcome;
use sync_protocol::{Cursor, FeedPage};

use crate::support::{
    Desk, day, feed, last_page, make_style, make_variant, member, price_row, row, store_config,
    style_row, tombstone, variant, variant_row, whole,
};

fn applied(rows: u32, tombstones: u32, undecodable: u32, complete: bool) -> PageOutcome {
    PageOutcome::Applied {
        rows,
        tombstones,
        undecodable,
        complete,
    }
}

fn cursor(ver: u64, pk: impl ToString) -> Cursor {
    Cursor {
        ver,
        pk: pk.to_string(),
    }
}

#[test]
fn a_feed_is_read_page_by_page_and_ends_with_its_checksum() {
    let mut desk = Desk::in_memory();
    desk.follow(&["price:TN", "cat"]);
    assert_eq!(
        desk.ledger.feeds().expect("feeds"),
        [feed("cat"), feed("price:TN")]
    );
    assert_eq!(
        desk.ledger.cursors().expect("cursors")[&feed("price:TN")],
        Cursor::default()
    );
    let rows: Vec<_> = (1..=5)
        .map(|n| price_row(1, n, &[("2026-01-01", 1_000)]))
        .collect();
    let first = FeedPage {
        feed: feed("price:TN"),
        rows: rows[..3].to_vec(),
        next: cursor(1, variant(3)),
        more: true,
        ver: 1,
        checksum: None,
        folded: Default::default(),
    };
    assert_eq!(desk.apply(&first), applied(3, 0, 0, false));
    assert_eq!(
        desk.ledger.cursors().expect("cursors")[&feed("price:TN")],
        cursor(1, variant(3))
    );
    let all: Vec<_> = rows.iter().collect();
    let last = last_page("price:TN", 1, rows[3..].to_vec(), &all);
    assert_eq!(desk.apply(&last), applied(2, 0, 0, true));
    // A reply that was duplicated on the way changes nothing.
    assert_eq!(desk.apply(&first), PageOutcome::Stale);
    assert_eq!(desk.apply(&last), applied(0, 0, 0, true));
    desk.assert_sound();

    // One row changes, one leaves; a page that overlaps what is in brings only what is new.
    let changed = price_row(2, 2, &[("2026-01-01", 900)]);
    let left = [&rows[0], &changed, &rows[3], &rows[4]];
    let update = last_page(
        "price:TN",
        2,
        vec![rows[4].clone(), changed.clone(), tombstone(variant(3), 2)],
        &left,
    );
    assert_eq!(desk.apply(&update), applied(1, 1, 0, true));
    let report = desk.ledger.verify().expect("verify");
    assert_eq!(report.first_bad, None);
    let stored = report.feeds[&feed("price:TN")];
    assert_eq!((stored.ver, Some(stored.checksum)), (2, update.checksum));
    assert_eq!(
        desk.apply(&whole("stock:LM", 1, Vec::new())),
        PageOutcome::NotFollowed
    );
}

#[test]
fn a_checksum_that_differs_starts_the_feed_again_while_selling_goes_on() {
    let mut desk = Desk::in_memory();
    sellable(&mut desk);
    let rows = [
        price_row(3, 1, &[("2026-01-01", 4_000)]),
        price_row(3, 2, &[("2026-01-01", 100)]),
    ];
    let mut page = whole("price:TN", 3, rows[..1].to_vec());
    page.checksum = page.checksum.map(|sum| sum ^ 1);
    assert_eq!(desk.apply(&page), PageOutcome::ChecksumMismatch);
    assert_eq!(
        desk.ledger.cursors().expect("cursors")[&feed("price:TN")],
        Cursor::default()
    );
    assert!(desk.ledger.ready_to_sell().expect("ready"));
    assert_eq!(
        desk.ledger
            .price(variant(1), day("2026-11-22"))
            .expect("price"),
        Some(4_000)
    );
    desk.assert_sound();

    // The new reading brings variant 2 only; what it does not bring is gone at its end, not before.
    let only_second = whole("price:TN", 4, rows[1..].to_vec());
    let begun = FeedPage {
        more: true,
        checksum: None,
        ..only_second.clone()
    };
    desk.apply(&begun);
    assert_eq!(
        desk.ledger
            .price(variant(1), day("2026-11-22"))
            .expect("price"),
        Some(4_000)
    );
    let end = FeedPage {
        rows: Vec::new(),
        ..only_second
    };
    assert_eq!(desk.apply(&end), applied(0, 1, 0, true));
    assert_eq!(
        desk.ledger
            .price(variant(1), day("2026-11-22"))
            .expect("price"),
        None
    );
    assert_eq!(
        desk.ledger
            .price(variant(2), day("2026-11-22"))
            .expect("price"),
        Some(100)
    );
    desk.assert_sound();
}

#[test]
fn a_row_that_cannot_be_read_is_kept_and_passed_over() {
    let mut desk = Desk::in_memory();
    desk.follow(&["cat", "price:TN"]);
    let style = make_style(1, "Ballon", "كرة", "Ball");
    let good = variant_row(1, &make_variant(1, 1, "BAL-1", &["4006381333931"]));
    let odd = row("promotion:1", 1, &serde_json::json!({"later": true}));
    let mut mistaken = variant_row(1, &make_variant(2, 1, "BAL-2", &[]));
    mistaken.pk = "variant:00000000-0000-0000-0000-000000009999".to_owned();
    let rows = vec![odd, style_row(1, &style), good, mistaken];
    assert_eq!(
        desk.apply(&whole("cat", 1, rows.clone())),
        applied(4, 0, 2, true)
    );
    assert_eq!(desk.ledger.variant_count().expect("count"), 1);
    assert!(desk.ledger.find_code("BAL-1").expect("find").is_some());
    assert_eq!(desk.ledger.find_code("BAL-2").expect("find"), None);
    desk.assert_sound();

    // A good variant that turns unreadable can no longer be found, nor can its old barcode.
    let broken = row(&rows[2].pk, 2, &serde_json::json!({"sku": 5}));
    let page = FeedPage {
        checksum: None,
        ..whole("cat", 2, vec![broken])
    };
    assert_eq!(desk.apply(&page), applied(1, 0, 1, true));
    assert_eq!(desk.ledger.find_code("4006381333931").expect("find"), None);
    assert_eq!(desk.ledger.search("ballon", 0, 5).expect("search"), []);
    desk.assert_sound();
}

#[test]
fn a_till_is_ready_when_configuration_catalogue_and_prices_are_in() {
    let mut desk = Desk::in_memory();
    assert!(!desk.ledger.ready_to_sell().expect("ready"));
    desk.follow(&["cfg:LM", "cat", "price:TN", "stock:LM"]);
    for page in [
        whole("cat", 1, Vec::new()),
        whole("price:TN", 1, Vec::new()),
        whole("cfg:LM", 1, vec![row("store", 1, &store_config())]),
    ] {
        assert!(
            !desk.ledger.ready_to_sell().expect("ready"),
            "before {}",
            page.feed
        );
        desk.apply(&page);
    }
    assert!(
        desk.ledger.ready_to_sell().expect("ready"),
        "stock may come later"
    );
}

#[test]
fn configuration_staff_and_devices_are_read_back() {
    let mut desk = Desk::in_memory();
    desk.follow(&["cfg:LM"]);
    assert_eq!(desk.ledger.store_config().expect("config"), None);
    let (zohra, amine) = (member(1, "Zohra"), member(2, "Amine"));
    let rows = vec![
        row("store", 1, &store_config()),
        row(format!("user:{}", zohra.user), 1, &zohra),
        row(format!("user:{}", amine.user), 1, &amine),
    ];
    desk.apply(&whole("cfg:LM", 1, rows));
    assert_eq!(
        desk.ledger.store_config().expect("config"),
        Some(store_config())
    );
    assert_eq!(desk.ledger.staff().expect("staff"), [amine.clone(), zohra]);
    assert_eq!(
        desk.ledger.staff_member(amine.user).expect("member"),
        Some(amine)
    );

    // A transaction that fails takes back what it made visible.
    let mut changed = store_config();
    changed.over_short_limit_minor = 1;
    let page = FeedPage {
        checksum: None,
        ..whole("cfg:LM", 2, vec![row("store", 2, &changed)])
    };
    let failed: Result<(), ledger::LedgerError> = desk.ledger.write(|tx| {
        tx.apply_page(&page, 1, 1)?;
        assert_eq!(tx.store_config()?, Some(changed.clone()));
        Err(ledger::LedgerError::Overflow)
    });
    assert!(failed.is_err());
    assert_eq!(
        desk.ledger.store_config().expect("config"),
        Some(store_config())
    );
    desk.apply(&page);
    assert_eq!(desk.ledger.store_config().expect("config"), Some(changed));
}

#[test]
fn feeds_that_are_no_longer_followed_leave() {
    let mut desk = Desk::in_memory();
    sellable(&mut desk);
    assert!(desk.ledger.find_code("BAL-1").expect("find").is_some());
    desk.follow(&["cfg:LM", "price:MA"]);
    assert_eq!(
        desk.ledger.feeds().expect("feeds"),
        [feed("cfg:LM"), feed("price:MA")]
    );
    assert_eq!(desk.ledger.find_code("BAL-1").expect("find"), None);
    assert_eq!(desk.ledger.search("ballon", 0, 5).expect("search"), []);
    assert!(!desk.ledger.ready_to_sell().expect("ready"));
    desk.assert_sound();
    desk.follow(&["cfg:LM", "cat", "price:TN"]);
    sellable(&mut desk);
    assert!(desk.ledger.ready_to_sell().expect("ready"));
    desk.assert_sound();
}

/// A catalogue of one variant at 5.000 TND, and the store's configuration.
fn sellable(desk: &mut Desk) {
    desk.follow(&["cfg:LM", "cat", "price:TN"]);
    desk.apply(&whole("cfg:LM", 1, vec![row("store", 1, &store_config())]));
    let style = make_style(1, "Ballon", "كرة", "Ball");
    let only = make_variant(1, 1, "BAL-1", &["4006381333931"]);
    desk.apply(&whole(
        "cat",
        1,
        vec![style_row(1, &style), variant_row(1, &only)],
    ));
    let prices = [("2026-01-01", 5_000)];
    desk.apply(&whole("price:TN", 1, vec![price_row(1, 1, &prices)]));
}
