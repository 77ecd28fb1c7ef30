//! Random commands against the till and against a reference model of it, in both countries.

use std::io::Write as _;

use support::model::book::WrongRule;
use support::model::{COMMANDS_VARIABLE, Failure, SEED_VARIABLE, Summary, caught, run, run_with};

/// Commands of a sequence: some months of a till.
const COMMANDS: usize = 1_000;

fn say(text: &dyn std::fmt::Display) {
    // Nowhere is left to say that standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

fn clean(result: Result<Summary, Failure>) -> Summary {
    match result {
        Ok(summary) => summary,
        Err(failure) => panic!("{failure}"),
    }
}

/// Five sequences of one country, and that they were not idle.
fn agrees(seeds: [u64; 5]) {
    let mut all = Summary::default();
    for seed in seeds {
        say(&format!("seed {seed}, {COMMANDS} commands"));
        all.take(&clean(run(seed, COMMANDS)));
    }
    say(&all);
    assert_eq!(all.commands, 5 * COMMANDS as u64);
    for (kind, least) in [
        ("Complete", 300),
        ("ReverseSale", 20),
        ("OpenShift", 20),
        ("CloseShift", 20),
        ("MoveCash", 60),
        ("HandOver", 2),
        ("Recall", 5),
        ("ClosePeriods", 1),
        ("Repeat", 40),
        ("Restart", 5),
        ("SetClock", 5),
    ] {
        let done = all.done.get(kind).copied().unwrap_or(0);
        assert!(done >= least, "{kind} happened {done} times: {all}");
    }
    assert!(all.refused.len() > 30, "{all}");
    assert!(all.facts["PeriodClosed"] > 20, "{all}");
}

#[test]
fn tunisian_tills_agree_with_the_model() {
    agrees([0, 2, 4, 6, 8]);
}

#[test]
fn moroccan_tills_agree_with_the_model() {
    agrees([1, 3, 5, 7, 9]);
}

#[test]
fn replay() {
    // Without a seed in the environment, a short sequence shows that replaying works.
    let seed = number(SEED_VARIABLE).unwrap_or(10);
    let commands = number(COMMANDS_VARIABLE).unwrap_or(50);
    let commands = usize::try_from(commands).expect("a length");
    say(&clean(run(seed, commands)));
}

/// Sequences after which a wrong rule must have been caught.
const SEQUENCES_MAX: u64 = 20;

#[test]
fn every_wrong_rule_is_caught() {
    for wrong in WrongRule::ALL {
        let found = (100..100 + SEQUENCES_MAX).find_map(|seed| {
            let at = caught(seed, 500, Some(wrong))?;
            Some((seed, at))
        });
        let (seed, at) = found.unwrap_or_else(|| panic!("{wrong:?} went unnoticed"));
        say(&format!("{wrong:?}: caught by seed {seed} at command {at}"));
        assert_eq!(
            caught(seed, at, None),
            None,
            "{wrong:?}: the rule is not to blame"
        );
    }
}

#[test]
fn a_failing_sequence_is_made_short_and_still_fails() {
    let wrong = Some(WrongRule::ChangeStaysInDrawer);
    let found = (100..110).find_map(|seed| run_with(seed, 200, wrong).err());
    let failure = found.expect("change is given in every other sale");
    say(&failure);
    assert!(failure.left <= 8, "{failure}");
    let told = failure.to_string();
    assert!(
        told.contains(&format!("{SEED_VARIABLE}={}", failure.seed)),
        "{told}"
    );
}
