-- name: read_clock
-- The current time; now() would be the start of the transaction.
SELECT clock_timestamp()

-- name: is_ready
SELECT NOT current_setting('transaction_read_only')::boolean
       AND (SELECT count(*)
              FROM _yoyo_migration
             WHERE migration_id = ANY(%(ids)b::text[])) = cardinality(%(ids)b::text[])
