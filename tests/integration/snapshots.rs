//! A new till on a bad line: the catalogue comes as a file, in parts, through restarts, and then it sells.

use std::collections::BTreeSet;

use domain::config::Role;
use domain::ids::Digest;
use support::groceries;
use support::net::Faults;
use support::world::{CASA, MARSA, World, pieces};
use sync_client::{Engine, EngineConfig};
use till::door::{Command, Reply};

/// More than twice as many rows as a feed has that comes in pages.
const ARTICLES: usize = 4_200;

#[test]
fn a_new_till_on_a_bad_line_gets_a_large_catalogue_in_parts_and_sells() {
    let month = groceries::Month {
        items: (0..ARTICLES).map(|n| format!("article {n}")).collect(),
        receipts: Vec::new(),
        synthetic: true,
    };
    let csv = groceries::catalogue_csv(&month, 10);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut world, _) = World::new(folder.path(), &[MARSA, CASA], 0, &csv, 5).expect("a chain");
    let files = folder.path().join("LM-01");
    world
        .enrol_till(MARSA, "01", &files, 11)
        .expect("a new till");
    world.net.faults = Faults::MANY;
    world.net.tap = Some(Vec::new());
    let config = |seed| EngineConfig {
        part_bytes: 16 * 1024,
        ..EngineConfig::new("test", seed)
    };
    let is_ready = |world: &World| {
        let ledger = world.tills[0].till.ledger().expect("enrolled");
        ledger.ready_to_sell().expect("readable")
    };
    let mut restarts = 0;
    for turn in 0.. {
        if is_ready(&world) {
            break;
        }
        assert!(turn < 1_000, "it is never ready");
        if turn % 3 == 0 {
            world.tills[0].restart(&files, |_| {}).expect("a restart");
            world.tills[0].engine = Engine::new(config(turn));
            restarts += 1;
        }
        world.try_sync(0).expect("an exchange");
        // What it waits after a failure.
        world.advance(300_000);
    }
    assert!(restarts > 3, "{restarts} restarts");

    let sent = world.net.tap.take().expect("a tap");
    let parts = sent
        .iter()
        .filter_map(|request| request.path.strip_prefix("/v1/snapshot/"));
    let parts: Vec<Digest> = parts.map(|name| name.parse().expect("digest")).collect();
    let named: BTreeSet<&Digest> = parts.iter().collect();
    assert_eq!(named.len(), 2, "the catalogue and the prices");
    assert!(parts.len() > 10, "{} parts", parts.len());
    for digest in named {
        let ledger = world.tills[0].till.ledger().expect("enrolled");
        assert_eq!(ledger.fetched(*digest).expect("readable"), 0);
    }

    world.net.heal();
    world.sync_until_quiet(0, 100).expect("quiet");
    let node = &mut world.tills[0];
    node.sign_in(Role::Cashier).expect("signed in");
    node.ok(Command::OpenShift {
        drawer: None,
        count: pieces(50_000, MARSA.currency).expect("a float"),
        approval: None,
    })
    .expect("open");
    for number in [0, ARTICLES / 2, ARTICLES - 1] {
        let code = groceries::gtin(number);
        let reply = node.ok(Command::ScanCode { code }).expect("scanned");
        assert!(matches!(reply, Reply::Cart(_)), "{reply:?}");
    }
    let ledger = node.till.ledger().expect("enrolled");
    assert_eq!(ledger.verify().expect("verify").first_bad, None);
}
