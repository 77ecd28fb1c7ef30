//! Rows 19, 20 and 25 to 28: who writes a stream, and that two never do.

use std::collections::BTreeSet;
use std::path::Path;

use domain::entropy::Entropy;
use domain::event::{IncidentKind, SealReason, StreamReason};
use ledger::Ledger;
use support::world::MARSA;
use sync_protocol::ProtocolError;
use till::door::{Command, NoticeReason, Reply, Status};
use till::{Context, OpenTillError, Till};

use crate::chain::{Chain, SFAX, copy_files};
use crate::device::Device;

fn status(chain: &mut Chain, index: usize) -> Status {
    let Reply::Status(status) = chain.till(index).ok(Command::Status {}).expect("status") else {
        panic!("a status")
    };
    *status
}

fn move_log(folder: &Path) {
    let conn = rusqlite::Connection::open(folder.join("ledger.db")).expect("the file");
    let moved: i64 = conn
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .expect("the log is moved");
    assert_eq!(moved, 0);
}

fn copy_ledger(from: &Path, to: &Path) {
    move_log(from);
    std::fs::copy(from.join("ledger.db"), to.join("ledger.db")).expect("copied");
}

/// A till whose files were put back learns it from the server, whether or not it has sold meanwhile: it goes on in a
/// series of its own with no rights, and every sale is booked once. Fetching back the receipts that only the server has
/// left comes with returns.
#[test]
fn row_19_till_restored_from_a_backup() {
    for sold_before_contact in [0, 2] {
        let mut chain = Chain::new(1);
        let data = chain.data(0);
        let kept = tempfile::tempdir().expect("a temporary folder");
        let mut numbers = vec![chain.sell(0, &["CORD"]).number];
        let keep = |data: &Path| copy_ledger(data, kept.path());
        chain.till(0).restart(&data, keep).expect("restarted");
        numbers.push(chain.sell(0, &["CORD"]).number);
        chain.sell(0, &["TICKET"]);
        chain.settle();
        let old = chain.stream(0);
        let back = |data: &Path| copy_ledger(kept.path(), data);
        chain.till(0).restart(&data, back).expect("restarted");
        for _ in 0..sold_before_contact {
            numbers.push(chain.sell(0, &["CORD"]).number);
        }
        chain.settle();
        assert_ne!(chain.stream(0), old);
        let ledger = chain.world.tills[0].till.ledger().expect("a ledger");
        // Whoever wrote other events at the same places is a copy as far as anybody can tell.
        let (reason, notice, incident) = if sold_before_contact == 0 {
            let behind = IncidentKind::StreamBehind;
            (StreamReason::Restored, NoticeReason::Restored, behind)
        } else {
            let forked = IncidentKind::StreamForked;
            (StreamReason::Cloned, NoticeReason::Cloned, forked)
        };
        assert_eq!(ledger.identity().reason, reason);
        let shown = status(&mut chain, 0);
        assert_eq!(shown.notice.map(|notice| notice.reason), Some(notice));
        assert!(shown.shift.is_some(), "the shift goes on");
        assert!(chain.scan(0, &["TICKET"]).is_err(), "rights stay behind");
        numbers.push(chain.sell(0, &["CORD"]).number);
        let distinct: BTreeSet<_> = numbers.iter().skip(2).collect();
        assert_eq!(distinct.len(), numbers.len() - 2);
        let kinds: Vec<_> = chain.incidents().iter().map(|line| line.kind).collect();
        assert!(kinds.contains(&incident), "{kinds:?}");
        chain.assert_settled(&kinds);
        let sold = i64::try_from(numbers.len()).expect("few");
        assert_eq!(chain.on_hand("CORD", MARSA), 20 - sold);
        assert_eq!(
            chain.with_hub(|hub| hub.sealed_streams()).expect("read"),
            [old]
        );
    }
}

/// Two tills with one identity: the server takes the first branch, keeps the other, and the till that told it goes on in
/// a new stream, which adopts what it had written. Nothing is lost, nothing is booked twice.
#[test]
fn row_20_cloned_disk_image() {
    let mut chain = Chain::new(1);
    chain.sell(0, &["CORD"]);
    chain.settle();
    let data = chain.data(0);
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    chain
        .till(0)
        .restart(&data, |data| {
            move_log(data);
            copy_files(data, elsewhere.path());
        })
        .expect("restarted");
    chain
        .world
        .start_copy(0, elsewhere.path(), 99)
        .expect("a copy");
    let copy = chain.world.tills.len() - 1;
    let shared = chain.stream(0);
    for index in [0, copy] {
        chain.sell(index, &["CORD"]);
    }
    chain.sync(0);
    chain.sync(copy);
    assert_eq!(chain.stream(0), shared);
    assert_ne!(chain.stream(copy), shared);
    assert_eq!(
        chain.world.tills[copy]
            .till
            .ledger()
            .expect("a ledger")
            .identity()
            .reason,
        StreamReason::Cloned
    );
    let numbers = [0, copy].map(|index| chain.sell(index, &["CORD"]).number);
    assert_ne!(numbers[0], numbers[1]);
    let kinds: Vec<_> = chain.incidents().iter().map(|line| line.kind).collect();
    assert!(kinds.contains(&IncidentKind::StreamForked), "{kinds:?}");
    chain.settle();
    let kinds: Vec<_> = chain.incidents().iter().map(|line| line.kind).collect();
    chain.assert_settled(&kinds);
    assert_eq!(chain.on_hand("CORD", MARSA), 15);
}

/// A damaged ledger is set aside; what can be read of it goes on in a new stream, and the server has the rest.
#[test]
fn row_25_database_corruption_on_a_till() {
    let mut chain = Chain::new(1);
    let data = chain.data(0);
    chain.sell(0, &["CORD"]);
    chain.settle();
    chain.sell(0, &["CORD"]);
    chain.sell(0, &["CORD"]);
    let old = chain.stream(0);
    chain
        .till(0)
        .restart(&data, |data| {
            move_log(data);
            let conn = rusqlite::Connection::open(data.join("ledger.db")).expect("the file");
            conn.execute_batch(
                "DROP TRIGGER event_is_never_changed;
                 UPDATE event SET bytes = CAST(replace(CAST(bytes AS TEXT), '7000', '7001') AS BLOB)
                 WHERE kind = 'SaleCompleted' AND seq = (SELECT min(seq) FROM event WHERE kind = 'SaleCompleted')",
            )
            .expect("damaged");
        })
        .expect("restarted");
    let shown = status(&mut chain, 0);
    assert_eq!(
        shown.notice.map(|notice| notice.reason),
        Some(NoticeReason::Damaged)
    );
    assert_ne!(chain.stream(0), old);
    chain.sell(0, &["CORD"]);
    chain.assert_settled(&[]);
    assert_eq!(chain.on_hand("CORD", MARSA), 16);
}

/// The second program on one folder does not start; the first one sells on.
#[test]
fn row_26_two_processes_on_one_database() {
    let mut chain = Chain::new(1);
    let data = chain.data(0);
    let context = Context {
        now: chain.world.now(),
        entropy: Entropy::new([3; 32]),
    };
    let second = Till::open(&data, "second", context);
    assert!(matches!(second, Err(OpenTillError::InUse { .. })));
    chain.sell(0, &["CORD"]);
    // Reading beside it is all that is left.
    let beside = Ledger::open_read_only(&data.join("ledger.db")).expect("beside");
    assert_eq!(beside.verify().expect("verify").first_bad, None);
    drop(beside);
    chain.assert_settled(&[]);
}

/// The old stream is sealed and stays the old store's, sales included; in the new store the device begins a stream of its
/// own with no rights and that store's stock.
#[test]
fn row_27_device_moved_to_another_store() {
    let mut chain = Chain::new(1);
    chain.sell(0, &["CORD"]);
    chain.settle();
    assert!(chain.scan(0, &["TICKET"]).is_ok(), "it holds the right");
    chain.till(0).ok(Command::ClearCart {}).expect("cleared");
    let old = chain.stream(0);
    let device = chain
        .with_hub(|hub| hub.tills(&chain.world.now()))
        .expect("tills")
        .iter()
        .find(|line| line.store.as_str() == MARSA.code)
        .expect("listed")
        .device;
    let now = chain.world.now();
    chain
        .with_hub(|hub| hub.revoke_device(device, SealReason::Retired, &now))
        .expect("revoked");
    chain.gone.insert(0);
    let data = chain.folder().join("moved");
    chain
        .world
        .add_till(SFAX, "07", &data, 77)
        .expect("enrolled");
    let moved = chain.world.tills.len() - 1;
    chain.open_till(moved);
    assert_ne!(chain.stream(moved), old);
    chain.sell(moved, &["CORD"]);
    chain.assert_settled(&[]);
    assert_eq!(chain.on_hand("CORD", MARSA), 19);
    assert_eq!(chain.on_hand("CORD", SFAX), 19);
    assert_eq!(
        chain.with_hub(|hub| hub.sealed_streams()).expect("read"),
        [old]
    );
    let (variant, place) = (chain.variant("TICKET"), crate::chain::location(MARSA));
    let rights = chain
        .with_hub(|hub| hub.rights(variant, &place))
        .expect("rights");
    assert_eq!(
        rights.by_stream[&old].0, 1_000,
        "what it held stays given away"
    );
    assert_eq!(rights.free.0, 0);
}

/// A token, a stream and a signature belong to one tenant: nothing of another one is let in, and nothing is learned.
#[test]
fn row_28_data_sent_to_the_wrong_tenant() {
    let (mut chain, mut other) = (Chain::new(1), Chain::seeded(1, 29));
    let device = Device::new(&chain, MARSA, "09", 9);
    assert_eq!(device.sync(&other).err(), Some(ProtocolError::Unauthorised));
    // The same request as it went over the wire.
    chain.world.net.tap = Some(Vec::new());
    chain.sell(0, &["CORD"]);
    chain.sync(0);
    let sent = chain.world.net.tap.take().expect("a tap");
    for request in &sent {
        let outcome = other.world.net.deliver(request);
        let refused = matches!(
            outcome,
            sync_client::TransportOutcome::Reply { status: 401, .. }
        );
        assert!(refused, "{outcome:?}");
    }
    // Within a tenant: another store's stream, and another till's.
    let thief = Device::new(&chain, SFAX, "09", 19);
    let foreign = thief.request(&chain, Some(device.push()));
    let now = chain.world.now();
    let refused = chain.with_hub(|hub| hub.sync(thief.enrolled.device, &foreign, &now));
    assert!(
        matches!(
            refused,
            Err(ProtocolError::Forbidden | ProtocolError::Unauthorised)
        ),
        "{refused:?}"
    );
    let mut own = thief.request(&chain, None);
    own.stream = chain.stream(0);
    let refused = chain.with_hub(|hub| hub.sync(thief.enrolled.device, &own, &now));
    assert_eq!(refused.err(), Some(ProtocolError::Forbidden));
    chain.assert_settled(&[]);
    other.assert_settled(&[]);
    assert_eq!(other.on_hand("CORD", MARSA), 20);
}
