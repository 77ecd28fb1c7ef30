//! A network in one process that loses, repeats and reorders requests, by seed.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use hub_http::{Clock, Tenants};
use sync_client::outgoing::Method;
use sync_client::{Outgoing, TransportOutcome};
use testkit::rng::Rng;
use tower::ServiceExt as _;

/// How often things go wrong, in percent.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// The request never arrives.
    pub lost: u64,
    /// It arrives and its answer does not.
    pub reply_lost: u64,
    /// It arrives twice.
    pub doubled: u64,
    /// It arrives after later ones, and nobody hears the answer.
    pub late: u64,
}

impl Faults {
    /// A network that works.
    pub const NONE: Faults = Faults {
        lost: 0,
        reply_lost: 0,
        doubled: 0,
        late: 0,
    };
    /// A bad day.
    pub const MANY: Faults = Faults {
        lost: 10,
        reply_lost: 15,
        doubled: 15,
        late: 10,
    };
}

/// What the network did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests that tills sent.
    pub sent: u64,
    /// Requests that reached the server, repetitions included.
    pub arrived: u64,
    /// Answers that never came back.
    pub lost: u64,
    /// Bytes of request bodies.
    pub bytes_up: u64,
    /// Bytes of answers that arrived.
    pub bytes_down: u64,
}

/// The server's routes behind a network of our making. No socket is opened.
pub struct Net {
    runtime: tokio::runtime::Runtime,
    tenants: Arc<Tenants>,
    clock: Clock,
    rng: Rng,
    late: Vec<Outgoing>,
    /// Keeps what was sent, if somebody wants to see it.
    pub tap: Option<Vec<Outgoing>>,
    /// What goes wrong.
    pub faults: Faults,
    /// Counters.
    pub traffic: Traffic,
}

impl Net {
    /// A network in front of `tenants`.
    ///
    /// # Errors
    /// When no runtime can be started.
    pub fn new(tenants: Arc<Tenants>, clock: Clock, seed: u64) -> std::io::Result<Net> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let rng = Rng::new(seed);
        Ok(Net {
            runtime,
            tenants,
            clock,
            rng,
            late: Vec::new(),
            tap: None,
            faults: Faults::NONE,
            traffic: Traffic::default(),
        })
    }

    /// Sends a request and says what its sender sees.
    pub fn send(&mut self, outgoing: &Outgoing) -> TransportOutcome {
        self.traffic.sent += 1;
        if let Some(tap) = &mut self.tap {
            tap.push(outgoing.clone());
        }
        self.traffic.bytes_up += outgoing.body.len() as u64;
        if self.rng.chance(self.faults.lost) {
            self.traffic.lost += 1;
            return TransportOutcome::Unreachable;
        }
        if self.rng.chance(self.faults.late) {
            self.traffic.lost += 1;
            self.late.push(outgoing.clone());
            return TransportOutcome::Unreachable;
        }
        let outcome = self.deliver(outgoing);
        if self.rng.chance(self.faults.doubled) {
            self.deliver(outgoing);
        }
        if !self.late.is_empty() && self.rng.chance(50) {
            let index = self.rng.below(self.late.len() as u64) as usize;
            let late = self.late.swap_remove(index);
            self.deliver(&late);
        }
        if self.rng.chance(self.faults.reply_lost) {
            self.traffic.lost += 1;
            return TransportOutcome::Unreachable;
        }
        if let TransportOutcome::Reply { body, .. } = &outcome {
            self.traffic.bytes_down += body.len() as u64;
        }
        outcome
    }

    /// Ends all faults and delivers what was still under way.
    pub fn heal(&mut self) {
        self.faults = Faults::NONE;
        for late in std::mem::take(&mut self.late) {
            self.deliver(&late);
        }
    }

    /// Hands a request to the server, whatever goes wrong otherwise.
    pub fn deliver(&mut self, outgoing: &Outgoing) -> TransportOutcome {
        self.traffic.arrived += 1;
        let method = match outgoing.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let mut request = Request::builder().method(method).uri(&outgoing.path);
        for (name, value) in &outgoing.headers {
            // The routes compress when asked to; this network hands bodies over as they are.
            if *name != "accept-encoding" {
                request = request.header(*name, value);
            }
        }
        let Ok(request) = request.body(Body::from(outgoing.body.clone())) else {
            return TransportOutcome::NotOurs;
        };
        let routes = hub_http::routes(self.tenants.clone(), self.clock.clone());
        self.runtime.block_on(async {
            let Ok(response) = routes.oneshot(request).await;
            let status = response.status().as_u16();
            match response.into_body().collect().await {
                Ok(body) => TransportOutcome::Reply {
                    status,
                    retry_after_ms: None,
                    body: body.to_bytes().to_vec(),
                },
                Err(_) => TransportOutcome::Unreachable,
            }
        })
    }
}
