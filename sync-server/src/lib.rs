//! Head office's server: sync routes for tills, office pages, and the set-up of tenants, over one file per tenant.
//!
//! Knows no till and no ledger. Start at [`Running::start`] (a server in this process) or [`serve`];
//! [`DataDir`] finds tenants' files, [`demo`] makes the demo chain.

mod data;
pub mod demo;
mod legal;
mod office;
mod secrets;
mod server;
mod static_files;

pub use data::{DataDir, DataError};
pub use hub_http::{Clock, Limits, Serving, system_clock};
pub use legal::{LegalIdentity, legal_identity, refresh};
pub use secrets::{
    PinError, SecretError, check_pin, entropy, hash_secret, random_password, random_pin,
};
pub use server::{Running, ServeError, ServerConfig, serve};
