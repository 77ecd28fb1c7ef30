-- Ninth schema: since when an article is strict, and how far each till has read the catalogue. A program that knows
-- only the ones before may not open it: it would give out rights to what a till still sells without any.

-- Version of the catalogue with which the article became strict there; 0 where no till ever knew it otherwise.
ALTER TABLE strict_variant ADD COLUMN since INTEGER NOT NULL DEFAULT 0;

-- The furthest that the author of a stream said to have read the catalogue, and its head then.
CREATE TABLE catalogue_read (
    stream BLOB PRIMARY KEY,
    ver INTEGER NOT NULL,
    pk TEXT NOT NULL,
    head_seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
