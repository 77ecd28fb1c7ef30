//! Interrupted migrations.

use support::faults::{Budget, migration};

#[test]
fn an_interrupted_migration_leaves_the_old_file_or_the_new_one() {
    let figures = migration::sweep(6, 12, 1, &Budget::default()).expect("never mixed");
    assert!(figures.get("halts") > 20, "{figures}");
    assert!(figures.get("cuts") > 100, "{figures}");
    assert!(figures.get("finished") > 5, "{figures}");
    assert!(
        figures.get("old") > 20 && figures.get("new") > 20,
        "{figures}"
    );
}

#[test]
fn a_migration_that_ends_or_is_interrupted_at_a_statement_leaves_the_old_file_or_the_new_one() {
    let figures = migration::statements(12, 20, &Budget::default()).expect("never mixed");
    assert!(figures.get("statements") >= 16, "{figures}");
    assert!(figures.get("statements_refused") > 10, "{figures}");
}
