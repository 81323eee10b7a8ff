-- Refuses while a payment or refund is in a state that the schema before cannot express. As in the
-- migration, each statement commits by itself and can be repeated.
SET lock_timeout = '5s';

DO $$
BEGIN
    -- By name, because a repeated rollback finds no such columns.
    IF EXISTS (SELECT FROM payments p
                WHERE p.step = 'reverse'
                   OR p.phase = 'OPEN' AND to_jsonb(p) ->> 'network_state' IS NOT NULL)
       OR EXISTS (SELECT FROM refunds r
                   WHERE r.phase = 'OPEN' AND to_jsonb(r) ->> 'network_state' IS NOT NULL)
    THEN
        RAISE EXCEPTION 'rolling back would drop reversals and steps whose outcome is open'
            USING ERRCODE = 'restrict_violation';
    END IF;
END
$$;

-- Before the columns that the triggers of 0011 name.
CREATE OR REPLACE TRIGGER payments_begin_pending
    BEFORE INSERT ON payments
    FOR EACH ROW
    WHEN (NEW.status <> 'PENDING' OR NEW.attempt <> 0
          OR NEW.step NOT IN ('charge', 'authorize')
          OR NEW.refunds_reserved IS NOT NULL)
    EXECUTE FUNCTION refuse_change('a payment begins as PENDING');

CREATE OR REPLACE TRIGGER payments_settled_are_final
    BEFORE UPDATE ON payments
    FOR EACH ROW
    WHEN (OLD.status IN ('FAILED', 'CANCELED')
          -- Of a success nothing changes any more but what its refunds sum to.
          OR OLD.status = 'SUCCESS'
             AND (OLD.status, OLD.step, OLD.failure_reason, OLD.attempt, OLD.faults, OLD.due_at,
                  OLD.leased_until, OLD.claimed_by, OLD.claimed_at, OLD.expires_at,
                  OLD.capture_amount, OLD.cancellation_reason, OLD.fee_amount)
                 IS DISTINCT FROM
                 (NEW.status, NEW.step, NEW.failure_reason, NEW.attempt, NEW.faults, NEW.due_at,
                  NEW.leased_until, NEW.claimed_by, NEW.claimed_at, NEW.expires_at,
                  NEW.capture_amount, NEW.cancellation_reason, NEW.fee_amount)
          -- A hold is resolved once: by what first makes it work again.
          OR OLD.status = 'AUTHORIZED'
             AND (NEW.status <> 'PROCESSING' OR NEW.attempt <= OLD.attempt
                  OR NEW.step NOT IN ('capture', 'void', 'expire')
                  OR NEW.step = 'expire' AND OLD.expires_at > now())
          OR OLD.status IN ('PENDING', 'PROCESSING')
             AND (NEW.step <> OLD.step
                  OR NEW.capture_amount IS DISTINCT FROM OLD.capture_amount
                  OR NEW.status = 'AUTHORIZED' AND OLD.step <> 'authorize'
                  OR NEW.status = 'CANCELED' AND OLD.step NOT IN ('void', 'expire')
                  OR NEW.status = 'SUCCESS' AND OLD.step NOT IN ('charge', 'capture'))
          -- The fence: a lower attempt would let a stale claim finish.
          OR NEW.attempt < OLD.attempt)
    EXECUTE FUNCTION refuse_change('a settled payment is final');

ALTER TABLE refunds
    DROP CONSTRAINT IF EXISTS refunds_network_state_of_open_step,
    DROP COLUMN IF EXISTS unresolved_since,
    DROP COLUMN IF EXISTS network_state;

ALTER TABLE payments
    DROP CONSTRAINT IF EXISTS payments_network_state_of_open_step,
    DROP CONSTRAINT IF EXISTS payments_reversal_has_reason,
    DROP CONSTRAINT IF EXISTS payments_capture_within_hold,
    DROP CONSTRAINT IF EXISTS payments_only_manual_are_held,
    DROP CONSTRAINT IF EXISTS payments_step_check,
    DROP COLUMN IF EXISTS reversal_reason,
    DROP COLUMN IF EXISTS unresolved_since,
    DROP COLUMN IF EXISTS network_state,
    ADD CONSTRAINT payments_step_check
        CHECK (step IN ('charge', 'authorize', 'capture', 'void', 'expire')),
    ADD CONSTRAINT payments_only_manual_are_held CHECK
        (CASE capture
              WHEN 'automatic' THEN step = 'charge' AND status NOT IN ('AUTHORIZED', 'CANCELED')
              ELSE step <> 'charge'
         END),
    ADD CONSTRAINT payments_capture_within_hold CHECK
        (capture_amount IS NULL OR step = 'capture' AND capture_amount BETWEEN 1 AND amount);
