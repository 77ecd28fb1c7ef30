//! What head office sees: stock, takings, tills; and who may see it.

use std::collections::{BTreeMap, BTreeSet};

use domain::catalog::{Names, StockClass, Style, Variant};
use domain::event::{Event, Fact, StreamHead, StreamPos, StreamReason};
use domain::ids::{DeviceId, LocationId, StoreId, StreamId, TillId, VariantId};
use domain::money::Currency;
use domain::quantity::Quantity;
use domain::text::fold_for_search;
use domain::time::{BusinessDate, Now};
use serde::Serialize;
use sync_protocol::feed::StockRow;
use sync_protocol::{DeviceStatus, FeedName};

use crate::devices::token_hash;
use crate::lifecycle::Hub;
use crate::shops::{AdminError, from_row};
use crate::store::{AdminRow, AsideRow, StoreError, StoreResult, StreamRow, Tx, VariantRow};

/// How long a sign-in of an administrator holds, in milliseconds.
const LOGIN_LIFE_MS: i64 = 12 * 60 * 60 * 1_000;
/// Wrong passwords in a row that are free of a wait.
const FREE_FAILURES: u64 = 5;
const BLOCK_MS: i64 = 30_000;
const BLOCK_MS_MAX: i64 = 15 * 60 * 1_000;
/// Search terms that are looked at.
const TERMS_MAX: usize = 8;

/// Stock of some variants at every location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StockPage {
    /// Locations in the order of columns.
    pub locations: Vec<LocationId>,
    /// Their names.
    pub location_names: BTreeMap<LocationId, Names>,
    /// One line per variant.
    pub rows: Vec<StockLine>,
    /// How many variants there are in all.
    pub total: u64,
    /// Position of the first line.
    pub offset: u64,
}

/// Stock of one variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StockLine {
    /// Variant.
    pub variant: VariantId,
    /// SKU.
    pub sku: String,
    /// Code of the style.
    pub style: String,
    /// Names of the style.
    pub names: Names,
    /// Brand.
    pub brand: String,
    /// Category.
    pub category: String,
    /// Options of the variant.
    pub options: Vec<OptionValue>,
    /// Thousandths on hand by location; a location that never held the variant is missing. Of a kit, as many whole ones as
    /// its parts are enough for.
    pub quantities: BTreeMap<LocationId, Quantity>,
    /// What one unit of a kit is made of; no stock is kept of the kit itself.
    pub parts: Vec<PartLine>,
}

/// A part of a kit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartLine {
    /// SKU.
    pub sku: String,
    /// Thousandths in one unit.
    pub quantity: Quantity,
}

/// Name and value of an option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OptionValue {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// Takings of a till on a day, in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TakingsLine {
    /// Day.
    pub date: BusinessDate,
    /// Store.
    pub store: String,
    /// Till.
    pub till: String,
    /// Currency of the amount; amounts of two currencies are never added.
    pub currency: Currency,
    /// Receipts of sales.
    pub receipts: u64,
    /// Receipts of reversals.
    pub reversals: u64,
    /// Sum of totals, reversals taken off, minor units.
    pub takings_minor: i64,
    /// Units sold minus units taken back, thousandths.
    pub units: Quantity,
}

/// Balance of an account over the tills of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BalanceLine {
    /// Store.
    pub store: String,
    /// Its currency; amounts of two currencies are never added.
    pub currency: Currency,
    /// Code of the account, see [`domain::posting::Account`].
    pub account: String,
    /// Balance when it is a debit, otherwise 0.
    pub debit_minor: i64,
    /// Balance when it is a credit, otherwise 0.
    pub credit_minor: i64,
}

/// A closing that a till wrote: a Z report, or that of a day, month or year.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClosingLine {
    /// Store.
    pub store: String,
    /// Till.
    pub till: String,
    /// Currency of the amounts.
    pub currency: Option<Currency>,
    /// `z`, `day`, `month` or `year`.
    pub kind: String,
    /// Number on that till.
    pub number: u64,
    /// Trading day or period.
    pub name: String,
    /// Clock of the till when it was written, milliseconds since 1970.
    pub wall: i64,
    /// Receipts of sales.
    pub sales: u64,
    /// Receipts of reversals.
    pub reversals: u64,
    /// Takings, reversals taken off.
    pub takings_minor: i64,
    /// Counted minus expected.
    pub difference_minor: i64,
    /// Sum of all sales ever on that till.
    pub perpetual_minor: i64,
}

/// A till and how far it is behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TillLine {
    /// Store.
    pub store: StoreId,
    /// Till.
    pub till: TillId,
    /// Device.
    pub device: DeviceId,
    /// Milliseconds since the device was last heard of.
    pub contact_age_ms: i64,
    /// Head of its stream as it last said.
    pub head_seq: u64,
    /// Events it still had to send when last heard of.
    pub unsynced: u64,
    /// Age of the oldest of them, milliseconds.
    pub oldest_age_ms: Option<i64>,
    /// Events of it that were quarantined.
    pub quarantined: u64,
    /// No longer trusted.
    pub revoked: bool,
    /// Version of its program.
    pub app: String,
    /// Its streams in the order of their first events; more than one says that a ledger was restored, copied or
    /// damaged.
    pub streams: Vec<StreamLine>,
}

/// A stream of a till, and why it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamLine {
    /// Series, as its receipts print it.
    pub series: String,
    /// Stream.
    pub stream: StreamId,
    /// Why it began.
    pub reason: StreamReason,
    /// Wall clock of the till when it began, milliseconds since 1970.
    pub opened: i64,
    /// The head that it goes on from.
    pub previous: Option<StreamHead>,
    /// What the witness held, when that was another head.
    pub witness: Option<StreamHead>,
    /// Last event received.
    pub head_seq: u64,
    /// Why it is not waited for any more: `superseded`, `retired`, `lost` or `stolen`.
    pub sealed: Option<String>,
}

/// An event of a till that was kept but is in no sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAsideLine {
    /// Store of the till.
    pub store: StoreId,
    /// Till.
    pub till: TillId,
    /// Series of the stream, as its receipts print it.
    pub series: String,
    /// Its place in the stream.
    pub seq: u64,
    /// One of [`crate::QUARANTINE_CODES`]; or `other_branch`: the stream forked, and its till has not adopted this one;
    /// or `revoked_device`: its device was no longer trusted.
    pub code: String,
    /// Kind of the event, of the one inside an adopting one; none when it cannot be read.
    pub kind: Option<String>,
    /// Number of the receipt or slip that it is, if it is one.
    pub number: Option<String>,
    /// When the server received it, milliseconds since 1970.
    pub received: i64,
}

/// Code in [`SetAsideLine`] of what lies beside a forked stream.
const OTHER_BRANCH: &str = "other_branch";

/// Why an administrator may not sign in now.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Too many wrong passwords.
    #[error("blocked for {after_ms} ms")]
    Blocked {
        /// Milliseconds to wait.
        after_ms: i64,
    },
    /// The file failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn streams_of(
    tx: &Tx<'_>,
    streams: &[StreamRow],
    device: DeviceId,
) -> StoreResult<Vec<StreamLine>> {
    let mut lines = Vec::new();
    for row in streams.iter().filter(|row| row.device == device) {
        let first = tx.event_bytes(row.stream, 1)?.unwrap_or_default();
        let opened = Event::decode(&first).and_then(|event| Ok((event.wall, event.fact()?)));
        // A stream whose first event cannot be read is in quarantine, and says so there.
        if let Ok((wall, Fact::StreamOpened(opened))) = opened {
            lines.push(StreamLine {
                series: row.stream.series(),
                stream: row.stream,
                reason: opened.reason,
                opened: wall,
                previous: opened.previous,
                witness: opened.witness,
                head_seq: row.head_seq,
                sealed: tx.seal(row.stream)?.map(|seal| seal.reason),
            });
        }
    }
    lines.sort_by_key(|line| (line.opened, line.stream));
    Ok(lines)
}

/// How many whole kits there are where `of` is what there is of an article; none where no stock is kept of any part.
pub(crate) fn least_kits(
    kit: &Variant,
    of: impl Fn(VariantId) -> StoreResult<Option<Quantity>>,
) -> StoreResult<Option<Quantity>> {
    let mut least: Option<Quantity> = None;
    for part in &kit.parts {
        if let Some(there) = of(part.variant)? {
            let kits = part.kits_of(there);
            least = Some(least.map_or(kits, |least| least.min(kits)));
        }
    }
    Ok(least)
}

/// A variant of the catalogue.
pub(crate) fn variant_by_id(tx: &Tx<'_>, variant: VariantId) -> StoreResult<Option<Variant>> {
    tx.feed_row(&FeedName::Catalogue, &format!("variant:{variant}"))?
        .map(|row| from_row(&row, "variant"))
        .transpose()
}

impl Hub {
    /// Variants whose names, SKU, barcodes, brand or options hold every word of `query`, with their stock.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stock_page(
        &self,
        query: &str,
        offset: u64,
        limit: u64,
    ) -> Result<StockPage, StoreError> {
        let folded = fold_for_search(query);
        let terms: Vec<String> = folded
            .split_whitespace()
            .take(TERMS_MAX)
            .map(str::to_owned)
            .collect();
        self.store.read(|tx| {
            let locations = tx.locations()?;
            let (found, total) = tx.find_variants(&terms, offset, limit)?;
            let rows = found
                .into_iter()
                .map(|row| stock_line(tx, row, locations.keys()))
                .collect::<StoreResult<Vec<_>>>()?;
            Ok(StockPage {
                locations: locations.keys().cloned().collect(),
                location_names: locations
                    .into_iter()
                    .map(|(location, (names, _))| (location, names))
                    .collect(),
                rows,
                total,
                offset,
            })
        })
    }

    /// What is on hand of a variant at a location, thousandths; none where it was never moved nor counted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn on_hand(
        &self,
        variant: VariantId,
        location: &LocationId,
    ) -> Result<Option<Quantity>, StoreError> {
        self.store.read(|tx| quantity_at(tx, variant, location))
    }

    /// The variant of a SKU.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn variant_of_sku(&self, sku: &str) -> Result<Option<Variant>, StoreError> {
        self.store.read(|tx| {
            let Some(row) = tx.variant_by_sku(sku)? else {
                return Ok(None);
            };
            Ok(Some(variant(tx, &row)?))
        })
    }

    /// Takings of a day by store, till and currency; of all days where none is given.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn takings(&self, date: Option<BusinessDate>) -> Result<Vec<TakingsLine>, StoreError> {
        let rows = self.store.read(|tx| tx.takings(date))?;
        Ok(rows
            .into_iter()
            .map(|row| TakingsLine {
                date: row.date,
                store: row.store,
                till: row.till,
                currency: row.currency,
                receipts: row.receipts,
                reversals: row.reversals,
                takings_minor: row.takings_minor,
                units: row.units,
            })
            .collect())
    }

    /// The trial balance of every store: debits and credits are equal in each.
    ///
    /// # Errors
    /// [`StoreError`]; a sum over tills that overflows is [`StoreError::Corrupt`].
    pub fn balances(&self) -> Result<Vec<BalanceLine>, StoreError> {
        let currencies = self.currencies()?;
        let rows = self.store.read(|tx| tx.balances())?;
        let mut sums: BTreeMap<(String, String), i64> = BTreeMap::new();
        for row in rows {
            let sum = sums.entry((row.store, row.account)).or_insert(0);
            *sum = sum
                .checked_add(row.minor)
                .ok_or(StoreError::Corrupt("accounts"))?;
        }
        let mut lines = Vec::new();
        for ((store, account), minor) in sums {
            lines.push(BalanceLine {
                currency: *currencies.get(&store).ok_or(StoreError::Corrupt("store"))?,
                store,
                account,
                debit_minor: minor.max(0),
                credit_minor: minor
                    .min(0)
                    .checked_neg()
                    .ok_or(StoreError::Corrupt("accounts"))?,
            });
        }
        Ok(lines)
    }

    /// The latest closings of all tills, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn closings(&self, limit: u32) -> Result<Vec<ClosingLine>, StoreError> {
        let currencies = self.currencies()?;
        let rows = self.store.read(|tx| tx.closings(Some(limit)))?;
        Ok(rows
            .into_iter()
            .map(|row| ClosingLine {
                currency: currencies.get(&row.store).copied(),
                store: row.store,
                till: row.till,
                kind: row.kind,
                number: row.number,
                name: row.name,
                wall: row.wall,
                sales: row.sales,
                reversals: row.reversals,
                takings_minor: row.takings_minor,
                difference_minor: row.difference_minor,
                perpetual_minor: row.perpetual_minor,
            })
            .collect())
    }

    fn currencies(&self) -> Result<BTreeMap<String, Currency>, StoreError> {
        let stores = self.stores()?.into_iter();
        Ok(stores
            .map(|config| (config.store.to_string(), config.currency))
            .collect())
    }

    /// Every enrolled device and how far it is behind.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tills(&self, now: &Now) -> Result<Vec<TillLine>, StoreError> {
        self.store.read(|tx| {
            let streams = tx.streams()?;
            tx.devices()?
                .into_iter()
                .map(|row| {
                    let status: DeviceStatus = from_row(&row.status, "status")?;
                    Ok(TillLine {
                        contact_age_ms: now.wall_ms.saturating_sub(row.contact).max(0),
                        head_seq: row.head_seq,
                        unsynced: status.unsynced,
                        oldest_age_ms: status
                            .oldest_wall
                            .map(|wall| now.wall_ms.saturating_sub(wall).max(0)),
                        quarantined: tx.quarantined_count(row.device)?,
                        revoked: row.revoked.is_some(),
                        app: status.app,
                        streams: streams_of(tx, &streams, row.device)?,
                        store: row.store,
                        till: row.till,
                        device: row.device,
                    })
                })
                .collect()
        })
    }

    /// What tills sent that is in no sum, the latest first: quarantined events, and other branches of forked streams
    /// that no later stream of the till has adopted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_aside(&self, limit: u32) -> Result<Vec<SetAsideLine>, StoreError> {
        self.store.read(|tx| {
            let mut lines = Vec::new();
            for row in tx.set_aside(limit)? {
                lines.extend(set_aside_line(&row));
            }
            for row in tx.other_branches()? {
                let adopted = match Event::decode(&row.bytes) {
                    Ok(event) => tx.adopted(event.id)?.is_some(),
                    Err(_) => false,
                };
                if !adopted {
                    lines.extend(set_aside_line(&row));
                }
            }
            lines.sort_by_key(|line| std::cmp::Reverse((line.received, line.seq)));
            lines.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            Ok(lines)
        })
    }

    /// Adds an administrator of head office. The password verifier is made by the caller.
    ///
    /// # Errors
    /// [`AdminError::Exists`].
    pub fn create_admin(&mut self, name: &str, verifier: &str) -> Result<(), AdminError> {
        self.store.write(|tx| {
            if tx.admin(name)?.is_some() {
                return Err(AdminError::Exists {
                    what: "administrator",
                    name: name.to_owned(),
                });
            }
            tx.put_admin(&AdminRow {
                name: name.to_owned(),
                verifier: verifier.to_owned(),
                failures: 0,
                blocked_until: 0,
            })?;
            Ok(())
        })
    }

    /// Gives an administrator a new password and ends all sign-ins under the old one.
    ///
    /// # Errors
    /// [`AdminError::Unknown`].
    pub fn set_admin_verifier(
        &mut self,
        name: &str,
        verifier: &str,
        now: &Now,
    ) -> Result<(), AdminError> {
        self.store.write(|tx| {
            let row = tx.admin(name)?.ok_or_else(|| AdminError::Unknown {
                what: "administrator",
                name: name.to_owned(),
            })?;
            tx.put_admin(&AdminRow {
                verifier: verifier.to_owned(),
                failures: 0,
                blocked_until: 0,
                ..row
            })?;
            tx.drop_logins(now.wall_ms, Some(name))?;
            Ok(())
        })
    }

    /// Names of administrators.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn admins(&self) -> Result<Vec<String>, StoreError> {
        self.store.read(|tx| tx.admin_names())
    }

    /// Counts an attempt before it is checked and returns the verifier, none for an unknown name.
    ///
    /// # Errors
    /// [`SignInError::Blocked`].
    pub fn begin_sign_in(&mut self, name: &str, now: &Now) -> Result<Option<String>, SignInError> {
        self.store.write(|tx| {
            let Some(mut row) = tx.admin(name)? else {
                return Ok(None);
            };
            if row.blocked_until > now.wall_ms {
                return Err(SignInError::Blocked {
                    after_ms: row.blocked_until - now.wall_ms,
                });
            }
            row.failures += 1;
            if row.failures >= FREE_FAILURES {
                let doublings = u32::try_from(row.failures - FREE_FAILURES)
                    .unwrap_or(u32::MAX)
                    .min(16);
                row.blocked_until = now.wall_ms + (BLOCK_MS << doublings).min(BLOCK_MS_MAX);
            }
            tx.put_admin(&row)?;
            Ok(Some(row.verifier))
        })
    }

    /// The password was right: forgets the failures and returns a token `{tenant}.{random}` for the cookie.
    ///
    /// # Errors
    /// [`AdminError::Unknown`].
    pub fn finish_sign_in(&mut self, name: &str, now: &Now) -> Result<String, AdminError> {
        let token = format!(
            "{}.{}",
            self.identity.tenant,
            hex::encode(self.entropy.next_bytes())
        );
        self.store.write(|tx| {
            let row = tx.admin(name)?.ok_or_else(|| AdminError::Unknown {
                what: "administrator",
                name: name.to_owned(),
            })?;
            tx.put_admin(&AdminRow {
                failures: 0,
                blocked_until: 0,
                ..row
            })?;
            tx.drop_logins(now.wall_ms, None)?;
            tx.put_login(token_hash(&token), name, now.wall_ms + LOGIN_LIFE_MS)?;
            Ok::<_, AdminError>(())
        })?;
        Ok(token)
    }

    /// Which administrator a cookie's token stands for.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn signed_in(&self, token: &str, now: &Now) -> Result<Option<String>, StoreError> {
        let found = self.store.read(|tx| tx.login(token_hash(token)))?;
        Ok(found
            .filter(|(_, expires)| *expires > now.wall_ms)
            .map(|(name, _)| name))
    }

    /// Ends a sign-in.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sign_out(&mut self, token: &str) -> Result<(), StoreError> {
        self.store.write(|tx| tx.drop_login(token_hash(token)))
    }
}

/// None for an event of the server's own stream, which no till wrote.
fn set_aside_line(row: &AsideRow) -> Option<SetAsideLine> {
    let (store, till) = (row.store.clone()?, row.till.clone()?);
    let record = record_of(&row.bytes);
    Some(SetAsideLine {
        store,
        till,
        series: row.stream.series(),
        seq: row.seq,
        code: row.code.clone().unwrap_or_else(|| OTHER_BRANCH.to_owned()),
        kind: record.as_ref().map(|record| record.kind.clone()),
        number: record.and_then(|record| record.number),
        received: row.recv,
    })
}

/// What the bytes of an event say of it to somebody who looks for it in a store.
pub(crate) struct Record {
    /// Kind of the event, of the one inside an adopting one.
    pub kind: String,
    /// Number of the receipt or slip that it is, if it is one.
    pub number: Option<String>,
    /// Clock of its writer, milliseconds since 1970.
    pub wall: i64,
}

/// An event that something leads back to: where it stands, who wrote it and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventLine {
    /// Stream.
    pub stream: StreamId,
    /// Place in it.
    pub seq: u64,
    /// Store of the till that wrote it; none for the hub's own stream.
    pub store: Option<StoreId>,
    /// The till.
    pub till: Option<TillId>,
    /// Kind of the event; none when it cannot be read, or is not here.
    pub kind: Option<String>,
    /// Number of the receipt or slip that it is, if it is one.
    pub number: Option<String>,
    /// Clock of its writer, milliseconds since 1970.
    pub wall: Option<i64>,
}

impl EventLine {
    pub(crate) fn new(
        at: StreamPos,
        author: Option<StreamRow>,
        record: Option<Record>,
    ) -> EventLine {
        let (store, till) = author.map_or((None, None), |row| (row.store, row.till));
        let (kind, number, wall) = match record {
            Some(record) => (Some(record.kind), record.number, Some(record.wall)),
            None => (None, None, None),
        };
        EventLine {
            stream: at.stream,
            seq: at.seq,
            store,
            till,
            kind,
            number,
            wall,
        }
    }
}

/// None when the bytes cannot be read.
pub(crate) fn record_of(bytes: &[u8]) -> Option<Record> {
    let event = Event::decode(bytes).ok()?;
    let original = match event.fact() {
        Ok(Fact::Adopted(adopted)) => adopted.original(),
        _ => None,
    };
    Some(record_of_event(
        original.map_or(event, |original| original.event),
    ))
}

/// The same of an event that is in no wrapper.
pub(crate) fn record_of_event(event: Event) -> Record {
    let number = event.fact().ok().and_then(|fact| match fact {
        Fact::SaleCompleted(sale) => Some(sale.number),
        Fact::Reversed(reversed) => Some(reversed.mirror.number),
        Fact::CashMoved(moved) => Some(moved.slip.number),
        Fact::DrawerOpened(opened) => Some(opened.slip?.number),
        _ => None,
    });
    Record {
        kind: event.kind,
        number,
        wall: event.wall,
    }
}

fn quantity_at(
    tx: &Tx<'_>,
    variant: VariantId,
    location: &LocationId,
) -> StoreResult<Option<Quantity>> {
    let Some(row) = tx.feed_row(&FeedName::Stock(location.clone()), &variant.to_string())? else {
        return Ok(None);
    };
    Ok(Some(from_row::<StockRow>(&row, "stock row")?.quantity))
}

fn variant(tx: &Tx<'_>, row: &VariantRow) -> StoreResult<Variant> {
    let text = tx
        .feed_row(&FeedName::Catalogue, &format!("variant:{}", row.variant))?
        .ok_or(StoreError::Corrupt("variant"))?;
    from_row(&text, "variant")
}

fn stock_line<'a>(
    tx: &Tx<'_>,
    row: VariantRow,
    locations: impl Iterator<Item = &'a LocationId>,
) -> StoreResult<StockLine> {
    let found = variant(tx, &row)?;
    let style: Style = from_row(
        &tx.feed_row(&FeedName::Catalogue, &format!("style:{}", row.style))?
            .ok_or(StoreError::Corrupt("style"))?,
        "style",
    )?;
    let mut articles = Vec::new();
    for part in &found.parts {
        articles.extend(variant_by_id(tx, part.variant)?);
    }
    let mut quantities = BTreeMap::new();
    for location in locations {
        let held = if found.is_kit() {
            kits_at(tx, &found, &articles, location)?
        } else {
            quantity_at(tx, row.variant, location)?
        };
        quantities.extend(held.map(|held| (location.clone(), held)));
    }
    let part_line = |article: Variant| {
        let part = found
            .parts
            .iter()
            .find(|part| part.variant == article.variant)?;
        Some(PartLine {
            sku: article.sku,
            quantity: part.quantity,
        })
    };
    Ok(StockLine {
        parts: articles.into_iter().filter_map(part_line).collect(),
        variant: row.variant,
        sku: row.sku,
        style: style.code,
        names: style.names,
        brand: style.brand,
        category: style.category,
        options: style
            .options
            .into_iter()
            .zip(found.options)
            .map(|(name, value)| OptionValue { name, value })
            .collect(),
        quantities,
    })
}

/// How many whole kits lie at a location; none where no part was ever moved or counted.
fn kits_at(
    tx: &Tx<'_>,
    kit: &Variant,
    articles: &[Variant],
    location: &LocationId,
) -> StoreResult<Option<Quantity>> {
    let tracked: BTreeSet<VariantId> = articles
        .iter()
        .filter(|article| article.class_at(location) != StockClass::Untracked)
        .map(|article| article.variant)
        .collect();
    let mut held = BTreeMap::new();
    for variant in &tracked {
        held.insert(*variant, quantity_at(tx, *variant, location)?);
    }
    if held.values().all(Option::is_none) {
        return Ok(None);
    }
    // What was never moved is none.
    least_kits(kit, |part| {
        Ok(held.get(&part).map(|held| held.unwrap_or_default()))
    })
}
