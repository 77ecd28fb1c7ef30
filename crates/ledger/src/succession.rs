//! One stream ends and another goes on in its place: after a copy was put back, a folder was copied, or a file was
//! damaged.
//!
//! [`succeed`] reads the old file as far as its journal can be proven, event by event, and writes a new one beside
//! it: its first event says what went before, then come the old events that are still needed, as they were written
//! ([`domain::event::Adopted`]), then feeds, answers, print jobs and notes. Only when the new file is whole and on
//! the disk does a mark beside it say so; from there on [`finish_succession`], which every start calls first, ends
//! what a power cut interrupted. The old file is moved to `streams/`, where nothing is overwritten.
//!
//! Needed are: what the server has not acknowledged; what belongs to a shift that is not closed, or to a day that is
//! not closed; and the last closings, which the next ones add up or refer to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use domain::config::KeyAlgorithm;
use domain::entropy::Entropy;
use domain::event::{
    Adopted, Event, Fact, Original, PeriodKind, StreamHead, StreamOpened, StreamReason, chain_hash,
    genesis_hash,
};
use domain::ids::{Digest, EventId, LocationId, SaleId, ShiftId, StreamId};
use domain::time::{Hlc, Now};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _};
use sync_protocol::feed::row_checksum;
use sync_protocol::{Cursor, FeedName, FeedPage, FeedRow};

use crate::backup::BACKUP_STAMP;
use crate::error::{LedgerError, OpenError};
use crate::feed;
use crate::ledger::{Ledger, NewStream, WriteTx};
use crate::open::{
    OpenOptions, flush, open_raw, remove_database, sync_directory, with_suffix, write_new,
};
use crate::projection::sale_of;
use crate::proof::{self, Proven};
use crate::receipts::ReceiptBody;
use crate::salvage::{MENDED, salvage};
use crate::signatures::code_in_earlier;
use crate::sql::{ADOPTED, N, corrupt};
use crate::stock::SET_CLOCK;

/// Folder beside the ledger for the files of earlier streams.
pub const STREAMS_FOLDER: &str = "streams";
/// The new file while it is written.
const NEXT: &str = ".next";
/// Says that the new file is whole, and under which name the old one is kept.
const MARK: &str = ".switch";
/// Rows of a feed that are written at a time.
const ROWS_AT_ONCE: usize = 2_000;
/// Acknowledged events that are adopted for the sake of the stock shown; further back the server's next page tells.
const UNFOLDED_MAX: u64 = 2_000;
/// Cause on a print job that was being sent when the old stream ended.
const INTERRUPTED: &str = "interrupted";

/// How a stream goes on.
#[derive(Debug, Clone)]
pub struct Succession {
    /// Why the old one ended.
    pub reason: StreamReason,
    /// Algorithm of the device key.
    pub key_algorithm: KeyAlgorithm,
    /// Public key of the device, hexadecimal.
    pub public_key: String,
    /// What the witness held.
    pub witness: Option<StreamHead>,
    /// Copies of the file, newest first, that may hold what a damaged one has lost. They are only read.
    pub copies: Vec<PathBuf>,
}

/// What has been done; a test may fail after each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The new file is whole, under another name.
    Drafted,
    /// The mark is on the disk: from here on the new stream counts.
    Marked,
    /// The log of the old file is set aside.
    LogMoved,
    /// The old file is set aside.
    SetAside,
    /// The new file is in its place.
    Placed,
}

impl Step {
    /// All steps in their order.
    pub const ALL: [Step; 5] = [
        Step::Drafted,
        Step::Marked,
        Step::LogMoved,
        Step::SetAside,
        Step::Placed,
    ];
}

/// What became of it.
#[derive(Debug)]
pub struct Succeeded {
    /// The ledger of the new stream.
    pub ledger: Ledger,
    /// Events of the old file that could not be read or proven; at least so many where only a copy could be read.
    pub lost: u64,
    /// Events that were adopted.
    pub adopted: u64,
    /// Every row of every feed was taken over. Otherwise the server has to be asked before the till can sell.
    pub feeds_whole: bool,
}

/// Why no new stream could be begun. The old file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum SuccessionError {
    /// Nobody can tell any more whose file it is.
    #[error("the file cannot be read far enough to go on from it")]
    Unreadable,
    /// The new file could not be made.
    #[error("the new stream cannot be begun")]
    Open(#[from] OpenError),
    /// The new file could not be filled.
    #[error("the new stream cannot be filled")]
    Ledger(#[from] LedgerError),
}

impl From<rusqlite::Error> for SuccessionError {
    fn from(error: rusqlite::Error) -> SuccessionError {
        SuccessionError::Ledger(error.into())
    }
}

/// Ends the stream of the file at `path`, which nobody else has open, and goes on with a new one.
///
/// # Errors
/// [`SuccessionError`].
pub fn succeed(
    path: &Path,
    succession: &Succession,
    now: &Now,
    entropy: &mut Entropy,
    options: &OpenOptions,
    after: &mut dyn FnMut(Step) -> Result<(), OpenError>,
) -> Result<Succeeded, SuccessionError> {
    let went_on = go_on(path, succession, now, entropy, options, after);
    // What is left of it is nobody's file; a failure to remove it must not hide what became of the stream.
    let _ = remove_database(&with_suffix(path, MENDED));
    went_on
}

fn go_on(
    path: &Path,
    succession: &Succession,
    now: &Now,
    entropy: &mut Entropy,
    options: &OpenOptions,
    after: &mut dyn FnMut(Step) -> Result<(), OpenError>,
) -> Result<Succeeded, SuccessionError> {
    let draft = with_suffix(path, NEXT);
    remove_database(&draft)?;
    let old = match succession.reason {
        StreamReason::Damaged => salvage(path, succession, options)?,
        _ => Old::read(path, options)?,
    };
    let plan = old.plan();
    let mut stream = entropy.next_stream_id();
    let taken = earlier_series(path, old.stream);
    while taken.contains(&stream.series()) {
        stream = entropy.next_stream_id();
    }
    let new = NewStream {
        stream,
        location: old.location.clone(),
        opened: plan.opened(&old, succession),
    };
    let first = EventId(entropy.next_uuid(now.wall_ms));
    write_new(&draft, new, now, first, options)?;
    let filled = fill(&draft, &old, &plan, now, entropy, options);
    let (adopted, feeds_whole) = match filled {
        Ok(filled) => filled,
        Err(error) => {
            // The draft is no ledger yet; a failure to remove it must not hide the cause.
            let _ = remove_database(&draft);
            return Err(error);
        }
    };
    let (lost, old_stream) = (old.lost, old.stream);
    drop(old);
    sync_file(&draft)?;
    after(Step::Drafted)?;
    mark(path, &set_aside_name(path, old_stream))?;
    after(Step::Marked)?;
    roll_forward(path, after)?;
    Ok(Succeeded {
        ledger: Ledger::open(path, options)?,
        lost,
        adopted,
        feeds_whole,
    })
}

/// Ends what a power cut interrupted: the old file, or the new one, is whole and in its place afterwards. To be called
/// before the ledger at `path` is looked at. True when a new stream was put in its place.
///
/// # Errors
/// [`OpenError::Io`].
pub fn finish_succession(path: &Path) -> Result<bool, OpenError> {
    if with_suffix(path, MARK).exists() {
        roll_forward(path, &mut |_| Ok(()))?;
        return Ok(true);
    }
    // Without the mark the old file is the ledger, and what was begun is begun anew.
    if path.exists() {
        remove_database(&with_suffix(path, NEXT))?;
        remove_database(&with_suffix(path, MENDED))?;
    }
    Ok(false)
}

/// Files of earlier streams of the ledger at `path`, newest first.
///
/// # Errors
/// The file system's.
pub fn earlier_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let folder = streams_folder(path);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.path();
        if name.extension().is_some_and(|end| end == "db") {
            files.push((entry.metadata()?.modified()?, name));
        }
    }
    files.sort();
    Ok(files.into_iter().rev().map(|(_, name)| name).collect())
}

fn streams_folder(path: &Path) -> PathBuf {
    path.with_file_name(STREAMS_FOLDER)
}

fn failed(error: std::io::Error) -> OpenError {
    OpenError::Io(Box::new(error))
}

fn sync_file(path: &Path) -> Result<(), OpenError> {
    fs::File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(failed)
}

/// A name that nothing in the folder has.
fn set_aside_name(path: &Path, stream: StreamId) -> String {
    let folder = streams_folder(path);
    let mut name = format!("{stream}.db");
    let mut copy = 2;
    while folder.join(&name).exists() {
        name = format!("{stream}-{copy}.db");
        copy += 1;
    }
    name
}

fn mark(path: &Path, name: &str) -> Result<(), OpenError> {
    let folder = streams_folder(path);
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).map_err(failed)?;
    let mark = with_suffix(path, MARK);
    let draft = with_suffix(&mark, ".new");
    fs::write(&draft, name).map_err(failed)?;
    sync_file(&draft)?;
    fs::rename(&draft, &mark).map_err(failed)?;
    sync_directory(path)
}

/// Each step can be done again: it is done only where the ones after it have not been.
fn roll_forward(
    path: &Path,
    after: &mut dyn FnMut(Step) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    let mark = with_suffix(path, MARK);
    let name = fs::read_to_string(&mark).map_err(failed)?;
    let aside = streams_folder(path).join(name.trim());
    let next = with_suffix(path, NEXT);
    if !aside.exists() && path.exists() {
        // The log goes first: beside another file it would be taken for that one's.
        let log = with_suffix(path, "-wal");
        if log.exists() {
            fs::rename(&log, with_suffix(&aside, "-wal")).map_err(failed)?;
        }
        remove_if_there(&with_suffix(path, "-shm"))?;
        sync_directory(&aside)?;
        sync_directory(path)?;
        after(Step::LogMoved)?;
        fs::rename(path, &aside).map_err(failed)?;
        sync_directory(&aside)?;
        sync_directory(path)?;
        after(Step::SetAside)?;
    }
    if next.exists() {
        fs::rename(&next, path).map_err(failed)?;
        sync_directory(path)?;
        after(Step::Placed)?;
    }
    remove_if_there(&mark)?;
    sync_directory(path)
}

fn remove_if_there(path: &Path) -> Result<(), OpenError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Series that were used already: two streams may share theirs by chance, and numbers would be printed twice.
fn earlier_series(path: &Path, old: StreamId) -> BTreeSet<String> {
    let names = earlier_files(path).unwrap_or_default();
    let streams = names
        .iter()
        .filter_map(|name| name.file_stem()?.to_str()?.split('-').next()?.parse().ok());
    streams
        .chain([old])
        .map(|stream: StreamId| stream.series())
        .collect()
}

/// What an event of the old journal was, as far as the new stream has to know.
#[derive(Debug)]
enum Kind {
    StreamOpened,
    ShiftOpened(ShiftId),
    ShiftClosed {
        shift: ShiftId,
        z_number: u64,
        perpetual_minor: i64,
    },
    Closed {
        period: PeriodKind,
        number: u64,
        perpetual_minor: i64,
    },
    Receipt {
        fiscal_year: i32,
        number_seq: u64,
        total_minor: i64,
    },
    Other,
}

/// An event that was read and proven.
#[derive(Debug)]
pub(crate) struct Line {
    pub seq: u64,
    pub hash: Digest,
    /// It goes on in the old stream what one before that had begun, so it is adopted out of its wrapper.
    continued: bool,
    /// It was written by the old stream itself.
    own: bool,
    kind: Kind,
}

/// The old file, as far as it can be read.
pub(crate) struct Old {
    conn: Connection,
    pub stream: StreamId,
    location: LocationId,
    pub opened: StreamOpened,
    pub lines: Vec<Line>,
    pub lost: u64,
    /// Numbers of the events that were taken from `spare`.
    from_spare: BTreeSet<u64>,
    /// A copy of the file, which fills holes.
    spare: Option<Box<Old>>,
    /// This is a copy in place of a file of which nothing can be read.
    pub stand_in: bool,
    /// The journal could not be read to its end, wherever that is.
    pub cut_short: bool,
    hlc: Hlc,
    acked_seq: u64,
    /// How far the server had taken this stream into the stock of the till's own location, when it was last read.
    folded_seq: Option<u64>,
}

impl Old {
    /// Reads a file as far as it can be proven.
    pub fn read(path: &Path, options: &OpenOptions) -> Result<Old, SuccessionError> {
        Old::read_with(path, None, options).map_err(|(error, _)| error)
    }

    /// As [`Old::read`]; what cannot be read or proven is taken from a copy of the same stream where it chains. The
    /// copy is handed back with the error.
    pub fn read_with(
        path: &Path,
        spare: Option<Box<Old>>,
        options: &OpenOptions,
    ) -> Result<Old, (SuccessionError, Option<Box<Old>>)> {
        let conn = match open_raw(path, options) {
            Ok(conn) => conn,
            Err(error) => return Err((error.into(), spare)),
        };
        let known = spare
            .as_ref()
            .map(|spare| (spare.stream, Some(spare.location.clone())));
        let Some((stream, location)) = read_identity(&conn).or(known) else {
            return Err((SuccessionError::Unreadable, spare));
        };
        let mut reader = Reader {
            spare: spare.as_deref().filter(|spare| spare.stream == stream),
            from_spare: BTreeSet::new(),
            stream,
            previous: (Some(genesis_hash(stream)), None),
            waiting: None,
            begun: false,
            lines: Vec::new(),
            opened: None,
            location,
            lost: 0,
            hlc: Hlc::default(),
        };
        let cut_short = !read_journal(&conn, &mut reader);
        reader.lost += u64::from(reader.waiting.is_some());
        let learnt: Option<i64> = conn
            .query_row("SELECT hlc FROM clock", [], |row| row.get(0))
            .optional()
            .unwrap_or(None);
        let acked = read_ack(&conn);
        let (lines, lost, hlc, from_spare) =
            (reader.lines, reader.lost, reader.hlc, reader.from_spare);
        let (Some(opened), Some(location)) = (reader.opened, reader.location) else {
            return Err((SuccessionError::Unreadable, spare));
        };
        // An acknowledgement of another history is none of this one's.
        let acked_seq = acked
            .filter(|(seq, hash)| {
                lines
                    .iter()
                    .find(|line| line.seq == *seq)
                    .is_none_or(|line| line.hash == *hash)
            })
            .map_or(0, |(seq, _)| seq);
        let folded_seq = conn
            .query_row(
                "SELECT folded_seq FROM feed WHERE name = ?1 AND complete = 1",
                [FeedName::Stock(location.clone()).to_string()],
                |row| row.get(0),
            )
            .ok();
        Ok(Old {
            conn,
            folded_seq,
            stream,
            location,
            opened,
            lines,
            lost,
            from_spare,
            spare,
            stand_in: false,
            cut_short,
            hlc: hlc.max(Hlc(learnt.unwrap_or(0).cast_unsigned())),
            acked_seq,
        })
    }

    /// Events that the file itself holds, proven.
    pub fn proven_here(&self) -> usize {
        self.lines.len() - self.from_spare.len()
    }

    /// Gives the copy back that filled the holes.
    pub fn into_spare(self) -> Option<Box<Old>> {
        self.spare
    }

    fn line_at(&self, seq: u64) -> Option<&Line> {
        let at = self.lines.binary_search_by_key(&seq, |line| line.seq);
        at.ok().map(|at| &self.lines[at])
    }

    /// An event as it can be adopted, out of the wrapper that it may be in, and what it says; none for what cannot be
    /// taken out.
    pub fn told(&self, line: &Line) -> Result<Option<(Adopted, Original)>, LedgerError> {
        let bytes = self.bytes(line.seq)?;
        let event = Event::decode(&bytes).map_err(|error| corrupt("event", line.seq, error))?;
        let adopted = match event.fact() {
            Ok(Fact::Adopted(adopted)) => adopted,
            _ => Adopted {
                at: StreamHead {
                    stream: self.stream,
                    seq: line.seq,
                    hash: line.hash,
                },
                bytes: String::from_utf8(bytes)
                    .map_err(|error| corrupt("event", line.seq, error))?,
            },
        };
        let original = adopted.original();
        Ok(original.map(|original| (adopted, original)))
    }

    /// The sale of an event that is a receipt, and the code that was printed on it.
    pub fn code_of(&self, line: &Line, original: &Original) -> Option<(SaleId, String)> {
        if let Some(spare) = self.spare_for(line.seq) {
            return spare.code_of(line, original);
        }
        let body = ReceiptBody::of(original.event.fact().ok()?)?;
        let at = (self.stream, line.seq);
        let code = code_in_earlier(&self.conn, &self.opened, at, &body)?;
        Some((body.sale().sale, code))
    }

    /// Decides what goes on in the new stream.
    fn plan(&self) -> Plan {
        let after_day = self.last_closing(PeriodKind::Day).map_or(1, |seq| seq + 1);
        let shifts = self.shifts();
        let mut from = self.acked_seq.saturating_add(1).min(after_day);
        // What the server has, but did not yet say in its stock, is still this till's to count.
        if let Some(folded) = self.folded_seq
            && self.acked_seq.saturating_sub(folded) <= UNFOLDED_MAX
        {
            from = from.min(folded + 1);
        }
        // A shift that reaches into what is adopted is adopted from its opening.
        while let Some(opened) = shifts
            .iter()
            .filter(|(opened, closed)| *opened < from && closed.is_none_or(|closed| closed >= from))
            .map(|(opened, _)| *opened)
            .min()
        {
            from = opened;
        }
        let needed = |line: &Line| match &line.kind {
            Kind::StreamOpened => line.seq > self.acked_seq,
            Kind::Closed { period, .. } => line.seq >= from || self.is_added_up(*period, line.seq),
            _ => line.seq >= from,
        };
        let adopted = self
            .lines
            .iter()
            .enumerate()
            .filter(|(_, line)| needed(line))
            .map(|(index, _)| index)
            .collect();
        Plan { adopted }
    }

    fn last_closing(&self, kind: PeriodKind) -> Option<u64> {
        let mut lines = self.lines.iter().rev();
        lines
            .find(|line| matches!(line.kind, Kind::Closed { period, .. } if period == kind))
            .map(|line| line.seq)
    }

    /// Whether a closing is the last of its kind, or one that a longer period still has to add up.
    fn is_added_up(&self, period: PeriodKind, seq: u64) -> bool {
        let longer = match period {
            PeriodKind::Day => Some(PeriodKind::Month),
            PeriodKind::Month => Some(PeriodKind::Year),
            PeriodKind::Year => None,
        };
        let open = longer.is_some_and(|longer| seq > self.last_closing(longer).unwrap_or(0));
        open || self.last_closing(period) == Some(seq)
    }

    /// Openings and closings of shifts.
    fn shifts(&self) -> Vec<(u64, Option<u64>)> {
        let mut shifts: BTreeMap<ShiftId, (u64, Option<u64>)> = BTreeMap::new();
        for line in &self.lines {
            match &line.kind {
                Kind::ShiftOpened(shift) => {
                    shifts.insert(*shift, (line.seq, None));
                }
                Kind::ShiftClosed { shift, .. } => {
                    if let Some(known) = shifts.get_mut(shift) {
                        known.1 = Some(line.seq);
                    }
                }
                _ => {}
            }
        }
        shifts.into_values().collect()
    }

    fn spare_for(&self, seq: u64) -> Option<&Old> {
        self.spare
            .as_deref()
            .filter(|_| self.from_spare.contains(&seq))
    }

    /// The bytes of an event that was proven before.
    fn bytes(&self, seq: u64) -> Result<Vec<u8>, LedgerError> {
        if let Some(spare) = self.spare_for(seq) {
            return spare.bytes(seq);
        }
        Ok(self
            .conn
            .prepare_cached("SELECT bytes FROM event WHERE seq = ?1")?
            .query_row([N(seq)], |row| row.get(0))?)
    }
}

/// What the new stream takes over: places in [`Old::lines`].
struct Plan {
    adopted: Vec<usize>,
}

impl Plan {
    fn opened(&self, old: &Old, succession: &Succession) -> StreamOpened {
        let adopted: BTreeSet<usize> = self.adopted.iter().copied().collect();
        let mut perpetual_minor = old.opened.perpetual_minor;
        let mut adopted_minor = 0_i64;
        let mut z_number = old.opened.z_number;
        let mut periods = old.opened.periods.clone();
        let mut numbers: BTreeMap<i32, u64> = BTreeMap::new();
        for (index, line) in old.lines.iter().enumerate() {
            let here = adopted.contains(&index);
            match &line.kind {
                Kind::Receipt {
                    fiscal_year,
                    number_seq,
                    total_minor,
                    ..
                } => {
                    perpetual_minor = perpetual_minor.saturating_add(*total_minor);
                    if here {
                        adopted_minor = adopted_minor.saturating_add(*total_minor);
                    }
                    if line.own {
                        let last = numbers.entry(*fiscal_year).or_insert(0);
                        *last = (*last).max(*number_seq);
                    }
                }
                Kind::ShiftClosed {
                    z_number: z,
                    perpetual_minor: stated,
                    ..
                } => {
                    // What lay in a hole before it is in what it says.
                    if line.own {
                        perpetual_minor = *stated;
                    }
                    if !here {
                        z_number = z_number.max(*z);
                    }
                }
                Kind::Closed {
                    period,
                    number,
                    perpetual_minor: stated,
                } => {
                    if line.own {
                        perpetual_minor = *stated;
                    }
                    if !here {
                        let last = periods.entry(*period).or_insert(0);
                        *last = (*last).max(*number);
                    }
                }
                Kind::StreamOpened | Kind::ShiftOpened(_) | Kind::Other => {}
            }
        }
        let head = old.lines.last().map(|line| StreamHead {
            stream: old.stream,
            seq: line.seq,
            hash: line.hash,
        });
        StreamOpened {
            reason: succession.reason,
            key_algorithm: succession.key_algorithm,
            public_key: succession.public_key.clone(),
            previous: head,
            z_number,
            perpetual_minor: perpetual_minor.saturating_sub(adopted_minor),
            periods,
            numbers,
            witness: succession.witness.filter(|witness| Some(*witness) != head),
            ..old.opened.clone()
        }
    }
}

/// Whose file it is. The location stands nowhere else but in the sales.
fn read_identity(conn: &Connection) -> Option<(StreamId, Option<LocationId>)> {
    let stated: Option<([u8; 16], String)> = conn
        .query_row("SELECT stream, location FROM identity", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .ok();
    if let Some((stream, location)) = stated {
        return Some((StreamId(stream), LocationId::new(&location).ok()));
    }
    let bytes: Vec<u8> = conn
        .query_row("SELECT bytes FROM event WHERE seq = 1", [], |row| {
            row.get(0)
        })
        .ok()?;
    Some((Event::decode(&bytes).ok()?.stream, None))
}

fn read_ack(conn: &Connection) -> Option<(u64, Digest)> {
    conn.query_row(
        "SELECT seq, hash FROM ack ORDER BY turn DESC LIMIT 1",
        [],
        |row| Ok((row.get(0)?, Digest(row.get(1)?))),
    )
    .ok()
}

/// Reads every event that can be reached: in order as long as the tree is whole, then one by one. False when nobody
/// knows where it ends.
fn read_journal(conn: &Connection, reader: &mut Reader<'_>) -> bool {
    let (mut next, whole) = read_what_is_there(conn, reader);
    // A file that was cut off ends before its copy does.
    let last = reader.spare.and_then(|spare| spare.lines.last());
    while last.is_some_and(|last| next <= last.seq) {
        reader.hole(next);
        next += 1;
    }
    whole
}

/// The number after the last event that was looked for, and whether the tree was whole.
fn read_what_is_there(conn: &Connection, reader: &mut Reader<'_>) -> (u64, bool) {
    let mut next = 1;
    let mut scan = || -> rusqlite::Result<()> {
        let mut statement = conn.prepare("SELECT seq, bytes, hash FROM event ORDER BY seq")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let seq: u64 = row.get(0)?;
            while next < seq {
                reader.hole(next);
                next += 1;
            }
            match (row.get(1), row.get(2)) {
                (Ok(bytes), Ok(hash)) => reader.take(seq, bytes, Digest(hash)),
                _ => reader.hole(seq),
            }
            next = seq + 1;
        }
        Ok(())
    };
    let Err(error) = scan() else {
        return (next, true);
    };
    tracing::error!(event.seq = next, error = %error, "the journal cannot be read on, trying event by event");
    let last: u64 = [
        "SELECT max(seq) FROM event",
        "SELECT max(seq) FROM adopted",
        "SELECT max(seq) FROM receipt",
        "SELECT max(seq) FROM ack",
    ]
    .into_iter()
    .filter_map(|sql| {
        conn.query_row(sql, [], |row| row.get::<_, Option<u64>>(0))
            .ok()?
    })
    .max()
    .unwrap_or(0);
    while next <= last {
        let row = conn
            .prepare_cached("SELECT bytes, hash FROM event WHERE seq = ?1")
            .and_then(|mut statement| {
                statement.query_row([N(next)], |row| Ok((row.get(0)?, row.get(1)?)))
            });
        match row {
            Ok((bytes, hash)) => reader.take(next, bytes, Digest(hash)),
            Err(_) => reader.hole(next),
        }
        next += 1;
    }
    (next, false)
}

/// Takes events in and proves each by the hash before it.
struct Reader<'a> {
    stream: StreamId,
    /// A copy of the file, and what was taken from it.
    spare: Option<&'a Old>,
    from_spare: BTreeSet<u64>,
    /// Hash after the event before: as stored, and as computed where that differs.
    previous: (Option<Digest>, Option<Digest>),
    /// An event whose stored hash is not its own; the next one tells whether its bytes or its hash are damaged.
    waiting: Option<(Line, Option<StreamOpened>, Hlc)>,
    /// The stream had events of its own after its opening.
    begun: bool,
    lines: Vec<Line>,
    opened: Option<StreamOpened>,
    location: Option<LocationId>,
    lost: u64,
    hlc: Hlc,
}

impl Reader<'_> {
    /// An event that is not there, or cannot be read.
    fn hole(&mut self, seq: u64) {
        if self.take_from_spare(seq) {
            return;
        }
        self.lost += 1 + u64::from(self.waiting.take().is_some());
        self.previous = (None, None);
    }

    /// Takes an event from the copy; false unless it follows on what was proven here.
    fn take_from_spare(&mut self, seq: u64) -> bool {
        let Some(spare) = self.spare else {
            return false;
        };
        let (Some(line), Ok(bytes)) = (spare.line_at(seq), spare.bytes(seq)) else {
            return false;
        };
        let (stored, computed) = self.previous;
        let follows = |before: Digest| chain_hash(before, &bytes) == line.hash;
        if !stored.into_iter().chain(computed).any(follows) {
            return false;
        }
        self.from_spare.insert(seq);
        self.take(seq, bytes, line.hash);
        true
    }

    fn take(&mut self, seq: u64, bytes: Vec<u8>, hash: Digest) {
        let (stored, computed) = self.previous;
        let follows = |before: Option<Digest>| before.map(|before| chain_hash(before, &bytes));
        let by_stored = follows(stored);
        let by_computed = follows(computed);
        let event = Event::decode(&bytes)
            .ok()
            .filter(|event| event.seq == seq && event.stream == self.stream);
        let is_proven = event.is_some() && [by_stored, by_computed].contains(&Some(hash));
        if !is_proven && !self.from_spare.contains(&seq) && self.take_from_spare(seq) {
            return;
        }
        let waiting = self.waiting.take();
        if by_computed == Some(hash)
            && let Some(event) = event
        {
            // The hash of the one before was damaged, not the event.
            if let Some(waiting) = waiting {
                self.keep(waiting);
            }
            let line = self.line(event, hash);
            self.keep(line);
        } else if by_stored == Some(hash)
            && let Some(event) = event
        {
            self.lost += u64::from(waiting.is_some());
            let line = self.line(event, hash);
            self.keep(line);
        } else {
            self.lost += u64::from(waiting.is_some());
            match (event, by_stored) {
                (Some(event), Some(own)) => {
                    self.waiting = Some(self.line(event, own));
                    self.previous = (Some(hash), Some(own));
                    return;
                }
                _ => self.lost += 1,
            }
        }
        self.previous = (Some(hash), None);
    }

    fn line(&mut self, event: Event, hash: Digest) -> (Line, Option<StreamOpened>, Hlc) {
        let seq = event.seq;
        let wrapped = event.kind == ADOPTED;
        self.begun |= seq > 1 && !wrapped;
        let continued = wrapped && !self.begun;
        let mut opened = None;
        let fact = event.fact().ok();
        let kind = match fact {
            Some(Fact::StreamOpened(found)) => {
                opened = Some(found);
                Kind::StreamOpened
            }
            Some(Fact::Adopted(adopted)) => {
                let original = adopted.original();
                let late = !continued || original.as_ref().is_none_or(|found| found.recovered);
                let inner = original.and_then(|original| original.event.fact().ok());
                match inner {
                    // What came late stays so: it has moved the perpetual total, and no drawer of this stream.
                    Some(fact) if late => sale_of(&fact).map_or(Kind::Other, kind_of_receipt),
                    Some(fact) => self.kind(&fact),
                    None => Kind::Other,
                }
            }
            Some(fact) => self.kind(&fact),
            None => Kind::Other,
        };
        let line = Line {
            seq,
            hash,
            continued,
            own: !wrapped,
            kind,
        };
        (line, opened, event.hlc)
    }

    fn kind(&mut self, fact: &Fact) -> Kind {
        if let Some(sale) = sale_of(fact) {
            self.location.get_or_insert_with(|| sale.location.clone());
            return kind_of_receipt(sale);
        }
        match fact {
            Fact::ShiftOpened(opened) => Kind::ShiftOpened(opened.shift),
            Fact::ShiftClosed(closed) => Kind::ShiftClosed {
                shift: closed.shift,
                z_number: closed.z_number,
                perpetual_minor: closed.perpetual_minor,
            },
            Fact::PeriodClosed(closed) => Kind::Closed {
                period: closed.period,
                number: closed.number,
                perpetual_minor: closed.perpetual_minor,
            },
            _ => Kind::Other,
        }
    }

    fn keep(&mut self, (line, opened, hlc): (Line, Option<StreamOpened>, Hlc)) {
        if line.seq == 1 {
            self.opened = opened;
        }
        self.hlc = self.hlc.max(hlc);
        self.lines.push(line);
    }
}

fn kind_of_receipt(sale: &domain::event::SaleBody) -> Kind {
    Kind::Receipt {
        fiscal_year: sale.business_date.fiscal_year(),
        number_seq: sale.number_seq,
        total_minor: sale.total_minor,
    }
}

/// Writes everything into the draft, as one transaction.
fn fill(
    draft: &Path,
    old: &Old,
    plan: &Plan,
    now: &Now,
    entropy: &mut Entropy,
    options: &OpenOptions,
) -> Result<(u64, bool), SuccessionError> {
    let mut ledger = Ledger::open(draft, options)?;
    ledger.hlc = ledger.hlc.max(old.hlc);
    let learnt = ledger.hlc;
    let feeds_whole = ledger.write(|tx| -> Result<bool, LedgerError> {
        tx.step(|ledger| {
            ledger
                .prepare(SET_CLOCK)?
                .execute([learnt.0.cast_signed()])?;
            Ok(())
        })?;
        for index in &plan.adopted {
            let line = &old.lines[*index];
            let adopted = adopted(old, line)?;
            let code = adopted.original().and_then(|it| old.code_of(line, &it));
            let fact = Fact::Adopted(adopted);
            tx.append(now, EventId(entropy.next_uuid(now.wall_ms)), &fact)?;
            if let Some((sale, code)) = code {
                tx.keep_code(sale, &code)?;
            }
        }
        let whole = [
            carry_rows(tx, old, &proof::LOCAL)?,
            carry_rows(tx, old, &proof::ANSWER)?,
            carry_rows(tx, old, &proof::PRINT_JOB)?,
            carry_rows(tx, old, &proof::REPORT)?,
        ];
        if whole.contains(&false) {
            tracing::warn!("answers, notes or print jobs could not all be read");
        }
        tx.step(|ledger| carry_feeds(ledger, old, plan, now))
    })?;
    flush(ledger.conn()?)?;
    ledger.close()?;
    Ok((plan.adopted.len() as u64, feeds_whole))
}

fn adopted(old: &Old, line: &Line) -> Result<Adopted, LedgerError> {
    let bytes = old.bytes(line.seq)?;
    if line.continued {
        let event = Event::decode(&bytes).map_err(|error| corrupt("event", line.seq, error))?;
        if let Ok(Fact::Adopted(adopted)) = event.fact() {
            return Ok(adopted);
        }
    }
    let bytes = String::from_utf8(bytes).map_err(|error| corrupt("event", line.seq, error))?;
    Ok(Adopted {
        at: StreamHead {
            stream: old.stream,
            seq: line.seq,
            hash: line.hash,
        },
        bytes,
    })
}

/// Column and value of a claimed job, which may be on paper.
const STATE_COLUMN: usize = 5;
const CAUSE_COLUMN: usize = 7;
const WAITING: i64 = 0;
const CLAIMED: i64 = 1;
const UNCERTAIN: i64 = 2;

/// SQL that is true of a row whose proof is right; of every row in a file that has none yet.
fn is_proven(conn: &Connection, table: &Proven) -> String {
    let sql = format!("SELECT proof FROM {}", table.table);
    if conn.prepare(&sql).is_ok() {
        format!("proof = {}", table.proof())
    } else {
        "true".to_owned()
    }
}

/// Copies what can be read and proven of a table, in the order of its keys; false when there was more.
fn carry_rows(tx: &mut WriteTx<'_>, old: &Old, table: &Proven) -> Result<bool, LedgerError> {
    let Proven {
        table: name,
        key,
        columns,
    } = table;
    let values = 2 + columns.matches(',').count();
    let marks: Vec<String> = (1..=values).map(|mark| format!("?{mark}")).collect();
    let marks = marks.join(", ");
    let read = format!(
        "SELECT {key}, {columns}, {} FROM {name} ORDER BY {key}",
        is_proven(&old.conn, table)
    );
    let write = format!(
        "INSERT OR IGNORE INTO {name} ({key}, {columns}, proof) VALUES ({marks}, row_proof('{name}', {marks}))"
    );
    let mut whole = true;
    tx.step(|ledger| {
        let Ok(mut statement) = old.conn.prepare(&read) else {
            return Ok(false);
        };
        let Ok(mut rows) = statement.query([]) else {
            return Ok(false);
        };
        let mut write = ledger.prepare(&write)?;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(whole),
                Err(_) => return Ok(false),
            };
            let columns = (0..values).map(|column| row.get(column));
            let columns = columns.collect::<rusqlite::Result<Vec<Value>>>();
            let (Ok(mut values), Ok(true)) = (columns, row.get(values)) else {
                whole = false;
                continue;
            };
            let is_own_note = |value: &Value| {
                matches!(value, Value::Text(key) if key == BACKUP_STAMP || key.starts_with("witness."))
            };
            if values.first().is_some_and(is_own_note) {
                continue;
            }
            let state = values.get(STATE_COLUMN).filter(|_| values.len() > CAUSE_COLUMN);
            let may_be_printed = match state {
                Some(Value::Integer(CLAIMED)) => true,
                // A copy does not know what was printed since.
                Some(Value::Integer(WAITING)) => old.stand_in,
                _ => false,
            };
            if may_be_printed {
                values[STATE_COLUMN] = Value::Integer(UNCERTAIN);
                values[CAUSE_COLUMN] = Value::Text(INTERRUPTED.to_owned());
            }
            if write.execute(rusqlite::params_from_iter(values)).is_err() {
                // A damaged value that the table does not take.
                return Ok(false);
            }
        }
    })
}

/// A feed as it stood.
struct OldFeed {
    id: u64,
    name: FeedName,
    next: Cursor,
    ver: u64,
    rereading: bool,
    complete: bool,
    synced_wall: Option<i64>,
    server_time: Option<i64>,
    folded_seq: u64,
}

/// Takes the feeds over; false when rows are missing, so that the server has to be asked.
fn carry_feeds(
    ledger: &mut Ledger,
    old: &Old,
    plan: &Plan,
    now: &Now,
) -> Result<bool, LedgerError> {
    let (feeds, mut whole) = read_feeds(&old.conn);
    for known in feeds {
        feed::begin(ledger, &known.name)?;
        whole &= carry_feed(ledger, old, plan, &known, now)?;
    }
    Ok(whole)
}

fn read_feeds(conn: &Connection) -> (Vec<OldFeed>, bool) {
    let mut feeds = Vec::new();
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = conn.prepare(&format!(
            "SELECT id, name, cursor_ver, cursor_pk, ver, rereading, complete, synced_wall, server_time, folded_seq, \
             {} FROM feed ORDER BY name",
            is_proven(conn, &proof::FEED)
        ))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let Ok(name) = row.get::<_, String>(1)?.parse() else {
                continue;
            };
            feeds.push(OldFeed {
                id: row.get(0)?,
                name,
                next: Cursor {
                    ver: row.get(2)?,
                    pk: row.get(3)?,
                },
                ver: row.get(4)?,
                // Nobody knows how far one was read whose place is damaged.
                rereading: row.get(5)? || !row.get(10)?,
                complete: row.get(6)?,
                synced_wall: row.get(7)?,
                server_time: row.get(8)?,
                folded_seq: row.get(9)?,
            });
        }
        Ok(())
    };
    let whole = read().is_ok();
    (feeds, whole)
}

fn carry_feed(
    ledger: &Ledger,
    old: &Old,
    plan: &Plan,
    feed: &OldFeed,
    now: &Now,
) -> Result<bool, LedgerError> {
    let (mut rows, readable) = read_rows(&old.conn, feed.id);
    rows.sort_by(|left, right| (left.0.ver, &left.0.pk).cmp(&(right.0.ver, &right.0.pk)));
    let stream = ledger.identity().stream;
    let mut folded = read_folded(&old.conn, feed.id);
    folded.insert(stream, plan.place_of(old, feed.folded_seq));
    let page = |rows: Vec<FeedRow>, next: Cursor, more: bool| FeedPage {
        feed: feed.name.clone(),
        rows,
        next,
        more,
        ver: feed.ver,
        checksum: None,
        folded: folded.clone(),
    };
    let (server_time, wall) = (
        feed.server_time.unwrap_or(0),
        feed.synced_wall.unwrap_or(now.wall_ms),
    );
    let mut further = Vec::new();
    let mut chunk = Vec::new();
    let mut last = Cursor::default();
    let mut rows = rows.into_iter().peekable();
    while let Some((row, folded)) = rows.next() {
        if folded > feed.folded_seq {
            further.push((row.pk.clone(), plan.place_of(old, folded)));
        }
        last = Cursor {
            ver: row.ver,
            pk: row.pk.clone(),
        };
        chunk.push(row);
        if chunk.len() >= ROWS_AT_ONCE && rows.peek().is_some() {
            let page = page(std::mem::take(&mut chunk), last.clone(), true);
            feed::apply(ledger, &page, server_time, wall)?;
        }
    }
    let whole = readable && feed.complete;
    let page = page(chunk, feed.next.clone().max(last), !whole);
    feed::apply(ledger, &page, server_time, wall)?;
    if matches!(feed.name, FeedName::Stock(_)) {
        for (pk, folded) in further {
            ledger
                .prepare(
                    "UPDATE feed_row SET folded_seq = max(folded_seq, ?3) \
                     WHERE feed = (SELECT id FROM feed WHERE name = ?1) AND pk = ?2",
                )?
                .execute((feed.name.to_string(), &pk, N(folded)))?;
            ledger.prove(
                &proof::FEED_ROW,
                "feed = (SELECT id FROM feed WHERE name = ?1) AND pk = ?2",
                (feed.name.to_string(), pk),
            )?;
        }
    }
    if !readable || feed.rereading {
        feed::read_anew(ledger, &feed.name)?;
    }
    Ok(readable)
}

/// How far every stream was folded when a feed was last read to its end; nothing where that cannot be read, which only
/// makes a count know less.
fn read_folded(conn: &Connection, feed: u64) -> BTreeMap<StreamId, u64> {
    let text: rusqlite::Result<String> =
        conn.query_row("SELECT folded FROM feed WHERE id = ?1", [N(feed)], |row| {
            row.get(0)
        });
    text.ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

/// Rows of a feed with how far the old stream was folded into each; false when some could not be read.
fn read_rows(conn: &Connection, id: u64) -> (Vec<(FeedRow, u64)>, bool) {
    let mut found = Vec::new();
    let mut whole = true;
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = conn.prepare(&format!(
            "SELECT pk, ver, row, checksum, folded_seq, {} FROM feed_row WHERE feed = ?1",
            is_proven(conn, &proof::FEED_ROW)
        ))?;
        let mut rows = statement.query([N(id)])?;
        while let Some(row) = rows.next()? {
            let read = || -> rusqlite::Result<(String, u64, String, u64, u64, bool)> {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                ))
            };
            let Ok((pk, ver, text, checksum, folded, true)) = read() else {
                whole = false;
                continue;
            };
            let raw = serde_json::value::RawValue::from_string(text.clone());
            let (true, Ok(raw)) = (row_checksum(&pk, &text) == checksum, raw) else {
                whole = false;
                continue;
            };
            let row = Some(raw);
            found.push((FeedRow { pk, ver, row }, folded));
        }
        Ok(())
    };
    let read = read().is_ok();
    (found, whole && read)
}

impl Plan {
    /// The last event here that holds what the old stream had up to `seq`; 0 when nothing of it was adopted.
    fn place_of(&self, old: &Old, seq: u64) -> u64 {
        let before = self
            .adopted
            .iter()
            .filter(|index| old.lines[**index].seq <= seq)
            .count() as u64;
        if before == 0 { 0 } else { before + 1 }
    }
}
