//! Kill -9 of a real process that sells: a sale is acknowledged when its answer was read from the pipe, or, of the
//! whole program, when its 200 was read.
//!
//! A kill proves nothing about power cuts, because the system still writes what it was given; it finds what a
//! program gets wrong about its own end.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use domain::entropy::Entropy;
use domain::event::TenderKind;
use domain::ids::{RequestId, SaleId};
use domain::time::{Boot, Now};
use ledger::Ledger;
use testkit::rng::Rng;
use testkit::shop::{SOCKS, START_WALL_MS, Setup, tender};
use till::door::{Answer, Command, Reply, Request};
use till::{Context, Till};

use super::drained::{Center, Sold};
use super::served::{self, Served};
use super::{Budget, Figures};

/// Every so many kills the whole ledger is recomputed.
const VERIFY_EVERY: u64 = 50;

/// What the client does with a request whose answer it never read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// It sends it again as it was.
    SameId,
    /// The control: it forgets it and sells the same goods anew.
    Forgetful,
}

/// The process that is killed: a till on `folder` that reads requests from standard input, one a line, and
/// writes their answers.
///
/// # Errors
/// When the till does not open, or a pipe breaks.
pub fn sell(folder: &Path, seed: u64) -> Result<()> {
    let mut rng = Rng::new(seed);
    let mut ms = 0;
    let mut context = || {
        ms += 1_000;
        Context {
            now: Now {
                wall_ms: START_WALL_MS + i64::from(ms),
                boot: Boot {
                    id: seed >> 11,
                    ms: u64::from(ms as u32),
                },
                utc_offset_min: 60,
            },
            entropy: Entropy::new(rng.bytes()),
        }
    };
    let mut till = Till::open(folder, "kill", context())?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let answer = till.handle_json(&line?, context())?;
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

/// What is killed.
#[derive(Debug, Clone, Copy)]
pub enum Victim<'a> {
    /// A program that runs [`sell`] when called as `till FOLDER SEED`: quick to start, so that many can die.
    Pipes(&'a Path),
    /// `hanout-till`, serving on its loopback HTTP.
    Door(&'a Path),
}

struct Piped {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

enum Seller {
    Piped(Piped),
    Served(Served),
}

impl Seller {
    fn start(victim: Victim<'_>, folder: &Path, seed: u64) -> Result<Seller> {
        let program = match victim {
            Victim::Pipes(program) => program,
            Victim::Door(program) => {
                let witness = folder.join("witness");
                let command = served::program(program, folder, &witness);
                return Ok(Seller::Served(Served::start(command)?));
            }
        };
        let mut child = Program::new(program)
            .arg("till")
            .arg(folder)
            .arg(seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the seller starts")?;
        let to = child.stdin.take().context("a pipe")?;
        let from = BufReader::new(child.stdout.take().context("a pipe")?);
        Ok(Seller::Piped(Piped { child, to, from }))
    }

    fn ready(&mut self) -> Result<()> {
        match self {
            Seller::Piped(piped) => {
                let mut line = String::new();
                piped.from.read_line(&mut line)?;
                ensure!(line == "ready\n", "the till did not start: {line:?}");
                Ok(())
            }
            Seller::Served(served) => served.ready(),
        }
    }

    fn send(&mut self, request: &Request) -> Result<()> {
        match self {
            Seller::Piped(piped) => {
                let line = serde_json::to_string(request)?;
                writeln!(piped.to, "{line}")?;
                Ok(piped.to.flush()?)
            }
            Seller::Served(served) => served.send(request),
        }
    }

    fn ask(&mut self, request: &Request) -> Result<Answer> {
        self.send(request)?;
        match self {
            Seller::Piped(piped) => {
                let mut line = String::new();
                piped.from.read_line(&mut line)?;
                serde_json::from_str(&line).with_context(|| format!("an answer: {line:?}"))
            }
            Seller::Served(served) => served.read(),
        }
    }

    /// Microseconds within which it starts.
    const fn start_us(&self) -> u64 {
        match self {
            Seller::Piped(_) => 8_000,
            Seller::Served(_) => 60_000,
        }
    }

    fn kill(self) -> Result<()> {
        match self {
            Seller::Piped(mut piped) => {
                piped.child.kill()?;
                piped.child.wait()?;
                Ok(())
            }
            Seller::Served(served) => served.kill(),
        }
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Goods that a customer took, and the sales that were tried for them.
#[derive(Default)]
struct Intent {
    sales: Vec<SaleId>,
    acked: bool,
}

struct Client {
    rng: Rng,
    intents: Vec<Intent>,
    unanswered: Option<Request>,
}

impl Client {
    fn request(&mut self, command: Command) -> Request {
        let mut entropy = Entropy::new(self.rng.bytes());
        Request {
            id: RequestId(entropy.next_uuid(START_WALL_MS)),
            command,
        }
    }

    fn cart(&mut self, seller: &mut Seller, command: Command) -> Result<(SaleId, usize)> {
        let request = self.request(command);
        match seller.ask(&request)? {
            Answer::Ok(Reply::Cart(cart)) => Ok((cart.sale, cart.lines.len())),
            other => bail!("no cart: {other:?}"),
        }
    }

    /// Puts goods into the cart; the request that sells them. A new intent unless the last one is open.
    fn fill(&mut self, seller: &mut Seller) -> Result<Request> {
        let (mut sale, lines) = self.cart(seller, Command::GetCart {})?;
        if lines == 0 {
            let code = SOCKS.to_owned();
            (sale, _) = self.cart(seller, Command::ScanCode { code })?;
        }
        if self.intents.last().is_none_or(|intent| intent.acked) {
            self.intents.push(Intent::default());
        }
        let intent = self.intents.last_mut().context("an intent")?;
        if !intent.sales.contains(&sale) {
            intent.sales.push(sale);
        }
        Ok(self.request(Command::Complete {
            sale,
            tenders: vec![tender(TenderKind::Cash, None)],
            approval: None,
        }))
    }

    fn complete(&mut self, seller: &mut Seller, request: &Request) -> Result<()> {
        match seller.ask(request)? {
            Answer::Ok(Reply::Completed(_)) => {}
            other => bail!("a sale was refused: {other:?}"),
        }
        let intent = self.intents.last_mut().context("an intent")?;
        intent.acked = true;
        Ok(())
    }

    /// One life of the process.
    fn live(&mut self, mut seller: Seller, protocol: Protocol) -> Result<()> {
        if self.rng.chance(10) {
            // Killed while it starts.
            self.spin(seller.start_us());
            return seller.kill();
        }
        seller.ready()?;
        if let Some(request) = self.unanswered.take()
            && protocol == Protocol::SameId
        {
            self.complete(&mut seller, &request)?;
        }
        for _ in 0..self.rng.below(4) {
            let request = self.fill(&mut seller)?;
            self.complete(&mut seller, &request)?;
        }
        let request = self.fill(&mut seller)?;
        seller.send(&request)?;
        self.unanswered = Some(request);
        self.spin(3_000);
        seller.kill()
    }

    /// Lets a random part of `us_max` microseconds go by.
    fn spin(&mut self, us_max: u64) {
        let end = Instant::now() + Duration::from_micros(self.rng.below(us_max));
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    }

    fn check(&self, ledger: &Ledger, from: usize, figures: &mut Figures) -> Result<()> {
        for intent in &self.intents[from..] {
            let mut there = 0_u64;
            for sale in &intent.sales {
                there += u64::from(ledger.sale(*sale)?.is_some());
            }
            ensure!(there > 0 || !intent.acked, "an acknowledged sale is lost");
            figures.add("doubled", u64::from(there > 1));
        }
        Ok(())
    }
}

/// Kills `victim` until the budget is spent.
///
/// # Errors
/// The first violation, with the seed; a doubled sale is counted, not an error.
pub fn run(victim: Victim<'_>, protocol: Protocol, budget: &Budget, seed: u64) -> Result<Figures> {
    let mut figures = Figures::default();
    let setup = Setup {
        // Nobody listens there.
        server: "http://127.0.0.1:9",
        ..Setup::tunisia().on_folder()
    };
    let (center, mut shop) = Center::with(setup)?;
    shop.open();
    shop.close_till();
    let folder = shop.folder().to_owned();
    let path = folder.join("ledger.db");
    let mut client = Client {
        rng: Rng::new(seed),
        intents: Vec::new(),
        unanswered: None,
    };
    while !budget.is_spent(figures.get("kills")) {
        let kills = figures.get("kills");
        let told = || format!("seed {seed}, kill {kills}");
        let seller = Seller::start(victim, &folder, seed ^ (kills << 20))?;
        client.live(seller, protocol).with_context(told)?;
        figures.add("kills", 1);
        let ledger = Ledger::open_read_only(&path).with_context(told)?;
        let recent = client.intents.len().saturating_sub(6);
        client
            .check(&ledger, recent, &mut Figures::default())
            .with_context(told)?;
        if let Some(request) = &client.unanswered {
            figures.add(
                "committed_unread",
                u64::from(ledger.answer(request.id)?.is_some()),
            );
        }
        if kills % VERIFY_EVERY == 0 {
            let report = ledger.verify()?;
            ensure!(report.ok, "{}: {:?}", told(), report.first_bad);
        }
    }
    let ledger = Ledger::open_read_only(&path)?;
    let report = ledger.verify()?;
    ensure!(report.ok, "seed {seed}: {:?}", report.first_bad);
    client.check(&ledger, 0, &mut figures)?;
    let mut sold = Vec::new();
    for sale in client.intents.iter().flat_map(|intent| &intent.sales) {
        sold.extend(ledger.sale(*sale)?.map(|receipt| Sold {
            minor: receipt.body.sale().total_minor,
            number: receipt.number,
        }));
    }
    drop(ledger);
    shop.try_open().context("the till does not open")?;
    let now = shop.now();
    let drained = center
        .drain(shop.till_mut(), now, &sold, true)
        .with_context(|| format!("seed {seed}, the outbox"))?;
    figures.add("drained", drained);
    figures.add(
        "acknowledged",
        client.intents.iter().filter(|intent| intent.acked).count() as u64,
    );
    Ok(figures)
}
