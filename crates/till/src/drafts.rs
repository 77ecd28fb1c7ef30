//! The second file of a till: carts, sign-in and settings. It survives a kill; a power cut may cost the
//! last scans, never a sale, because a sale is in the ledger before anybody hears of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use domain::cart::Cart;
use domain::ids::{Digest, RequestId, SaleId, ShiftId, StreamId, UserId, VariantId};
use ed25519_dalek::SigningKey;
use ledger::{FileKey, FileState};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, params};

use crate::counting::{CountDraft, CountHead, CountedItem};
use crate::door::Settings;
use crate::enrol::EnrolState;

/// Answers are kept this many milliseconds: longer than any transport retries.
const ANSWER_AGE_MS_MAX: i64 = 7 * 24 * 3_600_000;

/// Pages in the log after which a scan moves them itself, should the till never have been idle: 16 MiB.
const AUTOCHECKPOINT_PAGES: i64 = 4_096;
/// Bytes of the log that stay after a checkpoint.
const LOG_BYTES_KEPT: i64 = 4 << 20;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS cart (sale BLOB PRIMARY KEY, parked_wall INTEGER, body TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS answer (
        id BLOB PRIMARY KEY, digest BLOB NOT NULL, answer TEXT NOT NULL, wall INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS shift_key (shift BLOB PRIMARY KEY, seed BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS counted (variant BLOB PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS answer_wall ON answer (wall); -- pruning walks by age
";

/// The file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DraftsError {
    /// SQLite failed.
    #[error("drafts file failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The key cannot be used.
    #[error("drafts cannot be unlocked")]
    Key(#[from] ledger::OpenError),
    /// The folder cannot be read.
    #[error("the folder of the drafts cannot be read")]
    Folder(#[source] std::io::Error),
    /// A damaged file cannot be moved out of the way.
    #[error("the damaged drafts cannot be set aside")]
    SetAside(#[source] std::io::Error),
    /// A stored draft cannot be read.
    #[error("a draft cannot be read")]
    Unreadable(#[from] serde_json::Error),
}

/// What one command changes in the drafts; applied in one transaction.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// The cart in hand from now on.
    pub cart: Option<Cart>,
    /// A cart to park, and when.
    pub park: Option<(Cart, i64)>,
    /// A cart that is no longer a draft.
    pub drop: Option<SaleId>,
    /// Who is signed in from now on.
    pub user: Option<Option<UserId>>,
    /// The drawer in use from now on.
    pub drawer: Option<u32>,
    /// Settings.
    pub settings: Option<Settings>,
    /// Enrolment.
    pub enrol: Option<EnrolState>,
    /// The count in progress.
    pub count: Option<CountChange>,
}

/// What happens to the count in progress.
#[derive(Debug)]
pub(crate) enum CountChange {
    /// It begins.
    Begun(CountHead),
    /// A variant is counted so, or no longer.
    Item(VariantId, Option<CountedItem>),
    /// It is written or given up.
    Over,
}

/// A cart that waits.
#[derive(Debug)]
pub(crate) struct Parked {
    /// The cart.
    pub cart: Cart,
    /// When it was parked.
    pub wall: i64,
}

/// Reads one draft. One that cannot be read, as an older program may find it, costs itself alone and stays in
/// the file.
fn readable<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Option<T> {
    serde_json::from_str(text)
        .inspect_err(|error| tracing::error!(what, error = %error, "a draft cannot be read"))
        .ok()
}

/// The drafts file.
#[derive(Debug)]
pub(crate) struct Drafts {
    db: Connection,
}

/// Everything that is read at start.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Cart in hand.
    pub cart: Option<Cart>,
    /// Signed in.
    pub user: Option<UserId>,
    /// Drawer in use.
    pub drawer: Option<u32>,
    /// Settings.
    pub settings: Option<Settings>,
    /// Enrolment.
    pub enrol: Option<EnrolState>,
    /// Keys of open shifts.
    pub shift_keys: BTreeMap<ShiftId, SigningKey>,
    /// Count in progress.
    pub count: Option<CountDraft>,
}

impl DraftsError {
    /// Whether the file itself is at fault, and another one would do.
    fn is_damage(&self) -> bool {
        match self {
            DraftsError::Unreadable(_)
            | DraftsError::SetAside(_)
            | DraftsError::Key(_)
            | DraftsError::Folder(_) => false,
            DraftsError::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            ),
        }
    }
}

impl Drafts {
    /// Opens or makes the file. A damaged one costs the carts in it, never the till: it is kept under
    /// another name and a new one is made.
    pub fn open_or_set_aside(
        path: &Path,
        key: Option<&FileKey>,
        wall: i64,
    ) -> Result<Drafts, DraftsError> {
        let opened = Drafts::open(path, key).and_then(|drafts| {
            drafts.load()?;
            drafts.parked()?;
            Ok(drafts)
        });
        match opened {
            Err(error) if error.is_damage() => {
                tracing::error!(error = %error, "the drafts are damaged and set aside");
                for suffix in ["", "-wal", "-shm"] {
                    let from = PathBuf::from(format!("{}{suffix}", path.display()));
                    let to = PathBuf::from(format!("{}.damaged-{wall}{suffix}", path.display()));
                    if from.exists() {
                        std::fs::rename(from, to).map_err(DraftsError::SetAside)?;
                    }
                }
                Drafts::open(path, key)
            }
            opened => opened,
        }
    }

    /// Opens or makes the file; a plain one is encrypted first when there is a key.
    pub fn open(path: &Path, key: Option<&FileKey>) -> Result<Drafts, DraftsError> {
        if let Some(key) = key
            && ledger::file_state(path).map_err(DraftsError::Folder)? == FileState::Plain
        {
            match ledger::seal(path, key) {
                Ok(()) => tracing::warn!("the drafts were plain and are encrypted from now on"),
                // A damaged file is set aside below, plain as it is.
                Err(error) => tracing::error!(error = %error, "the drafts cannot be encrypted"),
            }
        }
        Drafts::set_up(ledger::open_keyed(path, OpenFlags::default(), key)?)
    }

    /// Drafts that end with the program.
    pub fn in_memory() -> Result<Drafts, DraftsError> {
        Drafts::set_up(ledger::open_in_memory()?)
    }

    fn set_up(db: Connection) -> Result<Drafts, DraftsError> {
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "NORMAL")?;
        // A scan does not wait for a checkpoint: it is made when the till is idle.
        db.pragma_update(None, "wal_autocheckpoint", AUTOCHECKPOINT_PAGES)?;
        db.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
        db.execute_batch(SCHEMA)?;
        Ok(Drafts { db })
    }

    /// Reads the state left by the last run.
    pub fn load(&self) -> Result<Loaded, DraftsError> {
        let cart: Option<String> = self
            .db
            .query_row(
                "SELECT body FROM cart WHERE parked_wall IS NULL",
                [],
                |row| row.get(0),
            )
            .optional()?;
        Ok(Loaded {
            cart: cart.and_then(|text| readable("cart", &text)),
            user: self.meta::<Option<UserId>>("user")?.flatten(),
            drawer: self.meta("drawer")?,
            settings: self.meta("settings")?,
            enrol: self.meta("enrol")?,
            shift_keys: self.shift_keys()?,
            count: self.count()?,
        })
    }

    fn count(&self) -> Result<Option<CountDraft>, DraftsError> {
        let Some(head) = self.meta::<CountHead>("count")? else {
            return Ok(None);
        };
        let mut count = CountDraft::new(head);
        let mut statement = self
            .db
            .prepare("SELECT variant, body FROM counted ORDER BY variant")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let variant = VariantId(uuid::Uuid::from_bytes(row.get(0)?));
            if let Some(item) = readable("counted variant", &row.get::<_, String>(1)?) {
                count.items.insert(variant, item);
            }
        }
        Ok(Some(count))
    }

    fn shift_keys(&self) -> Result<BTreeMap<ShiftId, SigningKey>, DraftsError> {
        let mut statement = self.db.prepare("SELECT shift, seed FROM shift_key")?;
        let rows = statement.query_map([], |row| {
            let seed = row.get::<_, [u8; 32]>(1)?;
            Ok((
                ShiftId(uuid::Uuid::from_bytes(row.get(0)?)),
                SigningKey::from_bytes(&seed),
            ))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps the private key of a shift, through a power cut too: without it the shift's receipts go unsigned.
    pub fn keep_shift_key(&self, shift: ShiftId, seed: &[u8; 32]) -> Result<(), DraftsError> {
        self.db.pragma_update(None, "synchronous", "FULL")?;
        let kept = self.db.execute(
            "INSERT OR REPLACE INTO shift_key (shift, seed) VALUES (?1, ?2)",
            params![shift.0.as_bytes(), seed],
        );
        self.db.pragma_update(None, "synchronous", "NORMAL")?;
        kept?;
        Ok(())
    }

    /// Wipes the keys of all shifts but `open`, from the file and from its log.
    pub fn forget_shift_keys(&self, open: &BTreeSet<ShiftId>) -> Result<(), DraftsError> {
        self.db.pragma_update(None, "secure_delete", 1)?;
        for shift in self
            .shift_keys()?
            .keys()
            .filter(|shift| !open.contains(shift))
        {
            self.db.execute(
                "DELETE FROM shift_key WHERE shift = ?1",
                [shift.0.as_bytes()],
            )?;
        }
        self.db
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    fn meta<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<Option<T>, DraftsError> {
        let text: Option<String> = self
            .db
            .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()?;
        Ok(text.and_then(|text| readable(key, &text)))
    }

    /// Applies `change`, and keeps the answer to the command that made it.
    pub fn commit(
        &mut self,
        change: &Change,
        answer: Option<(RequestId, Digest, &str)>,
        wall: i64,
    ) -> Result<(), DraftsError> {
        let tx = self.db.transaction()?;
        let set = |key: &str, text: String| -> Result<(), DraftsError> {
            tx.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
                .execute([key, &text])?;
            Ok(())
        };
        let drop = |sale: SaleId| -> Result<(), DraftsError> {
            tx.prepare_cached("DELETE FROM cart WHERE sale = ?1")?
                .execute([sale.0.as_bytes()])?;
            Ok(())
        };
        if let Some(sale) = change.drop {
            drop(sale)?;
        }
        if let Some((cart, wall)) = &change.park {
            tx.prepare_cached(
                "INSERT OR REPLACE INTO cart (sale, parked_wall, body) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![
                cart.sale.0.as_bytes(),
                wall,
                serde_json::to_string(cart)?
            ])?;
        }
        if let Some(cart) = &change.cart {
            tx.prepare_cached("DELETE FROM cart WHERE parked_wall IS NULL")?
                .execute([])?;
            drop(cart.sale)?;
            tx.prepare_cached("INSERT INTO cart (sale, parked_wall, body) VALUES (?1, NULL, ?2)")?
                .execute(params![
                    cart.sale.0.as_bytes(),
                    serde_json::to_string(cart)?
                ])?;
        }
        if let Some(user) = &change.user {
            set("user", serde_json::to_string(user)?)?;
        }
        if let Some(drawer) = &change.drawer {
            set("drawer", serde_json::to_string(drawer)?)?;
        }
        if let Some(settings) = &change.settings {
            set("settings", serde_json::to_string(settings)?)?;
        }
        if let Some(enrol) = &change.enrol {
            set("enrol", serde_json::to_string(enrol)?)?;
        }
        match &change.count {
            None => {}
            Some(CountChange::Begun(head)) => {
                tx.execute("DELETE FROM counted", [])?;
                set("count", serde_json::to_string(head)?)?;
            }
            Some(CountChange::Item(variant, Some(item))) => {
                tx.prepare_cached(
                    "INSERT OR REPLACE INTO counted (variant, body) VALUES (?1, ?2)",
                )?
                .execute(params![variant.0.as_bytes(), serde_json::to_string(item)?])?;
            }
            Some(CountChange::Item(variant, None)) => {
                tx.prepare_cached("DELETE FROM counted WHERE variant = ?1")?
                    .execute([variant.0.as_bytes()])?;
            }
            Some(CountChange::Over) => {
                tx.execute("DELETE FROM counted", [])?;
                tx.execute("DELETE FROM meta WHERE key = 'count'", [])?;
            }
        }
        if let Some((id, digest, answer)) = answer {
            tx.prepare_cached(
                "INSERT OR IGNORE INTO answer (id, digest, answer, wall) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![id.0.as_bytes(), digest.0, answer, wall])?;
        }
        tx.commit()?;
        Ok(())
    }

    /// Drafts belong to the stream that they would be written to. After another has begun, each cart gets a new id:
    /// older files that were put back hold carts that were sold since, and a sale's id is given once. A count in
    /// progress is given up, because what moved since each scan was told by places in the journal that ended.
    pub fn renew(
        &mut self,
        stream: StreamId,
        mut new_id: impl FnMut() -> SaleId,
    ) -> Result<(), DraftsError> {
        let known: Option<StreamId> = self.meta("stream")?;
        if known == Some(stream) {
            return Ok(());
        }
        let tx = self.db.transaction()?;
        if known.is_some() {
            let mut statement = tx.prepare("SELECT sale, body FROM cart ORDER BY sale")?;
            let carts = statement
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<Vec<(Vec<u8>, String)>, _>>()?;
            for (old, body) in carts {
                let Some(cart) = readable::<Cart>("cart", &body) else {
                    continue;
                };
                let sale = new_id();
                let cart = Cart { sale, ..cart };
                tx.execute(
                    "UPDATE cart SET sale = ?1, body = ?2 WHERE sale = ?3",
                    params![sale.0.as_bytes(), serde_json::to_string(&cart)?, old],
                )?;
            }
        }
        if known.is_some() {
            tx.execute("DELETE FROM counted", [])?;
            if tx.execute("DELETE FROM meta WHERE key = 'count'", [])? > 0 {
                tracing::warn!("the count in progress is given up: another journal has begun");
            }
        }
        tx.execute(
            "INSERT OR REPLACE INTO meta (key, value) VALUES ('stream', ?1)",
            [serde_json::to_string(&stream)?],
        )?;
        tx.commit()?;
        Ok(())
    }

    /// How many rows were written since the file was opened.
    pub fn written(&self) -> u64 {
        self.db.total_changes()
    }

    /// Moves what the log holds into the file, without waiting for readers.
    pub fn checkpoint(&self) -> Result<(), DraftsError> {
        self.db
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// Forgets answers that no caller will ask for again.
    pub fn prune(&self, wall: i64) -> Result<(), DraftsError> {
        self.db.execute(
            "DELETE FROM answer WHERE wall < ?1",
            [wall.saturating_sub(ANSWER_AGE_MS_MAX)],
        )?;
        Ok(())
    }

    /// The answer kept for a request.
    pub fn answer(&self, id: RequestId) -> Result<Option<(Digest, String)>, DraftsError> {
        Ok(self
            .db
            .prepare_cached("SELECT digest, answer FROM answer WHERE id = ?1")?
            .query_row([id.0.as_bytes()], |row| {
                Ok((Digest(row.get(0)?), row.get(1)?))
            })
            .optional()?)
    }

    /// Parked carts, newest first.
    pub fn parked(&self) -> Result<Vec<Parked>, DraftsError> {
        let mut statement = self.db.prepare_cached(
            "SELECT body, parked_wall FROM cart WHERE parked_wall IS NOT NULL ORDER BY parked_wall DESC, sale",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
        let mut parked = Vec::new();
        for row in rows {
            let (text, wall) = row?;
            if let Some(cart) = readable("parked cart", &text) {
                parked.push(Parked { cart, wall });
            }
        }
        Ok(parked)
    }

    /// Number of parked carts.
    pub fn parked_count(&self) -> Result<u32, DraftsError> {
        Ok(self
            .db
            .prepare_cached("SELECT count(*) FROM cart WHERE parked_wall IS NOT NULL")?
            .query_row([], |row| row.get(0))?)
    }
}
