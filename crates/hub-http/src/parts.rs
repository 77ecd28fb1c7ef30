//! A snapshot over HTTP, whole or the part that `Range` asks for (RFC 9110, section 14).

use std::io::{Read as _, Seek as _, SeekFrom};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hub::SnapshotFile;
use sync_protocol::ProtocolError;

use crate::body::refuse;

/// Named by what it holds, it never changes; it is one chain's, so no cache on the way may keep it for others.
const FOR_EVER: &str = "private, max-age=31536000, immutable";

/// Which bytes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Whole,
    /// First byte, and the one after the last.
    Part(u64, u64),
    Nothing,
}

/// The answer to a request for `file`, whose digest is `digest`. Blocks on the file.
pub(crate) fn part(headers: &HeaderMap, digest: &str, file: &SnapshotFile) -> Response {
    let tag = format!("\"{digest}\"");
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    // Of something else than the caller has a part of, it needs the whole.
    let is_same = text(header::IF_RANGE).is_none_or(|known| known == tag);
    let range = text(header::RANGE).filter(|_| is_same);
    let wanted = range.map_or(Wanted::Whole, |range| wanted(range, file.bytes));
    let (status, from, to) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, file.bytes),
        Wanted::Part(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Wanted::Nothing => {
            let bytes = file.bytes;
            let mut response = refuse(&ProtocolError::BadRange { bytes });
            put(
                &mut response,
                header::CONTENT_RANGE,
                &format!("bytes */{bytes}"),
            );
            return response;
        }
    };
    let body = match read(file, from, to) {
        Ok(body) => body,
        // It was removed since: there is a newer one.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return refuse(&ProtocolError::NoSnapshot);
        }
        Err(error) => {
            tracing::error!(%error, "a snapshot cannot be read");
            return refuse(&ProtocolError::Internal);
        }
    };
    let mut response = (status, body).into_response();
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {from}-{}/{}", to - 1, file.bytes);
        put(&mut response, header::CONTENT_RANGE, &range);
    }
    put(&mut response, header::CONTENT_TYPE, "application/zstd");
    put(&mut response, header::ACCEPT_RANGES, "bytes");
    put(&mut response, header::CACHE_CONTROL, FOR_EVER);
    put(&mut response, header::ETAG, &tag);
    response
}

fn put(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn read(file: &SnapshotFile, from: u64, to: u64) -> std::io::Result<Vec<u8>> {
    let mut open = std::fs::File::open(&file.path)?;
    open.seek(SeekFrom::Start(from))?;
    let mut body = Vec::new();
    open.take(to - from).read_to_end(&mut body)?;
    if body.len() as u64 == to - from {
        Ok(body)
    } else {
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}

/// What a `Range` asks for of `bytes`. One that cannot be read, or of several parts, is as if it were not there.
fn wanted(range: &str, bytes: u64) -> Wanted {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|r| r.split_once('-')) else {
        return Wanted::Whole;
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // More than 64 bits is behind any end.
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let (from, to) = match (number(first), number(last)) {
        (Some(from), Some(last)) if from <= last => (from, last.saturating_add(1).min(bytes)),
        (Some(from), None) if last.is_empty() => (from, bytes),
        (None, Some(count)) if first.is_empty() => (bytes.saturating_sub(count), bytes),
        _ => return Wanted::Whole,
    };
    if from < to {
        Wanted::Part(from, to)
    } else {
        Wanted::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        for (range, expected) in [
            ("bytes=0-9", Wanted::Part(0, 10)),
            ("bytes=90-", Wanted::Part(90, 100)),
            ("bytes=90-500", Wanted::Part(90, 100)),
            ("bytes=99-99", Wanted::Part(99, 100)),
            ("bytes=-10", Wanted::Part(90, 100)),
            ("bytes=-500", Wanted::Part(0, 100)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=100-200", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=99999999999999999999-", Wanted::Nothing),
            ("bytes=0-99999999999999999999", Wanted::Part(0, 100)),
            ("bytes=9-0", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("rows=0-1", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(wanted(range, 100), expected, "{range}");
        }
    }
}
