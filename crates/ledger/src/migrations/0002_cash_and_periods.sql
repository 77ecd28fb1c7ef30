-- Why: cash slips, closings of days, months and years, sales per tax rate in the books, and a holder for each open
-- drawer. The books are computed anew from the journal after this step.
-- Older programs: they cannot read facts of these kinds nor keep these tables up, and refuse the file.

-- Numbers of cash slips, a series of their own beside the receipts.
CREATE TABLE slip (
    fiscal_year INTEGER NOT NULL,
    number_seq  INTEGER NOT NULL,
    seq         INTEGER NOT NULL REFERENCES event (seq),
    PRIMARY KEY (fiscal_year, number_seq)
) STRICT, WITHOUT ROWID;

-- Closings: `kind` 0 day, 1 month, 2 year.
CREATE TABLE period (
    kind   INTEGER NOT NULL CHECK (kind IN (0, 1, 2)),
    number INTEGER NOT NULL,
    seq    INTEGER NOT NULL REFERENCES event (seq),
    PRIMARY KEY (kind, number)
) STRICT, WITHOUT ROWID;

-- Reports as they were first issued, in the words and names of that day: a reprint is that document.
CREATE TABLE report (
    number   TEXT PRIMARY KEY,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;

DELETE FROM books;
