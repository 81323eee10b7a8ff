-- Refuses while a payment is in a state that the schema before cannot express, or was. As in the migration, each
-- statement commits by itself and can be repeated.
SET lock_timeout = '5s';

DO $$
BEGIN
    IF EXISTS (SELECT FROM payments WHERE phase = 'REQUIRES_ACTION' OR step = 'abandon') THEN
        RAISE EXCEPTION 'rolling back would drop payments that wait, or waited in vain, for their customer'
            USING ERRCODE = 'restrict_violation';
    END IF;
END
$$;

CREATE OR REPLACE TRIGGER payments_settled_are_final
    BEFORE UPDATE ON payments
    FOR EACH ROW
    WHEN (OLD.status IN ('FAILED', 'CANCELED')
          -- Of a success, only the sums of its refunds change.
          OR OLD.status = 'SUCCESS'
             AND (OLD.status, OLD.step, OLD.failure_reason, OLD.attempt, OLD.faults, OLD.due_at,
                  OLD.leased_until, OLD.claimed_by, OLD.claimed_at, OLD.expires_at,
                  OLD.capture_amount, OLD.cancellation_reason, OLD.fee_amount)
                 IS DISTINCT FROM
                 (NEW.status, NEW.step, NEW.failure_reason, NEW.attempt, NEW.faults, NEW.due_at,
                  NEW.leased_until, NEW.claimed_by, NEW.claimed_at, NEW.expires_at,
                  NEW.capture_amount, NEW.cancellation_reason, NEW.fee_amount)
          -- A hold is resolved once, by the request that makes it PROCESSING.
          OR OLD.status = 'AUTHORIZED'
             AND (NEW.status <> 'PROCESSING' OR NEW.attempt <= OLD.attempt
                  OR NEW.step NOT IN ('capture', 'void', 'expire')
                  OR NEW.step = 'expire' AND OLD.expires_at > now())
          OR OLD.status IN ('PENDING', 'PROCESSING')
             -- The only step that begins while the payment is open is a reversal, after which it
             -- can only fail.
             AND (NEW.step <> OLD.step
                     AND (NEW.step <> 'reverse' OR NEW.status <> 'PROCESSING'
                          OR OLD.step NOT IN ('charge', 'authorize', 'capture'))
                  OR NEW.capture_amount IS DISTINCT FROM OLD.capture_amount
                  OR NEW.status = 'AUTHORIZED' AND OLD.step <> 'authorize'
                  OR NEW.status = 'CANCELED' AND OLD.step NOT IN ('void', 'expire')
                  OR NEW.status = 'SUCCESS' AND OLD.step NOT IN ('charge', 'capture')
                  -- A failure leaves no money at the network: a capture is reversed first, and a
                  -- void is repeated until the network confirms it.
                  OR NEW.status = 'FAILED' AND OLD.step NOT IN ('charge', 'authorize', 'reverse')
                  OR OLD.step = 'reverse'
                     AND NEW.reversal_reason IS DISTINCT FROM OLD.reversal_reason)
          -- The fence: a lower attempt would let a stale claim finish.
          OR NEW.attempt < OLD.attempt)
    EXECUTE FUNCTION refuse_change('a settled payment is final');

DROP INDEX IF EXISTS payments_awaited;
DROP INDEX IF EXISTS payments_awaited_until;

ALTER TABLE payments
    DROP CONSTRAINT IF EXISTS payments_action_is_awaited,
    DROP CONSTRAINT IF EXISTS payments_only_manual_are_held,
    DROP CONSTRAINT IF EXISTS payments_step_check,
    DROP CONSTRAINT IF EXISTS payments_status_check,
    DROP COLUMN IF EXISTS next_action_url,
    DROP COLUMN IF EXISTS next_action_type,
    -- NOT VALID: validating here would read the table under the lock.
    ADD CONSTRAINT payments_status_check CHECK
        (status IN ('PENDING', 'PROCESSING', 'AUTHORIZED', 'SUCCESS', 'FAILED', 'CANCELED')) NOT VALID,
    ADD CONSTRAINT payments_step_check CHECK
        (step IN ('charge', 'authorize', 'capture', 'void', 'expire', 'reverse')) NOT VALID,
    ADD CONSTRAINT payments_only_manual_are_held CHECK
        (CASE capture
              WHEN 'automatic' THEN step IN ('charge', 'reverse')
                                    AND status NOT IN ('AUTHORIZED', 'CANCELED')
              ELSE step <> 'charge'
         END) NOT VALID;

-- Reads the table while it can be written to.
ALTER TABLE payments VALIDATE CONSTRAINT payments_status_check;
