//! Feeds: state by version. A row appears once, at its latest version; a cursor says up to where a till has read.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use domain::event::IncidentKind;
use domain::ids::{
    Digest, IncidentId, LocationId, PriceListId, StoreId, StreamId, TillId, VariantId,
};
use domain::quantity::Quantity;
use domain::time::Hlc;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// Name of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FeedName {
    /// Configuration of one store: `store`, `user:{id}`, `device:{id}` rows.
    Config(StoreId),
    /// Styles and variants of the tenant: `style:{id}` and `variant:{id}` rows.
    Catalogue,
    /// One price list: rows by variant id, each a `domain::catalog::PriceRow`.
    Price(PriceListId),
    /// Stock of one location: rows by variant id, each a [`StockRow`].
    Stock(LocationId),
}

impl FeedName {
    /// Whether a till needs the feed before it can sell.
    pub const fn needed_to_sell(&self) -> bool {
        match self {
            FeedName::Config(_) | FeedName::Catalogue | FeedName::Price(_) => true,
            FeedName::Stock(_) => false,
        }
    }
}

impl fmt::Display for FeedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FeedName::Config(store) => write!(f, "cfg:{store}"),
            FeedName::Catalogue => f.write_str("cat"),
            FeedName::Price(list) => write!(f, "price:{list}"),
            FeedName::Stock(location) => write!(f, "stock:{location}"),
        }
    }
}

/// The text names no feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such feed")]
pub struct UnknownFeed;

impl FromStr for FeedName {
    type Err = UnknownFeed;
    fn from_str(text: &str) -> Result<Self, UnknownFeed> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "cfg" => StoreId::new(name)
                .map(FeedName::Config)
                .map_err(|_| UnknownFeed),
            "cat" if !text.contains(':') => Ok(FeedName::Catalogue),
            "price" => PriceListId::new(name)
                .map(FeedName::Price)
                .map_err(|_| UnknownFeed),
            "stock" => LocationId::new(name)
                .map(FeedName::Stock)
                .map_err(|_| UnknownFeed),
            _ => Err(UnknownFeed),
        }
    }
}

impl Serialize for FeedName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FeedName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Position in a feed. Authority and epoch stand in the request around it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// Version of the last row read.
    pub ver: u64,
    /// Key of the last row read within that version.
    pub pk: String,
}

/// Some rows of a feed, in ascending (version, key).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FeedPage {
    /// Feed.
    pub feed: FeedName,
    /// Rows.
    pub rows: Vec<FeedRow>,
    /// Where to go on.
    pub next: Cursor,
    /// More rows are waiting.
    pub more: bool,
    /// Version of the feed when the page was read.
    pub ver: u64,
    /// Checksum over the whole feed at `ver`; only on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<u64>,
    /// For stock: up to where each stream is folded into the rows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub folded: BTreeMap<StreamId, u64>,
}

/// One row of a feed, or the tombstone of one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FeedRow {
    /// Key within the feed.
    pub pk: String,
    /// Version at which the row got this content.
    pub ver: u64,
    /// Content as JSON text, byte for byte what the checksum covers; none when the row left the feed.
    pub row: Option<Box<RawValue>>,
}

/// Contribution of one live row to the checksum of its feed; the checksum is their wrapping sum, so it
/// does not depend on the order in which rows arrived.
pub fn row_checksum(pk: &str, row: &str) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(pk.as_bytes());
    hasher.update([0]);
    hasher.update(row.as_bytes());
    let digest: [u8; 32] = hasher.finalize().into();
    let head = [
        digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
    ];
    // 53 bits, so that every JSON reader sees the same number.
    u64::from_be_bytes(head) >> 11
}

/// Wrapping sum of row checksums, kept within 53 bits.
pub const fn checksum_add(sum: u64, row: u64) -> u64 {
    sum.wrapping_add(row) & ((1 << 53) - 1)
}

/// Takes a row out of a checksum.
pub const fn checksum_sub(sum: u64, row: u64) -> u64 {
    sum.wrapping_sub(row) & ((1 << 53) - 1)
}

/// Row of a stock feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockRow {
    /// Variant.
    pub variant: VariantId,
    /// On hand as far as the server has folded, all zones together.
    pub quantity: Quantity,
    /// The count that the main zone stands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<AnchorRef>,
    /// What lies in zones other than the main one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub zones: BTreeMap<String, ZoneRow>,
}

/// What lies in one zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneRow {
    /// On hand in the zone.
    pub quantity: Quantity,
    /// The count that it stands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<AnchorRef>,
}

/// Where a count stands in the order of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchorRef {
    /// Stream of the count.
    pub stream: StreamId,
    /// Sequence number of the count.
    pub seq: u64,
    /// Clock reading of the count.
    pub hlc: Hlc,
    /// What its author had folded: events in the cut lie before it.
    pub cut: BTreeMap<StreamId, u64>,
    /// When its author looked at the goods first, milliseconds of the same clock; none where that was no earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_ms: Option<u64>,
}

/// Row `incident:{id}` of a configuration feed: what a person of the store should look at. The whole story is head
/// office's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentNotice {
    /// Incident.
    pub incident: IncidentId,
    /// What.
    pub kind: IncidentKind,
    /// SKU that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// How much, thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    /// Till of the store that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub till: Option<TillId>,
    /// Receipt or slip that it ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// When it was raised, milliseconds since 1970 by the server's clock.
    pub raised: i64,
}

/// A stream's head, for comparing nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadReport {
    /// Last sequence number.
    pub seq: u64,
    /// Chain hash after it.
    pub hash: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feed_names_read_back() {
        for text in ["cfg:LM", "cat", "price:TN", "stock:WEB"] {
            assert_eq!(text.parse::<FeedName>().expect(text).to_string(), text);
        }
        for bad in ["", "cat:", "cfg:", "stock:a b", "other"] {
            assert!(bad.parse::<FeedName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_checksum_is_free_of_order_and_sees_every_byte() {
        let rows = [("a", "1"), ("b", "2"), ("c", "3")];
        let sum = |rows: &[(&str, &str)]| {
            rows.iter()
                .fold(0, |sum, (pk, row)| checksum_add(sum, row_checksum(pk, row)))
        };
        assert_eq!(sum(&rows), sum(&[rows[2], rows[0], rows[1]]));
        assert_ne!(sum(&rows), sum(&[("a", "1"), ("b", "2"), ("c", "4")]));
        assert_eq!(
            checksum_sub(sum(&rows), row_checksum("c", "3")),
            sum(&rows[..2])
        );
    }
}
