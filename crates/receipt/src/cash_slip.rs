//! The slip for money that moved, or a drawer that was opened, without a sale.

use chrono::NaiveDateTime;
use domain::catalog::Language;
use domain::event::CashMovement;
use domain::money::Currency;

use crate::document::{Block, Document, RuleStyle, Weight};
use crate::format::{amount_with_symbol, clean, date, date_time, isolate_ltr};
use crate::sale_receipt::{StoreIdentity, push_fact, push_identity};
use crate::texts::{self, Key};

/// Everything a slip says. Amounts are in minor units of `currency`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CashSlip {
    /// Language.
    pub language: Language,
    /// Issuer.
    pub store: StoreIdentity,
    /// Which way money moved; none when only the drawer was opened.
    pub movement: Option<CashMovement>,
    /// Number of the slip.
    pub number: String,
    /// Trading day.
    pub business_date: chrono::NaiveDate,
    /// Local time.
    pub wall: NaiveDateTime,
    /// Till.
    pub till: String,
    /// Drawer.
    pub drawer: u32,
    /// Display name of who moved it.
    pub user: String,
    /// Display name of the manager who approved.
    pub approved_by: Option<String>,
    /// Currency.
    pub currency: Currency,
    /// How much.
    pub amount_minor: i64,
    /// Why.
    pub reason: String,
}

/// Name of a movement on paper.
pub(crate) fn movement_label(language: Language, movement: CashMovement) -> &'static str {
    texts::text(
        language,
        match movement {
            CashMovement::PayIn => Key::CashPayIn,
            CashMovement::PayOut => Key::CashPayOut,
            CashMovement::Drop => Key::CashDrop,
        },
    )
}

impl CashSlip {
    /// The document to freeze in the print job.
    pub fn to_document(&self) -> Document {
        let language = self.language;
        let mut document = Document::new(language);
        let blocks = &mut document.blocks;
        push_identity(blocks, &self.store);
        blocks.push(Block::Spacer { eighths: 4 });
        let title = self.movement.map_or_else(
            || texts::text(language, Key::CashNoSale),
            |movement| movement_label(language, movement),
        );
        blocks.push(Block::Title {
            text: title.to_owned(),
        });
        blocks.push(Block::Spacer { eighths: 3 });
        let mut fact = |key, value: String| push_fact(blocks, language, key, value);
        fact(Key::CashSlip, isolate_ltr(&clean(&self.number)));
        fact(Key::BusinessDay, isolate_ltr(&date(self.business_date)));
        fact(Key::Date, isolate_ltr(&date_time(self.wall)));
        fact(Key::Till, isolate_ltr(&clean(&self.till)));
        fact(Key::CashDrawer, isolate_ltr(&self.drawer.to_string()));
        fact(Key::ReportCashier, clean(&self.user));
        if let Some(manager) = &self.approved_by {
            fact(Key::CashApproved, clean(manager));
        }
        blocks.push(Block::Rule {
            style: RuleStyle::Solid,
        });
        if self.movement.is_some() {
            blocks.push(Block::Total {
                label: texts::text(language, Key::CashAmount).to_owned(),
                amount: amount_with_symbol(self.amount_minor, self.currency, language),
            });
        }
        blocks.push(Block::Text {
            text: clean(&self.reason),
            weight: Weight::Normal,
        });
        blocks.push(Block::Rule {
            style: RuleStyle::Dashed,
        });
        blocks.push(Block::Text {
            text: texts::text(language, Key::ReportSignature).to_owned(),
            weight: Weight::Small,
        });
        blocks.push(Block::Spacer { eighths: 20 });
        blocks.push(Block::Rule {
            style: RuleStyle::Dashed,
        });
        document
    }
}
