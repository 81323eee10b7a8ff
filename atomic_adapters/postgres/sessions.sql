-- name: insert_credentials
-- Waits for a concurrent insert of the same email to commit or roll back.
INSERT INTO credentials (merchant_id, email, password_hash, account_id)
VALUES (%(merchant_id)s, %(email)s, %(password_hash)s, %(account_id)s)
    ON CONFLICT ON CONSTRAINT credentials_email_once DO NOTHING

-- name: find_credentials
SELECT merchant_id, email, password_hash, account_id
  FROM credentials
 WHERE email = %(email)s

-- name: get_credentials
SELECT merchant_id, email, password_hash, account_id
  FROM credentials
 WHERE merchant_id = %(merchant_id)s

-- name: replace_password_hash
UPDATE credentials
   SET password_hash = %(new)s
 WHERE merchant_id = %(merchant_id)s
   AND password_hash = %(old)s

-- name: insert_session
INSERT INTO sessions (id, merchant_id, hash, expires_at, address)
VALUES (%(id)s, %(merchant_id)s, %(hash)s, now() + %(lifetime)s::interval, %(address)s)
RETURNING id, merchant_id, created_at, expires_at, address

-- name: find_live_session
SELECT id, merchant_id, created_at, expires_at, address
  FROM sessions
 WHERE hash = %(hash)s
   AND revoked_at IS NULL
   AND expires_at > now()
   AND (SELECT suspended_at FROM merchants WHERE merchants.id = merchant_id) IS NULL

-- name: get_session
SELECT id, merchant_id, created_at, expires_at, address
  FROM sessions
 WHERE id = %(id)s
   AND merchant_id = %(merchant_id)s

-- name: list_live_sessions
SELECT id, merchant_id, created_at, expires_at, address
  FROM sessions
 WHERE merchant_id = %(merchant_id)s
   AND revoked_at IS NULL
   AND expires_at > now()
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: revoke_session
UPDATE sessions
   SET revoked_at = now()
 WHERE id = %(id)s
   AND revoked_at IS NULL

-- name: revoke_sessions
UPDATE sessions
   SET revoked_at = now()
 WHERE merchant_id = %(merchant_id)s
   AND id IS DISTINCT FROM %(keep)s::uuid
   AND revoked_at IS NULL
   AND expires_at > now()
RETURNING id

-- name: revoke_oldest_sessions
UPDATE sessions
   SET revoked_at = now()
 WHERE id IN (SELECT id
                FROM sessions
               WHERE merchant_id = %(merchant_id)s
                 AND revoked_at IS NULL
                 AND expires_at > now()
               ORDER BY created_at DESC, id DESC
              OFFSET %(keep)s)
RETURNING id

-- name: purge_sessions
-- MATERIALIZED: see purge_keys.
WITH expired AS MATERIALIZED (
    SELECT id
      FROM sessions
     WHERE expires_at <= now()
     ORDER BY expires_at
     LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
)
DELETE FROM sessions
 USING expired
 WHERE sessions.id = expired.id
