//! A chain on disks in memory, whose days go wrong by seed: lost and doubled requests, power cuts, kills in the middle of
//! a command, files put back, clocks set, a server that falls back to yesterday. Everything in it is the product: the
//! tills behind their door, their ledgers, the sync engine, the server's routes and the hub.
//!
//! A seed makes a list of steps ([`step::plan`]); playing a list ([`world::Chain::play`]) depends on nothing but the
//! list and the seed, so that a list that fails can be made shorter ([`shrink`]) and played again. What must hold is in
//! [`check`].

pub mod check;
pub mod goods;
pub mod mutant;
pub mod node;
pub mod step;
pub mod world;

use anyhow::{Error, Result};

pub use mutant::{MUTANTS, Mutant};
pub use step::{Size, Step, plan};
pub use world::Chain;

/// What a run came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    /// Steps played.
    pub steps: u64,
    /// Sales and reversals that tills acknowledged.
    pub sales: u64,
    /// Shifts that were opened: till-days.
    pub till_days: u64,
    /// Requests that reached the server.
    pub requests: u64,
    /// Streams that tills began after the first.
    pub new_streams: u64,
    /// Sales of strict goods.
    pub tickets: u64,
    /// Of these, refused because there was no right.
    pub refused: u64,
    /// Promises that the web shop was given.
    pub promises: u64,
}

impl Outcome {
    /// Adds the figures of another run.
    pub fn add(&mut self, other: &Outcome) {
        self.steps += other.steps;
        self.sales += other.sales;
        self.till_days += other.till_days;
        self.requests += other.requests;
        self.new_streams += other.new_streams;
        self.tickets += other.tickets;
        self.refused += other.refused;
        self.promises += other.promises;
    }
}

/// A seed that broke a rule.
#[derive(Debug)]
pub struct Failure {
    /// Seed.
    pub seed: u64,
    /// The steps that are left after shrinking; the last one fails, or the peace after it.
    pub steps: Vec<Step>,
    /// What was broken.
    pub error: Error,
}

/// How seeds are played.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// How large the chain is.
    pub size: Size,
    /// A mechanism that is switched off.
    pub mutant: Option<Mutant>,
    /// On real files instead of disks in memory: slower, and no disk fails there.
    pub on_files: bool,
}

impl From<Size> for Setup {
    fn from(size: Size) -> Setup {
        Setup {
            size,
            mutant: None,
            on_files: false,
        }
    }
}

/// Plays one seed.
///
/// # Errors
/// What was broken, after how many steps.
pub fn run(seed: u64, setup: Setup) -> Result<Outcome> {
    play(seed, setup, &plan(seed, setup.size))
}

/// Plays these steps under a seed.
///
/// # Errors
/// What was broken.
pub fn play(seed: u64, setup: Setup, steps: &[Step]) -> Result<Outcome> {
    Chain::new(seed, setup, steps)?.play(steps)
}

/// Leaves out steps for as long as the rest still fails, at most `runs_max` times.
pub fn shrink(seed: u64, setup: Setup, error: Error, runs_max: u32) -> Failure {
    let mut failure = Failure {
        seed,
        steps: plan(seed, setup.size),
        error,
    };
    let mut runs = 0;
    let mut chunk = failure.steps.len() / 2;
    while chunk > 0 && runs < runs_max {
        let mut from = 0;
        let mut shorter = false;
        while from < failure.steps.len() && runs < runs_max {
            let mut steps = failure.steps.clone();
            steps.drain(from..(from + chunk).min(failure.steps.len()));
            runs += 1;
            match play(seed, setup, &steps) {
                Err(error) => {
                    failure.steps = steps;
                    failure.error = error;
                    shorter = true;
                }
                Ok(_) => from += chunk,
            }
        }
        if !shorter {
            chunk /= 2;
        }
    }
    failure
}
