-- Eighth schema: what was known when counted goods were looked at, and where a seal stands in the server's stream. A
-- program that knows only the ones before may not open it: it would take a count for later than the look.

-- JSON: `ms` of the look, and the cut then; null where both are the count's.
ALTER TABLE anchor ADD COLUMN looked TEXT;

-- Place of the seal in the server's own stream; filled in from the events.
ALTER TABLE sealed ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
