-- Why: a receipt that was adopted from an earlier stream keeps the code that it was printed with, which names that
-- stream and the certificate of its shift there, so that a copy shows the same code.
-- Older programs: they adopt receipts without their codes, whose copies say unverified.

CREATE TABLE adopted_code (
    sale BLOB PRIMARY KEY CHECK (length(sale) = 16),
    code TEXT NOT NULL
) STRICT, WITHOUT ROWID;
