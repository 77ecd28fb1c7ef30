//! The closing of a day, month or year on paper.

use chrono::NaiveDateTime;
use domain::catalog::Language;
use domain::event::{PeriodClosed, PeriodKind};
use domain::money::Currency;

use crate::cash_slip::movement_label;
use crate::document::{Block, Document, RuleStyle, Weight};
use crate::format::{amount, amount_with_symbol, clean, date, date_time, isolate_ltr, quantity};
use crate::sale_receipt::{StoreIdentity, push_fact, push_identity, tax_table, tender_label};
use crate::shift_report::push_cash_stamp;
use crate::texts::{self, Key};

/// Everything the paper says. Amounts are in minor units of `currency`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeriodReport<'a> {
    /// Language.
    pub language: Language,
    /// Issuer.
    pub store: StoreIdentity,
    /// Till.
    pub till: String,
    /// Currency of every amount.
    pub currency: Currency,
    /// Local time of the closing.
    pub closed_at: NaiveDateTime,
    /// The closing.
    pub closed: &'a PeriodClosed,
    /// First digits of the chain hash after it.
    pub seal: String,
}

impl PeriodReport<'_> {
    /// The document to print.
    pub fn to_document(&self) -> Document {
        let language = self.language;
        let mut document = Document::new(language);
        let blocks = &mut document.blocks;
        push_identity(blocks, &self.store);
        blocks.push(Block::Spacer { eighths: 4 });
        let key = match self.closed.period {
            PeriodKind::Day => Key::PeriodDay,
            PeriodKind::Month => Key::PeriodMonth,
            PeriodKind::Year => Key::PeriodYear,
        };
        let number = isolate_ltr(&self.closed.number.to_string());
        blocks.push(Block::Title {
            text: texts::fill(language, key, &[("number", &number)]),
        });
        blocks.push(Block::Spacer { eighths: 3 });
        self.push_facts(blocks);
        self.push_activity(blocks);
        self.push_money(blocks);
        self.push_foot(blocks);
        document
    }

    fn amount(&self, blocks: &mut Vec<Block>, label: String, minor: i64) {
        blocks.push(Block::Row {
            label,
            amount: amount(minor, self.currency),
            weight: Weight::Normal,
        });
    }

    fn keyed(&self, blocks: &mut Vec<Block>, key: Key, minor: i64) {
        self.amount(blocks, texts::text(self.language, key).to_owned(), minor);
    }

    fn heading(&self, blocks: &mut Vec<Block>, key: Key) {
        blocks.push(Block::Rule {
            style: RuleStyle::Dashed,
        });
        blocks.push(Block::Text {
            text: texts::text(self.language, key).to_owned(),
            weight: Weight::Strong,
        });
    }

    fn push_facts(&self, blocks: &mut Vec<Block>) {
        let closed = self.closed;
        let mut fact = |key, value: String| push_fact(blocks, self.language, key, value);
        fact(Key::PeriodFrom, isolate_ltr(&date(closed.from.0)));
        fact(Key::PeriodTo, isolate_ltr(&date(closed.to.0)));
        fact(Key::Till, isolate_ltr(&clean(&self.till)));
        fact(Key::ReportClosed, isolate_ltr(&date_time(self.closed_at)));
        if let Some((first, last)) = closed.z_numbers {
            fact(Key::PeriodZ, isolate_ltr(&format!("{first} - {last}")));
        }
    }

    fn push_activity(&self, blocks: &mut Vec<Block>) {
        let totals = &self.closed.totals;
        self.heading(blocks, Key::ReportActivity);
        let counts = [
            (Key::ReportSales, totals.sales.to_string()),
            (Key::ReportReversals, totals.reversals.to_string()),
            (Key::ReportUnits, quantity(totals.units)),
            (Key::PeriodShifts, totals.shifts.to_string()),
        ];
        for (key, count) in counts {
            blocks.push(Block::Row {
                label: texts::text(self.language, key).to_owned(),
                amount: count,
                weight: Weight::Normal,
            });
        }
        self.keyed(blocks, Key::ReportDiscounts, totals.discounts_minor);
        self.keyed(blocks, Key::PeriodSales, totals.sales_minor);
        self.keyed(blocks, Key::PeriodReversals, totals.reversals_minor);
    }

    fn push_money(&self, blocks: &mut Vec<Block>) {
        let totals = &self.closed.totals;
        if !totals.taxes.is_empty() {
            self.heading(blocks, Key::ReportTaxes);
            blocks.push(tax_table(self.language, self.currency, &totals.taxes));
        }
        if !totals.levies_minor.is_empty() {
            self.heading(blocks, Key::ReportLevies);
            for (code, minor) in &totals.levies_minor {
                self.amount(blocks, texts::levy(self.language, code), *minor);
            }
        }
        self.heading(blocks, Key::ReportTenders);
        for (kind, minor) in &totals.tenders_minor {
            let label = tender_label(self.language, *kind).to_owned();
            self.amount(blocks, label, *minor);
        }
        if totals.rounding_minor != 0 {
            self.keyed(blocks, Key::Rounding, totals.rounding_minor);
        }
        for (movement, minor) in &totals.moved_minor {
            let label = movement_label(self.language, *movement).to_owned();
            self.amount(blocks, label, *minor);
        }
        if totals.over_short_minor != 0 {
            self.keyed(blocks, Key::ReportDifference, totals.over_short_minor);
        }
        blocks.push(Block::Rule {
            style: RuleStyle::Solid,
        });
        let takings = totals.sales_minor.saturating_add(totals.reversals_minor);
        blocks.push(Block::Total {
            label: texts::text(self.language, Key::ReportTakings).to_owned(),
            amount: amount_with_symbol(takings, self.currency, self.language),
        });
    }

    fn push_foot(&self, blocks: &mut Vec<Block>) {
        let stamps = &self.closed.totals.cash_stamp;
        push_cash_stamp(blocks, self.language, self.currency, stamps);
        blocks.push(Block::Rule {
            style: RuleStyle::Dashed,
        });
        self.keyed(blocks, Key::ReportPerpetual, self.closed.perpetual_minor);
        let covers = &self.closed.covers;
        let events = format!("{} - {}", covers.from_seq, covers.to.seq);
        push_fact(
            blocks,
            self.language,
            Key::PeriodEvents,
            isolate_ltr(&events),
        );
        push_fact(
            blocks,
            self.language,
            Key::PeriodSeal,
            isolate_ltr(&self.seal),
        );
    }
}
