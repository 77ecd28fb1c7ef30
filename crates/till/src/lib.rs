//! The use cases of a till behind one door: every [`door::Command`] is answered by [`Till::handle`].
//!
//! Knows no network, no printer and no window: it reads and writes the ledger, and what needs the outside
//! (enrolment, printing) is asked for and reported back as a command. Start at [`door`].

pub mod door;
