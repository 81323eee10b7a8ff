-- Origins: who made a payment, a refund, a capture, a retry, and by which request.
-- depends: 0015.trigger-rights
-- transactional: false

-- Runs while payments flow. Each statement commits by itself and locks one table, so it cannot
-- deadlock with payments or settlement. Adding columns, constraints and triggers locks payments,
-- refunds, payment_events or audit_log for a moment. No table is rewritten: the columns have no
-- default, and old rows keep NULL. VALIDATE reads a table once, while it is read and written.
--
-- The version before this one can run with the new schema: its rows have no origin.
--
-- A statement that waits for its lock makes later transactions wait behind it. It gives up if a
-- transaction of another program, such as pg_dump, keeps it waiting. All statements can be repeated:
-- after that, or a kill, run the migration again.
SET lock_timeout = '5s';

-- As in audit_log, with the name of an operator in a column of its own. request_id is the
-- X-Request-Id, which the client can choose; server_request_id is Atomic's own. No foreign keys:
-- sessions are purged, and checking a key for each payment would cost more than it is worth.
ALTER TABLE payments
    ADD COLUMN IF NOT EXISTS actor text,
    ADD COLUMN IF NOT EXISTS actor_id uuid,
    ADD COLUMN IF NOT EXISTS client_address inet,
    ADD COLUMN IF NOT EXISTS server_request_id uuid,
    ADD COLUMN IF NOT EXISTS operator text,
    DROP CONSTRAINT IF EXISTS payments_actor_is_known,
    ADD CONSTRAINT payments_actor_is_known CHECK
        (CASE WHEN actor IS NULL THEN
                  coalesce(actor_id, server_request_id) IS NULL
                  AND client_address IS NULL AND operator IS NULL
              WHEN actor IN ('key', 'session') THEN
                  actor_id IS NOT NULL AND operator IS NULL
              ELSE
                  actor = 'operator' AND actor_id IS NULL
                  AND octet_length(coalesce(operator, '-')) BETWEEN 1 AND 400
         END) NOT VALID;

ALTER TABLE refunds
    ADD COLUMN IF NOT EXISTS actor text,
    ADD COLUMN IF NOT EXISTS actor_id uuid,
    ADD COLUMN IF NOT EXISTS client_address inet,
    ADD COLUMN IF NOT EXISTS server_request_id uuid,
    ADD COLUMN IF NOT EXISTS operator text,
    DROP CONSTRAINT IF EXISTS refunds_actor_is_known,
    ADD CONSTRAINT refunds_actor_is_known CHECK
        (CASE WHEN actor IS NULL THEN
                  coalesce(actor_id, server_request_id) IS NULL
                  AND client_address IS NULL AND operator IS NULL
              WHEN actor IN ('key', 'session') THEN
                  actor_id IS NOT NULL AND operator IS NULL
              ELSE
                  actor = 'operator' AND actor_id IS NULL
                  AND octet_length(coalesce(operator, '-')) BETWEEN 1 AND 400
         END) NOT VALID;

-- NULL also where Atomic itself caused the event.
ALTER TABLE payment_events
    ADD COLUMN IF NOT EXISTS actor text,
    ADD COLUMN IF NOT EXISTS actor_id uuid,
    ADD COLUMN IF NOT EXISTS client_address inet,
    ADD COLUMN IF NOT EXISTS server_request_id uuid,
    ADD COLUMN IF NOT EXISTS operator text,
    DROP CONSTRAINT IF EXISTS payment_events_actor_is_known,
    ADD CONSTRAINT payment_events_actor_is_known CHECK
        (CASE WHEN actor IS NULL THEN
                  coalesce(actor_id, server_request_id) IS NULL
                  AND client_address IS NULL AND operator IS NULL
              WHEN actor IN ('key', 'session') THEN
                  actor_id IS NOT NULL AND operator IS NULL
              ELSE
                  actor = 'operator' AND actor_id IS NULL
                  AND octet_length(coalesce(operator, '-')) BETWEEN 1 AND 400
         END) NOT VALID;

-- API keys act too: they open accounts.
ALTER TABLE audit_log
    ADD COLUMN IF NOT EXISTS server_request_id uuid,
    DROP CONSTRAINT IF EXISTS audit_log_actor_check,
    DROP CONSTRAINT IF EXISTS audit_log_actor_has_id,
    ADD CONSTRAINT audit_log_actor_check
        CHECK (actor IN ('anonymous', 'key', 'session', 'operator')) NOT VALID,
    ADD CONSTRAINT audit_log_actor_has_id
        CHECK ((actor IN ('key', 'session')) = (actor_id IS NOT NULL)) NOT VALID;

ALTER TABLE payments VALIDATE CONSTRAINT payments_actor_is_known;
ALTER TABLE refunds VALIDATE CONSTRAINT refunds_actor_is_known;
ALTER TABLE payment_events VALIDATE CONSTRAINT payment_events_actor_is_known;
ALTER TABLE audit_log VALIDATE CONSTRAINT audit_log_actor_check;
ALTER TABLE audit_log VALIDATE CONSTRAINT audit_log_actor_has_id;

-- Triggers of their own: they run only for statements that name one of these columns. Claiming and
-- settling name none.
CREATE OR REPLACE TRIGGER payments_keep_their_origin
    BEFORE UPDATE OF actor, actor_id, client_address, server_request_id, operator ON payments
    FOR EACH ROW
    WHEN ((OLD.actor, OLD.actor_id, OLD.client_address, OLD.server_request_id, OLD.operator)
          IS DISTINCT FROM
          (NEW.actor, NEW.actor_id, NEW.client_address, NEW.server_request_id, NEW.operator))
    EXECUTE FUNCTION refuse_change('the origin of a payment is final');

CREATE OR REPLACE TRIGGER refunds_keep_their_origin
    BEFORE UPDATE OF actor, actor_id, client_address, server_request_id, operator ON refunds
    FOR EACH ROW
    WHEN ((OLD.actor, OLD.actor_id, OLD.client_address, OLD.server_request_id, OLD.operator)
          IS DISTINCT FROM
          (NEW.actor, NEW.actor_id, NEW.client_address, NEW.server_request_id, NEW.operator))
    EXECUTE FUNCTION refuse_change('the origin of a refund is final');
