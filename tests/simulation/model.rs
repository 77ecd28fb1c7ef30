//! Escrow of one strict variant at one location: every state of small worlds, under the right rules and under each
//! wrong one. What it shows is told in docs/stock.md.

mod rules;
mod search;
mod state;
mod steps;
mod worlds;

use std::collections::BTreeSet;
use std::io::Write as _;

use rules::{Rules, Wrong};
use search::search;
use worlds::World;

/// More states than any world has that is searched whole.
const WHOLE: usize = 3_000_000;
/// States of each world that is too large to be searched whole in a test, unless [`STATES_VARIABLE`] says otherwise.
const STATES: usize = 20_000;
/// How many states of the larger worlds are visited; 120 bytes each.
const STATES_VARIABLE: &str = "HANOUT_ESCROW_STATES";

fn say(text: &dyn std::fmt::Display) {
    // Nowhere is left to say that standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Under the right rules no history of the world breaks a promise.
fn keeps(world: &World) {
    let found = search(world, Rules::default(), WHOLE);
    if let Some(history) = found.broken {
        panic!("{}: {history:#?}", world.name);
    }
    assert!(
        found.is_whole,
        "{} has more than {WHOLE} states",
        world.name
    );
    say(&format!(
        "{}: all {} states, histories up to {}",
        world.name, found.states, found.depth
    ));
}

/// Rules that are wrong together, where that shows, and in how many steps.
type Case = (&'static [Wrong], World, usize);

/// Under wrong rules the shortest history that breaks a promise has so many steps.
fn breaks(cases: &[Case]) {
    for (wrong, world, steps) in cases {
        let found = search(world, Rules::but(wrong), WHOLE);
        let Some(history) = found.broken else {
            panic!(
                "{wrong:?} breaks nothing in {}: {} states",
                world.name, found.states
            );
        };
        say(&format!(
            "{wrong:?}, {}: {} steps",
            world.name,
            history.len()
        ));
        for step in &history {
            say(&format!("    {step}"));
        }
        assert_eq!(history.len(), *steps, "{wrong:?} in {}", world.name);
    }
}

const RIGHTS: &[Case] = &[
    (&[Wrong::NoEscrow], World::ONE, 2),
    (&[Wrong::GrantsAsDifferences], World::PLAIN, 6),
    (&[Wrong::ConsumptionAhead], World::ONE, 5),
    (&[Wrong::ReturnUnwritten], World::RETURNS, 7),
    (&[Wrong::ReturnReadTwice], World::RETURNS, 9),
    (&[Wrong::CloseAhead], World::SHOP, 5),
    (&[Wrong::CartsPicked], World::SHOP, 4),
    (
        &[Wrong::OverrideConsumes, Wrong::NoClamp],
        World::OVERRIDE,
        5,
    ),
    (&[Wrong::SameStream], World::RESTORE, 6),
    (&[Wrong::RightsCarriedOver], World::RESTORE, 6),
];

const COUNTS: &[Case] = &[
    (&[Wrong::ClocksDecide, Wrong::NoWait], World::COUNT, 8),
    (&[Wrong::ClocksBehind], World::COUNT, 9),
    (&[Wrong::NoWait], World::COUNT, 8),
    (&[Wrong::LateSealForgiven], World::SEAL_RECEIPTS, 10),
    (&[Wrong::ArrivalDecides], World::COUNT, 9),
    (&[Wrong::DoubtAddsReceipts], World::COUNT, 11),
    (&[Wrong::DoubtForgivesSales], World::COUNT, 9),
];

const LEASES: &[Case] = &[
    (&[Wrong::LeaseIgnored], World::SEAL, 8),
    (&[Wrong::ClockSetBack], World::SEAL, 8),
    (&[Wrong::ReclaimByTime], World::SEAL, 6),
    (&[Wrong::ReclaimByCountAlone], World::SEAL, 7),
    (&[Wrong::AnyCountReclaims], World::SEAL, 10),
    (&[Wrong::ReclaimFromBeatenCount], World::SEAL_COUNTS, 12),
    (&[Wrong::ReplacedStreamReclaimed], World::RESTORE_MOVES, 10),
    (&[Wrong::MintedOutlivesLease], World::SEAL_RECEIPTS, 10),
    (&[Wrong::LeaseDespiteDeficit], World::RESTORE_SEAL, 11),
];

const PATHS: &[Case] = &[
    (&[Wrong::MovedLeaseForgotten], World::SEAL_PATH, 12),
    (&[Wrong::OwnLeaseForgotten], World::SEAL_PATH, 11),
    (&[Wrong::TakenUnwritten], World::SEAL_MOVES, 15),
    (
        &[Wrong::NoClamp, Wrong::TakenUnwritten],
        World::SEAL_PATH,
        12,
    ),
];

const SERVER: &[Case] = &[
    (&[Wrong::NoFreeze], World::SERVER, 6),
    (&[Wrong::ReportWithoutTotals], World::SERVER_TWO, 13),
    (&[Wrong::OldGrantsAccepted], World::SERVER_TWO, 13),
    (&[Wrong::PromisesForgotten], World::SERVER, 10),
    (&[Wrong::DevicesForgotten], World::SERVER_LATE, 10),
    (&[Wrong::SealThaws], World::SERVER_SEAL, 10),
    (&[Wrong::LeasesForgotten], World::SERVER_SEAL, 13),
];

#[test]
fn wrong_rules_about_rights_oversell() {
    breaks(RIGHTS);
}

#[test]
fn wrong_rules_about_counts_oversell() {
    breaks(COUNTS);
}

#[test]
fn wrong_rules_about_leases_oversell() {
    breaks(LEASES);
}

#[test]
fn wrong_rules_about_moved_rights_oversell() {
    breaks(PATHS);
}

#[test]
fn wrong_rules_about_a_restored_server_oversell() {
    breaks(SERVER);
}

/// Rules that the others make up for: each alone may be wrong.
#[test]
fn second_nets_break_nothing_by_themselves() {
    for (wrong, world) in [
        (Wrong::NoClamp, World::OVERRIDE),
        (Wrong::NoClamp, World::SEAL_MOVES),
        (Wrong::ClocksDecide, World::COUNT),
    ] {
        let found = search(&world, Rules::but(&[wrong]), WHOLE);
        assert!(found.is_whole, "{}", world.name);
        let name = world.name;
        assert_eq!(found.broken, None, "{wrong:?} in {name}");
    }
}

#[test]
fn every_wrong_rule_has_a_case() {
    let cases = [RIGHTS, COUNTS, LEASES, PATHS, SERVER].concat();
    let tried: BTreeSet<Wrong> = cases
        .iter()
        .flat_map(|(wrong, _, _)| wrong.iter().copied())
        .collect();
    let all: BTreeSet<Wrong> = Wrong::ALL.iter().copied().collect();
    assert_eq!(tried, all);
}

#[test]
fn rights_of_tills_never_oversell() {
    for world in [
        World::PLAIN,
        World::ONE,
        World::RETURNS,
        World::MOVES,
        World::THREE,
        World::SHOP,
    ] {
        keeps(&world);
    }
}

#[test]
fn counts_never_oversell() {
    for world in [World::COUNT, World::FOUND, World::MISSING, World::COUNTS] {
        keeps(&world);
    }
}

#[test]
fn overrides_oversell_by_themselves_alone() {
    keeps(&World::OVERRIDE);
    keeps(&World::OVERRIDES);
}

#[test]
fn sealed_streams_never_oversell() {
    for world in [
        World::SEAL,
        World::SEAL_RECEIPTS,
        World::SEAL_COUNTS,
        World::SEAL_MOVES,
    ] {
        keeps(&world);
    }
}

#[test]
fn restored_tills_never_oversell() {
    keeps(&World::RESTORE);
    keeps(&World::RESTORE_SEAL);
}

#[test]
fn restored_servers_never_oversell() {
    for world in [
        World::SERVER,
        World::SERVER_TWO,
        World::SERVER_SHOP,
        World::SERVER_LATE,
        World::SERVER_SEAL,
    ] {
        keeps(&world);
    }
}

#[test]
fn everything_together_never_oversells() {
    keeps(&World::EVERYTHING);
    keeps(&World {
        name: "everything, longer, one rare step",
        carts: true,
        events: 3,
        rare: 1,
        ..World::EVERYTHING
    });
}

/// A search that is cut off proves nothing beyond the histories that it met, the short ones first.
#[test]
fn larger_worlds_do_not_oversell_as_far_as_they_are_searched() {
    let states = std::env::var(STATES_VARIABLE).ok();
    let states = states.map_or(STATES, |text| text.parse().expect("a number of states"));
    let everything = World {
        rare: 3,
        events: 4,
        ..World::EVERYTHING
    };
    for world in [
        World {
            name: "everything, three rare steps",
            ..everything
        },
        World {
            name: "everything, two units",
            units: 2,
            grants: 2,
            ..everything
        },
        World {
            name: "everything, carts, two leases",
            carts: true,
            ticks: 2,
            ..everything
        },
        World {
            name: "everything, two counts",
            counts: 2,
            ..everything
        },
        World {
            name: "everything, three tills",
            tills: 3,
            ..everything
        },
        World {
            name: "everything, a later till",
            late_till: true,
            ..everything
        },
        World::SEAL_PATH,
        World::RESTORE_MOVES,
    ] {
        let found = search(&world, Rules::default(), states);
        if let Some(history) = found.broken {
            panic!("{}: {history:#?}", world.name);
        }
        let whole = if found.is_whole { "all" } else { "the first" };
        say(&format!(
            "{}: {whole} {} states, histories up to {}",
            world.name, found.states, found.depth
        ));
    }
}

/// A count that finds goods would be of no use if they could never be promised.
#[test]
fn a_unit_that_a_count_found_can_be_promised_in_the_end() {
    assert!(search::reaches(
        &World::FOUND,
        Rules::default(),
        |state| state.open_customers() == 2
    ));
    assert!(!search::reaches(
        &World::FOUND,
        Rules::default(),
        |state| state.open_customers() == 3
    ));
}
