-- Payments, refunds and their events lose their origins, except for the X-Request-Id. The audit log
-- keeps what API keys did: then its constraints are not validated. As in the migration, each
-- statement commits by itself and can be repeated.
SET lock_timeout = '5s';

DROP TRIGGER IF EXISTS refunds_keep_their_origin ON refunds;
DROP TRIGGER IF EXISTS payments_keep_their_origin ON payments;

ALTER TABLE audit_log
    DROP COLUMN IF EXISTS server_request_id,
    DROP CONSTRAINT IF EXISTS audit_log_actor_check,
    DROP CONSTRAINT IF EXISTS audit_log_actor_has_id,
    ADD CONSTRAINT audit_log_actor_check
        CHECK (actor IN ('anonymous', 'session', 'operator')) NOT VALID,
    ADD CONSTRAINT audit_log_actor_has_id
        CHECK ((actor = 'session') = (actor_id IS NOT NULL)) NOT VALID;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM audit_log WHERE actor = 'key') THEN
        ALTER TABLE audit_log VALIDATE CONSTRAINT audit_log_actor_check;
        ALTER TABLE audit_log VALIDATE CONSTRAINT audit_log_actor_has_id;
    END IF;
END
$$;

ALTER TABLE payment_events
    DROP CONSTRAINT IF EXISTS payment_events_actor_is_known,
    DROP COLUMN IF EXISTS operator, DROP COLUMN IF EXISTS server_request_id,
    DROP COLUMN IF EXISTS client_address, DROP COLUMN IF EXISTS actor_id,
    DROP COLUMN IF EXISTS actor;
ALTER TABLE refunds
    DROP CONSTRAINT IF EXISTS refunds_actor_is_known,
    DROP COLUMN IF EXISTS operator, DROP COLUMN IF EXISTS server_request_id,
    DROP COLUMN IF EXISTS client_address, DROP COLUMN IF EXISTS actor_id,
    DROP COLUMN IF EXISTS actor;
ALTER TABLE payments
    DROP CONSTRAINT IF EXISTS payments_actor_is_known,
    DROP COLUMN IF EXISTS operator, DROP COLUMN IF EXISTS server_request_id,
    DROP COLUMN IF EXISTS client_address, DROP COLUMN IF EXISTS actor_id,
    DROP COLUMN IF EXISTS actor;
