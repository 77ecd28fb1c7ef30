//! The till's own SQLite file: the journal of facts, and what can be recomputed from it.
//!
//! Knows no network, no screen, no printer and no clock: time comes in with each fact. One process writes a
//! file; others may read it beside the writer. Everything but the journal, the feeds' rows and a few device
//! notes is a projection, and [`Ledger::verify`] recomputes every one of them from the stored bytes.
//!
//! Start reading at [`Ledger`] (`ledger.rs`), then [`WriteTx::append`] (`journal.rs`) and `projection.rs`;
//! `feed.rs` and `catalogue.rs` hold what head office sends, `verify.rs` says what must always be true.

mod answers;
mod backup;
mod books;
mod catalogue;
mod cipher;
mod error;
mod feed;
mod goods;
mod journal;
mod ledger;
mod open;
mod parts;
mod periods;
mod print;
mod projection;
mod proof;
mod receipts;
mod recover;
mod replay;
mod rights;
mod salvage;
mod shifts;
mod signatures;
mod sql;
mod stock;
mod succession;
mod sync_state;
mod verify;
mod witness;

pub use answers::StoredAnswer;
pub use backup::{BACKUP_STAMP, BackupStamp};
pub use books::shift_of;
pub use catalogue::Item;
pub use cipher::{FileKey, FileState, can_encrypt, file_state, open_in_memory, open_keyed, seal};
pub use error::{LedgerError, OpenError, StorageError, StorageKind};
pub use feed::PageOutcome;
pub use goods::{Lineage, LineageEntry, LineageStep, OpenTransfer, RECEIPTS_BACK};
pub use journal::StoredEvent;
pub use ledger::{Identity, Ledger, NewStream, WriteTx};
pub use open::{Durability, OpenOptions, SQLITE_VERSION_MIN, look_at};
pub use periods::StoredClosing;
pub use print::{NewPrintJob, PrintFilter, PrintJob, PrintKind, PrintState, PrintUpdate};
pub use receipts::{Receipt, ReceiptBody};
pub use recover::{NotOurs, RecoverError, Recovered};
pub use replay::Replay;
pub use rights::RightHeld;
pub use shifts::OpenShift;
pub use signatures::{CertifiedKey, HeadSignature, SignatureReport};
pub use stock::StockKnown;
pub use succession::{
    STREAMS_FOLDER, Step, Succeeded, Succession, SuccessionError, earlier_files, finish_succession,
    succeed,
};
pub use sync_protocol::{Cursor, FeedName, FeedPage, Grant};
pub use sync_state::Unsynced;
pub use verify::{FeedReport, FirstBad, VerifyReport};
pub use witness::{Fingerprint, Testimony, Verdict, WitnessDir, WitnessError, judge};
