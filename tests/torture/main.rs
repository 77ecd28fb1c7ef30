//! `make torture`: the fault harnesses one after the other, until time is up. It says what it does on standard
//! error, prints a table of figures at its end, and exits with 1 at the first violation.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use support::faults::kill::{self, Protocol, Victim};
use support::faults::power::Depth;
use support::faults::{Budget, Figures, copied, disk, migration, power, rot};
use tokio::signal::unix::{SignalKind, signal};

/// Power cuts, failing disks, kills, flipped bits, interrupted migrations and random commands against a till.
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
    /// When to stop, for less than a minute.
    #[arg(long, conflicts_with = "minutes")]
    seconds: Option<u64>,
    /// Rounds of each harness instead: states, kills, flips, commands.
    #[arg(long)]
    rounds: Option<u64>,
    /// First seed; printed with every harness.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the harnesses with this in their name.
    #[arg(long)]
    only: Option<String>,
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
const HARNESSES: [(&str, u32, Harness); 8] = [
    ("power cuts", 43, power_cuts),
    ("failing disk", 6, failing_disk),
    ("kills", 20, kills),
    ("kills of the program", 11, kills_of_the_program),
    ("copied folders", 4, copied_folders),
    ("model", 6, model),
    ("bit rot", 5, bit_rot),
    ("interrupted migration", 5, interrupted_migration),
];

fn power_cuts(budget: &Budget, seed: u64) -> Result<Figures> {
    power::run(budget, seed, Depth::WIDE)
}

fn failing_disk(budget: &Budget, first_seed: u64) -> Result<Figures> {
    // A sweep is whole only when every call had its fault.
    let mut figures = Figures::default();
    for seed in first_seed.. {
        figures.take(&disk::sweep(
            "",
            1 + seed % 4,
            seed,
            disk::DRAIN_MANY,
            budget,
        )?);
        figures.take(&disk::statements(seed, disk::DRAIN_MANY, budget)?);
        figures.add("sweeps", 1);
        if budget.is_spent(figures.get("faults")) {
            break;
        }
    }
    Ok(figures)
}

fn killed(victim: Victim<'_>, budget: &Budget, seed: u64) -> Result<Figures> {
    let figures = kill::run(victim, Protocol::SameId, budget, seed)?;
    if figures.get("doubled") > 0 {
        bail!("seed {seed}: a sale was doubled: {figures}");
    }
    Ok(figures)
}

fn kills(budget: &Budget, seed: u64) -> Result<Figures> {
    let program = std::env::current_exe()?;
    killed(Victim::Pipes(&program), budget, seed)
}

fn kills_of_the_program(budget: &Budget, seed: u64) -> Result<Figures> {
    let program = std::env::current_exe()?.with_file_name("till-program");
    killed(Victim::Door(&program), budget, seed)
}

fn copied_folders(budget: &Budget, seed: u64) -> Result<Figures> {
    let program = std::env::current_exe()?.with_file_name("till-program");
    // A round starts a server and three tills.
    let budget = Budget {
        rounds: budget.rounds.map(|rounds| rounds.min(3)),
        ..budget.clone()
    };
    copied::run(&program, &budget, seed)
}

/// Commands of a sequence against the model.
const SEQUENCE: u64 = 1_000;

fn model(budget: &Budget, first_seed: u64) -> Result<Figures> {
    let mut figures = Figures::default();
    for seed in first_seed.. {
        let done = figures.get("commands");
        if budget.is_spent(done) {
            break;
        }
        let left = budget.rounds.map_or(SEQUENCE, |rounds| rounds - done);
        let length = usize::try_from(left.min(SEQUENCE))?;
        let summary = support::model::run(seed, length)?;
        figures.add("commands", summary.commands);
        figures.add("carried_out", summary.done.values().sum());
        figures.add("refused", summary.refused.values().sum());
        figures.add("events", summary.facts.values().sum());
        figures.add("sequences", 1);
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
    if !budget.is_stopped() {
        figures.take(&rot::truncations(60)?);
    }
    Ok(figures)
}

fn interrupted_migration(budget: &Budget, first_seed: u64) -> Result<Figures> {
    let mut figures = Figures::default();
    for seed in first_seed.. {
        figures.take(&migration::sweep(200, 4, seed, budget)?);
        figures.take(&migration::statements(1, 4, budget)?);
        figures.add("sweeps", 1);
        if budget.is_spent(figures.get("cuts")) {
            break;
        }
    }
    Ok(figures)
}

/// What was counted, one harness a row, for standard output.
#[derive(Default)]
struct Table(Vec<(String, u64, Figures)>);

impl Table {
    fn print(&self, seed: u64, seconds: u64, verdict: &str) -> std::io::Result<()> {
        let mut all = Figures::default();
        let mut text = format!(
            "\n{:<24}{:>8}  figures, from seed {seed} on\n",
            "harness", "seconds"
        );
        for (name, seconds, figures) in &self.0 {
            text.push_str(&format!("{name:<24}{seconds:>8}  {figures}\n"));
            all.take(figures);
        }
        let states = all.get("states") + all.get("cuts");
        text.push_str(&format!(
            "crash states {states}, faults {}, kills {}, copies {}, model commands {}, flips {}, truncations {}\n{verdict} in {seconds} s\n",
            all.get("faults") + all.get("halts"),
            all.get("kills"),
            all.get("copies"),
            all.get("commands"),
            all.get("flips"),
            all.get("truncations"),
        ));
        std::io::stdout().write_all(text.as_bytes())
    }
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
    // Caught from here on, not from when the task first runs.
    let mut interrupt = {
        let _inside = runtime.enter();
        signal(SignalKind::interrupt())?
    };
    runtime.spawn(async move {
        interrupt.recv().await;
        stop.store(true, Ordering::Relaxed);
    });
    let started = Instant::now();
    let all = Duration::from_secs(run.seconds.unwrap_or(run.minutes * 60));
    let wanted = |name: &str| run.only.as_ref().is_none_or(|only| name.contains(only));
    let shares: u32 = HARNESSES
        .iter()
        .filter(|(name, ..)| wanted(name))
        .map(|(_, share, _)| share)
        .sum();
    let mut until = started;
    let mut table = Table::default();
    let mut found = Ok(());
    for (name, share, harness) in HARNESSES {
        if !wanted(name) || budget.is_stopped() {
            continue;
        }
        until += all * share / shares;
        let budget = Budget {
            until: run.rounds.is_none().then_some(until),
            ..budget.clone()
        };
        let began = Instant::now();
        let _ = writeln!(std::io::stderr(), "{name}, seed {} ...", run.seed);
        match harness(&budget, run.seed) {
            Ok(figures) => {
                let seconds = began.elapsed().as_secs();
                let _ = writeln!(std::io::stderr(), "{name}: {figures}; {seconds} s");
                table.0.push((name.to_owned(), seconds, figures));
            }
            Err(error) => {
                found = Err(error.context(name));
                break;
            }
        }
    }
    let verdict = match (&found, budget.is_stopped()) {
        (Err(_), _) => "a violation",
        (Ok(()), true) => "stopped, no violation",
        (Ok(()), false) => "no violation",
    };
    table.print(run.seed, started.elapsed().as_secs(), verdict)?;
    runtime.shutdown_background();
    found
}
