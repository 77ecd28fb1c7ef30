//! Reports that stay: Z reports and closings by number, their reprints, and trial balances.

use std::collections::BTreeMap;

use domain::config::Role;
use domain::event::{Fact, PeriodKind, Reprinted, ShiftClosed, ShiftOpened};
use domain::ids::{EventId, ShiftId, StreamId, UserId};
use domain::posting;
use domain::quantity::Quantity;
use ledger::{Ledger, LedgerError, OpenShift, PrintKind, StoredClosing};
use receipt::Document;

use crate::checkout::Terms;
use crate::door::{
    BalanceRow, BalanceView, LevyView, PeriodView, Refusal, RefusalCode, Reply, ReportRow,
    ReportView, StockBalanceRow,
};
use crate::shift::{period_document, seal};
use crate::stockroom::ROWS_MAX;
use crate::till::{Call, Outcome, Till, storage_refusal};
use crate::views::{cash_stamp_view, tax_views};

/// Rows of each kind unless asked otherwise.
const REPORTS_DEFAULT: u32 = 30;
/// Events read at a time for a trial balance.
const EVENTS_AT_ONCE: usize = 500;

/// Which reports of a ledger are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Those of its own stream.
    Native,
    /// Those that it adopted.
    Adopted,
}

impl Reading {
    /// How a report of `stream` stands in a book.
    fn of(book: &Ledger, stream: StreamId) -> Reading {
        if book.identity().stream == stream {
            Reading::Native
        } else {
            Reading::Adopted
        }
    }
}

/// What a number names.
#[derive(Clone, Copy)]
enum Named {
    Z(u64),
    Period(PeriodKind, u64),
}

fn named(number: &str) -> Option<Named> {
    let number = number.trim();
    let mut chars = number.chars();
    let letter = chars.next()?;
    let digits = chars.as_str();
    if digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match letter {
        'Z' => Named::Z(value),
        'D' => Named::Period(PeriodKind::Day, value),
        'M' => Named::Period(PeriodKind::Month, value),
        'Y' => Named::Period(PeriodKind::Year, value),
        _ => return None,
    })
}

fn unknown(number: &str) -> Refusal {
    let shown: String = number
        .chars()
        .filter(|c| !c.is_control())
        .take(24)
        .collect();
    Refusal::new(RefusalCode::UnknownReport).with("number", shown)
}

fn failed(error: LedgerError) -> Refusal {
    storage_refusal(&error)
}

impl Till {
    pub(crate) fn list_reports(&self, limit: Option<u32>) -> Outcome {
        self.signed_in()?;
        let limit = limit.unwrap_or(REPORTS_DEFAULT).clamp(1, ROWS_MAX);
        let mut rows = self.report_rows(self.book()?, limit)?;
        self.in_earlier(|ledger| {
            match self.report_rows(ledger, limit) {
                Ok(earlier) => {
                    for row in earlier {
                        if !rows.iter().any(|(_, known)| known.number == row.1.number) {
                            rows.push(row);
                        }
                    }
                }
                Err(refusal) => pass_over(&refusal),
            }
            Ok(None::<()>)
        });
        // Newest first; of those written together, the longest period first.
        rows.sort_by_key(|(wall, row)| std::cmp::Reverse((*wall, row.period)));
        let mut listed: BTreeMap<Option<PeriodKind>, u32> = BTreeMap::new();
        rows.retain(|(_, row)| {
            let count = listed.entry(row.period).or_insert(0);
            *count += 1;
            *count <= limit
        });
        let reports = rows.into_iter().map(|(_, row)| row).collect();
        Ok(Reply::Reports { reports })
    }

    fn report_rows(&self, book: &Ledger, limit: u32) -> Result<Vec<(i64, ReportRow)>, Refusal> {
        let offset = self.store()?.utc_offset_min;
        let mut rows: Vec<(i64, ReportRow)> = Vec::new();
        for z in book.z_numbers(limit).map_err(failed)? {
            let Some((closed, opened, wall)) = book.z_report(z).map_err(failed)? else {
                continue;
            };
            rows.push((
                wall,
                ReportRow {
                    number: format!("Z{z}"),
                    name: opened.business_date.to_string(),
                    period: None,
                    at: domain::time::local_minute(wall, offset),
                    takings_minor: closed.totals.takings_minor,
                    difference_minor: closed.difference_minor,
                },
            ));
        }
        for kind in PeriodKind::ALL {
            for closing in book.closings(kind, limit).map_err(failed)? {
                let StoredClosing { closed, wall, .. } = closing;
                let totals = &closed.totals;
                rows.push((
                    wall,
                    ReportRow {
                        number: closed.document_number(),
                        name: kind.name(closed.to),
                        period: Some(kind),
                        at: domain::time::local_minute(wall, offset),
                        takings_minor: totals.sales_minor.saturating_add(totals.reversals_minor),
                        difference_minor: totals.over_short_minor,
                    },
                ));
            }
        }
        Ok(rows)
    }

    /// Looks into this ledger, then into the files of earlier streams, newest first: the places that a report states are
    /// those of the stream that it was written in. Where that file is gone or cannot be read, what this ledger adopted
    /// of it is all there is.
    fn in_books<T>(
        &self,
        look: impl Fn(&Ledger, Reading) -> Result<Option<T>, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        let here = look(self.book()?, Reading::Native)?;
        if here.is_some() {
            return Ok(here);
        }
        let earlier = self.in_earlier(|ledger| {
            Ok(look(ledger, Reading::Native).unwrap_or_else(|refusal| {
                pass_over(&refusal);
                None
            }))
        });
        match earlier {
            Some(found) => Ok(Some(found)),
            None => look(self.book()?, Reading::Adopted),
        }
    }

    pub(crate) fn get_report(&mut self, number: &str) -> Outcome {
        self.signed_in()?;
        Ok(self.report_by_number(number.trim())?.1)
    }

    /// The report's document as it was first issued, and what screens show of it.
    fn report_by_number(&mut self, number: &str) -> Result<(Document, Reply), Refusal> {
        match named(number).ok_or_else(|| unknown(number))? {
            Named::Z(z) => self.z_by_number(z, number),
            Named::Period(kind, value) => self.period_by_number(kind, value, number),
        }
    }

    fn z_by_number(&mut self, z: u64, number: &str) -> Result<(Document, Reply), Refusal> {
        let found = self.in_books(|book, reading| self.z_in((book, reading), z, number))?;
        let (document, mut report) = found.ok_or_else(|| unknown(number))?;
        report.copies = report
            .copies
            .max(self.book()?.copies(number).map_err(failed)?);
        report.png_base64 = Some(self.picture(&document));
        Ok((document, Reply::Report(Box::new(report))))
    }

    fn z_in(
        &self,
        (book, reading): (&Ledger, Reading),
        z: u64,
        number: &str,
    ) -> Result<Option<(Document, ReportView)>, Refusal> {
        let Some((closed, opened, wall)) = z_of(book, reading, z)? else {
            return Ok(None);
        };
        let (opened_seq, to_seq) = span_of(book, &closed)?;
        let shift = OpenShift {
            holder: holder_at_closing(book, (opened_seq, to_seq), &closed, &opened)?,
            opened_seq,
            opened_wall: wall_of(book, opened_seq)?,
            totals: closed.totals.clone(),
            opened,
        };
        let document = match issued(book, number)? {
            Some(document) => document,
            // Closed before papers were kept.
            None => self.closed_document(&shift, &closed, wall)?,
        };
        let mut report = self.report_view(&shift, Some(&closed))?;
        report.copies = book.copies(number).map_err(failed)?;
        Ok(Some((document, report)))
    }

    fn period_by_number(
        &mut self,
        kind: PeriodKind,
        value: u64,
        number: &str,
    ) -> Result<(Document, Reply), Refusal> {
        let found =
            self.in_books(|book, reading| self.period_in((book, reading), kind, value, number))?;
        let (document, closing, copies) = found.ok_or_else(|| unknown(number))?;
        let copies = copies.max(self.book()?.copies(number).map_err(failed)?);
        let offset = self.store()?.utc_offset_min;
        let png_base64 = self.picture(&document);
        let StoredClosing { closed, at, wall } = closing;
        let totals = closed.totals.clone();
        let view = PeriodView {
            number: closed.document_number(),
            period: kind,
            name: kind.name(closed.to),
            at: domain::time::local_minute(wall, offset),
            z_numbers: closed.z_numbers,
            sales: totals.sales,
            sales_minor: totals.sales_minor,
            reversals: totals.reversals,
            reversals_minor: totals.reversals_minor,
            discounts_minor: totals.discounts_minor,
            rounding_minor: totals.rounding_minor,
            levies: totals
                .levies_minor
                .into_iter()
                .map(|(code, minor)| LevyView { code, minor })
                .collect(),
            cash_stamp: totals.cash_stamp.iter().map(cash_stamp_view).collect(),
            taxes: tax_views(&totals.taxes),
            tenders_minor: totals.tenders_minor,
            moved_minor: totals.moved_minor,
            over_short_minor: totals.over_short_minor,
            perpetual_minor: closed.perpetual_minor,
            covers: (closed.covers.from_seq, closed.covers.to.seq),
            seal: seal(at.at.hash),
            job: None,
            copies,
            png_base64,
        };
        Ok((document, Reply::Period(Box::new(view))))
    }

    fn period_in(
        &self,
        (book, reading): (&Ledger, Reading),
        kind: PeriodKind,
        value: u64,
        number: &str,
    ) -> Result<Option<(Document, StoredClosing, u32)>, Refusal> {
        let Some(closing) = closing_of(book, reading, kind, value)? else {
            return Ok(None);
        };
        let document = match issued(book, number)? {
            Some(document) => document,
            None => {
                let terms = Terms {
                    store: self.store()?,
                    date: closing.closed.to,
                };
                let language = self.receipt_language(&terms);
                period_document(&closing, &terms, language, book.identity())
            }
        };
        let copies = book.copies(number).map_err(failed)?;
        Ok(Some((document, closing, copies)))
    }

    pub(crate) fn reprint_report(&mut self, number: &str, call: &mut Call) -> Outcome {
        let user = self.signed_in()?.user;
        let number = number.trim();
        let (document, mut reply) = self.report_by_number(number)?;
        let copies = match &reply {
            Reply::Report(report) => report.copies,
            Reply::Period(period) => period.copies,
            _ => 0,
        };
        let copy = copies.saturating_add(1);
        let document = document.as_copy(copy);
        let job = self.document_job(&document, PrintKind::Copy, number.to_owned(), copy, call);
        let picture = self.picture(&document);
        match &mut reply {
            Reply::Report(report) => {
                report.copies = copy;
                report.job = job.as_ref().map(|job| job.job);
                report.png_base64 = Some(picture);
            }
            Reply::Period(period) => {
                period.copies = copy;
                period.job = job.as_ref().map(|job| job.job);
                period.png_base64 = picture;
            }
            _ => {}
        }
        let event = EventId(call.uuid());
        let fact = Fact::Reprinted(Reprinted {
            number: number.to_owned(),
            copy,
            user,
        });
        self.record_fact(event, &fact, job.into_iter().collect(), reply, call)
    }

    pub(crate) fn trial_balance(&self, number: Option<&str>) -> Outcome {
        let member = self.signed_in()?;
        let number = number.unwrap_or_default().trim();
        // The account of cash would tell a cashier what to count.
        let is_open = matches!(number, "" | "X");
        if is_open && self.store()?.drawer.blind_count && member.role == Role::Cashier {
            return Err(RefusalCode::ManagerRequired.into());
        }
        let book = self.book()?;
        let head = book.head().seq;
        let sums = match number {
            "" => Some(sums(book, (1, head), None)?),
            "X" => {
                let shift = self.open_shift_or_refuse()?;
                let range = (shift.opened_seq, head);
                Some(sums(book, range, Some(shift.opened.shift))?)
            }
            number => {
                let named = named(number).ok_or_else(|| unknown(number))?;
                self.in_books(|book, reading| sums_of(book, reading, named))?
            }
        };
        let (money, stock) = sums.ok_or_else(|| unknown(number))?;
        Ok(Reply::Balance(Box::new(balance_view(
            number, money, stock,
        )?)))
    }
}

/// One that cannot be read was set aside for a reason.
fn pass_over(refusal: &Refusal) {
    tracing::warn!(code = ?refusal.code, "the file of an earlier stream is passed over");
}

/// Who answered for the drawer when it was closed; not always who closed it.
fn holder_at_closing(
    book: &Ledger,
    range: (u64, u64),
    closed: &ShiftClosed,
    opened: &ShiftOpened,
) -> Result<UserId, Refusal> {
    let mut holder = opened.user;
    if closed.totals.hand_overs == 0 {
        return Ok(holder);
    }
    each_fact(book, range, |fact| {
        if let Fact::DrawerHandedOver(handed) = fact
            && handed.shift == closed.shift
        {
            holder = handed.to;
        }
        Ok(())
    })?;
    Ok(holder)
}

fn wall_of(book: &Ledger, seq: u64) -> Result<i64, Refusal> {
    let events = book.events(seq, 1, usize::MAX).map_err(failed)?;
    let Some(event) = events.first() else {
        return Ok(0);
    };
    let effect = book.effect_of(seq, &event.bytes).map_err(failed)?;
    Ok(effect.map_or(event.wall, |(_, wall)| wall))
}

/// Calls `visit` with the facts from one event to another, both included, those that were adopted too. A later version's
/// fact is passed over: it is not for this one to read.
fn each_fact(
    book: &Ledger,
    (from_seq, to_seq): (u64, u64),
    mut visit: impl FnMut(&Fact) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    each_place(book, (from_seq, to_seq), |_, fact| visit(fact))
}

/// As [`each_fact`], with the place of each.
fn each_place(
    book: &Ledger,
    (from_seq, to_seq): (u64, u64),
    mut visit: impl FnMut(u64, &Fact) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut next = from_seq;
    while next <= to_seq {
        let events = book
            .events(next, EVENTS_AT_ONCE, usize::MAX)
            .map_err(failed)?;
        let Some(last) = events.last().map(|event| event.seq) else {
            break;
        };
        for event in events.iter().filter(|event| event.seq <= to_seq) {
            let effect = book.effect_of(event.seq, &event.bytes).map_err(failed)?;
            if let Some((fact, _)) = effect {
                visit(event.seq, &fact)?;
            }
        }
        next = last + 1;
    }
    Ok(())
}

/// Balances by account: money in minor units, goods in thousandths.
type Sums = (BTreeMap<String, i64>, BTreeMap<String, i64>);

fn sums(book: &Ledger, range: (u64, u64), shift: Option<ShiftId>) -> Result<Sums, Refusal> {
    let mut sums = Sums::default();
    each_fact(book, range, |fact| {
        if shift.is_none() || ledger::shift_of(fact) == shift {
            add_fact(&mut sums.0, &mut sums.1, fact)?;
        }
        Ok(())
    })?;
    Ok(sums)
}

type FoundZ = (ShiftClosed, ShiftOpened, i64);

fn z_of(book: &Ledger, reading: Reading, z: u64) -> Result<Option<FoundZ>, Refusal> {
    let found = book.z_report(z).map_err(failed)?;
    Ok(found.filter(|(closed, ..)| Reading::of(book, closed.to.stream) == reading))
}

fn closing_of(
    book: &Ledger,
    reading: Reading,
    kind: PeriodKind,
    value: u64,
) -> Result<Option<StoredClosing>, Refusal> {
    let found = book.closing(kind, value).map_err(failed)?;
    Ok(found.filter(|closing| Reading::of(book, closing.closed.covers.to.stream) == reading))
}

/// The places in this book that hold a shift: as the closing states them, or wherever they were adopted.
fn span_of(book: &Ledger, closed: &ShiftClosed) -> Result<(u64, u64), Refusal> {
    let head = book.head().seq;
    match Reading::of(book, closed.to.stream) {
        // The closing itself moves the counted cash, and stands after what it covers.
        Reading::Native => Ok((closed.from_seq, (closed.to.seq + 1).min(head))),
        Reading::Adopted => {
            let mut at = None;
            each_place(book, (1, head), |seq, fact| {
                let opens =
                    matches!(fact, Fact::ShiftOpened(opened) if opened.shift == closed.shift);
                if opens && at.is_none() {
                    at = Some(seq);
                }
                Ok(())
            })?;
            Ok((at.unwrap_or(1), head))
        }
    }
}

fn sums_of(book: &Ledger, reading: Reading, named: Named) -> Result<Option<Sums>, Refusal> {
    match named {
        Named::Z(z) => {
            let Some((closed, ..)) = z_of(book, reading, z)? else {
                return Ok(None);
            };
            let range = span_of(book, &closed)?;
            sums(book, range, Some(closed.shift)).map(Some)
        }
        Named::Period(kind, value) => {
            // What a longer closing covers is adopted in parts only: its file alone can be added up.
            let Some(closing) = closing_of(book, Reading::Native, kind, value)? else {
                return Ok(None);
            };
            let covers = closing.closed.covers;
            sums(book, (covers.from_seq, covers.to.seq), None).map(Some)
        }
    }
}

fn issued(book: &Ledger, number: &str) -> Result<Option<Document>, Refusal> {
    let text = book.report_document(number).map_err(failed)?;
    text.map(|text| {
        Document::from_json(&text).map_err(|error| {
            tracing::error!(error = %error, "a kept report cannot be read");
            Refusal::from(RefusalCode::Internal)
        })
    })
    .transpose()
}

fn add_fact(
    money: &mut BTreeMap<String, i64>,
    stock: &mut BTreeMap<String, i64>,
    fact: &Fact,
) -> Result<(), Refusal> {
    let add = |sums: &mut BTreeMap<String, i64>, account: String, amount: i64| {
        let sum = sums.entry(account).or_insert(0);
        *sum = sum.checked_add(amount).ok_or(RefusalCode::AmountOverflow)?;
        Ok::<(), RefusalCode>(())
    };
    let entries = posting::postings(fact).map_err(|_| RefusalCode::AmountOverflow)?;
    for entry in entries {
        add(money, entry.account.code(), entry.amount_minor)?;
    }
    for entry in posting::stock_postings(fact) {
        add(stock, entry.account.code(), entry.quantity.0)?;
    }
    Ok(())
}

fn balance_view(
    number: &str,
    money: BTreeMap<String, i64>,
    stock: BTreeMap<String, i64>,
) -> Result<BalanceView, Refusal> {
    let mut view = BalanceView {
        number: number.to_owned(),
        rows: Vec::new(),
        debit_minor: 0,
        credit_minor: 0,
        stock: stock
            .into_iter()
            .map(|(account, quantity)| StockBalanceRow {
                account,
                quantity: Quantity(quantity),
            })
            .collect(),
    };
    for (account, balance) in money {
        let row = BalanceRow {
            account,
            debit_minor: balance.max(0),
            credit_minor: balance
                .min(0)
                .checked_neg()
                .ok_or(RefusalCode::AmountOverflow)?,
        };
        let add =
            |sum: i64, amount: i64| sum.checked_add(amount).ok_or(RefusalCode::AmountOverflow);
        view.debit_minor = add(view.debit_minor, row.debit_minor)?;
        view.credit_minor = add(view.credit_minor, row.credit_minor)?;
        view.rows.push(row);
    }
    Ok(view)
}
