//! The chain: two stores, their tills, the server, one time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use domain::config::{Role, StaffMember};
use domain::entropy::Entropy;
use domain::ids::{StoreId, TaxCategory, TenantId, TillId, UserId};
use domain::time::{Boot, Now};
use hub::import::ImportOptions;
use hub::{Hub, NewTenant};
use hub_http::{Clock, SharedHub, Tenants};
use sync_client::enrol;
use testkit::disk::crash::Survival;
use testkit::disk::{Fault, FaultKind, MemDisk, Snapshot};
use testkit::rng::Rng;
use till::PendingWork;
use till::door::{Answer, Command, JobResult};

use super::Outcome;
use super::check;
use super::node::{APP, Done, Machine, Node};
use super::step::{Size, Step};
use crate::groceries::{Month, catalogue_csv};
use crate::net::{Faults, Net};
use crate::world::{CASA, CASHIER_PIN, MANAGER_PIN, MARSA, Shop, store_config, verifier};

/// Articles of the catalogue.
pub const ARTICLES: u64 = 12;
/// Units of each at each store when it opens.
pub const OPENING: i64 = 100;
/// First moment: 2026-10-01 07:00 UTC.
const START_MS: i64 = 1_790_838_000_000;
const HUB_FILE: &str = "hub.db";
/// Talks that a till may need after all trouble has ended.
const ROUNDS_MAX: u32 = 80;

/// An acknowledged sale, and whether it must be found in the end.
#[derive(Debug, Clone)]
pub struct Sold {
    /// What the till said.
    pub done: Done,
    /// Till.
    pub till: usize,
    /// The only file that held it was thrown away before the server had it.
    pub may_be_gone: bool,
}

/// The chain.
pub struct Chain {
    /// Tills.
    pub nodes: Vec<Node>,
    /// Sales that were acknowledged, by number.
    pub sold: BTreeMap<String, Sold>,
    /// The server.
    pub hub: SharedHub,
    net: Net,
    server: Machine,
    // Stands in for the server while its file is away.
    spare: Option<Hub>,
    _spare_disk: MemDisk,
    backup: Option<Snapshot>,
    clock: Arc<AtomicI64>,
    rng: Rng,
    outcome: Outcome,
}

impl Chain {
    /// A chain that is ready to sell.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn new(seed: u64, size: Size) -> Result<Chain> {
        let mut rng = Rng::new(seed);
        let clock = Arc::new(AtomicI64::new(START_MS));
        let now = server_now(START_MS);
        let (server, spare_disk) = (Machine::new(seed), MemDisk::new(seed));
        let tenant = |name: &str| -> Result<NewTenant> {
            Ok(NewTenant {
                tenant: TenantId::new(name)?,
                chain: "Chaîne".to_owned(),
            })
        };
        let spare_path = spare_disk.folder().join(HUB_FILE);
        let entropy = Entropy::new(rng.bytes());
        let spare = Hub::create(&spare_path, &tenant("spare")?, &now, entropy)?;
        let path = server.disk.folder().join(HUB_FILE);
        let mut hub = Hub::create(&path, &tenant("sim")?, &now, Entropy::new(rng.bytes()))?;
        fill(&mut hub, &mut rng, &now)?;
        let tenant = hub.tenant().clone();
        let tenants = Arc::new(Tenants::single(hub));
        let hub = tenants.get(&tenant)?.context("the hub that was made")?;
        let server_clock: Clock = {
            let clock = Arc::clone(&clock);
            Arc::new(move || server_now(clock.load(Ordering::SeqCst)))
        };
        let net = Net::new(tenants, server_clock, rng.next_u64())?;
        let mut chain = Chain {
            nodes: Vec::new(),
            sold: BTreeMap::new(),
            hub,
            net,
            server,
            spare: Some(spare),
            _spare_disk: spare_disk,
            backup: None,
            clock,
            rng,
            outcome: Outcome::default(),
        };
        for index in 0..size.tills {
            let shop = if index % 2 == 0 { MARSA } else { CASA };
            chain.add_till(shop, &format!("{:02}", index / 2 + 1))?;
        }
        chain.server.rebase();
        Ok(chain)
    }

    fn add_till(&mut self, shop: Shop, number: &str) -> Result<()> {
        let now = self.now_ms();
        let code = self.with_hub(|hub| {
            let (store, till) = (StoreId::new(shop.code)?, TillId::new(number)?);
            Ok(hub.issue_code(&store, &till, true, &server_now(now))?)
        })?;
        let mut node = Node::new(shop, self.rng.next_u64(), now)?;
        let server = "http://127.0.0.1:1".to_owned();
        let answer = node.call(Command::Enrol { server, code }, now)?;
        ensure!(matches!(answer, Answer::Ok(_)), "not enrolled: {answer:?}");
        let pending = node.till()?.pending().context("an enrolment under way")?;
        let PendingWork::Enrol {
            code,
            key_algorithm,
            public_key,
            ..
        } = pending.work;
        let request = enrol::request(&code, key_algorithm, &public_key, APP);
        let enrol::EnrolOutcome::Enrolled(enrolled) = enrol::read(&self.net.send(&request)) else {
            bail!("enrolment was refused")
        };
        let enrolled = serde_json::to_string(&enrolled)?;
        let context = till::Context {
            now: node.now(now),
            entropy: Entropy::new(self.rng.bytes()),
        };
        let command = Command::JobFinished {
            job: pending.job,
            result: JobResult::Enrolled { enrolled },
        };
        let answer = node.till_mut()?.handle_internal(command, context);
        ensure!(matches!(answer, Answer::Ok(_)), "not enrolled: {answer:?}");
        self.nodes.push(node);
        let index = self.nodes.len() - 1;
        for _ in 0..ROUNDS_MAX {
            if self.is_ready(index)? {
                break;
            }
            self.talk(index)?;
        }
        ensure!(self.is_ready(index)?, "till {index} is not ready to sell");
        self.nodes[index].machine.rebase();
        Ok(())
    }

    fn is_ready(&self, index: usize) -> Result<bool> {
        let ledger = self.nodes[index].till()?.ledger().context("a ledger")?;
        Ok(ledger.ready_to_sell()?)
    }

    /// What the time is.
    pub fn now_ms(&self) -> i64 {
        self.clock.load(Ordering::SeqCst)
    }

    fn pass(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    /// Asks the server something, beside the network.
    ///
    /// # Errors
    /// What `ask` gives.
    pub fn with_hub<T>(&self, ask: impl FnOnce(&mut Hub) -> Result<T>) -> Result<T> {
        ask(&mut self.hub.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where the server's file lies.
    pub fn hub_path(&self) -> std::path::PathBuf {
        self.server.disk.folder().join(HUB_FILE)
    }

    fn talk(&mut self, index: usize) -> Result<bool> {
        let now = self.now_ms();
        let spoke = self.nodes[index].sync(&mut self.net, now)?;
        self.pass(1_000);
        Ok(spoke)
    }

    /// Plays the steps, then lets all trouble end and looks at everything.
    ///
    /// # Errors
    /// The first rule that was broken, and where.
    pub fn play(mut self, steps: &[Step]) -> Result<Outcome> {
        for (index, step) in steps.iter().enumerate() {
            self.step(*step)
                .with_context(|| format!("step {index}: {step:?}"))?;
            self.outcome.steps += 1;
        }
        self.calm().context("after the last step")?;
        check::everything(&mut self).context("when all was quiet")?;
        self.outcome.requests = self.net.traffic.arrived;
        self.outcome.sales = self.sold.len() as u64;
        self.outcome.till_days = self.nodes.iter().map(|node| node.shifts).sum();
        Ok(self.outcome)
    }

    fn step(&mut self, step: Step) -> Result<()> {
        // A shorter chain plays the same list.
        let tills = self.nodes.len();
        let now = self.now_ms();
        match step {
            Step::Sell(till, first, lines, units) => {
                let done = self.nodes[till % tills].sell(first, lines, units, now)?;
                self.note(till % tills, Some(done))?;
                self.pass(20_000);
            }
            Step::Undo(till) => {
                let done = self.nodes[till % tills].undo(now)?;
                self.note(till % tills, done)?;
            }
            Step::Close(till) => self.nodes[till % tills].close(now)?,
            Step::Sync(till) => {
                let before = self.nodes[till % tills].stream()?;
                self.talk(till % tills)?;
                if self.nodes[till % tills].stream()? != before {
                    self.outcome.new_streams += 1;
                    self.nodes[till % tills].broke_off = true;
                }
            }
            Step::Wait(ms) => self.pass(ms),
            Step::Cable(till, on) => self.nodes[till % tills].cable = on,
            Step::Weather([lost, reply_lost, doubled, late]) => {
                self.net.faults = Faults {
                    lost: lost.into(),
                    reply_lost: reply_lost.into(),
                    doubled: doubled.into(),
                    late: late.into(),
                };
            }
            Step::Kill(till) => self.restart(till % tills, None)?,
            Step::PowerCut(till, survival) => self.restart(till % tills, Some(survival))?,
            Step::Reboot(till) => {
                self.nodes[till % tills].reboot(now);
                self.restart(till % tills, None)?;
            }
            Step::Halt(till, at) => {
                let fault = Fault {
                    kind: FaultKind::Halt,
                    at,
                    sticky: true,
                    only: "",
                };
                let done = self.nodes[till % tills].sell_under(fault, now)?;
                self.note(till % tills, done)?;
                self.restart(till % tills, None)?;
            }
            Step::FullDisk(till) => {
                let fault = Fault {
                    kind: FaultKind::Full,
                    at: 0,
                    sticky: true,
                    only: "",
                };
                let done = self.nodes[till % tills].sell_under(fault, now)?;
                self.note(till % tills, done)?;
                self.nodes[till % tills].machine.disk.heal();
            }
            Step::Save(till) => self.nodes[till % tills].save(),
            Step::PutBack(till, whole) => self.put_back(till % tills, whole)?,
            Step::Clock(till, off_ms) => self.nodes[till % tills].clock_off_ms = off_ms,
            Step::ServerKill => self.restart_server(None)?,
            Step::ServerPowerCut(survival) => self.restart_server(Some(survival))?,
            Step::ServerSave => self.backup = Some(self.server.disk.snapshot()),
            Step::ServerRestore => self.restore_server()?,
        }
        Ok(())
    }

    fn note(&mut self, till: usize, done: Option<Done>) -> Result<()> {
        let Some(done) = done else { return Ok(()) };
        let sold = Sold {
            done,
            till,
            may_be_gone: false,
        };
        let number = sold.done.number.clone();
        ensure!(
            self.sold.insert(number.clone(), sold).is_none(),
            "number {number} was given twice"
        );
        Ok(())
    }

    fn restart(&mut self, till: usize, cut: Option<Survival>) -> Result<()> {
        let now = self.now_ms();
        let before = self.nodes[till].stream()?;
        self.nodes[till].restart(cut, now)?;
        ensure!(
            self.nodes[till].stream()? == before,
            "a new stream after a restart"
        );
        self.still_there(till)
    }

    /// What was acknowledged before the trouble is there after it.
    fn still_there(&mut self, till: usize) -> Result<()> {
        let now = self.now_ms();
        let node = &mut self.nodes[till];
        node.ensure_open(now)?;
        let theirs = self.sold.values().filter(|sold| sold.till == till);
        let certain = theirs.filter(|sold| !sold.may_be_gone && node.put_back == 0);
        // Those of long ago are looked at in the end.
        let mut numbers: Vec<String> = certain.map(|sold| sold.done.number.clone()).collect();
        numbers.sort();
        let latest = numbers.split_off(numbers.len().saturating_sub(3));
        node.has(&latest, now)
    }

    fn put_back(&mut self, till: usize, whole: bool) -> Result<()> {
        if self.nodes[till].saved.is_none() {
            return Ok(());
        }
        // Whatever the server does not have may have been in the file that is thrown away now.
        let known = check::numbers_at(&self.hub_path())?;
        for sold in self.sold.values_mut().filter(|sold| sold.till == till) {
            if !known.contains(&sold.done.number) {
                sold.may_be_gone = true;
            }
        }
        let before = self.nodes[till].stream()?;
        let now = self.now_ms();
        self.nodes[till].put_back(whole, now)?;
        if self.nodes[till].stream()? != before {
            self.outcome.new_streams += 1;
        }
        Ok(())
    }

    fn restart_server(&mut self, cut: Option<Survival>) -> Result<()> {
        let left = self.server.left_by(cut, &mut self.rng);
        self.open_server(&left)
    }

    fn open_server(&mut self, files: &Snapshot) -> Result<()> {
        let path = self.hub_path();
        let entropy = Entropy::new(self.rng.bytes());
        let mut hub = self.hub.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = self.spare.take().context("a hub to stand in")?;
        // Files are changed only once they are closed.
        drop(std::mem::replace(&mut *hub, spare));
        self.server.disk.restore(files);
        self.spare = Some(std::mem::replace(&mut *hub, Hub::open(&path, entropy)?));
        drop(hub);
        self.server.rebase();
        Ok(())
    }

    fn restore_server(&mut self) -> Result<()> {
        let Some(backup) = self.backup.clone() else {
            return Ok(());
        };
        self.open_server(&backup)?;
        let now = server_now(self.now_ms());
        self.with_hub(|hub| Ok(hub.raise_epoch(&now)?))?;
        // A till whose files were put back has lost what only the server knew, and one that broke a stream off does not
        // send again what was acknowledged of it.
        let known = check::numbers_at(&self.hub_path())?;
        for sold in self.sold.values_mut() {
            let node = &self.nodes[sold.till];
            if (node.put_back > 0 || node.broke_off) && !known.contains(&sold.done.number) {
                sold.may_be_gone = true;
            }
        }
        Ok(())
    }

    /// Ends all trouble, and lets everybody talk until nobody has anything to say.
    fn calm(&mut self) -> Result<()> {
        self.net.heal();
        for node in &mut self.nodes {
            node.cable = true;
            node.clock_off_ms = 0;
        }
        // Whoever waits because the server said so has waited long enough then.
        self.pass(3_600_000);
        for _ in 0..ROUNDS_MAX {
            let mut quiet = true;
            for index in 0..self.nodes.len() {
                self.talk(index)?;
                quiet &= self.nodes[index].unsynced()? == 0;
            }
            if quiet && check::feeds_agree(self)? {
                return Ok(());
            }
        }
        let left: Vec<u64> = self
            .nodes
            .iter()
            .map(|node| node.unsynced().unwrap_or(u64::MAX))
            .collect();
        let differ = check::feeds_that_differ(self)?;
        bail!("not quiet after {ROUNDS_MAX} talks each; unsynced events: {left:?}; {differ:?}")
    }
}

fn server_now(wall_ms: i64) -> Now {
    Now {
        wall_ms,
        boot: Boot {
            id: 7,
            ms: u64::try_from(wall_ms - START_MS).unwrap_or(0) + 1_000,
        },
        utc_offset_min: 60,
    }
}

fn fill(hub: &mut Hub, rng: &mut Rng, now: &Now) -> Result<()> {
    for shop in [MARSA, CASA] {
        hub.create_store(&store_config(shop)?)?;
        let staff = [
            ("Amel", Role::Cashier, CASHIER_PIN),
            ("Karim", Role::Manager, MANAGER_PIN),
        ];
        for (name, role, pin) in staff {
            let staff = StaffMember {
                user: UserId(Entropy::new(rng.bytes()).next_uuid(START_MS)),
                name: name.to_owned(),
                role,
                pin_verifier: verifier(pin)?,
                pin_version: 1,
                language: None,
                active: true,
            };
            hub.create_user(&StoreId::new(shop.code)?, &staff)?;
        }
    }
    let month = Month {
        items: (0..ARTICLES)
            .map(|number| format!("article {number}"))
            .collect(),
        receipts: Vec::new(),
        synthetic: true,
    };
    let options = ImportOptions {
        dry_run: false,
        valid_from: "2020-01-01".parse()?,
        price_list: None,
        tax: TaxCategory::new("standard")?,
        opening_stock: true,
        stock_location: None,
    };
    let csv = catalogue_csv(&month, OPENING);
    let report = hub.import(csv.as_bytes(), &options, now, &mut |_, _| {})?;
    ensure!(
        report.applied,
        "the catalogue was refused: {:?}",
        report.errors
    );
    Ok(())
}
