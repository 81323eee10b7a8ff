-- Refuses while a payment or refund has a reference: without it, what a card network holds could no
-- longer be captured, released or refunded. As in the migration, each statement commits by itself and
-- can be repeated.
SET lock_timeout = '5s';

DO $$
BEGIN
    -- By name, because a repeated rollback finds no such columns.
    IF EXISTS (SELECT FROM payments p WHERE to_jsonb(p) ->> 'network_reference' IS NOT NULL)
       OR EXISTS (SELECT FROM refunds r WHERE to_jsonb(r) ->> 'network_reference' IS NOT NULL)
    THEN
        RAISE EXCEPTION 'rolling back would drop the references of payments at a card network'
            USING ERRCODE = 'restrict_violation';
    END IF;
END
$$;

DROP TRIGGER IF EXISTS refunds_keep_their_reference ON refunds;
DROP TRIGGER IF EXISTS payments_keep_their_reference ON payments;

ALTER TABLE refunds
    DROP CONSTRAINT IF EXISTS refunds_network_reference_length,
    DROP CONSTRAINT IF EXISTS refunds_sent_step_is_open,
    DROP COLUMN IF EXISTS sent_at,
    DROP COLUMN IF EXISTS key_generation,
    DROP COLUMN IF EXISTS network_reference;
ALTER TABLE payments
    DROP CONSTRAINT IF EXISTS payments_network_reference_length,
    DROP CONSTRAINT IF EXISTS payments_sent_step_is_open,
    DROP COLUMN IF EXISTS sent_at,
    DROP COLUMN IF EXISTS key_generation,
    DROP COLUMN IF EXISTS network_reference;
