//! Full and failing disks.

use support::faults::{Budget, disk};

#[test]
fn a_fault_at_any_call_of_a_day_loses_and_doubles_nothing() {
    let figures =
        disk::sweep("ledger.db", 1, 1, &Budget::default()).expect("every day is finished");
    assert!(figures.get("faults") > 200, "{figures}");
    assert!(figures.get("refused") > 100, "{figures}");
    // Control: a sync that fails at the commit leaves sales that were refused and are there; a harness that
    // meets none of them does not reach the commit.
    assert!(figures.get("ghosts") > 0, "{figures}");
}
