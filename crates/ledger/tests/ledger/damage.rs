//! What `verify` notices: every table is edited behind the ledger's back and must be named.

use domain::ids::{Digest, JobId, RequestId};
use ledger::{Ledger, LedgerError, NewPrintJob, PrintKind, PrintUpdate, VerifyReport};
use rusqlite::Connection;

use crate::support::{
    Desk, Place, create, make_style, make_variant, options, price_row, raw_file, read_only, row,
    store_config, style_row, variant, variant_row, whole,
};

fn filled(place: &Place) {
    let mut desk = Desk::new(create(&place.path, &options()));
    desk.follow(&["cfg:LM", "cat", "price:TN"]);
    desk.apply(&whole("cfg:LM", 1, vec![row("store", 1, &store_config())]));
    desk.apply(&whole(
        "cat",
        1,
        vec![
            style_row(1, &make_style(1, "Ballon", "كرة", "Ball")),
            variant_row(1, &make_variant(1, 1, "BAL-1", &["4006381333931"])),
            variant_row(1, &make_variant(2, 1, "BAL-2", &[])),
        ],
    ));
    desk.apply(&whole(
        "price:TN",
        1,
        vec![price_row(1, 1, &[("2026-01-01", 5_000)])],
    ));
    desk.trade();
    let (seq, hash) = (desk.ledger.head().seq, desk.ledger.head().hash);
    desk.ledger
        .write(|tx| tx.set_acked("hub", 1, seq, hash))
        .expect("ack");
    desk.assert_sound();
}

fn raw(place: &Place) -> Connection {
    let conn = raw_file(&place.path);
    conn.execute_batch(
        "PRAGMA foreign_keys = 0; DROP TRIGGER event_is_never_changed; DROP TRIGGER event_is_never_deleted; \
         DROP TRIGGER event_follows_the_last;",
    )
    .expect("triggers");
    conn
}

fn verify(place: &Place) -> VerifyReport {
    let ledger = read_only(&place.path).expect("open");
    ledger.verify().expect("verify")
}

/// Runs `sql` on a filled ledger; `verify` must name `table` and `key`.
fn check(sql: &str, table: &str, key: &str) {
    let place = Place::new();
    filled(&place);
    raw(&place).execute_batch(sql).expect(sql);
    let report = verify(&place);
    let bad = report
        .first_bad
        .unwrap_or_else(|| panic!("nothing noticed after {sql}"));
    assert!(!report.ok);
    assert_eq!(
        (bad.table.as_str(), bad.key.as_str()),
        (table, key),
        "{sql}: {}",
        bad.what
    );
}

#[test]
fn an_edited_event_is_named() {
    for (sql, key) in [
        (
            "UPDATE event SET bytes = CAST(replace(CAST(bytes AS TEXT), '\"total_minor\":5000', '\"total_minor\":5001') AS BLOB) WHERE seq = 4",
            "4",
        ),
        (
            "UPDATE event SET bytes = substr(bytes, 1, length(bytes) - 1) WHERE seq = 3",
            "3",
        ),
        ("UPDATE event SET bytes = x'' WHERE seq = 3", "3"),
        ("UPDATE event SET hash = zeroblob(32) WHERE seq = 3", "3"),
        ("UPDATE event SET wall = wall + 1 WHERE seq = 3", "3"),
        ("UPDATE event SET hlc = hlc + 1 WHERE seq = 3", "3"),
        ("UPDATE event SET kind = 'CartVoided' WHERE seq = 3", "3"),
        ("UPDATE event SET schema = 2 WHERE seq = 3", "3"),
        ("UPDATE event SET id = randomblob(16) WHERE seq = 3", "3"),
        ("DELETE FROM event WHERE seq = 4", "4"),
        // Two events change places, with their hashes.
        (
            "UPDATE event SET seq = -3 WHERE seq = 3; UPDATE event SET seq = 3 WHERE seq = 4; UPDATE event SET seq = 4 WHERE seq = -3",
            "3",
        ),
    ] {
        check(sql, "event", key);
    }
}

#[test]
fn a_flip_of_any_bit_of_an_event_is_named() {
    let place = Place::new();
    filled(&place);
    let conn = raw(&place);
    let bytes: Vec<u8> = conn
        .query_row("SELECT bytes FROM event WHERE seq = 4", [], |row| {
            row.get(0)
        })
        .expect("bytes");
    for position in (0..bytes.len()).step_by(97) {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1 << (position % 8);
        conn.execute("UPDATE event SET bytes = ?1 WHERE seq = 4", [&flipped])
            .expect("flip");
        let bad = verify(&place).first_bad.expect("noticed");
        assert_eq!(
            (bad.table.as_str(), bad.key.as_str()),
            ("event", "4"),
            "byte {position}"
        );
    }
    conn.execute("UPDATE event SET bytes = ?1 WHERE seq = 4", [&bytes])
        .expect("mend");
    // All events are as they were; what is left is that their triggers are gone.
    let bad = verify(&place).first_bad.expect("the triggers are missed");
    assert_eq!(bad.table, "sqlite_schema", "{bad:?}");
}

#[test]
fn a_journal_cut_short_is_noticed_by_what_was_built_on_it() {
    // The chain alone cannot see that its end is missing.
    check("DELETE FROM event WHERE seq = 8", "receipt", "2026-000004");
    let place = Place::new();
    filled(&place);
    let sql = "DELETE FROM event WHERE seq = 8; DELETE FROM receipt WHERE seq = 8;";
    raw(&place).execute_batch(sql).expect(sql);
    assert!(!verify(&place).ok);
}

#[test]
fn a_whole_forged_chain_does_not_fit_the_books() {
    // Recomputing the hashes after an edit is easy; the Z report then covers another history.
    let place = Place::new();
    filled(&place);
    let conn = raw(&place);
    let mut events: Vec<(u64, Vec<u8>)> = {
        let mut statement = conn
            .prepare("SELECT seq, bytes FROM event ORDER BY seq")
            .expect("prepare");
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("query");
        rows.collect::<Result<_, _>>().expect("events")
    };
    let text = String::from_utf8(events[2].1.clone()).expect("text");
    events[2].1 = text.replace("Article 1", "Article 9").into_bytes();
    assert_ne!(text.as_bytes(), events[2].1);
    let mut hash = domain::event::genesis_hash(crate::support::STREAM);
    for (seq, bytes) in &events {
        hash = domain::event::chain_hash(hash, bytes);
        conn.execute(
            "UPDATE event SET bytes = ?2, hash = ?3 WHERE seq = ?1",
            (i64::try_from(*seq).expect("seq"), bytes, hash.0),
        )
        .expect("forge");
    }
    let bad = verify(&place).first_bad.expect("noticed");
    assert_eq!(
        (bad.table.as_str(), bad.key.as_str()),
        ("event", "6"),
        "{}",
        bad.what
    );
}

#[test]
fn every_edited_projection_is_named() {
    for (sql, table, key) in [
        (
            "UPDATE receipt SET total_minor = total_minor + 1 WHERE seq = 3",
            "receipt",
            "2026-000001",
        ),
        (
            "UPDATE receipt SET reversed_by = NULL WHERE seq = 4",
            "receipt",
            "2026-000002",
        ),
        (
            "DELETE FROM receipt WHERE seq = 3",
            "receipt",
            "2026-000001",
        ),
        (
            "UPDATE receipt SET number_seq = 9 WHERE seq = 8",
            "receipt",
            "2026-000004",
        ),
        (
            "UPDATE shift SET totals = replace(totals, '\"sales\":2', '\"sales\":3') WHERE z_number = 1",
            "shift",
            "2",
        ),
        (
            "UPDATE shift SET z_number = 2 WHERE z_number = 1",
            "shift",
            "2",
        ),
        ("DELETE FROM shift WHERE opened_seq = 7", "shift", "7"),
        (
            "UPDATE books SET state = json_set(state, '$.perpetual_minor', 1)",
            "books",
            "perpetual",
        ),
        (
            "UPDATE books SET state = json_set(state, '$.accounts.cash', 1)",
            "books",
            "account cash",
        ),
        (
            "UPDATE books SET state = json_set(state, '$.accounts.gifts', 1)",
            "books",
            "account gifts",
        ),
        (
            "UPDATE books SET state = json_remove(state, '$.accounts.safe')",
            "books",
            "account safe",
        ),
        (
            "UPDATE books SET state = json_set(state, '$.open.7.totals.sales', 2)",
            "books",
            "shift 7",
        ),
        ("UPDATE books SET state = '{}'", "books", "1"),
        ("INSERT INTO copy VALUES ('x', 1)", "copy", "x"),
        (
            "UPDATE receipt SET moves = x'' WHERE seq = 3",
            "receipt",
            "2026-000001",
        ),
        ("UPDATE ack SET seq = seq - 1", "ack", "hub 1"),
        (
            "UPDATE feed_row SET row = replace(row, 'Ballon', 'Ballot')",
            "feed_row",
            "cat style:00000000-0000-0000-0000-000000002001",
        ),
        (
            "DELETE FROM feed_row WHERE pk LIKE 'style:%'",
            "feed",
            "cat",
        ),
        (
            "UPDATE feed SET checksum = checksum + 1 WHERE name = 'price:TN'",
            "feed",
            "price:TN",
        ),
        ("UPDATE item SET sku = 'X' WHERE sku = 'BAL-1'", "item", "3"),
        ("DELETE FROM barcode", "barcode", "3"),
        ("INSERT INTO barcode VALUES ('999', 3)", "barcode", ""),
        ("DELETE FROM item_words WHERE rowid = 3", "item_words", ""),
        (
            "INSERT OR REPLACE INTO item_words (rowid, words) VALUES (3, 'ballon')",
            "item_words",
            "1",
        ),
        (
            "DELETE FROM word WHERE word = 'ballon'",
            "item_words",
            "ballon",
        ),
    ] {
        check(sql, table, key);
    }
}

/// Answers, papers, notes, a clock that was learnt and print jobs: what no event speaks of.
fn with_papers(place: &Place) {
    filled(place);
    let mut desk = Desk::new(Ledger::open(&place.path, &options()).expect("open"));
    let job = |number: u128| NewPrintJob {
        job: JobId(uuid::Uuid::from_u128(number)),
        kind: PrintKind::Receipt,
        number: format!("N{number}"),
        document: "{}".to_owned(),
        copy: 0,
        wall: 1,
    };
    desk.ledger
        .write(|tx| -> Result<(), LedgerError> {
            for request in 1..4 {
                let request = RequestId(uuid::Uuid::from_u128(request));
                tx.store_answer(request, Digest([9; 32]), "{\"ok\":1}", 1)?;
            }
            tx.set_local("link", "token")?;
            tx.set_local("link", "another")?;
            tx.keep_report("D1", "{\"paper\":1}")?;
            for number in 1..4 {
                tx.queue_print(&job(number))?;
            }
            let id = |number| JobId(uuid::Uuid::from_u128(number));
            tx.mark_print(id(2), &PrintUpdate::Claimed)?;
            tx.mark_print(id(2), &PrintUpdate::Printed)?;
            tx.mark_print(id(3), &PrintUpdate::Claimed)?;
            tx.mark_print(
                id(3),
                &PrintUpdate::Uncertain {
                    cause: "cut".to_owned(),
                },
            )
        })
        .expect("written");
    let far = domain::time::Hlc(u64::try_from(desk.wall + 20_000).expect("a time") << 16);
    desk.follow(&["cfg:LM", "cat", "price:TN", "stock:LM"]);
    desk.apply(&anchored(far));
    desk.assert_sound();
}

/// Stock that stands on a count made at `hlc`.
fn anchored(hlc: domain::time::Hlc) -> sync_protocol::FeedPage {
    let row_of = sync_protocol::feed::StockRow {
        variant: variant(1),
        quantity: domain::quantity::Quantity(1_000),
        zones: std::collections::BTreeMap::new(),
        anchor: Some(sync_protocol::feed::AnchorRef {
            seen_ms: None,
            stream: domain::ids::StreamId([8; 16]),
            seq: 1,
            hlc,
            cut: std::collections::BTreeMap::new(),
        }),
    };
    whole("stock:LM", 1, vec![row(variant(1), 1, &row_of)])
}

#[test]
fn an_edited_row_that_no_event_speaks_of_is_named() {
    for (sql, table, key) in [
        (
            "UPDATE answer SET answer = '{}' WHERE ordinal = 2",
            "answer",
            "2",
        ),
        (
            "UPDATE answer SET digest = zeroblob(32) WHERE ordinal = 3",
            "answer",
            "3",
        ),
        (
            "UPDATE answer SET wall = 2 WHERE ordinal = 1",
            "answer",
            "1",
        ),
        (
            "UPDATE answer SET ordinal = 9 WHERE ordinal = 1",
            "answer",
            "9",
        ),
        (
            "UPDATE answer SET proof = proof + 1 WHERE ordinal = 1",
            "answer",
            "1",
        ),
        ("UPDATE print_job SET state = 1", "print_job", "1"),
        (
            "UPDATE print_job SET document = '{ }' WHERE state = 2",
            "print_job",
            "3",
        ),
        ("UPDATE print_job SET cause = NULL", "print_job", "3"),
        ("UPDATE print_done SET copy = 1", "print_done", "1"),
        (
            "UPDATE report SET document = '{\"paper\":2}' WHERE number = 'D1'",
            "report",
            "D1",
        ),
        (
            "UPDATE local SET value = 'token' WHERE key = 'link'",
            "local",
            "link",
        ),
        (
            "UPDATE local SET key = 'linc' WHERE key = 'link'",
            "local",
            "linc",
        ),
        ("UPDATE clock SET hlc = hlc + 1", "clock", "1"),
        (
            "UPDATE feed SET cursor_ver = 2 WHERE name = 'cat'",
            "feed",
            "2",
        ),
        (
            "UPDATE feed SET complete = 0 WHERE name = 'cat'",
            "feed",
            "2",
        ),
        (
            "UPDATE feed SET folded_seq = 1 WHERE name = 'stock:LM'",
            "feed",
            "4",
        ),
        (
            "UPDATE feed_row SET ver = 2 WHERE pk = 'store'",
            "feed_row",
            "1",
        ),
        (
            "UPDATE feed_row SET folded_seq = 9 WHERE pk = 'store'",
            "feed_row",
            "1",
        ),
        (
            "UPDATE feed_row SET understood = 0 WHERE pk = 'store'",
            "feed_row",
            "1",
        ),
    ] {
        let place = Place::new();
        with_papers(&place);
        let conn = raw(&place);
        conn.execute_batch(sql).expect(sql);
        assert!(conn.changes() > 0, "{sql}");
        conn.close().expect("close");
        let report = verify(&place);
        let bad = report
            .first_bad
            .unwrap_or_else(|| panic!("nothing noticed after {sql}"));
        assert_eq!(
            (bad.table.as_str(), bad.key.as_str()),
            (table, key),
            "{sql}"
        );
    }
}

#[test]
fn a_damaged_page_is_noticed_and_no_error() {
    let place = Place::new();
    filled(&place);
    drop(Ledger::open(&place.path, &options()).expect("recover"));
    let mut bytes = std::fs::read(&place.path).expect("file");
    // The second page is the root of a table or index: without its header nothing can be found.
    for byte in &mut bytes[4_096..4_120] {
        *byte = 0xff;
    }
    std::fs::write(&place.path, &bytes).expect("damage");
    match read_only(&place.path) {
        Ok(ledger) => assert!(!ledger.verify().expect("verify").ok),
        Err(error) => assert!(
            matches!(error, ledger::OpenError::Corrupt { .. }),
            "{error:?}"
        ),
    }
}

#[test]
fn opening_refuses_a_journal_whose_end_does_not_chain() {
    let place = Place::new();
    filled(&place);
    raw(&place)
        .execute_batch("UPDATE event SET bytes = x'7b7d' WHERE seq = (SELECT max(seq) FROM event)")
        .expect("edit");
    let error = Ledger::open(&place.path, &options()).expect_err("refused");
    assert!(
        matches!(error, ledger::OpenError::Corrupt { .. }),
        "{error:?}"
    );
}

#[test]
fn no_connection_can_change_or_delete_or_skip_an_event() {
    let place = Place::new();
    filled(&place);
    let conn = raw_file(&place.path);
    for sql in [
        "UPDATE event SET wall = 0 WHERE seq = 2",
        "DELETE FROM event WHERE seq = 2",
        "INSERT INTO event SELECT 99, randomblob(16), hlc, wall, kind, schema, bytes, hash FROM event WHERE seq = 1",
        "INSERT OR REPLACE INTO event SELECT 2, randomblob(16), hlc, wall, kind, schema, bytes, hash FROM event WHERE seq = 1",
        "UPDATE identity SET location = 'X'",
        "DELETE FROM identity",
    ] {
        assert!(conn.execute(sql, []).is_err(), "{sql}");
    }
    assert!(verify(&place).ok);
}

#[test]
fn verifying_reads_beside_a_running_writer() {
    let place = Place::new();
    filled(&place);
    let mut desk = Desk::new(Ledger::open(&place.path, &options()).expect("open"));
    desk.entropy = domain::entropy::Entropy::new([8; 32]);
    desk.shift = desk
        .ledger
        .open_shift(1)
        .expect("read")
        .expect("open")
        .opened
        .shift;
    let reader = read_only(&place.path).expect("reader");
    for _ in 0..3 {
        desk.sell(&[(1, 1, 1_000)]);
        let report = reader.verify().expect("verify");
        assert_eq!(report.first_bad, None);
        assert_eq!(
            report.streams[&crate::support::STREAM].seq,
            desk.ledger.head().seq
        );
    }
    assert_eq!(
        reader.verify().expect("verify"),
        desk.ledger.verify().expect("verify")
    );
    let mut reader = reader;
    let refused = reader.write(|tx| tx.set_local("a", "b"));
    assert_eq!(
        refused.expect_err("read only").storage_kind(),
        Some(ledger::StorageKind::ReadOnly)
    );
}

#[test]
fn the_same_events_hash_the_same_on_any_machine() {
    let place = Place::new();
    filled(&place);
    let mut elsewhere = Desk::in_memory();
    elsewhere.wall += 3_000;
    elsewhere.trade();
    assert_eq!(
        verify(&place).projections,
        elsewhere.ledger.verify().expect("verify").projections
    );
}
