//! Facts of the stockroom: their documents, what lies damaged or is in transit by them, and the lineage of a quantity.

use std::collections::{BTreeMap, BTreeSet};

use domain::event::{Event, Fact, StreamPos};
use domain::ids::{LocationId, TransferId, VariantId};
use domain::quantity::Quantity;
use domain::stock::{self, StockAccount};
use rusqlite::OptionalExtension as _;
use uuid::Uuid;

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::projection;
use crate::sql::{Id, N, corrupt, read_event};

/// What a fact of the stockroom changes in this file.
pub(crate) struct Goods {
    /// Document, transfer or promise.
    pub document: Option<Uuid>,
    /// By variant and zone of our location: whether it was counted, and how much.
    pub rows: BTreeMap<(VariantId, String), (bool, i64)>,
    /// By account and variant: what goes into damaged goods and transit.
    pub held: BTreeMap<(String, VariantId), i64>,
}

impl Goods {
    /// None for a fact that is none of the stockroom's.
    pub fn of(fact: &Fact, location: &LocationId) -> Result<Option<Goods>, LedgerError> {
        let document = match fact {
            Fact::GoodsReceived(received) => Some(received.document.0),
            Fact::StockAdjusted(adjusted) => Some(adjusted.document.0),
            Fact::TransferSent(sent) => Some(sent.transfer.0),
            Fact::TransferReceived(received) => Some(received.transfer.0),
            Fact::TransferLost(lost) => Some(lost.transfer.0),
            Fact::ZoneMoved(moved) => Some(moved.document.0),
            Fact::OrderPicked(picked) => Some(picked.promise.0),
            Fact::StockCounted(count) => count.document.map(|document| document.0),
            _ => return Ok(None),
        };
        let mut rows = BTreeMap::new();
        for ((variant, at, zone), delta) in projection::movements(fact)? {
            if at == *location {
                rows.insert((variant, zone), (false, delta));
            }
        }
        if let Fact::StockCounted(count) = fact
            && count.location == *location
        {
            for (variant, found) in stock::found(&count.items) {
                rows.insert((variant, count.zone.clone()), (true, found.0));
            }
        }
        let mut held = BTreeMap::new();
        for posting in domain::posting::stock_postings(fact) {
            if is_held(&posting.account) {
                let sum = held
                    .entry((posting.account.code(), posting.variant))
                    .or_insert(0_i64);
                *sum = sum
                    .checked_add(posting.quantity.0)
                    .ok_or(LedgerError::Overflow)?;
            }
        }
        Ok(Some(Goods {
            document,
            rows,
            held,
        }))
    }

    /// Whether the fact's document may stand in the journal once only.
    pub const fn is_single(fact: &Fact) -> bool {
        matches!(
            fact,
            Fact::GoodsReceived(_)
                | Fact::StockAdjusted(_)
                | Fact::TransferSent(_)
                | Fact::ZoneMoved(_)
                | Fact::OrderPicked(_)
        )
    }
}

const fn is_held(account: &StockAccount) -> bool {
    match account {
        StockAccount::Damaged(_) | StockAccount::Transit(_) => true,
        StockAccount::Location(_)
        | StockAccount::Customer
        | StockAccount::Supplier
        | StockAccount::Adjusted
        | StockAccount::Floor(_) => false,
    }
}

/// A transfer that this till had to do with, and what of it is still on its way as far as this till knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTransfer {
    /// Transfer.
    pub transfer: TransferId,
    /// Location that sent.
    pub from: LocationId,
    /// Location that is to receive.
    pub to: LocationId,
    /// Wall clock of the sending.
    pub wall: i64,
    /// On its way, by variant: sent here, and neither received nor lost here.
    pub open: BTreeMap<VariantId, Quantity>,
}

/// An event that moved or counted a variant here.
#[derive(Debug, Clone)]
pub struct LineageEntry {
    /// The event in this file.
    pub seq: u64,
    /// The event as it was first written.
    pub event: Event,
    /// The fact in it.
    pub fact: Fact,
    /// What it did, by zone.
    pub zones: BTreeMap<String, LineageStep>,
}

impl LineageEntry {
    /// Whether it counts in any zone.
    pub fn counts(&self) -> bool {
        self.zones.values().any(|step| step.counts)
    }
}

/// What an event did in one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineageStep {
    /// What it moved, or found.
    pub quantity: Quantity,
    /// It is a count.
    pub counted: bool,
    /// It is on top of what the server says, or stands in its place. What is not, the server's figure holds already,
    /// or a count has made up for it.
    pub counts: bool,
}

/// What a quantity is made of.
#[derive(Debug, Clone)]
pub struct Lineage {
    /// On hand: the server's figure, or our own count in its place, and every movement that counts.
    pub quantity: Option<Quantity>,
    /// What the server says; none where nothing is known.
    pub served: Option<Quantity>,
    /// The count that the server's figure of the main zone stands on.
    pub served_count: Option<StreamPos>,
    /// Wall clock of this device when the location was last read to its end.
    pub synced_wall: Option<i64>,
    /// What the quantity starts from: the server's figure, with our own counts in the place of the zones counted.
    pub start: Quantity,
    /// Our own events, newest first: all that count, and as many older ones as were asked for.
    pub entries: Vec<LineageEntry>,
}

impl Ledger {
    /// Whether a document of this kind of fact is in the journal.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn knows_document(&self, kind: &str, document: Uuid) -> Result<bool, LedgerError> {
        let mut statement = self.prepare(
            "SELECT d.seq, e.bytes FROM goods_document d JOIN event e ON e.seq = d.seq \
             WHERE d.document = ?1 ORDER BY d.seq",
        )?;
        let mut rows = statement.query([Id(document)])?;
        while let Some(row) = rows.next()? {
            let (seq, bytes): (u64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            if read_event(seq, &bytes)?.0.kind == kind {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What an account off the shelves holds of a variant by this till's own facts: damaged goods of a location, and
    /// transfers. Below zero where a transfer arrived here that another device sent.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn held(
        &self,
        account: &StockAccount,
        variant: VariantId,
    ) -> Result<Quantity, LedgerError> {
        self.held_by_code(&account.code(), variant)
    }

    fn held_by_code(&self, account: &str, variant: VariantId) -> Result<Quantity, LedgerError> {
        let quantity: Option<i64> = self
            .prepare("SELECT quantity FROM held WHERE account = ?1 AND variant = ?2")?
            .query_row((account, Id(variant.0)), |row| row.get(0))
            .optional()?;
        Ok(Quantity(quantity.unwrap_or(0)))
    }

    pub(crate) fn add_held(
        &self,
        account: &str,
        variant: VariantId,
        quantity: i64,
    ) -> Result<(), LedgerError> {
        let before = self.held_by_code(account, variant)?.0;
        match before.checked_add(quantity).ok_or(LedgerError::Overflow)? {
            0 => self
                .prepare("DELETE FROM held WHERE account = ?1 AND variant = ?2")?
                .execute((account, Id(variant.0)))?,
            sum => self
                .prepare(
                    "INSERT OR REPLACE INTO held (account, variant, quantity) VALUES (?1, ?2, ?3)",
                )?
                .execute((account, Id(variant.0), sum))?,
        };
        Ok(())
    }

    /// Transfers sent by this till of which something is still on its way as far as it knows, oldest first.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Corrupt`].
    pub fn open_transfers(&self) -> Result<Vec<OpenTransfer>, LedgerError> {
        let mut statement = self.prepare(
            "SELECT account, variant, quantity FROM held \
             WHERE account >= 'transit:' AND account < 'transit;' AND quantity > 0 ORDER BY account, variant",
        )?;
        let mut rows = statement.query([])?;
        let mut open: BTreeMap<Uuid, BTreeMap<VariantId, Quantity>> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let account: String = row.get(0)?;
            let id = account.strip_prefix("transit:").map(Uuid::parse_str);
            let Some(Ok(transfer)) = id else {
                return Err(corrupt("held", account, "it is no transfer"));
            };
            let variant = VariantId(row.get::<_, Id>(1)?.0);
            open.entry(transfer)
                .or_default()
                .insert(variant, Quantity(row.get(2)?));
        }
        let mut transfers = Vec::new();
        for (transfer, open) in open {
            if let Some((event, from, to)) = self.sending_of(TransferId(transfer))? {
                transfers.push((
                    event.seq,
                    OpenTransfer {
                        transfer: TransferId(transfer),
                        from,
                        to,
                        wall: event.wall,
                        open,
                    },
                ));
            }
        }
        transfers.sort_by_key(|(seq, _)| *seq);
        Ok(transfers
            .into_iter()
            .map(|(_, transfer)| transfer)
            .collect())
    }

    /// The sending of a transfer, from where and to where, if this till wrote it.
    ///
    /// # Errors
    /// As [`Ledger::open_transfers`].
    pub fn sending_of(
        &self,
        transfer: TransferId,
    ) -> Result<Option<(Event, LocationId, LocationId)>, LedgerError> {
        let mut statement = self.prepare(
            "SELECT d.seq, e.bytes FROM goods_document d JOIN event e ON e.seq = d.seq \
             WHERE d.document = ?1 ORDER BY d.seq",
        )?;
        let mut rows = statement.query([Id(transfer.0)])?;
        while let Some(row) = rows.next()? {
            let (seq, bytes): (u64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let (event, _) = read_event(seq, &bytes)?;
            if let Ok(Fact::TransferSent(sent)) = event.fact() {
                return Ok(Some((event, sent.from, sent.to)));
            }
        }
        Ok(None)
    }

    /// What this till's figure of a variant at its own location is made of: the server's row with its count, and our
    /// own events on top of it; beside them up to `older` of our events that the row holds already or that lie before
    /// a count. Receipts further back than [`RECEIPTS_BACK`] are not looked through.
    ///
    /// # Errors
    /// As [`Ledger::stock`].
    pub fn lineage(&self, variant: VariantId, older: usize) -> Result<Lineage, LedgerError> {
        let location = self.identity().location.clone();
        let served = self.served(variant, &location)?;
        let made = self.made_of(variant, &served)?;
        let mut seqs: Vec<u64> = self
            .prepare("SELECT DISTINCT seq FROM goods WHERE variant = ?1 ORDER BY seq DESC")?
            .query_map([Id(variant.0)], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        seqs.extend(self.receipts_with(variant)?);
        let counting: BTreeSet<u64> = made.counting.iter().map(|(seq, _)| *seq).collect();
        seqs.extend(counting.iter().copied());
        seqs.sort_unstable_by(|a, b| b.cmp(a));
        seqs.dedup();
        let mut entries = Vec::new();
        let mut left = older;
        for seq in seqs {
            let counts = counting.contains(&seq);
            if !counts && left == 0 {
                continue;
            }
            left -= usize::from(!counts);
            entries.push(self.lineage_entry(variant, seq, &made.counting)?);
        }
        let zones = served.zones.as_ref();
        let sum = zones.map(|zones| {
            let mut held = zones.values();
            held.try_fold(Quantity::ZERO, |sum, zone| sum.checked_add(zone.quantity))
        });
        let main = zones.and_then(|zones| zones.get(domain::event::MAIN_ZONE));
        Ok(Lineage {
            quantity: made.quantity,
            served: sum
                .map(|sum| sum.ok_or(LedgerError::Overflow))
                .transpose()?,
            served_count: main
                .and_then(|zone| zone.anchor.as_ref())
                .map(|anchor| StreamPos {
                    stream: anchor.at.stream,
                    seq: anchor.at.seq,
                }),
            synced_wall: served.synced_wall,
            start: made.start,
            entries,
        })
    }

    fn lineage_entry(
        &self,
        variant: VariantId,
        seq: u64,
        counting: &BTreeSet<(u64, String)>,
    ) -> Result<LineageEntry, LedgerError> {
        let bytes: Vec<u8> = self
            .prepare("SELECT bytes FROM event WHERE seq = ?1")?
            .query_row([N(seq)], |row| row.get(0))?;
        let (event, _) = read_event(seq, &bytes)?;
        let fact = event.fact().map_err(|error| corrupt("event", seq, error))?;
        let location = &self.identity().location;
        let mut zones = BTreeMap::new();
        for ((moved, at, zone), delta) in projection::movements(&fact)? {
            if moved == variant && at == *location {
                let step = LineageStep {
                    quantity: Quantity(delta),
                    counted: false,
                    counts: counting.contains(&(seq, zone.clone())),
                };
                zones.insert(zone, step);
            }
        }
        if let Fact::StockCounted(count) = &fact
            && let Some(found) = stock::found(&count.items).get(&variant)
        {
            let step = LineageStep {
                quantity: *found,
                counted: true,
                counts: counting.iter().any(|(of, _)| *of == seq),
            };
            zones.insert(count.zone.clone(), step);
        }
        Ok(LineageEntry {
            seq,
            event,
            fact,
            zones,
        })
    }

    /// Events of the newest [`RECEIPTS_BACK`] receipts that moved a variant.
    fn receipts_with(&self, variant: VariantId) -> Result<Vec<u64>, LedgerError> {
        let mut statement = self.prepare(
            "SELECT seq, moves FROM receipt WHERE series = ?1 ORDER BY fiscal_year DESC, number_seq DESC LIMIT ?2",
        )?;
        let series = self.identity().stream.series();
        let mut rows = statement.query((series, RECEIPTS_BACK))?;
        let mut seqs = Vec::new();
        while let Some(row) = rows.next()? {
            let moves = row.get_ref(1)?.as_blob().unwrap_or_default();
            let mut pairs = moves.chunks_exact(24);
            if pairs.any(|pair| pair.starts_with(variant.0.as_bytes())) {
                seqs.push(row.get(0)?);
            }
        }
        Ok(seqs)
    }
}

/// Receipts that a lineage looks through, from the newest back.
pub const RECEIPTS_BACK: usize = 10_000;
