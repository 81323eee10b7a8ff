-- name: claim_key
-- Waits for a concurrent first use to commit or roll back. Replaces an expired key; returns no row
-- if the key is in use.
INSERT INTO idempotency_keys AS existing (merchant_id, key, method, path, fingerprint, expires_at)
VALUES (%(merchant_id)s, %(key)s, %(method)s, %(path)s, %(fingerprint)s,
        now() + %(retention)s::interval)
    ON CONFLICT (merchant_id, key) DO UPDATE
   SET method = excluded.method, path = excluded.path, fingerprint = excluded.fingerprint,
       response_status = NULL, response_body = NULL, response_location = NULL,
       created_at = excluded.created_at, expires_at = excluded.expires_at
 WHERE existing.expires_at <= now()
RETURNING true

-- name: claim_keys
-- claim_key for several keys, in their order.
INSERT INTO idempotency_keys AS existing (merchant_id, key, method, path, fingerprint, expires_at)
SELECT merchant_id, key, method, path, fingerprint, now() + retention
  FROM unnest(%(merchant_ids)b::uuid[], %(keys)b::text[], %(methods)b::text[], %(paths)b::text[],
              %(fingerprints)b::bytea[], %(retentions)b::interval[])
       AS requested (merchant_id, key, method, path, fingerprint, retention)
 ORDER BY merchant_id, key
    ON CONFLICT (merchant_id, key) DO UPDATE
   SET method = excluded.method, path = excluded.path, fingerprint = excluded.fingerprint,
       response_status = NULL, response_body = NULL, response_location = NULL,
       created_at = excluded.created_at, expires_at = excluded.expires_at
 WHERE existing.expires_at <= now()
RETURNING key

-- name: lock_keys
-- Locks unused and expired keys by records that have expired already, which claim_key and
-- insert_payments replace in the same transaction. In the order of insert_payments. Waits for a
-- concurrent first use to commit or roll back.
INSERT INTO idempotency_keys AS existing (merchant_id, key, method, path, fingerprint, expires_at)
SELECT %(merchant_id)s, key, '', '', sha256(''), now()
  FROM unnest(%(keys)b::text[]) AS requested (key)
 ORDER BY key
    ON CONFLICT (merchant_id, key) DO UPDATE
   SET expires_at = existing.expires_at
 WHERE existing.expires_at <= now()

-- name: find_records
SELECT key, method, path, fingerprint, response_status, response_body, response_location,
       created_at
  FROM idempotency_keys
 WHERE merchant_id = %(merchant_id)s
   AND key = ANY(%(keys)b)

-- name: find_key
SELECT method, path, fingerprint, response_status, response_body, response_location, created_at,
       expires_at
  FROM idempotency_keys
 WHERE merchant_id = %(merchant_id)s
   AND key = %(key)s
   AND expires_at > now()

-- name: store_response
UPDATE idempotency_keys
   SET response_status = %(status)s, response_body = %(body)s, response_location = %(location)s
 WHERE merchant_id = %(merchant_id)s
   AND key = %(key)s

-- name: store_responses
UPDATE idempotency_keys
   SET response_status = answered.status, response_body = answered.body,
       response_location = answered.location
  FROM unnest(%(merchant_ids)b::uuid[], %(keys)b::text[], %(statuses)b::smallint[],
              %(bodies)b::bytea[], %(locations)b::text[])
       AS answered (merchant_id, key, status, body, location)
 WHERE idempotency_keys.merchant_id = answered.merchant_id
   AND idempotency_keys.key = answered.key

-- name: release_keys
DELETE FROM idempotency_keys
 WHERE merchant_id = %(merchant_id)s
   AND key = ANY(%(keys)b::text[])

-- name: purge_keys
-- SKIP LOCKED: do not wait for an expired key that is being claimed anew.
-- MATERIALIZED: a nested loop would run the subquery for each row, and exceed the limit.
WITH expired AS MATERIALIZED (
    SELECT merchant_id, key
      FROM idempotency_keys
     WHERE expires_at <= now()
     ORDER BY expires_at
     LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
)
DELETE FROM idempotency_keys
 USING expired
 WHERE idempotency_keys.merchant_id = expired.merchant_id
   AND idempotency_keys.key = expired.key
