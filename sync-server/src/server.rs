//! Putting the routes together and running them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use hub_http::{Clock, Limits, Serving, Tenants, system_clock};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::data::{DataDir, DataError};
use crate::{office, static_files};

/// How a server runs.
#[derive(Clone)]
pub struct ServerConfig {
    /// Where tenants' files live.
    pub data_dir: PathBuf,
    /// The built pages, with `office.html`; without it a plain page says so.
    pub ui_dir: Option<PathBuf>,
    /// Office cookies are only sent over HTTPS. On unless the server listens for this machine alone.
    pub secure_cookies: bool,
    /// Limits of connections.
    pub limits: Limits,
    /// The clock.
    pub clock: Clock,
}

impl ServerConfig {
    /// A server over `data_dir` with the system's clock, usual limits and no pages.
    pub fn new(data_dir: &Path) -> ServerConfig {
        ServerConfig {
            data_dir: data_dir.to_owned(),
            ui_dir: None,
            secure_cookies: false,
            limits: Limits::default(),
            clock: system_clock(),
        }
    }
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The runtime could not start.
    #[error("cannot start")]
    Start(#[source] std::io::Error),
}

/// Serves on `listener` until [`Serving::shutdown`].
///
/// # Errors
/// [`ServeError`].
pub async fn serve(listener: TcpListener, config: ServerConfig) -> Result<Serving, ServeError> {
    let limits = config.limits;
    let router = router(config)?;
    hub_http::serve(listener, router, limits).map_err(ServeError::Start)
}

fn router(config: ServerConfig) -> Result<Router, ServeError> {
    let data = DataDir::open(&config.data_dir)?;
    let files = data.clone();
    let tenants = Arc::new(Tenants::new(Box::new(move |tenant| {
        files.find(tenant).map_err(|error| match error {
            DataError::Store(error) => error,
            other => {
                tracing::error!(error = %other, "a tenant cannot be opened");
                hub::StoreError::Busy
            }
        })
    })));
    let health = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(data.clone());
    Ok(Router::new()
        .merge(health)
        .merge(hub_http::routes(tenants.clone(), config.clock.clone()))
        .merge(office::routes(
            data,
            tenants,
            config.clock.clone(),
            config.secure_cookies,
        ))
        .merge(static_files::routes(config.ui_dir))
        .layer(axum::middleware::map_response(
            static_files::security_headers,
        )))
}

/// Ready when the data directory can be read.
async fn ready(State(data): State<DataDir>) -> (StatusCode, &'static str) {
    match tokio::task::spawn_blocking(move || data.tenants()).await {
        Ok(Ok(_)) => (StatusCode::OK, "ok\n"),
        Ok(Err(_)) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the data cannot be read\n"),
    }
}

/// A server with a runtime of its own, for programs and tests that are not asynchronous. Stops when dropped.
pub struct Running {
    addr: SocketAddr,
    // Taken by `stop`; both are there until then.
    inner: Option<(Runtime, Serving)>,
}

impl Running {
    /// Starts on a free port of this machine.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn start(config: ServerConfig) -> Result<Running, ServeError> {
        Running::start_on(SocketAddr::from(([127, 0, 0, 1], 0)), config)
    }

    /// Starts on `addr`.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn start_on(addr: SocketAddr, config: ServerConfig) -> Result<Running, ServeError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(ServeError::Start)?;
        let serving = runtime.block_on(async {
            let listener = TcpListener::bind(addr)
                .await
                .map_err(|source| ServeError::Listen { addr, source })?;
            serve(listener, config).await
        })?;
        Ok(Running {
            addr: serving.addr(),
            inner: Some((runtime, serving)),
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Base URL without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Lets open requests finish and stops.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        if let Some((runtime, serving)) = self.inner.take() {
            runtime.block_on(serving.shutdown());
            runtime.shutdown_timeout(std::time::Duration::from_secs(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.halt();
    }
}
