-- Why: the first format of a till's ledger. The journal and the device's own notes are the only truth;
-- feeds can be read again from the server, and every other table is recomputed from the journal by `verify`.
-- Older programs: there is none before this format.

-- Whose file this is. The rest of the identity stands in event 1.
CREATE TABLE identity (
    only     INTEGER PRIMARY KEY CHECK (only = 1),
    stream   BLOB NOT NULL CHECK (length(stream) = 16),
    location TEXT NOT NULL
) STRICT;

-- Columns beside `bytes` are an index of what `bytes` says; `verify` compares them.
CREATE TABLE event (
    seq    INTEGER PRIMARY KEY,
    id     BLOB NOT NULL CHECK (length(id) = 16),
    hlc    INTEGER NOT NULL,
    wall   INTEGER NOT NULL,
    kind   TEXT NOT NULL,
    schema INTEGER NOT NULL,
    bytes  BLOB NOT NULL,
    hash   BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
-- An id stored twice would count a sale twice.
CREATE UNIQUE INDEX event_id ON event (id);

-- A fact is never changed or deleted, and none is left out, by whatever connection.
CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
BEGIN SELECT raise(ABORT, 'an event is never changed'); END;
CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
BEGIN SELECT raise(ABORT, 'an event is never deleted'); END;
CREATE TRIGGER event_follows_the_last BEFORE INSERT ON event
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM event)
BEGIN SELECT raise(ABORT, 'an event follows the last'); END;
CREATE TRIGGER identity_is_never_changed BEFORE UPDATE ON identity
BEGIN SELECT raise(ABORT, 'the identity is never changed'); END;
CREATE TRIGGER identity_is_never_deleted BEFORE DELETE ON identity
BEGIN SELECT raise(ABORT, 'the identity is never deleted'); END;

-- A clock reading learnt from a count elsewhere, when it is later than our last event: what this till does from
-- then on is after that count, through a restart too.
CREATE TABLE clock (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    hlc  INTEGER NOT NULL
) STRICT;

-- The running state that every sale moves, as one JSON text: balance per account, perpetual total, and the totals
-- of open shifts (their X reports). One row, so that a sale touches one page for all of it.
CREATE TABLE books (
    only  INTEGER PRIMARY KEY CHECK (only = 1),
    state TEXT NOT NULL
) STRICT;

-- One row per shift; `totals` are fixed with the Z.
CREATE TABLE shift (
    opened_seq    INTEGER PRIMARY KEY REFERENCES event (seq),
    shift         BLOB NOT NULL,
    drawer        INTEGER NOT NULL,
    business_date TEXT NOT NULL,
    closed_seq    INTEGER,
    z_number      INTEGER,
    totals        TEXT
) STRICT;
CREATE UNIQUE INDEX shift_id ON shift (shift);
CREATE UNIQUE INDEX shift_z ON shift (z_number) WHERE z_number IS NOT NULL;
-- Two open shifts of one drawer could not be told apart in its cash.
CREATE UNIQUE INDEX shift_open ON shift (drawer) WHERE closed_seq IS NULL;

-- Receipts of sales (kind 0) and reversals (kind 1) by their number; the body stays in the event. The key makes
-- numbers unique per year, and the next one is its last plus one. `moves` is what the receipt moved of the till's
-- own location: 16 bytes of variant and 8 of thousandths each, so that shown stock needs no event read again.
CREATE TABLE receipt (
    fiscal_year INTEGER NOT NULL,
    number_seq  INTEGER NOT NULL,
    seq         INTEGER NOT NULL REFERENCES event (seq),
    kind        INTEGER NOT NULL CHECK (kind IN (0, 1)),
    sale        BLOB NOT NULL,
    number      TEXT NOT NULL,
    total_minor INTEGER NOT NULL,
    reversed_by TEXT,
    moves       BLOB NOT NULL,
    PRIMARY KEY (fiscal_year, number_seq)
) STRICT, WITHOUT ROWID;
-- A draft whose sale is already here is dropped at start.
CREATE UNIQUE INDEX receipt_sale ON receipt (sale);

-- How often a document was printed again.
CREATE TABLE copy (
    number TEXT PRIMARY KEY,
    copies INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a server has acknowledged; `turn` is highest for the server last spoken to.
CREATE TABLE ack (
    authority TEXT NOT NULL,
    epoch     INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    turn      INTEGER NOT NULL,
    PRIMARY KEY (authority, epoch)
) STRICT, WITHOUT ROWID;

-- Followed feeds. `checksum` is the running one over the rows of the current `generation`; `folded_seq` is how
-- far the server had folded our stream when the feed was last read to its end. A feed that must be read anew
-- starts another generation; rows of the one before serve on until the end is reached (`rereading` = 1).
CREATE TABLE feed (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    cursor_ver  INTEGER NOT NULL DEFAULT 0,
    cursor_pk   TEXT NOT NULL DEFAULT '',
    ver         INTEGER NOT NULL DEFAULT 0,
    checksum    INTEGER NOT NULL DEFAULT 0,
    generation  INTEGER NOT NULL DEFAULT 0,
    rereading   INTEGER NOT NULL DEFAULT 0,
    complete    INTEGER NOT NULL DEFAULT 0,
    synced_wall INTEGER,
    server_time INTEGER,
    folded_seq  INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Rows as the server sent them, byte for byte what the checksum covers. `understood` is 0 for rows that this
-- program cannot read: they are kept and passed over. `folded_seq` is how far the server had folded our stream
-- when it wrote the page that the row came on.
CREATE TABLE feed_row (
    id         INTEGER PRIMARY KEY,
    feed       INTEGER NOT NULL,
    pk         TEXT NOT NULL,
    ver        INTEGER NOT NULL,
    row        TEXT NOT NULL,
    checksum   INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    understood INTEGER NOT NULL,
    folded_seq INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX feed_row_key ON feed_row (feed, pk);

-- Index over the variants in `feed_row`: `id` is the row's id.
CREATE TABLE item (
    id       INTEGER PRIMARY KEY,
    style    BLOB NOT NULL,
    sku      TEXT NOT NULL COLLATE NOCASE,
    archived INTEGER NOT NULL
) STRICT;
-- Find by SKU; find the variants to index again when their style changes.
CREATE INDEX item_sku ON item (sku);
CREATE INDEX item_style ON item (style);

-- Digits of a GTIN without leading zeros: UPC-A, EAN-13 and GTIN-14 of one item are one key, and what a person
-- types from the label's left is a prefix of it.
CREATE TABLE barcode (
    digits TEXT NOT NULL,
    item   INTEGER NOT NULL,
    PRIMARY KEY (digits, item)
) STRICT, WITHOUT ROWID;

-- Words of names, brand, category, options and SKU, folded and split by the program, which is why the plain
-- tokenizer fits: it splits at the blanks and leaves every letter beyond ASCII alone. Archived items have
-- row ids from 2^40 on, so they come last without sorting.
CREATE VIRTUAL TABLE item_words USING fts5 (
    words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii', prefix = '1 2 3'
);

-- Every word in `item_words`, to turn the beginning of one into whole words: a search for whole words is read row
-- by row until a screen is full, one for a long beginning gathers all rows first. Words no longer used may stay.
CREATE TABLE word (
    word TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Pending jobs: `state` 0 queued, 1 claimed, 2 uncertain. They are few, so the table needs no index and a sale
-- touches one page of it.
CREATE TABLE print_job (
    ordinal         INTEGER PRIMARY KEY,
    job             BLOB NOT NULL,
    kind            INTEGER NOT NULL,
    number          TEXT NOT NULL,
    copy            INTEGER NOT NULL,
    state           INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    cause           TEXT,
    wall            INTEGER NOT NULL,
    not_before_wall INTEGER,
    document        TEXT NOT NULL
) STRICT;
-- Finished jobs in the order they finished: `state` 3 printed, 4 accepted, 5 cancelled.
CREATE TABLE print_done (
    ordinal         INTEGER PRIMARY KEY,
    job             BLOB NOT NULL,
    kind            INTEGER NOT NULL,
    number          TEXT NOT NULL,
    copy            INTEGER NOT NULL,
    state           INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    cause           TEXT,
    wall            INTEGER NOT NULL,
    not_before_wall INTEGER,
    document        TEXT NOT NULL
) STRICT;
-- A person asks for one by its id, to look at it or render it again.
CREATE INDEX print_done_job ON print_done (job);

-- Answers given at the door, so that a repeated request gets the same one after a restart too.
CREATE TABLE answer (
    ordinal INTEGER PRIMARY KEY,
    request BLOB NOT NULL,
    digest  BLOB NOT NULL,
    wall    INTEGER NOT NULL,
    answer  TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX answer_request ON answer (request);

-- Durable device state that is no fact: PIN counters, the server's address.
CREATE TABLE local (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
