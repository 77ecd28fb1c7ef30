//! A request as a transport has to send it, and what may become of it.

use serde::Serialize;

/// Level of compression of request bodies: on event batches level 3 is 10-20 % smaller than 1 and still
/// takes a millisecond.
const ZSTD_LEVEL: i32 = 3;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutgoingKind {
    /// Enrolment.
    Enrol,
    /// Push and pull.
    Sync,
    /// All rows of one feed at once.
    Snapshot,
    /// To hear when something is new.
    Poke,
}

/// HTTP method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Without a body.
    Get,
    /// With a body.
    Post,
}

/// A request to send. The same request may reach the server twice or never: every call is idempotent.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Which request of the engine this is; the answer has to come back with it.
    pub ticket: u64,
    /// Method.
    pub method: Method,
    /// Path below the server's address.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// Body, zstd; empty for `GET`.
    pub body: Vec<u8>,
    /// What it is for.
    pub kind: OutgoingKind,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportOutcome {
    /// An HTTP answer.
    Reply {
        /// Status code.
        status: u16,
        /// `Retry-After`, in milliseconds.
        retry_after_ms: Option<u64>,
        /// Body, decompressed.
        body: Vec<u8>,
    },
    /// No answer: no network, no server, a time-out, or a connection that broke. The server may have acted.
    Unreachable,
    /// An answer that is not from our server: a redirect, a page of a hotel's network, too many bytes.
    NotOurs,
}

impl Outgoing {
    pub(crate) fn json<T: Serialize>(
        ticket: u64,
        path: &str,
        kind: OutgoingKind,
        message: &T,
    ) -> Outgoing {
        let text = serde_json::to_vec(message)
            .expect("messages hold only strings, integers and valid JSON");
        let body =
            zstd::bulk::compress(&text, ZSTD_LEVEL).expect("compressing into memory cannot fail");
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("content-encoding", "zstd".to_owned()),
            ("accept-encoding", "zstd".to_owned()),
        ];
        Outgoing {
            ticket,
            method: Method::Post,
            path: path.to_owned(),
            headers,
            body,
            kind,
        }
    }

    pub(crate) fn get(ticket: u64, path: String, kind: OutgoingKind) -> Outgoing {
        let headers = vec![("accept-encoding", "zstd".to_owned())];
        Outgoing {
            ticket,
            method: Method::Get,
            path,
            headers,
            body: Vec::new(),
            kind,
        }
    }
}
