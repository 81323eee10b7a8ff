-- name: read_clock
-- The current time; now() would be the start of the transaction.
SELECT clock_timestamp()

-- name: probe_write
-- Writes as a request does, for a transaction that is rolled back. A new key each time: concurrent
-- probes do not wait for each other.
INSERT INTO idempotency_keys (merchant_id, key, method, path, fingerprint, expires_at)
VALUES ('00000000-0000-0000-0000-000000000000', uuidv7()::text, '', '', sha256(''), now())

-- name: is_writable
SELECT NOT current_setting('transaction_read_only')::boolean

-- name: list_pending
SELECT ARRAY(SELECT included.id
               FROM unnest(%(ids)b::text[]) AS included (id)
              WHERE NOT EXISTS (SELECT FROM _yoyo_migration WHERE migration_id = included.id)
              ORDER BY included.id)
