//! What must hold: at the server, on each till, and between them.
//!
//! | | rule | here | claimed |
//! |---|---|---|---|
//! | V1 | double entry sums to zero, money and goods | `v1_books_balance` | when all is quiet |
//! | V2 | a projection is the fold of the set of events | `v2_stock_is_the_fold`, `v2_stock_agrees` | when all is quiet |
//! | V3 | the server holds a prefix of each till's chain | `v3_acknowledged_prefix` | after every sync of the till |
//! | V4 | nothing acknowledged is ever lost | `Chain::still_there`, `v4_promises_are_kept`, `v10_sales_are_there_once` | after each restart of the till; of the server; when all is quiet |
//! | V5 | escrow | `v5_till_does_not_owe`, [`Goods::never_oversold`](super::goods::Goods::never_oversold), `v5_free_is_explained` | after every step, the last one when all is quiet |
//! | V6 | no promise beyond what is free | `v6_promised_what_was_free` | after every promise |
//! | V7 | feeds are the same on both sides | `v7_feeds_are_the_same` | when all is quiet |
//! | V8 | cursors only go on | `v8_cursors_go_on` | after every sync of the till |
//! | V9 | receipts, tenders and takings are one sum | `v9_takings_are_the_sales` | when all is quiet |
//! | V10 | each event counts once | `v10_sales_are_there_once` | when all is quiet |
//! | V11 | when faults stop, all is quiet soon | `Chain::calm` | at the end |
//! | V12 | no sale waits for the network | `Node::sell`, `Node::ticket`, `v12_nobody_waited` | after every sale |
//!
//! V12 is that a sale is done when its step is, link or no link, and that nothing was sent for it. Every message begins with the name of its rule; what only `verify` of a file says begins
//! with `verify`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use domain::event::{Event, Fact, SaleBody};
use domain::ids::{EventId, LocationId, SaleId, VariantId};
use domain::posting::stock_postings;
use domain::quantity::Quantity;
use domain::stock::{EventRef, StockFold};
use hub::PromiseState;
use rusqlite::Connection;

use super::goods::{Order, Place};
use super::node::{Node, SaleKey};
use super::world::{Chain, number_of, server_now};

/// Every event that the server folded, each once, as it was first written; quarantined ones aside.
fn events_at(conn: &Connection) -> Result<BTreeMap<EventId, (EventRef, Fact)>> {
    let mut statement = conn.prepare(
        "SELECT e.bytes FROM event e LEFT JOIN quarantine q ON q.stream = e.stream AND q.seq = e.seq
         WHERE q.seq IS NULL ORDER BY e.stream, e.seq",
    )?;
    let mut rows = statement.query([])?;
    let mut events = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let bytes: Vec<u8> = row.get(0)?;
        let mut event = Event::decode(&bytes)?;
        let mut fact = event.fact()?;
        if let Fact::Adopted(adopted) = &fact {
            let original = adopted.original().context("an adopted event")?;
            fact = original.event.fact()?;
            event = original.event;
        }
        let at = EventRef {
            stream: event.stream,
            seq: event.seq,
            hlc: event.hlc,
        };
        events.insert(event.id, (at, fact));
    }
    Ok(events)
}

fn sale_of(fact: &Fact) -> Option<&SaleBody> {
    match fact {
        Fact::SaleCompleted(sale) => Some(sale),
        Fact::Reversed(reversed) => Some(&reversed.mirror),
        _ => None,
    }
}

/// V1: what the tills of a currency booked sums to zero at head office, and so do the goods over all accounts. Claimed
/// when all is quiet.
fn v1_books_balance(chain: &Chain, events: &BTreeMap<EventId, (EventRef, Fact)>) -> Result<()> {
    let mut goods: BTreeMap<VariantId, i64> = BTreeMap::new();
    for posting in events.values().flat_map(|(_, fact)| stock_postings(fact)) {
        *goods.entry(posting.variant).or_default() += posting.quantity.0;
    }
    ensure!(
        goods.values().all(|sum| *sum == 0),
        "V1: goods came from nowhere: {goods:?}"
    );
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for line in chain.with_hub(|hub| Ok(hub.balances()?))? {
        let sum = sums.entry(line.currency.code().to_owned()).or_default();
        *sum += line.debit_minor - line.credit_minor;
    }
    ensure!(
        sums.values().all(|sum| *sum == 0),
        "V1: the books do not balance: {sums:?}"
    );
    Ok(())
}

/// V2: the stock is the same whatever the order of the events, and however often each comes; what is shown is compared
/// with it. Claimed when all is quiet.
fn v2_stock_is_the_fold(events: &BTreeMap<EventId, (EventRef, Fact)>) -> Result<StockFold> {
    let (mut fold, mut turned) = (StockFold::default(), StockFold::default());
    for (id, (at, fact)) in events {
        fold.add_as(*id, at, fact);
    }
    for (id, (at, fact)) in events.iter().rev().chain(events) {
        turned.add_as(*id, at, fact);
    }
    for (variant, location) in fold.places() {
        let (one, other) = (
            fold.on_hand(variant, &location),
            turned.on_hand(variant, &location),
        );
        ensure!(
            one == other,
            "V2: {variant} at {location} is {one:?} or {other:?} by the order of events"
        );
    }
    Ok(fold)
}

/// V3: what the server holds of the stream that a till writes is a prefix of the till's own chain, and no longer than
/// that. Claimed after every sync of a till that was not put back with its witness since its stream began.
///
/// # Errors
/// When it is another history, or a file cannot be read.
pub fn v3_acknowledged_prefix(chain: &Chain, index: usize) -> Result<()> {
    let node = &chain.nodes[index];
    if node.rolled_back {
        return Ok(());
    }
    let ledger = node.till()?.ledger().context("a ledger")?;
    let stream = ledger.identity().stream;
    let conn = chain.server_file()?;
    let mut statement =
        conn.prepare_cached("SELECT head_seq, head_hash FROM stream WHERE stream = ?1")?;
    let mut rows = statement.query([&stream.0[..]])?;
    let Some(row) = rows.next()? else {
        return Ok(());
    };
    let (seq, hash): (u64, [u8; 32]) = (row.get(0)?, row.get(1)?);
    let ours = ledger.hash_at(seq)?.map(|hash| hash.0);
    ensure!(
        ours == Some(hash),
        "V3: the server holds another history of till {index} up to {seq}"
    );
    Ok(())
}

/// V4: what the web shop was promised is still promised. Claimed after each restart of the server.
///
/// # Errors
/// Names the promise.
pub fn v4_promises_are_kept(chain: &Chain) -> Result<()> {
    let now = chain.now_ms();
    let kept = |order: &&Order| order.open && order.expires > now;
    for order in chain.goods.orders.iter().filter(kept) {
        let promise = order.request.promise;
        let state = chain.with_hub(|hub| Ok(hub.promise_state(promise, &server_now(now))?))?;
        ensure!(
            state == Some(PromiseState::Open),
            "V4: promise {promise} was given and is {state:?}"
        );
    }
    Ok(())
}

/// V5: a till never sells what it has no right to: its own books of rights are not below zero. Claimed after every step
/// of the till whose step it was, for no other can have changed; of all when all is quiet.
///
/// # Errors
/// Names the till.
pub fn v5_till_does_not_owe(chain: &Chain, index: usize) -> Result<()> {
    for variant in &chain.strict {
        let held = chain.nodes[index].right(*variant, chain.now_ms())?.right;
        ensure!(
            held >= Quantity::ZERO,
            "V5: till {index} owes {held:?} of {variant}"
        );
    }
    Ok(())
}

/// V5: where more was given away than there is, an incident says so. Claimed when all is quiet.
fn v5_free_is_explained(chain: &Chain) -> Result<()> {
    let incidents = chain.with_hub(|hub| Ok(hub.incidents(false, u32::MAX)?))?;
    for place in chain.goods.shelf.keys() {
        let given = chain.with_hub(|hub| Ok(hub.rights(place.0, &place.1)?))?;
        let on_hand = chain.with_hub(|hub| Ok(hub.on_hand(place.0, &place.1)?))?;
        // What the hub calls free may be less, for as long as somebody has not said what it knew of a count.
        let free = domain::escrow::free(
            on_hand.unwrap_or_default(),
            given.outstanding,
            given.promised,
        );
        let told = incidents.iter().any(|incident| {
            (incident.variant, incident.location.as_ref()) == (Some(place.0), Some(&place.1))
        });
        ensure!(
            free >= Quantity::ZERO || told,
            "V5: {free:?} of {} are free at {}, and no incident says why",
            place.0,
            place.1
        );
    }
    Ok(())
}

/// V6: what was promised was free: after it, free is not below zero. Claimed after every promise that was given.
///
/// # Errors
/// Names the place.
pub fn v6_promised_what_was_free(chain: &Chain, place: &Place) -> Result<()> {
    let free = chain
        .with_hub(|hub| Ok(hub.rights(place.0, &place.1)?))?
        .free;
    ensure!(
        free >= Quantity::ZERO,
        "V6: a promise of {} at {} left {free:?} free",
        place.0,
        place.1
    );
    Ok(())
}

/// V8: what a till has read of a feed never grows less while the epoch and its file stay. Claimed after every sync.
///
/// # Errors
/// Names the feed.
pub fn v8_cursors_go_on(chain: &mut Chain, index: usize) -> Result<()> {
    let node = &mut chain.nodes[index];
    let epoch = node.till()?.link().context("the till is enrolled")?.epoch;
    let ledger = node.till()?.ledger().context("a ledger")?;
    let cursors = ledger.cursors()?.into_iter();
    let read: BTreeMap<_, _> = cursors.map(|(feed, cursor)| (feed, cursor.ver)).collect();
    if node.read_up_to.0 == epoch {
        for (feed, before) in &node.read_up_to.1 {
            let now = read.get(feed).copied();
            // A feed that does not add up is read from its beginning: that is no step back.
            ensure!(
                now.is_none_or(|ver| ver == 0 || ver >= *before),
                "V8: till {index} had read {feed} to {before} and stands at {now:?}"
            );
        }
    }
    node.read_up_to = (epoch, read);
    Ok(())
}

/// V12: a sale sent nothing and waited for nobody. Claimed after every sale.
///
/// # Errors
/// When requests were sent meanwhile.
pub fn v12_nobody_waited(before: u64, after: u64) -> Result<()> {
    ensure!(before == after, "V12: a sale spoke to the network");
    Ok(())
}

/// Ids of the events that the server holds, adopted ones by their own.
///
/// # Errors
/// When its file cannot be read.
pub fn event_ids_at(server: &Connection) -> Result<BTreeSet<EventId>> {
    Ok(events_at(server)?.into_keys().collect())
}

/// The sales that the server knows.
///
/// # Errors
/// When its file cannot be read.
pub fn sales_at(server: &Connection) -> Result<BTreeSet<SaleKey>> {
    let events = events_at(server)?;
    let sales = events.values().filter_map(|(_, fact)| sale_of(fact));
    Ok(sales
        .map(|sale| (sale.number.clone(), sale.sale, sale.total_minor))
        .collect())
}

/// Feeds that a till has not read to the server's end, in words. What is in them is compared by [`everything`].
///
/// # Errors
/// When a file cannot be read.
pub fn feeds_behind(chain: &Chain) -> Result<Vec<String>> {
    let conn = chain.server_file()?;
    let mut statement = conn.prepare_cached("SELECT feed, ver FROM feed")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let ends: BTreeMap<String, u64> = rows.collect::<rusqlite::Result<_>>()?;
    let mut behind = Vec::new();
    for (index, node) in chain.nodes.iter().enumerate() {
        let ledger = node.till()?.ledger().context("a ledger")?;
        for (feed, cursor) in ledger.cursors()? {
            let end = ends.get(&feed.to_string()).copied();
            if end != Some(cursor.ver) {
                behind.push(format!(
                    "{feed} of till {index} at version {}, the server at {end:?}",
                    cursor.ver
                ));
            }
        }
    }
    Ok(behind)
}

/// Looks at everything once all is quiet.
///
/// # Errors
/// Every rule that is broken, by its name.
pub fn everything(chain: &mut Chain) -> Result<()> {
    let server = chain.with_hub(|hub| Ok(hub.verify()?))?;
    let events = events_at(chain.server_file()?)?;
    let mut broken = Broken::default();
    broken.look(v10_sales_are_there_once(chain, &events));
    broken.look(v9_takings_are_the_sales(chain, &events));
    broken.look(v1_books_balance(chain, &events));
    broken.look(v5_free_is_explained(chain));
    let fold = broken.look(v2_stock_is_the_fold(&events));
    for index in 0..chain.nodes.len() {
        let till = || format!("till {index}");
        broken.look(till_is_sound(chain, index, &server).with_context(till));
        broken.look(v5_till_does_not_owe(chain, index));
        if let Some(fold) = &fold {
            broken.look(v2_stock_agrees(chain, index, fold).with_context(till));
        }
    }
    // The server's own word comes last: the rules have to see by themselves what goes wrong.
    if !server.ok {
        broken
            .0
            .push(format!("verify: the server: {:?}", server.first_bad));
    }
    broken.look(nothing_is_set_aside(chain));
    ensure!(broken.0.is_empty(), "{}", broken.0.join("\n"));
    Ok(())
}

/// What does not hold, each in words that begin with its rule.
#[derive(Default)]
struct Broken(Vec<String>);

impl Broken {
    fn look<T>(&mut self, found: Result<T>) -> Option<T> {
        match found {
            Ok(found) => Some(found),
            Err(error) => {
                self.0.push(format!("{error:#}"));
                None
            }
        }
    }
}

/// The server took in all that it was sent, but for what a person has to look at.
fn nothing_is_set_aside(chain: &Chain) -> Result<()> {
    let aside = chain.with_hub(|hub| Ok(hub.set_aside(100)?))?;
    // A count by a clock that is ahead waits for somebody to look at it, and what a machine did before it was set back,
    // when it was under way still and no file of the till holds it any more.
    let waits = |line: &hub::SetAsideLine| {
        let is_of = |(index, node): (usize, &Node)| {
            node.rolled_back_ever
                && node.shop.code == line.store.as_str()
                && number_of(index) == line.till.as_str()
        };
        match (line.code.as_str(), line.kind.as_deref()) {
            ("clock_ahead", Some("StockCounted")) => true,
            // Two branches of one stream that counted one shelf: which of them is right, nobody can tell.
            ("other_branch", _) | ("contested_count", Some("StockCounted")) => {
                chain.nodes.iter().enumerate().any(is_of)
            }
            _ => false,
        }
    };
    if let Some(line) = aside.iter().find(|line| !waits(line)) {
        bail!("verify: the server set an event aside: {line:?}");
    }
    Ok(())
}

/// Every acknowledged sale is at the server, once, under one number, and nothing is there that nobody rang up.
fn v10_sales_are_there_once(
    chain: &Chain,
    events: &BTreeMap<EventId, (EventRef, Fact)>,
) -> Result<()> {
    let mut by_number: BTreeMap<&str, Vec<&SaleBody>> = BTreeMap::new();
    let mut ids: BTreeMap<SaleId, &str> = BTreeMap::new();
    // A machine set back with its very files cannot know that it sold a cart before, nor which numbers it gave.
    let unaware = chain.nodes.iter().any(|node| node.rolled_back_ever);
    // Nor was anybody told of a sale in which it lost its power: its number is not on the list of those given twice.
    let untold = |sale: &&SaleBody| {
        let of = |node: &&Node| node.rolled_back_ever && node.unanswered.contains(&sale.sale);
        chain.nodes.iter().any(|node| of(&node))
    };
    for sale in events.values().filter_map(|(_, fact)| sale_of(fact)) {
        let same = by_number.entry(&sale.number).or_default();
        same.push(sale);
        ensure!(
            same.len() == 1 || chain.given_twice.contains(&sale.number) || same.iter().any(untold),
            "V10: number {} is on two receipts",
            sale.number
        );
        if let Some(other) = ids.insert(sale.sale, &sale.number) {
            ensure!(
                unaware,
                "V10: sale {} has two receipts: {other} and {}",
                sale.sale,
                sale.number
            );
        }
    }
    for sold in &chain.sold {
        let number = sold.done.number.as_str();
        let same = by_number.get(number).map(Vec::as_slice).unwrap_or_default();
        let is_there = same
            .iter()
            .any(|sale| (sale.total_minor, sale.sale) == (sold.done.total_minor, sold.done.sale));
        // A machine set back with its very files gives the number of a sale that is gone again, and perhaps in one that
        // nobody was told of.
        let given_again = chain.given_twice.contains(number)
            || sold.may_be_gone && chain.nodes[sold.till].rolled_back_ever;
        ensure!(
            is_there || same.is_empty() || given_again,
            "V3: {number} is another sale at the server"
        );
        ensure!(
            is_there || sold.may_be_gone,
            "V4: {number} of till {} was acknowledged and is lost",
            sold.till
        );
    }
    let mut rung_up: BTreeSet<SaleId> = BTreeSet::new();
    for node in &chain.nodes {
        rung_up.extend(&node.unanswered);
    }
    rung_up.extend(chain.sold.iter().map(|sold| sold.done.sale));
    if let Some(id) = ids.keys().find(|id| !rung_up.contains(id)) {
        bail!("V10: sale {id} was never rung up");
    }
    Ok(())
}

/// What head office shows as takings is the sum of the sales.
fn v9_takings_are_the_sales(
    chain: &Chain,
    events: &BTreeMap<EventId, (EventRef, Fact)>,
) -> Result<()> {
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    for sale in events.values().filter_map(|(_, fact)| sale_of(fact)) {
        let paid: i64 = sale.tenders.iter().map(|tender| tender.amount_minor).sum();
        ensure!(
            paid - sale.change_minor == sale.total_minor,
            "V9: sale {} was not paid",
            sale.sale
        );
        *expected.entry(sale.currency.code().to_owned()).or_default() += sale.total_minor;
    }
    let mut found: BTreeMap<String, i64> = BTreeMap::new();
    for row in chain.with_hub(|hub| Ok(hub.takings(None)?))? {
        *found.entry(row.currency.code().to_owned()).or_default() += row.takings_minor;
    }
    ensure!(
        found == expected,
        "V9: takings are {found:?}, sales {expected:?}"
    );
    Ok(())
}

/// A till's file holds, and its stream is at the server to its end.
fn till_is_sound(chain: &Chain, index: usize, server: &hub::VerifyReport) -> Result<()> {
    let ledger = chain.nodes[index].till()?.ledger().context("a ledger")?;
    let report = ledger.verify()?;
    ensure!(report.ok, "verify: its file: {:?}", report.first_bad);
    for (stream, head) in &report.streams {
        let theirs = server.streams.get(&stream.to_string());
        ensure!(
            theirs == Some(head),
            "V3: stream {stream} ends at {head:?}, at the server at {theirs:?}"
        );
    }
    v7_feeds_are_the_same(&report, server)
}

/// V7: the rows of each feed that a till follows add up to what those of the server add up to.
fn v7_feeds_are_the_same(till: &ledger::VerifyReport, server: &hub::VerifyReport) -> Result<()> {
    for (feed, report) in &till.feeds {
        let theirs = server.feeds.get(&feed.to_string());
        let theirs = theirs.with_context(|| format!("the server has no feed {feed}"))?;
        ensure!(
            theirs.checksum == report.checksum,
            "V7: {feed} at version {} is another than the server's at {}",
            report.ver,
            theirs.ver
        );
    }
    Ok(())
}

/// V2: the stock that a till and the server show is the stock of the set of all events.
fn v2_stock_agrees(chain: &Chain, index: usize, fold: &StockFold) -> Result<()> {
    let node = &chain.nodes[index];
    let ledger = node.till()?.ledger().context("a ledger")?;
    let location = LocationId::new(node.shop.code)?;
    let places = fold.places();
    let here = places.iter().filter(|(_, at)| *at == location);
    for variant in here
        .map(|(variant, _)| *variant)
        .collect::<Vec<VariantId>>()
    {
        let expected = fold.on_hand(variant, &location);
        let shown = ledger
            .stock(variant, &location)?
            .map(|known| known.quantity);
        ensure!(
            shown == Some(expected),
            "V2: shows {shown:?} of {variant}, and there are {expected}"
        );
        let server = chain.with_hub(|hub| Ok(hub.on_hand(variant, &location)?))?;
        ensure!(
            server == Some(expected),
            "V2: the server has {server:?} of {variant}, not {expected}"
        );
    }
    Ok(())
}
