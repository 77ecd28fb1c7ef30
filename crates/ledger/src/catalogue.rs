//! What head office sent, as a till asks for it: items, prices, configuration, staff.
//!
//! Rows stay the JSON that came in the feeds; beside them stands only what is needed to find them.

use std::collections::{BTreeMap, BTreeSet};

use domain::catalog::{Gtin, Names, PriceRow, Style, Variant};
use domain::config::{DeviceRecord, StaffMember, StoreConfig};
use domain::ids::{DeviceId, StoreId, StyleId, TillId, UserId, VariantId};
use domain::text::fold_for_search;
use domain::time::BusinessDate;
use rusqlite::OptionalExtension as _;
use serde::de::DeserializeOwned;
use sync_protocol::FeedName;
use sync_protocol::feed::IncidentNotice;

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::sql::{Id, corrupt};

/// Archived items are indexed from here on, so that they come last without sorting.
const ARCHIVED_FROM: i64 = 1 << 40;
/// Digits from which on a query may be the beginning of a barcode; shorter ones are sizes.
const BARCODE_DIGITS_MIN: usize = 3;
/// Words of a query that are looked at.
const WORDS_MAX: usize = 8;

/// Beginnings up to this length have an index of their own.
const INDEXED_PREFIX_CHARS: usize = 3;
/// Words that a longer beginning is turned into; with more, the index gathers them itself.
const ENDINGS_MAX: usize = 64;

/// A sellable item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Variant.
    pub variant: Variant,
    /// Its style; when that row has not come yet, one that is named like the SKU.
    pub style: Style,
}

impl Ledger {
    /// Configuration of the store.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Corrupt`].
    pub fn store_config(&self) -> Result<Option<StoreConfig>, LedgerError> {
        if let Some(cached) = &self.cache.borrow().store_config {
            return Ok(cached.as_deref().cloned());
        }
        let config: Option<StoreConfig> = self.config_row("store")?;
        self.cache.borrow_mut().store_config = Some(config.clone().map(Box::new));
        Ok(config)
    }

    /// All staff, also those who may no longer sign in, by name.
    ///
    /// # Errors
    /// As [`Ledger::store_config`].
    pub fn staff(&self) -> Result<Vec<StaffMember>, LedgerError> {
        // ';' follows ':' in ASCII.
        let mut statement = self.prepare(
            "SELECT pk, row FROM feed_row WHERE feed = (SELECT id FROM feed WHERE name = ?1) \
             AND pk >= 'user:' AND pk < 'user;' AND understood = 1 ORDER BY pk",
        )?;
        let rows = statement.query_map([self.config_feed()], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
        let mut staff: Vec<StaffMember> = Vec::new();
        for row in rows {
            let (pk, text) = row?;
            staff.push(read(&pk, &text)?);
        }
        staff.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(staff)
    }

    /// One member of staff.
    ///
    /// # Errors
    /// As [`Ledger::store_config`].
    pub fn staff_member(&self, user: UserId) -> Result<Option<StaffMember>, LedgerError> {
        self.config_row(&format!("user:{user}"))
    }

    /// A device of the chain, to check its signatures.
    ///
    /// # Errors
    /// As [`Ledger::store_config`].
    pub fn device_record(&self, device: DeviceId) -> Result<Option<DeviceRecord>, LedgerError> {
        self.config_row(&format!("device:{device}"))
    }

    /// All devices of the chain, revoked ones too, by their id.
    ///
    /// # Errors
    /// As [`Ledger::store_config`].
    pub fn device_records(&self) -> Result<Vec<DeviceRecord>, LedgerError> {
        let mut statement = self.prepare(
            "SELECT pk, row FROM feed_row WHERE feed = (SELECT id FROM feed WHERE name = ?1) \
             AND pk >= 'device:' AND pk < 'device;' AND understood = 1 ORDER BY pk",
        )?;
        let rows = statement.query_map([self.config_feed()], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
        let mut devices: Vec<DeviceRecord> = Vec::new();
        for row in rows {
            let (pk, text) = row?;
            devices.push(read(&pk, &text)?);
        }
        Ok(devices)
    }

    /// What a person of this store should look at, the latest first.
    ///
    /// # Errors
    /// As [`Ledger::store_config`].
    pub fn incidents(&self) -> Result<Vec<IncidentNotice>, LedgerError> {
        let mut statement = self.prepare(
            "SELECT pk, row FROM feed_row WHERE feed = (SELECT id FROM feed WHERE name = ?1) \
             AND pk >= 'incident:' AND pk < 'incident;' AND understood = 1 ORDER BY pk",
        )?;
        let rows = statement.query_map([self.config_feed()], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
        let mut notices: Vec<IncidentNotice> = Vec::new();
        for row in rows {
            let (pk, text) = row?;
            notices.push(read(&pk, &text)?);
        }
        notices.sort_by_key(|notice| std::cmp::Reverse((notice.raised, notice.incident)));
        Ok(notices)
    }

    /// The devices that were enrolled for a till of a store, revoked ones too.
    ///
    /// # Errors
    /// As [`Ledger::store_config`].
    pub fn devices_of(
        &self,
        store: &StoreId,
        till: &TillId,
    ) -> Result<Vec<DeviceRecord>, LedgerError> {
        let mut devices = self.device_records()?;
        devices.retain(|device| (&device.store, &device.till) == (store, till));
        Ok(devices)
    }

    /// Items by [`domain::receipt_code::short_variant`]: a walk over the catalogue, for a person who waits. A number
    /// that two variants share finds neither.
    ///
    /// # Errors
    /// As [`Ledger::store_config`].
    pub fn items_by_short(
        &self,
        wanted: &BTreeSet<u32>,
    ) -> Result<BTreeMap<u32, Item>, LedgerError> {
        let mut found: BTreeMap<u32, Vec<VariantId>> = BTreeMap::new();
        let mut statement = self.prepare(
            "SELECT pk FROM feed_row WHERE feed = (SELECT id FROM feed WHERE name = ?1) \
             AND pk >= 'variant:' AND pk < 'variant;' ORDER BY pk",
        )?;
        let mut rows = statement.query([CATALOGUE])?;
        while let Some(row) = rows.next()? {
            let pk: String = row.get(0)?;
            let id = pk.split_once(':').and_then(|(_, id)| id.parse().ok());
            let Some(variant) = id else { continue };
            let short = domain::receipt_code::short_variant(variant);
            if wanted.contains(&short) {
                found.entry(short).or_default().push(variant);
            }
        }
        let mut items = BTreeMap::new();
        for (short, variants) in found {
            if let [variant] = variants.as_slice()
                && let Some(item) = self.item(*variant)?
            {
                items.insert(short, item);
            }
        }
        Ok(items)
    }

    fn config_feed(&self) -> String {
        FeedName::Config(self.identity().store.clone()).to_string()
    }

    fn config_row<T: DeserializeOwned>(&self, pk: &str) -> Result<Option<T>, LedgerError> {
        self.feed_row(&self.config_feed(), pk)
    }

    fn feed_row<T: DeserializeOwned>(
        &self,
        feed: &str,
        pk: &str,
    ) -> Result<Option<T>, LedgerError> {
        let text: Option<String> = self
            .prepare(
                "SELECT row FROM feed_row WHERE feed = (SELECT id FROM feed WHERE name = ?1) AND pk = ?2 \
                 AND understood = 1",
            )?
            .query_row((feed, pk), |row| row.get(0))
            .optional()?;
        text.map(|text| read(pk, &text)).transpose()
    }

    /// The item with a GTIN, whatever the length of its label; else the one with the SKU, in upper or lower
    /// case. Where several have it, one that is still sold.
    ///
    /// # Errors
    /// As [`Ledger::store_config`].
    pub fn find_code(&self, code: &str) -> Result<Option<Item>, LedgerError> {
        match self.find_id(code)? {
            Some(id) => self.item_at(id),
            None => Ok(None),
        }
    }

    fn find_id(&self, code: &str) -> Result<Option<i64>, LedgerError> {
        let code = code.trim();
        if let Ok(gtin) = Gtin::parse(code) {
            let found = self
                .prepare(
                    "SELECT b.item FROM barcode b JOIN item i ON i.id = b.item WHERE b.digits = ?1 \
                     ORDER BY i.archived, i.id LIMIT 1",
                )?
                .query_row([barcode_key(gtin)], |row| row.get(0))
                .optional()?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(self
            .prepare("SELECT id FROM item WHERE sku = ?1 ORDER BY archived, id LIMIT 1")?
            .query_row([code], |row| row.get(0))
            .optional()?)
    }

    /// One item.
    ///
    /// # Errors
    /// As [`Ledger::store_config`].
    pub fn item(&self, variant: VariantId) -> Result<Option<Item>, LedgerError> {
        let variant: Option<Variant> = self.feed_row(CATALOGUE, &format!("variant:{variant}"))?;
        variant.map(|variant| self.with_style(variant)).transpose()
    }

    fn item_at(&self, id: i64) -> Result<Option<Item>, LedgerError> {
        let text: Option<String> = self
            .prepare("SELECT row FROM feed_row WHERE id = ?1 AND understood = 1")?
            .query_row([id], |row| row.get(0))
            .optional()?;
        text.map(|text| self.with_style(read(&id.to_string(), &text)?))
            .transpose()
    }

    fn with_style(&self, variant: Variant) -> Result<Item, LedgerError> {
        let style = self.style(variant.style)?.unwrap_or_else(|| Style {
            style: variant.style,
            code: variant.sku.clone(),
            names: Names {
                fr: variant.sku.clone(),
                ..Names::default()
            },
            brand: String::new(),
            category: String::new(),
            options: Vec::new(),
        });
        Ok(Item { variant, style })
    }

    fn style(&self, style: StyleId) -> Result<Option<Style>, LedgerError> {
        self.feed_row(CATALOGUE, &format!("style:{style}"))
    }

    /// Items that have every word of `query` in a name, brand, category, option or SKU, the last word as a
    /// beginning; three digits or more are also the beginning of a barcode. An exact GTIN or SKU comes first,
    /// archived items last. One more than `limit` when there are more. An empty query finds everything.
    ///
    /// # Errors
    /// As [`Ledger::store_config`].
    pub fn search(&self, query: &str, offset: u32, limit: u32) -> Result<Vec<Item>, LedgerError> {
        let wanted = (offset as usize)
            .saturating_add(limit as usize)
            .saturating_add(1);
        let folded = fold_for_search(query);
        let mut found = Found {
            ids: Vec::new(),
            seen: BTreeSet::new(),
            wanted,
        };
        if folded.trim().is_empty() {
            self.all_items(&mut found)?;
        } else {
            if let Some(id) = self.find_id(&folded)? {
                found.push(id);
            }
            self.by_barcode(folded.trim(), &mut found)?;
            self.by_words(&folded, &mut found)?;
        }
        let mut items = Vec::new();
        for id in found.ids.into_iter().skip(offset as usize) {
            items.extend(self.item_at(id)?);
        }
        Ok(items)
    }

    fn all_items(&self, found: &mut Found) -> Result<(), LedgerError> {
        let limit = i64::try_from(found.wanted).unwrap_or(i64::MAX);
        for archived in [false, true] {
            let mut statement =
                self.prepare("SELECT id FROM item WHERE archived = ?1 ORDER BY id LIMIT ?2")?;
            for id in statement.query_map((archived, limit), |row| row.get(0))? {
                found.push(id?);
            }
            if found.is_full() {
                break;
            }
        }
        Ok(())
    }

    fn by_barcode(&self, digits: &str, found: &mut Found) -> Result<(), LedgerError> {
        if digits.len() < BARCODE_DIGITS_MIN || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(());
        }
        let prefix = digits.trim_start_matches('0');
        if prefix.is_empty() {
            return Ok(());
        }
        let limit = i64::try_from(found.wanted).unwrap_or(i64::MAX);
        for archived in [false, true] {
            // ':' follows '9' in ASCII.
            let mut statement = self.prepare(
                "SELECT b.item FROM barcode b CROSS JOIN item i ON i.id = b.item \
                 WHERE b.digits >= ?1 AND b.digits < ?1 || ':' AND i.archived = ?2 ORDER BY b.digits, b.item LIMIT ?3",
            )?;
            for id in statement.query_map((prefix, archived, limit), |row| row.get(0))? {
                found.push(id?);
            }
            if found.is_full() {
                break;
            }
        }
        Ok(())
    }

    fn by_words(&self, folded: &str, found: &mut Found) -> Result<(), LedgerError> {
        let words: Vec<&str> = words_of(folded).take(WORDS_MAX).collect();
        if found.is_full() {
            return Ok(());
        }
        let Some(expression) = self.match_expression(&words)? else {
            return Ok(());
        };
        let mut statement = self.prepare(
            "SELECT rowid FROM item_words WHERE item_words MATCH ?1 ORDER BY rowid LIMIT ?2",
        )?;
        // What the other ways have found comes up again here and must not use up the limit.
        let limit = i64::try_from(found.wanted.saturating_add(found.ids.len())).unwrap_or(i64::MAX);
        for id in statement.query_map((expression, limit), |row| row.get::<_, i64>(0))? {
            found.push(id? % ARCHIVED_FROM);
        }
        Ok(())
    }

    /// The question to the index; none when no item can match.
    fn match_expression(&self, words: &[&str]) -> Result<Option<String>, LedgerError> {
        let Some((last, whole)) = words.split_last() else {
            return Ok(None);
        };
        let mut expression = String::new();
        for word in whole {
            expression.push_str(&format!("\"{word}\" AND "));
        }
        if last.chars().count() > INDEXED_PREFIX_CHARS {
            let endings = self.words_from(last)?;
            if endings.is_empty() {
                return Ok(None);
            }
            if endings.len() <= ENDINGS_MAX {
                let endings: Vec<String> =
                    endings.iter().map(|word| format!("\"{word}\"")).collect();
                expression.push_str(&format!("({})", endings.join(" OR ")));
                return Ok(Some(expression));
            }
        }
        expression.push_str(&format!("\"{last}\"*"));
        Ok(Some(expression))
    }

    /// Words that begin with `prefix`, up to one more than are used.
    fn words_from(&self, prefix: &str) -> Result<Vec<String>, LedgerError> {
        let limit = i64::try_from(ENDINGS_MAX).unwrap_or(i64::MAX) + 1;
        let mut statement = self.prepare(
            "SELECT word FROM word WHERE word >= ?1 AND word < ?1 || char(1114111) ORDER BY word LIMIT ?2",
        )?;
        let words = statement.query_map((prefix, limit), |row| row.get(0))?;
        Ok(words.collect::<Result<_, _>>()?)
    }

    /// Unit price on `date` in the store's price list, tax included, in minor units of the store's currency.
    ///
    /// # Errors
    /// As [`Ledger::store_config`].
    pub fn price(
        &self,
        variant: VariantId,
        date: BusinessDate,
    ) -> Result<Option<i64>, LedgerError> {
        let Some(config) = self.store_config()? else {
            return Ok(None);
        };
        let feed = FeedName::Price(config.price_list).to_string();
        let row: Option<PriceRow> = self.feed_row(&feed, &variant.to_string())?;
        Ok(row.and_then(|row| row.at(date)))
    }

    /// Version of the store's price list, 0 before it was read.
    ///
    /// # Errors
    /// As [`Ledger::store_config`].
    pub fn price_version(&self) -> Result<u64, LedgerError> {
        let Some(config) = self.store_config()? else {
            return Ok(0);
        };
        let version = self
            .prepare("SELECT ver FROM feed WHERE name = ?1")?
            .query_row([FeedName::Price(config.price_list).to_string()], |row| {
                row.get(0)
            })
            .optional()?;
        Ok(version.unwrap_or(0))
    }

    /// Variants known, archived ones included.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub fn variant_count(&self) -> Result<u32, LedgerError> {
        if let Some(count) = self.cache.borrow().variant_count {
            return Ok(count);
        }
        let count = self
            .prepare("SELECT count(*) FROM item")?
            .query_row([], |row| row.get(0))?;
        self.cache.borrow_mut().variant_count = Some(count);
        Ok(count)
    }
}

const CATALOGUE: &str = "cat";

struct Found {
    ids: Vec<i64>,
    seen: BTreeSet<i64>,
    wanted: usize,
}

impl Found {
    fn push(&mut self, id: i64) {
        if !self.is_full() && self.seen.insert(id) {
            self.ids.push(id);
        }
    }

    fn is_full(&self) -> bool {
        self.ids.len() >= self.wanted
    }
}

fn read<T: DeserializeOwned>(key: &str, text: &str) -> Result<T, LedgerError> {
    serde_json::from_str(text).map_err(|error| corrupt("feed_row", key, error))
}

/// The digits that a barcode is found by, see the table `barcode`.
pub(crate) fn barcode_key(gtin: Gtin) -> String {
    gtin.as_14_digits().trim_start_matches('0').to_owned()
}

fn words_of(folded: &str) -> impl Iterator<Item = &str> {
    folded
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

/// Whether a row of the catalogue feed can be used.
pub(crate) fn understands(pk: &str, text: &str) -> bool {
    match pk.split_once(':') {
        Some(("style", id)) => {
            serde_json::from_str::<Style>(text).is_ok_and(|style| style.style.to_string() == id)
        }
        Some(("variant", id)) => serde_json::from_str::<Variant>(text)
            .is_ok_and(|variant| variant.variant.to_string() == id),
        _ => false,
    }
}

/// What a page changed in the catalogue; words are indexed at its end, when the styles are in too.
#[derive(Default)]
pub(crate) struct CatalogueChanges {
    /// Rows of variants to index: the variant if it changed, none if only its style did.
    variants: BTreeMap<i64, Option<Variant>>,
    styles: BTreeSet<StyleId>,
}

impl CatalogueChanges {
    /// Takes a row out of the indexes, before it is changed or deleted.
    pub(crate) fn forget(&mut self, ledger: &Ledger, id: i64) -> Result<(), LedgerError> {
        self.variants.remove(&id);
        let deleted = ledger
            .prepare("DELETE FROM item WHERE id = ?1")?
            .execute([id])?;
        if deleted == 0 {
            return Ok(());
        }
        let text: String = ledger
            .prepare("SELECT row FROM feed_row WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?;
        let variant: Variant = read(&id.to_string(), &text)?;
        for gtin in &variant.gtins {
            ledger
                .prepare("DELETE FROM barcode WHERE digits = ?1 AND item = ?2")?
                .execute((barcode_key(*gtin), id))?;
        }
        forget_words(ledger, id)
    }

    /// Takes a row that is understood into the indexes.
    pub(crate) fn add(
        &mut self,
        ledger: &Ledger,
        id: i64,
        pk: &str,
        text: &str,
    ) -> Result<(), LedgerError> {
        if pk.starts_with("style:") {
            let style: Style = read(pk, text)?;
            self.styles.insert(style.style);
            return Ok(());
        }
        let variant: Variant = read(pk, text)?;
        ledger
            .prepare("INSERT INTO item (id, style, sku, archived) VALUES (?1, ?2, ?3, ?4)")?
            .execute((id, Id(variant.style.0), &variant.sku, variant.archived))?;
        for gtin in &variant.gtins {
            ledger
                .prepare("INSERT OR IGNORE INTO barcode (digits, item) VALUES (?1, ?2)")?
                .execute((barcode_key(*gtin), id))?;
        }
        self.variants.insert(id, Some(variant));
        Ok(())
    }

    /// Indexes the words of every variant that changed, or whose style did.
    pub(crate) fn index(mut self, ledger: &Ledger) -> Result<(), LedgerError> {
        for style in &self.styles {
            let mut statement = ledger.prepare("SELECT id FROM item WHERE style = ?1")?;
            for id in statement.query_map([Id(style.0)], |row| row.get(0))? {
                let id: i64 = id?;
                self.variants.entry(id).or_insert(None);
            }
        }
        let mut styles: BTreeMap<StyleId, BTreeSet<String>> = BTreeMap::new();
        let mut used: BTreeSet<String> = BTreeSet::new();
        for (id, variant) in self.variants {
            let variant = match variant {
                Some(variant) => variant,
                None => {
                    forget_words(ledger, id)?;
                    let text: String = ledger
                        .prepare("SELECT row FROM feed_row WHERE id = ?1")?
                        .query_row([id], |row| row.get(0))?;
                    read(&id.to_string(), &text)?
                }
            };
            let words = words_of_variant(ledger, &variant, &mut styles)?;
            let rowid = word_row(id, &variant);
            let text: Vec<&str> = words.iter().map(String::as_str).collect();
            ledger
                .prepare("INSERT INTO item_words (rowid, words) VALUES (?1, ?2)")?
                .execute((rowid, text.join(" ")))?;
            // Not append: it would rebuild the growing set for every variant.
            used.extend(words);
        }
        for word in used {
            ledger
                .prepare("INSERT OR IGNORE INTO word (word) VALUES (?1)")?
                .execute([word])?;
        }
        Ok(())
    }
}

/// Every word that a variant is found by; `styles` holds what was asked before.
fn words_of_variant(
    ledger: &Ledger,
    variant: &Variant,
    styles: &mut BTreeMap<StyleId, BTreeSet<String>>,
) -> Result<BTreeSet<String>, LedgerError> {
    let mut words = match styles.get(&variant.style) {
        Some(words) => words.clone(),
        None => {
            let words = ledger
                .style(variant.style)?
                .map(|style| style_words(&style))
                .unwrap_or_default();
            styles.insert(variant.style, words.clone());
            words
        }
    };
    add_words(&mut words, &variant.sku);
    for option in &variant.options {
        add_words(&mut words, option);
    }
    Ok(words)
}

/// Row of a variant in the index of words.
fn word_row(id: i64, variant: &Variant) -> i64 {
    id + if variant.archived { ARCHIVED_FROM } else { 0 }
}

impl Ledger {
    /// The first word, or indexed beginning of one, by which a search finds other items than it should, and what is
    /// wrong with it.
    pub(crate) fn first_bad_word(&self) -> Result<Option<(String, &'static str)>, LedgerError> {
        let mut wanted: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
        let mut styles = BTreeMap::new();
        let mut statement = self.prepare(
            "SELECT r.id, r.row FROM item i JOIN feed_row r ON r.id = i.id ORDER BY r.id",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (id, text): (i64, String) = (row.get(0)?, row.get(1)?);
            let variant: Variant = read(&id.to_string(), &text)?;
            let place = word_row(id, &variant);
            for word in words_of_variant(self, &variant, &mut styles)? {
                wanted.entry(word).or_default().insert(place);
            }
        }
        let mut known = self.prepare("SELECT 1 FROM word WHERE word = ?1")?;
        let mut beginnings: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
        for (word, places) in &wanted {
            if !known.exists([word])? {
                return Ok(Some((word.clone(), "it is missing among the words")));
            }
            let mut chars = word.char_indices().map(|(at, c)| at + c.len_utf8());
            for end in chars.by_ref().take(INDEXED_PREFIX_CHARS) {
                let beginning = beginnings.entry(word[..end].to_owned()).or_default();
                beginning.extend(places);
            }
        }
        let mut found = self.prepare("SELECT rowid FROM item_words WHERE item_words MATCH ?1")?;
        let asked = wanted.iter().map(|(word, places)| (word, "", places));
        for (word, star, places) in asked.chain(
            beginnings
                .iter()
                .map(|(beginning, places)| (beginning, "*", places)),
        ) {
            let rows = found.query_map([format!("\"{word}\"{star}")], |row| row.get(0))?;
            if rows.collect::<Result<BTreeSet<i64>, _>>()? != *places {
                return Ok(Some((word.clone(), "it finds other items")));
            }
        }
        Ok(None)
    }
}

fn style_words(style: &Style) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for text in [
        &style.names.fr,
        &style.names.ar,
        &style.names.en,
        &style.brand,
        &style.category,
    ] {
        add_words(&mut words, text);
    }
    words
}

fn add_words(words: &mut BTreeSet<String>, text: &str) {
    words.extend(words_of(&fold_for_search(text)).map(str::to_owned));
}

fn forget_words(ledger: &Ledger, id: i64) -> Result<(), LedgerError> {
    let mut delete = ledger.prepare("DELETE FROM item_words WHERE rowid = ?1")?;
    delete.execute([id])?;
    delete.execute([id + ARCHIVED_FROM])?;
    Ok(())
}

/// Empties every index of the catalogue.
pub(crate) fn forget_all(ledger: &Ledger) -> Result<(), LedgerError> {
    for sql in [
        "DELETE FROM item",
        "DELETE FROM barcode",
        "DELETE FROM word",
        "INSERT INTO item_words (item_words) VALUES ('delete-all')",
    ] {
        ledger.prepare(sql)?.execute([])?;
    }
    Ok(())
}
