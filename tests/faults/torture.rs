//! The program behind `make torture`: one bounded round of everything, its time limit, and Ctrl-C.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use support::faults::served::{PATIENCE, signal};
use testkit::wait::wait_until;

const HARNESSES: [&str; 8] = [
    "power cuts",
    "failing disk",
    "kills",
    "kills of the program",
    "copied folders",
    "model",
    "bit rot",
    "interrupted migration",
];

fn torture(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_torture"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// The row of a harness in the table of figures.
fn row<'a>(table: &'a str, harness: &str) -> Option<&'a str> {
    table.lines().find_map(|line| {
        let rest = line.strip_prefix(harness)?.strip_prefix(' ')?.trim_start();
        rest.starts_with(|c: char| c.is_ascii_digit())
            .then_some(rest)
    })
}

/// Killed when dropped, so that a failing test leaves nothing running.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_bounded_round_of_everything_ends_well_and_gives_figures() {
    let output = torture(&["--rounds", "12", "--seed", "3"])
        .output()
        .expect("it runs");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for (harness, figure) in HARNESSES.into_iter().zip([
        "states 12",
        "faults ",
        "kills 12",
        "kills 12",
        "copies 3",
        "commands 12",
        "flips 12",
        "cuts ",
    ]) {
        let row = row(&table, harness).unwrap_or_else(|| panic!("{harness}: {table}"));
        assert!(row.contains(figure), "{harness}: {row}");
    }
    assert!(table.contains("no violation"), "{table}");
    assert!(table.contains("model commands 12"), "{table}");
}

#[test]
fn it_ends_by_itself_when_time_is_up() {
    let mut running = Running(
        torture(&["--seconds", "3", "--only", "kills"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs"),
    );
    let status = wait_until(PATIENCE, "the end of three seconds", || {
        running.0.try_wait().expect("a child")
    });
    assert!(status.success(), "{status}");
    let mut table = String::new();
    let out = running.0.stdout.as_mut().expect("a pipe");
    out.read_to_string(&mut table).expect("figures");
    // Both harnesses had their share, and one that it was not asked for had none.
    for (harness, there) in [
        ("kills", true),
        ("kills of the program", true),
        ("model", false),
    ] {
        assert_eq!(row(&table, harness).is_some(), there, "{harness}: {table}");
    }
    assert!(table.contains("no violation"), "{table}");
}

#[test]
fn ctrl_c_ends_it_well_and_what_was_counted_is_told() {
    let mut running = Running(
        torture(&["--minutes", "600"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs"),
    );
    let mut said = String::new();
    let mut told = BufReader::new(running.0.stderr.take().expect("a pipe"));
    told.read_line(&mut said).expect("a line");
    assert!(said.starts_with("power cuts, seed 1"), "{said}");
    signal(running.0.id(), "INT").expect("sent");
    let status = wait_until(PATIENCE, "the end after Ctrl-C", || {
        running.0.try_wait().expect("a child")
    });
    assert!(status.success(), "{status}");
    let mut table = String::new();
    let out = running.0.stdout.as_mut().expect("a pipe");
    out.read_to_string(&mut table).expect("figures");
    assert!(row(&table, "power cuts").is_some(), "{table}");
    // What had not begun is not begun any more.
    assert_eq!(row(&table, "kills"), None, "{table}");
    assert!(table.contains("stopped, no violation"), "{table}");
}
