//! Kills of a real process.

use std::path::Path;

use support::faults::Budget;
use support::faults::kill::{self, Protocol, Victim};

fn pipes() -> Victim<'static> {
    Victim::Pipes(Path::new(env!("CARGO_BIN_EXE_torture")))
}

fn door() -> Victim<'static> {
    Victim::Door(Path::new(env!("CARGO_BIN_EXE_till-program")))
}

#[test]
fn no_kill_costs_or_doubles_a_sale_whose_answer_was_read() {
    let figures =
        kill::run(pipes(), Protocol::SameId, &Budget::rounds(200), 1).expect("nothing is lost");
    assert_eq!(
        (figures.get("kills"), figures.get("doubled")),
        (200, 0),
        "{figures}"
    );
    assert!(figures.get("acknowledged") >= 200, "{figures}");
    assert!(
        figures.get("committed_unread") > 0,
        "no kill came between commit and answer: {figures}"
    );
}

#[test]
fn no_kill_of_the_whole_program_costs_or_doubles_a_sale_whose_200_was_read() {
    let figures =
        kill::run(door(), Protocol::SameId, &Budget::rounds(40), 3).expect("nothing is lost");
    assert_eq!(
        (figures.get("kills"), figures.get("doubled")),
        (40, 0),
        "{figures}"
    );
    assert!(figures.get("acknowledged") >= 40, "{figures}");
    assert!(
        figures.get("committed_unread") > 0,
        "no kill came between commit and answer: {figures}"
    );
}

/// Control: a client that forgets what it asked for sells twice, and the harness sees it.
#[test]
fn the_harness_sees_a_sale_doubled_by_a_client_that_forgets() {
    for (victim, kills) in [(pipes(), 25), (door(), 15)] {
        let figures = kill::run(victim, Protocol::Forgetful, &Budget::rounds(kills), 2)
            .expect("doubled, not lost");
        assert!(figures.get("doubled") > 0, "{victim:?}: {figures}");
    }
}
