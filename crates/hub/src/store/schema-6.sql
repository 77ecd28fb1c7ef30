-- Sixth schema: who may sell or promise what. A program that knows only the ones before may not open it.

-- Totals of rights that one stream has moved to another; `lease_end` none is without end.
CREATE TABLE right_edge (
    variant BLOB NOT NULL,
    location TEXT NOT NULL,
    from_stream BLOB NOT NULL,
    to_stream BLOB NOT NULL,
    total INTEGER NOT NULL,
    lease_end INTEGER,
    PRIMARY KEY (variant, location, from_stream, to_stream)
) STRICT, WITHOUT ROWID;
-- A till asks for what has come to it.
CREATE INDEX right_edge_to ON right_edge (to_stream, variant, location);

-- What the events of a stream have spent of its rights, and added to them.
CREATE TABLE right_used (
    variant BLOB NOT NULL,
    location TEXT NOT NULL,
    stream BLOB NOT NULL,
    consumed INTEGER NOT NULL,
    minted INTEGER NOT NULL,
    PRIMARY KEY (variant, location, stream)
) STRICT, WITHOUT ROWID;

-- Streams that are not waited for; `wall` is the server's clock at that moment.
CREATE TABLE sealed (
    stream BLOB PRIMARY KEY,
    seq INTEGER NOT NULL,
    reason TEXT NOT NULL,
    wall INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a device said it has seen of the hub's totals.
CREATE TABLE right_seen (
    stream BLOB NOT NULL,
    variant BLOB NOT NULL,
    location TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    total INTEGER NOT NULL,
    lease_end INTEGER,
    PRIMARY KEY (stream, variant, location)
) STRICT, WITHOUT ROWID;

-- What somebody stood and waited for; the hub's own stream for the online channel.
CREATE TABLE right_want (
    stream BLOB NOT NULL,
    variant BLOB NOT NULL,
    location TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    wall INTEGER NOT NULL,
    PRIMARY KEY (stream, variant, location)
) STRICT, WITHOUT ROWID;

-- Where a stream stood when it first spoke in an epoch.
CREATE TABLE epoch_report (
    stream BLOB PRIMARY KEY,
    epoch INTEGER NOT NULL,
    head_seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Variants that are strict now, from the catalogue.
CREATE TABLE strict_variant (
    variant BLOB NOT NULL,
    location TEXT NOT NULL,
    PRIMARY KEY (variant, location)
) STRICT, WITHOUT ROWID;

-- What the online channel asked for. `state` is open, refused, released, expired or picked; `answer` is given
-- again to whoever asks again.
CREATE TABLE promise (
    promise BLOB PRIMARY KEY,
    body BLOB NOT NULL,
    answer TEXT NOT NULL,
    state TEXT NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX promise_expires ON promise (state, expires);

CREATE TABLE promise_line (
    promise BLOB NOT NULL,
    variant BLOB NOT NULL,
    location TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    PRIMARY KEY (variant, location, promise)
) STRICT, WITHOUT ROWID;
CREATE INDEX promise_line_promise ON promise_line (promise);

-- What the program settled by itself. `seq` is the hub's own event; `note` and `resolved` say how it ended.
CREATE TABLE incident (
    incident BLOB PRIMARY KEY,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    location TEXT,
    variant BLOB,
    stream BLOB,
    body TEXT NOT NULL,
    wall INTEGER NOT NULL,
    note TEXT,
    resolved INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_wall ON incident (wall);
