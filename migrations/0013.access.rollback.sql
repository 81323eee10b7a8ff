-- Refuses to let the keys of a suspended merchant work again.
DO $$
BEGIN
    IF EXISTS (SELECT FROM merchants WHERE suspended_at IS NOT NULL) THEN
        RAISE EXCEPTION 'rolling back would resume suspended merchants: resume them first, or revoke their keys' USING ERRCODE = 'restrict_violation';
    END IF;
END
$$;
DROP TRIGGER sessions_stay_whose_they_are ON sessions;
DROP INDEX sessions_not_revoked;
ALTER TABLE sessions DROP COLUMN address;
ALTER TABLE merchants DROP COLUMN suspended_at;
CREATE TRIGGER sessions_stay_whose_they_are
    BEFORE UPDATE ON sessions
    FOR EACH ROW
    WHEN ((OLD.id, OLD.merchant_id, OLD.hash, OLD.created_at, OLD.expires_at)
          IS DISTINCT FROM (NEW.id, NEW.merchant_id, NEW.hash, NEW.created_at, NEW.expires_at)
          OR OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at)
    EXECUTE FUNCTION refuse_change('a session stays its merchant''s, and revoked once it is');
