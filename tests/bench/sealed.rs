//! What encryption of the files costs: the program `sales`, built plain and with SQLCipher, in turns.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::table::{Budget, Table, percentile};

/// Runs of each program.
const ROUNDS: usize = 5;

/// What one run of `sales` says.
#[derive(Debug, Deserialize)]
struct Run {
    encrypted: bool,
    receipts: u64,
    scan_ms: Vec<f64>,
    sale_ms: Vec<f64>,
    verify_ms: f64,
    close_ms: f64,
    open_ms: f64,
    bytes: f64,
}

fn run(program: &Path, encrypted: bool) -> Result<Run> {
    let output = Command::new(program)
        .output()
        .with_context(|| format!("running {}", program.display()))?;
    ensure!(
        output.status.success(),
        "{} failed: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let run: Run = serde_json::from_slice(&output.stdout)?;
    ensure!(
        run.encrypted == encrypted,
        "{} is built the wrong way",
        program.display()
    );
    Ok(run)
}

/// A figure of every sort of work, encrypted against plain; `programs` are the plain and the encrypted one.
pub fn against_plain(table: &mut Table, programs: Option<(&Path, &Path)>) -> Result<()> {
    let Some((plain, sealed)) = programs else {
        table.absolute(
            "encrypted against plain: not built",
            f64::NAN,
            "ms",
            Budget::None,
        );
        return Ok(());
    };
    let (mut open, mut closed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        open.push(run(plain, false)?);
        closed.push(run(sealed, true)?);
    }
    type Samples = fn(&Run) -> Vec<f64>;
    let receipts = closed.first().map_or(0, |run| run.receipts);
    let works: [(&str, &str, Samples); 6] = [
        ("scan, encrypted, p50", "ms", |run| run.scan_ms.clone()),
        ("4-line sale, durable, encrypted, p50", "ms", |run| {
            run.sale_ms.clone()
        }),
        ("close the shift, encrypted", "ms", |run| vec![run.close_ms]),
        ("verify, encrypted", "ms", |run| vec![run.verify_ms]),
        ("open the till, encrypted", "ms", |run| vec![run.open_ms]),
        ("size of the file, encrypted", "B", |run| vec![run.bytes]),
    ];
    for (name, unit, samples) in works {
        let of = |runs: &[Run]| {
            let mut all: Vec<f64> = runs.iter().flat_map(samples).collect();
            percentile(&mut all, 50)
        };
        table.against(
            format!("{name} ({receipts} receipts)"),
            of(&closed),
            unit,
            ("the same, plain", of(&open)),
            Budget::None,
        );
    }
    Ok(())
}
