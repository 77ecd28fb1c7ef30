//! Power cuts.

use ledger::Durability;
use support::faults::power::Depth;
use support::faults::{Budget, power};

const SEED: u64 = 1;

#[test]
fn no_power_cut_costs_an_acknowledged_sale() {
    let figures = power::run(&Budget::rounds(10_000), SEED, Depth::CLOSE).expect("nothing is lost");
    assert!(figures.get("states") >= 10_000, "{figures}");
    // Many differ from others in the cart and the settings only.
    assert!(figures.get("opened") >= 3_000, "{figures}");
    assert!(figures.get("through_the_door") >= 200, "{figures}");
    assert!(figures.get("drained") >= 40, "{figures}");
    assert_eq!(figures.get("lost") + figures.get("broken"), 0, "{figures}");
}

/// Control: where a commit is safe only with the next checkpoint, the harness must see sales lost, and nothing
/// else.
#[test]
fn the_harness_sees_sales_lost_where_commits_are_not_synced() {
    let recording = power::record(Durability::Checkpoint, 15, SEED).expect("recorded");
    let depth = Depth::CLOSE;
    let (figures, first) = recording
        .cut(&Budget::rounds(600), SEED, 5, depth)
        .expect("cut");
    assert!(figures.get("lost") > 0, "{figures}");
    assert_eq!(figures.get("broken"), 0, "{figures}: {first:?}");
}

/// Control: where nothing is synced at all, it must see files torn.
#[test]
fn the_harness_sees_files_torn_where_nothing_is_synced() {
    let recording = power::record(Durability::Relaxed, 25, SEED).expect("recorded");
    for depth in [Depth::CLOSE, Depth::WIDE] {
        let (figures, _) = recording
            .cut(&Budget::rounds(1_000), SEED, 13, depth)
            .expect("cut");
        assert!(figures.get("broken") > 0, "{depth:?}: {figures}");
    }
}
