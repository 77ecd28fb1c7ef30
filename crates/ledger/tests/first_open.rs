//! The very first files that a program opens, by many threads at one moment. Only the first opening of a process starts
//! the database library, so every try is a process of its own.

use std::process::Command;
use std::sync::Barrier;

use ledger::{FileKey, can_encrypt, open_keyed};
use rusqlite::OpenFlags;

/// Tells a child of this test from the test.
const CHILD: &str = "HANOUT_FIRST_OPEN";
/// About one try in twenty meets the moment.
const TRIES: usize = 100;
const THREADS: u8 = 16;

#[test]
fn threads_that_open_their_first_file_together_all_get_it() {
    if std::env::var_os(CHILD).is_some() {
        open_together();
        return;
    }
    let program = std::env::current_exe().expect("this program");
    for n in 0..TRIES {
        let output = Command::new(&program)
            .env(CHILD, "1")
            .output()
            .expect("runs");
        assert!(
            output.status.success(),
            "try {n}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

fn open_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = Barrier::new(usize::from(THREADS));
    std::thread::scope(|scope| {
        for n in 0..THREADS {
            let path = folder.path().join(format!("{n}.db"));
            let start = &start;
            scope.spawn(move || {
                let key = can_encrypt().then(|| FileKey::new([n; 32]));
                start.wait();
                let conn = open_keyed(&path, OpenFlags::default(), key.as_ref()).expect("opens");
                conn.execute_batch("CREATE TABLE t (a)").expect("writes");
            });
        }
    });
}
