//! The last unit of a strict variant: tills and the online shop fight for it over a network that loses, repeats and
//! reorders, and one of them gets it.

use std::path::Path;
use std::sync::PoisonError;

use domain::config::Role;
use domain::event::{IncidentKind, SealReason, TenderKind};
use domain::ids::{LocationId, PromiseId, StreamId};
use domain::quantity::Quantity;
use domain::time::Now;
use hub::import::ImportOptions;
use hub::{Hub, LEASE_MS, PromiseAnswer, PromiseLine, PromiseRequest, RECLAIM_MARGIN_MS};
use support::net::Faults;
use support::world::{MARSA, World, pieces};
use testkit::rng::Rng;
use till::door::{Answer, Command, RefusalCode, Reply, TenderInput};
use uuid::Uuid;

/// Two strict variants, one unit of the first and six of the second.
const CATALOGUE: &str = "\
style,name_fr,tax,class,sku,price:TN,stock:LM
ONE,Dernier billet,standard,strict,ONE,30.000,1
SIX,Billet,standard,strict,SIX,30.000,6
";

fn world(folder: &Path, tills: usize, seed: u64) -> World {
    let (mut world, _) = World::new(folder, &[MARSA], tills, CATALOGUE, seed).expect("a chain");
    for node in &mut world.tills {
        node.sign_in(Role::Cashier).expect("signed in");
        node.ok(Command::OpenShift {
            drawer: None,
            count: pieces(50_000, MARSA.currency).expect("a float"),
            approval: None,
        })
        .expect("open");
    }
    world
}

fn with_hub<T>(world: &World, work: impl FnOnce(&mut Hub) -> T) -> T {
    work(&mut world.hub.lock().unwrap_or_else(PoisonError::into_inner))
}

fn location() -> LocationId {
    LocationId::new("LM").expect("location")
}

fn stream(world: &World, index: usize) -> StreamId {
    let ledger = world.tills[index].till.ledger().expect("a ledger");
    ledger.identity().stream
}

fn right(world: &World, index: usize, sku: &str) -> i64 {
    let variant = with_hub(world, |hub| hub.variant_of_sku(sku));
    let variant = variant.expect("read").expect("variant").variant;
    let ledger = world.tills[index].till.ledger().expect("a ledger");
    let right = ledger.right(variant, &location(), &world.now());
    right.expect("right").0 / 1_000
}

/// Scans one and takes cash for it; false when there was no right to it.
fn sell(world: &mut World, index: usize, sku: &str) -> bool {
    let node = &mut world.tills[index];
    let scanned = node.call(Command::ScanCode {
        code: sku.to_owned(),
    });
    let cart = match scanned {
        Answer::Ok(Reply::Cart(cart)) => cart,
        Answer::Refused(refusal) => {
            assert_eq!(refusal.code, RefusalCode::NoRight, "{refusal:?}");
            return false;
        }
        other => panic!("{other:?}"),
    };
    node.ok(Command::Complete {
        sale: cart.sale,
        tenders: vec![TenderInput {
            kind: TenderKind::Cash,
            amount_minor: None,
            reference: None,
        }],
        approval: None,
    })
    .expect("sold");
    true
}

fn promise(world: &World, id: u128, sku: &str, now: &Now) -> bool {
    with_hub(world, |hub| {
        let variant = hub.variant_of_sku(sku).expect("read").expect("variant");
        let request = PromiseRequest {
            promise: PromiseId(Uuid::from_u128(id)),
            lines: vec![PromiseLine {
                variant: variant.variant,
                location: location(),
                quantity: Quantity::ONE,
            }],
            life_ms: None,
        };
        let answer = hub.promise(&request, now).expect("an answer");
        matches!(answer, PromiseAnswer::Promised { .. })
    })
}

fn settle(world: &mut World) {
    world.net.faults = Faults::NONE;
    for _ in 0..2 {
        for index in 0..world.tills.len() {
            world.advance(600_000);
            world.sync_until_quiet(index, 200).expect("quiet");
        }
    }
}

fn assert_sound(world: &World) {
    for node in &world.tills {
        let report = node.till.ledger().expect("a ledger").verify();
        assert_eq!(report.expect("verify").first_bad, None);
    }
    let report = with_hub(world, |hub| hub.verify().expect("verify"));
    assert_eq!(report.first_bad, None);
}

fn incidents(world: &World) -> Vec<IncidentKind> {
    let lines = with_hub(world, |hub| hub.incidents(true, 100).expect("incidents"));
    lines.into_iter().map(|line| line.kind).collect()
}

#[test]
fn two_tills_and_the_online_shop_fight_for_the_last_unit_and_one_gets_it() {
    let mut winners = [0; 3];
    for seed in 0..12 {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut world = world(folder.path(), 2, 100 + seed);
        world.net.faults = Faults::MANY;
        let mut rng = Rng::new(seed);
        let mut won = [0_u32; 3];
        for round in 0..40 {
            match rng.below(6) {
                0 => won[0] += u32::from(sell(&mut world, 0, "ONE")),
                1 => won[1] += u32::from(sell(&mut world, 1, "ONE")),
                2 => {
                    let now = world.now();
                    let id = u128::from(seed) * 1_000 + round + 1;
                    won[2] += u32::from(promise(&world, id, "ONE", &now));
                }
                index => {
                    let index = usize::try_from(index % 2).expect("a till");
                    world.try_sync(index).expect("asked");
                }
            }
        }
        settle(&mut world);
        // Whoever asks last gets it, if nobody has had it yet.
        if won.iter().sum::<u32>() == 0 {
            sell(&mut world, 0, "ONE");
            world.try_sync(0).expect("asked");
            world.try_sync(1).expect("asked");
            settle(&mut world);
            won[0] += u32::from(sell(&mut world, 0, "ONE"));
            settle(&mut world);
        }
        assert_eq!(won.iter().sum::<u32>(), 1, "seed {seed}: {won:?}");
        assert_eq!(incidents(&world), [], "seed {seed}");
        assert_sound(&world);
        for (sum, won) in winners.iter_mut().zip(won) {
            *sum += won;
        }
    }
    assert!(
        winners.iter().filter(|won| **won > 0).count() > 1,
        "{winners:?}"
    );
}

#[test]
fn a_till_without_a_network_sells_what_it_has_the_right_to_and_no_more() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut world = world(folder.path(), 2, 7);
    settle(&mut world);
    assert_eq!((right(&world, 0, "SIX"), right(&world, 1, "SIX")), (2, 2));
    assert!(sell(&mut world, 0, "SIX"));
    assert!(sell(&mut world, 0, "SIX"));
    assert!(!sell(&mut world, 0, "SIX"));
    // The others go on meanwhile, up to what is theirs.
    let now = world.now();
    assert!(promise(&world, 1, "SIX", &now));
    assert!(promise(&world, 2, "SIX", &now));
    assert!(!promise(&world, 3, "SIX", &now));
    world.sync_until_quiet(1, 50).expect("quiet");
    let mut others = 0;
    while sell(&mut world, 1, "SIX") {
        others += 1;
    }
    assert!(others <= 2, "{others}");
    settle(&mut world);
    assert_eq!(incidents(&world), []);
    assert_sound(&world);
}

#[test]
fn what_one_till_holds_comes_to_another_where_a_shopper_waits() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut world = world(folder.path(), 2, 9);
    settle(&mut world);
    let rich = usize::from(right(&world, 1, "ONE") == 1);
    let poor = 1 - rich;
    assert_eq!(right(&world, rich, "ONE"), 1);
    // On the cart it stays where it is.
    let scanned = world.tills[rich].ok(Command::ScanCode {
        code: "ONE".to_owned(),
    });
    scanned.expect("scanned");
    assert!(!sell(&mut world, poor, "ONE"));
    for index in [poor, rich, rich, poor, poor] {
        world.try_sync(index).expect("asked");
    }
    assert_eq!(right(&world, rich, "ONE"), 1);
    world.tills[rich]
        .ok(Command::ClearCart {})
        .expect("cleared");
    assert!(!sell(&mut world, poor, "ONE"));
    for index in [poor, rich, rich, poor, poor] {
        world.try_sync(index).expect("asked");
    }
    assert_eq!(
        (right(&world, rich, "ONE"), right(&world, poor, "ONE")),
        (0, 1)
    );
    assert!(sell(&mut world, poor, "ONE"));
    settle(&mut world);
    assert_eq!(incidents(&world), []);
    assert_sound(&world);
}

#[test]
fn a_restored_till_holds_no_rights_and_nobody_else_gets_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kept = tempfile::tempdir().expect("a temporary folder");
    let mut world = world(folder.path(), 1, 11);
    settle(&mut world);
    assert_eq!(right(&world, 0, "ONE"), 1);
    let old = stream(&world, 0);
    let data = folder.path().join("LM-01");
    let copy = |from: &Path, to: &Path| {
        std::fs::copy(from.join("ledger.db"), to.join("ledger.db")).expect("copy");
    };
    world.tills[0]
        .restart(&data, |data| copy(data, kept.path()))
        .expect("restarted");
    assert!(sell(&mut world, 0, "ONE"));
    settle(&mut world);
    world.tills[0]
        .restart(&data, |data| copy(kept.path(), data))
        .expect("restarted");
    settle(&mut world);
    assert_ne!(stream(&world, 0), old);
    assert_eq!(right(&world, 0, "ONE"), 0, "the copy still had one");
    assert!(!sell(&mut world, 0, "ONE"));
    let sealed = with_hub(&world, |hub| hub.sealed_streams().expect("sealed"));
    assert_eq!(sealed, [old]);
    settle(&mut world);
    assert!(!sell(&mut world, 0, "ONE"), "it was sold");
    assert_sound(&world);
}

#[test]
fn what_a_lost_till_held_comes_back_by_a_count_after_its_lease_and_not_by_time() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut world = world(folder.path(), 2, 13);
    settle(&mut world);
    let lost = usize::from(right(&world, 1, "ONE") == 1);
    let other = 1 - lost;
    let gone = stream(&world, lost);
    let ask = |world: &mut World| {
        let sold = sell(world, other, "ONE");
        world.sync_until_quiet(other, 50).expect("quiet");
        sold
    };
    world.advance(LEASE_MS + RECLAIM_MARGIN_MS + 60_000);
    world.sync_until_quiet(other, 50).expect("quiet");
    assert!(!ask(&mut world), "time alone");
    assert!(!ask(&mut world), "time alone");
    assert_eq!(right(&world, lost, "ONE"), 0, "its lease is over");
    let now = world.now();
    with_hub(&world, |hub| {
        hub.seal_stream(gone, SealReason::Lost, &now).expect("seal");
    });
    assert!(!ask(&mut world), "a seal alone");
    assert!(!ask(&mut world), "a seal alone");
    let options = ImportOptions {
        dry_run: false,
        valid_from: "2020-01-01".parse().expect("date"),
        price_list: None,
        tax: "standard".parse().expect("tax"),
        opening_stock: true,
        stock_location: None,
    };
    // Head office has it counted: it is there.
    world.advance(RECLAIM_MARGIN_MS + 60_000);
    let now = world.now();
    with_hub(&world, |hub| {
        let csv = "style,name_fr,tax,class,sku,price:TN,stock:LM\n\
                   ONE,Dernier billet,standard,strict,ONE,30.000,1\n";
        let report = hub.import(csv.as_bytes(), &options, &now, &mut |_, _| {});
        assert!(report.expect("import").applied);
    });
    world.sync_until_quiet(other, 50).expect("quiet");
    world.advance(60_000);
    world.sync_until_quiet(other, 50).expect("quiet");
    assert!(sell(&mut world, other, "ONE"));
    world.sync_until_quiet(other, 50).expect("quiet");
    assert_eq!(incidents(&world), []);
    assert_sound(&world);
}
