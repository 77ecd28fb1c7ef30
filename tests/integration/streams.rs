//! A till's folder is put back to an older state and nobody notices but the server: the till goes on in a new series
//! by itself, and head office counts every sale once.

use std::path::Path;
use std::sync::PoisonError;

use domain::config::Role;
use domain::event::{StreamReason, TenderKind};
use support::groceries;
use support::world::{CASA, MARSA, TillNode, World, pieces};
use till::door::{Command, NoticeReason, Reply, TenderInput};

fn sell(node: &mut TillNode, number: usize) -> String {
    let Reply::Cart(cart) = node
        .ok(Command::ScanCode {
            code: groceries::gtin(number),
        })
        .expect("scanned")
    else {
        panic!("a scan answers with the cart")
    };
    let tenders = vec![TenderInput {
        kind: TenderKind::Cash,
        amount_minor: None,
        reference: None,
    }];
    let Reply::Completed(done) = node
        .ok(Command::Complete {
            sale: cart.sale,
            tenders,
            approval: None,
        })
        .expect("completed")
    else {
        panic!("a completion answers as one")
    };
    done.number
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from.join("ledger.db"), to.join("ledger.db")).expect("copy");
}

#[test]
fn a_restored_till_is_told_by_the_server_and_goes_on_with_nothing_counted_twice() {
    for sold_before_contact in [0, 2] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let kept = tempfile::tempdir().expect("a temporary folder");
        let month = groceries::Month {
            items: (0..4).map(|number| format!("article {number}")).collect(),
            receipts: Vec::new(),
            synthetic: true,
        };
        let csv = groceries::catalogue_csv(&month, 10);
        let (mut world, _) =
            World::new(folder.path(), &[MARSA, CASA], 1, &csv, 8).expect("a chain");
        let data = folder.path().join("LM-01");
        let node = &mut world.tills[0];
        node.sign_in(Role::Cashier).expect("signed in");
        node.ok(Command::OpenShift {
            drawer: None,
            count: pieces(50_000, MARSA.currency).expect("a float"),
            approval: None,
        })
        .expect("open");
        let mut numbers = vec![sell(node, 0)];
        node.restart(&data, |data| copy(data, kept.path()))
            .expect("restarted");
        numbers.push(sell(node, 1));
        world.sync_until_quiet(0, 50).expect("quiet");
        let node = &mut world.tills[0];
        let old = node.till.ledger().expect("a ledger").identity().stream;
        node.restart(&data, |data| copy(kept.path(), data))
            .expect("restarted");
        for number in 0..sold_before_contact {
            numbers.push(sell(node, number));
        }
        world.advance(60_000);
        world.sync_until_quiet(0, 50).expect("quiet");
        let node = &mut world.tills[0];
        let ledger = node.till.ledger().expect("a ledger");
        assert_ne!(ledger.identity().stream, old);
        let reason = if sold_before_contact == 0 {
            (StreamReason::Restored, NoticeReason::Restored)
        } else {
            (StreamReason::Cloned, NoticeReason::Cloned)
        };
        assert_eq!(ledger.identity().reason, reason.0);
        assert_eq!(ledger.verify().expect("verify").first_bad, None);
        assert_eq!(node.unsynced().expect("read"), 0);
        let Reply::Status(status) = node.ok(Command::Status {}).expect("status") else {
            panic!("a status")
        };
        assert_eq!(status.notice.map(|notice| notice.reason), Some(reason.1));
        assert!(status.shift.is_some(), "the shift goes on");
        // And sells on, in the new series.
        numbers.push(sell(node, 2));
        world.advance(60_000);
        world.sync_until_quiet(0, 50).expect("quiet");
        let hub = world.hub.lock().unwrap_or_else(PoisonError::into_inner);
        let report = hub.verify().expect("verified");
        assert_eq!(report.first_bad, None);
        let receipts: u64 = hub
            .takings(None)
            .expect("takings")
            .iter()
            .map(|row| row.receipts)
            .sum();
        assert_eq!(receipts, numbers.len() as u64, "{numbers:?}");
    }
}
