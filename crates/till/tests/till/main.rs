//! The till through its door.

mod drawers;
mod enrolment;
mod fresh;
mod periods;
mod receipts;
mod refusals;
mod requests;
mod selling;
mod shifts;
mod sign_in;
