//! Strict JSON: what is hashed and signed must have one meaning for every reader.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Why a text is not strict JSON.
#[derive(Debug, thiserror::Error)]
#[error("not strict JSON: {0}")]
pub struct NotStrict(#[from] serde_json::Error);

/// Deepest nesting accepted.
const DEPTH_MAX: usize = 32;

/// Accepts `text` when it is one JSON value without duplicate keys, without numbers that are not
/// 64-bit integers, and not nested deeper than 32.
///
/// # Errors
/// [`NotStrict`] with the first offence.
pub fn check_strict(text: &[u8]) -> Result<(), NotStrict> {
    check(text, u64::MAX).map(drop)
}

/// The text as UTF-8, so that whoever reads it again need not look at its bytes again.
fn check(text: &[u8], number_max: u64) -> Result<&str, NotStrict> {
    let text = std::str::from_utf8(text)
        .map_err(|error| NotStrict(de::Error::custom(format_args!("no UTF-8: {error}"))))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let strict = Strict {
        depth: 0,
        number_max,
    };
    strict.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(text)
}

/// Reads a `T` from strict JSON.
///
/// # Errors
/// [`NotStrict`] when the text is not strict JSON or not a `T`.
pub fn from_strict<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, NotStrict> {
    let text = check(text, u64::MAX)?;
    Ok(serde_json::from_str(text)?)
}

/// Reads a `T` from strict JSON whose numbers fit in 63 bits and a sign, as those of facts do: no file can keep others.
///
/// # Errors
/// [`NotStrict`] when the text is not such JSON or not a `T`.
pub fn from_strict_signed<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, NotStrict> {
    let text = check(text, i64::MAX.unsigned_abs())?;
    Ok(serde_json::from_str(text)?)
}

struct Strict {
    depth: usize,
    number_max: u64,
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Strict {
    fn deeper<E: de::Error>(&self) -> Result<Strict, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom("nested too deeply"));
        }
        Ok(Strict {
            depth: self.depth + 1,
            ..*self
        })
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("strict JSON")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        if number > self.number_max {
            return Err(E::custom("a number is too large"));
        }
        Ok(())
    }
    // The parser hands a fraction over as a float; it is refused unseen.
    #[allow(clippy::disallowed_types)]
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Err(E::custom("a number is not an integer"))
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self.deeper()?)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key_seed(Key)? {
            map.next_value_seed(self.deeper()?)?;
            if !seen.insert(key) {
                return Err(de::Error::custom("duplicate key"));
            }
        }
        Ok(())
    }
}

/// A key, copied only where it is written with escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_hold_no_number_that_a_file_cannot_keep() {
        for (text, plain, signed) in [
            ("9223372036854775807", true, true),
            ("-9223372036854775808", true, true),
            (r#"{"a":[9223372036854775808]}"#, true, false),
            ("18446744073709551615", true, false),
            ("18446744073709551616", false, false),
        ] {
            assert_eq!(check_strict(text.as_bytes()).is_ok(), plain, "{text}");
            let read = from_strict_signed::<serde_json::Value>(text.as_bytes());
            assert_eq!(read.is_ok(), signed, "{text}");
        }
    }

    #[test]
    fn ambiguous_texts_are_refused() {
        for (text, accepted) in [
            (r#"{"a":1,"b":[true,null,"x",-3]}"#, true),
            (r#"{"a":1,"a":2}"#, false),
            (r#"{"x":{"a":1,"a":1}}"#, false),
            (r#"{"a":1,"\u0061":2}"#, false),
            (r#"{"a":1,"\u0062":2}"#, true),
            (r#"{"a":1.0}"#, false),
            (r#"{"a":1e3}"#, false),
            (r#"{"a":99999999999999999999}"#, false),
            (r#"{"a":1} "#, true),
            (r#"{"a":1}{}"#, false),
            ("", false),
        ] {
            assert_eq!(check_strict(text.as_bytes()).is_ok(), accepted, "{text}");
        }
        assert!(check_strict("[".repeat(5_000).as_bytes()).is_err());
        for text in [&b"\"\xff\""[..], b"{\"\xc3\":1}", b"\xff", b"1 \xff"] {
            assert!(check_strict(text).is_err(), "{text:?}");
            assert!(from_strict::<serde_json::Value>(text).is_err(), "{text:?}");
        }
    }
}
