//! The office pages as files, and the headers that keep them to themselves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const OFFICE_PAGE: &str = "office.html";
const NOT_BUILT: &str = "<!doctype html><meta charset=\"utf-8\"><title>Hanout</title>\
    <p>The office pages are not built. Build ui/ and start the server with --ui ui/dist.\n";

/// `/office/` and the files that it loads.
pub(crate) fn routes(ui_dir: Option<PathBuf>) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/office/") }))
        .route("/office", get(|| async { Redirect::temporary("/office/") }))
        .route("/office/", get(page))
        .fallback(asset)
        .with_state(Arc::new(ui_dir))
}

/// Headers of every answer.
pub(crate) async fn security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn page(State(ui_dir): State<Arc<Option<PathBuf>>>) -> Response {
    let read = match ui_dir.as_ref() {
        Some(dir) => read(dir.join(OFFICE_PAGE)).await,
        None => None,
    };
    let html = (header::CONTENT_TYPE, "text/html; charset=utf-8");
    match read {
        Some(bytes) => ([html, (header::CACHE_CONTROL, "no-cache")], bytes).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, [html], NOT_BUILT).into_response(),
    }
}

/// A file beside the page, whether it was asked for from `/office/` or from the root.
async fn asset(State(ui_dir): State<Arc<Option<PathBuf>>>, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    let path = path.strip_prefix("office/").unwrap_or(path);
    let found = match (ui_dir.as_ref(), content_type(path)) {
        (Some(dir), Some(kind)) if is_plain(path) => {
            read(dir.join(path)).await.map(|bytes| (kind, bytes))
        }
        _ => None,
    };
    match found {
        Some((kind, bytes)) => (
            [
                (header::CONTENT_TYPE, kind),
                (header::CACHE_CONTROL, "no-cache"),
            ],
            bytes,
        )
            .into_response(),
        None => (StatusCode::NOT_FOUND, "not found\n").into_response(),
    }
}

async fn read(path: PathBuf) -> Option<Vec<u8>> {
    let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
    read.ok()?.ok()
}

/// Only plain names: no dots in front, so neither the parent directory nor hidden files.
fn is_plain(path: &str) -> bool {
    path.split('/').all(|part| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .chars()
                .all(|ch| ch.is_ascii_alphanumeric() || matches!(ch, '.' | '-' | '_'))
    })
}

/// What may be served; pages are not among it, `/office/` is the only one.
fn content_type(path: &str) -> Option<&'static str> {
    match Path::new(path).extension()?.to_str()? {
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "woff2" => Some("font/woff2"),
        "ttf" => Some("font/ttf"),
        "svg" => Some("image/svg+xml"),
        "png" => Some("image/png"),
        "ico" => Some("image/x-icon"),
        "json" => Some("application/json"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_folder() {
        for (path, plain) in [
            ("assets/office-1a2b.js", true),
            ("../secret.js", false),
            ("assets/../../x.js", false),
            ("/etc/x.js", false),
            ("a//b.js", false),
            (".hidden.js", false),
            ("a%2f..%2fb.js", false),
            ("", false),
        ] {
            assert_eq!(is_plain(path), plain, "{path}");
        }
        assert_eq!(content_type("index.html"), None);
        assert_eq!(content_type("tenants/atlas.db"), None);
    }
}
