//! One line of a CSV table, by RFC 4180, with what a spreadsheet would take for a formula made harmless.

use serde::Serialize;

/// A line of a table in the making.
pub(super) struct Row {
    line: String,
    begun: bool,
}

impl Row {
    pub(super) fn new() -> Row {
        Row {
            line: String::new(),
            begun: false,
        }
    }

    pub(super) fn field(mut self, text: &str) -> Row {
        if self.begun {
            self.line.push(',');
        }
        self.begun = true;
        if text.contains(['"', ',', '\n', '\r']) {
            self.line.push('"');
            self.line.push_str(&text.replace('"', "\"\""));
            self.line.push('"');
        } else {
            self.line.push_str(text);
        }
        self
    }

    /// A text that somebody typed, made harmless to spreadsheets.
    pub(super) fn text(self, text: &str) -> Row {
        if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
            self.field(&format!("'{text}"))
        } else {
            self.field(text)
        }
    }

    /// An id, a number, a date or a word of ours.
    pub(super) fn plain(self, value: impl std::fmt::Display) -> Row {
        self.field(&value.to_string())
    }

    pub(super) fn maybe<T: std::fmt::Display>(self, value: Option<T>) -> Row {
        match value {
            Some(value) => self.plain(value),
            None => self.field(""),
        }
    }

    /// The word that events use for a value of a fixed list.
    pub(super) fn word(self, value: impl Serialize) -> Row {
        self.field(&word(value))
    }

    /// Columns in which this row has nothing.
    pub(super) fn empty(self, columns: usize) -> Row {
        (0..columns).fold(self, |row, _| row.field(""))
    }

    pub(super) fn end(mut self) -> String {
        self.line.push('\n');
        self.line
    }
}

/// The word that events use for a value of a fixed list; empty for anything else.
pub(super) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_and_no_formula() {
        let line = Row::new()
            .text("=1+2")
            .text("a \"b\", c")
            .text("")
            .plain(-5)
            .text("@x\ny")
            .end();
        assert_eq!(line, "'=1+2,\"a \"\"b\"\", c\",,-5,\"'@x\ny\"\n");
        for start in ["=", "+", "-", "@", "\t", "\r"] {
            assert!(Row::new().text(&format!("{start}x")).line.contains('\''));
        }
    }
}
