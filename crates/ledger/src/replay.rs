//! A journal judged from its bytes alone, where there is no file that holds it: the same rules as in `verify.rs`.

use domain::event::{Event, Fact, StreamHead, chain_hash, genesis_hash};
use domain::ids::{Digest, LocationId};

use crate::ledger::Identity;
use crate::verify::{Expected, FirstBad, Origin, Stop};

/// Takes the events of one stream in their order and says at the first what is wrong with it.
pub struct Replay {
    origin: Origin,
    expected: Expected,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("head", &self.head())
            .finish_non_exhaustive()
    }
}

fn bad(seq: u64, what: impl ToString) -> FirstBad {
    FirstBad::new("event", seq, what)
}

impl Replay {
    /// Begins with event 1 of a till's stream.
    ///
    /// # Errors
    /// [`FirstBad`] when the bytes are no such event.
    pub fn begin(first: &[u8]) -> Result<Replay, FirstBad> {
        let event = Event::decode(first).map_err(|error| bad(1, error))?;
        let Ok(Fact::StreamOpened(opened)) = event.fact() else {
            return Err(bad(1, "a stream opens once, with its first event"));
        };
        let (Some(store), Some(till)) = (opened.store.clone(), opened.till.clone()) else {
            return Err(bad(1, "it is no till's stream"));
        };
        let location = LocationId::new(store.as_str()).map_err(|error| bad(1, error))?;
        let origin = Origin {
            identity: Identity {
                stream: event.stream,
                tenant: opened.tenant.clone(),
                store,
                till,
                device: opened.device,
                location,
                reason: opened.reason,
            },
            opened,
        };
        let mut expected = Expected::new(&origin);
        let hash = chain_hash(genesis_hash(event.stream), first);
        judged(expected.event(&origin, hash, &event), 1)?;
        Ok(Replay { origin, expected })
    }

    /// Takes the bytes of the next event; gives it back decoded.
    ///
    /// # Errors
    /// [`FirstBad`]; no further event can be taken then.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Event, FirstBad> {
        let head = self.head();
        let seq = head.seq + 1;
        let event = Event::decode(bytes).map_err(|error| bad(seq, error))?;
        let hash = chain_hash(head.hash, bytes);
        judged(self.expected.event(&self.origin, hash, &event), seq)?;
        Ok(event)
    }

    /// The last event taken, and the chain hash after it.
    pub fn head(&self) -> StreamHead {
        self.expected.head()
    }

    /// Body of the first event.
    pub fn opened(&self) -> &domain::event::StreamOpened {
        &self.origin.opened
    }

    /// SHA-256 of the document of each report that states one, by its number.
    pub fn papers(&self) -> impl Iterator<Item = (&str, Digest)> {
        self.expected.papers()
    }
}

fn judged(result: Result<(), Stop>, seq: u64) -> Result<(), FirstBad> {
    result.map_err(|stop| match stop {
        Stop::Bad(found) => found,
        Stop::Failed(error) => bad(seq, error),
    })
}
