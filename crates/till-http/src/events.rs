//! The stream of changes (server-sent events): hints that something is worth asking for again.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use till_runtime::{Handle, TillEvent};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{mpsc, watch};

/// Changes kept for a listener that is slow; it then misses hints, which cost freshness and nothing else.
const BACKLOG: usize = 64;
/// A comment goes out after this long without a change, so that a dead connection is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Hands each change to every listener.
#[derive(Debug, Clone)]
pub struct Hub {
    /// None once the till has hung up.
    changes: broadcast::Sender<Option<TillEvent>>,
}

impl Hub {
    /// Listens to the till from now on; sets `stopped` when the till hangs up, asked or by a panic.
    pub fn start(handle: &Handle, stopped: watch::Sender<bool>) -> Hub {
        let (changes, _) = broadcast::channel(BACKLOG);
        let events = handle.subscribe();
        let sender = changes.clone();
        // Ends when the till hangs up.
        tokio::task::spawn_blocking(move || {
            let _says_so = SaysSo(stopped);
            while let Ok(event) = events.recv() {
                // Nobody may be listening.
                let _ = sender.send(Some(event));
            }
            let _ = sender.send(None);
        });
        Hub { changes }
    }

    /// A body that never ends by itself: one message for each change.
    pub fn listen(&self) -> EventBody {
        let (lines, receiver) = mpsc::channel(BACKLOG);
        tokio::spawn(forward(self.changes.subscribe(), lines));
        EventBody { lines: receiver }
    }
}

/// Sets its flag however its scope ends: a till that nobody calls has to be missed too.
struct SaysSo(watch::Sender<bool>);

impl Drop for SaysSo {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

async fn forward(mut changes: broadcast::Receiver<Option<TillEvent>>, lines: mpsc::Sender<Bytes>) {
    if lines
        .send(Bytes::from_static(b": listening\n\n"))
        .await
        .is_err()
    {
        return;
    }
    loop {
        let line = match tokio::time::timeout(KEEP_ALIVE, changes.recv()).await {
            Err(_) => Bytes::from_static(b": still here\n\n"),
            Ok(Ok(Some(event))) => {
                let text = serde_json::to_string(&event).expect("an event is plain data");
                Bytes::from(format!("data: {text}\n\n"))
            }
            Ok(Err(RecvError::Lagged(_))) => continue,
            Ok(Ok(None)) | Ok(Err(RecvError::Closed)) => return,
        };
        if lines.send(line).await.is_err() {
            return;
        }
    }
}

/// The body of an answer to a listener.
#[derive(Debug)]
pub struct EventBody {
    lines: mpsc::Receiver<Bytes>,
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.lines
            .poll_recv(context)
            .map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

#[cfg(test)]
mod tests {
    use till_runtime::{Runtime, RuntimeOptions};

    use super::*;

    #[tokio::test]
    async fn a_till_that_ends_is_missed_without_a_call() {
        let folder = tempfile::tempdir().expect("folder");
        let options = RuntimeOptions::new(folder.path().join("till"), "test");
        let till = Runtime::start(options).expect("till");
        let (stopped, mut has_stopped) = watch::channel(false);
        let _hub = Hub::start(&till.handle(), stopped);
        assert!(!*has_stopped.borrow());
        tokio::task::spawn_blocking(move || till.shutdown())
            .await
            .expect("shut down");
        let missed = has_stopped.wait_for(|stopped| *stopped);
        tokio::time::timeout(Duration::from_secs(30), missed)
            .await
            .expect("in time")
            .expect("the flag was set before its end");
    }
}
