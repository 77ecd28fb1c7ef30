//! The till through its door.

mod custody;
mod codes;
mod drawers;
mod cash_law;
mod enrolment;
mod fresh;
mod incidents;
mod periods;
mod receipts;
mod recovering;
mod refusals;
mod requests;
mod rights;
mod selling;
mod shifts;
mod sign_in;
mod stockroom;
mod storage;

/// How the files of a till's folder are opened.
fn options(folder: &std::path::Path) -> ledger::OpenOptions {
    ledger::OpenOptions {
        key: till::read_file_key(folder).expect("readable"),
        ..ledger::OpenOptions::default()
    }
}

/// A till's ledger beside the till that has it open.
fn read_only(folder: &std::path::Path) -> Result<ledger::Ledger, ledger::OpenError> {
    let key = options(folder).key;
    ledger::Ledger::open_read_only_with(&folder.join("ledger.db"), key.as_ref())
}

/// A file of a till without the till in front of it.
fn raw(path: impl AsRef<std::path::Path>) -> rusqlite::Connection {
    let path = path.as_ref();
    raw_with(path, &options(path.parent().expect("a folder")))
}

fn raw_with(path: &std::path::Path, options: &ledger::OpenOptions) -> rusqlite::Connection {
    ledger::open_keyed(path, rusqlite::OpenFlags::default(), options.key.as_ref()).expect("opens")
}
