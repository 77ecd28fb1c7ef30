//! The open file: who writes it, where its journal stands, and the one way to write.

use std::ops::Deref;
use std::path::Path;

use domain::event::{Fact, StreamHead, StreamOpened, StreamReason};
use domain::ids::{DeviceId, EventId, LocationId, StoreId, StreamId, TenantId, TillId};
use domain::time::Now;

use crate::error::{LedgerError, OpenError};
use crate::open::OpenOptions;

/// A stream to begin.
#[derive(Debug, Clone)]
pub struct NewStream {
    /// Random id of the stream.
    pub stream: StreamId,
    /// Location that the till's sales take stock from.
    pub location: LocationId,
    /// Body of the first event.
    pub opened: StreamOpened,
}

/// Whose file this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Stream of the file.
    pub stream: StreamId,
    /// Tenant.
    pub tenant: TenantId,
    /// Store.
    pub store: StoreId,
    /// Till number in the store.
    pub till: TillId,
    /// Device that writes it.
    pub device: DeviceId,
    /// Location that sales take stock from.
    pub location: LocationId,
    /// Why the stream began.
    pub reason: StreamReason,
}

/// A till's ledger, open for one writer (or for reading only).
pub struct Ledger {}

impl Ledger {
    /// Creates the file and writes event 1.
    pub fn create(
        path: &Path,
        new: NewStream,
        now: &Now,
        id: EventId,
        options: &OpenOptions,
    ) -> Result<Ledger, OpenError> {
        unimplemented!()
    }
    /// A ledger without a file, for tests and simulation.
    pub fn create_in_memory(new: NewStream, now: &Now, id: EventId) -> Result<Ledger, OpenError> {
        unimplemented!()
    }
    /// Opens a file for writing.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Ledger, OpenError> {
        unimplemented!()
    }
    /// Opens a file beside a running writer.
    pub fn open_read_only(path: &Path) -> Result<Ledger, OpenError> {
        unimplemented!()
    }
    /// Whose file this is.
    pub fn identity(&self) -> &Identity {
        unimplemented!()
    }
    /// Last event and its hash; inside [`Ledger::write`] with what was appended so far.
    pub fn head(&self) -> StreamHead {
        unimplemented!()
    }
    /// One transaction.
    pub fn write<T, E: From<LedgerError>>(
        &mut self,
        work: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        unimplemented!()
    }
    /// Opens the file again if a failure closed it; call before answering a new request.
    pub fn ensure_open(&mut self) -> Result<(), OpenError> {
        unimplemented!()
    }
    /// Moves the write-ahead log into the file; call when idle.
    pub fn checkpoint(&mut self) -> Result<(), LedgerError> {
        unimplemented!()
    }
}

/// A transaction that is being written. Reads through it see what it has written.
pub struct WriteTx<'a> {
    pub(crate) ledger: &'a mut Ledger,
}

impl Deref for WriteTx<'_> {
    type Target = Ledger;
    fn deref(&self) -> &Ledger {
        self.ledger
    }
}

impl WriteTx<'_> {
    /// Appends a fact and brings every projection up to it.
    pub fn append(
        &mut self,
        now: &Now,
        id: EventId,
        fact: &Fact,
    ) -> Result<StreamHead, LedgerError> {
        unimplemented!()
    }
}
