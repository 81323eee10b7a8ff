-- Refuses to drop data that cannot be restored.
DO $$
BEGIN
    IF EXISTS (SELECT FROM payments) THEN
        RAISE EXCEPTION 'rolling back would drop payments' USING ERRCODE = 'restrict_violation';
    END IF;
END
$$;
ALTER TABLE ledger_transactions DROP CONSTRAINT ledger_transactions_of_payment;
DROP TABLE payments;
