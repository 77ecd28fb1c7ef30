//! The shift: counted open, X at any time, counted close with its Z. None of it waits for anything outside.

use domain::cash::{self, CountError};
use domain::event::{
    CashCount, DrawerOpened, DrawerReason, Fact, ShiftClosed, ShiftOpened, StreamHead,
};
use domain::ids::{EventId, ShiftId, UserId};
use domain::money::Currency;
use domain::time::BusinessDate;
use ledger::OpenShift;

use crate::door::{Approval, Pieces, Refusal, RefusalCode, Reply};
use crate::till::{Call, DRAWER, Outcome, Till, storage_refusal};

/// Days between two trading days above which a manager confirms that the clock is right.
const DAYS_AHEAD_MAX: i64 = 2;

impl Till {
    pub(crate) fn open_shift(
        &mut self,
        count: &[Pieces],
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Outcome {
        let member = self.signed_in()?;
        let terms = self.terms(call)?;
        if !self
            .book()?
            .ready_to_sell()
            .map_err(|error| storage_refusal(&error))?
        {
            return Err(RefusalCode::NotReady.into());
        }
        if self.current_shift()?.is_some() {
            return Err(RefusalCode::ShiftOpen.into());
        }
        let (count, float_minor) = read_count(count, terms.store.currency)?;
        let business_date = call.now.local_date();
        let approved_by = self.date_approval(business_date, approval, call)?;
        let shift = ShiftId(call.uuid());
        let event = EventId(call.uuid());
        let fact = Fact::ShiftOpened(ShiftOpened {
            shift,
            drawer: DRAWER,
            business_date,
            user: member.user,
            currency: terms.store.currency,
            count,
            float_minor,
            approved_by,
            shift_key: None,
        });
        let reply = self.record_fact(event, &fact, Vec::new(), Reply::Done {}, call)?;
        self.sync_requested = true;
        Ok(reply)
    }

    /// A trading day that goes back, or runs ahead, means a wrong clock until a manager says otherwise.
    fn date_approval(
        &mut self,
        today: BusinessDate,
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Result<Option<UserId>, Refusal> {
        let last = self
            .book()?
            .last_business_date()
            .map_err(|error| storage_refusal(&error))?;
        let Some(last) = last else { return Ok(None) };
        let ahead = (today.0 - last.0).num_days();
        if (0..=DAYS_AHEAD_MAX).contains(&ahead) {
            return Ok(None);
        }
        // A manager who opens the day has not seen the date yet, so being signed in is not enough.
        let Some(approval) = approval else {
            return Err(Refusal::new(RefusalCode::DateApprovalRequired)
                .with("last", last.to_string())
                .with("today", today.to_string()));
        };
        Ok(Some(self.manager_by_pin(approval, call)?))
    }

    pub(crate) fn x_report(&mut self, print: bool, call: &mut Call) -> Outcome {
        self.signed_in()?;
        let shift = self.open_shift_or_refuse()?;
        let mut report = self.report_view(&shift, None)?;
        if !print {
            return Ok(Reply::Report(Box::new(report)));
        }
        let job = self.report_job(&shift, None, call)?;
        report.job = job.as_ref().map(|job| job.job);
        self.keep_jobs(
            job.into_iter().collect(),
            Reply::Report(Box::new(report)),
            call,
        )
    }

    pub(crate) fn close_shift(
        &mut self,
        count: &[Pieces],
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Outcome {
        let member = self.signed_in()?;
        self.require_no_tenders()?;
        let terms = self.terms(call)?;
        let shift = self.open_shift_or_refuse()?;
        let (count, counted_minor) = read_count(count, terms.store.currency)?;
        let difference_minor = counted_minor
            .checked_sub(shift.totals.expected_minor)
            .ok_or(RefusalCode::AmountOverflow)?;
        let limit_minor = terms.store.over_short_limit_minor;
        let approved_by = if difference_minor.unsigned_abs() > limit_minor.unsigned_abs() {
            let by = self
                .approved_by(approval, RefusalCode::DifferenceApprovalRequired, call)
                .map_err(|refusal| {
                    if refusal.code == RefusalCode::DifferenceApprovalRequired {
                        refusal
                            .with("difference_minor", difference_minor)
                            .with("limit_minor", limit_minor)
                    } else {
                        refusal
                    }
                })?;
            Some(by)
        } else {
            None
        };
        // A manager's PIN may have written events of its own: the report covers what is there now.
        let shift = self.open_shift_or_refuse()?;
        let closed = self.z_report(
            &shift,
            member.user,
            approved_by,
            count,
            counted_minor,
            difference_minor,
        )?;
        let event = EventId(call.uuid());
        let mut report = self.report_view(&shift, Some(&closed))?;
        let document = self.report_document(&shift, Some((&closed, call.now.wall_ms)), call);
        report.png_base64 = Some(self.picture(&document));
        let job = self.document_job(
            &document,
            ledger::PrintKind::Report,
            format!("Z{}", closed.z_number),
            0,
            call,
        );
        report.job = job.as_ref().map(|job| job.job);
        let reply = Reply::Report(Box::new(report));
        let reply = self.record_fact(
            event,
            &Fact::ShiftClosed(closed),
            job.into_iter().collect(),
            reply,
            call,
        )?;
        self.sync_requested = true;
        Ok(reply)
    }

    fn z_report(
        &self,
        shift: &OpenShift,
        user: UserId,
        approved_by: Option<UserId>,
        count: CashCount,
        counted_minor: i64,
        difference_minor: i64,
    ) -> Result<ShiftClosed, Refusal> {
        let book = self.book()?;
        let failed = |error: ledger::LedgerError| storage_refusal(&error);
        let head: StreamHead = book.head();
        Ok(ShiftClosed {
            shift: shift.opened.shift,
            z_number: book.last_z().map_err(failed)?.saturating_add(1),
            user,
            approved_by,
            from_seq: shift.opened_seq,
            to: head,
            totals: shift.totals.clone(),
            count,
            counted_minor,
            difference_minor,
            perpetual_minor: book.perpetual_minor().map_err(failed)?,
            blind: false,
            deposit: Default::default(),
        })
    }

    pub(crate) fn open_drawer(&mut self, call: &mut Call) -> Outcome {
        let member = self.signed_in()?;
        let shift = self.open_shift_or_refuse()?;
        let event = EventId(call.uuid());
        let fact = Fact::DrawerOpened(DrawerOpened {
            shift: shift.opened.shift,
            user: member.user,
            reason: DrawerReason::NoSale,
            slip: None,
            note: None,
        });
        let kick = self.kick_job(true, call);
        self.record_fact(
            event,
            &fact,
            kick.into_iter().collect(),
            Reply::Done {},
            call,
        )
    }
}

/// Reads a count: known denominations, no negative pieces, each denomination once or summed.
fn read_count(pieces: &[Pieces], currency: Currency) -> Result<(CashCount, i64), Refusal> {
    let mut count = CashCount::new();
    for entry in pieces {
        let sum = count.entry(entry.denomination_minor).or_insert(0);
        *sum = sum
            .checked_add(entry.pieces)
            .ok_or(RefusalCode::AmountOverflow)?;
        if entry.pieces < 0 {
            return Err(count_invalid(entry.denomination_minor));
        }
    }
    count.retain(|_, pieces| *pieces != 0);
    let total = cash::count_total(&count, currency).map_err(|error| match error {
        CountError::UnknownDenomination { denomination_minor }
        | CountError::NegativePieces { denomination_minor } => count_invalid(denomination_minor),
        CountError::Overflow => RefusalCode::AmountOverflow.into(),
    })?;
    if total > domain::money::MINOR_MAX {
        return Err(RefusalCode::AmountOverflow.into());
    }
    Ok((count, total))
}

fn count_invalid(denomination_minor: i64) -> Refusal {
    Refusal::new(RefusalCode::CountInvalid).with("denomination_minor", denomination_minor)
}
