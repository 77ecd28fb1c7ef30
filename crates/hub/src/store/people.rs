//! Devices, enrolment codes, administrators and their sign-ins.

use domain::config::KeyAlgorithm;
use domain::ids::{DeviceId, StoreId, TillId};
use rusqlite::{OptionalExtension as _, params};

use super::{StoreError, StoreResult, Tx, from_sql, to_sql, uuid};

/// An enrolled device.
#[derive(Debug, Clone)]
pub(crate) struct DeviceRow {
    pub device: DeviceId,
    pub store: StoreId,
    pub till: TillId,
    pub algorithm: KeyAlgorithm,
    pub public_key: String,
    pub token_hash: [u8; 32],
    pub enrolled: i64,
    pub revoked: Option<i64>,
    pub contact: i64,
    pub head_seq: u64,
    /// `DeviceStatus` as JSON.
    pub status: String,
}

/// An enrolment code.
#[derive(Debug, Clone)]
pub(crate) struct CodeRow {
    pub code_hash: [u8; 32],
    pub selector: String,
    pub store: StoreId,
    pub till: TillId,
    pub expires: i64,
    pub tries: i64,
    pub confirmed: bool,
    pub public_key: Option<String>,
    pub device: Option<DeviceId>,
}

/// An administrator of head office.
#[derive(Debug, Clone)]
pub(crate) struct AdminRow {
    pub name: String,
    pub verifier: String,
    pub failures: u64,
    pub blocked_until: i64,
}

const DEVICE_COLUMNS: &str = "device, store, till, algorithm, public_key, token_hash, enrolled, revoked, contact, head_seq, status";
const CODE_COLUMNS: &str =
    "code_hash, selector, store, till, expires, tries, confirmed, public_key, device";

fn algorithm_text(algorithm: KeyAlgorithm) -> &'static str {
    match algorithm {
        KeyAlgorithm::Ed25519 => "ed25519",
        KeyAlgorithm::P256 => "p256",
    }
}

fn bad<E>(what: &'static str) -> impl FnOnce(E) -> StoreError {
    move |_| StoreError::Corrupt(what)
}

fn device_row(row: &rusqlite::Row<'_>) -> StoreResult<DeviceRow> {
    let algorithm = match row.get::<_, String>(3)?.as_str() {
        "ed25519" => KeyAlgorithm::Ed25519,
        "p256" => KeyAlgorithm::P256,
        _ => return Err(StoreError::Corrupt("key algorithm")),
    };
    Ok(DeviceRow {
        device: DeviceId(uuid(row.get(0)?)?),
        store: StoreId::new(&row.get::<_, String>(1)?).map_err(bad("store"))?,
        till: TillId::new(&row.get::<_, String>(2)?).map_err(bad("till"))?,
        algorithm,
        public_key: row.get(4)?,
        token_hash: row
            .get::<_, Vec<u8>>(5)?
            .try_into()
            .map_err(bad("token hash"))?,
        enrolled: row.get(6)?,
        revoked: row.get(7)?,
        contact: row.get(8)?,
        head_seq: from_sql(row.get(9)?)?,
        status: row.get(10)?,
    })
}

fn code_row(row: &rusqlite::Row<'_>) -> StoreResult<CodeRow> {
    Ok(CodeRow {
        code_hash: row
            .get::<_, Vec<u8>>(0)?
            .try_into()
            .map_err(bad("code hash"))?,
        selector: row.get(1)?,
        store: StoreId::new(&row.get::<_, String>(2)?).map_err(bad("store"))?,
        till: TillId::new(&row.get::<_, String>(3)?).map_err(bad("till"))?,
        expires: row.get(4)?,
        tries: row.get(5)?,
        confirmed: row.get(6)?,
        public_key: row.get(7)?,
        device: row
            .get::<_, Option<Vec<u8>>>(8)?
            .map(uuid)
            .transpose()?
            .map(DeviceId),
    })
}

impl Tx<'_> {
    pub fn device(&self, device: DeviceId) -> StoreResult<Option<DeviceRow>> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT {DEVICE_COLUMNS} FROM device WHERE device = ?1"
        ))?;
        let mut rows = statement.query([device.0.as_bytes()])?;
        rows.next()?.map(device_row).transpose()
    }

    pub fn device_by_token(&self, token_hash: [u8; 32]) -> StoreResult<Option<DeviceRow>> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT {DEVICE_COLUMNS} FROM device WHERE token_hash = ?1"
        ))?;
        let mut rows = statement.query([token_hash])?;
        rows.next()?.map(device_row).transpose()
    }

    /// All devices by store, till and enrolment.
    pub fn devices(&self) -> StoreResult<Vec<DeviceRow>> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT {DEVICE_COLUMNS} FROM device ORDER BY store, till, enrolled, device"
        ))?;
        let mut rows = statement.query([])?;
        let mut devices = Vec::new();
        while let Some(row) = rows.next()? {
            devices.push(device_row(row)?);
        }
        Ok(devices)
    }

    pub fn put_device(&self, row: &DeviceRow) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO device (device, store, till, algorithm, public_key, token_hash, enrolled, revoked, contact, head_seq, status)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                 ON CONFLICT (device) DO UPDATE SET revoked = excluded.revoked, contact = excluded.contact,
                     head_seq = excluded.head_seq, status = excluded.status",
            )?
            .execute(params![
                row.device.0.as_bytes(),
                row.store.as_str(),
                row.till.as_str(),
                algorithm_text(row.algorithm),
                row.public_key,
                row.token_hash,
                row.enrolled,
                row.revoked,
                row.contact,
                to_sql(row.head_seq)?,
                row.status,
            ])?;
        Ok(())
    }

    pub fn code(&self, code_hash: [u8; 32]) -> StoreResult<Option<CodeRow>> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT {CODE_COLUMNS} FROM enrol_code WHERE code_hash = ?1"
        ))?;
        let mut rows = statement.query([code_hash])?;
        rows.next()?.map(code_row).transpose()
    }

    /// Codes that still live at `now`, by expiry.
    pub fn live_codes(&self, now: i64) -> StoreResult<Vec<CodeRow>> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT {CODE_COLUMNS} FROM enrol_code WHERE expires > ?1 ORDER BY expires, code_hash"
        ))?;
        let mut rows = statement.query([now])?;
        let mut codes = Vec::new();
        while let Some(row) = rows.next()? {
            codes.push(code_row(row)?);
        }
        Ok(codes)
    }

    pub fn put_code(&self, row: &CodeRow) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO enrol_code (code_hash, selector, store, till, expires, tries, confirmed, public_key, device)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT (code_hash) DO UPDATE SET tries = excluded.tries, confirmed = excluded.confirmed,
                     public_key = excluded.public_key, device = excluded.device",
            )?
            .execute(params![
                row.code_hash,
                row.selector,
                row.store.as_str(),
                row.till.as_str(),
                row.expires,
                row.tries,
                row.confirmed,
                row.public_key,
                row.device.as_ref().map(|device| device.0.as_bytes().as_slice()),
            ])?;
        Ok(())
    }

    /// Takes a try from every live code that begins like the one that was guessed.
    pub fn spend_try(&self, selector: &str) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "UPDATE enrol_code SET tries = tries - 1 WHERE selector = ?1 AND tries > 0",
            )?
            .execute([selector])?;
        Ok(())
    }

    pub fn drop_codes_before(&self, expires: i64) -> StoreResult<()> {
        self.conn
            .prepare_cached("DELETE FROM enrol_code WHERE expires < ?1")?
            .execute([expires])?;
        Ok(())
    }

    pub fn admin(&self, name: &str) -> StoreResult<Option<AdminRow>> {
        let found = self
            .conn
            .prepare_cached("SELECT verifier, failures, blocked_until FROM admin WHERE name = ?1")?
            .query_row([name], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, i64>(2)?,
                ))
            })
            .optional()?;
        let Some((verifier, failures, blocked_until)) = found else {
            return Ok(None);
        };
        Ok(Some(AdminRow {
            name: name.to_owned(),
            verifier,
            failures: from_sql(failures)?,
            blocked_until,
        }))
    }

    pub fn admin_names(&self) -> StoreResult<Vec<String>> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT name FROM admin ORDER BY name")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub fn put_admin(&self, row: &AdminRow) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO admin (name, verifier, failures, blocked_until) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (name) DO UPDATE SET verifier = excluded.verifier, failures = excluded.failures,
                     blocked_until = excluded.blocked_until",
            )?
            .execute(params![
                row.name,
                row.verifier,
                to_sql(row.failures)?,
                row.blocked_until
            ])?;
        Ok(())
    }

    pub fn put_login(&self, token_hash: [u8; 32], name: &str, expires: i64) -> StoreResult<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO office_login (token_hash, name, expires) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![token_hash, name, expires])?;
        Ok(())
    }

    pub fn login(&self, token_hash: [u8; 32]) -> StoreResult<Option<(String, i64)>> {
        Ok(self
            .conn
            .prepare_cached("SELECT name, expires FROM office_login WHERE token_hash = ?1")?
            .query_row([token_hash], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }

    pub fn drop_login(&self, token_hash: [u8; 32]) -> StoreResult<()> {
        self.conn
            .prepare_cached("DELETE FROM office_login WHERE token_hash = ?1")?
            .execute([token_hash])?;
        Ok(())
    }

    /// Forgets sign-ins that ended before `now`, and all of `name` when one is given.
    pub fn drop_logins(&self, now: i64, name: Option<&str>) -> StoreResult<()> {
        self.conn
            .prepare_cached("DELETE FROM office_login WHERE expires <= ?1 OR name = ?2")?
            .execute(params![now, name])?;
        Ok(())
    }
}
