ALTER TABLE ledger_transactions DROP CONSTRAINT ledger_transactions_of_payment;
DROP TABLE payments;
