-- Balance of every account per till, and the closings that tills wrote: what a bookkeeper asks head office for.
-- Both are folded from the events that are there already when this step runs.
CREATE TABLE balance (
    store TEXT NOT NULL,
    till TEXT NOT NULL,
    account TEXT NOT NULL,
    minor INTEGER NOT NULL,
    PRIMARY KEY (store, till, account)
) STRICT, WITHOUT ROWID;

-- `kind` is z, day, month or year; `name` the trading day or period.
CREATE TABLE closing (
    stream BLOB NOT NULL,
    seq INTEGER NOT NULL,
    store TEXT NOT NULL,
    till TEXT NOT NULL,
    kind TEXT NOT NULL,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    wall INTEGER NOT NULL,
    sales INTEGER NOT NULL,
    reversals INTEGER NOT NULL,
    takings_minor INTEGER NOT NULL,
    difference_minor INTEGER NOT NULL,
    perpetual_minor INTEGER NOT NULL,
    PRIMARY KEY (stream, seq)
) STRICT, WITHOUT ROWID;
-- Head office looks at the latest closings of all tills.
CREATE INDEX closing_wall ON closing (wall);

-- Trading day of a shift, for its closing says only which shift it was.
CREATE TABLE shift_day (
    shift BLOB PRIMARY KEY,
    business_date TEXT NOT NULL
) STRICT, WITHOUT ROWID;
