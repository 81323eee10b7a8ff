-- name: insert_credentials
-- Waits for a concurrent insert of the same email to commit or roll back.
INSERT INTO credentials (merchant_id, email, password_hash, account_id)
VALUES (%(merchant_id)s, %(email)s, %(password_hash)s, %(account_id)s)
    ON CONFLICT ON CONSTRAINT credentials_email_once DO NOTHING

-- name: find_credentials
SELECT merchant_id, email, password_hash, account_id
  FROM credentials
 WHERE email = %(email)s

-- name: replace_password_hash
UPDATE credentials
   SET password_hash = %(new)s
 WHERE merchant_id = %(merchant_id)s
   AND password_hash = %(old)s

-- name: insert_session
INSERT INTO sessions (id, merchant_id, hash, expires_at)
VALUES (%(id)s, %(merchant_id)s, %(hash)s, now() + %(lifetime)s::interval)
RETURNING id, merchant_id, created_at, expires_at

-- name: find_live_session
SELECT id, merchant_id, created_at, expires_at
  FROM sessions
 WHERE hash = %(hash)s
   AND revoked_at IS NULL
   AND expires_at > now()

-- name: revoke_session
UPDATE sessions
   SET revoked_at = now()
 WHERE id = %(id)s
   AND revoked_at IS NULL

-- name: purge_sessions
DELETE FROM sessions
 WHERE id IN (SELECT id
                FROM sessions
               WHERE expires_at <= now()
               ORDER BY expires_at
               LIMIT %(limit)s
                 FOR UPDATE SKIP LOCKED)
