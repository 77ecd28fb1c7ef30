//! Identifiers that the law prints on documents: read as people write them, kept in one form.
//!
//! A wrong shape is an error, for nothing could be printed. A check letter that does not fit is a warning: the
//! rule is known from practice, and 4 of 153 numbers found in use do not follow it.

use std::fmt;

use crate::text;

/// Longest text identifier.
const TEXT_CHARS_MAX: usize = 80;
/// Most digits of an identifier without a rule of its own.
const DIGITS_MAX: usize = 20;
/// Digits of a matricule fiscal.
const MATRICULE_DIGITS: usize = 7;
/// Check letters by remainder; I, O and U are left out because they look like 1, 0 and 4.
const KEY_LETTERS: &[u8; 23] = b"ABCDEFGHJKLMNPQRSTVWXYZ";

/// Why a text is no identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not 1 to 7 digits, a key letter and, at most, two letters and three digits.
    #[error("not a matricule fiscal like 0000121J/A/M/000")]
    MatriculeShape,
    /// Not 15 digits.
    #[error("not 15 digits")]
    IceShape,
    /// The last two digits do not fit the others.
    #[error("the check digits do not fit")]
    IceCheck,
    /// Not digits, or too many.
    #[error("not a number of at most {DIGITS_MAX} digits")]
    Digits,
    /// Empty, too long or with control characters.
    #[error("empty, too long or with control characters")]
    Text,
}

/// What somebody should compare with the paper before it is printed on every receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdWarning {
    /// The key letter is not the one that the digits give.
    #[error("the key letter should be {expected}")]
    KeyLetter {
        /// Letter that the digits give.
        expected: char,
    },
    /// The VAT letter is none of A, B, D, N, P.
    #[error("unknown VAT letter {0}")]
    VatLetter(char),
    /// The category letter is none of C, E, M, N, P.
    #[error("unknown category letter {0}")]
    CategoryLetter(char),
    /// A secondary establishment has category E.
    #[error("a secondary establishment has category E")]
    Establishment,
    /// Only the short form: VAT letter, category and establishment are not there.
    #[error("VAT letter, category and establishment are missing")]
    Short,
}

/// A Tunisian tax id in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatriculeFiscal {
    digits: [u8; MATRICULE_DIGITS],
    key: u8,
    rest: Option<[u8; 5]>,
}

impl MatriculeFiscal {
    /// 13 characters without separators, 8 for the short form: what is stored and compared.
    pub fn canonical(&self) -> String {
        let mut bytes = self.digits.to_vec();
        bytes.push(self.key);
        bytes.extend(self.rest.iter().flatten());
        bytes.into_iter().map(char::from).collect()
    }

    /// The key letter that the digits give.
    ///
    /// # Source
    /// Weights 7 down to 1, modulo 23: two Odoo modules for Tunisia; holds for 149 of 153 numbers found in use.
    pub fn expected_key(&self) -> char {
        let weights = (1..=MATRICULE_DIGITS).rev();
        let sum: usize = self
            .digits
            .iter()
            .zip(weights)
            .map(|(digit, weight)| usize::from(digit - b'0') * weight)
            .sum();
        char::from(KEY_LETTERS[sum % KEY_LETTERS.len()])
    }
}

/// As it is printed: `0000121J/A/M/000`.
impl fmt::Display for MatriculeFiscal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.canonical();
        f.write_str(&text[..=MATRICULE_DIGITS])?;
        if self.rest.is_some() {
            write!(f, "/{}/{}/{}", &text[8..9], &text[9..10], &text[10..])?;
        }
        Ok(())
    }
}

/// Reads a Tunisian tax id: separators and case do not matter, leading zeros are added, the short form of digits
/// and key letter is accepted.
///
/// # Errors
/// [`IdError::MatriculeShape`].
///
/// # Source
/// Structure and letters: python-stdnum, `stdnum.tn.mf`.
pub fn matricule_fiscal(text: &str) -> Result<(MatriculeFiscal, Vec<IdWarning>), IdError> {
    let compact: Vec<u8> = compact(text)
        .ok_or(IdError::MatriculeShape)?
        .to_ascii_uppercase()
        .into_bytes();
    let count = compact.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, letters) = compact.split_at(count);
    if number.is_empty() || number.len() > MATRICULE_DIGITS {
        return Err(IdError::MatriculeShape);
    }
    let mut digits = [b'0'; MATRICULE_DIGITS];
    digits[MATRICULE_DIGITS - number.len()..].copy_from_slice(number);
    let (key, rest) = match *letters {
        [key] => (key, None),
        [key, vat, category, a, b, c] => (key, Some([vat, category, a, b, c])),
        _ => return Err(IdError::MatriculeShape),
    };
    let shaped = rest.is_none_or(|[vat, category, place @ ..]| {
        vat.is_ascii_uppercase()
            && category.is_ascii_uppercase()
            && place.iter().all(u8::is_ascii_digit)
    });
    if !KEY_LETTERS.contains(&key) || !shaped {
        return Err(IdError::MatriculeShape);
    }
    let id = MatriculeFiscal { digits, key, rest };
    Ok((id, warnings_of(&id)))
}

fn warnings_of(id: &MatriculeFiscal) -> Vec<IdWarning> {
    let mut warnings = Vec::new();
    let expected = id.expected_key();
    if char::from(id.key) != expected {
        warnings.push(IdWarning::KeyLetter { expected });
    }
    let Some([vat, category, place @ ..]) = id.rest else {
        warnings.push(IdWarning::Short);
        return warnings;
    };
    if !b"ABDNP".contains(&vat) {
        warnings.push(IdWarning::VatLetter(char::from(vat)));
    }
    if !b"CEMNP".contains(&category) {
        warnings.push(IdWarning::CategoryLetter(char::from(category)));
    } else if place != *b"000" && category != b'E' {
        warnings.push(IdWarning::Establishment);
    }
    warnings
}

/// Reads a Moroccan enterprise id (ICE): 9 digits of the enterprise, 4 of the establishment, 2 check digits.
///
/// # Errors
/// [`IdError::IceShape`], [`IdError::IceCheck`].
///
/// # Source
/// python-stdnum, `stdnum.ma.ice`: ISO 7064 mod 97-10, except that the whole number leaves 0 and not 1.
pub fn ice(text: &str) -> Result<String, IdError> {
    let compact = compact(text).ok_or(IdError::IceShape)?;
    if compact.len() != 15 || !compact.bytes().all(|b| b.is_ascii_digit()) {
        return Err(IdError::IceShape);
    }
    let remainder = compact.bytes().fold(0_u32, |sum, digit| {
        (sum * 10 + u32::from(digit - b'0')) % 97
    });
    if remainder != 0 {
        return Err(IdError::IceCheck);
    }
    Ok(compact)
}

/// Reads a number without a check of its own.
///
/// # Errors
/// [`IdError::Digits`].
pub fn digits(text: &str) -> Result<String, IdError> {
    let compact = compact(text).ok_or(IdError::Digits)?;
    let fits =
        (1..=DIGITS_MAX).contains(&compact.len()) && compact.bytes().all(|b| b.is_ascii_digit());
    fits.then_some(compact).ok_or(IdError::Digits)
}

/// Reads a text that is printed as it is.
///
/// # Errors
/// [`IdError::Text`].
pub fn text(text: &str) -> Result<String, IdError> {
    text::clean(text, TEXT_CHARS_MAX).ok_or(IdError::Text)
}

/// Without the separators people write; none when something else than ASCII is in it.
fn compact(text: &str) -> Option<String> {
    let separator = |c: &char| matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '/' | '.' | '-');
    let kept: String = text.trim().chars().filter(|c| !separator(c)).collect();
    kept.is_ascii().then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matricule_is_read_as_people_write_it() {
        for (text, canonical, printed) in [
            ("0000121J", "0000121J", "0000121J"),
            ("121j", "0000121J", "0000121J"),
            ("1282182 W", "1282182W", "1282182W"),
            ("1496298/T/P/N/000", "1496298TPN000", "1496298T/P/N/000"),
            ("1499150l.a.m.000", "1499150LAM000", "1499150L/A/M/000"),
            ("  121-J-A-M-000 ", "0000121JAM000", "0000121J/A/M/000"),
            (
                "1499150\u{a0}L/B/E/012",
                "1499150LBE012",
                "1499150L/B/E/012",
            ),
        ] {
            let (id, _) = matricule_fiscal(text).expect(text);
            assert_eq!(id.canonical(), canonical, "{text}");
            assert_eq!(id.to_string(), printed, "{text}");
            let again = matricule_fiscal(&id.to_string()).expect("printed form");
            assert_eq!(again.0, id, "{text}");
        }
    }

    #[test]
    fn key_letters_follow_from_the_digits() {
        for (text, expected) in [
            ("0000121J", 'J'),
            ("1282182W", 'W'),
            ("1496298T", 'T'),
            ("1499150L", 'L'),
            ("1234567M", 'R'),
            ("0000000A", 'A'),
        ] {
            let (id, warnings) = matricule_fiscal(text).expect(text);
            assert_eq!(id.expected_key(), expected, "{text}");
            let wrong = IdWarning::KeyLetter { expected };
            assert_eq!(
                warnings.contains(&wrong),
                !text.ends_with(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn what_looks_odd_is_a_warning() {
        for (text, warnings) in [
            ("0000121J/A/M/000", vec![]),
            ("0000121J/A/E/001", vec![]),
            ("0000121J", vec![IdWarning::Short]),
            ("0000121J/F/M/000", vec![IdWarning::VatLetter('F')]),
            ("0000121J/A/X/000", vec![IdWarning::CategoryLetter('X')]),
            ("0000121J/A/M/001", vec![IdWarning::Establishment]),
            (
                "0000121K/Z/M/000",
                vec![
                    IdWarning::KeyLetter { expected: 'J' },
                    IdWarning::VatLetter('Z'),
                ],
            ),
        ] {
            assert_eq!(matricule_fiscal(text).expect(text).1, warnings, "{text}");
        }
    }

    #[test]
    fn a_wrong_shape_is_an_error() {
        for bad in [
            "",
            "J",
            "121",
            "12345678J",
            "1219773U",
            "1219773I",
            "1219773O",
            "0000121J/A",
            "0000121J/A/M",
            "0000121J/A/M/00",
            "0000121J/A/M/0000",
            "0000121J/1/M/000",
            "0000121J/A/M/00X",
            "0000121JJ",
            "٠٠٠٠١٢١J",
            "0000121\u{202e}J",
        ] {
            assert_eq!(matricule_fiscal(bad), Err(IdError::MatriculeShape), "{bad}");
        }
    }

    #[test]
    fn an_ice_has_fifteen_digits_that_fit() {
        for (text, found) in [
            ("001561191000066", Ok("001561191000066")),
            ("00 21 36 09 30 00 040", Ok("002136093000040")),
            ("001561191000065", Err(IdError::IceCheck)),
            ("001561191000606", Err(IdError::IceCheck)),
            ("12345", Err(IdError::IceShape)),
            ("0015611910000660", Err(IdError::IceShape)),
            ("00156119100006A", Err(IdError::IceShape)),
            ("", Err(IdError::IceShape)),
            ("٠٠١٥٦١١٩١٠٠٠٠٦٦", Err(IdError::IceShape)),
        ] {
            assert_eq!(ice(text), found.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn every_single_wrong_digit_of_an_ice_is_found() {
        let right = "001561191000066";
        for place in 0..right.len() {
            for digit in '0'..='9' {
                let mut wrong: Vec<char> = right.chars().collect();
                wrong[place] = digit;
                let wrong: String = wrong.into_iter().collect();
                assert_eq!(ice(&wrong).is_ok(), wrong == right, "{wrong}");
            }
        }
    }

    #[test]
    fn numbers_and_texts_are_cleaned() {
        assert_eq!(digits("1234 5678"), Ok("12345678".to_owned()));
        for bad in ["", "12A", "123456789012345678901"] {
            assert_eq!(digits(bad), Err(IdError::Digits), "{bad}");
        }
        assert_eq!(text(" 1234 Casablanca "), Ok("1234 Casablanca".to_owned()));
        for bad in ["", "a\nb", "a\u{1b}[2J"] {
            assert_eq!(text(bad), Err(IdError::Text), "{bad:?}");
        }
    }
}
