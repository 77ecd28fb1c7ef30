//! Making an archive: the journals are judged first, then written, so that none leaves that would not verify.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use domain::event::{Event, StreamHead, chain_hash, genesis_hash};
use domain::ids::{Digest, StreamId};
use domain::money::{Currency, MoneyError};
use ledger::{FirstBad, Ledger, LedgerError, Replay, StoredEvent, earlier_files};
use tempfile::NamedTempFile;

use super::tables::{Days, Range, Sink, Table, Tables};
use super::zip::ZipWriter;
use super::{
    ABOUT, About, CHAIN, CHAIN_HEADER, EVENTS, FORMAT, HASHES, HEADS, Heads, KEYS, Keys, Papers,
    README, RETENTION_YEARS, ShiftKeyOf, SignedHead, StreamAbout, hashes_line, json, report_entry,
};
use crate::files::{InspectError, LEDGER_FILE, open, open_file};

/// Events read from the journal at a time.
const EVENTS_AT_ONCE: usize = 1_000;
/// And their bytes.
const BYTES_AT_ONCE: usize = 8 << 20;
/// Folder for archives in a data folder.
const FOLDER: &str = "archives";

/// Why no archive was made.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The data folder cannot be looked into.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The journal cannot be read.
    #[error("the ledger cannot be read")]
    Read(#[from] LedgerError),
    /// The journal is not sound; `verify` says more.
    #[error("{} {}: {}", .0.table, .0.key, .0.what)]
    Unsound(FirstBad),
    /// The range ends before it begins.
    #[error("the range ends before it begins")]
    BadRange,
    /// There is a file of that name; nothing is overwritten.
    #[error("{path} is there already")]
    Exists {
        /// File.
        path: PathBuf,
    },
    /// The archive cannot be written.
    #[error("the archive cannot be written")]
    Write(#[from] io::Error),
    /// Amounts are too large for a table.
    #[error(transparent)]
    Overflow(#[from] MoneyError),
}

impl ArchiveError {
    /// Whether there was no room for it.
    pub fn is_full(&self) -> bool {
        matches!(self, ArchiveError::Write(error) if error.kind() == io::ErrorKind::StorageFull)
    }
}

/// An archive that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// File.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Events in it.
    pub events: u64,
    /// Files of earlier streams that could not be opened, and so are not in it.
    pub unreadable: Vec<String>,
}

/// A file with a journal, and how much of it goes into the archive.
struct Run {
    ledger: Ledger,
    stream: StreamId,
    last: StreamHead,
    complete: bool,
}

/// Writes the archive of the till in `data_dir`, beside whatever runs it, to `target`, or to a new file under
/// `archives` in the data folder. The journal is in it from its first event up to the last of `range`, the tables for
/// the days of `range`; with `papers` also the reports as they were issued, which carry names.
///
/// # Errors
/// [`ArchiveError`]; there is no file then.
pub fn archive(
    data_dir: &Path,
    target: Option<&Path>,
    range: Range,
    papers: bool,
) -> Result<Archived, ArchiveError> {
    if range.from.is_some_and(|from| range.ends_before(from)) {
        return Err(ArchiveError::BadRange);
    }
    if let Some(path) = target.filter(|path| path.exists()) {
        return Err(ArchiveError::Exists {
            path: path.to_owned(),
        });
    }
    let ledger = open(data_dir)?;
    let identity = ledger.identity().clone();
    let config = ledger.store_config()?;
    let devices = ledger.device_records()?;
    let (earlier, unreadable) = earlier(data_dir)?;
    let mut scan = Scan {
        range,
        keys: Keys {
            devices,
            ..Keys::default()
        },
        heads: Heads::default(),
        papers: Papers::new(),
        currency: None,
    };
    let mut runs = Vec::new();
    for ledger in earlier {
        match scan.earlier(ledger) {
            Some(run) => runs.push(run),
            None => tracing::warn!("an earlier stream has no event that can be proven"),
        }
    }
    runs.push(scan.current(ledger)?);
    let about = About {
        format: FORMAT.to_owned(),
        tenant: identity.tenant,
        store: identity.store,
        till: identity.till,
        device: identity.device,
        currency: scan
            .currency
            .or(config.as_ref().map(|config| config.currency)),
        retention_years: config
            .and_then(|config| config.rules.retention_years)
            .unwrap_or(RETENTION_YEARS),
        from: range.from,
        until: range.until,
        streams: runs
            .iter()
            .map(|run| StreamAbout {
                stream: run.stream,
                events: run.last.seq,
                hash: run.last.hash,
                complete: run.complete,
            })
            .collect(),
        unreadable,
    };
    let folder = match target {
        Some(path) => path.parent().filter(|parent| *parent != Path::new("")),
        None => None,
    };
    let folder = match (folder, target) {
        (Some(folder), _) => folder.to_owned(),
        (None, Some(_)) => PathBuf::from("."),
        (None, None) => make_folder(data_dir)?,
    };
    if !papers {
        scan.papers.clear();
    }
    let mut file = NamedTempFile::new_in(&folder)?;
    write(&mut file, &folder, &about, &scan, &runs)?;
    file.as_file().sync_all()?;
    let bytes = file.as_file().metadata()?.len();
    let path = place(file, target, &folder, &about)?;
    Ok(Archived {
        path,
        bytes,
        events: about.streams.iter().map(|stream| stream.events).sum(),
        unreadable: about.unreadable,
    })
}

fn make_folder(data_dir: &Path) -> io::Result<PathBuf> {
    let folder = data_dir.join(FOLDER);
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder)?;
    Ok(folder)
}

/// Gives the whole file its name, which nobody has taken.
fn place(
    mut file: NamedTempFile,
    target: Option<&Path>,
    folder: &Path,
    about: &About,
) -> Result<PathBuf, ArchiveError> {
    let day = |day: Option<domain::time::BusinessDate>, open: &str| {
        day.map_or_else(|| open.to_owned(), |day| day.to_string())
    };
    let stem = format!(
        "{}-{}-{}-{}",
        about.store,
        about.till,
        day(about.from, "first"),
        day(about.until, "last"),
    );
    for copy in 1_u32.. {
        let path = match (target, copy) {
            (Some(path), _) => path.to_owned(),
            (None, 1) => folder.join(format!("{stem}.zip")),
            (None, copy) => folder.join(format!("{stem}-{copy}.zip")),
        };
        match file.persist_noclobber(&path) {
            Ok(_) => {
                if cfg!(unix) {
                    File::open(folder)?.sync_all()?;
                }
                return Ok(path);
            }
            Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => {
                if target.is_some() {
                    return Err(ArchiveError::Exists { path });
                }
                file = failed.file;
            }
            Err(failed) => return Err(failed.error.into()),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists).into())
}

/// Journals that were set aside, oldest first, and the names of files that cannot be opened.
fn earlier(data_dir: &Path) -> Result<(Vec<Ledger>, Vec<String>), ArchiveError> {
    let mut journals = Vec::new();
    let mut unreadable = Vec::new();
    for path in earlier_files(&data_dir.join(LEDGER_FILE))? {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        match open_file(&path) {
            Ok((ledger, _)) => {
                let began = ledger.events(1, 1, 0).ok().and_then(|events| {
                    let first = events.first()?;
                    Some(Event::decode(&first.bytes).ok()?.hlc)
                });
                journals.push((began, name, ledger));
            }
            Err(error) => {
                tracing::warn!(cause = %error, "the file of an earlier stream cannot be opened");
                unreadable.push(name);
            }
        }
    }
    journals.sort_by(|left, right| (left.0, &left.1).cmp(&(right.0, &right.1)));
    unreadable.sort();
    let journals = journals.into_iter().map(|(_, _, ledger)| ledger).collect();
    Ok((journals, unreadable))
}

/// First look at the journals: whether they are sound, where the range ends, and which keys they state.
struct Scan {
    range: Range,
    keys: Keys,
    heads: Heads,
    papers: Papers,
    currency: Option<Currency>,
}

impl Scan {
    fn earlier(&mut self, ledger: Ledger) -> Option<Run> {
        let (last, sound) = self.judge(&ledger);
        if let Err(error) = &sound {
            tracing::warn!(cause = %error, "an earlier stream is archived as far as it can be proven");
        }
        let last = last?;
        Some(Run {
            stream: last.stream,
            complete: sound.is_ok(),
            ledger,
            last,
        })
    }

    fn current(&mut self, ledger: Ledger) -> Result<Run, ArchiveError> {
        let (last, sound) = self.judge(&ledger);
        sound?;
        let last = last.ok_or(ArchiveError::Unsound(FirstBad {
            table: "event".to_owned(),
            key: "1".to_owned(),
            what: "it is missing".to_owned(),
        }))?;
        Ok(Run {
            stream: last.stream,
            complete: true,
            ledger,
            last,
        })
    }

    /// Reads a journal to its end; gives the last event of the range.
    fn judge(&mut self, ledger: &Ledger) -> (Option<StreamHead>, Result<(), ArchiveError>) {
        let mut replay: Option<Replay> = None;
        let mut days = Days::default();
        let mut last: Option<StreamHead> = None;
        // Keys of events that the range may turn out not to hold.
        let mut ahead = Vec::new();
        let range = self.range;
        let keys = &mut self.keys;
        let mut papers = Vec::new();
        let result = each_event(ledger, u64::MAX, |stored| {
            let (seq, bytes) = (stored.seq, stored.bytes.as_slice());
            let event = match &mut replay {
                None => {
                    replay = Some(Replay::begin(bytes).map_err(ArchiveError::Unsound)?);
                    Event::decode(bytes)
                }
                Some(replay) => Ok(replay.take(bytes).map_err(ArchiveError::Unsound)?),
            };
            let (Ok(event), Some(replay)) = (event, &replay) else {
                return Err(unsound(seq, "it cannot be read"));
            };
            // What it means may be sound although somebody changed its words.
            if replay.head().hash != stored.hash {
                return Err(unsound(seq, "it does not chain to the one before it"));
            }
            if bytes.contains(&b'\n') {
                return Err(unsound(seq, "it is more than one line"));
            }
            let day = event.fact().ok().and_then(|fact| {
                if let domain::event::Fact::ShiftOpened(opened) = &fact {
                    self.currency.get_or_insert(opened.currency);
                }
                if let Some(paper) = paper_number(&fact) {
                    papers.push((seq, paper));
                }
                days.of(&fact)
            });
            ahead.push(event);
            // The first event says whose journal it is, so it is always there.
            if seq == 1 || day.is_none_or(|day| !range.ends_before(day)) {
                last = Some(replay.head());
                ahead.iter().for_each(|event| keys.take(event));
                ahead.clear();
            } else {
                ahead.retain(states_key);
            }
            Ok(())
        });
        let end = last.map_or(0, |last| last.seq);
        for (_, number) in papers.into_iter().filter(|(seq, _)| *seq <= end) {
            if let Ok(Some(document)) = ledger.report_document(&number) {
                self.papers.insert(number, document);
            }
        }
        // A file that is broken may have lost them; what cannot be read vouches for nothing.
        let signed = ledger.head_signatures().unwrap_or_default();
        let signed = signed.into_iter().filter(|signed| signed.head.seq <= end);
        self.heads.heads.extend(signed.map(|signed| SignedHead {
            stream: signed.head.stream,
            seq: signed.head.seq,
            hash: signed.head.hash,
            signature: hex::encode(signed.signature),
        }));
        // Certificates that are different every time stand beside the events.
        let stream = ledger.identity().stream;
        let bare = |key: &&mut ShiftKeyOf| key.stream == stream && key.certificate.is_none();
        for key in self.keys.shifts.iter_mut().filter(bare) {
            if let Ok(Some(certified)) = ledger.shift_key(key.shift) {
                key.certificate = Some(hex::encode(certified.certificate));
            }
        }
        (last, result)
    }
}

fn states_key(event: &Event) -> bool {
    event.kind == "ShiftOpened"
}

/// Number of the report whose document a fact vouches for.
fn paper_number(fact: &domain::event::Fact) -> Option<String> {
    match fact {
        domain::event::Fact::ShiftClosed(closed) if closed.paper.is_some() => {
            Some(format!("Z{}", closed.z_number))
        }
        _ => None,
    }
}

fn unsound(seq: u64, what: &str) -> ArchiveError {
    ArchiveError::Unsound(FirstBad {
        table: "event".to_owned(),
        key: seq.to_string(),
        what: what.to_owned(),
    })
}

/// Calls `take` with the bytes of each event up to `last`.
fn each_event<E: From<LedgerError>>(
    ledger: &Ledger,
    last: u64,
    mut take: impl FnMut(&StoredEvent) -> Result<(), E>,
) -> Result<(), E> {
    let mut next = 1;
    while next <= last {
        let events = ledger.events(next, EVENTS_AT_ONCE, BYTES_AT_ONCE)?;
        if events.is_empty() {
            break;
        }
        for event in events.iter().take_while(|event| event.seq <= last) {
            take(event)?;
        }
        next = events.last().map_or(u64::MAX, |event| event.seq + 1);
    }
    Ok(())
}

/// Tables on their way: each in a file without a name until its turn comes.
struct Spool {
    tables: BTreeMap<Table, BufWriter<File>>,
}

impl Spool {
    fn new(folder: &Path) -> io::Result<Spool> {
        let mut tables = BTreeMap::new();
        for table in Table::ALL {
            let mut file = BufWriter::new(tempfile::tempfile_in(folder)?);
            file.write_all(table.header().as_bytes())?;
            tables.insert(*table, file);
        }
        Ok(Spool { tables })
    }
}

impl Sink for Spool {
    type Error = ArchiveError;

    fn line(&mut self, table: Table, line: &str) -> Result<(), ArchiveError> {
        if let Some(file) = self.tables.get_mut(&table) {
            file.write_all(line.as_bytes())?;
        }
        Ok(())
    }
}

fn write(
    file: &mut NamedTempFile,
    folder: &Path,
    about: &About,
    scan: &Scan,
    runs: &[Run],
) -> Result<(), ArchiveError> {
    let mut zip = ZipWriter::new(BufWriter::new(file.as_file_mut()));
    let text = |bytes: Vec<u8>| {
        move |out: &mut dyn Write| -> Result<(), ArchiveError> { Ok(out.write_all(&bytes)?) }
    };
    zip.add(README, text(about.readme().into_bytes()))?;
    zip.add(ABOUT, text(json(about)))?;
    zip.add(CHAIN, |out| write_chain(out, runs))?;
    let mut spool = Spool::new(folder)?;
    zip.add(EVENTS, |out| write_events(out, runs, about, &mut spool))?;
    zip.add(HEADS, text(json(&scan.heads)))?;
    zip.add(KEYS, text(json(&scan.keys)))?;
    let mut papers: Vec<(String, &String)> = scan
        .papers
        .iter()
        .map(|(number, document)| (report_entry(number), document))
        .collect();
    papers.sort();
    for (entry, document) in papers {
        zip.add(&entry, text(document.clone().into_bytes()))?;
    }
    for (table, spooled) in spool.tables {
        let mut spooled = spooled.into_inner().map_err(|error| error.into_error())?;
        spooled.seek(SeekFrom::Start(0))?;
        let mut spooled = BufReader::new(spooled);
        zip.add(table.entry(), |out| -> Result<(), ArchiveError> {
            io::copy(&mut spooled.by_ref(), out)?;
            Ok(())
        })?;
    }
    let hashes: String = zip
        .entries()
        .iter()
        .map(|entry| hashes_line(entry.digest, &entry.name))
        .collect();
    zip.add(HASHES, text(hashes.into_bytes()))?;
    zip.finish()?
        .into_inner()
        .map_err(|error| error.into_error())?;
    Ok(())
}

fn write_chain(out: &mut dyn Write, runs: &[Run]) -> Result<(), ArchiveError> {
    out.write_all(CHAIN_HEADER.as_bytes())?;
    for run in runs {
        let mut hash = genesis_hash(run.stream);
        each_event(&run.ledger, run.last.seq, |stored| {
            let seq = stored.seq;
            hash = chain_hash(hash, &stored.bytes);
            let line = format!("{},{seq},{hash}\n", run.stream);
            out.write_all(line.as_bytes()).map_err(ArchiveError::from)
        })?;
        still(hash, run)?;
    }
    Ok(())
}

fn write_events(
    out: &mut dyn Write,
    runs: &[Run],
    about: &About,
    spool: &mut Spool,
) -> Result<(), ArchiveError> {
    let mut tables = Tables::of(Range {
        from: about.from,
        until: about.until,
    });
    for run in runs {
        tables.begin_run();
        let mut hash = genesis_hash(run.stream);
        each_event(&run.ledger, run.last.seq, |stored| {
            let (seq, bytes) = (stored.seq, stored.bytes.as_slice());
            out.write_all(bytes)?;
            out.write_all(b"\n")?;
            hash = chain_hash(hash, bytes);
            let at = StreamHead {
                stream: run.stream,
                seq,
                hash,
            };
            let event = Event::decode(bytes).map_err(|_| unsound(seq, "it cannot be read"))?;
            tables.take(at, &event, spool)
        })?;
        still(hash, run)?;
    }
    Ok(())
}

/// The journal must not have changed since it was judged.
fn still(hash: Digest, run: &Run) -> Result<(), ArchiveError> {
    if hash == run.last.hash {
        Ok(())
    } else {
        Err(unsound(run.last.seq, "it changed while it was read"))
    }
}
