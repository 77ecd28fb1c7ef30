//! The 28 rows of the table of conflicts and faults in `docs/sync.md`, one scenario each, named after its row: what
//! stands, what is refused, which incident is raised, and that nothing is lost or counted twice.

mod chain;
mod clocks;
mod counting;
mod device;
mod identity;
mod later;
mod office;
mod selling;
