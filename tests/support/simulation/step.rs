//! What can happen, and how a seed makes a list of it.

use testkit::disk::crash::{SURVIVALS, Survival};
use testkit::rng::Rng;

use super::goods::STRICT;

/// How large a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Tills, spread over two stores.
    pub tills: usize,
    /// Days.
    pub days: u64,
    /// Things that happen per till and day.
    pub busy: u64,
}

impl Size {
    /// Three tills, two days.
    pub const SMALL: Size = Size {
        tills: 3,
        days: 2,
        busy: 40,
    };
    /// Twenty tills, a week.
    pub const LARGE: Size = Size {
        tills: 20,
        days: 7,
        busy: 25,
    };
}

/// Something that happens. Tills are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A till sells: the first article, how many lines, how many of each.
    Sell(usize, u64, u64, i64),
    /// A till sells units of a strict article, if it has the right to.
    Ticket(usize, u64, i64),
    /// A manager lets a unit of a strict article go without a right.
    Override(usize, u64),
    /// Units of a strict article are delivered to a till's store.
    Receive(usize, u64, i64),
    /// Somebody goes along the shelf and notes what lies there, for a count that a till ends later.
    Look(usize),
    /// A till ends the count that it began, or counts everything strict at its store at once.
    Count(usize),
    /// A web customer asks for units at a store; an order is handed over later, a cart is given up or runs out.
    Promise(usize, u64, i64, bool),
    /// A web customer gives up a promise, the n-th of those that are open.
    Release(u64),
    /// A till hands an order over, the n-th of those that are open at its store.
    Pick(usize, u64),
    /// A till is switched off, or on again.
    Away(usize, bool),
    /// Head office seals the stream of a till.
    Seal(usize),
    /// A till undoes its latest sale.
    Undo(usize),
    /// A till closes its shift, and opens the next one.
    Close(usize),
    /// A till talks to the server, once.
    Sync(usize),
    /// Time passes, milliseconds.
    Wait(i64),
    /// The link of a till is cut, or comes back.
    Cable(usize, bool),
    /// How bad the network is, percent: lost, answer lost, doubled, late.
    Weather([u8; 4]),
    /// The program of a till ends without a word and starts again.
    Kill(usize),
    /// It ends in the middle of its next sale, at a call of the disk, and starts again.
    Halt(usize, u64),
    /// The power of a till is cut; how much of what was not synced survives.
    PowerCut(usize, Survival),
    /// The disk of a till is full for its next sale.
    FullDisk(usize),
    /// A copy of a till's files is put aside.
    Save(usize),
    /// The copy is put back: the data folder, or the whole machine with what lies outside it.
    PutBack(usize, bool),
    /// The machine is set back to the copy as a virtual one is: not even its files are others, and only the server can
    /// notice it.
    RollBack(usize),
    /// Somebody sets a till's clock, milliseconds from the right time.
    Clock(usize, i64),
    /// A till's machine starts anew.
    Reboot(usize),
    /// The server's program ends and starts again.
    ServerKill,
    /// The power of the server is cut.
    ServerPowerCut(Survival),
    /// The server's file is backed up.
    ServerSave,
    /// The server is restored from its backup, as the operator does it.
    ServerRestore,
}

impl Step {
    /// The till whose hands it needs: nothing happens at one that is switched off.
    pub fn till(&self) -> Option<usize> {
        match self {
            Step::Sell(till, ..)
            | Step::Ticket(till, ..)
            | Step::Override(till, _)
            | Step::Receive(till, ..)
            | Step::Look(till)
            | Step::Count(till)
            | Step::Pick(till, _)
            | Step::Undo(till)
            | Step::Close(till)
            | Step::Sync(till)
            | Step::Kill(till)
            | Step::Halt(till, _)
            | Step::PowerCut(till, _)
            | Step::FullDisk(till)
            | Step::Save(till)
            | Step::PutBack(till, _)
            | Step::RollBack(till)
            | Step::Reboot(till) => Some(*till),
            Step::Promise(..)
            | Step::Release(_)
            | Step::Away(..)
            | Step::Seal(_)
            | Step::Wait(_)
            | Step::Cable(..)
            | Step::Weather(_)
            | Step::Clock(..)
            | Step::ServerKill
            | Step::ServerPowerCut(_)
            | Step::ServerSave
            | Step::ServerRestore => None,
        }
    }
}

/// How often each kind of thing goes wrong in this run: some seeds know only lost answers, others only old files.
struct Swarm {
    network: [u8; 4],
    cables: u64,
    kills: u64,
    halts: u64,
    power: u64,
    full: u64,
    saves: u64,
    clocks: u64,
    server: u64,
    overrides: u64,
    counts: u64,
    seals: u64,
}

impl Swarm {
    fn draw(rng: &mut Rng) -> Swarm {
        let mut rate = |most: u64| {
            if rng.chance(45) {
                rng.below(most + 1)
            } else {
                0
            }
        };
        let mut percent = |most: u64| u8::try_from(rate(most)).unwrap_or(0);
        Swarm {
            network: [percent(30), percent(30), percent(30), percent(20)],
            cables: rate(16),
            kills: rate(10),
            halts: rate(10),
            power: rate(8),
            full: rate(6),
            saves: rate(16),
            clocks: rate(8),
            server: rate(24),
            overrides: rate(4),
            counts: rate(8),
            seals: rate(16),
        }
    }
}

/// The steps of a seed.
pub fn plan(seed: u64, size: Size) -> Vec<Step> {
    let mut rng = Rng::new(seed ^ 0x5157_4152_4d00_0001);
    let swarm = Swarm::draw(&mut rng);
    let mut steps = vec![Step::Weather(swarm.network)];
    for day in 0..size.days {
        let tills = size.tills as u64;
        for _ in 0..size.busy * tills {
            let till = usize::try_from(rng.below(tills)).unwrap_or(0);
            steps.push(step(&mut rng, &swarm, till));
        }
        for till in 0..size.tills {
            steps.push(Step::Close(till));
        }
        if day + 1 < size.days {
            steps.push(Step::Wait(86_400_000));
        }
    }
    steps
}

fn step(rng: &mut Rng, swarm: &Swarm, till: usize) -> Step {
    let survival = |rng: &mut Rng| {
        let index = usize::try_from(rng.below(SURVIVALS.len() as u64)).unwrap_or(0);
        SURVIVALS[index]
    };
    let mut roll = rng.below(200);
    let mut hits = |rate: u64| {
        let hit = roll < rate;
        roll = roll.wrapping_sub(rate);
        hit
    };
    if hits(swarm.cables) {
        return Step::Cable(till, rng.chance(50));
    }
    if hits(swarm.kills) {
        return if rng.chance(70) {
            Step::Kill(till)
        } else {
            Step::Reboot(till)
        };
    }
    if hits(swarm.halts) {
        return Step::Halt(till, rng.below(40));
    }
    if hits(swarm.power) {
        return Step::PowerCut(till, survival(rng));
    }
    if hits(swarm.full) {
        return Step::FullDisk(till);
    }
    if hits(swarm.saves) {
        return match rng.below(10) {
            0..5 => Step::Save(till),
            5..7 => Step::PutBack(till, false),
            7 => Step::PutBack(till, true),
            _ => Step::RollBack(till),
        };
    }
    if hits(swarm.clocks) {
        let offsets = [
            0,
            0,
            3_600_000,
            -3_600_000,
            -86_400_000,
            4 * 86_400_000,
            3_000 * 86_400_000,
        ];
        let index = usize::try_from(rng.below(offsets.len() as u64)).unwrap_or(0);
        return Step::Clock(till, offsets[index]);
    }
    if hits(swarm.server) {
        return match rng.below(5) {
            0 | 1 => Step::ServerKill,
            2 => Step::ServerPowerCut(survival(rng)),
            3 => Step::ServerSave,
            _ => Step::ServerRestore,
        };
    }
    let article = |rng: &mut Rng| rng.below(STRICT);
    if hits(swarm.overrides) {
        return Step::Override(till, article(rng));
    }
    if hits(swarm.counts) {
        return if rng.chance(60) {
            Step::Count(till)
        } else {
            Step::Look(till)
        };
    }
    if hits(swarm.seals) {
        return match rng.below(8) {
            0..3 => Step::Away(till, true),
            3..5 => Step::Away(till, false),
            5..7 => Step::Seal(till),
            // Longer than any lease.
            _ => Step::Wait(8 * 86_400_000),
        };
    }
    if rng.chance(35) {
        let units = 1 + rng.below(2).cast_signed();
        return match rng.below(16) {
            0..8 => Step::Ticket(till, article(rng), units),
            8..12 => Step::Promise(till, article(rng), units, rng.chance(60)),
            12 => Step::Release(rng.below(8)),
            13..15 => Step::Pick(till, rng.below(8)),
            _ => Step::Receive(till, article(rng), units),
        };
    }
    match rng.below(20) {
        0..10 => Step::Sell(
            till,
            rng.below(40),
            1 + rng.below(3),
            1 + rng.below(2).cast_signed(),
        ),
        10 => Step::Undo(till),
        11..17 => Step::Sync(till),
        17 if rng.chance(10) => Step::Close(till),
        _ => Step::Wait(rng.below(600_000).cast_signed()),
    }
}
