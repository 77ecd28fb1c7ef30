//! The transport of real tills: HTTPS with bundled roots, because handhelds have stale ones.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_ENCODING, RETRY_AFTER};
use reqwest::redirect::Policy;

use crate::outgoing::{Method, Outgoing, TransportOutcome};
use crate::unpack::unpack;

/// Time to reach the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for one request, from the first byte to the last.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for an answer that goes on; servers end theirs earlier.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(60);
/// Most that is read of an answer that goes on.
const LISTEN_BYTES_MAX: u64 = 1024 * 1024;
/// Largest answer on the wire.
const WIRE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Largest answer after decompression.
const DECODED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Highest ratio of decoded to sent bytes; pages of rows come to about 10.
const RATIO_MAX: u64 = 100;
/// Decoded size below which the ratio does not matter.
const RATIO_FREE_BYTES: u64 = 4 * 1024 * 1024;

/// Why no connection can be made to an address.
#[derive(Debug, thiserror::Error)]
pub enum BadServer {
    /// Not an address of the form `https://host[:port][/path]`.
    #[error("not a server address")]
    NotAnAddress,
    /// Plain http to another machine: the token would travel in the open.
    #[error("plain http is accepted only on this machine")]
    PlainHttp,
    /// The client could not be set up.
    #[error("setting up the HTTP client")]
    Client(#[from] reqwest::Error),
    /// The cipher suites could not be set up.
    #[error("setting up TLS")]
    Tls(#[from] rustls::Error),
}

/// Checks the address of a server and brings it into one form, without a slash at the end.
///
/// # Errors
/// [`BadServer::NotAnAddress`], [`BadServer::PlainHttp`].
pub fn server_address(text: &str) -> Result<String, BadServer> {
    let url = parse(text)?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn parse(text: &str) -> Result<Url, BadServer> {
    let url = Url::parse(text.trim()).map_err(|_| BadServer::NotAnAddress)?;
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if url.host_str().is_none_or(str::is_empty) || !bare {
        return Err(BadServer::NotAnAddress);
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(BadServer::PlainHttp),
        _ => Err(BadServer::NotAnAddress),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// A connection pool to one server.
#[derive(Debug, Clone)]
pub struct Transport {
    client: Client,
    base: String,
}

impl Transport {
    /// Prepares to talk to `server`; opens nothing yet.
    ///
    /// # Errors
    /// [`BadServer`].
    pub fn new(server: &str) -> Result<Transport, BadServer> {
        let url = parse(server)?;
        let roots = rustls::RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            // A redirect is somebody else answering: following it would carry the token there.
            .redirect(Policy::none())
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("hanout-till/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        Ok(Transport {
            client: builder.build()?,
            base: url.as_str().trim_end_matches('/').to_owned(),
        })
    }

    /// Sends a request whose answer goes on, and hands over each of its events, for at most a minute or until `hear`
    /// says that nobody listens any more. True when the server answered as it should.
    pub fn listen(&self, outgoing: &Outgoing, mut hear: impl FnMut(&str) -> bool) -> bool {
        let address = format!("{}{}", self.base, outgoing.path);
        let mut request = self.client.get(address).timeout(LISTEN_TIMEOUT);
        for (name, value) in &outgoing.headers {
            request = request.header(*name, value);
        }
        let response = match request.send() {
            Ok(response) if response.status().is_success() => response,
            Ok(_) => return false,
            Err(error) => {
                tracing::debug!(cause = %error.without_url(), "the server was not reached");
                return false;
            }
        };
        let mut lines = BufReader::new(response.take(LISTEN_BYTES_MAX));
        let mut line = String::new();
        // An answer that breaks off is asked for again.
        while lines.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            if let Some(data) = line.strip_prefix("data:")
                && !hear(data.trim())
            {
                break;
            }
            line.clear();
        }
        true
    }

    /// Sends one request and waits for its answer, at most 30 seconds.
    pub fn send(&self, outgoing: &Outgoing) -> TransportOutcome {
        let address = format!("{}{}", self.base, outgoing.path);
        let mut request = match outgoing.method {
            Method::Get => self.client.get(address),
            Method::Post => self.client.post(address).body(outgoing.body.clone()),
        };
        for (name, value) in &outgoing.headers {
            request = request.header(*name, value);
        }
        match request.send() {
            Ok(response) => read_response(response),
            Err(error) => {
                // The URL may hold a name of the shop's network; the cause is enough.
                tracing::debug!(cause = %error.without_url(), "the server was not reached");
                TransportOutcome::Unreachable
            }
        }
    }
}

fn read_response(response: Response) -> TransportOutcome {
    let status = response.status();
    if status.is_redirection() || status.is_informational() {
        return TransportOutcome::NotOurs;
    }
    let header = |name| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let retry_after_ms = header(RETRY_AFTER)
        .and_then(|text| text.trim().parse::<u64>().ok())
        .map(|s| s.saturating_mul(1_000));
    let encoding = header(CONTENT_ENCODING);
    let mut wire = Vec::new();
    if let Err(error) = response.take(WIRE_BYTES_MAX + 1).read_to_end(&mut wire) {
        tracing::debug!(cause = %error, "the answer broke off");
        return TransportOutcome::Unreachable;
    }
    if wire.len() as u64 > WIRE_BYTES_MAX {
        return TransportOutcome::NotOurs;
    }
    let body = match encoding.as_deref() {
        None | Some("identity") => Some(wire),
        Some("zstd") => decompress(&wire),
        Some(_) => None,
    };
    match body {
        Some(body) => TransportOutcome::Reply {
            status: status.as_u16(),
            retry_after_ms,
            body,
        },
        None => TransportOutcome::NotOurs,
    }
}

/// The content of a zstd frame; none when it is damaged or larger than the limits.
fn decompress(wire: &[u8]) -> Option<Vec<u8>> {
    let by_ratio = (wire.len() as u64).saturating_mul(RATIO_MAX);
    unpack(wire, by_ratio.clamp(RATIO_FREE_BYTES, DECODED_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for (text, wanted) in [
            ("https://sync.example.tn", Some("https://sync.example.tn")),
            ("https://sync.example.tn/", Some("https://sync.example.tn")),
            (
                " https://sync.example.tn:8443/shop/ ",
                Some("https://sync.example.tn:8443/shop"),
            ),
            ("http://127.0.0.1:9000", Some("http://127.0.0.1:9000")),
            ("http://[::1]:9000", Some("http://[::1]:9000")),
            ("http://localhost:9000", Some("http://localhost:9000")),
            ("http://192.168.1.10", None),
            ("http://127.0.0.1.example.tn", None),
            ("http://localhost.example.tn", None),
            ("https://user:secret@example.tn", None),
            ("https://example.tn/?a=1", None),
            ("ftp://example.tn", None),
            ("example.tn", None),
            ("", None),
        ] {
            assert_eq!(server_address(text).ok().as_deref(), wanted, "{text}");
        }
        assert!(matches!(
            server_address("http://10.0.0.1"),
            Err(BadServer::PlainHttp)
        ));
    }

    #[test]
    fn a_client_can_be_made_for_both_kinds_of_address() {
        assert!(Transport::new("https://sync.example.tn").is_ok());
        assert!(Transport::new("http://127.0.0.1:1").is_ok());
        assert!(Transport::new("http://10.0.0.1").is_err());
    }

    #[test]
    fn a_bomb_and_a_damaged_frame_are_refused() {
        let blank = |bytes: u64| {
            let bytes = usize::try_from(bytes).expect("small");
            zstd::bulk::compress(&vec![b' '; bytes], 1).expect("compressed")
        };
        let bomb = blank(DECODED_BYTES_MAX + 1);
        assert!(bomb.len() < 100_000);
        assert_eq!(decompress(&bomb), None);
        // A short answer is not given more than it may need, long before the limit of all answers.
        let most = blank(RATIO_FREE_BYTES);
        assert_eq!(
            decompress(&most).map(|body| body.len() as u64),
            Some(RATIO_FREE_BYTES)
        );
        let over = blank(RATIO_FREE_BYTES + 1);
        assert!(over.len() < 10_000);
        assert_eq!(decompress(&over), None);
        assert_eq!(decompress(b"not a frame"), None);
        let frame = zstd::bulk::compress(b"hello", 1).expect("compressed");
        assert_eq!(decompress(&frame).as_deref(), Some(&b"hello"[..]));
    }
}
