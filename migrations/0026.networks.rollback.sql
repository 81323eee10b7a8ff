-- Refuses while a payment, refund or merchant has another network than the sandbox: without the column, it
-- would be settled by the wrong one. As in the migration, each statement commits by itself and can be
-- repeated.
SET lock_timeout = '5s';

DO $$
BEGIN
    -- By name, because a repeated rollback finds no such columns.
    IF EXISTS (SELECT FROM payments p WHERE to_jsonb(p) ->> 'network' <> 'sandbox')
       OR EXISTS (SELECT FROM merchants m WHERE to_jsonb(m) ->> 'network' IS NOT NULL)
    THEN
        RAISE EXCEPTION 'rolling back would drop the card networks of payments or merchants'
            USING ERRCODE = 'restrict_violation';
    END IF;
END
$$;

CREATE INDEX IF NOT EXISTS payments_open ON payments (due_at, id) WHERE phase = 'OPEN';
CREATE INDEX IF NOT EXISTS refunds_open ON refunds (due_at, id) WHERE phase = 'OPEN';
DROP INDEX IF EXISTS payments_due;
DROP INDEX IF EXISTS refunds_due;

DROP TRIGGER IF EXISTS refunds_keep_their_network ON refunds;
DROP TRIGGER IF EXISTS payments_keep_their_network ON payments;

ALTER TABLE refunds
    DROP CONSTRAINT IF EXISTS refunds_network_length,
    DROP COLUMN IF EXISTS network;
ALTER TABLE payments
    DROP CONSTRAINT IF EXISTS payments_network_length,
    DROP COLUMN IF EXISTS network;
ALTER TABLE merchants
    DROP CONSTRAINT IF EXISTS merchants_network_length,
    DROP COLUMN IF EXISTS network;
