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
        figures.get("drained") >= figures.get("acknowledged"),
        "{figures}"
    );
    assert!(
        figures.get("committed_unread") > 0,
        "no kill came between commit and answer: {figures}"
    );
}

#[test]
fn no_kill_of_the_whole_program_costs_or_doubles_a_sale_whose_200_was_read() {
    let mut acknowledged = 0;
    // A kill falls between commit and answer by chance: more are tried until one has.
    for seed in 3..23 {
        let figures = kill::run(door(), Protocol::SameId, &Budget::rounds(40), seed)
            .expect("nothing is lost");
        assert_eq!(
            (figures.get("kills"), figures.get("doubled")),
            (40, 0),
            "{figures}"
        );
        acknowledged += figures.get("acknowledged");
        if acknowledged >= 40 && figures.get("committed_unread") > 0 {
            return;
        }
    }
    panic!("no kill came between commit and answer: {acknowledged} acknowledged");
}

/// Control: a client that forgets what it asked for sells twice, and the harness sees it.
#[test]
fn the_harness_sees_a_sale_doubled_by_a_client_that_forgets() {
    for victim in [pipes(), door()] {
        let doubled = (2..22).any(|seed| {
            let figures = kill::run(victim, Protocol::Forgetful, &Budget::rounds(25), seed)
                .expect("doubled, not lost");
            figures.get("doubled") > 0
        });
        assert!(doubled, "{victim:?}: no sale was doubled");
    }
}
