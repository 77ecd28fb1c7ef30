-- Fifth schema: goods that move without a sale. A program that knows only the ones before may not open it.

-- What decides on which side of a count a movement lies, besides its place and clock.
ALTER TABLE movement ADD COLUMN strict INTEGER NOT NULL DEFAULT 0;
ALTER TABLE movement ADD COLUMN included_stream BLOB;
ALTER TABLE movement ADD COLUMN included_seq INTEGER;

-- Where streams say that they learned of a count; `seq` is the earliest place.
CREATE TABLE learned (
    count_stream BLOB NOT NULL,
    count_seq INTEGER NOT NULL,
    stream BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (count_stream, count_seq, stream)
) STRICT, WITHOUT ROWID;

-- Goods that are on no shelf: in transit, damaged, from suppliers, gone or found. What customers took is the sum of
-- the sales and is not kept apart.
CREATE TABLE held (
    account TEXT NOT NULL,
    variant BLOB NOT NULL,
    quantity INTEGER NOT NULL,
    PRIMARY KEY (account, variant)
) STRICT, WITHOUT ROWID;
