//! The sync engine against a server in memory and a bad line. No socket, no clock, no sleep.

mod fake;
mod rights;
mod snapshots;

use std::collections::BTreeMap;

use domain::ids::{Digest, StreamId};
use fake::{CATALOGUE, Fault, World};
use sync_client::engine::Problem;
use sync_client::pace::{BACKOFF_MS_MAX, Pace};
use sync_client::{EngineEvent, Standing, TransportOutcome};
use sync_protocol::{FeedName, PROTOCOL, Poke, ProtocolError};

#[test]
fn what_happened_reaches_the_server_once_and_is_acknowledged() {
    let mut world = World::new();
    world.happen(5);
    assert_eq!(world.settle(), 1);
    world.assert_in_step();
    assert_eq!(world.engine.standing(), Standing::Online);
    assert!(world.seen.contains(&EngineEvent::Acked { seq: 6 }));
    assert_eq!(world.settle(), 0, "nothing is left to say");
    world.happen(1);
    assert_eq!(
        world.settle(),
        1,
        "a new event goes out without waiting for the poll"
    );
    world.assert_in_step();
    let status = &world.server.requests[1].status;
    assert_eq!(status.unsynced, 1);
    assert_eq!(status.oldest_wall, Some(world.now.wall_ms));
}

#[test]
fn an_idle_till_polls_at_its_interval() {
    let mut world = World::new();
    world.settle();
    let wait = world.engine.next_wake_ms(&world.now).expect("idle");
    assert!((12_000..=18_000).contains(&wait), "{wait}");
    world.pass(wait - 1);
    assert!(world.poll().is_none());
    world.pass(1);
    assert!(world.exchange(None));
    world.engine.nudge();
    assert!(world.exchange(None), "a person may ask at any time");
}

#[test]
fn a_poke_brings_the_poll_forward_only_for_what_is_new() {
    let mut world = World::new();
    world.server.put(&CATALOGUE, "a", Some("{}"));
    world.settle();
    let idle = world.engine.next_wake_ms(&world.now).expect("idle");
    let known = world.ledger.cursors().expect("cursors");
    let known = known.into_iter();
    let known: BTreeMap<String, u64> = known
        .map(|(feed, cursor)| (feed.to_string(), cursor.ver))
        .collect();
    assert!(!known.is_empty());
    let poke = |world: &mut World, feeds: BTreeMap<String, u64>, rights| {
        let poke = Poke { feeds, rights };
        world
            .engine
            .poked(&world.ledger, &poke, &world.now)
            .expect("read");
        world.engine.next_wake_ms(&world.now).expect("idle")
    };
    assert_eq!(poke(&mut world, known.clone(), false), idle);
    let foreign = BTreeMap::from([("no feed".to_owned(), 9)]);
    assert_eq!(poke(&mut world, foreign, false), idle);
    let catalogue = CATALOGUE.to_string();
    let newer = BTreeMap::from([(catalogue.clone(), known[&catalogue] + 1)]);
    let soon = poke(&mut world, newer, false);
    assert!(soon <= 360, "{soon}");
    assert_eq!(poke(&mut world, BTreeMap::new(), true), 0);
    // A wait that the server asked for is kept.
    assert!(world.exchange(Some(Fault::error(ProtocolError::Busy { after_ms: 60_000 }))));
    assert!(poke(&mut world, BTreeMap::new(), true) > 50_000);
}

#[test]
fn one_request_is_under_way_at_a_time() {
    let mut world = World::new();
    let first = world.poll().expect("first");
    world.happen(1);
    assert!(world.poll().is_none());
    assert_eq!(world.engine.next_wake_ms(&world.now), None);
    let reply = world.server.serve(&first);
    world.take(first.ticket, reply);
    assert!(world.poll().is_some());
}

#[test]
fn lost_and_doubled_messages_change_nothing() {
    let mut world = World::with(|config| config.push_events_max = 7);
    world.happen(40);
    let mut pace = Pace::new(9);
    for round in 0..400 {
        let fault = match pace.spread_ms(1_000) % 4 {
            0 => Some(Fault::LoseRequest),
            1 => Some(Fault::LoseReply),
            2 => Some(Fault::Duplicate),
            _ => None,
        };
        world.exchange(fault);
        if round < 40 {
            world.happen(1);
        }
        world.pass(60_000);
    }
    world.live(2);
    world.assert_in_step();
}

#[test]
fn an_answer_to_an_earlier_request_is_ignored() {
    let mut world = World::new();
    world.happen(3);
    let early = world.poll().expect("early");
    let early_reply = world.server.serve(&early);
    world.take(early.ticket, TransportOutcome::Unreachable);
    world.pass(2_000);
    world.happen(3);
    let late = world.poll().expect("late");
    assert!(world.take(early.ticket, early_reply.clone()).is_empty());
    let late_reply = world.server.serve(&late);
    world.take(late.ticket, late_reply);
    world.assert_in_step();
    assert!(world.take(early.ticket, early_reply).is_empty());
    world.assert_in_step();
}

#[test]
fn nonsense_is_named_waited_out_and_survived() {
    let cases: Vec<(&str, TransportOutcome)> = vec![
        ("a page of the hotel", reply(200, b"<html>Welcome</html>")),
        ("an empty answer", reply(200, b"")),
        ("an error under 200", reply(200, br#"{"code":"forbidden"}"#)),
        (
            "a forbidden page of a proxy",
            reply(403, b"<html>blocked</html>"),
        ),
        ("a missing page", reply(404, b"not found")),
        ("a stranger's failure", reply(500, b"<html>oops</html>")),
        ("a stranger's poverty", reply(501, b"<html>no POST</html>")),
        ("a redirect", TransportOutcome::NotOurs),
        (
            "an enrolment error",
            reply(404, br#"{"code":"code_invalid"}"#),
        ),
        (
            "a gap beyond the head",
            reply(409, br#"{"code":"gap","expected":99}"#),
        ),
        (
            "a gap at nothing",
            reply(409, br#"{"code":"gap","expected":0}"#),
        ),
    ];
    for (name, outcome) in cases {
        let mut world = World::new();
        world.happen(2);
        let outgoing = world.poll().expect(name);
        world.take(outgoing.ticket, outcome);
        assert_eq!(
            world.engine.standing(),
            Standing::Problem(Problem::ServerNonsense),
            "{name}"
        );
        assert!(world.poll().is_none(), "{name}: waits");
        world.live(1);
        assert_eq!(world.engine.standing(), Standing::Online, "{name}");
        world.assert_in_step();
    }
}

#[test]
fn a_server_that_is_down_is_offline_not_a_problem() {
    for outcome in [
        TransportOutcome::Unreachable,
        reply(502, b"<html>bad gateway</html>"),
        reply(504, b"<html>gateway time-out</html>"),
        reply(500, br#"{"code":"internal"}"#),
    ] {
        let mut world = World::new();
        let outgoing = world.poll().expect("request");
        world.take(outgoing.ticket, outcome);
        assert_eq!(world.engine.standing(), Standing::Offline);
        world.live(1);
        assert_eq!(world.engine.standing(), Standing::Online);
    }
}

#[test]
fn backoff_grows_to_five_minutes_and_ends_with_the_first_answer() {
    let mut world = World::new();
    let mut longest = 0;
    for _ in 0..60 {
        assert!(world.exchange(Some(Fault::LoseRequest)));
        let wait = world.engine.next_wake_ms(&world.now).expect("waits");
        assert!((1..=BACKOFF_MS_MAX).contains(&wait));
        longest = longest.max(wait);
        world.happen(1);
        assert!(world.poll().is_none(), "a sale does not break the backoff");
        world.pass(wait);
    }
    assert!(longest > BACKOFF_MS_MAX / 2, "{longest}");
    world.settle();
    world.assert_in_step();
    assert!(world.exchange(None) || world.engine.next_wake_ms(&world.now).expect("idle") <= 18_000);
    assert!(world.engine.next_wake_ms(&world.now).expect("idle") <= 18_000);
}

#[test]
fn a_busy_server_is_left_alone_even_when_nudged() {
    for (status, retry_after_ms, body, least) in [
        (503, None, r#"{"code":"busy","after_ms":30000}"#, 30_000),
        (429, Some(20_000), "slow down", 20_000),
        (
            503,
            None,
            r#"{"code":"busy","after_ms":99999999999}"#,
            600_000,
        ),
    ] {
        let mut world = World::new();
        let outgoing = world.poll().expect("request");
        world.take(
            outgoing.ticket,
            TransportOutcome::Reply {
                status,
                retry_after_ms,
                body: body.as_bytes().to_vec(),
            },
        );
        world.engine.nudge();
        let wait = world.engine.next_wake_ms(&world.now).expect("waits");
        assert!((least..=least + least / 2).contains(&wait), "{wait}");
        world.pass(least - 1);
        assert!(world.poll().is_none());
        world.live(1);
        assert_eq!(world.engine.standing(), Standing::Online);
    }
}

#[test]
fn a_batch_that_is_too_large_is_halved_until_it_fits() {
    let mut world = World::new();
    world.happen(99);
    world.server.batch_max = 10;
    world.settle();
    world.assert_in_step();
    let tried: Vec<usize> = world
        .server
        .requests
        .iter()
        .filter_map(|request| request.push.as_ref().map(|push| push.events.len()))
        .collect();
    assert_eq!(&tried[..5], &[100, 50, 25, 12, 6]);
}

#[test]
fn a_single_event_that_is_refused_holds_back_the_push_and_nothing_else() {
    let mut world = World::new();
    world.server.put(&CATALOGUE, "style:1", Some("{}"));
    world.happen(9);
    world.server.unreadable = vec![4];
    world.settle();
    assert_eq!(world.acked(), 3, "what lies before it is safe");
    assert_eq!(
        world.engine.standing(),
        Standing::Problem(Problem::PushRefused)
    );
    world.server.put(&CATALOGUE, "style:2", Some("{}"));
    world.live(1);
    assert_eq!(
        world.ledger.cursors().expect("cursors")[&CATALOGUE].ver,
        2,
        "prices still arrive"
    );
    world.server.unreadable.clear();
    world.live(40);
    world.assert_in_step();
    assert_eq!(world.engine.standing(), Standing::Online);
}

#[test]
fn a_gap_is_filled_from_where_the_server_stands() {
    let mut world = World::new();
    world.happen(20);
    world.settle();
    // A server that lost its tail without knowing it: same epoch, fewer events.
    world.server.events.truncate(8);
    world.happen(1);
    world.settle();
    world.assert_in_step();
    assert_eq!(world.engine.standing(), Standing::Online);
}

#[test]
fn a_shorter_acknowledgement_makes_the_till_send_again() {
    let mut world = World::new();
    world.happen(20);
    world.settle();
    world.server.events.truncate(8);
    world.live(1);
    assert_eq!(world.server.events.len(), 21);
    assert_eq!(world.engine.standing(), Standing::Online);
}

#[test]
fn a_restored_server_gets_again_what_it_lost() {
    let mut world = World::new();
    world.server.put(&CATALOGUE, "style:1", Some("{}"));
    world.server.put(&CATALOGUE, "style:2", Some("{}"));
    world.happen(20);
    world.settle();
    world.server.events.truncate(5);
    world.server.epoch = 2;
    world
        .server
        .feeds
        .get_mut(&CATALOGUE)
        .expect("feed")
        .remove("style:2");
    world.live(2);
    world.assert_in_step();
    assert!(world.seen.contains(&EngineEvent::EpochChanged {
        authority: "hq".to_owned(),
        epoch: 2
    }));
    assert_eq!(world.engine.standing(), Standing::Online);
    // The new epoch is remembered by the ledger, not by this engine.
    let requests = world.server.requests.len();
    world.engine = sync_client::Engine::new(sync_client::EngineConfig::new("test", 1));
    world.settle();
    assert_eq!(world.server.requests[requests].epoch, 2);
    assert_eq!(world.server.requests[requests].acked_seq, 21);
}

#[test]
fn a_restored_server_counts_its_versions_from_another_past() {
    let mut world = World::new();
    world.server.put(&CATALOGUE, "style:1", Some("{\"at\":1}"));
    world.server.put(&CATALOGUE, "style:2", Some("{\"at\":2}"));
    world.settle();
    world.server.no_news_no_page = true;
    // Restored to the first version, it has given the second to another row's content since.
    world.server.epoch = 2;
    let rows = world.server.feeds.get_mut(&CATALOGUE).expect("feed");
    rows.insert("style:2".to_owned(), (2, Some("{\"at\":3}".to_owned())));
    world.live(2);
    let theirs = world.server.checksum(&CATALOGUE);
    let report = world.ledger.verify().expect("verify");
    assert_eq!(report.feeds[&CATALOGUE].checksum, theirs);
}

#[test]
fn a_fork_stops_the_push_and_leaves_the_pull() {
    let mut world = World::new();
    world.happen(3);
    world.settle();
    let last = world.server.events.len() - 1;
    world.server.events[last] = b"{\"another\":\"history\"}".to_vec();
    world.server.put(&CATALOGUE, "style:1", Some("{}"));
    world.happen(2);
    world.settle();
    assert_eq!(
        world.engine.standing(),
        Standing::Problem(Problem::StreamFork)
    );
    assert_eq!(
        world
            .seen
            .iter()
            .filter(|event| matches!(event, EngineEvent::StreamBroken(_)))
            .count(),
        1
    );
    assert_eq!(world.acked(), 4, "only what was ours");
    assert!(
        world
            .ledger
            .cursors()
            .expect("cursors")
            .contains_key(&CATALOGUE)
    );
    world.server.put(&CATALOGUE, "style:2", Some("{}"));
    world.live(2);
    assert_eq!(world.ledger.cursors().expect("cursors")[&CATALOGUE].ver, 2);
    assert!(
        world
            .server
            .requests
            .last()
            .expect("requests")
            .push
            .is_none()
    );
}

#[test]
fn a_server_that_knows_more_than_the_till_is_named() {
    let mut world = World::new();
    world.happen(3);
    world.settle();
    world
        .server
        .events
        .push(b"{\"from\":\"the future\"}".to_vec());
    world.live(1);
    assert_eq!(
        world.engine.standing(),
        Standing::Problem(Problem::StreamBehind)
    );
    world.happen(1);
    world.live(1);
    assert!(
        world
            .server
            .requests
            .last()
            .expect("requests")
            .push
            .is_none(),
        "nothing is written over it"
    );
    assert_eq!(world.acked(), 4);

    let mut world = World::new();
    world.happen(1);
    world.exchange(Some(Fault::error(ProtocolError::Behind { server_head: 9 })));
    assert_eq!(
        world.engine.standing(),
        Standing::Problem(Problem::StreamBehind)
    );
}

#[test]
fn an_acknowledgement_of_another_history_is_not_believed() {
    let mut world = World::new();
    world.happen(3);
    world.exchange(Some(Fault::Bend(Box::new(|reply| {
        reply.ack_hash = Digest([1; 32])
    }))));
    assert_eq!(world.acked(), 0);
    assert_eq!(
        world.engine.standing(),
        Standing::Problem(Problem::AckMismatch)
    );
    assert!(world.poll().is_none(), "waits before it asks again");
    world.live(1);
    world.assert_in_step();
}

#[test]
fn an_acknowledgement_that_never_moves_does_not_spin() {
    let mut world = World::new();
    world.happen(3);
    let none = Digest(domain::event::genesis_hash(StreamId([5; 16])).0);
    for _ in 0..3 {
        world.exchange(Some(Fault::Bend(Box::new(move |reply| {
            reply.ack_seq = 0;
            reply.ack_hash = none;
        }))));
    }
    assert!(world.poll().is_none());
    world.live(12);
    world.assert_in_step();
}

#[test]
fn shut_out_keeps_everything_and_comes_back() {
    for (error, problem) in [
        (ProtocolError::Unauthorised, Problem::Unauthorised),
        (ProtocolError::Forbidden, Problem::Forbidden),
        (ProtocolError::Revoked, Problem::Revoked),
    ] {
        let mut world = World::new();
        world.happen(2);
        world.exchange(Some(Fault::error(error)));
        assert_eq!(world.engine.standing(), Standing::Problem(problem));
        world.happen(5);
        assert_eq!(
            world.ledger.unsynced().expect("unsynced").count,
            8,
            "selling goes on"
        );
        world.live(1);
        world.assert_in_step();
        assert_eq!(world.engine.standing(), Standing::Online);
    }
}

#[test]
fn a_till_whose_version_is_not_spoken_keeps_selling_and_goes_on_when_it_is() {
    let mut world = World::new();
    world.settle();
    let acked = world.acked();
    // Head office put another server there: like every server it takes nothing of a request that it does not speak.
    world.server.protocol = PROTOCOL + 1;
    world.server.put(&CATALOGUE, "style:1", Some("{}"));
    world.happen(2);
    let asked = world.server.requests.len();
    world.live(6);
    assert_eq!(world.engine.standing(), Standing::Problem(Problem::Upgrade));
    assert_eq!(world.acked(), acked);
    assert_eq!(world.ledger.unsynced().expect("unsynced").count, 2);
    // The first refusal is answered with the sales alone, in case only the pull was meant; after that it is slow.
    let tries = world.server.requests.len() - asked;
    assert!((2..=8).contains(&tries), "{tries}");
    assert_eq!(world.server.requests[asked + 1].limit, 0);
    world.happen(3);
    assert_eq!(world.ledger.unsynced().expect("unsynced").count, 5);
    // And back: nobody has to start the till anew for its prices to go on.
    world.server.protocol = PROTOCOL;
    for _ in 0..20 {
        world.pass(30_000);
        world.settle();
    }
    world.assert_in_step();
    assert_eq!(world.engine.standing(), Standing::Online);
    assert!(world.ledger.cursors().expect("cursors")[&CATALOGUE].ver > 0);
}

#[test]
fn a_till_whose_pull_alone_is_refused_sends_what_it_sold() {
    let mut world = World::new();
    world.server.put(&CATALOGUE, "style:1", Some("{}"));
    world.happen(2);
    world.exchange(Some(Fault::error(ProtocolError::Upgrade)));
    world.settle();
    assert_eq!(world.server.requests.last().expect("request").limit, 0);
    world.assert_in_step();
    assert_eq!(world.engine.standing(), Standing::Problem(Problem::Upgrade));
    // It does not believe so for ever, however much it sells meanwhile.
    for _ in 0..20 {
        world.happen(1);
        world.pass(30_000);
        world.settle();
    }
    assert_eq!(world.engine.standing(), Standing::Online);
    assert!(world.ledger.cursors().expect("cursors")[&CATALOGUE].ver > 0);
}

#[test]
fn an_expired_cursor_reads_the_feed_again() {
    let mut world = World::new();
    world.server.put(&CATALOGUE, "style:1", Some("{}"));
    world.server.put(&CATALOGUE, "style:2", Some("{}"));
    world.settle();
    // Restored without a word: the feed is behind the till's cursor.
    let rows = world.server.feeds.get_mut(&CATALOGUE).expect("feed");
    rows.clear();
    rows.insert("style:9".to_owned(), (1, Some("{}".to_owned())));
    world.live(1);
    assert!(world.seen.contains(&EngineEvent::FeedReset(CATALOGUE)));
    let cursors = world.ledger.cursors().expect("cursors");
    assert_eq!(
        (cursors[&CATALOGUE].ver, cursors[&CATALOGUE].pk.as_str()),
        (1, "style:9")
    );
    assert_eq!(world.engine.standing(), Standing::Online);
}

#[test]
fn a_damaged_feed_is_read_again_and_a_hopeless_one_does_not_spin() {
    let mut world = World::new();
    world.server.put(&CATALOGUE, "style:1", Some("{}"));
    let bend = || {
        Some(Fault::Bend(Box::new(|reply| {
            reply
                .pages
                .iter_mut()
                .for_each(|page| page.checksum = Some(1))
        })))
    };
    world.settle();
    world.server.put(&CATALOGUE, "style:2", Some("{}"));
    world.engine.nudge();
    assert!(world.exchange(bend()));
    assert!(world.seen.contains(&EngineEvent::FeedReset(CATALOGUE)));
    world.settle();
    assert_eq!(world.engine.standing(), Standing::Online);
    assert_eq!(world.ledger.cursors().expect("cursors")[&CATALOGUE].ver, 2);
    world.engine.nudge();
    let mut tries = 0;
    while world.exchange(bend()) {
        tries += 1;
        assert!(tries < 10, "the engine spins");
    }
    assert_eq!(
        world.engine.standing(),
        Standing::Problem(Problem::FeedDamaged)
    );
    world.live(2);
    assert_eq!(world.engine.standing(), Standing::Online);
}

#[test]
fn a_page_that_promises_more_and_moves_nothing_does_not_spin() {
    let mut world = World::new();
    world.server.put(&CATALOGUE, "style:1", Some("{}"));
    world.settle();
    world.engine.nudge();
    let mut tries = 0;
    while world.exchange(Some(Fault::Bend(Box::new(|reply| {
        reply.pages.iter_mut().for_each(|page| page.more = true)
    })))) {
        tries += 1;
        assert!(tries < 10, "the engine spins");
    }
    assert_eq!(
        world.engine.standing(),
        Standing::Problem(Problem::ServerNonsense)
    );
}

#[test]
fn feeds_that_the_server_no_longer_names_are_dropped() {
    let mut world = World::new();
    let stock = FeedName::Stock("LM".parse().expect("location"));
    world.server.put(&CATALOGUE, "style:1", Some("{}"));
    world.server.put(&stock, "1", Some("{}"));
    world.settle();
    world.server.feeds.remove(&stock);
    world.live(1);
    assert_eq!(world.ledger.feeds().expect("feeds"), vec![CATALOGUE]);
}

const STORE: &str = r#"{"store":"LM","location":"LM","chain":"Atlas Sport","name":{"fr":"La Marsa","ar":"","en":""},
    "address":[],"legal":[],"country":"TN","currency":"TND","price_list":"TN","receipt_language":"fr","utc_offset_min":60,
    "taxes":[],"over_short_limit_minor":0,"discount_limit_bp":0,"follows":["LM"],"location_names":{}}"#;

fn reply(status: u16, body: &[u8]) -> TransportOutcome {
    TransportOutcome::Reply {
        status,
        retry_after_ms: None,
        body: body.to_vec(),
    }
}
