//! Mechanisms switched off, one at a time: a simulation that still finds nothing wrong then would prove nothing.
//!
//! No mutant is compiled into a program. A feature of the hub or the till would be switched on for every crate of a
//! `cargo test --workspace`, and a switch at run time would be a switch in the shop; so each is made at a seam that the
//! simulation holds anyway: what arrives and what is answered, the files on the disks, and the public calls of hub and
//! ledger. The places are marked by [`Mutant`] in `world.rs` and `node.rs`.

/// What is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mutant {
    /// No escrow: a till sells while its own stock shows enough.
    PnCounter,
    /// A grant says how much more, not how much in all: one that arrives twice counts twice.
    DeltaGrants,
    /// What was granted comes back when its lease ends, and nobody counts.
    LeaseOnlyReclaim,
    /// The web promises what lies on the shelf by the books, whatever tills may sell.
    PromiseOnHand,
    /// A restored server goes on in its old epoch.
    NoEpoch,
    /// The web shop is not asked for its promises after a restore.
    PromisesNotConfirmed,
    /// Counts say that they knew of everything that other tills will ever write.
    CountKnowsAll,
    /// The server takes a push in twice.
    DedupeOff,
    /// A row gets its version outside of the transaction that makes it visible, so that a page can pass it over; and
    /// the sum of the feed is not compared.
    VersionOutside,
    /// A till does not notice that older files were put back.
    WitnessOff,
    /// A till's disk is not waited for.
    TillNotDurable,
    /// The server answers before its disk has everything.
    AckBeforeCommit,
    /// Nobody compares hashes: the server takes the number of an event for its content.
    HashCheckOff,
}

/// Every mutant.
pub const MUTANTS: [Mutant; 13] = [
    Mutant::PnCounter,
    Mutant::DeltaGrants,
    Mutant::LeaseOnlyReclaim,
    Mutant::PromiseOnHand,
    Mutant::NoEpoch,
    Mutant::PromisesNotConfirmed,
    Mutant::CountKnowsAll,
    Mutant::DedupeOff,
    Mutant::VersionOutside,
    Mutant::WitnessOff,
    Mutant::TillNotDurable,
    Mutant::AckBeforeCommit,
    Mutant::HashCheckOff,
];

impl std::str::FromStr for Mutant {
    type Err = String;

    fn from_str(name: &str) -> Result<Mutant, String> {
        let found = MUTANTS
            .into_iter()
            .find(|mutant| format!("{mutant:?}") == name);
        found.ok_or_else(|| format!("no mutant {name}; there are {MUTANTS:?}"))
    }
}
