//! The failing disk: no room, failed writes, failed syncs and a sudden end at every call, over a small day.
//! After each the till starts again from what is on the disk, and the day is finished.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use domain::event::{Fact, TenderKind};
use testkit::disk::{Fault, FaultKind, Snapshot};
use testkit::rng::Rng;
use testkit::shop::{
    BALL_UPC, CASHIER, CASHIER_PIN, Country, SOCKS, Setup, Shop, approval, pieces, tender,
};
use till::OpenTillError;
use till::door::{Answer, Command, RefusalCode, Reply, Request};

use super::drained::{Center, Sold};
use super::{Budget, Figures};

/// Faults of one thread and of the other.
const KINDS: [&[FaultKind]; 2] = [
    &[FaultKind::Full, FaultKind::Sync],
    &[FaultKind::Write, FaultKind::Halt],
];

/// In `make test` the outbox is drained into a server after the first fault of a kind and then every so many.
pub const DRAIN_SOME: u64 = 32;
/// The same in torture.
pub const DRAIN_MANY: u64 = 8;

/// A request that writes a fact, and its answer if one was given.
struct Tried {
    request: Request,
    answer: Option<String>,
}

struct Day {
    shop: Shop,
    center: Center,
    /// Days finished after a fault of this kind.
    recovered: u64,
    drain_every: u64,
    tried: Vec<Tried>,
    /// After a failure the cashier presses again: the same request, or a new one.
    same_id: bool,
}

fn is_storage(answer: &Answer) -> bool {
    matches!(answer, Answer::Refused(refusal) if refusal.code == RefusalCode::StorageFailed)
}

impl Day {
    /// Sends a command that changes nothing in the journal.
    fn ask(&mut self, command: Command) -> Option<Reply> {
        match self.shop.call(command) {
            Answer::Ok(reply) => Some(reply),
            Answer::Refused(_) => None,
        }
    }

    /// Sends a command that writes a fact, and once more after a failure of the storage.
    fn write(&mut self, command: Command) {
        for _ in 0..2 {
            let id = match self.tried.last() {
                Some(last)
                    if self.same_id
                        && last.answer.is_none()
                        && format!("{:?}", last.request.command) == format!("{command:?}") =>
                {
                    last.request.id
                }
                _ => self.shop.request_id(),
            };
            let answer = self.shop.call_as(id, command.clone());
            let failed = is_storage(&answer);
            let text = serde_json::to_string(&answer).expect("plain data");
            let request = Request {
                id,
                command: command.clone(),
            };
            if self.tried.last().is_some_and(|last| last.request.id == id) {
                self.tried.pop();
            }
            self.tried.push(Tried {
                request,
                answer: (!failed).then_some(text),
            });
            if !failed {
                return;
            }
        }
    }

    fn sign_in(&mut self) {
        self.ask(Command::SignIn {
            user: CASHIER,
            pin: CASHIER_PIN.to_owned(),
        });
    }

    fn open(&mut self) {
        self.write(Command::OpenShift {
            count: pieces(Country::Tunisia, 100_000),
            approval: None,
            drawer: None,
        });
    }

    fn sell(&mut self) {
        for code in [BALL_UPC, SOCKS] {
            self.ask(Command::ScanCode {
                code: code.to_owned(),
            });
        }
        if let Some(Reply::Cart(cart)) = self.ask(Command::GetCart {}) {
            self.write(Command::Complete {
                sale: cart.sale,
                tenders: vec![tender(TenderKind::Cash, None)],
                approval: None,
            });
        }
    }

    fn close(&mut self) {
        if let Some(Reply::Report(report)) = self.ask(Command::XReport {
            print: false,
            approval: Some(approval()),
        }) {
            self.write(Command::CloseShift {
                count: pieces(Country::Tunisia, report.expected_minor),
                approval: Some(approval()),
            });
        }
    }

    /// Sells once with a shift open; the fault strikes from the end of the sale on, when it is paid.
    fn pay(&mut self, fault: Fault) {
        self.sign_in();
        for code in [BALL_UPC, SOCKS] {
            self.ask(Command::ScanCode {
                code: code.to_owned(),
            });
        }
        if let Some(Reply::Cart(cart)) = self.ask(Command::GetCart {}) {
            self.shop.disk().fail(fault);
            self.write(Command::Complete {
                sale: cart.sale,
                tenders: vec![tender(TenderKind::Cash, None)],
                approval: None,
            });
        }
    }

    fn whole(&mut self, sales: u64) {
        self.sign_in();
        self.open();
        for _ in 0..sales {
            self.sell();
        }
        self.close();
    }

    /// Sales in the journal.
    fn sales(&self) -> Result<u64> {
        let mut ids = BTreeSet::new();
        let mut count = 0;
        for fact in self.shop.facts() {
            if let Fact::SaleCompleted(sale) = fact {
                ids.insert(sale.sale);
                count += 1;
            }
        }
        ensure!(ids.len() as u64 == count, "a sale is there twice");
        Ok(count)
    }

    /// Opens the till. A process that another harness starts beside this one holds a copy of the folder's lock between
    /// its fork and its exec, so a folder in use is tried again.
    fn start(&mut self) -> Result<(), OpenTillError> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match self.shop.try_open() {
                Err(OpenTillError::InUse { .. }) if Instant::now() < deadline => {
                    std::thread::yield_now();
                }
                opened => return opened,
            }
        }
    }

    /// Starts the till on what the disk holds, holds it to its answers, and finishes the day.
    fn recover(&mut self, left: &Snapshot, figures: &mut Figures) -> Result<()> {
        self.shop.disk().restore(left);
        self.start().context("the till does not open")?;
        let at_start = self.sales()?;
        let is_sale = |tried: &&Tried| matches!(tried.request.command, Command::Complete { .. });
        let answered = self
            .tried
            .iter()
            .filter(is_sale)
            .filter(|tried| {
                tried
                    .answer
                    .as_ref()
                    .is_some_and(|text| text.contains("\"ok\""))
            })
            .count() as u64;
        let open = self
            .tried
            .iter()
            .filter(is_sale)
            .filter(|tried| tried.answer.is_none());
        let open: BTreeSet<String> = open
            .map(|tried| format!("{:?}", tried.request.command))
            .collect();
        ensure!(
            at_start >= answered,
            "{at_start} sales of {answered} acknowledged"
        );
        ensure!(
            at_start <= answered + open.len() as u64,
            "{at_start} sales, {answered} acknowledged, {} in doubt",
            open.len()
        );
        let mut sold = Vec::new();
        for tried in std::mem::take(&mut self.tried) {
            let id = tried.request.id;
            let there = self.shop.ledger().answer(id)?.is_some();
            let again = self.shop.call_as(id, tried.request.command.clone());
            sold.extend(Sold::of(&again));
            match tried.answer {
                Some(answer) => {
                    let again = serde_json::to_string(&again)?;
                    if answer.starts_with("{\"ok\"") {
                        ensure!(again == answer, "{answer} became {again}");
                    } else {
                        // A refusal is kept in the drafts, which may have been out of order: it costs nothing.
                        figures.add("refusals_forgotten", u64::from(again != answer));
                    }
                }
                None => {
                    ensure!(!is_storage(&again), "a healthy disk is refused");
                    figures.add("ghosts", u64::from(there));
                    ensure!(!there || matches!(again, Answer::Ok(_)), "{again:?}");
                }
            }
        }
        // A shift may be open or not by now; the day ends well either way.
        self.sign_in();
        if self
            .ask(Command::XReport {
                print: false,
                approval: Some(approval()),
            })
            .is_none()
        {
            self.open();
        }
        let before = self.sales()?;
        self.sell();
        self.close();
        ensure!(
            self.tried.iter().all(|tried| tried
                .answer
                .as_ref()
                .is_some_and(|text| text.starts_with("{\"ok\""))),
            "the day cannot be finished: {:?}",
            self.tried
                .iter()
                .map(|tried| &tried.answer)
                .collect::<Vec<_>>()
        );
        ensure!(self.sales()? == before + 1, "one more was sold");
        let report = self.shop.ledger().verify()?;
        ensure!(report.ok, "{:?}", report.first_bad);
        let drain = self.recovered.is_multiple_of(self.drain_every);
        self.recovered += 1;
        if drain {
            for answer in self.tried.iter().filter_map(|tried| tried.answer.as_ref()) {
                sold.extend(Sold::of(&serde_json::from_str(answer)?));
            }
            let now = self.shop.now();
            self.center
                .drain(self.shop.till_mut(), now, &sold, true)
                .context("the outbox")?;
            figures.add("drained", 1);
        }
        Ok(())
    }
}

fn kinds(
    kinds: &[FaultKind],
    only: &'static str,
    sales: u64,
    seed: u64,
    drain_every: u64,
    budget: &Budget,
) -> Result<Figures> {
    let mut figures = Figures::default();
    let (center, mut shop) = Center::with(Setup {
        seed: seed.to_le_bytes()[0],
        ..Setup::tunisia().on_disk()
    })?;
    shop.close_till();
    let base = shop.disk().snapshot();
    let mut rng = Rng::new(seed);
    let mut day = Day {
        shop,
        center,
        recovered: 0,
        drain_every,
        tried: Vec::new(),
        same_id: true,
    };
    for &kind in kinds {
        let lasting: &[bool] = if kind == FaultKind::Halt {
            &[true]
        } else {
            &[false, true]
        };
        for &sticky in lasting {
            day.recovered = 0;
            for at in 0.. {
                if budget.is_spent(figures.get("faults")) {
                    return Ok(figures);
                }
                day.shop.disk().restore(&base);
                day.start()?;
                day.tried.clear();
                day.same_id = rng.chance(50);
                day.shop.disk().fail(Fault {
                    kind,
                    at,
                    sticky,
                    only,
                });
                day.whole(sales);
                // The end of the process: nothing that closing would write is kept.
                let left = day.shop.disk().snapshot();
                day.shop.close_till();
                if day.shop.disk().heal() == 0 {
                    break;
                }
                figures.add("faults", 1);
                let undone = day
                    .tried
                    .iter()
                    .filter(|tried| tried.answer.is_none())
                    .count();
                figures.add("refused", u64::from(undone > 0));
                if let Err(error) = day.recover(&left, &mut figures) {
                    bail!("seed {seed}, {kind:?} at call {at}, sticky {sticky}: {error:#}");
                }
                day.shop.close_till();
            }
        }
    }
    Ok(figures)
}

/// Every fault at every call of a day with `sales` sales, on files whose names begin with `only`. A round of the
/// budget is a fault of each of the two threads.
///
/// # Errors
/// The first violation, with what repeats it.
pub fn sweep(
    only: &'static str,
    sales: u64,
    seed: u64,
    drain_every: u64,
    budget: &Budget,
) -> Result<Figures> {
    let mut figures = Figures::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = KINDS
            .iter()
            .map(|of| scope.spawn(move || kinds(of, only, sales, seed, drain_every, budget)))
            .collect();
        for thread in threads {
            let found = thread
                .join()
                .map_err(|_| anyhow::anyhow!("the till panicked, seed {seed}"))??;
            figures.take(&found);
        }
        Ok(figures)
    })
}

/// Ends the process at each statement with which a sale is paid, and interrupts each, once and from there on. The
/// statements of other files than the ledger's count as well. A round of the budget is a fault.
///
/// # Errors
/// The first violation, with what repeats it.
pub fn statements(seed: u64, drain_every: u64, budget: &Budget) -> Result<Figures> {
    let mut figures = Figures::default();
    let (center, mut shop) = Center::with(Setup {
        seed: seed.to_le_bytes()[0],
        ..Setup::tunisia().on_disk()
    })?;
    shop.open();
    shop.close_till();
    let base = shop.disk().snapshot();
    let mut rng = Rng::new(seed);
    let mut day = Day {
        shop,
        center,
        recovered: 0,
        drain_every,
        tried: Vec::new(),
        same_id: true,
    };
    for (kind, sticky) in [
        (FaultKind::End, true),
        (FaultKind::Abort, false),
        (FaultKind::Abort, true),
    ] {
        day.recovered = 0;
        for at in 0.. {
            if budget.is_spent(figures.get("statements")) {
                return Ok(figures);
            }
            day.shop.disk().restore(&base);
            day.shop.try_open()?;
            day.tried.clear();
            day.same_id = rng.chance(50);
            day.pay(Fault {
                kind,
                at,
                sticky,
                only: "",
            });
            let left = day.shop.disk().snapshot();
            let struck = day.shop.disk().heal();
            day.shop.close_till();
            if struck == 0 {
                break;
            }
            figures.add("statements", 1);
            let undone = day.tried.iter().any(|tried| tried.answer.is_none());
            figures.add("refused", u64::from(undone));
            day.recover(&left, &mut figures).with_context(|| {
                format!("seed {seed}, {kind:?} at statement {at}, sticky {sticky}")
            })?;
            day.shop.close_till();
        }
    }
    Ok(figures)
}
