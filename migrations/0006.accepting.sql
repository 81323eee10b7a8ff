-- Accepting: one statement inserts many payments, and they are checked together.
-- depends: 0005.settling

-- A foreign key checks row by row, and each time locks the merchant's account, which a worker may be
-- changing. An account can neither be deleted nor change its id, merchant or currency, and a payment
-- cannot change its account: a check without a lock at the insertion is enough.
CREATE FUNCTION payments_account_of_merchant_and_currency() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    offender text;
BEGIN
    SELECT n.id INTO offender
      FROM new_payments n
     -- A scalar subquery, which the planner cannot answer by reading a whole table.
     WHERE (SELECT (a.merchant_id, a.currency) = (n.merchant_id, n.currency)
              FROM accounts a
             WHERE a.id = n.account_id) IS NOT TRUE
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'payment % is for an account that is not its merchant''s in its currency', offender
            USING ERRCODE = 'foreign_key_violation',
                  CONSTRAINT = 'payments_account_of_merchant_and_currency';
    END IF;
    RETURN NULL;
END
$$;

ALTER TABLE payments DROP CONSTRAINT payments_account_of_merchant_and_currency;
ALTER TABLE accounts DROP CONSTRAINT accounts_of_one_merchant_and_currency;

CREATE TRIGGER payments_account_of_merchant_and_currency
    AFTER INSERT ON payments
    REFERENCING NEW TABLE AS new_payments
    FOR EACH STATEMENT EXECUTE FUNCTION payments_account_of_merchant_and_currency();
