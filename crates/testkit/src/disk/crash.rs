//! What a power cut can leave: every state that a disk may be in after some operation, computed from a record.
//!
//! A file's bytes are durable up to its last sync; of what was written since, nothing, all, a beginning, or any
//! sectors may be there. A name in the directory is durable since the directory's last sync, which the first
//! sync of a new journal or log brings with it.

use std::collections::BTreeMap;

use super::{Op, Snapshot};
use crate::rng::Rng;

/// Bytes that a disk writes at once or not at all.
const SECTOR: usize = 512;

/// How much of what was not synced survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Survival {
    /// Nothing.
    Nothing,
    /// Everything: what the end of the process leaves.
    All,
    /// The operations up to one of them.
    Prefix,
    /// Any sectors.
    Sectors,
    /// Any sectors; others beyond the durable end hold rubbish.
    Garbage,
}

/// Every way, in a fixed order.
pub const SURVIVALS: [Survival; 5] = [
    Survival::Nothing,
    Survival::All,
    Survival::Prefix,
    Survival::Sectors,
    Survival::Garbage,
];

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Debug, Clone, Default)]
struct Node {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

/// A disk that operations are played onto.
#[derive(Debug, Clone, Default)]
pub struct CrashDisk {
    nodes: Vec<Node>,
    /// Name to node, as the running system sees it.
    names: BTreeMap<String, usize>,
    /// The same, as a power cut would leave it.
    names_durable: BTreeMap<String, usize>,
}

fn apply(image: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, data) => write_at(image, *offset, data),
        Change::Truncate(length) => image.resize(*length, 0),
    }
}

fn write_at(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(data);
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).expect("a file that fits into memory")
}

impl CrashDisk {
    /// A disk on which everything in `snapshot` is durable.
    pub fn new(snapshot: &Snapshot) -> CrashDisk {
        let mut disk = CrashDisk::default();
        for (name, bytes) in &snapshot.files {
            disk.names.insert(name.clone(), disk.nodes.len());
            disk.nodes.push(Node {
                durable: bytes.clone(),
                pending: Vec::new(),
            });
        }
        disk.names_durable = disk.names.clone();
        disk
    }

    /// Lets one operation happen.
    pub fn step(&mut self, op: &Op) {
        match op {
            Op::Create(name) => {
                self.names.insert(name.clone(), self.nodes.len());
                self.nodes.push(Node::default());
            }
            Op::Write(name, offset, data) => {
                let change = Change::Write(position(*offset), data.clone());
                self.node(name).pending.push(change);
            }
            Op::Truncate(name, length) => {
                let change = Change::Truncate(position(*length));
                self.node(name).pending.push(change);
            }
            Op::Sync(name, directory) => {
                let node = self.node(name);
                for change in std::mem::take(&mut node.pending) {
                    apply(&mut node.durable, &change);
                }
                if *directory {
                    self.names_durable = self.names.clone();
                }
            }
            Op::Delete(name, directory) => {
                self.names.remove(name);
                if *directory {
                    self.names_durable = self.names.clone();
                }
            }
            Op::Mark(_) => {}
        }
    }

    fn node(&mut self, name: &str) -> &mut Node {
        let next = self.nodes.len();
        let index = *self.names.entry(name.to_owned()).or_insert(next);
        if index == next {
            self.nodes.push(Node::default());
        }
        &mut self.nodes[index]
    }

    /// One state that a power cut now could leave.
    pub fn state(&self, survival: Survival, rng: &mut Rng) -> Snapshot {
        let mut files = BTreeMap::new();
        let mut names: Vec<&String> = self.names.keys().chain(self.names_durable.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let (now, durable) = (self.names.get(name), self.names_durable.get(name));
            let chosen = match survival {
                Survival::Nothing => durable,
                Survival::All => now,
                Survival::Prefix | Survival::Sectors | Survival::Garbage => {
                    if now == durable || rng.chance(50) {
                        now
                    } else {
                        durable
                    }
                }
            };
            if let Some(node) = chosen {
                files.insert(name.clone(), self.nodes[*node].survive(survival, rng));
            }
        }
        Snapshot { files }
    }
}

impl Node {
    fn survive(&self, survival: Survival, rng: &mut Rng) -> Vec<u8> {
        let mut image = self.durable.clone();
        let pending = self.pending.len();
        let kept = match survival {
            Survival::Nothing => 0,
            Survival::All => pending,
            Survival::Prefix => position(rng.below(pending as u64 + 1)),
            Survival::Sectors | Survival::Garbage => {
                for change in &self.pending {
                    self.tear(&mut image, change, survival, rng);
                }
                0
            }
        };
        for change in &self.pending[..kept] {
            apply(&mut image, change);
        }
        image
    }

    fn tear(&self, image: &mut Vec<u8>, change: &Change, survival: Survival, rng: &mut Rng) {
        let Change::Write(offset, data) = change else {
            if rng.chance(50) {
                apply(image, change);
            }
            return;
        };
        let mut done = 0;
        while done < data.len() {
            let at = offset + done;
            let length = (SECTOR - at % SECTOR).min(data.len() - done);
            match rng.below(if survival == Survival::Garbage { 3 } else { 2 }) {
                0 => {}
                1 => write_at(image, at, &data[done..done + length]),
                _ if at >= self.durable.len() => {
                    let rubbish: Vec<u8> = (0..length)
                        .map(|_| rng.next_u64().to_le_bytes()[0])
                        .collect();
                    write_at(image, at, &rubbish);
                }
                _ => {}
            }
            done += length;
        }
    }
}
