//! The power cut: a till sells on a recorded disk, and every state that a cut after any operation could leave
//! is opened and held to the history that was acknowledged.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::{Context as _, Result, bail};
use domain::entropy::Entropy;
use domain::event::TenderKind;
use domain::ids::{Digest, RequestId};
use domain::time::{Boot, Now};
use ledger::{Durability, Ledger, OpenOptions};
use testkit::disk::crash::{CrashDisk, SURVIVALS, Survival};
use testkit::disk::{MemDisk, Op, Snapshot};
use testkit::rng::Rng;
use testkit::shop::{BALL_UPC, SHOE_43_EAN, SOCKS, START_WALL_MS, Setup, TEE, tender};
use till::door::{Answer, Command, Request};
use till::{Context, Till};

use super::{Budget, Figures};

/// Every so many states the whole ledger is recomputed; the others are opened, and their end compared.
const VERIFY_EVERY: u64 = 5;
/// Every so many states the till itself is started and sells on.
const DOOR_EVERY: u64 = 40;
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
    let mut shop = setup.on_disk().with_options(options).build();
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
    verify: bool,
    through_the_door: bool,
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
        let known = usize::try_from(head.seq)
            .ok()
            .and_then(|seq| self.hashes.get(seq));
        if known != Some(&head.hash) {
            return broken(&format!("event {} is not of this history", head.seq));
        }
        let wanted = self.seq_after(job.acked);
        if head.seq < wanted {
            return Finding::Lost(wanted - head.seq);
        }
        let one_more = self.seq_after((job.acked + 1).min(self.acked.len()));
        if head.seq > one_more {
            return broken(&format!(
                "{} events after the last answer",
                head.seq - wanted
            ));
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

    /// Starts the till on it: the last answers are given again, the request that was under way is repeated,
    /// and another sale follows.
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
        if let Some(next) = self.acked.get(job.acked) {
            let was_there = before >= next.seq;
            let again = till.handle(&next.request, context());
            if was_there && serde_json::to_string(&again)? != next.answer {
                bail!("the sale is there and answered otherwise: {again:?}");
            }
            if events(&till) > before + u64::from(!was_there) + 1 {
                bail!("the repeated request wrote twice");
            }
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
    ) -> Result<(Figures, Option<String>)> {
        let figures = Mutex::new((Figures::default(), None::<String>));
        let (send, receive) = sync_channel::<Job>(16);
        let receive = Mutex::new(receive);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| self.work(&receive, &figures));
            }
            self.build(budget, seed, stride, &send);
            drop(send);
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
            shared.0.add("states", 1);
            shared
                .0
                .add("through_the_door", u64::from(job.through_the_door));
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

    fn build(&self, budget: &Budget, seed: u64, stride: usize, send: &SyncSender<Job>) {
        let mut rng = Rng::new(seed);
        let mut disk = CrashDisk::new(&self.start);
        let mut seen = HashSet::new();
        let mut acked = 0;
        let mut built = 0;
        for (at, op) in self.log.iter().enumerate() {
            disk.step(op);
            if let Op::Mark(sale) = op {
                acked = usize::try_from(*sale).map_or(0, |sale| sale + 1);
            }
            if at % stride != 0 {
                continue;
            }
            for survival in SURVIVALS {
                let draws = match survival {
                    Survival::Nothing | Survival::All => 1,
                    Survival::Prefix | Survival::Sectors | Survival::Garbage => DRAWS,
                };
                for _ in 0..draws {
                    if budget.is_spent(built) {
                        return;
                    }
                    let state = disk.state(survival, &mut rng);
                    let mut hasher = DefaultHasher::new();
                    state.files.hash(&mut hasher);
                    acked.hash(&mut hasher);
                    if !seen.insert(hasher.finish()) {
                        continue;
                    }
                    built += 1;
                    let job = Job {
                        state,
                        acked,
                        verify: built % VERIFY_EVERY == 0,
                        through_the_door: built % DOOR_EVERY == 0,
                        label: format!("after operation {at}, {survival:?}, {acked} acknowledged"),
                    };
                    if send.send(job).is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// Records runs with new seeds and cuts the power in each, until the budget is spent.
///
/// # Errors
/// The first violation, with the seed that repeats it.
pub fn run(budget: &Budget, first_seed: u64) -> Result<Figures> {
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
        let (found, first) = recording.cut(&left, seed, 1)?;
        figures.take(&found);
        if let Some(first) = first {
            bail!("seed {seed}: {first} ({figures})");
        }
        seed += 1;
    }
    Ok(figures)
}
