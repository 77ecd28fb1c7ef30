-- Why: a strict variant is sold only on a right. What this stream has spent and added follows from its events; what
-- it was granted came from the server and is kept with the end of its lease.
-- Older programs: they would append sales without taking them off the rights, and refuse the file.

-- What the events of this stream have added to its rights, and spent of them.
CREATE TABLE right_used (
    variant  BLOB NOT NULL CHECK (length(variant) = 16),
    location TEXT NOT NULL,
    minted   INTEGER NOT NULL,
    consumed INTEGER NOT NULL,
    PRIMARY KEY (variant, location)
) STRICT, WITHOUT ROWID;

-- Totals that this stream has given back or passed on.
CREATE TABLE right_given (
    variant   BLOB NOT NULL CHECK (length(variant) = 16),
    location  TEXT NOT NULL,
    to_stream BLOB NOT NULL CHECK (length(to_stream) = 16),
    total     INTEGER NOT NULL,
    PRIMARY KEY (variant, location, to_stream)
) STRICT, WITHOUT ROWID;

-- Counts that this stream has said to know of, and the event that said so first.
CREATE TABLE count_learned (
    stream    BLOB NOT NULL CHECK (length(stream) = 16),
    count_seq INTEGER NOT NULL,
    seq       INTEGER NOT NULL REFERENCES event (seq),
    PRIMARY KEY (stream, count_seq)
) STRICT, WITHOUT ROWID;

-- The highest total seen of each stream that granted, as it was signed, and the lease as this device's clocks know
-- it. `place` is the granting stream, the variant and the location.
CREATE TABLE right_seen (
    place       TEXT PRIMARY KEY,
    from_stream BLOB NOT NULL CHECK (length(from_stream) = 16),
    variant     BLOB NOT NULL CHECK (length(variant) = 16),
    location    TEXT NOT NULL,
    epoch       INTEGER NOT NULL,
    total       INTEGER NOT NULL,
    lease_end   INTEGER,
    signature   TEXT NOT NULL,
    length_ms   INTEGER NOT NULL,
    boot_id     INTEGER NOT NULL,
    boot_ms     INTEGER NOT NULL,
    wall        INTEGER NOT NULL,
    proof       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- A cart asks for one variant at a time.
CREATE INDEX right_seen_variant ON right_seen (variant, location);
