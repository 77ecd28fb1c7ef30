//! The container: a ZIP file of one shape only, so that every byte of it is accounted for.
//!
//! Entries follow each other without gaps in ascending order of their names, the last entry apart; each is deflated,
//! with sizes and CRC in its own header, dated 1 January 1980; then comes the directory, then its end, then nothing.
//! Any program can unpack such a file, and the same entries always give the same file. Reading takes no other shape:
//! what a lenient reader would pass over is where something can be hidden.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use flate2::bufread::DeflateDecoder;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use sha2::{Digest as _, Sha256};

use domain::ids::Digest;

/// Entries that a reader takes; an archive has a few dozen, and one for each report with papers.
const ENTRIES_MAX: usize = 20_000;
/// Longest name.
const NAME_MAX: usize = 100;
/// Most that all entries together may unpack to.
const UNPACKED_MAX: u64 = 32 << 30;
/// Deflate cannot do much better than a thousand to one; tables of figures stay far below this.
const RATIO_MAX: u64 = 200;
/// Small entries may be as repetitive as they like.
const RATIO_FREE: u64 = 1 << 20;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const LOCAL_LEN: usize = 30;
const CENTRAL_LEN: usize = 46;
const END_LEN: usize = 22;
const VERSION: u16 = 20;
/// Made on Unix, so that the mode below is understood.
const MADE_BY: u16 = (3 << 8) | VERSION;
const DEFLATED: u16 = 8;
/// 1 January 1980.
const DATE: u16 = 0x0021;
/// A plain file that all may read.
const MODE: u32 = 0o100_644 << 16;

/// An entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name, with `/` between folders.
    pub name: String,
    /// Bytes unpacked.
    pub size: u64,
    /// SHA-256 of what it unpacks to; zero for an entry that was only listed.
    pub digest: Digest,
    crc: u32,
    packed: u64,
    offset: u64,
}

fn fields(entry: &Entry) -> io::Result<Vec<u8>> {
    let small = |value: u64| {
        u32::try_from(value).map_err(|_| io::Error::other("an entry is larger than 4 GiB"))
    };
    let mut bytes = Vec::new();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(0_u16.to_le_bytes());
    bytes.extend(DEFLATED.to_le_bytes());
    bytes.extend(0_u16.to_le_bytes());
    bytes.extend(DATE.to_le_bytes());
    bytes.extend(entry.crc.to_le_bytes());
    bytes.extend(small(entry.packed)?.to_le_bytes());
    bytes.extend(small(entry.size)?.to_le_bytes());
    let name_len = u16::try_from(entry.name.len()).map_err(io::Error::other)?;
    bytes.extend(name_len.to_le_bytes());
    bytes.extend(0_u16.to_le_bytes());
    Ok(bytes)
}

fn local_header(entry: &Entry) -> io::Result<Vec<u8>> {
    let mut bytes = LOCAL.to_le_bytes().to_vec();
    bytes.extend(fields(entry)?);
    bytes.extend(entry.name.as_bytes());
    Ok(bytes)
}

fn central_header(entry: &Entry) -> io::Result<Vec<u8>> {
    let mut bytes = CENTRAL.to_le_bytes().to_vec();
    bytes.extend(MADE_BY.to_le_bytes());
    bytes.extend(fields(entry)?);
    // No comment, first disk, no internal attributes.
    bytes.extend([0; 6]);
    bytes.extend(MODE.to_le_bytes());
    let offset = u32::try_from(entry.offset)
        .map_err(|_| io::Error::other("the archive is larger than 4 GiB"))?;
    bytes.extend(offset.to_le_bytes());
    bytes.extend(entry.name.as_bytes());
    Ok(bytes)
}

fn end_record(count: usize, size: u64, offset: u64) -> io::Result<Vec<u8>> {
    let count = u16::try_from(count).map_err(io::Error::other)?;
    let small = |value: u64| {
        u32::try_from(value).map_err(|_| io::Error::other("the archive is larger than 4 GiB"))
    };
    let mut bytes = END.to_le_bytes().to_vec();
    bytes.extend([0; 4]);
    bytes.extend(count.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(small(size)?.to_le_bytes());
    bytes.extend(small(offset)?.to_le_bytes());
    bytes.extend([0; 2]);
    Ok(bytes)
}

/// Names that mean the same file everywhere, and none outside the folder that it is unpacked into.
fn is_plain_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    !name.is_empty()
        && name.len() <= NAME_MAX
        && name.chars().all(allowed)
        && name
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.'))
}

/// Writes an archive.
pub struct ZipWriter<W> {
    out: W,
    offset: u64,
    entries: Vec<Entry>,
}

impl<W: Write + Seek> ZipWriter<W> {
    /// An archive at the beginning of `out`, which is empty.
    pub fn new(out: W) -> ZipWriter<W> {
        ZipWriter {
            out,
            offset: 0,
            entries: Vec::new(),
        }
    }

    /// Adds an entry; `fill` writes its content.
    ///
    /// # Errors
    /// The error of `fill`; the output's.
    pub fn add<E: From<io::Error>>(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        debug_assert!(is_plain_name(name), "{name}");
        let mut entry = Entry {
            name: name.to_owned(),
            size: 0,
            digest: Digest([0; 32]),
            crc: 0,
            packed: 0,
            offset: self.offset,
        };
        let header_len = local_header(&entry)?.len() as u64;
        let data = self.offset + header_len;
        self.out.seek(SeekFrom::Start(data))?;
        (entry.size, entry.crc, entry.digest) = pack(&mut self.out, fill)?;
        let end = self.out.stream_position()?;
        entry.packed = end - data;
        // Sizes are known only now, and a header that has them can be read without the directory.
        self.out.seek(SeekFrom::Start(self.offset))?;
        self.out.write_all(&local_header(&entry)?)?;
        self.offset = end;
        self.entries.push(entry);
        Ok(())
    }

    /// What was added so far.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Writes the directory.
    ///
    /// # Errors
    /// The output's.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.seek(SeekFrom::Start(self.offset))?;
        let mut size = 0;
        for entry in &self.entries {
            let header = central_header(entry)?;
            self.out.write_all(&header)?;
            size += header.len() as u64;
        }
        self.out
            .write_all(&end_record(self.entries.len(), size, self.offset)?)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Deflates what `fill` writes; gives its size, CRC and digest.
fn pack<W: Write, E: From<io::Error>>(
    out: W,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(u64, u32, Digest), E> {
    let mut content = Content {
        packer: DeflateEncoder::new(out, Compression::new(6)),
        crc: Crc::new(),
        hasher: Sha256::new(),
        size: 0,
    };
    fill(&mut content)?;
    content.packer.finish()?;
    let digest = Digest(content.hasher.finalize().into());
    Ok((content.size, content.crc.sum(), digest))
}

struct Content<W: Write> {
    packer: DeflateEncoder<W>,
    crc: Crc,
    hasher: Sha256,
    size: u64,
}

impl<W: Write> Write for Content<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.packer.write_all(bytes)?;
        self.crc.update(bytes);
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a file is no archive.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// The container is not of the one shape.
    #[error("{what}")]
    Shape {
        /// Entry concerned, empty for the file as a whole.
        entry: String,
        /// What is wrong.
        what: &'static str,
    },
}

fn shape<T>(entry: &str, what: &'static str) -> Result<T, ZipError> {
    Err(ZipError::Shape {
        entry: entry.to_owned(),
        what,
    })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Reads the directory of an archive and checks that nothing but it and its entries is in the file.
///
/// # Errors
/// [`ZipError`].
pub fn list(file: &mut (impl Read + Seek)) -> Result<Vec<Entry>, ZipError> {
    let length = file.seek(SeekFrom::End(0))?;
    let (count, size, offset) = find_end(file, length)?;
    if count > ENTRIES_MAX {
        return shape("", "it has too many entries");
    }
    if offset + size + END_LEN as u64 != length {
        return shape("", "its directory is not where its end says");
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut directory = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    file.read_exact(&mut directory)?;
    let mut entries: Vec<Entry> = Vec::new();
    let (mut at, mut next, mut unpacked) = (0, 0, 0);
    for _ in 0..count {
        let entry = read_entry(&directory, at)?;
        let name = entry.name.as_str();
        let header = central_header(&entry)?;
        if directory.get(at..at + header.len()) != Some(header.as_slice()) {
            return shape(name, "its header is of another shape");
        }
        at += header.len();
        // The last entry is about all others and stands behind them.
        if at < directory.len()
            && entries
                .last()
                .is_some_and(|last| last.name.as_str() >= name)
        {
            return shape(name, "it is there twice, or not in its place");
        }
        if entries.iter().any(|other| other.name == name) {
            return shape(name, "it is there twice, or not in its place");
        }
        if entry.offset != next {
            return shape(name, "something lies before it that is no entry");
        }
        if entry.size > RATIO_FREE && entry.size / RATIO_MAX > entry.packed {
            return shape(name, "it unpacks to more than an archive holds");
        }
        unpacked += entry.size;
        if unpacked > UNPACKED_MAX {
            return shape(name, "it unpacks to more than an archive holds");
        }
        let local = local_header(&entry)?;
        next += local.len() as u64 + entry.packed;
        if next > offset {
            return shape(name, "it does not end before the directory");
        }
        file.seek(SeekFrom::Start(entry.offset))?;
        let mut found = vec![0; local.len()];
        file.read_exact(&mut found)?;
        if found != local {
            return shape(name, "its header differs from the directory");
        }
        entries.push(entry);
    }
    if at != directory.len() {
        return shape("", "its directory holds more than its entries");
    }
    if next != offset {
        return shape("", "something lies before the directory that is no entry");
    }
    Ok(entries)
}

fn find_end(file: &mut (impl Read + Seek), length: u64) -> Result<(usize, u64, u64), ZipError> {
    let mut tail = Vec::new();
    let window = length.min(u64::from(u16::MAX) + END_LEN as u64);
    file.seek(SeekFrom::Start(length - window))?;
    file.by_ref().take(window).read_to_end(&mut tail)?;
    let at_end = tail.len().checked_sub(END_LEN).map(|at| &tail[at..]);
    if let Some(record) = at_end.filter(|record| u32_at(record, 0) == END) {
        let count = usize::from(u16_at(record, 10));
        let (size, offset) = (u64::from(u32_at(record, 12)), u64::from(u32_at(record, 16)));
        if end_record(count, size, offset)? != record {
            return shape("", "its end is of another shape");
        }
        return Ok((count, size, offset));
    }
    let mut starts = [0; 4];
    file.seek(SeekFrom::Start(0))?;
    let is_zip = length >= 4 && {
        file.read_exact(&mut starts)?;
        [LOCAL, END].contains(&u32::from_le_bytes(starts))
    };
    if !is_zip {
        return shape("", "it is no archive");
    }
    let end = END.to_le_bytes();
    let inside = tail.windows(end.len()).rposition(|window| window == end);
    match inside {
        Some(at) if tail.len() - at > END_LEN => shape("", "something follows its end"),
        _ => shape("", "its end is missing"),
    }
}

fn read_entry(directory: &[u8], at: usize) -> Result<Entry, ZipError> {
    let Some(header) = directory.get(at..at + CENTRAL_LEN) else {
        return shape("", "its directory is cut short");
    };
    if u32_at(header, 0) != CENTRAL {
        return shape("", "its directory holds more than its entries");
    }
    let name_len = usize::from(u16_at(header, 28));
    let name = directory
        .get(at + CENTRAL_LEN..at + CENTRAL_LEN + name_len)
        .and_then(|name| std::str::from_utf8(name).ok())
        .filter(|name| is_plain_name(name));
    let Some(name) = name else {
        return shape("", "an entry has a name that no archive gives");
    };
    Ok(Entry {
        name: name.to_owned(),
        size: u64::from(u32_at(header, 24)),
        digest: Digest([0; 32]),
        crc: u32_at(header, 16),
        packed: u64::from(u32_at(header, 20)),
        offset: u64::from(u32_at(header, 42)),
    })
}

/// Content of an entry. Gives an error of kind `InvalidData` at the first sign that it is not what its header says,
/// and never more bytes than that.
pub struct EntryReader<R: Read> {
    unpacker: DeflateDecoder<io::Take<BufReader<R>>>,
    crc: Crc,
    left: u64,
    wanted_crc: u32,
    done: bool,
}

/// Opens an entry that [`list`] found in `file`.
///
/// # Errors
/// The file's.
pub fn open<R: Read + Seek>(mut file: R, entry: &Entry) -> io::Result<EntryReader<R>> {
    let data = entry.offset + (LOCAL_LEN + entry.name.len()) as u64;
    file.seek(SeekFrom::Start(data))?;
    Ok(EntryReader {
        unpacker: DeflateDecoder::new(BufReader::new(file).take(entry.packed)),
        crc: Crc::new(),
        left: entry.size,
        wanted_crc: entry.crc,
        done: false,
    })
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl<R: Read> Read for EntryReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.done || buffer.is_empty() {
            return Ok(0);
        }
        let read = self
            .unpacker
            .read(buffer)
            .map_err(|_| invalid("it cannot be unpacked"))?;
        self.crc.update(&buffer[..read]);
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| invalid("it unpacks to more than its header says"))?;
        if read == 0 {
            self.done = true;
            if self.left > 0 {
                return Err(invalid("it unpacks to less than its header says"));
            }
            if self.crc.sum() != self.wanted_crc {
                return Err(invalid("its checksum differs"));
            }
            if self.unpacker.get_ref().limit() > 0 {
                return Err(invalid("something follows its content"));
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn small() -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in [("a.txt", "first"), ("b/c.csv", ""), ("hashes.txt", "last")] {
            writer
                .add(name, |out| out.write_all(text.as_bytes()))
                .expect("entry");
        }
        writer.finish().expect("directory").into_inner()
    }

    fn read_all(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ZipError> {
        let mut file = Cursor::new(bytes);
        let mut found = Vec::new();
        for entry in list(&mut file)? {
            let mut content = Vec::new();
            open(&mut file, &entry)?.read_to_end(&mut content)?;
            found.push((entry.name, content));
        }
        Ok(found)
    }

    #[test]
    fn what_was_written_is_read_and_always_the_same_bytes() {
        let bytes = small();
        assert_eq!(bytes, small());
        let found = read_all(&bytes).expect("archive");
        assert_eq!(found[0], ("a.txt".to_owned(), b"first".to_vec()));
        assert_eq!(found[1], ("b/c.csv".to_owned(), Vec::new()));
        assert_eq!(found[2].1, b"last");
    }

    #[test]
    fn no_byte_can_change_or_go_or_come() {
        let bytes = small();
        let whole = read_all(&bytes).expect("archive");
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                // Deflate has bits that mean nothing; what the content is, is what counts.
                if let Ok(found) = read_all(&flipped) {
                    assert_eq!(found, whole, "byte {at} bit {bit}");
                }
            }
            assert!(read_all(&bytes[..at]).is_err(), "cut at {at}");
            let mut longer = bytes.clone();
            longer.insert(at, 0);
            assert!(read_all(&longer).is_err(), "one more at {at}");
        }
        let mut longer = bytes;
        longer.push(b'\n');
        let refused = read_all(&longer).expect_err("something follows");
        assert_eq!(refused.to_string(), "something follows its end");
    }

    #[test]
    fn names_that_lead_elsewhere_and_twins_are_refused() {
        for name in [
            "/etc/passwd",
            "../x",
            "a/../../b",
            "C:\\x",
            "a//b",
            ".hidden",
            "a/",
        ] {
            assert!(!is_plain_name(name), "{name}");
        }
        let named = |names: [&str; 3]| {
            let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
            for name in names {
                writer.add(name, |out| out.write_all(b"x")).expect("entry");
            }
            writer.finish().expect("directory").into_inner()
        };
        assert!(read_all(&named(["a", "b", "c"])).is_ok());
        for twins in [["a", "a", "c"], ["b", "a", "c"], ["a", "b", "a"]] {
            let refused = read_all(&named(twins)).expect_err("twins");
            assert_eq!(
                refused.to_string(),
                "it is there twice, or not in its place"
            );
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer
            .add("zeros", |out| {
                (0..64).try_for_each(|_| out.write_all(&[0; 1 << 20]))
            })
            .expect("entry");
        let bytes = writer.finish().expect("directory").into_inner();
        let refused = read_all(&bytes).expect_err("a bomb");
        assert_eq!(
            refused.to_string(),
            "it unpacks to more than an archive holds"
        );
    }
}
