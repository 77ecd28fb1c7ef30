//! The socket: one listener on this machine, connections with time-outs, and a graceful end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use till::door::{Answer, Command, RefusalCode};
use till_runtime::clock::random_bytes;
use till_runtime::{Runtime, RuntimeOptions};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::door::{Door, routes};
use crate::events;

/// How long the header of a request may take; so also how long a connection may be idle.
const HEADER_TIME_MAX: Duration = Duration::from_secs(10);
/// Connections at once. One person's browser opens six.
const CONNECTIONS_MAX: usize = 64;
/// How long requests may go on after the end began.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// How the door is served.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The till behind it.
    pub runtime: RuntimeOptions,
    /// Loopback address; port 0 for a free one.
    pub listen: SocketAddr,
    /// Enrol with this server and one-time code, unless the device is a till already.
    pub enrol: Option<(String, String)>,
    /// Folder with the built screens.
    pub ui_dir: Option<PathBuf>,
}

/// The one line that tells callers where the door is.
#[derive(Debug, Serialize)]
pub struct Announcement {
    /// Base address.
    pub url: String,
    /// Bearer token.
    pub token: String,
}

/// Serves until SIGINT, SIGTERM or the end of the till. `announce` is called once, when calls are answered.
///
/// # Errors
/// Port in use, data folder unusable or in use, or the till stopped by itself.
pub async fn run(
    options: ServeOptions,
    announce: impl FnOnce(&Announcement),
) -> anyhow::Result<()> {
    // The port comes first: when it is taken, the till's files are not even touched.
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    let address = listener.local_addr().context("cannot tell the port")?;
    // Before the announcement: whoever reads it may end the program at once.
    let mut end = Signals::install().context("cannot wait for signals")?;
    let runtime_options = options.runtime.clone();
    let runtime = tokio::task::spawn_blocking(move || Runtime::start(runtime_options))
        .await
        .context("the till could not be started")??;
    let handle = runtime.handle();
    if let Some((server, code)) = options.enrol {
        enrol(&handle, server, code)?;
    }
    let token: String = random_bytes()?
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let (stopped, mut has_stopped) = watch::channel(false);
    let door = Door {
        events: events::Hub::start(&handle, stopped.clone()),
        handle,
        token: token.as_str().into(),
        address,
        ui_dir: options.ui_dir,
        stopped,
    };
    let (closing, closed) = watch::channel(false);
    let accepting = tokio::spawn(accept(listener, routes(door), closed));
    announce(&Announcement {
        url: format!("http://{address}"),
        token,
    });
    let by_itself = tokio::select! {
        () = end.wait() => false,
        _ = has_stopped.wait_for(|stopped| *stopped) => true,
    };
    // The till hangs up first, which ends the listeners' streams, so that connections can drain.
    let down = tokio::task::spawn_blocking(move || runtime.shutdown());
    closing.send_replace(true);
    down.await.context("the till could not be shut down")?;
    accepting.await.context("the door could not be closed")?;
    if by_itself {
        bail!("the till stopped by itself, see the log");
    }
    Ok(())
}

fn enrol(handle: &till_runtime::Handle, server: String, code: String) -> anyhow::Result<()> {
    match handle.command(Command::Enrol { server, code })? {
        Answer::Ok(_) => Ok(()),
        Answer::Refused(refusal) if refusal.code == RefusalCode::AlreadyEnrolled => Ok(()),
        Answer::Refused(refusal) => {
            let code = serde_json::to_string(&refusal.code).unwrap_or_default();
            bail!("enrolment refused: {}", code.trim_matches('"'))
        }
    }
}

async fn accept(listener: TcpListener, router: Router, mut closed: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => break,
            accepted = next(&listener, &room) => accepted,
        };
        let Some((socket, permit)) = accepted else {
            continue;
        };
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME_MAX)
            .serve_connection(
                TokioIo::new(socket),
                TowerToHyperService::new(router.clone()),
            );
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(cause = %error, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIME_MAX, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests were cut off at the end");
    }
}

async fn next(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((socket, _)) => {
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(cause = %error, "nodelay was refused");
            }
            Some((socket, permit))
        }
        Err(error) => {
            // Mostly no file descriptor left: accepting again at once would spin.
            tracing::warn!(cause = %error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// Waits for the wish to end.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn install() -> std::io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    #[cfg(unix)]
    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    fn install() -> std::io::Result<Signals> {
        Ok(Signals {})
    }

    #[cfg(not(unix))]
    async fn wait(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
