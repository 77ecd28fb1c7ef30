//! Connections with a time-out for everything: a silent, slow or stuck peer holds nothing for long.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep};

/// Limits of a server's connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long the header of a request may take, counted from the opening of the connection or the end of the
    /// request before; so also how long a connection may be idle.
    pub header_time_max: Duration,
    /// How long reading or writing may make no progress at all.
    pub stall_time_max: Duration,
    /// Connections open at once; further ones wait to be accepted.
    pub connections_max: usize,
    /// How long requests may go on after a shutdown began.
    pub drain_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            header_time_max: Duration::from_secs(10),
            stall_time_max: Duration::from_secs(60),
            connections_max: 1_024,
            drain_time_max: Duration::from_secs(10),
        }
    }
}

/// A server at work. Dropping it lets it go on; [`Serving::shutdown`] ends it.
pub struct Serving {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Serving {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops accepting, lets open requests finish, and returns when all is quiet.
    pub async fn shutdown(self) {
        // The receiver lives in the task; if that is gone there is nothing left to stop.
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the accept loop panicked");
        }
    }
}

/// Serves `router` on `listener` until shut down.
///
/// # Errors
/// When the listener has no address.
pub fn serve(listener: TcpListener, router: Router, limits: Limits) -> io::Result<Serving> {
    let addr = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let router = router.layer(Extension(Stopping(stopped.clone())));
    let task = tokio::spawn(accept_loop(listener, router, limits, stopped));
    Ok(Serving { addr, stop, task })
}

/// What an answer that goes on for long listens to, so that it ends with its server.
#[derive(Clone)]
pub(crate) struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Returns when the server stops.
    pub async fn begins(&mut self) {
        // A server that is gone has stopped.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

async fn accept_loop(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(limits.connections_max));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopped.changed() => break,
            accepted = next(&listener, &room) => accepted,
        };
        let Some((socket, permit)) = accepted else {
            continue;
        };
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_time_max)
            .serve_connection(
                TokioIo::new(Unstalled::new(socket, limits.stall_time_max)),
                TowerToHyperService::new(router.clone()),
            );
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain_time_max, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests were cut off by the shutdown");
    }
}

async fn next(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((socket, _)) => {
            // Requests and answers are written whole; waiting for more to send only delays them.
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "nodelay was refused");
            }
            Some((socket, permit))
        }
        Err(error) => {
            // Out of file descriptors, mostly: accepting again at once would spin.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// A socket that fails when a read or write makes no progress for too long.
struct Unstalled {
    socket: TcpStream,
    time_max: Duration,
    read: Watch,
    write: Watch,
}

/// The deadline of one direction, running only while something is waited for.
#[derive(Default)]
struct Watch(Option<Pin<Box<Sleep>>>);

impl Watch {
    fn check<T>(
        &mut self,
        cx: &mut Context<'_>,
        time_max: Duration,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.0 = None;
            return poll;
        }
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + time_max)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Unstalled {
    fn new(socket: TcpStream, time_max: Duration) -> Unstalled {
        Unstalled {
            socket,
            time_max,
            read: Watch::default(),
            write: Watch::default(),
        }
    }
}

impl AsyncRead for Unstalled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.socket).poll_read(cx, buf);
        let time_max = self.time_max;
        self.read.check(cx, time_max, poll)
    }
}

impl AsyncWrite for Unstalled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.socket).poll_write(cx, bytes);
        let time_max = self.time_max;
        self.write.check(cx, time_max, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.socket).poll_flush(cx);
        let time_max = self.time_max;
        self.write.check(cx, time_max, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
