-- name: read_clock
-- The moment it is asked, not the transaction's beginning.
SELECT clock_timestamp()

-- name: is_ready
SELECT NOT current_setting('transaction_read_only')::boolean
       AND (SELECT count(*)
              FROM _yoyo_migration
             WHERE migration_id = ANY(%(ids)b::text[])) = cardinality(%(ids)b::text[])
