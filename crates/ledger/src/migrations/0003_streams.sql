-- Why: a stream can go on where another one broke off. Events adopted from the earlier stream keep their numbers,
-- so receipts and slips are told apart by their series, and what was found after a closing is a supplement to it.
-- Older programs: they take an adopted event for a mistake and number receipts without looking at the series, and
-- refuse the file.

-- Original events that were adopted, by their own id: none counts twice. `seq` is the event here that holds it.
CREATE TABLE adopted (
    id      BLOB PRIMARY KEY CHECK (length(id) = 16),
    seq     INTEGER NOT NULL REFERENCES event (seq),
    stream  BLOB NOT NULL CHECK (length(stream) = 16),
    old_seq INTEGER NOT NULL,
    hash    BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT, WITHOUT ROWID;
-- A supplement adds up what lies between two places of a stream.
CREATE INDEX adopted_at ON adopted (stream, old_seq);

-- Supplements to closings.
CREATE TABLE supplement (
    kind    INTEGER NOT NULL CHECK (kind IN (0, 1, 2)),
    closing INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    seq     INTEGER NOT NULL REFERENCES event (seq),
    PRIMARY KEY (kind, closing, number)
) STRICT, WITHOUT ROWID;

ALTER TABLE receipt RENAME TO receipt_before;
CREATE TABLE receipt (
    series      TEXT NOT NULL,
    fiscal_year INTEGER NOT NULL,
    number_seq  INTEGER NOT NULL,
    seq         INTEGER NOT NULL REFERENCES event (seq),
    kind        INTEGER NOT NULL CHECK (kind IN (0, 1)),
    sale        BLOB NOT NULL,
    number      TEXT NOT NULL,
    total_minor INTEGER NOT NULL,
    reversed_by TEXT,
    moves       BLOB NOT NULL,
    PRIMARY KEY (series, fiscal_year, number_seq)
) STRICT, WITHOUT ROWID;
-- The series is the five characters of the number before its year and sequence.
INSERT INTO receipt
SELECT substr(number, length(number) - length(printf('-%d-%06d', fiscal_year, number_seq)) - 4, 5),
       fiscal_year, number_seq, seq, kind, sale, number, total_minor, reversed_by, moves
FROM receipt_before;
DROP TABLE receipt_before;
CREATE UNIQUE INDEX receipt_sale ON receipt (sale);

ALTER TABLE slip RENAME TO slip_before;
CREATE TABLE slip (
    series      TEXT NOT NULL,
    fiscal_year INTEGER NOT NULL,
    number_seq  INTEGER NOT NULL,
    seq         INTEGER NOT NULL REFERENCES event (seq),
    PRIMARY KEY (series, fiscal_year, number_seq)
) STRICT, WITHOUT ROWID;
INSERT INTO slip
SELECT substr(slip, length(slip) - length(printf('-%d-C%06d', fiscal_year, number_seq)) - 4, 5), fiscal_year, number_seq, seq
FROM (
    SELECT s.*, coalesce(json_extract(CAST(e.bytes AS TEXT), '$.body.slip.number'), '') AS slip
    FROM slip_before s JOIN event e ON e.seq = s.seq
);
DROP TABLE slip_before;
