//! Who may depend on whom, and that the architecture page names every crate.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::{root, text_of};

/// Each package of the workspace and the packages of the workspace that it may use. Development
/// dependencies are free.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("sync-protocol", &["domain"]),
    ("receipt", &["domain"]),
    ("ledger", &["domain", "sync-protocol"]),
    ("sync-client", &["domain", "ledger", "sync-protocol"]),
    ("printer", &["receipt"]),
    ("till", &["domain", "ledger", "receipt"]),
    ("hub", &["domain", "sync-protocol"]),
    ("hub-http", &["hub", "sync-protocol"]),
    (
        "till-runtime",
        &[
            "domain",
            "till",
            "ledger",
            "receipt",
            "sync-client",
            "printer",
            "hub",
            "hub-http",
        ],
    ),
    ("till-http", &["till-runtime", "till"]),
    ("hanout-app", &["till-runtime", "till", "printer"]),
    (
        "sync-server",
        &["hub", "hub-http", "domain", "sync-protocol", "receipt"],
    ),
];
/// Packages that nothing may depend on except for tests.
const TEST_ONLY: &[&str] = &["testkit", "tests"];
/// Crates of other people that some of ours must never reach, even through others of ours.
const NEVER: &[(&str, &[&str])] = &[
    (
        "domain",
        &["rusqlite", "tokio", "reqwest", "tauri", "getrandom"],
    ),
    ("ledger", &["tokio", "reqwest", "tauri", "axum"]),
    ("till", &["tokio", "reqwest", "tauri", "axum"]),
    ("receipt", &["tokio", "rusqlite", "tauri", "fontdb-system"]),
    ("hub", &["tokio", "axum", "reqwest", "tauri"]),
    ("sync-client", &["tauri", "axum"]),
];

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Normal dependencies of every package of the workspace.
fn graph() -> Graph {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .expect("cargo describes the workspace");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    list(&metadata["packages"])
        .iter()
        .map(|package| {
            let normal = list(&package["dependencies"])
                .into_iter()
                .filter(|dependency| dependency["kind"].is_null());
            let names = normal
                .map(|dependency| dependency["name"].as_str().unwrap_or_default().to_owned())
                .collect();
            (
                package["name"].as_str().unwrap_or_default().to_owned(),
                names,
            )
        })
        .collect()
}

fn offences(graph: &Graph) -> Vec<String> {
    let rules: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut offences = Vec::new();
    for (package, uses) in graph {
        if TEST_ONLY.contains(&package.as_str()) {
            continue;
        }
        let Some(allowed) = rules.get(package.as_str()) else {
            offences.push(format!("{package} is in no rule"));
            continue;
        };
        for used in uses.iter().filter(|used| graph.contains_key(*used)) {
            if !allowed.contains(&used.as_str()) {
                offences.push(format!("{package} must not use {used}"));
            }
        }
    }
    for (package, banned) in NEVER {
        let uses = graph.get(*package).cloned().unwrap_or_default();
        offences.extend(
            banned
                .iter()
                .filter(|name| uses.contains(**name))
                .map(|name| format!("{package} must not use {name}")),
        );
    }
    offences
}

#[test]
fn every_crate_keeps_to_its_place() {
    let graph = graph();
    assert!(graph.len() >= MAY_USE.len(), "{graph:?}");
    let offences = offences(&graph);
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn a_shortcut_between_layers_is_seen() {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<String>>()
    };
    let bad = Graph::from([
        ("domain".to_owned(), names(&["ledger", "tokio"])),
        ("ledger".to_owned(), names(&["domain"])),
        ("newcomer".to_owned(), names(&[])),
        ("till".to_owned(), names(&["testkit"])),
        ("testkit".to_owned(), names(&["till"])),
    ]);
    assert_eq!(
        offences(&bad),
        [
            "domain must not use ledger",
            "newcomer is in no rule",
            "till must not use testkit",
            "domain must not use tokio"
        ]
    );
}

/// Names in the first column of the crates' table that are no package, and packages that are missing there.
fn undocumented(page: &str, packages: &BTreeSet<String>) -> Vec<String> {
    let table = page
        .split("## Crates")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next())
        .unwrap_or_default();
    let named: BTreeSet<String> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| line.split('`').nth(1))
        .map(ToOwned::to_owned)
        .collect();
    named.symmetric_difference(packages).cloned().collect()
}

#[test]
fn the_architecture_page_names_every_crate_and_no_other() {
    let page = text_of("docs/ARCHITECTURE.md").expect("the page");
    let packages: BTreeSet<String> = graph().into_keys().collect();
    assert_eq!(undocumented(&page, &packages), Vec::<String>::new());
    let fewer: BTreeSet<String> = packages
        .iter()
        .filter(|name| *name != "hub")
        .cloned()
        .collect();
    assert_eq!(undocumented(&page, &fewer), ["hub"]);
    let more: BTreeSet<String> = packages.into_iter().chain(["drone".to_owned()]).collect();
    assert_eq!(undocumented(&page, &more), ["drone"]);
}
