-- Refuses to drop data that cannot be restored: closed periods.
SET LOCAL lock_timeout = '5s';

DO $$
BEGIN
    IF EXISTS (SELECT FROM ledger_periods) THEN
        RAISE EXCEPTION 'rolling back would drop closed periods' USING ERRCODE = 'restrict_violation';
    END IF;
END
$$;

DROP TRIGGER journal_transactions_in_open_period_when_posted ON journal_transactions;
DROP TRIGGER journal_transactions_in_open_period ON journal_transactions;
DROP FUNCTION journal_transactions_in_open_period();
DROP TABLE closing_balances;
DROP TABLE ledger_periods;
DROP FUNCTION closing_balances_of_new_periods();
DROP FUNCTION ledger_periods_follow();
