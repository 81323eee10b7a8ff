DROP TABLE entries;
DROP TABLE ledger_transactions;
DROP TABLE accounts;
DROP FUNCTION account_must_follow_entries();
DROP FUNCTION entries_must_balance();
DROP FUNCTION refuse_change();
