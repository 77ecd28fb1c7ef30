//! The sync routes over HTTP: limits, time-outs, compression, tokens and signatures in front of `hub`.
//!
//! Knows nothing of tills' files and nothing of head office. Start at [`routes`]; [`serve`] carries any router
//! over connections that cannot be held open for nothing.

mod body;
mod clock;
mod parts;
mod poke;
mod routes;
mod serve;
mod tenants;

pub use clock::{Clock, system_clock};
pub use routes::routes;
pub use serve::{Limits, Serving, serve};
pub use tenants::{OpenTenant, SharedHub, Tenants, with_hub};
