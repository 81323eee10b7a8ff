-- What a card network needs to find a request again: its own reference of a payment or refund, the
-- generation of our idempotency key, and when the open step was last sent.
-- depends: 0024.accept-trigger
-- transactional: false

-- Runs while payments flow, also with the previous version of Atomic: its rows have none of it, and
-- the columns have no default. Each statement commits by itself and locks one table, payments or
-- refunds, exclusively for a moment, so it cannot deadlock with settlement. It changes the catalog
-- only: no row is read or written.
--
-- A statement that waits for its lock makes later transactions wait behind it. It gives up if a
-- transaction of another program, such as pg_dump, keeps it waiting. All statements can be repeated:
-- after that, or a kill, run the migration again.
SET lock_timeout = '5s';

ALTER TABLE payments
    -- The network's id of the payment; NULL until the network has named it.
    ADD COLUMN IF NOT EXISTS network_reference text,
    -- How often the network has had no record of a step; part of the idempotency key. NULL for 0.
    ADD COLUMN IF NOT EXISTS key_generation smallint,
    -- When the open step was last sent, or may have been sent; NULL if the network has decided.
    ADD COLUMN IF NOT EXISTS sent_at timestamptz,
    DROP CONSTRAINT IF EXISTS payments_network_reference_length,
    DROP CONSTRAINT IF EXISTS payments_sent_step_is_open,
    -- NOT VALID: validating would read the table under the lock, and all rows have NULL.
    ADD CONSTRAINT payments_network_reference_length
        CHECK (octet_length(network_reference) BETWEEN 1 AND 255) NOT VALID,
    ADD CONSTRAINT payments_sent_step_is_open
        CHECK (sent_at IS NULL OR status = 'PROCESSING') NOT VALID;

ALTER TABLE refunds
    ADD COLUMN IF NOT EXISTS network_reference text,
    ADD COLUMN IF NOT EXISTS key_generation smallint,
    ADD COLUMN IF NOT EXISTS sent_at timestamptz,
    DROP CONSTRAINT IF EXISTS refunds_network_reference_length,
    DROP CONSTRAINT IF EXISTS refunds_sent_step_is_open,
    ADD CONSTRAINT refunds_network_reference_length
        CHECK (octet_length(network_reference) BETWEEN 1 AND 255) NOT VALID,
    ADD CONSTRAINT refunds_sent_step_is_open
        CHECK (sent_at IS NULL OR status = 'PROCESSING') NOT VALID;

-- A payment that is captured, voided or refunded at the network is named by its reference. Settling
-- writes the column for every payment, so the condition is tested for each, and is one comparison.
CREATE OR REPLACE TRIGGER payments_keep_their_reference
    BEFORE UPDATE OF network_reference ON payments
    FOR EACH ROW
    WHEN (OLD.network_reference IS NOT NULL
          AND NEW.network_reference IS DISTINCT FROM OLD.network_reference)
    EXECUTE FUNCTION refuse_change('the network reference of a payment is final');

CREATE OR REPLACE TRIGGER refunds_keep_their_reference
    BEFORE UPDATE OF network_reference ON refunds
    FOR EACH ROW
    WHEN (OLD.network_reference IS NOT NULL
          AND NEW.network_reference IS DISTINCT FROM OLD.network_reference)
    EXECUTE FUNCTION refuse_change('the network reference of a refund is final');
