//! How values are written on paper: amounts, quantities, rates, dates, and text that is safe to print.

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};
use domain::catalog::Language;
use domain::money::{Currency, format_amount};
use domain::quantity::Quantity;

/// Longest text taken from outside, in characters: a longer name would print a metre of paper.
pub const TEXT_CHARS_MAX: usize = 160;

/// `text` without anything a printer or the bidirectional algorithm could obey, white space collapsed and
/// cut at [`TEXT_CHARS_MAX`].
pub fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut chars = 0;
    for ch in text.chars() {
        if ch.is_whitespace() || ch.is_control() {
            if !cleaned.is_empty() && !cleaned.ends_with(' ') {
                cleaned.push(' ');
                chars += 1;
            }
            continue;
        }
        if is_direction_control(ch) {
            continue;
        }
        if chars == TEXT_CHARS_MAX {
            cleaned.push('…');
            break;
        }
        cleaned.push(ch);
        chars += 1;
    }
    cleaned.truncate(cleaned.trim_end().len());
    cleaned
}

/// A line taken from outside, [`clean`], with figures written in groups (`71 740 000`) kept left to right: between
/// Arabic words their groups would change places.
pub fn clean_line(text: &str) -> String {
    let text = clean(text);
    let mut line = String::with_capacity(text.len() + 12);
    let mut rest = text.as_str();
    while let Some(start) = rest.find(|ch: char| ch.is_ascii_digit() || ch == '+') {
        let (before, from) = rest.split_at(start);
        line.push_str(before);
        let length = grouped_digits(from);
        let (figure, after) = from.split_at(length.max(1));
        if figure.contains(' ') {
            line.push_str(&isolate_ltr(figure));
        } else {
            line.push_str(figure);
        }
        rest = after;
    }
    line.push_str(rest);
    line
}

/// Bytes of the digits at the start of `text`, with the single spaces and signs between groups of them.
fn grouped_digits(text: &str) -> usize {
    let mut end = 0;
    let mut separators = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => {
                end = at + 1;
                separators = 0;
            }
            b'+' if at == 0 => {}
            b' ' | b'.' | b'-' | b'/' if separators == 0 => separators += 1,
            _ => break,
        }
    }
    end
}

/// True for characters that steer the order of the text around them, or that are invisible and meaningless here.
pub const fn is_direction_control(ch: char) -> bool {
    matches!(ch, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `text` without direction controls, for comparison and for plain-text previews.
pub fn plain(text: &str) -> String {
    text.chars()
        .filter(|ch| !is_direction_control(*ch))
        .collect()
}

/// `value` kept apart from the direction of the text around it (U+2068 ... U+2069).
pub fn isolate(value: &str) -> String {
    format!("\u{2068}{value}\u{2069}")
}

/// `value` kept apart and left to right, for codes, dates and amounts (U+2066 ... U+2069).
pub fn isolate_ltr(value: &str) -> String {
    format!("\u{2066}{value}\u{2069}")
}

/// An amount without its currency: `1 234.500`.
pub fn amount(minor: i64, currency: Currency) -> String {
    format_amount(minor, currency)
}

/// An amount with the currency's symbol in the script of `language`.
pub fn amount_with_symbol(minor: i64, currency: Currency, language: Language) -> String {
    let digits = isolate_ltr(&format_amount(minor, currency));
    let symbol = match language {
        Language::Fr | Language::En => currency.symbol_latin(),
        Language::Ar => currency.symbol_arabic(),
    };
    format!("{digits} {symbol}")
}

/// A quantity without needless zeros: `3`, `0.75`.
pub fn quantity(quantity: Quantity) -> String {
    let thousandths = quantity.thousandths();
    let magnitude = thousandths.unsigned_abs();
    let sign = if thousandths < 0 { "-" } else { "" };
    let fraction = format!("{:03}", magnitude % 1_000);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", magnitude / 1_000)
}

/// A day as `22/11/2026`, the order all three languages use in both countries.
pub fn date(date: NaiveDate) -> String {
    format!("{:02}/{:02}/{:04}", date.day(), date.month(), date.year())
}

/// A day and minute as `22/11/2026 14:05`.
pub fn date_time(at: NaiveDateTime) -> String {
    format!("{} {:02}:{:02}", date(at.date()), at.hour(), at.minute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_steer_a_printer() {
        for (dirty, printed) in [
            ("Chaussure \u{1b}@\u{1d}V\u{0}", "Chaussure @ V"),
            ("a\u{10}\u{14}\u{1}b", "a b"),
            ("\u{202e}evil\u{202c} \u{2067}name", "evil name"),
            ("  two\t\n lines ", "two lines"),
            ("خبز\u{200c}ها", "خبز\u{200c}ها"),
        ] {
            assert_eq!(clean(dirty), printed, "{dirty:?}");
        }
        assert_eq!(
            clean(&"x".repeat(5_000)).chars().count(),
            TEXT_CHARS_MAX + 1
        );
    }

    #[test]
    fn figures_in_groups_keep_their_order_between_arabic_words() {
        for (line, printed) in [
            ("الهاتف 71 740 000", "الهاتف \u{2066}71 740 000\u{2069}"),
            (
                "Tel. +216 71-740-000.",
                "Tel. \u{2066}+216 71-740-000\u{2069}.",
            ),
            ("12، شارع 2070 المرسى", "12، شارع 2070 المرسى"),
            ("MF 1234567R/A/M/000", "MF 1234567R/A/M/000"),
            ("+", "+"),
            ("", ""),
        ] {
            assert_eq!(clean_line(line), printed);
        }
    }

    #[test]
    fn quantities_print_without_needless_zeros() {
        for (thousandths, printed) in [
            (3_000, "3"),
            (750, "0.75"),
            (-1_000, "-1"),
            (-1, "-0.001"),
            (0, "0"),
            (12_340, "12.34"),
        ] {
            assert_eq!(quantity(Quantity(thousandths)), printed);
        }
    }

    #[test]
    fn dates_are_day_month_year() {
        let at = NaiveDate::from_ymd_opt(2026, 3, 9)
            .and_then(|day| day.and_hms_opt(7, 5, 59))
            .expect("a date");
        assert_eq!(date_time(at), "09/03/2026 07:05");
    }
}
