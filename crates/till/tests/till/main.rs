//! The till through its door.

mod enrolment;
mod fresh;
mod receipts;
mod refusals;
mod requests;
mod selling;
mod shifts;
mod sign_in;
