//! One day of a till, told from its first customer to the tax office.

use std::path::Path;

use serde_json::{Value, json};
use testkit::stranger;
use testkit::wait::wait_until;

use crate::program::{PATIENCE, Till, fresh_id, run};
use crate::{HeadOffice, open_shop, ready, scan_one};

/// Runs `hanout-till` to its end; exit code and what it said.
fn hanout(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = run(arguments);
    let said = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| json!(String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), said)
}

#[test]
fn a_shift_is_opened_sold_in_killed_twice_closed_archived_and_verified() {
    let office = HeadOffice::open();
    let folder = tempfile::tempdir().expect("folder");
    let data = folder.path().join("till");
    let url = office.server.url();

    // The till is enrolled, the manager counts the float and opens.
    let till = Till::start(&data, &["--server", &url, "--code", office.code("LM")]);
    ready(&till);
    open_shop(&till, &office);

    // First sale. The answer is on its way to the screen when the power goes.
    let (id, first) = (fresh_id(), scan_one(&till));
    let sold = till.call_as(&id, &first);
    let first_total = sold["ok"]["total_minor"].as_i64().expect("a total");
    till.kill();

    // The till comes back without a network. The screen asks again and gets the same answer: it is sold, and once.
    drop(office);
    let till = Till::start(&data, &[]);
    assert_eq!(till.call_as(&id, &first), sold);
    assert_eq!(till.status()["shift"]["receipts"], 1);

    // Second sale. The power goes with a third cart in hand.
    let second = till.ok(&scan_one(&till));
    let second_total = second["total_minor"].as_i64().expect("a total");
    let cart = scan_one(&till);
    till.kill();

    // The cart may be back or not; both sales are, and nothing else.
    let till = Till::start(&data, &[]);
    assert_eq!(till.status()["shift"]["receipts"], 2);
    let in_hand = till.ok(&json!({ "type": "GetCart" }));
    if in_hand["lines"]
        .as_array()
        .is_some_and(|lines| !lines.is_empty())
    {
        assert_eq!(in_hand["sale"], cart["sale"]);
        till.ok(&json!({ "type": "ClearCart" }));
    }

    // Money leaves for the bank, the drawer is counted, the shift is closed.
    let moved = json!({ "type": "MoveCash", "movement": "drop", "amount_minor": 10_000, "reason": "banque" });
    till.ok(&moved);
    let expected = till.ok(&json!({ "type": "XReport" }))["expected_minor"].clone();
    let cash = expected.as_i64().expect("expected cash");
    assert_eq!(cash, 50_000 + first_total + second_total - 10_000);
    let z = till.ok(&json!({ "type": "CloseShift", "count": pieces(cash) }));
    assert_eq!(
        (&z["z_number"], &z["difference_minor"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(z["takings_minor"], first_total + second_total);

    // The archive is written beside the running till, and found sound with nothing but the file.
    let archive = folder.path().join("2026.zip");
    let (data, archive) = (
        data.to_str().expect("path"),
        archive.to_str().expect("path"),
    );
    let (code, made) = hanout(&["export", data, "--to", archive, "--json"]);
    assert_eq!(code, Some(0), "{made}");
    let (code, report) = hanout(&["verify", archive, "--json"]);
    assert_eq!((code, &report["ok"]), (Some(0), &json!(true)), "{report}");
    assert_eq!(report["streams"][0]["events"], made["events"]);
    let (code, again) = hanout(&["export", data, "--to", archive, "--json"]);
    assert_eq!(code, Some(1), "nothing is overwritten: {again}");
    let (code, own) = hanout(&["verify", data, "--json"]);
    assert_eq!((code, &own["ok"]), (Some(0), &json!(true)), "{own}");
    // The manager can also ask for it on the screen.
    till.ok(&json!({ "type": "ExportArchive" }));
    let name = wait_until(PATIENCE, "the archive", || {
        let storage = till.status()["storage"].clone();
        assert!(storage["problem"].is_null(), "{storage}");
        storage["last_archive"].as_str().map(str::to_owned)
    });
    let asked = Path::new(data).join("archives").join(name);
    let (code, report) = hanout(&["verify", asked.to_str().expect("path"), "--json"]);
    assert_eq!((code, &report["ok"]), (Some(0), &json!(true)), "{report}");
    till.stop();

    // A stranger who has the file and docs/ledger.md comes to the same figures.
    let found = stranger::check(Path::new(archive));
    assert_eq!(found.receipts, 2);
    assert_eq!(found.takings_minor, first_total + second_total);
    assert_eq!(found.z_reports, 1);
    assert_eq!(Some(found.events), made["events"].as_u64());

    // Half a file is told from a whole one, and none from both.
    let bytes = std::fs::read(archive).expect("archive");
    let broken = folder.path().join("broken.zip");
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).expect("half a file");
    let broken = broken.to_str().expect("path");
    let (code, report) = hanout(&["verify", broken, "--json"]);
    assert_eq!(code, Some(1), "{report}");
    assert_eq!(report["first_bad"]["what"], "its end is missing");
    let missing = folder.path().join("missing.zip");
    let (code, _) = hanout(&["verify", missing.to_str().expect("path"), "--json"]);
    assert_eq!(code, Some(1));
}

/// Counts an amount of millimes in notes and coins.
fn pieces(mut minor: i64) -> Value {
    let mut count = Vec::new();
    for denomination in [
        50_000, 20_000, 10_000, 5_000, 2_000, 1_000, 500, 200, 100, 50, 20, 10, 5,
    ] {
        if minor >= denomination {
            count.push(
                json!({ "denomination_minor": denomination, "pieces": minor / denomination }),
            );
            minor %= denomination;
        }
    }
    assert_eq!(minor, 0, "coins do not make the rest");
    json!(count)
}
