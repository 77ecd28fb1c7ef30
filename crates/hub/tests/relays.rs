//! A stream may come by way of another till of its store: in any order with its own pushes, in pieces, late, and never
//! changed on the way.

mod support;

use domain::event::SealReason;
use domain::ids::TenantId;
use domain::money::Currency;
use serde_json::value::RawValue;
use sync_protocol::{ProtocolError, Push, sign};

use support::{Till, World, now, store_config};

/// A till with six sales that nobody was told of, its neighbour, and a till of another store.
struct Shop {
    world: World,
    author: Till,
    relayer: Till,
    stranger: Till,
}

fn shop() -> Shop {
    let mut world = World::with_catalogue();
    world
        .hub
        .create_store(&store_config("TC", "TN", Currency::Tnd))
        .expect("store");
    let mut author = world.till("01", 7);
    let mut relayer = world.till("02", 8);
    let stranger = world.till_of("TC", "01", 9);
    let variant = world.variant("BAL-4");
    for _ in 0..6 {
        author.sell(variant, 1, 10_000);
    }
    relayer.sell(world.variant("COR"), 1, 7_000);
    world
        .sync(&relayer, &relayer.push_all())
        .expect("its own push");
    Shop {
        world,
        author,
        relayer,
        stranger,
    }
}

impl Shop {
    fn relay(&mut self, push: Push) -> Result<u64, ProtocolError> {
        let request = self.relayer.request(Some(push));
        let reply = self.world.sync(&self.relayer, &request)?;
        assert_eq!(reply.ack_hash, self.author.hash(reply.ack_seq));
        Ok(reply.ack_seq)
    }

    fn direct(&mut self, first: u64, last: u64) -> u64 {
        let request = self.author.request(Some(self.author.push(first, last)));
        let reply = self.world.sync(&self.author, &request).expect("direct");
        assert_eq!(reply.ack_hash, self.author.hash(reply.ack_seq));
        reply.ack_seq
    }

    /// All six sales are in, once, on the till that sold.
    fn assert_whole(&mut self) {
        assert_eq!(self.world.on_hand("BAL-4", "LM"), 14);
        let takings = self.world.hub.takings(None).expect("takings");
        let of_author: Vec<_> = takings.iter().filter(|line| line.till == "01").collect();
        assert_eq!(of_author.len(), 1);
        assert_eq!(
            (of_author[0].receipts, of_author[0].takings_minor),
            (6, 60_000)
        );
        let report = self.world.hub.verify().expect("verify");
        assert_eq!((report.first_bad, report.contested), (None, 0));
        let head = report
            .streams
            .get(&self.author.stream.to_string())
            .expect("the stream");
        assert_eq!((head.seq, head.hash), (7, self.author.hash(7)));
        self.world.assert_verified();
    }
}

#[test]
fn both_ways_in_any_order_and_in_pieces_give_the_same() {
    // Whether it is relayed, and which events.
    let ways: &[&[(bool, u64, u64)]] = &[
        &[(true, 1, 7)],
        &[(true, 1, 7), (false, 1, 7)],
        &[(false, 1, 7), (true, 1, 7)],
        &[(true, 1, 3), (false, 2, 5), (true, 4, 7)],
        &[(false, 1, 4), (true, 1, 6), (false, 5, 7), (true, 1, 2)],
        &[(true, 1, 5), (true, 1, 5), (false, 6, 7), (true, 6, 7)],
    ];
    for way in ways {
        let mut shop = shop();
        let mut known = 0;
        for (relayed, first, last) in *way {
            known = known.max(*last);
            let acked = if *relayed {
                shop.relay(shop.author.push(*first, *last)).expect("relay")
            } else {
                shop.direct(*first, *last)
            };
            assert_eq!(acked, known, "{way:?}");
        }
        shop.assert_whole();
    }
}

#[test]
fn what_was_changed_on_the_way_is_refused_and_harms_nobody() {
    type Spoil = fn(&Shop) -> Push;
    let unreadable = |reason: &str| ProtocolError::Unreadable {
        reason: reason.to_owned(),
    };
    let table: &[(&str, Spoil, ProtocolError)] = &[
        (
            "an altered event",
            |shop| {
                let mut push = shop.author.push(3, 7);
                let text = push.events[1].get().replace("10000", "90000");
                push.events[1] = RawValue::from_string(text).expect("json");
                push
            },
            unreadable("the chain does not end at the signed head"),
        ),
        (
            "an event too few at the end",
            |shop| {
                let mut push = shop.author.push(3, 7);
                push.events.pop();
                push
            },
            unreadable("the chain does not end at the signed head"),
        ),
        (
            "an event too few in the middle",
            |shop| {
                let mut push = shop.author.push(3, 7);
                push.events.remove(2);
                push
            },
            unreadable("the chain does not end at the signed head"),
        ),
        (
            "events in another order",
            |shop| {
                let mut push = shop.author.push(3, 7);
                push.events.swap(0, 1);
                push
            },
            unreadable("the chain does not end at the signed head"),
        ),
        (
            "signed by who relays it",
            |shop| {
                let mut push = shop.author.push(3, 7);
                let author = &shop.author;
                push.head = sign::sign_head(
                    &shop.relayer.key,
                    &author.enrolled.tenant,
                    author.stream,
                    7,
                    author.hash(7),
                );
                push
            },
            ProtocolError::Unauthorised,
        ),
        (
            "the head of another chain",
            |shop| {
                let mut push = shop.author.push(3, 7);
                let author = &shop.author;
                let other = TenantId::new("other").expect("tenant");
                push.head = sign::sign_head(&author.key, &other, author.stream, 7, author.hash(7));
                push
            },
            ProtocolError::Unauthorised,
        ),
        (
            "its beginning missing",
            |shop| shop.author.push(5, 7),
            ProtocolError::Gap { expected: 3 },
        ),
        (
            "another branch",
            |shop| {
                let mut twin = shop.author.clone();
                twin.events.truncate(1);
                for _ in 0..3 {
                    twin.sell(shop.world.variant("COR"), 1, 7_000);
                }
                twin.push(1, 4)
            },
            ProtocolError::Fork { at: 2 },
        ),
    ];
    for (name, spoil, error) in table {
        let mut shop = shop();
        assert_eq!(shop.direct(1, 2), 2, "{name}");
        let before = shop.world.on_hand("BAL-4", "LM");
        let push = spoil(&shop);
        assert_eq!(shop.relay(push).as_ref(), Err(error), "{name}");
        assert_eq!(shop.world.on_hand("BAL-4", "LM"), before, "{name}");
        assert_eq!(shop.world.on_hand("COR", "LM"), 2, "{name}");
        // The relayer's own stream is as it was, and goes on.
        shop.relayer.sell(shop.world.variant("COR"), 1, 7_000);
        let reply = shop
            .world
            .sync(&shop.relayer, &shop.relayer.push_all())
            .expect(name);
        assert_eq!(reply.ack_seq, 3, "{name}");
        assert_eq!(shop.world.on_hand("COR", "LM"), 1, "{name}");
        // So does the author's, and the way over the neighbour is open to what is genuine.
        assert_eq!(shop.direct(3, 5), 5, "{name}");
        assert_eq!(shop.relay(shop.author.push(4, 7)), Ok(7), "{name}");
        assert_eq!(shop.world.on_hand("BAL-4", "LM"), 14, "{name}");
        shop.world.assert_verified();
    }
}

#[test]
fn a_till_of_another_store_relays_nothing() {
    let mut shop = shop();
    for known in [0, 3] {
        if known > 0 {
            shop.direct(1, known);
        }
        let request = shop.stranger.request(Some(shop.author.push(1, 7)));
        assert_eq!(
            shop.world.sync(&shop.stranger, &request).err(),
            Some(ProtocolError::Forbidden)
        );
        assert_eq!(
            shop.world
                .sync(&shop.stranger, &shop.stranger.push_all())
                .expect("its own")
                .ack_seq,
            1
        );
    }
    assert_eq!(shop.direct(1, 7), 7);
    shop.assert_whole();
}

#[test]
fn a_till_of_another_chain_relays_nothing() {
    let mut shop = shop();
    let mut other = World::with_catalogue();
    let foreign = other.till("02", 8);
    let request = foreign.request(Some(shop.author.push(1, 7)));
    let refused = other.sync(&foreign, &request).expect_err("foreign");
    assert!(
        matches!(
            refused,
            ProtocolError::Forbidden | ProtocolError::Unauthorised
        ),
        "{refused:?}"
    );
    assert_eq!(other.on_hand("BAL-4", "LM"), 20);
    assert_eq!(shop.direct(1, 7), 7);
    shop.assert_whole();
}

#[test]
fn a_sealed_stream_can_still_be_relayed() {
    let mut shop = shop();
    shop.direct(1, 3);
    shop.world
        .hub
        .seal_stream(shop.author.stream, SealReason::Lost, &now())
        .expect("seal");
    assert_eq!(shop.relay(shop.author.push(1, 7)), Ok(7));
    // Once more, by itself, after the device was found.
    assert_eq!(shop.direct(1, 7), 7);
    shop.assert_whole();
    let incidents = shop.world.hub.incidents(false, 50).expect("incidents");
    assert!(
        incidents
            .iter()
            .any(|line| line.stream == Some(shop.author.stream)),
        "that a sealed stream spoke is told: {incidents:?}"
    );
}
