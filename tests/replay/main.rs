//! `make replay`: a month of receipts through the door of four tills, checked against the file.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Parser;
use support::{groceries, replay};

/// Rings a month of receipts on 4 tills in 2 stores, syncs over a bad network, and checks every total.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder with groceries.csv; a synthetic month of the same size without it.
    #[arg(long, env = "HANOUT_DATA")]
    data: Option<PathBuf>,
    /// Seed of ids and network faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let data = arguments.data.unwrap_or_else(groceries::data_folder);
    let month = groceries::month(&data, arguments.seed)?;
    let folder = tempfile::tempdir()?;
    let mut err = std::io::stderr();
    let outcome = replay::run(&month, folder.path(), arguments.seed, |day, days| {
        // A closed terminal must not end the replay.
        let _ = write!(err, "\rday {day} of {days}");
    })?;
    writeln!(std::io::stderr())?;
    write!(std::io::stdout(), "{}", outcome.report())?;
    Ok(())
}
