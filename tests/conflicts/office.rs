//! Rows 11 and 21 to 23: what head office decides, and what becomes of the server.

use domain::event::{IncidentKind, SealReason};
use support::world::MARSA;

use crate::chain::{Chain, copy_files};

/// What is on the shelf is sold, archived or not; the article keeps its history and its stock. A report of what was sold
/// after it was archived comes with the other reports.
#[test]
fn row_11_article_archived_while_a_till_is_offline() {
    let mut chain = Chain::new(2);
    chain.import(
        "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Price,Status\n\
         CORD,CORD,Title,Default Title,CORD,7.000,archived\n",
        "2026-09-01",
    );
    let row = chain.with_hub(|hub| hub.variant_of_sku("CORD"));
    assert!(row.expect("read").expect("kept").archived);
    // The first till has not heard, the second has.
    chain.sync(1);
    for index in 0..2 {
        chain.sell(index, &["CORD"]);
    }
    chain.assert_settled(&[]);
    assert_eq!(chain.on_hand("CORD", MARSA), 18);
}

/// The server comes back from a backup and nobody says so. The first till that was told more than it knows makes it
/// start a new epoch; all send again what it lost, and nothing strict is given out before they have.
#[test]
fn row_21_server_restored_from_a_backup() {
    let mut chain = Chain::new(2);
    let folder = chain.folder().to_owned();
    let backup = tempfile::tempdir().expect("a temporary folder");
    let kept = backup.path().join("hub.db");
    chain
        .world
        .restart_server(&folder, |path| {
            std::fs::copy(path, &kept).expect("backed up");
        })
        .expect("restarted");
    for index in 0..2 {
        chain.sell(index, &["CORD"]);
        chain.sync(index);
    }
    let holder = chain.holder();
    chain.sell(holder, &["TICKET", "CORD"]);
    chain.sync(holder);
    assert_eq!(chain.on_hand("TICKET", MARSA), 0);
    chain
        .world
        .restart_server(&folder, |path| {
            std::fs::copy(&kept, path).expect("put back");
        })
        .expect("restarted");
    assert_eq!(chain.on_hand("CORD", MARSA), 20, "it has forgotten");
    assert_eq!(chain.on_hand("TICKET", MARSA), 1, "it has forgotten");
    // One of them is heard: that is not enough to sell the ticket again.
    chain.sync(1 - holder);
    assert_eq!(chain.with_hub(|hub| hub.epoch()).expect("read"), 2);
    let now = chain.world.now();
    let request = |chain: &Chain| hub::PromiseRequest {
        promise: domain::ids::PromiseId(uuid::Uuid::from_u128(77)),
        lines: vec![hub::PromiseLine {
            variant: chain.variant("TICKET"),
            location: crate::chain::location(MARSA),
            quantity: domain::quantity::Quantity::ONE,
        }],
        life_ms: Some(60_000),
    };
    let asked = request(&chain);
    let stopped = chain.with_hub(|hub| hub.promise(&asked, &now));
    assert!(
        matches!(stopped, Err(hub::PromiseError::Stopped)),
        "{stopped:?}"
    );
    chain.assert_settled(&[IncidentKind::ServerRestored]);
    assert_eq!(chain.on_hand("CORD", MARSA), 17);
    assert_eq!(chain.on_hand("TICKET", MARSA), 0);
    // The channel says what it has promised since, and head office that no till is missing from its list, for one that
    // was enrolled since the backup may hold rights. Then it goes on, and there is nothing to have.
    let now = chain.world.now();
    chain
        .with_hub(|hub| hub.confirm_promises(&[], &now))
        .expect("confirmed");
    let stopped = chain.with_hub(|hub| hub.promise(&asked, &now));
    assert!(
        matches!(stopped, Err(hub::PromiseError::Stopped)),
        "{stopped:?}"
    );
    let incident = chain.incidents()[0].incident;
    chain
        .with_hub(|hub| hub.resolve_incident(incident, "both tills are on the list", &now))
        .expect("resolved");
    assert!(!chain.promise("TICKET", MARSA, 1).1);
    chain.assert_settled(&[]);
}

/// What it had sold unheard is not known: its rights stay given away, its takings are found on slips and in the drawer,
/// and a count says what is on the shelf. Should its file turn up, its sales come after all.
#[test]
fn row_22_till_dead_with_unsynced_sales() {
    let mut chain = Chain::new(2);
    let dead = chain.holder();
    let alive = 1 - dead;
    for _ in 0..3 {
        chain.sell(dead, &["CORD"]);
    }
    let unheard = (chain.receipts, chain.taken_minor);
    (chain.receipts, chain.taken_minor) = (0, 0);
    chain.gone.insert(dead);
    let (stream, now) = (chain.stream(dead), chain.world.now());
    chain
        .with_hub(|hub| hub.seal_stream(stream, SealReason::Lost, &now))
        .expect("sealed");
    assert!(chain.scan(alive, &["TICKET"]).is_err());
    chain.assert_settled(&[]);
    assert!(chain.scan(alive, &["TICKET"]).is_err(), "it counts as sold");
    assert_eq!(chain.on_hand("CORD", MARSA), 20, "nobody knows yet");
    chain.world.advance(1_000);
    chain.count(alive, "CORD", 17, &[]);
    chain.assert_settled(&[]);
    assert_eq!(chain.on_hand("CORD", MARSA), 17);
    // It was under the counter.
    chain.gone.clear();
    (chain.receipts, chain.taken_minor) = unheard;
    chain.assert_settled(&[IncidentKind::SealedStreamReported]);
    // As in row 8: it was sold before the count.
    assert_eq!(chain.on_hand("CORD", MARSA), 17);
}

/// Whoever has it can sell nothing in the chain's name: its stream ends where it was sealed, what it sends is kept aside,
/// it is told nothing more, and what it held is not given out again.
#[test]
fn row_23_stolen_till() {
    let mut chain = Chain::new(2);
    let stolen = chain.holder();
    let other = 1 - stolen;
    chain.sell(stolen, &["CORD"]);
    chain.settle();
    let (head, stream) = (chain.head(stolen), chain.stream(stolen));
    let known = chain
        .with_hub(|hub| hub.tills(&chain.world.now()))
        .expect("tills");
    let number = chain.world.tills[stolen].number.clone();
    let device = known
        .iter()
        .find(|line| line.store.as_str() == MARSA.code && line.till.as_str() == number)
        .expect("listed")
        .device;
    let now = chain.world.now();
    chain
        .with_hub(|hub| hub.revoke_device(device, SealReason::Stolen, &now))
        .expect("revoked");
    let before = (chain.receipts, chain.taken_minor);
    chain.sell(stolen, &["CORD"]);
    let late = chain.head(stolen);
    (chain.receipts, chain.taken_minor) = before;
    for _ in 0..2 {
        chain.world.advance(600_000);
        chain.world.try_sync(stolen).expect("asked");
    }
    chain.gone.insert(stolen);
    chain.assert_settled(&[IncidentKind::RevokedDevice]);
    assert_eq!(chain.on_hand("CORD", MARSA), 19);
    assert_eq!(chain.story(IncidentKind::RevokedDevice).last(), Some(&late));
    assert_eq!(
        chain.with_hub(|hub| hub.sealed_streams()).expect("read"),
        [stream]
    );
    let report = chain.with_hub(|hub| hub.verify().expect("verify"));
    assert_eq!(report.streams[&stream.to_string()].seq, head.seq);
    let aside = chain.with_hub(|hub| hub.set_aside(10)).expect("read");
    assert!(!aside.is_empty() && aside.iter().all(|line| line.code == "revoked_device"));
    assert!(
        chain.scan(other, &["TICKET"]).is_err(),
        "it may still have been sold"
    );
    // Nothing of it is lost to whoever finds the device again: its own file has every sale.
    let ledger = chain.world.tills[stolen].till.ledger().expect("a ledger");
    assert_eq!(ledger.head().seq, late.seq);
    let copy = tempfile::tempdir().expect("a temporary folder");
    copy_files(&chain.data(stolen), copy.path());
    assert!(copy.path().join("ledger.db").exists());
}
