//! Enrolment: a device without a ledger asks to become a till.

use domain::config::KeyAlgorithm;
use sync_protocol::{EnrolReply, EnrolRequest, PROTOCOL, ProtocolError};

pub use sync_protocol::Enrolled;

use crate::outgoing::{Outgoing, OutgoingKind, TransportOutcome};

/// What the server said to an enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnrolOutcome {
    /// The device is a till.
    Enrolled(Box<Enrolled>),
    /// The owner has yet to confirm this fingerprint; ask again with the same code and key.
    Pending {
        /// Six digits shown on both sides.
        fingerprint: String,
    },
    /// The code is wrong, used or expired.
    CodeInvalid,
    /// The server wants to be left alone for a while.
    Busy {
        /// Milliseconds.
        after_ms: u64,
    },
    /// No answer.
    Unreachable,
    /// An answer that is not of our protocol, or a refusal that enrolment does not know.
    Nonsense,
}

/// The request that trades a one-time `code` for a till's identity.
pub fn request(code: &str, key_algorithm: KeyAlgorithm, public_key: &str, app: &str) -> Outgoing {
    let message = EnrolRequest {
        code: code.to_owned(),
        key_algorithm,
        public_key: public_key.to_owned(),
        app: app.to_owned(),
        protocols: vec![PROTOCOL],
    };
    Outgoing::json(0, "/v1/enrol", OutgoingKind::Enrol, &message)
}

/// Reads the answer to [`request`].
pub fn read(outcome: &TransportOutcome) -> EnrolOutcome {
    let (status, retry_after_ms, body) = match outcome {
        TransportOutcome::Reply {
            status,
            retry_after_ms,
            body,
        } => (*status, *retry_after_ms, body),
        TransportOutcome::Unreachable => return EnrolOutcome::Unreachable,
        TransportOutcome::NotOurs => return EnrolOutcome::Nonsense,
    };
    if (200..300).contains(&status) {
        return match serde_json::from_slice(body) {
            Ok(EnrolReply::Pending { fingerprint }) => EnrolOutcome::Pending { fingerprint },
            Ok(EnrolReply::Enrolled(enrolled)) => EnrolOutcome::Enrolled(enrolled),
            Err(_) => EnrolOutcome::Nonsense,
        };
    }
    match serde_json::from_slice(body) {
        Ok(ProtocolError::CodeInvalid) => EnrolOutcome::CodeInvalid,
        Ok(ProtocolError::Busy { after_ms }) => EnrolOutcome::Busy { after_ms },
        Ok(ProtocolError::Internal) => EnrolOutcome::Unreachable,
        _ if matches!(status, 429 | 503) => EnrolOutcome::Busy {
            after_ms: retry_after_ms.unwrap_or(5_000),
        },
        _ if matches!(status, 502 | 504) => EnrolOutcome::Unreachable,
        _ => EnrolOutcome::Nonsense,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> EnrolOutcome {
        read(&TransportOutcome::Reply {
            status,
            retry_after_ms: None,
            body: body.as_bytes().to_vec(),
        })
    }

    #[test]
    fn every_answer_has_one_meaning() {
        assert_eq!(reply(501, "<html>"), EnrolOutcome::Nonsense);
        assert_eq!(reply(502, "<html>"), EnrolOutcome::Unreachable);
        assert_eq!(
            reply(200, r#"{"status":"pending","fingerprint":"123456"}"#),
            EnrolOutcome::Pending {
                fingerprint: "123456".to_owned()
            }
        );
        assert_eq!(
            reply(404, r#"{"code":"code_invalid"}"#),
            EnrolOutcome::CodeInvalid
        );
        assert_eq!(reply(404, "<html>not found</html>"), EnrolOutcome::Nonsense);
        assert_eq!(
            reply(200, "<html>Welcome to Hotel Wifi</html>"),
            EnrolOutcome::Nonsense
        );
        assert_eq!(
            reply(503, r#"{"code":"busy","after_ms":700}"#),
            EnrolOutcome::Busy { after_ms: 700 }
        );
        assert_eq!(reply(502, "bad gateway"), EnrolOutcome::Unreachable);
        assert_eq!(
            read(&TransportOutcome::Unreachable),
            EnrolOutcome::Unreachable
        );
        assert_eq!(read(&TransportOutcome::NotOurs), EnrolOutcome::Nonsense);
    }
}
