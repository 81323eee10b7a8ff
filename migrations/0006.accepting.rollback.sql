DROP TRIGGER payments_account_of_merchant_and_currency ON payments;
DROP FUNCTION payments_account_of_merchant_and_currency();
ALTER TABLE accounts
    ADD CONSTRAINT accounts_of_one_merchant_and_currency UNIQUE (id, merchant_id, currency);
ALTER TABLE payments
    ADD CONSTRAINT payments_account_of_merchant_and_currency
    FOREIGN KEY (account_id, merchant_id, currency)
    REFERENCES accounts (id, merchant_id, currency);
