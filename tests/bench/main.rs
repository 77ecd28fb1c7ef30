//! `make bench`: the figures of the design's budget, each beside a baseline measured in the same run.
//!
//! These machines are shared and noisy: a row with a baseline is judged by its ratio, measured in turns with
//! it, and an absolute budget stands only where a person waits.

mod rows;
mod sealed;
mod table;
mod till_rows;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

/// Measures the rows and prints a table; also writes JSON.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the JSON goes.
    #[arg(long, default_value = "target/bench.json")]
    json: PathBuf,
    /// Largest catalogue measured.
    #[arg(long, default_value_t = 300_000)]
    variants: usize,
    /// Built pages of the user interface.
    #[arg(long, default_value = "ui/dist")]
    ui: PathBuf,
    /// The program `sales` without encryption.
    #[arg(long, requires = "sealed")]
    plain: Option<PathBuf>,
    /// The program `sales` with it.
    #[arg(long, requires = "plain")]
    sealed: Option<PathBuf>,
    /// Opens the till in this folder, scans once, prints what it took, and ends. Used by the cold-start row.
    #[arg(long, hide = true)]
    open: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(folder) = arguments.open {
        return till_rows::open_once(&folder);
    }
    let mut table = table::Table::default();
    rows::receipt_render(&mut table)?;
    rows::signed_receipt(&mut table)?;
    till_rows::durable_sale(&mut table)?;
    sealed::against_plain(
        &mut table,
        arguments.plain.as_deref().zip(arguments.sealed.as_deref()),
    )?;
    till_rows::long_day(&mut table)?;
    let sizes: Vec<usize> = [10_000, 100_000, 300_000]
        .into_iter()
        .filter(|size| *size <= arguments.variants)
        .collect();
    till_rows::catalogues(&mut table, &sizes)?;
    rows::replay(&mut table)?;
    rows::page_sizes(&mut table, &arguments.ui)?;
    table.print()?;
    table.write_json(&arguments.json)
}
