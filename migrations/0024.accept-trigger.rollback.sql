-- Nothing is lost. Runs while payments flow.
SET LOCAL lock_timeout = '5s';

DROP TRIGGER payments_are_checked_and_listed ON payments;
DROP FUNCTION payments_are_checked_and_listed();

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

CREATE FUNCTION payments_are_listed() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER AS $$
BEGIN
    INSERT INTO payment_amounts (merchant_id, amount, payment_id)
    SELECT n.merchant_id, n.amount, n.id FROM new_payments n;
    IF EXISTS (SELECT FROM new_payments n WHERE n.metadata IS NOT NULL) THEN
        INSERT INTO payment_metadata (merchant_id, key, value, created_at, payment_id)
        SELECT n.merchant_id, pair.key, pair.value, n.created_at, n.id
          FROM new_payments n
         CROSS JOIN LATERAL jsonb_each_text(n.metadata) AS pair (key, value);
    END IF;
    RETURN NULL;
END
$$;

DO $$
DECLARE
    guard text;
BEGIN
    FOREACH guard IN ARRAY '{payments_account_of_merchant_and_currency, payments_are_listed}'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = pg_catalog, %I, pg_temp',
                       guard, current_schema());
    END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION payments_are_listed() FROM PUBLIC;

CREATE TRIGGER payments_account_of_merchant_and_currency
    AFTER INSERT ON payments
    REFERENCING NEW TABLE AS new_payments
    FOR EACH STATEMENT EXECUTE FUNCTION payments_account_of_merchant_and_currency();

CREATE TRIGGER payments_are_listed
    AFTER INSERT ON payments
    REFERENCING NEW TABLE AS new_payments
    FOR EACH STATEMENT EXECUTE FUNCTION payments_are_listed();
