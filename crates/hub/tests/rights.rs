//! Rights to strict variants: what is free, who is granted how much, promises, seals, a restored server, incidents.

mod support;

use std::collections::BTreeMap;

use domain::catalog::StockClass;
use domain::event::{
    ALL_ZONES, AdjustReason, CountLearned, CountReason, Counted, Fact, GoodsLine, GoodsReceived,
    IncidentKind, Looked, MAIN_ZONE, OrderPicked, Override, OverrideKind, Reversed, RightsLine,
    RightsMoved, SealReason, StockAdjusted, StockCounted, StreamHead, StreamPos, TransferSent,
};
use domain::ids::{DocumentId, PromiseId, SaleId, StreamId, TransferId, UserId, VariantId};
use domain::quantity::{QUANTITY_MAX, Quantity};
use domain::time::Hlc;
use hub::{
    LEASE_MS, Now, PROMISE_MS_MAX, PromiseAnswer, PromiseError, PromiseLine, PromiseRequest,
    PromiseState, RECLAIM_MARGIN_MS,
};
use sync_protocol::{
    Cursor, FeedName, Grant, ProtocolError, RightsReport, SyncReply, SyncRequest, Want,
};
use uuid::Uuid;

use support::{Till, WALL, World, location, now};

const CATALOGUE: &str = "\
style,name_fr,tax,class,sku,price:TN,stock:LM,stock:WEB
TIC,Billet,standard,strict,TIC,30.000,5,2
ONE,Dernier,standard,strict,ONE,30.000,1,
NON,Epuise,standard,strict,NON,30.000,0,
BAL,Ballon,standard,shelf,BAL,10.000,20,
SRV,Service,standard,untracked,SRV,10.000,,
";

fn units(count: i64) -> Quantity {
    Quantity::units(count).expect("units")
}

fn at(ms: i64) -> Now {
    let mut now = now();
    now.wall_ms += ms;
    now.boot.ms += u64::try_from(ms).expect("later");
    now
}

/// A world with strict variants in it.
fn world() -> World {
    let mut world = World::new();
    let report = world.import(CATALOGUE, &support::options(true));
    assert!(report.applied, "{:?}", report.errors);
    world
}

/// A till that speaks of rights, and what it was told.
struct Player {
    till: Till,
    epoch: u64,
    seen: BTreeMap<VariantId, Grant>,
    want: Vec<Want>,
    /// Later than the first moment, for both sides.
    ms: i64,
    /// How far streams are folded, as the last page of stock said.
    folded: BTreeMap<StreamId, u64>,
}

impl Player {
    fn new(till: Till) -> Player {
        Player {
            epoch: till.enrolled.epoch,
            till,
            seen: BTreeMap::new(),
            want: Vec::new(),
            ms: 0,
            folded: BTreeMap::new(),
        }
    }

    fn request(&self) -> SyncRequest {
        let head = self.till.head();
        SyncRequest {
            epoch: self.epoch,
            rights: Some(RightsReport {
                seen: self.seen.values().cloned().collect(),
                whole: true,
                want: self.want.clone(),
            }),
            ..self.till.request(Some(self.till.push(1, head)))
        }
    }

    /// Pushes everything, and takes in what the answer says.
    fn try_sync(&mut self, world: &mut World) -> Result<SyncReply, ProtocolError> {
        let request = self.request();
        let reply = world
            .hub
            .sync(self.till.enrolled.device, &request, &at(self.ms))?;
        self.take(&reply);
        Ok(reply)
    }

    fn take(&mut self, reply: &SyncReply) {
        self.epoch = reply.epoch;
        if let Some(page) = reply.pages.iter().find(|page| !page.folded.is_empty()) {
            self.folded.clone_from(&page.folded);
        }
        for grant in &reply.grants {
            let known = self.seen.get(&grant.line.variant);
            // A restored server may know of less than a till holds.
            if known.is_none_or(|known| known.line.total <= grant.line.total) {
                self.seen.insert(grant.line.variant, grant.clone());
            }
        }
        if !reply.counts.is_empty() {
            self.till.append(&Fact::CountLearned(CountLearned {
                counts: reply.counts.clone(),
            }));
        }
    }

    fn sync(&mut self, world: &mut World) -> SyncReply {
        self.try_sync(world).expect("sync")
    }

    /// Learns of the counts, tells of it, and is granted what is due.
    fn settle(&mut self, world: &mut World) {
        for _ in 0..3 {
            self.sync(world);
        }
    }

    fn total(&self, variant: VariantId) -> i64 {
        self.seen
            .get(&variant)
            .map_or(0, |grant| grant.line.total.0 / 1_000)
    }

    fn sell(&mut self, variant: VariantId, count: i64, approved: bool) {
        let mut sale = self.till.sale(variant, count, 30_000);
        sale.lines[0].class = StockClass::Strict;
        if approved {
            sale.overrides.push(Override {
                kind: OverrideKind::NoRight,
                by: UserId(Uuid::nil()),
                line: Some(1),
            });
        }
        self.till.append(&Fact::SaleCompleted(sale));
    }

    /// Undoes a sale of `count`.
    fn take_back(&mut self, variant: VariantId, count: i64) {
        let mut mirror = self.till.sale(variant, -count, 30_000);
        mirror.lines[0].class = StockClass::Strict;
        self.till.append(&Fact::Reversed(Reversed {
            of: SaleId(Uuid::nil()),
            of_number: mirror.number.clone(),
            reason: "test".to_owned(),
            mirror,
        }));
    }

    fn give_back(&mut self, world: &World, variant: VariantId, total: i64) {
        self.till.append(&Fact::RightsReturned(RightsMoved {
            to: world.hub.stream(),
            epoch: self.epoch,
            lines: vec![RightsLine {
                variant,
                location: location("LM"),
                total: units(total),
                lease_end: None,
            }],
        }));
    }

    fn receive(&mut self, variant: VariantId, count: i64) {
        self.till.append(&Fact::GoodsReceived(GoodsReceived {
            document: DocumentId(Uuid::nil()),
            location: location("LM"),
            zone: MAIN_ZONE.to_owned(),
            lines: vec![GoodsLine {
                variant,
                quantity: units(count),
                class: StockClass::Strict,
            }],
            reference: None,
            included_in: None,
            user: UserId(Uuid::nil()),
        }));
    }

    /// All that it knows of, for a count that is made now.
    fn knows(&self) -> Vec<(StreamId, u64)> {
        let mut knows = self.folded.clone();
        knows.insert(self.till.stream, self.till.head());
        knows.into_iter().collect()
    }

    /// Counts at `ms`, knowing all that `knows` says.
    fn count(&mut self, variant: VariantId, found: i64, ms: i64, knows: &[(StreamId, u64)]) {
        self.count_slowly(variant, found, ms, knows, None);
    }

    /// As [`Player::count`], after a look at the goods that may have been long before.
    fn count_slowly(
        &mut self,
        variant: VariantId,
        found: i64,
        ms: i64,
        knows: &[(StreamId, u64)],
        looked: Option<Looked>,
    ) {
        let wall = u64::try_from(WALL + ms).expect("time");
        self.till.hlc = self.till.hlc.max(Hlc(wall << 16));
        self.till.append(&Fact::StockCounted(StockCounted {
            approved_by: None,
            location: location("LM"),
            zone: ALL_ZONES.to_owned(),
            cut: knows.iter().copied().collect(),
            items: vec![Counted {
                variant,
                quantity: units(found),
                expected: None,
                looked,
                ago_ms: 0,
            }],
            reason: CountReason::Count,
            document: None,
            user: None,
        }));
    }

    fn wants(&mut self, variant: VariantId, count: i64) {
        self.want = vec![Want {
            variant,
            location: location("LM"),
            quantity: units(count),
        }];
    }
}

fn free(world: &World, variant: VariantId) -> i64 {
    let rights = world.hub.rights(variant, &location("LM")).expect("rights");
    rights.free.0.div_euclid(1_000)
}

fn outstanding(world: &World, variant: VariantId) -> i64 {
    let rights = world.hub.rights(variant, &location("LM")).expect("rights");
    rights.outstanding.0 / 1_000
}

fn promise_of(id: u128, lines: &[(VariantId, &str, i64)]) -> PromiseRequest {
    PromiseRequest {
        promise: PromiseId(Uuid::from_u128(id)),
        lines: lines
            .iter()
            .map(|(variant, at, count)| PromiseLine {
                variant: *variant,
                location: location(at),
                quantity: units(*count),
            })
            .collect(),
        life_ms: Some(60_000),
    }
}

fn promise(world: &mut World, id: u128, lines: &[(VariantId, &str, i64)]) -> bool {
    let answer = world.hub.promise(&promise_of(id, lines), &now());
    matches!(answer.expect("an answer"), PromiseAnswer::Promised { .. })
}

fn kinds(world: &World) -> Vec<IncidentKind> {
    let lines = world.hub.incidents(true, 100).expect("incidents");
    let mut kinds: Vec<IncidentKind> = lines.into_iter().map(|line| line.kind).collect();
    kinds.sort();
    kinds
}

fn player(world: &mut World, till: &str, seed: u8) -> Player {
    let mut player = Player::new(world.till(till, seed));
    player.settle(world);
    player
}

#[test]
fn what_is_free_is_what_lies_there_less_what_was_given_away() {
    let mut world = world();
    let ticket = world.variant("TIC");
    assert_eq!(free(&world, ticket), 5);
    let mut till = player(&mut world, "01", 10);
    // One that never sold any holds two: it can sell without asking.
    assert_eq!((till.total(ticket), free(&world, ticket)), (2, 3));
    assert!(promise(&mut world, 1, &[(ticket, "LM", 2)]));
    assert_eq!((free(&world, ticket), outstanding(&world, ticket)), (1, 2));
    till.sell(ticket, 1, false);
    till.sync(&mut world);
    // A unit less on hand, a unit less outstanding.
    assert_eq!((free(&world, ticket), outstanding(&world, ticket)), (1, 1));
    assert_eq!(world.on_hand("TIC", "LM"), 4);
    world.assert_verified();
}

#[test]
fn a_grant_is_signed_and_repeated_until_it_was_seen() {
    let mut world = world();
    let ticket = world.variant("TIC");
    let mut till = player(&mut world, "01", 10);
    assert!(till.sync(&mut world).grants.is_empty(), "it was seen");
    let grant = till.seen[&ticket].clone();
    let message = domain::escrow::grant_message(
        world.hub.tenant(),
        grant.epoch,
        (grant.from, till.till.stream),
        &grant.line,
    );
    let key = world.hub.public_key();
    let algorithm = domain::config::KeyAlgorithm::Ed25519;
    let verified =
        |message: &[u8]| sync_protocol::sign::verify(algorithm, &key, message, &grant.signature);
    assert_eq!(verified(&message), Ok(()));
    let mut more = grant.line.clone();
    more.total = units(99);
    let forged = domain::escrow::grant_message(
        world.hub.tenant(),
        grant.epoch,
        (grant.from, till.till.stream),
        &more,
    );
    assert!(verified(&forged).is_err());
    // A till that shows a total that nobody signed changes nothing.
    till.seen.get_mut(&ticket).expect("grant").line.total = units(99);
    till.sync(&mut world);
    assert_eq!(outstanding(&world, ticket), 2);
}

#[test]
fn several_tills_that_want_more_than_is_free_share_it_by_demand() {
    let mut world = world();
    let ticket = world.variant("NON");
    let mut first = player(&mut world, "01", 10);
    let mut second = player(&mut world, "02", 20);
    // Both sold some before: three and one, with a manager's word.
    first.sell(ticket, 3, true);
    second.sell(ticket, 1, true);
    first.sync(&mut world);
    second.sync(&mut world);
    // Eight come in by a count that both know of.
    let knows = [
        (first.till.stream, first.till.head()),
        (second.till.stream, second.till.head()),
    ];
    first.count(ticket, 4, 1_000, &knows);
    first.settle(&mut world);
    second.settle(&mut world);
    first.settle(&mut world);
    assert_eq!((first.total(ticket), second.total(ticket)), (3, 1));
    assert_eq!(free(&world, ticket), 0);
    world.assert_verified();
}

#[test]
fn what_somebody_waits_for_is_recalled_from_the_richest_when_nothing_is_free() {
    let mut world = world();
    let ticket = world.variant("ONE");
    let mut rich = player(&mut world, "01", 10);
    assert_eq!((rich.total(ticket), free(&world, ticket)), (1, 0));
    let mut poor = player(&mut world, "02", 20);
    assert_eq!(poor.total(ticket), 0);
    assert!(rich.sync(&mut world).recall.is_empty(), "nobody waits");
    poor.wants(ticket, 1);
    poor.sync(&mut world);
    let recall = rich.sync(&mut world).recall;
    assert_eq!(recall.len(), 1);
    assert_eq!((recall[0].variant, recall[0].quantity), (ticket, units(1)));
    rich.give_back(&world, ticket, 1);
    rich.sync(&mut world);
    poor.sync(&mut world);
    assert_eq!(poor.total(ticket), 1);
    assert_eq!(outstanding(&world, ticket), 1);
    // The wish of the one who has it is no reason to ask it back.
    assert!(poor.sync(&mut world).recall.is_empty());
    world.assert_verified();
}

#[test]
fn consumption_is_read_off_the_sale_in_the_transaction_that_folds_it() {
    let mut world = world();
    let ticket = world.variant("ONE");
    let mut till = player(&mut world, "01", 10);
    till.sell(ticket, 1, false);
    assert_eq!((free(&world, ticket), outstanding(&world, ticket)), (0, 1));
    // Whatever a message said, the unit is not free before its sale is here, and it is gone with it.
    till.sync(&mut world);
    assert_eq!((free(&world, ticket), outstanding(&world, ticket)), (0, 0));
    assert_eq!(world.on_hand("ONE", "LM"), 0);
    assert!(!promise(&mut world, 1, &[(ticket, "LM", 1)]));
    // Taking it back mints: the till may sell it again, nobody else.
    till.take_back(ticket, 1);
    till.sync(&mut world);
    assert_eq!((free(&world, ticket), outstanding(&world, ticket)), (0, 1));
    world.assert_verified();
}

#[test]
fn a_managers_word_stays_outside_the_sums_and_is_an_incident() {
    let mut world = world();
    let ticket = world.variant("ONE");
    let mut holder = player(&mut world, "01", 10);
    let mut other = player(&mut world, "02", 20);
    other.sell(ticket, 1, true);
    other.sync(&mut world);
    // The unit was the holder's to sell: its right is not handed out anew, and somebody has to look.
    assert_eq!(outstanding(&world, ticket), 1);
    assert_eq!(free(&world, ticket), -1);
    assert!(!promise(&mut world, 1, &[(ticket, "LM", 1)]));
    assert_eq!(
        kinds(&world),
        [IncidentKind::SoldWithoutRight, IncidentKind::RightsDeficit]
    );
    holder.sell(ticket, 1, false);
    holder.sync(&mut world);
    assert!(kinds(&world).contains(&IncidentKind::Oversold));
    let line = world.hub.incidents(true, 10).expect("incidents").remove(0);
    assert_eq!(line.sku.as_deref(), Some("ONE"));
    assert!(!line.story.is_empty());
    world
        .hub
        .resolve_incident(line.incident, "recounted", &now())
        .expect("resolve");
    assert!(
        world
            .hub
            .resolve_incident(line.incident, "again", &now())
            .is_err()
    );
    assert_eq!(world.hub.incidents(true, 10).expect("incidents").len(), 2);
    world.assert_verified();
}

#[test]
fn an_article_that_becomes_strict_is_not_given_out_before_every_till_knows() {
    let mut world = world();
    let ball = world.variant("BAL");
    let mut first = player(&mut world, "01", 10);
    let mut second = player(&mut world, "02", 20);
    // What a till that has read the catalogue up to now says, with all that it did or only a part of it.
    let says = |world: &mut World, till: &mut Player, cursor: &Cursor, pushed: u64| {
        let mut request = till.request();
        request.push = Some(till.till.push(1, pushed));
        request.cursors.insert(FeedName::Catalogue, cursor.clone());
        let device = till.till.enrolled.device;
        let reply = world
            .hub
            .sync(device, &request, &at(till.ms))
            .expect("sync");
        till.take(&reply);
    };
    let pages = first.sync(&mut world).pages;
    let page = pages.iter().find(|page| page.feed == FeedName::Catalogue);
    let before = Cursor {
        ver: page.expect("the catalogue").ver,
        pk: String::new(),
    };
    world
        .hub
        .set_class("BAL", None, StockClass::Strict)
        .expect("strict");
    let after = Cursor {
        ver: before.ver + 1,
        pk: format!("variant:{ball}"),
    };
    let stopped = |world: &mut World| {
        let answer = world
            .hub
            .promise(&promise_of(9, &[(ball, "LM", 1)]), &at(0));
        matches!(answer, Err(PromiseError::Stopped))
    };
    let head = first.till.head();
    says(&mut world, &mut first, &after, head);
    first.wants(ball, 2);
    says(&mut world, &mut first, &after, head);
    assert!(
        stopped(&mut world),
        "the second till may still sell them without a right"
    );
    assert_eq!(first.total(ball), 0, "nor is any granted");
    // It sells nineteen, and reads the new row, but what it did before has not arrived.
    for _ in 0..19 {
        second.till.sell(ball, 1, 10_000);
    }
    let head = second.till.head();
    says(&mut world, &mut second, &before, head - 19);
    assert!(stopped(&mut world));
    says(&mut world, &mut second, &after, head - 19);
    assert!(stopped(&mut world));
    says(&mut world, &mut second, &after, head);
    let all = first.till.head();
    says(&mut world, &mut first, &after, all);
    // One is left, and it goes to one of them only.
    let granted = first.total(ball);
    let promised = promise(&mut world, 9, &[(ball, "LM", 1)]);
    assert_eq!(granted + i64::from(promised), 1);
    // Made strict again, or elsewhere, nothing waits that did not before; a new till reads it from the start.
    world
        .hub
        .set_class("BAL", None, StockClass::Strict)
        .expect("as before");
    assert!(!stopped(&mut world));
    world.assert_verified();
}

#[test]
fn each_time_a_manager_lets_goods_leave_without_a_right_head_office_hears_of_it() {
    let mut world = world();
    let ticket = world.variant("TIC");
    let mut till = player(&mut world, "01", 10);
    let waived = [Override {
        kind: OverrideKind::NoRight,
        by: UserId(Uuid::nil()),
        line: None,
    }];
    let lines = |count: i64| {
        vec![GoodsLine {
            variant: ticket,
            quantity: units(count),
            class: StockClass::Strict,
        }]
    };
    let adjusted = |count: i64, overrides: &[Override]| {
        Fact::StockAdjusted(StockAdjusted {
            document: DocumentId(Uuid::nil()),
            location: location("LM"),
            zone: MAIN_ZONE.to_owned(),
            reason: AdjustReason::Theft,
            note: None,
            lines: lines(count),
            user: UserId(Uuid::nil()),
            approved_by: None,
            overrides: overrides.to_vec(),
        })
    };
    let mut expected = Vec::new();
    for count in [1, 2] {
        till.sell(ticket, count, true);
        expected.push((till.till.head(), Some(units(count))));
    }
    for fact in [
        adjusted(-1, &waived),
        Fact::TransferSent(TransferSent {
            transfer: TransferId(Uuid::nil()),
            from: location("LM"),
            zone: MAIN_ZONE.to_owned(),
            to: location("WEB"),
            lines: lines(1),
            user: UserId(Uuid::nil()),
            overrides: waived.to_vec(),
        }),
    ] {
        till.till.append(&fact);
        expected.push((till.till.head(), Some(units(1))));
    }
    // What was found needs no right, and what had one is nobody's decision.
    till.till.append(&adjusted(3, &waived));
    till.till.append(&adjusted(-1, &[]));
    till.sync(&mut world);
    till.sync(&mut world);
    let incidents = world.hub.incidents(true, 20).expect("incidents");
    let mut told: Vec<(u64, Option<Quantity>)> = incidents
        .iter()
        .filter(|line| line.kind == IncidentKind::SoldWithoutRight)
        .map(|line| (line.story[0].seq, line.quantity))
        .collect();
    told.sort_unstable();
    assert_eq!(told, expected);
    world.assert_verified();
}

#[test]
fn a_count_frees_nothing_before_every_stream_has_said_to_know_of_it() {
    let mut world = world();
    let ticket = world.variant("NON");
    let mut counter = player(&mut world, "01", 10);
    let mut receiver = player(&mut world, "02", 20);
    // Three come in at the second till, which is offline; the first counts them.
    receiver.receive(ticket, 3);
    counter.count(ticket, 3, 1_000, &[]);
    let counted = StreamPos {
        stream: counter.till.stream,
        seq: counter.till.head(),
    };
    counter.sync(&mut world);
    assert_eq!(world.on_hand("NON", "LM"), 3, "a person may be told so");
    assert_eq!(free(&world, ticket), 0, "but nobody is promised any");
    assert!(!promise(&mut world, 1, &[(ticket, "LM", 1)]));
    let reply = receiver.sync(&mut world);
    assert_eq!(reply.counts, [counted]);
    // Its receipt lies before the count, and what it minted is its own to sell.
    receiver.sync(&mut world);
    assert_eq!(world.on_hand("NON", "LM"), 3);
    assert_eq!((free(&world, ticket), outstanding(&world, ticket)), (0, 3));
    world.assert_verified();
}

#[test]
fn a_promise_takes_all_of_a_batch_or_nothing() {
    let mut world = world();
    let (ticket, one) = (world.variant("TIC"), world.variant("ONE"));
    // Two lines of one variant are one demand.
    assert!(!promise(
        &mut world,
        1,
        &[(ticket, "LM", 1), (one, "LM", 1), (one, "LM", 1)]
    ));
    assert_eq!((free(&world, ticket), free(&world, one)), (5, 1));
    let refused = world
        .hub
        .promise(&promise_of(2, &[(ticket, "LM", 9)]), &now())
        .expect("an answer");
    let PromiseAnswer::Refused { short } = refused else {
        panic!("there are only five");
    };
    assert_eq!((short[0].asked, short[0].available), (units(9), units(5)));
    assert!(promise(&mut world, 3, &[(ticket, "LM", 5), (one, "LM", 1)]));
    assert_eq!((free(&world, ticket), free(&world, one)), (0, 0));
    // A location without tills, and a variant without stock.
    let service = world.variant("SRV");
    assert!(promise(
        &mut world,
        4,
        &[(ticket, "WEB", 2), (service, "LM", 9)]
    ));
    assert!(!promise(&mut world, 5, &[(ticket, "WEB", 1)]));
    world.assert_verified();
}

#[test]
fn a_promise_asked_for_again_gets_the_same_answer_and_another_body_none() {
    let mut world = world();
    let one = world.variant("ONE");
    let first = promise_of(1, &[(one, "LM", 1)]);
    let answer = world.hub.promise(&first, &now()).expect("an answer");
    for ms in [0, 90_000] {
        let again = world.hub.promise(&first, &at(ms)).expect("an answer");
        assert_eq!(again, answer, "whatever happened since");
    }
    let mut other = first.clone();
    other.lines[0].quantity = units(2);
    let refused = world.hub.promise(&other, &now());
    assert!(matches!(refused, Err(PromiseError::OtherBody)));
    let wrong = |request: PromiseRequest| {
        let refused = world_of(&request);
        assert!(
            matches!(
                refused,
                Err(PromiseError::Invalid { .. } | PromiseError::Unknown { .. })
            ),
            "{refused:?}"
        );
    };
    wrong(promise_of(2, &[]));
    wrong(promise_of(3, &[(one, "LM", 0)]));
    wrong(promise_of(4, &[(one, "LM", -1)]));
    wrong(promise_of(5, &[(one, "NOWHERE", 1)]));
    wrong(promise_of(6, &[(VariantId(Uuid::nil()), "LM", 1)]));
    wrong(promise_of(7, &[(one, "LM", 900_000), (one, "LM", 900_000)]));
    for life in [i64::MIN, -1, 0, PROMISE_MS_MAX + 1, i64::MAX] {
        wrong(PromiseRequest {
            life_ms: Some(life),
            ..promise_of(8, &[(one, "LM", 1)])
        });
    }
}

fn world_of(request: &PromiseRequest) -> Result<PromiseAnswer, PromiseError> {
    world().hub.promise(request, &now())
}

#[test]
fn a_promise_ends_by_release_by_the_servers_clock_or_with_the_goods() {
    let mut world = world();
    let one = world.variant("ONE");
    let id = |id| PromiseId(Uuid::from_u128(id));
    assert!(promise(&mut world, 1, &[(one, "LM", 1)]));
    assert_eq!(
        world.hub.release_promise(id(1), &now()).expect("release"),
        PromiseState::Released
    );
    assert!(promise(&mut world, 2, &[(one, "LM", 1)]));
    assert_eq!(
        world
            .hub
            .release_promise(id(2), &at(60_000))
            .expect("too late"),
        PromiseState::Expired
    );
    let mut till = player(&mut world, "01", 10);
    assert_eq!(till.total(one), 1, "free again, and granted");
    till.give_back(&world, one, 1);
    till.sync(&mut world);
    // The till takes it at once again, so the promise has to wait for it.
    let granted = till.total(one);
    till.give_back(&world, one, granted);
    let head = till.till.head();
    let request = SyncRequest {
        rights: None,
        snapshots: Default::default(),
        ..till.till.request(Some(till.till.push(1, head)))
    };
    world
        .hub
        .sync(till.till.enrolled.device, &request, &now())
        .expect("a push that asks for nothing");
    assert!(promise(&mut world, 3, &[(one, "LM", 1)]));
    till.till.append(&Fact::OrderPicked(OrderPicked {
        promise: id(3),
        location: location("LM"),
        zone: MAIN_ZONE.to_owned(),
        lines: vec![GoodsLine {
            variant: one,
            quantity: units(1),
            class: StockClass::Strict,
        }],
        user: None,
    }));
    till.sync(&mut world);
    let state = |world: &World, number| world.hub.promise_state(id(number), &now()).expect("state");
    assert_eq!(state(&world, 3), Some(PromiseState::Picked));
    assert_eq!((world.on_hand("ONE", "LM"), free(&world, one)), (0, 0));
    assert_eq!(state(&world, 1), Some(PromiseState::Released));
    assert_eq!(state(&world, 9), None);
    assert_eq!(kinds(&world), []);
    world.assert_verified();
}

#[test]
fn a_late_pick_of_an_expired_cart_closes_it_and_shows_what_is_missing() {
    let mut world = world();
    let one = world.variant("ONE");
    let mut till = Player::new(world.till("01", 10));
    assert!(promise(&mut world, 1, &[(one, "LM", 1)]));
    let late = at(61_000);
    let second = promise_of(2, &[(one, "LM", 1)]);
    let answer = world.hub.promise(&second, &late).expect("an answer");
    assert!(matches!(answer, PromiseAnswer::Promised { .. }));
    till.ms = 61_000;
    till.till.append(&Fact::OrderPicked(OrderPicked {
        promise: PromiseId(Uuid::from_u128(1)),
        location: location("LM"),
        zone: MAIN_ZONE.to_owned(),
        lines: vec![GoodsLine {
            variant: one,
            quantity: units(1),
            class: StockClass::Strict,
        }],
        user: None,
    }));
    till.sync(&mut world);
    let state = world
        .hub
        .promise_state(PromiseId(Uuid::from_u128(1)), &late)
        .expect("state");
    assert_eq!(state, Some(PromiseState::Picked));
    assert!(kinds(&world).contains(&IncidentKind::PromiseAtRisk));
    world.assert_verified();
}

#[test]
fn an_order_does_not_expire_and_a_cart_becomes_one_while_it_is_kept() {
    let mut world = world();
    let (one, ticket) = (world.variant("ONE"), world.variant("TIC"));
    let mut till = Player::new(world.till("01", 10));
    let id = |number| PromiseId(Uuid::from_u128(number));
    // A cart that was paid for within its time.
    assert!(promise(&mut world, 1, &[(one, "LM", 1)]));
    for ms in [30_000, 40_000] {
        let state = world.hub.order_promise(id(1), &at(ms)).expect("kept");
        assert_eq!(state, PromiseState::Open);
    }
    let late = 400 * 24 * 60 * 60 * 1_000;
    let second = promise_of(2, &[(one, "LM", 1)]);
    let answer = world.hub.promise(&second, &at(late)).expect("an answer");
    assert!(
        matches!(answer, PromiseAnswer::Refused { .. }),
        "it is kept"
    );
    // Handed over long ago without a link, and heard of now.
    till.ms = late;
    till.till.append(&Fact::OrderPicked(OrderPicked {
        promise: id(1),
        location: location("LM"),
        zone: MAIN_ZONE.to_owned(),
        lines: vec![GoodsLine {
            variant: one,
            quantity: units(1),
            class: StockClass::Strict,
        }],
        user: None,
    }));
    till.settle(&mut world);
    let state = world.hub.promise_state(id(1), &at(late)).expect("state");
    assert_eq!(state, Some(PromiseState::Picked));
    assert!(!kinds(&world).contains(&IncidentKind::PromiseAtRisk));
    assert_eq!(free(&world, one), 0);
    // A cart whose time is over is nobody's any more.
    assert!(promise(&mut world, 3, &[(ticket, "LM", 1)]));
    let state = world.hub.order_promise(id(3), &at(61_000)).expect("ended");
    assert_eq!(state, PromiseState::Expired);
    // Ordered at once, and given up.
    let order = PromiseRequest {
        life_ms: None,
        ..promise_of(4, &[(ticket, "LM", 1)])
    };
    let answer = world.hub.promise(&order, &at(0)).expect("an answer");
    assert_eq!(answer, PromiseAnswer::Promised { expires: None });
    let state = world.hub.promise_state(id(4), &at(late)).expect("state");
    assert_eq!(state, Some(PromiseState::Open));
    let state = world
        .hub
        .release_promise(id(4), &at(late))
        .expect("given up");
    assert_eq!(state, PromiseState::Released);
    let state = world.hub.order_promise(id(4), &at(late)).expect("ended");
    assert_eq!(state, PromiseState::Released);
    assert!(matches!(
        world.hub.order_promise(id(5), &at(late)),
        Err(PromiseError::Unknown { .. })
    ));
    world.assert_verified();
}

#[test]
fn the_shelf_keeps_back_what_tills_may_have_sold_unheard() {
    let mut world = world();
    let ball = world.variant("BAL");
    let promisable = |world: &World, ms| {
        let left = world.hub.promisable(ball, &location("LM"), &at(ms));
        left.expect("read").expect("stock is kept").0 / 1_000
    };
    assert_eq!(promisable(&world, 0), 20, "no till sells there");
    let mut till = player(&mut world, "01", 10);
    assert_eq!(promisable(&world, 0), 20, "in contact, and sold none yet");
    for _ in 0..4 {
        till.till.sell(ball, 1, 10_000);
    }
    till.sync(&mut world);
    let fresh = promisable(&world, 0);
    assert_eq!(fresh, 16);
    let day = 24 * 60 * 60 * 1_000;
    let stale = promisable(&world, 2 * day);
    assert!(stale < fresh, "{stale}");
    assert!(promisable(&world, 6 * day) < stale);
    assert!(promise(&mut world, 1, &[(ball, "LM", 16)]));
    assert_eq!(promisable(&world, 0), 0);
    // Oversold on the shelf: the sale stands, and the promise is at risk.
    till.till.sell(ball, 1, 10_000);
    till.sync(&mut world);
    assert_eq!(kinds(&world), [IncidentKind::PromiseAtRisk]);
    till.till.sell(ball, 16, 10_000);
    till.sync(&mut world);
    assert_eq!(
        kinds(&world),
        [IncidentKind::Oversold, IncidentKind::PromiseAtRisk]
    );
    world.assert_verified();
}

/// A till that holds the last unit and is never heard of again, and another that counts.
fn lost_till(world: &mut World) -> (Player, Player, VariantId) {
    let ticket = world.variant("ONE");
    let lost = player(world, "01", 10);
    let other = player(world, "02", 20);
    assert_eq!(lost.total(ticket), 1);
    (lost, other, ticket)
}

#[test]
fn a_time_out_alone_never_reclaims() {
    let mut world = world();
    let (lost, mut other, ticket) = lost_till(&mut world);
    other.ms = LEASE_MS * 3;
    other.wants(ticket, 1);
    other.settle(&mut world);
    assert_eq!((other.total(ticket), free(&world, ticket)), (0, 0));
    // Nor does a seal.
    world
        .hub
        .seal_stream(lost.till.stream, SealReason::Lost, &at(other.ms))
        .expect("seal");
    other.settle(&mut world);
    assert_eq!((other.total(ticket), free(&world, ticket)), (0, 0));
    world.assert_verified();
}

#[test]
fn a_count_before_the_lease_is_over_never_reclaims() {
    let mut world = world();
    let (lost, mut other, ticket) = lost_till(&mut world);
    world
        .hub
        .seal_stream(lost.till.stream, SealReason::Lost, &now())
        .expect("seal");
    other.ms = LEASE_MS + RECLAIM_MARGIN_MS - 1_000;
    other.count(ticket, 1, LEASE_MS - 1_000, &[]);
    other.settle(&mut world);
    assert_eq!((other.total(ticket), free(&world, ticket)), (0, 0));
}

#[test]
fn a_count_after_the_lease_of_a_sealed_stream_reclaims() {
    let mut world = world();
    let (mut lost, mut other, ticket) = lost_till(&mut world);
    world
        .hub
        .seal_stream(lost.till.stream, SealReason::Superseded, &now())
        .expect("a seal from before the lease was over");
    let late = LEASE_MS + RECLAIM_MARGIN_MS + 10_000;
    other.ms = late;
    other.count(ticket, 1, late, &[]);
    other.settle(&mut world);
    assert_eq!(free(&world, ticket), 0, "the lease ended after the seal");
    world
        .hub
        .seal_stream(lost.till.stream, SealReason::Lost, &at(late))
        .expect("seal");
    other.settle(&mut world);
    assert_eq!(free(&world, ticket), 0, "nobody counted since");
    let late = late + RECLAIM_MARGIN_MS + 10_000;
    other.ms = late;
    let knows = other.knows();
    other.count(ticket, 1, late, &knows);
    other.sync(&mut world);
    // Free again, and granted at once to the one who asks.
    assert_eq!(other.total(ticket), 1);
    world.assert_verified();
    // It had sold the unit before its lease was over, and is heard of after all: a fact, and an incident.
    lost.sell(ticket, 1, false);
    lost.ms = late + 1_000;
    lost.sync(&mut world);
    assert!(kinds(&world).contains(&IncidentKind::SealedStreamReported));
    assert_eq!(world.hub.set_aside(10).expect("read"), []);
    world.assert_verified();
}

#[test]
fn a_sealed_stream_gets_nothing_and_its_report_settles_what_it_held() {
    let mut world = world();
    let (mut sealed, mut other, ticket) = lost_till(&mut world);
    world
        .hub
        .seal_stream(sealed.till.stream, SealReason::Retired, &now())
        .expect("seal");
    assert!(
        world
            .hub
            .seal_stream(sealed.till.stream, SealReason::Retired, &now())
            .is_err()
    );
    assert!(
        world
            .hub
            .seal_stream(world.hub.stream(), SealReason::Retired, &now())
            .is_err()
    );
    sealed.give_back(&world, ticket, 1);
    let reply = sealed.sync(&mut world);
    assert_eq!((reply.grants.len(), reply.recall.len()), (0, 0));
    assert_eq!(outstanding(&world, ticket), 0);
    other.wants(ticket, 1);
    other.settle(&mut world);
    assert_eq!(other.total(ticket), 1);
    world.assert_verified();
}

#[test]
fn a_stream_that_follows_another_of_its_device_seals_it() {
    let mut world = world();
    let ticket = world.variant("ONE");
    let old = player(&mut world, "01", 10);
    let mut next = Till::new(old.till.enrolled.clone(), old.till.key.clone(), 11);
    let Fact::StreamOpened(mut opened) = next.opened() else {
        panic!("an opening");
    };
    opened.previous = Some(StreamHead {
        stream: old.till.stream,
        seq: old.till.head(),
        hash: old.till.hash(old.till.head()),
    });
    next.append(&Fact::StreamOpened(opened));
    let mut next = Player::new(next);
    next.settle(&mut world);
    assert_eq!(world.hub.sealed_streams().expect("read"), [old.till.stream]);
    // What the old one held stays given away: the copy that was restored cannot know whether it was sold.
    assert_eq!((next.total(ticket), outstanding(&world, ticket)), (0, 1));
    world.assert_verified();
}

#[test]
fn a_restored_server_grants_and_promises_nothing_before_every_stream_has_spoken() {
    let mut world = world();
    let (one, ticket) = (world.variant("ONE"), world.variant("TIC"));
    let mut first = player(&mut world, "01", 10);
    // What the hub grants after its backup it will not remember.
    let copy = world.dir.path().join("copy.db");
    rusqlite::Connection::open(world.dir.path().join("t.db"))
        .expect("file")
        .execute("VACUUM INTO ?1", [copy.to_str().expect("path")])
        .expect("copy");
    let mut second = player(&mut world, "02", 20);
    first.wants(ticket, 3);
    first.settle(&mut world);
    let held = (first.total(ticket), second.total(ticket));
    assert_eq!(held, (3, 2));
    let mut world = World {
        hub: hub::Hub::open(&copy, domain::entropy::Entropy::new([9; 32])).expect("open"),
        dir: world.dir,
    };
    assert_eq!(outstanding(&world, ticket), 2, "as it remembers");
    assert_eq!(world.hub.raise_epoch(&now()).expect("epoch"), 2);
    let refused = world
        .hub
        .promise(&promise_of(1, &[(one, "WEB", 1)]), &now());
    assert!(matches!(refused, Err(PromiseError::Stopped)));
    world.hub.confirm_promises(&[], &now()).expect("confirm");
    let refused = world
        .hub
        .promise(&promise_of(1, &[(ticket, "LM", 1)]), &now());
    assert!(matches!(refused, Err(PromiseError::Stopped)));
    // It first learns of the epoch, then says what it has seen, which is believed: the hub signed it.
    first.sync(&mut world);
    let refused = world
        .hub
        .promise(&promise_of(1, &[(ticket, "LM", 1)]), &now());
    assert!(matches!(refused, Err(PromiseError::Stopped)));
    first.sync(&mut world);
    assert_eq!(outstanding(&world, ticket), 3);
    assert_eq!(first.seen[&ticket].epoch, 2, "signed anew");
    // The second was enrolled since the backup and is not known here: somebody must say that the list of devices is
    // complete.
    let asked = promise_of(2, &[(ticket, "LM", 2)]);
    let refused = world.hub.promise(&asked, &now());
    assert!(matches!(refused, Err(PromiseError::Stopped)));
    let unknown = second.try_sync(&mut world);
    assert!(unknown.is_err(), "its device has to enrol again");
    devices_are_complete(&mut world);
    assert!(promise(&mut world, 2, &[(ticket, "LM", 2)]));
    world.assert_verified();
}

/// Head office has looked at the list of devices after a restore.
fn devices_are_complete(world: &mut World) {
    let open = world.hub.incidents(true, 100).expect("incidents");
    let restored = open
        .iter()
        .find(|line| line.kind == IncidentKind::ServerRestored)
        .expect("the incident of the restore");
    let note = "every till is on the list";
    world
        .hub
        .resolve_incident(restored.incident, note, &now())
        .expect("resolved");
}

#[test]
fn a_count_frees_what_a_sealed_stream_held_only_if_the_look_knew_of_the_seal() {
    let sealed_at = LEASE_MS + 10_000;
    let late = sealed_at + 3 * RECLAIM_MARGIN_MS;
    // When it looked, whether it had heard of the seal then, and at the end; and whether the unit is free.
    for (looked_at, then, end, frees) in [
        (None, true, true, true),
        (Some(late), true, true, true),
        (Some(sealed_at - 1_000), true, true, false),
        (Some(sealed_at + RECLAIM_MARGIN_MS), true, true, false),
        (Some(late), false, true, false),
        (None, true, false, false),
        (Some(0), false, false, false),
    ] {
        let mut world = world();
        let (lost, mut other, ticket) = lost_till(&mut world);
        other.ms = sealed_at;
        other.settle(&mut world);
        let before = other.folded[&world.hub.stream()];
        world
            .hub
            .seal_stream(lost.till.stream, SealReason::Lost, &at(sealed_at))
            .expect("seal");
        other.ms = late;
        other.settle(&mut world);
        let hub = world.hub.stream();
        assert!(other.folded[&hub] > before);
        let mut knows = other.knows();
        if !end {
            knows.retain(|(stream, _)| *stream != hub);
            knows.push((hub, before));
        }
        let looked = looked_at.map(|ms| Looked {
            wall: WALL + ms,
            folded: (!then).then_some((hub, before)).into_iter().collect(),
        });
        other.count_slowly(ticket, 1, late, &knows, looked);
        other.settle(&mut world);
        let case = format!("looked at {looked_at:?}, heard {then} and {end}");
        // Free again, or granted at once to the one who is there.
        let available = free(&world, ticket) + other.total(ticket);
        assert_eq!(available, i64::from(frees), "{case}");
        world.assert_verified();
    }
}

#[test]
fn after_a_seal_tills_hear_how_far_the_servers_stream_is_folded() {
    let mut world = world();
    let (lost, other, _) = lost_till(&mut world);
    // It has read everything, and has nothing to tell.
    let poll = |world: &mut World, ms: i64, cursors: &BTreeMap<FeedName, Cursor>| {
        let mut request = other.request();
        request.push = None;
        request.cursors.clone_from(cursors);
        let device = other.till.enrolled.device;
        world.hub.sync(device, &request, &at(ms)).expect("sync")
    };
    let mut cursors = BTreeMap::new();
    for ms in 0.. {
        let pages = poll(&mut world, ms, &cursors).pages;
        if pages.is_empty() {
            break;
        }
        for page in pages {
            cursors.insert(page.feed, page.next);
        }
    }
    let sealed_at = 2_000;
    world
        .hub
        .seal_stream(lost.till.stream, SealReason::Lost, &at(sealed_at))
        .expect("seal");
    let hub = world.hub.stream();
    for ms in [3_000, 4_000, sealed_at + RECLAIM_MARGIN_MS] {
        let pages = poll(&mut world, ms, &cursors).pages;
        let told = pages.iter().any(|page| page.folded.contains_key(&hub));
        assert!(told, "{ms}");
    }
    // An hour after it was told it has heard of it.
    let later = sealed_at + 2 * RECLAIM_MARGIN_MS;
    let pages = poll(&mut world, later, &cursors).pages;
    assert!(pages.iter().all(|page| page.folded.is_empty()));
}

#[test]
fn seals_of_an_older_file_say_where_they_stand() {
    let mut world = world();
    let (lost, _, _) = lost_till(&mut world);
    world
        .hub
        .seal_stream(lost.till.stream, SealReason::Lost, &now())
        .expect("seal");
    let path = world.dir.path().join("t.db");
    let conn = rusqlite::Connection::open(&path).expect("open");
    conn.execute_batch(
        "ALTER TABLE strict_variant DROP COLUMN since; DROP TABLE catalogue_read; ALTER TABLE sealed DROP COLUMN at; ALTER TABLE anchor DROP COLUMN looked; PRAGMA user_version = 7",
    )
    .expect("the seventh schema");
    drop(conn);
    world.hub = hub::Hub::open(&path, domain::entropy::Entropy::new([2; 32])).expect("open");
    world.assert_verified();
}

#[test]
fn after_a_restore_a_till_that_stays_silent_is_sealed_late_and_counted() {
    let mut world = world();
    let ticket = world.variant("TIC");
    let mut first = player(&mut world, "01", 10);
    let second = player(&mut world, "02", 20);
    world.hub.raise_epoch(&now()).expect("epoch");
    world.hub.confirm_promises(&[], &now()).expect("confirm");
    devices_are_complete(&mut world);
    first.settle(&mut world);
    let refused = |world: &mut World, ms: i64| {
        let asked = promise_of(3, &[(ticket, "LM", 1)]);
        let answer = world.hub.promise(&asked, &at(ms));
        matches!(answer, Err(PromiseError::Stopped))
    };
    assert!(refused(&mut world, 2_000), "one till has not spoken");
    let seal = |world: &mut World, ms: i64| {
        world
            .hub
            .seal_stream(second.till.stream, SealReason::Lost, &at(ms))
            .expect("sealed");
    };
    let count = |world: &mut World, first: &mut Player, ms: i64| {
        first.ms = ms;
        first.sync(world);
        let knows = first.knows();
        first.count(ticket, 2, ms, &knows);
        first.settle(world);
    };
    // A seal is no report: the till may hold a right that the backup does not know, under a lease that still runs.
    seal(&mut world, 3_000);
    assert!(refused(&mut world, 4_000));
    count(&mut world, &mut first, 3_000 + 2 * RECLAIM_MARGIN_MS);
    assert!(refused(&mut world, 4_000 + 2 * RECLAIM_MARGIN_MS));
    assert_eq!(first.seen[&ticket].line.total, units(2), "no grant either");
    // When the longest lease has ended it is sealed again; a count from before does not know of that.
    let late = LEASE_MS + 10_000;
    seal(&mut world, late);
    assert!(refused(&mut world, late + 1_000));
    let counted = late + 2 * RECLAIM_MARGIN_MS;
    count(&mut world, &mut first, counted);
    assert!(!refused(&mut world, counted + 1_000), "that one does");
    // Another variant was not counted.
    let one = world.variant("ONE");
    let asked = promise_of(4, &[(one, "LM", 1)]);
    let answer = world.hub.promise(&asked, &at(counted));
    assert!(matches!(answer, Err(PromiseError::Stopped)));
    world.assert_verified();
}

#[test]
fn a_till_that_was_sealed_before_the_backup_is_not_waited_for() {
    let mut world = world();
    let ticket = world.variant("TIC");
    let mut first = player(&mut world, "01", 10);
    let second = player(&mut world, "02", 20);
    let reason = SealReason::Retired;
    world
        .hub
        .seal_stream(second.till.stream, reason, &now())
        .expect("sealed");
    world.hub.raise_epoch(&at(1_000)).expect("epoch");
    world
        .hub
        .confirm_promises(&[], &at(1_000))
        .expect("confirm");
    devices_are_complete(&mut world);
    first.ms = 2_000;
    first.settle(&mut world);
    let asked = promise_of(3, &[(ticket, "LM", 1)]);
    let answer = world.hub.promise(&asked, &at(3_000)).expect("an answer");
    assert!(
        matches!(answer, PromiseAnswer::Promised { .. }),
        "{answer:?}"
    );
    world.assert_verified();
}

#[test]
fn promises_made_since_the_backup_are_taken_in_as_they_are() {
    let mut world = world();
    let one = world.variant("ONE");
    world.hub.raise_epoch(&now()).expect("epoch");
    let open = [
        promise_of(1, &[(one, "LM", 1)]),
        promise_of(2, &[(one, "LM", 1)]),
    ];
    world.hub.confirm_promises(&open, &now()).expect("confirm");
    assert_eq!(free(&world, one), -1);
    assert_eq!(
        kinds(&world),
        [
            IncidentKind::RightsDeficit,
            IncidentKind::PromiseAtRisk,
            IncidentKind::ServerRestored
        ]
    );
    world.hub.confirm_promises(&open, &now()).expect("again");
    assert_eq!(free(&world, one), -1);
    world.assert_verified();
}

#[test]
fn a_lease_is_renewed_when_half_of_it_is_over() {
    let mut world = world();
    let ticket = world.variant("TIC");
    let mut till = player(&mut world, "01", 10);
    let end = till.seen[&ticket].line.lease_end;
    assert_eq!(end, Some(WALL + LEASE_MS));
    till.ms = LEASE_MS / 2 - 1_000;
    till.settle(&mut world);
    assert_eq!(till.seen[&ticket].line.lease_end, end);
    till.ms = LEASE_MS / 2 + 1_000;
    till.settle(&mut world);
    let line = &till.seen[&ticket].line;
    assert_eq!(line.lease_end, Some(WALL + till.ms + LEASE_MS));
    assert_eq!(line.total, units(2));
    world.assert_verified();
}

#[test]
fn a_device_that_does_not_speak_of_rights_gets_none() {
    let mut world = world();
    let ticket = world.variant("TIC");
    let till = world.till("01", 10);
    for _ in 0..3 {
        let reply = world.sync(&till, &till.push_all()).expect("sync");
        assert!(reply.grants.is_empty() && reply.counts.is_empty());
    }
    assert_eq!(outstanding(&world, ticket), 0);
}

#[test]
fn rights_that_go_elsewhere_than_they_may_are_set_aside() {
    let mut world = world();
    let ticket = world.variant("TIC");
    let mut till = player(&mut world, "01", 10);
    let line = |at: &str, total| RightsLine {
        variant: ticket,
        location: location(at),
        total: units(total),
        lease_end: None,
    };
    let hub = world.hub.stream();
    let stream = till.till.stream;
    let moved = |to, line| RightsMoved {
        to,
        epoch: 1,
        lines: vec![line],
    };
    for fact in [
        Fact::RightsReturned(moved(StreamId([9; 16]), line("LM", 1))),
        Fact::RightsReturned(moved(hub, line("LM", -1))),
        Fact::RightsReturned(moved(hub, line("WEB", 1))),
        Fact::RightsPassed(moved(hub, line("LM", 1))),
        Fact::RightsPassed(moved(stream, line("LM", 1))),
        Fact::RightsGranted(moved(stream, line("LM", 1))),
    ] {
        till.till.append(&fact);
    }
    till.sync(&mut world);
    assert_eq!(world.hub.set_aside(10).expect("read").len(), 6);
    assert_eq!(outstanding(&world, ticket), 2);
    // More than it holds: its debt is no unit that another may sell.
    till.give_back(&world, ticket, 90);
    till.sync(&mut world);
    assert!(free(&world, ticket) <= 5);
    world.assert_verified();
}

#[test]
fn forks_and_streams_behind_are_incidents() {
    let mut world = world();
    let mut till = Player::new(world.till("01", 10));
    let ball = world.variant("BAL");
    till.sync(&mut world);
    let mut copy = till.till.clone();
    till.till.sell(ball, 1, 10_000);
    till.sync(&mut world);
    let behind = world.sync(&copy, &copy.push_all());
    assert!(matches!(behind, Err(ProtocolError::Behind { .. })));
    copy.sell(ball, 2, 10_000);
    let fork = world.sync(&copy, &copy.push_all());
    assert!(matches!(fork, Err(ProtocolError::Fork { .. })), "{fork:?}");
    assert_eq!(
        kinds(&world),
        [IncidentKind::StreamForked, IncidentKind::StreamBehind]
    );
    world.assert_verified();
}

#[test]
fn the_class_of_a_variant_is_head_offices_to_set() {
    let mut world = world();
    let ball = world.variant("BAL");
    let mut till = player(&mut world, "01", 10);
    assert_eq!(till.total(ball), 0);
    let lm = location("LM");
    world
        .hub
        .set_class("BAL", Some(&lm), StockClass::Strict)
        .expect("class");
    // It says to have read the row, and has nothing else to report.
    let pages = till.sync(&mut world).pages;
    let page = pages.iter().find(|page| page.feed == FeedName::Catalogue);
    let read = Cursor {
        ver: page.expect("the catalogue").ver,
        pk: format!("variant:{ball}"),
    };
    let mut request = till.request();
    request.cursors.insert(FeedName::Catalogue, read);
    let reply = world.hub.sync(till.till.enrolled.device, &request, &at(0));
    till.take(&reply.expect("sync"));
    assert_eq!(till.total(ball), 2);
    assert!(
        world
            .hub
            .set_class("NOPE", None, StockClass::Strict)
            .is_err()
    );
    assert!(
        world
            .hub
            .set_class("BAL", Some(&location("XX")), StockClass::Strict)
            .is_err()
    );
    world.assert_verified();
    world
        .hub
        .set_class("TIC", None, StockClass::Shelf)
        .expect("class");
    world.assert_verified();
}

#[test]
fn of_a_kit_its_parts_are_promised_sold_and_granted() {
    let mut world = world();
    let kit = "style,name_fr,tax,sku,kit\nPACK,Pack,standard,PACK,2*TIC|BAL|SRV\n";
    assert!(world.import(kit, &support::options(false)).applied);
    let (pack, ticket, ball) = (
        world.variant("PACK"),
        world.variant("TIC"),
        world.variant("BAL"),
    );
    let promisable = |world: &World, variant| {
        let left = world.hub.promisable(variant, &location("LM"), &now());
        left.expect("readable").map(|left| left.0)
    };
    assert_eq!(promisable(&world, pack), Some(2_000), "five tickets");
    // Two kits take four, and a ticket by itself is of the same five.
    let short = world.hub.promise(
        &promise_of(1, &[(pack, "LM", 2), (ticket, "LM", 2)]),
        &now(),
    );
    let Ok(PromiseAnswer::Refused { short }) = short else {
        panic!("{short:?}")
    };
    let short: Vec<_> = short
        .iter()
        .map(|line| (line.variant, line.asked.0, line.available.0))
        .collect();
    assert_eq!(short, [(ticket, 6_000, 5_000)]);
    assert!(promise(
        &mut world,
        2,
        &[(pack, "LM", 2), (ticket, "LM", 1)]
    ));
    assert_eq!(free(&world, ticket), 0);
    assert_eq!(promisable(&world, ball).map(|left| left % 1_000), Some(0));
    assert!(!promise(&mut world, 3, &[(pack, "LM", 1)]));
    let id = PromiseId(Uuid::from_u128(2));
    world.hub.release_promise(id, &now()).expect("release");
    assert_eq!(free(&world, ticket), 5);
    for quantity in [QUANTITY_MAX, QUANTITY_MAX / 2 + 1_000] {
        let line = PromiseLine {
            variant: pack,
            location: location("LM"),
            quantity: Quantity(quantity),
        };
        let request = PromiseRequest {
            promise: PromiseId(Uuid::from_u128(4)),
            lines: vec![line],
            life_ms: None,
        };
        let answer = world.hub.promise(&request, &now());
        assert!(
            matches!(answer, Err(PromiseError::Invalid { .. })),
            "{answer:?}"
        );
    }
    // A till sells one: its parts leave the shelf and its right, the kit itself nothing.
    let mut till = player(&mut world, "01", 10);
    let held = till.total(ticket);
    assert!(held >= 2, "{held}");
    let mut sale = till.till.sale(pack, 1, 79_000);
    sale.lines[0].class = StockClass::Untracked;
    sale.lines[0].components = [
        (ticket, 2, StockClass::Strict),
        (ball, 1, StockClass::Shelf),
    ]
    .into_iter()
    .map(|(variant, count, class)| GoodsLine {
        variant,
        quantity: units(count),
        class,
    })
    .collect();
    till.till.append(&Fact::SaleCompleted(sale));
    till.sync(&mut world);
    let left = (world.on_hand("TIC", "LM"), world.on_hand("BAL", "LM"));
    assert_eq!(left, (3, 19));
    assert_eq!(free(&world, ticket) + outstanding(&world, ticket), 3);
    assert_eq!(
        outstanding(&world, ticket),
        till.total(ticket) - 2,
        "two were consumed"
    );
    assert_eq!(kinds(&world), []);
    world.assert_verified();
    world.assert_lineage();
}
