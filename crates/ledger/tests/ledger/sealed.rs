//! Encrypted files: which key opens what, and how a plain file becomes one.

use std::path::Path;

use ledger::{FileKey, FileState, Ledger, OpenError, OpenOptions, can_encrypt, file_state};

use crate::support::{Place, create};

/// Bytes that look like nothing.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn with_key(byte: u8) -> OpenOptions {
    OpenOptions {
        key: Some(FileKey::new([byte; 32])),
        ..OpenOptions::default()
    }
}

fn refused(path: &Path, options: &OpenOptions) -> OpenError {
    let before = std::fs::read(path).expect("readable");
    let error = Ledger::open(path, options).expect_err("refused");
    let reading = Ledger::open_read_only_with(path, options.key.as_ref()).expect_err("refused");
    assert_eq!(reading.to_string(), error.to_string());
    assert!(
        std::fs::read(path).expect("readable") == before,
        "every byte is left alone"
    );
    error
}

#[test]
fn a_file_tells_what_it_is_by_its_first_bytes() {
    let place = Place::new();
    let state = |bytes: &[u8]| {
        std::fs::write(&place.path, bytes).expect("written");
        file_state(&place.path).expect("readable")
    };
    assert_eq!(state(b""), FileState::Missing);
    assert_eq!(state(b"hello"), FileState::Foreign);
    assert_eq!(state(&[0; 8_192]), FileState::Foreign);
    assert_eq!(state(&vec![b'x'; 4_096]), FileState::Foreign);
    assert_eq!(state(&noise(4_096)), FileState::Sealed);
    assert_eq!(state(&noise(5_000)), FileState::Foreign, "no whole pages");
    let mut header = noise(4_096);
    header[..16].copy_from_slice(b"SQLite format 3\0");
    assert_eq!(state(&header), FileState::Plain);
    header[3] ^= 0x40;
    assert_eq!(state(&header), FileState::Foreign, "a damaged plain file");
    std::fs::remove_file(&place.path).expect("removed");
    assert_eq!(
        file_state(&place.path).expect("readable"),
        FileState::Missing
    );
}

#[test]
fn an_encrypted_file_is_told_apart_from_a_foreign_one() {
    let place = Place::new();
    std::fs::write(&place.path, noise(8_192)).expect("written");
    let error = refused(&place.path, &OpenOptions::default());
    assert!(matches!(error, OpenError::Locked), "{error:?}");
}

#[test]
fn a_program_without_encryption_does_not_pretend() {
    if can_encrypt() {
        return;
    }
    let place = Place::new();
    let new = crate::support::new_stream();
    let id = domain::ids::EventId(uuid::Uuid::from_u128(1));
    let now = crate::support::clock(crate::support::WALL);
    let made = Ledger::create(&place.path, new, &now, id, &with_key(1));
    assert!(matches!(made, Err(OpenError::CannotEncrypt)), "{made:?}");
    assert!(!place.path.exists());
    drop(create(&place.path, &OpenOptions::default()));
    let opened = Ledger::open(&place.path, &with_key(1));
    assert!(
        matches!(opened, Err(OpenError::CannotEncrypt)),
        "{opened:?}"
    );
    Ledger::open(&place.path, &OpenOptions::default()).expect("still a plain ledger");
}

#[cfg(feature = "sqlcipher")]
mod with_sqlcipher {
    use super::*;
    use crate::support::Desk;

    const NAME: &[u8] = b"StreamOpened";

    fn shows(bytes: &[u8], text: &[u8]) -> bool {
        bytes.windows(text.len()).any(|window| window == text)
    }

    fn everything(place: &Place) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(place.directory()).expect("directory") {
            bytes.extend(std::fs::read(entry.expect("entry").path()).expect("readable"));
        }
        bytes
    }

    #[test]
    fn nothing_on_the_disk_can_be_read_without_the_key() {
        let place = Place::new();
        let mut desk = Desk::new(create(&place.path, &with_key(1)));
        desk.trade();
        assert!(!shows(&everything(&place), NAME), "file and log");
        let head = desk.ledger.head();
        drop(desk.ledger);
        assert_eq!(
            file_state(&place.path).expect("readable"),
            FileState::Sealed
        );
        for options in [OpenOptions::default(), with_key(2)] {
            let error = refused(&place.path, &options);
            assert!(matches!(error, OpenError::Locked), "{error:?}");
        }
        let ledger = Ledger::open(&place.path, &with_key(1)).expect("the right key");
        assert_eq!(ledger.head(), head);
        assert_eq!(ledger.verify().expect("verify").first_bad, None);
    }

    #[test]
    fn a_plain_file_is_encrypted_whole_with_all_it_holds() {
        let place = Place::new();
        let mut desk = Desk::new(create(&place.path, &OpenOptions::default()));
        desk.trade();
        let before = (desk.ledger.head(), desk.ledger.verify().expect("verify"));
        drop(desk.ledger);
        assert!(shows(&everything(&place), NAME));
        // What an attempt that was cut short left behind is no obstacle.
        std::fs::write(place.directory().join("ledger.db.sealing"), b"half").expect("written");
        let ledger = Ledger::open(&place.path, &with_key(1)).expect("encrypted");
        let after = (ledger.head(), ledger.verify().expect("verify"));
        assert_eq!(before.0, after.0);
        assert_eq!(format!("{:?}", before.1), format!("{:?}", after.1));
        desk.ledger = ledger;
        desk.sell(&[(1, 1, 1_000)]);
        desk.assert_sound();
        assert!(!shows(&everything(&place), NAME), "nothing plain is left");
    }

    #[test]
    fn a_plain_file_that_is_in_use_is_not_swapped_from_under_its_user() {
        let place = Place::new();
        let mut desk = Desk::new(create(&place.path, &OpenOptions::default()));
        desk.trade();
        let head = desk.ledger.head();
        let error = Ledger::open(&place.path, &with_key(1)).expect_err("in use");
        assert!(
            matches!(error, OpenError::Io(_) | OpenError::Pragma { .. }),
            "{error:?}"
        );
        desk.sell(&[(1, 1, 1_000)]);
        drop(desk.ledger);
        let ledger = Ledger::open(&place.path, &OpenOptions::default()).expect("as it was");
        assert!(ledger.head().seq > head.seq);
    }

    #[test]
    fn every_flipped_bit_of_an_encrypted_file_is_noticed() {
        let place = Place::new();
        let mut desk = Desk::new(create(&place.path, &with_key(1)));
        desk.trade();
        drop(desk.ledger);
        drop(Ledger::open(&place.path, &with_key(1)).expect("the log is in the file"));
        let whole = std::fs::read(&place.path).expect("readable");
        let mut unnoticed = Vec::new();
        for step in 0..200 {
            let at = step * whole.len() / 200;
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (step % 8);
            std::fs::write(&place.path, &bytes).expect("damaged");
            let options = with_key(1);
            let checked = Ledger::open_read_only_with(&place.path, options.key.as_ref())
                .map(|ledger| ledger.pages_are_sound());
            if matches!(checked, Ok(Ok(true))) {
                unnoticed.push(at);
            }
        }
        assert!(unnoticed.is_empty(), "{unnoticed:?}");
    }
}
