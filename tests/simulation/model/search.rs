//! Breadth-first search through every state of a small world, so that the first broken promise that it meets has the
//! shortest history there is.

use super::rules::{Rules, Wrong};
use super::state::{Packed, State};
use super::steps::{Step, steps};
use super::worlds::World;

/// What a search found.
#[derive(Debug)]
pub struct Found {
    /// States that were visited.
    pub states: usize,
    /// Length of the longest shortest history.
    pub depth: usize,
    /// All states were visited; else the limit was reached, or a promise was broken.
    pub is_whole: bool,
    /// The shortest history that breaks a promise.
    pub broken: Option<Vec<String>>,
}

/// A table of all states, in the order in which they were met.
struct Seen {
    states: Vec<Packed>,
    parents: Vec<u32>,
    // Places in `states` plus one, open addressing; a power of two of them.
    table: Vec<u32>,
}

impl Seen {
    fn new() -> Seen {
        Seen {
            states: Vec::new(),
            parents: Vec::new(),
            table: vec![0; 1 << 12],
        }
    }

    fn slot(&self, state: &Packed) -> usize {
        let mask = self.table.len() - 1;
        let mut slot = usize::try_from(state.hash() >> 20).expect("44 bits") & mask;
        loop {
            match self.table[slot] {
                0 => return slot,
                place if self.states[place as usize - 1] == *state => return slot,
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    fn insert(&mut self, state: Packed, parent: u32) {
        let slot = self.slot(&state);
        if self.table[slot] != 0 {
            return;
        }
        self.states.push(state);
        self.parents.push(parent);
        self.table[slot] =
            u32::try_from(self.states.len()).expect("fewer than four thousand million");
        if self.states.len() * 2 > self.table.len() {
            self.grow();
        }
    }

    fn grow(&mut self) {
        self.table = vec![0; self.table.len() * 2];
        for place in 0..self.states.len() {
            let slot = self.slot(&self.states[place]);
            self.table[slot] = u32::try_from(place + 1).expect("fewer than before");
        }
    }
}

/// Whether more was promised to people than there is: units sold and ordered beyond those on the shelf, but for the
/// ones that a manager let pass offline, or that were in the books alone from the beginning. Or whether a till spent
/// what it did not have.
fn is_broken(state: &State, world: &World, rules: Rules) -> bool {
    let oversold = state.shelf + signed(state.excused) < state.open_customers();
    // Without escrow nobody has rights, and an override booked as consumption is a debt by itself: there only the goods
    // tell.
    let asks = !rules.is(Wrong::OverrideConsumes) && !rules.is(Wrong::NoEscrow);
    let mut tills = state.tills[..world.tills].iter();
    oversold || asks && tills.any(|till| rules.right(state, till) < 0)
}

fn signed(units: u8) -> i8 {
    i8::try_from(units).expect("few units")
}

/// Visits the states of `world` under `rules`, at most `limit` of them.
pub fn search(world: &World, rules: Rules, limit: usize) -> Found {
    look_for(world, rules, limit, |state| is_broken(state, world, rules))
}

/// Whether some history of `world` leads to what is `wanted`.
pub fn reaches(world: &World, rules: Rules, wanted: impl Fn(&State) -> bool) -> bool {
    look_for(world, rules, usize::MAX, wanted).broken.is_some()
}

fn look_for(world: &World, rules: Rules, limit: usize, is_found: impl Fn(&State) -> bool) -> Found {
    let mut seen = Seen::new();
    seen.insert(State::first(world).pack(), 0);
    let mut next: Vec<(Step, State)> = Vec::new();
    let (mut at, mut depth, mut level_end) = (0, 0, 1);
    while at < seen.states.len() && at < limit {
        if at == level_end {
            depth += 1;
            level_end = seen.states.len();
        }
        let state = seen.states[at].unpack(world);
        if is_found(&state) {
            return Found {
                states: at + 1,
                depth,
                is_whole: false,
                broken: Some(history(&seen, world, rules, at)),
            };
        }
        steps(&state, world, rules, &mut next);
        let parent = u32::try_from(at).expect("fewer than four thousand million");
        for (_, state) in next.drain(..) {
            seen.insert(state.pack(), parent);
        }
        at += 1;
    }
    Found {
        states: at,
        depth,
        is_whole: at == seen.states.len(),
        broken: None,
    }
}

/// What happened on the way to a state.
fn history(seen: &Seen, world: &World, rules: Rules, last: usize) -> Vec<String> {
    let mut path = vec![last];
    let mut at = last;
    while at != 0 {
        at = seen.parents[at] as usize;
        path.push(at);
    }
    path.reverse();
    let taken = |pair: &[usize]| {
        let mut next = Vec::new();
        steps(&seen.states[pair[0]].unpack(world), world, rules, &mut next);
        let step = next
            .into_iter()
            .find(|(_, state)| state.pack() == seen.states[pair[1]]);
        step.expect("the state was met on this way").0.to_string()
    };
    path.windows(2).map(taken).collect()
}
