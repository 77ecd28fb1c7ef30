//! `make torture`: the fault harnesses one after the other, until time is up. It says what it does on standard
//! error, prints figures, and exits with 1 at the first violation.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use support::faults::kill::{self, Protocol};
use support::faults::{Budget, Figures, disk, migration, power, rot};

/// Power cuts, failing disks, kills, flipped bits and interrupted migrations against a till.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Args)]
struct Run {
    /// When to stop.
    #[arg(long, default_value_t = 20)]
    minutes: u64,
    /// Rounds of each harness instead: states, kills, flips.
    #[arg(long)]
    rounds: Option<u64>,
    /// First seed; printed with every harness.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// The process that the kill harness kills.
    #[command(hide = true)]
    Till { folder: PathBuf, seed: u64 },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.task {
        Some(Task::Till { folder, seed }) => kill::sell(&folder, seed),
        None => torture(&arguments.run),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nowhere is left to say that standard error is closed.
            let _ = writeln!(std::io::stderr(), "torture: {error:#}");
            ExitCode::FAILURE
        }
    }
}

type Harness = fn(&Budget, u64) -> Result<Figures>;

/// Each harness and its share of the time, in hundredths.
const HARNESSES: [(&str, u32, Harness); 5] = [
    ("power cuts", 40, power::run),
    ("failing disk", 25, failing_disk),
    ("kills", 20, kills),
    ("bit rot", 10, bit_rot),
    ("interrupted migration", 5, interrupted_migration),
];

fn failing_disk(budget: &Budget, first_seed: u64) -> Result<Figures> {
    // A sweep is one round: it is whole only when every call had its fault.
    let mut figures = Figures::default();
    for seed in first_seed.. {
        if budget.is_spent(figures.get("sweeps")) {
            break;
        }
        // A bounded round shows that the harness works, on the file with the fewest calls.
        let (only, sales) = match budget.rounds {
            Some(_) => ("drafts.db-wal", 0),
            None => ("", 1 + seed % 4),
        };
        figures.take(&disk::sweep(only, sales, seed, &unbounded(budget))?);
        figures.add("sweeps", 1);
        if budget.rounds.is_some() {
            break;
        }
    }
    Ok(figures)
}

fn unbounded(budget: &Budget) -> Budget {
    Budget {
        rounds: None,
        ..budget.clone()
    }
}

fn kills(budget: &Budget, seed: u64) -> Result<Figures> {
    let program = std::env::current_exe()?;
    let figures = kill::run(&program, Protocol::SameId, budget, seed)?;
    if figures.get("doubled") > 0 {
        bail!("seed {seed}: a sale was doubled: {figures}");
    }
    Ok(figures)
}

fn bit_rot(budget: &Budget, seed: u64) -> Result<Figures> {
    let found = rot::flips(60, budget, seed)?;
    if let Some(table) = found.missed.keys().next() {
        bail!(
            "seed {seed}: a flip in {table} went unnoticed: {}",
            found.figures
        );
    }
    let mut figures = found.figures;
    figures.take(&rot::truncations(60)?);
    Ok(figures)
}

fn interrupted_migration(budget: &Budget, first_seed: u64) -> Result<Figures> {
    let mut figures = Figures::default();
    for seed in first_seed.. {
        let (samples, open_every) = match budget.rounds {
            Some(_) => (1, 40),
            None => (200, 4),
        };
        figures.take(&migration::sweep(
            samples,
            open_every,
            seed,
            &unbounded(budget),
        )?);
        figures.add("sweeps", 1);
        if budget.rounds.is_some() || budget.is_spent(0) {
            break;
        }
    }
    Ok(figures)
}

fn torture(run: &Run) -> Result<()> {
    let budget = Budget {
        rounds: run.rounds,
        ..Budget::default()
    };
    let stop = budget.stop.clone();
    // Ctrl-C ends the round under way; what was counted is still printed.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.store(true, Ordering::Relaxed);
        }
    });
    let started = Instant::now();
    let all = Duration::from_secs(run.minutes * 60);
    let mut until = started;
    for (name, share, harness) in HARNESSES {
        until += all * share / 100;
        let budget = Budget {
            until: run.rounds.is_none().then_some(until),
            ..budget.clone()
        };
        let began = Instant::now();
        let _ = writeln!(std::io::stderr(), "{name}, seed {} ...", run.seed);
        let figures = harness(&budget, run.seed)?;
        let seconds = began.elapsed().as_secs();
        writeln!(
            std::io::stdout(),
            "{name}: {figures}; seed {}, {seconds} s",
            run.seed
        )?;
    }
    // A violation would have ended it before.
    writeln!(
        std::io::stdout(),
        "no violation in {} s",
        started.elapsed().as_secs()
    )?;
    runtime.shutdown_background();
    Ok(())
}
