//! Copies of the file: made beside a running till, checked by opening, and marked as copies.

use std::path::Path;
use std::time::Duration;

use domain::event::StreamHead;
use domain::ids::StreamId;
use serde::{Deserialize, Serialize};

use crate::answers::SET_LOCAL;
use crate::cipher;
use crate::error::{LedgerError, OpenError};
use crate::ledger::Ledger;
use crate::open::{remove_database, sync_directory, with_suffix};

/// Key of the device note that marks a copy; its value is a [`BackupStamp`] as JSON.
pub const BACKUP_STAMP: &str = "backup.stamp";

/// Where and when a copy was made. A till that starts on a file with this note runs on a restored copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupStamp {
    /// Wall clock when it was made, milliseconds.
    pub made_wall: i64,
    /// Stream copied.
    pub stream: StreamId,
    /// Last event in the copy.
    pub seq: u64,
}

impl Ledger {
    /// Copies the ledger into the new file `to`, stamps the copy and checks it by opening: its pages, and its
    /// head against this journal. The copy appears whole or not at all; it is encrypted like the original.
    /// Others may write meanwhile when this is a reader of its own.
    ///
    /// # Errors
    /// [`OpenError::Exists`] when something stands at `to`; [`OpenError::Corrupt`] when the copy does not hold
    /// what was copied; otherwise what the storage says.
    pub fn back_up(&self, to: &Path, made_wall: i64) -> Result<StreamHead, OpenError> {
        self.copy_to(to, Some(made_wall))
    }

    /// As [`Ledger::back_up`], with the stamp that the original may carry.
    ///
    /// # Errors
    /// As [`Ledger::back_up`].
    pub fn copy_as_is(&self, to: &Path) -> Result<StreamHead, OpenError> {
        self.copy_to(to, None)
    }

    /// The stamp of a copy; none in a file that was never one.
    ///
    /// # Errors
    /// [`LedgerError::Storage`]; [`LedgerError::Corrupt`] for a stamp that cannot be read.
    pub fn backup_stamp(&self) -> Result<Option<BackupStamp>, LedgerError> {
        let Some(text) = self.local(BACKUP_STAMP)? else {
            return Ok(None);
        };
        let stamp = serde_json::from_str(&text).map_err(|error| LedgerError::Corrupt {
            table: "local",
            key: BACKUP_STAMP.to_owned(),
            what: error.to_string(),
        })?;
        Ok(Some(stamp))
    }

    /// Whether SQLite finds every page in order, and every page's seal where the file is encrypted. What the
    /// pages say is for [`Ledger::verify`].
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn pages_are_sound(&self) -> Result<bool, LedgerError> {
        let said: String = self
            .conn()?
            .pragma_query_value(None, "quick_check", |row| row.get(0))?;
        let mut sound = said == "ok";
        if self.key().is_some() {
            // One row for each page whose seal is broken.
            let mut statement = self.conn()?.prepare("PRAGMA cipher_integrity_check")?;
            sound &= statement.query([])?.next()?.is_none();
        }
        Ok(sound)
    }

    fn copy_to(&self, to: &Path, made_wall: Option<i64>) -> Result<StreamHead, OpenError> {
        if to.exists() {
            return Err(OpenError::Exists);
        }
        if !to.parent().is_some_and(Path::is_dir) {
            return Err(OpenError::NotFound);
        }
        let draft = with_suffix(to, ".making");
        remove_database(&draft)?;
        let made = self.write_copy(&draft, made_wall);
        let head = match made {
            Ok(head) => head,
            Err(error) => {
                // A copy that cannot be trusted is none; a failure to remove it must not hide the cause.
                let _ = remove_database(&draft);
                return Err(error);
            }
        };
        std::fs::File::open(&draft)
            .and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&draft, to))
            .map_err(|error| OpenError::Io(Box::new(error)))?;
        sync_directory(to)?;
        Ok(head)
    }

    fn write_copy(&self, draft: &Path, made_wall: Option<i64>) -> Result<StreamHead, OpenError> {
        let source = self
            .conn()
            .map_err(|error| OpenError::Io(Box::new(error)))?;
        let mut target = cipher::create_like(draft, self.key(), source)?;
        // In one step, or a sale in between would start it anew.
        rusqlite::backup::Backup::new(source, &mut target)?.run_to_completion(
            i32::MAX,
            Duration::from_millis(50),
            None,
        )?;
        // One file without a log: a copy is carried about.
        let mode: String =
            target.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
        if mode != "delete" {
            return Err(OpenError::Pragma {
                name: "journal_mode",
            });
        }
        if let Some(made_wall) = made_wall {
            let seq: u64 = target.query_row("SELECT max(seq) FROM event", [], |row| row.get(0))?;
            let stamp = BackupStamp {
                made_wall,
                stream: self.identity().stream,
                seq,
            };
            let text = serde_json::to_string(&stamp).expect("a stamp is plain data");
            target.execute(SET_LOCAL, (BACKUP_STAMP, text))?;
        }
        target.close().map_err(|(_, error)| error)?;
        self.check_copy(draft)
    }

    fn check_copy(&self, draft: &Path) -> Result<StreamHead, OpenError> {
        let bad = |what: &str| OpenError::Corrupt {
            detail: format!("the copy {what}"),
        };
        let copy = Ledger::open_read_only_with(draft, self.key())?;
        let unreadable = |_| bad("cannot be read");
        if !copy.pages_are_sound().map_err(unreadable)? {
            return Err(bad("has damaged pages"));
        }
        let head = copy.head();
        let original = self.hash_at(head.seq).map_err(unreadable)?;
        if head.stream != self.identity().stream || original != Some(head.hash) {
            return Err(bad("does not end as the journal does"));
        }
        Ok(head)
    }
}
