//! The other side of sync: takes in the streams of one tenant's tills, folds them into stock and takings,
//! and hands out catalogue, prices, configuration and stock as feeds.
//!
//! Knows no HTTP, no clock and no randomness source: every call is given the time, and the entropy comes
//! with [`Hub::open`]. All SQL stays inside the private module `store`.
//!
//! Start at [`Hub::sync`]; then `accept` (what a push must satisfy), `fold` (what an event does) and
//! [`import`] (how a catalogue comes in).

mod accept;
mod alike;
mod books;
mod devices;
mod feeds;
mod fold;
pub mod import;
mod incidents;
mod lifecycle;
mod lineage;
mod office;
mod own_stream;
mod promises;
mod rights;
mod seal;
mod shops;
mod snapshots;
mod store;
mod verify;

pub use accept::{ANCHOR_AHEAD_MS_MAX, CLOCK_OFF_MS_MAX, QUARANTINE_CODES};
pub use alike::ALIKE_MS_MAX;
pub use devices::{CODE_LIFE_MS, DeviceAuth, PendingDevice};
pub use domain::ids::{DeviceId, Digest, StoreId, TenantId, TillId};
pub use domain::time::{Boot, Now};
pub use feeds::{Follows, Heads};
pub use incidents::IncidentLine;
pub use lifecycle::{Hub, NewTenant};
pub use lineage::{LineageStep, StockLineage, ZoneLineage};
pub use office::{
    BalanceLine, ClosingLine, EventLine, OptionValue, SetAsideLine, SignInError, StockLine,
    StockPage, StreamLine, TakingsLine, TillLine,
};
pub use promises::{
    PICK_MS, PROMISE_LINES_MAX, PROMISE_MS_MAX, PromiseAnswer, PromiseError, PromiseLine,
    PromiseRequest, PromiseState, Shortage,
};
pub use rights::{
    DEMAND_MS, HolderLine, LEASE_MS, ONLINE_MS, PlaceRights, RECLAIM_MARGIN_MS, RightsView, WANT_MS,
};
pub use shops::AdminError;
pub use snapshots::SnapshotFile;
pub use store::StoreError;
pub use verify::{FeedReport, VerifyReport};
