//! Rights to strict goods as a till takes them in: only what its server granted to this stream in this epoch, and what
//! it gives back is in its journal before the server hears of it.

use domain::escrow::grant_message;
use domain::event::{Event, Fact, RightsLine, StreamPos};
use domain::ids::{LocationId, StreamId, TenantId, VariantId};
use domain::quantity::Quantity;
use ed25519_dalek::SigningKey;
use sync_client::{EngineEvent, Standing, Want};
use sync_protocol::{Grant, Recall, SyncReply, sign};
use uuid::Uuid;

use crate::fake::{CATALOGUE, Fault, World};

const HUB: StreamId = StreamId([9; 16]);
const TICKET: VariantId = VariantId(Uuid::from_u128(7));

fn here() -> LocationId {
    LocationId::new("LM").expect("location")
}

fn units(count: i64) -> Quantity {
    Quantity::units(count).expect("units")
}

/// What a grant says and is signed with.
struct Signed {
    key: u8,
    tenant: &'static str,
    epoch: u64,
    to: StreamId,
    total: i64,
}

/// A grant of `total` units that is right in everything.
fn genuine(world: &World, total: i64) -> Signed {
    Signed {
        key: 99,
        tenant: "atlas",
        epoch: world.server.epoch,
        to: world.server.stream,
        total,
    }
}

impl Signed {
    fn grant(&self) -> Grant {
        let line = RightsLine {
            variant: TICKET,
            location: here(),
            total: units(self.total),
            lease_end: None,
        };
        let tenant = TenantId::new(self.tenant).expect("tenant");
        let message = grant_message(&tenant, self.epoch, (HUB, self.to), &line);
        Grant {
            from: HUB,
            epoch: self.epoch,
            line,
            signature: sign::sign(&SigningKey::from_bytes(&[self.key; 32]), &message),
        }
    }
}

fn granting(grant: Grant) -> Fault {
    Fault::Bend(Box::new(move |reply: &mut SyncReply| {
        reply.grants = vec![grant.clone()];
    }))
}

fn recalling(quantity: i64) -> Fault {
    Fault::Bend(Box::new(move |reply: &mut SyncReply| {
        reply.recall = vec![Recall {
            variant: TICKET,
            location: here(),
            quantity: units(quantity),
        }];
    }))
}

/// Units that the till may sell.
fn held(world: &World) -> i64 {
    let held = world.ledger.right(TICKET, &here(), &world.now);
    held.expect("right").0 / 1_000
}

/// Facts of the journal from event `from` on.
fn facts(world: &World, from: u64) -> Vec<Fact> {
    let stored = world.ledger.events(from, 100, 1_000_000).expect("events");
    let fact = |bytes: &[u8]| Event::decode(bytes).expect("event").fact().expect("fact");
    stored.iter().map(|event| fact(&event.bytes)).collect()
}

#[test]
fn only_grants_of_the_server_for_this_stream_and_epoch_are_believed() {
    type Change = (&'static str, fn(&mut Signed), fn(&mut Grant));
    let as_it_is: fn(&mut Grant) = |_| {};
    let wrongs: [Change; 9] = [
        (
            "signed with another key",
            |signed| signed.key = 98,
            as_it_is,
        ),
        (
            "another chain's",
            |signed| signed.tenant = "casbah",
            as_it_is,
        ),
        (
            "another stream's",
            |signed| signed.to = StreamId([6; 16]),
            as_it_is,
        ),
        ("of an earlier epoch", |signed| signed.epoch -= 1, as_it_is),
        ("of a later epoch", |signed| signed.epoch += 1, as_it_is),
        (
            "an earlier one with this epoch's number",
            |signed| signed.epoch -= 1,
            |grant| {
                grant.epoch += 1;
            },
        ),
        (
            "a raised total",
            |_| {},
            |grant| grant.line.total = units(50),
        ),
        (
            "a longer lease",
            |_| {},
            |grant| grant.line.lease_end = Some(i64::MAX - 1),
        ),
        ("no signature", |_| {}, |grant| grant.signature.clear()),
    ];
    for (what, sign, forge) in wrongs {
        let mut world = World::new();
        world.server.put(&CATALOGUE, "style:1", Some("{}"));
        world.happen(1);
        let mut signed = genuine(&world, 5);
        sign(&mut signed);
        let mut grant = signed.grant();
        forge(&mut grant);
        assert!(world.exchange(Some(granting(grant))));
        assert_eq!(held(&world), 0, "{what}");
        assert!(
            world.ledger.grants_seen().expect("seen").is_empty(),
            "{what}"
        );
        // Nothing else of the answer is lost.
        world.assert_in_step();
        assert_eq!(world.engine.standing(), Standing::Online, "{what}");
        let applied = EngineEvent::Applied {
            feed: CATALOGUE,
            rows: 1,
        };
        assert!(world.seen.contains(&applied), "{what}");
        // And the genuine one is taken afterwards.
        let grant = genuine(&world, 2).grant();
        world.engine.nudge();
        assert!(world.exchange(Some(granting(grant.clone()))));
        assert_eq!(held(&world), 2, "{what}");
        world.engine.nudge();
        assert!(world.exchange(Some(granting(grant.clone()))));
        assert_eq!(held(&world), 2, "a total that comes twice counts once");
        world.engine.nudge();
        assert!(world.exchange(None));
        let told = world.server.requests.iter().rev();
        let mut told = told.filter_map(|request| request.rights.clone());
        assert!(told.any(|report| report.seen == [grant.clone()]), "{what}");
    }
}

#[test]
fn what_is_recalled_is_in_the_journal_before_the_next_request() {
    let mut world = World::new();
    world.settle();
    world.engine.nudge();
    let grant = genuine(&world, 5).grant();
    assert!(world.exchange(Some(granting(grant))));
    // One is in a shopper's hands now.
    world.engine.set_needs(vec![Want {
        variant: TICKET,
        location: here(),
        quantity: units(1),
    }]);
    let before = world.head();
    world.engine.nudge();
    assert!(world.exchange(Some(recalling(3))));
    assert_eq!(held(&world), 2);
    let Ok([Fact::RightsReturned(returned)]) = <[Fact; 1]>::try_from(facts(&world, before + 1))
    else {
        panic!("one return")
    };
    assert_eq!((returned.to, returned.epoch), (HUB, world.server.epoch));
    assert_eq!(returned.lines[0].total, units(3));
    // The next request carries it.
    assert!(world.exchange(None));
    world.assert_in_step();
    assert_eq!(world.server.events.len() as u64, before + 1);
    // Asked for more than there is, it gives what it need not keep; asked again, nothing.
    for (asked, total, left) in [(9, 4, 1), (9, 4, 1), (1, 4, 1)] {
        world.engine.nudge();
        assert!(world.exchange(Some(recalling(asked))));
        world.settle();
        assert_eq!(held(&world), left);
        let given = world.ledger.right_given(TICKET, &here(), HUB);
        assert_eq!(given.expect("given"), units(total));
    }
    assert_eq!(world.head(), before + 2);
    world.assert_in_step();
}

#[test]
fn a_till_whose_stream_is_broken_takes_no_rights_and_gives_none() {
    let mut world = World::new();
    world.settle();
    let grant = genuine(&world, 5).grant();
    world.engine.nudge();
    assert!(world.exchange(Some(granting(grant))));
    let head = world.head();
    world.happen(1);
    let fork = sync_protocol::ProtocolError::Fork { at: head };
    assert!(world.exchange(Some(Fault::error(fork))));
    let more = genuine(&world, 8).grant();
    for fault in [granting(more), recalling(2)] {
        world.engine.nudge();
        assert!(world.exchange(Some(fault)));
    }
    assert_eq!(held(&world), 5);
    assert_eq!(world.head(), head + 1, "nothing was written");
}

#[test]
fn each_count_that_the_server_names_is_learned_once() {
    let mut world = World::new();
    world.settle();
    let count = |seq| StreamPos {
        stream: StreamId([8; 16]),
        seq,
    };
    let before = world.head();
    let named = [count(3), count(9)];
    for _ in 0..3 {
        world.engine.nudge();
        assert!(world.exchange(Some(Fault::Bend(Box::new(move |reply| {
            reply.counts = named.to_vec();
        })))));
        world.settle();
    }
    let [Fact::CountLearned(learned)] = &facts(&world, before + 1)[..] else {
        panic!("one fact")
    };
    assert_eq!(learned.counts, named);
    world.assert_in_step();
}
