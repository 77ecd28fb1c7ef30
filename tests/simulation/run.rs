//! `make sim`: plays seeds until they are through, and prints of the first that fails a command that plays it again, and
//! the shortest list of steps that was found.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use support::simulation::{self, Mutant, Outcome, Setup, Size};

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
    /// A mechanism to switch off: some seed is then to fail.
    #[arg(long)]
    mutant: Option<Mutant>,
    /// On real files in a temporary folder, instead of disks in memory.
    #[arg(long)]
    on_disk: bool,
    /// Goes on after a seed that fails, and makes no list shorter.
    #[arg(long)]
    keep_going: bool,
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
    let mutant = arguments
        .mutant
        .map(|mutant| format!("--mutant {mutant:?}"));
    let on_disk = arguments.on_disk.then(|| "--on-disk".to_owned());
    let more: Vec<String> = mutant.into_iter().chain(on_disk).collect();
    if !more.is_empty() {
        command.push_str(&format!(" ARGS='{}'", more.join(" ")));
    }
    command
}

/// Seeds after which a long run says how far it is.
const PROGRESS: u64 = 500;

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
    let setup = Setup {
        size,
        mutant: arguments.mutant,
        on_files: arguments.on_disk,
    };
    let mut sum = Outcome::default();
    let mut failed = 0_u64;
    let started = Instant::now();
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.seeds) {
        match simulation::run(seed, setup) {
            Ok(outcome) => sum.add(&outcome),
            Err(error) => {
                writeln!(out, "seed {seed} fails: {error:#}")?;
                writeln!(out, "play it again: {}", again(seed, size, arguments))?;
                if arguments.keep_going {
                    failed += 1;
                } else {
                    let failure = simulation::shrink(seed, setup, error, arguments.shrink);
                    writeln!(out, "{} steps are enough:", failure.steps.len())?;
                    for step in &failure.steps {
                        writeln!(out, "  {step:?}")?;
                    }
                    writeln!(out, "then: {:#}", failure.error)?;
                    return Ok(false);
                }
            }
        }
        let done = seed - arguments.seed + 1;
        if done.is_multiple_of(PROGRESS) && done < arguments.seeds {
            let days = sum.till_days;
            writeln!(
                out,
                "{done} seeds, {failed} failed, {days} till-days so far"
            )?;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    writeln!(
        out,
        "{} seeds, {failed} failed, {} steps, {} till-days, {} sales, {} strict sales and {} refused, {} promises, {} requests, {} new \
         streams in {seconds:.0} s \
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
    Ok(failed == 0)
}
