//! Two tills sell the last unit while the link is down, and meet: both sales stand, and everybody sees -1.

use std::sync::PoisonError;

use domain::config::Role;
use domain::event::TenderKind;
use domain::ids::LocationId;
use support::groceries;
use support::world::{CASA, MARSA, World, pieces};
use till::door::{Command, RefusalCode, Reply, TenderInput};

#[test]
fn both_sales_of_the_last_unit_stand_and_head_office_sees_the_shortage() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let items = vec!["dernier article".to_owned()];
    let month = groceries::Month {
        items,
        receipts: Vec::new(),
        synthetic: true,
    };
    let csv = groceries::catalogue_csv(&month, 1);
    let (mut world, _) = World::new(folder.path(), &[MARSA, CASA], 2, &csv, 6).expect("a chain");

    let mut warned = Vec::new();
    for index in 0..2 {
        let node = &mut world.tills[index];
        node.sign_in(Role::Cashier).expect("signed in");
        let float = pieces(50_000, MARSA.currency).expect("a float");
        node.ok(Command::OpenShift {
            drawer: None,
            count: float,
            approval: None,
        })
        .expect("open");
        let reply = node
            .ok(Command::ScanCode {
                code: groceries::gtin(0),
            })
            .expect("scanned");
        let Reply::Cart(cart) = reply else {
            panic!("a scan answers with the cart")
        };
        warned.push(cart.warnings.len());
        let tenders = vec![TenderInput {
            kind: TenderKind::Cash,
            amount_minor: None,
            reference: None,
        }];
        node.ok(Command::Complete {
            sale: cart.sale,
            tenders,
            approval: None,
        })
        .expect("what is in the hand is sold");
    }
    assert_eq!(
        warned,
        [0, 0],
        "offline, each till rightly believes that one is left"
    );

    let shop = LocationId::new(MARSA.code).expect("a location");
    for _ in 0..2 {
        for index in 0..2 {
            world.advance(60_000);
            world.sync_until_quiet(index, 50).expect("quiet");
        }
    }
    let variant = {
        let hub = world.hub.lock().unwrap_or_else(PoisonError::into_inner);
        let variant = hub
            .variant_of_sku(&groceries::sku(0))
            .expect("read")
            .expect("imported")
            .variant;
        let at_hub = hub
            .on_hand(variant, &shop)
            .expect("read")
            .map(|quantity| quantity.thousandths());
        assert_eq!(at_hub, Some(-1_000));
        assert!(hub.verify().expect("verified").ok);
        variant
    };
    for node in &mut world.tills[..2] {
        let ledger = node.till.ledger().expect("a ledger");
        let shown = ledger
            .stock(variant, &shop)
            .expect("read")
            .map(|known| known.quantity.thousandths());
        assert_eq!(shown, Some(-1_000), "till {}", node.number);
        // The next scan says that the books have none; it still sells.
        let reply = node
            .ok(Command::ScanCode {
                code: groceries::gtin(0),
            })
            .expect("scanned");
        let Reply::Cart(cart) = reply else {
            panic!("a scan answers with the cart")
        };
        let codes: Vec<_> = cart.warnings.iter().map(|warning| warning.code).collect();
        assert_eq!(codes, [RefusalCode::StockBelowZero]);
    }
}
