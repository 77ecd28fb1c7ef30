//! `GET /v1/poke`: tells a till that something is new, so that it need not wait for its next poll.
//!
//! Server-sent events with a JSON [`sync_protocol::Poke`] each. One watcher looks at each tenant's file for as long
//! as somebody listens, so that what the command line or another process writes is seen too.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hub::{Follows, Heads, Hub, TenantId};
use hyper::body::Frame;
use sync_protocol::ProtocolError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::serve::Stopping;
use crate::tenants::{Tenants, with_hub};

/// How long one answer goes on; within the time after which a silent connection is cut.
const LIFE: Duration = Duration::from_secs(45);
/// How often a tenant's file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Listeners at once: half of the connections that a server holds, so that those who have something to say get in.
const LISTENERS_MAX: usize = 512;
/// What a listener hears who comes when there is no room.
const BUSY_MS: u64 = 60_000;

/// Everybody who listens.
pub(crate) struct Pokes {
    room: Arc<Semaphore>,
    watched: Mutex<BTreeMap<TenantId, watch::Sender<Heads>>>,
}

impl Pokes {
    pub(crate) fn new() -> Arc<Pokes> {
        Arc::new(Pokes {
            room: Arc::new(Semaphore::new(LISTENERS_MAX)),
            watched: Mutex::default(),
        })
    }

    /// The answer to somebody who listens.
    pub(crate) fn answer(
        self: &Arc<Pokes>,
        tenants: &Arc<Tenants>,
        tenant: TenantId,
        follows: Follows,
        stopping: Stopping,
    ) -> Result<Response, ProtocolError> {
        let Ok(permit) = self.room.clone().try_acquire_owned() else {
            return Err(ProtocolError::Busy { after_ms: BUSY_MS });
        };
        let heads = self.heads(tenants, tenant);
        let (sender, lines) = mpsc::channel(1);
        tokio::spawn(tell(heads, follows, sender, stopping, permit));
        let headers = [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store"),
            // A proxy that gathers answers would keep a hint until it is of no use.
            (HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        Ok((headers, Body::new(Lines(lines))).into_response())
    }

    fn heads(
        self: &Arc<Pokes>,
        tenants: &Arc<Tenants>,
        tenant: TenantId,
    ) -> watch::Receiver<Heads> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = watched.get(&tenant) {
            return sender.subscribe();
        }
        let (sender, heads) = watch::channel(Heads::default());
        watched.insert(tenant.clone(), sender);
        tokio::spawn(look(self.clone(), tenants.clone(), tenant));
        heads
    }

    /// Publishes what is newest; false when nobody listens any more.
    fn publish(&self, tenant: &TenantId, found: Option<Heads>) -> bool {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = watched.get(tenant) else {
            return false;
        };
        if sender.receiver_count() == 0 {
            watched.remove(tenant);
            return false;
        }
        if let Some(found) = found {
            sender.send_if_modified(|heads| {
                let changed = *heads != found;
                *heads = found;
                changed
            });
        }
        true
    }
}

async fn look(pokes: Arc<Pokes>, tenants: Arc<Tenants>, tenant: TenantId) {
    loop {
        let found = with_hub(
            &tenants,
            tenant.clone(),
            ProtocolError::Unauthorised,
            |hub: &mut Hub| {
                hub.heads().map_err(|error| {
                    tracing::debug!(%error, "what is newest cannot be read");
                    ProtocolError::Internal
                })
            },
        )
        .await;
        if !pokes.publish(&tenant, found.ok()) {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn tell(
    mut heads: watch::Receiver<Heads>,
    follows: Follows,
    lines: mpsc::Sender<Bytes>,
    mut stopping: Stopping,
    permit: OwnedSemaphorePermit,
) {
    let end = tokio::time::Instant::now() + LIFE;
    let mut told = Heads::default();
    loop {
        let newest = heads.borrow_and_update().clone();
        if let Some(poke) = follows.poke(&told, &newest)
            && let Ok(json) = serde_json::to_string(&poke)
            && lines
                .send(format!("data: {json}\n\n").into())
                .await
                .is_err()
        {
            break;
        }
        told = newest;
        tokio::select! {
            changed = heads.changed() => if changed.is_err() { break },
            () = tokio::time::sleep_until(end) => break,
            () = lines.closed() => break,
            () = stopping.begins() => break,
        }
    }
    drop(permit);
}

/// A body that ends when its sender does.
struct Lines(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(cx)
            .map(|line| line.map(|bytes| Ok(Frame::data(bytes))))
    }
}
