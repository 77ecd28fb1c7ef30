//! A page that shows whether a printer, its width and its scripts are set up.

use chrono::NaiveDateTime;
use domain::catalog::Language;

use crate::document::{Block, Document, RuleStyle, Symbology, Weight};
use crate::format::{clean, date_time, isolate_ltr};
use crate::sale_receipt::{StoreIdentity, push_fact, push_identity};
use crate::texts::{self, Key};

/// What the test page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestPage {
    /// Language.
    pub language: Language,
    /// Issuer.
    pub store: StoreIdentity,
    /// Name of the printer or its profile.
    pub printer: String,
    /// Width in dots.
    pub width_dots: u32,
    /// Local time of printing.
    pub printed: NaiveDateTime,
}

impl TestPage {
    /// The document to print.
    pub fn to_document(&self) -> Document {
        let language = self.language;
        let mut document = Document::new(language);
        let blocks = &mut document.blocks;
        push_identity(blocks, &self.store);
        blocks.push(Block::Spacer { eighths: 4 });
        blocks.push(Block::Title {
            text: texts::text(language, Key::TestTitle).to_owned(),
        });
        push_fact(blocks, language, Key::TestPrinter, clean(&self.printer));
        let dots = isolate_ltr(&self.width_dots.to_string());
        push_fact(
            blocks,
            language,
            Key::TestWidth,
            texts::fill(language, Key::TestDots, &[("dots", &dots)]),
        );
        push_fact(
            blocks,
            language,
            Key::ReportPrinted,
            isolate_ltr(&date_time(self.printed)),
        );
        blocks.push(Block::Rule {
            style: RuleStyle::Dashed,
        });
        // Each sample mixes its script with digits and a code, the mixtures that go wrong first.
        for sample in [
            "Été, cœur, garçon : 1 234.500 DT",
            "كرة قدم مقاس 5 (FB-05) 1 234.500",
            "The quick brown fox 0123456789",
        ] {
            blocks.push(Block::Text {
                text: sample.to_owned(),
                weight: Weight::Normal,
            });
        }
        blocks.push(Block::Rule {
            style: RuleStyle::Solid,
        });
        blocks.push(Block::Ruler);
        blocks.push(Block::Centered {
            text: texts::text(language, Key::TestEdges).to_owned(),
            weight: Weight::Small,
        });
        blocks.push(Block::Spacer { eighths: 4 });
        blocks.push(Block::Code {
            symbology: Symbology::Qr,
            data: "HANOUT-TEST".to_owned(),
            caption: "HANOUT-TEST".to_owned(),
        });
        blocks.push(Block::Spacer { eighths: 4 });
        blocks.push(Block::Code {
            symbology: Symbology::Code128,
            data: "HANOUT-01".to_owned(),
            caption: "HANOUT-01".to_owned(),
        });
        blocks.push(Block::Spacer { eighths: 4 });
        blocks.push(Block::Centered {
            text: texts::text(language, Key::TestDone).to_owned(),
            weight: Weight::Strong,
        });
        document
    }
}
