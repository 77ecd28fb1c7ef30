//! Copied data folders.

use std::path::Path;

use support::faults::{Budget, copied};

#[test]
fn a_folder_restored_cloned_or_cut_books_every_sale_once_in_series_of_its_own() {
    let program = Path::new(env!("CARGO_BIN_EXE_till-program"));
    let figures = copied::run(program, &Budget::rounds(6), 1).expect("booked once");
    assert_eq!(
        (figures.get("copies"), figures.get("noticed")),
        (6, 6),
        "{figures}"
    );
    assert!(figures.get("acknowledged") >= 24, "{figures}");
}

/// Control: where nobody can notice, numbers are given twice, and the harness sees it.
#[test]
fn the_harness_sees_a_number_given_twice_by_a_machine_set_back_witness_and_all() {
    let program = Path::new(env!("CARGO_BIN_EXE_till-program"));
    let violation = copied::set_back(program, 2).expect_err("a number twice");
    let told = format!("{violation:#}");
    assert!(told.contains("a number twice"), "{told}");
}
