-- Merchants that an operator has suspended, and the address that opened a session.
-- depends: 0012.posting-times
-- transactional: false

-- Runs while payments flow. Each statement commits by itself and locks one table, merchants or
-- sessions, exclusively for a moment, so it cannot deadlock with requests. The new columns have no
-- default, so nothing is rewritten. All statements can be repeated: after a lock that is not granted in
-- time, or a kill, run the migration again.
SET lock_timeout = '5s';

-- NULL: not suspended. While it is set, the merchant's keys and sessions do not work.
ALTER TABLE merchants ADD COLUMN IF NOT EXISTS suspended_at timestamptz;

-- To recognize a session by, in the list of its merchant.
ALTER TABLE sessions ADD COLUMN IF NOT EXISTS address text CHECK (octet_length(address) <= 45);

-- Those of a merchant, to list, bound and end them. Expired ones are purged by sessions_by_expiry.
CREATE INDEX IF NOT EXISTS sessions_not_revoked ON sessions (merchant_id, created_at, id)
    WHERE revoked_at IS NULL;

CREATE OR REPLACE TRIGGER sessions_stay_whose_they_are
    BEFORE UPDATE ON sessions
    FOR EACH ROW
    WHEN ((OLD.id, OLD.merchant_id, OLD.hash, OLD.created_at, OLD.expires_at, OLD.address)
          IS DISTINCT FROM
          (NEW.id, NEW.merchant_id, NEW.hash, NEW.created_at, NEW.expires_at, NEW.address)
          OR OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at)
    EXECUTE FUNCTION refuse_change('a session stays its merchant''s, and revoked once it is');
