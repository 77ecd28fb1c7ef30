//! A checksum in every row that no event vouches for: kept answers, print jobs, documents of reports, notes, the learnt
//! clock, where feeds stand. It is written with the row and computed anew by `verify`.
//!
//! It tells damage and careless editing; whoever means to deceive can compute it too. What must not be forged stands
//! in events.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params};
use sha2::{Digest as _, Sha256};

use crate::error::LedgerError;
use crate::ledger::Ledger;

/// A table whose rows carry a proof, and what it covers.
pub(crate) struct Proven {
    pub table: &'static str,
    /// The key, which names a row.
    pub key: &'static str,
    /// All other columns that it covers, in their order.
    pub columns: &'static str,
}

pub(crate) const ANSWER: Proven = Proven {
    table: "answer",
    key: "ordinal",
    columns: "request, digest, wall, answer",
};
pub(crate) const PRINT_JOB: Proven = Proven {
    table: "print_job",
    key: "ordinal",
    columns: "job, kind, number, copy, state, attempts, cause, wall, not_before_wall, document",
};
pub(crate) const PRINT_DONE: Proven = Proven {
    table: "print_done",
    ..PRINT_JOB
};
pub(crate) const REPORT: Proven = Proven {
    table: "report",
    key: "number",
    columns: "document",
};
pub(crate) const LOCAL: Proven = Proven {
    table: "local",
    key: "key",
    columns: "value",
};
pub(crate) const CLOCK: Proven = Proven {
    table: "clock",
    key: "only",
    columns: "hlc",
};
pub(crate) const FEED: Proven = Proven {
    table: "feed",
    key: "id",
    columns: "name, cursor_ver, cursor_pk, ver, checksum, generation, rereading, complete, synced_wall, server_time, \
              folded_seq, folded",
};
/// The text is under `checksum`.
pub(crate) const FEED_ROW: Proven = Proven {
    table: "feed_row",
    key: "id",
    columns: "feed, pk, ver, checksum, generation, understood, folded_seq",
};
pub(crate) const RIGHT_SEEN: Proven = Proven {
    table: "right_seen",
    key: "place",
    columns: "from_stream, variant, location, epoch, total, lease_end, signature, length_ms, boot_id, boot_ms, wall",
};

/// Every table with proofs.
pub(crate) const ALL: [&Proven; 9] = [
    &ANSWER,
    &PRINT_JOB,
    &PRINT_DONE,
    &REPORT,
    &LOCAL,
    &CLOCK,
    &FEED,
    &FEED_ROW,
    &RIGHT_SEEN,
];

impl Proven {
    /// SQL of the proof over the row's own columns.
    pub fn proof(&self) -> String {
        let Proven {
            table,
            key,
            columns,
        } = self;
        format!("row_proof('{table}', {key}, {columns})")
    }
}

impl Ledger {
    /// Writes the proofs of the rows that `condition` names, after they were changed.
    pub(crate) fn prove(
        &self,
        table: &Proven,
        condition: &str,
        params: impl Params,
    ) -> Result<(), LedgerError> {
        let sql = format!(
            "UPDATE {} SET proof = {} WHERE {condition}",
            table.table,
            table.proof()
        );
        self.prepare(&sql)?.execute(params)?;
        Ok(())
    }

    /// Table and key of the first row whose proof is not what it says.
    pub(crate) fn first_unproven(&self) -> Result<Option<(&'static str, String)>, LedgerError> {
        for table in ALL {
            let mut statement = self.conn()?.prepare(&format!(
                "SELECT CAST({} AS TEXT) FROM {} NOT INDEXED WHERE proof IS NOT {} LIMIT 1",
                table.key,
                table.table,
                table.proof()
            ))?;
            let mut rows = statement.query([])?;
            if let Some(row) = rows.next()? {
                return Ok(Some((table.table, row.get(0)?)));
            }
        }
        Ok(None)
    }
}

/// Teaches a connection the function `row_proof(table, values...)`: 53 bits of SHA-256 over the table's name and each
/// value with its type and length. See docs/ledger.md.
pub(crate) fn teach(conn: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function("row_proof", -1, flags, |context| Ok(proof_of(context)))
}

fn proof_of(context: &Context<'_>) -> i64 {
    let mut hasher = Sha256::new();
    hasher.update(b"hanout-row-1\0");
    let mut add = |kind: u8, bytes: &[u8]| {
        hasher.update([kind]);
        hasher.update((bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    for index in 0..context.len() {
        match context.get_raw(index) {
            ValueRef::Null => add(0, &[]),
            ValueRef::Integer(value) => add(1, &value.to_be_bytes()),
            ValueRef::Real(value) => add(2, &value.to_be_bytes()),
            ValueRef::Text(value) => add(3, value),
            ValueRef::Blob(value) => add(4, value),
        }
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    (u64::from_be_bytes(head) >> 11).cast_signed()
}
