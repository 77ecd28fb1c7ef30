//! The power cut: a till sells on a recorded disk, and every state that a cut after any operation could leave
//! is opened and held to the history that was acknowledged.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::{Context as _, Result, bail};
use domain::entropy::Entropy;
use domain::event::TenderKind;
use domain::ids::{Digest, RequestId};
use domain::time::{Boot, Now};
use ledger::{Durability, Ledger, OpenOptions};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use testkit::disk::crash::{CrashDisk, SURVIVALS, Survival};
use testkit::disk::{MemDisk, Op, Snapshot};
use testkit::rng::Rng;
use testkit::shop::{BALL_UPC, SHOE_43_EAN, SOCKS, START_WALL_MS, Setup, TEE, tender};
use till::door::{Answer, Command, Request};
use till::{Context, Till};

use super::drained::{Center, Sold};
use super::{Budget, Figures};

/// How closely states are looked at. The end of every one is read by SQLite and compared.
#[derive(Debug, Clone, Copy)]
pub struct Depth {
    /// Every so many states the product opens the ledger.
    pub open_every: u64,
    /// Every so many states it also recomputes all of it.
    pub verify_every: u64,
    /// Every so many states the till itself is started and sells on.
    pub door_every: u64,
    /// Of the tills that were started after one way to survive, the first and then every so many drain their outbox
    /// into a server.
    pub drain_every: u64,
}

impl Depth {
    /// For thousands of states.
    pub const CLOSE: Depth = Depth {
        open_every: 1,
        verify_every: 5,
        door_every: 40,
        drain_every: 5,
    };
    /// For a million.
    pub const WIDE: Depth = Depth {
        open_every: 10,
        verify_every: 50,
        door_every: 400,
        drain_every: 1,
    };
}
/// States drawn of each random kind after each operation.
const DRAWS: usize = 3;

/// A sale whose answer was read.
struct Acked {
    seq: u64,
    request: Request,
    answer: String,
}

/// A till's run on a recorded disk.
pub struct Recording {
    start: Snapshot,
    log: Vec<Op>,
    /// Chain hash after each event; the first is that before event 1.
    hashes: Vec<Digest>,
    first_seq: u64,
    acked: Vec<Acked>,
    center: Center,
}

/// Sells `sales` times on a disk that is written with `durability`.
///
/// # Errors
/// When the ledger cannot be read.
pub fn record(durability: Durability, sales: u64, seed: u64) -> Result<Recording> {
    let options = OpenOptions {
        durability,
        ..OpenOptions::default()
    };
    let setup = Setup {
        seed: seed.to_le_bytes()[0],
        ..Setup::tunisia().with_stamp()
    };
    let (center, mut shop) = Center::with(setup.on_disk().with_options(options))?;
    shop.open();
    // Everything so far counts as durable.
    let start = shop.disk().snapshot();
    let first_seq = shop.ledger().head().seq;
    let mut rng = Rng::new(seed);
    let mut acked = Vec::new();
    shop.disk().record();
    for sale in 0..sales {
        shop.advance_ms(30_000);
        for _ in 0..=rng.below(3) {
            let codes = [BALL_UPC, SHOE_43_EAN, TEE, SOCKS];
            shop.scan(codes[rng.below(4) as usize]);
        }
        let request = Request {
            id: shop.request_id(),
            command: Command::Complete {
                sale: shop.cart().sale,
                tenders: vec![tender(TenderKind::Cash, None)],
                approval: None,
            },
        };
        let answer = shop.call_as(request.id, request.command.clone());
        if !matches!(answer, Answer::Ok(_)) {
            bail!("sale {sale} was refused: {answer:?}");
        }
        shop.disk().mark(sale);
        acked.push(Acked {
            seq: shop.ledger().head().seq,
            request,
            answer: serde_json::to_string(&answer)?,
        });
        // What an idle moment and a quiet end of the program do.
        if rng.chance(15) {
            shop.ledger_mut().checkpoint()?;
        }
        if rng.chance(6) {
            shop.reopen();
        }
    }
    let log = shop.disk().recorded();
    let head = shop.ledger().head().seq;
    let hashes = (0..=head)
        .map(|seq| shop.ledger().hash_at(seq)?.context("a hash"))
        .collect::<Result<_>>()?;
    Ok(Recording {
        start,
        log,
        hashes,
        first_seq,
        acked,
        center,
    })
}

/// What was found in one state.
#[derive(Debug)]
enum Finding {
    Sound,
    /// Acknowledged sales are missing.
    Lost(u64),
    /// It does not open, does not verify, or holds another history.
    Broken(String),
}

struct Job {
    state: Snapshot,
    /// Sales acknowledged.
    acked: usize,
    open: bool,
    verify: bool,
    through_the_door: bool,
    drain: bool,
    label: String,
}

impl Recording {
    /// Head before the `count`th sale's event.
    fn seq_after(&self, count: usize) -> u64 {
        match count.checked_sub(1) {
            Some(last) => self.acked.get(last).map_or(u64::MAX, |acked| acked.seq),
            None => self.first_seq,
        }
    }

    fn look(&self, disk: &MemDisk, job: &Job) -> Finding {
        disk.restore(&job.state);
        if !job.open {
            return self
                .glance(&disk.folder().join("ledger.db"), job)
                .unwrap_or_else(|error| Finding::Broken(format!("{error:?}")));
        }
        let broken = |what: &dyn std::fmt::Display| Finding::Broken(what.to_string());
        let ledger = match Ledger::open(&disk.folder().join("ledger.db"), &OpenOptions::default()) {
            Ok(ledger) => ledger,
            Err(error) => return broken(&format!("{error:?}")),
        };
        if job.verify {
            match ledger.verify() {
                Ok(report) if report.ok => {}
                Ok(report) => return broken(&format!("{:?}", report.first_bad)),
                Err(error) => return broken(&format!("{error:?}")),
            }
        }
        let head = ledger.head();
        let found = self.end(head.seq, head.hash, job);
        if !matches!(found, Finding::Sound) {
            return found;
        }
        for acked in self.acked[..job.acked].iter().rev().take(4) {
            match ledger.answer(acked.request.id) {
                Ok(Some(stored)) if stored.answer == acked.answer => {}
                other => return broken(&format!("an answer is {other:?}")),
            }
        }
        drop(ledger);
        if job.through_the_door
            && let Err(error) = self.go_on(disk, job)
        {
            return broken(&format!("{error:#}"));
        }
        Finding::Sound
    }

    /// Whether a history that ends so is one that this cut may leave.
    fn end(&self, seq: u64, hash: Digest, job: &Job) -> Finding {
        let known = usize::try_from(seq)
            .ok()
            .and_then(|seq| self.hashes.get(seq));
        if known != Some(&hash) {
            return Finding::Broken(format!("event {seq} is not of this history"));
        }
        let wanted = self.seq_after(job.acked);
        if seq < wanted {
            return Finding::Lost(wanted - seq);
        }
        let one_more = self.seq_after((job.acked + 1).min(self.acked.len()));
        if seq > one_more {
            return Finding::Broken(format!("{} events after the last answer", seq - wanted));
        }
        Finding::Sound
    }

    /// Lets SQLite recover the file and reads its end: the last event, that none is missing, and the last answers.
    fn glance(&self, path: &Path, job: &Job) -> Result<Finding> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // Nobody else has it open.
        conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let (seq, hash, count) = conn.query_row(
            "SELECT seq, hash, (SELECT count(seq) FROM event) FROM event ORDER BY seq DESC LIMIT 1",
            [],
            |row| Ok((row.get::<_, u64>(0)?, row.get(1)?, row.get::<_, u64>(2)?)),
        )?;
        if count != seq {
            return Ok(Finding::Broken(format!("{count} of {seq} events")));
        }
        let found = self.end(seq, Digest(hash), job);
        if !matches!(found, Finding::Sound) {
            return Ok(found);
        }
        let mut statement = conn.prepare("SELECT answer FROM answer WHERE request = ?1")?;
        for acked in self.acked[..job.acked].iter().rev().take(2) {
            let answer: String =
                statement.query_row([acked.request.id.0.as_bytes()], |row| row.get(0))?;
            if answer != acked.answer {
                return Ok(Finding::Broken(format!("an answer became {answer}")));
            }
        }
        Ok(Finding::Sound)
    }

    /// Starts the till on it: the last answers are given again, the request that was under way is repeated,
    /// another sale follows, and where the job says so all of it drains.
    fn go_on(&self, disk: &MemDisk, job: &Job) -> Result<()> {
        let mut drawn = 0_u64;
        let mut context = || {
            drawn += 1;
            let mut seed = [0xEE; 32];
            seed[24..].copy_from_slice(&drawn.to_be_bytes());
            Context {
                now: Now {
                    wall_ms: START_WALL_MS + 36_000_000,
                    boot: Boot { id: 9, ms: 60_000 },
                    utc_offset_min: 60,
                },
                entropy: Entropy::new(seed),
            }
        };
        let mut till = Till::open(disk.folder(), "test", context())?;
        let events = |till: &Till| till.ledger().map_or(0, |ledger| ledger.head().seq);
        let before = events(&till);
        if let Some(last) = job.acked.checked_sub(1) {
            let last = &self.acked[last];
            let again = serde_json::to_string(&till.handle(&last.request, context()))?;
            if again != last.answer {
                bail!("the same request is answered otherwise: {again}");
            }
        }
        if events(&till) != before {
            bail!("a repeated request wrote something");
        }
        let mut sold = Vec::new();
        for acked in &self.acked[..job.acked] {
            sold.extend(Sold::of(&serde_json::from_str(&acked.answer)?));
        }
        if let Some(next) = self.acked.get(job.acked) {
            let was_there = before >= next.seq;
            let again = till.handle(&next.request, context());
            if was_there && serde_json::to_string(&again)? != next.answer {
                bail!("the sale is there and answered otherwise: {again:?}");
            }
            if events(&till) > before + u64::from(!was_there) + 1 {
                bail!("the repeated request wrote twice");
            }
            sold.extend(Sold::of(&again));
        }
        let mut ok = |command: Command| -> Result<()> {
            let mut context = context();
            let id = RequestId(context.entropy.next_uuid(context.now.wall_ms));
            match till.handle(&Request { id, command }, context) {
                Answer::Ok(_) => Ok(()),
                Answer::Refused(refusal) => bail!("selling on is refused: {refusal:?}"),
            }
        };
        // A power cut may cost the sign-in and the last scans; never more.
        ok(Command::SignIn {
            user: testkit::shop::CASHIER,
            pin: testkit::shop::CASHIER_PIN.to_owned(),
        })?;
        ok(Command::ScanCode {
            code: BALL_UPC.to_owned(),
        })?;
        let sale = match till.handle(
            &Request {
                id: RequestId(uuid::Uuid::from_u128(0xF1)),
                command: Command::GetCart {},
            },
            context(),
        ) {
            Answer::Ok(till::door::Reply::Cart(cart)) => cart.sale,
            other => bail!("no cart: {other:?}"),
        };
        let done = till.handle(
            &Request {
                id: RequestId(uuid::Uuid::from_u128(0xF2)),
                command: Command::Complete {
                    sale,
                    tenders: vec![tender(TenderKind::Cash, None)],
                    approval: None,
                },
            },
            context(),
        );
        if !matches!(done, Answer::Ok(_)) {
            bail!("selling on is refused: {done:?}");
        }
        let report = till.ledger().context("a ledger")?.verify()?;
        if !report.ok {
            bail!("after selling on: {:?}", report.first_bad);
        }
        sold.extend(Sold::of(&done));
        if job.drain {
            self.center
                .drain(&mut till, context().now, &sold, true)
                .context("the outbox")?;
        }
        Ok(())
    }

    /// Builds distinct states after every `stride`th operation until the budget is spent or none are left, and
    /// looks at each.
    ///
    /// # Errors
    /// Never for what it finds: that is counted under `lost` and `broken`, with the first of each shown.
    pub fn cut(
        &self,
        budget: &Budget,
        seed: u64,
        stride: usize,
        depth: Depth,
    ) -> Result<(Figures, Option<String>)> {
        let figures = Mutex::new((Figures::default(), None::<String>));
        let (send, receive) = sync_channel::<Job>(16);
        let receive = Mutex::new(receive);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| self.work(&receive, &figures));
            }
            let built = self.build(budget, seed, stride, depth, &send);
            drop(send);
            let mut shared = figures.lock().unwrap_or_else(|error| error.into_inner());
            shared.0.take(&built);
        });
        let (mut figures, first) = figures
            .into_inner()
            .unwrap_or_else(|error| error.into_inner());
        figures.add("sales", self.acked.len() as u64);
        Ok((figures, first))
    }

    fn work(&self, jobs: &Mutex<Receiver<Job>>, figures: &Mutex<(Figures, Option<String>)>) {
        let disk = MemDisk::new(0);
        loop {
            let job = {
                let jobs = jobs.lock().unwrap_or_else(|error| error.into_inner());
                let Ok(job) = jobs.recv() else { return };
                job
            };
            let finding = self.look(&disk, &job);
            let mut shared = figures.lock().unwrap_or_else(|error| error.into_inner());
            shared.0.add("read", 1);
            for (name, done) in [
                ("opened", job.open),
                ("verified", job.verify),
                ("through_the_door", job.through_the_door),
                ("drained", job.drain),
            ] {
                shared.0.add(name, u64::from(done));
            }
            let what = match finding {
                Finding::Sound => continue,
                Finding::Lost(events) => {
                    shared.0.add("lost", 1);
                    let most = shared.0.get("lost_most").max(events);
                    shared.0.0.insert("lost_most", most);
                    format!("{events} acknowledged events are lost")
                }
                Finding::Broken(what) => {
                    shared.0.add("broken", 1);
                    what
                }
            };
            shared.1.get_or_insert(format!("{}: {what}", job.label));
        }
    }

    /// Builds states, and has each looked at. A state that differs from an earlier one only in files beside the
    /// ledger is counted and not read again, but for the ones that the till is started on.
    fn build(
        &self,
        budget: &Budget,
        seed: u64,
        stride: usize,
        depth: Depth,
        send: &SyncSender<Job>,
    ) -> Figures {
        let mut figures = Figures::default();
        let mut rng = Rng::new(seed);
        let mut disk = CrashDisk::new(&self.start);
        let mut seen = HashSet::new();
        let mut read = HashSet::new();
        let mut started = SURVIVALS.map(|_| 0_u64);
        let mut acked = 0;
        for (at, op) in self.log.iter().enumerate() {
            disk.step(op);
            if let Op::Mark(sale) = op {
                acked = usize::try_from(*sale).map_or(0, |sale| sale + 1);
            }
            if at % stride != 0 {
                continue;
            }
            for (survival, started) in SURVIVALS.into_iter().zip(&mut started) {
                let draws = match survival {
                    Survival::Nothing | Survival::All => 1,
                    Survival::Prefix | Survival::Sectors | Survival::Garbage => DRAWS,
                };
                for _ in 0..draws {
                    let built = figures.get("states");
                    if budget.is_spent(built) {
                        return figures;
                    }
                    let mut state = disk.state(survival, &mut rng);
                    let (whole, ledger) = fingerprints(&state);
                    if !seen.insert((whole, acked)) {
                        continue;
                    }
                    figures.add("states", 1);
                    let through_the_door = (built + 1).is_multiple_of(depth.door_every);
                    if !read.insert((ledger, acked)) && !through_the_door {
                        continue;
                    }
                    if !through_the_door {
                        state.files.retain(|name, _| name.starts_with(LEDGER));
                    }
                    // The first of each way to survive is drained.
                    let drain = through_the_door && started.is_multiple_of(depth.drain_every);
                    *started += u64::from(through_the_door);
                    let nth = read.len() as u64;
                    let verify = nth.is_multiple_of(depth.verify_every);
                    let job = Job {
                        state,
                        acked,
                        open: verify || through_the_door || nth.is_multiple_of(depth.open_every),
                        verify,
                        through_the_door,
                        drain,
                        label: format!("after operation {at}, {survival:?}, {acked} acknowledged"),
                    };
                    if send.send(job).is_err() {
                        return figures;
                    }
                }
            }
        }
        figures
    }
}

/// Names of the ledger's files begin so.
const LEDGER: &str = "ledger.db";

/// Tells states apart by all their files, and by those of the ledger alone. It is asked for every state, so it is fast
/// and not strong: two states that it takes for one are looked at once.
fn fingerprints(state: &Snapshot) -> (u64, u64) {
    let (mut all, mut ledger) = (0, 0);
    for (name, bytes) in &state.files {
        let of_file = mixed(mixed(1, name.as_bytes()), bytes);
        all = mixed(all, &of_file.to_le_bytes());
        if name.starts_with(LEDGER) {
            ledger = mixed(ledger, &of_file.to_le_bytes());
        }
    }
    (all, ledger)
}

fn mixed(start: u64, bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut sums = [start.wrapping_add(bytes.len() as u64), 2, 3, 4];
    let (blocks, rest) = bytes.as_chunks::<32>();
    let mut last = [0; 32];
    last[..rest.len()].copy_from_slice(rest);
    for block in blocks.iter().chain([&last]) {
        for (sum, word) in sums.iter_mut().zip(block.as_chunks::<8>().0) {
            *sum = (*sum ^ u64::from_le_bytes(*word))
                .wrapping_mul(FACTOR)
                .rotate_left(29);
        }
    }
    let [first, rest @ ..] = sums;
    rest.iter().fold(first, |all, sum| {
        (all.rotate_left(17) ^ sum).wrapping_mul(FACTOR)
    })
}

/// Records runs with new seeds and cuts the power in each, until the budget is spent.
///
/// # Errors
/// The first violation, with the seed that repeats it.
pub fn run(budget: &Budget, first_seed: u64, depth: Depth) -> Result<Figures> {
    let mut figures = Figures::default();
    let mut seed = first_seed;
    while !budget.is_spent(figures.get("states")) {
        let recording = record(Durability::Full, 25, seed)?;
        let left = Budget {
            rounds: budget
                .rounds
                .map(|rounds| rounds.saturating_sub(figures.get("states"))),
            ..budget.clone()
        };
        let (found, first) = recording.cut(&left, seed, 1, depth)?;
        figures.take(&found);
        if let Some(first) = first {
            bail!("seed {seed}: {first} ({figures})");
        }
        seed += 1;
    }
    Ok(figures)
}
