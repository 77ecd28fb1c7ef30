//! What a bookkeeper reads at head office is what the tills wrote, to the last account.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use domain::config::Role;
use domain::event::CashMovement;
use support::groceries;
use support::world::{CASA, MARSA, World, pieces};
use till::door::{Command, Reply, TenderInput};

use crate::sale::small_month;

fn day(world: &mut World, numbers: &[usize]) -> i64 {
    let node = &mut world.tills[0];
    node.sign_in(Role::Manager).expect("signed in");
    let float = pieces(50_000, MARSA.currency).expect("a float");
    node.ok(Command::OpenShift {
        drawer: None,
        count: float,
        approval: None,
    })
    .expect("open");
    let mut total = 0;
    for number in numbers {
        let reply = node.ok(Command::ScanCode {
            code: groceries::gtin(*number),
        });
        let Reply::Cart(cart) = reply.expect("scanned") else {
            panic!("a scan answers with the cart")
        };
        let done = node.ok(Command::Complete {
            sale: cart.sale,
            tenders: vec![TenderInput {
                kind: domain::event::TenderKind::Cash,
                amount_minor: None,
                reference: None,
            }],
            approval: None,
        });
        let Reply::Completed(done) = done.expect("completed") else {
            panic!("a completion answers as one")
        };
        total += done.total_minor;
    }
    node.ok(Command::MoveCash {
        movement: CashMovement::PayOut,
        amount_minor: 1_000,
        reason: "eau".to_owned(),
        approval: None,
    })
    .expect("paid out");
    let count = pieces(50_000, MARSA.currency).expect("a count");
    node.ok(Command::CloseShift {
        count,
        approval: None,
    })
    .expect("closed");
    total
}

#[test]
fn head_office_has_the_accounts_and_closings_of_its_tills() {
    let folder = tempfile::tempdir().expect("a folder");
    let csv = groceries::catalogue_csv(&small_month(), 10);
    let (mut world, _) = World::new(folder.path(), &[MARSA, CASA], 1, &csv, 5).expect("a chain");
    world.advance_to_day(0);
    let first = day(&mut world, &[3, 4]);
    world.advance_to_day(1);
    let second = day(&mut world, &[4]);
    world.sync_until_quiet(0, 50).expect("quiet");

    let reply = world.tills[0].ok(Command::TrialBalance { number: None });
    let Reply::Balance(till) = reply.expect("a balance") else {
        panic!("a trial balance answers as one")
    };
    let hub = world.hub.lock().unwrap_or_else(PoisonError::into_inner);
    let office: BTreeMap<String, (i64, i64)> = hub
        .balances()
        .expect("read")
        .into_iter()
        .map(|row| (row.account, (row.debit_minor, row.credit_minor)))
        .collect();
    let own: BTreeMap<String, (i64, i64)> = till
        .rows
        .into_iter()
        .map(|row| (row.account, (row.debit_minor, row.credit_minor)))
        .collect();
    assert_eq!(office, own);
    let debits: i64 = office.values().map(|(debit, _)| debit).sum();
    let credits: i64 = office.values().map(|(_, credit)| credit).sum();
    assert_eq!(debits, credits);
    assert_eq!(office["paid_out"], (2_000, 0));

    let closings: Vec<(String, u64, i64)> = hub
        .closings(10)
        .expect("read")
        .into_iter()
        .map(|row| (row.kind, row.number, row.takings_minor))
        .collect();
    assert_eq!(
        closings,
        [
            ("z".to_owned(), 2, second),
            ("day".to_owned(), 1, first),
            ("z".to_owned(), 1, first),
        ]
    );
    let report = hub.verify().expect("read");
    assert!(report.ok, "{:?}", report.first_bad);
}
