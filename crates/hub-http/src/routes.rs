//! `POST /v1/enrol`, `POST /v1/sync`, `GET /v1/snapshot/{feed or digest}`, `GET /v1/poke`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use hub::{DeviceAuth, Digest, TenantId};
use sync_protocol::sign::{request_message, verify};
use sync_protocol::{
    BODY_BYTES_MAX, EnrolRequest, FeedName, HEADER_DEVICE, HEADER_SIGNATURE, ProtocolError,
    SyncRequest,
};

use crate::body::{answer, decode, read, refuse, unreadable};
use crate::clock::Clock;
use crate::parts::part;
use crate::poke::Pokes;
use crate::serve::Stopping;
use crate::tenants::{Tenants, with_hub};

/// An enrolment request is a few hundred bytes, and anybody may send one.
const ENROL_BYTES_MAX: usize = 16 * 1024;
/// How long a body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

#[derive(Clone)]
struct Shared {
    tenants: Arc<Tenants>,
    clock: Clock,
    pokes: Arc<Pokes>,
}

/// The sync routes over `tenants`.
pub fn routes(tenants: Arc<Tenants>, clock: Clock) -> Router {
    Router::new()
        .route("/v1/enrol", post(enrol))
        .route("/v1/sync", post(sync))
        .route("/v1/snapshot/{feed}", get(snapshot))
        .route("/v1/poke", get(poke))
        .with_state(Shared {
            tenants,
            clock,
            pokes: Pokes::new(),
        })
}

async fn enrol(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let reply = async {
        let raw = read(body, ENROL_BYTES_MAX, BODY_TIME_MAX).await?;
        let request: EnrolRequest = parse(&decode(&parts.headers, &raw)?)?;
        let tenant = tenant_of(&request.code).ok_or(ProtocolError::CodeInvalid)?;
        let now = (shared.clock)();
        // An unknown tenant looks like a wrong code.
        with_hub(
            &shared.tenants,
            tenant,
            ProtocolError::CodeInvalid,
            move |hub| hub.enrol(&request, &now),
        )
        .await
    };
    respond(&parts.headers, reply.await)
}

async fn sync(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let reply = async {
        // The token is looked up before the body is read: a stranger sends no megabytes.
        let device = recognise(&shared, &parts.headers).await?;
        let raw = read(body, BODY_BYTES_MAX, BODY_TIME_MAX).await?;
        check_signature(&device, &parts.headers, &raw)?;
        let request: SyncRequest = parse(&decode(&parts.headers, &raw)?)?;
        let now = (shared.clock)();
        let tenant = device.tenant.clone();
        with_hub(
            &shared.tenants,
            tenant,
            ProtocolError::Unauthorised,
            move |hub| hub.sync(device.device, &request, &now),
        )
        .await
    };
    respond(&parts.headers, reply.await)
}

async fn snapshot(
    State(shared): State<Shared>,
    Path(feed): Path<String>,
    headers: HeaderMap,
) -> Response {
    // No feed's name is 64 hexadecimal digits.
    if let Ok(digest) = feed.parse::<Digest>() {
        return snapshot_part(&shared, digest, headers).await;
    }
    let reply = async {
        let device = recognise(&shared, &headers).await?;
        check_signature(&device, &headers, &[])?;
        let feed: FeedName = feed.parse().map_err(|_| ProtocolError::Forbidden)?;
        let now = (shared.clock)();
        let tenant = device.tenant.clone();
        with_hub(
            &shared.tenants,
            tenant,
            ProtocolError::Unauthorised,
            move |hub| hub.snapshot(device.device, &feed, &now),
        )
        .await
    };
    respond(&headers, reply.await)
}

async fn snapshot_part(shared: &Shared, digest: Digest, headers: HeaderMap) -> Response {
    let reply = async {
        let device = recognise(shared, &headers).await?;
        check_signature(&device, &headers, &[])?;
        let file = with_hub(
            &shared.tenants,
            device.tenant.clone(),
            ProtocolError::Unauthorised,
            move |hub| hub.snapshot_file(device.device, digest),
        )
        .await?;
        // Outside the hub's lock: a slow disk holds nobody up.
        tokio::task::spawn_blocking(move || part(&headers, &digest.to_string(), &file))
            .await
            .map_err(|error| {
                tracing::error!(%error, "a request panicked");
                ProtocolError::Internal
            })
    };
    reply.await.unwrap_or_else(|error| {
        tracing::debug!(%error, "a request was refused");
        refuse(&error)
    })
}

async fn poke(
    State(shared): State<Shared>,
    Extension(stopping): Extension<Stopping>,
    headers: HeaderMap,
) -> Response {
    let reply = async {
        let device = recognise(&shared, &headers).await?;
        check_signature(&device, &headers, &[])?;
        let (tenant, device) = (device.tenant, device.device);
        let follows = with_hub(
            &shared.tenants,
            tenant.clone(),
            ProtocolError::Unauthorised,
            move |hub| hub.follows(device),
        )
        .await?;
        shared
            .pokes
            .answer(&shared.tenants, tenant, follows, stopping)
    };
    reply.await.unwrap_or_else(|error| {
        tracing::debug!(%error, "a listener was refused");
        refuse(&error)
    })
}

/// Whose token the request carries; the device it names must be the same.
async fn recognise(shared: &Shared, headers: &HeaderMap) -> Result<DeviceAuth, ProtocolError> {
    let token = text(headers, "authorization")
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or(ProtocolError::Unauthorised)?
        .to_owned();
    let tenant = tenant_of(&token).ok_or(ProtocolError::Unauthorised)?;
    let device = with_hub(
        &shared.tenants,
        tenant,
        ProtocolError::Unauthorised,
        move |hub| hub.device_by_token(&token),
    )
    .await?;
    if text(headers, HEADER_DEVICE) != Some(device.device.to_string().as_str()) {
        return Err(ProtocolError::Unauthorised);
    }
    Ok(device)
}

/// A token alone is worth nothing: the body, as sent, is signed by the device's key.
fn check_signature(
    device: &DeviceAuth,
    headers: &HeaderMap,
    raw: &[u8],
) -> Result<(), ProtocolError> {
    let signature = text(headers, HEADER_SIGNATURE).ok_or(ProtocolError::Unauthorised)?;
    let message = request_message(&device.tenant, device.device, raw);
    verify(device.algorithm, &device.public_key, &message, signature)
        .map_err(|_| ProtocolError::Unauthorised)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Codes and tokens begin with their tenant.
fn tenant_of(text: &str) -> Option<TenantId> {
    let (tenant, _) = text.trim().split_once('.')?;
    TenantId::new(tenant).ok()
}

fn parse<T: serde::de::DeserializeOwned>(json: &Bytes) -> Result<T, ProtocolError> {
    serde_json::from_slice(json).map_err(|error| unreadable(&error.to_string()))
}

fn respond<T: serde::Serialize>(headers: &HeaderMap, reply: Result<T, ProtocolError>) -> Response {
    match reply {
        Ok(value) => answer(headers, &value),
        Err(error) => {
            tracing::debug!(%error, "a request was refused");
            refuse(&error)
        }
    }
}
