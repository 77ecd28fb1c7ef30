//! The interrupted migration: a file of the first format with two thousand sales is brought to today's, and the
//! process or the power ends at every step of it. What is found is the old schema or the new one.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use ledger::{Ledger, OpenOptions};
use rusqlite::{Connection, OpenFlags};
use testkit::disk::crash::{CrashDisk, SURVIVALS};
use testkit::disk::{Fault, FaultKind, MemDisk, Op, Snapshot};
use testkit::rng::Rng;

use super::{Budget, Figures};

/// Written by the first release: five shifts, 2,000 sales, 20 reversals.
const FIRST_FORMAT: &[u8] = include_bytes!("../../faults/golden/format-1.db.zst");
/// Places within long runs of writes that are tried for each place within the copy.
const WRITES_PER_SAMPLE: u64 = 4;
/// Events in it.
const EVENTS: u64 = 2_032;

/// The old file, as a disk.
///
/// # Errors
/// When the golden file is damaged.
pub fn old_file() -> Result<Snapshot> {
    let bytes = zstd::decode_all(FIRST_FORMAT).context("the golden file")?;
    let files = BTreeMap::from([("ledger.db".to_owned(), bytes)]);
    Ok(Snapshot { files })
}

/// Format and schema, as SQLite sees them with the log.
fn schema(disk: &MemDisk) -> Result<(u32, Vec<String>)> {
    let conn = Connection::open_with_flags(
        disk.folder().join("ledger.db"),
        OpenFlags::SQLITE_OPEN_READ_WRITE,
    )?;
    let format = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut statement =
        conn.prepare("SELECT coalesce(sql, '') FROM sqlite_schema ORDER BY type, name")?;
    let sql = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok((format, sql))
}

struct Interrupted {
    disk: MemDisk,
    old: (u32, Vec<String>),
    new: (u32, Vec<String>),
    /// Every so many states are brought to today's format, which takes as long as all else.
    open_every: u64,
    checked: u64,
}

impl Interrupted {
    fn check(&mut self, left: &Snapshot, figures: &mut Figures) -> Result<()> {
        self.disk.restore(left);
        let found = schema(&self.disk)?;
        if found == self.old {
            figures.add("old", 1);
        } else if found == self.new {
            figures.add("new", 1);
        } else {
            bail!("format {} with the schema of another", found.0);
        }
        self.checked += 1;
        if !self.checked.is_multiple_of(self.open_every) {
            return Ok(());
        }
        let path = self.disk.folder().join("ledger.db");
        let ledger = Ledger::open(&path, &OpenOptions::default())?;
        ensure!(ledger.head().seq == EVENTS, "{} events", ledger.head().seq);
        drop(ledger);
        ensure!(
            schema(&self.disk)? == self.new,
            "it was not brought to today's format"
        );
        figures.add("finished", 1);
        Ok(())
    }

    fn verify(&self) -> Result<()> {
        let ledger = Ledger::open_read_only(&self.disk.folder().join("ledger.db"))?;
        let report = ledger.verify()?;
        ensure!(report.ok, "{:?}", report.first_bad);
        Ok(())
    }
}

/// Interrupts the migration by a failing disk at each call, and by a power cut after each operation, on the
/// ledger itself, but only some of a long run of writes; and at `samples` places of the copy that is made before.
/// Every `open_every`th of what is left is brought to today's format again. A round of the budget is a halt and a cut.
///
/// # Errors
/// The first violation.
pub fn sweep(samples: u64, open_every: u64, seed: u64, budget: &Budget) -> Result<Figures> {
    let mut figures = Figures::default();
    let base = old_file()?;
    let disk = MemDisk::new(seed);
    disk.restore(&base);
    let old = schema(&disk)?;
    let path = disk.folder().join("ledger.db");
    let start = disk.snapshot();
    disk.record();
    drop(Ledger::open(&path, &OpenOptions::default())?);
    let log = disk.recorded();
    let new = schema(&disk)?;
    ensure!(old.0 == 1 && new.0 > 1, "formats {} and {}", old.0, new.0);
    let mut interrupted = Interrupted {
        disk,
        old,
        new,
        open_every,
        checked: 0,
    };
    interrupted.verify()?;
    // Calls that the last operation of the copy comes after.
    let copied = log
        .iter()
        .rposition(|op| name(op).is_some_and(|name| name.contains(".format-")))
        .context("a copy is made")?;
    // Of a statement that writes thousands of pages one after the other some are tried, of everything else all.
    let is_write = |at: usize| log.get(at).is_some_and(|op| matches!(op, Op::Write(..)));
    let stride = ((log.len() - copied) / usize::try_from(samples * WRITES_PER_SAMPLE)?).max(1);
    let is_tried = |at: usize| {
        let in_a_row = at > copied && is_write(at - 1) && is_write(at) && is_write(at + 1);
        !in_a_row || at.is_multiple_of(stride)
    };
    let mut rng = Rng::new(seed);
    let early = (0..samples).map(|_| rng.below(copied as u64));
    let mut places: Vec<u64> = early.collect();
    let late = (copied..=log.len()).filter(|at| is_tried(*at));
    places.extend(late.map(|at| at as u64));
    for at in places {
        if budget.is_spent(figures.get("halts")) {
            break;
        }
        interrupted.disk.restore(&base);
        interrupted.disk.fail(Fault {
            kind: FaultKind::Halt,
            at,
            sticky: true,
            only: "",
        });
        let opened = Ledger::open(
            &interrupted.disk.folder().join("ledger.db"),
            &OpenOptions::default(),
        );
        let left = interrupted.disk.snapshot();
        drop(opened);
        figures.add("halts", u64::from(interrupted.disk.heal() > 0));
        interrupted
            .check(&left, &mut figures)
            .with_context(|| format!("halted at call {at}"))?;
    }
    let mut crash = CrashDisk::new(&start);
    for (at, op) in log.iter().enumerate() {
        crash.step(op);
        if (at <= copied && rng.below(copied as u64) >= samples) || !is_tried(at) {
            continue;
        }
        for survival in SURVIVALS {
            if budget.is_spent(figures.get("cuts")) {
                return Ok(figures);
            }
            figures.add("cuts", 1);
            interrupted
                .check(&crash.state(survival, &mut rng), &mut figures)
                .with_context(|| format!("seed {seed}, cut after operation {at}, {survival:?}"))?;
        }
    }
    // The last one, finished and added up sale by sale.
    drop(Ledger::open(
        &interrupted.disk.folder().join("ledger.db"),
        &OpenOptions::default(),
    )?);
    interrupted.verify()?;
    Ok(figures)
}

/// Ends the process at every `stride`th statement of the migration, and interrupts it there. Every `open_every`th of
/// what is left is brought to today's format again.
///
/// # Errors
/// The first violation.
pub fn statements(stride: usize, open_every: u64, budget: &Budget) -> Result<Figures> {
    let mut figures = Figures::default();
    let base = old_file()?;
    let disk = MemDisk::new(1);
    disk.restore(&base);
    let old = schema(&disk)?;
    let path = disk.folder().join("ledger.db");
    disk.trace();
    drop(Ledger::open(&path, &OpenOptions::default())?);
    let traced = disk.traced();
    let new = schema(&disk)?;
    let mut interrupted = Interrupted {
        disk,
        old,
        new,
        open_every,
        checked: 0,
    };
    // The control: a part of a step that was not undone must be seen.
    let is_step = |text: &&String| text.contains("CREATE TABLE ") && !text.contains("IF NOT");
    let text = traced.iter().find(is_step);
    interrupted.disk.restore(&base);
    Connection::open(&path)?.execute_batch(text.context("a step")?)?;
    let left = interrupted.disk.snapshot();
    ensure!(
        interrupted.check(&left, &mut Figures::default()).is_err(),
        "half a step was taken for a whole one"
    );
    figures.add("statements_in_all", traced.len() as u64);
    for at in (0..traced.len()).step_by(stride) {
        for kind in [FaultKind::End, FaultKind::Abort] {
            if budget.is_spent(figures.get("statements")) {
                return Ok(figures);
            }
            interrupted.disk.restore(&base);
            interrupted.disk.fail(Fault {
                kind,
                at: at as u64,
                sticky: false,
                only: "",
            });
            let opened = Ledger::open(&path, &OpenOptions::default());
            let left = interrupted.disk.snapshot();
            figures.add("statements_refused", u64::from(opened.is_err()));
            drop(opened);
            figures.add("statements", u64::from(interrupted.disk.heal() > 0));
            interrupted
                .check(&left, &mut figures)
                .with_context(|| format!("{kind:?} at statement {at}: {:?}", traced.get(at)))?;
        }
    }
    Ok(figures)
}

fn name(op: &Op) -> Option<&str> {
    match op {
        Op::Create(name)
        | Op::Write(name, ..)
        | Op::Truncate(name, _)
        | Op::Sync(name, _)
        | Op::Delete(name, _) => Some(name),
        Op::Mark(_) => None,
    }
}
