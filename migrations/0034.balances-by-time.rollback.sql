-- Snapshots and shifts follow from the entries: applying the migration again makes them anew.
SET lock_timeout = '5s';

DROP TRIGGER IF EXISTS entries_are_shifted ON entries;
DROP FUNCTION IF EXISTS entries_are_shifted();
DROP FUNCTION IF EXISTS balances_before(uuid[], timestamptz[], boolean);
DROP FUNCTION IF EXISTS shift_rows(bigint, timestamptz, timestamptz);
DROP TABLE IF EXISTS effective_shifts;
DROP TABLE IF EXISTS snapshot_progress;
DROP TABLE IF EXISTS balance_snapshots;
DROP FUNCTION IF EXISTS snapshot_matches_entry();
