-- name: add_merchant
INSERT INTO merchants (id, name)
VALUES (%(id)s, %(name)s)
RETURNING id, name, created_at

-- name: get_merchant
SELECT id, name, created_at
  FROM merchants
 WHERE id = %(id)s

-- name: lock_merchant
-- NO KEY: foreign-key checks on the merchant need not wait.
SELECT id
  FROM merchants
 WHERE id = %(id)s
   FOR NO KEY UPDATE

-- name: add_key
INSERT INTO api_keys (id, merchant_id, name, prefix, hash)
VALUES (%(id)s, %(merchant_id)s, %(name)s, %(prefix)s, %(hash)s)
    ON CONFLICT ON CONSTRAINT api_keys_hash_once DO NOTHING
RETURNING id, merchant_id, name, prefix, hash, created_at, revoked_at

-- name: active_key
SELECT id, merchant_id, name, prefix, hash, created_at, revoked_at
  FROM api_keys
 WHERE hash = %(hash)s
   AND revoked_at IS NULL

-- name: is_active
SELECT true
  FROM api_keys
 WHERE id = %(id)s
   AND revoked_at IS NULL

-- name: keys_of_merchant
SELECT id, merchant_id, name, prefix, hash, created_at, revoked_at
  FROM api_keys
 WHERE merchant_id = %(merchant_id)s
 ORDER BY created_at, id

-- name: revoke_key
UPDATE api_keys
   SET revoked_at = coalesce(revoked_at, now())
 WHERE id = %(id)s
RETURNING id, merchant_id, name, prefix, hash, created_at, revoked_at
