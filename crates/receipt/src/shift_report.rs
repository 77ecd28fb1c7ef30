//! The reports of a shift: X reads it, Z closes it.

use chrono::NaiveDateTime;
use domain::catalog::Language;
use domain::event::{CashMovement, CashStamp, TaxTotal, TenderKind};
use domain::money::Currency;
use domain::quantity::Quantity;

use crate::cash_slip::movement_label;
use crate::document::{Block, Document, RuleStyle, Weight};
use crate::format::{amount, amount_with_symbol, clean, date, date_time, isolate_ltr, quantity};
use crate::sale_receipt::{
    LevyLine, StoreIdentity, push_fact, push_identity, tax_table, tender_label,
};
use crate::texts::{self, Key};

/// Which report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// A reading; nothing changes.
    X,
    /// A closing, numbered.
    Z {
        /// Z number of this till.
        number: u64,
    },
}

/// The drawer, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DrawerFigures {
    /// Counted float at opening.
    pub float_minor: i64,
    /// Cash that should be there; `None` hides it while a blind count is going on.
    pub expected_minor: Option<i64>,
    /// Cash counted.
    pub counted_minor: Option<i64>,
    /// Counted minus expected.
    pub difference_minor: Option<i64>,
}

/// Everything a shift report says. Amounts are in minor units of `currency`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShiftReport {
    /// Language.
    pub language: Language,
    /// Issuer.
    pub store: StoreIdentity,
    /// X or Z.
    pub kind: ReportKind,
    /// Trading day.
    pub business_date: chrono::NaiveDate,
    /// Till.
    pub till: String,
    /// Display name of who opened or closes the shift.
    pub cashier: String,
    /// Local time of opening.
    pub opened: NaiveDateTime,
    /// Local time of closing, for a Z.
    pub closed: Option<NaiveDateTime>,
    /// Local time of printing.
    pub printed: NaiveDateTime,
    /// Number of the first receipt.
    pub first_receipt: Option<String>,
    /// Number of the last receipt.
    pub last_receipt: Option<String>,
    /// Currency of every amount.
    pub currency: Currency,
    /// Receipts of sales.
    pub sales: u64,
    /// Receipts of reversals.
    pub reversals: u64,
    /// Units sold minus units taken back.
    pub units: Quantity,
    /// Lines taken off carts.
    pub voided_lines: u64,
    /// Carts given up.
    pub voided_carts: u64,
    /// Discounts given.
    pub discounts_minor: i64,
    /// Cash rounding.
    pub rounding_minor: i64,
    /// Levies.
    pub levies: Vec<LevyLine>,
    /// Stamp duty on cash receipts, to be declared.
    pub cash_stamp: Vec<CashStamp>,
    /// Net and tax per rate.
    pub taxes: Vec<TaxTotal>,
    /// Money kept per kind of tender.
    pub tenders: Vec<(TenderKind, i64)>,
    /// Money moved without a sale, by kind; magnitudes.
    pub moved: Vec<(CashMovement, i64)>,
    /// Openings of the drawer without a sale.
    pub no_sales: u64,
    /// Counts that did not close the shift.
    pub counts: u64,
    /// Times that the drawer was handed over.
    pub hand_overs: u64,
    /// Proposed to be banked.
    pub deposit_minor: i64,
    /// Number of the drawer, where the till has several.
    pub drawer_number: Option<u32>,
    /// Sum of receipts.
    pub takings_minor: i64,
    /// Drawer.
    pub drawer: DrawerFigures,
    /// Sum of all sales ever on this till.
    pub perpetual_minor: Option<i64>,
}

impl ShiftReport {
    /// The document to freeze in the print job.
    pub fn to_document(&self) -> Document {
        let mut document = Document::new(self.language);
        let blocks = &mut document.blocks;
        push_identity(blocks, &self.store);
        self.push_title(blocks);
        self.push_facts(blocks);
        self.push_activity(blocks);
        self.push_money(blocks);
        self.push_drawer(blocks);
        push_cash_stamp(blocks, self.language, self.currency, &self.cash_stamp);
        self.push_foot(blocks);
        document
    }

    fn text(&self, key: Key) -> String {
        texts::text(self.language, key).to_owned()
    }

    fn push_amount(&self, blocks: &mut Vec<Block>, label: String, minor: i64, weight: Weight) {
        blocks.push(Block::Row {
            label,
            amount: amount(minor, self.currency),
            weight,
        });
    }

    fn push_heading(&self, blocks: &mut Vec<Block>, key: Key) {
        blocks.push(Block::Rule {
            style: RuleStyle::Dashed,
        });
        blocks.push(Block::Text {
            text: self.text(key),
            weight: Weight::Strong,
        });
    }

    fn push_title(&self, blocks: &mut Vec<Block>) {
        blocks.push(Block::Spacer { eighths: 4 });
        match self.kind {
            ReportKind::X => {
                blocks.push(Block::Title {
                    text: self.text(Key::ReportX),
                });
                blocks.push(Block::Centered {
                    text: self.text(Key::ReportXNote),
                    weight: Weight::Small,
                });
            }
            ReportKind::Z { number } => {
                let number = isolate_ltr(&number.to_string());
                blocks.push(Block::Title {
                    text: texts::fill(self.language, Key::ReportZ, &[("number", &number)]),
                });
            }
        }
        blocks.push(Block::Spacer { eighths: 3 });
    }

    fn push_facts(&self, blocks: &mut Vec<Block>) {
        let mut fact = |key, value: String| push_fact(blocks, self.language, key, value);
        fact(Key::BusinessDay, isolate_ltr(&date(self.business_date)));
        fact(Key::Till, isolate_ltr(&clean(&self.till)));
        if let Some(drawer) = self.drawer_number {
            fact(Key::CashDrawer, isolate_ltr(&drawer.to_string()));
        }
        fact(Key::ReportCashier, clean(&self.cashier));
        fact(Key::ReportOpened, isolate_ltr(&date_time(self.opened)));
        if let Some(closed) = self.closed {
            fact(Key::ReportClosed, isolate_ltr(&date_time(closed)));
        }
        if let Some(number) = &self.first_receipt {
            fact(Key::ReportFirstReceipt, isolate_ltr(&clean(number)));
        }
        if let Some(number) = &self.last_receipt {
            fact(Key::ReportLastReceipt, isolate_ltr(&clean(number)));
        }
    }

    fn push_activity(&self, blocks: &mut Vec<Block>) {
        self.push_heading(blocks, Key::ReportActivity);
        let counts = [
            (Key::ReportSales, self.sales.to_string()),
            (Key::ReportReversals, self.reversals.to_string()),
            (Key::ReportUnits, quantity(self.units)),
            (Key::ReportLinesVoided, self.voided_lines.to_string()),
            (Key::ReportCartsVoided, self.voided_carts.to_string()),
        ];
        // What a quiet shift had none of would only fill paper.
        let rare = [
            (Key::ReportNoSales, self.no_sales),
            (Key::ReportCounts, self.counts),
            (Key::ReportHandOvers, self.hand_overs),
        ];
        let rare = rare
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(key, count)| (key, count.to_string()));
        for (key, count) in counts.into_iter().chain(rare) {
            blocks.push(Block::Row {
                label: self.text(key),
                amount: count,
                weight: Weight::Normal,
            });
        }
        self.push_amount(
            blocks,
            self.text(Key::ReportDiscounts),
            self.discounts_minor,
            Weight::Normal,
        );
    }

    fn push_money(&self, blocks: &mut Vec<Block>) {
        if !self.taxes.is_empty() {
            self.push_heading(blocks, Key::ReportTaxes);
            blocks.push(tax_table(self.language, self.currency, &self.taxes));
        }
        if !self.levies.is_empty() {
            self.push_heading(blocks, Key::ReportLevies);
            for levy in &self.levies {
                self.push_amount(blocks, clean(&levy.label), levy.minor, Weight::Normal);
            }
        }
        self.push_heading(blocks, Key::ReportTenders);
        for (kind, minor) in &self.tenders {
            self.push_amount(
                blocks,
                tender_label(self.language, *kind).to_owned(),
                *minor,
                Weight::Normal,
            );
        }
        if self.rounding_minor != 0 {
            self.push_amount(
                blocks,
                self.text(Key::Rounding),
                self.rounding_minor,
                Weight::Normal,
            );
        }
        blocks.push(Block::Rule {
            style: RuleStyle::Solid,
        });
        blocks.push(Block::Total {
            label: self.text(Key::ReportTakings),
            amount: amount_with_symbol(self.takings_minor, self.currency, self.language),
        });
    }

    fn push_drawer(&self, blocks: &mut Vec<Block>) {
        self.push_heading(blocks, Key::ReportDrawer);
        let DrawerFigures {
            float_minor,
            expected_minor,
            counted_minor,
            difference_minor,
        } = self.drawer;
        self.push_amount(
            blocks,
            self.text(Key::ReportFloat),
            float_minor,
            Weight::Normal,
        );
        for (movement, minor) in &self.moved {
            let label = movement_label(self.language, *movement).to_owned();
            self.push_amount(blocks, label, *minor, Weight::Normal);
        }
        let deposit = (self.deposit_minor != 0).then_some(self.deposit_minor);
        let figures = [
            (Key::ReportExpected, expected_minor, Weight::Normal),
            (Key::ReportCounted, counted_minor, Weight::Normal),
            (Key::ReportDifference, difference_minor, Weight::Strong),
            (Key::ReportDeposit, deposit, Weight::Normal),
        ];
        for (key, minor, weight) in figures {
            if let Some(minor) = minor {
                self.push_amount(blocks, self.text(key), minor, weight);
            }
        }
    }

    fn push_foot(&self, blocks: &mut Vec<Block>) {
        blocks.push(Block::Rule {
            style: RuleStyle::Dashed,
        });
        if let Some(minor) = self.perpetual_minor {
            self.push_amount(
                blocks,
                self.text(Key::ReportPerpetual),
                minor,
                Weight::Normal,
            );
        }
        push_fact(
            blocks,
            self.language,
            Key::ReportPrinted,
            isolate_ltr(&date_time(self.printed)),
        );
        if matches!(self.kind, ReportKind::Z { .. }) {
            blocks.push(Block::Text {
                text: self.text(Key::ReportSignature),
                weight: Weight::Small,
            });
            blocks.push(Block::Spacer { eighths: 20 });
            blocks.push(Block::Rule {
                style: RuleStyle::Dashed,
            });
        }
    }
}

/// The three figures of the form: receipts, base, duty. Nobody paid it at the till, so it stands apart.
pub(crate) fn push_cash_stamp(
    blocks: &mut Vec<Block>,
    language: Language,
    currency: Currency,
    stamps: &[CashStamp],
) {
    if stamps.is_empty() {
        return;
    }
    let text = |key| texts::text(language, key).to_owned();
    blocks.push(Block::Rule {
        style: RuleStyle::Dashed,
    });
    blocks.push(Block::Text {
        text: text(Key::ReportCashStamp),
        weight: Weight::Strong,
    });
    let mut row = |label: String, amount: String, weight| {
        blocks.push(Block::Row {
            label,
            amount,
            weight,
        });
    };
    for stamp in stamps {
        let rate = isolate_ltr(&format!("{} %", stamp.percent()));
        let duty = texts::fill(language, Key::ReportCashStampDuty, &[("rate", &rate)]);
        let base = amount(stamp.base_minor, currency);
        row(
            text(Key::ReportCashStampCount),
            stamp.count.to_string(),
            Weight::Normal,
        );
        row(text(Key::ReportCashStampBase), base, Weight::Normal);
        row(duty, amount(stamp.duty_minor, currency), Weight::Strong);
    }
}
