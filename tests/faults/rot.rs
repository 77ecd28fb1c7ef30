//! Flipped bits and cut files.

use std::collections::BTreeMap;

use support::faults::{Budget, rot};

#[test]
fn a_flipped_bit_that_changes_what_the_books_say_is_noticed() {
    let rot = rot::flips(24, &Budget::rounds(600), 1).expect("flipped");
    assert_eq!(rot.figures.get("flips"), 600);
    assert!(rot.figures.get("changed_noticed") > 50, "{}", rot.figures);
    assert_eq!(rot.missed, BTreeMap::new(), "{}", rot.figures);
}

#[test]
fn a_file_cut_at_any_page_is_noticed() {
    let figures = rot::truncations(24).expect("noticed");
    assert!(figures.get("truncations") > 30, "{figures}");
}
