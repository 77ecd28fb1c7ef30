//! Judging an archive from the file alone. Checking ends at the first bad thing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;

use domain::event::{StreamHead, chain_hash, genesis_hash, head_message, shift_key_message};
use domain::ids::{Digest, StreamId, TenantId};
use domain::json::from_strict;
use domain::money::MoneyError;
use domain::signature::PublicKey;
use ledger::{FirstBad, Replay};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::tables::{Range, Sink, Table, Tables};
use super::zip::{Entry, EntryReader, ZipError, list, open};
use super::{
    ABOUT, About, CHAIN, CHAIN_HEADER, EVENTS, FORMAT, HASHES, HEADS, Heads, KEYS, Keys, README,
    REPORTS, ShiftKeyOf, SignedHead, StreamAbout, hashes_line, report_entry,
};

/// Longest line of an entry of lines; a receipt of 500 lines stays far below.
const LINE_MAX: u64 = 16 << 20;
/// Largest entry that is read as a whole.
const WHOLE_MAX: u64 = 64 << 20;

/// The first thing that is wrong with an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArchiveBad {
    /// Entry, empty for the file as a whole.
    pub entry: String,
    /// Line of the entry, from 1, where it is about one.
    pub line: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// A stream in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArchivedStream {
    /// Stream.
    pub stream: StreamId,
    /// Events.
    pub events: u64,
    /// Chain hash after the last.
    pub hash: Digest,
    /// False when the file that it came from had more that could not be proven.
    pub complete: bool,
}

/// What an archive was found to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArchiveReport {
    /// Nothing bad was found.
    pub ok: bool,
    /// The first bad thing.
    pub first_bad: Option<ArchiveBad>,
    /// Streams that were found sound.
    pub streams: Vec<ArchivedStream>,
    /// Heads whose signatures fit.
    pub signed_heads: u64,
    /// Keys of shifts that the device's key vouches for.
    pub signed_shift_keys: u64,
}

enum Stop {
    Bad(ArchiveBad),
    Failed(io::Error),
}

impl From<MoneyError> for Stop {
    fn from(error: MoneyError) -> Stop {
        bad_at(EVENTS, None, error)
    }
}

fn bad_at(entry: &str, line: Option<u64>, what: impl ToString) -> Stop {
    Stop::Bad(ArchiveBad {
        entry: entry.to_owned(),
        line,
        what: what.to_string(),
    })
}

fn bad<T>(entry: &str, what: impl ToString) -> Result<T, Stop> {
    Err(bad_at(entry, None, what))
}

/// What reading an entry found: damage of the entry, or a file that cannot be read.
fn reading(entry: &str, error: io::Error) -> Stop {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => bad_at(entry, None, error),
        _ => Stop::Failed(error),
    }
}

/// Checks the archive at `path`, with nothing but the file.
///
/// # Errors
/// The file system's; what is wrong with a file that can be read stands in the report.
pub fn verify_archive(path: &Path) -> io::Result<ArchiveReport> {
    let mut report = ArchiveReport {
        ok: false,
        first_bad: None,
        streams: Vec::new(),
        signed_heads: 0,
        signed_shift_keys: 0,
    };
    match Check::open(path).and_then(|check| check.run(&mut report)) {
        Ok(()) => report.ok = true,
        Err(Stop::Bad(bad)) => report.first_bad = Some(bad),
        Err(Stop::Failed(error)) => return Err(error),
    }
    Ok(report)
}

struct Check<'a> {
    path: &'a Path,
    entries: BTreeMap<String, Entry>,
    names: Vec<String>,
}

impl Check<'_> {
    fn open(path: &Path) -> Result<Check<'_>, Stop> {
        let mut file = File::open(path).map_err(Stop::Failed)?;
        let listed = match list(&mut file) {
            Ok(listed) => listed,
            Err(ZipError::Io(error)) => return Err(reading("", error)),
            Err(ZipError::Shape { entry, what }) => return bad(&entry, what),
        };
        Ok(Check {
            path,
            names: listed.iter().map(|entry| entry.name.clone()).collect(),
            entries: listed
                .into_iter()
                .map(|entry| (entry.name.clone(), entry))
                .collect(),
        })
    }

    fn run(&self, report: &mut ArchiveReport) -> Result<(), Stop> {
        self.names()?;
        self.hashes()?;
        let about: About = self.json(ABOUT)?;
        if about.format != FORMAT {
            return bad(ABOUT, "its format is not known here");
        }
        let heads: Heads = self.json(HEADS)?;
        let found = self.events(&about, &heads)?;
        report.streams = about
            .streams
            .iter()
            .map(|stream| ArchivedStream {
                stream: stream.stream,
                events: stream.events,
                hash: stream.hash,
                complete: stream.complete,
            })
            .collect();
        if self.whole(README)? != about.readme().into_bytes() {
            return bad(README, "it is not the page of this archive");
        }
        self.papers(&found.papers)?;
        let keys: Keys = self.json(KEYS)?;
        report.signed_shift_keys = check_keys(&about.tenant, &keys, &found.keys)?;
        report.signed_heads = check_heads(&about.tenant, &keys, &heads, &found.heads)?;
        Ok(())
    }

    /// Checks that what must be there is there, and nothing else.
    fn names(&self) -> Result<(), Stop> {
        let fixed = [README, ABOUT, CHAIN, EVENTS, HEADS, KEYS, HASHES];
        let tables = Table::ALL.iter().map(|table| table.entry());
        let wanted: BTreeSet<&str> = fixed.into_iter().chain(tables).collect();
        for name in &wanted {
            if !self.entries.contains_key(*name) {
                return bad(name, "it is missing");
            }
        }
        for name in &self.names {
            if !wanted.contains(name.as_str()) && !name.starts_with(REPORTS) {
                return bad(name, "no archive has such an entry");
            }
        }
        if self.names.last().is_none_or(|last| last != HASHES) {
            return bad(HASHES, "it is not the last entry");
        }
        Ok(())
    }

    fn reader(&self, name: &str) -> Result<EntryReader<File>, Stop> {
        let Some(entry) = self.entries.get(name) else {
            return bad(name, "it is missing");
        };
        let file = File::open(self.path).map_err(Stop::Failed)?;
        open(file, entry).map_err(Stop::Failed)
    }

    fn whole(&self, name: &str) -> Result<Vec<u8>, Stop> {
        if self
            .entries
            .get(name)
            .is_some_and(|entry| entry.size > WHOLE_MAX)
        {
            return bad(name, "it is larger than in any archive");
        }
        let mut content = Vec::new();
        self.reader(name)?
            .read_to_end(&mut content)
            .map_err(|error| reading(name, error))?;
        Ok(content)
    }

    fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, Stop> {
        from_strict(&self.whole(name)?).map_err(|error| bad_at(name, None, error))
    }

    /// Checks each entry against the list of hashes.
    fn hashes(&self) -> Result<(), Stop> {
        let listed = self.whole(HASHES)?;
        let mut lines = listed.split_inclusive(|byte| *byte == b'\n');
        let others = &self.names[..self.names.len() - 1];
        for (line, name) in (1..).zip(others) {
            let mut hasher = Sha256::new();
            let mut content = self.reader(name)?;
            io::copy(&mut content, &mut HashInto(&mut hasher))
                .map_err(|error| reading(name, error))?;
            let wanted = hashes_line(Digest(hasher.finalize().into()), name);
            let Some(found) = lines.next() else {
                return Err(bad_at(HASHES, Some(line), "it does not list every entry"));
            };
            if found == wanted.as_bytes() {
                continue;
            }
            if found.ends_with(format!("  {name}\n").as_bytes()) {
                return bad(name, "its hash is not the one in hashes.txt");
            }
            return Err(bad_at(HASHES, Some(line), "it does not list every entry"));
        }
        if lines.next().is_some() {
            return bad(HASHES, "it lists more than there is");
        }
        Ok(())
    }

    /// Recomputes chain, meaning and tables from the events.
    fn events(&self, about: &About, heads: &Heads) -> Result<Found, Stop> {
        let mut events = Lines::new(EVENTS, self.reader(EVENTS)?);
        let mut chain = Lines::new(CHAIN, self.reader(CHAIN)?);
        if chain
            .next()?
            .is_none_or(|line| line != CHAIN_HEADER.as_bytes())
        {
            return Err(bad_at(CHAIN, Some(1), "its header is another"));
        }
        let mut compared = Compared {
            tables: BTreeMap::new(),
        };
        for table in Table::ALL {
            let mut expected = TableReader::new(*table, self.reader(table.entry())?);
            expected.line(table.header())?;
            compared.tables.insert(*table, expected);
        }
        let mut tables = Tables::of(Range {
            from: about.from,
            until: about.until,
        });
        let mut found = Found {
            wanted: heads
                .heads
                .iter()
                .map(SignedHead::head)
                .map(key_of)
                .collect(),
            ..Found::default()
        };
        for (index, run) in about.streams.iter().enumerate() {
            tables.begin_run();
            let is_current = index + 1 == about.streams.len();
            let replay = self.run_of_events(
                run,
                &mut events,
                &mut chain,
                &mut tables,
                &mut compared,
                &mut found,
            )?;
            let opened = replay.opened();
            if is_current
                && (opened.tenant != about.tenant
                    || opened.store.as_ref() != Some(&about.store)
                    || opened.till.as_ref() != Some(&about.till)
                    || opened.device != about.device)
            {
                return bad(ABOUT, "it names another till than the events");
            }
            let papers = replay
                .papers()
                .map(|(number, paper)| (number.to_owned(), paper));
            found.papers.extend(papers);
        }
        if about.streams.is_empty() {
            return bad(ABOUT, "it has no stream");
        }
        if events.next()?.is_some() {
            return Err(bad_at(
                EVENTS,
                Some(events.number),
                "it belongs to no stream of the archive",
            ));
        }
        if chain.next()?.is_some() {
            return Err(bad_at(CHAIN, Some(chain.number), "it belongs to no event"));
        }
        for table in compared.tables.values_mut() {
            table.end()?;
        }
        Ok(found)
    }

    fn run_of_events(
        &self,
        run: &StreamAbout,
        events: &mut Lines,
        chain: &mut Lines,
        tables: &mut Tables,
        compared: &mut Compared,
        found: &mut Found,
    ) -> Result<Replay, Stop> {
        let mut replay: Option<Replay> = None;
        let mut head = StreamHead {
            stream: run.stream,
            seq: 0,
            hash: genesis_hash(run.stream),
        };
        while head.seq < run.events {
            let at = events.number + 1;
            let Some(line) = events.next()? else {
                return bad(
                    EVENTS,
                    format!("event {} of {} is missing", head.seq + 1, run.stream),
                );
            };
            let Some(bytes) = line.strip_suffix(b"\n") else {
                return Err(bad_at(EVENTS, Some(at), "it does not end"));
            };
            head.seq += 1;
            head.hash = chain_hash(head.hash, bytes);
            let stated = format!("{},{},{}\n", run.stream, head.seq, head.hash);
            match chain.next()? {
                Some(link) if link == stated.as_bytes() => {}
                Some(_) => {
                    return Err(bad_at(
                        EVENTS,
                        Some(at),
                        "it does not chain to the hash in chain.csv",
                    ));
                }
                None => return Err(bad_at(CHAIN, Some(chain.number + 1), "it is missing")),
            }
            let judged = |bad: FirstBad| bad_at(EVENTS, Some(at), bad.what);
            let event = match &mut replay {
                None => {
                    replay = Some(Replay::begin(bytes).map_err(judged)?);
                    domain::event::Event::decode(bytes)
                        .map_err(|error| bad_at(EVENTS, Some(at), error))?
                }
                Some(replay) => replay.take(bytes).map_err(judged)?,
            };
            if event.stream != run.stream {
                return Err(bad_at(EVENTS, Some(at), "it belongs to another stream"));
            }
            found.keys.take(&event);
            if found.wanted.contains(&key_of(head)) {
                found.heads.insert(key_of(head));
            }
            tables.take(head, &event, compared)?;
        }
        match replay {
            Some(replay) if head.hash == run.hash => Ok(replay),
            _ => bad(ABOUT, format!("stream {} ends elsewhere", run.stream)),
        }
    }

    /// Checks that enclosed reports are the ones that were issued.
    fn papers(&self, papers: &BTreeMap<String, Digest>) -> Result<(), Stop> {
        let issued: BTreeMap<String, Digest> = papers
            .iter()
            .map(|(number, paper)| (report_entry(number), *paper))
            .collect();
        for name in self.names.iter().filter(|name| name.starts_with(REPORTS)) {
            let Some(paper) = issued.get(name) else {
                return bad(name, "no event says that it was issued");
            };
            if Digest(Sha256::digest(self.whole(name)?).into()) != *paper {
                return bad(name, "it is not the document that was issued");
            }
        }
        Ok(())
    }
}

/// What the events say about the rest of the archive.
#[derive(Default)]
struct Found {
    keys: Keys,
    papers: BTreeMap<String, Digest>,
    /// Places that signed heads are about.
    wanted: BTreeSet<Place>,
    /// Those of them that there are.
    heads: BTreeSet<Place>,
}

type Place = (StreamId, u64, Digest);

fn key_of(head: StreamHead) -> Place {
    (head.stream, head.seq, head.hash)
}

/// Checks the keys against the events, and the shifts' against those of their streams; counts the latter.
fn check_keys(tenant: &TenantId, keys: &Keys, found: &Keys) -> Result<u64, Stop> {
    if keys.streams != found.streams {
        return bad(KEYS, "a stream was opened with another key");
    }
    // An event without a certificate leaves it to the archive, where it must fit all the same.
    let same = |stated: &ShiftKeyOf, found: &ShiftKeyOf| {
        let certificate = match found.certificate {
            Some(_) => found.certificate.clone(),
            None => stated.certificate.clone(),
        };
        *stated
            == ShiftKeyOf {
                certificate,
                ..found.clone()
            }
    };
    let pairs = keys.shifts.iter().zip(&found.shifts);
    if keys.shifts.len() != found.shifts.len()
        || !pairs.into_iter().all(|(stated, found)| same(stated, found))
    {
        return bad(KEYS, "a shift was opened with another key");
    }
    for device in &keys.devices {
        PublicKey::parse(device.algorithm, &device.public_key)
            .map_err(|error| bad_at(KEYS, None, format!("device {}: {error}", device.device)))?;
        let of_device = keys
            .streams
            .iter()
            .filter(|key| key.device == device.device);
        let mut of_device = of_device.peekable();
        if of_device.peek().is_some() && of_device.all(|key| key.public_key != device.public_key) {
            return bad(KEYS, format!("device {} has another key", device.device));
        }
    }
    let mut signed = 0;
    for shift in &keys.shifts {
        let Some(certificate) = &shift.certificate else {
            continue;
        };
        let wrong = || {
            bad_at(
                KEYS,
                None,
                format!("the key of shift {} is not vouched for", shift.shift),
            )
        };
        let key: [u8; 32] = hex::decode(&shift.public_key)
            .ok()
            .and_then(|key| key.try_into().ok())
            .ok_or_else(wrong)?;
        let message = shift_key_message(tenant, shift.stream, shift.shift, &key);
        let signer = stream_key(keys, shift.stream).ok_or_else(wrong)?;
        let certificate = hex::decode(certificate).map_err(|_| wrong())?;
        signer.verify(&message, &certificate).map_err(|_| wrong())?;
        signed += 1;
    }
    Ok(signed)
}

fn stream_key(keys: &Keys, stream: StreamId) -> Option<PublicKey> {
    let key = keys.streams.iter().find(|key| key.stream == stream)?;
    PublicKey::parse(key.algorithm, &key.public_key).ok()
}

/// Checks signed heads; counts them.
fn check_heads(
    tenant: &TenantId,
    keys: &Keys,
    heads: &Heads,
    events: &BTreeSet<Place>,
) -> Result<u64, Stop> {
    let mut signed = 0;
    for signed_head in &heads.heads {
        let head = signed_head.head();
        let wrong = |what: &str| {
            bad_at(
                HEADS,
                None,
                format!("head {} of {} {what}", head.seq, head.stream),
            )
        };
        if !events.contains(&key_of(head)) {
            return Err(wrong("is not in the events"));
        }
        let key = stream_key(keys, head.stream).ok_or_else(|| wrong("has no key"))?;
        let message = head_message(tenant, head.stream, head.seq, head.hash);
        let signature =
            hex::decode(&signed_head.signature).map_err(|_| wrong("has no signature"))?;
        key.verify(&message, &signature)
            .map_err(|_| wrong("has a signature that does not fit"))?;
        signed += 1;
    }
    Ok(signed)
}

struct HashInto<'a>(&'a mut Sha256);

impl io::Write for HashInto<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines of an entry.
struct Lines {
    entry: &'static str,
    reader: BufReader<EntryReader<File>>,
    line: Vec<u8>,
    /// The line read last, from 1.
    number: u64,
}

impl Lines {
    fn new(entry: &'static str, reader: EntryReader<File>) -> Lines {
        Lines {
            entry,
            reader: BufReader::new(reader),
            line: Vec::new(),
            number: 0,
        }
    }

    /// The next line with its end; none behind the last.
    fn next(&mut self) -> Result<Option<&[u8]>, Stop> {
        self.line.clear();
        let mut limited = self.reader.by_ref().take(LINE_MAX);
        let read = limited
            .read_until(b'\n', &mut self.line)
            .map_err(|error| reading(self.entry, error))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if read as u64 == LINE_MAX {
            return Err(bad_at(
                self.entry,
                Some(self.number),
                "it is longer than any event",
            ));
        }
        Ok(Some(&self.line))
    }
}

/// A table of the archive, read beside the one that the events give.
struct TableReader {
    table: Table,
    reader: BufReader<EntryReader<File>>,
    buffer: Vec<u8>,
    /// Lines that were the same.
    lines: u64,
}

impl TableReader {
    fn new(table: Table, reader: EntryReader<File>) -> TableReader {
        TableReader {
            table,
            reader: BufReader::new(reader),
            buffer: Vec::new(),
            lines: 0,
        }
    }

    fn line(&mut self, wanted: &str) -> Result<(), Stop> {
        let entry = self.table.entry();
        self.buffer.clear();
        let mut next = self.reader.by_ref().take(wanted.len() as u64);
        next.read_to_end(&mut self.buffer)
            .map_err(|error| reading(entry, error))?;
        if self.buffer != wanted.as_bytes() {
            // A text may hold line ends of its own.
            let same = self.buffer.iter().zip(wanted.as_bytes());
            let same = same.take_while(|(found, wanted)| found == wanted);
            let inside = same.filter(|(found, _)| **found == b'\n').count() as u64;
            let line = Some(self.lines + inside + 1);
            return Err(bad_at(entry, line, "it is not what the events say"));
        }
        self.lines += wanted.bytes().filter(|byte| *byte == b'\n').count() as u64;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stop> {
        let entry = self.table.entry();
        let more = self
            .reader
            .fill_buf()
            .map_err(|error| reading(entry, error))?;
        if more.is_empty() {
            Ok(())
        } else {
            Err(bad_at(entry, Some(self.lines + 1), "no event says so"))
        }
    }
}

/// The tables of the archive, held against what the events give.
struct Compared {
    tables: BTreeMap<Table, TableReader>,
}

impl Sink for Compared {
    type Error = Stop;

    fn line(&mut self, table: Table, line: &str) -> Result<(), Stop> {
        match self.tables.get_mut(&table) {
            Some(reader) => reader.line(line),
            None => Ok(()),
        }
    }
}
