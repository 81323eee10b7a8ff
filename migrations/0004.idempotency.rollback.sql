-- Refuses to drop data that cannot be restored.
DO $$
BEGIN
    IF EXISTS (SELECT FROM idempotency_keys WHERE expires_at > now()) THEN
        RAISE EXCEPTION 'rolling back would drop idempotency keys that still protect their callers' USING ERRCODE = 'restrict_violation';
    END IF;
END
$$;
DROP TABLE idempotency_keys;
