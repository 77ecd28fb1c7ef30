//! The threads that wait for the server, so that nobody else has to.

use std::sync::mpsc::{Receiver, Sender};

use domain::ids::JobId;
use sync_client::http::{BadServer, Transport};
use sync_client::{Outgoing, Poke, TransportOutcome};

use crate::core::Inbox;

/// A request to carry.
pub(crate) struct Errand {
    pub server: String,
    pub outgoing: Outgoing,
    pub purpose: Purpose,
}

/// What the request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Sync,
    Enrol(JobId),
}

/// An answer, or the reason why there cannot be one.
pub(crate) struct Returned {
    pub purpose: Purpose,
    pub ticket: u64,
    pub outcome: Result<TransportOutcome, BadServer>,
}

/// Carries errands until the till's thread hangs up.
pub(crate) fn run(errands: &Receiver<Errand>, inbox: &Sender<Inbox>) {
    let mut known: Option<(String, Transport)> = None;
    while let Ok(errand) = errands.recv() {
        let fits = known
            .as_ref()
            .is_some_and(|(server, _)| *server == errand.server);
        let made = if fits {
            Ok(())
        } else {
            Transport::new(&errand.server).map(|made| known = Some((errand.server, made)))
        };
        let outcome = match (made, &known) {
            (Ok(()), Some((_, transport))) => Ok(transport.send(&errand.outgoing)),
            (Ok(()), None) => Ok(TransportOutcome::Unreachable),
            (Err(error), _) => Err(error),
        };
        let returned = Returned {
            purpose: errand.purpose,
            ticket: errand.outgoing.ticket,
            outcome,
        };
        if inbox.send(Inbox::Net(returned)).is_err() {
            return;
        }
    }
}

/// A request to hear when something is new.
pub(crate) struct Listen {
    pub server: String,
    pub outgoing: Outgoing,
}

/// What the ear says.
pub(crate) enum Heard {
    /// Something is new.
    Poke(Poke),
    /// The answer has ended.
    End {
        /// The server answered as it should.
        well: bool,
    },
}

/// Listens until the till's thread hangs up. It may wait for a server for a while longer; nobody waits for it.
pub(crate) fn listen(requests: &Receiver<Listen>, inbox: &Sender<Inbox>) {
    while let Ok(Listen { server, outgoing }) = requests.recv() {
        let well = match Transport::new(&server) {
            Ok(transport) => transport.listen(&outgoing, |data| match serde_json::from_str(data) {
                Ok(poke) => inbox.send(Inbox::Heard(Heard::Poke(poke))).is_ok(),
                Err(_) => false,
            }),
            Err(error) => {
                tracing::debug!(cause = %error, "the server's address cannot be used");
                false
            }
        };
        if inbox.send(Inbox::Heard(Heard::End { well })).is_err() {
            return;
        }
    }
}
