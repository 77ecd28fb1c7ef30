-- Why: what the device vouched for stays beside the journal: the head after each closing of a shift, the key of a
-- shift, and the signature on each receipt. None of it is a fact, and a signature that comes out differently every
-- time must not be hashed.
-- Older programs: they leave the new column and tables empty, which the next start of a newer one makes good.

CREATE TABLE head_signature (
    seq       INTEGER PRIMARY KEY REFERENCES event (seq),
    hash      BLOB NOT NULL CHECK (length(hash) = 32),
    algorithm TEXT NOT NULL,
    signature BLOB NOT NULL CHECK (length(signature) = 64)
) STRICT;

-- Certificates that stand in no opening of a shift: those of a P-256 key, and those of a shift that was opened on
-- an earlier stream and goes on in this one.
CREATE TABLE shift_certificate (
    shift       BLOB PRIMARY KEY CHECK (length(shift) = 16),
    certificate BLOB NOT NULL CHECK (length(certificate) = 64)
) STRICT, WITHOUT ROWID;

-- The shift key's signature over what the receipt's code says; none for a receipt that is unverified.
ALTER TABLE receipt ADD COLUMN signature BLOB CHECK (signature IS NULL OR length(signature) = 64);
