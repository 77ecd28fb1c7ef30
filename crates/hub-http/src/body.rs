//! Reading and writing bodies within limits of size, time and compression ratio.

use std::io::Read as _;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use sync_protocol::{DECODED_BYTES_MAX, ProtocolError};

/// Highest ratio of decoded to sent bytes; events come to about 12.
const RATIO_MAX: usize = 100;
/// Decoded size below which the ratio does not matter.
const RATIO_FREE_BYTES: usize = 256 * 1024;
/// Largest window a frame may ask memory for, as a power of two: 8 MiB.
const WINDOW_LOG_MAX: u32 = 23;
/// Answers smaller than this are sent as they are.
const COMPRESS_BYTES_MIN: usize = 1_024;
const COMPRESS_LEVEL: i32 = 3;

/// Reads a body of at most `bytes_max` within `time_max`.
pub(crate) async fn read(
    body: Body,
    bytes_max: usize,
    time_max: Duration,
) -> Result<Bytes, ProtocolError> {
    let collected = tokio::time::timeout(time_max, Limited::new(body, bytes_max).collect()).await;
    match collected {
        Err(_) => Err(unreadable("the body did not arrive in time")),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ProtocolError::TooLarge),
        Ok(Err(_)) => Err(unreadable("the body ended early")),
    }
}

/// The body as JSON text, decompressed where its header says so.
pub(crate) fn decode(headers: &HeaderMap, raw: &Bytes) -> Result<Bytes, ProtocolError> {
    match headers
        .get(header::CONTENT_ENCODING)
        .map(HeaderValue::as_bytes)
    {
        None | Some(b"identity") => Ok(raw.clone()),
        Some(b"zstd") => decompress(raw).map(Bytes::from),
        Some(_) => Err(unreadable("only zstd is decoded")),
    }
}

fn decompress(raw: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    let limit = DECODED_BYTES_MAX.min(raw.len().saturating_mul(RATIO_MAX).max(RATIO_FREE_BYTES));
    let mut decoder =
        zstd::stream::read::Decoder::with_buffer(raw).map_err(|_| ProtocolError::Internal)?;
    decoder
        .window_log_max(WINDOW_LOG_MAX)
        .map_err(|_| ProtocolError::Internal)?;
    let mut decoded = Vec::new();
    let mut limited = decoder.take(limit as u64 + 1);
    limited
        .read_to_end(&mut decoded)
        .map_err(|_| unreadable("the body is not zstd"))?;
    if decoded.len() > limit {
        return Err(ProtocolError::TooLarge);
    }
    Ok(decoded)
}

pub(crate) fn unreadable(reason: &str) -> ProtocolError {
    ProtocolError::Unreadable {
        reason: reason.to_owned(),
    }
}

/// An answer as JSON, compressed where the caller takes it.
pub(crate) fn answer<T: serde::Serialize>(headers: &HeaderMap, value: &T) -> Response {
    let Ok(json) = serde_json::to_vec(value) else {
        return refuse(&ProtocolError::Internal);
    };
    let takes_zstd = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim() == "zstd");
    let compressed = (takes_zstd && json.len() >= COMPRESS_BYTES_MIN)
        .then(|| zstd::bulk::compress(&json, COMPRESS_LEVEL).ok())
        .flatten();
    let json_type = (
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    match compressed {
        Some(bytes) => {
            let encoding = (header::CONTENT_ENCODING, HeaderValue::from_static("zstd"));
            ([json_type, encoding], bytes).into_response()
        }
        None => ([json_type], json).into_response(),
    }
}

/// A refusal with its status; its body is the error itself.
pub(crate) fn refuse(error: &ProtocolError) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, axum::Json(error)).into_response();
    if let ProtocolError::Busy { after_ms } = error {
        let seconds = after_ms.div_ceil(1_000).max(1);
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_stopped_at_its_ratio_and_at_the_limit() {
        let bomb = zstd::bulk::compress(&vec![0_u8; 64 * 1024 * 1024], 3).expect("compress");
        assert_eq!(decompress(&bomb), Err(ProtocolError::TooLarge));
        let small = zstd::bulk::compress(&vec![b' '; RATIO_FREE_BYTES], 3).expect("compress");
        assert_eq!(decompress(&small).expect("small").len(), RATIO_FREE_BYTES);
        let over = zstd::bulk::compress(&vec![b' '; RATIO_FREE_BYTES + 1], 3).expect("compress");
        assert_eq!(decompress(&over), Err(ProtocolError::TooLarge));
    }

    #[test]
    fn what_is_not_zstd_is_named() {
        assert!(matches!(
            decompress(b"plain text"),
            Err(ProtocolError::Unreadable { .. })
        ));
        let whole = zstd::bulk::compress(&[7; 4_096], 3).expect("compress");
        assert!(decompress(&whole[..whole.len() - 2]).is_err());
    }
}
