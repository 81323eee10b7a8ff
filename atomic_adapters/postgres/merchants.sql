-- name: insert_merchant
INSERT INTO merchants (id, name)
VALUES (%(id)s, %(name)s)
RETURNING id, name, created_at, suspended_at, network

-- name: get_merchant
SELECT id, name, created_at, suspended_at, network
  FROM merchants
 WHERE id = %(id)s

-- name: lock_merchant
-- NO KEY: foreign-key checks on the merchant do not wait for this lock.
SELECT id
  FROM merchants
 WHERE id = %(id)s
   FOR NO KEY UPDATE

-- name: suspend_merchant
UPDATE merchants
   SET suspended_at = now()
 WHERE id = %(id)s
   AND suspended_at IS NULL

-- name: resume_merchant
UPDATE merchants
   SET suspended_at = NULL
 WHERE id = %(id)s
   AND suspended_at IS NOT NULL

-- name: set_merchant_network
UPDATE merchants
   SET network = %(network)s::text
 WHERE id = %(id)s
   AND network IS DISTINCT FROM %(network)s::text

-- name: insert_key
INSERT INTO api_keys (id, merchant_id, name, prefix, hash, scopes, expires_at)
VALUES (%(id)s, %(merchant_id)s, %(name)s, %(prefix)s, %(hash)s, %(scopes)s, %(expires_at)s)
    ON CONFLICT ON CONSTRAINT api_keys_hash_once DO NOTHING
RETURNING id, merchant_id, name, prefix, hash, scopes, created_at, expires_at, last_used_at,
          revoked_at, revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AS active

-- name: find_active_key
SELECT id, merchant_id, name, prefix, hash, scopes, created_at, expires_at, last_used_at,
       revoked_at, true AS active
  FROM api_keys
 WHERE hash = %(hash)s
   AND revoked_at IS NULL
   AND (expires_at IS NULL OR expires_at > now())
   AND (SELECT suspended_at FROM merchants WHERE merchants.id = merchant_id) IS NULL

-- name: is_key_active
SELECT true
  FROM api_keys
 WHERE id = %(id)s
   AND revoked_at IS NULL
   AND (expires_at IS NULL OR expires_at > now())
   AND (SELECT suspended_at FROM merchants WHERE merchants.id = merchant_id) IS NULL

-- name: get_key
SELECT id, merchant_id, name, prefix, hash, scopes, created_at, expires_at, last_used_at,
       revoked_at, revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AS active
  FROM api_keys
 WHERE id = %(id)s
   AND (%(merchant_id)s::uuid IS NULL OR merchant_id = %(merchant_id)s::uuid)

-- name: list_keys
-- Active keys and others have separate limits, so that neither displaces the other.
SELECT id, merchant_id, name, prefix, hash, scopes, created_at, expires_at, last_used_at,
       revoked_at, active
  FROM ((SELECT id, merchant_id, name, prefix, hash, scopes, created_at, expires_at,
                last_used_at, revoked_at, true AS active
           FROM api_keys
          WHERE merchant_id = %(merchant_id)s
            AND revoked_at IS NULL
            AND (expires_at IS NULL OR expires_at > now())
          ORDER BY created_at DESC, id DESC
          LIMIT %(limit)s)
        UNION ALL
        (SELECT id, merchant_id, name, prefix, hash, scopes, created_at, expires_at,
                last_used_at, revoked_at, false AS active
           FROM api_keys
          WHERE merchant_id = %(merchant_id)s
            AND (revoked_at IS NOT NULL OR expires_at <= now())
          ORDER BY created_at DESC, id DESC
          LIMIT %(limit)s)) AS listed
 ORDER BY created_at, id

-- name: count_active_keys
SELECT count(*)
  FROM api_keys
 WHERE merchant_id = %(merchant_id)s
   AND revoked_at IS NULL
   AND (expires_at IS NULL OR expires_at > now())

-- name: revoke_key
UPDATE api_keys
   SET revoked_at = now()
 WHERE id = %(id)s
   AND revoked_at IS NULL
RETURNING id, merchant_id, name, prefix, hash, scopes, created_at, expires_at, last_used_at,
          revoked_at, false AS active

-- name: revoke_adopted_keys
UPDATE api_keys
   SET revoked_at = now()
 WHERE merchant_id = %(merchant_id)s
   AND prefix = ''
   AND name = %(name)s
   AND hash <> %(keep)s
   AND revoked_at IS NULL
RETURNING id, merchant_id, name, prefix, hash, scopes, created_at, expires_at, last_used_at,
          revoked_at, false AS active

-- name: expire_key
UPDATE api_keys
   SET expires_at = least(expires_at, now() + %(after)s::interval)
 WHERE id = %(id)s

-- name: record_api_key_usage
-- SKIP LOCKED: changes of a key and this update do not wait for each other. In id order, like every
-- lock.
WITH used AS MATERIALIZED (
    SELECT id
      FROM api_keys
     WHERE id = ANY(%(ids)b::uuid[])
       AND revoked_at IS NULL
       AND (expires_at IS NULL OR expires_at > now())
     ORDER BY id
       FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE api_keys
   SET last_used_at = greatest(last_used_at, now())
  FROM used
 WHERE api_keys.id = used.id
