//! What a till and a server of an earlier version left behind, and what such a till sent: files and requests kept as
//! they were. Today's server takes the requests in, and today's programs go on with the files, unsynced sales and all.
//!
//! `UPDATE_GOLDEN=1 cargo test -p tests --test integration frozen` writes what is missing for the version at hand. What
//! is there is never written again: a till may send it for 24 months.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use domain::config::Role;
use domain::event::{CashMovement, TenderKind, chain_hash};
use domain::ids::{Digest, LocationId, VariantId};
use domain::quantity::Quantity;
use serde::{Deserialize, Serialize};
use support::groceries;
use support::world::{CASA, MANAGER_PIN, MARSA, World, pieces};
use sync_client::outgoing::{Method, OutgoingKind};
use sync_client::{Outgoing, TransportOutcome};
use till::door::{Approval, Command, GoodsInput, Reply, TenderInput};

/// Versions, and the chain hash of each one's file after a genesis of zeros: a file that was written once is never
/// another.
const VERSIONS: &[(&str, &str)] = &[(
    "0.1.0",
    "3442c82236b905a340740f93bde527c9334d26f47695b0814ce36c346b5da85f",
)];

/// A chain whose first till is in the middle of its second day.
#[derive(Serialize, Deserialize)]
struct Frozen {
    /// Wall clock of the moment.
    wall_ms: i64,
    /// The server's file, hexadecimal.
    hub: String,
    /// Files of the till, hexadecimal.
    till: BTreeMap<String, String>,
    /// Events that the server does not have.
    unsynced: u64,
    /// What the till sent next.
    requests: Vec<Sent>,
    /// What the server then shows.
    shown: Shown,
}

#[derive(Serialize, Deserialize)]
struct Sent {
    post: bool,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Shown {
    /// Receipts, reversals and minor units of each day.
    takings: Vec<(String, u64, u64, i64)>,
    /// On hand of each variant, thousandths.
    on_hand: BTreeMap<VariantId, Quantity>,
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digit).collect()
}

fn path_of(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("integration/frozen/{version}.json.zst"))
}

fn chain(folder: &Path) -> World {
    let items = (0..12).map(|number| format!("article {number}")).collect();
    let month = groceries::Month {
        items,
        receipts: Vec::new(),
        synthetic: true,
    };
    let csv = groceries::catalogue_csv(&month, 10);
    let (world, _) = World::new(folder, &[MARSA, CASA], 1, &csv, 5).expect("a chain");
    world
}

fn sell(world: &mut World, codes: &[usize]) -> String {
    let node = &mut world.tills[0];
    let mut sale = None;
    for number in codes {
        let code = groceries::gtin(*number);
        match node.ok(Command::ScanCode { code }).expect("scanned") {
            Reply::Cart(cart) => sale = Some(cart.sale),
            other => panic!("{other:?}"),
        }
    }
    let tenders = vec![TenderInput {
        kind: TenderKind::Cash,
        amount_minor: None,
        reference: None,
    }];
    let complete = Command::Complete {
        sale: sale.expect("a cart"),
        tenders,
        approval: None,
    };
    match node.ok(complete).expect("completed") {
        Reply::Completed(done) => done.number,
        other => panic!("{other:?}"),
    }
}

fn manager(world: &mut World) -> Approval {
    let node = &mut world.tills[0];
    let Reply::Users { users } = node.ok(Command::ListUsers {}).expect("staff") else {
        panic!("no list of staff")
    };
    let manager = users.iter().find(|user| user.role == Role::Manager);
    Approval {
        user: manager.expect("a manager").user,
        pin: MANAGER_PIN.to_owned(),
    }
}

fn open(world: &mut World) {
    let count = pieces(50_000, MARSA.currency).expect("a float");
    world.tills[0].sign_in(Role::Cashier).expect("signed in");
    let open = Command::OpenShift {
        drawer: None,
        count,
        approval: None,
    };
    world.tills[0].ok(open).expect("open");
}

/// Something of everything that a till writes.
fn a_day_and_a_half(world: &mut World) {
    open(world);
    let first = sell(world, &[3, 4, 4]);
    sell(world, &[5]);
    let approval = Some(manager(world));
    world.tills[0]
        .ok(Command::ReverseSale {
            number: first,
            reason: "erreur de saisie".to_owned(),
            approval,
        })
        .expect("undone");
    let approval = Some(manager(world));
    world.tills[0]
        .ok(Command::MoveCash {
            movement: CashMovement::PayIn,
            amount_minor: 5_000,
            reason: "monnaie".to_owned(),
            approval,
        })
        .expect("paid in");
    let Reply::Report(x) = world.tills[0]
        .ok(Command::XReport {
            print: false,
            approval: None,
        })
        .expect("counted")
    else {
        panic!("no report")
    };
    let count = pieces(x.expected_minor, MARSA.currency).expect("a count");
    world.tills[0]
        .ok(Command::CloseShift {
            count,
            approval: None,
        })
        .expect("closed");
    world.sync_until_quiet(0, 50).expect("synchronised");
    world.advance(20 * 3_600_000);
    open(world);
    sell(world, &[1, 2]);
    world.tills[0].sign_in(Role::Manager).expect("signed in");
    let variant = variant_of(world, 7);
    let lines = vec![GoodsInput {
        variant,
        quantity: Quantity(6_000),
    }];
    let node = &mut world.tills[0];
    node.ok(Command::ReceiveGoods {
        lines,
        zone: None,
        reference: Some("BL 17".to_owned()),
        included_in: None,
        document: None,
    })
    .expect("received");
    node.ok(Command::StartStockCount {
        zone: None,
        document: None,
    })
    .expect("begun");
    node.ok(Command::AddCounted {
        variant,
        quantity: Quantity(15_000),
    })
    .expect("counted");
    node.ok(Command::FinishStockCount { approval: None })
        .expect("written");
    sell(world, &[7, 8, 9]);
}

fn variant_of(world: &mut World, number: usize) -> VariantId {
    let ledger = world.tills[0].till.ledger().expect("a ledger");
    let code = groceries::gtin(number);
    ledger
        .find_code(&code)
        .expect("readable")
        .expect("in the catalogue")
        .variant
        .variant
}

fn shown(world: &World) -> Shown {
    let hub = world.hub.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(hub.set_aside(10).expect("readable").is_empty());
    let report = hub.verify().expect("verify");
    assert_eq!(report.first_bad, None);
    let takings = hub.takings(None).expect("takings");
    let takings = takings
        .into_iter()
        .map(|line| {
            (
                line.date.to_string(),
                line.receipts,
                line.reversals,
                line.takings_minor,
            )
        })
        .collect();
    let at = LocationId::new(MARSA.code).expect("a location");
    let page = hub.stock_page("", 0, 100).expect("stock");
    let on_hand = page
        .rows
        .iter()
        .map(|row| {
            let lineage = hub.stock_lineage(row.variant, &at, 1).expect("lineage");
            let quantity = lineage.map_or(Quantity::ZERO, |lineage| lineage.quantity);
            (row.variant, quantity)
        })
        .collect();
    Shown { takings, on_hand }
}

fn record(version: &str) {
    let place = tempfile::tempdir().expect("a folder");
    let mut world = chain(place.path());
    a_day_and_a_half(&mut world);
    let unsynced = world.tills[0].unsynced().expect("a number");
    let folder = place.path().join("LM-01");
    let mut till = BTreeMap::new();
    world.tills[0]
        .restart(&folder, |folder| {
            for name in ["ledger.db", "drafts.db", "device.key"] {
                let bytes = std::fs::read(folder.join(name)).expect("a file");
                till.insert(name.to_owned(), hexadecimal(&bytes));
            }
        })
        .expect("restarted");
    let mut hub = String::new();
    world
        .restart_server(place.path(), |path| {
            hub = hexadecimal(&std::fs::read(path).expect("the server's file"));
        })
        .expect("restarted");
    let wall_ms = world.now().wall_ms;
    world.net.tap = Some(Vec::new());
    world.sync_until_quiet(0, 50).expect("synchronised");
    let requests = world.net.tap.take().expect("what was sent");
    let frozen = Frozen {
        wall_ms,
        hub,
        till,
        unsynced,
        requests: requests
            .into_iter()
            .map(|sent| Sent {
                post: sent.method == Method::Post,
                path: sent.path,
                headers: sent
                    .headers
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
                body: hexadecimal(&sent.body),
            })
            .collect(),
        shown: shown(&world),
    };
    let text = serde_json::to_vec(&frozen).expect("json");
    let packed = zstd::encode_all(&text[..], 19).expect("packed");
    std::fs::write(path_of(version), packed).expect("write");
}

fn frozen((version, hash): (&str, &str)) -> Frozen {
    static ONE_BY_ONE: Mutex<()> = Mutex::new(());
    let _guard = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = path_of(version);
    if std::env::var_os("UPDATE_GOLDEN").is_some() && !path.exists() {
        record(version);
    }
    let packed = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{version}: {error}; UPDATE_GOLDEN=1 makes it"));
    assert_eq!(
        chain_hash(Digest([0; 32]), &packed).to_string(),
        hash,
        "{version} was changed"
    );
    let text = zstd::decode_all(&packed[..]).expect("unpacked");
    serde_json::from_slice(&text).expect("what was frozen")
}

/// A world whose server goes on with the file that was kept.
fn world_of(frozen: &Frozen, place: &Path) -> World {
    let mut world = chain(place);
    world.advance(frozen.wall_ms - world.now().wall_ms);
    world
        .restart_server(place, |path| {
            for suffix in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
            }
            std::fs::write(path, bytes_of(&frozen.hub)).expect("the old file");
        })
        .expect("an old server's file opens");
    world
}

#[test]
fn requests_of_old_tills_are_taken_in() {
    for (version, hash) in VERSIONS {
        let frozen = frozen((version, hash));
        let place = tempfile::tempdir().expect("a folder");
        let mut world = world_of(&frozen, place.path());
        assert_ne!(shown(&world), frozen.shown, "{version}");
        assert!(frozen.requests.iter().any(|sent| sent.post), "{version}");
        // Once more, as after a lost answer.
        for sent in frozen.requests.iter().chain(&frozen.requests) {
            let outgoing = Outgoing {
                ticket: 0,
                method: if sent.post { Method::Post } else { Method::Get },
                path: sent.path.clone(),
                headers: sent
                    .headers
                    .iter()
                    .map(|(name, value)| (&*name.clone().leak(), value.clone()))
                    .collect(),
                body: bytes_of(&sent.body),
                kind: OutgoingKind::Sync,
            };
            match world.net.deliver(&outgoing) {
                TransportOutcome::Reply { status: 200, .. } => {}
                other => panic!("{version} {}: {other:?}", sent.path),
            }
        }
        assert_eq!(shown(&world), frozen.shown, "{version}");
    }
}

#[test]
fn files_of_old_tills_open_and_their_unsynced_sales_arrive() {
    for (version, hash) in VERSIONS {
        let frozen = frozen((version, hash));
        let place = tempfile::tempdir().expect("a folder");
        let mut world = world_of(&frozen, place.path());
        let folder = place.path().join("LM-01");
        world.tills[0]
            .restart(&folder, |folder| {
                std::fs::remove_dir_all(folder).expect("away with the new one");
                std::fs::create_dir_all(folder).expect("a folder");
                for (name, bytes) in &frozen.till {
                    std::fs::write(folder.join(name), bytes_of(bytes)).expect("the old file");
                }
            })
            .expect("an old till's files open");
        let unsynced = world.tills[0].unsynced().expect("a number");
        assert!(unsynced >= frozen.unsynced && unsynced > 5, "{version}");
        world.sync_until_quiet(0, 50).expect("synchronised");
        assert_eq!(shown(&world), frozen.shown, "{version}");
        // And the day goes on.
        world.tills[0].sign_in(Role::Cashier).expect("signed in");
        sell(&mut world, &[1]);
        world.sync_until_quiet(0, 50).expect("synchronised");
        assert_ne!(shown(&world), frozen.shown, "{version}");
        let ledger = world.tills[0].till.ledger().expect("a ledger");
        assert_eq!(ledger.verify().expect("verify").first_bad, None);
    }
}
