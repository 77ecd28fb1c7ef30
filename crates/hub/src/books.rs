//! What an event adds to the accounts and closings of the till that wrote it.

use domain::event::Fact;
use domain::ids::{ShiftId, StoreId, TillId};
use domain::posting::postings;
use domain::stock::EventRef;
use domain::time::BusinessDate;

use crate::fold::FoldError;
use crate::store::ClosingRow;

/// What a fact moves per account, debit positive.
pub(crate) fn entries(fact: &Fact) -> Result<Vec<(String, i64)>, FoldError> {
    let postings = postings(fact).map_err(|_| FoldError::Overflow)?;
    Ok(postings
        .into_iter()
        .map(|posting| (posting.account.code(), posting.amount_minor))
        .collect())
}

/// The trading day of a shift, told by its opening.
pub(crate) const fn shift_day(fact: &Fact) -> Option<(ShiftId, BusinessDate)> {
    match fact {
        Fact::ShiftOpened(opened) => Some((opened.shift, opened.business_date)),
        _ => None,
    }
}

/// A closing as head office lists it; `day` is the trading day of its shift, where it is known.
pub(crate) fn closing(
    (store, till): (&StoreId, &TillId),
    at: &EventRef,
    fact: &Fact,
    day: impl FnOnce(ShiftId) -> Result<Option<String>, FoldError>,
) -> Result<Option<ClosingRow>, FoldError> {
    let row = |kind: &str, number: u64, name: String| ClosingRow {
        stream: at.stream,
        seq: at.seq,
        store: store.to_string(),
        till: till.to_string(),
        kind: kind.to_owned(),
        number,
        name,
        wall: i64::try_from(at.hlc.ms()).unwrap_or(i64::MAX),
        sales: 0,
        reversals: 0,
        takings_minor: 0,
        difference_minor: 0,
        perpetual_minor: 0,
    };
    Ok(match fact {
        Fact::ShiftClosed(closed) => Some(ClosingRow {
            sales: closed.totals.sales,
            reversals: closed.totals.reversals,
            takings_minor: closed.totals.takings_minor,
            difference_minor: closed.difference_minor,
            perpetual_minor: closed.perpetual_minor,
            ..row("z", closed.z_number, day(closed.shift)?.unwrap_or_default())
        }),
        Fact::PeriodClosed(closed) => {
            let totals = &closed.totals;
            let takings = totals.sales_minor.checked_add(totals.reversals_minor);
            let kind = serde_json::to_value(closed.period)
                .ok()
                .and_then(|kind| kind.as_str().map(str::to_owned))
                .unwrap_or_default();
            Some(ClosingRow {
                sales: totals.sales,
                reversals: totals.reversals,
                takings_minor: takings.ok_or(FoldError::Overflow)?,
                difference_minor: totals.over_short_minor,
                perpetual_minor: closed.perpetual_minor,
                ..row(&kind, closed.number, closed.period.name(closed.to))
            })
        }
        _ => None,
    })
}
