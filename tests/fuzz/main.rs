//! Every decoder over its corpus, and over what a seeded hand makes of it: cut, flipped, doubled, spliced. Bounded;
//! `cargo fuzz` goes on from the same corpus (`docs/testing.md`).

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use support::decoders::{DECODERS, Decoder};
use testkit::rng::Rng;

/// What is made of the corpus of one decoder.
const ROUNDS: u64 = 5_000;
/// A corpus is small: what is found is made short before it is kept.
const FILES_MAX: usize = 40;
const BYTES_MAX: u64 = 8 * 1024;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

/// The corpus of a decoder: its own files, and for events and messages those that were frozen.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let own = files_in(&folder(&format!("fuzz/corpus/{name}")));
    assert!(own.len() <= FILES_MAX, "{name}");
    let mut found = Vec::new();
    for path in own {
        let bytes = std::fs::read(&path).expect("a file");
        assert!(bytes.len() as u64 <= BYTES_MAX, "{}", path.display());
        found.push(bytes);
    }
    let frozen = match name {
        "event" => Some("../crates/domain/tests/golden/events"),
        "message" => Some("../crates/sync-protocol/tests/golden"),
        _ => None,
    };
    for path in frozen
        .map(|name| files_in(&folder(name)))
        .unwrap_or_default()
    {
        let text = std::fs::read_to_string(&path).expect("a file");
        // The file of an event also holds its hash.
        let event = text
            .find("\"event\":")
            .filter(|_| name == "event")
            .map(|at| text[at + 8..].trim_end().trim_end_matches('}').to_owned() + "}}");
        found.push(event.unwrap_or(text).into_bytes());
    }
    found
}

fn spoil(bytes: &[u8], others: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut spoilt = bytes.to_vec();
    for _ in 0..=rng.below(4) {
        let at = usize::try_from(rng.below(spoilt.len() as u64 + 1)).expect("small");
        match rng.below(7) {
            0 => spoilt.truncate(at),
            1 if at < spoilt.len() => spoilt[at] ^= 1 << rng.below(8),
            2 if at < spoilt.len() => spoilt[at] = rng.next_u64().to_le_bytes()[0],
            3 => {
                let tail = spoilt[at..].to_vec();
                spoilt.extend(tail);
            }
            4 => {
                let other =
                    &others[usize::try_from(rng.below(others.len() as u64)).expect("small")];
                let from = usize::try_from(rng.below(other.len() as u64 + 1)).expect("small");
                spoilt.truncate(at);
                spoilt.extend_from_slice(&other[from..]);
            }
            5 => {
                let words: [&[u8]; 8] = [
                    b"18446744073709551615",
                    b"-9223372036854775808",
                    b"null",
                    b"\"\"",
                    b"[[[[[[[[",
                    b"\xff\xfe",
                    b"1e999",
                    b",",
                ];
                let word = words[usize::try_from(rng.below(8)).expect("small")];
                spoilt.splice(at..at, word.iter().copied());
            }
            _ if at < spoilt.len() => {
                spoilt.remove(at);
            }
            _ => {}
        }
        spoilt.truncate(64 * 1024);
    }
    spoilt
}

fn holds(name: &str, decoder: Decoder, bytes: &[u8]) {
    let input = bytes.to_vec();
    if catch_unwind(move || decoder(&input)).is_err() {
        panic!(
            "{name} does not hold for {:?}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn no_decoder_panics_and_what_is_taken_comes_out_again() {
    for (name, decoder) in DECODERS {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name}");
        for bytes in &corpus {
            holds(name, decoder, bytes);
        }
        let mut rng = Rng::new(1);
        for round in 0..ROUNDS {
            let at = usize::try_from(round % corpus.len() as u64).expect("small");
            holds(name, decoder, &spoil(&corpus[at], &corpus, &mut rng));
        }
    }
}

#[test]
fn a_decoder_that_panics_is_seen() {
    let blind = catch_unwind(|| holds("broken", |bytes| assert!(bytes.is_empty()), b"x"));
    assert!(blind.is_err());
}

#[test]
fn every_decoder_has_a_target() {
    for (name, _) in DECODERS {
        let target = folder(&format!("fuzz/targets/fuzz_targets/{name}.rs"));
        let text = std::fs::read_to_string(&target).expect("a target");
        assert!(text.contains(&format!("decoders::{name}(")), "{name}");
    }
}
