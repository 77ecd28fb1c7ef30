//! The table of figures: name, figure, baseline, ratio, budget, MISS.

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

/// What a row is judged by.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// The figure itself, at most.
    AtMost(f64),
    /// Figure over baseline, at most.
    RatioAtMost(f64),
    /// Only shown.
    None,
}

/// One measured row.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    name: String,
    figure: f64,
    unit: &'static str,
    baseline: Option<f64>,
    baseline_name: &'static str,
    ratio: Option<f64>,
    budget: Budget,
    miss: bool,
}

/// All rows.
#[derive(Debug, Default, Serialize)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds a row without a baseline.
    pub fn absolute(
        &mut self,
        name: impl Into<String>,
        figure: f64,
        unit: &'static str,
        budget: Budget,
    ) {
        self.push(name.into(), figure, unit, None, "", budget);
    }

    /// Adds a row beside its baseline.
    pub fn against(
        &mut self,
        name: impl Into<String>,
        figure: f64,
        unit: &'static str,
        baseline: (&'static str, f64),
        budget: Budget,
    ) {
        self.push(
            name.into(),
            figure,
            unit,
            Some(baseline.1),
            baseline.0,
            budget,
        );
    }

    fn push(
        &mut self,
        name: String,
        figure: f64,
        unit: &'static str,
        baseline: Option<f64>,
        baseline_name: &'static str,
        budget: Budget,
    ) {
        let ratio = baseline
            .filter(|baseline| *baseline > 0.0)
            .map(|baseline| figure / baseline);
        let miss = match budget {
            Budget::AtMost(most) => figure > most,
            Budget::RatioAtMost(most) => ratio.is_none_or(|ratio| ratio > most),
            Budget::None => false,
        };
        self.rows.push(Row {
            name,
            figure,
            unit,
            baseline,
            baseline_name,
            ratio,
            budget,
            miss,
        });
    }

    /// Prints the table.
    pub fn print(&self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{:<44} {:>12} {:<6} {:>12} {:<26} {:>7} {:>10}",
            "name", "figure", "unit", "baseline", "of", "ratio", "budget"
        )?;
        for row in &self.rows {
            let baseline = row.baseline.map(number).unwrap_or_default();
            let ratio = row
                .ratio
                .map(|ratio| format!("{ratio:.2}"))
                .unwrap_or_default();
            let budget = match row.budget {
                Budget::AtMost(most) => format!("<= {}", number(most)),
                Budget::RatioAtMost(most) => format!("<= {most}x"),
                Budget::None => String::new(),
            };
            let miss = if row.miss { " MISS" } else { "" };
            writeln!(
                out,
                "{:<44} {:>12} {:<6} {:>12} {:<26} {:>7} {:>10}{miss}",
                row.name,
                number(row.figure),
                row.unit,
                baseline,
                row.baseline_name,
                ratio,
                budget
            )?;
        }
        Ok(())
    }

    /// Writes the rows as JSON.
    pub fn write_json(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, serde_json::to_vec_pretty(self)?)?;
        Ok(())
    }
}

fn number(figure: f64) -> String {
    if figure >= 100.0 {
        format!("{figure:.0}")
    } else {
        format!("{figure:.3}")
    }
}

/// The value below which `percent` of the samples lie.
pub fn percentile(samples: &mut [f64], percent: usize) -> f64 {
    samples.sort_by(f64::total_cmp);
    let index = (samples.len().saturating_sub(1)) * percent / 100;
    samples.get(index).copied().unwrap_or(f64::NAN)
}
