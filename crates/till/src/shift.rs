//! The shift: counted open, X at any time, counted close with its Z. None of it waits for anything outside.

use domain::cash::{self, CountError};
use domain::catalog::Language;
use domain::config::{DRAWERS_MAX, DrawerRules, Role};
use domain::event::{
    CashCount, CashMoved, CashMovement, DrawerCount, DrawerHandedOver, DrawerOpened, DrawerReason,
    Fact, PeriodKind, ShiftClosed, ShiftCounted, ShiftOpened, SlipNumber,
};
use domain::ids::{Digest, EventId, ShiftId, UserId};
use domain::number::slip_number;
use domain::time::BusinessDate;
use ledger::{NewPrintJob, OpenShift, StoredClosing};
use receipt::{CashSlip, Document, PeriodReport};
use sha2::{Digest as _, Sha256};

use crate::checkout::Terms;
use crate::door::{Answer, Approval, CountView, Pieces, Refusal, RefusalCode, Reply, SlipView};
use crate::drafts::Change;
use crate::till::{Call, Outcome, Till, encode, storage_refusal};

/// Days between two trading days above which a manager confirms that the clock is right.
const DAYS_AHEAD_MAX: i64 = 2;

impl Till {
    pub(crate) fn open_shift(
        &mut self,
        count: &[Pieces],
        drawer: Option<u32>,
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Outcome {
        let member = self.signed_in()?;
        let store = self.store()?;
        let book = self.book()?;
        let failed = |error: ledger::LedgerError| storage_refusal(&error);
        if !book.ready_to_sell().map_err(failed)? {
            return Err(RefusalCode::NotReady.into());
        }
        let drawer = drawer.unwrap_or(self.drawer);
        check_drawer(drawer, &store.drawer)?;
        if drawer != self.drawer {
            // Money that was taken for the cart in hand lies in the other drawer.
            self.require_no_tenders()?;
        }
        let open = book.open_shifts().map_err(failed)?;
        if open.iter().any(|shift| shift.opened.drawer == drawer) {
            return Err(RefusalCode::ShiftOpen.into());
        }
        // A drawer that joins after midnight joins the trading day that is under way.
        let joined = open.iter().map(|shift| shift.opened.business_date).max();
        let today = self.today(call)?;
        let denominations = store.denominations_on(joined.unwrap_or(today));
        let (count, float_minor) = read_count(count, &denominations)?;
        let (business_date, approved_by) = match joined {
            Some(date) => (date, None),
            None => (today, self.date_approval(today, approval, call)?),
        };
        let shift = ShiftId(call.uuid());
        let event = EventId(call.uuid());
        let fact = Fact::ShiftOpened(ShiftOpened {
            shift,
            drawer,
            business_date,
            user: member.user,
            currency: store.currency,
            count,
            float_minor,
            approved_by,
            shift_key: self.new_shift_key(shift, call),
        });
        let reply = self.record_day(Some((event, fact)), business_date, Reply::Done {}, call)?;
        self.adopt_after_fact(
            Change {
                drawer: Some(drawer),
                ..Change::default()
            },
            call.now.wall_ms,
        );
        self.sync_requested = true;
        Ok(reply)
    }

    /// Closes what has to be closed before trading on `date`, then writes the opening; all of it or nothing.
    fn record_day(
        &mut self,
        opening: Option<(EventId, Fact)>,
        date: BusinessDate,
        reply: Reply,
        call: &mut Call,
    ) -> Outcome {
        let terms = Terms {
            store: self.store()?,
            date,
        };
        let language = self.receipt_language(&terms);
        let answer = Answer::Ok(reply);
        let text = encode(&answer);
        let (id, digest, now) = (call.id, call.digest, call.now);
        let mut ids = Vec::new();
        for _ in PeriodKind::ALL {
            ids.push(EventId(call.uuid()));
        }
        let mut ids = ids.into_iter();
        let mut jobs = self.report_jobs(call);
        let written = self.book_mut()?.write(|tx| {
            let closings = tx.close_periods(&now, date, || {
                ids.next().expect("there is an id for each kind")
            })?;
            if opening.is_none() && closings.is_empty() {
                return Err(Written::NothingDue);
            }
            for closing in closings {
                let number = closing.closed.document_number();
                let document = period_document(&closing, &terms, language, tx.identity());
                let document = document.to_json();
                tx.keep_report(&number, &document)?;
                if let Some(job) = jobs.pop() {
                    tx.queue_print(&NewPrintJob {
                        number,
                        document,
                        ..job
                    })?;
                }
            }
            if let Some((event, fact)) = &opening {
                tx.append(&now, *event, fact)?;
            }
            Ok(tx.store_answer(id, digest, &text, now.wall_ms)?)
        });
        match written {
            Ok(()) => {}
            Err(Written::NothingDue) => return Err(RefusalCode::NothingToClose.into()),
            Err(Written::Failed(error)) => return Err(storage_refusal(&error)),
        }
        call.stored = true;
        match answer {
            Answer::Ok(reply) => Ok(reply),
            Answer::Refused(refusal) => Err(refusal),
        }
    }

    /// Empty jobs for the closings that may be due; none without a printer.
    fn report_jobs(&self, call: &mut Call) -> Vec<NewPrintJob> {
        let blank = Document::new(self.settings.language);
        let job = |call: &mut Call| {
            self.document_job(&blank, ledger::PrintKind::Report, String::new(), 0, call)
        };
        let mut jobs = Vec::new();
        for _ in PeriodKind::ALL {
            jobs.extend(job(call));
        }
        jobs
    }

    pub(crate) fn close_periods(
        &mut self,
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Outcome {
        self.signed_in()?;
        self.approved_by(approval, RefusalCode::ManagerRequired, call)?;
        let failed = |error: ledger::LedgerError| storage_refusal(&error);
        if !self.book()?.open_shifts().map_err(failed)?.is_empty() {
            return Err(RefusalCode::ShiftOpen.into());
        }
        let today = self.today(call)?;
        self.record_day(None, today, Reply::Done {}, call)
    }

    pub(crate) fn use_drawer(&mut self, drawer: u32, call: &mut Call) -> Outcome {
        self.signed_in()?;
        self.require_no_tenders()?;
        check_drawer(drawer, &self.store()?.drawer)?;
        let change = Change {
            drawer: Some(drawer),
            ..Change::default()
        };
        call.draft(self, change, Reply::Done {})
    }

    pub(crate) fn move_cash(
        &mut self,
        movement: CashMovement,
        amount_minor: i64,
        reason: &str,
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Outcome {
        let member = self.signed_in()?;
        let shift = self.open_shift_or_refuse()?;
        let store = self.store()?;
        let reason = read_reason(reason)?;
        if amount_minor <= 0 || amount_minor > domain::money::MINOR_MAX {
            return Err(RefusalCode::AmountInvalid.into());
        }
        let rules = &store.drawer;
        let takes_out = movement != CashMovement::PayIn;
        if takes_out && amount_minor > shift.totals.expected_minor {
            let refusal = Refusal::new(RefusalCode::DrawerShort);
            return Err(if rules.blind_count {
                refusal
            } else {
                refusal.with("expected_minor", shift.totals.expected_minor)
            });
        }
        // Near the largest amount a sum would no longer be exact on a screen.
        let after = shift.totals.expected_minor.checked_add(amount_minor);
        if after.is_none_or(|after| after > domain::money::MINOR_MAX) {
            return Err(RefusalCode::AmountOverflow.into());
        }
        let free = rules.pay_out_limit_minor.unwrap_or(0);
        let approved_by = if movement == CashMovement::PayOut && amount_minor > free {
            Some(self.approved_by(approval, RefusalCode::ManagerRequired, call)?)
        } else {
            None
        };
        let slip = self.next_slip(&shift)?;
        let number = slip.number.clone();
        let fact = Fact::CashMoved(CashMoved {
            shift: shift.opened.shift,
            movement,
            slip,
            business_date: shift.opened.business_date,
            amount_minor,
            reason: reason.clone(),
            user: member.user,
            approved_by,
        });
        self.record_slip(
            &shift,
            &fact,
            SlipView {
                number,
                movement: Some(movement),
                amount_minor,
                reason,
                job: None,
            },
            (member.user, approved_by),
            call,
        )
    }

    fn next_slip(&self, shift: &OpenShift) -> Result<SlipNumber, Refusal> {
        let book = self.book()?;
        let fiscal_year = shift.opened.business_date.fiscal_year();
        let number_seq = book
            .next_slip(fiscal_year)
            .map_err(|error| storage_refusal(&error))?;
        let identity = book.identity();
        Ok(SlipNumber {
            number: slip_number(
                &identity.store,
                &identity.till,
                identity.stream,
                fiscal_year,
                number_seq,
            ),
            number_seq,
        })
    }

    /// Writes a fact with its slip and the pulse that opens the drawer.
    fn record_slip(
        &mut self,
        shift: &OpenShift,
        fact: &Fact,
        mut view: SlipView,
        (user, approved_by): (UserId, Option<UserId>),
        call: &mut Call,
    ) -> Outcome {
        let terms = self.terms(call)?;
        let language = self.receipt_language(&terms);
        let document = CashSlip {
            language,
            store: crate::paper::identity(&terms, language),
            movement: view.movement,
            number: view.number.clone(),
            business_date: shift.opened.business_date.0,
            wall: crate::paper::local(call.now.wall_ms, &terms),
            till: self.book()?.identity().till.to_string(),
            drawer: shift.opened.drawer,
            user: self.display_name(user),
            approved_by: approved_by.map(|user| self.display_name(user)),
            currency: terms.store.currency,
            amount_minor: view.amount_minor,
            reason: view.reason.clone(),
        }
        .to_document();
        let event = EventId(call.uuid());
        let kind = ledger::PrintKind::Report;
        let paper = self.document_job(&document, kind, view.number.clone(), 0, call);
        view.job = paper.as_ref().map(|job| job.job);
        let mut jobs: Vec<NewPrintJob> = paper.into_iter().collect();
        jobs.extend(self.kick_job(true, call));
        let reply = self.record_fact(event, fact, jobs, Reply::Slip(Box::new(view)), call)?;
        self.sync_requested = true;
        Ok(reply)
    }

    pub(crate) fn count_drawer(&mut self, count: &[Pieces], call: &mut Call) -> Outcome {
        let member = self.signed_in()?;
        let shift = self.open_shift_or_refuse()?;
        let store = self.store()?;
        let blind = store.drawer.blind_count && member.role == Role::Cashier;
        let denominations = store.denominations_on(shift.opened.business_date);
        let (count, counted_minor) = read_count(count, &denominations)?;
        let expected_minor = shift.totals.expected_minor;
        let difference_minor = counted_minor
            .checked_sub(expected_minor)
            .ok_or(RefusalCode::AmountOverflow)?;
        let event = EventId(call.uuid());
        let fact = Fact::ShiftCounted(ShiftCounted {
            shift: shift.opened.shift,
            user: member.user,
            blind,
            count: DrawerCount {
                count,
                counted_minor,
                expected_minor,
            },
        });
        let view = CountView {
            counted_minor,
            expected_minor: (!blind).then_some(expected_minor),
            difference_minor: (!blind).then_some(difference_minor),
        };
        let kick = self.kick_job(true, call);
        let jobs = kick.into_iter().collect();
        self.record_fact(event, &fact, jobs, Reply::Counted(Box::new(view)), call)
    }

    pub(crate) fn hand_over(
        &mut self,
        to: UserId,
        pin: &str,
        count: Option<&[Pieces]>,
        call: &mut Call,
    ) -> Outcome {
        self.signed_in()?;
        self.require_no_tenders()?;
        let shift = self.open_shift_or_refuse()?;
        if shift.holder == to {
            return Err(RefusalCode::HandOverToSelf.into());
        }
        let denominations = self.store()?.denominations_on(shift.opened.business_date);
        let count = count
            .map(|count| read_count(count, &denominations))
            .transpose()?;
        self.check_pin_of(to, pin, call)?;
        // The receiver's PIN may have written events of its own.
        let shift = self.open_shift_or_refuse()?;
        let event = EventId(call.uuid());
        let fact = Fact::DrawerHandedOver(DrawerHandedOver {
            shift: shift.opened.shift,
            from: shift.holder,
            to,
            count: count.map(|(count, counted_minor)| DrawerCount {
                count,
                counted_minor,
                expected_minor: shift.totals.expected_minor,
            }),
        });
        let mut change = self.shelve_cart(None, call);
        change.user = Some(Some(to));
        let kick = self.kick_job(true, call);
        let reply = self.record_fact(
            event,
            &fact,
            kick.into_iter().collect(),
            Reply::Done {},
            call,
        )?;
        self.adopt_after_fact(change, call.now.wall_ms);
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

    pub(crate) fn x_report(
        &mut self,
        print: bool,
        approval: Option<&Approval>,
        call: &mut Call,
    ) -> Outcome {
        self.signed_in()?;
        // A reading of the drawer would tell a cashier what to count.
        if self.store()?.drawer.blind_count {
            self.approved_by(approval, RefusalCode::ManagerRequired, call)?;
        }
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
        let (count, counted_minor) = read_count(count, &terms.store.denominations_on(terms.date))?;
        let difference_minor = counted_minor
            .checked_sub(shift.totals.expected_minor)
            .ok_or(RefusalCode::AmountOverflow)?;
        let limit_minor = terms.store.over_short_limit_minor;
        let blind = terms.store.drawer.blind_count && member.role == Role::Cashier;
        let approved_by = if difference_minor.unsigned_abs() > limit_minor.unsigned_abs() {
            if blind && approval.is_none() {
                // Who counts until it fits leaves every count behind.
                self.note_count(&shift, member.user, (&count, counted_minor), call)?;
                return Err(
                    Refusal::new(RefusalCode::BlindCountDiffers).with("limit_minor", limit_minor)
                );
            }
            let otherwise = RefusalCode::DifferenceApprovalRequired;
            let by = self
                .approved_by(approval, otherwise, call)
                .map_err(|refusal| {
                    if refusal.code == otherwise {
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
        // A manager's PIN or a jump of the clock may write events of their own: the report covers what is there then.
        let (jump, now) = (EventId(call.uuid()), call.now);
        let noted = self.book_mut()?.write(|tx| tx.note_clock(&now, jump));
        noted.map_err(|error: ledger::LedgerError| storage_refusal(&error))?;
        let shift = self.open_shift_or_refuse()?;
        let deposit = cash::suggest_deposit(&count, shift.totals.float_minor);
        let mut closed = self.z_report(&shift, member.user, approved_by, count, counted_minor)?;
        closed.blind = blind;
        closed.deposit = deposit;
        let document = self.report_document(&shift, Some((&closed, call.now.wall_ms)), call);
        let paper = document.to_json();
        closed.paper = Some(Digest(Sha256::digest(&paper).into()));
        let number = format!("Z{}", closed.z_number);
        let event = EventId(call.uuid());
        let mut report = self.report_view(&shift, Some(&closed))?;
        report.png_base64 = Some(self.picture(&document));
        let kind = ledger::PrintKind::Report;
        let job = self.document_job(&document, kind, number.clone(), 0, call);
        report.job = job.as_ref().map(|job| job.job);
        let answer = Answer::Ok(Reply::Report(Box::new(report)));
        let text = encode(&answer);
        let (id, digest, fact) = (call.id, call.digest, Fact::ShiftClosed(closed));
        let written = self.book_mut()?.write(|tx| {
            tx.append(&now, event, &fact)?;
            tx.keep_report(&number, &paper)?;
            if let Some(job) = job {
                tx.queue_print(&job)?;
            }
            tx.store_answer(id, digest, &text, now.wall_ms)
        });
        written.map_err(|error: ledger::LedgerError| storage_refusal(&error))?;
        call.stored = true;
        self.sync_requested = true;
        self.catch_up_signatures();
        match answer {
            Answer::Ok(reply) => Ok(reply),
            Answer::Refused(refusal) => Err(refusal),
        }
    }

    fn note_count(
        &mut self,
        shift: &OpenShift,
        user: UserId,
        (count, counted_minor): (&CashCount, i64),
        call: &mut Call,
    ) -> Result<(), Refusal> {
        let (event, now) = (EventId(call.uuid()), call.now);
        let fact = Fact::ShiftCounted(ShiftCounted {
            shift: shift.opened.shift,
            user,
            blind: true,
            count: DrawerCount {
                count: count.clone(),
                counted_minor,
                expected_minor: shift.totals.expected_minor,
            },
        });
        let written = self
            .book_mut()?
            .write(|tx| tx.append(&now, event, &fact).map(drop));
        written.map_err(|error: ledger::LedgerError| storage_refusal(&error))
    }

    fn z_report(
        &self,
        shift: &OpenShift,
        user: UserId,
        approved_by: Option<UserId>,
        count: CashCount,
        counted_minor: i64,
    ) -> Result<ShiftClosed, Refusal> {
        let book = self.book()?;
        let failed = |error: ledger::LedgerError| storage_refusal(&error);
        let difference_minor = counted_minor
            .checked_sub(shift.totals.expected_minor)
            .ok_or(RefusalCode::AmountOverflow)?;
        Ok(ShiftClosed {
            shift: shift.opened.shift,
            z_number: book.last_z().map_err(failed)?.saturating_add(1),
            user,
            approved_by,
            from_seq: shift.opened_seq,
            to: book.head(),
            totals: shift.totals.clone(),
            count,
            counted_minor,
            difference_minor,
            perpetual_minor: book.perpetual_minor().map_err(failed)?,
            blind: false,
            deposit: CashCount::new(),
            paper: None,
        })
    }

    pub(crate) fn open_drawer(&mut self, reason: &str, call: &mut Call) -> Outcome {
        let member = self.signed_in()?;
        let shift = self.open_shift_or_refuse()?;
        let reason = read_reason(reason)?;
        let slip = self.next_slip(&shift)?;
        let view = SlipView {
            number: slip.number.clone(),
            movement: None,
            amount_minor: 0,
            reason: reason.clone(),
            job: None,
        };
        let fact = Fact::DrawerOpened(DrawerOpened {
            shift: shift.opened.shift,
            user: member.user,
            reason: DrawerReason::NoSale,
            slip: Some(slip),
            note: Some(reason),
        });
        self.record_slip(&shift, &fact, view, (member.user, None), call)
    }
}

/// Why the opening of a day was not written.
enum Written {
    NothingDue,
    Failed(ledger::LedgerError),
}

impl From<ledger::LedgerError> for Written {
    fn from(error: ledger::LedgerError) -> Written {
        Written::Failed(error)
    }
}

fn check_drawer(drawer: u32, rules: &DrawerRules) -> Result<(), Refusal> {
    if drawer == 0 || drawer > rules.drawers.clamp(1, DRAWERS_MAX) {
        return Err(Refusal::new(RefusalCode::UnknownDrawer).with("drawer", drawer));
    }
    Ok(())
}

/// Longest reason for a movement of cash.
const REASON_CHARS_MAX: usize = 80;

fn read_reason(reason: &str) -> Result<String, Refusal> {
    let reason = reason.trim();
    let fits = (1..=REASON_CHARS_MAX).contains(&reason.chars().count());
    if !fits || reason.chars().any(char::is_control) {
        return Err(Refusal::new(RefusalCode::TextInvalid).with("field", "reason"));
    }
    Ok(reason.to_owned())
}

/// The paper of a closing.
pub(crate) fn period_document(
    closing: &StoredClosing,
    terms: &Terms,
    language: Language,
    identity: &ledger::Identity,
) -> Document {
    PeriodReport {
        language,
        store: crate::paper::identity(terms, language),
        till: identity.till.to_string(),
        currency: terms.store.currency,
        closed_at: crate::paper::local(closing.wall, terms),
        closed: &closing.closed,
        seal: seal(closing.at.at.hash),
    }
    .to_document()
}

/// First digits of a hash, for people to compare.
pub(crate) fn seal(hash: Digest) -> String {
    hash.to_string().chars().take(16).collect()
}

/// Reads a count: known denominations, no negative pieces, each denomination once or summed.
fn read_count(pieces: &[Pieces], denominations: &[i64]) -> Result<(CashCount, i64), Refusal> {
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
    let total = cash::count_total(&count, denominations).map_err(|error| match error {
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
