//! The command line as an operator reads it.

use std::path::Path;

use crate::program::run;

#[test]
fn help_is_what_was_agreed() {
    let commands: &[&[&str]] = &[
        &[],
        &["serve"],
        &["verify"],
        &["backup"],
        &["restore"],
        &["recover"],
        &["export"],
        &["render"],
    ];
    let mut all = String::new();
    for command in commands {
        let mut arguments = command.to_vec();
        arguments.push("--help");
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{command:?}");
        let help = String::from_utf8(output.stdout).expect("text");
        all.push_str(&format!("$ hanout-till {}\n{help}\n", arguments.join(" ")));
    }
    let listed = all
        .split("Commands:\n")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next());
    assert_eq!(
        listed.map(|listed| listed.lines().count()),
        Some(commands.len() - 1),
        "a command is not in this list"
    );
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help.txt");
    if std::env::var_os("HANOUT_UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &all).expect("write");
    }
    let agreed = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        agreed == all,
        "help has changed; if that is meant, run with HANOUT_UPDATE_GOLDEN=1:\n{all}"
    );
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [
        &["nonsense"][..],
        &[],
        &["serve"],
        &["serve", "--data", "x", "--listen", "nowhere"],
        &["serve", "--data", "x", "--listen", "192.0.2.7:80"],
        &[
            "serve",
            "--data",
            "x",
            "--server",
            "https://example.invalid",
        ],
        &["verify"],
        &["backup"],
        &["restore", "x"],
        &["recover", "x"],
        &["export", "x", "--year", "26", "--from", "2026-01-01"],
        &["render", "x"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
