//! What each fact changes besides the journal. `verify.rs` computes the same from the stored bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::config::KeyAlgorithm;
use domain::event::{
    CashCount, ClosingSupplemented, DrawerCount, DrawerOpened, Event, Fact, Original, PeriodClosed,
    PeriodKind, PeriodTotals, Reprinted, Reversed, SaleBody, ShiftClosed, ShiftOpened, ShiftTotals,
    SlipNumber, Span, StreamOpened, chain_hash,
};
use domain::ids::{Digest, LocationId, ShiftId, StreamId, VariantId};
use domain::number::{receipt_number, slip_number};
use domain::posting::{self, Posting};
use domain::stock::{self, EventRef, Movement};

use crate::books::{Books, OpenBooks, shift_of};
use crate::error::LedgerError;
use crate::goods::Goods;
use crate::ledger::Ledger;
use crate::periods::kind_code;
use crate::sql::{Id, N, read_event};
use crate::stock::encode_moves;

/// How a fact stands in this stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Written here. It must be exactly what comes next.
    Own,
    /// Adopted before this stream had events of its own: what the earlier stream was about goes on with it. What it
    /// says of itself was true there and is taken as it is.
    Continued,
    /// Adopted later: it was missing when this stream began, and closings may have been written without it.
    Late,
}

/// A fact as it takes effect, out of its wrapper if it was adopted.
pub(crate) struct Told<'a> {
    /// None for an adopted event of a later version: it is kept, and means nothing here.
    fact: Option<Cow<'a, Fact>>,
    original: Option<Original>,
    standing: Standing,
    /// Late only: the shift of an opening or closing is in this stream too.
    known_shift: bool,
}

/// Where a fact takes effect.
#[derive(Clone, Copy)]
struct Effect {
    /// Its event in this file.
    seq: u64,
    /// The event as it was first written.
    at: EventRef,
    standing: Standing,
}

impl Effect {
    fn is_own(&self) -> bool {
        self.standing == Standing::Own
    }
}

/// Looks into a fact that is about to be appended.
pub(crate) fn tell<'a>(ledger: &Ledger, fact: &'a Fact) -> Result<Told<'a>, LedgerError> {
    let Fact::Adopted(adopted) = fact else {
        return Ok(Told {
            fact: Some(Cow::Borrowed(fact)),
            original: None,
            standing: Standing::Own,
            known_shift: false,
        });
    };
    let original = adopted
        .original()
        .ok_or_else(|| out_of_place(fact, "what it adopts is no event"))?;
    if original.at.stream == ledger.identity().stream {
        return Err(out_of_place(fact, "it is an event of this very stream"));
    }
    if ledger.knows_event(original.event.id)? {
        return Err(LedgerError::IdTaken);
    }
    let before = ledger.adopted_hashes(original.at.stream, original.at.seq.saturating_sub(1))?;
    if !chains(&before, &original) {
        return Err(out_of_place(fact, "it does not chain to the one before it"));
    }
    let late = original.recovered || ledger.first_own_event()?.is_some();
    let standing = if late {
        Standing::Late
    } else {
        Standing::Continued
    };
    let inner = original.event.fact().ok();
    let known_shift = match &inner {
        Some(inner) if late => match opened_or_closed(inner) {
            Some(shift) => ledger.knows_shift(shift)?,
            None => false,
        },
        _ => false,
    };
    Ok(Told {
        fact: inner.map(Cow::Owned),
        original: Some(original),
        standing,
        known_shift,
    })
}

/// Whether an adopted event follows from one of those that are known to stand before it; nothing known is no
/// objection, since what the server has is not adopted.
pub(crate) fn chains(before: &[Digest], original: &Original) -> bool {
    before.is_empty()
        || before
            .iter()
            .any(|hash| chain_hash(*hash, &original.bytes) == original.at.hash)
}

/// Shift that a fact opens or closes.
pub(crate) fn opened_or_closed(fact: &Fact) -> Option<ShiftId> {
    match fact {
        Fact::ShiftOpened(opened) => Some(opened.shift),
        Fact::ShiftClosed(closed) => Some(closed.shift),
        _ => None,
    }
}

/// Whether a fact that came late moves money here. The opening and closing of a shift that this stream goes on with
/// are in its own reports.
pub(crate) fn counts_late(fact: &Fact, known_shift: bool) -> bool {
    match fact {
        Fact::SaleCompleted(_) | Fact::Reversed(_) | Fact::CashMoved(_) => true,
        Fact::ShiftOpened(_) | Fact::ShiftClosed(_) => !known_shift,
        _ => false,
    }
}

impl Told<'_> {
    /// Refuses a fact that contradicts itself; returns what it moves per account.
    pub fn check(&self) -> Result<BTreeMap<String, i64>, LedgerError> {
        let Some(fact) = self.fact.as_deref() else {
            return Ok(BTreeMap::new());
        };
        if stock::check(fact).is_err() {
            return Err(out_of_place(
                fact,
                "its lines, quantities or places do not fit",
            ));
        }
        match self.standing {
            Standing::Own => check(fact),
            Standing::Late if !counts_late(fact, self.known_shift) => Ok(BTreeMap::new()),
            Standing::Continued | Standing::Late => {
                domain::sale::check_fact(fact)?;
                balances(fact)
            }
        }
    }

    /// Brings every projection up to the fact, whose `event` has just been inserted.
    pub fn apply(
        self,
        ledger: &Ledger,
        event: &Event,
        balances: &BTreeMap<String, i64>,
    ) -> Result<(), LedgerError> {
        let at = match &self.original {
            Some(original) => {
                remember(ledger, event.seq, original)?;
                &original.event
            }
            None => event,
        };
        let effect = Effect {
            seq: event.seq,
            at: EventRef {
                stream: at.stream,
                seq: at.seq,
                hlc: at.hlc,
            },
            standing: self.standing,
        };
        let Some(fact) = self.fact.as_deref() else {
            return Ok(());
        };
        add_goods(ledger, &effect, fact)?;
        match self.standing {
            Standing::Own => {
                // An earlier stream's rights ended with it.
                ledger.apply_rights(event.seq, fact)?;
                apply(ledger, &effect, fact, balances)
            }
            Standing::Continued => apply(ledger, &effect, fact, balances),
            Standing::Late => apply_late(ledger, &effect, fact, balances),
        }
    }
}

fn remember(ledger: &Ledger, seq: u64, original: &Original) -> Result<(), LedgerError> {
    ledger
        .prepare(
            "INSERT INTO adopted (id, seq, stream, old_seq, hash) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            Id(original.event.id.0),
            N(seq),
            original.at.stream.0,
            N(original.at.seq),
            original.at.hash.0,
        ))?;
    Ok(())
}

impl Ledger {
    /// Hashes after the adopted events that stood at a place; several where a stream forked.
    fn adopted_hashes(&self, stream: StreamId, seq: u64) -> Result<Vec<Digest>, LedgerError> {
        let mut statement = self
            .prepare("SELECT hash FROM adopted WHERE stream = ?1 AND old_seq = ?2 ORDER BY id")?;
        let rows = statement.query_map((stream.0, N(seq)), |row| row.get(0).map(Digest))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What an event of this journal does: its fact, out of the wrapper if it was adopted, and the clock of its writer.
    /// None for one that does nothing here: that of a later version, or the opening or closing, found late, of a shift
    /// that this stream went on with.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn effect_of(&self, seq: u64, bytes: &[u8]) -> Result<Option<(Fact, i64)>, LedgerError> {
        let Ok(event) = Event::decode(bytes) else {
            return Ok(None);
        };
        let Ok(fact) = event.fact() else {
            return Ok(None);
        };
        let Fact::Adopted(adopted) = &fact else {
            return Ok(Some((fact, event.wall)));
        };
        let Some(original) = adopted.original() else {
            return Ok(None);
        };
        let Ok(inner) = original.event.fact() else {
            return Ok(None);
        };
        let late = original.recovered || self.first_own_event()?.is_some_and(|first| first < seq);
        if late && opened_or_closed(&inner).is_some() && !self.counts_late(&inner)? {
            return Ok(None);
        }
        Ok(Some((inner, original.event.wall)))
    }

    fn knows_shift(&self, shift: ShiftId) -> Result<bool, LedgerError> {
        Ok(self
            .prepare("SELECT 1 FROM shift WHERE shift = ?1")?
            .exists([Id(shift.0)])?)
    }

    /// What the late events between two places of a stream come to.
    pub(crate) fn late_totals(&self, covers: &Span) -> Result<PeriodTotals, LedgerError> {
        let mut totals = PeriodTotals::default();
        let Some(first_own) = self.first_own_event()? else {
            return Ok(totals);
        };
        let mut statement = self.prepare(
            "SELECT e.seq, e.bytes FROM adopted a JOIN event e ON e.seq = a.seq \
             WHERE a.stream = ?1 AND a.old_seq BETWEEN ?2 AND ?3 AND a.seq > ?4 ORDER BY e.seq",
        )?;
        let mut rows = statement.query((
            covers.to.stream.0,
            N(covers.from_seq),
            N(covers.to.seq),
            N(first_own),
        ))?;
        while let Some(row) = rows.next()? {
            let (seq, bytes): (u64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let (event, _) = read_event(seq, &bytes)?;
            if let Ok(fact) = event.fact()
                && self.counts_late(&fact)?
            {
                totals.apply(&fact)?;
            }
        }
        Ok(totals)
    }

    /// As the function of this name, with what the table of shifts knows.
    pub(crate) fn counts_late(&self, fact: &Fact) -> Result<bool, LedgerError> {
        let known_shift = match opened_or_closed(fact) {
            Some(shift) => self.knows_shift(shift)?,
            None => false,
        };
        Ok(counts_late(fact, known_shift))
    }
}

/// Refuses a fact of this stream that contradicts itself.
fn check(fact: &Fact) -> Result<BTreeMap<String, i64>, LedgerError> {
    domain::sale::check_fact(fact)?;
    match fact {
        Fact::StreamOpened(_) => return Err(out_of_place(fact, "a stream opens once")),
        Fact::ShiftOpened(opened) if counted(&opened.count) != Some(opened.float_minor) => {
            return Err(out_of_place(fact, "its float is not the sum of its count"));
        }
        Fact::ShiftClosed(closed) if counted(&closed.count) != Some(closed.counted_minor) => {
            return Err(out_of_place(fact, "its cash is not the sum of its count"));
        }
        Fact::CashMoved(moved) if moved.amount_minor <= 0 => {
            return Err(out_of_place(fact, "it moves nothing"));
        }
        Fact::DrawerHandedOver(handed) if handed.count.as_ref().is_some_and(miscounted) => {
            return Err(out_of_place(fact, "its cash is not the sum of its count"));
        }
        Fact::ShiftCounted(counted) if miscounted(&counted.count) => {
            return Err(out_of_place(fact, "its cash is not the sum of its count"));
        }
        Fact::SaleCompleted(_)
        | Fact::Reversed(_)
        | Fact::ShiftOpened(_)
        | Fact::ShiftClosed(_)
        | Fact::CashMoved(_)
        | Fact::DrawerHandedOver(_)
        | Fact::ShiftCounted(_)
        | Fact::PeriodClosed(_)
        | Fact::ClosingSupplemented(_)
        | Fact::Adopted(_)
        | Fact::CartVoided(_)
        | Fact::LineVoided(_)
        | Fact::DrawerOpened(_)
        | Fact::Reprinted(_)
        | Fact::PinReset(_)
        | Fact::SignInBlocked(_)
        | Fact::ClockJumped(_)
        | domain::goods_facts!() => {}
    }
    balances(fact)
}

fn miscounted(drawer: &DrawerCount) -> bool {
    counted(&drawer.count) != Some(drawer.counted_minor)
}

/// Sum of a count; none when it overflows.
fn counted(count: &CashCount) -> Option<i64> {
    count.iter().try_fold(0_i64, |sum, (minor, pieces)| {
        sum.checked_add(minor.checked_mul(*pieces)?)
    })
}

/// What a fact moves per account, proven to sum to zero.
pub(crate) fn balances(fact: &Fact) -> Result<BTreeMap<String, i64>, LedgerError> {
    balanced(fact.kind(), &posting::postings(fact)?)
}

fn balanced(
    kind: &'static str,
    postings: &[Posting],
) -> Result<BTreeMap<String, i64>, LedgerError> {
    let mut by_account = BTreeMap::new();
    let mut sum = 0_i64;
    for posting in postings {
        let amount = posting.amount_minor;
        sum = sum.checked_add(amount).ok_or(LedgerError::Overflow)?;
        let balance = by_account.entry(posting.account.code()).or_insert(0_i64);
        *balance = balance.checked_add(amount).ok_or(LedgerError::Overflow)?;
    }
    if sum != 0 {
        return Err(LedgerError::Unbalanced {
            kind,
            by_minor: sum,
        });
    }
    Ok(by_account)
}

/// Key of a stock movement: variant, location, zone.
pub(crate) type MovementKey = (VariantId, LocationId, String);

/// What a fact moves per variant, location and zone.
pub(crate) fn movements(fact: &Fact) -> Result<BTreeMap<MovementKey, i64>, LedgerError> {
    let mut sums = BTreeMap::new();
    for movement in stock::movements(fact) {
        let Movement {
            variant,
            location,
            zone,
            moved,
            against: _,
        } = movement;
        let sum = sums.entry((variant, location, zone)).or_insert(0_i64);
        *sum = sum
            .checked_add(moved.delta.0)
            .ok_or(LedgerError::Overflow)?;
    }
    sums.retain(|_, delta| *delta != 0);
    Ok(sums)
}

fn apply(
    ledger: &Ledger,
    effect: &Effect,
    fact: &Fact,
    balances: &BTreeMap<String, i64>,
) -> Result<(), LedgerError> {
    match fact {
        Fact::Reprinted(reprinted) => add_copy(ledger, effect, fact, reprinted)?,
        Fact::PeriodClosed(closed) => close_period(ledger, effect, fact, closed)?,
        Fact::ClosingSupplemented(supplement) => {
            add_supplement(ledger, effect, fact, supplement)?;
        }
        _ => {}
    }
    let Some(shift) = shift_of(fact) else {
        return Ok(());
    };
    let mut books = ledger.take_books()?;
    match fact {
        Fact::ShiftOpened(opened) => open_shift(ledger, &mut books, effect, opened)?,
        Fact::ShiftClosed(closed) => close_shift(ledger, &mut books, effect, fact, closed)?,
        _ => add_to_shift(ledger, &mut books, effect, fact, shift)?,
    }
    books.post(balances)?;
    ledger.put_books(books)
}

/// A fact that was missing: its receipt, its stock and its money are there again, and a drawer that is still open
/// has had the cash all along. What has been closed stays closed.
fn apply_late(
    ledger: &Ledger,
    effect: &Effect,
    fact: &Fact,
    balances: &BTreeMap<String, i64>,
) -> Result<(), LedgerError> {
    let mut books = ledger.take_books()?;
    if let Fact::SaleCompleted(_) | Fact::Reversed(_) | Fact::CashMoved(_) = fact
        && let Some((_, open)) = shift_of(fact).and_then(|shift| books.shift(shift))
    {
        open.take(fact)?;
    }
    if let Fact::CashMoved(moved) = fact {
        let year = moved.business_date.fiscal_year();
        add_slip(ledger, effect, fact, year, &moved.slip)?;
    }
    add_sale(ledger, &mut books, effect, fact)?;
    books.post(balances)?;
    ledger.put_books(books)
}

fn add_to_shift(
    ledger: &Ledger,
    books: &mut Books,
    effect: &Effect,
    fact: &Fact,
    shift: ShiftId,
) -> Result<(), LedgerError> {
    let year = match books.shift(shift) {
        Some((_, open)) => {
            if effect.is_own() {
                check_in_shift(open, fact)?;
            }
            open.take(fact)?;
            open.business_date.fiscal_year()
        }
        None if effect.is_own() => return Err(out_of_place(fact, "its shift is not open")),
        // The opening could not be read where this was adopted from.
        None => match fact {
            Fact::CashMoved(moved) => moved.business_date.fiscal_year(),
            _ => 0,
        },
    };
    match fact {
        Fact::CashMoved(moved) => add_slip(ledger, effect, fact, year, &moved.slip)?,
        Fact::DrawerOpened(DrawerOpened {
            slip: Some(slip), ..
        }) => add_slip(ledger, effect, fact, year, slip)?,
        _ => {}
    }
    add_sale(ledger, books, effect, fact)
}

fn check_in_shift(open: &OpenBooks, fact: &Fact) -> Result<(), LedgerError> {
    let date = match fact {
        Fact::CashMoved(moved) => Some(moved.business_date),
        _ => sale_of(fact).map(|sale| sale.business_date),
    };
    if date.is_some_and(|date| date != open.business_date) {
        return Err(out_of_place(fact, "its business date is not the shift's"));
    }
    let expected_minor = open.totals.expected_minor;
    let counted = match fact {
        Fact::ShiftCounted(counted) => Some(&counted.count),
        Fact::DrawerHandedOver(handed) => {
            if handed.from != open.holder {
                return Err(out_of_place(fact, "another holds the drawer"));
            }
            handed.count.as_ref()
        }
        _ => None,
    };
    if counted.is_some_and(|count| count.expected_minor != expected_minor) {
        return Err(out_of_place(fact, "its expected cash is not the drawer's"));
    }
    Ok(())
}

/// The sale in a fact, or the mirrored one.
pub(crate) fn sale_of(fact: &Fact) -> Option<&SaleBody> {
    match fact {
        Fact::SaleCompleted(sale) => Some(sale),
        Fact::Reversed(reversed) => Some(&reversed.mirror),
        _ => None,
    }
}

/// The receipt of a sale or reversal, and its part of the perpetual total.
fn add_sale(
    ledger: &Ledger,
    books: &mut Books,
    effect: &Effect,
    fact: &Fact,
) -> Result<(), LedgerError> {
    let Some(sale) = sale_of(fact) else {
        return Ok(());
    };
    add_receipt(ledger, effect, fact, sale)?;
    books.perpetual_minor = books
        .perpetual_minor
        .checked_add(sale.total_minor)
        .ok_or(LedgerError::Overflow)?;
    match fact {
        Fact::Reversed(reversed) => mark_reversed(ledger, effect, fact, reversed),
        _ => Ok(()),
    }
}

/// What a fact of the stockroom moves, counts and sets aside. When it came plays no part: stock is a set of facts.
fn add_goods(ledger: &Ledger, effect: &Effect, fact: &Fact) -> Result<(), LedgerError> {
    let Some(goods) = Goods::of(fact, &ledger.identity().location)? else {
        return Ok(());
    };
    if let Some(document) = goods.document
        && effect.is_own()
        && Goods::is_single(fact)
        && ledger.knows_document(fact.kind(), document)?
    {
        return Err(out_of_place(fact, "its document is in the journal already"));
    }
    ledger
        .prepare("INSERT INTO goods_document (seq, document) VALUES (?1, ?2)")?
        .execute((N(effect.seq), goods.document.map(Id)))?;
    for ((variant, zone), (counted, quantity)) in &goods.rows {
        ledger
            .prepare("INSERT INTO goods (variant, seq, zone, counted, quantity) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute((Id(variant.0), N(effect.seq), zone, counted, quantity))?;
    }
    for ((account, variant), quantity) in &goods.held {
        ledger.add_held(account, *variant, *quantity)?;
    }
    ledger.note_goods(effect.seq, &effect.at, fact);
    Ok(())
}

fn out_of_place(fact: &Fact, what: &'static str) -> LedgerError {
    LedgerError::OutOfPlace {
        kind: fact.kind(),
        what,
    }
}

fn is_unique(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|failure| {
        matches!(
            failure.extended_code,
            rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        )
    })
}

fn open_shift(
    ledger: &Ledger,
    books: &mut Books,
    effect: &Effect,
    opened: &ShiftOpened,
) -> Result<(), LedgerError> {
    let seq = effect.seq;
    let certificate = opened.shift_key.as_ref().map(|key| &key.certificate);
    if effect.is_own()
        && certificate.is_some_and(Option::is_some)
        && ledger.opened.key_algorithm != KeyAlgorithm::Ed25519
    {
        return Err(LedgerError::OutOfPlace {
            kind: "ShiftOpened",
            what: "a signature of this algorithm is never hashed",
        });
    }
    if !effect.is_own()
        && let Some(lost) = books.of_drawer(opened.drawer)
    {
        // The drawer was opened again, so its closing is what could not be read.
        ledger
            .prepare("UPDATE shift SET closed_seq = ?2 WHERE opened_seq = ?1")?
            .execute((N(lost), N(seq)))?;
        books.open.remove(&lost);
    }
    let result = ledger
        .prepare(
            "INSERT INTO shift (opened_seq, shift, drawer, business_date) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((
            N(seq),
            Id(opened.shift.0),
            opened.drawer,
            opened.business_date.to_string(),
        ));
    match result {
        Ok(_) => {}
        Err(error) if is_unique(&error) => {
            return Err(LedgerError::OutOfPlace {
                kind: "ShiftOpened",
                what: "the drawer has an open shift, or the shift is known already",
            });
        }
        Err(error) => return Err(error.into()),
    }
    books.open.insert(seq, OpenBooks::new(opened));
    Ok(())
}

fn add_slip(
    ledger: &Ledger,
    effect: &Effect,
    fact: &Fact,
    fiscal_year: i32,
    slip: &SlipNumber,
) -> Result<(), LedgerError> {
    if effect.is_own() {
        let expected = ledger.next_slip(fiscal_year)?;
        let identity = ledger.identity();
        let number = slip_number(
            &identity.store,
            &identity.till,
            identity.stream,
            fiscal_year,
            expected,
        );
        if slip.number_seq != expected || slip.number != number {
            return Err(out_of_place(fact, "its slip number is not the next"));
        }
    }
    let year = year_of_number(&slip.number).unwrap_or(fiscal_year);
    let result = ledger
        .prepare("INSERT INTO slip (series, fiscal_year, number_seq, seq) VALUES (?1, ?2, ?3, ?4)")?
        .execute((
            effect.at.stream.series(),
            year,
            N(slip.number_seq),
            N(effect.seq),
        ));
    match result {
        Ok(_) => Ok(()),
        Err(error) if is_unique(&error) => {
            Err(out_of_place(fact, "its slip is in the journal already"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Fiscal year in a slip's number.
pub(crate) fn year_of_number(number: &str) -> Option<i32> {
    number.rsplit('-').nth(1)?.parse().ok()
}

fn close_period(
    ledger: &Ledger,
    effect: &Effect,
    fact: &Fact,
    closed: &PeriodClosed,
) -> Result<(), LedgerError> {
    // The event itself is in the table already and closes nothing.
    if effect.is_own() && ledger.next_closing(closed.period)?.as_ref() != Some(closed) {
        return Err(out_of_place(fact, "it is not what the journal comes to"));
    }
    let result = ledger
        .prepare("INSERT INTO period (kind, number, seq) VALUES (?1, ?2, ?3)")?
        .execute((kind_code(closed.period), N(closed.number), N(effect.seq)));
    match result {
        Ok(_) => Ok(()),
        Err(error) if is_unique(&error) => {
            Err(out_of_place(fact, "its closing is in the journal already"))
        }
        Err(error) => Err(error.into()),
    }
}

fn add_supplement(
    ledger: &Ledger,
    effect: &Effect,
    fact: &Fact,
    supplement: &ClosingSupplemented,
) -> Result<(), LedgerError> {
    let of = ledger.closing(supplement.period, supplement.of.number)?;
    if effect.is_own() {
        if of.map(|of| of.at) != Some(supplement.of) {
            return Err(out_of_place(fact, "there is no such closing here"));
        }
        let next = ledger.next_supplement(supplement.period, supplement.of.number)?;
        let totals = ledger.late_totals(&supplement.covers)?;
        if supplement.number != next
            || supplement.totals != totals
            || supplement.perpetual_minor != ledger.perpetual_minor()?
        {
            return Err(out_of_place(fact, "it is not what was found"));
        }
    } else if of.is_none() {
        // It went with a closing that lies further back than what was adopted.
        return Ok(());
    }
    ledger
        .prepare("INSERT INTO supplement (kind, closing, number, seq) VALUES (?1, ?2, ?3, ?4)")?
        .execute((
            kind_code(supplement.period),
            N(supplement.of.number),
            N(supplement.number),
            N(effect.seq),
        ))?;
    Ok(())
}

/// The text of closed totals as the projection keeps it.
pub(crate) fn encode_totals(totals: &ShiftTotals) -> String {
    serde_json::to_string(totals).expect("totals hold only strings, integers and string keys")
}

fn add_receipt(
    ledger: &Ledger,
    effect: &Effect,
    fact: &Fact,
    sale: &SaleBody,
) -> Result<(), LedgerError> {
    let fiscal_year = sale.business_date.fiscal_year();
    let identity = ledger.identity();
    let series = effect.at.stream.series();
    if effect.is_own() {
        let expected = ledger.next_number(fiscal_year)?;
        let number = receipt_number(
            &identity.store,
            &identity.till,
            identity.stream,
            fiscal_year,
            expected,
        );
        if sale.number_seq != expected || sale.number != number {
            return Err(LedgerError::NumberTaken {
                expected,
                found: sale.number.clone(),
            });
        }
    } else if !is_in_series(&sale.number, &series, fiscal_year, sale.number_seq) {
        return Err(out_of_place(fact, "its number is not of its stream"));
    }
    let kind = i64::from(matches!(fact, Fact::Reversed(_)));
    let moves = encode_moves(fact, &identity.location)?;
    let result = ledger
        .prepare(
            "INSERT INTO receipt (series, fiscal_year, number_seq, seq, kind, sale, number, total_minor, moves) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute((
            series,
            fiscal_year,
            N(sale.number_seq),
            N(effect.seq),
            kind,
            Id(sale.sale.0),
            &sale.number,
            sale.total_minor,
            &moves,
        ));
    match result {
        Ok(_) => {
            ledger.note_movements(effect.seq, &effect.at, &moves);
            Ok(())
        }
        Err(error) if is_unique(&error) => {
            Err(out_of_place(fact, "the sale was completed already"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a receipt's number ends as it must in its series.
pub(crate) fn is_in_series(number: &str, series: &str, fiscal_year: i32, number_seq: u64) -> bool {
    number.ends_with(&format!("-{series}-{fiscal_year}-{number_seq:06}"))
}

fn mark_reversed(
    ledger: &Ledger,
    effect: &Effect,
    fact: &Fact,
    reversed: &Reversed,
) -> Result<(), LedgerError> {
    let changed = ledger
        .prepare(
            "UPDATE receipt SET reversed_by = ?1 \
             WHERE sale = ?2 AND number = ?3 AND kind = 0 AND reversed_by IS NULL",
        )?
        .execute((
            &reversed.mirror.number,
            Id(reversed.of.0),
            &reversed.of_number,
        ))?;
    // What an adopted reversal undid may lie further back than what was adopted.
    if changed == 0 && effect.is_own() {
        return Err(out_of_place(
            fact,
            "the sale is unknown here or was reversed already",
        ));
    }
    Ok(())
}

fn close_shift(
    ledger: &Ledger,
    books: &mut Books,
    effect: &Effect,
    fact: &Fact,
    closed: &ShiftClosed,
) -> Result<(), LedgerError> {
    let wrong = |what| Err(out_of_place(fact, what));
    let perpetual_minor = books.perpetual_minor;
    let Some((opened_seq, open)) = books.shift(closed.shift) else {
        if effect.is_own() {
            return wrong("its shift is not open");
        }
        // The opening could not be read where this was adopted from: the report stands in the set-aside file.
        return Ok(());
    };
    if !effect.is_own() {
        return put_z(ledger, books, (opened_seq, effect.seq), closed);
    }
    if closed.z_number != ledger.last_z()? + 1 {
        return wrong("its Z number is not the next");
    }
    if closed.from_seq != opened_seq || closed.to != ledger.head {
        return wrong("it does not cover the shift up to the event before it");
    }
    if closed.totals != open.totals {
        return wrong("its totals are not the shift's");
    }
    let difference = closed
        .counted_minor
        .checked_sub(closed.totals.expected_minor);
    if Some(closed.difference_minor) != difference {
        return wrong("its difference is not counted minus expected");
    }
    if closed.perpetual_minor != perpetual_minor {
        return wrong("its perpetual total is not the journal's");
    }
    put_z(ledger, books, (opened_seq, effect.seq), closed)
}

fn put_z(
    ledger: &Ledger,
    books: &mut Books,
    (opened_seq, closed_seq): (u64, u64),
    closed: &ShiftClosed,
) -> Result<(), LedgerError> {
    ledger
        .prepare(
            "UPDATE shift SET closed_seq = ?2, z_number = ?3, totals = ?4 WHERE opened_seq = ?1",
        )?
        .execute((
            N(opened_seq),
            N(closed_seq),
            N(closed.z_number),
            encode_totals(&closed.totals),
        ))?;
    books.open.remove(&opened_seq);
    Ok(())
}

fn add_copy(
    ledger: &Ledger,
    effect: &Effect,
    fact: &Fact,
    reprinted: &Reprinted,
) -> Result<(), LedgerError> {
    let expected = match ledger.copies(&reprinted.number)? {
        // Copies made while another stream held the document are counted there.
        copies if !effect.is_own() => reprinted.copy.max(copies),
        0 if ledger.is_of_before(&reprinted.number)? => reprinted.copy.max(1),
        copies => copies.checked_add(1).ok_or(LedgerError::Overflow)?,
    };
    if reprinted.copy != expected && effect.is_own() {
        return Err(out_of_place(fact, "its copy number is not the next"));
    }
    ledger
        .prepare("INSERT OR REPLACE INTO copy (number, copies) VALUES (?1, ?2)")?
        .execute((&reprinted.number, expected))?;
    Ok(())
}

impl Ledger {
    /// Whether a document can only be one of an earlier stream's that is not in this file.
    fn is_of_before(&self, number: &str) -> Result<bool, LedgerError> {
        if !may_be_of_before(&self.opened, self.identity().stream, number) {
            return Ok(false);
        }
        Ok(!self
            .prepare("SELECT 1 FROM receipt WHERE number = ?1")?
            .exists([number])?)
    }
}

/// Whether a document may be of an earlier stream: another series, or a Z or closing from before the opening.
pub(crate) fn may_be_of_before(opened: &StreamOpened, stream: StreamId, number: &str) -> bool {
    if opened.previous.is_none() && opened.witness.is_none() {
        return false;
    }
    let after = |letter: char| number.strip_prefix(letter)?.parse::<u64>().ok();
    let period = |kind: PeriodKind| opened.periods.get(&kind).copied().unwrap_or(0);
    let numbered = [
        (after('Z'), opened.z_number),
        (after('D'), period(PeriodKind::Day)),
        (after('M'), period(PeriodKind::Month)),
        (after('Y'), period(PeriodKind::Year)),
    ];
    if let Some((Some(found), last)) = numbered.into_iter().find(|(found, _)| found.is_some()) {
        return found <= last;
    }
    !number.contains(&format!("-{}-", stream.series()))
}

#[cfg(test)]
mod tests {
    use domain::config::Rate;
    use domain::posting::Account;

    use super::*;

    #[test]
    fn postings_that_do_not_balance_are_refused() {
        let posting = |account, amount_minor| Posting {
            account,
            amount_minor,
        };
        let cash = |amount| posting(Account::Cash, amount);
        let revenue = |amount| posting(Account::Revenue(Rate::default()), amount);
        let sums = balanced("Test", &[cash(3), cash(2), revenue(-5)]).expect("balanced");
        assert_eq!(
            sums,
            BTreeMap::from([("cash".to_owned(), 5), ("revenue:0".to_owned(), -5)])
        );
        for (postings, by) in [(vec![cash(3), revenue(-2)], 1), (vec![cash(-1)], -1)] {
            let result = balanced("Test", &postings);
            assert!(
                matches!(result, Err(LedgerError::Unbalanced { kind: "Test", by_minor }) if by_minor == by)
            );
        }
        let result = balanced("Test", &[cash(i64::MAX), cash(1)]);
        assert!(matches!(result, Err(LedgerError::Overflow)));
    }
}
