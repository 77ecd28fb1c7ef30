//! What the hub settles by itself and a person should look at: which incident, about which events, and how often.

mod support;

use domain::event::{Fact, IncidentKind, SaleBody, SealReason, StreamPos, TenderKind};
use domain::ids::SaleId;
use domain::time::Now;
use hub::{ALIKE_MS_MAX, CLOCK_OFF_MS_MAX, IncidentLine};
use sync_protocol::{ProtocolError, SyncRequest};

use support::{Till, World, location, now};

fn open(world: &World) -> Vec<IncidentLine> {
    world.hub.incidents(true, 100).expect("incidents")
}

fn kinds(world: &World) -> Vec<IncidentKind> {
    open(world).into_iter().map(|line| line.kind).collect()
}

fn story(line: &IncidentLine) -> Vec<StreamPos> {
    line.story
        .iter()
        .map(|line| StreamPos {
            stream: line.stream,
            seq: line.seq,
        })
        .collect()
}

fn at(till: &Till, seq: u64) -> StreamPos {
    StreamPos {
        stream: till.stream,
        seq,
    }
}

fn push(world: &mut World, till: &Till) {
    world.sync(till, &till.push_all()).expect("sync");
}

#[test]
fn events_that_are_set_aside_are_one_incident_a_journal_until_somebody_has_looked() {
    let mut world = World::with_catalogue();
    let mut till = world.till("01", 7);
    let ball = world.variant("BAL-4");
    let mut sale = till.sale(ball, 1, 10_000);
    sale.total_minor += 1;
    let bad = till.append(&Fact::SaleCompleted(sale));
    let mut later = till.event(&till.opened());
    later.kind = "gift_card_sold".to_owned();
    let unknown = till.append_event(&later);
    till.sell(ball, 1, 10_000);
    push(&mut world, &till);
    let lines = open(&world);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].kind, IncidentKind::Quarantined);
    assert_eq!(lines[0].till, Some(till.enrolled.till.clone()));
    assert_eq!(story(&lines[0]), [at(&till, bad), at(&till, unknown)]);
    assert_eq!(world.on_hand("BAL-4", "LM"), 19);
    // Pushed again it is no news, and another one is none while this is open.
    let event = later.clone();
    till.append_event(&event);
    push(&mut world, &till);
    assert_eq!(open(&world).len(), 1);
    world
        .hub
        .resolve_incident(lines[0].incident, "called", &now())
        .expect("resolved");
    push(&mut world, &till);
    assert_eq!(kinds(&world), []);
    world.assert_verified();
}

#[test]
fn a_clock_that_is_far_off_is_an_incident_and_stops_nothing() {
    for off in [CLOCK_OFF_MS_MAX + 1, -CLOCK_OFF_MS_MAX - 1, -support::WALL] {
        let mut world = World::with_catalogue();
        let mut till = world.till("01", 7);
        till.sell(world.variant("BAL-4"), 1, 10_000);
        let near = SyncRequest {
            wall: support::WALL + CLOCK_OFF_MS_MAX,
            ..till.push_all()
        };
        world.sync(&till, &near).expect("sync");
        assert_eq!(kinds(&world), []);
        // What was on its way for long brings nothing new.
        let late = SyncRequest {
            wall: support::WALL - 2 * CLOCK_OFF_MS_MAX,
            ..till.push_all()
        };
        world.sync(&till, &late).expect("sync");
        assert_eq!(kinds(&world), []);
        let sold = till.sell(world.variant("BAL-4"), 1, 10_000);
        let far = SyncRequest {
            wall: support::WALL + off,
            ..till.push_all()
        };
        let reply = world.sync(&till, &far).expect("sync");
        assert_eq!(reply.ack_seq, sold);
        let lines = open(&world);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].kind, IncidentKind::ClockSuspect);
        assert_eq!(story(&lines[0]), [at(&till, sold)]);
        world.assert_verified();
    }
}

#[test]
fn a_sale_undone_twice_is_an_incident_with_both_reversals_and_both_stand() {
    let mut world = World::with_catalogue();
    let ball = world.variant("BAL-4");
    let mut first = world.till("01", 7);
    let mut second = world.till("02", 8);
    let sale = first.sale(ball, 2, 10_000);
    let of = sale.sale;
    first.append(&Fact::SaleCompleted(sale));
    first.reverse(of, ball, 2, 10_000);
    first.reverse(SaleId(uuid::Uuid::nil()), ball, 1, 10_000);
    push(&mut world, &first);
    assert_eq!(kinds(&world), []);
    second.reverse(of, ball, 2, 10_000);
    second.reverse(of, ball, 2, 10_000);
    push(&mut world, &second);
    push(&mut world, &second);
    let lines = open(&world);
    assert!(
        lines
            .iter()
            .all(|line| line.kind == IncidentKind::ReversedTwice)
    );
    let mut stories: Vec<_> = lines.iter().map(story).collect();
    stories.sort_by_key(Vec::len);
    for events in &mut stories {
        events.sort();
    }
    let mut expected = vec![
        vec![at(&first, 3), at(&second, 2)],
        vec![at(&first, 3), at(&second, 2), at(&second, 3)],
    ];
    for events in &mut expected {
        events.sort();
    }
    assert_eq!(stories, expected);
    // 20 - 2 sold, + 2 + 1 + 2 + 2 came back.
    assert_eq!(world.on_hand("BAL-4", "LM"), 25);
    world.assert_verified();
}

/// A cart of two articles, paid in cash.
fn cart(world: &World, till: &mut Till) -> SaleBody {
    let mut sale = till.sale(world.variant("BAL-4"), 1, 10_000);
    let other = till.sale(world.variant("BAL-5"), 1, 12_500);
    let mut line = other.lines[0].clone();
    line.line = 2;
    sale.lines.push(line);
    sale.taxes[0].net_minor += other.taxes[0].net_minor;
    sale.taxes[0].tax_minor += other.taxes[0].tax_minor;
    sale.total_minor += other.total_minor;
    sale.tenders[0].amount_minor = sale.total_minor;
    sale
}

/// Writes a sale `ms` after the start of this world.
fn sell_at(till: &mut Till, sale: SaleBody, ms: i64) -> u64 {
    let mut event = till.event(&Fact::SaleCompleted(sale));
    event.wall += ms;
    till.append_event(&event)
}

#[test]
fn a_cart_keyed_in_twice_is_reported_once_for_a_person_to_judge() {
    let mut world = World::with_catalogue();
    let mut till = world.till("01", 7);
    let mut seqs = Vec::new();
    for ms in [0, ALIKE_MS_MAX - 1, ALIKE_MS_MAX] {
        let sale = cart(&world, &mut till);
        seqs.push(sell_at(&mut till, sale, ms));
        push(&mut world, &till);
    }
    let lines = open(&world);
    // The second is like the first; the third, in a push of its own, is like the second.
    let stories: Vec<_> = lines.iter().rev().map(story).collect();
    assert_eq!(
        stories,
        [
            [at(&till, seqs[0]), at(&till, seqs[1])],
            [at(&till, seqs[1]), at(&till, seqs[2])]
        ]
    );
    assert!(
        lines
            .iter()
            .all(|line| line.kind == IncidentKind::DuplicateSuspect)
    );
    // All are sales like any other.
    assert_eq!(world.on_hand("BAL-4", "LM"), 17);
    world.assert_verified();
}

#[test]
fn what_only_happens_to_be_alike_is_no_duplicate() {
    let mut world = World::with_catalogue();
    let ball = world.variant("BAL-4");
    let mut till = world.till("01", 7);
    // One article after another.
    for _ in 0..3 {
        till.sell(ball, 1, 10_000);
    }
    // Two minutes apart.
    for ms in [0, ALIKE_MS_MAX] {
        let sale = cart(&world, &mut till);
        sell_at(&mut till, sale, ms);
    }
    // Another amount of cash, and then undone at once.
    let mut sale = cart(&world, &mut till);
    sale.tenders[0].amount_minor += 3_000;
    sale.change_minor = 3_000;
    sell_at(&mut till, sale, ALIKE_MS_MAX);
    let mut sale = cart(&world, &mut till);
    sale.tenders[0].amount_minor += 3_000;
    sale.change_minor = 3_000;
    let of = sale.sale;
    sell_at(&mut till, sale, ALIKE_MS_MAX);
    till.reverse(of, ball, 1, 10_000);
    // Two tills.
    let mut other = world.till("02", 8);
    let sale = cart(&world, &mut other);
    sell_at(&mut other, sale, ALIKE_MS_MAX);
    push(&mut world, &till);
    push(&mut world, &other);
    assert_eq!(kinds(&world), []);
    // One payment by card that two sales name is one payment.
    for _ in 0..2 {
        let mut sale = till.sale(ball, 1, 10_000);
        sale.tenders[0].kind = TenderKind::Card;
        sale.tenders[0].reference = Some("0042".to_owned());
        till.append(&Fact::SaleCompleted(sale));
    }
    push(&mut world, &till);
    assert_eq!(kinds(&world), [IncidentKind::DuplicateSuspect]);
    world.assert_verified();
}

#[test]
fn what_a_revoked_device_sends_is_kept_in_no_sum_and_its_journal_is_sealed() {
    let mut world = World::with_catalogue();
    let ball = world.variant("BAL-4");
    let mut till = world.till("01", 7);
    till.sell(ball, 1, 10_000);
    push(&mut world, &till);
    let head = till.head();
    let device = till.enrolled.device;
    world
        .hub
        .revoke_device(device, SealReason::Stolen, &now())
        .expect("revoked");
    assert_eq!(world.hub.sealed_streams().expect("sealed"), [till.stream]);
    // Again changes nothing.
    world
        .hub
        .revoke_device(device, SealReason::Stolen, &now())
        .expect("revoked");
    assert_eq!(world.hub.sealed_streams().expect("sealed"), [till.stream]);
    let late = till.sell(ball, 5, 10_000);
    for _ in 0..2 {
        let refused = world.sync(&till, &till.push_all());
        assert_eq!(refused.err(), Some(ProtocolError::Revoked));
    }
    let lines = open(&world);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].kind, IncidentKind::RevokedDevice);
    assert_eq!(story(&lines[0]), [at(&till, late)]);
    let aside = world.hub.set_aside(10).expect("read");
    assert_eq!(aside.len(), 1);
    assert_eq!(
        (aside[0].seq, aside[0].code.as_str()),
        (late, "revoked_device")
    );
    assert_eq!(world.on_hand("BAL-4", "LM"), 19);
    let report = world.hub.verify().expect("verify");
    assert_eq!(report.streams[&till.stream.to_string()].seq, head);
    assert_eq!(report.contested, 1);
    // A neighbour that relays it hears nothing that would stop itself.
    let neighbour = world.till("02", 8);
    let relayed = world
        .sync(&neighbour, &neighbour.request(Some(till.push(1, late))))
        .expect("answered");
    assert_eq!(relayed.ack_seq, head);
    assert_eq!(world.on_hand("BAL-4", "LM"), 19);
    world.assert_verified();
}

#[test]
fn a_forged_push_in_the_name_of_a_revoked_device_leaves_nothing() {
    let mut world = World::with_catalogue();
    let ball = world.variant("BAL-4");
    let mut till = world.till("01", 7);
    push(&mut world, &till);
    let device = till.enrolled.device;
    world
        .hub
        .revoke_device(device, SealReason::Retired, &now())
        .expect("revoked");
    till.sell(ball, 5, 10_000);
    till.key = ed25519_dalek::SigningKey::from_bytes(&[99; 32]);
    let refused = world.sync(&till, &till.push_all());
    assert_eq!(refused.err(), Some(ProtocolError::Revoked));
    assert_eq!(kinds(&world), []);
    assert_eq!(world.hub.verify().expect("verify").contested, 0);
}

#[test]
fn a_server_that_knows_less_than_a_till_was_told_starts_a_new_epoch_by_itself() {
    let mut world = World::with_catalogue();
    let mut till = world.till("01", 7);
    let ball = world.variant("BAL-4");
    push(&mut world, &till);
    let backup = tempfile::tempdir().expect("directory");
    let kept = backup.path().join("t.db");
    let path = world.dir.path().join("t.db");
    let reopen = |world: &mut World| {
        let stand_in = World::new();
        let old = std::mem::replace(&mut world.hub, stand_in.hub);
        drop(old);
    };
    reopen(&mut world);
    std::fs::copy(&path, &kept).expect("copied");
    let open_again =
        || hub::Hub::open(&path, domain::entropy::Entropy::new([9; 32])).expect("opened");
    world.hub = open_again();
    till.sell(ball, 1, 10_000);
    let acked = world.sync(&till, &till.push_all()).expect("sync").ack_seq;
    reopen(&mut world);
    std::fs::copy(&kept, &path).expect("put back");
    world.hub = open_again();
    let later = Now {
        wall_ms: support::WALL + 1_000,
        ..now()
    };
    let knowing = SyncRequest {
        acked_seq: acked,
        ..till.request(None)
    };
    let reply = world
        .hub
        .sync(till.enrolled.device, &knowing, &later)
        .expect("answered");
    assert_eq!(reply.epoch, 2);
    assert!(reply.ack_seq < acked);
    let lines = open(&world);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].kind, IncidentKind::ServerRestored);
    assert_eq!(story(&lines[0]), [at(&till, acked)]);
    // What it said then says nothing any more.
    let reply = world
        .hub
        .sync(till.enrolled.device, &knowing, &later)
        .expect("answered");
    assert_eq!(reply.epoch, 2);
    let whole = SyncRequest {
        epoch: 2,
        ..till.push_all()
    };
    let reply = world
        .hub
        .sync(till.enrolled.device, &whole, &later)
        .expect("answered");
    assert_eq!((reply.epoch, reply.ack_seq), (2, acked));
    let at_hub = world.hub.on_hand(ball, &location("LM")).expect("read");
    assert_eq!(at_hub.map(|quantity| quantity.thousandths()), Some(19_000));
    // One that knows of a later epoch was told by this server, too; one from far ahead is not believed.
    for (told, epoch) in [(5, 6), (u64::MAX, 6)] {
        let ahead = SyncRequest {
            epoch: told,
            ..till.request(None)
        };
        let reply = world.hub.sync(till.enrolled.device, &ahead, &later);
        assert_eq!(reply.expect("answered").epoch, epoch);
    }
    world.assert_verified();
}
