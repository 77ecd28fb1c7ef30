//! Ring up a sale offline, print it, and see the stock fall on head office's side once there is a link.

use std::sync::PoisonError;

use domain::config::Role;
use domain::event::TenderKind;
use domain::ids::LocationId;
use ledger::PrintFilter;
use support::groceries;
use support::world::{CASA, MARSA, World, pieces};
use till::door::{Command, Reply, TenderInput};

pub fn small_month() -> groceries::Month {
    let items = (0..12).map(|number| format!("article {number}")).collect();
    groceries::Month {
        items,
        receipts: Vec::new(),
        synthetic: true,
    }
}

fn cash(amount_minor: Option<i64>) -> Vec<TenderInput> {
    vec![TenderInput {
        kind: TenderKind::Cash,
        amount_minor,
        reference: None,
    }]
}

#[test]
fn a_sale_rung_offline_reaches_head_office_with_its_receipt_and_stock() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let csv = groceries::catalogue_csv(&small_month(), 10);
    let (mut world, _) = World::new(folder.path(), &[MARSA, CASA], 1, &csv, 5).expect("a chain");
    let shop = LocationId::new(MARSA.code).expect("a location");

    // The cashier signs in, counts the float and opens. No link is needed from here on.
    let node = &mut world.tills[0];
    node.sign_in(Role::Cashier).expect("signed in");
    let float = pieces(50_000, MARSA.currency).expect("a float");
    node.ok(Command::OpenShift {
        drawer: None,
        count: float,
        approval: None,
    })
    .expect("open");

    // Items 3, 4 and 4 again: 0.675, 0.750 and 0.750 TND.
    let mut sale = None;
    for number in [3, 4, 4] {
        let reply = node
            .ok(Command::ScanCode {
                code: groceries::gtin(number),
            })
            .expect("scanned");
        let Reply::Cart(cart) = reply else {
            panic!("a scan answers with the cart")
        };
        sale = Some((cart.sale, cart.total_minor, cart.lines.len()));
    }
    let (sale, total_minor, lines) = sale.expect("a cart");
    assert_eq!((total_minor, lines), (2_175, 2));

    // Charge, 5 dinars: the change is said by the core.
    let reply = node
        .ok(Command::Complete {
            sale,
            tenders: cash(Some(5_000)),
            approval: None,
        })
        .expect("completed");
    let Reply::Completed(done) = reply else {
        panic!("a completion answers as one")
    };
    assert_eq!((done.total_minor, done.change_minor), (2_175, 2_825));
    assert!(done.next.lines.is_empty());

    // The receipt is in the print queue, in the same transaction, and can be looked at.
    let ledger = node.till.ledger().expect("a ledger");
    let job = ledger
        .print_jobs(PrintFilter::Latest(1))
        .expect("jobs")
        .remove(0);
    assert_eq!(Some(job.job), done.job);
    let paper = receipt::Document::from_json(&job.document)
        .expect("a document")
        .to_text();
    for words in [done.number.as_str(), "article 3", "2.175", "5.000", "2.825"] {
        assert!(
            paper.contains(words),
            "{words} is not on the receipt:\n{paper}"
        );
    }

    // This till already shows what it sold; head office does not know yet, and the till says so.
    let variant = {
        let hub = world.hub.lock().unwrap_or_else(PoisonError::into_inner);
        let variant = hub
            .variant_of_sku(&groceries::sku(4))
            .expect("read")
            .expect("imported")
            .variant;
        let at_hub = hub
            .on_hand(variant, &shop)
            .expect("read")
            .map(|quantity| quantity.thousandths());
        assert_eq!(at_hub, Some(10_000));
        variant
    };
    let shown = |world: &World| {
        let ledger = world.tills[0].till.ledger().expect("a ledger");
        ledger
            .stock(variant, &shop)
            .expect("read")
            .map(|known| known.quantity.thousandths())
    };
    assert_eq!(shown(&world), Some(8_000));
    assert!(world.tills[0].unsynced().expect("read") > 0);

    // The link is back: everything goes up, the stock falls, and nothing is subtracted twice on the till.
    world.sync_until_quiet(0, 50).expect("quiet");
    {
        let hub = world.hub.lock().unwrap_or_else(PoisonError::into_inner);
        let at_hub = hub
            .on_hand(variant, &shop)
            .expect("read")
            .map(|quantity| quantity.thousandths());
        assert_eq!(at_hub, Some(8_000));
        let takings: i64 = hub
            .takings(None)
            .expect("read")
            .iter()
            .map(|line| line.takings_minor)
            .sum();
        assert_eq!(takings, 2_175);
        assert!(hub.verify().expect("verified").ok);
    }
    assert_eq!(world.tills[0].unsynced().expect("read"), 0);
    world.advance(60_000);
    world.try_sync(0).expect("synced");
    assert_eq!(shown(&world), Some(8_000));

    // Counted, closed: the Z is the sum of its receipts.
    let node = &mut world.tills[0];
    let count = pieces(50_000 + 2_175, MARSA.currency).expect("a count");
    let reply = node
        .ok(Command::CloseShift {
            count,
            approval: None,
        })
        .expect("closed");
    let Reply::Report(z) = reply else {
        panic!("a closing answers with its report")
    };
    assert_eq!(
        (z.z_number, z.takings_minor, z.difference_minor),
        (Some(1), 2_175, Some(0))
    );
    assert!(
        node.till
            .ledger()
            .expect("a ledger")
            .verify()
            .expect("verified")
            .ok
    );
}
