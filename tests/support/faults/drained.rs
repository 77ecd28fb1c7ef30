//! The end of every fault: the till that came back drains its outbox into a real hub, which then holds what was
//! acknowledged, each sale once, with the totals that were on the screen.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use domain::entropy::Entropy;
use domain::event::{Event, Fact};
use domain::ids::{StoreId, TenantId, TillId};
use domain::time::Now;
use hub::{Hub, NewTenant};
use hub_http::{Clock, Tenants};
use rusqlite::Connection;
use sync_client::{Engine, EngineConfig, Link, enrol};
use testkit::shop::{Setup, Shop};
use till::door::{Answer, Command, JobResult, Reply};
use till::{PendingWork, Till};

use crate::net::Net;
use crate::world::{MARSA, store_config};

/// Requests that are enough to drain any till of the fault harnesses.
const REQUESTS_MAX: u32 = 50;

/// A sale whose answer was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sold {
    /// Number of its receipt.
    pub number: String,
    /// What it came to.
    pub minor: i64,
}

impl Sold {
    /// The sale that an answer is of, if it is of one.
    pub fn of(answer: &Answer) -> Option<Sold> {
        match answer {
            Answer::Ok(Reply::Completed(done)) => Some(Sold {
                number: done.number.clone(),
                minor: done.total_minor,
            }),
            _ => None,
        }
    }
}

/// The server that a till of a harness was enrolled with, as it was before the first push. Each state drains into a
/// copy of its own.
pub struct Center {
    folder: tempfile::TempDir,
}

fn clock(now: Now) -> Clock {
    Arc::new(move || now)
}

fn net(folder: &Path, now: Now) -> Result<Net> {
    let hub = Hub::open(&folder.join("hub.db"), Entropy::new([5; 32]))?;
    Ok(Net::new(Arc::new(Tenants::single(hub)), clock(now), 1)?)
}

impl Center {
    /// Makes a till of `setup`, enrolled here; its goods and staff come from the shop, as they always do there.
    ///
    /// # Errors
    /// When the hub or the till refuses.
    pub fn with(setup: Setup) -> Result<(Center, Shop)> {
        let folder = tempfile::tempdir()?;
        let mut shop = setup.unenrolled();
        let now = shop.now();
        let code = {
            let new = NewTenant {
                tenant: TenantId::new("faults")?,
                chain: "Faults".to_owned(),
            };
            let path = folder.path().join("hub.db");
            let mut hub = Hub::create(&path, &new, &now, Entropy::new([4; 32]))?;
            hub.create_store(&store_config(MARSA)?)?;
            hub.issue_code(&StoreId::new(MARSA.code)?, &TillId::new("01")?, true, &now)?
        };
        shop.ok(Command::Enrol {
            server: setup.server.to_owned(),
            code,
        });
        let pending = shop.till().pending().context("an enrolment under way")?;
        let PendingWork::Enrol {
            code,
            key_algorithm,
            public_key,
            ..
        } = pending.work;
        let outcome = net(folder.path(), now)?.send(&enrol::request(
            &code,
            key_algorithm,
            &public_key,
            "test",
        ));
        let enrol::EnrolOutcome::Enrolled(mut enrolled) = enrol::read(&outcome) else {
            bail!("enrolment was refused: {outcome:?}");
        };
        // The shop publishes a feed more than the hub has.
        enrolled.feeds = shop.enrolled().feeds;
        let enrolled = serde_json::to_string(&enrolled)?;
        let answer = shop.job_finished(pending.job, JobResult::Enrolled { enrolled });
        ensure!(matches!(answer, Answer::Ok(_)), "{answer:?}");
        shop.receive_everything();
        Ok((Center { folder }, shop))
    }

    /// Drains `till` into a copy of the server and compares it with the till's journal and with what was
    /// acknowledged. With `all`, no other sale may be there. Returns the sales found.
    ///
    /// # Errors
    /// With the first difference.
    pub fn drain(&self, till: &mut Till, now: Now, sold: &[Sold], all: bool) -> Result<u64> {
        let copy = tempfile::tempdir()?;
        // The log beside it may hold its last writes.
        for entry in std::fs::read_dir(self.folder.path())? {
            let entry = entry?;
            std::fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
        }
        push(till, &mut net(copy.path(), now)?, &now)?;
        let head = till.ledger().context("a ledger")?.head();
        let path = copy.path().join("hub.db");
        let hub = Hub::open(&path, Entropy::new([6; 32]))?;
        let report = hub.verify()?;
        ensure!(report.first_bad.is_none(), "{:?}", report.first_bad);
        ensure!(hub.set_aside(1)?.is_empty(), "an event was set aside");

        let conn = Connection::open(&path)?;
        let mut statement =
            conn.prepare("SELECT bytes FROM event WHERE stream = ?1 ORDER BY seq")?;
        let rows = statement.query_map([head.stream.0], |row| row.get(0))?;
        let mut events = 0;
        let mut booked = BTreeMap::<String, Vec<i64>>::new();
        for bytes in rows {
            let bytes: Vec<u8> = bytes?;
            events += 1;
            if let Fact::SaleCompleted(sale) = Event::decode(&bytes)?.fact()? {
                booked
                    .entry(sale.number)
                    .or_default()
                    .push(sale.total_minor);
            }
        }
        ensure!(
            events == head.seq,
            "{events} events of {} are there",
            head.seq
        );
        for sale in sold {
            let found = booked.get(&sale.number);
            ensure!(
                found.is_some_and(|found| *found == [sale.minor]),
                "{sale:?} is at the server as {found:?}"
            );
        }
        if all {
            ensure!(
                booked.len() == sold.len(),
                "{} sales at the server, {} acknowledged",
                booked.len(),
                sold.len()
            );
        }
        let takings = hub.takings(None)?;
        let taken = (
            takings.iter().map(|row| row.receipts).sum::<u64>(),
            takings.iter().map(|row| row.takings_minor).sum::<i64>(),
        );
        let wanted = (
            booked.values().map(|found| found.len() as u64).sum(),
            booked.values().flatten().sum(),
        );
        ensure!(taken == wanted, "booked {taken:?}, its events {wanted:?}");
        Ok(wanted.0)
    }
}

fn push(till: &mut Till, net: &mut Net, now: &Now) -> Result<()> {
    let link = till.link().context("the till is enrolled")?;
    let link = Link {
        tenant: link.tenant,
        device: link.device,
        token: link.token,
        authority: link.authority,
        epoch: link.epoch,
        server_key: link.server_key,
    };
    let key = till.signing_key().clone();
    let mut engine = Engine::new(EngineConfig::new("test", 1));
    for _ in 0..REQUESTS_MAX {
        let ledger = till.ledger_mut().context("a ledger")?;
        if ledger.unsynced()?.count == 0 {
            return Ok(());
        }
        engine.nudge();
        let Some(outgoing) = engine.poll(ledger, &link, &key, now) else {
            bail!("the engine waits: {:?}", engine.standing());
        };
        let outcome = net.send(&outgoing);
        engine.handle(ledger, outgoing.ticket, outcome, now);
    }
    bail!("the outbox does not drain: {:?}", engine.standing())
}
