//! The till's door over loopback HTTP: a thin shell for browsers, scripts and tests.
//!
//! Knows no business rule and no SQL: texts of requests go to [`till_runtime::Handle`], texts of answers come
//! back. Start at [`door::routes`]; [`serve::run`] puts it on a socket with limits.

pub mod door;
pub mod events;
pub mod files;
pub mod serve;
