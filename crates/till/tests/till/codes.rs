//! Signatures: the codes of receipts, the keys of shifts, the heads after closings.

use std::path::Path;

use domain::config::{DeviceRecord, KeyAlgorithm};
use domain::event::Fact;
use domain::ids::DeviceId;
use domain::receipt_code::ReceiptCode;
use receipt::Document;
use receipt::document::Block;
use rusqlite::Connection;
use testkit::shop::{BALL, CASHIER, SHOE_42, Setup, Shop, TEE, approval};
use till::door::{CodeVerdict, CodeView, Command, RefusalCode, Reply};
use uuid::Uuid;

/// What the code of the latest print job of a receipt says; none where it has no code.
fn printed(shop: &Shop) -> Option<String> {
    let jobs = shop
        .ledger()
        .print_jobs(ledger::PrintFilter::Latest(20))
        .expect("readable");
    let job = jobs.iter().find(|job| {
        matches!(
            job.kind,
            ledger::PrintKind::Receipt | ledger::PrintKind::Copy
        )
    });
    let document = Document::from_json(&job.expect("a job").document).expect("a document");
    document.blocks.into_iter().find_map(|block| match block {
        Block::Code { data, .. } => Some(data),
        _ => None,
    })
}

fn check(shop: &mut Shop, text: &str) -> CodeView {
    match shop.ok(Command::CheckCode {
        text: text.to_owned(),
    }) {
        Reply::CodeChecked(view) => *view,
        other => panic!("not checked: {other:?}"),
    }
}

fn learn(shop: &mut Shop, of: &Shop, till: &str, revoked: bool) {
    let (_, public_key) = of.ledger().device_key();
    let record = DeviceRecord {
        device: DeviceId(Uuid::from_u128(0xD2)),
        store: of.ledger().identity().store.clone(),
        till: till.parse().expect("till"),
        algorithm: KeyAlgorithm::Ed25519,
        public_key: public_key.to_owned(),
        revoked,
    };
    let row = serde_json::to_value(&record).expect("plain data");
    let feed = shop.config_feed();
    shop.publish(
        &feed,
        vec![(format!("device:{}", record.device), Some(row))],
    );
}

fn database(folder: &Path, name: &str) -> Connection {
    crate::raw(folder.join(name))
}

#[test]
fn a_receipt_of_this_till_is_genuine() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(BALL);
    shop.scan(BALL);
    shop.scan(SHOE_42);
    let done = shop.pay_cash(None);
    let text = printed(&shop).expect("a code");
    let view = check(&mut shop, &text);
    assert_eq!(view.verdict, CodeVerdict::Genuine);
    assert_eq!(
        (view.number, view.total_minor),
        (done.number.clone(), done.total_minor)
    );
    assert_eq!((view.lines.len(), view.lines_total, view.own), (2, 2, true));
    assert!(
        view.lines
            .iter()
            .all(|line| line.names.is_some() && line.sku.is_some())
    );
    assert_eq!(view.lines[0].quantity.thousandths(), 2_000);
    assert_eq!(view.reversed_by, None);
    let undone = match shop.ok(Command::ReverseSale {
        number: done.number,
        reason: "erreur".to_owned(),
        approval: Some(approval()),
    }) {
        Reply::Completed(done) => done.number,
        other => panic!("not completed: {other:?}"),
    };
    assert_eq!(check(&mut shop, &text).reversed_by, Some(undone.clone()));
    let mirror = printed(&shop).expect("a code");
    let mirror = check(&mut shop, &mirror);
    assert_eq!(
        (mirror.verdict, mirror.number),
        (CodeVerdict::Genuine, undone)
    );
    assert!(mirror.reversal && mirror.total_minor == -done.total_minor);
    let report = shop.ledger().verify().expect("readable");
    assert_eq!((report.ok, report.signatures.receipts), (true, 2));
}

#[test]
fn a_receipt_of_another_till_is_judged_by_the_devices_of_the_chain() {
    let mut here = Setup::tunisia().build();
    here.open();
    let mut there = Setup {
        seed: 9,
        ..Setup::tunisia()
    }
    .build();
    there.open();
    there.scan(TEE);
    let done = there.pay_cash(None);
    let text = printed(&there).expect("a code");
    assert_ne!(here.ledger().device_key(), there.ledger().device_key());
    let verdict = |shop: &mut Shop, text: &str| check(shop, text).verdict;

    assert_eq!(verdict(&mut here, &text), CodeVerdict::UnknownKey);
    // The device of another till does not speak for this one's numbers.
    learn(&mut here, &there, "02", false);
    assert_eq!(verdict(&mut here, &text), CodeVerdict::UnknownKey);
    learn(&mut here, &there, "01", false);
    let view = check(&mut here, &text);
    assert_eq!(view.verdict, CodeVerdict::Genuine);
    assert_eq!((view.number, view.own), (done.number, false));

    let mut forged = ReceiptCode::from_text(&text).expect("a code");
    forged.claims.total_minor += 1;
    assert_eq!(verdict(&mut here, &forged.to_text()), CodeVerdict::Forged);
    // Signed anew by a key that nobody vouched for.
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
    forged.claims.shift_key = stranger.verifying_key().to_bytes();
    let forged = forged.claims.sign(&stranger).to_text();
    assert_eq!(verdict(&mut here, &forged), CodeVerdict::UnknownKey);

    learn(&mut here, &there, "01", true);
    assert_eq!(verdict(&mut here, &text), CodeVerdict::Revoked);
}

#[test]
fn a_scanned_receipt_is_no_unknown_article() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(BALL);
    shop.pay_cash(None);
    let text = printed(&shop).expect("a code");
    let scan = |code: &str| Command::ScanCode {
        code: code.to_owned(),
    };
    let ask = |text: &str| Command::CheckCode {
        text: text.to_owned(),
    };
    assert_eq!(shop.refused(scan(&text)).code, RefusalCode::ReceiptCode);
    assert_eq!(
        shop.refused(ask(&text[..300])).code,
        RefusalCode::CodeDamaged
    );
    assert_eq!(
        shop.refused(ask("6191234500017")).code,
        RefusalCode::UnknownCode
    );
    shop.ok(Command::SignOut {});
    assert_eq!(shop.refused(ask(&text)).code, RefusalCode::SignInRequired);
}

#[test]
fn a_copy_carries_the_code_of_the_original_after_restarts_and_closing() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.scan(BALL);
    let first = shop.pay_cash(None);
    let original = printed(&shop).expect("a code");
    let copied = |shop: &mut Shop| {
        shop.ok(Command::Reprint {
            number: first.number.clone(),
        });
        printed(shop).expect("a code")
    };
    assert_eq!(copied(&mut shop), original);
    shop.reopen();
    assert_eq!(copied(&mut shop), original);
    // The key outlives the restart.
    shop.scan(TEE);
    shop.pay_cash(None);
    let second = printed(&shop).expect("a code");
    assert_eq!(check(&mut shop, &second).verdict, CodeVerdict::Genuine);

    let seed = |shop: &Shop| -> Vec<Vec<u8>> {
        let drafts = database(shop.folder(), "drafts.db");
        let mut statement = drafts.prepare("SELECT seed FROM shift_key").expect("sql");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.map(|row| row.expect("row")).collect()
    };
    let seeds = seed(&shop);
    assert_eq!(seeds.len(), 1);
    let opened = shop.facts().into_iter().find_map(|fact| match fact {
        Fact::ShiftOpened(opened) => opened.shift_key,
        _ => None,
    });
    assert!(opened.is_some_and(|key| key.certificate.is_some()));
    shop.close_exact();
    assert_eq!(seed(&shop).len(), 0);
    let folder = std::fs::read_dir(shop.folder()).expect("folder");
    for file in folder.map(|file| file.expect("file").path()) {
        if file.is_file() {
            let bytes = std::fs::read(&file).unwrap_or_default();
            let found = bytes.windows(32).any(|window| window == seeds[0]);
            assert!(!found, "{} holds the key of a closed shift", file.display());
        }
    }
    assert_eq!(copied(&mut shop), original);
    shop.reopen();
    shop.sign_in(CASHIER);
    assert_eq!(copied(&mut shop), original);
    shop.verify_clean();
}

#[test]
fn without_its_key_a_shift_sells_on_and_receipts_say_unverified() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.close_till();
    let drafts = database(shop.folder(), "drafts.db");
    assert_eq!(drafts.execute("DELETE FROM shift_key", []).expect("sql"), 1);
    drop(drafts);
    shop.try_open().expect("opens");
    shop.scan(BALL);
    let done = shop.pay_cash(None);
    assert_eq!(printed(&shop), None);
    shop.ok(Command::Reprint {
        number: done.number,
    });
    assert_eq!(printed(&shop), None);
    shop.close_exact();
    shop.verify_clean();
    // The next shift has a key again.
    shop.advance_ms(60_000);
    shop.open_shift(100_000);
    shop.scan(BALL);
    shop.pay_cash(None);
    assert!(printed(&shop).is_some());
}

#[test]
fn a_store_may_want_no_codes() {
    let mut shop = Setup::tunisia().build();
    shop.configure(|store| store.receipt_code = false);
    shop.open();
    shop.scan(BALL);
    let done = shop.pay_cash(None);
    assert_eq!(printed(&shop), Some(done.number));
    let report = shop.ledger().verify().expect("readable");
    assert_eq!((report.ok, report.signatures.receipts), (true, 0));
}

#[test]
fn a_jump_of_the_clock_does_not_put_a_code_in_the_wrong_place() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(BALL);
    shop.pay_cash(None);
    shop.reboot();
    shop.scan(BALL);
    shop.pay_cash(None);
    let code = ReceiptCode::from_text(&printed(&shop).expect("a code")).expect("a code");
    assert_eq!(code.claims.seq, shop.ledger().head().seq);
    shop.verify_clean();
}

#[test]
fn the_head_after_a_closing_is_signed_and_a_missing_signature_is_made_good() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.scan(BALL);
    shop.pay_cash(None);
    assert!(
        shop.ledger()
            .head_signatures()
            .expect("readable")
            .is_empty()
    );
    shop.close_exact();
    let head = shop.ledger().head();
    let signed = shop.ledger().head_signatures().expect("readable");
    assert_eq!(
        signed.iter().map(|signed| signed.head).collect::<Vec<_>>(),
        [head]
    );
    let report = shop.ledger().verify().expect("readable");
    assert!(report.ok);
    assert_eq!(
        (report.signatures.heads, report.signatures.closings_unsigned),
        (1, 0)
    );

    shop.close_till();
    let file = database(shop.folder(), "ledger.db");
    // As if the till had been killed between the closing and its signature.
    assert_eq!(
        file.execute("DELETE FROM head_signature", []).expect("sql"),
        1
    );
    drop(file);
    let read = crate::read_only(shop.folder());
    let report = read.expect("opens").verify().expect("readable");
    assert!(report.ok);
    assert_eq!(
        (report.signatures.heads, report.signatures.closings_unsigned),
        (0, 1)
    );
    shop.try_open().expect("opens");
    assert_eq!(shop.ledger().head_signatures().expect("readable"), signed);

    shop.close_till();
    for (sql, table) in [
        (
            "UPDATE receipt SET signature = zeroblob(64) WHERE signature IS NOT NULL",
            "receipt",
        ),
        (
            "UPDATE head_signature SET algorithm = 'p256'",
            "head_signature",
        ),
        ("UPDATE head_signature SET seq = 1", "head_signature"),
        (
            "UPDATE head_signature SET signature = zeroblob(64)",
            "head_signature",
        ),
    ] {
        let file = database(shop.folder(), "ledger.db");
        assert_eq!(file.execute(sql, []).expect("sql"), 1, "{sql}");
        drop(file);
        let read = crate::read_only(shop.folder());
        let report = read.expect("opens").verify().expect("readable");
        assert_eq!(report.first_bad.expect("a bad row").table, table, "{sql}");
        let file = database(shop.folder(), "ledger.db");
        file.execute("UPDATE receipt SET signature = NULL", [])
            .expect("sql");
    }
}

/// A receipt that goes on in a new stream keeps the code that it was printed with, through more than one of them.
#[test]
fn a_copy_of_an_adopted_receipt_shows_the_code_it_was_printed_with() {
    let place = tempfile::tempdir().expect("a folder");
    let mut shop = Setup::tunisia().on_folder().build();
    let mut witnesses = 0;
    let mut break_off = |shop: &mut Shop| {
        witnesses += 1;
        shop.close_till();
        shop.witness_in(&place.path().join(witnesses.to_string()));
        shop.reopen();
    };
    break_off(&mut shop);
    shop.open();
    let mut sold = Vec::new();
    for code in [BALL, TEE] {
        shop.scan(code);
        let number = shop.pay_cash(None).number;
        let text = printed(&shop).expect("a code");
        sold.push((number, text, shop.ledger().identity().stream));
        // The ledger's witness is gone, so its stream ends; the shift goes on in another.
        break_off(&mut shop);
        let stream = shop.ledger().identity().stream;
        for (number, text, of) in &sold {
            assert_ne!(stream, *of);
            shop.ok(Command::Reprint {
                number: number.clone(),
            });
            assert_eq!(printed(&shop).as_ref(), Some(text), "{number}");
            let view = check(&mut shop, text);
            assert_eq!((view.verdict, &view.number), (CodeVerdict::Genuine, number));
            let code = ReceiptCode::from_text(text).expect("a code");
            assert_eq!(code.claims.stream, *of);
        }
    }
    // One that was undone says so.
    let (number, text, _) = &sold[0];
    shop.ok(Command::ReverseSale {
        number: number.clone(),
        reason: "erreur".to_owned(),
        approval: Some(approval()),
    });
    assert!(check(&mut shop, text).reversed_by.is_some());
    let report = crate::read_only(shop.folder())
        .expect("opens")
        .verify()
        .expect("verify");
    assert_eq!(report.first_bad, None);
    assert_eq!(report.signatures.receipts, 3);
    // What is kept is held against the events.
    shop.close_till();
    let conn = crate::raw(shop.folder().join("ledger.db"));
    conn.execute_batch("UPDATE adopted_code SET code = (SELECT max(code) FROM adopted_code)")
        .expect("edited");
    conn.close().expect("closed");
    let report = crate::read_only(shop.folder())
        .expect("opens")
        .verify()
        .expect("verify");
    assert_eq!(
        report.first_bad.map(|bad| bad.table),
        Some("adopted_code".to_owned())
    );
}
