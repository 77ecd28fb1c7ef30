//! What files may look like and where they may lie.

use crate::{root, text_of, tracked};

/// What may lie at the top of the checkout.
const TOP: &[&str] = &[
    ".cargo",
    ".ci",
    ".clippy.toml",
    ".gitignore",
    ".rustfmt.toml",
    "Cargo.lock",
    "Cargo.toml",
    "Makefile",
    "NOTICE",
    "README.md",
    "crates",
    "docs",
    "printer-profiles",
    "rust-toolchain.toml",
    "src-tauri",
    "sync-server",
    "tests",
    "ui",
];
/// Bytes of an ordinary file.
const BYTES_MAX: u64 = 256 * 1024;
/// Bytes of fonts, lockfiles, golden files and pictures.
const BYTES_MAX_LARGE: u64 = 1024 * 1024;

fn misplaced(name: &str) -> bool {
    let top = name.split('/').next().unwrap_or(name);
    !TOP.contains(&top)
}

fn bytes_max(name: &str) -> u64 {
    let large = name.contains("/fonts/")
        || name.contains("/golden/")
        || name.starts_with("docs/images/")
        || name.ends_with(".lock")
        || name.ends_with("package-lock.json");
    if large { BYTES_MAX_LARGE } else { BYTES_MAX }
}

#[test]
fn files_lie_where_they_belong_and_are_not_blobs() {
    let mut offences = Vec::new();
    for name in tracked() {
        if misplaced(&name) {
            offences.push(format!("{name} does not belong at the top"));
        }
        let bytes = root()
            .join(&name)
            .metadata()
            .map_or(0, |metadata| metadata.len());
        if bytes > bytes_max(&name) {
            offences.push(format!("{name} has {bytes} bytes"));
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
    assert!(misplaced("notes.md") && misplaced("scripts/x.sh") && !misplaced("docs/x.md"));
    assert!(bytes_max("docs/x.md") < bytes_max("crates/receipt/fonts/x.ttf"));
}

/// What a Rust file must not hold; `library` files may not print or end the process.
fn rust_offences(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.starts_with("//!") {
        found.push(format!("{name} does not begin with //!"));
    }
    let library =
        name.contains("/src/") && !name.ends_with("/main.rs") && !name.contains("/src/cli");
    let inside = text.split("#[cfg(test)]").next().unwrap_or(text);
    let banned: &[&str] = &["dbg!(", "todo!(", "unimplemented!("];
    let banned_in_library: &[&str] = &["println!(", "eprintln!(", "print!(", "process::exit("];
    let mut words: Vec<&str> = banned.to_vec();
    if library {
        words.extend(banned_in_library);
    }
    for word in words {
        if code_lines(inside).any(|line| contains_call(line, word)) {
            found.push(format!("{name} holds {word})"));
        }
    }
    // In a program that encrypts, a till's files open with their key alone, and the first of them in one place.
    let tills = ["crates/ledger/", "crates/till/", "crates/till-runtime/"];
    if tills.iter().any(|part| name.starts_with(part))
        && !name.ends_with("ledger/src/cipher.rs")
        && code_lines(text).any(|line| line.contains("Connection::open"))
    {
        found.push(format!(
            "{name} opens a till's file past ledger::open_keyed"
        ));
    }
    if name.starts_with("crates/till/tests/")
        && code_lines(text).any(|line| line.contains("open_read_only("))
    {
        found.push(format!(
            "{name} opens a ledger without its key; main.rs has read_only"
        ));
    }
    for (word, why) in [
        (concat!("#[", "ignore"), "a test that does not run"),
        (concat!("thread::", "sleep"), "a blind wait"),
    ] {
        // The one place that polls a condition is where everybody else waits.
        if code_lines(text).any(|line| line.contains(word))
            && !name.ends_with("testkit/src/wait.rs")
        {
            found.push(format!("{name} holds {word}: {why}"));
        }
    }
    found
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

/// Whether `line` calls `word`, and not something that only ends like it (`writeln!(` ends like `ln!(`).
fn contains_call(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"')
    })
}

#[test]
fn rust_files_say_what_they_are_for_and_do_not_print() {
    let own = ["tests/tidy/files.rs", "tests/tidy/texts.rs"];
    let names = tracked()
        .into_iter()
        .filter(|name| name.ends_with(".rs") && !own.contains(&name.as_str()));
    let offences: Vec<String> = names
        .filter_map(|name| text_of(&name).map(|text| rust_offences(&name, &text)))
        .flatten()
        .collect();
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn a_careless_rust_file_is_seen() {
    let text = "fn f() { println!(\"x\"); dbg!(1); std::process::exit(1) }";
    assert_eq!(rust_offences("crates/x/src/lib.rs", text).len(), 4);
    assert_eq!(
        rust_offences(
            "crates/x/src/main.rs",
            "//! x\nfn main() { println!(\"x\") }"
        )
        .len(),
        0
    );
    assert_eq!(
        rust_offences("crates/x/src/lib.rs", "//! x\n// println!( is not called").len(),
        0
    );
    assert_eq!(
        rust_offences(
            "crates/x/tests/x.rs",
            concat!("//! x\n#[", "ignore]\nfn f() {}")
        )
        .len(),
        1
    );
    let keyless = "//! x\nfn f() {\n    Connection::open(path);\n}";
    assert_eq!(
        rust_offences("crates/till/tests/till/x.rs", keyless).len(),
        1
    );
    assert_eq!(
        rust_offences("crates/ledger/src/cipher.rs", keyless).len(),
        0
    );
}
