//! The rules of the shop: tables that a bookkeeper can read, and laws that hold for every cart and event.

mod cart;
mod escrow;
mod goods;
mod laws;
mod packs;
mod sale;
mod shop;
mod stock;
