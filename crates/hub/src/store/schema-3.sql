-- Third schema: events adopted by a later stream of a till. A program that knows only the ones before may not open it.

-- Original events that came inside an adopting one, by their own id; `stream` and `seq` are the adopting event's.
CREATE TABLE adopted (
    id BLOB PRIMARY KEY,
    stream BLOB NOT NULL,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Two branches of a forked stream have the same places, and both may have moved the same goods. `branch` tells the
-- events apart; 0 is what was here before.
ALTER TABLE movement RENAME TO movement_before;
CREATE TABLE movement (
    variant BLOB NOT NULL,
    location TEXT NOT NULL,
    zone TEXT NOT NULL,
    stream BLOB NOT NULL,
    seq INTEGER NOT NULL,
    branch INTEGER NOT NULL,
    hlc INTEGER NOT NULL,
    delta INTEGER NOT NULL,
    PRIMARY KEY (variant, location, zone, stream, seq, branch)
) STRICT, WITHOUT ROWID;
INSERT INTO movement
SELECT variant, location, zone, stream, seq, 0, hlc, delta FROM movement_before;
DROP TABLE movement_before;
