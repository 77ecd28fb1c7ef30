//! Bit rot: single bits of the ledger's file are flipped, and the file is cut at every page. What changes what
//! the rows say must be noticed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use anyhow::{Result, ensure};
use ledger::Ledger;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use testkit::disk::{MemDisk, Snapshot};
use testkit::rng::Rng;
use testkit::shop::{BALL_UPC, SHOE_43_EAN, SOCKS, Setup, TEE, approval};
use till::door::Command;

use super::{Budget, Figures};

/// Tables in which the search index keeps its words. They are compared by what searches find.
const WORDS: &str = "item_words";

const PAGE: usize = 4_096;

/// What was found.
#[derive(Debug, Default)]
pub struct Rot {
    /// Counts.
    pub figures: Figures,
    /// Flips that changed rows of a table, or what a search finds, and went unnoticed.
    pub missed: BTreeMap<String, u64>,
}

/// A ledger with some days in it, in one file.
fn file(sales: u64) -> Vec<u8> {
    let mut shop = Setup::tunisia().with_stamp().on_disk().build();
    shop.open();
    for sale in 0..sales {
        shop.advance_ms(45_000);
        let codes = [BALL_UPC, SHOE_43_EAN, TEE, SOCKS];
        shop.scan(codes[(sale % 4) as usize]);
        let done = shop.pay_cash(None);
        if sale % 9 == 3 {
            shop.ok(Command::ReverseSale {
                number: done.number.clone(),
                reason: "erreur".to_owned(),
                approval: Some(approval()),
            });
            shop.ok(Command::Reprint {
                number: done.number,
            });
        }
        if sale == sales / 2 {
            shop.close_exact();
            shop.advance_days(1);
            shop.sign_in(testkit::shop::CASHIER);
            shop.open_shift(100_000);
        }
    }
    shop.close_till();
    shop.disk()
        .snapshot()
        .files
        .remove("ledger.db")
        .unwrap_or_default()
}

/// Every word that a search may ask for.
fn words(path: &Path) -> Result<Vec<String>> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut statement = conn.prepare("SELECT word FROM word ORDER BY word")?;
    let words = statement.query_map([], |row| row.get(0))?;
    Ok(words.collect::<Result<_, _>>()?)
}

/// What searches find by words and their beginnings.
fn searched(conn: &Connection, words: &[String]) -> rusqlite::Result<u64> {
    let mut hasher = DefaultHasher::new();
    let mut statement = conn.prepare("SELECT rowid FROM item_words WHERE item_words MATCH ?1")?;
    for word in words {
        let ends = word.char_indices().map(|(at, c)| at + c.len_utf8());
        let beginnings = ends.map(|end| format!("\"{}\"*", &word[..end]));
        for question in beginnings.chain([format!("\"{word}\"")]) {
            let mut rows = statement.query([&question])?;
            while let Some(row) = rows.next()? {
                (&question, row.get::<_, i64>(0)?).hash(&mut hasher);
            }
        }
    }
    Ok(hasher.finish())
}

/// Hash of the rows of every table, read past the indexes; the error's text where they cannot be read.
fn content(path: &Path, words: &[String]) -> BTreeMap<String, Result<u64, String>> {
    let read = |conn: &Connection, table: &str| -> rusqlite::Result<u64> {
        let mut hasher = DefaultHasher::new();
        let mut statement = conn.prepare(&format!("SELECT * FROM \"{table}\" NOT INDEXED"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                match row.get_ref(column)? {
                    ValueRef::Null => 0.hash(&mut hasher),
                    ValueRef::Integer(value) => (1, value).hash(&mut hasher),
                    ValueRef::Real(value) => (2, value.to_bits()).hash(&mut hasher),
                    ValueRef::Text(value) => (3, value).hash(&mut hasher),
                    ValueRef::Blob(value) => (4, value).hash(&mut hasher),
                }
            }
        }
        Ok(hasher.finish())
    };
    let all = || -> rusqlite::Result<BTreeMap<String, Result<u64, String>>> {
        let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let names: Vec<String> = conn
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let mut tables: BTreeMap<_, _> = names
            .into_iter()
            .filter(|name| !name.starts_with(WORDS))
            .map(|name| {
                let hash = read(&conn, &name).map_err(|error| error.to_string());
                (name, hash)
            })
            .collect();
        tables.insert(
            WORDS.to_owned(),
            searched(&conn, words).map_err(|error| error.to_string()),
        );
        tables.insert(
            "sqlite_schema".to_owned(),
            read(&conn, "sqlite_schema").map_err(|error| error.to_string()),
        );
        Ok(tables)
    };
    all().unwrap_or_else(|error| BTreeMap::from([("file".to_owned(), Err(error.to_string()))]))
}

fn is_noticed(path: &Path) -> bool {
    match Ledger::open_read_only(path) {
        Ok(ledger) => !ledger.verify().is_ok_and(|report| report.ok),
        Err(_) => true,
    }
}

/// Flips bits until the budget is spent.
///
/// # Errors
/// When the sound file does not verify.
pub fn flips(sales: u64, budget: &Budget, seed: u64) -> Result<Rot> {
    let disk = MemDisk::new(seed);
    let mut bytes = file(sales);
    let put = |bytes: &[u8]| {
        let files = BTreeMap::from([("ledger.db".to_owned(), bytes.to_vec())]);
        disk.restore(&Snapshot { files });
    };
    let path = disk.folder().join("ledger.db");
    put(&bytes);
    ensure!(!is_noticed(&path), "the sound file is refused");
    let words = words(&path)?;
    ensure!(words.len() > 10, "{} words", words.len());
    let sound = content(&path, &words);
    let mut rng = Rng::new(seed);
    let mut rot = Rot::default();
    while !budget.is_spent(rot.figures.get("flips")) {
        let at = usize::try_from(rng.below(bytes.len() as u64))?;
        let bit = 1 << rng.below(8);
        bytes[at] ^= bit;
        put(&bytes);
        bytes[at] ^= bit;
        let noticed = is_noticed(&path);
        let found = content(&path, &words);
        let mut changed = found
            .iter()
            .filter(|(name, hash)| sound.get(*name) != Some(hash))
            .map(|(name, _)| name.clone())
            .peekable();
        rot.figures.add("flips", 1);
        let name = match (changed.peek().is_some(), noticed) {
            (true, true) => "changed_noticed",
            (true, false) => "changed_missed",
            (false, true) => "unchanged_noticed",
            (false, false) => "no_effect",
        };
        rot.figures.add(name, 1);
        if !noticed {
            for name in changed {
                *rot.missed.entry(name).or_insert(0) += 1;
            }
        }
    }
    Ok(rot)
}

/// Cuts the file at every page.
///
/// # Errors
/// At the first cut that goes unnoticed.
pub fn truncations(sales: u64) -> Result<Figures> {
    let disk = MemDisk::new(1);
    let bytes = file(sales);
    let path = disk.folder().join("ledger.db");
    let mut figures = Figures::default();
    for length in (0..bytes.len()).step_by(PAGE) {
        let files = BTreeMap::from([("ledger.db".to_owned(), bytes[..length].to_vec())]);
        disk.restore(&Snapshot { files });
        ensure!(
            is_noticed(&path),
            "a file of {length} of {} bytes passes",
            bytes.len()
        );
        figures.add("truncations", 1);
    }
    Ok(figures)
}
