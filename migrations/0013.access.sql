-- Merchants that an operator has suspended, and the address that opened a session.
-- depends: 0012.posting-times

-- merchants and sessions are locked exclusively for an instant each: the new columns have no default,
-- so nothing is rewritten. Payments that wait for the lock on merchants continue after it.

-- NULL: not suspended. While it is set, the merchant's keys and sessions do not work.
ALTER TABLE merchants ADD COLUMN suspended_at timestamptz;

-- To recognize a session by, in the list of its merchant.
ALTER TABLE sessions ADD COLUMN address text CHECK (octet_length(address) <= 45);

-- Those of a merchant, to list, bound and end them. Expired ones are purged by sessions_by_expiry.
CREATE INDEX sessions_not_revoked ON sessions (merchant_id, created_at, id)
    WHERE revoked_at IS NULL;

DROP TRIGGER sessions_stay_whose_they_are ON sessions;
CREATE TRIGGER sessions_stay_whose_they_are
    BEFORE UPDATE ON sessions
    FOR EACH ROW
    WHEN ((OLD.id, OLD.merchant_id, OLD.hash, OLD.created_at, OLD.expires_at, OLD.address)
          IS DISTINCT FROM
          (NEW.id, NEW.merchant_id, NEW.hash, NEW.created_at, NEW.expires_at, NEW.address)
          OR OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at)
    EXECUTE FUNCTION refuse_change('a session stays its merchant''s, and revoked once it is');
