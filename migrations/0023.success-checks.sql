-- That a payment which succeeds is posted rightly is checked at the commit, no longer after the statement:
-- settlement can then change payments before it locks the World account, for which other workers wait.
-- depends: 0022.commit-checks

-- Runs while payments flow, also with the previous version of Atomic, which posts first. Locks payments
-- exclusively for a moment, and rewrites nothing. One transaction, so that no commit is unchecked.
SET LOCAL lock_timeout = '5s';

-- As posting_checks (0014).
CREATE UNLOGGED TABLE success_checks (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_ids uuid[] STORAGE EXTERNAL NOT NULL
);

-- Without refunded amounts: an update of these does not check the success again. None can succeed with them:
-- they need refunds (payments_refunded_follows_refunds), which need a success.
CREATE FUNCTION payments_are_checked() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER AS $$
BEGIN
    INSERT INTO success_checks (payment_ids)
    SELECT array_agg(n.id)
      FROM new_payments n
     WHERE n.status = 'SUCCESS' AND n.refunds_reserved IS NULL
    HAVING count(*) > 0;
    RETURN NULL;
END
$$;

CREATE TRIGGER payments_are_checked
    AFTER UPDATE ON payments
    REFERENCING NEW TABLE AS new_payments
    FOR EACH STATEMENT EXECUTE FUNCTION payments_are_checked();

-- The rule of 0014: World is debited, the merchant's account credited less the fee, and the fee account
-- credited with the fee. A payment has at most one transaction (ledger_transactions_once_per_payment), and
-- nothing is added to it later (entries_must_balance).
CREATE FUNCTION successes_match_ledger() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off
SET enable_nestloop = off AS $$
DECLARE
    transactions uuid[];
    posted       uuid[];
    offender     uuid;
BEGIN
    DELETE FROM success_checks WHERE success_checks.id = NEW.id;
    SELECT array_agg(t.id), array_agg(t.payment_id) INTO transactions, posted
      FROM ledger_transactions t
     WHERE t.payment_id = ANY (NEW.payment_ids) AND t.kind = 'payment';
    SELECT (array_agg(sums.id))[1] INTO offender
      FROM (SELECT n.id
              FROM (SELECT p.id, p.account_id, p.currency,
                           coalesce(p.capture_amount, p.amount) AS captured,
                           coalesce(p.fee_amount, 0) AS fee
                      FROM payments p
                     WHERE p.id = ANY (NEW.payment_ids)) n
              LEFT JOIN accounts world
                ON world.currency = n.currency
                   AND world.merchant_id IS NULL AND world.type = 'asset'
              LEFT JOIN accounts fees
                ON fees.currency = n.currency
                   AND fees.merchant_id IS NULL AND fees.type = 'revenue'
              LEFT JOIN unnest(transactions, posted) AS t (id, payment_id)
                ON t.payment_id = n.id
              LEFT JOIN entries e
                ON e.transaction_id = t.id AND e.transaction_id = ANY (transactions)
             GROUP BY n.id, n.captured, n.fee
            -- One leg of each kind. The sum and the count together allow no other legs.
            HAVING sum(CASE WHEN e.account_id = world.id AND e.amount = -n.captured THEN 1
                            WHEN e.account_id = n.account_id AND e.amount = n.captured - n.fee THEN 2
                            WHEN e.account_id = fees.id AND e.amount = n.fee THEN 4
                            ELSE 8
                       END)
                   <> 1 + CASE WHEN n.captured > n.fee THEN 2 ELSE 0 END
                      + CASE WHEN n.fee > 0 THEN 4 ELSE 0 END
                OR count(*) <> 1 + CASE WHEN n.captured > n.fee THEN 1 ELSE 0 END
                               + CASE WHEN n.fee > 0 THEN 1 ELSE 0 END) sums;
    IF offender IS NOT NULL THEN
        RAISE EXCEPTION 'the success of payment % does not match the ledger', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payments_match_ledger';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER successes_match_ledger
    AFTER INSERT ON success_checks
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION successes_match_ledger();

DROP TRIGGER payments_match_ledger ON payments;
DROP FUNCTION payments_match_ledger();

-- Without a search_path of its own a function reads the caller's temporary tables first.
DO $$
DECLARE
    guard text;
BEGIN
    FOREACH guard IN ARRAY '{payments_are_checked, successes_match_ledger}'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = pg_catalog, %I, pg_temp',
                       guard, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %I() FROM PUBLIC', guard);
    END LOOP;
END
$$;
