//! What a push must satisfy, what is refused, and that a refusal changes nothing.

mod support;

use domain::event::{Fact, SealReason};
use domain::ids::{Digest, EventId, TenantId, VariantId};
use domain::quantity::Quantity;
use serde_json::value::RawValue;
use sync_protocol::{
    Cursor, EnrolReply, FeedName, PROTOCOL, PUSH_EVENTS_MAX, ProtocolError, SyncRequest, sign,
};

use support::{Till, World, enrol_request, now, store_id};

fn hash_of(world: &World, till: &Till) -> Option<(u64, Digest)> {
    let report = world.hub.verify().expect("verify");
    assert_eq!(report.first_bad, None);
    let head = report.streams.get(&till.stream.to_string())?;
    Some((head.seq, head.hash))
}

/// Three sales pushed, three more not yet.
fn six_sales() -> (World, Till) {
    let mut world = World::with_catalogue();
    let mut till = world.till("01", 7);
    let variant = world.variant("BAL-4");
    for _ in 0..6 {
        till.sell(variant, 1, 10_000);
    }
    let first = SyncRequest {
        head_seq: 4,
        ..till.request(Some(till.push(1, 4)))
    };
    let reply = world.sync(&till, &first).expect("push");
    assert_eq!((reply.ack_seq, reply.ack_hash), (4, till.hash(4)));
    (world, till)
}

#[test]
fn a_push_is_acknowledged_up_to_its_last_event_and_folded_once() {
    let (mut world, till) = six_sales();
    assert_eq!(world.on_hand("BAL-4", "LM"), 17);
    for _ in 0..3 {
        let reply = world.sync(&till, &till.push_all()).expect("push");
        assert_eq!((reply.ack_seq, reply.ack_hash), (7, till.hash(7)));
        assert_eq!(world.on_hand("BAL-4", "LM"), 14);
        let takings = world.hub.takings(None).expect("takings");
        assert_eq!(takings.len(), 1);
        assert_eq!((takings[0].receipts, takings[0].takings_minor), (6, 60_000));
    }
    world.assert_verified();
}

#[test]
fn wrong_pushes_are_named_and_change_nothing() {
    type Spoil = fn(&mut SyncRequest, &Till);
    let table: &[(&str, Spoil, ProtocolError)] = &[
        (
            "a gap",
            |request, till| request.push = Some(till.push(6, 7)),
            ProtocolError::Gap { expected: 5 },
        ),
        (
            "a forged signature",
            |request, till| {
                let mut push = till.push(5, 7);
                let stranger = ed25519_dalek::SigningKey::from_bytes(&[99; 32]);
                push.head = sign::sign_head(
                    &stranger,
                    &till.enrolled.tenant,
                    till.stream,
                    7,
                    till.hash(7),
                );
                request.push = Some(push);
            },
            ProtocolError::Unauthorised,
        ),
        (
            "a head of another tenant",
            |request, till| {
                let mut push = till.push(5, 7);
                let other = TenantId::new("other").expect("tenant");
                push.head = sign::sign_head(&till.key, &other, till.stream, 7, till.hash(7));
                request.push = Some(push);
            },
            ProtocolError::Unauthorised,
        ),
        (
            "a head of another length",
            |request, till| {
                let mut push = till.push(5, 7);
                push.head = sign::sign_head(
                    &till.key,
                    &till.enrolled.tenant,
                    till.stream,
                    6,
                    till.hash(6),
                );
                request.push = Some(push);
            },
            unreadable("the chain does not end at the signed head"),
        ),
        (
            "an event changed on the way",
            |request, till| {
                let mut push = till.push(5, 7);
                let text = push.events[1].get().replace("10000", "90000");
                push.events[1] = RawValue::from_string(text).expect("json");
                request.push = Some(push);
            },
            unreadable("the chain does not end at the signed head"),
        ),
        (
            "no events",
            |request, till| {
                let mut push = till.push(5, 7);
                push.events.clear();
                request.push = Some(push);
            },
            unreadable("the push is empty"),
        ),
        (
            "sequence zero",
            |request, till| {
                let mut push = till.push(5, 7);
                push.first_seq = 0;
                request.push = Some(push);
            },
            unreadable("sequence numbers begin at 1"),
        ),
        (
            "too many events",
            |request, till| {
                let mut push = till.push(5, 5);
                push.events = vec![push.events[0].clone(); PUSH_EVENTS_MAX + 1];
                request.push = Some(push);
            },
            ProtocolError::TooLarge,
        ),
        (
            "too many bytes",
            |request, till| {
                let mut push = till.push(5, 6);
                let large = RawValue::from_string(format!("\"{}\"", "x".repeat(600_000)));
                push.events[0] = large.expect("json");
                request.push = Some(push);
            },
            ProtocolError::TooLarge,
        ),
        (
            "an owner that knows less than the server",
            |request, _| {
                request.head_seq = 3;
                request.push = None;
            },
            ProtocolError::Behind { server_head: 4 },
        ),
        (
            "another protocol",
            |request, _| request.protocol = PROTOCOL + 1,
            ProtocolError::Upgrade,
        ),
    ];
    // All but the hub's own stream, where an incident may be noted, and what tills are told of it.
    let state = |world: &World, till: &Till| {
        let mut report = world.hub.verify().expect("verify");
        report.streams.remove(&world.hub.stream().to_string());
        report.feeds.remove("cfg:LM");
        (hash_of(world, till), report)
    };
    for (name, spoil, error) in table {
        let (mut world, till) = six_sales();
        let before = state(&world, &till);
        let mut request = till.request(Some(till.push(5, 7)));
        spoil(&mut request, &till);
        assert_eq!(
            world.sync(&till, &request).err().as_ref(),
            Some(error),
            "{name}"
        );
        assert_eq!(before, state(&world, &till), "{name}");
        // And the right push still goes through.
        let reply = world
            .sync(&till, &till.request(Some(till.push(5, 7))))
            .expect(name);
        assert_eq!(reply.ack_seq, 7, "{name}");
    }
}

fn unreadable(reason: &str) -> ProtocolError {
    ProtocolError::Unreadable {
        reason: reason.to_owned(),
    }
}

#[test]
fn a_fork_is_named_and_both_branches_are_kept() {
    let (mut world, till) = six_sales();
    let variant = world.variant("COR");
    let mut twin = till.clone();
    twin.events.truncate(2);
    for _ in 0..4 {
        twin.sell(variant, 1, 7_000);
    }
    for (push, at) in [
        (twin.push(1, 6), 3),
        (twin.push(3, 6), 3),
        (twin.push(5, 6), 4),
    ] {
        assert_eq!(
            world.sync(&twin, &twin.request(Some(push))).err(),
            Some(ProtocolError::Fork { at })
        );
    }
    assert_eq!(world.on_hand("COR", "LM"), 3);
    let report = world.hub.verify().expect("verify");
    assert_eq!((report.ok, report.contested), (true, 4));
    // The first branch goes on.
    assert_eq!(
        world.sync(&till, &till.push_all()).expect("push").ack_seq,
        7
    );
}

#[test]
fn a_restored_till_is_told_and_its_other_branch_is_kept() {
    let (mut world, till) = six_sales();
    let mut restored = till.clone();
    restored.events.truncate(2);
    restored.sell(world.variant("COR"), 1, 7_000);
    assert_eq!(
        world.sync(&restored, &restored.push_all()).err(),
        Some(ProtocolError::Behind { server_head: 4 })
    );
    let report = world.hub.verify().expect("verify");
    assert_eq!((report.ok, report.contested), (true, 1));
}

#[test]
fn a_bad_event_is_kept_acknowledged_and_set_aside_and_the_next_one_goes_on() {
    type Spoil = fn(&mut Till, &World);
    let table: &[(&str, Spoil)] = &[
        ("unreadable", |till, _| {
            till.append_raw("{\"no\":\"event\"}".to_owned());
        }),
        ("unreadable", |till, world| {
            let sale = till.sale(world.variant("BAL-4"), 1, 10_000);
            let event = till.event(&Fact::SaleCompleted(sale));
            let text = String::from_utf8(event.encode()).expect("utf-8");
            till.append_raw(text.replacen("\"seq\"", "\"seq\":1,\"seq\"", 1));
        }),
        ("wrong_stream", |till, world| {
            let sale = till.sale(world.variant("BAL-4"), 1, 10_000);
            let mut event = till.event(&Fact::SaleCompleted(sale));
            event.stream = domain::ids::StreamId([9; 16]);
            till.append_event(&event);
        }),
        ("wrong_seq", |till, world| {
            let sale = till.sale(world.variant("BAL-4"), 1, 10_000);
            let mut event = till.event(&Fact::SaleCompleted(sale));
            event.seq += 1;
            till.append_event(&event);
        }),
        ("duplicate_id", |till, world| {
            let sale = till.sale(world.variant("BAL-4"), 1, 10_000);
            let mut event = till.event(&Fact::SaleCompleted(sale));
            let first = domain::event::Event::decode(till.events[1].as_bytes()).expect("event");
            event.id = first.id;
            till.append_event(&event);
        }),
        ("unknown_kind", |till, _| {
            let opened = till.opened();
            let mut event = till.event(&opened);
            event.kind = "DroneDispatched".to_owned();
            till.append_event(&event);
        }),
        ("unknown_kind", |till, world| {
            let sale = till.sale(world.variant("BAL-4"), 1, 10_000);
            let mut event = till.event(&Fact::SaleCompleted(sale));
            event.schema = 99;
            till.append_event(&event);
        }),
        ("bad_body", |till, _| {
            let opened = till.opened();
            let mut event = till.event(&opened);
            event.kind = "SaleCompleted".to_owned();
            till.append_event(&event);
        }),
        ("bad_opening", |till, _| {
            let opened = till.opened();
            till.append(&opened);
        }),
        ("sale_does_not_hold", |till, world| {
            let mut sale = till.sale(world.variant("BAL-4"), 1, 10_000);
            sale.total_minor += 1;
            till.append(&Fact::SaleCompleted(sale));
        }),
        ("unknown_location", |till, world| {
            let mut sale = till.sale(world.variant("BAL-4"), 1, 10_000);
            sale.location = support::location("MARS");
            till.append(&Fact::SaleCompleted(sale));
        }),
        // Head office's shelf, not this store's.
        ("foreign_location", |till, world| {
            let mut sale = till.sale(world.variant("BAL-4"), 1, 10_000);
            sale.location = support::location("WEB");
            till.append(&Fact::SaleCompleted(sale));
        }),
        ("foreign_location", |till, _| {
            till.count("WEB", Default::default(), vec![]);
        }),
        ("foreign_number", |till, world| {
            let mut sale = till.sale(world.variant("BAL-4"), 1, 10_000);
            sale.number = sale.number.replacen("LM-01-", "LM-02-", 1);
            till.append(&Fact::SaleCompleted(sale));
        }),
        ("foreign_number", |till, _| {
            let number = till.number().replacen("LM-", "TC-", 1);
            let moved = till.cash_moved(number);
            till.append(&moved);
        }),
        // The series of another stream of the same till.
        ("foreign_number", |till, _| {
            let (store, name) = (&till.enrolled.store, &till.enrolled.till);
            let other = domain::ids::StreamId([9; 16]);
            let number = domain::number::slip_number(store, name, other, 2026, 1);
            let opened = till.drawer_opened(number);
            till.append(&opened);
        }),
        ("wrong_currency", |till, world| {
            let mut sale = till.sale(world.variant("BAL-4"), 1, 10_000);
            sale.currency = domain::money::Currency::Mad;
            till.append(&Fact::SaleCompleted(sale));
        }),
        ("sale_does_not_hold", |till, world| {
            let sale = till.sale(world.variant("BAL-4"), -1, 10_000);
            till.append(&Fact::SaleCompleted(sale));
        }),
        ("sale_does_not_hold", |till, world| {
            let mut sale = till.sale(world.variant("BAL-4"), 1, 10_000);
            sale.lines[0].quantity = Quantity(i64::MAX);
            till.append(&Fact::SaleCompleted(sale));
        }),
        ("goods_do_not_hold", |till, world| {
            let received = till.received(world.variant("BAL-4"), Quantity(-1_000));
            till.append(&received);
        }),
        ("goods_do_not_hold", |till, world| {
            let received = till.received(world.variant("BAL-4"), Quantity(i64::MAX));
            till.append(&received);
        }),
        // Each amount fits, the balance does not.
        ("overflow", |till, _| {
            let Fact::CashMoved(mut moved) = till.cash_moved(till.number()) else {
                panic!("money")
            };
            moved.movement = domain::event::CashMovement::PayIn;
            moved.amount_minor = i64::MAX;
            till.append(&Fact::CashMoved(moved));
        }),
        ("clock_ahead", |till, _| {
            till.hlc = domain::time::Hlc::default().tick(support::WALL + 10 * 365 * 86_400_000);
            till.count("LM", Default::default(), vec![]);
            till.hlc = domain::time::Hlc::default().tick(support::WALL + 1_000);
        }),
    ];
    for (code, spoil) in table {
        let mut world = World::with_catalogue();
        let variant = world.variant("BAL-4");
        let mut till = world.till("01", 7);
        till.sell(variant, 1, 10_000);
        spoil(&mut till, &world);
        till.sell(variant, 2, 10_000);
        for _ in 0..2 {
            let reply = world.sync(&till, &till.push_all()).expect(code);
            assert_eq!(reply.ack_seq, 4, "{code}");
            let quarantined: Vec<_> = reply
                .quarantined
                .iter()
                .map(|one| (one.seq, one.code.as_str()))
                .collect();
            assert_eq!(quarantined, [(3, *code)]);
            assert!(hub::QUARANTINE_CODES.contains(code));
        }
        assert_eq!(world.on_hand("BAL-4", "LM"), 17, "{code}");
        assert_eq!(world.hub.takings(None).expect("takings")[0].receipts, 2);
        assert_eq!(world.hub.tills(&now()).expect("tills")[0].quarantined, 1);
        let shown = world.hub.set_aside(10).expect("set aside");
        let shown: Vec<_> = shown
            .iter()
            .map(|line| (line.till.as_str(), line.seq, line.code.as_str()))
            .collect();
        assert_eq!(shown, [("01", 3, *code)]);
        world.assert_verified();
    }
}

#[test]
fn a_variant_that_nobody_knows_is_counted_and_shown() {
    let mut world = World::with_catalogue();
    let mut till = world.till("01", 7);
    let unknown = VariantId(uuid::Uuid::from_u128(404));
    till.sell(unknown, 2, 10_000);
    till.sell(world.variant("BAL-4"), 1, 10_000);
    let reply = world.sync(&till, &till.push_all()).expect("push");
    assert_eq!((reply.ack_seq, reply.quarantined.len()), (3, 0));
    assert_eq!(world.on_hand("BAL-4", "LM"), 19);
    assert_eq!(
        world.hub.takings(None).expect("takings")[0].takings_minor,
        30_000
    );
    let lineage = world
        .hub
        .stock_lineage(unknown, &support::location("LM"), 10)
        .expect("lineage");
    assert_eq!(lineage.expect("moved").quantity, Quantity(-2_000));
    world.assert_verified();
}

#[test]
fn a_till_moves_no_goods_and_no_money_of_another_store() {
    let mut world = World::with_catalogue();
    for store in ["TC", "CA"] {
        let config = support::store_config(store, "TN", domain::money::Currency::Tnd);
        world.hub.create_store(&config).expect("store");
    }
    let variant = world.variant("BAL-4");
    let mut own = world.till_of("TC", "01", 8);
    own.sell(variant, 1, 10_000);
    let mut till = world.till("01", 7);
    // A sale, a reversal and a count at the shelf of the other store, and a sale under its till's number.
    let mut sale = till.sale(variant, 4, 10_000);
    sale.location = support::location("TC");
    till.append(&Fact::SaleCompleted(sale));
    let mut mirror = till.sale(variant, -4, 10_000);
    mirror.location = support::location("TC");
    till.append(&Fact::Reversed(domain::event::Reversed {
        of: mirror.sale,
        of_number: mirror.number.clone(),
        reason: "test".to_owned(),
        mirror,
    }));
    let found = domain::event::Counted {
        variant,
        quantity: domain::quantity::Quantity::units(99).expect("units"),
        expected: None,
        looked: None,
        ago_ms: 0,
    };
    till.count("TC", Default::default(), vec![found]);
    let mut sale = till.sale(variant, 1, 10_000);
    sale.number = own.number();
    let forged = sale.number.clone();
    till.append(&Fact::SaleCompleted(sale));
    till.sell(variant, 2, 10_000);
    for writer in [&own, &till] {
        let reply = world.sync(writer, &writer.push_all()).expect("accepted");
        assert_eq!((reply.ack_seq, reply.ack_hash), {
            let head = writer.head();
            (head, writer.hash(head))
        });
    }
    assert_eq!(world.on_hand("BAL-4", "TC"), -1);
    assert_eq!(world.on_hand("BAL-4", "LM"), 18);
    let takings = world.hub.takings(None).expect("takings");
    let sums: Vec<_> = takings
        .iter()
        .map(|row| (row.store.as_str(), row.receipts, row.takings_minor))
        .collect();
    assert_eq!(sums, [("LM", 1, 20_000), ("TC", 1, 10_000)]);
    let shown: Vec<_> = world.hub.set_aside(10).expect("set aside");
    let shown: Vec<_> = shown
        .iter()
        .map(|line| (line.store.as_str(), line.seq, line.code.as_str()))
        .collect();
    let code = "foreign_location";
    assert_eq!(
        shown,
        [
            ("LM", 5, "foreign_number"),
            ("LM", 4, code),
            ("LM", 3, code),
            ("LM", 2, code)
        ]
    );
    let first = world.hub.set_aside(1).expect("set aside").remove(0);
    assert_eq!(
        (first.number.as_deref(), first.kind.as_deref()),
        (Some(forged.as_str()), Some("SaleCompleted"))
    );
    world.assert_verified();
}

#[test]
fn the_same_event_in_two_streams_counts_once() {
    let mut world = World::with_catalogue();
    let variant = world.variant("BAL-4");
    let mut first = world.till("01", 7);
    let mut second = world.till("02", 8);
    first.sell(variant, 1, 10_000);
    let id = domain::event::Event::decode(first.events[1].as_bytes())
        .expect("event")
        .id;
    let sale = second.sale(variant, 1, 10_000);
    let mut copy = second.event(&Fact::SaleCompleted(sale));
    copy.id = EventId(id.0);
    second.append_event(&copy);
    world.sync(&first, &first.push_all()).expect("push");
    let reply = world.sync(&second, &second.push_all()).expect("push");
    assert_eq!(reply.quarantined[0].code, "duplicate_id");
    assert_eq!(world.on_hand("BAL-4", "LM"), 19);
    world.assert_verified();
}

#[test]
fn a_till_relays_its_neighbour_but_not_another_store() {
    let mut world = World::with_catalogue();
    world
        .hub
        .create_store(&support::store_config(
            "TC",
            "TN",
            domain::money::Currency::Tnd,
        ))
        .expect("store");
    let variant = world.variant("BAL-4");
    let neighbour = world.till("01", 7);
    let relayer = world.till("02", 8);
    let stranger = world.till_of("TC", "01", 9);
    let mut neighbour = neighbour;
    neighbour.sell(variant, 1, 10_000);
    let relay = neighbour.push(1, 2);
    assert_eq!(
        world
            .sync(&stranger, &stranger.request(Some(relay.clone())))
            .err(),
        Some(ProtocolError::Forbidden)
    );
    let reply = world
        .sync(&relayer, &relayer.request(Some(relay)))
        .expect("relay");
    assert_eq!((reply.ack_seq, reply.ack_hash), (2, neighbour.hash(2)));
    // Booked on the till that sold.
    assert_eq!(world.hub.takings(None).expect("takings")[0].till, "01");
    // The relayer may not speak as the owner.
    let mut posing = relayer.request(None);
    posing.stream = neighbour.stream;
    posing.head_seq = 2;
    assert_eq!(
        world.sync(&relayer, &posing).err(),
        Some(ProtocolError::Forbidden)
    );
    world.assert_verified();
}

#[test]
fn a_revoked_device_is_refused_and_all_tills_learn_of_it() {
    let (mut world, till) = six_sales();
    world
        .hub
        .revoke_device(till.enrolled.device, SealReason::Stolen, &now())
        .expect("revoke");
    assert_eq!(
        world.sync(&till, &till.push_all()).err(),
        Some(ProtocolError::Revoked)
    );
    let known = world.hub.device_by_token(&till.enrolled.token);
    assert!(known.expect("known").revoked);
    let other = world.till("02", 8);
    let feed = FeedName::Config(store_id("LM"));
    let page = world
        .hub
        .snapshot(other.enrolled.device, &feed, &now())
        .expect("snapshot");
    let revoked = page
        .rows
        .iter()
        .filter_map(|row| row.row.as_deref())
        .any(|row| row.get().contains("\"revoked\":true"));
    assert!(revoked);
}

#[test]
fn a_cursor_from_the_future_never_holds_up_the_push() {
    let (mut world, till) = six_sales();
    let mut request = till.push_all();
    request.cursors.insert(
        FeedName::Catalogue,
        Cursor {
            ver: 999,
            pk: String::new(),
        },
    );
    assert_eq!(
        world.sync(&till, &request).err(),
        Some(ProtocolError::CursorExpired {
            feed: FeedName::Catalogue
        })
    );
    assert_eq!(hash_of(&world, &till), Some((7, till.hash(7))));
}

#[test]
fn a_new_epoch_answers_with_its_head_and_no_pages_for_old_cursors() {
    let (mut world, till) = six_sales();
    world.hub.raise_epoch(&now()).expect("epoch");
    let mut request = till.request(None);
    request.limit = 100;
    request.cursors.insert(
        FeedName::Catalogue,
        Cursor {
            ver: 1,
            pk: String::new(),
        },
    );
    let reply = world.sync(&till, &request).expect("sync");
    assert_eq!((reply.epoch, reply.ack_seq), (2, 4));
    assert!(reply.pages.is_empty());
    request.epoch = 2;
    request.cursors.clear();
    assert!(!world.sync(&till, &request).expect("sync").pages.is_empty());
}

#[test]
fn enrolment_codes_work_once_for_one_key_and_a_short_while() {
    let mut world = World::new();
    let till = domain::ids::TillId::new("01").expect("till");
    let key = |seed| ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    let code = world
        .hub
        .issue_code(&store_id("LM"), &till, false, &now())
        .expect("code");
    let ask = |world: &mut World, code: &str, seed: u8, now: &hub::Now| {
        world.hub.enrol(&enrol_request(code, &key(seed)), now)
    };
    // Not confirmed: both sides show the same six digits.
    let Ok(EnrolReply::Pending { fingerprint }) = ask(&mut world, &code, 1, &now()) else {
        panic!("must wait for the owner");
    };
    let waiting = world.hub.pending_devices(&now()).expect("waiting");
    assert_eq!(waiting[0].fingerprint.as_ref(), Some(&fingerprint));
    // Another key cannot take the code over.
    assert_eq!(
        ask(&mut world, &code, 2, &now()).err(),
        Some(ProtocolError::CodeInvalid)
    );
    assert!(world.hub.confirm_device("000000", &now()).is_err());
    world
        .hub
        .confirm_device(&fingerprint, &now())
        .expect("confirm");
    // Typed by hand, with confusable letters and a hyphen.
    let (tenant, typed) = code.split_once('.').expect("code");
    let typed = format!("{tenant}.{}-{}", &typed[..4], &typed[4..]).to_lowercase();
    let first = ask(&mut world, &typed, 1, &now()).expect("enrolled");
    let again = ask(&mut world, &code, 1, &now()).expect("the answer was lost");
    let (EnrolReply::Enrolled(first), EnrolReply::Enrolled(again)) = (first, again) else {
        panic!("must be enrolled");
    };
    assert_eq!(first, again);
    assert_eq!(world.hub.tills(&now()).expect("tills").len(), 1);
    assert!(world.hub.device_by_token(&first.token).is_ok());
    assert_eq!(
        ask(&mut world, &code, 3, &now()).err(),
        Some(ProtocolError::CodeInvalid)
    );
    let late = hub::Now {
        wall_ms: support::WALL + hub::CODE_LIFE_MS,
        ..now()
    };
    assert_eq!(
        ask(&mut world, &code, 1, &late).err(),
        Some(ProtocolError::CodeInvalid)
    );
}

#[test]
fn five_wrong_guesses_end_a_code() {
    let mut world = World::new();
    let till = domain::ids::TillId::new("01").expect("till");
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let code = world
        .hub
        .issue_code(&store_id("LM"), &till, true, &now())
        .expect("code");
    let wrong = format!(
        "{}{}",
        &code[..code.len() - 1],
        if code.ends_with('0') { '1' } else { '0' }
    );
    for _ in 0..5 {
        let reply = world.hub.enrol(&enrol_request(&wrong, &key), &now());
        assert_eq!(reply.err(), Some(ProtocolError::CodeInvalid));
    }
    let reply = world.hub.enrol(&enrol_request(&code, &key), &now());
    assert_eq!(reply.err(), Some(ProtocolError::CodeInvalid));
}

#[test]
fn requests_to_enrol_that_make_no_sense_are_refused() {
    let mut world = World::new();
    let till = domain::ids::TillId::new("01").expect("till");
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let code = world
        .hub
        .issue_code(&store_id("LM"), &till, true, &now())
        .expect("code");
    let good = enrol_request(&code, &key);
    for bad in [
        "",
        "t",
        "t.",
        "t.SHORT",
        "other.12345678",
        "t.1234567890",
        "t.أبجدهوزح",
    ] {
        let mut request = good.clone();
        request.code = bad.to_owned();
        assert_eq!(
            world.hub.enrol(&request, &now()).err(),
            Some(ProtocolError::CodeInvalid),
            "{bad}"
        );
    }
    let mut request = good.clone();
    request.public_key = "zz".to_owned();
    assert!(matches!(
        world.hub.enrol(&request, &now()),
        Err(ProtocolError::Unreadable { .. })
    ));
    request = good.clone();
    request.protocols = vec![PROTOCOL + 1];
    assert_eq!(
        world.hub.enrol(&request, &now()).err(),
        Some(ProtocolError::Upgrade)
    );
    assert!(world.hub.enrol(&good, &now()).is_ok());
}

#[test]
fn a_device_whose_keystore_knows_only_p256_enrols_and_pushes() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use domain::config::KeyAlgorithm;
    use domain::event::{Fact, PinReset, head_message};
    use domain::ids::UserId;
    use p256::ecdsa::signature::Signer as _;

    let key = p256::ecdsa::SigningKey::from_slice(&[5; 32]).expect("scalar");
    let sign = |message: &[u8]| {
        let signature: p256::ecdsa::Signature = key.sign(message);
        STANDARD.encode(signature.normalize_s().to_bytes())
    };
    let dalek = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
    for compress in [true, false] {
        let mut world = World::new();
        let till = domain::ids::TillId::new("01").expect("till");
        let code = world
            .hub
            .issue_code(&store_id("LM"), &till, true, &now())
            .expect("code");
        let mut request = enrol_request(&code, &dalek);
        request.key_algorithm = KeyAlgorithm::P256;
        // A key of the other algorithm, and a point beside the curve.
        let mut beside = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        beside[64] ^= 1;
        for wrong in [sign::public_key(&dalek), hex::encode(beside)] {
            request.public_key = wrong;
            assert!(matches!(
                world.hub.enrol(&request, &now()),
                Err(ProtocolError::Unreadable { .. })
            ));
        }
        request.public_key = hex::encode(key.verifying_key().to_sec1_point(compress).as_bytes());
        let Ok(EnrolReply::Enrolled(enrolled)) = world.hub.enrol(&request, &now()) else {
            panic!("must be enrolled");
        };
        let auth = world.hub.device_by_token(&enrolled.token).expect("token");
        assert_eq!(auth.algorithm, KeyAlgorithm::P256);

        let mut till = Till::new(*enrolled, dalek.clone(), 5);
        let Fact::StreamOpened(mut opened) = till.opened() else {
            panic!("a stream opens first");
        };
        opened.key_algorithm = KeyAlgorithm::P256;
        opened.public_key.clone_from(&request.public_key);
        till.append(&Fact::StreamOpened(opened));
        till.append(&Fact::PinReset(PinReset {
            user: UserId(uuid::Uuid::nil()),
            by: UserId(uuid::Uuid::nil()),
        }));
        // What the software key of another algorithm signs is nobody's word.
        let refused = world.sync(&till, &till.push_all());
        assert_eq!(refused.err(), Some(ProtocolError::Unauthorised));
        let mut request = till.push_all();
        let push = request.push.as_mut().expect("push");
        let message = head_message(
            &till.enrolled.tenant,
            till.stream,
            push.head.seq,
            push.head.hash,
        );
        push.head.signature = sign(&message);
        let reply = world.sync(&till, &request).expect("sync");
        assert_eq!((reply.ack_seq, reply.quarantined.len()), (2, 0));
        world.assert_verified();
    }
}
