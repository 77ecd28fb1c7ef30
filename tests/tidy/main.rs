//! Rules about the repository itself that no compiler holds. Every rule is a function over text, and every
//! function is also shown something it must refuse.

mod dependencies;
mod files;
mod texts;

use std::path::{Path, PathBuf};
use std::process::Command;

/// The checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file that is committed or about to be, relative to the checkout.
pub fn tracked() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    assert!(output.status.success(), "git cannot list the files");
    let text = String::from_utf8(output.stdout).expect("file names are UTF-8");
    let existing = |name: &&str| root().join(name).is_file();
    text.lines()
        .filter(existing)
        .map(ToOwned::to_owned)
        .collect()
}

/// The text of a file; none for what is not text.
pub fn text_of(name: &str) -> Option<String> {
    std::fs::read(root().join(name))
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
}
