//! Large feeds as files: a new till on a bad line gets them in parts, and whatever is wrong with a file, the feed
//! arrives all the same, once.

use domain::ids::Digest;
use sync_client::engine::Problem;
use sync_client::{Engine, EngineConfig, EngineEvent, Standing, TransportOutcome};
use sync_protocol::{FeedName, FeedPage, ProtocolError, SNAPSHOT_DECODED_MAX, Snapshot};

use crate::STORE;
use crate::fake::{CATALOGUE, Fault, World};

const ROWS: u64 = 250;
/// Small enough that a file of the test has dozens.
const PART_BYTES: u64 = 64;

fn config() -> EngineConfig {
    EngineConfig {
        part_bytes: PART_BYTES,
        ..EngineConfig::new("test", 42)
    }
}

fn price() -> FeedName {
    FeedName::Price("TN".parse().expect("list"))
}

/// A till that was just enrolled: it follows the feeds and has none of them.
fn new_till() -> World {
    let mut world = World::with(|engine| *engine = config());
    world.server.offers_snapshots = true;
    let store = FeedName::Config("LM".parse().expect("store"));
    world.server.put(&store, "store", Some(STORE));
    for n in 0..ROWS {
        let row = format!("{{\"n\":{}}}", n * 7_919 % 1_009);
        world
            .server
            .put(&CATALOGUE, &format!("style:{n}"), Some(&row));
        world.server.put(&price(), &format!("{n}"), Some("{}"));
    }
    let feeds = [CATALOGUE, store, price()];
    world
        .ledger
        .write(|tx| -> Result<_, ledger::LedgerError> { tx.follow(&feeds) })
        .expect("followed");
    world
}

/// Everything arrived, once, and what changes afterwards comes in pages; no part is left behind.
fn assert_arrived(world: &mut World) {
    assert!(world.ledger.ready_to_sell().expect("ready"));
    for feed in [CATALOGUE, price()] {
        let cursor = &world.ledger.cursors().expect("cursors")[&feed];
        assert_eq!(cursor.ver, ROWS, "{feed}");
        let rows = |event: &EngineEvent| match event {
            EngineEvent::Applied { feed: of, rows } if *of == feed => *rows as u64,
            _ => 0,
        };
        assert_eq!(world.seen.iter().map(rows).sum::<u64>(), ROWS, "{feed}");
    }
    assert_eq!(world.engine.standing(), Standing::Online);
    let asked = world.server.snapshots;
    world.server.put(&CATALOGUE, "style:7", None);
    world.live(2);
    let cursor = &world.ledger.cursors().expect("cursors")[&CATALOGUE];
    assert_eq!(cursor.ver, ROWS + 1);
    assert_eq!(world.server.snapshots, asked, "what changes comes in pages");
    for digest in world.server.files.keys() {
        assert_eq!(world.ledger.fetched(*digest).expect("fetched"), 0);
    }
    assert_eq!(world.ledger.verify().expect("verify").first_bad, None);
}

/// Lets time pass until the till could sell.
fn live_until_ready(world: &mut World) {
    for _ in 0..60 {
        if world.ledger.ready_to_sell().expect("ready") {
            return;
        }
        world.live(1);
    }
    panic!(
        "the till never becomes ready: {:?}",
        world.engine.standing()
    );
}

/// Exchanges until a part of a file has arrived; which file.
fn first_part(world: &mut World) -> Digest {
    for _ in 0..10 {
        assert!(world.exchange(None));
        let under_way = |digest: &&Digest| world.ledger.fetched(**digest).expect("fetched") > 0;
        if let Some(digest) = world.server.files.keys().find(under_way) {
            return *digest;
        }
    }
    panic!("no part arrives");
}

#[test]
fn a_new_till_fetches_large_feeds_in_parts() {
    let mut world = new_till();
    world.settle();
    let files: usize = world.server.files.values().map(Vec::len).sum();
    assert!(
        world.server.snapshots > 4,
        "{} requests",
        world.server.snapshots
    );
    assert_eq!(world.server.file_bytes, files, "no byte comes twice");
    assert_arrived(&mut world);
}

#[test]
fn a_till_that_can_sell_reads_pages() {
    let mut world = new_till();
    world.settle();
    let asked = world.server.snapshots;
    let other = FeedName::Price("TN2".parse().expect("list"));
    world.server.put(&other, "1", Some("{}"));
    world.live(2);
    assert_eq!(world.ledger.cursors().expect("cursors")[&other].ver, 1);
    assert_eq!(world.server.snapshots, asked);
    assert!(
        world
            .server
            .requests
            .last()
            .expect("request")
            .snapshots
            .is_empty()
    );
}

#[test]
fn a_server_that_names_no_file_sends_pages() {
    let mut world = new_till();
    world.server.offers_snapshots = false;
    world.settle();
    assert_eq!(world.server.snapshots, 0);
    assert_arrived(&mut world);
}

#[test]
fn a_broken_line_and_a_restart_cost_no_byte_that_arrived() {
    let mut world = new_till();
    let mut cuts = 0;
    for n in 0_u32.. {
        if world.ledger.ready_to_sell().expect("ready") {
            break;
        }
        assert!(n < 1_000, "it never ends");
        let wait = world.engine.next_wake_ms(&world.now).expect("idle");
        world.pass(wait);
        let is_cut = n % 3 == 1;
        world.exchange(is_cut.then_some(Fault::LoseRequest));
        cuts += u32::from(is_cut);
        // The program ends and begins anew; what was under way is not known any more.
        if n % 4 == 2 {
            world.engine = Engine::new(config());
        }
    }
    assert!(cuts > 3, "{cuts} cuts");
    let files: usize = world.server.files.values().map(Vec::len).sum();
    assert_eq!(world.server.file_bytes, files, "no byte comes twice");
    world.settle();
    assert_arrived(&mut world);
}

#[test]
fn parts_become_smaller_on_a_bad_line_and_larger_on_a_good_one() {
    let mut world = new_till();
    first_part(&mut world);
    let length = |world: &mut World, outcome: Option<TransportOutcome>| {
        let outgoing = world.poll().expect("a part");
        let range = outgoing
            .headers
            .iter()
            .find(|(name, _)| *name == "range")
            .expect("range");
        let range = range.1.strip_prefix("bytes=").expect("bytes");
        let (from, last) = range.split_once('-').expect("range");
        let (from, last): (u64, u64) = (from.parse().expect("from"), last.parse().expect("last"));
        let outcome = outcome.unwrap_or_else(|| world.server.serve(&outgoing));
        world.take(outgoing.ticket, outcome);
        let wait = world.engine.next_wake_ms(&world.now).expect("idle");
        world.pass(wait);
        last + 1 - from
    };
    let lost = || Some(TransportOutcome::Unreachable);
    assert_eq!(length(&mut world, lost()), 2 * PART_BYTES);
    assert_eq!(length(&mut world, lost()), PART_BYTES);
    assert_eq!(length(&mut world, None), PART_BYTES / 2);
    assert_eq!(length(&mut world, None), PART_BYTES);
    for _ in 0..10 {
        length(&mut world, lost());
    }
    assert_eq!(length(&mut world, lost()), PART_BYTES / 8);
    world.settle();
    assert_arrived(&mut world);
}

#[test]
fn a_file_that_is_gone_is_asked_for_anew() {
    let mut world = new_till();
    let old = first_part(&mut world);
    world.server.files.clear();
    // Another version since, so another file.
    let row = world.server.feeds.get_mut(&CATALOGUE).expect("feed");
    row.get_mut("style:3").expect("row").1 = Some("{\"n\":-1}".to_owned());
    world.settle();
    assert!(!world.server.files.contains_key(&old));
    assert_eq!(world.ledger.fetched(old).expect("fetched"), 0);
    assert_arrived(&mut world);
}

#[test]
fn one_that_goes_on_is_not_left_for_a_newer_one() {
    let mut world = new_till();
    let old = first_part(&mut world);
    world.server.put(&CATALOGUE, "style:new", Some("{}"));
    // A push in between: its answer names the newer file.
    world.happen(1);
    world.settle();
    world.assert_in_step();
    assert_eq!(world.server.files.len(), 3, "both files were named");
    let fetched: usize = world.server.files[&old].len();
    assert!(world.server.file_bytes > fetched);
    assert!(world.seen.contains(&EngineEvent::Applied {
        feed: CATALOGUE,
        rows: usize::try_from(ROWS).expect("rows"),
    }));
    let cursor = &world.ledger.cursors().expect("cursors")[&CATALOGUE];
    assert_eq!(cursor.ver, ROWS + 1, "and the rest comes in pages");
}

/// Makes `content` the file, rightly named but for what it decodes to.
fn replace(named: &mut Snapshot, file: &mut Vec<u8>, content: &[u8]) {
    *file = zstd::bulk::compress(content, 3).expect("zstd");
    named.bytes = file.len() as u64;
    named.digest = Snapshot::digest(file);
}

/// The page in a file, changed.
fn edit(named: &mut Snapshot, file: &mut Vec<u8>, change: fn(&mut FeedPage)) {
    let json = zstd::stream::decode_all(&file[..]).expect("zstd");
    let mut page: FeedPage = serde_json::from_slice(&json).expect("page");
    change(&mut page);
    let json = serde_json::to_vec(&page).expect("page");
    named.decoded = json.len() as u64;
    replace(named, file, &json);
}

#[test]
fn whatever_is_wrong_with_a_file_its_feed_arrives() {
    type Wrong = (&'static str, fn(&mut Snapshot, &mut Vec<u8>));
    let wrongs: [Wrong; 14] = [
        ("a byte is another", |_, file| {
            let middle = file.len() / 2;
            file[middle] ^= 1;
        }),
        ("nobody has it", |named, _| named.digest = Digest([7; 32])),
        ("it is said to be longer", |named, file| {
            file.pop();
            named.digest = Snapshot::digest(file);
            named.bytes = file.len() as u64;
        }),
        ("no frame", |named, file| {
            *file = b"<html>".to_vec();
            named.bytes = 6;
            named.digest = Snapshot::digest(file);
        }),
        ("no page", |named, file| {
            named.decoded = 4;
            replace(named, file, b"null");
        }),
        ("a bomb", |named, file| {
            replace(named, file, &vec![b' '; 4 * 1024 * 1024]);
        }),
        ("shorter than said", |named, _| named.decoded += 1),
        ("larger than a till takes", |named, _| {
            named.decoded = SNAPSHOT_DECODED_MAX + 1;
        }),
        ("empty", |named, file| {
            file.clear();
            named.bytes = 0;
            named.digest = Snapshot::digest(b"");
        }),
        ("another feed", |named, file| {
            edit(named, file, |page| page.feed = price());
        }),
        ("a feed that was not asked for", |named, _| {
            named.feed = FeedName::Stock("LM".parse().expect("location"));
        }),
        ("another version", |named, _| named.ver += 1),
        ("not all", |named, file| {
            edit(named, file, |page| page.more = true);
        }),
        ("a row is missing", |named, file| {
            edit(named, file, |page| page.rows.truncate(9));
        }),
    ];
    for (what, wrong) in wrongs {
        let mut world = new_till();
        world.server.bend_file = wrong;
        live_until_ready(&mut world);
        world.live(1);
        let mut known = world.ledger.cursors().expect("cursors");
        for feed in [CATALOGUE, price()] {
            assert_eq!(known.remove(&feed).expect("followed").ver, ROWS, "{what}");
        }
        assert_eq!(world.engine.standing(), Standing::Online, "{what}");
        for digest in world.server.files.keys() {
            assert_eq!(world.ledger.fetched(*digest).expect("fetched"), 0, "{what}");
        }
        assert_eq!(world.ledger.verify().expect("verify").first_bad, None);
        assert!(world.server.snapshots < 500, "{what}");
    }
}

#[test]
fn somebody_on_the_way_who_knows_no_ranges_sends_it_whole() {
    let mut world = new_till();
    first_part(&mut world);
    world.server.knows_no_ranges = true;
    world.settle();
    assert_arrived(&mut world);
}

#[test]
fn refusals_of_a_part_are_answered_as_those_of_a_push() {
    for (error, standing) in [
        (
            ProtocolError::Unauthorised,
            Standing::Problem(Problem::Unauthorised),
        ),
        (
            ProtocolError::Forbidden,
            Standing::Problem(Problem::Forbidden),
        ),
        (ProtocolError::Revoked, Standing::Problem(Problem::Revoked)),
        (ProtocolError::Internal, Standing::Offline),
    ] {
        let mut world = new_till();
        let digest = first_part(&mut world);
        let arrived = world.ledger.fetched(digest).expect("fetched");
        world.exchange(Some(Fault::error(error)));
        assert_eq!(world.engine.standing(), standing);
        assert!(world.engine.next_wake_ms(&world.now).expect("idle") > 0);
        assert_eq!(world.ledger.fetched(digest).expect("fetched"), arrived);
        live_until_ready(&mut world);
        world.settle();
        assert_arrived(&mut world);
    }
    let mut world = new_till();
    first_part(&mut world);
    world.exchange(Some(Fault::error(ProtocolError::Busy { after_ms: 9_000 })));
    let wait = world.engine.next_wake_ms(&world.now).expect("idle");
    assert!(wait >= 9_000, "{wait}");
    world.pass(wait);
    world.settle();
    assert_arrived(&mut world);
}

#[test]
fn a_stranger_in_between_costs_nothing_unless_it_stays() {
    let mut world = new_till();
    let digest = first_part(&mut world);
    let arrived = world.ledger.fetched(digest).expect("fetched");
    for _ in 0..4 {
        let outgoing = world.poll().expect("a part");
        world.take(outgoing.ticket, TransportOutcome::NotOurs);
        let wait = world.engine.next_wake_ms(&world.now).expect("idle");
        world.pass(wait);
    }
    assert_eq!(world.ledger.fetched(digest).expect("fetched"), arrived);
    // A proxy that lets no file through, ever.
    for _ in 0..200 {
        if world.ledger.ready_to_sell().expect("ready") {
            break;
        }
        let wait = world.engine.next_wake_ms(&world.now).expect("idle");
        world.pass(wait);
        let Some(outgoing) = world.poll() else {
            continue;
        };
        let outcome = if outgoing.path == "/v1/sync" {
            world.server.serve(&outgoing)
        } else {
            TransportOutcome::NotOurs
        };
        world.take(outgoing.ticket, outcome);
    }
    assert_eq!(world.ledger.fetched(digest).expect("fetched"), 0);
    world.settle();
    assert_arrived(&mut world);
}

#[test]
fn a_server_in_another_life_names_its_own_file() {
    let mut world = new_till();
    first_part(&mut world);
    world.server.epoch += 1;
    world.server.files.clear();
    for rows in world.server.feeds.values_mut() {
        if let Some((_, row)) = rows.get_mut("style:5") {
            *row = Some("{\"n\":-5}".to_owned());
        }
    }
    // It is only heard of with the next push or poll.
    world.happen(1);
    world.settle();
    world.assert_in_step();
    assert_arrived(&mut world);
}

#[test]
fn a_till_without_room_fetches_nothing_and_goes_on_later() {
    let mut world = new_till();
    let digest = first_part(&mut world);
    world.engine.pause_pulls(true);
    world.happen(1);
    world.settle();
    world.assert_in_step();
    assert!(!world.ledger.ready_to_sell().expect("ready"));
    assert!(world.ledger.fetched(digest).expect("fetched") > 0);
    world.engine.pause_pulls(false);
    world.settle();
    let files: usize = world.server.files.values().map(Vec::len).sum();
    assert_eq!(world.server.file_bytes, files, "no byte comes twice");
    assert_arrived(&mut world);
}
