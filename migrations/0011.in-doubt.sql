-- In doubt: what is known of a step that the card network has not decided, and reversals of what the
-- network approved but the payment cannot keep.
-- depends: 0010.lists
-- transactional: false

-- Runs while payments flow. Each statement commits by itself and locks one table, payments or refunds,
-- exclusively for a moment, so it cannot deadlock with settlement. It changes the catalog only: no row is
-- read or written.
--
-- A statement that waits for its lock makes later transactions wait behind it. It gives up if a
-- transaction of another program, such as pg_dump, keeps it waiting. All statements can be repeated:
-- after that, or a kill, run the migration again.
SET lock_timeout = '5s';

ALTER TABLE payments
    -- Of the open step: NULL before the first call and after the last.
    ADD COLUMN IF NOT EXISTS network_state text,
    -- When the network first gave no final response to it.
    ADD COLUMN IF NOT EXISTS unresolved_since timestamptz,
    -- Of a reversal: the failure reason once the network has confirmed it.
    ADD COLUMN IF NOT EXISTS reversal_reason text,
    DROP CONSTRAINT IF EXISTS payments_step_check,
    DROP CONSTRAINT IF EXISTS payments_only_manual_are_held,
    DROP CONSTRAINT IF EXISTS payments_capture_within_hold,
    DROP CONSTRAINT IF EXISTS payments_reversal_has_reason,
    DROP CONSTRAINT IF EXISTS payments_network_state_of_open_step,
    -- NOT VALID: the rows of before satisfy each of them, because what the constraints newly allow
    -- or concern did not exist. Validating them would read the table under the lock.
    ADD CONSTRAINT payments_step_check CHECK
        (step IN ('charge', 'authorize', 'capture', 'void', 'expire', 'reverse')) NOT VALID,
    ADD CONSTRAINT payments_only_manual_are_held CHECK
        (CASE capture
              WHEN 'automatic' THEN step IN ('charge', 'reverse')
                                    AND status NOT IN ('AUTHORIZED', 'CANCELED')
              ELSE step <> 'charge'
         END) NOT VALID,
    ADD CONSTRAINT payments_capture_within_hold CHECK
        (capture_amount IS NULL
         OR step IN ('capture', 'reverse') AND capture_amount BETWEEN 1 AND amount) NOT VALID,
    ADD CONSTRAINT payments_reversal_has_reason CHECK
        ((step = 'reverse') = (reversal_reason IS NOT NULL)) NOT VALID,
    ADD CONSTRAINT payments_network_state_of_open_step CHECK
        (network_state IS NULL AND unresolved_since IS NULL
         OR network_state IN ('not_sent', 'pending', 'unknown', 'refused')
            AND unresolved_since IS NOT NULL AND status = 'PROCESSING') NOT VALID;

ALTER TABLE refunds
    ADD COLUMN IF NOT EXISTS network_state text,
    ADD COLUMN IF NOT EXISTS unresolved_since timestamptz,
    DROP CONSTRAINT IF EXISTS refunds_network_state_of_open_step,
    ADD CONSTRAINT refunds_network_state_of_open_step CHECK
        (network_state IS NULL AND unresolved_since IS NULL
         OR network_state IN ('not_sent', 'pending', 'unknown')
            AND unresolved_since IS NOT NULL AND status = 'PROCESSING') NOT VALID;

CREATE OR REPLACE TRIGGER payments_begin_pending
    BEFORE INSERT ON payments
    FOR EACH ROW
    WHEN (NEW.status <> 'PENDING' OR NEW.attempt <> 0
          OR NEW.step NOT IN ('charge', 'authorize')
          OR NEW.refunds_reserved IS NOT NULL
          OR NEW.network_state IS NOT NULL)
    EXECUTE FUNCTION refuse_change('a payment begins as PENDING');

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
