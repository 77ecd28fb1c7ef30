-- Seventh schema: which sales were undone, and where. A program that knows only the ones before may not open it.

-- `branch` tells apart events at one place of a forked stream.
CREATE TABLE reversal (
    sale BLOB NOT NULL,
    stream BLOB NOT NULL,
    seq INTEGER NOT NULL,
    branch INTEGER NOT NULL,
    PRIMARY KEY (sale, stream, seq, branch)
) STRICT, WITHOUT ROWID;
