//! The program behind `make torture`, one bounded round of everything.

use std::process::Command;

#[test]
fn a_bounded_round_of_everything_ends_well_and_gives_figures() {
    let output = Command::new(env!("CARGO_BIN_EXE_torture"))
        .args(["--rounds", "12", "--seed", "3"])
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for word in [
        "power cuts: ",
        "failing disk: ",
        "kills: ",
        "bit rot: ",
        "interrupted migration: ",
        "no violation",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
}
