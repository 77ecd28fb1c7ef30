-- Why: nothing vouched for rows that no event speaks of, so that a flipped bit in a kept answer, a print job, the
-- document of a closing, a note or the place in a feed went unnoticed. `proof` is a checksum over the row.
-- Older programs: they would change rows and leave the proof as it was, and refuse the file.

ALTER TABLE answer ADD COLUMN proof INTEGER NOT NULL DEFAULT 0;
ALTER TABLE print_job ADD COLUMN proof INTEGER NOT NULL DEFAULT 0;
ALTER TABLE print_done ADD COLUMN proof INTEGER NOT NULL DEFAULT 0;
ALTER TABLE report ADD COLUMN proof INTEGER NOT NULL DEFAULT 0;
ALTER TABLE local ADD COLUMN proof INTEGER NOT NULL DEFAULT 0;
ALTER TABLE clock ADD COLUMN proof INTEGER NOT NULL DEFAULT 0;
ALTER TABLE feed ADD COLUMN proof INTEGER NOT NULL DEFAULT 0;
ALTER TABLE feed_row ADD COLUMN proof INTEGER NOT NULL DEFAULT 0;

UPDATE answer SET proof = row_proof('answer', ordinal, request, digest, wall, answer);
UPDATE print_job SET proof = row_proof('print_job', ordinal, job, kind, number, copy, state, attempts, cause, wall, not_before_wall, document);
UPDATE print_done SET proof = row_proof('print_done', ordinal, job, kind, number, copy, state, attempts, cause, wall, not_before_wall, document);
UPDATE report SET proof = row_proof('report', number, document);
UPDATE local SET proof = row_proof('local', key, value);
UPDATE clock SET proof = row_proof('clock', only, hlc);
UPDATE feed SET proof = row_proof('feed', id, name, cursor_ver, cursor_pk, ver, checksum, generation, rereading, complete, synced_wall, server_time, folded_seq);
UPDATE feed_row SET proof = row_proof('feed_row', id, feed, pk, ver, checksum, generation, understood, folded_seq);
