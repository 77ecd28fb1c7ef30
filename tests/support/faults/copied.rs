//! The copied folder: while `hanout-till serve` sells, its data folder is copied at a random moment. The copy is put
//! back later, or starts as a second till, or is cut short before it does. Everybody sells on and drains into one
//! server: what was acknowledged is booked once, and no two receipts have one number.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use domain::config::Role;
use domain::entropy::Entropy;
use domain::event::TenderKind;
use domain::ids::RequestId;
use ledger::Ledger;
use testkit::rng::Rng;
use testkit::shop::tender;
use testkit::wait::wait_until;
use till::door::{Answer, Command, Enrolment, NoticeReason, Reply, Request, Status, SyncState};

use super::served::{self, PATIENCE, Served, signal};
use super::{Budget, Figures};
use crate::groceries;
use crate::office::Office;
use crate::world::{CASHIER_PIN, MARSA, pieces};

/// What becomes of the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The till's own folder is taken back to it.
    Restored,
    /// It starts beside the till that it was copied from.
    Cloned,
    /// As restored, with the log of what was written last cut short.
    Truncated,
    /// The control: the witness goes back with the folder, and the server is out of reach. Nobody can notice.
    SetBack,
}

const FATES: [Fate; 3] = [Fate::Restored, Fate::Cloned, Fate::Truncated];

/// What customers hold in their hands.
#[derive(Default)]
struct Acknowledged {
    numbers: Vec<String>,
    minor: i64,
}

impl Acknowledged {
    /// Their numbers, of which no two are one.
    fn distinct(&self) -> Result<BTreeSet<&String>> {
        let distinct: BTreeSet<&String> = self.numbers.iter().collect();
        ensure!(
            distinct.len() == self.numbers.len(),
            "a number twice: {:?}",
            self.numbers
        );
        Ok(distinct)
    }
}

struct Round<'a> {
    program: &'a Path,
    folder: &'a Path,
    rng: Rng,
    acknowledged: Acknowledged,
}

fn status(till: &mut Served) -> Result<Status> {
    match till.ok(Command::Status {})? {
        Reply::Status(status) => Ok(*status),
        other => bail!("{other:?}"),
    }
}

fn when(till: &mut Served, what: &str, test: impl Fn(&Status) -> bool) -> Result<Status> {
    wait_until(PATIENCE, what, || match status(till) {
        Ok(status) if !test(&status) => None,
        other => Some(other),
    })
}

fn drained(till: &mut Served) -> Result<Status> {
    when(till, "an empty outbox", |status| {
        status.sync.unsynced == 0 && status.sync.state == SyncState::Online
    })
}

/// As a tool that copies a folder in use does: what goes away meanwhile is not in the copy.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let is_folder = match entry.file_type() {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            kind => kind?.is_dir(),
        };
        if is_folder {
            copy(&entry.path(), &target)?;
            continue;
        }
        match std::fs::copy(entry.path(), target) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            done => {
                done?;
            }
        }
    }
    Ok(())
}

fn verify(data: &Path) -> Result<()> {
    let report = Ledger::open_read_only(&data.join("ledger.db"))?.verify()?;
    ensure!(report.ok, "{:?}", report.first_bad);
    Ok(())
}

impl Round<'_> {
    fn witness(&self, data: &Path) -> Result<PathBuf> {
        let name = data.file_name().context("a folder")?;
        Ok(self.folder.join(format!("witness-{}", name.display())))
    }

    fn start(&self, data: &Path, enrol: Option<(&str, &str)>) -> Result<Served> {
        let mut command = served::program(self.program, data, &self.witness(data)?);
        if let Some((server, code)) = enrol {
            command.args(["--server", server, "--code", code]);
        }
        let mut till = Served::start(command)?;
        till.ready()?;
        Ok(till)
    }

    fn open(till: &mut Served) -> Result<()> {
        when(till, "a till that can sell", |status| {
            status.enrolment == Enrolment::Enrolled && status.ready
        })?;
        Round::sign_in(till)?;
        till.ok(Command::OpenShift {
            drawer: None,
            count: pieces(50_000, MARSA.currency)?,
            approval: None,
        })?;
        Ok(())
    }

    fn sign_in(till: &mut Served) -> Result<()> {
        let Reply::Users { users } = till.ok(Command::ListUsers {})? else {
            bail!("no list of staff")
        };
        let cashier = users.iter().find(|user| user.role == Role::Cashier);
        till.ok(Command::SignIn {
            user: cashier.context("a cashier")?.user,
            pin: CASHIER_PIN.to_owned(),
        })?;
        Ok(())
    }

    /// Fills a cart; the request that sells it.
    fn fill(&mut self, till: &mut Served) -> Result<Request> {
        let code = groceries::gtin(self.rng.below(4) as usize);
        let Reply::Cart(cart) = till.ok(Command::ScanCode { code })? else {
            bail!("a scan answers with the cart")
        };
        let mut entropy = Entropy::new(self.rng.bytes());
        Ok(Request {
            id: RequestId(entropy.next_uuid(0)),
            command: Command::Complete {
                sale: cart.sale,
                tenders: vec![tender(TenderKind::Cash, None)],
                approval: None,
            },
        })
    }

    fn take(&mut self, answer: Answer) -> Result<()> {
        let Answer::Ok(Reply::Completed(done)) = answer else {
            bail!("a sale was refused: {answer:?}")
        };
        self.acknowledged.minor += done.total_minor;
        self.acknowledged.numbers.push(done.number);
        Ok(())
    }

    fn sell(&mut self, till: &mut Served, sales: u64) -> Result<()> {
        for _ in 0..sales {
            let request = self.fill(till)?;
            till.send(&request)?;
            let answer = till.read()?;
            self.take(answer)?;
        }
        Ok(())
    }

    fn play(&mut self, office: &mut Office, fate: Fate, figures: &mut Figures) -> Result<()> {
        let (data, kept) = (self.folder.join("till"), self.folder.join("kept"));
        let (server, code) = (office.url()?, office.code()?);
        let mut till = self.start(&data, Some((&server, &code)))?;
        Round::open(&mut till)?;
        let sales = 1 + self.rng.below(4);
        self.sell(&mut till, sales)?;
        // The copy falls anywhere into a sale: the process stands still while it is made, and goes on.
        let request = self.fill(&mut till)?;
        till.send(&request)?;
        std::thread::park_timeout(Duration::from_micros(self.rng.below(4_000)));
        signal(till.process(), "STOP")?;
        let (witness, kept_witness) = (self.witness(&data)?, self.folder.join("kept-witness"));
        let copied = copy(&data, &kept).and_then(|()| copy(&witness, &kept_witness));
        signal(till.process(), "CONT")?;
        copied?;
        let answer = till.read()?;
        self.take(answer)?;
        let more = 1 + self.rng.below(3);
        self.sell(&mut till, more)?;
        // What only a folder that is thrown away held is gone; so the server has it before.
        drained(&mut till)?;
        let mut second = match fate {
            Fate::Cloned => {
                let other = self.folder.join("second");
                std::fs::rename(&kept, &other)?;
                Some(other)
            }
            Fate::SetBack => {
                till.kill()?;
                office.stop();
                // Over what is there: the files keep the numbers that the witness knows them by.
                copy(&kept, &data)?;
                copy(&kept_witness, &witness)?;
                till = self.start(&data, None)?;
                None
            }
            Fate::Restored | Fate::Truncated => {
                till.kill()?;
                std::fs::remove_dir_all(&data)?;
                std::fs::rename(&kept, &data)?;
                if fate == Fate::Truncated {
                    self.cut(&data)?;
                }
                till = self.start(&data, None)?;
                None
            }
        }
        .map(|folder| Ok::<_, anyhow::Error>((self.start(&folder, None)?, folder)))
        .transpose()?;
        let behind = second.as_mut().map_or(&mut till, |(second, _)| second);
        let is_gone = |status: &Status| {
            let notice = status.notice.as_ref();
            notice.is_some_and(|notice| notice.reason == NoticeReason::LedgerMissing)
        };
        let told = when(behind, "a notice for the manager", |status| {
            (status.notice.is_some() || fate == Fate::SetBack) && (status.ready || is_gone(status))
        })?;
        figures.add("noticed", u64::from(told.notice.is_some()));
        // A log that was cut may have held all of the till's rows, which come again, and the shift; or even the way to
        // the server, and then the till is enrolled anew.
        if is_gone(&told) {
            ensure!(fate == Fate::Truncated, "a ledger is gone: {told:?}");
            figures.add("enrolled_anew", 1);
            let (server, code) = (office.url()?, office.code()?);
            behind.ok(Command::Enrol { server, code })?;
            Round::open(behind)?;
        } else if told.shift.is_some() {
            Round::sign_in(behind)?;
        } else {
            figures.add("shifts_lost", 1);
            Round::open(behind)?;
        }
        let sales = 1 + self.rng.below(3);
        self.sell(behind, sales)?;
        self.acknowledged.distinct()?;
        drained(behind)?;
        if second.is_some() {
            self.sell(&mut till, sales)?;
            drained(&mut till)?;
        }
        till.stop()?;
        verify(&data)?;
        if let Some((second, folder)) = second {
            second.stop()?;
            verify(&folder)?;
        }
        let wanted = (
            self.acknowledged.numbers.len() as u64,
            self.acknowledged.minor,
        );
        let booked = office.booked()?;
        ensure!(
            booked == wanted,
            "booked {booked:?}, acknowledged {wanted:?}"
        );
        let distinct = self.acknowledged.distinct()?;
        // LM-01-series-number: of the copy's receipts some are of another series.
        let series: BTreeSet<&str> = distinct
            .iter()
            .filter_map(|number| number.rsplit_once('-'))
            .map(|(series, _)| series)
            .collect();
        ensure!(series.len() > 1, "one series: {series:?}");
        let report = office.hub.verify()?;
        ensure!(report.first_bad.is_none(), "{:?}", report.first_bad);
        figures.add("acknowledged", wanted.0);
        Ok(())
    }

    /// Cuts the log to a random part of it.
    fn cut(&mut self, data: &Path) -> Result<()> {
        let log: PathBuf = data.join("ledger.db-wal");
        if let Ok(found) = std::fs::metadata(&log) {
            let left = self.rng.below(found.len() + 1);
            std::fs::OpenOptions::new()
                .write(true)
                .open(&log)?
                .set_len(left)?;
        }
        Ok(())
    }
}

fn round(program: &Path, fate: Fate, copies: u64, seed: u64, figures: &mut Figures) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut office = Office::start(folder.path())?;
    let mut round = Round {
        program,
        folder: folder.path(),
        rng: Rng::new(seed ^ (copies << 20)),
        acknowledged: Acknowledged::default(),
    };
    round
        .play(&mut office, fate, figures)
        .with_context(|| format!("seed {seed}, copy {copies}, {fate:?}"))
}

/// Plays copies that are restored, cloned and cut in turn, until the budget is spent.
///
/// # Errors
/// The first violation, with what repeats it.
pub fn run(program: &Path, budget: &Budget, seed: u64) -> Result<Figures> {
    let mut figures = Figures::default();
    while !budget.is_spent(figures.get("copies")) {
        let copies = figures.get("copies");
        let fate = FATES[(copies % 3) as usize];
        round(program, fate, copies, seed, &mut figures)?;
        figures.add("copies", 1);
    }
    Ok(figures)
}

/// The control: a machine that is set back, witness and all, and hears of no server gives a number twice.
///
/// # Errors
/// It must return the violation.
pub fn set_back(program: &Path, seed: u64) -> Result<Figures> {
    let mut figures = Figures::default();
    round(program, Fate::SetBack, 0, seed, &mut figures)?;
    Ok(figures)
}
