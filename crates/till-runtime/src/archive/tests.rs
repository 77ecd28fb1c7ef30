//! Archives of a small shop, whole and tampered with.

use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};

use domain::entropy::Entropy;
use domain::event::{CashMovement, Event, StreamReason, TenderKind, chain_hash, genesis_hash};
use domain::ids::Digest;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use testkit::shop::{
    BALL, Country, MANAGER, MANAGER_PIN, SHOE_42, SOCKS, Setup, Shop, approval, pieces, tender,
};
use till::door::Command;

use super::tables::Table;
use super::zip::{ZipWriter, list, open};
use super::*;

const ALL: Range = Range {
    from: None,
    until: None,
};

type Entries = Vec<(String, Vec<u8>)>;

/// A till with two drawers over a change of month, with everything that leaves a trace in a table.
fn busy() -> Shop {
    let mut shop = Setup::tunisia().with_stamp().on_folder().build();
    shop.configure(|store| store.drawer.drawers = 2);
    shop.open();
    shop.scan(SHOE_42);
    let first = shop.pay_cash(Some(200_000));
    shop.scan(BALL);
    shop.scan(SOCKS);
    shop.complete(vec![
        tender(TenderKind::Card, Some(20_000)),
        tender(TenderKind::Cash, None),
    ]);
    shop.ok(Command::ReverseSale {
        number: first.number.clone(),
        reason: "=cmd|' /C calc'!A0".to_owned(),
        approval: Some(approval()),
    });
    for movement in [
        CashMovement::PayIn,
        CashMovement::PayOut,
        CashMovement::Drop,
    ] {
        shop.ok(Command::MoveCash {
            movement,
            amount_minor: 5_000,
            reason: "pièces, \"rouleaux\"".to_owned(),
            approval: Some(approval()),
        });
    }
    shop.ok(Command::OpenDrawer {
        reason: "monnaie".to_owned(),
    });
    shop.ok(Command::Reprint {
        number: first.number,
    });
    shop.ok(Command::CountDrawer {
        count: pieces(Country::Tunisia, 100_000),
    });
    shop.ok(Command::OpenShift {
        count: pieces(Country::Tunisia, 50_000),
        drawer: Some(2),
        approval: None,
    });
    shop.scan(SOCKS);
    shop.pay_cash(None);
    shop.close_exact();
    shop.ok(Command::UseDrawer { drawer: 1 });
    shop.ok(Command::HandOver {
        to: MANAGER,
        pin: MANAGER_PIN.to_owned(),
        count: None,
    });
    shop.close_exact();
    // The first of December closes the day and the month.
    shop.advance_days(8);
    shop.ok(Command::OpenShift {
        count: pieces(Country::Tunisia, 50_000),
        drawer: Some(1),
        approval: Some(approval()),
    });
    shop.scan(BALL);
    shop.pay_cash(None);
    shop.close_with(70_000);
    shop
}

fn export(shop: &Shop, range: Range) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("archive.zip");
    let made = archive(shop.folder(), Some(&path), range, true).expect("archive");
    assert_eq!(made.path, path);
    (folder, path)
}

fn unpack(path: &Path) -> Entries {
    let mut file = std::fs::File::open(path).expect("file");
    let entries = list(&mut file).expect("listed");
    entries
        .iter()
        .map(|entry| {
            let mut content = Vec::new();
            open(&mut file, entry)
                .and_then(|mut reader| reader.read_to_end(&mut content))
                .expect("unpacked");
            (entry.name.clone(), content)
        })
        .collect()
}

fn pack(path: &Path, entries: &Entries) {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.add(name, |out| out.write_all(content)).expect("entry");
    }
    let bytes = zip.finish().expect("directory").into_inner();
    std::fs::write(path, bytes).expect("written");
}

/// Makes the list of hashes agree with everything else.
fn agree(entries: &mut Entries) {
    let lines: String = entries
        .iter()
        .filter(|(name, _)| name != HASHES)
        .map(|(name, content)| hashes_line(Digest(Sha256::digest(content).into()), name))
        .collect();
    *content_of(entries, HASHES) = lines.into_bytes();
}

/// Makes chain and `archive.json` agree with the events.
fn chain_anew(entries: &mut Entries) {
    let events = content_of(entries, EVENTS).clone();
    let mut about: About =
        serde_json::from_slice(content_of(entries, ABOUT)).expect("archive.json");
    let stream = about.streams[0].stream;
    let mut hash = genesis_hash(stream);
    let mut chain = CHAIN_HEADER.to_owned();
    let mut seq = 0;
    for line in events.split_inclusive(|byte| *byte == b'\n') {
        seq += 1;
        hash = chain_hash(hash, line.strip_suffix(b"\n").expect("a line"));
        chain.push_str(&format!("{stream},{seq},{hash}\n"));
    }
    about.streams[0].events = seq;
    about.streams[0].hash = hash;
    *content_of(entries, CHAIN) = chain.into_bytes();
    *content_of(entries, ABOUT) = json(&about);
}

fn content_of<'a>(entries: &'a mut Entries, name: &str) -> &'a mut Vec<u8> {
    let found = entries.iter_mut().find(|(entry, _)| entry == name);
    &mut found.expect("entry").1
}

fn lines_of(entries: &mut Entries, name: &str) -> Vec<Vec<u8>> {
    content_of(entries, name)
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

fn verdict(path: &Path) -> ArchiveReport {
    verify_archive(path).expect("the file can be read")
}

fn bad_of(path: &Path) -> ArchiveBad {
    let report = verdict(path);
    assert!(!report.ok);
    report.first_bad.expect("named")
}

/// What is found after `change`, with the hashes as they were and with the hashes made to agree.
fn found_after(path: &Path, change: impl FnOnce(&mut Entries)) -> ArchiveBad {
    let mut entries = unpack(path);
    change(&mut entries);
    agree(&mut entries);
    let other = path.with_file_name("tampered.zip");
    pack(&other, &entries);
    bad_of(&other)
}

fn place(bad: &ArchiveBad) -> (&str, Option<u64>) {
    (&bad.entry, bad.line)
}

fn replace(content: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(content.clone()).expect("text");
    assert!(text.contains(from), "{from} is not in {text}");
    *content = text.replacen(from, to, 1).into_bytes();
}

#[test]
fn what_a_till_did_over_a_change_of_month_is_exported_and_found_sound() {
    let shop = busy();
    let (_folder, path) = export(&shop, ALL);
    let report = verdict(&path);
    assert_eq!(report.first_bad, None);
    assert!(report.ok);
    let head = shop.ledger().head();
    assert_eq!(report.streams.len(), 1);
    assert_eq!(report.signed_shift_keys, 3, "one for each shift");
    assert!(report.signed_heads >= 3, "one for each Z report at least");
    assert_eq!(report.streams[0].stream, head.stream);
    assert_eq!(report.streams[0].events, head.seq);
    assert_eq!(report.streams[0].hash, head.hash);

    // Bytes are those of the journal, one event a line.
    let mut entries = unpack(&path);
    let journal = shop
        .ledger()
        .events(1, usize::MAX, usize::MAX)
        .expect("journal");
    let stored: Vec<u8> = journal
        .iter()
        .flat_map(|event| [event.bytes.as_slice(), b"\n"].concat())
        .collect();
    assert!(*content_of(&mut entries, EVENTS) == stored);

    // Each table says something, and what it says adds up.
    let rows = |entries: &mut Entries, table: Table| -> Vec<BTreeMap<String, String>> {
        let content = content_of(entries, table.entry()).clone();
        let mut reader = csv::Reader::from_reader(content.as_slice());
        reader
            .deserialize()
            .collect::<Result<_, _>>()
            .expect("a table")
    };
    for table in Table::ALL {
        assert!(!rows(&mut entries, *table).is_empty(), "{}", table.entry());
    }
    let sum = |rows: &[BTreeMap<String, String>], column: &str| -> i64 {
        rows.iter()
            .map(|row| row[column].parse::<i64>().expect("a figure"))
            .sum()
    };
    let receipts = rows(&mut entries, Table::Receipts);
    assert_eq!(receipts.len(), 5);
    assert!(receipts[2]["reason"].starts_with("'="), "{:?}", receipts[2]);
    let shifts = rows(&mut entries, Table::Shifts);
    assert_eq!(shifts.len(), 3);
    let takings = sum(&receipts, "total_minor");
    assert_eq!(sum(&shifts, "takings_minor"), takings);
    assert_eq!(
        shifts[2]["perpetual_minor"].parse::<i64>().expect("figure"),
        takings
    );
    assert_eq!(sum(&rows(&mut entries, Table::Postings), "amount_minor"), 0);
    let documents: Vec<String> = rows(&mut entries, Table::Closings)
        .iter()
        .map(|row| row["document"].clone())
        .collect();
    assert_eq!(documents, ["D1", "M1"]);

    // Who has only docs/ledger.md comes to the same figures.
    let found = testkit::stranger::check(&path);
    assert_eq!((found.events, found.receipts), (head.seq, 5));
    assert_eq!((found.z_reports, found.closings), (3, 1));
    assert_eq!(found.takings_minor, takings);

    // Names of staff stand nowhere but on the reports as they were printed.
    for (name, content) in &entries {
        let text = String::from_utf8_lossy(content);
        if !name.starts_with(REPORTS) {
            assert!(!text.contains("Amira") && !text.contains("Salah"), "{name}");
        }
    }
    assert!(entries.iter().any(|(name, _)| name == "reports/Z1.json"));
    let (_other, without) = {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.zip");
        archive(shop.folder(), Some(&path), ALL, false).expect("archive");
        (folder, path)
    };
    assert!(verdict(&without).ok);
    assert!(
        !unpack(&without)
            .iter()
            .any(|(name, _)| name.starts_with(REPORTS))
    );
}

#[test]
fn the_same_range_gives_the_same_bytes_and_later_days_change_nothing_in_it() {
    let mut shop = busy();
    let november = Range {
        from: Some("2026-11-01".parse().expect("date")),
        until: Some("2026-11-30".parse().expect("date")),
    };
    let read = |shop: &Shop, range| {
        let (_folder, path) = export(shop, range);
        assert!(verdict(&path).ok, "{:?}", verdict(&path).first_bad);
        std::fs::read(path).expect("archive")
    };
    let (all, month) = (read(&shop, ALL), read(&shop, november));
    assert!(all == read(&shop, ALL));
    assert!(all != month);
    shop.advance_days(1);
    shop.ok(Command::OpenShift {
        count: pieces(Country::Tunisia, 50_000),
        drawer: Some(1),
        approval: None,
    });
    assert!(month == read(&shop, november));
    assert!(all != read(&shop, ALL));

    // December has its own tables and the whole journal before it.
    let december = Range {
        from: Some("2026-12-01".parse().expect("date")),
        until: None,
    };
    let (_folder, path) = export(&shop, december);
    assert!(verdict(&path).ok);
    let mut entries = unpack(&path);
    assert_eq!(lines_of(&mut entries, Table::Receipts.entry()).len(), 2);
    assert_eq!(
        lines_of(&mut entries, EVENTS).len() as u64,
        shop.ledger().head().seq
    );
    let reversed = Range {
        from: november.until,
        until: november.from,
    };
    assert!(matches!(
        archive(shop.folder(), None, reversed, false),
        Err(ArchiveError::BadRange)
    ));
}

#[test]
fn nothing_is_overwritten_and_an_empty_till_has_an_archive_too() {
    let shop = Setup::tunisia().on_folder().build();
    let first = archive(shop.folder(), None, ALL, true).expect("archive");
    let second = archive(shop.folder(), None, ALL, true).expect("archive");
    assert_ne!(first.path, second.path);
    assert_eq!(
        std::fs::read(&first.path).expect("first"),
        std::fs::read(&second.path).expect("second")
    );
    assert!(first.path.starts_with(shop.folder().join("archives")));
    assert_eq!(first.events, 1);
    assert!(verdict(&first.path).ok);
    assert!(matches!(
        archive(shop.folder(), Some(&first.path), ALL, true),
        Err(ArchiveError::Exists { .. })
    ));
    let left: Vec<_> = std::fs::read_dir(shop.folder().join("archives"))
        .expect("folder")
        .collect();
    assert_eq!(left.len(), 2, "nothing else is left behind");
}

#[test]
fn every_event_that_is_changed_taken_out_moved_or_put_in_is_named() {
    let shop = busy();
    let (_folder, path) = export(&shop, ALL);
    let count = shop.ledger().head().seq;
    for line in 1..=count {
        let index = usize::try_from(line - 1).expect("index");
        let bad = found_after(&path, |entries| {
            let mut lines = lines_of(entries, EVENTS);
            let middle = lines[index].len() / 2;
            lines[index][middle] ^= 1;
            *content_of(entries, EVENTS) = lines.concat();
        });
        assert_eq!(place(&bad), (EVENTS, Some(line)), "{bad:?}");
    }
    let bad = found_after(&path, |entries| {
        let mut lines = lines_of(entries, EVENTS);
        lines.remove(4);
        *content_of(entries, EVENTS) = lines.concat();
    });
    assert_eq!(place(&bad), (EVENTS, Some(5)));
    let bad = found_after(&path, |entries| {
        let mut lines = lines_of(entries, EVENTS);
        lines.swap(6, 7);
        *content_of(entries, EVENTS) = lines.concat();
    });
    assert_eq!(place(&bad), (EVENTS, Some(7)));
    let bad = found_after(&path, |entries| {
        let mut lines = lines_of(entries, EVENTS);
        lines.insert(2, lines[1].clone());
        *content_of(entries, EVENTS) = lines.concat();
    });
    assert_eq!(place(&bad), (EVENTS, Some(3)));
    let bad = found_after(&path, |entries| {
        let mut lines = lines_of(entries, EVENTS);
        lines.pop();
        *content_of(entries, EVENTS) = lines.concat();
    });
    assert_eq!(bad.entry, EVENTS);
    let bad = found_after(&path, |entries| {
        let last = lines_of(entries, EVENTS).pop().expect("a line");
        content_of(entries, EVENTS).extend(last);
    });
    assert_eq!(place(&bad), (EVENTS, Some(count + 1)));
    let bad = found_after(&path, |entries| {
        let content = content_of(entries, CHAIN);
        let at = content.len() / 2;
        content[at] ^= 1;
    });
    assert!(bad.what.contains("chain.csv"), "{bad:?}");
}

#[test]
fn who_also_computes_the_chain_anew_is_found_by_what_the_events_mean() {
    let shop = busy();
    let (_folder, path) = export(&shop, ALL);
    let journal = shop
        .ledger()
        .events(1, usize::MAX, usize::MAX)
        .expect("journal");
    let of_kind = |kind: &str| -> usize {
        let found = journal
            .iter()
            .position(|event| Event::decode(&event.bytes).expect("event").kind == kind);
        found.expect("an event of the kind")
    };
    let edit = |kind: &str, from: &str, to: &str| -> ArchiveBad {
        let index = of_kind(kind);
        found_after(&path, |entries| {
            let mut lines = lines_of(entries, EVENTS);
            replace(&mut lines[index], from, to);
            *content_of(entries, EVENTS) = lines.concat();
            chain_anew(entries);
        })
    };
    // A sale that does not add up, a second of the same number, a Z and a closing that hold other figures.
    for (kind, from, to) in [
        ("SaleCompleted", "\"total_minor\":", "\"total_minor\":1"),
        ("SaleCompleted", "\"number_seq\":1", "\"number_seq\":2"),
        ("ShiftClosed", "\"z_number\":1", "\"z_number\":2"),
        ("ShiftClosed", "\"sales\":1", "\"sales\":0"),
        ("PeriodClosed", "\"sales\":3", "\"sales\":2"),
        ("PeriodClosed", "\"shifts\":2", "\"shifts\":1"),
        ("CashMoved", "\"number_seq\":1", "\"number_seq\":3"),
    ] {
        let line = of_kind(kind) as u64 + 1;
        let bad = edit(kind, from, to);
        assert_eq!(place(&bad), (EVENTS, Some(line)), "{kind} {from}: {bad:?}");
    }
    // A sale left out altogether: the numbers after it are not the next.
    let sale = of_kind("SaleCompleted");
    let bad = found_after(&path, |entries| {
        let mut lines = lines_of(entries, EVENTS);
        lines.remove(sale);
        *content_of(entries, EVENTS) = lines.concat();
        chain_anew(entries);
    });
    assert_eq!(place(&bad), (EVENTS, Some(sale as u64 + 1)));
}

#[test]
fn every_table_is_held_against_the_events() {
    let shop = busy();
    let (_folder, path) = export(&shop, ALL);
    for table in Table::ALL {
        let name = table.entry();
        let bad = found_after(&path, |entries| {
            let content = content_of(entries, name);
            let at = content.len() - 3;
            content[at] ^= 1;
        });
        assert_eq!(bad.entry, name);
        let bad = found_after(&path, |entries| {
            let mut lines = lines_of(entries, name);
            lines.pop();
            *content_of(entries, name) = lines.concat();
        });
        assert_eq!(bad.entry, name);
        let bad = found_after(&path, |entries| {
            let lines = lines_of(entries, name);
            content_of(entries, name).extend(&lines[1]);
        });
        let lines = lines_of(&mut unpack(&path), name).len() as u64;
        assert_eq!(place(&bad), (name, Some(lines + 1)), "{bad:?}");
    }
    let bad = found_after(&path, |entries| {
        let mut lines = lines_of(entries, "tables/receipts.csv");
        replace(&mut lines[2], ",sale,", ",SALE,");
        *content_of(entries, "tables/receipts.csv") = lines.concat();
    });
    assert_eq!(place(&bad), ("tables/receipts.csv", Some(3)));
}

#[test]
fn other_entries_are_checked_too() {
    let shop = busy();
    let (_folder, path) = export(&shop, ALL);
    // Without touching the list of hashes, every entry is named by it.
    for (name, _) in unpack(&path) {
        let mut entries = unpack(&path);
        content_of(&mut entries, &name).push(b'\n');
        let other = path.with_file_name("longer.zip");
        pack(&other, &entries);
        let bad = bad_of(&other);
        let expected = if name == HASHES {
            HASHES
        } else {
            name.as_str()
        };
        assert_eq!(bad.entry, expected);
        // Left out, with the rest in agreement.
        let mut entries = unpack(&path);
        entries.retain(|(entry, _)| *entry != name);
        if name != HASHES {
            agree(&mut entries);
        }
        pack(&other, &entries);
        if name.starts_with(REPORTS) {
            assert!(verdict(&other).ok, "reports may be enclosed or not");
        } else {
            let bad = bad_of(&other);
            assert_eq!(
                (bad.entry.as_str(), bad.what.as_str()),
                (name.as_str(), "it is missing")
            );
        }
    }
    let swapped = "00".repeat(32);
    let key = shop.ledger().public_key().to_owned();
    let bad = found_after(&path, |entries| {
        replace(content_of(entries, KEYS), &key, &swapped)
    });
    assert_eq!(bad.entry, KEYS);
    let bad = found_after(&path, |entries| {
        let text = String::from_utf8(content_of(entries, KEYS).clone()).expect("text");
        let (_, key) = text
            .split_once("\"certificate\": \"")
            .expect("a certificate");
        replace(content_of(entries, KEYS), &key[..8], "00000000");
    });
    assert_eq!(bad.entry, KEYS);
    let bad = found_after(&path, |entries| {
        let text = String::from_utf8(content_of(entries, HEADS).clone()).expect("text");
        let (_, signature) = text.split_once("\"signature\": \"").expect("a signature");
        replace(content_of(entries, HEADS), &signature[..8], "00000000");
    });
    assert_eq!(bad.entry, HEADS);
    let bad = found_after(&path, |entries| {
        replace(content_of(entries, "reports/Z1.json"), "Z", "z");
    });
    assert_eq!(bad.entry, "reports/Z1.json");
    let bad = found_after(&path, |entries| {
        let paper = content_of(entries, "reports/Z1.json").clone();
        let at = entries
            .iter()
            .position(|(name, _)| name == "reports/Z1.json");
        entries.insert(
            at.expect("entry") + 3,
            ("reports/Z9.json".to_owned(), paper),
        );
    });
    assert_eq!(bad.entry, "reports/Z9.json");
    let bad = found_after(&path, |entries| {
        entries.insert(0, ("0.txt".to_owned(), Vec::new()));
    });
    assert_eq!(bad.entry, "0.txt");
    let bad = found_after(&path, |entries| {
        replace(content_of(entries, README), "Hanout", "hanout");
    });
    assert_eq!(bad.entry, README);
    let bad = found_after(&path, |entries| {
        replace(
            content_of(entries, ABOUT),
            "\"till\": \"01\"",
            "\"till\": \"02\"",
        );
    });
    assert_eq!(bad.entry, ABOUT);
}

#[test]
fn a_stream_that_was_set_aside_is_in_the_archive_and_its_receipts_are_there_once() {
    let mut shop = busy();
    shop.advance_days(1);
    shop.ok(Command::OpenShift {
        count: pieces(Country::Tunisia, 50_000),
        drawer: Some(1),
        approval: None,
    });
    shop.scan(BALL);
    shop.pay_cash(None);
    let (old, key, now) = (
        shop.ledger().head(),
        shop.ledger().public_key().to_owned(),
        shop.now(),
    );
    shop.close_till();
    let succession = ledger::Succession {
        reason: StreamReason::Restored,
        key_algorithm: KeyAlgorithm::Ed25519,
        public_key: key,
        witness: None,
        copies: Vec::new(),
    };
    let succeeded = ledger::succeed(
        &shop.folder().join("ledger.db"),
        &succession,
        &now,
        &mut Entropy::new([7; 32]),
        &ledger::OpenOptions::default(),
        &mut |_| Ok(()),
    )
    .expect("a new stream");
    assert!(succeeded.adopted > 0);
    let new = succeeded.ledger.head();
    drop(succeeded);

    let (_folder, path) = export(&shop, ALL);
    let report = verdict(&path);
    assert_eq!(report.first_bad, None);
    let streams: Vec<_> = report
        .streams
        .iter()
        .map(|stream| (stream.stream, stream.events, stream.complete))
        .collect();
    assert_eq!(
        streams,
        [(old.stream, old.seq, true), (new.stream, new.seq, true)]
    );
    let mut entries = unpack(&path);
    let receipts = lines_of(&mut entries, Table::Receipts.entry());
    assert_eq!(receipts.len(), 1 + 6, "a header and six receipts");

    // Without the file of the old stream, what was adopted from it is still told, where it was first written.
    std::fs::remove_dir_all(shop.folder().join("streams")).expect("gone");
    let (_folder, path) = export(&shop, ALL);
    assert_eq!(verdict(&path).first_bad, None);
    let receipts = lines_of(&mut unpack(&path), Table::Receipts.entry());
    let last = String::from_utf8(receipts.last().expect("a receipt").clone()).expect("text");
    assert!(last.starts_with(&old.stream.to_string()), "{last}");

    // One that cannot be opened is named.
    std::fs::create_dir(shop.folder().join("streams")).expect("folder");
    std::fs::write(shop.folder().join("streams/lost.db"), "no database").expect("file");
    let made = archive(shop.folder(), None, ALL, false).expect("archive");
    assert_eq!(made.unreadable, ["lost.db"]);
    assert!(verdict(&made.path).ok);
}

#[test]
fn a_head_that_nobody_signed_is_found() {
    let shop = busy();
    let (_folder, path) = export(&shop, ALL);
    let head = shop.ledger().head();
    let tenant = shop.ledger().identity().tenant.clone();
    let forged = |hash: Digest, signature: String| {
        found_after(&path, |entries| {
            let heads = Heads {
                heads: vec![SignedHead {
                    stream: head.stream,
                    seq: head.seq,
                    hash,
                    signature,
                }],
            };
            *content_of(entries, HEADS) = json(&heads);
        })
    };
    assert_eq!(forged(head.hash, "00".repeat(64)).entry, HEADS);
    assert_eq!(forged(Digest([1; 32]), "00".repeat(64)).entry, HEADS);
    assert_eq!(forged(head.hash, "no".to_owned()).entry, HEADS);

    let message = domain::event::head_message(&tenant, head.stream, head.seq, head.hash);
    let signature = domain::signature::sign(shop.till().signing_key(), &message);
    let mut entries = unpack(&path);
    let heads = Heads {
        heads: vec![SignedHead {
            stream: head.stream,
            seq: head.seq,
            hash: head.hash,
            signature: hex::encode(signature),
        }],
    };
    *content_of(&mut entries, HEADS) = json(&heads);
    agree(&mut entries);
    let signed = path.with_file_name("signed.zip");
    pack(&signed, &entries);
    let report = verdict(&signed);
    assert_eq!((report.first_bad, report.signed_heads), (None, 1));
}

#[test]
fn a_broken_container_is_refused_in_words() {
    let shop = Setup::tunisia().on_folder().build();
    let (folder, path) = export(&shop, ALL);
    let bytes = std::fs::read(&path).expect("archive");
    let other = folder.path().join("other.zip");
    let what = |bytes: &[u8]| {
        std::fs::write(&other, bytes).expect("written");
        bad_of(&other).what
    };
    assert_eq!(what(b""), "it is no archive");
    assert_eq!(what(b"SQLite format 3\0"), "it is no archive");
    assert_eq!(what(&bytes[..bytes.len() - 1]), "its end is missing");
    assert_eq!(
        what(&[&bytes[..], b"x"].concat()),
        "something follows its end"
    );
    for cut in (0..bytes.len()).step_by(97) {
        what(&bytes[..cut]);
    }
    for at in (0..bytes.len()).step_by(13) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        std::fs::write(&other, &flipped).expect("written");
        let report = verdict(&other);
        // Deflate has a few bits that mean nothing; everything else is noticed.
        assert!(!report.ok || unpack(&other) == unpack(&path), "byte {at}");
    }
}

#[test]
fn an_archive_of_a_damaged_journal_is_not_made() {
    let mut shop = busy();
    shop.close_till();
    let path = shop.folder().join("ledger.db");
    let conn = ledger::open_keyed(&path, rusqlite::OpenFlags::default(), None).expect("open");
    conn.execute_batch(
        "DROP TRIGGER event_is_never_changed;
         UPDATE event SET bytes = CAST(replace(CAST(bytes AS TEXT), 'monnaie', 'monnaye') AS BLOB)
         WHERE kind = 'DrawerOpened'",
    )
    .expect("tampered");
    drop(conn);
    let refused = archive(shop.folder(), None, ALL, true).expect_err("not sound");
    assert!(matches!(refused, ArchiveError::Unsound(_)), "{refused}");
    let folder = shop.folder().join("archives");
    let left = std::fs::read_dir(folder).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}
