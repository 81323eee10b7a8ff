-- Payments that wait for their customer: REQUIRES_ACTION, until the network says what became of them, the
-- merchant cancels them, or their time is over.
-- depends: 0035.ledger-periods
-- transactional: false

-- Runs while payments flow, also with the previous version of Atomic, which brings no payment into the new
-- state. Each statement commits by itself and locks one table for a moment; none rewrites a table.
--
-- Building an index reads payments once while nothing can be written to it. With tens of millions of payments,
-- run CREATE INDEX CONCURRENTLY with the same definitions beforehand: the migration skips what exists.
--
-- A statement that waits for its lock makes later transactions wait behind it. It gives up if a transaction
-- of another program, such as pg_dump, keeps it waiting. All statements can be repeated: after that, or a
-- kill, run the migration again.
SET lock_timeout = '5s';

ALTER TABLE payments
    -- What the customer has to do, and where. NULL unless the payment waits for it.
    ADD COLUMN IF NOT EXISTS next_action_type text,
    ADD COLUMN IF NOT EXISTS next_action_url text,
    DROP CONSTRAINT IF EXISTS payments_status_check,
    DROP CONSTRAINT IF EXISTS payments_step_check,
    DROP CONSTRAINT IF EXISTS payments_only_manual_are_held,
    DROP CONSTRAINT IF EXISTS payments_action_is_awaited,
    -- NOT VALID: the rows of before satisfy each of them, because what the constraints newly allow
    -- or concern did not exist. Validating them would read the table under the lock.
    ADD CONSTRAINT payments_status_check CHECK
        (status IN ('PENDING', 'PROCESSING', 'REQUIRES_ACTION', 'AUTHORIZED', 'SUCCESS', 'FAILED',
                    'CANCELED')) NOT VALID,
    ADD CONSTRAINT payments_step_check CHECK
        (step IN ('charge', 'authorize', 'capture', 'void', 'expire', 'abandon', 'reverse')) NOT VALID,
    ADD CONSTRAINT payments_only_manual_are_held CHECK
        (CASE capture
              WHEN 'automatic' THEN step IN ('charge', 'abandon', 'reverse')
                                    AND status <> 'AUTHORIZED'
                                    AND (status <> 'CANCELED' OR step = 'abandon')
              ELSE step <> 'charge'
         END) NOT VALID,
    ADD CONSTRAINT payments_action_is_awaited CHECK
        (CASE status
              WHEN 'REQUIRES_ACTION' THEN step IN ('charge', 'authorize')
                                          AND expires_at IS NOT NULL
                                          AND coalesce(octet_length(next_action_type), 0) BETWEEN 1 AND 50
                                          AND coalesce(octet_length(next_action_url), 0)
                                              BETWEEN 1 AND 2048
              ELSE next_action_type IS NULL AND next_action_url IS NULL
         END) NOT VALID;

-- Those that wait are few, and are not in payments_due: they take no place in a batch.
CREATE INDEX IF NOT EXISTS payments_awaited ON payments (network, due_at, id)
    WHERE phase = 'REQUIRES_ACTION';
CREATE INDEX IF NOT EXISTS payments_awaited_until ON payments (expires_at, id)
    WHERE phase = 'REQUIRES_ACTION';

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
          -- The customer is awaited: then the first step ends, or is given up, once.
          OR OLD.status = 'REQUIRES_ACTION'
             AND (CASE WHEN NEW.step = OLD.step
                       THEN NEW.status IN ('PENDING', 'CANCELED')
                            OR NEW.status = 'AUTHORIZED' AND OLD.step <> 'authorize'
                            OR NEW.status = 'SUCCESS' AND OLD.step <> 'charge'
                       ELSE NEW.status <> 'PROCESSING'
                            OR NEW.step NOT IN ('abandon', 'reverse')
                            OR NEW.step = 'abandon'
                               AND (NEW.attempt <= OLD.attempt
                                    OR NEW.cancellation_reason = 'expired'
                                       AND OLD.expires_at > now())
                  END
                  OR NEW.capture_amount IS DISTINCT FROM OLD.capture_amount)
          OR OLD.status IN ('PENDING', 'PROCESSING')
             -- The only step that begins while the payment is open is a reversal, after which it
             -- can only fail.
             AND (NEW.step <> OLD.step
                     AND (NEW.step <> 'reverse' OR NEW.status <> 'PROCESSING'
                          OR OLD.step NOT IN ('charge', 'authorize', 'capture'))
                  OR NEW.capture_amount IS DISTINCT FROM OLD.capture_amount
                  OR NEW.status = 'AUTHORIZED' AND OLD.step <> 'authorize'
                  OR NEW.status = 'REQUIRES_ACTION' AND OLD.step NOT IN ('charge', 'authorize')
                  OR NEW.status = 'CANCELED' AND OLD.step NOT IN ('void', 'expire', 'abandon')
                  OR NEW.status = 'SUCCESS' AND OLD.step NOT IN ('charge', 'capture')
                  -- A failure leaves no money at the network: a capture is reversed first, and a
                  -- void is repeated until the network confirms it.
                  OR NEW.status = 'FAILED' AND OLD.step NOT IN ('charge', 'authorize', 'reverse')
                  OR OLD.step = 'reverse'
                     AND NEW.reversal_reason IS DISTINCT FROM OLD.reversal_reason)
          -- The fence: a lower attempt would let a stale claim finish.
          OR NEW.attempt < OLD.attempt)
    EXECUTE FUNCTION refuse_change('a settled payment is final');
