//! What must hold: at the server, on each till, and between them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use domain::event::{Event, Fact, SaleBody};
use domain::ids::{EventId, LocationId, SaleId, VariantId};
use domain::stock::{EventRef, StockFold};

use super::world::Chain;

/// Every event that the server folded, each once, as it was first written; quarantined ones aside.
fn events_at(path: &Path) -> Result<BTreeMap<EventId, (EventRef, Fact)>> {
    let conn = rusqlite::Connection::open(path)?;
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

/// Numbers of the receipts that the server knows.
///
/// # Errors
/// When its file cannot be read.
pub fn numbers_at(path: &Path) -> Result<BTreeSet<String>> {
    let events = events_at(path)?;
    let sales = events.values().filter_map(|(_, fact)| sale_of(fact));
    Ok(sales.map(|sale| sale.number.clone()).collect())
}

/// Whether every till holds the feeds as the server does.
///
/// # Errors
/// When a file cannot be read.
pub fn feeds_agree(chain: &Chain) -> Result<bool> {
    Ok(feeds_that_differ(chain)?.is_empty())
}

/// Feeds that a till holds otherwise than the server, in words.
///
/// # Errors
/// When a file cannot be read.
pub fn feeds_that_differ(chain: &Chain) -> Result<Vec<String>> {
    let mut differ = Vec::new();
    let server = chain.with_hub(|hub| Ok(hub.verify()?))?;
    for (index, node) in chain.nodes.iter().enumerate() {
        let ledger = node.till()?.ledger().context("a ledger")?;
        for (feed, report) in ledger.verify()?.feeds {
            let Some(theirs) = server.feeds.get(&feed.to_string()) else {
                bail!("the server has no feed {feed}");
            };
            if theirs.checksum != report.checksum {
                differ.push(format!(
                    "{feed} of till {index} at version {}, the server at {}",
                    report.ver, theirs.ver
                ));
            }
        }
    }
    Ok(differ)
}

/// Looks at everything once all is quiet.
///
/// # Errors
/// The first rule that is broken.
pub fn everything(chain: &mut Chain) -> Result<()> {
    let path = chain.hub_path();
    let report = chain.with_hub(|hub| Ok(hub.verify()?))?;
    ensure!(report.ok, "the server: {:?}", report.first_bad);
    let aside = chain.with_hub(|hub| Ok(hub.set_aside(100)?))?;
    ensure!(aside.is_empty(), "the server set events aside: {aside:?}");
    let events = events_at(&path)?;
    sales_are_there_once(chain, &events)?;
    takings_are_the_sales(chain, &events)?;
    let mut fold = StockFold::default();
    for (at, fact) in events.values() {
        fold.add(at, fact);
    }
    for index in 0..chain.nodes.len() {
        till_is_sound(chain, index, &report.streams).with_context(|| format!("till {index}"))?;
        stock_agrees(chain, index, &fold).with_context(|| format!("till {index}"))?;
    }
    Ok(())
}

/// Every acknowledged sale is at the server, once, under one number, and nothing is there that nobody rang up.
fn sales_are_there_once(chain: &Chain, events: &BTreeMap<EventId, (EventRef, Fact)>) -> Result<()> {
    let mut by_number: BTreeMap<&str, &SaleBody> = BTreeMap::new();
    let mut ids: BTreeMap<SaleId, &str> = BTreeMap::new();
    // A machine put back as a whole, with what lies outside its data, cannot know that it sold a cart before.
    let unaware = chain.nodes.iter().any(|node| node.put_back_whole > 0);
    for sale in events.values().filter_map(|(_, fact)| sale_of(fact)) {
        ensure!(
            by_number.insert(&sale.number, sale).is_none(),
            "number {} is on two receipts",
            sale.number
        );
        if let Some(other) = ids.insert(sale.sale, &sale.number) {
            ensure!(
                unaware,
                "sale {} has two receipts: {other} and {}",
                sale.sale,
                sale.number
            );
        }
    }
    for (number, sold) in &chain.sold {
        match by_number.get(number.as_str()) {
            Some(sale) => ensure!(
                (sale.total_minor, sale.sale) == (sold.done.total_minor, sold.done.sale),
                "{number} is another sale at the server"
            ),
            None => ensure!(
                sold.may_be_gone,
                "{number} of till {} was acknowledged and is lost",
                sold.till
            ),
        }
    }
    let mut rung_up: BTreeSet<SaleId> = BTreeSet::new();
    for node in &chain.nodes {
        rung_up.extend(&node.unanswered);
    }
    rung_up.extend(chain.sold.values().map(|sold| sold.done.sale));
    if let Some(id) = ids.keys().find(|id| !rung_up.contains(id)) {
        bail!("sale {id} was never rung up");
    }
    Ok(())
}

/// What head office shows as takings is the sum of the sales.
fn takings_are_the_sales(
    chain: &Chain,
    events: &BTreeMap<EventId, (EventRef, Fact)>,
) -> Result<()> {
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    for sale in events.values().filter_map(|(_, fact)| sale_of(fact)) {
        let paid: i64 = sale.tenders.iter().map(|tender| tender.amount_minor).sum();
        ensure!(
            paid - sale.change_minor == sale.total_minor,
            "sale {} was not paid",
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
        "takings are {found:?}, sales {expected:?}"
    );
    Ok(())
}

/// A till's file holds, and its stream is at the server to its end.
fn till_is_sound(
    chain: &Chain,
    index: usize,
    server: &BTreeMap<String, sync_protocol::feed::HeadReport>,
) -> Result<()> {
    let ledger = chain.nodes[index].till()?.ledger().context("a ledger")?;
    let report = ledger.verify()?;
    ensure!(report.ok, "its file: {:?}", report.first_bad);
    for (stream, head) in &report.streams {
        let theirs = server.get(&stream.to_string());
        ensure!(
            theirs == Some(head),
            "stream {stream} ends at {head:?}, at the server at {theirs:?}"
        );
    }
    Ok(())
}

/// The stock that a till shows is the stock of the set of all events.
fn stock_agrees(chain: &Chain, index: usize, fold: &StockFold) -> Result<()> {
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
            "shows {shown:?} of {variant}, and there are {expected}"
        );
        let server = chain.with_hub(|hub| Ok(hub.on_hand(variant, &location)?))?;
        ensure!(
            server == Some(expected),
            "the server has {server:?} of {variant}, not {expected}"
        );
    }
    Ok(())
}
