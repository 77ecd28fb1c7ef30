//! A chain in one process: a hub and tills with files of their own, on one fake clock.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError};

use anyhow::{Context as _, Result, bail};
use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use domain::catalog::{Language, Names};
use domain::config::{Role, StaffMember, StoreConfig, TaxRate, TaxRounding};
use domain::entropy::Entropy;
use domain::event::StreamReason;
use domain::ids::{
    JobId, LocationId, PriceListId, RequestId, StoreId, TaxCategory, TenantId, TillId, UserId,
};
use domain::money::Currency;
use domain::time::{Boot, Now};
use hub::import::{ImportOptions, ImportReport};
use hub::{Hub, NewTenant};
use hub_http::{Clock, SharedHub, Tenants};
use rust_decimal::Decimal;
use sync_client::engine::Problem;
use sync_client::{Engine, EngineConfig, EngineEvent, Link, Standing, enrol};
use testkit::rng::Rng;
use till::door::{Answer, Command, JobResult, Pieces, Refusal, Reply, Request};
use till::{Context, PendingWork, Till};

use crate::net::Net;

/// PIN of every cashier here.
pub const CASHIER_PIN: &str = "4826";
/// PIN of every manager here.
pub const MANAGER_PIN: &str = "739204";
/// First moment of a world: 2026-10-01 07:00 UTC.
const START_MS: i64 = 1_790_838_000_000;

/// A store to make.
#[derive(Debug, Clone, Copy)]
pub struct Shop {
    /// Code of store and location.
    pub code: &'static str,
    /// Country.
    pub country: &'static str,
    /// Currency.
    pub currency: Currency,
    /// Price list.
    pub list: &'static str,
    /// Standard and reduced rate, percent.
    pub rates: (i64, i64),
}

/// A store in Tunis.
pub const MARSA: Shop = Shop {
    code: "LM",
    country: "TN",
    currency: Currency::Tnd,
    list: "TN",
    rates: (19, 7),
};
/// A store in Casablanca.
pub const CASA: Shop = Shop {
    code: "CA",
    country: "MA",
    currency: Currency::Mad,
    list: "MA",
    rates: (20, 10),
};

/// One clock for everybody.
#[derive(Debug, Clone)]
pub struct FakeClock(Arc<AtomicI64>);

impl FakeClock {
    fn now(&self) -> Now {
        let wall_ms = self.0.load(Ordering::SeqCst);
        let since = u64::try_from(wall_ms - START_MS).unwrap_or(0);
        Now {
            wall_ms,
            boot: Boot {
                id: 7,
                ms: since + 1_000,
            },
            utc_offset_min: 60,
        }
    }

    fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

/// A till and its side of sync.
pub struct TillNode {
    /// Till.
    pub till: Till,
    /// Engine.
    pub engine: Engine,
    /// Store.
    pub shop: Shop,
    /// Its number in the store.
    pub number: String,
    /// How far its wall clock is from everybody else's, in milliseconds; its clock since boot is right.
    pub clock_off_ms: i64,
    /// Its time zone.
    pub utc_offset_min: i32,
    rng: Rng,
    clock: FakeClock,
}

/// The chain.
pub struct World {
    /// The server.
    pub hub: SharedHub,
    /// The network.
    pub net: Net,
    /// Tills.
    pub tills: Vec<TillNode>,
    /// Seconds that the import took.
    pub import_seconds: f64,
    clock: FakeClock,
}

pub(crate) fn verifier(pin: &str) -> Result<String> {
    // The cheapest parameters that Argon2 accepts: what is tested here is not the cost of guessing.
    let params = Params::new(8, 1, 1, None).map_err(|error| anyhow::anyhow!("{error}"))?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = argon
        .hash_password_with_salt(pin.as_bytes(), b"0123456789abcdef")
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(hash.to_string())
}

pub(crate) fn store_config(shop: Shop) -> Result<StoreConfig> {
    let rate = |category: &str, percent: i64| -> Result<TaxRate> {
        Ok(TaxRate {
            category: TaxCategory::new(category)?,
            rate: domain::config::Rate::percent(Decimal::from(percent))?,
            from: "2020-01-01".parse()?,
            to: None,
            basis: String::new(),
        })
    };
    Ok(StoreConfig {
        store: StoreId::new(shop.code)?,
        location: LocationId::new(shop.code)?,
        chain: "Epicerie".to_owned(),
        name: Names {
            fr: shop.code.to_owned(),
            ..Names::default()
        },
        address: vec!["1 rue du Port".to_owned()],
        legal: Vec::new(),
        country: shop.country.to_owned(),
        currency: shop.currency,
        price_list: PriceListId::new(shop.list)?,
        receipt_language: Language::Fr,
        utc_offset_min: 60,
        taxes: vec![
            rate("standard", shop.rates.0)?,
            rate("reduced", shop.rates.1)?,
        ],
        tax_rounding: TaxRounding::PerLine,
        levies: Vec::new(),
        cash_rounding: None,
        over_short_limit_minor: 1_000,
        discount_limit_bp: 1_000,
        drawer: domain::config::DrawerRules::default(),
        rules: Default::default(),
        identity: Default::default(),
        follows: Vec::new(),
        location_names: std::collections::BTreeMap::new(),
        receipt_code: true,
    })
}

impl World {
    /// A chain under `folder` with these stores, `tills_each` tills in each, and the catalogue of `csv`.
    ///
    /// # Errors
    /// Anything that does not go as it must.
    pub fn new(
        folder: &Path,
        shops: &[Shop],
        tills_each: usize,
        csv: &str,
        seed: u64,
    ) -> Result<(World, ImportReport)> {
        let clock = FakeClock(Arc::new(AtomicI64::new(START_MS)));
        let mut rng = Rng::new(seed);
        let new = NewTenant {
            tenant: TenantId::new("replay")?,
            chain: "Epicerie".to_owned(),
        };
        let mut hub = Hub::create(
            &folder.join("hub.db"),
            &new,
            &clock.now(),
            Entropy::new(rng.bytes()),
        )?;
        for shop in shops {
            hub.create_store(&store_config(*shop)?)?;
            for (name, role, pin) in [
                ("Amel", Role::Cashier, CASHIER_PIN),
                ("Karim", Role::Manager, MANAGER_PIN),
            ] {
                let user = UserId(Entropy::new(rng.bytes()).next_uuid(START_MS));
                let staff = StaffMember {
                    user,
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
        let options = ImportOptions {
            dry_run: false,
            valid_from: "2020-01-01".parse()?,
            price_list: None,
            tax: TaxCategory::new("standard")?,
            opening_stock: true,
            stock_location: None,
        };
        let started = std::time::Instant::now();
        let report = hub.import(csv.as_bytes(), &options, &clock.now(), &mut |_, _| {})?;
        let import_seconds = started.elapsed().as_secs_f64();
        if !report.applied {
            bail!("the catalogue was refused: {:?}", report.errors);
        }
        let tenant = hub.tenant().clone();
        let tenants = Arc::new(Tenants::single(hub));
        let hub = tenants
            .get(&tenant)?
            .context("the hub that was just made")?;
        let server_clock: Clock = {
            let clock = clock.clone();
            Arc::new(move || clock.now())
        };
        let net = Net::new(tenants, server_clock, rng.next_u64())?;
        let mut world = World {
            hub,
            net,
            tills: Vec::new(),
            import_seconds,
            clock,
        };
        for shop in shops {
            for index in 0..tills_each {
                let number = format!("{:02}", index + 1);
                let data = folder.join(format!("{}-{number}", shop.code));
                world.add_till(*shop, &number, &data, rng.next_u64())?;
            }
        }
        Ok((world, report))
    }

    /// Enrols till `number` of a store with its files in `folder`, and lets it read all that it needs to sell; it is the
    /// last of [`World::tills`].
    ///
    /// # Errors
    /// Anything that does not go as it must.
    pub fn add_till(&mut self, shop: Shop, number: &str, folder: &Path, seed: u64) -> Result<()> {
        self.enrol_till(shop, number, folder, seed)?;
        self.sync_until_quiet(self.tills.len() - 1, 1_000)?;
        Ok(())
    }

    /// Enrols till `number` of a store with its files in `folder`; it is the last of [`World::tills`] and knows nothing
    /// yet.
    ///
    /// # Errors
    /// Anything that does not go as it must.
    pub fn enrol_till(&mut self, shop: Shop, number: &str, folder: &Path, seed: u64) -> Result<()> {
        let code = {
            let mut hub = self.hub.lock().unwrap_or_else(PoisonError::into_inner);
            hub.issue_code(
                &StoreId::new(shop.code)?,
                &TillId::new(number)?,
                true,
                &self.clock.now(),
            )?
        };
        let mut rng = Rng::new(seed);
        let context = Context {
            now: self.clock.now(),
            entropy: Entropy::new(rng.bytes()),
        };
        let till = Till::open(folder, "replay", context)?;
        let engine = Engine::new(EngineConfig::new("replay", rng.next_u64()));
        let mut node = TillNode {
            till,
            engine,
            shop,
            number: number.to_owned(),
            clock_off_ms: 0,
            utc_offset_min: self.clock.now().utc_offset_min,
            rng,
            clock: self.clock.clone(),
        };
        node.ok(Command::Enrol {
            server: "http://127.0.0.1:1".to_owned(),
            code,
        })?;
        let pending = node.till.pending().context("an enrolment under way")?;
        let PendingWork::Enrol {
            code,
            key_algorithm,
            public_key,
            ..
        } = pending.work;
        let outcome = self
            .net
            .send(&enrol::request(&code, key_algorithm, &public_key, "replay"));
        let enrol::EnrolOutcome::Enrolled(enrolled) = enrol::read(&outcome) else {
            bail!("enrolment was refused: {outcome:?}");
        };
        let result = JobResult::Enrolled {
            enrolled: serde_json::to_string(&enrolled)?,
        };
        node.internal(pending.job, result)?;
        self.tills.push(node);
        Ok(())
    }

    /// Starts a copy of till `of` from files in `folder`; it is the last of [`World::tills`].
    ///
    /// # Errors
    /// When it does not open.
    pub fn start_copy(&mut self, of: usize, folder: &Path, seed: u64) -> Result<()> {
        let mut rng = Rng::new(seed);
        let context = Context {
            now: self.clock.now(),
            entropy: Entropy::new(rng.bytes()),
        };
        let original = &self.tills[of];
        let copy = TillNode {
            till: Till::open(folder, "replay", context)?,
            engine: Engine::new(EngineConfig::new("replay", rng.next_u64())),
            shop: original.shop,
            number: original.number.clone(),
            clock_off_ms: original.clock_off_ms,
            utc_offset_min: original.utc_offset_min,
            rng,
            clock: self.clock.clone(),
        };
        self.tills.push(copy);
        Ok(())
    }

    /// Closes the server's file, lets `change` do what it likes with it, and opens it again.
    ///
    /// # Errors
    /// When it does not open.
    pub fn restart_server(&mut self, folder: &Path, change: impl FnOnce(&Path)) -> Result<()> {
        let aside = tempfile::tempdir()?;
        let new = NewTenant {
            tenant: TenantId::new("aside")?,
            chain: "Aside".to_owned(),
        };
        let stand_in = Hub::create(
            &aside.path().join("hub.db"),
            &new,
            &self.clock.now(),
            Entropy::new([0; 32]),
        )?;
        let path = folder.join("hub.db");
        let mut hub = self.hub.lock().unwrap_or_else(PoisonError::into_inner);
        // Files are changed only once they are closed.
        drop(std::mem::replace(&mut *hub, stand_in));
        change(&path);
        let seed = self.clock.now().wall_ms.to_be_bytes();
        let mut entropy = [1; 32];
        entropy[..8].copy_from_slice(&seed);
        *hub = Hub::open(&path, Entropy::new(entropy))?;
        Ok(())
    }

    /// What all clocks say.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// Moves the clock.
    pub fn advance(&self, ms: i64) {
        self.clock.advance(ms);
    }

    /// Moves the clock to 07:00 UTC of day `day` of this world.
    pub fn advance_to_day(&self, day: i64) {
        let morning = START_MS + day * 86_400_000;
        let now = self.clock.now().wall_ms;
        self.clock.advance((morning - now).max(0));
    }

    /// Lets till `index` talk to the server until nothing is due now. Returns the number of requests.
    ///
    /// # Errors
    /// When it still talks after `limit` requests.
    pub fn sync_until_quiet(&mut self, index: usize, limit: u64) -> Result<u64> {
        for sent in 0..limit {
            let node = &mut self.tills[index];
            node.engine.nudge();
            if !node.sync_once(&mut self.net)? {
                return Ok(sent);
            }
            // An answer that brings nothing new ends the talk; a failure makes the engine wait.
            if node.engine.standing() == Standing::Online
                && node.unsynced()? == 0
                && !node.more_to_pull()
            {
                return Ok(sent + 1);
            }
            self.clock.advance(1_000);
        }
        bail!("till {index} is not quiet after {limit} requests")
    }

    /// One exchange of till `index`, whatever comes of it.
    ///
    /// # Errors
    /// When the till is not enrolled.
    pub fn try_sync(&mut self, index: usize) -> Result<()> {
        let node = &mut self.tills[index];
        node.engine.nudge();
        node.sync_once(&mut self.net)?;
        self.clock.advance(1_000);
        Ok(())
    }
}

impl TillNode {
    /// What its clocks say.
    pub fn now(&self) -> Now {
        let now = self.clock.now();
        Now {
            wall_ms: now.wall_ms + self.clock_off_ms,
            utc_offset_min: self.utc_offset_min,
            ..now
        }
    }

    fn context(&mut self) -> Context {
        Context {
            now: self.now(),
            entropy: Entropy::new(self.rng.bytes()),
        }
    }

    /// Sends a command through the door.
    pub fn call(&mut self, command: Command) -> Answer {
        let context = self.context();
        let id = RequestId(Entropy::new(self.rng.bytes()).next_uuid(context.now.wall_ms));
        self.till.handle(&Request { id, command }, context)
    }

    /// Sends a command that must succeed.
    ///
    /// # Errors
    /// With the refusal.
    pub fn ok(&mut self, command: Command) -> Result<Reply> {
        let shown = format!("{command:?}");
        match self.call(command) {
            Answer::Ok(reply) => Ok(reply),
            Answer::Refused(refusal) => bail!("{shown} was refused: {refusal:?}"),
        }
    }

    /// Sends a command that must be refused.
    ///
    /// # Errors
    /// When it succeeds.
    pub fn refused(&mut self, command: Command) -> Result<Refusal> {
        let shown = format!("{command:?}");
        match self.call(command) {
            Answer::Refused(refusal) => Ok(refusal),
            Answer::Ok(reply) => bail!("{shown} was answered: {reply:?}"),
        }
    }

    fn internal(&mut self, job: JobId, result: JobResult) -> Result<()> {
        let context = self.context();
        match self
            .till
            .handle_internal(Command::JobFinished { job, result }, context)
        {
            Answer::Ok(_) => Ok(()),
            Answer::Refused(refusal) => bail!("the job's result was refused: {refusal:?}"),
        }
    }

    /// Signs the cashier in.
    ///
    /// # Errors
    /// When there is none, or the PIN is refused.
    pub fn sign_in(&mut self, role: Role) -> Result<UserId> {
        let Reply::Users { users } = self.ok(Command::ListUsers {})? else {
            bail!("no list of staff")
        };
        let user = users
            .iter()
            .find(|user| user.role == role)
            .context("nobody has this role")?
            .user;
        let pin = match role {
            Role::Cashier => CASHIER_PIN,
            Role::Manager => MANAGER_PIN,
        };
        self.ok(Command::SignIn {
            user,
            pin: pin.to_owned(),
        })?;
        Ok(user)
    }

    fn sync_once(&mut self, net: &mut Net) -> Result<bool> {
        let link = self.till.link().context("the till is enrolled")?;
        let link = Link {
            tenant: link.tenant,
            device: link.device,
            token: link.token,
            authority: link.authority,
            epoch: link.epoch,
            server_key: link.server_key,
        };
        let now = self.now();
        let key = self.till.signing_key().clone();
        let needs = self.till.rights_needed(&now).into_iter();
        self.engine.set_needs(
            needs
                .map(|(variant, location, quantity)| sync_protocol::Want {
                    variant,
                    location,
                    quantity,
                })
                .collect(),
        );
        let ledger = self.till.ledger_mut().context("the till has a ledger")?;
        let Some(outgoing) = self.engine.poll(ledger, &link, &key, &now) else {
            return Ok(false);
        };
        let outcome = net.send(&outgoing);
        let events = self.engine.handle(ledger, outgoing.ticket, outcome, &now);
        // As the runtime does.
        for event in events {
            if let EngineEvent::StreamBroken(problem) = event {
                let reason = match problem {
                    Problem::StreamFork => StreamReason::Cloned,
                    _ => StreamReason::Restored,
                };
                let context = self.context();
                self.till.renew_stream(reason, context)?;
                self.engine.new_stream();
            }
        }
        Ok(true)
    }

    /// Ends the program, lets `change` do what it likes with the files, and starts it again.
    ///
    /// # Errors
    /// When the till does not open.
    pub fn restart(&mut self, folder: &Path, change: impl FnOnce(&Path)) -> Result<()> {
        let context = self.context();
        self.till = Till::in_memory("replay", context)?;
        change(folder);
        let context = self.context();
        self.till = Till::open(folder, "replay", context)?;
        self.engine = Engine::new(EngineConfig::new("replay", self.rng.next_u64()));
        Ok(())
    }

    fn more_to_pull(&self) -> bool {
        let Some(ledger) = self.till.ledger() else {
            return true;
        };
        !ledger.ready_to_sell().unwrap_or(false)
    }

    /// Events that the server has not acknowledged.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn unsynced(&self) -> Result<u64> {
        Ok(self
            .till
            .ledger()
            .context("the till has a ledger")?
            .unsynced()?
            .count)
    }
}

/// `minor` as pieces of money, largest first.
///
/// # Errors
/// When the currency has no pieces small enough.
pub fn pieces(minor: i64, currency: Currency) -> Result<Vec<Pieces>> {
    let mut left = minor;
    let mut counted = Vec::new();
    for denomination_minor in currency.denominations_minor().iter().rev().copied() {
        let pieces = left / denomination_minor;
        left -= pieces * denomination_minor;
        if pieces > 0 {
            counted.push(Pieces {
                denomination_minor,
                pieces,
            });
        }
    }
    if left != 0 {
        bail!("{minor} cannot be counted in pieces of {currency}");
    }
    Ok(counted)
}
