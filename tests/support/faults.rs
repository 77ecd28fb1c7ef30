//! Faults on purpose: power cuts, failing disks, kills, flipped bits. `tests/faults` runs each harness for a
//! bounded number of rounds, `make torture` for as long as it is told to.
//!
//! A harness returns what it counted, or the first violation. Each has a control that it must fail: a harness
//! that cannot see a loss proves nothing.

pub mod copied;
pub mod disk;
pub mod drained;
pub mod kill;
pub mod migration;
pub mod power;
pub mod rot;
pub mod served;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// How long a harness goes on.
#[derive(Debug, Clone, Default)]
pub struct Budget {
    /// Rounds at most; none for as long as time allows.
    pub rounds: Option<u64>,
    /// When to stop.
    pub until: Option<Instant>,
    /// Set by whoever wants it to stop now.
    pub stop: Arc<AtomicBool>,
}

impl Budget {
    /// This many rounds.
    pub fn rounds(rounds: u64) -> Budget {
        Budget {
            rounds: Some(rounds),
            ..Budget::default()
        }
    }

    /// Whether somebody wants it to stop now.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether `done` rounds are enough.
    pub fn is_spent(&self, done: u64) -> bool {
        self.is_stopped()
            || self.rounds.is_some_and(|rounds| done >= rounds)
            || self.until.is_some_and(|until| Instant::now() >= until)
    }
}

/// What a harness counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures(pub BTreeMap<&'static str, u64>);

impl Figures {
    /// Adds to a count.
    pub fn add(&mut self, name: &'static str, count: u64) {
        *self.0.entry(name).or_insert(0) += count;
    }

    /// A count; zero when nothing was counted.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Takes over the counts of another run.
    pub fn take(&mut self, other: &Figures) {
        for (name, count) in &other.0 {
            self.add(name, *count);
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (name, count)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {count}")?;
        }
        Ok(())
    }
}
