//! A real product export becomes a catalogue that a till can sell from.

use std::sync::PoisonError;

use domain::config::Role;
use domain::ids::{LocationId, PriceListId, TaxCategory};
use hub::import::ImportOptions;
use support::groceries;
use support::world::{CASA, MARSA, World};
use till::door::{Command, Reply};

#[test]
fn a_shopify_export_is_imported_counted_and_found_by_name() {
    let path = groceries::data_folder().join("shopify-apparel.csv");
    let Ok(bytes) = std::fs::read(&path) else {
        let _ =
            std::io::Write::write_all(&mut std::io::stderr(), b"skipped: no shopify-apparel.csv\n");
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let month = groceries::Month {
        items: vec!["x".to_owned()],
        receipts: Vec::new(),
        synthetic: true,
    };
    let (mut world, _) = World::new(
        folder.path(),
        &[MARSA, CASA],
        1,
        &groceries::catalogue_csv(&month, 1),
        7,
    )
    .expect("a chain");
    let options = |dry_run| ImportOptions {
        dry_run,
        valid_from: "2020-01-01".parse().expect("a date"),
        price_list: Some(PriceListId::new("TN").expect("a list")),
        tax: TaxCategory::new("standard").expect("a category"),
        opening_stock: false,
        stock_location: Some(LocationId::new(MARSA.code).expect("a location")),
    };
    let now = domain::time::Now {
        wall_ms: 1_790_838_100_000,
        boot: domain::time::Boot { id: 1, ms: 1 },
        utc_offset_min: 60,
    };
    {
        let mut hub = world.hub.lock().unwrap_or_else(PoisonError::into_inner);
        let dry = hub
            .import(&bytes, &options(true), &now, &mut |_, _| {})
            .expect("read");
        assert_eq!(
            (dry.applied, dry.errors_total),
            (false, 0),
            "{:?}",
            dry.errors
        );
        assert!(hub.variant_of_sku("GRO-000").expect("read").is_some());
        let done = hub
            .import(&bytes, &options(false), &now, &mut |_, _| {})
            .expect("imported");
        assert!(done.applied);
        assert_eq!(
            (done.rows, done.styles, done.variants),
            (dry.rows, dry.styles, dry.variants)
        );
        assert!(hub.verify().expect("verified").ok);
    }
    world.advance(60_000);
    world.try_sync(0).expect("synced");
    world.sync_until_quiet(0, 50).expect("quiet");
    let node = &mut world.tills[0];
    node.sign_in(Role::Cashier).expect("signed in");
    let query = "varsity top small".to_owned();
    let reply = node
        .ok(Command::Search {
            query,
            offset: 0,
            limit: None,
        })
        .expect("searched");
    let Reply::Variants { rows, .. } = reply else {
        panic!("a search answers with variants")
    };
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        (rows[0].names.fr.as_str(), rows[0].price_minor),
        ("Classic Varsity Top", Some(60_000))
    );
    assert_eq!(
        rows[0].stock.map(|quantity| quantity.thousandths()),
        Some(1_000)
    );
}
