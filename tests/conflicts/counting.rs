//! Rows 6 to 8: counts that meet sales, and each other. What a count found to be missing or too much is shown where
//! counts are planned and reviewed, which comes with the stockroom; here it is what stands that matters.

use support::world::MARSA;

use crate::chain::Chain;

/// The later count stands, in whichever order they arrive; both are kept, and what is sold afterwards is taken off.
#[test]
fn row_06_two_counts_of_one_shelf() {
    for late in 0..2 {
        let mut chain = Chain::new(2);
        chain.count(0, "CORD", 15, &[]);
        chain.world.advance(60_000);
        let second = chain.count(1, "CORD", 17, &[]);
        chain.world.advance(60_000);
        chain.sell(0, &["CORD"]);
        chain.sync(1 - late);
        chain.sync(late);
        chain.assert_settled(&[]);
        assert_eq!(chain.on_hand("CORD", MARSA), 16, "late {late}");
        // The one that knew of the others beats them, whatever the clocks say.
        chain.till(0).clock_off_ms = -3 * 60_000;
        let sold = chain.head(1);
        assert!(sold.seq >= second.seq);
        chain.count(0, "CORD", 9, &[sold]);
        chain.assert_settled(&[]);
        assert_eq!(chain.on_hand("CORD", MARSA), 9, "late {late}");
    }
}

/// A sale that the counting device knew of lies before the count; one that it did not know of is ordered by the clock,
/// whatever is heard first.
#[test]
fn row_07_sale_during_a_count() {
    for late in 0..2 {
        let mut chain = Chain::new(2);
        chain.sell(1, &["CORD"]);
        chain.sync(1);
        chain.sync(0);
        // The shelf as it is now, without the unit that was just sold.
        let known = chain.head(1);
        chain.count(0, "CORD", 19, &[known]);
        chain.world.advance(1_000);
        chain.sell(1, &["CORD"]);
        // What the counting till sold itself, before and after.
        chain.sell(0, &["CORD"]);
        chain.sync(1 - late);
        chain.sync(late);
        chain.assert_settled(&[]);
        assert_eq!(chain.on_hand("CORD", MARSA), 17, "late {late}");
    }
}

/// What was sold before a count and is heard long after it is in the takings, and the shelf stays as it was counted. A
/// strict article takes the doubt against itself, until somebody counts who knew of it: a unit that may be gone is
/// never promised. Posting the variance into a closed period comes with the reports.
#[test]
fn row_08_late_events_older_than_a_count() {
    let mut chain = Chain::new(2);
    for _ in 0..3 {
        chain.sell(1, &["CORD"]);
    }
    chain.world.advance(3_600_000);
    chain.count(0, "CORD", 17, &[]);
    chain.sync(0);
    assert_eq!(chain.on_hand("CORD", MARSA), 17);
    chain.world.advance(2 * 86_400_000);
    let before = chain.with_hub(|hub| hub.takings(None)).expect("takings");
    assert_eq!(before, []);
    chain.assert_settled(&[]);
    assert_eq!(chain.on_hand("CORD", MARSA), 17);
    // What is sold from now on is after the count.
    chain.sell(1, &["CORD"]);
    chain.assert_settled(&[]);
    assert_eq!(chain.on_hand("CORD", MARSA), 16);
}
