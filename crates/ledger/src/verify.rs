//! Recomputing everything from the stored bytes. SQLite's own check misses a good part of the bit flips that
//! change what a file says; a chain computed anew from the rows misses none.

use std::collections::{BTreeMap, BTreeSet};

use domain::catalog::Variant;
use domain::event::{
    Adopted, ClosingRef, ClosingSupplemented, Event, EventError, Fact, PeriodClosed, PeriodKind,
    PeriodTotals, Reprinted, Reversed, SaleBody, ShiftClosed, ShiftOpened, SlipNumber, Span,
    StreamHead, StreamOpened, chain_hash, genesis_hash,
};
use domain::ids::{Digest, EventId, LocationId, SaleId, ShiftId, StreamId, VariantId};
use domain::number::{receipt_number, slip_number};
use domain::time::Hlc;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sync_protocol::FeedName;
use sync_protocol::feed::{HeadReport, checksum_add, row_checksum};
use uuid::Uuid;

use crate::books::{Books, OpenBooks, shift_of};
use crate::catalogue::barcode_key;
use crate::error::{LedgerError, StorageKind};
use crate::feed::{parse_name, understands};
use crate::goods::Goods;
use crate::ledger::{Identity, Ledger};
use crate::open::{schema_expected, schema_of};
use crate::periods::{Gathering, holds, kind_code, shorter};
use crate::projection::{
    Standing, balances, chains, counts_late, encode_totals, is_in_series, may_be_of_before,
    movements, opened_or_closed, year_of_number,
};
use crate::rights::{Place, given_by, learned_by, used_by};
use crate::signatures::SignatureReport;
use crate::sql::{Id, N};
use crate::stock::encode_moves;

/// The first row that is not what the journal says it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FirstBad {
    /// Table, or `file` where SQLite itself finds damage.
    pub table: String,
    /// Key of the row.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

/// Where a feed stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FeedReport {
    /// Version.
    pub ver: u64,
    /// Checksum over the stored rows.
    pub checksum: u64,
}

/// Result of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Nothing bad was found.
    pub ok: bool,
    /// The first bad row; checking ends there.
    pub first_bad: Option<FirstBad>,
    /// Heads of the streams in the file, as far as they are sound.
    pub streams: BTreeMap<StreamId, HeadReport>,
    /// Feeds in the file.
    pub feeds: BTreeMap<FeedName, FeedReport>,
    /// How much of it the device has signed.
    pub signatures: SignatureReport,
    /// Hashes of what the events add up to; the same events give the same hashes on any machine.
    pub projections: BTreeMap<String, Digest>,
}

impl Ledger {
    /// Recomputes chain, numbers, postings, drawer, stock, Z reports and feeds from the stored rows, and
    /// compares. Sees one state of the file, also while another connection writes.
    ///
    /// # Errors
    /// [`LedgerError::Storage`] when the file cannot be read; damage is no error but the report's finding.
    pub fn verify(&self) -> Result<VerifyReport, LedgerError> {
        let own_transaction = self.conn()?.is_autocommit();
        if own_transaction {
            self.prepare("BEGIN")?.execute([])?;
        }
        let mut verifier = Verifier {
            ledger: self,
            report: VerifyReport {
                ok: true,
                first_bad: None,
                streams: BTreeMap::new(),
                feeds: BTreeMap::new(),
                signatures: SignatureReport::default(),
                projections: BTreeMap::new(),
            },
        };
        let result = verifier.run();
        if own_transaction {
            self.prepare("ROLLBACK")?.execute([])?;
        }
        let mut report = verifier.report;
        report.first_bad = match result {
            Ok(()) => None,
            Err(Stop::Bad(bad)) => Some(bad),
            Err(Stop::Failed(LedgerError::Corrupt { table, key, what })) => {
                Some(FirstBad::new(table, key, what))
            }
            Err(Stop::Failed(error)) if error.storage_kind() == Some(StorageKind::Corrupt) => {
                Some(FirstBad::new("file", "", error_text(&error)))
            }
            Err(Stop::Failed(error)) => return Err(error),
        };
        report.ok = report.first_bad.is_none();
        Ok(report)
    }
}

fn error_text(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), error_text)
}

impl FirstBad {
    pub(crate) fn new(table: &str, key: impl ToString, what: impl ToString) -> FirstBad {
        FirstBad {
            table: table.to_owned(),
            key: key.to_string(),
            what: what.to_string(),
        }
    }
}

pub(crate) enum Stop {
    Bad(FirstBad),
    Failed(LedgerError),
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Stop {
        Stop::Failed(error)
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Stop {
        Stop::Failed(error.into())
    }
}

fn bad<T>(table: &str, key: impl ToString, what: impl ToString) -> Result<T, Stop> {
    Err(Stop::Bad(FirstBad::new(table, key, what)))
}

struct Verifier<'a> {
    ledger: &'a Ledger,
    report: VerifyReport,
}

#[derive(Debug, PartialEq, Eq)]
struct ReceiptRow {
    seq: u64,
    kind: i64,
    sale: SaleId,
    number: String,
    total_minor: i64,
    reversed_by: Option<String>,
    moves: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
struct ShiftRow {
    shift: ShiftId,
    drawer: u32,
    business_date: String,
    closed_seq: Option<u64>,
    z_number: Option<u64>,
    totals: Option<String>,
}

/// Whose journal it is, as its first event says.
pub(crate) struct Origin {
    pub identity: Identity,
    pub opened: StreamOpened,
}

/// What the tables must hold, built up event by event.
pub(crate) struct Expected {
    head: StreamHead,
    hlc: Hlc,
    ids: BTreeSet<EventId>,
    /// By series, fiscal year and sequence.
    receipts: BTreeMap<Numbered, ReceiptRow>,
    receipt_of: BTreeMap<SaleId, Numbered>,
    shifts: BTreeMap<u64, ShiftRow>,
    z_number: u64,
    books: Books,
    copies: BTreeMap<String, u32>,
    /// Slips by series, fiscal year and sequence: the event.
    slips: BTreeMap<Numbered, u64>,
    /// Closings by kind and number: the event.
    periods: BTreeMap<(i64, u64), u64>,
    /// Hash of the document of each report that states one, and whether it was issued here: another may have been
    /// left behind in the file of its stream.
    papers: BTreeMap<String, (Digest, bool)>,
    /// What lies after the last closing of each kind, shortest first.
    running: BTreeMap<PeriodKind, Running>,
    stock: BTreeMap<(VariantId, LocationId, String), i64>,
    /// What was added to rights and spent of them, by place.
    rights: BTreeMap<Place, (i64, i64)>,
    /// Totals that were moved to other streams.
    given: BTreeMap<(Place, StreamId), i64>,
    /// Counts that were learned of, and the event that said so.
    learned: BTreeMap<(StreamId, u64), u64>,
    /// What facts of the stockroom moved or found, by variant, event and zone.
    goods: BTreeMap<(VariantId, u64, String), (bool, i64)>,
    /// Their documents by event, with the kind of the fact where one may stand once only.
    documents: BTreeMap<u64, Option<Uuid>>,
    single: BTreeSet<(&'static str, Uuid)>,
    /// What lies damaged or is in transit, by account and variant.
    held: BTreeMap<(String, VariantId), i64>,
    /// Adopted events by their own id.
    adopted: BTreeMap<EventId, AdoptedRow>,
    /// Hashes after adopted events, by their place.
    adopted_hashes: BTreeMap<(StreamId, u64), Vec<Digest>>,
    /// The stream has events of its own after its opening.
    begun: bool,
    /// What came late and is in no closing and no supplement yet.
    late: Vec<(StreamHead, Fact)>,
    /// All that came late.
    all_late: Vec<(StreamHead, Fact)>,
    /// Where closings were first written, by kind and number.
    closings: BTreeMap<(i64, u64), StreamHead>,
    /// Supplements by kind, closing and number: the event.
    supplements: BTreeMap<(i64, u64, u64), u64>,
}

/// Series, fiscal year and sequence.
type Numbered = (String, i32, u64);

#[derive(Debug, PartialEq, Eq)]
struct AdoptedRow {
    seq: u64,
    at: StreamHead,
}

/// A fact and how it stands.
struct Taken<'a> {
    seq: u64,
    fact: &'a Fact,
    stream: StreamId,
    standing: Standing,
}

impl Taken<'_> {
    fn is_own(&self) -> bool {
        self.standing == Standing::Own
    }
}

/// What a closing of a kind would hold if it were written now.
struct Running {
    gathering: Gathering,
    from_seq: u64,
    last: Option<ClosingRef>,
}

impl Running {
    fn after(from_seq: u64, last: Option<ClosingRef>) -> Running {
        Running {
            gathering: Gathering::new(),
            from_seq,
            last,
        }
    }
}

impl Verifier<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        let expected = self.journal()?;
        self.report.streams.insert(
            expected.head.stream,
            HeadReport {
                seq: expected.head.seq,
                hash: expected.head.hash,
            },
        );
        self.receipts(&expected)?;
        self.shifts(&expected)?;
        self.sums(&expected)?;
        self.rights(&expected)?;
        self.stockroom(&expected)?;
        self.acks(&expected)?;
        self.hash_projections(&expected);
        self.report.signatures = match self.ledger.check_signatures()? {
            Ok(report) => report,
            Err((table, key, what)) => return bad(table, key, what),
        };
        self.feeds()?;
        self.items()?;
        if let Some((table, key)) = self.ledger.first_unproven()? {
            return bad(table, key, "it differs from its proof");
        }
        if let Some((word, what)) = self.ledger.first_bad_word()? {
            return bad("item_words", word, what);
        }
        self.file()
    }

    fn journal(&mut self) -> Result<Expected, Stop> {
        let ledger = self.ledger;
        let origin = Origin {
            identity: ledger.identity().clone(),
            opened: ledger.opened.clone(),
        };
        let mut expected = Expected::new(&origin);
        let mut statement = ledger.prepare(
            "SELECT seq, id, hlc, wall, kind, schema, bytes, hash FROM event ORDER BY seq",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let seq: u64 = row.get(0)?;
            if seq != expected.head.seq + 1 {
                return bad("event", expected.head.seq + 1, "it is missing");
            }
            let bytes: Vec<u8> = row.get(6)?;
            let hash = chain_hash(expected.head.hash, &bytes);
            if hash != Digest(row.get(7)?) {
                return bad("event", seq, "it does not chain to the one before it");
            }
            let event = match Event::decode(&bytes) {
                Ok(event) => event,
                Err(error) => return bad("event", seq, error),
            };
            let columns = (
                EventId(row.get::<_, Id>(1)?.0),
                Hlc(row.get::<_, i64>(2)?.cast_unsigned()),
                row.get::<_, i64>(3)?,
                row.get::<_, String>(4)?,
                row.get::<_, u32>(5)?,
            );
            let envelope = (
                event.id,
                event.hlc,
                event.wall,
                event.kind.clone(),
                event.schema,
            );
            if columns != envelope {
                return bad("event", seq, "its columns differ from its text");
            }
            expected.event(&origin, hash, &event)?;
        }
        if expected.head.seq == 0 {
            return bad("event", 1, "it is missing");
        }
        if expected.head.seq < ledger.head().seq {
            return bad("event", expected.head.seq + 1, "it is missing");
        }
        Ok(expected)
    }

    fn receipts(&self, expected: &Expected) -> Result<(), Stop> {
        let mut statement = self.ledger.prepare(
            "SELECT series, fiscal_year, number_seq, seq, kind, sale, number, total_minor, reversed_by, moves \
             FROM receipt ORDER BY series, fiscal_year, number_seq",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((
                (row.get(0)?, row.get(1)?, row.get(2)?),
                ReceiptRow {
                    seq: row.get(3)?,
                    kind: row.get(4)?,
                    sale: SaleId(row.get::<_, Id>(5)?.0),
                    number: row.get(6)?,
                    total_minor: row.get(7)?,
                    reversed_by: row.get(8)?,
                    moves: row.get(9)?,
                },
            ))
        })?;
        let own = self.ledger.identity().stream.series();
        compare(
            "receipt",
            &expected.receipts,
            rows,
            |(series, year, seq)| {
                if *series == own {
                    format!("{year}-{seq:06}")
                } else {
                    format!("{series}-{year}-{seq:06}")
                }
            },
        )
    }

    fn shifts(&self, expected: &Expected) -> Result<(), Stop> {
        let mut statement = self.ledger.prepare(
            "SELECT opened_seq, shift, drawer, business_date, closed_seq, z_number, totals FROM shift \
             ORDER BY opened_seq",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get(0)?,
                ShiftRow {
                    shift: ShiftId(row.get::<_, Id>(1)?.0),
                    drawer: row.get(2)?,
                    business_date: row.get(3)?,
                    closed_seq: row.get(4)?,
                    z_number: row.get(5)?,
                    totals: row.get(6)?,
                },
            ))
        })?;
        compare("shift", &expected.shifts, rows, u64::to_string)
    }

    fn sums(&self, expected: &Expected) -> Result<(), Stop> {
        let stored = self.ledger.read_books()?;
        if stored.perpetual_minor != expected.books.perpetual_minor {
            return bad("books", "perpetual", "it is not the sum of the receipts");
        }
        let accounts = stored.accounts.into_iter().map(Ok);
        compare("books", &expected.books.accounts, accounts, |code| {
            format!("account {code}")
        })?;
        let open = stored.open.into_iter().map(Ok);
        compare("books", &expected.books.open, open, |seq| {
            format!("shift {seq}")
        })?;
        let mut statement = self
            .ledger
            .prepare("SELECT number, copies FROM copy ORDER BY number")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        compare("copy", &expected.copies, rows, String::clone)?;
        let mut statement = self
            .ledger
            .prepare("SELECT series, fiscal_year, number_seq, seq FROM slip ORDER BY 1, 2, 3")?;
        let rows = statement.query_map([], |row| {
            Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?))
        })?;
        let own = self.ledger.identity().stream.series();
        compare("slip", &expected.slips, rows, |(series, year, seq)| {
            if *series == own {
                format!("{year}-C{seq:06}")
            } else {
                format!("{series}-{year}-C{seq:06}")
            }
        })?;
        let mut statement = self
            .ledger
            .prepare("SELECT id, seq, stream, old_seq, hash FROM adopted ORDER BY id")?;
        let rows = statement.query_map([], |row| {
            Ok((
                EventId(row.get::<_, Id>(0)?.0),
                AdoptedRow {
                    seq: row.get(1)?,
                    at: StreamHead {
                        stream: StreamId(row.get(2)?),
                        seq: row.get(3)?,
                        hash: Digest(row.get(4)?),
                    },
                },
            ))
        })?;
        compare("adopted", &expected.adopted, rows, EventId::to_string)?;
        let mut statement = self
            .ledger
            .prepare("SELECT kind, closing, number, seq FROM supplement ORDER BY 1, 2, 3")?;
        let rows = statement.query_map([], |row| {
            Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?))
        })?;
        compare(
            "supplement",
            &expected.supplements,
            rows,
            |(kind, closing, number)| format!("{kind} {closing} {number}"),
        )?;
        let mut statement = self
            .ledger
            .prepare("SELECT kind, number, seq FROM period ORDER BY 1, 2")?;
        let rows = statement.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
        compare("period", &expected.periods, rows, |(kind, number)| {
            format!("{kind} {number}")
        })?;
        for (number, (paper, issued_here)) in &expected.papers {
            let kept = self.ledger.report_document(number)?;
            let same = |text: String| Digest(Sha256::digest(text).into()) == *paper;
            if !kept.map_or(!issued_here, same) {
                return bad("report", number, "it is not the document that was issued");
            }
        }
        Ok(())
    }

    fn rights(&self, expected: &Expected) -> Result<(), Stop> {
        let place = |variant: Id, location: String| {
            LocationId::new(&location)
                .map(|location| (VariantId(variant.0), location))
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
        };
        let named = |(variant, location): &Place| format!("{variant} {location}");
        let mut statement = self.ledger.prepare(
            "SELECT variant, location, minted, consumed FROM right_used ORDER BY variant, location",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((place(row.get(0)?, row.get(1)?)?, (row.get(2)?, row.get(3)?)))
        })?;
        compare("right_used", &expected.rights, rows, named)?;
        let mut statement = self.ledger.prepare(
            "SELECT variant, location, to_stream, total FROM right_given ORDER BY variant, location, to_stream",
        )?;
        let rows = statement.query_map([], |row| {
            let place = place(row.get(0)?, row.get(1)?)?;
            Ok(((place, StreamId(row.get(2)?)), row.get(3)?))
        })?;
        compare("right_given", &expected.given, rows, |(place, to)| {
            format!("{} {to}", named(place))
        })?;
        let mut statement = self.ledger.prepare(
            "SELECT stream, count_seq, seq FROM count_learned ORDER BY stream, count_seq",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(((StreamId(row.get(0)?), row.get(1)?), row.get(2)?))
        })?;
        compare("count_learned", &expected.learned, rows, |(stream, seq)| {
            format!("{stream} {seq}")
        })
    }

    fn stockroom(&self, expected: &Expected) -> Result<(), Stop> {
        let mut statement = self.ledger.prepare(
            "SELECT variant, seq, zone, counted, quantity FROM goods ORDER BY variant, seq, zone",
        )?;
        let rows = statement.query_map([], |row| {
            let variant = VariantId(row.get::<_, Id>(0)?.0);
            Ok((
                (variant, row.get(1)?, row.get(2)?),
                (row.get(3)?, row.get(4)?),
            ))
        })?;
        compare("goods", &expected.goods, rows, |(variant, seq, zone)| {
            format!("{variant} {seq} {zone}")
        })?;
        let mut statement = self
            .ledger
            .prepare("SELECT seq, document FROM goods_document ORDER BY seq")?;
        let rows = statement.query_map([], |row| {
            let document: Option<Id> = row.get(1)?;
            Ok((row.get(0)?, document.map(|document| document.0)))
        })?;
        compare("goods_document", &expected.documents, rows, u64::to_string)?;
        let mut statement = self
            .ledger
            .prepare("SELECT account, variant, quantity FROM held ORDER BY account, variant")?;
        let rows = statement.query_map([], |row| {
            let variant = VariantId(row.get::<_, Id>(1)?.0);
            Ok(((row.get(0)?, variant), row.get(2)?))
        })?;
        compare("held", &expected.held, rows, |(account, variant)| {
            format!("{account} {variant}")
        })
    }

    fn acks(&self, expected: &Expected) -> Result<(), Stop> {
        let mut statement = self
            .ledger
            .prepare("SELECT authority, epoch, seq, hash FROM ack ORDER BY authority, epoch")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let key = format!("{} {}", row.get::<_, String>(0)?, row.get::<_, u64>(1)?);
            let seq: u64 = row.get(2)?;
            // The journal was just found sound, so its stored hashes are right.
            if seq > expected.head.seq || self.ledger.hash_at(seq)? != Some(Digest(row.get(3)?)) {
                return bad("ack", key, "it acknowledges what is not in the journal");
            }
        }
        Ok(())
    }

    fn hash_projections(&mut self, expected: &Expected) {
        let mut add = |name: &str, lines: Vec<String>| {
            let mut hasher = Sha256::new();
            for line in lines {
                hasher.update(line.as_bytes());
                hasher.update(b"\n");
            }
            self.report
                .projections
                .insert(name.to_owned(), Digest(hasher.finalize().into()));
        };
        let receipts = expected.receipts.values().map(|receipt| {
            format!(
                "{} {} {} {}",
                receipt.number, receipt.kind, receipt.sale, receipt.total_minor
            )
        });
        add("receipts", receipts.collect());
        let shifts = expected.shifts.iter().map(|(seq, shift)| {
            let open = expected.books.open.get(seq);
            format!(
                "{} {} {} {}",
                shift.shift,
                shift.business_date,
                shift.z_number.unwrap_or(0),
                open.map_or_else(
                    || shift.totals.clone().unwrap_or_default(),
                    |open| encode_totals(&open.totals)
                )
            )
        });
        add("shifts", shifts.collect());
        let mut accounts = vec![format!("perpetual {}", expected.books.perpetual_minor)];
        accounts.extend(
            expected
                .books
                .accounts
                .iter()
                .map(|(code, balance)| format!("{code} {balance}")),
        );
        add("accounts", accounts);
        let rights = expected.rights.iter().map(|((variant, location), sums)| {
            format!("{variant} {location} {} {}", sums.0, sums.1)
        });
        let given = expected
            .given
            .iter()
            .map(|(((variant, location), to), total)| format!("{variant} {location} {to} {total}"));
        add("rights", rights.chain(given).collect());
        let stock = expected.stock.iter().filter(|(_, delta)| **delta != 0);
        add(
            "stock",
            stock
                .map(|((variant, location, zone), delta)| {
                    format!("{variant} {location} {zone} {delta}")
                })
                .collect(),
        );
    }

    fn feeds(&mut self) -> Result<(), Stop> {
        let mut statement = self
            .ledger
            .prepare("SELECT id, name, ver, checksum, generation FROM feed ORDER BY name")?;
        let mut feeds = statement.query([])?;
        while let Some(feed) = feeds.next()? {
            let id: u64 = feed.get(0)?;
            let name: String = feed.get(1)?;
            let stored: u64 = feed.get(3)?;
            let feed_name = parse_name(&name)?;
            let checksum = self.feed_rows(id, &feed_name, feed.get(4)?)?;
            if checksum != stored {
                return bad("feed", name, "its checksum differs from its rows");
            }
            let ver = feed.get(2)?;
            self.report
                .feeds
                .insert(feed_name, FeedReport { ver, checksum });
        }
        Ok(())
    }

    /// Checks the rows of a feed; returns the checksum over those of the current generation.
    fn feed_rows(&self, id: u64, name: &FeedName, generation: u64) -> Result<u64, Stop> {
        let mut statement = self.ledger.prepare(
            "SELECT pk, row, checksum, generation, understood FROM feed_row WHERE feed = ?1 ORDER BY pk",
        )?;
        let mut rows = statement.query([N(id)])?;
        let mut sum = 0;
        while let Some(row) = rows.next()? {
            let pk: String = row.get(0)?;
            let text: String = row.get(1)?;
            let checksum = row_checksum(&pk, &text);
            let key = || format!("{name} {pk}");
            if checksum != row.get::<_, u64>(2)? {
                return bad("feed_row", key(), "its checksum differs from its text");
            }
            if row.get(4)? && !understands(name, &pk, &text) {
                return bad("feed_row", key(), "it cannot be read");
            }
            if row.get::<_, u64>(3)? == generation {
                sum = checksum_add(sum, checksum);
            }
        }
        Ok(sum)
    }

    /// Checks that every variant can be found by its SKU and barcodes, and nothing else can.
    fn items(&self) -> Result<(), Stop> {
        let ledger = self.ledger;
        let mut statement = ledger.prepare(
            "SELECT r.id, r.row, i.style, i.sku, i.archived FROM feed_row r LEFT JOIN item i ON i.id = r.id \
             WHERE r.feed = (SELECT id FROM feed WHERE name = 'cat') AND r.pk >= 'variant:' AND r.pk < 'variant;' \
             AND r.understood = 1 ORDER BY r.id",
        )?;
        let mut rows = statement.query([])?;
        let (mut items, mut barcodes) = (0_u64, 0_u64);
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let text: String = row.get(1)?;
            let variant: Variant = match serde_json::from_str(&text) {
                Ok(variant) => variant,
                Err(error) => return bad("feed_row", id, error),
            };
            let stored = (
                row.get::<_, Option<Id>>(2)?.map(|id| id.0),
                row.get::<_, Option<String>>(3)?,
                row.get::<_, Option<bool>>(4)?,
            );
            let wanted = (
                Some(variant.style.0),
                Some(variant.sku.clone()),
                Some(variant.archived),
            );
            if stored != wanted {
                return bad("item", id, "it differs from the variant");
            }
            items += 1;
            let keys: BTreeSet<String> = variant.gtins.iter().copied().map(barcode_key).collect();
            let found: u64 = ledger
                .prepare("SELECT count(*) FROM barcode WHERE digits = ?1 AND item = ?2")
                .and_then(|mut lookup| {
                    let mut found = 0;
                    for key in &keys {
                        found += lookup.query_row((key, id), |row| row.get::<_, u64>(0))?;
                    }
                    Ok(found)
                })?;
            if found != keys.len() as u64 {
                return bad("barcode", id, "a barcode of the variant is missing");
            }
            barcodes += found;
        }
        for (table, sql, wanted) in [
            ("item", "SELECT count(*) FROM item", items),
            ("barcode", "SELECT count(*) FROM barcode", barcodes),
            ("item_words", "SELECT count(*) FROM item_words", items),
        ] {
            let found: u64 = ledger.prepare(sql)?.query_row([], |row| row.get(0))?;
            if found != wanted {
                return bad(table, "", format!("{found} rows, must be {wanted}"));
            }
        }
        Ok(())
    }

    /// SQLite's own checks: pages, indexes, references.
    fn file(&self) -> Result<(), Stop> {
        let conn = self.ledger.conn()?;
        // A trigger with one letter changed guards nothing.
        if let Some(expected) = schema_expected(conn)? {
            let found = schema_of(conn)?;
            let differs = expected.iter().find(|wanted| !found.contains(wanted));
            let stranger = found.iter().find(|made| !expected.contains(made));
            if let Some((name, _)) = differs.or(stranger) {
                return bad("sqlite_schema", name, "it is not as this program made it");
            }
        }
        let found: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return bad("file", "", found);
        }
        let mut statement = conn.prepare("PRAGMA foreign_key_check")?;
        let mut rows = statement.query([])?;
        if let Some(row) = rows.next()? {
            let table: String = row.get(0)?;
            return bad(&table, row.get::<_, i64>(1)?, "it refers to no event");
        }
        Ok(())
    }
}

/// Compares what a table must hold with its rows, in the order of their keys.
fn compare<K: Ord, V: PartialEq>(
    table: &str,
    expected: &BTreeMap<K, V>,
    stored: impl Iterator<Item = rusqlite::Result<(K, V)>>,
    name: impl Fn(&K) -> String,
) -> Result<(), Stop> {
    let mut wanted = expected.iter().peekable();
    for row in stored {
        let (key, value) = row?;
        match wanted.next() {
            Some((other, _)) if *other < key => return bad(table, name(other), "it is missing"),
            Some((other, must)) if *other == key => {
                if *must != value {
                    return bad(table, name(&key), "it differs from what the events say");
                }
            }
            _ => return bad(table, name(&key), "no event says so"),
        }
    }
    match wanted.next() {
        Some((key, _)) => bad(table, name(key), "it is missing"),
        None => Ok(()),
    }
}

impl Expected {
    /// Of a journal without events.
    pub(crate) fn new(origin: &Origin) -> Expected {
        let stream = origin.identity.stream;
        Expected {
            head: StreamHead {
                stream,
                seq: 0,
                hash: genesis_hash(stream),
            },
            hlc: Hlc::default(),
            ids: BTreeSet::new(),
            receipts: BTreeMap::new(),
            receipt_of: BTreeMap::new(),
            shifts: BTreeMap::new(),
            z_number: origin.opened.z_number,
            books: Books::new(origin.opened.perpetual_minor),
            copies: BTreeMap::new(),
            slips: BTreeMap::new(),
            periods: BTreeMap::new(),
            papers: BTreeMap::new(),
            running: PeriodKind::ALL
                .into_iter()
                .map(|kind| (kind, Running::after(1, None)))
                .collect(),
            stock: BTreeMap::new(),
            rights: BTreeMap::new(),
            given: BTreeMap::new(),
            learned: BTreeMap::new(),
            goods: BTreeMap::new(),
            documents: BTreeMap::new(),
            single: BTreeSet::new(),
            held: BTreeMap::new(),
            adopted: BTreeMap::new(),
            adopted_hashes: BTreeMap::new(),
            begun: false,
            late: Vec::new(),
            all_late: Vec::new(),
            closings: BTreeMap::new(),
            supplements: BTreeMap::new(),
        }
    }

    /// The next event of the journal, with the chain hash after it.
    pub(crate) fn event(
        &mut self,
        origin: &Origin,
        hash: Digest,
        event: &Event,
    ) -> Result<(), Stop> {
        let StreamHead { stream, seq, .. } = self.head;
        let seq = seq + 1;
        if event.stream != stream || event.seq != seq {
            return bad("event", seq, "its text belongs elsewhere");
        }
        if !self.ids.insert(event.id) {
            return bad("event", seq, "its id is there twice");
        }
        if event.hlc <= self.hlc {
            return bad("event", seq, "its clock stepped back");
        }
        match event.fact() {
            Ok(Fact::Adopted(adopted)) => self.adopt(origin, seq, &adopted)?,
            Ok(fact) => {
                self.begun |= seq > 1;
                let taken = Taken {
                    seq,
                    fact: &fact,
                    stream,
                    standing: Standing::Own,
                };
                self.take(origin, &taken)?;
                self.gather(origin, StreamHead { stream, seq, hash }, &taken)?;
            }
            // A later version wrote it; this one cannot judge what it means.
            Err(EventError::Unknown { .. }) => self.begun = true,
            Err(error @ EventError::NotStrict(_)) => return bad("event", seq, error),
        }
        self.head = StreamHead { stream, seq, hash };
        self.hlc = event.hlc;
        Ok(())
    }

    /// The last event taken.
    pub(crate) fn head(&self) -> StreamHead {
        self.head
    }

    /// Hash of the document of each report that states one.
    pub(crate) fn papers(&self) -> impl Iterator<Item = (&str, Digest)> {
        let papers = self.papers.iter();
        papers.map(|(number, (paper, _))| (number.as_str(), *paper))
    }

    /// An event of an earlier stream: what it says takes effect here, once.
    fn adopt(&mut self, origin: &Origin, seq: u64, adopted: &Adopted) -> Result<(), Stop> {
        let Some(original) = adopted.original() else {
            return bad("event", seq, "what it adopts is no event");
        };
        if seq == 1 {
            return bad("event", seq, "a stream opens once, with its first event");
        }
        let at = original.at;
        if at.stream == self.head.stream {
            return bad("event", seq, "it is an event of this very stream");
        }
        let before = at.seq.checked_sub(1).and_then(|before| {
            self.adopted_hashes
                .get(&(at.stream, before))
                .map(Vec::as_slice)
        });
        if !chains(before.unwrap_or_default(), &original) {
            return bad("event", seq, "what it adopts does not chain");
        }
        let id = original.event.id;
        if self.ids.contains(&id) || self.adopted.insert(id, AdoptedRow { seq, at }).is_some() {
            return bad("event", seq, "what it adopts is there twice");
        }
        self.adopted_hashes
            .entry((at.stream, at.seq))
            .or_default()
            .push(at.hash);
        let fact = match original.event.fact() {
            Ok(fact) => fact,
            Err(EventError::Unknown { .. }) => return Ok(()),
            Err(error @ EventError::NotStrict(_)) => return bad("event", seq, error),
        };
        let late = self.begun || original.recovered;
        let standing = if late {
            Standing::Late
        } else {
            Standing::Continued
        };
        let taken = Taken {
            seq,
            fact: &fact,
            stream: at.stream,
            standing,
        };
        if late {
            self.take_late(origin, &taken, at)
        } else {
            self.take(origin, &taken)?;
            self.gather(origin, at, &taken)
        }
    }

    fn take_late(
        &mut self,
        origin: &Origin,
        taken: &Taken<'_>,
        at: StreamHead,
    ) -> Result<(), Stop> {
        let fact = taken.fact;
        if self.goods(origin, taken)? {
            return self.move_goods(fact);
        }
        let known_shift = opened_or_closed(fact)
            .is_some_and(|shift| self.shifts.values().any(|row| row.shift == shift));
        if !counts_late(fact, known_shift) {
            return Ok(());
        }
        if let Fact::SaleCompleted(_) | Fact::Reversed(_) | Fact::CashMoved(_) = fact
            && let Some((_, open)) = shift_of(fact).and_then(|shift| self.books.shift(shift))
        {
            open.take(fact)?;
        }
        match fact {
            Fact::SaleCompleted(sale) => self.receipt(origin, taken, sale)?,
            Fact::Reversed(reversed) => {
                self.receipt(origin, taken, &reversed.mirror)?;
                self.mark_reversed(taken, reversed)?;
            }
            Fact::CashMoved(moved) => {
                self.slip(
                    origin,
                    taken,
                    moved.business_date.fiscal_year(),
                    &moved.slip,
                )?;
            }
            _ => {}
        }
        self.add_up(taken)?;
        self.late.push((at, fact.clone()));
        self.all_late.push((at, fact.clone()));
        Ok(())
    }

    /// Money and goods that a fact moves.
    fn add_up(&mut self, taken: &Taken<'_>) -> Result<(), Stop> {
        match balances(taken.fact) {
            Ok(balances) => self.books.post(&balances)?,
            Err(error) => return bad("event", taken.seq, error),
        }
        self.move_goods(taken.fact)
    }

    fn move_goods(&mut self, fact: &Fact) -> Result<(), Stop> {
        for (key, delta) in movements(fact)? {
            let sum = self.stock.entry(key).or_insert(0);
            *sum = sum.checked_add(delta).ok_or(LedgerError::Overflow)?;
        }
        Ok(())
    }

    /// Takes a fact of the stockroom; whether it is one.
    fn goods(&mut self, origin: &Origin, taken: &Taken<'_>) -> Result<bool, Stop> {
        let Taken { seq, fact, .. } = *taken;
        if let Err(fault) = domain::stock::check(fact) {
            return bad("event", seq, fault);
        }
        let Some(goods) = Goods::of(fact, &origin.identity.location)? else {
            return Ok(false);
        };
        if let Some(document) = goods.document
            && Goods::is_single(fact)
        {
            let is_new = self.single.insert((fact.kind(), document));
            if taken.is_own() && !is_new {
                return bad("event", seq, "its document is there twice");
            }
        }
        self.documents.insert(seq, goods.document);
        for ((variant, zone), row) in goods.rows {
            self.goods.insert((variant, seq, zone), row);
        }
        for (key, quantity) in goods.held {
            let sum = self.held.get(&key).copied().unwrap_or(0);
            match sum.checked_add(quantity).ok_or(LedgerError::Overflow)? {
                0 => self.held.remove(&key),
                sum => self.held.insert(key, sum),
            };
        }
        Ok(true)
    }

    fn take(&mut self, origin: &Origin, taken: &Taken<'_>) -> Result<(), Stop> {
        let Taken { seq, fact, .. } = *taken;
        if taken.is_own() && (seq == 1) != matches!(fact, Fact::StreamOpened(_)) {
            return bad("event", seq, "a stream opens once, with its first event");
        }
        if taken.is_own() {
            self.take_rights(seq, fact)?;
        }
        self.goods(origin, taken)?;
        match fact {
            Fact::ShiftOpened(opened) => self.open_shift(taken, opened)?,
            Fact::SaleCompleted(sale) => {
                self.receipt(origin, taken, sale)?;
                self.count_in(taken, Some(sale.shift))?;
            }
            Fact::Reversed(reversed) => {
                self.receipt(origin, taken, &reversed.mirror)?;
                self.count_in(taken, Some(reversed.mirror.shift))?;
                self.mark_reversed(taken, reversed)?;
            }
            Fact::CartVoided(_)
            | Fact::LineVoided(_)
            | Fact::DrawerHandedOver(_)
            | Fact::ShiftCounted(_) => self.count_in(taken, shift_of(fact))?,
            Fact::CashMoved(moved) => {
                self.count_in(taken, Some(moved.shift))?;
                let year = moved.business_date.fiscal_year();
                self.slip(origin, taken, year, &moved.slip)?;
            }
            Fact::DrawerOpened(opened) => {
                if let Some(slip) = &opened.slip {
                    let year = self
                        .books
                        .shift(opened.shift)
                        .map_or(0, |(_, open)| open.business_date.fiscal_year());
                    self.slip(origin, taken, year, slip)?;
                    self.count_in(taken, Some(opened.shift))?;
                }
            }
            Fact::ShiftClosed(closed) => self.close(taken, closed)?,
            Fact::Reprinted(reprinted) => self.copy(origin, taken, reprinted)?,
            Fact::ClosingSupplemented(supplement) => self.supplement(taken, supplement)?,
            Fact::StreamOpened(_)
            | Fact::PeriodClosed(_)
            | Fact::Adopted(_)
            | Fact::PinReset(_)
            | Fact::SignInBlocked(_)
            | Fact::ClockJumped(_)
            | domain::goods_facts!() => {}
        }
        self.add_up(taken)
    }

    fn take_rights(&mut self, seq: u64, fact: &Fact) -> Result<(), Stop> {
        let add = |sum: i64, more| sum.checked_add(more).ok_or(LedgerError::Overflow);
        for (place, (minted, consumed)) in used_by(fact) {
            let sums = self.rights.entry(place).or_default();
            *sums = (add(sums.0, minted)?, add(sums.1, consumed)?);
        }
        for (key, total) in given_by(fact) {
            let known = self.given.entry(key).or_insert(total);
            *known = total.max(*known);
        }
        for count in learned_by(fact) {
            self.learned.entry((count.stream, count.seq)).or_insert(seq);
        }
        Ok(())
    }

    fn copy(
        &mut self,
        origin: &Origin,
        taken: &Taken<'_>,
        reprinted: &Reprinted,
    ) -> Result<(), Stop> {
        let number = &reprinted.number;
        let known = self.copies.get(number).copied();
        let elsewhere = || {
            may_be_of_before(&origin.opened, self.head.stream, number)
                && !self.receipts.values().any(|row| row.number == *number)
        };
        let expected = match known {
            Some(copies) => copies + 1,
            None if elsewhere() => reprinted.copy.max(1),
            None => 1,
        };
        let expected = if taken.is_own() {
            expected
        } else {
            reprinted.copy.max(known.unwrap_or(0))
        };
        if expected != reprinted.copy && taken.is_own() {
            return bad("event", taken.seq, "its copy number is not the next");
        }
        self.copies.insert(number.clone(), expected);
        Ok(())
    }

    fn supplement(
        &mut self,
        taken: &Taken<'_>,
        supplement: &ClosingSupplemented,
    ) -> Result<(), Stop> {
        let Taken { seq, .. } = *taken;
        let kind = kind_code(supplement.period);
        let closing = supplement.of.number;
        let of = self.periods.get(&(kind, closing)).copied();
        let Some(of) = of else {
            if taken.is_own() {
                return bad("event", seq, "there is no such closing here");
            }
            return Ok(());
        };
        let before = self
            .supplements
            .range((kind, closing, 0)..=(kind, closing, u64::MAX));
        let number = before.max().map_or(0, |((.., last), _)| *last) + 1;
        if taken.is_own() {
            if self.closings.get(&(kind, closing)) != Some(&supplement.of.at) {
                return bad("event", seq, "there is no such closing here");
            }
            let mut totals = PeriodTotals::default();
            for (at, fact) in &self.all_late {
                if holds(&supplement.covers, at) {
                    totals.apply(fact).map_err(LedgerError::from)?;
                }
            }
            if supplement.number != number
                || supplement.totals != totals
                || supplement.perpetual_minor != self.books.perpetual_minor
            {
                return bad("event", seq, "it is not what was found");
            }
        }
        self.supplements
            .insert((kind, closing, supplement.number), seq);
        if supplement.period == PeriodKind::Day {
            self.late.retain(|(at, _)| !holds(&supplement.covers, at));
        }
        let longer = PeriodKind::ALL
            .into_iter()
            .find(|longer| shorter(*longer) == Some(supplement.period));
        if let Some(running) = longer.and_then(|longer| self.running.get_mut(&longer))
            && of >= running.from_seq
        {
            running
                .gathering
                .totals
                .merge(&supplement.totals)
                .map_err(LedgerError::from)?;
        }
        Ok(())
    }

    fn open_shift(&mut self, taken: &Taken<'_>, opened: &ShiftOpened) -> Result<(), Stop> {
        let seq = taken.seq;
        if !taken.is_own()
            && let Some(lost) = self.books.of_drawer(opened.drawer)
        {
            self.books.open.remove(&lost);
            if let Some(row) = self.shifts.get_mut(&lost) {
                row.closed_seq = Some(seq);
            }
        }
        let mut open = self.books.open.values();
        if open.any(|open| open.drawer == opened.drawer || open.shift == opened.shift) {
            return bad("event", seq, "it opens a drawer that is open");
        }
        self.shifts.insert(
            seq,
            ShiftRow {
                shift: opened.shift,
                drawer: opened.drawer,
                business_date: opened.business_date.to_string(),
                closed_seq: None,
                z_number: None,
                totals: None,
            },
        );
        self.books.open.insert(seq, OpenBooks::new(opened));
        Ok(())
    }

    fn slip(
        &mut self,
        origin: &Origin,
        taken: &Taken<'_>,
        fiscal_year: i32,
        slip: &SlipNumber,
    ) -> Result<(), Stop> {
        let series = taken.stream.series();
        let year = year_of_number(&slip.number).unwrap_or(fiscal_year);
        if taken.is_own() {
            let mut before = self
                .slips
                .range((series.clone(), fiscal_year, 0)..=(series.clone(), fiscal_year, u64::MAX));
            let next = before.next_back().map_or(1, |((.., last), _)| last + 1);
            let identity = &origin.identity;
            let number = slip_number(
                &identity.store,
                &identity.till,
                identity.stream,
                fiscal_year,
                next,
            );
            if slip.number_seq != next || slip.number != number {
                return bad("event", taken.seq, "its slip number is not the next");
            }
        }
        let key = (series, year, slip.number_seq);
        if self.slips.insert(key, taken.seq).is_some() {
            return bad("event", taken.seq, "its slip is there twice");
        }
        Ok(())
    }

    /// Adds a fact to what the next closings hold, and holds a closing against it. `at` is where the fact was first
    /// written.
    fn gather(&mut self, origin: &Origin, at: StreamHead, taken: &Taken<'_>) -> Result<(), Stop> {
        let Fact::PeriodClosed(closed) = taken.fact else {
            if let Some(day) = self.running.get_mut(&PeriodKind::Day) {
                day.gathering.add(taken.fact)?;
            }
            return Ok(());
        };
        let kind = closed.period;
        let number = self
            .periods
            .range((kind_code(kind), 0)..=(kind_code(kind), u64::MAX));
        let carried = origin.opened.periods.get(&kind).copied().unwrap_or(0);
        let next = number.max().map_or(carried, |((_, last), _)| *last) + 1;
        let mut running = self
            .running
            .insert(kind, Running::after(taken.seq + 1, None))
            .unwrap_or_else(|| Running::after(1, None));
        if taken.is_own() {
            if kind == PeriodKind::Day {
                for (_, fact) in std::mem::take(&mut self.late) {
                    running.gathering.add(&fact)?;
                }
            }
            let wanted = running.gathering.days.map(|(from, to)| PeriodClosed {
                period: kind,
                number: next,
                from,
                to,
                covers: Span {
                    from_seq: running.from_seq,
                    to: self.head,
                },
                z_numbers: running.gathering.z_numbers,
                totals: running.gathering.totals,
                perpetual_minor: self.books.perpetual_minor,
                previous: running.last,
            });
            if wanted.as_ref() != Some(closed) {
                return bad("event", taken.seq, "it is not what the journal comes to");
            }
        }
        let number = closed.number;
        if let Some(running) = self.running.get_mut(&kind) {
            running.last = Some(ClosingRef { number, at });
        }
        let key = (kind_code(kind), number);
        self.closings.insert(key, at);
        if self.periods.insert(key, taken.seq).is_some() {
            return bad("event", taken.seq, "its closing is there twice");
        }
        let longer = PeriodKind::ALL
            .into_iter()
            .find(|longer| shorter(*longer) == Some(kind));
        if let Some(running) = longer.and_then(|longer| self.running.get_mut(&longer)) {
            running.gathering.merge(closed)?;
        }
        Ok(())
    }

    fn count_in(&mut self, taken: &Taken<'_>, shift: Option<ShiftId>) -> Result<(), Stop> {
        let Some(shift) = shift else { return Ok(()) };
        let Some((_, open)) = self.books.shift(shift) else {
            if taken.is_own() {
                return bad("event", taken.seq, "its shift is not open");
            }
            return Ok(());
        };
        if let Fact::DrawerHandedOver(handed) = taken.fact
            && taken.is_own()
            && handed.from != open.holder
        {
            return bad("event", taken.seq, "another holds the drawer");
        }
        open.take(taken.fact)?;
        Ok(())
    }

    fn receipt(&mut self, origin: &Origin, taken: &Taken<'_>, sale: &SaleBody) -> Result<(), Stop> {
        let Taken { seq, fact, .. } = *taken;
        if let Err(fault) = domain::sale::check_fact(fact) {
            return bad("event", seq, fault);
        }
        let fiscal_year = sale.business_date.fiscal_year();
        let series = taken.stream.series();
        let identity = &origin.identity;
        if taken.is_own() {
            let mut before = self
                .receipts
                .range((series.clone(), fiscal_year, 0)..=(series.clone(), fiscal_year, u64::MAX));
            let next = before.next_back().map_or(1, |((.., last), _)| last + 1);
            let number = receipt_number(
                &identity.store,
                &identity.till,
                identity.stream,
                fiscal_year,
                next,
            );
            if sale.number_seq != next || sale.number != number {
                return bad("event", seq, "its receipt number is not the next");
            }
        } else if !is_in_series(&sale.number, &series, fiscal_year, sale.number_seq) {
            return bad("event", seq, "its number is not of its stream");
        }
        let key = (series, fiscal_year, sale.number_seq);
        if self.receipt_of.insert(sale.sale, key.clone()).is_some() {
            return bad("event", seq, "its sale is there twice");
        }
        let row = ReceiptRow {
            seq,
            kind: i64::from(matches!(fact, Fact::Reversed(_))),
            sale: sale.sale,
            number: sale.number.clone(),
            total_minor: sale.total_minor,
            reversed_by: None,
            moves: encode_moves(fact, &identity.location)?,
        };
        if self.receipts.insert(key, row).is_some() {
            return bad("event", seq, "its number is there twice");
        }
        self.books.perpetual_minor = self
            .books
            .perpetual_minor
            .checked_add(sale.total_minor)
            .ok_or(LedgerError::Overflow)?;
        Ok(())
    }

    fn mark_reversed(&mut self, taken: &Taken<'_>, reversed: &Reversed) -> Result<(), Stop> {
        let original = self
            .receipt_of
            .get(&reversed.of)
            .and_then(|original| self.receipts.get_mut(original));
        match original {
            Some(receipt)
                if receipt.kind == 0
                    && receipt.reversed_by.is_none()
                    && receipt.number == reversed.of_number =>
            {
                receipt.reversed_by = Some(reversed.mirror.number.clone());
                Ok(())
            }
            _ if !taken.is_own() => Ok(()),
            _ => bad(
                "event",
                taken.seq,
                "it reverses no sale, or one that was reversed",
            ),
        }
    }

    fn close(&mut self, taken: &Taken<'_>, closed: &ShiftClosed) -> Result<(), Stop> {
        let Taken { seq, .. } = *taken;
        let perpetual_minor = self.books.perpetual_minor;
        let Some((opened_seq, open)) = self.books.shift(closed.shift) else {
            if taken.is_own() {
                return bad("event", seq, "its shift is not open");
            }
            return Ok(());
        };
        if taken.is_own() {
            if closed.from_seq != opened_seq || closed.to != self.head {
                return bad("event", seq, "it covers other events than its shift's");
            }
            if closed.totals != open.totals {
                return bad("event", seq, "its totals are not the sum of its receipts");
            }
            if closed.perpetual_minor != perpetual_minor {
                return bad(
                    "event",
                    seq,
                    "its perpetual total is not that of the receipts",
                );
            }
            if closed.z_number != self.z_number + 1 {
                return bad("event", seq, "its Z number is not the next");
            }
        }
        if let Some(paper) = closed.paper {
            self.papers
                .insert(format!("Z{}", closed.z_number), (paper, taken.is_own()));
        }
        self.z_number = self.z_number.max(closed.z_number);
        self.books.open.remove(&opened_seq);
        if let Some(row) = self.shifts.get_mut(&opened_seq) {
            row.closed_seq = Some(seq);
            row.z_number = Some(closed.z_number);
            row.totals = Some(encode_totals(&closed.totals));
        }
        Ok(())
    }
}
