-- Refuses to let the keys of a suspended merchant work again. As in the migration, each statement
-- commits by itself and can be repeated.
SET lock_timeout = '5s';

DO $$
BEGIN
    -- By name, because a repeated rollback finds no such column.
    IF EXISTS (SELECT FROM merchants m WHERE to_jsonb(m) ->> 'suspended_at' IS NOT NULL) THEN
        RAISE EXCEPTION 'rolling back would resume suspended merchants: resume them first, or revoke their keys' USING ERRCODE = 'restrict_violation';
    END IF;
END
$$;
CREATE OR REPLACE TRIGGER sessions_stay_whose_they_are
    BEFORE UPDATE ON sessions
    FOR EACH ROW
    WHEN ((OLD.id, OLD.merchant_id, OLD.hash, OLD.created_at, OLD.expires_at)
          IS DISTINCT FROM (NEW.id, NEW.merchant_id, NEW.hash, NEW.created_at, NEW.expires_at)
          OR OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at)
    EXECUTE FUNCTION refuse_change('a session stays its merchant''s, and revoked once it is');

DROP INDEX IF EXISTS sessions_not_revoked;
ALTER TABLE sessions DROP COLUMN IF EXISTS address;
ALTER TABLE merchants DROP COLUMN IF EXISTS suspended_at;
