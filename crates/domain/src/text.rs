//! Texts that people type: folded for search, and cleaned before they are stored or printed.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// One form for all the ways to write the same word: lower case, no accents, no Arabic vowel signs or
/// tatweel, one alef, ya, ta marbuta as ha, Latin digits.
pub fn fold_for_search(text: &str) -> String {
    text.nfkd()
        .filter(|c| !is_combining_mark(*c) && *c != '\u{640}' && !is_invisible(*c))
        .flat_map(char::to_lowercase)
        .flat_map(|c| fold_char(c).chars().collect::<Vec<_>>())
        .collect()
}

fn fold_char(c: char) -> String {
    let folded = match c {
        'أ' | 'إ' | 'آ' | 'ٱ' => 'ا',
        'ى' => 'ي',
        'ة' => 'ه',
        'ؤ' => 'و',
        'ئ' => 'ي',
        'œ' => return "oe".to_owned(),
        'æ' => return "ae".to_owned(),
        'ß' => return "ss".to_owned(),
        'ø' => 'o',
        'ł' => 'l',
        '٠'..='٩' => digit(c, '٠'),
        '۰'..='۹' => digit(c, '۰'),
        other => other,
    };
    folded.to_string()
}

fn digit(c: char, zero: char) -> char {
    char::from_digit(u32::from(c) - u32::from(zero), 10).unwrap_or(c)
}

/// Trims `text`; none when it is empty, longer than `max_chars`, or holds control or
/// direction-changing characters, which would reach a printer or turn an amount around.
pub fn clean(text: &str, max_chars: usize) -> Option<String> {
    let trimmed = text.trim();
    let harmful = |c: char| c.is_control() || is_invisible(c);
    let fits = !trimmed.is_empty()
        && trimmed.chars().count() <= max_chars
        && !trimmed.chars().any(harmful);
    fits.then(|| trimmed.to_owned())
}

/// Marks without a shape: they change the direction of what follows, break lines, or hide.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_people_take_for_one_fold_to_one() {
        for (left, right) in [
            ("Été", "ete"),
            ("Cœur", "COEUR"),
            ("أحذية", "احذيه"),
            ("حِذَاء", "حذاء"),
            ("كـرة", "كره"),
            ("مقاس ٤٢", "مقاس 42"),
            ("ﻛﺮﺓ", "كرة"),
        ] {
            assert_eq!(
                fold_for_search(left),
                fold_for_search(right),
                "{left} {right}"
            );
        }
        assert_ne!(fold_for_search("ballon"), fold_for_search("balles"));
    }

    #[test]
    fn harmful_texts_are_not_kept() {
        assert_eq!(clean("  Ballon 5 ", 20), Some("Ballon 5".to_owned()));
        for bad in [
            "",
            "   ",
            "a\nb",
            "a\u{1b}b",
            "a\u{202e}b",
            "\u{2066}x",
            "a\u{200f}b",
            "a\u{2028}b",
            "123456",
        ] {
            assert_eq!(clean(bad, 5), None, "{bad:?}");
        }
    }
}
