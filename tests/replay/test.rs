//! The main job on real input: a month of a real shop's receipts goes through the door of four tills and
//! comes out equal to the file, on every till and on the server.

use std::io::Write as _;

use domain::money::Currency;
use support::{groceries, replay};

#[test]
fn a_month_of_receipts_comes_out_equal_everywhere() {
    let month = groceries::month(&groceries::data_folder(), 1).expect("the month can be read");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let outcome = replay::run(&month, folder.path(), 1, |_, _| {}).expect("everything agrees");
    assert_eq!(
        (outcome.receipts, outcome.units),
        (groceries::RECEIPTS, groceries::UNITS)
    );
    assert_eq!(outcome.shifts, 120);
    assert!(
        outcome.takings.contains_key(&Currency::Tnd)
            && outcome.takings.contains_key(&Currency::Mad)
    );
    assert!(
        outcome.traffic.lost > 100,
        "the network was kinder than it should be: {:?}",
        outcome.traffic
    );
    // Shown with --nocapture and in the log of a failing run.
    let _ = write!(std::io::stderr(), "{}", outcome.report());
}
