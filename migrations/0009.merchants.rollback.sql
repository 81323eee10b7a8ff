-- Refuses to drop data that cannot be restored, and to extend the rights of API keys.
DO $$
BEGIN
    IF EXISTS (SELECT FROM credentials) OR EXISTS (SELECT FROM audit_log) THEN
        RAISE EXCEPTION 'rolling back would drop credentials or an audit log' USING ERRCODE = 'restrict_violation';
    END IF;
    IF EXISTS (SELECT FROM api_keys
                WHERE revoked_at IS NULL
                  AND (expires_at IS NOT NULL OR cardinality(scopes) < 5)) THEN
        RAISE EXCEPTION 'rolling back would let keys do more than they may, or longer: revoke them first' USING ERRCODE = 'restrict_violation';
    END IF;
END
$$;
DROP TABLE audit_log;
DROP TRIGGER api_keys_stay_whose_they_are ON api_keys;
DROP INDEX api_keys_not_revoked;
ALTER TABLE api_keys DROP COLUMN scopes, DROP COLUMN expires_at, DROP COLUMN last_used_at;
CREATE TRIGGER api_keys_stay_whose_they_are
    BEFORE UPDATE ON api_keys
    FOR EACH ROW
    WHEN ((OLD.id, OLD.merchant_id, OLD.hash, OLD.created_at)
          IS DISTINCT FROM (NEW.id, NEW.merchant_id, NEW.hash, NEW.created_at)
          OR OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at)
    EXECUTE FUNCTION refuse_change('a key stays its merchant''s, and revoked once it is');
DROP TABLE sessions;
DROP TABLE credentials;
