//! Locations, price lists, and the keys of the catalogue. The rows themselves are the rows of the feeds.

use std::collections::BTreeMap;

use domain::catalog::Names;
use domain::ids::{LocationId, PriceListId, StoreId, StyleId, VariantId};
use domain::money::Currency;
use rusqlite::{OptionalExtension as _, params, params_from_iter};

use super::{StoreError, StoreResult, Tx, uuid};

/// Keys of a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VariantRow {
    pub variant: VariantId,
    pub number: u32,
    pub sku: String,
    pub style: StyleId,
    /// Folded text that head office searches.
    pub search: String,
}

impl Tx<'_> {
    pub fn price_lists(&self) -> StoreResult<BTreeMap<PriceListId, Currency>> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT list, currency FROM price_list ORDER BY list")?;
        let mut rows = statement.query([])?;
        let mut lists = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let list = PriceListId::new(&row.get::<_, String>(0)?)
                .map_err(|_| StoreError::Corrupt("price list"))?;
            let currency = Currency::from_code(&row.get::<_, String>(1)?)
                .ok_or(StoreError::Corrupt("currency"))?;
            lists.insert(list, currency);
        }
        Ok(lists)
    }

    pub fn put_price_list(&self, list: &PriceListId, currency: Currency) -> StoreResult<()> {
        self.conn
            .prepare_cached("INSERT INTO price_list (list, currency) VALUES (?1, ?2)")?
            .execute(params![list.as_str(), currency.code()])?;
        Ok(())
    }

    /// Locations with their names and the store they belong to.
    pub fn locations(&self) -> StoreResult<BTreeMap<LocationId, (Names, Option<StoreId>)>> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT location, names, store FROM location ORDER BY location")?;
        let mut rows = statement.query([])?;
        let mut locations = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let location = LocationId::new(&row.get::<_, String>(0)?)
                .map_err(|_| StoreError::Corrupt("location"))?;
            let names = serde_json::from_str(&row.get::<_, String>(1)?)
                .map_err(|_| StoreError::Corrupt("names"))?;
            let store = row
                .get::<_, Option<String>>(2)?
                .map(|store| StoreId::new(&store))
                .transpose()
                .map_err(|_| StoreError::Corrupt("store"))?;
            locations.insert(location, (names, store));
        }
        Ok(locations)
    }

    pub fn put_location(
        &self,
        location: &LocationId,
        names: &Names,
        store: Option<&StoreId>,
    ) -> StoreResult<()> {
        let names = serde_json::to_string(names).map_err(|_| StoreError::Corrupt("names"))?;
        self.conn
            .prepare_cached("INSERT INTO location (location, names, store) VALUES (?1, ?2, ?3)")?
            .execute(params![
                location.as_str(),
                names,
                store.map(StoreId::as_str)
            ])?;
        Ok(())
    }

    pub fn style_by_code(&self, code: &str) -> StoreResult<Option<StyleId>> {
        self.conn
            .prepare_cached("SELECT style FROM style WHERE code = ?1")?
            .query_row([code], |row| row.get::<_, Vec<u8>>(0))
            .optional()?
            .map(|bytes| Ok(StyleId(uuid(bytes)?)))
            .transpose()
    }

    pub fn insert_style(&self, style: StyleId, code: &str) -> StoreResult<()> {
        self.conn
            .prepare_cached("INSERT INTO style (style, code) VALUES (?1, ?2)")?
            .execute(params![style.0.as_bytes(), code])?;
        Ok(())
    }

    pub fn variant_by_sku(&self, sku: &str) -> StoreResult<Option<VariantRow>> {
        let found = self
            .conn
            .prepare_cached(
                "SELECT variant, number, sku, style, search FROM variant WHERE sku = ?1",
            )?
            .query_row([sku], raw_variant)
            .optional()?;
        found.map(variant_row).transpose()
    }

    pub fn put_variant(&self, row: &VariantRow) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO variant (variant, number, sku, style, search) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (variant) DO UPDATE SET search = excluded.search",
            )?
            .execute(params![
                row.variant.0.as_bytes(),
                row.number,
                row.sku,
                row.style.0.as_bytes(),
                row.search
            ])?;
        Ok(())
    }

    pub fn variant_number_max(&self) -> StoreResult<u32> {
        Ok(self
            .conn
            .query_row("SELECT COALESCE(MAX(number), 0) FROM variant", [], |row| {
                row.get(0)
            })?)
    }

    pub fn gtin_owner(&self, gtin: &str) -> StoreResult<Option<VariantId>> {
        self.conn
            .prepare_cached("SELECT variant FROM gtin WHERE gtin = ?1")?
            .query_row([gtin], |row| row.get::<_, Vec<u8>>(0))
            .optional()?
            .map(|bytes| Ok(VariantId(uuid(bytes)?)))
            .transpose()
    }

    /// Replaces the barcodes of a variant.
    pub fn put_gtins(&self, variant: VariantId, gtins: &[String]) -> StoreResult<()> {
        self.conn
            .prepare_cached("DELETE FROM gtin WHERE variant = ?1")?
            .execute([variant.0.as_bytes()])?;
        let mut insert = self
            .conn
            .prepare_cached("INSERT INTO gtin (gtin, variant) VALUES (?1, ?2)")?;
        for gtin in gtins {
            insert.execute(params![gtin, variant.0.as_bytes()])?;
        }
        Ok(())
    }

    /// Variants whose folded text holds all `terms`, style by style, and how many there are in all.
    pub fn find_variants(
        &self,
        terms: &[String],
        offset: u64,
        limit: u64,
    ) -> StoreResult<(Vec<VariantRow>, u64)> {
        let filter = if terms.is_empty() {
            "1 = 1".to_owned()
        } else {
            (1..=terms.len())
                .map(|index| format!("instr(v.search, ?{index}) > 0"))
                .collect::<Vec<_>>()
                .join(" AND ")
        };
        let total = self
            .conn
            .prepare_cached(&format!("SELECT COUNT(*) FROM variant v WHERE {filter}"))?
            .query_row(params_from_iter(terms), |row| row.get(0))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT v.variant, v.number, v.sku, v.style, v.search FROM variant v
             JOIN style s ON s.style = v.style
             WHERE {filter} ORDER BY s.code, v.number LIMIT {limit} OFFSET {offset}"
        ))?;
        let rows = statement
            .query_map(params_from_iter(terms), raw_variant)?
            .collect::<Result<Vec<_>, _>>()?;
        let rows = rows
            .into_iter()
            .map(variant_row)
            .collect::<StoreResult<Vec<_>>>()?;
        Ok((rows, super::from_sql(total)?))
    }
}

type RawVariant = (Vec<u8>, u32, String, Vec<u8>, String);

fn raw_variant(row: &rusqlite::Row<'_>) -> rusqlite::Result<RawVariant> {
    Ok((
        row.get(0)?,
        row.get(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
    ))
}

fn variant_row(raw: RawVariant) -> StoreResult<VariantRow> {
    Ok(VariantRow {
        variant: VariantId(uuid(raw.0)?),
        number: raw.1,
        sku: raw.2,
        style: StyleId(uuid(raw.3)?),
        search: raw.4,
    })
}
