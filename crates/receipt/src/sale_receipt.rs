//! The receipt of a sale, a return, an exchange or a reversal.

use chrono::{NaiveDate, NaiveDateTime};
use domain::catalog::Language;
use domain::config::Rate;
use domain::event::{TaxTotal, TenderKind};
use domain::money::Currency;
use domain::quantity::Quantity;

use crate::document::{Block, Document, Row, RuleStyle, Symbology, Weight};
use crate::format::{
    amount, amount_with_symbol, clean, clean_line, date, date_time, isolate_ltr, quantity,
};
use crate::texts::{self, Key};

/// Who issues the document, as printed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreIdentity {
    /// Name of the chain or shop.
    pub name: String,
    /// Name of the branch, empty for none.
    pub branch: String,
    /// Address and telephone lines.
    pub address: Vec<String>,
    /// Legal identity lines, printed as they are.
    pub legal: Vec<String>,
    /// Monochrome logo.
    pub logo: Option<Logo>,
}

/// A monochrome picture: rows of `ceil(width / 8)` bytes, most significant bit left, 1 = black.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logo {
    /// Width in dots.
    pub width: u32,
    /// Height in dots.
    pub height: u32,
    /// The rows.
    pub rows: Vec<u8>,
}

/// One line of a sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptLine {
    /// Name in the receipt's language.
    pub name: String,
    /// Quantity, negative for goods that come back.
    pub quantity: Quantity,
    /// Unit price charged, tax included.
    pub unit_minor: i64,
    /// Quantity times unit price, before discounts, signed like the quantity.
    pub gross_minor: i64,
    /// Discount on the line, signed like the quantity (positive lowers a sale).
    pub discount_minor: i64,
    /// The percentage behind the discount where there was one, as text (`10`).
    pub discount_percent: Option<String>,
}

/// A levy on the document (stamp duty).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevyLine {
    /// Name in the receipt's language.
    pub label: String,
    /// Amount.
    pub minor: i64,
}

/// One means of payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenderLine {
    /// How.
    pub kind: TenderKind,
    /// Amount handed over, negative when paid out.
    pub minor: i64,
    /// Slip or cheque number.
    pub reference: Option<String>,
}

/// What the document is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Occasion {
    /// A sale.
    #[default]
    Sale,
    /// Goods came back; the number of the original receipt where known.
    Return {
        /// Original receipt.
        of_number: Option<String>,
    },
    /// Goods came back and others left.
    Exchange {
        /// Original receipt.
        of_number: Option<String>,
    },
    /// A whole receipt undone.
    Reversal {
        /// Receipt undone.
        of_number: String,
    },
}

/// What a reader of the receipt's QR code gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ReceiptCode {
    /// The number, signed by nobody: the store wants no more.
    #[default]
    Number,
    /// What was sold, signed.
    Signed(String),
    /// Nothing: it should have been signed and was not, and the receipt says so.
    Unverified,
}

/// Everything a receipt says. Amounts are in minor units of `currency`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaleReceipt {
    /// Language.
    pub language: Language,
    /// Issuer.
    pub store: StoreIdentity,
    /// What it is about.
    pub occasion: Occasion,
    /// Rung in training mode: worth nothing, and says so.
    pub training: bool,
    /// Receipt number.
    pub number: String,
    /// Trading day.
    pub business_date: NaiveDate,
    /// Local wall time of completion.
    pub wall: NaiveDateTime,
    /// Till.
    pub till: String,
    /// Display name of the cashier.
    pub cashier: String,
    /// Currency of every amount.
    pub currency: Currency,
    /// Lines.
    pub lines: Vec<ReceiptLine>,
    /// Discount on the whole cart, positive lowers a sale.
    pub cart_discount_minor: i64,
    /// Net and tax per rate.
    pub taxes: Vec<TaxTotal>,
    /// Levies.
    pub levies: Vec<LevyLine>,
    /// Rounding of the cash leg.
    pub rounding_minor: i64,
    /// What was due.
    pub total_minor: i64,
    /// Tenders.
    pub tenders: Vec<TenderLine>,
    /// Cash handed back.
    pub change_minor: i64,
    /// What its code says.
    pub code: ReceiptCode,
    /// Closing lines (return policy, opening hours); a thank-you when empty.
    pub footer: Vec<String>,
}

impl SaleReceipt {
    /// The document to freeze in the print job.
    pub fn to_document(&self) -> Document {
        let mut document = Document::new(self.language);
        let blocks = &mut document.blocks;
        push_identity(blocks, &self.store);
        self.push_marks(blocks);
        self.push_facts(blocks);
        blocks.push(Block::Rule {
            style: RuleStyle::Dashed,
        });
        self.push_lines(blocks);
        blocks.push(Block::Rule {
            style: RuleStyle::Solid,
        });
        self.push_total(blocks);
        self.push_tenders(blocks);
        if !self.taxes.is_empty() {
            blocks.push(Block::Rule {
                style: RuleStyle::Dashed,
            });
            blocks.push(tax_table(self.language, self.currency, &self.taxes));
        }
        self.push_foot(blocks);
        document
    }

    fn text(&self, key: Key) -> String {
        texts::text(self.language, key).to_owned()
    }

    fn amount(&self, minor: i64) -> String {
        amount(minor, self.currency)
    }

    fn push_row(&self, blocks: &mut Vec<Block>, label: String, minor: i64) {
        blocks.push(Block::Row {
            label,
            amount: self.amount(minor),
            weight: Weight::Normal,
        });
    }

    fn push_marks(&self, blocks: &mut Vec<Block>) {
        let mut marks = Vec::new();
        if self.training {
            marks.push(self.text(Key::MarkTraining));
        }
        let reference = |key, number: &str| {
            texts::fill(
                self.language,
                key,
                &[("number", &isolate_ltr(&clean(number)))],
            )
        };
        let (title, note) = match &self.occasion {
            Occasion::Sale => (None, None),
            Occasion::Reversal { of_number } => {
                marks.push(self.text(Key::MarkReversal));
                (None, Some(reference(Key::Reverses, of_number)))
            }
            Occasion::Return { of_number } => (
                Some(self.text(Key::TitleReturn)),
                Some(match of_number {
                    Some(number) => reference(Key::Returns, number),
                    None => self.text(Key::UnlinkedReturn),
                }),
            ),
            Occasion::Exchange { of_number } => (
                Some(self.text(Key::TitleExchange)),
                of_number
                    .as_ref()
                    .map(|number| reference(Key::Returns, number)),
            ),
        };
        if marks.is_empty() && title.is_none() {
            return;
        }
        blocks.push(Block::Spacer { eighths: 3 });
        for text in marks {
            blocks.push(Block::Mark { text });
            blocks.push(Block::Spacer { eighths: 2 });
        }
        if let Some(text) = title {
            blocks.push(Block::Centered {
                text,
                weight: Weight::Strong,
            });
        }
        if let Some(text) = note {
            blocks.push(Block::Centered {
                text,
                weight: Weight::Small,
            });
        }
    }

    fn push_facts(&self, blocks: &mut Vec<Block>) {
        blocks.push(Block::Spacer { eighths: 4 });
        let mut fact = |key, value: String| push_fact(blocks, self.language, key, value);
        fact(Key::Number, isolate_ltr(&clean(&self.number)));
        fact(Key::Date, isolate_ltr(&date_time(self.wall)));
        if self.business_date != self.wall.date() {
            fact(Key::BusinessDay, isolate_ltr(&date(self.business_date)));
        }
        fact(Key::Till, isolate_ltr(&clean(&self.till)));
        if !self.cashier.trim().is_empty() {
            fact(Key::Cashier, clean(&self.cashier));
        }
    }

    fn push_lines(&self, blocks: &mut Vec<Block>) {
        for line in &self.lines {
            let detail = (line.quantity != Quantity::ONE).then(|| {
                let values = [
                    ("quantity", quantity(line.quantity)),
                    ("price", self.amount(line.unit_minor)),
                ]
                .map(|(name, value)| (name, isolate_ltr(&value)));
                let values: Vec<(&str, &str)> = values
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                isolate_ltr(&texts::fill(self.language, Key::LineDetail, &values))
            });
            blocks.push(Block::Item {
                name: clean_line(&line.name),
                detail,
                amount: self.amount(line.gross_minor),
                discount: (line.discount_minor != 0).then(|| Row {
                    label: self.discount_label(line.discount_percent.as_deref()),
                    amount: self.amount(line.discount_minor.saturating_neg()),
                }),
            });
        }
    }

    fn discount_label(&self, percent: Option<&str>) -> String {
        match percent {
            Some(percent) => texts::fill(
                self.language,
                Key::DiscountPercent,
                &[("percent", &clean(percent))],
            ),
            None => self.text(Key::Discount),
        }
    }

    fn push_total(&self, blocks: &mut Vec<Block>) {
        let extras =
            self.cart_discount_minor != 0 || !self.levies.is_empty() || self.rounding_minor != 0;
        if extras {
            let goods = self.lines.iter().fold(0_i64, |sum, line| {
                sum.saturating_add(line.gross_minor)
                    .saturating_sub(line.discount_minor)
            });
            self.push_row(blocks, self.text(Key::Subtotal), goods);
        }
        if self.cart_discount_minor != 0 {
            self.push_row(
                blocks,
                self.text(Key::Discount),
                self.cart_discount_minor.saturating_neg(),
            );
        }
        for levy in &self.levies {
            self.push_row(blocks, clean(&levy.label), levy.minor);
        }
        if self.rounding_minor != 0 {
            self.push_row(blocks, self.text(Key::Rounding), self.rounding_minor);
        }
        if extras {
            blocks.push(Block::Spacer { eighths: 2 });
        }
        let gives_back = self.total_minor < 0;
        let key = if gives_back {
            Key::TotalRefund
        } else {
            Key::Total
        };
        // A refund is named as such, so its amount stands without a sign that a shopper could read as a debt.
        let minor = if gives_back {
            self.total_minor.saturating_neg()
        } else {
            self.total_minor
        };
        blocks.push(Block::Total {
            label: self.text(key),
            amount: amount_with_symbol(minor, self.currency, self.language),
        });
        let units = self.units();
        if units > 0 {
            blocks.push(Block::Text {
                text: texts::plural(self.language, Key::Articles, units),
                weight: Weight::Small,
            });
        }
    }

    /// Pieces that leave the store; a line measured in fractions (rope by the metre) counts as one.
    fn units(&self) -> u64 {
        self.lines
            .iter()
            .map(|line| line.quantity.thousandths())
            .filter(|thousandths| *thousandths > 0)
            .map(|thousandths| {
                if thousandths % 1_000 == 0 {
                    thousandths.unsigned_abs() / 1_000
                } else {
                    1
                }
            })
            .sum()
    }

    fn push_tenders(&self, blocks: &mut Vec<Block>) {
        blocks.push(Block::Spacer { eighths: 3 });
        for tender in &self.tenders {
            let kind = tender_label(self.language, tender.kind);
            if tender.minor < 0 {
                let label = texts::fill(self.language, Key::TenderRefunded, &[("tender", kind)]);
                self.push_row(blocks, label, tender.minor.saturating_neg());
            } else {
                self.push_row(blocks, kind.to_owned(), tender.minor);
            }
            if let Some(reference) = tender
                .reference
                .as_deref()
                .map(clean)
                .filter(|text| !text.is_empty())
            {
                let text = texts::fill(
                    self.language,
                    Key::TenderReference,
                    &[("reference", &isolate_ltr(&reference))],
                );
                blocks.push(Block::Text {
                    text,
                    weight: Weight::Small,
                });
            }
        }
        if self.change_minor != 0 {
            blocks.push(Block::Row {
                label: self.text(Key::Change),
                amount: self.amount(self.change_minor),
                weight: Weight::Strong,
            });
        }
    }

    fn push_foot(&self, blocks: &mut Vec<Block>) {
        let number = clean(&self.number);
        blocks.push(Block::Spacer { eighths: 6 });
        let data = match &self.code {
            ReceiptCode::Number => Some(number.clone()),
            ReceiptCode::Signed(text) => Some(text.clone()),
            ReceiptCode::Unverified => None,
        };
        match data {
            Some(data) => blocks.push(Block::Code {
                symbology: Symbology::Qr,
                data,
                caption: number,
            }),
            None => blocks.push(Block::Centered {
                text: self.text(Key::Unverified),
                weight: Weight::Small,
            }),
        }
        blocks.push(Block::Spacer { eighths: 3 });
        if self.footer.is_empty() {
            blocks.push(Block::Centered {
                text: self.text(Key::Thanks),
                weight: Weight::Normal,
            });
        }
        for line in &self.footer {
            blocks.push(Block::Centered {
                text: clean_line(line),
                weight: Weight::Small,
            });
        }
    }
}

/// The name of a kind of tender.
pub fn tender_label(language: Language, kind: TenderKind) -> &'static str {
    let key = match kind {
        TenderKind::Cash => Key::TenderCash,
        TenderKind::Card => Key::TenderCard,
        TenderKind::Other => Key::TenderOther,
    };
    texts::text(language, key)
}

/// The name of a rate: `19 %`, or the word for exempt at zero.
pub(crate) fn rate_label(language: Language, rate: Rate) -> String {
    if rate == Rate::default() {
        return texts::text(language, Key::TaxExempt).to_owned();
    }
    isolate_ltr(&format!("{rate} %"))
}

pub(crate) fn tax_table(language: Language, currency: Currency, taxes: &[TaxTotal]) -> Block {
    let head = [Key::TaxRate, Key::TaxNet, Key::TaxAmount, Key::TaxGross];
    let rows = taxes.iter().map(|tax| {
        vec![
            rate_label(language, tax.rate),
            amount(tax.net_minor, currency),
            amount(tax.tax_minor, currency),
            amount(tax.net_minor.saturating_add(tax.tax_minor), currency),
        ]
    });
    Block::Table {
        head: head
            .map(|key| texts::text(language, key).to_owned())
            .to_vec(),
        rows: rows.collect(),
    }
}

pub(crate) fn push_fact(blocks: &mut Vec<Block>, language: Language, key: Key, value: String) {
    blocks.push(Block::Row {
        label: texts::text(language, key).to_owned(),
        amount: value,
        weight: Weight::Small,
    });
}

pub(crate) fn push_identity(blocks: &mut Vec<Block>, store: &StoreIdentity) {
    use base64::Engine as _;
    if let Some(logo) = &store.logo {
        blocks.push(Block::Logo {
            width: logo.width,
            height: logo.height,
            rows: base64::engine::general_purpose::STANDARD.encode(&logo.rows),
        });
        blocks.push(Block::Spacer { eighths: 2 });
    }
    blocks.push(Block::Title {
        text: clean(&store.name),
    });
    if !store.branch.trim().is_empty() {
        blocks.push(Block::Centered {
            text: clean(&store.branch),
            weight: Weight::Strong,
        });
    }
    for line in store.address.iter().chain(&store.legal) {
        blocks.push(Block::Centered {
            text: clean_line(line),
            weight: Weight::Small,
        });
    }
}
