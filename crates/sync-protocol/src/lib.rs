//! What tills and server say to each other: wire types, limits, checksums and signatures of requests.
//!
//! Knows no transport and no storage. Start at [`SyncRequest`] and [`SyncReply`]; `docs/sync.md` tells the story.

pub mod feed;
pub mod sign;

use std::collections::{BTreeMap, BTreeSet};

use domain::config::KeyAlgorithm;
use domain::event::{RightsLine, StreamPos};
use domain::ids::{DeviceId, Digest, LocationId, StoreId, StreamId, TenantId, TillId, VariantId};
use domain::quantity::Quantity;
use domain::time::Boot;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

pub use feed::{Cursor, FeedName, FeedPage, FeedRow};

/// Version of this protocol.
pub const PROTOCOL: u32 = 1;
/// Most events in one push.
pub const PUSH_EVENTS_MAX: usize = 1_000;
/// Most bytes of events in one push.
pub const PUSH_BYTES_MAX: usize = 512 * 1024;
/// Largest request body on the wire.
pub const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Largest request body after decompression.
pub const DECODED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most rows in one page of a feed.
pub const PAGE_ROWS_MAX: u32 = 2_000;

/// Feeds of no more rows than this come in pages: two answers, without a file.
pub const SNAPSHOT_ROWS_MIN: usize = 2 * PAGE_ROWS_MAX as usize;
/// Largest snapshot, in bytes of what it decodes to; a larger feed comes in pages.
pub const SNAPSHOT_DECODED_MAX: u64 = 64 * 1024 * 1024;

/// Header with the device's id.
pub const HEADER_DEVICE: &str = "hanout-device";
/// Header with the base64 signature over [`sign::request_message`].
pub const HEADER_SIGNATURE: &str = "hanout-signature";

/// An event of `GET /v1/poke`: something is new. A hint and nothing more: one that is lost costs time until the next
/// poll, and never data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poke {
    /// Newest version of each followed feed that has changed since the last one; of every one in the first.
    #[serde(default)]
    pub feeds: BTreeMap<String, u64>,
    /// Somebody at the store waits for a strict variant, or waits no more.
    #[serde(default)]
    pub rights: bool,
}

/// `POST /v1/enrol`: a device asks to become a till.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// One-time code from head office, `{tenant}.{8 characters}`.
    pub code: String,
    /// Algorithm of the device key.
    pub key_algorithm: KeyAlgorithm,
    /// Public key, lower-case hexadecimal: 32 bytes for Ed25519, a SEC1 point for P-256.
    pub public_key: String,
    /// Version of the program.
    pub app: String,
    /// Protocol versions the device speaks.
    pub protocols: Vec<u32>,
}

/// Answer to [`EnrolRequest`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum EnrolReply {
    /// The owner must compare the fingerprint and confirm; ask again with the same key and code.
    Pending {
        /// Six digits shown on both sides.
        fingerprint: String,
    },
    /// The device is a till now.
    Enrolled(Box<Enrolled>),
}

/// What a device learns when it becomes a till.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Tenant.
    pub tenant: TenantId,
    /// Store.
    pub store: StoreId,
    /// Till number in the store.
    pub till: TillId,
    /// Device id.
    pub device: DeviceId,
    /// Location its sales take stock from.
    pub location: LocationId,
    /// Bearer token; useless without the device key.
    pub token: String,
    /// Server that acknowledges: acks and cursors hold per (authority, epoch).
    pub authority: String,
    /// Raised when the server was restored from a backup.
    pub epoch: u64,
    /// The server's public key (Ed25519, hexadecimal).
    pub server_key: String,
    /// Server clock, milliseconds since 1970.
    pub server_time: i64,
    /// Feeds to follow.
    pub feeds: Vec<FeedName>,
}

/// `POST /v1/sync`: push what is new, pull what changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SyncRequest {
    /// Protocol version.
    pub protocol: u32,
    /// The device's own stream.
    pub stream: StreamId,
    /// Its head.
    pub head_seq: u64,
    /// Highest seq that the device knows to be acknowledged under `epoch`.
    pub acked_seq: u64,
    /// Authority and epoch that the device last spoke to; a difference makes the server answer from its own head.
    pub authority: String,
    /// Epoch of that authority.
    pub epoch: u64,
    /// Wall clock of the device.
    pub wall: i64,
    /// Boot clock of the device.
    pub boot: Boot,
    /// New events, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<Push>,
    /// Position in each followed feed; a feed that is missing starts at the beginning.
    pub cursors: BTreeMap<FeedName, Cursor>,
    /// Most rows wanted.
    pub limit: u32,
    /// How the device is.
    pub status: DeviceStatus,
    /// What it has seen and wants of rights to strict variants; none from a device that does not know of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<RightsReport>,
    /// Feeds that it would fetch as a snapshot; none from a device that does not know of any.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub snapshots: BTreeSet<FeedName>,
}

/// What a device says about rights. What it has spent is in its events and is never told apart from them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightsReport {
    /// Grants that it has seen, as they were signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<Grant>,
    /// `seen` is all that it has ever seen, not only what is new.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// What somebody stands and waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub want: Vec<Want>,
}

/// Rights that a device wants to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// Variant.
    pub variant: VariantId,
    /// Location whose units they are.
    pub location: LocationId,
    /// How much it wants to hold in all, thousandths.
    pub quantity: Quantity,
}

/// A total of rights that the server has ever granted to the asking stream, signed, so that the stream can prove it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Stream that granted: the server's own.
    pub from: StreamId,
    /// Epoch under which it was signed; one of an earlier epoch than the server's is of no use.
    pub epoch: u64,
    /// Place, total and end of the lease by the server's clock.
    pub line: RightsLine,
    /// Server's signature over `domain::escrow::grant_message`, base64.
    pub signature: String,
}

/// Rights that the server asks back because they are wanted elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recall {
    /// Variant.
    pub variant: VariantId,
    /// Location whose units they are.
    pub location: LocationId,
    /// How much, thousandths.
    pub quantity: Quantity,
}

/// A run of events of one stream, signed at its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Push {
    /// Stream (the device's own, or one it relays).
    pub stream: StreamId,
    /// Sequence number of the first event.
    pub first_seq: u64,
    /// Chain hash before it.
    pub prev_hash: Digest,
    /// Events, byte for byte as stored.
    pub events: Vec<Box<RawValue>>,
    /// Signature over the head after the last event.
    pub head: SignedHead,
}

/// A device's word for a stream up to `seq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    /// Last sequence number covered.
    pub seq: u64,
    /// Chain hash after it.
    pub hash: Digest,
    /// Signature over `domain::event::head_message`, base64.
    pub signature: String,
}

/// What head office shows about a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// Events not yet acknowledged, the pushed ones included.
    pub unsynced: u64,
    /// Wall clock of the oldest of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_wall: Option<i64>,
    /// Version of the program.
    pub app: String,
}

/// Answer to [`SyncRequest`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SyncReply {
    /// Server that answers.
    pub authority: String,
    /// Its epoch.
    pub epoch: u64,
    /// Server clock, milliseconds since 1970.
    pub server_time: i64,
    /// Contiguous durable prefix of the pushed stream.
    pub ack_seq: u64,
    /// Chain hash there; the device compares it with its own.
    pub ack_hash: Digest,
    /// Accepted events that could not be projected; kept, shown to head office, never sent again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<Quarantined>,
    /// Changed rows of the followed feeds.
    pub pages: Vec<FeedPage>,
    /// Feeds the device should follow now.
    pub feeds: Vec<FeedName>,
    /// Totals of rights that the device has not said to have seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// Rights that it should give back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recall: Vec<Recall>,
    /// Counts that it should say to know of: what it does from then on lies after them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<StreamPos>,
    /// Feeds that are to be fetched as a snapshot; their pages in this reply are empty, and `more`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<Snapshot>,
}

/// All live rows of one feed at one version, as a file: a [`FeedPage`] without `more`, JSON in one zstd frame, at
/// `GET /v1/snapshot/{digest}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Feed.
    pub feed: FeedName,
    /// Its version, from which pages go on.
    pub ver: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// Length of what it decodes to, in bytes.
    pub decoded: u64,
}

impl Snapshot {
    /// What names a file.
    pub fn digest(file: &[u8]) -> Digest {
        Digest(Sha256::digest(file).into())
    }
}

/// An accepted event that could not be projected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Sequence number.
    pub seq: u64,
    /// Why.
    pub code: String,
}

/// Body of every answer that is not 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum ProtocolError {
    /// 409: the server lacks earlier events of the stream; send from `expected`.
    #[error("events are missing before the push, expected {expected}")]
    Gap {
        /// First sequence number wanted.
        expected: u64,
    },
    /// 409: the stream has another history on the server; only its owner acts on this, with a new stream.
    #[error("the stream forks at {at}")]
    Fork {
        /// First sequence number that differs.
        at: u64,
    },
    /// 409: the server knows more of the stream than its owner; only its owner acts on this, with a new stream.
    #[error("the server knows the stream up to {server_head}")]
    Behind {
        /// The server's head.
        server_head: u64,
    },
    /// 410: the cursor is older than what the server keeps, or from another epoch or the future; take a snapshot.
    #[error("the cursor of {feed} has expired")]
    CursorExpired {
        /// Feed.
        feed: FeedName,
    },
    /// 413: the batch or body is too large; halve it.
    #[error("the batch is too large")]
    TooLarge,
    /// 422: the batch cannot be read.
    #[error("the batch cannot be read: {reason}")]
    Unreadable {
        /// What was seen.
        reason: String,
    },
    /// 401: no such token, or the signature does not fit it.
    #[error("the device is not known here")]
    Unauthorised,
    /// 403: stream, store or tenant are another's.
    #[error("not allowed")]
    Forbidden,
    /// 403: the device was revoked.
    #[error("the device was revoked")]
    Revoked,
    /// 404: no such enrolment code, or it was used, or it expired.
    #[error("the enrolment code is not valid")]
    CodeInvalid,
    /// 404: no such snapshot, any more or for this device.
    #[error("no such snapshot")]
    NoSnapshot,
    /// 416: the range begins behind the end of the snapshot, or is none.
    #[error("the range is not within {bytes} bytes")]
    BadRange {
        /// Length of the snapshot.
        bytes: u64,
    },
    /// 426: a protocol version that this server does not speak: newer than its own, or older than 24 months. The device
    /// keeps everything and sells on; nothing of the request was taken in.
    #[error("the protocol version is not spoken here")]
    Upgrade,
    /// 429 or 503: come back later.
    #[error("come back in {after_ms} ms")]
    Busy {
        /// Milliseconds to wait.
        after_ms: u64,
    },
    /// 500: something failed inside; nothing was acknowledged.
    #[error("the server failed")]
    Internal,
}

impl ProtocolError {
    /// HTTP status that carries the error.
    pub const fn status(&self) -> u16 {
        match self {
            ProtocolError::Gap { .. }
            | ProtocolError::Fork { .. }
            | ProtocolError::Behind { .. } => 409,
            ProtocolError::CursorExpired { .. } => 410,
            ProtocolError::TooLarge => 413,
            ProtocolError::Unreadable { .. } => 422,
            ProtocolError::Unauthorised => 401,
            ProtocolError::Forbidden | ProtocolError::Revoked => 403,
            ProtocolError::CodeInvalid | ProtocolError::NoSnapshot => 404,
            ProtocolError::BadRange { .. } => 416,
            ProtocolError::Upgrade => 426,
            ProtocolError::Busy { .. } => 503,
            ProtocolError::Internal => 500,
        }
    }
}
