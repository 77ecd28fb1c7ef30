//! What is generated from the door is as fresh as the door. `UPDATE=1` writes it anew.

use std::fs;
use std::path::{Path, PathBuf};

use till::door::{Answer, Request};
use ts_rs::{Config, TS as _};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn updating() -> bool {
    std::env::var_os("UPDATE").is_some()
}

#[test]
fn the_reference_is_fresh() {
    let path = root().join("docs/till-api.md");
    let text = till::schema::reference();
    if updating() {
        fs::write(&path, &text).expect("docs can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "docs/till-api.md is stale: run `UPDATE=1 cargo test -p till fresh`"
    );
}

#[test]
fn the_reference_names_every_command() {
    let text = till::schema::reference();
    for command in [
        "Status",
        "Enrol",
        "SignIn",
        "OpenShift",
        "ScanCode",
        "Complete",
        "ReverseSale",
        "CloseShift",
    ] {
        assert!(text.contains(&format!("### {command}\n")), "{command}");
    }
    let schemas = till::schema::schemas();
    assert!(
        schemas["command"]["oneOf"]
            .as_array()
            .is_some_and(|commands| commands.len() > 30)
    );
}

#[test]
fn the_typescript_bindings_are_fresh() {
    let target = root().join("ui/src/bindings");
    let made = tempfile::tempdir().expect("a temporary folder");
    let config = Config::new().with_out_dir(made.path());
    Request::export_all(&config).expect("requests export");
    Answer::export_all(&config).expect("answers export");
    let mut stale = Vec::new();
    let mut names = Vec::new();
    for entry in fs::read_dir(made.path()).expect("exported files") {
        let entry = entry.expect("an exported file");
        let name = entry.file_name();
        let text = fs::read_to_string(entry.path()).expect("exported text");
        if updating() {
            fs::create_dir_all(&target).expect("bindings can be written");
            fs::write(target.join(&name), &text).expect("bindings can be written");
        }
        if fs::read_to_string(target.join(&name)).ok().as_deref() != Some(text.as_str()) {
            stale.push(name.clone());
        }
        names.push(name);
    }
    assert!(names.len() > 40, "only {} types were exported", names.len());
    assert!(
        stale.is_empty(),
        "stale bindings {stale:?}: run `UPDATE=1 cargo test -p till fresh`"
    );
}
