-- Why: a large feed is fetched as a file, in parts, over links that break off. What has arrived is kept, so that it
-- need not come again after the program ended.
-- Older programs: they read the feed in pages and leave the parts alone.

-- The file's digest is over all its bytes and is checked before they are used, so no row needs a proof.
CREATE TABLE part (
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    at     INTEGER NOT NULL,
    bytes  BLOB NOT NULL,
    PRIMARY KEY (digest, at)
) STRICT;
