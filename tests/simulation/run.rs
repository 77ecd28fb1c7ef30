//! `make sim`: plays seeds until they are through, and prints of the first that fails a command that plays it again, and
//! the shortest list of steps that was found.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use support::simulation::{self, Mutant, Outcome, Size};

/// Days of a chain in which everything goes wrong, by seed.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Tills of the chain.
    #[arg(long, default_value_t = Size::SMALL.tills)]
    tills: usize,
    /// Days.
    #[arg(long, default_value_t = Size::SMALL.days)]
    days: u64,
    /// Things that happen per till and day.
    #[arg(long, default_value_t = Size::SMALL.busy)]
    busy: u64,
    /// How often a failing list is played again to make it shorter.
    #[arg(long, default_value_t = 200)]
    shrink: u32,
    /// A mechanism to switch off: the run is then to fail.
    #[arg(long)]
    mutant: Option<Mutant>,
    /// Only prints the steps of the first seed.
    #[arg(long)]
    plan: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

/// The command that plays a seed again, with everything that it was played with.
fn again(seed: u64, size: Size, arguments: &Arguments) -> String {
    let mut command = format!(
        "make sim SEEDS=1 SEED={seed} TILLS={} DAYS={} BUSY={}",
        size.tills, size.days, size.busy
    );
    if let Some(mutant) = arguments.mutant {
        command.push_str(&format!(" ARGS='--mutant {mutant:?}'"));
    }
    command
}

fn run(arguments: &Arguments) -> Result<bool> {
    let size = Size {
        tills: arguments.tills.max(1),
        days: arguments.days.max(1),
        busy: arguments.busy,
    };
    let mut out = std::io::stdout().lock();
    if arguments.plan {
        for step in simulation::plan(arguments.seed, size) {
            writeln!(out, "{step:?}")?;
        }
        return Ok(true);
    }
    let mut sum = Outcome::default();
    let started = Instant::now();
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.seeds) {
        match simulation::run(seed, size, arguments.mutant) {
            Ok(outcome) => sum.add(&outcome),
            Err(error) => {
                writeln!(out, "seed {seed} fails: {error:#}")?;
                writeln!(out, "play it again: {}", again(seed, size, arguments))?;
                let failure =
                    simulation::shrink((seed, size, arguments.mutant), error, arguments.shrink);
                writeln!(out, "{} steps are enough:", failure.steps.len())?;
                for step in &failure.steps {
                    writeln!(out, "  {step:?}")?;
                }
                writeln!(out, "then: {:#}", failure.error)?;
                return Ok(false);
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    writeln!(
        out,
        "{} seeds, {} steps, {} till-days, {} sales, {} strict sales and {} refused, {} promises, {} requests, {} new \
         streams: all rules held in {seconds:.0} s \
         ({:.0} till-days a minute)",
        arguments.seeds,
        sum.steps,
        sum.till_days,
        sum.sales,
        sum.tickets,
        sum.refused,
        sum.promises,
        sum.requests,
        sum.new_streams,
        sum.till_days as f64 * 60.0 / seconds.max(0.001),
    )?;
    Ok(true)
}
