-- Why: what the stockroom wrote down here (deliveries, adjustments, transfers, counts) is part of the stock that this
-- till shows, until the server's rows hold it. Older files hold no such fact, so nothing is computed anew.
-- Older programs: they would write such facts, or adopt them, without these tables, and refuse the file.

-- What a fact of the stockroom moved or found at the till's location: `quantity` is a signed movement, or with
-- `counted` what was found, where the zone `*` is the whole location. Receipts keep theirs in `receipt`. By variant
-- first, since a person asks for the lineage of one.
CREATE TABLE goods (
    variant  BLOB NOT NULL CHECK (length(variant) = 16),
    seq      INTEGER NOT NULL REFERENCES event (seq),
    zone     TEXT NOT NULL,
    counted  INTEGER NOT NULL CHECK (counted IN (0, 1)),
    quantity INTEGER NOT NULL,
    PRIMARY KEY (variant, seq, zone)
) STRICT, WITHOUT ROWID;

-- Facts of the stockroom with the id of their document, transfer or promise; a count may have none.
CREATE TABLE goods_document (
    seq      INTEGER PRIMARY KEY REFERENCES event (seq),
    document BLOB CHECK (document IS NULL OR length(document) = 16)
) STRICT;
-- A document is written once, and a transfer is found by its id.
CREATE INDEX goods_document_id ON goods_document (document);

-- What accounts that are no shelf hold by our own facts: `damaged:{location}`, `transit:{transfer}`. Never zero.
CREATE TABLE held (
    account  TEXT NOT NULL,
    variant  BLOB NOT NULL CHECK (length(variant) = 16),
    quantity INTEGER NOT NULL CHECK (quantity <> 0),
    PRIMARY KEY (account, variant)
) STRICT, WITHOUT ROWID;

-- How far the server had folded every stream when the feed was last read to its end, JSON of {stream: seq}: the
-- causal cut of a count made here.
ALTER TABLE feed ADD COLUMN folded TEXT NOT NULL DEFAULT '{}';
UPDATE feed SET proof = row_proof('feed', id, name, cursor_ver, cursor_pk, ver, checksum, generation, rereading, complete, synced_wall, server_time, folded_seq, folded);
