//! The chain: two stores, their tills, the server, one time.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use domain::catalog::StockClass;
use domain::config::{Role, StaffMember};
use domain::entropy::Entropy;
use domain::event::{Fact, GoodsLine, IncidentKind, MAIN_ZONE, OrderPicked, SealReason};
use domain::ids::{
    LocationId, PromiseId, StoreId, StreamId, TaxCategory, TenantId, TillId, UserId, VariantId,
};
use domain::quantity::Quantity;
use domain::time::{Boot, Now};
use hub::import::ImportOptions;
use hub::{AdminError, Hub, NewTenant, PromiseAnswer, PromiseError, PromiseLine, PromiseRequest};
use hub_http::{Clock, SharedHub, Tenants};
use sync_client::enrol;
use testkit::disk::crash::Survival;
use testkit::disk::{Fault, FaultKind, MemDisk, Snapshot};
use testkit::rng::Rng;
use till::PendingWork;
use till::door::{Answer, Command, JobResult};

use super::check;
use super::goods::{Goods, Order, Place, Proof, STRICT, UNIT};
use super::mutant::Mutant;
use super::node::{APP, Done, Machine, Medium, Node};
use super::step::Step;
use super::{Outcome, Setup};
use crate::groceries::{Month, catalogue_csv, sku};
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
/// How long a web cart keeps its goods.
const CART_MS: i64 = 15 * 60 * 1_000;

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
    /// Sales that were acknowledged.
    pub sold: Vec<Sold>,
    /// Numbers of their receipts.
    numbers: BTreeSet<String>,
    /// Numbers that were given twice by a machine that was set back, before anything told it so.
    pub given_twice: BTreeSet<String>,
    // Reads the server's file beside it; made when it is first asked for.
    reader: OnceCell<rusqlite::Connection>,
    /// The server.
    pub hub: SharedHub,
    net: Net,
    server: Machine,
    // Stands in for the server while its file is away.
    spare: Option<Hub>,
    _spare_disk: MemDisk,
    backup: Option<Snapshot>,
    /// Strict goods, as they really are.
    pub goods: Goods,
    /// The strict articles.
    pub strict: Vec<VariantId>,
    /// Head office has sealed a stream by hand.
    sealed: BTreeSet<StreamId>,
    restored: bool,
    mutant: Option<Mutant>,
    clock: Arc<AtomicI64>,
    rng: Rng,
    outcome: Outcome,
}

impl Chain {
    /// A chain that is ready to play these steps. The disks of those whose power is never cut in them need not be
    /// recorded.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn new(seed: u64, setup: Setup, steps: &[Step]) -> Result<Chain> {
        let Setup { size, mutant, .. } = setup;
        let medium = |is_cut: bool| match (setup.on_files, is_cut) {
            (true, _) => Medium::Files,
            (false, true) => Medium::Recorded,
            (false, false) => Medium::Memory,
        };
        let cuts_server = |step: &Step| matches!(step, Step::ServerPowerCut(_));
        let is_cut = steps.iter().any(cuts_server) || mutant == Some(Mutant::AckBeforeCommit);
        let mut rng = Rng::new(seed);
        let clock = Arc::new(AtomicI64::new(START_MS));
        let now = server_now(START_MS);
        let (server, spare_disk) = (Machine::new(seed, medium(is_cut)), MemDisk::new(seed));
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
            sold: Vec::new(),
            numbers: BTreeSet::new(),
            given_twice: BTreeSet::new(),
            hub,
            net,
            server,
            reader: OnceCell::new(),
            spare: Some(spare),
            _spare_disk: spare_disk,
            backup: None,
            goods: Goods::default(),
            strict: Vec::new(),
            sealed: BTreeSet::new(),
            restored: false,
            mutant,
            clock,
            rng,
            outcome: Outcome::default(),
        };
        chain.stock_up()?;
        for index in 0..size.tills {
            let shop = if index % 2 == 0 { MARSA } else { CASA };
            let cuts =
                |step: &Step| matches!(step, Step::PowerCut(till, _) if till % size.tills == index);
            chain.add_till(shop, &number_of(index), medium(steps.iter().any(cuts)))?;
        }
        chain.server.rebase();
        Ok(chain)
    }

    fn stock_up(&mut self) -> Result<()> {
        for article in 0..usize::try_from(STRICT)? {
            let variant = self.with_hub(|hub| {
                let known = hub.variant_of_sku(&sku(article))?;
                Ok(known.context("a strict article")?.variant)
            })?;
            self.strict.push(variant);
            for shop in [MARSA, CASA] {
                let place = (variant, LocationId::new(shop.code)?);
                self.goods.shelf.insert(place, Goods::opening(article));
            }
        }
        Ok(())
    }

    fn place(&self, article: u64, shop: Shop) -> Result<Place> {
        let article = usize::try_from(article)? % self.strict.len();
        Ok((self.strict[article], LocationId::new(shop.code)?))
    }

    fn add_till(&mut self, shop: Shop, number: &str, medium: Medium) -> Result<()> {
        let now = self.now_ms();
        let code = self.with_hub(|hub| {
            let (store, till) = (StoreId::new(shop.code)?, TillId::new(number)?);
            Ok(hub.issue_code(&store, &till, true, &server_now(now))?)
        })?;
        let mut node = Node::new(shop, self.rng.next_u64(), medium, now)?;
        node.mutant = self.mutant;
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

    /// A connection that reads the server's file beside the server.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn server_file(&self) -> Result<&rusqlite::Connection> {
        if let Some(conn) = self.reader.get() {
            return Ok(conn);
        }
        let conn = rusqlite::Connection::open(self.hub_path())?;
        Ok(self.reader.get_or_init(|| conn))
    }

    fn talk(&mut self, index: usize) -> Result<bool> {
        let now = self.now_ms();
        self.reclaim_by_lease_alone()?;
        let before = self.head_at_server(index)?;
        self.compare_no_hashes(index)?;
        let spoke = self.nodes[index].sync(&mut self.net, now)?;
        self.take_in_twice(index, before)?;
        self.pass(1_000);
        Ok(spoke)
    }

    /// [`Mutant::LeaseOnlyReclaim`].
    fn reclaim_by_lease_alone(&self) -> Result<()> {
        if self.mutant == Some(Mutant::LeaseOnlyReclaim) {
            let conn = rusqlite::Connection::open(self.hub_path())?;
            conn.execute(
                "DELETE FROM right_edge WHERE lease_end <= ?1",
                [self.now_ms()],
            )?;
        }
        Ok(())
    }

    /// [`Mutant::HashCheckOff`]: whatever history the till has, the server believes that it has got the same.
    fn compare_no_hashes(&self, till: usize) -> Result<()> {
        if self.mutant != Some(Mutant::HashCheckOff) {
            return Ok(());
        }
        let stream = self.nodes[till].stream()?;
        let ledger = self.nodes[till].till()?.ledger().context("a ledger")?;
        let conn = rusqlite::Connection::open(self.hub_path())?;
        let mut statement = conn.prepare("SELECT seq FROM event WHERE stream = ?1")?;
        let known = statement.query_map([&stream.0[..]], |row| row.get(0))?;
        for seq in known.collect::<rusqlite::Result<Vec<u64>>>()? {
            let Some(hash) = ledger.hash_at(seq)? else {
                continue;
            };
            conn.execute(
                "UPDATE event SET hash = ?3 WHERE stream = ?1 AND seq = ?2",
                rusqlite::params![&stream.0[..], seq, &hash.0[..]],
            )?;
            conn.execute(
                "UPDATE stream SET head_hash = ?3 WHERE stream = ?1 AND head_seq = ?2",
                rusqlite::params![&stream.0[..], seq, &hash.0[..]],
            )?;
        }
        Ok(())
    }

    fn head_at_server(&self, till: usize) -> Result<Option<(StreamId, u64, Vec<u8>)>> {
        if self.mutant != Some(Mutant::DedupeOff) {
            return Ok(None);
        }
        let stream = self.nodes[till].stream()?;
        let conn = rusqlite::Connection::open(self.hub_path())?;
        let mut statement =
            conn.prepare("SELECT head_seq, head_hash FROM stream WHERE stream = ?1")?;
        let mut rows = statement.query([&stream.0[..]])?;
        Ok(match rows.next()? {
            Some(row) => Some((stream, row.get(0)?, row.get(1)?)),
            None => None,
        })
    }

    /// [`Mutant::DedupeOff`]: the server does not remember that it has got these events.
    fn take_in_twice(
        &mut self,
        till: usize,
        before: Option<(StreamId, u64, Vec<u8>)>,
    ) -> Result<()> {
        let (Some((stream, seq, hash)), Some(sent)) = (before, self.nodes[till].sent.take()) else {
            return Ok(());
        };
        if self.rng.chance(30) {
            let conn = rusqlite::Connection::open(self.hub_path())?;
            conn.execute(
                "DELETE FROM event WHERE stream = ?1 AND seq > ?2",
                rusqlite::params![&stream.0[..], seq],
            )?;
            conn.execute(
                "UPDATE stream SET head_seq = ?2, head_hash = ?3 WHERE stream = ?1",
                rusqlite::params![&stream.0[..], seq, hash],
            )?;
            drop(conn);
            self.net.send(&sent);
        }
        Ok(())
    }

    /// Plays the steps, then lets all trouble end and looks at everything.
    ///
    /// # Errors
    /// The first rule that was broken, and where.
    pub fn play(mut self, steps: &[Step]) -> Result<Outcome> {
        for (index, step) in steps.iter().enumerate() {
            self.step(*step)
                .with_context(|| format!("step {index}: {step:?}"))?;
            if let Some(till) = step.till() {
                self.follow_given(till % self.nodes.len())?;
            }
            self.after_step(step)
                .with_context(|| format!("after step {index}: {step:?}"))?;
            self.outcome.steps += 1;
        }
        let calm = self.calm();
        let rest = check::everything(&mut self).context("when all was quiet");
        // What keeps a chain from becoming quiet may have broken more than that.
        match (calm, rest) {
            (Ok(()), rest) => rest?,
            (Err(error), Ok(())) => return Err(error.context("after the last step")),
            (Err(error), Err(rest)) => bail!("after the last step: {error:#}\n{rest:#}"),
        }
        self.outcome.requests = self.net.traffic.arrived;
        self.outcome.sales = self.sold.len() as u64;
        self.outcome.till_days = self.nodes.iter().map(|node| node.shifts).sum();
        Ok(self.outcome)
    }

    fn step(&mut self, step: Step) -> Result<()> {
        // A shorter chain plays the same list.
        let tills = self.nodes.len();
        let now = self.now_ms();
        if step
            .till()
            .is_some_and(|till| self.nodes[till % tills].away)
        {
            return Ok(());
        }
        match step {
            Step::Sell(till, first, lines, units) => {
                let sent = self.net.traffic.sent;
                let done = self.nodes[till % tills].sell(first, lines, units, now)?;
                check::v12_nobody_waited(sent, self.net.traffic.sent)?;
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
                check::v3_acknowledged_prefix(self, till % tills)?;
                check::v8_cursors_go_on(self, till % tills)?;
            }
            Step::Ticket(till, article, units) => {
                self.ticket(till % tills, article, units, false)?;
            }
            Step::Override(till, article) => self.ticket(till % tills, article, 1, true)?,
            Step::Receive(till, article, units) => self.receive(till % tills, article, units)?,
            Step::Look(till) => self.look(till % tills)?,
            Step::Count(till) => self.count(till % tills)?,
            Step::Promise(shop, article, units, order) => {
                self.promise(self.nodes[shop % tills].shop, article, units, order)?;
            }
            Step::Release(nth) => self.release(nth)?,
            Step::Pick(till, nth) => self.pick(till % tills, nth)?,
            Step::Away(till, away) => self.nodes[till % tills].away = away,
            Step::Seal(till) => self.seal(till % tills)?,
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
            Step::Save(till) => self.save(till % tills)?,
            Step::PutBack(till, whole) => self.put_back(till % tills, whole, false)?,
            Step::RollBack(till) => self.put_back(till % tills, true, true)?,
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
        let (strict, key) = (done.strict.clone(), done.key());
        let sold = Sold {
            done,
            till,
            may_be_gone: false,
        };
        let number = sold.done.number.clone();
        if !self.numbers.insert(number.clone()) {
            ensure!(
                self.nodes[till].rolled_back,
                "V10: number {number} was given twice"
            );
            self.given_twice.insert(number.clone());
        }
        self.sold.push(sold);
        let location = LocationId::new(self.nodes[till].shop.code)?;
        let stream = self.nodes[till].stream()?;
        for (variant, units) in strict {
            let place = (variant, location.clone());
            let proof = Proof::Sale(key.clone());
            self.goods.take((till, stream), proof, &place, units);
            if self.is_unaware(till) {
                self.goods.forgive(&place, units);
            }
        }
        Ok(())
    }

    /// What a till does that no rule covers: its stream is sealed, and its clock behind.
    fn is_unaware(&self, till: usize) -> bool {
        let node = &self.nodes[till];
        let sealed = node
            .stream()
            .is_ok_and(|stream| self.sealed.contains(&stream));
        sealed && node.clock_off_ms < 0
    }

    fn ticket(&mut self, till: usize, article: u64, units: i64, waive: bool) -> Result<()> {
        let now = self.now_ms();
        let sent = self.net.traffic.sent;
        if self.mutant == Some(Mutant::PnCounter) {
            let (variant, hub) = (
                self.place(article, self.nodes[till].shop)?.0,
                self.with_hub(|hub| Ok(hub.stream()))?,
            );
            self.nodes[till].believe_stock(variant, units, hub, now)?;
        }
        let done = self.nodes[till].ticket(article, units, waive, now)?;
        check::v12_nobody_waited(sent, self.net.traffic.sent)?;
        self.outcome.tickets += u64::from(done.is_some());
        self.outcome.refused += u64::from(done.is_none());
        if waive && done.is_some() {
            let place = self.place(article, self.nodes[till].shop)?;
            self.goods.forgive(&place, units);
        }
        self.note(till, done)?;
        self.pass(20_000);
        Ok(())
    }

    fn line(&self, place: &Place, units: i64) -> GoodsLine {
        GoodsLine {
            variant: place.0,
            quantity: Quantity(units * UNIT),
            class: StockClass::Strict,
        }
    }

    fn receive(&mut self, till: usize, article: u64, units: i64) -> Result<()> {
        let now = self.now_ms();
        let place = self.place(article, self.nodes[till].shop)?;
        let event = self.nodes[till].receive(place.0, units, now)?;
        let stream = self.nodes[till].stream()?;
        self.goods
            .take((till, stream), Proof::Event(event), &place, -units);
        Ok(())
    }

    /// Looks through the shelf: what lies there is noted in the count of the till, which is begun if none is.
    fn look(&mut self, till: usize) -> Result<()> {
        let now = self.now_ms();
        let location = LocationId::new(self.nodes[till].shop.code)?;
        let shelf = self.goods.shelf.iter();
        let here = shelf.filter(|(place, _)| place.1 == location);
        // A unit that an override handed over twice is not there to be counted.
        let found: Vec<_> = here
            .map(|(place, units)| (place.0, (*units).max(0)))
            .collect();
        self.nodes[till].look(&found, now)
    }

    /// Ends the count that is under way, or counts what really lies there now.
    fn count(&mut self, till: usize) -> Result<()> {
        let now = self.now_ms();
        if !self.nodes[till].is_counting(now)? {
            self.look(till)?;
        }
        if self.mutant != Some(Mutant::CountKnowsAll) {
            return self.nodes[till].finish_count(now);
        }
        self.nodes[till].finish_count(now)?;
        self.nodes[till].count_all_knowing(now)
    }

    fn promise(&mut self, shop: Shop, article: u64, units: i64, is_order: bool) -> Result<()> {
        let now = self.now_ms();
        let place = self.place(article, shop)?;
        let request = PromiseRequest {
            promise: PromiseId(Entropy::new(self.rng.bytes()).next_uuid(now)),
            lines: vec![PromiseLine {
                variant: place.0,
                location: place.1.clone(),
                quantity: Quantity(units * UNIT),
            }],
            life_ms: (!is_order).then_some(CART_MS),
        };
        self.reclaim_by_lease_alone()?;
        let answer = if self.mutant == Some(Mutant::PromiseOnHand) {
            self.promise_on_hand(&request, &place, units)?
        } else {
            self.with_hub(|hub| Ok(hub.promise(&request, &server_now(now))))?
        };
        match answer {
            Ok(PromiseAnswer::Promised { expires }) => {
                check::v6_promised_what_was_free(self, &place)?;
                self.outcome.promises += 1;
                self.goods.orders.push(Order {
                    request,
                    place,
                    units,
                    expires: expires.unwrap_or(i64::MAX),
                    open: true,
                    is_order,
                });
                Ok(())
            }
            Ok(PromiseAnswer::Refused { .. }) => Ok(()),
            Err(PromiseError::Stopped) if self.restored => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// [`Mutant::PromiseOnHand`].
    fn promise_on_hand(
        &mut self,
        request: &PromiseRequest,
        place: &Place,
        units: i64,
    ) -> Result<std::result::Result<PromiseAnswer, PromiseError>> {
        let now = self.now_ms();
        let on_hand = self.with_hub(|hub| Ok(hub.on_hand(place.0, &place.1)?))?;
        let left = on_hand.unwrap_or_default().0 / UNIT - self.goods.promised(place, now);
        if left < units {
            return Ok(Ok(PromiseAnswer::Refused { short: Vec::new() }));
        }
        let one = std::slice::from_ref(request);
        let taken = self.with_hub(|hub| Ok(hub.confirm_promises(one, &server_now(now))))?;
        let expires = request.life_ms.map(|life| now + life);
        Ok(taken.map(|()| PromiseAnswer::Promised { expires }))
    }

    /// The n-th promise that is open and fits.
    fn open_order(&self, nth: u64, fits: impl Fn(&Order) -> bool) -> Option<usize> {
        let now = self.now_ms();
        let orders = self.goods.orders.iter().enumerate();
        let open = orders.filter(|(_, order)| order.open && order.expires > now && fits(order));
        let open: Vec<usize> = open.map(|(index, _)| index).collect();
        let nth = usize::try_from(nth).ok()?;
        (!open.is_empty()).then(|| open[nth % open.len()])
    }

    fn release(&mut self, nth: u64) -> Result<()> {
        let Some(index) = self.open_order(nth, |_| true) else {
            return Ok(());
        };
        let (promise, now) = (self.goods.orders[index].request.promise, self.now_ms());
        let released = self.with_hub(|hub| Ok(hub.release_promise(promise, &server_now(now))))?;
        match released {
            Ok(_) => {}
            Err(PromiseError::Unknown { .. }) if self.mutant.is_some() => {}
            Err(error) => return Err(error.into()),
        }
        self.goods.orders[index].open = false;
        Ok(())
    }

    fn pick(&mut self, till: usize, nth: u64) -> Result<()> {
        let location = LocationId::new(self.nodes[till].shop.code)?;
        let fits = |order: &Order| order.is_order && order.place.1 == location;
        let Some(index) = self.open_order(nth, fits) else {
            return Ok(());
        };
        let now = self.now_ms();
        self.nodes[till].ensure_open(now)?;
        let order = self.goods.orders[index].clone();
        let fact = Fact::OrderPicked(OrderPicked {
            promise: order.request.promise,
            location,
            zone: MAIN_ZONE.to_owned(),
            lines: vec![self.line(&order.place, order.units)],
            user: None,
        });
        let event = self.nodes[till].write(&fact, now)?;
        self.goods.orders[index].open = false;
        let from = (till, self.nodes[till].stream()?);
        self.goods
            .take(from, Proof::Event(event), &order.place, order.units);
        if self.is_unaware(till) {
            self.goods.forgive(&order.place, order.units);
        }
        Ok(())
    }

    /// Seals the stream of a till, whatever its state. Not in a chain whose server was restored: what a sealed stream was
    /// granted after the backup is a gap that docs/stock.md names.
    fn seal(&mut self, till: usize) -> Result<()> {
        if self.restored {
            return Ok(());
        }
        let (stream, now) = (self.nodes[till].stream()?, self.now_ms());
        let sealed =
            self.with_hub(|hub| Ok(hub.seal_stream(stream, SealReason::Lost, &server_now(now))))?;
        match sealed {
            Ok(()) => {
                self.sealed.insert(stream);
                Ok(())
            }
            // The server has not heard of it, or has sealed it already.
            Err(AdminError::Unknown { .. } | AdminError::Exists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A machine that was set back sells again what it has sold since, and gives back again what it gave back, until the
    /// server tells it: the rights that it has again are just these. No rule of docs/stock.md covers it.
    fn forgive_since_save(&mut self, till: usize, stream: StreamId) {
        let node = &self.nodes[till];
        let since = self.goods.gone.iter().skip(node.gone_at_save);
        let again = since.filter(|gone| gone.stream == stream && !gone.forgiven);
        let mut again: Vec<(Place, i64)> =
            again.map(|gone| (gone.place.clone(), gone.units)).collect();
        for (place, total) in &node.given {
            let before = node.given_at_save.get(place).copied().unwrap_or_default();
            again.push((place.clone(), total - before));
        }
        for (place, units) in again {
            self.goods.forgive(&place, units);
        }
    }

    /// What the stream that a till writes has given back in all.
    fn given(&self, till: usize) -> Result<BTreeMap<Place, i64>> {
        let (node, mut given) = (&self.nodes[till], BTreeMap::new());
        let ledger = node.till()?.ledger().context("a ledger")?;
        let hub = self.with_hub(|hub| Ok(hub.stream()))?;
        for variant in &self.strict {
            let place = (*variant, LocationId::new(node.shop.code)?);
            let total = ledger.right_given(place.0, &place.1, hub)?;
            given.insert(place, total.0 / UNIT);
        }
        Ok(given)
    }

    fn save(&mut self, till: usize) -> Result<()> {
        let given = self.given(till)?;
        let stream = self.nodes[till].stream()?;
        let node = &mut self.nodes[till];
        node.given_at_save.clone_from(&given);
        node.given = given;
        node.gone_at_save = self.goods.gone.len();
        node.stream_at_save = Some(stream);
        node.save();
        Ok(())
    }

    /// Keeps in mind what the stream of which there is a copy has given back: it may end before the copy is put there.
    fn follow_given(&mut self, till: usize) -> Result<()> {
        let stream = self.nodes[till].stream()?;
        if self.nodes[till].stream_at_save == Some(stream) {
            for (place, total) in self.given(till)? {
                let most = self.nodes[till].given.entry(place).or_default();
                *most = total.max(*most);
            }
        }
        Ok(())
    }

    /// What is claimed after every step.
    fn after_step(&self, step: &Step) -> Result<()> {
        self.goods.never_oversold(self.now_ms())?;
        match step.till() {
            Some(till) => check::v5_till_does_not_owe(self, till % self.nodes.len()),
            None => Ok(()),
        }
    }

    fn restart(&mut self, till: usize, cut: Option<Survival>) -> Result<()> {
        let now = self.now_ms();
        let before = self.nodes[till].stream()?;
        self.nodes[till].restart(cut, now)?;
        ensure!(
            self.nodes[till].stream()? == before,
            "V4: a new stream after a restart"
        );
        self.still_there(till)
    }

    /// What was acknowledged before the trouble is there after it.
    fn still_there(&mut self, till: usize) -> Result<()> {
        let now = self.now_ms();
        let node = &mut self.nodes[till];
        node.ensure_open(now)?;
        let theirs = self.sold.iter().filter(|sold| sold.till == till);
        let certain = theirs.filter(|sold| !sold.may_be_gone && node.put_back == 0);
        // Those of long ago are looked at in the end.
        let mut numbers: Vec<String> = certain.map(|sold| sold.done.number.clone()).collect();
        numbers.sort();
        let latest = numbers.split_off(numbers.len().saturating_sub(3));
        node.has(&latest)
    }

    fn put_back(&mut self, till: usize, whole: bool, same_files: bool) -> Result<()> {
        if self.nodes[till].saved.is_none() {
            return Ok(());
        }
        // Whatever the server does not have may have been in the file that is thrown away now.
        let known = check::sales_at(self.server_file()?)?;
        for sold in self.sold.iter_mut().filter(|sold| sold.till == till) {
            if !known.contains(&sold.done.key()) {
                sold.may_be_gone = true;
            }
        }
        let before = self.nodes[till].stream()?;
        let now = self.now_ms();
        self.nodes[till].put_back(whole, same_files, now)?;
        let node = &self.nodes[till];
        let after = node.stream()?;
        self.outcome.new_streams += u64::from(after != before);
        if Some(after) != node.stream_at_save || self.mutant == Some(Mutant::WitnessOff) {
            return Ok(());
        }
        ensure!(
            node.rolled_back,
            "V4: till {till} does not notice that its files are older"
        );
        self.forgive_since_save(till, after);
        Ok(())
    }

    fn restart_server(&mut self, cut: Option<Survival>) -> Result<()> {
        let left = if self.mutant == Some(Mutant::AckBeforeCommit) {
            self.server.start()
        } else {
            self.server.left_by(cut, &mut self.rng)
        };
        self.open_server(&left)?;
        check::v4_promises_are_kept(self)
    }

    fn open_server(&mut self, files: &Snapshot) -> Result<()> {
        let path = self.hub_path();
        let entropy = Entropy::new(self.rng.bytes());
        let mut hub = self.hub.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = self.spare.take().context("a hub to stand in")?;
        // Files are changed only once they are closed.
        self.reader.take();
        drop(std::mem::replace(&mut *hub, spare));
        self.server.disk.restore(files);
        self.spare = Some(std::mem::replace(&mut *hub, Hub::open(&path, entropy)?));
        drop(hub);
        self.server.rebase();
        Ok(())
    }

    /// Somebody has looked at the list of devices: all were enrolled before any backup was made.
    fn confirm_devices(&mut self, now: &Now) -> Result<()> {
        self.with_hub(|hub| {
            for line in hub.incidents(true, u32::MAX)? {
                if line.kind == IncidentKind::ServerRestored {
                    hub.resolve_incident(line.incident, "every till is on the list", now)?;
                }
            }
            Ok(())
        })
    }

    fn restore_server(&mut self) -> Result<()> {
        let Some(backup) = self.backup.clone().filter(|_| self.sealed.is_empty()) else {
            return Ok(());
        };
        self.open_server(&backup)?;
        self.restored = true;
        let now = server_now(self.now_ms());
        if self.mutant != Some(Mutant::NoEpoch) {
            self.with_hub(|hub| Ok(hub.raise_epoch(&now)?))?;
        }
        self.confirm()?;
        self.confirm_devices(&now)?;
        // A till whose files were put back has lost what only the server knew, and one that broke a stream off does not
        // send again what was acknowledged of it.
        let known = check::sales_at(self.server_file()?)?;
        for sold in &mut self.sold {
            let node = &self.nodes[sold.till];
            if (node.put_back > 0 || node.broke_off) && !known.contains(&sold.done.key()) {
                sold.may_be_gone = true;
            }
        }
        let events = check::event_ids_at(self.server_file()?)?;
        let nodes = &self.nodes;
        self.goods.forget(|gone| {
            let node = &nodes[gone.till];
            let there = match &gone.proof {
                Proof::Sale(key) => known.contains(key),
                Proof::Event(event) => events.contains(event),
            };
            (node.put_back > 0 || node.broke_off) && !there
        });
        Ok(())
    }

    /// The web shop says what it has promised and not handed over.
    fn confirm(&mut self) -> Result<()> {
        let now = self.now_ms();
        let open = self
            .goods
            .orders
            .iter()
            .filter(|order| order.open && order.expires > now);
        let open = open.filter(|_| self.mutant != Some(Mutant::PromisesNotConfirmed));
        let open: Vec<PromiseRequest> = open
            .map(|order| PromiseRequest {
                life_ms: order.request.life_ms.map(|_| order.expires - now),
                ..order.request.clone()
            })
            .collect();
        self.with_hub(|hub| Ok(hub.confirm_promises(&open, &server_now(now))?))
    }

    /// Ends all trouble, and lets everybody talk until nobody has anything to say.
    fn calm(&mut self) -> Result<()> {
        self.net.heal();
        for node in &mut self.nodes {
            node.cable = true;
            node.away = false;
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
            if quiet && check::feeds_behind(self)?.is_empty() {
                return Ok(());
            }
        }
        let left: Vec<u64> = self
            .nodes
            .iter()
            .map(|node| node.unsynced().unwrap_or(u64::MAX))
            .collect();
        let differ = check::feeds_behind(self)?;
        bail!("V11: not quiet after {ROUNDS_MAX} talks each; unsynced events: {left:?}; {differ:?}")
    }
}

/// Number of a till in its store.
pub fn number_of(index: usize) -> String {
    format!("{:02}", index / 2 + 1)
}

pub(super) fn server_now(wall_ms: i64) -> Now {
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
    let csv = with_strict(&catalogue_csv(&month, OPENING));
    let report = hub.import(csv.as_bytes(), &options, now, &mut |_, _| {})?;
    ensure!(
        report.applied,
        "the catalogue was refused: {:?}",
        report.errors
    );
    Ok(())
}

/// The catalogue with its first articles strict and scarce.
fn with_strict(csv: &str) -> String {
    let mut lines: Vec<String> = csv.lines().map(ToOwned::to_owned).collect();
    let scarce = lines
        .iter_mut()
        .skip(1)
        .take(usize::try_from(STRICT).unwrap_or(0));
    for (article, line) in scarce.enumerate() {
        let stock = format!(",{OPENING},{OPENING}");
        let units = Goods::opening(article);
        let shelf = line
            .trim_end_matches(stock.as_str())
            .replace(",shelf,", ",strict,");
        *line = format!("{shelf},{units},{units}");
    }
    lines.join("\n") + "\n"
}
