//! Full and failing disks.

use support::faults::{Budget, disk};

#[test]
fn a_fault_at_any_call_of_a_day_loses_and_doubles_nothing() {
    let figures = disk::sweep("ledger.db", 1, 1, disk::DRAIN_SOME, &Budget::default())
        .expect("every day is finished");
    assert!(figures.get("faults") > 200, "{figures}");
    assert!(figures.get("refused") > 100, "{figures}");
    // Each of the seven kinds.
    assert!(figures.get("drained") >= 14, "{figures}");
    // Control: a sync that fails at the commit leaves sales that were refused and are there; a harness that
    // meets none of them does not reach the commit.
    assert!(figures.get("ghosts") > 0, "{figures}");
}

#[test]
fn a_sale_that_ends_or_is_interrupted_at_any_statement_is_whole_or_not_there() {
    let figures =
        disk::statements(1, disk::DRAIN_SOME, &Budget::default()).expect("every day is finished");
    // Control: each way meets the statements of the one transaction, and some after it, which refuse nothing.
    let (all, refused) = (figures.get("statements"), figures.get("refused"));
    assert!(all > 60 && refused > 30 && refused < all, "{figures}");
    // What did not reach its COMMIT is not there.
    assert_eq!(figures.get("ghosts"), 0, "{figures}");
    // Each of the three kinds.
    assert!(figures.get("drained") >= 6, "{figures}");
}
