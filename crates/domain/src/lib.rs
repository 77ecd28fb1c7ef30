//! The pure rules of a shop: money, tax, catalogue, cart, sale, posting, stock, time and events.
//!
//! Knows no clock, no randomness, no file, no socket and no float: every fact it needs is passed in,
//! so the same input gives the same output on a handheld, a desktop till, the server and the simulator.
//!
//! Start reading at [`event`] (the facts that travel), then [`cart`] and [`sale`] (how one comes about),
//! then [`stock`] (what the facts mean for the shelf) and [`escrow`] (who may sell the last unit).

pub mod event;

pub mod money;
pub mod quantity;
pub mod time;

pub mod catalog;
pub mod config;
pub mod country;
pub mod legal_id;

pub mod cart;
pub mod cash;
pub mod number;
pub mod receipt_code;
pub mod sale;
pub mod tax;

pub mod period;
pub mod posting;
pub mod shift;
pub mod escrow;
pub mod stock;

pub mod signature;

pub mod entropy;
pub mod ids;
pub mod json;
pub mod text;
