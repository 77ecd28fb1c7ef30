//! Names of things: newtypes, so that a store is never passed where a till is meant.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ts_rs::TS;
use uuid::Uuid;

/// The text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind}")]
pub struct InvalidId {
    /// The kind of id that was wanted.
    pub kind: &'static str,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, TS,
        )]
        #[serde(transparent)]
        #[ts(type = "string")]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text).map($name).map_err(|_| InvalidId { kind: stringify!($name) })
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "format": "uuid" })
            }
        }
    };
}

uuid_id!(
    /// An event; version 7, unique in the tenant for ever.
    EventId
);
uuid_id!(
    /// A sale, from the first scan: the cart and the finished sale share it.
    SaleId
);
uuid_id!(
    /// A sellable variant of a style.
    VariantId
);
uuid_id!(
    /// A style: what a shopper calls one product, in all its sizes and colours.
    StyleId
);
uuid_id!(
    /// A member of staff. Opaque: names live in the configuration, never in events.
    UserId
);
uuid_id!(
    /// An enrolled device.
    DeviceId
);
uuid_id!(
    /// A shift of one drawer.
    ShiftId
);
uuid_id!(
    /// A print job.
    JobId
);
uuid_id!(
    /// A document of the stockroom: a receipt of goods, an adjustment, a count.
    DocumentId
);
uuid_id!(
    /// Goods on their way from one location to another.
    TransferId
);
uuid_id!(
    /// Units promised to a shopper of the online channel.
    PromiseId
);
uuid_id!(
    /// Something that a person should look at.
    IncidentId
);
uuid_id!(
    /// One request at the door; the same id always gets the same answer.
    RequestId
);

macro_rules! code_id {
    ($(#[$doc:meta])* $name:ident, $max:expr, $extra:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, TS)]
        #[serde(transparent)]
        #[ts(type = "string")]
        pub struct $name(String);

        impl $name {
            /// Reads a code.
            ///
            /// # Errors
            /// [`InvalidId`] when it is empty, too long or has characters outside the allowed set.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                let allowed = |c: char| c.is_ascii_alphanumeric() || $extra.contains(c);
                if text.is_empty() || text.len() > $max || !text.chars().all(allowed) {
                    return Err(InvalidId { kind: stringify!($name) });
                }
                Ok($name(text.to_owned()))
            }

            /// The code as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                $name::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                $name::new(&text).map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "minLength": 1, "maxLength": $max })
            }
        }
    };
}

code_id!(
    /// A chain of shops: one tenant of the server.
    TenantId, 32, "-_"
);
code_id!(
    /// A store, by the short code that its receipts print (`LM`).
    StoreId, 8, ""
);
code_id!(
    /// A till within a store, by the number that its receipts print (`01`).
    TillId, 4, ""
);
code_id!(
    /// A place that holds stock: a store, or the online shop (`WEB`).
    LocationId, 8, ""
);
code_id!(
    /// A price list (`TN`).
    PriceListId, 16, "-_"
);
code_id!(
    /// A tax category of the catalogue (`standard`).
    TaxCategory, 16, "-_"
);

/// A stream of events: 128 random bits, written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, TS)]
#[ts(type = "string")]
pub struct StreamId(pub [u8; 16]);

/// A SHA-256 digest, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, TS)]
#[ts(type = "string")]
pub struct Digest(pub [u8; 32]);

macro_rules! hex_id {
    ($name:ident, $len:expr) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let mut bytes = [0; $len];
                let canonical = !text.bytes().any(|b| b.is_ascii_uppercase());
                match hex::decode_to_slice(text, &mut bytes) {
                    Ok(()) if canonical => Ok($name(bytes)),
                    _ => Err(InvalidId { kind: stringify!($name) }),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": format!("^[0-9a-f]{{{}}}$", $len * 2) })
            }
        }
    };
}

hex_id!(StreamId, 16);
hex_id!(Digest, 32);

impl StreamId {
    /// The receipt series of this stream: its first 25 bits as 5 Crockford base-32 characters,
    /// so that a restored or cloned till cannot print a number twice even offline.
    pub fn series(&self) -> String {
        const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let head = u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]]);
        (0..5)
            .map(|index| char::from(ALPHABET[((head >> (27 - 5 * index)) & 31) as usize]))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_is_the_first_25_bits_in_crockford() {
        let stream = StreamId([0xFF, 0xFF, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(stream.series(), "ZZZZZ");
        assert_eq!(StreamId([0; 16]).series(), "00000");
        assert_eq!(
            StreamId([0x08, 0x42, 0x10, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).series(),
            "11111"
        );
    }

    #[test]
    fn codes_refuse_what_a_receipt_number_cannot_hold() {
        assert!(StoreId::new("LM").is_ok());
        for bad in ["", "LA MARSA", "L-M", "TOOLONGCODE", "مرسى"] {
            assert!(StoreId::new(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<StoreId>("\"a b\"").is_err());
    }

    #[test]
    fn digests_are_canonical_lower_case() {
        let text = "ab".repeat(32);
        assert!(text.parse::<Digest>().is_ok());
        assert!(text.to_uppercase().parse::<Digest>().is_err());
    }
}
