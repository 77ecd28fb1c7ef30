//! The routes: one call, the schemas of all commands, the stream of changes, and the files of the screens.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Map, Value, json};
use till_runtime::{CallError, Handle};
use tokio::sync::watch;

use crate::{events, files};

/// Largest body of a request.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How long a body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// What the screens may do: nothing from elsewhere, nothing inline.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What all routes share.
#[derive(Clone)]
pub struct Door {
    /// The till.
    pub handle: Handle,
    /// Secret that callers show.
    pub token: Arc<str>,
    /// Where the door listens.
    pub address: SocketAddr,
    /// Folder with the built screens.
    pub ui_dir: Option<PathBuf>,
    /// Changes, for listeners.
    pub events: events::Hub,
    /// Set when the till has stopped by itself: the program has to end.
    pub stopped: watch::Sender<bool>,
}

/// All routes of `door`.
pub fn routes(door: Door) -> Router {
    let guarded = Router::new()
        .route("/api/call", post(call))
        .route("/api/events", get(listen))
        .route_layer(from_fn_with_state(door.clone(), needs_token));
    Router::new()
        .merge(guarded)
        .route("/api/schema", get(schema))
        .fallback(page)
        .layer(from_fn_with_state(door.clone(), from_this_machine))
        .with_state(door)
}

/// Refuses names that only resolve to this machine: a page elsewhere could rebind its own name to it.
async fn from_this_machine(State(door): State<Door>, request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let mut response = if host.is_some_and(|host| is_our_host(host, door.address)) {
        next.run(request).await
    } else {
        problem(
            StatusCode::FORBIDDEN,
            "host",
            "this door answers to its loopback address only",
        )
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

fn is_our_host(host: &str, address: SocketAddr) -> bool {
    let Some((name, port)) = host.rsplit_once(':') else {
        return false;
    };
    port.parse() == Ok(address.port()) && matches!(name, "127.0.0.1" | "localhost" | "[::1]")
        || host.parse() == Ok(address)
}

async fn needs_token(State(door): State<Door>, request: Request, next: Next) -> Response {
    let bearer = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
    // A browser's event source can send no header.
    let query = request.uri().query().and_then(|query| {
        let is_events = request.uri().path() == "/api/events";
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix("token="))
            .filter(|_| is_events)
    });
    let shown = bearer.or(query).unwrap_or_default();
    if same(shown.trim().as_bytes(), door.token.as_bytes()) {
        next.run(request).await
    } else {
        problem(
            StatusCode::UNAUTHORIZED,
            "token",
            "the bearer token is missing or wrong",
        )
    }
}

/// Compares in a time that depends on the lengths alone.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .fold(0, |differing, (a, b)| differing | (a ^ b))
            == 0
}

async fn call(State(door): State<Door>, request: Request) -> Response {
    let text =
        match tokio::time::timeout(BODY_TIME_MAX, to_bytes(request.into_body(), BODY_BYTES_MAX))
            .await
        {
            Ok(Ok(bytes)) => String::from_utf8(bytes.into()),
            Ok(Err(_)) => {
                return problem(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "body",
                    "the body is larger than 1 MiB or broke off",
                );
            }
            Err(_) => {
                return problem(
                    StatusCode::REQUEST_TIMEOUT,
                    "body",
                    "the body did not arrive in time",
                );
            }
        };
    let Ok(text) = text else {
        return problem(StatusCode::BAD_REQUEST, "body", "the body is not UTF-8");
    };
    let handle = door.handle.clone();
    let answer = tokio::task::spawn_blocking(move || handle.call(&text)).await;
    match answer {
        Ok(Ok(answer)) => ([(header::CONTENT_TYPE, "application/json")], answer).into_response(),
        Ok(Err(CallError::Unparsable(error))) => {
            problem(StatusCode::BAD_REQUEST, "unparsable", &error.to_string())
        }
        Ok(Err(CallError::Stopped)) | Err(_) => {
            door.stopped.send_replace(true);
            tracing::error!("the till has stopped, ending the program");
            problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "stopped",
                "the till has stopped",
            )
        }
    }
}

async fn listen(State(door): State<Door>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Body::new(door.events.listen())).into_response()
}

async fn schema() -> Response {
    axum::Json(schemas()).into_response()
}

/// Everything the door understands: `commands` by name, and the types around them.
pub fn schemas() -> Value {
    let mut all = till::schema::schemas();
    let mut commands = Map::new();
    for variant in all["command"]["oneOf"].as_array().into_iter().flatten() {
        if let Some(name) = variant["properties"]["type"]["const"].as_str() {
            commands.insert(name.to_owned(), variant.clone());
        }
    }
    all["commands"] = Value::Object(commands);
    all
}

async fn page(State(door): State<Door>, uri: Uri) -> Response {
    let Some(ui_dir) = door.ui_dir else {
        return problem(
            StatusCode::NOT_FOUND,
            "path",
            "there is nothing here; the till was started without --ui",
        );
    };
    let path = uri.path().to_owned();
    let found = tokio::task::spawn_blocking(move || files::read(&ui_dir, &path)).await;
    match found {
        Ok(Some(file)) => (
            [
                (header::CONTENT_TYPE, file.kind),
                (header::CACHE_CONTROL, "no-cache"),
            ],
            file.bytes,
        )
            .into_response(),
        Ok(None) | Err(_) => problem(StatusCode::NOT_FOUND, "path", "there is nothing here"),
    }
}

fn problem(status: StatusCode, error: &str, detail: &str) -> Response {
    (
        status,
        axum::Json(json!({ "error": error, "detail": detail })),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_with_our_port_are_ours() {
        let address: SocketAddr = "127.0.0.1:4100".parse().expect("address");
        for (host, ours) in [
            ("127.0.0.1:4100", true),
            ("localhost:4100", true),
            ("[::1]:4100", true),
            ("127.0.0.1", false),
            ("127.0.0.1:4101", false),
            ("evil.example:4100", false),
            ("localhost.evil.example:4100", false),
            ("evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_our_host(host, address), ours, "{host}");
        }
    }

    #[test]
    fn tokens_are_compared_whole() {
        assert!(same(b"secret", b"secret"));
        for other in [&b""[..], b"secre", b"secrets", b"Secret", b"tecret"] {
            assert!(!same(other, b"secret"));
        }
    }

    #[test]
    fn every_command_has_a_schema() {
        let schemas = schemas();
        let commands = schemas["commands"].as_object().expect("commands");
        for name in ["Status", "ScanCode", "Complete", "CloseShift"] {
            assert!(commands[name]["properties"].is_object(), "{name}");
        }
        assert_eq!(
            commands.len(),
            schemas["command"]["oneOf"]
                .as_array()
                .expect("variants")
                .len()
        );
    }
}
