//! Receipt numbers: readable, gap-free in their series, and never the same on two tills.

use crate::ids::{StoreId, StreamId, TillId};

/// `LM-01-7ZK3Q-`: what every number of receipts and slips begins with that a till gives in a stream.
pub fn number_prefix(store: &StoreId, till: &TillId, stream: StreamId) -> String {
    format!("{store}-{till}-{}-", stream.series())
}

/// `LM-01-7ZK3Q-2026-000123`: store, till, series, fiscal year, sequence of at least six digits.
///
/// The series comes from the stream, so a restored or cloned till starts another one and cannot print a
/// number twice even offline.
pub fn receipt_number(
    store: &StoreId,
    till: &TillId,
    stream: StreamId,
    fiscal_year: i32,
    seq: u64,
) -> String {
    let prefix = number_prefix(store, till, stream);
    format!("{prefix}{fiscal_year}-{seq:06}")
}

/// `LM-01-7ZK3Q-2026-C000012`: a cash slip, in a series of its own beside the receipts.
pub fn slip_number(
    store: &StoreId,
    till: &TillId,
    stream: StreamId,
    fiscal_year: i32,
    seq: u64,
) -> String {
    let prefix = number_prefix(store, till, stream);
    format!("{prefix}{fiscal_year}-C{seq:06}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_store_till_series_year_and_sequence() {
        let store = StoreId::new("LM").expect("store");
        let till = TillId::new("01").expect("till");
        let number = receipt_number(&store, &till, StreamId([0; 16]), 2026, 123);
        assert_eq!(number, "LM-01-00000-2026-000123");
        assert_eq!(
            receipt_number(&store, &till, StreamId([0; 16]), 2026, 1_234_567),
            "LM-01-00000-2026-1234567"
        );
    }
}
