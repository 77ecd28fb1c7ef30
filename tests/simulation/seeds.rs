//! The simulation, bounded: a few seeds of every size, and the lists of steps that once broke a rule.

use support::simulation::{self, Size, Step, play};

#[test]
fn seeds_hold() {
    let mut sum = simulation::Outcome::default();
    for seed in 1..=6 {
        match simulation::run(seed, Size::SMALL) {
            Ok(outcome) => sum.add(&outcome),
            Err(error) => {
                panic!("seed {seed}: {error:#}; `make sim SEEDS=1 SEED={seed}` plays it again")
            }
        }
    }
    assert!(sum.sales > 300, "{sum:?}");
}

/// Steps that once broke a rule, and what the rule was.
const ONCE_BROKEN: &[(&str, u64, &[Step])] = &[
    (
        "a cart that was sold since comes back with older files, and is another sale then",
        11,
        &[
            Step::Sell(0, 21, 3, 1),
            Step::Save(0),
            Step::Sell(0, 1, 3, 2),
            Step::Sync(0),
            Step::PutBack(0, false),
            Step::Sell(0, 26, 3, 1),
        ],
    ),
    (
        "a till that followed the server before it fell back reads its feeds anew",
        59,
        &[
            Step::ServerSave,
            Step::Sell(2, 10, 2, 1),
            Step::Wait(19_956),
            Step::Sell(1, 26, 1, 1),
            Step::Sell(1, 11, 2, 1),
            Step::Sell(1, 10, 3, 1),
            Step::Wait(555_569),
            Step::Sync(1),
            Step::Undo(1),
            Step::Sync(2),
            Step::Wait(492_954),
            Step::ServerRestore,
            Step::Sync(0),
        ],
    ),
];

#[test]
fn what_was_broken_once_holds() {
    for (rule, seed, steps) in ONCE_BROKEN {
        if let Err(error) = play(*seed, Size::SMALL, steps) {
            panic!("{rule}: {error:#}");
        }
    }
}
