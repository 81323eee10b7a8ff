-- Refuses to drop data that cannot be restored.
DO $$
BEGIN
    IF EXISTS (SELECT FROM entries) THEN
        RAISE EXCEPTION 'rolling back would drop a ledger with entries' USING ERRCODE = 'restrict_violation';
    END IF;
END
$$;
DROP TABLE entries;
DROP TABLE ledger_transactions;
DROP FUNCTION chain_start(accounts);
DROP TABLE accounts;
DROP FUNCTION account_must_follow_entries();
DROP FUNCTION entries_must_balance();
