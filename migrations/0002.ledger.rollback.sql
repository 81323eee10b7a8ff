DROP TABLE entries;
DROP TABLE ledger_transactions;
DROP FUNCTION chain_start(accounts);
DROP TABLE accounts;
DROP FUNCTION account_must_follow_entries();
DROP FUNCTION entries_must_balance();
