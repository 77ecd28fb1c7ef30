//! The tables of an archive: what a bookkeeper reads, computed from the events and from nothing else.
//!
//! UTF-8 with a header line, fields by RFC 4180, lines ended by one line feed. Amounts are whole minor units beside
//! a currency, quantities thousandths, people opaque ids. A text that a spreadsheet would take for a formula begins
//! with an apostrophe.

use std::collections::{BTreeMap, BTreeSet};

use domain::event::{
    CashCount, CashStamp, ClosingSupplemented, DrawerCount, DrawerOpened, DrawerReason, Event,
    Fact, PeriodClosed, PeriodKind, PeriodTotals, SaleBody, ShiftClosed, ShiftOpened, StreamHead,
    TaxTotal,
};
use domain::ids::{EventId, ShiftId, UserId};
use domain::money::{Currency, MoneyError};
use domain::posting::postings;
use domain::time::BusinessDate;
use serde::Serialize;

use super::row::{Row, word};

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident $file:literal $header:literal,)+) => {
        /// A table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Table {
            $($(#[$doc])* $name,)+
        }

        impl Table {
            /// All tables, in the order of their names.
            pub const ALL: &'static [Table] = &[$(Table::$name),+];

            /// Name of the entry.
            pub const fn entry(self) -> &'static str {
                match self { $(Table::$name => concat!("tables/", $file, ".csv"),)+ }
            }

            /// First line.
            pub const fn header(self) -> &'static str {
                match self { $(Table::$name => concat!($header, "\n"),)+ }
            }
        }
    };
}

tables! {
    /// Money put in and taken out without a sale.
    CashMovements "cash_movements"
        "stream,seq,business_date,slip,movement,shift,amount_minor,currency,reason,user,approved_by",
    /// Closings of days, months and years, and supplements to them.
    Closings "closings"
        "stream,seq,document,period,number,supplement,from,to,first_seq,last_seq,first_z,last_z,sales,reversals,units_thousandths,sales_minor,reversals_minor,discounts_minor,rounding_minor,over_short_minor,shifts,perpetual_minor,currency",
    /// Floats, openings without a sale, counts and hand-overs.
    Drawers "drawers"
        "stream,seq,business_date,what,shift,drawer,user,to_user,slip,note,blind,counted_minor,expected_minor,currency",
    /// Entries in double entry.
    Postings "postings" "stream,seq,business_date,kind,account,amount_minor,currency",
    /// Levies of receipts.
    ReceiptLevies "receipt_levies" "number,code,amount_minor,currency",
    /// Lines of receipts.
    ReceiptLines "receipt_lines"
        "number,line,variant,sku,label,quantity_thousandths,list_minor,unit_minor,discount_minor,cart_discount_minor,total_minor,tax_category,tax_rate,net_minor,tax_minor,class,currency",
    /// Taxes of receipts.
    ReceiptTaxes "receipt_taxes" "number,tax_rate,net_minor,tax_minor,currency",
    /// Tenders of receipts.
    ReceiptTenders "receipt_tenders" "number,position,kind,amount_minor,reference,currency",
    /// Receipts of sales and reversals.
    Receipts "receipts"
        "stream,seq,business_date,number,kind,reverses,reason,sale,shift,cashier,location,lines,total_minor,rounding_minor,change_minor,tax_rounding,currency",
    /// Documents printed again.
    Reprints "reprints" "stream,seq,business_date,number,copy,user",
    /// Z reports.
    Shifts "shifts"
        "stream,seq,business_date,z_number,shift,drawer,opened_by,closed_by,approved_by,first_seq,last_seq,sales,reversals,voided_lines,voided_carts,no_sales,counts,hand_overs,units_thousandths,takings_minor,discounts_minor,rounding_minor,float_minor,expected_minor,counted_minor,difference_minor,perpetual_minor,currency",
    /// What Z reports, closings and supplements hold per tax rate, tender, levy, movement, denomination and account.
    Totals "totals" "document,what,key,amount_minor,currency",
}

/// Days of a range, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// First trading day; none from the beginning.
    pub from: Option<BusinessDate>,
    /// Last trading day; none to the end.
    pub until: Option<BusinessDate>,
}

impl Range {
    /// Whether it holds a day.
    pub fn holds(&self, day: BusinessDate) -> bool {
        self.from.is_none_or(|from| from <= day) && !self.ends_before(day)
    }

    /// Whether a day lies behind it.
    pub fn ends_before(&self, day: BusinessDate) -> bool {
        self.until.is_some_and(|until| day > until)
    }
}

/// A shift as far as later rows speak of it.
#[derive(Debug, Clone, Copy)]
struct Shift {
    day: BusinessDate,
    drawer: u32,
    opened_by: UserId,
    currency: Currency,
}

/// Which trading day each event belongs to: the day that it names, else its shift's, else that of the event before.
#[derive(Debug, Default)]
pub struct Days {
    shifts: BTreeMap<ShiftId, Shift>,
    last: Option<BusinessDate>,
    currency: Option<Currency>,
}

impl Days {
    /// The day of a fact, the facts being given in their order.
    pub fn of(&mut self, fact: &Fact) -> Option<BusinessDate> {
        if let Fact::ShiftOpened(opened) = fact {
            self.shifts.insert(
                opened.shift,
                Shift {
                    day: opened.business_date,
                    drawer: opened.drawer,
                    opened_by: opened.user,
                    currency: opened.currency,
                },
            );
            self.currency = Some(opened.currency);
        }
        let named = match fact {
            Fact::ShiftOpened(opened) => Some(opened.business_date),
            Fact::SaleCompleted(sale) => Some(sale.business_date),
            Fact::Reversed(reversed) => Some(reversed.mirror.business_date),
            Fact::CashMoved(moved) => Some(moved.business_date),
            Fact::PeriodClosed(closed) => return Some(closed.to),
            _ => None,
        };
        let of_shift = || {
            let shift = match fact {
                Fact::DrawerOpened(opened) => Some(opened.shift),
                other => ledger::shift_of(other),
            };
            shift.and_then(|shift| Some(self.shifts.get(&shift)?.day))
        };
        let day = named.or_else(of_shift).or(self.last);
        self.last = day;
        day
    }
}

/// Takes the lines of tables.
pub trait Sink {
    /// What can go wrong.
    type Error: From<MoneyError>;

    /// Takes a line, its end included.
    ///
    /// # Errors
    /// The sink's.
    fn line(&mut self, table: Table, line: &str) -> Result<(), Self::Error>;
}

/// Computes the tables of a range from runs of events.
#[derive(Debug, Default)]
pub struct Tables {
    range: Range,
    days: Days,
    seen: BTreeSet<EventId>,
}

impl Tables {
    /// Tables of a range, with nothing in them.
    pub fn of(range: Range) -> Tables {
        Tables {
            range,
            ..Tables::default()
        }
    }

    /// Begins another run of events.
    pub fn begin_run(&mut self) {
        self.days = Days::default();
    }

    /// Takes the next event of a run. An event that was taken over from another stream stands where it was first
    /// written, and once.
    ///
    /// # Errors
    /// The sink's.
    pub fn take<S: Sink>(
        &mut self,
        at: StreamHead,
        event: &Event,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        // What a later version wrote has no row here; its event is in the archive all the same.
        let Ok(fact) = event.fact() else {
            return Ok(());
        };
        if let Fact::Adopted(adopted) = &fact {
            return match adopted.original() {
                Some(original) => self.take(original.at, &original.event, sink),
                None => Ok(()),
            };
        }
        let day = self.days.of(&fact);
        if !self.seen.insert(event.id) {
            return Ok(());
        }
        // What happened before the first day belongs to the first range.
        let inside = day.map_or(self.range.from.is_none(), |day| self.range.holds(day));
        if !inside {
            return Ok(());
        }
        let day = day.map(|day| day.to_string()).unwrap_or_default();
        self.rows(at, &day, &fact, sink)
    }

    fn rows<S: Sink>(
        &self,
        at: StreamHead,
        day: &str,
        fact: &Fact,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let place = || Row::new().plain(at.stream).plain(at.seq);
        match fact {
            Fact::SaleCompleted(sale) => {
                let kind = place().field(day).text(&sale.number).field("sale");
                receipt(kind.empty(2), sale, sink)?;
            }
            Fact::Reversed(reversed) => {
                let sale = &reversed.mirror;
                let kind = place().field(day).text(&sale.number).field("reversal");
                let kind = kind.text(&reversed.of_number).text(&reversed.reason);
                receipt(kind, sale, sink)?;
            }
            Fact::CashMoved(moved) => {
                let row = place()
                    .field(day)
                    .text(&moved.slip.number)
                    .word(moved.movement)
                    .plain(moved.shift)
                    .plain(moved.amount_minor)
                    .maybe(self.currency_of(moved.shift))
                    .text(&moved.reason)
                    .plain(moved.user)
                    .maybe(moved.approved_by);
                sink.line(Table::CashMovements, &row.end())?;
            }
            Fact::ShiftOpened(opened) => self.float(place().field(day), opened, sink)?,
            Fact::DrawerOpened(opened) => self.opened(place().field(day), opened, sink)?,
            Fact::DrawerHandedOver(handed) => {
                let row = self
                    .drawer(place().field(day), "hand_over", handed.shift, handed.from)
                    .plain(handed.to);
                let row = count(row.empty(3), handed.count.as_ref());
                let row = row.maybe(self.currency_of(handed.shift));
                sink.line(Table::Drawers, &row.end())?;
            }
            Fact::ShiftCounted(counted) => {
                let row = self.drawer(place().field(day), "count", counted.shift, counted.user);
                let row = row.empty(3).plain(counted.blind);
                let row = count(row, Some(&counted.count)).maybe(self.currency_of(counted.shift));
                sink.line(Table::Drawers, &row.end())?;
            }
            Fact::ShiftClosed(closed) => self.z_report(place().field(day), closed, sink)?,
            Fact::PeriodClosed(closed) => self.closing(place(), closed, sink)?,
            Fact::ClosingSupplemented(added) => self.supplement(place(), added, sink)?,
            Fact::Reprinted(reprinted) => {
                let row = place().field(day).text(&reprinted.number);
                let row = row.plain(reprinted.copy).plain(reprinted.user);
                sink.line(Table::Reprints, &row.end())?;
            }
            Fact::StreamOpened(_)
            | Fact::CartVoided(_)
            | Fact::LineVoided(_)
            | Fact::Adopted(_)
            | Fact::PinReset(_)
            | Fact::SignInBlocked(_)
            | Fact::ClockJumped(_)
            | domain::goods_facts!() => {}
        }
        let currency = match fact {
            Fact::SaleCompleted(sale) => Some(sale.currency),
            Fact::Reversed(reversed) => Some(reversed.mirror.currency),
            other => ledger::shift_of(other).and_then(|shift| self.currency_of(shift)),
        };
        for posting in postings(fact)? {
            let row = place().field(day).field(fact.kind());
            let row = row
                .text(&posting.account.code())
                .plain(posting.amount_minor);
            sink.line(Table::Postings, &row.maybe(currency).end())?;
        }
        Ok(())
    }

    fn currency_of(&self, shift: ShiftId) -> Option<Currency> {
        let known = self.days.shifts.get(&shift);
        known.map(|shift| shift.currency).or(self.days.currency)
    }

    fn drawer(&self, row: Row, what: &str, shift: ShiftId, user: UserId) -> Row {
        let known = self.days.shifts.get(&shift);
        row.field(what)
            .plain(shift)
            .maybe(known.map(|shift| shift.drawer))
            .plain(user)
    }

    fn float<S: Sink>(&self, row: Row, opened: &ShiftOpened, sink: &mut S) -> Result<(), S::Error> {
        let row = self
            .drawer(row, "float", opened.shift, opened.user)
            .empty(4)
            .plain(opened.float_minor)
            .field("")
            .plain(opened.currency);
        sink.line(Table::Drawers, &row.end())
    }

    fn opened<S: Sink>(
        &self,
        row: Row,
        opened: &DrawerOpened,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let what = match opened.reason {
            DrawerReason::Sale => "opened_for_sale",
            DrawerReason::NoSale => "opened_without_sale",
        };
        let row = self
            .drawer(row, what, opened.shift, opened.user)
            .field("")
            .text(opened.slip.as_ref().map_or("", |slip| slip.number.as_str()))
            .text(opened.note.as_deref().unwrap_or_default());
        let row = count(row.field(""), None).maybe(self.currency_of(opened.shift));
        sink.line(Table::Drawers, &row.end())
    }

    fn z_report<S: Sink>(
        &self,
        row: Row,
        closed: &ShiftClosed,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let known = self.days.shifts.get(&closed.shift);
        let totals = &closed.totals;
        let currency = self.currency_of(closed.shift);
        let row = row
            .plain(closed.z_number)
            .plain(closed.shift)
            .maybe(known.map(|shift| shift.drawer))
            .maybe(known.map(|shift| shift.opened_by))
            .plain(closed.user)
            .maybe(closed.approved_by)
            .plain(closed.from_seq)
            .plain(closed.to.seq)
            .plain(totals.sales)
            .plain(totals.reversals)
            .plain(totals.voided_lines)
            .plain(totals.voided_carts)
            .plain(totals.no_sales)
            .plain(totals.counts)
            .plain(totals.hand_overs)
            .plain(totals.units.thousandths())
            .plain(totals.takings_minor)
            .plain(totals.discounts_minor)
            .plain(totals.rounding_minor)
            .plain(totals.float_minor)
            .plain(totals.expected_minor)
            .plain(closed.counted_minor)
            .plain(closed.difference_minor)
            .plain(closed.perpetual_minor)
            .maybe(currency);
        sink.line(Table::Shifts, &row.end())?;
        let mut sums = Sums {
            document: format!("Z{}", closed.z_number),
            currency,
            sink,
        };
        sums.taxes(&totals.taxes)?;
        sums.cash_stamp(&totals.cash_stamp)?;
        sums.by_word("tender", &totals.tenders_minor)?;
        sums.by_word("levy", &totals.levies_minor)?;
        sums.by_word("moved", &totals.moved_minor)?;
        sums.pieces("counted", &closed.count)?;
        sums.pieces("deposit", &closed.deposit)
    }

    fn closing<S: Sink>(
        &self,
        row: Row,
        closed: &PeriodClosed,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let document = closed.document_number();
        let row = row
            .plain(&document)
            .word(closed.period)
            .plain(closed.number)
            .field("")
            .plain(closed.from)
            .plain(closed.to)
            .plain(closed.covers.from_seq)
            .plain(closed.covers.to.seq)
            .maybe(closed.z_numbers.map(|(first, _)| first))
            .maybe(closed.z_numbers.map(|(_, last)| last));
        self.period(row, document, &closed.totals, closed.perpetual_minor, sink)
    }

    fn supplement<S: Sink>(
        &self,
        row: Row,
        added: &ClosingSupplemented,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let letter = match added.period {
            PeriodKind::Day => 'D',
            PeriodKind::Month => 'M',
            PeriodKind::Year => 'Y',
        };
        let document = format!("{letter}{}+{}", added.of.number, added.number);
        let row = row
            .plain(&document)
            .word(added.period)
            .plain(added.of.number)
            .plain(added.number)
            .empty(2)
            .plain(added.covers.from_seq)
            .plain(added.covers.to.seq)
            .empty(2);
        self.period(row, document, &added.totals, added.perpetual_minor, sink)
    }

    fn period<S: Sink>(
        &self,
        row: Row,
        document: String,
        totals: &PeriodTotals,
        perpetual_minor: i64,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let currency = self.days.currency;
        let row = row
            .plain(totals.sales)
            .plain(totals.reversals)
            .plain(totals.units.thousandths())
            .plain(totals.sales_minor)
            .plain(totals.reversals_minor)
            .plain(totals.discounts_minor)
            .plain(totals.rounding_minor)
            .plain(totals.over_short_minor)
            .plain(totals.shifts)
            .plain(perpetual_minor)
            .maybe(currency);
        sink.line(Table::Closings, &row.end())?;
        let mut sums = Sums {
            document,
            currency,
            sink,
        };
        sums.taxes(&totals.taxes)?;
        sums.cash_stamp(&totals.cash_stamp)?;
        sums.by_word("tender", &totals.tenders_minor)?;
        sums.by_word("levy", &totals.levies_minor)?;
        sums.by_word("moved", &totals.moved_minor)?;
        sums.by_word("account", &totals.accounts_minor)
    }
}

fn count(row: Row, count: Option<&DrawerCount>) -> Row {
    row.maybe(count.map(|count| count.counted_minor))
        .maybe(count.map(|count| count.expected_minor))
}

/// Lines of the table of totals for one document.
struct Sums<'a, S> {
    document: String,
    currency: Option<Currency>,
    sink: &'a mut S,
}

impl<S: Sink> Sums<'_, S> {
    fn add(&mut self, what: &str, key: &str, amount_minor: i64) -> Result<(), S::Error> {
        let row = Row::new().plain(&self.document).field(what).text(key);
        let row = row.plain(amount_minor).maybe(self.currency);
        self.sink.line(Table::Totals, &row.end())
    }

    /// One line for each key.
    fn by_word(
        &mut self,
        what: &str,
        amounts: &BTreeMap<impl Serialize, i64>,
    ) -> Result<(), S::Error> {
        for (key, amount) in amounts {
            self.add(what, &word(key), *amount)?;
        }
        Ok(())
    }

    fn taxes(&mut self, taxes: &[TaxTotal]) -> Result<(), S::Error> {
        for tax in taxes {
            let rate = tax.rate.to_string();
            self.add("net", &rate, tax.net_minor)?;
            self.add("tax", &rate, tax.tax_minor)?;
        }
        Ok(())
    }

    /// Stamp duty to be declared.
    fn cash_stamp(&mut self, stamps: &[CashStamp]) -> Result<(), S::Error> {
        for stamp in stamps {
            let rate = stamp.percent();
            self.add("cash_stamp_base", &rate, stamp.base_minor)?;
            self.add("cash_stamp", &rate, stamp.duty_minor)?;
        }
        Ok(())
    }

    /// Money by denomination.
    fn pieces(&mut self, what: &str, count: &CashCount) -> Result<(), S::Error> {
        for (minor, pieces) in count {
            let amount = minor.checked_mul(*pieces).ok_or(MoneyError::Overflow)?;
            self.add(what, &minor.to_string(), amount)?;
        }
        Ok(())
    }
}

/// Rows of a receipt; `row` has everything up to the reason of a reversal.
fn receipt<S: Sink>(row: Row, sale: &SaleBody, sink: &mut S) -> Result<(), S::Error> {
    let row = row
        .plain(sale.sale)
        .plain(sale.shift)
        .plain(sale.cashier)
        .plain(&sale.location)
        .plain(sale.lines.len())
        .plain(sale.total_minor)
        .plain(sale.rounding_minor)
        .plain(sale.change_minor)
        .word(sale.tax_rounding)
        .plain(sale.currency);
    sink.line(Table::Receipts, &row.end())?;
    let number = || Row::new().text(&sale.number);
    for line in &sale.lines {
        let row = number()
            .plain(line.line)
            .plain(line.variant)
            .text(&line.sku)
            .text(&line.label)
            .plain(line.quantity.thousandths())
            .plain(line.list_minor)
            .plain(line.unit_minor)
            .plain(line.discount_minor)
            .plain(line.cart_discount_minor)
            .plain(line.total_minor)
            .plain(&line.tax)
            .plain(line.rate)
            .plain(line.net_minor)
            .plain(line.tax_minor)
            .word(line.class)
            .plain(sale.currency);
        sink.line(Table::ReceiptLines, &row.end())?;
    }
    for tax in &sale.taxes {
        let row = number().plain(tax.rate).plain(tax.net_minor);
        let row = row.plain(tax.tax_minor).plain(sale.currency);
        sink.line(Table::ReceiptTaxes, &row.end())?;
    }
    for (index, tender) in sale.tenders.iter().enumerate() {
        let row = number()
            .plain(index + 1)
            .word(tender.kind)
            .plain(tender.amount_minor)
            .text(tender.reference.as_deref().unwrap_or_default())
            .plain(sale.currency);
        sink.line(Table::ReceiptTenders, &row.end())?;
    }
    for levy in &sale.levies {
        let row = number().text(&levy.code).plain(levy.minor);
        sink.line(Table::ReceiptLevies, &row.plain(sale.currency).end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_the_columns_of_its_header_and_tables_are_in_order() {
        let names: Vec<&str> = Table::ALL.iter().map(|table| table.entry()).collect();
        assert!(names.is_sorted());
        assert!(
            Table::ALL
                .iter()
                .all(|table| table.header().ends_with('\n'))
        );
    }
}
