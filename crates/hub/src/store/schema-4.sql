-- Fourth schema: two branches of a forked stream may each have closed at one place, and both count. `branch` tells
-- the closings apart; 0 is what was here before.
ALTER TABLE closing RENAME TO closing_before;
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
    branch INTEGER NOT NULL,
    PRIMARY KEY (stream, seq, branch)
) STRICT, WITHOUT ROWID;
INSERT INTO closing
SELECT stream, seq, store, till, kind, number, name, wall, sales, reversals, takings_minor, difference_minor,
    perpetual_minor, 0
FROM closing_before;
DROP TABLE closing_before;
-- Head office looks at the latest closings of all tills.
CREATE INDEX closing_wall ON closing (wall);
