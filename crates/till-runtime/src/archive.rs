//! The fiscal archive: a file that holds what a till did, and that a stranger can check with nothing but the file.
//!
//! `write.rs` makes one from a data folder, `check.rs` judges one, `tables.rs` is what both compute from the events,
//! `zip.rs` the container. docs/ledger.md is the format in words.

mod check;
mod row;
mod tables;
#[cfg(test)]
mod tests;
mod texts;
mod write;
mod zip;

use std::collections::BTreeMap;

use domain::config::{DeviceRecord, KeyAlgorithm};
use domain::event::{Event, Fact, StreamHead};
use domain::ids::{DeviceId, Digest, ShiftId, StoreId, StreamId, TenantId, TillId};
use domain::money::Currency;
use domain::time::BusinessDate;
use serde::{Deserialize, Serialize};

pub use check::{ArchiveBad, ArchiveReport, ArchivedStream, verify_archive};
pub use tables::Range;
pub use write::{ArchiveError, Archived, archive};

/// Name of the layout.
const FORMAT: &str = "hanout-archive-1";
/// Years that Tunisia and Morocco want books kept; stands in while a store's rules say nothing.
const RETENTION_YEARS: u32 = 10;

const ABOUT: &str = "archive.json";
const CHAIN: &str = "chain.csv";
const EVENTS: &str = "events.jsonl";
const HASHES: &str = "hashes.txt";
const HEADS: &str = "heads.json";
const KEYS: &str = "keys.json";
const README: &str = "README.txt";
const REPORTS: &str = "reports/";
/// First line of the chain.
const CHAIN_HEADER: &str = "stream,seq,hash\n";

/// Content of `archive.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    format: String,
    tenant: TenantId,
    store: StoreId,
    till: TillId,
    device: DeviceId,
    currency: Option<Currency>,
    retention_years: u32,
    from: Option<BusinessDate>,
    until: Option<BusinessDate>,
    streams: Vec<StreamAbout>,
    /// Files of earlier streams that could not be opened.
    unreadable: Vec<String>,
}

/// A run of events in `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamAbout {
    stream: StreamId,
    events: u64,
    hash: Digest,
    /// False when the file it comes from has more that could not be proven.
    complete: bool,
}

impl About {
    fn readme(&self) -> String {
        texts::readme(&texts::About {
            store: self.store.as_str(),
            till: self.till.as_str(),
            from: self.from.map(|day| day.to_string()),
            until: self.until.map(|day| day.to_string()),
            retention_years: self.retention_years,
        })
    }
}

/// Content of `keys.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    streams: Vec<StreamKey>,
    shifts: Vec<ShiftKeyOf>,
    /// Devices of the chain as head office listed them last.
    devices: Vec<DeviceRecord>,
}

/// Key that a stream was opened with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamKey {
    stream: StreamId,
    device: DeviceId,
    algorithm: KeyAlgorithm,
    public_key: String,
}

/// Key of a shift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShiftKeyOf {
    stream: StreamId,
    shift: ShiftId,
    public_key: String,
    certificate: Option<String>,
}

impl Keys {
    /// Notes the keys that an event states.
    fn take(&mut self, event: &Event) {
        match event.fact() {
            Ok(Fact::StreamOpened(opened)) => self.streams.push(StreamKey {
                stream: event.stream,
                device: opened.device,
                algorithm: opened.key_algorithm,
                public_key: opened.public_key,
            }),
            Ok(Fact::ShiftOpened(opened)) => {
                if let Some(key) = opened.shift_key {
                    self.shifts.push(ShiftKeyOf {
                        stream: event.stream,
                        shift: opened.shift,
                        public_key: key.public_key,
                        certificate: key.certificate,
                    });
                }
            }
            _ => {}
        }
    }
}

/// Content of `heads.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Heads {
    heads: Vec<SignedHead>,
}

/// A head that the key of its stream vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedHead {
    stream: StreamId,
    seq: u64,
    hash: Digest,
    signature: String,
}

impl SignedHead {
    fn head(&self) -> StreamHead {
        StreamHead {
            stream: self.stream,
            seq: self.seq,
            hash: self.hash,
        }
    }
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    let mut text =
        serde_json::to_vec_pretty(value).expect("an archive's texts are strings and integers");
    text.push(b'\n');
    text
}

/// Entry of the report with a number.
fn report_entry(number: &str) -> String {
    format!("{REPORTS}{number}.json")
}

/// Lines of `hashes.txt`: what `sha256sum -c` reads.
fn hashes_line(digest: Digest, name: &str) -> String {
    format!("{digest}  {name}\n")
}

/// Documents of reports by their number.
type Papers = BTreeMap<String, String>;
