-- First schema of a tenant's file. A program that knows only this schema may not open a later one.
-- Blobs hold what is hashed or signed; every other column is an index that `verify` compares with them.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE stream (
    stream BLOB PRIMARY KEY,
    device BLOB NOT NULL,
    store TEXT,
    till TEXT,
    public_key TEXT NOT NULL,
    head_seq INTEGER NOT NULL,
    head_hash BLOB NOT NULL,
    signature TEXT NOT NULL,
    contact INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A rowid table: pushes of many streams then append at one end instead of all over the tree.
CREATE TABLE event (
    stream BLOB NOT NULL,
    seq INTEGER NOT NULL,
    id BLOB UNIQUE,
    bytes BLOB NOT NULL,
    hash BLOB NOT NULL,
    recv INTEGER NOT NULL,
    UNIQUE (stream, seq)
) STRICT;

CREATE TABLE quarantine (
    stream BLOB NOT NULL,
    seq INTEGER NOT NULL,
    code TEXT NOT NULL,
    recv INTEGER NOT NULL,
    PRIMARY KEY (stream, seq)
) STRICT, WITHOUT ROWID;

-- The other branches of forked streams, kept until their owner adopts them.
CREATE TABLE contested (
    stream BLOB NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    bytes BLOB NOT NULL,
    recv INTEGER NOT NULL,
    PRIMARY KEY (stream, seq, hash)
) STRICT, WITHOUT ROWID;

-- Movements stay single because a count that arrives later decides anew which of them lie after it.
CREATE TABLE movement (
    variant BLOB NOT NULL,
    location TEXT NOT NULL,
    zone TEXT NOT NULL,
    stream BLOB NOT NULL,
    seq INTEGER NOT NULL,
    hlc INTEGER NOT NULL,
    delta INTEGER NOT NULL,
    PRIMARY KEY (variant, location, zone, stream, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE count_event (
    stream BLOB NOT NULL,
    seq INTEGER NOT NULL,
    hlc INTEGER NOT NULL,
    cut TEXT NOT NULL,
    PRIMARY KEY (stream, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE anchor (
    variant BLOB NOT NULL,
    location TEXT NOT NULL,
    zone TEXT NOT NULL,
    stream BLOB NOT NULL,
    seq INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    PRIMARY KEY (variant, location, zone, stream, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE stock (
    variant BLOB NOT NULL,
    location TEXT NOT NULL,
    zone TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    anchor_stream BLOB,
    anchor_seq INTEGER,
    PRIMARY KEY (variant, location, zone)
) STRICT, WITHOUT ROWID;

CREATE TABLE takings (
    business_date TEXT NOT NULL,
    store TEXT NOT NULL,
    till TEXT NOT NULL,
    currency TEXT NOT NULL,
    receipts INTEGER NOT NULL,
    reversals INTEGER NOT NULL,
    takings_minor INTEGER NOT NULL,
    units INTEGER NOT NULL,
    PRIMARY KEY (business_date, store, till, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE price_list (
    list TEXT PRIMARY KEY,
    currency TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE location (
    location TEXT PRIMARY KEY,
    names TEXT NOT NULL,
    store TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    device BLOB PRIMARY KEY,
    store TEXT NOT NULL,
    till TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    public_key TEXT NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    enrolled INTEGER NOT NULL,
    revoked INTEGER,
    contact INTEGER NOT NULL,
    head_seq INTEGER NOT NULL,
    status TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE enrol_code (
    code_hash BLOB PRIMARY KEY,
    selector TEXT NOT NULL,
    store TEXT NOT NULL,
    till TEXT NOT NULL,
    expires INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    confirmed INTEGER NOT NULL,
    public_key TEXT,
    device BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX enrol_code_selector ON enrol_code (selector);

CREATE TABLE admin (
    name TEXT PRIMARY KEY,
    verifier TEXT NOT NULL,
    failures INTEGER NOT NULL,
    blocked_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE office_login (
    token_hash BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE style (
    style BLOB PRIMARY KEY,
    code TEXT NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;

CREATE TABLE variant (
    variant BLOB PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE,
    sku TEXT NOT NULL UNIQUE,
    style BLOB NOT NULL,
    search TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- Head office lists variants style by style.
CREATE INDEX variant_style ON variant (style, number);

CREATE TABLE gtin (
    gtin TEXT PRIMARY KEY,
    variant BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX gtin_variant ON gtin (variant);

CREATE TABLE feed (
    feed TEXT PRIMARY KEY,
    ver INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE feed_row (
    feed TEXT NOT NULL,
    pk TEXT NOT NULL,
    ver INTEGER NOT NULL,
    row TEXT,
    PRIMARY KEY (feed, pk)
) STRICT, WITHOUT ROWID;
-- Pages are read in this order from a cursor.
CREATE INDEX feed_row_ver ON feed_row (feed, ver, pk);
