//! The simulation, bounded: a few seeds of every size, and the lists of steps that once broke a rule.

use support::simulation::{self, MUTANTS, Mutant, Setup, Size, Step, play};
use testkit::disk::crash::SURVIVALS;

#[test]
fn seeds_hold() {
    let mut sum = simulation::Outcome::default();
    for seed in 1..=6 {
        match simulation::run(seed, Size::SMALL.into()) {
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
    (
        "a clock that was behind does not make two sales of one",
        847,
        &[
            Step::Clock(2, -86_400_000),
            Step::Save(2),
            Step::Sell(2, 20, 2, 1),
            Step::Sync(2),
            Step::RollBack(2),
            Step::Sell(2, 21, 3, 1),
        ],
    ),
    (
        "a count that a machine made before it was set back stays out of the way of the next",
        649,
        &[
            Step::Save(2),
            Step::Count(2),
            Step::Sync(2),
            Step::RollBack(2),
            Step::Count(2),
        ],
    ),
    (
        "a count says what its author knew when it looked, not when it ended: a seal in between frees nothing",
        4,
        &[
            Step::Sync(0),
            Step::Sync(0),
            Step::Sync(2),
            Step::Sync(2),
            Step::Sync(2),
            Step::Look(0),
            Step::Ticket(2, 0, 1),
            Step::Away(2, true),
            Step::Wait(8 * DAY_MS),
            Step::Sync(0),
            Step::Sync(0),
            Step::Seal(2),
            Step::Sync(0),
            Step::Wait(2 * HOUR_MS),
            Step::Count(0),
            Step::Sync(0),
            Step::Sync(0),
            Step::Promise(0, 0, 1, true),
            Step::Promise(0, 0, 1, true),
            Step::Promise(0, 0, 1, true),
            Step::Promise(0, 0, 1, true),
            Step::Ticket(0, 0, 1),
            Step::Ticket(0, 0, 1),
            Step::Ticket(0, 0, 1),
        ],
    ),
    (
        "what another till received does not hide in a count what it sold",
        4,
        &[
            Step::Sync(0),
            Step::Sync(0),
            Step::Sync(2),
            Step::Sync(2),
            Step::Receive(2, 0, 2),
            Step::Look(0),
            Step::Ticket(2, 0, 1),
            Step::Sync(2),
            Step::Sync(2),
            Step::Sync(0),
            Step::Sync(0),
            Step::Count(0),
            Step::Sync(0),
            Step::Sync(0),
            Step::Sync(2),
            Step::Sync(2),
            Step::Promise(0, 0, 2, true),
            Step::Promise(0, 0, 1, true),
            Step::Promise(0, 0, 1, true),
            Step::Promise(0, 0, 1, true),
            Step::Ticket(0, 0, 1),
            Step::Ticket(0, 0, 1),
            Step::Ticket(2, 0, 1),
            Step::Ticket(2, 0, 1),
        ],
    ),
    (
        "a count that knows of a later one looked at the shelf before it",
        4,
        &[
            Step::Sync(0),
            Step::Sync(0),
            Step::Sync(2),
            Step::Sync(2),
            Step::Look(0),
            Step::Ticket(2, 0, 1),
            Step::Sync(2),
            Step::Count(2),
            Step::Sync(2),
            Step::Sync(2),
            Step::Sync(0),
            Step::Sync(0),
            Step::Count(0),
            Step::Sync(0),
            Step::Sync(0),
            Step::Sync(2),
            Step::Sync(2),
            Step::Promise(0, 0, 1, true),
            Step::Promise(0, 0, 1, true),
            Step::Promise(0, 0, 1, true),
            Step::Promise(0, 0, 1, true),
            Step::Ticket(0, 0, 1),
            Step::Ticket(0, 0, 1),
            Step::Ticket(2, 0, 1),
            Step::Ticket(2, 0, 1),
        ],
    ),
    (
        "two branches of a stream may hold closings that are alike in everything",
        2697,
        &[
            Step::Clock(1, 4 * DAY_MS),
            Step::Sell(1, 35, 3, 1),
            Step::Clock(1, 0),
            Step::Close(1),
            Step::Save(1),
            Step::Sell(1, 15, 1, 1),
            Step::Sync(1),
            Step::RollBack(1),
            Step::Sell(1, 31, 2, 2),
        ],
    ),
    (
        "a machine that was set back may lose its power in the sale that takes a number for the second time",
        9114,
        &[
            Step::Save(0),
            Step::Sell(0, 36, 3, 2),
            Step::Sync(0),
            Step::RollBack(0),
            Step::Halt(0, 24),
        ],
    ),
];

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

#[test]
fn what_was_broken_once_holds() {
    let mut broken = Vec::new();
    for (rule, seed, steps) in ONCE_BROKEN {
        if let Err(error) = play(*seed, Size::SMALL.into(), steps) {
            broken.push(format!("{rule}: {error:#}"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A seed on real files, where locks, renames and syncs are the system's.
#[test]
fn seeds_hold_on_real_files() {
    let setup = Setup {
        on_files: true,
        ..Size {
            busy: 20,
            ..Size::SMALL
        }
        .into()
    };
    for seed in [3, 8] {
        if let Err(error) = simulation::run(seed, setup) {
            panic!("seed {seed} on real files: {error:#}");
        }
    }
}

fn without(mutant: Mutant) -> Setup {
    Setup {
        mutant: Some(mutant),
        ..Size::SMALL.into()
    }
}

/// Seeds whose drawn steps catch a mutant as well, found with `sim --mutant`: nobody wrote them for it.
const CAUGHT_BY_CHANCE: &[(Mutant, u64)] = &[
    (Mutant::PnCounter, 1),
    (Mutant::DeltaGrants, 2),
    (Mutant::PromiseOnHand, 1),
    (Mutant::DedupeOff, 1),
    (Mutant::VersionOutside, 1),
    (Mutant::WitnessOff, 1),
    (Mutant::TillNotDurable, 3),
    (Mutant::AckBeforeCommit, 4),
    (Mutant::HashCheckOff, 11),
];

#[test]
fn drawn_seeds_catch_mutants() {
    for (mutant, seed) in CAUGHT_BY_CHANCE {
        let found = simulation::run(*seed, without(*mutant));
        let error = found.map_or_else(|error| format!("{error:#}"), |_| "nothing".to_owned());
        let names_a_rule = (1..=12).any(|rule| error.contains(&format!("V{rule}: ")));
        assert!(
            names_a_rule,
            "{mutant:?} in seed {seed}: {error}; `sim --mutant {mutant:?}` finds another"
        );
    }
}

/// Seeds that each mutant is looked for in, at most.
const SEEDS_MAX: u64 = 8;

/// The rule that sees that a mechanism is gone, as it names itself.
const fn caught_by(mutant: Mutant) -> &'static str {
    match mutant {
        Mutant::PnCounter
        | Mutant::DeltaGrants
        | Mutant::LeaseOnlyReclaim
        | Mutant::NoEpoch
        | Mutant::PromisesNotConfirmed
        | Mutant::CountKnowsAll => "V5: oversold",
        Mutant::PromiseOnHand => "V6:",
        Mutant::VersionOutside => "V7:",
        Mutant::WitnessOff => "V10:",
        Mutant::TillNotDurable | Mutant::AckBeforeCommit | Mutant::HashCheckOff => "V4:",
        Mutant::DedupeOff => "V9:",
    }
}

/// A few steps in which each mechanism is needed.
fn need_of(mutant: Mutant) -> Vec<Step> {
    let synced = |till| [Step::Sync(till), Step::Sync(till), Step::Sync(till)];
    // The first strict article has three units; a till that has been heard holds two of them.
    let (one, two) = (Step::Promise(1, 0, 1, true), Step::Promise(1, 0, 2, true));
    let mut steps = synced(1).to_vec();
    match mutant {
        Mutant::PnCounter => {
            steps.extend(synced(0));
            steps.extend(synced(2));
            steps.extend([Step::Ticket(0, 0, 2), Step::Ticket(2, 0, 2)]);
        }
        Mutant::DeltaGrants => steps.extend([Step::Ticket(1, 0, 2), Step::Ticket(1, 0, 2)]),
        Mutant::LeaseOnlyReclaim => {
            steps.extend([Step::Ticket(1, 0, 2), Step::Wait(8 * 86_400_000), two]);
        }
        Mutant::PromiseOnHand => steps.extend([two, Step::Ticket(1, 0, 2)]),
        Mutant::NoEpoch => {
            steps.extend([Step::ServerSave, Step::Ticket(1, 0, 2), Step::Sync(1)]);
            steps.extend([
                Step::Sync(1),
                Step::ServerRestore,
                one,
                Step::Ticket(1, 0, 1),
            ]);
        }
        Mutant::PromisesNotConfirmed => {
            steps.extend([Step::ServerSave, one, Step::ServerRestore]);
            steps.extend([Step::Sync(1), Step::Sync(1), one, Step::Ticket(1, 0, 2)]);
        }
        Mutant::CountKnowsAll => {
            steps.extend(synced(0));
            steps.extend(synced(2));
            steps.extend([Step::Count(0), Step::Sync(0), Step::Sync(2), Step::Sync(2)]);
            for _ in 0..8 {
                steps.extend([Step::Ticket(2, 2, 2), Step::Sync(2), Step::Sync(2)]);
                steps.push(Step::Promise(0, 2, 1, true));
            }
        }
        Mutant::DedupeOff | Mutant::VersionOutside => {
            for _ in 0..6 {
                steps.extend([Step::Sell(1, 2, 1, 1), Step::Sync(1)]);
            }
        }
        Mutant::WitnessOff => {
            steps.extend([Step::Save(1), Step::Sell(1, 2, 1, 1)]);
            steps.extend([Step::PutBack(1, false), Step::Sell(1, 3, 1, 2)]);
        }
        Mutant::HashCheckOff => {
            steps.extend([Step::Save(1), Step::Sell(1, 2, 1, 1)]);
            steps.extend(synced(1));
            steps.extend([Step::RollBack(1), Step::Sell(1, 3, 1, 2)]);
            steps.extend([Step::Sell(1, 4, 1, 1), Step::Sync(1)]);
        }
        Mutant::TillNotDurable => {
            steps.extend([Step::Sell(1, 2, 1, 1), Step::PowerCut(1, SURVIVALS[0])]);
        }
        Mutant::AckBeforeCommit => {
            steps.extend([one, Step::ServerPowerCut(SURVIVALS[0])]);
            steps.extend(synced(1));
            steps.extend([one, Step::Ticket(1, 0, 2)]);
        }
    }
    steps
}

#[test]
fn every_mutant_is_caught() {
    for mutant in MUTANTS {
        let steps = need_of(mutant);
        let mut broken = Vec::new();
        let caught = (1..=SEEDS_MAX).any(|seed| {
            if let Err(error) = play(seed, Size::SMALL.into(), &steps) {
                panic!("without {mutant:?}, seed {seed}: {error:#}");
            }
            let Err(error) = play(seed, without(mutant), &steps) else {
                return false;
            };
            let error = format!("{error:#}");
            let names = error.contains(caught_by(mutant));
            broken.push(error);
            names
        });
        assert!(
            caught,
            "{mutant:?} did not break {} in {SEEDS_MAX} seeds, but {broken:#?}",
            caught_by(mutant)
        );
    }
}
