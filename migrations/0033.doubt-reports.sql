-- Doubts are reported: each payment or refund that the card network has left in doubt for long has one event.
-- depends: 0032.reconciliations
-- transactional: false

-- Runs while payments flow, also with the previous version of Atomic, which leaves the column alone. Each
-- statement commits by itself and locks one table for a moment; none rewrites a table.
--
-- Building an index reads its table once while nothing can be written to it. With tens of millions of payments,
-- run the statement that adds the column beforehand, and then CREATE INDEX CONCURRENTLY with the same
-- definition: the migration skips what exists.
--
-- A statement that waits for its lock makes later transactions wait behind it. It gives up if a transaction
-- of another program, such as pg_dump, keeps it waiting. All statements can be repeated: after that, or a
-- kill, run the migration again.
SET lock_timeout = '5s';

ALTER TABLE payments
    -- When the doubt about the open step was reported. NULL: not yet, or there is none.
    ADD COLUMN IF NOT EXISTS doubt_reported_at timestamptz,
    DROP CONSTRAINT IF EXISTS payments_reported_doubt_is_open,
    -- NOT VALID: validating would read the table under the lock, and all rows have NULL.
    ADD CONSTRAINT payments_reported_doubt_is_open CHECK
        (doubt_reported_at IS NULL
         OR network_state IS NOT NULL AND network_state IN ('unknown', 'pending')) NOT VALID;

ALTER TABLE refunds
    ADD COLUMN IF NOT EXISTS doubt_reported_at timestamptz,
    DROP CONSTRAINT IF EXISTS refunds_reported_doubt_is_open,
    ADD CONSTRAINT refunds_reported_doubt_is_open CHECK
        (doubt_reported_at IS NULL
         OR network_state IS NOT NULL AND network_state IN ('unknown', 'pending')) NOT VALID;

-- Most payments never enter these: their columns stay NULL.
CREATE INDEX IF NOT EXISTS payments_doubt_unreported ON payments (unresolved_since, id)
    WHERE network_state = 'unknown' AND doubt_reported_at IS NULL;
CREATE INDEX IF NOT EXISTS refunds_doubt_unreported ON refunds (unresolved_since, id)
    WHERE network_state = 'unknown' AND doubt_reported_at IS NULL;
