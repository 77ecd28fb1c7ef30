//! The ledger against real files: what it keeps, what it refuses, and what it notices.

mod backups;
mod catalogue;
mod damage;
mod feeds;
mod goods;
mod journal;
mod opening;
mod print_and_answers;
mod rights;
mod sealed;
mod signatures;
mod stock;
mod salvage;
mod streams;
mod support;
