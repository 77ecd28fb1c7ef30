//! A document as it is frozen in a print job: finished texts in order, nothing left to look up.

use domain::catalog::Language;
use serde::{Deserialize, Serialize};

use crate::format::plain;
use crate::texts::{self, Key};

/// Newest schema this program writes and reads.
pub const SCHEMA: u16 = 1;

/// Everything that appears on one piece of paper, top to bottom. Amounts and dates are already written out,
/// so neither a later catalogue nor a later format changes what a stored document prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Version of this structure.
    pub schema: u16,
    /// Language; Arabic mirrors the columns.
    pub language: Language,
    /// Content in order.
    pub blocks: Vec<Block>,
}

/// How large and heavy a text is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Legal lines, details, references.
    Small,
    /// Ordinary text.
    #[default]
    Normal,
    /// Ordinary size, bold.
    Strong,
}

/// How a rule is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleStyle {
    /// Dashes, between parts.
    #[default]
    Dashed,
    /// A thick line, around totals.
    Solid,
}

/// Which symbol carries a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Symbology {
    /// A QR code, error correction M.
    Qr,
    /// A Code 128 barcode; a QR code where the paper is too narrow to scan it.
    Code128,
}

/// A label and its amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Left in French and English, right in Arabic.
    pub label: String,
    /// The other side.
    pub amount: String,
}

/// One part of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "block", rename_all = "snake_case", deny_unknown_fields)]
pub enum Block {
    /// The shop's name or the name of a report, large and centred.
    Title {
        /// Text.
        text: String,
    },
    /// A centred line.
    Centered {
        /// Text.
        text: String,
        /// Size and weight.
        #[serde(default)]
        weight: Weight,
    },
    /// A paragraph at the reading edge.
    Text {
        /// Text.
        text: String,
        /// Size and weight.
        #[serde(default)]
        weight: Weight,
    },
    /// A label with its amount.
    Row {
        /// Label.
        label: String,
        /// Amount.
        amount: String,
        /// Size and weight.
        #[serde(default)]
        weight: Weight,
    },
    /// An article: its name, then quantity and unit price with the amount, then its discount.
    Item {
        /// Name of the article.
        name: String,
        /// `2 x 12.500`; none for a single unit, whose amount stands beside its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
        /// Amount before the discount.
        amount: String,
        /// Discount on the line.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        discount: Option<Row>,
    },
    /// A small table, first column at the reading edge, the others at the far edge of their column.
    Table {
        /// Heads of the columns.
        head: Vec<String>,
        /// Cells by row.
        rows: Vec<Vec<String>>,
    },
    /// A line across the paper.
    Rule {
        /// How.
        #[serde(default)]
        style: RuleStyle,
    },
    /// Blank paper.
    Spacer {
        /// Height in eighths of a text line.
        eighths: u8,
    },
    /// The amount that matters, largest on the page.
    Total {
        /// Label.
        label: String,
        /// Amount.
        amount: String,
    },
    /// White on black across the paper: a copy, a cancellation, training.
    Mark {
        /// Text.
        text: String,
    },
    /// A monochrome picture, centred.
    Logo {
        /// Width in dots.
        width: u32,
        /// Height in dots.
        height: u32,
        /// Rows of `ceil(width / 8)` bytes, most significant bit left, 1 = black; base64.
        rows: String,
    },
    /// A machine-readable code with its text below.
    Code {
        /// Which symbol.
        symbology: Symbology,
        /// What it says.
        data: String,
        /// Printed below it.
        caption: String,
    },
    /// Frames and bars that show whether every dot of the paper's width prints.
    Ruler,
}

/// Why a stored document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The text is not a document of this schema.
    #[error("not a document")]
    Malformed(#[from] serde_json::Error),
    /// A newer program wrote it.
    #[error("document schema {found} is newer than {SCHEMA}")]
    SchemaTooNew {
        /// Schema found.
        found: u16,
    },
}

impl Document {
    /// An empty document.
    pub const fn new(language: Language) -> Document {
        Document {
            schema: SCHEMA,
            language,
            blocks: Vec::new(),
        }
    }

    /// The document as JSON, the form a print job keeps.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a document has only string keys and no float")
    }

    /// Reads what [`Document::to_json`] wrote, in this version or an earlier one.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn from_json(json: &str) -> Result<Document, DocumentError> {
        #[derive(Deserialize)]
        struct Head {
            schema: u16,
        }
        let head: Head = serde_json::from_str(json)?;
        if head.schema > SCHEMA {
            return Err(DocumentError::SchemaTooNew { found: head.schema });
        }
        Ok(serde_json::from_str(json)?)
    }

    /// The same document marked as copy number `copy` (1 = first reprint) at its head and its foot.
    /// Marking a copy again replaces nothing: ask for copies of the original.
    pub fn as_copy(&self, copy: u32) -> Document {
        let text = if copy <= 1 {
            texts::text(self.language, Key::MarkCopy).to_owned()
        } else {
            texts::fill(
                self.language,
                Key::MarkCopyNumbered,
                &[("copy", &copy.to_string())],
            )
        };
        let mark = Block::Mark { text };
        let mut blocks = Vec::with_capacity(self.blocks.len() + 3);
        blocks.push(mark.clone());
        blocks.push(Block::Spacer { eighths: 3 });
        blocks.extend(self.blocks.iter().cloned());
        blocks.push(Block::Spacer { eighths: 3 });
        blocks.push(mark);
        Document {
            schema: self.schema,
            language: self.language,
            blocks,
        }
    }

    /// The document as lines of text, for previews, logs of tests and screen readers. Not a layout.
    pub fn to_text(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        let two = |label: &str, amount: &str| format!("{label}: {amount}");
        for block in &self.blocks {
            match block {
                Block::Title { text } | Block::Centered { text, .. } | Block::Text { text, .. } => {
                    lines.push(text.clone())
                }
                Block::Mark { text } => lines.push(format!("*** {text} ***")),
                Block::Row { label, amount, .. } | Block::Total { label, amount } => {
                    lines.push(two(label, amount))
                }
                Block::Item {
                    name,
                    detail,
                    amount,
                    discount,
                } => {
                    let detail = detail
                        .as_ref()
                        .map(|detail| format!(" ({detail})"))
                        .unwrap_or_default();
                    lines.push(two(&format!("{name}{detail}"), amount));
                    if let Some(row) = discount {
                        lines.push(two(&format!("  {}", row.label), &row.amount));
                    }
                }
                Block::Table { head, rows } => {
                    lines.push(head.join(" | "));
                    lines.extend(rows.iter().map(|row| row.join(" | ")));
                }
                Block::Code { caption, .. } => lines.push(format!("[{caption}]")),
                Block::Rule { .. } => lines.push("---".to_owned()),
                Block::Spacer { .. } | Block::Logo { .. } | Block::Ruler => {}
            }
        }
        lines
            .iter()
            .map(|line| plain(line))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let mut document = Document::new(Language::Ar);
        document.blocks = vec![
            Block::Title {
                text: "أطلس".to_owned(),
            },
            Block::Row {
                label: "نقدا".to_owned(),
                amount: "1.000".to_owned(),
                weight: Weight::Strong,
            },
            Block::Item {
                name: "Ballon".to_owned(),
                detail: None,
                amount: "9.900".to_owned(),
                discount: None,
            },
            Block::Total {
                label: "المجموع".to_owned(),
                amount: "9.900".to_owned(),
            },
            Block::Rule {
                style: RuleStyle::Solid,
            },
        ];
        document
    }

    #[test]
    fn a_stored_document_reads_back_the_same() {
        let json = document().to_json();
        assert_eq!(
            Document::from_json(&json).expect("just written"),
            document()
        );
    }

    #[test]
    fn the_stored_form_does_not_drift() {
        let json = r#"{"schema":1,"language":"ar","blocks":[{"block":"title","text":"أطلس"},{"block":"row","label":"نقدا","amount":"1.000","weight":"strong"},{"block":"item","name":"Ballon","amount":"9.900"},{"block":"total","label":"المجموع","amount":"9.900"},{"block":"rule","style":"solid"}]}"#;
        assert_eq!(document().to_json(), json);
    }

    #[test]
    fn a_newer_or_broken_document_is_refused() {
        assert!(matches!(
            Document::from_json(r#"{"schema":2,"language":"fr","blocks":[],"more":1}"#),
            Err(DocumentError::SchemaTooNew { found: 2 })
        ));
        for broken in [
            "",
            "{}",
            r#"{"schema":1,"language":"fr","blocks":[{"block":"dance"}]}"#,
        ] {
            assert!(
                matches!(
                    Document::from_json(broken),
                    Err(DocumentError::Malformed(_))
                ),
                "{broken}"
            );
        }
    }

    #[test]
    fn a_copy_says_so_at_head_and_foot_and_keeps_the_rest() {
        for (language, word) in [
            (Language::Fr, "DUPLICATA"),
            (Language::Ar, "نسخة"),
            (Language::En, "COPY"),
        ] {
            let mut original = document();
            original.language = language;
            let copy = original.as_copy(1);
            let text = copy.to_text();
            assert!(text.starts_with(&format!("*** {word} ***")), "{text}");
            assert!(text.ends_with(&format!("*** {word} ***")), "{text}");
            assert!(text.contains(&original.to_text()));
            assert!(original.as_copy(3).to_text().contains('3'));
        }
    }
}
